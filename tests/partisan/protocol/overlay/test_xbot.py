# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import random
from typing import Any

import pytest

from heliograph.partisan.protocol.overlay import interface as on
from heliograph.partisan.protocol.overlay.hyparview import HyParView
from heliograph.partisan.protocol.overlay.settings import HyParViewConfig
from heliograph.partisan.protocol.overlay.xbot import XBotConfig
from heliograph.partisan.wire import NodeSpec
from heliograph.partisan.wire.messages import (
    UNDEFINED,
    Message,
    Optimization,
    OptimizationReply,
    Replace,
    ReplaceReply,
    Switch,
    SwitchReply,
)
from tests.partisan.protocol.overlay.pool import SECOND, Pool, sent, spec, told

Distances = dict[frozenset[int], float]


def number(of: NodeSpec) -> int:
    return int(of.name.partition("@")[0][1:])


def bot(
    mine: int,
    neighbors: Any,
    passive: Any = (),
    distances: Distances | None = None,
    active: int = 2,
    unbiased: int = 1,
) -> HyParView:
    known = distances or {}
    return HyParView(
        spec(mine),
        random=random.Random(1),
        config=HyParViewConfig(active=active, xbot=XBotConfig(unbiased=unbiased)),
        neighbors=[spec(each) for each in neighbors],
        passive=[spec(each) for each in passive],
        distance=lambda other: known.get(frozenset({mine, number(other)})),
    )


def receive(node: HyParView, sender: int, message: Message) -> list[on.Effect]:
    return node.handle(on.Received(spec(sender).name, message), 0)


FAR: Distances = {frozenset({0, 1}): 5.0, frozenset({0, 2}): 9.0, frozenset({0, 3}): 2.0}


def test_a_far_neighbor_but_the_farthest_is_to_be_swapped_for_a_nearer_replacement() -> None:
    node = bot(0, (1, 2), (3,), FAR)

    effects = node.handle(on.Fired("xbot"), 0)

    assert sent(effects)[0][1] == "Neighbor"
    assert [effects[0], *effects[2:]] == [
        on.SetTimer("xbot", 30 * SECOND),
        on.Send((spec(3),), Optimization(UNDEFINED, spec(1), spec(0), spec(3), None)),
    ]
    assert node.statistics.optimizations == 1


@pytest.mark.parametrize(("unbiased", "kept"), [(0, set()), (1, {2}), (2, {2, 1}), (3, {2, 1, 4})])
def test_the_farthest_are_kept(unbiased: int, kept: set[int]) -> None:
    distances = {**FAR, frozenset({0, 4}): 3.0, frozenset({0, 5}): 2.5}
    node = bot(0, (1, 2, 4, 5), (3,), distances, active=4, unbiased=unbiased)

    effect = node.handle(on.Fired("xbot"), 0)[-1]

    assert isinstance(effect, on.Send)
    assert isinstance(effect.message, Optimization)
    assert number(effect.message.old) == next(each for each in (2, 1, 4, 5) if each not in kept)


@pytest.mark.parametrize(
    ("neighbors", "passive", "distances"),
    [
        ((1, 2), (3,), {**FAR, frozenset({0, 3}): 10.0}),  # it is farther
        ((1,), (3,), FAR),  # there is room, so others may come
        ((1, 2), (), FAR),  # there is no other
        ((1, 2), (3,), {frozenset({0, 3}): 1.0}),  # no neighbor is measured
    ],
    ids=["farther", "room", "nobody", "unmeasured"],
)
def test_nothing_is_swapped_without_need(
    neighbors: tuple[int, ...], passive: tuple[int, ...], distances: Distances
) -> None:
    effects = bot(0, neighbors, passive, distances).handle(on.Fired("xbot"), 0)

    assert [kind for _, kind in sent(effects)] == ["Neighbor"]


def test_a_replacement_of_no_known_distance_is_connected_to_which_measures_it() -> None:
    known = {frozenset({0, 1}): 1.0, frozenset({0, 2}): 9.0}

    effects = bot(0, (1, 2), (3,), known).handle(on.Fired("xbot"), 0)

    assert effects[2:] == [on.Connect((spec(3),))]


def test_a_neighbor_that_has_given_this_node_up_silently_takes_it_again_or_says_no() -> None:
    one, other = bot(0, (1,)), bot(1, ())
    (_, effect) = one.handle(on.Fired("xbot"), 0)
    assert isinstance(effect, on.Send)

    assert told(receive(other, 0, effect.message)) == [(spec(0).name, "up")]
    assert told(receive(other, 0, effect.message)) == []  # now it is one

    farewell = other.drop(spec(0), 0)[0]  # of which the one has not heard
    assert isinstance(farewell, on.Send)
    (reminder,) = receive(other, 0, effect.message)
    assert isinstance(reminder, on.Send)
    assert told(receive(one, 1, reminder.message)) == [(spec(1).name, "evicted")]
    assert bot(0, ()).handle(on.Fired("xbot"), 0) == [on.SetTimer("xbot", 30 * SECOND)]


def test_a_node_that_starts_sets_the_timer() -> None:
    effects = bot(0, (1, 2)).handle(on.Start(), 0)

    assert on.SetTimer("xbot", 30 * SECOND) in effects


def test_without_distances_there_is_nothing_to_optimize() -> None:
    plain = HyParView(spec(0), random=random.Random(1), config=HyParViewConfig(xbot=XBotConfig()))

    assert plain.handle(on.Fired("xbot"), 0) == []


