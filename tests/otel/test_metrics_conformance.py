# SPDX-License-Identifier: Apache-2.0
"""Both ways into OpenTelemetry against the suite for reporters, read in the SDK's own terms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import (
    HistogramDataPoint,
    InMemoryMetricReader,
    MetricsData,
    NumberDataPoint,
)
from opentelemetry.sdk.resources import Resource

from heliograph import Telemetry
from heliograph.metrics import Aggregate, Definition
from heliograph.otel.metrics import MeterBridge, sampled_span, to_metrics_data
from heliograph.testing.reporters import Distribution, Reported, ReporterConformance, Value


def read(data: MetricsData | None) -> Reported:
    found: dict[str, list[tuple[Mapping[str, Any], Value]]] = {}
    for resource in data.resource_metrics if data is not None else ():
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                series = found.setdefault(metric.name, [])
                for point in metric.data.data_points:
                    attributes = point.attributes or {}
                    if isinstance(point, NumberDataPoint):
                        series.append((attributes, point.value))
                        continue
                    assert isinstance(point, HistogramDataPoint)
                    value = Distribution(
                        point.count,
                        point.sum,
                        point.min,
                        point.max,
                        tuple(point.explicit_bounds),
                        tuple(point.bucket_counts),
                    )
                    series.append((attributes, value))
    return found


class OwnPipeline:
    def __init__(self, definitions: Sequence[Definition], telemetry: Telemetry) -> None:
        self.aggregate = Aggregate(definitions, telemetry=telemetry, exemplar=sampled_span())
        self.aggregate.attach()

    def read(self) -> Reported:
        return read(to_metrics_data(self.aggregate.collect(), Resource.get_empty()))

    def close(self) -> None:
        self.aggregate.detach()


class GivenProvider:
    def __init__(self, definitions: Sequence[Definition], telemetry: Telemetry) -> None:
        self.reader = InMemoryMetricReader()
        self.provider = MeterProvider([self.reader], shutdown_on_exit=False)
        self.bridge = MeterBridge(definitions, self.provider, telemetry)
        self.bridge.attach()

    def read(self) -> Reported:
        return read(self.reader.get_metrics_data())

    def close(self) -> None:
        self.bridge.detach()


class TestOwnPipeline(ReporterConformance):
    def make_reporter(self, definitions: Sequence[Definition], telemetry: Telemetry) -> OwnPipeline:
        return OwnPipeline(definitions, telemetry)


class TestGivenProvider(ReporterConformance):
    def make_reporter(
        self, definitions: Sequence[Definition], telemetry: Telemetry
    ) -> GivenProvider:
        return GivenProvider(definitions, telemetry)
