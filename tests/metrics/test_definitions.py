# SPDX-License-Identifier: Apache-2.0
"""What definitions accept, and what they say of what they don't."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest

from heliograph import metrics
from heliograph.metrics import DefinitionError, Tag, Test

EVENT = "shop.order.placed"


class Unshowable:
    def __repr__(self) -> str:
        raise RuntimeError("no representation")


def test_names_say_event_and_measurement() -> None:
    definition = metrics.sum("shop.order.placed.total")
    assert (definition.events, definition.measurement) == (("shop.order.placed",), "total")


def test_both_can_be_said() -> None:
    definition = metrics.sum("shop.total", event=["a.b", "c.d"], measurement="amount")
    assert (definition.events, definition.measurement) == (("a.b", "c.d"), "amount")


def test_a_counter_has_no_measurement_of_its_own_accord() -> None:
    assert metrics.counter("shop.order.placed.count").measurement is None


@pytest.mark.parametrize(
    ("unit", "measured", "expected", "factor"),
    [
        (None, None, "1", 1),
        ("s", None, "s", 1),
        (None, "ns", "ns", 1),
        ("s", "ns", "s", Fraction(1, 10**9)),
        ("By", "KiBy", "By", 1024),
        ("{a}", "1", "{a}", 1),
    ],
)
def test_units_default_to_each_other(unit: Any, measured: Any, expected: str, factor: Any) -> None:
    definition = metrics.sum("a.b", unit=unit, measurement_unit=measured)
    assert (definition.unit, definition.factor) == (expected, factor)


def test_tags_are_keys_or_names_by_key() -> None:
    definition = metrics.counter("a.b", tags={"x": "shop.x", "error.type": "error.type"})
    assert definition.tags == (Tag("x", "shop.x"),)
    assert definition.error_type
    assert not metrics.counter("a.b", tags=["x"]).error_type


def test_conditions_are_tests() -> None:
    definition = metrics.counter("a.b", drop={"x": [1, 2], "y": "z"})
    assert definition.keep == (Test("x", (1, 2)), Test("y", ("z",)))
    assert definition.inverted


@pytest.mark.parametrize(
    "function",
    [
        lambda metadata: 1,
        lambda metadata, measurements: 1,
        lambda *anything: 1,
        lambda metadata, other=1: 1,
        lambda metadata, other, third=1: 1,
        bool,
        len,
        type("Callable", (), {"__call__": lambda self, metadata: 1})(),
    ],
    ids=["one", "two", "any number", "a default", "two and a default", "class", "len", "object"],
)
def test_functions_of_any_shape_are_taken(function: Any) -> None:
    definition = metrics.counter("a.b", keep=function)
    assert definition.predicate is not None
    definition.predicate({}, {})


FAULTS: list[tuple[str, dict[str, Any], str]] = [
    ("counter", {"name": ""}, "counter '': malformed name; write dotted segments"),
    ("counter", {"name": "a..b"}, "malformed name"),
    ("counter", {"name": ".a"}, "malformed name"),
    ("counter", {"name": "a b"}, "malformed name"),
    ("counter", {"name": "a.\n"}, "malformed name"),
    ("counter", {"name": "\u00e4.b"}, "malformed name"),
    ("counter", {"name": 3}, "counter 3: name is 3; write a string"),
    ("counter", {"name": Unshowable()}, "name is a Unshowable"),
    ("counter", {"name": "a." + "b" * 254}, "name of 256 characters; write at most 255"),
    ("counter", {"name": "orders"}, "no event; add event=..."),
    ("counter", {"event": ()}, "no event; name at least one"),
    ("counter", {"event": 3}, "name an event, or several"),
    ("counter", {"event": [3]}, "name an event, or several"),
    ("counter", {"event": "a..b"}, "name an event, or several"),
    ("counter", {"event": "Shop"}, "name an event, or several"),
    ("counter", {"event": ["a.b", "a.b"]}, "an event stands twice; name each once"),
    ("counter", {"unit": "s"}, "unit 's' on a counter; a counter counts events"),
    ("counter", {"unit": 3}, "unit is 3; write a string"),
    ("counter", {"description": None}, "description is None; write a string"),
    ("counter", {"cardinality_limit": 0}, "cardinality_limit is 0; write a whole number from 1"),
    ("counter", {"cardinality_limit": True}, "cardinality_limit is True"),
    ("counter", {"cardinality_limit": 1.5}, "cardinality_limit is 1.5"),
    ("last_value", {"ended_by": "b.c"}, "ended_by without tags; name tags that say which"),
    ("last_value", {"ended_by": "", "tags": ["a"]}, "name an event, or several"),
    ("last_value", {"ended_by": EVENT, "tags": ["a"]}, "both tells the value and ends it"),
    ("last_value", {"ended_by": "b", "tags": dict}, "ended_by beside a function for tags"),
    (
        "last_value",
        {"ended_by": "b", "tags": ["a"], "tag_values": dict},
        "ended_by beside a function for tags",
    ),
    ("sum", {"measurement": ""}, "measurement is empty"),
    ("sum", {"measurement": 3}, "measurement is 3; write a string"),
    ("sum", {"measurement": lambda: 1}, "cannot be called with (measurements) or (measurements, m"),
    ("sum", {"measurement": lambda a, b, c: 1}, "measurement is a function that cannot be called"),
    ("sum", {"measurement": lambda a, *, b: 1}, "measurement is a function that cannot be called"),
    ("sum", {"monotonic": 1}, "monotonic is 1; write True or False"),
    ("sum", {"unit": ""}, "empty unit; write a UCUM code"),
    ("sum", {"unit": 3}, "unit is 3"),
    (
        "sum",
        {"unit": "s", "measurement_unit": "By"},
        "unit 's' cannot be made from 'By'; write one",
    ),
    ("sum", {"unit": "seconds", "measurement_unit": "ns"}, "did you mean 's'?"),
    (
        "last_value",
        {"unit": "Cel", "measurement_unit": "ns"},
        "unit 'Cel' cannot be made from 'ns'",
    ),
    ("histogram", {"buckets": "many"}, "buckets is 'many'; write bounds, or \"exponential\""),
    ("histogram", {"buckets": 3}, "buckets is 3; write a list"),
    ("histogram", {"buckets": [1, "2"]}, "bucket '2'; write numbers"),
    ("histogram", {"buckets": [True]}, "bucket True; write numbers"),
    ("histogram", {"buckets": [1, float("inf")]}, "bucket inf; leave it out"),
    ("histogram", {"buckets": [float("nan")]}, "bucket nan; leave it out"),
    ("histogram", {"buckets": [1, 1]}, "bucket 1 does not follow 1; let the bounds grow"),
    ("summary", {"tags": "ab"}, "tags is the string 'ab'; write ['ab']"),
    ("summary", {"tags": 3}, "tags is 3; write a list"),
    ("summary", {"tags": [3]}, "tag is 3; write a string"),
    ("summary", {"tags": [""]}, "empty tag"),
    ("summary", {"tags": ["a", "a"]}, "a tag stands twice"),
    ("summary", {"tags": {"a": "c", "b": "c"}}, "a tag stands twice"),
    ("summary", {"tags": {"a": 3}}, "tag is 3"),
    (
        "summary",
        {"tags": lambda: {"a": 1}},
        "tags is a function that cannot be called with",
    ),
    ("summary", {"tags": dict, "tag_values": dict}, "tags is a function beside tag_values"),
    ("summary", {"tag_values": lambda: {"a": 1}}, "tag_values is a function that cannot be called"),
    ("counter", {"keep": {"a": 1}, "drop": {"a": 2}}, "keep beside drop; say it with one of them"),
    ("counter", {"keep": {}}, "keep is {}; write {key: value or [values]}"),
    ("counter", {"drop": 3}, "drop is 3"),
    ("counter", {"keep": {"error.type": "x"}}, "compares 'error.type', which no event carries"),
    ("counter", {"drop": {"a": []}}, "drop compares 'a' with nothing; name a value"),
    ("counter", {"keep": {3: 1}}, "key of keep is 3"),
    ("counter", {"drop": {"a": {"b": 1}}}, "drop compares 'a' with {'b': 1}; compare scalars"),
    (
        "counter",
        {"keep": lambda: 1},
        "cannot be called with (metadata) or (metadata, measurements)",
    ),
]


@pytest.mark.parametrize(
    ("kind", "given", "message"), FAULTS, ids=[str(number) for number in range(len(FAULTS))]
)
def test_a_fault_is_named_where_it_is_made(kind: str, given: dict[str, Any], message: str) -> None:
    given = {"name": "shop.orders", **({} if "name" in given else {"event": EVENT}), **given}
    with pytest.raises(DefinitionError) as caught:
        getattr(metrics, kind)(**given)
    assert message in str(caught.value)
    assert str(caught.value).startswith(f"{kind} ")


def test_two_metrics_of_one_name_are_refused() -> None:
    with pytest.raises(DefinitionError, match=r"two metrics are called Shop\.orders; rename one"):
        metrics.Aggregate([metrics.counter("shop.orders"), metrics.sum("Shop.orders", event="a.b")])


def test_what_is_no_definition_is_refused() -> None:
    with pytest.raises(TypeError, match=r"'shop\.orders' is no definition"):
        metrics.Aggregate(["shop.orders"])  # type: ignore[list-item]  # the fault under test
