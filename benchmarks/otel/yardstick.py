# SPDX-License-Identifier: Apache-2.0
"""One read of a Modbus device, instrumented twice: for heliograph, and by hand for OpenTelemetry.

By hand means what somebody writes who knows OpenTelemetry's public API well: two nested spans with
all that is known at their start given at their start and the rest in one `set_attributes`, and nine
observations on instruments that were created once. Both are given the same values, and what they
export is the same but for ids, times and the order of attributes; a test says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from time import monotonic_ns
from typing import TYPE_CHECKING, Any

from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import (
    BatchLogRecordProcessor,
    LogRecordExporter,
    LogRecordExportResult,
)
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import SpanKind, StatusCode

from heliograph import Error, Ok

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.metrics import Meter
    from opentelemetry.trace import Span, Tracer

    from heliograph import Telemetry

__all__ = [
    "SCOPE",
    "Emitted",
    "Instruments",
    "MetricsByHand",
    "Read",
    "SpansAndMetricsByHand",
    "SpansByHand",
    "logger_provider",
    "tracer_provider",
]

SCOPE = ("modboss", "0.2.0", "https://heliograph.example/schemas/modboss/0.2.0")


@dataclass(frozen=True)
class Read:
    """A read by name that takes one request; `result` is raised if it is an exception."""

    schema: str = "Thermostat"
    names: Sequence[str] = ("outdoor_temp", "setpoint", "mode")
    object_type: str = "holding_register"
    start: int = 40
    addresses: int = 30
    gaps: int = 6
    largest_gap: int = 4
    result: object = Ok([0] * 30)

    def perform(self) -> object:
        """Do the request."""
        if isinstance(self.result, BaseException):
            raise self.result
        return self.result


# -- Exporters that discard ------------------------------------------------------------------------


class DiscardingSpans(SpanExporter):
    """Takes every span and keeps none."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        return SpanExportResult.SUCCESS


class DiscardingLogs(LogRecordExporter):
    """Takes every log record and keeps none."""

    def export(self, batch: Sequence[Any]) -> LogRecordExportResult:
        return LogRecordExportResult.SUCCESS

    def force_flush(self, timeout_millis: int = 0) -> bool:
        return True

    def shutdown(self) -> None:
        pass


def tracer_provider() -> TracerProvider:
    """A provider as an application sets it up, but for the exporter."""
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(DiscardingSpans()))
    return provider


def logger_provider() -> LoggerProvider:
    """A provider as an application sets it up, but for the exporter."""
    provider = LoggerProvider(shutdown_on_exit=False)
    provider.add_log_record_processor(BatchLogRecordProcessor(DiscardingLogs()))
    return provider


# -- For heliograph --------------------------------------------------------------------------------


class Emitted:
    """A read as a library instrumented for heliograph does it."""

    def __init__(self, telemetry: Telemetry) -> None:
        self._reading = telemetry.spanning("modboss.read")
        self._requesting = telemetry.spanning("modboss.read_callback")
        self._context: dict[str, Any] = {}

    def read(self, read: Read) -> object:
        """Read, and say so."""
        context = self._context
        names = [*read.names]
        with self._reading(schema=read.schema, names=names, context=context) as reading:
            with self._requesting(
                schema=read.schema,
                names=names,
                context=context,
                object_type=read.object_type,
                starting_address=read.start,
                address_count=read.addresses,
                attempt=1,
                max_attempts=3,
            ) as request:
                result = read.perform()
                measured = request.measurements
                measured["gap_addresses_read"] = read.gaps
                measured["largest_gap"] = read.largest_gap
                request.metadata["result"] = result
            measured = reading.measurements
            measured["batches"] = measured["total_attempts"] = 1
            measured["objects_requested"] = len(names)
            measured["addresses_read"] = read.addresses
            measured["gap_addresses_read"] = read.gaps
            measured["largest_gap"] = read.largest_gap
            reading.metadata["result"] = result
        return result


# -- By hand ---------------------------------------------------------------------------------------


def _failed(span: Span, result: object) -> str | None:
    """Say of a span that its operation failed, if it did; return the error's type."""
    if not isinstance(result, Error):
        return None
    reason = result.reason
    kind = reason if isinstance(reason, str) else type(reason).__qualname__
    description = reason if isinstance(reason, str) else f"{kind}: {reason}"
    span.set_attribute("error.type", kind)
    span.set_status(StatusCode.ERROR, description)
    return kind


class SpansByHand:
    """A read with two nested spans."""

    def __init__(self, tracer: Tracer) -> None:
        self._start = tracer.start_as_current_span

    def read(self, read: Read) -> object:
        """Read, and make the spans."""
        names = [*read.names]
        with self._start(
            "modboss.read",
            kind=SpanKind.CLIENT,
            attributes={"modboss.schema": read.schema, "modboss.names": names},
            record_exception=False,
        ) as reading:
            try:
                with self._start(
                    "modboss.read_callback",
                    kind=SpanKind.CLIENT,
                    attributes={
                        "modboss.schema": read.schema,
                        "modboss.names": names,
                        "modbus.object.type": read.object_type,
                        "modbus.address.start": read.start,
                        "modbus.address.count": read.addresses,
                        "modboss.attempt.number": 1,
                        "modboss.attempt.limit": 3,
                    },
                    record_exception=False,
                ) as request:
                    try:
                        result = read.perform()
                    except Exception as error:
                        request.set_attribute("error.type", type(error).__qualname__)
                        raise
                    request.set_attributes(
                        {
                            "modboss.gap.address.count": read.gaps,
                            "modboss.gap.largest": read.largest_gap,
                        }
                    )
                    _failed(request, result)
            except Exception as error:
                reading.set_attribute("error.type", type(error).__qualname__)
                raise
            reading.set_attributes(
                {
                    "modboss.batch.count": 1,
                    "modboss.attempt.count": 1,
                    "modboss.object.count": len(names),
                    "modboss.address.count": read.addresses,
                    "modboss.gap.address.count": read.gaps,
                    "modboss.gap.largest": read.largest_gap,
                }
            )
            _failed(reading, result)
        return result


