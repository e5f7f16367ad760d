# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from dataclasses import replace

import pytest

from heliograph.catalog.diff import IMPACTS, Diff, Impact, diff
from heliograph.catalog.loader import load_text
from heliograph.catalog.model import Document

SHOP = """
catalog: shop
version: 1.4.2
brief: A shop
schema_url: https://example.org/shop/1
stability: beta
fields:
  order: {type: string, brief: Order, note: As printed}
  method: {type: string, brief: Method, values: [card, cash]}
  amount: {type: number, unit: "{euro}", brief: Amount}
  note: {type: any, brief: Remarks}
  secret: {type: string, brief: Secret, attribute: none, sensitivity: sensitive}
  outcome: {type: result, brief: Outcome}
  spare: {type: int, brief: Used by nothing}
events:
  shop.order.placed:
    brief: An order came in
    measurements: [amount, duration]
    metadata: [order, method, note, secret?]
  shop.order.quiet: {brief: Nothing much, log: false}
  shop.order.gone: {brief: An order is gone, deprecated: {note: Rare}}
spans:
  shop.payment: {brief: An order is paid, metadata: [method], stop: {metadata: [outcome]}}
metrics:
  shop.payment.duration:
    brief: Time to pay
    instrument: histogram
    event: shop.payment.stop
    measurement: duration
    unit: s
    tags: [method, error.type]
    buckets: [1, 2]
    keep: {method: card}
    alert: {above: 1, quantile: 0.9}
  shop.order.amount:
    {brief: Amounts, instrument: sum, event: [shop.order.placed], measurement: amount}
  shop.orders: {brief: Orders, instrument: counter, event: shop.order.placed}
"""

METHOD = "method: {type: string, brief: Method, values: [card, cash]}"
ORDER = "order: {type: string, brief: Order, note: As printed}"
KEEP = "keep: {method: card}"
AMOUNT = "instrument: sum, event: [shop.order.placed], measurement: amount"


def document(text: str = SHOP) -> Document:
    return load_text(text, "shop.yaml")


def changed(old: str, new: str) -> Diff:
    assert old in SHOP
    return diff(document(), document(SHOP.replace(old, new)))


def test_nothing_changed() -> None:
    result = diff(document(), document())

    assert result.changes == ()
    assert result.impact is None
    assert result.suggested_version == "1.4.2"
    assert result.version_fits


