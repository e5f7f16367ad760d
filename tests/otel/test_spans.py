# SPDX-License-Identifier: Apache-2.0
"""A catalogued operation becomes one OpenTelemetry span, on our own pipeline as on a given one."""

from __future__ import annotations

import asyncio
import contextvars
import os
import threading
from collections.abc import AsyncGenerator, Callable, Generator
from typing import Any

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry import trace
from opentelemetry.sdk.trace import SpanLimits
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.sdk.trace.sampling import (
    ALWAYS_OFF,
    ALWAYS_ON,
    Decision,
    ParentBased,
    Sampler,
    SamplingResult,
    TraceIdRatioBased,
)
from opentelemetry.trace import Link, SpanContext, SpanKind, StatusCode, TraceFlags

from heliograph import Error, Ok, Telemetry
from heliograph.otel.spans import OpenSpanLimits
from tests.otel.bakery import Choices, Kitchen, open_kitchen

BAKE, KNEAD = "bakery.bake", "bakery.knead"


def current() -> trace.Span:
    return trace.get_current_span()


# -- What the span says


def test_name_kind_scope_and_resource_are_the_catalogs(kitchen: Kitchen) -> None:
    with kitchen.telemetry.span(BAKE, {"oven": "left"}):
        pass

    span = kitchen.one("bake bread")
    assert span.kind is SpanKind.PRODUCER
    assert span.instrumentation_scope is not None
    assert span.instrumentation_scope.name == "bakery"
    assert span.instrumentation_scope.version == "2.1.0"
    assert span.instrumentation_scope.schema_url == "https://bakery.example/schemas/2.1.0"
    assert span.resource.attributes["service.name"] == "bakery"
    assert span.parent is None
    assert span.status.status_code is StatusCode.UNSET


def test_the_attributes_are_those_of_start_and_stop(kitchen: Kitchen) -> None:
    with kitchen.telemetry.span(BAKE, {"oven": "left", "order": "A-17"}) as baking:
        baking.measurements["loaves"] = 12
        baking.metadata.update(
            heat=220, share=0.5, hot=True, grains=["rye", "oat"], steps=(1, 2), seal=b"\x01\xff"
        )
        baking.metadata["recipe"] = {"b": [1, None], "a": {"x"}}
        baking.metadata["anything"] = "plain text"

    assert dict(kitchen.one("bake bread").attributes or {}) == {
        "bakery.oven": "left",
        "order.id": "A-17",
        "bakery.loaves": 12,
        "bakery.heat": 220.0,
        "bakery.share": 0.5,
        "bakery.hot": True,
        "bakery.grains": ("rye", "oat"),
        "bakery.steps": (1, 2),
        "bakery.seal": "01ff",
        "bakery.recipe": '{"a": ["x"], "b": [1, null]}',
        "bakery.anything": "plain text",
    }


def test_sensitive_and_unexported_fields_never_leave(kitchen: Kitchen) -> None:
    with kitchen.telemetry.span(BAKE, {"oven": "left", "customer": "Ann", "inner": "x"}):
        pass

    assert "Ann" not in kitchen.one("bake bread").to_json()
    assert dict(kitchen.one("bake bread").attributes or {}) == {"bakery.oven": "left"}


def test_what_the_body_changes_of_the_start_metadata_counts(kitchen: Kitchen) -> None:
    with kitchen.telemetry.span(BAKE, {"oven": "left", "order": "A-17"}) as baking:
        baking.metadata["oven"] = "right"

    assert dict(kitchen.one("bake bread").attributes or {}) == {
        "bakery.oven": "right",
        "order.id": "A-17",
    }


def test_what_the_body_takes_away_stays_as_it_was_at_the_start(kitchen: Kitchen) -> None:
    with kitchen.telemetry.span(BAKE, {"oven": "left"}) as baking:
        del baking.metadata["oven"]

    assert (kitchen.one("bake bread").attributes or {})["bakery.oven"] == "left"


def test_measurements_of_the_start_are_attributes_too(kitchen: Kitchen) -> None:
    given = {"telemetry_span_context": 7}
    kitchen.telemetry.execute("bakery.weigh.start", {"loaves": 3}, given)
    kitchen.telemetry.execute("bakery.weigh.stop", {"duration": 1}, given)

    assert dict(kitchen.one("bakery.weigh").attributes or {}) == {"bakery.loaves": 3}


