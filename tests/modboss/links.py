# SPDX-License-Identifier: Apache-2.0
"""Links to real servers on real sockets and serial lines, for tests of what they do."""

from __future__ import annotations

import asyncio
import functools
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from heliograph.modboss import DeviceError, ReplyTimeoutError, Tls, Transport
from heliograph.modboss.virtual import VirtualDevice, VirtualServer
from heliograph.modboss.virtual.server import Over

T = TypeVar("T")

SHORT = 0.4
"""How long a link waits for what never comes; what comes and is wrong comes sooner."""
LONG = 30.0
"""How long it waits for what does come, on a machine that is busy."""


def in_loop(
    test: Callable[..., Coroutine[Any, Any, None]],
) -> Callable[..., None]:
    """Run a test in a loop of its own."""

    @functools.wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        asyncio.run(test(*args, **kwargs))

    return run


async def soon(read: Callable[[], Awaitable[T]]) -> T:
    """Read, again if need be: on a busy machine an answer may miss a time-out that is short."""
    for _ in range(100):
        with suppress(ReplyTimeoutError):
            return await read()
    raise AssertionError("nothing answers any more")


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


@asynccontextmanager
async def listening(
    serve: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
) -> AsyncIterator[int]:
    """A server of streams, all of whose connections have ended at its end; gives the port."""
    served: list[asyncio.Task[None]] = []

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        served.append(task)
        with suppress(ConnectionError):
            await serve(reader, writer)
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()

    server = await asyncio.start_server(take, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]
    # The other side has ended by now; a connection of the last moment may be about to be served.
    for _ in range(10):
        await asyncio.sleep(0)
    await asyncio.gather(*served)


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
