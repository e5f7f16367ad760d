# SPDX-License-Identifier: Apache-2.0
"""Handles: they know who listens, there is one for each name, and they belong to a dispatcher."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

import heliograph
from heliograph import Event, Span, Telemetry


def ignore(*_: object) -> None:
    pass


class TestEvent:
    def test_it_knows_whether_somebody_listens(self, telemetry: Telemetry) -> None:
        handle = telemetry.event("a.b")
        listening = [len(handle.handlers)]
        telemetry.attach("h", "a.b", ignore)
        listening.append(len(handle.handlers))
        telemetry.attach("i", "a.b", ignore)
        listening.append(len(handle.handlers))
        telemetry.detach("h")
        listening.append(len(handle.handlers))
        telemetry.detach("i")
        listening.append(len(handle.handlers))

        assert listening == [0, 1, 2, 1, 0]

    def test_one_made_later_knows_as_well(self, telemetry: Telemetry) -> None:
        telemetry.attach("h", "a.b", ignore)

        assert len(telemetry.event("a.b").handlers) == 1

    def test_its_handlers_are_a_tuple_that_is_replaced_and_never_changed(
        self, telemetry: Telemetry
    ) -> None:
        handle = telemetry.event("a.b")
        telemetry.attach("h", "a.b", ignore)
        before = handle.handlers
        length = len(before)

        telemetry.attach("i", "a.b", ignore)

        assert type(before) is tuple
        assert len(before) == length
        assert handle.handlers is not before

    def test_it_executes_its_event(
        self, telemetry: Telemetry, calls: list[Any], record: Callable[..., None]
    ) -> None:
        telemetry.attach("h", "a.b", record, 7)

        telemetry.event("a.b").execute({"count": 1}, {"who": "x"})

        assert calls == [("a.b", {"count": 1}, {"who": "x"}, 7)]

    def test_one_name_is_one_object(self, telemetry: Telemetry) -> None:
        assert telemetry.event("a.b") is telemetry.event("a.b")
        assert telemetry.event("a.b") is not telemetry.event("a.c")
        assert telemetry.event("a.b") is not Telemetry().event("a.b")

    def test_the_class_gives_handles_of_the_default_dispatcher(self) -> None:
        assert Event("a.b") is heliograph.default().event("a.b")
        assert Event("a.b").telemetry is heliograph.default()

    def test_it_says_what_it_is(self, telemetry: Telemetry) -> None:
        assert repr(telemetry.event("a.b")) == "Event('a.b')"
        assert telemetry.event("a.b").name == "a.b"

    def test_it_takes_type_parameters_at_run_time(self) -> None:
        handle = Event[dict[str, int], dict[str, str]]("a.b")

        assert handle is Event("a.b")

    @pytest.mark.parametrize("way", [copy.copy, copy.deepcopy])
    def test_a_copy_is_itself(self, telemetry: Telemetry, way: Callable[[Any], Any]) -> None:
        handle = telemetry.event("a.b")

        assert way(handle) is handle
        assert way([handle])[0] is handle

    def test_nothing_can_be_put_into_it(self, telemetry: Telemetry) -> None:
        with pytest.raises(AttributeError):
            telemetry.event("a.b").other = 1  # type: ignore[attr-defined]  # that is the point


class TestSpan:
    def test_it_holds_its_three_events(self, telemetry: Telemetry) -> None:
        handle = telemetry.spanning("a.b")

        assert handle.prefix == "a.b"
        assert handle.start is telemetry.event("a.b.start")
        assert handle.stop is telemetry.event("a.b.stop")
        assert handle.exception is telemetry.event("a.b.exception")

    def test_one_prefix_is_one_object(self, telemetry: Telemetry) -> None:
        assert telemetry.spanning("a.b") is telemetry.spanning("a.b")
        assert telemetry.spanning("a.b") is not Telemetry().spanning("a.b")

    def test_the_class_gives_handles_of_the_default_dispatcher(self) -> None:
        assert Span("a.b") is heliograph.default().spanning("a.b")

    def test_it_says_what_it_is(self, telemetry: Telemetry) -> None:
        assert repr(telemetry.spanning("a.b")) == "Span('a.b')"

    def test_it_takes_type_parameters_at_run_time(self) -> None:
        assert Span[dict[str, int], dict[str, str]]("a.b") is Span("a.b")

    @pytest.mark.parametrize("way", [copy.copy, copy.deepcopy])
    def test_a_copy_is_itself(self, telemetry: Telemetry, way: Callable[[Any], Any]) -> None:
        handle = telemetry.spanning("a.b")

        assert way(handle) is handle

    def test_a_prefix_that_is_no_string_is_refused(self, telemetry: Telemetry) -> None:
        with pytest.raises(TypeError, match="span prefix 1 is not a string"):
            telemetry.spanning(1)  # type: ignore[arg-type]  # that is the point
