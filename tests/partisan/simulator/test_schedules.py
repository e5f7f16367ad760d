# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import os
import subprocess
import sys

import pytest

from heliograph.partisan.simulator import run_schedule

# More of them: `python -m tests.partisan.simulator.many --count 5000`.
SCHEDULES = 200
BATCH = 50


@pytest.mark.parametrize("start", range(0, SCHEDULES, BATCH))
def test_clusters_converge_and_lose_no_acknowledged_message(start: int) -> None:
    outcomes = [run_schedule(seed) for seed in range(start, start + BATCH)]

    assert {each.seed: each.violations for each in outcomes if each.violations} == {}
    assert sum(each.acknowledged for each in outcomes) > 1_000
    assert sum(each.steps["crash"] for each in outcomes) > 10
    assert sum(each.retransmitted for each in outcomes) > 100
    assert sum(each.duplicates for each in outcomes) > 10


def test_a_run_depends_on_its_seed_alone() -> None:
    program = (
        "from heliograph.partisan.simulator import run_schedule\n"
        "print([run_schedule(seed).digest for seed in (1, 2)])"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", program],
            env=os.environ | {"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("0", "1", "2")
    }

    assert digests == {f"{[run_schedule(seed).digest for seed in (1, 2)]}\n"}
    assert run_schedule(1).digest != run_schedule(2).digest
