# SPDX-License-Identifier: Apache-2.0
"""Replay recorded conversations: `python -m tests.partisan.replay FILE...`.

A file has one JSON object a line: a frame of some connection between two nodes of a full mesh, or
the end of a connection. Each node of it in turn is played by ours: it starts from the membership
and with the connections that the file implies, is given what the others sent, and must send what
was recorded, on each connection in its order. What its applications did is inferred from what was
sent for them, and given as calls. Clocks are free: a timer fires when its consequence is due.

Frames are compared as terms. References, random tokens and numbers of messages that our node chose
itself stand for the recorded ones, always the same for the same; the time of day in pings is free.
Recorded faults are received, not reproduced: of data sent before the hello, the hello is expected
first; a connection that broke breaks; what was dropped on the way is sent and does not arrive.
`player`, and `scamp_replay` for SCAMP, say what else is not asked of our node.

`--self-test` breaks each conversation in many ways, and fails if a broken one passes.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import islice, pairwise
from pathlib import Path

from heliograph.partisan.errors import PartisanError
from heliograph.partisan.wire import decode, same
from heliograph.partisan.wire.messages import (
    Ack,
    AckedForward,
    ClientHello,
    Forward,
    Hello,
    Monitor,
    RpcCall,
    State,
)
from tests.partisan import overlay_replay
from tests.partisan.player import Player
from tests.partisan.recorded import PAUSE, Failure, Record, Scene, is_forward, load, segments
from tests.partisan.vectors import Vector, check

__all__ = ["Failure", "Record", "load", "main", "replay", "segments"]


@dataclass(frozen=True)
class Outcome:
    """What became of one node of one scene."""

    line: int
    """Where the scene begins."""
    name: str
    frames: int = 0
    """How many of ours were compared."""
    wrong: str | None = None
    faults: int = 0
    """How many frames of the original's faults were not asked of ours."""


def replay(records: Sequence[Record]) -> list[Outcome]:
    """Play each node of each scene of a conversation in turn."""
    return list(_outcomes(records))


def _outcomes(records: Sequence[Record]) -> Iterator[Outcome]:
    try:
        scenes = segments(records)
    except Failure as failure:
        yield Outcome(1, "nobody", wrong=str(failure))
        return
    try:
        if (kind := overlay_replay.kind_of(records)) is not None:
            _check_terms(records)
            for each in overlay_replay.play(kind, scenes):
                yield Outcome(*each)
            return
    except Exception as error:  # noqa: BLE001 - whatever breaks is this file's failure
        yield Outcome(records[0].line, "nobody", wrong=_shown(error))
        return
    for scene_records in scenes:
        line = scene_records[0].line
        try:
            _check_terms(scene_records)
            scene = Scene(scene_records)
        except Exception as error:  # noqa: BLE001 - whatever breaks is this file's failure
            yield Outcome(line, "nobody", wrong=_shown(error))
            continue
        for name in scene.nodes:
            try:
                yield Outcome(line, name, Player(scene, name).play())
            except Exception as error:  # noqa: BLE001 - as above
                yield Outcome(line, name, wrong=_shown(error))


def _shown(error: Exception) -> str:
    return str(error) if isinstance(error, Failure) else f"{type(error).__name__}: {error}"


def _check_terms(records: Iterable[Record]) -> None:
    for record in records:
        if record.hex is not None:
            wrong = _checked(record.hex, record.shown)
            if wrong is not None:
                raise Failure(f"line {record.line}: {wrong}")


@lru_cache(maxsize=8_192)
def _checked(payload: str, shown: str) -> str | None:
    return check(Vector("", payload, shown))


def breakages(
    records: Sequence[Record], chance: random.Random
) -> Iterator[tuple[str, list[Record]]]:
    """Yield conversations that are not as they were recorded, with what was done to each."""
    frames = [at for at, each in enumerate(records) if not each.ended]
    for at in frames:
        record = records[at]
        assert record.hex is not None
        broken = _broken(record.hex, chance)
        yield f"hex of line {record.line}", _with(records, at, replace(record, hex=broken))
        text = record.shown
        where = chance.randrange(min(len(text), 40))
        wrong = text[:where] + ("x" if text[where] != "x" else "y") + text[where + 1 :]
        yield f"term of line {record.line}", _with(records, at, replace(record, shown=wrong))
        turned = replace(record, from_client=not record.from_client)
        yield f"direction of line {record.line}", _with(records, at, turned)
    for one, other in pairwise(frames):
        first, second = records[one], records[other]
        if _follows(first, second):
            swapped = _with(_with(records, one, second), other, first)
            yield f"order of lines {first.line} and {second.line}", swapped


def _broken(payload: str, chance: random.Random) -> str:
    """Change a byte so that the bytes are no term, or another: an atom has several tags."""
    term = decode(bytes.fromhex(payload))
    while True:
        data = bytearray.fromhex(payload)
        data[chance.randrange(len(data))] ^= chance.randrange(1, 256)
        try:
            if same(decode(bytes(data)), term):
                continue
        except PartisanError:
            pass
        return data.hex()


def _with(records: Sequence[Record], at: int, record: Record) -> list[Record]:
    return [*records[:at], record, *records[at + 1 :]]


def _follows(first: Record, second: Record) -> bool:
    """Tell whether a frame could not have come before another: it answers it, or by its time."""
    if {first.client, first.server} != {second.client, second.server}:
        return False
    if first.sender == second.sender:
        same = (first.connection, first.from_client) == (second.connection, second.from_client)
        return same and PAUSE <= first.time < second.time and is_forward(first)
    match first.message(), second.message():
        case (Hello(), ClientHello()) | (ClientHello(), State()):
            return first.connection == second.connection and not first.dropped
        case AckedForward(clock=sent), Ack(clock=acknowledged):
            return sent == acknowledged and not first.dropped
        case (RpcCall(), Forward()) | (Monitor(), Forward()):
            return not first.dropped
        case _:
            return False


def self_test(path: Path, every: int = 1) -> tuple[int, list[str]]:
    """Break a conversation in many ways; return how many, and those that passed nevertheless.

    Args:
        path: The conversation's file.
        every: Of so many ways, one is tried.
    """
    count = 0
    passed = []
    for what, broken in islice(breakages(load(path), random.Random(0)), 0, None, every):
        count += 1
        if all(each.wrong is None for each in _outcomes(broken)):
            passed.append(what)
    return count, passed


def main(arguments: Sequence[str] | None = None) -> int:
    """Replay files, print what passed and failed, and return 0 if nothing failed."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.partisan.replay",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE")
    parser.add_argument("--self-test", action="store_true", help="break each file, expect failures")
    options = parser.parse_args(arguments)
    failed = 0
    for path in options.files:
        if options.self_test:
            count, passed = self_test(path)
            print(f"{path.name}: broken in {count} ways, {len(passed)} of them passed", *passed)
            failed += bool(passed)
            continue
        try:
            outcomes = replay(load(path))
        except (Failure, ValueError, KeyError, OSError) as error:
            outcomes = [Outcome(1, "nobody", wrong=_shown(error))]
        for each in outcomes:
            verdict = f"{each.frames} frames" if each.wrong is None else f"FAILED: {each.wrong}"
            if each.faults:
                verdict += f", and {each.faults} by faults of the original"
            print(f"{path.name}, from line {each.line}, as {each.name}: {verdict}")
        failed += any(each.wrong is not None for each in outcomes)
    print(f"{len(options.files) - failed} conversations passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
