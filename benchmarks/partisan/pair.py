# SPDX-License-Identifier: Apache-2.0
"""Two nodes in two processes on loopback, and what is measured of them.

`python -m benchmarks.partisan.pair CASE...` starts both and prints one JSON object for each case:
times in nanoseconds. `--loop` says on which event loop, `--original` lets them treat each other as
Erlang nodes, `--sleepy` without busy polling, `--share` measures less.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import anyio
import trio
import uvloop

from heliograph.partisan import Channel, Inbox, Limits, Node
from heliograph.partisan.busypoll import BUSY_POLL

__all__ = ["CASES", "main"]

SERVER, CLIENT = "server@127.0.0.1", "client@127.0.0.1"
CHANNELS = [
    Channel("data"),
    Channel("bulk"),
    Channel("control"),
    Channel("one"),
    Channel("many", 16),
]
SMALL, MIDDLE, LARGE = 64, 8192, 512 * 1024
SENDERS = 128
IDLE_CHANNELS = [Channel("data", 23)]  # with the two that are always there, 25 each way

LOOPS: dict[str, Callable[[Callable[[], Coroutine[Any, Any, None]]], None]] = {
    "uvloop": lambda main: uvloop.run(main()),
    "asyncio": lambda main: asyncio.run(main()),
    "trio": trio.run,
}


def node(name: str, options: argparse.Namespace) -> Node:
    """Make one of the two."""
    idle = "idle" in options.cases
    return Node(
        name,
        channels=IDLE_CHANNELS if idle else CHANNELS,
        limits=Limits(inbox=10_000),
        as_original=options.original,
        busy_poll=0.0 if options.sleepy else BUSY_POLL,
    )


async def serve(options: argparse.Namespace) -> None:
    """Echo what comes for `echo`, and count what comes for `sink` until something else comes."""
    async with node(SERVER, options) as server:
        echo, sink, done = (server.register(each) for each in ("echo", "sink", "done"))
        print(server.listen_addrs[0], flush=True)

        async def echoing(inbox: Inbox) -> None:
            # A message says with its first byte on which channel to answer.
            while True:
                message = await inbox.receive()
                channel = "control" if message[:1] == b"c" else "data"
                await server.send(CLIENT, "echo", message, channel=channel)

        async def sinking(inbox: Inbox) -> None:
            while True:
                message = await inbox.receive()
                if message[:1] == b"l":
                    await server.send(CLIENT, "echo", b"done", channel="data")

        async def answering(inbox: Inbox) -> None:
            while True:
                message = await inbox.receive()
                await server.send(CLIENT, message[:8].decode(), b"", channel="control")

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(echoing, echo)
            tasks.start_soon(sinking, sink)
            tasks.start_soon(answering, done)


class Bench:
    """The client's side of all cases."""

    def __init__(self, client: Node, share: float) -> None:
        self.client = client
        self.echo = client.register("echo")
        self.share = share

    def times(self, count: int) -> int:
        """Return how often to do something."""
        return max(2, round(count * self.share))

    async def round_trips(
        self, count: int, body: bytes, channel: str, every: float = 0.0
    ) -> list[int]:
        """Measure round trips one after the other, in order of their length."""
        send, receive = self.client.send, self.echo.receive
        laps = []
        for _ in range(count):
            began = time.perf_counter_ns()
            await send(SERVER, "echo", body, channel=channel)
            await receive()
            laps.append(time.perf_counter_ns() - began)
            if every:
                await anyio.sleep(every)
        return sorted(laps)

    async def one_way(self, count: int, size: int, *, ack: bool) -> float:
        """Return nanoseconds for each message, until the last one was taken."""
        send, body = self.client.send, b"x" * size
        began = time.perf_counter_ns()
        for _ in range(count - 1):
            await send(SERVER, "sink", body, channel="data", ack=ack)
        await send(SERVER, "sink", b"l" * size, channel="data", ack=ack)
        await self.echo.receive()
        return (time.perf_counter_ns() - began) / count

    async def round_trip(self) -> dict[str, float]:
        """Round trips of small and middle messages."""
        result = {}
        for name, size in (("64", SMALL), ("8192", MIDDLE)):
            laps = await self.round_trips(self.times(5000), b"d" * size, "data")
            result[f"p50_{name}"] = quantile(laps, 0.50)
            result[f"p99_{name}"] = quantile(laps, 0.99)
        return result

    async def rate(self) -> dict[str, float]:
        """Messages one way: small, middle, many small ones at once, and acknowledged small ones."""
        return {
            "64": await self.one_way(self.times(100_000), SMALL, ack=False),
            "8192": await self.one_way(self.times(30_000), MIDDLE, ack=False),
            "burst": await self.one_way(self.times(200_000), SMALL, ack=False),
            "acked": await self.one_way(self.times(100_000), SMALL, ack=True),
        }

    async def beside_bulk(self) -> dict[str, float]:
        """Control messages: alone, beside another channel's bulk, and on the bulk's channel."""
        count = self.times(1000)
        body = b"c" * SMALL
        idle = await self.round_trips(count, body, "control")
        async with anyio.create_task_group() as tasks:
            for _ in range(SENDERS // 4):
                tasks.start_soon(self._flood)
            await anyio.sleep(0.2)
            beside = await self.round_trips(count, body, "control", every=0.001)
            within = await self.round_trips(self.times(300), body, "bulk", every=0.001)
            tasks.cancel_scope.cancel()
        return {
            name: quantile(laps, 0.99)
            for name, laps in (("idle", idle), ("beside", beside), ("within", within))
        }

    async def _flood(self) -> None:
        body = b"b" * LARGE
        while True:
            await self.client.send(SERVER, "sink", body, channel="bulk")

    async def slots(self) -> dict[str, float]:
        """Small messages beside 512 KiB of 128 senders: 16 slots with affinity, or one.

        Affinity gives the small messages a slot of their own; the senders share the other 15.
        """
        result = {}
        for channel in ("many", "one"):
            async with anyio.create_task_group() as tasks:
                for number in range(SENDERS):
                    tasks.start_soon(self._sender, number, channel)
                await anyio.sleep(0.5)
                laps = []
                for _ in range(self.times(300)):
                    began = time.perf_counter_ns()
                    await self.client.send(
                        SERVER, "echo", b"c" * SMALL, channel=channel, partition_key=0
                    )
                    await self.echo.receive()
                    laps.append(time.perf_counter_ns() - began)
                tasks.cancel_scope.cancel()
            await anyio.sleep(0.5)  # what is under way arrives
            result[channel] = quantile(sorted(laps), 0.99)
        return result

    async def _sender(self, number: int, channel: str) -> None:
        """Keep one large message under way, as one of the papers' pairs of actors does."""
        name = f"s{channel[0]}{number:06}"
        body = name.encode() + b"b" * (LARGE - len(name))
        with self.client.register(name) as inbox:
            while True:
                key = 1 + number % 15
                await self.client.send(SERVER, "done", body, channel=channel, partition_key=key)
                await inbox.receive()

    async def idle(self) -> dict[str, float]:
        """The share of a core that an idle node takes, with 50 connections."""
        connections = len(self.client.connections())
        seconds = max(0.2, 20 * self.share)
        used, began = time.process_time(), time.perf_counter()
        await anyio.sleep(seconds)
        share = (time.process_time() - used) / (time.perf_counter() - began)
        return {"connections": connections, "share": share}


def quantile(laps: list[int], part: float) -> float:
    """Return the lap that a part of all do not exceed."""
    return float(laps[min(len(laps) - 1, int(len(laps) * part))])


CASES: dict[str, Callable[[Bench], Awaitable[dict[str, float]]]] = {
    "round_trip": Bench.round_trip,
    "rate": Bench.rate,
    "beside_bulk": Bench.beside_bulk,
    "slots": Bench.slots,
    "idle": Bench.idle,
}


async def measure(options: argparse.Namespace, address: str) -> None:
    """Join the server, and measure."""
    async with node(CLIENT, options) as client:
        bench = Bench(client, options.share)
        await client.sync_join(SERVER, address)
        wanted = sum(channel.parallelism for channel in client.channels)
        with anyio.fail_after(10):
            while len(client.connections()) < 2 * wanted:  # noqa: ASYNC110 - the server's are no event here
                await anyio.sleep(0.01)
        for name in options.cases:
            print(json.dumps({"case": name, **await CASES[name](bench)}), flush=True)


def main() -> None:
    """Start the server, unless this is it, and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cases", nargs="+", choices=CASES)
    parser.add_argument("--loop", choices=LOOPS, default="uvloop")
    parser.add_argument("--original", action="store_true")
    parser.add_argument("--sleepy", action="store_true")
    parser.add_argument("--share", type=float, default=1.0)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    run = LOOPS[options.loop]
    if options.serve:
        run(lambda: serve(options))
        return
    command = [sys.executable, "-m", "benchmarks.partisan.pair", *sys.argv[1:], "--serve"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            address = server.stdout.readline().strip()
            run(lambda: measure(options, address))
        finally:
            server.kill()


if __name__ == "__main__":
    main()
