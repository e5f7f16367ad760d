# SPDX-License-Identifier: Apache-2.0
"""What a reporter of metric definitions must do, as tests for any reporter.

A reporter takes definitions, attaches to the events they are about, and can say what it counted.
To test one, subclass the suite in a test module and say how to make it:

    from heliograph.testing.reporters import Reported, ReporterConformance

    class TestMyReporter(ReporterConformance):
        def make_reporter(self, definitions, telemetry):
            return MyReporter(definitions, telemetry)    # has read() and close()

Needs pytest. The contract is that of Erlang's `telemetry_metrics`
(https://hexdocs.pm/telemetry_metrics/writing_reporters.html), with the limits of OpenTelemetry.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeAlias

import pytest

from heliograph import Error, Ok, Telemetry, metrics
from heliograph.metrics.points import OVERFLOW, ExponentialPoint, HistogramPoint

__all__ = ["Distribution", "Reported", "Reporter", "ReporterConformance", "Value", "reported"]

EVENT: Final = "shop.order.placed"
OTHER: Final = "shop.order.cancelled"


@dataclass(frozen=True, slots=True)
class Distribution:
    """What a histogram or a summary says of one series; values are in the metric's unit."""

    count: int
    sum: float
    min: float
    max: float
    bounds: tuple[float, ...] = ()
    """Upper bounds, inclusive; none for a summary."""
    counts: tuple[int, ...] = ()
    """Values in each bucket, one more than there are bounds."""


Value: TypeAlias = "int | float | Distribution"
Reported: TypeAlias = Mapping[str, Sequence[tuple[Mapping[str, Any], Value]]]
"""By the metric's name, each series: its tags, and what is known of it since the reporter began."""


class Reporter(Protocol):
    """What the suite asks of a reporter."""

    def read(self) -> Reported:
        """What was counted so far; metrics without any series may be left out."""
        ...

    def close(self) -> None:
        """Take no more events, and leave no handler behind."""


def reported(collected: Iterable[metrics.MetricPoints]) -> Reported:
    """What an `Aggregate` collected, in the form that the suite compares."""
    found: dict[str, list[tuple[Mapping[str, Any], Value]]] = {}
    for metric in collected:
        series = found.setdefault(metric.name, [])
        for point in metric.points:
            value: Value
            if isinstance(point, HistogramPoint):
                value = Distribution(
                    point.count, point.sum, point.min, point.max, point.bounds, point.counts
                )
            elif isinstance(point, ExponentialPoint):
                value = Distribution(point.count, point.sum, point.min, point.max)
            else:
                value = point.value
            series.append((point.attributes, value))
    return found


class _Hostile:
    """An object whose every method raises."""

    __hash__ = None  # type: ignore[assignment]  # to be unhashable is the point

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("no comparison")

    def __repr__(self) -> str:
        raise RuntimeError("no representation")

    def __bool__(self) -> bool:
        raise RuntimeError("neither true nor false")


def _cycle() -> list[Any]:
    cycle: list[Any] = []
    cycle.append(cycle)
    return cycle


_ODD: Final[Mapping[str, Any]] = {
    "absent": ...,
    "none": None,
    "text": "12",
    "true": True,
    "nan": float("nan"),
    "infinity": float("inf"),
    "huge": 10**400,
    "complex": 1j,
    "list": [1],
    "cycle": _cycle(),
    "hostile": _Hostile(),
    "class": int,
}


