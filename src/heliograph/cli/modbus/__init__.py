# SPDX-License-Identifier: Apache-2.0
"""`heliograph modbus`: devices read, written, watched, kept and simulated from the command line."""

from __future__ import annotations

from typing import Final

import click

from heliograph.cli.lazy import LazyCommand, LazyGroup

__all__ = ["modbus"]

_COMMANDS: Final = {
    "read": LazyCommand("heliograph.cli.modbus.reading:read", "Read values of a device"),
    "write": LazyCommand("heliograph.cli.modbus.writing:write", "Write values to a device"),
    "watch": LazyCommand("heliograph.cli.modbus.watching:watch", "Read again and again"),
    "scan": LazyCommand("heliograph.cli.modbus.scanning:scan", "Find the units that answer"),
    "dump": LazyCommand("heliograph.cli.modbus.dumping:dump", "Keep what a device holds"),
    "diff": LazyCommand("heliograph.cli.modbus.dumping:diff", "Compare two dumps"),
    "serve": LazyCommand("heliograph.cli.modbus.serving:serve", "Simulate a device"),
}

_EPILOG: Final = """\b
Examples:
  heliograph modbus read tcp://192.168.1.20 holding:100:float32
  heliograph modbus read tcp://192.168.1.20 --schema boiler.yaml flow_temp
  heliograph modbus serve --schema boiler.yaml --set flow_temp=55

URL is tcp://HOST:PORT, tls://, udp://, rtu+tcp://, rtu:///dev/ttyUSB0?baudrate=9600 or the like.
"""


@click.group(cls=LazyGroup, lazy=_COMMANDS, epilog=_EPILOG)
def modbus() -> None:
    """Modbus devices by name or by address."""
