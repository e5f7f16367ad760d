# SPDX-License-Identifier: Apache-2.0
"""The soak's devices, which move, cross their limits all the time, and fail when they are told to.

`python -m benchmarks.gateway.soak_plant FOLDER NUMBER` writes the device file into the folder, says
where each device is, and obeys JSON lines: `{"device": NAME, "fault": KIND, "seconds": S}`.
"""

from __future__ import annotations

import json
import sys
import threading
from contextlib import ExitStack
from pathlib import Path

from heliograph.modboss import Schema
from heliograph.modboss.virtual import (
    Close,
    Corrupt,
    Cut,
    Delay,
    Fault,
    Garbage,
    Refuse,
    Reset,
    Silence,
    VirtualDevice,
    VirtualServer,
    sine,
)

FILE = "soak.yaml"
FAULTS: dict[str, Fault] = {
    "busy": Refuse(6),
    "broken": Refuse(4),
    "silent": Silence(),
    "slow": Delay(0.8),
    "nonsense": Garbage(),
    "corrupt": Corrupt(),
    "cut short": Cut(),
    "closing": Close(),
    "resetting": Reset(),
}
SCHEMA = """\
schema: Soak
input_registers:
  temperature: {address: 0, codec: int16, scale: 0.1, unit: Cel, alarm_above: 75, alarm_below: 65}
  pressure: {address: 1, codec: uint16, scale: 0.01, unit: bar}
  power: {address: 2-3, codec: uint32, scale: 0.1, unit: kW}
coils:
  running: {address: 0, codec: boolean}
"""


def device_names(number: int) -> list[str]:
    """What so many devices are called."""
    return [f"device-{each:02}" for each in range(number)]


def _device(number: int, schema: type[Schema]) -> VirtualDevice:
    return VirtualDevice(
        schema,
        {
            # Beyond one of its limits every few seconds, each device at times of its own.
            "temperature": sine(70.0, 8.0, 9.0 + 0.7 * number),
            "pressure": sine(1.5, 0.3, 7.0, phase=number),
            "power": sine(40.0 + number, 12.0, 11.0, phase=2 * number),
            "running": lambda seconds: int(seconds + 3 * number) % 20 < 15,
        },
    )


def main(folder: Path, number: int) -> None:
    """Serve until standard input ends."""
    file = folder / FILE
    file.write_text(SCHEMA, encoding="utf-8")
    schema = Schema.from_file(file)
    devices = {name: _device(n, schema) for n, name in enumerate(device_names(number))}
    with ExitStack() as stack:
        urls = {
            name: stack.enter_context(VirtualServer(device)).url for name, device in devices.items()
        }
        print(json.dumps(urls), flush=True)
        for line in sys.stdin:
            order = json.loads(line)
            rule = devices[order["device"]].inject(FAULTS[order["fault"]], only="read")
            threading.Timer(order["seconds"], rule.lift).start()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
