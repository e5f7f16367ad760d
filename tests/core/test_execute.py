# SPDX-License-Identifier: Apache-2.0
"""Executing: what handlers are given, where they run, and what reaches the emitter."""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable
from typing import Any

import pytest

from heliograph import EMPTY, Telemetry

Execute = Callable[..., None]


@pytest.fixture(params=["by name", "by handle"])
def execute(request: pytest.FixtureRequest, telemetry: Telemetry) -> Execute:
    """Executes `a.b` in one of the two ways."""
    if request.param == "by handle":
        return telemetry.event("a.b").execute
    return lambda *payload, **named: telemetry.execute("a.b", *payload, **named)


def test_a_handler_gets_event_measurements_metadata_and_its_configuration(
    telemetry: Telemetry, execute: Execute, calls: list[Any], record: Callable[..., None]
) -> None:
    measurements, metadata, config = {"count": 1}, {"who": "x"}, object()
    telemetry.attach("h", "a.b", record, config)

    execute(measurements, metadata)

    assert calls == [("a.b", measurements, metadata, config)]
    assert calls[0][1] is measurements
    assert calls[0][2] is metadata


def test_payloads_can_be_given_by_name(
    telemetry: Telemetry, execute: Execute, calls: list[Any], record: Callable[..., None]
) -> None:
    telemetry.attach("h", "a.b", record)

    execute(measurements={"count": 1}, metadata={"who": "x"})

    assert calls == [("a.b", {"count": 1}, {"who": "x"}, None)]


def test_metadata_is_empty_unless_given(
    telemetry: Telemetry, execute: Execute, calls: list[Any], record: Callable[..., None]
) -> None:
    telemetry.attach("h", "a.b", record)

    execute({})

    assert calls[0][2] is EMPTY


def test_empty_cannot_be_changed() -> None:
    assert dict(EMPTY) == {}
    with pytest.raises(TypeError):
        EMPTY["a"] = 1  # type: ignore[index]  # that is the point
    with pytest.raises(AttributeError):
        EMPTY.update(a=1)  # type: ignore[attr-defined]  # that is the point


def test_what_a_handler_returns_is_ignored(telemetry: Telemetry, execute: Execute) -> None:
    telemetry.attach("h", "a.b", lambda *_: "something")

    assert execute({}) is None  # type: ignore[func-returns-value]  # that is the point


def test_an_event_without_handlers_is_not_even_checked(telemetry: Telemetry) -> None:
    telemetry.execute("Not A Name", {})


def test_handlers_run_in_the_emitters_thread(telemetry: Telemetry, execute: Execute) -> None:
    seen: list[int] = []
    telemetry.attach("h", "a.b", lambda *_: seen.append(threading.get_ident()))
    thread = threading.Thread(target=execute, args=({},))
    thread.start()
    thread.join()
    execute({})

    assert seen == [thread.ident, threading.get_ident()]


def test_handlers_run_in_the_emitters_context(telemetry: Telemetry, execute: Execute) -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable")
    seen: list[str] = []

    def handler(*_: object) -> None:
        seen.append(variable.get())
        variable.set("changed")

    telemetry.attach("h", "a.b", handler)
    variable.set("mine")
    execute({})

    assert seen == ["mine"]
    assert variable.get() == "changed"


def test_a_handler_runs_before_execute_returns(telemetry: Telemetry, execute: Execute) -> None:
    order: list[str] = []
    telemetry.attach("h", "a.b", lambda *_: order.append("handler"))

    execute({})
    order.append("emitter")

    assert order == ["handler", "emitter"]


def test_execution_sees_the_handlers_of_the_moment_it_began(
    telemetry: Telemetry, execute: Execute
) -> None:
    seen: list[str] = []

    def handler(*_: object) -> None:
        seen.append("h")
        telemetry.attach("late", "a.b", lambda *_: seen.append("late"))

    telemetry.attach("h", "a.b", handler)
    execute({})
    assert seen == ["h"]

    telemetry.detach("h")
    execute({})
    assert seen == ["h", "late"]


def test_dispatchers_are_independent(
    telemetry: Telemetry, execute: Execute, calls: list[Any], record: Callable[..., None]
) -> None:
    other = Telemetry()
    other.attach("h", "a.b", record)

    execute({"count": 1})
    assert calls == []

    other.execute("a.b", {"count": 2})
    assert [call[1] for call in calls] == [{"count": 2}]


@pytest.mark.parametrize(
    "leaving",
    [KeyboardInterrupt, SystemExit, GeneratorExit, BaseException],
    ids=lambda e: e.__name__,
)
def test_what_is_no_failure_propagates_and_detaches_nothing(
    telemetry: Telemetry,
    execute: Execute,
    failures: list[Any],
    leaving: type[BaseException],
) -> None:
    def leave(*_: object) -> None:
        raise leaving

    telemetry.attach("h", "a.b", leave)

    with pytest.raises(leaving):
        execute({})

    assert [info.failures for info in telemetry.list_handlers("a.b")] == [0]
    assert failures == []
    with pytest.raises(leaving):
        execute({})
