# SPDX-License-Identifier: Apache-2.0
"""A real collector between bridge and far side: all signals, both protocols, and outages."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest

import heliograph.modboss.events
import heliograph.otel
from heliograph import Error, Telemetry, default
from heliograph.apps.collect import HistogramPoint, NumberPoint
from heliograph.catalog import Catalog, load, load_text
from heliograph.otel import Backoff
from heliograph.otel.configuration import Protocol, Signal
from tests.otel.bakery import BAKERY
from tests.otel.everything import Registry, execute_everything
from tests.otel.receiver import FarSide, Rotel

CATALOG = (
    BAKERY
    + """
metrics:
  bakery.customers:
    {brief: Customers, instrument: counter, event: bakery.door.opened, unit: "{customer}",
     tags: [oven]}
  bakery.loaves:
    {brief: Loaves baked, instrument: sum, event: bakery.bake.stop, measurement: loaves,
     tags: [oven]}
  bakery.people:
    {brief: People inside, instrument: sum, monotonic: false, event: bakery.door.opened,
     measurement: count, unit: "{person}"}
  bakery.batch:
    {brief: Loaves of the last batch, instrument: last_value, event: bakery.bake.stop,
     measurement: loaves}
  bakery.bake.duration:
    {brief: Time of baking, instrument: histogram, unit: s, measurement: duration,
     event: [bakery.bake.stop, bakery.bake.exception], tags: [oven, error.type],
     buckets: [0.1, 1, 10]}
  bakery.knead.duration:
    {brief: Time of kneading, instrument: histogram, event: bakery.knead.stop,
     measurement: duration, unit: ms, buckets: exponential}
  bakery.pay.duration:
    {brief: Time of paying, instrument: summary, event: bakery.pay.stop, measurement: duration,
     unit: s}
