# SPDX-License-Identifier: Apache-2.0
"""The rule about foreign tools: skipped with the reason, or a failure where all are required."""

from __future__ import annotations

from pathlib import Path

import pytest

CONFTEST = Path(__file__).with_name("conftest.py").read_text(encoding="utf-8")

SKIPPING_TESTS = """
    import pytest

    def test_needs_a_tool(foreign_tool):
        foreign_tool("no-such-tool", "no-such-package")

    @pytest.mark.skip(reason="marked")
    def test_is_marked():
        pass

    @pytest.mark.xfail(reason="known", strict=True)
    def test_is_known_to_fail():
        raise AssertionError

    def test_passes(foreign_tool):
        assert foreign_tool("sh", "dash").name == "sh"
"""

SKIPPING_MODULE = """
    import pytest

    pytest.skip("whole module", allow_module_level=True)
"""


def run(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, require_all: str | None
) -> pytest.RunResult:
    if require_all is None:
        monkeypatch.delenv("HELIOGRAPH_REQUIRE_ALL", raising=False)
    else:
        monkeypatch.setenv("HELIOGRAPH_REQUIRE_ALL", require_all)
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile(test_tests=SKIPPING_TESTS, test_module=SKIPPING_MODULE)
    return pytester.runpytest_subprocess("-rs", "-p", "no:randomly")


@pytest.mark.parametrize("require_all", [None, "", "0"])
def test_without_the_variable_a_missing_tool_skips_with_the_reason(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, require_all: str | None
) -> None:
    result = run(pytester, monkeypatch, require_all)

    result.assert_outcomes(passed=1, skipped=3, xfailed=1)
    result.stdout.fnmatch_lines("*no-such-tool is not installed (Debian package no-such-package)")


def test_with_the_variable_every_skip_is_a_failure(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = run(pytester, monkeypatch, "1")

    result.stdout.fnmatch_lines("*whole module")
    result.stdout.fnmatch_lines("*HELIOGRAPH_REQUIRE_ALL is set: nothing may be skipped")
    assert result.ret != 0

    pytester.path.joinpath("test_module.py").unlink()
    result = pytester.runpytest_subprocess("-p", "no:randomly")
    result.assert_outcomes(passed=1, failed=1, errors=1, xfailed=1)
