# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from typing import Any

import pytest

from heliograph.apps.gateway import Alarm, Alarms


def judge(alarms: Alarms, value: float, told_by: str = "g1@a") -> list[tuple[str, bool]]:
    news = alarms.judge("boiler-1", "flow", value, below=5.0, above=75.0, told_by=told_by)
    return [(each.side, each.raised) for each in news]


def test_an_alarm_is_news_when_it_is_raised_and_when_it_is_cleared() -> None:
    alarms = Alarms()

    assert judge(alarms, 75.0) == []
    assert judge(alarms, 75.1) == [("above", True)]
    assert judge(alarms, 80.0) == []
    assert [each.value for each in alarms] == [80.0]
    assert judge(alarms, 75.0) == [("above", False)]
    assert len(alarms) == 0


def test_a_value_may_jump_from_one_side_to_the_other() -> None:
    alarms = Alarms()
    judge(alarms, 80.0)

    assert judge(alarms, 4.9) == [("below", True), ("above", False)]


def test_without_limits_there_is_no_alarm() -> None:
    assert Alarms().judge("a", "b", 1e9, below=None, above=None, told_by="g1@a") == []


def test_what_another_gateway_has_raised_the_next_one_does_not_raise_again() -> None:
    alarms = Alarms()
    assert alarms.note(Alarm("boiler-1", "flow", "above", True, 80.0, 75.0, "g2@b"))
    assert not alarms.note(Alarm("boiler-1", "flow", "above", True, 81.0, 75.0, "g2@b"))

    assert judge(alarms, 82.0) == []
    assert judge(alarms, 70.0) == [("above", False)]


@pytest.mark.parametrize(
    ("left", "kept"),
    [(("boiler-1", "flow", "above"), 1), (("boiler-1", "flow", "below"), 0), (("x", "y", "z"), 0)],
)
def test_alarms_without_a_limit_any_more_are_forgotten(left: tuple[str, ...], kept: int) -> None:
    alarms = Alarms()
    judge(alarms, 80.0)

    alarms.keep(lambda *key: key == left)

    assert len(alarms) == kept


def test_an_alarm_survives_being_sent() -> None:
    alarm = Alarm("boiler-1", "flow", "above", True, 80.0, 75.0, "g2@b")

    assert Alarm.parse(json.loads(json.dumps(alarm.message()))) == alarm


@pytest.mark.parametrize(
    "change",
    [
        {"side": "left"},
        {"side": []},
        {"raised": 1},
        {"value": "much"},
        {"limit": None},
        {"device": 5},
        {"told_by": None},
    ],
)
def test_what_is_no_alarm_is_refused(change: dict[str, Any]) -> None:
    message = Alarm("boiler-1", "flow", "above", True, 80.0, 75.0, "g2@b").message()

    with pytest.raises(ValueError):  # noqa: PT011 - whatever it says, it is only logged
        Alarm.parse({**message, **change})


def test_an_alarm_that_lacks_something_is_refused() -> None:
    with pytest.raises(ValueError, match="no alarm"):
        Alarm.parse({"device": "boiler-1"})
