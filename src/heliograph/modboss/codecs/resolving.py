# SPDX-License-Identifier: Apache-2.0
"""From what a definition says of its codec to the functions that encode and decode."""

from __future__ import annotations

import enum
import inspect
from collections.abc import Callable
from collections.abc import Mapping as MappingOf
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from heliograph._faults import did_you_mean
from heliograph.modboss.codecs.base import Codec
from heliograph.modboss.codecs.builtin import NAMES, CodecOptionError, UnknownCodecError, make
from heliograph.modboss.errors import shown

if TYPE_CHECKING:
    from heliograph.modboss.codecs.base import Compiled

__all__ = ["Function", "Resolved", "resolve"]


@dataclass(frozen=True, slots=True)
class Function:
    """One direction of a codec."""

    name: str
    call: Callable[..., Any] | None
    """None if there is no such function, or it takes neither one argument nor two."""
    takes_metadata: bool = False
    lacking: str = ""
    """Why there is none."""


@dataclass(frozen=True, slots=True)
class Resolved:
    """A codec, and what to call."""

    codec: Any
    name: str
    encoder: Function
    decoder: Function

    @property
    def registers(self) -> int | None:
        """How many registers a value takes, if the codec knows."""
        return self.codec.registers if isinstance(self.codec, Codec) else None

    def fitted(self, count: int) -> Resolved:
        """The codec for a mapping of that many addresses.

        Raises:
            ValueError: It cannot have so many.
        """
        return _of_object(self.codec.fitted(count)) if isinstance(self.codec, Codec) else self

    def compiled(self, count: int) -> Compiled:
        """The code of `struct` that decodes that many registers, and what finishes it."""
        return self.codec.compiled(count) if isinstance(self.codec, Codec) else (None, None)


def resolve(
    given: Any,
    options: MappingOf[str, Any],
    defaults: MappingOf[str, Any],
    methods: Callable[[str], Any],
) -> Resolved:
    """Find the codec that a definition asks for.

    Args:
        given: None for what the options imply, or raw; the name of a built-in codec, or of two
            methods of the schema, which come first; a class of enums; or an object that has the
            methods.
        options: What a built-in codec is to take.
        defaults: What it takes if it can.
        methods: Finds a method of the schema, `encode_NAME` or `decode_NAME`; gives None if there
            is none.

    Raises:
        TypeError: It is nothing of the kind; the text says so.
        CodecOptionError: It does not take an option, or not this value.
    """
    if given is None or (isinstance(given, type) and issubclass(given, enum.Enum)):
        return _of_object(make(given, options, defaults))
    if isinstance(given, str):
        encode, decode = methods(f"encode_{given}"), methods(f"decode_{given}")
        if encode is None and decode is None:
            try:
                return _of_object(make(given, options, defaults))
            except UnknownCodecError:
                return _unknown(given)
        _refuse_options(given, options, "is a codec of the schema, which takes no {}")
        return Resolved(
            given,
            given,
            _function(f"encode_{given}", encode, f"the schema has no encode_{given}"),
            _function(f"decode_{given}", decode, f"the schema has no decode_{given}"),
        )
    if isinstance(given, type):
        raise TypeError(f"codec is the class {given.__name__}; give an instance of it")
    encode, decode = getattr(given, "encode", None), getattr(given, "decode", None)
    # Strings of bytes have a decode of their own, which is no codec's.
    if isinstance(given, bytes | bytearray) or not (callable(encode) or callable(decode)):
        text = f"codec is {shown(given)}; write a codec's name, or give an object that can decode"
        raise TypeError(text)
    resolved = _of_object(given)
    _refuse_options(resolved.name, options, "is made already; give it {} when you make it")
    return resolved


def _of_object(codec: Any) -> Resolved:
    if isinstance(codec, Codec):  # whose methods are known, so that they need not be looked into
        return Resolved(
            codec,
            codec.name,
            Function("encode", codec.encode, takes_metadata=True),
            Function("decode", codec.decode, takes_metadata=True),
        )
    name = type(codec).__name__
    return Resolved(
        codec,
        name,
        _function("encode", getattr(codec, "encode", None), f"codec {name} has no encode"),
        _function("decode", getattr(codec, "decode", None), f"codec {name} has no decode"),
    )


def _unknown(name: str) -> Resolved:
    mend = did_you_mean(name, NAMES)
    mend = f"; {mend}" if mend else ""
    encode, decode = f"encode_{name}", f"decode_{name}"
    none = f"there is no built-in codec {shown(name)}, and the schema has no"
    return Resolved(
        name,
        name,
        Function(encode, None, lacking=f"{none} {shown(encode)[1:-1]}{mend}"),
        Function(decode, None, lacking=f"{none} {shown(decode)[1:-1]}{mend}"),
    )


def _refuse_options(name: str, options: MappingOf[str, Any], why: str) -> None:
    if options:
        problems = {option: f"codec {name} {why.format(option)}" for option in options}
        raise CodecOptionError(name, problems)


def _function(name: str, call: Any, none: str) -> Function:
    if call is None:
        return Function(name, None, lacking=none)
    if not callable(call):
        return Function(name, None, lacking=f"{name} is no function")
    try:
        signature = inspect.signature(call)
    except ValueError:  # a builtin that does not tell
        return Function(name, call)
    if next(iter(signature.parameters), None) == "self":
        return Function(name, None, lacking=f"{name} takes self; make it a staticmethod")
    for count in (2, 1):
        try:
            signature.bind(*[None] * count)
        except TypeError:
            continue
        return Function(name, call, takes_metadata=count == 2)
    text = f"{name} takes neither a value alone nor a value and metadata"
    return Function(name, None, lacking=text)