@pytest.mark.parametrize(
    ("old", "new", "impact", "path", "reason"),
    [
        # the catalog
        ("brief: A shop", "brief: Shop", "patch", "brief", "reworded"),
        ("shop/1", "shop/2", "patch", "schema_url", "is now https://example.org/shop/2"),
        ("stability: beta", "stability: stable", "additive", "stability", "beta is now stable"),
        ("stability: beta", "stability: alpha", "breaking", "stability", "is now only alpha"),
        # fields
        ("brief: Order,", "brief: The order,", "patch", "fields.order", "reworded"),
        ("note: As printed", "note: Printed", "patch", "fields.order", "reworded"),
        ("type: number", "type: int", "additive", "fields.amount", "type number is now int"),
        ("type: any", "type: map", "additive", "fields.note", "type any is now map"),
        (
            ORDER,
            "order: {type: int, brief: Order, note: As printed}",
            "breaking",
            "fields.order",
            "",
        ),
        ('unit: "{euro}"', 'unit: "{cent}"', "breaking", "fields.amount", "means something else"),
        (ORDER, ORDER.replace("{", "{attribute: shop.o, "), "breaking", "fields.order", "shop.o"),
        ("attribute: none", "attribute: shop.s", "additive", "fields.secret", "None is now shop.s"),
        ("sensitivity: sensitive", "note: x", "additive", "fields.secret", "may be exported"),
        (ORDER, ORDER.replace("{", "{sensitivity: sensitive, "), "breaking", "fields.order", ""),
        (ORDER, ORDER.replace("{", "{cardinality: high, "), "additive", "fields.order", "of high"),
        ("cash]", "cash, coin]", "additive", "fields.method", "may have the values 'coin' too"),
        ("[card, cash]", "[card]", "breaking", "fields.method", "no longer has the values 'cash'"),
        (", values: [card, cash]", "", "breaking", "fields.method", "no longer a closed set"),
        (
            ORDER,
            ORDER.replace("{", "{values: [a], "),
            "additive",
            "fields.order",
            "a closed set now",
        ),
        (ORDER, ORDER.replace("{", "{stability: stable, "), "additive", "fields.order", "stable"),
        (
            ORDER,
            ORDER.replace("{", "{stability: alpha, "),
            "breaking",
            "fields.order",
            "only alpha",
        ),
        (
            ORDER,
            ORDER.replace("{", "{deprecated: {renamed_to: method}, "),
            "additive",
            "fields.order",
            "is deprecated in favour of method",
        ),
        # events
        (
            "  shop.order.quiet: {brief: Nothing much, log: false}\n",
            "",
            "breaking",
            "events.shop.order.quiet",
            "removed",
        ),
        ("events:\n", "events:\n  shop.x: {brief: X}\n", "additive", "events.shop.x", "added"),
        ("{note: Rare}", "{note: Seldom}", "patch", "events.shop.order.gone", "worded anew"),
        (", deprecated: {note: Rare}", "", "additive", "events.shop.order.gone", "no longer"),
        ("much, log: false", "much", "additive", "events.shop.order.quiet", "becomes a log event"),
        ("is gone,", "is gone, log: false,", "breaking", "events.shop.order.gone", "no longer"),
        ("is gone,", "is gone, severity: warn,", "breaking", "events.shop.order.gone", "severity"),
        (
            ", note, secret?]",
            ", secret?]",
            "breaking",
            "events.shop.order.placed.metadata.note",
            "removed",
        ),
        (
            "secret?]",
            "secret?, outcome]",
            "additive",
            "events.shop.order.placed.metadata.outcome",
            "added",
        ),
        ("secret?", "secret", "additive", "events.shop.order.placed.metadata.secret", "always"),
        ("note, sec", "note?, sec", "breaking", "events.shop.order.placed.metadata.note", "absent"),
        # spans
        ("is paid,", "is paid, kind: client,", "breaking", "spans.shop.payment", "is now client"),
        ("is paid,", "is paid, span_name: Pay,", "breaking", "spans.shop.payment", "'Pay'"),
        ("is paid,", "was paid,", "patch", "spans.shop.payment", "reworded"),
        ("spans:\n", "spans:\n  shop.x: {brief: X}\n", "additive", "spans.shop.x", "added"),
        # metrics
        (
            "  shop.orders: {brief: Orders, instrument: counter, event: shop.order.placed}\n",
            "",
            "breaking",
            "metrics.shop.orders",
            "removed",
        ),
        (
            "metrics:\n",
            "metrics:\n  shop.x: {brief: X, instrument: counter, event: shop.order.gone}\n",
            "additive",
            "metrics.shop.x",
            "added",
        ),
        ("brief: Amounts", "brief: All", "patch", "metrics.shop.order.amount", "reworded"),
        (
            AMOUNT,
            AMOUNT.replace("sum", "last_value"),
            "breaking",
            "metrics.shop.order.amount",
            "instrument sum is now last_value",
        ),
        (
            AMOUNT,
            f"{AMOUNT}, monotonic: false",
            "breaking",
            "metrics.shop.order.amount",
            "monotonic True is now False",
        ),
        (
            AMOUNT,
            AMOUNT.replace(": amount", ": duration"),
            "breaking",
            "metrics.shop.order.amount",
            "measurement amount is now duration",
        ),
        (
            "unit: s\n",
            "unit: ms\n",
            "breaking",
            "metrics.shop.payment.duration",
            "unit s is now ms",
        ),
        ("[1, 2]", "[1, 3]", "additive", "metrics.shop.payment.duration", "other buckets"),
        ("[1, 2]", "exponential", "breaking", "metrics.shop.payment.duration", "exponential"),
        (KEEP, "keep: {method: cash}", "breaking", "metrics.shop.payment.duration", "keep"),
        (KEEP, "drop: {method: card}", "breaking", "metrics.shop.payment.duration", "drop None"),
        (", error.type]", "]", "breaking", "metrics.shop.payment.duration", "'error.type' removed"),
        (
            "tags: [method, error",
            "tags: [error",
            "breaking",
            "metrics.shop.payment.duration",
            "tag",
        ),
        (KEEP, f"{KEEP}\n    cardinality_limit: 9", "patch", "metrics.shop.payment.duration", "9"),
        (
            "brief: Orders,",
            "brief: Orders, tags: [method],",
            "additive",
            "metrics.shop.orders",
            "tag 'method' added",
        ),
        (
            "counter, event: shop.order.placed",
            "counter, event: [shop.order.placed, shop.order.gone]",
            "additive",
            "metrics.shop.orders",
            "event 'shop.order.gone' added",
        ),
        ("above: 1,", "above: 2,", "additive", "metrics.shop.payment.duration.alert", "conditions"),
        (
            "    alert: {above: 1, quantile: 0.9}\n",
            "",
            "breaking",
            "metrics.shop.payment.duration.alert",
            "nobody is called",
        ),
        (
            "brief: Orders,",
            "brief: Orders, alert: {above: 1},",
            "additive",
            "metrics.shop.orders.alert",
            "added",
        ),
    ],
)
def test_the_impact_of_one_change(
    old: str, new: str, impact: Impact, path: str, reason: str
) -> None:
    result = changed(old, new)

    assert result.impact == impact
    assert any(
        each.impact == impact and each.path == path and reason in each.reason
        for each in result.changes
    ), result.changes


