# SPDX-License-Identifier: Apache-2.0
"""`heliograph cluster simulate`: thousands of nodes in simulated time, by a scenario's file."""

from __future__ import annotations

import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from heliograph.cli.exits import ExitCode
from heliograph.cli.output import json_option, plural

if TYPE_CHECKING:
    from collections.abc import Iterator

    from heliograph.cli.output import Output
    from heliograph.partisan.simulator.experiments import Progress

__all__ = ["simulate"]

_EPILOG = """\b
Examples:
  heliograph cluster simulate failures.toml
  heliograph cluster simulate failures.toml --set nodes=1000 --set seed=7 --json
"""


@click.command(epilog=_EPILOG)
@click.argument("scenario", type=click.Path(path_type=Path))
@click.option(
    "--set",
    "changes",
    metavar="KEY=VALUE",
    multiple=True,
    help="Change the scenario; may be repeated.",
)
@click.option("--plot", metavar="FILE", type=click.Path(path_type=Path), help="Draw it, as SVG.")
@json_option
@click.pass_context
def simulate(
    ctx: click.Context,
    scenario: Path,
    changes: tuple[str, ...],
    plot: Path | None,
    output: Output,
) -> None:
    """Simulate a cluster of many nodes, as a file in TOML says.

    The same scenario gives the same report, byte for byte.
    """
    from heliograph.partisan.simulator.experiments import run
    from heliograph.partisan.simulator.plots import svg
    from heliograph.partisan.simulator.report import document, table
    from heliograph.partisan.simulator.scenario import ScenarioError, load

    try:
        wanted = load(scenario, changes)
    except ScenarioError as error:
        output.note(f"heliograph: {scenario}: {error}")
        ctx.exit(ExitCode.INVALID)
    began = time.monotonic()
    with _progress() as progress:
        result = run(wanted, progress)
    if output.json:
        output.document(document(result))
    else:
        output.table(*table(result))
    if plot is not None:
        plot.write_text(svg(result), encoding="utf-8")
    took = time.monotonic() - began
    output.note(
        f"{wanted.name or wanted.kind}: {plural(wanted.nodes, 'node')}, seed {wanted.seed},"
        f" {result.events:,} events in {took:.1f} s"
    )


@contextmanager
def _progress() -> Iterator[Progress | None]:
    """Show how far it is, on a terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import Progress as Bar

    with Bar(console=Console(file=sys.stderr), transient=True) as bar:
        tasks: dict[str, Any] = {}

        def show(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bar.add_task(what, total=total)
            bar.update(tasks[what], completed=done)

        yield show
