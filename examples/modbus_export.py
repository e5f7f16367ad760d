# SPDX-License-Identifier: Apache-2.0
"""Export what is read from a Modbus device: `python modbus_export.py [ENDPOINT]`.

Without a collector, run `heliograph collect` in another terminal first. The device is a virtual one
that is busy at first, so that the trace shows a second attempt.
"""

from __future__ import annotations

import sys

from heliograph import otel
from heliograph.modboss import Device, Schema, coil, holding_register, input_register
from heliograph.modboss.virtual import Refuse, VirtualDevice, VirtualServer


class Boiler(Schema):
    """What the manual says."""

    flow_temp = input_register(1, "int16", scale="0.1", unit="Cel")
    pressure = input_register(2, "uint16", scale="0.01", unit="bar")
    setpoint = holding_register(10, "int16", scale="0.1", unit="Cel", mode="rw")
    heating = coil(1, "boolean", mode="rw")


virtual = VirtualDevice(Boiler, {"flow_temp": 55.5, "pressure": 1.53, "setpoint": 60})
virtual.inject(Refuse(6), names="flow_temp", times=1)

with (
    otel.configure(*sys.argv[1:2], service_name="boiler-room") as bridge,
    VirtualServer(virtual) as server,
    Device(Boiler, server.transport) as device,
):
    boiler = device.record(["flow_temp", "pressure"])
    if boiler.flow_temp < 60:
        device.write({"setpoint": 65, "heating": True}, verify=True)
    result = bridge.flush(timeout=5.0)
    print(f"{boiler.flow_temp} Cel at {boiler.pressure} bar, setpoint {device.read('setpoint')}")
    print(result.status, *(f"{signal}={count}" for signal, count in result.exported.items()))
    sys.exit(not result)
