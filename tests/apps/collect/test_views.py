# SPDX-License-Identifier: Apache-2.0
"""What people and programs get to see."""

from __future__ import annotations

import json
import math
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.apps.collect import (
    Batch,
    Scope,
    Source,
    SpanEvent,
    SpanLink,
    SummaryPoint,
    decode,
)
from heliograph.apps.collect.shapes import objects
from heliograph.apps.collect.text import Line, log_line, metric_row, shown, trace_lines
from heliograph.apps.collect.traces import Moments, Trace
from heliograph.apps.collect.viewer import Lines, Rows, Viewer
from tests.apps.collect.samples import (
    SOURCE,
    TRACE,
    exponential,
    histogram,
    log,
    metric,
    metrics_request,
    number,
    span,
)

TILL = Source({"service.name": "till"}, "", Scope("till", "1", "", {}))
NOBODY = Source({}, "", Scope("", "", "", {}))


def text(line: Line) -> str:
    return "".join(piece for piece, _ in line).rstrip()


# -- Traces ----------------------------------------------------------------------------------------


def test_a_trace_is_a_tree_with_times_and_bars() -> None:
    trace = Trace(
        TRACE,
        (
            span("pay", "checkout", start=6_000_000, end=12_000_000, kind="client"),
            span("pick", "checkout", start=0, end=3_000_000, attributes={"shelf": "A 7"}),
            span("checkout", start=0, end=12_000_000, kind="server"),
        ),
    )

    assert [text(line) for line in trace_lines(trace)] == [
        f"trace {TRACE}  shop  3 spans  12.0 ms",
        "  checkout  12.0 ms  ━━━━━━━━━━━━  server",
        '  ├─ pick   3.00 ms  ━━━           shelf="A 7"',
        "  └─ pay    6.00 ms        ━━━━━━  client",
    ]


def test_everything_that_can_be_said_of_a_span() -> None:
    events = (SpanEvent(0, "retry", {}),)
    links = (SpanLink(TRACE, "b", {}), SpanLink(TRACE, "c", {}))
    trace = Trace(
        TRACE,
        (
            span("a", "gone", status="error", status_message="no money", source=TILL),
            span("b", "a", status="error", events=events, links=links, source=NOBODY),
        ),
        frozenset({"b"}),
    )

    assert [text(line) for line in trace_lines(trace)] == [
        f"trace {TRACE}  till  2 spans  1.00 ms  again, with 1 more",
        "  a     1.00 ms  ━━━━━━━━━━━━  till  error: no money  parent not received",
        "  └─ b  1.00 ms  ━━━━━━━━━━━━  error  late  1 event  2 links",
    ]


def test_one_span_of_nobody() -> None:
    trace = Trace(TRACE, (span("a", source=NOBODY, end=0, kind="unspecified"),))

    assert [text(line) for line in trace_lines(trace)] == [
        f"trace {TRACE}  1 span  0 ns",
        "  a  0 ns  ━",
    ]


def test_many_attributes_are_cut_and_counted() -> None:
    attributes: dict[str, Any] = {f"key{number}": number for number in range(12)}
    trace = Trace(TRACE, (span("a", attributes={"exception.stacktrace": "long", **attributes}),))

    line = text(trace_lines(trace)[1])

    assert "key9=9  … 2 more" in line
    assert "stacktrace" not in line


@given(
    st.lists(
        st.tuples(st.text(max_size=5), st.integers(0, 2**63), st.integers(0, 2**63)), min_size=1
    )
)
def test_no_trace_is_too_strange_to_be_shown(parts: list[tuple[str, int, int]]) -> None:
    spans = tuple(
        span(str(index), name=name, start=start, end=end, attributes={name: name})
        for index, (name, start, end) in enumerate(parts)
    )

    lines = [text(line) for line in trace_lines(Trace(TRACE, spans))]

    assert len(lines) == len(spans) + 1
    assert all(line.isprintable() for line in lines)


# -- Log records -----------------------------------------------------------------------------------


