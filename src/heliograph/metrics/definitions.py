# SPDX-License-Identifier: Apache-2.0
"""What is to be measured of events: the five kinds of metric, from code.

The kinds, the names and what a definition may say follow Erlang's `telemetry_metrics` 1.1
(beam-telemetry/telemetry_metrics); the units, limits and buckets are OpenTelemetry's. A definition
does nothing by itself: a reporter, such as `Aggregate`, keeps the numbers.

One deviation: a counter counts events, whatever they carry, unless it names a measurement. In the
original the last segment of its name must be a measurement that the event has, which makes many a
counter stand still.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from inspect import Parameter, signature
from itertools import pairwise
from math import isfinite
from typing import TYPE_CHECKING, Any, Final, Literal, NoReturn, TypeAlias

from heliograph.catalog.errors import shorten
from heliograph.catalog.model import ERROR_TYPE
from heliograph.catalog.units import conversion, is_count, mistaken_for, same_family
from heliograph.telemetry import EventNameError

if TYPE_CHECKING:
    from heliograph.catalog.model import Instrument

__all__ = [
    "DEFAULT_BUCKETS",
    "NO_SCOPE",
    "Definition",
    "DefinitionError",
    "Scope",
    "Tag",
    "Test",
    "counter",
    "histogram",
    "last_value",
    "sum",
    "summary",
]

DEFAULT_BUCKETS: Final = (0, 5, 10, 25, 50, 75, 100, 250, 500, 750, 1000, 2500, 5000, 7500, 10000)
"""Bounds of a histogram that names none; the default of OpenTelemetry's specification."""

CARDINALITY_LIMIT: Final = 2000
"""Series a metric may have unless it says otherwise; OpenTelemetry's default."""

_ERRORS: Final = (("result", False), ("reason", False))

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
    scope: Scope = NO_SCOPE

    @property
    def error_type(self) -> bool:
        """Whether the derived tag `error.type` is added."""
        return bool(self.errors)


def counter(
    name: str,
    *,
    event: str | Iterable[str] | None = None,
    measurement: str | Measure | None = None,
    unit: str = "{event}",
    tags: Iterable[str] | Mapping[str, str] | Tagging = (),
    tag_values: Tagging | None = None,
    keep: Chosen | None = None,
    drop: Chosen | None = None,
    cardinality_limit: int = CARDINALITY_LIMIT,
    description: str = "",
) -> Definition:
    """How many events there were.

    Args:
        name: The metric's name, dotted.
        event: The event's name, or several; the metric's name without its last segment if None.
        measurement: If given, only events that carry this number are counted.
        unit: What is counted, as a UCUM annotation such as `{request}`, or `1`.
        tags: Keys of the metadata by which to split; as a mapping, with the names under which they
            are exported; or a function of the metadata that returns the tags. `error.type` is
            derived, from `Error(reason)` in `result` or from the exception in `reason`. Text,
            numbers, true and false are tags; what is absent or None is left out.
        tag_values: A function that turns the metadata into what the keys are looked up in.
        keep: Which events count: `{key: value or [values]}`, all of which must hold of the
            metadata, or a function of the metadata, or of the metadata and the measurements.
        drop: Which events do not count, in the same forms; only one of the two may be given.
        cardinality_limit: How many series there may be; what goes beyond them is kept in one more,
            which has the single attribute `otel.metric.overflow=true`.
        description: What it means, in a line.

    Raises:
        DefinitionError: It is wrong in any way.
    """
    making = _Making(name, "counter", event)
    if not is_count(making.text(unit, "unit")):
        making.fail(
            f"unit {unit!r} on a counter",
            'a counter counts events: write 1, or say of what, as in "{request}"',
        )
    return making.definition(
        measurement=making.measurement(measurement),
        unit=unit,
        description=making.text(description, "description"),
        cardinality_limit=making.limit(cardinality_limit),
        **making.tags(tags, tag_values),
        **making.conditions(keep, drop),
    )


