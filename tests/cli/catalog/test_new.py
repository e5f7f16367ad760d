# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from heliograph.catalog.starter import render

Call = Callable[..., Result]


def test_a_starter_catalog_is_written_and_checks_well(call: Call, folder: Path) -> None:
    result = call("catalog", "new", "store")

    assert (result.exit_code, result.stdout) == (0, "store.yaml\n")
    assert (folder / "store.yaml").read_text("utf-8") == render("store")
    assert call("catalog", "check", "store.yaml", "--strict").exit_code == 0


def test_it_goes_where_it_is_told(call: Call, folder: Path) -> None:
    assert call("catalog", "new", "store", "--output", "catalogs").stdout == "catalogs/store.yaml\n"
    assert (folder / "catalogs" / "store.yaml").exists()


def test_json(call_json: Callable[..., Any]) -> None:
    assert call_json("catalog", "new", "store") == {
        "version": 1,
        "command": "catalog new",
        "path": "store.yaml",
    }


def test_nothing_is_overwritten(call: Call, folder: Path) -> None:
    before = (folder / "shop.yaml").read_text("utf-8")

    result = call("catalog", "new", "shop")

    assert result.exit_code == 4
    assert "shop.yaml exists and is left as it is" in result.stderr
    assert (folder / "shop.yaml").read_text("utf-8") == before


@pytest.mark.parametrize("name", ["Shop", "http", "modboss", "../shop"])
def test_bad_names_are_wrong_usage(call: Call, name: str) -> None:
    result = call("catalog", "new", name)

    assert result.exit_code == 2
    assert "cannot be a catalog's name" in result.stderr


def test_a_folder_that_cannot_be_made(call: Call) -> None:
    result = call("catalog", "new", "store", "--output", "shop.yaml/x")

    assert result.exit_code == 4
    assert "shop.yaml" in result.stderr
