# SPDX-License-Identifier: Apache-2.0
"""Three nodes, one of whose wires is pulled and put back: namespaces as root, or else proxies."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from tests.partisan.node.harm import Guard
from tests.partisan.node.processes import Process, judge, settled

NAMES = ["n1@127.0.0.1", "n2@127.0.0.1", "n3@127.0.0.1"]
NETWORK = "198.18.73"  # of the block for tests of networks
Wire = Callable[[bool], None]


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


@contextmanager
def namespaces() -> Iterator[list[str]]:
    """Make a network namespace for each node, and one between them that their wires lead to."""
    between, *found = [f"hg{os.getpid()}-{number}" for number in range(len(NAMES) + 1)]
    try:
        for name in (between, *found):
            ip("netns", "add", name)
        ip("-n", between, "link", "add", "hgb", "type", "bridge")
        ip("-n", between, "link", "set", "hgb", "up")
        for number, name in enumerate(found, 1):
            end = ("peer", "name", f"hg{number}", "netns", between)
            ip("-n", name, "link", "add", "hgw", "type", "veth", *end)
            ip("-n", between, "link", "set", f"hg{number}", "master", "hgb")
            ip("-n", between, "link", "set", f"hg{number}", "up")
            ip("-n", name, "addr", "add", f"{NETWORK}.{number}/24", "dev", "hgw")
            ip("-n", name, "link", "set", "hgw", "up")
        yield found
    finally:
        for name in (between, *found):
            subprocess.run(["ip", "netns", "delete", name], check=False, capture_output=True)


def may_make_namespaces() -> bool:
    if os.geteuid() or shutil.which("ip") is None:
        return False
    try:
        with namespaces() as found:
            ip("netns", "exec", found[0], "true")  # a container may have no right to that alone
            return True
    except subprocess.CalledProcessError:
        return False


@asynccontextmanager
async def wired(folder: Path) -> AsyncIterator[tuple[list[Process], Wire]]:
    """Give three processes, and what pulls and mends the wire of the first."""
    if may_make_namespaces():
        with namespaces() as found:

            def wire(whole: bool) -> None:
                ip("-n", found[0], "link", "set", "hgw", "up" if whole else "down")

            yield (
                [
                    Process(
                        name,
                        NAMES,
                        f"{NETWORK}.{number}:10200",
                        f"{NETWORK}.{number}:10200",
                        folder,
                        ("ip", "netns", "exec", namespace),
                    )
                    for number, (name, namespace) in enumerate(zip(NAMES, found, strict=True), 1)
                ],
                wire,
            )
        return
    async with Guard(1) as first, Guard(2) as second, Guard(3) as third:
        guards = [first, second, third]

        def silence(whole: bool) -> None:
            first.silence([] if whole else NAMES[1:])
            for guard in (second, third):
                guard.silence([] if whole else NAMES[:1])

        yield (
            [
                Process(name, NAMES, f"127.0.0.1:{guard.target}", guard.address, folder)
                for name, guard in zip(NAMES, guards, strict=True)
            ],
            silence,
        )


def test_a_partition_heals_and_nothing_is_lost(tmp_path: Path) -> None:
    async def main() -> None:
        async with wired(tmp_path) as (processes, wire):
            one, other, third = processes
            try:
                await one.start({})
                for process in (other, third):
                    await process.start({one.name: one.advertise})
                for process in (other, third):
                    await sees(one, process, "up")
                    await sees(process, one, "up")
                for _ in range(2):
                    wire(False)
                    for process in (other, third):
                        await sees(one, process, "down")
                        await sees(process, one, "down")
                    await sees(other, third, "up")
                    wire(True)
                    for process in (other, third):
                        await sees(one, process, "up")
                await settled(processes, 30)
            finally:
                for process in processes:
                    await process.end()
        figures = judge(tmp_path, set())
        assert figures["delivered"] == figures["accepted"] > 100

    asyncio.run(main())


async def sees(process: Process, peer: Process, state: str) -> None:
    async with asyncio.timeout(30):
        # Another process's state is asked for, not waited for.
        while (await process.ask())["members"].get(peer.name) != state:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
