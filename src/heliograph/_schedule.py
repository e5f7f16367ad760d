# SPDX-License-Identifier: Apache-2.0
"""When a poller's measurements are due, and where it has its time from."""

from __future__ import annotations

import asyncio
import time
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

__all__ = ["Clock", "MonotonicClock", "Schedule"]


class Clock(Protocol):
    """Where a poller has its time from; a test hands in its own."""

    @abstractmethod
    def now(self) -> int:
        """Return the time in nanoseconds; it never goes back."""

    @abstractmethod
    async def wait(self, until: int | None, future: asyncio.Future[Any] | None = None) -> None:
        """Return at a time, or when a future is done, whichever is first.

        Args:
            until: The time in nanoseconds; None to wait for the future alone.
            future: Is neither cancelled nor asked for its result.
        """


class MonotonicClock:
    """The `Clock` of pollers by default: `time.monotonic_ns`, and the running loop's timers."""

    def now(self) -> int:
        """Return `time.monotonic_ns()`."""
        return time.monotonic_ns()

    async def wait(self, until: int | None, future: asyncio.Future[Any] | None = None) -> None:
        """Sleep until a time, or until a future is done, whichever is first."""
        delay = None if until is None else max(0, until - self.now()) / 1e9
        if future is not None:
            await asyncio.wait((future,), timeout=delay)
        elif delay is not None:
            await asyncio.sleep(delay)


@dataclass(slots=True)
class Schedule:
    """The deadlines of one measurement; pure, the time is handed in.

    Deadlines lie on a grid of whole periods from `start`, each moved by a random part of `spread`,
    so that neither slow runs nor jitter make them drift. Deadlines missed while a run took too long
    are not made up for.

    Attributes:
        start: Beginning of the grid, nanoseconds.
        period: Distance of its lines, nanoseconds.
        spread: How far after its line a deadline may be, nanoseconds, less than the period.
        random: Gives a number from 0 up to but not including 1.
    """

    start: int
    period: int
    spread: int
    random: Callable[[], float]
    _line: int = -1

    def next(self, now: int) -> int:
        """Return the next deadline: a time that `now` may have passed by at most the spread."""
        # The first line after the last one whose deadline may still be ahead, rounding up.
        ahead = -((self.start + self.spread - now) // self.period)
        self._line = max(self._line + 1, ahead)
        return self.start + self._line * self.period + int(self.random() * self.spread)
