# SPDX-License-Identifier: Apache-2.0
"""Measurements of the process: what they say, and what is left out where they don't work."""

from __future__ import annotations

import asyncio
import gc
import os
import resource
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import trio

from heliograph import Telemetry, process
from heliograph.poller import THREAD_NAME, Poller
from heliograph.process import (
    GarbageCollection,
    LoopLag,
    add_process_measurements,
    files,
    loop_lag,
    memory,
    threads,
)

WITHOUT_LOOP = (
    "heliograph.process.memory",
    "heliograph.process.files",
    "heliograph.process.threads",
    "heliograph.process.gc",
)


@pytest.fixture
def telemetry() -> Telemetry:
    return Telemetry()


@pytest.fixture
def seen(telemetry: Telemetry) -> list[tuple[str, Mapping[str, Any], Mapping[str, Any]]]:
    executed: list[tuple[str, Mapping[str, Any], Mapping[str, Any]]] = []
    telemetry.observe(lambda *event: executed.append(event))
    return executed


def test_memory_grows_with_what_is_held() -> None:
    before = memory()["rss"]
    held = bytearray(b"x" * 64 * 2**20)
    assert memory()["rss"] - before > 32 * 2**20
    assert held


def test_memory_without_proc_is_the_largest_so_far(monkeypatch: pytest.MonkeyPatch) -> None:
    now = memory()["rss"]
    monkeypatch.setattr(process, "_STATM", Path("/nonexistent/statm"))
    # Linux counts the two in different ways, a little apart.
    assert memory()["rss"] > 0.9 * now


@pytest.mark.parametrize(
    ("platform", "unit"), [("darwin", 1), ("linux", 1024), ("freebsd14", 1024)]
)
def test_the_unit_of_getrusage_is_the_platforms(platform: str, unit: int) -> None:
    assert process._unit(platform) == unit


def test_files_counts_open_descriptors_and_names_the_limit(tmp_path: Path) -> None:
    before = files()
    with (tmp_path / "one").open("w"), (tmp_path / "two").open("w"):
        assert files()["open"] == before["open"] + 2
    assert files() == before
    assert before["limit"] == resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def test_files_without_a_limit_names_none(monkeypatch: pytest.MonkeyPatch) -> None:
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    monkeypatch.setattr(resource, "RLIM_INFINITY", limit)
    assert files().keys() == {"open"}


def test_files_are_found_in_dev_where_there_is_no_proc(monkeypatch: pytest.MonkeyPatch) -> None:
    before = files()
    monkeypatch.setattr(process, "_FOLDERS_OF_FILES", (Path("/nonexistent"), Path("/dev/fd")))
    assert files() == before


def test_threads_counts_all_but_the_pollers_short_lived_ones() -> None:
    release = threading.Event()
    before = threads()["count"]
    started = [
        threading.Thread(target=release.wait, name=name)
        for name in ("worker", THREAD_NAME, f"{THREAD_NAME}:a.b")
    ]
    for thread in started:
        thread.start()
    assert threads()["count"] == before + 2
    release.set()
    for thread in started:
        thread.join()
    assert threads()["count"] == before


def test_garbage_collection_counts_from_the_start_and_then_from_the_previous_call() -> None:
    measure = GarbageCollection()
    gc.disable()
    try:
        totals = gc.get_stats()
        first = measure()
        for _ in range(3):
            cycle: list[Any] = []
            cycle.append(cycle)
            del cycle
            gc.collect()
        second = measure()
        third = measure()
    finally:
        gc.enable()
    assert [metadata["generation"] for _, metadata in first] == [0, 1, 2]
    assert [dict(measurements) for measurements, _ in first] == totals
    assert second[2][0]["collections"] == 3
    assert second[2][0]["collected"] >= 3
    assert second[0][0] == {"collections": 0, "collected": 0, "uncollectable": 0}
    assert {measurements["collections"] for measurements, _ in third} == {0}


def test_loop_lag_is_the_lateness_of_a_timer() -> None:
    async def main() -> tuple[int, int]:
        free = (await loop_lag())["latency"]
        measuring = asyncio.ensure_future(loop_lag())
        await asyncio.sleep(0)
        threading.Event().wait(0.06)  # on purpose: it blocks the loop
        return free, (await measuring)["latency"]

    free, blocked = asyncio.run(main())
    assert free >= 0
    assert blocked > 40_000_000


def test_the_lag_of_an_asyncio_loop_is_measured_from_another_thread() -> None:
    async def main() -> int:
        lag = LoopLag(asyncio.get_running_loop())
        measuring = asyncio.get_running_loop().run_in_executor(None, lag)
        threading.Event().wait(0.05)
        return (await measuring)["latency"]

    assert asyncio.run(main()) > 10_000_000


