# SPDX-License-Identifier: Apache-2.0
"""What was received as JSON objects, for programs; the reference of the command has their keys."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from heliograph.apps.collect.model import ExponentialPoint, HistogramPoint, NumberPoint

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from heliograph.apps.collect.model import Batch, Log, Metric, Point, Source, Span, Value

__all__ = ["objects"]


def objects(batch: Batch) -> Iterator[dict[str, Any]]:
    """One object for each span, each point of a metric, and each log record."""
    for span in batch.spans:
        yield _span(span)
    for metric in batch.metrics:
        for point in metric.points:
            yield _point(metric, point)
    for log in batch.logs:
        yield _log(log)


def _span(span: Span) -> dict[str, Any]:
    return {
        "kind": "span",
        "trace_id": span.trace_id,
        "span_id": span.span_id,
        "parent_id": span.parent_id,
        "name": span.name,
        "span_kind": span.kind,
        "start": span.start,
        "end": span.end,
        "duration": span.duration,
        "status": span.status,
        "status_message": span.status_message,
        "attributes": _attributes(span.attributes),
        "events": [
            {"time": each.time, "name": each.name, "attributes": _attributes(each.attributes)}
            for each in span.events
        ],
        "links": [
            {
                "trace_id": each.trace_id,
                "span_id": each.span_id,
                "attributes": _attributes(each.attributes),
            }
            for each in span.links
        ],
        "trace_state": span.trace_state,
        "flags": span.flags,
        **_source(span.source),
    }


def _point(metric: Metric, point: Point) -> dict[str, Any]:
    return {
        "kind": "point",
        "name": metric.name,
        "unit": metric.unit,
        "description": metric.description,
        "metric_kind": metric.kind,
        "temporality": metric.temporality,
        "monotonic": metric.monotonic,
        "attributes": _attributes(point.attributes),
        "start": point.start,
        "time": point.time,
        **_told(point),
        **_source(metric.source),
    }


def _told(point: Point) -> dict[str, Any]:
    if isinstance(point, NumberPoint):
        return {"value": _plain(point.value)}
    if isinstance(point, HistogramPoint):
        return {
            **_totals(point),
            "bounds": [_plain(each) for each in point.bounds],
            "bucket_counts": list(point.bucket_counts),
        }
    if isinstance(point, ExponentialPoint):
        return {
            **_totals(point),
            "scale": point.scale,
            "zero_count": point.zero_count,
            "positive": {"offset": point.positive_offset, "bucket_counts": list(point.positive)},
            "negative": {"offset": point.negative_offset, "bucket_counts": list(point.negative)},
        }
    return {
        "count": point.count,
        "sum": _plain(point.sum),
        "quantiles": [
            {"quantile": _plain(share), "value": _plain(value)} for share, value in point.quantiles
        ],
    }


def _totals(point: HistogramPoint | ExponentialPoint) -> dict[str, Any]:
    return {
        "count": point.count,
        "sum": _plain(point.sum),
        "min": _plain(point.min),
        "max": _plain(point.max),
    }


def _log(log: Log) -> dict[str, Any]:
    return {
        "kind": "log",
        "event_name": log.event_name,
        "time": log.time,
        "observed": log.observed,
        "severity": log.severity,
        "severity_text": log.severity_text,
        "body": _plain(log.body),
        "attributes": _attributes(log.attributes),
        "trace_id": log.trace_id,
        "span_id": log.span_id,
        **_source(log.source),
    }


def _source(source: Source) -> dict[str, Any]:
    scope = source.scope
    return {
        "resource": _attributes(source.resource),
        "scope": {
            "name": scope.name,
            "version": scope.version,
            "schema_url": scope.schema_url,
            "attributes": _attributes(scope.attributes),
        },
    }


def _attributes(attributes: Mapping[str, Value]) -> dict[str, Any]:
    return {key: _plain(value) for key, value in attributes.items()}


def _plain(value: Value) -> Any:
    """A value as JSON has it: octets as hexadecimal digits, what is no number as its name."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return _attributes(value) if isinstance(value, dict) else value
