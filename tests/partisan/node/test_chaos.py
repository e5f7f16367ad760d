# SPDX-License-Identifier: Apache-2.0
"""Nodes as processes of their own, behind proxies that do harm, killed and cut off from each other.

What must hold: the membership converges; no message is lost that a receiver acknowledged, but for
what a killed receiver had not read yet; none is delivered twice to one run of a receiver; messages
of one key stay in order. HELIOGRAPH_CHAOS_SECONDS makes it longer than the 15 seconds it takes with
`make test`, HELIOGRAPH_CHAOS_SEED repeats a schedule.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import sys
from collections import Counter, defaultdict
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.partisan.node.harm import Guard

SECONDS = float(os.environ.get("HELIOGRAPH_CHAOS_SECONDS", "15"))
SEED = int(os.environ.get("HELIOGRAPH_CHAOS_SEED", "1"))
ROOT = Path(__file__).parents[3]
NAMES = [f"n{number}@127.0.0.1" for number in (1, 2, 3)]


@dataclass
class Process:
    """One node's process, and its successors."""

    name: str
    guard: Guard
    folder: Path
    kills: int = 0
    process: asyncio.subprocess.Process | None = None
    killed_at: list[str] = field(default_factory=list)

    async def start(self, join: dict[str, str]) -> None:
        options = {
            "name": self.name,
            "listen": f"127.0.0.1:{self.guard.target}",
            "advertise": self.guard.address,
            "join": join,
            "peers": [name for name in NAMES if name != self.name],
            "folder": str(self.folder),
            "pause": 0.01,
        }
        self.process = await asyncio.create_subprocess_exec(
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


class Chaos:
    """The schedule: what is done to whom, by chance."""

    def __init__(self, processes: list[Process], seed: int) -> None:
        self.processes = processes
        self.random = random.Random(seed)
        self.done: Counter[str] = Counter()

    async def run(self, seconds: float) -> None:
        """Do harm for so long, each kind in its turn; then heal all."""
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        kinds = [self.kill, self.cut, self.reset, self.half_open, self.drop, self.delay, self.part]
        while loop.time() < end:
            self.random.shuffle(kinds)
            for kind in kinds:
                await kind(self.random.choice(self.processes))
                self.done[kind.__name__] += 1
                await asyncio.sleep(self.random.uniform(0.1, 0.4))
                if loop.time() >= end:
                    break
        for process in self.processes:
            process.guard.heal()

    async def kill(self, victim: Process) -> None:
        await victim.kill()
        await asyncio.sleep(self.random.uniform(0, 0.5))
        await victim.start({})

    async def cut(self, victim: Process) -> None:
        victim.guard.cut()

    async def reset(self, victim: Process) -> None:
        victim.guard.reset()

    async def half_open(self, victim: Process) -> None:
        """Let one connection's direction fall silent, for longer than it takes to notice."""
        victim.guard.silence([self.random.choice(NAMES)])
        await asyncio.sleep(1.5)
        victim.guard.heal()

    async def drop(self, victim: Process) -> None:
        victim.guard.drop = 0.2
        await asyncio.sleep(0.7)
        victim.guard.heal()

    async def delay(self, victim: Process) -> None:
        victim.guard.delay = 0.03
        await asyncio.sleep(0.7)
        victim.guard.heal()

    async def part(self, victim: Process) -> None:
        """Part one node from all others."""
        for process in self.processes:
            names = NAMES if process is victim else [victim.name]
            process.guard.silence(names)
        await asyncio.sleep(2.0)
        for process in self.processes:
            process.guard.heal()


async def settled(processes: list[Process], seconds: float) -> list[dict[str, Any]]:
    """Stop sending, and wait until all see all and nothing is owed."""
    whole = {
        process.name: {name: "self" if name == process.name else "up" for name in NAMES}
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


@pytest.mark.timeout(120 + 4 * SECONDS)
def test_messages_survive(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async def main() -> None:
        async with AsyncExitStack() as stack:
            guards = [
                await stack.enter_async_context(Guard(SEED + number))
                for number in range(len(NAMES))
            ]
            processes = [
                Process(name, guard, tmp_path) for name, guard in zip(NAMES, guards, strict=True)
            ]
            for process in processes:
                stack.push_async_callback(process.end)
            first = processes[0]
            await first.start({})
            for process in processes[1:]:
                await process.start({first.name: first.guard.address})
            chaos = Chaos(processes, SEED)
            await chaos.run(SECONDS)
            states = await settled(processes, 30 + SECONDS)
            dropped = sum(guard.dropped for guard in guards)
            for process in processes:
                await process.end()
        killed = {process.name for process in processes if process.kills}
        figures = judge(tmp_path, killed)
        retransmitted = sum(state["retransmitted"] for state in states)
        with capsys.disabled():
            print(f"\nchaos: {dict(chaos.done)}, frames lost by proxies {dropped}, {figures},")
            print(f"       sent again by the last runs {retransmitted}")
        assert figures["delivered"] > 100 * SECONDS
        # A receiver reads at once, so what a kill takes with it is a moment's worth.
        assert figures["unread by the killed"] < 0.02 * figures["accepted"]

    asyncio.run(main())
