# SPDX-License-Identifier: Apache-2.0
"""Checks of what a definition is given; what is wrong is said where it is defined."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from inspect import Parameter, signature
from itertools import pairwise
from math import isfinite
from typing import TYPE_CHECKING, Any, Final, NoReturn

from heliograph._checks import check_name
from heliograph.catalog.errors import shorten
from heliograph.catalog.model import ERROR_TYPE
from heliograph.catalog.units import conversion, mistaken_for, same_family
from heliograph.metrics.definitions import Definition, DefinitionError, Tag, Test
from heliograph.telemetry import EventNameError

if TYPE_CHECKING:
    from heliograph.catalog.model import Instrument
    from heliograph.metrics.definitions import Measure, Tagging

__all__ = ["Making"]

# Where error.type is derived from in the events of code that has no catalog.
_ERRORS: Final = (("result", False), ("reason", False))


class Making:
    """Checks what a definition is given, and says what is wrong with it."""

    def __init__(
        self, name: Any, instrument: Instrument, event: str | Iterable[str] | None
    ) -> None:
        self.shown: str = _shown(name)
        self.name: str = name
        self.instrument: Instrument = instrument
        self.text(name, "name")
        segments = name.split(".")
        if not all(segments) or not name.isascii() or not name.isprintable() or " " in name:
            self.fail("malformed name", 'write dotted segments, as in "shop.order.placed.count"')
        # The specification's limit for the name of an instrument.
        if len(name) > 255:
            self.fail(f"name of {len(name)} characters", "write at most 255")
        self.last: str = segments[-1]
        self.events: tuple[str, ...] = self._events(event, ".".join(segments[:-1]))

    def definition(self, **given: Any) -> Definition:
        """The definition, with what the other methods found to be right."""
        return Definition(self.name, self.instrument, self.events, **given)

    def fail(self, fault: str, mend: str, cause: Exception | None = None) -> NoReturn:
        """Raise a `DefinitionError` that names the metric, the fault and the mend."""
        raise DefinitionError(f"{self.instrument} {self.shown}: {fault}; {mend}") from cause

    def text(self, value: Any, what: str) -> str:
        """A string."""
        if not isinstance(value, str):
            self.fail(f"{what} is {_shown(value)}", "write a string")
        return value

    def flag(self, value: Any, what: str) -> bool:
        """True or false."""
        if not isinstance(value, bool):
            self.fail(f"{what} is {_shown(value)}", "write True or False")
        return value

    def limit(self, value: Any) -> int:
        """A cardinality limit."""
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            self.fail(f"cardinality_limit is {_shown(value)}", "write a whole number from 1")
        return value

    def _events(self, given: str | Iterable[str] | None, default: str) -> tuple[str, ...]:
        if given is None:
            if not default:
                self.fail("no event", "add event=..., or let the name begin with the event's")
            given = default
        return self._names_of(given)

    def _names_of(self, given: str | Iterable[str]) -> tuple[str, ...]:
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

    def ended_by(
        self, given: str | Iterable[str] | None, tags: Any, tag_values: Tagging | None
    ) -> tuple[str, ...]:
        """The events that end series."""
        if given is None:
            return ()
        if callable(tags) or tag_values is not None:
            self.fail("ended_by beside a function for tags", "name the tags")
        if not tags:
            self.fail("ended_by without tags", "name tags that say which series ends")
        events = self._names_of(given)
        for event in events:
            if event in self.events:
                self.fail(f"{event} both tells the value and ends it", "name another event")
        return events

    def measurement(self, given: Any) -> str | Measure | None:
        """A key, a function of two arguments, or the default."""
        if given is None:
            return None if self.instrument == "counter" else self.last
        if callable(given):
            return self._called_with(given, "measurement", "measurements", "metadata")
        key = self.text(given, "measurement")
        if not key:
            self.fail("measurement is empty", "write its key, or a function")
        return key

    def units(self, unit: str | None, measured: str | None) -> dict[str, Any]:
        """The unit, and how measurements are converted to it."""
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
        """Bounds, or that they are exponential."""
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
        """The tags, and where `error.type` comes from if it is one."""
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
        """Which events count."""
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
            if not values:
                self.fail(f"{what} compares {key!r} with nothing", "name a value")
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
