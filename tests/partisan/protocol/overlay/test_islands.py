# SPDX-License-Identifier: Apache-2.0
"""Full views that know no way to the others."""

from __future__ import annotations

import random
from typing import Any

import pytest

from heliograph.partisan.protocol.identity import new_epoch, new_identity
from heliograph.partisan.protocol.overlay import interface as on
from heliograph.partisan.protocol.overlay.hyparview import HIGH, HyParView
from heliograph.partisan.protocol.overlay.settings import HyParViewConfig
from heliograph.partisan.wire import Atom, NodeSpec, Term
from heliograph.partisan.wire.terms import term_map
from tests.partisan.protocol.overlay.pool import SECOND, Pool, spec
from tests.partisan.protocol.overlay.test_hyparview import connected, symmetric
from tests.partisan.protocol.overlay.test_probes import requests

STATE = Atom("state")


def view(*numbers: int, epoch: int = 1) -> Term:
    """What a node says of itself that has these in its view; an Erlang node unless told."""
    return STATE, term_map([(spec(each).term(), []) for each in numbers]), epoch


def node(*neighbors: int, passive: tuple[int, ...] = (), **options: Any) -> HyParView:
    given: dict[str, Any] = {"active": 2, "island": 5, **options}
    return HyParView(
        spec(0),
        random=random.Random(1),
        config=HyParViewConfig(**given),
        neighbors=[spec(each) for each in neighbors],
        passive=[spec(each) for each in passive],
    )


def looked_at(effects: list[on.Effect]) -> list[str]:
    return [each.spec.name for each in effects if isinstance(each, on.Peek)]


def look(overlay: HyParView, views: dict[int, Term]) -> list[on.Effect]:
    """Let a node look around once; return what it did at the end."""
    effects = overlay.handle(on.Fired("survey"), 0)
    while peeks := looked_at(effects):
        (name,) = peeks
        number = int(name[1:].partition("@")[0])
        effects = overlay.handle(on.Peeked(Atom(name), views[number]), 0)
    return effects


RING = {1: view(1, 0, 2), 2: view(2, 1, 0)}


def test_who_finds_an_island_twice_asks_somebody_beyond() -> None:
    islander = node(1, 2, passive=(3,))

    first = look(islander, RING)
    assert first == [on.SetTimer("survey", 5 * SECOND)]
    assert requests(look(islander, RING)) == [(spec(3).name, HIGH)]
    assert islander.statistics.islands == 1


def test_some_are_only_known_by_neighbors() -> None:
    views = {1: view(1, 0, 2), 2: view(2, 1, 4), 4: view(4, 2)}
    islander = node(1, passive=(3,))

    look(islander, views)
    assert requests(look(islander, views)) == [(spec(3).name, HIGH)]


def test_who_is_connected_to_many_lives_on_no_island() -> None:
    many = {1: view(1, 0, 2, 3, 4, 5, 6)}

    assert look(node(1, passive=(7,)), many) == []


def test_nobody_beyond_is_known() -> None:
    assert looked_at(node(1, 2).handle(on.Fired("survey"), 0)) == []
    assert looked_at(node(passive=(3,)).handle(on.Fired("survey"), 0)) == []
    # Whom it knows turns out to be connected to its neighbors.
    assert look(node(1, passive=(2,)), {1: view(1, 0, 2), 2: view(2, 1)}) == []


def test_seeds_and_whom_it_knew_are_beyond_too() -> None:
    islander = node(1, 2)
    islander.acquaintances.append(spec(5))

    look(islander, RING)
    assert requests(look(islander, RING)) == [(spec(5).name, HIGH)]


@pytest.mark.parametrize(
    "state",
    [
        None,
        Atom("gone"),
        (STATE, term_map([(each, []) for each in range(65)]), 1),
        (STATE, {Atom("x"): []}, 1),
    ],
)
def test_whoever_says_nothing_of_use_ends_the_look(state: Term) -> None:
    islander = node(1, 2, passive=(3,))
    look(islander, RING)

    assert look(islander, {1: state, 2: state}) == []
    assert look(islander, RING) == [on.SetTimer("survey", 5 * SECOND)]  # it begins anew


def test_while_neighbors_change_nothing_is_concluded() -> None:
    islander = node(1, 2, passive=(3,))
    look(islander, RING)

    (asked,) = looked_at(islander.handle(on.Fired("survey"), 0))
    islander.handle(on.Lost(spec(2).name), 0)
    assert islander.handle(on.Peeked(Atom(asked), RING[1]), 0) == []


def test_an_answer_that_nobody_waits_for_is_nothing() -> None:
    islander = node(1, 2, passive=(3,))

    assert islander.handle(on.Peeked(spec(1).name, RING[1]), 0) == []
    islander.handle(on.Leave(), 0)
    assert islander.handle(on.Peeked(spec(1).name, RING[1]), 0) == []


def test_of_several_of_our_kind_one_is_drawn_by_lot() -> None:
    epoch = new_epoch(new_identity(random.Random(2).randbytes), 0)
    ours = {1: view(1, 0, 2, epoch=epoch), 2: view(2, 1, 0, epoch=epoch)}
    asked = 0
    for seed in range(300):
        islander = node(1, 2, passive=(3,))
        islander.random = random.Random(seed)
        look(islander, ours)
        asked += bool(requests(look(islander, ours)))

    assert 60 < asked < 140


def test_neither_the_paper_nor_who_does_not_want_to_looks() -> None:
    def timers(overlay: HyParView) -> set[str]:
        begun = overlay.handle(on.Start(), 0)
        return {each.timer for each in begun if isinstance(each, on.SetTimer)}

    assert "survey" in timers(node())
    assert "survey" not in timers(node(as_original=True))
    assert "survey" not in timers(node(island=0))


@pytest.mark.parametrize("sizes", [(3, 3), (4, 4), (3, 5), (3, 3, 3)], ids=str)
@pytest.mark.parametrize("seed", range(5))
def test_rings_find_each_other(sizes: tuple[int, ...], seed: int) -> None:
    rings: dict[int, tuple[int, int]] = {}
    for size in sizes:
        begin = len(rings)
        for at in range(size):
            rings[begin + at] = (begin + (at - 1) % size, begin + (at + 1) % size)

    def make(mine: NodeSpec, chance: random.Random) -> HyParView:
        number = int(mine.name[1:].partition("@")[0])
        others = [each for each in rings if each != number and each not in rings[number]]
        return HyParView(
            mine,
            random=chance,
            config=HyParViewConfig(active=2, restless=0, look_over=False),
            neighbors=[spec(each) for each in rings[number]],
            passive=[spec(each) for each in others],
        )

    pool = Pool(make, seed)
    for number in rings:
        pool.add(number)
    assert not connected(pool)

    for _ in range(12):
        pool.now += 30 * SECOND
        pool.fire("survey", "survey", "promotion", "probe")
        if connected(pool):
            break

    assert connected(pool)
    pool.fire("promotion", "promotion")
    assert connected(pool)
    assert symmetric(pool)
