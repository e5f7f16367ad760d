# SPDX-License-Identifier: Apache-2.0
"""What was seen, put together; and nothing counts as seen that was not."""

from __future__ import annotations

import io
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from heliograph.apps.demo import Demo, Scene, tally
from heliograph.apps.demo.scene import Failover
from heliograph.apps.demo.view import picture, sparkline, summary

NAMES = ("g1@a", "g2@b", "g3@c")


def scene(*, looking: bool = True) -> Scene:
    return Scene(NAMES, ["boiler", "chiller"], looking=looking)


def event(name: str, at: float = 0.0, **metadata: Any) -> dict[str, Any]:
    return {"kind": "event", "event": name, "time": at, "metadata": metadata}


def alarm(name: str, told_by: str, limit: float = 75.0) -> dict[str, Any]:
    told = event(name, device="boiler", mapping="temperature", told_by=told_by)
    return {**told, "measurements": {"value": 76.0, "limit": limit}}


def kept(made: Scene) -> dict[str, bool | None]:
    return {each.topic: each.kept for each in made.promises()}


def test_nothing_is_kept_that_was_not_seen() -> None:
    assert set(kept(scene()).values()) == {False}


def test_what_others_get_is_not_looked_for() -> None:
    found = kept(scene(looking=False))

    assert {topic for topic, seen in found.items() if seen is None} == {
        "values",
        "retry",
        "signals",
    }


def test_a_device_belongs_to_whoever_has_taken_it() -> None:
    made = scene()
    made.told("g1@a", event("gateway.device.taken", device="boiler"))
    made.told("g2@b", event("gateway.device.taken", device="chiller"))

    assert made.holders("boiler") == ["g1@a"]
    assert kept(made)["shares"]
    assert not made.shared  # they have not met

    made.told("g1@a", event("gateway.device.given_up", device="boiler"))

    assert made.holders("boiler") == []


def test_a_failover_is_timed_from_the_kill_to_the_last_device() -> None:
    made = scene()
    for device in ("boiler", "chiller"):
        made.told("g1@a", event("gateway.device.taken", device=device))
    made.killed("g1@a")
    assert made.failover is not None
    made.failover.at = 100.0

    made.told("g2@b", event("gateway.device.taken", 100.5, device="boiler"))
    assert made.failover.taken.keys() == {"boiler"}
    made.told("g3@c", event("gateway.device.taken", 101.5, device="chiller"))

    assert made.failover.over
    assert made.failover.took == 1.5
    assert kept(made)["failover"]
    assert not kept(made)["return"]

    made.returning()
    made.told("g2@b", event("gateway.device.given_up", 110.0, device="boiler"))
    made.told("g3@c", event("gateway.device.given_up", 110.2, device="chiller"))
    made.told("g1@a", event("gateway.device.taken", 110.1, device="boiler"))
    made.told("g1@a", event("gateway.device.taken", 110.5, device="chiller"))

    assert made.failover.ended
    assert made.failover.overlap == pytest.approx(-0.1)
    assert kept(made)["return"]


@pytest.mark.parametrize(("given_up", "fine"), [(110.4, True), (110.6, False)])
def test_two_at_a_time_for_more_than_a_period_is_no_return(given_up: float, fine: bool) -> None:
    made = scene()
    made.failover = Failover("g1@a", frozenset({"boiler"}), 100.0, back=True)
    made.failover.given_up["boiler"] = given_up
    made.failover.returned["boiler"] = 110.0

    assert kept(made)["return"] is fine


def test_a_late_failover_is_none() -> None:
    made = scene()
    made.failover = Failover("g1@a", frozenset({"boiler"}), 100.0, taken={"boiler": 105.1})

    assert not kept(made)["failover"]


def test_an_alarm_has_to_be_the_same_on_all_three() -> None:
    made = scene()
    for name, told_by in zip(NAMES, ("g1@a", "g1@a", "g2@b"), strict=True):
        made.told(name, alarm("gateway.alarm.raised", told_by))
    assert not kept(made)["alarm"]

    made.told("g3@c", alarm("gateway.alarm.raised", "g1@a"))

    assert kept(made)["alarm"]


def test_an_alarm_goes_from_who_polls_the_device_to_the_others() -> None:
    made = scene()
    for name, at in (("g3@c", 10.003), ("g1@a", 10.0), ("g2@b", 10.002)):
        made.told(name, {**alarm("gateway.alarm.raised", "g1@a"), "time": at})

    assert made.broadcast is not None
    assert (made.broadcast.device, made.broadcast.root) == ("boiler", "g1@a")
    assert [name for name, _ in made.broadcast.hops] == ["g2@b", "g3@c"]
    assert [after for _, after in made.broadcast.hops] == pytest.approx([0.002, 0.003])

    made.told("g1@a", {**alarm("gateway.alarm.raised", "g1@a"), "time": 20.0})
    assert made.broadcast.hops == []


def test_an_alarm_stands_until_it_is_cleared_or_its_teller_is_killed() -> None:
    made = scene()
    for name in NAMES:
        made.told(name, alarm("gateway.alarm.raised", "g1@a"))
    made.told("g2@b", alarm("gateway.alarm.cleared", "g1@a"))
    made.killed("g1@a")

    assert made.raised == {"g1@a": {}, "g2@b": {}, "g3@c": {("boiler", "temperature"): 75.0}}


@pytest.mark.parametrize("dropped", [0, 3])
def test_what_was_dropped_is_added_up(dropped: int) -> None:
    made = scene()
    for name in NAMES:
        export = {"traces": {"exported": 5, "dropped": {"queue_full": dropped}}}
        made.told(name, {"kind": "summary", "export": export})

    assert kept(made)["dropped"] is (dropped == 0)


def test_a_sparkline_goes_from_the_least_to_the_greatest() -> None:
    assert sparkline([1, 2, 3, 4, 5, 6, 7, 8], 8) == "▁▂▃▄▅▆▇█"
    assert sparkline([5, 1, 9], 2) == "▁█"
    assert sparkline([3, 3], 5) == "▁▁"
    assert sparkline([], 5) == ""


@pytest.mark.parametrize("width", [40, 80, 160])
def test_there_is_a_picture_before_anything_was_seen(width: int) -> None:
    demo = Demo()
    console = Console(width=width, height=40, record=True, file=io.StringIO())

    console.print(picture(demo))
    console.print(summary(demo, demo.scene.promises()))

    text = console.export_text()
    assert "Cluster" in text
    assert "NOT SEEN" in text


@pytest.mark.parametrize(
    ("width", "height", "panels"),
    [
        (80, 24, {"Cluster", "Devices", "Traces"}),
        (80, 50, {"Cluster", "Devices", "Traces", "Log events"}),
        (140, 40, {"Cluster", "Devices", "Traces", "Log events", "Metrics"}),
    ],
)
def test_what_is_seen_fits_into_the_terminal(width: int, height: int, panels: set[str]) -> None:
    console = Console(width=width, height=height, record=True, file=io.StringIO())

    console.print(picture(Demo()))

    lines = console.export_text().splitlines()
    named = {"Cluster", "Devices", "Traces", "Log events", "Metrics"}
    assert {name for name in named if any(f"─ {name} ─" in line for line in lines)} == panels
    assert "log events at" in lines[height - 1]


def test_events_are_counted_in_a_file(tmp_path: Path) -> None:
    assert tally.read(tmp_path / "none.json") == Counter()

    (tmp_path / "some.json").write_text(json.dumps({"a.b": 2}))

    assert tally.read(tmp_path / "some.json") == Counter({"a.b": 2})
