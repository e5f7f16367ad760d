# SPDX-License-Identifier: Apache-2.0
"""Erlang's order of terms, by which its ordered dictionaries and sets are sorted.

number < atom < reference < fun < port < pid < tuple < map < list < bit string; within a type as the
Erlang reference manual says under "Term Comparisons".
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cmp_to_key
from typing import TYPE_CHECKING, Any, Final

from heliograph.partisan.wire.terms import (
    BitString,
    Export,
    Fun,
    ImproperList,
    Pid,
    Port,
    Reference,
)

if TYPE_CHECKING:
    from heliograph.partisan.wire.terms import Term

__all__ = ["compare", "order_key"]

_NUMBER, _ATOM, _REFERENCE, _FUN, _PORT, _PID, _TUPLE, _MAP, _LIST, _BITS = range(10)


def compare(a: Term, b: Term) -> int:
    """Return -1, 0 or 1 as `a` comes before, with or after `b`.

    Integers and floats compare by value, so that 1 comes with 1.0, as Erlang's `==` has it; only as
    keys of maps is every integer before every float.

    Raises:
        TypeError: One of them is no term.
    """
    return _compare(a, b, False)


order_key: Final = cmp_to_key(compare)
"""For `sorted(terms, key=order_key)`, and wherever else a key is asked for."""


def _rank(term: Term) -> int:
    if isinstance(term, bool | str):
        return _ATOM
    if isinstance(term, int | float):
        return _NUMBER
    if isinstance(term, tuple):
        return _TUPLE
    if isinstance(term, bytes | bytearray | memoryview | BitString):
        return _BITS
    if isinstance(term, list | ImproperList):
        return _LIST
    if isinstance(term, Mapping):
        return _MAP
    if isinstance(term, Pid):
        return _PID
    if isinstance(term, Reference):
        return _REFERENCE
    if isinstance(term, Export | Fun):
        return _FUN
    if isinstance(term, Port):
        return _PORT
    raise TypeError(f"{type(term).__qualname__} is no Erlang term: {term!r}")


def _sign(a: Any, b: Any) -> int:
    return bool(a > b) - bool(a < b)


def _compare(a: Any, b: Any, keys: bool) -> int:
    rank = _rank(a)
    if rank != (other := _rank(b)):
        return _sign(rank, other)
    if rank == _NUMBER:
        if keys and isinstance(a, float) is not isinstance(b, float):
            return 1 if isinstance(a, float) else -1
        return _sign(a, b)
    if rank == _ATOM:
        return _sign(_text(a), _text(b))
    if rank == _BITS:
        return _sign(_bits(a), _bits(b))
    if rank == _MAP:
        return _sign(len(a), len(b)) or _maps(a, b, keys)
    tail: Term = []
    end: Term = []
    if rank == _TUPLE:
        if len(a) != len(b):
            return _sign(len(a), len(b))
    elif rank == _LIST:
        if isinstance(a, ImproperList):
            a, tail = a.elements, a.tail
        if isinstance(b, ImproperList):
            b, end = b.elements, b.tail
    else:
        return _sign(_identity(a), _identity(b))
    for one, two in zip(a, b, strict=False):
        if order := _compare(one, two, keys):
            return order
    if len(a) == len(b):
        return 0 if tail == end == [] else _compare(tail, end, keys)
    # What is left of the longer is a list with elements; the tail of the shorter is none.
    if len(a) < len(b):
        return -1 if tail == [] else _sign(_rank(tail), _LIST)
    return 1 if end == [] else _sign(_LIST, _rank(end))


def _text(atom: bool | str) -> str:
    # Erlang compares atoms by code points, as Python does strings.
    return ("true" if atom else "false") if isinstance(atom, bool) else str(atom)


def _maps(a: Mapping[Term, Term], b: Mapping[Term, Term], keys: bool) -> int:
    """Compare the keys, the least first, then the values in the order of their keys."""
    left = sorted(a.items(), key=_pair_key)
    right = sorted(b.items(), key=_pair_key)
    for one, two in zip(left, right, strict=True):
        if order := _compare(one[0], two[0], True):
            return order
    for one, two in zip(left, right, strict=True):
        if order := _compare(one[1], two[1], keys):
            return order
    return 0


def _compare_keys(a: tuple[Term, Term], b: tuple[Term, Term]) -> int:
    return _compare(a[0], b[0], True)


_pair_key: Final = cmp_to_key(_compare_keys)


def _bits(term: bytes | bytearray | memoryview | BitString) -> tuple[bytes, int]:
    return (term.data, term.bits) if isinstance(term, BitString) else (bytes(term), 8)


def _identity(term: Any) -> tuple[Any, ...]:
    if isinstance(term, Pid):
        return term.serial, term.id, term.node, term.creation
    if isinstance(term, Port):
        return term.node, term.creation, term.id
    if isinstance(term, Reference):
        # By value, whatever the number of words.
        return term.node, term.creation, sum(w << 32 * at for at, w in enumerate(term.words))
    if isinstance(term, Export):
        return 1, term.module, term.function, term.arity
    return 0, term.module, term.index, term.unique, term.data
