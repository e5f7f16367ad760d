# SPDX-License-Identifier: Apache-2.0
"""Break recorded frames at random, and see that nothing but errors comes of it.

`python -m tests.partisan.wire.fuzz [--cases 1000000] [--seed 0]`. Whatever the bytes, decoding
gives a term or `DecodeError`, soon and in little memory; what decodes can be encoded, and is the
same term again; the fast path agrees; messages, references and node specifications make of any
term what they can, or say that they cannot.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import zlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from struct import pack
from time import perf_counter, process_time

from heliograph.partisan.errors import DecodeError, FrameError
from heliograph.partisan.wire import (
    FrameReader,
    Limits,
    NodeSpec,
    Term,
    compare,
    decode,
    decode_forward,
    encode,
    frame,
    messages,
    same,
)
from heliograph.partisan.wire.decode import _ATOMS
from heliograph.partisan.wire.refs import RemoteRef, target
from heliograph.partisan.wire.text import format_term

DATA = Path(__file__).parents[2] / "data" / "partisan"
LONGEST = 2_000  # bytes of a recorded frame; the longer ones hold nothing that these do not
TAGS = bytes([70, 77, 80, *range(88, 91), *range(97, 121), 131, 0, 1, 127, 128, 255])
SMALL = Limits(depth=16, elements=200, inflated=1_000, integer=64)


def corpus() -> list[bytes]:
    """What was recorded, each form once."""
    found: dict[bytes, None] = {}
    for path in sorted(DATA.glob("*.jsonl")):
        for line in path.read_text(encoding="utf-8").splitlines():
            raw = bytes.fromhex(json.loads(line).get("hex", ""))
            if 0 < len(raw) <= LONGEST:
                found[raw] = None
    return list(found)


def flip(raw: bytearray, chance: random.Random, _: list[bytes]) -> None:
    raw[chance.randrange(len(raw))] ^= 1 << chance.randrange(8)


def retag(raw: bytearray, chance: random.Random, _: list[bytes]) -> None:
    raw[chance.randrange(len(raw))] = chance.choice(TAGS)


def cut(raw: bytearray, chance: random.Random, _: list[bytes]) -> None:
    del raw[chance.randrange(len(raw)) :]


def drop(raw: bytearray, chance: random.Random, _: list[bytes]) -> None:
    start = chance.randrange(len(raw))
    del raw[start : start + chance.randrange(1, 8)]


def insert(raw: bytearray, chance: random.Random, _: list[bytes]) -> None:
    at = chance.randrange(len(raw) + 1)
    raw[at:at] = chance.randbytes(chance.randrange(1, 8))


def splice(raw: bytearray, chance: random.Random, others: list[bytes]) -> None:
    other = chance.choice(others)
    start = chance.randrange(len(other))
    at = chance.randrange(len(raw) + 1)
    raw[at:at] = other[start : start + chance.randrange(1, 64)]


def repeat(raw: bytearray, chance: random.Random, _: list[bytes]) -> None:
    start = chance.randrange(len(raw))
    piece = raw[start : start + chance.randrange(1, 8)]
    raw[start:start] = piece * chance.randrange(1, 200)


def lengthen(raw: bytearray, chance: random.Random, _: list[bytes]) -> None:
    at = chance.randrange(len(raw))
    raw[at : at + 4] = pack(">I", chance.choice([0, 1, 255, 65_536, 2**31 - 1, 2**32 - 1]))


def deflate(raw: bytearray, chance: random.Random, _: list[bytes]) -> None:
    packed = zlib.compress(raw[1:])
    size = len(raw) - 1 if chance.random() < 0.8 else chance.randrange(2**32)
    raw[:] = b"\x83P" + pack(">I", size) + packed


def noise(raw: bytearray, chance: random.Random, _: list[bytes]) -> None:
    raw[1:] = bytes(chance.choices(TAGS, k=chance.randrange(1, 40)))


BREAKS: tuple[Callable[[bytearray, random.Random, list[bytes]], None], ...] = (
    *(flip, retag, cut, drop, insert, splice, repeat, lengthen, deflate, noise),
)


def case(chance: random.Random, known: list[bytes]) -> bytes:
    """Make one broken frame; now and then the damage is slight enough to leave a term."""
    raw = bytearray(chance.choice(known))
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        if raw:
            chance.choice(BREAKS)(raw, chance, known)
    return bytes(raw)


def attempt(raw: bytes) -> str:
    """Decode and use what comes of it; say what came of it. Anything wrong is an exception."""
    term: Term = None
    refused: DecodeError | None = None
    try:
        term = decode(raw)
    except DecodeError as error:
        refused = error
    if refused is None:
        use(term)
    else:
        # What is compressed is longer than what was given.
        assert 0 <= refused.offset <= (len(raw) if raw[1:2] != b"P" else 64 * 1024 * 1024)

    try:
        decode(raw, limits=SMALL)
    except DecodeError:
        pass  # it has more than these limits allow, or is no term
    else:
        assert refused is None

    found = None
    quickly: DecodeError | None = None
    try:
        found = decode_forward(b"before" + raw + b"after", 6, 6 + len(raw))
    except DecodeError as error:
        quickly = error
    if quickly is not None:
        assert refused is not None
        assert quickly.offset >= 0
    elif found is not None:
        assert refused is None
        assert isinstance(term, tuple)
        assert same((term[1], term[2]), found)

    stream = frame(raw) + raw
    reader = FrameReader(limit=10_000)
    cuts = len(stream) // 3
    try:
        frames = [
            payload
            for piece in (stream[:cuts], stream[cuts : 2 * cuts], stream[2 * cuts :])
            for payload in reader.feed(piece)
        ]
    except FrameError:
        frames = [raw]
    assert frames[0] == raw
    return "decoded" if refused is None else "refused"


def use(term: Term) -> None:
    """Do with a term what is done with terms."""
    again = decode(encode(term))
    assert same(again, term)
    assert compare(again, term) == 0
    assert same(messages.parse(term).term(), term)
    assert same(messages.parse_payload(term).term(), term)
    format_term(term, limit=10_000)
    target(term)
    for kind in (NodeSpec, RemoteRef):
        try:
            read = kind.parse(term)
        except ValueError:
            continue
        assert kind.parse(read.term()) == read


def run(cases: int, seed: int) -> Counter[str]:
    """Try so many cases and count what came of them.

    Raises:
        AssertionError: One did what none may do; the bytes are in the note of the exception.
    """
    chance = random.Random(seed)
    known = corpus()
    counts: Counter[str] = Counter()
    for number in range(cases):
        raw = case(chance, known)
        began = process_time()
        try:
            counts[attempt(raw)] += 1
        except Exception as error:
            error.add_note(f"case {number} of seed {seed}: {raw.hex()}")
            raise
        took = process_time() - began
        assert took < 5, f"case {number} of seed {seed} took {took} s: {raw.hex()}"
    assert len(_ATOMS) <= 4096
    return counts


def main(arguments: list[str] | None = None) -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.partisan.wire.fuzz")
    parser.add_argument("--cases", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    began = perf_counter()
    counts = run(options.cases, options.seed)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(
        f"{options.cases} cases, seed {options.seed}: {counts['decoded']} decoded,"
        f" {counts['refused']} refused; {perf_counter() - began:.0f} s, {peak} MiB at most"
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