def test_what_application_code_overrides_stays_overridden(kitchen: Kitchen) -> None:
    with kitchen.telemetry.span(BAKE, {"oven": "left", "order": "A-17"}) as baking:
        current().set_attribute("bakery.oven", "mine")
        baking.metadata["order"] = "B-18"

    assert dict(kitchen.one("bake bread").attributes or {}) == {
        "bakery.oven": "mine",
        "order.id": "B-18",
    }


class Treacherous(dict[str, Any]):
    """Can be read at first only."""

    spoilt = False

    def get(self, key: str, default: Any = None) -> Any:
        try:
            return self[key]
        except KeyError:
            return default

    def __getitem__(self, key: str) -> Any:
        if self.spoilt and key != "telemetry_span_context":
            raise RuntimeError(key)
        return super().__getitem__(key)


def test_a_span_whose_end_cannot_be_read_ends_with_what_it_began_with(kitchen: Kitchen) -> None:
    given: dict[str, Any] = {"telemetry_span_context": 7, "oven": "left"}
    kitchen.telemetry.execute(f"{BAKE}.start", {}, given)
    spoilt = Treacherous(given)
    spoilt.spoilt = True
    kitchen.telemetry.execute(f"{BAKE}.stop", {"duration": 1}, spoilt)

    assert dict(kitchen.one("bake bread").attributes or {}) == {"bakery.oven": "left"}
    assert kitchen.spans.counts == {"unreadable": 1}
    assert not current().get_span_context().is_valid


def test_application_code_never_notices_a_start_that_cannot_be_read(kitchen: Kitchen) -> None:
    given = Treacherous({"telemetry_span_context": 7, "oven": "left"})
    kitchen.telemetry.execute(f"{BAKE}.start", {}, given)
    given.spoilt = True
    current().set_attribute("seeds", 3)
    kitchen.telemetry.execute(f"{BAKE}.stop", {"duration": 1}, {"telemetry_span_context": 7})

    assert (kitchen.one("bake bread").attributes or {})["seeds"] == 3


def test_a_given_providers_span_may_be_looked_at() -> None:
    # The API's spans can't be, and those of our own pipeline are no more than that.
    kitchen = open_kitchen("given")
    with kitchen.telemetry.span(BAKE, {"oven": "left"}):
        span: Any = current()
        assert span.name == "bake bread"
        assert span.attributes["bakery.oven"] == "left"
    kitchen.spans.detach()
    kitchen.logs.detach()


def test_the_times_are_the_events_own(kitchen: Kitchen) -> None:
    given = {"telemetry_span_context": 7}
    kitchen.telemetry.execute(f"{BAKE}.start", {"system_time": 1_000, "monotonic_time": 5}, given)
    kitchen.telemetry.execute(f"{BAKE}.stop", {"duration": 250, "monotonic_time": 255}, given)

    span = kitchen.one("bake bread")
    assert (span.start_time, span.end_time) == (1_000, 1_250)


@pytest.mark.parametrize("broken", [None, -1, 2**63, 1.5, "noon", True])
def test_broken_times_are_replaced_by_the_clock(kitchen: Kitchen, broken: object) -> None:
    given = {"telemetry_span_context": 7}
    kitchen.telemetry.execute(f"{BAKE}.start", {"system_time": broken}, given)
    kitchen.telemetry.execute(f"{BAKE}.stop", {"duration": broken}, given)

    span = kitchen.one("bake bread")
    assert span.start_time is not None
    assert span.end_time is not None
    assert 1_600_000_000 * 10**9 < span.start_time <= span.end_time < 2**63


# -- Values


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("loaves", 2**63 - 1, 2**63 - 1),
        ("loaves", 2**63, None),
        ("loaves", True, None),
        ("loaves", 3.0, 3),
        ("loaves", 3.5, None),
        ("loaves", "3", None),
        ("heat", float("nan"), None),
        ("heat", 10**400, None),
        ("share", float("inf"), None),
        ("share", 1, 1.0),
        ("hot", 1, None),
        ("grains", "rye", None),
        ("grains", [], ()),
        ("grains", [1, "rye"], ("1", "rye")),
        ("grains", 5, None),
        ("steps", [1, "2"], None),
        ("seal", "text", "text"),
        ("anything", None, None),
        ("anything", 5, "5"),
        ("anything", "\ud800", "\\ud800"),
        ("oven", 5, "5"),
        ("oven", "ofen ü", "ofen ü"),
    ],
)
def test_a_value_of_another_type_is_converted_if_nothing_is_lost(
    kitchen: Kitchen, key: str, value: object, expected: object
) -> None:
    with kitchen.telemetry.span(BAKE) as baking:
        if key == "loaves":
            baking.measurements[key] = value
        else:
            baking.metadata[key] = value

    found = dict(kitchen.one("bake bread").attributes or {})
    assert found.get(f"bakery.{key}") == expected
    assert type(found.get(f"bakery.{key}")) is type(expected)


