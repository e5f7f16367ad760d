# SPDX-License-Identifier: Apache-2.0
"""The original's definitions, right and wrong: every recorded one, and what ours refuse beyond."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from heliograph.modboss import Schema
from tests.modboss.definitions import ACCIDENTS, MAKERS, definitions, difference, main

RECORDED = Path(__file__).parents[1] / "data" / "modboss" / "schema_errors.jsonl"
ROWS = list(definitions(RECORDED))
DEMANDED = [each for each in ROWS if each["demand"] == "strict"]
Make = Callable[[dict[str, Any]], type[Schema]]


def test_the_recording_is_whole() -> None:
    assert (len(ROWS), len(DEMANDED)) == (93, 86)


def test_what_is_refused_beyond_the_original_is_what_it_took_by_accident() -> None:
    noted = {each["id"] for each in DEMANDED if each.get("note", "").startswith("accident")}

    assert set(ACCIDENTS) == noted - {"name.nil", "ok.local.private_function"}


@pytest.mark.parametrize("make", MAKERS, ids=lambda make: make.__name__)
@pytest.mark.parametrize("row", DEMANDED, ids=lambda row: row["id"])
def test_a_definition_is_taken_or_refused_as_recorded(row: dict[str, Any], make: Make) -> None:
    assert difference(row, make) is None


def test_the_runner_counts_what_passes(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(RECORDED)]) == 0
    assert capsys.readouterr().out.startswith("86 passed, 0 failed")


def test_the_runner_sees_another_outcome(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    right = {each["id"]: each for each in DEMANDED}
    ok = right["ok_mode.coil.rw"]["result"]
    other_mode = json.loads(json.dumps(ok).replace('"rw"', '"w"'))
    wrong = [
        right["ok_mode.coil.rw"] | {"result": right["range.step2"]["result"]},
        right["ok_mode.coil.rw"] | {"result": other_mode},
        right["range.step2"] | {"result": ok},
        right["range.step2"] | {"result": right["opts.unknown"]["result"]},
        right["opts.unknown"]
        | {"result": {"error": {"code": "unknown_mapping_option", "option": "x"}}},
        right["range.empty"] | {"schema": right["range.single"]["schema"]},
        right["range.empty"] | {"schema": right["range.step2"]["schema"]},
    ]
    file = tmp_path / "wrong.jsonl"
    file.write_text("\n".join(map(json.dumps, wrong)))

    assert main([str(file)]) == 1
    assert capsys.readouterr().out.startswith(f"0 passed, {len(wrong)} failed")
