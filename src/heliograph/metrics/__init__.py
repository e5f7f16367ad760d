# SPDX-License-Identifier: Apache-2.0
"""Metrics of events: what is to be measured, and the numbers kept about it.

    from heliograph import metrics

    definitions = [
        metrics.counter("shop.orders", event="shop.order.placed", tags=["country"]),
        metrics.histogram("shop.checkout.duration", event="shop.checkout.stop", unit="s",
                          measurement_unit="ns", tags=["error.type"]),
    ]

Definitions come from code, as here, or from a catalog (`from_catalog`). `Aggregate` keeps their
numbers. Nothing here knows OpenTelemetry; `heliograph.otel` exports what `Aggregate` collects.
"""

from __future__ import annotations

from heliograph.metrics.aggregate import Aggregate
from heliograph.metrics.definitions import (
    DEFAULT_BUCKETS,
    Definition,
    DefinitionError,
    Scope,
    Tag,
    Test,
)
from heliograph.metrics.from_catalog import from_catalog
from heliograph.metrics.kinds import (
    counter,
    histogram,
    last_value,
    sum,  # noqa: A004 - the field's name for it; it is used as metrics.sum
    summary,
)
from heliograph.metrics.points import (
    Exemplar,
    ExponentialPoint,
    HistogramPoint,
    MetricPoints,
    NumberPoint,
)

__all__ = [
    "DEFAULT_BUCKETS",
    "Aggregate",
    "Definition",
    "DefinitionError",
    "Exemplar",
    "ExponentialPoint",
    "HistogramPoint",
    "MetricPoints",
    "NumberPoint",
    "Scope",
    "Tag",
    "Test",
    "counter",
    "from_catalog",
    "histogram",
    "last_value",
    "sum",
    "summary",
]
