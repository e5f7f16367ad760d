# SPDX-License-Identifier: Apache-2.0
"""The law of beam-telemetry/telemetry 1.x, a row for each point, and where we deviate from it.

A row is a script of steps and the calls it must lead to, (handler id, event); each is run with
executions by name and by handle.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import pytest

from heliograph import HandlerExistsError, Telemetry

FAILURE = "telemetry.handler.failure"


class Scene(NamedTuple):
    telemetry: Telemetry
    execute: Callable[[str], None]
    calls: list[tuple[str, str]]


Step = Callable[[Scene], object]


def attach(name: str, *events: str) -> Step:
    return attach_acting(name, *events, act=lambda _: None)


def attach_acting(name: str, *events: str, act: Step) -> Step:
    """Attach a handler that does something when it is called."""

    def step(scene: Scene) -> None:
        def handler(event: str, *_: object) -> None:
            scene.calls.append((name, event))
            act(scene)

        scene.telemetry.attach_many(name, events, handler)

    return step


def attach_failing(name: str, *events: str) -> Step:
    def fail(_: Scene) -> None:
        raise RuntimeError(name)

    return attach_acting(name, *events, act=fail)


def refused(error: type[Exception], step: Step) -> Step:
    def attempt(scene: Scene) -> None:
        with pytest.raises(error):
            step(scene)

    return attempt


def detach(name: str) -> Step:
    return lambda scene: scene.telemetry.detach(name)


def execute(event: str) -> Step:
    return lambda scene: scene.execute(event)


def together(*steps: Step) -> Step:
    return lambda scene: [step(scene) for step in steps]


class Row(NamedTuple):
    law: str
    steps: list[Step]
    calls: list[tuple[str, str]]
    left: list[tuple[str, str]] | None = None
    """Who is attached to what afterwards, where the row is about that."""


LAWS = [
    Row(
        "a name matches exactly: neither its prefix nor what lies below it",
        [attach("h", "a.b"), execute("a"), execute("a.b"), execute("a.b.c"), execute("a.bc")],
        [("h", "a.b")],
    ),
    Row(
        "an event nobody attached to does nothing",
        [attach("h", "a.b"), execute("never.heard.of")],
        [],
    ),
    Row(
        "every handler of an event is called",
        [attach("h", "a.b"), attach("i", "a.b"), execute("a.b")],
        [("h", "a.b"), ("i", "a.b")],
    ),
    Row(
        "an id is taken in the whole dispatcher, whatever the event",
        [attach("h", "a.b"), refused(HandlerExistsError, attach("h", "c.d")), execute("c.d")],
        [],
        [("h", "a.b")],
    ),
    Row(
        "an id is free again once it is detached",
        [attach("h", "a.b"), detach("h"), attach("h", "c.d"), execute("a.b"), execute("c.d")],
        [("h", "c.d")],
        [("h", "c.d")],
    ),
    Row(
        "one id over several events is listed once for each",
        [attach("h", "a.b", "c.d")],
        [],
        [("h", "a.b"), ("h", "c.d")],
    ),
    Row(
        "one detach takes it from all of them",
        [attach("h", "a.b", "c.d"), detach("h"), execute("a.b"), execute("c.d")],
        [],
        [],
    ),
    Row(
        "one failure takes it from all of them",
        [attach_failing("h", "a.b", "c.d"), execute("a.b"), execute("a.b"), execute("c.d")],
        [("h", "a.b")],
        [],
    ),
    Row(
        "the others of the same event still run",
        [attach("h", "a.b"), attach_failing("i", "a.b"), attach("j", "a.b"), execute("a.b")],
        [("h", "a.b"), ("i", "a.b"), ("j", "a.b")],
        [("h", "a.b"), ("j", "a.b")],
    ),
    Row(
        "a failure is executed as an event, after the handler was detached",
        [
            attach_failing("h", "a.b"),
            # That the id is free when the failure is reported shows that it was detached first.
            attach_acting("f", FAILURE, act=attach("h", "c.d")),
            execute("a.b"),
        ],
        [("h", "a.b"), ("f", FAILURE)],
        [("f", FAILURE), ("h", "c.d")],
    ),
    Row(
        "a failing failure handler ends there",
        [attach_failing("h", "a.b"), attach_failing("f", FAILURE), execute("a.b")],
        [("h", "a.b"), ("f", FAILURE)],
        [],
    ),
    Row(
        "a handler may detach itself",
        [attach_acting("h", "a.b", act=detach("h")), execute("a.b"), execute("a.b")],
        [("h", "a.b")],
        [],
    ),
    Row(
        "a handler may attach another one, which hears the next event",
        [
            attach_acting("h", "a.b", act=attach("i", "a.b")),
            execute("a.b"),
            detach("h"),
            execute("a.b"),
        ],
        [("h", "a.b"), ("i", "a.b")],
    ),
    Row(
        "a handler may detach another one, itself still running",
        [
            attach("h", "a.b"),
            attach_acting("i", "c.d", act=detach("h")),
            execute("c.d"),
            execute("a.b"),
        ],
        [("i", "c.d")],
        [("i", "c.d")],
    ),
    Row(
        "a handler may replace itself",
        [
            attach_acting("h", "a.b", act=together(detach("h"), attach("h", "a.b"))),
            execute("a.b"),
            execute("a.b"),
        ],
        [("h", "a.b"), ("h", "a.b")],
        [("h", "a.b")],
    ),
    Row(
        "a handler may execute other events",
        [attach_acting("h", "a.b", act=execute("c.d")), attach("i", "c.d"), execute("a.b")],
        [("h", "a.b"), ("i", "c.d")],
    ),
    # Deviations from the source.
    Row(
        "deviation: an event named twice counts once",
        [attach("h", "a.b", "c.d", "a.b"), execute("a.b")],
        [("h", "a.b")],
        [("h", "a.b"), ("h", "c.d")],
    ),
]


@pytest.mark.parametrize("how", ["by name", "by handle"])
@pytest.mark.parametrize("row", LAWS, ids=[row.law for row in LAWS])
def test_law(row: Row, how: str, telemetry: Telemetry) -> None:
    def by_name(event: str) -> None:
        telemetry.execute(event, {"count": 1})

    def by_handle(event: str) -> None:
        telemetry.event(event).execute({"count": 1})

    scene = Scene(telemetry, by_name if how == "by name" else by_handle, [])
    for step in row.steps:
        step(scene)

    # The order of an event's handlers is not promised.
    assert sorted(scene.calls) == sorted(row.calls)
    if row.left is not None:
        left = [(info.handler_id, info.event) for info in telemetry.list_handlers()]
        assert sorted(left) == row.left
