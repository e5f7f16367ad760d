# SPDX-License-Identifier: Apache-2.0
"""What a codec is, and what the built-in ones have in common."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from heliograph.modboss.errors import NotAValueError, shown

if TYPE_CHECKING:
    from collections.abc import Callable

    from heliograph.modboss.mapping import Metadata

__all__ = ["Codec", "RegisterCodec"]

T = TypeVar("T")


class Codec(Generic[T]):
    """Base of the built-in codecs; one of your own needs only the two methods.

    Attributes:
        name: What it is called in schemas and messages.
        registers: How many registers a value takes; None if the mapping says it.
        bits: Whether it can stand for coils and discrete inputs.
    """

    name: str
    registers: int | None = None
    bits: ClassVar[bool] = False

    def encode(self, value: T, metadata: Metadata, /) -> Any:
        """Encode a value into one register or bit, or a list of them.

        Raises:
            CodecError: The encoding cannot hold the value.
            NotAValueError: It is no value of this encoding at all.
        """
        raise NotImplementedError

    def decode(self, value: Any, metadata: Metadata, /) -> T:
        """Decode one register or bit, or a list of them.

        Raises:
            CodecError: The encoding gives them no meaning.
            NotAValueError: They are no registers or bits.
        """
        raise NotImplementedError

    def compiled(self, address_count: int) -> tuple[str | None, Callable[[Any], Any] | None]:
        """The big-endian `struct` code of that many registers, and what turns it into the value."""
        return None, None


class RegisterCodec(Codec[T]):
    """A codec that sees its registers as bytes, the high byte of each register first."""

    def to_bytes(self, value: T, size: int) -> bytes:
        """Encode a value into that many bytes."""
        raise NotImplementedError

    def from_bytes(self, data: bytes) -> T:
        """Decode the bytes of all registers of the mapping."""
        raise NotImplementedError

    def encode(self, value: T, metadata: Metadata, /) -> list[int]:
        count = metadata.address_count
        return list(struct.unpack(f">{count}H", self.to_bytes(value, 2 * count)))

    def decode(self, value: Any, metadata: Metadata, /) -> T:
        registers = value if isinstance(value, list) else [value]
        try:
            data = struct.pack(f">{len(registers)}H", *registers)
        except struct.error:
            raise NotAValueError(f"{shown(value)} is not made of 16 bit registers") from None
        return self.from_bytes(data)

    def compiled(self, address_count: int) -> tuple[str | None, Callable[[Any], Any] | None]:
        return f"{2 * address_count}s", self.from_bytes
