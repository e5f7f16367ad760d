# SPDX-License-Identifier: Apache-2.0
"""`heliograph catalog new`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from heliograph.cli.exits import ExitCode
from heliograph.cli.output import json_option

if TYPE_CHECKING:
    from heliograph.cli.output import Output

__all__ = ["new"]

_EPILOG = """\b
Examples:
  heliograph catalog new shop
  heliograph catalog new shop --output catalogs
"""


@click.command(epilog=_EPILOG)
@click.argument("name")
@click.option(
    "--output", "-o", "folder", metavar="DIR", default=".", help="Folder to write NAME.yaml into."
)
@json_option
@click.pass_context
def new(ctx: click.Context, name: str, folder: str, output: Output) -> None:
    """Write a commented starter catalog into NAME.yaml.

    An existing file is never overwritten.
    """
    from heliograph.catalog import starter

    try:
        path = starter.write(name, folder)
    except FileExistsError as error:
        output.note(f"heliograph: {error}")
        ctx.exit(ExitCode.UNREACHABLE)
    except ValueError as error:
        raise click.BadParameter(str(error), ctx, param_hint="NAME") from error
    if output.json:
        output.document({"path": str(path)})
        return
    output.line(str(path))
    output.note(f"Next: edit it, then run: heliograph catalog check {path}")
