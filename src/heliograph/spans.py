# SPDX-License-Identifier: Apache-2.0
"""Operations with a duration: what `span(...)`, `Span(...)` and `traced(...)` open."""

from __future__ import annotations

import sys
from itertools import count
from time import monotonic_ns as _monotonic_ns
from time import time_ns as _time_ns
from types import MappingProxyType

from heliograph._checks import check_name
from heliograph._generics import SD, SM, SpanTypes, final, overload

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping
    from traceback import StackSummary
    from types import TracebackType
    from typing import Any, Final, Literal, TypeAlias

    from typing_extensions import TypeVar

    from heliograph.telemetry import Event, Telemetry
    from heliograph.typing import OpenSpan

    _F = TypeVar("_F", bound=Callable[..., Any])

__all__ = [
    "EMPTY",
    "SPAN_CONTEXT",
    "ActiveSpan",
    "Span",
    "Spans",
    "make_span",
    "now",
    "set_sources",
    "stacktrace",
    "wall_clock",
]

EMPTY: Final[Mapping[str, Any]] = MappingProxyType({})
"""The immutable empty mapping: the metadata of an event that has none."""

SPAN_CONTEXT: Final = "telemetry_span_context"
"""The metadata key under which a span's events carry what they have in common."""

_next_context: Callable[[], Hashable] = count(1).__next__


class ActiveSpan(SpanTypes[SM, SD]):
    """One operation under way: what `with span(...)` yields.

    Its `measurements` and `metadata` may be filled until the operation ends; the event executed at
    its end carries these very dicts, so a reference that was kept is not for changing. Enter it
    once.
    """

    __slots__ = (
        "_announced",
        "_context",
        "_given",
        "_measurements",
        "_metadata",
        "_owned",
        "_span",
        "_started",
    )
    # No __init__: `span` and `Span` fill the slots themselves, which is faster than a constructor.
    _span: Span[Any, Any]
    _given: Mapping[str, Any]
    _owned: bool  # whether `_given` is a dict that nobody else has
    _announced: dict[str, Any] | None  # what the start event carried, if anybody listened
    _metadata: dict[str, Any] | None
    _measurements: dict[str, Any] | None
    _context: Hashable
    _started: int

    @property
    def measurements(self) -> SM:
        """What `stop` will carry beside `duration` and `monotonic_time`.

        It can't override those two.
        """
        if self._measurements is None:
            self._measurements = {}
        return self._measurements  # type: ignore[return-value]  # the generated types say which keys

    @property
    def metadata(self) -> SD:
        """What `stop` or `exception` will carry; begins as a copy of the start metadata."""
        if self._metadata is None:
            if self._announced is not None:
                self._metadata = self._announced.copy()
            else:
                self._metadata = {**self._given, SPAN_CONTEXT: self.context}
        return self._metadata  # type: ignore[return-value]  # as above

    def fill(self, measurements: Mapping[str, Any], metadata: Mapping[str, Any] = EMPTY, /) -> None:
        """Add to both at once, which takes less than to fill them item by item.

        Args:
            measurements: What the closing event measures besides, copied.
            metadata: What it carries besides, copied.
        """
        mine = self._measurements
        if mine is None:
            self._measurements = {**measurements}
        else:
            mine.update(measurements)
        known = self._metadata
        if known is not None:
            known.update(metadata)
        elif self._announced is not None:
            self._metadata = {**self._announced, **metadata}
        else:
            self._metadata = {**self._given, SPAN_CONTEXT: self.context, **metadata}

    @property
    def context(self) -> Hashable:
        """The `telemetry_span_context` that this span's events have in common."""
        context = self._context
        if context is None:
            context = self._given.get(SPAN_CONTEXT)
            if context is None:
                context = _next_context()
            self._context = context
        return context

    def __enter__(self) -> ActiveSpan[SM, SD]:
        # Read before the start event: the time that start handlers take is part of the operation.
        self._started = started = _monotonic_ns()
        start = self._span.start
        if start.handlers:
            # What the property does, without the call: this is hot as soon as somebody listens.
            context = self._context
            if context is None:
                context = self._given.get(SPAN_CONTEXT)
                if context is None:
                    context = _next_context()
                self._context = context
            if self._owned:
                announced: dict[str, Any] = self._given  # type: ignore[assignment]  # see _owned
                announced[SPAN_CONTEXT] = context
            else:
                announced = {**self._given, SPAN_CONTEXT: context}
            self._announced = announced
            measurements = {"monotonic_time": started, "system_time": _time_ns()}
            # What `start.execute` does, without the call; and so at the end.
            for call, config, attached in start.handlers:
                try:
                    call(start.name, measurements, announced, config)
                except Exception as failure:  # noqa: BLE001 - whatever a handler raises
                    start.telemetry._failed(attached, failure, start.name, measurements, announced)
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # A generator that is closed early has not failed: it stops.
        if exc is None or exc_type is GeneratorExit:
            stop = self._span.stop
            if stop.handlers:
                # Who listens is decided here, not at the start, so that late attachers work.
                ended = _monotonic_ns()
                measurements = self._measurements
                if measurements is None:
                    measurements = {}
                else:
                    self._measurements = None  # from now on it is the event's
                measurements["duration"] = ended - self._started
                measurements["monotonic_time"] = ended
                metadata: Any = self._metadata
                if metadata is None:
                    metadata = self._closing()
                else:
                    self._metadata = None
                    metadata[SPAN_CONTEXT] = self._context  # whatever the body did to it
                for call, config, attached in stop.handlers:
                    try:
                        call(stop.name, measurements, metadata, config)
                    except Exception as failure:  # noqa: BLE001 - as above
                        stop.telemetry._failed(attached, failure, stop.name, measurements, metadata)
        else:
            event = self._span.exception
            if event.handlers:
                ended = _monotonic_ns()
                event.execute(
                    {"duration": ended - self._started, "monotonic_time": ended},
                    {
                        **self._closing(),
                        "kind": _kind(exc),
                        "reason": exc,
                        "stacktrace": stacktrace(exc),
                    },
                )

    def _closing(self) -> Mapping[str, Any]:
        """Return what the event at the end carries."""
        if self._metadata is not None:
            self._metadata[SPAN_CONTEXT] = self._context
            return self._metadata
        if self._announced is not None:
            return self._announced  # handlers change nothing, so that it is as good as a copy
        return {**self._given, SPAN_CONTEXT: self.context}

    async def __aenter__(self) -> ActiveSpan[SM, SD]:
        return self.__enter__()

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.__exit__(exc_type, exc, traceback)

    def __repr__(self) -> str:
        return f"<span {self._span.prefix!r}>"


