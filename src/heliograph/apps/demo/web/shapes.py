# SPDX-License-Identifier: Apache-2.0
"""Traces, log events and metrics as a page gets them: plain data, bounded, nothing made up."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from heliograph.apps.collect.model import ExponentialPoint, HistogramPoint, NumberPoint
from heliograph.apps.collect.quantiles import quantile
from heliograph.plain import Limits, pairs, plain

if TYPE_CHECKING:
    from collections.abc import Mapping

    from heliograph.apps.collect.model import Log, Metric, Point, Source, Span, Value
    from heliograph.apps.collect.traces import Trace
    from heliograph.plain import Plain

__all__ = ["attributes", "finite", "log", "metric", "sender", "trace"]

# All our choice: what a page has room for.
_LIMITS: Final = Limits(depth=3, items=24, text=400, nodes=64)
_SPANS: Final = 200
_EVENTS: Final = 8
_EXACT: Final = 2**53
_QUANTILES: Final = (0.5, 0.95, 0.99)
# Attributes that number attempts, and the least value that is a further one. The second is
# OpenTelemetry's own.
_AGAIN: Final = {"modboss.attempt.number": 2, "http.request.resend_count": 1}


def sender(source: Source) -> str:
    """Which process something is from: its instance, or else its service."""
    instance = source.resource.get("service.instance.id")
    return str(instance or source.service)[:80]


def trace(found: Trace) -> dict[str, Plain]:
    """A trace with its spans, the earliest first; times of spans in nanoseconds from its begin.

    A span that failed counts as an error, and one that says that it is not the first attempt as
    a retry.
    """
    spans = sorted(found.spans, key=lambda span: (span.start, -span.end))
    begin = spans[0].start
    known = {span.span_id for span in spans}
    first = next((span for span in spans if span.parent_id not in known), spans[0])
    return {
        "id": found.trace_id,
        "at": begin // 1_000_000,
        "took": max(span.end for span in spans) - begin,
        "name": first.name[:120],
        "from": sender(first.source),
        "errors": sum(span.status == "error" for span in spans),
        "retries": sum(map(_retry, spans)),
        "count": len(spans),
        "spans": [_span(span, begin) for span in spans[:_SPANS]],
    }


def _retry(span: Span) -> bool:
    """Whether a span says that it does again what was tried before."""
    for name, least in _AGAIN.items():
        value = span.attributes.get(name)
        if isinstance(value, int) and value >= least:
            return True
    return False


def _span(span: Span, begin: int) -> Plain:
    return {
        "id": span.span_id,
        "parent": span.parent_id,
        "name": span.name[:120],
        "kind": span.kind,
        "from": sender(span.source),
        "start": span.start - begin,
        "took": span.duration,
        "status": span.status,
        "message": span.status_message[:400],
        "retry": _retry(span),
        "attributes": attributes(span.attributes),
        "events": [
            {
                "at": each.time - begin,
                "name": each.name[:120],
                "attributes": attributes(each.attributes),
            }
            for each in span.events[:_EVENTS]
        ],
        "links": len(span.links),
    }


def log(found: Log) -> dict[str, Plain]:
    """A log record; its time in milliseconds since 1970."""
    return {
        "at": (found.time or found.observed) // 1_000_000,
        "severity": found.severity,
        "name": found.event_name[:120],
        "body": _exact(plain(found.body, _LIMITS)),
        "from": sender(found.source),
        "attributes": attributes(found.attributes),
        "trace": found.trace_id,
    }


def metric(found: Metric, point: Point) -> dict[str, Plain]:
    """The latest of a series: a number is a `value`, what is spread has `count`, `sum` and more."""
    return {
        "name": found.name[:120],
        "unit": found.unit[:40],
        "about": found.description[:400],
        "kind": "counter" if found.monotonic else found.kind,
        "delta": found.temporality == "delta",
        "from": sender(found.source),
        "attributes": attributes(point.attributes),
        "at": point.time // 1_000_000,
        **_told(point),
    }


def _told(point: Point) -> dict[str, Plain]:
    if isinstance(point, NumberPoint):
        return {"value": finite(point.value)}
    told: dict[str, Plain] = {"count": point.count, "sum": finite(point.sum)}
    if isinstance(point, HistogramPoint | ExponentialPoint):
        told["max"] = finite(point.max)
        for share in _QUANTILES:
            told[f"p{100 * share:g}"] = finite(quantile(point, share))
    else:
        for share, value in point.quantiles[:8]:
            told[f"p{100 * share:g}"] = finite(value)
    return told


def finite(value: float | None) -> Plain:
    """A number that JSON has and a page can draw; None in place of any other."""
    return value if value is not None and math.isfinite(value) else None


def attributes(found: Mapping[str, Value]) -> dict[str, Plain]:
    """Attributes as plain data, cut where they are too many or too long."""
    return {key: _exact(value) for key, value in pairs(found, _LIMITS).items()}


def _exact(value: Plain) -> Plain:
    """A value without integers that a browser, to which all numbers are floats, would round."""
    if isinstance(value, int) and abs(value) > _EXACT:
        return str(value)
    if isinstance(value, list):
        return [_exact(each) for each in value]
    if isinstance(value, dict):
        return {key: _exact(each) for key, each in value.items()}
    return value
