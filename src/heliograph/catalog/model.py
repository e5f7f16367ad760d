# SPDX-License-Identifier: Apache-2.0
"""What a catalog says, as immutable objects.

The loader builds these from YAML, everything else reads them: selection, conformance, the generated
outputs, metrics and the OpenTelemetry bridge. Nothing here knows files or YAML beyond a `Where`,
which says from which line an entry came so that any later complaint can point at it.

A `Document` is one file. Spans are kept as declared (`SpanSpec`) and also spread into the three
events they execute (`EventSpec` with `kind` start, stop or exception), because registration,
conformance and documentation deal in events.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from heliograph._faults import Where

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "ERROR_TYPE",
    "SPAN_EVENTS",
    "STANDARD_MEASUREMENTS",
    "STANDARD_METADATA",
    "Alert",
    "Condition",
    "Deprecation",
    "Document",
    "EventKind",
    "EventSpec",
    "FieldSpec",
    "Instrument",
    "MetricSpec",
    "Severity",
    "SpanKind",
    "SpanSpec",
    "Stability",
    "Use",
    "Where",
]

Stability: TypeAlias = Literal["development", "alpha", "beta", "release_candidate", "stable"]
"""OpenTelemetry's stability levels."""

EventKind: TypeAlias = Literal["point", "start", "stop", "exception"]
SpanKind: TypeAlias = Literal["internal", "client", "server", "producer", "consumer"]
Severity: TypeAlias = Literal["trace", "debug", "info", "warn", "error", "fatal"]
Instrument: TypeAlias = Literal["counter", "sum", "last_value", "histogram", "summary"]

SPAN_EVENTS: Final = ("start", "stop", "exception")
"""The last segments of a span's three events, in the order they can happen."""

ERROR_TYPE: Final = "error.type"
"""The derived tag: the class of a failed result or of an exception."""

SCALAR_TYPES: Final = ("string", "int", "float", "number", "bool", "bytes")
TYPES: Final = (
    *SCALAR_TYPES,
    *(f"{scalar}[]" for scalar in SCALAR_TYPES),
    "map",
    "any",
    "result",
    "exception",
    "stacktrace",
)
"""Every type a field may have."""


@dataclass(frozen=True, slots=True)
class Deprecation:
    """That an entry should no longer be used, and what stands in for it."""

    renamed_to: str | None = None
    note: str | None = None


@dataclass(frozen=True, slots=True)
class FieldSpec:
    """One measurement or one piece of metadata, declared once and used by name."""

    name: str
    """The name by which the catalog's other entries refer to it."""
    key: str
    """The key it has in an event; differs from `name` only where two fields share a key."""
    type: str
    """One of `TYPES`."""
    brief: str
    unit: str | None = None
    """UCUM code, such as `ns`, `By`, `{request}`."""
    attribute: str | None = None
    """Its OpenTelemetry attribute name, or None if it is never exported as an attribute."""
    high_cardinality: bool = False
    """Too many values to be a metric's tag; spans and log events may carry it."""
    sensitive: bool = False
    """Never leaves the process."""
    examples: tuple[object, ...] = ()
    values: tuple[str | int | float | bool, ...] = ()
    """The closed set of its values, or empty if any value of its type will do."""
    note: str | None = None
    stability: Stability = "development"
    deprecated: Deprecation | None = None
    where: Where | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Use:
    """That an event carries a field, and whether it always does."""

    field: FieldSpec
    required: bool = True

    @property
    def key(self) -> str:
        """The key under which the event carries it."""
        return self.field.key


@dataclass(frozen=True, slots=True)
class EventSpec:
    """One event: a point in time by itself, or one of a span's three."""

    name: str
    brief: str
    catalog: str
    kind: EventKind = "point"
    span: str | None = None
    """The span it belongs to, for start, stop and exception."""
    measurements: tuple[Use, ...] = ()
    metadata: tuple[Use, ...] = ()
    severity: Severity = "info"
    log: bool = True
    """Whether it becomes a log event; always False for a span's events."""
    stability: Stability = "development"
    deprecated: Deprecation | None = None
    note: str | None = None
    where: Where | None = field(default=None, compare=False)

    @property
    def alias_of(self) -> str | None:
        """The event that stands in for this one, if it is deprecated by renaming."""
        return self.deprecated.renamed_to if self.deprecated is not None else None