class Instruments:
    """What a read is observed on."""

    def __init__(self, meter: Meter) -> None:
        bounds = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075]
        bounds += [0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10]
        self.duration = meter.create_histogram(
            "modboss.read.duration",
            "s",
            "Time one read by name took, all requests and retries included",
            explicit_bucket_boundaries_advisory=bounds,
        )
        self.request = meter.create_histogram(
            "modbus.client.operation.duration",
            "s",
            "Time one Modbus request took",
            explicit_bucket_boundaries_advisory=bounds,
        )
        counter = meter.create_counter
        self.requests = counter("modbus.client.requests", "{request}", "Modbus requests begun")
        self.batches = counter("modboss.read.batches", "{batch}", "Batches attempted by reads")
        self.attempts = counter(
            "modboss.read.attempts", "{attempt}", "Requests made by reads, retries included"
        )
        self.objects = counter("modboss.read.objects", "{object}", "Objects read by name")
        self.addresses = counter(
            "modbus.client.addresses", "{address}", "Addresses read, gaps included"
        )
        self.gaps = counter(
            "modbus.client.gap.addresses", "{address}", "Gap addresses read and discarded"
        )
        self.largest = meter.create_gauge(
            "modboss.read.largest_gap", "{address}", "Largest gap that the latest read bridged"
        )

    def ended(self, read: Read, duration: int, error: str | None) -> None:
        """Observe a read that has ended."""
        schema = {"modboss.schema": read.schema}
        self.duration.record(
            duration / 1e9, schema if error is None else {**schema, "error.type": error}
        )
        self.batches.add(1, schema)
        self.attempts.add(1, schema)
        self.objects.add(len(read.names), schema)
        self.addresses.add(read.addresses, schema)
        self.gaps.add(read.gaps, schema)
        self.largest.set(read.largest_gap, schema)


class MetricsByHand:
    """A read with its nine observations, and no spans."""

    def __init__(self, meter: Meter, clock: Callable[[], int] = monotonic_ns) -> None:
        self._instruments = Instruments(meter)
        self._clock = clock

    def read(self, read: Read) -> object:
        """Read, and observe it."""
        clock, on = self._clock, self._instruments
        began = clock()
        kind = {"modboss.schema": read.schema, "modbus.object.type": read.object_type}
        on.requests.add(1, kind)
        requested = clock()
        result = read.perform()
        on.request.record((clock() - requested) / 1e9, kind)
        on.ended(read, clock() - began, None)
        return result


class SpansAndMetricsByHand:
    """A read with its spans, and its observations made in them."""

    def __init__(self, tracer: Tracer, meter: Meter, clock: Callable[[], int] = monotonic_ns):
        self._start = tracer.start_as_current_span
        self._instruments = Instruments(meter)
        self._clock = clock

    def read(self, read: Read) -> object:
        """Read, make the spans, and observe the read."""
        clock, on = self._clock, self._instruments
        names = [*read.names]
        began = clock()
        with self._start(
            "modboss.read",
            kind=SpanKind.CLIENT,
            attributes={"modboss.schema": read.schema, "modboss.names": names},
            record_exception=False,
        ) as reading:
            kind = {"modboss.schema": read.schema, "modbus.object.type": read.object_type}
            requested = clock()
            with self._start(
                "modboss.read_callback",
                kind=SpanKind.CLIENT,
                attributes={
                    "modboss.schema": read.schema,
                    "modboss.names": names,
                    "modbus.object.type": read.object_type,
                    "modbus.address.start": read.start,
                    "modbus.address.count": read.addresses,
                    "modboss.attempt.number": 1,
                    "modboss.attempt.limit": 3,
                },
                record_exception=False,
            ) as request:
                on.requests.add(1, kind)
                result = read.perform()
                request.set_attributes(
                    {
                        "modboss.gap.address.count": read.gaps,
                        "modboss.gap.largest": read.largest_gap,
                    }
                )
                error = _failed(request, result)
                on.request.record(
                    (clock() - requested) / 1e9,
                    kind if error is None else {**kind, "error.type": error},
                )
            reading.set_attributes(
                {
                    "modboss.batch.count": 1,
                    "modboss.attempt.count": 1,
                    "modboss.object.count": len(names),
                    "modboss.address.count": read.addresses,
                    "modboss.gap.address.count": read.gaps,
                    "modboss.gap.largest": read.largest_gap,
                }
            )
            on.ended(read, clock() - began, _failed(reading, result))
        return result
