# SPDX-License-Identifier: Apache-2.0
"""What is executed is held against what is declared."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from traceback import StackSummary
from typing import Any, cast

import pytest

import heliograph
from heliograph import Error, Ok, Telemetry
from heliograph.catalog import Catalog, ConformanceError, load, load_text
from heliograph.catalog.conformance import MAX_ELEMENTS, VIOLATION, Mode

SHOP = """\
catalog: shop
version: 1.0.0
brief: A shop
fields:
  count: {type: int, brief: Count}
  size: {type: float, brief: Size}
  any_number: {type: number, brief: Number}
  name: {type: string, brief: Name}
  paid: {type: bool, brief: Paid}
  raw: {type: bytes, brief: Raw}
  names: {type: "string[]", brief: Names}
  extra: {type: map, brief: Extra}
  whatever: {type: any, brief: Whatever}
  outcome: {type: result, brief: Outcome}
  why: {type: exception, brief: Why}
  state: {type: string, brief: State, values: [open, shut]}
  states: {type: "string[]", brief: States, values: [open, shut]}
  level: {type: int, brief: Level, values: [0, 1]}
  secret: {type: string, brief: Secret, sensitivity: sensitive, values: [a, b]}
events:
  shop.order:
    brief: Order
    measurements: [count, "size?", "any_number?"]
    metadata: ["name?", "paid?", "raw?", "names?", "extra?", "whatever?", "outcome?", "why?",
      "state?", "states?", "level?", "secret?"]
  shop.named: {brief: Named, metadata: [name]}
  shop.old: {deprecated: {renamed_to: shop.named}}
spans:
  shop.sale:
    brief: Sale
    metadata: [name]
    start: {metadata: ["state?"]}
    stop: {measurements: [count], metadata: [outcome]}
    exception: {metadata: ["level?"]}
