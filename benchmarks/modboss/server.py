# SPDX-License-Identifier: Apache-2.0
"""Devices in a process of their own, which answer as fast as Python can.

    with serving(300) as ports:
        ...

Not pymodbus' server, which takes longer than a client does: most of each side of a ratio would be
the server's time, and hide the client's. `virtual` asks for it all the same, as a `VirtualDevice`:
a real device takes longer still.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["serving"]

# Registers 0, 1, 2, ...; the first one counts the requests, so that something changes.
REGISTERS = b"".join(address.to_bytes(2, "big") for address in range(0x1000))


class Device(asyncio.Protocol):
    """Answers functions 3 and 4."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._asked = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        assert self._transport is not None
        self._asked += 1
        start, count = int.from_bytes(data[8:10], "big"), int.from_bytes(data[10:12], "big")
        values = REGISTERS[2 * start : 2 * (start + count)]
        if not start:
            values = (self._asked & 0xFFFF).to_bytes(2, "big") + values[2:]
        size = (3 + len(values)).to_bytes(2, "big")
        self._transport.write(data[:4] + size + data[6:8] + len(values).to_bytes(1, "big") + values)


@contextmanager
def serving(number: int = 1, *, virtual: bool = False) -> Iterator[list[int]]:
    """Start so many devices, or one virtual device; give their ports."""
    process = subprocess.Popen(
        [sys.executable, __file__, "virtual" if virtual else str(number)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield [int(port) for port in process.stdout.readline().split()]
    finally:
        process.stdin.close()  # at which it ends
        process.stdout.close()
        process.wait()


async def serve_virtual() -> None:
    """Serve a virtual device until nobody wants it any more."""
    from heliograph.modboss.virtual import VirtualDevice, VirtualServer

    device = VirtualDevice(raw={"holding_register": {0: list(range(200))}})
    async with VirtualServer(device) as server:
        print(server.port, flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


async def serve(number: int) -> None:
    """Serve until nobody wants it any more."""
    loop = asyncio.get_running_loop()
    servers = [await loop.create_server(Device, "127.0.0.1", 0) for _ in range(number)]
    print(*(server.sockets[0].getsockname()[1] for server in servers), flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(serve_virtual() if sys.argv[1] == "virtual" else serve(int(sys.argv[1])))
