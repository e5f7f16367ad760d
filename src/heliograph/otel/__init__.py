# SPDX-License-Identifier: Apache-2.0
"""The OpenTelemetry bridge: catalogued events become spans, metrics and log events.

from heliograph import otel

otel.configure("http://collector:4318", service_name="shop")   # a pipeline of our own
otel.instrument(tracer_provider=provider)                      # or whatever you already have
"""

from __future__ import annotations

from heliograph.otel.attributes import AttributeLimits
from heliograph.otel.bridge import Bridge, configure, instrument
from heliograph.otel.environment import ConfigurationError, Fault
from heliograph.otel.health import FlushResult, Health, SignalHealth
from heliograph.otel.propagation import OtelPropagator
from heliograph.otel.spans import OpenSpanLimits
from heliograph.otel.worker import Backoff

__all__ = [
    "AttributeLimits",
    "Backoff",
    "Bridge",
    "ConfigurationError",
    "Fault",
    "FlushResult",
    "Health",
    "OpenSpanLimits",
    "OtelPropagator",
    "SignalHealth",
    "configure",
    "instrument",
]
