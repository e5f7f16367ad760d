# SPDX-License-Identifier: Apache-2.0
"""Catalogued operations as OpenTelemetry spans.

An operation's start event opens a span and makes it the current one; its stop or exception event,
found by the `telemetry_span_context` they share, ends it. Name, kind and attributes are as the
catalog says, start and end are the times the events carry. The table of open spans is bounded in
size and age: what falls out is ended as an orphan and counted.

Nothing here raises into the emitter, whatever the events hold; what could not be used is counted in
`SpanBridge.counts`.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections import Counter
from dataclasses import dataclass, field
from random import getrandbits
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.trace import SpanLimits
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import DEFAULT_ON, Decision
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import (
    INVALID_SPAN_CONTEXT,
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    get_current_span,
    set_span_in_context,
)

from heliograph import Error, Ok, default
from heliograph.catalog.exported import ORPHAN, error_type, span_attributes
from heliograph.catalog.model import ERROR_TYPE
from heliograph.otel.attributes import AttributeLimits, Extractor, quick
from heliograph.otel.current import (
    CURRENT_CONTEXT,
    CURRENT_SPAN,
    KNOWN_FLAGS,
    RANDOM,
    SAMPLED,
    GivenSpan,
)
from heliograph.otel.exceptions import encodable, message_of
from heliograph.otel.lazy import LazyOperation, LazySpan, takes_all
from heliograph.otel.own import Operation, OwnSpan
from heliograph.plain import Limits as PlainLimits
from heliograph.plain import plain, rendered
from heliograph.spans import SPAN_CONTEXT, now

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping

    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace.id_generator import IdGenerator
    from opentelemetry.sdk.trace.sampling import Sampler
    from opentelemetry.trace import TraceState

    from heliograph import Telemetry
    from heliograph.catalog import Catalog
    from heliograph.catalog.model import EventSpec, SpanSpec
    from heliograph.otel.attributes import Attributes
    from heliograph.otel.current import CoveringSpan, QuickSpan
    from heliograph.otel.logs import LogBridge
    from heliograph.typing import Handler

__all__ = ["OpenSpanLimits", "OwnTracing", "SpanBridge"]

_KINDS: Final = {kind.name.lower(): kind for kind in SpanKind}
_DESCRIPTION: Final = PlainLimits(depth=2, items=8, text=256, nodes=32)


@dataclass(frozen=True, slots=True)
class OpenSpanLimits:
    """How many operations may be under way, and for how long; both are our choice.

    Attributes:
        size: Spans open at once, over all catalogs.
        age: Seconds after which an open span is given up.
    """

    size: int = 10_000
    age: float = 3600.0


@dataclass(frozen=True, slots=True)
class OwnTracing:
    """Where the spans of our own pipeline come from and go to.

    Attributes:
        resource: The process.
        on_end: Gets each span that was sampled, when it ends; its `readable()` is what the SDK's
            exporters take.
        sampler: Asked for each span, as the SDK does.
        limits: The SDK's span limits.
        ids: Where trace and span ids come from.
    """

    resource: Resource
    on_end: Callable[[OwnSpan], None]
    sampler: Sampler = DEFAULT_ON
    limits: SpanLimits = field(default_factory=SpanLimits)
    ids: IdGenerator = field(default_factory=RandomIdGenerator)


class SpanBridge:
    """Makes spans of the spans that catalogs declare.

    Attributes:
        counts: What went otherwise than it should, by reason: `orphan` (ended because its end never
            came), `unmatched` (an end whose start was not seen, or was given up), `unreadable` (an
            event without what a span needs).
    """

    def __init__(
        self,
        catalog: Catalog,
        *,
        tracer_provider: trace.TracerProvider | None = None,
        own: OwnTracing | None = None,
        telemetry: Telemetry | None = None,
        attribute_limits: AttributeLimits | None = None,
        open_limits: OpenSpanLimits | None = None,
        record_exceptions: bool = False,
        logs: LogBridge | None = None,
        handler_id: Hashable = ("heliograph.otel", "spans"),
    ) -> None:
        """Prepare the bridge; `attach` turns it on.

        Args:
            catalog: Which spans there are.
            tracer_provider: Makes the spans; OpenTelemetry's global one if None.
            own: Makes the spans in place of a provider.
            telemetry: The dispatcher; the default one if None.
            attribute_limits: How long attribute values may be.
            open_limits: How many spans may be open, and for how long.
            record_exceptions: Whether exceptions are also recorded on the span; they are log events
                if there is a bridge for those.
            logs: Makes log events of the exceptions that end operations.
            handler_id: What the handler ids begin with.
        """
        self._telemetry = default() if telemetry is None else telemetry
        self._catalog = catalog
        self._provider = tracer_provider
        self._own = own
        self._attribute_limits = attribute_limits or AttributeLimits()
        self._open_limits = open_limits or OpenSpanLimits()
        self._record_exceptions = record_exceptions
        self._logs = logs
        self._handler_id = handler_id
        self._attached: list[Hashable] = []
        self._table: dict[tuple[str, Hashable], CoveringSpan] = {}
        self._lock = threading.Lock()
        self.counts: Counter[str] = Counter()
        _forget_after_fork(self)

    def attach(self) -> None:
        """Begin: spans that start from now on are made."""
        for document in self._catalog.documents:
            scope = InstrumentationScope(document.name, document.version, document.schema_url)
            for spec in document.spans.values():
                if spec.deprecated is not None and spec.deprecated.renamed_to in document.spans:
                    continue
                self._attach(spec, scope)

    def detach(self) -> None:
        """End: nothing is listened to any more, and spans still open end as orphans."""
        for handler_id in self._attached:
            self._telemetry.detach(handler_id)
        self._attached.clear()
        with self._lock:
            left = list(self._table.values())
            self._table.clear()
        for each in left:
            self._orphan(each)

    def expire(self) -> int:
        """Give up the spans that have been open for too long; return how many are open still."""
        oldest = now()[1] - int(self._open_limits.age * 1e9)
        while self._table:
            with self._lock:
                key = next(iter(self._table), None)
                if key is None or self._table[key].start_time > oldest:
                    break
                gone = self._table.pop(key)
            self._orphan(gone)
        return len(self._table)

    # -- One catalog, one span --------------------------------------------------------------------

    def _attach(self, spec: SpanSpec, scope: InstrumentationScope) -> None:
        attributes = span_attributes(spec)
        limits = self._attribute_limits
        at_start = Extractor(spec.start, attributes, limits)
        name, kind = spec.span_name or spec.name, _KINDS[spec.kind]
        if self._own is not None:
            own = self._own
            operation = Operation(name, kind, at_start, own.resource, scope, own.limits, own.on_end)
            start = _quick_starter(self, spec, operation, own.sampler, own.ids)
        else:
            provider = self._provider or trace.get_tracer_provider()
            tracer = provider.get_tracer(scope.name, scope.version, scope.schema_url)
            if takes_all(tracer, len(attributes), limits):
                start = _quick_starter(
                    self,
                    spec,
                    LazyOperation(tracer, name, kind, at_start, scope),
                    tracer.sampler,
                    tracer.id_generator,
                    tracer.span_processor.on_start,
                )
            else:
                start = _given_starter(self, spec, tracer, kind, at_start)
        known = {each.name for each in attributes if each.at_start}
        stop = _ender(
            self, spec, spec.stop, at_start, Extractor(spec.stop, attributes, limits, known)
        )
        exception = _ender(
            self,
            spec,
            spec.exception,
            at_start,
            Extractor(spec.exception, attributes, limits, known),
        )
        for event, handler in ((spec.start, start), (spec.stop, stop), (spec.exception, exception)):
            handler_id = (self._handler_id, event.name)
            self._telemetry.attach(handler_id, event.name, handler, on_failure="keep")
            self._attached.append(handler_id)

    # -- The table --------------------------------------------------------------------------------

    def _make_room(self, key: tuple[str, Hashable]) -> None:
        table = self._table
        with self._lock:
            # The same key again: its first span's end would be taken for this one's.
            gone = table.pop(key, None) or table.pop(next(iter(table), key), None)
        if gone is not None:
            self._orphan(gone)

    def _orphan(self, opened: CoveringSpan) -> None:
        self.counts["orphan"] += 1
        opened.left_behind = True
        if opened.is_recording():
            opened.set_attribute(ORPHAN, True)
        opened.end(now()[1])


def _quick_starter(
    bridge: SpanBridge,
    spec: SpanSpec,
    operation: Operation | LazyOperation,
    sampler: Sampler,
    ids: IdGenerator,
    on_start: Callable[..., None] | None = None,
) -> Handler:
    """What starts spans that are a few numbers at first.

    One function, since it runs with every operation and calls cost as much as what they do.

    Args:
        bridge: Whose table they are in.
        spec: What they are made of.
        operation: What they have in common.
        sampler: Asked for each span, as the SDK does.
        ids: Where trace and span ids come from.
        on_start: A processor's, if there is one.
    """
    name, counts, make_room = spec.name, bridge.counts, bridge._make_room
    table, size = bridge._table, bridge._open_limits.size
    current_context, put_context = CURRENT_CONTEXT.get, CURRENT_CONTEXT.set
    open_span, take = operation.open, operation.at_start.take
    new_trace_id, new_span_id = ids.generate_trace_id, ids.generate_span_id
    # What the SDK's own generator does, without the calls in between.
    usual = type(ids) is RandomIdGenerator
    trace_id_bits, span_id_bits = (128, 64) if usual else (0, 0)
    # What the default sampler says is known without asking it: whatever its parent has, else yes.
    asked = sampler is not DEFAULT_ON
    # Nobody has to see the attributes before the end, where they are taken all at once.
    eager = asked or operation.at_start.measured
    drop, sampled = Decision.DROP, Decision.RECORD_AND_SAMPLE

    def start(
        _event: str, measurements: Mapping[str, Any], metadata: Mapping[str, Any], _config: Any
    ) -> None:
        try:
            key = (name, metadata[SPAN_CONTEXT])
            start_time = measurements.get("system_time")
            if type(start_time) is not int or start_time >> 63:  # OTLP has signed 64-bit integers
                start_time = now()[1]
            previous = current_context()
            attributes: Attributes | None = None
            if eager:
                attributes = {}
                take(attributes, measurements, metadata)
            covered = previous.get(CURRENT_SPAN)
            parent: QuickSpan | SpanContext | None = None
            state: TraceState | None
            if (type(covered) is OwnSpan or type(covered) is LazySpan) and not covered.left_behind:
                # Read off the span: its context need not even exist.
                parent = covered
                trace_id, bits, state = covered.trace_id, covered.bits, covered.state
            else:
                given = INVALID_SPAN_CONTEXT
                if covered is not None:
                    given = get_current_span(previous).get_span_context()
                # One look, no properties: a span context is a tuple, by its declaration.
                trace_id, _, _, bits, state, valid = given
                if valid:
                    parent = given
                else:
                    trace_id = getrandbits(trace_id_bits) or new_trace_id()
                    bits = KNOWN_FLAGS if usual or ids.is_trace_id_random() else SAMPLED
                    state = None
            recording = bits & SAMPLED != 0
            if asked:
                result = sampler.should_sample(
                    previous, trace_id, operation.name, operation.kind, attributes, ()
                )
                recording, state = result.decision is not drop, result.trace_state
                bits = bits & RANDOM | (SAMPLED if result.decision is sampled else 0)
                attributes = dict(result.attributes or ())
            span_id = getrandbits(span_id_bits) or new_span_id()
            span: CoveringSpan
            if recording:
                span = open_span(
                    trace_id, span_id, bits, state, parent, attributes, start_time, metadata
                )
                if on_start is not None:
                    on_start(span, parent_context=previous)
            else:
                flags = TraceFlags(bits & KNOWN_FLAGS)
                context = SpanContext(trace_id, span_id, False, flags, state)
                span = GivenSpan(NonRecordingSpan(context), {}, start_time, metadata)
            span.previous = previous
            # What `set_span_in_context` does, without three calls; mostly there is nothing else.
            if len(previous) == (covered is not None):
                current = Context({CURRENT_SPAN: span})
            else:
                current = Context({**previous, CURRENT_SPAN: span})
            span.current = current
            if key in table or len(table) >= size:
                make_room(key)
            table[key] = span
            span.token = put_context(current)
        except Exception:  # noqa: BLE001 - the emitter must not notice, whatever it emitted
            counts["unreadable"] += 1

    return start


def _given_starter(
    bridge: SpanBridge,
    spec: SpanSpec,
    tracer: trace.Tracer,
    kind: SpanKind,
    at_start: Extractor,
) -> Handler:
    """What starts spans of whatever tracer the application has."""
    take, start_span, counts, table = at_start.take, tracer.start_span, bridge.counts, bridge._table
    name, size = spec.span_name or spec.name, bridge._open_limits.size

    def start(
        _event: str, measurements: Mapping[str, Any], metadata: Mapping[str, Any], _config: Any
    ) -> None:
        try:
            key = (spec.name, metadata[SPAN_CONTEXT])
            start_time = measurements.get("system_time")
            if type(start_time) is not int or start_time >> 63:  # as above
                start_time = now()[1]
            previous = CURRENT_CONTEXT.get()
            attributes: Attributes = {}
            take(attributes, measurements, metadata)
            inner = start_span(name, previous, kind, attributes, (), start_time)
            span = GivenSpan(inner, attributes, start_time, metadata)
            span.previous = previous
            span.current = set_span_in_context(span, previous)
            if key in table or len(table) >= size:
                bridge._make_room(key)
            table[key] = span
            span.token = CURRENT_CONTEXT.set(span.current)
        except Exception:  # noqa: BLE001 - the emitter must not notice, whatever it emitted
            counts["unreadable"] += 1

    return start


def _ender(
    bridge: SpanBridge, spec: SpanSpec, event: EventSpec, at_start: Extractor, at_end: Extractor
) -> Handler:
    name, counts, pop = spec.name, bridge.counts, bridge._table.pop
    take, take_all = at_end.take, quick(at_start, at_end)
    current_context, put_context = CURRENT_CONTEXT.get, CURRENT_CONTEXT.set
    reset = CURRENT_CONTEXT.reset
    failed = event is spec.exception
    results = tuple(
        (use.key, use.field.sensitive)
        for use in event.metadata
        if use.field.type == ("exception" if failed else "result")
    )
    recorded = failed and bridge._record_exceptions
    log = bridge._logs.emitter(event.name) if failed and bridge._logs is not None else None

    def end(
        _event: str, measurements: Mapping[str, Any], metadata: Mapping[str, Any], _config: Any
    ) -> None:
        try:
            span = pop((name, metadata[SPAN_CONTEXT]), None)
            if span is None:
                counts["unmatched"] += 1
                if log is not None:
                    log(measurements, metadata)
                return
            if log is not None:
                log(measurements, metadata, span.current)
            if current_context() is span.current:
                try:
                    reset(span.token)
                except ValueError:
                    # A copy of the context in which it started: here it is over, there it is not.
                    put_context(span.previous)
                    span.left_behind = True
            else:
                span.left_behind = True
        except Exception:  # noqa: BLE001 - the emitter must not notice, whatever it emitted
            counts["unreadable"] += 1
            return
        attributes: Attributes = {}
        try:
            if span.untouched:
                attributes = take_all(measurements, metadata)
            if attributes or span.is_recording():
                if not attributes:
                    attributes = {}
                    span.collect(attributes, at_start, metadata)
                    take(attributes, measurements, metadata)
                for key, sensitive in results:
                    outcome = metadata.get(key)
                    if type(outcome) is not Ok:
                        error = error_type(outcome, sensitive=sensitive)
                        if error is not None:
                            attributes = {**attributes, ERROR_TYPE: error}
                            span.set_status(_status(outcome, error, sensitive=sensitive))
                            if recorded and not sensitive and isinstance(outcome, BaseException):
                                span.record_exception(outcome, escaped=True)
        except Exception:  # noqa: BLE001 - as above; the span is ended all the same
            counts["unreadable"] += 1
        try:
            duration = measurements["duration"]
            known = type(duration) is int and not duration >> 62
        except Exception:  # noqa: BLE001 - as above
            known = False
        # The start's wall clock and the operation's own duration: no adjusted clock comes between.
        span.finish(attributes, span.start_time + duration if known else now()[1])

    return end


def _status(outcome: object, error: str, *, sensitive: bool) -> Status:
    if sensitive:
        return Status(StatusCode.ERROR, error)
    reason = outcome.reason if isinstance(outcome, Error) else outcome
    if isinstance(reason, BaseException):
        message = message_of(reason)
        text = f"{error}: {message}" if message else error
    else:
        text = reason if isinstance(reason, str) else rendered(plain(reason, _DESCRIPTION))
    return Status(StatusCode.ERROR, encodable(text)[:1024])


_alive: Final[weakref.WeakSet[SpanBridge]] = weakref.WeakSet()


def _forget_after_fork(bridge: SpanBridge) -> None:
    _alive.add(bridge)


def _in_child() -> None:  # pragma: no cover - in the child of a fork, where nothing is measured
    # The operations under way are the parent's; it will end them.
    for bridge in _alive:
        bridge._lock = threading.Lock()
        bridge._table.clear()


if hasattr(os, "register_at_fork"):  # pragma: no branch - absent on Windows only
    os.register_at_fork(after_in_child=_in_child)
