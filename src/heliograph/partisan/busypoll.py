# SPDX-License-Identifier: Apache-2.0
"""Whether a node looks again at once, or lets its event loop sleep until something comes.

A process that sleeps in its selector takes tens of microseconds to wake up, which is most of what a
request and its reply take on one machine or in one rack. So a node in the middle of a conversation
goes on polling for a moment before it sleeps, as Erlang's schedulers do, and hypervisors (KVM's
halt polling). It does so only while that pays: each time that it polls in vain counts against it,
and when most are, it sleeps at once and tries again at ever greater intervals. Traffic that is
sparse, or steady but one way at long intervals, costs nothing.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["BUSY_POLL", "BusyPoll"]

BUSY_POLL: Final = 0.0001
"""Seconds a node polls unless told otherwise: several times a round trip between two processes that
are awake."""

_CREDIT: Final = 8
"""Times it may poll in vain, after as many times that it did not."""
_TRIAL: Final = 3
"""Times a trial may poll in vain."""
_FIRST_REST: Final = 8
"""Reads in quick succession before the first trial; doubled with each trial that does not pay."""
_LONGEST_REST: Final = 4096
_PAID: Final = 16
"""How many times as many reads as it has rested for a trial must find, before the rest is short
again: on a busy machine a process that never sleeps loses the processor for longer than a hundred
good answers have gained."""
_QUICK: Final = 2
"""Reads follow one another quickly if no more than this times the polling time lies between them.
More than once, since sleeping and waking up are in it, at both ends."""


class BusyPoll:
    """Keeps an event loop awake for a moment after each read, while that pays.

    Args:
        call_soon: The event loop's: calls a function when it comes round, which it then does
            without sleeping.
        longest: Nanoseconds it polls for more after a read; 0 for never.
        now: Monotonic time in nanoseconds.
        used: Nanoseconds for which this thread has had a processor. Time that goes by and is not
            used, while the loop never sleeps, is time that others needed.
    """

    __slots__ = (
        "_began",
        "_call_soon",
        "_credit",
        "_found",
        "_fresh",
        "_last",
        "_longest",
        "_now",
        "_polled",
        "_polling",
        "_rest",
        "_until",
        "_used",
        "_used_before",
        "_wait",
    )

    def __init__(
        self,
        call_soon: Callable[[Callable[[], object]], object],
        longest: int,
        now: Callable[[], int] = time.monotonic_ns,
        used: Callable[[], int] = time.thread_time_ns,
    ) -> None:
        self._call_soon = call_soon
        self._longest = longest
        self._now = now
        self._used = used
        self._polling = self._fresh = False
        self._credit = self._found = 0
        self._rest = self._wait = _FIRST_REST
        self._last = -longest * _QUICK - 1
        self._until = self._polled = self._began = self._used_before = 0

    @property
    def polling(self) -> bool:
        """Whether the loop is kept awake now."""
        return self._polling

    def read(self) -> None:
        """Note that something has come."""
        if self._polling:
            self._fresh = True
            self._found += 1
            if self._credit < _CREDIT:
                self._credit += 1
            return
        now = self._now()
        last, self._last = self._last, now
        if not self._credit:
            if now - last > self._longest * _QUICK:
                return
            self._wait -= 1
            if self._wait:
                return
            self._credit = _TRIAL
        self._polling = self._fresh = True
        self._polled = self._began = now
        self._used_before = self._used()
        self._call_soon(self._poll)

    def _poll(self) -> None:
        now = self._now()
        if now - self._polled > self._longest and self._lost(now):
            self._credit = 0
            self._end(now)
            return
        self._polled = now
        if self._fresh:
            # Counted from here: what was read has been dealt with.
            self._fresh = False
            self._until = now + self._longest
            self._began, self._used_before = now, self._used()
        if now < self._until:
            self._call_soon(self._poll)
        else:
            self._credit -= 1
            self._end(now)

    def _lost(self, now: int) -> bool:
        """Whether the processor was taken away since something was read."""
        used = self._used() - self._used_before
        return now - self._began - used > self._longest

    def _end(self, now: int) -> None:
        self._polling = False
        self._last = now
        if self._found >= _PAID * self._rest:
            self._found = 0
            self._rest = _FIRST_REST
        if not self._credit:
            self._found = 0
            self._wait = self._rest = min(2 * self._rest, _LONGEST_REST)
