# SPDX-License-Identifier: Apache-2.0
"""What is taken from an event, against a plain statement of the rules."""

from __future__ import annotations

import json
import math
from types import MappingProxyType
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from heliograph.catalog.exported import TRUNCATED, span_attributes
from heliograph.otel.attributes import AttributeLimits, Extractor
from heliograph.plain import plain
from tests.otel.bakery import bakery

LIMITS = AttributeLimits(text=12, items=3)
[DOCUMENT] = bakery().documents
SPEC = DOCUMENT.spans["bakery.bake"]
ATTRIBUTES = span_attributes(SPEC)
STOP = Extractor(SPEC.stop, ATTRIBUTES, LIMITS)
TYPES = {
    "loaves": "int",
    "heat": "double",
    "share": "double",
    "hot": "boolean",
    "oven": "string",
    "order": "string",
    "grains": "string[]",
    "steps": "int[]",
    "anything": "free",
    "seal": "string",
}
NAMES = {key: f"bakery.{key}" for key in TYPES} | {"order": "order.id"}
METADATA = [key for key in TYPES if key != "loaves"]
UNTOLD = object()


def scalar(kind: str, value: Any) -> tuple[Any, bool]:
    """The value as an attribute, and whether it was cut; `UNTOLD` if it can't be one."""
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if kind == "int":
        whole = number and math.isfinite(value) and value == int(value)
        return (int(value) if whole and -(2**63) <= value < 2**63 else UNTOLD), False
    if kind == "double":
        return (float(value) if number and math.isfinite(value) else UNTOLD), False
    if kind == "boolean":
        return (value if isinstance(value, bool) else UNTOLD), False
    if isinstance(value, bytes):
        text = value.hex()
    elif isinstance(value, str):
        text = value.encode("utf-8", "backslashreplace").decode()
    else:
        text = json.dumps(plain(value), allow_nan=False)
    return text[:12], len(text) > 12


def expected(kind: str, value: Any) -> tuple[Any, bool]:
    """As `scalar`, for arrays too."""
    if value is None:
        return UNTOLD, False
    if not kind.endswith("[]"):
        return scalar(kind, value)
    if not isinstance(value, (list, tuple)):
        return UNTOLD, False
    told = [scalar(kind.removesuffix("[]"), item) for item in value[:3]]
    if any(item is UNTOLD for item, _ in told):
        return UNTOLD, False
    return tuple(item for item, _ in told), len(value) > 3 or any(cut for _, cut in told)


def reference(*mappings: Any) -> dict[str, Any]:
    """The attributes of what is in the mappings, of which the first one counts that has it."""
    found: dict[str, Any] = {}
    cut = set()
    for key, kind in TYPES.items():
        for mapping in mappings:
            told, was_cut = expected(kind, mapping.get(key))
            if told is not UNTOLD:
                found[NAMES[key]] = told
                if was_cut:
                    cut.add(NAMES[key])
                break
    return {**found, TRUNCATED: cut} if cut else found


def same(found: dict[str, Any], wanted: dict[str, Any]) -> bool:
    """Whether they are equal, types included, but for the order of what was cut."""
    found = dict(found)
    if TRUNCATED in found:
        assert len(set(found[TRUNCATED])) == len(found[TRUNCATED])
        found[TRUNCATED] = set(found[TRUNCATED])
    return repr(sorted(found.items(), key=str)) == repr(sorted(wanted.items(), key=str))


scalars = (
    st.none()
    | st.booleans()
    | st.integers(-3, 3)
    | st.sampled_from([2**63 - 1, 2**63, -(2**63), -(2**63) - 1])
    | st.floats()
    | st.text(max_size=14)
    | st.binary(max_size=7)
)
values = scalars | st.lists(st.text(max_size=14) | st.integers(), max_size=4) | st.just(("a", "b"))
metadata = st.dictionaries(
    st.sampled_from(METADATA),
    values.filter(lambda value: not isinstance(value, (list, tuple))),
    max_size=8,
)
arrays = st.dictionaries(st.sampled_from(["grains", "steps"]), values, max_size=2)
whole = st.builds(lambda one, other: {**one, **other}, metadata, arrays)
measurements = st.dictionaries(st.just("loaves"), scalars)


@given(measurements, whole)
def test_taken_is_what_the_rules_say(counted: dict[str, Any], said: dict[str, Any]) -> None:
    found: dict[str, Any] = {}
    STOP.take(found, MappingProxyType(counted), said)

    assert same(found, reference({**said, **counted}))


@given(whole, whole)
def test_the_latest_is_what_was_said_last_and_can_be_told(
    first: dict[str, Any], last: dict[str, Any]
) -> None:
    found: dict[str, Any] = {}
    STOP.take_latest(found, last, MappingProxyType(first))

    assert same(found, reference(last, first))


@given(whole, whole)
def test_taken_again_is_what_is_another_object(
    first: dict[str, Any], changes: dict[str, Any]
) -> None:
    found: dict[str, Any] = {}
    last = {**first, **changes}
    STOP.retake(found, last, first)

    changed = {key: value for key, value in last.items() if value is not first.get(key)}
    assert same(found, reference(changed))


def test_what_cannot_be_told_is_left_out() -> None:
    found: dict[str, Any] = {}
    STOP.take(found, {"loaves": "3"}, {"hot": 1, "share": math.nan, "heat": "220", "steps": 5})

    assert found == {}


def test_only_events_with_measured_attributes_are_measured() -> None:
    weigh = DOCUMENT.spans["bakery.weigh"]

    assert not Extractor(SPEC.start, ATTRIBUTES, LIMITS).measured
    assert Extractor(weigh.start, span_attributes(weigh), LIMITS).measured


def test_what_must_be_there_and_is_not_costs_nothing_else() -> None:
    start = Extractor(SPEC.start, ATTRIBUTES, LIMITS)
    found: dict[str, Any] = {}
    start.take(found, {}, {"order": "A-17"})
    start.take_latest(found, {"order": "B-18"}, {"oven": "left"})
    start.retake(found, {"order": "C-19"}, {"oven": "left"})

    assert found == {"bakery.oven": "left", "order.id": "C-19"}
