# SPDX-License-Identifier: Apache-2.0
"""The page of the benchmarks says what a run has found, and nothing else."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


def row(**changed: Any) -> dict[str, Any]:
    plain = {
        "case": "execute, 1 handler",
        "ours": 120.0,
        "rival": "floor",
        "theirs": 100.0,
        "ratio": 1.2,
        "bar": 1.15,
        "unit": None,
        "middle": [1.1, 1.234],
    }
    found = {**plain, **changed}
    value = found["ours"] if found["ratio"] is None else found["ratio"]
    return {**found, "met": value <= found["bar"]}


def alone(**changed: Any) -> dict[str, Any]:
    return row(**{"rival": None, "theirs": None, "ratio": None, "middle": None, **changed})


def part(title: str, *rows: dict[str, Any], **more: Any) -> dict[str, Any]:
    facts = {"machine": "x", "python": "CPython 3.11.7", "blinker": "1.9.0"}
    about = {"title": title, "facts": facts, "rounds": 31, "seconds": 61.4, "others": 0.01}
    return {**about, "rows": [*rows], **more}


def results(*parts: dict[str, Any], **changed: Any) -> dict[str, Any]:
    run = {
        "began": "2026-11-26T05:00:00+00:00",
        "processor": "Some Processor",
        "processors": 2,
        "kernel": "Linux 6.1",
        "commit": "0123abc",
        "rounds": 31,
        "share": 1.0,
        "seconds": 330.0,
    }
    return {"run": {**run, **changed}, "parts": {each["title"]: each for each in parts}}


@pytest.fixture
def page(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT))
    return importlib.import_module("benchmarks.page")


def lines(text: str) -> list[str]:
    return [line.strip("| ") for line in text.splitlines() if line.startswith("| ")]


def test_the_page_says_on_what_and_when(page: ModuleType) -> None:
    found = lines(page.markdown(results(part("The core", row()))))

    assert "on | Some Processor, 2 processors" in found
    assert "under | Linux 6.1" in found
    assert "of | commit 0123abc" in found
    assert "at | 2026-11-26T05:00:00+00:00, for 5.5 minutes, in 31 rounds" in found
    assert "of the processors, others had | 1.0 %, at most 1.0 % in one part" in found


def test_each_part_has_its_versions_and_rows(page: ModuleType) -> None:
    rows = (row(), row(case="guard", ours=5.0, ratio=0.05))
    text = page.markdown(results(part("The core", *rows), part("A gateway", row())))

    core = text.partition("## The core\n")[2].partition("\n## ")[0]
    assert "python CPython 3.11.7, blinker 1.9.0; measured within 61 s." in core
    assert lines(core) == [
        "case | ours | rival | theirs | ratio | half of the rounds | bar | verdict",
        "--- | ---: | --- | ---: | ---: | ---: | ---: | ---",
        "execute, 1 handler | 120 ns | floor | 100 ns | 1.200 | 1.100 to 1.234 | 1.15 | **missed**",
        "guard | 5 ns | floor | 100 ns | 0.050 | 1.100 to 1.234 | 1.15 | met",
    ]
    assert "## A gateway\n" in text


def test_what_was_missed_comes_first(page: ModuleType) -> None:
    rows = (row(), alone(case="idle", ours=2e9, bar=1e9), row(ratio=1.0))
    text = page.markdown(results(part("The core", *rows)))

    before = text.partition("\n## ")[0]
    assert "Bars met: 1 of 3. These are missed:" in before
    assert lines(before)[-2:] == [
        "The core | execute, 1 handler | 120 ns | floor | 100 ns | 1.200 | 1.100 to 1.234 | 1.15",
        "The core | idle | 2.00 s | - | - | - | - | 1.00 s",
    ]


def test_nothing_is_missed_if_all_are_met(page: ModuleType) -> None:
    text = page.markdown(results(part("The core", row(ratio=1.0))))

    assert "Bars met: 1 of 1.\n" in text
    assert "missed" not in text


def test_amounts_that_are_no_times_keep_their_unit(page: ModuleType) -> None:
    counted = alone(case="readings missed", ours=3, bar=0, unit="")
    shared = alone(case="of one core", ours=12.5, bar=25, unit="%")
    found = lines(page.markdown(results(part("A gateway", counted, shared))))

    assert "readings missed | 3 | - | - | - | - | 0 | **missed**" in found
    assert "of one core | 12.5 % | - | - | - | - | 25 % | met" in found


def test_parts_that_others_disturbed_are_named(page: ModuleType) -> None:
    quiet, busy = part("The core", row(), others=0.05), part("A gateway", row(), others=0.06)

    assert ":::{warning}" not in page.markdown(results(quiet))
    text = page.markdown(results(quiet, {**busy, "seconds": 3 * busy["seconds"]}))
    assert text.count(":::{warning}") == 1
    assert "they had 6.0 % during A gateway. Figures" in text
    assert "of the processors, others had | 5.8 %, at most 6.0 % in one part" in lines(text)


def test_how_busy_others_were_may_be_unknown(page: ModuleType) -> None:
    text = page.markdown(results(part("The core", row()), part("A gateway", others=None)))

    assert "of the processors, others had | unknown" in lines(text)


def test_a_trial_says_so(page: ModuleType) -> None:
    text = page.markdown(results(part("The core", row()), share=0.1))

    assert text.count(":::{warning}") == 1
    assert "Each round was cut short" in text


def test_a_part_that_failed_is_not_left_out(page: ModuleType) -> None:
    failed = part("The core", failure="ImportError: no blinker")
    text = page.markdown(results(failed, part("A gateway", row(ratio=1.0))))

    assert "## The core\n\nIt could not be measured: `ImportError: no blinker`\n" in text
    assert "Bars met: 1 of 1. Not measured: The core.\n" in text


def test_a_part_that_fails_does_not_take_the_others_along(
    monkeypatch: pytest.MonkeyPatch, page: ModuleType, tmp_path: Path
) -> None:
    main = importlib.import_module("benchmarks.__main__")
    harness = importlib.import_module("benchmarks.harness")
    good = harness.Row("case", 9.0, None, None, None, 10)

    def load(name: str) -> SimpleNamespace:
        if name == "bad":
            raise LookupError("there is none")
        return SimpleNamespace(TITLE="Good", DISTRIBUTIONS=(), rows=lambda _: iter([good]))

    monkeypatch.setattr(main, "parts", lambda: ["bad", "good"])
    monkeypatch.setattr(main, "load", load)
    file = tmp_path / "new" / "results.json"

    assert main.main(["--results", str(file)]) == 1

    written = json.loads(file.read_text("utf-8"))
    assert written["parts"]["bad"]["failure"] == "LookupError: there is none"
    assert [row["case"] for row in written["parts"]["good"]["rows"]] == ["case"]
    text = file.with_suffix(".md").read_text("utf-8")
    assert text == page.markdown(written)
    assert "It could not be measured: `LookupError: there is none`" in text


def test_some_parts_alone_leave_the_page_as_it_is(
    monkeypatch: pytest.MonkeyPatch, page: ModuleType, tmp_path: Path
) -> None:
    main = importlib.import_module("benchmarks.__main__")
    part = SimpleNamespace(TITLE="Part", DISTRIBUTIONS=(), rows=lambda _: iter(()))
    monkeypatch.setattr(main, "parts", lambda: ["part", "other"])
    monkeypatch.setattr(main, "load", lambda _: part)
    file = tmp_path / "results.json"

    assert main.main(["--only", "part", "--results", str(file)]) == 0

    assert not file.exists()


def test_the_page_in_the_documentation_is_the_one_of_the_run_beside_it() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.page", ROOT / "docs" / "benchmarks.json"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=True,
    )

    page = (ROOT / "docs" / "benchmarks.md").read_text("utf-8")
    assert page == done.stdout, "write both again: make bench"


def test_every_part_is_found() -> None:
    code = "from benchmarks.__main__ import parts; print(*parts())"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )

    assert {"core", "gateway", "modboss", "otel", "partisan"} <= set(done.stdout.split())
