# SPDX-License-Identifier: Apache-2.0
"""Collectors that are away, hang, babble or refuse: bounded time, bounded memory, honest counts."""

from __future__ import annotations

import gc
import logging
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import grpc
import pytest
import trustme
from google.rpc.error_details_pb2 import RetryInfo  # type: ignore[import-untyped]  # has no types
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]  # has no types

from heliograph import Telemetry
from heliograph.otel import Backoff, Bridge, configure
from tests.otel.bakery import bakery
from tests.otel.endpoints import (
    Receiver,
    Reply,
    closing,
    garbage,
    grpc_receiver,
    hanging,
    http_receiver,
    raw_server,
    refusing_port,
)

Start = Callable[..., Bridge]
# What a return may be late by, beyond the deadline: the promise, and the machine's noise.
LATE = 0.1 + 0.4


@pytest.fixture
def telemetry() -> Telemetry:
    return Telemetry()


@pytest.fixture
def start(telemetry: Telemetry) -> Iterator[Start]:
    started: list[Bridge] = []

    def make(port: int, scheme: str = "http", **options: Any) -> Bridge:
        settings: dict[str, Any] = {
            "catalogs": bakery(),
            "telemetry": telemetry,
            "signals": ["traces"],
            "delay": 600,
            "backoff": Backoff(600, 600),
            "timeout": 60,
            **options,
        }
        started.append(configure(f"{scheme}://localhost:{port}", **settings))
        return started[-1]

    yield make
    for bridge in started:
        bridge.shutdown(0)


def bake(telemetry: Telemetry, times: int = 1) -> None:
    for _ in range(times):
        with telemetry.span("bakery.bake", {"oven": "stone"}):
            pass


def lines(caplog: pytest.LogCaptureFixture, level: int) -> list[str]:
    return [
        record.getMessage()
        for record in caplog.records
        if record.levelno == level and record.name == "heliograph.otel"
    ]


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
class TestDeadline:
    """Flush and shutdown return by their deadline, whoever is on the other side."""

    @pytest.mark.parametrize(
        "other_side", [hanging, garbage, closing], ids=lambda each: each.__name__
    )
    def test_flush_and_shutdown_keep_it(
        self, other_side: Any, protocol: str, start: Start, telemetry: Telemetry
    ) -> None:
        with other_side() as port:
            bridge = start(port, protocol=protocol)
            bake(telemetry, 3)

            began = time.monotonic()
            result = bridge.flush(0.3)
            flushed = time.monotonic()
            ended = bridge.shutdown(0.3)
            shut = time.monotonic()

        assert flushed - began < 0.3 + LATE
        assert shut - flushed < 0.3 + LATE
        assert result.status in {"timed out", "failed"}
        assert (result.exported["traces"], result.queued["traces"]) == (0, 3)
        assert ended.status in {"timed out", "failed"}
        assert (ended.dropped["traces"], ended.queued["traces"]) == (3, 0)
        assert bridge.health().signals["traces"].dropped == {"shutdown": 3}

    def test_a_refused_connection_fails_at_once(
        self, protocol: str, start: Start, telemetry: Telemetry
    ) -> None:
        bridge = start(refusing_port(), protocol=protocol)
        bake(telemetry)

        began = time.monotonic()
        result = bridge.flush(30)

        assert time.monotonic() - began < 15
        assert (result.status, result.queued["traces"]) == ("failed", 1)
        assert not result
        assert (
            "no connection" in result.errors["traces"] or "UNAVAILABLE" in result.errors["traces"]
        )

    def test_a_hanging_collector_holds_no_thread_after_the_shutdown(
        self, protocol: str, start: Start, telemetry: Telemetry
    ) -> None:
        connected = threading.Event()
        with raw_server(lambda _connection: connected.set()) as port:
            bridge = start(port, protocol=protocol)
            bake(telemetry)
            assert bridge.flush(0.1).status == "timed out"
            assert connected.wait(30)
            assert bridge._pipeline is not None
            (worker,) = bridge._pipeline._workers.values()

            assert bridge.shutdown(0).status == "timed out"

            worker.join(30)
            assert not worker._thread.is_alive()


