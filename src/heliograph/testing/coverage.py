# SPDX-License-Identifier: Apache-2.0
"""Which of the catalogued events a run of tests has emitted, and which it has not."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator

    from heliograph.catalog import Document, EventSpec

__all__ = ["CatalogCoverage", "Coverage"]


@dataclass(frozen=True, slots=True)
class CatalogCoverage:
    """What was emitted of one catalog. Old names are left out: their present ones count."""

    document: Document
    emitted: tuple[EventSpec, ...]
    missing: tuple[EventSpec, ...]

    @classmethod
    def of(cls, document: Document, names: Collection[str]) -> CatalogCoverage:
        """Compare a catalog with the names that were emitted."""
        present = [event for event in document.events.values() if event.alias_of is None]
        return cls(
            document,
            tuple(event for event in present if event.name in names),
            tuple(event for event in present if event.name not in names),
        )

    @property
    def events(self) -> int:
        """How many events the catalog has."""
        return len(self.emitted) + len(self.missing)


class Coverage:
    """What was emitted of several catalogs.

    Args:
        documents: The catalogs.
        names: The names that were emitted, of whatever catalog.
        untouched_count: Whether catalogs count of which nothing was emitted. They don't where the
            catalogs are simply all that are installed: most of those are not what is tested.
    """

    counted: tuple[CatalogCoverage, ...]
    untouched: tuple[CatalogCoverage, ...]
    """Left out, because nothing of them was emitted."""

    def __init__(
        self, documents: Iterable[Document], names: Collection[str], *, untouched_count: bool
    ) -> None:
        all_of_them = [CatalogCoverage.of(document, names) for document in documents]
        self.counted = tuple(each for each in all_of_them if each.emitted or untouched_count)
        self.untouched = tuple(each for each in all_of_them if each not in self.counted)

    @property
    def events(self) -> int:
        """How many events the counted catalogs have."""
        return sum(each.events for each in self.counted)

    @property
    def emitted(self) -> int:
        """How many of them were emitted."""
        return sum(len(each.emitted) for each in self.counted)

    @property
    def percent(self) -> float:
        """How many in a hundred were emitted; 0 where no event is counted."""
        return 100 * self.emitted / self.events if self.events else 0.0

    def lines(self, shorten: Callable[[str], str] = str) -> Iterator[str]:
        """Render a table, and below it what no test emitted with where it is declared.

        Args:
            shorten: What makes a readable path of a file's name.
        """
        width = max([7, *(len(each.document.name) for each in self.counted)])
        yield f"{'catalog':{width}}  events  emitted  cover"
        for each in self.counted:
            yield _row(each.document.name, width, each.events, len(each.emitted))
        if len(self.counted) != 1:
            yield _row("total", width, self.events, self.emitted)
        missing = [event for each in self.counted for event in each.missing]
        if missing:
            yield ""
            yield "no test emitted"
            width = max(len(event.name) for event in missing)
            for event in missing:
                where = f"{shorten(event.where.file)}:{event.where.line}" if event.where else ""
                yield f"  {event.name:{width}}  {where}".rstrip()
        if self.untouched:
            names = ", ".join(each.document.name for each in self.untouched)
            yield ""
            yield f"not counted, as nothing of them was emitted: {names}"
            yield "(telemetry_catalogs in pytest's configuration says which catalogs count)"

    def to_json(self) -> str:
        """Render the same for programs; `version` changes when the form does."""
        catalogs: dict[str, Any] = {
            each.document.name: {
                "file": each.document.file,
                "events": each.events,
                "emitted": [event.name for event in each.emitted],
                "missing": [
                    {
                        "event": event.name,
                        "file": event.where.file if event.where else None,
                        "line": event.where.line if event.where else None,
                    }
                    for event in each.missing
                ],
            }
            for each in self.counted
        }
        total = {"events": self.events, "emitted": self.emitted, "percent": round(self.percent, 2)}
        uncounted = [each.document.name for each in self.untouched]
        report = {"version": 1, "total": total, "catalogs": catalogs, "uncounted": uncounted}
        return json.dumps(report, indent=2) + "\n"


def _row(name: str, width: int, events: int, emitted: int) -> str:
    # Rounded down: 100 % is said of nothing less.
    percent = 100 * emitted // events if events else 0
    return f"{name:{width}}  {events:6}  {emitted:7}  {percent:4}%"
