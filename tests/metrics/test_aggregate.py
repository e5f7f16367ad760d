# SPDX-License-Identifier: Apache-2.0
"""Aggregation on observation: what collections say, and what is left behind."""

from __future__ import annotations

import gc
import os
import signal
import threading
import tracemalloc
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from heliograph import Error, Ok, Telemetry, metrics, spans
from heliograph.metrics import Aggregate, Definition
from heliograph.metrics.points import (
    OVERFLOW,
    ExponentialPoint,
    HistogramPoint,
    NumberPoint,
)

EVENT = "shop.order.placed"


class Clock:
    """Each look at it is a nanosecond later."""

    def __init__(self) -> None:
        self.time = 0

    def __call__(self) -> int:
        self.time += 1
        return self.time


@pytest.fixture(autouse=True)
def clock() -> Iterator[Clock]:
    clock = Clock()
    before = spans.set_sources(lambda: 0, clock, lambda: 0)
    yield clock
    spans.set_sources(*before)


@pytest.fixture
def telemetry() -> Telemetry:
    return Telemetry()


Keep = Callable[..., Aggregate]


@pytest.fixture
def keep(telemetry: Telemetry) -> Keep:
    def keep(*definitions: Definition, **options: Any) -> Aggregate:
        aggregate = Aggregate(definitions, telemetry=telemetry, **options)
        aggregate.attach()
        return aggregate

    return keep


def points(aggregate: Aggregate, *how: Any, now: int = 1000) -> dict[str, tuple[Any, ...]]:
    return {each.name: each.points for each in aggregate.collect(*how, now=now)}


ORDERS = metrics.counter("shop.orders", event=EVENT, tags=["country"])
TOTAL = metrics.sum("shop.total", event=EVENT, measurement="total", tags=["country"])
STOCK = metrics.sum(
    "shop.stock", event=EVENT, measurement="stock", tags=["country"], monotonic=False
)
OPEN = metrics.last_value("shop.open", event=EVENT, measurement="open", tags=["country"])
SIZES = metrics.histogram(
    "shop.sizes", event=EVENT, measurement="total", tags=["country"], buckets=[1, 2]
)
SPREAD = metrics.histogram(
    "shop.spread", event=EVENT, measurement="total", tags=["country"], buckets="exponential"
)
RANGE = metrics.summary("shop.range", event=EVENT, measurement="total", tags=["country"])
ALL = (ORDERS, TOTAL, STOCK, OPEN, SIZES, SPREAD, RANGE)


def place(telemetry: Telemetry, total: Any = 1, country: Any = "de") -> None:
    measurements = {"total": total, "stock": -total, "open": total}
    telemetry.execute(EVENT, measurements, {"country": country})


# -- Collections -----------------------------------------------------------------------------------


def test_cumulative_points_are_totals_since_the_first_observation(
    telemetry: Telemetry, keep: Keep
) -> None:
    aggregate = keep(*ALL)
    place(telemetry, 1)
    place(telemetry, 2)
    de = {"country": "de"}
    expected = {
        "shop.orders": (NumberPoint(de, 1, 1000, 2),),
        "shop.total": (NumberPoint(de, 1, 1000, 3),),
        "shop.stock": (NumberPoint(de, 1, 1000, -3),),
        "shop.open": (NumberPoint(de, None, 1000, 2),),
        "shop.sizes": (HistogramPoint(de, 1, 1000, 2, 3, 1, 2, (1, 2), (1, 1, 0)),),
        "shop.spread": (ExponentialPoint(de, 1, 1000, 2, 3, 1, 2, 7, 0, -1, (1, *[0] * 127, 1)),),
        "shop.range": (HistogramPoint(de, 1, 1000, 2, 3, 1, 2, (), (2,)),),
    }
    assert points(aggregate) == expected
    assert points(aggregate) == expected
    assert aggregate.series == 1


