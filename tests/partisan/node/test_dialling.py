# SPDX-License-Identifier: Apache-2.0
"""Nobody is hung up on between the dial and a word of who was dialled, for that harms some."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import anyio
import anyio.abc
import pytest

from heliograph.partisan import JoinError, Limits, Node
from heliograph.partisan.discovery.asking import ask
from heliograph.partisan.templates import framed
from heliograph.partisan.wire import Atom, ListenAddr, encode
from heliograph.partisan.wire.messages import UNDEFINED, ClientHello
from heliograph.testing import Captured
from tests.partisan.node.clusters import make, until
from tests.partisan.node.conftest import Run

PEER = "b@127.0.0.1"
HELLO = framed(encode((Atom("hello"), Atom(PEER))))


class Listening:
    """Accepts as an Erlang node does: it takes harm from who hangs up before it has greeted.

    Args:
        greets: Whether it greets once it is told that it is time.

    Attributes:
        address: Where.
        accepted: How many it has accepted.
        ended: What each of those has sent that has hung up, and whether it was greeted by then.
    """

    def __init__(self, *, greets: bool) -> None:
        self.address = ""
        self.accepted = 0
        self.ended: list[tuple[bytes, bool]] = []
        self._greets = greets
        self._due = anyio.Event()

    def greet(self) -> None:
        if self._greets:
            self._due.set()

    async def serve(self, stream: anyio.abc.SocketStream) -> None:
        self.accepted += 1
        greeted = False

        async def greet() -> None:
            nonlocal greeted
            await self._due.wait()
            greeted = True
            await stream.send(HELLO)

        data = b""
        async with stream, anyio.create_task_group() as tasks:
            tasks.start_soon(greet)
            try:
                while True:
                    data += await stream.receive()
            except (anyio.EndOfStream, anyio.BrokenResourceError):
                self.ended.append((data, greeted))
            tasks.cancel_scope.cancel()


@asynccontextmanager
async def listening(*, greets: bool) -> AsyncIterator[Listening]:
    peer = Listening(greets=greets)
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    peer.address = f"127.0.0.1:{listener.extra(anyio.abc.SocketAttribute.local_port)}"
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, peer.serve)
        yield peer
        tasks.cancel_scope.cancel()


@contextmanager
def crowded() -> Iterator[str]:
    """An address where dials are not through, since others wait there already."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        address = listener.getsockname()[:2]
        waiting = []
        while True:
            dial = socket.socket()
            dial.settimeout(0.1)
            waiting.append(dial)
            try:
                dial.connect(address)
            except TimeoutError:
                break
        yield "{}:{}".format(*address)
        for dial in waiting:
            dial.close()


async def give_up(peer: Listening) -> None:
    """Join through a node that says nothing, until it is wanted no more."""
    async with make("a") as a:
        with pytest.raises(JoinError):
            await a.join(PEER, peer.address, deadline=0.1)
        assert (peer.accepted, peer.ended) == (1, [])
        peer.greet()
        await until(lambda: peer.ended)


async def leave(peer: Listening) -> None:
    """Leave while a node is being dialled."""
    async with make("a") as a, anyio.create_task_group() as tasks:
        tasks.start_soon(join, a, peer)
        await until(lambda: peer.accepted)
        tasks.cancel_scope.cancel()
        peer.greet()
    await until(lambda: peer.ended)


async def be_cancelled(peer: Listening) -> None:
    """Be cancelled with all that belongs to it while a node is being dialled."""
    with anyio.CancelScope() as scope:
        async with make("a") as a, anyio.create_task_group() as tasks:
            tasks.start_soon(join, a, peer)
            await until(lambda: peer.accepted)
            scope.cancel()
            peer.greet()
    await until(lambda: peer.ended)


async def look(peer: Listening) -> None:
    """Ask who it is, and do not wait for the answer."""
    host, port = peer.address.split(":")
    with pytest.raises(TimeoutError), anyio.fail_after(0.1):
        await ask(ListenAddr(host, int(port)), None)
    await until(lambda: peer.ended)


async def join(node: Node, peer: Listening) -> None:
    await node.join(PEER, peer.address, deadline=20)


Doing = Callable[[Listening], Coroutine[Any, Any, None]]
NODES = pytest.mark.parametrize("do", [give_up, leave])


@NODES
def test_a_dial_goes_on_until_the_peer_greets(run: Run, do: Doing) -> None:
    async def main() -> None:
        async with listening(greets=True) as peer:
            await do(peer)
            assert peer.ended == [(b"", True)]

    run(main)


@NODES
def test_who_does_not_greet_is_told_who_dialled(run: Run, do: Doing) -> None:
    async def main() -> None:
        async with listening(greets=False) as peer:
            await do(peer)
            hello = framed(encode(ClientHello(Atom("a@127.0.0.1"), UNDEFINED).term()))
            assert peer.ended == [(hello, False)]

    run(main)


def test_whoever_is_cancelled_waits_for_a_word_too(run_asyncio: Run) -> None:
    # On trio, connections are tasks, and end with all others.
    async def main() -> None:
        async with listening(greets=True) as peer:
            await be_cancelled(peer)
            assert peer.ended == [(b"", True)]

    run_asyncio(main)


def test_who_asks_for_a_name_waits_for_a_word(run: Run) -> None:
    async def main() -> None:
        async with listening(greets=True) as peer, anyio.create_task_group() as tasks:
            host, port = peer.address.split(":")
            tasks.start_soon(ask, ListenAddr(host, int(port)), None)
            await until(lambda: peer.accepted)
            tasks.cancel_scope.cancel()
            peer.greet()
        assert peer.ended == [(b"", True)]

    run(main)


def test_and_then_says_something_itself(run: Run) -> None:
    async def main() -> None:
        async with listening(greets=False) as peer:
            await look(peer)
            assert peer.ended == [(framed(b""), False)]

    run(main)


def test_who_is_late_does_not_even_dial(run: Run) -> None:
    async def main() -> None:
        async with listening(greets=False) as peer:
            host, port = peer.address.split(":")
            with anyio.move_on_after(0):
                await ask(ListenAddr(host, int(port)), None)
            async with make("a") as a:
                with pytest.raises(JoinError):
                    await a.join(PEER, peer.address, deadline=0)
            assert peer.accepted == 0

    run(main)


def test_leaving_does_not_wait_for_a_dial_that_is_not_through(
    run: Run, telemetry_events: Captured
) -> None:
    async def main() -> None:
        with crowded() as address:
            async with make("a", limits=Limits(closing=20.0)) as a:
                with pytest.raises(JoinError):
                    await a.join(PEER, address, deadline=0.1)
                before = anyio.current_time()
            assert anyio.current_time() - before < 10

    run(main)
    telemetry_events.assert_event("partisan.socket.connect", None, {"peer": PEER})


def test_nor_for_one_that_has_not_greeted_where_there_is_no_time(run: Run) -> None:
    async def main() -> None:
        async with listening(greets=False) as peer:
            async with make("a", limits=Limits(closing=0.01)) as a:
                with pytest.raises(JoinError):
                    await a.join(PEER, peer.address, deadline=0.1)
            await until(lambda: peer.ended)
            ((data, _),) = peer.ended
            assert data

    run(main)
