# SPDX-License-Identifier: Apache-2.0
"""Spans of the SDK's tracers: few numbers until they are touched, and what comes of them then."""

from __future__ import annotations

from threading import Barrier, Thread
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.context import Context, get_current
from opentelemetry.sdk.environment_variables import OTEL_PYTHON_SDK_INTERNAL_METRICS_ENABLED
from opentelemetry.sdk.trace import ReadableSpan, SpanLimits, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.sampling import Decision, Sampler, SamplingResult
from opentelemetry.trace import NoOpTracerProvider, SpanKind, Status, StatusCode

from heliograph import Error, Telemetry
from heliograph.otel.attributes import AttributeLimits
from heliograph.otel.current import GivenSpan
from heliograph.otel.lazy import LazySpan, takes_all
from heliograph.otel.spans import SpanBridge
from tests.otel.bakery import bakery

BAKE = "bakery.bake"


class Seeing(SpanProcessor):
    """Keeps what it is told, and may do something with what starts."""

    def __init__(self) -> None:
        self.started: list[tuple[Any, Context | None]] = []
        self.ended: list[ReadableSpan] = []

    def on_start(self, span: Any, parent_context: Context | None = None) -> None:
        self.started.append((span, parent_context))

    def on_end(self, span: ReadableSpan) -> None:
        self.ended.append(span)


class Tagging(Seeing):
    def on_start(self, span: Any, parent_context: Context | None = None) -> None:
        super().on_start(span, parent_context)
        span.set_attribute("tenant", "acme")


def bridged(processor: Seeing, **choices: Any) -> tuple[Telemetry, SpanBridge]:
    provider = TracerProvider(shutdown_on_exit=False, **choices)
    provider.add_span_processor(processor)
    telemetry = Telemetry()
    bridge = SpanBridge(bakery(), tracer_provider=provider, telemetry=telemetry)
    bridge.attach()
    return telemetry, bridge


def current() -> trace.Span:
    return trace.get_current_span()


def test_a_span_that_nobody_touches_is_never_made() -> None:
    processor = Seeing()
    telemetry, _ = bridged(processor)
    before = get_current()
    with telemetry.span(BAKE, {"oven": "left"}):
        span = current()
    assert isinstance(span, LazySpan)
    assert span._real is None
    [ended] = processor.ended
    assert ended.attributes == {"bakery.oven": "left"}
    assert ended.kind is SpanKind.PRODUCER
    assert ended.resource is not None
    assert ended.instrumentation_scope is not None
    assert ended.instrumentation_scope.name == "bakery"
    [(started, previous)] = processor.started
    assert started is span
    assert previous is before


def test_who_touches_it_has_a_span_of_the_sdk_with_the_same_ids() -> None:
    processor = Seeing()
    telemetry, _ = bridged(processor)
    with telemetry.span(BAKE, {"oven": "left"}):
        span = current()
        before = span.get_span_context()
        span.set_attribute("more", [1, 2])
        span.set_attributes({"even": "more"})
        span.add_event("turned", {"by": 90})
        span.add_link(trace.SpanContext(5, 6, is_remote=True))
        span.record_exception(ValueError("hot"))
        span.update_name("bake cake")
        assert span.get_span_context() == before
    [ended] = processor.ended
    assert ended.context == before
    assert ended.name == "bake cake"
    assert ended.attributes == {"bakery.oven": "left", "more": (1, 2), "even": "more"}
    assert [event.name for event in ended.events] == ["turned", "exception"]
    assert [link.context.span_id for link in ended.links] == [6]
    assert len(processor.started) == 1, "of a start the processors hear once"


def test_what_the_sdks_spans_say_it_says_too() -> None:
    processor = Seeing()
    telemetry, _ = bridged(processor)
    with telemetry.span(BAKE, {"oven": "outer"}), telemetry.span(BAKE, {"oven": "inner"}):
        span: Any = current()
        outer = processor.started[0][0]
        said = [span.context, span.parent, span.kind, span.resource, span.instrumentation_scope]
        assert span.parent == outer.get_span_context()
        assert outer.parent is None
        assert span._real is None
        real: Any = span.real()
        assert said == [
            real.context,
            real.parent,
            real.kind,
            real.resource,
            real.instrumentation_scope,
        ]
        assert (span.name, dict(span.attributes)) == ("bake bread", {"bakery.oven": "inner"})


def test_a_processor_may_touch_what_starts() -> None:
    processor = Tagging()
    telemetry, _ = bridged(processor)
    with telemetry.span(BAKE, {"oven": "left"}) as baking:
        baking.metadata["order_id"] = "A-1"
        baking.metadata["result"] = Error("burnt")
    [ended] = processor.ended
    attributes = dict(ended.attributes or {})
    assert attributes["tenant"] == "acme"
    assert attributes["error.type"] == "burnt"
    assert ended.status.status_code is StatusCode.ERROR


