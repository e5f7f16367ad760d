# SPDX-License-Identifier: Apache-2.0
"""Spans: what start, stop and exception carry, how an operation can be left, where it may run."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
import trio

from heliograph import EventNameError, Telemetry, spans

Advance = Callable[[float], None]
OpenSpan = Callable[..., Any]
CONTEXT = "telemetry_span_context"
SECOND = 1_000_000_000


class Seen(list[tuple[str, Mapping[str, Any], Mapping[str, Any]]]):
    @property
    def events(self) -> list[str]:
        return [event for event, _, _ in self]

    @property
    def measurements(self) -> list[Mapping[str, Any]]:
        return [measurements for _, measurements, _ in self]

    @property
    def metadata(self) -> list[Mapping[str, Any]]:
        return [metadata for _, _, metadata in self]


@pytest.fixture
def seen(telemetry: Telemetry) -> Seen:
    """What the three events of `a.b` carried."""
    seen = Seen()
    telemetry.attach_many(
        "seen",
        ["a.b.start", "a.b.stop", "a.b.exception"],
        lambda event, measurements, metadata, _: seen.append((event, measurements, metadata)),
    )
    return seen


@pytest.fixture(params=["by prefix", "by handle", "by a dict that is given away"])
def span(request: pytest.FixtureRequest, telemetry: Telemetry) -> OpenSpan:
    """Opens `a.b` with one mapping, in one of the three ways."""
    if request.param == "by handle":
        return telemetry.spanning("a.b")
    if request.param == "by a dict that is given away":
        return lambda *metadata: telemetry.spanning("a.b").opened(
            {**metadata[0]} if metadata else {}
        )
    return lambda *metadata: telemetry.span("a.b", *metadata)


class TestStartAndStop:
    def test_they_carry_times_in_nanoseconds_and_the_metadata(
        self, span: OpenSpan, seen: Seen, advance: Advance
    ) -> None:
        with span({"who": "x"}):
            advance(3)

        assert seen == [
            (
                "a.b.start",
                {"monotonic_time": 1_000 * SECOND, "system_time": 2_000 * SECOND},
                {"who": "x", CONTEXT: "span-1"},
            ),
            (
                "a.b.stop",
                {"duration": 3 * SECOND, "monotonic_time": 1_003 * SECOND},
                {"who": "x", CONTEXT: "span-1"},
            ),
        ]

    def test_real_times_are_whole_numbers(self, span: OpenSpan, seen: Seen) -> None:
        with span():
            pass

        assert {type(n) for measured in seen.measurements for n in measured.values()} == {int}
        start, stop = seen.measurements
        assert stop["monotonic_time"] - start["monotonic_time"] == stop["duration"]

    def test_the_time_that_start_handlers_take_is_part_of_the_operation(
        self, telemetry: Telemetry, span: OpenSpan, seen: Seen, advance: Advance
    ) -> None:
        telemetry.attach("slow", "a.b.start", lambda *_: advance(2))
        with span():
            advance(1)

        assert seen.measurements[1]["duration"] == 3 * SECOND

    def test_the_body_adds_measurements_to_stop(
        self, span: OpenSpan, seen: Seen, advance: Advance
    ) -> None:
        with span() as active:
            active.measurements["bytes"] = 7
            active.measurements["batches"] = 2
            advance(1)

        assert "bytes" not in seen.measurements[0]
        assert seen.measurements[1] == {
            "bytes": 7,
            "batches": 2,
            "duration": SECOND,
            "monotonic_time": 1_001 * SECOND,
        }

    def test_the_body_cannot_override_the_times(
        self, span: OpenSpan, seen: Seen, advance: Advance
    ) -> None:
        with span() as active:
            active.measurements.update(duration=-1, monotonic_time=-1)
            advance(1)

        assert seen.measurements[1] == {"duration": SECOND, "monotonic_time": 1_001 * SECOND}

    def test_what_is_put_into_measurements_later_changes_nothing(
        self, span: OpenSpan, seen: Seen
    ) -> None:
        with span() as active:
            active.measurements["bytes"] = 1
        active.measurements["bytes"] = 2

        assert seen.measurements[1]["bytes"] == 1

    def test_spans_nest(self, telemetry: Telemetry, span: OpenSpan, seen: Seen) -> None:
        with span({"who": "outer"}), span({"who": "inner"}):
            pass

        assert [(event[4:], data["who"]) for event, _, data in seen] == [
            ("start", "outer"),
            ("start", "inner"),
            ("stop", "inner"),
            ("stop", "outer"),
        ]

    def test_a_body_without_listeners_runs_all_the_same(self, span: OpenSpan) -> None:
        with span({"who": "x"}) as active:
            active.measurements["bytes"] = 7
            active.metadata["more"] = 1

        assert active.measurements == {"bytes": 7}
        assert active.metadata.keys() == {"who", "more", CONTEXT}

    def test_it_returns_nothing_true_so_that_exceptions_go_on(self, span: OpenSpan) -> None:
        with pytest.raises(LookupError), span():
            raise LookupError

    def test_it_says_what_it_is(self, span: OpenSpan) -> None:
        assert repr(span()) == "<span 'a.b'>"

    @pytest.mark.parametrize("late", ["a.b.stop", "a.b.exception"])
    def test_who_attaches_in_between_hears_the_end(
        self, telemetry: Telemetry, span: OpenSpan, late: str, calls: list[Any], record: Any
    ) -> None:
        with contextlib.suppress(LookupError), span({"who": "x"}) as active:
            telemetry.attach("late", late, record)
            active.measurements["bytes"] = 7
            if late == "a.b.exception":
                raise LookupError

        ((event, measurements, metadata, _),) = calls
        assert event == late
        assert measurements["duration"] >= 0
        assert metadata["who"] == "x"
        assert CONTEXT in metadata

    def test_who_detaches_in_between_does_not(
        self, telemetry: Telemetry, span: OpenSpan, seen: Seen
    ) -> None:
        with span():
            telemetry.detach("seen")

        assert seen.events == ["a.b.start"]

    def test_a_failing_start_handler_leaves_the_operation_alone(
        self, telemetry: Telemetry, span: OpenSpan, seen: Seen
    ) -> None:
        def fail(*_: object) -> None:
            raise RuntimeError

        telemetry.attach("h", "a.b.start", fail)
        ran = False
        with span():
            ran = True

        assert ran
        assert seen.events == ["a.b.start", "a.b.stop"]


class TestMetadata:
    def test_it_begins_as_a_copy_of_the_start_metadata(self, span: OpenSpan, seen: Seen) -> None:
        given = {"who": "x"}
        with span(given) as active:
            assert active.metadata == {"who": "x", CONTEXT: active.context}
            active.metadata["who"] = "y"
            active.metadata["more"] = 1

        assert given == {"who": "x"}
        assert seen.metadata[0] == {"who": "x", CONTEXT: active.context}
        assert seen.metadata[1] == {"who": "y", "more": 1, CONTEXT: active.context}

    def test_all_is_filled_at_once(self, span: OpenSpan, seen: Seen) -> None:
        measured = {"items": 2}
        with span({"who": "x"}) as active:
            active.fill(measured, {"more": 1})
            active.fill({"octets": 3}, {"who": "y"})

        assert measured == {"items": 2}
        assert seen[1][1].items() >= {"items": 2, "octets": 3}.items()
        assert seen.metadata[1] == {"who": "y", "more": 1, CONTEXT: active.context}

    def test_what_nobody_heard_begin_is_filled_too(self, span: OpenSpan) -> None:
        with span({"who": "x"}) as active:
            active.fill({"items": 2}, {"more": 1})

            assert active.measurements == {"items": 2}
            assert active.metadata == {"who": "x", "more": 1, CONTEXT: active.context}

    def test_exception_carries_it_too(self, span: OpenSpan, seen: Seen) -> None:
        with contextlib.suppress(LookupError), span({"who": "x"}) as active:
            active.metadata["more"] = 1
            raise LookupError

        assert seen.metadata[1].items() >= {"who": "x", "more": 1}.items()

    def test_what_is_put_into_it_later_changes_nothing(self, span: OpenSpan, seen: Seen) -> None:
        with span() as active:
            active.metadata["more"] = 1
        active.metadata["more"] = 2

        assert seen.metadata[1]["more"] == 1

    def test_keys_can_be_taken_out(self, span: OpenSpan, seen: Seen) -> None:
        with span({"who": "x"}) as active:
            del active.metadata["who"]

        assert seen.metadata[1] == {CONTEXT: active.context}

    def test_without_any_the_context_is_all(self, span: OpenSpan, seen: Seen) -> None:
        with span() as active:
            pass

        assert seen.metadata == [{CONTEXT: active.context}] * 2

    def test_a_handle_takes_keywords(self, telemetry: Telemetry, seen: Seen) -> None:
        with telemetry.spanning("a.b")(who="x", self="y", metadata="z", function="f") as active:
            pass

        assert seen.metadata[0] == {
            "who": "x",
            "self": "y",
            "metadata": "z",
            "function": "f",
            CONTEXT: active.context,
        }

    def test_a_handle_takes_a_mapping_and_keywords_together(
        self, telemetry: Telemetry, seen: Seen
    ) -> None:
        given = {"who": "x", "what": 1}
        with telemetry.spanning("a.b")(given, who="y"):
            pass

        assert given == {"who": "x", "what": 1}
        assert seen.metadata[0].items() >= {"who": "y", "what": 1}.items()


class TestContext:
    def test_all_events_of_one_span_carry_the_same(self, span: OpenSpan, seen: Seen) -> None:
        with span() as active:
            pass
        with contextlib.suppress(LookupError), span() as other:
            raise LookupError

        assert [data[CONTEXT] for data in seen.metadata] == (
            [active.context] * 2 + [other.context] * 2
        )
        assert active.context != other.context

    def test_it_is_unique_in_the_process(self, telemetry: Telemetry) -> None:
        contexts: list[Any] = []

        def work() -> None:
            for _ in range(500):
                with telemetry.span("a.b") as active:
                    contexts.append(active.context)

        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert len(set(contexts)) == 4_000

    def test_it_is_unique_across_dispatchers(self, telemetry: Telemetry) -> None:
        with telemetry.span("a.b") as one, Telemetry().span("a.b") as other:
            assert one.context != other.context

    def test_the_callers_own_is_used(self, span: OpenSpan, seen: Seen) -> None:
        with span({CONTEXT: "mine"}) as active:
            assert active.context == "mine"
            assert active.metadata == {CONTEXT: "mine"}
        with contextlib.suppress(LookupError), span({CONTEXT: "mine"}):
            raise LookupError

        assert [data[CONTEXT] for data in seen.metadata] == ["mine"] * 4

    def test_it_can_be_asked_for_before_the_span_begins(self, span: OpenSpan, seen: Seen) -> None:
        active = span()
        context = active.context
        with active:
            assert active.context == context

        assert [data[CONTEXT] for data in seen.metadata] == [context] * 2

    def test_none_is_no_context(self, span: OpenSpan, seen: Seen) -> None:
        with span({CONTEXT: None}) as active:
            pass

        assert active.context is not None
        assert [data[CONTEXT] for data in seen.metadata] == [active.context] * 2

    @pytest.mark.parametrize("leave", [False, True])
    def test_the_body_cannot_override_it(self, span: OpenSpan, seen: Seen, leave: bool) -> None:
        with contextlib.suppress(LookupError), span() as active:
            active.metadata[CONTEXT] = "other"
            if leave:
                raise LookupError

        assert [data[CONTEXT] for data in seen.metadata] == [active.context] * 2

    def test_the_body_cannot_lose_it(self, span: OpenSpan, seen: Seen) -> None:
        with span() as active:
            active.metadata.clear()

        assert seen.metadata[1] == {CONTEXT: active.context}


class Leaving(BaseException):
    """Neither a failure nor one of Python's own ways out."""


