# SPDX-License-Identifier: Apache-2.0
"""The bridge as an application turns it on: `instrument` and `configure`."""

from __future__ import annotations

import itertools
import logging
import os
import threading
import time
from typing import TYPE_CHECKING, Any, Final, Self

from opentelemetry import _logs as logs_api
from opentelemetry import metrics as metrics_api
from opentelemetry import trace as trace_api

from heliograph import catalog as catalogs_module
from heliograph import default
from heliograph.catalog import Catalog
from heliograph.metrics import Aggregate, from_catalog
from heliograph.otel.attributes import AttributeLimits
from heliograph.otel.configuration import SIGNALS, Options, check_signals, settle
from heliograph.otel.environment import ConfigurationError, Environment
from heliograph.otel.given import flush_providers
from heliograph.otel.health import FlushResult, HealthReports
from heliograph.otel.lifetime import (
    at_exit,
    no_longer_at_exit,
    no_longer_propagate_by,
    propagate_by,
)
from heliograph.otel.logs import LogBridge, OwnLogging
from heliograph.otel.metrics import MeterBridge, sampled_span
from heliograph.otel.pipeline import Pipeline, Ticker
from heliograph.otel.spans import OwnTracing, SpanBridge

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    from opentelemetry._logs import LoggerProvider
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.sdk.trace.id_generator import IdGenerator
    from opentelemetry.sdk.trace.sampling import Sampler
    from opentelemetry.trace import TracerProvider

    from heliograph import Telemetry
    from heliograph.metrics.points import Temporality
    from heliograph.otel.configuration import Compression, Protocol, Settings, Signal
    from heliograph.otel.health import Health
    from heliograph.otel.spans import OpenSpanLimits
    from heliograph.otel.worker import Backoff

    Catalogs = Catalog | str | os.PathLike[str] | Iterable[str | os.PathLike[str]] | None

__all__ = ["Bridge", "configure", "instrument"]

_log: Final = logging.getLogger("heliograph.otel")
_numbers: Final = itertools.count(1)
# Our choice: how often open spans are looked at where no collection of metrics does it.
_TICK: Final = 60.0
# Our choice: the process's exit takes 3 s at most, and the interpreter needs some of them too.
_EXIT_TIMEOUT: Final = 2.0