def test_a_field_that_nothing_uses_does_not_count() -> None:
    assert changed("spare: {type: int", "spare: {type: string").changes == ()


def test_a_field_may_get_another_name_while_its_key_stays() -> None:
    text = SHOP.replace(ORDER, ORDER.replace("order: {", "order_id: {key: order, "))
    text = text.replace("metadata: [order,", "metadata: [order_id,")

    assert diff(document(), document(text)).changes == ()


def test_another_field_under_the_same_key_is_compared_where_it_is_used() -> None:
    other = (
        "other: {key: order, type: string, brief: Other, attribute: shop.order, note: As printed}"
    )
    text = SHOP.replace("fields:\n", f"fields:\n  {other}\n")
    text = text.replace("metadata: [order,", "metadata: [other,")

    [change] = diff(document(), document(text)).changes

    assert (change.impact, change.path) == ("patch", "events.shop.order.placed.metadata.order")


def test_a_unit_where_none_was_said_is_additive() -> None:
    vague = document(SHOP.replace(', unit: "{euro}"', ""))

    impacts = {change.path: change.impact for change in diff(vague, document()).changes}

    assert impacts["fields.amount"] == "additive"


def test_a_removed_span_is_told_once() -> None:
    cut = SHOP[: SHOP.index("spans:")] + SHOP[SHOP.index("  shop.order.amount:") :].replace(
        "  shop.order.amount:", "metrics:\n  shop.order.amount:", 1
    )

    paths = [change.path for change in diff(document(), document(cut)).changes]

    assert paths == ["metrics.shop.payment.duration", "spans.shop.payment"]


def test_other_events_that_end_a_series_are_additive() -> None:
    last = SHOP.replace(AMOUNT, f"{AMOUNT.replace('sum', 'last_value')}, tags: [method]")
    ended = last.replace("tags: [method]", "tags: [method], ended_by: shop.payment.stop")

    [change] = diff(document(last), document(ended)).changes

    assert (change.impact, change.path) == ("additive", "metrics.shop.order.amount")
    assert change.reason == "other events end its series"


def test_an_added_span_is_told_once() -> None:
    result = changed("spans:\n", "spans:\n  shop.x: {brief: X}\n")

    assert [change.path for change in result.changes] == ["spans.shop.x"]


def test_a_point_event_that_becomes_part_of_a_span() -> None:
    pair = "  shop.visit.start: {brief: A}\n  shop.visit.stop: {brief: B}\n"
    span = "spans:\n  shop.visit: {brief: A visit}\n"
    old = document(SHOP.replace("events:\n", f"events:\n{pair}"))
    new = document(SHOP.replace("spans:\n", span))

    reasons = {change.path: change.reason for change in diff(old, new).changes}

    assert reasons["events.shop.visit.start.metadata.telemetry_span_context"] == "added"
    assert any(
        "was a point event, is a start event" in each.reason for each in diff(old, new).changes
    )


