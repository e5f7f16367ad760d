# SPDX-License-Identifier: Apache-2.0
"""Trace context crosses a component's wire through the core's propagator."""

from __future__ import annotations

import contextvars
from typing import Any

import pytest
from opentelemetry import baggage, trace
from opentelemetry.context import attach, get_current
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

import heliograph
from heliograph.otel.propagation import OtelPropagator
from tests.otel.bakery import Kitchen

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def test_spans_link_across_a_wire(kitchen: Kitchen) -> None:
    propagator = OtelPropagator()
    carrier: dict[str, str] = {}
    with kitchen.telemetry.span("bakery.bake"):
        sender = trace.get_current_span().get_span_context()
        propagator.inject(carrier)

    def receive() -> None:
        with propagator.extract(carrier), kitchen.telemetry.span("bakery.knead"):
            pass

    contextvars.Context().run(receive)

    parent = kitchen.one("bakery.knead").parent
    assert parent is not None
    assert parent.is_remote
    assert (parent.trace_id, parent.span_id) == (sender.trace_id, sender.span_id)


def test_baggage_travels_along() -> None:
    def send() -> dict[str, str]:
        attach(baggage.set_baggage("tenant", "7"))
        carrier: dict[str, str] = {}
        OtelPropagator().inject(carrier)
        return carrier

    carrier = contextvars.copy_context().run(send)

    with OtelPropagator().extract(carrier):
        assert baggage.get_baggage("tenant") == "7"
    assert baggage.get_baggage("tenant") is None


def test_a_format_of_ones_own_may_be_chosen() -> None:
    with OtelPropagator(TraceContextTextMapPropagator()).extract({"traceparent": PARENT}):
        assert trace.get_current_span().get_span_context().span_id == 0xB7AD6B7169203331


@pytest.mark.parametrize("carrier", [{}, {"traceparent": "rubbish"}, {"traceparent": "00-0-0-0"}])
def test_a_broken_context_changes_nothing(carrier: dict[str, str]) -> None:
    before = trace.get_current_span()
    with OtelPropagator().extract(carrier):
        assert trace.get_current_span() is before


class Broken(TraceContextTextMapPropagator):
    def inject(self, *args: Any, **kwargs: Any) -> None:
        raise RuntimeError("inject")

    def extract(self, *args: Any, **kwargs: Any) -> Any:
        raise RuntimeError("extract")


def test_a_broken_propagator_is_logged_and_never_raised(caplog: pytest.LogCaptureFixture) -> None:
    before = get_current()
    propagator = OtelPropagator(Broken())

    propagator.inject({})
    with propagator.extract({}):
        assert get_current() is before

    assert [record.levelname for record in caplog.records] == ["ERROR", "ERROR"]


def test_a_context_changed_meanwhile_is_left_alone() -> None:
    def work() -> None:
        with OtelPropagator().extract({"traceparent": PARENT}):
            attach(other := baggage.set_baggage("a", "b"))
        assert get_current() is other

    contextvars.copy_context().run(work)


def test_components_find_it_as_the_dispatchers_propagator() -> None:
    before = heliograph.set_propagator(OtelPropagator())
    try:
        assert isinstance(heliograph.propagator(), OtelPropagator)
    finally:
        heliograph.set_propagator(before)
