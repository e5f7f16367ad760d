# SPDX-License-Identifier: Apache-2.0
"""Nodes as processes of their own, behind proxies that do harm, killed and cut off from each other.

What must hold: the membership converges; no message is lost that a receiver acknowledged, but for
what a killed receiver had not read yet; none is delivered twice to one run of a receiver; messages
of one key stay in order. HELIOGRAPH_CHAOS_SECONDS makes it longer than the 15 seconds it takes with
`make test`, HELIOGRAPH_CHAOS_SEED repeats a schedule.
"""

from __future__ import annotations

import asyncio
import os
import random
from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.partisan.node.harm import Guard
from tests.partisan.node.processes import Process, judge, settled

SECONDS = float(os.environ.get("HELIOGRAPH_CHAOS_SECONDS", "15"))
SEED = int(os.environ.get("HELIOGRAPH_CHAOS_SEED", "1"))
NAMES = [f"n{number}@127.0.0.1" for number in (1, 2, 3)]


class Chaos:
    """The schedule: what is done to whom, by chance."""

    def __init__(self, guards: dict[str, Guard], processes: list[Process], seed: int) -> None:
        self.guards = guards
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
        for guard in self.guards.values():
            guard.heal()

    async def kill(self, victim: Process) -> None:
        await victim.kill()
        await asyncio.sleep(self.random.uniform(0, 0.5))
        await victim.start({})

    async def cut(self, victim: Process) -> None:
        self.guards[victim.name].cut()

    async def reset(self, victim: Process) -> None:
        self.guards[victim.name].reset()

    async def half_open(self, victim: Process) -> None:
        """Let one connection's direction fall silent, for longer than it takes to notice."""
        self.guards[victim.name].silence([self.random.choice(NAMES)])
        await asyncio.sleep(1.5)
        self.guards[victim.name].heal()

    async def drop(self, victim: Process) -> None:
        self.guards[victim.name].drop = 0.2
        await asyncio.sleep(0.7)
        self.guards[victim.name].heal()

    async def delay(self, victim: Process) -> None:
        self.guards[victim.name].delay = 0.03
        await asyncio.sleep(0.7)
        self.guards[victim.name].heal()

    async def part(self, victim: Process) -> None:
        """Part one node from all others."""
        for name, guard in self.guards.items():
            guard.silence(NAMES if name == victim.name else [victim.name])
        await asyncio.sleep(2.0)
        for guard in self.guards.values():
            guard.heal()


@pytest.mark.timeout(120 + 4 * SECONDS)
def test_messages_survive(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async def main() -> None:
        async with AsyncExitStack() as stack:
            guards = [
                await stack.enter_async_context(Guard(SEED + number))
                for number in range(len(NAMES))
            ]
            processes = [
                Process(name, NAMES, f"127.0.0.1:{guard.target}", guard.address, tmp_path)
                for name, guard in zip(NAMES, guards, strict=True)
            ]
            for process in processes:
                stack.push_async_callback(process.end)
            first = processes[0]
            await first.start({})
            for process in processes[1:]:
                await process.start({first.name: first.advertise})
            await settled(processes, 30)
            for process in processes:
                await process.ask("go")
            chaos = Chaos(dict(zip(NAMES, guards, strict=True)), processes, SEED)
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
