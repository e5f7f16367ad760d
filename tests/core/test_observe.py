# SPDX-License-Identifier: Apache-2.0
"""Observers: they see everything, and cost nothing when there are none."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from heliograph import Telemetry

Seen = list[tuple[str, Mapping[str, Any], Mapping[str, Any]]]


@pytest.fixture
def seen() -> Seen:
    return []


@pytest.fixture
def see(seen: Seen) -> Callable[[str, Mapping[str, Any], Mapping[str, Any]], None]:
    return lambda *payload: seen.append(payload)


class TestSeeing:
    def test_it_sees_what_handlers_see_and_gets_the_same_mappings(
        self, telemetry: Telemetry, seen: Seen, see: Callable[..., None]
    ) -> None:
        measurements, metadata = {"count": 1}, {"who": "x"}
        telemetry.attach("h", "a.b", lambda *_: None)
        with telemetry.observe(see):
            telemetry.execute("a.b", measurements, metadata)

        assert seen == [("a.b", measurements, metadata)]
        assert seen[0][1] is measurements
        assert seen[0][2] is metadata

    def test_it_sees_names_nobody_attached_to_and_names_that_are_none(
        self, telemetry: Telemetry, seen: Seen, see: Callable[..., None]
    ) -> None:
        with telemetry.observe(see):
            telemetry.execute("a.b", {})
            telemetry.execute("Not A Name", {})

        assert [event for event, _, _ in seen] == ["a.b", "Not A Name"]

    @pytest.mark.parametrize("made", ["before", "after"])
    def test_it_sees_guarded_handles(
        self, telemetry: Telemetry, seen: Seen, see: Callable[..., None], made: str
    ) -> None:
        handle = telemetry.event("a.b") if made == "before" else None
        with telemetry.observe(see):
            handle = handle or telemetry.event("a.b")
            if handle.handlers:
                handle.execute({"count": 1})

        assert [event for event, _, _ in seen] == ["a.b"]
        assert not handle.handlers

    def test_it_sees_spans(
        self, telemetry: Telemetry, seen: Seen, see: Callable[..., None]
    ) -> None:
        with telemetry.observe(see), telemetry.span("a.b"), telemetry.spanning("c.d")():
            pass

        assert [event for event, _, _ in seen] == ["a.b.start", "c.d.start", "c.d.stop", "a.b.stop"]

    def test_it_sees_failures(
        self, telemetry: Telemetry, seen: Seen, see: Callable[..., None]
    ) -> None:
        def fail(*_: object) -> None:
            raise RuntimeError

        telemetry.attach("h", "a.b", fail)
        with telemetry.observe(see):
            telemetry.execute("a.b", {})

        assert sorted(event for event, _, _ in seen) == ["a.b", "telemetry.handler.failure"]

    def test_it_sees_events_of_its_own_dispatcher_only(
        self, telemetry: Telemetry, seen: Seen, see: Callable[..., None]
    ) -> None:
        with telemetry.observe(see):
            Telemetry().execute("a.b", {})

        assert seen == []

    def test_it_comes_after_the_handlers_also_after_those_attached_later(
        self, telemetry: Telemetry
    ) -> None:
        order: list[str] = []
        with telemetry.observe(lambda *_: order.append("observer")):
            telemetry.attach("h", "a.b", lambda *_: order.append("handler"))
            telemetry.execute("a.b", {})
            telemetry.event("a.b").execute({})

        assert order == ["handler", "observer"] * 2

    def test_attaching_and_detaching_leave_it_alone(
        self, telemetry: Telemetry, seen: Seen, see: Callable[..., None]
    ) -> None:
        with telemetry.observe(see):
            telemetry.attach("h", "a.b", lambda *_: None)
            telemetry.detach("h")
            telemetry.execute("a.b", {})
            telemetry.event("a.b").execute({})

        assert len(seen) == 2

    def test_there_may_be_several_and_one_twice(
        self, telemetry: Telemetry, seen: Seen, see: Callable[..., None]
    ) -> None:
        with telemetry.observe(see), telemetry.observe(see) as second, telemetry.observe(see):
            second.close()
            telemetry.execute("a.b", {})

        assert len(seen) == 2


class TestEnding:
    def test_it_sees_nothing_once_closed(
        self, telemetry: Telemetry, seen: Seen, see: Callable[..., None]
    ) -> None:
        handle = telemetry.event("a.b")
        telemetry.attach("h", "c.d", lambda *_: None)
        observation = telemetry.observe(see)
        before = observation.closed

        observation.close()

        assert (before, observation.closed) == (False, True)
        for name in ("a.b", "c.d", "e.f"):
            telemetry.execute(name, {})
            telemetry.event(name).execute({})
        assert seen == []
        assert not handle.handlers

    def test_closing_twice_is_closing_once(self, telemetry: Telemetry) -> None:
        observation = telemetry.observe(lambda *_: None)
        with observation:
            observation.close()

        assert observation.closed

    def test_it_is_in_nobodys_list(self, telemetry: Telemetry) -> None:
        with telemetry.observe(lambda *_: None):
            assert telemetry.list_handlers() == []

    def test_it_costs_nothing_when_absent(self, telemetry: Telemetry) -> None:
        handle = telemetry.event("a.b")
        before = handle.handlers

        telemetry.observe(lambda *_: None).close()

        assert handle.handlers == before == ()


class TestFailing:
    def test_it_is_detached_reported_and_logged_like_a_handler(
        self, telemetry: Telemetry, failures: list[Any], caplog: pytest.LogCaptureFixture
    ) -> None:
        def fail(*_: object) -> None:
            raise RuntimeError("on purpose")

        observation = telemetry.observe(fail)
        telemetry.execute("a.b", {"count": 1}, {"who": "x"})
        telemetry.execute("a.b", {"count": 2})

        assert observation.closed
        ((_, data),) = failures
        assert data["handler_id"] is fail
        assert data["event_name"] == "a.b"
        assert data["events"] == ()
        assert data["measurements"] == {"count": 1}
        assert data["metadata"] == {"who": "x"}
        assert len(caplog.records) == 1

    def test_others_go_on(self, telemetry: Telemetry, seen: Seen, see: Callable[..., None]) -> None:
        def fail(*_: object) -> None:
            raise RuntimeError

        with telemetry.observe(fail), telemetry.observe(see):
            telemetry.execute("a.b", {})

        assert "a.b" in [event for event, _, _ in seen]

    @pytest.mark.parametrize("how", ["by name", "by handle"])
    def test_it_may_ask_for_its_failures_to_reach_the_emitter(
        self, telemetry: Telemetry, failures: list[Any], how: str
    ) -> None:
        class Nonconforming(Exception):
            pass

        def fail(*_: object) -> None:
            raise Nonconforming

        execute: Callable[..., None] = telemetry.event("a.b").execute
        if how == "by name":
            execute = functools.partial(telemetry.execute, "a.b")
        with telemetry.observe(fail, on_failure="raise") as observation:
            for _ in range(2):
                with pytest.raises(Nonconforming):
                    execute({})

            assert not observation.closed
        assert failures == []


class TestBadInput:
    @pytest.mark.parametrize("callback", [None, "print", 1])
    def test_what_cannot_be_called_is_refused(self, telemetry: Telemetry, callback: Any) -> None:
        with pytest.raises(TypeError) as caught:
            telemetry.observe(callback)

        assert str(caught.value) == f"observer is not callable: {callback!r}"

    def test_a_coroutine_function_is_refused(self, telemetry: Telemetry) -> None:
        async def callback(*_: object) -> None:
            pass

        with pytest.raises(TypeError, match="observer is a coroutine or generator function"):
            telemetry.observe(callback)

    @pytest.mark.parametrize("policy", ["keep", "quarantine", None])
    def test_an_unknown_policy_is_refused(self, telemetry: Telemetry, policy: Any) -> None:
        with pytest.raises(ValueError, match="must be 'detach' or 'raise'"):
            telemetry.observe(print, on_failure=policy)
