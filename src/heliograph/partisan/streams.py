# SPDX-License-Identifier: Apache-2.0
"""Links on anyio's streams, for event loops other than asyncio's."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import ssl
import time
from collections import deque
from typing import TYPE_CHECKING, Any, Final

import anyio
import anyio.abc
import anyio.lowlevel
from anyio.streams.tls import TLSAttribute, TLSListener, TLSStream

from heliograph.partisan.waiting import waiter_factory

if TYPE_CHECKING:
    from collections.abc import Callable

    from anyio.abc import ByteStream, TaskGroup

    from heliograph.partisan.link import Link
    from heliograph.partisan.loops import Listener, Timer
    from heliograph.partisan.waiting import MakeWaiter, Waiter

__all__ = ["StreamLoop"]

_READ_SIZE: Final = 65_536
_BROKEN: Final = (anyio.BrokenResourceError, anyio.ClosedResourceError, OSError, ssl.SSLError)


class _Timer:
    __slots__ = ("call",)

    def __init__(self, call: Callable[[], object]) -> None:
        self.call: Callable[[], object] | None = call

    def cancel(self) -> None:
        self.call = None


class StreamLoop:
    """What a node needs of the event loop, made of a task group."""

    def __init__(self, tasks: TaskGroup) -> None:
        self._tasks = tasks
        self.make_waiter: MakeWaiter = waiter_factory()
        self._ready: deque[Callable[[], object]] = deque()
        self._timers: list[tuple[int, int, _Timer]] = []
        self._order = itertools.count()
        self._wake: Waiter | None = None
        tasks.start_soon(self._run, name="partisan timers")

    def now(self) -> int:
        return time.monotonic_ns()

    async def breathe(self) -> None:
        await anyio.lowlevel.checkpoint()

    def call_soon(self, call: Callable[[], object]) -> None:
        self._ready.append(call)
        if self._wake is not None:
            self._wake.set()

    def call_at(self, when: int, call: Callable[[], object]) -> Timer:
        timer = _Timer(call)
        heapq.heappush(self._timers, (when, next(self._order), timer))
        if self._wake is not None:
            self._wake.set()
        return timer

    async def _run(self) -> None:
        ready, timers = self._ready, self._timers
        while True:
            while timers and (timers[0][2].call is None or timers[0][0] <= self.now()):
                timer = heapq.heappop(timers)[2]
                if timer.call is not None:
                    ready.append(timer.call)
            for _ in range(len(ready)):
                ready.popleft()()
            if ready:
                await anyio.lowlevel.checkpoint()
                continue
            self._wake = self.make_waiter()
            pause = (timers[0][0] - self.now()) / 1e9 if timers else float("inf")
            with anyio.move_on_after(max(0.0, pause)):
                await self._wake.wait()
            self._wake = None

    # -- Connections ------------------------------------------------------------------------------

    async def listen(
        self,
        host: str,
        port: int,
        make_link: Callable[[], Link],
        context: ssl.SSLContext | None,
        handshake: float,
    ) -> Listener:
        plain = await anyio.create_tcp_listener(
            local_host=host, local_port=port, reuse_port=False, backlog=1024
        )
        addresses: list[tuple[str, int]] = [
            each.extra(anyio.abc.SocketAttribute.local_address)[:2]  # type: ignore[misc]  # noqa: S610 - anyio's attributes, and IP's addresses
            for each in plain.listeners
        ]
        listener: anyio.abc.Listener[Any] = plain
        if context is not None:
            listener = TLSListener(
                plain, context, standard_compatible=False, handshake_timeout=handshake
            )
        serving = _StreamListener(addresses)

        async def serve(stream: ByteStream) -> None:
            transport = StreamTransport(stream, make_link(), self)
            transport.start()
            await transport.run()

        async def accept() -> None:
            with serving.scope:
                async with listener:
                    await serving.begun.wait()
                    await listener.serve(serve, self._tasks)

        self._tasks.start_soon(accept, name=f"partisan listener {host}:{port}")
        return serving

    async def connect(
        self, host: str, port: int, link: Link, context: ssl.SSLContext | None
    ) -> None:
        stream: ByteStream = await anyio.connect_tcp(host, port)
        if context is not None:
            plain = stream
            try:
                stream = await TLSStream.wrap(
                    plain, hostname=host, ssl_context=context, standard_compatible=False
                )
            except (anyio.BrokenResourceError, anyio.EndOfStream) as error:
                await anyio.aclose_forcefully(plain)
                raise ConnectionError(f"{host}:{port} hung up in the TLS handshake") from error
            except BaseException:
                with anyio.CancelScope(shield=True):
                    await anyio.aclose_forcefully(plain)
                raise
        transport = StreamTransport(stream, link, self)
        transport.start()
        self._tasks.start_soon(transport.run, name=f"partisan connection to {host}:{port}")


class _StreamListener:
    def __init__(self, addresses: list[tuple[str, int]]) -> None:
        self.addresses = addresses
        self.scope = anyio.CancelScope()
        self.begun = anyio.Event()

    async def serve(self) -> None:
        self.begun.set()

    def pause(self) -> None:
        pass  # what was accepted has a task

    def close(self) -> None:
        self.scope.cancel()


class StreamTransport(asyncio.Transport):
    """Plays the part of asyncio's transport for a link, over one of anyio's streams."""

    def __init__(self, stream: ByteStream, link: Link, loop: StreamLoop) -> None:
        super().__init__()
        self._stream = stream
        self._link = link
        self._loop = loop
        self._buffer: list[bytes | bytearray | memoryview] = []
        self._size = 0
        self._high, self._low = 4 * _READ_SIZE, _READ_SIZE
        self._paused = self._closing = self._reading_paused = self._ended = False
        self._failure: BaseException | None = None
        self._scope = anyio.CancelScope()
        self._more: Waiter | None = None
        self._go_on: Waiter | None = None

    def start(self) -> None:
        """Tell the link that it has a transport."""
        self._link.connection_made(self)

    async def run(self) -> None:
        """Read and write until either side hangs up."""
        try:
            with self._scope:
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(self._write_all)
                    await self._read_all()
                    self._scope.cancel()
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.aclose_forcefully(self._stream)
            self._closing = True
            self._link.connection_lost(self._failure)

    async def _read_all(self) -> None:
        try:
            while True:
                while self._reading_paused:
                    self._go_on = self._loop.make_waiter()
                    await self._go_on.wait()
                self._link.feed(await self._stream.receive(_READ_SIZE))
        except anyio.EndOfStream:
            pass
        except _BROKEN as failure:
            self._failure = failure

    async def _write_all(self) -> None:
        try:
            while True:
                while not self._buffer:
                    if self._closing:
                        self._scope.cancel()
                        return
                    if self._ended:
                        await self._stream.send_eof()
                        return
                    self._more = self._loop.make_waiter()
                    await self._more.wait()
                data, self._buffer = b"".join(self._buffer), []
                await self._stream.send(data)
                self._size -= len(data)
                if self._paused and self._size <= self._low:
                    self._paused = False
                    self._link.resume_writing()
        except anyio.EndOfStream:  # as TLS has it: the peer has hung up
            self._scope.cancel()
        except _BROKEN as failure:
            self._failure = failure
            self._scope.cancel()

    # -- asyncio's transport ----------------------------------------------------------------------

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        if name == "peername":
            return self._stream.extra(anyio.abc.SocketAttribute.remote_address, default)  # noqa: S610
        if name == "peercert":
            return self._stream.extra(TLSAttribute.peer_certificate, default)  # noqa: S610
        if name == "socket":
            return self._stream.extra(anyio.abc.SocketAttribute.raw_socket, default)  # noqa: S610
        return default

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self._high = 4 * _READ_SIZE if high is None else high
        self._low = self._high // 4 if low is None else low

    def get_write_buffer_size(self) -> int:
        return self._size

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if self._closing or self._ended:
            return
        self._buffer.append(data)
        self._size += len(data)
        if self._more is not None:
            self._more.set()
        if self._size > self._high and not self._paused:
            self._paused = True
            self._link.pause_writing()

    def writelines(self, list_of_data: Any) -> None:
        for data in list_of_data:
            self.write(data)

    def pause_reading(self) -> None:
        self._reading_paused = True

    def resume_reading(self) -> None:
        self._reading_paused = False
        if self._go_on is not None:
            self._go_on.set()

    def can_write_eof(self) -> bool:
        return self._stream.extra(TLSAttribute.tls_version, None) is None  # noqa: S610

    def write_eof(self) -> None:
        self._ended = True
        if self._more is not None:
            self._more.set()

    def is_closing(self) -> bool:
        return self._closing

    def close(self) -> None:
        self._closing = True
        if self._ended:
            self._scope.cancel()  # all was written
        if self._more is not None:
            self._more.set()

    def abort(self) -> None:
        self._closing = True
        self._scope.cancel()
