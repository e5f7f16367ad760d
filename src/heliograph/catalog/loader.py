# SPDX-License-Identifier: Apache-2.0
"""A catalog file made into a `Document`, or into the list of everything that is wrong with it.

Three passes: YAML into a located tree (`located`), the tree against the format's table (`grammar`),
and then what a table cannot say: that names are declared and used once, that an event's keys do
not clash, that an old name leads to a new one. That is said here for events and spans, in
`field_rules` for fields and in `metric_rules` for metrics. A faulty entry is left out but its name
stays known, so that one slip gives one fault.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from heliograph._located import parse, read
from heliograph.catalog.errors import CatalogError, Faults, StopReadingError, shorten
from heliograph.catalog.field_rules import combine, read_fields, resolve_uses
from heliograph.catalog.grammar import CATALOG
from heliograph.catalog.metric_rules import read_metrics
from heliograph.catalog.model import (
    SPAN_EVENTS,
    STANDARD_MEASUREMENTS,
    STANDARD_METADATA,
    Deprecation,
    Document,
    EventSpec,
    SpanSpec,
    Where,
)
from heliograph.catalog.reading import Reading, renamed_to

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

    from heliograph._located import Table
    from heliograph.catalog.shapes import Cell, Entry

__all__ = ["load_document", "load_text"]


def load_document(path: str | os.PathLike[str]) -> Document:
    """The catalog in a file.

    Raises:
        CatalogError: the file cannot be read, or is no sound catalog; all its faults are named.
        ImportError: PyYAML is not installed.
    """
    faults = Faults()
    return _finish(read(path, faults), str(path), faults)


def load_text(text: str | bytes, file: str = "<catalog>") -> Document:
    """The catalog that a text holds; `file` is what faults call it.

    Raises:
        CatalogError: it is no sound catalog; all its faults are named.
        ImportError: PyYAML is not installed.
    """
    raw = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    faults = Faults()
    return _finish(parse(raw, file, faults), file, faults)


def _finish(tree: Table | None, file: str, faults: Faults) -> Document:
    document: Document | None = None
    if tree is not None:
        with suppress(StopReadingError):
            top = CATALOG.check(tree, Where(file, 1, 1, ""), faults).value
            document = _document(Reading(top, faults), file)
    if document is None or faults:
        raise CatalogError(sorted(faults, key=lambda fault: (fault.line or 0, fault.column or 0)))
    return document


def _document(reading: Reading, file: str) -> Document:
    top = reading.top
    read_fields(reading)
    events, spans = _Events(reading).read()
    metrics = read_metrics(reading, events)
    return Document(
        name=reading.catalog,
        version=top.get("version", ""),
        brief=top.get("brief", ""),
        file=file,
        schema_url=top.get("schema_url"),
        stability=reading.stability(top),
        fields=_sound(reading.fields),
        events=_sound(events),
        spans=_sound(spans),
        metrics=MappingProxyType(metrics),
    )


def _sound(entries: dict[str, Any]) -> MappingProxyType[str, Any]:
    return MappingProxyType({name: entry for name, entry in entries.items() if entry is not None})


_IMPLIED_MEASUREMENTS: Final = MappingProxyType(
    {
        "start": ("system_time", "monotonic_time"),
        "stop": ("duration", "monotonic_time"),
        "exception": ("duration", "monotonic_time"),
    }
)
_IMPLIED_METADATA: Final = MappingProxyType(
    {
        "start": ("telemetry_span_context",),
        "stop": ("telemetry_span_context",),
        "exception": ("kind", "reason", "stacktrace", "telemetry_span_context"),
    }
)


class _Events:
    """Reads the sections `events` and `spans`."""

    def __init__(self, reading: Reading) -> None:
        self.reading = reading
        self.faults = reading.faults
        self.event_cells = reading.top.entry("events").cells
        self.span_cells = reading.top.entry("spans").cells
        # Every name first, in the order of the file: aliases may lead forwards.
        self.spans: dict[str, SpanSpec | None] = dict.fromkeys(self.span_cells)
        self.events: dict[str, EventSpec | None] = dict.fromkeys(self._names())

    def read(self) -> tuple[dict[str, EventSpec | None], dict[str, SpanSpec | None]]:
        """Every event by its full name, and every span; None for one that is faulty."""
        for name, cell in self.span_cells.items():
            if cell.value is not None and renamed_to(cell) is None:
                self._keep_span(self._span(name, cell.value, cell.where))
        for name, cell in self.event_cells.items():
            if cell.value is not None and renamed_to(cell) is None:
                self.events[name] = self._event(name, cell.value, cell.where)
        self._read_span_aliases()
        self._read_event_aliases()
        return self.events, self.spans

    def _names(self) -> dict[str, Where]:
        places: dict[str, Where] = {}
        for section in self.reading.top.cells:
            if section == "events":
                for name, cell in self.event_cells.items():
                    self._claim(places, name, cell.where)
            elif section == "spans":
                for name, cell in self.span_cells.items():
                    for stage in SPAN_EVENTS:
                        self._claim(places, f"{name}.{stage}", cell.where)
        return places

    def _claim(self, places: dict[str, Where], name: str, where: Where) -> None:
        first = places.setdefault(name, where)
        if first is not where:
            message = f"second event {shorten(name)!r} (first in line {first.line})"
            self.faults.add(message, where, "a span declares its start, stop and exception itself")

    def _keep_span(self, span: SpanSpec) -> None:
        self.spans[span.name] = span
        self.events.update((event.name, event) for event in span.events)

    def _event(self, name: str, entry: Entry, where: Where) -> EventSpec:
        self._check_brief(entry)
        reading = self.reading
        return EventSpec(
            name=name,
            brief=entry.get("brief", ""),
            catalog=reading.catalog,
            measurements=combine(reading, resolve_uses(reading, entry, "measurements")),
            metadata=combine(reading, resolve_uses(reading, entry, "metadata")),
            severity=entry.get("severity", "info"),
            log=entry.get("log", True),
            stability=reading.stability(entry),
            deprecated=reading.deprecation(entry),
            note=entry.get("note"),
            where=where,
        )

    def _span(self, name: str, entry: Entry, where: Where) -> SpanSpec:
        self._check_brief(entry)
        reading = self.reading
        brief = entry.get("brief", "")
        deprecated = reading.deprecation(entry)
        stability = reading.stability(entry)
        common = resolve_uses(reading, entry, "metadata")
        stages = {}
        for stage in SPAN_EVENTS:
            own = entry.entry(stage)
            stages[stage] = EventSpec(
                name=f"{name}.{stage}",
                brief=f"{brief}: {stage}",
                catalog=reading.catalog,
                kind=stage,
                span=name,
                measurements=combine(
                    reading,
                    resolve_uses(reading, own, "measurements"),
                    [STANDARD_MEASUREMENTS[key] for key in _IMPLIED_MEASUREMENTS[stage]],
                ),
                metadata=combine(
                    reading,
                    [*common, *resolve_uses(reading, own, "metadata")],
                    [STANDARD_METADATA[key] for key in _IMPLIED_METADATA[stage]],
                ),
                severity="error" if stage == "exception" else "info",
                log=False,
                stability=stability,
                deprecated=deprecated,
                note=entry.get("note"),
                where=where,
            )
        return SpanSpec(
            name=name,
            brief=brief,
            catalog=reading.catalog,
            start=stages["start"],
            stop=stages["stop"],
            exception=stages["exception"],
            kind=entry.get("kind", "internal"),
            span_name=entry.get("span_name"),
            stability=stability,
            deprecated=deprecated,
            note=entry.get("note"),
            where=where,
        )

    def _check_brief(self, entry: Entry) -> None:
        # The table excuses whatever is deprecated; only an alias needs none, having its target's.
        if "deprecated" in entry and "brief" not in entry:
            mend = "add brief: what it is, in one line"
            self.faults.add("missing 'brief'", entry.where, mend)

    def _read_span_aliases(self) -> None:
        self.reading.check_renamings(self.span_cells, self.span_cells, "span")
        for name, cell in self.span_cells.items():
            target = renamed_to(cell)
            if target is None or not self._is_bare_alias(cell, target, self.span_cells):
                continue
            original = self.spans.get(target)
            if original is None:
                continue
            entry: Entry = cell.value
            brief = entry.get("brief") or f"Old name of {target}"
            note = cell.value.entry("deprecated").get("note")
            stages = {
                stage: replace(
                    event,
                    name=f"{name}.{stage}",
                    brief=f"{brief}: {stage}",
                    span=name,
                    deprecated=Deprecation(event.name, note),
                    note=entry.get("note"),
                    where=cell.where,
                )
                for stage, event in zip(SPAN_EVENTS, original.events, strict=True)
            }
            alias = replace(
                original,
                name=name,
                brief=brief,
                start=stages["start"],
                stop=stages["stop"],
                exception=stages["exception"],
                deprecated=Deprecation(target, note),
                note=entry.get("note"),
                where=cell.where,
            )
            self._keep_span(alias)

    def _read_event_aliases(self) -> None:
        self.reading.check_renamings(self.event_cells, self.events, "event")
        for name, cell in self.event_cells.items():
            target = renamed_to(cell)
            if target is None or not self._is_bare_alias(cell, target, self.event_cells):
                continue
            original = self.events.get(target)
            if original is None:
                continue
            entry: Entry = cell.value
            self.events[name] = replace(
                original,
                name=name,
                brief=entry.get("brief") or f"Old name of {target}",
                deprecated=Deprecation(target, entry.entry("deprecated").get("note")),
                note=entry.get("note"),
                where=cell.where,
            )

    def _is_bare_alias(self, cell: Cell, target: str, cells: Mapping[str, Cell]) -> bool:
        """Whether an alias says nothing of its own and leads to something that is no alias."""
        entry: Entry = cell.value
        for key in entry.cells:
            if key not in ("brief", "deprecated", "note", "stability"):
                message = f"{key!r} beside renamed_to"
                mend = f"remove it; an old name takes everything from {shorten(target)}"
                self.faults.add(message, entry.where_of(key), mend)
        seen = {target}
        present = target
        while present in cells and (further := renamed_to(cells[present])) is not None:
            if further in seen:
                return False  # a circle, which has its fault
            seen.add(further)
            present = further
        if present != target:
            where = entry.entry("deprecated").where_of("renamed_to")
            mend = f"write renamed_to: {shorten(present)}"
            self.faults.add(f"{shorten(target)!r} is an old name itself", where, mend)
            return False
        return True
