# SPDX-License-Identifier: Apache-2.0
"""What scenarios do: build an overlay, let nodes fail, broadcast, and measure.

A run depends on its scenario alone. The overlay is built once; each level of failures begins with
new nodes that have the views it led to, and with chance of its own.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from heliograph.partisan.protocol.overlay import interface as on
from heliograph.partisan.protocol.overlay.hyparview import HyParView
from heliograph.partisan.protocol.overlay.scamp import ScampV1, ScampV2
from heliograph.partisan.protocol.overlay.settings import HyParViewConfig
from heliograph.partisan.protocol.overlay.xbot import XBotConfig
from heliograph.partisan.protocol.plumtree import PlumtreeConfig
from heliograph.partisan.simulator.graphs import components, figures
from heliograph.partisan.simulator.places import Places
from heliograph.partisan.simulator.scale import Cluster, collector_off

if TYPE_CHECKING:
    from random import Random

    from heliograph.partisan.protocol.overlay.interface import Overlay
    from heliograph.partisan.simulator.scale import Node, Spread
    from heliograph.partisan.simulator.scenario import Scenario
    from heliograph.partisan.wire import NodeSpec

__all__ = ["Progress", "Result", "run"]

_FIRST: Final = 10  # broadcasts after a failure that are told of apart
_STRIDE: Final = 250  # joins between two reports of progress
_MEMORY: Final = 16  # messages whose way a simulated node remembers: later ones never matter
_SECOND: Final = 1_000_000_000
_PARTS: Final = 10  # of the cycles in which links are made shorter
_PERIOD: Final = 10_000  # milliseconds between two pings of SCAMP
_SCAMP: Final[dict[str, type[ScampV1 | ScampV2]]] = {"scamp_v1": ScampV1, "scamp_v2": ScampV2}

Progress = Callable[[str, int, int], None]
"""Told what is being done, how much of it is done, and how much there is."""


@dataclass(frozen=True, slots=True)
class Result:
    """What a scenario came to.

    Attributes:
        scenario: What was simulated.
        columns: What the rows have, in order.
        rows: The figures.
        events: How many things have happened: messages delivered, losses noticed, timers fired.
    """

    scenario: Scenario
    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    events: int


class _Views(NamedTuple):
    """What a node knows of others."""

    spec: NodeSpec
    active: tuple[NodeSpec, ...]
    passive: tuple[NodeSpec, ...]
    acquaintances: tuple[NodeSpec, ...]


def run(scenario: Scenario, progress: Progress | None = None) -> Result:
    """Simulate.

    Args:
        scenario: What.
        progress: Is told how far it is.
    """
    with collector_off():
        return _RUNS[scenario.kind](scenario, progress or _silent)


def _silent(what: str, done: int, total: int) -> None:
    pass


# --- clusters ---


def _chance(scenario: Scenario, *what: object) -> Random:
    """Return chance of its own for a part of a run; a text gives the same on every machine."""
    return random.Random("/".join(map(str, (scenario.seed, *what))))  # noqa: S311 - no secret


def _config(scenario: Scenario) -> HyParViewConfig:
    given = scenario.overlay
    return HyParViewConfig(
        active=given.active,
        passive=given.passive,
        active_walk=given.active_walk,
        passive_walk=given.passive_walk,
        shuffle_active=given.shuffle_active,
        shuffle_passive=given.shuffle_passive,
        attempts=given.attempts,
        check_interval=_SECOND if given.check else None,
        look_over=given.look_over,
        acquaintances=given.acquaintances,
        xbot=XBotConfig(unbiased=given.unbiased) if given.xbot else None,
    )


def _trees(scenario: Scenario) -> PlumtreeConfig | None:
    given = scenario.tree
    if given.kind == "flood":
        return None
    return PlumtreeConfig(
        shared=given.shared, threshold=given.threshold or None, memory=_MEMORY, announcements=256
    )


def _cluster(scenario: Scenario, chance: Random) -> Cluster:
    return Cluster(
        random=chance,
        latency=scenario.latency,
        detection="reset" if scenario.detection == "reset" else "send",
        keep_alive=scenario.keep_alive,
        exchanged=scenario.tree.exchanged,
    )


class _Built(NamedTuple):
    """An overlay whose nodes have joined one by one, and what that took."""

    views: tuple[_Views, ...]
    sent: dict[str, tuple[int, int]]
    events: int


def _build(scenario: Scenario, progress: Progress) -> _Built:
    """Let nodes join one by one through the first, then let the overlay settle.

    The last overlay is remembered: scenarios of the same overlay in one process build it once.
    """
    overlay = replace(scenario.overlay, contacts=0)  # which play no part in it
    key = (scenario.nodes, scenario.seed, scenario.settle, scenario.latency, overlay)
    built = _LAST.get(key)
    if built is None:
        built = _new(scenario, progress)
        _LAST.clear()
        _LAST[key] = built
    return built


_LAST: Final[dict[object, _Built]] = {}


def _new(scenario: Scenario, progress: Progress) -> _Built:
    cluster = _joined(scenario, _chance(scenario, "build"), None, progress)
    views = []
    for node in cluster.nodes:
        views_of = node.overlay
        assert isinstance(views_of, HyParView)
        active, passive = views_of.neighbors.values(), views_of.passive.values()
        known = tuple(views_of.acquaintances)
        views.append(_Views(node.spec, tuple(active), tuple(passive), known))
    built = _Built(tuple(views), cluster.sent(), cluster.events)
    cluster.close()
    return built


def _joined(
    scenario: Scenario, chance: Random, trees: PlumtreeConfig | None, progress: Progress
) -> Cluster:
    """Return a cluster whose nodes have joined one by one and settled."""
    cluster = _cluster(scenario, chance)
    make = _maker(scenario, chance)
    for number in range(scenario.nodes):
        node = cluster.add(make, trees)
        if number:
            cluster.tell(node, on.Join(cluster.nodes[0].spec))
            cluster.settle()
        if number % _STRIDE == 0:
            progress("join", number, scenario.nodes)
    progress("join", scenario.nodes, scenario.nodes)
    for cycle in range(scenario.settle):
        _cycle(scenario, cluster, cycle)
        progress("settle", cycle + 1, scenario.settle)
    return cluster


def _maker(scenario: Scenario, chance: Random) -> Callable[[NodeSpec], Overlay]:
    """Return what makes the overlays of nodes that know nobody yet."""
    kind = _SCAMP.get(scenario.overlay.kind)
    if kind is not None:
        return lambda spec: kind(spec, random=chance)
    config, places = _config(scenario), Places(scenario.seed)
    return lambda spec: HyParView(
        spec, random=chance, config=config, distance=places.distance_from(spec)
    )


def _restored(scenario: Scenario, views: Sequence[_Views], chance: Random) -> Cluster:
    """Return new nodes that know whom others knew."""
    cluster = _cluster(scenario, chance)
    config, trees, places = _config(scenario), _trees(scenario), Places(scenario.seed)
    seeds = [each.spec for each in views[: scenario.overlay.contacts]]
    for spec, active, passive, known in views:
        overlay = HyParView(
            spec,
            random=chance,
            config=config,
            neighbors=active,
            passive=passive,
            acquaintances=known,
            seeds=seeds,
            distance=places.distance_from(spec),
        )
        cluster.add(lambda _, overlay=overlay: overlay, trees, spec=spec)  # type: ignore[misc]
    return cluster


def _graph(nodes: Sequence[Node]) -> list[list[int]]:
    """Return the overlay of some nodes, numbered anew, with what leads away from them left out."""
    numbers = {node.name: at for at, node in enumerate(nodes)}
    return [[numbers[each] for each in node.overlay.neighbors if each in numbers] for node in nodes]


def _graph_of(views: Sequence[_Views]) -> list[list[int]]:
    numbers = {each.spec.name: at for at, each in enumerate(views)}
    return [[numbers[each.name] for each in view.active] for view in views]


def _spreads(
    scenario: Scenario, cluster: Cluster, chance: Random, count: int, interval: int | None
) -> Iterator[Spread]:
    living = cluster.living
    sender = living[0]
    for _ in range(count):
        if scenario.senders == "random":
            sender = living[int(chance.random() * len(living))]
        yield cluster.broadcast(sender, len(living), interval)


# --- kinds of scenarios ---


def _broadcasts(scenario: Scenario, progress: Progress) -> Result:
    built = _build(scenario, progress)
    chance = _chance(scenario, "broadcast")
    cluster = _restored(scenario, built.views, chance)
    rows = []
    total = scenario.warm_up + scenario.broadcasts
    for at, spread in enumerate(_spreads(scenario, cluster, chance, total, None)):
        progress("broadcast", at + 1, total)
        rows.append(
            (
                at + 1,
                _round(spread.reliability),
                _round(spread.redundancy),
                spread.hops,
                spread.control,
                spread.control_bytes,
            )
        )
    columns = ("broadcast", "reliability", "rmr", "last_hop", "control", "control_bytes")
    return Result(scenario, columns, tuple(rows), built.events + cluster.events)


def _degrees(scenario: Scenario, progress: Progress) -> Result:
    rows, events = [], 0
    for number in range(scenario.seeds):
        progress("seeds", number, scenario.seeds)
        seed = scenario.seed + number
        built = _build(replace(scenario, seed=seed), _silent)
        graph = _graph_of(built.views)
        full = sum(len(view) == scenario.overlay.active for view in graph)
        symmetric = {(at, other) for at, view in enumerate(graph) for other in view}
        rows.append(
            (
                seed,
                _round(full / len(graph)),
                min(map(len, graph)),
                len(components(graph)),
                sum((other, at) not in symmetric for at, other in symmetric),
            )
        )
        events += built.events
    progress("seeds", scenario.seeds, scenario.seeds)
    columns = ("seed", "full", "least", "components", "asymmetric")
    return Result(scenario, columns, tuple(rows), events)


def _failures(scenario: Scenario, progress: Progress) -> Result:
    scamp = scenario.overlay.kind in _SCAMP
    views, _, events = _Built((), {}, 0) if scamp else _build(scenario, progress)
    rows = []
    for done, level in enumerate(scenario.levels):
        progress("levels", done, len(scenario.levels))
        chance = _chance(scenario, "level", level)
        cluster = (
            _joined(scenario, chance, _trees(scenario), _silent)
            if scamp
            else _restored(scenario, views, chance)
        )
        for _ in _spreads(scenario, cluster, chance, scenario.warm_up, None):
            pass
        _fail(cluster, level, scenario.overlay.contacts, chance)
        hanging = components(_graph(cluster.living))[0] / len(cluster.living)
        cut_off = _cut_off(cluster.living)
        interval, count = scenario.interval, scenario.broadcasts
        spreads = list(_spreads(scenario, cluster, chance, count, interval))
        later = spreads[_FIRST:] or spreads
        cluster.settle()
        for number in range(scenario.cycles):
            _cycle(scenario, cluster, number)
        healed = list(_spreads(scenario, cluster, chance, _FIRST, interval))
        rows.append(
            (
                level,
                len(cluster.living),
                _round(hanging),
                cut_off,
                _round(spreads[0].reliability),
                _round(fmean(each.reliability for each in spreads[:_FIRST])),
                _round(fmean(each.reliability for each in later)),
                _round(fmean(each.redundancy for each in later)),
                _round(fmean(each.hops for each in later), 1),
                round(fmean(each.control for each in later)),
                round(fmean(each.control_bytes for each in later)),
                _round(fmean(each.reliability for each in healed)),
            )
        )
        events += cluster.events
        cluster.close()
    progress("levels", len(scenario.levels), len(scenario.levels))
    columns = (
        "failed_percent",
        "living",
        "unrepaired",
        "cut_off",
        "first",
        "first_ten",
        "later",
        "rmr",
        "last_hop",
        "control",
        "control_bytes",
        "after_cycles",
    )
    return Result(scenario, columns, tuple(rows), events)


def _healing(scenario: Scenario, progress: Progress) -> Result:
    views, _, events = _build(scenario, progress)
    rows = []
    for done, level in enumerate(scenario.levels):
        progress("levels", done, len(scenario.levels))
        chance = _chance(scenario, "healing", level)
        cluster = _restored(scenario, views, chance)
        for _ in _spreads(scenario, cluster, chance, scenario.warm_up, None):
            pass
        _fail(cluster, level, scenario.overlay.contacts, chance)
        cut_off = _cut_off(cluster.living)
        reached = []
        healed: int | None = None
        for cycle in range(scenario.cycles + 1):
            if cycle:
                _cycle(scenario, cluster, cycle - 1)
            spread = next(_spreads(scenario, cluster, chance, 1, scenario.interval))
            reached.append(_round(spread.reliability))
            if spread.reliability == 1:
                healed = cycle
                break
        rows.append((level, len(cluster.living), cut_off, healed, " ".join(map(str, reached))))
        events += cluster.events
        cluster.close()
    progress("levels", len(scenario.levels), len(scenario.levels))
    columns = ("failed_percent", "living", "cut_off", "cycles", "reliability_by_cycle")
    return Result(scenario, columns, tuple(rows), events)


def _figures(scenario: Scenario, progress: Progress) -> Result:
    built = _build(scenario, progress)
    chance = _chance(scenario, "sources")
    measured = figures(_graph_of(built.views), scenario.sources, chance)
    rows: list[tuple[Any, ...]] = [
        ("clustering", _round(measured.clustering, 5)),
        ("average_path", _round(measured.path, 2)),
        ("longest_path", measured.diameter),
        ("components", measured.components),
        ("asymmetric", measured.asymmetric),
    ]
    rows += [(f"in_degree_{degree}", count) for degree, count in measured.in_degrees.items()]
    for kind, (messages, size) in built.sent.items():
        rows += [(f"sent_{kind}", messages), (f"bytes_{kind}", size)]
    return Result(scenario, ("figure", "value"), tuple(rows), built.events)


def _links(scenario: Scenario, progress: Progress) -> Result:
    # Until the overlay has settled, nobody swaps.
    built = _build(replace(scenario, overlay=replace(scenario.overlay, xbot=False)), progress)
    chance = _chance(scenario, "links")
    cluster = _restored(scenario, built.views, chance)
    places = Places(scenario.seed)
    rows: list[tuple[Any, ...]] = []
    for cycle in range(scenario.cycles + 1):
        if cycle:
            _cycle(scenario, cluster, cycle - 1)
        if cycle % max(1, scenario.cycles // _PARTS) == 0:
            graph = _graph(cluster.nodes)
            measured = figures(graph, scenario.sources, chance)
            lengths = [
                places.distance(node.spec, other)
                for node in cluster.nodes
                for other in node.overlay.neighbors.values()
            ]
            rows.append(
                (
                    cycle,
                    _round(fmean(lengths)),
                    _round(measured.clustering, 5),
                    _round(measured.path, 2),
                    measured.diameter,
                    _round(measured.degrees.get(scenario.overlay.active, 0) / len(graph)),
                    measured.components,
                    measured.asymmetric,
                )
            )
        progress("links", cycle, scenario.cycles)
    columns = (
        "cycle",
        "link_length",
        "clustering",
        "average_path",
        "longest_path",
        "full",
        "components",
        "asymmetric",
    )
    return Result(scenario, columns, tuple(rows), built.events + cluster.events)


def _fail(cluster: Cluster, level: int, spared: int, chance: Random) -> None:
    count = round(len(cluster.nodes) * level / 100)
    nodes = cluster.nodes[spared:]
    cluster.fail(chance.sample(nodes, min(count, len(nodes) - (not spared))))


def _cycle(scenario: Scenario, cluster: Cluster, number: int) -> None:
    """Run a membership cycle; in every third, nodes probe, too: 30 s are three shuffles."""
    if scenario.overlay.kind in _SCAMP:
        cluster.cycle(("periodic",))
        cluster.run(_PERIOD)
        return
    third = number % 3 == 2
    timers = ["shuffle", "promotion"]
    if third and scenario.overlay.probes:
        timers.append("probe")
    if third and scenario.overlay.xbot:
        timers.append("xbot")
    cluster.cycle(timers)


def _cut_off(living: Sequence[Node]) -> int:
    """Return how many nodes neither know one of the others nor are known by one.

    The others are the largest part of the living that hang together by what they know.
    """
    numbers = {node.name: at for at, node in enumerate(living)}
    graph = []
    for node in living:
        views = node.overlay
        known = [*views.neighbors]
        if isinstance(views, HyParView):
            known += views.passive
        graph.append([numbers[each] for each in known if each in numbers])
    return len(living) - components(graph)[0]


def _round(value: float, digits: int = 4) -> float:
    return round(value, digits)


_RUNS: Final[dict[str, Callable[[Scenario, Progress], Result]]] = {
    "broadcast": _broadcasts,
    "degree": _degrees,
    "failures": _failures,
    "healing": _healing,
    "graph": _figures,
    "links": _links,
}
