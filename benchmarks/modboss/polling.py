# SPDX-License-Identifier: Apache-2.0
"""Three hundred devices, polled every second: the processor time of it, over raw pymodbus calls.

The raw side is what somebody writes who knows pymodbus well: a client for each device, a task for
each client, which reads its block of forty registers and sleeps until a second after the last time
it was due. It keeps registers. Ours decodes forty mappings each, finds what changed, and has a
reader that is told.
"""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Callable, Coroutine, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

from pymodbus.client import AsyncModbusTcpClient

from benchmarks.harness import Row, compared
from benchmarks.modboss.reading import registers
from benchmarks.modboss.server import serving
from heliograph.modboss import AsyncDevice, Polling, Tcp

if TYPE_CHECKING:
    from benchmarks.harness import Effort

__all__ = ["rows"]

DEVICES = 300
MAPPINGS = 40
# Devices are asked in so many groups, one after the other, on both sides: all at once is a burst,
# and each by itself is three times the work, for either.
SLOTS = 10
# Seconds that a side polls in one round, after one to begin with.
SECONDS = 4.0
ROUNDS = 5


async def ours(ports: list[int], seconds: float) -> tuple[float, int]:
    """Poll by `Polling`; give the processor's seconds, and the periods missed or failed."""
    schema = registers(MAPPINGS)
    devices = [AsyncDevice(schema, Tcp("127.0.0.1", port)) for port in ports]
    polling = Polling()
    groups = [polling.add(device, every=1.0) for device in devices]
    told = 0

    async def read() -> None:
        nonlocal told
        async for _ in polling.updates():
            told += 1

    async with polling:
        reader = asyncio.create_task(read())
        await asyncio.sleep(1.5)
        told = 0
        began = time.process_time()
        await asyncio.sleep(seconds)
        used = time.process_time() - began
    await reader
    for device in devices:
        await device.close()
    # One register of each device changes with each request, so each period is told.
    expected = round(seconds) * len(ports)
    missed = sum(group.missed for group in groups) + sum(
        group.failure is not None for group in groups
    )
    return used, missed + max(0, expected - told)


async def theirs(ports: list[int], seconds: float, slots: int = SLOTS) -> tuple[float, int]:
    """Poll by raw calls; give the processor's seconds, and the periods missed."""
    clients = [AsyncModbusTcpClient("127.0.0.1", port=port) for port in ports]
    loop = asyncio.get_running_loop()
    kept: dict[int, list[int]] = {}
    missed, over = 0, False
    began = loop.time()

    async def poll(client: AsyncModbusTcpClient, number: int) -> None:
        nonlocal missed
        await client.connect()
        due = began + number % slots / slots
        while not over:
            await asyncio.sleep(max(0.0, due - loop.time()))
            reply = await client.read_holding_registers(0, count=MAPPINGS, device_id=1)
            kept[number] = list(reply.registers)
            due += 1.0
            missed += due < loop.time()

    tasks = [asyncio.create_task(poll(client, n)) for n, client in enumerate(clients)]
    await asyncio.sleep(1.5)
    before = time.process_time()
    await asyncio.sleep(seconds)
    used = time.process_time() - before
    # (Cancelling is no way: in Python 3.11 a call that has just been answered swallows it.)
    over = True
    await asyncio.gather(*tasks)
    for client in clients:
        client.close()
    assert len(kept) == len(ports)
    return used, missed


def rows(effort: Effort) -> Iterator[Row]:
    """Poll in turns."""
    devices = max(1, round(DEVICES * effort.share))
    seconds = SECONDS if effort.share > 0.1 else 1.0
    sides: dict[str, Callable[[list[int], float], Coroutine[Any, Any, tuple[float, int]]]] = {
        "ours": ours,
        "raw calls, at the same times": theirs,
        "raw calls, all at once": partial(theirs, slots=1),
    }
    used: dict[str, list[float]] = {name: [] for name in sides}
    missed = 0
    with serving(devices) as ports:
        for _ in range(min(ROUNDS, effort.rounds)):
            for name, side in sides.items():
                gc.collect()
                with asyncio.Runner() as runner:
                    taken, left_out = runner.run(side(ports, seconds))
                used[name].append(taken / seconds)
                missed += left_out if name == "ours" else 0
    case = f"{devices} devices x {MAPPINGS} mappings every second"
    mine = used.pop("ours")
    for name, rivals in used.items():
        ours_ns, theirs_ns = ([1e9 * each for each in side] for side in (mine, rivals))
        yield compared(f"{case}, processor a second", ours_ns, name, theirs_ns, 1.3)
    yield Row(f"{case}, periods missed", missed, None, None, None, 0, "")