@pytest.mark.parametrize(
    ("key", "value", "length"),
    [
        ("oven", "x" * 5_000, 4_096),
        ("anything", {"deep": ["y" * 4_000] * 3}, 4_096),
        ("seal", b"\x00" * 5_000, 4_096),
        ("grains", ["rye"] * 200, 128),
    ],
)
def test_what_is_too_long_is_cut_and_flagged(
    kitchen: Kitchen, key: str, value: object, length: int
) -> None:
    with kitchen.telemetry.span(BAKE) as baking:
        baking.metadata[key] = value

    found: dict[str, Any] = dict(kitchen.one("bake bread").attributes or {})
    assert len(found[f"bakery.{key}"]) == length
    assert found["heliograph.truncated"] == (f"bakery.{key}",)


@pytest.mark.parametrize("touched", [False, True])
def test_what_was_cut_at_the_start_is_flagged_beside_what_was_cut_later(
    kitchen: Kitchen, *, touched: bool
) -> None:
    with kitchen.telemetry.span(BAKE, {"oven": "x" * 5_000}) as baking:
        if touched:
            current().set_attribute("seeds", 3)
        baking.metadata["anything"] = "y" * 5_000

    found = dict(kitchen.one("bake bread").attributes or {})
    assert found["heliograph.truncated"] == ("bakery.oven", "bakery.anything")


# -- Results and exceptions


@pytest.mark.parametrize(
    ("result", "status", "description", "error"),
    [
        (Ok([1]), StatusCode.UNSET, None, None),
        (None, StatusCode.UNSET, None, None),
        (Error("timeout"), StatusCode.ERROR, "timeout", "timeout"),
        (Error("the oven is cold"), StatusCode.ERROR, "the oven is cold", "_OTHER"),
        (Error(("cold", 3)), StatusCode.ERROR, '["cold",3]', "_OTHER"),
        (Error(OSError("gone")), StatusCode.ERROR, "OSError: gone", "OSError"),
        (Error(OSError()), StatusCode.ERROR, "OSError", "OSError"),
    ],
)
def test_a_result_sets_status_and_error_type(
    kitchen: Kitchen, result: object, status: StatusCode, description: str | None, error: str | None
) -> None:
    with kitchen.telemetry.span(BAKE) as baking:
        baking.metadata["result"] = result

    span = kitchen.one("bake bread")
    assert (span.status.status_code, span.status.description) == (status, description)
    assert (span.attributes or {}).get("error.type") == error


def test_a_sensitive_result_tells_its_class_only(kitchen: Kitchen) -> None:
    with kitchen.telemetry.span("bakery.pay") as paying:
        paying.metadata["secret"] = Error(ValueError("card 4711"))

    span = kitchen.one("bakery.pay")
    assert span.status.description == "ValueError"
    assert "4711" not in span.to_json()


def test_an_exception_ends_the_span_with_an_error(kitchen: Kitchen) -> None:
    with pytest.raises(KeyError), kitchen.telemetry.span(BAKE, {"oven": "left"}):
        raise KeyError("flour")

    span = kitchen.one("bake bread")
    assert span.status.status_code is StatusCode.ERROR
    assert span.status.description == "KeyError: 'flour'"
    assert dict(span.attributes or {}) == {"bakery.oven": "left", "error.type": "KeyError"}
    assert span.events == ()


def test_an_exception_is_a_log_event_of_its_span(kitchen: Kitchen) -> None:
    with pytest.raises(KeyError), kitchen.telemetry.span(BAKE, {"oven": "left"}):
        raise KeyError("flour")

    (record,) = [each.log_record for each in kitchen.records()]
    context = kitchen.one("bake bread").context
    assert context is not None
    assert record.event_name == "bakery.bake.exception"
    assert record.severity_text == "ERROR"
    assert (record.trace_id, record.span_id) == (context.trace_id, context.span_id)
    attributes = dict(record.attributes or {})
    assert attributes["exception.type"] == "KeyError"
    assert attributes["exception.message"] == "'flour'"
    assert "raise KeyError" in str(attributes["exception.stacktrace"])


