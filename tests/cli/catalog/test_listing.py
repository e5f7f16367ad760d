# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

import heliograph.catalog

Call = Callable[..., Result]


def test_rows_in_a_pipe(call: Call) -> None:
    result = call("catalog", "list", "shop.yaml")

    assert result.stdout.splitlines() == [
        "shop.order.placed\tpoint\tAn order came in",
        "shop.order.made\tpoint\tOld name of shop.order.placed",
        "shop.payment.start\tstart\tAn order is paid: start",
        "shop.payment.stop\tstop\tAn order is paid: stop",
        "shop.payment.exception\texception\tAn order is paid: exception",
    ]
    assert result.stderr == ""


def test_a_table_for_people(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "120")

    result = call("catalog", "list", "shop.yaml")

    assert "Event" in result.stdout
    assert "shop.order.placed" in result.stdout
    assert result.stderr == "5 events of shop 1.0.0\n"


def test_deprecated_events_say_so(call: Call, folder: Path) -> None:
    (folder / "old.yaml").write_text(
        "{catalog: old, version: 1.0.0, brief: O,"
        " events: {old.x: {brief: Rare, deprecated: {note: Gone}}}}"
    )

    assert call("catalog", "list", "old.yaml").stdout == "old.x\tpoint\tRare (deprecated)\n"


def test_every_installed_event_is_listed_by_its_full_name(call_json: Callable[..., Any]) -> None:
    document = call_json("catalog", "list")

    names = [event["name"] for event in document["events"]]
    assert names == list(heliograph.catalog.load().events)
    assert {"modboss.read.stop", "partisan.socket.open", "telemetry.handler.failure"} <= {*names}
    assert [each["name"] for each in document["catalogs"]] == [
        "gateway",
        "heliograph",
        "modboss",
        "partisan",
    ]


def test_json_of_an_event(call_json: Callable[..., Any]) -> None:
    document = call_json("catalog", "list", "shop.yaml")

    events = {event["name"]: event for event in document["events"]}
    assert document["command"] == "catalog list"
    assert events["shop.order.placed"] == {
        "name": "shop.order.placed",
        "catalog": "shop",
        "kind": "point",
        "span": None,
        "brief": "An order came in",
        "measurements": [
            {
                "key": "items",
                "type": "int",
                "unit": "{item}",
                "required": True,
                "brief": "Items ordered",
                "attribute": "shop.items",
                "cardinality": "low",
                "sensitivity": "public",
                "values": [],
                "examples": [],
                "stability": "development",
                "deprecated": None,
                "note": None,
            }
        ],
        "metadata": [
            {
                "key": "order",
                "type": "string",
                "unit": None,
                "required": True,
                "brief": "Order",
                "attribute": "shop.order.id",
                "cardinality": "low",
                "sensitivity": "public",
                "values": [],
                "examples": ["A1"],
                "stability": "development",
                "deprecated": None,
                "note": None,
            }
        ],
        "severity": "info",
        "log": True,
        "stability": "development",
        "deprecated": None,
        "note": None,
    }
    assert events["shop.order.made"]["deprecated"] == {
        "renamed_to": "shop.order.placed",
        "note": None,
    }
    assert events["shop.payment.stop"]["span"] == "shop.payment"
    assert document["catalogs"] == [
        {
            "name": "shop",
            "version": "1.0.0",
            "brief": "A shop",
            "file": "shop.yaml",
            "stability": "development",
            "schema_url": None,
        }
    ]


def test_the_catalogs_of_the_project_are_at_hand(
    call_json: Callable[..., Any], folder: Path
) -> None:
    (folder / "pyproject.toml").write_text(
        '[[tool.heliograph.catalogs]]\ncatalog = "shop.yaml"\n', encoding="utf-8"
    )

    document = call_json("catalog", "list")

    names = [each["name"] for each in document["catalogs"]]
    assert names == ["shop", "gateway", "heliograph", "modboss", "partisan"]


def test_the_projects_own_file_comes_before_an_installed_catalog_of_that_name(
    call_json: Callable[..., Any], folder: Path
) -> None:
    (folder / "modboss.yaml").write_text("{catalog: modboss, version: 9.0.0, brief: Mine}")
    (folder / "pyproject.toml").write_text(
        '[[tool.heliograph.catalogs]]\ncatalog = "modboss.yaml"\n', encoding="utf-8"
    )

    document = call_json("catalog", "list")

    versions = {each["name"]: each["version"] for each in document["catalogs"]}
    assert versions["modboss"] == "9.0.0"


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["nowhere.yaml"], 4, "No such file or directory: nowhere.yaml"),
        (["shpo"], 3, "no catalog 'shpo' is installed"),
        (["broken.yaml"], 3, "broken.yaml:1:1"),
    ],
)
def test_what_is_not_there(
    call: Call, folder: Path, arguments: list[str], code: int, words: str
) -> None:
    (folder / "broken.yaml").write_text("[]")

    result = call("catalog", "list", *arguments)

    assert result.exit_code == code
    assert words in result.stderr
    assert result.stdout == ""
