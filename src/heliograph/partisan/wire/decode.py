# SPDX-License-Identifier: Apache-2.0
"""From the External Term Format to terms.

The format is described in the Erlang/OTP documentation, "External Term Format". Whatever comes in,
the only error is `DecodeError`.

How it stays both quick and safe: one function reads a term at a position and returns it with the
position behind it. It does not ask whether a length reaches beyond the end: it goes there, and the
next byte read, or the last comparison, shows that nothing is there. So every loop ends with the
bytes at the latest, however large the count it was told. Atoms are looked up by their raw bytes.
"""

from __future__ import annotations

import re
import zlib
from collections import Counter
from collections.abc import Callable
from itertools import repeat
from math import inf, isfinite
from struct import Struct
from struct import error as StructError  # noqa: N812 - a class, though its name does not say so
from typing import TYPE_CHECKING, Final, TypeAlias

from heliograph.partisan.errors import DecodeError
from heliograph.partisan.wire.limits import DEFAULT_LIMITS
from heliograph.partisan.wire.terms import (
    Atom,
    BitString,
    Export,
    Fun,
    ImproperList,
    Pid,
    Port,
    Reference,
    Term,
    term_map,
)

if TYPE_CHECKING:
    from heliograph.partisan.wire.limits import Limits

__all__ = ["decode", "decode_forward"]

Read: TypeAlias = Callable[[bytes, int, int], tuple[Term, int]]
"""Reads the term at a position, with so many levels left; returns it and the position behind it."""

VERSION: Final = 131
COMPRESSED: Final = 80

NEW_FLOAT: Final = 70
BIT_BINARY: Final = 77
NEW_PID: Final = 88
NEW_PORT: Final = 89
NEWER_REFERENCE: Final = 90
SMALL_INTEGER: Final = 97
INTEGER: Final = 98
FLOAT: Final = 99
ATOM: Final = 100
PORT: Final = 102
PID: Final = 103
SMALL_TUPLE: Final = 104
LARGE_TUPLE: Final = 105
NIL: Final = 106
STRING: Final = 107
LIST: Final = 108
BINARY: Final = 109
SMALL_BIG: Final = 110
LARGE_BIG: Final = 111
NEW_FUN: Final = 112
EXPORT: Final = 113
NEW_REFERENCE: Final = 114
SMALL_ATOM: Final = 115
MAP: Final = 116
ATOM_UTF8: Final = 118
SMALL_ATOM_UTF8: Final = 119
V4_PORT: Final = 120

_SHORT_ATOMS: Final = frozenset({SMALL_ATOM_UTF8, SMALL_ATOM})
_LONG_ATOMS: Final = frozenset({ATOM, ATOM_UTF8})
_LATIN_ATOMS: Final = frozenset({ATOM, SMALL_ATOM})
_ATOM_TAGS: Final = _SHORT_ATOMS | _LONG_ATOMS
_BIGS: Final = frozenset({SMALL_BIG, LARGE_BIG})
_PIDS: Final = frozenset({NEW_PID, PID})
_PORTS: Final = frozenset({NEW_PORT, PORT, V4_PORT})
_REFERENCES: Final = frozenset({NEWER_REFERENCE, NEW_REFERENCE})

_u16: Final = Struct(">H").unpack_from
_u32: Final = Struct(">I").unpack_from
_i32: Final = Struct(">i").unpack_from
_u64: Final = Struct(">Q").unpack_from
_WRITTEN_FLOAT: Final = re.compile(rb"( *[+-]?[0-9]+\.[0-9]+(?:e[+-]?[0-9]+)?)\0*")
_double: Final = Struct(">d").unpack_from

_ATOMS: Final[dict[bytes, Atom | bool]] = {}
"""Atoms by their external form, tag and length included, so that no cut one is ever found here."""
_ATOMS_KEPT: Final = 4096
_COLLISIONS_ALLOWED: Final = 64


