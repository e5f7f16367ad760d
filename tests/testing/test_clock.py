# SPDX-License-Identifier: Apache-2.0
"""The frozen clock: what stands still, what moves it, and that all is as before afterwards."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph import Telemetry
from heliograph.spans import now
from heliograph.testing import FrozenClock, capture, frozen_clock
from heliograph.testing.clock import NEW_YEAR_2026_NS


@pytest.fixture
def telemetry() -> Telemetry:
    return Telemetry()


def test_time_stands_still_until_it_is_advanced() -> None:
    with frozen_clock() as clock:
        assert now() == now() == (0, NEW_YEAR_2026_NS)
        clock.advance(1.5, ns=7)
        assert now() == (1_500_000_007, NEW_YEAR_2026_NS + 1_500_000_007)


def test_the_wall_clock_begins_with_the_year_2026() -> None:
    begin = datetime(2026, 1, 1, tzinfo=UTC)

    assert begin.timestamp() * 1_000_000_000 == NEW_YEAR_2026_NS


def test_a_span_lasts_as_long_as_the_clock_was_advanced(telemetry: Telemetry) -> None:
    with (
        frozen_clock(monotonic_ns=100, time_ns=200) as clock,
        capture(telemetry=telemetry) as seen,
        telemetry.span("a.b"),
    ):
        clock.advance(ns=30)

    start, stop = seen
    assert start.measurements == {"monotonic_time": 100, "system_time": 200}
    assert stop.measurements == {"monotonic_time": 130, "duration": 30}


def test_with_a_step_each_reading_moves_both_clocks_on(telemetry: Telemetry) -> None:
    with frozen_clock(time_ns=0, step_ns=5), capture(telemetry=telemetry) as seen:
        with telemetry.span("a.b"):
            pass
        assert now() == (10, 15)

    assert seen[0].measurements == {"monotonic_time": 0, "system_time": 5}
    assert seen[1].measurements == {"monotonic_time": 5, "duration": 5}


def test_span_contexts_count_from_1(telemetry: Telemetry) -> None:
    with frozen_clock(), capture("*.*.start", telemetry=telemetry) as seen:
        for _ in range(3):
            with telemetry.span("a.b"):
                pass

    assert [each.metadata["telemetry_span_context"] for each in seen] == [1, 2, 3]


def test_inside_another_it_is_fresh_and_gives_back_what_was_before(telemetry: Telemetry) -> None:
    def context() -> object:
        return telemetry.span("a.b").context

    with frozen_clock(monotonic_ns=10) as outer:
        assert context() == 1
        with frozen_clock(monotonic_ns=50) as inner:
            inner.advance(ns=1)
            assert (now()[0], context()) == (51, 1)
        assert (now()[0], context()) == (10, 2)
        outer.advance(ns=1)
        assert now()[0] == 11


def test_the_true_clocks_are_back_even_after_a_failure() -> None:
    with pytest.raises(KeyError), frozen_clock():
        raise KeyError

    before = (time.monotonic_ns(), time.time_ns())
    assert all(read >= earlier for read, earlier in zip(now(), before, strict=True))


def test_a_quarantined_handler_rests_by_the_frozen_clock(telemetry: Telemetry) -> None:
    calls = []

    def fail(*_: object) -> None:
        calls.append(1)
        raise KeyError

    telemetry.attach("rests", "a.b", fail, on_failure="quarantine")
    with frozen_clock() as clock:
        telemetry.execute("a.b", {})
        telemetry.execute("a.b", {})
        assert len(calls) == 1
        clock.advance(1)
        telemetry.execute("a.b", {})
        assert len(calls) == 2


def test_going_back_is_refused() -> None:
    clock = FrozenClock()

    with pytest.raises(ValueError, match=r"can't advance by -1 ns: a monotonic clock can't go"):
        clock.advance(ns=-1)
    with pytest.raises(ValueError, match=r"step_ns is -1; a monotonic clock can't go back"):
        frozen_clock(step_ns=-1).__enter__()


def test_it_shows_where_it_stands() -> None:
    assert repr(FrozenClock(monotonic_ns=42)) == "<frozen clock at 42 ns>"


@given(st.lists(st.integers(min_value=0, max_value=10**12)))
def test_advancing_adds_up_and_never_goes_back(moves: list[int]) -> None:
    clock = FrozenClock()
    readings = [clock.monotonic_ns()]
    for move in moves:
        clock.advance(ns=move)
        readings.append(clock.monotonic_ns())

    assert all(earlier <= later for earlier, later in pairwise(readings))
    assert readings[-1] == sum(moves)
    assert clock.time_ns() == NEW_YEAR_2026_NS + sum(moves)


def test_no_step_is_lost_between_threads() -> None:
    clock = FrozenClock(step_ns=1)
    threads = [
        threading.Thread(target=lambda: [clock.monotonic_ns() for _ in range(500)])
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert clock.monotonic_ns() == 2000
