# SPDX-License-Identifier: Apache-2.0
"""What metrics must satisfy beyond the format's table."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

from heliograph.catalog.errors import did_you_mean, listing, shorten
from heliograph.catalog.model import ERROR_TYPE, Alert, Condition, MetricSpec
from heliograph.catalog.reading import list_of
from heliograph.catalog.shapes import kind_of
from heliograph.catalog.units import conversion, is_count, same_family
from heliograph.catalog.values import SCALAR_CHECKS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from heliograph.catalog.model import EventSpec, FieldSpec, Where
    from heliograph.catalog.reading import Reading
    from heliograph.catalog.shapes import Cell, Entry

__all__ = ["read_metrics"]

_TAG_TYPES: Final = frozenset({"string", "int", "float", "number", "bool"})
_RATES: Final = ("counter", "sum", "histogram")


def read_metrics(reading: Reading, events: Mapping[str, EventSpec | None]) -> dict[str, MetricSpec]:
    """The section `metrics`, checked against the document's events."""
    cells = reading.top.entry("metrics").cells
    reading.check_renamings(cells, cells, "metric")
    carried = {
        name: _Carried(
            {use.field.name: use.field for use in event.measurements},
            {use.field.name: use.field for use in event.metadata},
        )
        for name, event in events.items()
        if event is not None and event.alias_of is None
    }
    metrics = {}
    for name, cell in cells.items():
        if cell.value is not None:
            metrics[name] = _Metric(reading, events, carried, cell.value).read(name, cell.where)
    return metrics


@dataclass(frozen=True, slots=True)
class _Carried:
    """What an event carries, by the fields' names."""

    measurements: Mapping[str, FieldSpec]
    metadata: Mapping[str, FieldSpec]


