# SPDX-License-Identifier: Apache-2.0
"""Spans, and spans with metrics: what one read of a Modbus device costs, over the same by hand.

What is measured is all a user pays: the emission by the core (two `with` blocks that fill their
measurements and metadata, four events), the bridge, and the queue with its worker. By hand that is
two nested `start_as_current_span` and their attributes, and the SDK's batch processor. Exporters
discard.

The rows "events ready-made" leave out most of the emission: they execute the four events, whose
mappings exist already. That is what the bridge itself costs.
"""

from __future__ import annotations

from functools import partial
from itertools import repeat
from typing import TYPE_CHECKING, Any

from opentelemetry.sdk.resources import Resource

from benchmarks.harness import Case, Rival
from benchmarks.otel import metrics
from benchmarks.otel.yardstick import (
    SCOPE,
    Emitted,
    Read,
    SpansAndMetricsByHand,
    SpansByHand,
    tracer_provider,
)
from heliograph import Ok, Telemetry
from heliograph.catalog import load
from heliograph.metrics import Aggregate, from_catalog
from heliograph.otel.configuration import Queueing
from heliograph.otel.metrics import MeterBridge, sampled_span
from heliograph.otel.own import readable
from heliograph.otel.sources import Queue
from heliograph.otel.spans import OwnTracing, SpanBridge
from heliograph.otel.transport import Answer, Verdict
from heliograph.otel.worker import Backoff, Reports, Worker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from benchmarks.harness import Side
    from heliograph.catalog import Catalog
    from heliograph.otel.configuration import Signal

__all__ = ["calls", "cases", "own_queue"]


class Discarding:
    """A sender that takes every batch, as an exporter would get it, and keeps none."""

    def __init__(self, signal: Signal) -> None:
        self._form: Callable[[Any], object] = readable if signal == "traces" else len

    def send(self, batch: object) -> Answer:
        self._form(batch)
        return Answer(Verdict.DELIVERED)

    def close(self) -> None:
        pass


def own_queue(signal: Signal) -> Callable[[Any], None]:
    """What takes the items of a signal in the pipeline of `configure`, but for the sender."""
    queueing = Queueing(2048, 512, 5.0)
    workers: list[Worker] = []
    queue = Queue(queueing, lambda: workers[0].nudge())
    make_sender: Any = partial(Discarding, signal)
    worker = Worker(
        signal,
        queue,
        make_sender,
        delay=queueing.delay,
        most=queueing.batch,
        backoff=Backoff(),
        reports=Reports(),
    )
    workers.append(worker)
    worker.start()
    return queue.put


def own_spans(catalog: Catalog, telemetry: Telemetry) -> SpanBridge:
    """Spans as `configure` makes them."""
    tracing = OwnTracing(Resource.create(), own_queue("traces"))
    return SpanBridge(catalog, own=tracing, telemetry=telemetry)


def given_spans(catalog: Catalog, telemetry: Telemetry) -> SpanBridge:
    """Spans as `instrument` makes them."""
    return SpanBridge(catalog, tracer_provider=tracer_provider(), telemetry=telemetry)


def attach(catalog: Catalog, spans: SpanBridge, numbers: Aggregate | MeterBridge) -> None:
    """Attach both in the bridge's order: ends to the metrics first, starts to the spans first."""
    aggregate = numbers.aggregate if isinstance(numbers, MeterBridge) else numbers
    [document] = catalog.documents
    starts = {span.start.name for span in document.spans.values()}
    numbers.attach([event for event in aggregate.handlers if event not in starts])
    spans.attach()
    numbers.attach()


class ReadyMade:
    """The events of one read, whose mappings exist already."""

    def __init__(self, telemetry: Telemetry) -> None:
        inner = {"telemetry_span_context": 2}
        outer = {"telemetry_span_context": 1}
        emitted = metrics.Emitted(telemetry)
        self._events = [
            (emitted.e0, emitted.m0, {**emitted.d0, **outer}),
            (emitted.e1, emitted.m1, {**emitted.d1, **inner}),
            (emitted.e2, emitted.m2, {**emitted.d2, **inner}),
            (emitted.e3, emitted.m3, {**emitted.d3, **outer}),
        ]

    def read(self) -> None:
        """Execute them."""
        for event, measurements, metadata in self._events:
            event.execute(measurements, metadata)


def calls() -> dict[str, Callable[[], object]]:
    """One read, in every way that is compared."""
    catalog = load("modboss")
    read = Read(names=["outdoor_temp", "setpoint", "mode"], result=Ok([0] * 30))
    found: dict[str, Callable[[], object]] = {}

    def meter() -> Any:
        return metrics.provider().get_meter(*SCOPE)

    def ours(name: str, telemetry: Telemetry) -> None:
        found[name] = partial(Emitted(telemetry).read, read)
        found[f"{name}, events ready-made"] = ReadyMade(telemetry).read

    for kind, make in (("configure", own_spans), ("given TracerProvider", given_spans)):
        telemetry = Telemetry()
        make(catalog, telemetry).attach()
        ours(f"spans of one read: {kind}", telemetry)
    own, given = Telemetry(), Telemetry()
    aggregate = Aggregate(from_catalog(catalog), telemetry=own, exemplar=sampled_span())
    attach(catalog, own_spans(catalog, own), aggregate)
    ours("spans and metrics of one read: configure", own)
    attach(catalog, given_spans(catalog, given), MeterBridge(catalog, metrics.provider(), given))
    ours("spans and metrics of one read: given providers", given)

    tracer = tracer_provider().get_tracer(*SCOPE)
    found["spans by hand"] = partial(SpansByHand(tracer).read, read)
    tracer = tracer_provider().get_tracer(*SCOPE)
    found["spans and metrics by hand"] = partial(SpansAndMetricsByHand(tracer, meter()).read, read)
    return found


BARS = {
    "spans of one read: configure": ("spans by hand", 0.28),
    "spans of one read: given TracerProvider": ("spans by hand", 1.0),
    "spans and metrics of one read: configure": ("spans and metrics by hand", 0.13),
    "spans and metrics of one read: given providers": ("spans and metrics by hand", 0.55),
}


def cases() -> Iterator[Case]:
    """What is measured here."""
    found = calls()
    for name, (rival, bar) in BARS.items():
        for case in (name, f"{name}, events ready-made"):
            rivals = [Rival(rival, _repeated(found[rival]), bar)]
            yield Case(case, _repeated(found[case]), rivals, times=200)


def _repeated(call: Callable[[], object]) -> Side:
    def side(times: int) -> None:
        for _ in repeat(None, times):
            call()

    return side
