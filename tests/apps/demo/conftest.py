# SPDX-License-Identifier: Apache-2.0
"""A headless Chromium for the tests of the demo's page."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.apps.demo.browser import Browser


@pytest.fixture(scope="session")
def chromium(
    foreign_tool: Callable[[str, str], Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Browser]:
    """One browser for all tests of a process: it takes its time to begin."""
    browser = Browser(foreign_tool("chromium", "chromium"), tmp_path_factory.mktemp("chromium"))
    yield browser
    browser.close()
