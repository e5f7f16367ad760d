# SPDX-License-Identifier: Apache-2.0
"""Streams: what is read, what is dropped and counted, and when listening ends."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any

import anyio
import anyio.lowlevel
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

import heliograph
from heliograph import Telemetry
from heliograph.events import STREAM_OVERFLOW
from heliograph.stream import Snapshot, Stream, _forget_parent, events

Run = Callable[[Callable[[], Awaitable[Any]]], Any]
OVERFLOW = STREAM_OVERFLOW.name
Payload = Mapping[str, Any]


@pytest.fixture(params=["asyncio", "trio"])
def run(request: pytest.FixtureRequest) -> Run:
    """Runs a coroutine function in one of the two libraries."""
    return lambda main: anyio.run(main, backend=request.param)


@pytest.fixture
def telemetry() -> Telemetry:
    return Telemetry()


@pytest.fixture
def overflows(telemetry: Telemetry) -> list[tuple[Payload, Payload]]:
    """What `heliograph.stream.overflow` carried, in order."""
    seen: list[tuple[Payload, Payload]] = []
    telemetry.attach(
        "overflows",
        OVERFLOW,
        lambda _e, measured, data, _c: seen.append((measured, data)),
    )
    return seen


def emit(telemetry: Telemetry, *numbers: int, event: str = "a.b") -> None:
    for number in numbers:
        telemetry.execute(event, {"n": number})


async def collect(stream: Stream, seen: list[int]) -> None:
    """Read on and on; what was seen before a cancellation is kept."""
    async for snapshot in stream:
        seen += [snapshot.measurements["n"]]


async def rest(stream: Stream) -> list[int]:
    """Close a stream and read the numbers left in it."""
    stream.close()
    return [snapshot.measurements["n"] async for snapshot in stream]


def test_a_snapshot_taken_here_and_now_keeps_copies() -> None:
    given = {"names": ["x"]}
    snapshot = Snapshot.take("a.b", {"n": 1}, given)
    given["names"].append("y")

    assert snapshot == Snapshot("a.b", {"n": 1}, {"names": ["x"]}, threading.get_ident())


class TestReading:
    def test_a_snapshot_carries_the_event_its_mappings_and_the_emitters_thread(
        self, run: Run, telemetry: Telemetry
    ) -> None:
        async def main() -> Snapshot:
            async with events("a.b", telemetry=telemetry) as stream:
                telemetry.execute("a.b", {"n": 1}, {"who": "x"})
                return await anext(stream)

        assert run(main) == Snapshot("a.b", {"n": 1}, {"who": "x"}, threading.get_ident(), 0)

    def test_nothing_is_lost_between_making_a_stream_and_the_first_read(
        self, run: Run, telemetry: Telemetry
    ) -> None:
        stream = events("a.b", telemetry=telemetry)
        emit(telemetry, 1, 2)

        assert run(lambda: rest(stream)) == [1, 2]

    def test_named_events_are_read_in_their_order_and_others_not_at_all(
        self, run: Run, telemetry: Telemetry
    ) -> None:
        stream = events("a.b", "c.d", "a.b", telemetry=telemetry)
        emit(telemetry, 1)
        emit(telemetry, 2, event="c.d")
        emit(telemetry, 3, event="e.f")
        emit(telemetry, 4)

        assert stream.events == ("a.b", "c.d")
        assert run(lambda: rest(stream)) == [1, 2, 4]

    def test_without_names_every_event_is_read_guarded_and_unknown_ones_too(
        self, run: Run, telemetry: Telemetry
    ) -> None:
        guarded = telemetry.event("guarded.event")
        stream = events(telemetry=telemetry)
        emit(telemetry, 1, event="never.heard.of")
        if guarded.handlers:
            guarded.execute({"n": 2})

        assert run(lambda: rest(stream)) == [1, 2]
        assert not guarded.handlers

    def test_the_default_dispatcher_is_used_unless_another_is_given(self, run: Run) -> None:
        stream = events("stream.default")
        heliograph.execute("stream.default", {"n": 7})

        assert run(lambda: rest(stream)) == [7]

    def test_a_waiting_reader_is_woken_by_an_event_of_its_own_thread(
        self, run: Run, telemetry: Telemetry
    ) -> None:
        async def main() -> list[int]:
            seen: list[int] = []
            async with events("a.b", telemetry=telemetry) as stream, anyio.create_task_group() as g:
                g.start_soon(collect, stream, seen)
                await anyio.wait_all_tasks_blocked()
                emit(telemetry, 1, 2)
                await anyio.wait_all_tasks_blocked()
                emit(telemetry, 3)
                await anyio.wait_all_tasks_blocked()
                stream.close()
            return seen

        assert run(main) == [1, 2, 3]

    def test_a_waiting_reader_is_woken_by_an_event_of_another_thread(
        self, run: Run, telemetry: Telemetry
    ) -> None:
        async def main() -> Snapshot:
            async with events("a.b", telemetry=telemetry) as stream:
                thread = threading.Thread(target=emit, args=(telemetry, 1))
                thread.start()
                snapshot = await anext(stream)
                thread.join()
            assert snapshot.thread != threading.get_ident()
            return snapshot

        assert run(main).measurements == {"n": 1}

    def test_a_reader_that_always_finds_something_lets_other_tasks_run(
        self, run: Run, telemetry: Telemetry
    ) -> None:
        async def main() -> int:
            read_before = 0
            stream = events("a.b", telemetry=telemetry)
            emit(telemetry, *range(1000))
            stream.close()
            async with anyio.create_task_group() as group:
                others_turn = anyio.Event()

                async def other() -> None:
                    await anyio.lowlevel.checkpoint()
                    others_turn.set()

                group.start_soon(other)
                async for _ in stream:
                    read_before += not others_turn.is_set()
            return read_before

        assert run(main) < 500

    def test_an_event_that_comes_while_a_reader_makes_ready_to_wait_is_read_at_once(
        self, telemetry: Telemetry
    ) -> None:
        class EmittingLoop(asyncio.SelectorEventLoop):
            """Stands for a thread that emits at the worst moment."""

            def create_future(self) -> asyncio.Future[Any]:
                emit(telemetry, 1)
                return super().create_future()

        async def main() -> Snapshot:
            return await anext(events("a.b", telemetry=telemetry))

        with asyncio.Runner(loop_factory=EmittingLoop) as runner:
            assert runner.run(main()).measurements == {"n": 1}

    def test_a_stream_can_be_read_in_one_loop_after_another(self, telemetry: Telemetry) -> None:
        stream = events("a.b", telemetry=telemetry)

        async def wait_in_vain() -> None:
            with anyio.move_on_after(0):
                await anext(stream)

        anyio.run(wait_in_vain)
        trio.run(wait_in_vain)
        emit(telemetry, 1)
        assert anyio.run(rest, stream) == [1]

    def test_a_second_reader_is_refused_and_the_first_goes_on(
        self, run: Run, telemetry: Telemetry
    ) -> None:
        async def main() -> list[int]:
            seen = []
            stream = events("a.b", name="mine", telemetry=telemetry)

            async def read() -> None:
                seen.append((await anext(stream)).measurements["n"])

            async with anyio.create_task_group() as group:
                group.start_soon(read)
                await anyio.wait_all_tasks_blocked()
                with pytest.raises(RuntimeError, match="another task is reading the stream 'mine'"):
                    await anext(stream)
                emit(telemetry, 1)
            stream.close()
            return seen

        assert run(main) == [1]

    def test_reading_outside_asyncio_and_trio_is_refused(self, telemetry: Telemetry) -> None:
        stream = events("a.b", telemetry=telemetry)
        step = stream.__anext__()

        with pytest.raises(RuntimeError, match="asyncio or trio, and neither is running"):
            step.send(None)

    def test_neither_library_need_have_been_imported(
        self, telemetry: Telemetry, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delitem(sys.modules, "trio")
        stream = events("a.b", telemetry=telemetry)

        async def read() -> Snapshot:
            asyncio.get_running_loop().call_soon(emit, telemetry, 1)
            return await anext(stream)

        assert asyncio.run(read()).measurements == {"n": 1}
        monkeypatch.delitem(sys.modules, "asyncio")
        with pytest.raises(RuntimeError, match="neither is running"):
            stream.__anext__().send(None)


class TestCancelling:
    def test_cancelling_a_waiting_reader_loses_no_event(
        self, run: Run, telemetry: Telemetry
    ) -> None:
        async def main() -> list[int]:
            seen: list[int] = []
            stream = events("a.b", telemetry=telemetry)

            for number in range(20):
                async with anyio.create_task_group() as group:
                    group.start_soon(collect, stream, seen)
                    await anyio.wait_all_tasks_blocked()
                    # Sometimes the event is there before the cancellation, sometimes after.
                    if number % 2:
                        emit(telemetry, number)
                    group.cancel_scope.cancel()
                    if not number % 2:
                        emit(telemetry, number)
            return seen + await rest(stream)

        assert run(main) == list(range(20))

    def test_a_reader_cancelled_while_it_lets_others_run_loses_no_event(
        self, run: Run, telemetry: Telemetry
    ) -> None:
        async def main() -> list[int]:
            seen = []
            stream = events("a.b", telemetry=telemetry)
            emit(telemetry, *range(200))
            with anyio.CancelScope() as scope:
                async for snapshot in stream:
                    seen.append(snapshot.measurements["n"])
                    if len(seen) == 10:
                        scope.cancel()
            assert len(seen) < 200
            return seen + await rest(stream)

        assert run(main) == list(range(200))


class TestOverflow:
    def test_the_oldest_make_room_and_are_counted_where_they_are_missing(
        self, run: Run, telemetry: Telemetry
    ) -> None:
        async def main() -> list[tuple[int, int]]:
            stream = events("a.b", capacity=3, telemetry=telemetry)
            emit(telemetry, *range(10))
            read = [await anext(stream)]
            emit(telemetry, 10, 11)
            stream.close()
            read += [snapshot async for snapshot in stream]
            assert stream.dropped == 8
            return [(snapshot.measurements["n"], snapshot.dropped) for snapshot in read]

        assert run(main) == [(7, 7), (9, 1), (10, 0), (11, 0)]

    def test_overflow_is_executed_when_dropping_begins_and_when_the_reader_has_caught_up(
        self,
        run: Run,
        telemetry: Telemetry,
        overflows: list[tuple[Payload, Payload]],
    ) -> None:
        async def main() -> None:
            stream = events("a.b", capacity=4, name="slow", telemetry=telemetry)
            emit(telemetry, *range(5))
            assert len(overflows) == 1
            emit(telemetry, *range(6))
            await anext(stream)
            assert len(overflows) == 1
            await anext(stream)
            assert len(overflows) == 2
            emit(telemetry, *range(3))  # a new episode
            assert len(overflows) == 3
            stream.close()
            assert stream.dropped == 8

        run(main)
        about = {"stream": "slow", "events": ("a.b",)}
        assert overflows == [
            ({"count": 1, "capacity": 4}, about),
            ({"count": 6, "capacity": 4}, about),
            ({"count": 1, "capacity": 4}, about),
        ]

    def test_what_was_not_told_before_is_told_when_the_stream_closes(
        self, telemetry: Telemetry, overflows: list[tuple[Payload, Payload]]
    ) -> None:
        stream = events("a.b", capacity=1, telemetry=telemetry)
        emit(telemetry, *range(6))
        stream.close()

        assert [measured["count"] for measured, _ in overflows] == [1, 4]

    def test_a_stream_of_every_event_leaves_its_own_overflow_out(
        self, run: Run, telemetry: Telemetry
    ) -> None:
        async def main() -> list[str]:
            stream = events(capacity=1, telemetry=telemetry)
            emit(telemetry, 1, 2)
            stream.close()
            return [snapshot.event async for snapshot in stream]

        assert run(main) == ["a.b"]

    def test_full_streams_that_see_each_others_overflow_do_not_go_round(
        self, run: Run, telemetry: Telemetry
    ) -> None:
        async def main() -> list[int]:
            streams = [events(capacity=1, telemetry=telemetry) for _ in range(3)]
            emit(telemetry, *range(5))
            for stream in streams:
                stream.close()
            return [stream.dropped for stream in streams]

        dropped = run(main)
        assert all(4 <= count <= 12 for count in dropped)

    def test_an_event_whose_mappings_cannot_be_read_counts_as_dropped(
        self, run: Run, telemetry: Telemetry
    ) -> None:
        class Broken(Mapping[str, Any]):
            def __getitem__(self, key: str) -> Any:
                raise OSError(key)

            def __iter__(self) -> Iterator[str]:
                return iter(["x"])

            def __len__(self) -> int:
                return 1

        async def main() -> list[int]:
            stream = events("a.b", telemetry=telemetry)
            telemetry.execute("a.b", Broken())
            emit(telemetry, 1)
            assert stream.dropped == 1
            return await rest(stream)

        assert run(main) == [1]
        assert telemetry.list_handlers() == []

    @pytest.mark.parametrize("capacity", [1, 7, 100_000])
    def test_of_events_from_eight_threads_each_is_read_or_counted(
        self, run: Run, telemetry: Telemetry, capacity: int
    ) -> None:
        each = 500

        async def main() -> tuple[int, int]:
            stream = events("a.b", capacity=capacity, telemetry=telemetry)
            threads = [
                threading.Thread(target=emit, args=(telemetry, *range(each))) for _ in range(8)
            ]
            for thread in threads:
                thread.start()
            read = gaps = 0
            async with anyio.create_task_group() as group:
                group.start_soon(anyio.to_thread.run_sync, close_after, threads, stream)
                async for snapshot in stream:
                    read += 1
                    gaps += snapshot.dropped
            assert gaps == stream.dropped
            return read, stream.dropped

        def close_after(threads: list[threading.Thread], stream: Stream) -> None:
            for thread in threads:
                thread.join()
            stream.close()

        read, dropped = run(main)
        assert read + dropped == 8 * each

    @given(
        capacity=st.integers(1, 6),
        steps=st.lists(st.one_of(st.integers(1, 8), st.none()), max_size=30),
    )
    def test_reports_and_gaps_add_up_to_what_was_dropped(
        self, capacity: int, steps: list[int | None]
    ) -> None:
        telemetry = Telemetry()
        reported: list[int] = []
        telemetry.attach("o", OVERFLOW, lambda _e, m, _d, _c: reported.append(m["count"]))

        async def main() -> None:
            stream = events("a.b", capacity=capacity, telemetry=telemetry)
            emitted = read = gaps = 0
            for step in steps:
                if step is not None:
                    emit(telemetry, *range(emitted, emitted + step))
                    emitted += step
                elif emitted - read - stream.dropped:
                    snapshot = await anext(stream)
                    assert snapshot.measurements["n"] == read + gaps + snapshot.dropped
                    read += 1
                    gaps += snapshot.dropped
            stream.close()
            async for snapshot in stream:
                read += 1
                gaps += snapshot.dropped
            assert gaps == stream.dropped == sum(reported)
            assert read + stream.dropped == emitted

        asyncio.run(main())


class TestCopies:
    def test_what_the_emitter_changes_later_is_not_seen(
        self, run: Run, telemetry: Telemetry
    ) -> None:
        async def main() -> Snapshot:
            stream = events("a.b", telemetry=telemetry)
            measurements = {"n": 1}
            metadata = {"list": [1], "dict": {"k": 1}, "set": {1}, "text": "x"}
            telemetry.execute("a.b", measurements, metadata)
            measurements["n"] = 2
            metadata["list"].append(2)  # type: ignore[attr-defined]  # it is the list
            metadata["dict"].clear()  # type: ignore[attr-defined]  # it is the dict
            metadata["set"].clear()  # type: ignore[attr-defined]  # it is the set
            metadata["text"] = "y"
            snapshot = await anext(stream)
            stream.close()
            return snapshot

        snapshot = run(main)
        assert snapshot.measurements == {"n": 1}
        assert snapshot.metadata == {"list": [1], "dict": {"k": 1}, "set": {1}, "text": "x"}

    def test_other_objects_are_the_emitters_own(self, run: Run, telemetry: Telemetry) -> None:
        reason = ValueError("x")
        deep = [1]

        async def main() -> Mapping[str, Any]:
            stream = events("a.b", telemetry=telemetry)
            telemetry.execute("a.b", {}, {"reason": reason, "nested": [deep]})
            snapshot = await anext(stream)
            stream.close()
            return snapshot.metadata

        metadata = run(main)
        assert metadata["reason"] is reason
        assert metadata["nested"][0] is deep

    def test_a_snapshot_cannot_be_assigned_to(self) -> None:
        snapshot = Snapshot("a.b", {}, {}, 1)
        with pytest.raises(AttributeError):
            snapshot.event = "c.d"  # type: ignore[misc]  # that it is refused is the point


class TestEnding:
    def test_leaving_async_with_detaches(self, run: Run, telemetry: Telemetry) -> None:
        async def main() -> None:
            async with events("a.b", name="mine", telemetry=telemetry) as stream:
                (info,) = telemetry.list_handlers()
                assert info.handler_id == "heliograph.stream:mine"
                states = [stream.closed]
            states.append(stream.closed)
            assert states == [False, True]
            emit(telemetry, 1)
            assert [snapshot async for snapshot in stream] == []

        run(main)
        assert telemetry.list_handlers() == []

    @pytest.mark.parametrize("names", [("a.b",), ()])
    def test_closing_ends_a_waiting_reader_and_may_be_repeated(
        self, run: Run, telemetry: Telemetry, names: tuple[str, ...]
    ) -> None:
        async def main() -> None:
            stream = events(*names, telemetry=telemetry)
            async with anyio.create_task_group() as group:

                async def close() -> None:
                    await anyio.wait_all_tasks_blocked()
                    await stream.aclose()
                    stream.close()

                group.start_soon(close)
                async with contextlib.aclosing(stream):
                    assert [snapshot async for snapshot in stream] == []

        run(main)
        assert not telemetry.event("a.b").handlers

    @pytest.mark.parametrize("names", [("a.b",), ()])
    def test_a_stream_nobody_holds_is_detached(
        self, telemetry: Telemetry, names: tuple[str, ...]
    ) -> None:
        stream = events(*names, telemetry=telemetry)
        assert telemetry.event("a.b").handlers
        del stream
        gc.collect()

        assert not telemetry.event("a.b").handlers

    def test_breaking_out_of_a_bare_loop_detaches(self, run: Run, telemetry: Telemetry) -> None:
        async def main() -> None:
            async def read() -> None:
                stream = events("a.b", telemetry=telemetry)
                emit(telemetry, 1)
                async for _ in stream:
                    break

            await read()
            gc.collect()
            assert telemetry.list_handlers() == []

        run(main)

    def test_closing_after_somebody_detached_the_handler_is_quiet(
        self, telemetry: Telemetry
    ) -> None:
        stream = events("a.b", name="mine", telemetry=telemetry)
        telemetry.detach("heliograph.stream:mine")
        stream.close()
        assert stream.closed

    def test_an_event_that_arrives_after_the_close_is_not_kept(
        self, run: Run, telemetry: Telemetry
    ) -> None:
        # An emitter may already hold the tuple of handlers when the stream is detached.
        stream = events("a.b", telemetry=telemetry)
        ((push, _, _),) = telemetry.event("a.b").handlers
        stream.close()
        push("a.b", {"n": 1}, {}, None)
        stream._buffer.close()

        assert run(lambda: rest(stream)) == []

    @pytest.mark.parametrize("library", [asyncio, trio])
    def test_waking_a_reader_whose_loop_has_ended_is_quiet(
        self, telemetry: Telemetry, library: Any
    ) -> None:
        stream = events("a.b", telemetry=telemetry)
        wakes = []

        async def wait_in_vain() -> None:
            with anyio.CancelScope() as scope:
                async with anyio.create_task_group() as group:
                    group.start_soon(anext, stream)
                    await anyio.wait_all_tasks_blocked()
                    wakes.append(stream._buffer.wake)
                    scope.cancel()

        anyio.run(wait_in_vain, backend=library.__name__)
        assert stream._buffer.wake is None
        (wake,) = wakes
        assert wake is not None
        wake()

    def test_a_wake_up_that_comes_after_the_cancellation_is_quiet(
        self, telemetry: Telemetry
    ) -> None:
        async def main() -> None:
            stream = events("a.b", telemetry=telemetry)
            reader = asyncio.ensure_future(anext(stream))
            await anyio.wait_all_tasks_blocked()
            reader.cancel()
            emit(telemetry, 1)  # wakes what is cancelled but does not know it yet
            with pytest.raises(asyncio.CancelledError):
                await reader
            assert await rest(stream) == [1]

        asyncio.run(main())

    def test_a_forked_child_does_not_go_on_with_its_parents_stream(
        self, telemetry: Telemetry, run: Run
    ) -> None:
        stream = events("a.b", telemetry=telemetry)
        emit(telemetry, 1)
        with stream._buffer.lock:  # held while forking: the child must not wait for it
            child = os.fork()
            if child == 0:
                handlers = telemetry.list_handlers()
                os._exit(0 if stream.closed and not handlers else 1)
        assert os.waitpid(child, 0)[1] == 0
        assert run(lambda: rest(stream)) == [1]

    def test_a_child_leaves_it_to_the_parent_to_tell_of_drops(
        self, telemetry: Telemetry, overflows: list[tuple[Payload, Payload]]
    ) -> None:
        stream = events("a.b", capacity=1, telemetry=telemetry)
        emit(telemetry, 1, 2, 3)
        _forget_parent()

        assert stream.closed
        assert [measured["count"] for measured, _ in overflows] == [1]


class TestBadInput:
    @pytest.mark.parametrize(
        ("names", "options", "error", "message"),
        [
            (("Shop.Order",), {}, heliograph.EventNameError, "Shop.Order"),
            ((("a", "b"),), {}, TypeError, "is not a string; write 'a.b'"),
            (("a.b",), {"capacity": 0}, ValueError, "capacity is 0"),
            (("a.b",), {"capacity": 1.5}, TypeError, "capacity 1.5 is not an integer"),
            (("a.b",), {"capacity": True}, TypeError, "capacity True is not an integer"),
        ],
    )
    def test_is_refused_and_nothing_stays_attached(
        self,
        telemetry: Telemetry,
        names: tuple[Any, ...],
        options: dict[str, Any],
        error: type[Exception],
        message: str,
    ) -> None:
        with pytest.raises(error, match=message):
            events(*names, telemetry=telemetry, **options)
        assert telemetry.list_handlers() == []

    def test_a_name_is_one_streams_own(self, telemetry: Telemetry) -> None:
        stream = events("a.b", name="mine", telemetry=telemetry)
        with pytest.raises(heliograph.HandlerExistsError, match=r"heliograph\.stream:mine"):
            events("c.d", name="mine", telemetry=telemetry)
        stream.close()


def test_a_stream_describes_itself(telemetry: Telemetry) -> None:
    stream = events("a.b", "c.d", capacity=2, name="mine", telemetry=telemetry)
    emit(telemetry, 1, 2, 3)
    assert repr(stream) == "<stream 'mine' of a.b, c.d: 2 of 2 waiting, 1 dropped>"
    stream.close()
    assert repr(stream) == "<stream 'mine' of a.b, c.d: closed, 1 dropped>"
    every = events(telemetry=telemetry)
    assert "of every event" in repr(every)
