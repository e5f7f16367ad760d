# SPDX-License-Identifier: Apache-2.0
"""Lines of JSON: what they hold, how the file is bounded, and that nothing is raised or lost."""

from __future__ import annotations

import fcntl
import gc
import json
import os
import resource
import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from heliograph import Error, Telemetry
from heliograph.events import JSONLINES_DROPPED
from heliograph.handlers import JsonLines, json_line, jsonlines
from heliograph.spans import set_sources

SECOND = 1_000_000_000


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "events.jsonl"


@pytest.fixture
def drops(telemetry: Telemetry) -> list[tuple[int, str]]:
    """Count and reason of each `heliograph.jsonlines.dropped`."""
    seen: list[tuple[int, str]] = []
    telemetry.attach(
        "drops", JSONLINES_DROPPED.name, lambda _e, m, d, _c: seen.append((m["count"], d["reason"]))
    )
    return seen


class Clock:
    """A monotonic clock that stands still until it is told."""

    def __init__(self) -> None:
        self.time = 0

    def __call__(self) -> int:
        return self.time


@pytest.fixture
def clock() -> Iterator[Clock]:
    """The core's monotonic clock; its wall clock stands at 2026-01-02 03:04:05.000000006."""
    clock = Clock()
    before = set_sources(clock, lambda: 1_767_323_045_000_000_006, object)
    yield clock
    set_sources(*before)


def power_of_ten(exponent: int) -> int:
    """Return a number that Python refuses to write out, from about 4300 digits on."""
    return int(10**exponent)


def read(path: Path) -> list[Any]:
    """Read a file as its reader would: every line is one JSON object."""
    text = path.read_bytes().decode("utf-8")
    assert text.endswith("\n")
    return [json.loads(line) for line in text.split("\n")[:-1]]


def numbers(path: Path) -> list[int]:
    return [record["measurements"]["n"] for record in read(path)]


def emit(lines: JsonLines, *given: int) -> None:
    for number in given:
        lines("a.b", {"n": number}, {})