def test_deltas_are_what_came_since_the_last_collection(telemetry: Telemetry, keep: Keep) -> None:
    aggregate = keep(*ALL)
    place(telemetry, 1)
    place(telemetry, 5, country="at")
    first = points(aggregate, "delta", now=100)
    assert [(p.attributes["country"], p.value) for p in first["shop.orders"]] == [
        ("de", 1),
        ("at", 1),
    ]
    assert {p.start_time for p in first["shop.orders"]} < {1, 2, 3}
    place(telemetry, 2)
    second = points(aggregate, "delta", now=200)
    de = {"country": "de"}
    assert second["shop.orders"] == (NumberPoint(de, 100, 200, 1),)
    assert second["shop.total"] == (NumberPoint(de, 100, 200, 2),)
    assert second["shop.sizes"] == (HistogramPoint(de, 100, 200, 1, 2, 2, 2, (1, 2), (0, 1, 0)),)
    assert second["shop.spread"] == (
        ExponentialPoint(de, 100, 200, 1, 2, 2, 2, 20, 0, 2**20 - 1, (1,)),
    )
    assert second["shop.range"] == (HistogramPoint(de, 100, 200, 1, 2, 2, 2, (), (1,)),)
    # What has no deltas goes on.
    assert [(p.start_time, p.value) for p in second["shop.stock"]] == [(1, -3), (2, -5)]
    assert [p.value for p in second["shop.open"]] == [2, 5]
    assert [each.temporality for each in aggregate.collect("delta")] == ["cumulative"] * 2


def test_deltas_alone_give_their_rows_back(telemetry: Telemetry, keep: Keep) -> None:
    definition = metrics.counter("shop.orders", event=EVENT, tags=["id"], cardinality_limit=2)
    aggregate = keep(definition)
    for number in range(4):
        telemetry.execute(EVENT, {}, {"id": f"id{number}"})
    [metric] = aggregate.collect("delta")
    assert [p.attributes for p in metric.points] == [{"id": "id0"}, {"id": "id1"}, {OVERFLOW: True}]
    assert aggregate.series == 0
    telemetry.execute(EVENT, {}, {"id": "id3"})
    [metric] = aggregate.collect("delta")
    assert [p.attributes for p in metric.points] == [{"id": "id3"}]
    assert aggregate.collect("delta") == ()


def test_an_overflow_goes_on_where_totals_do(telemetry: Telemetry, keep: Keep) -> None:
    aggregate = keep(
        metrics.counter("shop.orders", event=EVENT, tags=["id"], cardinality_limit=1),
        metrics.last_value("shop.open", event=EVENT, measurement="n", tags=["id"],
                           cardinality_limit=1),
    )  # fmt: skip
    for number in range(3):
        telemetry.execute(EVENT, {"n": number}, {"id": f"id{number}"})
    assert len(points(aggregate, "delta")["shop.orders"]) == 2
    again = points(aggregate, "delta")
    assert "shop.orders" not in again
    assert [(p.attributes, p.value) for p in again["shop.open"]] == [
        ({"id": "id0"}, 0),
        ({OVERFLOW: True}, 2),
    ]


def test_temporality_can_be_said_for_each_instrument(telemetry: Telemetry, keep: Keep) -> None:
    aggregate = keep(*ALL)
    place(telemetry)
    chosen = {each.name: each.temporality for each in aggregate.collect({"histogram": "delta"})}
    assert chosen == {
        "shop.orders": "cumulative",
        "shop.total": "cumulative",
        "shop.stock": "cumulative",
        "shop.open": "cumulative",
        "shop.sizes": "delta",
        "shop.spread": "delta",
        "shop.range": "delta",
    }


@pytest.mark.parametrize(
    "temporality", ["Delta", 3, {"sum": "delta"}, {"counter": "monthly"}], ids=repr
)
def test_an_unknown_temporality_is_refused(keep: Keep, temporality: Any) -> None:
    with pytest.raises(ValueError, match="write 'cumulative' or 'delta'"):
        keep(*ALL).collect(temporality)


def test_collected_points_do_not_change_afterwards(telemetry: Telemetry, keep: Keep) -> None:
    aggregate = keep(*ALL)
    place(telemetry)
    before = points(aggregate)
    told = repr(before)
    place(telemetry)
    assert repr(before) == told


def test_metrics_come_in_the_order_of_their_definitions(telemetry: Telemetry, keep: Keep) -> None:
    other = metrics.counter("shop.others", event=EVENT)
    aggregate = keep(SIZES, other, ORDERS)
    place(telemetry)
    assert [each.name for each in aggregate.collect()] == [
        "shop.sizes",
        "shop.others",
        "shop.orders",
    ]