KINDS = [
    (ValueError("no"), "error"),
    (ExceptionGroup("several", [ValueError(), TypeError()]), "error"),
    (StopIteration(), "error"),
    (SystemExit(1), "exit"),
    (KeyboardInterrupt(), "exit"),
    (Leaving(), "exit"),
    (asyncio.CancelledError(), "cancelled"),
    (BaseExceptionGroup("g", [asyncio.CancelledError()]), "cancelled"),
    (BaseExceptionGroup("g", [asyncio.CancelledError(), ValueError()]), "error"),
    (BaseExceptionGroup("g", [KeyboardInterrupt(), ValueError()]), "exit"),
    (
        BaseExceptionGroup(
            "g", [asyncio.CancelledError(), BaseExceptionGroup("h", [SystemExit(), ValueError()])]
        ),
        "exit",
    ),
]


class TestException:
    @pytest.mark.parametrize(("reason", "kind"), KINDS, ids=lambda value: repr(value)[:60])
    def test_it_says_how_the_operation_was_left_and_lets_the_original_go_on(
        self, span: OpenSpan, seen: Seen, advance: Advance, reason: BaseException, kind: str
    ) -> None:
        caught: BaseException | None = None
        try:
            with span({"who": "x"}):
                advance(1)
                raise reason
        except BaseException as left:  # noqa: BLE001 - interrupts and cancellations are the cases
            caught = left

        assert caught is reason
        assert seen.events == ["a.b.start", "a.b.exception"]
        assert seen.measurements[1] == {"duration": SECOND, "monotonic_time": 1_001 * SECOND}
        data = dict(seen.metadata[1])
        stacktrace = data.pop("stacktrace")
        assert data == {"who": "x", CONTEXT: "span-1", "kind": kind, "reason": reason}
        assert data["reason"] is reason
        assert isinstance(stacktrace, traceback.StackSummary)
        assert stacktrace[-1].line == "raise reason"

    def test_trio_cancellation_is_cancelled(self, span: OpenSpan, seen: Seen) -> None:
        async def main() -> None:
            with trio.CancelScope() as scope:
                async with span():
                    scope.cancel()
                    await trio.lowlevel.checkpoint()

        trio.run(main)

        assert seen.events == ["a.b.start", "a.b.exception"]
        assert seen.metadata[1]["kind"] == "cancelled"

    def test_asyncio_cancellation_is_cancelled(self, span: OpenSpan, seen: Seen) -> None:
        async def main() -> None:
            async def work() -> None:
                async with span():
                    await asyncio.get_running_loop().create_future()

            task = asyncio.create_task(work())
            await asyncio.sleep(0)
            task.cancel()
            await task

        with pytest.raises(asyncio.CancelledError):
            asyncio.run(main())

        assert seen.events == ["a.b.start", "a.b.exception"]
        assert seen.metadata[1]["kind"] == "cancelled"

    def test_kind_reason_and_stacktrace_win_over_keys_of_the_same_name(
        self, span: OpenSpan, seen: Seen
    ) -> None:
        with contextlib.suppress(LookupError), span({"kind": "mine", "reason": "mine"}) as active:
            active.metadata["stacktrace"] = "mine"
            raise LookupError

        assert seen.metadata[0]["kind"] == "mine"
        assert seen.metadata[1]["kind"] == "error"
        assert isinstance(seen.metadata[1]["reason"], LookupError)
        assert seen.metadata[1]["stacktrace"] != "mine"

    def test_measurements_of_the_body_belong_to_stop(self, span: OpenSpan, seen: Seen) -> None:
        with contextlib.suppress(LookupError), span() as active:
            active.measurements["bytes"] = 7
            raise LookupError

        assert seen.measurements[1].keys() == {"duration", "monotonic_time"}

    def test_a_generator_that_is_closed_early_stops(self, span: OpenSpan, seen: Seen) -> None:
        def numbers() -> Iterator[int]:
            with span():
                yield 1
                yield 2

        generator = numbers()
        next(generator)
        generator.close()  # type: ignore[attr-defined]  # an iterator that is a generator

        assert seen.events == ["a.b.start", "a.b.stop"]

    def test_an_exception_that_is_caught_inside_is_none(self, span: OpenSpan, seen: Seen) -> None:
        with span(), contextlib.suppress(LookupError):
            raise LookupError

        assert seen.events == ["a.b.start", "a.b.stop"]