class ReporterConformance:
    """The suite: subclass it, name the subclass `Test...`, and override `make_reporter`."""

    telemetry: Telemetry
    reporter: Reporter

    def make_reporter(
        self, definitions: Sequence[metrics.Definition], telemetry: Telemetry
    ) -> Reporter:
        """Make a reporter of these definitions that is attached to this dispatcher."""
        raise NotImplementedError("override make_reporter to return the reporter under test")

    def start(self, *definitions: metrics.Definition) -> None:
        """Begin to report these on a dispatcher of the test's own."""
        self.telemetry = Telemetry()
        self.reporter = self.make_reporter(definitions, self.telemetry)

    def emit(self, measurements: Any = None, metadata: Any = None, event: str = EVENT) -> None:
        """Execute an event."""
        self.telemetry.execute(event, measurements or {}, metadata or {})

    def series(self, name: str = "shop.orders") -> list[tuple[dict[str, Any], Value]]:
        """What the reporter says of a metric, in a stable order."""
        found = [(dict(tags), value) for tags, value in self.reporter.read().get(name, ())]
        return sorted(found, key=repr)

    def value(self, name: str = "shop.orders") -> Value:
        """The value of a metric's only series."""
        [(_, value)] = self.series(name)
        return value

    @pytest.fixture(autouse=True)
    def _closing(self) -> Any:
        yield
        if hasattr(self, "reporter"):
            self.reporter.close()

    # -- The kinds --------------------------------------------------------------------------------

    def test_a_counter_counts_events_whatever_they_carry(self) -> None:
        """Three events of which two carry nothing of use."""
        self.start(metrics.counter("shop.orders", event=EVENT))
        self.emit({"count": 5})
        self.emit({})
        self.emit({"count": "many"})
        assert self.value() == 3

    def test_a_counter_of_a_measurement_counts_the_events_that_have_it(self) -> None:
        """It counts them, and does not add the measurement up."""
        self.start(metrics.counter("shop.orders", event=EVENT, measurement="total"))
        self.emit({"total": 5})
        self.emit({"total": -7.5})
        self.emit({"other": 1})
        assert self.value() == 2

    def test_a_sum_adds_up(self) -> None:
        """Integers remain integers."""
        self.start(metrics.sum("shop.orders", event=EVENT, measurement="count"))
        self.emit({"count": 2})
        self.emit({"count": 40})
        assert self.value() == 42
        assert isinstance(self.value(), int)

    def test_a_sum_of_floats_adds_up(self) -> None:
        """With the precision of floating point."""
        self.start(metrics.sum("shop.orders", event=EVENT, measurement="count"))
        self.emit({"count": 0.5})
        self.emit({"count": 2})
        assert self.value() == 2.5

    def test_a_sum_that_may_shrink_shrinks(self) -> None:
        """Negative measurements count."""
        self.start(metrics.sum("shop.orders", event=EVENT, measurement="count", monotonic=False))
        self.emit({"count": 2})
        self.emit({"count": -5})
        assert self.value() == -3

    def test_a_sum_that_can_only_grow_skips_negative_measurements(self) -> None:
        """As OpenTelemetry's counters do."""
        self.start(metrics.sum("shop.orders", event=EVENT, measurement="count"))
        self.emit({"count": 2})
        self.emit({"count": -5})
        assert self.value() == 2

    def test_a_last_value_is_the_latest(self) -> None:
        """It may be negative."""
        self.start(metrics.last_value("shop.orders", event=EVENT, measurement="depth"))
        self.emit({"depth": 9})
        self.emit({"depth": -1})
        assert self.value() == -1

    def test_a_histogram_counts_into_buckets_with_inclusive_upper_bounds(self) -> None:
        """A value on a bound belongs below it."""
        definition = metrics.histogram(
            "shop.orders", event=EVENT, measurement="total", buckets=[1, 5, 10]
        )
        self.start(definition)
        for total in (1, 1.5, 5, 10, 11):
            self.emit({"total": total})
        expected = Distribution(5, 28.5, 1, 11, (1, 5, 10), (1, 2, 1, 1))
        assert self.value() == expected

    def test_a_histogram_skips_negative_measurements(self) -> None:
        """As OpenTelemetry's histograms do."""
        definition = metrics.histogram("shop.orders", event=EVENT, measurement="total", buckets=[1])
        self.start(definition)
        self.emit({"total": 3})
        self.emit({"total": -1})
        assert self.value() == Distribution(1, 3, 3, 3, (1,), (0, 1))

    def test_a_summary_knows_count_sum_least_and_greatest(self) -> None:
        """And no buckets; one without bounds is as good."""
        self.start(metrics.summary("shop.orders", event=EVENT, measurement="total"))
        for total in (4, 1, 7):
            self.emit({"total": total})
        value = self.value()
        assert isinstance(value, Distribution)
        assert (value.count, value.sum, value.min, value.max) == (3, 12, 1, 7)
        assert value.bounds == ()

    def test_the_name_says_event_and_measurement(self) -> None:
        """The last segment is the measurement, the others are the event."""
        self.start(metrics.sum(f"{EVENT}.total"))
        self.emit({"total": 3})
        assert self.value(f"{EVENT}.total") == 3

    def test_a_metric_of_several_events_is_one(self) -> None:
        """Both events feed the same series."""
        self.start(metrics.last_value("shop.orders", event=[EVENT, OTHER], measurement="open"))
        self.emit({"open": 3})
        self.emit({"open": 2}, event=OTHER)
        assert self.value() == 2

    def test_metrics_of_one_event_are_independent(self) -> None:
        """What one cannot use another can."""
        self.start(
            metrics.counter("shop.orders", event=EVENT),
            metrics.sum("shop.total", event=EVENT, measurement="total"),
            metrics.histogram("shop.sizes", event=EVENT, measurement="size", buckets=[5]),
        )
        self.emit({"total": 3})
        self.emit({"size": 4})
        assert self.value() == 2
        assert self.value("shop.total") == 3
        assert self.value("shop.sizes") == Distribution(1, 4, 4, 4, (5,), (1, 0))

    def test_other_events_do_not_count(self) -> None:
        """Names are exact: neither a prefix nor a longer name is meant."""
        self.start(metrics.counter("shop.orders", event=EVENT))
        self.emit(event=OTHER)
        self.emit(event=f"{EVENT}.twice")
        self.emit(event="shop.order")
        self.emit()
        assert self.value() == 1

    # -- Measurements -----------------------------------------------------------------------------

    @pytest.mark.parametrize("odd", list(_ODD))
    @pytest.mark.parametrize("kind", ["sum", "last_value", "histogram", "summary"])
    def test_a_measurement_that_is_no_finite_number_is_skipped(self, kind: str, odd: str) -> None:
        """The emitter does not notice, and the next event counts."""
        make: Any = getattr(metrics, kind)
        self.start(make("shop.orders", event=EVENT, measurement="total"))
        self.emit({} if odd == "absent" else {"total": _ODD[odd]})
        self.emit({"total": 1})
        value = self.value()
        assert (value.sum if isinstance(value, Distribution) else value) == 1

    def test_a_measurement_can_be_worked_out(self) -> None:
        """By a function of the measurements, or of them and the metadata."""
        self.start(
            metrics.sum("shop.orders", event=EVENT, measurement=lambda m: m["a"] + m["b"]),
            metrics.sum("shop.others", event=EVENT, measurement=lambda m, d: m["a"] * d["n"]),
        )
        self.emit({"a": 2, "b": 3}, {"n": 10})
        assert self.value() == 5
        assert self.value("shop.others") == 20

    def test_a_function_that_raises_skips_the_point(self) -> None:
        """Here or there, and the emitter does not notice."""
        definitions = (
            metrics.sum("shop.orders", event=EVENT, measurement=lambda m: m["a"]),
            metrics.counter("shop.kept", event=EVENT, keep=lambda d: d["a"]),
            metrics.counter("shop.tagged", event=EVENT, tags=lambda d: d["a"]),
            metrics.counter("shop.valued", event=EVENT, tags=["a"], tag_values=lambda d: d["a"]),
            metrics.counter("shop.all", event=EVENT),
        )
        self.start(*definitions)
        self.emit({}, {})
        for definition in definitions[:-1]:
            assert self.series(definition.name) == []
        assert self.value("shop.all") == 1

    @pytest.mark.parametrize(
        ("unit", "measured", "value", "expected"),
        [
            ("s", "ns", 1_500_000_000, 1.5),
            ("ms", "ns", 1_500_000, 1.5),
            ("s", "ms", 250, 0.25),
            ("ms", "s", 3, 3000),
            ("KiBy", "By", 1536, 1.5),
            ("By", "kBy", 2, 2000),
            ("MBy", "By", 2.5e6, 2.5),
        ],
    )
    def test_units_are_converted(
        self, unit: str, measured: str, value: float, expected: float
    ) -> None:
        """Time and amounts of data."""
        units: Any = {"unit": unit, "measurement_unit": measured, "measurement": "m"}
        self.start(
            metrics.last_value("shop.orders", event=EVENT, **units),
            metrics.summary("shop.summary", event=EVENT, **units),
        )
        self.emit({"m": value})
        assert self.value() == expected
        summary = self.value("shop.summary")
        assert isinstance(summary, Distribution)
        assert (summary.sum, summary.min, summary.max) == (expected, expected, expected)

    def test_bounds_are_in_the_unit_of_the_metric(self) -> None:
        """And exact: a value on a bound belongs below it, a nanosecond more does not."""
        definition = metrics.histogram(
            "shop.orders",
            event=EVENT,
            measurement="duration",
            unit="s",
            measurement_unit="ns",
            buckets=[0.005, 0.075, 1],
        )
        self.start(definition)
        for duration in (5_000_000, 5_000_001, 75_000_000, 75_000_001, 1_000_000_000):
            self.emit({"duration": duration})
        value = self.value()
        assert isinstance(value, Distribution)
        assert value.counts == (1, 2, 2, 0)

    # -- Tags -------------------------------------------------------------------------------------

    def test_tags_split_a_metric(self) -> None:
        """One series for each combination there is."""
        self.start(metrics.counter("shop.orders", event=EVENT, tags=["country", "paid"]))
        for country, paid in (("de", True), ("at", True), ("de", True), ("de", False)):
            self.emit({}, {"country": country, "paid": paid, "id": 7})
        assert self.series() == [
            ({"country": "at", "paid": True}, 1),
            ({"country": "de", "paid": False}, 1),
            ({"country": "de", "paid": True}, 2),
        ]

    def test_a_tag_that_is_absent_or_none_is_left_out(self) -> None:
        """Both are the same series."""
        self.start(metrics.counter("shop.orders", event=EVENT, tags=["country", "kind"]))
        self.emit({}, {"kind": "x"})
        self.emit({}, {"kind": "x", "country": None})
        assert self.series() == [({"kind": "x"}, 2)]

    def test_tags_can_be_renamed(self) -> None:
        """By a mapping from keys to names."""
        self.start(metrics.counter("shop.orders", event=EVENT, tags={"country": "shop.country"}))
        self.emit({}, {"country": "de"})
        assert self.series() == [({"shop.country": "de"}, 1)]

    def test_tags_can_be_a_function(self) -> None:
        """The order in which it gives them does not matter."""
        self.start(metrics.counter("shop.orders", event=EVENT, tags=dict))
        self.emit({}, {"a": 1, "b": "x"})
        self.emit({}, {"b": "x", "a": 1})
        self.emit({}, {"c": True})
        assert self.series() == [({"a": 1, "b": "x"}, 2), ({"c": True}, 1)]

    def test_tag_values_transform_the_metadata(self) -> None:
        """Tags are then taken from what the function returns."""
        definition = metrics.counter(
            "shop.orders",
            event=EVENT,
            tags=["class"],
            tag_values=lambda metadata: {"class": f"{metadata['status'] // 100}xx"},
        )
        self.start(definition)
        for status in (200, 204, 404):
            self.emit({}, {"status": status})
        assert self.series() == [({"class": "2xx"}, 2), ({"class": "4xx"}, 1)]

    def test_true_and_one_are_two_tags(self) -> None:
        """Though they are equal; and so are 1.0 and the text."""
        self.start(metrics.counter("shop.orders", event=EVENT, tags=["tag"]))
        for tag in (True, 1, 1.0, "1"):
            for _ in range(2):
                self.emit({}, {"tag": tag})
        found = [(type(tags["tag"]), value) for tags, value in self.series()]
        assert sorted(found, key=repr) == [(bool, 2), (float, 2), (int, 2), (str, 2)]

    @pytest.mark.parametrize("odd", ["hostile", "list", "cycle", "nan", "huge", "complex", "class"])
    def test_a_value_that_cannot_be_a_tag_is_left_out(self, odd: str) -> None:
        """The point is kept."""
        self.start(metrics.counter("shop.orders", event=EVENT, tags=["tag", "kind"]))
        for _ in range(2):
            self.emit({}, {"tag": _ODD[odd], "kind": "x"})
        assert self.series() == [({"kind": "x"}, 2)]

    def test_a_huge_text_is_one_series_and_a_short_tag(self) -> None:
        """However often it comes."""
        self.start(metrics.counter("shop.orders", event=EVENT, tags=["tag"]))
        for _ in range(3):
            self.emit({}, {"tag": "x" * 1_000_000})
        [(tags, value)] = self.series()
        assert value == 3
        assert len(tags["tag"]) <= 10_000

    def test_a_text_that_utf8_cannot_say_does_no_harm(self) -> None:
        """It is one series, with a tag that can be encoded."""
        self.start(metrics.counter("shop.orders", event=EVENT, tags=["tag"]))
        for _ in range(2):
            self.emit({}, {"tag": "\udc80"})
        [(tags, value)] = self.series()
        assert value == 2
        assert tags["tag"].encode()

    def test_error_type_is_derived(self) -> None:
        """From a failed result, or from the exception; a success has none."""
        self.start(metrics.counter("shop.orders", event=EVENT, tags=["error.type"]))
        self.emit({}, {"result": Ok(1)})
        self.emit({}, {"result": Error("timeout")})
        self.emit({}, {"result": Error(ValueError("secret"))})
        self.emit({}, {"reason": KeyError("secret")})
        self.emit({}, {})
        assert self.series() == [
            ({"error.type": "KeyError"}, 1),
            ({"error.type": "ValueError"}, 1),
            ({"error.type": "timeout"}, 1),
            ({}, 2),
        ]

    def test_series_beyond_the_limit_share_one(self) -> None:
        """Which says so; those that came first go on."""
        definition = metrics.counter("shop.orders", event=EVENT, tags=["id"], cardinality_limit=3)
        self.start(definition)
        for number in (0, 1, 2, 3, 4, 0, 5):
            self.emit({}, {"id": f"id{number}"})
        assert self.series() == [
            ({"id": "id0"}, 2),
            ({"id": "id1"}, 1),
            ({"id": "id2"}, 1),
            ({OVERFLOW: True}, 3),
        ]

    def test_the_limit_is_each_metrics_own(self) -> None:
        """Also of two that are split alike."""
        self.start(
            metrics.counter("shop.orders", event=EVENT, tags=["id"], cardinality_limit=1),
            metrics.counter("shop.others", event=EVENT, tags=["id"], cardinality_limit=3),
            metrics.counter("shop.few", event=EVENT, tags=["id"], cardinality_limit=1,
                            keep={"id": "id2"}),
        )  # fmt: skip
        for number in range(3):
            self.emit({}, {"id": f"id{number}"})
        assert self.series() == [({"id": "id0"}, 1), ({OVERFLOW: True}, 2)]
        assert len(self.series("shop.others")) == 3
        assert self.series("shop.few") == [({"id": "id2"}, 1)]

    # -- Conditions -------------------------------------------------------------------------------

    @pytest.mark.parametrize(
        ("conditions", "expected"),
        [
            ({"keep": {"kind": "a"}}, 1 + 8),
            ({"drop": {"kind": "a"}}, 2 + 4),
            ({"keep": {"kind": ["a", "b"]}}, 1 + 2 + 8),
            ({"keep": {"kind": "a", "paid": True}}, 8),
            ({"drop": {"kind": "a", "paid": True}}, 1 + 2 + 4),
            ({"keep": {"paid": [True]}}, 8),
            ({"keep": {"paid": 1}}, 2),
            ({"keep": lambda metadata: metadata.get("kind") == "b"}, 2),
            ({"drop": lambda metadata: metadata.get("kind") == "b"}, 1 + 4 + 8),
            ({"keep": lambda _, measurements: measurements["total"] > 3}, 4 + 8),
            ({"drop": lambda _, measurements: measurements["total"] > 3}, 1 + 2),
        ],
    )
    def test_conditions_choose_the_events(self, conditions: Any, expected: int) -> None:
        """By values, or by functions of metadata and measurements."""
        self.start(metrics.sum("shop.orders", event=EVENT, measurement="total", **conditions))
        self.emit({"total": 1}, {"kind": "a"})
        self.emit({"total": 2}, {"kind": "b", "paid": 1})
        self.emit({"total": 4}, {})
        self.emit({"total": 8}, {"kind": "a", "paid": True})
        assert self.value() == expected

    def test_conditions_come_first(self) -> None:
        """What is not kept is not looked at."""
        looked: list[str] = []

        def look(_: Mapping[str, Any]) -> int:
            looked.append("looked")
            return 1

        self.start(
            metrics.sum("shop.orders", event=EVENT, measurement=look, keep={"kind": "a"}),
        )
        self.emit({}, {"kind": "b"})
        assert looked == []

    # -- The emitter and its threads --------------------------------------------------------------

    @pytest.mark.parametrize("odd", list(_ODD))
    def test_nothing_an_event_holds_reaches_the_emitter(self, odd: str) -> None:
        """Nor does it detach the reporter: the next event counts."""
        self.start(
            metrics.counter("shop.orders", event=EVENT, tags=["tag", "error.type"]),
            metrics.sum("shop.sum", event=EVENT, measurement="m", tags=["tag"]),
            metrics.counter("shop.kept", event=EVENT, keep={"tag": ["a", 1]}, tags=["x"]),
            metrics.counter("shop.dropped", event=EVENT, drop={"tag": "a"}, tags=["x"]),
        )
        held = _ODD[odd]
        for measurements, metadata in (
            ({"m": held}, {"tag": held, "result": held, "reason": held, "x": held}),
            ({"m": held}, {}),
            ({}, {"tag": held}),
            (held, held),
            ({"m": 1}, {"result": Error(held)}),
        ):
            self.telemetry.execute(EVENT, measurements, metadata)
        failures = [info for info in self.telemetry.list_handlers() if info.failures]
        assert failures == []
        self.emit({"m": 1}, {"tag": "fine"})
        assert ({"tag": "fine"}, 1) in self.series()
        assert ({"tag": "fine"}, 1) in self.series("shop.sum")

    def test_eight_threads_count_exactly(self) -> None:
        """No observation is lost, and none counts twice."""
        self.start(
            metrics.counter("shop.orders", event=EVENT, tags=["thread"]),
            metrics.sum("shop.sum", event=EVENT, measurement="m"),
            metrics.histogram("shop.sizes", event=EVENT, measurement="m", buckets=[5, 50]),
        )
        rounds = 500
        ready = threading.Barrier(8)

        def work(number: int) -> None:
            ready.wait()
            for m in range(rounds):
                self.telemetry.execute(EVENT, {"m": m % 100}, {"thread": f"t{number % 4}"})

        threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        total = 8 * rounds // 100 * 4950
        assert self.series() == [({"thread": f"t{n}"}, 2 * rounds) for n in range(4)]
        assert self.value("shop.sum") == total
        assert self.value("shop.sizes") == Distribution(
            8 * rounds, total, 0, 99, (5, 50), (240, 1800, 1960)
        )

    def test_reading_does_not_count_twice(self) -> None:
        """Totals go on from one reading to the next."""
        self.start(metrics.counter("shop.orders", event=EVENT))
        self.emit()
        assert self.value() == 1
        self.emit()
        assert self.value() == 2
        assert self.value() == 2

    def test_closing_leaves_no_handler_behind(self) -> None:
        """And closing twice is closing once."""
        self.start(metrics.counter("shop.orders", event=[EVENT, OTHER]))
        assert self.telemetry.list_handlers()
        self.reporter.close()
        assert self.telemetry.list_handlers() == []
        self.reporter.close()

    def test_two_reporters_side_by_side_do_not_disturb_each_other(self) -> None:
        """Closing one leaves the other its events."""
        definition = metrics.counter("shop.orders", event=EVENT)
        self.start(definition)
        other = self.make_reporter([definition], self.telemetry)
        self.emit()
        other.close()
        self.emit()
        assert self.value() == 2
