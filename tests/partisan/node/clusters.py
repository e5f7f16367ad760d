# SPDX-License-Identifier: Apache-2.0
"""Clusters for tests: nodes that are quick to notice, and a proxy that does harm on request."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from typing import Any, Literal, Self

import anyio

from heliograph.partisan import Channel, Limits, Node, ProtocolConfig
from heliograph.partisan.protocol import DeliveryConfig

MILLISECOND = 1_000_000

QUICK = ProtocolConfig(
    gossip_interval=200 * MILLISECOND,
    connection_interval=50 * MILLISECOND,
    idle_timeout=100 * MILLISECOND,
    ping_timeout=200 * MILLISECOND,
    ping_attempts=4,
    backoff_initial=20 * MILLISECOND,
    backoff_limit=100 * MILLISECOND,
    delivery=DeliveryConfig(retransmit_interval=100 * MILLISECOND),
)
"""A pace that tests can wait for, and that a process can keep that waits for a processor."""

SLOW_PINGS = replace(QUICK, idle_timeout=60_000 * MILLISECOND)
"""The same, without pings."""


def patient(config: ProtocolConfig) -> ProtocolConfig:
    """The same for processes that may have to wait for a processor."""
    return replace(
        config, idle_timeout=400 * MILLISECOND, ping_timeout=200 * MILLISECOND, ping_attempts=4
    )


CHANNELS = (Channel("data", 2),)


def make(name: str, **options: Any) -> Node:
    """Make a node with the options of tests."""
    given: dict[str, Any] = {
        "channels": CHANNELS,
        "protocol": QUICK,
        "limits": Limits(closing=2.0),
        **options,
    }
    return Node(f"{name}@127.0.0.1", **given)


@asynccontextmanager
async def cluster(*names: str, **options: Any) -> AsyncIterator[list[Node]]:
    """Run nodes that are all connected to each other."""
    async with AsyncExitStack() as stack:
        nodes = [await stack.enter_async_context(make(name, **options)) for name in names]
        first = nodes[0]
        for node in nodes[1:]:
            await node.sync_join(first.name, first.listen_addrs[0])
        await all_up(nodes)
        yield nodes


async def all_up(nodes: Iterable[Node]) -> None:
    """Wait until every node sees every other with all its connections."""
    nodes = list(nodes)
    names = sorted(node.name for node in nodes)

    def whole(node: Node) -> bool:
        members = node.members()
        return [each.name for each in members] == names and all(
            each.state in {"self", "up"} for each in members
        )

    await until(lambda: all(map(whole, nodes)))


async def until(condition: Callable[[], object], seconds: float = 30.0) -> None:
    """Wait until a condition holds."""
    with anyio.fail_after(seconds):
        while not condition():  # noqa: ASYNC110 - what is true of several nodes has no one event
            await anyio.sleep(0.002)


Harm = Literal["none", "swallow", "cut"]


class Proxy:
    """Stands between the peers of a node and the node; asyncio only.

    Attributes:
        harm: `"swallow"` takes whatever comes and passes nothing on, in either direction;
            `"cut"` passes half of the next piece on and ends the connection.
        delay: Seconds each piece is held up.
    """

    def __init__(self) -> None:
        self.harm: Harm = "none"
        self.delay = 0.0
        self.pairs: set[tuple[asyncio.StreamWriter, asyncio.StreamWriter]] = set()
        self._target: tuple[str, int] | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        host, port = self._server.sockets[0].getsockname()
        self.address = f"{host}:{port}"
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._server.close()
        self.cut()
        for task in [*self._tasks]:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.sleep(0)  # what was aborted is closed when the loop comes round

    def to(self, node: Node) -> None:
        """Say which node is behind it."""
        port = next(iter(node._driver.listeners)).rpartition(":")[2]
        self._target = ("127.0.0.1", int(port))

    def cut(self) -> None:
        """Break all connections at once."""
        for pair in [*self.pairs]:
            for writer in pair:
                # Closing it then resets it.
                end = writer.get_extra_info("socket")
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        assert self._target is not None
        try:
            far_reader, far_writer = await asyncio.open_connection(*self._target)
        except (OSError, asyncio.CancelledError):
            writer.transport.abort()
            self._tasks.discard(task)
            return
        pair = (writer, far_writer)
        self.pairs.add(pair)
        try:
            await asyncio.gather(self._pump(reader, far_writer), self._pump(far_reader, writer))
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            self.pairs.discard(pair)
            for each in pair:
                each.transport.abort()
            self._tasks.discard(task)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            if self.delay:
                await asyncio.sleep(self.delay)
            if self.harm == "swallow":
                continue
            if self.harm == "cut":
                self.harm = "none"
                writer.write(data[: len(data) // 2])
                await writer.drain()
                self.cut()
                return
            writer.write(data)
            await writer.drain()
        writer.write_eof()
