# SPDX-License-Identifier: Apache-2.0
"""A stranger's catalog, and both ways its operations become spans: the bridge knows neither."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from opentelemetry import trace
from opentelemetry.sdk._logs import LoggerProvider, ReadableLogRecord
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.id_generator import IdGenerator, RandomIdGenerator
from opentelemetry.sdk.trace.sampling import DEFAULT_ON, Sampler

from heliograph import Telemetry
from heliograph.catalog import Catalog, load_text
from heliograph.otel.logs import LogBridge, OwnLogging
from heliograph.otel.own import OwnSpan
from heliograph.otel.spans import OwnTracing, SpanBridge

BAKERY = """
catalog: bakery
version: 2.1.0
brief: A bakery
schema_url: https://bakery.example/schemas/2.1.0
fields:
  oven: {type: string, brief: Oven}
  loaves: {type: int, brief: Loaves, unit: "{loaf}"}
  heat: {type: number, brief: Heat, unit: Cel}
  share: {type: float, brief: Share}
  hot: {type: bool, brief: Whether it is hot}
  grains: {type: "string[]", brief: Grains}
  steps: {type: "int[]", brief: Steps}
  recipe: {type: map, brief: Recipe}
  anything: {type: any, brief: Anything, cardinality: high}
  seal: {type: bytes, brief: Seal}
  customer: {type: string, brief: Customer, sensitivity: sensitive}
  inner: {type: string, brief: Not for export, attribute: none}
  order: {type: string, brief: Order, cardinality: high, attribute: order.id}
  result: {type: result, brief: Result, attribute: none}
  secret: {type: result, brief: It tells too much, attribute: none, sensitivity: sensitive}
  count: {type: int, brief: Count}
  blame: {type: exception, brief: It tells too much, attribute: none, sensitivity: sensitive}
  frames: {type: stacktrace, brief: They tell too much, attribute: none, sensitivity: sensitive}
events:
  bakery.door.opened:
    brief: A customer came in
    measurements: [count]
    metadata: [oven?, customer?, inner?, order?, anything?]
    severity: warn
  bakery.tick: {brief: Too frequent for a log, measurements: [count], log: false}
  bakery.burnt: {brief: Something burnt, metadata: [reason, stacktrace], severity: fatal}
  bakery.checked: {brief: Something was checked, metadata: [result]}
  bakery.spoilt: {brief: Something was spoilt in secret, metadata: [blame, frames]}
  bakery.rang: {deprecated: {renamed_to: bakery.door.opened}}
spans:
  bakery.bake:
    brief: Baking
    kind: producer
    span_name: bake bread
    metadata: [oven, customer?, inner?, order?]
    stop:
      measurements: [loaves?]
      metadata: [heat?, share?, hot?, grains?, steps?, recipe?, anything?, seal?, result?]
  bakery.knead: {brief: Kneading, metadata: [oven?]}
  bakery.pay: {brief: Paying, kind: client, stop: {metadata: [secret?]}}
  bakery.weigh: {brief: Weighing, start: {measurements: [loaves]}}
  bakery.roast: {deprecated: {renamed_to: bakery.bake}}
"""


def bakery() -> Catalog:
    """The catalog."""
    return Catalog([load_text(BAKERY, "bakery.yaml")])


@dataclass
class Kitchen:
    """A dispatcher with its bridges, and what came out of them."""

    telemetry: Telemetry
    spans: SpanBridge
    logs: LogBridge
    finished: Callable[[], Sequence[ReadableSpan]]
    records: Callable[[], Sequence[ReadableLogRecord]]
    tracer: trace.Tracer
    """Another library's, on the same provider where there is one."""
    theirs: Callable[[], Sequence[ReadableSpan]]
    extra: dict[str, Any] = field(default_factory=dict)

    def one(self, name: str) -> ReadableSpan:
        """The only finished span of a name."""
        (found,) = [span for span in self.finished() if span.name == name]
        return found


@dataclass
class Choices:
    """What a test may want to be otherwise."""

    sampler: Sampler = DEFAULT_ON
    limits: SpanLimits = field(default_factory=SpanLimits)
    ids: IdGenerator = field(default_factory=RandomIdGenerator)
    bridge: dict[str, Any] = field(default_factory=dict)


def open_kitchen(path: str, choices: Choices | None = None) -> Kitchen:
    """Set up the bridges: `path` is "own" or "given"."""
    choices = choices or Choices()
    telemetry, catalog = Telemetry(), bakery()
    exporter = InMemorySpanExporter()
    provider = TracerProvider(
        sampler=choices.sampler,
        span_limits=choices.limits,
        id_generator=choices.ids,
        resource=Resource({"service.name": "bakery"}),
        shutdown_on_exit=False,
    )
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    own_spans: list[OwnSpan] = []
    own_records: list[ReadableLogRecord] = []
    log_exporter = InMemoryLogRecordExporter()  # type: ignore[no-untyped-call]  # the SDK's
    if path == "own":
        resource = Resource({"service.name": "bakery"})
        logs = LogBridge(catalog, own=OwnLogging(resource, own_records.append), telemetry=telemetry)
        spans = SpanBridge(
            catalog,
            own=OwnTracing(
                resource, own_spans.append, choices.sampler, choices.limits, choices.ids
            ),
            telemetry=telemetry,
            logs=logs,
            **choices.bridge,
        )
    else:
        log_provider = LoggerProvider(Resource({"service.name": "bakery"}), shutdown_on_exit=False)
        log_provider.add_log_record_processor(SimpleLogRecordProcessor(log_exporter))
        logs = LogBridge(catalog, logger_provider=log_provider, telemetry=telemetry)
        spans = SpanBridge(
            catalog, tracer_provider=provider, telemetry=telemetry, logs=logs, **choices.bridge
        )
    logs.attach()
    spans.attach()

    def ours() -> Sequence[ReadableSpan]:
        if path == "own":
            return [span.readable() for span in own_spans]
        return [
            span
            for span in exporter.get_finished_spans()
            if span.instrumentation_scope is not None
            and span.instrumentation_scope.name == "bakery"
        ]

    def theirs() -> Sequence[ReadableSpan]:
        return [
            span
            for span in exporter.get_finished_spans()
            if span.instrumentation_scope is not None
            and span.instrumentation_scope.name != "bakery"
        ]

    def records() -> Sequence[ReadableLogRecord]:
        return own_records if path == "own" else log_exporter.get_finished_logs()

    return Kitchen(
        telemetry, spans, logs, ours, records, provider.get_tracer("another.library"), theirs
    )
