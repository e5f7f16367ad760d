# SPDX-License-Identifier: Apache-2.0
"""From terms to the External Term Format, as Erlang/OTP 26 and later write it.

The format is described in the Erlang/OTP documentation, "External Term Format". Atoms are written
as UTF-8, lists of bytes as strings, as Erlang does; every release since OTP 20 reads it.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Mapping
from math import isfinite
from struct import Struct
from struct import error as StructError  # noqa: N812 - a class, though its name does not say so
from typing import TYPE_CHECKING, Any, Final

from heliograph.partisan.errors import EncodeError
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
    TermMap,
)

if TYPE_CHECKING:
    from heliograph.partisan.wire.terms import Term

__all__ = ["encode", "encode_forward"]

_ATOMS: Final[dict[Atom, bytes]] = {}
"""External forms of atoms."""
_FORWARDS: Final[dict[Atom, bytes]] = {}
"""How `{forward_message, Name, ...` begins, by the name."""
_KEPT: Final = 4096

_FORWARD: Final = b"\x83h\x03w\x0fforward_message"
_BYTES: Final = tuple([bytes([97, number]) for number in range(256)])
_TRUE: Final = b"w\x04true"
_FALSE: Final = b"w\x05false"
_TUPLES: Final = tuple([bytes([104, size]) for size in range(256)])
_BINARIES: Final = tuple([bytes([109, 0, 0, 0, size]) for size in range(256)])
_LISTS: Final = tuple([bytes([108, 0, 0, 0, size]) for size in range(256)])
_MAPS: Final = tuple([bytes([116, 0, 0, 0, size]) for size in range(256)])

_tag_u16: Final = Struct(">BH").pack
_tag_u32: Final = Struct(">BI").pack
_tag_i32: Final = Struct(">Bi").pack
_tag_double: Final = Struct(">Bd").pack
_u8x2: Final = Struct(">BB").pack
_u32: Final = Struct(">I").pack
_u32x2: Final = Struct(">II").pack
_u32x3: Final = Struct(">III").pack
_u64_u32: Final = Struct(">QI").pack

Add = Callable[[bytes], object]


def encode(term: Term, *, compression: int = 0, within: int = 0) -> bytes:
    """Return the term in the External Term Format, its first byte being 131.

    Args:
        term: What `heliograph.partisan.wire.terms` says a term is. Instances of subclasses, and
            other mappings than `dict`, are taken for what they derive from.
        compression: A level of zlib, 0 to 9. The plain form is kept where it is no longer, as
            Erlang does it.
        within: In how many levels of other terms it will stand.

    Raises:
        EncodeError: Part of it is no term, is not finite, too large for the format or for whoever
            decodes by the default limits, or is nested deeper than 128 levels.
    """
    parts = [b"\x83"]
    try:
        _write(term, parts.append, DEFAULT_LIMITS.depth - within)
    except RecursionError:
        raise EncodeError("the stack is too full for terms nested so deep") from None
    plain = b"".join(parts)
    if compression:
        packed = zlib.compress(memoryview(plain)[1:], compression)
        if len(packed) + 5 < len(plain) - 1:
            return b"\x83P" + _u32(len(plain) - 1) + packed
    return plain


def encode_forward(name: Atom, message: Term) -> bytes:
    """Return `{forward_message, Name, Message}` in the External Term Format.

    The result is that of `encode`, sooner.

    Raises:
        EncodeError: As `encode` does.
    """
    try:
        begin = _FORWARDS[name]
    except KeyError:
        begin = _FORWARD + _atom(name)
        if len(_FORWARDS) >= _KEPT:
            _FORWARDS.clear()
        _FORWARDS[name] = begin
    if type(message) is bytes and len(message) <= 0xFFFF_FFFF:
        return begin + _tag_u32(109, len(message)) + message
    parts = [begin]
    try:
        _write(message, parts.append, DEFAULT_LIMITS.depth - 1)
    except RecursionError:
        raise EncodeError("the stack is too full for terms nested so deep") from None
    return b"".join(parts)


def _atom(atom: Atom) -> bytes:
    form = _ATOMS.get(atom)
    if form is None:
        if len(atom) > 255:
            raise EncodeError(f"an atom has at most 255 characters, not {len(atom)}")
        try:
            text = atom.encode()
        except UnicodeEncodeError as error:
            raise EncodeError(f"the atom {atom!r} cannot be written as UTF-8: {error}") from None
        form = (bytes([119, len(text)]) if len(text) < 256 else _tag_u16(118, len(text))) + text
        if len(_ATOMS) >= _KEPT:
            _ATOMS.clear()  # what is in use comes back at once
        _ATOMS[atom] = form
    return form


def _write(term: Any, add: Add, room: int) -> None:
    # Exact types first: they are nearly all there is. What derives from them comes last.
    kind = type(term)
    elements: Iterable[Any]
    if kind is dict or kind is TermMap:
        _write_map(term, add, room)
        return
    if kind is tuple:
        size = len(term)
        add(_TUPLES[size] if size < 256 else _tag_u32(105, size))
        elements = term
    elif kind is list:
        size = len(term)
        if not size:
            add(b"j")
            return
        if type(term[0]) is int and size < 65536 and _is_string(term):
            add(_tag_u16(107, size))
            add(bytes(term))
            return
        add(_LISTS[size] if size < 256 else _tag_u32(108, size))
        elements = term
    elif kind is ImproperList:
        add(_tag_u32(108, len(term.elements)))
        elements = (*term.elements, term.tail)
    else:
        _write_leaf(term, kind, add, room)
        return

    if not room:
        raise _too_deep()
    room -= 1
    for each in elements:
        inner = type(each)
        if inner is Atom:
            try:
                add(_ATOMS[each])
            except KeyError:
                add(_atom(each))
        elif inner is int and 0 <= each < 256:
            add(_BYTES[each])
        elif inner is bytes and len(each) < 256:
            add(_BINARIES[len(each)])
            add(each)
        elif inner is dict:
            _write_map(each, add, room)
        else:
            _write(each, add, room)
    if kind is list:
        add(b"j")


def _write_map(term: Mapping[Any, Any], add: Add, room: int) -> None:
    if not room:
        raise _too_deep()
    room -= 1
    size = len(term)
    add(_MAPS[size] if size < 256 else _tag_u32(116, size))
    for key, value in term.items():
        if type(key) is Atom:
            try:
                add(_ATOMS[key])
            except KeyError:
                add(_atom(key))
        else:
            _write(key, add, room)
        inner = type(value)
        if inner is bool:
            add(_TRUE if value else _FALSE)
        elif inner is int and 0 <= value < 256:
            add(_BYTES[value])
        elif inner is Atom:
            add(_ATOMS.get(value) or _atom(value))
        elif inner is dict:
            _write_map(value, add, room)
        else:
            _write(value, add, room)


def _write_leaf(term: Any, kind: type, add: Add, room: int) -> None:
    if kind is Atom:
        add(_atom(term))
    elif kind is int:
        _write_integer(term, add)
    elif kind is bytes:
        _write_binary(term, add)
    elif kind is bool:
        add(_TRUE if term else _FALSE)
    elif kind is float:
        if not isfinite(term):
            raise EncodeError(f"Erlang has no float for {term}")
        add(_tag_double(70, term))
    elif isinstance(term, Mapping):
        _write_map(term, add, room)
    else:
        _write_rare(term, add, room)


def _too_deep() -> EncodeError:
    return EncodeError(
        f"terms are nested deeper than {DEFAULT_LIMITS.depth} levels, what a message stands in"
        " included; perhaps within themselves"
    )


def _is_string(term: list[object]) -> bool:
    """Tell whether Erlang would write the list as a string: bytes only, and no booleans."""
    if set(map(type, term)) != {int}:
        return False
    try:
        bytes(term)  # type: ignore[arg-type]  # integers all
    except ValueError:
        return False
    return True


def _write_integer(number: int, add: Add) -> None:
    if 0 <= number < 256:
        add(_BYTES[number])
    elif -0x8000_0000 <= number < 0x8000_0000:
        add(_tag_i32(98, number))
    else:
        size = (number.bit_length() + 7) // 8
        if size > DEFAULT_LIMITS.integer:
            raise EncodeError(
                f"an integer has at most {DEFAULT_LIMITS.integer} bytes, not {size}; send a binary"
            )
        add(bytes([110, size]) if size < 256 else _tag_u32(111, size))
        add(b"\x01" if number < 0 else b"\x00")
        add(abs(number).to_bytes(size, "little"))


def _write_binary(data: bytes, add: Add) -> None:
    if len(data) > 0xFFFF_FFFF:
        raise EncodeError(f"a binary has at most {0xFFFF_FFFF} bytes, not {len(data)}")
    add(_tag_u32(109, len(data)))
    add(data)


def _write_rare(term: Any, add: Add, room: int) -> None:
    if isinstance(term, Pid | Reference | Port | Export | BitString | Fun):
        try:
            add(_identifier(term))
        except StructError:
            raise EncodeError(f"a number is too large for the format: {term!r}") from None
    elif isinstance(term, Atom):
        add(_atom(term))
    elif isinstance(term, int):
        _write_integer(int(term), add)
    elif isinstance(term, bytes | bytearray | memoryview):
        _write_binary(bytes(term), add)
    elif isinstance(term, float):
        _write(float(term), add, room)
    elif isinstance(term, tuple):
        _write(tuple(term), add, room)
    elif isinstance(term, list):
        _write(list(term), add, room)
    elif isinstance(term, str):
        raise EncodeError(
            f"a str is no Erlang term: {term[:40]!r}. Say Atom(text) for an atom, text.encode() for"
            " a binary, [*map(ord, text)] for an Erlang string"
        )
    else:
        raise EncodeError(f"no Erlang term stands for {type(term).__qualname__}: {term!r:.200}")


def _identifier(term: Pid | Reference | Port | Export | BitString | Fun) -> bytes:
    if isinstance(term, Fun):
        return term.data
    if isinstance(term, BitString):
        return _tag_u32(77, len(term.data)) + bytes([term.bits]) + term.data
    if isinstance(term, Export):
        return b"q" + _atom(term.module) + _atom(term.function) + _u8x2(97, term.arity)
    node = _atom(term.node)
    if isinstance(term, Pid):
        return b"X" + node + _u32x3(term.id, term.serial, term.creation)
    if isinstance(term, Port):
        if term.id < 1 << 32:
            return b"Y" + node + _u32x2(term.id, term.creation)
        return b"x" + node + _u64_u32(term.id, term.creation)
    words = term.words
    if not 1 <= len(words) <= 5:
        raise EncodeError(f"a reference has 1 to 5 words: {term!r}")
    return b"".join(
        [_tag_u16(90, len(words)), node, _u32(term.creation), *[_u32(word) for word in words]]
    )
