# SPDX-License-Identifier: Apache-2.0
"""Decides what of all that arrives is shown to people, and when; time is handed in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from heliograph.apps.collect.text import log_line, metric_row, trace_lines
from heliograph.apps.collect.traces import Moments, Traces

if TYPE_CHECKING:
    from collections.abc import Iterator

    from heliograph.apps.collect.model import Batch, Metric, Point
    from heliograph.apps.collect.text import Line

__all__ = ["Lines", "Rows", "Viewer"]


@dataclass(frozen=True, slots=True)
class Lines:
    """Lines that belong together."""

    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of the table of metrics, with the service they are of."""

    service: str
    rows: tuple[tuple[str, ...], ...]


View: TypeAlias = "Lines | Rows"


class Viewer:
    """Makes views of what arrives: log records at once, the rest when it seems complete.

    Args:
        moments: How long to wait.
        capacity: Spans, and series of metrics, that are held at most.
    """

    def __init__(self, moments: Moments | None = None, capacity: int = 20_000) -> None:
        self._moments = moments or Moments()
        self._traces = Traces(self._moments, capacity)
        self._capacity = capacity
        self._series: dict[tuple[str, ...], tuple[Metric, Point]] = {}
        self._first = self._last = 0.0

    def add(self, batch: Batch, now: float) -> list[View]:
        """Take what arrived; return what is to be shown of it at once."""
        for span in batch.spans:
            self._traces.add(span, now)
        views: list[View] = []
        for metric in batch.metrics:
            for point in metric.points:
                if not self._series:
                    self._first = now
                self._last = now
                self._series[_series(metric, point)] = (metric, point)
                if len(self._series) >= self._capacity:
                    views.extend(self._rows())
        if batch.logs:
            views.append(Lines(tuple(log_line(log) for log in batch.logs)))
        return views

    def due(self, now: float) -> list[View]:
        """What is to be shown now."""
        views: list[View] = [Lines(tuple(trace_lines(each))) for each in self._traces.due(now)]
        if self._series and self._deadline() <= now:
            views.extend(self._rows())
        return views

    def rest(self) -> list[View]:
        """All that was not shown yet."""
        traces = self._traces.rest()
        return [*(Lines(tuple(trace_lines(each))) for each in traces), *self._rows()]

    def next_due(self) -> float | None:
        """When there will be something to show; None as long as nothing more arrives."""
        moments = [self._traces.next_due(), self._deadline() if self._series else None]
        return min((each for each in moments if each is not None), default=None)

    def _deadline(self) -> float:
        return min(self._last + self._moments.quiet, self._first + self._moments.longest)

    def _rows(self) -> Iterator[Rows]:
        by_service: dict[str, list[tuple[str, ...]]] = {}
        for metric, point in self._series.values():
            by_service.setdefault(metric.source.service, []).append(metric_row(metric, point))
        self._series.clear()
        for service, rows in sorted(by_service.items()):
            yield Rows(service, tuple(sorted(rows)))


def _series(metric: Metric, point: Point) -> tuple[str, ...]:
    source = metric.source
    return (
        repr(sorted(source.resource.items())),
        source.scope.name,
        metric.name,
        repr(sorted(point.attributes.items())),
    )
