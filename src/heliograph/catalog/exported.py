# SPDX-License-Identifier: Apache-2.0
"""What of a catalogued event leaves the process, as OpenTelemetry sees it.

The one place that says which attributes a span, a log event and a metric have, of which type, and
when. The exporters follow it and the generated Weaver registry states it, so the two agree.

The rules:

*   A field becomes the attribute it names. A field without an attribute (`attribute: none`) and a
    sensitive field never become one.
*   Values keep their type where OpenTelemetry has it: string, int, bool, float, arrays of these. A
    `number` becomes a double. `bytes` become a string of hexadecimal digits. `map` and `any`
    become a string: a string stays as it is, all else is its JSON text, keys sorted, and what JSON
    cannot say is said by `repr`. Arrays of bytes follow the rule for bytes, item by item.
*   A `result` becomes `error.type` when it is an `Error`, and nothing when it is `Ok`: the value
    belongs to the application. `error_type` says which word an error becomes.
*   An `exception` becomes `exception.type` and `exception.message`, a `stacktrace` becomes
    `exception.stacktrace`; on a span, which has no such attributes, the exception is `error.type`.
    Of a sensitive exception or result the name of its class leaves the process, nothing more.
*   A span has the attributes of its start, stop and exception events together, the measurements of
    its stop included. Times and durations are the span's own and no attributes of it.
*   A point event becomes a log event unless its catalog says `log: false`; a span's exception event
    becomes one too, of severity error.
*   A metric has its tags, but never a field of high cardinality.
*   `heliograph.truncated` names the attributes of a span or log event whose values were cut;
    `heliograph.orphan` marks a span whose operation never ended.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from heliograph import Error
from heliograph.catalog.model import ERROR_TYPE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from heliograph.catalog.model import Document, EventSpec, FieldSpec, MetricSpec, SpanSpec, Use

__all__ = [
    "EXCEPTION_MESSAGE",
    "EXCEPTION_STACKTRACE",
    "EXCEPTION_TYPE",
    "ORPHAN",
    "OTHER",
    "TRUNCATED",
    "Attribute",
    "AttributeType",
    "Level",
    "OtelInstrument",
    "attribute_type",
    "error_type",
    "log_attributes",
    "log_events",
    "metric_attributes",
    "otel_instrument",
    "span_attributes",
    "value_type",
]

AttributeType: TypeAlias = Literal[
    "string", "int", "double", "boolean", "string[]", "int[]", "double[]", "boolean[]"
]
Level: TypeAlias = Literal["required", "conditionally_required", "recommended"]
"""OpenTelemetry's requirement levels, as far as a catalog can tell them."""
OtelInstrument: TypeAlias = Literal["counter", "updowncounter", "gauge", "histogram"]

EXCEPTION_TYPE: Final = "exception.type"
EXCEPTION_MESSAGE: Final = "exception.message"
EXCEPTION_STACKTRACE: Final = "exception.stacktrace"

TRUNCATED: Final = "heliograph.truncated"
"""The attribute that names the attributes whose values were cut."""

ORPHAN: Final = "heliograph.orphan"
"""The attribute, true, of a span that was ended because its operation's end never came."""

_WORD: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,63}")

_SCALARS: Final = MappingProxyType(
    {
        "string": "string",
        "int": "int",
        "float": "double",
        "number": "double",
        "bool": "boolean",
        "bytes": "string",
    }
)
_TYPES: Final = MappingProxyType(
    {
        **_SCALARS,
        **{f"{source}[]": f"{target}[]" for source, target in _SCALARS.items()},
        "map": "string",
        "any": "string",
    }
)

_FAILED: Final = "If the operation failed."
_STOPPED: Final = "If the operation ran to its end."
_RAISED: Final = "If the operation raised."
_CUT: Final = "If a value was longer than its limit."
_ENDLESS: Final = "If the operation's end never came."


@dataclass(frozen=True, slots=True)
class Attribute:
    """One attribute of one span, log event or metric."""

    name: str
    type: AttributeType
    level: Level
    field: FieldSpec | None = None
    """The field whose value it is; None for what is derived, such as `error.type`."""
    condition: str = ""
    """When it is there, in a sentence, for the level `conditionally_required`."""
    at_start: bool = False
    """Spans: whether it is known when the span starts."""


def attribute_type(field: FieldSpec) -> AttributeType | None:
    """The type of the attribute that a field's values become.

    Returns:
        None if the field is never exported under a name of its own: it has no attribute, is
        sensitive, or is a result, an exception or a stack trace, which are told in other ways.
    """
    if field.attribute is None or field.sensitive:
        return None
    return _TYPES.get(field.type)  # type: ignore[return-value]  # the table holds nothing else


def log_events(document: Document) -> tuple[EventSpec, ...]:
    """The events that become log events, in the order of the catalog; renamed ones left out."""
    return tuple(
        event
        for event in document.events.values()
        if event.alias_of is None and (event.kind == "exception" or _is_logged(event))
    )


def _is_logged(event: EventSpec) -> bool:
    return event.kind == "point" and event.log


