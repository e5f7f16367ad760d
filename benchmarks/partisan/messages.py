# SPDX-License-Identifier: Apache-2.0
"""Messages between two nodes, over a bare pair of processes that exchange pickled tuples.

Pairs run in turns, each in processes of its own; every row is the median of the rounds' ratios.
Rates are told as the time that a message takes: 0.65 of a rate is 1 / 0.65 of the time.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.harness import Row, compared

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from benchmarks.harness import Effort

__all__ = ["rows"]

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
_ROUNDS_PER_ROUND = 6
"""A round here takes seconds, not milliseconds: there are so many times fewer."""

Measured = dict[str, Any]


def yardstick() -> Measured:
    """Run the yardstick; times in nanoseconds."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, str(HERE / "framed_pair.py"), "--uvloop", "--port", str(port)]
    measured: Measured = {}
    for each in _objects(command):
        size = each["bytes"]
        measured[f"p50_{size}"] = each["p50_us"] * 1e3
        measured[str(size)] = 1e9 / each["one_way_per_s"]
    return measured


def pair(effort: Effort, *arguments: str) -> Measured:
    """Run two nodes."""
    command = [sys.executable, "-m", "benchmarks.partisan.pair", *arguments]
    measured: Measured = {}
    for each in _objects([*command, "--share", str(effort.share)]):
        measured |= {name: value for name, value in each.items() if name != "case"}
    return measured


def _objects(command: list[str]) -> list[Measured]:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stderr}")
    return [json.loads(line) for line in done.stdout.splitlines()]


def rows(effort: Effort) -> Iterator[Row]:
    """Measure everything in the order of the table."""
    rounds = max(1, effort.rounds // _ROUNDS_PER_ROUND)
    bare: list[Measured] = []
    ours: list[Measured] = []
    sleepy: list[Measured] = []
    plain: list[Measured] = []
    loaded: list[Measured] = []
    for number in range(rounds):
        turns: list[tuple[list[Measured], Callable[[], Measured]]] = [
            (bare, yardstick),
            (ours, lambda: pair(effort, "round_trip", "rate")),
            (sleepy, lambda: pair(effort, "round_trip", "--sleepy")),
            (plain, lambda: pair(effort, "rate", "--original")),
            (loaded, lambda: pair(effort, "beside_bulk", "slots")),
        ]
        for results, turn in turns if number % 2 else turns[::-1]:
            results.append(turn())

    rival = "bare pair"
    yield _row("round trip p50, 64 B", ours, "p50_64", rival, bare, "p50_64", 1.0)
    yield _row("round trip p50, 8 KiB", ours, "p50_8192", rival, bare, "p50_8192", 1.0)
    for size, name in (("64", "64 B"), ("8192", "8 KiB")):
        key = f"p50_{size}"
        yield _row(f"round trip p50, {name}, no busy polling", sleepy, key, rival, bare, key, 1.0)
    yield _row("one way, 64 B", ours, "64", rival, bare, "64", 1 / 0.65)
    yield _row("one way, 8 KiB", ours, "8192", rival, bare, "8192", 1 / 0.9)
    yield _row("a burst of 200,000, 64 B", ours, "burst", "100,000", ours, "64", 1.15)
    yield _row("acknowledged, 64 B", ours, "acked", "plain", ours, "64", 1 / 0.8)
    yield _row("acknowledged one by one, 64 B", plain, "acked", "plain", plain, "64", 1 / 0.4)
    yield _row("control p99 beside bulk", loaded, "beside", "idle", loaded, "idle", 4.0)
    yield _row("control p99 beside bulk", loaded, "beside", "on its channel", loaded, "within", 0.1)
    yield _row("64 B p99 beside 512 KiB, 16 slots", loaded, "many", "1 slot", loaded, "one", 0.2)
    idle = pair(effort, "idle")
    # A share of a core as a time in a second.
    yield Row(
        f"idle, {idle['connections']} connections", idle["share"] * 1e9, None, None, None, 1e7
    )


def _row(
    case: str,
    ours: list[Measured],
    key: str,
    rival: str,
    theirs: list[Measured],
    their_key: str,
    bar: float,
) -> Row:
    mine = [each[key] for each in ours]
    others = [each[their_key] for each in theirs]
    return compared(case, mine, rival, others, bar)
