# SPDX-License-Identifier: Apache-2.0
"""Whom a node remembers that gave way to others in its views, and when it asks them."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from heliograph.partisan.protocol.overlay import interface as on
from heliograph.partisan.protocol.overlay.hyparview import HIGH, LOW, HyParView
from heliograph.partisan.protocol.overlay.past import LEAVING
from heliograph.partisan.protocol.overlay.settings import HyParViewConfig
from heliograph.partisan.wire import Atom
from heliograph.partisan.wire.messages import (
    UNDEFINED,
    Disconnect,
    Disconnection,
    Join,
    NeighborAccepted,
    NeighborRejected,
    NeighborRequest,
    Shuffle,
    ShuffleReply,
)
from tests.partisan.protocol.overlay.pool import SECOND, Pool, sent, spec, told
from tests.partisan.protocol.overlay.test_hyparview import connected, names, receive, settle

ME = spec(0)
NEVER = Disconnection(1, 0)


def node(
    *neighbors: int,
    passive: Any = (),
    known: Any = (),
    seeds: Any = (),
    room: int = 4,
    seed: int = 1,
    **options: Any,
) -> HyParView:
    return HyParView(
        ME,
        random=random.Random(seed),
        config=HyParViewConfig(
            **{"active": 2, "passive": room, "restless": 0, "look_over": False, **options}
        ),
        neighbors=[spec(each) for each in neighbors],
        passive=[spec(each) for each in passive],
        acquaintances=[spec(each) for each in known],
        seeds=[spec(each) for each in seeds],
    )


def remembered(views: HyParView) -> list[int]:
    return [int(each.name.partition("@")[0][1:]) for each in views.acquaintances]


def asked(effects: list[on.Effect]) -> list[tuple[int, str]]:
    return [
        (int(each.to[0].name.partition("@")[0][1:]), each.message.priority)
        for each in effects
        if isinstance(each, on.Send) and isinstance(each.message, NeighborRequest)
    ]


def lose(views: HyParView, number: int, now: int = 0) -> list[tuple[int, str]]:
    return asked(views.handle(on.Lost(spec(number).name), now))


# --- who is remembered ---


def test_who_was_told_of_makes_room_and_is_remembered() -> None:
    teller = node(1, passive=range(10, 14))
    teller.handle(on.Fired("shuffle"), 0)

    receive(teller, 1, ShuffleReply((spec(20), spec(21)), spec(1)))

    assert len(remembered(teller)) == 2
    assert {*remembered(teller)} | names(teller.passive) == {10, 11, 12, 13, 20, 21}


def test_who_makes_room_by_chance_is_remembered() -> None:
    swapper = node(1, 2, passive=range(10, 14))

    receive(swapper, 3, Shuffle((spec(3), spec(20)), 0, spec(3)))

    assert len(remembered(swapper)) == 2
    assert {*remembered(swapper)} | names(swapper.passive) == {3, 10, 11, 12, 13, 20}


def test_who_makes_room_for_an_evicted_neighbor_is_remembered() -> None:
    contact = node(1, 2, passive=range(10, 14))

    receive(contact, 3, Join(spec(3), UNDEFINED, 1))

    assert len(remembered(contact)) == 1
    assert remembered(contact)[0] in range(10, 14)


def test_so_many_are_remembered_and_no_more() -> None:
    swapper = node(1, 2, passive=range(10, 14), acquaintances=3)

    for number in range(20, 40, 2):
        receive(swapper, 3, Shuffle((spec(number), spec(number + 1)), 0, spec(3)))

    assert len(remembered(swapper)) == 3


@pytest.mark.parametrize("options", [{"acquaintances": 0}, {"as_original": True}])
def test_nobody_is_remembered_by_option(options: dict[str, Any]) -> None:
    swapper = node(1, 2, passive=range(10, 14), known=(5,), **options)

    receive(swapper, 3, Shuffle((spec(20), spec(21)), 0, spec(3)))

    assert remembered(swapper) == []


def test_there_are_not_fewer_than_none() -> None:
    with pytest.raises(ValueError, match="acquaintances=-1: they are 0 or more"):
        HyParViewConfig(acquaintances=-1)


# --- when they are asked ---


def test_who_has_nobody_else_asks_as_many_as_there_are_places_until_one_answers() -> None:
    lonely = node(1, known=range(10, 20))

    calls = lose(lonely, 1)
    assert len(calls) == 2
    assert {priority for _, priority in calls} == {HIGH}
    for number, _ in [*calls]:
        calls += lose(lonely, number)
    assert len({number for number, _ in calls}) == 4
    assert {number for number, _ in calls} <= {*range(10, 20)}

    living = calls[2][0]
    exchange = (spec(living), spec(30))
    effects = receive(lonely, living, NeighborAccepted(spec(living), UNDEFINED, NEVER, exchange))
    assert told(effects) == [(spec(living).name, "up")]
    assert lose(lonely, calls[3][0]) == [(30, LOW)]  # it knows others again
    assert lonely.statistics.recalled == 4


def test_they_are_asked_in_random_order() -> None:
    orders = set()
    for seed in range(10):
        lonely = node(1, known=range(10, 14), seed=seed)
        orders.add(tuple(number for number, _ in lose(lonely, 1)))

    assert len(orders) > 3


def test_not_while_a_replacement_may_answer() -> None:
    waiting = node(1, passive=(5,), known=(10, 11))

    assert lose(waiting, 1) == [(5, HIGH)]
    receive(waiting, 5, NeighborRejected(spec(5), (spec(5),)))

    assert waiting.statistics.recalled == 0  # it has answered, so it lives
    assert asked(waiting.handle(on.Fired("promotion"), 5 * SECOND)) == [(5, HIGH)]
    assert {number for number, _ in lose(waiting, 5, 6 * SECOND)} == {10, 11}


def test_who_has_half_of_its_neighbors_asks_for_room_alone() -> None:
    half = node(1, 2, known=(10, 11), active=2)

    assert lose(half, 1) in ([(10, LOW)], [(11, LOW)])


def test_all_are_asked_once_between_two_probes() -> None:
    lonely = node(1, known=(10, 11))
    lose(lonely, 1)
    for number in (10, 11):
        assert lose(lonely, number) == []

    assert asked(lonely.handle(on.Fired("promotion"), 29 * SECOND)) == []
    again = asked(lonely.handle(on.Fired("promotion"), 30 * SECOND))
    assert {number for number, _ in again} == {10, 11}


def test_a_node_that_nobody_answers_forgets_nobody() -> None:
    lonely = node(1, known=(10, 11))
    lose(lonely, 1)
    for rounds in range(1, 4):
        for number in (10, 11):
            lose(lonely, number, rounds * 30 * SECOND - 15 * SECOND)
        lonely.handle(on.Fired("promotion"), rounds * 30 * SECOND)

    assert {*remembered(lonely)} == {10, 11}


def test_who_does_not_answer_while_others_do_is_forgotten() -> None:
    few = node(1, 2, known=range(10, 14), active=5)
    calls = lose(few, 1)
    (silent, _), (rejecting, _), (accepting, _), *_ = calls
    lose(few, silent)
    receive(few, rejecting, NeighborRejected(spec(rejecting), ()))
    receive(few, accepting, NeighborAccepted(spec(accepting), UNDEFINED, NEVER, ()))

    few.handle(on.Fired("promotion"), 40 * SECOND)

    left = {*remembered(few)}
    assert silent not in left
    assert {rejecting, accepting} <= left


def test_who_is_known_twice_is_asked_once() -> None:
    lonely = node(1, known=(10, 10, 10))

    assert lose(lonely, 1) == [(10, HIGH)]


def test_a_late_answer_does_not_revive_who_did_not_answer_in_time() -> None:
    lonely = node(1, known=(10,))
    lose(lonely, 1)
    lose(lonely, 10)

    effects = receive(lonely, 10, NeighborAccepted(spec(10), UNDEFINED, NEVER, ()))

    assert sent(effects) == [(spec(10).name, "Disconnect")]
    assert not lonely.neighbors
    assert lonely.statistics.stale == 1


def test_who_left_is_not_asked() -> None:
    lonely = node(1, known=(10, 11, 12), active=1)
    calls = lose(lonely, 1)
    ((first, _),) = calls
    left = next(each for each in (10, 11, 12) if each != first)
    farewell = Disconnect(spec(left), Disconnection(1, LEAVING))
    receive(lonely, left, farewell)

    calls += lose(lonely, first)
    calls += lose(lonely, calls[-1][0])
    calls += asked(lonely.handle(on.Fired("promotion"), 700 * SECOND))

    assert {number for number, _ in calls} == {10, 11, 12} - {left}
    assert left not in remembered(lonely)


def test_who_leaves_forgets_all_acquaintances() -> None:
    leaver = node(1, known=(10,))

    leaver.handle(on.Leave(), 0)

    assert remembered(leaver) == []


def test_a_seed_is_joined_through_while_acquaintances_do_not_answer() -> None:
    lonely = node(1, known=(10, 11), seeds=(5,))
    assert {number for number, _ in lose(lonely, 1)} == {10, 11}

    effects = lonely.handle(on.Fired("promotion"), SECOND)

    assert sent(effects) == [(spec(5).name, "Join")]


def test_who_knows_few_swaps_with_an_acquaintance_and_finds_out_about_another_part() -> None:
    islander = node(1, 2, passive=(3,), known=(1, 3, 10))

    (_, effect) = islander.handle(on.Fired("probe"), 0)
    assert isinstance(effect, on.Send)
    assert effect.to == (spec(10),)
    assert isinstance(effect.message, Shuffle)

    reply = ShuffleReply((spec(20), spec(21)), spec(10))
    assert asked(receive(islander, 10, reply)) == [(10, HIGH)]


# --- many nodes ---


def parted(pool: Pool) -> bool:
    """Whether somebody is alone that remembers one who lives."""
    living = pool.views().keys()
    return any(
        not overlay.neighbors and any(each.name in living for each in overlay.acquaintances)
        for name, overlay in pool.nodes.items()
        if name in living and isinstance(overlay, HyParView)
    )


def scattered(seed: int, acquaintances: int, living: int = 6) -> Pool:
    """A hundred nodes with small views, most of which fail at once."""
    config = HyParViewConfig(active=3, passive=6, acquaintances=acquaintances)
    pool = Pool(lambda mine, chance: HyParView(mine, random=chance, config=config), seed)
    contact = pool.add(0)
    for number in range(1, 100):
        pool.do(pool.add(number).name, on.Join(contact))
    settle(pool, 12)
    for overlay in pool.nodes.values():
        assert isinstance(overlay, HyParView)
        overlay._probes.seeds.clear()
    order = sorted(pool.nodes, key=str)
    spared = set(pool.random.sample(order, living))
    pool.dead.update(name for name in order if name not in spared)
    for name in order:
        if name in spared:
            for other in [*pool.nodes[name].neighbors]:
                if other in pool.dead:
                    pool.do(name, on.Lost(other))
    return pool


@given(st.integers(0, 1 << 32))
@settings(max_examples=10)
def test_nobody_stays_alone_that_remembers_one_who_lives(seed: int) -> None:
    pool = scattered(seed, 128)

    settle(pool, 4)

    assert not parted(pool)
    assert all(view <= pool.views().keys() for view in pool.views().values())


def test_scattered_nodes_come_together_that_do_not_without_a_memory() -> None:
    together = dict.fromkeys((0, 128), 0)
    for most in together:
        for seed in range(10):
            pool = scattered(seed, most)
            settle(pool, 4)
            together[most] += connected(pool)

    assert together[128] == 10
    assert together[0] < 8


class Lives(RuleBasedStateMachine):
    """Nodes join, fail, leave and come back, and remember each other."""

    MOST = 5

    def __init__(self) -> None:
        super().__init__()
        config = HyParViewConfig(active=2, passive=3, acquaintances=self.MOST)
        self.pool = Pool(lambda mine, chance: HyParView(mine, random=chance, config=config))
        self.left: set[Atom] = set()
        self.pool.add(0)
        for number in range(1, 12):
            self.joins(number, 0)

    def views(self, name: Atom) -> HyParView:
        found = self.pool.nodes[name]
        assert isinstance(found, HyParView)
        return found

    def living(self) -> list[Atom]:
        return [name for name in self.pool.nodes if name not in self.pool.dead | self.left]

    def joins(self, number: int, through: int) -> None:
        mine, contact = spec(number), spec(through)
        if mine.name in self.pool.dead or contact.name not in self.living():
            return
        if mine.name not in self.pool.nodes:
            self.pool.add(number)
        self.left.discard(mine.name)
        self.pool.do(mine.name, on.Join(contact))

    numbers = st.integers(0, 20)

    @rule(number=numbers, through=numbers)
    def join(self, number: int, through: int) -> None:
        self.joins(number, through)

    @rule(number=numbers)
    def fail(self, number: int) -> None:
        if len(self.living()) > 2 and spec(number).name in self.living():
            self.pool.kill(spec(number).name)

    @rule(number=numbers)
    def leave(self, number: int) -> None:
        name = spec(number).name
        if len(self.living()) > 2 and name in self.living():
            self.left.add(name)
            self.pool.do(name, on.Leave())

    @rule()
    def time_passes(self) -> None:
        self.pool.now += 10 * SECOND
        self.pool.fire("shuffle", "promotion", "probe")

    @invariant()
    def memory_is_bounded_and_of_others(self) -> None:
        for name, overlay in self.pool.nodes.items():
            assert isinstance(overlay, HyParView)
            known = [each.name for each in overlay.acquaintances]
            assert len(known) <= self.MOST
            assert name not in known

    @invariant()
    def nobody_has_who_is_gone(self) -> None:
        gone = self.left | self.pool.dead
        assert all(not view & gone for view in self.pool.views().values())

    @invariant()
    def who_has_heard_of_a_departure_does_not_remember_the_node(self) -> None:
        for name in self.living():
            views = self.views(name)
            known = {each.name for each in views.acquaintances}
            assert not known & {each for each in self.left if views._past.avoids(each, 0)}


TestLives = Lives.TestCase
TestLives.settings = settings(max_examples=20, stateful_step_count=25)