@pytest.fixture
def in_utc(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("in_utc")
@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, "22:13:20.123  INFO   shop.order.placed  shop"),
        (
            {"attributes": {"count": 3}, "trace_id": TRACE, "severity": 24},
            "22:13:20.123  FATAL  shop.order.placed  count=3  shop  trace 0af76519",
        ),
        ({"severity": 1}, "22:13:20.123  TRACE  shop.order.placed  shop"),
        ({"severity": 13}, "22:13:20.123  WARN   shop.order.placed  shop"),
        ({"severity": 99}, "22:13:20.123  FATAL  shop.order.placed  shop"),
        (
            {"event_name": "", "body": "a plain\x1b[31m message", "severity": 0},
            '22:13:20.123         "a plain\\u001b[31m message"  shop',
        ),
        (
            {"event_name": "", "body": {"a": [1, b"\x00"]}, "source": NOBODY},
            '22:13:20.123  INFO   {"a":[1,"00"]}',
        ),
        ({"time": 0, "observed": 1_000_000}, "00:00:00.001  INFO   shop.order.placed  shop"),
        ({"time": 0}, "              INFO   shop.order.placed  shop"),
        ({"time": 2**64 - 1}, "23:34:33.709  INFO   shop.order.placed  shop"),
    ],
)
def test_a_log_record_is_one_line(given: dict[str, Any], expected: str) -> None:
    assert text(log_line(log(**given))) == expected


def test_a_time_that_no_calendar_has_is_left_out() -> None:
    assert text(log_line(log(time=10**30))) == "              INFO   shop.order.placed  shop"


def test_texts_are_cut_and_harmless() -> None:
    assert shown("abc", 3) == "abc"
    assert shown("abcd", 3) == "ab…"
    assert shown("\x1b[2J") == '"\\u001b[2J"'
    assert shown("a\u202eb") == '"a\\u202eb"'


# -- Metrics ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (
            metric_row(metric(), number(3, shop="A", plan="B")),
            ("shop.orders", "shop=A  plan=B", "3", "{order}", "counter"),
        ),
        (
            metric_row(metric(monotonic=False, temporality="delta"), number(0.123456)),
            ("shop.orders", "", "0.1235", "{order}", "up-down counter, delta"),
        ),
        (
            metric_row(metric(kind="gauge", temporality=None), number(None)),
            ("shop.orders", "", "none", "{order}", "gauge"),
        ),
        (
            metric_row(
                metric(kind="histogram"), histogram((0, 4, 0), (1.0, 3.0), sum=8.0, max=3.0)
            ),
            (
                "shop.orders",
                "",
                "count 4  sum 8  p50 ≈2  p95 ≈2.9  p99 ≈2.98  max 3",
                "{order}",
                "histogram",
            ),
        ),
        (
            metric_row(metric(kind="exponential_histogram"), exponential()),
            ("shop.orders", "", "count 0", "{order}", "exponential histogram"),
        ),
        (
            metric_row(
                metric(kind="summary", temporality=None),
                SummaryPoint({}, 0, 0, 2, 3.0, ((0.5, 1.5), (0.999, 2.0))),
            ),
            ("shop.orders", "", "count 2  sum 3  p50 1.5  p99.9 2", "{order}", "summary"),
        ),
    ],
)
def test_a_series_is_one_row(row: tuple[str, ...], expected: tuple[str, ...]) -> None:
    assert row == expected


# -- What is shown when ----------------------------------------------------------------------------

MOMENTS = Moments(quiet=1, patience=5, longest=10)


def test_log_records_are_shown_at_once() -> None:
    viewer = Viewer(MOMENTS)

    (view,) = viewer.add(Batch(logs=(log(), log())), 0)

    assert isinstance(view, Lines)
    assert len(view.lines) == 2
    assert viewer.next_due() is None


def test_traces_and_metrics_are_shown_when_it_is_quiet() -> None:
    viewer = Viewer(MOMENTS)

    assert viewer.add(Batch(spans=(span("root"),)), 0) == []
    assert viewer.add(Batch(metrics=(metric(number(1), number(2, shop="A")),)), 0.5) == []
    assert viewer.next_due() == 1
    assert viewer.due(0.9) == []
    (trace,) = viewer.due(1)
    assert isinstance(trace, Lines)
    assert viewer.next_due() == 1.5
    (table,) = viewer.due(1.5)
    assert isinstance(table, Rows)
    assert (table.service, len(table.rows)) == ("shop", 2)
    assert viewer.next_due() is None


