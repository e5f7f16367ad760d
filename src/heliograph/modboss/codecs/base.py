# SPDX-License-Identifier: Apache-2.0
"""What a codec is, and what the built-in ones have in common."""

from __future__ import annotations

import struct
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, Generic, Literal, TypeAlias, TypeVar, get_args

from heliograph.modboss.errors import NotAValueError, shown

if TYPE_CHECKING:
    from heliograph.modboss.mapping import Metadata

__all__ = ["Codec", "Compiled", "Endian", "Order", "RegisterCodec"]

_T = TypeVar("_T")

Endian: TypeAlias = Literal["big", "little"]
"""What comes first: `big` the most significant part, `little` the least significant one."""

Compiled: TypeAlias = "tuple[str | None, Callable[[Any], Any] | None]"
"""A code of `struct` for big-endian registers, and what turns what it unpacks into the value."""

_ENDIANS: Final = get_args(Endian)


class Codec(ABC, Generic[_T]):
    """Base of the built-in codecs; one of your own needs no base, only the two methods.

    Attributes:
        name: What it is called in schemas and messages.
        registers: How many registers a value takes; None if the mapping says it.
        bits: Whether it can stand for coils and discrete inputs.
    """

    name: str
    registers: int | None = None
    bits: bool = False

    @abstractmethod
    def encode(self, value: _T, metadata: Metadata, /) -> Any:
        """Encode a value into one register or bit, or a list of them.

        Raises:
            CodecError: The encoding cannot hold the value.
            NotAValueError: It is no value of this encoding at all.
        """

    @abstractmethod
    def decode(self, value: Any, metadata: Metadata, /) -> _T:
        """Decode one register or bit, or a list of them.

        Raises:
            CodecError: The encoding gives them no meaning.
            NotAValueError: They are no registers or bits.
        """

    def fitted(self, count: int) -> Codec[_T]:  # noqa: ARG002 - for those that depend on it
        """The codec for a mapping of that many addresses: itself, if the count makes no difference.

        Raises:
            ValueError: It cannot have so many; the text says how many.
        """
        return self

    def compiled(self, count: int) -> Compiled:  # noqa: ARG002 - for those that can be compiled
        """How `struct` decodes that many registers; a pair of None if it does not."""
        return None, None

    def __repr__(self) -> str:
        return f"<codec {self.name}>"


class RegisterCodec(Codec[_T]):
    """A codec that sees its registers as bytes, the high byte of each register first."""

    @abstractmethod
    def to_bytes(self, value: _T, size: int, /) -> bytes:
        """Encode a value into that many bytes.

        Raises:
            CodecError: The encoding cannot hold the value.
        """

    @abstractmethod
    def from_bytes(self, data: bytes, /) -> _T:
        """Decode the bytes of all registers of the mapping.

        Raises:
            CodecError: The encoding gives them no meaning.
        """

    def encode(self, value: _T, metadata: Metadata, /) -> list[int]:
        count = metadata.address_count
        return list(struct.unpack(f">{count}H", self.to_bytes(value, 2 * count)))

    def decode(self, value: Any, _metadata: Metadata, /) -> _T:
        registers = value if isinstance(value, list) else [value]
        try:
            data = struct.pack(f">{len(registers)}H", *registers)
        except struct.error:
            raise NotAValueError(f"{shown(value)} is not made of 16 bit registers") from None
        return self.from_bytes(data)

    def fitted(self, count: int) -> Codec[_T]:
        if self.registers is not None and count != self.registers:
            raise ValueError(f"{self.name} takes {self.registers} registers, not {count}")
        return self

    def compiled(self, count: int) -> Compiled:
        return f"{2 * count}s", self.from_bytes


class Order:
    """The order of the registers of a value, and of the two bytes in each.

    Args:
        word_order: `big` if the first register is the most significant one, as in most devices;
            `little` if the last one is. Modbus itself knows single registers only.
        byte_order: `big` as Modbus demands; `little` for devices that swap the bytes.

    Raises:
        ValueError: One is neither.
    """

    __slots__ = ("big", "byte_order", "word_order")

    def __init__(self, word_order: Endian = "big", byte_order: Endian = "big") -> None:
        for option, given in (("word_order", word_order), ("byte_order", byte_order)):
            if given not in _ENDIANS:
                raise ValueError(f"{option} is {shown(given)}; it must be 'big' or 'little'")
        self.word_order: Endian = word_order
        self.byte_order: Endian = byte_order
        self.big: bool = word_order == byte_order == "big"

    def __call__(self, data: bytes) -> bytes:
        """Bring bytes from the order of the registers to big-endian, or back."""
        if self.big:
            return data
        # The reverse of all bytes reverses the words and the bytes in each.
        if self.word_order == self.byte_order:
            return data[::-1]
        swapped = bytearray(len(data))
        swapped[::2], swapped[1::2] = data[1::2], data[::2]
        return bytes(swapped) if self.word_order == "big" else bytes(swapped[::-1])
