# SPDX-License-Identifier: Apache-2.0
"""Who is asked about a suspect in a partial view."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from heliograph.partisan.protocol.witnesses import NEIGHBORS, Witnesses
from heliograph.partisan.wire import Atom, ListenAddr, NodeSpec, Term

SECOND = 1_000_000_000


def spec(number: int, port: int = 0) -> NodeSpec:
    return NodeSpec(Atom(f"n{number:02}@h"), (ListenAddr("127.0.0.1", port or number + 1),), ())


def named(*numbers: int) -> dict[Atom, NodeSpec]:
    return {each.name: each for each in map(spec, numbers)}


def names(*numbers: int) -> list[Atom]:
    return [*named(*numbers)]


def witnesses(most: int = 6) -> Witnesses:
    return Witnesses(most, random.Random(1))


def terms(*numbers: int) -> list[Term]:
    return [spec(each).term() for each in numbers]


X = spec(0).name


class TestLists:
    def test_each_neighbor_is_told_of_the_others_once(self) -> None:
        it = witnesses()
        neighbors = named(1, 2, 3)

        assert it.news(neighbors) == [
            (spec(1).name, (NEIGHBORS, terms(2, 3))),
            (spec(2).name, (NEIGHBORS, terms(1, 3))),
            (spec(3).name, (NEIGHBORS, terms(1, 2))),
        ]
        assert it.news(neighbors) == []

    def test_and_again_when_one_comes_goes_or_moves(self) -> None:
        it = witnesses()
        assert it.news(named(1)) == []
        assert [name for name, _ in it.news(named(1, 2))] == names(1, 2)
        [told] = it.news({**named(1), spec(2).name: spec(2, 99)})
        assert told == (spec(1).name, (NEIGHBORS, [spec(2, 99).term()]))
        assert it.news(named(1)) == [(spec(1).name, (NEIGHBORS, []))]
        assert [name for name, _ in it.news(named(1, 2))] == names(1, 2)

    def test_of_many_those_it_knows_and_those_it_was_told_of_before(self) -> None:
        it = witnesses(2)
        neighbors = named(1, 2, 3, 4, 5)
        it.listed(spec(1).name, terms(5))
        first = dict(it.news(neighbors))
        assert first[spec(1).name] == (NEIGHBORS, terms(2, 5))
        # As long as these are there, others change nothing.
        assert [name for name, _ in it.news({**named(6), **neighbors})] == names(6)

    def test_without_anybody_to_ask_nobody_is_told(self) -> None:
        it = witnesses(0)
        assert it.news(named(1, 2, 3)) == []
        it.listed(X, terms(1))
        assert it.of(X, names(1), named(1, 2), dialling=True) == []

    def test_nonsense_and_long_lists(self) -> None:
        it = witnesses(100)
        assert not it.listed(X, [7])
        assert it.find(spec(1).name) is None
        assert it.listed(X, terms(*range(100)))
        assert it.of(X, [], {}, dialling=True) == names(*range(1, 32))  # without itself

    def test_who_is_no_neighbor_any_more_is_forgotten(self) -> None:
        it = witnesses()
        it.listed(X, terms(1))
        assert it.find(spec(1).name) == spec(1)
        it.news(named(2))
        assert it.find(spec(1).name) is None


class TestAsking:
    def test_the_likeliest_first(self) -> None:
        it = witnesses(4)
        it.listed(X, terms(1, 2, 3))
        it.listed(spec(5).name, [spec(0).term()])

        # Who asked, who is known to know it by one or the other, who can be dialled, the rest.
        neighbors = named(0, 1, 4, 5)
        assert it.of(X, names(9), neighbors, dialling=True) == names(9, 1, 5, 2)
        assert it.of(X, [], neighbors, dialling=True) == names(1, 5, 2, 3)
        assert it.of(X, [], neighbors, dialling=False) == names(1, 5, 4)

    def test_who_asks_must_be_who_it_says(self) -> None:
        it = witnesses()
        assert not it.asked(spec(1).name, spec(2).term())
        assert not it.asked(spec(1).name, b"nonsense")
        assert it.find(spec(1).name) is None
        assert it.asked(spec(1).name, spec(1).term())
        assert it.find(spec(1).name) == spec(1)

    def test_only_so_many_are_remembered(self) -> None:
        it = witnesses()
        for each in range(300):
            it.asked(spec(each).name, spec(each, 1).term())
        assert it.find(spec(43).name) is None
        assert it.find(spec(44).name) == spec(44, 1)


class TestWaiting:
    def test_what_waits_is_given_once_the_latest_of_it_and_not_when_it_is_old(self) -> None:
        it = witnesses()
        for each in range(6):
            it.owe(X, each, each * SECOND)
        assert it.owed(X, 12 * SECOND) == [3, 4, 5]
        assert it.owed(X, 12 * SECOND) == []

    def test_only_for_so_many(self) -> None:
        it = witnesses()
        for each in range(100):
            it.owe(spec(each).name, each, 0)
        assert it.owed(spec(35).name, 0) == []
        assert it.owed(spec(36).name, 0) == [36]


numbers = st.integers(0, 12)


@given(
    st.integers(0, 8),
    st.dictionaries(numbers, st.sets(numbers), max_size=6),
    st.sets(numbers),
    st.sets(numbers),
    st.booleans(),
)
def test_never_more_than_allowed_never_the_suspect_and_only_whom_it_can_reach(
    most: int,
    said: dict[int, set[int]],
    asking: set[int],
    neighbors: set[int],
    dialling: bool,
) -> None:
    it = witnesses(most)
    for by, others in said.items():
        it.listed(spec(by).name, terms(*others))
    it.news(named(*neighbors))  # who is no neighbor says nothing of its others

    found = it.of(X, names(*asking), named(*neighbors), dialling=dialling)

    assert len(found) == len(set(found)) <= most
    assert X not in found
    for name in found:
        reachable = name in named(*asking, *neighbors)
        assert reachable or (dialling and it.find(name) is not None)


@given(st.integers(0, 8), st.lists(st.sets(numbers), max_size=8))
def test_whoever_is_told_of_is_a_neighbor_and_no_news_means_that_it_is_known(
    most: int, views: list[set[int]]
) -> None:
    it = witnesses(most)
    known: dict[Atom, Term] = {}
    for view in views:
        neighbors = named(*sorted(view))
        known = {name: told for name, told in known.items() if name in neighbors}
        known.update(it.news(neighbors))
        for name in neighbors:
            match known.get(name, (NEIGHBORS, [])):
                case (_, list(told)):
                    specs = [NodeSpec.parse(each) for each in told]
                case _:
                    raise AssertionError(known)
            others = {other: each for other, each in neighbors.items() if other != name}
            assert len(specs) == min(most, len(others))
            assert all(others[each.name] == each for each in specs)
