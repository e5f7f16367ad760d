# SPDX-License-Identifier: Apache-2.0
"""What the events of a full mesh carry, and what each is executed by; see test_session, too."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

from heliograph import Error, Ok
from heliograph.partisan import Channel, Node
from heliograph.partisan.events import SOCKET_RECV, SOCKET_SEND, SOCKET_TAG_MSG
from heliograph.partisan.telling import Teller
from heliograph.telemetry import default, set_propagator
from heliograph.testing import Captured
from tests.partisan.node.clusters import QUICK, SLOW_PINGS, Proxy, all_up, cluster, make, until
from tests.partisan.node.conftest import Run
from tests.partisan.node.telling import Carrying, polling
from tests.ports import free_port

# -- Why a peer is down ----------------------------------------------------------------------------


def downs(events: Captured, node: Node) -> list[str]:
    return [
        event.metadata["reason"]
        for event in events.named("partisan.membership.peer.down")
        if event.metadata["node"] == node.name
    ]


def test_down_because_it_left(run: Run, telemetry_events: Captured) -> None:
    async def main() -> None:
        async with cluster("a", "b") as (a, b):
            await b.leave()
            await telemetry_events.until("partisan.membership.peer.leave", {"count": 1})
            assert downs(telemetry_events, a) == ["leave"]
            telemetry_events.assert_event(
                "partisan.membership.peer.channel.down",
                {"sockets": 0},
                {"node": a.name, "channel": "data", "parallelism": 2, "reason": "leave"},
            )

    run(main)


def test_down_because_it_hung_up_and_because_this_node_stops(
    run: Run, telemetry_events: Captured
) -> None:
    async def main() -> None:
        # Whoever hangs up on what is under way to it breaks the connection: pings would be.
        async with make("a", protocol=SLOW_PINGS) as a:
            async with make("b", protocol=SLOW_PINGS) as b:
                await a.sync_join(b.name, b.listen_addrs[0])
                await all_up([a, b])
            assert downs(telemetry_events, b) == ["shutdown"]
            await until(lambda: downs(telemetry_events, a))
            assert downs(telemetry_events, a) == ["closed"]

    run(main)
    listeners = [
        event.metadata["reason"]
        for event in telemetry_events.named("partisan.socket.close")
        if event.metadata["side"] == "listener"
    ]
    assert listeners == ["shutdown", "shutdown"]


@asynccontextmanager
async def behind_proxy(**options: Any) -> AsyncIterator[tuple[Node, Node, Proxy]]:
    """Give two nodes, with a proxy between the first and the second."""
    async with (
        Proxy() as proxy,
        make("a", **options) as a,
        make("b", advertise=proxy.address, **options) as b,
    ):
        proxy.to(b)
        await a.sync_join(b.name, proxy.address)
        await all_up([a, b])
        yield a, b, proxy


def test_down_because_the_connections_broke(run_asyncio: Run, telemetry_events: Captured) -> None:
    async def main() -> None:
        async with behind_proxy() as (a, b, proxy):
            proxy.cut()
            await telemetry_events.until("partisan.membership.peer.down")
            assert downs(telemetry_events, a) == ["failure"]
            await all_up([a, b])

    run_asyncio(main)


def test_down_because_pings_are_not_answered(run_asyncio: Run, telemetry_events: Captured) -> None:
    async def main() -> None:
        async with behind_proxy() as (a, b, proxy):
            proxy.harm = "swallow"
            await until(lambda: downs(telemetry_events, a))
            assert downs(telemetry_events, a) == ["timeout"]
            proxy.harm = "none"
            proxy.cut()
            await all_up([a, b])

    run_asyncio(main)


# -- Gauges ----------------------------------------------------------------------------------------


def test_gauges_of_connections(run: Run, telemetry_events: Captured) -> None:
    async def main() -> None:
        with socket.create_server(("127.0.0.1", 0)) as silent:
            async with cluster("a", "b") as (a, b):
                b.register("watched")
                a.monitor(b.name, "watched")
                await until(lambda: len(a.connections()) == 8)
                async with polling(a), anyio.create_task_group() as tasks:
                    seen = telemetry_events.until
                    where = {"node": a.name, "peer": b.name, "channel": "data"}
                    for side in ("client", "server"):
                        await seen(
                            "partisan.connection.connections",
                            {"count": 2},
                            {**where, "side": side},
                        )
                    await seen("partisan.connection.monitors", {"count": 1})
                    await seen("partisan.connection.new", {"count": 8})
                    await seen("partisan.connection.owners", {"count": 8})
                    # Whoever accepts and says nothing keeps a dial under way.
                    port = silent.getsockname()[1]
                    tasks.start_soon(a.join, "c@127.0.0.1", f"127.0.0.1:{port}")
                    await seen("partisan.connection.outstanding", {"count": 1})
                    tasks.cancel_scope.cancel()
                await b.leave()
                telemetry_events.clear()
                async with polling(a):
                    await seen("partisan.connection.owners", {"count": 0}, {"node": a.name})

    run(main)


def test_gauges_of_queues(run_asyncio: Run, telemetry_events: Captured) -> None:
    async def main() -> None:
        async with behind_proxy(protocol=SLOW_PINGS) as (a, b, proxy):
            inbox = b.register("sink")
            where = {"node": a.name, "peer": b.name, "channel": "data"}
            message = b"m" * 100
            templates = a._routes.templates
            size = len(templates.acked_frame(0, templates.tail("sink", message)))
            async with polling(a):

                async def expect(queue: str, count: int) -> None:
                    of = f"partisan.queue.{queue}"
                    await telemetry_events.until(f"{of}.count", {"count": count}, where)
                    await telemetry_events.until(f"{of}.bytes", {"bytes": count * size}, where)

                async def send(count: int) -> None:
                    for _ in range(count):
                        await a.send(
                            b.name, "sink", message, channel="data", ack=True, partition_key=0
                        )

                proxy.harm = "swallow"
                await send(5)
                await expect("unacknowledged", 5)
                await expect("retransmitted", 5)
                proxy.harm = "none"
                await expect("delivered", 5)
                assert [await inbox.receive() for _ in range(5)] == [message] * 5
                b._driver.listeners.popitem()[1][0].close()
                proxy.cut()
                await until(lambda: a.members()[1].state == "down")
                await send(3)
                await expect("undelivered", 3)
            assert len(inbox) == 0

    run_asyncio(main)


# -- What each carries -----------------------------------------------------------------------------


def test_what_sockets_tell(run: Run, telemetry_events: Captured) -> None:
    async def main() -> None:
        async with cluster("a", "b") as (a, b):
            inbox = b.register("sink")
            await until(lambda: len(b.connections()) == 8)
            telemetry_events.clear()
            await a.send(b.name, "sink", b"x" * 100)
            await a.send(b.name, "sink", b"y" * 100_000)
            await inbox.receive()
            await inbox.receive()
            frame = 4 + 3 + 17 + 6 + 5
            for event, direction in ((SOCKET_SEND, "sent"), (SOCKET_RECV, "received")):
                told = [
                    each
                    for each in telemetry_events.named(event.name)
                    if each.metadata["channel"] == "undefined"
                    and each.metadata["node"] == (a.name if direction == "sent" else b.name)
                ]
                assert sum(each.measurements["count"] for each in told) >= 2
                assert sum(each.measurements["bytes"] for each in told) >= 2 * frame + 100_100
                telemetry_events.assert_event(
                    SOCKET_TAG_MSG.name,
                    None,
                    {"tag": "forward_message", "direction": direction, "channel": "undefined"},
                )

    run(main)


def test_the_protocols_frames_have_tags(run: Run, telemetry_events: Captured) -> None:
    async def main() -> None:
        async with cluster("a", "b") as (a, b):
            b.register("sink")
            await a.send(b.name, "sink", b"x", ack=True)
            for tag in ("ack", "ping", "pong", "membership_strategy"):
                for direction in ("sent", "received"):
                    await telemetry_events.until(
                        SOCKET_TAG_MSG.name, None, {"tag": tag, "direction": direction}
                    )

    run(main)
    tags = {each.metadata["tag"] for each in telemetry_events.named(SOCKET_TAG_MSG.name)}
    assert tags == {
        "hello",
        "state",
        "membership_strategy",
        "forward_message",
        "ack",
        "ping",
        "pong",
    }


def test_a_dial_tells_how_it_ended(run: Run, telemetry_events: Captured) -> None:
    async def main() -> None:
        async with cluster("b", "a") as (_, a):
            port = free_port()
            with pytest.raises(ConnectionError):
                await a.join("c@127.0.0.1", f"127.0.0.1:{port}", deadline=1.0)

    run(main)
    well = telemetry_events.assert_event(
        "partisan.socket.connect", {"count": 1}, {"peer": "b@127.0.0.1", "result": Ok(None)}
    )
    assert well.metadata["socket"] > 0
    assert well.measurements["duration"] > 0
    badly = telemetry_events.assert_event("partisan.socket.connect", None, {"peer": "c@127.0.0.1"})
    assert isinstance(badly.metadata["result"], Error)
    assert "socket" not in badly.metadata


def test_channels_are_told_as_they_are_configured(run: Run, telemetry_events: Captured) -> None:
    async def main() -> None:
        async with make("a", channels=[Channel("bulk", 3, compression=9)]):
            pass

    run(main)
    told = {
        each.metadata["name"]: each.metadata["config"]
        for each in telemetry_events.named("partisan.channel.configured")
    }
    assert told == {
        "bulk": {"parallelism": 3, "monotonic": False, "compression": 9},
        "partisan_membership": {"parallelism": 1, "monotonic": False, "compression": True},
        "undefined": {"parallelism": 1, "monotonic": False, "compression": False},
    }


def test_lost_messages_say_why(run: Run, telemetry_events: Captured) -> None:
    async def main() -> None:
        async with cluster("a", "b", channels=[Channel("state", monotonic=True)]) as (a, b):
            told = telemetry_events.until
            await a.send(b.name, "nobody", b"")
            await told("partisan.message.dropped", None, {"reason": "unknown_name"})
            b.register("small", capacity=1, overflow="drop_new")
            await a.send(b.name, "small", 1)
            await a.send(b.name, "small", 2)
            await told(
                "partisan.message.dropped", None, {"reason": "inbox_full", "target": "small"}
            )
            for number in range(9):
                a.try_send(b.name, "small", number, channel="state")
            await told("partisan.message.dropped", None, {"reason": "superseded"})
            link = a._routes.find(b.name, None)
            assert link is not None
            link.links[0].write(b"\x00\x00\x00\x01\x83")
            await told("partisan.message.dropped", None, {"reason": "undecodable"})
            await a.send(b.name, "small", b"still there")

    run(main)


def test_messages_for_a_node_that_leaves_are_told(
    run_asyncio: Run, telemetry_events: Captured
) -> None:
    async def main() -> None:
        async with behind_proxy(protocol=SLOW_PINGS) as (a, b, proxy):
            proxy.harm = "swallow"
            for _ in range(4):
                await a.send(b.name, "sink", b"", ack=True)
            await a.leave(b.name)
            telemetry_events.assert_event(
                "partisan.message.dropped",
                {"count": 4},
                {"reason": "departed", "peer": b.name, "channel": "undefined"},
            )

    run_asyncio(main)


def test_messages_that_are_owed_when_the_node_stops_are_told(
    run_asyncio: Run, telemetry_events: Captured
) -> None:
    async def main() -> None:
        async with behind_proxy(protocol=SLOW_PINGS) as (a, b, proxy):
            proxy.harm = "swallow"
            for _ in range(3):
                await a.send(b.name, "sink", b"", ack=True)

    run_asyncio(main)
    telemetry_events.assert_event(
        "partisan.message.dropped",
        {"count": 3},
        {"reason": "shutdown", "node": "a@127.0.0.1", "peer": "b@127.0.0.1"},
    )


def test_messages_that_were_not_written_when_a_connection_broke_are_told(
    run_asyncio: Run, telemetry_events: Captured
) -> None:
    async def main() -> None:
        async with behind_proxy(protocol=SLOW_PINGS) as (a, b, proxy):
            b.register("sink", capacity=1)
            await until(lambda: not a.try_send(b.name, "sink", b"x" * 60_000))
            proxy.cut()
            await telemetry_events.until(
                "partisan.message.dropped", None, {"reason": "disconnected", "peer": b.name}
            )

    run_asyncio(main)


def test_trace_context_travels_with_messages(run: Run, telemetry_events: Captured) -> None:
    propagator = Carrying()

    async def main() -> None:
        async with cluster("a", "b", trace=True) as (a, b):
            inbox = b.register("sink")
            for ack in (False, True):
                await a.send(b.name, "sink", (1, b"message"), ack=ack)
                async with inbox.processing() as message:
                    assert message == (1, b"message")
            await a.send(b.name, "sink", b"bare")
            assert await inbox.receive() == b"bare"
            await b.send(b.name, "sink", b"own")
            async with inbox.processing() as message:
                assert message == b"own"

    before = set_propagator(propagator)
    try:
        run(main)
    finally:
        set_propagator(before)
    assert propagator.extracted == [{"traceparent": "00-word"}] * 2 + [{}]
    sends = telemetry_events.spans("partisan.message.send")
    assert [span.outcome for span in sends] == ["stop"] * 3
    assert sends[0].start is not None
    assert sends[1].start is not None
    assert sends[1].start.metadata["acknowledged"]
    processed = telemetry_events.spans("partisan.message.process")
    assert [span.outcome for span in processed] == ["stop"] * 3


@pytest.mark.parametrize("event", [SOCKET_SEND, SOCKET_RECV, SOCKET_TAG_MSG])
def test_nobody_counts_frames_while_nobody_listens(
    run: Run, monkeypatch: pytest.MonkeyPatch, event: Any, unwatched: None
) -> None:
    counted: list[int] = []
    count = Teller._frames

    def counting(self: Teller, *arguments: Any) -> None:
        counted.append(1)
        count(self, *arguments)

    monkeypatch.setattr(Teller, "_frames", counting)

    async def main() -> None:
        async with cluster("a", "b", protocol=QUICK) as (a, b):
            inbox = b.register("sink")
            await a.send(b.name, "sink", b"unheard")
            await inbox.receive()
            assert not counted
            default().attach("heard", event.name, lambda *_: None)
            await a.send(b.name, "sink", b"heard")
            await inbox.receive()
            default().detach("heard")
            assert counted

    run(main)
