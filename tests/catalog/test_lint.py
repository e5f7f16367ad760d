# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import textwrap

import pytest

from heliograph.catalog.lint import LEVELS, RULES, Finding, lint
from heliograph.catalog.loader import load_document, load_text

SOUND = """
catalog: shop
version: 1.0.0
brief: A shop
fields:
  order: {type: string, brief: Order, attribute: shop.order.id, cardinality: high, examples: [A1]}
  method: {type: string, brief: How it is paid, values: [card, cash]}
  outcome: {type: result, brief: How it ended}
  items: {type: int, unit: "{item}", brief: Items ordered}
events:
  shop.order.placed: {brief: An order came in, measurements: [items], metadata: [order, method]}
spans:
  shop.payment: {brief: An order is paid, metadata: [method], stop: {metadata: [outcome]}}
metrics:
  shop.payment.duration:
    {brief: Time to pay, instrument: histogram, event: shop.payment.stop, measurement: duration,
     unit: s, tags: [method, error.type]}
  shop.order.items: {brief: Items, instrument: sum, event: shop.order.placed, measurement: items}
"""


def findings(text: str, *ignore: str) -> list[Finding]:
    return list(lint(load_text(textwrap.dedent(text), "shop.yaml"), ignore))


def rules(text: str, *ignore: str) -> list[str]:
    return [finding.rule for finding in findings(text, *ignore)]


def with_field(declaration: str) -> str:
    """A catalog whose only event carries one more piece of metadata, `x`."""
    return SOUND.replace("fields:\n", f"fields:\n  x: {declaration}\n").replace(
        "metadata: [order, method]", "metadata: [order, method, x]"
    )


def with_measurement(declaration: str) -> str:
    return SOUND.replace("fields:\n", f"fields:\n  x: {declaration}\n").replace(
        "measurements: [items]", "measurements: [items, x]"
    )


def with_metric(name: str, declaration: str) -> str:
    return f"{SOUND}  {name}: {declaration}\n"


def test_a_sound_catalog_has_no_findings() -> None:
    assert findings(SOUND) == []


@pytest.mark.parametrize(
    ("attribute", "expected"),
    [
        ("Shop.orderId", ["attribute-name"]),
        ("shop..x", ["attribute-name"]),
        ("shop.x_", ["attribute-name"]),
        ("shop.2x", []),
        ("2shop.x", ["attribute-name"]),
        ("shop.x-y", ["attribute-name"]),
        ("_", ["attribute-name"]),
        ("otel.x", ["attribute-reserved"]),
        ("server.rack", ["attribute-namespace"]),
        ("server.address", []),
        ("http.request.header.accept", ["attribute-type"]),
        ("server.port", ["attribute-type"]),
        ("net.peer.name", ["attribute-deprecated"]),
        ("x", ["attribute-unqualified"]),
        ("warehouse.x", ["attribute-foreign"]),
        ("shop.order", ["attribute-collision"]),
        ("shop.order_id", ["attribute-collision"]),
        ("none", []),
    ],
)
def test_attribute_names(attribute: str, expected: list[str]) -> None:
    text = with_field(f"{{type: string, brief: X, attribute: {attribute}, examples: [a]}}")

    assert rules(text) == expected


@pytest.mark.parametrize(
    ("attribute", "words"),
    [
        ("Shop.orderId", "'shop.order_id' would do"),
        ("_", "a letter or digit last"),
        ("http.method", "use http.request.method"),
        ("server.rack", "name it 'shop.x'"),
        ("shop.order", "also the namespace of 'shop.order.id'"),
    ],
)
def test_findings_name_the_mend(attribute: str, words: str) -> None:
    text = with_field(f"{{type: string, brief: X, attribute: {attribute}, examples: [a]}}")

    [finding] = findings(text)

    assert words in finding.message
    assert str(finding.where) == "shop.yaml:6:3"


def test_an_attribute_deprecated_without_an_heir_says_so() -> None:
    text = with_field("{type: string, brief: X, attribute: code.namespace, examples: [a]}")

    [finding] = findings(text)

    assert "deprecated the attribute 'code.namespace'; nothing replaces it" in finding.message


def test_any_type_fits_an_attribute_that_may_be_anything() -> None:
    text = with_field("{type: int, brief: X, attribute: feature_flag.result.value}")

    assert rules(text) == []


