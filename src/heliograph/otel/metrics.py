# SPDX-License-Identifier: Apache-2.0
"""Metrics of events as OpenTelemetry metrics, in two ways.

Where the pipeline is ours, `Aggregate` keeps every number, and `to_metrics_data` says what was
collected in the SDK's terms, for any of its exporters.

Where the application has a `MeterProvider`, `MeterBridge` feeds it. A histogram's values are
recorded one by one, since OpenTelemetry has no observable histogram. Counters, sums and last values
are observable instruments that read our numbers when a reader collects: that costs nothing when an
event is executed, and the SDK makes each reader's own totals or deltas of them. It follows that a
series which stands still is still reported to a reader of deltas, as 0, and that of several readers
the first one that collects gets the exemplars of counters, sums and last values.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from threading import RLock
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakKeyDictionary

from opentelemetry import trace
from opentelemetry.metrics import Observation
from opentelemetry.sdk.metrics import Exemplar as SdkExemplar
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Buckets,
    ExponentialHistogram,
    ExponentialHistogramDataPoint,
    Gauge,
    Histogram,
    HistogramDataPoint,
    Metric,
    MetricsData,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import (
    INVALID_SPAN,
    NonRecordingSpan,
    SpanContext,
    TraceFlags,
    set_span_in_context,
)

from heliograph.metrics import Aggregate, from_catalog
from heliograph.metrics.aggregate import instrument_of
from heliograph.metrics.points import OVERFLOW, HistogramPoint, NumberPoint
from heliograph.otel.current import CURRENT_CONTEXT, CURRENT_SPAN, SAMPLED
from heliograph.otel.lazy import LazySpan
from heliograph.otel.own import OwnSpan

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from opentelemetry.metrics import CallbackOptions, Meter, MeterProvider
    from opentelemetry.metrics import Histogram as HistogramInstrument
    from opentelemetry.sdk.resources import Resource

    from heliograph.catalog import Catalog
    from heliograph.metrics import Definition, MetricPoints, Scope
    from heliograph.metrics.points import Exemplar, Point, TagValue
    from heliograph.metrics.table import NumberRead
    from heliograph.telemetry import Telemetry

    _Left = dict[object, tuple[Mapping[str, TagValue], int | float]]
    Numbers = Iterable[NumberRead]

__all__ = ["FALLBACK_BUCKETS", "MeterBridge", "sampled_span", "to_metrics_data"]

FALLBACK_BUCKETS: Final = (
    0.005,
    0.01,
    0.025,
    0.05,
    0.075,
    0.1,
    0.25,
    0.5,
    0.75,
    1,
    2.5,
    5,
    7.5,
    10,
)
"""Bounds in seconds for an exponential histogram of a given provider, which cannot be asked for
exponential buckets without a view of the application's own. They are those that OpenTelemetry's
conventions have for durations."""

_TEMPORALITIES: Final = {
    "cumulative": AggregationTemporality.CUMULATIVE,
    "delta": AggregationTemporality.DELTA,
}
_NOBODY: Final = set_span_in_context(INVALID_SPAN)
"""A context of no span, which is not taken for that of whoever collects, as an empty one is."""
_SAMPLED: Final = TraceFlags(TraceFlags.SAMPLED)
# What the SDK says of a range without values.
_EMPTY: Final = Buckets(offset=0, bucket_counts=[0])


def sampled_span() -> Callable[[], tuple[int, int] | None]:
    """What `Aggregate` asks for exemplars: the ids of the current OpenTelemetry span, if sampled.

    That is the filter `trace_based`, OpenTelemetry's default.
    """
    current = CURRENT_CONTEXT.get
    # What spans of others cost to be asked, contexts that do not change need not cost twice.
    latest: tuple[object, tuple[int, int] | None] = (None, None)

    def sampled() -> tuple[int, int] | None:
        nonlocal latest
        context = current()
        span: object = context.get(CURRENT_SPAN)
        if (type(span) is OwnSpan or type(span) is LazySpan) and not span.left_behind:
            # Read off the span: its context need not even exist.
            return (span.trace_id, span.span_id) if span.bits & SAMPLED else None
        known, ids = latest
        if known is not context:
            given = trace.get_current_span(context).get_span_context()
            ids = (given.trace_id, given.span_id) if given.trace_flags.sampled else None
            latest = (context, ids)
        return ids

    return sampled


# -- The pipeline is ours --------------------------------------------------------------------------


def to_metrics_data(metrics: Iterable[MetricPoints], resource: Resource) -> MetricsData:
    """What an aggregate collected, as the SDK's exporters take it.

    Args:
        metrics: What `Aggregate.collect` returned.
        resource: Who reports it.
    """
    scopes: dict[Scope, list[Metric]] = {}
    for each in metrics:
        data = _data(each)
        scopes.setdefault(each.scope, []).append(
            Metric(name=each.name, description=each.description, unit=each.unit, data=data)
        )
    found = []
    for scope, of_scope in scopes.items():
        url = scope.schema_url or ""
        instrumentation = InstrumentationScope(scope.name, scope.version, url)
        found.append(ScopeMetrics(scope=instrumentation, metrics=of_scope, schema_url=url))
    return MetricsData(
        resource_metrics=[
            ResourceMetrics(resource=resource, scope_metrics=found, schema_url=resource.schema_url)
        ]
    )


def _data(metric: MetricPoints) -> Sum | Gauge | Histogram | ExponentialHistogram:
    points: list[Any] = [_point(point) for point in metric.points]
    temporality = _TEMPORALITIES[metric.temporality]
    if metric.instrument == "last_value":
        return Gauge(data_points=points)
    if metric.instrument in {"counter", "sum"}:
        return Sum(points, temporality, is_monotonic=metric.monotonic)
    if metric.definition.exponential:
        return ExponentialHistogram(points, temporality)
    return Histogram(points, temporality)


def _point(
    point: Point,
) -> NumberDataPoint | HistogramDataPoint | ExponentialHistogramDataPoint:
    common: dict[str, Any] = {
        "attributes": point.attributes,
        "start_time_unix_nano": point.start_time,
        "time_unix_nano": point.time,
        "exemplars": [_exemplar(each, point.attributes) for each in point.exemplars],
    }
    if isinstance(point, NumberPoint):
        return NumberDataPoint(value=point.value, **common)
    common |= {"count": point.count, "sum": point.sum, "min": point.min, "max": point.max}
    if isinstance(point, HistogramPoint):
        return HistogramDataPoint(
            bucket_counts=point.counts, explicit_bounds=point.bounds, **common
        )
    return ExponentialHistogramDataPoint(
        scale=point.scale,
        zero_count=point.zero_count,
        positive=Buckets(point.offset, point.counts) if point.counts else _EMPTY,
        negative=_EMPTY,
        flags=0,
        **common,
    )


def _exemplar(exemplar: Exemplar, attributes: Mapping[str, TagValue]) -> SdkExemplar:
    return SdkExemplar(
        filtered_attributes=dict(exemplar.attributes) if attributes else None,
        value=exemplar.value,
        time_unix_nano=exemplar.time,
        span_id=exemplar.span_id,
        trace_id=exemplar.trace_id,
    )


# -- The provider is the application's -------------------------------------------------------------


class MeterBridge:
    """Feeds a catalog's metrics, or definitions of your own, to a `MeterProvider`.

    Attributes:
        aggregate: Keeps the numbers; a histogram's are the provider's.
    """

    aggregate: Aggregate

    def __init__(
        self,
        metrics: Catalog | Iterable[Definition],
        meter_provider: MeterProvider,
        telemetry: Telemetry | None = None,
    ) -> None:
        """Create the instruments that values are recorded on.

        Args:
            metrics: A catalog, or definitions.
            meter_provider: Any; the SDK's, the API's proxy for one that is set later, or none
                (`NoOpMeterProvider`).
            telemetry: The dispatcher whose events they are about; the default one if None.

        Raises:
            DefinitionError: Two metrics have the same name and scope.
        """
        definitions = tuple(metrics) if isinstance(metrics, Iterable) else from_catalog(metrics)
        self._provider = meter_provider
        self.aggregate = Aggregate(
            definitions,
            telemetry=telemetry,
            records={
                each: _histogram(_meter(meter_provider, each.scope), each).record
                for each in definitions
                if instrument_of(each) == "histogram"
            },
            exemplar=sampled_span(),
            # The SDK goes on with its totals in the child, so ours must.
            restart_in_child=False,
        )
        self._sources: list[tuple[_Observable, Callable[[], Numbers]]] = []

    def attach(self, events: Iterable[str] | None = None) -> None:
        """Feed the provider from now on; attaching twice is attaching once.

        Args:
            events: Which events to attach to, as for `Aggregate.attach`.
        """
        if not self._sources:
            for each in self.aggregate.definitions:
                if instrument_of(each) != "histogram":
                    source = self._source(each)
                    observable = _observable(self._provider, each)
                    observable.add(source)
                    self._sources.append((observable, source))
        self.aggregate.attach(events)

    def detach(self) -> None:
        """Feed it no more.

        The SDK keeps what instruments there are; like any other, they go on reporting the totals
        they had. Attached again, they go on from there.
        """
        self.aggregate.detach()
        for observable, source in self._sources:
            observable.remove(source)
        self._sources.clear()
        self.aggregate.clear()

    def _source(self, definition: Definition) -> Callable[[], Numbers]:
        return lambda: self.aggregate.numbers(definition)


class _Observable:
    """The callback of one observable instrument, for all bridges that ever feed it.

    An instrument cannot be removed from its meter, nor made twice. And its totals must not fall,
    so those of a bridge that was detached are kept.
    """

    def __init__(self, *, lasting: bool, limit: int) -> None:
        self._lasting = lasting
        self._limit = limit
        # Replaced as one, never changed: a reader takes no lock, so a fork leaves none held.
        self._state: tuple[tuple[Callable[[], Numbers], ...], _Left] = ((), {})

    def add(self, source: Callable[[], Numbers]) -> None:
        with _changing:
            sources, left = self._state
            self._state = ((*sources, source), left)

    def remove(self, source: Callable[[], Numbers]) -> None:
        with _changing:
            sources, left = self._state
            if self._lasting:
                left = left.copy()
                for attributes, value, _ in source():
                    self._keep(left, attributes, value)
            self._state = (tuple(each for each in sources if each is not source), left)

    def _keep(self, left: _Left, attributes: Mapping[str, TagValue], value: float) -> None:
        key = frozenset((name, type(tag), tag) for name, tag in attributes.items())
        if key not in left and len(left) > self._limit:
            attributes = {OVERFLOW: True}
            key = frozenset({(OVERFLOW, bool, True)})
        _, before = left.get(key, (attributes, 0))
        left[key] = (attributes, before + value)

    def __call__(self, _options: CallbackOptions) -> Iterable[Observation]:
        sources, left = self._state
        found = [Observation(value, attributes, _NOBODY) for attributes, value in left.values()]
        for source in sources:
            for attributes, value, exemplar in source():
                found += self._observed(attributes, value, exemplar)
        return found

    def _observed(
        self, attributes: Mapping[str, TagValue], value: float, exemplar: Exemplar | None
    ) -> Iterator[Observation]:
        """What the SDK makes this value of, and takes this exemplar from.

        It takes an exemplar from what is observed in a sampled span. Observations of the same
        attributes are added up by counters, and the last one holds for a gauge.
        """
        if exemplar is not None:
            rest = value - exemplar.value if self._lasting else value
            if not self._lasting or rest + exemplar.value == value:
                context = SpanContext(exemplar.trace_id, exemplar.span_id, False, _SAMPLED)
                yield Observation(
                    exemplar.value, attributes, set_span_in_context(NonRecordingSpan(context))
                )
                value = rest
        yield Observation(value, attributes, _NOBODY)


_observables: Final[WeakKeyDictionary[Any, dict[object, _Observable]]] = WeakKeyDictionary()
_changing: Final = RLock()
if hasattr(os, "register_at_fork"):  # pragma: no branch - absent on Windows only
    os.register_at_fork(
        before=_changing.acquire,
        after_in_parent=_changing.release,
        after_in_child=_changing.release,
    )


def _observable(provider: MeterProvider, definition: Definition) -> _Observable:
    """The one callback of a provider's instrument, which is created with it."""
    kind = instrument_of(definition)
    identity = (definition.scope, definition.name.lower(), kind, definition.unit)
    with _changing:
        known = _observables.setdefault(provider, {})
        observable = known.get(identity)
        if observable is None:
            observable = _Observable(lasting=kind != "gauge", limit=definition.cardinality_limit)
            meter = _meter(provider, definition.scope)
            create = {
                "counter": meter.create_observable_counter,
                "updowncounter": meter.create_observable_up_down_counter,
                "gauge": meter.create_observable_gauge,
            }[kind]
            create(definition.name, [observable], definition.unit, definition.description)
            known[identity] = observable
    return observable


def _meter(provider: MeterProvider, scope: Scope) -> Meter:
    return provider.get_meter(scope.name, scope.version, scope.schema_url)


def _histogram(meter: Meter, definition: Definition) -> HistogramInstrument:
    bounds = definition.buckets
    if definition.exponential and definition.unit == "s":
        bounds = FALLBACK_BUCKETS
    return meter.create_histogram(
        definition.name,
        definition.unit,
        definition.description,
        explicit_bucket_boundaries_advisory=list(bounds),
    )
