# SPDX-License-Identifier: Apache-2.0
"""What can be wrong with a catalog, with what is asked of it, and with what claims to follow it.

ValueError
 ├── LocatedError           a file is wrong; `.faults` says where, one entry a fault
 │    ├── CatalogError      a catalog file, or two that contradict each other
 │    │    └── UnknownCatalogError (also LookupError)   no catalog of that name is installed
 │    └── ConfigError       a file of handlers
 └── ConformanceError       an executed event breaks its catalog's promise; `.violations`
LookupError
 └── PatternError           a pattern that matches no event; `.pattern`, `.suggestions`
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from heliograph._faults import Fault, Faults, StopReadingError, did_you_mean, listing, shorten

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = [
    "CatalogError",
    "ConfigError",
    "ConformanceError",
    "Fault",
    "Faults",
    "LocatedError",
    "PatternError",
    "StopReadingError",
    "UnknownCatalogError",
    "Violation",
    "did_you_mean",
    "listing",
    "shorten",
]


class LocatedError(ValueError):
    """A file is wrong in one or more places. Its text has one line a fault."""

    faults: tuple[Fault, ...]

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults = tuple(faults)
        super().__init__("\n".join(map(str, self.faults)))

    def __reduce__(self) -> tuple[type[LocatedError], tuple[tuple[Fault, ...]]]:
        return type(self), (self.faults,)


class CatalogError(LocatedError):
    """A catalog cannot be loaded, and nothing of it was."""


class UnknownCatalogError(CatalogError, LookupError):
    """A catalog was asked for by a name that nothing installed has."""


class ConfigError(LocatedError):
    """A file of handlers cannot be applied, and nothing of it was."""


class PatternError(LookupError):
    """A pattern that matches no event of the catalog."""

    pattern: str
    suggestions: str

    def __init__(self, pattern: str, suggestions: str = "") -> None:
        self.pattern = pattern
        self.suggestions = suggestions
        mend = f"; {suggestions}" if suggestions else ""
        super().__init__(f"no event matches {pattern!r}{mend}")

    def __reduce__(self) -> tuple[type[PatternError], tuple[str, str]]:
        return type(self), (self.pattern, self.suggestions)


@dataclass(frozen=True, slots=True)
class Violation:
    """One way in which an executed event differs from what its catalog declares."""

    event: str
    path: str
    """`measurements.KEY` or `metadata.KEY`; empty if the event itself is the trouble."""
    problem: str

    def __str__(self) -> str:
        return f"{self.path}: {self.problem}" if self.path else self.problem


class ConformanceError(ValueError):
    """An event was executed that its catalog does not know, or not so."""

    event: str
    violations: tuple[Violation, ...]

    def __init__(self, event: str, violations: Sequence[Violation]) -> None:
        self.event = event
        self.violations = tuple(violations)
        super().__init__(f"{event}: " + "; ".join(map(str, self.violations)))

    def __reduce__(self) -> tuple[type[ConformanceError], tuple[str, tuple[Violation, ...]]]:
        return type(self), (self.event, self.violations)
