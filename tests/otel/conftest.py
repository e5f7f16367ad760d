# SPDX-License-Identifier: Apache-2.0
"""Every way of making spans passes the same tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from opentelemetry import context

from tests.otel.bakery import Choices, Kitchen, open_kitchen

Opener = Callable[..., Kitchen]


@pytest.fixture(params=["own", "given"])
def path(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def opener(path: str) -> Iterator[Opener]:
    """Opens a kitchen with choices, and closes it."""
    before = context.get_current()
    opened: list[Kitchen] = []

    def make(choices: Choices | None = None) -> Kitchen:
        opened.append(open_kitchen(path, choices))
        return opened[-1]

    yield make
    for kitchen in opened:
        kitchen.spans.detach()
        kitchen.logs.detach()
        assert kitchen.telemetry.list_handlers() == []
    context.attach(before)


@pytest.fixture
def kitchen(opener: Opener) -> Kitchen:
    return opener()
