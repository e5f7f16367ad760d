# SPDX-License-Identifier: Apache-2.0
"""Each thing that can be wrong with a catalog's head, fields and events has its one clear line."""

from __future__ import annotations

from pathlib import Path

import pytest

from heliograph.catalog import CatalogError, load_text

SHOP = Path(__file__).parents[1].joinpath("data", "catalogs", "shop.yaml").read_text("utf-8")
HEAD = "catalog: shop\nversion: 1.0.0\nbrief: A shop\n"


def faults(text: str) -> str:
    with pytest.raises(CatalogError) as caught:
        load_text(text, "shop.yaml")
    return str(caught.value)


def test_the_catalog_that_is_broken_below_is_sound() -> None:
    assert load_text(SHOP).name == "shop"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(
            "catalog: shop\n",
            "shop.yaml:1:1: missing 'version'; add version: its semantic version\n"
            "shop.yaml:1:1: missing 'brief'; add brief: what it is, in one line",
            id="a key missing at the top",
        ),
        pytest.param(
            "catalog: shop\nversion: 1.0\nbrief: A shop\n",
            "shop.yaml:2:1: expected a semantic version, found the number 1.0 in version; "
            "write it like 1.2.3",
            id="a version that YAML reads as a number",
        ),
        pytest.param(
            "catalog: shop\nversion: one\nbrief: A shop\n",
            "shop.yaml:2:1: 'one' is not a semantic version in version; write it like 1.2.3",
            id="a version of another form",
        ),
        pytest.param(
            "catalog: shop\nversion: 1.0.0\nbrief:\n",
            "shop.yaml:3:1: expected text, found nothing in brief; write some text",
            id="an empty brief",
        ),
        pytest.param(
            "catalog: shop\nversion: 1.0.0\nbrief: ' '\n",
            "shop.yaml:3:1: expected text, found the text ' ' in brief; write some text",
            id="a blank brief",
        ),
        pytest.param(
            "catalog: shop\nversion: 1.0.0\nbrief: 12\n",
            'shop.yaml:3:1: expected text, found the number 12 in brief; quote it: "12"',
            id="a brief that is a number",
        ),
        pytest.param(
            "catalog: shop\nversion: 1.0.0\nbrief: |\n  a\n  b\n",
            "shop.yaml:3:1: text runs over several lines in brief; make it one line",
            id="a brief of two lines",
        ),
        pytest.param(
            "catalog: shop\nversion: 1.0.0\nbrief: [a]\n",
            "shop.yaml:3:1: expected text, found a list in brief; write some text",
            id="a brief that is a list",
        ),
        pytest.param(
            "catalog: My Shop\nversion: 1.0.0\nbrief: A shop\n",
            "shop.yaml:1:1: 'My Shop' is not a name in catalog; write it like shop",
            id="a catalog's name with a blank",
        ),
        pytest.param(
            "feilds: {}\n",
            "shop.yaml:4:1: unknown key 'feilds'; did you mean 'fields'?",
            id="an unknown key",
        ),
        pytest.param(
            "xyz: {}\n",
            "shop.yaml:4:1: unknown key 'xyz'; catalog has schema_url, stability, fields, "
            "events, spans, metrics",
            id="an unknown key like no other",
        ),
        pytest.param(
            "schema_url: shop\n",
            "shop.yaml:4:1: 'shop' is not an http or https address in schema_url; write it "
            "like https://example.org/shop/1.0.0",
            id="a schema_url that is none",
        ),
        pytest.param(
            "stability: betta\n",
            "shop.yaml:4:1: unknown stability 'betta' in stability; did you mean 'beta'?",
            id="a misspelt stability",
        ),
        pytest.param(
            "stability: []\n",
            "shop.yaml:4:1: expected one word, found a list in stability; write one of "
            "development, alpha, beta, release_candidate, stable",
            id="a stability that is a list",
        ),
        pytest.param(
            "fields: [a]\n",
            "shop.yaml:4:1: expected a mapping, found a list in fields; write order_id: ... "
            "below it, or remove it",
            id="a section that is a list",
        ),
        pytest.param(
            "fields:\n",
            "shop.yaml:4:1: expected a mapping, found nothing in fields; write order_id: ... "
            "below it, or remove it",
            id="a section left empty",
        ),
        pytest.param(
            "fields:\n  a: int\n",
            "shop.yaml:5:3: expected a mapping, found the text 'int' in fields.a; its keys "
            "are type, brief, key ...",
            id="a field that is no mapping",
        ),
        pytest.param(
            "fields:\n  Amount: {type: int, brief: A}\n",
            "shop.yaml:5:3: 'Amount' is not a field's name in fields.Amount; write it like "
            "order_id",
            id="a field's name in capitals",
        ),
        pytest.param(
            "fields:\n  a: {type: strng, brief: A}\n",
            "shop.yaml:5:7: unknown type 'strng' in fields.a.type; did you mean 'string' or "
            "'string[]'?",
            id="a misspelt type",
        ),
        pytest.param(
            "fields:\n  a: {}\n",
            "shop.yaml:5:3: missing 'type' in fields.a; add type: what its values are\n"
            "shop.yaml:5:3: missing 'brief' in fields.a; add brief: what it is, in one line",
            id="a field without type and brief",
        ),
        pytest.param(
            "fields:\n  duration: {type: int, brief: A}\n",
            "shop.yaml:5:3: 'duration' is a standard field in fields.duration; remove it; it "
            "can be used without being declared",
            id="a standard field declared",
        ),
        pytest.param(
            "fields:\n  a: {type: int, brief: A, unit: seconds}\n",
            "shop.yaml:5:28: 'seconds' is no UCUM code in fields.a.unit; did you mean 's'?",
            id="a unit in words",
        ),
        pytest.param(
            "fields:\n  a: {type: int, brief: A, unit: m s}\n",
            "shop.yaml:5:28: 'm s' is not a UCUM unit in fields.a.unit; write it like s, By "
            'or "{item}"',
            id="a unit with a blank",
        ),
        pytest.param(
            "fields:\n  a: {type: int, brief: A, values: [1, two]}\n",
            "shop.yaml:5:40: the text 'two' is not of type int in fields.a.values; change "
            "it, or the field's type",
            id="a value of another type",
        ),
        pytest.param(
            "fields:\n  a: {type: map, brief: A, values: [1]}\n",
            "shop.yaml:5:28: the values of a field of type map cannot be listed in "
            "fields.a.values; remove them",
            id="values of a map",
        ),
        pytest.param(
            "fields:\n  a: {type: bool, brief: A, values: [true, true]}\n",
            "shop.yaml:5:44: true stands twice in fields.a.values; remove one",
            id="a value twice",
        ),
        pytest.param(
            "fields:\n  a: {type: bool, brief: A, values: []}\n",
            "shop.yaml:5:29: the list is empty in fields.a.values; name at least 1",
            id="no value",
        ),
        pytest.param(
            "fields:\n  a: {type: string, brief: A, examples: [12]}\n",
            "shop.yaml:5:42: the number 12 is not of type string in fields.a.examples; quote "
            'it: "12"',
            id="an example of another type",
        ),
        pytest.param(
            "fields:\n  a: {type: string, brief: A, examples: [[a]]}\n",
            "shop.yaml:5:42: a list is not of type string in fields.a.examples; remove the "
            "inner brackets",
            id="an example that is a list",
        ),
        pytest.param(
            'fields:\n  a: {type: "int[]", brief: A, examples: [[1, b]]}\n',
            "shop.yaml:5:47: the text 'b' is not of type int in fields.a.examples[0]; change "
            "it, or the field's type",
            id="an example's element of another type",
        ),
        pytest.param(
            "fields:\n  a: {type: int, brief: A, deprecated: {renamed_to: b}}\n",
            "shop.yaml:5:41: unknown field 'b' in fields.a.deprecated.renamed_to; name a "
            "field of this catalog",
            id="a field renamed to none",
        ),
        pytest.param(
            "fields:\n  a: {type: int, brief: A, deprecated: {note: []}}\n",
            "shop.yaml:5:41: expected text, found a list in fields.a.deprecated.note; write "
            "some text",
            id="a deprecation that is broken",
        ),
        pytest.param(
            "fields:\n  a: {type: int, brief: A, deprecated: true}\n",
            "shop.yaml:5:28: expected a mapping, found true in fields.a.deprecated; its keys "
            "are renamed_to, note ...",
            id="a deprecation that is no mapping",
        ),
    ],
)
def test_a_faulty_head_or_field(text: str, expected: str) -> None:
    whole = text if text.startswith("catalog") else HEAD + text

    assert faults(whole) == expected


