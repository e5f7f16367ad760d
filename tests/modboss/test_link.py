# SPDX-License-Identifier: Apache-2.0
"""Links, over every transport, to real servers on real sockets and serial lines."""

from __future__ import annotations

import asyncio
import functools
import itertools
import logging
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import pytest
import trustme

from heliograph.modboss import (
    CorruptReplyError,
    DesyncError,
    DeviceBusyError,
    DeviceError,
    DeviceFailureError,
    ExceptionReplyError,
    IllegalDataAddressError,
    IllegalDataValueError,
    IllegalFunctionError,
    Link,
    LinkClosedError,
    LinkError,
    LinkLostError,
    ReplyTimeoutError,
    RtuOverTcp,
    Tcp,
    Tls,
    Transport,
    UnreachableError,
)
from heliograph.modboss.faults import exception_reply
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
    WrongTransaction,
    WrongUnit,
)
from heliograph.modboss.virtual.server import Over
from heliograph.testing import capture

OVER: tuple[Over, ...] = get_args(Over)
STREAMS: tuple[Over, ...] = ("tcp", "tls", "rtu+tcp", "ascii+tcp")
NUMBERED: tuple[Over, ...] = ("tcp", "tls", "udp")
# How long a link waits for what never comes.
SHORT = 0.15
# How long it waits for what does come, on a machine that is busy.
LONG = 30.0


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Keep pymodbus from logging what these tests are about."""
    logger = logging.getLogger("pymodbus")
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    yield
    logger.setLevel(before)


def in_loop(
    test: Callable[..., Coroutine[Any, Any, None]],
) -> Callable[..., None]:
    """Run a test in a loop of its own."""

    @functools.wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        asyncio.run(test(*args, **kwargs))

    return run


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("certificates")
    authority = trustme.CA()
    server, client = authority.issue_cert("plc.example"), authority.issue_cert("us@example.org")
    paths = {name: folder / f"{name}.pem" for name in ("ca", "server", "client", "key")}
    authority.cert_pem.write_to_path(paths["ca"])
    server.private_key_and_cert_chain_pem.write_to_path(paths["server"])
    client.cert_chain_pems[0].write_to_path(paths["client"])
    client.private_key_pem.write_to_path(paths["key"])
    return paths


def make() -> VirtualDevice:
    return VirtualDevice(
        raw={
            "holding_register": {address: address for address in range(100)},
            "input_register": {0: 7, 1: 65535},
            "coil": {address: address % 2 for address in range(20)},
            "discrete_input": {3: [1, 0, 1]},
        }
    )


@asynccontextmanager
async def served(
    over: Over, certificates: dict[str, Path], *devices: VirtualDevice, patience: float = LONG
) -> AsyncIterator[tuple[VirtualServer, Transport]]:
    """A server, and the transport that leads to it."""
    context = None
    if over == "tls":
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificates["server"])
        context.load_verify_locations(certificates["ca"])
        context.verify_mode = ssl.CERT_REQUIRED
    async with VirtualServer(*(devices or (make(),)), over=over, context=context) as server:
        transport = replace(server.transport, timeout=patience)
        if isinstance(transport, Tls):
            transport = replace(
                transport,
                ca=str(certificates["ca"]),
                certificate=str(certificates["client"]),
                key=str(certificates["key"]),
                server_hostname="plc.example",
            )
        yield server, transport


# -- Over every transport --------------------------------------------------------------------------


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
        await unit.read("holding_register", 0, 1)
        server.inject(Silence(), times=1)

        with pytest.raises(ReplyTimeoutError, match=r"no answer within 0\.15 s") as raised:
            await unit.read("holding_register", 3, 2)

        assert raised.value.reason == "timeout"
        assert isinstance(raised.value, TimeoutError)
        assert "device 1, function 3 at address 3 (2)" in str(raised.value)
        assert await unit.read("holding_register", 3, 2) == [3, 4]


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
        await unit.read("holding_register", 0, 1)
        server.inject(fault, times=1)

        with pytest.raises((CorruptReplyError, DesyncError)) as raised:
            await unit.read("holding_register", 3, 2)

        assert raised.value.reason in {"corrupt", "desync"}
        assert await unit.read("holding_register", 3, 2) == [3, 4]


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

        assert await unit.read("holding_register", 3, 2) == [3, 4]


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

        assert await unit.read("holding_register", 3, 2) == [3, 4]


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

        assert await unit.read("holding_register", 3, 2) == [3, 4]


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


# -- What the device says --------------------------------------------------------------------------


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


# -- The connection --------------------------------------------------------------------------------


@in_loop
async def test_it_connects_when_it_is_needed_and_says_so(certificates: dict[str, Path]) -> None:
    with capture("modboss.link.**") as events:
        async with served("tcp", certificates) as (server, transport):
            async with Link(transport, name="plant") as link:
                states = [link.connected]
                assert len(events) == 0
                await link.unit(1).read("holding_register", 0, 2)
                states.append(link.connected)
                await link.disconnect()
                states.append(link.connected)
                await link.connect()
                states.append(link.connected)
            assert states == [False, True, False, True]
            assert "closed" in repr(link)

    about = {
        "link": "plant",
        "server_address": "127.0.0.1",
        "server_port": server.port,
        "network_transport": "tcp",
    }
    connected, gone, again, reconnected, closed = events
    assert connected.event == "modboss.link.connected"
    assert connected.metadata == about
    assert connected.measurements["tries"] == 1
    assert connected.measurements["connect_time"] > 0
    assert gone.metadata == closed.metadata == {**about, "end": "closed"}
    assert gone.measurements["connected_time"] > 0
    assert (again.event, reconnected.event) == (
        "modboss.link.reconnecting",
        "modboss.link.connected",
    )


@in_loop
async def test_nobody_there_is_unreachable_until_somebody_is(
    certificates: dict[str, Path],
) -> None:
    async with served("tcp", certificates) as (server, transport):
        pass
    link = Link(transport)
    unit = link.unit()
    with capture("modboss.link.**") as events:
        for _ in range(2):
            with pytest.raises(UnreachableError, match="no connection") as raised:
                await unit.read("holding_register", 0, 1)
        assert isinstance(raised.value, ConnectionError)
        async with server:
            assert await unit.read("holding_register", 1, 1) == [1]
            await link.close()

    assert [event.event.removeprefix("modboss.link.") for event in events] == [
        "unreachable",
        "reconnecting",
        "unreachable",
        "reconnecting",
        "connected",
        "disconnected",
    ]
    assert [each.measurements["tries"] for each in events.named("modboss.link.unreachable")] == [
        1,
        2,
    ]
    assert events.one("modboss.link.connected").measurements["tries"] == 3
    assert type(events[0].metadata["failure"]) is UnreachableError


@in_loop
async def test_who_waits_for_a_connection_that_fails_need_not_wait_for_another(
    certificates: dict[str, Path],
) -> None:
    async with served("tcp", certificates) as (_, transport):
        pass
    with capture("modboss.link.unreachable") as events:
        async with Link(transport) as link:
            found = await asyncio.gather(
                *[link.unit(n).read("holding_register", 0, 1) for n in range(20)],
                return_exceptions=True,
            )

    assert {type(each) for each in found} == {UnreachableError}
    assert len({id(each) for each in found}) == 20
    assert len(events) == 1


@in_loop
async def test_a_certificate_of_another_authority_is_no_connection(
    certificates: dict[str, Path], tmp_path: Path
) -> None:
    other = tmp_path / "other.pem"
    trustme.CA().cert_pem.write_to_path(other)
    async with served("tls", certificates) as (_, transport):
        assert isinstance(transport, Tls)
        async with Link(replace(transport, ca=str(other))) as link:
            with pytest.raises(UnreachableError, match="certificate verify failed"):
                await link.connect()
        async with Link(replace(transport, server_hostname="other.example")) as link:
            with pytest.raises(UnreachableError, match=r"other\.example"):
                await link.connect()
        async with Link(replace(transport, key=None, certificate=None)) as link:
            # TLS 1.3 says so with the first answer, or in place of it.
            with pytest.raises(LinkError):
                await link.unit().read("holding_register", 0, 1)
        async with Link(replace(transport, ca=str(tmp_path / "none.pem"))) as link:
            with pytest.raises(UnreachableError, match="No such file"):
                await link.connect()


@in_loop
async def test_a_port_that_is_none_is_no_connection(tmp_path: Path) -> None:
    from heliograph.modboss import Serial

    async with Link(Serial(str(tmp_path / "ttyNONE"))) as link:
        with pytest.raises(UnreachableError, match="No such file"):
            await link.connect()


@in_loop
async def test_a_wedged_connection_is_made_anew(certificates: dict[str, Path]) -> None:
    with capture("modboss.link.disconnected") as events:
        async with (
            served("tcp", certificates, patience=0.05) as (server, transport),
            Link(transport, max_silence=2) as link,
        ):
            unit = link.unit()
            await unit.read("holding_register", 0, 1)
            server.inject(Silence(), times=2)
            for connected in (True, False):
                with pytest.raises(ReplyTimeoutError):
                    await unit.read("holding_register", 0, 1)
                assert link.connected is connected

    assert events.one("modboss.link.disconnected").metadata["end"] == "silence"


@in_loop
async def test_one_silence_is_enough_where_frames_have_no_number(
    certificates: dict[str, Path],
) -> None:
    device = make()
    async with (
        served("rtu+tcp", certificates, device, patience=SHORT) as (_, transport),
        Link(transport) as link,
    ):
        assert isinstance(transport, RtuOverTcp)
        unit = link.unit()
        device.inject(Delay(2 * SHORT), times=1)
        with pytest.raises(ReplyTimeoutError):
            await unit.read("holding_register", 10, 1)

        # The late answer, of the same form, goes to the old connection.
        assert not link.connected
        assert await unit.read("holding_register", 20, 1) == [20]


@in_loop
async def test_a_closed_link_stays_closed(certificates: dict[str, Path]) -> None:
    device = make()
    async with served("tcp", certificates, device) as (_, transport):
        link = Link(transport)
        unit = link.unit()
        await link.connect()
        device.inject(Silence(), times=1)
        under_way = asyncio.create_task(unit.read("holding_register", 0, 1))
        waiting = asyncio.create_task(unit.read("holding_register", 0, 1))
        await device.await_requests(1)
        await link.close()
        await link.close()

        with pytest.raises(LinkLostError, match="closed on this side"):
            await under_way
        for request in (waiting, unit.read("holding_register", 0, 1), link.connect()):
            with pytest.raises(LinkClosedError, match="has been closed"):
                await request


def test_a_link_belongs_to_one_loop_at_a_time(certificates: dict[str, Path]) -> None:
    with VirtualServer(make()) as server:
        link = Link(server.transport)
        unit = link.unit()

        async def read() -> list[int]:
            return await unit.read("holding_register", 1, 1)

        with asyncio.Runner() as one:
            assert one.run(read()) == [1]
            with asyncio.Runner() as other, pytest.raises(RuntimeError, match="another event loop"):
                other.run(read())
            one.run(link.disconnect())
        # One that is over holds nothing.
        with asyncio.Runner() as another:
            assert another.run(read()) == [1]
            another.run(link.close())


# -- One at a time ---------------------------------------------------------------------------------


@in_loop
async def test_requests_wait_in_line_and_say_how_long(certificates: dict[str, Path]) -> None:
    device = make()
    device.inject(Delay(0.05), times=1)
    with capture("modboss.link.waited") as events:
        async with (
            served("tcp", certificates, device) as (server, transport),
            Link(transport) as link,
        ):
            await link.connect()
            unit = link.unit()
            found = await asyncio.gather(
                *[unit.read("holding_register", address, 1) for address in range(4)]
            )

    assert found == [[0], [1], [2], [3]]
    assert [request.address for request in device.requests] == [0, 1, 2, 3]
    # The first one found nobody before it.
    assert [event.measurements["pacing_wait"] for event in events] == [0, 0, 0]
    waits = [event.measurements["queue_wait"] for event in events]
    assert 50_000_000 <= waits[0] <= waits[1] <= waits[2]
    assert events[0].metadata == {
        "link": str(transport),
        "server_address": "127.0.0.1",
        "server_port": server.port,
        "network_transport": "tcp",
        "unit_id": 1,
    }


@in_loop
async def test_who_gives_up_waiting_holds_up_nobody(certificates: dict[str, Path]) -> None:
    device = make()
    async with served("tcp", certificates, device) as (_, transport), Link(transport) as link:
        await link.connect()
        unit = link.unit()
        device.inject(Delay(0.05), times=1)
        first = asyncio.create_task(unit.read("holding_register", 1, 1))
        second = asyncio.create_task(unit.read("holding_register", 2, 1))
        third = asyncio.create_task(unit.read("holding_register", 3, 1))
        await device.await_requests(1)
        second.cancel()

        assert await first == [1]
        assert await third == [3]
        assert second.cancelled()
    assert [request.address for request in device.requests] == [1, 3]


@in_loop
async def test_who_is_cancelled_when_it_is_ones_turn_passes_it_on(
    certificates: dict[str, Path],
) -> None:
    async with served("tcp", certificates) as (_, transport), Link(transport) as link:
        await link._enter()
        second = asyncio.create_task(link.unit().read("holding_register", 2, 1))
        third = asyncio.create_task(link.unit().read("holding_register", 3, 1))
        await asyncio.sleep(0)
        link._leave()  # gives the turn to the second, which has not run yet
        second.cancel()

        assert await third == [3]
        assert second.cancelled()


@in_loop
async def test_spacing_is_kept_from_end_to_start() -> None:
    spacing = 0.03
    loop = asyncio.get_running_loop()
    times: list[tuple[float, float]] = []

    class Slow(OwnClient):
        async def read_holding_registers(
            self, address: int, count: int, device_id: int
        ) -> list[int]:
            began = loop.time()
            await asyncio.sleep(0.01)
            times.append((began, loop.time()))
            return [0] * count

        async def write_register(self, address: int, value: int, device_id: int) -> None:
            times.append((loop.time(), loop.time()))

    with capture("modboss.link.waited") as events:
        async with Link(Slow(), message_spacing=spacing) as link:
            unit = link.unit()
            await asyncio.gather(*[unit.read("holding_register", 0, 1) for _ in range(3)])
            await unit.change_bits(0, set_bits=1)

    assert len(times) == 5
    pauses = [begin - end for (_, end), (begin, _) in itertools.pairwise(times)]
    # A loop's timer may go off its resolution early.
    assert all(pause >= spacing - 0.001 for pause in pauses)
    waits = [event.measurements["pacing_wait"] for event in events]
    assert len(waits) == 4  # the first one need not wait
    assert all(wait > spacing * 1e9 / 2 for wait in waits)


@pytest.mark.parametrize("options", [{"message_spacing": -1}, {"message_spacing": 1e9}])
def test_a_spacing_that_is_none_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="message_spacing"):
        Link(Tcp("127.0.0.1"), **options)


def test_a_silence_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="max_silence"):
        Link(Tcp("127.0.0.1"), max_silence=0)


@pytest.mark.parametrize(
    ("device_id", "error"),
    [(-1, ValueError), (256, ValueError), (True, TypeError), ("1", TypeError)],
)
def test_an_id_that_is_none_is_refused(device_id: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="device_id"):
        Link(Tcp("127.0.0.1")).unit(device_id)


# -- A client of one's own -------------------------------------------------------------------------


class OwnClient:
    """Eight coroutines are all it takes."""

    def __init__(self) -> None:
        self.registers = list(range(10))

    async def read_coils(self, address: int, count: int, device_id: int) -> list[int]:
        return [1] * count

    read_discrete_inputs = read_coils

    async def read_holding_registers(self, address: int, count: int, device_id: int) -> list[int]:
        if device_id != 1:
            raise DeviceError("no such device")
        return self.registers[address : address + count]

    read_input_registers = read_holding_registers

    async def write_coil(self, address: int, value: int, device_id: int) -> None:
        pass

    async def write_register(self, address: int, value: int, device_id: int) -> None:
        self.registers[address] = value

    async def write_coils(self, address: int, values: Any, device_id: int) -> None:
        pass

    async def write_registers(self, address: int, values: Any, device_id: int) -> None:
        self.registers[address : address + len(values)] = values


@in_loop
async def test_any_object_with_the_eight_coroutines_is_a_client() -> None:
    client = OwnClient()
    with capture("modboss.link.**") as events:
        async with Link(client, name="simulation") as link:
            assert link.connected
            unit = link.unit()
            await unit.write("holding_register", 1, 100)
            await unit.write("holding_register", 2, [200, 300])
            await unit.change_bits(4, set_bits=1)
            assert await unit.read("holding_register", 0, 5) == [0, 100, 200, 300, 5]
            assert await unit.read("coil", 0, 2) == [1, 1]
            with pytest.raises(DeviceError, match="no such device"):
                await link.unit(2).read("holding_register", 0, 1)
        assert link.connected  # it is none of the link's business

    assert len(events) == 0
