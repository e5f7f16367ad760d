# SPDX-License-Identifier: Apache-2.0
"""The thread that sends one signal's items, and comes back after failures.

How it works, for whoever changes it:

*   Everything the worker is asked to do is an order in a `SimpleQueue`, whose `put` may be called
    from a signal handler or a finaliser, in the middle of anything.
*   A round sends what waits, batch after batch, up to what was there when it began. A batch that
    can't be delivered stays at the front; the next round comes after a pause that doubles with
    each failure, or after the time the collector asked for.
*   Whoever flushes waits for the worker with a deadline of its own, and never for the exporter: a
    hanging collector costs the worker's time and nobody else's.
*   A worker imports nothing: a process that forks while another thread imports a module leaves the
    child with that module's lock, for ever. What its libraries import late is imported here.
"""

from __future__ import annotations

import encodings.idna  # noqa: F401 - what the worker's libraries import late; see above
import logging
import netrc  # noqa: F401 - as above
import random
import threading
import time
from contextlib import nullcontext
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from heliograph.otel.transport import Verdict

try:
    from opentelemetry.instrumentation.utils import suppress_instrumentation
except ImportError:  # without it there are no instrumentations whose spans had to be suppressed
    suppress_instrumentation = nullcontext  # type: ignore[assignment] # a context manager too

if TYPE_CHECKING:
    from collections.abc import Callable

    from heliograph.otel.configuration import Signal
    from heliograph.otel.sources import Source
    from heliograph.otel.transport import Answer, Sender

__all__ = ["Backoff", "Order", "Outcome", "Reports", "Worker"]

Outcome: TypeAlias = Literal["ok", "timed out", "failed"]
"""How a flush of a signal ended."""

_log: Final = logging.getLogger("heliograph.otel")


@dataclass(frozen=True, slots=True)
class Backoff:
    """Seconds between attempts while the collector is away; both are our choice.

    Attributes:
        first: After the first failure; twice as long after each further one.
        longest: No longer than this. A collector that is back is noticed after it at the latest.
    """

    first: float = 0.5
    longest: float = 5.0

    def after(self, failures: int) -> float:
        """The pause after so many failures in a row, spread by a fifth to either side."""
        pause: float = min(self.first * 2.0 ** min(failures - 1, 32), self.longest)
        return pause * random.uniform(0.8, 1.2)  # noqa: S311 - spreads load, no secret


class Reports:
    """What a worker tells of its attempts; does nothing by default."""

    def attempted(self, signal: Signal, count: int, duration: int, answer: Answer) -> None:
        """An attempt ended, after so many nanoseconds."""

    def rounded(self, signal: Signal) -> None:
        """A round ended."""


class Order:
    """A round that somebody waits for."""

    def __init__(self, deadline: float, *, last: bool = False) -> None:
        self.deadline = deadline
        self.last = last
        self.done: threading.Event = threading.Event()
        self.outcome: Outcome = "timed out"


