# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import random
from typing import Any

import pytest

from heliograph.partisan.protocol.overlay import interface as on
from heliograph.partisan.protocol.overlay.hyparview import HIGH, HyParView
from heliograph.partisan.protocol.overlay.settings import HyParViewConfig
from heliograph.partisan.wire import Atom
from heliograph.partisan.wire.messages import (
    UNDEFINED,
    Disconnection,
    NeighborAccepted,
    NeighborRequest,
    Shuffle,
    ShuffleReply,
)
from tests.partisan.protocol.overlay.pool import SECOND, Pool, sent, spec, told
from tests.partisan.protocol.overlay.test_hyparview import (
    connected,
    joined,
    receive,
    settle,
    symmetric,
)

ME = spec(0)
NEVER = Disconnection(1, 0)


def node(*neighbors: int, passive: Any = (), seeds: Any = (), **options: Any) -> HyParView:
    return HyParView(
        ME,
        random=random.Random(1),
        config=HyParViewConfig(**{"active": 2, "restless": 0, **options}),
        neighbors=[spec(each) for each in neighbors],
        passive=[spec(each) for each in passive],
        seeds=[spec(each) for each in seeds],
    )


def requests(effects: list[on.Effect]) -> list[tuple[str, str]]:
    return [
        (each.to[0].name, each.message.priority)
        for each in effects
        if isinstance(each, on.Send) and isinstance(each.message, NeighborRequest)
    ]


# --- one node ---


@pytest.mark.parametrize("timer", ["promotion", "probe"])
def test_an_isolated_node_joins_again_through_a_seed(timer: str) -> None:
    lonely = node(seeds=(1, 0))

    effects = lonely.handle(on.Fired(timer), 0)

    assert sent(effects) == [(spec(1).name, "Join")]
    assert lonely.statistics.probes == 1


def test_not_while_it_waits_for_an_answer() -> None:
    lonely = node(passive=(2,), seeds=(1,))

    assert sent(lonely.handle(on.Fired("promotion"), 0)) == [(spec(2).name, "NeighborRequest")]


def test_a_lost_neighbor_is_asked_again_now_and_then() -> None:
    loser = node(1, 2, 3, active=3)
    loser.handle(on.Lost(spec(1).name), 0)

    effects = loser.handle(on.Fired("probe"), 30 * SECOND)
    again = loser.handle(on.Fired("probe"), 31 * SECOND)

    assert requests(effects) == [(spec(1).name, HIGH)]
    assert requests(again) == []  # it has not answered yet
    assert sent(node(1).handle(on.Fired("probe"), 0)) == []


def test_who_was_asked_so_becomes_a_neighbor_though_the_view_is_full() -> None:
    loser = node(1, 2)
    loser.handle(on.Lost(spec(1).name), 0)
    receive(loser, 3, NeighborAccepted(spec(3), UNDEFINED, NEVER, ()))
    loser.handle(on.Fired("probe"), 30 * SECOND)

    answer = NeighborAccepted(spec(1), UNDEFINED, Disconnection(1, 1), ())
    effects = receive(loser, 1, answer, 30 * SECOND)

    assert (spec(1).name, "up") in told(effects)
    assert len(loser.neighbors) == 2


def test_who_has_few_asks_a_replacement_that_has_to_make_room() -> None:
    few, enough = node(1, passive=(2,), active=3), node(1, 3, passive=(2,), active=3)

    assert requests(few.handle(on.Fired("probe"), 0)) == [(spec(2).name, HIGH)]
    assert requests(enough.handle(on.Fired("probe"), 0)) == []


def test_who_is_full_does_so_seldom() -> None:
    restless = node(1, 3, passive=(2,), restless=20)

    asked = [len(requests(restless.handle(on.Fired("probe"), 0))) for _ in range(1)]
    for number in range(1, 600):
        restless.handle(on.Fired("promotion"), number * 10 * SECOND)
        asked.append(len(requests(restless.handle(on.Fired("probe"), number * 10 * SECOND))))

    assert 10 <= sum(asked) <= 60  # 30 are expected


def test_who_knows_few_swaps_with_a_seed() -> None:
    member = node(1, 2, passive=(3,), seeds=(1, 4))

    (_, effect) = member.handle(on.Fired("probe"), 0)

    assert isinstance(effect, on.Send)
    assert effect.to == (spec(4),)
    assert isinstance(effect.message, Shuffle)
    assert effect.message.ttl == 0
    full = node(1, 2, passive=range(10, 40), seeds=(4,))
    assert sent(full.handle(on.Fired("probe"), 0)) == []


@pytest.mark.parametrize(
    ("told_of", "asked"),
    [((5, 6), True), ((5, 1), False), ((5, 3), False), ((0, 5), False), ((), False)],
)
def test_a_seed_that_knows_strangers_only_is_of_another_part(
    told_of: tuple[int, ...], asked: bool
) -> None:
    member = node(1, 2, passive=(3,), seeds=(4,))
    member.handle(on.Fired("probe"), 0)

    reply = ShuffleReply(tuple(spec(each) for each in told_of), spec(4))
    effects = receive(member, 4, reply)

    assert requests(effects) == ([(spec(4).name, HIGH)] if asked else [])
    assert receive(member, 4, reply) == []  # it was not asked again


