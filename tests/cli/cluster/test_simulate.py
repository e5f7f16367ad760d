# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from pathlib import Path

import pytest

from heliograph.cli.cluster import simulate as module
from tests.cli.conftest import Call

SCENARIO = """
kind = "failures"
nodes = 60
settle = 3
levels = [50]
broadcasts = 12
"""


@pytest.fixture
def scenario(folder: Path) -> Path:
    path = folder / "half.toml"
    path.write_text(SCENARIO, encoding="utf-8")
    return path


def test_a_scenario_is_simulated(call: Call, scenario: Path) -> None:
    result = call("cluster", "simulate", "half.toml")

    assert result.exit_code == 0
    (row,) = result.stdout.splitlines()
    assert row.split("\t")[:2] == ["50", "30"]
    assert result.stderr.startswith("half: 60 nodes, seed 1, ")


def test_the_report_in_json_is_the_same_byte_for_byte(call: Call, scenario: Path) -> None:
    one = call("cluster", "simulate", "half.toml", "--json", "--set", "seed=7")
    two = call("cluster", "simulate", "half.toml", "--json", "--set", "seed=7")

    assert one.stdout == two.stdout
    report = json.loads(one.stdout)
    assert (report["version"], report["command"]) == (1, "cluster simulate")
    assert report["scenario"]["seed"] == 7
    assert report["rows"][0]["living"] == 30


def test_a_plot_is_drawn(call: Call, scenario: Path, folder: Path) -> None:
    call("cluster", "simulate", "half.toml", "--plot", "half.svg")

    assert (folder / "half.svg").read_text(encoding="utf-8").startswith("<svg ")


def test_a_table_is_shown_on_a_terminal(
    call: Call, scenario: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")

    result = call("cluster", "simulate", "half.toml")

    assert "failed_percent" in result.stdout


def test_how_far_it_is_is_shown_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal:
        def isatty(self) -> bool:
            return True

        def write(self, text: str) -> int:
            return len(text)

        def flush(self) -> None:
            pass

    monkeypatch.setattr("sys.stderr", Terminal())
    with module._progress() as progress:
        assert progress is not None
        progress("join", 0, 2)
        progress("join", 2, 2)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("none.toml",), 4, "No such file or directory: none.toml"),
        (("half.toml", "--set", "nodes=1"), 3, "half.toml: nodes: is a number from 2 to 99999"),
        (("half.toml", "--set", "nodes"), 3, "half.toml: nodes: is no KEY=VALUE"),
        (("half.toml", "--set", "seed=-1"), 3, "half.toml: seed: is a number from 0"),
        ((), 2, "Missing argument 'SCENARIO'"),
    ],
    ids=["missing", "nodes", "change", "seed", "nothing"],
)
def test_what_is_wrong_is_said_in_one_line(
    call: Call, scenario: Path, arguments: tuple[str, ...], code: int, said: str
) -> None:
    result = call("cluster", "simulate", *arguments)

    assert result.exit_code == code
    assert said in result.stderr
    assert "Traceback" not in result.stderr
