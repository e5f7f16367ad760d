# SPDX-License-Identifier: Apache-2.0
"""The built-in codecs by the names that schemas and device files give them."""

from __future__ import annotations

import enum
import re
from collections.abc import Callable
from collections.abc import Mapping as MappingOf
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple, get_args, overload

from heliograph.modboss.codecs.arrays import Array
from heliograph.modboss.codecs.choices import BitField, Bits, Choice, Enumeration, NamedFlags
from heliograph.modboss.codecs.moments import Date, DateTime, Timestamp
from heliograph.modboss.codecs.numbers import Bcd, FloatName, IntName, floating, integer
from heliograph.modboss.codecs.original import Ascii, Boolean, Raw, SignedInt, UnsignedInt
from heliograph.modboss.codecs.texts import Bytes, IPv4, IPv6, Mac, Utf8
from heliograph.modboss.errors import ModbossError, shown

if TYPE_CHECKING:
    from heliograph.modboss.codecs.base import Codec, Endian

__all__ = [
    "CODEC_OPTIONS",
    "NAMES",
    "CodecOptionError",
    "UnknownCodecError",
    "array",
    "codec",
    "make",
]

_ORDER: Final = frozenset({"word_order", "byte_order"})
_NUMBER: Final = frozenset({"scale", "offset", "missing", "minimum", "maximum"})
_MEANINGS: Final[dict[str, Callable[..., Codec[Any]]]] = {
    "enum": Choice,
    "flags": NamedFlags,
    "bits": BitField,
}
"""Options that give an integer another meaning, and the codec that does."""

CODEC_OPTIONS: Final = frozenset({*_ORDER, *_NUMBER, *_MEANINGS, "pad"})
"""Options of mappings that are for their codecs."""


class _Entry(NamedTuple):
    make: Callable[..., Codec[Any]]
    options: frozenset[str] = frozenset()


_CODECS: Final[dict[str, _Entry]] = {
    "raw": _Entry(Raw),
    "boolean": _Entry(Boolean),
    "unsigned_int": _Entry(UnsignedInt),
    "signed_int": _Entry(SignedInt),
    "ascii": _Entry(Ascii, frozenset({"byte_order"})),
    **{name: _Entry(partial(integer, name), _ORDER | _NUMBER) for name in get_args(IntName)},
    **{name: _Entry(partial(floating, name), _ORDER | _NUMBER) for name in get_args(FloatName)},
    "bcd": _Entry(Bcd, _ORDER | _NUMBER),
    "utf8": _Entry(Utf8, frozenset({"byte_order", "pad"})),
    "bytes": _Entry(Bytes, _ORDER),
    "bits": _Entry(Bits),
    "date": _Entry(Date),
    "datetime": _Entry(DateTime),
    "timestamp": _Entry(Timestamp, _ORDER),
    "ipv4": _Entry(IPv4, _ORDER),
    "ipv6": _Entry(IPv6, _ORDER),
    "mac": _Entry(Mac, _ORDER),
}

NAMES: Final = tuple(_CODECS)
"""Names of the built-in codecs; `NAME[]` and `NAME[3]` are arrays of them."""

_ARRAY: Final = re.compile(r"(\w+)\[([0-9]{0,5})\]")


class UnknownCodecError(ModbossError, LookupError):
    """No built-in codec has the name."""


class CodecOptionError(ModbossError, ValueError):
    """Options that a codec does not take, or not with these values.

    Attributes:
        problems: What is wrong, by option.
    """

    def __init__(self, codec: str, problems: MappingOf[str, str]) -> None:
        super().__init__(codec, problems)
        self.problems = problems

    def __str__(self) -> str:
        return "; ".join(self.problems.values())


def codec(name: str, **options: Any) -> Codec[Any]:
    """A built-in codec, for arrays and for codecs of your own that build upon it.

    Args:
        name: Such as `float32`, or `float32[]` for an array.
        options: Such as `word_order` or `scale`.

    Raises:
        UnknownCodecError: There is none of that name.
        CodecOptionError: It does not take an option, or not this value.
    """
    return make(name, options, {})


