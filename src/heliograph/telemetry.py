# SPDX-License-Identifier: Apache-2.0
"""The core: events go in by `execute`, and come out at whatever was attached to their name.

A library says what happened, once:

    heliograph.execute("shop.order.placed", {"count": 1}, {"order_id": "A-17"})

An application decides what becomes of it:

    heliograph.attach("audit", "shop.order.placed", write_audit_line)

The semantics are those of Erlang's `:telemetry` 1.x (beam-telemetry/telemetry) put into Python's
idiom; docs/explanation/core.md lists where we deviate and why.

How it works, for whoever changes it:

*   A dispatcher keeps one table, event name -> tuple of entries, and an entry is the plain tuple
    `(call, config, attached)`. Tuples are replaced, never changed, so `execute` reads without a
    lock: it iterates over whichever tuple it found, while a writer puts a new one in its place.
*   Handles (`Event`) hold the same tuple, so a hot path can ask `if EVENT.handlers:` before it
    builds anything. Writers keep table and handles equal (`_publish`).
*   Writers hold `_writing`, one re-entrant lock for all dispatchers: writes are rare, and one lock
    is easy to carry over `fork`. Re-entrant, because a signal handler or a finaliser may write in
    the middle of a write of its own thread; every write takes a new `_version` before it does
    anything else, so that the outer one sees that this happened.
*   Observers (`observe`) are entries at the end of every tuple, and the tuple that is used for
    names nobody attached to. Without observers that tuple is empty, which is what makes them free.
*   Only the standard library, and of it only what is needed at once: `logging`, `traceback`,
    `functools` and `typing` cost more than everything else here together, and come on first use.
"""

from __future__ import annotations

import os
from _thread import RLock, _local

from heliograph._checks import (
    EventNameError,
    HandlerExistsError,
    HandlerNotFoundError,
    check_callable,
    check_handler_id,
    check_name,
    check_names,
    check_policy,
)
from heliograph._generics import D, EventTypes, M, final
from heliograph.propagation import Propagator
from heliograph.spans import (
    EMPTY,
    SPAN_CONTEXT,
    ActiveSpan,
    Span,
    Spans,
    make_span,
    now,
    stacktrace,
)
from heliograph.values import Error, HandlerInfo, Ok

TYPE_CHECKING = False  # what typing.TYPE_CHECKING is, without the import
if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Mapping
    from typing import Any, Final, Literal, Self, TypeAlias

    from typing_extensions import TypeVar

    from heliograph.typing import Execute, Handler, Observer, OnFailure, OpenSpan

    _Policy: TypeAlias = Literal["detach", "keep", "quarantine", "raise"]
    _Entry: TypeAlias = tuple[Handler, Any, "_Attached"]
    _F = TypeVar("_F", bound=Callable[..., Any])

__all__ = [
    "EMPTY",
    "FAILURE",
    "SPAN_CONTEXT",
    "ActiveSpan",
    "Error",
    "Event",
    "EventNameError",
    "HandlerExistsError",
    "HandlerInfo",
    "HandlerNotFoundError",
    "Observation",
    "Ok",
    "Propagator",
    "Span",
    "Telemetry",
    "attach",
    "attach_many",
    "default",
    "detach",
    "execute",
    "list_handlers",
    "observe",
    "propagator",
    "release",
    "set_propagator",
    "span",
    "traced",
]

FAILURE: Final = "telemetry.handler.failure"
"""The event executed when a handler raises; catalogued in heliograph.yaml."""

# Our choice: a handler that failed rests for a second, then twice as long each time it fails again.
QUARANTINE_FIRST_NS: Final = 1_000_000_000
QUARANTINE_LONGEST_NS: Final = 300_000_000_000
# A kept handler may fail with every event; its log line is not worth more than one a minute.
KEEP_LOG_INTERVAL_NS: Final = 60_000_000_000

_NEVER: Final = 1 << 63  # later than any clock of nanoseconds

_writing: Final = RLock()
_reporting: Final = _local()