def test_by_option_the_exception_is_recorded_on_the_span(opener: Callable[..., Kitchen]) -> None:
    kitchen = opener(Choices(bridge={"record_exceptions": True}))

    with pytest.raises(KeyError), kitchen.telemetry.span(BAKE):
        raise KeyError("flour")

    (event,) = kitchen.one("bake bread").events
    assert event.name == "exception"
    attributes = dict(event.attributes or {})
    assert attributes["exception.type"] == "KeyError"
    assert attributes["exception.escaped"] == "True"


class RudeError(Exception):
    """Can't be told."""

    def __str__(self) -> str:
        raise RuntimeError("no")


def test_an_exception_that_cannot_tell_itself_is_told_by_its_class(kitchen: Kitchen) -> None:
    with pytest.raises(RudeError), kitchen.telemetry.span(BAKE):
        raise RudeError

    assert kitchen.one("bake bread").status.description == f"{__name__}.RudeError"
    assert kitchen.spans.counts == {}
    assert kitchen.logs.counts == {}


# -- The current span


def test_it_is_the_current_span_while_it_runs_and_only_then(kitchen: Kitchen) -> None:
    before = current()

    with kitchen.telemetry.span(BAKE):
        inside = current().get_span_context()

    assert current() is before
    assert kitchen.one("bake bread").context == inside


def test_it_nests_under_the_spans_of_others_and_they_under_it(kitchen: Kitchen) -> None:
    with kitchen.tracer.start_as_current_span("request"), kitchen.telemetry.span(BAKE):
        with kitchen.tracer.start_as_current_span("query"):
            pass
        with kitchen.telemetry.span(KNEAD):
            pass

    (query, request) = kitchen.theirs()
    bake, knead = kitchen.one("bake bread"), kitchen.one(KNEAD)
    assert bake.parent == request.context
    assert query.parent == bake.context
    assert knead.parent == bake.context
    assert (
        len({span.context.trace_id for span in (query, request, bake, knead) if span.context}) == 1
    )


def test_application_code_may_add_to_the_current_span(kitchen: Kitchen) -> None:
    other = SpanContext(1, 2, is_remote=False)
    with kitchen.telemetry.span(BAKE, {"oven": "left"}) as baking:
        span = current()
        assert span.is_recording()
        span.set_attribute("seeds", 3)
        span.set_attributes({"crust": "hard"})
        span.add_event("risen", {"by": "yeast"}, 99)
        span.add_link(other, {"why": "flour"})
        span.record_exception(ValueError("soft"), {"more": 1}, 100)
        span.set_status(StatusCode.ERROR, "sticky")
        span.update_name("bake rolls")
        baking.measurements["loaves"] = 1

    found = kitchen.one("bake rolls")
    assert dict(found.attributes or {}) == {
        "bakery.oven": "left",
        "seeds": 3,
        "crust": "hard",
        "bakery.loaves": 1,
    }
    risen, exception = found.events
    assert (risen.name, risen.timestamp, dict(risen.attributes or {})) == (
        "risen",
        99,
        {"by": "yeast"},
    )
    assert exception.name == "exception"
    assert dict(exception.attributes or {})["exception.message"] == "soft"
    assert dict(exception.attributes or {})["more"] == 1
    (link,) = found.links
    assert isinstance(link, Link)
    assert (link.context, dict(link.attributes or {})) == (other, {"why": "flour"})
    assert (found.status.status_code, found.status.description) == (StatusCode.ERROR, "sticky")
    # A span that has ended takes nothing any more.
    span.set_attribute("late", 1)
    span.set_attributes({"late": 1})
    span.add_event("late")
    span.add_link(other)
    span.update_name("late")
    span.set_status(StatusCode.OK)
    assert not span.is_recording()
    assert kitchen.one("bake rolls").attributes == found.attributes


def test_a_status_of_ok_is_final(kitchen: Kitchen) -> None:
    with kitchen.telemetry.span(BAKE) as baking:
        current().set_status(StatusCode.UNSET)
        current().set_status(StatusCode.OK)
        baking.metadata["result"] = Error("timeout")

    assert kitchen.one("bake bread").status.status_code is StatusCode.OK


def test_application_code_may_end_it_early(kitchen: Kitchen) -> None:
    with kitchen.telemetry.span(BAKE):
        current().end(2**60)

    assert kitchen.one("bake bread").end_time == 2**60


# -- Sampler, limits, ids


