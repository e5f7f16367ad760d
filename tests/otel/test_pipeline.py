# SPDX-License-Identifier: Apache-2.0
"""The pipeline on good days: what arrives, in which portions, and what flushing says of it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from heliograph import Telemetry
from heliograph.otel import Backoff, Bridge, configure, lifetime
from heliograph.propagation import Propagator
from tests.otel.bakery import bakery
from tests.otel.endpoints import (
    PROTOBUF,
    RESPONSES,
    Receiver,
    Reply,
    grpc_receiver,
    http_receiver,
)

Start = Callable[..., Bridge]


@pytest.fixture
def telemetry() -> Telemetry:
    return Telemetry()


@pytest.fixture
def start(telemetry: Telemetry) -> Iterator[Start]:
    """Configures bridges on a dispatcher of the test's own, and ends them."""
    started: list[Bridge] = []

    def make(receiver: Receiver | int, **options: Any) -> Bridge:
        port = receiver if isinstance(receiver, int) else receiver.port
        settings: dict[str, Any] = {
            "catalogs": bakery(),
            "telemetry": telemetry,
            "delay": 600,
            "metric_interval": 600,
            "backoff": Backoff(600, 600),
            "timeout": 10,
            **options,
        }
        started.append(configure(f"http://127.0.0.1:{port}", **settings))
        return started[-1]

    yield make
    for bridge in started:
        bridge.shutdown(0)


