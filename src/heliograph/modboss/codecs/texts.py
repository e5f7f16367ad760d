# SPDX-License-Identifier: Apache-2.0
"""Texts beyond ASCII, bytes, and the addresses of networks."""

from __future__ import annotations

import ipaddress
import re
from abc import abstractmethod
from typing import TYPE_CHECKING, Final, Literal, TypeAlias, TypeVar

from heliograph.modboss.codecs.base import Order, RegisterCodec
from heliograph.modboss.errors import CodecError, NotAValueError, shown

if TYPE_CHECKING:
    from heliograph.modboss.codecs.base import Endian

__all__ = ["Bytes", "IPv4", "IPv6", "Mac", "Pad", "Utf8"]

_T = TypeVar("_T")

Pad: TypeAlias = Literal["nul", "space"]
"""What fills up the registers behind a text."""

_PADS: Final[dict[Pad, bytes]] = {"nul": b"\0", "space": b" "}


class _Ordered(RegisterCodec[_T]):
    """A codec whose registers, or the bytes in them, may come in another order.

    Args:
        word_order: Order of the registers.
        byte_order: Order of the bytes in each.

    Raises:
        ValueError: An option has a value that it cannot have.
    """

    def __init__(self, word_order: Endian = "big", byte_order: Endian = "big") -> None:
        self._order = Order(word_order, byte_order)

    @abstractmethod
    def encode_bytes(self, value: _T, size: int, /) -> bytes:
        """Encode into big-endian bytes."""

    @abstractmethod
    def decode_bytes(self, data: bytes, /) -> _T:
        """Decode big-endian bytes."""

    def to_bytes(self, value: _T, size: int, /) -> bytes:
        return self._order(self.encode_bytes(value, size))

    def from_bytes(self, data: bytes, /) -> _T:
        return self.decode_bytes(self._order(data))


class Utf8(_Ordered[str]):
    """Text in UTF-8, two bytes a register, filled up with NUL; it ends at the first one.

    Args:
        byte_order: `little` if the first byte lies in the low half of a register.
        pad: What fills registers up behind the text: `nul`, or `space`, which is then taken off
            the end when the text is decoded.

    Raises:
        ValueError: An option has a value that it cannot have.
    """

    name = "utf8"

    def __init__(self, byte_order: Endian = "big", pad: Pad = "nul") -> None:
        super().__init__("big", byte_order)
        if pad not in _PADS:
            raise ValueError(f"pad is {shown(pad)}; it must be 'nul' or 'space'")
        self._pad = _PADS[pad]

    def encode_bytes(self, value: str, size: int, /) -> bytes:
        if not isinstance(value, str):
            raise NotAValueError(f"text is encoded from a string, not {shown(value)}")
        try:
            data = value.encode()
        except UnicodeEncodeError:
            text = f"{shown(value)} has lone surrogates, which are no characters"
            raise CodecError(text, "not_utf8") from None
        if b"\0" in data:
            raise CodecError(f"{shown(value)} has a NUL, at which it would be cut", "has_nul")
        if len(data) > size:
            registers = size // 2
            text = f"its {len(data)} bytes of UTF-8 do not fit {registers} registers of 2 bytes"
            raise CodecError(text, "text_too_long", registers=registers, max_bytes=size)
        return data.ljust(size, self._pad)

    def decode_bytes(self, data: bytes, /) -> str:
        text = data.partition(b"\0")[0]
        if self._pad == b" ":
            text = text.rstrip(b" ")
        try:
            return text.decode()
        except UnicodeDecodeError as error:
            detail = f"byte 0x{text[error.start]:02x} is not UTF-8"
            raise CodecError(detail, "not_utf8", position=error.start) from None


class Bytes(_Ordered[bytes]):
    """Bytes as they are, two a register, as many as the registers hold."""

    name = "bytes"

    def encode_bytes(self, value: bytes, size: int, /) -> bytes:
        if not isinstance(value, bytes | bytearray | memoryview):
            raise NotAValueError(f"bytes are encoded from bytes, not {shown(value)}")
        data = bytes(value)
        if len(data) != size:
            text = f"{len(data)} bytes are not the {size} that the registers hold"
            raise CodecError(text, "wrong_length", expected=size, received=len(data))
        return data

    def decode_bytes(self, data: bytes, /) -> bytes:
        return data


class IPv4(_Ordered[ipaddress.IPv4Address]):
    """An IPv4 address in two registers, the first octet in the high byte of the first."""

    name = "ipv4"
    registers: int | None = 2

    def encode_bytes(self, value: ipaddress.IPv4Address | str, _size: int, /) -> bytes:
        return _address(ipaddress.IPv4Address, value).packed

    def decode_bytes(self, data: bytes, /) -> ipaddress.IPv4Address:
        return ipaddress.IPv4Address(data)


class IPv6(_Ordered[ipaddress.IPv6Address]):
    """An IPv6 address in eight registers, in the order in which it is written."""

    name = "ipv6"
    registers: int | None = 8

    def encode_bytes(self, value: ipaddress.IPv6Address | str, _size: int, /) -> bytes:
        address = _address(ipaddress.IPv6Address, value)
        if address.scope_id is not None:
            raise CodecError(f"{address} has a scope, for which there is no room", "has_scope")
        return address.packed

    def decode_bytes(self, data: bytes, /) -> ipaddress.IPv6Address:
        return ipaddress.IPv6Address(data)


class Mac(_Ordered[str]):
    """A MAC address in three registers, as a text like `00:1a:2b:3c:4d:5e`."""

    name = "mac"
    registers: int | None = 3

    def encode_bytes(self, value: str, _size: int, /) -> bytes:
        if not isinstance(value, str):
            raise NotAValueError(f"a MAC address is encoded from a string, not {shown(value)}")
        if not _MAC.fullmatch(value):
            text = f"{shown(value)} is not six pairs of hexadecimal digits with colons between them"
            raise CodecError(text, "not_an_address")
        return bytes.fromhex(re.sub("[:-]", "", value))

    def decode_bytes(self, data: bytes, /) -> str:
        return data.hex(":")


_PAIR: Final = "[0-9a-fA-F]{2}"
_MAC: Final = re.compile(f"(?:{_PAIR}:){{5}}{_PAIR}|(?:{_PAIR}-){{5}}{_PAIR}")

_A = TypeVar("_A", ipaddress.IPv4Address, ipaddress.IPv6Address)


def _address(kind: type[_A], value: object) -> _A:
    if isinstance(value, kind):
        return value
    if not isinstance(value, str):
        raise NotAValueError(f"an IP address is encoded from one, or a string, not {shown(value)}")
    try:
        return kind(value)
    except ValueError as error:
        raise CodecError(str(error), "not_an_address") from None