if hasattr(os, "register_at_fork"):  # pragma: no branch - absent on Windows only
    # Forking waits for a write under way, so that the child never inherits half of one.
    os.register_at_fork(
        before=_writing.acquire,
        after_in_parent=_writing.release,
        after_in_child=_writing.release,
    )


class _Attached:
    """One handler id with everything known of it; shared by its entries in all events."""

    __slots__ = (
        "config",
        "entry",
        "events",
        "failures",
        "handler",
        "handler_id",
        "live",
        "logged_at",
        "on_failure",
        "pause",
        "retry_at",
        "telemetry",
    )
    telemetry: Telemetry
    handler_id: Hashable
    events: tuple[str, ...]
    """Empty for an observer."""
    handler: Handler
    config: Any
    on_failure: _Policy
    entry: _Entry
    """What stands for it in the tuples at present."""
    live: bool
    failures: int
    logged_at: int | None
    pause: int
    """Length of the present quarantine in nanoseconds; 0 outside one."""
    retry_at: int
    """Monotonic time at which the quarantined handler may try again."""

    def __init__(
        self,
        telemetry: Telemetry,
        handler_id: Hashable,
        events: tuple[str, ...],
        handler: Handler,
        config: Any,
        on_failure: _Policy,
    ) -> None:
        self.telemetry = telemetry
        self.handler_id = handler_id
        self.events = events
        self.handler = handler
        self.config = config
        self.on_failure = on_failure
        self.entry = (handler, config, self)
        self.live = True
        self.failures = 0
        self.logged_at = None
        self.pause = self.retry_at = 0

    def gate(
        self, event: str, measurements: Mapping[str, Any], metadata: Mapping[str, Any], config: Any
    ) -> None:
        """Stand in for a quarantined handler: swallow events until it may try again."""
        with _writing:
            clock, _ = now()
            if clock < self.retry_at:
                return
            # One event tries; those of other threads meanwhile are still swallowed.
            self.retry_at = _NEVER
        try:
            self.handler(event, measurements, metadata, config)
        except Exception:
            # Only here does the pause grow: calls that began before it may still fail in it.
            with _writing:
                self.pause = min(self.pause * 2, QUARANTINE_LONGEST_NS)
            raise
        except BaseException:
            self.retry_at = clock  # a cancellation says nothing of the handler: the next one tries
            raise
        self.telemetry._set_pause(self, 0)


@final
class Observation:
    """What `observe` returns: closing it ends the observation. Also a context manager."""

    __slots__ = ("_attached",)
    _attached: _Attached

    def __init__(self, attached: _Attached) -> None:
        self._attached = attached

    @property
    def closed(self) -> bool:
        """Whether it has ended: by `close`, or because the callback raised."""
        return not self._attached.live

    def close(self) -> None:
        """End the observation; closing twice is closing once."""
        self._attached.telemetry._drop_observer(self._attached)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


@final
class Event(EventTypes[M, D]):
    """A handle on one event: knows its handlers, so that nothing is built when there are none.

        SENT = heliograph.Event("mailer.message.sent")

        if SENT.handlers:
            SENT.execute({"size": len(message)}, {"to": recipient})

    `Event(name)` is a handle of the default dispatcher, `Telemetry.event(name)` of another; asking
    twice for one name gives one object. Type checkers see `Event[Measurements, Metadata]`, as the
    generated event modules declare it.

    Raises:
        EventNameError: The name is malformed.
    """

    __slots__ = ("handlers", "name", "telemetry")
    name: str
    handlers: tuple[_Entry, ...]
    """Whoever listens: empty, and so false, when nobody does. Its items are private."""
    telemetry: Telemetry

    def __new__(cls, name: str) -> Event[M, D]:
        return default().event(name)

    def execute(self, measurements: M, metadata: D = EMPTY) -> None:  # type: ignore[assignment]
        # (EMPTY is right for every event without required metadata; the checker can't tell which.)
        """Do what `heliograph.execute` does, without looking the name up."""
        for call, config, attached in self.handlers:
            try:
                call(self.name, measurements, metadata, config)
            except Exception as failure:
                self.telemetry._failed(attached, failure, self.name, measurements, metadata)

    def __repr__(self) -> str:
        return f"Event({self.name!r})"

    def __reduce__(self) -> tuple[object, ...]:
        return self.telemetry.event, (self.name,)


