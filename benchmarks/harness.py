# SPDX-License-Identifier: Apache-2.0
"""How everything here is measured, and how it is shown.

A case compares something of ours with rivals: a floor written by hand, another library. All sides
run in turns, in rounds, so that whatever else the machine does hits them alike; each round gives
one ratio, and the median of the rounds' ratios is the case's. A side is a function of the number of
repetitions with its own loop, `for _ in repeat(None, times)`, so that the loop's share is the same
on every side and is not taken off. The garbage collector is off while a side runs.
"""

from __future__ import annotations

import gc
import os
import platform
import subprocess
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median, quantiles
from time import perf_counter_ns

__all__ = [
    "Case",
    "Effort",
    "Rival",
    "Row",
    "Side",
    "amounts",
    "compared",
    "conditions",
    "machine",
    "measure",
    "table",
]

Side = Callable[[int], object]
"""Does what is measured so many times."""


@dataclass(frozen=True)
class Rival:
    """What a case is compared with, and the bar: at most so many times what this takes."""

    name: str
    side: Side
    bar: float


@dataclass(frozen=True)
class Case:
    """Something of ours, and whom it is compared with.

    `times` is how often a side repeats what it does in one round, at full effort: enough for ten
    milliseconds or so, which is short beside what disturbs and long beside the clock's grain.
    """

    name: str
    ours: Side
    rivals: Sequence[Rival]
    times: int = 20_000


@dataclass(frozen=True)
class Effort:
    """How long to measure: `rounds` of every case, and `share` of each case's repetitions."""

    rounds: int = 31
    share: float = 1.0

    def __post_init__(self) -> None:
        if self.rounds < 1 or not 0 < self.share <= 1:
            raise ValueError("an effort takes at least one round and a share above 0, up to 1")

    def times(self, times: int) -> int:
        """Say how many of a case's repetitions one round gets."""
        return max(1, round(times * self.share))


@dataclass(frozen=True)
class Row:
    """One line of a table. Without a rival the bar is on our own time, in nanoseconds.

    With a `unit`, which may be empty, the amounts are no times but numbers of these. Half of the
    rounds gave a ratio within `middle`.
    """

    case: str
    ours: float
    rival: str | None
    theirs: float | None
    ratio: float | None
    bar: float
    unit: str | None = None
    middle: Sequence[float] | None = field(default=None, compare=False)

    @property
    def met(self) -> bool:
        """Whether the bar is met."""
        return (self.ours if self.ratio is None else self.ratio) <= self.bar

    def to_json(self) -> dict[str, object]:
        """Give everything, and the verdict."""
        return {**asdict(self), "met": self.met}


def run(side: Side, times: int) -> int:
    """Return how many nanoseconds one run takes."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        began = perf_counter_ns()
        side(times)
        return perf_counter_ns() - began
    finally:
        if enabled:
            gc.enable()


def measure(case: Case, effort: Effort) -> Iterator[Row]:
    """Measure a case; one row for each rival."""
    times = effort.times(case.times)
    sides = [case.ours, *(rival.side for rival in case.rivals)]
    for side in sides:
        side(1)  # what happens on first use only is not what is measured
    taken: list[list[int]] = [[] for _ in sides]
    for number in range(effort.rounds):
        # Whoever comes first in a round meets colder caches, so that they take turns at that too.
        for offset in range(len(sides)):
            turn = (number + offset) % len(sides)
            taken[turn].append(run(sides[turn], times))
    ours = taken[0]
    for rival, theirs in zip(case.rivals, taken[1:], strict=True):
        each = [[taken / times for taken in side] for side in (ours, theirs)]
        yield compared(case.name, each[0], rival.name, each[1], rival.bar)


def compared(
    case: str, ours: Sequence[float], rival: str, theirs: Sequence[float], bar: float
) -> Row:
    """Make a row of what each round took of either."""
    ratios = [a / b for a, b in zip(ours, theirs, strict=True)]
    middle = quantiles(ratios, n=4, method="inclusive")[::2] if len(ratios) > 1 else None
    return Row(case, median(ours), rival, median(theirs), median(ratios), bar, middle=middle)


def machine(*distributions: str) -> dict[str, str]:
    """Say on what was measured, and which versions of what."""
    facts = {
        "machine": f"{platform.machine()}, {os.cpu_count()} processors, {platform.system()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
    }
    for name in ("heliograph", *distributions):
        try:
            facts[name] = version(name)
        except PackageNotFoundError:
            facts[name] = "not installed"
    return facts


def conditions() -> dict[str, object]:
    """Say when and where this is, and of which commit."""
    return {
        "began": datetime.now(UTC).isoformat(timespec="seconds"),
        "processor": _processor(),
        "processors": os.cpu_count(),
        "kernel": f"{platform.system()} {platform.release()}",
        "commit": _commit(),
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor() or platform.machine())


def _commit() -> str:
    """The commit, with a mark if what is measured differs from it."""
    git = ["git", "describe", "--always", "--dirty"]
    try:
        done = subprocess.run(
            git, cwd=Path(__file__).parent, capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return done.stdout.strip()


def table(title: str, rows: Iterable[Row], facts: Mapping[str, str]) -> str:
    """Lay the rows out for reading."""
    head = ("case", "ours", "rival", "theirs", "ratio", "bar", "verdict")
    lines = [head, *(amounts(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    text = [title, ", ".join(f"{name} {value}" for name, value in facts.items()), ""]
    for line in lines:
        cells = [
            # Names to the left, numbers to the right.
            cell.ljust(width) if column in {0, 2, 6} else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ]
        text.append("  ".join(cells).rstrip())
    return "\n".join(text)


def amounts(row: Row) -> tuple[str, ...]:
    """Lay one row out: case, ours, rival, theirs, ratio, bar and verdict."""
    verdict = "met" if row.met else "MISSED"
    if row.rival is None or row.theirs is None or row.ratio is None:
        ours, bar = _amount(row.ours, row.unit), _amount(row.bar, row.unit)
        return (row.case, ours, "-", "-", "-", bar, verdict)
    return (
        row.case,
        _amount(row.ours, row.unit),
        row.rival,
        _amount(row.theirs, row.unit),
        f"{row.ratio:.3f}",
        f"{row.bar:.2f}" if row.bar >= 0.01 else f"{row.bar:g}",
        verdict,
    )


def _amount(value: float, unit: str | None) -> str:
    return _time(value) if unit is None else f"{value:g} {unit}".rstrip()


def _time(nanoseconds: float) -> str:
    for unit, size in (("s", 1e9), ("ms", 1e6), ("µs", 1e3)):
        if nanoseconds >= size:
            return f"{nanoseconds / size:.2f} {unit}"
    return f"{nanoseconds:.0f} ns"
