# SPDX-License-Identifier: Apache-2.0
"""What the bridge exports is what the same instrumentation by hand exports.

By hand is the benchmarks' yardstick, so that they compare like with like. Ids, times and the order
of attributes aside; ids are compared as what they refer to.
"""

from __future__ import annotations

import contextvars
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from typing import Any, ClassVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry import trace
from opentelemetry.sdk._logs import LoggerProvider, ReadableLogRecord
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader, MetricsData
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from benchmarks.otel import logs as log_benchmark
from benchmarks.otel import spans as span_benchmark
from benchmarks.otel import yardstick
from heliograph import Error, Ok, Telemetry
from heliograph.catalog import load
from heliograph.metrics import Aggregate, from_catalog
from heliograph.otel.logs import LogBridge, OwnLogging
from heliograph.otel.metrics import MeterBridge, sampled_span, to_metrics_data
from heliograph.otel.own import OwnSpan, readable
from heliograph.otel.spans import OwnTracing, SpanBridge
from heliograph.spans import set_sources
from tests.otel.test_metrics_differential import comparable

RESOURCE = Resource({"service.name": "test"})

reads = st.builds(
    yardstick.Read,
    schema=st.sampled_from(["Thermostat", "Kühlung", "s" * 3_000]),
    names=st.lists(st.text(st.characters(codec="utf-8"), max_size=9), max_size=4),
    object_type=st.sampled_from(["holding_register", "coil"]),
    start=st.integers(0, 65_535),
    addresses=st.integers(0, 125),
    gaps=st.integers(0, 9),
    largest_gap=st.integers(0, 9),
    result=st.just(Ok([1]))
    | st.builds(Error, st.sampled_from(["timeout", ValueError("wrong")]))
    | st.sampled_from([KeyError("gone"), OSError(5, "broken")]),
)
answered = reads.filter(lambda read: not isinstance(read.result, BaseException))


class Timed(yardstick.Read):
    """A read whose request takes 3 ms on a clock of its own."""

    now: ClassVar[int] = 0

    def perform(self) -> object:
        Timed.now += 3_000_000
        return super().perform()


@dataclass
class Exported:
    """One way to do reads, and what comes of it."""

    read: Callable[[yardstick.Read], object]
    finished: Callable[[], Sequence[OwnSpan | ReadableSpan]]
    collect: Callable[[], MetricsData | None] = lambda: None
    close: list[Callable[[], object]] = field(default_factory=list)


