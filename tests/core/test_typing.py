# SPDX-License-Identifier: Apache-2.0
"""The types are part of the promise: what two checkers take, refuse and infer."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import get_type_hints

import pytest

import heliograph.typing

USAGES = sorted((Path(__file__).parents[1] / "data" / "typing").glob("*.py"))
ROOT = Path(__file__).parents[2]


def mypy(usage: Path, directory: Path) -> dict[int, str]:
    """What mypy refuses, by line."""
    done = subprocess.run(
        [
            *(sys.executable, "-m", "mypy", "--config-file=", "--strict", "--no-error-summary"),
            *("--cache-dir", str(ROOT / ".mypy_cache" / "typing"), "--hide-error-context"),
            str(usage),
        ],
        check=False,
        capture_output=True,
        text=True,
        cwd=directory,
    )
    assert done.returncode in {0, 1}, done.stdout + done.stderr
    found = re.findall(r"^\S+:(\d+): error: (.*)$", done.stdout, re.MULTILINE)
    return {int(line): message for line, message in found}


def pyright(usage: Path, directory: Path) -> dict[int, str]:
    """What Pyright refuses, by line."""
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pyright", "--pythonpath", sys.executable, "--outputjson"),
            str(usage),
        ],
        check=False,
        capture_output=True,
        text=True,
        cwd=directory,
        env={**os.environ, "PYRIGHT_PYTHON_IGNORE_WARNINGS": "1"},
    )
    assert done.returncode in {0, 1}, done.stdout + done.stderr
    return {
        each["range"]["start"]["line"] + 1: each["message"]
        for each in json.loads(done.stdout)["generalDiagnostics"]
        if each["severity"] == "error"
    }


@pytest.mark.timeout(180)
@pytest.mark.parametrize("usage", USAGES, ids=lambda path: path.stem)
@pytest.mark.parametrize("checker", [mypy, pyright], ids=["mypy", "Pyright"])
def test_a_checker_takes_what_is_right_and_refuses_what_is_wrong(
    checker: object, usage: Path, tmp_path: Path
) -> None:
    assert callable(checker)
    lines = usage.read_text().splitlines()
    expected = {number for number, line in enumerate(lines, 1) if line.endswith("# error")}
    assert len(expected) > 15

    found = checker(usage, tmp_path)

    assert {line: found[line] for line in found.keys() - expected} == {}
    assert {line: lines[line - 1] for line in expected - found.keys()} == {}


@pytest.mark.parametrize("call", [heliograph.typing.Execute, heliograph.typing.OpenSpan])
def test_what_is_public_can_be_read_at_run_time(call: type) -> None:
    assert get_type_hints(call.__call__, {**vars(heliograph), **vars(heliograph.typing)})
