# SPDX-License-Identifier: Apache-2.0
"""Whoever connects and sends anything: the node stays up, and says what was wrong."""

from __future__ import annotations

import os
from functools import partial
from typing import Any

import anyio
import pytest
from anyio.abc import SocketStream

from heliograph.partisan import CallError, EncodeError, Limits, Node
from heliograph.partisan.link import Link
from heliograph.partisan.templates import framed
from heliograph.partisan.wire import Atom, encode
from heliograph.testing import Captured
from tests.partisan.node.clusters import SLOW_PINGS, all_up, cluster, make, until
from tests.partisan.node.conftest import Run


async def connect(node: Node) -> SocketStream:
    host, port = node.listen_addrs[0].split(":")
    return await anyio.connect_tcp(host, int(port))


async def read_all(stream: SocketStream) -> bytes:
    """Read until the other side hangs up."""
    data = b""
    try:
        while True:
            data += await stream.receive()
    except (anyio.EndOfStream, anyio.BrokenResourceError):
        return data


def frame(*parts: object) -> bytes:
    return framed(encode(tuple(parts)))


HELLO = frame(Atom("hello"), Atom("x@127.0.0.1"), Atom("undefined"))

GARBAGE = {
    "another protocol": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "no term": framed(b"\x00\x01\x02"),
    "half a term": framed(b"\x83h\x03"),
    "an empty frame": framed(b""),
    "an oversize frame": b"\xff\xff\xff\xff",
    "chance": os.urandom(4096),
    "a message of the protocol that is none": frame(Atom("hello"), 1),
}


@pytest.mark.parametrize("garbage", GARBAGE)
def test_garbage_ends_the_connection_and_nothing_else(
    run: Run, telemetry_events: Captured, garbage: str
) -> None:
    async def main() -> None:
        limits = Limits(handshake=0.5, closing=1.0)
        async with make("a", limits=limits, protocol=SLOW_PINGS) as a:
            inbox = a.register("sink")
            async with await connect(a) as stream:
                await stream.send(GARBAGE[garbage])
                await read_all(stream)
            await until(lambda: not a.connections())
            await a.send(a.name, "sink", b"alive")
            assert await inbox.receive() == b"alive"

    run(main)
    closed = telemetry_events.assert_event("partisan.socket.close", None, {"side": "server"})
    assert closed.metadata["reason"] in {"protocol_error", "timeout"}


def test_who_says_nothing_is_hung_up_on(run: Run, telemetry_events: Captured) -> None:
    async def main() -> None:
        async with make("a", limits=Limits(handshake=0.1)) as a, await connect(a) as stream:
            await read_all(stream)

    run(main)
    telemetry_events.assert_event("partisan.socket.close", None, {"reason": "timeout"})


def test_a_known_peers_broken_frame_is_lost_and_its_connection_lives(
    run: Run, telemetry_events: Captured
) -> None:
    async def main() -> None:
        async with make("a", protocol=SLOW_PINGS) as a:
            inbox = a.register("sink")
            async with await connect(a) as stream:
                good = a._routes.templates.plain_head("sink", 4) + b"good"
                # As the original sends a tuple of more than 255 elements.
                broken = framed(b"\x83h\x03w\x0fforward_messagew\x04sinkh\x00\x00\x01\x2c")
                await stream.send(HELLO + good + broken + good)
                assert await inbox.receive() == b"good"
                assert await inbox.receive() == b"good"
                await telemetry_events.until(
                    "partisan.message.dropped", None, {"reason": "undecodable"}
                )
                assert len(a.connections()) == 1

    run(main)


