# SPDX-License-Identifier: Apache-2.0
"""Devices whose server is pyModbusTCP, which shares no code with what our client is built on."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from pyModbusTCP.server import (  # type: ignore[import-untyped]  # it has no types
    DataBank,
    ModbusServer,
)

from heliograph.modboss import (
    AsyncDevice,
    Device,
    IllegalDataAddressError,
    Schema,
    Tcp,
    coil,
    discrete_input,
    holding_register,
    input_register,
)
from heliograph.modboss.snapshot import adump
from heliograph.modboss.virtual import VirtualDevice, VirtualServer


class Boiler(Schema):
    flow_temp = input_register(1, "int16", scale="0.1", unit="Cel")
    energy = input_register(2, "uint32")
    setpoint = holding_register(10, "float32", mode="rw")
    label = holding_register(range(20, 24), "utf8", mode="rw")
    counter = holding_register(30, "uint16", mode="rw")
    heating = coil(5, "boolean", mode="rw")
    pumps = coil(range(8, 11), "raw", mode="rw")
    alarm = discrete_input(6, "boolean")


@pytest.fixture
def bank() -> DataBank:
    bank = DataBank(h_regs_size=100)
    bank.set_input_registers(1, [0xFFE7, 0x0001, 0x0002])
    bank.set_holding_registers(10, [0x41AC, 0x0000])
    bank.set_discrete_inputs(6, [True])
    return bank


@pytest.fixture
def foreign(bank: DataBank) -> Iterator[Tcp]:
    server = ModbusServer("127.0.0.1", 0, no_block=True, data_bank=bank)
    server.start()
    try:
        yield Tcp(*server._service.server_address)
    finally:
        server.stop()


def test_all_four_tables_are_read(foreign: Tcp) -> None:
    with Device(Boiler, foreign, max_gap=8) as device:
        boiler = device.record()

    assert (boiler.flow_temp, boiler.energy, boiler.setpoint) == (-2.5, 65538, 21.5)
    assert (boiler.label, boiler.heating, boiler.pumps, boiler.alarm) == (
        "",
        False,
        [0, 0, 0],
        True,
    )


def test_what_is_written_is_there(foreign: Tcp, bank: DataBank) -> None:
    values = {
        "setpoint": -0.5,
        "label": "Heizöl",
        "counter": 7,
        "heating": True,
        "pumps": [1, 0, 1],
    }
    with Device(Boiler, foreign) as device:
        device.write(values, verify=True)
        device.change_bits("counter", set_bits=0x80, clear_bits=0x01)
        assert device.read(list(values)) == {**values, "counter": 0x86}

    assert bank.get_holding_registers(10, 2) == [0xBF00, 0]
    assert bank.get_coils(8, 3) == [True, False, True]


def test_what_it_refuses_has_the_codes_class(foreign: Tcp) -> None:
    async def main() -> None:
        async with AsyncDevice(Boiler, foreign) as device:
            with pytest.raises(IllegalDataAddressError, match="exception 2"):
                await device.unit.read("holding_register", 99, 2)
            assert await device.read("energy") == 65538

    asyncio.run(main())


def test_its_snapshot_is_served_by_a_virtual_device(foreign: Tcp) -> None:
    async def main() -> None:
        async with AsyncDevice(Boiler, foreign) as device:
            original = await device.read()
            taken = await adump(Boiler, device.unit.read)
        async with (
            VirtualServer(taken.virtual(Boiler)) as server,
            AsyncDevice(Boiler, server.transport) as device,
        ):
            assert await device.read() == original

    asyncio.run(main())


def test_its_ranges_are_found_by_halving(foreign: Tcp) -> None:
    async def main() -> None:
        async with AsyncDevice(Boiler, foreign) as device:
            taken = await adump({"holding_register": [range(90, 110)]}, device.unit.read)
        assert list(taken.objects["holding_register"]) == list(range(90, 100))
        assert taken.refused == {"holding_register": tuple(range(100, 110))}

    asyncio.run(main())


def test_a_client_of_another_library_is_served() -> None:
    from pyModbusTCP.client import ModbusClient  # type: ignore[import-untyped]  # it has none

    virtual = VirtualDevice(Boiler, {"flow_temp": -2.5, "label": "Öl", "alarm": True}, unit=9)
    with VirtualServer(virtual) as server:
        client = ModbusClient("127.0.0.1", server.port, unit_id=9)
        try:
            assert client.read_input_registers(1, 3) == [0xFFE7, 0, 0]
            assert client.read_discrete_inputs(6) == [True]
            assert client.write_multiple_registers(10, [0x41AC, 0])
            assert client.write_single_coil(5, True)
            assert client.read_holding_registers(12) is None
            assert client.last_except == 2
        finally:
            client.close()

    assert virtual.written == [("setpoint", 21.5), ("heating", True)]
