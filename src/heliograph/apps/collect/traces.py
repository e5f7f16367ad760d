# SPDX-License-Identifier: Apache-2.0
"""Spans put together to traces, as they arrive: in any order, in parts, some never.

A trace is shown when its first span is there and the rest of it has had a moment to arrive, or
when nothing more of it came for longer. What comes later shows the trace again. All of it is
bounded; time is handed in, as seconds of whatever clock.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from heliograph.apps.collect.model import Span

__all__ = ["Branch", "Moments", "Trace", "Traces", "branches"]


@dataclass(frozen=True, slots=True)
class Moments:
    """How long to wait for more before showing what is there; all are our choice.

    Attributes:
        quiet: Seconds without anything new, where what is there seems to be all.
        patience: The same, where something is known to be missing.
        longest: Seconds since the first of it, whatever keeps coming.
    """

    quiet: float = 0.25
    patience: float = 2.0
    longest: float = 5.0


@dataclass(frozen=True, slots=True)
class Trace:
    """A trace as far as it is known.

    Attributes:
        trace_id: Its id.
        spans: Its spans, in the order of their arrival.
        late: Ids of those that came after the trace was shown; empty the first time.
    """

    trace_id: str
    spans: tuple[Span, ...]
    late: frozenset[str] = frozenset()


@dataclass(slots=True)
class _Known:
    spans: dict[str, Span] = field(default_factory=dict)
    fresh: set[str] = field(default_factory=set)
    shown: bool = False
    rooted: bool = False
    first: float = 0.0
    last: float = 0.0


class Traces:
    """Collects spans, and tells which traces are to be shown when.

    Args:
        moments: How long to wait.
        capacity: Spans that are held, shown or not, so that later ones find their trace.
    """

    def __init__(self, moments: Moments | None = None, capacity: int = 20_000) -> None:
        self._moments = moments or Moments()
        self._capacity = capacity
        self._count = 0
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self._fresh: dict[str, _Known] = {}
        self._pushed_out: list[Trace] = []

    def add(self, span: Span, now: float) -> None:
        """Take a span."""
        trace_id = span.trace_id
        known = self._known.setdefault(trace_id, _Known())
        self._known.move_to_end(trace_id)
        if not known.fresh:
            known.first = now
            self._fresh[trace_id] = known
        self._count += span.span_id not in known.spans
        known.spans[span.span_id] = span
        known.fresh.add(span.span_id)
        known.last = now
        known.rooted = known.rooted or span.parent_id is None
        while self._count > self._capacity:
            oldest_id, oldest = self._known.popitem(last=False)
            self._count -= len(oldest.spans)
            if self._fresh.pop(oldest_id, None) is not None:
                self._pushed_out.append(_show(oldest_id, oldest))

    def due(self, now: float) -> list[Trace]:
        """The traces to be shown now."""
        ready, self._pushed_out = self._pushed_out, []
        for trace_id, known in list(self._fresh.items()):
            if self._deadline(known) <= now:
                del self._fresh[trace_id]
                ready.append(_show(trace_id, known))
        return ready

    def rest(self) -> list[Trace]:
        """All that were not shown yet."""
        ready, self._pushed_out = self._pushed_out, []
        ready += [_show(trace_id, known) for trace_id, known in self._fresh.items()]
        self._fresh.clear()
        return ready

    def next_due(self) -> float | None:
        """When there will be something to show; None as long as nothing more arrives."""
        if self._pushed_out:
            return float("-inf")
        return min(map(self._deadline, self._fresh.values()), default=None)

    def _deadline(self, known: _Known) -> float:
        moments = self._moments
        wait = moments.quiet if known.rooted else moments.patience
        return min(known.last + wait, known.first + moments.longest)


def _show(trace_id: str, known: _Known) -> Trace:
    late = frozenset(known.fresh) if known.shown else frozenset()
    known.fresh.clear()
    known.shown = True
    return Trace(trace_id, tuple(known.spans.values()), late)


@dataclass(frozen=True, slots=True)
class Branch:
    """A span in its tree.

    Attributes:
        span: The span.
        guide: The lines to draw before it.
        stray: Whether it has a parent that is not there.
    """

    span: Span
    guide: str
    stray: bool


def branches(spans: Iterable[Span]) -> list[Branch]:
    """The spans of a trace as a tree: parents before their children, these in order of their start.

    Whatever parents they claim, each is there once: of a circle, the earliest is taken as first.
    """
    known = {span.span_id: span for span in spans}
    ordered = sorted(known.values(), key=lambda span: (span.start, -span.end))
    children: dict[str, list[Span]] = {}
    roots: list[Span] = []
    for span in ordered:
        if span.parent_id in known and span.parent_id != span.span_id:
            children.setdefault(str(span.parent_id), []).append(span)
        else:
            roots.append(span)
    seen: set[str] = set()
    found = list(_grow(roots, children, seen))
    for span in ordered:
        if span.span_id not in seen:
            found.extend(_grow([span], children, seen))
    return found


def _grow(
    roots: Iterable[Span], children: Mapping[str, Sequence[Span]], seen: set[str]
) -> Iterator[Branch]:
    for root in roots:
        # A stack of its own: a trace may be deeper than functions can call each other.
        stack = [(root, "", "")]
        seen.add(root.span_id)
        while stack:
            span, guide, below = stack.pop()
            # At the top, whoever has a parent misses it, or is in a circle.
            yield Branch(span, guide, stray=not guide and span.parent_id is not None)
            following = [
                each for each in children.get(span.span_id, ()) if each.span_id not in seen
            ]
            seen.update(each.span_id for each in following)
            for number, child in enumerate(reversed(following)):
                here, further = ("└─ ", "   ") if number == 0 else ("├─ ", "│  ")
                stack.append((child, below + here, below + further))
