# SPDX-License-Identifier: Apache-2.0
"""Capturing: what is kept, what can be asked of it, and what a failed assertion says."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable
from typing import Any
from unittest import mock

import anyio
import pytest
import trio
import trio.testing

import heliograph
from heliograph import EventNameError, Telemetry
from heliograph.stream import Snapshot
from heliograph.testing import Captured, CapturedSpan, capture, frozen_clock

pytestmark = pytest.mark.telemetry_lenient(reason="emits events of its own making")

Run = Callable[[Callable[[], Awaitable[Any]]], Any]


@pytest.fixture(params=["asyncio", "trio"])
def run(request: pytest.FixtureRequest) -> Run:
    """Runs a coroutine function in one of the two libraries."""
    return lambda main: anyio.run(main, backend=request.param)


@pytest.fixture
def telemetry() -> Telemetry:
    return Telemetry()


def executed(telemetry: Telemetry, *names: str) -> Captured:
    """What a capture holds after these events, numbered from 0 by their measurement `n`."""
    with capture(telemetry=telemetry) as events:
        for number, name in enumerate(names):
            telemetry.execute(name, {"n": number}, {"who": "x"})
    return events


def failure(assertion: Callable[..., object], *args: Any, **kwargs: Any) -> list[str]:
    """The lines of a failed assertion."""
    with pytest.raises(AssertionError) as failed:
        assertion(*args, **kwargs)
    return str(failed.value).splitlines()


class TestCapturing:
    def test_every_event_is_kept_with_what_it_carries_and_its_thread(
        self, telemetry: Telemetry
    ) -> None:
        thread = threading.get_ident()

        assert list(executed(telemetry, "a.b", "Any Name")) == [
            Snapshot("a.b", {"n": 0}, {"who": "x"}, thread),
            Snapshot("Any Name", {"n": 1}, {"who": "x"}, thread),
        ]

    def test_the_default_dispatcher_is_captured_unless_another_is_given(
        self, telemetry: Telemetry
    ) -> None:
        with capture("a.b") as events, capture(telemetry=telemetry) as others:
            heliograph.execute("a.b", {})

        assert (len(events), len(others)) == (1, 0)

    def test_nothing_is_kept_before_and_after_the_block(self, telemetry: Telemetry) -> None:
        telemetry.execute("a.before", {})
        events = executed(telemetry, "a.b")
        telemetry.execute("a.after", {})

        assert events.names == ["a.b"]

    def test_guarded_handles_execute_while_something_captures(self, telemetry: Telemetry) -> None:
        handle = telemetry.event("a.b")
        assert not handle.handlers
        with capture(telemetry=telemetry):
            assert handle.handlers
        assert not handle.handlers

    def test_later_changes_of_the_mappings_do_not_show(self, telemetry: Telemetry) -> None:
        metadata = {"names": ["x"]}
        with capture(telemetry=telemetry) as events:
            telemetry.execute("a.b", {}, metadata)
            metadata["names"].append("y")

        assert events[0].metadata == {"names": ["x"]}

    @pytest.mark.parametrize(
        ("patterns", "names"),
        [
            ((), ["a.b", "a.c", "a.b.c", "b"]),
            (("a.b",), ["a.b"]),
            (("a.*",), ["a.b", "a.c"]),
            (("a.**",), ["a.b", "a.c", "a.b.c"]),
            (("**.c",), ["a.c", "a.b.c"]),
            (("b*", "a.c"), ["a.c", "b"]),
            (("z.**",), []),
        ],
    )
    def test_with_patterns_only_what_matches_one_of_them_is_kept(
        self, telemetry: Telemetry, patterns: tuple[str, ...], names: list[str]
    ) -> None:
        with capture(*patterns, telemetry=telemetry) as events:
            for name in ("a.b", "a.c", "a.b.c", "b"):
                telemetry.execute(name, {})

        assert events.names == names

    @pytest.mark.parametrize("pattern", ["", "a..b", "a.B", "a b", "a.9", "a.**.", "ä"])
    def test_a_pattern_that_can_match_nothing_is_refused(self, pattern: str) -> None:
        with pytest.raises(EventNameError, match="can match no event: it must be segments of a-z"):
            capture(pattern).__enter__()

    def test_a_pattern_that_is_no_string_is_refused(self) -> None:
        with pytest.raises(TypeError, match=r"pattern \['a'\] is not a string; write 'shop"):
            capture(["a"]).__enter__()  # type: ignore[arg-type]  # wrong on purpose

    def test_an_event_without_mappings_fails_where_it_is_executed(
        self, telemetry: Telemetry
    ) -> None:
        with capture(telemetry=telemetry), pytest.raises(TypeError) as refused:
            telemetry.execute("a.b", 7)  # type: ignore[arg-type]  # wrong on purpose

        assert str(refused.value) == (
            "a.b: measurements and metadata must be mappings, not int and mappingproxy"
        )

    def test_events_of_all_threads_are_kept(self, telemetry: Telemetry) -> None:
        def emit() -> None:
            for _ in range(200):
                telemetry.execute("a.b", {})

        threads = [threading.Thread(target=emit) for _ in range(4)]
        with capture(telemetry=telemetry) as events:
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()

        assert len(events) == 800

    def test_it_needs_neither_pyyaml_nor_pytest(self) -> None:
        program = (
            "import sys; sys.modules.update(yaml=None, pytest=None)\n"
            "import heliograph\n"
            "from heliograph.testing import capture, frozen_clock\n"
            "with frozen_clock(), capture('a.**') as events:\n"
            "    with heliograph.span('a.b'): pass\n"
            "events.assert_sequence('a.*.start', 'a.b.stop')\n"
            "try: events.assert_event('a.b.stap')\n"
            "except AssertionError as failure: print(str(failure).splitlines()[0])\n"
        )
        result = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, check=True
        )

        assert result.stdout.startswith("no 'a.b.stap' was captured; did you mean 'a.b.stop'")


class TestReading:
    def test_it_is_a_sequence_of_snapshots(self, telemetry: Telemetry) -> None:
        events = executed(telemetry, "a.b", "a.c", "a.b")

        assert len(events) == 3
        assert events[-1] == list(events)[2]
        assert [each.event for each in events[:2]] == ["a.b", "a.c"]
        assert events[1] in events

    def test_names_are_in_order_and_repeated(self, telemetry: Telemetry) -> None:
        assert executed(telemetry, "b", "a", "b").names == ["b", "a", "b"]

    def test_named_gives_those_whose_name_matches(self, telemetry: Telemetry) -> None:
        events = executed(telemetry, "a.b", "b", "a.c")

        assert [each.measurements["n"] for each in events.named("a.*")] == [0, 2]
        assert events.named("c") == []

    def test_clear_forgets_and_goes_on(self, telemetry: Telemetry) -> None:
        with capture(telemetry=telemetry) as events:
            telemetry.execute("a.b", {})
            events.clear()
            telemetry.execute("a.c", {})

        assert events.names == ["a.c"]

    @pytest.mark.parametrize(
        ("names", "shown"),
        [
            ([], "<nothing captured>"),
            (["a.b"], "<1 captured: a.b>"),
            (["a.b", "a.c"], "<2 captured: a.b, a.c>"),
            (["a"] * 9, "<9 captured: a, a, a, a, a, a, a, a, ...>"),
        ],
    )
    def test_it_shows_how_many_and_which(
        self, telemetry: Telemetry, names: list[str], shown: str
    ) -> None:
        assert repr(executed(telemetry, *names)) == shown


class TestOne:
    def test_it_is_the_only_one(self, telemetry: Telemetry) -> None:
        assert executed(telemetry, "a.b", "a.c").one("a.c").measurements == {"n": 1}

    def test_none_is_a_failure(self, telemetry: Telemetry) -> None:
        assert failure(executed(telemetry).one, "a.b") == [
            "no 'a.b' was captured",
            "captured: nothing",
        ]

    def test_more_than_one_is_a_failure_that_lists_them(self, telemetry: Telemetry) -> None:
        assert failure(executed(telemetry, "a.b", "a.c", "b").one, "a.*") == [
            "expected one 'a.*', but there are 2",
            "captured: 2 events",
            "  0  a.b  {'n': 0}  {'who': 'x'}",
            "  1  a.c  {'n': 1}  {'who': 'x'}",
        ]


class TestAssertEvent:
    def test_it_gives_the_first_that_carries_what_is_expected(self, telemetry: Telemetry) -> None:
        events = executed(telemetry, "a.b", "a.c", "a.b")

        assert events.assert_event("a.b").measurements == {"n": 0}
        assert events.assert_event("a.*", {"n": 2}, {"who": "x"}).measurements == {"n": 2}

    @pytest.mark.parametrize("expected", [{"who": str}, {"who": mock.ANY}, {"who": "x"}, {}])
    def test_a_value_expected_is_equal_or_the_class_of_the_value(
        self, telemetry: Telemetry, expected: dict[str, object]
    ) -> None:
        executed(telemetry, "a.b").assert_event("a.b", metadata=expected)

    def test_a_class_is_also_equal_to_itself(self, telemetry: Telemetry) -> None:
        with capture(telemetry=telemetry) as events:
            telemetry.execute("a.b", {}, {"type": KeyError})

        events.assert_event("a.b", metadata={"type": KeyError})

    def test_a_name_that_was_not_captured_is_compared_with_those_that_were(
        self, telemetry: Telemetry
    ) -> None:
        events = executed(telemetry, "shop.order.placed")

        assert failure(events.assert_event, "shop.order.place") == [
            "no 'shop.order.place' was captured; did you mean 'shop.order.placed'?",
            "captured: 1 event",
            "  0  shop.order.placed  {'n': 0}  {'who': 'x'}",
        ]

    def test_the_nearest_is_the_latest_with_the_fewest_differences(
        self, telemetry: Telemetry
    ) -> None:
        events = executed(telemetry, "a.b", "a.b", "z", "a.b")

        assert failure(events.assert_event, "a.b", {"n": 1, "m": 3}, {"who": "x"}) == [
            "no 'a.b' with what is expected was captured",
            "the nearest is 1, a.b:",
            "  measurements.m: expected 3; it has n",
            "captured: 4 events",
            "  0  a.b  {'n': 0}  {'who': 'x'}",
            "  1  a.b  {'n': 1}  {'who': 'x'}",
            "  2  z  {'n': 2}  {'who': 'x'}",
            "  3  a.b  {'n': 3}  {'who': 'x'}",
        ]

    @pytest.mark.parametrize(
        ("measurements", "metadata", "difference"),
        [
            ({"n": 5}, None, "measurements.n: expected 5, got 0"),
            (None, {"who": "y"}, "metadata.who: expected 'y', got 'x'"),
            (None, {"who": int}, "metadata.who: expected an instance of int, got 'x'"),
            (None, {"whom": "y"}, "metadata.whom: expected 'y'; it has who"),
        ],
    )
    def test_each_difference_says_what_was_expected_and_what_was_there(
        self,
        telemetry: Telemetry,
        measurements: dict[str, object] | None,
        metadata: dict[str, object] | None,
        difference: str,
    ) -> None:
        lines = failure(executed(telemetry, "a.b").assert_event, "a.b", measurements, metadata)

        assert lines[2] == f"  {difference}"

    def test_an_event_that_carries_nothing_has_nothing(self, telemetry: Telemetry) -> None:
        with capture(telemetry=telemetry) as events:
            telemetry.execute("a.b", {})

        assert "  measurements.n: expected 1; it has nothing" in failure(
            events.assert_event, "a.b", {"n": 1}
        )

    def test_of_many_events_the_latest_are_listed_and_long_values_are_cut(
        self, telemetry: Telemetry
    ) -> None:
        with capture(telemetry=telemetry) as events:
            for number in range(30):
                telemetry.execute("a.b", {"n": number}, {"text": "x" * 1000})
        lines = failure(events.assert_event, "q")

        assert lines[1] == "captured: 30 events, the last 20 of them"
        assert lines[2].startswith("  10  a.b  {'n': 10}  {'text': 'xxx")
        assert len(lines) == 22
        assert max(map(len, lines)) < 200

    def test_a_value_that_cannot_be_shown_does_not_hide_the_failure(
        self, telemetry: Telemetry
    ) -> None:
        class Unshowable:
            def __repr__(self) -> str:
                raise KeyError

        with capture(telemetry=telemetry) as events:
            telemetry.execute("a.b", {}, {"it": Unshowable()})

        assert "<Unshowable instance at" in failure(events.assert_event, "q")[-1]

    def test_pytest_shows_the_line_of_the_test(self, pytester: pytest.Pytester) -> None:
        pytester.makepyfile(
            """
            def test(telemetry_events):
                telemetry_events.assert_event("a.b")
            """
        )
        output = pytester.runpytest().stdout

        output.fnmatch_lines([">*telemetry_events.assert_event(?a.b?)", "E*no 'a.b' was captured"])
        output.no_fnmatch_line("*capture.py*")


class TestAssertSequence:
    def test_it_gives_the_matches_in_order_whatever_comes_in_between(
        self, telemetry: Telemetry
    ) -> None:
        events = executed(telemetry, "c", "a", "x", "b", "a", "c")

        found = events.assert_sequence("a", "b", "*")
        assert [each.measurements["n"] for each in found] == [1, 3, 4]

    def test_one_event_does_not_count_twice(self, telemetry: Telemetry) -> None:
        assert failure(executed(telemetry, "a").assert_sequence, "a", "a")[0] == (
            "a at 0, but no 'a' after that"
        )

    def test_a_failure_says_how_far_it_went(self, telemetry: Telemetry) -> None:
        events = executed(telemetry, "c", "a", "b")

        assert failure(events.assert_sequence, "a", "*", "c") == [
            "a at 1, then b at 2, but no 'c' after that",
            "captured: 3 events",
            "  0  c  {'n': 0}  {'who': 'x'}",
            "  1  a  {'n': 1}  {'who': 'x'}",
            "  2  b  {'n': 2}  {'who': 'x'}",
        ]

    def test_without_even_the_first_it_is_the_failure_of_assert_event(
        self, telemetry: Telemetry
    ) -> None:
        assert failure(executed(telemetry, "c").assert_sequence, "a", "c")[0] == (
            "no 'a' was captured"
        )


class TestAssertNone:
    def test_without_a_pattern_it_means_every_event(self, telemetry: Telemetry) -> None:
        executed(telemetry).assert_none()

        assert failure(executed(telemetry, "a").assert_none)[0] == "expected no event"

    def test_with_patterns_it_means_what_matches_one_of_them(self, telemetry: Telemetry) -> None:
        events = executed(telemetry, "a.b", "c")

        events.assert_none("b", "a")
        assert failure(events.assert_none, "b", "a.*") == [
            "expected no 'b' or 'a.*'",
            "captured: 1 event",
            "  0  a.b  {'n': 0}  {'who': 'x'}",
        ]


class TestSpans:
    def test_a_span_is_put_together_from_its_events(self, telemetry: Telemetry) -> None:
        with (
            frozen_clock(step_ns=5),
            capture(telemetry=telemetry) as events,
            telemetry.span("a.b", {"who": "x"}),
        ):
            pass

        assert events.spans() == [CapturedSpan("a.b", 1, events[0], events[1])]
        assert (events.spans()[0].outcome, events.spans()[0].duration) == ("stop", 5)

    def test_one_that_raised_ended_with_an_exception(self, telemetry: Telemetry) -> None:
        with (
            capture(telemetry=telemetry) as events,
            pytest.raises(KeyError),
            telemetry.span("a.b"),
        ):
            raise KeyError

        (span,) = events.spans("a.b")
        assert span.outcome == "exception"
        assert span.end is not None
        assert span.end.metadata["kind"] == "error"

    def test_nested_and_interleaved_ones_are_told_apart_by_their_contexts(
        self, telemetry: Telemetry
    ) -> None:
        with frozen_clock(), capture(telemetry=telemetry) as events:
            first, second = telemetry.span("a.b"), telemetry.span("a.b")
            first.__enter__()
            with second, telemetry.span("a.c"):
                first.__exit__(None, None, None)

        assert [(each.name, each.context) for each in events.spans()] == [
            ("a.b", 1),
            ("a.b", 2),
            ("a.c", 3),
        ]
        assert all(each.outcome == "stop" for each in events.spans())

    def test_names_that_share_a_context_are_different_spans(self, telemetry: Telemetry) -> None:
        shared = {"telemetry_span_context": ["not", "hashable"]}
        with (
            capture(telemetry=telemetry) as events,
            telemetry.span("a.b", shared),
            telemetry.span("a.c", shared),
        ):
            pass

        assert [(each.name, each.outcome) for each in events.spans()] == [
            ("a.b", "stop"),
            ("a.c", "stop"),
        ]

    def test_one_context_used_again_is_another_span(self, telemetry: Telemetry) -> None:
        shared = {"telemetry_span_context": 7}
        with capture(telemetry=telemetry) as events:
            for _ in range(2):
                with telemetry.span("a.b", shared):
                    pass

        assert [span.end for span in events.spans()] == [events[1], events[3]]

    def test_one_still_open_has_no_end(self, telemetry: Telemetry) -> None:
        with capture(telemetry=telemetry) as events, telemetry.span("a.b"):
            (span,) = events.spans()

        assert (span.end, span.outcome, span.duration) == (None, None, None)

    def test_one_begun_before_the_capture_has_no_start(self, telemetry: Telemetry) -> None:
        with telemetry.span("a.b"):
            entered = capture(telemetry=telemetry)
            events = entered.__enter__()
        entered.__exit__(None, None, None)

        (span,) = events.spans()
        assert (span.start, span.outcome) == (None, "stop")

    def test_only_those_whose_name_matches_are_given(self, telemetry: Telemetry) -> None:
        with (
            capture(telemetry=telemetry) as events,
            telemetry.span("a.b"),
            telemetry.span("a.c.d"),
        ):
            pass

        assert [span.name for span in events.spans("a.*")] == ["a.b"]

    def test_events_that_only_look_like_a_spans_are_left_out(self, telemetry: Telemetry) -> None:
        with capture(telemetry=telemetry) as events:
            telemetry.execute("motor.stop", {})
            telemetry.execute("a.b", {}, {"telemetry_span_context": 1})

        assert events.spans() == []


class TestWaitingInAThread:
    def test_what_came_already_is_there_at_once(self, telemetry: Telemetry) -> None:
        events = executed(telemetry, "a.b")

        assert events.wait_for("a.b", timeout=0) is events[0]

    def test_what_another_thread_executes_is_awaited(self, telemetry: Telemetry) -> None:
        with capture(telemetry=telemetry) as events:
            waited: list[Snapshot] = []
            waiting = threading.Thread(
                target=lambda: waited.append(events.wait_for("a.b", {"n": 2}, {"who": "x"}))
            )
            waiting.start()
            while not events._arrivals:  # until it waits
                pass
            for number in range(4):
                telemetry.execute("a.b", {"n": number}, {"who": "x"})
            waiting.join()

        assert [each.measurements["n"] for each in waited] == [2]
        assert events._arrivals == []

    def test_the_last_of_so_many_is_given(self, telemetry: Telemetry) -> None:
        events = executed(telemetry, "a.b", "a.b", "a.b")

        assert events.wait_for("a.b", count=2).measurements == {"n": 1}

    def test_what_does_not_come_is_a_failure(self, telemetry: Telemetry) -> None:
        events = executed(telemetry, "a.c")

        assert failure(events.wait_for, "a.b", timeout=0.001) == [
            "no 'a.b' was captured within 0.001 s; did you mean 'a.c'?",
            "captured: 1 event",
            "  0  a.c  {'n': 0}  {'who': 'x'}",
        ]
        assert events._arrivals == []

    def test_a_failure_says_how_many_of_them_came(self, telemetry: Telemetry) -> None:
        events = executed(telemetry, "a.b", "a.b")

        assert failure(events.wait_for, "a.*", count=3, timeout=0)[:2] == [
            "2 of 3 'a.*' came within 0 s",
            "captured: 2 events",
        ]

    def test_waiting_for_less_than_one_is_refused(self, telemetry: Telemetry) -> None:
        with pytest.raises(ValueError, match="count is 0; wait for at least 1 event"):
            executed(telemetry).wait_for("a.b", count=0)

    def test_a_failure_names_the_event_loop_it_blocked(
        self, run: Run, telemetry: Telemetry
    ) -> None:
        async def main() -> list[str]:
            return failure(executed(telemetry).wait_for, "a.b", timeout=0)

        assert run(main)[-1] == (
            "wait_for blocked this event loop meanwhile; use `await captured.until(...)` in a task"
        )


class TestWaitingInATask:
    def test_what_came_already_is_there_at_once(self, run: Run, telemetry: Telemetry) -> None:
        events = executed(telemetry, "a.b")

        async def main() -> Snapshot:
            return await events.until("a.b")

        assert run(main) is events[0]

    def test_what_another_task_executes_is_awaited(self, run: Run, telemetry: Telemetry) -> None:
        async def main() -> Snapshot:
            with capture(telemetry=telemetry) as events:
                async with anyio.create_task_group() as group:
                    group.start_soon(emit)
                    found = await events.until("a.b", {"n": 2}, {"who": "x"})
            assert events._arrivals == []
            return found

        async def emit() -> None:
            for number in range(4):
                await anyio.lowlevel.checkpoint()
                telemetry.execute("a.b", {"n": number}, {"who": "x"})

        assert run(main).measurements == {"n": 2}

    def test_what_a_thread_executes_is_awaited(self, run: Run, telemetry: Telemetry) -> None:
        async def main() -> Snapshot:
            thread = threading.Thread(target=telemetry.execute, args=("a.b", {"n": 1}))
            with capture(telemetry=telemetry) as events:
                thread.start()
                found = await events.until("a.b")
            thread.join()
            return found

        assert run(main).measurements == {"n": 1}

    def test_what_does_not_come_is_a_failure(self, run: Run, telemetry: Telemetry) -> None:
        events = executed(telemetry, "a.c")

        async def main() -> list[str]:
            with pytest.raises(AssertionError) as failed:
                await events.until("a.b", timeout=0.001)
            return str(failed.value).splitlines()

        assert run(main)[0] == "no 'a.b' was captured within 0.001 s; did you mean 'a.c'?"
        assert events._arrivals == []

    def test_what_came_just_as_time_was_up_is_found(self, telemetry: Telemetry) -> None:
        async def main() -> Snapshot:
            loop = asyncio.get_running_loop()
            # One turn later than the end of the time, and one before the task learns of it.
            loop.call_soon(lambda: loop.call_soon(telemetry.execute, "a.b", {}))
            with capture(telemetry=telemetry) as events:
                return await events.until("a.b", timeout=0)

        assert asyncio.run(main()).event == "a.b"

    def test_trio_can_skip_the_wait_with_its_own_clock(self, telemetry: Telemetry) -> None:
        events = executed(telemetry)

        async def main() -> None:
            await events.until("a.b", timeout=3600)

        with pytest.raises(AssertionError, match="within 3600 s"):
            trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))

    def test_waiting_for_less_than_one_is_refused(self, run: Run, telemetry: Telemetry) -> None:
        async def main() -> None:
            await executed(telemetry).until("a.b", count=0)

        with pytest.raises(ValueError, match="count is 0; wait for at least 1 event"):
            run(main)

    def test_outside_of_a_task_it_is_refused(self, telemetry: Telemetry) -> None:
        waiting = executed(telemetry).until("a.b")

        with pytest.raises(RuntimeError, match="asyncio or trio, and neither is running"):
            waiting.send(None)
