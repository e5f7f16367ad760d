# SPDX-License-Identifier: Apache-2.0
"""OTLP over HTTP.

One thread for each connection, so their number is bounded, as are the time a connection may be
silent and the length of a request. A connection is kept for further requests as long as it is
certain where the next one begins.

Source of the answers: opentelemetry-proto, docs/specification.md, "OTLP/HTTP Response".
"""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Final

from google.rpc.code_pb2 import (  # type: ignore[import-untyped]  # it has no annotations
    INVALID_ARGUMENT,
    UNAVAILABLE,
)
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]  # it has no annotations

from heliograph.apps.collect.bodies import BodyError, inflated, read_body
from heliograph.apps.collect.decoding import MalformedError, accepted
from heliograph.apps.collect.intake import BusyError

if TYPE_CHECKING:
    from heliograph.apps.collect.decoding import Encoding
    from heliograph.apps.collect.intake import Intake
    from heliograph.apps.collect.model import Signal

__all__ = ["HttpServer"]

_PATHS: Final[dict[str, Signal]] = {
    "/v1/traces": "traces",
    "/v1/metrics": "metrics",
    "/v1/logs": "logs",
}
_ENCODINGS: Final[dict[str, Encoding]] = {
    "application/x-protobuf": "protobuf",
    "application/json": "json",
}
_TYPES: Final = {encoding: name for name, encoding in _ENCODINGS.items()}

# Our choices: more senders than one machine has, and longer than they are silent between batches.
_CONNECTIONS: Final = 128
_SILENCE: Final = 75.0
_CLOSING: Final = 2.0


class HttpServer:
    """Listens for OTLP over HTTP, from its making until it is closed."""

    def __init__(self, intake: Intake, host: str, port: int) -> None:
        """Listen.

        Raises:
            OSError: It can't listen there.
        """
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            self._server = _Server(intake, family, host, port)
        except OSError as error:
            where = f"{host}:{port}" if family == socket.AF_INET else f"[{host}]:{port}"
            msg = f"can't listen for HTTP at {where}: {error.strerror or error}"
            raise OSError(error.errno, msg) from error
        # Found out often enough whether it shall close, which it does in the one who closes it.
        self._thread = threading.Thread(
            target=self._server.serve_forever,
            args=(0.05,),
            name="heliograph-collect-http",
            daemon=True,
        )
        self._thread.start()

    @property
    def port(self) -> int:
        """The port it listens at."""
        return int(self._server.server_address[1])

    def close(self) -> None:
        """Stop listening and close the connections."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        self._server.close_connections()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = _CONNECTIONS

    def __init__(self, intake: Intake, family: socket.AddressFamily, host: str, port: int) -> None:
        self.address_family = family
        self.intake = intake
        self._connections: set[socket.socket] = set()
        self._changed = threading.Condition()
        super().__init__((host, port), _Handler)

    def server_bind(self) -> None:
        # The base class's own asks for the name of the host, which may take seconds.
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._changed:
            full = len(self._connections) >= _CONNECTIONS
            if not full:
                self._connections.add(request)
        if not full:
            super().process_request(request, client_address)
            return
        self.intake.refuse(HTTPStatus.SERVICE_UNAVAILABLE)
        with contextlib.suppress(OSError):
            request.sendall(_FULL)
        self.shutdown_request(request)

    def shutdown_request(self, request: Any) -> None:
        super().shutdown_request(request)
        with self._changed:
            self._connections.discard(request)
            self._changed.notify_all()

    def handle_error(self, request: Any, client_address: Any) -> None:
        # A sender that goes away while it is answered: it will know.
        pass

    def close_connections(self) -> None:
        with self._changed:
            for each in self._connections:
                with contextlib.suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)
            self._changed.wait_for(lambda: not self._connections, _CLOSING)


_FULL: Final = (
    b"HTTP/1.1 503 Service Unavailable\r\n"
    b"Retry-After: 1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
)


class _Handler(BaseHTTPRequestHandler):
    """One connection."""

    server: _Server
    protocol_version = "HTTP/1.1"
    server_version = "heliograph"
    sys_version = ""
    timeout = _SILENCE
    error_message_format = "%(message)s\n"
    error_content_type = "text/plain; charset=utf-8"
    # A response is small and complete: nothing is gained by waiting for more.
    disable_nagle_algorithm = True
    wbufsize = -1

    def do_POST(self) -> None:
        signal = _PATHS.get(self.path.partition("?")[0].rstrip("/"))
        encoding = _ENCODINGS.get(self.headers.get_content_type())
        try:
            if signal is None:
                known = ", ".join(_PATHS)
                raise BodyError(404, f"there are {known}")
            if encoding is None:
                raise BodyError(415, f"Content-Type may be {' or '.join(_ENCODINGS)}")
            limit = self.server.intake.limit
            body = read_body(
                self.rfile.read,
                self.rfile.readline,
                self.headers.get("Content-Length"),
                self.headers.get("Transfer-Encoding"),
                limit,
            )
            body = inflated(body, self.headers.get("Content-Encoding"), limit)
            self.server.intake.take(signal, body, encoding)
        except BodyError as error:
            self._refuse(error.status, str(error), encoding, reusable=error.reusable)
        except MalformedError as error:
            self._refuse(HTTPStatus.BAD_REQUEST, str(error), encoding, reusable=True)
        except BusyError:
            self._refuse(HTTPStatus.SERVICE_UNAVAILABLE, "busy; try again", encoding, reusable=True)
        else:
            self._answer(HTTPStatus.OK, _TYPES[encoding], accepted(signal, encoding))

    def _refuse(
        self, status: int, message: str, encoding: Encoding | None, *, reusable: bool
    ) -> None:
        self.server.intake.refuse(status)
        if not reusable:
            # Where the next request would begin is not known. What is on its way is read all the
            # same, within bounds: a connection reset would destroy the answer.
            self.close_connection = True
        code = UNAVAILABLE if status == HTTPStatus.SERVICE_UNAVAILABLE else INVALID_ARGUMENT
        if encoding == "protobuf":
            body = Status(code=code, message=message).SerializeToString()
            self._answer(status, _TYPES[encoding], body)
        elif encoding == "json":
            body = json.dumps({"code": code, "message": message}).encode()
            self._answer(status, _TYPES[encoding], body)
        else:
            self._answer(status, "text/plain; charset=utf-8", f"{message}\n".encode())
        if not reusable:
            self._drain()

    def _answer(self, status: int, content_type: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        if status == HTTPStatus.SERVICE_UNAVAILABLE:
            self.send_header("Retry-After", "1")
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

    def _drain(self) -> None:
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_WR)
            self.connection.settimeout(_CLOSING)
            room = 2 * self.server.intake.limit
            while room > 0 and (part := self.rfile.read1(2**16)):
                room -= len(part)

    def _only_post(self) -> None:
        self.server.intake.refuse(HTTPStatus.METHOD_NOT_ALLOWED)
        self.close_connection = True
        self.send_response(HTTPStatus.METHOD_NOT_ALLOWED)
        self.send_header("Allow", "POST")
        self.send_header("Content-Length", "0")
        self.send_header("Connection", "close")
        self.end_headers()

    # The names are those that the base class looks for.
    do_GET = do_HEAD = do_PUT = _only_post  # noqa: N815 - see above
    do_DELETE = do_OPTIONS = do_PATCH = _only_post  # noqa: N815 - see above

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base's name
        # What was refused is counted; there is no log of the rest.
        pass
