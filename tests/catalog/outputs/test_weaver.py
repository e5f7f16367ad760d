# SPDX-License-Identifier: Apache-2.0
"""Weaver registries: valid by the official schema, complete, and nothing that is not exported."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from heliograph.catalog import semconv
from heliograph.catalog.exported import log_events
from heliograph.catalog.model import Document
from heliograph.catalog.outputs import weaver

SIGNALS = ("events", "spans", "metrics")


def official(name: str) -> dict[str, Any]:
    """One of Weaver's own schemas, which are no part of this repository."""
    definition = os.environ.get("HELIOGRAPH_WEAVER_SCHEMA")
    if not definition:
        pytest.skip("HELIOGRAPH_WEAVER_SCHEMA does not name Weaver's semconv.schema.v2.json")
    schema: dict[str, Any] = json.loads((Path(definition).parent / name).read_text())
    return schema


def registry(document: Document) -> dict[str, Any]:
    """The registry's sections, read back."""
    found: dict[str, Any] = {}
    for name, text in weaver.render(document).items():
        content = yaml.safe_load(text)
        if name == weaver.MANIFEST:
            found["manifest"] = content
        else:
            assert content.pop("file_format") == "definition/2"
            found.update(content)
    return found


def by_name(entries: list[dict[str, Any]], key: str = "name") -> dict[str, dict[str, Any]]:
    return {entry[key]: entry for entry in entries}


def references(found: dict[str, Any]) -> Iterator[str]:
    for section in SIGNALS:
        for entry in found.get(section, ()):
            for attribute in entry.get("attributes", ()):
                yield attribute["ref"]


def test_the_registry_is_valid_by_the_official_schema(any_document: Document) -> None:
    schema = official("semconv.schema.v2.json")
    for name, text in weaver.render(any_document).items():
        if name != weaver.MANIFEST:
            jsonschema.validate(yaml.safe_load(text), schema)


def test_the_manifest_is_valid_by_the_official_schema(any_document: Document) -> None:
    schema = official("definition-manifest.v2.json")
    # Weaver derives this part from the fields of its own type, but reads and writes a plain string.
    schema["$defs"]["SchemaUrl"] = {"type": "string", "pattern": r"^https?://[^/]+/.+"}

    jsonschema.validate(registry(any_document)["manifest"], schema)


def test_every_reference_is_defined_here_or_by_the_conventions(any_document: Document) -> None:
    found = registry(any_document)
    own = {entry["key"] for entry in found.get("attributes", ())}
    conventions = set(semconv.load().attributes)

    assert not own & conventions
    assert set(references(found)) <= own | conventions
    assert own <= set(references(found))
    foreign = set(references(found)) - own
    assert bool(foreign) == ("dependencies" in found["manifest"])


def test_the_conventions_are_a_dependency_at_the_version_checked_against(
    everything: Document,
) -> None:
    version = semconv.load().version

    assert registry(everything)["manifest"]["dependencies"] == [
        {
            "schema_url": f"https://opentelemetry.io/schemas/{version}",
            "registry_path": "https://github.com/open-telemetry/semantic-conventions"
            f"/archive/refs/tags/v{version}.zip[model]",
        }
    ]


def test_a_catalog_without_a_schema_url_gets_one_that_leads_nowhere(shop: Document) -> None:
    assert registry(shop)["manifest"] == {
        "description": "A small shop.",
        "schema_url": "https://shop.invalid/schemas/1.2.3",
        "stability": "development",
        "dependencies": registry(shop)["manifest"]["dependencies"],
    }


def test_a_catalog_that_needs_no_conventions_depends_on_none(shop: Document) -> None:
    pure = replace(shop, spans={}, events={"shop.order.placed": shop.events["shop.order.placed"]})

    assert "dependencies" not in registry(pure)["manifest"]
    assert set(weaver.render(pure)) == {
        "manifest.yaml",
        "attributes.yaml",
        "events.yaml",
        "metrics.yaml",
    }


def test_signals_are_those_that_are_exported(any_document: Document) -> None:
    found = registry(any_document)
    logged = {event.name for event in log_events(any_document)}

    current = {e["name"] for e in found.get("events", ()) if "renamed_to" not in str(e)}
    assert logged - current == set()
    assert set(by_name(found.get("spans", []), "type")) == set(any_document.spans)
    assert set(by_name(found.get("metrics", []))) == set(any_document.metrics)


