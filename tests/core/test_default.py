# SPDX-License-Identifier: Apache-2.0
"""The module's functions act on the default dispatcher, and are what the front door gives."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

import heliograph
from heliograph import telemetry as core


@pytest.fixture(autouse=True)
def clean() -> Iterator[None]:
    """What a test attached to the default dispatcher goes with it."""
    before = {info.handler_id for info in heliograph.list_handlers()}
    yield
    for handler_id in {info.handler_id for info in heliograph.list_handlers()} - before:
        heliograph.detach(handler_id)


@pytest.mark.parametrize("name", heliograph.__all__)
def test_the_front_door_gives_the_cores_names(name: str) -> None:
    assert getattr(heliograph, name) is getattr(core, name)


def test_there_is_one_default_dispatcher() -> None:
    assert heliograph.default() is heliograph.default()
    assert isinstance(heliograph.default(), heliograph.Telemetry)


def test_attach_list_execute_detach(calls: list[Any], record: Callable[..., None]) -> None:
    heliograph.attach("default.h", "test_default.a", record, 1)
    heliograph.attach_many("default.i", ["test_default.a", "test_default.b"], record, 2)
    assert heliograph.list_handlers("test_default") == (
        heliograph.default().list_handlers("test_default")
    )
    assert len(heliograph.list_handlers("test_default")) == 3

    heliograph.execute("test_default.a", {"count": 1})
    heliograph.detach("default.h")
    heliograph.execute("test_default.a", {"count": 2}, {"who": "x"})

    assert sorted((call[1]["count"], call[3]) for call in calls) == [(1, 1), (1, 2), (2, 2)]


def test_quarantine_and_release(advance: Callable[[float], None]) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError

    heliograph.attach("default.h", "test_default.a", fail, on_failure="quarantine")
    heliograph.execute("test_default.a", {})
    assert [i.state for i in heliograph.list_handlers("test_default")] == ["quarantined"]

    heliograph.release("default.h")
    assert [i.state for i in heliograph.list_handlers("test_default")] == ["attached"]


def test_observe_span_and_traced() -> None:
    seen: list[str] = []

    @heliograph.traced("test_default.traced", {"who": "x"})
    def function() -> int:
        return 7

    @heliograph.Span("test_default.handle")
    def other() -> None:
        pass

    with heliograph.observe(lambda event, *_: seen.append(event)):
        with heliograph.span("test_default.span"):
            pass
        assert function() == 7
        other()

    assert seen == [
        f"test_default.{which}.{end}"
        for which in ("span", "traced", "handle")
        for end in ("start", "stop")
    ]
