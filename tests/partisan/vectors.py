# SPDX-License-Identifier: Apache-2.0
"""Run vectors of the External Term Format: `python -m tests.partisan.vectors FILE...`.

A file has one JSON object a line: `hex` is what Erlang wrote, `term` what Erlang shows of it. A
vector passes if the decoded bytes are that term, and still are after our own encoding. Where the
term is cut, at `...`, what stands before it counts; pids, references, ports and funs count by
their numbers, but for the number of their node, which only the node that shows it knows.

Other objects, such as the end of a connection, have no `hex` and are passed over. `--self-test`
breaks each vector in many ways, and fails if a broken one passes.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import repeat
from pathlib import Path

from heliograph.partisan.errors import PartisanError, TermSyntaxError
from heliograph.partisan.wire import (
    Export,
    Fun,
    ImproperList,
    Pid,
    Port,
    Reference,
    Term,
    decode,
    encode,
    same,
)
from heliograph.partisan.wire.text import Parser, format_term

__all__ = ["Vector", "broken", "check", "load", "main"]

CUT = "..."
_BINARY = re.compile(r'<<"(?:[^"\\]|\\.)*">>')
"""A binary shown as a text: Erlang shows Latin-1 so, too, which we show as numbers."""


@dataclass(frozen=True)
class Vector:
    """What Erlang wrote, and what it shows of it."""

    name: str
    hex: str
    shown: str


@dataclass(frozen=True)
class Shown:
    """A pid, reference, port or fun as text: its kind, and what is between the angle brackets."""

    kind: str
    rest: str

    def stands_for(self, term: Term) -> bool:
        match self.kind, term:
            case "Pid", Pid():
                return self._numbers() == [term.id, term.serial]
            case "Ref", Reference():
                return self._numbers() == [*reversed(term.words)]
            case "Port", Port():
                return self._numbers() == [term.id]
            case "Fun", Fun():
                module, index, unique = self.rest.rsplit(".", 2)
                same_module = Parser(module).whole() == term.module
                return same_module and [int(index), int(unique)] == [term.index, term.unique]
            case _:
                return False

    def _numbers(self) -> list[int]:
        _node, *numbers = [int(each) for each in self.rest.split(".")]
        return numbers


@dataclass(frozen=True)
class ShownMap:
    """A map whose keys may be such text."""

    pairs: tuple[tuple[Term, Term], ...]

    def stands_for(self, term: Term) -> bool:
        return (
            isinstance(term, Mapping)
            and len(term) == len(self.pairs)
            and all(any(map(_each, repeat(pair), term.items())) for pair in self.pairs)
        )


class _Cut:
    """What `...` stands for: anything."""


class _ShownTerm(Parser):
    def opaque(self, kind: str, rest: str) -> Term:
        return Shown(kind, rest)

    def cut(self) -> Term:
        return _Cut()

    def mapping(self, pairs: list[tuple[Term, Term]]) -> Term:
        return ShownMap(tuple(pairs))


def load(path: Path) -> Iterator[Vector]:
    """Read a file's vectors."""
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            entry = json.loads(line)
            if "hex" in entry:
                yield Vector(str(entry.get("name", f"line {number}")), entry["hex"], entry["term"])


def check(vector: Vector) -> str | None:
    """Say what is wrong with a vector, or None if it passes."""
    try:
        term = decode(bytes.fromhex(vector.hex))
    except PartisanError as error:
        return f"decode: {error}"
    except ValueError:
        return "the hex is none"
    if not _shows(vector.shown, term):
        return f"decoded {format_term(term, limit=200)}, expected {vector.shown[:200]}"
    for compression in (0, 6):
        again = decode(encode(term, compression=compression))
        if not same(again, term):
            return f"encoded and decoded {format_term(again, limit=200)}"
    return None


def _shows(text: str, term: Term) -> bool:
    try:
        shown = _ShownTerm(text).whole()
    except TermSyntaxError:
        # Cut inside a string, a binary or a map.
        start, cut, _ = text.partition(CUT)
        start = _BINARY.sub(lambda found: format_term(Parser(found[0]).whole()), start)
        return bool(cut) and format_term(term).startswith(start.rstrip('|,"'))
    return _stands_for(shown, term)


