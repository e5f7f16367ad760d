# SPDX-License-Identifier: Apache-2.0
"""Our own way from the bridge to a collector: sources, workers, deadlines, forks and exits."""

from __future__ import annotations

import os
import threading
import time
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Final

from heliograph.otel.health import FlushResult, HealthReports
from heliograph.otel.sources import Numbers, Queue
from heliograph.otel.transport import make_sender, quieten
from heliograph.otel.worker import Backoff, Worker

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from heliograph import Telemetry
    from heliograph.metrics import Aggregate
    from heliograph.otel.configuration import Settings, Signal
    from heliograph.otel.health import Status
    from heliograph.otel.worker import Order

__all__ = ["Pipeline", "Ticker"]

_USER_AGENT: Final = f"heliograph/{version('heliograph')}"
# Seconds that an abandoned worker gets to notice that its connection was shut.
_NOTICE: Final = 0.05


class Pipeline:
    """A queue and a worker for each signal.

    Args:
        settings: Where to send, and how much to keep.
        aggregate: The metrics, if they are exported.
        telemetry: The dispatcher on which the pipeline's own events are executed.
        open_spans: How many operations are under way; asked before each collection of metrics.
        unusable: What could not be used, by signal and reason.
        backoff: How long to wait after a failure.

    Raises:
        OSError: A certificate can't be read.
    """

    def __init__(
        self,
        settings: Settings,
        aggregate: Aggregate | None,
        telemetry: Telemetry,
        *,
        open_spans: Callable[[], int],
        unusable: Callable[[], Mapping[tuple[Signal, str], int]],
        backoff: Backoff | None = None,
    ) -> None:
        self._resource = settings.resource
        self._workers: dict[Signal, Worker] = {}
        destinations = settings.destinations
        self.reports: HealthReports = HealthReports(
            telemetry, self._workers, destinations, open_spans, unusable
        )
        for signal, to in destinations.items():
            queueing = settings.queueing[signal]
            source: Queue | Numbers
            if signal != "metrics":
                source = Queue(queueing, partial(self._nudge, signal))
            else:
                assert aggregate is not None, "whoever exports metrics has them"
                resource, temporality = settings.resource, settings.temporality
                report = self.reports.report
                source = Numbers(aggregate, resource, temporality, queueing.batch, report)
            self._workers[signal] = Worker(
                signal,
                source,
                partial(make_sender, signal, to, _USER_AGENT),
                delay=queueing.delay,
                most=queueing.batch,
                backoff=backoff or Backoff(),
                reports=self.reports,
            )
        self._closed = False
        self._no_longer_quiet = quieten()

    def start(self) -> None:
        """Begin to send."""
        _running[id(self)] = self
        for worker in self._workers.values():
            worker.start()

    def putter(self, signal: Signal) -> Callable[[Any], None]:
        """What takes finished spans or log events; it never blocks and never raises."""
        source = self._workers[signal].source
        assert isinstance(source, Queue), "metrics are not put, they are collected"
        return source.put

    def _nudge(self, signal: Signal) -> None:
        self._workers[signal].nudge()

    # -- Deadlines --------------------------------------------------------------------------------

    def flush(self, timeout: float) -> FlushResult:
        """Send what waits now; return by the deadline, whatever the collector does."""
        if self._closed:
            return FlushResult("ok")
        return self._wait(self._order(time.monotonic() + timeout))

    def begin_shutdown(self, deadline: float) -> Callable[[], FlushResult]:
        """Begin to send what waits for the last time; return what waits for that and then ends."""
        if self._closed:
            return lambda: FlushResult("ok")
        self._closed = True
        _running.pop(id(self), None)
        return partial(self._end, self._order(deadline, last=True))

    def _end(self, round_: _Round) -> FlushResult:
        result = self._wait(round_)
        for signal, worker in self._workers.items():
            if round_.orders[signal].done.is_set():
                worker.close()
            else:
                worker.abandon()
        until = time.monotonic() + _NOTICE
        for worker in self._workers.values():
            worker.join(max(0.0, until - time.monotonic()))
        self._no_longer_quiet()
        # What waited is dropped now.
        dropped = {key: count - round_.dropped[key] for key, count in self._dropped().items()}
        return replace(result, dropped=dropped, queued=dict.fromkeys(self._workers, 0))

    def _order(self, deadline: float, *, last: bool = False) -> _Round:
        exported, dropped = self._exported(), self._dropped()
        orders: dict[Signal, Order] = {
            signal: worker.order(deadline, last=last) for signal, worker in self._workers.items()
        }
        return _Round(orders, exported, dropped)

    def _wait(self, round_: _Round) -> FlushResult:
        outcomes: dict[Signal, Status] = {}
        errors: dict[Signal, str] = {}
        for signal, worker in self._workers.items():
            outcomes[signal] = worker.wait(round_.orders[signal])
            if outcomes[signal] == "failed":
                errors[signal] = worker.error or "unknown"
        status: Status = "ok"
        if "timed out" in outcomes.values():
            status = "timed out"
        elif "failed" in outcomes.values():
            status = "failed"
        return FlushResult(
            status,
            {key: count - round_.exported[key] for key, count in self._exported().items()},
            {key: count - round_.dropped[key] for key, count in self._dropped().items()},
            {signal: worker.source.queued() for signal, worker in self._workers.items()},
            errors,
        )

    def _exported(self) -> dict[Signal, int]:
        return {signal: worker.exported for signal, worker in self._workers.items()}

    def _dropped(self) -> dict[Signal, int]:
        return {
            signal: sum(worker.source.dropped().values())
            for signal, worker in self._workers.items()
        }

    # -- Forks ------------------------------------------------------------------------------------

    def restart(self) -> None:
        """Begin anew in the child of a fork: nothing waits, and nobody sends yet."""
        self._resource.refresh()
        self.reports.restart()
        for worker in self._workers.values():
            worker.restart()


@dataclass(frozen=True, slots=True)
class _Round:
    """A round of all workers, and the counts when it was ordered."""

    orders: Mapping[Signal, Order]
    exported: Mapping[Signal, int]
    dropped: Mapping[Signal, int]


class Ticker:
    """Does something again and again, in a daemon thread.

    Args:
        period: Seconds in between.
        task: What to do; it must not raise.
    """

    def __init__(self, period: float, task: Callable[[], None]) -> None:
        self._period = period
        self._task = task

    def start(self) -> None:
        """Begin; the first time is after the period."""
        self._ended = threading.Event()
        self._thread = threading.Thread(
            target=self._run, name="heliograph-otel-ticker", daemon=True
        )
        _running[id(self)] = self
        self._thread.start()

    def stop(self) -> None:
        """End."""
        _running.pop(id(self), None)
        self._ended.set()
        if self._thread is not threading.current_thread():
            self._thread.join(_NOTICE)

    def restart(self) -> None:
        """Go on in the child of a fork."""
        self.start()

    def _run(self) -> None:
        while not self._ended.wait(self._period):
            self._task()


# A dictionary's operations are atomic, so the child finds it whole whenever it was forked.
_running: Final[dict[int, Pipeline | Ticker]] = {}


def _in_child() -> None:
    for each in list(_running.values()):
        each.restart()


if hasattr(os, "register_at_fork"):  # pragma: no branch - absent on Windows only
    os.register_at_fork(after_in_child=_in_child)
