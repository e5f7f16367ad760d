# SPDX-License-Identifier: Apache-2.0
"""The catalog format, written down once.

`CATALOG` is the table. The loader checks files against it, `json_schema` says it to editors, and
`format_reference` says it to readers; none of the three can drift from the others. What a table
cannot say (that a name is declared, that a unit converts) is in `loader`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, get_args

from heliograph.catalog.model import (
    TYPES,
    Instrument,
    Severity,
    SpanKind,
    Stability,
)
from heliograph.catalog.shapes import (
    Choice,
    Either,
    Flag,
    Key,
    ListOf,
    MapOf,
    Number,
    Record,
    ScalarValue,
    Text,
    Whole,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["CATALOG", "EVENT_NAME", "FIELD_NAME", "format_reference", "json_schema"]

_SEGMENT: Final = "[a-z][a-z0-9_]*"

FIELD_NAME: Final = Text("a field's name", _SEGMENT, "order_id")
EVENT_NAME: Final = Text("a dotted name", rf"{_SEGMENT}(\.{_SEGMENT})*", "shop.order.placed")

_LINE = Text()
_NOTE = Text(lines=True)
_UNIT = Text("a UCUM unit", r"[!-~]+", 's, By or "{item}"')
_PERIOD = Text(
    "a period",
    r"(?=[0-9])([0-9]+y)?([0-9]+w)?([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?",
    "30s, 5m or 1h30m",
)
_STABILITY = Choice("stability", get_args(Stability))
_MEASUREMENT_USE = Text("a field's name, perhaps with ?", rf"{_SEGMENT}\??", "amount?")
_METADATA_USE = Text("a field's name, perhaps with ?", rf"{_SEGMENT}\??", "order_id")
_TAG = Text("a field's name, or error.type", rf"{_SEGMENT}|error\.type", "order_id")
_CONDITION = MapOf(FIELD_NAME, Either(ScalarValue(), ListOf(ScalarValue(), least=1)))

_INHERITED_STABILITY = Key("stability", _STABILITY, "How settled it is", default="the catalog's")
_ENTRY_NOTE = Key("note", _NOTE, "What else its users should know")

_DEPRECATED = Key(
    "deprecated",
    Record(
        "deprecation",
        "That something should no longer be used",
        (
            Key("renamed_to", EVENT_NAME, "The name that replaces it, of the same kind"),
            Key("note", _NOTE, "Why, and what to do instead"),
        ),
    ),
    "That it should no longer be used",
)

_BRIEF = Key("brief", _LINE, "What it is, in one line", required=True)
_ALIAS_BRIEF = Key("brief", _LINE, "What it is, in one line", required=True, unless="deprecated")

_MEASUREMENTS = Key(
    "measurements",
    ListOf(_MEASUREMENT_USE),
    "Numbers it measures; a ? behind a name: may be absent",
)
_METADATA = Key(
    "metadata", ListOf(_METADATA_USE), "Fields that describe it; a ? behind a name: may be absent"
)

_FIELD = Record(
    "field",
    "One measurement or one piece of metadata, declared once and used by its name",
    (
        Key("type", Choice("type", TYPES), "What its values are", required=True),
        _BRIEF,
        Key("key", FIELD_NAME, "Its key in the event", default="the field's name"),
        Key("unit", _UNIT, 'Its unit as a UCUM code: ns, s, By, "{item}"'),
        Key(
            "attribute",
            Text("an attribute's name", r"[!-~]+", "shop.order.id"),
            "Its OpenTelemetry attribute, or none if it is never to be one",
            default="the catalog's name and the key, with a dot between",
        ),
        Key(
            "cardinality",
            Choice("cardinality", ("low", "high")),
            "Whether its values are few enough for it to be a metric's tag",
            default="low",
        ),
        Key(
            "sensitivity",
            Choice("sensitivity", ("public", "sensitive")),
            "Whether it may leave the process",
            default="public",
        ),
        Key(
            "values",
            ListOf(ScalarValue(), least=1),
            "All the values it can have, where they are few and known",
        ),
        Key(
            "examples",
            ListOf(Either(ScalarValue(), ListOf(ScalarValue()))),
            "Some of its values",
        ),
        _INHERITED_STABILITY,
        _ENTRY_NOTE,
        _DEPRECATED,
    ),
)

_EVENT = Record(
    "event",
    "Something that happens at a point in time",
    (
        _ALIAS_BRIEF,
        _MEASUREMENTS,
        _METADATA,
        Key(
            "severity",
            Choice("severity", get_args(Severity)),
            "Its severity as a log event",
            default="info",
        ),
        Key("log", Flag(), "Whether it becomes a log event", default="true"),
        _INHERITED_STABILITY,
        _ENTRY_NOTE,
        _DEPRECATED,
    ),
)

_STAGE = Record(
    "stage",
    "What one of a span's three events carries beyond what they have in common",
    (_MEASUREMENTS, _METADATA),
)

_SPAN = Record(
    "span",
    "An operation with a duration; it declares three events: its name with .start, .stop and "
    ".exception",
    (
        _ALIAS_BRIEF,
        Key("kind", Choice("span kind", get_args(SpanKind)), "Its kind", default="internal"),
        Key("span_name", _LINE, "What the exported span is called", default="its name"),
        Key(
            "metadata",
            ListOf(_METADATA_USE),
            "Fields that all three events carry; a ? behind a name: may be absent",
        ),
        Key("start", _STAGE, "What the start event carries besides the standard fields"),
        Key("stop", _STAGE, "What the stop event carries besides the standard fields"),
        Key("exception", _STAGE, "What the exception event carries besides the standard fields"),
        _INHERITED_STABILITY,
        _ENTRY_NOTE,
        _DEPRECATED,
    ),
)

_ALERT = Record(
    "alert",
    "When the metric asks for a person",
    (
        Key("above", Number(), "Alert above this value, in the metric's unit"),
        Key("below", Number(), "Alert below this value, in the metric's unit"),
        Key("quantile", Number(0, 1), "Histograms: the quantile that is compared"),
        Key(
            "over",
            _PERIOD,
            "Counters, sums and histograms: the window of the rate or quantile",
            default="5m",
        ),
        Key("for", _PERIOD, "How long it must last", default="5m"),
        Key(
            "severity",
            Text("a severity label", _SEGMENT, "warning"),
            "The severity label of the alert",
            default="warning",
        ),
        Key("summary", _LINE, "What to tell the person", default="the metric's brief"),
    ),
)

_METRIC = Record(
    "metric",
    "A number kept about events",
    (
        _BRIEF,
        Key(
            "instrument",
            Choice("instrument", get_args(Instrument)),
            "How the events become a number",
            required=True,
        ),
        Key(
            "event",
            Either(EVENT_NAME, ListOf(EVENT_NAME, least=1)),
            "The event or events that it is about",
            required=True,
        ),
        Key(
            "measurement",
            FIELD_NAME,
            "The measurement that it is about; only a counter can do without",
        ),
        Key("unit", _UNIT, "Its unit as a UCUM code", default="the measurement's"),
        Key("tags", ListOf(_TAG), "Metadata that split it; error.type is derived from the result"),
        Key(
            "buckets",
            Either(Choice("word for buckets", ("exponential",)), ListOf(Number(), least=1)),
            "Histograms: the bounds in the metric's unit, or exponential",
            default="OpenTelemetry's bounds",
        ),
        Key("monotonic", Flag(), "Sums: whether it can only grow", default="true"),
        Key("keep", _CONDITION, "Count only events where each of these fields has such a value"),
        Key("drop", _CONDITION, "Count only events where none of these fields has such a value"),
        Key(
            "cardinality_limit",
            Whole(1, 1_000_000),
            "Most combinations of tags kept apart",
            default="2000",
        ),
        Key(
            "ended_by",
            Either(EVENT_NAME, ListOf(EVENT_NAME, least=1)),
            "Last values: the events that end the series whose tags have the values they carry",
        ),
        Key("alert", _ALERT, "When it asks for a person"),
        _INHERITED_STABILITY,
        _ENTRY_NOTE,
        _DEPRECATED,
    ),
)

CATALOG: Final = Record(
    "catalog",
    "What events exist, what they carry, and which spans, metrics and log events they become",
    (
        Key("catalog", Text("a name", _SEGMENT, "shop"), "Its name", required=True),
        Key(
            "version",
            Text(
                "a semantic version",
                r"(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)(-[0-9A-Za-z.-]+)?"
                r"(\+[0-9A-Za-z.-]+)?",
                "1.2.3",
            ),
            "Its semantic version",
            required=True,
        ),
        _BRIEF,
        Key(
            "schema_url",
            Text("an http or https address", r"https?://[!-~]+", "https://example.org/shop/1.0.0"),
            "The address OpenTelemetry knows it by",
        ),
        Key(
            "stability",
            _STABILITY,
            "How settled all of it is, where an entry does not say",
            default="development",
        ),
        Key("fields", MapOf(FIELD_NAME, _FIELD), "Measurements and metadata"),
        Key("events", MapOf(EVENT_NAME, _EVENT), "Events at a point in time"),
        Key("spans", MapOf(EVENT_NAME, _SPAN), "Operations with a duration"),
        Key("metrics", MapOf(EVENT_NAME, _METRIC), "Numbers kept about events"),
    ),
)
"""What a catalog file may hold."""


def json_schema() -> dict[str, Any]:
    """The format as JSON Schema, draft 2020-12, so that editors complete and check catalogs."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "heliograph catalog",
        **CATALOG.schema(),
    }


def format_reference() -> str:
    """The format as a page of Markdown."""
    return "\n".join(_reference()) + "\n"


def _reference() -> Iterator[str]:
    yield "# The catalog format"
    yield ""
    yield "A catalog is one YAML file, in UTF-8 and by the rules of YAML 1.2. This page is made"
    yield "from the table by which the loader checks it."
    yield from CATALOG.tables()
