# SPDX-License-Identifier: Apache-2.0
"""Calls of a poller's measuring functions: how they are started, ended, and never doubled."""

from __future__ import annotations

import asyncio
import contextvars
import math
import os
import threading
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from types import CoroutineType
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from heliograph._checks import COROUTINE, code_flags
from heliograph.telemetry import EMPTY

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterable

    from heliograph.telemetry import Event

__all__ = [
    "THREAD_NAME",
    "Landed",
    "Measure",
    "Measured",
    "Measurement",
    "MeasurementInfo",
    "OnFailure",
    "PerProcess",
    "Run",
    "end_taking",
    "execute",
    "launch",
    "run_in",
]

THREAD_NAME: Final = "heliograph-poller"
"""What the names of the poller's threads begin with."""

_Pair: TypeAlias = tuple[Mapping[str, Any], Mapping[str, Any]]
Measured: TypeAlias = "Mapping[str, Any] | _Pair | Sequence[Mapping[str, Any] | _Pair] | None"
"""What a measuring function returns: measurements; or a pair of measurements and metadata; or a
list of either, an event for each; or None if it has executed events itself."""

Measure: TypeAlias = Callable[[], Measured] | Callable[[], Awaitable[Measured]]
"""A measuring function, plain or async."""

OnFailure: TypeAlias = Literal["keep", "remove"]
"""What becomes of a measurement that failed."""

_Result: TypeAlias = tuple[Any, BaseException | None]
Landed: TypeAlias = "asyncio.Future[_Result]"
"""Done when a measuring function has really returned, with its value or what it raised."""


class PerProcess:
    """Room for one thing, in each process: a forked child finds it empty, whatever it inherited.

    Without a lock, which a thread of the parent might hold while forking.
    """

    __slots__ = ("_things",)

    def __init__(self) -> None:
        self._things: dict[int, Any] = {}

    def take(self, thing: object) -> bool:
        return self._things.setdefault(os.getpid(), thing) is thing

    def get(self) -> Any:
        return self._things.get(os.getpid())

    def clear(self) -> None:
        self._things.pop(os.getpid(), None)


@dataclass(frozen=True, slots=True)
class MeasurementInfo:
    """A measurement that a poller takes, as `Poller.measurements` lists it.

    Attributes:
        name: Its name, unique in the poller.
        event: The event that is executed with what it measures.
        measure: The measuring function.
        metadata: What each of its events carries.
        period: Seconds between two runs.
        timeout: Seconds a run may take, `math.inf` without limit.
        on_failure: `"keep"` or `"remove"`.
        running: Whether a run is under way.
    """

    name: str
    event: str
    measure: Measure
    metadata: Mapping[str, Any]
    period: float
    timeout: float
    on_failure: OnFailure
    running: bool


class Measurement:
    """One measurement, whether or not the poller runs."""

    __slots__ = (
        "busy",
        "event",
        "failing",
        "is_async",
        "measure",
        "metadata",
        "name",
        "on_failure",
        "period",
        "timeout",
    )

    def __init__(
        self,
        name: str,
        event: Event[Any, Any],
        measure: Measure,
        metadata: Mapping[str, Any],
        period: int,
        timeout: int | None,
        on_failure: OnFailure,
    ) -> None:
        self.name = name
        self.event = event
        self.measure: Callable[[], Any] = measure
        self.metadata = metadata
        self.period = period
        self.timeout = timeout
        self.on_failure: OnFailure = on_failure
        self.is_async = bool(code_flags(measure) & COROUTINE)
        self.busy = PerProcess()
        self.failing = False  # whether its last run failed; a kept one is logged when that begins

    def describe(self) -> MeasurementInfo:
        return MeasurementInfo(
            self.name,
            self.event.name,
            self.measure,
            self.metadata,
            self.period / 1e9,
            math.inf if self.timeout is None else self.timeout / 1e9,
            self.on_failure,
            self.busy.get() is not None,
        )


class Run:
    """The poller while it runs: its loop, and the tasks and flights to be ended with it."""

    __slots__ = ("failure", "finished", "flights", "loop", "tasks", "thread")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.finished = asyncio.Event()
        self.failure: BaseException | None = None
        self.tasks: dict[Measurement, asyncio.Task[None]] = {}
        self.flights: dict[Landed, Flight] = {}
        self.thread: threading.Thread | None = None

    def finish(self) -> None:
        self.call(self.finished.set)

    def call(self, function: Callable[..., object], *args: object) -> None:
        """Call a function in the loop's thread, from any thread; not at all if it has ended."""
        with suppress(RuntimeError):
            self.loop.call_soon_threadsafe(function, *args)


