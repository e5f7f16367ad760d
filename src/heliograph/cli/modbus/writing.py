# SPDX-License-Identifier: Apache-2.0
"""`heliograph modbus write`."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import click

from heliograph.cli.modbus.target import Target, place, target_options
from heliograph.cli.modbus.values import assignments, fitting, shown
from heliograph.cli.output import json_option

if TYPE_CHECKING:
    from heliograph.cli.output import Output
    from heliograph.modboss import Mapping

__all__ = ["write"]

_EPILOG = """\b
Examples:
  heliograph modbus write tcp://192.168.1.20 holding:100:float32=21.5 coil:5=on
  heliograph modbus write tcp://192.168.1.20 --schema boiler.yaml setpoint=60 --verify
"""


@click.command(epilog=_EPILOG)
@click.argument("url")
@click.argument("values", metavar="NAME=VALUE...", nargs=-1, required=True)
@target_options
@click.option("--verify", is_flag=True, help="Read back and compare.")
@json_option
@click.pass_context
def write(
    ctx: click.Context,
    /,
    url: str,
    values: tuple[str, ...],
    verify: bool,
    output: Output,
    **options: Any,
) -> None:
    """Write values to a device, by name or address.

    A value is a number, true, false, on, off, a date or time, a list or object of JSON, such as
    '["alarm"]' for flags and '{"speed": 3}' for bits, or else text.
    """
    pairs = assignments(values, addresses=options["schema"] is None)
    target = Target.of(ctx, url, [name for name, _ in pairs], **options)
    from heliograph.modboss import ModbossError

    mappings = target.schema.mappings
    # A name that there is not is the device's to complain of.
    wanted = {
        name: fitting(mappings[name], text) if name in mappings else text for name, text in pairs
    }
    try:
        asyncio.run(_write(target, wanted, verify=verify))
    except ModbossError:
        raise
    except ValueError as error:  # what the raw codec lets through, no register can hold
        raise click.UsageError(str(error), ctx) from None
    if output.json:
        written = [
            {
                "name": name,
                "object_type": mappings[name].object_type,
                "address": mappings[name].starting_address,
                "count": mappings[name].address_count,
            }
            for name, _ in pairs
        ]
        output.document({"device": target.about, "written": written, "verified": verify})
        return
    rows = [
        (name, _as_written(mappings[name], value), mappings[name].unit or "", place(mappings[name]))
        for name, value in wanted.items()
    ]
    output.table(("name", "written", "unit", "where"), rows)


def _as_written(mapping: Mapping, value: Any) -> str:
    """The value as the registers have it, which may be coarser than what was typed."""
    encoded = mapping.encode(value)
    return shown(mapping.decode(encoded) if mapping.decoder is not None else value)


async def _write(target: Target, values: dict[str, Any], *, verify: bool) -> None:
    async with target.device() as device:
        await device.write(values, verify=verify)
