# SPDX-License-Identifier: Apache-2.0
"""A node in a process of its own, for the chaos: sends numbered messages, writes down what it gets.

`python -m tests.partisan.node.worker OPTIONS`, as JSON. What it accepted and received is appended
to files, a line for each message, so that a killed process leaves them behind. It tells its state
once it is asked for by a line on standard input, and ends when that is closed.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path
from typing import IO, Any

import uvloop

from heliograph.partisan import Channel, Inbox, Node, UnknownNodeError
from tests.partisan.node.clusters import QUICK, patient

KEYS = 4


class Worker:
    def __init__(self, options: dict[str, Any]) -> None:
        self.options = options
        self.run = f"{time.time_ns()}"
        self.sending = asyncio.Event()
        self.sending.set()
        folder = Path(options["folder"])
        self.received = open_log(folder / f"{options['name']}.{self.run}.received")
        self.accepted = open_log(folder / f"{options['name']}.{self.run}.accepted")

    async def main(self) -> None:
        options = self.options
        node = Node(
            options["name"],
            listen=options["listen"],
            advertise=options["advertise"],
            channels=[Channel("data", 2)],
            protocol=patient(QUICK),
            state=f"{options['folder']}/{options['name']}.state",
        )
        inbox = node.register("sink")
        async with node:
            receiving = asyncio.ensure_future(self.receive(inbox))
            for name, address in options["join"].items():
                await node.join(name, address, deadline=30)
            sending = [asyncio.ensure_future(self.send(node, peer)) for peer in options["peers"]]
            await self.answer(node)
            for task in (*sending, receiving):
                task.cancel()
            await asyncio.gather(*sending, receiving, return_exceptions=True)

    async def receive(self, inbox: Inbox) -> None:
        async for source, run, key, number in inbox:
            self.received.write(f"{source.decode()} {run.decode()} {key} {number}\n")

    async def send(self, node: Node, peer: str) -> None:
        name, run = self.options["name"].encode(), self.run.encode()
        number = 0
        while True:
            await self.sending.wait()
            for key in range(KEYS):
                message = (name, run, key, number)
                try:
                    await node.send(
                        peer, "sink", message, channel="data", partition_key=key, ack=True
                    )
                except UnknownNodeError:
                    continue  # it has not been heard of yet
                self.accepted.write(f"{peer} {self.run} {key} {number}\n")
            number += 1
            await asyncio.sleep(self.options["pause"])

    async def answer(self, node: Node) -> None:
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader()
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        print(json.dumps({"ready": self.options["name"]}), flush=True)
        while line := (await reader.readline()).strip():
            if line == b"stop":
                self.sending.clear()
            elif line == b"go":
                self.sending.set()
            delivery = node._core.delivery
            state = {
                "members": {each.name: each.state for each in node.members()},
                "owed": sum(len(stream) for stream in delivery.streams()),
                "delivered": sum(stream.delivered for stream in delivery.streams()),
                "retransmitted": sum(stream.retransmitted for stream in delivery.streams()),
            }
            print(json.dumps(state), flush=True)


def open_log(path: Path) -> IO[str]:
    """Open a file whose lines are there even if the process is killed."""
    return path.open("a", buffering=1, encoding="utf-8")


if __name__ == "__main__":
    uvloop.run(Worker(json.loads(sys.argv[1])).main())