class Bridge:
    """What `instrument` and `configure` return: the bridge that is on.

    Leaving it as a context manager shuts it down, and so does the end of the process.

    Attributes:
        catalog: The catalogs whose events it exports.
        disabled: Whether OTEL_SDK_DISABLED keeps it from doing anything.
        exit_timeout: Seconds that the end of the process may be delayed for the last export.
    """

    def __init__(
        self,
        catalog: Catalog,
        telemetry: Telemetry,
        *,
        disabled: bool = False,
        exit_timeout: float = _EXIT_TIMEOUT,
    ) -> None:
        self.catalog = catalog
        self.disabled = disabled
        self._telemetry = telemetry
        self.exit_timeout: float = exit_timeout
        self._number = next(_numbers)
        self._spans: SpanBridge | None = None
        self._logs: LogBridge | None = None
        self._metrics: MeterBridge | Aggregate | None = None
        self._pipeline: Pipeline | None = None
        self._reports = HealthReports(telemetry, {}, {}, self._open_spans, self._unusable)
        self._ticker: Ticker | None = None
        self._providers: Mapping[Signal, Any] = {}
        self._propagates = False
        self._lock = threading.Lock()
        self._on = False

    def __repr__(self) -> str:
        return f"<OpenTelemetry bridge {self._number}, {'on' if self._on else 'off'}>"

    # -- For the application ----------------------------------------------------------------------

    def flush(self, timeout: float = 10.0) -> FlushResult:
        """Export what waits, now.

        Returns by the deadline, whatever the collector does: at once if it refuses connections.
        What could not be exported waits on. Given providers are asked to flush, each in a thread of
        its own.

        Args:
            timeout: Seconds.

        Returns:
            Whether everything was taken in time, and counts.

        Raises:
            ValueError: The time-out is no number of at least 0.
        """
        _check_timeout(timeout)
        if self._pipeline is not None:
            return self._pipeline.flush(timeout)
        return flush_providers(self._providers, timeout) if self._on else FlushResult("ok")

    def shutdown(self, timeout: float = 3.0) -> FlushResult:
        """End the bridge: listen to nothing any more, and export what waits for the last time.

        Returns by the deadline. What could not be exported by then is dropped, and counted. Given
        providers are flushed, and not shut down: they are the application's.

        Args:
            timeout: Seconds.

        Raises:
            ValueError: The time-out is no number of at least 0.
        """
        _check_timeout(timeout)
        return self.begin_ending(time.monotonic() + timeout, flush_given=True)()

    def detach(self) -> None:
        """End the bridge as `shutdown` does, with the time that the process's exit would get."""
        self.shutdown(self.exit_timeout)

    def health(self) -> Health:
        """How it is doing: what waits, was exported, was dropped and why, and the last errors."""
        if self._pipeline is not None:
            return self._pipeline.reports.snapshot()
        return self._reports.snapshot()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.detach()

    # -- On and off -------------------------------------------------------------------------------

    def _attach(self, *, propagate: bool) -> None:
        """Turn it on; if that fails, nothing stays behind."""
        self._on = True
        try:
            # Metrics take what ends a span before it ends, and what begins one after it began, so
            # that their exemplars are of the operation itself.
            if self._metrics is not None:
                self._metrics.attach(self._not_starts())
            for part in (self._logs, self._spans, self._metrics):
                if part is not None:
                    part.attach()
            if self._pipeline is not None:
                self._pipeline.start()
            if self._ticker is not None:
                self._ticker.start()
        except BaseException:
            self.exit_timeout = 0.0
            self.detach()
            raise
        if propagate:
            self._propagates = propagate_by(self._telemetry)
        at_exit(self)

    def _not_starts(self) -> list[str]:
        starts = {span.start.name for span in self.catalog.spans.values()}
        metrics = self._metrics
        aggregate = metrics.aggregate if isinstance(metrics, MeterBridge) else metrics
        return [] if aggregate is None else [e for e in aggregate.handlers if e not in starts]

    def begin_ending(
        self, deadline: float, *, flush_given: bool = False
    ) -> Callable[[], FlushResult]:
        """Begin to shut down; return what waits for it. At exit, providers flush by themselves."""
        with self._lock:
            if not self._on:
                return lambda: FlushResult("ok")
            self._on = False
        no_longer_at_exit(self)
        if self._propagates:
            no_longer_propagate_by(self._telemetry)
        if self._ticker is not None:
            self._ticker.stop()
        # The spans first: those still open end as orphans, and these are to be exported.
        for part in (self._spans, self._logs):
            if part is not None:
                part.detach()
        self._report()
        if self._metrics is not None:
            self._metrics.detach()
        if self._pipeline is not None:
            return self._pipeline.begin_shutdown(deadline)
        timeout = max(0.0, deadline - time.monotonic())
        providers = self._providers if flush_given else {}
        return lambda: flush_providers(providers, timeout)

    # -- Health -----------------------------------------------------------------------------------

    def _report(self) -> None:
        try:
            (self._reports if self._pipeline is None else self._pipeline.reports).report()
        except Exception:  # noqa: BLE001 - an observer of our events may raise anything
            _log.exception("the bridge's own events could not be executed")

    def _open_spans(self) -> int:
        return 0 if self._spans is None else self._spans.expire()

    def _unusable(self) -> Mapping[tuple[Signal, str], int]:
        found: dict[tuple[Signal, str], int] = {}
        if self._spans is not None:
            found |= {("traces", reason): n for reason, n in self._spans.counts.copy().items()}
        if self._logs is not None:
            found |= {("logs", reason): n for reason, n in self._logs.counts.copy().items()}
        if self._metrics is not None:
            metrics = self._metrics
            aggregate = metrics if isinstance(metrics, Aggregate) else metrics.aggregate
            for (_metric, reason), count in aggregate.skipped.items():
                found["metrics", reason] = found.get(("metrics", reason), 0) + count
        return found


