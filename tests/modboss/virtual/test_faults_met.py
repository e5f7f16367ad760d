# SPDX-License-Identifier: Apache-2.0
"""Every fault of a virtual device, over every transport, as a client meets it.

The exception that its caller gets, the events in their order, and that the next read succeeds.
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import ssl
from collections.abc import Iterator
from typing import Any, NamedTuple, get_args

import pytest
import trustme

from heliograph import Error, Ok
from heliograph.modboss import (
    AsyncDevice,
    CorruptReplyError,
    DesyncError,
    Device,
    DeviceBusyError,
    LinkLostError,
    ModbossError,
    Reading,
    ReplyTimeoutError,
    Schema,
    Tls,
    WrongCountError,
    holding_register,
)
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
    WrongCount,
    WrongTransaction,
    WrongUnit,
)
from heliograph.modboss.virtual.server import Over
from heliograph.testing import Captured, capture

OVER: tuple[Over, ...] = get_args(Over)
NUMBERED = {"tcp", "tls", "udp"}
CONNECTED = {"tcp", "tls", "rtu+tcp", "ascii+tcp"}
SERIAL = {"rtu", "ascii"}


class Meter(Schema):
    power = holding_register(10, "uint16", mode="rw")
    energy = holding_register(11, "uint16", mode="rw")


VALUES = {"power": 1, "energy": 2}


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """pymodbus logs what these tests are about."""
    logger = logging.getLogger("pymodbus")
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    yield
    logger.setLevel(before)


@pytest.fixture(scope="module")
def contexts() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """The server's and the client's, who ask for each other's certificates."""
    ca = trustme.CA()
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("127.0.0.1").configure_cert(server)
    ca.configure_trust(server)
    server.verify_mode = ssl.CERT_REQUIRED
    client = ssl.create_default_context()
    ca.configure_trust(client)
    ca.issue_cert("client@example.org").configure_cert(client)
    return server, client


class Met(NamedTuple):
    """What a client makes of a fault."""

    error: type[Exception] | None
    reason: object
    """What the attempt's stop event has; `Ok` values are given as they are."""
    lost: bool = False
    """Whether the connection is given up."""


SILENT = Met(ReplyTimeoutError, Error("timeout"))
LOST = Met(LinkLostError, Error("lost"), lost=True)
FINE = Met(None, Ok([1, 2]))


def met(fault: Fault, over: Over) -> Met:
    """The expectation. A serial port stays open; a connection whose bytes are in doubt does not."""
    doubted = over not in SERIAL
    corrupt = Met(CorruptReplyError, Error("corrupt"), doubted)
    desync = Met(DesyncError, Error("desync"), doubted)
    # Without numbers in the frames a late answer could be taken for the next one's.
    silent = SILENT if over in NUMBERED | SERIAL else SILENT._replace(lost=True)
    match fault:
        case Refuse():
            return Met(DeviceBusyError, Error("device_busy"))
        case Silence() | Delay():
            return silent
        case WrongUnit():
            return desync
        case WrongTransaction():
            return desync if over in NUMBERED else FINE
        case WrongCount():
            return Met(WrongCountError, Ok([1])) if over in NUMBERED else desync
        case Cut() | Garbage():
            return corrupt
        case Corrupt():
            # Modbus/TCP has no checksum of its own.
            return Met(None, Ok([1, 2 ^ 0xFF])) if over in NUMBERED else corrupt
        case Close() | Reset():
            return LOST if over in CONNECTED else silent
    raise AssertionError(fault)


FAULTS: tuple[Fault, ...] = (
    Refuse(6),
    Silence(),
    Delay(0.6),
    WrongUnit(),
    WrongTransaction(),
    WrongCount(1),
    Cut(),
    Garbage(),
    Corrupt(),
    Close(),
    Reset(),
)
# What ends in waiting has a short wait; what is answered may take its time on a busy machine.
WAITED_FOR = (Silence, Delay, WrongUnit, WrongTransaction, Cut, Garbage, Corrupt)


