# SPDX-License-Identifier: Apache-2.0
"""Our own aggregate against the suite for reporters."""

from __future__ import annotations

from collections.abc import Sequence

from heliograph import Telemetry
from heliograph.metrics import Aggregate, Definition
from heliograph.testing.reporters import Reported, ReporterConformance, reported


class AggregateReporter:
    def __init__(self, definitions: Sequence[Definition], telemetry: Telemetry) -> None:
        self.aggregate = Aggregate(definitions, telemetry=telemetry)
        self.aggregate.attach()

    def read(self) -> Reported:
        return reported(self.aggregate.collect())

    def close(self) -> None:
        self.aggregate.detach()


class TestAggregate(ReporterConformance):
    def make_reporter(
        self, definitions: Sequence[Definition], telemetry: Telemetry
    ) -> AggregateReporter:
        return AggregateReporter(definitions, telemetry)
