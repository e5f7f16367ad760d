# SPDX-License-Identifier: Apache-2.0
"""The OpenTelemetry bridge, over the same instrumentation written by hand with the SDK."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from benchmarks.harness import measure
from benchmarks.otel import logs, metrics, spans

if TYPE_CHECKING:
    from benchmarks.harness import Effort, Row

__all__ = ["DISTRIBUTIONS", "TITLE", "rows"]

TITLE = "The OpenTelemetry bridge"
DISTRIBUTIONS = ("opentelemetry-sdk",)


def rows(effort: Effort) -> Iterator[Row]:
    """Measure everything in the order of the table."""
    for module in (metrics, spans, logs):
        for case in module.cases():
            yield from measure(case, effort)
