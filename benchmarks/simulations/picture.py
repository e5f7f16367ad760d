# SPDX-License-Identifier: Apache-2.0
"""A picture of an overlay: sixteen simulated nodes, whom they know, and how a broadcast goes."""

from __future__ import annotations

import math
import random

from heliograph.partisan.protocol.overlay import interface as on
from heliograph.partisan.protocol.overlay.hyparview import HyParView
from heliograph.partisan.protocol.overlay.settings import HyParViewConfig
from heliograph.partisan.protocol.plumtree import Plumtree, PlumtreeConfig
from heliograph.partisan.simulator.scale import Cluster, Node
from heliograph.partisan.wire import Atom, NodeSpec

__all__ = ["picture"]

NODES = 16
SIZE, RADIUS = 340, 120
FONT = 'font-family="sans-serif" font-size="12"'
BLUE, RED, GREY = "#2563eb", "#dc2626", "#9ca3af"


def picture() -> str:
    """Draw the two halves of it."""
    cluster = _cluster()
    for _ in range(2):  # the first is a flood, which leaves the tree behind
        cluster.broadcast(cluster.nodes[0], NODES)
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {2 * SIZE} {SIZE + 30}" {FONT}>',
            "<title>An overlay of sixteen nodes, and a broadcast in it</title>",
            f'<rect width="{2 * SIZE}" height="{SIZE + 30}" fill="#fff"/>',
            *_views(cluster.nodes),
            *_tree(cluster.nodes),
            "</svg>",
            "",
        ]
    )


def _cluster() -> Cluster:
    chance = random.Random(8)
    cluster = Cluster(random=chance)
    config = HyParViewConfig(active=3, passive=4)

    def overlay(spec: NodeSpec) -> HyParView:
        return HyParView(spec, random=chance, config=config)

    for number in range(NODES):
        node = cluster.add(overlay, PlumtreeConfig())
        if number:
            cluster.tell(node, on.Join(cluster.nodes[0].spec))
            cluster.settle()
    for _ in range(5):
        cluster.cycle()
    return cluster


def _place(number: int, panel: int) -> tuple[float, float]:
    turn = 2 * math.pi * number / NODES - math.pi / 2
    x = SIZE / 2 + panel * SIZE + RADIUS * math.cos(turn)
    return round(x, 1), round(SIZE / 2 + RADIUS * math.sin(turn), 1)


def _line(one: int, other: int, panel: int, style: str) -> str:
    (x, y), (to_x, to_y) = _place(one, panel), _place(other, panel)
    return f'<path d="M{x} {y}L{to_x} {to_y}" fill="none" {style}/>'


def _nodes(panel: int, special: int, caption: str) -> list[str]:
    parts = []
    for number in range(NODES):
        x, y = _place(number, panel)
        color = RED if number == special else "#111827"
        parts += [
            f'<circle cx="{x}" cy="{y}" r="11" fill="{color}"/>',
            f'<text x="{x}" y="{y + 4}" text-anchor="middle" fill="#fff">{number}</text>',
        ]
    middle = SIZE / 2 + panel * SIZE
    return [*parts, f'<text x="{middle}" y="{SIZE + 12}" text-anchor="middle">{caption}</text>']


def _links(nodes: list[Node]) -> dict[Atom, int]:
    return {node.name: at for at, node in enumerate(nodes)}


def _views(nodes: list[Node]) -> list[str]:
    numbers = _links(nodes)
    chosen = 5
    parts = [
        _line(at, numbers[other], 0, f'stroke="{GREY}"')
        for at, node in enumerate(nodes)
        for other in node.overlay.neighbors
        if at < numbers[other]
    ]
    overlay = nodes[chosen].overlay
    assert isinstance(overlay, HyParView)
    passive = f'stroke="{RED}" stroke-dasharray="4 4"'
    active = f'stroke="{RED}" stroke-width="3"'
    parts += [_line(chosen, numbers[other], 0, passive) for other in overlay.passive]
    parts += [_line(chosen, numbers[other], 0, active) for other in overlay.neighbors]
    return [*parts, *_nodes(0, chosen, "neighbors of node 5; dashed: whom else it knows")]


def _tree(nodes: list[Node]) -> list[str]:
    numbers = _links(nodes)
    root = nodes[0].name
    eager: list[tuple[int, int]] = []
    lazy: list[tuple[int, int]] = []
    for at, node in enumerate(nodes):
        tree = node.tree
        assert isinstance(tree, Plumtree)
        for other in tree.neighbors:
            if at < numbers[other]:
                target = eager if other in tree.eager(root) else lazy
                target.append((at, numbers[other]))
    lines = [_line(one, other, 1, f'stroke="{GREY}" stroke-dasharray="4 4"') for one, other in lazy]
    lines += [_line(one, other, 1, f'stroke="{BLUE}" stroke-width="3"') for one, other in eager]
    return [*lines, *_nodes(1, 0, "broadcasts of node 0; dashed: announcements")]
