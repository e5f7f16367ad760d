# SPDX-License-Identifier: Apache-2.0
"""The benchmarks run and their tables say what was measured; what they measure is not tested."""

from __future__ import annotations

import gc
import importlib
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

ROOT = Path(__file__).parents[2]

CORE = {
    ("execute, no handler", "floor", 1.10),
    ("execute, no handler", "blinker, no receiver", 0.30),
    ("execute, 1 handler", "floor", 1.15),
    ("execute, 1 handler", "blinker, 1 receiver", 0.12),
    ("execute, 10 handlers", "floor", 1.15),
    ("execute, 10 handlers", "blinker, 10 receivers", 0.08),
    ("guard around an unbuilt payload", "execute, built payload", 0.10),
    ("with span(...), no handler", "two clock reads, empty manager", 1.60),
    ("with span(...), one handler", "written by hand", 1.30),
    ("python -c 'import heliograph'", "python -c pass", 2.0),
}


def bench(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "benchmarks", *arguments],
        check=False,
        capture_output=True,
        text=True,
        cwd=ROOT,
    )


@pytest.fixture
def harness(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The harness, wherever the tests were started."""
    monkeypatch.syspath_prepend(str(ROOT))
    import benchmarks.harness

    return benchmarks.harness


def test_the_core_is_measured_case_by_case_with_the_bars_of_its_promise() -> None:
    done = bench("--only", "core", "--rounds", "1", "--share", "0.0001", "--json")
    assert done.returncode == 0, done.stderr

    core = json.loads(done.stdout)["core"]

    found = {(row["case"], row["rival"], row["bar"]) for row in core["rows"]}
    assert found >= CORE
    large = [row["bar"] for row in core["rows"] if row["rival"] == "10 events"]
    assert large == [1.10]
    attaches = [row["bar"] for row in core["rows"] if "attaches" in row["case"]]
    assert attaches == [1e9, 1e9]
    assert core["rounds"] == 1
    assert core["facts"].keys() == {"machine", "python", "heliograph", "blinker"}
    for row in core["rows"]:
        value = row["ours"] if row["ratio"] is None else row["ratio"]
        assert value > 0
        assert row["met"] == (value <= row["bar"])


def test_a_table_is_printed_for_reading() -> None:
    done = bench("--only", "core", "--rounds", "1", "--share", "0.0001")

    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "The core"
    assert "CPython" in lines[1]
    assert lines[3].split() == ["case", "ours", "rival", "theirs", "ratio", "bar", "verdict"]
    assert all(line.endswith(("met", "MISSED")) for line in lines[4:] if line)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--only", "nothing"],
        ["--rounds", "0"],
        ["--rounds", "many"],
        ["--share", "0"],
        ["--share", "1.5"],
    ],
    ids=" ".join,
)
def test_what_makes_no_sense_is_refused(arguments: list[str]) -> None:
    done = bench(*arguments)

    assert done.returncode == 2
    assert "error:" in done.stderr


@pytest.mark.parametrize(
    ("ours", "arguments", "status"),
    [(9, ["--check"], 0), (11, ["--check"], 1), (11, [], 0), (11, ["--check", "--json"], 1)],
)
def test_a_missed_bar_is_an_error_if_that_is_asked_for(
    harness: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    ours: float,
    arguments: list[str],
    status: int,
) -> None:
    main = importlib.import_module("benchmarks.__main__")
    row = harness.Row("case", ours, None, None, None, 10)
    part = SimpleNamespace(TITLE="A part", DISTRIBUTIONS=(), rows=lambda _: iter([row]))
    monkeypatch.setattr(main, "parts", lambda: ["part"])
    monkeypatch.setattr(main, "load", lambda _: part)

    assert main.main(arguments) == status


class TestHarness:
    def test_a_ratio_is_the_median_of_the_rounds(
        self, harness: ModuleType, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        taken = {"ours": [10, 20, 1_000, 20, 20], "theirs": [10, 10, 10, 40, 10]}

        def ours(times: int) -> None:
            pass

        def theirs(times: int) -> None:
            pass

        monkeypatch.setattr(harness, "run", lambda side, times: taken[side.__name__].pop(0))
        case = harness.Case("case", ours, [harness.Rival("rival", theirs, 1.5)], times=10)

        (row,) = harness.measure(case, harness.Effort(rounds=5))

        assert row == harness.Row("case", 2.0, "rival", 1.0, 2.0, 1.5)
        assert row.middle == [1.0, 2.0]
        assert not row.met

    def test_all_sides_take_turns_and_do_the_same_number(self, harness: ModuleType) -> None:
        calls: list[tuple[str, int]] = []
        case = harness.Case(
            "case",
            lambda times: calls.append(("ours", times)),
            [
                harness.Rival("a", lambda times: calls.append(("a", times)), 1),
                harness.Rival("b", lambda times: calls.append(("b", times)), 1),
            ],
            times=1_000,
        )

        rows = list(harness.measure(case, harness.Effort(rounds=3, share=0.1)))

        assert [row.rival for row in rows] == ["a", "b"]
        first = [("ours", 1), ("a", 1), ("b", 1)]  # what happens on first use only
        assert calls[:3] == first
        assert [name for name, _ in calls[3:]] == [
            *("ours", "a", "b"),
            *("a", "b", "ours"),
            *("b", "ours", "a"),
        ]
        assert {times for _, times in calls[3:]} == {100}

    def test_the_collector_is_off_meanwhile_and_as_it_was_afterwards(
        self, harness: ModuleType
    ) -> None:
        seen: list[bool] = []

        def side(times: int) -> None:
            seen.append(gc.isenabled())
            raise LookupError

        before = gc.isenabled()
        with pytest.raises(LookupError):
            harness.run(side, 1)

        assert seen == [False]
        assert gc.isenabled() == before

    def test_a_row_without_a_rival_has_its_bar_on_the_time(self, harness: ModuleType) -> None:
        row = harness.Row("attaching", 2e9, None, None, None, 1e9)

        assert not row.met
        assert harness.table("Title", [row], {"python": "3"}).splitlines()[-1].split() == [
            "attaching",
            *("2.00", "s"),
            *("-", "-", "-"),
            *("1.00", "s"),
            "MISSED",
        ]

    @pytest.mark.parametrize(
        ("nanoseconds", "text"),
        [(12.4, "12 ns"), (1_500, "1.50 µs"), (2_000_000, "2.00 ms"), (3e9, "3.00 s")],
    )
    def test_times_are_shown_in_a_fitting_unit(
        self, harness: ModuleType, nanoseconds: float, text: str
    ) -> None:
        row = harness.Row("case", nanoseconds, "rival", 1.0, 1.0, 1.0)

        assert text in harness.table("Title", [row], {})