def test_points_say_whose_they_are_and_what(telemetry: Telemetry, keep: Keep) -> None:
    aggregate = keep(metrics.sum("shop.total", event=EVENT, unit="By", description="All"))
    telemetry.execute(EVENT, {"total": 1})
    [metric] = aggregate.collect()
    said = (metric.unit, metric.description, metric.instrument, metric.monotonic, metric.scope.name)
    assert said == ("By", "All", "sum", True, "heliograph.metrics")
    assert metric.points[0].time == 2  # the clock's


def test_many_series_are_collected_while_they_grow(telemetry: Telemetry, keep: Keep) -> None:
    aggregate = keep(ORDERS)
    for number in range(1000):
        place(telemetry, country=f"c{number}")
    done = threading.Event()

    def grow() -> None:
        number = 0
        while not done.is_set():
            number += 1
            place(telemetry, country=f"d{number % 900}")

    thread = threading.Thread(target=grow)
    thread.start()
    try:
        for _ in range(20):
            [metric] = aggregate.collect()
            assert len(metric.points) >= 1000
    finally:
        done.set()
        thread.join()


def test_memory_depends_on_the_series_and_not_on_the_observations(
    telemetry: Telemetry, keep: Keep
) -> None:
    aggregate = keep(*ALL, exemplar=lambda: (1, 2))

    def work() -> None:
        for number in range(5_000):
            place(telemetry, number % 100, country=f"c{number % 7}")

    work()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        for _ in range(3):
            work()
        gc.collect()
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < 100_000
    assert aggregate.series == 7


def test_a_hundred_thousand_series_take_the_rows_of_the_limit(
    telemetry: Telemetry, keep: Keep
) -> None:
    aggregate = keep(ORDERS)
    for number in range(100_000):
        place(telemetry, country=f"c{number}")
    assert aggregate.series == 2001
    found = points(aggregate)["shop.orders"]
    assert found[-1].attributes == {OVERFLOW: True}
    assert found[-1].value == 98_000


# -- Exact values ----------------------------------------------------------------------------------


def test_sums_of_integers_beyond_what_otlp_has_become_floating_point(
    telemetry: Telemetry, keep: Keep
) -> None:
    aggregate = keep(TOTAL)
    for _ in range(2):
        place(telemetry, 2**63 - 1)
    [point] = points(aggregate)["shop.total"]
    assert isinstance(point.value, float)
    assert point.value == 2.0**64


@pytest.mark.parametrize("unit", ["ns", "us", "ms", "s", "min", "h"])
def test_every_integer_is_in_the_bucket_of_its_converted_value(
    telemetry: Telemetry, keep: Keep, unit: str
) -> None:
    bounds = [-1, 0, 0.005, 0.1, 1, 1.1, 2.5, 1e30]
    definition = metrics.histogram(
        "a.b", unit=unit, measurement_unit="ns", measurement="b", buckets=bounds
    )
    aggregate = keep(definition)
    wholes = [0]
    for bound in bounds[2:-1]:
        near = round(bound / float(definition.factor))
        wholes += [near - 1, near, near + 1] if near else []
    for whole in wholes:
        telemetry.execute("a", {"b": whole})
        telemetry.execute("a", {"b": float(whole)})
    [point] = points(aggregate)["a.b"]
    factor = definition.factor
    values = [whole * factor.numerator / factor.denominator for whole in wholes]
    expected = [0] * (len(bounds) + 1)
    for value in values:
        expected[sum(value > bound for bound in bounds)] += 2
    assert list(point.counts) == expected
    assert point.sum == pytest.approx(2 * sum(values))


# -- What is skipped -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "missing"),
        ("3", "not_a_number"),
        (True, "not_a_number"),
        (1j, "not_a_number"),
        (float("nan"), "not_finite"),
        (float("-inf"), "not_finite"),
        (2**63, "not_finite"),
        (-1, "negative"),
        (-0.5, "negative"),
    ],
)
def test_a_skipped_point_is_counted_under_its_reason(
    telemetry: Telemetry, keep: Keep, value: Any, reason: str
) -> None:
    aggregate = keep(TOTAL, ORDERS)
    telemetry.execute(EVENT, {"total": value}, {"country": "de"})
    assert aggregate.skipped == {("shop.total", reason): 1}
    assert set(points(aggregate)) == {"shop.orders"}


