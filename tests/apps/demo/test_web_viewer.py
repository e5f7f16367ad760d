# SPDX-License-Identifier: Apache-2.0
"""What a page gets of traces, log events, metrics, catalogs and the demo: plain, bounded, true."""

from __future__ import annotations

import json
import math
from collections import deque
from typing import Any

import pytest

from heliograph.apps.collect import Batch, SpanEvent, SummaryPoint
from heliograph.apps.collect.traces import Moments, Trace
from heliograph.apps.demo import Demo
from heliograph.apps.demo.scene import Series
from heliograph.apps.demo.web import PageViewer, declared, shapes
from heliograph.apps.demo.web.viewer import CAPACITIES
from heliograph.catalog import load
from tests.apps.collect.samples import exponential, histogram, log, metric, number, span
from tests.apps.demo.stage import NAMES, source


def shown(viewer: PageViewer) -> dict[str, dict[str, Any]]:
    """Topic -> key -> data of all that a page gets that opens now."""
    found: dict[str, dict[str, Any]] = {}
    for item in viewer.feed.since(0, 10**9):
        found.setdefault(item.topic, {})[item.key] = json.loads(item.data)
    return found


def event(name: str, **metadata: Any) -> dict[str, Any]:
    return {"kind": "event", "event": name, "time": 0.0, "metadata": metadata}


# -- Traces ----------------------------------------------------------------------------------------


def test_a_trace_has_its_spans_in_order_with_times_from_its_begin() -> None:
    spans = (
        span("b", "a", start=1_000_500, end=1_000_900, attributes={"modboss.attempt.number": 2}),
        span("a", start=1_000_000, end=1_002_000, name="modboss.read"),
        span("c", "a", start=1_000_100, end=1_000_300, status="error", status_message="busy"),
    )
    made: dict[str, Any] = shapes.trace(Trace("t1", spans))

    assert (made["id"], made["name"], made["took"], made["count"]) == (
        "t1",
        "modboss.read",
        2000,
        3,
    )
    assert [(each["id"], each["start"], each["took"]) for each in made["spans"]] == [
        ("a", 0, 2000),
        ("c", 100, 200),
        ("b", 500, 400),
    ]
    assert (made["errors"], made["retries"]) == (1, 1)
    assert [each["retry"] for each in made["spans"]] == [False, False, True]
    assert made["spans"][1]["message"] == "busy"


@pytest.mark.parametrize(
    ("attributes", "again"),
    [
        ({"modboss.attempt.number": 1}, 0),
        ({"modboss.attempt.number": 3}, 1),
        ({"http.request.resend_count": 1}, 1),
        ({"http.request.resend_count": "1"}, 0),
        ({}, 0),
    ],
)
def test_a_span_is_a_retry_if_it_says_so(attributes: dict[str, Any], again: int) -> None:
    assert shapes.trace(Trace("t", (span("a", attributes=attributes),)))["retries"] == again


def test_the_first_of_a_trace_is_the_one_without_a_parent_that_is_there() -> None:
    spans = (span("b", "a", start=5, name="child"), span("a", "far", start=5, name="first"))

    assert shapes.trace(Trace("t", spans))["name"] == "first"


def test_a_trace_in_a_circle_is_shown_all_the_same() -> None:
    spans = (span("a", "b", start=2, name="late"), span("b", "a", start=1, name="early"))

    assert shapes.trace(Trace("t", spans))["name"] == "early"


def test_an_endless_trace_is_cut_and_says_how_much_there_was() -> None:
    made: dict[str, Any] = shapes.trace(
        Trace("t", tuple(span(str(n), start=n) for n in range(500)))
    )

    assert (made["count"], len(made["spans"])) == (500, 200)


def test_attributes_are_cut_and_their_integers_exact() -> None:
    made = shapes.attributes({"big": 2**62, "deep": {"list": [2**60, 1]}, "long": "x" * 5000})

    assert made["big"] == str(2**62)
    assert made["deep"] == {"list": [str(2**60), 1]}
    assert len(str(made["long"])) < 500
    assert len(shapes.attributes({str(n): n for n in range(1000)})) < 30


def test_a_spans_events_are_there() -> None:
    one = span("a", start=1000, events=(SpanEvent(1500, "retry", {"attempt": 2}),))
    made: dict[str, Any] = shapes.trace(Trace("t", (one,)))

    assert made["spans"][0]["events"] == [
        {"at": 500, "name": "retry", "attributes": {"attempt": 2}}
    ]


# -- Log events and metrics ------------------------------------------------------------------------


def test_a_log_event_has_the_time_at_which_it_happened_or_was_seen() -> None:
    assert shapes.log(log())["at"] == 1_700_000_000_123
    assert shapes.log(log(time=0, observed=5_000_000))["at"] == 5


def test_metrics_tell_their_latest_in_a_way_that_json_can() -> None:
    gauge = metric(kind="gauge", monotonic=None, temporality=None)

    assert shapes.metric(gauge, number(2.5))["value"] == 2.5
    assert shapes.metric(gauge, number(None))["value"] is None
    assert shapes.metric(gauge, number(math.inf))["value"] is None
    assert shapes.metric(gauge, number(1))["kind"] == "gauge"
    assert shapes.metric(metric(), number(1))["kind"] == "counter"


