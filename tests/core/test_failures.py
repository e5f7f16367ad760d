# SPDX-License-Identifier: Apache-2.0
"""A handler that raises: it is detached, reported and logged, and the emitter never notices."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import traceback
from collections.abc import Callable
from typing import Any

import pytest
import trio

from heliograph import Telemetry

FAILURE = "telemetry.handler.failure"


class Broken(Exception):
    pass


def fail(*_: object) -> None:
    raise Broken("on purpose")


@pytest.fixture(params=["by name", "by handle"])
def execute(request: pytest.FixtureRequest, telemetry: Telemetry) -> Callable[..., None]:
    """Executes `a.b` in one of the two ways."""
    if request.param == "by handle":
        return telemetry.event("a.b").execute
    return lambda *payload: telemetry.execute("a.b", *payload)


@pytest.mark.parametrize("end", ["start", "stop", "exception"])
def test_a_span_never_notices(telemetry: Telemetry, failures: list[Any], end: str) -> None:
    telemetry.attach("h", f"a.b.{end}", fail)

    with contextlib.suppress(LookupError), telemetry.span("a.b", {"who": "x"}) as active:
        active.metadata["more"] = 1
        active.measurements["bytes"] = 2
        if end == "exception":
            raise LookupError

    [(_, data)] = failures
    assert data["event_name"] == f"a.b.{end}"
    assert data["metadata"]["who"] == "x"
    assert telemetry.list_handlers("a.b") == []


class TestReport:
    def test_it_says_who_failed_on_what_and_why(
        self,
        telemetry: Telemetry,
        execute: Callable[..., None],
        failures: list[Any],
        advance: Callable[[float], None],
    ) -> None:
        config, measurements, metadata = object(), {"count": 1}, {"who": "x"}
        telemetry.attach_many("h", ["a.b", "c.d"], fail, config)
        advance(5)

        execute(measurements, metadata)

        assert len(failures) == 1
        measured, data = failures[0]
        assert measured == {"monotonic_time": 1_005_000_000_000, "system_time": 2_005_000_000_000}
        stacktrace = data.pop("stacktrace")
        reason = data.pop("reason")
        assert data == {
            "event_name": "a.b",
            "handler_id": "h",
            "handler_config": config,
            "kind": "error",
            "events": ("a.b", "c.d"),
            "measurements": measurements,
            "metadata": metadata,
            "on_failure": "detach",
        }
        assert data["measurements"] is measurements
        assert data["metadata"] is metadata
        assert isinstance(reason, Broken)
        assert isinstance(stacktrace, traceback.StackSummary)
        assert stacktrace[-1].name == "fail"
        assert stacktrace[-1].line == 'raise Broken("on purpose")'

    def test_the_stacktrace_keeps_no_frame_alive(
        self, telemetry: Telemetry, failures: list[Any]
    ) -> None:
        telemetry.attach("h", "a.b", fail)
        telemetry.execute("a.b", {})

        assert all(frame.locals is None for frame in failures[0][1]["stacktrace"])

    def test_the_times_are_those_of_the_process(
        self, telemetry: Telemetry, failures: list[Any]
    ) -> None:
        telemetry.attach("h", "a.b", fail)
        telemetry.execute("a.b", {})

        measured = failures[0][0]
        assert type(measured["monotonic_time"]) is int
        assert type(measured["system_time"]) is int
        assert measured["system_time"] > 1_700_000_000_000_000_000

    def test_the_handler_is_gone_when_it_is_reported(self, telemetry: Telemetry) -> None:
        left: list[str] = []
        telemetry.attach_many("h", ["a.b", "c.d"], fail)
        telemetry.attach(
            "f", FAILURE, lambda *_: left.extend(i.event for i in telemetry.list_handlers())
        )

        telemetry.execute("a.b", {})

        assert left == [FAILURE]
        assert not telemetry.event("a.b").handlers
        assert not telemetry.event("c.d").handlers

    def test_it_is_reported_before_it_is_logged(
        self, telemetry: Telemetry, caplog: pytest.LogCaptureFixture
    ) -> None:
        logged: list[int] = []
        telemetry.attach("f", FAILURE, lambda *_: logged.append(len(caplog.records)))
        telemetry.attach("h", "a.b", fail)

        telemetry.execute("a.b", {})

        assert logged == [0]
        assert len(caplog.records) == 1

    def test_each_failing_handler_is_reported(
        self, telemetry: Telemetry, execute: Callable[..., None], failures: list[Any]
    ) -> None:
        for number in range(3):
            telemetry.attach(number, "a.b", fail)

        execute({})
        execute({})

        assert sorted(data["handler_id"] for _, data in failures) == [0, 1, 2]

    def test_a_handler_that_detaches_itself_and_fails_is_not_reported_as_detached(
        self, telemetry: Telemetry, failures: list[Any]
    ) -> None:
        def leave_and_fail(*_: object) -> None:
            telemetry.detach("h")
            raise Broken

        telemetry.attach("h", "a.b", leave_and_fail)
        telemetry.execute("a.b", {})

        assert failures == []

    def test_a_handler_attached_anew_under_the_same_id_does_not_pay_for_the_old_one(
        self, telemetry: Telemetry, calls: list[Any], record: Callable[..., None]
    ) -> None:
        def replace_and_fail(*_: object) -> None:
            telemetry.detach("h")
            telemetry.attach("h", "a.b", record)
            raise Broken

        telemetry.attach("h", "a.b", replace_and_fail)
        telemetry.execute("a.b", {"n": 1})
        telemetry.execute("a.b", {"n": 2})

        assert [call[1] for call in calls] == [{"n": 2}]


class TestLog:
    def test_one_error_line_with_the_exception(
        self,
        telemetry: Telemetry,
        execute: Callable[..., None],
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        telemetry.attach(("module", 7), "a.b", fail)

        execute({})
        execute({})

        (line,) = caplog.records
        assert line.name == "heliograph"
        assert line.levelno == logging.ERROR
        assert line.getMessage() == "handler ('module', 7) failed on a.b; it was detached"
        assert line.exc_info is not None
        assert isinstance(line.exc_info[1], Broken)

    def test_a_broken_log_never_reaches_the_emitter(
        self, telemetry: Telemetry, execute: Callable[..., None]
    ) -> None:
        logger = logging.getLogger("heliograph")
        telemetry.attach("h", "a.b", fail)

        def broken_filter(_: logging.LogRecord) -> bool:
            raise OSError("disk full")

        logger.addFilter(broken_filter)
        try:
            execute({})
        finally:
            logger.removeFilter(broken_filter)

        assert telemetry.list_handlers() == []


class TestFailingFailureHandlers:
    def test_it_is_detached_and_logged_but_not_reported(
        self,
        telemetry: Telemetry,
        failures: list[Any],
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        telemetry.attach("f", FAILURE, fail)
        telemetry.attach("h", "a.b", fail)

        telemetry.execute("a.b", {})

        assert [data["handler_id"] for _, data in failures] == ["h"]
        assert sorted(line.getMessage() for line in caplog.records) == [
            f"handler 'f' failed on {FAILURE}; it was detached",
            "handler 'h' failed on a.b; it was detached",
        ]
        assert [info.handler_id for info in telemetry.list_handlers()] == ["failures"]

    @pytest.mark.parametrize("policy", ["keep", "quarantine"])
    def test_it_ends_there_under_every_policy(
        self, telemetry: Telemetry, failures: list[Any], policy: Any
    ) -> None:
        telemetry.attach("f", FAILURE, fail, on_failure=policy)
        telemetry.attach("h", "a.b", fail)

        telemetry.execute("a.b", {})

        assert [data["handler_id"] for _, data in failures] == ["h"]

    def test_failures_are_reported_again_afterwards(
        self, telemetry: Telemetry, failures: list[Any]
    ) -> None:
        telemetry.attach("f", FAILURE, fail)
        telemetry.attach("h", "a.b", fail)
        telemetry.attach("i", "c.d", fail)

        telemetry.execute("a.b", {})
        telemetry.execute("c.d", {})

        assert [data["handler_id"] for _, data in failures] == ["h", "i"]

    def test_leaving_from_a_failure_handler_reaches_the_emitter_and_later_reports_still_come(
        self, telemetry: Telemetry, failures: list[Any]
    ) -> None:
        def leave(*_: object) -> None:
            telemetry.detach("f")
            raise KeyboardInterrupt

        telemetry.attach("f", FAILURE, leave)
        telemetry.attach("h", "a.b", fail)
        telemetry.attach("i", "c.d", fail)

        with pytest.raises(KeyboardInterrupt):
            telemetry.execute("a.b", {})
        telemetry.execute("c.d", {})

        assert [data["handler_id"] for _, data in failures] == ["h", "i"]

    def test_an_emitter_that_executes_the_event_itself_is_no_recursion(
        self, telemetry: Telemetry, calls: list[Any], record: Callable[..., None]
    ) -> None:
        telemetry.attach("f", FAILURE, record)

        telemetry.execute(FAILURE, {}, {"handler_id": "foreign"})

        assert [call[2] for call in calls] == [{"handler_id": "foreign"}]


class TestCancellation:
    def test_asyncio_cancellation_goes_through_a_handler_and_detaches_nothing(
        self, telemetry: Telemetry, execute: Callable[..., None], failures: list[Any]
    ) -> None:
        def cancel(*_: object) -> None:
            raise asyncio.CancelledError

        telemetry.attach("h", "a.b", cancel)

        async def main() -> None:
            execute({})

        with pytest.raises(asyncio.CancelledError):
            asyncio.run(main())

        assert failures == []
        assert len(telemetry.list_handlers("a.b")) == 1

    def test_trio_cancellation_goes_through_a_handler_and_detaches_nothing(
        self, telemetry: Telemetry, execute: Callable[..., None], failures: list[Any]
    ) -> None:
        def cancel(*_: object) -> None:
            # A handler of a synchronous kind that reaches into trio: the cheapest way to Cancelled.
            trio.from_thread.check_cancelled()

        telemetry.attach("h", "a.b", cancel)

        async def main() -> bool:
            with trio.CancelScope() as scope:
                scope.cancel()
                await trio.to_thread.run_sync(execute, {}, abandon_on_cancel=False)
            return scope.cancelled_caught

        assert trio.run(main)
        assert failures == []
        assert len(telemetry.list_handlers("a.b")) == 1


class TestEndOfTheStack:
    """A handler that executes its own event, by mistake, falls until Python stops it."""

    @pytest.mark.parametrize("depth", range(40))
    def test_it_fails_once_and_is_detached(
        self, telemetry: Telemetry, failures: list[Any], depth: int
    ) -> None:
        # From different depths the stack ends at different places of the dispatcher.
        def loop(event: str, *_: object) -> None:
            telemetry.execute(event, {})

        def descend(more: int) -> None:
            descend(more - 1) if more else telemetry.execute("a.b", {})

        telemetry.attach_many("h", ["a.b", "c.d"], loop)
        handles = [telemetry.event("a.b"), telemetry.event("c.d")]

        descend(depth)

        assert [data["handler_id"] for _, data in failures] == ["h"]
        assert isinstance(failures[0][1]["reason"], RecursionError)
        assert telemetry.list_handlers("a.b") == []
        assert not any(handle.handlers for handle in handles)
        telemetry.execute("a.b", {})

    def test_an_emitter_at_the_end_of_its_own_stack_gets_a_recursion_error_and_no_other(
        self, telemetry: Telemetry, failures: list[Any]
    ) -> None:
        reached: list[RecursionError] = []

        def descend() -> None:
            try:
                descend()
            except RecursionError as error:
                reached.append(error)
                telemetry.execute("a.b", {})

        telemetry.attach("h", "a.b", fail)
        descend()

        assert any(isinstance(error.__cause__, Broken) for error in reached)
        assert [type(data["reason"]) for _, data in failures] == [Broken]
        assert telemetry.list_handlers("a.b") == []