def test_an_absent_measurement_is_missing(telemetry: Telemetry, keep: Keep) -> None:
    aggregate = keep(TOTAL)
    telemetry.execute(EVENT, {}, {"country": "de"})
    telemetry.execute(EVENT, {})
    assert aggregate.skipped == {("shop.total", "missing"): 2}
    assert aggregate.collect() == ()
    assert aggregate.series == 0


def test_what_is_too_great_once_converted_is_not_finite(telemetry: Telemetry, keep: Keep) -> None:
    aggregate = keep(metrics.sum("a.b", unit="ns", measurement_unit="d"))
    telemetry.execute("a", {"b": 1e300})
    telemetry.execute("a", {"b": 1.5})
    assert aggregate.skipped == {("a.b", "not_finite"): 1}
    assert points(aggregate)["a.b"][0].value == 1.5 * 86400e9


def test_functions_that_fail_are_counted(telemetry: Telemetry, keep: Keep) -> None:
    def fail(*_: Any) -> Any:
        raise RuntimeError("no")

    aggregate = keep(
        metrics.sum("shop.measured", event=EVENT, measurement=fail),
        metrics.counter("shop.kept", event=EVENT, keep=fail),
        metrics.counter("shop.tagged", event=EVENT, tags=fail),
    )
    telemetry.execute(EVENT, {})
    assert aggregate.skipped == {
        ("shop.measured", "failed"): 1,
        ("shop.kept", "failed"): 1,
        ("shop.tagged", "failed"): 1,
    }


def test_numbers_whose_own_methods_fail_are_counted(telemetry: Telemetry, keep: Keep) -> None:
    class Broken(float):
        def __float__(self) -> float:
            raise RuntimeError("no")

    aggregate = keep(TOTAL)
    place(telemetry, Broken(1))
    assert aggregate.skipped == {("shop.total", "failed"): 1}


def test_a_tag_left_out_is_counted_and_the_point_kept(telemetry: Telemetry, keep: Keep) -> None:
    aggregate = keep(ORDERS)
    place(telemetry, country=["de"])
    assert aggregate.skipped == {("shop.orders", "unfit_tag"): 1}
    assert points(aggregate)["shop.orders"][0].attributes == {}


# -- Exemplars -------------------------------------------------------------------------------------


class Current:
    span: tuple[int, int] | None = None

    def __call__(self) -> tuple[int, int] | None:
        return self.span


def test_points_carry_the_span_of_an_observation(telemetry: Telemetry, keep: Keep) -> None:
    current = Current()
    aggregate = keep(*ALL, exemplar=current)
    place(telemetry, 1)
    assert all(p.exemplars == () for each in points(aggregate).values() for p in each)
    current.span = (7, 8)
    place(telemetry, 2)
    found = points(aggregate)
    values = {"shop.orders": 1, "shop.stock": -2}
    for name, each in found.items():
        [exemplar] = each[0].exemplars
        assert (exemplar.trace_id, exemplar.span_id) == (7, 8)
        assert (exemplar.value, exemplar.attributes) == (values.get(name, 2), {})


def test_exemplars_are_of_one_period(telemetry: Telemetry, keep: Keep) -> None:
    current = Current()
    aggregate = keep(*ALL, exemplar=current)
    current.span = (7, 8)
    place(telemetry, 2)
    current.span = None
    first, second = points(aggregate), points(aggregate)
    assert {name: len(each[0].exemplars) for name, each in first.items()} == dict.fromkeys(first, 1)
    assert {name: each[0].exemplars for name, each in second.items()} == dict.fromkeys(first, ())


def test_a_histogram_keeps_the_latest_of_each_bucket(telemetry: Telemetry, keep: Keep) -> None:
    current = Current()
    aggregate = keep(SIZES, RANGE, exemplar=current)
    for number, total in enumerate([3, 1, 2, 9, 0.5]):
        current.span = (7, number)
        place(telemetry, total)
    found = points(aggregate)
    assert [(e.value, e.span_id) for e in found["shop.sizes"][0].exemplars] == [
        (0.5, 4),
        (2, 2),
        (9, 3),
    ]
    assert [e.span_id for e in found["shop.range"][0].exemplars] == [4]


