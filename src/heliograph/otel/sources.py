# SPDX-License-Identifier: Apache-2.0
"""What waits to be exported: a bounded queue of items, or the numbers of an aggregate.

A batch is looked at first and taken away only when the collector has it, so that an attempt that
failed loses nothing.
"""

from __future__ import annotations

import threading
from collections import Counter, deque
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol

from heliograph.otel.metrics import to_metrics_data

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from opentelemetry.sdk.resources import Resource

    from heliograph.metrics import Aggregate, MetricPoints
    from heliograph.metrics.points import Temporality
    from heliograph.otel.configuration import Queueing

__all__ = ["Numbers", "Queue", "Source"]


class Source(Protocol):
    """Where a worker finds what to send.

    Attributes:
        capacity: Items that may wait; 0 if that is not what bounds it.
    """

    capacity: int

    def gather(self) -> None:
        """Make ready what is to be exported now."""

    def mark(self) -> int:
        """How many items there have ever been, those that wait included."""
        ...

    def released(self) -> int:
        """How many of those wait no more."""
        ...

    def batch(self, most: int) -> tuple[Any, int] | None:
        """The items to send next, as the exporter takes them, and how many; they stay."""
        ...

    def release(self, count: int) -> None:
        """Take away the items of the batch, or the first of them."""

    def drop(self, reason: str, count: int) -> None:
        """Count items that will never be exported."""

    def dropped(self) -> Mapping[str, int]:
        """How many items were dropped, by reason."""
        ...

    def queued(self) -> int:
        """How many items wait."""
        ...

    def close(self) -> int:
        """Take in nothing more, and forget what waits; return how much that was."""
        ...

    def restart(self) -> None:
        """Begin anew in the child of a fork: what waits is the parent's."""


class Drops:
    """Counts of what was dropped, by reason."""

    def __init__(self) -> None:
        # Re-entrant: a signal handler or a finaliser may end a span in the middle of an update.
        self._lock = threading.RLock()
        self._counts: Counter[str] = Counter()

    def add(self, reason: str, count: int) -> None:
        with self._lock:
            self._counts[reason] += count

    def all(self) -> Mapping[str, int]:
        with self._lock:
            return dict(self._counts)


class Queue:
    """Spans or log events, as many as may wait; further ones are dropped, and counted.

    Args:
        queueing: How many may wait, and how many make a batch.
        full: Called when a batch is complete; it must not block.
    """

    def __init__(self, queueing: Queueing, full: Callable[[], None]) -> None:
        self._batch = queueing.batch
        self._full = full
        self.capacity: int = queueing.size
        self.restart()

    def restart(self) -> None:
        self._items: deque[Any] = deque()
        self._released = 0
        self._closed = False
        self._drops = Drops()

    def put(self, item: Any) -> None:
        """Add an item. Never blocks and never raises.

        Threads that do so at the same moment may exceed the queue's size by an item each: a lock
        would cost more than it is worth.
        """
        items = self._items
        if self._closed:
            self._drops.add("shutdown", 1)
        elif len(items) >= self.capacity:
            self._drops.add("queue_full", 1)
        else:
            items.append(item)
            if len(items) >= self._batch:
                self._full()

    def gather(self) -> None:
        pass

    def mark(self) -> int:
        return self._released + len(self._items)

    def released(self) -> int:
        return self._released

    def batch(self, most: int) -> tuple[Any, int] | None:
        # The worker alone takes items away, so those at the front stay where they are; only
        # iterating over them would be disturbed by items that are added meanwhile.
        waiting = self._items
        items = [waiting[position] for position in range(min(most, len(waiting)))]
        return (items, len(items)) if items else None

    def release(self, count: int) -> None:
        with suppress(IndexError):  # closed meanwhile, and counted there
            for _ in range(count):
                self._items.popleft()
        self._released += count

    def drop(self, reason: str, count: int) -> None:
        self._drops.add(reason, count)

    def dropped(self) -> Mapping[str, int]:
        return self._drops.all()

    def queued(self) -> int:
        return len(self._items)

    def close(self) -> int:
        self._closed = True
        left = len(self._items)
        self._items.clear()
        self._drops.add("shutdown", left)
        return left


class Numbers:
    """The metrics of an aggregate, in portions that a collector takes.

    What could not be sent waits for another attempt. Totals are made anew by the next collection.
    Differences would be lost, so nothing is collected while some wait: they add up in the aggregate
    meanwhile. Either way memory depends on how many series there are, not on how long it lasts.
    """

    capacity = 0

    def __init__(
        self,
        aggregate: Aggregate,
        resource: Resource,
        temporality: Temporality,
        batch: int,
        before: Callable[[], None],
    ) -> None:
        self._aggregate = aggregate
        self._resource = resource
        self._temporality: Temporality = temporality
        self._batch = batch
        self._before = before
        self.restart()

    def restart(self) -> None:
        self._waiting: deque[tuple[list[MetricPoints], int]] = deque()
        self._made = self._released = 0
        self._drops = Drops()

    def gather(self) -> None:
        self._before()
        if self._temporality == "delta" and self._waiting:
            return
        self._released += self.queued()
        self._waiting.clear()
        portion: list[MetricPoints] = []
        size = 0
        for metric in self._aggregate.collect(self._temporality):
            if portion and size + len(metric.points) > self._batch:
                self._add(portion, size)
                portion, size = [], 0
            portion.append(metric)
            size += len(metric.points)
        if portion:
            self._add(portion, size)

    def _add(self, portion: list[MetricPoints], size: int) -> None:
        self._waiting.append((portion, size))
        self._made += size

    def mark(self) -> int:
        return self._made

    def released(self) -> int:
        return self._released

    def batch(self, most: int) -> tuple[Any, int] | None:
        if not self._waiting:
            return None
        portion, size = self._waiting[0]
        if size > most and len(portion) > 1:
            self._halve()
            return self.batch(most)
        return to_metrics_data(portion, self._resource), size

    def _halve(self) -> None:
        portion, _ = self._waiting.popleft()
        middle = len(portion) // 2
        for half in (portion[middle:], portion[:middle]):
            self._waiting.appendleft((half, sum(len(metric.points) for metric in half)))

    def release(self, count: int) -> None:
        with suppress(IndexError):  # closed meanwhile, and counted there
            self._waiting.popleft()
        self._released += count

    def drop(self, reason: str, count: int) -> None:
        self._drops.add(reason, count)

    def dropped(self) -> Mapping[str, int]:
        return self._drops.all()

    def queued(self) -> int:
        return sum(size for _, size in self._waiting)

    def close(self) -> int:
        left = self.queued()
        self._waiting.clear()
        self._drops.add("shutdown", left)
        return left
