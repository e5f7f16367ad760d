# SPDX-License-Identifier: Apache-2.0
"""Handlers from configuration: who listens, and what becomes of it, is said by handlers.yaml.

This program only reads a device, a virtual one that is busy at first, and knows nothing of
handlers. Whoever operates it adds, changes and removes them without touching it.

    pip install "heliograph[catalog,modbus]"
    python read_boiler.py                 # writes journal.jsonl in the working directory
"""

from __future__ import annotations

import logging
from pathlib import Path

from heliograph.catalog import attach_from_config
from heliograph.modboss import Device, Schema, input_register
from heliograph.modboss.virtual import Refuse, VirtualDevice, VirtualServer


class Boiler(Schema):
    """What the manual says."""

    flow_temp = input_register(1, "int16", scale="0.1", unit="Cel")
    pressure = input_register(2, "uint16", scale="0.01", unit="bar")


logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
virtual = VirtualDevice(Boiler, {"flow_temp": 55.5, "pressure": 1.53})
virtual.inject(Refuse(6), times=1)

with (
    attach_from_config(Path(__file__).with_name("handlers.yaml")),
    VirtualServer(virtual) as server,
    Device(Boiler, server.transport) as device,
):
    print(device.read(["flow_temp", "pressure"]))
