# SPDX-License-Identifier: Apache-2.0
"""Several values of one encoding, one after the other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from heliograph.modboss.codecs.base import RegisterCodec
from heliograph.modboss.errors import CodecError, NotAValueError, shown

if TYPE_CHECKING:
    from heliograph.modboss.codecs.base import Codec

__all__ = ["Array"]

_T = TypeVar("_T")


class Array(RegisterCodec[list[_T]]):
    """A list of values. Orders of words and bytes are those of each element.

    Args:
        element: Encoding of each; it says how many registers an element takes.
        length: How many elements; as many as the registers of the mapping hold, if None.

    Raises:
        ValueError: The element does not say how many registers it takes, or the length is below 1.
    """

    def __init__(self, element: Codec[_T], length: int | None = None) -> None:
        if not isinstance(element, RegisterCodec) or element.registers is None:
            raise ValueError(f"an array of {element} needs elements that know their registers")
        if length is not None and (type(length) is not int or length < 1):
            raise ValueError(f"the length of an array is {shown(length)}; it must be from 1")
        self._element: RegisterCodec[Any] = element
        self._size = 2 * element.registers
        self.name: str = f"{element.name}[{'' if length is None else length}]"
        self.registers: int | None = None if length is None else length * element.registers

    def fitted(self, count: int) -> Codec[list[_T]]:
        if 2 * count % self._size:
            each = self._size // 2
            raise ValueError(f"{self.name} takes multiples of {each} registers, not {count}")
        return super().fitted(count)

    def to_bytes(self, value: Any, size: int, /) -> bytes:
        if not isinstance(value, list | tuple):
            raise NotAValueError(f"an array is encoded from a list, not {shown(value)}")
        length = size // self._size
        if len(value) != length:
            text = f"{len(value)} elements are not the {length} that the registers hold"
            raise CodecError(text, "wrong_length", expected=length, received=len(value))
        parts = []
        for at, each in enumerate(value):
            try:
                parts.append(self._element.to_bytes(each, self._size))
            except CodecError as error:
                raise _at(at, error) from None
        return b"".join(parts)

    def from_bytes(self, data: bytes, /) -> list[_T]:
        values = []
        for at in range(0, len(data), self._size):
            try:
                values.append(self._element.from_bytes(data[at : at + self._size]))
            except CodecError as error:
                raise _at(at // self._size, error) from None
        return values


def _at(position: int, error: CodecError) -> CodecError:
    parameters = {**error.parameters, "element": position}
    return CodecError(f"element {position}: {error.detail}", error.code, **parameters)
