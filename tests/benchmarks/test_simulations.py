# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
PROGRAM = """
import json
from benchmarks.harness import Effort
from benchmarks.simulations import cost

print(json.dumps([row.to_json() for row in cost.rows(Effort(rounds=2), (60, 20))]))
"""


def test_an_event_among_many_is_compared_with_one_among_few() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=ROOT, check=True, capture_output=True, text=True
    )

    (row,) = json.loads(done.stdout)
    assert row["case"] == "an event among 60 simulated nodes"
    assert (row["rival"], row["bar"]) == ("one among 20", 1.6)
    assert row["ours"] > 0
    assert row["ratio"] > 0
    assert len(row["middle"]) == 2
