# SPDX-License-Identifier: Apache-2.0
"""An endpoint that tells orchestrators how the process is doing: `/healthz` and `/readyz`."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["HealthServer"]

# All our choice: what a probe sends is small and comes at once.
_HEAD: Final = 8192
_PATIENCE: Final = 5.0
_CONNECTIONS: Final = 32


class HealthServer:
    """Answers HTTP requests in the event loop, so that no answer means that the loop is stuck.

    Args:
        listen: Where, as `host:port`.
        state: Returns what is told; its key `ready` decides about `/readyz`.
    """

    def __init__(self, listen: str, state: Callable[[], Mapping[str, Any]]) -> None:
        host, _, port = listen.rpartition(":")
        self._host = host.strip("[]")
        self._port = int(port)
        self._state = state
        self._server: asyncio.Server | None = None
        self._open = 0

    @property
    def port(self) -> int:
        """The port it listens at."""
        assert self._server is not None, "it is entered first"
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, self._host, self._port, limit=_HEAD)
        return self

    async def __aexit__(self, *exc: object) -> None:
        assert self._server is not None
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open += 1
        try:
            if self._open <= _CONNECTIONS:
                async with asyncio.timeout(_PATIENCE):
                    head = await reader.readuntil(b"\r\n\r\n")
                    writer.write(self._answer(head))
                    await writer.drain()
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # whoever asks so gets no answer
        finally:
            self._open -= 1
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    def _answer(self, head: bytes) -> bytes:
        method, _, rest = head.partition(b"\r\n")[0].partition(b" ")
        path = rest.partition(b" ")[0].partition(b"?")[0]
        body: Mapping[str, Any]
        if method not in {b"GET", b"HEAD"}:
            status, body = (
                HTTPStatus.METHOD_NOT_ALLOWED,
                {"error": "only GET and HEAD are answered"},
            )
        elif path == b"/healthz":
            status, body = HTTPStatus.OK, {"alive": True}
        elif path == b"/readyz":
            body = self._state()
            status = HTTPStatus.OK if body["ready"] else HTTPStatus.SERVICE_UNAVAILABLE
        else:
            status, body = HTTPStatus.NOT_FOUND, {"error": "there are /healthz and /readyz"}
        data = json.dumps(body, indent=2).encode() + b"\n"
        lines = (
            f"HTTP/1.1 {status.value} {status.phrase}",
            "Content-Type: application/json",
            f"Content-Length: {len(data)}",
            "Cache-Control: no-store",
            "Connection: close",
            "",
            "",
        )
        return "\r\n".join(lines).encode() + (b"" if method == b"HEAD" else data)
