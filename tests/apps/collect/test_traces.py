# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.apps.collect.model import Span
from heliograph.apps.collect.traces import Moments, Trace, Traces, branches
from tests.apps.collect.samples import TRACE, span

MOMENTS = Moments(quiet=1, patience=10, longest=30)


def ids(traces: list[Trace]) -> list[list[str]]:
    return [[each.span_id for each in trace.spans] for trace in traces]


def test_a_trace_with_its_first_span_is_shown_after_a_quiet_moment() -> None:
    traces = Traces(MOMENTS)
    traces.add(span("child", "root"), 0)
    assert traces.next_due() == 10
    traces.add(span("root"), 1)

    assert traces.next_due() == 2
    assert traces.due(1.9) == []
    (shown,) = traces.due(2)
    assert shown == Trace(TRACE, (span("child", "root"), span("root")))
    assert traces.next_due() is None
    assert traces.due(100) == []


def test_what_comes_late_shows_the_trace_again() -> None:
    traces = Traces(MOMENTS)
    traces.add(span("root"), 0)
    traces.due(1)
    traces.add(span("late", "root"), 5)

    (shown,) = traces.due(6)

    assert ids([shown]) == [["root", "late"]]
    assert shown.late == {"late"}


def test_without_its_first_span_it_is_waited_for() -> None:
    traces = Traces(MOMENTS)
    traces.add(span("child", "root"), 0)

    assert traces.due(9) == []
    assert ids(traces.due(10)) == [["child"]]


def test_a_trace_that_goes_on_and_on_is_shown_meanwhile() -> None:
    traces = Traces(MOMENTS)
    shown = []
    for second in range(31):
        traces.add(span(f"child-{second}", "root"), second)
        shown += traces.due(second)

    assert [len(trace.spans) for trace in shown] == [31]


def test_a_span_that_is_sent_twice_is_there_once() -> None:
    traces = Traces(MOMENTS)
    traces.add(span("root"), 0)
    traces.add(span("root", name="again"), 0)

    assert [each.name for each in traces.due(1)[0].spans] == ["again"]


def test_what_is_held_is_bounded_and_nothing_is_lost() -> None:
    traces = Traces(MOMENTS, capacity=3)
    for number in range(3):
        traces.add(span("root", trace_id=f"trace-{number}"), 0)
    traces.add(span("child", "root", trace_id="trace-2"), 0)

    assert traces.next_due() == float("-inf")
    assert [each.trace_id for each in traces.due(0)] == ["trace-0"]
    assert [each.trace_id for each in traces.due(1)] == ["trace-1", "trace-2"]
    traces.add(span("root", trace_id="trace-3"), 2)  # pushes out what was shown
    assert [each.trace_id for each in traces.due(3)] == ["trace-3"]


def test_a_trace_that_is_larger_than_all_that_is_held_comes_in_parts() -> None:
    traces = Traces(MOMENTS, capacity=3)
    for number in range(9):
        traces.add(span(f"child-{number}", "root"), 0)

    assert ids(traces.rest()) == [
        ["child-0", "child-1", "child-2", "child-3"],
        ["child-4", "child-5", "child-6", "child-7"],
        ["child-8"],
    ]
    assert traces.rest() == []


def drawn(*spans: Span) -> list[str]:
    return [
        f"{branch.guide}{branch.span.span_id}{' ?' if branch.stray else ''}"
        for branch in branches(spans)
    ]


def test_children_are_below_their_parents_in_the_order_of_their_start() -> None:
    tree = drawn(
        span("b1", "b", start=3),
        span("b", "root", start=2),
        span("a", "root", start=1),
        span("a2", "a", start=3),
        span("a1", "a", start=2),
        span("root"),
    )

    assert tree == ["root", "├─ a", "│  ├─ a1", "│  └─ a2", "└─ b", "   └─ b1"]


@pytest.mark.parametrize(
    ("spans", "expected"),
    [
        ([span("a", "missing")], ["a ?"]),
        ([span("a", "a")], ["a ?"]),
        ([span("a", "b", start=1), span("b", "a", start=2)], ["a ?", "└─ b"]),
        (
            [span("c", "b", start=1), span("a", "b", start=2), span("b", "a", start=3)],
            ["c ?", "a ?", "└─ b"],
        ),
        ([span("a"), span("b")], ["a", "b"]),
    ],
)
def test_impossible_parents_are_shown_all_the_same(spans: list[Span], expected: list[str]) -> None:
    assert drawn(*spans) == expected


@given(st.lists(st.tuples(st.integers(0, 9), st.none() | st.integers(0, 9)), max_size=20))
def test_each_span_is_there_once_whatever_parents_they_claim(
    pairs: list[tuple[int, int | None]],
) -> None:
    spans = [span(str(own), None if parent is None else str(parent)) for own, parent in pairs]

    found = [branch.span.span_id for branch in branches(spans)]

    assert sorted(found) == sorted({each.span_id for each in spans})


def test_a_trace_may_be_very_deep() -> None:
    spans = [span("0"), *(span(str(n), str(n - 1)) for n in range(1, 5000))]

    assert len(branches(spans)) == 5000
