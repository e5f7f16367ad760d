# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import itertools
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from heliograph.partisan.errors import StateError
from heliograph.partisan.protocol import MembershipState, OrSet
from heliograph.partisan.wire import (
    Atom,
    ChannelSpec,
    ListenAddr,
    NodeSpec,
    Term,
    compare,
    decode,
    encode,
)


def spec(name: str, port: int = 10_200, parallelism: int = 1) -> NodeSpec:
    return NodeSpec(
        Atom(f"{name}@127.0.0.1"),
        (ListenAddr("127.0.0.1", port),),
        (ChannelSpec(Atom("undefined"), parallelism),),
    )


A, B = spec("a"), spec("b")

specs = st.builds(spec, st.sampled_from("abc"), st.integers(1, 3), st.integers(1, 2))
tokens = st.integers(0, 5).map(lambda number: bytes([number]) * 20)
sets = st.dictionaries(specs, st.dictionaries(tokens, st.booleans(), min_size=1), max_size=5).map(
    OrSet
)


def ordered(term: Any) -> bool:
    """Tell whether both kinds of lists in a set's form on the wire are strictly ascending."""
    entries = term[1]
    lists = [[key for key, _ in entries], *[[token for token, _ in marks] for _, marks in entries]]
    return all(compare(one, other) < 0 for each in lists for one, other in itertools.pairwise(each))


class TestLaws:
    @given(sets, sets)
    def test_merging_is_commutative(self, one: OrSet, other: OrSet) -> None:
        assert one.merge(other) == other.merge(one)
        assert hash(one.merge(other)) == hash(other.merge(one))

    @given(sets, sets, sets)
    def test_merging_is_associative(self, one: OrSet, other: OrSet, third: OrSet) -> None:
        assert one.merge(other).merge(third) == one.merge(other.merge(third))

    @given(sets)
    def test_merging_is_idempotent(self, one: OrSet) -> None:
        assert one.merge(one) is one
        assert one.merge(OrSet()) is one

    @given(sets, sets)
    def test_merging_loses_no_removal_and_no_token(self, one: OrSet, other: OrSet) -> None:
        merged = one.merge(other)

        for each in (one, other):
            for member, marks in each.entries():
                for token, active in marks.items():
                    assert token in merged.tokens(member)
                    assert active or not merged.tokens(member)[token]

    @given(sets)
    def test_the_form_on_the_wire_is_ordered_and_comes_back(self, one: OrSet) -> None:
        term = decode(encode(one.term()))

        assert ordered(term)
        assert OrSet.parse(term) == one

    @given(sets, st.randoms(use_true_random=False))
    def test_a_set_in_disorder_is_read_all_the_same(
        self, one: OrSet, chance: random.Random
    ) -> None:
        term: Any = one.term()
        tag, entries = term
        shuffled = [(key, chance.sample(marks, len(marks))) for key, marks in entries]
        chance.shuffle(shuffled)

        assert OrSet.parse((tag, shuffled)) == one


class Replicas(RuleBasedStateMachine):
    """Nodes that add, remove and merge in any order agree once all have merged with all."""

    @initialize()
    def start(self) -> None:
        self.replicas = [OrSet() for _ in range(3)]
        self.drawn = 0

    @rule(at=st.integers(0, 2), member=specs)
    def add(self, at: int, member: NodeSpec) -> None:
        self.drawn += 1
        self.replicas[at] = self.replicas[at].add(member, self.drawn.to_bytes(20))
        assert member in self.replicas[at]

    @rule(at=st.integers(0, 2), member=specs)
    def remove(self, at: int, member: NodeSpec) -> None:
        self.replicas[at] = self.replicas[at].remove(member)
        assert member not in self.replicas[at]

    @rule(at=st.integers(0, 2), source=st.integers(0, 2))
    def gossip(self, at: int, source: int) -> None:
        self.replicas[at] = self.replicas[at].merge(self.replicas[source])

    @invariant()
    def all_agree_after_merging(self) -> None:
        one, other, third = self.replicas
        assert one.merge(other).merge(third) == third.merge(one).merge(other)
        assert ordered(one.term())


TestReplicas = Replicas.TestCase


class TestMembers:
    def test_whoever_joins_again_is_a_member_although_it_was_removed(self) -> None:
        joined = OrSet().add(A, b"1" * 20)
        removed = joined.remove(A)
        again = removed.add(A, b"2" * 20)

        assert list(again.merge(removed)) == [A]
        assert again.merge(removed).tokens(A) == {b"1" * 20: False, b"2" * 20: True}
        assert removed.tokens(B) == {}

    def test_removing_nobody_changes_nothing(self) -> None:
        joined = OrSet().add(A, b"1" * 20)

        assert joined.remove(B) is joined
        assert joined.remove(A).remove(A) == joined.remove(A)

    def test_two_entries_of_one_name_are_found_by_it(self) -> None:
        moved = spec("a", 10_201)
        members = OrSet().add(A, b"1" * 20).add(moved, b"2" * 20).add(B, b"3" * 20)

        assert members.named(A.name) == [A, moved]
        assert len(members) == 3

    def test_a_set_says_who_is_in_it(self) -> None:
        members = OrSet().add(A, b"1" * 20)

        assert repr(members) == "<OrSet of a@127.0.0.1; 1 entries>"
        assert repr(members.remove(A)) == "<OrSet of nobody; 1 entries>"
        assert "a@127.0.0.1" not in members
        assert members != "members"


NAMED = Atom("state_orset")
GOOD = (A.term(), [(b"1" * 20, True)])


class TestHostileStates:
    @pytest.mark.parametrize(
        ("term", "reason"),
        [
            (Atom("undefined"), "no membership set of at most 2 entries"),
            ((NAMED, Atom("undefined")), "no membership set of at most 2 entries"),
            ((NAMED, [GOOD] * 3), "no membership set of at most 2 entries"),
            ((NAMED, [Atom("a")]), "no entry of at most 2 tokens"),
            ((NAMED, [(A.term(), [(b"1", True)] * 3)]), "no entry of at most 2 tokens"),
            ((NAMED, [({}, [])]), "no node specification"),
            ((NAMED, [(A.term(), [(1, True)])]), "no token with whether it is active"),
            ((NAMED, [(A.term(), [(b"1" * 256, True)])]), "no token with whether it is active"),
            ((NAMED, [(A.term(), [(b"1", Atom("yes"))])]), "no token with whether it is active"),
        ],
    )
    def test_what_is_no_set_is_refused(self, term: Term, reason: str) -> None:
        with pytest.raises(StateError, match=reason):
            OrSet.parse(term, entries=2, tokens=2)

    def test_the_same_entry_and_token_twice_is_one_and_removal_wins(self) -> None:
        twice = (NAMED, [GOOD, (A.term(), [(b"1" * 20, False), (b"1" * 20, True)])])

        assert OrSet.parse(twice) == OrSet({A: {b"1" * 20: False}})

    @pytest.mark.parametrize("term", [b"state", (Atom("scamp_v1"), b"", {}, Atom("undefined"))])
    def test_the_state_of_another_strategy_is_refused(self, term: Term) -> None:
        with pytest.raises(StateError, match="no state of the full membership strategy"):
            MembershipState.parse(term)

    def test_an_error_shows_a_long_term_in_part(self) -> None:
        with pytest.raises(StateError, match=r"'x{100,}\.\.\.$"):
            OrSet.parse(Atom("x" * 250))


def test_a_state_comes_back_from_the_wire() -> None:
    state = MembershipState(b"actor", OrSet().add(A, b"1" * 20))

    assert MembershipState.parse(decode(encode(state.term()))) == state