def decode(data: bytes, *, limits: Limits = DEFAULT_LIMITS) -> Term:
    """Return the term that `data` is, its first byte being 131, with nothing behind it.

    Args:
        data: What `term_to_binary` or Partisan's own encoder made.
        limits: What it may take.

    Raises:
        DecodeError: It is no such term, or beyond a limit.
    """
    end = len(data)
    try:
        if data[0] != VERSION:
            raise DecodeError(f"a term starts with byte 131, not {data[0]}", 0)
        if data[1] == COMPRESSED:
            return _inflated(data, limits)
        read = _READ if limits is DEFAULT_LIMITS and end <= limits.elements else _reader(limits)
        term, pos = read(data, 1, limits.depth)
    except (IndexError, StructError):
        raise DecodeError("the bytes end inside a term", end) from None
    except RecursionError:
        raise DecodeError("the stack is too full for terms nested so deep", 0) from None
    if pos != end:
        raise _misfit(pos, end)
    return term


def decode_forward(data: bytes, start: int = 0, end: int | None = None) -> tuple[Atom, Term] | None:
    """Return name and message of `{forward_message, Name, Message}`, or None for any other term.

    This is what nearly all frames of a busy cluster are. It reads in place, between `start` and
    `end`, and with the default limits.

    Raises:
        DecodeError: The bytes begin so but are no term, or beyond a limit.
    """
    if end is None:
        end = len(data)
    if data.startswith(_FORWARD, start):
        pos = start + _FORWARD_LENGTH
    elif data.startswith(_FORWARD_LATIN, start):
        pos = start + _FORWARD_LATIN_LENGTH
    else:
        return None
    try:
        tag = data[pos]
        if tag == ATOM:
            after = pos + 3 + (data[pos + 1] << 8) + data[pos + 2]
        elif tag == SMALL_ATOM_UTF8:
            after = pos + 2 + data[pos + 1]
        else:
            return None
        raw = data[pos:after]
        try:
            name = _ATOMS[raw]
        except KeyError:
            name, _ = _atom(data, pos)
        if type(name) is not Atom:
            return None
        if data[after] == BINARY:
            pos = after + 5 + _u32(data, after + 1)[0]
            message: Term = data[after + 5 : pos]
        elif end - start <= DEFAULT_LIMITS.elements:
            message, pos = _READ(data, after, DEFAULT_LIMITS.depth - 1)
        else:
            message, pos = _reader(DEFAULT_LIMITS)(data, after, DEFAULT_LIMITS.depth - 1)
    except (IndexError, StructError):
        raise DecodeError("the bytes end inside a term", end - start) from None
    except RecursionError:
        raise DecodeError("the stack is too full for terms nested so deep", 0) from None
    except DecodeError as error:
        raise DecodeError(error.reason, error.offset - start) from None
    if pos != end:
        raise _misfit(pos - start, end - start)
    return name, message


def _misfit(pos: int, end: int) -> DecodeError:
    if pos > end:
        return DecodeError("the bytes end inside a term", end)
    return DecodeError(f"{end - pos} bytes follow the term", pos)


def _inflated(data: bytes, limits: Limits) -> Term:
    size = _u32(data, 2)[0]
    if size > limits.inflated:
        raise DecodeError(
            f"a compressed term announces {size} bytes, allowed are {limits.inflated}", 2
        )
    stream = zlib.decompressobj()
    try:
        # One byte more than announced would show that it goes on.
        inflated = stream.decompress(data[6:], size + 1)
    except zlib.error as error:
        raise DecodeError(f"a compressed term cannot be inflated: {error}", 6) from None
    if len(inflated) != size or not stream.eof:
        raise DecodeError(f"a compressed term does not inflate to the {size} bytes announced", 2)
    if stream.unused_data:
        left = len(stream.unused_data)
        raise DecodeError(f"{left} bytes follow the term", len(data) - left)
    read = _READ if limits is DEFAULT_LIMITS and size <= limits.elements else _reader(limits)
    try:
        term, pos = read(inflated, 0, limits.depth)
    except (IndexError, StructError):
        pos = size + 1
    except DecodeError as error:
        raise DecodeError(f"{error.reason}, counted in what was inflated", error.offset) from None
    if pos != size:
        misfit = _misfit(pos, size)
        raise DecodeError(f"{misfit.reason}, counted in what was inflated", misfit.offset)
    return term


