# SPDX-License-Identifier: Apache-2.0
"""Our metrics against the same instrumentation written by hand on the SDK's instruments."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import pytest
from opentelemetry import trace
from opentelemetry.sdk.metrics import Counter, Histogram, MeterProvider
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    ExponentialHistogramDataPoint,
    HistogramDataPoint,
    InMemoryMetricReader,
    MetricsData,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags

from heliograph import Error, Ok, Telemetry
from heliograph.catalog import Catalog, load
from heliograph.metrics import Aggregate, from_catalog
from heliograph.otel.metrics import MeterBridge, sampled_span, to_metrics_data

RESOURCE = Resource({"service.name": "test"})
Preferred: TypeAlias = dict[type, AggregationTemporality]
CUMULATIVE: Preferred = {}
DELTA: Preferred = {Counter: AggregationTemporality.DELTA, Histogram: AggregationTemporality.DELTA}


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return load("modboss")


class Read:
    """One read of a device: what its events carry."""

    def __init__(self, rng: random.Random) -> None:
        self.schema = rng.choice(["Thermostat", "Pump", "K\u00fchlung"])
        self.object_type = rng.choice(["coil", "holding_register"])
        self.result = rng.choice([Ok(1), Ok([2]), Error("timeout"), Error(ValueError("x"))])
        # On the bounds, beside them, and anywhere.
        bound = rng.choice([500_000, 1_000_000, 5_000_000, 75_000_000, 10_000_000_000])
        self.request = rng.choice([bound, bound + 1, bound - 1, rng.randrange(20_000_000_000)])
        self.duration = self.request + rng.randrange(1_000_000)
        self.counts = {
            "batches": rng.randrange(1, 5),
            "total_attempts": rng.randrange(1, 9),
            "objects_requested": rng.randrange(99),
            "addresses_read": rng.randrange(120),
            "gap_addresses_read": rng.randrange(3),
            "largest_gap": rng.randrange(9),
        }
        self.attempt = rng.choice([1, 1, 2])


def emit(telemetry: Telemetry, read: Read) -> None:
    base = {"schema": read.schema, "names": ["a"], "context": {"password": "secret"}}
    request = {
        **base,
        "object_type": read.object_type,
        "starting_address": 7,
        "address_count": 2,
        "attempt": read.attempt,
        "max_attempts": 3,
    }
    clock = {"monotonic_time": 1}
    telemetry.execute("modboss.read.start", {**clock, "system_time": 2}, base)
    telemetry.execute("modboss.read_callback.start", {**clock, "system_time": 2}, request)
    telemetry.execute(
        "modboss.read_callback.stop",
        {**clock, "duration": read.request, "gap_addresses_read": 0, "largest_gap": 0},
        {**request, "result": read.result},
    )
    telemetry.execute(
        "modboss.read.stop",
        {**clock, "duration": read.duration, **read.counts},
        {**base, "result": read.result},
    )


class ByHand:
    """What somebody would write who knows OpenTelemetry and no catalog."""

    def __init__(self, catalog: Catalog, temporality: Preferred) -> None:
        self.reader = InMemoryMetricReader(preferred_temporality=temporality)
        self.provider = MeterProvider([self.reader], resource=RESOURCE, shutdown_on_exit=False)
        [document] = catalog.documents
        meter = self.provider.get_meter(document.name, document.version, document.schema_url)

        def made(create: Callable[..., Any], name: str, **options: Any) -> Any:
            spec = catalog.metrics[name]
            return create(name, spec.unit, spec.brief, **options)

        def duration(name: str) -> Any:
            bounds = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075]
            bounds += [0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10]
            return made(meter.create_histogram, name, explicit_bucket_boundaries_advisory=bounds)

        self.read = duration("modboss.read.duration")
        self.request = duration("modbus.client.operation.duration")
        self.requests = made(meter.create_counter, "modbus.client.requests")
        self.retries = made(meter.create_counter, "modbus.client.retries")
        self.gap = made(meter.create_gauge, "modboss.read.largest_gap")
        self.sums = {
            key: made(meter.create_counter, name)
            for key, name in {
                "batches": "modboss.read.batches",
                "total_attempts": "modboss.read.attempts",
                "objects_requested": "modboss.read.objects",
                "addresses_read": "modbus.client.addresses",
                "gap_addresses_read": "modbus.client.gap.addresses",
            }.items()
        }

    def observe(self, read: Read) -> None:
        schema = {"modboss.schema": read.schema}
        kind = {**schema, "modbus.object.type": read.object_type}
        failed = {}
        if isinstance(read.result, Error):
            is_text = isinstance(read.result.reason, str)
            failed = {"error.type": read.result.reason if is_text else "ValueError"}
        self.requests.add(1, kind)
        if read.attempt > 1:
            self.retries.add(1, kind)
        self.request.record(read.request / 1e9, {**kind, **failed})
        self.read.record(read.duration / 1e9, {**schema, **failed})
        for key, instrument in self.sums.items():
            instrument.add(read.counts[key], schema)
        self.gap.set(read.counts["largest_gap"], schema)

    def collect(self) -> MetricsData | None:
        return self.reader.get_metrics_data()


def comparable(data: MetricsData | None, *, exemplars: bool = True) -> Any:
    """All that the data say, but times, and in an order of its own."""
    assert data is not None
    found = []
    for resource in data.resource_metrics:
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                temporality = getattr(metric.data, "aggregation_temporality", None)
                monotonic = getattr(metric.data, "is_monotonic", None)
                identity = (metric.name, metric.unit, metric.description)
                kind = (type(metric.data).__name__, temporality, monotonic)
                of = (resource.resource, resource.schema_url, scope.scope, scope.schema_url)
                points = metric.data.data_points
                found += [(identity, kind, of, facts(point, exemplars)) for point in points]
    return sorted(found, key=lambda each: (each[0], sorted(each[3]["attributes"].items())))


def facts(point: Any, exemplars: bool) -> dict[str, Any]:
    said: dict[str, Any] = {"attributes": dict(point.attributes)}
    said["started"] = point.start_time_unix_nano is not None
    if isinstance(point, HistogramDataPoint | ExponentialHistogramDataPoint):
        said |= {"count": point.count, "min": point.min, "max": point.max}
        # The SDK adds up rounded seconds, we add up nanoseconds.
        said["sum"] = pytest.approx(point.sum, rel=1e-12)
    if isinstance(point, HistogramDataPoint):
        said["buckets"] = list(zip(point.explicit_bounds, point.bucket_counts, strict=False))
        said["last"] = point.bucket_counts[-1]
    elif isinstance(point, ExponentialHistogramDataPoint):
        said["scale"] = point.scale
        said["zeros"] = point.zero_count
    else:
        said["value"] = point.value
        said["type"] = type(point.value)
    if exemplars:
        said["exemplars"] = [
            (each.value, each.trace_id, each.span_id, each.filtered_attributes)
            for each in point.exemplars
        ]
    return said


@pytest.mark.parametrize("temporality", ["cumulative", "delta"])
def test_our_pipeline_says_what_instruments_by_hand_say(catalog: Catalog, temporality: Any) -> None:
    rng = random.Random(7)
    telemetry = Telemetry()
    by_hand = ByHand(catalog, DELTA if temporality == "delta" else CUMULATIVE)
    ours = Aggregate(from_catalog(catalog), telemetry=telemetry, exemplar=sampled_span())
    ours.attach()
    for _ in range(3):
        for _ in range(200):
            read = Read(rng)
            by_hand.observe(read)
            emit(telemetry, read)
        said = to_metrics_data(ours.collect(temporality), RESOURCE)
        assert comparable(said) == comparable(by_hand.collect())
    assert ours.skipped == {}


def test_exemplars_are_those_of_instruments_by_hand(catalog: Catalog) -> None:
    rng = random.Random(8)
    telemetry = Telemetry()
    by_hand = ByHand(catalog, CUMULATIVE)
    ours = Aggregate(from_catalog(catalog), telemetry=telemetry, exemplar=sampled_span())
    ours.attach()
    sampled = 0
    for number in range(1, 60):
        # One observation for each collection: of several, which one is kept is up to chance.
        context = SpanContext(number, number + 1000, False, TraceFlags(number % 3 != 0))
        with trace.use_span(NonRecordingSpan(context)):
            read = Read(rng)
            by_hand.observe(read)
            emit(telemetry, read)
        mine = comparable(to_metrics_data(ours.collect(), RESOURCE))
        assert mine == comparable(by_hand.collect())
        sampled += sum(bool(each[3]["exemplars"]) for each in mine)
    assert sampled > 100


def test_a_given_provider_says_what_instruments_by_hand_say(catalog: Catalog) -> None:
    rng = random.Random(9)
    telemetry = Telemetry()
    by_hand = ByHand(catalog, CUMULATIVE)
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader], resource=RESOURCE, shutdown_on_exit=False)
    MeterBridge(catalog, provider, telemetry).attach()
    for number in range(1, 4):
        with trace.use_span(NonRecordingSpan(SpanContext(number, 5, False, TraceFlags(1)))):
            for _ in range(100):
                read = Read(rng)
                by_hand.observe(read)
                emit(telemetry, read)
        mine, theirs = reader.get_metrics_data(), by_hand.collect()
        assert comparable(mine, exemplars=False) == comparable(theirs, exemplars=False)
        histograms = [
            [each for each in comparable(data) if each[1][0] == "Histogram"]
            for data in (mine, theirs)
        ]
        assert histograms[0] == histograms[1]
        assert any(each[3]["exemplars"] for each in histograms[0])


def test_a_given_provider_makes_deltas_that_add_up_to_those_by_hand(catalog: Catalog) -> None:
    rng = random.Random(10)
    telemetry = Telemetry()
    by_hand = ByHand(catalog, DELTA)
    from opentelemetry.sdk.metrics import ObservableCounter

    deltas: Preferred = {**DELTA, ObservableCounter: AggregationTemporality.DELTA}
    readers = [
        InMemoryMetricReader(preferred_temporality=deltas),
        InMemoryMetricReader(),
    ]
    provider = MeterProvider(readers, resource=RESOURCE, shutdown_on_exit=False)
    MeterBridge(catalog, provider, telemetry).attach()
    totals: dict[Any, float] = {}
    for _ in range(4):
        for _ in range(20):
            read = Read(rng)
            by_hand.observe(read)
            emit(telemetry, read)
        mine = comparable(readers[0].get_metrics_data(), exemplars=False)
        theirs = comparable(by_hand.collect(), exemplars=False)
        # A series that stood still is reported as 0 by an observable counter, and not otherwise.
        assert [each for each in mine if each[1][0] != "Sum" or each[3]["value"]] == [
            each for each in theirs if each[1][0] != "Sum" or each[3]["value"]
        ]
        for identity, kind, _, said in mine:
            if kind[0] == "Sum":
                key = (identity[0], *sorted(said["attributes"].items()))
                totals[key] = totals.get(key, 0) + said["value"]
    for identity, kind, _, said in comparable(readers[1].get_metrics_data(), exemplars=False):
        if kind[0] == "Sum":
            assert kind[1] is AggregationTemporality.CUMULATIVE
            assert totals[identity[0], *sorted(said["attributes"].items())] == said["value"]


def test_order_of_exemplars_is_by_bucket(catalog: Catalog) -> None:
    telemetry = Telemetry()
    by_hand = ByHand(catalog, CUMULATIVE)
    ours = Aggregate(from_catalog(catalog), telemetry=telemetry, exemplar=sampled_span())
    ours.attach()
    with trace.use_span(NonRecordingSpan(SpanContext(1, 2, False, TraceFlags(1)))):
        for seed in range(40):
            read = Read(random.Random(seed))
            by_hand.observe(read)
            emit(telemetry, read)

    def histograms(data: MetricsData | None) -> Sequence[Any]:
        return [each for each in comparable(data) if each[1][0] == "Histogram"]

    assert histograms(to_metrics_data(ours.collect(), RESOURCE)) == histograms(by_hand.collect())
