# SPDX-License-Identifier: Apache-2.0
"""Aggregation on observation: events go in, numbers are kept, points come out when asked for."""

from __future__ import annotations

import os
import weakref
from collections import Counter
from collections.abc import Mapping
from itertools import count
from threading import RLock
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from heliograph import spans
from heliograph import telemetry as core
from heliograph.metrics.compile import observer, source_of
from heliograph.metrics.definitions import Definition, DefinitionError
from heliograph.metrics.points import MetricPoints
from heliograph.metrics.table import Table, signature_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import Self

    from heliograph.catalog.exported import OtelInstrument
    from heliograph.metrics.instruments import Kept, Record
    from heliograph.metrics.points import Temporality
    from heliograph.metrics.table import NumberRead
    from heliograph.typing import Handler

__all__ = ["Aggregate", "Temporalities", "instrument_of"]

Temporalities: TypeAlias = "Temporality | Mapping[OtelInstrument, Temporality]"

# OpenTelemetry's meaning of the preference "delta": what can shrink is still told as a total.
_PREFERENCES: Final[Mapping[Temporality, Mapping[OtelInstrument, Temporality]]] = {
    "cumulative": {},
    "delta": {"counter": "delta", "histogram": "delta"},
}

_numbers: Final = count(1)
_living: Final[weakref.WeakSet[Aggregate]] = weakref.WeakSet()
_changing: Final = RLock()