def test_a_slow_collector_is_waited_for_within_the_deadline(
    start: Start, telemetry: Telemetry
) -> None:
    with http_receiver() as receiver:
        bridge = start(receiver.port)
        release = threading.Event()
        receiver.then(Reply(release=release))
        bake(telemetry)
        assert bridge.flush(0.05).status == "timed out"
        release.set()

        assert bridge.flush(30)
        assert len(receiver.taken("traces")) == 1


class TestAnswers:
    """What becomes of a batch is decided by the answer."""

    @pytest.mark.parametrize("status", [429, 502, 503, 504])
    def test_what_may_be_taken_another_time_is_kept(
        self, status: int, start: Start, telemetry: Telemetry
    ) -> None:
        with http_receiver() as receiver:
            bridge = start(receiver.port)
            receiver.then(Reply(status))
            bake(telemetry, 2)

            result = bridge.flush(30)

            assert (result.status, result.queued["traces"]) == ("failed", 2)
            assert f"HTTP status {status}" in result.errors["traces"]
            assert bridge.flush(30)
            assert len(receiver.taken("traces")) == 2

    @pytest.mark.parametrize("status", [301, 400, 401, 404, 500])
    def test_what_will_not_be_taken_is_dropped_and_counted(
        self, status: int, start: Start, telemetry: Telemetry
    ) -> None:
        with http_receiver() as receiver:
            bridge = start(receiver.port)
            receiver.then(Reply(status, headers={"location": "/elsewhere"}))
            bake(telemetry, 2)

            result = bridge.flush(30)

            assert (result.status, result.dropped["traces"]) == ("failed", 2)
            assert bridge.health().signals["traces"].dropped == {"refused": 2}
            assert len(receiver.arrived) == 1

    def test_a_second_refusal_in_a_row_spares_what_waits(
        self, start: Start, telemetry: Telemetry
    ) -> None:
        with http_receiver() as receiver:
            bridge = start(receiver.port, batch_size=2)
            release = threading.Event()
            receiver.then(Reply(401, release=release), Reply(401), Reply(401))
            bake(telemetry, 2)
            receiver.wait_for(lambda: len(receiver.arrived) == 1)
            bake(telemetry, 8)
            release.set()

            bridge.flush(30)

            health = bridge.health().signals["traces"]
            assert health.dropped["refused"] + health.queued == 10
            assert health.queued >= 4

    def test_a_batch_that_is_too_large_is_halved(self, start: Start, telemetry: Telemetry) -> None:
        with http_receiver() as receiver:
            bridge = start(receiver.port)
            receiver.then(Reply(413), Reply(413))
            bake(telemetry, 8)

            result = bridge.flush(30)

            assert result.status == "ok"
            assert len(receiver.taken("traces")) == 8
            sizes = [
                len(each.request.resource_spans[0].scope_spans[0].spans)
                for each in receiver.requests("traces")
            ]
            assert sizes[:3] == [8, 4, 2]

    @pytest.mark.parametrize("when", ["0", "Wed, 21 Oct 2015 07:28:00 GMT"])
    def test_the_collector_says_when_to_come_back(
        self, when: str, start: Start, telemetry: Telemetry
    ) -> None:
        with http_receiver() as receiver:
            bridge = start(receiver.port)
            receiver.then(Reply(503, headers={"Retry-After": when}))
            bake(telemetry)

            assert bridge.flush(30)
            assert [each.reply.status for each in receiver.arrived] == [503, 200]

    @pytest.mark.parametrize("when", ["3600", "Wed, 21 Oct 2099 07:28:00 GMT", "soon", "-1"])
    def test_a_flush_does_not_wait_beyond_its_deadline_for_that(
        self, when: str, start: Start, telemetry: Telemetry
    ) -> None:
        with http_receiver() as receiver:
            bridge = start(receiver.port)
            receiver.then(Reply(503, headers={"Retry-After": when}))
            bake(telemetry)

            began = time.monotonic()
            assert bridge.flush(10).status == "failed"
            assert time.monotonic() - began < 5

    @pytest.mark.parametrize(
        ("kind", "body", "status"),
        [
            ("text/html; charset=utf-8", b"<html>Please log in</html>", "failed"),
            ("application/x-protobuf", b"\xff\xff\xff", "failed"),
            ("application/x-protobuf", b"", "ok"),
            ("application/json", b"{}", "ok"),
        ],
    )
    def test_a_page_is_no_answer_of_a_collector(
        self, kind: str, body: bytes, status: str, start: Start, telemetry: Telemetry
    ) -> None:
        with http_receiver() as receiver:
            bridge = start(receiver.port)
            receiver.then(Reply(body=body, kind=kind))
            bake(telemetry)

            assert bridge.flush(30).status == status
            dropped = bridge.health().signals["traces"].dropped
            assert dropped == ({} if status == "ok" else {"refused": 1})

    def test_an_answer_without_end_is_not_read_for_ever(
        self, start: Start, telemetry: Telemetry
    ) -> None:
        def babble(connection: Any) -> None:
            connection.recv(65536)
            connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n\r\n")
            while True:
                connection.sendall(b"x" * 65536)

        with raw_server(babble) as port:
            bridge = start(port)
            bake(telemetry)

            assert bridge.flush(30).status == "failed"
            assert "4 MiB" in (bridge.health().signals["traces"].error or "")

    @pytest.mark.parametrize(
        ("code", "kept"),
        [
            (grpc.StatusCode.UNAVAILABLE, True),
            (grpc.StatusCode.DEADLINE_EXCEEDED, True),
            (grpc.StatusCode.INVALID_ARGUMENT, False),
            (grpc.StatusCode.UNAUTHENTICATED, False),
            (grpc.StatusCode.RESOURCE_EXHAUSTED, False),
        ],
        ids=lambda each: getattr(each, "name", str(each)),
    )
    def test_grpc_statuses_mean_the_same(
        self, code: grpc.StatusCode, kept: bool, start: Start, telemetry: Telemetry
    ) -> None:
        with grpc_receiver(codes=[(code, "no", ())]) as receiver:
            bridge = start(receiver.port, protocol="grpc")
            bake(telemetry)

            result = bridge.flush(30)

            assert (result.status, result.queued["traces"]) == ("failed", int(kept))
            assert sum(bridge.health().signals["traces"].dropped.values()) == int(not kept)

    @pytest.mark.parametrize("form", ["retryinfo", "details", "broken"])
    def test_grpc_says_when_to_come_back_too(
        self, form: str, start: Start, telemetry: Telemetry
    ) -> None:
        info = RetryInfo()
        info.retry_delay.nanos = 1_000_000
        status = Status()
        status.details.add().Pack(info)
        trailing = {
            "retryinfo": ("google.rpc.retryinfo-bin", info.SerializeToString()),
            "details": ("grpc-status-details-bin", status.SerializeToString()),
            "broken": ("google.rpc.retryinfo-bin", b"\xff"),
        }[form]
        codes = [(grpc.StatusCode.UNAVAILABLE, "busy", (trailing,))]
        with grpc_receiver(codes=codes) as receiver:
            bridge = start(receiver.port, protocol="grpc")
            bake(telemetry)

            assert bridge.flush(30).status == ("failed" if form == "broken" else "ok")