@final
class Span(SpanTypes[SM, SD]):
    """A handle on one kind of operation: its three events, without looking their names up.

        READ = heliograph.Span("sensor.read")

        with READ(address=7) as reading:
            reading.measurements["bytes"] = len(...)

    Called with metadata, as keywords or as one mapping, it opens a span. Called with a function, a
    coroutine function, a generator function or an async generator function it decorates it: each
    call is then a span, a generator's from its first step to its end.

    `Span(prefix)` belongs to the default dispatcher, `Telemetry.spanning(prefix)` to another;
    asking twice for one prefix gives one object.

    Raises:
        EventNameError: The prefix is malformed.
    """

    __slots__ = ("exception", "prefix", "start", "stop")
    prefix: str
    start: Event[Any, Any]
    stop: Event[Any, Any]
    exception: Event[Any, Any]

    def __new__(cls, prefix: str) -> Span[SM, SD]:
        from heliograph.telemetry import default  # here, because it imports this module

        return default().spanning(prefix)

    @overload
    def __call__(self, function: _F, /) -> _F: ...
    @overload
    def __call__(self, metadata: Mapping[str, Any] = ..., /, **more: Any) -> ActiveSpan[SM, SD]: ...
    def __call__(self, metadata: Any = EMPTY, /, **more: Any) -> Any:
        owned = False
        if more:
            # The keywords' dict is nobody else's: it needs no copy unless it has to be joined.
            metadata = {**metadata, **more} if metadata else more
            owned = True
        elif callable(metadata):
            from heliograph._decorate import decorate

            return decorate(metadata, self, EMPTY)
        active: ActiveSpan[SM, SD] = ActiveSpan()
        active._span = self
        active._given = metadata
        active._owned = owned
        active._announced = active._metadata = active._measurements = active._context = None
        return active

    def opened(self, metadata: dict[str, Any], /) -> ActiveSpan[SM, SD]:
        """Open a span on a dict that is given away, as a call does on a mapping that is not.

        The dict itself is what the start event carries; nobody may look at it, or change it, any
        more. That spares a copy.

        Args:
            metadata: What the start event carries, and the closing one begins with.

        Returns:
            The span, which `with` or `async with` begins.
        """
        # Written out as in `__call__`: what makes a span is called for each of them.
        active: ActiveSpan[SM, SD] = ActiveSpan()
        active._span = self
        active._given = metadata
        active._owned = True
        active._announced = active._metadata = active._measurements = active._context = None
        return active

    def __repr__(self) -> str:
        return f"Span({self.prefix!r})"

    def __reduce__(self) -> tuple[object, ...]:
        return self.start.telemetry.spanning, (self.prefix,)