@overload
def array(element: IntName, length: int | None = None, **options: Endian) -> Array[int]: ...


@overload
def array(element: FloatName, length: int | None = None, **options: Endian) -> Array[float]: ...


@overload
def array(element: str, length: int | None = None, **options: Any) -> Array[Any]: ...


def array(element: str, length: int | None = None, **options: Any) -> Array[Any]:
    """An array of a built-in codec, which a type checker knows the elements of.

    Args:
        element: Name of the elements' codec.
        length: How many there are; as many as the registers of the mapping hold, if None.
        options: What each element's codec takes.

    Raises:
        UnknownCodecError: There is no codec of that name.
        CodecOptionError: It does not take an option, or not this value.
        ValueError: It does not say how many registers it takes, or the length is below 1.
    """
    return Array(make(element, options, {}), length)


def make(
    given: str | type[enum.Enum] | None, options: MappingOf[str, Any], defaults: MappingOf[str, Any]
) -> Codec[Any]:
    """Make the codec that a definition describes.

    Args:
        given: Its name; or a class of enums or flags; None for what the options imply, or raw.
        options: What it is to take.
        defaults: What it takes if it can.

    Raises:
        UnknownCodecError: There is none of that name.
        CodecOptionError: It does not take an option, or not this value.
    """
    if isinstance(given, type):
        return _configured(
            given.__name__, _Entry(partial(Enumeration, given), _ORDER), options, defaults
        )
    for option in [each for each in _MEANINGS if each in options]:
        base = {} if given is None else {"base": given}
        if given is not None and given not in get_args(IntName):
            text = f"{option} gives a meaning to integers such as uint16, not to {given}"
            raise CodecOptionError(given, {option: text})
        entry = _Entry(partial(_MEANINGS[option], **base), _ORDER | {option})
        return _configured(option, entry, options, defaults, first=option)
    name = "raw" if given is None else given
    if array := _ARRAY.fullmatch(name):
        element, length = array.groups()
        entry = _entry(element)
        try:
            return Array(
                _configured(element, entry, options, defaults), int(length) if length else None
            )
        except CodecOptionError:
            raise
        except ValueError as error:
            raise CodecOptionError(name, {"codec": str(error)}) from None
    return _configured(name, _entry(name), options, defaults)


def _entry(name: str) -> _Entry:
    try:
        return _CODECS[name]
    except KeyError:
        raise UnknownCodecError(f"there is no codec {shown(name)}") from None


def _configured(
    name: str,
    entry: _Entry,
    options: MappingOf[str, Any],
    defaults: MappingOf[str, Any],
    first: str | None = None,
) -> Codec[Any]:
    """The codec with its options; all options at fault are found."""
    problems = {
        option: f"{name} takes no {option}" for option in options if option not in entry.options
    }
    fitting = {option: value for option, value in options.items() if option in entry.options}
    fitting |= {
        option: value
        for option, value in defaults.items()
        if option in entry.options and option not in options
    }
    # Whatever an enum, flags or a bit field means is its first argument.
    needed = () if first is None else (fitting.pop(first),)
    try:
        made = entry.make(*needed, **fitting)
    except ValueError as error:
        # Whose fault is it? Each is tried by itself, so that one does not hide another.
        if itself := _problem(entry, needed, {}):
            problems[first or "codec"] = itself
        else:
            problems |= {
                option: text
                for option, value in fitting.items()
                if (text := _problem(entry, needed, {option: value}))
            } or {", ".join(fitting): str(error)}
        raise CodecOptionError(name, problems) from None
    if problems:
        raise CodecOptionError(name, problems)
    return made


def _problem(entry: _Entry, needed: tuple[Any, ...], options: dict[str, Any]) -> str | None:
    """What is wrong with options, if anything is."""
    try:
        entry.make(*needed, **options)
    except ValueError as error:
        return str(error)
    return None
