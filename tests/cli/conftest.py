# SPDX-License-Identifier: Apache-2.0
"""What the tests of the command share: a folder of its own, and the command called in it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from heliograph.cli.root import root

SHOP = """
catalog: shop
version: 1.0.0
brief: A shop
fields:
  order: {type: string, brief: Order, attribute: shop.order.id, examples: [A1]}
  items: {type: int, unit: "{item}", brief: Items ordered}
  result: {type: result, brief: How it ended}
events:
  shop.order.placed: {brief: An order came in, measurements: [items], metadata: [order]}
  shop.order.made: {deprecated: {renamed_to: shop.order.placed}}
spans:
  shop.payment: {brief: An order is paid, stop: {metadata: [result]}}
metrics:
  shop.orders: {brief: Orders, instrument: counter, event: shop.order.placed, unit: "{order}"}
"""

Call = Callable[..., Result]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with a sound catalog in shop.yaml."""
    for name in ("FORCE_COLOR", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "shop.yaml").write_text(SHOP, encoding="utf-8")
    return tmp_path


@pytest.fixture
def call(folder: Path) -> Call:
    """Calls the command in the folder: `call("catalog", "list")`."""

    def run(*arguments: str, **kwargs: Any) -> Result:
        result = CliRunner().invoke(root, arguments, prog_name="heliograph", **kwargs)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return run


@pytest.fixture
def call_json(call: Call) -> Callable[..., Any]:
    """The document that the command prints with --json."""

    def run(*arguments: str, code: int = 0) -> Any:
        result = call(*arguments, "--json")
        assert result.exit_code == code
        document = json.loads(result.stdout)
        assert document["version"] == 1
        return document

    return run
