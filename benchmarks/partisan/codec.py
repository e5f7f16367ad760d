# SPDX-License-Identifier: Apache-2.0
"""The External Term Format: the recorded messages, over libraries that read and write it.

Every side decodes and encodes what it can of them: erlang_py all, erlpack those without maps as
keys and improper lists, of which half are made. A library that is not installed has no row;
`make bench` installs them.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Iterator
from itertools import repeat
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.harness import Case, Rival, Row, Side, measure, run
from heliograph.partisan.wire import Atom, decode, decode_forward, encode, encode_forward

if TYPE_CHECKING:
    from benchmarks.harness import Effort

__all__ = ["DISTRIBUTIONS", "cases", "recorded", "rows"]

DISTRIBUTIONS = ("erlang_py", "erlpack")
DATA = Path(__file__).parents[2] / "tests" / "data" / "partisan"
PAYLOAD = bytes(64)
SINK = Atom("sink")


def recorded() -> list[bytes]:
    """The frames of all recorded conversations."""
    return [
        bytes.fromhex(entry["hex"])
        for path in sorted(DATA.glob("*.jsonl"))
        if path.stem != "etf_vectors"
        for line in path.read_text(encoding="utf-8").splitlines()
        if "hex" in (entry := json.loads(line))
    ]


def side(call: Callable[[Any], object], terms: list[Any]) -> Side:
    """Do it with every one of them."""

    def run_all(times: int) -> None:
        for _ in repeat(None, times):
            for term in terms:
                call(term)

    return run_all


def understood(call: Callable[[bytes], object], frames: list[bytes]) -> list[bytes]:
    """Find the frames that a library can decode."""
    found = []
    for frame in frames:
        try:
            call(frame)
        except Exception:
            continue
        found.append(frame)
    return found


def cases() -> Iterator[Case]:
    """What is measured over others."""
    frames = recorded()
    try:
        erlang = importlib.import_module("erlang")
    except ModuleNotFoundError:
        pass
    else:
        common = understood(erlang.binary_to_term, frames)
        name = f"{len(common)} recorded messages"
        theirs = side(erlang.binary_to_term, common)
        yield Case(
            f"decode {name}", side(decode, common), [Rival("erlang_py", theirs, 0.35)], times=1
        )
        yield Case(
            f"encode {name}",
            side(encode, [*map(decode, common)]),
            [
                Rival(
                    "erlang_py",
                    side(erlang.term_to_binary, [*map(erlang.binary_to_term, common)]),
                    0.25,
                )
            ],
            times=1,
        )
    try:
        erlpack = importlib.import_module("erlpack")
    except ModuleNotFoundError:
        return
    common = understood(erlpack.unpack, frames)
    yield Case(
        f"decode {len(common)} recorded messages",
        side(decode, common),
        [Rival("erlpack", side(erlpack.unpack, common), 0.9)],
        times=1,
    )


def _encode(times: int) -> None:
    for _ in repeat(None, times):
        encode_forward(SINK, PAYLOAD)


def _decode(times: int) -> None:
    frame = encode_forward(SINK, PAYLOAD)
    for _ in repeat(None, times):
        decode_forward(frame)


def rows(effort: Effort) -> Iterator[Row]:
    """Measure it all; the fast path by itself, in nanoseconds of the round least disturbed."""
    for case in cases():
        yield from measure(case, effort)
    times = effort.times(10_000)
    for name, ours, bar in (("encode", _encode, 400), ("decode", _decode, 800)):
        taken = [run(ours, times) / times for _ in range(effort.rounds)]
        yield Row(f"{name} {{forward_message, sink, 64 B}}", min(taken), None, None, None, bar)