def test_a_sensitive_field_has_no_attribute_to_judge() -> None:
    text = with_field(
        "{type: string, brief: X, attribute: Shop.X, sensitivity: sensitive, examples: [a]}"
    )

    assert rules(text) == []


def test_two_types_under_one_attribute_collide() -> None:
    text = with_field("{type: int, brief: X, attribute: shop.order.id}")

    found = [finding.message for finding in findings(text) if finding.subject == "shop.order.id"]

    assert any(
        "is of type int in field 'x' and of type string in field 'order'" in m for m in found
    )


def test_two_keys_of_one_event_under_one_attribute_collide() -> None:
    text = with_field("{type: string, brief: X, attribute: shop.order.id, examples: [a]}")

    [finding] = findings(text)

    assert finding.rule == "attribute-collision"
    assert "shop.order.placed: 'order' and 'x' are both exported as 'shop.order.id'" in (
        finding.message
    )


def test_an_alias_repeats_no_finding_of_its_target() -> None:
    text = with_field("{type: string, brief: X, attribute: shop.order.id, examples: [a]}")
    text = text.replace(
        "events:\n", "events:\n  shop.order.made: {deprecated: {renamed_to: shop.order.placed}}\n"
    )

    assert rules(text) == ["attribute-collision"]


@pytest.mark.parametrize(
    ("declaration", "expected"),
    [
        ("{type: bool, brief: X, cardinality: high}", ["field-cardinality"]),
        ("{type: int, brief: X, cardinality: high, values: [1, 2]}", ["field-cardinality"]),
        ("{type: int, brief: X, cardinality: high}", []),
        ("{type: string, brief: X}", ["field-example"]),
        ("{type: 'string[]', brief: X}", ["field-example"]),
        ("{type: string, brief: X, values: [a]}", []),
    ],
)
def test_fields(declaration: str, expected: list[str]) -> None:
    assert rules(with_field(declaration)) == expected


def test_unused_fields() -> None:
    text = SOUND.replace("fields:\n", "fields:\n  x: {type: int, brief: X}\n")

    [finding] = findings(text)

    assert (finding.rule, finding.subject) == ("field-unused", "x")


def test_a_condition_is_a_use() -> None:
    text = SOUND.replace("measurement: items}", "measurement: items, keep: {method: card}}")

    assert rules(text) == []


@pytest.mark.parametrize(
    ("declaration", "expected"),
    [
        ("{type: int, brief: X}", ["measurement-unit"]),
        ("{type: number, brief: X}", ["measurement-unit"]),
        ("{type: float, unit: '1', brief: X}", []),
    ],
)
def test_measurements_have_units(declaration: str, expected: list[str]) -> None:
    assert rules(with_measurement(declaration)) == expected


def test_start_and_stop_are_a_span() -> None:
    pair = "  shop.visit.start: {brief: A}\n  shop.visit.stop: {brief: B}\n"

    [finding] = findings(SOUND.replace("events:\n", f"events:\n{pair}"))

    assert (finding.rule, finding.subject) == ("event-pair", "shop.visit.start")
    assert "as 'shop.visit' under 'spans'" in finding.message


def test_a_start_without_a_stop_is_an_event() -> None:
    text = SOUND.replace("events:\n", "events:\n  shop.visit.start: {brief: A}\n")

    assert rules(text) == []


COUNTER = "{brief: X, instrument: counter, event: shop.order.placed, unit: '{order}'}"
DURATION = "{brief: X, instrument: histogram, event: shop.payment.stop, measurement: duration}"
LEVEL = (
    "{brief: X, instrument: sum, event: shop.order.placed, measurement: items, monotonic: false}"
)


@pytest.mark.parametrize(
    ("name", "declaration", "expected"),
    [
        ("shop.orders", COUNTER, []),
        ("shop.orders_", COUNTER, ["metric-name"]),
        (f"shop.{'x' * 260}", COUNTER, ["metric-name"]),
        ("shop.orders.total", COUNTER, ["metric-total"]),
        ("shop.wait.seconds", COUNTER, ["metric-unit-in-name"]),
        ("http.orders", COUNTER, ["metric-namespace"]),
        ("shop.order_items", COUNTER, ["metric-collision"]),
        ("k8s.node.memory.paging.faults", COUNTER, ["metric-deprecated"]),
        (
            "http.server.request.duration",
            DURATION.replace("}", ", unit: s}"),
            [],
        ),
        ("shop.orders", COUNTER.replace("{order}", "{orders}"), ["metric-unit"]),
        ("shop.orders", COUNTER.replace("{order}", "{process}"), []),
        (
            "shop.wait",
            DURATION,
            ["metric-unit"],
        ),
        (
            "shop.wait.duration",
            DURATION.replace("histogram", "sum").replace("}", ", unit: s}"),
            ["metric-duration"],
        ),
        (
            "shop.open_orders",
            LEVEL,
            ["metric-plural"],
        ),
        (
            "shop.open_order.count",
            LEVEL,
            [],
        ),
    ],
)
def test_metrics(name: str, declaration: str, expected: list[str]) -> None:
    assert rules(with_metric(name, declaration)) == expected


