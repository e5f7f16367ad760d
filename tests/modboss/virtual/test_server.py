# SPDX-License-Identifier: Apache-2.0
"""Virtual devices on the wire, over every transport, asked by pymodbus' own clients and by hand."""

from __future__ import annotations

import asyncio
import errno
import gc
import logging
import socket
import ssl
import struct
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from typing import Any, get_args

import pytest
import trustme
from hypothesis import given, settings
from hypothesis import strategies as st
from pymodbus.client import (
    AsyncModbusSerialClient,
    AsyncModbusTcpClient,
    AsyncModbusTlsClient,
    AsyncModbusUdpClient,
)
from pymodbus.exceptions import ModbusIOException
from pymodbus.framer import FramerType
from pymodbus.pdu import ExceptionResponse

from heliograph.modboss.transports import RtuOverTcp, Serial, Tcp, Tls, Udp
from heliograph.modboss.virtual import (
    Close,
    Corrupt,
    Cut,
    Delay,
    Fault,
    Garbage,
    Line,
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

OVER: tuple[Over, ...] = get_args(Over)
# How long a client waits for what comes, on a busy machine too, and for what never comes.
LONG, SHORT = 10.0, 0.1


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """pymodbus' clients log what these tests are about."""
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


def make() -> VirtualDevice:
    return VirtualDevice(
        raw={
            "holding_register": {100: [1, 2, 3], 200: 4},
            "input_register": {0: 7},
            "coil": {5: [1, 0, 1], 40: 1},
            "discrete_input": {17: [0, 1]},
        }
    )


def client_of(server: VirtualServer, context: ssl.SSLContext | None = None) -> Any:
    options: dict[str, Any] = {"timeout": LONG, "retries": 0, "reconnect_delay": 0}
    transport = server.transport
    if isinstance(transport, Serial):
        framer = FramerType(transport.framing)
        return AsyncModbusSerialClient(transport.port, framer=framer, **options)
    host, port = transport.address
    if isinstance(transport, Tls):
        assert context is not None
        return AsyncModbusTlsClient(host, port=port, sslctx=context, **options)
    if isinstance(transport, Udp):
        return AsyncModbusUdpClient(host, port=port, **options)
    if isinstance(transport, RtuOverTcp):
        framer = FramerType(transport.framing)
        return AsyncModbusTcpClient(host, port=port, framer=framer, **options)
    return AsyncModbusTcpClient(host, port=port, **options)


@asynccontextmanager
async def serving(
    *devices: VirtualDevice, over: Over, contexts: tuple[ssl.SSLContext, ssl.SSLContext]
) -> AsyncIterator[tuple[VirtualServer, Any]]:
    context = contexts[0] if over == "tls" else None
    async with VirtualServer(*devices, over=over, context=context) as server:
        client = client_of(server, contexts[1])
        await client.connect()
        try:
            yield server, client
        finally:
            client.close()


@contextmanager
def impatient(client: Any) -> Iterator[None]:
    """The client expects no answer, and does not wait long for none."""
    client.ctx.comm_params.timeout_connect = SHORT
    yield
    client.ctx.comm_params.timeout_connect = LONG


async def ask(client: Any, count: int = 3, unit: int = 1) -> Any:
    return await client.read_holding_registers(100, count=count, device_id=unit)


async def ask_again(client: Any) -> list[int]:
    """The values after a fault, on a new connection if need be."""
    if not client.connected:
        await client.connect()
    return list((await ask(client)).registers)


@pytest.mark.parametrize("over", OVER)
def test_all_functions_work_over_all_transports(over: Over, contexts: Any) -> None:
    async def main() -> None:
        device = make()
        async with serving(device, over=over, contexts=contexts) as (server, client):
            assert server.url.startswith(f"{over}://")
            assert (await ask(client)).registers == [1, 2, 3]
            assert (await client.read_input_registers(0, device_id=1)).registers == [7]
            assert (await client.read_coils(5, count=3, device_id=1)).bits[:3] == [1, 0, 1]
            assert (await client.read_discrete_inputs(17, count=2, device_id=1)).bits[:2] == [0, 1]
            await client.write_coil(6, True, device_id=1)
            await client.write_coils(5, [False, True], device_id=1)
            await client.write_register(100, 0xABCD, device_id=1)
            await client.write_registers(101, [8, 9], device_id=1)
            await client.mask_write_register(address=100, and_mask=0xFF, or_mask=0x100, device_id=1)
            both = await client.readwrite_registers(
                read_address=100, read_count=2, write_address=200, values=[77], device_id=1
            )
            assert both.registers == [0x01CD, 8]
            assert device.raw("coil", 5, 3) == [0, 1, 1]
            assert device.raw("holding_register", 100, 3) == [0x01CD, 8, 9]
            assert device.raw("holding_register", 200) == [77]
            assert (await client.read_coils(5, count=4, device_id=1)).exception_code == 2
            assert [each.function for each in device.requests] == [
                *(3, 4, 1, 2, 5, 15, 6, 16, 22, 23, 1),
            ]

    asyncio.run(main())


UNANSWERED: tuple[Fault, ...] = (Silence(), WrongUnit(), Cut(), Garbage(), Close(), Reset())


@pytest.mark.parametrize("over", OVER)
def test_every_fault_is_seen_over_every_transport_and_then_all_is_well(
    over: Over, contexts: Any
) -> None:
    async def main() -> None:
        device = make()
        async with serving(device, over=over, contexts=contexts) as (_server, client):
            with device.inject(Refuse(6)):
                assert (await ask(client)).exception_code == 6
            with device.inject(WrongCount(2)):
                assert len((await ask(client)).registers) == 2
            with device.inject(Delay(0.01)):
                assert (await ask(client)).registers == [1, 2, 3]
            unanswered = [*UNANSWERED]
            if over in {"tcp", "tls", "udp"}:
                unanswered.append(WrongTransaction())
                with device.inject(Corrupt()):
                    assert (await ask(client)).registers == [1, 2, 3 ^ 0xFF], "without checksum"
            else:
                unanswered.append(Corrupt())
                with device.inject(WrongTransaction()):
                    assert (await ask(client)).registers == [1, 2, 3], "without such an id"
            for fault in unanswered:
                with (
                    device.inject(fault),
                    impatient(client),
                    pytest.raises(ModbusIOException, match="No response"),
                ):
                    await ask(client)
                assert await ask_again(client) == [1, 2, 3], fault

    asyncio.run(main())


@pytest.mark.parametrize("over", OVER)
def test_several_units_share_a_server(over: Over, contexts: Any) -> None:
    async def main() -> None:
        other = VirtualDevice(raw={"holding_register": {100: 9}}, unit=2)
        async with serving(make(), other, over=over, contexts=contexts) as (server, client):
            assert (await ask(client)).registers == [1, 2, 3]
            assert (await ask(client, 1, unit=2)).registers == [9]
            server.inject(Refuse(4), times=2)
            assert [(await ask(client, 1, unit=each)).exception_code for each in (1, 2)] == [4, 4]
            if isinstance(server.transport, Serial):
                with impatient(client), pytest.raises(ModbusIOException):
                    await ask(client, unit=3)
            else:
                assert (await ask(client, unit=3)).exception_code == 11
            assert len(other.requests) == 2

    asyncio.run(main())


def test_a_broadcast_on_a_serial_line_is_for_all_and_nobody_answers(contexts: Any) -> None:
    async def main() -> None:
        one, two = make(), VirtualDevice(raw={"holding_register": {100: 9}}, unit=2)
        async with serving(one, two, over="rtu", contexts=contexts) as (_server, client):
            await client.write_register(100, 5, device_id=0, no_response_expected=True)
            await two.await_requests(1)
            assert (await ask(client)).registers == [5, 2, 3]
            assert (await ask(client, 1, unit=2)).registers == [5]

    asyncio.run(main())


def test_a_write_whose_answer_is_lost_has_happened_unless_the_device_is_deaf(
    contexts: Any,
) -> None:
    async def main() -> None:
        device = make()
        async with serving(device, over="tcp", contexts=contexts) as (_server, client):
            for fault in (Silence(), Silence(deaf=True), Refuse(6)):
                device.set_raw("holding_register", 100, 1)
                with device.inject(fault), impatient(client), suppress(ModbusIOException):
                    await client.write_register(100, 5, device_id=1)
                happened = device.raw("holding_register", 100) == [5]
                assert happened == (fault == Silence()), fault

    asyncio.run(main())


def test_a_cut_frame_may_be_the_last_of_a_connection() -> None:
    async def main() -> None:
        device = make()
        async with VirtualServer(device) as server:
            device.inject(Cut(9), Close())
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(bytes.fromhex("0007 0000 0006 01 03 0064 0003"))
            assert (await reader.read()).hex(" ") == "00 07 00 00 00 09 01 03 06"
            writer.close()
            await writer.wait_closed()

    asyncio.run(main())


def test_a_reset_is_one() -> None:
    async def main() -> None:
        device = make()
        async with VirtualServer(device) as server:
            device.inject(Reset())
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(bytes.fromhex("0007 0000 0006 01 03 0064 0003"))
            with pytest.raises(ConnectionResetError):
                await reader.read()
            writer.close()

    asyncio.run(main())


def test_requests_that_come_at_once_are_answered_in_turn() -> None:
    async def main() -> None:
        device = make()
        device.inject(Delay(0.01), calls=1)
        async with VirtualServer(device) as server:
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            one, two = "0001 0000 0006 01 03 0064 0001", "0002 0000 0006 01 03 0065 0001"
            writer.write(bytes.fromhex(one + two)[:15])
            await device.await_requests(1)
            writer.write(bytes.fromhex(one + two)[15:])
            answers = await reader.readexactly(22)
            assert answers.hex() == "000100000005010302" + "0001" + "000200000005010302" + "0002"
            writer.close()
            await writer.wait_closed()

    asyncio.run(main())


def test_many_requests_at_once_are_all_answered() -> None:
    async def main() -> None:
        async with VirtualServer(make()) as server:
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            requests = [struct.pack(">HHHBBHH", each, 0, 6, 1, 3, 100, 1) for each in range(50)]
            writer.write(b"".join(requests))
            answers = await reader.readexactly(50 * 11)
            numbers = [answers[each : each + 2] for each in range(0, len(answers), 11)]
            assert [int.from_bytes(each, "big") for each in numbers] == list(range(50))
            writer.close()
            await writer.wait_closed()

    asyncio.run(main())


@pytest.mark.parametrize(
    "noise",
    [
        pytest.param("0001 0001 0006 01 03 0064 0001", id="another protocol"),
        pytest.param("0001 0000 0001 01", id="too short to be a frame"),
        pytest.param("0001 0000 ffff 01 03", id="too long to be a frame"),
        pytest.param("47 45 54 20 2f 20 48 54 54 50 2f 31 2e 31", id="HTTP"),
    ],
)
def test_what_is_no_frame_ends_the_connection(noise: str) -> None:
    async def main() -> None:
        async with VirtualServer(make()) as server:
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(bytes.fromhex(noise))
            assert await reader.read() == b""
            writer.close()
            await writer.wait_closed()

    asyncio.run(main())


@pytest.fixture(scope="module")
def hardened() -> Iterator[dict[Over, VirtualServer]]:
    """A server of each framing, for hostile bytes."""
    servers: dict[Over, VirtualServer] = {}
    with ExitStack() as stack:
        for over in ("tcp", "rtu+tcp", "ascii+tcp", "udp"):
            servers[over] = stack.enter_context(VirtualServer(make(), over=over))
        yield servers


@pytest.mark.parametrize("over", ["tcp", "rtu+tcp", "ascii+tcp", "udp"])
@given(noise=st.lists(st.binary(min_size=1, max_size=600), max_size=4))
@settings(max_examples=30)
def test_hostile_bytes_do_it_no_harm(
    hardened: dict[Over, VirtualServer], over: Over, noise: list[bytes]
) -> None:
    server = hardened[over]
    kind = socket.SOCK_DGRAM if over == "udp" else socket.SOCK_STREAM
    with socket.socket(socket.AF_INET, kind) as peer:
        peer.connect(("127.0.0.1", server.port))
        with suppress(ConnectionError):  # it may hang up
            for each in noise:
                peer.send(each)
    question = {
        "rtu+tcp": "01 03 00c8 0001 05f4",
        "ascii+tcp": b":010300C8000133\r\n".hex(),
    }.get(over, "0009 0000 0006 01 03 00c8 0001")
    with socket.socket(socket.AF_INET, kind) as peer:
        peer.settimeout(10)
        peer.connect(("127.0.0.1", server.port))
        peer.send(bytes.fromhex(question))
        assert (b"0004" if over == "ascii+tcp" else b"\x00\x04") in peer.recv(100)
    assert not server.device.failures


@pytest.mark.parametrize(
    ("request_", "answer"),
    [
        pytest.param("03 0064 0000", "83 03", id="no registers"),
        pytest.param("03 0064 007e", "83 03", id="too many registers"),
        pytest.param("01 0005 07d1", "81 03", id="too many coils"),
        pytest.param("03 ffff 0002", "83 02", id="beyond the last address"),
        pytest.param("10 0064 0002 04 0001", "90 03", id="bytes that are missing"),
        pytest.param("03 00", "83 03", id="half a request"),
        pytest.param("63 00", "e3 01", id="an unknown function"),
    ],
)
def test_a_malformed_request_is_refused_and_the_next_one_served(request_: str, answer: str) -> None:
    async def main() -> None:
        async with VirtualServer(make()) as server:
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            body = bytes.fromhex(request_)
            writer.write(struct.pack(">HHHB", 9, 0, len(body) + 1, 1) + body)
            assert await reader.readexactly(9) == bytes.fromhex("0009 0000 0003 01" + answer)
            writer.write(bytes.fromhex("000a 0000 0006 01 03 00c8 0001"))
            assert (await reader.readexactly(11))[-2:] == b"\x00\x04"
            writer.close()
            await writer.wait_closed()

    asyncio.run(main())


def test_what_goes_wrong_unasked_is_a_failure_of_the_device(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def main() -> None:
        device = make()

        def break_down(*_: object) -> None:
            raise ZeroDivisionError

        monkeypatch.setattr(device, "store", break_down)
        async with VirtualServer(device) as server:
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(bytes.fromhex("0007 0000 0006 01 06 0064 0003"))
            assert (await reader.readexactly(9)).hex() == "000700000003" + "018604"
            writer.write(bytes.fromhex("0008 0000 0006 01 03 0064 0001"))
            assert (await reader.readexactly(11))[-1] == 1
            writer.close()
            await writer.wait_closed()
        assert [type(each) for each in device.failures] == [ZeroDivisionError]

    asyncio.run(main())


def test_a_write_has_no_count_to_be_wrong(contexts: Any) -> None:
    async def main() -> None:
        device = make()
        async with serving(device, over="tcp", contexts=contexts) as (_server, client):
            with device.inject(WrongCount(0)):
                assert (await client.write_register(100, 5, device_id=1)).registers == [5]
                assert (await client.read_coils(5, device_id=1)).bits == []

    asyncio.run(main())


def test_connections_are_dropped_on_demand(contexts: Any) -> None:
    async def main() -> None:
        async with serving(make(), over="tcp", contexts=contexts) as (server, client):
            assert await ask_again(client) == [1, 2, 3]
            server.drop_connections()
            with impatient(client), pytest.raises(ModbusIOException):
                await ask(client)
            assert await ask_again(client) == [1, 2, 3]

    asyncio.run(main())


def test_a_server_comes_back_on_its_port() -> None:
    async def main() -> None:
        device = make()
        server = VirtualServer(device)
        async with server:
            port = server.port
            client = client_of(server)
            await client.connect()
            assert (await ask(client)).registers == [1, 2, 3]
        assert not server.serving
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", port)
        async with server:
            assert (server.port, server.transport) == (port, Tcp("127.0.0.1", port))
            await client.connect()
            assert (await ask(client)).registers == [1, 2, 3]
            client.close()

    asyncio.run(main())


def test_it_may_end_while_connections_are_being_made() -> None:
    for number in range(20):
        server = VirtualServer(make())
        server.start_thread()
        peers = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(number % 4)]
        server.stop_thread()
        for peer in peers:
            peer.close()
    gc.collect()  # what was left open is warned of now, and warnings are errors


def test_it_serves_in_a_thread() -> None:
    device = make()
    before = set(threading.enumerate())
    with VirtualServer(device) as server:
        with socket.create_connection(("127.0.0.1", server.port)) as peer:
            peer.sendall(bytes.fromhex("0007 0000 0006 01 03 0064 0003"))
            device.wait_for_requests(1)
            assert peer.recv(100).hex() == "000700000009" + "010306" + "000100020003"
            server.drop_connections()
            with pytest.raises(ConnectionResetError):
                peer.recv(100)
        with pytest.raises(RuntimeError, match="serves already"):
            server.start_thread()
    server.stop_thread()  # a second time is none
    assert set(threading.enumerate()) <= before


def test_it_cannot_be_started_twice_or_stopped_wrongly() -> None:
    async def main() -> None:
        async with VirtualServer(make()) as server:
            with pytest.raises(RuntimeError, match="serves already"):
                await server.start()
        await server.stop()
        server.drop_connections()

    asyncio.run(main())


def test_a_port_that_is_taken_is_said_to_be() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match="in use") as raised:
            VirtualServer(make(), port=port).start_thread()
    assert raised.value.errno == errno.EADDRINUSE


