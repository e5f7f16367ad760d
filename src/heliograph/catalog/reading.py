# SPDX-License-Identifier: Apache-2.0
"""What the parts of the loader share while they read one document."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from heliograph.catalog.errors import did_you_mean, shorten
from heliograph.catalog.model import Deprecation, Where
from heliograph.catalog.units import mistaken_for

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from heliograph.catalog.errors import Faults
    from heliograph.catalog.model import FieldSpec, Stability
    from heliograph.catalog.shapes import Cell, Entry

__all__ = ["Reading", "list_of", "renamed_to"]


@dataclass(slots=True)
class Reading:
    """One document as far as it has been read."""

    top: Entry
    faults: Faults
    fields: dict[str, FieldSpec | None] = field(default_factory=dict)
    """Declared fields; None for one that is faulty."""

    @property
    def catalog(self) -> str:
        """The catalog's name."""
        name: str = self.top.get("catalog", "")
        return name

    def stability(self, entry: Entry) -> Stability:
        """An entry's own stability, or the catalog's."""
        stability: Stability = entry.get("stability") or self.top.get("stability", "development")
        return stability

    def deprecation(self, entry: Entry) -> Deprecation | None:
        """An entry's deprecation, if it has one."""
        if "deprecated" not in entry.cells:
            return None
        record = entry.entry("deprecated")
        if "renamed_to" not in record and "note" not in record:
            where = entry.where_of("deprecated")
            self.faults.add("deprecated says nothing", where, "add renamed_to or note")
        return Deprecation(record.get("renamed_to"), record.get("note"))

    def unit(self, entry: Entry) -> str | None:
        """An entry's unit, if it has one and that is not merely an English word."""
        unit: str | None = entry.get("unit")
        if unit is not None and (meant := mistaken_for(unit)) is not None:
            where = entry.where_of("unit")
            self.faults.add(f"{unit!r} is no UCUM code", where, f"did you mean {meant!r}?")
            return None
        return unit

    def check_renamings(self, cells: Mapping[str, Cell], known: Iterable[str], noun: str) -> None:
        """Check that old names lead to known new ones, and not in a circle."""
        targets = {name: target for name, cell in cells.items() if (target := renamed_to(cell))}
        names = set(known)
        present = sorted(names - targets.keys())
        for name, target in targets.items():
            where = cells[name].value.entry("deprecated").where_of("renamed_to")
            if target not in names:
                mend = did_you_mean(target, present, f"name a {noun} of this catalog")
                self.faults.add(f"unknown {noun} {shorten(target)!r}", where, mend)
        for circle in _circles(targets):
            message = f"renamed in a circle ({', '.join(map(shorten, [*circle[:9], circle[0]]))})"
            for name in circle:
                where = cells[name].value.entry("deprecated").where_of("renamed_to")
                mend = f"one {noun} of these must be the present one"
                self.faults.add(message, where, mend)


def _circles(targets: Mapping[str, str]) -> Iterator[list[str]]:
    """The circles in which names lead to names, each once."""
    done: set[str] = set()
    for name in targets:
        way: dict[str, None] = {}
        at = name
        while at in targets and at not in done and at not in way:
            way[at] = None
            at = targets[at]
        if at in way:
            steps = list(way)
            yield steps[steps.index(at) :]
        done.update(way)


def renamed_to(cell: Cell) -> str | None:
    """The new name of what a section's cell declares, if that is deprecated by renaming."""
    if cell.value is None:
        return None
    target: str | None = cell.value.entry("deprecated").get("renamed_to")
    return target


def list_of(cell: Cell) -> Where:
    """The place of a list's item, but with the path of the list."""
    where = cell.where
    return Where(where.file, where.line, where.column, where.path.rpartition("[")[0])
