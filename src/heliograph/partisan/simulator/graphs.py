# SPDX-License-Identifier: Apache-2.0
"""Figures of a graph: degrees, parts that hang together, clustering, path lengths."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from random import Random

__all__ = ["Figures", "components", "figures"]

Graph = Sequence[Sequence[int]]
"""For each node, by number, the numbers of its neighbors."""


@dataclass(frozen=True, slots=True)
class Figures:
    """What a graph is like."""

    degrees: dict[int, int]
    """How many nodes have how many neighbors."""
    in_degrees: dict[int, int]
    """How many nodes are in how many views."""
    asymmetric: int
    """Neighbors that do not have the node for theirs."""
    components: int
    """Parts that do not hang together."""
    clustering: float
    """Of the pairs of neighbors of a node, the part that are neighbors, on the average."""
    path: float
    """Hops between two nodes, on the average."""
    diameter: int
    """The most hops from one of the sources."""


def figures(graph: Graph, sources: int, random: Random) -> Figures:
    """Measure a graph.

    Args:
        graph: See `Graph`.
        sources: How many nodes path lengths are measured from.
        random: Draws them.
    """
    near = [frozenset(each) for each in graph]
    into: Counter[int] = Counter([each for view in graph for each in view])
    lengths: Counter[int] = Counter()
    for source in random.sample(range(len(graph)), min(sources, len(graph))):
        lengths.update(_distances(graph, source))
    paths = sum(lengths.values()) - lengths[0]
    return Figures(
        degrees=_sorted(Counter([len(view) for view in graph])),
        in_degrees=_sorted(Counter([into[at] for at in range(len(graph))])),
        asymmetric=sum(at not in near[other] for at, view in enumerate(graph) for other in view),
        components=len(components(graph)),
        clustering=sum(_clustering(near, view) for view in graph) / len(graph),
        path=sum(hops * count for hops, count in lengths.items()) / paths if paths else 0.0,
        diameter=max(lengths, default=0),
    )


def components(graph: Graph) -> list[int]:
    """Return the sizes of the parts that hang together, the largest first.

    A neighbor counts for both, whoever of them has the other in its view.
    """
    both: list[list[int]] = [[*view] for view in graph]
    for at, view in enumerate(graph):
        for other in view:
            both[other].append(at)
    sizes = []
    seen = bytearray(len(graph))
    for start in range(len(graph)):
        if seen[start]:
            continue
        seen[start] = 1
        part = [start]
        for at in part:
            for other in both[at]:
                if not seen[other]:
                    seen[other] = 1
                    part.append(other)
        sizes.append(len(part))
    return sorted(sizes, reverse=True)


def _distances(graph: Graph, source: int) -> list[int]:
    """Return how many hops away each node is that can be reached."""
    hops = {source: 0}
    reached = [source]
    for at in reached:
        for other in graph[at]:
            if other not in hops:
                hops[other] = hops[at] + 1
                reached.append(other)
    return list(hops.values())


def _clustering(near: Sequence[frozenset[int]], view: Sequence[int]) -> float:
    if len(view) < 2:
        return 0.0
    linked = sum(other in near[one] for one in view for other in view if one != other)
    return linked / (len(view) * (len(view) - 1))


def _sorted(counts: Counter[int]) -> dict[int, int]:
    return dict(sorted(counts.items()))
