# SPDX-License-Identifier: Apache-2.0
"""Received spans, metrics and log events, as plain values.

Names are those of the protocol, ids are lower-case hexadecimal digits, times are nanoseconds since
1970. What was not sent is None, where that differs from an empty value.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

__all__ = [
    "Batch",
    "ExponentialPoint",
    "HistogramPoint",
    "Log",
    "Metric",
    "MetricKind",
    "NumberPoint",
    "Point",
    "Scope",
    "Signal",
    "Source",
    "Span",
    "SpanEvent",
    "SpanLink",
    "SummaryPoint",
    "Temporality",
    "Value",
]

Signal: TypeAlias = Literal["traces", "metrics", "logs"]
Value: TypeAlias = "str | bool | int | float | bytes | list[Value] | dict[str, Value] | None"
"""What an attribute, or the body of a log record, may hold."""
MetricKind: TypeAlias = Literal["gauge", "sum", "histogram", "exponential_histogram", "summary"]
Temporality: TypeAlias = Literal["unspecified", "delta", "cumulative"]


@dataclass(frozen=True, slots=True)
class Scope:
    """What made a span, metric or log event.

    Attributes:
        name: The library's or the catalog's name; empty if unknown.
        version: Its version.
        schema_url: Which schema its attributes follow.
        attributes: What else is known of it.
    """

    name: str
    version: str
    schema_url: str
    attributes: Mapping[str, Value]


@dataclass(frozen=True, slots=True)
class Source:
    """Where something comes from.

    Attributes:
        resource: Attributes of the process.
        resource_schema_url: Which schema these follow.
        scope: The part of the process.
    """

    resource: Mapping[str, Value]
    resource_schema_url: str
    scope: Scope

    @property
    def service(self) -> str:
        """The service's name; empty if it has none."""
        name = self.resource.get("service.name", "")
        return name if isinstance(name, str) else str(name)


@dataclass(frozen=True, slots=True)
class SpanEvent:
    """Something that happened at a time of a span."""

    time: int
    name: str
    attributes: Mapping[str, Value]


@dataclass(frozen=True, slots=True)
class SpanLink:
    """Another span that this one has to do with."""

    trace_id: str
    span_id: str
    attributes: Mapping[str, Value]


@dataclass(frozen=True, slots=True)
class Span:
    """One operation.

    Attributes:
        source: Who made it.
        trace_id: The trace it is part of.
        span_id: Itself.
        parent_id: The span it is part of; None for the first of its trace.
        name: What was done.
        kind: `unspecified`, `internal`, `server`, `client`, `producer` or `consumer`.
        start: When it began.
        end: When it ended.
        status: `unset`, `ok` or `error`.
        status_message: What is said of an error.
        attributes: What is known of it.
        events: What happened meanwhile.
        links: Spans it has to do with.
        trace_state: What vendors hand on with a trace.
        flags: The trace's flags, 1 meaning sampled.
    """

    source: Source
    trace_id: str
    span_id: str
    parent_id: str | None
    name: str
    kind: str
    start: int
    end: int
    status: str
    status_message: str
    attributes: Mapping[str, Value]
    events: tuple[SpanEvent, ...]
    links: tuple[SpanLink, ...]
    trace_state: str
    flags: int

    @property
    def duration(self) -> int:
        """Nanoseconds from its start to its end; negative if a clock went back."""
        return self.end - self.start


@dataclass(frozen=True, slots=True)
class NumberPoint:
    """A value at a time, of a gauge or a sum."""

    attributes: Mapping[str, Value]
    start: int
    time: int
    value: int | float | None


@dataclass(frozen=True, slots=True)
class HistogramPoint:
    """How many observations fell between which bounds.

    Attributes:
        attributes: Which series it is of.
        start: Since when was counted; 0 if unknown.
        time: Until when.
        count: All observations.
        sum: Their sum.
        min: The least of them.
        max: The greatest of them.
        bounds: Upper bounds, each belonging to its bucket; the last bucket has none.
        bucket_counts: Observations of each bucket, one more than there are bounds; or nothing.
    """

    attributes: Mapping[str, Value]
    start: int
    time: int
    count: int
    sum: float | None
    min: float | None
    max: float | None
    bounds: tuple[float, ...]
    bucket_counts: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ExponentialPoint:
    """How many observations fell into buckets that grow by the factor `2 ** 2 ** -scale`.

    Attributes:
        attributes: Which series it is of.
        start: Since when was counted; 0 if unknown.
        time: Until when.
        count: All observations.
        sum: Their sum.
        min: The least of them.
        max: The greatest of them.
        scale: How fine the buckets are.
        zero_count: Observations too close to zero for a bucket.
        positive_offset: Index of the first bucket of positive values.
        positive: Observations of each.
        negative_offset: Index of the first bucket of negative values.
        negative: Observations of each.
    """

    attributes: Mapping[str, Value]
    start: int
    time: int
    count: int
    sum: float | None
    min: float | None
    max: float | None
    scale: int
    zero_count: int
    positive_offset: int
    positive: tuple[int, ...]
    negative_offset: int
    negative: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class SummaryPoint:
    """Quantiles that the sender worked out."""

    attributes: Mapping[str, Value]
    start: int
    time: int
    count: int
    sum: float
    quantiles: tuple[tuple[float, float], ...]


Point: TypeAlias = NumberPoint | HistogramPoint | ExponentialPoint | SummaryPoint


@dataclass(frozen=True, slots=True)
class Metric:
    """Points of one instrument.

    Attributes:
        source: Who made it.
        name: The instrument's name.
        unit: In UCUM; empty if none was given.
        description: What it is about.
        kind: What its points are.
        temporality: Whether points tell of the time since the previous one (`delta`) or of all time
            (`cumulative`); None for gauges and summaries.
        monotonic: Whether a sum only grows; None for all else.
        points: One for each series.
    """

    source: Source
    name: str
    unit: str
    description: str
    kind: MetricKind
    temporality: Temporality | None
    monotonic: bool | None
    points: tuple[Point, ...]


@dataclass(frozen=True, slots=True)
class Log:
    """One log record; a log event if it has a name.

    Attributes:
        source: Who made it.
        event_name: What happened; empty for other records.
        time: When it happened; 0 if unknown.
        observed: When it was collected.
        severity: From 1 (trace) to 24 (fatal); 0 if unknown.
        severity_text: The severity in the sender's words.
        body: The message.
        attributes: What is known of it.
        trace_id: The trace it happened in, or None.
        span_id: The span it happened in, or None.
    """

    source: Source
    event_name: str
    time: int
    observed: int
    severity: int
    severity_text: str
    body: Value
    attributes: Mapping[str, Value]
    trace_id: str | None
    span_id: str | None


@dataclass(frozen=True, slots=True)
class Batch:
    """What one request brought; all of it of one signal."""

    spans: tuple[Span, ...] = ()
    metrics: tuple[Metric, ...] = ()
    logs: tuple[Log, ...] = ()
