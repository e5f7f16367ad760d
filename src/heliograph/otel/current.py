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

from typing import TYPE_CHECKING, Any

from opentelemetry import trace
from opentelemetry.attributes import BoundedAttributes
from opentelemetry.sdk.trace import Event as SpanEvent
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.util import BoundedList
from opentelemetry.trace import Link, Status, StatusCode

from heliograph.catalog.exported import EXCEPTION_MESSAGE, EXCEPTION_STACKTRACE, EXCEPTION_TYPE
from heliograph.otel.exceptions import class_name, message_of, stacktrace_of
from heliograph.spans import now

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextvars import Token

    from opentelemetry.context import Context
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import SpanLimits
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope
    from opentelemetry.trace import SpanContext, SpanKind

    from heliograph.otel.attributes import Attributes

__all__ = ["CoveringSpan", "GivenSpan", "OwnSpan", "Settings"]


class CoveringSpan(trace.Span):
    """A span that knows which context it covers."""

    left_behind: bool
    """Whether it ended elsewhere, so that some context still has it."""
    start_time: int
    """Nanoseconds since the epoch."""
    metadata: Mapping[str, Any]
    """What its start event carried."""
    current: Context
    """The context in which it is the current span."""
    previous: Context
    """The context before that."""
    mark: Token[None]
    """Made where it started."""

    def finish(self, attributes: Attributes, end_time: int) -> None:
        """Add attributes that are known to be well-formed, and end."""
        raise NotImplementedError

    def _covered(self) -> SpanContext:
        return trace.get_current_span(self.previous).get_span_context()


class Settings:
    """What all spans of one scope have in common."""

    __slots__ = ("limits", "most", "on_end", "resource", "scope")

    def __init__(
        self,
        resource: Resource,
        scope: InstrumentationScope,
        limits: SpanLimits,
        on_end: Callable[[ReadableSpan], None],
    ) -> None:
        self.resource = resource
        self.scope = scope
        self.limits = limits
        self.most = limits.max_span_attributes
        self.on_end = on_end


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
        "_kind",
        "_links",
        "_name",
        "_parent",
        "_settings",
        "_status",
        "current",
        "left_behind",
        "mark",
        "metadata",
        "previous",
        "start_time",
    )

    def __init__(
        self,
        settings: Settings,
        name: str,
        context: SpanContext,
        parent: SpanContext | None,
        kind: SpanKind,
        attributes: Attributes,
        start_time: int,
    ) -> None:
        self._settings = settings
        self._name = name
        self._context = context
        self._parent = parent
        self._kind = kind
        self._attributes: Any = attributes
        self._events: BoundedList[SpanEvent] | None = None
        self._links: BoundedList[Link] | None = None
        self._status: Status | None = None
        self._ended = False
        self.start_time = start_time
        self.left_behind = False

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
        limits = self._settings.limits
        self._attributes = bounded = BoundedAttributes(
            limits.max_span_attributes,
            present,
            immutable=False,
            max_value_len=limits.max_span_attribute_length,
        )
        return bounded

    def finish(self, attributes: Attributes, end_time: int) -> None:
        """Add attributes that are known to be well-formed, and end."""
        present = self._attributes
        if type(present) is dict:
            present.update(attributes)
        else:
            self.set_attributes(attributes)
        self.end(end_time)

    def add_event(
        self, name: str, attributes: Mapping[str, Any] | None = None, timestamp: int | None = None
    ) -> None:
        """Add a span event."""
        if self._ended:
            return
        limits = self._settings.limits
        if self._events is None:
            self._events = BoundedList(limits.max_events)
        bounded = BoundedAttributes(
            limits.max_event_attributes, attributes, max_value_len=limits.max_attribute_length
        )
        self._events.append(SpanEvent(name=name, attributes=bounded, timestamp=timestamp))

    def add_link(self, context: SpanContext, attributes: Mapping[str, Any] | None = None) -> None:
        """Link to another span."""
        if self._ended:
            return
        limits = self._settings.limits
        if self._links is None:
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
        if self._ended or (self._status is not None and self._status.status_code is StatusCode.OK):
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
        settings = self._settings
        if settings.most is not None and len(self._attributes) > settings.most:
            self._bounded()
        settings.on_end(
            ReadableSpan(
                self._name,
                self._context,
                self._parent,
                settings.resource,
                self._attributes,
                self._events or (),
                self._links or (),
                self._kind,
                None,
                self._status or _UNSET,
                self.start_time,
                now()[1] if end_time is None else end_time,
                settings.scope,
            )
        )


_UNSET = Status()


class GivenSpan(CoveringSpan):
    """A span of the application's own tracer provider, which does all the work."""

    __slots__ = ("current", "inner", "left_behind", "mark", "metadata", "previous", "start_time")

    def __init__(self, inner: trace.Span, start_time: int) -> None:
        self.inner = inner
        self.start_time = start_time
        self.left_behind = False

    def __getattr__(self, name: str) -> Any:
        # What the SDK's spans have beyond the API: `attributes`, `name`, `parent` and the like.
        return getattr(self.inner, name)

    def get_span_context(self) -> SpanContext:
        """The inner span's context, or that of the covered span once it has been left behind."""
        return self._covered() if self.left_behind else self.inner.get_span_context()

    def is_recording(self) -> bool:
        """Whether the inner span records."""
        return self.inner.is_recording()

    def finish(self, attributes: Attributes, end_time: int) -> None:
        """Add attributes to the inner span, and end it."""
        if attributes:
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
