# SPDX-License-Identifier: Apache-2.0
"""Nodes whose neighbors an overlay chooses, and broadcasts among them, on real sockets."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from heliograph.partisan import (
    FullMesh,
    HyParView,
    Inbox,
    JoinError,
    Manager,
    MismatchError,
    Node,
    ScampV1,
    ScampV2,
    UnknownHandlerError,
)
from heliograph.partisan.protocol.overlay.scamp import ScampConfig
from heliograph.partisan.protocol.overlay.settings import HyParViewConfig
from heliograph.partisan.protocol.plumtree import PlumtreeConfig
from tests.partisan.node.clusters import MILLISECOND, SLOW_PINGS, free_port, make, until
from tests.partisan.node.conftest import Run

SPREADING = replace(
    SLOW_PINGS,
    broadcast=PlumtreeConfig(
        lazy_tick=50 * MILLISECOND,
        exchange_tick=200 * MILLISECOND,
        graft_timeout=100 * MILLISECOND,
    ),
)
SMALL = HyParViewConfig(
    active=3,
    passive=8,
    shuffle_interval=1000 * MILLISECOND,
    promotion_interval=300 * MILLISECOND,
    request_timeout=2000 * MILLISECOND,
    probe_interval=10_000 * MILLISECOND,
    deny_for=500 * MILLISECOND,
)
"""Views that are full in a cluster of tests."""
SCAMP = ScampConfig(interval=200 * MILLISECOND, silence=1000 * MILLISECOND)
MANAGERS: dict[str, Callable[[], Manager]] = {
    "full_mesh": FullMesh,
    "hyparview": lambda: HyParView(SMALL),
    "scamp_v1": lambda: ScampV1(
        ScampConfig(interval=200 * MILLISECOND, silence=1000 * MILLISECOND)
    ),
    "scamp_v2": lambda: ScampV2(
        ScampConfig(interval=200 * MILLISECOND, silence=1000 * MILLISECOND)
    ),
}


class Group:
    """Nodes of one cluster, each with an inbox for broadcasts `news`."""

    def __init__(self, stack: AsyncExitStack) -> None:
        self.stack = stack
        self.nodes: list[Node] = []
        self.news: dict[str, Inbox] = {}

    async def add(self, name: str, **options: Any) -> Node:
        node = make(name, **{"protocol": SPREADING, "channels": (), **options})
        self.news[node.name] = node.subscribe("news")
        await self.stack.enter_async_context(node)
        self.nodes.append(node)
        return node

    async def reaches_all(self, source: Node, message: object) -> None:
        """Broadcast, and wait until everybody else has got that."""
        await source.broadcast("news", message)
        for node in self.nodes:
            if node is not source:
                assert await self.news[node.name].receive() == message, node.name

    def nothing_is_left(self) -> None:
        assert {name: len(inbox) for name, inbox in self.news.items() if len(inbox)} == {}


@asynccontextmanager
async def group(count: int, manager: Callable[[], Manager]) -> AsyncIterator[Group]:
    """Run nodes that have joined through the first."""
    async with AsyncExitStack() as stack:
        made = Group(stack)
        for number in range(count):
            node = await made.add(f"n{number}", manager=manager())
            if number:
                first = made.nodes[0]
                await node.join(first.name, first.listen_addrs[0])
        yield made


def neighbors(node: Node) -> set[str]:
    return {each.name for each in node.members() if each.state != "self"}


def connected(node: Node) -> bool:
    """Whether there is a neighbor and all are up."""
    others = [each for each in node.members() if each.state != "self"]
    return bool(others) and all(each.state == "up" for each in others)


class TestBroadcasting:
    @pytest.mark.parametrize("manager", MANAGERS.values(), ids=MANAGERS)
    def test_what_any_node_broadcasts_comes_once_to_all_others(
        self, run: Run, manager: Callable[[], Manager]
    ) -> None:
        async def main() -> None:
            async with group(6, manager) as cluster:
                for number, node in enumerate([*cluster.nodes, *cluster.nodes]):
                    await cluster.reaches_all(node, (b"news", number))
                cluster.nothing_is_left()

        run(main)

    def test_nothing_can_be_broadcast_that_nobody_here_takes_part_in(self, run: Run) -> None:
        async def main() -> None:
            async with make("a") as a:
                with pytest.raises(UnknownHandlerError, match="'news'"):
                    await a.broadcast("news", 1)

        run(main)


class TestHyParView:
    def test_views_are_small_and_symmetric(self, run: Run) -> None:
        async def main() -> None:
            async with group(7, MANAGERS["hyparview"]) as cluster:
                nodes = {node.name: node for node in cluster.nodes}

                def symmetric() -> bool:
                    return all(
                        connected(node)
                        and len(neighbors(node)) <= SMALL.active
                        and all(name in neighbors(nodes[other]) for other in neighbors(node))
                        for name, node in nodes.items()
                    )

                await until(symmetric)

        run(main)

    def test_a_node_that_fails_is_replaced_and_the_living_are_reached(self, run: Run) -> None:
        async def main() -> None:
            async with group(7, MANAGERS["hyparview"]) as cluster:
                await cluster.reaches_all(cluster.nodes[3], b"before")
                gone = cluster.nodes.pop(0)
                seen: list[str | None] = []
                for node in cluster.nodes:
                    node._watchers.call(
                        lambda change: (change.kind, change.node) == ("neighbor_down", gone.name),
                        lambda change: seen.append(change.reason),
                    )
                await gone._driver.stop()
                await until(lambda: all(gone.name not in neighbors(n) for n in cluster.nodes))
                assert set(seen) & {"closed", "failure"}
                for node in cluster.nodes:
                    await cluster.reaches_all(node, node.name.encode())
                cluster.nothing_is_left()

        run(main)

    def test_a_node_that_leaves_is_gone_and_says_so(self, run: Run) -> None:
        async def main() -> None:
            async with group(4, MANAGERS["hyparview"]) as cluster:
                leaver = cluster.nodes.pop()
                others = [n for n in cluster.nodes if leaver.name in neighbors(n)]
                seen: list[tuple[str, str | None]] = []
                for node in others:
                    node._watchers.call(
                        lambda change: change.node == leaver.name,
                        lambda change: seen.append((change.kind, change.reason)),
                    )
                await leaver.leave()
                await until(lambda: all(leaver.name not in neighbors(n) for n in others))
                await until(lambda: seen.count(("leave", None)) == len(others))
                assert ("neighbor_down", "leave") in seen
                assert neighbors(leaver) == set()
                await until(lambda: not leaver.connections(), 3)
                for node in cluster.nodes:
                    await cluster.reaches_all(node, b"without it")

        run(main)


class TestJoining:
    def test_nodes_with_other_managers_are_told_apart(self, run: Run) -> None:
        async def main() -> None:
            async with make("a", manager=HyParView(SMALL)) as a, make("b") as b:
                for one, other in ((a, b), (b, a)):
                    with pytest.raises(JoinError, match="manager") as raised:
                        await one.join(other.name, other.listen_addrs[0])
                    assert isinstance(raised.value.__cause__, MismatchError)

        run(main)

    def test_a_node_that_starts_late_is_waited_for(self, run: Run) -> None:
        async def main() -> None:
            async with AsyncExitStack() as stack:
                cluster = Group(stack)
                a = await cluster.add("a", manager=HyParView(SMALL))
                address = f"127.0.0.1:{free_port()}"
                with pytest.raises(JoinError, match="could not join"):
                    await a.join("b@127.0.0.1", address, deadline=0.2)
                assert neighbors(a) == set()
                b = await cluster.add("b", manager=HyParView(SMALL), listen=address)
                await a.sync_join(b.name, address)
                assert neighbors(a) == {b.name}

        run(main)
