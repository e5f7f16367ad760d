# SPDX-License-Identifier: Apache-2.0
"""Any sequence of operations, against a model so simple that it is plainly right."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    precondition,
    rule,
)

from heliograph import HandlerExistsError, HandlerNotFoundError, Telemetry, spans

SECOND = 1_000_000_000
NAMES = ["a", "a.b", "a.b.c", "b"]
POLICIES = ["detach", "keep", "quarantine"]
IDS = st.one_of(st.integers(0, 5), st.sampled_from(["h", ("i", 1)]))


@dataclass
class Attached:
    """What the model knows of a handler."""

    events: tuple[str, ...]
    policy: str
    broken: bool = False
    failures: int = 0
    pause: int = 0
    retry_at: int = 0


@dataclass
class Model:
    clock: int = 0
    handlers: dict[Any, Attached] = field(default_factory=dict)
    observers: set[int] = field(default_factory=set)

    def execute(self, event: str) -> list[object]:
        """Say who is called for one event, and do what follows."""
        called: list[object] = list(self.observers)
        for handler_id, handler in list(self.handlers.items()):
            resting = handler.pause and self.clock < handler.retry_at
            if event not in handler.events or resting:
                continue
            called.append(handler_id)
            if not handler.broken:
                handler.pause = 0
                continue
            handler.failures += 1
            if handler.policy == "detach":
                del self.handlers[handler_id]
            elif handler.policy == "quarantine":
                handler.pause = min(handler.pause * 2 or SECOND, 300 * SECOND)
                handler.retry_at = self.clock + handler.pause
        return called


class Dispatcher(RuleBasedStateMachine):
    observations = Bundle("observations")

    def __init__(self) -> None:
        super().__init__()
        self.model = Model()
        self.telemetry = Telemetry()
        self.handles = {name: self.telemetry.event(name) for name in NAMES[:2]}
        self.called: list[object] = []
        self.observed = 0
        self.sources = spans.set_sources(lambda: self.model.clock, lambda: 0, lambda: 0)

    def teardown(self) -> None:
        spans.set_sources(*self.sources)

    def handler(self, handler_id: object) -> Callable[..., None]:
        def handler(*_: object) -> None:
            self.called.append(handler_id)
            if self.broken[handler_id]:
                raise RuntimeError

        return handler

    @initialize()
    def begin(self) -> None:
        self.broken: dict[object, bool] = {}

    @rule(
        handler_id=IDS,
        events=st.lists(st.sampled_from(NAMES), min_size=1),
        policy=st.sampled_from(POLICIES),
    )
    def attach(self, handler_id: Any, events: list[str], policy: Any) -> None:
        def attempt() -> None:
            handler = self.handler(handler_id)
            if len(events) == 1:
                self.telemetry.attach(handler_id, events[0], handler, on_failure=policy)
            else:
                self.telemetry.attach_many(handler_id, events, handler, on_failure=policy)

        if handler_id in self.model.handlers:
            with pytest.raises(HandlerExistsError):
                attempt()
        else:
            attempt()
            self.broken[handler_id] = False
            self.model.handlers[handler_id] = Attached(tuple(dict.fromkeys(events)), policy)

    @rule(handler_id=IDS)
    def detach(self, handler_id: Any) -> None:
        if handler_id in self.model.handlers:
            self.telemetry.detach(handler_id)
            del self.model.handlers[handler_id]
        else:
            with pytest.raises(HandlerNotFoundError):
                self.telemetry.detach(handler_id)

    @rule(handler_id=IDS)
    def release(self, handler_id: Any) -> None:
        if handler_id in self.model.handlers:
            self.telemetry.release(handler_id)
            self.model.handlers[handler_id].pause = 0
        else:
            with pytest.raises(HandlerNotFoundError):
                self.telemetry.release(handler_id)

    @precondition(lambda self: self.model.handlers)
    @rule(data=st.data())
    def break_or_mend(self, data: st.DataObject) -> None:
        handler_id = data.draw(st.sampled_from(list(self.model.handlers)))
        attached = self.model.handlers[handler_id]
        attached.broken = self.broken[handler_id] = not attached.broken

    @rule(seconds=st.sampled_from([0.5, 1, 2, 300]))
    def wait(self, seconds: float) -> None:
        self.model.clock += int(seconds * SECOND)

    @rule(target=observations)
    def observe(self) -> Any:
        self.observed -= 1
        number = self.observed

        def observer(event: str, *_: object) -> None:
            if event != "telemetry.handler.failure":
                self.called.append(number)

        self.model.observers.add(number)
        return number, self.telemetry.observe(observer)

    @rule(observation=consumes(observations))
    def close(self, observation: Any) -> None:
        number, opened = observation
        opened.close()
        self.model.observers.discard(number)

    @rule(event=st.sampled_from([*NAMES, "never.attached"]), by_handle=st.booleans())
    def execute(self, event: str, by_handle: bool) -> None:
        self.called.clear()
        if by_handle:
            self.telemetry.event(event).execute({})
        else:
            self.telemetry.execute(event, {})

        assert sorted(map(repr, self.called)) == sorted(map(repr, self.model.execute(event)))

    @invariant()
    def the_list_is_the_models(self) -> None:
        listed = [
            (i.handler_id, i.event, i.on_failure, i.state, i.failures, i.events)
            for i in self.telemetry.list_handlers()
        ]
        expected = [
            (
                handler_id,
                event,
                handler.policy,
                "quarantined" if handler.pause else "attached",
                handler.failures,
                handler.events,
            )
            for handler_id, handler in self.model.handlers.items()
            for event in handler.events
        ]
        assert listed == expected

    @invariant()
    def handles_know_who_listens(self) -> None:
        for name in NAMES:
            listening = sum(name in each.events for each in self.model.handlers.values())
            expected = listening + len(self.model.observers)
            if name in self.handles:
                assert len(self.handles[name].handlers) == expected


@pytest.fixture(autouse=True)
def quiet() -> Any:
    logging.disable()
    yield
    logging.disable(logging.NOTSET)


TestDispatcher = Dispatcher.TestCase