def test_of_many_observations_each_is_as_likely_as_another(
    telemetry: Telemetry, keep: Keep
) -> None:
    current = Current()
    aggregate = keep(ORDERS, SPREAD, exemplar=current)
    chosen = [0] * 4
    for _ in range(2000):
        for number in range(4):
            current.span = (7, number)
            place(telemetry)
        [point] = points(aggregate)["shop.orders"]
        [exemplar] = point.exemplars
        chosen[exemplar.span_id] += 1
    assert min(chosen) > 400
    for number in range(200):
        current.span = (7, number)
        place(telemetry)
    spread = points(aggregate)["shop.spread"][0].exemplars
    assert len({e.span_id for e in spread}) == 20
    assert max(e.span_id for e in spread) > 20


def test_exemplars_of_an_overflow_have_the_tags_it_lost(telemetry: Telemetry, keep: Keep) -> None:
    current = Current()
    current.span = (7, 8)
    definitions = [
        metrics.counter("shop.keys", event=EVENT, tags=["id"], cardinality_limit=1),
        metrics.counter("shop.function", event=EVENT, tags=dict, cardinality_limit=1),
    ]
    aggregate = keep(*definitions, exemplar=current)
    telemetry.execute(EVENT, {}, {"id": "a"})
    telemetry.execute(EVENT, {}, {"id": 1})
    for each in points(aggregate).values():
        assert [e.attributes for p in each for e in p.exemplars] == [{}, {"id": 1}]
    telemetry.execute(EVENT, {}, {"id": "c"})
    for each in points(aggregate).values():
        assert [e.attributes for p in each for e in p.exemplars] == [{"id": "c"}]


def test_events_taken_with_care_give_exemplars_too(telemetry: Telemetry, keep: Keep) -> None:
    current = Current()
    current.span = (7, 8)
    aggregate = keep(ORDERS, TOTAL, SIZES, SPREAD, exemplar=current)
    telemetry.execute(EVENT, {"total": None}, {"country": "de"})
    found = points(aggregate)
    assert [len(p.exemplars) for p in found["shop.orders"]] == [1]
    telemetry.execute(EVENT, {}, {"country": "de"})
    telemetry.execute(EVENT, {"total": 2}, {"country": 3})
    place(telemetry, 2)
    found = points(aggregate)
    assert [[e.value for e in p.exemplars] for p in found["shop.sizes"]] == [[2], [2]]
    # The one observation that was kept for all had no total.
    telemetry.execute(EVENT, {}, {"country": "de"})
    telemetry.execute(EVENT, {}, {"country": "de"})
    assert [p.exemplars for p in points(aggregate)["shop.total"]] == [(), ()]


def test_an_exemplar_source_that_fails_costs_the_point(telemetry: Telemetry, keep: Keep) -> None:
    def fail() -> None:
        raise RuntimeError("no")

    aggregate = keep(ORDERS, exemplar=fail)
    place(telemetry)
    assert aggregate.skipped == {("shop.orders", "failed"): 1}


# -- Histograms that somebody else keeps -----------------------------------------------------------


def test_values_are_handed_on(telemetry: Telemetry, keep: Keep) -> None:
    handed: list[tuple[float, Mapping[str, Any]]] = []
    definition = metrics.histogram(
        "shop.duration", event=EVENT, measurement="d", unit="s", measurement_unit="ms",
        tags=["country"], keep={"paid": [True]},
    )  # fmt: skip
    records = {definition: lambda value, tags: handed.append((value, dict(tags)))}
    aggregate = keep(definition, ORDERS, records=records)
    telemetry.execute(EVENT, {"d": 1500}, {"country": "de", "paid": True})
    telemetry.execute(EVENT, {"d": 1500}, {"country": "de", "paid": False})
    telemetry.execute(EVENT, {"d": 2500.0}, {"country": "de", "paid": True})
    telemetry.execute(EVENT, {"d": 500}, {"country": 5, "paid": True})
    telemetry.execute(EVENT, {"d": -1}, {"country": "de", "paid": True})
    assert handed == [
        (1.5, {"country": "de"}),
        (2.5, {"country": "de"}),
        (0.5, {"country": 5}),
    ]
    assert set(points(aggregate)) == {"shop.orders"}


