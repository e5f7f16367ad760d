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

from abc import abstractmethod
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import trace
from opentelemetry.context import Context, attach, detach, get_current
from opentelemetry.trace import INVALID_SPAN, SpanContext, TraceFlags, set_span_in_context

from heliograph.catalog.exported import TRUNCATED
from heliograph.spans import EMPTY

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextvars import Token

    from opentelemetry.trace import Status, StatusCode, TraceState

    from heliograph.otel.attributes import Attributes, Extractor

__all__ = [
    "CURRENT_CONTEXT",
    "CURRENT_SPAN",
    "KNOWN_FLAGS",
    "RANDOM",
    "SAMPLED",
    "CoveringSpan",
    "GivenSpan",
    "QuickSpan",
    "keep_cut",
]

SAMPLED: Final = int(TraceFlags.SAMPLED)
RANDOM: Final = int(TraceFlags.RANDOM_TRACE_ID)
KNOWN_FLAGS: Final = SAMPLED | RANDOM
_FLAGS: Final = tuple(TraceFlags(bits) for bits in range(KNOWN_FLAGS + 1))
_NOWHERE: Final = Context()

_token = attach(get_current())
CURRENT_CONTEXT: Final = _token.var
"""The variable in which OpenTelemetry keeps the current context, as its own tokens tell."""
detach(_token)
del _token

CURRENT_SPAN: Final = next(iter(set_span_in_context(INVALID_SPAN, Context())))
"""The key under which a context has its span: looking there is five times as fast as asking."""


class CoveringSpan(trace.Span):
    """A span that knows which context it covers.

    Attributes:
        start_time: Nanoseconds since the epoch.
        metadata: What its start event carried.
        previous: The context that it covers.
        current: The context in which it is the current span.
        token: What putting that context into place returned.
        left_behind: Whether it ended elsewhere, so that some context still has it.
        untouched: Whether it is under way without any attributes yet, so that `finish` brings them
            all.
    """

    untouched: bool
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


class QuickSpan(CoveringSpan):
    """A span that is told by a few numbers until somebody wants to have more of it.

    Attributes:
        trace_id: The trace's id.
        span_id: Its own.
        bits: The trace flags that are set.
        state: The trace's state.
        under: Its parent, if it has one.
    """

    __slots__ = (
        "_context",
        "bits",
        "current",
        "left_behind",
        "metadata",
        "previous",
        "span_id",
        "start_time",
        "state",
        "token",
        "trace_id",
        "under",
        "untouched",
    )
    trace_id: int
    span_id: int
    bits: int
    state: TraceState | None
    under: QuickSpan | SpanContext | None
    metadata: Mapping[str, Any]
    previous: Context
    current: Context
    _context: SpanContext | None

    def get_span_context(self) -> SpanContext:
        """Its own context, or that of the covered span once it has been left behind."""
        return self._covered() if self.left_behind else self.own_context()

    def own_context(self) -> SpanContext:
        """Its own context, wherever it is current."""
        context = self._context
        if context is None:
            self._context = context = SpanContext(
                self.trace_id, self.span_id, False, _FLAGS[self.bits & KNOWN_FLAGS], self.state
            )
        return context

    @property
    def context(self) -> SpanContext:
        """Its own context, as the SDK's spans say it."""
        return self.own_context()

    @property
    def parent(self) -> SpanContext | None:
        """Its parent's context, as the SDK's spans say it."""
        under = self.under
        return under.own_context() if isinstance(under, QuickSpan) else under

    def _release(self) -> None:
        """Let go of what only an operation under way needs, since the span may wait for long."""
        self.metadata = EMPTY
        self.current = self.previous = _NOWHERE


def keep_cut(present: Mapping[str, Any], attributes: Attributes) -> None:
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
        "untouched",
    )
    start_time: int
    left_behind: bool
    untouched: bool
    metadata: Mapping[str, Any]
    inner: trace.Span
    started_with: Attributes
    _context: SpanContext

    def __init__(
        self,
        inner: trace.Span,
        attributes: Attributes,
        start_time: int,
        metadata: Mapping[str, Any],
    ) -> None:
        """Wrap a span.

        Args:
            inner: The provider's.
            attributes: What it was started with.
            start_time: Nanoseconds since the epoch.
            metadata: What its start event carried.
        """
        self.metadata = metadata
        self.inner = inner
        self._context = inner.get_span_context()
        self.started_with = attributes
        self.start_time = start_time
        self.left_behind = self.untouched = False

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
            keep_cut(self.started_with, attributes)
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
