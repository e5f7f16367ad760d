# SPDX-License-Identifier: Apache-2.0
"""Metrics in the SDK's terms, and the bridge onto a provider that the application has."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import pytest
from opentelemetry import metrics as api
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.sdk.metrics import MeterProvider, ObservableCounter
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    ExponentialHistogram,
    Gauge,
    Histogram,
    InMemoryMetricReader,
    MetricsData,
    Sum,
)
from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation, View
from opentelemetry.sdk.resources import Resource
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags

from heliograph import Telemetry, metrics
from heliograph.metrics import Aggregate, Definition, Scope
from heliograph.metrics.points import OVERFLOW
from heliograph.otel.metrics import FALLBACK_BUCKETS, MeterBridge, sampled_span, to_metrics_data

EVENT = "shop.order.placed"
ORDERS = metrics.counter("shop.orders", event=EVENT, tags=["id"], description="All")
STOCK = metrics.sum("shop.stock", event=EVENT, tags=["id"], monotonic=False)
OPEN = metrics.last_value("shop.open", event=EVENT, tags=["id"])
SIZES = metrics.histogram("shop.sizes", event=EVENT, buckets=[1, 2], unit="By", tags=["id"])
SPREAD = metrics.histogram(
    "shop.spread", event=EVENT, buckets="exponential", unit="s", measurement_unit="ms", tags=["id"]
)
RANGE = metrics.summary("shop.range", event=EVENT, tags=["id"])
ALL = (ORDERS, STOCK, OPEN, SIZES, SPREAD, RANGE)


@pytest.fixture
def telemetry() -> Telemetry:
    return Telemetry()


def place(telemetry: Telemetry, number: float = 1, identity: str = "a") -> None:
    measurements = dict.fromkeys(["orders", "stock", "open", "sizes", "spread", "range"], number)
    telemetry.execute(EVENT, measurements, {"id": identity})


def found(data: MetricsData | None) -> dict[str, Any]:
    assert data is not None
    return {
        metric.name: metric
        for resource in data.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    }


def values(reader: InMemoryMetricReader, name: str = "shop.orders") -> dict[str, Any]:
    points = found(reader.get_metrics_data())[name].data.data_points
    return {point.attributes.get("id", OVERFLOW): point.value for point in points}


def provider(**options: Any) -> tuple[MeterProvider, InMemoryMetricReader]:
    reader = InMemoryMetricReader(**options)
    return MeterProvider([reader], shutdown_on_exit=False), reader


# -- The pipeline is ours -------------------------------------------------------------------------


def test_points_become_the_sdks(telemetry: Telemetry) -> None:
    span = NonRecordingSpan(SpanContext(7, 8, False, TraceFlags(1)))
    aggregate = Aggregate(ALL, telemetry=telemetry, exemplar=sampled_span())
    with aggregate, trace.use_span(span):
        place(telemetry, 2)
    resource = Resource({"service.name": "shop"}, "https://shop.example/1")
    data = to_metrics_data(aggregate.collect(now=1000), resource)
    said = found(data)
    assert {name: type(each.data) for name, each in said.items()} == {
        "shop.orders": Sum,
        "shop.stock": Sum,
        "shop.open": Gauge,
        "shop.sizes": Histogram,
        "shop.spread": ExponentialHistogram,
        "shop.range": Histogram,
    }
    orders = said["shop.orders"]
    assert (orders.unit, orders.description) == ("{event}", "All")
    assert orders.data.is_monotonic
    assert not said["shop.stock"].data.is_monotonic
    spread = said["shop.spread"].data.data_points[0]
    assert (spread.count, spread.sum, spread.positive.bucket_counts) == (1, 0.002, (1,))
    assert [(e.value, e.trace_id, e.span_id) for e in spread.exemplars] == [(0.002, 7, 8)]
    [of_resource] = data.resource_metrics
    assert of_resource.resource == resource
    assert of_resource.schema_url == "https://shop.example/1"
    encoded = encode_metrics(data)
    assert len(encoded.resource_metrics[0].scope_metrics[0].metrics) == 6


def test_only_zeros_are_an_exponential_histogram_too(telemetry: Telemetry) -> None:
    with Aggregate([SPREAD], telemetry=telemetry) as aggregate:
        place(telemetry, 0)
    data = to_metrics_data(aggregate.collect(), Resource.get_empty())
    [point] = found(data)["shop.spread"].data.data_points
    assert (point.zero_count, point.scale, list(point.positive.bucket_counts)) == (1, 0, [0])
    encode_metrics(data)


def test_metrics_are_told_by_their_scopes(telemetry: Telemetry) -> None:
    from dataclasses import replace

    ours = replace(ORDERS, scope=Scope("shop", "1.2", "https://shop.example/1.2"))
    with Aggregate([ours, STOCK], telemetry=telemetry) as aggregate:
        place(telemetry)
    data = to_metrics_data(aggregate.collect(), Resource.get_empty())
    scopes = data.resource_metrics[0].scope_metrics
    assert [(s.scope.name, s.scope.version, s.schema_url) for s in scopes] == [
        ("shop", "1.2", "https://shop.example/1.2"),
        ("heliograph.metrics", None, ""),
    ]


@pytest.mark.parametrize("temporality", ["cumulative", "delta"])
def test_temporality_is_the_points(telemetry: Telemetry, temporality: Any) -> None:
    with Aggregate([ORDERS], telemetry=telemetry) as aggregate:
        place(telemetry)
    said = found(to_metrics_data(aggregate.collect(temporality), Resource.get_empty()))
    assert said["shop.orders"].data.aggregation_temporality.name.lower() == temporality


def test_the_sampled_span_is_that_of_the_current_context() -> None:
    sampled = sampled_span()
    assert sampled() is None
    with trace.use_span(NonRecordingSpan(SpanContext(7, 8, False, TraceFlags(1)))):
        assert sampled() == (7, 8)
        assert sampled() == (7, 8)
        with trace.use_span(NonRecordingSpan(SpanContext(7, 9, False, TraceFlags(0)))):
            assert sampled() is None
        assert sampled() == (7, 8)
    assert sampled() is None


# -- The provider is the application's ------------------------------------------------------------


def test_a_bridge_attached_again_goes_on_with_its_totals(telemetry: Telemetry) -> None:
    given, reader = provider()
    bridge = MeterBridge(ALL, given, telemetry)
    bridge.attach()
    bridge.attach()
    place(telemetry)
    bridge.detach()
    assert telemetry.list_handlers() == []
    place(telemetry)
    assert values(reader) == {"a": 1}
    bridge.attach()
    place(telemetry)
    assert values(reader) == {"a": 2}
    assert values(reader, "shop.stock") == {"a": 2}
    assert values(reader, "shop.open") == {"a": 1}


def test_deltas_never_fall_below_zero_over_a_detachment(telemetry: Telemetry) -> None:
    delta = {ObservableCounter: AggregationTemporality.DELTA}
    given, reader = provider(preferred_temporality=delta)
    bridge = MeterBridge(ALL, given, telemetry)
    said = []
    for _ in range(3):
        bridge.attach()
        place(telemetry)
        place(telemetry)
        said.append(values(reader)["a"])
        bridge.detach()
        said.append(values(reader)["a"])
    assert said == [2, 0, 2, 0, 2, 0]


def test_a_series_that_has_ended_is_observed_no_more(telemetry: Telemetry) -> None:
    reader = InMemoryMetricReader()
    level = metrics.last_value(
        "shop.level", event=EVENT, measurement="count", tags=["country"], ended_by="shop.closed"
    )
    bridge = MeterBridge([level], MeterProvider([reader]), telemetry)
    bridge.attach()
    for country in ("de", "at"):
        telemetry.execute(EVENT, {"count": 3}, {"country": country})

    def countries() -> list[object]:
        data = reader.get_metrics_data()
        assert data is not None
        [metric] = data.resource_metrics[0].scope_metrics[0].metrics
        return [dict(point.attributes or {})["country"] for point in metric.data.data_points]

    assert countries() == ["de", "at"]
    telemetry.execute("shop.closed", {}, {"country": "de"})
    assert countries() == ["at"]
    bridge.detach()


def test_what_detached_bridges_leave_is_bounded(telemetry: Telemetry) -> None:
    few = metrics.counter("shop.orders", event=EVENT, tags=["id"], cardinality_limit=2)
    given, reader = provider()
    bridge = MeterBridge([few], given, telemetry)
    for number in range(5):
        bridge.attach()
        place(telemetry, identity=f"id{number}")
        bridge.detach()
    assert values(reader) == {"id0": 1, "id1": 1, "id2": 1, OVERFLOW: 2}


def test_two_bridges_onto_one_provider_add_up(
    telemetry: Telemetry, caplog: pytest.LogCaptureFixture
) -> None:
    given, reader = provider()
    other = Telemetry()
    with caplog.at_level(logging.WARNING):
        bridges = [MeterBridge(ALL, given, each) for each in (telemetry, other)]
        for bridge in bridges:
            bridge.attach()
    for each in (telemetry, other, other):
        place(each)
    assert values(reader) == {"a": 3}
    [point] = found(reader.get_metrics_data())["shop.sizes"].data.data_points
    assert point.count == 3
    bridges[0].detach()
    place(telemetry)
    place(other)
    assert values(reader) == {"a": 4}
    assert caplog.records == []


def test_one_bridge_onto_each_of_two_providers(telemetry: Telemetry) -> None:
    readers = []
    for _ in range(2):
        given, reader = provider()
        readers.append(reader)
        MeterBridge(ALL, given, telemetry).attach()
    place(telemetry)
    assert [values(reader) for reader in readers] == [{"a": 1}, {"a": 1}]


def test_a_view_may_drop_attributes(telemetry: Telemetry) -> None:
    reader = InMemoryMetricReader()
    views = [View(instrument_name="shop.*", attribute_keys=set())]
    given = MeterProvider([reader], views=views, shutdown_on_exit=False)
    MeterBridge(ALL, given, telemetry).attach()
    place(telemetry, 2, "a")
    place(telemetry, 3, "b")
    for _ in range(2):
        said = found(reader.get_metrics_data())
        [orders], [stock] = (said[n].data.data_points for n in ("shop.orders", "shop.stock"))
        assert (orders.value, stock.value, orders.attributes) == (2, 5, {})
        [sizes] = said["shop.sizes"].data.data_points
        assert (sizes.count, sizes.sum) == (2, 5)


def test_a_view_may_choose_exponential_buckets(telemetry: Telemetry) -> None:
    reader = InMemoryMetricReader()
    views = [
        View(instrument_name="shop.spread", aggregation=ExponentialBucketHistogramAggregation())
    ]
    given = MeterProvider([reader], views=views, shutdown_on_exit=False)
    MeterBridge(ALL, given, telemetry).attach()
    place(telemetry)
    said = found(reader.get_metrics_data())
    assert isinstance(said["shop.spread"].data, ExponentialHistogram)


def bounds(reader: InMemoryMetricReader, name: str) -> Sequence[float]:
    [point] = found(reader.get_metrics_data())[name].data.data_points
    explicit: Sequence[float] = point.explicit_bounds
    return explicit


def test_an_exponential_histogram_has_bounds_for_durations_otherwise(
    telemetry: Telemetry,
) -> None:
    given, reader = provider()
    MeterBridge(ALL, given, telemetry).attach()
    place(telemetry)
    assert tuple(bounds(reader, "shop.spread")) == FALLBACK_BUCKETS
    assert tuple(bounds(reader, "shop.sizes")) == (1, 2)
    assert tuple(bounds(reader, "shop.range")) == ()


@pytest.mark.parametrize(
    "given", [api.NoOpMeterProvider(), api.get_meter_provider()], ids=["none", "proxy"]
)
def test_a_provider_that_does_nothing_does_no_harm(
    telemetry: Telemetry, given: api.MeterProvider
) -> None:
    bridge = MeterBridge(ALL, given, telemetry)
    bridge.attach()
    place(telemetry)
    bridge.detach()
    assert bridge.aggregate.skipped == {}


def test_definitions_and_catalogs_are_taken() -> None:
    from heliograph.catalog import load

    given, _ = provider()
    catalog = load("modboss")
    bridge = MeterBridge(catalog, given)
    assert [each.name for each in bridge.aggregate.definitions] == list(catalog.metrics)
    definitions: list[Definition] = [ORDERS]
    assert MeterBridge(iter(definitions), given).aggregate.definitions == (ORDERS,)


def test_what_is_observed_has_the_exemplars_of_what_was_measured(telemetry: Telemetry) -> None:
    reader = InMemoryMetricReader()
    bridge = MeterBridge([ORDERS, STOCK, OPEN], MeterProvider([reader]), telemetry)
    bridge.attach()

    def seen() -> dict[str, Any]:
        return {
            name: (
                metric.data.data_points[0].value,
                [(e.value, e.trace_id, e.span_id) for e in metric.data.data_points[0].exemplars],
            )
            for name, metric in found(reader.get_metrics_data()).items()
        }

    place(telemetry, 5)
    sampled = NonRecordingSpan(SpanContext(1, 2, is_remote=False, trace_flags=TraceFlags(1)))
    with trace.use_span(sampled):
        place(telemetry, 3)
        # Who collects is nobody's exemplar, whatever goes on there.
        first = seen()
    place(telemetry, 4)
    assert first == {
        "shop.orders": (2, [(1, 1, 2)]),
        "shop.stock": (8, [(3, 1, 2)]),
        "shop.open": (3, [(3, 1, 2)]),
    }
    assert seen() == {"shop.orders": (3, []), "shop.stock": (12, []), "shop.open": (4, [])}
    bridge.detach()


def test_a_sum_that_would_not_be_the_same_in_two_parts_has_no_exemplar(
    telemetry: Telemetry,
) -> None:
    reader = InMemoryMetricReader()
    bridge = MeterBridge([STOCK], MeterProvider([reader]), telemetry)
    bridge.attach()
    place(telemetry, 0.1)
    sampled = NonRecordingSpan(SpanContext(1, 2, is_remote=False, trace_flags=TraceFlags(1)))
    with trace.use_span(sampled):
        place(telemetry, 1e100)
        place(telemetry, -1e100)
    [point] = found(reader.get_metrics_data())["shop.stock"].data.data_points
    [(_, exact, _)] = bridge.aggregate.numbers(STOCK)
    assert point.value == exact
    bridge.detach()
