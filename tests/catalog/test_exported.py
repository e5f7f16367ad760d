# SPDX-License-Identifier: Apache-2.0
"""What leaves the process: attributes of spans, log events and metrics."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from heliograph.catalog.exported import (
    Attribute,
    attribute_type,
    log_attributes,
    log_events,
    metric_attributes,
    otel_instrument,
    span_attributes,
    value_type,
)
from heliograph.catalog.loader import load_document, load_text
from heliograph.catalog.model import TYPES, Document, FieldSpec

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def everything() -> Document:
    return load_document(ROOT / "tests" / "data" / "everything.yaml")


@pytest.fixture(scope="module")
def modboss() -> Document:
    return load_document(ROOT / "catalogs" / "modboss.yaml")


def brief(attributes: tuple[Attribute, ...]) -> dict[str, str]:
    return {each.name: f"{each.type} {each.level}" for each in attributes}


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("string", "string"),
        ("int", "int"),
        ("float", "double"),
        ("number", "double"),
        ("bool", "boolean"),
        ("bytes", "string"),
        ("string[]", "string[]"),
        ("int[]", "int[]"),
        ("float[]", "double[]"),
        ("number[]", "double[]"),
        ("bool[]", "boolean[]"),
        ("bytes[]", "string[]"),
        ("map", "string"),
        ("any", "string"),
        ("result", None),
        ("exception", None),
        ("stacktrace", None),
    ],
)
def test_the_type_of_an_attribute_follows_from_the_fields(kind: str, expected: str | None) -> None:
    assert kind in TYPES
    field = FieldSpec(name="x", key="x", type=kind, brief="X", attribute="shop.x")

    assert attribute_type(field) == expected
    assert attribute_type(replace(field, sensitive=True)) is None
    assert attribute_type(replace(field, attribute=None)) is None


def test_point_events_are_logged_unless_told_otherwise_and_exceptions_always(
    everything: Document,
) -> None:
    names = [event.name for event in log_events(everything)]

    assert "all.everything" in names
    assert "all.work.exception" in names
    assert not {"all.quiet", "all.older", "all.work.start", "all.worked.exception"} & set(names)


def test_a_log_event_has_its_measurements_and_metadata(everything: Document) -> None:
    found = brief(log_attributes(everything.events["all.everything"]))

    assert found["all.number"] == "double required"
    assert found["all.ratio"] == "double recommended"
    assert found["all.raw"] == "string recommended"
    assert found["server.address"] == "string required"
    assert not {"all.secret", "all.clashless", "all.old"} & set(found)


def test_results_and_exceptions_are_told_as_the_semantic_conventions_do(
    everything: Document,
) -> None:
    assert brief(log_attributes(everything.events["all.failed"])) == {
        "error.type": "string conditionally_required",
        "exception.type": "string required",
        "exception.message": "string recommended",
        "exception.stacktrace": "string required",
        "heliograph.truncated": "string[] conditionally_required",
    }


def test_of_a_sensitive_exception_the_class_alone_is_told(everything: Document) -> None:
    assert brief(log_attributes(everything.events["all.failed_secretly"])) == {
        "error.type": "string conditionally_required",
        "exception.type": "string required",
        "heliograph.truncated": "string[] conditionally_required",
    }


def test_a_span_has_the_attributes_of_all_its_events(everything: Document) -> None:
    attributes = span_attributes(everything.spans["all.work"])

    assert brief(attributes) == {
        "all.text": "string recommended",
        "server.address": "string required",
        "all.level": "int recommended",
        "all.flag": "boolean required",
        "all.ratio": "double recommended",
        "all.number": "double conditionally_required",
        "all.colour": "string required",
        "all.kept": "string recommended",
        "error.type": "string conditionally_required",
        "all.clash": "string conditionally_required",
        "heliograph.truncated": "string[] conditionally_required",
        "heliograph.orphan": "boolean conditionally_required",
    }
    conditions = {each.name: each.condition for each in attributes if each.condition}
    assert conditions == {
        "all.number": "If the operation ran to its end.",
        "error.type": "If the operation failed.",
        "all.clash": "If the operation raised.",
        "heliograph.truncated": "If a value was longer than its limit.",
        "heliograph.orphan": "If the operation's end never came.",
    }
    assert {each.name for each in attributes if each.at_start} == {
        "all.text",
        "server.address",
        "all.level",
        "all.flag",
    }


def test_a_read_is_exported_as_its_catalog_says(modboss: Document) -> None:
    assert brief(span_attributes(modboss.spans["modboss.read"])) == {
        "modboss.schema": "string required",
        "modboss.names": "string[] required",
        # What only devices know; functions of the caller's own may reach anything.
        "server.address": "string recommended",
        "server.port": "int recommended",
        "network.transport": "string recommended",
        "network.protocol.name": "string recommended",
        "modbus.unit.id": "int recommended",
        "modboss.batch.count": "int conditionally_required",
        "modboss.attempt.count": "int conditionally_required",
        "modboss.object.count": "int conditionally_required",
        "modboss.address.count": "int conditionally_required",
        "modboss.gap.address.count": "int conditionally_required",
        "modboss.gap.largest": "int conditionally_required",
        "error.type": "string conditionally_required",
        "heliograph.truncated": "string[] conditionally_required",
        "heliograph.orphan": "boolean conditionally_required",
    }


def test_a_metric_has_its_tags(everything: Document, modboss: Document) -> None:
    metrics = everything.metrics

    assert brief(metric_attributes(modboss.metrics["modboss.read.duration"], modboss)) == {
        "modboss.schema": "string required",
        "error.type": "string conditionally_required",
    }
    # `flag` may be absent from one of the two events.
    assert brief(metric_attributes(metrics["all.last"], everything)) == {
        "all.flag": "boolean recommended"
    }


def test_a_field_of_high_cardinality_is_no_tag(modboss: Document) -> None:
    metric = modboss.metrics["modboss.read.duration"]
    tags = (*metric.tags, modboss.fields["names"], modboss.fields["context"])

    attributes = metric_attributes(replace(metric, tags=tags), modboss)

    assert [each.name for each in attributes] == ["modboss.schema", "error.type"]


@pytest.mark.parametrize(
    ("metric", "instrument", "kind"),
    [
        ("all.counted", "counter", "int"),
        ("all.summed", "counter", "double"),
        ("all.size.total", "counter", "int"),
        ("all.level", "updowncounter", "double"),
        ("all.last", "gauge", "int"),
        ("all.ratio", "gauge", "double"),
        ("all.work.duration", "histogram", "double"),
        ("all.rest.summary", "histogram", "double"),
    ],
)
def test_what_a_metric_becomes(
    everything: Document, metric: str, instrument: str, kind: str
) -> None:
    assert otel_instrument(everything.metrics[metric]) == instrument
    assert value_type(everything.metrics[metric]) == kind


def test_a_converted_measurement_is_no_longer_whole(everything: Document) -> None:
    assert value_type(replace(everything.metrics["all.size.total"], unit="MBy")) == "double"


def test_the_first_field_of_a_name_holds() -> None:
    document = load_text("""
catalog: shop
version: 1.0.0
brief: Two fields of one attribute.
fields:
  one: {type: string, brief: One, attribute: shop.same}
  two: {type: int, brief: Two, attribute: shop.same}
events:
  shop.happened: {brief: It happened, metadata: [one, "two?"]}
""")

    assert brief(log_attributes(document.events["shop.happened"])) == {
        "shop.same": "string required",
        "heliograph.truncated": "string[] conditionally_required",
    }


def test_what_cannot_be_cut_bears_no_mark_of_it(modboss: Document, everything: Document) -> None:
    assert log_attributes(everything.events["all.old"]) == ()
    numbers = replace(modboss.events["modboss.read.stop"], metadata=())
    assert "heliograph.truncated" not in brief(log_attributes(numbers))
