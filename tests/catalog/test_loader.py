# SPDX-License-Identifier: Apache-2.0
"""What a sound catalog becomes, and that a faulty one becomes nothing."""

from __future__ import annotations

import pickle
import time
from contextlib import suppress
from pathlib import Path

import pytest

from heliograph.catalog import (
    CatalogError,
    Condition,
    Deprecation,
    Document,
    FieldSpec,
    load_document,
    load_text,
)
from heliograph.catalog.errors import Faults

SHOP = Path(__file__).parents[1] / "data" / "catalogs" / "shop.yaml"
HEAD = "catalog: shop\nversion: 1.0.0\nbrief: A shop\n"


def shop(text: str) -> Document:
    return load_text(HEAD + text)


def field(text: str) -> FieldSpec:
    return shop(f"fields:\n  a: {{brief: A, {text}}}\n").fields["a"]


def test_a_document_says_what_its_head_says() -> None:
    document = load_text(
        "catalog: shop\nversion: 1.2.3-rc.1+b\nbrief: >\n  A shop\n"
        "schema_url: https://shop.example/1\nstability: beta\n",
        "somewhere.yaml",
    )

    assert document.name == "shop"
    assert document.version == "1.2.3-rc.1+b"
    assert document.brief == "A shop"
    assert document.schema_url == "https://shop.example/1"
    assert document.stability == "beta"
    assert document.file == "somewhere.yaml"
    assert not document.events
    assert not document.spans
    assert not document.metrics
    assert not document.fields


def test_a_file_and_its_text_make_the_same_document() -> None:
    document = load_document(SHOP)

    assert document == load_text(SHOP.read_bytes(), str(SHOP))
    assert document.file == str(SHOP)


def test_a_field_left_plain_has_the_defaults() -> None:
    assert field("type: int") == FieldSpec(
        name="a", key="a", type="int", brief="A", attribute="shop.a"
    )


def test_a_field_has_what_it_is_given() -> None:
    text = (
        "type: string, key: b, unit: '{x}', attribute: x.y, cardinality: high, note: N, "
        "sensitivity: sensitive, values: [u, v], examples: [u], stability: stable, "
        "deprecated: {note: Use c}"
    )

    assert field(text) == FieldSpec(
        name="a",
        key="b",
        type="string",
        brief="A",
        unit="{x}",
        attribute="x.y",
        high_cardinality=True,
        sensitive=True,
        examples=("u",),
        values=("u", "v"),
        note="N",
        stability="stable",
        deprecated=Deprecation(note="Use c"),
    )


@pytest.mark.parametrize(
    ("text", "attribute"),
    [
        ("type: int, key: k", "shop.k"),
        ("type: int, attribute: none", None),
        ("type: result", None),
        ("type: exception", None),
        ("type: stacktrace", None),
        ("type: result, attribute: shop.outcome", "shop.outcome"),
        ("type: map", "shop.a"),
    ],
)
def test_the_attribute_of_a_field(text: str, attribute: str | None) -> None:
    assert field(text).attribute == attribute


@pytest.mark.parametrize(
    ("text", "examples"),
    [
        ("type: bytes, examples: [AQI=]", ("AQI=",)),
        ("type: 'bytes[]', examples: [[AQI=]]", (("AQI=",),)),
        ("type: 'int[]', examples: [1, [2, 3]]", (1, (2, 3))),
        ("type: float, examples: [1, 2.5]", (1, 2.5)),
        ("type: any, examples: [1, x, [true]]", (1, "x", (True,))),
        ("type: result, examples: [ok]", ("ok",)),
    ],
)
def test_the_examples_of_a_field(text: str, examples: tuple[object, ...]) -> None:
    assert field(text).examples == examples


def test_values_that_are_equal_but_of_two_types_are_two() -> None:
    assert field("type: number, values: [1, 1.0]").values == (1, 1.0)


