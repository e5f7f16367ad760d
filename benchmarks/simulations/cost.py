# SPDX-License-Identifier: Apache-2.0
"""What an event costs among many simulated nodes, over what it costs among few."""

from __future__ import annotations

import random
from itertools import pairwise
from statistics import median, quantiles
from typing import TYPE_CHECKING, Final

from benchmarks.harness import Row, run
from heliograph.partisan.protocol.overlay import interface as on
from heliograph.partisan.protocol.overlay.hyparview import HyParView
from heliograph.partisan.protocol.plumtree import PlumtreeConfig
from heliograph.partisan.simulator.scale import Cluster, collector_off

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.harness import Effort
    from heliograph.partisan.wire import NodeSpec

__all__ = ["rows"]

BAR: Final = 1.6
_ROUNDS: Final = 11  # at most: one takes about a second
_CYCLES: Final = 2


def rows(effort: Effort, sizes: tuple[int, ...] = (10_000, 1_000)) -> Iterator[Row]:
    """Measure clusters in turns: broadcasts and membership cycles, per event.

    Args:
        effort: How long to measure.
        sizes: How many nodes; each size is compared with the next.
    """
    with collector_off():
        clusters = [_cluster(size) for size in sizes]
        taken: list[list[float]] = [[] for _ in sizes]
        for number in range(min(effort.rounds, _ROUNDS)):
            for offset in range(len(sizes)):
                turn = (number + offset) % len(sizes)
                taken[turn].append(_cost(clusters[turn], max(sizes) // sizes[turn]))
    for (size, ours), (other, theirs) in pairwise(zip(sizes, taken, strict=True)):
        ratios = [a / b for a, b in zip(ours, theirs, strict=True)]
        yield Row(
            f"an event among {size:,} simulated nodes",
            median(ours),
            f"one among {other:,}",
            median(theirs),
            median(ratios),
            BAR,
            middle=quantiles(ratios, n=4)[::2] if len(ratios) > 1 else None,
        )


def _cluster(size: int) -> Cluster:
    chance = random.Random(size)
    cluster = Cluster(random=chance)

    def overlay(spec: NodeSpec) -> HyParView:
        return HyParView(spec, random=chance)

    tree = PlumtreeConfig(shared=True, memory=16, announcements=256)
    for number in range(size):
        node = cluster.add(overlay, tree)
        if number:
            cluster.tell(node, on.Join(cluster.nodes[0].spec))
            cluster.settle()
    for _ in range(_CYCLES):
        cluster.cycle()
    return cluster


def _cost(cluster: Cluster, times: int) -> float:
    """Return nanoseconds an event: of a broadcast and a membership cycle, so many times."""
    before = cluster.events

    def work(count: int) -> None:
        for _ in range(count):
            cluster.broadcast(cluster.random.choice(cluster.nodes), len(cluster.nodes))
            cluster.cycle()

    return run(work, times) / (cluster.events - before)
