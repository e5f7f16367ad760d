# SPDX-License-Identifier: Apache-2.0
"""Devices in a process of their own, which answer as fast as Python can, each time differently.

`python -m benchmarks.gateway.plant NUMBER` says on standard output at which ports they are, and
ends with its standard input. Every register of a device grows by one with each request.
"""

from __future__ import annotations

import asyncio
import sys

REGISTERS = b"".join((number & 0x7FFF).to_bytes(2, "big") for number in range(0x10000))
# After so many requests the registers begin anew.
ROUND = 0x7000


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
        self._asked = (self._asked + 1) % ROUND
        start, count = int.from_bytes(data[8:10], "big"), int.from_bytes(data[10:12], "big")
        begin = 2 * (start + self._asked)
        values = REGISTERS[begin : begin + 2 * count]
        size = (3 + len(values)).to_bytes(2, "big")
        self._transport.write(data[:4] + size + data[6:8] + len(values).to_bytes(1, "big") + values)


async def serve(number: int) -> None:
    """Serve until nobody wants it any more."""
    loop = asyncio.get_running_loop()
    servers = [await loop.create_server(Device, "127.0.0.1", 0) for _ in range(number)]
    print(*(server.sockets[0].getsockname()[1] for server in servers), flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1])))
