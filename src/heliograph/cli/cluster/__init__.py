# SPDX-License-Identifier: Apache-2.0
"""`heliograph cluster`: nodes of a cluster."""

from __future__ import annotations

from typing import Final

import click

from heliograph.cli.lazy import LazyCommand, LazyGroup

__all__ = ["cluster"]

_COMMANDS: Final = {
    "node": LazyCommand("heliograph.cli.cluster.node:node", "Run a node, and talk through it"),
    "simulate": LazyCommand(
        "heliograph.cli.cluster.simulate:simulate", "Simulate thousands of nodes"
    ),
}


@click.group(cls=LazyGroup, lazy=_COMMANDS)
def cluster() -> None:
    """Run nodes of a cluster that speaks Partisan's wire protocol."""
