# SPDX-License-Identifier: Apache-2.0
"""The plant: virtual Modbus devices with values that move, as a process of its own.

`python -m heliograph.apps.demo.plant FOLDER` writes the device file into the folder, says on
standard output where each device is, and obeys what it reads from standard input, a JSON object a
line: `{"fault": DEVICE}` lets the device say once that it is busy. It ends with its input.
"""

from __future__ import annotations

import json
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

from heliograph.modboss import Schema
from heliograph.modboss.virtual import Refuse, VirtualDevice, VirtualServer, sine

__all__ = ["DEVICES", "FILE", "serve"]

# Each of the three gateways gets two of them.
DEVICES: Final = ("boiler", "chiller", "pump-north", "pump-south", "meter", "tank")
"""The devices, of which the first one gets too hot every now and then."""

FILE: Final = "plant.yaml"
_BUSY: Final = 6  # the exception code of a server that is busy

_SCHEMA: Final = """\
schema: Plant
input_registers:
  temperature: {address: 0, codec: int16, scale: 0.1, unit: Cel, alarm_above: 75}
  pressure: {address: 1, codec: uint16, scale: 0.01, unit: bar}
  power: {address: 2-3, codec: uint32, scale: 0.1, unit: kW}
coils:
  running: {address: 0, codec: boolean}
"""


def _device(number: int, schema: type[Schema]) -> VirtualDevice:
    hot = number == 0
    values: dict[str, Any] = {
        "temperature": sine(70.0, 8.0, 12.0) if hot else sine(30.0 + 6 * number, 4.0, 9 + number),
        "pressure": sine(1.5 + 0.1 * number, 0.3, 7.0, phase=number),
        "power": sine(40.0 + 15 * number, 12.0, 11.0, phase=2 * number),
        "running": lambda seconds: int(seconds + 3 * number) % 20 < 15,
    }
    return VirtualDevice(schema, values)


def serve(folder: Path) -> None:
    """Serve until standard input ends."""
    file = folder / FILE
    file.write_text(_SCHEMA, encoding="utf-8")
    schema = Schema.from_file(file)
    devices = {name: _device(number, schema) for number, name in enumerate(DEVICES)}
    with ExitStack() as stack:
        urls = {
            name: stack.enter_context(VirtualServer(device)).url for name, device in devices.items()
        }
        sys.stdout.write(json.dumps(urls) + "\n")
        sys.stdout.flush()
        for line in sys.stdin:
            order = json.loads(line)
            devices[order["fault"]].inject(Refuse(_BUSY), only="read", times=1)


if __name__ == "__main__":
    serve(Path(sys.argv[1]))
