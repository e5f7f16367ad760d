# SPDX-License-Identifier: Apache-2.0
"""The pair of nodes that is measured runs; how quick it is is not tested."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

# Whoever mends it measures something else.
YARDSTICK = "d6f55a4070515fc2d1b9f152fbfc46b2a0861209886eeea346d844eedbc18ba9"

CASES = {
    "round_trip": {"p50_64", "p99_64", "p50_8192", "p99_8192"},
    "rate": {"64", "8192", "burst", "acked"},
    "beside_bulk": {"idle", "beside", "within"},
    "slots": {"many", "one"},
}


def measured(*arguments: str) -> dict[str, dict[str, float]]:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.partisan.pair", *arguments, "--share", "0.002"],
        check=False,
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    return {line.pop("case"): line for line in lines}


def test_every_case_is_measured() -> None:
    found = measured(*CASES)

    assert {case: set(values) for case, values in found.items()} == CASES
    assert all(value > 0 for values in found.values() for value in values.values())


def test_an_idle_node_is_measured_with_fifty_connections() -> None:
    assert measured("idle")["idle"]["connections"] == 50


@pytest.mark.parametrize("loop", ["asyncio", "trio"])
def test_other_loops_are_measured_too(loop: str) -> None:
    assert measured("rate", "--loop", loop, "--original").keys() == {"rate"}


def test_the_yardstick_is_the_one_that_the_bars_are_for() -> None:
    text = (ROOT / "benchmarks" / "partisan" / "framed_pair.py").read_bytes()

    assert hashlib.sha256(text).hexdigest() == YARDSTICK