def tracing() -> tuple[TracerProvider, InMemorySpanExporter]:
    exporter = InMemorySpanExporter()
    provider = TracerProvider(resource=RESOURCE, shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return provider, exporter


def metering() -> tuple[MeterProvider, InMemoryMetricReader]:
    reader = InMemoryMetricReader()
    return MeterProvider([reader], resource=RESOURCE, shutdown_on_exit=False), reader


def by_hand() -> Exported:
    provider, exporter = tracing()
    read = yardstick.SpansByHand(provider.get_tracer(*yardstick.SCOPE)).read
    return Exported(read, exporter.get_finished_spans)


def by_hand_with_metrics() -> Exported:
    provider, exporter = tracing()
    meters, reader = metering()
    hand = yardstick.SpansAndMetricsByHand(
        provider.get_tracer(*yardstick.SCOPE),
        meters.get_meter(*yardstick.SCOPE),
        lambda: Timed.now,
    )
    return Exported(hand.read, exporter.get_finished_spans, reader.get_metrics_data)


def ours(path: str, *, with_metrics: bool = False) -> Exported:
    catalog, telemetry = load("modboss"), Telemetry()
    spans: list[OwnSpan] = []
    provider, exporter = tracing()
    bridge = (
        SpanBridge(catalog, own=OwnTracing(RESOURCE, spans.append), telemetry=telemetry)
        if path == "own"
        else SpanBridge(catalog, tracer_provider=provider, telemetry=telemetry)
    )
    read = yardstick.Emitted(telemetry).read
    finished = (lambda: readable(spans)) if path == "own" else exporter.get_finished_spans
    exported = Exported(read, finished, close=[bridge.detach])
    if not with_metrics:
        bridge.attach()
        return exported
    numbers: Aggregate | MeterBridge
    if path == "own":
        own = Aggregate(from_catalog(catalog), telemetry=telemetry, exemplar=sampled_span())
        exported.collect = lambda: to_metrics_data(own.collect(), RESOURCE)
        numbers = own
    else:
        meters, reader = metering()
        numbers = MeterBridge(catalog, meters, telemetry)
        exported.collect = reader.get_metrics_data
    span_benchmark.attach(catalog, bridge, numbers)
    exported.close.append(numbers.detach)
    return exported


def told(spans: Sequence[OwnSpan | ReadableSpan]) -> list[dict[str, Any]]:
    """All that spans say; of ids, what they refer to."""
    names = {span.context.span_id: span.name for span in spans if span.context is not None}
    traces: dict[int, int] = {}
    found = []
    for span in spans:
        assert span.context is not None
        assert span.start_time is not None
        assert span.end_time is not None
        found.append(
            {
                "name": span.name,
                "kind": span.kind,
                "attributes": dict(span.attributes or {}),
                "types": {key: type(value) for key, value in (span.attributes or {}).items()},
                "status": (span.status.status_code, span.status.description),
                "events": [*span.events],
                "links": [*span.links],
                "scope": span.instrumentation_scope,
                "resource": span.resource,
                "parent": None if span.parent is None else names[span.parent.span_id],
                "remote": span.parent is not None and span.parent.is_remote,
                "trace": traces.setdefault(span.context.trace_id, len(traces)),
                "flags": span.context.trace_flags,
                "state": dict(span.context.trace_state),
                "dropped": (span.dropped_attributes, span.dropped_events, span.dropped_links),
                "ordered": span.start_time <= span.end_time,
            }
        )
    return found


@pytest.mark.parametrize("path", ["own", "given"])
@given(several=st.lists(reads, max_size=4))
@settings(max_examples=40)
def test_spans_are_those_by_hand(path: str, several: list[yardstick.Read]) -> None:
    def run() -> None:
        mine, theirs = ours(path), by_hand()
        for read in several:
            for each in (mine, theirs):
                with suppress(KeyError, OSError):
                    each.read(read)
        for close in mine.close:
            close()
        assert told(mine.finished()) == told(theirs.finished())
        assert len(mine.finished()) == 2 * len(several)

    contextvars.Context().run(run)


@pytest.fixture
def clock() -> Iterator[None]:
    """The core looks at the same clock as the yardstick: that of `Timed`."""
    before = set_sources(lambda: Timed.now, lambda: 10**18 + Timed.now, count(1).__next__)
    yield
    set_sources(*before)


def pointed(exported: Exported) -> list[Any]:
    """All that metrics say; of an exemplar's span, which one it is."""
    names = {
        (span.context.trace_id, span.context.span_id): (number, span.name)
        for number, span in enumerate(exported.finished())
        if span.context is not None
    }
    data = exported.collect()
    assert data is not None
    found = comparable(data, exemplars=False)
    sampled = sorted(
        (
            metric.name,
            [*(point.attributes or {}).items()],
            exemplar.value,
            exemplar.filtered_attributes,
            names[exemplar.trace_id or 0, exemplar.span_id or 0],
        )
        for resource in data.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
        for point in metric.data.data_points
        for exemplar in point.exemplars
    )
    return [found, sampled]


@pytest.mark.usefixtures("clock")
@pytest.mark.parametrize("path", ["own", "given"])
@pytest.mark.parametrize("result", [Ok([1]), Error("timeout"), Error(ValueError("wrong"))])
def test_spans_with_metrics_and_their_exemplars_are_those_by_hand(
    path: str, result: object
) -> None:
    # One read: of several observations, which one is kept as an exemplar is up to chance.
    mine, theirs = ours(path, with_metrics=True), by_hand_with_metrics()
    read = Timed(result=result)

    mine.read(read)
    theirs.read(read)

    assert told(mine.finished()) == told(theirs.finished())
    said = [pointed(each) for each in (mine, theirs)]
    assert said[0] == said[1]
    assert len(said[0][1]) == 9
    for close in mine.close:
        close()


@pytest.mark.parametrize("path", ["own", "given"])
@pytest.mark.parametrize("in_span", [True, False])
def test_log_events_are_those_by_hand(path: str, *, in_span: bool) -> None:
    scope = (document := load("partisan").documents[0]).name, document.version, document.schema_url
    telemetry = Telemetry()

    def logging() -> tuple[LoggerProvider, InMemoryLogRecordExporter]:
        exporter = InMemoryLogRecordExporter()  # type: ignore[no-untyped-call]  # the SDK's
        provider = LoggerProvider(RESOURCE, shutdown_on_exit=False)
        provider.add_log_record_processor(SimpleLogRecordProcessor(exporter))
        return provider, exporter

    records: list[ReadableLogRecord] = []
    provider, exporter = logging()
    bridge = (
        LogBridge(load("partisan"), own=OwnLogging(RESOURCE, records.append), telemetry=telemetry)
        if path == "own"
        else LogBridge(load("partisan"), logger_provider=provider, telemetry=telemetry)
    )
    bridge.attach()
    hand_provider, hand_exporter = logging()
    hand = log_benchmark.LogByHand(hand_provider.get_logger(*scope))
    span = trace.NonRecordingSpan(
        trace.SpanContext(3, 4, is_remote=False, trace_flags=trace.TraceFlags(1))
    )

    with trace.use_span(span if in_span else trace.INVALID_SPAN):
        for addresses in (["127.0.0.1:1"], [], ["[::1]:2", "ü:3"]):
            log_benchmark.Emitted(telemetry).join("n1", "n2", addresses)
            hand.join("n1", "n2", addresses)
    bridge.detach()

    mine = records if path == "own" else exporter.get_finished_logs()
    theirs = hand_exporter.get_finished_logs()
    assert [logged(each) for each in mine] == [logged(each) for each in theirs]
    assert len(mine) == 3


def logged(readable: ReadableLogRecord) -> dict[str, Any]:
    """All that a log record says but its times."""
    record = readable.log_record
    return {
        "name": record.event_name,
        "severity": (record.severity_number, record.severity_text),
        "body": record.body,
        "attributes": dict(record.attributes or {}),
        "trace": (record.trace_id, record.span_id, record.trace_flags),
        "scope": readable.instrumentation_scope,
        "resource": readable.resource,
        "timed": bool(record.timestamp and record.observed_timestamp),
        "dropped": readable.dropped_attributes,
    }
