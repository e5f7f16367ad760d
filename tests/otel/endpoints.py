# SPDX-License-Identifier: Apache-2.0
"""Collectors on the loopback, good and bad: what an exporter may meet on the other side."""

from __future__ import annotations

import gzip
import socket
import ssl
import threading
import zlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import grpc
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
    ExportLogsServiceRequest,
    ExportLogsServiceResponse,
)
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from tests.ports import free_port

REQUESTS: dict[str, Any] = {
    "traces": ExportTraceServiceRequest,
    "metrics": ExportMetricsServiceRequest,
    "logs": ExportLogsServiceRequest,
}
RESPONSES: dict[str, Any] = {
    "traces": ExportTraceServiceResponse,
    "metrics": ExportMetricsServiceResponse,
    "logs": ExportLogsServiceResponse,
}
SERVICES = {
    "opentelemetry.proto.collector.trace.v1.TraceService": "traces",
    "opentelemetry.proto.collector.metrics.v1.MetricsService": "metrics",
    "opentelemetry.proto.collector.logs.v1.LogsService": "logs",
}
DECODERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.decompress,
    "deflate": zlib.decompress,
    "none": bytes,
}
PROTOBUF = "application/x-protobuf"
# Nothing that goes well takes nearly as long; a test that waits in vain fails, and does not hang.
PATIENCE = 30.0


@dataclass
class Reply:
    """What to answer to a request."""

    status: int = 200
    body: bytes = b""
    kind: str = PROTOBUF
    headers: dict[str, str] = field(default_factory=dict)
    release: threading.Event | None = None
    """Answer only when this is set."""


@dataclass
class Arrived:
    """One request."""

    signal: str
    headers: dict[str, str]
    request: Any
    reply: Reply


def spans_of(request: Any) -> list[Any]:
    return [
        span
        for each in request.resource_spans
        for scope in each.scope_spans
        for span in scope.spans
    ]


def records_of(request: Any) -> list[Any]:
    return [
        record
        for each in request.resource_logs
        for scope in each.scope_logs
        for record in scope.log_records
    ]


def metrics_of(request: Any) -> list[Any]:
    return [
        metric
        for each in request.resource_metrics
        for scope in each.scope_metrics
        for metric in scope.metrics
    ]


class Receiver:
    """Takes OTLP, and answers as it is told: the replies given to `then`, and after them ok."""

    port: int

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._replies: list[Reply] = []
        self.arrived: list[Arrived] = []

    def then(self, *replies: Reply) -> None:
        """Answer the next requests so."""
        self._replies += replies

    def take(self, signal: str, headers: dict[str, str], body: bytes) -> Reply:
        request = REQUESTS[signal].FromString(body)
        with self._changed:
            reply = self._replies.pop(0) if self._replies else Reply()
            self.arrived.append(Arrived(signal, headers, request, reply))
            self._changed.notify_all()
        if reply.release is not None:
            reply.release.wait(PATIENCE)
        return reply

    def wait_for(self, condition: Callable[[], bool]) -> None:
        with self._changed:
            assert self._changed.wait_for(condition, PATIENCE), self.arrived

    def taken(self, signal: str) -> list[Any]:
        """The items that were answered with success."""
        items = {"traces": spans_of, "metrics": metrics_of, "logs": records_of}[signal]
        with self._changed:
            return [
                item
                for each in self.arrived
                if each.signal == signal and each.reply.status == 200
                for item in items(each.request)
            ]

    def requests(self, signal: str) -> list[Arrived]:
        with self._changed:
            return [each for each in self.arrived if each.signal == signal]


@contextmanager
def http_receiver(
    port: int = 0, tls: ssl.SSLContext | None = None, receiver: Receiver | None = None
) -> Iterator[Receiver]:
    """An OTLP/HTTP receiver; over TLS with a context."""
    taking = receiver or Receiver()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            encoding = self.headers.get("content-encoding", "none")
            body = DECODERS[encoding](body)
            headers = {key.lower(): value for key, value in self.headers.items()}
            reply = taking.take(self.path.rsplit("/", 1)[-1], headers, body)
            with suppress(OSError):  # the other side may have given up
                self.send_response(reply.status)
                self.send_header("content-type", reply.kind)
                self.send_header("content-length", str(len(reply.body)))
                for name, value in reply.headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(reply.body)

        def log_message(self, *args: Any) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        block_on_close = False

        def get_request(self) -> Any:
            connection, address = super().get_request()
            if tls is not None:
                connection = tls.wrap_socket(
                    connection, server_side=True, do_handshake_on_connect=False
                )
            open_connections.append(connection)
            return connection, address

        def handle_error(self, request: Any, client_address: Any) -> None:
            pass  # a client that gives up is what some tests are about

    open_connections: list[socket.socket] = []
    server = Server(("127.0.0.1", port), Handler)
    taking.port = server.server_port
    thread = threading.Thread(
        target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True
    )
    thread.start()
    try:
        yield taking
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
        for connection in open_connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()


@contextmanager
def grpc_receiver(
    port: int = 0,
    credentials: grpc.ServerCredentials | None = None,
    receiver: Receiver | None = None,
    codes: Sequence[tuple[grpc.StatusCode, str, tuple[tuple[str, bytes], ...]]] = (),
) -> Iterator[Receiver]:
    """An OTLP/gRPC receiver; it fails the first calls with the given codes."""
    receiver = receiver or Receiver()
    failures = list(codes)

    def export(signal: str) -> Callable[[bytes, Any], bytes]:
        def handle(body: bytes, context: Any) -> bytes:
            headers = dict(context.invocation_metadata())
            if failures:
                code, details, trailing = failures.pop(0)
                context.set_trailing_metadata(trailing)
                context.abort(code, details)
            return receiver.take(signal, headers, body).body

        return handle

    server = grpc.server(ThreadPoolExecutor(4))
    for service, signal in SERVICES.items():
        method: Any = grpc.unary_unary_rpc_method_handler(export(signal))
        server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler(service, {"Export": method}),)
        )
    address = f"127.0.0.1:{port}"
    if credentials is None:
        receiver.port = server.add_insecure_port(address)
    else:
        receiver.port = server.add_secure_port(address, credentials)
    server.start()
    try:
        yield receiver
    finally:
        server.stop(0).wait()


def refusing_port() -> int:
    """A port on which nobody listens."""
    return free_port()


@contextmanager
def raw_server(speak: Callable[[socket.socket], None]) -> Iterator[int]:
    """A server that does with each connection whatever `speak` does."""
    listening = socket.create_server(("127.0.0.1", 0))
    connections: list[socket.socket] = []

    def serve() -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            connections.append(connection)
            with suppress(OSError):
                speak(connection)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield int(listening.getsockname()[1])
    finally:
        with suppress(OSError):
            listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        thread.join()
        for connection in connections:
            connection.close()


def hanging() -> Any:
    """Accepts, and never answers."""
    return raw_server(lambda connection: None)


def garbage() -> Any:
    """Answers in a language of its own."""

    def speak(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(b"SSH-2.0-OpenSSH_9.9\r\nwhatever\r\n")
        connection.shutdown(socket.SHUT_WR)

    return raw_server(speak)


def closing() -> Any:
    """Closes each connection without a word."""
    return raw_server(lambda connection: connection.close())
