# SPDX-License-Identifier: Apache-2.0
"""A proxy before each node that does harm on request; a dialler's hello tells it to whom."""

from __future__ import annotations

import asyncio
import random
import re
import socket
import struct
from collections.abc import Iterable
from typing import Self

from tests.ports import free_port

_NAME = re.compile(rb"([a-z0-9]+@127\.0\.0\.1)")
_READ = 65_536


class Guard:
    """Stands before one node. All it does to frames it does to those of applications only.

    Attributes:
        address: Where peers dial.
        silent: Names of peers whose connections pass nothing on, in neither direction: they are
            half open, as over a wire that was pulled.
        delay: Seconds each read is held up.
        drop: Part of the frames that is lost.
        dropped: Frames lost so far.
    """

    def __init__(self, seed: int) -> None:
        self.port = free_port()
        self.target = free_port()
        self.address = f"127.0.0.1:{self.port}"
        self.silent: set[str] = set()
        self.delay = 0.0
        self.drop = 0.0
        self.dropped = 0
        self._cutting = False
        self._random = random.Random(seed)
        self._ends: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._server.close()
        self.reset()
        for task in [*self._tasks]:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.sleep(0)  # what was aborted is closed when the loop comes round

    def heal(self) -> None:
        """Do no more harm."""
        self.silent = set()
        self.delay = self.drop = 0.0

    def silence(self, names: Iterable[str]) -> None:
        """Let connections of these peers pass nothing on any more."""
        self.silent = set(names)

    def cut(self) -> None:
        """Break the next connection that reads something, in the middle of a frame."""
        self._cutting = True

    def reset(self) -> None:
        """Reset all connections."""
        for writer in [*self._ends]:
            end = writer.get_extra_info("socket")
            if end is not None and end.fileno() >= 0:
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.target)
        except (OSError, asyncio.CancelledError):
            writer.transport.abort()
            return
        peer: list[str] = []
        self._ends |= {writer, far_writer}
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._pump(reader, far_writer, peer, names=True))
                tasks.create_task(self._pump(far_reader, writer, peer, names=False))
        except* OSError:
            pass
        finally:
            self._ends -= {writer, far_writer}
            writer.transport.abort()
            far_writer.transport.abort()

    async def _pump(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        peer: list[str],
        *,
        names: bool,
    ) -> None:
        kept = b""
        while data := await reader.read(_READ):
            if self.delay:
                await asyncio.sleep(self.delay)
            if names and not peer and (found := _NAME.search(data)):
                peer.append(found[1].decode())
            if peer and peer[0] in self.silent:
                continue
            if self._cutting and len(data) > 8:
                self._cutting = False
                writer.write(data[: len(data) // 2 + 3])
                await writer.drain()
                raise ConnectionResetError("cut")
            kept += data
            passed, kept = self._sift(kept)
            writer.write(passed)
            await writer.drain()
        raise ConnectionResetError("hung up")

    def _sift(self, data: bytes) -> tuple[bytes, bytes]:
        """Take whole frames from the front, lose some, and return the others and the rest."""
        at = 0
        passed = []
        while len(data) - at >= 4:
            after = at + 4 + int.from_bytes(data[at : at + 4], "big")
            if after > len(data):
                break
            frame = data[at:after]
            lost = self.drop and b"forward_message" in frame[:32]
            if lost and self._random.random() < self.drop:
                self.dropped += 1
            else:
                passed.append(frame)
            at = after
        return b"".join(passed), data[at:]