class TestALine:
    def test_has_time_event_measurements_and_metadata(self, path: Path, clock: Clock) -> None:
        with JsonLines(path) as lines:
            lines("a.b", {"n": 1}, {"who": "ä", "result": Error(ValueError("x"))})
        assert path.read_text(encoding="utf-8") == (
            '{"time":"2026-01-02T03:04:05.000000006Z","event":"a.b","measurements":{"n":1},'
            '"metadata":{"who":"ä","result":{"error":{"type":"ValueError","message":"x"}}}}\n'
        )

    @pytest.mark.parametrize(
        ("system_time", "time"),
        [
            (1_500_000_000_123_456_789, "2017-07-14T02:40:00.123456789Z"),
            (0, "1970-01-01T00:00:00.000000000Z"),
            (-1, "2026-01-02T03:04:05.000000006Z"),
            (2**63, "2026-01-02T03:04:05.000000006Z"),
            ("noon", "2026-01-02T03:04:05.000000006Z"),
        ],
    )
    def test_has_the_events_own_time_if_it_carries_one(
        self, path: Path, clock: Clock, system_time: object, time: str
    ) -> None:
        with JsonLines(path) as lines:
            lines("a.b", {"system_time": system_time}, {})
        assert read(path)[0]["time"] == time

    def test_leaves_out_what_the_catalog_calls_sensitive(self, path: Path, shop: Path) -> None:
        with JsonLines(path, catalog=shop) as lines:
            lines("shop.order.placed", {"count": 1, "margin": 0.5}, {"order_id": "x", "card": "4"})
            lines("other.event", {}, {"card": "kept: nobody has called it sensitive here"})
        placed, other = read(path)
        assert placed["measurements"] == {"count": 1}
        assert placed["metadata"] == {"order_id": "x"}
        assert other["metadata"].keys() == {"card"}

    def test_that_would_be_too_long_is_written_with_less_detail(self, path: Path) -> None:
        with JsonLines(path, max_line=1000) as lines:
            lines("a.b", {"n": 1}, {"long": "x" * 5000, "many": list(range(1000))})
        ((record),) = read(path)
        assert record["measurements"] == {"n": 1}
        assert record["metadata"]["long"].endswith("… (5000 characters)")
        assert record["metadata"]["many"][-1] == "… 992 more"
        assert path.stat().st_size <= 1000

    def test_that_is_still_too_long_is_dropped(
        self, path: Path, telemetry: Telemetry, drops: list[tuple[int, str]]
    ) -> None:
        with JsonLines(path, max_line=256, telemetry=telemetry) as lines:
            lines("a.b", {"n": 1}, {f"key{n}": "x" * 1000 for n in range(8)})
            lines("a.b", {"n": 2}, {})
            assert lines.dropped == 1
        assert numbers(path) == [2]
        assert drops == [(1, "oversize")]

    def test_of_a_malformed_name_is_written_as_it_can_be(self, path: Path) -> None:
        with JsonLines(path) as lines:
            lines("\ud800", {"n": 1}, {})
        assert [record["event"] for record in read(path)] == ["\\ud800"]

    @pytest.mark.parametrize("event", [["a", "b"], 17, None])
    def test_that_cannot_be_made_is_dropped(
        self, path: Path, telemetry: Telemetry, drops: list[tuple[int, str]], event: Any
    ) -> None:
        with JsonLines(path, telemetry=telemetry) as lines:
            lines(event, {"n": 1}, {})
            emit(lines, 2)
        assert numbers(path) == [2]
        assert drops == [(1, "unencodable")]

    @settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
    @given(
        event=st.text(st.characters()),
        measurements=st.dictionaries(st.text(), st.floats() | st.integers()),
        metadata=st.dictionaries(
            st.text(st.characters()) | st.integers() | st.binary(),
            st.recursive(
                st.text(st.characters())
                | st.binary()
                | st.floats()
                | st.integers(4_000, 6_000).map(power_of_ten),
                lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
            ),
        ),
        max_line=st.integers(256, 20_000),
    )
    def test_of_any_event_is_json_within_its_bound(
        self,
        tmp_path_factory: pytest.TempPathFactory,
        event: str,
        measurements: dict[str, Any],
        metadata: dict[Any, Any],
        max_line: int,
    ) -> None:
        path = tmp_path_factory.mktemp("any") / "events.jsonl"
        with JsonLines(path, max_line=max_line, telemetry=Telemetry()) as lines:
            lines(event, measurements, metadata)
            lines("a.b", {"n": 1}, {})
        assert len(read(path)) + lines.dropped == 2
        assert max(map(len, path.read_bytes().splitlines(keepends=True))) <= max_line


