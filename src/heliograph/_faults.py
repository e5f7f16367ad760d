# SPDX-License-Identifier: Apache-2.0
"""What is wrong with a file, where, and the mend; many faults at once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import islice
from typing import Final, NoReturn

__all__ = [
    "Fault",
    "Faults",
    "StopReadingError",
    "Where",
    "did_you_mean",
    "listing",
    "shorten",
]


@dataclass(frozen=True, slots=True)
class Where:
    """The place in a file that an entry came from; lines and columns count from 1."""

    file: str
    line: int
    column: int
    path: str
    """The dotted way through the document, such as `spans.modboss.read.metadata`."""

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


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