def test_a_candidate_with_room_takes_the_initiator() -> None:
    candidate = bot(3, (4,))

    effects = receive(candidate, 0, Optimization(UNDEFINED, spec(2), spec(0), spec(3), None))

    assert told(effects) == [(spec(0).name, "up")]
    assert sent(effects) == [(spec(0).name, "OptimizationReply")]


def test_a_full_candidate_refuses_an_initiator_that_is_farther_than_all() -> None:
    distances = {frozenset({3, 4}): 1.0, frozenset({3, 5}): 2.0, frozenset({3, 0}): 5.0}
    candidate = bot(3, (4, 5), distances=distances)

    effects = receive(candidate, 0, Optimization(UNDEFINED, spec(2), spec(0), spec(3), None))

    reply = OptimizationReply(False, spec(2), spec(0), spec(3), None)
    assert effects == [on.Send((spec(0),), reply)]
    initiator = bot(0, (1, 2))
    assert receive(initiator, 3, reply) == []
    assert initiator.statistics.unoptimized == 1


def test_the_candidates_neighbor_refuses_if_the_old_one_is_farther_for_it() -> None:
    distances = {frozenset({4, 3}): 1.0, frozenset({4, 2}): 5.0}
    given_up = bot(4, (3, 6), distances=distances)

    effects = receive(given_up, 3, Replace(UNDEFINED, spec(2), spec(0), spec(3), spec(4)))

    reply = ReplaceReply(False, spec(2), spec(0), spec(3), spec(4))
    assert effects == [on.Send((spec(3),), reply)]
    refusal = receive(bot(3, (4, 5)), 4, reply)
    assert sent(refusal) == [(spec(0).name, "OptimizationReply")]
    assert told(refusal) == []


def test_an_old_neighbor_of_no_known_distance_is_connected_to_and_refused_this_time() -> None:
    given_up = bot(4, (3, 6), distances={frozenset({4, 3}): 1.0})

    effects = receive(given_up, 3, Replace(UNDEFINED, spec(2), spec(0), spec(3), spec(4)))

    assert sent(effects) == [(spec(3).name, "ReplaceReply")]
    assert effects[1:] == [on.Connect((spec(2),))]
    neighbor = receive(given_up, 3, Replace(UNDEFINED, spec(6), spec(0), spec(3), spec(4)))
    assert len(neighbor) == 1  # it would lose two


def test_the_old_neighbor_refuses_if_it_is_none_any_more() -> None:
    old = bot(2, (7, 8))

    effects = receive(old, 4, Switch(UNDEFINED, spec(2), spec(0), spec(3), spec(4)))

    reply = SwitchReply(False, spec(2), spec(0), spec(3), spec(4))
    assert effects == [on.Send((spec(4),), reply)]
    refusal = receive(bot(4, (3, 6)), 2, reply)
    assert sent(refusal) == [(spec(3).name, "ReplaceReply")]
    assert told(refusal) == []
    nobody = Switch(UNDEFINED, spec(2), spec(0), spec(3), None)
    assert old.handle(on.Received(None, nobody), 0) == []


def test_who_parts_from_a_stranger_loses_nobody() -> None:
    node = bot(0, (1, 2))

    effects = receive(node, 3, OptimizationReply(True, spec(9), spec(0), spec(3), spec(4)))

    assert (spec(3).name, "up") in told(effects)
    assert len(node.neighbors) == 2


def test_who_is_dead_is_not_adopted() -> None:
    node = bot(0, (2, 3))
    node.handle(on.Lost(spec(3).name), 0)

    effects = receive(node, 3, OptimizationReply(True, spec(2), spec(0), spec(3), spec(4)))

    assert told(effects) == [(spec(2).name, "evicted")]


def test_forged_messages_are_dropped() -> None:
    node = bot(2, (0, 8))

    dropped = on.Dropped(spec(9).name, "switch", "forged")
    for other in (spec(4), None):
        assert receive(node, 9, Switch(UNDEFINED, spec(2), spec(0), spec(3), other)) == [dropped]
    assert node.statistics.forged == 2


def cost(pool: Pool, distances: Distances) -> float:
    return sum(
        distances[frozenset({number(overlay.spec), number(other)})]
        for overlay in pool.nodes.values()
        for other in overlay.neighbors.values()
    )


@pytest.mark.parametrize("seed", range(3))
def test_links_become_shorter_and_views_stay_full_and_symmetric(seed: int) -> None:
    chance = random.Random(seed)
    places = [(chance.random(), chance.random()) for _ in range(40)]
    distances = {
        frozenset({one, other}): abs(complex(*places[one]) - complex(*places[other]))
        for one in range(40)
        for other in range(one)
    }

    def make(mine: NodeSpec, chance: random.Random) -> HyParView:
        return HyParView(
            mine,
            random=chance,
            config=HyParViewConfig(xbot=XBotConfig()),
            distance=lambda other: distances[frozenset({number(mine), number(other)})],
        )

    pool = Pool(make, seed)
    contact = pool.add(0)
    for each in range(1, 40):
        pool.do(pool.add(each).name, on.Join(contact))
    for _ in range(6):
        pool.fire("shuffle", "promotion")
    before = cost(pool, distances)

    for _ in range(20):
        pool.now += SECOND
        pool.fire("shuffle", "xbot")

    assert cost(pool, distances) < 0.8 * before
    views = pool.views()
    assert all(name in views[other] for name, view in views.items() for other in view)
    assert sum(len(view) == 5 for view in views.values()) >= 36
