# SPDX-License-Identifier: Apache-2.0
"""Time that passes only when a test says so, and span contexts that count from 1."""

from __future__ import annotations

from contextlib import contextmanager
from itertools import count
from threading import Lock
from typing import TYPE_CHECKING, Final

from heliograph.spans import set_sources

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["NEW_YEAR_2026_NS", "FrozenClock", "frozen_clock"]

NEW_YEAR_2026_NS: Final = 1_767_225_600_000_000_000
"""2026-01-01T00:00:00Z, in nanoseconds since the epoch: a date that reads well in a failure."""


class FrozenClock:
    """Both clocks of the toolkit, standing still; `frozen_clock` puts one in place.

    It may be read and moved by any thread.

    Attributes:
        step_ns: How far each reading of the monotonic clock moves both clocks on, after it was
            read; 0 if they move by `advance` alone.
    """

    step_ns: int

    def __init__(
        self, *, monotonic_ns: int = 0, time_ns: int = NEW_YEAR_2026_NS, step_ns: int = 0
    ) -> None:
        if step_ns < 0:
            raise ValueError(f"step_ns is {step_ns}; a monotonic clock can't go back")
        self.step_ns = step_ns
        self._monotonic_ns = monotonic_ns
        self._time_ns = time_ns
        self._moving = Lock()

    def monotonic_ns(self) -> int:
        """Return what stands in for `time.monotonic_ns`, and move on by `step_ns`."""
        with self._moving:
            reading = self._monotonic_ns
            self._monotonic_ns += self.step_ns
            self._time_ns += self.step_ns
            return reading

    def time_ns(self) -> int:
        """Return what stands in for `time.time_ns`: nanoseconds since the epoch."""
        return self._time_ns

    def advance(self, seconds: float = 0, *, ns: int = 0) -> None:
        """Move both clocks on by `seconds` and `ns` nanoseconds together.

        Raises:
            ValueError: That would be backwards.
        """
        moved = round(seconds * 1_000_000_000) + ns
        if moved < 0:
            raise ValueError(f"can't advance by {moved} ns: a monotonic clock can't go back")
        with self._moving:
            self._monotonic_ns += moved
            self._time_ns += moved

    def __repr__(self) -> str:
        return f"<frozen clock at {self._monotonic_ns} ns>"


@contextmanager
def frozen_clock(
    *, monotonic_ns: int = 0, time_ns: int = NEW_YEAR_2026_NS, step_ns: int = 0
) -> Iterator[FrozenClock]:
    """Freeze the clocks that the toolkit reads, and number span contexts 1, 2, 3 and so on.

        with frozen_clock() as clock, capture() as events:
            with heliograph.span("shop.checkout"):
                clock.advance(0.25)

        assert events.one("shop.checkout.stop").measurements["duration"] == 250_000_000

    It holds for every dispatcher and thread of the process: the times in spans and in failure
    events, and the pauses of quarantined handlers. Python's own clocks go on, and so do timeouts.
    Inside another one it is a fresh clock with contexts from 1; on leaving, what was before is
    back.

    Args:
        monotonic_ns: Where the monotonic clock stands at first, in nanoseconds.
        time_ns: Where the wall clock stands at first, in nanoseconds since the epoch.
        step_ns: How far each reading of the monotonic clock moves both; a span in which nothing
            else reads it then lasts exactly so long.

    Raises:
        ValueError: `step_ns` is negative.
    """
    clock = FrozenClock(monotonic_ns=monotonic_ns, time_ns=time_ns, step_ns=step_ns)
    before = set_sources(clock.monotonic_ns, clock.time_ns, count(1).__next__)
    try:
        yield clock
    finally:
        set_sources(*before)
