# SPDX-License-Identifier: Apache-2.0
"""What the core's tests share: a fresh dispatcher, a record of calls, a clock that stands still."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from heliograph import Telemetry, spans

Payload = Mapping[str, Any]
Call = tuple[str, Payload, Payload, Any]


@pytest.fixture
def telemetry() -> Telemetry:
    return Telemetry()


@pytest.fixture
def calls() -> list[Call]:
    """What `record` was called with, in order."""
    return []


@pytest.fixture
def record(calls: list[Call]) -> Callable[[str, Payload, Payload, Any], None]:
    """A handler that notes each call in `calls`."""

    def handler(event: str, measurements: Payload, metadata: Payload, config: Any) -> None:
        calls.append((event, measurements, metadata, config))

    return handler


@pytest.fixture
def failures(telemetry: Telemetry) -> list[tuple[Payload, Payload]]:
    """Measurements and metadata of each `telemetry.handler.failure`, in order."""
    seen: list[tuple[Payload, Payload]] = []
    telemetry.attach(
        "failures",
        "telemetry.handler.failure",
        lambda _event, measurements, metadata, _config: seen.append((measurements, metadata)),
    )
    return seen


@pytest.fixture
def advance() -> Iterator[Callable[[float], None]]:
    """Stops the clocks, at 1,000 s (monotonic) and 2,000 s (system); the function advances both.

    Span contexts are "span-1", "span-2" and so on meanwhile.
    """
    elapsed = 0
    contexts = itertools.count(1)

    def forward(seconds: float) -> None:
        nonlocal elapsed
        elapsed += round(seconds * 1_000_000_000)

    before = spans.set_sources(
        lambda: 1_000_000_000_000 + elapsed,
        lambda: 2_000_000_000_000 + elapsed,
        lambda: f"span-{next(contexts)}",
    )
    yield forward
    spans.set_sources(*before)
