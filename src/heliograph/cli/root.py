# SPDX-License-Identifier: Apache-2.0
"""The outermost command. A new subcommand is one line in the table here."""

from __future__ import annotations

from typing import Final

import click

from heliograph.cli.lazy import LazyCommand, RootGroup

__all__ = ["root"]

_COMMANDS: Final = {
    "catalog": LazyCommand(
        "heliograph.cli.catalog:catalog", "Write, read, check and compare catalogs"
    ),
    "cluster": LazyCommand("heliograph.cli.cluster:cluster", "Run nodes of a cluster"),
    "collect": LazyCommand(
        "heliograph.cli.collect:collect", "Receive what OpenTelemetry sends, and show it"
    ),
    "completion": LazyCommand(
        "heliograph.cli.completion:completion", "Print the completion script for a shell"
    ),
    "demo": LazyCommand("heliograph.cli.demo:demo", "See gateways at work, for a minute"),
    "doctor": LazyCommand("heliograph.cli.doctor:doctor", "Look for what is missing"),
    "gateway": LazyCommand(
        "heliograph.cli.gateway:gateway", "Poll devices, share them with others, export it all"
    ),
    "modbus": LazyCommand(
        "heliograph.cli.modbus:modbus", "Read, write and simulate Modbus devices"
    ),
}

_EPILOG: Final = """\b
Examples:
  heliograph catalog new shop
  heliograph catalog check shop.yaml
  heliograph catalog list --json
"""


def _print_version(ctx: click.Context, _parameter: click.Parameter, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        from importlib.metadata import version

        click.echo(f"heliograph {version('heliograph')}")
        ctx.exit()


@click.group(
    cls=RootGroup,
    lazy=_COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=_EPILOG,
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_version,
    help="Print the version and exit.",
)
def root() -> None:
    """Named events, the catalogs that say what they mean, and what is made of them."""
