# SPDX-License-Identifier: Apache-2.0
"""The receiver over real connections: what it takes, what it refuses, how it ends."""

from __future__ import annotations

import gzip
import http.client
import json
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import grpc
import pytest
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]  # it has no annotations
from opentelemetry.proto.collector.logs.v1.logs_service_pb2_grpc import LogsServiceStub
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2_grpc import MetricsServiceStub
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import TraceServiceStub

from heliograph.apps.collect import Address, Batch, BusyError, Receiver
from heliograph.apps.collect.http_server import HttpServer
from heliograph.apps.collect.intake import Intake
from tests.apps.collect.samples import logs_request, metrics_request, traces_request

LOOPBACK = Address("127.0.0.1", 0)
BODY = traces_request().SerializeToString()
PROTOBUF = {"Content-Type": "application/x-protobuf"}
LIMIT = 64 * 1024


@dataclass
class Taker:
    """Takes batches, unless it is busy."""

    batches: list[Batch] = field(default_factory=list)
    busy: bool = False

    def __call__(self, batch: Batch) -> None:
        if self.busy:
            raise BusyError
        self.batches.append(batch)


@pytest.fixture
def taker() -> Taker:
    return Taker()


@pytest.fixture
def receiver(taker: Taker) -> Iterator[Receiver]:
    with Receiver(taker, http=LOOPBACK, grpc=LOOPBACK, limit=LIMIT) as receiver:
        yield receiver


@pytest.fixture
def connection(receiver: Receiver) -> Iterator[http.client.HTTPConnection]:
    assert receiver.http is not None
    connection = http.client.HTTPConnection(receiver.http.host, receiver.http.port, timeout=20)
    yield connection
    connection.close()


def post(
    connection: http.client.HTTPConnection,
    path: str = "/v1/traces",
    body: bytes = BODY,
    **headers: str,
) -> http.client.HTTPResponse:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request("POST", path, body, PROTOBUF | named)
    return connection.getresponse()


# -- HTTP ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["application/x-protobuf", "application/json; charset=utf-8"])
def test_one_connection_takes_all_signals(
    connection: http.client.HTTPConnection, taker: Taker, kind: str
) -> None:
    requests = {
        "/v1/traces": traces_request(),
        "/v1/metrics": metrics_request(),
        "/v1/logs/": logs_request(),
    }
    for path, request in requests.items():
        body = b"{}" if "json" in kind else request.SerializeToString()
        response = post(
            connection, path, gzip.compress(body), Content_Type=kind, Content_Encoding="gzip"
        )
        answer = response.read()

        assert response.status == 200
        assert response.headers["Content-Type"] == kind.partition(";")[0]
        assert answer == (b"{}" if "json" in kind else b"")
        assert not response.will_close
    if "json" not in kind:
        assert [tuple(map(len, (b.spans, b.metrics, b.logs))) for b in taker.batches] == [
            (1, 0, 0),
            (0, 5, 0),
            (0, 0, 1),
        ]


def test_a_body_may_come_in_chunks(connection: http.client.HTTPConnection, taker: Taker) -> None:
    connection.request(
        "POST", "/v1/traces", iter([BODY[:10], BODY[10:]]), PROTOBUF, encode_chunked=True
    )

    assert connection.getresponse().status == 200
    assert len(taker.batches) == 1


