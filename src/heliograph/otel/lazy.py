# SPDX-License-Identifier: Apache-2.0
"""Spans of the SDK's own tracers that cost little as long as nobody touches them.

A span of the SDK takes a lock for each thing it is told, and cleans every value; what a catalogued
operation tells is known to be clean, and told once. So an operation's span is a few numbers at
first. At its end the tracer's processors get what they get of any span, a `ReadableSpan`. Whoever
touches it meanwhile (application code that sets an attribute, a processor that looks at what
starts) makes it a real span of the SDK with the same ids, and from then on that does all the work.

Everything that decides is the tracer's: its sampler, its ids, its resource, its processors. Its
limits are in no public place, so a trial tells whether they would cut anything of a catalog's;
where they would, and where the tracer is not the SDK's, spans are real from the start.

A copy of a tracer is a tracer; that is how a trial, and a real span with given ids, can be had.
"""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from copy import copy
from typing import TYPE_CHECKING, Any, Final, TypeGuard

from opentelemetry.context import Context
from opentelemetry.sdk.environment_variables import OTEL_PYTHON_SDK_INTERNAL_METRICS_ENABLED
from opentelemetry.sdk.trace import (
    ReadableSpan,
    SpanProcessor,
    SynchronousMultiSpanProcessor,
    Tracer,
)
from opentelemetry.sdk.trace.id_generator import IdGenerator, RandomIdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, Decision, Sampler, SamplingResult
from opentelemetry.trace import NonRecordingSpan, Status, set_span_in_context

from heliograph.otel.current import RANDOM, SAMPLED, QuickSpan, keep_cut
from heliograph.spans import EMPTY, now

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry import trace
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope
    from opentelemetry.trace import SpanContext, SpanKind, StatusCode, TraceState

    from heliograph.otel.attributes import AttributeLimits, Attributes, Extractor

__all__ = ["LazyOperation", "LazySpan", "takes_all"]

_UNSET: Final = Status()


class _Making:
    """Lets one thread at a time make a span real."""

    def __init__(self) -> None:
        # Re-entrant: a finaliser may touch a span in the middle of another's making.
        self.lock = threading.RLock()


_making: Final = _Making()


def takes_all(tracer: trace.Tracer, count: int, limits: AttributeLimits) -> TypeGuard[Tracer]:
    """Whether a tracer is one of the SDK's whose limits leave alone what a catalog's spans have.

    Args:
        tracer: Any.
        count: How many attributes a span has at most.
        limits: How long their values are at most.
    """
    if type(tracer) is not Tracer:
        return False
    if os.environ.get(OTEL_PYTHON_SDK_INTERNAL_METRICS_ENABLED, "").strip().lower() == "true":
        return False  # the SDK counts its spans; it can't count those that are none
    trial = copy(tracer)
    trial.sampler, trial.id_generator = ALWAYS_ON, RandomIdGenerator()
    trial.span_processor = _no_processor()
    longest = "x" * limits.text
    given = {f"attribute.{number}": longest for number in range(count)}
    span = trial.start_span("trial", Context(), attributes=given)
    taken = isinstance(span, ReadableSpan) and dict(span.attributes or {}) == given
    span.end()
    return taken


