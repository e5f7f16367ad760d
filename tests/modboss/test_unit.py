# SPDX-License-Identifier: Apache-2.0
"""Units: what a device behind a link says, and what it is not even asked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from heliograph.modboss import (
    DeviceBusyError,
    DeviceError,
    DeviceFailureError,
    ExceptionReplyError,
    IllegalDataAddressError,
    IllegalDataValueError,
    IllegalFunctionError,
    Link,
    Tcp,
)
from heliograph.modboss.faults import exception_reply
from heliograph.modboss.virtual import (
    Refuse,
)
from tests.modboss.links import in_loop, make, served

pytestmark = pytest.mark.usefixtures("quiet_pymodbus")


@pytest.mark.parametrize(
    ("code", "kind", "reason"),
    [
        (1, IllegalFunctionError, "illegal_function"),
        (2, IllegalDataAddressError, "illegal_data_address"),
        (3, IllegalDataValueError, "illegal_data_value"),
        (4, DeviceFailureError, "device_failure"),
        (6, DeviceBusyError, "device_busy"),
        (12, ExceptionReplyError, "exception_12"),
        (255, ExceptionReplyError, "exception_255"),
    ],
)
@in_loop
async def test_each_exception_code_has_its_class(
    code: int, kind: type[ExceptionReplyError], reason: str, certificates: dict[str, Path]
) -> None:
    async with served("tcp", certificates) as (server, transport), Link(transport) as link:
        server.inject(Refuse(code), times=1)
        unit = link.unit()

        with pytest.raises(kind) as raised:
            await unit.read("holding_register", 0, 1)

        error = raised.value
        assert type(error) is kind
        assert (error.code, error.reason) == (code, reason)
        assert error.details == {"exception_code": code}
        assert isinstance(error, DeviceError)
        assert f"exception {code}" in str(error)
        assert link.connected  # a refusal is an answer
        assert await unit.read("holding_register", 0, 1) == [0]


def test_refusals_are_those_of_addresses_and_values() -> None:
    refusing = [code for code in range(1, 256) if exception_reply(code, "reading").refusal]

    assert refusing == [2, 3]


@pytest.mark.parametrize("value", [-1, 65536, 1.5, "x", None])
@in_loop
async def test_what_no_register_holds_is_not_sent(
    value: Any, certificates: dict[str, Path]
) -> None:
    device = make()
    async with served("tcp", certificates, device) as (_, transport), Link(transport) as link:
        unit = link.unit()
        for values in (value, [1, value]):
            with pytest.raises(ValueError, match=r"function (6|16) at address 5.*0 to 65535"):
                await unit.write("holding_register", 5, values)
        with pytest.raises(ValueError, match="a coil is 0 or 1"):
            await unit.write("coil", 5, 2)

        assert await unit.read("holding_register", 5, 1) == [5]
        assert len(device.requests) == 1


@pytest.mark.parametrize("object_type", ["input_register", "discrete_input"])
def test_what_cannot_be_written_is_refused(object_type: Any) -> None:
    unit = Link(Tcp("127.0.0.1")).unit()

    with pytest.raises(ValueError, match="only holding registers and coils"):
        _ = unit.write(object_type, 0, 1)


@in_loop
async def test_functions_for_one_value_can_be_done_without(certificates: dict[str, Path]) -> None:
    device = make()
    async with served("tcp", certificates, device) as (_, transport), Link(transport) as link:
        for unit in (link.unit(), link.unit(single_writes=False)):
            await unit.write("holding_register", 5, 1)
            await unit.write("holding_register", 5, [2])
            await unit.write("coil", 5, 1)
            await unit.write("holding_register", 5, [3, 4])

    assert [each.function for each in device.requests] == [6, 6, 5, 16, 16, 16, 15, 16]


@in_loop
async def test_bits_are_changed_without_function_22_too(certificates: dict[str, Path]) -> None:
    device = make()
    device.set_raw("holding_register", 5, [0b1010])
    async with served("tcp", certificates, device) as (_, transport), Link(transport) as link:
        unit = link.unit()
        device.inject(Refuse(1), times=1)
        await unit.change_bits(5, set_bits=0b100, clear_bits=0b10)
        await unit.change_bits(5, set_bits=0b1)
        await unit.change_bits(5, set_bits=0b1)
        found = await unit.read("holding_register", 5, 1)

    assert found == [0b1101]
    # What the device lacks is asked for once; what is there already is not written.
    assert [each.function for each in device.requests] == [22, 3, 6, 3, 6, 3, 3]


@pytest.mark.parametrize(("set_bits", "clear_bits"), [(-1, 0), (0, 0x10000), (6, 12)])
@in_loop
async def test_masks_that_are_none_are_refused(set_bits: int, clear_bits: int) -> None:
    unit = Link(Tcp("127.0.0.1")).unit()

    with pytest.raises(ValueError, match=r"mask|both"):
        await unit.change_bits(0, set_bits=set_bits, clear_bits=clear_bits)