@pytest.mark.parametrize(
    ("path", "body", "headers", "status", "stays"),
    [
        ("/v1/traces", b"\xff\xff", {}, 400, True),
        ("/v1/traces", b"[]", {"Content_Type": "application/json"}, 400, True),
        ("/v1/traces", b"no gzip", {"Content_Encoding": "gzip"}, 400, True),
        ("/v1/traces", BODY, {"Content_Encoding": "br"}, 415, True),
        ("/v1/traces", BODY, {"Content_Type": "text/plain"}, 415, False),
        (
            "/v1/traces",
            gzip.compress(bytes(LIMIT + 1), mtime=0),
            {"Content_Encoding": "gzip"},
            413,
            True,
        ),
        ("/v1/traces", bytes(LIMIT + 1), {}, 413, False),
        ("/v1/traces", bytes(3 * LIMIT), {}, 413, False),
        ("/v1/traces", BODY, {"Content_Length": "-1"}, 400, False),
        ("/v1/profiles", BODY, {}, 404, False),
    ],
)
def test_bad_requests_are_refused_and_counted(
    connection: http.client.HTTPConnection,
    receiver: Receiver,
    taker: Taker,
    path: str,
    body: bytes,
    headers: dict[str, str],
    status: int,
    stays: bool,
) -> None:
    response = post(connection, path, body, **headers)
    answer = response.read()

    assert response.status == status
    assert response.will_close is not stays
    assert receiver.intake.refused == {status: 1}
    if response.headers["Content-Type"] == "application/x-protobuf":
        assert Status.FromString(answer).message
    elif response.headers["Content-Type"] == "application/json":
        assert json.loads(answer)["code"] == 3
    else:
        assert answer.endswith(b"\n")
    assert taker.batches == []
    # Whichever way the connection went on, there is a next request.
    assert post(connection).status == 200


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "OPTIONS"])
def test_only_post_is_understood(
    connection: http.client.HTTPConnection, receiver: Receiver, method: str
) -> None:
    connection.request(method, "/v1/traces")
    response = connection.getresponse()

    assert (response.status, response.headers["Allow"]) == (405, "POST")
    assert receiver.intake.refused == {405: 1}


def test_whoever_is_busy_asks_to_try_again(
    connection: http.client.HTTPConnection, receiver: Receiver, taker: Taker
) -> None:
    taker.busy = True
    response = post(connection)
    response.read()

    assert (response.status, response.headers["Retry-After"]) == (503, "1")
    assert receiver.intake.refused == {503: 1}
    taker.busy = False
    assert post(connection).status == 200


@pytest.mark.parametrize(
    "octets",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\r\n",  # TLS
        b"GARBAGE\r\n\r\n",
        b"POST /v1/traces HTTP/1.1\r\n" + b"A: b\r\n" * 200 + b"\r\n",
        b"POST /v1/traces HTTP/9.9\r\n\r\n",
    ],
)
def test_what_is_no_http_is_answered_in_plain_text_and_closed(
    receiver: Receiver, octets: bytes
) -> None:
    assert receiver.http is not None
    with socket.create_connection((receiver.http.host, receiver.http.port), 20) as sock:
        sock.sendall(octets)
        answer = b""
        while part := sock.recv(4096):
            answer += part

    assert b"<html" not in answer


def test_a_sender_that_goes_away_in_the_middle_harms_nobody(
    connection: http.client.HTTPConnection, receiver: Receiver
) -> None:
    assert receiver.http is not None
    with socket.create_connection((receiver.http.host, receiver.http.port), 20) as sock:
        sock.sendall(b"POST /v1/traces HTTP/1.1\r\nContent-Length: 100\r\n")

    assert post(connection).status == 200