def test_a_histogram_tells_how_many_and_where() -> None:
    one = histogram((0, 100, 0), (1.0, 2.0), max=2.0, sum=150.0)
    made: dict[str, Any] = shapes.metric(metric(kind="histogram"), one)

    assert (made["count"], made["sum"], made["max"]) == (100, 150.0, 2.0)
    assert 1.0 <= made["p50"] <= made["p95"] <= 2.0
    empty: dict[str, Any] = shapes.metric(metric(kind="exponential_histogram"), exponential())
    assert (empty["count"], empty["p95"]) == (0, None)


def test_a_summary_tells_the_quantiles_that_its_sender_knows() -> None:
    one = SummaryPoint({}, 0, 1, 4, 10.0, ((0.5, 2.0), (0.99, math.nan)))
    made = shapes.metric(metric(kind="summary"), one)

    assert (made["count"], made["sum"], made["p50"], made["p99"]) == (4, 10.0, 2.0, None)


def test_series_are_told_apart_and_remember_what_they_were() -> None:
    viewer = PageViewer()
    for value in (1, 2, 3):
        viewer.take(
            Batch(metrics=(metric(number(value, tag="a"), number(10 * value, tag="b")),)), 0
        )
    a, b = shown(viewer)["series"].values()

    assert (a["value"], a["history"], a["attributes"]) == (3, [1, 2, 3], {"tag": "a"})
    assert (b["value"], b["history"]) == (30, [10, 20, 30])


def test_a_history_has_an_end() -> None:
    viewer = PageViewer()
    for value in range(100):
        viewer.take(Batch(metrics=(metric(number(value)),)), 0)
    [series] = shown(viewer)["series"].values()

    assert series["history"] == list(range(68, 100))


def test_nothing_grows_beyond_its_capacity() -> None:
    viewer = PageViewer(Moments(quiet=0.0))
    for each in range(3000):
        one = span(f"s{each}", trace_id=f"t{each}", status="error" if each % 2 else "ok")
        viewer.take(Batch(spans=(one,)), float(each))
        viewer.take(Batch(metrics=(metric(number(each, tag=each)),)), float(each))
        up = {"partisan.node.name": f"n{each}", "partisan.peer.name": f"n{each + 1}"}
        name = "partisan.membership.peer.up"
        viewer.take(Batch(logs=(log(event_name=name, attributes=up),)), float(each))
        viewer.due(float(each))
    viewer.show(Demo())
    found = {topic: len(items) for topic, items in shown(viewer).items()}

    for topic in ("log", "trace", "failed", "series", "link"):
        assert found[topic] == CAPACITIES[topic]


def test_what_failed_is_kept_while_more_and_more_goes_well() -> None:
    viewer = PageViewer(Moments(quiet=0.0))
    for each in range(500):
        one = span("s", trace_id=f"t{each}", status="error" if each == 0 else "ok")
        viewer.take(Batch(spans=(one,)), 0.0)
        viewer.due(0.0)

    assert list(shown(viewer)["failed"]) == ["t0"]


# -- The demo --------------------------------------------------------------------------------------


def demo() -> Demo:
    made = Demo()
    for name in NAMES:
        made.scene.told(name, event("gateway.started"))
    for name, device in zip(NAMES, made.scene.devices, strict=False):
        made.scene.told(name, event("gateway.device.taken", device=device))
    return made


def linked(viewer: PageViewer, node: str, peer: str, *, up: bool = True) -> None:
    name = f"partisan.membership.peer.{'up' if up else 'down'}"
    ends = {"partisan.node.name": node, "partisan.peer.name": peer}
    viewer.take(Batch(logs=(log(event_name=name, attributes=ends),)), 0.0)


def test_members_and_devices_have_their_places() -> None:
    viewer = PageViewer()
    viewer.show(demo())
    found = shown(viewer)

    assert [found["member"][name]["place"] for name in NAMES] == [0, 1, 2]
    assert found["member"][NAMES[0]]["state"] == "running"
    assert found["device"]["boiler"]["by"] == [NAMES[0]]
    assert found["device"]["tank"]["by"] == []


def test_who_is_killed_is_dead_and_has_no_connections_and_none_when_it_returns() -> None:
    viewer = PageViewer()
    made = demo()
    for node, peer in ((NAMES[0], NAMES[1]), (NAMES[1], NAMES[0]), (NAMES[0], NAMES[2])):
        linked(viewer, node, peer)
    viewer.show(made)
    assert all(each["up"] for each in shown(viewer)["link"].values())

    made.scene.killed(NAMES[1])
    viewer.show(made)
    found = shown(viewer)
    assert (found["member"][NAMES[1]]["state"], found["member"][NAMES[1]]["alive"]) == (
        "killed",
        False,
    )
    assert {key for key, each in found["link"].items() if each["up"]} == {f"{NAMES[0]} {NAMES[2]}"}

    made.scene.returning()
    viewer.show(made)
    found = shown(viewer)
    assert found["member"][NAMES[1]]["alive"]
    assert not found["link"][f"{NAMES[1]} {NAMES[0]}"]["up"]


