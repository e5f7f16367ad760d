# SPDX-License-Identifier: Apache-2.0
"""From what a definition says of its codec to the functions that encode and decode."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from heliograph.modboss.codecs.base import Codec
from heliograph.modboss.codecs.original import Ascii, Boolean, Raw, SignedInt, UnsignedInt
from heliograph.modboss.errors import shown
from heliograph.modboss.mapping import BITS, ObjectType

__all__ = ["BUILT_IN", "Function", "Resolved", "resolve"]

BUILT_IN: Final[dict[str, Codec[Any]]] = {
    codec.name: codec for codec in (Raw(), Boolean(), UnsignedInt(), SignedInt(), Ascii())
}
"""The built-in codecs by name."""


@dataclass(frozen=True, slots=True)
class Function:
    """One direction of a codec."""

    name: str
    call: Callable[..., Any] | None
    """None if there is no such function, or it cannot be called with one argument or two."""
    takes_metadata: bool = False
    lacking: str = ""
    """Why there is none, and the mend."""


@dataclass(frozen=True, slots=True)
class Resolved:
    """A codec, and what to call."""

    codec: Any
    name: str
    encoder: Function
    decoder: Function

    def compiled(
        self, object_type: ObjectType, count: int
    ) -> tuple[str | None, Callable[[Any], Any] | None]:
        """The code of `struct` that decodes such registers, and what finishes it."""
        if object_type in BITS or not isinstance(self.codec, Codec):
            return None, None
        return self.codec.compiled(count)


def resolve(given: Any, methods: Callable[[str], Any]) -> Resolved | str:
    """Find the codec that a definition asks for.

    Args:
        given: None for raw; the name of a built-in codec, or of two methods of the schema; or an
            object that has the methods itself.
        methods: Finds a method of the schema, `encode_NAME` or `decode_NAME`; gives None if there
            is none.

    Returns:
        The codec, or what is wrong with what was given.
    """
    if given is None:
        given = "raw"
    if isinstance(given, str):
        encode, decode = methods(f"encode_{given}"), methods(f"decode_{given}")
        if encode is None and decode is None and given in BUILT_IN:
            codec: Any = BUILT_IN[given]
            encode, decode = codec.encode, codec.decode
        else:
            codec = given
        return Resolved(
            codec,
            given,
            _function(f"encode_{given}", encode, "the schema"),
            _function(f"decode_{given}", decode, "the schema"),
        )
    encode, decode = getattr(given, "encode", None), getattr(given, "decode", None)
    if not (callable(encode) or callable(decode)) or isinstance(given, (str, bytes)):
        return f"codec {shown(given)} has no encode and no decode method"
    name = given.name if isinstance(given, Codec) else type(given).__name__
    return Resolved(
        given,
        name,
        _function("encode", encode, f"codec {name}"),
        _function("decode", decode, f"codec {name}"),
    )


def _function(name: str, call: Any, owner: str) -> Function:
    if call is None:
        return Function(name, None, lacking=f"{owner} has no {name}")
    takes = _arguments(call)
    if takes is None:
        return Function(
            name, None, lacking=f"{name} of {owner} takes neither one nor two arguments"
        )
    return Function(name, call, takes_metadata=takes == 2)


def _arguments(call: Any) -> int | None:
    """How many of a value and metadata a function takes; None if it takes neither one nor two."""
    if not callable(call):
        return None
    try:
        signature = inspect.signature(call)
    except ValueError:  # a builtin that does not tell
        return 1
    for count in (2, 1):
        try:
            signature.bind(*[None] * count)
        except TypeError:
            continue
        return count
    return None
