# SPDX-License-Identifier: Apache-2.0
"""The spans that are current while an operation runs.

OpenTelemetry finds the current span in a context variable. Whoever starts a span in one context and
ends it in another (a generator that is closed by somebody else, a callback on another thread)
leaves it behind as the current one of the first context, for ever: its token can't be given back
there, and what starts there later would become its child. A span of ours that was left behind
therefore answers, when asked for its context, with that of the span it had covered: parents stay
right, and no token is ever detached.
"""

from __future__ import annotations

import sys
from abc import abstractmethod
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import trace
from opentelemetry.attributes import BoundedAttributes
from opentelemetry.sdk.trace import Event as SpanEvent
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.util import BoundedList
from opentelemetry.trace import Link, Status, StatusCode

from heliograph.catalog.exported import (
    EXCEPTION_MESSAGE,
    EXCEPTION_STACKTRACE,
    EXCEPTION_TYPE,
    TRUNCATED,
)
from heliograph.otel.exceptions import class_name, message_of, stacktrace_of
from heliograph.spans import EMPTY, now

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextvars import Token

    from opentelemetry.context import Context
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import SpanLimits
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope
    from opentelemetry.trace import SpanContext, SpanKind

    from heliograph.otel.attributes import Attributes, Extractor

__all__ = ["CoveringSpan", "GivenSpan", "Operation", "OwnSpan"]


class CoveringSpan(trace.Span):
    """A span that knows which context it covers.

    Attributes:
        start_time: Nanoseconds since the epoch.
        metadata: What its start event carried.
        previous: The context that it covers.
        current: The context in which it is the current span.
        token: What putting that context into place returned.
        left_behind: Whether it ended elsewhere, so that some context still has it.
    """

    start_time: int
    metadata: Mapping[str, Any]
    previous: Context
    current: Context
    token: Token[Context]
    left_behind: bool

    def collect(self, found: Attributes, at_start: Extractor, metadata: Mapping[str, Any]) -> None:
        """Add the attributes of the start event that are not exported already.

        Args:
            found: Where to.
            at_start: What takes them.
            metadata: What the event at the end carried, which may say otherwise.
        """
        if metadata is not self.metadata:
            at_start.retake(found, metadata, self.metadata)

    @abstractmethod
    def finish(self, attributes: Attributes, end_time: int) -> None:
        """Add attributes that are known to be well-formed, and end."""

    def _covered(self) -> SpanContext:
        return trace.get_current_span(self.previous).get_span_context()


class Operation:
    """What all spans of one kind have in common.

    Args:
        name: The spans' name.
        kind: Their kind.
        at_start: What takes attributes from their start event.
        resource: The process.
        scope: Their catalog.
        limits: The SDK's limits.
        on_end: Gets each one when it ends.
    """

    __slots__ = ("at_start", "kind", "limits", "most", "name", "on_end", "resource", "scope")
    at_start: Extractor
    kind: SpanKind
    limits: SpanLimits
    most: int
    name: str
    on_end: Callable[[ReadableSpan], None]
    resource: Resource
    scope: InstrumentationScope

    def __init__(
        self,
        name: str,
        kind: SpanKind,
        at_start: Extractor,
        resource: Resource,
        scope: InstrumentationScope,
        limits: SpanLimits,
        on_end: Callable[[ReadableSpan], None],
    ) -> None:
        self.name = name
        self.kind = kind
        self.at_start = at_start
        self.resource = resource
        self.scope = scope
        self.limits = limits
        self.most = (
            sys.maxsize if limits.max_span_attributes is None else limits.max_span_attributes
        )
        self.on_end = on_end

    def open(
        self,
        context: SpanContext,
        parent: SpanContext | None,
        attributes: Attributes | None,
        start_time: int,
    ) -> OwnSpan:
        """Start a span.

        Args:
            context: Its own.
            parent: Its parent's, if it has one.
            attributes: Those at the start; None if they can wait until they are wanted.
            start_time: Nanoseconds since the epoch.
        """
        span = OwnSpan()
        span._operation = self
        span._name = self.name
        span._context = context
        span._parent = parent
        span._attributes = attributes
        span._events = span._links = ()
        span._status = _UNSET
        span._ended = span.left_behind = False
        span.start_time = start_time
        return span


