# SPDX-License-Identifier: Apache-2.0
"""The spans of our own pipeline: recording, without the SDK's processors and locks.

What an operation's start and end cost is what the operation pays, so they do little: two ids, a few
slots, one dictionary. What the SDK's exporters ask a span for is made when they ask, which is in
the exporting thread, and of the span itself: no second object is made of it.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.attributes import BoundedAttributes
from opentelemetry.sdk.trace import Event as SpanEvent
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.util import BoundedList
from opentelemetry.trace import Link, Status, StatusCode

from heliograph.catalog.exported import EXCEPTION_MESSAGE, EXCEPTION_STACKTRACE, EXCEPTION_TYPE
from heliograph.otel.current import SAMPLED, QuickSpan, keep_cut
from heliograph.otel.exceptions import class_name, message_of, stacktrace_of
from heliograph.spans import EMPTY, now

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import SpanLimits
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope
    from opentelemetry.trace import SpanContext, SpanKind, TraceState

    from heliograph.otel.attributes import Attributes, Extractor

__all__ = ["Operation", "OwnSpan", "readable"]

_UNSET: Final = Status()


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
    on_end: Callable[[OwnSpan], None]
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
        on_end: Callable[[OwnSpan], None],
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
        trace_id: int,
        span_id: int,
        bits: int,
        state: TraceState | None,
        parent: QuickSpan | SpanContext | None,
        attributes: Attributes | None,
        start_time: int,
        metadata: Mapping[str, Any],
    ) -> OwnSpan:
        """Start a span.

        Args:
            trace_id: The trace's id.
            span_id: Its own.
            bits: The trace flags that are set.
            state: The trace's state.
            parent: Its parent, if it has one.
            attributes: Those at the start; None if they can wait until they are wanted.
            start_time: Nanoseconds since the epoch.
            metadata: What its start event carried.
        """
        span = OwnSpan()
        span._operation = self
        span._name = self.name
        span.trace_id = trace_id
        span.span_id = span_id
        span.bits = bits
        span.state = state
        span.under = parent
        span.metadata = metadata
        span._attributes = attributes
        span._events = span._links = ()
        span._status = _UNSET
        span._context = None
        span._ended = span.left_behind = False
        span.untouched = attributes is None
        span.start_time = start_time
        return span


class OwnSpan(QuickSpan):
    """A recording span of our own pipeline.

    What application code does to the current span (`set_attribute`, `add_event`,
    `record_exception`, `set_status`, `update_name`, `add_link`, `end`) is kept and exported, within
    the span limits.
    """

    __slots__ = (
        "_attributes",
        "_end_time",
        "_ended",
        "_events",
        "_links",
        "_name",
        "_operation",
        "_status",
    )
    # No __init__: `Operation.open` fills the slots, which is faster than a constructor.
    _operation: Operation
    _name: str
    _attributes: Attributes | BoundedAttributes | None
    _events: BoundedList[SpanEvent] | tuple[()]
    _links: BoundedList[Link] | tuple[()]
    _status: Status
    _ended: bool
    _end_time: int

    # No __getattr__ for what follows either: a class that has one is slower in all it does.

    @property
    def name(self) -> str:
        """Its name; this and what follows is what the SDK's exporters read."""
        return self._name

    @property
    def kind(self) -> SpanKind:
        """Its kind."""
        return self._operation.kind

    @property
    def end_time(self) -> int | None:
        """When it ended, in nanoseconds since the epoch; None if it has not."""
        return self._end_time if self._ended else None

    @property
    def attributes(self) -> Mapping[str, Any]:
        """Its attributes, those of its start event included."""
        if self._attributes is None:
            self._attributes = self._at_start()
        return MappingProxyType(self._attributes)

    @property
    def events(self) -> tuple[SpanEvent, ...]:
        """What happened meanwhile."""
        return tuple(self._events)

    @property
    def links(self) -> tuple[Link, ...]:
        """Other spans that it is linked to."""
        return tuple(self._links)

    @property
    def status(self) -> Status:
        """How the operation went."""
        return self._status

    @property
    def resource(self) -> Resource:
        """The process."""
        return self._operation.resource

    @property
    def instrumentation_scope(self) -> InstrumentationScope:
        """Its catalog."""
        return self._operation.scope

    @property
    def dropped_attributes(self) -> int:
        """How many attributes were too many."""
        present = self._attributes
        return present.dropped if isinstance(present, BoundedAttributes) else 0

    @property
    def dropped_events(self) -> int:
        """How many events were too many."""
        return self._events.dropped if isinstance(self._events, BoundedList) else 0

    @property
    def dropped_links(self) -> int:
        """How many links were too many."""
        return self._links.dropped if isinstance(self._links, BoundedList) else 0

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
        self.untouched = False
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
        if not self._ended:
            present = self._attributes
            if present is None:
                self._attributes = attributes
            else:
                keep_cut(present, attributes)
                if isinstance(present, BoundedAttributes):
                    self.set_attributes(attributes)
                else:
                    present.update(attributes)
            # What `_hand_on` does, without the call: so end all spans but those that were ended by
            # hand.
            self._ended = True
            self._end_time = end_time
            operation = self._operation
            if len(attributes) > operation.most or present is not None:
                self._limit()
            if self.bits & SAMPLED:
                operation.on_end(self)
        if not self.left_behind:
            self._release()

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
        if not self._ended:
            if self._attributes is None:
                self._attributes = self._at_start()
            self._hand_on(now()[1] if end_time is None else end_time)

    def _hand_on(self, end_time: int) -> None:
        self._ended = True
        self._end_time = end_time
        self._limit()
        if self.bits & SAMPLED:
            self._operation.on_end(self)

    def _limit(self) -> None:
        """Let the SDK's own class drop attributes beyond the limit, the oldest first."""
        if len(self._attributes or ()) > self._operation.most:
            self._bounded()

    def readable(self) -> ReadableSpan:
        """The span as an object of the SDK's, by itself."""
        operation = self._operation
        return ReadableSpan(
            self._name,
            self.own_context(),
            self.parent,
            operation.resource,
            self._attributes,
            self._events,
            self._links,
            operation.kind,
            None,
            self._status,
            self.start_time,
            self.end_time,
            operation.scope,
        )


def readable(batch: Sequence[OwnSpan]) -> list[OwnSpan | ReadableSpan]:
    """Finished spans as the SDK's exporters read them.

    That is they themselves, but for those that still are the current span somewhere, or may come to
    be left behind there, and then say of themselves what is true of the span they cover.
    """
    return [span if span.metadata is EMPTY else span.readable() for span in batch]
