# SPDX-License-Identifier: Apache-2.0
"""docs/how-to/test-your-events.md: its examples run, and print what it says they do."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

pytestmark = pytest.mark.telemetry_lenient(reason="emits events of its own making")

GUIDE = Path(__file__).parents[2] / "docs" / "how-to" / "test-your-events.md"
BLOCKS = re.findall(r"(?ms)^```(\w+)\n(.*?)^```", GUIDE.read_text(encoding="utf-8"))
FILES = {
    block.partition("\n")[0].removeprefix("# "): block
    for language, block in BLOCKS
    if language in {"python", "yaml", "toml"}
}
RUNS = [block.splitlines() for language, block in BLOCKS if language == "console"]
BROKEN = "test_export.py"


@pytest.fixture
def reader(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """Somebody who has written the guide's files, apart from the broken one."""
    for name, text in FILES.items():
        if name != BROKEN:
            (pytester.path / name).write_text(text, encoding="utf-8")
    pytester.syspathinsert()
    return pytester


def test_every_file_has_a_name() -> None:
    assert all(re.fullmatch(r"\w+\.(py|yaml|toml)", name) for name in FILES)


def test_every_example_passes_and_conforms(reader: pytest.Pytester) -> None:
    result = reader.runpytest("--telemetry-strict")

    result.assert_outcomes(passed=7)


def test_the_broken_example_is_found_as_it_says(reader: pytest.Pytester) -> None:
    (reader.path / BROKEN).write_text(FILES[BROKEN], encoding="utf-8")
    (shown,) = [run for run in RUNS if run[0] == "$ pytest --telemetry-strict"]

    reader.runpytest("--telemetry-strict").stdout.fnmatch_lines(shown[1:], consecutive=True)


def test_the_coverage_is_what_it_says(reader: pytest.Pytester) -> None:
    (shown,) = [run for run in RUNS if run[0] == "$ pytest --telemetry-coverage"]

    reader.runpytest("--telemetry-coverage").stdout.fnmatch_lines(shown[1:], consecutive=True)


def test_a_failed_assertion_says_what_it_says(reader: pytest.Pytester) -> None:
    (shown,) = [block.splitlines() for language, block in BLOCKS if language == "text"]
    (reader.path / "test_shop.py").write_text(
        "import shop\n"
        "def test(telemetry_events):\n"
        "    shop.place('A-17', amount=5)\n"
        "    telemetry_events.assert_event('shop.order.placed', {'amount': 6})\n",
        encoding="utf-8",
    )
    expected = [f"E *{line.replace('{...}', '{*}')}" for line in shown]

    reader.runpytest().stdout.fnmatch_lines(expected, consecutive=True)
