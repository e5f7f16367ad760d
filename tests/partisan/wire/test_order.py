# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import itertools
import random

import pytest
from hypothesis import given

from heliograph.partisan.wire import (
    Atom,
    BitString,
    Export,
    Fun,
    ImproperList,
    Pid,
    Port,
    Reference,
    Term,
    TermMap,
    compare,
    exact,
    order_key,
)
from tests.partisan.wire.strategies import terms

N = Atom("n@h")

ASCENDING: list[Term] = [
    # Numbers by value, however large.
    -(10**30), -1.5, -1, 0, 0.5, 1, 1.5, 2, 10**30, 1e300,
    # Atoms by code points.
    Atom(""), Atom("B"), Atom("a"), Atom("ab"), False, Atom("tru"), True, Atom("trues"), Atom("é"),
    Atom("λ"),
    Reference(N, 1, (9, 1)), Reference(N, 1, (1, 2)),
    Fun(N, 1, 2, b""), Export(N, N, 1), Export(N, N, 2),
    Port(N, 1, 1), Port(N, 2, 1),
    Pid(N, 5, 0, 1), Pid(N, 6, 0, 1), Pid(N, 1, 1, 1),
    # Tuples by size, then by elements.
    (), (9,), (1, 2), (1, 3), (2, 1),
    # Maps by size, then by keys, then by values; integers as keys come before floats.
    {}, {1: 9}, {2: 1}, {1.0: 0}, {Atom("a"): 1}, {Atom("a"): 2}, {Atom("b"): 0},
    {1: 1, 3: 1}, {2: 0, 3: 0}, {2: 1, 3: 0}, TermMap([(2, 0), ([], 0)]),
    # Lists by elements, and what follows them.
    [], ImproperList((1,), 1), ImproperList((1,), (1,)), [1], ImproperList((1, 2), 3), [1, 2],
    [1, 3],
    ImproperList((1, 3), b""), [2],
    # Bits from the first on.
    b"", b"\x00", b"\x00\x01", BitString(b"\x80", 1), b"\x80", b"\x80\x00", b"\xff",
]  # fmt: skip


def test_terms_have_erlangs_order() -> None:
    for (i, a), (j, b) in itertools.product(enumerate(ASCENDING), repeat=2):
        assert compare(a, b) == (i > j) - (i < j), (a, b)


def test_what_is_shuffled_sorts_again() -> None:
    shuffled = ASCENDING[:]
    random.Random(5).shuffle(shuffled)

    assert [exact(each) for each in sorted(shuffled, key=order_key)] == [
        exact(each) for each in ASCENDING
    ]


def test_integers_and_floats_of_one_value_come_together_but_not_as_keys() -> None:
    assert compare(1, 1.0) == 0
    assert compare((1, [1.0]), (1.0, [1])) == 0
    assert compare({Atom("a"): 1}, {Atom("a"): 1.0}) == 0
    assert compare({1: 0}, {1.0: 0}) == -1
    assert compare({1.0: 0}, {2: 0}) == 1
    assert compare({1.0: 0}, {2.0: 0}) == -1
    assert compare({(1.0,): 0}, {(1,): 0}) == 1


def test_references_compare_by_value() -> None:
    assert compare(Reference(N, 1, (7,)), Reference(N, 1, (7, 0, 0))) == 0
    assert compare(Reference(N, 1, (7, 0, 0)), Reference(N, 1, (6, 1))) == -1


@given(terms, terms, terms)
def test_the_order_is_one(a: Term, b: Term, c: Term) -> None:
    assert compare(a, a) == 0
    assert compare(a, b) == -compare(b, a)
    if compare(a, b) <= 0 and compare(b, c) <= 0:
        assert compare(a, c) <= 0


def test_what_is_no_term_has_no_place() -> None:
    with pytest.raises(TypeError, match="set is no Erlang term"):
        compare({1}, 1)
