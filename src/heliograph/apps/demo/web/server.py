# SPDX-License-Identifier: Apache-2.0
"""Gives browsers the page, and the feed as server-sent events.

Everything is bounded: connections, streams among them, how long a request may take to come, and
what is under way to a browser. A browser that is slow is waited for, and then gets what is new in
place of what it missed; one that does not read for long is cut off, and comes again by itself.

Source of the stream's format: the HTML standard, "Server-sent events".
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from http import HTTPStatus
from importlib.resources import files
from typing import TYPE_CHECKING, Final, Self

from heliograph.apps.demo.web.http import HEAD, RequestError, answer, head, parse

if TYPE_CHECKING:
    from collections.abc import Mapping

    from heliograph.apps.collect.receiver import Address
    from heliograph.apps.demo.web.feed import Feed
    from heliograph.apps.demo.web.http import Request

__all__ = ["BEAT", "CONNECTIONS", "STREAMS", "WebServer"]

CONNECTIONS: Final = 64
"""Connections at a time; our choice, as the rest."""
STREAMS: Final = 16
"""Those of them that carry the feed."""
BEAT: Final = 2.0
"""Seconds after which a page that has got nothing hears that the stream is alive."""

_PATIENCE: Final = 10.0
_STALLED: Final = 30.0
_CLOSING: Final = 1.0
_UNDER_WAY: Final = 65536
_TYPES: Final = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}


class WebServer:
    """Serves a page in the event loop, from entering it until it is left.

    Args:
        feed: What pages show.
        catalogs: What the browser of catalogs shows, as `declared` makes it.
        listen: Where to listen; port 0 means any free one.
    """

    def __init__(self, feed: Feed, catalogs: Mapping[str, object], listen: Address) -> None:
        self._feed = feed
        self._listen = listen
        self._files = _files(catalogs)
        self._server: asyncio.Server | None = None
        self._handlers: set[asyncio.Task[None]] = set()
        self._streams = 0
        self._news = asyncio.Event()
        self._closing = False

    @property
    def url(self) -> str:
        """The page's address."""
        assert self._server is not None, "it is entered first"
        port: int = self._server.sockets[0].getsockname()[1]
        return f"http://{type(self._listen)(self._listen.host, port)}/"

    async def __aenter__(self) -> Self:
        """Listen.

        Raises:
            OSError: It cannot listen there.
        """
        try:
            self._server = await asyncio.start_server(
                self._connected, self._listen.host, self._listen.port, limit=HEAD
            )
        except OSError as error:
            msg = f"the page cannot be served at {self._listen}: {error.strerror or error}"
            raise OSError(error.errno, msg) from error
        return self

    async def __aexit__(self, *exc: object) -> None:
        """Let the streams end with what is left, and close."""
        assert self._server is not None
        # What asyncio has accepted and not yet made a connection of when it closes stays half-made.
        loop = asyncio.get_running_loop()
        for listener in self._server.sockets:
            loop.remove_reader(listener.fileno())
        await asyncio.sleep(0)
        self._server.close()
        self._closing = True
        self.wake()
        if self._handlers:
            _, late = await asyncio.wait(self._handlers, timeout=_CLOSING)
            for each in late:
                each.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    def wake(self) -> None:
        """Let the streams look at the feed."""
        self._news.set()
        self._news = asyncio.Event()

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # No coroutine, so that no connection is without a handler that is known.
        if self._closing or len(self._handlers) >= CONNECTIONS:
            writer.transport.abort()
            return
        writer.transport.set_write_buffer_limits(high=_UNDER_WAY)
        task = asyncio.create_task(self._serve(reader, writer))
        self._handlers.add(task)
        task.add_done_callback(self._handlers.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._respond(reader, writer)
            writer.close()
            async with asyncio.timeout(_STALLED):
                await writer.wait_closed()
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # whoever asks so, or does not read, gets no more
        finally:
            writer.transport.abort()  # nothing, if it is closed

    async def _respond(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(_PATIENCE):
                request = parse(await reader.readuntil(b"\r\n\r\n"), self._listen.host)
            if request.path == "/feed":
                await self._stream(request, writer)
                return
            whole = self._file(request)
        except RequestError as error:
            whole = _refusal(error.status, str(error))
        async with asyncio.timeout(_STALLED):
            writer.write(whole)
            await writer.drain()

    def _file(self, request: Request) -> bytes:
        found = self._files.get(request.path)
        if found is None:
            raise RequestError(HTTPStatus.NOT_FOUND, "there is nothing here; the page is at /")
        kind, body, tag = found
        if request.headers.get("if-none-match") == tag:
            return head(HTTPStatus.NOT_MODIFIED, {"ETag": tag})
        whole = answer(HTTPStatus.OK, kind, body, {"ETag": tag})
        return whole if request.body_wanted else whole[: -len(body)]

    # -- The feed ---------------------------------------------------------------------------------

    async def _stream(self, request: Request, writer: asyncio.StreamWriter) -> None:
        headers = {"Content-Type": "text/event-stream", "Cache-Control": "no-store"}
        if not request.body_wanted:
            writer.write(head(HTTPStatus.OK, headers))
            return
        if self._streams >= STREAMS:
            raise RequestError(HTTPStatus.SERVICE_UNAVAILABLE, f"{STREAMS} pages are open already")
        self._streams += 1
        try:
            number = self._seen(request)
            hello = {
                "run": self._feed.run,
                "anew": number == 0,
                "capacities": dict(self._feed.capacities),
            }
            writer.write(head(HTTPStatus.OK, headers))
            writer.write(f"event: hello\ndata: {json.dumps(hello)}\n\n".encode())
            await self._tell(number, writer)
        finally:
            self._streams -= 1

    def _seen(self, request: Request) -> int:
        """The last change that a page has seen, which comes again; 0 if it has seen none of it."""
        said = request.headers.get("last-event-id") or request.query.get("since", "")
        run, _, digits = said.partition("-")
        if run != self._feed.run or not (digits.isascii() and digits.isdigit()) or len(digits) > 18:
            return 0
        return min(int(digits), self._feed.number)

    async def _tell(self, number: int, writer: asyncio.StreamWriter) -> None:
        while True:
            news, closing = self._news, self._closing
            while items := self._feed.since(number, _UNDER_WAY):
                number = items[-1].number
                data = ",".join(item.text() for item in items)
                writer.write(f"id: {self._feed.run}-{number}\ndata: [{data}]\n\n".encode())
                async with asyncio.timeout(_STALLED):
                    await writer.drain()
            if closing:
                return
            try:
                async with asyncio.timeout(BEAT):
                    await news.wait()
            except TimeoutError:
                writer.write(b"event: beat\ndata:\n\n")
                async with asyncio.timeout(_STALLED):
                    await writer.drain()


def _files(catalogs: Mapping[str, object]) -> dict[str, tuple[str, bytes, str]]:
    """Path -> type, content and tag of everything that can be asked for but the feed."""
    contents = {
        f"/{each.name}": (_TYPES[each.name.rpartition(".")[2]], each.read_bytes())
        for each in (files("heliograph.apps.demo.web") / "page").iterdir()
    }
    contents["/"] = contents.pop("/index.html")
    contents["/catalogs.json"] = ("application/json", json.dumps(catalogs).encode())
    return {
        path: (kind, body, f'"{hashlib.sha256(body).hexdigest()[:16]}"')
        for path, (kind, body) in contents.items()
    }


def _refusal(status: HTTPStatus, message: str) -> bytes:
    headers = {"Allow": "GET, HEAD"} if status == HTTPStatus.METHOD_NOT_ALLOWED else {}
    return answer(status, "text/plain; charset=utf-8", f"{message}\n".encode(), headers)