class LazyOperation:
    """What all spans of one kind have in common.

    Args:
        tracer: The SDK's.
        name: The spans' name.
        kind: Their kind.
        at_start: What takes attributes from their start event.
        scope: Their catalog.
    """

    __slots__ = ("at_start", "kind", "name", "scope", "tracer")
    at_start: Extractor
    kind: SpanKind
    name: str
    scope: InstrumentationScope
    tracer: Tracer

    def __init__(
        self,
        tracer: Tracer,
        name: str,
        kind: SpanKind,
        at_start: Extractor,
        scope: InstrumentationScope,
    ) -> None:
        self.tracer = tracer
        self.name = name
        self.kind = kind
        self.at_start = at_start
        self.scope = scope

    def open(
        self,
        trace_id: int,
        span_id: int,
        bits: int,
        state: TraceState | None,
        parent: QuickSpan | SpanContext | None,
        attributes: Attributes | None,
        start_time: int,
        metadata: Mapping[str, Any],
    ) -> LazySpan:
        """Start a span; the arguments are those of `heliograph.otel.own.Operation.open`."""
        span = LazySpan()
        span._operation = self
        span.trace_id = trace_id
        span.span_id = span_id
        span.bits = bits
        span.state = state
        span.under = parent
        span.metadata = metadata
        span._attributes = attributes
        span._status = _UNSET
        span._context = span._real = None
        span._ended = span.left_behind = False
        span.untouched = attributes is None
        span.start_time = start_time
        return span


class LazySpan(QuickSpan):
    """A recording span of one of the SDK's tracers, real as soon as somebody touches it."""

    __slots__ = ("_attributes", "_ended", "_operation", "_real", "_status")
    # No __init__: `LazyOperation.open` fills the slots, which is faster than a constructor.
    _operation: LazyOperation
    _attributes: Attributes | None
    _status: Status
    _real: trace.Span | None
    _ended: bool

    def __getattr__(self, name: str) -> Any:
        # What the SDK's spans have beyond the API: `attributes`, `name`, `resource` and the like.
        return getattr(self.real(), name)

    @property
    def kind(self) -> SpanKind:
        """Its kind; what is said of spans most often does not make them real."""
        return self._operation.kind

    @property
    def resource(self) -> Resource:
        """The process, as its tracer knows it."""
        return self._operation.tracer.resource

    @property
    def instrumentation_scope(self) -> InstrumentationScope:
        """Its catalog."""
        return self._operation.scope

    def real(self) -> trace.Span:
        """The span of the SDK that this one stands for."""
        if self._real is None:
            with _making.lock:
                if self._real is None:
                    self._real = self._make()
        return self._real

    def _make(self) -> trace.Span:
        operation, parent = self._operation, self.parent
        tracer = copy(operation.tracer)
        tracer.sampler = _Decided(self.bits, self.state)
        tracer.id_generator = _Known(self.trace_id, self.span_id, self.bits)
        tracer.span_processor = _no_processor()
        tracer.span_processor.add_span_processor(_Ends(operation.tracer.span_processor))
        context = Context()
        if parent is not None:
            context = set_span_in_context(NonRecordingSpan(parent), context)
        real = tracer.start_span(
            operation.name,
            context,
            operation.kind,
            self._at_start() if self._attributes is None else self._attributes,
            (),
            self.start_time,
        )
        real.set_status(self._status)
        return real

    def _at_start(self) -> Attributes:
        self.untouched = False
        found: Attributes = {}
        # Whose mapping is hostile is not told in the middle of the application's own code.
        with suppress(Exception):
            self._operation.at_start.take(found, EMPTY, self.metadata)
        self._attributes = found
        return found

    def collect(self, found: Attributes, at_start: Extractor, metadata: Mapping[str, Any]) -> None:
        """Add the attributes of the start event that are not among the span's own already."""
        if self._attributes is not None:
            super().collect(found, at_start, metadata)
            return
        try:
            at_start.take_latest(found, metadata, self.metadata)
        except BaseException:
            self._at_start()
            raise

    def finish(self, attributes: Attributes, end_time: int) -> None:
        """Add attributes that are known to be well-formed, and end."""
        if not self._ended:
            present = self._attributes
            if present is None:
                self._attributes = attributes
            else:
                keep_cut(present, attributes)
                if self._real is not None:
                    self._real.set_attributes(attributes)
                else:
                    present.update(attributes)
            self.end(end_time)
        if not self.left_behind:
            self._release()

    def end(self, end_time: int | None = None) -> None:
        """End the span, and hand it to the tracer's processors; a second end changes nothing."""
        if self._real is not None:
            self._ended = True
            self._real.end(end_time)
            return
        if self._ended:
            return
        self._ended = True
        operation = self._operation
        tracer = operation.tracer
        tracer.span_processor.on_end(
            ReadableSpan(
                operation.name,
                self.own_context(),
                self.parent,
                tracer.resource,
                self._at_start() if self._attributes is None else self._attributes,
                (),
                (),
                operation.kind,
                tracer.instrumentation_info,
                self._status,
                self.start_time,
                now()[1] if end_time is None else end_time,
                operation.scope,
            )
        )

    def is_recording(self) -> bool:
        """Whether it has not ended."""
        return not self._ended

    def set_status(self, status: Status | StatusCode, description: str | None = None) -> None:
        """Set the status."""
        if self._real is None and isinstance(status, Status) and self._status is _UNSET:
            self._status = status  # said once, as a failed operation does
        else:
            self.real().set_status(status, description)

    def set_attribute(self, key: str, value: Any) -> None:
        """Set an attribute of the real span."""
        self.real().set_attribute(key, value)

    def set_attributes(self, attributes: Mapping[str, Any]) -> None:
        """Set attributes of the real span."""
        self.real().set_attributes(attributes)

    def add_event(
        self, name: str, attributes: Mapping[str, Any] | None = None, timestamp: int | None = None
    ) -> None:
        """Add an event to the real span."""
        self.real().add_event(name, attributes, timestamp)

    def add_link(self, context: SpanContext, attributes: Mapping[str, Any] | None = None) -> None:
        """Add a link to the real span."""
        self.real().add_link(context, attributes)

    def update_name(self, name: str) -> None:
        """Rename the real span."""
        self.real().update_name(name)

    def record_exception(
        self,
        exception: BaseException,
        attributes: Mapping[str, Any] | None = None,
        timestamp: int | None = None,
        escaped: bool = False,
    ) -> None:
        """Record an exception on the real span."""
        self.real().record_exception(exception, attributes, timestamp, escaped)


