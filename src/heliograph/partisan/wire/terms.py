# SPDX-License-Identifier: Apache-2.0
"""Erlang's terms in Python.

| Erlang                              | Python                                         |
| ----------------------------------- | ---------------------------------------------- |
| atom                                | `Atom`, a `str`                                |
| `true`, `false`                     | `True`, `False`                                |
| integer, float                      | `int`, `float`                                 |
| binary; bit string                  | `bytes`; `BitString`                           |
| tuple                               | `tuple`                                        |
| proper list, `"string"`             | `list`; a string is a list of code points      |
| improper list                       | `ImproperList`                                 |
| map                                 | `dict`; `TermMap` where no `dict` can be       |
| pid, reference, port                | `Pid`, `Reference`, `Port`                     |
| `fun module:name/arity`; other funs | `Export`; `Fun`, which cannot be looked into   |

A plain `str` is no term: an atom, a binary and a list of code points are three things in Erlang, so
that whoever sends says which.
"""

from __future__ import annotations

from collections.abc import Callable, ItemsView, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TypeAlias

__all__ = [
    "Atom",
    "BitString",
    "Export",
    "Fun",
    "ImproperList",
    "Pid",
    "Port",
    "Reference",
    "Term",
    "TermMap",
    "exact",
    "same",
    "term_map",
]

Term: TypeAlias = object
"""Any of the types in the table above. What a peer sent can be anything: look before you use it."""


class Atom(str):
    """An Erlang atom: its text.

    It equals a `str` of the same text, so that `message[0] == "ok"` reads well. The atoms `true`
    and `false` are Python's `True` and `False`; for what has no value there is
    `Atom("undefined")`.
    """

    __slots__ = ()

    def __repr__(self) -> str:
        return f"Atom({super().__repr__()})"


@dataclass(frozen=True, slots=True)
class ImproperList:
    """A list whose last tail is no list: `[1, 2 | Tail]`.

    Partisan writes its remote references so: `['n1@127.0.0.1' | <<"#Pid<0.1.0>">>]`.
    """

    elements: tuple[Term, ...]
    """What comes before the bar, at least one."""
    tail: Term
    """What comes after it; never a list."""

    def __post_init__(self) -> None:
        if not self.elements or isinstance(self.tail, list | ImproperList):
            raise ValueError(
                "an improper list takes at least one element and a tail that is no list"
            )


@dataclass(frozen=True, slots=True)
class BitString:
    """A bit string that does not end on a byte: `<<1, 2:4>>`."""

    data: bytes
    """The bits, the last byte's from its top; the rest of that byte is zero."""
    bits: int
    """How many bits of the last byte count, 1 to 7."""

    def __post_init__(self) -> None:
        if not self.data or not 1 <= self.bits <= 7:
            raise ValueError("a bit string takes at least one byte and 1 to 7 bits of the last")
        rest = 8 - self.bits
        last = self.data[-1] >> rest << rest
        if last != self.data[-1]:
            object.__setattr__(self, "data", self.data[:-1] + bytes([last]))


@dataclass(frozen=True, slots=True)
class Pid:
    """A process identifier."""

    node: Atom
    id: int
    serial: int
    creation: int


@dataclass(frozen=True, slots=True)
class Reference:
    """A reference as `make_ref()` gives it; its words least significant first."""

    node: Atom
    creation: int
    words: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Port:
    """A port identifier."""

    node: Atom
    id: int
    creation: int


@dataclass(frozen=True, slots=True)
class Export:
    """A function by its name: `fun lists:map/2`."""

    module: Atom
    function: Atom
    arity: int


@dataclass(frozen=True, slots=True)
class Fun:
    """A closure of some Erlang module. It cannot be called here, only passed on as it came."""

    module: Atom
    index: int
    unique: int
    data: bytes
    """Its external form, from the tag on."""