def log_attributes(event: EventSpec) -> tuple[Attribute, ...]:
    """The attributes of the log event that an event becomes."""
    found: list[Attribute] = []
    for use in _uses(event):
        level: Level = "required" if use.required else "recommended"
        field = use.field
        if field.type == "result":
            found.append(_error_type())
        elif field.type == "exception":
            found.append(Attribute(EXCEPTION_TYPE, "string", level))
            if not field.sensitive:
                # An exception without arguments has an empty message, which says nothing.
                found.append(Attribute(EXCEPTION_MESSAGE, "string", "recommended"))
        elif field.type == "stacktrace":
            if not field.sensitive:
                found.append(Attribute(EXCEPTION_STACKTRACE, "string", level))
        else:
            found.extend(_own(field, level))
    return _by_name([*found, *_truncated(found)])


def span_attributes(span: SpanSpec) -> tuple[Attribute, ...]:
    """The attributes of the span that an operation becomes."""
    found: list[Attribute] = []
    for event in span.events:
        for use in _uses(event):
            if use.field.type in {"result", "exception"}:
                found.append(_error_type())
                continue
            carriers = {other.name for other in span.events if use in _uses(other)}
            if not use.required:
                found.extend(_own(use.field, "recommended", at_start=event is span.start))
            elif span.start.name in carriers or len(carriers) == 2:
                found.extend(_own(use.field, "required", at_start=event is span.start))
            else:
                condition = _STOPPED if event is span.stop else _RAISED
                found.extend(_own(use.field, "conditionally_required", condition))
    orphan = Attribute(ORPHAN, "boolean", "conditionally_required", condition=_ENDLESS)
    return _by_name([*found, *_truncated(found), orphan])


def _uses(event: EventSpec) -> tuple[Use, ...]:
    return (*event.measurements, *event.metadata)


def metric_attributes(metric: MetricSpec, document: Document) -> tuple[Attribute, ...]:
    """The attributes of a metric's points.

    Args:
        metric: The metric.
        document: The catalog it is from, which knows whether its events always carry a tag.
    """
    events = [document.events[name] for name in metric.events if name in document.events]
    found: list[Attribute] = []
    for tag in metric.tags:
        if tag.high_cardinality:
            continue
        always = all(
            any(use.field == tag and use.required for use in event.metadata) for event in events
        )
        found.extend(_own(tag, "required" if always else "recommended"))
    if metric.error_type:
        found.append(_error_type())
    return _by_name(found)


OTHER: Final = "_OTHER"
"""OpenTelemetry's `error.type` of what has no name of its own."""


def error_type(value: object, *, sensitive: bool = False) -> str | None:
    """The `error.type` of a result or of an exception: one word out of few.

    An exception gives the name of its class, with its module unless that is builtins. The reason of
    an `Error` gives the same if it is an exception; a member of an enumeration gives its name; a
    text gives itself if it is one word of at most 64 characters, such as `timeout` or
    `illegal_address`. Everything else is `_OTHER`: sentences and numbers would be a series each.

    Args:
        value: An `Ok`, an `Error`, or an exception.
        sensitive: Whether only names of classes may leave the process.

    Returns:
        None for an `Ok`, and for what is neither a result nor an exception.
    """
    if isinstance(value, Error):
        value = value.reason
    elif not isinstance(value, BaseException):
        return None
    if isinstance(value, BaseException):
        cls = type(value)
        return cls.__qualname__ if cls.__module__ == "builtins" else _qualified(cls)
    if sensitive:
        return OTHER
    if isinstance(value, Enum):
        return value.name
    if type(value) is str and _WORD.fullmatch(value):
        return value
    return OTHER


def _qualified(cls: type) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"


def otel_instrument(metric: MetricSpec) -> OtelInstrument:
    """The OpenTelemetry instrument that a metric becomes.

    A sum that may shrink is an up-down counter. A summary is a histogram without buckets: count,
    sum, least and greatest.
    """
    if metric.instrument == "counter" or (metric.instrument == "sum" and metric.monotonic):
        return "counter"
    if metric.instrument == "sum":
        return "updowncounter"
    if metric.instrument == "last_value":
        return "gauge"
    return "histogram"


def value_type(metric: MetricSpec) -> Literal["int", "double"]:
    """The type of a metric's values: int only for counts and for whole measurements as they are."""
    measurement = metric.measurement
    if metric.instrument == "counter" or measurement is None:
        return "int"
    if metric.instrument in {"sum", "last_value"} and measurement.type == "int":
        return "int" if measurement.unit in {None, metric.unit} else "double"
    return "double"


def _error_type() -> Attribute:
    return Attribute(ERROR_TYPE, "string", "conditionally_required", condition=_FAILED)


def _truncated(found: Iterable[Attribute]) -> Iterator[Attribute]:
    """The mark of cut values, where there is anything that can be cut."""
    texts = [each for each in found if each.name != ERROR_TYPE]
    if any(each.type == "string" or each.type.endswith("[]") for each in texts):
        yield Attribute(TRUNCATED, "string[]", "conditionally_required", condition=_CUT)


def _own(
    field: FieldSpec, level: Level, condition: str = "", *, at_start: bool = False
) -> Iterator[Attribute]:
    kind = attribute_type(field)
    if kind is not None and field.attribute is not None:
        yield Attribute(field.attribute, kind, level, field, condition, at_start)


def _by_name(found: Iterable[Attribute]) -> tuple[Attribute, ...]:
    """One attribute a name: what is said first holds."""
    names: dict[str, Attribute] = {}
    for attribute in found:
        names.setdefault(attribute.name, attribute)
    return tuple(names.values())