if TYPE_CHECKING:
    _Table: TypeAlias = dict[str, Span[Any, Any]]
else:
    _Table = dict


class Spans(_Table):
    """Prefix -> handle, made on first use."""

    __slots__ = ("_telemetry",)
    _telemetry: Telemetry

    def __init__(self, telemetry: Telemetry) -> None:
        self._telemetry = telemetry

    def __missing__(self, prefix: str) -> Span[Any, Any]:
        made: Span[Any, Any] = object.__new__(Span)
        made.prefix = check_name(prefix, "span prefix")
        made.start = self._telemetry.event(f"{prefix}.start")
        made.stop = self._telemetry.event(f"{prefix}.stop")
        made.exception = self._telemetry.event(f"{prefix}.exception")
        # Of two threads that come here at once the first one's handle is everybody's.
        return self.setdefault(prefix, made)


def make_span(spans: Spans) -> OpenSpan:
    """Make a dispatcher's `span`; a function, because calling a class with arguments is slower."""

    def span(prefix: str, metadata: Mapping[str, Any] = EMPTY) -> ActiveSpan[Any, Any]:
        """Open a span, for `with` or `async with`, which yields an `ActiveSpan`.

        Executes `<prefix>.start`, then `<prefix>.stop` or, if the body raises,
        `<prefix>.exception`, and lets the exception go on. See `ActiveSpan` for what the body may
        fill.

        Args:
            prefix: The three events' common prefix.
            metadata: What all three carry; don't change it while the span is open. A
                `telemetry_span_context` in it is used in place of a fresh one.

        Raises:
            EventNameError: The prefix is malformed.
        """
        active: ActiveSpan[Any, Any] = ActiveSpan()
        active._span = spans[prefix]
        active._given = metadata
        active._owned = False
        active._announced = active._metadata = active._measurements = active._context = None
        return active

    return span


def _kind(exc: BaseException) -> Literal["error", "exit", "cancelled"]:
    """Say how an operation was left; in a group, exits count before errors before cancellations."""
    if isinstance(exc, Exception):
        return "error"
    if isinstance(exc, BaseExceptionGroup):
        kinds = {_kind(one) for one in exc.exceptions}
        return "exit" if "exit" in kinds else "error" if "error" in kinds else "cancelled"
    for module, name in (("asyncio", "CancelledError"), ("trio", "Cancelled")):
        # Who has not imported the library can't have its exception.
        cancelled = getattr(sys.modules.get(module), name, None)
        if cancelled is not None and isinstance(exc, cancelled):
            return "cancelled"
    return "exit"


def stacktrace(exc: BaseException) -> StackSummary:
    """Return the frames of a traceback as plain data, which keeps no frame alive."""
    from traceback import StackSummary, walk_tb

    # Source lines are read when somebody looks at them, not here.
    return StackSummary.extract(walk_tb(exc.__traceback__), lookup_lines=False)


def now() -> tuple[int, int]:
    """Return the monotonic clock and the wall clock, in nanoseconds."""
    return _monotonic_ns(), _time_ns()


def wall_clock() -> int:
    """Return the wall clock alone, in nanoseconds since the epoch."""
    return _time_ns()


def set_sources(
    monotonic_ns: Callable[[], int], time_ns: Callable[[], int], context: Callable[[], Hashable]
) -> tuple[Callable[[], int], Callable[[], int], Callable[[], Hashable]]:
    """Replace the clocks and the source of span contexts; for `heliograph.testing`.

    Returns:
        What they were before.
    """
    global _monotonic_ns, _time_ns, _next_context
    before = (_monotonic_ns, _time_ns, _next_context)
    _monotonic_ns, _time_ns, _next_context = monotonic_ns, time_ns, context
    return before