def sum(  # noqa: A001 - the field's name for it; it is used as metrics.sum
    name: str,
    *,
    event: str | Iterable[str] | None = None,
    measurement: str | Measure | None = None,
    unit: str | None = None,
    measurement_unit: str | None = None,
    tags: Iterable[str] | Mapping[str, str] | Tagging = (),
    tag_values: Tagging | None = None,
    keep: Chosen | None = None,
    drop: Chosen | None = None,
    cardinality_limit: int = CARDINALITY_LIMIT,
    monotonic: bool = True,
    description: str = "",
) -> Definition:
    """The sum of a measurement.

    Args:
        name: The metric's name, dotted.
        event: As for `counter`.
        measurement: Key of the measurement, or a function of the measurements, or of the
            measurements and the metadata; the last segment of the metric's name if None.
        unit: UCUM code of the exported values; `measurement_unit` if None.
        measurement_unit: UCUM code of the measurement; `unit` if None, and `1` if both are. Time
            and amounts of data are converted from one to the other.
        tags: As for `counter`.
        tag_values: As for `counter`.
        keep: As for `counter`.
        drop: As for `counter`.
        cardinality_limit: As for `counter`.
        monotonic: Whether it can only grow; negative measurements are then skipped and counted.
        description: What it means, in a line.

    Raises:
        DefinitionError: It is wrong in any way.
    """
    making = _Making(name, "sum", event)
    return making.definition(
        measurement=making.measurement(measurement),
        monotonic=making.flag(monotonic, "monotonic"),
        description=making.text(description, "description"),
        cardinality_limit=making.limit(cardinality_limit),
        **making.units(unit, measurement_unit),
        **making.tags(tags, tag_values),
        **making.conditions(keep, drop),
    )


def last_value(
    name: str,
    *,
    event: str | Iterable[str] | None = None,
    measurement: str | Measure | None = None,
    unit: str | None = None,
    measurement_unit: str | None = None,
    tags: Iterable[str] | Mapping[str, str] | Tagging = (),
    tag_values: Tagging | None = None,
    keep: Chosen | None = None,
    drop: Chosen | None = None,
    cardinality_limit: int = CARDINALITY_LIMIT,
    description: str = "",
) -> Definition:
    """The latest value of a measurement; the arguments are those of `sum`.

    Raises:
        DefinitionError: It is wrong in any way.
    """
    making = _Making(name, "last_value", event)
    return making.definition(
        measurement=making.measurement(measurement),
        description=making.text(description, "description"),
        monotonic=False,
        cardinality_limit=making.limit(cardinality_limit),
        **making.units(unit, measurement_unit),
        **making.tags(tags, tag_values),
        **making.conditions(keep, drop),
    )


def histogram(
    name: str,
    *,
    event: str | Iterable[str] | None = None,
    measurement: str | Measure | None = None,
    unit: str | None = None,
    measurement_unit: str | None = None,
    buckets: Sequence[float] | Literal["exponential"] = DEFAULT_BUCKETS,
    tags: Iterable[str] | Mapping[str, str] | Tagging = (),
    tag_values: Tagging | None = None,
    keep: Chosen | None = None,
    drop: Chosen | None = None,
    cardinality_limit: int = CARDINALITY_LIMIT,
    description: str = "",
) -> Definition:
    """How a measurement is distributed: its count, sum, least, greatest, and buckets.

    Args:
        name: The metric's name, dotted.
        event: As for `sum`.
        measurement: As for `sum`. It must not be negative: such a point is skipped and counted.
        unit: As for `sum`.
        measurement_unit: As for `sum`.
        buckets: Upper bounds, inclusive, in `unit`, growing; or `"exponential"` for base-2
            exponential buckets, which find their bounds themselves.
        tags: As for `counter`.
        tag_values: As for `counter`.
        keep: As for `counter`.
        drop: As for `counter`.
        cardinality_limit: As for `counter`.
        description: What it means, in a line.

    Raises:
        DefinitionError: It is wrong in any way.
    """
    making = _Making(name, "histogram", event)
    return making.definition(
        measurement=making.measurement(measurement),
        description=making.text(description, "description"),
        cardinality_limit=making.limit(cardinality_limit),
        **making.buckets(buckets),
        **making.units(unit, measurement_unit),
        **making.tags(tags, tag_values),
        **making.conditions(keep, drop),
    )


