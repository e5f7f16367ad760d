# SPDX-License-Identifier: Apache-2.0
"""Whether what is executed is what the catalog promises.

A checker is made for an event the first time it is seen, so that checking costs a few dictionary
look-ups and type tests an event. Values never appear in a violation, only their types: they may be
sensitive, and violations are logged and exported. (The exception is a value outside a public
field's closed set, which cannot be found by its type.)
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from itertools import count
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, get_args

from heliograph.catalog.errors import ConformanceError, Violation, did_you_mean, listing, shorten
from heliograph.catalog.values import SCALAR_CHECKS, fits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from heliograph import telemetry as core
    from heliograph.catalog.model import EventSpec, FieldSpec, Use

__all__ = ["MAX_ELEMENTS", "VIOLATION", "Conformance", "Mode", "enforce"]

Mode: TypeAlias = Literal["raise", "report", "sample"]
"""What `enforce` does with a violation."""

VIOLATION: Final = "heliograph.catalog.violation"
"""The event that reports a violation; catalogued in heliograph.yaml."""

MAX_ELEMENTS: Final = 100
"""So many elements of an array are checked. Ours to choose: checking must not grow with data."""

# Names that no catalog knows are remembered up to this number, so that an emitter that makes up
# names as it goes cannot fill the memory.
_MAX_UNKNOWN: Final = 1024

_Check: TypeAlias = "Callable[[Any], str]"

_log = logging.getLogger(__name__)


class Conformance:
    """Checks events against the specifications they are given.

    Args:
        events: specifications by full name, aliases included.
        siblings: the three specifications of each span by the span's name.
    """

    def __init__(
        self, events: Mapping[str, EventSpec], siblings: Mapping[str, Sequence[EventSpec]]
    ) -> None:
        self._events = events
        self._siblings = siblings
        self._checkers: dict[str, _Checker] = {}
        self._unknown: dict[str, list[Violation]] = {}

    def check(
        self, event: str, measurements: Mapping[str, Any], metadata: Mapping[str, Any]
    ) -> list[Violation]:
        """What is wrong with one executed event; nothing, most of the time."""
        checker = self._checkers.get(event)
        if checker is None:
            spec = self._events.get(event)
            if spec is None:
                return self._unknown_event(event)
            checker = self._checkers[event] = _Checker(spec, self._carried_over(spec))
        return checker.check(measurements, metadata)

    def _carried_over(self, spec: EventSpec) -> list[FieldSpec]:
        """Metadata that a span's event may carry because an earlier one of the span does.

        A span's metadata begins as a copy of the start's and is filled by the body, which may have
        said its result before it failed.
        """
        if spec.span is None:
            return []
        earlier = {"start": (), "stop": ("start",), "exception": ("start", "stop"), "point": ()}
        return [
            use.field
            for sibling in self._siblings.get(spec.span, ())
            if sibling.kind in earlier[spec.kind]
            for use in sibling.metadata
        ]

    def _unknown_event(self, event: str) -> list[Violation]:
        violations = self._unknown.get(event)
        if violations is None:
            if len(self._unknown) >= _MAX_UNKNOWN:
                return [Violation(event, "", "no catalog declares it")]
            present = [name for name, spec in self._events.items() if spec.alias_of is None]
            suggestion = did_you_mean(event, present, "catalogue it, or correct the name")
            violations = [Violation(event, "", f"no catalog declares it; {suggestion}")]
            self._unknown[event] = violations
        return list(violations)


class _Checker:
    """Checks one event."""

    def __init__(self, spec: EventSpec, tolerated: Iterable[FieldSpec]) -> None:
        self._event = spec.name
        self._alias_of = spec.alias_of
        self._parts = (
            ("measurements", *_compile(spec.measurements, ())),
            ("metadata", *_compile(spec.metadata, tolerated)),
        )

    def check(self, measurements: object, metadata: object) -> list[Violation]:
        violations: list[Violation] = []
        if self._alias_of is not None:
            problem = f"an old name; it is {self._alias_of} now"
            violations.append(Violation(self._event, "", problem))
        for (part, required, checks), given in zip(
            self._parts, (measurements, metadata), strict=True
        ):
            if not isinstance(given, Mapping):
                self._add(violations, part, f"expected a mapping, got {_name(given)}")
                continue
            for key, value in given.items():
                check = checks.get(key)
                if check is None:
                    suggestion = did_you_mean(str(key), checks.keys() - given.keys())
                    problem = f"undeclared; {suggestion}" if suggestion else "undeclared"
                    self._add(violations, f"{part}.{shorten(str(key))}", problem)
                elif problem := check(value):
                    self._add(violations, f"{part}.{key}", problem)
            for key in required:
                if key not in given:
                    self._add(violations, f"{part}.{key}", "missing")
        return violations

    def _add(self, violations: list[Violation], path: str, problem: str) -> None:
        violations.append(Violation(self._event, path, problem))


def _compile(
    uses: Iterable[Use], tolerated: Iterable[FieldSpec]
) -> tuple[tuple[str, ...], dict[str, _Check]]:
    checks = {field.key: _check_of(field) for field in tolerated}
    required = []
    for use in uses:
        checks[use.key] = _check_of(use.field)
        if use.required:
            required.append(use.key)
    return tuple(required), checks


def _name(value: object) -> str:
    return type(value).__name__


def _check_of(field: FieldSpec) -> _Check:
    """What gives the problem with a value of the field, or an empty text."""
    kind = field.type
    if not kind.endswith("[]"):
        return _check_one(kind, field)
    check_element = _check_one(kind.removesuffix("[]"), field)

    def check_array(value: Any) -> str:
        if not fits(kind, value):
            return f"expected {kind}, got {_name(value)}"
        for index, element in enumerate(value[:MAX_ELEMENTS]):
            if problem := check_element(element):
                return f"element {index}: {problem}"
        return ""

    return check_array


def _check_one(kind: str, field: FieldSpec) -> _Check:
    scalar = SCALAR_CHECKS.get(kind)
    values = frozenset(field.values)

    def check_type(value: Any) -> str:
        return "" if fits(kind, value) else f"expected {kind}, got {_name(value)}"

    def check_scalar(value: Any) -> str:
        return "" if scalar(value) else f"expected {kind}, got {_name(value)}"  # type: ignore[misc]  # not None where it is used

    def check_value(value: Any) -> str:
        if problem := check_type(value):
            return problem
        if value in values:
            return ""
        if field.sensitive:
            return "not among its declared values"
        listed = listing(map(str, field.values))
        return f"{shorten(repr(value))} is not among its declared values ({listed})"

    if values:
        return check_value
    return check_type if scalar is None else check_scalar


def enforce(
    conformance: Conformance,
    mode: Mode,
    rate: float,
    telemetry: core.Telemetry,
    catalog_of: Callable[[str], str | None],
) -> core.Observation:
    """Check what `telemetry` executes until the observation is closed.

    See `Catalog.enforce`.
    """
    if mode not in get_args(Mode):
        raise ValueError(f"mode is {mode!r}; it must be one of {', '.join(get_args(Mode))}")
    if not 0 < rate <= 1:
        raise ValueError(f"rate is {rate!r}; it must be above 0 and at most 1")

    if mode == "raise":

        def insist(
            event: str, measurements: Mapping[str, Any], metadata: Mapping[str, Any]
        ) -> None:
            if violations := conformance.check(event, measurements, metadata):
                raise ConformanceError(event, violations)

        return telemetry.observe(insist, on_failure="raise")

    reporter = _Reporter(telemetry, catalog_of)

    def report(event: str, measurements: Mapping[str, Any], metadata: Mapping[str, Any]) -> None:
        if event != VIOLATION and (violations := conformance.check(event, measurements, metadata)):
            reporter.report(event, violations)

    if mode == "report" or rate == 1:
        return telemetry.observe(report)

    # Every so-many-th of each event, the first included: unlike dice, that misses no event.
    interval = round(1 / rate)
    turns: dict[str, count[int]] = {}

    def sample(event: str, measurements: Mapping[str, Any], metadata: Mapping[str, Any]) -> None:
        turn = turns.get(event)
        if turn is None:
            turn = count() if len(turns) >= _MAX_UNKNOWN else turns.setdefault(event, count())
        if next(turn) % interval == 0:
            report(event, measurements, metadata)

    return telemetry.observe(sample)


class _Reporter:
    """Executes an event for each violating event, and logs the first of each name."""

    def __init__(self, telemetry: core.Telemetry, catalog_of: Callable[[str], str | None]) -> None:
        self._telemetry = telemetry
        self._catalog_of = catalog_of
        self._logged: set[str] = set()

    def report(self, event: str, violations: Sequence[Violation]) -> None:
        problems = [str(violation) for violation in violations]
        metadata: dict[str, Any] = {"event_name": event, "problems": problems}
        if (catalog := self._catalog_of(event)) is not None:
            metadata["catalog"] = catalog
        self._telemetry.execute(VIOLATION, {"count": len(problems)}, metadata)
        if event not in self._logged and len(self._logged) < _MAX_UNKNOWN:
            self._logged.add(event)
            _log.warning("%s does not conform to its catalog: %s", event, "; ".join(problems))
