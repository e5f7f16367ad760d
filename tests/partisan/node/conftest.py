# SPDX-License-Identifier: Apache-2.0
"""Every test of a node runs on all event loops, and every event keeps its catalog's promise."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest
import trio
import uvloop

from heliograph import Telemetry
from heliograph.catalog import load
from heliograph.telemetry import default
from heliograph.testing.strict import Findings, Watch

Main = Callable[[], Coroutine[Any, Any, Any]]
Run = Callable[[Main], Any]

# As users run them, without anyio's help.
LOOPS: dict[str, Run] = {
    "asyncio": lambda main: asyncio.run(main()),
    "uvloop": lambda main: uvloop.run(main()),
    "trio": trio.run,
}


def limited(start: Run) -> Run:
    """Let nothing take longer than two minutes."""

    def run(main: Main) -> Any:
        async def in_time() -> Any:
            with anyio.fail_after(120):
                return await main()

        return start(in_time)

    return run


@pytest.fixture(params=LOOPS)
def run(request: pytest.FixtureRequest) -> Run:
    """Runs a coroutine function on each event loop."""
    return limited(LOOPS[request.param])


@pytest.fixture(params=["asyncio", "uvloop"])
def run_asyncio(request: pytest.FixtureRequest) -> Run:
    """The same on asyncio's event loops alone, for what has a proxy between nodes."""
    return limited(LOOPS[request.param])


@pytest.fixture
def unwatched() -> None:
    """Asked for by a test that nobody shall watch: whoever watches listens to every event."""


@pytest.fixture(autouse=True)
def strict(request: pytest.FixtureRequest) -> Iterator[Watch]:
    """Holds every event to its catalog."""
    telemetry: Telemetry = default()
    watch = Watch(load("partisan"), strict=True, root=Path.cwd())
    watch.current = Findings()
    if "unwatched" in request.fixturenames:
        yield watch
        return
    with telemetry.observe(watch.see):
        yield watch
    faults = watch.current.take([lambda name: not name.startswith("partisan.")])
    assert not faults, faults