class Aggregate:
    """Keeps the numbers of metrics, exactly and in bounded memory.

        orders = metrics.counter("shop.orders", event="shop.order.placed", tags=["country"])
        with metrics.Aggregate([orders]) as aggregate:
            sell()
            for metric in aggregate.collect():
                print(metric.name, metric.points)

    Numbers are added up when an event is executed, in the emitter's thread, under a lock that the
    metrics of one event share; memory depends on how many series there are, never on how many
    observations. Whatever an event holds, observing it does not raise: what cannot be used is
    skipped, and counted in `skipped`.

    After a fork the child begins at zero, for what was counted before is the parent's to report.

    Attributes:
        definitions: The metrics, in the order given.
        handlers: For each event that any of them is about, the function that takes it: what
            `attach` attaches.

    Raises:
        DefinitionError: Two metrics have the same name and scope.
        TypeError: What is given is no definition.
    """

    definitions: tuple[Definition, ...]
    handlers: Mapping[str, Handler]

    def __init__(
        self,
        definitions: Iterable[Definition],
        *,
        telemetry: core.Telemetry | None = None,
        exemplar: Callable[[], tuple[int, int] | None] | None = None,
        records: Mapping[Definition, Record] | None = None,
        restart_in_child: bool = True,
    ) -> None:
        """Make it; it takes no event before it is attached.

        Args:
            definitions: The metrics.
            telemetry: The dispatcher whose events they are about; the default one if None.
            exemplar: Returns the ids of the trace and of the span that is current and sampled, or
                None. With it points carry exemplars, as OpenTelemetry's defaults have it.
            records: For histograms that somebody else keeps, what to call with each value and its
                attributes; these are not collected here.
            restart_in_child: Whether the child of a fork begins at zero.
        """
        self.definitions = tuple(definitions)
        self._telemetry = core.default() if telemetry is None else telemetry
        self._restart_in_child = restart_in_child
        self._records = dict(records or {})
        self._number = next(_numbers)
        self._skipped: Counter[tuple[str, str]] = Counter()
        self._skipping = RLock()
        self._attached: dict[str, tuple[str, int, str]] = {}
        _check(self.definitions)
        self._tables = self._make_tables(exemplar)
        self._places: dict[Definition, tuple[Table, Kept]] = {
            each.definition: (table, each) for table in self._tables for each in table.kept
        }
        handlers = {event: observer(event, tables) for event, tables in self._by_event().items()}
        for event, endings in self._endings().items():
            handlers[event] = _ender(endings, handlers.get(event))
        self.handlers = handlers
        with _changing:
            _living.add(self)

    def _make_tables(
        self, exemplar: Callable[[], tuple[int, int] | None] | None
    ) -> tuple[Table, ...]:
        groups: dict[object, list[tuple[int, Definition]]] = {}
        for position, definition in enumerate(self.definitions):
            groups.setdefault(signature_of(definition), []).append((position, definition))
        locks = _locks([group[0][1].events for group in groups.values()])
        return tuple(
            Table(group, locks[group[0][1].events[0]], self._skip, exemplar, self._records)
            for group in groups.values()
        )

    def _by_event(self) -> Mapping[str, Sequence[Table]]:
        found: dict[str, list[Table]] = {}
        for table in self._tables:
            for event in table.definition.events:
                found.setdefault(event, []).append(table)
        return found

    def _endings(self) -> Mapping[str, Sequence[tuple[Table, Kept]]]:
        found: dict[str, list[tuple[Table, Kept]]] = {}
        for definition, place in self._places.items():
            for event in definition.ended_by:
                found.setdefault(event, []).append(place)
        return found

    def __repr__(self) -> str:
        state = "attached" if self._attached else "detached"
        return f"<aggregate of {len(self.definitions)} metrics, {state}>"

    # -- Events -----------------------------------------------------------------------------------

    def attach(self, events: Iterable[str] | None = None) -> None:
        """Take events from now on; attaching twice is attaching once.

        Args:
            events: Which of `handlers` to attach; all if None. Handlers are called in the order in
                which they are attached, so that somebody else's can come in between.

        Raises:
            KeyError: None of the metrics is about one of the events.
        """
        with _changing:
            for event in self.handlers if events is None else events:
                handler = self.handlers[event]
                if event not in self._attached:
                    handler_id = ("heliograph.metrics", self._number, event)
                    self._telemetry.attach(handler_id, event, handler, on_failure="keep")
                    self._attached[event] = handler_id

    def detach(self) -> None:
        """Take no more events; the numbers stay. Detaching twice is detaching once."""
        with _changing:
            while self._attached:
                _, handler_id = self._attached.popitem()
                try:
                    self._telemetry.detach(handler_id)
                except core.HandlerNotFoundError:
                    continue  # somebody else has detached it, which is what was wanted

    def __enter__(self) -> Self:
        self.attach()
        return self

    def __exit__(self, *exc: object) -> None:
        self.detach()

    def source(self, event: str) -> str:
        """The source of the function that was generated for an event, for whoever wonders.

        Raises:
            LookupError: None of the metrics is about that event.
        """
        return source_of(event, self._by_event()[event])

    # -- Numbers ----------------------------------------------------------------------------------

    def collect(
        self, temporality: Temporalities = "cumulative", *, now: int | None = None
    ) -> tuple[MetricPoints, ...]:
        """The metrics that have points, in the order of their definitions.

        Args:
            temporality: `"cumulative"` reports totals since the first observation. `"delta"`
                reports what came since the last collection, for counters, sums that only grow,
                histograms and summaries; the others have no deltas. A mapping says it for each of
                `counter`, `updowncounter`, `gauge` and `histogram`. What reports deltas begins
                anew with each collection, so let one collector ask for them.
            now: The time of the points, in nanoseconds since the epoch; the clock's if None.

        Raises:
            ValueError: The temporality is none of these.
        """
        time = spans.now()[1] if now is None else now
        preferred = _preferred(temporality)
        found: dict[Definition, MetricPoints] = {}
        for table in self._tables:
            chosen: list[Temporality] = [
                preferred.get(instrument_of(each.definition), "cumulative") for each in table.kept
            ]
            collected = table.collect([each == "delta" for each in chosen], time)
            for each, how, points in zip(table.kept, chosen, collected, strict=True):
                if points and each.definition not in self._records:
                    found[each.definition] = MetricPoints(each.definition, how, points)
        return tuple([found[each] for each in self.definitions if each in found])

    def numbers(self, definition: Definition) -> list[NumberRead]:
        """The present totals or values of a counter, a sum or a last value, by attributes.

        With each comes an exemplar, if there is one since this was asked for last, or None.

        Raises:
            LookupError: It is none of the definitions.
        """
        table, kept = self._places[definition]
        return table.numbers(kept)

    def clear(self) -> None:
        """Forget all numbers, and begin at zero."""
        for table in self._tables:
            table.clear()

    @property
    def series(self) -> int:
        """How many rows there are, which is what memory depends on."""
        return sum(len(table.rows) + (table.overflow is not None) for table in self._tables)

    @property
    def skipped(self) -> Mapping[tuple[str, str], int]:
        """How many points were skipped, by the metric's name and the reason.

        Reasons are `missing`, `not_a_number`, `not_finite` (which includes what is too great to be
        exported), `negative` and `failed` (a function of the definition raised). Under `unfit_tag`
        are points that were kept, but without a tag whose value cannot be one.
        """
        with self._skipping:
            return dict(self._skipped)

    def _skip(self, metric: str, reason: str) -> None:
        with self._skipping:
            self._skipped[metric, reason] += 1

    # -- Forks ------------------------------------------------------------------------------------

    def _locks(self) -> list[Any]:
        return [self._skipping, *{id(table.lock): table.lock for table in self._tables}.values()]

    def _restart(self) -> None:  # pragma: no cover - runs in a child, which reports no coverage
        if self._restart_in_child:
            self.clear()
            self._skipped.clear()