def test_an_old_name_kept_as_an_alias_is_additive() -> None:
    old = document(
        SHOP.replace(
            "shop.order.gone: {brief: An order is gone, deprecated: {note: Rare}}",
            "shop.order.gone: {brief: An order is gone}",
        )
    )
    new = document(
        SHOP.replace(
            "shop.order.gone: {brief: An order is gone, deprecated: {note: Rare}}",
            "shop.order.lost: {brief: An order is gone}\n"
            "  shop.order.gone: {deprecated: {renamed_to: shop.order.lost}}",
        )
    )

    result = diff(old, new)

    assert result.impact == "additive"
    assert "is deprecated in favour of shop.order.lost" in {each.reason for each in result.changes}


def test_a_change_of_what_an_alias_leads_to_is_told_once() -> None:
    text = SHOP.replace(
        "events:\n", "events:\n  shop.order.made: {deprecated: {renamed_to: shop.order.placed}}\n"
    )

    result = diff(document(text), document(text.replace(", note, secret?]", ", secret?]")))

    assert [change.path for change in result.changes] == ["events.shop.order.placed.metadata.note"]


def test_a_renamed_catalog_is_another_catalog() -> None:
    result = diff(document(), replace(document(), name="store"))

    [change] = result.changes
    assert (change.impact, change.path) == ("breaking", "catalog")


def test_changes_come_gravest_first() -> None:
    text = SHOP.replace("brief: A shop", "brief: Shop").replace("unit: s\n", "unit: ms\n")
    text = text.replace("events:\n", "events:\n  shop.x: {brief: X}\n")

    impacts = [change.impact for change in diff(document(), document(text)).changes]

    assert impacts == list(IMPACTS)


@pytest.mark.parametrize(
    ("old", "impact", "expected"),
    [
        ("1.4.2", "breaking", "2.0.0"),
        ("1.4.2", "additive", "1.5.0"),
        ("1.4.2", "patch", "1.4.3"),
        ("0.4.2", "breaking", "0.5.0"),
        ("0.4.2", "additive", "0.4.3"),
        ("0.4.2", "patch", "0.4.3"),
        ("1.0.0-rc.1", "patch", "1.0.1"),
        ("1.2.3+build", "patch", "1.2.4"),
    ],
)
def test_the_version_that_announces_a_change(old: str, impact: Impact, expected: str) -> None:
    assert with_impact(old, old, impact).suggested_version == expected


@pytest.mark.parametrize(
    ("old", "new", "impact", "fits"),
    [
        ("1.4.2", "2.0.0", "breaking", True),
        ("1.4.2", "1.5.0", "breaking", False),
        ("1.4.2", "1.5.0", "additive", True),
        ("1.4.2", "3.0.0", "patch", True),
        ("1.4.2", "1.4.2", "patch", False),
        ("1.4.2", "1.3.0", None, False),
        ("1.4.2", "1.4.2", None, True),
        ("1.0.0-rc.1", "1.0.0-rc.2", "breaking", True),
        ("1.0.0-rc.1", "1.0.0", "breaking", True),
        ("1.0.0-rc.1", "1.0.0-rc.1", "breaking", False),
        ("1.0.0", "1.0.0-rc.1", "breaking", False),
    ],
)
def test_whether_a_version_announces_enough(
    old: str, new: str, impact: Impact | None, *, fits: bool
) -> None:
    assert with_impact(old, new, impact).version_fits is fits


def with_impact(old: str, new: str, impact: Impact | None) -> Diff:
    """A diff of that impact between two versions."""
    text = {
        None: SHOP,
        "patch": SHOP.replace("brief: A shop", "brief: Shop"),
        "additive": SHOP.replace("events:\n", "events:\n  shop.x: {brief: X}\n"),
        "breaking": SHOP.replace("unit: s\n", "unit: ms\n"),
    }[impact]
    return diff(replace(document(), version=old), replace(document(text), version=new))


def test_a_version_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="'latest' is not a version"):
        diff(document(), replace(document(), version="latest"))