def test_a_field_is_known_by_its_place() -> None:
    where = load_document(SHOP).fields["took"].where

    assert where is not None
    assert str(where) == f"{SHOP}:6:3"
    assert where.path == "fields.took"


def test_an_event_has_its_uses_in_order_and_says_which_may_be_absent() -> None:
    event = shop(
        "fields: {n: {type: int, brief: N}, s: {type: string, brief: S}}\n"
        "events:\n"
        "  shop.e: {brief: E, measurements: [n, 'duration?'], metadata: [kind, 's?'], "
        "severity: warn, log: false, stability: alpha, note: Rare, deprecated: {note: Soon}}\n"
    ).events["shop.e"]

    assert [(use.key, use.required) for use in event.measurements] == [
        ("n", True),
        ("duration", False),
    ]
    assert [(use.key, use.required) for use in event.metadata] == [("kind", True), ("s", False)]
    assert (event.severity, event.log, event.stability) == ("warn", False, "alpha")
    assert (event.note, event.deprecated) == ("Rare", Deprecation(note="Soon"))
    assert (event.kind, event.span, event.catalog, event.alias_of) == ("point", None, "shop", None)


SPAN = """\
stability: beta
fields: {n: {type: int, brief: N}, a: {type: string, brief: A}, b: {type: string, brief: B}}
spans:
  shop.sale:
    brief: A sale
    kind: server
    span_name: Sale
    note: Slow
    metadata: [a]
    start: {measurements: [n]}
    stop: {measurements: [n?], metadata: [b?]}
"""


def test_a_span_is_three_events_with_what_every_span_carries() -> None:
    document = shop(SPAN)
    span = document.spans["shop.sale"]

    assert (span.kind, span.span_name, span.stability, span.note) == (
        "server",
        "Sale",
        "beta",
        "Slow",
    )
    assert list(document.events.values()) == list(span.events)
    assert [
        (
            event.name,
            event.kind,
            event.brief,
            event.severity,
            [use.key for use in event.measurements],
            [use.key for use in event.metadata],
        )
        for event in span.events
    ] == [
        (
            "shop.sale.start",
            "start",
            "A sale: start",
            "info",
            ["n", "system_time", "monotonic_time"],
            ["a", "telemetry_span_context"],
        ),
        (
            "shop.sale.stop",
            "stop",
            "A sale: stop",
            "info",
            ["n", "duration", "monotonic_time"],
            ["a", "b", "telemetry_span_context"],
        ),
        (
            "shop.sale.exception",
            "exception",
            "A sale: exception",
            "error",
            ["duration", "monotonic_time"],
            ["a", "kind", "reason", "stacktrace", "telemetry_span_context"],
        ),
    ]
    assert not any(event.log for event in span.events)
    assert {event.span for event in span.events} == {"shop.sale"}


def test_an_old_event_takes_everything_from_the_present_one() -> None:
    document = shop(
        "events:\n"
        "  shop.old: {deprecated: {renamed_to: shop.new, note: Misspelt}}\n"
        "  shop.older: {brief: The first, note: N, deprecated: {renamed_to: shop.new}}\n"
        "  shop.new: {brief: New, measurements: [duration], severity: error}\n"
    )
    old, older, new = document.events.values()

    assert (old.name, old.brief, old.alias_of) == ("shop.old", "Old name of shop.new", "shop.new")
    assert old.deprecated == Deprecation("shop.new", "Misspelt")
    assert (older.brief, older.note) == ("The first", "N")
    assert (old.measurements, old.severity) == (new.measurements, "error")


def test_an_old_span_takes_everything_from_the_present_one() -> None:
    document = shop(f"{SPAN}  shop.trade: {{deprecated: {{renamed_to: shop.sale}}}}\n")
    old, new = document.spans["shop.trade"], document.spans["shop.sale"]

    assert [event.alias_of for event in old.events] == [event.name for event in new.events]
    assert [event.name for event in old.events] == [
        "shop.trade.start",
        "shop.trade.stop",
        "shop.trade.exception",
    ]
    assert (old.kind, old.deprecated) == ("server", Deprecation("shop.sale"))
    assert old.stop.metadata == new.stop.metadata
    assert document.events["shop.trade.stop"] is old.stop


