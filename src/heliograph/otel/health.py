# SPDX-License-Identifier: Apache-2.0
"""How the bridge itself is doing: as events, in the log, and as a snapshot.

The events are those of the catalog `heliograph`, so the bridge exports them like any other. They
are executed by its own threads, never in `put`; and none that a failing export causes is a log
event that would be exported in its turn, except one for drops, at most every half minute.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal

from heliograph.events import OTEL_DROPPED, OTEL_EXPORT, OTEL_QUEUE, OTEL_SPANS, OTEL_UNUSABLE
from heliograph.otel.transport import Verdict
from heliograph.otel.worker import Reports
from heliograph.values import Error, Ok

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from heliograph import Telemetry
    from heliograph.otel.configuration import Destination, Signal
    from heliograph.otel.transport import Answer
    from heliograph.otel.worker import Worker

__all__ = ["FlushResult", "Health", "HealthReports", "SignalHealth", "Status"]

Status = Literal["ok", "timed out", "failed"]

_log: Final = logging.getLogger("heliograph.otel")
# Our choice; the first drop of an outage is told at once.
_BETWEEN_DROP_EVENTS: Final = 30.0


@dataclass(frozen=True, slots=True)
class SignalHealth:
    """The state of one signal's export.

    Attributes:
        queued: Items that wait.
        exported: Items the collector has taken.
        dropped: Items that will never be exported, by reason: `queue_full`, `rejected` (the
            collector took the rest of their batch), `refused` (it does not take such a batch),
            `unencodable`, `shutdown`.
        error: The last failure, in a sentence.
        away: Whether the last attempt failed.
    """

    queued: int = 0
    exported: int = 0
    dropped: Mapping[str, int] = field(default_factory=dict)
    error: str | None = None
    away: bool = False


@dataclass(frozen=True, slots=True)
class Health:
    """A snapshot of how a bridge is doing.

    Attributes:
        signals: The signals it exports by itself; none of those that go to a given provider.
        open_spans: Operations under way.
        unusable: What could not become what its catalog says, by signal and reason.
    """

    signals: Mapping[Signal, SignalHealth] = field(default_factory=dict)
    open_spans: int = 0
    unusable: Mapping[tuple[Signal, str], int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FlushResult:
    """How a flush ended. True if everything that had waited was taken.

    Attributes:
        status: `"ok"`; `"timed out"` if the deadline passed first; `"failed"` if something could
            not be exported, whether it is kept or dropped.
        exported: Items exported meanwhile, by signal.
        dropped: Items dropped meanwhile.
        queued: Items that wait still.
        errors: What the failing signals failed with.
    """

    status: Status
    exported: Mapping[Signal, int] = field(default_factory=dict)
    dropped: Mapping[Signal, int] = field(default_factory=dict)
    queued: Mapping[Signal, int] = field(default_factory=dict)
    errors: Mapping[Signal, str] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return self.status == "ok"


class HealthReports(Reports):
    """Executes the bridge's own events, and logs an outage when it begins and when it ends."""

    def __init__(
        self,
        telemetry: Telemetry,
        workers: Mapping[Signal, Worker],
        destinations: Mapping[Signal, Destination],
        open_spans: Callable[[], int],
        unusable: Callable[[], Mapping[tuple[Signal, str], int]],
    ) -> None:
        self._workers = workers
        self._destinations = destinations
        self._open_spans = open_spans
        self._unusable = unusable
        # The handles of this dispatcher; those of the generated module belong to the default one.
        self._export = telemetry.event(OTEL_EXPORT.name)
        self._dropped = telemetry.event(OTEL_DROPPED.name)
        self._queue = telemetry.event(OTEL_QUEUE.name)
        self._spans = telemetry.event(OTEL_SPANS.name)
        self._unused = telemetry.event(OTEL_UNUSABLE.name)
        self.restart()

    def restart(self) -> None:
        """Begin anew in the child of a fork."""
        self._lock = threading.RLock()
        self._told: Counter[tuple[Signal, str]] = Counter()
        self._told_unusable: Counter[tuple[Signal, str]] = Counter(self._unusable())
        self._told_at: dict[Signal, float] = {}
        self._failing: set[Signal] = set()
        self._since = 0.0

    # -- Attempts ---------------------------------------------------------------------------------

    def attempted(self, signal: Signal, count: int, duration: int, answer: Answer) -> None:
        delivered = answer.verdict is Verdict.DELIVERED
        if self._export.handlers:
            self._export.execute(
                {"count": count, "duration": duration},
                {"signal": signal, "result": Ok(None) if delivered else Error(answer.word)},
            )
        if answer.rejected:
            _log.warning(
                "the collector rejected %d of %d items of %s: %s",
                answer.rejected,
                count,
                signal,
                answer.text or "it does not say why",
            )
        if answer.verdict is Verdict.UNENCODABLE:
            return  # a smaller batch follows
        with self._lock:
            if delivered:
                self._recover(signal)
            else:
                self._fail(signal, answer)

    def _fail(self, signal: Signal, answer: Answer) -> None:
        if not self._failing:
            self._since = time.monotonic()
            what = (
                "what waits is kept within the queue's bound"
                if answer.verdict is Verdict.LATER
                else "it would not take them another time either, so they are dropped"
            )
            _log.warning(
                "%s can't be exported to %s: %s; %s",
                signal,
                self._destinations[signal].endpoint,
                answer.text,
                what,
            )
        self._failing.add(signal)

    def _recover(self, signal: Signal) -> None:
        if signal not in self._failing:
            return
        self._failing.discard(signal)
        if not self._failing:
            dropped = sum(sum(each.source.dropped().values()) for each in self._workers.values())
            _log.info(
                "exporting again after %.1f s; %d items waited, %d were dropped so far in all",
                time.monotonic() - self._since,
                sum(each.source.queued() for each in self._workers.values()),
                dropped,
            )

    def rounded(self, signal: Signal) -> None:
        now = time.monotonic()
        told_at = self._told_at.get(signal)
        if told_at is None or now - told_at >= _BETWEEN_DROP_EVENTS:
            self.tell_drops(signal, now)

    def tell_drops(self, signal: Signal, now: float) -> None:
        """Execute an event for each reason for which items were dropped since the last time."""
        with self._lock:
            new = []
            for reason, count in self._workers[signal].source.dropped().items():
                more = count - self._told[signal, reason]
                if more > 0:
                    new.append((reason, more))
                    self._told[signal, reason] = count
                    self._told_at[signal] = now
        for reason, more in new:
            self._dropped.execute({"count": more}, {"signal": signal, "reason": reason})

    # -- State ------------------------------------------------------------------------------------

    def report(self) -> None:
        """Execute the events of the present state, and of what was not told yet."""
        now = time.monotonic()
        for signal, worker in self._workers.items():
            self.tell_drops(signal, now)
            size, capacity = worker.source.queued(), worker.source.capacity
            if capacity:
                self._queue.execute({"size": size, "capacity": capacity}, {"signal": signal})
        self._spans.execute({"open": self._open_spans()})
        with self._lock:
            found = Counter(self._unusable())
            new = found - self._told_unusable
            self._told_unusable = found
        for (signal, reason), count in new.items():
            self._unused.execute({"count": count}, {"signal": signal, "reason": reason})

    def snapshot(self) -> Health:
        """The present state."""
        return Health(
            {
                signal: SignalHealth(
                    queued=worker.source.queued(),
                    exported=worker.exported,
                    dropped=worker.source.dropped(),
                    error=worker.error,
                    away=worker.away,
                )
                for signal, worker in self._workers.items()
            },
            self._open_spans(),
            dict(self._unusable()),
        )
