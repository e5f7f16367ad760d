# SPDX-License-Identifier: Apache-2.0
"""An endpoint for orchestrators and Prometheus: `/healthz`, `/readyz` and perhaps `/metrics`."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, Self

from heliograph.apps.gateway.scraping import CONTENT_TYPE

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
        metrics: Returns what `/metrics` answers, called in a thread; None if nothing does.
    """

    def __init__(
        self,
        listen: str,
        state: Callable[[], Mapping[str, Any]],
        metrics: Callable[[], bytes] | None = None,
    ) -> None:
        host, _, port = listen.rpartition(":")
        self._host = host.strip("[]")
        self._port = int(port)
        self._state = state
        self._metrics = metrics
        self._server: asyncio.Server | None = None
        self._open = 0

    @property
    def listens(self) -> str:
        """Where it is to listen."""
        return f"[{self._host}]:{self._port}" if ":" in self._host else f"{self._host}:{self._port}"

    @property
    def port(self) -> int | None:
        """The port it listens at; None if it does not."""
        if self._server is None:
            return None
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def listen(self) -> OSError | None:
        """Listen from now on, if it does not yet; return why it cannot."""
        if self._server is None:
            try:
                self._server = await asyncio.start_server(
                    self._serve, self._host, self._port, limit=_HEAD
                )
            except OSError as error:
                return error
        return None

    async def close(self) -> None:
        """Listen no more."""
        if self._server is not None:
            self._server.close()
            self._server = None

    async def __aenter__(self) -> Self:
        if (failure := await self.listen()) is not None:
            raise failure
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open += 1
        try:
            if self._open <= _CONNECTIONS:
                async with asyncio.timeout(_PATIENCE):
                    head = await reader.readuntil(b"\r\n\r\n")
                    writer.write(await self._answer(head))
                    await writer.drain()
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # whoever asks so gets no answer
        finally:
            self._open -= 1
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    async def _answer(self, head: bytes) -> bytes:
        method, _, rest = head.partition(b"\r\n")[0].partition(b" ")
        path = rest.partition(b" ")[0].partition(b"?")[0]
        status, kind = HTTPStatus.OK, "application/json"
        body: bytes | Mapping[str, Any]
        if method not in {b"GET", b"HEAD"}:
            status = HTTPStatus.METHOD_NOT_ALLOWED
            body = {"error": "only GET and HEAD are answered"}
        elif path == b"/healthz":
            body = {"alive": True}
        elif path == b"/readyz":
            body = self._state()
            if not body["ready"]:
                status = HTTPStatus.SERVICE_UNAVAILABLE
        elif path == b"/metrics" and self._metrics is not None:
            # Thousands of series take their time, in which devices are to be polled.
            body, kind = await asyncio.to_thread(self._metrics), CONTENT_TYPE
        else:
            status = HTTPStatus.NOT_FOUND
            body = {"error": "there are /healthz, /readyz, and /metrics with `prometheus: true`"}
        data = body if isinstance(body, bytes) else json.dumps(body, indent=2).encode() + b"\n"
        lines = (
            f"HTTP/1.1 {status.value} {status.phrase}",
            f"Content-Type: {kind}",
            f"Content-Length: {len(data)}",
            "Cache-Control: no-store",
            "Connection: close",
            "",
            "",
        )
        return "\r\n".join(lines).encode() + (b"" if method == b"HEAD" else data)