def test_a_line_that_is_missing_is_said_to_be() -> None:
    with pytest.raises(OSError, match="/dev/nothing"):
        VirtualServer(make(), over="rtu", line="/dev/nothing").start_thread()


def test_it_serves_on_a_line_of_its_users() -> None:
    async def main() -> None:
        with Line() as line:
            async with VirtualServer(make(), over="rtu", line=line.device, baudrate=9600) as server:
                assert server.transport == Serial(line.device, baudrate=9600)
                client = AsyncModbusSerialClient(line.client, timeout=1, retries=0)
                await client.connect()
                assert (await ask(client)).registers == [1, 2, 3]
                client.close()

    asyncio.run(main())


def test_before_it_is_started_it_is_nowhere() -> None:
    for server in (VirtualServer(make()), VirtualServer(make(), over="rtu")):
        with pytest.raises(RuntimeError, match="start it"):
            str(server.transport)


def test_who_has_no_certificate_is_not_served(
    contexts: tuple[ssl.SSLContext, ssl.SSLContext],
) -> None:
    nobody = ssl.create_default_context()
    nobody.check_hostname = False
    nobody.verify_mode = ssl.CERT_NONE

    async def ask_as_nobody(port: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=nobody)
        try:
            writer.write(bytes.fromhex("0007 0000 0006 01 03 0064 0003"))
            await reader.readexactly(1)
        finally:
            writer.transport.abort()

    async def main() -> None:
        device = make()
        async with VirtualServer(device, over="tls", context=contexts[0]) as server:
            # When the client learns of it is a matter of chance; that it gets no answer is not.
            with pytest.raises((ssl.SSLError, ConnectionResetError, asyncio.IncompleteReadError)):
                await ask_as_nobody(server.port)
            assert device.requests == ()

    asyncio.run(main())


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"over": "quic"}, "over='quic' is unknown"),
        ({"over": "tls"}, "needs a context"),
        ({"context": ssl.create_default_context()}, "needs a context"),
        ({"line": "/dev/ttyUSB0"}, "a line is for 'rtu' and 'ascii'"),
    ],
)
def test_options_that_do_not_fit_are_refused(options: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        VirtualServer(make(), **options)


def test_devices_are_needed_and_have_units_of_their_own() -> None:
    with pytest.raises(ValueError, match="no devices"):
        VirtualServer()
    with pytest.raises(ValueError, match=r"units \[1, 1\] are not all different"):
        VirtualServer(make(), make())


def test_a_response_is_what_pymodbus_makes_it() -> None:
    # What the handler builds on; a release of pymodbus that changes it shows here first.
    response = ExceptionResponse(3, 2, device_id=1, transaction=9)

    assert (response.function_code, response.dev_id, response.transaction_id) == (0x83, 1, 9)