def test_who_fails_to_take_a_value_does_no_harm(telemetry: Telemetry, keep: Keep) -> None:
    def fail(*_: Any) -> None:
        raise RuntimeError("no")

    aggregate = keep(SIZES, ORDERS, records={SIZES: fail})
    place(telemetry)
    place(telemetry, country=["odd"])
    assert aggregate.skipped == {
        ("shop.sizes", "failed"): 2,
        ("shop.sizes", "unfit_tag"): 1,
        ("shop.orders", "unfit_tag"): 1,
    }
    assert len(points(aggregate)["shop.orders"]) == 2
    assert telemetry.list_handlers()[0].failures == 0


# -- Handlers --------------------------------------------------------------------------------------


def test_attaching_and_detaching_twice_is_once(telemetry: Telemetry, keep: Keep) -> None:
    aggregate = keep(ORDERS)
    aggregate.attach()
    assert len(telemetry.list_handlers()) == 1
    assert repr(aggregate) == "<aggregate of 1 metrics, attached>"
    place(telemetry)
    aggregate.detach()
    aggregate.detach()
    assert telemetry.list_handlers() == []
    assert repr(aggregate) == "<aggregate of 1 metrics, detached>"
    place(telemetry)
    assert points(aggregate)["shop.orders"][0].value == 1


def test_it_can_be_attached_event_by_event(telemetry: Telemetry) -> None:
    aggregate = Aggregate([metrics.counter("x", event=["a", "b"])], telemetry=telemetry)
    aggregate.attach(["b"])
    telemetry.attach("between", "a", lambda *_: None)
    aggregate.attach()
    assert [info.event for info in telemetry.list_handlers()] == ["b", "a", "a"]
    with pytest.raises(KeyError):
        aggregate.attach(["c"])
    aggregate.detach()
    assert [info.handler_id for info in telemetry.list_handlers()] == ["between"]


def test_it_is_attached_while_its_with_block_runs(telemetry: Telemetry) -> None:
    with Aggregate([ORDERS], telemetry=telemetry) as aggregate:
        place(telemetry)
    place(telemetry)
    assert points(aggregate)["shop.orders"][0].value == 1


def test_a_handler_that_somebody_else_detached_is_no_error(
    telemetry: Telemetry, keep: Keep
) -> None:
    aggregate = keep(ORDERS)
    [info] = telemetry.list_handlers()
    telemetry.detach(info.handler_id)
    aggregate.detach()


def test_the_default_dispatcher_is_the_default() -> None:
    import heliograph

    with Aggregate([metrics.counter("heliograph.test.a.b")]) as aggregate:
        heliograph.execute("heliograph.test.a", {})
    assert points(aggregate)["heliograph.test.a.b"][0].value == 1


def test_an_event_executed_while_its_lock_is_held_is_counted(
    telemetry: Telemetry, keep: Keep
) -> None:
    # As a finaliser or a signal handler may.
    aggregate = keep(ORDERS)

    class Clock:
        busy = False

        def __call__(self) -> int:
            if not self.busy:
                self.busy = True
                place(telemetry, country="at")
            return 1

    before = spans.set_sources(lambda: 0, Clock(), lambda: 0)
    place(telemetry, country="de")
    spans.set_sources(*before)
    found = {p.attributes["country"]: p.value for p in points(aggregate)["shop.orders"]}
    assert found == {"at": 1, "de": 1}


def test_numbers_are_there_for_whoever_reads_one_metric(telemetry: Telemetry, keep: Keep) -> None:
    aggregate = keep(*ALL)
    place(telemetry, 2)
    telemetry.execute(EVENT, {}, {"country": "at"})
    assert aggregate.numbers(ORDERS) == [({"country": "de"}, 1, None), ({"country": "at"}, 1, None)]
    assert aggregate.numbers(TOTAL) == [({"country": "de"}, 2, None)]
    assert aggregate.numbers(OPEN) == [({"country": "de"}, 2, None)]
    with pytest.raises(LookupError):
        aggregate.numbers(metrics.counter("a.b"))


