# SPDX-License-Identifier: Apache-2.0
"""`heliograph gateway`: polls devices, shares them with other gateways, and exports it all."""

from __future__ import annotations

import asyncio
import json
import logging
import signal
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from heliograph.cli.exits import ExitCode
from heliograph.cli.output import JSON_VERSION, json_option, plural

if TYPE_CHECKING:
    from heliograph.apps.gateway import Gateway, GatewayConfig
    from heliograph.cli.output import Output

__all__ = ["gateway"]

# What a person who looks at a gateway wants to know; the rest is in its telemetry.
_TOLD: Final = (
    "gateway.*",
    "gateway.reload.*",
    "gateway.peer.*",
    "gateway.part.*",
    "gateway.alarm.*",
    "gateway.device.taken",
    "gateway.device.given_up",
    "gateway.device.failing",
    "gateway.device.recovered",
    "partisan.membership.peer.up",
    "partisan.membership.peer.down",
    "heliograph.otel.dropped",
    "heliograph.jsonlines.dropped",
    "telemetry.handler.failure",
)

_EPILOG: Final = """\b
Examples:
  heliograph gateway --print-default > gateway.yaml
  heliograph gateway gateway.yaml --check
  heliograph gateway gateway.yaml
"""


@click.command(epilog=_EPILOG)
@click.argument("file", required=False, type=click.Path(dir_okay=False))
@click.option("--check", is_flag=True, help="Look for faults in the file, and end.")
@click.option("--print-default", is_flag=True, help="Print a file to begin with, and end.")
@json_option
@click.pass_context
def gateway(
    ctx: click.Context, file: str | None, check: bool, print_default: bool, output: Output
) -> None:
    """Poll Modbus devices, share them with other gateways, and export what happens.

    FILE names the devices, the other gateways and the collector. A hang-up signal lets the gateway
    read it again, a termination signal or an interrupt ends it.
    """
    from heliograph.apps.gateway import DEFAULT, load

    if print_default:
        if output.json:
            output.document({"file": DEFAULT})
        else:
            output.line(DEFAULT.rstrip("\n"))
        return
    if file is None:
        raise click.UsageError("name the gateway's file, or begin with --print-default", ctx)
    if not Path(file).is_file():
        raise FileNotFoundError(2, "there is no such file", file)
    config = load(file)
    if check:
        _checked(config, output)
        return
    from heliograph.partisan import PartisanError

    try:
        _run(config, output)
    except PartisanError as error:
        output.note(f"heliograph: {error}")
        ctx.exit(ExitCode.UNREACHABLE)


def _checked(config: GatewayConfig, output: Output) -> None:
    from heliograph.apps.gateway import check_export

    check_export(config)
    mappings = sum(len(each.schema.mappings) for each in config.devices.values())
    if output.json:
        output.document({"devices": sorted(config.devices), "mappings": mappings})
    else:
        said = f"{plural(len(config.devices), 'device')} with {plural(mappings, 'mapping')}"
        output.note(f"{config.path}: {said}; no faults")


def _run(config: GatewayConfig, output: Output) -> None:
    """Run a gateway, on uvloop where it is installed."""
    factory = None
    if find_spec("uvloop") is not None:
        import uvloop

        factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(_session(config, output))


async def _session(config: GatewayConfig, output: Output) -> None:
    import heliograph
    from heliograph.apps.gateway import Gateway
    from heliograph.catalog import load
    from heliograph.handlers import LogLine

    made = Gateway(config)
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGHUP, made.reload)
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, made.stop)
    catalog = load("gateway", "heliograph", "modboss", "partisan")
    lines = LogLine("heliograph.gateway.events", catalog=catalog)
    _log_to(output)
    catalog.attach("heliograph gateway", _TOLD, lines, on_failure="keep")
    try:
        await made.run()
    finally:
        heliograph.detach("heliograph gateway")
        _summary(made, output)


def _log_to(output: Output) -> None:
    """Let what is logged be lines: of text on standard error, or of JSON on standard output."""
    handler = logging.StreamHandler(sys.stdout if output.json else sys.stderr)
    handler.setFormatter(_Json() if output.json else _Text())
    logger = logging.getLogger("heliograph")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    # What it logs of damaged frames is told by the events of the devices.
    logging.getLogger("pymodbus").addHandler(logging.NullHandler())


class _Text(logging.Formatter):
    """A line for people, its time in UTC."""

    def __init__(self) -> None:
        super().__init__(
            "%(asctime)s.%(msecs)03dZ %(levelname)-7s %(message)s", "%Y-%m-%dT%H:%M:%S"
        )
        self.converter = time.gmtime


class _Json(logging.Formatter):
    """A line for programs."""

    def format(self, record: logging.LogRecord) -> str:
        whole = {
            "version": JSON_VERSION,
            "command": "gateway",
            "kind": "event" if hasattr(record, "event") else "log",
            "time": record.created,
            "level": record.levelname.lower(),
        }
        if hasattr(record, "event"):
            for key in ("event", "measurements", "metadata"):
                whole[key] = getattr(record, key)
        else:
            whole["message"] = record.getMessage()
        return json.dumps(whole, ensure_ascii=False, default=str)


def _summary(made: Gateway, output: Output) -> None:
    exports: dict[str, Any] = made.exports()
    if output.json:
        whole = {"version": JSON_VERSION, "command": "gateway", "kind": "summary"}
        output.line(json.dumps({**whole, "gateway": made.name, "export": exports}))
        return
    for signal_name, each in exports.items():
        lost = sum(each["dropped"].values())
        output.note(f"{signal_name}: {each['exported']} exported, {lost} dropped")