@dataclass(frozen=True, slots=True)
class SpanSpec:
    """An operation with a duration: it executes `NAME.start`, then `NAME.stop` or `.exception`."""

    name: str
    brief: str
    catalog: str
    start: EventSpec
    stop: EventSpec
    exception: EventSpec
    kind: SpanKind = "internal"
    span_name: str | None = None
    """What the exported span is called; its `name` if None."""
    stability: Stability = "development"
    deprecated: Deprecation | None = None
    note: str | None = None
    where: Where | None = field(default=None, compare=False)

    @property
    def events(self) -> tuple[EventSpec, EventSpec, EventSpec]:
        """Start, stop and exception."""
        return (self.start, self.stop, self.exception)


@dataclass(frozen=True, slots=True)
class Condition:
    """Which events count for a metric, by the value of one field of their metadata.

    Several conditions on one metric must all hold.
    """

    field: FieldSpec
    values: tuple[str | int | float | bool, ...]


@dataclass(frozen=True, slots=True)
class Alert:
    """When a metric asks for a person."""

    threshold: float
    above: bool = True
    """Fire above the threshold; below it if False."""
    over: str = "5m"
    """Window of the rate or quantile, as a Prometheus duration."""
    quantile: float | None = None
    """For histograms: the quantile that is compared."""
    hold: str = "5m"
    """How long it must last (`for`), as a Prometheus duration."""
    severity: str = "warning"
    summary: str = ""


@dataclass(frozen=True, slots=True)
class MetricSpec:
    """A number kept about events: an instrument over one measurement, split by tags."""

    name: str
    brief: str
    catalog: str
    instrument: Instrument
    events: tuple[str, ...]
    measurement: FieldSpec | None
    """None only for a counter, which then counts events whatever they carry."""
    unit: str
    """UCUM code of the exported values; the measurement is converted to it."""
    tags: tuple[FieldSpec, ...] = ()
    error_type: bool = False
    """Whether the derived tag `error.type` is added."""
    buckets: tuple[float, ...] = ()
    """Explicit bounds in `unit`; empty means OpenTelemetry's defaults."""
    exponential: bool = False
    """Base-2 exponential buckets in place of explicit bounds."""
    monotonic: bool = True
    """For a sum: whether it can only grow."""
    keep: tuple[Condition, ...] = ()
    drop: tuple[Condition, ...] = ()
    cardinality_limit: int = 2000
    ended_by: tuple[str, ...] = ()
    """For a last value: the events that end the series whose tags have the values they carry."""
    alert: Alert | None = None
    stability: Stability = "development"
    deprecated: Deprecation | None = None
    note: str | None = None
    where: Where | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """One catalog file."""

    name: str
    version: str
    brief: str
    file: str
    schema_url: str | None = None
    stability: Stability = "development"
    fields: Mapping[str, FieldSpec]
    events: Mapping[str, EventSpec]
    """Every event by its full name, the spans' and the aliases included."""
    spans: Mapping[str, SpanSpec]
    metrics: Mapping[str, MetricSpec]


def _nanoseconds(name: str, brief: str) -> FieldSpec:
    return FieldSpec(name=name, key=name, type="int", unit="ns", brief=brief, stability="stable")


STANDARD_MEASUREMENTS: Final[Mapping[str, FieldSpec]] = MappingProxyType(
    {
        "system_time": _nanoseconds("system_time", "Wall clock at the event, since the epoch"),
        "monotonic_time": _nanoseconds("monotonic_time", "Monotonic clock at the event"),
        "duration": _nanoseconds("duration", "Time the operation took"),
    }
)
"""Measurements that every catalog may use without declaring them."""

STANDARD_METADATA: Final[Mapping[str, FieldSpec]] = MappingProxyType(
    {
        "kind": FieldSpec(
            name="kind",
            key="kind",
            type="string",
            brief="How the operation was left: by an error, by an exit, or cancelled",
            values=("error", "exit", "cancelled"),
            stability="stable",
        ),
        "reason": FieldSpec(
            name="reason",
            key="reason",
            type="exception",
            brief="The exception itself",
            high_cardinality=True,
            stability="stable",
        ),
        "stacktrace": FieldSpec(
            name="stacktrace",
            key="stacktrace",
            type="stacktrace",
            brief="The frames between the place that caught the exception and its origin",
            high_cardinality=True,
            stability="stable",
        ),
        "telemetry_span_context": FieldSpec(
            name="telemetry_span_context",
            key="telemetry_span_context",
            type="any",
            brief="What a span's start, stop and exception have in common; unique in the process",
            high_cardinality=True,
            stability="stable",
        ),
    }
)
"""Metadata that every catalog may use without declaring it."""