def test_numbers_come_with_an_exemplar_each_until_it_was_told(telemetry: Telemetry) -> None:
    aggregate = metrics.Aggregate(ALL, telemetry=telemetry, exemplar=lambda: (1, 2))

    def exemplars(definition: Definition) -> list[Any]:
        found = [exemplar for _, _, exemplar in aggregate.numbers(definition)]
        return [one and (one.value, one.trace_id, one.span_id) for one in found]

    with aggregate:
        place(telemetry, 2)
        # The instruments of one row are asked one after the other, and none takes another's.
        assert exemplars(ORDERS) == [(1, 1, 2)]
        assert exemplars(TOTAL) == [(2, 1, 2)]
        assert exemplars(ORDERS) == [None]
        place(telemetry, 3)
        assert exemplars(TOTAL) == [(3, 1, 2)]
        assert exemplars(ORDERS) == [(1, 1, 2)]
        telemetry.execute(EVENT, {}, {"country": "de"})
        assert exemplars(TOTAL) == [None]
        assert exemplars(ORDERS) == [(1, 1, 2)]


GONE = "shop.closed"


def level(**options: Any) -> Definition:
    tags = {"event": EVENT, "measurement": "count", "tags": ["country", "floor", "open"]}
    return metrics.last_value("shop.level", **{**tags, "ended_by": GONE, **options})


def levels(aggregate: Aggregate, name: str = "shop.level") -> list[Mapping[str, Any]]:
    return [dict(each.attributes) for each in points(aggregate).get(name, ())]


def test_an_event_ends_the_series_that_have_its_tags(telemetry: Telemetry, keep: Keep) -> None:
    aggregate = keep(level())
    for country, floor in (("de", 1), ("de", 2), ("at", 1)):
        telemetry.execute(EVENT, {"count": 3}, {"country": country, "floor": floor})

    telemetry.execute(GONE, {}, {"country": "de", "floor": 2, "other": "at"})
    assert levels(aggregate) == [
        {"country": "de", "floor": 1},
        {"country": "at", "floor": 1},
    ]
    telemetry.execute(GONE, {}, {"country": "de", "floor": None})
    assert levels(aggregate) == [{"country": "at", "floor": 1}]
    assert aggregate.series == 1

    telemetry.execute(EVENT, {"count": 4}, {"country": "de", "floor": 1})
    assert [each.value for each in points(aggregate)["shop.level"]] == [3, 4]


def test_an_event_without_the_tags_ends_nothing(telemetry: Telemetry, keep: Keep) -> None:
    aggregate = keep(level())
    telemetry.execute(EVENT, {"count": 3}, {"country": "de"})

    telemetry.execute(GONE, {}, {"town": "de"})
    telemetry.execute(GONE, {}, {"country": "at"})
    telemetry.execute(GONE, {}, {"country": object()})

    assert levels(aggregate) == [{"country": "de"}]
    assert aggregate.skipped == {("shop.level", "unfit_tag"): 1}


def test_one_and_true_end_different_series(telemetry: Telemetry, keep: Keep) -> None:
    aggregate = keep(level())
    telemetry.execute(EVENT, {"count": 3}, {"open": 1})
    telemetry.execute(EVENT, {"count": 3}, {"open": True})

    telemetry.execute(GONE, {}, {"open": True})

    assert levels(aggregate) == [{"open": 1}]


def test_what_was_counted_beside_an_ended_value_stays(telemetry: Telemetry, keep: Keep) -> None:
    tags = ["country", "floor", "open"]
    aggregate = keep(level(), metrics.counter("shop.orders", event=EVENT, tags=tags))
    telemetry.execute(EVENT, {"count": 3}, {"country": "de"})
    telemetry.execute(EVENT, {"count": "odd"}, {"country": "de"})

    telemetry.execute(GONE, {}, {"country": "de"})

    assert levels(aggregate) == []
    assert points(aggregate)["shop.orders"][0].value == 2
    telemetry.execute(EVENT, {"count": 5}, {"country": "de"})
    telemetry.execute(GONE, {}, {"country": "de"})
    telemetry.execute(EVENT, {"count": 6}, {"country": "de"})
    assert [each.value for each in points(aggregate)["shop.level"]] == [6]
    assert points(aggregate)["shop.orders"][0].value == 4


def test_an_event_may_end_one_metric_and_feed_another(telemetry: Telemetry, keep: Keep) -> None:
    aggregate = keep(level(), metrics.counter("shop.closings", event=GONE))
    telemetry.execute(EVENT, {"count": 3}, {"country": "de"})

    telemetry.execute(GONE, {}, {"country": "de"})

    assert levels(aggregate) == []
    assert points(aggregate)["shop.closings"][0].value == 1


