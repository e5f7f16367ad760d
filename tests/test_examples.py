# SPDX-License-Identifier: Apache-2.0
"""examples/: every program runs and shows what it is there to show."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from heliograph.catalog import load

EXAMPLES = Path(__file__).parents[1] / "examples"


def run(*command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    plain = {name: value for name, value in os.environ.items() if name != "FORCE_COLOR"}
    return subprocess.run(
        [sys.executable, *command],
        cwd=EXAMPLES,
        env={**plain, "PYTHONUTF8": "1", "PYTHONDONTWRITEBYTECODE": "1", **environment},
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )


def test_every_program_is_tested() -> None:
    # The exports are tested with the documentation that shows them, tests/docs/test_examples.py.
    tested = {"demo.py", "first_event.py", "modbus_export.py", "otel_export.py"}
    assert {path.name for path in EXAMPLES.glob("*.py")} == tested


def test_the_first_event_is_heard() -> None:
    done = run("first_event.py")

    assert re.fullmatch(r"shop\.checkout\.stop took \d+\.\d ms for order A-17\n", done.stdout)
    assert done.returncode == 0


@pytest.fixture(scope="module")
def demo() -> subprocess.CompletedProcess[str]:
    return run("demo.py")


def test_the_demo_keeps_its_promises(demo: subprocess.CompletedProcess[str]) -> None:
    assert demo.returncode == 0, demo.stdout + demo.stderr
    assert re.search(r"^all \d+ promises kept$", demo.stdout, re.MULTILINE)
    assert demo.stderr == ""


def test_the_demo_is_plain_in_a_pipe(demo: subprocess.CompletedProcess[str]) -> None:
    assert "\x1b" not in demo.stdout


def test_the_demo_counts_every_event_of_the_shop(demo: subprocess.CompletedProcess[str]) -> None:
    catalog = load(EXAMPLES / "shop" / "shop.yaml")
    summary = demo.stdout.partition("What happened")[2]
    entries = {spec.span or name for name, spec in catalog.events.items() if not spec.alias_of}

    assert all(re.search(rf"^ {re.escape(name)} +\d+ ", summary, re.MULTILINE) for name in entries)