def test_unknown_messages_are_ignored(run: Run) -> None:
    async def main() -> None:
        async with make("a", protocol=SLOW_PINGS) as a:
            inbox = a.register("sink")
            async with await connect(a) as stream:
                manager = Atom("partisan_pluggable_peer_service_manager")
                await stream.send(
                    HELLO
                    + frame(Atom("unheard_of"), 1)
                    + frame(Atom("forward_message"), manager, (Atom("unheard_of"), 1))
                    + frame(Atom("forward_message"), (Atom("encoded_pid"), [1, 2]), 1)
                    + frame(Atom("forward_message"), {Atom("a"): 1}, 1)
                    + frame(Atom("ping"), 1, 2)
                    + frame(Atom("forward_message"), Atom("sink"), b"after all that")
                )
                assert await inbox.receive() == b"after all that"
                assert len(a.connections()) == 1

    run(main)


def test_frames_may_come_byte_by_byte(run: Run) -> None:
    async def main() -> None:
        async with make("a", protocol=SLOW_PINGS) as a:
            inbox = a.register("sink")
            async with await connect(a) as stream:
                message = a._routes.templates.plain_head("sink", 100) + b"m" * 100
                for byte in HELLO + message:
                    await stream.send(bytes([byte]))
                assert await inbox.receive() == b"m" * 100
                # And many at once, cut anywhere.
                many = message * 3000
                for at in range(0, len(many), 70_001):
                    await stream.send(many[at : at + 70_001])
                for _ in range(3000):
                    assert await inbox.receive() == b"m" * 100

    run(main)


def test_a_frame_that_is_only_announced_takes_no_room(run: Run) -> None:
    async def main() -> None:
        async with make("a", protocol=SLOW_PINGS) as a:
            inbox = a.register("sink")
            async with await connect(a) as stream:
                body = os.urandom(3_333_333)
                head = a._routes.templates.plain_head("sink", len(body))
                whole = HELLO + head + body
                await stream.send(whole[:1000])
                (link,) = await links(a)
                await until(lambda: link._large is not None)
                room = 0
                for at in range(1000, len(whole) - 100_000, 100_000):
                    assert link._large is not None
                    assert len(link._large) <= 2 * max(at, 1_048_576)
                    await stream.send(whole[at : at + 100_000])
                    came = at + 100_000 - len(HELLO) - 4
                    await until(partial(filled, link, came))
                    room = at + 100_000
                await stream.send(whole[room:])
                assert await inbox.receive() == body

    run(main)


def filled(link: Link, size: int) -> bool:
    return link._large_filled == size


async def links(node: Node) -> list[Link]:
    await until(lambda: node._driver.links)
    return [*node._driver.links.values()]


def test_frames_may_be_as_large_as_the_limit(run: Run, telemetry_events: Captured) -> None:
    async def main() -> None:
        async with make("a") as a, make("b", limits=Limits(frame=200_000)) as b:
            await b.sync_join(a.name, a.listen_addrs[0])
            inbox = b.register("sink")
            await a.send(b.name, "sink", b"x" * 199_000)
            assert len(await inbox.receive()) == 199_000
            await a.send(b.name, "sink", b"x" * 201_000)
            await telemetry_events.until(
                "partisan.socket.close", None, {"node": b.name, "reason": "protocol_error"}
            )
            await all_up([a, b])

    run(main)


def nested(depth: int) -> tuple[Any, ...]:
    message: tuple[Any, ...] = ()
    for _ in range(depth):
        message = (message,)
    return message


TOO_MUCH = {
    "a large binary": (b"x" * 300_000, "is too large: a frame may have 300000"),
    "a larger term": ((b"x" * 300_000,), "is too large: a frame may have 300000"),
    "a term that just exceeds a frame": ((b"x" * 299_970,), "is too large: a frame"),
    "a large integer": (1 << 8 * 600_000, "an integer has at most 524288 bytes"),
    "deep nesting": (nested(126), "nested deeper than 128 levels"),
}