class TestTheFile:
    def test_is_opened_with_the_first_line(self, path: Path) -> None:
        lines = JsonLines(path)
        assert not path.exists()
        emit(lines, 1)
        assert numbers(path) == [1]
        lines.close()

    def test_stays_where_it_was_when_the_working_directory_changes(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        lines = JsonLines("events.jsonl")
        monkeypatch.chdir("/")
        emit(lines, 1)
        lines.close()
        assert numbers(tmp_path / "events.jsonl") == [1]

    def test_is_appended_to(self, path: Path) -> None:
        for number in range(3):
            with JsonLines(path) as lines:
                emit(lines, number)
        assert numbers(path) == [0, 1, 2]

    def test_that_somebody_left_in_the_middle_of_a_line_goes_on_with_the_next(
        self, path: Path
    ) -> None:
        path.write_text('{"torn')
        with JsonLines(path) as lines:
            emit(lines, 1, 2)
        first, *rest = path.read_text().splitlines()
        assert first == '{"torn'
        assert [json.loads(line)["measurements"]["n"] for line in rest] == [1, 2]

    def test_that_somebody_moved_or_removed_is_made_again(self, path: Path) -> None:
        with JsonLines(path) as lines:
            emit(lines, 1)
            path.rename(path.with_suffix(".old"))
            emit(lines, 2)
            path.unlink()
            emit(lines, 3)
        assert numbers(path.with_suffix(".old")) == [1]
        assert numbers(path) == [3]

    def test_is_rotated_before_it_grows_too_large(self, path: Path) -> None:
        with JsonLines(path, max_line=256, max_bytes=1000, backups=2) as lines:
            emit(lines, *range(100))
        files = [path.with_name("events.jsonl.2"), path.with_name("events.jsonl.1"), path]
        assert sorted(path.parent.iterdir()) == sorted(files)
        assert all(file.stat().st_size <= 1000 for file in files)
        kept = [number for file in files for number in numbers(file)]
        assert kept == list(range(100))[-len(kept) :]
        assert len(kept) > 20

    def test_without_backups_begins_anew(self, path: Path) -> None:
        with JsonLines(path, max_line=256, max_bytes=300, backups=0) as lines:
            emit(lines, *range(10))
        assert list(path.parent.iterdir()) == [path]
        assert path.stat().st_size <= 300
        assert numbers(path)[-1] == 9

    def test_that_another_process_is_rotating_is_left_to_it(self, path: Path) -> None:
        with JsonLines(path, max_line=256, max_bytes=256) as lines:
            emit(lines, 1)
            with path.open() as others:
                fcntl.flock(others, fcntl.LOCK_EX)
                emit(lines, 2, 3)
            assert numbers(path) == [1, 2, 3]
            emit(lines, 4, 5, 6)
        assert path.with_name("events.jsonl.1").exists()

    def test_that_another_process_has_just_rotated_is_not_rotated_again(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        rotated = path.with_name("rotated")

        def flock_when_it_is_too_late(file: int, operation: int) -> None:
            path.rename(rotated)

        with JsonLines(path, max_line=256, max_bytes=256) as lines:
            emit(lines, 1, 2)
            monkeypatch.setattr(fcntl, "flock", flock_when_it_is_too_late)
            emit(lines, 3)
        assert numbers(rotated) + numbers(path) == [1, 2, 3]
        assert not path.with_name("events.jsonl.1").exists()

    def test_whose_descriptor_somebody_closed_is_opened_again(
        self, path: Path, tmp_path: Path
    ) -> None:
        with JsonLines(path) as lines:
            emit(lines, 1)
            assert lines._file is not None
            os.close(lines._file)
            emit(lines, 2)
            # Worse: the number has become another file's.
            descriptor = lines._file
            os.close(descriptor)
            other = os.open(tmp_path / "other", os.O_RDWR | os.O_CREAT)
            assert other == descriptor
            emit(lines, 3)
            os.write(other, b"still open")
            os.close(other)
        assert numbers(path) == [1, 2, 3]
        assert (tmp_path / "other").read_text() == "still open"

    def test_may_be_a_pipe(self, tmp_path: Path) -> None:
        pipe = tmp_path / "pipe"
        os.mkfifo(pipe)
        reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
        with JsonLines(pipe, max_line=256, max_bytes=256) as lines:
            emit(lines, *range(5))
            got = os.read(reader, 65536)
        os.close(reader)
        assert [json.loads(line)["measurements"]["n"] for line in got.splitlines()] == [
            0,
            1,
            2,
            3,
            4,
        ]

    def test_is_closed_when_nobody_holds_the_handler(self, path: Path) -> None:
        lines = JsonLines(path)
        emit(lines, 1)
        descriptor = lines._file
        assert descriptor is not None
        del lines
        gc.collect()
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(descriptor)


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """Files can't grow beyond a size: a write that would is cut short, the next one fails."""
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, ignored)


class TestWhatCannotBeWritten:
    def test_is_counted_and_told_of_and_writing_goes_on_when_it_can(
        self, tmp_path: Path, telemetry: Telemetry, drops: list[tuple[int, str]], clock: Clock
    ) -> None:
        path = tmp_path / "missing" / "events.jsonl"
        with JsonLines(path, telemetry=telemetry) as lines:
            emit(lines, 1, 2, 3)
            assert drops == [(1, "write_failed")]
            clock.time += SECOND
            emit(lines, 4)
            assert drops == [(1, "write_failed"), (3, "write_failed")]
            emit(lines, 5)
            path.parent.mkdir()
            emit(lines, 6)
            assert drops == [(1, "write_failed"), (3, "write_failed"), (1, "write_failed")]
            assert lines.dropped == 5
        assert numbers(path) == [6]

    def test_is_told_of_when_closing_at_the_latest(
        self, tmp_path: Path, telemetry: Telemetry, drops: list[tuple[int, str]], clock: Clock
    ) -> None:
        lines = JsonLines(tmp_path / "missing" / "events.jsonl", telemetry=telemetry)
        emit(lines, 1, 2)
        lines.close()
        lines.close()
        assert drops == [(1, "write_failed"), (1, "write_failed")]
        clock.time += SECOND
        emit(lines, 3)
        assert drops[2:] == [(1, "closed")]

    def test_names_the_file(self, path: Path, telemetry: Telemetry) -> None:
        seen = []
        telemetry.attach("drops", JSONLINES_DROPPED.name, lambda *event: seen.append(event[1:3]))
        lines = JsonLines(path, telemetry=telemetry)
        lines.close()
        emit(lines, 1)
        assert seen == [({"count": 1}, {"path": str(path), "reason": "closed"})]

    def test_is_counted_even_if_nobody_listens(self, path: Path, telemetry: Telemetry) -> None:
        lines = JsonLines(path, telemetry=telemetry)
        lines.close()
        emit(lines, 1)
        assert lines.dropped == 1
        assert repr(lines) == f"<JSON lines to {str(path)!r}: 1 dropped>"

    @pytest.mark.parametrize("time_passes", [0, SECOND])
    def test_does_not_go_round_when_the_handler_hears_of_its_own_drops(
        self, path: Path, telemetry: Telemetry, clock: Clock, time_passes: int
    ) -> None:
        lines = JsonLines(path.parent / "missing" / "x", telemetry=telemetry)
        telemetry.attach_many("lines", ["a.b", JSONLINES_DROPPED.name], lines, on_failure="keep")
        for _ in range(3):
            telemetry.execute("a.b", {"n": 1})
            clock.time += time_passes
        lines.close()
        assert lines.dropped < 20

    def test_of_a_full_disk_leaves_no_broken_line_behind_for_others(
        self, path: Path, telemetry: Telemetry, drops: list[tuple[int, str]]
    ) -> None:
        with JsonLines(path, telemetry=telemetry) as lines:
            emit(lines, 1)
            size = path.stat().st_size
            with largest_file(size + 20):
                emit(lines, 2, 3)
            emit(lines, 4, 5)
            assert lines.dropped == 2
        first, torn, *rest = path.read_bytes().splitlines()
        assert len(torn) == 20
        assert [json.loads(line)["measurements"]["n"] for line in (first, *rest)] == [1, 4, 5]

    def test_on_a_full_device_is_dropped(
        self, telemetry: Telemetry, drops: list[tuple[int, str]]
    ) -> None:
        full = Path("/dev/full")
        if not full.exists():
            pytest.skip("there is no /dev/full here")
        with JsonLines(full, telemetry=telemetry) as lines:
            emit(lines, 1)
        assert drops == [(1, "write_failed")]


class TestSharing:
    def test_lines_of_eight_threads_do_not_mix_and_none_is_lost(self, path: Path) -> None:
        def work(first: int) -> None:
            emit(lines, *range(first, first + 200))

        with JsonLines(path, max_line=256, max_bytes=20_000, backups=100) as lines:
            threads = [threading.Thread(target=work, args=(200 * n,)) for n in range(8)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        written = [number for file in path.parent.iterdir() for number in numbers(file)]
        assert sorted(written) == list(range(1600))

    def test_lines_of_two_handlers_on_one_file_do_not_mix_though_it_is_rotated(
        self, path: Path
    ) -> None:
        options: dict[str, Any] = {"max_line": 256, "max_bytes": 3_000, "backups": 500}

        def work(lines: JsonLines, first: int) -> None:
            emit(lines, *range(first, first + 300))

        with JsonLines(path, **options) as one, JsonLines(path, **options) as other:
            threads = [
                threading.Thread(target=work, args=(lines, 300 * n))
                for n, lines in enumerate((one, other))
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        written = [number for file in path.parent.iterdir() for number in numbers(file)]
        assert sorted(written) == list(range(600))

    def test_a_forked_child_goes_on_with_the_same_file(
        self, path: Path, telemetry: Telemetry
    ) -> None:
        lines = JsonLines(path, max_line=256, max_bytes=2_000, backups=100, telemetry=telemetry)
        emit(lines, 0)
        with lines._lock:  # held while forking: the child must not wait for it
            child = os.fork()
            if child == 0:
                emit(lines, *range(100, 200))
                os._exit(min(lines.dropped, 1))
        emit(lines, *range(1, 100))
        assert os.waitpid(child, 0)[1] == 0
        lines.close()
        written = [number for file in path.parent.iterdir() for number in numbers(file)]
        assert sorted(written) == list(range(200))

    def test_a_child_leaves_it_to_the_parent_to_tell_of_drops(
        self, path: Path, telemetry: Telemetry, drops: list[tuple[int, str]], clock: Clock
    ) -> None:
        lines = JsonLines(path.parent / "missing" / "x", telemetry=telemetry)
        emit(lines, 1, 2)
        jsonlines._begin_in_child()
        lines.close()
        assert drops == [(1, "write_failed")]

    def test_what_is_emitted_while_a_line_is_being_written_follows_it(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # A signal handler that emits, called in the middle of a write.
        real_write = os.write

        def interrupted_write(file: int, data: Any) -> int:
            monkeypatch.undo()
            emit(lines, 2, 3)
            return real_write(file, data)

        with JsonLines(path) as lines:
            monkeypatch.setattr(os, "write", interrupted_write)
            emit(lines, 1)
        assert numbers(path) == [1, 2, 3]


class TestFromAConfiguration:
    def test_a_function_writes_to_the_configured_file(
        self, path: Path, telemetry: Telemetry
    ) -> None:
        telemetry.attach("file", "a.b", json_line, {"path": str(path), "max_line": 300})
        telemetry.execute("a.b", {"n": 1})
        telemetry.execute("a.b", {"n": 2})
        assert numbers(path) == [1, 2]

    @pytest.mark.parametrize(
        ("config", "message"),
        [
            (None, "the option 'path' is missing; there are backups, catalog, max_bytes"),
            ({"path": "x", "rotate": True}, "unknown option 'rotate'"),
        ],
    )
    def test_a_wrong_configuration_detaches_and_is_reported(
        self, telemetry: Telemetry, caplog: pytest.LogCaptureFixture, config: Any, message: str
    ) -> None:
        telemetry.attach("file", "a.b", json_line, config)
        telemetry.execute("a.b", {"n": 1})
        assert telemetry.list_handlers() == []
        assert message in caplog.text

    @pytest.mark.parametrize(
        ("options", "error", "message"),
        [
            ({"max_line": 255}, ValueError, "max_line is 255; it must be at least 256"),
            ({"max_line": 1000, "max_bytes": 999}, ValueError, "max_bytes is 999"),
            ({"backups": -1}, ValueError, "backups is -1; it must be at least 0"),
            ({"backups": 1.5}, TypeError, "backups 1.5 is not an integer"),
            ({"max_line": True}, TypeError, "max_line True is not an integer"),
            ({"path": "a\0b"}, ValueError, "null character"),
        ],
    )
    def test_wrong_options_are_refused(
        self, options: Mapping[str, Any], error: type[Exception], message: str
    ) -> None:
        with pytest.raises(error, match=message):
            JsonLines(**{"path": "x", **options})