def test_nothing_sensitive_is_in_it(any_document: Document) -> None:
    secret = {
        field.attribute
        for field in any_document.fields.values()
        if field.sensitive and field.attribute
    }

    assert not secret & set(references(registry(any_document)))


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("all.number", {"type": "double", "examples": [1.0, 2.5]}),
        ("all.ratio", {"type": "double", "examples": [1.0]}),
        ("all.texts", {"type": "string[]", "examples": [["a"], ["b"]]}),
        ("all.numbers", {"type": "double[]", "examples": [[1.0, 2.5]]}),
        ("all.kept", {"type": "string", "examples": ["[1, 2]"]}),
        ("all.text", {"type": "string", "note": "1. A note"}),
        ("all.clash", {"type": "any", "examples": [3, "x", 7]}),
        ("all.bytes", {"type": "int"}),
        (
            "all.level",
            {
                "type": {
                    "members": [
                        {"id": "value_1", "value": -1, "stability": "beta"},
                        {"id": "value_0", "value": 0, "stability": "beta"},
                        {"id": "value_1_2", "value": 1, "stability": "beta"},
                    ]
                }
            },
        ),
        (
            "all.flag",
            {
                "type": {
                    "members": [
                        {"id": "true", "value": True, "stability": "beta"},
                        {"id": "false", "value": False, "stability": "beta"},
                    ]
                },
                "examples": [True],
            },
        ),
        (
            "all.colour",
            {
                "type": {
                    "members": [
                        {"id": "red", "value": "red", "stability": "stable"},
                        {"id": "light_blue", "value": "light blue", "stability": "stable"},
                        {"id": "light_blue_2", "value": "LIGHT-BLUE", "stability": "stable"},
                        {"id": "value_1st", "value": "1st", "stability": "stable"},
                        {"id": "green", "value": "green", "stability": "beta"},
                    ]
                },
                "stability": "stable",
            },
        ),
        (
            "all.old_text",
            {
                "deprecated": {"reason": "renamed", "renamed_to": "all.text", "note": "Shorter"},
            },
        ),
        (
            "all.colour_once",
            {"deprecated": {"reason": "uncategorized", "note": "Use clashless."}},
        ),
        ("all.dead", {"deprecated": {"reason": "obsoleted", "note": "Nobody reads it"}}),
    ],
)
def test_an_attribute_is_defined_once_for_all_its_fields(
    everything: Document, key: str, expected: dict[str, Any]
) -> None:
    entry = by_name(registry(everything)["attributes"], "key")[key]

    assert {name: entry.get(name) for name in expected} == expected


def test_what_the_format_has_no_place_for_is_annotated(everything: Document) -> None:
    found = registry(everything)
    attributes, metrics = by_name(found["attributes"], "key"), by_name(found["metrics"])

    assert attributes["all.number"]["annotations"] == {
        "heliograph": {"fields": ["number"], "unit": "ms"}
    }
    assert attributes["all.kept"]["annotations"]["heliograph"]["cardinality"] == "high"
    assert metrics["all.work.duration"]["annotations"]["heliograph"] == {
        "instrument": "histogram",
        "value_type": "double",
        "events": ["all.work.stop", "all.work.exception"],
        "measurement": "duration",
        "buckets": [0.1, 1],
        "cardinality_limit": 2000,
    }
    assert metrics["all.rest.duration"]["annotations"]["heliograph"]["buckets"] == "exponential"
    assert metrics["all.last"]["annotations"]["heliograph"]["ended_by"] == ["all.everything"]
    assert metrics["all.kept"]["annotations"]["heliograph"]["keep"] == {
        "class": ["a", "b"],
        "one_of_very_many_words": ["gamma_ray"],
    }
    assert metrics["all.dropped"]["annotations"]["heliograph"]["drop"] == {"class": ["c"]}
    assert by_name(found["events"])["all.everything"]["annotations"] == {
        "heliograph": {"severity": "warn"}
    }


def test_a_span_says_when_its_attributes_are_there(everything: Document) -> None:
    span = by_name(registry(everything)["spans"], "type")["all.work"]
    refs = by_name(span["attributes"], "ref")

    assert span["kind"] == "client"
    assert span["name"] == {"note": "The work"}
    assert span["deprecated"] == {"reason": "obsoleted", "note": "Work no more"}
    assert refs["server.address"] == {
        "ref": "server.address",
        "brief": "The host asked",
        "requirement_level": "required",
        "sampling_relevant": True,
    }
    assert refs["all.number"]["requirement_level"] == {
        "conditionally_required": "If the operation ran to its end."
    }
    assert "sampling_relevant" not in refs["all.number"]


def test_a_field_that_says_more_than_the_definition_says_it_at_the_reference(
    everything: Document,
) -> None:
    events = by_name(registry(everything)["events"])

    assert by_name(events["all.everything"]["attributes"], "ref")["all.colour"] == {
        "ref": "all.colour",
        "requirement_level": "required",
    }
    assert (
        by_name(events["all.clashes"]["attributes"], "ref")["all.colour"]["brief"]
        == "Another colour"
    )


def test_old_names_lead_to_new_ones(everything: Document) -> None:
    found = registry(everything)
    events, metrics = by_name(found["events"]), by_name(found["metrics"])

    assert events["all.older"]["deprecated"] == {
        "reason": "renamed",
        "renamed_to": "all.everything",
        "note": "A better name",
    }
    assert events["all.older"]["attributes"] == events["all.everything"]["attributes"]
    assert "all.silent" not in events
    assert by_name(found["spans"], "type")["all.worked"]["deprecated"] == {
        "reason": "renamed",
        "renamed_to": "all.work",
    }
    assert metrics["all.ratio"]["deprecated"]["renamed_to"] == "all.last"


@pytest.mark.parametrize(
    ("metric", "instrument", "unit"),
    [
        ("all.counted", "counter", "{event}"),
        ("all.summed", "counter", "s"),
        ("all.level", "updowncounter", "ms"),
        ("all.last", "gauge", "By"),
        ("all.work.duration", "histogram", "s"),
        ("all.rest.summary", "histogram", "s"),
    ],
)
def test_a_metric_has_its_instrument_and_unit(
    everything: Document, metric: str, instrument: str, unit: str
) -> None:
    entry = by_name(registry(everything)["metrics"])[metric]

    assert (entry["instrument"], entry["unit"]) == (instrument, unit)