class Flight:
    """One call of a measuring function that is under way."""

    __slots__ = ("name", "task")

    def __init__(self, name: str, task: asyncio.Task[_Result] | None) -> None:
        self.name = name
        self.task = task

    def cancel(self) -> None:
        """Cancel it if it is a task; a thread can't be."""
        if self.task is not None:
            self.task.cancel()


def launch(measurement: Measurement, landed: Landed, run: Run) -> Flight:
    """Call the measuring function, in a task or in a thread, and let `landed` have its result."""
    busy = measurement.busy
    task: asyncio.Task[_Result] | None = None
    if measurement.is_async:

        def end(task: asyncio.Task[_Result]) -> None:
            busy.clear()
            if task.cancelled():
                landed.set_result((None, asyncio.CancelledError("the measurement was cancelled")))
            else:
                failure = task.exception()
                landed.set_result(task.result() if failure is None else (None, failure))

        task = run.loop.create_task(_call_async(measurement.measure))
        task.add_done_callback(end)
    else:

        def work() -> None:
            try:
                result = _call(measurement.measure)
            finally:
                busy.clear()
            run.call(landed.set_result, result)

        context = contextvars.copy_context()
        name = f"{THREAD_NAME}:{measurement.name}"
        try:
            threading.Thread(target=context.run, args=(work,), name=name, daemon=True).start()
        except RuntimeError as failure:  # the system allows no more threads
            busy.clear()
            landed.set_result((None, failure))
    flight = Flight(measurement.name, task)
    run.flights[landed] = flight
    landed.add_done_callback(lambda _: run.flights.pop(landed, None))
    return flight


def _call(measure: Callable[[], Any]) -> _Result:
    try:
        return measure(), None
    except BaseException as failure:  # noqa: BLE001 - SystemExit ends a run, not the program
        return None, failure


async def _call_async(measure: Callable[[], Coroutine[Any, Any, Any]]) -> _Result:
    try:
        return await measure(), None
    except Exception as failure:  # noqa: BLE001 - handed over, and reported as what it is
        return None, failure


def execute(measurement: Measurement, result: object) -> TypeError | None:
    """Execute the measurement's event with what it returned; return what is wrong with that."""
    try:
        pairs = list(_pairs(measurement.name, result))
    except TypeError as failure:
        return failure
    for measurements, metadata in pairs:
        joined = {**measurement.metadata, **metadata} if metadata else measurement.metadata
        measurement.event.execute(measurements, joined)
    return None


def _pairs(name: str, result: object) -> Iterable[_Pair]:
    """Yield measurements and metadata of each event that a result stands for."""
    for item in result if isinstance(result, list) else () if result is None else (result,):
        match item:
            case Mapping():
                yield item, EMPTY
            case (Mapping() as measurements, Mapping() as metadata):
                yield measurements, metadata
            case CoroutineType():
                item.close()
                raise TypeError(
                    f"measurement {name!r} returned a coroutine; add the coroutine function itself"
                )
            case _:
                raise TypeError(
                    f"measurement {name!r} returned {type(item).__name__}; return a mapping of "
                    "measurements, a pair of measurements and metadata, a list of these, or None"
                )


def end_taking(run: Run, measurement: Measurement) -> None:
    """Cancel a measurement's task, and what can be cancelled of its flight."""
    task = run.tasks.get(measurement)
    if task is not None:
        task.cancel()
    flight = run.flights.get(measurement.busy.get())
    if flight is not None:
        flight.cancel()


def run_in(loop: asyncio.AbstractEventLoop, main: Coroutine[Any, Any, None], grace: float) -> None:
    """Run a coroutine in a loop of its own, and close that without waiting for what is stuck.

    Args:
        loop: The loop, not yet running; closed in the end.
        main: The coroutine.
        grace: Seconds for what is left to end, should an exit or interrupt break the loop.
    """
    try:
        try:
            loop.run_until_complete(main)
        finally:
            left = asyncio.all_tasks(loop)
            for task in left:
                task.cancel()
            if left:
                loop.run_until_complete(asyncio.wait(left, timeout=grace))
            loop.run_until_complete(loop.shutdown_asyncgens())
    finally:
        loop.close()
