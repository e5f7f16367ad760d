# SPDX-License-Identifier: Apache-2.0
"""`heliograph modbus serve`."""

from __future__ import annotations

import asyncio
import ipaddress
import json
import time
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

import click

from heliograph.cli.modbus.faults import parse_fault
from heliograph.cli.modbus.schemas import load_schema
from heliograph.cli.modbus.target import SECONDS, interrupts, need_pymodbus, schema_option
from heliograph.cli.modbus.values import assignments, clock, fitting, parse_script
from heliograph.cli.output import JSON_VERSION, json_option, plural

if TYPE_CHECKING:
    import ssl

    from heliograph.cli.output import Output
    from heliograph.modboss.virtual import Request, VirtualDevice, VirtualServer

__all__ = ["serve"]

_PORT: Final = click.IntRange(0, 65535)
_OVER: Final = ("tcp", "tls", "udp", "rtu+tcp", "ascii+tcp", "rtu", "ascii")

_EPILOG: Final = """\b
Examples:
  heliograph modbus serve --schema boiler.yaml --set 'flow_temp=sine(55, 5, 60)'
  heliograph modbus serve boiler.json --fault 'refuse=6 at 3-5' --fault 'silence every 10'
"""


@click.command(epilog=_EPILOG)
@click.argument("snapshot", required=False, type=click.Path(dir_okay=False))
@schema_option
@click.option("--unit", "-u", type=click.IntRange(0, 255), help="Its id.  [default: 1]")
@click.option("--set", "values", metavar="NAME=VALUE", multiple=True, help="A value or script.")
@click.option("--fault", "faults", metavar="FAULT", multiple=True, help="What goes wrong, when.")
@click.option("--over", type=click.Choice(_OVER), default="tcp", show_default=True, help="How.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Where to listen.")
@click.option("--port", type=_PORT, default=1502, show_default=True, help="The port; 0 for any.")
@click.option("--line", metavar="PATH", help="A serial line, in place of one without hardware.")
@click.option("--cert", metavar="FILE", help="For TLS: the certificate and those behind it.")
@click.option("--key", metavar="FILE", help="For TLS: its key.")
@click.option("--ca", metavar="FILE", help="For TLS: who signed the clients' certificates.")
@click.option("--duration", metavar="SECONDS", type=SECONDS, help="End after this time.")
@json_option
@click.pass_context
def serve(
    ctx: click.Context,
    snapshot: str | None,
    schema: str | None,
    unit: int | None,
    values: tuple[str, ...],
    faults: tuple[str, ...],
    over: Any,
    host: str,
    port: int,
    line: str | None,
    cert: str | None,
    key: str | None,
    ca: str | None,
    duration: float | None,
    output: Output,
) -> None:
    """Simulate a device of a schema or a dump, with values that change and faults."""
    need_pymodbus()
    from heliograph.modboss.virtual import VirtualServer

    device = _device(ctx, snapshot, schema, unit, values)
    for text in faults:
        kinds, when = parse_fault(text)
        try:
            device.inject(*kinds, **when)
        except (LookupError, ValueError) as error:
            raise click.BadParameter(str(error), ctx, param_hint="--fault") from None
    if (over == "tls") != (cert is not None):
        raise click.UsageError("TLS needs a certificate, and only TLS: give --cert", ctx)
    context = _context(cert, key, ca) if cert is not None else None
    try:
        server = VirtualServer(device, over=over, host=host, port=port, context=context, line=line)
    except ValueError as error:
        raise click.UsageError(str(error), ctx) from None
    asyncio.run(_Session(output, server).run(duration))


def _device(
    ctx: click.Context,
    snapshot: str | None,
    schema: str | None,
    unit: int | None,
    values: tuple[str, ...],
) -> VirtualDevice:
    from heliograph.modboss.snapshot import Snapshot
    from heliograph.modboss.virtual import VirtualDevice

    found = load_schema(schema) if schema is not None else None
    if snapshot is not None:
        taken = Snapshot.load(snapshot)
        device = taken.virtual(found, unit=taken.device_id if unit is None else unit)
    elif found is not None:
        device = VirtualDevice(found, unit=1 if unit is None else unit)
    else:
        raise click.UsageError("say what to simulate: a dump's file, a --schema, or both", ctx)
    for name, text in assignments(values, addresses=False):
        script = parse_script(text)
        if script is None and found is not None and name in found.mappings:
            device[name] = fitting(found.mappings[name], text)
            continue
        try:
            device[name] = script
        except LookupError as error:
            raise click.BadParameter(str(error), ctx, param_hint="--set") from None
    return device


def _context(cert: str, key: str | None, ca: str | None) -> ssl.SSLContext:
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(cert, key)
    if ca is not None:
        context.load_verify_locations(ca)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


class _Session:
    """One run: what the device is asked is shown."""

    def __init__(self, output: Output, server: VirtualServer) -> None:
        self._output = output
        self._server = server
        self._counts: Counter[str] = Counter()

    async def run(self, duration: float | None) -> None:
        device, output = self._server.device, self._output
        asked: asyncio.Queue[Request] = asyncio.Queue()
        device.on_request = asked.put_nowait
        with interrupts() as ended:
            async with self._server:
                self._begin(device)
                showing = asyncio.create_task(self._show(asked))
                try:
                    async with asyncio.timeout(duration):
                        await ended.wait()
                except TimeoutError:
                    pass
                showing.cancel()
        while not asked.empty():
            self._tell(asked.get_nowait())
        if output.json:
            self._object("summary", dict(self._counts))
        else:
            counts = self._counts
            faulty = f", {counts['faults']} with faults" if counts["faults"] else ""
            output.note(
                f"{plural(counts['requests'], 'request')}, {plural(counts['writes'], 'write')} "
                f"among them{faulty}."
            )

    def _begin(self, device: VirtualDevice) -> None:
        server, output = self._server, self._output
        name = device.schema.schema_name if device.schema is not None else "a dump"
        if output.json:
            self._object("listening", {"url": server.url, "unit": device.unit, "schema": name})
        output.note(
            f"Serving {name} as unit {device.unit} at {server.url}; an interrupt (Ctrl-C) ends it."
        )
        if _is_public(str(server.transport.address[0])):
            output.note(
                "Warning: whoever reaches that address can read and write the device; nobody is "
                "asked who they are."
            )

    async def _show(self, asked: asyncio.Queue[Request]) -> None:
        while True:
            self._tell(await asked.get())

    def _tell(self, request: Request) -> None:
        self._counts["requests"] += 1
        self._counts["writes"] += request.values is not None
        self._counts["faults"] += bool(request.faults)
        if self._output.json:
            self._object(
                "request",
                {
                    "number": request.number,
                    "unit": request.unit,
                    "function": request.function,
                    "object_type": request.object_type,
                    "address": request.address,
                    "count": request.count,
                    "values": request.values,
                    "faults": list(map(str, request.faults)),
                    "refused": request.refused,
                },
            )
        else:
            self._output.line(f"{clock(time.time())}  {request}")

    def _object(self, kind: str, data: dict[str, Any]) -> None:
        whole = {"version": JSON_VERSION, "command": "modbus serve", "kind": kind, **data}
        self._output.line(json.dumps(whole, ensure_ascii=False))


def _is_public(host: str) -> bool:
    try:
        return not ipaddress.ip_address(host).is_loopback
    except ValueError:
        return not (host == "localhost" or host.startswith("/"))