def test_an_old_event_may_lead_to_an_event_of_a_span() -> None:
    document = shop(f"{SPAN}events: {{shop.sold: {{deprecated: {{renamed_to: shop.sale.stop}}}}}}")

    assert document.events["shop.sold"].alias_of == "shop.sale.stop"


def test_fields_and_metrics_may_have_new_names() -> None:
    document = shop(
        "fields:\n"
        "  a: {type: int, brief: A, deprecated: {renamed_to: b}}\n"
        "  b: {type: int, brief: B, deprecated: {renamed_to: c}}\n"
        "  c: {type: int, brief: C}\n"
    )

    assert document.fields["a"].deprecated == Deprecation("b")


def test_events_come_in_the_order_of_the_file() -> None:
    document = shop(
        "spans: {shop.s: {brief: S}}\n"
        "events: {shop.z: {brief: Z}, shop.a: {deprecated: {renamed_to: shop.z}}}\n"
    )

    assert list(document.events) == [
        "shop.s.start",
        "shop.s.stop",
        "shop.s.exception",
        "shop.z",
        "shop.a",
    ]


METRIC = """\
fields:
  took: {type: int, brief: Took, unit: ms}
  size: {type: float, brief: Size}
  state: {type: string, brief: State, values: [open, shut]}
  paid: {type: bool, brief: Paid}
  outcome: {type: result, brief: Outcome}
events:
  shop.order: {brief: Order, measurements: [took, size], metadata: [state, paid, outcome]}
  shop.other: {brief: Other, measurements: [took], metadata: [state?]}
metrics:
"""


def metric(text: str) -> object:
    return shop(f"{METRIC}  shop.m: {{brief: M, {text}}}\n").metrics["shop.m"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("instrument: counter, event: shop.order", {"unit": "{event}", "measurement": None}),
        ("instrument: counter, event: shop.order, unit: '{order}'", {"unit": "{order}"}),
        ("instrument: counter, event: shop.order, unit: '1'", {"unit": "1"}),
        (
            "instrument: counter, event: [shop.order, shop.other], tags: [state, error.type]",
            {"events": ("shop.order", "shop.other"), "error_type": True},
        ),
        ("instrument: sum, event: shop.order, measurement: took", {"unit": "ms"}),
        ("instrument: sum, event: shop.order, measurement: took, unit: s", {"unit": "s"}),
        ("instrument: sum, event: shop.order, measurement: size", {"unit": "1", "monotonic": True}),
        (
            "instrument: sum, event: shop.order, measurement: size, unit: '{x}', monotonic: false",
            {"unit": "{x}", "monotonic": False},
        ),
        (
            "instrument: histogram, event: shop.order, measurement: took, buckets: [1, 2.5]",
            {"buckets": (1, 2.5), "exponential": False},
        ),
        (
            "instrument: histogram, event: shop.order, measurement: took, buckets: exponential",
            {"buckets": (), "exponential": True},
        ),
        (
            "instrument: summary, event: shop.order, measurement: took, cardinality_limit: 9",
            {"cardinality_limit": 9, "tags": (), "error_type": False},
        ),
        (
            (
                "instrument: last_value, event: shop.order, measurement: took, tags: [state], "
                "ended_by: shop.other"
            ),
            {"ended_by": ("shop.other",)},
        ),
    ],
)
def test_a_metric(text: str, expected: dict[str, object]) -> None:
    made = metric(text)

    assert {name: getattr(made, name) for name in expected} == expected


