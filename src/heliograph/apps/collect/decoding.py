# SPDX-License-Identifier: Apache-2.0
"""Requests of the OpenTelemetry protocol, as protocol buffers or as JSON, made into the model.

Source of the encodings: opentelemetry-proto, docs/specification.md; in JSON, other than protocol
buffers have it, trace and span ids are hexadecimal digits.
"""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from google.protobuf import json_format
from google.protobuf.message import DecodeError
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

from heliograph.apps.collect.model import (
    Batch,
    ExponentialPoint,
    HistogramPoint,
    Log,
    Metric,
    NumberPoint,
    Scope,
    Source,
    Span,
    SpanEvent,
    SpanLink,
    SummaryPoint,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from typing import TypeVar

    from opentelemetry.proto.common.v1 import common_pb2
    from opentelemetry.proto.logs.v1 import logs_pb2
    from opentelemetry.proto.metrics.v1 import metrics_pb2
    from opentelemetry.proto.trace.v1 import trace_pb2

    from heliograph.apps.collect.model import Point, Signal, Temporality, Value

    Word = TypeVar("Word", bound=str)

__all__ = ["Encoding", "MalformedError", "accepted", "decode"]

Encoding: TypeAlias = Literal["protobuf", "json"]

_REQUESTS: Final = {
    "traces": ExportTraceServiceRequest,
    "metrics": ExportMetricsServiceRequest,
    "logs": ExportLogsServiceRequest,
}
_RESPONSES: Final = {
    "traces": ExportTraceServiceResponse,
    "metrics": ExportMetricsServiceResponse,
    "logs": ExportLogsServiceResponse,
}
_IDS: Final = frozenset({"traceId", "spanId", "parentSpanId", "trace_id", "span_id"})
_KINDS: Final = ("unspecified", "internal", "server", "client", "producer", "consumer")
_STATUSES: Final = ("unset", "ok", "error")
_TEMPORALITIES: Final[tuple[Temporality, ...]] = ("unspecified", "delta", "cumulative")


class MalformedError(ValueError):
    """A request that can't be decoded."""


def decode(signal: Signal, body: bytes, encoding: Encoding) -> Batch:
    """Decode a request.

    Args:
        signal: What it brings.
        body: The request, not compressed.
        encoding: How it is written.

    Raises:
        MalformedError: It is no such request.
    """
    request: Any = _REQUESTS[signal]()
    try:
        if encoding == "json":
            json_format.ParseDict(_with_binary_ids(json.loads(body)), request, True)
        else:
            request.ParseFromString(body)
    except (DecodeError, json_format.ParseError, ValueError, RecursionError) as error:
        msg = f"the body is no {type(request).__name__} in {encoding}: {error}"
        raise MalformedError(msg) from error
    if signal == "traces":
        return Batch(spans=tuple(_spans(request)))
    if signal == "metrics":
        return Batch(metrics=tuple(_metrics(request)))
    return Batch(logs=tuple(_logs(request)))


def accepted(signal: Signal, encoding: Encoding) -> bytes:
    """The response that says that everything was taken."""
    response = _RESPONSES[signal]()
    return b"{}" if encoding == "json" else response.SerializeToString()


def _with_binary_ids(document: Any) -> dict[str, Any]:
    """Make the ids what protocol buffers expect in JSON, in place."""
    if not isinstance(document, dict):
        msg = "it is no object"
        raise MalformedError(msg)
    rest: list[Any] = [document]
    while rest:
        each = rest.pop()
        if isinstance(each, list):
            rest.extend(each)
        elif isinstance(each, dict):
            for key, value in each.items():
                if key in _IDS and isinstance(value, str):
                    each[key] = base64.b64encode(bytes.fromhex(value)).decode()
                else:
                    rest.append(value)
    return document


# -- Signals ---------------------------------------------------------------------------------------


def _spans(request: ExportTraceServiceRequest) -> Iterator[Span]:
    for group in request.resource_spans:
        resource = _attributes(group.resource.attributes)
        for part in group.scope_spans:
            source = _source(resource, group.schema_url, part.scope, part.schema_url)
            for span in part.spans:
                yield _span(source, span)


def _span(source: Source, span: trace_pb2.Span) -> Span:
    return Span(
        source=source,
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent_id=_id(span.parent_span_id),
        name=span.name,
        kind=_word(_KINDS, span.kind),
        start=span.start_time_unix_nano,
        end=span.end_time_unix_nano,
        status=_word(_STATUSES, span.status.code),
        status_message=span.status.message,
        attributes=_attributes(span.attributes),
        events=tuple(
            SpanEvent(event.time_unix_nano, event.name, _attributes(event.attributes))
            for event in span.events
        ),
        links=tuple(
            SpanLink(link.trace_id.hex(), link.span_id.hex(), _attributes(link.attributes))
            for link in span.links
        ),
        trace_state=span.trace_state,
        flags=span.flags,
    )


def _metrics(request: ExportMetricsServiceRequest) -> Iterator[Metric]:
    for group in request.resource_metrics:
        resource = _attributes(group.resource.attributes)
        for part in group.scope_metrics:
            source = _source(resource, group.schema_url, part.scope, part.schema_url)
            for metric in part.metrics:
                kind = metric.WhichOneof("data")
                if kind is not None:
                    data = getattr(metric, kind)
                    yield Metric(
                        source=source,
                        name=metric.name,
                        unit=metric.unit,
                        description=metric.description,
                        kind=kind,
                        temporality=_word(_TEMPORALITIES, data.aggregation_temporality)
                        if kind not in {"gauge", "summary"}
                        else None,
                        monotonic=data.is_monotonic if kind == "sum" else None,
                        points=tuple(_POINTS[kind](point) for point in data.data_points),
                    )


def _number(point: metrics_pb2.NumberDataPoint) -> Point:
    which = point.WhichOneof("value")
    return NumberPoint(
        attributes=_attributes(point.attributes),
        start=point.start_time_unix_nano,
        time=point.time_unix_nano,
        value=None if which is None else getattr(point, which),
    )


def _histogram(point: metrics_pb2.HistogramDataPoint) -> Point:
    return HistogramPoint(
        attributes=_attributes(point.attributes),
        start=point.start_time_unix_nano,
        time=point.time_unix_nano,
        count=point.count,
        sum=point.sum if point.HasField("sum") else None,
        min=point.min if point.HasField("min") else None,
        max=point.max if point.HasField("max") else None,
        bounds=tuple(point.explicit_bounds),
        bucket_counts=tuple(point.bucket_counts),
    )


def _exponential(point: metrics_pb2.ExponentialHistogramDataPoint) -> Point:
    return ExponentialPoint(
        attributes=_attributes(point.attributes),
        start=point.start_time_unix_nano,
        time=point.time_unix_nano,
        count=point.count,
        sum=point.sum if point.HasField("sum") else None,
        min=point.min if point.HasField("min") else None,
        max=point.max if point.HasField("max") else None,
        scale=point.scale,
        zero_count=point.zero_count,
        positive_offset=point.positive.offset,
        positive=tuple(point.positive.bucket_counts),
        negative_offset=point.negative.offset,
        negative=tuple(point.negative.bucket_counts),
    )


def _summary(point: metrics_pb2.SummaryDataPoint) -> Point:
    return SummaryPoint(
        attributes=_attributes(point.attributes),
        start=point.start_time_unix_nano,
        time=point.time_unix_nano,
        count=point.count,
        sum=point.sum,
        quantiles=tuple((each.quantile, each.value) for each in point.quantile_values),
    )


_POINTS: Final[dict[str, Any]] = {
    "gauge": _number,
    "sum": _number,
    "histogram": _histogram,
    "exponential_histogram": _exponential,
    "summary": _summary,
}


def _logs(request: ExportLogsServiceRequest) -> Iterator[Log]:
    for group in request.resource_logs:
        resource = _attributes(group.resource.attributes)
        for part in group.scope_logs:
            source = _source(resource, group.schema_url, part.scope, part.schema_url)
            for record in part.log_records:
                yield _log(source, record)


def _log(source: Source, record: logs_pb2.LogRecord) -> Log:
    return Log(
        source=source,
        event_name=record.event_name,
        time=record.time_unix_nano,
        observed=record.observed_time_unix_nano,
        severity=record.severity_number,
        severity_text=record.severity_text,
        body=_value(record.body),
        attributes=_attributes(record.attributes),
        trace_id=_id(record.trace_id),
        span_id=_id(record.span_id),
    )


# -- What they have in common ----------------------------------------------------------------------


def _source(
    resource: dict[str, Value],
    resource_schema_url: str,
    scope: common_pb2.InstrumentationScope,
    schema_url: str,
) -> Source:
    attributes = _attributes(scope.attributes)
    return Source(
        resource, resource_schema_url, Scope(scope.name, scope.version, schema_url, attributes)
    )


def _attributes(pairs: Iterable[common_pb2.KeyValue]) -> dict[str, Value]:
    return {pair.key: _value(pair.value) for pair in pairs}


def _value(value: common_pb2.AnyValue) -> Value:
    which = value.WhichOneof("value")
    if which is None:
        return None
    if which == "array_value":
        return [_value(each) for each in value.array_value.values]
    if which == "kvlist_value":
        return {pair.key: _value(pair.value) for pair in value.kvlist_value.values}
    found: str | bool | int | float | bytes = getattr(value, which)
    return found


def _id(octets: bytes) -> str | None:
    """The id; None if there is none, for which some senders write zeros."""
    return octets.hex() if any(octets) else None


def _word(words: Sequence[Word], number: int) -> Word:
    return words[number] if 0 <= number < len(words) else words[0]
