# SPDX-License-Identifier: Apache-2.0
"""The bridge on providers the application has, and what both ways of setting up have in common."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from heliograph import Telemetry
from heliograph.catalog import CatalogError
from heliograph.otel import Bridge, ConfigurationError, configure, instrument, lifetime
from heliograph.otel.configuration import Queueing
from heliograph.otel.given import flush_providers
from heliograph.otel.sources import Queue
from heliograph.propagation import Propagator
from tests.otel.bakery import bakery
from tests.otel.endpoints import http_receiver

SHOP = """
catalog: shop
version: 1.0.0
brief: A shop
fields:
  count: {type: int, unit: "{order}", brief: Orders, attribute: none}
events:
  shop.order.placed: {brief: An order, measurements: [count]}
metrics:
  shop.orders: {brief: Orders, instrument: sum, event: shop.order.placed, measurement: count}
"""


class Application:
    """An application with providers of its own."""

    def __init__(self) -> None:
        self.spans = InMemorySpanExporter()
        self.tracer_provider = TracerProvider(shutdown_on_exit=False)
        self.tracer_provider.add_span_processor(SimpleSpanProcessor(self.spans))
        self.reader = InMemoryMetricReader()
        self.meter_provider = MeterProvider([self.reader], shutdown_on_exit=False)
        self.logs = InMemoryLogRecordExporter()  # type: ignore[no-untyped-call]  # the SDK's
        self.logger_provider = LoggerProvider(shutdown_on_exit=False)
        self.logger_provider.add_log_record_processor(SimpleLogRecordProcessor(self.logs))

    def providers(self) -> dict[str, Any]:
        return {
            "tracer_provider": self.tracer_provider,
            "meter_provider": self.meter_provider,
            "logger_provider": self.logger_provider,
        }

    def metrics(self) -> set[str]:
        data = self.reader.get_metrics_data()
        if data is None:
            return set()
        return {
            metric.name
            for resource in data.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
        }


@pytest.fixture
def application() -> Application:
    return Application()


@pytest.fixture
def telemetry() -> Telemetry:
    return Telemetry()


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    path = tmp_path / "shop.yaml"
    path.write_text(SHOP, encoding="utf-8")
    return path


@pytest.fixture
def on(telemetry: Telemetry, application: Application) -> Iterator[Callable[..., Bridge]]:
    bridges: list[Bridge] = []

    def start(*catalogs: Any, **options: Any) -> Bridge:
        given = {**application.providers(), "telemetry": telemetry, **options}
        bridges.append(instrument(*catalogs, **given))
        return bridges[-1]

    yield start
    for bridge in bridges:
        bridge.detach()
    assert telemetry.list_handlers() == []


def test_all_three_signals_reach_the_given_providers(
    on: Callable[..., Bridge], application: Application, telemetry: Telemetry
) -> None:
    bridge = on()
    with telemetry.span("modboss.read", {"schema": "pump", "names": ["a"]}):
        telemetry.execute("heliograph.catalog.violation", {"count": 1}, {"event_name": "x"})

    (span,) = application.spans.get_finished_spans()
    (log,) = application.logs.get_finished_logs()
    assert span.name == "modboss.read"
    assert span.instrumentation_scope is not None
    (modboss,) = [each for each in bridge.catalog.documents if each.name == "modboss"]
    scope = span.instrumentation_scope
    assert (scope.name, scope.version, scope.schema_url) == (
        "modboss",
        modboss.version,
        modboss.schema_url,
    )
    assert log.log_record.event_name == "heliograph.catalog.violation"
    assert {"modboss.read.duration", "heliograph.catalog.violations"} <= application.metrics()


@pytest.mark.parametrize("form", ["catalog", "name", "names", "path", "paths"])
def test_catalogs_are_given_in_any_form(
    form: str, on: Callable[..., Bridge], shop: Path, telemetry: Telemetry
) -> None:
    given: Any = {
        "catalog": bakery(),
        "name": "modboss",
        "names": ["modboss", "partisan"],
        "path": shop,
        "paths": (str(shop), "modboss"),
    }[form]
    expected = {
        "catalog": ["bakery"],
        "name": ["modboss"],
        "names": ["modboss", "partisan"],
        "path": ["shop"],
        "paths": ["shop", "modboss"],
    }[form]

    bridge = on(given)

    assert [document.name for document in bridge.catalog.documents] == expected
    assert repr(bridge).endswith("on>")


def test_only_the_signals_asked_for_are_exported(
    on: Callable[..., Bridge], application: Application, telemetry: Telemetry
) -> None:
    on(signals=["metrics"])
    with telemetry.span("modboss.read", {"schema": "pump", "names": ["a"]}):
        telemetry.execute("heliograph.catalog.violation", {"count": 1}, {"event_name": "x"})

    assert application.spans.get_finished_spans() == ()
    assert application.logs.get_finished_logs() == ()
    assert "modboss.read.duration" in application.metrics()


def test_detaching_leaves_nothing_behind(
    on: Callable[..., Bridge], application: Application, telemetry: Telemetry
) -> None:
    bridge = on()
    assert type(telemetry.propagator) is not Propagator
    ticker = bridge._ticker
    assert ticker is not None

    bridge.detach()
    bridge.detach()

    assert telemetry.list_handlers() == []
    assert type(telemetry.propagator) is Propagator
    assert lifetime._living == {}
    assert not ticker._thread.is_alive()
    assert repr(bridge).endswith("off>")
    with telemetry.span("modboss.read", {"schema": "pump", "names": ["a"]}):
        pass
    assert application.spans.get_finished_spans() == ()


def test_the_health_of_the_bridge_reaches_the_given_provider(
    on: Callable[..., Bridge], application: Application, telemetry: Telemetry
) -> None:
    bridge = on()
    telemetry.execute("modboss.read.stop", {"duration": 1}, {"telemetry_span_context": "unknown"})

    assert bridge.health().unusable["traces", "unmatched"] == 1
    assert bridge.health().signals == {}
    bridge._report()
    assert {"heliograph.otel.span.open", "heliograph.otel.unusable_items"} <= application.metrics()


def test_a_signal_that_is_none_is_refused(on: Callable[..., Bridge]) -> None:
    with pytest.raises(ConfigurationError, match="signals"):
        on(signals=["spans"])


class TestBadCatalogs:
    """Faulty catalogs are one clear error, and nothing is turned on."""

    @pytest.fixture(params=["instrument", "configure"])
    def turn_on(self, request: pytest.FixtureRequest, telemetry: Telemetry) -> Any:
        def turn_on(*catalogs: Path) -> None:
            setup: Any = instrument if request.param == "instrument" else configure
            setup(catalogs=catalogs, telemetry=telemetry)

        return turn_on

    def test_a_metric_of_a_field_that_does_not_exist(
        self, turn_on: Any, shop: Path, telemetry: Telemetry
    ) -> None:
        shop.write_text(SHOP.replace("measurement: count", "measurement: cuont"), encoding="utf-8")

        with pytest.raises(CatalogError, match="cuont"):
            turn_on(shop)

        assert telemetry.list_handlers() == []

    def test_two_catalogs_that_claim_one_event(
        self, turn_on: Any, shop: Path, telemetry: Telemetry
    ) -> None:
        other = shop.with_name("other.yaml")
        other.write_text(SHOP.replace("catalog: shop", "catalog: rival"), encoding="utf-8")

        with pytest.raises(CatalogError, match=r"'shop\.order\.placed' is declared at"):
            turn_on(shop, other)

        assert telemetry.list_handlers() == []
        assert lifetime._living == {}


class TestFlush:
    """Given providers take no notice of deadlines; we do."""

    class Provider:
        def __init__(self, answer: Any = True) -> None:
            self.answer = answer

        def force_flush(self, _milliseconds: int) -> Any:
            if isinstance(self.answer, threading.Event):
                self.answer.wait(30)
                return True
            if isinstance(self.answer, Exception):
                raise self.answer
            return self.answer

    @pytest.mark.parametrize(
        ("answer", "status"),
        [(True, "ok"), (None, "ok"), (False, "failed"), (OSError("x"), "failed")],
    )
    def test_it_says_what_the_provider_says(self, answer: Any, status: str) -> None:
        result = flush_providers({"traces": self.Provider(answer), "logs": object()}, 30)

        assert result.status == status
        assert set(result.errors) == (set() if status == "ok" else {"traces"})

    def test_it_waits_no_longer_than_the_deadline(self) -> None:
        hanging = threading.Event()
        began = time.monotonic()

        result = flush_providers(
            {"traces": self.Provider(hanging), "logs": self.Provider(hanging)}, 0.1
        )

        assert result.status == "timed out"
        assert time.monotonic() - began < 0.1 + 0.5
        hanging.set()

    def test_a_bridge_flushes_its_providers(
        self, on: Callable[..., Bridge], application: Application
    ) -> None:
        bridge = on()
        assert bridge.flush(30).status == "ok"
        assert bridge.shutdown(30).status == "ok"
        assert bridge.flush(30).status == "ok"


def test_a_disabled_bridge_does_nothing(
    telemetry: Telemetry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")

    bridge = configure(telemetry=telemetry)

    assert bridge.disabled
    assert telemetry.list_handlers() == []
    assert bridge.flush().status == "ok"
    assert bridge.shutdown().status == "ok"
    assert bridge.health().signals == {}


def test_a_bridge_that_cannot_be_turned_on_leaves_nothing_behind(
    telemetry: Telemetry, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr("heliograph.otel.worker.Worker.start", refuse)

    with pytest.raises(RuntimeError, match="thread"):
        configure(catalogs="modboss", telemetry=telemetry)

    assert telemetry.list_handlers() == []
    assert lifetime._living == {}


@given(st.lists(st.one_of(st.none(), st.integers(), st.text(), st.builds(object)), max_size=20))
def test_putting_never_raises_whatever_is_put(items: list[object]) -> None:
    queue = Queue(Queueing(size=8, batch=4, delay=1.0), lambda: None)

    for item in items:
        queue.put(item)

    assert queue.queued() == min(len(items), 8)
    assert sum(queue.dropped().values()) == max(0, len(items) - 8)


APP = """
import heliograph
with heliograph.span("modboss.read", {"schema": "pump", "names": ["a"]}):
    heliograph.execute("heliograph.catalog.violation", {"count": 1}, {"event_name": "x"})
