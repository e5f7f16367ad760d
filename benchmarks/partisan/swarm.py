# SPDX-License-Identifier: Apache-2.0
"""Kill a quarter of a cluster of real processes: `python -m benchmarks.partisan.swarm`.

Each node is a process of its own, on loopback, with HyParView and all settings as they are by
default. All take turns in broadcasting; in the middle of that, a quarter is killed at once. What
each process receives it notes with the time, on the clock that all processes of a machine share.
Broadcasts of the living must reach all the living within `BAR` seconds of the kill, or of the
broadcast if that came later. At the end no process may have more tasks or descriptors than it had
before, but for its connections.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import signal
import sys
import time
from collections import defaultdict
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, cast

__all__ = ["BAR", "Outcome", "Settings", "main", "run"]

ROOT = Path(__file__).parents[2]
BAR = 5.0
"""Seconds in which a broadcast must reach all the living."""
PATIENCE = 120.0
AT_ONCE = 4


# -- One node --------------------------------------------------------------------------------------


async def child(name: str) -> None:
    """Run one node: commands come on standard input, answers and what it receives go out."""
    from heliograph.partisan import HyParView, Node

    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    # As many connections as neighbors, replacements being asked, and their answers.
    async with Node(name, manager=HyParView()) as node:
        news = node.subscribe("news")
        receiving = asyncio.ensure_future(receive(news))
        say({"ready": node.listen_addrs[0]})
        while line := await reader.readline():
            command = json.loads(line)
            match command["do"]:
                case "join":
                    await node.join(command["name"], command["address"], deadline=PATIENCE)
                    say({"joined": command["name"]})
                case "broadcast":
                    sent = time.monotonic_ns()
                    await node.broadcast("news", command["number"])
                    say({"sent": command["number"], "at": sent})
                case _:
                    plumtree = node._core.trees.plumtree
                    say({
                        "neighbors": sorted(m.name for m in node.members() if m.state != "self"),
                        "up": all(m.state in {"self", "up"} for m in node.members()),
                        "connections": len(node.connections()),
                        "descriptors": descriptors(),
                        "tasks": len(asyncio.all_tasks()),
                        "outstanding": plumtree.outstanding,
                        "duplicates": plumtree.statistics.duplicates,
                        "delivered": plumtree.statistics.delivered,
                    })  # fmt: skip
        receiving.cancel()


def descriptors() -> int:
    """Return how many there are, without the one that this takes."""
    return len([*Path("/proc/self/fd").iterdir()]) - 1


async def receive(news: Any) -> None:
    async for number in news:
        say({"got": number, "at": time.monotonic_ns()})


def say(what: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


# -- All of them -----------------------------------------------------------------------------------


@dataclass
class Member:
    """One process."""

    name: str
    process: asyncio.subprocess.Process
    got: dict[int, int] = field(default_factory=dict)
    twice: int = 0
    answers: asyncio.Queue[dict[str, Any]] = field(default_factory=asyncio.Queue)
    reading: asyncio.Task[None] | None = None

    @classmethod
    async def start(cls, name: str) -> Member:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "benchmarks.partisan.swarm",
            "--child",
            name,
            cwd=ROOT,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        made = cls(name, process)
        made.reading = asyncio.ensure_future(made.read())
        return made

    async def read(self) -> None:
        assert self.process.stdout is not None
        while line := await self.process.stdout.readline():
            told = json.loads(line)
            if "got" not in told:
                self.answers.put_nowait(told)
            elif told["got"] in self.got:
                self.twice += 1
            else:
                self.got[told["got"]] = told["at"]

    async def answer(self) -> dict[str, Any]:
        return await asyncio.wait_for(self.answers.get(), PATIENCE)

    async def ask(self, **command: Any) -> dict[str, Any]:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(command).encode() + b"\n")
        return await self.answer()

    async def end(self) -> None:
        if self.process.returncode is None:
            assert self.process.stdin is not None
            self.process.stdin.close()
            try:
                await asyncio.wait_for(self.process.wait(), 30)
            except TimeoutError:
                self.process.kill()
                await self.process.wait()
        if self.reading is not None:
            await self.reading


@dataclass(frozen=True)
class Settings:
    """What is run."""

    nodes: int = 40
    killed: float = 0.25
    rate: float = 20.0
    before: float = 2.0
    after: float = 10.0
    calm: float = 15.0
    seed: int = 1


@dataclass
class Outcome:
    """What became of it; times in seconds."""

    nodes: int
    killed: int
    broadcasts: int
    of_the_killed: int
    joined: float
    slowest: float
    slowest_before: float
    missing: int
    partly: int
    twice: int
    descriptors_more: int
    tasks_more: int
    outstanding: int
    neighbors: tuple[int, int]

    @property
    def passed(self) -> bool:
        """Whether all is as it should be."""
        return (
            not self.missing
            and not self.partly
            and not self.twice
            and self.slowest <= BAR
            and self.descriptors_more <= 0
            and self.tasks_more <= 0
        )

    def text(self) -> str:
        """Return it for people."""
        least, most = self.neighbors
        return f"""\
{self.nodes} processes, of which {self.killed} were killed; joined within {self.joined:.1f} s
the living have {least} to {most} neighbors in the end
broadcasts by the living: {self.broadcasts}; not received by all the living: {self.missing}; \
received twice: {self.twice}
slowest, from the kill or from the broadcast if that came later: {self.slowest:.3f} s \
(bar: {BAR:g} s); before the kill: {self.slowest_before:.3f} s
broadcasts by the killed: {self.of_the_killed}; received by some of the living and not by all: \
{self.partly}
more descriptors than before, connections aside: {self.descriptors_more}; more tasks: \
{self.tasks_more}; announcements not answered: {self.outstanding}
{"passed" if self.passed else "FAILED"}"""


async def run(settings: Settings) -> Outcome:
    """Start, join, broadcast, kill, broadcast on, and compare."""
    chance = random.Random(settings.seed)
    members: list[Member] = []
    try:
        return await _run(settings, chance, members)
    finally:
        await asyncio.gather(*[each.end() for each in members])


async def _run(settings: Settings, chance: random.Random, members: list[Member]) -> Outcome:
    began = time.monotonic()
    await _start(settings.nodes, members)
    await _settled(members)
    joined = time.monotonic() - began
    numbers = iter(range(1_000_000))
    sent: dict[int, tuple[Member, int]] = {}

    async def broadcast(source: Member) -> None:
        number = next(numbers)
        told = await source.ask(do="broadcast", number=number)
        sent[number] = (source, told["at"])

    for each in members:  # the first of each is a flood, and leaves its tree behind
        await broadcast(each)
    await _all_have(members, sent, PATIENCE)
    states = {each.name: await each.ask(do="state") for each in members}
    doomed = chance.sample(members, round(settings.killed * settings.nodes))
    living = [each for each in members if each not in doomed]
    sent.clear()
    end_of_doomed = asyncio.Event()

    async def broadcasting(those: list[Member], rate: float, end: float) -> None:
        while time.monotonic() < end and not (those is doomed and end_of_doomed.is_set()):
            due = time.monotonic() + 1 / rate
            await broadcast(chance.choice(those))
            await asyncio.sleep(max(0.0, due - time.monotonic()))

    end = time.monotonic() + settings.before + settings.after
    share = settings.rate * len(doomed) / settings.nodes
    tasks = [asyncio.ensure_future(broadcasting(living, settings.rate - share, end))]
    if doomed:
        tasks.append(asyncio.ensure_future(broadcasting(doomed, share, end)))
    await asyncio.sleep(settings.before)
    end_of_doomed.set()
    if doomed:
        await tasks.pop()
    kill = time.monotonic_ns()
    for each in doomed:
        each.process.send_signal(signal.SIGKILL)
    await asyncio.gather(*tasks)
    await asyncio.gather(*[each.process.wait() for each in doomed])
    kept = {n: of for n, of in sent.items() if of[0] in living}
    await _all_have(living, kept, BAR)
    await asyncio.sleep(settings.calm)
    return await _judged(settings, living, doomed, sent, kill, states, joined)


async def _start(count: int, members: list[Member]) -> None:
    """Start processes, some at a time, each of which joins through one that runs."""
    first = await Member.start("n0@127.0.0.1")
    members.append(first)
    address = (await first.answer())["ready"]
    gate = asyncio.Semaphore(AT_ONCE)

    async def start(number: int) -> None:
        async with gate:
            made = await Member.start(f"n{number}@127.0.0.1")
            members.append(made)
            await made.answer()
            await made.ask(do="join", name=first.name, address=address)

    await asyncio.gather(*[start(number) for number in range(1, count)])


async def _settled(members: list[Member]) -> None:
    """Wait until everybody is connected to its neighbors."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        states = [await each.ask(do="state") for each in members]
        if all(state["up"] and state["neighbors"] for state in states):
            return
        await asyncio.sleep(0.5)
    raise TimeoutError(f"the cluster has not settled within {PATIENCE:g} s")


