# SPDX-License-Identifier: Apache-2.0
"""What a node needs of the event loop: time, timers, listeners and dials.

On asyncio (and uvloop) a link is a protocol of the loop's own transports; elsewhere anyio's streams
drive it, see `heliograph.partisan.streams`. The latter works on asyncio, too, for comparison.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final, Protocol

from heliograph.partisan.waiting import waiter_factory

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from anyio.abc import TaskGroup

    from heliograph.partisan.link import Link
    from heliograph.partisan.waiting import MakeWaiter

__all__ = ["Listener", "Loop", "Timer", "running_loop"]

_BACKLOG: Final = 1024
"""Dials that may wait to be accepted: as many peers as may come at once after a restart."""


class Timer(Protocol):
    """Something that will be called."""

    def cancel(self) -> None:
        """Don't call it."""


class Listener(Protocol):
    """Something that accepts connections."""

    addresses: list[tuple[str, int]]

    async def serve(self) -> None:
        """Begin to accept; until then whoever dials waits, or is refused.

        Raises:
            OSError: Somebody else listens there since.
        """

    def pause(self) -> None:
        """Accept no more; what was accepted just now is still given a link."""

    def close(self) -> None:
        """Accept no more, and let nobody dial."""


class Loop(Protocol):
    """The event loop, as the node needs it."""

    make_waiter: MakeWaiter

    @property
    def call_soon(self) -> Callable[[Callable[[], object]], object]:
        """What calls a function when the loop comes round."""

    def now(self) -> int:
        """Return the monotonic time in nanoseconds."""

    async def breathe(self) -> None:
        """Let others have their turn."""

    def call_at(self, when: int, call: Callable[[], object]) -> Timer:
        """Call when that time has come."""

    async def listen(
        self,
        host: str,
        port: int,
        make_link: Callable[[], Link],
        context: ssl.SSLContext | None,
        handshake: float,
    ) -> Listener:
        """Take an address, to accept connections there, each with a link of its own.

        Raises:
            OSError: It cannot listen there.
        """

    async def connect(
        self, host: str, port: int, link: Link, context: ssl.SSLContext | None
    ) -> None:
        """Dial, and make the link the connection's protocol; the caller sets a deadline.

        Raises:
            OSError: There is no connection, or no encrypted one.
        """


class _AsyncioListener:
    def __init__(self, server: asyncio.Server, addresses: list[tuple[str, int]]) -> None:
        self._server = server
        self.addresses = addresses

    async def serve(self) -> None:
        await self._server.start_serving()

    def pause(self) -> None:
        # asyncio forgets a socket that it has accepted if its server is closed before it has a
        # transport. uvloop does not.
        loop = self._server.get_loop()
        if isinstance(loop, asyncio.SelectorEventLoop):
            for each in self._server.sockets:
                loop.remove_reader(each.fileno())

    def close(self) -> None:
        self._server.close()


class _AsyncioLoop:
    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.make_waiter = waiter_factory()
        self.call_soon: Callable[[Callable[[], object]], object] = loop.call_soon

    def now(self) -> int:
        return time.monotonic_ns()

    async def breathe(self) -> None:
        await asyncio.sleep(0)

    def call_at(self, when: int, call: Callable[[], object]) -> Timer:
        # The loop's own clock need not be this one.
        return self._loop.call_later(max(0, when - time.monotonic_ns()) / 1e9, call)

    async def listen(
        self,
        host: str,
        port: int,
        make_link: Callable[[], Link],
        context: ssl.SSLContext | None,
        handshake: float,
    ) -> Listener:
        server = await self._loop.create_server(
            make_link,
            host,
            port,
            ssl=context,
            ssl_handshake_timeout=handshake if context else None,
            backlog=_BACKLOG,
            reuse_address=True,
            start_serving=False,
        )
        return _AsyncioListener(server, [each.getsockname()[:2] for each in server.sockets])

    async def connect(
        self, host: str, port: int, link: Link, context: ssl.SSLContext | None
    ) -> None:
        await self._loop.create_connection(lambda: link, host, port, ssl=context)


def running_loop(tasks: TaskGroup) -> Loop:
    """Return the event loop that runs now; what it has to do in tasks it does in `tasks`."""
    try:
        return _AsyncioLoop(asyncio.get_running_loop())
    except RuntimeError:
        from heliograph.partisan.streams import StreamLoop

        return StreamLoop(tasks)