def names(seen: Captured) -> list[str]:
    return [each.event.removeprefix("modboss.") for each in seen]


def expected_events(expected: Met) -> list[str]:
    end = "read.exception" if expected.error is WrongCountError else "read.stop"
    lost = ["link.disconnected"] if expected.lost else []
    return ["read.start", "read_callback.start", *lost, "read_callback.stop", end]


@pytest.mark.parametrize("over", OVER)
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: type(fault).__name__)
def test_a_fault_is_met_and_the_next_read_succeeds(
    fault: Fault, over: Over, contexts: tuple[ssl.SSLContext, ssl.SSLContext]
) -> None:
    expected = met(fault, over)

    async def main() -> None:
        virtual = VirtualDevice(Meter, VALUES)
        context = contexts[0] if over == "tls" else None
        async with VirtualServer(virtual, over=over, context=context) as server:
            silent = isinstance(fault, WAITED_FOR) or expected.error is ReplyTimeoutError
            transport = dataclasses.replace(server.transport, timeout=0.3 if silent else 5.0)
            if isinstance(transport, Tls):
                transport = dataclasses.replace(transport, context=contexts[1])
            async with AsyncDevice(Meter, transport) as device:
                assert await device.read() == VALUES
                with virtual.inject(fault), capture() as seen:
                    error = await failure(device)
                assert type(error) is (expected.error or type(None))
                assert names(seen) == expected_events(expected)
                stop = seen.one("modboss.read_callback.stop")
                assert stop.metadata["result"] == expected.reason
                with capture() as seen:
                    assert await device.read() == VALUES
                again = ["link.reconnecting", "link.connected"] if expected.lost else []
                assert names(seen)[2 : 2 + len(again)] == again
                assert [each.faults for each in virtual.requests if each.faults] == [(fault,)]

    asyncio.run(main())


async def failure(device: AsyncDevice[Any]) -> Exception | None:
    try:
        await device.read(retry=None)
    except ModbossError as error:
        return error
    return None


@pytest.mark.parametrize("over", ["tcp", "rtu"])
def test_devices_try_again_by_themselves(over: Over) -> None:
    virtual = VirtualDevice(Meter, VALUES)
    virtual.inject(Refuse(6), calls=1)
    virtual.inject(Cut(), calls=2)
    with (
        VirtualServer(virtual, over=over) as server,
        Device(Meter, dataclasses.replace(server.transport, timeout=0.3)) as device,
        capture() as seen,
    ):
        assert device.read() == VALUES

    attempts = seen.named("modboss.read_callback.stop")
    assert [each.metadata["result"] for each in attempts] == [
        Error("device_busy"),
        Error("corrupt"),
        Ok([1, 2]),
    ]
    stop = seen.one("modboss.read.stop")
    assert (stop.measurements["total_attempts"], stop.metadata["result"]) == (3, Ok(VALUES))


def test_a_device_that_goes_away_and_comes_back_is_read_again() -> None:
    async def main() -> None:
        server = VirtualServer(VirtualDevice(Meter, VALUES))
        await server.start()
        async with AsyncDevice(Meter, server.transport, retry=None) as device:
            assert await device.read() == VALUES
            await server.stop()
            assert type(await failure(device)).__name__ in {"LinkLostError", "UnreachableError"}
            assert type(await failure(device)).__name__ == "UnreachableError"
            await server.start()
            assert await device.read() == VALUES
        await server.stop()

    asyncio.run(main())


def test_a_block_that_is_refused_costs_only_what_is_refused() -> None:
    virtual = VirtualDevice(Meter, VALUES)
    virtual.inject(Refuse(2), names="energy")
    with (
        VirtualServer(virtual) as server,
        Device(Meter, server.transport, on_refusal="split") as device,
    ):
        reading = device.read()
        assert isinstance(reading, Reading)
        assert (reading, reading.refused) == ({"power": 1}, {"energy": "illegal_data_address"})
        before = len(virtual.requests)
        assert device.read() == {"power": 1}
        assert len(virtual.requests) == before + 1, "it remembers"