"""


def test_the_launcher_turns_the_bridge_on_without_a_line_of_code(tmp_path: Path) -> None:
    app = tmp_path / "app.py"
    app.write_text(APP, encoding="utf-8")
    launcher = Path(sys.executable).with_name("opentelemetry-instrument")
    with http_receiver() as receiver:
        child = subprocess.run(
            [launcher, sys.executable, app],
            check=False,
            capture_output=True,
            text=True,
            timeout=55,
            env={
                **{key: value for key, value in os.environ.items() if "OTEL" not in key},
                "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{receiver.port}",
                "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
                "OTEL_LOGS_EXPORTER": "otlp",
                "OTEL_SERVICE_NAME": "app",
            },
        )

        assert child.returncode == 0, child.stderr
        assert [span.name for span in receiver.taken("traces")] == ["modboss.read"]
        assert [record.event_name for record in receiver.taken("logs")] == [
            "heliograph.catalog.violation"
        ]
        assert "modboss.read.duration" in {metric.name for metric in receiver.taken("metrics")}


def test_the_instrumentor_turns_on_and_off(application: Application, telemetry: Telemetry) -> None:
    from heliograph.otel.instrumentor import HeliographInstrumentor

    instrumentor = HeliographInstrumentor()
    instrumentor.instrument(catalogs=bakery(), telemetry=telemetry, **application.providers())
    with telemetry.span("bakery.knead", {}):
        pass
    instrumentor.uninstrument()

    assert [span.name for span in application.spans.get_finished_spans()] == ["bakery.knead"]
    assert telemetry.list_handlers() == []
    assert instrumentor.instrumentation_dependencies() == ()


def test_all_bridges_end_with_the_process_and_share_its_time(telemetry: Telemetry) -> None:
    class Slow:
        exit_timeout = 0.2

        def begin_ending(self, deadline: float) -> Callable[[], object]:
            def wait() -> None:
                threading.Event().wait(max(0.0, deadline - time.monotonic()))
                lifetime.no_longer_at_exit(self)

            return wait

    for _ in range(5):
        lifetime.at_exit(Slow())
    began = time.monotonic()

    lifetime._at_exit()

    assert time.monotonic() - began < 0.2 * 3
    assert lifetime._living == {}
