# SPDX-License-Identifier: Apache-2.0
"""Writes in the middle of writes: a signal handler or a finaliser attaches while its thread does.

Every write is interrupted at each of its steps in turn, by each other write; afterwards table,
handles and list must agree, and both writes must have had their effect. Steps are bytecodes, as a
trace function sees them: finer than what can really happen, and the same every time.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import logging
import sys
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

import pytest

from heliograph import HandlerNotFoundError, Observation, Telemetry
from heliograph import telemetry as core

NAMES = ("a.a", "a.b", "a.c", "a.new", "never.attached")


class Scene:
    """A dispatcher with something of everything: handlers, handles, an observer, a quarantine."""

    def __init__(self) -> None:
        self.telemetry = Telemetry()
        self.broken = True
        self.heard: list[object] = []
        self.observations: dict[str, Observation] = {}
        self.telemetry.event("a.a")
        self.attach("first", "a.a", "a.b")
        self.attach("paused", "a.a", "a.b")
        self.telemetry.execute("a.a", {})
        self.broken = False
        self.attach("second", "a.b", "a.c")
        self.observe("watcher")

    def attach(self, name: str, *events: str) -> None:
        def handler(*_: object) -> None:
            self.heard.append(name)
            if name == "paused" and self.broken:
                raise RuntimeError

        policy: Any = "quarantine" if name == "paused" else "detach"
        self.telemetry.attach_many(name, events, handler, on_failure=policy)

    def observe(self, name: str) -> None:
        self.observations[name] = self.telemetry.observe(lambda *_: self.heard.append(name))

    def expected(self) -> dict[str, list[str]]:
        """Who is to hear each event, by what the dispatcher and the observations say."""
        listed = self.telemetry.list_handlers()
        watching = [name for name, each in self.observations.items() if not each.closed]
        return {
            name: sorted(
                [
                    *(
                        str(i.handler_id)
                        for i in listed
                        if i.event == name and i.state == "attached"
                    ),
                    *watching,
                ]
            )
            for name in NAMES
        }

    def heard_by(self, execute: Callable[..., None], *event: str) -> list[str]:
        self.heard.clear()
        execute(*event, {})
        return sorted(map(str, self.heard))

    def check(self) -> None:
        # The quarantine lasts a second of the frozen clock, that is for ever.
        for name, expected in self.expected().items():
            handle = self.telemetry.event(name)
            assert self.heard_by(self.telemetry.execute, name) == expected
            assert self.heard_by(handle.execute) == expected
            assert len(handle.handlers) in {len(expected), len(expected) + 1}  # and the paused one


Write = Callable[[Scene], object]

# Each write, and what can be said of the handlers afterwards unless the other write is about them.
WRITES: dict[str, Write] = {
    "attach": lambda scene: scene.attach("new", "a.a", "a.b", "a.c"),
    "detach": lambda scene: scene.telemetry.detach("first"),
    "release": lambda scene: scene.telemetry.release("paused"),
    "observe": lambda scene: scene.observe("new watcher"),
    "close": lambda scene: scene.observations["watcher"].close(),
    "event": lambda scene: scene.telemetry.event("a.c"),
    "fail": lambda scene: scene.telemetry._failed(  # as a handler of another thread's event would
        scene.telemetry._handlers["second"], RuntimeError(), "a.b", {}, {}
    ),
}
INTERRUPTIONS: dict[str, Write] = {
    "attach": lambda scene: scene.attach("nested", "a.a", "a.c"),
    "detach what is being attached": lambda scene: scene.telemetry.detach("new"),
    "detach what is being detached": lambda scene: scene.telemetry.detach("first"),
    "detach another": lambda scene: scene.telemetry.detach("second"),
    "detach what is being released": lambda scene: scene.telemetry.detach("paused"),
    "observe": lambda scene: scene.observe("nested watcher"),
    "close": lambda scene: scene.observations["watcher"].close(),
    "release": lambda scene: scene.telemetry.release("paused"),
}


class Interruption:
    """Calls `act` once, before the bytecode number `step` that the core executes."""

    def __init__(self, step: int, act: Callable[[], object]) -> None:
        self.left = step
        self.act = act

    def __call__(self, frame: FrameType, what: str, _: object) -> Interruption | None:
        if frame.f_code.co_filename != core.__file__:
            return None
        frame.f_trace_opcodes = True
        if what == "opcode":
            self.left -= 1
            if self.left == 0:
                sys.settrace(None)
                frame.f_trace = None
                with contextlib.suppress(HandlerNotFoundError):  # not there yet, or any more
                    self.act()
        return self


@pytest.fixture(autouse=True)
def quiet(advance: object) -> Iterator[None]:
    """Neither the clock nor the log moves."""
    logging.disable()
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.parametrize("interruption", INTERRUPTIONS)
@pytest.mark.parametrize("write", WRITES)
def test_both_writes_have_their_effect(write: str, interruption: str) -> None:
    after = Scene()
    for each in (WRITES[write], INTERRUPTIONS[interruption]):
        with contextlib.suppress(HandlerNotFoundError):
            each(after)
    expected = after.expected()

    for step in itertools.count(1):
        scene = Scene()
        interrupt = Interruption(step, functools.partial(INTERRUPTIONS[interruption], scene))
        tracer = sys.gettrace()
        sys.settrace(interrupt)
        try:
            # Of two that detach one handler the second finds nothing.
            with contextlib.suppress(HandlerNotFoundError):
                WRITES[write](scene)
        finally:
            sys.settrace(tracer)
        if interrupt.left > 0:
            break

        scene.check()
        if not interruption.startswith("detach what"):
            assert scene.expected() == expected
    assert step > 10


class Interrupting(str):
    """An event name that acts when it is looked up, once; the trace function's work undisguised."""

    __slots__ = ("__dict__",)
    act: Callable[[], object]
    after = 0

    def __hash__(self) -> int:
        self.after -= 1
        if self.after == 0:
            self.act()
        return super().__hash__()

    __eq__ = str.__eq__


@pytest.mark.parametrize("lookup", range(1, 12))
@pytest.mark.parametrize("interruption", ["attach", "detach another", "observe", "release"])
@pytest.mark.parametrize("write", ["attach", "observe"])
def test_a_name_that_interrupts_its_own_lookup(write: str, interruption: str, lookup: int) -> None:
    scene = Scene()
    # It is the dispatcher's own key, since it is the first one of its event.
    name = Interrupting("a.new")
    name.act = functools.partial(INTERRUPTIONS[interruption], scene)
    scene.attach("host", name)

    name.after = lookup
    WRITES[write](scene) if write == "observe" else scene.attach("new", name)
    name.after = 0

    scene.check()


def test_an_id_that_attaches_another_handler_when_it_is_looked_up() -> None:
    scene = Scene()

    class Id:
        calls = 0

        def __hash__(self) -> int:
            self.calls += 1
            # The first call asks whether the id is hashable; the second one comes while writing.
            if self.calls == 2:
                scene.attach("nested", "a.a", "a.c")
            return 1

        def __repr__(self) -> str:
            return "Id()"

    handler_id = Id()
    scene.telemetry.attach_many(
        handler_id, ["a.a", "a.b"], lambda *_: scene.heard.append(handler_id)
    )

    scene.check()
    assert scene.expected()["a.a"] == ["Id()", "first", "nested", "watcher"]
