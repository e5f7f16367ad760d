# SPDX-License-Identifier: Apache-2.0
"""`heliograph catalog`: write, read, check and compare catalogs, and generate from them."""

from __future__ import annotations

from typing import Final

import click

from heliograph.cli.lazy import LazyCommand, LazyGroup

__all__ = ["catalog"]

_HERE: Final = "heliograph.cli.catalog"

_COMMANDS: Final = {
    "new": LazyCommand(f"{_HERE}.new:new", "Write a commented starter catalog"),
    "list": LazyCommand(f"{_HERE}.listing:list_events", "List events"),
    "show": LazyCommand(f"{_HERE}.showing:show", "Tell everything about one event or span"),
    "check": LazyCommand(f"{_HERE}.checking:check", "Find faults and what is questionable"),
    "diff": LazyCommand(f"{_HERE}.checking:diff", "Judge what changed between two versions"),
    "scan": LazyCommand(f"{_HERE}.checking:scan", "Compare Python source with catalogs"),
    "python": LazyCommand(f"{_HERE}.generating:python", "Generate a typed module of events"),
    "markdown": LazyCommand(f"{_HERE}.generating:markdown", "Generate a page of reference"),
    "weaver": LazyCommand(f"{_HERE}.generating:weaver", "Generate a registry for Weaver"),
    "grafana": LazyCommand(f"{_HERE}.generating:grafana", "Generate a Grafana dashboard"),
    "alerts": LazyCommand(f"{_HERE}.generating:alerts", "Generate Prometheus alert rules"),
    "schema": LazyCommand(f"{_HERE}.generating:schema", "Print the JSON Schema of the format"),
    "generate": LazyCommand(f"{_HERE}.generating:generate", "Generate all that a project wants"),
}

_EPILOG: Final = """\b
Examples:
  heliograph catalog new shop
  heliograph catalog show shop.checkout.stop shop.yaml
  heliograph catalog python shop.yaml --output src/shop/events.py
"""


@click.group(cls=LazyGroup, lazy=_COMMANDS, epilog=_EPILOG)
def catalog() -> None:
    """Write, read, check and compare catalogs, and generate from them.

    CATALOG is the name of an installed catalog or a YAML file. Where none is named, the catalogs
    of the project's pyproject.toml and all installed ones are meant.
    """
