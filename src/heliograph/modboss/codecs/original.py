# SPDX-License-Identifier: Apache-2.0
"""The five encodings of ModBoss 0.2.0, which behave as its own do.

Two things are mended: a negative `signed_int` is encoded as two's complement, and `unsigned_int`
refuses floats.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from heliograph.modboss.codecs.base import Codec, Order
from heliograph.modboss.errors import CodecError, NotAValueError, shown

if TYPE_CHECKING:
    from heliograph.modboss.codecs.base import Compiled, Endian
    from heliograph.modboss.mapping import Metadata

__all__ = ["Ascii", "Boolean", "Raw", "SignedInt", "UnsignedInt"]


class Raw(Codec[Any]):
    """Registers and bits as they are: one as a number, several as a list."""

    name = "raw"
    bits = True

    def encode(self, value: Any, _metadata: Metadata, /) -> Any:
        return value

    def decode(self, value: Any, _metadata: Metadata, /) -> Any:
        return value


class Boolean(Codec[bool]):
    """False and True as 0 and 1."""

    name = "boolean"
    bits = True

    def encode(self, value: Any, _metadata: Metadata, /) -> int:
        if value is True:
            return 1
        if value is False:
            return 0
        raise NotAValueError(f"a boolean is encoded from True or False, not {shown(value)}")

    def decode(self, value: Any, _metadata: Metadata, /) -> bool:
        if type(value) is int:
            if value == 1:
                return True
            if value == 0:
                return False
        raise NotAValueError(f"a boolean is decoded from 0 or 1, not {shown(value)}")

    def compiled(self, count: int) -> Compiled:
        return ("H", {0: False, 1: True}.__getitem__) if count == 1 else (None, None)


class _SixteenBits(Codec[int]):
    lowest: ClassVar[int]
    highest: ClassVar[int]
    code: ClassVar[str]
    bits = True

    def encode(self, value: Any, _metadata: Metadata, /) -> int:
        if type(value) is int and self.lowest <= value <= self.highest:
            return value & 0xFFFF
        text = f"{shown(value)} is not an integer from {self.lowest} to {self.highest}"
        if isinstance(value, dict | tuple):  # which the original fails to print, and so raises
            raise NotAValueError(text)
        raise CodecError(text, "out_of_range", codec=self.name, value=value)

    def decode(self, value: Any, _metadata: Metadata, /) -> int:
        if type(value) is not int:
            raise NotAValueError(f"{self.name} is decoded from one register, not {shown(value)}")
        # Whatever the device driver gives, only its low 16 bits count, as in the original.
        number: int = value & 0xFFFF
        return number if number <= self.highest else number - 0x10000

    def compiled(self, count: int) -> Compiled:
        return (self.code if count == 1 else None), None


class UnsignedInt(_SixteenBits):
    """An integer from 0 to 65535 in one register."""

    name = "unsigned_int"
    lowest = 0
    highest = 0xFFFF
    code = "H"


class SignedInt(_SixteenBits):
    """An integer from -32768 to 32767 in one register, as two's complement."""

    name = "signed_int"
    lowest = -0x8000
    highest = 0x7FFF
    code = "h"


class Ascii(Codec[str]):
    """Text, two characters a register, the first in the high byte, filled up with NUL.

    Text is encoded into holding registers only, and ends at the first NUL when it is decoded. Bytes
    above 127, which encoding refuses, are decoded as Latin-1.

    Args:
        byte_order: `little` if the first character lies in the low half of a register.

    Raises:
        ValueError: It is no order.
    """

    name = "ascii"
    bits = True

    def __init__(self, byte_order: Endian = "big") -> None:
        self._order = Order("big", byte_order)

    def encode(self, value: Any, metadata: Metadata, /) -> list[int]:
        if not isinstance(value, str):
            raise NotAValueError(f"text is encoded from a string, not {shown(value)}")
        if metadata.object_type != "holding_register":
            raise NotAValueError(f"text fits holding registers only, not a {metadata.object_type}")
        # DEL is refused with what lies above it, as in the original.
        if any(character >= "\x7f" for character in value):
            raise CodecError(f"{shown(value)} has characters that are not ASCII", "not_ascii")
        count = metadata.address_count
        if len(value) > 2 * count:
            detail = f"{len(value)} characters do not fit {count} registers of 2 characters"
            raise CodecError(detail, "text_too_long", registers=count, max_chars=2 * count)
        data = self._order(value.encode("ascii").ljust(2 * count, b"\0"))
        return [data[at] << 8 | data[at + 1] for at in range(0, len(data), 2)]

    def decode(self, value: Any, _metadata: Metadata, /) -> str:
        registers = value if isinstance(value, list) else [value]
        if not all(type(register) is int for register in registers):
            raise NotAValueError(f"text is decoded from registers, not {shown(value)}")
        data = b"".join([(register & 0xFFFF).to_bytes(2, "big") for register in registers])
        return self._text(data)

    def compiled(self, count: int) -> Compiled:
        return f"{2 * count}s", self._text

    def _text(self, data: bytes) -> str:
        return self._order(data).partition(b"\0")[0].decode("latin-1")