def test_there_are_only_so_many_connections(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("heliograph.apps.collect.http_server._CONNECTIONS", 1)
    assert receiver.http is not None
    at = (receiver.http.host, receiver.http.port)
    first = http.client.HTTPConnection(*at, timeout=20)
    assert post(first).status == 200
    with socket.create_connection(at, 20) as second:
        answer = second.recv(4096)
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert second.recv(4096) == b""
    first.close()

    assert receiver.intake.refused == {503: 1}


def test_closing_ends_connections_that_are_open(taker: Taker) -> None:
    receiver = Receiver(taker)
    assert receiver.http is not None
    connection = http.client.HTTPConnection(receiver.http.host, receiver.http.port, timeout=20)
    post(connection).read()
    receiver.close()
    receiver.close()

    assert connection.sock.recv(100) == b""
    connection.close()
    assert not any(thread.name.startswith("heliograph-collect") for thread in threading.enumerate())


# -- gRPC ------------------------------------------------------------------------------------------


@pytest.fixture
def channel(receiver: Receiver) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(str(receiver.grpc)) as channel:
        yield channel


@pytest.mark.parametrize("compression", [grpc.Compression.NoCompression, grpc.Compression.Gzip])
def test_grpc_takes_all_signals(
    channel: grpc.Channel, taker: Taker, compression: grpc.Compression
) -> None:
    stubs: tuple[Any, ...] = (TraceServiceStub, MetricsServiceStub, LogsServiceStub)
    requests = (traces_request(), metrics_request(), logs_request())
    for stub, request in zip(stubs, requests, strict=True):
        stub(channel).Export(request, compression=compression, timeout=20)

    assert [tuple(map(len, (b.spans, b.metrics, b.logs))) for b in taker.batches] == [
        (1, 0, 0),
        (0, 5, 0),
        (0, 0, 1),
    ]


def call(channel: grpc.Channel, body: bytes) -> grpc.StatusCode:
    path = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
    export: Any = channel.unary_unary(path)
    code: grpc.StatusCode = export.future(body, timeout=20).code()
    return code


@pytest.mark.parametrize(
    ("body", "code", "refused"),
    [
        (BODY, grpc.StatusCode.OK, {}),
        (b"\xff\xff", grpc.StatusCode.INVALID_ARGUMENT, {400: 1}),
        # Refused before any code of ours runs.
        (bytes(LIMIT + 1), grpc.StatusCode.RESOURCE_EXHAUSTED, {}),
    ],
)
def test_grpc_refuses_what_it_cannot_take(
    channel: grpc.Channel,
    receiver: Receiver,
    body: bytes,
    code: grpc.StatusCode,
    refused: dict[int, int],
) -> None:
    assert call(channel, body) == code
    assert receiver.intake.refused == refused


def test_grpc_that_is_busy_is_unavailable(
    channel: grpc.Channel, receiver: Receiver, taker: Taker
) -> None:
    taker.busy = True

    assert call(channel, BODY) == grpc.StatusCode.UNAVAILABLE
    assert receiver.intake.refused == {503: 1}


# -- Addresses -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected", "shown", "loopback"),
    [
        ("127.0.0.1:80", Address("127.0.0.1", 80), "127.0.0.1:80", True),
        ("localhost", Address("localhost", 4318), "localhost:4318", True),
        (":0", Address("127.0.0.1", 0), "127.0.0.1:0", True),
        ("[::1]:80", Address("::1", 80), "[::1]:80", True),
        ("[::1]", Address("::1", 4318), "[::1]:4318", True),
        ("0.0.0.0:80", Address("0.0.0.0", 80), "0.0.0.0:80", False),
        ("[::]", Address("::", 4318), "[::]:4318", False),
        ("collector.example", Address("collector.example", 4318), "collector.example:4318", False),
    ],
)
def test_an_address_is_a_host_and_a_port(
    text: str, expected: Address, shown: str, loopback: bool
) -> None:
    address = Address.parse(text, 4318)

    assert address == expected
    assert str(address) == shown
    assert address.loopback is loopback


@pytest.mark.parametrize("text", ["a:b", "a:65536", "a:-1", "::1", "::1:80", "a:٣", "a:"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no address; write "):
        Address.parse(text, 4318)


@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_an_address_in_use_is_an_error_that_names_it(taker: Taker, protocol: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = Address("127.0.0.1", taken.getsockname()[1])

        given: dict[str, Any] = {protocol: address}
        with pytest.raises(OSError, match=f"can't listen for .* at {address}"):
            Receiver(taker, **given)

    assert not any(thread.name.startswith("heliograph-collect") for thread in threading.enumerate())


def test_a_receiver_may_listen_for_grpc_alone(taker: Taker) -> None:
    with Receiver(taker, http=None, grpc=LOOPBACK) as receiver:
        assert receiver.http is None
        assert receiver.grpc is not None


def test_ipv6_is_named_in_brackets() -> None:
    with pytest.raises(OSError, match=r"can't listen for HTTP at \[2001:db8::1\]:0: "):
        HttpServer(Intake(Taker()), "2001:db8::1", 0)