class Worker:
    """Sends what a source holds, in a daemon thread.

    Args:
        signal: Which signal it is.
        source: Where the items are.
        make_sender: Makes what sends them; again in the child of a fork.
        delay: Seconds between two rounds while all is well.
        most: Items of a batch.
        backoff: How long to wait after a failure.
        reports: Is told of each attempt.
    """

    source: Source

    def __init__(
        self,
        signal: Signal,
        source: Source,
        make_sender: Callable[[], Sender],
        *,
        delay: float,
        most: int,
        backoff: Backoff,
        reports: Reports,
    ) -> None:
        self._signal: Signal = signal
        self.source = source
        self._make_sender = make_sender
        self._sender = make_sender()
        self._delay = delay
        self._most = most
        self._backoff = backoff
        self._reports = reports
        self._begin()

    def _begin(self) -> None:
        self._orders: SimpleQueue[Order | None] = SimpleQueue()
        self._nudged = False
        self._ending = threading.Event()
        self._limit = self._most
        self._failures = 0
        self._lost = 0
        self.exported: int = 0
        self.error: str | None = None
        self._thread = threading.Thread(
            target=self._run, name=f"heliograph-otel-{self._signal}", daemon=True
        )

    def start(self) -> None:
        """Begin to send."""
        self._thread.start()

    def restart(self) -> None:
        """Begin anew in the child of a fork, with connections of its own."""
        # The parent's connections are left alone: closing them here might end them there.
        self._sender = self._make_sender()
        self.source.restart()
        self._begin()
        self.start()

    # -- For other threads ------------------------------------------------------------------------

    def nudge(self) -> None:
        """Say that a batch is complete. Never blocks."""
        if not self._nudged:
            self._nudged = True
            self._orders.put(None)

    def order(self, deadline: float, *, last: bool = False) -> Order:
        """Ask for a round now, which gives up at the deadline; the last one ends the thread."""
        order = Order(deadline, last=last)
        self._orders.put(order)
        return order

    def wait(self, order: Order) -> Outcome:
        """Wait for the round, until its deadline at most."""
        order.done.wait(max(0.0, order.deadline - time.monotonic()))
        return order.outcome if order.done.is_set() else "timed out"

    def close(self) -> None:
        """Close the connections after the last round; what has come since is dropped."""
        self.source.close()
        self._sender.close()

    def abandon(self) -> None:
        """End the attempt under way; the thread then ends, and what waits is dropped."""
        self._ending.set()
        self._orders.put(None)
        self._sender.close()
        self.source.close()

    def join(self, timeout: float) -> None:
        """Wait for the thread to end."""
        if self._thread is not threading.current_thread():
            self._thread.join(timeout)

    @property
    def away(self) -> bool:
        """Whether the last attempt failed."""
        return self._failures > 0

    # -- In the worker's thread -------------------------------------------------------------------

    def _run(self) -> None:
        with suppress_instrumentation():
            due = time.monotonic() + self._delay
            last = False
            while not (last or self._ending.is_set()):
                order = self._next(due)
                if order is None and self.away and time.monotonic() < due:
                    continue  # a batch is complete, but the collector is away
                self._nudged = False
                pause = self._round(order)
                due = time.monotonic() + pause
                last = order is not None and order.last

    def _next(self, due: float) -> Order | None:
        try:
            return self._orders.get(timeout=max(0.0, due - time.monotonic()))
        except Empty:
            return None

    def _round(self, order: Order | None) -> float:
        """Send what waits; return the seconds until the next round."""
        outcome: Outcome = "failed"
        pause = self._delay
        try:
            outcome, pause = self._drain(order)
            self._reports.rounded(self._signal)
        except Exception:  # noqa: BLE001 - an observer of our events may raise anything
            _log.exception("exporting %s failed unexpectedly", self._signal)
        finally:
            if order is not None:
                order.outcome = outcome
                order.done.set()
        return pause

    def _drain(self, order: Order | None) -> tuple[Outcome, float]:
        self.source.gather()
        goal, lost = self.source.mark(), self._lost
        refused = 0
        while self.source.released() < goal and not self._ending.is_set():
            if order is not None and time.monotonic() >= order.deadline:
                return "timed out", self._delay
            batch = self.source.batch(self._limit)
            if batch is None:
                break
            answer = self._attempt(*batch)
            if answer.verdict is Verdict.LATER:
                wait = answer.retry_after
                if wait is None or order is None or not self._wait_within(order, wait):
                    return "failed", self._backoff.after(self._failures) if wait is None else wait
            elif answer.verdict is Verdict.REFUSED:
                refused += 1
                if refused == 2:
                    # Not this batch is the matter, but whom we speak to: spare what waits.
                    return "failed", self._backoff.after(self._failures)
            elif answer.verdict is Verdict.DELIVERED:
                refused = 0
        return "ok" if self._lost == lost else "failed", self._delay

    def _wait_within(self, order: Order, seconds: float) -> bool:
        if time.monotonic() + seconds >= order.deadline:
            return False
        return not self._ending.wait(seconds)

    def _attempt(self, batch: Any, count: int) -> Answer:
        started = time.perf_counter_ns()
        answer = self._sender.send(batch)
        duration = time.perf_counter_ns() - started
        if self._ending.is_set() and answer.verdict is not Verdict.DELIVERED:
            return answer  # abandoned: what waited is counted already
        self._settle(answer, count)
        self._reports.attempted(self._signal, count, duration, answer)
        return answer

    def _settle(self, answer: Answer, count: int) -> None:
        source = self.source
        if answer.verdict is Verdict.DELIVERED:
            self._failures = 0
            self._limit = min(self._limit * 2, self._most)
            if self._ending.is_set():
                return
            source.release(count)
            self.exported += count - min(answer.rejected, count)
            if answer.rejected:
                self._lose("rejected", min(answer.rejected, count))
                self.error = answer.text or "the collector rejected a part of a batch"
            return
        self.error = answer.text
        if answer.verdict is Verdict.UNENCODABLE:
            if 1 < count <= self._limit:
                self._limit = count // 2
                return
            # As small as can be: it is this item that can't be sent.
            source.release(count)
            self._lose("unencodable", count)
            return
        self._failures += 1
        if answer.verdict is Verdict.REFUSED:
            source.release(count)
            self._lose("refused", count)

    def _lose(self, reason: str, count: int) -> None:
        self.source.drop(reason, count)
        self._lost += count
