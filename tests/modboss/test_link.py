# SPDX-License-Identifier: Apache-2.0
"""Links over every transport: what they do, and that the next request succeeds after each fault."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import get_args

import pytest
import uvloop

from heliograph.modboss import (
    CorruptReplyError,
    DesyncError,
    Link,
    LinkLostError,
    ReplyTimeoutError,
)
from heliograph.modboss.virtual import (
    Close,
    Corrupt,
    Cut,
    Delay,
    Fault,
    Garbage,
    Reset,
    Silence,
    VirtualDevice,
    WrongTransaction,
    WrongUnit,
)
from heliograph.modboss.virtual.server import Over
from heliograph.testing import capture
from tests.modboss.links import SHORT, in_loop, make, served, soon

pytestmark = pytest.mark.usefixtures("quiet_pymodbus")

OVER: tuple[Over, ...] = get_args(Over)
STREAMS: tuple[Over, ...] = ("tcp", "tls", "rtu+tcp", "ascii+tcp")
NUMBERED: tuple[Over, ...] = ("tcp", "tls", "udp")


@pytest.mark.parametrize("over", OVER)
@in_loop
async def test_all_object_types_are_read(over: Over, certificates: dict[str, Path]) -> None:
    async with served(over, certificates) as (_, transport), Link(transport) as link:
        unit = link.unit()

        assert await unit.read("holding_register", 10, 3) == [10, 11, 12]
        assert await unit.read("holding_register", 0, 100) == list(range(100))
        assert await unit.read("input_register", 0, 2) == [7, 65535]
        assert await unit.read("coil", 1, 9) == [1, 0, 1, 0, 1, 0, 1, 0, 1]
        assert await unit.read("discrete_input", 3, 3) == [1, 0, 1]


@pytest.mark.parametrize("over", OVER)
@in_loop
async def test_registers_and_coils_are_written(over: Over, certificates: dict[str, Path]) -> None:
    async with served(over, certificates) as (_, transport), Link(transport) as link:
        unit = link.unit()
        await unit.write("holding_register", 5, 500)
        await unit.write("holding_register", 6, [600, 700])
        await unit.write("coil", 0, 1)
        await unit.write("coil", 1, [0, 1, 1, 1, 1, 1, 1, 1, 1])
        await unit.change_bits(6, set_bits=0b111, clear_bits=0b1000)

        assert await unit.read("holding_register", 5, 3) == [500, 600 & ~0b1000 | 0b111, 700]
        assert await unit.read("coil", 0, 10) == [1, 0, 1, 1, 1, 1, 1, 1, 1, 1]


@pytest.mark.parametrize("over", OVER)
@in_loop
async def test_units_share_a_link(over: Over, certificates: dict[str, Path]) -> None:
    devices = [VirtualDevice(raw={"holding_register": {0: n}}, unit=n) for n in (1, 7, 200)]
    async with served(over, certificates, *devices) as (_, transport), Link(transport) as link:
        highest = 247 if over in {"rtu", "ascii"} else 255
        units = [link.unit(n) for n in (1, 7, 200) if n <= highest]

        found = await asyncio.gather(*[unit.read("holding_register", 0, 1) for unit in units * 5])

    assert found == [[1], [7], [200]] * 5


@pytest.mark.parametrize("over", OVER)
@in_loop
async def test_silence_is_a_timeout_and_the_next_request_succeeds(
    over: Over, certificates: dict[str, Path]
) -> None:
    async with (
        served(over, certificates, patience=SHORT) as (server, transport),
        Link(transport) as link,
    ):
        unit = link.unit()
        await soon(lambda: unit.read("holding_register", 0, 1))
        server.inject(Silence(), times=1)

        with pytest.raises(ReplyTimeoutError, match=r"no answer within 0\.4 s") as raised:
            await unit.read("holding_register", 3, 2)

        assert raised.value.reason == "timeout"
        assert isinstance(raised.value, TimeoutError)
        assert "device 1, function 3 at address 3 (2)" in str(raised.value)
        assert await soon(lambda: unit.read("holding_register", 3, 2)) == [3, 4]


@pytest.mark.parametrize("over", OVER)
@in_loop
async def test_a_cancelled_request_leaves_the_link_usable(
    over: Over, certificates: dict[str, Path]
) -> None:
    device = make()
    async with served(over, certificates, device) as (_, transport), Link(transport) as link:
        unit = link.unit()
        await unit.read("holding_register", 0, 1)
        device.inject(Delay(0.1), times=1)
        request = asyncio.create_task(unit.read("holding_register", 10, 1))
        await device.await_requests(2)
        request.cancel()
        with pytest.raises(asyncio.CancelledError):
            await request

        # The answer to the cancelled one comes first, and is not taken for this one's.
        assert await unit.read("holding_register", 20, 1) == [20]
        assert await asyncio.gather(
            *[unit.read("holding_register", address, 1) for address in range(5)]
        ) == [[0], [1], [2], [3], [4]]


@pytest.mark.parametrize("over", STREAMS)
@pytest.mark.parametrize(("fault", "end"), [(Close(), "ended"), (Reset(), "reset")], ids=repr)
@in_loop
async def test_a_connection_that_ends_fails_its_request_at_once(
    fault: Fault, end: str, over: Over, certificates: dict[str, Path]
) -> None:
    with capture("modboss.link.**") as events:
        async with served(over, certificates) as (server, transport), Link(transport) as link:
            unit = link.unit()
            server.inject(fault, times=1)

            # In no time, compared to the time-out.
            with pytest.raises(LinkLostError, match="the connection was lost before"):
                await unit.read("holding_register", 0, 1)
            assert not link.connected
            assert await unit.read("holding_register", 1, 1) == [1]

    assert [event.event.removeprefix("modboss.link.") for event in events] == [
        "connected",
        "disconnected",
        "reconnecting",
        "connected",
        "disconnected",
    ]
    ends = [each.metadata["end"] for each in events.named("modboss.link.disconnected")]
    # An end of TLS without its farewell may look either way.
    assert ends in ([end, "closed"], ["ended", "closed"] if over == "tls" else [end, "closed"])


@pytest.mark.parametrize("over", OVER)
@in_loop
async def test_a_corrupt_answer_is_told_from_none(
    over: Over, certificates: dict[str, Path]
) -> None:
    if over == "udp":
        fault: Fault = Garbage()  # an octet of data is the data's, as far as UDP is concerned
    elif over in {"tcp", "tls"}:
        fault = Garbage()
    else:
        fault = Corrupt()
    async with (
        served(over, certificates, patience=SHORT) as (server, transport),
        Link(transport) as link,
    ):
        unit = link.unit()
        await soon(lambda: unit.read("holding_register", 0, 1))
        server.inject(fault, times=1)

        with pytest.raises((CorruptReplyError, DesyncError)) as raised:
            await unit.read("holding_register", 3, 2)

        assert raised.value.reason in {"corrupt", "desync"}
        assert await soon(lambda: unit.read("holding_register", 3, 2)) == [3, 4]


@pytest.mark.parametrize("over", OVER)
@in_loop
async def test_an_answer_of_another_device_is_not_taken(
    over: Over, certificates: dict[str, Path]
) -> None:
    async with (
        served(over, certificates, patience=SHORT) as (server, transport),
        Link(transport) as link,
    ):
        unit = link.unit()
        server.inject(WrongUnit(), times=1)

        with pytest.raises(DesyncError, match="answers something else"):
            await unit.read("holding_register", 3, 2)

        assert await soon(lambda: unit.read("holding_register", 3, 2)) == [3, 4]


@pytest.mark.parametrize("over", NUMBERED)
@in_loop
async def test_an_answer_with_another_number_is_not_taken(
    over: Over, certificates: dict[str, Path]
) -> None:
    async with (
        served(over, certificates, patience=SHORT) as (server, transport),
        Link(transport) as link,
    ):
        unit = link.unit()
        server.inject(WrongTransaction(), times=1)

        with pytest.raises(DesyncError, match="answers something else"):
            await unit.read("holding_register", 3, 2)

        assert await soon(lambda: unit.read("holding_register", 3, 2)) == [3, 4]


@pytest.mark.parametrize("over", ["tcp", "rtu+tcp", "ascii+tcp", "rtu", "ascii"])
@in_loop
async def test_a_cut_frame_is_corrupt(over: Over, certificates: dict[str, Path]) -> None:
    async with (
        served(over, certificates, patience=SHORT) as (server, transport),
        Link(transport) as link,
    ):
        unit = link.unit()
        server.inject(Cut(6), times=1)

        with pytest.raises(CorruptReplyError, match="what came is no frame"):
            await unit.read("holding_register", 3, 2)

        assert await soon(lambda: unit.read("holding_register", 3, 2)) == [3, 4]


@pytest.mark.parametrize("over", ["rtu", "ascii"])
@in_loop
async def test_on_a_line_everybody_is_written_to_and_nobody_answers(
    over: Over, certificates: dict[str, Path]
) -> None:
    async with (
        served(over, certificates, patience=SHORT) as (_, transport),
        Link(transport) as link,
    ):
        await link.unit(0).write("holding_register", 3, 33)

        with pytest.raises(ValueError, match="nobody answers"):
            await link.unit(0).read("holding_register", 3, 1)


# -- On uvloop -------------------------------------------------------------------------------------


@pytest.mark.parametrize("over", OVER)
def test_uvloop_does_for_a_loop(over: Over, certificates: dict[str, Path]) -> None:
    async def ask() -> None:
        device = make()
        async with (
            served(over, certificates, device) as (server, transport),
            Link(transport) as link,
        ):
            unit = link.unit()
            assert await unit.read("holding_register", 10, 3) == [10, 11, 12]
            await unit.write("holding_register", 5, [500, 600])
            assert device.raw("holding_register", 5, 2) == [500, 600]
            if over in STREAMS:
                server.inject(Reset(), times=1)
                with pytest.raises(LinkLostError):
                    await unit.read("holding_register", 0, 1)
            assert await unit.read("holding_register", 6, 1) == [600]

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(ask())