class TestTls:
    """Encrypted connections, and those that should be."""

    @pytest.fixture
    def authority(self) -> trustme.CA:
        return trustme.CA()

    @pytest.fixture
    def context(self, authority: trustme.CA) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("localhost").configure_cert(context)
        return context

    @pytest.fixture
    def trusted(self, authority: trustme.CA, tmp_path: Path) -> str:
        path = tmp_path / "authority.pem"
        authority.cert_pem.write_to_path(str(path))
        return str(path)

    def test_a_trusted_collector_gets_everything(
        self, context: ssl.SSLContext, trusted: str, start: Start, telemetry: Telemetry
    ) -> None:
        with http_receiver(tls=context) as receiver:
            bridge = start(receiver.port, "https", certificate_file=trusted)
            bake(telemetry)

            assert bridge.flush(30)
            assert len(receiver.taken("traces")) == 1

    def test_a_trusted_collector_gets_everything_over_grpc(
        self, authority: trustme.CA, trusted: str, start: Start, telemetry: Telemetry
    ) -> None:
        issued = authority.issue_cert("localhost")
        credentials = grpc.ssl_server_credentials(
            [(issued.private_key_pem.bytes(), issued.cert_chain_pems[0].bytes())]
        )
        with grpc_receiver(credentials=credentials) as receiver:
            bridge = start(receiver.port, "https", protocol="grpc", certificate_file=trusted)
            bake(telemetry)

            assert bridge.flush(30), bridge.health()
            assert len(receiver.taken("traces")) == 1

    @pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
    @pytest.mark.parametrize("mismatch", ["unknown authority", "plain client", "plain server"])
    def test_a_mismatch_is_one_clear_warning(
        self,
        mismatch: str,
        protocol: str,
        context: ssl.SSLContext,
        start: Start,
        telemetry: Telemetry,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        tls = None if mismatch == "plain server" else context
        scheme = "http" if mismatch == "plain client" else "https"
        with http_receiver(tls=tls) as receiver:
            bridge = start(receiver.port, scheme, protocol=protocol)
            bake(telemetry)
            for _ in range(3):
                result = bridge.flush(30)
                assert (result.status, result.queued["traces"]) == ("failed", 1)

        (warning,) = lines(caplog, logging.WARNING)
        assert "traces can't be exported to" in warning
        if protocol == "http/protobuf" and mismatch == "unknown authority":
            assert "certificate verify failed" in warning


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
def test_sending_resumes_by_itself_and_nothing_that_was_kept_is_lost(
    protocol: str, start: Start, telemetry: Telemetry, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "heliograph.otel")
    serve = http_receiver if protocol == "http/protobuf" else grpc_receiver
    receiver = Receiver()
    options: dict[str, Any] = {
        "protocol": protocol,
        "queue_size": 100,
        "batch_size": 10,
        "delay": 0.01,
        "backoff": Backoff(0.02, 0.02),
    }
    with serve(receiver=receiver):
        bridge = start(receiver.port, **options)
        bake(telemetry, 20)
        receiver.wait_for(lambda: len(receiver.taken("traces")) == 20)
        assert bridge.flush(30)

    bake(telemetry, 150)
    assert bridge.flush(30).status == "failed"
    away = bridge.health().signals["traces"]
    assert (away.queued, away.dropped, away.away) == (100, {"queue_full": 50}, True)

    with serve(port=receiver.port, receiver=receiver):
        receiver.wait_for(lambda: len(receiver.taken("traces")) == 120)
        bake(telemetry, 30)
        receiver.wait_for(lambda: len(receiver.taken("traces")) == 150)
        assert bridge.flush(30)

    back = bridge.health().signals["traces"]
    assert (back.queued, back.exported, back.dropped) == (0, 150, {"queue_full": 50})
    assert not back.away
    assert len({span.span_id for span in receiver.taken("traces")}) == 150
    assert len(lines(caplog, logging.WARNING)) == 1
    (recovered,) = lines(caplog, logging.INFO)
    assert "50 were dropped" in recovered
    others = [r for r in caplog.records if r.name.startswith("opentelemetry")]
    assert others == []


def test_several_signals_share_one_warning(
    start: Start, telemetry: Telemetry, caplog: pytest.LogCaptureFixture
) -> None:
    bridge = start(refusing_port(), signals=["traces", "logs"])
    bake(telemetry)
    telemetry.execute("bakery.door.opened", {"count": 1})

    bridge.flush(30)

    assert len(lines(caplog, logging.WARNING)) == 1


def test_memory_is_bounded_while_the_collector_is_away(start: Start, telemetry: Telemetry) -> None:
    import tracemalloc

    with hanging() as port:
        bridge = start(port, queue_size=500, batch_size=100)
        bake(telemetry, 2000)
        gc.collect()
        tracemalloc.start()
        before, _ = tracemalloc.get_traced_memory()
        bake(telemetry, 5000)
        gc.collect()
        after, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()

        health = bridge.health().signals["traces"]
        assert health.queued == 500
        assert health.dropped == {"queue_full": 6500}
        assert after - before < 100_000


def test_drops_become_few_events_however_many_they_are(start: Start, telemetry: Telemetry) -> None:
    told: list[int] = []
    telemetry.attach(
        "test",
        "heliograph.otel.dropped",
        lambda _, measurements, *__: told.append(measurements["count"]),
    )
    bridge = start(refusing_port(), queue_size=10, batch_size=10)
    for _ in range(20):
        bake(telemetry, 50)
        bridge.flush(30)

    assert len(told) == 1
    assert told[0] in {40, 50}
    bridge.shutdown(1)
    assert sum(told) == sum(bridge.health().signals["traces"].dropped.values()) - 10  # at shutdown


def test_an_observer_that_raises_does_not_end_the_worker(
    start: Start, telemetry: Telemetry, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(event: str, *_: Any) -> None:
        if event == "heliograph.otel.export":
            raise RuntimeError("not in my test")

    with http_receiver() as receiver:
        bridge = start(receiver.port)
        with telemetry.observe(refuse, on_failure="raise"):
            bake(telemetry)
            bridge.flush(30)
        bake(telemetry)

        assert bridge.flush(30)
        assert len(receiver.taken("traces")) == 2
    assert "failed unexpectedly" in caplog.text


EXIT = """
import sys, time
import heliograph
from heliograph import otel
bridge = otel.configure(sys.argv[1], protocol=sys.argv[2], catalogs=["modboss", "heliograph"])
for _ in range(100):
    with heliograph.span("modboss.read", {"schema": "pump", "names": ["a"]}):
        pass
print(time.monotonic(), flush=True)
"""


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
@pytest.mark.parametrize(
    "other_side", [hanging, garbage, closing, lambda: nullcontext(refusing_port())],
    ids=["hanging", "garbage", "closing", "refusing"],
)  # fmt: skip
def test_the_process_exits_within_three_seconds(
    other_side: Callable[[], AbstractContextManager[int]], protocol: str
) -> None:
    with other_side() as port:
        child = subprocess.run(
            [sys.executable, "-c", EXIT, f"http://127.0.0.1:{port}", protocol],
            check=False,
            capture_output=True,
            text=True,
            timeout=50,
        )
        ended = time.monotonic()

    assert child.returncode == 0, child.stderr
    assert "Traceback" not in child.stderr
    assert ended - float(child.stdout) < 3.0


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
def test_what_waits_at_the_exit_is_exported(protocol: str) -> None:
    with (http_receiver if protocol == "http/protobuf" else grpc_receiver)() as receiver:
        subprocess.run(
            [sys.executable, "-c", EXIT, f"http://127.0.0.1:{receiver.port}", protocol],
            check=True,
            timeout=50,
            stdout=subprocess.DEVNULL,
        )

        assert len(receiver.taken("traces")) == 100
        assert receiver.taken("metrics")


def test_two_bridges_exit_no_slower_than_one() -> None:
    script = EXIT.replace("bridge = otel", "for _ in range(2): otel")
    with hanging() as port:
        child = subprocess.run(
            [sys.executable, "-c", script, f"http://127.0.0.1:{port}", "http/protobuf"],
            check=True,
            capture_output=True,
            text=True,
            timeout=50,
        )
        ended = time.monotonic()

    assert ended - float(child.stdout) < 3.0