class Telemetry:
    """An independent dispatcher: its own handlers, handles and observers.

    Most programs need only the default one, on which the module's functions act. A library's tests,
    or a program that keeps two parts apart, make their own.

    Attributes:
        propagator: How components carry trace context over their wires; does nothing by default.
    """

    __slots__ = (
        "__weakref__",
        "_events",
        "_handlers",
        "_observers",
        "_own",
        "_set_unheard",
        "_spans",
        "_table",
        "_version",
        "_watching",
        "execute",
        "propagator",
        "span",
    )

    execute: Execute
    span: OpenSpan
    _events: dict[str, Event[Any, Any]]
    _handlers: dict[Hashable, _Attached]
    _observers: tuple[_Entry, ...]
    _own: dict[str, tuple[_Entry, ...]]  # each event's handlers
    _table: dict[str, tuple[_Entry, ...]]  # the same and the observers: what is executed
    _spans: Spans
    _version: int
    _watching: dict[_Attached, None]
    propagator: Propagator

    def __init__(self) -> None:
        self._events = {}
        self._handlers = {}
        self._observers = ()
        self._own = {}
        self._table = {}
        self._version = 0
        self._watching = {}
        self.propagator = Propagator()
        self._spans = Spans(self)
        self.span = make_span(self._spans)
        self.execute, self._set_unheard = _make_execute(self._table.get, self._failed)

    # -- Handlers ---------------------------------------------------------------------------------

    def attach(
        self,
        handler_id: Hashable,
        event: str,
        handler: Handler,
        config: Any = None,
        *,
        on_failure: OnFailure = "detach",
    ) -> None:
        """Call `handler(event, measurements, metadata, config)` whenever `event` is executed.

        It is called in the emitter's thread and context, and should be quick. It must not change
        the mappings it is given: others get the same ones.

        Args:
            handler_id: Any hashable, unique in this dispatcher.
            event: The exact name of the event. It need not be known to anybody yet.
            handler: A plain callable; a coroutine function would never be awaited and is refused.
            config: Handed to the handler as it is.
            on_failure: What follows when the handler raises an `Exception`. `"detach"` removes it.
                `"keep"` goes on calling it. `"quarantine"` pauses it, for a second at first and
                twice as long each further time up to five minutes, and then lets it try again.
                Each failure executes `telemetry.handler.failure`.

        Raises:
            EventNameError: The name is malformed.
            HandlerExistsError: The id is taken.
            TypeError: The id is not hashable, the name no string, or the handler not callable.
            ValueError: `on_failure` is none of the three.
        """
        self._attach(handler_id, (check_name(event),), handler, config, on_failure)

    def attach_many(
        self,
        handler_id: Hashable,
        events: Iterable[str],
        handler: Handler,
        config: Any = None,
        *,
        on_failure: OnFailure = "detach",
    ) -> None:
        """Attach one handler to several events under one id.

        It is one handler: detaching it, or its failure, takes it from all its events at once. An
        event named twice counts once.

        Args:
            handler_id: As for `attach`.
            events: The events' exact names, at least one.
            handler: As for `attach`.
            config: As for `attach`.
            on_failure: As for `attach`.

        Raises:
            EventNameError: A name is malformed; nothing is attached then.
            HandlerExistsError: The id is taken.
            TypeError: As for `attach`, or `events` is a single string.
            ValueError: `events` is empty, or `on_failure` is none of the three.
        """
        names = check_names(events, f"handler {handler_id!r}")
        self._attach(handler_id, names, handler, config, on_failure)

    def _attach(
        self,
        handler_id: Hashable,
        names: tuple[str, ...],
        handler: Handler,
        config: Any,
        on_failure: OnFailure,
    ) -> None:
        check_handler_id(handler_id)
        check_callable(handler, f"handler {handler_id!r}")
        check_policy(on_failure, f"handler {handler_id!r}", "detach", "keep", "quarantine")
        attached = _Attached(self, handler_id, names, handler, config, on_failure)
        with _writing:
            self._version = version = self._version + 1
            present = self._handlers.setdefault(handler_id, attached)
            if present is not attached:
                raise HandlerExistsError(
                    f"handler id {handler_id!r} is already attached to "
                    f"{', '.join(present.events)}; detach it first or choose another id"
                )
            for name in names:
                self._publish(name, (*self._own.get(name, ()), attached.entry), version)

    def detach(self, handler_id: Hashable) -> None:
        """Remove a handler from all its events.

        An event that another thread is executing at this moment may still call it.

        Raises:
            HandlerNotFoundError: Nothing is attached under this id.
        """
        with _writing:
            self._remove(self._find(handler_id))

    def release(self, handler_id: Hashable) -> None:
        """End a handler's quarantine now; does nothing to a handler that is not paused.

        Raises:
            HandlerNotFoundError: Nothing is attached under this id.
        """
        with _writing:
            self._set_pause(self._find(handler_id), 0)

    def list_handlers(self, prefix: str = "") -> list[HandlerInfo]:
        """List what is attached to the events below a prefix, in the order of attaching.

        Args:
            prefix: Whole segments of a name: `"shop.order"` finds `shop.order` and
                `shop.order.placed`, but not `shop.orders`. Empty lists everything.

        Returns:
            One item for each event of each handler.
        """
        below = prefix + "."
        with _writing:
            return [
                HandlerInfo(
                    attached.handler_id,
                    name,
                    attached.handler,
                    attached.config,
                    attached.on_failure,  # type: ignore[arg-type]  # "raise" is for observers only
                    "quarantined" if attached.pause else "attached",
                    attached.failures,
                    attached.events,
                )
                for attached in self._handlers.values()
                for name in attached.events
                if not prefix or name == prefix or name.startswith(below)
            ]

    def observe(
        self, callback: Observer, *, on_failure: Literal["detach", "raise"] = "detach"
    ) -> Observation:
        """Call `callback(event, measurements, metadata)` for every event executed, known or not.

        While there is an observer every `Event.handlers` is true, so guarded events reach it too.
        Without one it costs nothing. It is meant for tests, discovery and conformance; an
        application attaches.

        Args:
            callback: Called in the emitter's thread after the event's handlers.
            on_failure: `"detach"` ends the observation when the callback raises, and executes
                `telemetry.handler.failure`; `"raise"` lets the exception go on to the emitter.

        Returns:
            What to close in order to stop.

        Raises:
            TypeError: The callback is not callable.
            ValueError: `on_failure` is neither of the two.
        """
        check_callable(callback, "observer")
        check_policy(on_failure, "observer", "detach", "raise")

        def call(
            event: str, measurements: Mapping[str, Any], metadata: Mapping[str, Any], _: Any
        ) -> None:
            callback(event, measurements, metadata)

        attached = _Attached(self, callback, (), call, None, on_failure)
        with _writing:
            self._watching[attached] = None
            self._publish_observers()
        return Observation(attached)

    # -- Handles ----------------------------------------------------------------------------------

    def event(self, name: str) -> Event[Any, Any]:
        """Return this dispatcher's handle on an event; one name gives one object.

        Raises:
            EventNameError: The name is malformed.
            TypeError: The name is no string.
        """
        check_name(name)
        with _writing:
            handle = self._events.get(name)
            if handle is None:
                version = self._version
                made: Event[Any, Any] = object.__new__(Event)
                made.telemetry = self
                made.name = name
                made.handlers = ()
                handle = self._events.setdefault(name, made)
                self._publish(name, self._own.get(name, ()), version)
            return handle

    def spanning(self, prefix: str) -> Span[Any, Any]:
        """Return this dispatcher's handle on a span; one prefix gives one object.

        Raises:
            EventNameError: The prefix is malformed.
            TypeError: The prefix is no string.
        """
        check_name(prefix, "span prefix")
        return self._spans[prefix]

    def traced(self, prefix: str, metadata: Mapping[str, Any] = EMPTY) -> Callable[[_F], _F]:
        """Decorate a function so that each call is a span; see `Span` for what can be decorated.

        Args:
            prefix: The span's prefix.
            metadata: What each call's events carry.

        Raises:
            EventNameError: The prefix is malformed.
        """
        handle = self.spanning(prefix)

        def decorate(function: _F) -> _F:
            from heliograph._decorate import decorate

            return decorate(function, handle, metadata)

        return decorate

    # -- Writing, all of it under _writing --------------------------------------------------------

    def _find(self, handler_id: Hashable) -> _Attached:
        try:
            return self._handlers[handler_id]
        except (KeyError, TypeError):
            raise HandlerNotFoundError(
                f"no handler is attached under the id {handler_id!r}; "
                "list_handlers() shows those that are"
            ) from None

    def _publish(self, name: str, handlers: tuple[_Entry, ...], version: int) -> None:
        """Put an event's new entries in place, for the table and the handle.

        `version` is what `_version` was when the write began. What a nested write did since would
        now be lost or done twice; so work the entries out anew from what is attached.
        """
        while True:
            if version != self._version:
                version = self._version
                handlers = tuple([a.entry for a in [*self._handlers.values()] if name in a.events])
            entries = handlers + self._observers if self._observers else handlers
            if handlers:
                self._own[name] = handlers
                self._table[name] = entries
            else:
                self._own.pop(name, None)
                self._table.pop(name, None)
            handle = self._events.get(name)
            if handle is not None:
                handle.handlers = entries
            if version == self._version:
                return

    def _remove(self, attached: _Attached) -> bool:
        """Take a handler from its events; tell whether it was still there."""
        self._version = version = self._version + 1
        if not attached.live:
            return False
        attached.live = False
        self._handlers.pop(attached.handler_id, None)
        for name in attached.events:
            # By identity: comparing entries would compare configurations, which are the user's.
            kept = tuple([entry for entry in self._own.get(name, ()) if entry[2] is not attached])
            self._publish(name, kept, version)
        return True

    def _set_pause(self, attached: _Attached, pause: int) -> None:
        """Quarantine a handler for `pause` nanoseconds from now, or end its quarantine with 0."""
        with _writing:
            self._version = version = self._version + 1
            if not attached.live:
                return
            attached.retry_at = now()[0] + pause
            attached.pause = pause
            if (attached.entry[0] is attached.handler) is not bool(pause):
                return
            call = attached.gate if pause else attached.handler
            attached.entry = (call, attached.config, attached)
            for name in attached.events:
                entries = self._own.get(name, ())
                swapped = tuple([attached.entry if e[2] is attached else e for e in entries])
                self._publish(name, swapped, version)

    def _publish_observers(self) -> None:
        while True:
            self._version = version = self._version + 1
            self._observers = tuple([attached.entry for attached in [*self._watching]])
            self._set_unheard(self._observers)
            for name in dict.fromkeys([*self._events, *self._own]):
                self._publish(name, self._own.get(name, ()), version)
            if version == self._version:
                return

    def _drop_observer(self, attached: _Attached) -> bool:
        with _writing:
            if not attached.live:
                return False
            attached.live = False
            self._watching.pop(attached, None)
            self._publish_observers()
            return True

    # -- Failures ---------------------------------------------------------------------------------

    def _failed(
        self,
        attached: _Attached,
        failure: Exception,
        event: str,
        measurements: Mapping[str, Any],
        metadata: Mapping[str, Any],
    ) -> None:
        """Do what a handler's failure asks for: first its policy, then the event, then the log."""
        policy = attached.on_failure
        if policy == "raise":
            raise failure
        if not _has_room():
            # At the end of the stack nothing can be dealt with: climb to where there is room.
            if isinstance(failure, RecursionError):
                raise failure
            raise RecursionError(f"no room to deal with a failed handler of {event}") from failure
        with _writing:
            attached.failures += 1
            if policy == "keep":
                consequence = "it stays attached"
            elif policy == "quarantine":
                pause = attached.pause or QUARANTINE_FIRST_NS
                self._set_pause(attached, pause)
                consequence = f"it is paused for {pause / 1e9:g} s"
            else:
                remove = self._remove if attached.events else self._drop_observer
                if not remove(attached):
                    return  # another thread's event failed at the same time and has reported it
                consequence = "it was detached"
        if getattr(_reporting, "busy", False):
            # A handler failed while a failure was being reported: say so, but don't go round again.
            self._log_failure(attached, failure, event, consequence)
            return
        _reporting.busy = True
        try:
            monotonic_time, system_time = now()
            self.execute(
                FAILURE,
                {"monotonic_time": monotonic_time, "system_time": system_time},
                {
                    "event_name": event,
                    "handler_id": attached.handler_id,
                    "handler_config": attached.config,
                    "kind": "error",
                    "reason": failure,
                    "stacktrace": stacktrace(failure),
                    "events": attached.events,
                    "measurements": measurements,
                    "metadata": metadata,
                    "on_failure": policy,
                },
            )
            self._log_failure(attached, failure, event, consequence)
        finally:
            _reporting.busy = False

    def _log_failure(
        self, attached: _Attached, failure: Exception, event: str, consequence: str
    ) -> None:
        if attached.on_failure == "keep":
            with _writing:
                clock, _ = now()
                last = attached.logged_at
                if last is not None and clock - last < KEEP_LOG_INTERVAL_NS:
                    return
                attached.logged_at = clock
        try:
            import logging

            logging.getLogger("heliograph").error(
                "handler %r failed on %s; %s",
                attached.handler_id,
                event,
                consequence,
                exc_info=failure,
            )
        except Exception:  # noqa: S110 - a broken log filter must not reach the emitter, nor be logged
            pass


