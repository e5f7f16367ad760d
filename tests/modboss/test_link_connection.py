# SPDX-License-Identifier: Apache-2.0
"""The connection of a link: when it is made, why it ends, and who waits for whom."""

from __future__ import annotations

import asyncio
import itertools
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import trustme

from heliograph.modboss import (
    DeviceError,
    Link,
    LinkClosedError,
    LinkError,
    LinkLostError,
    ReplyTimeoutError,
    RtuOverTcp,
    Tcp,
    Tls,
    UnreachableError,
)
from heliograph.modboss.virtual import (
    Delay,
    Silence,
    VirtualServer,
)
from heliograph.testing import capture
from tests.modboss.links import LONG, SHORT, OwnClient, in_loop, listening, make, served, soon

pytestmark = pytest.mark.usefixtures("quiet_pymodbus")


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
            with pytest.raises(UnreachableError, match=r"No such file or directory: .*none\.pem"):
                await link.connect()
        none = tmp_path / "text.pem"
        none.write_text("no certificate")
        for files in ({"ca": str(none)}, {"certificate": str(none), "key": None}):
            async with Link(replace(transport, **files)) as link:
                with pytest.raises(UnreachableError, match=r"text\.pem: no certificate or key"):
                    await link.connect()


@in_loop
async def test_a_port_that_is_none_is_no_connection(tmp_path: Path) -> None:
    from heliograph.modboss import Serial

    async with Link(Serial(str(tmp_path / "ttyNONE"))) as link:
        with pytest.raises(UnreachableError, match="No such file"):
            await link.connect()


@in_loop
async def test_a_port_that_is_pulled_out_ends_the_connection() -> None:
    server = VirtualServer(make(), over="rtu")
    await server.start()
    with capture("modboss.link.disconnected") as events:
        async with Link(replace(server.transport, timeout=SHORT)) as link:
            unit = link.unit()
            assert await soon(lambda: unit.read("holding_register", 1, 1)) == [1]
            await server.stop()

            await events.until("modboss.link.disconnected", metadata={"end": "reset"})
            with pytest.raises(UnreachableError):
                await unit.read("holding_register", 1, 1)


@in_loop
async def test_over_udp_nobody_there_is_unreachable_too() -> None:
    async with VirtualServer(make(), over="udp") as server:
        transport = replace(server.transport, timeout=LONG)
    async with Link(transport) as link:
        with pytest.raises(UnreachableError, match="refused"):
            await link.unit().read("holding_register", 0, 1)


@asynccontextmanager
async def mute() -> AsyncIterator[tuple[Tls, asyncio.Event]]:
    """Somebody who takes connections and says nothing; TLS then never begins."""
    came = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        came.set()
        while await reader.read(100):
            pass

    async with listening(serve) as port:
        yield Tls("127.0.0.1", port), came


@in_loop
async def test_connecting_takes_no_longer_than_its_time() -> None:
    async with mute() as (transport, _), Link(replace(transport, timeout=0.05)) as link:
        with pytest.raises(UnreachableError, match=r"no connection within 0\.05 s"):
            await link.connect()


@in_loop
async def test_who_gives_up_connecting_leaves_the_link_usable() -> None:
    async with mute() as (transport, came), Link(transport) as link:
        connecting = asyncio.create_task(link.connect())
        waiting = asyncio.create_task(link.connect())
        await came.wait()
        came.clear()
        connecting.cancel()
        await came.wait()  # the next in line has its turn
        waiting.cancel()

        found = await asyncio.gather(connecting, waiting, return_exceptions=True)
        assert [type(each) for each in found] == [asyncio.CancelledError] * 2
        assert not link.connected


@in_loop
async def test_a_link_that_is_closed_while_it_connects_stays_closed(
    certificates: dict[str, Path],
) -> None:
    async with served("tls", certificates) as (_, transport):
        link = Link(transport)
        connecting = asyncio.create_task(link.connect())
        await asyncio.sleep(0)
        await link.close()

        with pytest.raises(LinkClosedError):
            await connecting
        assert not link.connected


def test_without_pymodbus_one_error_says_what_to_install() -> None:
    program = (
        "import asyncio, sys; sys.modules['pymodbus'] = None\n"
        "from heliograph.modboss import Link, Tcp\n"
        "asyncio.run(Link(Tcp('127.0.0.1')).connect())"
    )

    done = subprocess.run(
        [sys.executable, "-c", program], check=False, capture_output=True, text=True
    )

    assert done.returncode == 1
    assert "ImportError: talking to devices needs pymodbus from 3.16" in done.stderr
    assert 'pip install "heliograph[modbus]"' in done.stderr


@in_loop
async def test_a_wedged_connection_is_made_anew(certificates: dict[str, Path]) -> None:
    with capture("modboss.link.disconnected") as events:
        async with (
            served("tcp", certificates, patience=0.05) as (server, transport),
            Link(transport, max_silence=2) as link,
        ):
            unit = link.unit()
            await soon(lambda: unit.read("holding_register", 0, 1))
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
        assert await soon(lambda: unit.read("holding_register", 20, 1)) == [20]


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


@pytest.mark.parametrize("where", ["tcp://127.0.0.1", ("127.0.0.1", 502), None, object()])
def test_what_is_neither_a_transport_nor_a_client_is_refused_at_once(where: Any) -> None:
    with pytest.raises(TypeError, match=r"transport_from_url\(text\), nor a client: it has none"):
        Link(where)


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
