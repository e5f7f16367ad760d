# SPDX-License-Identifier: Apache-2.0
"""The poller: when measurements are taken, what they execute, and how they fail and end."""

from __future__ import annotations

import asyncio
import contextvars
import math
import os
import random
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any, Never

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from heliograph import EventNameError, Telemetry, default
from heliograph.events import POLLER_FAILURE, POLLER_MEASUREMENT
from heliograph.poller import (
    THREAD_NAME,
    MonotonicClock,
    Poller,
    Schedule,
)
from heliograph.stream import Snapshot, events

SECOND = 1_000_000_000


class ManualClock:
    """A clock that stands still until it is advanced, from a task of the poller's loop."""

    def __init__(self) -> None:
        self.time = 0
        self.alarms: dict[asyncio.Future[None], int] = {}

    def now(self) -> int:
        return self.time

    async def wait(self, until: int | None, future: asyncio.Future[Any] | None = None) -> None:
        futures = set() if future is None else {future}
        alarm = asyncio.get_running_loop().create_future()
        if until is not None:
            futures.add(alarm)
            self.alarms[alarm] = until
            self.ring()
        try:
            await asyncio.wait(futures, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self.alarms.pop(alarm, None)

    def ring(self) -> None:
        for alarm, until in self.alarms.items():
            if until <= self.time and not alarm.done():
                alarm.set_result(None)

    async def advance(self, seconds: float) -> None:
        """Let time pass from one alarm to the next, and what each wakes run as far as it can."""
        end = self.time + round(seconds * SECOND)
        while True:
            await settle()
            ahead = [until for until in self.alarms.values() if until <= end]
            if not ahead:
                break
            self.time = max(self.time, min(ahead))
            self.ring()
        self.time = end


async def settle() -> None:
    """Let every task run until it waits; no chain of wake-ups here is longer than this."""
    for _ in range(25):
        await asyncio.sleep(0)


def pollers_threads() -> list[threading.Thread]:
    return [each for each in threading.enumerate() if each.name.startswith(THREAD_NAME)]


@pytest.fixture
def telemetry() -> Telemetry:
    return Telemetry()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def poller(telemetry: Telemetry, clock: ManualClock) -> Poller:
    """One without jitter, at a clock that the test advances."""
    return Poller(1.0, jitter=0, telemetry=telemetry, clock=clock, grace=0.05)


Seen = list[tuple[str, Mapping[str, Any], Mapping[str, Any]]]


@pytest.fixture
def seen(telemetry: Telemetry) -> Seen:
    """Every event executed, in order."""
    executed: Seen = []
    telemetry.observe(lambda *event: executed.append(event))
    return executed


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    yield
    for thread in pollers_threads():
        thread.join(30)  # it may be about to end
        assert not thread.is_alive(), thread.name


def named(seen: Seen, name: str) -> list[tuple[Mapping[str, Any], Mapping[str, Any]]]:
    return [(measurements, metadata) for event, measurements, metadata in seen if event == name]


def failures(seen: Seen) -> list[tuple[Mapping[str, Any], Mapping[str, Any]]]:
    return named(seen, POLLER_FAILURE.name)


def measuring(result: object = MappingProxyType({"count": 1})) -> Callable[[], Any]:
    """Return a coroutine function that returns `result`, or raises it if it is an exception."""

    async def measure() -> Any:
        if isinstance(result, BaseException):
            raise result
        return result

    return measure


class TestSchedule:
    def test_without_jitter_deadlines_are_whole_periods(self) -> None:
        schedule = Schedule(100, 10, 0, random.random)
        assert [schedule.next(now) for now in (100, 100, 111, 125, 130)] == [
            100,
            110,
            120,
            130,
            140,
        ]

    def test_deadlines_missed_by_a_slow_run_are_not_made_up_for(self) -> None:
        schedule = Schedule(0, 10, 0, random.random)
        assert schedule.next(0) == 0
        assert schedule.next(57) == 60

    @given(
        start=st.integers(0, 10**12),
        period=st.integers(1, 10**11),
        jitter=st.floats(0, 0.99),
        slowness=st.lists(st.floats(0, 5), min_size=1, max_size=30),
        seed=st.integers(),
    )
    def test_every_deadline_is_on_its_line_or_up_to_the_spread_behind_it(
        self, start: int, period: int, jitter: float, slowness: list[float], seed: int
    ) -> None:
        spread = int(period * jitter)
        schedule = Schedule(start, period, spread, random.Random(seed).random)
        now = start
        lines = []
        for slow in slowness:
            deadline = schedule.next(now)
            line, behind = divmod(deadline - start, period)
            assert behind <= spread
            assert deadline >= now - spread
            lines.append(line)
            now = max(now, deadline) + int(slow * period)
        assert lines == sorted(set(lines))
        assert lines[0] == 0

    def test_a_seed_repeats_the_jitter(self, telemetry: Telemetry) -> None:
        async def times(seed: int) -> list[int]:
            clock = ManualClock()
            poller = Poller(
                1.0, jitter=0.5, telemetry=telemetry, clock=clock, rng=random.Random(seed)
            )
            taken: list[int] = []

            async def measure() -> None:
                taken.append(clock.now())

            poller.add("a.b", measure)
            async with poller:
                await clock.advance(5)
            return taken

        first, again, other = (asyncio.run(times(seed)) for seed in (1, 1, 2))
        assert first == again != other
        assert [time // SECOND for time in first] == [0, 1, 2, 3, 4]
        assert len({time % SECOND for time in first}) == 5
        assert all(time % SECOND < SECOND // 2 for time in first)


class TestWhatIsExecuted:
    @pytest.mark.parametrize(
        ("result", "expected"),
        [
            ({"n": 1}, [({"n": 1}, {"given": 1})]),
            (MappingProxyType({"n": 1}), [({"n": 1}, {"given": 1})]),
            (({"n": 1}, {"k": 2}), [({"n": 1}, {"given": 1, "k": 2})]),
            (({"n": 1}, {"given": 2}), [({"n": 1}, {"given": 2})]),
            (
                [({"n": 1}, {"k": 1}), {"n": 2}],
                [({"n": 1}, {"given": 1, "k": 1}), ({"n": 2}, {"given": 1})],
            ),
            ([], []),
            (None, []),
        ],
    )
    @pytest.mark.parametrize("wrap", [measuring, lambda result: lambda: result])
    def test_is_what_the_function_returns(
        self, poller: Poller, seen: Seen, wrap: Callable[[Any], Any], result: Any, expected: Any
    ) -> None:
        poller.add("a.b", wrap(result), metadata={"given": 1})
        assert poller.poll() == {"a.b": "ok"}
        assert named(seen, "a.b") == expected

    def test_may_have_another_name_than_the_measurement(self, poller: Poller, seen: Seen) -> None:
        poller.add("queue.one", measuring({"n": 1}), event="queue.size", metadata={"queue": "one"})
        poller.add("queue.two", measuring({"n": 2}), event="queue.size", metadata={"queue": "two"})
        poller.poll()
        assert named(seen, "queue.size") == [
            ({"n": 1}, {"queue": "one"}),
            ({"n": 2}, {"queue": "two"}),
        ]

    def test_methods_partials_and_callable_objects_are_measuring_functions(
        self, poller: Poller, seen: Seen
    ) -> None:
        class Queue:
            async def size(self) -> dict[str, int]:
                return {"n": 1}

            async def __call__(self) -> dict[str, int]:
                return {"n": 2}

        async def sized(n: int) -> dict[str, int]:
            return {"n": n}

        poller.add("a.method", Queue().size)
        poller.add("a.callable", Queue())
        poller.add("a.partial", partial(sized, 3))
        assert set(poller.poll().values()) == {"ok"}
        assert [
            named(seen, name)[0][0]["n"] for name in ("a.method", "a.callable", "a.partial")
        ] == [
            1,
            2,
            3,
        ]

    def test_a_plain_function_runs_in_a_thread_with_the_context_it_was_started_from(
        self, poller: Poller, seen: Seen
    ) -> None:
        variable = contextvars.ContextVar("variable", default="unset")
        thread_names = []

        def measure() -> dict[str, int]:
            thread_names.append(threading.current_thread().name)
            return {"set": int(variable.get() == "here")}

        async def main() -> None:
            variable.set("here")
            await poller.poll_async()

        poller.add("a.b", measure)
        asyncio.run(main())
        assert named(seen, "a.b") == [({"set": 1}, {})]
        assert thread_names == ["heliograph-poller:a.b"]

    def test_each_run_executes_its_duration_and_outcome(
        self, poller: Poller, clock: ManualClock, seen: Seen
    ) -> None:
        async def slow() -> None:
            await clock.wait(clock.now() + SECOND // 4)

        async def too_slow() -> None:
            await clock.wait(clock.now() + 3 * SECOND // 2)

        async def main() -> None:
            poller.add("a.slow", slow)
            poller.add("a.late", too_slow, timeout=math.inf)
            async with poller:
                await clock.advance(1.9)

        asyncio.run(main())
        assert named(seen, POLLER_MEASUREMENT.name) == [
            ({"duration": SECOND // 4}, {"name": "a.slow", "outcome": "ok"}),
            ({"duration": SECOND // 4}, {"name": "a.slow", "outcome": "ok"}),
            ({"duration": 3 * SECOND // 2}, {"name": "a.late", "outcome": "overrun"}),
        ]

    def test_nothing_is_built_for_events_that_nobody_listens_to(self, poller: Poller) -> None:
        poller.add("a.fails", measuring(ValueError("x")))
        assert poller.poll() == {"a.fails": "error"}

    def test_the_default_dispatcher_is_used_unless_another_is_given(self) -> None:
        poller = Poller()
        poller.add("poller.default", measuring({"n": 1}))
        caught = []
        default().attach("caught", "poller.default", lambda *event: caught.append(event[1]))
        try:
            poller.poll()
        finally:
            default().detach("caught")
        assert caught == [{"n": 1}]


class TestTiming:
    def test_each_measurement_is_taken_at_once_and_then_once_a_period(
        self, poller: Poller, clock: ManualClock
    ) -> None:
        taken: list[tuple[str, float]] = []

        def at(name: str) -> Callable[[], Any]:
            async def measure() -> None:
                taken.append((name, clock.now() / SECOND))

            return measure

        async def main() -> None:
            poller.add("each.second", at("second"))
            poller.add("each.other", at("other"), period=2.5)
            async with poller:
                await clock.advance(5)

        asyncio.run(main())
        assert [time for name, time in taken if name == "second"] == [0, 1, 2, 3, 4, 5]
        assert [time for name, time in taken if name == "other"] == [0, 2.5, 5]

    def test_a_slow_measurement_delays_no_other_and_skips_what_it_missed(
        self, poller: Poller, clock: ManualClock
    ) -> None:
        slow, quick = [], []

        async def take_long() -> None:
            slow.append(clock.now() / SECOND)
            await clock.wait(clock.now() + int(2.2 * SECOND))

        async def be_quick() -> None:
            quick.append(clock.now() / SECOND)

        async def main() -> None:
            poller.add("a.slow", take_long, timeout=math.inf)
            poller.add("a.quick", be_quick)
            async with poller:
                await clock.advance(6)

        asyncio.run(main())
        assert quick == [0, 1, 2, 3, 4, 5, 6]
        assert slow == [0, 3, 6]

    def test_measurements_can_be_added_and_removed_while_it_runs(
        self, poller: Poller, clock: ManualClock, seen: Seen
    ) -> None:
        async def main() -> None:
            async with poller:
                await clock.advance(10)
                poller.add("a.b", measuring())
                await clock.advance(1.5)
                assert len(named(seen, "a.b")) == 2
                poller.remove("a.b")
                await clock.advance(5)
                assert len(named(seen, "a.b")) == 2
                poller.add("a.b", measuring())
                poller.remove("a.b")
                await clock.advance(5)
                assert len(named(seen, "a.b")) == 2

        asyncio.run(main())

    def test_removing_cancels_a_coroutine_under_way(
        self, poller: Poller, clock: ManualClock, seen: Seen
    ) -> None:
        left = []

        async def measure() -> None:
            try:
                await clock.wait(clock.now() + 100 * SECOND)
            finally:
                left.append(True)

        async def main() -> None:
            poller.add("a.b", measure, timeout=math.inf)
            async with poller:
                await clock.advance(1)
                poller.remove("a.b")
                await clock.advance(1)
                assert left == [True]

        asyncio.run(main())
        assert seen == []

    def test_the_default_clock_sleeps_until_a_time_or_a_future(self) -> None:
        async def main() -> None:
            clock = MonotonicClock()
            before = clock.now()
            await clock.wait(before + 1_000_000)
            # Timers may ring early by the resolution of the loop's clock.
            assert clock.now() - before > 900_000
            done = asyncio.get_running_loop().create_future()
            await clock.wait(clock.now(), done)
            assert not done.done()
            done.set_result(None)
            await clock.wait(None, done)
            await clock.wait(None)

        asyncio.run(main())


class TestFailing:
    @pytest.mark.parametrize("wrap", [measuring, lambda error: lambda: fail(error)])
    def test_one_that_raises_is_reported_with_its_exception_and_kept(
        self, poller: Poller, seen: Seen, wrap: Callable[[Any], Any]
    ) -> None:
        error = ValueError("no such queue")
        poller.add("a.b", wrap(error))
        assert poller.poll() == {"a.b": "error"}

        ((measurements, metadata),) = failures(seen)
        assert measurements == {"count": 1}
        assert metadata["reason"] is error
        assert metadata["stacktrace"][-1].name in {"measure", "fail"}
        assert {key: metadata[key] for key in ("name", "kind", "policy")} == {
            "name": "a.b",
            "kind": "error",
            "policy": "keep",
        }
        assert named(seen, POLLER_MEASUREMENT.name)[0][1] == {"name": "a.b", "outcome": "error"}
        assert [info.name for info in poller.measurements()] == ["a.b"]

    def test_one_that_raises_is_removed_if_so_asked(
        self, poller: Poller, clock: ManualClock, seen: Seen, caplog: pytest.LogCaptureFixture
    ) -> None:
        async def main() -> None:
            poller.add("a.b", measuring(ValueError("x")), on_failure="remove")
            async with poller:
                await clock.advance(5)

        asyncio.run(main())
        assert [metadata["policy"] for _, metadata in failures(seen)] == ["remove"]
        assert poller.measurements() == []
        assert [record.message for record in caplog.records] == [
            "measurement 'a.b' failed; it is removed"
        ]

    def test_one_that_goes_on_failing_is_logged_when_that_begins(
        self, poller: Poller, caplog: pytest.LogCaptureFixture
    ) -> None:
        fails = [True, True, False, True]

        async def measure() -> None:
            if fails.pop(0):
                raise ValueError("x")

        poller.add("a.b", measure)
        outcomes = [poller.poll()["a.b"] for _ in range(4)]
        assert outcomes == ["error", "error", "ok", "error"]
        assert [record.message for record in caplog.records] == [
            "measurement 'a.b' failed; it is tried again when it is next due"
        ] * 2

    @pytest.mark.parametrize(
        ("error", "kind"),
        [(SystemExit(3), "exit"), (KeyboardInterrupt(), "exit"), (RuntimeError("x"), "error")],
    )
    def test_whatever_a_plain_function_raises_ends_only_its_run(
        self, poller: Poller, seen: Seen, error: BaseException, kind: str
    ) -> None:
        poller.add("a.b", lambda: fail(error))
        assert poller.poll() == {"a.b": "error"}
        assert failures(seen)[0][1]["kind"] == kind

    def test_a_coroutine_that_cancels_itself_has_failed(self, poller: Poller, seen: Seen) -> None:
        poller.add("a.b", measuring(asyncio.CancelledError()))
        assert poller.poll() == {"a.b": "error"}
        assert failures(seen)[0][1]["kind"] == "cancelled"

    def test_a_coroutine_that_exits_ends_the_loop_as_in_any_task(self, poller: Poller) -> None:
        poller.add("a.b", measuring(SystemExit(3)))
        with pytest.raises(SystemExit):
            poller.poll()

    @pytest.mark.parametrize(
        ("result", "message"),
        [
            (17, "measurement 'a.b' returned int; return a mapping"),
            ("text", "returned str"),
            (({"n": 1},), "returned tuple"),
            (({"n": 1}, 2), "returned tuple"),
            (({"n": 1}, {}, {}), "returned tuple"),
            ([{"n": 1}, 2], "returned int"),
        ],
    )
    def test_a_result_that_makes_no_event_is_a_failure_and_executes_none(
        self, poller: Poller, seen: Seen, result: object, message: str
    ) -> None:
        poller.add("a.b", measuring(result))
        assert poller.poll() == {"a.b": "error"}
        reason = failures(seen)[0][1]["reason"]
        assert isinstance(reason, TypeError)
        assert message in str(reason)
        assert named(seen, "a.b") == []

    def test_a_plain_function_that_returns_a_coroutine_is_told_so(
        self, poller: Poller, seen: Seen
    ) -> None:
        coroutine_function = measuring()
        poller.add("a.b", lambda: coroutine_function())  # noqa: PLW0108 - the mistake in question
        poller.poll()
        assert "add the coroutine function itself" in str(failures(seen)[0][1]["reason"])

    def test_a_system_without_threads_is_a_failure(
        self, poller: Poller, seen: Seen, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def main() -> None:
            monkeypatch.setattr(threading, "_start_new_thread", no_more_threads)
            await poller.poll_async()
            monkeypatch.undo()
            await poller.poll_async()

        poller.add("a.b", lambda: {"n": 1})
        asyncio.run(main())
        assert str(failures(seen)[0][1]["reason"]) == "can't start new thread"
        assert len(named(seen, "a.b")) == 1

    def test_what_a_handler_lets_through_ends_the_run(
        self, telemetry: Telemetry, poller: Poller, clock: ManualClock
    ) -> None:
        class Stop(BaseException):
            pass

        def handler(*event: object) -> Never:
            raise Stop

        async def main() -> None:
            poller.add("a.b", measuring())
            telemetry.attach("stop", "a.b", handler)
            with pytest.raises(Stop):
                await asyncio.gather(poller.run(), clock.advance(0))
            assert not poller.running

        asyncio.run(main())


def fail(error: BaseException) -> Never:
    raise error


def no_more_threads(*args: object) -> Never:
    raise RuntimeError("can't start new thread")


class TestTakingTooLong:
    def test_a_coroutine_is_cancelled_reported_and_tried_again_when_next_due(
        self, poller: Poller, clock: ManualClock, seen: Seen
    ) -> None:
        started = []

        async def measure() -> dict[str, int]:
            started.append(clock.now() / SECOND)
            await clock.wait(clock.now() + 10 * SECOND)
            return {"n": 1}

        async def main() -> None:
            poller.add("a.b", measure, timeout=0.5)
            async with poller:
                await clock.advance(1.4)

        asyncio.run(main())
        assert started == [0, 1]
        ((_, metadata),) = failures(seen)
        assert isinstance(metadata["reason"], TimeoutError)
        assert str(metadata["reason"]) == "measurement 'a.b' took longer than 0.5 s"
        assert named(seen, POLLER_MEASUREMENT.name) == [
            ({"duration": SECOND // 2}, {"name": "a.b", "outcome": "timeout"})
        ]
        assert named(seen, "a.b") == []

    def test_the_time_out_is_the_period_unless_given(
        self, poller: Poller, clock: ManualClock, seen: Seen
    ) -> None:
        async def measure() -> None:
            await clock.wait(clock.now() + 10 * SECOND)

        async def main() -> None:
            poller.add("a.b", measure)
            async with poller:
                await clock.advance(1)

        asyncio.run(main())
        assert str(failures(seen)[0][1]["reason"]).endswith("longer than 1 s")

    @pytest.mark.parametrize("policy", ["keep", "remove"])
    def test_a_thread_is_not_started_again_before_it_has_returned(
        self, telemetry: Telemetry, poller: Poller, clock: ManualClock, policy: Any
    ) -> None:
        release = threading.Event()
        begun = threading.Semaphore(0)
        runs = []

        def measure() -> dict[str, int]:
            runs.append(threading.current_thread())
            begun.release()
            release.wait()
            return {"run": len(runs)}

        async def main() -> list[Mapping[str, Any]]:
            values = events("a.b", telemetry=telemetry)
            poller.add("a.b", measure, timeout=0.5, on_failure=policy)
            async with poller:
                await settle()
                await asyncio.to_thread(begun.acquire)
                await clock.advance(3.2)
                listed = poller.measurements()
                assert [info.running for info in listed] == ([True] if policy == "keep" else [])
                assert await poller.poll_async() == {}
                assert len(runs) == 1
                release.set()
                await landing()
                await clock.advance(0.7)
                assert len(pollers_threads()) == 0
                await clock.advance(0.2)
                if policy == "keep":
                    await asyncio.to_thread(begun.acquire)
                    await landing()
                assert len(runs) == (2 if policy == "keep" else 1)
            values.close()
            return [snapshot.measurements async for snapshot in values]

        async def landing() -> None:
            """Wait until the threads have returned and the loop knows it."""
            for thread in pollers_threads():
                await asyncio.to_thread(thread.join)
            await settle()

        values = asyncio.run(main())
        # What a run returns after its time-out is dropped.
        assert values == ([{"run": 2}] if policy == "keep" else [])

    def test_a_coroutine_that_ignores_its_cancellation_is_not_doubled(
        self, poller: Poller, clock: ManualClock
    ) -> None:
        started: list[float] = []

        async def measure() -> None:
            started.append(clock.now() / SECOND)
            end = clock.now() + int(2.5 * SECOND)
            while clock.now() < end:
                try:
                    await clock.wait(end)
                except asyncio.CancelledError:
                    continue

        async def main() -> None:
            poller.add("a.b", measure, timeout=0.5)
            async with poller:
                await clock.advance(3.6)
                poller.remove("a.b")
                await clock.advance(5)

        asyncio.run(main())
        assert started == [0, 3]


class TestRunningInAsyncio:
    def test_run_goes_on_until_it_is_cancelled(
        self, poller: Poller, clock: ManualClock, seen: Seen
    ) -> None:
        async def main() -> None:
            poller.add("a.b", measuring())
            async with asyncio.TaskGroup() as group:
                task = group.create_task(poller.run())
                await clock.advance(2)
                states = [poller.running]
                task.cancel()
            assert [*states, poller.running] == [True, False]
            assert len(asyncio.all_tasks()) == 1

        asyncio.run(main())
        assert len(named(seen, "a.b")) == 3

    def test_stop_ends_run_and_it_can_run_again(
        self, poller: Poller, clock: ManualClock, seen: Seen
    ) -> None:
        async def main() -> None:
            poller.add("a.b", measuring())
            for _ in range(2):
                async with asyncio.TaskGroup() as group:
                    group.create_task(poller.run())
                    await clock.advance(0.5)
                    poller.stop()
                    poller.stop()

        asyncio.run(main())
        assert len(named(seen, "a.b")) == 2

    def test_it_runs_once_at_a_time(self, poller: Poller, clock: ManualClock) -> None:
        async def main() -> None:
            async with poller:
                for again in (poller.run, poller.__aenter__):
                    with pytest.raises(RuntimeError, match="the poller runs already"):
                        await again()
                with pytest.raises(RuntimeError, match="the poller runs already"):
                    poller.start()
                assert poller.running

        asyncio.run(main())

    def test_leaving_cancels_a_coroutine_under_way_and_leaves_no_task(
        self, poller: Poller, clock: ManualClock, seen: Seen
    ) -> None:
        async def measure() -> None:
            await clock.wait(clock.now() + 100 * SECOND)

        async def main() -> None:
            poller.add("a.b", measure, timeout=math.inf)
            async with poller:
                await clock.advance(1)
            assert len(asyncio.all_tasks()) == 1

        asyncio.run(main())
        assert seen == []

    def test_leaving_waits_for_a_thread_under_way_but_not_for_ever(
        self, poller: Poller, clock: ManualClock, caplog: pytest.LogCaptureFixture
    ) -> None:
        release = threading.Event()

        def measure() -> None:
            release.wait()

        async def main() -> None:
            poller.add("a.b", measure, timeout=math.inf)
            async with poller:
                await clock.advance(1)

        asyncio.run(main())
        assert [record.message for record in caplog.records] == [
            "measurements that did not end within 0.05 s are left to themselves: a.b"
        ]
        # It returns when its loop is closed, and nobody minds.
        release.set()
        for thread in pollers_threads():
            thread.join()
        assert [info.running for info in poller.measurements()] == [False]

    def test_async_with_without_asyncio_names_the_other_way(self, poller: Poller) -> None:
        async def main() -> None:
            async with poller:
                raise AssertionError("unreachable")

        with pytest.raises(RuntimeError, match="`with poller:` runs it in a thread"):
            trio.run(main)


class TestRunningInAThread:
    @pytest.fixture
    def poller(self, telemetry: Telemetry) -> Poller:
        return Poller(0.001, telemetry=telemetry)

    def test_with_takes_measurements_plain_and_async_in_threads(
        self, poller: Poller, telemetry: Telemetry
    ) -> None:
        both = threading.Barrier(3, timeout=30)
        threads = []

        def plain() -> None:
            threads.append(threading.current_thread().name)
            both.wait()

        async def asynchronous() -> None:
            threads.append(threading.current_thread().name)
            await asyncio.to_thread(both.wait)

        poller.add("a.plain", plain, timeout=math.inf)
        poller.add("a.async", asynchronous, timeout=math.inf)
        with poller:
            states = [poller.running]
            both.wait()
            poller.remove("a.plain")
            poller.remove("a.async")
        assert [*states, poller.running] == [True, False]
        assert {"heliograph-poller", "heliograph-poller:a.plain"} <= set(threads)

    def test_it_serves_a_trio_program(self, poller: Poller, telemetry: Telemetry) -> None:
        async def main() -> Snapshot:
            async with events("a.b", telemetry=telemetry) as stream:
                with poller:
                    poller.add("a.b", lambda: {"n": 1})
                    return await anext(stream)

        assert trio.run(main).measurements == {"n": 1}

    def test_it_can_be_started_again_and_stopped_when_it_does_not_run(self, poller: Poller) -> None:
        poller.stop()
        for _ in range(2):
            ran = threading.Event()
            poller.add("a.b", ran.set, on_failure="remove")
            poller.start()
            assert ran.wait(30)
            poller.stop()
            poller.remove("a.b")

    def test_a_measurement_may_stop_its_poller(self, poller: Poller) -> None:
        stopped = threading.Event()

        async def measure() -> None:
            poller.stop()
            stopped.set()

        poller.add("a.b", measure)
        with poller:
            assert stopped.wait(30)

    def test_stopping_does_not_wait_for_ever_for_a_loop_that_is_blocked(
        self, telemetry: Telemetry, caplog: pytest.LogCaptureFixture
    ) -> None:
        poller = Poller(0.01, telemetry=telemetry, grace=0.01)
        blocking, release = threading.Event(), threading.Event()

        async def measure() -> None:
            blocking.set()
            release.wait()  # on purpose: it blocks the loop

        poller.add("a.b", measure)
        poller.start()
        assert blocking.wait(30)
        (thread,) = pollers_threads()
        poller.stop()
        assert "its thread is left to itself" in caplog.text
        with pytest.raises(RuntimeError, match="runs already"):
            poller.start()
        release.set()
        thread.join()
        assert not poller.running

    def test_a_system_without_threads_refuses_the_start_and_leaves_it_startable(
        self, poller: Poller, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(threading, "_start_new_thread", no_more_threads)
        with pytest.raises(RuntimeError, match="can't start new thread"):
            poller.start()
        monkeypatch.undo()
        with poller:
            assert poller.running

    def test_a_forked_child_starts_afresh(self, poller: Poller) -> None:
        poller.add("a.b", lambda: None, period=1000)
        with poller:
            child = os.fork()
            if child == 0:
                try:
                    assert not poller.running
                    ran = threading.Event()
                    poller.add("c.d", ran.set)
                    with poller:
                        assert ran.wait(30)
                except BaseException:  # noqa: BLE001 - the child must not go on with the parent's tests
                    os._exit(1)
                os._exit(0)
        assert os.waitpid(child, 0)[1] == 0


class TestPollingOnce:
    def test_takes_everything_side_by_side_without_running(
        self, poller: Poller, seen: Seen
    ) -> None:
        meet = threading.Barrier(2, timeout=30)

        def measure() -> dict[str, int]:
            meet.wait()
            return {"n": 1}

        poller.add("a.b", measure, timeout=math.inf)
        poller.add("c.d", measure, timeout=math.inf)
        poller.add("e.f", measuring(ValueError("x")), on_failure="remove")
        assert poller.poll() == {"a.b": "ok", "c.d": "ok", "e.f": "error"}
        assert [info.name for info in poller.measurements()] == ["a.b", "c.d"]
        assert not poller.running

    def test_in_a_running_loop_poll_names_the_async_one(self, poller: Poller) -> None:
        async def main() -> None:
            with pytest.raises(RuntimeError, match=r"await poller\.poll_async"):
                poller.poll()
            assert await poller.poll_async() == {}

        asyncio.run(main())

    def test_closes_what_async_generators_a_measurement_left_open(
        self, poller: Poller, recwarn: pytest.WarningsRecorder
    ) -> None:
        closed = []

        async def numbers() -> AsyncIterator[int]:
            try:
                yield 1
            finally:
                closed.append(True)

        left_open = numbers()

        async def measure() -> dict[str, int]:
            return {"n": await anext(left_open)}

        poller.add("a.b", measure)
        assert poller.poll() == {"a.b": "ok"}
        assert closed == [True]


class TestBadInput:
    @pytest.mark.parametrize(
        ("options", "error", "message"),
        [
            ({"period": 0}, ValueError, "period is 0; it must be a number of seconds above 0"),
            ({"period": -1}, ValueError, "period is -1"),
            ({"period": math.inf}, ValueError, "period is inf"),
            ({"period": math.nan}, ValueError, "period is nan"),
            ({"period": "5"}, TypeError, "period '5' is not a number"),
            ({"period": True}, TypeError, "period True is not a number"),
            ({"jitter": 1}, ValueError, "jitter is 1; it must be at least 0 and less than 1"),
            ({"jitter": -0.1}, ValueError, "jitter is -0.1"),
            ({"jitter": math.nan}, ValueError, "jitter is nan"),
            ({"jitter": None}, TypeError, "jitter None"),
            ({"grace": 0}, ValueError, "grace is 0"),
        ],
    )
    def test_a_poller_refuses(
        self, options: dict[str, Any], error: type[Exception], message: str
    ) -> None:
        with pytest.raises(error, match=message):
            Poller(**options)

    @pytest.mark.parametrize(
        ("arguments", "options", "error", "message"),
        [
            (("A.b", measuring()), {}, EventNameError, "measurement name 'A.b' is malformed"),
            (("a.b", measuring()), {"event": "B"}, EventNameError, "event name 'B' is malformed"),
            (("a.b", 17), {}, TypeError, "measurement 'a.b' is not callable: 17"),
            (("a.b", measuring()), {"period": 0}, ValueError, "period of 'a.b' is 0"),
            (("a.b", measuring()), {"timeout": 0}, ValueError, "timeout of 'a.b' is 0"),
            (("a.b", measuring()), {"on_failure": "detach"}, ValueError, "'keep' or 'remove'"),
        ],
    )
    def test_a_measurement_is_refused(
        self,
        poller: Poller,
        arguments: tuple[Any, ...],
        options: dict[str, Any],
        error: type[Exception],
        message: str,
    ) -> None:
        with pytest.raises(error, match=message):
            poller.add(*arguments, **options)
        assert poller.measurements() == []

    def test_a_name_is_one_measurements_own(self, poller: Poller) -> None:
        poller.add("a.b", measuring())
        with pytest.raises(ValueError, match=r"measurement 'a\.b' is there already"):
            poller.add("a.b", measuring())

    def test_removing_what_is_not_there_names_what_is(self, poller: Poller) -> None:
        with pytest.raises(LookupError, match=r"no measurement 'x\.y'; there are: none"):
            poller.remove("x.y")
        poller.add("a.b", measuring())
        with pytest.raises(LookupError, match=r"no measurement 'x\.y'; there are: a\.b"):
            poller.remove("x.y")


def test_measurements_are_listed_with_what_was_said_of_them(poller: Poller) -> None:
    measure = measuring()
    poller.add("a.b", measure, event="c.d", metadata={"k": 1}, period=2, timeout=math.inf)
    poller.add("e.f", measure, timeout=0.5, on_failure="remove")
    first, second = poller.measurements()
    assert (first.name, first.event, first.measure, first.metadata) == (
        "a.b",
        "c.d",
        measure,
        {"k": 1},
    )
    assert (first.period, first.timeout, first.on_failure, first.running) == (
        2,
        math.inf,
        "keep",
        False,
    )
    assert (second.event, second.period, second.timeout, second.on_failure) == (
        "e.f",
        1,
        0.5,
        "remove",
    )