class TermMap(Mapping[Term, Term]):
    """A map that no `dict` can be: it tells keys apart as Erlang does, and keeps their order.

    Keys are lists or maps themselves, or equal in Python though not in Erlang, as 1, 1.0 and
    `true`. A set of node specifications comes as such a map.

    Raises:
        ValueError: Two pairs have the same key.
    """

    __slots__ = ("_exact", "_pairs")

    def __init__(self, pairs: Iterable[tuple[Term, Term]]) -> None:
        self._pairs: dict[bytes, tuple[Term, Term]] = {}
        self._exact: bytes | None = None
        for pair in pairs:
            if self._pairs.setdefault(exact(pair[0]), pair) is not pair:
                raise ValueError("a map has the same key twice")

    def __getitem__(self, key: Term) -> Term:
        return self._pairs[exact(key)][1]

    def __iter__(self) -> Iterator[Term]:
        return (key for key, _ in self._pairs.values())

    def __len__(self) -> int:
        return len(self._pairs)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Mapping):
            return NotImplemented
        return self.exact() == exact(other)

    def __hash__(self) -> int:
        return hash(self.exact())

    def __repr__(self) -> str:
        return f"TermMap({list(self._pairs.values())!r})"

    def items(self) -> ItemsView[Term, Term]:
        """Return the pairs, in their order."""
        return _Items(self)

    def exact(self) -> bytes:
        """Return what the function `exact` returns for it, made once."""
        if self._exact is None:
            self._exact = _spelled_map([(k, exact(v)) for k, (_, v) in self._pairs.items()])
        return self._exact


class _Items(ItemsView[Term, Term]):
    """Pairs as they are held, so that no key need be found again."""

    __slots__ = ()

    _mapping: TermMap

    def __iter__(self) -> Iterator[tuple[Term, Term]]:
        return iter(self._mapping._pairs.values())

    def __contains__(self, item: object) -> bool:
        return any(same(item, pair) for pair in self)


def exact(term: Term) -> bytes:
    """Return bytes that are equal for two terms only if Erlang's `=:=` holds between them.

    Python takes 1, 1.0 and `True` for equal and refuses lists and dictionaries as keys: remember
    and compare such terms by these bytes. Nobody can choose terms so that they collide, as integers
    can be chosen. 0.0 and -0.0 differ, as since Erlang/OTP 27.
    """
    parts: list[bytes] = []
    _spell(term, parts.append)
    return b"".join(parts)


def term_map(pairs: Sequence[tuple[Term, Term]]) -> dict[Term, Term] | TermMap:
    """Return the map of these pairs: a `dict` if it can be one.

    Raises:
        ValueError: Two pairs have the same key.
    """
    try:
        plain = dict(pairs)
    except TypeError:  # a key that cannot be hashed
        return TermMap(pairs)
    return plain if len(plain) == len(pairs) else TermMap(pairs)


def same(a: Term, b: Term) -> bool:
    """Tell whether Erlang's `=:=` holds between two terms."""
    return exact(a) == exact(b)


def _spell(term: Term, add: Callable[[bytes], None]) -> None:
    # What has a length says it first, so that no two terms are spelled alike.
    if isinstance(term, bool):
        add(b"a4:true" if term else b"a5:false")
    elif isinstance(term, str):
        raw = term.encode("utf-8", "surrogatepass")
        add(b"a%d:%b" % (len(raw), raw))
    elif isinstance(term, int):
        add(b"i%x;" % term)
    elif isinstance(term, bytes | bytearray | memoryview):
        raw = bytes(term)
        add(b"b%d:%b" % (len(raw), raw))
    elif isinstance(term, float):
        add(b"f%b;" % term.hex().encode())
    elif isinstance(term, tuple | list):
        add(b"%c%d:" % (b"(" if isinstance(term, tuple) else b"[", len(term)))
        for each in term:
            _spell(each, add)
    elif isinstance(term, TermMap):
        add(term.exact())
    elif isinstance(term, Mapping):
        add(_spelled_map([(exact(key), exact(value)) for key, value in term.items()]))
    elif isinstance(term, ImproperList | BitString | Pid | Reference | Port | Export | Fun):
        add(b"%b{" % type(term).__name__.encode())
        for each in fields(term):
            _spell(getattr(term, each.name), add)
    else:
        raise TypeError(f"{type(term).__name__} is no Erlang term: {term!r}")


def _spelled_map(pairs: list[tuple[bytes, bytes]]) -> bytes:
    return b"m%d:%b" % (len(pairs), b"".join([key + value for key, value in sorted(pairs)]))
