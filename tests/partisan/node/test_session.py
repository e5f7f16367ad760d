# SPDX-License-Identifier: Apache-2.0
"""One session, watched strictly, in which each event of the catalog is executed by its cause."""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import anyio
import pytest

from heliograph.catalog import load
from heliograph.partisan import (
    DetectionConfig,
    EncodeError,
    HyParView,
    JoinError,
    NotConnectedError,
    statefile,
)
from heliograph.partisan.discovery import Found, ListSource, Source
from heliograph.partisan.faults import Fault, Faults
from heliograph.partisan.templates import framed
from heliograph.partisan.wire import NodeSpec, encode
from heliograph.partisan.wire.messages import Shuffle
from heliograph.telemetry import set_propagator
from heliograph.testing import Captured, capture
from heliograph.testing.strict import Watch
from tests.partisan.node.clusters import (
    MILLISECOND,
    QUICK,
    SLOW_PINGS,
    all_up,
    cluster,
    make,
    until,
)
from tests.partisan.node.conftest import Run
from tests.partisan.node.telling import Carrying, polling
from tests.partisan.node.test_ordering import IMPATIENT, unfounded
from tests.partisan.node.test_overlays import SMALL, SPREADING, group, neighbors
from tests.partisan.node.test_xbot import OPTIMIZING, six

RENAMED = {
    # Nobody executes the names that the original misspells.
    "partisan.connection.client.hearbeat",
    "partisan.connection.server.hearbeat",
}


async def full_mesh() -> None:
    """Three nodes that exchange messages; one leaves."""
    async with (
        cluster("a", "b", trace=True) as (a, b),
        # The third does not ping, so that those it has dialled ping it.
        make("c", protocol=SLOW_PINGS) as c,
        polling(a, b, c),
    ):
        await c.sync_join(a.name, a.listen_addrs[0])
        await all_up([a, b, c])
        inbox = b.register("sink")
        await a.send(b.name, "sink", b"plain")
        await a.send(b.name, "sink", b"acknowledged", ack=True)
        await a.send(b.name, "nobody", b"lost")
        async with inbox.processing() as message:
            assert message == b"plain"
        with suppress(ArithmeticError):
            async with inbox.processing():
                raise ArithmeticError
        with suppress(EncodeError):
            await a.send(b.name, "sink", object())
        for event in (
            "partisan.connection.client.heartbeat",
            "partisan.connection.server.heartbeat",
            "partisan.queue.delivered.bytes",
        ):
            with capture(event) as events:
                await events.until(event)
        await c.leave()
        await until(lambda: len(a.members()) == 2)


async def partial_views() -> None:
    """Nodes of which one fails; and one whose configuration is another."""
    async with group(6, lambda: HyParView(SMALL)) as made, polling(made.nodes[0]):
        first = made.nodes[0]
        with capture("partisan.membership.promotion", "partisan.membership.shuffle") as events:
            await events.until("partisan.membership.shuffle")
            gone = made.nodes.pop()
            await gone._driver.stop()
            await events.until("partisan.membership.promotion", None, {"outcome": "requested"})
        async with make("other") as other:
            with suppress(JoinError):
                await first.join(other.name, other.listen_addrs[0])
        # A shuffle that says it may go less than no hops.
        peer = next(iter(first._core.overlay.neighbors))  # type: ignore[attr-defined] # as it has
        with capture("partisan.protocol.dropped") as events:
            nonsense = Shuffle((), -1, first._core.spec)
            first._driver.write_on(peer, None, framed(encode(nonsense.term())))
            await events.until("partisan.protocol.dropped", {"count": 1}, {"reason": "malformed"})


def to_the_next(mine: str) -> Callable[[NodeSpec], float]:
    """Each node likes those best whose numbers follow its own, and they like others best."""
    return lambda other: (ord(other.name[1]) - ord(mine[1])) % 6


async def optimization() -> None:
    """Nodes of which somebody would always rather have another neighbor."""
    with capture("partisan.membership.optimization") as events:
        async with six(OPTIMIZING, to_the_next):
            await events.until("partisan.membership.optimization", None, {"outcome": "requested"})


async def trees() -> None:
    """A first broadcast is a flood, and who comes late misses something."""
    async with anyio.create_task_group(), group(3, lambda: HyParView(SMALL)) as made:
        with capture("partisan.broadcast.prune", "partisan.broadcast.graft") as events:
            await until(lambda: all(len(neighbors(node)) == 2 for node in made.nodes))
            for node in made.nodes:
                await made.reaches_all(node, b"first")
            await events.until("partisan.broadcast.prune")
            late = await made.add("late", manager=HyParView(SMALL))
            await late.join(made.nodes[0].name, made.nodes[0].listen_addrs[0])
            await events.until("partisan.broadcast.graft")


class Never(Source):
    """Finds nothing, and never says so."""

    text = "never"

    async def find(self) -> list[Found]:
        await anyio.sleep_forever()
        return []


async def discovery() -> None:
    """A node that is left while it looks for others, and while it asks one for its name."""
    async with make("found") as found:
        with socket.create_server(("127.0.0.1", 0)) as silent:
            addresses = [f"127.0.0.1:{silent.getsockname()[1]}", *found.listen_addrs]
            sources: list[Source] = [Never(), ListSource(addresses)]
            with capture("partisan.discovery.contact.stop") as events:
                async with make("seeker", discovery=sources):
                    await events.until("partisan.discovery.contact.stop")


