# SPDX-License-Identifier: Apache-2.0
"""What was executed while a test ran, and assertions about it that fail readably.

Capturing needs no catalog: it observes, so that every event is seen, guarded handles and names that
nobody knows included. For the same reason it may be left out of a test without any cost.

How it works, for whoever changes it: emitters append to a list and wake whoever waits; who waits
first says so and then looks. Both lists are safe to append to and to copy without a lock, so an
emitter never waits for a test.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, Literal, overload

from heliograph._waiting import running, signal
from heliograph.stream import Snapshot
from heliograph.telemetry import SPAN_CONTEXT, default
from heliograph.testing.matching import LISTED_NAMES, Expectation, listing, matcher

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from heliograph.telemetry import Telemetry

__all__ = ["Captured", "CapturedSpan", "capture"]

# Our choice: longer than a busy machine dawdles, short enough to wait for when a test fails.
TIMEOUT_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class CapturedSpan:
    """One operation, put together from the events it executed.

    Attributes:
        name: The span's name: that of its events without the last segment.
        context: The `telemetry_span_context` its events have in common.
        start: Its start event; None if that came before the capture.
        end: Its stop or exception event; None if it was still open.
    """

    name: str
    context: object
    start: Snapshot | None
    end: Snapshot | None

    @property
    def outcome(self) -> Literal["stop", "exception"] | None:
        """How it ended; None if it was still open."""
        if self.end is None:
            return None
        return "stop" if self.end.event.endswith(".stop") else "exception"

    @property
    def duration(self) -> int | None:
        """How long it took, in nanoseconds; None if it was still open."""
        return None if self.end is None else self.end.measurements["duration"]


class Captured(Sequence[Snapshot]):
    """What `capture` yields: the events so far, in the order in which they came.

    Each is a `heliograph.stream.Snapshot` with `.event`, `.measurements`, `.metadata` and
    `.thread`. Events go on arriving until the capture ends; afterwards all can still be read.

    Where a pattern is asked for, `*` stands for a segment and `**` for any number of them. Expected
    measurements and metadata may leave keys out; a value expected is equal, or a class of which
    the value is an instance (`{"reason": TimeoutError}`).
    """

    __slots__ = ("_arrivals", "_patterns", "_snapshots")

    def __init__(self, patterns: tuple[str, ...] = ()) -> None:
        self._patterns = [matcher(pattern) for pattern in patterns]
        self._snapshots: list[Snapshot] = []
        self._arrivals: list[Callable[[], None]] = []

    def _keep(
        self, event: str, measurements: Mapping[str, Any], metadata: Mapping[str, Any]
    ) -> None:
        if self._patterns and not any(matches(event) for matches in self._patterns):
            return
        try:
            snapshot = Snapshot.take(event, measurements, metadata)
        except Exception as failure:
            raise TypeError(
                f"{event}: measurements and metadata must be mappings, "
                f"not {type(measurements).__name__} and {type(metadata).__name__}"
            ) from failure
        self._snapshots.append(snapshot)
        for arrived in tuple(self._arrivals):
            arrived()

    # -- Reading ----------------------------------------------------------------------------------

    @overload
    def __getitem__(self, index: int, /) -> Snapshot: ...
    @overload
    def __getitem__(self, index: slice, /) -> list[Snapshot]: ...
    def __getitem__(self, index: int | slice, /) -> Snapshot | list[Snapshot]:
        return self._snapshots[index]

    def __len__(self) -> int:
        return len(self._snapshots)

    @property
    def names(self) -> list[str]:
        """The events' names, in order, repeated as often as they were executed."""
        return [snapshot.event for snapshot in self._all()]

    def named(self, pattern: str) -> list[Snapshot]:
        """Return the events whose name matches, in order.

        Raises:
            EventNameError: The pattern is malformed.
        """
        matches = matcher(pattern)
        return [snapshot for snapshot in self._all() if matches(snapshot.event)]

    def one(self, pattern: str) -> Snapshot:
        """Return the only event whose name matches.

        Raises:
            AssertionError: There is none, or more than one.
            EventNameError: The pattern is malformed.
        """
        __tracebackhide__ = True
        expected = Expectation(pattern)
        snapshots = self._all()
        found = [snapshot for snapshot in snapshots if expected.met_by(snapshot)]
        if not found:
            raise AssertionError(expected.unmet(snapshots))
        if len(found) > 1:
            raise AssertionError(
                f"expected one {pattern!r}, but there are {len(found)}\n{listing(found)}"
            )
        return found[0]

    def spans(self, name: str = "**") -> list[CapturedSpan]:
        """Return the operations whose name matches, in the order of their first captured event.

        Events belong to one operation if their names differ in `start`, `stop` or `exception` only
        and they carry the same span context.

        Raises:
            EventNameError: The pattern is malformed.
        """
        matches = matcher(name)
        found: list[CapturedSpan] = []
        for snapshot in self._all():
            prefix, _, kind = snapshot.event.rpartition(".")
            if kind not in _SPAN_EVENTS or SPAN_CONTEXT not in snapshot.metadata:
                continue
            if not matches(prefix):
                continue
            context = snapshot.metadata[SPAN_CONTEXT]
            if kind == "start":
                found.append(CapturedSpan(prefix, context, snapshot, None))
                continue
            # By comparing, for a context may be anything; the innermost of equals ends first.
            for index in reversed(range(len(found))):
                span = found[index]
                if span.end is None and span.name == prefix and span.context == context:
                    found[index] = CapturedSpan(prefix, context, span.start, snapshot)
                    break
            else:
                found.append(CapturedSpan(prefix, context, None, snapshot))
        return found

    def clear(self) -> None:
        """Forget what was captured so far; capturing goes on."""
        self._snapshots.clear()

    def __repr__(self) -> str:
        names = self.names
        shown = ", ".join(names[:LISTED_NAMES])
        more = ", ..." if len(names) > LISTED_NAMES else ""
        return f"<{len(names)} captured: {shown}{more}>" if names else "<nothing captured>"

    # -- Asserting --------------------------------------------------------------------------------

    def assert_event(
        self,
        pattern: str,
        measurements: Mapping[str, Any] | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> Snapshot:
        """Return the first event whose name matches and which carries what is expected.

        Raises:
            AssertionError: There is none; the text says what came nearest and what was captured.
            EventNameError: The pattern is malformed.
        """
        __tracebackhide__ = True
        expected = Expectation(pattern, measurements, metadata)
        snapshots = self._all()
        for snapshot in snapshots:
            if expected.met_by(snapshot):
                return snapshot
        raise AssertionError(expected.unmet(snapshots))

    def assert_sequence(self, *patterns: str) -> list[Snapshot]:
        """Return the events that match the patterns in this order; others may come in between.

        Raises:
            AssertionError: There is no such sequence; the text says how far it went.
            EventNameError: A pattern is malformed.
        """
        __tracebackhide__ = True
        snapshots = self._all()
        found: list[int] = []
        for pattern in patterns:
            matches = matcher(pattern)
            after = found[-1] + 1 if found else 0
            for index in range(after, len(snapshots)):
                if matches(snapshots[index].event):
                    found.append(index)
                    break
            else:
                if not found:
                    raise AssertionError(Expectation(pattern).unmet(snapshots))
                way = ", then ".join(f"{snapshots[index].event} at {index}" for index in found)
                raise AssertionError(f"{way}, but no {pattern!r} after that\n{listing(snapshots)}")
        return [snapshots[index] for index in found]

    def assert_none(self, *patterns: str) -> None:
        """Make sure that no event's name matches any of the patterns; without one, that none came.

        Raises:
            AssertionError: There are some; the text lists them.
            EventNameError: A pattern is malformed.
        """
        __tracebackhide__ = True
        matchers = [matcher(pattern) for pattern in patterns or ("**",)]
        snapshots = self._all()
        found = [each for each in snapshots if any(matches(each.event) for matches in matchers)]
        if found:
            unwanted = " or ".join(map(repr, patterns)) or "event"
            raise AssertionError(f"expected no {unwanted}\n{listing(found)}")

    # -- Waiting ----------------------------------------------------------------------------------

    def wait_for(
        self,
        pattern: str,
        measurements: Mapping[str, Any] | None = None,
        metadata: Mapping[str, Any] | None = None,
        *,
        count: int = 1,
        timeout: float = TIMEOUT_S,
    ) -> Snapshot:
        """Return an event that another thread executes, waiting for it if need be.

        What was captured before counts, so that it can't come too early. In async code use `until`:
        this blocks the event loop.

        Args:
            pattern: What its name must match.
            measurements: What it must carry, among others.
            metadata: What it must carry, among others.
            count: Wait until there are so many such events, and return the last of these.
            timeout: Seconds, by Python's own clock even where `frozen_clock` holds.

        Raises:
            AssertionError: It did not come in time; the text is that of `assert_event`.
            EventNameError: The pattern is malformed.
            ValueError: `count` is less than 1.
        """
        __tracebackhide__ = True
        expected = Expectation(pattern, measurements, metadata)
        deadline = time.monotonic() + timeout
        arrival = threading.Event()
        self._arrivals.append(arrival.set)
        try:
            while True:
                found, failure = self._find(expected, count, timeout)
                if found is not None:
                    return found
                if time.monotonic() >= deadline:
                    raise AssertionError(failure() + _blocked())
                arrival.wait(deadline - time.monotonic())
                arrival.clear()  # what comes from now on is found by looking again
        finally:
            self._arrivals.remove(arrival.set)

    async def until(
        self,
        pattern: str,
        measurements: Mapping[str, Any] | None = None,
        metadata: Mapping[str, Any] | None = None,
        *,
        count: int = 1,
        timeout: float = TIMEOUT_S,  # noqa: ASYNC109 - the failure tells what came instead; a scope can't
    ) -> Snapshot:
        """Return an event that another task or thread executes, letting them run meanwhile.

        It is `wait_for` in a task of asyncio or trio. `timeout` is by that library's clock.

        Raises:
            AssertionError: It did not come in time; the text is that of `assert_event`.
            EventNameError: The pattern is malformed.
            RuntimeError: This is a task of neither library.
            ValueError: `count` is less than 1.
        """
        __tracebackhide__ = True
        expected = Expectation(pattern, measurements, metadata)
        name, library = running()
        if name == "trio":
            with library.move_on_after(timeout):
                return await self._arrival(expected, count)
        else:
            with suppress(TimeoutError):
                async with library.timeout(timeout):
                    return await self._arrival(expected, count)
        found, failure = self._find(expected, count, timeout)
        if found is None:
            raise AssertionError(failure())
        return found

    async def _arrival(self, expected: Expectation, count: int) -> Snapshot:
        while True:
            arrival, wake = signal()
            self._arrivals.append(wake)
            try:
                found, _ = self._find(expected, count)
                if found is not None:
                    return found
                await arrival()
            finally:
                self._arrivals.remove(wake)

    def _find(
        self, expected: Expectation, count: int, timeout: float = 0
    ) -> tuple[Snapshot | None, Callable[[], str]]:
        """Return the count-th event that is meant, if there is one, or else what to say."""
        if count < 1:
            raise ValueError(f"count is {count}; wait for at least 1 event")
        snapshots = self._all()
        met = list(islice(filter(expected.met_by, snapshots), count))
        if len(met) == count:
            return met[-1], str

        def failure() -> str:
            within = f" within {timeout:g} s"
            if not met:
                return expected.unmet(snapshots, within)
            came = f"{len(met)} of {count} {expected.pattern!r} came{within}"
            return f"{came}\n{listing(snapshots)}"

        return None, failure

    def _all(self) -> list[Snapshot]:
        """Return a copy, which emitters in other threads don't change."""
        return self._snapshots.copy()


_SPAN_EVENTS: Final = frozenset({"start", "stop", "exception"})


def _blocked() -> str:
    """Name a likely reason why nothing came."""
    try:
        running()
    except RuntimeError:
        return ""
    return "\nwait_for blocked this event loop meanwhile; use `await captured.until(...)` in a task"


@contextmanager
def capture(*patterns: str, telemetry: Telemetry | None = None) -> Iterator[Captured]:
    """Capture every event executed in the block, in whatever thread or task.

        with capture("shop.order.*") as events:
            place_order(amount=5)

        events.assert_event("shop.order.placed", measurements={"amount": 5})

    Snapshots are kept, so that it does not matter what becomes of the mappings later. An event
    whose mappings can't be read raises a `TypeError` at its emitter.

    Args:
        *patterns: What names must match, one of them; every event if there is none.
        telemetry: The dispatcher; the default one if None.

    Raises:
        EventNameError: A pattern is malformed.
        TypeError: A pattern is no string.
    """
    captured = Captured(patterns)
    dispatcher = default() if telemetry is None else telemetry
    with dispatcher.observe(captured._keep, on_failure="raise"):
        yield captured
