# SPDX-License-Identifier: Apache-2.0
"""`heliograph modbus read`."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import click

from heliograph.cli.exits import ExitCode
from heliograph.cli.modbus.target import Target, place, target_options
from heliograph.cli.modbus.values import shown
from heliograph.cli.output import json_option, plural

if TYPE_CHECKING:
    from heliograph.cli.output import Output

__all__ = ["read"]

_EPILOG = """\b
Examples:
  heliograph modbus read tcp://192.168.1.20 holding:100:2:float32 coil:5
  heliograph modbus read tcp://192.168.1.20 holding:100:uint32:word_order=little
  heliograph modbus read rtu:///dev/ttyUSB0 --unit 3 --schema boiler.yaml flow_temp
"""


@click.command(epilog=_EPILOG)
@click.argument("url")
@click.argument("names", metavar="[NAME|ADDRESS]...", nargs=-1)
@target_options
@click.option(
    "--max-gap",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Addresses that may be read in vain to save a request.",
)
@click.option("--partial", is_flag=True, help="Leave out what the device refuses.")
@json_option
@click.pass_context
def read(
    ctx: click.Context,
    /,
    url: str,
    names: tuple[str, ...],
    max_gap: int,
    partial: bool,
    output: Output,
    **options: Any,
) -> None:
    """Read values of a device, by name or address; without any, all that can be read."""
    target = Target.of(ctx, url, names, **options)
    wanted = names or tuple(n for n, each in target.schema.mappings.items() if each.readable)
    values, refused = asyncio.run(_read(target, wanted, max_gap=max_gap, partial=partial))
    if output.json:
        _document(output, target, wanted, values, refused)
    else:
        _table(output, target, wanted, values, refused)
    if refused:
        output.note(f"{plural(len(refused), 'value')} refused by the device")
        ctx.exit(ExitCode.FINDINGS)


async def _read(
    target: Target, names: tuple[str, ...], *, max_gap: int, partial: bool
) -> tuple[dict[str, Any], dict[str, object]]:
    on_refusal: Any = "split" if partial else "raise"
    async with target.device(max_gap=max_gap, on_refusal=on_refusal) as device:
        values = await device.read(list(names))
        return dict(values), dict(getattr(values, "refused", {}))


def _document(
    output: Output,
    target: Target,
    names: tuple[str, ...],
    values: dict[str, Any],
    refused: dict[str, object],
) -> None:
    from heliograph.plain import plain

    output.document(
        {
            "device": target.about,
            "values": [
                {
                    "name": name,
                    "object_type": mapping.object_type,
                    "address": mapping.starting_address,
                    "count": mapping.address_count,
                    "value": plain(values.get(name)),
                    "unit": mapping.unit,
                    "refused": plain(refused.get(name)),
                }
                for name, mapping in ((name, target.schema.mappings[name]) for name in names)
            ],
        }
    )


def _table(
    output: Output,
    target: Target,
    names: tuple[str, ...],
    values: dict[str, Any],
    refused: dict[str, object],
) -> None:
    def row(name: str) -> tuple[str, str, str, str]:
        mapping = target.schema.mappings[name]
        value = f"refused: {refused[name]}" if name in refused else shown(values[name])
        return name, value, mapping.unit or "", place(mapping)

    output.table(("name", "value", "unit", "where"), map(row, names))