@pytest.mark.parametrize(
    ("sound", "broken", "expected"),
    [
        pytest.param(
            "metadata: [schema]",
            "metadata: [schemaa]",
            "shop.yaml:23:41: unknown field 'schemaa' in spans.shop.sale.metadata; did you "
            "mean 'schema'?",
            id="a misspelt field",
        ),
        pytest.param(
            "metadata: [schema]",
            "metadata: [qqqq]",
            "shop.yaml:23:41: unknown field 'qqqq' in spans.shop.sale.metadata; declare it "
            "in fields: qqqq: {...}",
            id="an undeclared field",
        ),
        pytest.param(
            "metadata: [schema]",
            "metadata: [duration]",
            "shop.yaml:23:41: standard measurement 'duration' among the metadata in "
            "spans.shop.sale.metadata; move it to measurements",
            id="a standard measurement as metadata",
        ),
        pytest.param(
            "[amount, took]",
            "[reason]",
            "shop.yaml:18:20: standard metadata 'reason' among the measurements in "
            "events.shop.order.measurements; move it to metadata",
            id="standard metadata as a measurement",
        ),
        pytest.param(
            "metadata: [schema]",
            'metadata: ["schema!"]',
            "shop.yaml:23:41: 'schema!' is not a field's name, perhaps with ? in "
            "spans.shop.sale.metadata[0]; write it like order_id",
            id="a field's name of another form",
        ),
        pytest.param(
            "metadata: [schema]",
            'metadata: [schema, "schema?"]',
            "shop.yaml:23:49: field 'schema' stands twice in spans.shop.sale.metadata; remove it",
            id="a field twice in an event",
        ),
        pytest.param(
            "metadata: [schema]",
            "metadata: [schema, other]",
            "shop.yaml:23:49: fields 'schema' and 'other' have the same key 'schema' in "
            "spans.shop.sale.metadata; use one of them, or give one of them another key",
            id="two fields with one key in an event",
        ),
        pytest.param(
            "metadata: [schema]",
            "metadata: [kind]",
            "shop.yaml:23:41: field 'kind' is implied in spans.shop.sale.metadata; remove "
            "it; a span carries it by itself",
            id="metadata that a span implies",
        ),
        pytest.param(
            "metadata: [schema]",
            "stop: {measurements: [duration]}",
            "shop.yaml:23:52: field 'duration' is implied in "
            "spans.shop.sale.stop.measurements; remove it; a span carries it by itself",
            id="a measurement that a span implies",
        ),
        pytest.param(
            "[amount, took]",
            "[schema]",
            "shop.yaml:18:20: measurement 'schema' is of type string in "
            "events.shop.order.measurements; measure a number; other things belong in metadata",
            id="a measurement that is text",
        ),
        pytest.param(
            "shop.old:",
            "shop.sale.start:",
            "shop.yaml:23:3: second event 'shop.sale.start' (first in line 20) in "
            "spans.shop.sale; a span declares its start, stop and exception itself",
            id="an event that a span declares",
        ),
        pytest.param(
            "shop.old:",
            "shop.Old:",
            "shop.yaml:20:3: 'shop.Old' is not a dotted name in events.shop.Old; write it "
            "like shop.order.placed",
            id="an event's name in capitals",
        ),
        pytest.param(
            "    brief: An order was placed",
            "    severity: warning\n    brief: An order was placed",
            "shop.yaml:17:5: unknown severity 'warning' in events.shop.order.severity; did "
            "you mean 'warn'?",
            id="a severity that is none",
        ),
        pytest.param(
            "    brief: An order was placed",
            "    log: yes\n    brief: An order was placed",
            "shop.yaml:17:5: expected true or false, found the text 'yes' in "
            "events.shop.order.log; write true or false",
            id="yes for true",
        ),
        pytest.param(
            "{brief: A sale,",
            "{brief: A sale, kind: clinet,",
            "shop.yaml:23:30: unknown span kind 'clinet' in spans.shop.sale.kind; did you "
            "mean 'client'?",
            id="a misspelt span kind",
        ),
        pytest.param(
            "{brief: A sale,",
            "{brief: A sale, deprecated: {},",
            "shop.yaml:23:30: deprecated says nothing in spans.shop.sale.deprecated; add "
            "renamed_to or note",
            id="a deprecation that says nothing",
        ),
        pytest.param(
            "{brief: A sale,",
            "{deprecated: {note: Sell otherwise},",
            "shop.yaml:23:3: missing 'brief' in spans.shop.sale; add brief: what it is, in "
            "one line",
            id="a deprecated span without a brief",
        ),
        pytest.param(
            "brief: An order was placed",
            "deprecated: {note: Order otherwise}",
            "shop.yaml:16:3: missing 'brief' in events.shop.order; add brief: what it is, in "
            "one line",
            id="a deprecated event without a brief",
        ),
        pytest.param(
            "renamed_to: shop.order",
            "renamed_to: shop.ordr",
            "shop.yaml:20:27: unknown event 'shop.ordr' in "
            "events.shop.old.deprecated.renamed_to; did you mean 'shop.order' or 'shop.other'?",
            id="an old name that leads nowhere",
        ),
        pytest.param(
            "renamed_to: shop.order",
            "renamed_to: shop.old",
            "shop.yaml:20:27: renamed in a circle (shop.old, shop.old) in "
            "events.shop.old.deprecated.renamed_to; one event of these must be the present one",
            id="an old name that leads to itself",
        ),
        pytest.param(
            "spans:",
            "  shop.a: {deprecated: {renamed_to: shop.b}}\n"
            "  shop.b: {deprecated: {renamed_to: shop.a}}\n"
            "spans:",
            "shop.yaml:22:25: renamed in a circle (shop.a, shop.b, shop.a) in "
            "events.shop.a.deprecated.renamed_to; one event of these must be the present one\n"
            "shop.yaml:23:25: renamed in a circle (shop.a, shop.b, shop.a) in "
            "events.shop.b.deprecated.renamed_to; one event of these must be the present one",
            id="old names in a circle",
        ),
        pytest.param(
            "spans:",
            "  shop.a: {deprecated: {renamed_to: shop.old}}\nspans:",
            "shop.yaml:22:25: 'shop.old' is an old name itself in "
            "events.shop.a.deprecated.renamed_to; write renamed_to: shop.order",
            id="an old name that leads to an old name",
        ),
        pytest.param(
            "{deprecated: {renamed_to: shop.order}}",
            "{measurements: [amount], deprecated: {renamed_to: shop.order}}",
            "shop.yaml:20:14: 'measurements' beside renamed_to in "
            "events.shop.old.measurements; remove it; an old name takes everything from "
            "shop.order",
            id="an old name with a shape of its own",
        ),
        pytest.param(
            "{brief: A sale, metadata: [schema]}",
            "{deprecated: {renamed_to: shop.order}}",
            "shop.yaml:23:28: unknown span 'shop.order' in "
            "spans.shop.sale.deprecated.renamed_to; name a span of this catalog",
            id="a span's old name that leads to an event",
        ),
    ],
)
def test_a_faulty_event_or_span(sound: str, broken: str, expected: str) -> None:
    assert faults(SHOP.replace(sound, broken, 1)) == expected
