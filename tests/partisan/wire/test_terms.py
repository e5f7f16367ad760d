# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import enum
import pickle
from typing import Any

import pytest

from heliograph.partisan.wire import (
    Atom,
    BitString,
    Export,
    ImproperList,
    Pid,
    Term,
    TermMap,
    exact,
    same,
)
from heliograph.partisan.wire.terms import term_map


class Level(enum.IntEnum):
    ONE = 1


def test_an_atom_is_its_text() -> None:
    assert Atom("ok") == "ok"
    assert hash(Atom("ok")) == hash("ok")
    assert repr(Atom("ok")) == "Atom('ok')"
    assert {"ip": 1}[Atom("ip")] == 1


def test_an_improper_list_is_not_empty_and_ends_on_no_list() -> None:
    for elements, tail in (((), 1), ((1,), []), ((1,), ImproperList((1,), 2))):
        with pytest.raises(ValueError, match="at least one element and a tail that is no list"):
            ImproperList(elements, tail)


def test_a_bit_string_has_no_bits_beyond_its_own() -> None:
    assert BitString(b"\xff\xff", 3) == BitString(b"\xff\xe0", 3)
    for data, bits in ((b"", 1), (b"a", 0), (b"a", 8)):
        with pytest.raises(ValueError, match="1 to 7 bits"):
            BitString(data, bits)


def test_a_term_map_tells_keys_apart_as_erlang_does() -> None:
    pairs: list[tuple[Term, Term]] = [
        (1, Atom("integer")), (1.0, Atom("float")), (True, Atom("true")), ([1], Atom("list")),
        ({1: []}, Atom("map")),
    ]  # fmt: skip
    term = TermMap(pairs)

    assert [term[key] for key, _ in pairs] == [value for _, value in pairs]
    assert list(term) == [key for key, _ in pairs]
    assert list(term.items()) == pairs
    assert ([1], Atom("list")) in term.items()
    assert (1, Atom("true")) not in term.items()
    assert len(term) == 5
    assert [] not in term
    assert repr(TermMap([([], 1)])) == "TermMap([([], 1)])"
    with pytest.raises(KeyError):
        term[[2]]


def test_term_maps_are_equal_if_they_are_the_same_map() -> None:
    one = TermMap([([], 1), (1, 2)])

    assert one == TermMap([(1, 2), ([], 1)])
    assert hash(one) == hash(TermMap([(1, 2), ([], 1)]))
    assert one != TermMap([([], 1), (1.0, 2)])
    assert TermMap([(1, 2)]) == {1: 2}
    assert TermMap([(1, 2)]) != {1: True}
    assert one != [([], 1), (1, 2)]
    assert pickle.loads(pickle.dumps(one)) == one


def test_a_map_has_no_key_twice() -> None:
    twice: list[list[tuple[Term, Term]]] = [[(1, 2), (1, 3)], [([], 2), ([], 3)]]
    for pairs in twice:
        with pytest.raises(ValueError, match="same key twice"):
            term_map(pairs)
    assert type(term_map([(1, 2), (2, 3)])) is dict
    assert type(term_map([(1, 2), (1.0, 3)])) is TermMap


ALIKE: list[tuple[Any, Any]] = [
    (1, Level.ONE),
    (b"a", bytearray(b"a")),
    (b"a", memoryview(b"a")),
    (True, Atom("true")),
    (Atom("a"), "a"),
    ({1: 2, 3: 4}, {3: 4, 1: 2}),
    (TermMap([([], 1)]), TermMap([([], 1)])),
    (Pid(Atom("n"), 1, 2, 3), Pid(Atom("n"), 1, 2, 3)),
]
UNLIKE: list[tuple[Any, Any]] = [
    (1, 1.0),
    (1, True),
    (0.0, -0.0),
    (Atom("a"), b"a"),
    ((1,), [1]),
    ([1, [2]], [1, 2]),
    ({1: 2}, {1: 2.0}),
    (Atom("1"), 1),
    (BitString(b"a", 7), b"a"),
    (ImproperList((1,), 2), [1, 2]),
    (Pid(Atom("n"), 1, 2, 3), Pid(Atom("n"), 1, 2, 4)),
    (Export(Atom("m"), Atom("f"), 1), (Atom("m"), Atom("f"), 1)),
]


@pytest.mark.parametrize("pair", ALIKE, ids=map(str, range(len(ALIKE))))
def test_some_terms_are_the_same(pair: tuple[Term, Term]) -> None:
    assert same(*pair)


@pytest.mark.parametrize("pair", UNLIKE, ids=map(str, range(len(UNLIKE))))
def test_some_terms_only_look_the_same(pair: tuple[Term, Term]) -> None:
    assert not same(*pair)
    assert not same([pair[0]], [pair[1]])
    assert not same({1: pair[0]}, {1: pair[1]})


def test_what_is_no_term_is_not_compared() -> None:
    with pytest.raises(TypeError, match="NoneType is no Erlang term: None"):
        exact(None)
