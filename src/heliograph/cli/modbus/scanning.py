# SPDX-License-Identifier: Apache-2.0
"""`heliograph modbus scan`."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import click

from heliograph.cli.exits import ExitCode
from heliograph.cli.modbus.schemas import parse_ranges
from heliograph.cli.modbus.target import SECONDS, check_unit, need_pymodbus, transport_of
from heliograph.cli.output import json_option, plural

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from heliograph.cli.output import Output
    from heliograph.modboss import ObjectType

__all__ = ["scan"]

_EPILOG = """\b
Examples:
  heliograph modbus scan rtu:///dev/ttyUSB0?baudrate=9600 --units 1-32
  heliograph modbus scan tcp://192.168.1.20 --probe input:0 --timeout 1
"""


@click.command(epilog=_EPILOG)
@click.argument("url")
@click.option("--units", default="1-247", show_default=True, help="Ids to ask, as 1-32,100.")
@click.option("--probe", default="holding:0", show_default=True, help="What to ask for.")
@click.option(
    "--timeout",
    metavar="SECONDS",
    type=SECONDS,
    default=0.5,
    show_default=True,
    help="How long to wait for each.",
)
@json_option
@click.pass_context
def scan(
    ctx: click.Context, url: str, units: str, probe: str, timeout: float, output: Output
) -> None:
    """Find the units that answer at an address, by one harmless read each.

    A refusal is an answer, too; a gateway's word that there is nobody is none.
    """
    need_pymodbus()
    ids = parse_units(ctx, units)
    transport = transport_of(ctx, url, timeout)
    for each in ids:
        check_unit(ctx, transport, each)
    ((object_type, (addresses, *_)),) = parse_ranges([probe]).items()
    output.note(f"Asking {plural(len(ids), 'unit')} at {transport}, {timeout:g} s each at most.")
    found: list[dict[str, Any]] = []

    async def run() -> None:
        async for each in _answers(transport, ids, object_type, addresses):
            found.append(each)
            if not (output.json or output.rich):
                output.line(_line(each))

    asyncio.run(run())
    if output.json:
        output.document({"url": str(transport), "asked": len(ids), "units": found})
    elif output.rich:
        output.table(("unit", "answer"), [_line(each).split("\t") for each in found])
    output.note(f"{plural(len(found), 'unit')} answered")
    if not found:
        ctx.exit(ExitCode.FINDINGS)


def parse_units(ctx: click.Context, text: str) -> list[int]:
    """Ids of `1-32,100`.

    Raises:
        click.BadParameter: It is not written so.
    """
    ids: set[int] = set()
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        ends = [first, last if dash else first]
        if not all(end.isascii() and end.isdecimal() and int(end) <= 255 for end in ends):
            raise click.BadParameter(
                f"{part!r} is no unit or range of them; write 1-32,100", ctx, param_hint="--units"
            )
        ids.update(range(int(ends[0]), int(ends[1]) + 1))
    return sorted(ids)


def _line(found: dict[str, Any]) -> str:
    said = found["error"] if found["error"] is not None else f"value {found['values']}"
    return f"{found['unit']}\t{said}"


async def _answers(
    transport: Any, ids: list[int], object_type: ObjectType, addresses: range
) -> AsyncIterator[dict[str, Any]]:
    from heliograph.modboss import (
        CorruptReplyError,
        DesyncError,
        ExceptionReplyError,
        GatewayPathError,
        GatewayTargetError,
        Link,
        LinkLostError,
        ReplyTimeoutError,
    )

    async with Link(transport) as link:
        await link.connect()
        for device_id in ids:
            try:
                values = await link.unit(device_id).read(
                    object_type, addresses.start, len(addresses)
                )
            except (
                GatewayPathError,
                GatewayTargetError,
                ReplyTimeoutError,
                # Noise, or another one's late answer.
                CorruptReplyError,
                DesyncError,
                # Some gateways hang up rather than say that there is nobody.
                LinkLostError,
            ):
                continue
            except ExceptionReplyError as refusal:
                yield {"unit": device_id, "values": None, "error": refusal.reason}
            else:
                yield {"unit": device_id, "values": values, "error": None}