def _ender(endings: Sequence[tuple[Table, Kept]], then: Handler | None) -> Handler:
    """The handler of an event that ends series, and may also feed others."""

    def end(
        event: str, measurements: Mapping[str, Any], metadata: Mapping[str, Any], config: Any
    ) -> None:
        for table, kept in endings:
            table.end(kept, metadata)
        if then is not None:
            then(event, measurements, metadata, config)

    return end


def _preferred(temporality: Temporalities) -> Mapping[OtelInstrument, Temporality]:
    if isinstance(temporality, Mapping):
        known = {"counter", "updowncounter", "gauge", "histogram"}
        if set(temporality) <= known and set(temporality.values()) <= set(_PREFERENCES):
            return temporality
    elif temporality in _PREFERENCES:
        return _PREFERENCES[temporality]
    raise ValueError(
        f"temporality is {temporality!r}; write 'cumulative' or 'delta', or one of them for each "
        "of counter, updowncounter, gauge and histogram"
    )


def instrument_of(definition: Definition) -> OtelInstrument:
    """The OpenTelemetry instrument that a definition becomes."""
    if definition.instrument == "counter":
        return "counter"
    if definition.instrument == "sum":
        return "counter" if definition.monotonic else "updowncounter"
    return "gauge" if definition.instrument == "last_value" else "histogram"


def _check(definitions: Sequence[Definition]) -> None:
    seen: set[tuple[str, str]] = set()
    for each in definitions:
        if not isinstance(each, Definition):
            raise TypeError(f"{each!r} is no definition; make one with metrics.counter and others")
        # OpenTelemetry compares names without regard to case.
        identity = (each.scope.name, each.name.lower())
        if identity in seen:
            raise DefinitionError(f"two metrics are called {each.name}; rename one")
        seen.add(identity)


def _locks(groups: Sequence[tuple[str, ...]]) -> Mapping[str, Any]:
    """A lock for each event, the same for events that feed a common table.

    Re-entrant, because a finaliser or a signal handler may execute an event while its thread holds
    one.
    """
    first: dict[str, str] = {}

    def root(event: str) -> str:
        while (above := first.setdefault(event, event)) != event:
            event = above
        return event

    for events in groups:
        for event in events[1:]:
            first[root(event)] = root(events[0])
    locks: dict[str, Any] = {}
    return {event: locks.setdefault(root(event), RLock()) for events in groups for event in events}


# A fork waits until no thread is in the middle of an update, so that the child has no half of one,
# nor a lock that nobody will release.
_forking: list[Aggregate] = []


def _before_fork() -> None:
    _changing.acquire()
    _forking.extend(_living)
    for aggregate in _forking:
        for lock in aggregate._locks():
            lock.acquire()


def _after_fork() -> None:
    for aggregate in _forking:
        for lock in aggregate._locks():
            lock.release()
    _forking.clear()
    _changing.release()


def _after_fork_in_child() -> None:  # pragma: no cover - as _restart
    for aggregate in _forking:
        aggregate._restart()
    _after_fork()


if hasattr(os, "register_at_fork"):  # pragma: no branch - absent on Windows only
    os.register_at_fork(
        before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork_in_child
    )
