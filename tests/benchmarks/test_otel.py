# SPDX-License-Identifier: Apache-2.0
"""The bridge is measured case by case with the bars of its promise."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
BARS = {
    "metrics of one read: configure": 0.08,
    "metrics of one read: given MeterProvider": 0.35,
    "spans of one read: configure": 0.28,
    "spans of one read: given TracerProvider": 1.0,
    "spans and metrics of one read: configure": 0.13,
    "spans and metrics of one read: given providers": 0.55,
    "log event: configure": 0.5,
    "100,000 series offered to one metric": 1.25,
}


def test_every_bar_is_measured() -> None:
    arguments = ["--only", "otel", "--rounds", "1", "--share", "0.0001", "--json"]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", *arguments],
        check=False,
        capture_output=True,
        text=True,
        cwd=ROOT,
    )

    assert done.returncode == 0, done.stderr
    rows = {row["case"]: row["bar"] for row in json.loads(done.stdout)["otel"]["rows"]}
    assert rows.items() >= BARS.items()