def test_ending_never_raises(keep: Keep) -> None:
    aggregate = keep(level())

    aggregate.handlers[GONE](GONE, {}, 3, None)  # type: ignore[arg-type]  # no mapping

    assert aggregate.skipped == {("shop.level", "failed"): 1}


def test_clear_begins_at_zero(telemetry: Telemetry, keep: Keep) -> None:
    aggregate = keep(*ALL)
    place(telemetry)
    aggregate.clear()
    assert aggregate.collect() == ()
    place(telemetry)
    assert points(aggregate)["shop.orders"][0].value == 1


def test_an_aggregate_is_forgotten_with_its_last_reference() -> None:
    import weakref

    gc.collect()
    aggregate = Aggregate([ORDERS])
    reference = weakref.ref(aggregate)
    del aggregate
    gc.collect()
    assert reference() is None


# -- The generated function ------------------------------------------------------------------------


def test_its_source_can_be_read(keep: Keep) -> None:
    aggregate = keep(ORDERS, metrics.counter("shop.free", event=EVENT, tags=dict))
    source = aggregate.source(EVENT)
    assert "metadata.get('country')" in source
    assert "apart_0(event, measurements, metadata)" in source
    with pytest.raises(LookupError):
        aggregate.source("a.b")


def test_names_cannot_get_into_it_but_as_text(telemetry: Telemetry, keep: Keep) -> None:
    evil = "x'] or __import__('os').abort() or metadata['"
    definition = metrics.sum(
        "shop.evil", event=EVENT, measurement=evil, tags=[evil], keep={evil: evil}
    )
    aggregate = keep(definition)
    telemetry.execute(EVENT, {evil: 1}, {evil: evil})
    assert points(aggregate)["shop.evil"][0].attributes == {evil: evil}


def test_conditions_of_mixed_types_hold_by_type(telemetry: Telemetry, keep: Keep) -> None:
    aggregate = keep(metrics.counter("a.b", keep={"x": [1, "1", True]}))
    for x in (1, 1.0, "1", True, 2, None, "2", False):
        telemetry.execute("a", {}, {"x": x})
    assert points(aggregate)["a.b"][0].value == 4


def test_error_types_come_from_the_first_source_that_has_one(
    telemetry: Telemetry, keep: Keep
) -> None:
    aggregate = keep(
        metrics.counter("a.b", tags=["error.type"]),
        metrics.counter("a.c", tags=["error.type", "x"]),
    )
    telemetry.execute("a", {}, {"result": Ok(), "reason": ValueError("x")})
    telemetry.execute("a", {}, {"result": Error("busy"), "reason": ValueError("x")})
    assert [p.attributes for p in points(aggregate)["a.b"]] == [
        {"error.type": "ValueError"},
        {"error.type": "busy"},
    ]


# -- Forks -----------------------------------------------------------------------------------------


def in_child(work: Callable[[], bytes]) -> bytes:
    """What `work` returns in a forked process, which must end within seconds."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        signal.alarm(20)
        try:
            os.write(writer, work())
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as stream:
        said = stream.read()
    os.waitpid(child, 0)
    return said


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.parametrize(("restart", "expected"), [(True, b"1"), (False, b"4")])
def test_a_child_begins_at_zero_unless_told_otherwise(
    telemetry: Telemetry, keep: Keep, restart: bool, expected: bytes
) -> None:
    aggregate = keep(ORDERS, restart_in_child=restart)
    for _ in range(3):
        place(telemetry)

    def work() -> bytes:
        place(telemetry)
        return str(points(aggregate)["shop.orders"][0].value).encode()

    assert in_child(work) == expected
    assert points(aggregate)["shop.orders"][0].value == 3


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_fork_in_the_middle_of_other_threads_work_leaves_no_lock_held(
    telemetry: Telemetry, keep: Keep
) -> None:
    aggregate = keep(*ALL)
    done = threading.Event()

    def work() -> None:
        while not done.is_set():
            place(telemetry)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(10):

            def count() -> bytes:
                place(telemetry, 2)
                telemetry.execute(EVENT, {})
                aggregate.collect("delta")
                return b"done"

            assert in_child(count) == b"done"
    finally:
        done.set()
        for thread in threads:
            thread.join()