def test_who_hears_a_shuffle_and_has_nobody_asks_at_once() -> None:
    lonely = node()

    effects = receive(lonely, 1, Shuffle((spec(1), spec(2)), 0, spec(1)))

    assert {name for name, _ in requests(effects)} == {spec(1).name, spec(2).name}
    assert ME.name not in lonely.passive
    assert sent(receive(node(3, 4), 1, Shuffle((spec(1),), 0, spec(1)))) == [
        (spec(1).name, "ShuffleReply")
    ]


# --- looking over the replacements ---


def shuffled(effects: list[on.Effect]) -> list[str]:
    return [
        each.to[0].name
        for each in effects
        if isinstance(each, on.Send) and isinstance(each.message, Shuffle)
    ]


def after_failures(**options: Any) -> tuple[HyParView, list[str]]:
    """A node that has lost three of five, and whom it told that it lives."""
    loser = node(*range(1, 6), passive=range(10, 20), active=5, **options)
    whom = []
    for number in (1, 2, 3):
        whom += shuffled(loser.handle(on.Lost(spec(number).name), number * SECOND))
    return loser, whom


def number_of(name: str) -> int:
    return int(name.partition("@")[0][1:])


def test_who_has_lost_most_tells_its_replacements_one_after_another() -> None:
    loser, whom = after_failures()
    assert len(whom) == 1
    assert loser.statistics.looked_over == 1

    answering = True
    while True:
        last = number_of(whom[-1])
        effects = (
            receive(loser, last, ShuffleReply((), spec(last)), 3 * SECOND)
            if answering
            else loser.handle(on.Lost(spec(last).name), 3 * SECOND)
        )
        answering = not answering
        more = shuffled(effects)
        if not more:
            break
        whom += more

    assert len(whom) == len(set(whom)) >= 7  # the others were asked to be neighbors
    assert {number_of(each) for each in whom} <= {*range(10, 20)}


def test_one_that_does_not_answer_is_waited_for_until_the_next_promotion() -> None:
    loser, whom = after_failures()

    more = shuffled(loser.handle(on.Fired("promotion"), 8 * SECOND))

    assert len(more) == 1
    assert more != whom
    assert receive(loser, 99, ShuffleReply((), spec(99)), 8 * SECOND) == []


def test_replacements_are_looked_over_by_option() -> None:
    assert after_failures(look_over=False)[1] == []


def test_losses_that_are_far_apart_are_no_mass_failure() -> None:
    loser = node(*range(1, 6), passive=range(10, 20), active=5)
    for number in (1, 2, 3):
        assert shuffled(loser.handle(on.Lost(spec(number).name), number * 20 * SECOND)) == []


def test_nobody_is_told_twice_at_a_time() -> None:
    loser, _ = after_failures()

    for number in (4, 5):
        assert shuffled(loser.handle(on.Lost(spec(number).name), 4 * SECOND)) == []


# --- many nodes ---


def islands(pool: Pool, size: int) -> tuple[set[Atom], set[Atom]]:
    """Cut some nodes off from the others, and let them notice."""
    order = sorted(pool.nodes, key=str)
    parts = set(order[:size]), set(order[size:])
    pool.cut = {frozenset({one, other}) for one in parts[0] for other in parts[1]}
    for name in order:
        for other in [*pool.nodes[name].neighbors]:
            if frozenset({name, other}) in pool.cut:
                pool.do(name, on.Lost(other, "timeout"))
    settle(pool)
    return parts


def parted(pool: Pool, parts: tuple[set[Atom], set[Atom]]) -> bool:
    return all(not view & parts[name in parts[0]] for name, view in pool.views().items())


def heal(pool: Pool, probes: int) -> None:
    pool.cut = set()
    for _ in range(probes):
        pool.now += 30 * SECOND
        pool.fire("probe")
        settle(pool, 3)


@pytest.mark.parametrize("seed", range(20))
def test_the_halves_of_a_partition_find_back_to_each_other(seed: int) -> None:
    pool = joined(20, seed)
    parts = islands(pool, 10)
    assert parted(pool, parts)

    heal(pool, 2)

    assert connected(pool)
    assert symmetric(pool)


@pytest.mark.parametrize("size", [1, 2, 5, 12])
@pytest.mark.parametrize("seed", range(5))
def test_an_island_of_any_size_that_has_forgotten_all_finds_back_by_a_seed(
    size: int, seed: int
) -> None:
    pool = joined(60, seed)
    parts = islands(pool, size)
    seed_of_all = pool.nodes[next(iter(parts[1]))]
    for name, overlay in pool.nodes.items():
        assert isinstance(overlay, HyParView)
        overlay._probes.lost.clear()
        overlay._probes.seeds = {seed_of_all.spec.name: seed_of_all.spec}
        for other in parts[name in parts[0]]:
            overlay.passive.pop(other, None)
    assert parted(pool, parts)

    for _ in range(80):
        heal(pool, 1)
        if connected(pool):
            break

    assert connected(pool)
    assert symmetric(pool)


@pytest.mark.parametrize("seed", range(10))
def test_after_nine_of_ten_failed_a_seed_that_lives_brings_all_together(seed: int) -> None:
    pool = joined(100, seed)
    order = sorted(pool.nodes, key=str)
    living = set(pool.random.sample(order, 10))
    keeper = pool.nodes[next(name for name in order if name in living)].spec
    for name in order:
        overlay = pool.nodes[name]
        assert isinstance(overlay, HyParView)
        overlay._probes.seeds = {keeper.name: keeper} if keeper.name != name else {}
    for name in order:
        if name not in living:
            pool.kill(name)
    settle(pool, 4)

    assert connected(pool)
    assert symmetric(pool)
    assert all(view <= living for view in pool.views().values())
