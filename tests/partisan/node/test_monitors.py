# SPDX-License-Identifier: Apache-2.0
"""Monitors of nodes: they tell once that a node is down, and why."""

from __future__ import annotations

import time
from collections.abc import Callable

import anyio
import pytest

from heliograph.partisan import (
    ClientServer,
    HyParView,
    Manager,
    Node,
    NodeClosedError,
    NodeDown,
    ScampV2,
)
from heliograph.partisan.watching import Change, Watchers
from tests.partisan.node.clusters import Proxy, all_up, cluster, make, until
from tests.partisan.node.conftest import Run

PARTIAL: dict[str, Callable[[], Manager]] = {"hyparview": HyParView, "scamp_v2": ScampV2}


def test_a_monitor_tells_why_a_node_is_down(run: Run) -> None:
    async def main() -> None:
        before = time.time()
        async with cluster("a", "b") as (a, b):
            async with make("c") as c:
                await c.sync_join(a.name, a.listen_addrs[0])
                await all_up([a, b, c])
                other = a.monitor_node(c.name)
                assert not other.ended
            # A failure if something of ours was still under way.
            assert (await other.down()).reason in {"closed", "failure"}
            with a.monitor_node(b.name) as monitor:
                assert (monitor.node, monitor.ended) == (b.name, False)
                await a.leave(b.name)
                down = await monitor.down()
                assert (down.node, down.reason) == (b.name, "leave")
                assert before <= down.at <= time.time()
                # Once, whatever becomes of the node afterwards.
                assert monitor.ended
                assert await monitor.down() is down
            assert monitor.ended

    run(main)


def test_a_connection_that_breaks_and_one_that_is_silent(run_asyncio: Run) -> None:
    async def main(harm: str, reason: str) -> None:
        async with Proxy() as proxy, make("a") as a, make("b", advertise=proxy.address) as b:
            proxy.to(b)
            await a.sync_join(b.name, proxy.address)
            with a.monitor_node(b.name) as monitor:
                if harm == "cut":
                    proxy.cut()
                else:
                    proxy.harm = "swallow"
                assert (await monitor.down()).reason == reason

    run_asyncio(lambda: main("cut", "failure"))
    run_asyncio(lambda: main("swallow", "timeout"))


def test_who_is_not_connected_is_down_at_once(run: Run) -> None:
    async def main() -> None:
        async with make("a") as a:
            for name in ("nobody@127.0.0.1", "no name"):
                with a.monitor_node(name) as monitor:
                    assert monitor.ended
                    assert (await monitor.down()).reason == "noconnection"

    run(main)


def test_several_may_wait_and_a_wait_may_be_given_up(run: Run) -> None:
    async def main() -> None:
        async with cluster("a", "b") as (a, b):
            monitor, found = a.monitor_node(b.name), list[NodeDown]()
            with anyio.move_on_after(0.001):
                await monitor.down()
            assert monitor._waiters == []

            async def wait() -> None:
                found.append(await monitor.down())

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(wait)
                tasks.start_soon(wait)
                await until(lambda: len(monitor._waiters) == 2)
                monitor.close()
                monitor.close()
            assert [each.reason for each in found] == ["demonitored"] * 2

    run(main)


def test_whoever_leaves_its_node_waits_no_more(run: Run) -> None:
    async def main() -> None:
        a = make("a")
        with pytest.raises(NodeClosedError):
            a.monitor_node("b@127.0.0.1")
        async with make("b") as b:
            async with a:
                await a.sync_join(b.name, b.listen_addrs[0])
                own, other = a.monitor_node(a.name), a.monitor_node(b.name)
                assert not own.ended
            assert [(await each.down()).reason for each in (own, other)] == ["shutdown"] * 2
            with pytest.raises(NodeClosedError):
                a.monitor_node(b.name)

    run(main)


@pytest.mark.parametrize("kind", PARTIAL)
def test_in_a_partial_view_neighbors_are_monitored(run: Run, kind: str) -> None:
    async def main() -> None:
        async with (
            make("a", manager=PARTIAL[kind]()) as a,
            make("b", manager=PARTIAL[kind]()) as b,
        ):
            await a.sync_join(b.name, b.listen_addrs[0])
            await until(lambda: connected(a, b) and connected(b, a))
            with a.monitor_node(b.name) as monitor, b.monitor_node(a.name) as other:
                await a.leave()
                # Who leaves hangs up on its neighbors, and its neighbors on it.
                assert {(await each.down()).reason for each in (monitor, other)} <= {
                    "leave",
                    "closed",
                    "failure",
                }

    run(main)


def test_in_a_star_clients_do_not_see_each_other(run: Run) -> None:
    async def main() -> None:
        async with (
            make("s", manager=ClientServer("server", interval=0.1)) as server,
            make("c", manager=ClientServer("client", interval=0.1)) as first,
        ):
            async with make("d", manager=ClientServer("client", interval=0.1)) as second:
                for client in (first, second):
                    await client.sync_join(server.name, server.listen_addrs[0])
                await until(lambda: connected(server, first) and connected(server, second))
                with first.monitor_node(second.name) as monitor:
                    assert (await monitor.down()).reason == "noconnection"
                monitor = server.monitor_node(second.name)
            assert (await monitor.down()).reason in {"closed", "failure"}

    run(main)


def connected(node: Node, other: Node) -> bool:
    return any((each.name, each.state) == (other.name, "up") for each in node.members())


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (Change("down", "n", None, "timeout"), "timeout"),
        (Change("neighbor_down", "n", None, "evicted"), "evicted"),
        (Change("leave", "n"), "leave"),
        (Change("up", "n"), None),
        (Change("channel_down", "n", "c", "closed"), None),
        (Change("down", "m", None, "closed"), None),
    ],
)
def test_what_ends_a_monitor(change: Change, reason: str | None) -> None:
    watchers = Watchers()
    monitors = [watchers.monitor("n", connected=True) for _ in range(2)]
    monitors.append(watchers.monitor("k", connected=True))
    watchers.tell(change)

    assert [each.ended for each in monitors] == [reason is not None] * 2 + [False]
    if reason is not None:
        assert monitors[0]._down is not None
        assert monitors[0]._down.reason == reason
    for each in monitors:
        each.close()
    assert watchers._monitors == {}
