# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from heliograph.modboss.virtual import Script, ramp, sine, steps


def test_a_ramp_goes_evenly_and_stays_at_its_end() -> None:
    script = ramp(10.0, 20.0, 4)

    assert [script.at(now, 0) for now in (0, 1, 4, 99)] == [10.0, 12.5, 20.0, 20.0]


def test_a_ramp_may_begin_again() -> None:
    script = ramp(0.0, 8.0, 4, repeat=True)

    assert [script.at(now, 0) for now in (0, 3, 4, 5)] == [0.0, 6.0, 0.0, 2.0]


def test_a_sine_swings_around_its_mean() -> None:
    script = sine(20.0, 5.0, 60)

    assert [round(script.at(now, 0), 9) for now in (0, 15, 30, 45)] == [20.0, 25.0, 20.0, 15.0]


def test_a_sine_may_be_ahead() -> None:
    assert sine(0.0, 1.0, 60, phase=15).at(0, 0) == pytest.approx(1.0)


def test_steps_go_on_with_each_read_and_stay_at_the_last() -> None:
    assert [steps("a", "b").at(0, reads) for reads in range(4)] == ["a", "b", "b", "b"]


def test_steps_may_begin_again() -> None:
    assert [steps(1, 2, cycle=True).at(0, reads) for reads in range(4)] == [1, 2, 1, 2]


def test_a_callable_is_a_script_of_the_time_or_of_nothing() -> None:
    of_time, of_nothing = Script.of(lambda seconds: seconds * 2), Script.of(lambda: 7)

    assert of_time is not None
    assert of_nothing is not None
    assert (of_time.at(3, 0), of_nothing.at(3, 0)) == (6, 7)


@pytest.mark.parametrize("value", [3, "on", [1, 2], None, int])
def test_a_plain_value_is_no_script(value: object) -> None:
    assert Script.of(value) is None


@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        (lambda: ramp(0, 1, 0), "seconds 0 is not above 0"),
        (lambda: ramp(0, 1, float("nan")), "seconds nan is not above 0"),
        (lambda: sine(0, 1, -1), "period -1 is not above 0"),
        (steps, "no values"),
    ],
)
def test_a_script_that_cannot_be_is_refused(make: object, complaint: str) -> None:
    assert callable(make)
    with pytest.raises(ValueError, match=complaint):
        make()


def test_a_script_shows_what_made_it() -> None:
    assert repr(ramp(0, 1, 2)) == "ramp(0, 1, 2)"
    assert repr(steps(1, 2)) == "steps(1, 2)"
    assert repr(sine(0, 1, 2)) == "sine(0, 1, 2)"