class TestWhereItRuns:
    def test_async_with_is_with(self, span: OpenSpan, seen: Seen, advance: Advance) -> None:
        async def main() -> None:
            async with span({"who": "x"}) as active:
                active.measurements["bytes"] = 7
                advance(1)

        asyncio.run(main())
        trio.run(main)

        assert seen.events == ["a.b.start", "a.b.stop"] * 2
        assert seen.measurements[1] == {
            "bytes": 7,
            "duration": SECOND,
            "monotonic_time": 1_001 * SECOND,
        }

    def test_tasks_that_overlap_keep_their_spans_apart(self, span: OpenSpan, seen: Seen) -> None:
        async def work(number: int) -> None:
            async with span({"number": number}) as active:
                for _ in range(number):
                    await asyncio.sleep(0)
                active.measurements["number"] = number

        async def main() -> None:
            await asyncio.gather(*(work(number) for number in range(5)))

        asyncio.run(main())

        starts = {data[CONTEXT]: data["number"] for e, _, data in seen if e == "a.b.start"}
        stops = {data[CONTEXT]: measured["number"] for e, measured, data in seen if e == "a.b.stop"}
        assert starts == stops
        assert len(starts) == 5

    def test_a_span_may_end_in_another_thread(self, span: OpenSpan, seen: Seen) -> None:
        active = span({"who": "x"})
        active.__enter__()
        thread = threading.Thread(target=active.__exit__, args=(None, None, None))
        thread.start()
        thread.join()

        assert seen.events == ["a.b.start", "a.b.stop"]
        assert seen.metadata[0] == seen.metadata[1]


class TestSources:
    def test_they_can_be_replaced_and_put_back(self, telemetry: Telemetry, seen: Seen) -> None:
        before = spans.set_sources(lambda: 1, lambda: 2, lambda: "mine")
        try:
            with telemetry.span("a.b"):
                pass
        finally:
            replaced = spans.set_sources(*before)

        assert [source() for source in replaced] == [1, 2, "mine"]
        assert seen[0] == (
            "a.b.start",
            {"monotonic_time": 1, "system_time": 2},
            {CONTEXT: "mine"},
        )


def test_a_malformed_prefix_is_refused_when_the_span_is_opened(telemetry: Telemetry) -> None:
    with pytest.raises(EventNameError, match=r"^span prefix 'A' is malformed"):
        telemetry.span("A")
