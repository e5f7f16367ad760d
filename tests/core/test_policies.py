# SPDX-License-Identifier: Apache-2.0
"""What may follow a failure besides detaching: keeping the handler, or a quarantine."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from heliograph import HandlerNotFoundError, Telemetry

Advance = Callable[[float], None]


class Flaky:
    """A handler that fails while `broken`, and counts how often it was called."""

    def __init__(self) -> None:
        self.broken: BaseException | None = RuntimeError("on purpose")
        self.called = 0

    def __call__(self, *_: object) -> None:
        self.called += 1
        if self.broken is not None:
            raise self.broken


@pytest.fixture
def flaky() -> Flaky:
    return Flaky()


def state(telemetry: Telemetry, handler_id: str = "h") -> str:
    (found,) = {i.state for i in telemetry.list_handlers() if i.handler_id == handler_id}
    return found


class TestKeep:
    @pytest.fixture(autouse=True)
    def attach(self, telemetry: Telemetry, flaky: Flaky, advance: Advance) -> None:
        telemetry.attach_many("h", ["a.b", "c.d"], flaky, on_failure="keep")

    def test_it_is_called_on_and_on(self, telemetry: Telemetry, flaky: Flaky) -> None:
        for _ in range(3):
            telemetry.execute("a.b", {})
            telemetry.event("c.d").execute({})

        assert flaky.called == 6
        assert state(telemetry) == "attached"

    def test_each_failure_is_reported(self, telemetry: Telemetry, failures: list[Any]) -> None:
        for count in range(3):
            telemetry.execute("a.b", {"count": count})

        assert [data["measurements"] for _, data in failures] == [
            {"count": 0},
            {"count": 1},
            {"count": 2},
        ]
        assert {data["on_failure"] for _, data in failures} == {"keep"}

    def test_it_is_logged_at_most_once_a_minute(
        self, telemetry: Telemetry, advance: Advance, caplog: pytest.LogCaptureFixture
    ) -> None:
        logged: list[int] = []
        for seconds in (0, 0, 59, 0.999, 0.001, 0, 59.999, 0.001):
            advance(seconds)
            telemetry.execute("a.b", {})
            logged.append(len(caplog.records))

        assert logged == [1, 1, 1, 1, 2, 2, 2, 3]
        assert caplog.records[0].getMessage() == "handler 'h' failed on a.b; it stays attached"

    def test_each_handler_has_its_own_minute(
        self, telemetry: Telemetry, flaky: Flaky, caplog: pytest.LogCaptureFixture
    ) -> None:
        telemetry.attach("i", "a.b", flaky, on_failure="keep")

        telemetry.execute("a.b", {})

        assert len(caplog.records) == 2

    def test_failures_are_counted(self, telemetry: Telemetry, flaky: Flaky) -> None:
        telemetry.execute("a.b", {})
        flaky.broken = None
        telemetry.execute("a.b", {})

        assert {info.failures for info in telemetry.list_handlers()} == {1}


class TestQuarantine:
    @pytest.fixture(autouse=True)
    def attach(self, telemetry: Telemetry, flaky: Flaky, advance: Advance) -> None:
        telemetry.attach_many("h", ["a.b", "c.d"], flaky, on_failure="quarantine")

    def test_it_rests_on_all_its_events(self, telemetry: Telemetry, flaky: Flaky) -> None:
        telemetry.execute("a.b", {})
        assert state(telemetry) == "quarantined"

        telemetry.execute("a.b", {})
        telemetry.execute("c.d", {})
        telemetry.event("c.d").execute({})
        assert flaky.called == 1

    def test_it_tries_again_after_a_second_and_is_well_if_that_goes_well(
        self, telemetry: Telemetry, flaky: Flaky, advance: Advance
    ) -> None:
        telemetry.execute("a.b", {})
        flaky.broken = None

        advance(0.999_999_999)
        telemetry.execute("c.d", {})
        assert (flaky.called, state(telemetry)) == (1, "quarantined")

        advance(0.000_000_001)
        telemetry.execute("c.d", {})
        assert (flaky.called, state(telemetry)) == (2, "attached")

        telemetry.execute("a.b", {})
        assert flaky.called == 3

    def test_the_rest_grows_twofold_up_to_five_minutes(
        self, telemetry: Telemetry, flaky: Flaky, advance: Advance
    ) -> None:
        telemetry.execute("a.b", {})
        for pause in (1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300):
            called = flaky.called
            advance(pause - 0.001)
            telemetry.execute("a.b", {})
            assert flaky.called == called

            advance(0.001)
            telemetry.execute("a.b", {})
            telemetry.execute("a.b", {})
            assert flaky.called == called + 1

    def test_it_begins_anew_after_a_success(
        self, telemetry: Telemetry, flaky: Flaky, advance: Advance
    ) -> None:
        telemetry.execute("a.b", {})
        advance(1)
        telemetry.execute("a.b", {})
        failure, flaky.broken = flaky.broken, None
        advance(2)
        telemetry.execute("a.b", {})
        assert state(telemetry) == "attached"

        flaky.broken = failure
        telemetry.execute("a.b", {})
        called = flaky.called
        advance(1)
        telemetry.execute("a.b", {})
        assert flaky.called == called + 1

    def test_each_failure_is_reported_and_logged(
        self,
        telemetry: Telemetry,
        failures: list[Any],
        advance: Advance,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        telemetry.execute("a.b", {})
        telemetry.execute("a.b", {})
        advance(1)
        telemetry.execute("a.b", {})

        assert [data["on_failure"] for _, data in failures] == ["quarantine"] * 2
        assert [line.getMessage() for line in caplog.records] == [
            "handler 'h' failed on a.b; it is paused for 1 s",
            "handler 'h' failed on a.b; it is paused for 2 s",
        ]
        assert {info.failures for info in telemetry.list_handlers("a.b")} == {2}

    def test_release_ends_it_at_once(
        self, telemetry: Telemetry, flaky: Flaky, advance: Advance
    ) -> None:
        telemetry.execute("a.b", {})
        flaky.broken = None

        telemetry.release("h")

        assert state(telemetry) == "attached"
        telemetry.execute("a.b", {})
        telemetry.execute("c.d", {})
        assert flaky.called == 3

    def test_a_rest_after_a_release_is_a_first_one(
        self, telemetry: Telemetry, flaky: Flaky, advance: Advance
    ) -> None:
        telemetry.execute("a.b", {})
        advance(1)
        telemetry.execute("a.b", {})
        telemetry.release("h")
        telemetry.execute("a.b", {})
        called = flaky.called

        advance(1)
        telemetry.execute("a.b", {})

        assert flaky.called == called + 1

    def test_releasing_what_does_not_rest_does_nothing(
        self, telemetry: Telemetry, flaky: Flaky
    ) -> None:
        telemetry.release("h")

        assert state(telemetry) == "attached"

    def test_releasing_what_is_not_attached_is_refused(self, telemetry: Telemetry) -> None:
        with pytest.raises(HandlerNotFoundError, match="under the id 'nobody'"):
            telemetry.release("nobody")

    def test_it_can_be_detached_meanwhile(self, telemetry: Telemetry, flaky: Flaky) -> None:
        telemetry.execute("a.b", {})

        telemetry.detach("h")

        telemetry.execute("a.b", {})
        assert flaky.called == 1
        assert not telemetry.event("a.b").handlers

    def test_one_that_detaches_itself_while_it_tries_stays_detached(
        self, telemetry: Telemetry, advance: Advance
    ) -> None:
        seen: list[str] = []

        def handler(*_: object) -> None:
            seen.append("called")
            if len(seen) == 1:
                raise RuntimeError
            telemetry.detach("i")

        telemetry.attach("i", "e.f", handler, on_failure="quarantine")
        telemetry.execute("e.f", {})
        advance(1)
        telemetry.execute("e.f", {})
        telemetry.execute("e.f", {})

        assert len(seen) == 2
        assert telemetry.list_handlers("e") == []

    def test_one_that_is_cancelled_while_it_tries_may_try_with_the_next_event(
        self, telemetry: Telemetry, flaky: Flaky, advance: Advance
    ) -> None:
        telemetry.execute("a.b", {})
        advance(1)
        flaky.broken = KeyboardInterrupt()
        with pytest.raises(KeyboardInterrupt):
            telemetry.execute("a.b", {})
        assert state(telemetry) == "quarantined"

        flaky.broken = None
        telemetry.execute("a.b", {})
        assert state(telemetry) == "attached"

    def test_only_one_tries_at_a_time(self, telemetry: Telemetry, advance: Advance) -> None:
        entered, leave = threading.Event(), threading.Event()
        called: list[str] = []

        def handler(event: str, measurements: Any, metadata: Any, config: Any) -> None:
            called.append(measurements["who"])
            if measurements["who"] == "first":
                raise RuntimeError
            entered.set()
            assert leave.wait(10)

        telemetry.attach("i", "e.f", handler, on_failure="quarantine")
        telemetry.execute("e.f", {"who": "first"})
        advance(1)
        trial = threading.Thread(target=telemetry.execute, args=("e.f", {"who": "trial"}))
        trial.start()
        assert entered.wait(10)
        advance(1_000)
        telemetry.execute("e.f", {"who": "meanwhile"})
        leave.set()
        trial.join()
        telemetry.execute("e.f", {"who": "afterwards"})

        assert called == ["first", "trial", "afterwards"]

    def test_calls_that_began_before_it_fail_in_it_without_making_it_longer(
        self, telemetry: Telemetry, advance: Advance
    ) -> None:
        barrier = threading.Barrier(8, timeout=10)
        called: list[str] = []

        def handler(event: str, measurements: Any, metadata: Any, config: Any) -> None:
            called.append(event)
            if measurements:
                barrier.wait()
                raise RuntimeError

        telemetry.attach("i", "e.f", handler, on_failure="quarantine")
        threads = [
            threading.Thread(target=telemetry.execute, args=("e.f", {"count": 1})) for _ in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert {info.failures for info in telemetry.list_handlers("e")} == {8}

        advance(1)
        telemetry.execute("e.f", {})
        assert len(called) == 9
        assert state(telemetry, "i") == "attached"

    def test_an_execution_that_began_before_a_release_still_tries(
        self, telemetry: Telemetry, advance: Advance
    ) -> None:
        called: list[str] = []

        def handler(*_: object) -> None:
            called.append("h")
            if len(called) == 1:
                raise RuntimeError

        # The releaser runs before the resting handler, in one execution.
        telemetry.attach("releaser", "e.f", lambda *_: telemetry.release("i"))
        telemetry.attach("i", "e.f", handler, on_failure="quarantine")
        telemetry.execute("e.f", {})
        telemetry.execute("e.f", {})
        telemetry.execute("e.f", {})

        assert called == ["h", "h", "h"]
        assert state(telemetry, "i") == "attached"

    def test_a_trial_that_fails_after_a_release_begins_a_first_rest(
        self, telemetry: Telemetry, flaky: Flaky, advance: Advance
    ) -> None:
        called: list[str] = []

        def handler(*_: object) -> None:
            called.append("h")
            if len(called) == 2:
                telemetry.release("i")
            if len(called) < 3:
                raise RuntimeError

        telemetry.attach("i", "e.f", handler, on_failure="quarantine")
        telemetry.execute("e.f", {})
        advance(1)
        telemetry.execute("e.f", {})
        assert state(telemetry, "i") == "quarantined"
        advance(1)
        telemetry.execute("e.f", {})
        assert (len(called), state(telemetry, "i")) == (3, "attached")