"""
)
PROTOCOLS: tuple[Protocol, ...] = ("http/protobuf", "grpc")
QUEUED: tuple[Signal, ...] = ("traces", "logs")


def bakery() -> Catalog:
    return Catalog([load_text(CATALOG, "bakery.yaml")])


@pytest.mark.parametrize("onward", ["http", "grpc"])
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_all_signals_arrive_behind_the_collector(
    protocol: Protocol, onward: str, tmp_path: Path
) -> None:
    telemetry = Telemetry()
    with FarSide() as far, Rotel(getattr(far, onward), onward, tmp_path) as collector:
        with heliograph.otel.configure(
            collector.endpoint(protocol),
            protocol=protocol,
            compression="gzip",
            catalogs=bakery(),
            service_name="bakery-1",
            resource_attributes={"deployment.environment.name": "test"},
            telemetry=telemetry,
        ) as bridge:
            with telemetry.span("bakery.bake", {"oven": "large"}) as baking:
                telemetry.execute("bakery.door.opened", {"count": 2}, {"oven": "large"})
                with telemetry.span("bakery.knead"):
                    pass
                baking.measurements["loaves"] = 40
                baking.metadata["result"] = Error("burnt")
            assert bridge.flush(timeout=20)
        bake, knead = far.span("bake bread"), far.span("bakery.knead")
        opened, loaves = far.log("bakery.door.opened"), far.metric("bakery.loaves")
        duration = far.metric("bakery.bake.duration")
        exponential = far.metric("bakery.knead.duration")

    assert (bake.parent_id, bake.kind, bake.status) == (None, "producer", "error")
    assert bake.attributes == {"bakery.oven": "large", "bakery.loaves": 40, "error.type": "burnt"}
    assert (knead.trace_id, knead.parent_id) == (bake.trace_id, bake.span_id)
    assert bake.start <= knead.start <= knead.end <= bake.end

    assert (opened.trace_id, opened.span_id) == (bake.trace_id, bake.span_id)
    assert (opened.severity, opened.severity_text) == (13, "WARN")
    assert bake.start <= opened.time <= bake.end
    assert opened.attributes == {"bakery.count": 2, "bakery.oven": "large"}

    assert (loaves.unit, loaves.kind, loaves.temporality) == ("{loaf}", "sum", "cumulative")
    assert loaves.monotonic is True
    (number,) = loaves.points
    assert isinstance(number, NumberPoint)
    assert (number.value, number.attributes) == (40, {"bakery.oven": "large"})
    assert (duration.unit, duration.kind) == ("s", "histogram")
    (histogram,) = duration.points
    assert isinstance(histogram, HistogramPoint)
    assert list(histogram.bounds) == [0.1, 1, 10]
    assert histogram.count == 1
    assert histogram.sum == pytest.approx(bake.duration / 1e9, rel=0.1)
    assert (exponential.unit, exponential.kind) == ("ms", "exponential_histogram")

    for each in (bake, knead, opened, loaves, duration):
        assert each.source.service == "bakery-1"
        assert each.source.resource["deployment.environment.name"] == "test"
        scope = each.source.scope
        assert (scope.name, scope.version) == ("bakery", "2.1.0")
        assert scope.schema_url == "https://bakery.example/schemas/2.1.0"


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_differences_of_metrics_arrive_as_such(protocol: Protocol, tmp_path: Path) -> None:
    telemetry = Telemetry()
    with FarSide() as far, Rotel(far.grpc, "grpc", tmp_path) as collector:
        with heliograph.otel.configure(
            collector.endpoint(protocol),
            protocol=protocol,
            catalogs=bakery(),
            telemetry=telemetry,
            temporality="delta",
        ) as bridge:
            for count in (1, 2):
                for _ in range(count):
                    telemetry.execute("bakery.door.opened", {"count": 1}, {"oven": "large"})
                assert bridge.flush(timeout=20)
        far.wait(lambda: len([each for each in far.metrics if each.name == "bakery.customers"]) > 1)
        customers = [each for each in far.metrics if each.name == "bakery.customers"]

    assert {each.temporality for each in customers} == {"delta"}
    points = [point for each in customers for point in each.points]
    assert [point.value for point in points if isinstance(point, NumberPoint)] == [1, 2]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_what_is_sent_after_an_outage_arrives_and_what_was_dropped_is_counted(
    protocol: Protocol, tmp_path: Path
) -> None:
    telemetry, queue_size = Telemetry(), 100
    with (
        FarSide() as far,
        Rotel(far.http, "http", tmp_path) as collector,
        heliograph.otel.configure(
            collector.endpoint(protocol),
            protocol=protocol,
            catalogs=bakery(),
            queue_size=queue_size,
            batch_size=20,
            delay=0.01,
            backoff=Backoff(0.01, 0.05),
            telemetry=telemetry,
        ) as bridge,
    ):
        sent = 0

        def open_doors(count: int) -> list[str]:
            nonlocal sent
            orders = [f"order-{sent + number}" for number in range(count)]
            sent += count
            for order in orders:
                with telemetry.span("bakery.bake", {"oven": "large", "order": order}):
                    telemetry.execute("bakery.door.opened", {"count": 1}, {"order": order})
            return orders

        def arrived() -> list[object]:
            return [span.attributes["order.id"] for span in far.spans]

        def arrived_logs() -> list[object]:
            return [log.attributes["order.id"] for log in far.logs]

        def customers() -> list[float]:
            metrics = [each for each in far.metrics if each.name == "bakery.customers"]
            points = [point for each in metrics for point in each.points]
            return [p.value or 0 for p in points if isinstance(p, NumberPoint)]

        before = open_doors(10)
        assert bridge.flush(timeout=20)
        far.wait(lambda: len(far.spans) == len(far.logs) == 10)

        collector.kill()
        during = open_doors(5 * queue_size)
        failed = bridge.flush(timeout=5)
        health = bridge.health()
        assert failed.status == "failed"
        for signal in QUEUED:
            state = health.signals[signal]
            assert state.away
            assert state.error
            assert state.dropped["queue_full"] + state.queued == len(during)
            assert queue_size <= state.queued <= queue_size + 20  # a batch may be on its way

        collector.start()
        assert bridge.flush(timeout=20)
        after = open_doors(50)
        assert bridge.flush(timeout=20)
        health = bridge.health()
        dropped = {signal: health.signals[signal].dropped["queue_full"] for signal in QUEUED}
        far.wait(lambda: len(far.spans) == sent - dropped["traces"])
        far.wait(lambda: len(far.logs) == sent - dropped["logs"])
        # Metrics are kept as sums, so an outage loses none of them.
        far.wait(lambda: max(customers(), default=0) == sent)
        spans, logs = arrived(), arrived_logs()

    for found, signal in zip((spans, logs), QUEUED, strict=True):
        # Once each, all from before and after, and of the outage what was kept.
        assert len(set(found)) == len(found)
        assert set(before) | set(after) <= set(found)
        assert health.signals[signal].exported == len(found)
        assert health.signals[signal].queued == 0
        assert not health.signals[signal].away
        assert dropped[signal] == sent - len(found)


@pytest.mark.parametrize(
    ("name", "handles"),
    [
        ("bakery", None),
        ("modboss", heliograph.modboss.events),
        ("partisan", None),
        ("heliograph", None),
    ],
)
def test_the_registry_describes_exactly_what_is_received(
    name: str, handles: ModuleType | None, tmp_path: Path
) -> None:
    catalog = bakery() if name == "bakery" else load(name)
    (document,) = catalog.documents
    telemetry = Telemetry() if handles is None else default()
    registry = Registry(document)
    with FarSide() as far, Rotel(far.http, "http", tmp_path) as collector:
        bridge = heliograph.otel.configure(
            collector.endpoint("http/protobuf"), catalogs=catalog, telemetry=telemetry
        )
        execute_everything(document, telemetry, handles)
        assert bridge.shutdown(timeout=20)
        collector.stop()
        differences = registry.check(far.spans, far.metrics, far.logs)

    assert differences == []
