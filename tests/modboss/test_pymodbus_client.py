# SPDX-License-Identifier: Apache-2.0
"""What a connection makes of answers that are none: whatever comes, one clear error."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymodbus.framer import FramerRTU

from heliograph.modboss import (
    CorruptReplyError,
    DesyncError,
    DeviceError,
    ExceptionReplyError,
    Link,
    LinkLostError,
    ReplyTimeoutError,
    RtuOverTcp,
    Tcp,
    Transport,
)
from heliograph.modboss.pymodbus_client import PymodbusClient
from tests.modboss.links import in_loop, listening, soon

pytestmark = pytest.mark.usefixtures("quiet_pymodbus")

# How long it is waited for what never comes; nothing is decided by its length.
SHORT = 0.3


Answer = Callable[[bytes], list[bytes]]


@asynccontextmanager
async def answering(*answers: Answer) -> AsyncIterator[int]:
    """Answer request after request as is said, the last way for all that follow; give the port."""
    left = list(answers)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while request := await reader.read(260):
            answer = left.pop(0) if len(left) > 1 else left[0]
            for part in answer(request):
                writer.write(part)
                await writer.drain()
                await asyncio.sleep(0.001)

    async with listening(serve) as port:
        yield port


def mbap(request: bytes, pdu: bytes, unit: int = 1) -> bytes:
    """A frame that answers a request."""
    return request[:4] + (len(pdu) + 1).to_bytes(2, "big") + bytes([unit]) + pdu


def rtu(pdu: bytes, unit: int = 1) -> bytes:
    """A frame of a serial line."""
    frame = bytes([unit]) + pdu
    return frame + FramerRTU.compute_CRC(frame).to_bytes(2, "big")


def good(request: bytes) -> list[bytes]:
    count = int.from_bytes(request[10:12], "big")
    return [mbap(request, bytes([3, 2 * count]) + b"\x00\x07" * count)]


def good_rtu(request: bytes) -> list[bytes]:
    count = int.from_bytes(request[4:6], "big")
    return [rtu(bytes([3, 2 * count]) + b"\x00\x07" * count)]


@pytest.mark.parametrize(
    ("answer", "error", "complaint"),
    [
        (lambda _: [], ReplyTimeoutError, "no answer within"),
        (lambda r: [mbap(r, b"\x04\x02\x00\x07")], DesyncError, "one to function 4"),
        (lambda r: [mbap(r, b"\x84\x02")], DesyncError, "one to function 4"),
        (lambda r: [mbap(r, b"\x03\x02\x00\x07", unit=9)], DesyncError, "device id 9"),
        (lambda r: [b"\xff\xfe" + mbap(r, b"\x03\x02\x00\x07")[2:]], DesyncError, "number 65534"),
        (
            lambda r: [r[:2] + b"\x12\x34\x00\x05\x01\x03\x02\x00\x07"],
            CorruptReplyError,
            "no frame",
        ),
        (lambda r: [mbap(r, b"\x03\x03\x00\x07\x00")], CorruptReplyError, "Unable to decode"),
        (lambda r: [mbap(r, b"\x03\x08\x00\x07")], CorruptReplyError, "Unable to decode"),
        (lambda r: [mbap(r, b"\x2a\x00\x00")], CorruptReplyError, "Unable to decode"),
        (lambda r: [mbap(r, b"\x03\x02\x00\x07")[:9]], CorruptReplyError, "no frame"),
        (lambda _: [b"\x00" * 300], CorruptReplyError, "no frame|Unable to decode"),
        (lambda _: [b"HTTP/1.1 400 Bad Request\r\n\r\n"], CorruptReplyError, "no frame"),
        (lambda r: [mbap(r, b"\x83\x02")], ExceptionReplyError, "exception 2"),
    ],
    ids=range(13),
)
@in_loop
async def test_each_wrong_answer_is_told_and_the_next_request_succeeds(
    answer: Answer, error: type[DeviceError], complaint: str
) -> None:
    async with answering(answer, good) as port, Link(Tcp("127.0.0.1", port, SHORT)) as link:
        unit = link.unit()

        with pytest.raises(error, match=complaint):
            await unit.read("holding_register", 0, 1)

        assert await soon(lambda: unit.read("holding_register", 0, 2)) == [7, 7]


@in_loop
async def test_nothing_is_asked_where_there_is_no_connection() -> None:
    client = PymodbusClient(Tcp("127.0.0.1"), lambda *_: None)

    for request in (client.read_holding_registers(0, 1, 1), client.write_register(0, 1, 1)):
        with pytest.raises(LinkLostError, match="before the request"):
            await request


@in_loop
async def test_an_answer_may_come_in_parts() -> None:
    def parts(request: bytes) -> list[bytes]:
        [frame] = good(request)
        return [frame[:4], frame[4:9], frame[9:]]

    async with answering(parts) as port, Link(Tcp("127.0.0.1", port)) as link:
        assert await link.unit().read("holding_register", 0, 3) == [7, 7, 7]


@in_loop
async def test_what_precedes_the_answer_is_skipped_if_it_answers_something_else() -> None:
    def late(request: bytes) -> list[bytes]:
        [frame] = good(request)
        return [b"\x7f\xff" + frame[2:] + frame]

    async with answering(late) as port, Link(Tcp("127.0.0.1", port)) as link:
        assert await link.unit().read("holding_register", 0, 1) == [7]


@in_loop
async def test_too_many_values_are_for_the_operation_to_judge() -> None:
    def more(request: bytes) -> list[bytes]:
        return [mbap(request, b"\x03\x06\x00\x01\x00\x02\x00\x03")]

    async with answering(more) as port, Link(Tcp("127.0.0.1", port)) as link:
        assert await link.unit().read("holding_register", 0, 2) == [1, 2, 3]


@in_loop
async def test_where_frames_have_no_number_a_wrong_count_may_answer_an_earlier_request() -> None:
    more = rtu(b"\x03\x06\x00\x01\x00\x02\x00\x03")
    async with (
        answering(lambda _: [more], good_rtu) as port,
        Link(RtuOverTcp("127.0.0.1", port)) as link,
    ):
        unit = link.unit()

        with pytest.raises(DesyncError, match="3 values came where 2 were asked for"):
            await unit.read("holding_register", 0, 2)

        assert not link.connected
        assert await unit.read("holding_register", 0, 2) == [7, 7]


@pytest.mark.parametrize(
    ("values", "echo"),
    [
        (5, b"\x06\x00\x09\x00\x05"),
        (5, b"\x06\x00\x00\x00\x06"),
        ([5, 6], b"\x10\x00\x00\x00\x01"),
        ([5, 6], b"\x10\x00\x01\x00\x02"),
    ],
    ids=["address of one", "value", "count", "address of two"],
)
@in_loop
async def test_a_write_is_confirmed_as_it_was_or_not_at_all(values: Any, echo: bytes) -> None:
    async with answering(lambda r: [mbap(r, echo)]) as port, Link(Tcp("127.0.0.1", port)) as link:
        with pytest.raises(DesyncError, match="confirms something else"):
            await link.unit().write("holding_register", 0, values)


@settings(max_examples=40)
@given(
    st.lists(st.binary(min_size=1, max_size=300), max_size=3),
    st.booleans(),
    st.sampled_from(["mbap", "rtu", "ascii"]),
)
def test_whatever_comes_there_is_a_value_or_one_error(
    parts: list[bytes], framed: bool, framing: str
) -> None:
    def answer(request: bytes) -> list[bytes]:
        if not framed:
            return parts
        return [mbap(request, part) if framing == "mbap" else rtu(part) for part in parts]

    async def ask() -> None:
        async with answering(answer) as port:
            transport: Transport = Tcp("127.0.0.1", port, 0.02)
            if framing != "mbap":
                transport = RtuOverTcp("127.0.0.1", port, 0.02, framing=framing)  # type: ignore[arg-type]  # one of the two is left
            async with Link(transport) as link:
                for _ in range(2):
                    with suppress(DeviceError):
                        found = await link.unit().read("holding_register", 0, 1)
                        assert all(0 <= register <= 0xFFFF for register in found)

    asyncio.run(ask())
