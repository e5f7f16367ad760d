# SPDX-License-Identifier: Apache-2.0
"""Every test of a node runs on all event loops, and every event keeps its catalog's promise."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from heliograph import Telemetry
from heliograph.catalog import load
from heliograph.telemetry import default
from heliograph.testing.strict import Findings, Watch

Main = Callable[[], Coroutine[Any, Any, Any]]
Run = Callable[[Main], Any]

LOOPS = {
    "asyncio": ("asyncio", {}),
    "uvloop": ("asyncio", {"use_uvloop": True}),
    "trio": ("trio", {}),
}


@pytest.fixture(params=LOOPS)
def run(request: pytest.FixtureRequest) -> Run:
    """Runs a coroutine function on each event loop; none may take longer than 30 seconds."""
    backend, options = LOOPS[request.param]

    def start(main: Main) -> Any:
        async def limited() -> Any:
            with anyio.fail_after(30):
                return await main()

        return anyio.run(limited, backend=backend, backend_options=options)

    return start


@pytest.fixture(params=["asyncio", "uvloop"])
def run_asyncio(request: pytest.FixtureRequest) -> Run:
    """The same on asyncio's event loops alone, for what has a proxy between nodes."""
    _, options = LOOPS[request.param]

    def start(main: Main) -> Any:
        async def limited() -> Any:
            with anyio.fail_after(30):
                return await main()

        return anyio.run(limited, backend_options=options)

    return start


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