def summary(
    name: str,
    *,
    event: str | Iterable[str] | None = None,
    measurement: str | Measure | None = None,
    unit: str | None = None,
    measurement_unit: str | None = None,
    tags: Iterable[str] | Mapping[str, str] | Tagging = (),
    tag_values: Tagging | None = None,
    keep: Chosen | None = None,
    drop: Chosen | None = None,
    cardinality_limit: int = CARDINALITY_LIMIT,
    description: str = "",
) -> Definition:
    """A measurement's count, sum, least and greatest; the arguments are those of `sum`.

    It is exported as a histogram without bounds. A measurement must not be negative.

    Raises:
        DefinitionError: It is wrong in any way.
    """
    making = _Making(name, "summary", event)
    return making.definition(
        measurement=making.measurement(measurement),
        description=making.text(description, "description"),
        cardinality_limit=making.limit(cardinality_limit),
        buckets=(),
        **making.units(unit, measurement_unit),
        **making.tags(tags, tag_values),
        **making.conditions(keep, drop),
    )


class _Making:
    """Checks what a definition is given, and says what is wrong with it."""

    def __init__(
        self, name: Any, instrument: Instrument, event: str | Iterable[str] | None
    ) -> None:
        self.shown = _shown(name)
        self.name = name
        self.instrument: Instrument = instrument
        self.text(name, "name")
        segments = name.split(".")
        if not all(segments) or not name.isascii() or not name.isprintable() or " " in name:
            self.fail("malformed name", 'write dotted segments, as in "shop.order.placed.count"')
        # The specification's limit for the name of an instrument.
        if len(name) > 255:
            self.fail(f"name of {len(name)} characters", "write at most 255")
        self.last = segments[-1]
        self.events = self._events(event, ".".join(segments[:-1]))

    def definition(self, **given: Any) -> Definition:
        return Definition(self.name, self.instrument, self.events, **given)

    def fail(self, fault: str, mend: str, cause: Exception | None = None) -> NoReturn:
        raise DefinitionError(f"{self.instrument} {self.shown}: {fault}; {mend}") from cause

    def text(self, value: Any, what: str) -> str:
        if not isinstance(value, str):
            self.fail(f"{what} is {_shown(value)}", "write a string")
        return value

    def flag(self, value: Any, what: str) -> bool:
        if not isinstance(value, bool):
            self.fail(f"{what} is {_shown(value)}", "write True or False")
        return value

    def limit(self, value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            self.fail(f"cardinality_limit is {_shown(value)}", "write a whole number from 1")
        return value

    def _events(self, given: str | Iterable[str] | None, default: str) -> tuple[str, ...]:
        from heliograph._checks import check_name

        if given is None:
            if not default:
                self.fail("no event", "add event=..., or let the name begin with the event's")
            given = default
        try:
            events = (given,) if isinstance(given, str) else tuple(given)
            for event in events:
                check_name(event)
        except (TypeError, EventNameError) as failure:
            self.fail(str(failure), "name an event, or several", failure)
        if not events:
            self.fail("no event", "name at least one")
        if len(set(events)) < len(events):
            self.fail("an event stands twice", "name each once")
        return events

    def measurement(self, given: Any) -> str | Measure | None:
        if given is None:
            return None if self.instrument == "counter" else self.last
        if callable(given):
            return self._called_with(given, "measurement", "measurements", "metadata")
        key = self.text(given, "measurement")
        if not key:
            self.fail("measurement is empty", "write its key, or a function")
        return key

    def units(self, unit: str | None, measured: str | None) -> dict[str, Any]:
        for given in (unit, measured):
            if given is not None and not self.text(given, "unit"):
                self.fail("empty unit", 'write a UCUM code, or "1"')
        source = measured or unit or "1"
        target = unit or source
        factor = conversion(source, target)
        if factor is None:
            meant = [repr(mistaken_for(one)) for one in (source, target) if mistaken_for(one)]
            mend = f"did you mean {' and '.join(meant)}?" if meant else ""
            mend = mend or f"write one of {', '.join(same_family(source))}"
            self.fail(f"unit {target!r} cannot be made from {source!r}", mend)
        double = factor != 1 or self.instrument in {"histogram", "summary"}
        return {"unit": target, "factor": factor, "double": double}

    def buckets(self, given: Any) -> dict[str, Any]:
        if isinstance(given, str):
            if given != "exponential":
                self.fail(f"buckets is {_shown(given)}", 'write bounds, or "exponential"')
            return {"exponential": True}
        bounds = self._items(given, "buckets")
        for bound in bounds:
            if isinstance(bound, bool) or not isinstance(bound, int | float):
                self.fail(f"bucket {_shown(bound)}", "write numbers")
            if not isfinite(bound):
                self.fail(f"bucket {bound}", "leave it out; the last one has no bound anyway")
        for lower, upper in pairwise(bounds):
            if upper <= lower:
                self.fail(f"bucket {upper} does not follow {lower}", "let the bounds grow")
        return {"buckets": bounds}

    def tags(
        self, given: Iterable[str] | Mapping[str, str] | Tagging, values: Tagging | None
    ) -> dict[str, Any]:
        found: dict[str, Any] = {}
        if values is not None:
            found["tag_values"] = self._called_with(values, "tag_values", "metadata")
        if callable(given):
            if values is not None:
                self.fail("tags is a function beside tag_values", "let the one function do both")
            found["tagging"] = self._called_with(given, "tags", "metadata")
            return found
        if isinstance(given, str):
            self.fail(f"tags is the string {given!r}", f"write [{given!r}]")
        keys = self._items(given, "tags")
        names = tuple(given.values()) if isinstance(given, Mapping) else keys
        for name in (*keys, *names):
            if not self.text(name, "tag"):
                self.fail("empty tag", "write a key of the metadata")
        for each in (keys, names):
            if len(set(each)) < len(each):
                self.fail("a tag stands twice", "name each once")
        if ERROR_TYPE in keys:
            found["errors"] = dict.fromkeys(self.events, _ERRORS)
        pairs = zip(keys, names, strict=True)
        found["tags"] = tuple(Tag(key, name) for key, name in pairs if key != ERROR_TYPE)
        return found

    def conditions(self, keep: Any, drop: Any) -> dict[str, Any]:
        if keep is not None and drop is not None:
            self.fail("keep beside drop", "say it with one of them")
        given = drop if keep is None else keep
        what = "drop" if keep is None else "keep"
        if given is None:
            return {}
        if callable(given):
            predicate = self._called_with(given, what, "metadata", "measurements")
            return {"predicate": predicate, "inverted": keep is None}
        if not isinstance(given, Mapping) or not given:
            self.fail(f"{what} is {_shown(given)}", "write {key: value or [values]}, or a function")
        tests = []
        for key, wanted in given.items():
            values = tuple(wanted) if isinstance(wanted, list | tuple | set) else (wanted,)
            if self.text(key, f"key of {what}") == ERROR_TYPE:
                self.fail(
                    f"{what} compares {ERROR_TYPE!r}, which no event carries",
                    "write a function of the metadata",
                )
            for value in values:
                if not isinstance(value, str | int | float):
                    self.fail(f"{what} compares {key!r} with {_shown(value)}", "compare scalars")
            tests.append(Test(key, values))
        return {"keep": tuple(tests), "inverted": keep is None}

    def _items(self, given: Iterable[Any], what: str) -> tuple[Any, ...]:
        try:
            return tuple(given)
        except TypeError as failure:
            self.fail(f"{what} is {_shown(given)}", "write a list", failure)

    def _called_with(
        self, function: Callable[..., Any], what: str, *names: str
    ) -> Callable[..., Any]:
        """The function, such that it can be called with all the arguments there are."""
        try:
            parameters = signature(function).parameters.values()
        except (TypeError, ValueError):
            return _first_only(function, len(names))  # a builtin, such as len
        positional = [p for p in parameters if p.kind <= Parameter.POSITIONAL_OR_KEYWORD]
        needed = len([p for p in positional if p.default is Parameter.empty])
        demanded = [
            p.name
            for p in parameters
            if p.kind is Parameter.KEYWORD_ONLY and p.default is Parameter.empty
        ]
        takes = len(positional)
        if any(p.kind is Parameter.VAR_POSITIONAL for p in parameters):
            takes = max(takes, len(names))
        if demanded or not needed <= len(names) or not takes:
            wanted = " or ".join(f"({', '.join(names[: i + 1])})" for i in range(len(names)))
            self.fail(f"{what} is a function that cannot be called with {wanted}", "let it")
        takes = min(takes, len(names))
        return function if takes == len(names) else _first_only(function, len(names))


def _first_only(function: Callable[..., Any], takes: int) -> Callable[..., Any]:
    return function if takes == 1 else lambda first, _: function(first)


def _shown(value: object) -> str:
    try:
        return shorten(repr(value))
    except Exception:  # noqa: BLE001 - a representation that fails must not hide the fault
        return f"a {type(value).__name__}"