class _Metric:
    """Reads one metric."""

    def __init__(
        self,
        reading: Reading,
        events: Mapping[str, EventSpec | None],
        carried: Mapping[str, _Carried],
        entry: Entry,
    ) -> None:
        self.reading = reading
        self.faults = reading.faults
        self.known = events
        self.carried = carried
        self.entry = entry
        self.instrument = entry.get("instrument")
        self.events = self._events("event")

    def read(self, name: str, where: Where) -> MetricSpec:
        """The metric; worthless if there are faults."""
        entry = self.entry
        reading = self.reading
        self._check_instrument()
        measurement = self._measurement()
        tags, error_type = self._tags()
        if "keep" in entry and "drop" in entry:
            mend = "say it with one of them"
            self.faults.add("'drop' beside 'keep'", entry.where_of("drop"), mend)
        return MetricSpec(
            name=name,
            brief=entry.get("brief", ""),
            catalog=reading.catalog,
            instrument=self.instrument,
            events=tuple(event.name for event in self.events),
            measurement=measurement,
            unit=self._unit(measurement),
            tags=tags,
            error_type=error_type,
            buckets=self._buckets(),
            exponential=entry.get("buckets") == "exponential",
            monotonic=entry.get("monotonic", True),
            keep=self._conditions("keep"),
            drop=self._conditions("drop"),
            cardinality_limit=entry.get("cardinality_limit", 2000),
            ended_by=self._ended_by(),
            alert=self._alert(),
            stability=reading.stability(entry),
            deprecated=reading.deprecation(entry),
            note=entry.get("note"),
            where=where,
        )

    def _check_instrument(self) -> None:
        for key, instrument in (
            ("buckets", "histogram"),
            ("monotonic", "sum"),
            ("ended_by", "last_value"),  # what was counted stays true
        ):
            if key in self.entry and self.instrument not in (instrument, None):
                message = f"{key!r} on a {self.instrument}"
                mend = f"remove it; only a {instrument} has it"
                self.faults.add(message, self.entry.where_of(key), mend)

    def _events(self, key: str) -> tuple[EventSpec, ...]:
        """The events that are sound; unknown ones are faults, faulty ones have theirs already."""
        given = self.entry.get(key, ())
        if isinstance(given, str):
            named = [(given, self.entry.where_of(key))]
        else:
            named = [(cell.value, list_of(cell)) for cell in given]
        events: dict[str, EventSpec] = {}
        for name, where in named:
            event = self.known.get(name)
            if name not in self.known:
                mend = self._suggest_event(name)
                self.faults.add(f"unknown event {shorten(name)!r}", where, mend)
            elif name in events:
                self.faults.add(f"event {shorten(name)!r} stands twice", where, "remove one")
            elif event is not None and event.alias_of is not None:
                message = f"event {shorten(name)!r} is an old name"
                self.faults.add(message, where, f"write {shorten(event.alias_of)}")
            elif event is not None:
                events[name] = event
        return tuple(events.values())

    def _suggest_event(self, name: str) -> str:
        stages = [known for known in self.known if known.rpartition(".")[0] == name]
        if stages:
            return f"say which of {listing(stages)}"
        present = [known for known, event in self.known.items() if not (event and event.alias_of)]
        return did_you_mean(name, present, "name an event of this catalog")

    def _ended_by(self) -> tuple[str, ...]:
        tags = {cell.value for cell in self.entry.items("tags")}
        where = self.entry.where_of("ended_by")
        events = self._events("ended_by")
        for event in events:
            if event in self.events:
                message = f"event {shorten(event.name)!r} both tells the value and ends it"
                self.faults.add(message, where, "name another event")
            elif not tags & self.carried[event.name].metadata.keys():
                message = f"event {shorten(event.name)!r} says of no tag which series it ends"
                mend = f"let it carry one of {listing(tags)}" if tags else "add tags"
                self.faults.add(message, where, mend)
        return tuple(event.name for event in events)

    def _measurement(self) -> FieldSpec | None:
        entry = self.entry
        if "measurement" not in entry:
            if self.instrument not in ("counter", None):
                message = f"{self.instrument} without a measurement"
                self.faults.add(message, entry.where, "add measurement: NAME")
            return None
        name: str | None = entry.get("measurement")
        if name is None:
            return None
        where = entry.where_of("measurement")
        found = None
        for event in self.events:
            measurements = self.carried[event.name].measurements
            if name in measurements:
                found = measurements[name]
            else:
                self._not_carried(event, "measurement", name, measurements, where)
        return found

    def _not_carried(
        self, event: EventSpec, noun: str, name: str, has: Mapping[str, FieldSpec], where: Where
    ) -> None:
        """Say that an event has no such measurement or metadata, unless the field is faulty."""
        if name in self.reading.fields and self.reading.fields[name] is None:
            return
        by_key = [field.name for field in has.values() if field.key == name]
        mend = f"write {by_key[0]}, the field whose key that is" if by_key else ""
        otherwise = f"it has {listing(has)}" if has else "it has none"
        mend = mend or did_you_mean(name, has, otherwise)
        message = f"event {shorten(event.name)!r} has no {noun} {shorten(name)!r}"
        self.faults.add(message, where, mend)

    def _unit(self, measurement: FieldSpec | None) -> str:
        entry = self.entry
        given = self.reading.unit(entry)
        if self.instrument == "counter":
            if given is not None and not is_count(given):
                mend = 'a counter counts events: write 1, or say of what, as in "{request}"'
                self.faults.add(f"unit {given!r} on a counter", entry.where_of("unit"), mend)
            return given or "{event}"
        own = (measurement.unit if measurement is not None else None) or "1"
        if given is None:
            return own
        if measurement is not None and conversion(own, given) is None:
            message = f"unit {given!r} cannot be made from {own!r}, the unit of"
            message = f"{message} {measurement.name!r}"
            mend = f"write one of {', '.join(same_family(own))}"
            self.faults.add(message, entry.where_of("unit"), mend)
        return given

    def _tags(self) -> tuple[tuple[FieldSpec, ...], bool]:
        tags: dict[str, FieldSpec | None] = {}
        attributes: dict[str, str] = {}
        for cell in self.entry.items("tags"):
            name: str = cell.value
            where = list_of(cell)
            if name in tags:
                self.faults.add(f"tag {shorten(name)!r} stands twice", where, "remove one")
                continue
            if name == ERROR_TYPE:
                tags[name] = None
                self._check_error_type(where)
                attribute: str | None = ERROR_TYPE
            else:
                tags[name] = field = self._metadata(name, where)
                attribute = field.attribute if field is not None else None
                if field is not None:
                    self._check_tag(field, where)
            if attribute is not None and (other := attributes.setdefault(attribute, name)) != name:
                message = f"tags {other!r} and {name!r} are both the attribute {attribute!r}"
                self.faults.add(message, where, "use one of them")
        return tuple(field for field in tags.values() if field is not None), ERROR_TYPE in tags

    def _check_tag(self, field: FieldSpec, where: Where) -> None:
        if field.sensitive:
            message = f"tag {field.name!r} is sensitive"
            self.faults.add(message, where, "remove it; it may not leave the process")
        elif field.type not in _TAG_TYPES:
            message = f"tag {field.name!r} is of type {field.type}"
            self.faults.add(message, where, "a tag is text, a number, true or false")
        elif field.high_cardinality:
            message = f"tag {field.name!r} has too many values"
            self.faults.add(message, where, "remove it, or declare cardinality: low if it is")
        elif field.attribute is None and field.where is not None:
            message = f"tag {field.name!r} has no attribute name"
            self.faults.add(message, where, "give the field an attribute other than none")

    def _check_error_type(self, where: Where) -> None:
        kinds = {use.field.type for event in self.events for use in event.metadata}
        if self.events and not kinds & {"result", "exception"}:
            message = f"tag {ERROR_TYPE!r} on an event with no result and no exception"
            self.faults.add(message, where, "remove it, or add a field of type result")

    def _metadata(self, name: str, where: Where) -> FieldSpec | None:
        """The field of that name that every event of the metric carries."""
        found = None
        for event in self.events:
            metadata = self.carried[event.name].metadata
            if name in metadata:
                found = metadata[name]
            else:
                self._not_carried(event, "metadata", name, metadata, where)
        return found

    def _buckets(self) -> tuple[float, ...]:
        cells = self.entry.get("buckets", ())
        if isinstance(cells, str):
            return ()
        for lower, upper in pairwise(cells):
            if upper.value <= lower.value:
                message = f"bucket {upper.value} does not follow {lower.value}"
                self.faults.add(message, list_of(upper), "let the bounds grow")
        return tuple(cell.value for cell in cells)

    def _conditions(self, key: str) -> tuple[Condition, ...]:
        conditions = []
        for name, cell in self.entry.entry(key).cells.items():
            field = self._metadata(name, cell.where)
            if field is None or cell.value is None:
                continue
            cells = cell.value if isinstance(cell.value, tuple) else (cell,)
            values = tuple(item.value for item in cells)
            if field.type not in _TAG_TYPES:
                message = f"condition on {name!r}, which is of type {field.type}"
                mend = "use a field that is text, a number, true or false"
                self.faults.add(message, cell.where, mend)
                continue
            for value in values:
                self._check_condition(field, value, cell)
            conditions.append(Condition(field, values))
        return tuple(conditions)

    def _check_condition(self, field: FieldSpec, value: Any, cell: Cell) -> None:
        if not SCALAR_CHECKS[field.type](value):
            message = f"{kind_of(value)} is not of type {field.type}"
            self.faults.add(message, cell.where, f"{field.name} never has it")
        elif field.values and value not in field.values:
            allowed = [str(one) for one in field.values]
            mend = did_you_mean(str(value), allowed, f"it has {listing(allowed)}")
            message = f"{kind_of(value)} is not among the values of {field.name!r}"
            self.faults.add(message, cell.where, mend)

    def _alert(self) -> Alert | None:
        if "alert" not in self.entry.cells:
            return None
        alert = self.entry.entry("alert")
        where = self.entry.where_of("alert")
        if ("above" in alert) == ("below" in alert):
            what = "two thresholds" if "above" in alert else "no threshold"
            self.faults.add(f"alert with {what}", where, "say above or below")
        quantile = alert.get("quantile")
        if self.instrument == "histogram" and "quantile" not in alert:
            mend = "add quantile: 0.99 or another"
            self.faults.add("alert on a histogram, but on no quantile", where, mend)
        if self.instrument not in ("histogram", None) and "quantile" in alert:
            message = f"quantile of a {self.instrument}"
            self.faults.add(message, alert.where_of("quantile"), "only a histogram has quantiles")
        if self.instrument not in (*_RATES, None) and "over" in alert:
            message = f"'over' on a {self.instrument}"
            self.faults.add(
                message, alert.where_of("over"), "remove it; the last value is compared"
            )
        return Alert(
            threshold=float(alert.get("above", alert.get("below", 0))),
            above="above" in alert,
            over=alert.get("over", "5m"),
            quantile=quantile,
            hold=alert.get("for", "5m"),
            severity=alert.get("severity", "warning"),
            summary=alert.get("summary") or self.entry.get("brief", ""),
        )
