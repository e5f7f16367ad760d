# SPDX-License-Identifier: Apache-2.0
"""Nodes as processes of their own, and the judgement of what they leave behind."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[3]


@dataclass
class Process:
    """One node's process, and its successors."""

    name: str
    names: list[str]
    listen: str
    advertise: str
    folder: Path
    prefix: tuple[str, ...] = ()
    kills: int = 0
    process: asyncio.subprocess.Process | None = None

    async def start(self, join: dict[str, str]) -> None:
        options = {
            "name": self.name,
            "listen": self.listen,
            "advertise": self.advertise,
            "join": join,
            "peers": [name for name in self.names if name != self.name],
            "folder": str(self.folder),
            "pause": 0.01,
        }
        self.process = await asyncio.create_subprocess_exec(
            *self.prefix,
            sys.executable,
            "-m",
            "tests.partisan.node.worker",
            json.dumps(options),
            cwd=ROOT,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        assert (await self._read()) == {"ready": self.name}

    async def _read(self) -> dict[str, Any]:
        assert self.process is not None
        assert self.process.stdout is not None
        line = await asyncio.wait_for(self.process.stdout.readline(), 60)
        assert line, f"{self.name} has ended"
        found: dict[str, Any] = json.loads(line)
        return found

    async def ask(self, word: str = "state") -> dict[str, Any]:
        """Return what it says of itself."""
        assert self.process is not None
        assert self.process.stdin is not None
        self.process.stdin.write(word.encode() + b"\n")
        return await self._read()

    async def kill(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        await self.process.wait()
        self.kills += 1

    async def end(self) -> None:
        """Let it leave its node, and wait for it."""
        if self.process is not None and self.process.returncode is None:
            assert self.process.stdin is not None
            self.process.stdin.close()
            await asyncio.wait_for(self.process.wait(), 30)


async def settled(processes: list[Process], seconds: float) -> list[dict[str, Any]]:
    """Stop sending, and wait until all see all and nothing is owed."""
    whole = {
        process.name: {name: "self" if name == process.name else "up" for name in process.names}
        for process in processes
    }
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    for process in processes:
        await process.ask("stop")
    while True:
        states = [await process.ask() for process in processes]
        if all(
            state["members"] == whole[process.name] and not state["owed"]
            for process, state in zip(processes, states, strict=True)
        ):
            return states
        assert loop.time() < end, f"no convergence within {seconds} s: {states}"
        await asyncio.sleep(0.1)


Message = tuple[str, str, int, int]


def judge(folder: Path, killed: set[str]) -> dict[str, int]:
    """Compare what was accepted with what was received, by the files that the processes left."""
    accepted: dict[str, list[Message]] = defaultdict(list)
    living = {}
    for path in sorted(folder.glob("*.accepted")):
        sender, _, run = path.name.removesuffix(".accepted").rpartition(".")
        living[sender] = run  # the last one was not killed
        for line in path.read_text("utf-8").splitlines():
            peer, run, key, number = line.split(" ")
            accepted[peer].append((sender, run, int(key), int(number)))
    received: dict[str, set[Message]] = defaultdict(set)
    deliveries = 0
    for path in sorted(folder.glob("*.received")):
        receiver, _, _ = path.name.removesuffix(".received").rpartition(".")
        last: dict[tuple[str, str, int], int] = {}
        for line in path.read_text("utf-8").splitlines():
            source, run, key, number = line.split(" ")
            stream = (source, run, int(key))
            before = last.get(stream, -1)
            assert int(number) != before, f"{receiver} got {line} twice in one run"
            assert int(number) > before, f"{receiver} got {line} after {before}"
            last[stream] = int(number)
            received[receiver].add((*stream, int(number)))
            deliveries += 1
    aside = unsent = 0
    for receiver, messages in accepted.items():
        for message in messages:
            if message in received[receiver]:
                continue
            sender, run, *_ = message
            if run != living[sender]:
                unsent += 1  # its sender was killed
            elif receiver in killed:
                aside += 1  # acknowledged, and not read when the receiver was killed
            else:
                raise AssertionError(f"{message} was accepted, and never came to {receiver}")
    return {
        "accepted": sum(map(len, accepted.values())),
        "delivered": deliveries,
        "unread by the killed": aside,
        "unsent by the killed": unsent,
    }