def test_conditions_of_a_metric() -> None:
    document = shop(
        f"{METRIC}"
        "  shop.k: {brief: K, instrument: counter, event: shop.order,"
        " keep: {state: open, paid: [true]}}\n"
        "  shop.d: {brief: D, instrument: counter, event: shop.order, drop: {state: [shut]}}\n"
    )
    state, paid = document.fields["state"], document.fields["paid"]

    assert document.metrics["shop.k"].keep == (
        Condition(state, ("open",)),
        Condition(paid, (True,)),
    )
    assert document.metrics["shop.d"].drop == (Condition(state, ("shut",)),)


def test_alerts_of_a_metric() -> None:
    document = shop(
        f"{METRIC}"
        "  shop.a: {brief: A, instrument: counter, event: shop.order, alert: {above: 3}}\n"
        "  shop.b: {brief: B, instrument: histogram, event: shop.order, measurement: took,"
        " alert: {below: 1.5, quantile: 0.9, over: 1h30m, for: 10m, severity: page,"
        " summary: Look}}\n"
    )
    first, second = (metric.alert for metric in document.metrics.values())

    assert first is not None
    assert (first.threshold, first.above, first.over, first.hold) == (3.0, True, "5m", "5m")
    assert (first.quantile, first.severity, first.summary) == (None, "warning", "A")
    assert second is not None
    assert (second.threshold, second.above, second.over, second.hold) == (
        1.5,
        False,
        "1h30m",
        "10m",
    )
    assert (second.quantile, second.severity, second.summary) == (0.9, "page", "Look")


def test_a_standard_field_may_be_a_tag() -> None:
    document = shop(
        "spans: {shop.s: {brief: S}}\n"
        "metrics: {shop.m: {brief: M, instrument: counter, event: shop.s.exception, tags: [kind]}}"
    )

    assert [tag.name for tag in document.metrics["shop.m"].tags] == ["kind"]


def test_error_type_and_a_field_of_that_attribute_are_one_tag() -> None:
    with pytest.raises(CatalogError, match=r"tags .error\.type. and .a. are both the attribute"):
        shop(
            "fields: {a: {type: string, brief: A, attribute: error.type}}\n"
            "spans: {shop.s: {brief: S, metadata: [a]}}\n"
            "metrics:\n  shop.m: {brief: M, instrument: counter, event: shop.s.exception,"
            " tags: [error.type, a]}\n"
        )


@pytest.mark.parametrize(
    "text",
    [
        # one slip in a declaration, used everywhere
        ("fields: {a: {type: strng, brief: A}}\n"
        "events: {shop.e: {brief: E, measurements: [a], metadata: [a]}}\n"
        "metrics:\n  shop.m: {brief: M, instrument: sum, event: shop.e, measurement: a,"
        " tags: [a], keep: {a: 1}}\n"),
        ("events:\n  shop.e: 3\n  shop.f: {deprecated: {renamed_to: shop.e}}\n"
        "metrics: {shop.m: {brief: M, instrument: counter, event: shop.e}}\n"),
        ("spans:\n  shop.e: 3\n  shop.f: {deprecated: {renamed_to: shop.e}}\n"
        "metrics: {shop.m: {brief: M, instrument: counter, event: shop.e.stop}}\n"),
        "metrics:\n  shop.m: {brief: M, instrument: counter, event: [3], tags: [error.type]}\n",
        "metrics:\n  shop.m: 3\n",
        "events: {shop.e: {brief: 3, deprecated: {note: N}}}\n",
    ],
)  # fmt: skip
def test_one_slip_is_one_fault_wherever_the_name_is_used(text: str) -> None:
    with pytest.raises(CatalogError) as caught:
        shop(text)

    assert len(caught.value.faults) == 1


