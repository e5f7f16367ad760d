# SPDX-License-Identifier: Apache-2.0
"""The gateway's benchmark and the soak run, and what they conclude is what was noted."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def judging(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The judge, wherever the tests were started."""
    monkeypatch.syspath_prepend(str(ROOT))
    import benchmarks.gateway.judging

    return benchmarks.gateway.judging


@pytest.fixture
def watching(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT))
    import benchmarks.gateway.watching

    return benchmarks.gateway.watching


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT))
    import benchmarks.gateway.load

    return benchmarks.gateway.load


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", *arguments], check=False, capture_output=True, text=True, cwd=ROOT
    )


def test_a_gateway_under_load_keeps_up_and_drops_nothing(tmp_path: Path) -> None:
    done = run(
        *("benchmarks.gateway", "--minutes", "0.05", "--devices", "50", "--json"),
        *("--report", str(tmp_path / "load.md")),
    )

    found = json.loads(done.stdout)
    cases = [each["case"].rpartition(": ")[2] for each in found["bars"]]
    assert cases[:3] == ["of one core", "readings missed", "items dropped"]
    assert found["bars"][0]["ours"] > 0
    assert found["bars"][2]["ours"] == 0
    assert found["expected"] == 150
    # A value of each mapping with each reading, and the readings of the warm-up besides.
    assert found["values"] >= 40 * found["readings"] > 0
    assert found["exit_code"] == 0
    page = (tmp_path / "load.md").read_text(encoding="utf-8")
    assert f"Of 150 readings that were due {found['readings']} arrived" in page


@pytest.mark.parametrize(
    ("began", "found"),
    [
        pytest.param([0.5, 1.5, 2.5, 3.5, 4.5], 3, id="punctual"),
        pytest.param([0.9, 1.95, 2.95, 4.05, 4.95], 3, id="the last one late, and begun after it"),
        pytest.param([0.99, 2.05, 2.99, 3.99, 4.99], 3, id="the first one late, by its period"),
        pytest.param([1.08, 2.0, 3.0, 4.0, 5.0], 3, id="one that was due before it, late"),
        pytest.param([0.5, 1.5, 3.5, 4.5], 2, id="one missed"),
        pytest.param([0.5, 2.5, 3.5, 4.5], 2, id="the first one missed"),
        pytest.param([0.5, 1.5, 2.5], 2, id="the last one missed"),
        pytest.param([0.5], 0, id="all missed"),
        pytest.param([0.5, 4.5], 0, id="all missed, and back"),
        pytest.param([], 0, id="none at all"),
    ],
)
def test_readings_are_counted_by_when_they_were_due(
    load: ModuleType, began: list[float], found: int
) -> None:
    readings = [(round(1e9 * each), True) for each in began]
    # From second 1 to second 4.
    assert len(load.due_within(readings, 1_000_000_000, 4_000_000_000)) == found


def test_the_soak_finds_a_fleet_that_loses_nothing(tmp_path: Path) -> None:
    report = tmp_path / "soak.md"

    done = run(
        *("benchmarks.gateway.soak", "--minutes", "0.35", "--every", "7", "--seed", "8"),
        *("--report", str(report)),
    )

    assert done.stderr.count(" is killed, and started again after ") >= 1, done.stderr
    text = report.read_text(encoding="utf-8")
    assert text == done.stdout
    # Whether each reading came within its period depends on what else this machine does.
    rows = [line for line in text.splitlines() if line.endswith("| **missed** |")]
    assert [row for row in rows if "readings missed" not in row] == []
    assert "| processes that crashed | 0 | 0 | met |" in text
    assert "| memory, growth in ten minutes |" in text
    assert done.returncode in {0, int(bool(rows))}


class TestMessages:
    def test_one_that_never_came_is_lost(self, judging: ModuleType) -> None:
        runs = [judging.Run("a", "1", 0.0), judging.Run("b", "2", 0.0)]

        found = judging.messages(
            runs, [(5.0, "1", "b", 0), (6.0, "1", "b", 1)], [("2", "b", "1", 0)]
        )

        assert (found.sent, found.received, found.lost, found.with_a_killed) == (2, 1, 1, 0)

    @pytest.mark.parametrize(("at", "lost"), [(9.5, 0), (8.5, 1), (10.5, 1)])
    @pytest.mark.parametrize("victim", ["a", "b"])
    def test_a_kill_within_the_second_explains_it(
        self, judging: ModuleType, victim: str, at: float, lost: int
    ) -> None:
        runs = [
            judging.Run(name, run, 0.0, killed=10.0 if name == victim else None)
            for name, run in (("a", "1"), ("b", "2"))
        ]

        found = judging.messages(runs, [(at, "1", "b", 0)], [])

        assert (found.lost, found.with_a_killed) == (lost, 1 - lost)

    def test_a_later_run_may_receive_it_and_the_same_one_must_not_twice(
        self, judging: ModuleType
    ) -> None:
        runs = [judging.Run("a", "1", 0.0), judging.Run("b", "2", 0.0, killed=4.0)]
        runs.append(judging.Run("b", "3", 5.0))

        received = [("2", "b", "1", 0), ("3", "b", "1", 0), ("3", "b", "1", 1), ("3", "b", "1", 1)]
        found = judging.messages(runs, [(3.9, "1", "b", 0), (4.5, "1", "b", 1)], received)

        assert (found.received, found.lost, found.twice) == (2, 0, 1)