"""

CONTEXT = {"telemetry_span_context": 1}


@pytest.fixture
def catalog() -> Catalog:
    return Catalog([load_text(SHOP)])


@pytest.fixture
def telemetry() -> Telemetry:
    return Telemetry()


def told(catalog: Catalog, event: str, measurements: Any, metadata: Any) -> list[str]:
    return [str(violation) for violation in catalog.check(event, measurements, metadata)]


@pytest.mark.parametrize(
    "measurements",
    [
        {"count": 1},
        {"count": 1, "size": 1.5, "any_number": 2},
        {"count": 10**30, "size": 1, "any_number": 2.5},
        {"count": -1, "size": math.nan, "any_number": math.inf},
    ],
)
def test_measurements_that_conform(measurements: dict[str, Any], catalog: Catalog) -> None:
    assert told(catalog, "shop.order", measurements, {}) == []


@pytest.mark.parametrize(
    "metadata",
    [
        {},
        {"name": "", "paid": False, "raw": b"", "names": [], "extra": {}, "whatever": None},
        {"names": ("a", "b"), "raw": bytearray(b"a"), "whatever": object()},
        {"outcome": Ok(1), "why": KeyError(), "state": "open", "states": ["open"], "level": 1},
        {"outcome": Error("no"), "secret": "a"},
    ],
)
def test_metadata_that_conforms(metadata: dict[str, Any], catalog: Catalog) -> None:
    assert told(catalog, "shop.order", {"count": 1}, metadata) == []


@pytest.mark.parametrize(
    ("measurements", "problems"),
    [
        ({}, ["measurements.count: missing"]),
        ({"count": None}, ["measurements.count: expected int, got NoneType"]),
        ({"count": True}, ["measurements.count: expected int, got bool"]),
        ({"count": 1.0}, ["measurements.count: expected int, got float"]),
        ({"count": 1, "size": "1"}, ["measurements.size: expected float, got str"]),
        ({"count": 1, "size": False}, ["measurements.size: expected float, got bool"]),
        (
            {"cuont": 1},
            [
                "measurements.cuont: undeclared; did you mean 'count'?",
                "measurements.count: missing",
            ],
        ),
        ({"count": 1, 3: 4}, ["measurements.3: undeclared"]),
        ({"count": 1, "x" * 100: 4}, [f"measurements.{'x' * 59}…: undeclared"]),
        ([1], ["measurements: expected a mapping, got list"]),
        (None, ["measurements: expected a mapping, got NoneType"]),
    ],
)
def test_measurements_that_do_not_conform(
    measurements: Any, problems: list[str], catalog: Catalog
) -> None:
    assert told(catalog, "shop.order", measurements, {}) == problems


@pytest.mark.parametrize(
    ("metadata", "problem"),
    [
        ({"name": 1}, "metadata.name: expected string, got int"),
        ({"paid": 1}, "metadata.paid: expected bool, got int"),
        ({"raw": "a"}, "metadata.raw: expected bytes, got str"),
        ({"names": "ab"}, "metadata.names: expected string[], got str"),
        ({"names": {"a"}}, "metadata.names: expected string[], got set"),
        ({"names": ["a", 1]}, "metadata.names: element 1: expected string, got int"),
        ({"extra": []}, "metadata.extra: expected map, got list"),
        ({"outcome": "ok"}, "metadata.outcome: expected result, got str"),
        ({"why": "why"}, "metadata.why: expected exception, got str"),
        (
            {"state": "ajar"},
            "metadata.state: 'ajar' is not among its declared values (open, shut)",
        ),
        ({"state": 3}, "metadata.state: expected string, got int"),
        (
            {"states": ["open", "ajar"]},
            "metadata.states: element 1: 'ajar' is not among its declared values (open, shut)",
        ),
        ({"level": True}, "metadata.level: expected int, got bool"),
        ({"level": 2}, "metadata.level: 2 is not among its declared values (0, 1)"),
        ({"secret": "pa55word"}, "metadata.secret: not among its declared values"),
        ({"nothing": 1}, "metadata.nothing: undeclared"),
    ],
)
def test_metadata_that_does_not_conform(
    metadata: dict[str, Any], problem: str, catalog: Catalog
) -> None:
    assert told(catalog, "shop.order", {"count": 1}, metadata) == [problem]


def test_of_an_array_the_first_elements_are_looked_at(catalog: Catalog) -> None:
    metadata = {"names": ["a"] * MAX_ELEMENTS + [1]}

    assert told(catalog, "shop.order", {"count": 1}, metadata) == []


def test_a_violation_knows_its_event(catalog: Catalog) -> None:
    [violation] = catalog.check("shop.order", {})

    assert (violation.event, violation.path, violation.problem) == (
        "shop.order",
        "measurements.count",
        "missing",
    )


def test_an_unknown_event_is_a_violation_with_a_suggestion(catalog: Catalog) -> None:
    expected = [
        "no catalog declares it; did you mean 'shop.order' or 'shop.named'?",
        "no catalog declares it; catalogue it, or correct the name",
    ]

    for _ in range(2):
        assert told(catalog, "shop.ordr", {}, {}) + told(catalog, "xyz", {}, {}) == expected


def test_names_made_up_without_end_are_not_all_remembered() -> None:
    catalog = Catalog([])

    problems = {told(catalog, f"a{number}", {}, {})[0] for number in range(1100)}

    assert problems == {
        "no catalog declares it; catalogue it, or correct the name",
        "no catalog declares it",
    }


def test_an_old_name_is_a_violation(catalog: Catalog) -> None:
    assert told(catalog, "shop.old", {}, {"name": 1}) == [
        "an old name; it is shop.named now",
        "metadata.name: expected string, got int",
    ]


@pytest.mark.parametrize(
    ("stage", "measurements", "metadata", "problems"),
    [
        ("start", {}, {}, []),
        ("start", {}, {"state": "open"}, []),
        ("start", {}, {"outcome": Ok(1)}, ["metadata.outcome: undeclared"]),
        ("stop", {"count": 1}, {"outcome": Ok(1)}, []),
        ("stop", {"count": 1}, {"outcome": Ok(1), "state": "shut"}, []),
        ("stop", {}, {}, ["measurements.count: missing", "metadata.outcome: missing"]),
        ("stop", {"count": 1}, {"outcome": Ok(1), "level": 1}, ["metadata.level: undeclared"]),
        ("exception", {}, {}, []),
        ("exception", {}, {"outcome": Ok(1), "state": "shut", "level": 1}, []),
        ("exception", {"count": 1}, {}, ["measurements.count: undeclared"]),
        ("exception", {}, {"outcome": 3}, ["metadata.outcome: expected result, got int"]),
    ],
)
def test_a_span_carries_on_what_it_began_with(
    stage: str,
    measurements: dict[str, Any],
    metadata: dict[str, Any],
    problems: list[str],
    catalog: Catalog,
) -> None:
    times = {"monotonic_time": 1} | ({"system_time": 1} if stage == "start" else {"duration": 1})
    whole = {"name": "a", **CONTEXT, **metadata}
    if stage == "exception":
        whole |= {"kind": "error", "reason": ValueError(), "stacktrace": StackSummary()}

    assert told(catalog, f"shop.sale.{stage}", {**times, **measurements}, whole) == problems


def test_a_span_of_the_core_conforms(catalog: Catalog, telemetry: Telemetry) -> None:
    with catalog.enforce(telemetry=telemetry):
        with telemetry.span("shop.sale", {"name": "a", "state": "open"}) as span:
            span.measurements["count"] = 1
            span.metadata["outcome"] = Ok(1)
        with pytest.raises(KeyError):
            fail_in_span(telemetry)


def fail_in_span(telemetry: Telemetry) -> None:
    with telemetry.span("shop.sale", {"name": "a", "state": "open"}) as span:
        span.metadata["outcome"] = Error("no")
        raise KeyError


def test_raise_raises_at_the_emitter(catalog: Catalog, telemetry: Telemetry) -> None:
    with catalog.enforce(telemetry=telemetry) as enforcement:
        telemetry.execute("shop.named", {}, {"name": "a"})
        with pytest.raises(ConformanceError) as caught:
            telemetry.execute("shop.named", {}, {"name": 1, "nmae": "a"})
        with pytest.raises(ConformanceError, match="no catalog declares it"):
            telemetry.event("shop.unknown").execute({})

    assert str(caught.value) == (
        "shop.named: metadata.name: expected string, got int; metadata.nmae: undeclared"
    )
    assert caught.value.event == "shop.named"
    assert len(caught.value.violations) == 2
    assert enforcement.closed
    telemetry.execute("shop.named", {}, {})


def test_off_means_no_observer(catalog: Catalog, telemetry: Telemetry) -> None:
    event = telemetry.event("shop.named")
    enforcement = catalog.enforce(telemetry=telemetry)
    assert event.handlers

    enforcement.close()

    assert not event.handlers


def test_the_default_dispatcher_is_the_default(catalog: Catalog) -> None:
    with (
        catalog.enforce(),
        pytest.raises(ConformanceError),
    ):
        heliograph.execute("shop.unknown", {})


Reports = list[tuple[Mapping[str, Any], Mapping[str, Any]]]


def listen(telemetry: Telemetry) -> Reports:
    seen: Reports = []
    telemetry.attach(
        "listen", VIOLATION, lambda _, measured, data, __: seen.append((measured, data))
    )
    return seen


def test_report_executes_an_event_each_time_and_logs_once(
    catalog: Catalog, telemetry: Telemetry, caplog: pytest.LogCaptureFixture
) -> None:
    seen = listen(telemetry)

    with catalog.enforce("report", telemetry=telemetry), caplog.at_level(logging.WARNING):
        for _ in range(3):
            telemetry.execute("shop.named", {}, {"name": 1, "nmae": "a"})
        telemetry.execute("shop.named", {}, {"name": "a"})
        telemetry.execute("unknown", {})

    problems = ["metadata.name: expected string, got int", "metadata.nmae: undeclared"]
    known = ({"count": 2}, {"event_name": "shop.named", "problems": problems, "catalog": "shop"})
    unknown = "no catalog declares it; catalogue it, or correct the name"
    assert seen == [known] * 3 + [({"count": 1}, {"event_name": "unknown", "problems": [unknown]})]
    assert [record.getMessage() for record in caplog.records] == [
        f"shop.named does not conform to its catalog: {'; '.join(problems)}",
        f"unknown does not conform to its catalog: {unknown}",
    ]
    assert {record.name for record in caplog.records} == {"heliograph.catalog.conformance"}


def test_what_is_reported_conforms_to_our_own_catalog(telemetry: Telemetry) -> None:
    seen = listen(telemetry)

    with load("heliograph").enforce("report", telemetry=telemetry):
        telemetry.execute("unknown", {})
        telemetry.execute("heliograph.stream.overflow", {})

    own = load("heliograph")
    assert [own.check(VIOLATION, *report) for report in seen] == [[], []]


def test_a_report_is_not_reported(catalog: Catalog, telemetry: Telemetry) -> None:
    seen = listen(telemetry)

    with catalog.enforce("report", telemetry=telemetry):
        telemetry.execute(VIOLATION, {"nonsense": 1})

    assert seen == [({"nonsense": 1}, {})]


def test_a_listener_that_fails_is_no_concern_of_the_emitter(
    catalog: Catalog, telemetry: Telemetry
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError

    telemetry.attach("fail", VIOLATION, fail)

    with catalog.enforce("report", telemetry=telemetry) as enforcement:
        telemetry.execute("unknown", {})
        telemetry.execute("unknown", {})
        assert not enforcement.closed


def test_sample_looks_at_the_first_of_each_event_and_then_at_one_in_so_many(
    catalog: Catalog, telemetry: Telemetry
) -> None:
    seen = listen(telemetry)

    with catalog.enforce("sample", rate=0.25, telemetry=telemetry):
        for number in range(10):
            telemetry.execute("shop.named", {str(number): 1}, {"name": "a"})
            telemetry.execute("unknown", {})

    looked_at = [data["problems"] for _, data in seen if data["event_name"] == "shop.named"]
    assert looked_at == [[f"measurements.{number}: undeclared"] for number in (0, 4, 8)]
    assert len(seen) == 6


def test_sampling_everything_is_reporting(catalog: Catalog, telemetry: Telemetry) -> None:
    seen = listen(telemetry)

    with catalog.enforce("sample", rate=1, telemetry=telemetry):
        telemetry.execute("unknown", {})
        telemetry.execute("unknown", {})

    assert len(seen) == 2


def test_names_made_up_without_end_are_counted_and_logged_up_to_a_bound(
    catalog: Catalog, telemetry: Telemetry, caplog: pytest.LogCaptureFixture
) -> None:
    seen = listen(telemetry)

    with catalog.enforce("sample", rate=0.5, telemetry=telemetry):
        for number in range(1100):
            telemetry.execute(f"a{number}", {})

    assert len(seen) == 1100
    assert len(caplog.records) == 1024


@pytest.mark.parametrize("mode", ["", "log", None])
def test_a_mode_that_is_none_is_refused(mode: Any, catalog: Catalog) -> None:
    with pytest.raises(ValueError, match="it must be one of raise, report, sample"):
        catalog.enforce(cast("Mode", mode))


@pytest.mark.parametrize("rate", [0, -1, 1.5, math.nan])
def test_a_rate_that_is_none_is_refused(rate: float, catalog: Catalog) -> None:
    with pytest.raises(ValueError, match="it must be above 0 and at most 1"):
        catalog.enforce("sample", rate=rate)