def test_all_faults_are_told_in_the_order_of_the_file() -> None:
    with pytest.raises(CatalogError) as caught:
        load_text("version: x\nbrief: 1\nbrief: 2\nfields: {a: {type: b}}\nevents: []\n", "f.yaml")

    assert str(caught.value).splitlines() == [
        "f.yaml:1:1: 'x' is not a semantic version in version; write it like 1.2.3",
        "f.yaml:1:1: missing 'catalog'; add catalog: its name",
        'f.yaml:2:1: expected text, found the number 1 in brief; quote it: "1"',
        "f.yaml:3:1: second key 'brief' (first in line 2); remove or rename one of them",
        "f.yaml:4:10: missing 'brief' in fields.a; add brief: what it is, in one line",
        (
            "f.yaml:4:14: unknown type 'b' in fields.a.type; write one of string, int, float, "
            "number, bool, bytes, string[], int[], float[], number[], bool[], bytes[], map, any, "
            "result, exception, stacktrace"
        ),
        (
            "f.yaml:5:1: expected a mapping, found a list in events; write shop.order.placed: ... "
            "below it, or remove it"
        ),
    ]


def test_a_fault_knows_its_place() -> None:
    with pytest.raises(CatalogError) as caught:
        load_text("fields: {a: 3}\n", "f.yaml")
    fault = caught.value.faults[-1]

    assert (fault.file, fault.line, fault.column, fault.path) == ("f.yaml", 1, 10, "fields.a")
    assert fault.message == "expected a mapping, found the number 3"
    assert fault.mend == "its keys are type, brief, key ..."


def test_of_very_many_faults_the_first_are_told() -> None:
    with pytest.raises(CatalogError) as caught:
        load_text(HEAD + "fields:\n" + "".join(f"  a{n}: 3\n" for n in range(1000)))

    assert len(caught.value.faults) == Faults.LIMIT + 1
    assert caught.value.faults[-1].message == "there are more faults"


LARGE = 5_000


@pytest.mark.parametrize(
    "text",
    [
        # a chain of renamings, a circle of them, and one thing with very much in it
        "fields:\n"
        + "".join(
            f"  a{n}: {{type: int, brief: A, deprecated: {{renamed_to: a{n + 1}}}}}\n"
            for n in range(LARGE)
        )
        + f"  a{LARGE}: {{type: int, brief: A}}\n",
        "fields:\n"
        + "".join(
            f"  a{n}: {{type: int, brief: A, deprecated: {{renamed_to: a{(n + 1) % LARGE}}}}}\n"
            for n in range(LARGE)
        ),
        "events:\n"
        + "".join(
            f"  shop.a{n}: {{deprecated: {{renamed_to: shop.a{(n + 1) % LARGE}}}}}\n"
            for n in range(LARGE)
        ),
        f"fields: {{a: {{type: int, brief: A, values: {list(range(LARGE * 10))}}}}}\n",
        "fields:\n"
        + "".join(f"  a{n}: {{type: int, brief: A}}\n" for n in range(LARGE))
        + "events: {shop.e: {brief: E, measurements: ["
        + ", ".join(f"a{n}" for n in range(LARGE))
        + "]}}\n"
        + "metrics:\n"
        + "".join(
            f"  m{n}: {{brief: M, instrument: sum, event: shop.e, measurement: a{n}}}\n"
            for n in range(LARGE)
        ),
    ],
    ids=["chain", "circle", "events in a circle", "values", "uses"],
)
def test_a_large_catalog_takes_no_more_than_its_size(text: str) -> None:
    began = time.process_time()

    with suppress(CatalogError):
        shop(text)

    assert time.process_time() - began < 20


def test_a_catalog_error_survives_pickling() -> None:
    with pytest.raises(CatalogError) as caught:
        load_text("a: 1\n")

    copy = pickle.loads(pickle.dumps(caught.value))

    assert type(copy) is CatalogError
    assert copy.faults == caught.value.faults
    assert str(copy) == str(caught.value)


def test_a_catalog_error_is_a_value_error() -> None:
    assert issubclass(CatalogError, ValueError)


def test_text_that_cannot_be_encoded_is_a_fault() -> None:
    with pytest.raises(CatalogError, match="not UTF-8"):
        load_text("catalog: \ud800")