@pytest.mark.parametrize("what", TOO_MUCH)
def test_what_no_receiver_would_take_is_not_sent(
    run: Run, telemetry_events: Captured, what: str
) -> None:
    message, text = TOO_MUCH[what]

    async def main() -> None:
        async with cluster("a", "b", limits=Limits(frame=300_000)) as (a, b):
            inbox = b.register("sink")
            a.subscribe("news")
            for ack in (False, True):
                await a.send(b.name, "sink", b"before", ack=ack)
                with pytest.raises(EncodeError, match=text):
                    await a.send(b.name, "sink", message, ack=ack)
                with pytest.raises(EncodeError, match=text):
                    await a.send(b.name, "sink", message, ack=ack, retransmission=False)
                with pytest.raises(EncodeError, match=text):
                    a.try_send(b.name, "sink", message, ack=ack)
                # Nothing of it is in the way of what follows.
                await a.send(b.name, "sink", b"behind", ack=ack)
                assert [await inbox.receive() for _ in range(2)] == [b"before", b"behind"]
            with pytest.raises(EncodeError, match=text):
                await a.request(b.name, "sink", message)
            with pytest.raises(EncodeError, match=text):
                await a.call(b.name, "shop", "price", [message])
            with pytest.raises(EncodeError, match=text):
                await a.broadcast("news", message)
            with pytest.raises(EncodeError, match=text):
                await a.send("c@127.0.0.1", "sink", message, transitive=True)

    run(main)
    assert "protocol_error" not in {
        each.metadata.get("reason") for each in telemetry_events.named("partisan.socket.close")
    }
    telemetry_events.assert_none("partisan.message.dropped")


def test_neither_is_a_result_that_no_caller_would_take(run: Run) -> None:
    async def main() -> None:
        async with cluster("a", "b", limits=Limits(frame=300_000)) as (a, b):
            b.serve("shop", "stock", lambda: b"x" * 300_000)
            with pytest.raises(CallError, match=r"EncodeError.*too large"):
                await a.call(b.name, "shop", "stock")

    run(main)


def test_more_elements_than_a_receiver_counts_are_not_sent(run_asyncio: Run) -> None:
    async def main() -> None:
        async with cluster("a", "b") as (a, b):
            inbox = b.register("sink")
            with pytest.raises(EncodeError, match="more elements than the 4194304"):
                await a.send(b.name, "sink", [1] * 4_200_000, ack=True)
            many = [b"x" * 4_200_000, 1]
            await a.send(b.name, "sink", many, ack=True)
            assert await inbox.receive() == many

    run_asyncio(main)


def test_small_frames_hold_no_run_that_is_larger(run: Run) -> None:
    async def main() -> None:
        async with cluster("a", "b", limits=Limits(frame=10_000)) as (a, b):
            inbox = b.register("sink")
            sent = [b"%04d" % number + b"x" * 500 for number in range(500)]
            for message in sent:
                await a.send(b.name, "sink", message, ack=True)
            assert [await inbox.receive() for _ in sent] == sent

    run(main)


def test_connections_are_limited(run: Run, telemetry_events: Captured) -> None:
    async def main() -> None:
        limits = Limits(connections=3, handshake=5)
        async with make("a", limits=limits) as a:
            streams = [await connect(a) for _ in range(3)]
            await until(lambda: len(a.connections()) == 3)
            async with await connect(a) as fourth:
                assert await read_all(fourth) == b""
            await until(lambda: len(a.connections()) == 3)
            await streams.pop().aclose()
            await until(lambda: len(a.connections()) == 2)
            streams.append(await connect(a))
            await until(lambda: len(a.connections()) == 3)
            for stream in streams:
                await stream.aclose()

    run(main)
    telemetry_events.assert_event("partisan.socket.close", None, {"reason": "refused"})


def test_and_so_are_those_from_one_address(run: Run) -> None:
    async def main() -> None:
        async with (
            make("a", limits=Limits(connections_per_address=1)) as a,
            await connect(a),
            await connect(a) as second,
        ):
            assert await read_all(second) == b""

    run(main)


@pytest.mark.parametrize("name", ["frame", "handshake", "connections", "closing"])
def test_limits_are_above_zero(name: str) -> None:
    with pytest.raises(ValueError, match=f"limit {name} is 0"):
        Limits(**{name: 0})