class TestValues:
    def readings(self, judging: ModuleType, *without: int, **changed: Any) -> list[Any]:
        """Of one device, a second each, from 1 to 19."""
        plain = {"device": "d", "run": "1", "ok": True}
        return [
            judging.Reading(**{"due": float(at), "at": at + 0.01, **plain, **changed})
            for at in range(1, 20)
            if at not in without
        ]

    def judged(self, judging: ModuleType, readings: list[Any], *faults: Any, **more: Any) -> Any:
        runs = [judging.Run("g1", "1", 0.0, killed=more.get("killed"))]
        return judging.values(readings, ["d"], runs, faults, 1.0, 0.0, 20.0)

    def test_a_gap_is_so_many_periods(self, judging: ModuleType) -> None:
        found = self.judged(judging, self.readings(judging, 7, 8))

        assert (found.due, found.read, found.late) == (20, 17, 0)
        assert found.missed == {"unexplained": 2}
        assert found.unexplained == [judging.Gap("d", 6.0, 9.0, 2, 0)]

    def test_what_comes_late_is_not_missed(self, judging: ModuleType) -> None:
        late = judging.Reading(7.0, 7.9, "d", "1", ok=True)

        found = self.judged(judging, [*self.readings(judging, 7), late])

        assert (found.read, found.late, found.missed) == (19, 1, {})

    def test_what_was_tried_and_failed_is_missed(self, judging: ModuleType) -> None:
        failed = judging.Reading(7.0, 7.5, "d", "1", ok=False)

        found = self.judged(judging, [*self.readings(judging, 7, 8), failed])

        assert found.unexplained == [judging.Gap("d", 6.0, 9.0, 2, 1)]

    def test_a_device_that_was_never_read_has_missed_everything(self, judging: ModuleType) -> None:
        found = self.judged(judging, [])

        assert (found.due, found.read, found.missed) == (20, 0, {"unexplained": 19})

    @pytest.mark.parametrize(
        ("fault", "kind"),
        [
            (("kill", "g1", 6.5, 7.0), "unexplained"),
            (("device", "d", 6.5, 7.0), "device"),
            (("device", "other", 6.5, 7.0), "unexplained"),
            (("outage", "collector", 6.5, 7.0), "unexplained"),
            (("device", "d", 17.0, 18.0), "unexplained"),
        ],
    )
    def test_faults_explain_gaps_at_their_time(
        self, judging: ModuleType, fault: tuple[Any, ...], kind: str
    ) -> None:
        readings = self.readings(judging, 7, 8)

        assert self.judged(judging, readings, judging.Fault(*fault, "")).missed == {kind: 2}

    @pytest.mark.parametrize(("began", "kind"), [(6.5, "kill"), (15.0, "unexplained")])
    def test_a_kill_explains_the_gaps_of_devices_that_move(
        self, judging: ModuleType, began: float, kind: str
    ) -> None:
        before = self.readings(judging, *range(7, 20))
        after = self.readings(judging, *range(9), run="2")
        fault = judging.Fault("kill", "g1", began, began + 1.0, "")

        found = self.judged(judging, [*before, *after], fault, killed=6.5)

        assert found.missed == {kind: 2}
        assert found.failovers == [pytest.approx(9.01 - 6.5)]
        assert found.doubled == 0.0

    def test_two_that_read_one_device_are_seen_however_near_they_are(
        self, judging: ModuleType
    ) -> None:
        other = [judging.Reading(at + 0.1, at + 0.2, "d", "2", ok=True) for at in (6.0, 7.0)]

        assert self.judged(judging, [*self.readings(judging), *other]).doubled == 2.0
        assert self.judged(judging, [*self.readings(judging), other[0]]).doubled == 1.0


class TestAlarms:
    def test_those_that_live_should_hear(self, judging: ModuleType) -> None:
        runs = [judging.Run(name, name, 0.0, 1.0) for name in ("a", "b", "c")]
        runs += [judging.Run("d", "d", 95.0, 99.5), judging.Run("e", "e", 90.0)]
        key = ("boiler", "temperature", "above")
        seen = [
            judging.Alarm(100.0, "a", "a", key, True),
            judging.Alarm(100.1, "b", "a", key, True),
        ]

        # The last two have just met the others, and never; the third has heard nothing.
        assert judging.alarms(seen, runs, 200.0) == (2, 1)

    def test_one_that_knew_it_already_need_not_hear_again(self, judging: ModuleType) -> None:
        runs = [judging.Run(name, name, 0.0, 1.0) for name in ("a", "b")]
        key = ("boiler", "temperature", "above")
        seen = [judging.Alarm(50.0, "b", "b", key, True), judging.Alarm(100.0, "a", "a", key, True)]

        assert judging.alarms(seen, runs, 200.0) == (2, 1)


def test_a_slope_is_that_of_the_nearest_line(watching: ModuleType) -> None:
    assert watching.slope([(0, 1), (1, 3), (2, 5)]) == 2.0
    assert watching.slope([(1, 1)]) == 0.0
    assert watching.slope([(1, 1), (1, 2)]) == 0.0


def test_a_process_is_looked_at_as_the_kernel_has_it(watching: ModuleType) -> None:
    found = watching.sample(os.getpid())

    assert found.processor > 0
    assert 1 < found.memory < 4096
    assert found.files >= 3
    assert found.threads >= 1
    assert watching.sample(2**22 + 1) is None
