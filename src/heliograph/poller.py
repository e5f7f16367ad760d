# SPDX-License-Identifier: Apache-2.0
"""Named measurements taken periodically, each executed as an event.

    poller = Poller(period=5.0)
    poller.add("shop.queue.size", lambda: {"count": queue.qsize()})

    async with poller:      # as a task of asyncio's running loop
        await serve()

    with poller:            # or in a thread of its own: for trio, and for programs without a loop
        serve()

After telemetry_poller (beam-telemetry), with jitter, time-outs, and a say in what becomes of a
measurement that fails.

How it works, for whoever changes it:

*   Every measurement has its own task, so that a slow one delays no other. The task waits for the
    next deadline, starts a flight, and waits for it to land or to time out.
*   A flight is one call of the measuring function: a coroutine function's is a task, any other's a
    daemon thread. The measurement is `busy` from its start until the function has really returned,
    however long after the time-out that is; nobody starts a second flight meanwhile.
*   Deadlines come from the pure `Schedule`; time comes from a `Clock`, so tests need not wait.
"""

from __future__ import annotations

import asyncio
import logging
import math
import random
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, Literal, Self, TypeAlias

from heliograph._checks import check_name
from heliograph._flights import (
    THREAD_NAME,
    Measure,
    Measured,
    Measurement,
    MeasurementInfo,
    PerProcess,
    Run,
    end_taking,
    execute,
    launch,
    run_in,
)
from heliograph._schedule import Clock, MonotonicClock, Schedule
from heliograph.events import POLLER_FAILURE, POLLER_MEASUREMENT
from heliograph.spans import stacktrace
from heliograph.telemetry import EMPTY, default

if TYPE_CHECKING:
    from heliograph._flights import Landed, OnFailure
    from heliograph.events import (
        PollerFailureMeasurements,
        PollerFailureMetadata,
        PollerMeasurementMeasurements,
        PollerMeasurementMetadata,
    )
    from heliograph.telemetry import Event, Telemetry

__all__ = [
    "THREAD_NAME",
    "Clock",
    "Measure",
    "Measured",
    "MeasurementInfo",
    "MonotonicClock",
    "Outcome",
    "Poller",
    "Schedule",
]

# Our choice: how long leaving a poller waits for measurements that are under way.
_GRACE: Final = 2.0

Outcome: TypeAlias = Literal["ok", "error", "timeout", "overrun"]
"""How a run ended: `"overrun"` well, but only after the measurement's period."""

_log: Final = logging.getLogger("heliograph")