def test_a_catalog_may_own_a_namespace_of_the_conventions() -> None:
    text = """
        catalog: http
        version: 1.0.0
        brief: The protocol's own
        events: {http.retry: {brief: A retry}}
        metrics:
          http.retries: {brief: Retries, instrument: counter, event: http.retry, unit: "{retry}"}
    """

    assert rules(text) == []


def test_a_metric_split_by_fractions() -> None:
    text = with_field("{type: float, brief: X}").replace(
        "measurement: items}", "measurement: items, tags: [x]}"
    )

    assert rules(text) == ["metric-tag"]


def test_a_metric_split_by_listed_fractions() -> None:
    text = with_field("{type: float, brief: X, values: [0.5, 1.0]}").replace(
        "measurement: items}", "measurement: items, tags: [x]}"
    )

    assert rules(text) == []


def test_a_metric_about_a_deprecated_event() -> None:
    deprecation = "deprecated: {note: Too rare}, "
    text = SOUND.replace("{brief: An order came", f"{{{deprecation}brief: An order came")

    assert rules(text) == ["metric-deprecated"]
    assert rules(text.replace("brief: Items, ", f"{deprecation}brief: Items, ")) == []


def test_a_metric_that_the_conventions_deprecated_names_its_heir() -> None:
    [heir] = findings(with_metric("k8s.node.memory.paging.faults", COUNTER))

    assert "use k8s.node.paging.faults" in heir.message


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("{brief: An order came", "{stability: stable, brief: An order came", ["stability"] * 3),
        ("{brief: Time to pay", "{stability: beta, brief: Time to pay", ["stability"]),
        (
            "  shop.order.items: {brief",
            "  shop.order.items: {stability: beta, brief",
            ["stability"],
        ),
        (
            SOUND.splitlines()[-1],
            f"  shop.orders: {COUNTER.replace('{brief', '{stability: beta, brief')}",
            [],
        ),
    ],
)
def test_nothing_promises_more_than_its_parts(old: str, new: str, expected: list[str]) -> None:
    assert rules(SOUND.replace(old, new)) == expected


def test_findings_come_in_the_order_of_the_file() -> None:
    text = with_metric("shop.total", COUNTER).replace(
        "fields:\n", "fields:\n  x: {type: string, brief: X}\n"
    )

    assert rules(text) == ["field-example", "field-unused", "metric-total"]


@pytest.mark.parametrize("ignore", ["metric-total", "metric-total:shop.total"])
def test_deliberate_exceptions(ignore: str) -> None:
    assert rules(with_metric("shop.total", COUNTER), ignore) == []


def test_an_exception_for_one_subject_leaves_the_others() -> None:
    text = with_metric("shop.total", COUNTER) + f"  shop.sum.total: {COUNTER}\n"

    assert [each.subject for each in findings(text, "metric-total:shop.total")] == [
        "shop.sum.total"
    ]


def test_an_exception_from_an_unknown_rule_is_refused() -> None:
    with pytest.raises(ValueError, match=r"no rule 'metric-totals'; did you mean 'metric-total'"):
        findings(SOUND, "metric-totals:shop.x")


def test_every_rule_has_a_level_and_says_what_it_is() -> None:
    for name, rule in RULES.items():
        assert rule.name == name
        assert rule.level in LEVELS
        assert rule.brief


@pytest.mark.parametrize("name", ["gateway", "heliograph", "modboss", "partisan"])
def test_the_catalogs_of_the_house_are_in_order(name: str, request: pytest.FixtureRequest) -> None:
    document = load_document(request.config.rootpath / "catalogs" / f"{name}.yaml")

    assert [finding for finding in lint(document) if finding.level != "info"] == []