def _has_room(frames: int = 64) -> bool:
    """Tell whether so many calls fit on the stack; 64 do for a failure's report and log line."""
    try:
        return not frames or _has_room(frames - 1)
    except RecursionError:
        return False


def _make_execute(
    get: Callable[[str, tuple[_Entry, ...] | None], tuple[_Entry, ...] | None],
    failed: Callable[[_Attached, Exception, str, Mapping[str, Any], Mapping[str, Any]], None],
) -> tuple[Execute, Callable[[tuple[_Entry, ...]], None]]:
    """Make a dispatcher's `execute`, and what sets the entries for names nobody attached to.

    A closure, because a cell is read faster than an attribute, and the table's own `get` is bound
    once and for all.
    """
    unheard: tuple[_Entry, ...] | None = None

    def execute(
        event: str, measurements: Mapping[str, Any], metadata: Mapping[str, Any] = EMPTY
    ) -> None:
        """Execute an event: call every handler attached to its name, here and now.

        What a handler raises never reaches the caller; only cancellation, `KeyboardInterrupt`,
        `SystemExit` and `GeneratorExit` do.

        Args:
            event: The event's name. It is not checked: a name nobody attached to costs one look-up.
            measurements: Numbers, by name. Handlers must not change them.
            metadata: Whatever else is known, by name. Handlers must not change it.
        """
        handlers = get(event, unheard)
        if handlers is not None:
            for call, config, attached in handlers:
                try:
                    call(event, measurements, metadata, config)
                except Exception as failure:
                    failed(attached, failure, event, measurements, metadata)

    def set_unheard(entries: tuple[_Entry, ...]) -> None:
        nonlocal unheard
        unheard = entries or None

    return execute, set_unheard


_default: Final = Telemetry()


def default() -> Telemetry:
    """Return the default dispatcher, on which the module's functions act."""
    return _default


def propagator() -> Propagator:
    """Return how components of the default dispatcher carry trace context over their wires."""
    return _default.propagator


def set_propagator(new: Propagator) -> Propagator:
    """Set the default dispatcher's propagator.

    Returns:
        The one it replaces, for putting it back.
    """
    before, _default.propagator = _default.propagator, new
    return before


# The default dispatcher's own methods: nothing lies between, and help() says all there is to say.
attach: Final = _default.attach
attach_many: Final = _default.attach_many
detach: Final = _default.detach
release: Final = _default.release
list_handlers: Final = _default.list_handlers
observe: Final = _default.observe
traced: Final = _default.traced
execute: Final[Execute] = _default.execute
span: Final[OpenSpan] = _default.span