def test_of_a_series_the_latest_is_shown_and_services_are_apart() -> None:
    viewer = Viewer(MOMENTS)
    viewer.add(Batch(metrics=(metric(number(1)),)), 0)
    viewer.add(Batch(metrics=(metric(number(2)), metric(number(5), source=TILL))), 0)

    views = viewer.rest()

    assert [
        (view.service, [row[2] for row in view.rows]) for view in views if isinstance(view, Rows)
    ] == [
        ("shop", ["2"]),
        ("till", ["5"]),
    ]
    assert viewer.rest() == []


def test_metrics_that_never_stop_are_shown_meanwhile() -> None:
    viewer = Viewer(MOMENTS)
    for moment in range(20):
        viewer.add(Batch(metrics=(metric(number(moment)),)), moment / 2)

    assert viewer.next_due() == 10
    assert len(viewer.due(10)) == 1


def test_more_series_than_are_held_are_shown_early() -> None:
    viewer = Viewer(MOMENTS, capacity=2)

    views = viewer.add(Batch(metrics=(metric(*(number(1, shop=n) for n in range(3))),)), 0)

    assert [len(view.rows) for view in views if isinstance(view, Rows)] == [2]
    assert len(viewer.rest()) == 1


def test_what_is_left_is_shown_at_the_end() -> None:
    viewer = Viewer(MOMENTS)
    viewer.add(Batch(spans=(span("child", "root"),)), 0)

    assert len(viewer.rest()) == 1


# -- For programs ----------------------------------------------------------------------------------


def test_a_span_for_programs() -> None:
    each = span(
        "a",
        "b",
        attributes={"octets": b"\x00", "list": [math.inf, {"deep": math.nan}]},
        events=(SpanEvent(1, "retry", {"least": -math.inf}),),
        links=(SpanLink(TRACE, "c", {}),),
    )

    (found,) = objects(Batch(spans=(each,)))

    assert found == {
        "kind": "span",
        "trace_id": TRACE,
        "span_id": "a",
        "parent_id": "b",
        "name": "a",
        "span_kind": "internal",
        "start": 0,
        "end": 1_000_000,
        "duration": 1_000_000,
        "status": "unset",
        "status_message": "",
        "attributes": {"octets": "00", "list": ["Infinity", {"deep": "NaN"}]},
        "events": [{"time": 1, "name": "retry", "attributes": {"least": "-Infinity"}}],
        "links": [{"trace_id": TRACE, "span_id": "c", "attributes": {}}],
        "trace_state": "",
        "flags": 1,
        "resource": {"service.name": "shop"},
        "scope": {
            "name": "shop",
            "version": "1.0.0",
            "schema_url": "https://shop.example/1",
            "attributes": {},
        },
    }


def test_points_for_programs() -> None:
    batch = decode("metrics", metrics_request().SerializeToString(), "protobuf")

    found = list(objects(batch))

    common = {"kind", "name", "unit", "description", "metric_kind", "temporality", "monotonic"}
    common |= {"attributes", "start", "time", "resource", "scope"}
    told = [{key: value for key, value in each.items() if key not in common} for each in found]
    assert told[0] == {"value": 20.5}
    assert told[2] == {"value": 3}
    totals = {"count": 3, "sum": 6.0, "min": 1.0, "max": 3.0}
    assert told[3] == totals | {"bounds": [2.0], "bucket_counts": [1, 2]}
    assert told[5] == {
        "count": 3,
        "sum": 1.0,
        "min": -1.0,
        "max": 2.0,
        "scale": 1,
        "zero_count": 1,
        "positive": {"offset": 2, "bucket_counts": [1]},
        "negative": {"offset": -1, "bucket_counts": [1]},
    }
    assert told[7] == {"count": 2, "sum": 3.0, "quantiles": [{"quantile": 0.5, "value": 1.5}]}
    assert (found[2]["metric_kind"], found[2]["temporality"], found[2]["monotonic"]) == (
        "sum",
        "delta",
        True,
    )


def test_log_records_for_programs() -> None:
    (found,) = objects(Batch(logs=(log(body=b"\xff", trace_id=TRACE),)))

    assert found["kind"] == "log"
    assert (found["body"], found["trace_id"], found["span_id"]) == ("ff", TRACE, None)
    assert found["scope"]["name"] == SOURCE.scope.name
    assert json.dumps(found, allow_nan=False)
