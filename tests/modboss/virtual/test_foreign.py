# SPDX-License-Identifier: Apache-2.0
"""mbpoll, which is libmodbus, reads and writes virtual devices."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from heliograph.modboss import Schema, coil, discrete_input, holding_register, input_register
from heliograph.modboss.transports import Serial
from heliograph.modboss.virtual import Refuse, VirtualDevice, VirtualServer

Mbpoll = Callable[..., subprocess.CompletedProcess[str]]


class Thermostat(Schema):
    outdoor_temp = input_register(1, "signed_int")
    setpoint = holding_register(10, "unsigned_int", mode="rw")
    label = holding_register(range(11, 13), "ascii", mode="rw")
    heating = coil(5, "boolean", mode="rw")
    alarm = discrete_input(6, "boolean")


@pytest.fixture(params=["tcp", "rtu"])
def server(request: pytest.FixtureRequest) -> VirtualServer:
    device = VirtualDevice(
        Thermostat, {"outdoor_temp": -3, "setpoint": 21, "label": "heat", "alarm": True}, unit=7
    )
    return VirtualServer(device, over=request.param)


@pytest.fixture
def mbpoll(server: VirtualServer, foreign_tool: Callable[[str, str], Path]) -> Mbpoll:
    """Calls mbpoll once, addresses counted from 0: `mbpoll(4, 10, 21)` writes a register."""
    program = foreign_tool("mbpoll", "mbpoll")

    def run(
        table: str, address: int, *values: int, count: int = 1, unit: int = 7
    ) -> subprocess.CompletedProcess[str]:
        transport = server.transport
        if isinstance(transport, Serial):
            where, how = transport.port, ["-m", "rtu", "-b", "19200", "-P", "none"]
        else:
            where, how = transport.host, ["-m", "tcp", "-p", str(transport.port)]
        what = ["-t", table, "-r", str(address), "-a", str(unit)]
        if not values:
            what += ["-c", str(count)]
        return subprocess.run(
            [program, *how, "-0", "-1", "-q", "-o", "10", *what, where, *map(str, values)],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )

    return run


def test_it_reads_all_four_tables(server: VirtualServer, mbpoll: Mbpoll) -> None:
    with server:
        assert "[1]: \t65533 (-3)" in mbpoll("3", 1).stdout
        assert "[10]: \t21\n[11]: \t26725\n[12]: \t24948" in mbpoll("4", 10, count=3).stdout
        assert "[5]: \t0" in mbpoll("0", 5).stdout
        assert "[6]: \t1" in mbpoll("1", 6).stdout


def test_it_writes_registers_and_coils(server: VirtualServer, mbpoll: Mbpoll) -> None:
    (device,) = server.devices
    with server:
        assert "Written 1 references." in mbpoll("4", 10, 23).stdout
        assert "Written 2 references." in mbpoll("4", 11, 0x636F, 0x6F6C).stdout
        assert "Written 1 references." in mbpoll("0", 5, 1).stdout
        assert "Written 1 references." in mbpoll("0", 5, 0).stdout
        assert "Written 1 references." in mbpoll("0", 5, 1).stdout

    assert device.written == [
        ("setpoint", 23),
        ("label", "cool"),
        *(("heating", each) for each in (True, False, True)),
    ]
    assert (device["setpoint"], device["label"], device["heating"]) == (23, "cool", True)


def test_it_is_refused_what_is_not_there(server: VirtualServer, mbpoll: Mbpoll) -> None:
    (device,) = server.devices
    with server:
        missing = mbpoll("4", 999)
        with device.inject(Refuse(6)):
            busy = mbpoll("4", 10)
        well = mbpoll("4", 10)

    assert "Illegal data address" in missing.stderr
    assert "Slave device or server is busy" in busy.stderr
    assert (missing.returncode, busy.returncode, well.returncode) == (1, 1, 0)