class Counting(IdGenerator):
    def __init__(self) -> None:
        self.last = 0

    def generate_span_id(self) -> int:
        self.last += 1
        return self.last

    def generate_trace_id(self) -> int:
        self.last += 1
        return self.last << 64


def test_the_id_generator_is_honoured(opener: Callable[..., Kitchen]) -> None:
    kitchen = opener(Choices(ids=Counting()))

    with kitchen.telemetry.span(BAKE):
        pass

    context = kitchen.one("bake bread").context
    assert context is not None
    assert (context.trace_id, context.span_id) == (1 << 64, 2)
    assert not context.trace_flags.random_trace_id


@pytest.mark.parametrize("sampler", [ALWAYS_OFF, ParentBased(ALWAYS_OFF), TraceIdRatioBased(0.0)])
def test_what_the_sampler_drops_is_not_exported_but_current(
    opener: Callable[..., Kitchen], sampler: Sampler
) -> None:
    kitchen = opener(Choices(sampler=sampler))

    with kitchen.telemetry.span(BAKE):
        inside = current()
        assert not inside.is_recording()
        inside.set_attribute("lost", 1)
        assert inside.get_span_context().is_valid
        assert not inside.get_span_context().trace_flags.sampled
        with kitchen.telemetry.span(KNEAD):
            assert current().get_span_context().trace_id == inside.get_span_context().trace_id

    assert kitchen.finished() == [] or not kitchen.finished()