async def _all_have(
    members: list[Member], sent: dict[int, tuple[Member, int]], seconds: float
) -> None:
    """Wait until everybody has everything, but not longer than that."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if all(
            number in each.got
            for number, (source, _) in sent.items()
            for each in members
            if each is not source
        ):
            return
        await asyncio.sleep(0.05)


async def _judged(
    settings: Settings,
    living: list[Member],
    doomed: list[Member],
    sent: dict[int, tuple[Member, int]],
    kill: int,
    before: dict[str, dict[str, Any]],
    joined: float,
) -> Outcome:
    slowest: dict[bool, float] = defaultdict(float)
    missing = partly = of_the_killed = 0
    for number, (source, at) in sent.items():
        others = [each for each in living if each is not source]
        have = [each.got[number] for each in others if number in each.got]
        if source in doomed:
            of_the_killed += 1
            partly += 0 < len(have) < len(others)
            continue
        missing += len(have) < len(others)
        if have:
            early = max(have) < kill
            late = max(have) - (at if early else max(at, kill))
            slowest[early] = max(slowest[early], late / 1e9)
    states = {each.name: await each.ask(do="state") for each in living}
    beside = [
        (
            states[name]["descriptors"] - states[name]["connections"]
            - before[name]["descriptors"] + before[name]["connections"],
            states[name]["tasks"] - before[name]["tasks"],
        )
        for name in states
    ]  # fmt: skip
    neighbors = [len(state["neighbors"]) for state in states.values()]
    return Outcome(
        nodes=settings.nodes,
        killed=len(doomed),
        broadcasts=sum(source in living for source, _ in sent.values()),
        of_the_killed=of_the_killed,
        joined=joined,
        slowest=slowest[False],
        slowest_before=slowest[True],
        missing=missing,
        partly=partly,
        twice=sum(each.twice for each in living),
        descriptors_more=max(more for more, _ in beside),
        tasks_more=max(more for _, more in beside),
        outstanding=max(state["outstanding"] for state in states.values()),
        neighbors=(min(neighbors), max(neighbors)),
    )


def main(arguments: list[str] | None = None) -> int:
    """Run it from the command line; the status says whether it passed."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.partisan.swarm", description=__doc__
    )
    defaults = Settings()
    for setting, default in asdict(defaults).items():
        parser.add_argument(f"--{setting}", type=type(default), default=default)
    parser.add_argument("--json", action="store_true", help="print the outcome as JSON")
    parser.add_argument("--child", metavar="NAME", help=argparse.SUPPRESS)
    options = vars(parser.parse_args(arguments))
    name, as_json = cast("str | None", options.pop("child")), options.pop("json")
    if name is not None:
        import uvloop

        uvloop.run(child(name))
        return 0
    outcome = asyncio.run(run(Settings(**options)))
    print(json.dumps({**asdict(outcome), "passed": outcome.passed}) if as_json else outcome.text())
    return 0 if outcome.passed else 1


if __name__ == "__main__":
    sys.exit(main())
