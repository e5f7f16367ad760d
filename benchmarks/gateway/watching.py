# SPDX-License-Identifier: Apache-2.0
"""What a process takes of the machine, as Linux tells it in `/proc`."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Sample", "processor", "sample", "slope"]

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
_MIB = 2**20


@dataclass(frozen=True)
class Sample:
    """A process at one time.

    Attributes:
        at: When, in seconds of the monotonic clock.
        processor: Seconds of processor time that it has taken so far, its own and the kernel's.
        memory: What of it is in memory, in MiB.
        files: Its open descriptors.
        threads: Its threads.
    """

    at: float
    processor: float
    memory: float
    files: int
    threads: int


def sample(pid: int) -> Sample | None:
    """Look at a process; None if there is none."""
    folder = Path("/proc") / str(pid)
    try:
        # The name, in parentheses, may hold anything.
        fields = (folder / "stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2]
        pages = (folder / "statm").read_text(encoding="ascii").split()[1]
        files = sum(1 for _ in (folder / "fd").iterdir())
    except OSError:
        return None
    rest = fields.split()
    return Sample(
        at=time.monotonic(),
        processor=(int(rest[11]) + int(rest[12])) / _TICKS,
        memory=int(pages) * _PAGE / _MIB,
        files=files,
        threads=int(rest[17]),
    )


def slope(points: Sequence[tuple[float, float]]) -> float:
    """By how much the second number grows with each one of the first: the line of least squares."""
    if len(points) < 2:
        return 0.0
    middle_x = sum(x for x, _ in points) / len(points)
    middle_y = sum(y for _, y in points) / len(points)
    spread = sum((x - middle_x) ** 2 for x, _ in points)
    if not spread:
        return 0.0
    return sum((x - middle_x) * (y - middle_y) for x, y in points) / spread


def processor(samples: Sequence[Sample]) -> float:
    """The share of one core that was taken between the first sample and the last."""
    first, last = samples[0], samples[-1]
    return (last.processor - first.processor) / (last.at - first.at)