def instrument(
    catalogs: Catalogs = None,
    *,
    tracer_provider: TracerProvider | None = None,
    meter_provider: MeterProvider | None = None,
    logger_provider: LoggerProvider | None = None,
    signals: Collection[Signal] = SIGNALS,
    attribute_limits: AttributeLimits | None = None,
    open_spans: OpenSpanLimits | None = None,
    record_exceptions: bool = False,
    propagate: bool = True,
    telemetry: Telemetry | None = None,
) -> Bridge:
    """Export catalogued events through the providers the application has.

        heliograph.otel.instrument(tracer_provider=provider)

    The providers decide on sampling, limits, resource and where everything goes. One that is not
    given is OpenTelemetry's global one, which may also be set later.

    Args:
        catalogs: A catalog; or names and paths as for `heliograph.catalog.load`; all that are
            installed if None.
        tracer_provider: Makes the spans.
        meter_provider: Has the metrics.
        logger_provider: Takes the log events.
        signals: Which of `traces`, `metrics` and `logs`.
        attribute_limits: How long attribute values may be.
        open_spans: How many operations may be under way, and for how long.
        record_exceptions: Whether exceptions are also recorded on their spans.
        propagate: Whether components carry trace context over their wires by OpenTelemetry's
            propagators. A propagator that the application has set stays.
        telemetry: The dispatcher; the default one if None.

    Returns:
        The bridge, which is on.

    Raises:
        CatalogError: A catalog is faulty, or two contradict each other.
        ConfigurationError: A signal is none.
    """
    catalog, telemetry = _load(catalogs), telemetry or default()
    env = Environment({})
    check_signals(signals, env)
    if env.faults:
        raise ConfigurationError(env.faults)
    bridge = Bridge(catalog, telemetry)
    providers: dict[Signal, Any] = {}
    handler_id = ("heliograph.otel", bridge._number)
    if "logs" in signals:
        providers["logs"] = logger_provider or logs_api.get_logger_provider()
        bridge._logs = LogBridge(
            catalog,
            logger_provider=providers["logs"],
            telemetry=telemetry,
            attribute_limits=attribute_limits,
            handler_id=(*handler_id, "logs"),
        )
    if "traces" in signals:
        providers["traces"] = tracer_provider or trace_api.get_tracer_provider()
        bridge._spans = SpanBridge(
            catalog,
            tracer_provider=providers["traces"],
            telemetry=telemetry,
            attribute_limits=attribute_limits,
            open_limits=open_spans,
            record_exceptions=record_exceptions,
            logs=bridge._logs,
            handler_id=(*handler_id, "spans"),
        )
    if "metrics" in signals:
        providers["metrics"] = meter_provider or metrics_api.get_meter_provider()
        bridge._metrics = MeterBridge(catalog, providers["metrics"], telemetry)
    bridge._providers = providers
    bridge._ticker = Ticker(_TICK, bridge._report)
    bridge._attach(propagate=propagate)
    return bridge


def configure(
    endpoint: str | None = None,
    *,
    protocol: Protocol | None = None,
    headers: Mapping[str, str] | None = None,
    compression: Compression | None = None,
    timeout: float | None = None,
    certificate_file: str | None = None,
    client_key_file: str | None = None,
    client_certificate_file: str | None = None,
    service_name: str | None = None,
    resource_attributes: Mapping[str, Any] | None = None,
    sampler: Sampler | str | None = None,
    id_generator: IdGenerator | None = None,
    catalogs: Catalogs = None,
    signals: Collection[Signal] | None = None,
    temporality: Temporality | None = None,
    exponential_histograms: bool | None = None,
    metric_interval: float | None = None,
    queue_size: int | None = None,
    batch_size: int | None = None,
    delay: float | None = None,
    backoff: Backoff | None = None,
    exit_timeout: float = _EXIT_TIMEOUT,
    attribute_limits: AttributeLimits | None = None,
    open_spans: OpenSpanLimits | None = None,
    record_exceptions: bool = False,
    propagate: bool = True,
    telemetry: Telemetry | None = None,
) -> Bridge:
    """Export catalogued events to an OTLP collector, by a pipeline of our own.

        heliograph.otel.configure("http://collector:4318", service_name="shop")

    Everything has a default, and everything can be said by OpenTelemetry's standard variables; what
    is given here wins over them. The collector may come and go: what can't be sent waits in bounded
    queues, further items are dropped and counted, and the application notices nothing.

    Args:
        endpoint: The collector, without a signal's path; `http://localhost:4318`, or port 4317 for
            gRPC, if nobody says otherwise.
        protocol: `"http/protobuf"` or `"grpc"`; the former if nobody says otherwise.
        headers: Sent with each request, beside those of the environment.
        compression: `"none"`, `"gzip"` or, over HTTP, `"deflate"`.
        timeout: Seconds one attempt may take.
        certificate_file: Authorities to trust, in PEM.
        client_key_file: The client's key, in PEM.
        client_certificate_file: The client's certificate, in PEM.
        service_name: What the process is called.
        resource_attributes: What else is to be known of it.
        sampler: Decides which spans are recorded: one of the SDK's, or its name as in
            OTEL_TRACES_SAMPLER.
        id_generator: Where trace and span ids come from.
        catalogs: A catalog; or names and paths as for `heliograph.catalog.load`; all that are
            installed if None.
        signals: Which of `traces`, `metrics` and `logs`; all if None. One whose variable, such as
            `OTEL_LOGS_EXPORTER`, says `none` is not exported.
        temporality: Whether metrics are told as totals (`"cumulative"`) or differences (`"delta"`).
        exponential_histograms: Whether all histograms get base-2 exponential buckets.
        metric_interval: Seconds between two collections of metrics.
        queue_size: Spans that may wait; and log events.
        batch_size: Spans, or log events, of one request.
        delay: Seconds between two exports of spans, or of log events.
        backoff: How long to wait between attempts while the collector is away.
        exit_timeout: Seconds that the end of the process may be delayed for the last export.
        attribute_limits: How long attribute values may be; the variables' limits if None.
        open_spans: How many operations may be under way, and for how long.
        record_exceptions: Whether exceptions are also recorded on their spans.
        propagate: As for `instrument`.
        telemetry: The dispatcher; the default one if None.

    Returns:
        The bridge, which is on; one that does nothing if OTEL_SDK_DISABLED is true.

    Raises:
        CatalogError: A catalog is faulty, or two contradict each other.
        ConfigurationError: An argument or a variable can't be used; every fault is named.
    """
    _check_timeout(exit_timeout, "exit_timeout")
    settings = settle(
        Options(
            endpoint=endpoint,
            protocol=protocol,
            headers=headers,
            compression=compression,
            timeout=timeout,
            certificate_file=certificate_file,
            client_key_file=client_key_file,
            client_certificate_file=client_certificate_file,
            service_name=service_name,
            resource_attributes=resource_attributes,
            sampler=sampler,
            temporality=temporality,
            exponential_histograms=exponential_histograms,
            metric_interval=metric_interval,
            queue_size=queue_size,
            batch_size=batch_size,
            delay=delay,
            signals=signals,
        )
    )
    catalog, telemetry = _load(catalogs), telemetry or default()
    bridge = Bridge(catalog, telemetry, disabled=settings.disabled, exit_timeout=exit_timeout)
    if settings.disabled:
        return bridge
    _own_pipeline(bridge, settings, backoff)
    _own_parts(bridge, settings, id_generator, attribute_limits, open_spans, record_exceptions)
    bridge._attach(propagate=propagate)
    return bridge


