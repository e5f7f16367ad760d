# SPDX-License-Identifier: Apache-2.0
"""What holds for every catalog of the house."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
import yaml

from heliograph.catalog import load
from heliograph.catalog.lint import lint

CATALOGS = Path(__file__).parents[2] / "catalogs"
NAMES = ("gateway", "heliograph", "modboss", "partisan")

pytestmark = pytest.mark.parametrize("name", NAMES)


def test_it_is_valid_by_the_schema_that_editors_use(name: str) -> None:
    schema = json.loads((CATALOGS / "catalog.schema.json").read_text("utf-8"))
    document = yaml.safe_load((CATALOGS / f"{name}.yaml").read_text("utf-8"))

    jsonschema.validate(document, schema, cls=jsonschema.Draft202012Validator)


def test_it_tells_editors_where_that_schema_is(name: str) -> None:
    first_line = (CATALOGS / f"{name}.yaml").read_text("utf-8").partition("\n")[0]

    assert first_line == "# yaml-language-server: $schema=./catalog.schema.json"


def test_its_lines_fit_a_screen(name: str) -> None:
    lines = (CATALOGS / f"{name}.yaml").read_text("utf-8").splitlines()

    assert [number for number, line in enumerate(lines, 1) if len(line) > 150] == []


def test_its_schema_url_names_its_version(name: str) -> None:
    [document] = load(name).documents

    assert document.schema_url is not None
    assert document.schema_url.endswith(f"/{document.name}/{document.version}")


def test_every_event_field_and_metric_has_a_brief(name: str) -> None:
    [document] = load(name).documents
    briefs = {
        **{event.name: event.brief for event in document.events.values()},
        **{span.name: span.brief for span in document.spans.values()},
        **{f"metric {metric.name}": metric.brief for metric in document.metrics.values()},
        **{f"field {field.name}": field.brief for field in document.fields.values()},
    }

    assert [name for name, brief in briefs.items() if not brief.strip()] == []


def test_lint_finds_nothing_worth_a_warning(name: str) -> None:
    [document] = load(name).documents

    findings = [finding for finding in lint(document) if finding.level != "info"]

    assert findings == []


def test_its_metrics_read_fields_that_their_events_carry(name: str) -> None:
    [document] = load(name).documents
    missing = [
        (metric.name, event, field.name)
        for metric in document.metrics.values()
        for event in metric.events
        for field in (
            *metric.tags,
            *((metric.measurement,) if metric.measurement is not None else ()),
            *(condition.field for condition in (*metric.keep, *metric.drop)),
        )
        if field.name
        not in {
            use.field.name
            for use in (*document.events[event].measurements, *document.events[event].metadata)
        }
    ]

    assert missing == []


def test_some_of_its_metrics_ask_for_a_person_and_say_why(name: str) -> None:
    [document] = load(name).documents
    alerts = [metric.alert for metric in document.metrics.values() if metric.alert is not None]

    assert len(alerts) >= 3
    assert all(alert.summary for alert in alerts)


def test_every_event_is_measured_by_some_metric_or_becomes_a_log_event(name: str) -> None:
    [document] = load(name).documents
    measured = {event for metric in document.metrics.values() for event in metric.events}
    silent = [
        event.name
        for event in document.events.values()
        if event.kind == "point" and not event.log and event.alias_of is None
    ]

    assert [event for event in silent if event not in measured] == []


def test_numbers_that_are_measured_have_units(name: str) -> None:
    [document] = load(name).documents
    measured = [use.field for e in document.events.values() for use in e.measurements]

    assert [field.name for field in measured if field.unit is None and field.type != "map"] == []
