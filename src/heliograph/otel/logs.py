# SPDX-License-Identifier: Apache-2.0
"""Catalogued point events as OpenTelemetry log events.

A log event is a log record with an event name: the event's own. It has the severity and the
attributes the catalog says, the event's wall clock where it carries one, and the trace context of
the place that executed it. The exception that ends an operation becomes one too, in the trace
context of its span.

Nothing here raises into the emitter; what could not be used is counted in `LogBridge.counts`.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from traceback import StackSummary
from typing import TYPE_CHECKING, Any, Final, Protocol

from opentelemetry._logs import LogRecord, SeverityNumber, get_logger_provider
from opentelemetry.context import get_current
from opentelemetry.sdk._logs import LogRecordLimits, ReadableLogRecord
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from heliograph import default
from heliograph.catalog.exported import (
    EXCEPTION_MESSAGE,
    EXCEPTION_STACKTRACE,
    EXCEPTION_TYPE,
    error_type,
    log_attributes,
    log_events,
)
from heliograph.catalog.model import ERROR_TYPE
from heliograph.otel.attributes import AttributeLimits, Extractor, tell
from heliograph.otel.exceptions import class_name, message_of, stacktrace_of
from heliograph.spans import now

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping, Sequence

    from opentelemetry._logs import Logger, LoggerProvider
    from opentelemetry.context import Context
    from opentelemetry.sdk.resources import Resource

    from heliograph import Telemetry
    from heliograph.catalog import Catalog
    from heliograph.catalog.model import Document, EventSpec
    from heliograph.otel.attributes import Attributes

__all__ = ["EmitLog", "LogBridge", "OwnLogging"]

_SEVERITIES: Final = {
    "trace": SeverityNumber.TRACE,
    "debug": SeverityNumber.DEBUG,
    "info": SeverityNumber.INFO,
    "warn": SeverityNumber.WARN,
    "error": SeverityNumber.ERROR,
    "fatal": SeverityNumber.FATAL,
}


class EmitLog(Protocol):
    """Makes a log event of an event."""

    def __call__(
        self,
        measurements: Mapping[str, Any],
        metadata: Mapping[str, Any],
        context: Context | None = None,
    ) -> None:
        """Emit it, in a trace context other than the current one if one is given; never raises."""


@dataclass(frozen=True, slots=True)
class OwnLogging:
    """Where the log events of our own pipeline go to.

    Attributes:
        resource: The process.
        on_emit: Gets each log event.
        limits: The SDK's limits of log records.
    """

    resource: Resource
    on_emit: Callable[[ReadableLogRecord], None]
    limits: LogRecordLimits = field(default_factory=LogRecordLimits)


class LogBridge:
    """Makes log events of the events that catalogs declare.

    Attributes:
        counts: What went otherwise than it should, by reason: `unreadable` (an event whose mappings
            could not be read).
    """

    def __init__(
        self,
        catalog: Catalog,
        *,
        logger_provider: LoggerProvider | None = None,
        own: OwnLogging | None = None,
        telemetry: Telemetry | None = None,
        attribute_limits: AttributeLimits | None = None,
        handler_id: Hashable = ("heliograph.otel", "logs"),
    ) -> None:
        """Prepare the bridge; `attach` turns it on.

        Args:
            catalog: Which events there are.
            logger_provider: Takes the log events; OpenTelemetry's global one if None.
            own: Takes the log events in place of a provider.
            telemetry: The dispatcher; the default one if None.
            attribute_limits: How long attribute values may be.
            handler_id: What the handler ids begin with.
        """
        self._telemetry = default() if telemetry is None else telemetry
        self._provider = logger_provider
        self._own = own
        self._limits = attribute_limits or AttributeLimits()
        self._handler_id = handler_id
        self._attached: list[Hashable] = []
        self.counts: Counter[str] = Counter()
        self._emitters: dict[str, EmitLog] = {}
        self._points: list[str] = []
        for document in catalog.documents:
            send = self._sender(document)
            for event in log_events(document):
                self._emitters[event.name] = self._emitter(event, send)
                if event.kind == "point":
                    self._points.append(event.name)

    def emitter(self, event: str) -> EmitLog | None:
        """Return what makes log events of an event, or None if it becomes none."""
        return self._emitters.get(event)

    def attach(self) -> None:
        """Begin. The exceptions of operations are left to whoever has their spans: `emitter`."""
        for event in self._points:
            handler_id = (self._handler_id, event)
            handler = _handler(self._emitters[event])
            self._telemetry.attach(handler_id, event, handler, on_failure="keep")
            self._attached.append(handler_id)

    def detach(self) -> None:
        """End: nothing is listened to any more."""
        for handler_id in self._attached:
            self._telemetry.detach(handler_id)
        self._attached.clear()

    def _sender(self, document: Document) -> _Send:
        if self._own is not None:
            scope = InstrumentationScope(document.name, document.version, document.schema_url)
            return _own_sender(self._own, scope)
        provider = self._provider or get_logger_provider()
        return _given_sender(
            provider.get_logger(document.name, document.version, document.schema_url)
        )

    def _emitter(self, event: EventSpec, send: _Send) -> EmitLog:
        take = Extractor(event, log_attributes(event), self._limits).take
        counts, name, severity = self.counts, event.name, _SEVERITIES[event.severity]
        if event.kind == "exception":
            severity = SeverityNumber.ERROR
        limits = self._limits
        # The stack trace last: it is told by the exception, if there is one.
        errors = [
            (use.key, kind, use.field.sensitive)
            for kind in ("result", "exception", "stacktrace")
            for use in event.metadata
            if use.field.type == kind
        ]

        def emit(
            measurements: Mapping[str, Any],
            metadata: Mapping[str, Any],
            context: Context | None = None,
        ) -> None:
            try:
                attributes: Attributes = {}
                take(attributes, measurements, metadata)
                if errors:
                    _add_errors(attributes, errors, metadata, limits)
                observed = now()[1]
                timestamp = measurements.get("system_time")
                if type(timestamp) is not int or not 0 <= timestamp < 2**63:
                    timestamp = observed
                send(name, severity, attributes, timestamp, observed, context)
            except Exception:  # noqa: BLE001 - the emitter must not notice, whatever it emitted
                counts["unreadable"] += 1

        return emit


def _handler(emit: EmitLog) -> Callable[[str, Mapping[str, Any], Mapping[str, Any], Any], None]:
    def handle(
        _event: str, measurements: Mapping[str, Any], metadata: Mapping[str, Any], _config: Any
    ) -> None:
        emit(measurements, metadata)

    return handle


class _Send(Protocol):
    def __call__(
        self,
        name: str,
        severity: SeverityNumber,
        attributes: Attributes,
        timestamp: int,
        observed: int,
        context: Context | None,
    ) -> None: ...


def _own_sender(own: OwnLogging, scope: InstrumentationScope) -> _Send:
    resource, limits, on_emit = own.resource, own.limits, own.on_emit

    def send(
        name: str,
        severity: SeverityNumber,
        attributes: Attributes,
        timestamp: int,
        observed: int,
        context: Context | None,
    ) -> None:
        record = LogRecord(
            timestamp=timestamp,
            observed_timestamp=observed,
            context=context or get_current(),
            severity_text=severity.name,
            severity_number=severity,
            attributes=attributes,
            event_name=name,
        )
        on_emit(ReadableLogRecord(record, resource, scope, limits))

    return send


def _given_sender(logger: Logger) -> _Send:
    def send(
        name: str,
        severity: SeverityNumber,
        attributes: Attributes,
        timestamp: int,
        observed: int,
        context: Context | None,
    ) -> None:
        logger.emit(
            timestamp=timestamp,
            observed_timestamp=observed,
            context=context or get_current(),
            severity_number=severity,
            severity_text=severity.name,
            attributes=attributes,
            event_name=name,
        )

    return send


def _add_errors(
    found: Attributes,
    errors: Sequence[tuple[str, str, bool]],
    metadata: Mapping[str, Any],
    limits: AttributeLimits,
) -> None:
    """Add what an event says of a failure; see `heliograph.catalog.exported` for the rules."""
    raised: BaseException | None = None
    for key, kind, sensitive in errors:
        value = metadata.get(key)
        if kind == "result":
            error = error_type(value, sensitive=sensitive)
            if error is not None:
                found[ERROR_TYPE] = error
        elif kind == "exception":
            if isinstance(value, BaseException):
                found[EXCEPTION_TYPE] = class_name(value)
                if not sensitive:
                    raised = value
                    if message := message_of(value):
                        tell(found, EXCEPTION_MESSAGE, message, limits.text)
        elif not sensitive:
            if raised is not None:
                # Its own text has more than the frames: its causes and its notes.
                text = stacktrace_of(raised)
            elif isinstance(value, StackSummary):
                text = "".join(value.format())
            else:
                continue
            tell(found, EXCEPTION_STACKTRACE, text, limits.stacktrace)