class Picky(Sampler):
    """Samples what has rye in it, adds an attribute, and keeps a note of what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[Any, ...]] = []

    def should_sample(
        self,
        parent_context: Any,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        attributes: Any = None,
        links: Any = None,
        trace_state: Any = None,
    ) -> SamplingResult:
        self.asked.append((name, kind, dict(attributes or {})))
        decision = {"rye": Decision.RECORD_AND_SAMPLE, "oat": Decision.RECORD_ONLY}.get(
            (attributes or {}).get("bakery.oven", ""), Decision.DROP
        )
        return SamplingResult(decision, {**(attributes or {}), "sampled.by": "picky"})

    def get_description(self) -> str:
        return "picky"


def test_the_sampler_sees_the_start_attributes_and_may_add_its_own(
    opener: Callable[..., Kitchen],
) -> None:
    sampler = Picky()
    kitchen = opener(Choices(sampler=sampler))

    for oven in ("rye", "wheat"):
        with kitchen.telemetry.span(BAKE, {"oven": oven}):
            pass

    assert sampler.asked[0] == ("bake bread", SpanKind.PRODUCER, {"bakery.oven": "rye"})
    assert dict(kitchen.one("bake bread").attributes or {}) == {
        "bakery.oven": "rye",
        "sampled.by": "picky",
    }


@pytest.mark.parametrize("sampled", [True, False])
def test_the_default_sampler_follows_the_parent(kitchen: Kitchen, *, sampled: bool) -> None:
    parent = SpanContext(
        7 << 64, 9, is_remote=True, trace_flags=TraceFlags(TraceFlags.SAMPLED if sampled else 0)
    )
    outer = trace.set_span_in_context(trace.NonRecordingSpan(parent))

    def work() -> None:
        from opentelemetry.context import attach

        attach(outer)
        with kitchen.telemetry.span(BAKE):
            assert current().is_recording() is sampled

    contextvars.copy_context().run(work)

    assert [span.parent for span in kitchen.finished()] == ([parent] if sampled else [])


def test_span_limits_are_honoured(opener: Callable[..., Kitchen]) -> None:
    limits = SpanLimits(
        max_span_attributes=2, max_events=1, max_links=1, max_span_attribute_length=3
    )
    kitchen = opener(Choices(limits=limits, sampler=ALWAYS_ON))
    context = SpanContext(1, 2, is_remote=False)

    with kitchen.telemetry.span(BAKE, {"oven": "left", "order": "A-17"}) as baking:
        span = current()
        span.set_attribute("seeds", "poppy")
        for name in ("one", "two"):
            span.add_event(name)
            span.add_link(context)
        baking.measurements["loaves"] = 1

    found = kitchen.one("bake bread")
    assert dict(found.attributes or {}) == {"seeds": "pop", "bakery.loaves": 1}
    assert found.dropped_attributes == 2
    assert [event.name for event in found.events] == ["two"]
    assert (found.dropped_events, found.dropped_links) == (1, 1)


def test_more_catalogued_attributes_than_the_limit_are_dropped_and_counted(
    opener: Callable[..., Kitchen],
) -> None:
    kitchen = opener(Choices(limits=SpanLimits(max_span_attributes=1)))

    with kitchen.telemetry.span(BAKE, {"oven": "left", "order": "A-17"}):
        pass

    found = kitchen.one("bake bread")
    assert dict(found.attributes or {}) == {"order.id": "A-17"}
    assert found.dropped_attributes == 1


# -- Threads, tasks, generators


def test_threads_have_their_own_current_span(kitchen: Kitchen) -> None:
    together = threading.Barrier(4)

    def work(order: str) -> None:
        with kitchen.telemetry.span(BAKE, {"order": order}):
            together.wait()
            with kitchen.telemetry.span(KNEAD, {"oven": order}):
                together.wait()

    threads = [threading.Thread(target=work, args=(str(n),)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    bakes = {
        (span.attributes or {})["order.id"]: span.context
        for span in kitchen.finished()
        if span.name == "bake bread"
    }
    kneads = {
        (span.attributes or {})["bakery.oven"]: span.parent
        for span in kitchen.finished()
        if span.name == KNEAD
    }
    assert bakes == kneads
    assert len(bakes) == 4


def test_asyncio_tasks_nest_where_they_were_made(kitchen: Kitchen) -> None:
    async def child(name: str, go: asyncio.Event) -> None:
        async with kitchen.telemetry.span(KNEAD, {"oven": name}):
            await go.wait()

    async def main() -> None:
        go = asyncio.Event()
        async with kitchen.telemetry.span(BAKE), asyncio.TaskGroup() as group:
            for name in "abc":
                group.create_task(child(name, go))
            await asyncio.sleep(0)
            go.set()

    asyncio.run(main())

    bake = kitchen.one("bake bread")
    assert [span.parent for span in kitchen.finished() if span.name == KNEAD] == [bake.context] * 3


def test_trio_tasks_nest_where_they_were_made(kitchen: Kitchen) -> None:
    async def child(name: str, go: trio.Event) -> None:
        async with kitchen.telemetry.span(KNEAD, {"oven": name}):
            await go.wait()

    async def main() -> None:
        go = trio.Event()
        async with kitchen.telemetry.span(BAKE), trio.open_nursery() as nursery:
            for name in "abc":
                nursery.start_soon(child, name, go)
            await trio.lowlevel.checkpoint()
            go.set()

    trio.run(main)

    bake = kitchen.one("bake bread")
    assert [span.parent for span in kitchen.finished() if span.name == KNEAD] == [bake.context] * 3


def test_a_cancelled_task_ends_its_span_and_leaves_the_context(kitchen: Kitchen) -> None:
    async def main() -> None:
        async def forever() -> None:
            async with kitchen.telemetry.span(BAKE):
                await asyncio.Event().wait()

        task = asyncio.create_task(forever())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not current().get_span_context().is_valid

    asyncio.run(main())

    error = (kitchen.one("bake bread").attributes or {})["error.type"]
    assert error == "asyncio.exceptions.CancelledError"


def test_a_generator_closed_early_in_another_context_leaves_the_parent_right(
    kitchen: Kitchen, caplog: pytest.LogCaptureFixture
) -> None:
    def loaves() -> Generator[int, None, None]:
        with kitchen.telemetry.span(BAKE):
            yield 1
            yield 2

    with kitchen.tracer.start_as_current_span("request") as request:
        abandoned = loaves()
        next(abandoned)
        # Somebody else, in a context of their own, closes it.
        contextvars.Context().run(abandoned.close)
        # Here it is still what OpenTelemetry finds; it must not become anybody's parent.
        with kitchen.tracer.start_as_current_span("query"):
            pass
        with kitchen.telemetry.span(KNEAD):
            pass
        expected = request.get_span_context()

    bake, knead = kitchen.one("bake bread"), kitchen.one(KNEAD)
    query = next(span for span in kitchen.theirs() if span.name == "query")
    assert bake.parent == expected
    assert bake.status.status_code is StatusCode.UNSET
    assert query.parent == expected
    assert knead.parent == expected
    assert caplog.records == []


def test_an_async_generator_finished_by_the_loop_leaves_the_parent_right(
    kitchen: Kitchen, caplog: pytest.LogCaptureFixture
) -> None:
    async def loaves() -> AsyncGenerator[int, None]:
        async with kitchen.telemetry.span(BAKE):
            yield 1
            yield 2

    async def main() -> None:
        with kitchen.tracer.start_as_current_span("request"):
            source = loaves()
            async for _ in source:
                break
            await asyncio.create_task(source.aclose())
            with kitchen.tracer.start_as_current_span("query"):
                pass

    asyncio.run(main())

    query, request = kitchen.theirs()
    assert kitchen.one("bake bread").parent == request.context
    assert query.parent == request.context
    assert caplog.records == []


def test_an_operation_may_start_in_one_thread_and_stop_in_another(kitchen: Kitchen) -> None:
    given = {"telemetry_span_context": "job 5"}
    kitchen.telemetry.execute(f"{BAKE}.start", {}, given)
    thread = threading.Thread(
        target=kitchen.telemetry.execute, args=(f"{BAKE}.stop", {"duration": 3}, given)
    )
    thread.start()
    thread.join()

    assert kitchen.one("bake bread").end_time is not None
    assert not current().get_span_context().is_valid


# -- The table of open spans


def test_spans_match_by_their_context_whatever_order_they_end_in(kitchen: Kitchen) -> None:
    for key in (1, "two", (3,)):
        kitchen.telemetry.execute(
            f"{BAKE}.start", {}, {"telemetry_span_context": key, "order": str(key)}
        )
    for key in (1, (3,), "two"):
        kitchen.telemetry.execute(
            f"{BAKE}.stop", {"loaves": 1}, {"telemetry_span_context": key, "order": str(key)}
        )

    orders = [(span.attributes or {})["order.id"] for span in kitchen.finished()]
    assert orders == ["1", "(3,)", "two"]
    assert kitchen.spans.counts == {}


def test_two_operations_may_share_a_context_given_by_the_caller(kitchen: Kitchen) -> None:
    shared = {"telemetry_span_context": "mine"}

    with kitchen.telemetry.span(BAKE, shared), kitchen.telemetry.span(KNEAD, shared):
        pass

    assert [span.name for span in kitchen.finished()] == [KNEAD, "bake bread"]
    assert kitchen.spans.counts == {}


@pytest.mark.parametrize("end", ["stop", "exception"])
def test_an_end_without_a_start_is_counted(kitchen: Kitchen, end: str) -> None:
    reason = ValueError("lost")
    kitchen.telemetry.execute(
        f"{BAKE}.{end}", {"duration": 1}, {"telemetry_span_context": 404, "reason": reason}
    )

    assert kitchen.finished() == [] or not kitchen.finished()
    assert kitchen.spans.counts == {"unmatched": 1}
    # What went wrong is told all the same.
    assert len(kitchen.records()) == (end == "exception")


def test_the_table_is_bounded_in_size(opener: Callable[..., Kitchen]) -> None:
    kitchen = opener(Choices(bridge={"open_limits": OpenSpanLimits(size=2)}))

    for key in range(5):
        kitchen.telemetry.execute(f"{BAKE}.start", {}, {"telemetry_span_context": key})

    assert kitchen.spans.counts == {"orphan": 3}
    assert [(span.attributes or {})["heliograph.orphan"] for span in kitchen.finished()] == [
        True
    ] * 3
    assert kitchen.spans.expire() == 2


def test_without_room_for_any_span_each_ends_the_one_before(
    opener: Callable[..., Kitchen],
) -> None:
    kitchen = opener(Choices(bridge={"open_limits": OpenSpanLimits(size=0)}))

    for key in range(3):
        kitchen.telemetry.execute(f"{BAKE}.start", {}, {"telemetry_span_context": key})

    assert kitchen.spans.counts == {"orphan": 2}
    assert kitchen.spans.expire() == 1


def test_an_orphan_that_was_not_sampled_is_counted_only(opener: Callable[..., Kitchen]) -> None:
    kitchen = opener(Choices(sampler=ALWAYS_OFF))
    kitchen.telemetry.execute(f"{BAKE}.start", {}, {"telemetry_span_context": 1})

    kitchen.spans.detach()

    assert kitchen.spans.counts == {"orphan": 1}
    assert not kitchen.finished()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_child_leaves_the_parents_operations_to_the_parent(kitchen: Kitchen) -> None:
    with kitchen.telemetry.span(BAKE):
        child = os.fork()
        if child == 0:
            open_there = -1
            try:
                open_there = kitchen.spans.expire()
            finally:
                os._exit(open_there)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert kitchen.spans.expire() == 1

    assert kitchen.spans.counts == {}


def test_the_table_is_bounded_in_age(opener: Callable[..., Kitchen]) -> None:
    kitchen = opener(Choices(bridge={"open_limits": OpenSpanLimits(age=60)}))
    kitchen.telemetry.execute(
        f"{BAKE}.start", {"system_time": 1}, {"telemetry_span_context": "old"}
    )
    with kitchen.telemetry.span(KNEAD):
        assert kitchen.spans.expire() == 1

    assert kitchen.spans.expire() == 0
    assert kitchen.spans.counts == {"orphan": 1}
    assert [span.name for span in kitchen.finished()] == ["bake bread", KNEAD]


def test_the_same_context_started_twice_ends_the_first(kitchen: Kitchen) -> None:
    for order in ("first", "second"):
        kitchen.telemetry.execute(
            f"{BAKE}.start", {}, {"telemetry_span_context": 1, "order": order}
        )

    (orphan,) = kitchen.finished()
    assert (orphan.attributes or {})["order.id"] == "first"
    assert kitchen.spans.counts == {"orphan": 1}


def test_detaching_ends_what_is_open_and_leaves_nothing_behind(kitchen: Kitchen) -> None:
    with kitchen.telemetry.span(BAKE):
        kitchen.spans.detach()
        kitchen.logs.detach()
        assert kitchen.telemetry.list_handlers() == []
        # What was left behind as the current span is nobody's parent.
        assert not current().get_span_context().is_valid

    assert (kitchen.one("bake bread").attributes or {})["heliograph.orphan"] is True
    assert kitchen.spans.counts == {"orphan": 1}


def test_two_bridges_side_by_side_each_have_the_span() -> None:
    own, given = open_kitchen("own"), open_kitchen("given")
    shared = Telemetry()
    for number, kitchen in enumerate((own, given)):
        kitchen.spans._telemetry = shared
        kitchen.spans._handler_id = number
        kitchen.spans._attached.clear()
        kitchen.spans.attach()

    with shared.span(BAKE), shared.span(KNEAD):
        pass

    for kitchen in (own, given):
        assert [span.name for span in kitchen.finished()] == [KNEAD, "bake bread"]
        kitchen.spans.detach()
    assert not current().get_span_context().is_valid


# -- Whatever the events hold


class Hostile:
    """Raises whatever is asked of it."""

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(name)

    def __repr__(self) -> str:
        raise RuntimeError("repr")

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("eq")

    def __hash__(self) -> int:
        raise RuntimeError("hash")


def cyclic() -> list[Any]:
    inner: list[Any] = [1]
    inner.append(inner)
    return inner


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.binary()
    | st.builds(Hostile)
    | st.builds(cyclic)
    | st.just("s" * 100_000)
    | st.builds(Ok, st.integers())
    | st.builds(Error, st.text() | st.builds(ValueError, st.text()) | st.builds(Hostile)),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)
KEYS = [
    *("oven", "customer", "inner", "order", "heat", "share", "hot", "grains", "steps", "recipe"),
    *("anything", "seal", "result", "loaves", "duration", "system_time", "monotonic_time"),
    *("reason", "stacktrace", "kind", "telemetry_span_context", "count"),
]
EVENTS = [
    *(f"{BAKE}.start", f"{BAKE}.stop", f"{BAKE}.exception", "bakery.burnt"),
    *("bakery.door.opened", "bakery.checked", "bakery.pay.start", "bakery.pay.stop"),
]
mappings = st.dictionaries(st.sampled_from(KEYS), values, max_size=8)


@given(
    path=st.sampled_from(["own", "given"]),
    events=st.lists(
        st.tuples(
            st.sampled_from(EVENTS),
            mappings | st.builds(Hostile),
            mappings | st.builds(Hostile),
        ),
        max_size=5,
    ),
)
def test_whatever_the_events_hold_the_emitter_never_notices(
    path: str, events: list[tuple[str, Any, Any]]
) -> None:
    kitchen = open_kitchen(path)

    def run() -> None:
        for name, measurements, metadata in events:
            kitchen.telemetry.execute(name, measurements, metadata)
        kitchen.spans.detach()
        kitchen.logs.detach()

    contextvars.copy_context().run(run)

    failures = [handler.failures for handler in kitchen.telemetry.list_handlers()]
    assert failures == []
    for span in kitchen.finished():
        assert "sssss" * 1000 not in str(span.attributes)
        for value in (span.attributes or {}).values():
            for item in value if isinstance(value, tuple) else (value,):
                assert isinstance(item, (str, int, float, bool))
                if isinstance(item, str):
                    assert item.encode()