class _Decided(Sampler):
    """Says again what the tracer's own sampler has said."""

    def __init__(self, bits: int, state: TraceState | None) -> None:
        self._decision = Decision.RECORD_AND_SAMPLE if bits & SAMPLED else Decision.RECORD_ONLY
        self._state = state

    def should_sample(
        self,
        parent_context: Context | None,  # noqa: ARG002 - as above, and so for those below
        trace_id: int,  # noqa: ARG002
        name: str,  # noqa: ARG002
        kind: SpanKind | None = None,  # noqa: ARG002
        attributes: Any = None,
        links: Any = None,  # noqa: ARG002
        trace_state: TraceState | None = None,  # noqa: ARG002
    ) -> SamplingResult:
        return SamplingResult(self._decision, attributes, self._state)

    def get_description(self) -> str:
        return "what was decided"


class _Known(IdGenerator):
    """Gives the ids that a span has already."""

    def __init__(self, trace_id: int, span_id: int, bits: int) -> None:
        self._trace_id, self._span_id, self._bits = trace_id, span_id, bits

    def generate_span_id(self) -> int:
        return self._span_id

    def generate_trace_id(self) -> int:
        return self._trace_id

    def is_trace_id_random(self) -> bool:
        return bool(self._bits & RANDOM)


def _no_processor() -> SynchronousMultiSpanProcessor:
    return SynchronousMultiSpanProcessor()  # type: ignore[no-untyped-call]  # the SDK's


class _Ends(SpanProcessor):
    """Hands the end on; of the start the processors have heard before."""

    def __init__(self, processor: SpanProcessor) -> None:
        self._processor = processor

    def on_end(self, span: ReadableSpan) -> None:
        self._processor.on_end(span)


def _in_child() -> None:  # pragma: no cover - in the child of a fork, where nothing is measured
    _making.lock = threading.RLock()


if hasattr(os, "register_at_fork"):  # pragma: no branch - absent on Windows only
    os.register_at_fork(after_in_child=_in_child)
