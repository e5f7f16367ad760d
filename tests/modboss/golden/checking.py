# SPDX-License-Identifier: Apache-2.0
"""Scenarios judged: run in all ways, compared with their recording."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.modboss.golden.comparing import compare
from tests.modboss.golden.running import Mode, run

__all__ = ["MODES", "Verdict", "check", "check_file"]

MODES: Final[tuple[Mode, ...]] = ("sync", "async", "unheard")


@dataclass(frozen=True)
class Verdict:
    """What came of a scenario."""

    scenario: str
    demanded: bool
    differences: list[str]


def check(scenario: dict[str, Any]) -> Verdict:
    """Run a scenario with plain functions, with coroutines and unheard, and compare all.

    One that is not demanded is not run: the schema of some is refused here.
    """
    name = str(scenario.get("id", "?"))
    if scenario.get("demand") == "no":
        return Verdict(name, False, [])
    found: list[str] = []
    for mode in MODES:
        try:
            differences = compare(scenario, run(scenario, mode), heard=mode != "unheard")
            found += [f"{mode}: {each}" for each in differences]
        except Exception as error:  # noqa: BLE001 - a scenario that cannot be run has failed
            found.append(f"{mode}: cannot be run or compared: {type(error).__name__}: {error}")
    return Verdict(name, True, found)


def check_file(file: Path) -> Iterator[Verdict]:
    """Check every scenario of a file, one a line."""
    with file.open(encoding="utf-8") as lines:
        for line in lines:
            if line.strip():
                yield check(json.loads(line))
