# SPDX-License-Identifier: Apache-2.0
"""The pytest plugin of Modbus, in runs of pytest of its own."""

from __future__ import annotations

import subprocess
import sys

import pytest

SCHEMA = """\
from heliograph.modboss import Device, DeviceError, Schema, holding_register
from heliograph.modboss.virtual import Refuse, VirtualDevice, VirtualServer
import pytest

class Thermostat(Schema):
    setpoint = holding_register(10, "unsigned_int", mode="rw")
"""


def run(pytester: pytest.Pytester, test: str) -> pytest.RunResult:
    pytester.makepyfile(SCHEMA + test)
    return pytester.runpytest_subprocess("-p", "no:cacheprovider", "-p", "no:randomly")


def test_it_serves_a_device_made_of_a_schema(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        """
def test_it(modbus_server):
    server = modbus_server(Thermostat, {"setpoint": 21})
    with Device(Thermostat, server.transport) as device:
        assert device.read("setpoint") == 21
        device.write({"setpoint": 22})
    assert server.device.written == [("setpoint", 22)]
""",
    )

    result.assert_outcomes(passed=1)


def test_it_serves_devices_with_the_servers_options(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        """
def test_it(modbus_server):
    one, two = VirtualDevice(Thermostat, {"setpoint": 1}), VirtualDevice(Thermostat, unit=2)
    server = modbus_server(one, two, over="rtu+tcp")
    other = modbus_server(Thermostat)
    assert (server.devices, other.device.unit) == ((one, two), 1)
    with pytest.raises(RuntimeError, match="several devices"):
        server.device
    two.inject(Refuse(4))
    with Device(Thermostat, server.transport, 1) as device:
        assert device.read("setpoint") == 1
    with Device(Thermostat, server.transport, 2) as device, pytest.raises(DeviceError):
        device.read("setpoint")
    globals()["left"] = server

def test_it_has_ended():
    assert not left.serving
""",
    )

    result.assert_outcomes(passed=2)


def test_a_script_that_fails_fails_the_test(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        """
def test_it(modbus_server):
    server = modbus_server(Thermostat, {"setpoint": lambda: 1 / 0})
    with Device(Thermostat, server.transport) as device, pytest.raises(DeviceError):
        device.read("setpoint")
""",
    )

    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*scripts failed:*", "*ZeroDivisionError('division by zero')*"])


def test_it_imports_neither_pymodbus_nor_the_servers_until_it_is_used() -> None:
    probe = (
        "import sys; import heliograph.modboss.pytest_plugin; "
        "print([each for each in sys.modules if each.startswith(('pymodbus', 'serial')) "
        "or each == 'heliograph.modboss.virtual'])"
    )
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)

    assert done.stdout == "[]\n"