async def calls() -> None:
    """A node calls another's functions, one with what is no term; one is left while it serves."""
    async with make("caller") as caller, anyio.create_task_group() as tasks:

        async def in_vain(name: str) -> None:
            with suppress(NotConnectedError):
                await caller.call(name, "orders", "never", deadline=20)

        with capture("partisan.rpc.serve.start") as events:
            async with make("server") as server:
                server.serve("orders", "echo", lambda term: term)
                server.serve("orders", "never", anyio.sleep_forever)
                await caller.sync_join(server.name, server.listen_addrs[0])
                assert await caller.call(server.name, "orders", "echo", [1]) == 1
                with suppress(EncodeError):
                    await caller.call(server.name, "orders", "echo", [object()])
                tasks.start_soon(in_vain, server.name)
                await events.until("partisan.rpc.serve.start", None, {"function": "never"})


async def ordering() -> None:
    """A message in causal order whose cause never comes."""
    async with cluster("a", "b", causal_labels=["talk"], protocol=IMPATIENT) as (a, b):
        b.register("sink")
        with capture("partisan.message.forced") as events:
            await a.send(b.name, "sink", unfounded(b, 1))
            await events.until("partisan.message.forced")


async def detection() -> None:
    """A peer that cannot be reached for a while."""
    options = {
        "protocol": replace(
            QUICK,
            ping_timeout=50 * MILLISECOND,
            detection=DetectionConfig(suspicion=50 * MILLISECOND, longest=1, late=10.0),
        ),
        "faults": Faults([Fault("partition", begin=1.0, end=2.0, groups=(("a@127.0.0.1",),))]),
    }
    async with make("a", **options) as a, make("b", **options) as b, polling(a):
        with capture("partisan.membership.peer.judge", "partisan.detection.health") as events:
            await b.join(a.name, a.listen_addrs[0])
            await events.until("partisan.membership.peer.judge", None, {"outcome": "down"})
            await events.until("partisan.detection.health")


async def disk(folder: Path) -> None:
    """A membership that cannot be kept."""
    async with make("keeper", state=folder / "nowhere" / "state") as keeper:
        await until(lambda: keeper.unsaved is not None)


def test_each_event_is_executed_by_its_cause(
    run: Run, strict: Watch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(statefile, "_RETRY", 0.02)

    async def main() -> None:
        before = set_propagator(Carrying())
        try:
            await full_mesh()
            await partial_views()
            await optimization()
            await trees()
            await discovery()
            await calls()
            await ordering()
            await detection()
            await disk(tmp_path)
        finally:
            set_propagator(before)

    run(main)
    known = {name for name in load("partisan").events if name.startswith("partisan.")}
    assert known - strict.emitted == RENAMED


def test_gauges_of_views_and_trees(run: Run, telemetry_events: Captured) -> None:
    async def main() -> None:
        # Announcements stay unanswered for long enough to be seen.
        slow = replace(
            SPREADING, broadcast=replace(SPREADING.broadcast, lazy_tick=500 * MILLISECOND)
        )
        seen = telemetry_events.until
        async with group(0, lambda: HyParView(SMALL)) as made:
            for name in ("a", "b", "c"):
                node = await made.add(name, manager=HyParView(SMALL), protocol=slow)
                if name != "a":
                    await node.sync_join("a@127.0.0.1", made.nodes[0].listen_addrs[0])
            a, b, c = made.nodes
            await until(lambda: all(len(neighbors(node)) == 2 for node in made.nodes))
            where = {"node": b.name}
            async with polling(b):
                await seen("partisan.membership.view", {"count": 2}, {**where, "view": "active"})
                await seen("partisan.plumtree_broadcast.all_members", {"count": 3}, where)
                await seen("partisan.plumtree_broadcast.neweagers", {"count": 2}, where)
                # After the flood the way between b and c is lazy, at whichever end is later.
                await made.reaches_all(a, b"flood")
                await until(lambda: b._core.trees.plumtree.lazy(a._core.name))
                of_a = {**where, "root": a.name}
                await seen("partisan.plumtree_broadcast.lazy_sets", {"count": 1}, of_a)
                await seen("partisan.plumtree_broadcast.neweagers", {"count": 1}, of_a)
                await made.reaches_all(a, b"announced")
                count = b._core.trees.plumtree.outstanding
                assert count > 0
                await seen("partisan.plumtree_broadcast.outstanding", {"count": count}, where)
                await seen("partisan.plumtree_broadcast.outstanding", {"count": 0}, where)
            # Who has lost a neighbor for want of room knows where to find another.
            for number in range(4):
                node = await made.add(f"d{number}", manager=HyParView(SMALL))
                await node.join(a.name, a.listen_addrs[0])
            async with polling(a):
                await until(lambda: len(a._core.overlay.passive) > 0)  # type: ignore[attr-defined]
                await until(
                    lambda: any(
                        event.metadata["view"] == "passive" and event.measurements["count"] > 0
                        for event in telemetry_events.named("partisan.membership.view")
                    )
                )
            assert c in made.nodes

    run(main)