def test_touched_or_not_spans_nest_and_belong_to_one_trace() -> None:
    processor = Seeing()
    telemetry, _ = bridged(processor)
    with telemetry.span(BAKE, {"oven": "outer"}):
        current().set_attribute("touched", value=True)
        with telemetry.span(BAKE, {"oven": "inner"}), telemetry.span(BAKE, {"oven": "innermost"}):
            current().set_attribute("touched", value=True)
    innermost, inner, outer = processor.ended
    assert innermost.parent == inner.context
    assert inner.parent == outer.context
    assert outer.parent is None
    assert len({span.context.trace_id for span in processor.ended if span.context}) == 1


def test_the_applications_own_status_is_honoured_as_the_sdk_does() -> None:
    processor = Seeing()
    telemetry, _ = bridged(processor)
    with telemetry.span(BAKE, {"oven": "left"}) as baking:
        current().set_status(Status(StatusCode.OK))
        baking.metadata["result"] = Error("burnt")
    with telemetry.span(BAKE, {"oven": "left"}):
        current().set_status(StatusCode.ERROR, "cold")
    fine, cold = processor.ended
    assert fine.status.status_code is StatusCode.OK
    assert (cold.status.status_code, cold.status.description) == (StatusCode.ERROR, "cold")


def test_the_application_may_end_it() -> None:
    processor = Seeing()
    telemetry, bridge = bridged(processor)
    for touched in (False, True):
        with telemetry.span(BAKE, {"oven": "left"}):
            if touched:
                current().set_attribute("more", 1)
            current().end()
            assert not current().is_recording()
    assert len(processor.ended) == 2
    assert processor.ended[0].attributes == {"bakery.oven": "left"}
    assert bridge.counts == {}


class RecordOnly(Sampler):
    def should_sample(self, parent_context: Any, trace_id: int, name: str, *_: Any) -> Any:
        return SamplingResult(Decision.RECORD_ONLY, {"sampler.ratio": 0.5})

    def get_description(self) -> str:
        return "records"


@pytest.mark.parametrize("touched", [False, True])
def test_what_is_recorded_and_not_sampled_reaches_the_processors(*, touched: bool) -> None:
    processor = Seeing()
    telemetry, _ = bridged(processor, sampler=RecordOnly())
    with telemetry.span(BAKE, {"oven": "left"}):
        if touched:
            current().add_event("turned")
    [ended] = processor.ended
    assert ended.context is not None
    assert not ended.context.trace_flags.sampled
    assert dict(ended.attributes or {})["sampler.ratio"] == 0.5


def test_threads_that_touch_it_at_once_touch_one() -> None:
    processor = Seeing()
    telemetry, _ = bridged(processor)
    with telemetry.span(BAKE, {"oven": "left"}):
        span, barrier = current(), Barrier(4)

        def touch(number: int) -> None:
            barrier.wait()
            span.set_attribute(f"thread.{number}", number)

        threads = [Thread(target=touch, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    [ended] = processor.ended
    assert len(ended.attributes or ()) == 5


@pytest.mark.parametrize(
    "limits",
    [SpanLimits(max_span_attributes=2), SpanLimits(max_span_attribute_length=3)],
    ids=["number", "length"],
)
def test_where_limits_would_cut_spans_are_real_from_the_start(limits: SpanLimits) -> None:
    processor = Seeing()
    telemetry, _ = bridged(processor, span_limits=limits)
    with telemetry.span(BAKE, {"oven": "left oven"}):
        assert isinstance(current(), GivenSpan)
    [ended] = processor.ended
    assert ended.attributes == {
        "bakery.oven": "left oven" if limits.max_span_attribute_length is None else "lef"
    }


def test_a_trial_tells_which_tracers_take_all(monkeypatch: pytest.MonkeyPatch) -> None:
    processor = Seeing()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(processor)
    tracer = provider.get_tracer("a")
    assert takes_all(tracer, 10, AttributeLimits())
    assert takes_all(tracer, 128, AttributeLimits())
    assert not takes_all(tracer, 129, AttributeLimits())
    assert not takes_all(NoOpTracerProvider().get_tracer("a"), 1, AttributeLimits())
    assert (processor.started, processor.ended) == ([], []), "nobody hears of a trial"
    monkeypatch.setenv(OTEL_PYTHON_SDK_INTERNAL_METRICS_ENABLED, "true")
    assert not takes_all(tracer, 10, AttributeLimits()), "the SDK could not count its spans"