def _atom(data: bytes, pos: int) -> tuple[Atom | bool, int]:
    """Read the atom whose tag is at `pos`."""
    tag = data[pos]
    if tag in _SHORT_ATOMS:
        start = pos + 2
        end = start + data[pos + 1]
    elif tag in _LONG_ATOMS:
        start = pos + 3
        end = start + _u16(data, pos + 1)[0]
    else:
        raise DecodeError(f"an atom is due, not what has the tag {tag}", pos)
    raw = data[pos:end]
    atom = _ATOMS.get(raw)
    if atom is None:
        if end > len(data):
            raise DecodeError("the bytes end inside a term", len(data))
        try:
            text = data[start:end].decode("latin-1" if tag in _LATIN_ATOMS else "utf-8")
        except UnicodeDecodeError as error:
            raise DecodeError("an atom is not UTF-8", start + error.start) from None
        if len(text) > 255:
            raise DecodeError(f"an atom has {len(text)} characters, at most 255 are allowed", pos)
        atom = True if text == "true" else False if text == "false" else Atom(text)
        if len(_ATOMS) >= _ATOMS_KEPT:
            _ATOMS.clear()  # what is in use comes back at once, what was invented does not
        _ATOMS[raw] = atom
    return atom, end


def _name(data: bytes, pos: int) -> tuple[Atom, int]:
    """Read an atom where `true` and `false` are names as any other."""
    atom, end = _atom(data, pos)
    return (atom if isinstance(atom, Atom) else Atom("true" if atom else "false")), end


def _old_float(data: bytes, pos: int) -> float:
    written = _WRITTEN_FLOAT.fullmatch(data, pos + 1, pos + 32)
    number = float(written[1]) if written else inf
    if not isfinite(number):
        raise DecodeError("a float is no number", pos)
    return number


def _collide(keys: list[Term], pos: int) -> None:
    """Refuse keys with one and the same hash: Python's integers let anyone choose them so.

    A dictionary of n such keys takes n² steps to fill.
    """
    counts: Counter[int] = Counter()
    for key in keys:
        try:
            counts[hash(key)] += 1
        except TypeError:
            return  # no dictionary then, but a map by bytes
    if max(counts.values()) > _COLLISIONS_ALLOWED:
        raise DecodeError("the keys of a map are made to collide", pos)