class OwnSpan(CoveringSpan):
    """A recording span of our own pipeline, without the SDK's processors and locks.

    What application code does to the current span (`set_attribute`, `add_event`,
    `record_exception`, `set_status`, `update_name`, `add_link`, `end`) is kept and exported, within
    the span limits.
    """

    __slots__ = (
        "_attributes",
        "_context",
        "_ended",
        "_events",
        "_links",
        "_name",
        "_operation",
        "_parent",
        "_status",
        "current",
        "left_behind",
        "metadata",
        "previous",
        "start_time",
        "token",
    )
    # No __init__: `Operation.open` fills the slots, which is faster than a constructor.
    _operation: Operation
    _name: str
    _context: SpanContext
    _parent: SpanContext | None
    _attributes: Attributes | BoundedAttributes | None
    _events: BoundedList[SpanEvent] | tuple[()]
    _links: BoundedList[Link] | tuple[()]
    _status: Status
    _ended: bool

    def get_span_context(self) -> SpanContext:
        """Its own context, or that of the covered span once it has been left behind."""
        return self._covered() if self.left_behind else self._context

    def is_recording(self) -> bool:
        """Whether it has not ended."""
        return not self._ended

    def set_attribute(self, key: str, value: Any) -> None:
        """Set an attribute; the oldest makes room when the span limits are reached."""
        if not self._ended:
            self._bounded()[key] = value

    def set_attributes(self, attributes: Mapping[str, Any]) -> None:
        """Set several attributes."""
        if not self._ended:
            bounded = self._bounded()
            for key, value in attributes.items():
                bounded[key] = value

    def _bounded(self) -> BoundedAttributes:
        """Let the SDK's own class judge what application code adds, of whatever kind and number."""
        present = self._attributes
        if isinstance(present, BoundedAttributes):
            return present
        limits = self._operation.limits
        self._attributes = bounded = BoundedAttributes(
            limits.max_span_attributes,
            self._at_start() if present is None else present,
            immutable=False,
            max_value_len=limits.max_span_attribute_length,
        )
        return bounded

    def _at_start(self) -> Attributes:
        """Take the attributes of the start event after all."""
        found: Attributes = {}
        # Whose mapping is hostile is not told in the middle of the application's own code.
        with suppress(Exception):
            self._operation.at_start.take(found, EMPTY, self.metadata)
        return found

    def collect(self, found: Attributes, at_start: Extractor, metadata: Mapping[str, Any]) -> None:
        """Add the attributes of the start event that are not among the span's own already."""
        if self._attributes is not None:
            super().collect(found, at_start, metadata)
            return
        try:
            at_start.take_latest(found, metadata, self.metadata)
        except BaseException:
            self._attributes = self._at_start()
            raise

    def finish(self, attributes: Attributes, end_time: int) -> None:
        """Add attributes that are known to be well-formed, and end."""
        present = self._attributes
        if present is None:
            self._attributes = attributes
        elif not self._ended:
            _keep_cut(present, attributes)
            if isinstance(present, BoundedAttributes):
                self.set_attributes(attributes)
            else:
                present.update(attributes)
        self.end(end_time)

    def add_event(
        self, name: str, attributes: Mapping[str, Any] | None = None, timestamp: int | None = None
    ) -> None:
        """Add a span event."""
        if self._ended:
            return
        limits = self._operation.limits
        if not isinstance(self._events, BoundedList):
            self._events = BoundedList(limits.max_events)
        bounded = BoundedAttributes(
            limits.max_event_attributes, attributes, max_value_len=limits.max_attribute_length
        )
        self._events.append(SpanEvent(name=name, attributes=bounded, timestamp=timestamp))

    def add_link(self, context: SpanContext, attributes: Mapping[str, Any] | None = None) -> None:
        """Link to another span."""
        if self._ended:
            return
        limits = self._operation.limits
        if not isinstance(self._links, BoundedList):
            self._links = BoundedList(limits.max_links)
        bounded = BoundedAttributes(
            limits.max_link_attributes, attributes, max_value_len=limits.max_attribute_length
        )
        self._links.append(Link(context, bounded))

    def update_name(self, name: str) -> None:
        """Rename the span."""
        if not self._ended:
            self._name = name

    def set_status(self, status: Status | StatusCode, description: str | None = None) -> None:
        """Set the status; `OK` is final, and `UNSET` changes nothing, as in the SDK."""
        if self._ended or self._status.status_code is StatusCode.OK:
            return
        if isinstance(status, StatusCode):
            status = Status(status, description)
        if status.status_code is not StatusCode.UNSET:
            self._status = status

    def record_exception(
        self,
        exception: BaseException,
        attributes: Mapping[str, Any] | None = None,
        timestamp: int | None = None,
        escaped: bool = False,
    ) -> None:
        """Add a span event of name `exception`."""
        recorded = {
            EXCEPTION_TYPE: class_name(exception),
            EXCEPTION_MESSAGE: message_of(exception),
            EXCEPTION_STACKTRACE: stacktrace_of(exception),
            "exception.escaped": str(escaped),
        }
        self.add_event("exception", {**recorded, **(attributes or {})}, timestamp)

    def end(self, end_time: int | None = None) -> None:
        """End the span and hand it on; a second end changes nothing."""
        if self._ended:
            return
        self._ended = True
        operation = self._operation
        attributes = self._attributes
        if attributes is None:
            self._attributes = attributes = self._at_start()
        if len(attributes) > operation.most:
            attributes = self._bounded()
        operation.on_end(
            ReadableSpan(
                self._name,
                self._context,
                self._parent,
                operation.resource,
                attributes,
                self._events,
                self._links,
                operation.kind,
                None,
                self._status,
                self.start_time,
                now()[1] if end_time is None else end_time,
                operation.scope,
            )
        )