def test_the_lag_of_a_trio_loop_is_measured_from_another_thread() -> None:
    async def main() -> int:
        lag = LoopLag(trio.lowlevel.current_trio_token())
        return (await trio.to_thread.run_sync(lag))["latency"]

    assert trio.run(main) >= 0


def test_the_lag_of_a_loop_that_has_ended_is_an_error() -> None:
    loop = asyncio.new_event_loop()
    loop.close()
    with pytest.raises(RuntimeError, match="closed"):
        LoopLag(loop)()


def test_the_lag_of_a_loop_that_does_not_answer_is_an_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(process, "_LAG_LIMIT", 0.01)
    loop = asyncio.new_event_loop()
    with pytest.raises(TimeoutError, match=r"not run a callback for 0\.01 s"):
        LoopLag(loop)()
    loop.close()


def test_what_is_no_loop_is_refused() -> None:
    with pytest.raises(TypeError, match="neither a loop of asyncio nor a token of trio"):
        LoopLag("loop")


class TestAdding:
    def test_in_asyncio_everything_is_added_and_works(
        self, telemetry: Telemetry, seen: list[tuple[str, Any, Any]]
    ) -> None:
        poller = Poller(telemetry=telemetry)

        async def main() -> Mapping[str, str]:
            assert add_process_measurements(poller, period=30) == (
                *WITHOUT_LOOP,
                "heliograph.process.loop_lag",
            )
            return await poller.poll_async()

        assert set(asyncio.run(main()).values()) == {"ok"}
        assert {info.period for info in poller.measurements()} == {30}
        executed = [event for event, _, _ in seen if event.startswith("heliograph.process.")]
        assert sorted(executed) == sorted(
            [*WITHOUT_LOOP, *["heliograph.process.gc"] * 2, "heliograph.process.loop_lag"]
        )

    def test_in_trio_the_lag_of_its_loop_is_measured(self, telemetry: Telemetry) -> None:
        poller = Poller(telemetry=telemetry)

        async def main() -> Mapping[str, str]:
            add_process_measurements(poller)
            return await trio.to_thread.run_sync(poller.poll)

        assert trio.run(main)["heliograph.process.loop_lag"] == "ok"

    def test_trio_need_not_have_been_imported(
        self, telemetry: Telemetry, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delitem(sys.modules, "trio")
        assert add_process_measurements(Poller(telemetry=telemetry)) == WITHOUT_LOOP

    def test_without_a_loop_its_lag_is_left_out_and_that_is_said(
        self, telemetry: Telemetry, caplog: pytest.LogCaptureFixture
    ) -> None:
        poller = Poller(telemetry=telemetry)
        with caplog.at_level("INFO", logger="heliograph"):
            assert add_process_measurements(poller) == WITHOUT_LOOP
        assert caplog.messages == [
            "heliograph.process.loop_lag is not measured: no event loop is running here"
        ]
        assert set(poller.poll().values()) == {"ok"}

    def test_what_the_platform_lacks_is_left_out_and_that_is_said(
        self,
        telemetry: Telemetry,
        caplog: pytest.LogCaptureFixture,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(process, "_FOLDERS_OF_FILES", (Path("/nonexistent"),))
        monkeypatch.setattr(process, "_STATM", Path("/nonexistent"))
        monkeypatch.setitem(sys.modules, "resource", None)
        poller = Poller(telemetry=telemetry)
        with caplog.at_level("INFO", logger="heliograph"):
            assert add_process_measurements(poller) == WITHOUT_LOOP[2:]
        assert [message.partition(":")[0] for message in caplog.messages[:2]] == [
            "heliograph.process.memory is not measured",
            "heliograph.process.files is not measured",
        ]

    def test_no_folder_of_open_files_is_an_error_that_names_them(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(
            process, "_FOLDERS_OF_FILES", (Path("/nonexistent/a"), Path("/nonexistent/b"))
        )
        with pytest.raises(OSError, match="none of /nonexistent/a, /nonexistent/b"):
            files()

    def test_a_loop_can_be_named(self, telemetry: Telemetry) -> None:
        loop = asyncio.new_event_loop()
        poller = Poller(telemetry=telemetry)
        assert "heliograph.process.loop_lag" in add_process_measurements(poller, loop=loop)
        loop.close()


def test_memory_agrees_with_the_kernel() -> None:
    status = Path("/proc/self/status")
    if not status.exists():
        pytest.skip("there is no /proc here")
    (line,) = [line for line in status.read_text().splitlines() if line.startswith("VmRSS")]
    assert memory()["rss"] == pytest.approx(int(line.split()[1]) * 1024, rel=0.2)
    assert os.sysconf("SC_PAGE_SIZE") > 0
