# SPDX-License-Identifier: Apache-2.0
"""Neighbors that are far away give way to nearer ones, on real sockets."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace

from heliograph.partisan import HyParView, Node
from heliograph.partisan.faults import Fault, Faults
from heliograph.partisan.protocol.overlay.settings import HyParViewConfig
from heliograph.partisan.protocol.overlay.xbot import XBotConfig
from heliograph.partisan.wire import NodeSpec
from heliograph.testing import capture
from tests.partisan.node.clusters import MILLISECOND, until
from tests.partisan.node.conftest import Run
from tests.partisan.node.test_overlays import SMALL, SPREADING, Group, neighbors

OPTIMIZATION = "partisan.membership.optimization"
NAMES = [f"n{number}@127.0.0.1" for number in range(6)]
Site = Callable[[str], object]
Distance = Callable[[NodeSpec], float | None]

OPTIMIZING = replace(
    SMALL, probe_interval=1000 * MILLISECOND, xbot=XBotConfig(interval=100 * MILLISECOND)
)
"""Views of three: two of a site, and one that is kept however far it is."""


def odd_or_even(name: str) -> object:
    return int(name[1]) % 2


def high_or_low(name: str) -> object:
    return int(name[1]) < 3


def settled(nodes: list[Node], site: Site) -> bool:
    """Whether each node has both others of its site for neighbors."""
    return all(
        {name for name in NAMES if site(name) == site(node.name)} <= {node.name, *neighbors(node)}
        for node in nodes
    )


@asynccontextmanager
async def six(
    config: HyParViewConfig,
    distance: Callable[[str], Distance] | None = None,
    faults: Faults | None = None,
) -> AsyncIterator[Group]:
    """Run nodes that have joined through the first; some options of each."""
    protocol = SPREADING
    if faults is not None:
        # Pings are what measures, and what is slow is not gone.
        protocol = replace(
            SPREADING, idle_timeout=300 * MILLISECOND, ping_timeout=10_000 * MILLISECOND
        )
    async with AsyncExitStack() as stack:
        made = Group(stack)
        for name in NAMES:
            told = None if distance is None else distance(name)
            node = await made.add(
                name.partition("@")[0],
                manager=HyParView(config, distance=told),
                protocol=protocol,
                faults=faults,
            )
            if node is not made.nodes[0]:
                await node.join(made.nodes[0].name, made.nodes[0].listen_addrs[0])
        yield made


def test_links_follow_what_a_user_says_they_cost(run: Run) -> None:
    async def main() -> None:
        sites = [odd_or_even]

        def distance(mine: str) -> Distance:
            return lambda other: 1.0 if sites[-1](mine) == sites[-1](other.name) else 10.0

        async with six(OPTIMIZING, distance) as made:
            await until(lambda: settled(made.nodes, odd_or_even))
            # Now other links are the cheap ones, and only swaps bring them into full views.
            with capture(OPTIMIZATION) as events:
                sites.append(high_or_low)
                await until(lambda: settled(made.nodes, high_or_low))
                for outcome in ("requested", "accepted"):
                    await events.until(
                        "partisan.membership.optimization", None, {"outcome": outcome}
                    )
            for node in made.nodes:
                assert len(neighbors(node)) <= OPTIMIZING.active
                await made.reaches_all(node, node.name.encode())
            made.nothing_is_left()

    run(main)


def test_links_that_are_measured_to_be_slow_are_swapped_for_quick_ones(run_asyncio: Run) -> None:
    async def main() -> None:
        odd, even = tuple(NAMES[1::2]), tuple(NAMES[::2])
        slow = Faults(
            [
                Fault("delay", time=0.4, between=(odd, even)),
                Fault("delay", time=0.4, between=(even, odd)),
            ]
        )
        async with six(OPTIMIZING, faults=slow) as made:
            await until(lambda: settled(made.nodes, odd_or_even))
            for node in made.nodes:
                await made.reaches_all(node, node.name.encode())

    run_asyncio(main)
