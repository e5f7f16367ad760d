# SPDX-License-Identifier: Apache-2.0
"""What every test run shares: hypothesis profiles, and the rule about foreign tools."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable, Generator
from pathlib import Path

import hypothesis
import pytest

if "PYTEST_XDIST_WORKER" in os.environ:
    # It makes this worker measure its coverage; what tests start is to be as it is without.
    os.environ.pop("COVERAGE_PROCESS_START", None)

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell lets what runs in its background ignore interrupts, and so would whatever tests start.
    signal.signal(signal.SIGINT, signal.default_int_handler)

REQUIRE_ALL = os.environ.get("HELIOGRAPH_REQUIRE_ALL", "0") not in {"", "0"}

# Shared machines are noisy: the per-test timeout finds what hangs, a deadline would find the noise.
QUIET = hypothesis.settings(deadline=None)
hypothesis.settings.register_profile("local", parent=QUIET)
hypothesis.settings.register_profile("repeatable", parent=QUIET, derandomize=True, print_blob=True)
hypothesis.settings.register_profile("thorough", parent=QUIET, max_examples=2_000)
hypothesis.settings.load_profile("repeatable" if REQUIRE_ALL else "local")


@pytest.fixture(scope="session")
def foreign_tool() -> Callable[[str, str], Path]:
    """Finds an installed program: `promtool = foreign_tool("promtool", "prometheus")`.

    The second name is the Debian package it comes with. Without the program the test is skipped,
    or fails where HELIOGRAPH_REQUIRE_ALL is set.
    """

    def find(command: str, package: str) -> Path:
        path = shutil.which(command)
        if path is None:
            pytest.skip(f"{command} is not installed (Debian package {package})")
        return Path(path)

    return find


def refuse_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    """Turn a skip into a failure where everything is required."""
    if REQUIRE_ALL and report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"{reason}\nHELIOGRAPH_REQUIRE_ALL is set: nothing may be skipped"


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    refuse_skip(report)
    return report


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    refuse_skip(report)
    return report
