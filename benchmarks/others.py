# SPDX-License-Identifier: Apache-2.0
"""What else a machine did while something was measured, as Linux counts it.

A load average tells of the minute before and of what merely waits. What counts for a measurement is
how much of the processors other programs had while it ran: all that was busy, from `/proc/stat`,
less what this process and its children had.
"""

from __future__ import annotations

import os
import resource
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

__all__ = ["QUIET", "Bystander", "Others", "percent"]

QUIET = 0.05
"""Of all processors; more than that taken by others, and figures prove little. Our choice."""

# In the order of the line: user, nice, system, idle, iowait, irq, softirq, steal. All but the time
# in which nothing was to be done; what the machine's host took away is others', too.
_BUSY = (0, 1, 2, 5, 6, 7)
_TICKS = os.sysconf("SC_CLK_TCK")


def _busy() -> float | None:
    """Seconds that all processors have worked since the machine began; None where nobody says."""
    try:
        numbers = Path("/proc/stat").read_text("ascii").partition("\n")[0].split()[1:]
    except OSError:
        return None
    return sum(int(numbers[at]) for at in _BUSY) / _TICKS


def _ours() -> float:
    """Of these, what this process had, and those of its children that have ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


class Others:
    """What other programs take from now on."""

    def __init__(self) -> None:
        self._began, self._busy, self._ours = time.monotonic(), _busy(), _ours()

    def share(self) -> float | None:
        """The share of all processors that they have taken so far; None where nobody says.

        Children that have not ended by now count as others.
        """
        busy = _busy()
        if busy is None or self._busy is None:
            return None
        took = (busy - self._busy) - (_ours() - self._ours)
        # The kernel counts a processor's time in ticks and that of a process exactly.
        return max(0.0, took / ((time.monotonic() - self._began) * (os.cpu_count() or 1)))


def percent(share: float | None) -> str:
    """A share for readers."""
    return "unknown" if share is None else f"{100 * share:.1f} %"


@dataclass
class Bystander:
    """A thread that only sleeps, and notes when it is woken late.

    It does nothing that could make it late, so that whoever was late at the same time may have been
    so for the same reason: somebody else had the processors.

    Args:
        late: Seconds beyond which it notes it.

    Attributes:
        longest: By how many seconds it was ever woken late.
        stalls: When it should have been woken and when it was, in seconds of the monotonic clock.
    """

    late: float
    longest: float = 0.0
    stalls: list[tuple[float, float]] = field(default_factory=list)
    _ended: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._sleep, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._ended.set()
        assert self._thread is not None
        self._thread.join()

    def _sleep(self) -> None:
        nap = min(0.1, self.late)
        due = time.monotonic() + nap
        while not self._ended.wait(max(0.0, due - time.monotonic())):
            now = time.monotonic()
            self.longest = max(self.longest, now - due)
            if now - due > self.late:
                self.stalls.append((due, now))
            due = now + nap

    def stalled(self, began: float, ended: float) -> bool:
        """Whether it was late at any time between these."""
        return any(due <= ended and woken >= began for due, woken in self.stalls)