def _own_pipeline(bridge: Bridge, settings: Settings, backoff: Backoff | None) -> None:
    telemetry = bridge._telemetry
    aggregate: Aggregate | None = None
    if "metrics" in settings.destinations:
        aggregate = bridge._metrics = Aggregate(
            from_catalog(bridge.catalog, exponential=settings.exponential_histograms),
            telemetry=telemetry,
            exemplar=sampled_span() if settings.exemplars else None,
        )
    else:
        bridge._ticker = Ticker(_TICK, bridge._report)
    bridge._pipeline = Pipeline(
        settings,
        aggregate,
        telemetry,
        open_spans=bridge._open_spans,
        unusable=bridge._unusable,
        backoff=backoff,
    )


def _own_parts(
    bridge: Bridge,
    settings: Settings,
    ids: IdGenerator | None,
    attribute_limits: AttributeLimits | None,
    open_spans: OpenSpanLimits | None,
    record_exceptions: bool,
) -> None:
    pipeline, handler_id = bridge._pipeline, ("heliograph.otel", bridge._number)
    assert pipeline is not None, "the caller has made it"

    def limits(signal: Signal) -> AttributeLimits | None:
        longest = settings.value_lengths[signal]
        if attribute_limits is not None or longest is None:
            return attribute_limits
        return AttributeLimits(text=longest)

    if "logs" in settings.destinations:
        bridge._logs = LogBridge(
            bridge.catalog,
            own=OwnLogging(settings.resource, pipeline.putter("logs"), settings.log_limits),
            telemetry=bridge._telemetry,
            attribute_limits=limits("logs"),
            handler_id=(*handler_id, "logs"),
        )
    if "traces" in settings.destinations:
        own: dict[str, Any] = {} if ids is None else {"ids": ids}
        bridge._spans = SpanBridge(
            bridge.catalog,
            own=OwnTracing(
                settings.resource,
                pipeline.putter("traces"),
                settings.sampler,
                settings.span_limits,
                **own,
            ),
            telemetry=bridge._telemetry,
            attribute_limits=limits("traces"),
            open_limits=open_spans,
            record_exceptions=record_exceptions,
            logs=bridge._logs,
            handler_id=(*handler_id, "spans"),
        )


def _load(catalogs: Catalogs) -> Catalog:
    if isinstance(catalogs, Catalog):
        return catalogs
    if catalogs is None:
        return catalogs_module.load()
    if isinstance(catalogs, (str, os.PathLike)):
        return catalogs_module.load(catalogs)
    return catalogs_module.load(*catalogs)


def _check_timeout(timeout: object, name: str = "timeout") -> None:
    if isinstance(timeout, bool) or not isinstance(timeout, (int, float)) or not timeout >= 0:
        raise ValueError(f"{name} is {timeout!r}; give seconds, at least 0")
