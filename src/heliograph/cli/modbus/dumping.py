# SPDX-License-Identifier: Apache-2.0
"""`heliograph modbus dump` and `heliograph modbus diff`."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import click

from heliograph.cli.exits import ExitCode
from heliograph.cli.modbus.schemas import load_schema, parse_ranges
from heliograph.cli.modbus.target import (
    check_unit,
    need_pymodbus,
    schema_option,
    target_options,
    transport_of,
)
from heliograph.cli.modbus.values import shown
from heliograph.cli.output import json_option, plural

if TYPE_CHECKING:
    from heliograph.cli.output import Output
    from heliograph.modboss.snapshot import Snapshot

__all__ = ["diff", "dump"]

_DUMP_EPILOG = """\b
Examples:
  heliograph modbus dump tcp://192.168.1.20 --schema boiler.yaml -o boiler.json
  heliograph modbus dump tcp://192.168.1.20 holding:0-999 coil:0-15 > boiler.json
"""

_DIFF_EPILOG = """\b
Examples:
  heliograph modbus diff before.json after.json --schema boiler.yaml
"""


@click.command(epilog=_DUMP_EPILOG)
@click.argument("url")
@click.argument("ranges", metavar="[TYPE:FIRST-LAST]...", nargs=-1)
@target_options
@click.option(
    "--output",
    "-o",
    "path",
    metavar="FILE",
    type=click.Path(dir_okay=False),
    help="Where to keep it; standard output if not given.",
)
@json_option
@click.pass_context
def dump(
    ctx: click.Context,
    url: str,
    ranges: tuple[str, ...],
    schema: str | None,
    unit: int,
    timeout: float | None,
    attempts: int,
    path: str | None,
    output: Output,
) -> None:
    """Keep what a device holds, as raw registers: all that a schema reads, or ranges.

    What the device refuses is found and noted. `serve` simulates a device from such a file.
    """
    if (schema is None) == (not ranges):
        raise click.UsageError("say what to read: either ranges or a --schema", ctx)
    need_pymodbus()
    transport = transport_of(ctx, url, timeout)
    check_unit(ctx, transport, unit)
    what: Any = load_schema(schema) if schema is not None else parse_ranges(ranges)
    taken = asyncio.run(_take(what, transport, unit, attempts))
    if path is not None:
        taken.save(path)
    count = sum(map(len, taken.objects.values()))
    refused = sum(map(len, taken.refused.values()))
    if output.json:
        output.document({"path": path, "snapshot": json.loads(taken.dumps())})
    elif path is None:
        output.line(taken.dumps().rstrip("\n"))
    said = f", {plural(refused, 'address', 'addresses')} refused" if refused else ""
    where = f" kept in {path}" if path is not None else ""
    output.note(f"{plural(count, 'value')}{where}{said}")


async def _take(what: Any, transport: Any, device_id: int, attempts: int) -> Snapshot:
    from heliograph.modboss import DeviceError, Link, is_transient
    from heliograph.modboss.snapshot import adump

    async with Link(transport) as link:
        unit = link.unit(device_id)

        async def read(object_type: Any, address: int, count: int) -> list[int]:
            for _ in range(attempts - 1):
                try:
                    return await unit.read(object_type, address, count)
                except DeviceError as error:
                    if not is_transient(error):
                        raise
            return await unit.read(object_type, address, count)

        return await adump(what, read, source=str(transport), device_id=device_id)


@click.command(epilog=_DIFF_EPILOG)
@click.argument("before", type=click.Path(dir_okay=False))
@click.argument("after", type=click.Path(dir_okay=False))
@schema_option
@json_option
@click.pass_context
def diff(ctx: click.Context, before: str, after: str, schema: str | None, output: Output) -> None:
    """Compare two dumps; ends with 1 if they differ."""
    from heliograph.modboss.snapshot import Snapshot
    from heliograph.modboss.snapshot import diff as differences
    from heliograph.plain import plain

    found = load_schema(schema) if schema is not None else None
    changes = differences(Snapshot.load(before), Snapshot.load(after), found)
    if output.json:
        output.document(
            {
                "changes": [
                    {
                        "name": each.name,
                        "object_type": each.object_type,
                        "address": each.addresses.start,
                        "count": len(each.addresses),
                        "before": list(each.before),
                        "after": list(each.after),
                        "value_before": plain(each.value_before),
                        "value_after": plain(each.value_after),
                    }
                    for each in changes
                ]
            }
        )
    else:

        def told(value: Any, integers: tuple[int | None, ...]) -> str:
            if value is not None:
                return shown(value)
            return " ".join("missing" if each is None else str(each) for each in integers)

        output.table(
            ("name", "where", "before", "after"),
            [
                (
                    each.name or "",
                    f"{each.object_type}:{each.addresses.start}"
                    + (f"-{each.addresses.stop - 1}" if len(each.addresses) > 1 else ""),
                    told(each.value_before, each.before),
                    told(each.value_after, each.after),
                )
                for each in changes
            ],
        )
    if changes:
        ctx.exit(ExitCode.FINDINGS)
