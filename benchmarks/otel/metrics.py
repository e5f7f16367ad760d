# SPDX-License-Identifier: Apache-2.0
"""Metrics: what one read of a Modbus device costs, over OpenTelemetry's instruments by hand.

    python -m benchmarks.otel.metrics

One read executes four events: start and stop of `modboss.read`, and of one `modboss.read_callback`
in it. From them come nine observations, two of which are histograms'. By hand the same nine are
`add`, `set` and `record` on instruments of the SDK. Neither side builds its dictionaries anew.

A ratio is the median over rounds in which both sides take turns. "In place" means that other work
comes before each read, as it does in a program, so that nothing is left in the processor's caches.
"""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any

from opentelemetry import trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import (
    MetricExporter,
    MetricExportResult,
    PeriodicExportingMetricReader,
)
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags

from heliograph import Ok, Telemetry, metrics
from heliograph.catalog import load
from heliograph.metrics import Aggregate, from_catalog
from heliograph.otel.metrics import MeterBridge, sampled_span

if TYPE_CHECKING:
    from opentelemetry.metrics import Meter

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


@dataclass(frozen=True)
class Row:
    """Two ways to do the same, and the greatest ratio of their times that will do."""

    name: str
    ours: Call
    theirs: Call
    bar: float
    sampled: bool = False
    calls: int = 200


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


def rows() -> list[Row]:
    """What is measured here."""
    catalog = load("modboss")
    by_hand = ByHand(provider().get_meter("modboss", "0.2.0")).read
    own, given = own_pipeline(catalog), given_provider(catalog)
    return [
        Row("metrics of one read, configure", own, by_hand, 0.08),
        Row("the same in a sampled span, with exemplars", own, by_hand, 0.08, sampled=True),
        Row("metrics of one read, given MeterProvider", given, by_hand, 0.35),
        Row("the same in a sampled span", given, by_hand, 0.35, sampled=True),
        Row("100,000 series over 1,900", series(100_000), series(1_900), 1.25, calls=5_000),
    ]


# -- Measuring ------------------------------------------------------------------------------------

_COLD = [{"id": number, "name": f"name {number}", "tags": ["a"] * 5} for number in range(400)]


def tight(call: Call, calls: int) -> float:
    """Nanoseconds of a call, one after the other."""
    begin = perf_counter_ns()
    for _ in range(calls):
        call()
    return (perf_counter_ns() - begin) / calls


def in_place(call: Call, calls: int) -> float:
    """Nanoseconds of a call that comes after other work; the median."""
    taken = []
    for _ in range(min(calls, 40)):
        json.loads(json.dumps(_COLD))
        begin = perf_counter_ns()
        call()
        taken.append(perf_counter_ns() - begin)
    return statistics.median(taken)


def ratio(row: Row, how: Callable[[Call, int], float], rounds: int) -> tuple[float, float, float]:
    """The median ratio, and the medians of both sides in nanoseconds."""
    span = NonRecordingSpan(SpanContext(1, 2, False, TraceFlags(1)))
    measured = []
    with trace.use_span(span) if row.sampled else nullcontext():
        for _ in range(rounds):
            ours, theirs = how(row.ours, row.calls), how(row.theirs, row.calls)
            measured.append((ours / theirs, ours, theirs))
    middle = [statistics.median(column) for column in zip(*measured, strict=True)]
    return middle[0], middle[1], middle[2]


def main(rounds: int = 21) -> int:
    """Print the table; 1 if a bar was missed."""
    missed = 0
    print(f"{'':44} {'tight loop':>10} {'in place':>9} {'bar':>5}   {'ours':>8} {'by hand':>9}")
    for row in rows():
        tightly, ours, theirs = ratio(row, tight, rounds)
        placed, *_ = ratio(row, in_place, rounds)
        missed += tightly > row.bar
        print(
            f"{row.name:44} {tightly:10.3f} {placed:9.3f} {row.bar:5.2f}   "
            f"{ours:6.0f} ns {theirs:6.0f} ns"
        )
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(main())