def _reader(limits: Limits, *, counts: bool = True) -> Read:
    """Make a function that reads one term within `limits`.

    Only one that counts keeps the limit of elements; each of these functions is good for one term.
    One that does not count is for what has fewer bytes than elements are allowed.
    """
    atoms = _ATOMS
    left = limits.elements
    integer_limit = limits.integer

    def take(amount: int, pos: int) -> None:
        nonlocal left
        left -= amount
        if left < 0:
            raise DecodeError(f"a term has more elements than the {limits.elements} allowed", pos)

    def read(data: bytes, pos: int, room: int) -> tuple[Term, int]:
        tag = data[pos]
        if tag == SMALL_TUPLE:
            amount = data[pos + 1]
            after = pos + 2
        elif tag == MAP:
            return read_map(data, pos, room)
        elif tag == LIST:
            amount = _u32(data, pos + 1)[0]
            after = pos + 5
        elif tag == BINARY:
            after = pos + 5 + _u32(data, pos + 1)[0]
            return data[pos + 5 : after], after
        elif tag == LARGE_TUPLE:
            amount = _u32(data, pos + 1)[0]
            after = pos + 5
        elif tag == NEW_FUN:
            return read_fun(data, pos, room)
        else:
            return read_leaf(data, pos, tag)

        if not room:
            raise DecodeError(f"terms are nested deeper than {limits.depth} levels", pos)
        room -= 1
        elements: list[Term] = []
        add = elements.append
        while True:
            if counts:
                take(amount, pos)
            pos = after
            for _ in repeat(None, amount):
                inner = data[pos]
                if inner == ATOM:
                    after = pos + 3 + data[pos + 2]  # longer ones are not found below
                elif inner == SMALL_ATOM_UTF8:
                    after = pos + 2 + data[pos + 1]
                elif inner == SMALL_INTEGER:
                    add(data[pos + 1])
                    pos += 2
                    continue
                elif inner == MAP:
                    element, pos = read_map(data, pos, room)
                    add(element)
                    continue
                else:
                    element, pos = read(data, pos, room)
                    add(element)
                    continue
                try:
                    add(atoms[data[pos:after]])
                    pos = after
                except KeyError:
                    element, pos = _atom(data, pos)
                    add(element)
            if tag != LIST:
                return tuple(elements), pos
            inner = data[pos]
            if inner == NIL:
                return elements, pos + 1
            if inner != LIST:
                break
            # A list as the tail of a list goes on with it.
            amount = _u32(data, pos + 1)[0]
            after = pos + 5
        tail, after = read(data, pos, room)
        if isinstance(tail, list):  # a string as the tail
            elements += tail
            return elements, after
        if not elements:
            raise DecodeError("a list without elements has a tail", pos)
        return ImproperList(tuple(elements), tail), after

    def read_map(data: bytes, start: int, room: int) -> tuple[Term, int]:
        if not room:
            raise DecodeError(f"terms are nested deeper than {limits.depth} levels", start)
        room -= 1
        amount = _u32(data, start + 1)[0]
        if counts:
            take(2 * amount, start)
        pos = start + 5
        term: dict[Term, Term] = {}
        for number in range(amount):
            inner = data[pos]
            if inner == ATOM:
                after = pos + 3 + data[pos + 2]
            elif inner == SMALL_ATOM_UTF8:
                after = pos + 2 + data[pos + 1]
            else:
                # Other keys may be equal in Python only, or collide.
                return read_any_map(data, pos, room, start, term, amount - number)
            try:
                key = atoms[data[pos:after]]
            except KeyError:
                key, after = _atom(data, pos)
            inner = data[after]
            if inner == ATOM:
                pos = after + 3 + data[after + 2]
            elif inner == SMALL_ATOM_UTF8:
                pos = after + 2 + data[after + 1]
            elif inner == SMALL_INTEGER:
                term[key] = data[after + 1]
                pos = after + 2
                continue
            elif inner == MAP:
                term[key], pos = read_map(data, after, room)
                continue
            else:
                term[key], pos = read(data, after, room)
                continue
            try:
                term[key] = atoms[data[after:pos]]
            except KeyError:
                term[key], pos = _atom(data, after)
        if len(term) != amount:
            raise DecodeError("a map has the same key twice", start)
        return term, pos

    def read_any_map(
        data: bytes, pos: int, room: int, start: int, begun: dict[Term, Term], amount: int
    ) -> tuple[Term, int]:
        pairs = [*begun.items()]
        for _ in repeat(None, amount):
            key, pos = read(data, pos, room)
            value, pos = read(data, pos, room)
            pairs.append((key, value))
        if len(pairs) > _COLLISIONS_ALLOWED:
            _collide([key for key, _ in pairs], start)
        try:
            return term_map(pairs), pos
        except ValueError as error:
            raise DecodeError(str(error), start) from None

    def read_leaf(data: bytes, pos: int, tag: int) -> tuple[Term, int]:
        if tag in _ATOM_TAGS:
            return _atom(data, pos)
        if tag == SMALL_INTEGER:
            return data[pos + 1], pos + 2
        if tag == INTEGER:
            return _i32(data, pos + 1)[0], pos + 5
        if tag == NIL:
            return [], pos + 1
        if tag == STRING:
            after = pos + 3 + _u16(data, pos + 1)[0]
            if counts:
                take(after - pos - 3, pos)
            return list(data[pos + 3 : after]), after
        if tag in _BIGS:
            if tag == SMALL_BIG:
                size, start = data[pos + 1], pos + 3
            else:
                size, start = _u32(data, pos + 1)[0], pos + 6
                if size > integer_limit:
                    raise DecodeError(
                        f"an integer has {size} bytes, allowed are {integer_limit}", pos
                    )
            sign = data[start - 1]
            if sign > 1:
                raise DecodeError(f"the sign of an integer is 0 or 1, not {sign}", start - 1)
            after = start + size
            number = int.from_bytes(data[start:after], "little")
            return -number if sign else number, after
        if tag == NEW_FLOAT:
            number = _double(data, pos + 1)[0]
            if not isfinite(number):
                raise DecodeError("a float is infinite or not a number", pos)
            return number, pos + 9
        return read_rare(data, pos, tag)

    def read_rare(data: bytes, pos: int, tag: int) -> tuple[Term, int]:
        if tag == BIT_BINARY:
            size, bits = _u32(data, pos + 1)[0], data[pos + 5]
            after = pos + 6 + size
            if bits > 8 or (bits == 0) != (size == 0):
                raise DecodeError(f"a bit string of {size} bytes cannot end on {bits} bits", pos)
            body = data[pos + 6 : after]
            if bits in {0, 8}:
                return body, after
            if after > len(data):
                raise DecodeError("the bytes end inside a term", len(data))
            return BitString(body, bits), after
        if tag in _PIDS:
            node, after = _name(data, pos + 1)
            number, serial = _u32(data, after)[0], _u32(data, after + 4)[0]
            if tag == PID:
                return Pid(node, number, serial, data[after + 8]), after + 9
            return Pid(node, number, serial, _u32(data, after + 8)[0]), after + 12
        if tag in _PORTS:
            node, after = _name(data, pos + 1)
            if tag == V4_PORT:
                return Port(node, _u64(data, after)[0], _u32(data, after + 8)[0]), after + 12
            number = _u32(data, after)[0]
            if tag == PORT:
                return Port(node, number, data[after + 4]), after + 5
            return Port(node, number, _u32(data, after + 4)[0]), after + 8
        if tag in _REFERENCES:
            amount = _u16(data, pos + 1)[0]
            if not 1 <= amount <= 5:
                raise DecodeError(f"a reference has 1 to 5 words, not {amount}", pos)
            node, after = _name(data, pos + 3)
            if tag == NEW_REFERENCE:
                creation, after = data[after], after + 1
            else:
                creation, after = _u32(data, after)[0], after + 4
            words = tuple([_u32(data, after + 4 * each)[0] for each in range(amount)])
            return Reference(node, creation, words), after + 4 * amount
        if tag == EXPORT:
            module, after = _name(data, pos + 1)
            function, after = _name(data, after)
            if data[after] != SMALL_INTEGER:
                raise DecodeError("the arity of a function is due", after)
            return Export(module, function, data[after + 1]), after + 2
        if tag == FLOAT:
            return _old_float(data, pos), pos + 32
        raise DecodeError(f"there is no term with the tag {tag}", pos)

    def read_fun(data: bytes, pos: int, room: int) -> tuple[Term, int]:
        if not room:
            raise DecodeError(f"terms are nested deeper than {limits.depth} levels", pos)
        room -= 1
        end = pos + 1 + _u32(data, pos + 1)[0]
        index, free = _u32(data, pos + 22)[0], _u32(data, pos + 26)[0]
        module, after = _name(data, pos + 30)
        _, after = read(data, after, room)  # an index of old
        unique, after = read(data, after, room)
        # Its maker and what it has caught are passed on as they are, but must be terms.
        if counts:
            take(free, pos)
        for _ in range(1 + free):
            _, after = read(data, after, room)
        if after != end or not isinstance(unique, int):
            raise DecodeError("a fun is not built as funs are", pos)
        return Fun(module, index, unique, data[pos:end]), after

    return read


_READ: Final = _reader(DEFAULT_LIMITS, counts=False)

_FORWARD: Final = b"\x83h\x03w\x0fforward_message"
_FORWARD_LATIN: Final = b"\x83h\x03d\x00\x0fforward_message"
_FORWARD_LENGTH: Final = len(_FORWARD)
_FORWARD_LATIN_LENGTH: Final = len(_FORWARD_LATIN)