class Poller:
    """Takes named measurements periodically and executes an event with each.

    It runs in asyncio (`async with poller`, or `await poller.run()`) or in a thread of its own
    (`with poller`, or `start` and `stop`). Measurements may be added and removed from any thread,
    while it runs or before. Plain functions are called in daemon threads, coroutine functions in
    the poller's loop.

    Each run executes `heliograph.poller.measurement`; one that raises, returns nonsense or
    takes longer than its time-out executes `heliograph.poller.failure`.

    Args:
        period: Seconds between two runs of a measurement that names no period of its own.
        jitter: Part of the period, at least 0 and less than 1, by which runs are spread at random,
            so that many measurements, or many processes, are not due at the same moment.
        telemetry: The dispatcher; the default one if None.
        rng: Source of the jitter; a seeded one makes it repeatable.
        clock: Source of time.
        grace: Seconds that ending the poller waits for runs under way; what takes longer is left
            alone, and logged.

    Raises:
        ValueError: A number is out of its range.
        TypeError: A number is none.
    """

    __slots__ = (
        "_clock",
        "_failed",
        "_grace",
        "_jitter",
        "_measured",
        "_measurements",
        "_period",
        "_rng",
        "_running",
        "_task",
        "_telemetry",
    )

    def __init__(
        self,
        period: float = 5.0,
        *,
        jitter: float = 0.1,
        telemetry: Telemetry | None = None,
        rng: random.Random | None = None,
        clock: Clock | None = None,
        grace: float = _GRACE,
    ) -> None:
        self._period = _seconds("period", period)
        self._jitter = _number("jitter", jitter)
        if not 0 <= jitter < 1:
            raise ValueError(f"jitter is {jitter}; it must be at least 0 and less than 1")
        self._grace = _seconds("grace", grace) / 1e9
        self._telemetry = default() if telemetry is None else telemetry
        self._rng = random.Random() if rng is None else rng  # noqa: S311 - spreads load, no secret
        self._clock: Clock = MonotonicClock() if clock is None else clock
        self._measurements: dict[str, Measurement] = {}
        self._measured: Event[PollerMeasurementMeasurements, PollerMeasurementMetadata]
        self._measured = self._telemetry.event(POLLER_MEASUREMENT.name)
        self._failed: Event[PollerFailureMeasurements, PollerFailureMetadata]
        self._failed = self._telemetry.event(POLLER_FAILURE.name)
        self._running = PerProcess()
        self._task: asyncio.Task[None] | None = None

    # -- Measurements -----------------------------------------------------------------------------

    def add(
        self,
        name: str,
        measure: Measure,
        *,
        event: str | None = None,
        metadata: Mapping[str, Any] = EMPTY,
        period: float | None = None,
        timeout: float | None = None,
        on_failure: OnFailure = "keep",
    ) -> None:
        """Take a measurement from now on.

        The function returns what it measured, a mapping; or a pair of measurements and metadata; or
        a list of either, an event for each; or None if it has executed events itself. A plain
        function runs in a thread, with a copy of the context it was started from; a coroutine
        function runs in the poller's loop and must not block.

        Args:
            name: Its name, unique in this poller: dotted, like an event's.
            measure: The measuring function, plain or async, without arguments.
            event: The event executed with what it returns; `name` if None.
            metadata: What each of these events carries.
            period: Seconds between two runs; the poller's if None.
            timeout: Seconds a run may take; the period if None, `math.inf` for no limit. One that
                takes longer has failed. A coroutine is cancelled then; a thread can't be, so the
                measurement rests until it has returned.
            on_failure: `"keep"` tries again when it is next due, `"remove"` takes it out.

        Raises:
            EventNameError: The name, or the event's, is malformed.
            TypeError: The function is not callable, or a number is none.
            ValueError: The name is taken, a number is not above 0, or `on_failure` is neither.
        """
        check_name(name, "measurement name")
        if not callable(measure):
            raise TypeError(f"measurement {name!r} is not callable: {measure!r}")
        if on_failure not in ("keep", "remove"):
            raise ValueError(
                f"measurement {name!r}: on_failure is {on_failure!r}; it must be 'keep' or 'remove'"
            )
        each = self._period if period is None else _seconds(f"period of {name!r}", period)
        limit: int | None = each
        if timeout is not None:
            limit = None if timeout == math.inf else _seconds(f"timeout of {name!r}", timeout)
        handle = self._telemetry.event(name if event is None else event)
        added = Measurement(name, handle, measure, metadata, each, limit, on_failure)
        if self._measurements.setdefault(name, added) is not added:
            raise ValueError(
                f"measurement {name!r} is there already; remove it first or choose another name"
            )
        run: Run | None = self._running.get()
        if run is not None:
            run.call(self._begin_taking, run, added)

    def remove(self, name: str) -> None:
        """Take a measurement no more. A run under way is cancelled, a thread's result dropped.

        Raises:
            LookupError: There is no measurement of this name.
        """
        removed = self._measurements.pop(name, None)
        if removed is None:
            known = ", ".join(sorted(self._measurements)) or "none"
            raise LookupError(f"no measurement {name!r}; there are: {known}")
        run: Run | None = self._running.get()
        if run is not None:
            run.call(end_taking, run, removed)

    def measurements(self) -> list[MeasurementInfo]:
        """List the measurements in the order they were added."""
        return [measurement.describe() for measurement in list(self._measurements.values())]

    # -- In asyncio -------------------------------------------------------------------------------

    @property
    def running(self) -> bool:
        """Whether measurements are being taken, in this process."""
        return self._running.get() is not None

    async def run(self) -> None:
        """Take measurements until cancelled, or until `stop` is called.

        Raises:
            RuntimeError: The poller runs already.
        """
        await self._serve(self._claim(asyncio.get_running_loop()))

    async def __aenter__(self) -> Self:
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            raise RuntimeError(
                "no loop of asyncio is running here; `with poller:` runs it in a thread of its own"
            ) from None
        self._task = loop.create_task(self._serve(self._claim(loop)), name=THREAD_NAME)
        return self

    async def __aexit__(self, *exc: object) -> None:
        task, self._task = self._task, None
        assert task is not None, "entering has made it"
        self.stop()
        await task

    # -- In a thread ------------------------------------------------------------------------------

    def start(self) -> None:
        """Take measurements in a daemon thread, which has an asyncio loop of its own.

        Raises:
            RuntimeError: The poller runs already.
        """
        loop = asyncio.new_event_loop()
        try:
            run = self._claim(loop)
        except RuntimeError:
            loop.close()
            raise
        run.thread = threading.Thread(
            target=lambda: run_in(loop, self._serve(run), self._grace),
            name=THREAD_NAME,
            daemon=True,
        )
        try:
            run.thread.start()
        except RuntimeError:  # the system allows no more threads
            self._running.clear()
            loop.close()
            raise

    def stop(self) -> None:
        """End taking measurements; does nothing if the poller doesn't run.

        Returns at once where the poller runs in asyncio: `run` then returns. Where it runs in a
        thread, the thread is waited for, about twice `grace` at most.
        """
        run: Run | None = self._running.get()
        if run is None:
            return
        run.finish()
        thread = run.thread
        if thread is None or thread is threading.current_thread():
            return
        # Runs under way get their grace in the thread; beyond that something blocks its loop.
        thread.join(2 * self._grace)
        if thread.is_alive():
            _log.warning("a measurement blocks the poller's loop; its thread is left to itself")

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()

    # -- Once -------------------------------------------------------------------------------------

    async def poll_async(self) -> dict[str, Outcome]:
        """Take every measurement once, now and side by side, whether or not the poller runs.

        Policies apply as always.

        Returns:
            For each measurement how it ended. One that was under way already is left out.
        """
        loop = asyncio.get_running_loop()
        run = Run(loop)
        try:
            taken = list(self._measurements.values())
            outcomes = await asyncio.gather(*[self._take(each, run) for each in taken])
            return {
                measurement.name: outcome
                for measurement, outcome in zip(taken, outcomes, strict=True)
                if outcome is not None
            }
        finally:
            await self._end(run)

    def poll(self) -> dict[str, Outcome]:
        """Do what `poll_async` does, where no asyncio loop is running.

        Raises:
            RuntimeError: One is running in this thread.
        """
        if asyncio._get_running_loop() is not None:
            raise RuntimeError(
                "poll() would block the running loop; use `await poller.poll_async()`"
            )
        outcomes: dict[str, Outcome] = {}

        async def poll() -> None:
            outcomes.update(await self.poll_async())

        run_in(asyncio.new_event_loop(), poll(), self._grace)
        return outcomes

    # -- Inside -----------------------------------------------------------------------------------

    def _claim(self, loop: asyncio.AbstractEventLoop) -> Run:
        run = Run(loop)
        if not self._running.take(run):
            raise RuntimeError("the poller runs already; stop it first, or make another one")
        return run

    async def _serve(self, run: Run) -> None:
        try:
            for measurement in list(self._measurements.values()):
                self._begin_taking(run, measurement)
            await run.finished.wait()
        finally:
            self._running.clear()
            await self._end(run)
        if run.failure is not None:
            raise run.failure

    async def _end(self, run: Run) -> None:
        """Cancel what can be cancelled, and wait for all that is under way, but not for ever."""
        run.finished.set()
        for task in run.tasks.values():
            task.cancel()
        for flight in run.flights.values():
            flight.cancel()
        pending: set[asyncio.Future[Any]] = {*run.tasks.values(), *run.flights}
        if pending:
            _, pending = await asyncio.wait(pending, timeout=self._grace)
        late = [flight.name for future, flight in run.flights.items() if future in pending]
        if late:
            _log.warning(
                "measurements that did not end within %g s are left to themselves: %s",
                self._grace,
                ", ".join(late),
            )

    def _begin_taking(self, run: Run, measurement: Measurement) -> None:
        # Both `add` and the start of a run may ask for it, and it may have been removed meanwhile.
        if run.finished.is_set() or measurement in run.tasks or not self._has(measurement):
            return
        task = run.loop.create_task(
            self._take_again_and_again(measurement, run), name=f"{THREAD_NAME}:{measurement.name}"
        )
        run.tasks[measurement] = task

        def ended(task: asyncio.Task[None]) -> None:
            del run.tasks[measurement]
            failure = None if task.cancelled() else task.exception()
            if failure is not None:
                run.failure = failure
                run.finished.set()

        task.add_done_callback(ended)

    def _has(self, measurement: Measurement) -> bool:
        return self._measurements.get(measurement.name) is measurement

    async def _take_again_and_again(self, measurement: Measurement, run: Run) -> None:
        clock = self._clock
        period = measurement.period
        schedule = Schedule(clock.now(), period, int(period * self._jitter), self._rng.random)
        while self._has(measurement):
            await clock.wait(schedule.next(clock.now()))
            await self._take(measurement, run)
            landed = measurement.busy.get()
            if landed in run.flights:  # it has timed out, and rests until it has returned
                await clock.wait(None, landed)

    async def _take(self, measurement: Measurement, run: Run) -> Outcome | None:
        """Run a measurement and say how it ended; None if it is under way already."""
        clock = self._clock
        landed: Landed = run.loop.create_future()
        if not measurement.busy.take(landed):
            return None
        began = clock.now()
        flight = launch(measurement, landed, run)
        limit = measurement.timeout
        await clock.wait(None if limit is None else began + limit, landed)
        duration = clock.now() - began
        outcome: Outcome
        failure: BaseException | None
        if landed.done():
            result, failure = landed.result()
            if failure is None:
                failure = execute(measurement, result)
            late = duration > measurement.period
            outcome = "error" if failure is not None else "overrun" if late else "ok"
        else:
            flight.cancel()
            outcome = "timeout"
            failure = TimeoutError(
                f"measurement {measurement.name!r} took longer than {(limit or 0) / 1e9:g} s"
            )
        if self._measured.handlers:
            self._measured.execute(
                {"duration": duration}, {"name": measurement.name, "outcome": outcome}
            )
        if failure is not None:
            self._report(measurement, failure)
        measurement.failing = failure is not None
        return outcome

    def _report(self, measurement: Measurement, failure: BaseException) -> None:
        """Do what a failure asks for: first the policy, then the event, then the log."""
        policy = measurement.on_failure
        if policy == "remove" and self._has(measurement):
            del self._measurements[measurement.name]
        if self._failed.handlers:
            self._failed.execute(
                {"count": 1},
                {
                    "name": measurement.name,
                    "kind": _kind(failure),
                    "reason": failure,
                    "stacktrace": stacktrace(failure),
                    "policy": policy,
                },
            )
        # One that is kept and goes on failing is logged when that begins.
        if policy == "remove" or not measurement.failing:
            _log.error(
                "measurement %r failed; it is %s",
                measurement.name,
                "removed" if policy == "remove" else "tried again when it is next due",
                exc_info=failure,
            )


def _kind(failure: BaseException) -> Literal["error", "exit", "cancelled"]:
    if isinstance(failure, Exception):
        return "error"
    return "cancelled" if isinstance(failure, asyncio.CancelledError) else "exit"


def _number(what: str, value: float) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{what} {value!r} is not a number")
    return value


def _seconds(what: str, value: float) -> int:
    """Return a duration in nanoseconds."""
    if not 0 < _number(what, value) < math.inf:
        raise ValueError(f"{what} is {value}; it must be a number of seconds above 0")
    return max(1, round(value * 1e9))
