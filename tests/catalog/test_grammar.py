# SPDX-License-Identifier: Apache-2.0
"""The format, said as JSON Schema and as a page."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from heliograph._located import parse, plain
from heliograph.catalog import format_reference, json_schema
from heliograph.catalog.errors import Faults
from heliograph.catalog.grammar import CATALOG
from heliograph.catalog.model import Where

ROOT = Path(__file__).parents[2]
SHOP = ROOT / "tests" / "data" / "catalogs" / "shop.yaml"
CATALOGS = [*sorted(ROOT.glob("catalogs/*.yaml")), SHOP]


def validator() -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(json_schema())


def test_the_schema_is_one_of_draft_2020_12() -> None:
    jsonschema.Draft202012Validator.check_schema(json_schema())


def test_the_schema_beside_the_catalogs_is_the_one_of_the_table() -> None:
    stored = ROOT.joinpath("catalogs", "catalog.schema.json").read_text("utf-8")

    assert stored == json.dumps(json_schema(), indent=2) + "\n"


@pytest.mark.parametrize("path", CATALOGS, ids=lambda path: path.stem)
def test_the_schema_accepts_what_the_loader_accepts(path: Path) -> None:
    faults = Faults()
    tree = parse(path.read_bytes(), path.name, faults)
    assert tree is not None

    CATALOG.check(tree, Where(path.name, 1, 1, ""), faults)
    validator().validate(plain(tree))

    assert not faults


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"feilds": {}}, "'feilds' was unexpected"),
        ({"version": 1.0}, "1.0 is not of type 'string'"),
        ({"version": "1"}, "'1' does not match"),
        ({"fields": {"A": {"type": "int", "brief": "A"}}}, "'A' does not match"),
        ({"fields": {"a": {"type": "integer", "brief": "A"}}}, "'integer' is not one of"),
        ({"fields": {"a": {"type": "int"}}}, "'brief' is a required property"),
        ({"events": {"e": {}}}, "is not valid under any of the given schemas"),
        ({"metrics": {"m": {"brief": "M", "instrument": "counter"}}}, "'event' is a required"),
    ],
)
def test_the_schema_refuses_what_the_loader_refuses(change: dict[str, Any], says: str) -> None:
    catalog = {"catalog": "shop", "version": "1.0.0", "brief": "A shop", **change}

    with pytest.raises(jsonschema.ValidationError, match=says):
        validator().validate(catalog)


def test_an_editor_can_explain_every_key() -> None:
    pending: list[Any] = [json_schema()]
    explained = 0
    while pending:
        schema = pending.pop()
        for name, described in schema.get("properties", {}).items():
            assert described["description"].strip(), name
            explained += 1
        pending += [each for each in schema.values() if isinstance(each, dict)]
        pending += list(schema.get("properties", {}).values())
        pending += list(schema.get("anyOf", []))

    assert explained > 50


def test_the_page_has_a_row_for_every_key_of_every_record() -> None:
    page = format_reference()

    for record in CATALOG.records():
        assert f"\n## {record.name.capitalize()}\n" in page
        for key in record.keys:
            assert f"\n| `{key.name}` | " in page


def test_the_page_is_made_of_tables_that_hold() -> None:
    rows = [line for line in format_reference().splitlines() if line.startswith("|")]

    assert {row.replace("\\|", "").count("|") for row in rows} == {5}
