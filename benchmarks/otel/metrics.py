# SPDX-License-Identifier: Apache-2.0
"""Metrics: what one read of a Modbus device costs, over OpenTelemetry's instruments by hand.

One read executes four events: start and stop of `modboss.read`, and of one `modboss.read_callback`
in it. From them come nine observations, two of which are histograms'. By hand the same nine are
`add`, `set` and `record` on instruments of the SDK. Neither side builds its dictionaries anew.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from itertools import repeat
from typing import TYPE_CHECKING, Any

from opentelemetry import trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import (
    MetricExporter,
    MetricExportResult,
    PeriodicExportingMetricReader,
)
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags

from benchmarks.harness import Case, Rival
from heliograph import Ok, Telemetry, metrics
from heliograph.catalog import load
from heliograph.metrics import Aggregate, from_catalog
from heliograph.otel.metrics import MeterBridge, sampled_span

if TYPE_CHECKING:
    from opentelemetry.metrics import Meter

    from benchmarks.harness import Side
    from heliograph.catalog import Catalog

Call = Callable[[], object]


class Discarding(MetricExporter):
    """Takes everything and keeps nothing."""

    def export(self, metrics_data: Any, timeout_millis: float = 0, **_: Any) -> MetricExportResult:
        return MetricExportResult.SUCCESS

    def force_flush(self, timeout_millis: float = 0) -> bool:
        return True

    def shutdown(self, timeout_millis: float = 0, **_: Any) -> None:
        pass


def provider() -> MeterProvider:
    """A provider as an application sets it up, but for the exporter."""
    reader = PeriodicExportingMetricReader(Discarding(), export_interval_millis=60_000)
    return MeterProvider([reader], shutdown_on_exit=False)


class ByHand:
    """The metrics of one read on instruments of the SDK."""

    def __init__(self, meter: Meter) -> None:
        bounds = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075]
        bounds += [0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10]
        options: dict[str, Any] = {"unit": "s", "explicit_bucket_boundaries_advisory": bounds}
        self.duration = meter.create_histogram("modboss.read.duration", **options)
        self.request = meter.create_histogram("modbus.client.operation.duration", **options)
        self.requests = meter.create_counter("modbus.client.requests", "{request}")
        self.batches = meter.create_counter("modboss.read.batches", "{batch}")
        self.attempts = meter.create_counter("modboss.read.attempts", "{attempt}")
        self.objects = meter.create_counter("modboss.read.objects", "{object}")
        self.addresses = meter.create_counter("modbus.client.addresses", "{address}")
        self.gaps = meter.create_counter("modbus.client.gap.addresses", "{address}")
        self.largest = meter.create_gauge("modboss.read.largest_gap", "{address}")
        self.schema = {"modboss.schema": "Thermostat"}
        self.kind = {"modboss.schema": "Thermostat", "modbus.object.type": "holding_register"}

    def read(self) -> None:
        """Observe one read."""
        self.requests.add(1, self.kind)
        self.request.record(3_100_000 / 1e9, self.kind)
        schema = self.schema
        self.duration.record(3_400_000 / 1e9, schema)
        self.batches.add(1, schema)
        self.attempts.add(1, schema)
        self.objects.add(24, schema)
        self.largest.set(4, schema)
        self.addresses.add(30, schema)
        self.gaps.add(6, schema)


class Emitted:
    """The events of one read on a dispatcher."""

    def __init__(self, telemetry: Telemetry) -> None:
        base = {"schema": "Thermostat", "names": ["outdoor_temp", "setpoint"], "context": {}}
        request = {
            **base,
            "object_type": "holding_register",
            "starting_address": 40,
            "address_count": 30,
            "attempt": 1,
            "max_attempts": 3,
        }
        clocks = {"monotonic_time": 5_000_000_000, "system_time": 1_790_000_000_000_000_000}
        ends = {"monotonic_time": 5_003_000_000}
        counts = {"batches": 1, "total_attempts": 1, "objects_requested": 24}
        gaps = {"gap_addresses_read": 6, "largest_gap": 4}
        result = {"result": Ok([0] * 30)}
        events: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
            ("modboss.read.start", clocks, base),
            ("modboss.read_callback.start", clocks, request),
            (
                "modboss.read_callback.stop",
                {**ends, "duration": 3_100_000, **gaps},
                {**request, **result},
            ),
            (
                "modboss.read.stop",
                {**ends, "duration": 3_400_000, **counts, "addresses_read": 30, **gaps},
                {**base, **result},
            ),
        ]
        (self.e0, self.m0, self.d0), (self.e1, self.m1, self.d1), *stops = [
            (telemetry.event(name), measurements, metadata)
            for name, measurements, metadata in events
        ]
        (self.e2, self.m2, self.d2), (self.e3, self.m3, self.d3) = stops

    def read(self) -> None:
        """Execute the events of one read."""
        self.e0.execute(self.m0, self.d0)
        self.e1.execute(self.m1, self.d1)
        self.e2.execute(self.m2, self.d2)
        self.e3.execute(self.m3, self.d3)


def own_pipeline(catalog: Catalog) -> Call:
    """One read with metrics as `configure` keeps them."""
    telemetry = Telemetry()
    Aggregate(from_catalog(catalog), telemetry=telemetry, exemplar=sampled_span()).attach()
    return Emitted(telemetry).read


def given_provider(catalog: Catalog) -> Call:
    """One read with metrics fed to a provider of the application's."""
    telemetry = Telemetry()
    MeterBridge(catalog, provider(), telemetry).attach()
    return Emitted(telemetry).read


def series(offered: int) -> Call:
    """An event of each of as many series as there are, again and again, in one histogram."""
    telemetry = Telemetry()
    definition = metrics.histogram(
        "shop.sizes", event="shop.order.placed", measurement="size", tags=["id"]
    )
    Aggregate([definition], telemetry=telemetry).attach()
    placed = telemetry.event("shop.order.placed")

    def identities() -> Iterator[str]:
        while True:
            for number in range(offered):
                yield f"order-{number}"

    following = identities().__next__

    def place() -> None:
        # Made anew, as an emitter does.
        placed.execute({"size": 7}, {"id": following()})

    for _ in range(offered):
        place()
    return place


def repeated(call: Call, *, sampled: bool = False) -> Side:
    """A call as the harness takes it, in a sampled span or in none."""
    span = NonRecordingSpan(SpanContext(1, 2, False, TraceFlags(1)))

    def side(times: int) -> None:
        with trace.use_span(span) if sampled else nullcontext():
            for _ in repeat(None, times):
                call()

    return side


def calls() -> tuple[Call, Call, Call]:
    """One read: with our own pipeline, with a given provider, and by hand."""
    catalog = load("modboss")
    by_hand = ByHand(provider().get_meter("modboss", "0.2.0")).read
    return own_pipeline(catalog), given_provider(catalog), by_hand


def cases() -> Iterator[Case]:
    """What is measured here."""
    own, given, by_hand = calls()
    for sampled, span in ((False, ""), (True, ", in a sampled span")):
        hand = repeated(by_hand, sampled=sampled)
        for call, name, bar in ((own, "configure", 0.08), (given, "given MeterProvider", 0.35)):
            yield Case(
                f"metrics of one read: {name}{span}",
                repeated(call, sampled=sampled),
                [Rival("SDK instruments by hand", hand, bar)],
                times=200,
            )
    yield Case(
        "100,000 series offered to one metric",
        repeated(series(100_000)),
        [Rival("1,900 series", repeated(series(1_900)), 1.25)],
        times=10_000,
    )