def _stands_for(shown: Term, term: Term) -> bool:
    match shown, term:
        case _Cut(), _:
            return True
        case ((Shown() | ShownMap()), _):
            return shown.stands_for(term)
        case ImproperList(elements, _Cut()), list():
            return len(term) >= len(elements) and _each(elements, term[: len(elements)])
        case ImproperList(elements, _Cut()), ImproperList(others, _):
            return len(others) >= len(elements) and _each(elements, others[: len(elements)])
        case (*elements, _Cut()), tuple() if isinstance(shown, tuple):
            return len(term) >= len(elements) and _each(elements, term[: len(elements)])
        case (list(), list()):
            return _each(shown, term)
        case (tuple(), tuple()):
            return _each(shown, term)
        case ImproperList(elements, tail), ImproperList(others, other_tail):
            return _each(elements, others) and _stands_for(tail, other_tail)
        case Export(), Export():
            return shown.arity == term.arity and all(
                map(_may_be, (shown.module, shown.function), (term.module, term.function))
            )
        case ((tuple() | list() | ImproperList()), _):
            return False
        case _:
            return same(shown, term)


def _may_be(shown: str, name: str) -> bool:
    """Compare names in funs: what is not ASCII is shown by Erlang/OTP 25 as bytes or escaped."""
    return shown == name or (not name.isascii() and _ascii(shown) == _ascii(name))


def _ascii(text: str) -> str:
    return "".join([each for each in text if " " <= each <= "~"])


def _each(shown: Sequence[Term], terms: Sequence[Term]) -> bool:
    return len(shown) == len(terms) and all(map(_stands_for, shown, terms))


def broken(vector: Vector, chance: random.Random) -> Iterator[tuple[str, Vector]]:
    """Break a vector in many ways, each of which must be noticed."""
    raw = bytes.fromhex(vector.hex)
    yield "cut hex", replace(vector, hex=raw[:-1].hex())
    yield "longer hex", replace(vector, hex=(raw + b"\0").hex())
    yield "other version", replace(vector, hex=(b"\x82" + raw[1:]).hex())
    yield "no hex", replace(vector, hex="zz")
    yield "other term", replace(vector, shown="another_term_altogether")
    yield "term in a tuple", replace(vector, shown=f"{{{vector.shown}}}")

    original = format_term(decode(raw))
    seen = min(len(raw), 20) if CUT in vector.shown else len(raw)  # what follows a cut is not shown
    for at in chance.sample(range(1, seen), min(seen - 1, 20)):
        flipped = bytearray(raw)
        flipped[at] ^= 1 << chance.randrange(8)
        # What nobody is shown, such as the creation of a pid, cannot be missed.
        if _shown_or_none(bytes(flipped)) != original:
            yield f"flipped bit of byte {at}", replace(vector, hex=flipped.hex())

    text = vector.shown.partition(CUT)[0]
    for at in chance.sample(range(len(text)), min(len(text), 20)):
        if text[at].isalnum() and not _of_node(text, at):
            other = str((int(text[at]) + 5) % 10) if text[at].isdecimal() else "qz"[text[at] == "q"]
            shown = vector.shown[:at] + other + vector.shown[at + 1 :]
            # The least of all floats, 5.0e-324, is 5.5e-324, too.
            if shown != "5.5e-324":
                yield f"character {at} of the term", replace(vector, shown=shown)


def _shown_or_none(raw: bytes) -> str | None:
    try:
        return format_term(decode(raw))
    except PartisanError:
        return None


def _of_node(text: str, at: int) -> bool:
    """Tell whether the digit there is part of a node's number: `<8648.`, `#Ref<8648.`."""
    start = at
    while start and text[start - 1].isdecimal():
        start -= 1
    return (
        text[at].isdecimal() and text[start - 1 : start] == "<" and text[start - 2 : start] != "<<"
    )


def main(arguments: list[str] | None = None) -> int:
    """Run the files; 1 if a vector fails, or a broken one passes."""
    parser = argparse.ArgumentParser(prog="python -m tests.partisan.vectors")
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE")
    parser.add_argument("--self-test", action="store_true", help="break every vector, too")
    options = parser.parse_args(arguments)
    sys.set_int_max_str_digits(0)  # integers of any size

    passed = failed = noticed = missed = 0
    for path in options.files:
        for vector in load(path):
            reason = check(vector)
            if reason is None:
                passed += 1
            else:
                failed += 1
                print(f"{path}: {vector.name}: {reason}")
            if not options.self_test or reason is not None:
                continue
            for what, bad in broken(vector, random.Random(vector.name)):
                if check(bad) is None:
                    missed += 1
                    print(f"{path}: {vector.name}: passes though broken: {what}")
                else:
                    noticed += 1
    print(f"{passed} passed, {failed} failed")
    if options.self_test:
        print(f"{noticed} broken ones noticed, {missed} missed")
    return 1 if failed or missed or not passed else 0


if __name__ == "__main__":
    raise SystemExit(main())
