# SPDX-License-Identifier: Apache-2.0
"""All attributes of an operation at once: what is taken with care, or nothing."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.catalog import load_text
from heliograph.catalog.exported import span_attributes
from heliograph.otel.attributes import AttributeLimits, Extractor, quick

CATALOG = """
catalog: kiln
version: 1.0.0
brief: A kiln
fields:
  name: {type: string, brief: Name}
  shelves: {type: "string[]", brief: Shelves}
  number: {type: int, brief: Number}
  lit: {type: bool, brief: Whether it is lit}
  heat: {type: float, brief: Heat}
  pots: {type: int, brief: Pots, unit: "{pot}"}
spans:
  kiln.fire:
    brief: Pots are fired
    metadata: [name, shelves, "number?", "lit?", "heat?"]
    stop: {measurements: [pots]}
"""

DOCUMENT = load_text(CATALOG)
SPEC = DOCUMENT.spans["kiln.fire"]
ATTRIBUTES = span_attributes(SPEC)
LIMITS = AttributeLimits(text=8, items=3)
START = Extractor(SPEC.start, ATTRIBUTES, LIMITS)
STOP = Extractor(SPEC.stop, ATTRIBUTES, LIMITS, {each.name for each in ATTRIBUTES if each.at_start})


class Text(str):
    """Not what OTLP takes for a text."""

    __slots__ = ()


class Number(int):
    """Not what OTLP takes for a number."""


WHOLE: dict[str, Any] = {"name": "north", "shelves": ("top", "low"), "number": 7, "lit": True}
ODD: list[Any] = [
    None,
    "north",
    "far too long",
    Text("north"),
    7,
    7.0,
    True,
    Number(7),
    2**63,
    -1,
    0.5,
]
ODD += [float("nan"), ("top", "low"), ["top", "low"], ("top", Text("low")), ("a",) * 4, ("top", 7)]


def carefully(measurements: dict[str, Any], metadata: dict[str, Any]) -> dict[str, Any]:
    """The attributes of both, each looked at by itself."""
    found: dict[str, Any] = {}
    START.take(found, {}, metadata)
    STOP.take(found, measurements, metadata)
    return found


def test_what_is_as_declared_is_taken_at_once() -> None:
    assert quick(START, STOP)({"pots": 3}, WHOLE) == {
        "kiln.name": "north",
        "kiln.shelves": ("top", "low"),
        "kiln.number": 7,
        "kiln.lit": True,
        "kiln.pots": 3,
    }


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *(("name", each) for each in (None, 7, Text("north"), "far too long", "kõrge")),
        *(("number", each) for each in (True, 7.0, Number(7), 2**63, -(2**63) - 1)),
        *(("shelves", each) for each in (None, "top", {"top"}, ("a",) * 4, ("top", None))),
        ("lit", 1),
        ("heat", float("inf")),
    ],
)
def test_what_is_not_is_left_to_whoever_looks_closely(key: str, value: object) -> None:
    for before in ([], [WHOLE]):
        take = quick(START, STOP)
        for each in before:
            assert take({"pots": 3}, each)
        assert take({"pots": 3}, {**WHOLE, key: value}) == {}


@pytest.mark.parametrize("key", ["name", "shelves"])
def test_what_is_missing_is_no_harm(key: str) -> None:
    without = {name: value for name, value in WHOLE.items() if name != key}

    assert quick(START, STOP)({"pots": 3}, without) == {}


mappings = st.fixed_dictionaries(
    {key: st.sampled_from(ODD) for key in WHOLE},
    optional={"heat": st.sampled_from(ODD)},
)


@given(st.lists(st.tuples(st.sampled_from(ODD), mappings | st.just(WHOLE)), max_size=6))
def test_whatever_came_before_it_is_the_careful_result_or_nothing(
    events: list[tuple[object, dict[str, Any]]],
) -> None:
    take = quick(START, STOP)
    for pots, metadata in events:
        found = take({"pots": pots}, metadata)
        if found:
            wanted = carefully({"pots": pots}, metadata)
            assert repr(sorted(found.items())) == repr(sorted(wanted.items()))
            assert {type(value) for value in found.values()} <= {str, tuple, int, bool, float}


def test_another_event_in_the_middle_changes_nothing() -> None:
    # What a second thread may do between any two steps, done by a value while it is looked at.
    take = quick(START, STOP)
    meanwhile: list[dict[str, Any]] = []

    class Meddler(str):
        __slots__ = ()

        def __eq__(self, other: object) -> bool:
            meanwhile.append(take({"pots": 9}, {**WHOLE, "name": "south", "number": 8}))
            return str.__eq__(self, other)

        __hash__ = str.__hash__

    assert take({"pots": 3}, WHOLE)
    found = take({"pots": 3}, {**WHOLE, "shelves": ("top", Meddler("low"))})

    assert meanwhile
    assert all(each["kiln.name"] == "south" for each in meanwhile)
    assert found == carefully({"pots": 3}, WHOLE)
    assert type(found["kiln.shelves"][1]) is str
