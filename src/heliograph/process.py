# SPDX-License-Identifier: Apache-2.0
"""Measurements of the process itself, for a `Poller`.

    poller = Poller()
    add_process_measurements(poller)

Each is a callable of its own, so that `poller.add` takes any of them alone. What a platform doesn't
offer is left out when it is added, rather than failing with every run.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from heliograph._flights import THREAD_NAME
from heliograph.events import (
    PROCESS_FILES,
    PROCESS_GC,
    PROCESS_LOOP_LAG,
    PROCESS_MEMORY,
    PROCESS_THREADS,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from heliograph.events import (
        ProcessFilesMeasurements,
        ProcessLoopLagMeasurements,
        ProcessMemoryMeasurements,
        ProcessThreadsMeasurements,
    )
    from heliograph.poller import Measure, Poller

__all__ = [
    "GarbageCollection",
    "LoopLag",
    "add_process_measurements",
    "files",
    "loop_lag",
    "memory",
    "threads",
]

_STATM: Final = Path("/proc/self/statm")
_FOLDERS_OF_FILES: Final = (Path("/proc/self/fd"), Path("/dev/fd"))
_GC_COUNTS: Final = ("collections", "collected", "uncollectable")

# Our choices: long enough for a timer, and longer than any loop that is still alive will block.
_LAG_DELAY: Final = 0.01
_LAG_LIMIT: Final = 60.0

_log: Final = logging.getLogger("heliograph")


def add_process_measurements(
    poller: Poller, *, loop: object = None, period: float | None = None
) -> tuple[str, ...]:
    """Add every measurement that works here: memory, open files, threads, collector, loop lag.

    What doesn't work on this platform is left out, with a log line that says why.

    Args:
        poller: The poller.
        loop: The event loop whose lag is measured: a loop of asyncio or a token of trio
            (`trio.lowlevel.current_trio_token()`). If None, the loop that is running here; if none
            is, there is no such measurement.
        period: Seconds between two runs; the poller's if None.

    Returns:
        The names of the measurements that were added, which are those of their events.

    Raises:
        TypeError: `loop` is neither.
        ValueError: The poller has one of these names already.
    """
    loop = _running_loop() if loop is None else loop
    lag = None if loop is None else LoopLag(loop)
    names = []
    measure: Measure
    for name, measure in (
        (PROCESS_MEMORY.name, memory),
        (PROCESS_FILES.name, files),
        (PROCESS_THREADS.name, threads),
        (PROCESS_GC.name, GarbageCollection()),
    ):
        try:
            if measure in (memory, files):  # the others need nothing of the platform
                measure()
        except (OSError, ImportError) as failure:
            _log.info("%s is not measured: %s", name, failure)
        else:
            poller.add(name, measure, period=period)
            names.append(name)
    if lag is None:
        _log.info("%s is not measured: no event loop is running here", PROCESS_LOOP_LAG.name)
    else:
        poller.add(PROCESS_LOOP_LAG.name, lag, period=period)
        names.append(PROCESS_LOOP_LAG.name)
    return tuple(names)


def memory() -> ProcessMemoryMeasurements:
    """Return the resident set size, in bytes.

    From `/proc/self/statm`; where there is none, as on macOS, it is the largest size so far, from
    `getrusage`, since the present one can't be had without native code.

    Raises:
        ImportError: The platform has neither.
    """
    try:
        pages = int(_STATM.read_bytes().split()[1])
    except OSError:
        import resource

        return {"rss": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _unit(sys.platform)}
    return {"rss": pages * os.sysconf("SC_PAGE_SIZE")}


def _unit(platform: str) -> int:
    """Return the size of `ru_maxrss`'s unit: by getrusage(2) a byte on macOS, else a kilobyte."""
    return 1 if platform == "darwin" else 1024


def files() -> ProcessFilesMeasurements:
    """Return how many file descriptors are open, and how many may be (the soft limit).

    Raises:
        OSError: Neither `/proc/self/fd` nor `/dev/fd` is there.
        ImportError: The platform has no `resource`.
    """
    import resource

    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    for folder in _FOLDERS_OF_FILES:
        try:
            # The one that lists the folder is among them, and closed by now.
            count = len(list(folder.iterdir())) - 1
        except OSError:
            continue
        if limit == resource.RLIM_INFINITY:
            return {"open": count}
        return {"open": count, "limit": limit}
    searched = ", ".join(map(str, _FOLDERS_OF_FILES))
    raise OSError(f"no folder lists open files: there is none of {searched}")


def threads() -> ProcessThreadsMeasurements:
    """Return how many Python threads are alive.

    The short-lived ones in which pollers call their measurements are not counted: this one runs in
    such a thread itself.
    """
    names = [thread.name for thread in threading.enumerate()]
    return {"count": sum(not name.startswith(f"{THREAD_NAME}:") for name in names)}


class GarbageCollection:
    """Measures the garbage collector's work since the previous call, for each generation.

    The first call counts from the start of the process. Each poller needs its own.
    """

    __slots__ = ("_before",)

    def __init__(self) -> None:
        self._before: list[dict[str, int]] = []

    def __call__(self) -> list[tuple[Mapping[str, Any], Mapping[str, Any]]]:
        """Return a pair of measurements and metadata for each generation, the youngest first."""
        before = self._before or [{}] * 3
        self._before = now = gc.get_stats()
        return [
            (
                {key: stats[key] - old.get(key, 0) for key in _GC_COUNTS},
                {"generation": generation},
            )
            for generation, (stats, old) in enumerate(zip(now, before, strict=True))
        ]


async def loop_lag() -> ProcessLoopLagMeasurements:
    """Return how late a timer of the running asyncio loop rings, in nanoseconds.

    Measures the loop it runs in: right for a poller that runs in the application's loop. For a
    poller in a thread of its own there is `LoopLag`.
    """
    due = time.monotonic_ns() + int(_LAG_DELAY * 1e9)
    await asyncio.sleep(_LAG_DELAY)
    return {"latency": max(0, time.monotonic_ns() - due)}


class LoopLag:
    """Measures how late a callback runs that another thread asks an event loop for.

    Args:
        loop: A loop of asyncio, or a token of trio (`trio.lowlevel.current_trio_token()`).

    Raises:
        TypeError: It is neither.
    """

    __slots__ = ("_ask",)

    def __init__(self, loop: Any) -> None:
        ask: Callable[[Callable[[], object]], object] | None
        ask = getattr(loop, "call_soon_threadsafe", None) or getattr(loop, "run_sync_soon", None)
        if ask is None:
            raise TypeError(f"{loop!r} is neither a loop of asyncio nor a token of trio")
        self._ask = ask

    def __call__(self) -> ProcessLoopLagMeasurements:
        """Return the latency in nanoseconds; called in any thread but the loop's.

        Raises:
            RuntimeError: The loop has ended (trio's `RunFinishedError` is one, too).
            TimeoutError: It has not answered for a minute.
        """
        ran: list[int] = []
        answered = threading.Event()

        def answer() -> None:
            ran.append(time.monotonic_ns())
            answered.set()

        due = time.monotonic_ns()
        self._ask(answer)
        if not answered.wait(_LAG_LIMIT):
            raise TimeoutError(f"the event loop has not run a callback for {_LAG_LIMIT:g} s")
        return {"latency": ran[0] - due}


def _running_loop() -> object:
    """Return the loop of asyncio, or the token of trio, that is running in this thread, if any."""
    trio: Any = sys.modules.get("trio")
    if trio is not None:
        try:
            return trio.lowlevel.current_trio_token()
        except RuntimeError:
            pass
    return asyncio._get_running_loop()
