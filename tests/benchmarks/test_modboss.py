# SPDX-License-Identifier: Apache-2.0
"""The benchmarks of modboss run, and measure what its promise has bars for."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]

BARS = {
    ("1 mapping", "the raw call", 1.07),
    ("50 mappings", "the raw call", 1.10),
    ("1 mapping, exporting", "the raw call", 1.25),
    ("50 mappings, exporting", "the raw call", 1.25),
    ("1 mapping, virtual device", "the raw call", 1.07),
    ("1 mapping, uvloop", "the raw call", 1.05),
    ("50 mappings, uvloop", "the raw call", 1.16),
    ("200 scattered mappings, requests", "a raw call each", 0.05),
    ("200 scattered mappings", "a raw call each", 0.1),
}


def test_every_bar_is_measured() -> None:
    arguments = ("--only", "modboss", "--rounds", "1", "--share", "0.01", "--json")
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", *arguments],
        check=False,
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stderr

    rows = json.loads(done.stdout)["modboss"]["rows"]

    assert {(row["case"], row["rival"], row["bar"]) for row in rows} >= BARS
    # Three of the 300 devices; the bar is on the processor's time beside two ways of polling.
    polled = [row for row in rows if row["case"].startswith("3 devices x 40 mappings")]
    assert [row["bar"] for row in polled] == [1.3, 1.3, 0]
    [requests] = [row for row in rows if row["case"].endswith("requests")]
    assert requests["ratio"] <= requests["bar"]  # the one that is no matter of time
