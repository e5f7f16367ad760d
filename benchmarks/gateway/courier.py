# SPDX-License-Identifier: Apache-2.0
"""A node that sends numbered messages, to be acknowledged, and notes what it sends and gets.

`python -m benchmarks.gateway.courier FILE NAME LISTEN SEEDS`, the seeds as a JSON object. The node
has the gateways' settings. It sends until a line comes on standard input, and ends with that.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from contextlib import suppress

from heliograph.apps.gateway import Cluster
from heliograph.apps.gateway.peers import make_node
from heliograph.partisan import JoinError, Node, NotConnectedError, UnknownNodeError

INBOX = "soak_courier"
# Messages a second to each of the others.
RATE = 20


class Courier:
    """Notes to a file, line by line, so that a kill undoes nothing."""

    def __init__(self, file: str, node: Node) -> None:
        self._node = node
        self._run = os.environ["SOAK_RUN"]
        self._file = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self._inbox = node.register(INBOX)
        self._numbers: dict[str, int] = {}
        self._stop = asyncio.Event()

    def _note(self, *fields: object) -> None:
        os.write(self._file, (json.dumps([time.monotonic(), *fields]) + "\n").encode())

    async def hear(self) -> None:
        """Note what comes."""
        async for data in self._inbox:
            source, run, number = json.loads(data)
            self._note("received", source, run, number)

    async def join(self, name: str, address: str) -> None:
        """Be a member, again and again."""
        while True:
            with suppress(JoinError):
                await self._node.join(name, address, deadline=2.0)
            await asyncio.sleep(1.0)

    async def send(self, to: str) -> None:
        """Send numbers to another."""
        number = 0
        while not self._stop.is_set():
            await asyncio.sleep(1 / RATE)
            # Nothing is promised to a node that is being joined and may never be a member.
            if all(member.name != to for member in self._node.members()):
                continue
            data = json.dumps([self._node.name, self._run, number]).encode()
            with suppress(NotConnectedError, UnknownNodeError):
                if self._node.try_send(to, INBOX, data, ack=True):
                    self._note("sent", to, number)
                    number += 1

    async def wait(self) -> None:
        """Send until a line comes; then only hear, until standard input ends."""
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(None, sys.stdin.readline)
        self._stop.set()
        await loop.run_in_executor(None, sys.stdin.read)


async def main(file: str, name: str, listen: str, seeds: dict[str, str]) -> None:
    """Run it."""
    node = make_node(Cluster(name, listen))
    courier = Courier(file, node)
    others = {each: at for each, at in seeds.items() if each != name}
    async with node:
        tasks = [asyncio.create_task(courier.hear())]
        for each, address in others.items():
            tasks.append(asyncio.create_task(courier.join(each, address)))
            tasks.append(asyncio.create_task(courier.send(each)))
        waiting = asyncio.create_task(courier.wait())
        done, _ = await asyncio.wait([waiting, *tasks], return_when=asyncio.FIRST_COMPLETED)
        while waiting not in done:
            for task in done:
                task.result()  # one that fails ends the courier; senders end when they are told
                tasks.remove(task)
            done, _ = await asyncio.wait([waiting, *tasks], return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], sys.argv[3], json.loads(sys.argv[4])))
