# SPDX-License-Identifier: Apache-2.0
"""Spans, points and log records to receive and to show."""

from __future__ import annotations

from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    AGGREGATION_TEMPORALITY_CUMULATIVE,
    AGGREGATION_TEMPORALITY_DELTA,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Status

from heliograph.apps.collect import (
    ExponentialPoint,
    HistogramPoint,
    Log,
    Metric,
    NumberPoint,
    Scope,
    Source,
    Span,
)

TRACE = "0af7651916cd43dd8448eb211c80319c"
SOURCE = Source({"service.name": "shop"}, "", Scope("shop", "1.0.0", "https://shop.example/1", {}))


def span(span_id: str, parent_id: str | None = None, **given: Any) -> Span:
    defaults: dict[str, Any] = {
        "source": SOURCE,
        "trace_id": TRACE,
        "name": span_id,
        "kind": "internal",
        "start": 0,
        "end": 1_000_000,
        "status": "unset",
        "status_message": "",
        "attributes": {},
        "events": (),
        "links": (),
        "trace_state": "",
        "flags": 1,
    }
    return Span(span_id=span_id, parent_id=parent_id, **(defaults | given))


def number(value: float | None, **attributes: Any) -> NumberPoint:
    return NumberPoint(attributes, 0, 1, value)


def histogram(counts: tuple[int, ...], bounds: tuple[float, ...], **given: Any) -> HistogramPoint:
    defaults: dict[str, Any] = {
        "attributes": {},
        "start": 0,
        "time": 1,
        "count": sum(counts),
        "sum": None,
        "min": None,
        "max": None,
    }
    return HistogramPoint(bounds=bounds, bucket_counts=counts, **(defaults | given))


def exponential(**given: Any) -> ExponentialPoint:
    defaults: dict[str, Any] = {
        "attributes": {},
        "start": 0,
        "time": 1,
        "count": 0,
        "sum": None,
        "min": None,
        "max": None,
        "scale": 0,
        "zero_count": 0,
        "positive_offset": 0,
        "positive": (),
        "negative_offset": 0,
        "negative": (),
    }
    return ExponentialPoint(**(defaults | given))


def metric(*points: Any, **given: Any) -> Metric:
    defaults: dict[str, Any] = {
        "source": SOURCE,
        "name": "shop.orders",
        "unit": "{order}",
        "description": "Orders",
        "kind": "sum",
        "temporality": "cumulative",
        "monotonic": True,
    }
    return Metric(points=points, **(defaults | given))


def log(**given: Any) -> Log:
    defaults: dict[str, Any] = {
        "source": SOURCE,
        "event_name": "shop.order.placed",
        "time": 1_700_000_000_123_000_000,
        "observed": 0,
        "severity": 9,
        "severity_text": "INFO",
        "body": None,
        "attributes": {},
        "trace_id": None,
        "span_id": None,
    }
    return Log(**(defaults | given))


def traces_request() -> ExportTraceServiceRequest:
    """A request with one span that has everything."""
    request = ExportTraceServiceRequest()
    group = request.resource_spans.add(schema_url="https://resource.example/1")
    group.resource.attributes.add(key="service.name").value.string_value = "shop"
    part = group.scope_spans.add(schema_url="https://shop.example/1")
    part.scope.name, part.scope.version = "shop", "1.0.0"
    part.scope.attributes.add(key="plan").value.bool_value = True
    each = part.spans.add(
        trace_id=bytes.fromhex(TRACE),
        span_id=bytes.fromhex("b7ad6b7169203331"),
        parent_span_id=bytes.fromhex("00f067aa0ba902b7"),
        name="checkout",
        kind=2,
        start_time_unix_nano=1_000,
        end_time_unix_nano=5_000,
        trace_state="vendor=1",
        flags=257,
    )
    each.status.code, each.status.message = Status.STATUS_CODE_ERROR, "no money"
    values = {
        "string": {"string_value": "text"},
        "int": {"int_value": -5},
        "double": {"double_value": 0.5},
        "bytes": {"bytes_value": b"\x00\xff"},
        "array": {"array_value": {"values": [{"int_value": 1}, {"bool_value": False}]}},
        "map": {"kvlist_value": {"values": [{"key": "deep", "value": {"int_value": 2}}]}},
        "nothing": {},
    }
    for key, value in values.items():
        each.attributes.add(key=key, value=value)
    event = each.events.add(name="retry", time_unix_nano=2_000)
    event.attributes.add(key="attempt").value.int_value = 2
    each.links.add(trace_id=bytes.fromhex(TRACE), span_id=bytes.fromhex("00f067aa0ba902b7"))
    return request


def metrics_request() -> ExportMetricsServiceRequest:
    """A request with one metric of each kind, and one of none."""
    request = ExportMetricsServiceRequest()
    part = request.resource_metrics.add().scope_metrics.add()
    part.metrics.add(name="nothing")
    gauge = part.metrics.add(name="gauge", unit="Cel", description="Heat").gauge
    gauge.data_points.add(as_double=20.5, time_unix_nano=2)
    gauge.data_points.add()
    total = part.metrics.add(name="sum").sum
    total.aggregation_temporality = AGGREGATION_TEMPORALITY_DELTA
    total.is_monotonic = True
    total.data_points.add(as_int=3, start_time_unix_nano=1, time_unix_nano=2)
    explicit = part.metrics.add(name="histogram").histogram
    explicit.aggregation_temporality = AGGREGATION_TEMPORALITY_CUMULATIVE
    explicit.data_points.add(
        count=3, sum=6.0, min=1.0, max=3.0, explicit_bounds=[2.0], bucket_counts=[1, 2]
    )
    explicit.data_points.add(count=1)
    fine = part.metrics.add(name="exponential").exponential_histogram
    fine.data_points.add(
        count=3,
        sum=1.0,
        min=-1.0,
        max=2.0,
        scale=1,
        zero_count=1,
        positive={"offset": 2, "bucket_counts": [1]},
        negative={"offset": -1, "bucket_counts": [1]},
    )
    fine.data_points.add(count=0)
    quantiles = part.metrics.add(name="summary").summary.data_points.add(count=2, sum=3.0)
    quantiles.quantile_values.add(quantile=0.5, value=1.5)
    return request


def logs_request() -> ExportLogsServiceRequest:
    """A request with one log event."""
    request = ExportLogsServiceRequest()
    record = (
        request.resource_logs.add()
        .scope_logs.add()
        .log_records.add(
            event_name="shop.order.placed",
            time_unix_nano=1,
            observed_time_unix_nano=2,
            severity_number=13,
            severity_text="WARN",
            trace_id=bytes.fromhex(TRACE),
            span_id=bytes(8),
        )
    )
    record.body.string_value = "placed"
    record.attributes.add(key="count").value.int_value = 3
    return request
