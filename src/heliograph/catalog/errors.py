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
from difflib import get_close_matches
from itertools import islice
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import NoReturn

    from heliograph.catalog.model import Where

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


def shorten(text: str, limit: int = 60) -> str:
    """`text` fit for a message: at most `limit` characters, the cut marked."""
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def listing(names: Iterable[str], limit: int = 8) -> str:
    """The first few names, with dots where there are more."""
    shown = [shorten(name) for name in islice(names, limit + 1)]
    return ", ".join(shown if len(shown) <= limit else [*shown[:limit], "..."])


def did_you_mean(word: str, candidates: Iterable[str], otherwise: str = "") -> str:
    """`did you mean 'x'?` for the candidates nearest to `word`, or `otherwise` if none is near."""
    near = get_close_matches(word[:100], islice(candidates, 2000), n=3, cutoff=0.6)
    if not near:
        return otherwise
    *most, last = [repr(shorten(candidate)) for candidate in near]
    return f"did you mean {', '.join(most)} or {last}?" if most else f"did you mean {last}?"


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong: what, where, and the mend."""

    message: str
    where: Where | None = None
    """None if the fault lies in no file, such as the name of a catalog that is not installed."""
    mend: str = ""

    @property
    def file(self) -> str | None:
        """The file, as it was named to the loader."""
        return self.where.file if self.where is not None else None

    @property
    def line(self) -> int | None:
        """Line in the file, from 1."""
        return self.where.line if self.where is not None else None

    @property
    def column(self) -> int | None:
        """Column in the line, from 1."""
        return self.where.column if self.where is not None else None

    @property
    def path(self) -> str:
        """The dotted way through the document; empty for the document itself."""
        return self.where.path if self.where is not None else ""

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where is not None else ""
        path = f" in {self.path}" if self.path else ""
        mend = f"; {self.mend}" if self.mend else ""
        return f"{place}{self.message}{path}{mend}"


class StopReadingError(Exception):
    """Raised to end reading a file; what was wrong is in the `Faults`. Never reaches a caller."""


class Faults(list[Fault]):
    """The faults of one file as they are found, of which there may be many but not any number."""

    LIMIT: Final = 100
    """Nobody mends more in one go, and each suggestion takes time to find."""

    def add(self, message: str, where: Where | None, mend: str = "") -> None:
        """Note one more; one that is noted already, word for word, is not noted again.

        Raises:
            StopReadingError: it was one too many; the last fault says so.
        """
        fault = Fault(message, where, mend)
        if fault in self:
            return
        self.append(fault)
        if len(self) >= self.LIMIT:
            self.append(Fault("there are more faults", where, "mend these first"))
            raise StopReadingError

    def stop(self, message: str, where: Where | None, mend: str = "") -> NoReturn:
        """Note a fault after which reading on makes no sense.

        Raises:
            StopReadingError: always.
        """
        self.append(Fault(message, where, mend))
        raise StopReadingError


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
