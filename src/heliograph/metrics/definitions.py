# SPDX-License-Identifier: Apache-2.0
"""What a definition of a metric is. A reporter, such as `Aggregate`, keeps its numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

if TYPE_CHECKING:
    from heliograph.catalog.model import Instrument

__all__ = [
    "CARDINALITY_LIMIT",
    "DEFAULT_BUCKETS",
    "NO_SCOPE",
    "Chosen",
    "Definition",
    "DefinitionError",
    "Measure",
    "Predicate",
    "Scope",
    "Tag",
    "TagType",
    "Tagging",
    "Test",
]

DEFAULT_BUCKETS: Final = (0, 5, 10, 25, 50, 75, 100, 250, 500, 750, 1000, 2500, 5000, 7500, 10000)
"""Bounds of a histogram that names none; the default of OpenTelemetry's specification."""

CARDINALITY_LIMIT: Final = 2000
"""Series a metric may have unless it says otherwise; OpenTelemetry's default."""

TagType: TypeAlias = Literal["string", "int", "float", "number", "bool"]

Measure: TypeAlias = Callable[..., Any]
"""`measure(measurements)` or `measure(measurements, metadata)`, which returns a number."""
Predicate: TypeAlias = Callable[..., Any]
"""`keep(metadata)` or `keep(metadata, measurements)`, which returns something true or false."""
Tagging: TypeAlias = Callable[[Mapping[str, Any]], Mapping[str, Any]]
"""`tags(metadata)`, which returns tags, or whatever tags are then taken from."""
Chosen: TypeAlias = Mapping[str, Any] | Predicate


class DefinitionError(ValueError):
    """A metric is defined wrongly; the message names the metric, the fault and the mend."""


@dataclass(frozen=True, slots=True)
class Scope:
    """Whose metrics they are: what OpenTelemetry calls the instrumentation scope."""

    name: str
    version: str | None = None
    schema_url: str | None = None


NO_SCOPE: Final = Scope("heliograph.metrics")
"""The scope of metrics that no catalog declares."""


@dataclass(frozen=True, slots=True)
class Tag:
    """One key of an event's metadata, by whose value a metric is split."""

    key: str
    attribute: str
    """The name under which it is exported."""
    type: TagType | None = None
    """What its values are made to be; None leaves text, numbers, true and false as they are."""
    required: bool = False
    """Whether the event always carries it; without it a point has one attribute less."""


@dataclass(frozen=True, slots=True)
class Test:
    """That the value under one key of the metadata is among some values."""

    # Pytest collects what is called Test...; this is none of its business.
    __test__ = False

    key: str
    values: tuple[str | int | float | bool, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Definition:
    """One metric: an instrument over one measurement of one event or several, split by tags.

    Made by `counter`, `sum`, `last_value`, `histogram`, `summary` and `from_catalog`, which check
    what they are given.
    """

    name: str
    instrument: Instrument
    events: tuple[str, ...]
    measurement: str | Measure | None = None
    """Key or function; None only for a counter, which then counts events."""
    unit: str = "1"
    """UCUM code of what is exported."""
    factor: Fraction = Fraction(1)
    """What a measurement is multiplied by to be in `unit`."""
    whole: bool = False
    """Whether measurements are declared to be integers."""
    double: bool = False
    """Whether values are exported as floating point even if they are whole."""
    description: str = ""
    tags: tuple[Tag, ...] = ()
    tagging: Tagging | None = None
    """Gives all the tags there are, in place of `tags`."""
    tag_values: Tagging | None = None
    """Turns the metadata into what `tags` are taken from."""
    errors: Mapping[str, tuple[tuple[str, bool], ...]] = field(default_factory=dict)
    """For `error.type`: by event, the keys of the results and exceptions it is derived from, each
    with whether it is sensitive."""
    keep: tuple[Test, ...] = ()
    """Tests that must all hold for an event to count; or, if `inverted`, must not all hold."""
    inverted: bool = False
    predicate: Predicate | None = None
    """A function in place of tests; `inverted` holds for it as well."""
    buckets: tuple[float, ...] = DEFAULT_BUCKETS
    """Upper bounds, in `unit`; none for a summary."""
    exponential: bool = False
    """Base-2 exponential buckets in place of the bounds."""
    monotonic: bool = True
    """Whether it can only grow; for a sum it is the definition's choice."""
    cardinality_limit: int = CARDINALITY_LIMIT
    ended_by: tuple[str, ...] = ()
    """For a last value: events that end the series whose tags have the values that they carry."""
    scope: Scope = NO_SCOPE

    @property
    def error_type(self) -> bool:
        """Whether the derived tag `error.type` is added."""
        return bool(self.errors)
