# SPDX-License-Identifier: Apache-2.0
"""One attempt to hand a batch to a collector, and what came of it.

OpenTelemetry's own OTLP exporters encode the batches and send them. What they tell of a failure is
only that there was one; to know whether to keep the batch, when to come back, and what was rejected
of it, we are the adapter of the HTTP session they send with. It lets each of them make one attempt:
when to try again is for `heliograph.otel.worker` to say, which knows its deadlines.

OTLP over gRPC carries the very same bytes, so the same exporters encode those, and an adapter of
another kind puts them on the channel.
"""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, Final, Protocol

from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from requests import Session

from heliograph.otel.own import readable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from requests.adapters import BaseAdapter

    from heliograph.otel.configuration import Destination, Signal

__all__ = [
    "LONGEST_PATIENCE",
    "Answer",
    "Refused",
    "Sender",
    "Verdict",
    "make_sender",
    "quieten",
    "read_response",
]


LONGEST_PATIENCE: Final = 300.0
"""Seconds; a collector that asks for more patience is asked again all the same. Our choice."""


class Verdict(Enum):
    """What is to become of a batch."""

    DELIVERED = "delivered"
    LATER = "later"
    """It may well be taken another time."""
    REFUSED = "refused"
    """It will not be taken, however often it is sent."""
    UNENCODABLE = "unencodable"
    """It, or something in it, can't be sent: a smaller batch may do."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of one attempt.

    Attributes:
        verdict: What is to become of the batch.
        word: The failure as one word, such as `timeout`, `http_503` or `grpc_unavailable`.
        text: The failure in a sentence, for the log.
        retry_after: Seconds the collector asks to wait.
        rejected: Items of a delivered batch that the collector did not take.
    """

    verdict: Verdict
    word: str = ""
    text: str = ""
    retry_after: float | None = None
    rejected: int = 0


class Refused(Exception):
    """Ends an attempt without the exporter trying again by itself; the answer is known."""


class Adapter(Protocol):
    """How bytes reach the collector: a session's adapter that remembers the last answer."""

    answer: Answer | None

    def abort(self) -> None:
        """End the attempt under way, from another thread."""


_RESPONSES: Final[Mapping[Signal, Any]] = {
    "traces": ExportTraceServiceResponse,
    "metrics": ExportMetricsServiceResponse,
    "logs": ExportLogsServiceResponse,
}
_REJECTED: Final[Mapping[Signal, str]] = {
    "traces": "rejected_spans",
    "metrics": "rejected_data_points",
    "logs": "rejected_log_records",
}
_EXPORTERS: Final[Mapping[Signal, Any]] = {
    "traces": OTLPSpanExporter,
    "metrics": OTLPMetricExporter,
    "logs": OTLPLogExporter,
}


def read_response(signal: Signal, content: bytes) -> Answer:
    """Read what a collector says of a batch it has taken; it may have taken a part only.

    Raises:
        ValueError: This is no such response.
    """
    try:
        partial = _RESPONSES[signal].FromString(content).partial_success
    except Exception as failure:
        raise ValueError("the answer is no OTLP response") from failure
    rejected = max(0, getattr(partial, _REJECTED[signal]))
    return Answer(Verdict.DELIVERED, text=partial.error_message, rejected=rejected)


class Sender:
    """Sends batches of one signal, one at a time.

    Only the worker's thread may call `send`; `close` is for any thread.

    Args:
        exporter: Encodes a batch and gives it to the adapter.
        adapter: Puts it on the wire.
        form: Makes of what waits in the queue what the exporter takes.
    """

    def __init__(
        self, exporter: Any, adapter: Adapter, form: Callable[[Any], Any] = lambda batch: batch
    ) -> None:
        self._exporter = exporter
        self._adapter = adapter
        self._form = form

    def send(self, batch: Any) -> Answer:
        """Make one attempt; never raises."""
        adapter: Any = self._adapter  # its answer changes while the exporter calls it
        adapter.answer = None
        _quiet.said = ""
        _quiet.sending = True
        try:
            self._exporter.export(self._form(batch))
        except Exception as failure:  # noqa: BLE001 - whatever it is, the worker has to go on
            if adapter.answer is None:
                return Answer(Verdict.UNENCODABLE, "unencodable", f"{failure!r}")
        finally:
            _quiet.sending = False
        # Without an answer nothing was sent: the exporter could not encode it, or found it too big.
        answer: Answer | None = adapter.answer
        return answer or Answer(Verdict.UNENCODABLE, "unencodable", _quiet.said)

    def close(self) -> None:
        """End the attempt under way, and close the connections."""
        self._adapter.abort()
        self._exporter.shutdown()


def make_sender(signal: Signal, to: Destination, user_agent: str) -> Sender:
    """Make what sends a signal's batches to their destination.

    Raises:
        OSError: A certificate can't be read.
    """
    session = Session()
    adapter: Any
    url = to.endpoint
    compression = Compression(to.compression)
    if to.protocol == "grpc":
        from heliograph.otel.grpc_transport import GrpcAdapter

        adapter = GrpcAdapter(signal, to, user_agent)
        # The channel compresses by itself.
        url, compression = adapter.url, Compression.NoCompression
        session.mount("grpc://", adapter)
    else:
        from heliograph.otel.http_transport import OtlpHttpAdapter

        adapter = OtlpHttpAdapter(signal, to.certificate_file)
        _mount(session, adapter)
    exporter = _EXPORTERS[signal](
        endpoint=url,
        certificate_file=to.certificate_file,
        client_key_file=to.client_key_file,
        client_certificate_file=to.client_certificate_file,
        headers={"user-agent": user_agent, **to.headers},
        timeout=to.timeout,
        compression=compression,
        session=session,
    )
    return Sender(exporter, adapter, readable) if signal == "traces" else Sender(exporter, adapter)


def _mount(session: Session, adapter: BaseAdapter) -> None:
    for scheme in ("http://", "https://"):
        session.mount(scheme, adapter)


# -- The exporters' own log lines ------------------------------------------------------------------

# They log each failed batch; the pipeline logs an outage once, when it begins.


class _Sending(threading.local):
    sending = False
    said = ""


_quiet: Final = _Sending()


class _ExportersAreQuiet(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        if _quiet.sending:
            _quiet.said = record.getMessage()
        return not _quiet.sending


_filter: Final = _ExportersAreQuiet()
_loggers: Final = tuple(logging.getLogger(each.__module__) for each in _EXPORTERS.values())


def quieten() -> Callable[[], None]:
    """Keep the exporters from logging what our threads make them do; returns what undoes that."""
    # Adding a filter twice is adding it once, so the last one to undo it removes it.
    _quietened.append(None)
    for logger in _loggers:
        logger.addFilter(_filter)

    def undo() -> None:
        _quietened.pop()
        if not _quietened:
            for logger in _loggers:
                logger.removeFilter(_filter)

    return undo


_quietened: Final[list[None]] = []