@pytest.fixture(params=["http/protobuf", "grpc"])
def protocol(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def receiver(protocol: str) -> Iterator[Receiver]:
    with (http_receiver if protocol == "http/protobuf" else grpc_receiver)() as receiver:
        yield receiver


def bake(telemetry: Telemetry, times: int = 1) -> None:
    for _ in range(times):
        with telemetry.span("bakery.bake", {"oven": "stone"}) as baking:
            baking.measurements["loaves"] = 3
            telemetry.execute("bakery.door.opened", {"count": 1}, {"oven": "stone"})


def test_all_three_signals_arrive_with_their_scope_and_resource(
    receiver: Receiver, start: Start, telemetry: Telemetry, protocol: str
) -> None:
    bridge = start(
        receiver,
        protocol=protocol,
        service_name="bakery",
        resource_attributes={"shop.floor": 2},
        headers={"X-Token": "t"},
        catalogs=None,
    )
    with telemetry.span("modboss.read", {"schema": "pump", "names": ["a"]}):
        telemetry.execute("partisan.membership.peer.join", {"count": 1}, {"node": "n1"})

    result = bridge.flush(10)

    assert result.status == "ok", result
    assert result.exported["traces"] == 1
    assert result.exported["logs"] == 1
    assert result.exported["metrics"] >= 1
    (span,) = receiver.taken("traces")
    (record,) = receiver.taken("logs")
    assert (span.name, record.event_name) == ("modboss.read", "partisan.membership.peer.join")
    assert record.trace_id == span.trace_id
    assert {metric.name for metric in receiver.taken("metrics")} >= {"modboss.read.duration"}
    for arrived in receiver.arrived:
        (block,) = getattr(arrived.request, arrived.request.DESCRIPTOR.fields[0].name)
        attributes = {each.key: each.value for each in block.resource.attributes}
        assert attributes["service.name"].string_value == "bakery"
        assert attributes["shop.floor"].int_value == 2
        assert attributes["service.instance.id"].string_value
        assert arrived.headers["x-token"] == "t"
        assert arrived.headers["user-agent"].startswith("heliograph/")
    (block,) = receiver.requests("traces")[0].request.resource_spans
    (scoped,) = block.scope_spans
    (modboss,) = [each for each in bridge.catalog.documents if each.name == "modboss"]
    assert (scoped.scope.name, scoped.scope.version) == ("modboss", modboss.version)
    assert scoped.schema_url == modboss.schema_url


@pytest.mark.parametrize("compression", ["gzip", "deflate", "none"])
def test_requests_are_compressed_as_asked(
    compression: Any, start: Start, telemetry: Telemetry
) -> None:
    with http_receiver() as receiver:
        bridge = start(receiver, compression=compression)
        bake(telemetry)

        assert bridge.flush(10)
        arrived = receiver.requests("traces")[0]
        assert arrived.headers.get("content-encoding", "none") == compression


def test_a_queue_is_sent_in_batches_of_the_size_asked_for(start: Start) -> None:
    telemetry = Telemetry()
    with http_receiver() as receiver:
        bridge = start(receiver, telemetry=telemetry, batch_size=10, queue_size=30)
        # The worker is kept busy with the first batch, so that the others wait together.
        release = threading.Event()
        receiver.then(Reply(release=release))
        bake(telemetry, 10)
        receiver.wait_for(lambda: len(receiver.arrived) >= 1)
        bake(telemetry, 15)
        release.set()

        result = bridge.flush(10)

        assert result.status == "ok"
        assert len(receiver.taken("traces")) == 25
        sizes = [
            len(each.request.resource_spans[0].scope_spans[0].spans)
            for each in receiver.requests("traces")
        ]
        assert max(sizes) == 10


def test_a_full_batch_is_sent_without_waiting_for_the_delay(
    start: Start, telemetry: Telemetry
) -> None:
    with http_receiver() as receiver:
        start(receiver, batch_size=5)
        bake(telemetry, 5)

        receiver.wait_for(lambda: bool(receiver.arrived))


def test_items_are_sent_after_the_delay(start: Start, telemetry: Telemetry) -> None:
    with http_receiver() as receiver:
        start(receiver, catalogs=None, delay=0.01, metric_interval=0.01)
        telemetry.execute("heliograph.catalog.violation", {"count": 1}, {"event_name": "x"})
        with telemetry.span("modboss.read", {"schema": "pump", "names": ["a"]}):
            pass

        receiver.wait_for(lambda: {each.signal for each in receiver.arrived} == set(RESPONSES))


def test_what_is_beyond_the_queue_is_dropped_and_counted(
    start: Start, telemetry: Telemetry
) -> None:
    with http_receiver() as receiver:
        bridge = start(receiver, queue_size=8, batch_size=8)
        release = threading.Event()
        receiver.then(Reply(release=release), Reply(release=release))
        bake(telemetry, 8)
        receiver.wait_for(lambda: len(receiver.arrived) >= 2)  # spans and log events are on the way
        bake(telemetry, 5)
        health = bridge.health()
        release.set()

        assert health.signals["traces"].queued == 8
        assert health.signals["traces"].dropped == {"queue_full": 5}
        assert health.signals["logs"].dropped == {"queue_full": 5}
        assert bridge.flush(10)
        assert len(receiver.taken("traces")) == 8
        assert bridge.health().signals["traces"].exported == 8


def test_health_is_exported_like_any_other_event(start: Start, telemetry: Telemetry) -> None:
    with http_receiver() as receiver:
        bridge = start(receiver, catalogs=["heliograph"], queue_size=2, batch_size=2)
        heard: list[tuple[str, Any, Any]] = []
        for event in ("export", "dropped", "queue", "spans"):
            telemetry.attach(
                event,
                f"heliograph.otel.{event}",
                lambda name, measurements, metadata, _: heard.append(
                    (name, measurements, metadata)
                ),
            )
        for _ in range(5):
            telemetry.execute("heliograph.catalog.violation", {"count": 1}, {"event_name": "x"})

        assert bridge.flush(10)
        assert bridge.flush(10)

        names = {name for name, _, _ in heard}
        assert names >= {"heliograph.otel.export", "heliograph.otel.queue", "heliograph.otel.spans"}
        metrics = {metric.name for metric in receiver.taken("metrics")}
        assert metrics >= {
            "heliograph.otel.export.duration",
            "heliograph.otel.exported_items",
            "heliograph.otel.queue.size",
            "heliograph.otel.queue.capacity",
            "heliograph.otel.span.open",
        }
        assert not [
            record
            for record in receiver.taken("logs")
            if record.event_name == "heliograph.otel.export"
        ]


def test_deltas_wait_in_the_aggregate_and_none_is_lost(start: Start, telemetry: Telemetry) -> None:
    with http_receiver() as receiver:
        bridge = start(receiver, catalogs=["modboss"], temporality="delta", signals=["metrics"])

        def read() -> None:
            with telemetry.span("modboss.read", {"schema": "pump", "names": ["a"]}):
                pass

        receiver.then(Reply(503))
        read()
        assert bridge.flush(10).status == "failed"
        read()
        assert bridge.flush(10)  # what waited
        read()
        assert bridge.flush(10)

        counts = [
            metric.histogram.data_points[0].count
            for metric in receiver.taken("metrics")
            if metric.name == "modboss.read.duration"
        ]
        assert sum(counts) == 3


def test_totals_are_made_anew_after_a_failure(start: Start, telemetry: Telemetry) -> None:
    with http_receiver() as receiver:
        bridge = start(receiver, catalogs=["modboss"], signals=["metrics"])
        receiver.then(Reply(503))
        for _ in range(2):
            with telemetry.span("modboss.read", {"schema": "pump", "names": ["a"]}):
                pass
            bridge.flush(10)

        (metric,) = [
            metric for metric in receiver.taken("metrics") if metric.name == "modboss.read.duration"
        ]
        assert metric.histogram.data_points[0].count == 2
        assert bridge.health().signals["metrics"].dropped == {}


def test_shutdown_exports_what_waits_and_leaves_nothing_behind(
    receiver: Receiver, telemetry: Telemetry, protocol: Any
) -> None:
    before = set(threading.enumerate())
    filters = [list(logging.getLogger(name).filters) for name in logging.root.manager.loggerDict]
    bridge = configure(
        f"http://127.0.0.1:{receiver.port}",
        protocol=protocol,
        catalogs=bakery(),
        telemetry=telemetry,
    )
    open_span = telemetry.span("bakery.knead", {})
    open_span.__enter__()
    bake(telemetry, 3)
    assert type(telemetry.propagator) is not Propagator

    result = bridge.shutdown(10)

    open_span.__exit__(None, None, None)
    assert result.status == "ok"
    assert len(receiver.taken("traces")) == 4  # with the one that was open
    assert telemetry.list_handlers() == []
    assert type(telemetry.propagator) is Propagator
    assert {each for each in threading.enumerate() if each.name.startswith("heliograph")} <= before
    assert lifetime._living == {}
    assert [list(logging.getLogger(name).filters) for name in logging.root.manager.loggerDict][
        : len(filters)
    ] == filters
    assert bridge.shutdown(10).status == "ok"
    assert bridge.flush(10).status == "ok"


def test_what_comes_after_the_shutdown_is_counted(start: Start, telemetry: Telemetry) -> None:
    with http_receiver() as receiver:
        bridge = start(receiver)
        assert bridge._pipeline is not None
        put = bridge._pipeline.putter("traces")
        bridge.shutdown(10)

        put(object())

        assert bridge.health().signals["traces"].dropped == {"shutdown": 1}


def test_two_bridges_side_by_side_export_everything_twice(
    start: Start, telemetry: Telemetry
) -> None:
    with http_receiver() as first, http_receiver() as second:
        one, two = start(first), start(second)
        bake(telemetry)
        assert one.flush(10)
        assert two.flush(10)
        one.detach()
        assert type(telemetry.propagator) is not Propagator  # the other one needs it still
        bake(telemetry)
        assert two.flush(10)

        assert len(first.taken("logs")) == 1
        assert len(second.taken("logs")) == 2


def test_a_propagator_of_the_application_stays(start: Start, telemetry: Telemetry) -> None:
    class Mine(Propagator):
        pass

    mine = telemetry.propagator = Mine()
    with http_receiver() as receiver:
        bridge = start(receiver)
        assert telemetry.propagator is mine
        bridge.detach()
        assert telemetry.propagator is mine


def test_a_partly_rejected_batch_is_counted_and_logged(
    receiver: Receiver,
    start: Start,
    telemetry: Telemetry,
    protocol: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    bridge = start(receiver, protocol=protocol, signals=["traces"])
    answer = RESPONSES["traces"]()
    answer.partial_success.rejected_spans = 2
    answer.partial_success.error_message = "two are too old"
    receiver.then(Reply(body=answer.SerializeToString(), kind=PROTOBUF))
    bake(telemetry, 5)

    result = bridge.flush(10)

    assert (result.status, result.exported["traces"], result.dropped["traces"]) == ("failed", 3, 2)
    assert bridge.health().signals["traces"].dropped == {"rejected": 2}
    assert "rejected 2 of 5 items of traces: two are too old" in caplog.text


def test_one_item_that_cannot_be_encoded_costs_only_itself(
    start: Start, telemetry: Telemetry
) -> None:
    with http_receiver() as receiver:
        bridge = start(receiver, signals=["traces"])
        bake(telemetry, 6)
        assert bridge._pipeline is not None
        bridge._pipeline.putter("traces")(object())
        bake(telemetry, 6)

        result = bridge.flush(10)

        assert len(receiver.taken("traces")) == 12
        assert bridge.health().signals["traces"].dropped == {"unencodable": 1}
        assert result.status == "failed"


@pytest.mark.parametrize("timeout", [-1, float("nan"), "3", True, None])
def test_a_timeout_that_is_none_is_refused(timeout: Any, start: Start) -> None:
    with http_receiver() as receiver:
        bridge = start(receiver)
        with pytest.raises(ValueError, match="timeout is"):
            bridge.flush(timeout)
        with pytest.raises(ValueError, match="timeout is"):
            bridge.shutdown(timeout)


def test_a_bridge_is_a_context_manager(telemetry: Telemetry) -> None:
    with http_receiver() as receiver:
        with configure(f"http://127.0.0.1:{receiver.port}", catalogs=bakery(), telemetry=telemetry):
            bake(telemetry)

        assert len(receiver.taken("traces")) == 1
        assert telemetry.list_handlers() == []