_UNSET: Final = Status()


def _keep_cut(present: Mapping[str, Any], attributes: Attributes) -> None:
    """Let `heliograph.truncated` name what was cut at the start as well."""
    if TRUNCATED in attributes and TRUNCATED in present:
        attributes[TRUNCATED] = tuple(dict.fromkeys((*present[TRUNCATED], *attributes[TRUNCATED])))


class GivenSpan(CoveringSpan):
    """A span of the application's own tracer provider, which does all the work."""

    __slots__ = (
        "_context",
        "current",
        "inner",
        "left_behind",
        "metadata",
        "previous",
        "start_time",
        "started_with",
        "token",
    )
    start_time: int
    left_behind: bool
    inner: trace.Span
    started_with: Attributes
    _context: SpanContext

    def __init__(self, inner: trace.Span, attributes: Attributes, start_time: int) -> None:
        """Wrap a span.

        Args:
            inner: The provider's.
            attributes: What it was started with.
            start_time: Nanoseconds since the epoch.
        """
        self.inner = inner
        self._context = inner.get_span_context()
        self.started_with = attributes
        self.start_time = start_time
        self.left_behind = False

    def __getattr__(self, name: str) -> Any:
        # What the SDK's spans have beyond the API: `attributes`, `name`, `parent` and the like.
        return getattr(self.inner, name)

    def get_span_context(self) -> SpanContext:
        """The inner span's context, or that of the covered span once it has been left behind."""
        return self._covered() if self.left_behind else self._context

    def is_recording(self) -> bool:
        """Whether the inner span records."""
        return self.inner.is_recording()

    def finish(self, attributes: Attributes, end_time: int) -> None:
        """Add attributes to the inner span, and end it."""
        if attributes:
            _keep_cut(self.started_with, attributes)
            self.inner.set_attributes(attributes)
        self.inner.end(end_time)

    def set_attribute(self, key: str, value: Any) -> None:
        """Set an attribute of the inner span."""
        self.inner.set_attribute(key, value)

    def set_attributes(self, attributes: Mapping[str, Any]) -> None:
        """Set attributes of the inner span."""
        self.inner.set_attributes(attributes)

    def add_event(
        self, name: str, attributes: Mapping[str, Any] | None = None, timestamp: int | None = None
    ) -> None:
        """Add an event to the inner span."""
        self.inner.add_event(name, attributes, timestamp)

    def add_link(self, context: SpanContext, attributes: Mapping[str, Any] | None = None) -> None:
        """Add a link to the inner span."""
        self.inner.add_link(context, attributes)

    def update_name(self, name: str) -> None:
        """Rename the inner span."""
        self.inner.update_name(name)

    def set_status(self, status: Status | StatusCode, description: str | None = None) -> None:
        """Set the status of the inner span."""
        self.inner.set_status(status, description)

    def record_exception(
        self,
        exception: BaseException,
        attributes: Mapping[str, Any] | None = None,
        timestamp: int | None = None,
        escaped: bool = False,
    ) -> None:
        """Record an exception on the inner span."""
        self.inner.record_exception(exception, attributes, timestamp, escaped)

    def end(self, end_time: int | None = None) -> None:
        """End the inner span."""
        self.inner.end(end_time)