def test_only_members_that_meet_and_part_make_links() -> None:
    viewer = PageViewer()
    viewer.take(Batch(logs=(log(),)), 0.0)
    viewer.show(demo())

    assert list(shown(viewer)["log"]) == ["1"]
    assert "link" not in shown(viewer)


def test_what_devices_measure_that_nobody_has_named_is_left_out() -> None:
    viewer = PageViewer()
    made = demo()
    made.scene.series["stranger", "temperature"] = Series("Cel", deque([1.0]))
    viewer.show(made)

    assert [each["values"] for each in shown(viewer)["device"].values()] == [[]] * 6


def test_events_are_counted() -> None:
    viewer = PageViewer()
    viewer.count({"b": 1, "a": 2})

    assert shown(viewer)["counts"] == {"": {"a": 2, "b": 1}}


def test_a_link_that_is_said_to_be_down_is_down() -> None:
    viewer = PageViewer()
    linked(viewer, NAMES[0], NAMES[1])
    linked(viewer, NAMES[0], NAMES[1], up=False)
    viewer.show(demo())

    assert [each["up"] for each in shown(viewer)["link"].values()] == [False]


def test_a_gateway_that_ended_by_itself_has_failed() -> None:
    viewer = PageViewer()
    made = demo()
    made.scene.gateways[NAMES[2]].code = 1
    viewer.show(made)
    found = shown(viewer)["member"][NAMES[2]]

    assert (found["state"], found["alive"]) == ("failed", False)


def test_a_value_that_is_no_number_is_none() -> None:
    viewer = PageViewer()
    made = demo()
    made.scene.series["boiler", "temperature"] = Series("Cel", deque([1.00005, math.nan, math.inf]))
    made.scene.raised[NAMES[0]]["boiler", "temperature"] = math.inf
    viewer.show(made)
    [value] = shown(viewer)["device"]["boiler"]["values"]

    assert (value["values"], value["limit"]) == ([1.0001, None, None], None)


def test_an_alarm_stands_as_long_as_it_stands_and_its_limit_is_known_from_then_on() -> None:
    viewer = PageViewer()
    made = demo()
    point = number(
        76.0,
        **{"gateway.device.name": "boiler", "gateway.device.mapping": "temperature"},
    )
    given: dict[str, Any] = {"name": "gateway.device.value", "source": source(NAMES[0])}
    made.scene.take(Batch(metrics=(metric(point, **given),)), 0.0)

    def told() -> tuple[Any, ...]:
        viewer.show(made)
        found = shown(viewer)["device"]["boiler"]
        [value] = found["values"]
        return found["alarms"], value["limit"], value["alarm"]

    assert told() == ([], None, False)
    raised = event("gateway.alarm.raised", device="boiler", mapping="temperature", told_by=NAMES[0])
    made.scene.told(NAMES[1], {**raised, "measurements": {"limit": 75.0}})
    assert told() == (["temperature"], 75.0, True)
    cleared = event("gateway.alarm.cleared", device="boiler", mapping="temperature")
    made.scene.told(NAMES[1], cleared)
    assert told() == ([], 75.0, False)


def test_the_end_says_whether_promises_were_kept() -> None:
    viewer = PageViewer()
    viewer.say("A plant begins", 0.04)
    viewer.show(Demo())
    assert shown(viewer)["head"][""]["ended"] is False

    viewer.show(Demo(), kept=False)
    found = shown(viewer)

    assert (found["head"][""]["ended"], found["head"][""]["kept"]) == (True, False)
    assert len(found["promises"][""]) == 10
    assert found["story"] == {"1": {"at": 0.0, "text": "A plant begins"}}


# -- Catalogs --------------------------------------------------------------------------------------


def test_all_that_a_catalog_declares_is_there() -> None:
    catalog = load("modboss")
    made = declared(catalog)
    by_kind: dict[str, set[str]] = {}
    for each in made["entries"]:
        by_kind.setdefault(each["kind"], set()).add(each["name"])

    assert by_kind == {
        "event": set(catalog.events),
        "span": set(catalog.spans),
        "metric": set(catalog.metrics),
    }
    assert json.loads(json.dumps(made)) == made


def test_an_entry_tells_what_it_carries() -> None:
    entries = {(each["kind"], each["name"]): each for each in declared(load("modboss"))["entries"]}
    stop = entries["event", "modboss.read.stop"]
    duration = next(each for each in stop["measurements"] if each["key"] == "duration")

    assert (duration["unit"], duration["type"]) == ("ns", "int")
    assert stop["span"] == "modboss.read"
    assert entries["span", "modboss.read"]["events"][1] == "modboss.read.stop"
    assert entries["metric", "modboss.read.duration"]["unit"] == "s"
