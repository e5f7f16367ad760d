# SPDX-License-Identifier: Apache-2.0
"""Whether the collector is there, and takes what a gateway sends."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.sdk.metrics.export import MetricsData

from heliograph.apps.doctor.findings import Finding
from heliograph.apps.gateway.exporting import is_exported, settings
from heliograph.otel.transport import Verdict, make_sender, quieten

if TYPE_CHECKING:
    from collections.abc import Iterator

    from heliograph.apps.gateway import GatewayConfig
    from heliograph.otel.configuration import Destination, Signal
    from heliograph.otel.transport import Answer

__all__ = ["collector"]

# Nothing, in the terms of each signal: a request that collectors take and make nothing of.
_NOTHING: Final[dict[Signal, Any]] = {
    "traces": [],
    "metrics": MetricsData(resource_metrics=[]),
    "logs": [],
}
_MENDS: Final = {
    "http_401": "give the credentials: otlp.headers, or OTEL_EXPORTER_OTLP_HEADERS",
    "http_403": "give the credentials: otlp.headers, or OTEL_EXPORTER_OTLP_HEADERS",
    "http_404": "correct the endpoint: /v1/traces and the others are added to it",
    "grpc_unauthenticated": "give the credentials: otlp.headers, or OTEL_EXPORTER_OTLP_HEADERS",
    "timeout": "look whether a firewall drops what goes there",
}
_OTHERWISE: Final = "start the collector, or correct otlp.endpoint; heliograph collect is one"


def collector(config: GatewayConfig, timeout: float) -> Iterator[Finding]:
    """Send nothing, as a request for each signal, and see what is answered."""
    if not is_exported(config):
        mend = "add the section otlp, if anybody is to see it"
        yield Finding("collector", "none", "absent", "nothing is exported", mend)
        return
    undo = quieten()
    try:
        for signal, destination in settings(config).destinations.items():
            yield _asked(signal, replace(destination, timeout=min(timeout, destination.timeout)))
    finally:
        undo()


def _asked(signal: Signal, to: Destination) -> Finding:
    began = time.monotonic()
    try:
        sender = make_sender(signal, to, "heliograph-doctor")
    except OSError as error:
        mend = "correct the paths of the certificates"
        return Finding("collector", to.endpoint, "failed", f"{signal}: {error}", mend)
    try:
        answer: Answer = sender.send(_NOTHING[signal])
    finally:
        sender.close()
    if answer.verdict is Verdict.DELIVERED:
        took = 1000 * (time.monotonic() - began)
        return Finding("collector", to.endpoint, "ok", f"takes {signal}, in {took:.0f} ms")
    mend = _MENDS.get(answer.word, _OTHERWISE)
    text = " ".join(answer.text.split()) or answer.word
    return Finding("collector", to.endpoint, "failed", f"{signal}: {text}", mend)
