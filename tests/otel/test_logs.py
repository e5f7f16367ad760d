# SPDX-License-Identifier: Apache-2.0
"""A catalogued point event becomes one OpenTelemetry log event, on either pipeline."""

from __future__ import annotations

from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry._logs import SeverityNumber

from heliograph import Error, Ok
from tests.otel.bakery import Kitchen


def only(kitchen: Kitchen) -> Any:
    (record,) = kitchen.records()
    return record


def test_it_has_the_events_name_severity_scope_and_resource(kitchen: Kitchen) -> None:
    kitchen.telemetry.execute("bakery.door.opened", {"count": 2}, {"oven": "left"})

    readable = only(kitchen)
    record = readable.log_record
    assert record.event_name == "bakery.door.opened"
    assert record.severity_number is SeverityNumber.WARN
    assert record.severity_text == "WARN"
    assert record.body is None
    assert dict(record.attributes) == {"bakery.count": 2, "bakery.oven": "left"}
    assert record.timestamp == record.observed_timestamp
    assert record.timestamp > 1_600_000_000 * 10**9
    scope = readable.instrumentation_scope
    assert (scope.name, scope.version) == ("bakery", "2.1.0")
    assert scope.schema_url == "https://bakery.example/schemas/2.1.0"
    assert readable.resource.attributes["service.name"] == "bakery"


def test_it_has_the_events_own_time_where_that_carries_one(kitchen: Kitchen) -> None:
    kitchen.telemetry.execute("bakery.door.opened", {"count": 1, "system_time": 123_456})

    assert only(kitchen).log_record.timestamp == 123_456


def test_it_has_the_trace_context_of_the_place(kitchen: Kitchen) -> None:
    with kitchen.telemetry.span("bakery.knead"):
        inside = trace.get_current_span().get_span_context()
        kitchen.telemetry.execute("bakery.door.opened", {"count": 1})

    record = only(kitchen).log_record
    assert (record.trace_id, record.span_id) == (inside.trace_id, inside.span_id)
    assert record.trace_flags == inside.trace_flags


def test_what_is_too_frequent_for_a_log_is_none(kitchen: Kitchen) -> None:
    kitchen.telemetry.execute("bakery.tick", {"count": 1})

    assert not kitchen.records()
    assert kitchen.logs.emitter("bakery.tick") is None


def test_sensitive_and_unexported_fields_never_leave(kitchen: Kitchen) -> None:
    kitchen.telemetry.execute("bakery.door.opened", {"count": 1}, {"customer": "Ann", "inner": 1})

    assert "Ann" not in only(kitchen).to_json()
    assert dict(only(kitchen).log_record.attributes) == {"bakery.count": 1}


@pytest.mark.parametrize(("result", "error"), [(Ok(), None), (Error("cold"), "cold")])
def test_a_result_is_told_by_error_type(
    kitchen: Kitchen, result: object, error: str | None
) -> None:
    kitchen.telemetry.execute("bakery.checked", {}, {"result": result})

    assert dict(only(kitchen).log_record.attributes or {}).get("error.type") == error


def test_an_exception_is_told_with_its_stacktrace(kitchen: Kitchen) -> None:
    try:
        raise ValueError("too dark")
    except ValueError as error:
        error.add_note("and smoky")
        kitchen.telemetry.execute("bakery.burnt", {}, {"reason": error, "stacktrace": object()})

    attributes = dict(only(kitchen).log_record.attributes)
    assert attributes["exception.type"] == "ValueError"
    assert attributes["exception.message"] == "too dark"
    assert "and smoky" in attributes["exception.stacktrace"]


def test_a_stacktrace_without_an_exception_is_told_too(kitchen: Kitchen) -> None:
    kitchen.telemetry.attach("fails", "bakery.tick", lambda *_: 1 / 0)
    seen: list[Any] = []
    kitchen.telemetry.attach("keeps", "telemetry.handler.failure", lambda *args: seen.append(args))
    kitchen.telemetry.execute("bakery.tick", {})
    kitchen.telemetry.detach("keeps")
    stacktrace = seen[0][2]["stacktrace"]

    kitchen.telemetry.execute(
        "bakery.burnt", {}, {"reason": "no exception", "stacktrace": stacktrace}
    )

    attributes = dict(only(kitchen).log_record.attributes)
    assert set(attributes) == {"exception.stacktrace"}
    assert "1 / 0" in attributes["exception.stacktrace"]


def test_an_endless_message_and_stacktrace_are_cut_and_flagged(kitchen: Kitchen) -> None:
    error = ValueError("x" * 100_000)

    kitchen.telemetry.execute("bakery.burnt", {}, {"reason": error, "stacktrace": ()})

    attributes = dict(only(kitchen).log_record.attributes)
    assert len(attributes["exception.message"]) == 4_096
    assert len(attributes["exception.stacktrace"]) == 16_384
    assert attributes["heliograph.truncated"] == ("exception.message", "exception.stacktrace")


def test_what_cannot_be_read_is_counted_and_never_raised(kitchen: Kitchen) -> None:
    unreadable: Any = 17
    kitchen.telemetry.execute("bakery.burnt", {}, unreadable)

    assert not kitchen.records()
    assert kitchen.logs.counts == {"unreadable": 1}
    assert len(kitchen.telemetry.list_handlers("bakery.burnt")) == 1


def test_what_is_no_exception_and_no_stacktrace_is_left_out(kitchen: Kitchen) -> None:
    kitchen.telemetry.execute("bakery.burnt", {}, {"reason": None, "stacktrace": "not frames"})

    assert not only(kitchen).log_record.attributes


def test_of_a_sensitive_exception_only_the_class_is_told(kitchen: Kitchen) -> None:
    kitchen.telemetry.execute("bakery.spoilt", {}, {"blame": ValueError("Ann"), "frames": ()})

    assert dict(only(kitchen).log_record.attributes) == {"exception.type": "ValueError"}


def test_an_exception_without_a_message_has_none(kitchen: Kitchen) -> None:
    kitchen.telemetry.execute("bakery.burnt", {}, {"reason": ValueError(), "stacktrace": ()})

    assert "exception.message" not in only(kitchen).log_record.attributes


class Noted(Exception):
    """Its notes can't be read."""

    def __getattribute__(self, name: str) -> Any:
        if name == "__notes__":
            raise RuntimeError(name)
        return super().__getattribute__(name)


def test_an_exception_whose_frames_cannot_be_told_is_told_by_its_class(kitchen: Kitchen) -> None:
    kitchen.telemetry.execute("bakery.burnt", {}, {"reason": Noted(), "stacktrace": ()})

    attributes = dict(only(kitchen).log_record.attributes)
    assert attributes["exception.stacktrace"] == f"{__name__}.Noted"


def test_detaching_leaves_nothing_behind(kitchen: Kitchen) -> None:
    kitchen.logs.detach()
    kitchen.telemetry.execute("bakery.door.opened", {"count": 1})

    assert not kitchen.records()
