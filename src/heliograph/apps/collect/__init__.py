# SPDX-License-Identifier: Apache-2.0
"""An embedded receiver of OpenTelemetry's protocol, and views of what it receives.

For people who have no collector yet, and for tests that want to see what a program sends:

    batches = []
    with Receiver(batches.append) as receiver:
        bridge = heliograph.otel.configure(endpoint=f"http://{receiver.http}")
        ...

Needs the extra `otel`; for gRPC also `otel-grpc`.
"""

from __future__ import annotations

from heliograph.apps.collect.decoding import MalformedError, decode
from heliograph.apps.collect.intake import BusyError
from heliograph.apps.collect.model import (
    Batch,
    ExponentialPoint,
    HistogramPoint,
    Log,
    Metric,
    NumberPoint,
    Scope,
    Source,
    Span,
    SpanEvent,
    SpanLink,
    SummaryPoint,
)
from heliograph.apps.collect.receiver import GRPC_PORT, HTTP_PORT, Address, Receiver

__all__ = [
    "GRPC_PORT",
    "HTTP_PORT",
    "Address",
    "Batch",
    "BusyError",
    "ExponentialPoint",
    "HistogramPoint",
    "Log",
    "MalformedError",
    "Metric",
    "NumberPoint",
    "Receiver",
    "Scope",
    "Source",
    "Span",
    "SpanEvent",
    "SpanLink",
    "SummaryPoint",
    "decode",
]
