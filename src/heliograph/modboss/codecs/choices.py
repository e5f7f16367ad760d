# SPDX-License-Identifier: Apache-2.0
"""Numbers that stand for something else: enums, flags, and bit fields."""

from __future__ import annotations

import enum
from abc import abstractmethod
from collections.abc import Iterable
from collections.abc import Mapping as MappingOf
from copy import copy
from typing import TYPE_CHECKING, Any, TypeVar

from heliograph.modboss.codecs.base import Codec, RegisterCodec
from heliograph.modboss.codecs.numbers import integer
from heliograph.modboss.errors import CodecError, NotAValueError, listed, shown

if TYPE_CHECKING:
    from heliograph.modboss.codecs.base import Compiled, Endian
    from heliograph.modboss.codecs.numbers import IntName

__all__ = ["BitField", "Bits", "Choice", "Enumeration", "NamedFlags"]

_T = TypeVar("_T")
_E = TypeVar("_E", bound=enum.Enum)

_UNSIGNED: dict[int, IntName] = {1: "uint16", 2: "uint32", 4: "uint64"}


class _OnInteger(RegisterCodec[_T]):
    """A codec that gives the integers of one, two or four registers another meaning.

    Args:
        base: The integer's encoding; the unsigned one of as many registers as the mapping has, if
            None.
        word_order: Order of the registers.
        byte_order: Order of the bytes in each.
    """

    def __init__(
        self,
        base: IntName | None = None,
        word_order: Endian = "big",
        byte_order: Endian = "big",
    ) -> None:
        self._order: tuple[Endian, Endian] = word_order, byte_order
        self._base = integer(base or "uint16", word_order, byte_order)
        self.registers: int | None = self._base.registers if base is not None else None

    @abstractmethod
    def to_number(self, value: _T, /) -> int:
        """Encode into an integer."""

    @abstractmethod
    def from_number(self, number: int, /) -> _T:
        """Decode an integer."""

    @abstractmethod
    def numbers(self) -> Iterable[int]:
        """All numbers that it must be able to encode."""

    def fitted(self, count: int) -> Codec[_T]:
        if self.registers is None:
            if count not in _UNSIGNED:
                raise ValueError(f"{self.name} takes 1, 2 or 4 registers, not {count}")
            fitted = copy(self)
            fitted._base = integer(_UNSIGNED[count], *self._order)
        else:
            fitted = self
            super().fitted(count)
        for number in self.numbers():
            try:
                fitted._base.to_bytes(number, 2 * count)
            except CodecError:
                text = f"{self.name} has {number}, which {fitted._base.name} cannot hold"
                raise ValueError(text) from None
        return fitted

    def to_bytes(self, value: _T, size: int, /) -> bytes:
        return self._base.to_bytes(self.to_number(value), size)

    def from_bytes(self, data: bytes, /) -> _T:
        number: int = self._base.from_bytes(data)
        return self.from_number(number)

    def compiled(self, count: int) -> Compiled:
        code, finish = self._base.compiled(count)
        return (code, self.from_number) if finish is None else (code, self.from_bytes)


class Enumeration(_OnInteger[_E]):
    """A member of an `enum.Enum` whose values are integers, or a set of them if it is a `Flag`.

    Args:
        members: The class.
        base: The integer's encoding.
        word_order: Order of the registers.
        byte_order: Order of the bytes in each.

    Raises:
        ValueError: It has no members, or values that are no integers, or an option has a value that
            it cannot have.
    """

    def __init__(
        self,
        members: type[_E],
        base: IntName | None = None,
        word_order: Endian = "big",
        byte_order: Endian = "big",
    ) -> None:
        super().__init__(base, word_order, byte_order)
        self.name: str = members.__name__
        self._members = members
        values = [member.value for member in members.__members__.values()]
        if not values or not all(type(value) is int for value in values):
            raise ValueError(f"{self.name} must have members, and integers as their values")
        self._numbers = values
        self._by_number: dict[int, _E] = (
            {} if issubclass(members, enum.Flag) else {member.value: member for member in members}
        )

    def numbers(self) -> Iterable[int]:
        return self._numbers

    def to_number(self, value: Any, /) -> int:
        if not isinstance(value, self._members):
            text = f"{shown(value)} is no member of {self.name}"
            raise CodecError(text, "not_a_member", codec=self.name, value=value)
        number: int = value.value
        return number

    def from_number(self, number: int, /) -> _E:
        member = self._by_number.get(number)
        if member is not None:
            return member
        try:
            return self._members(number)
        except ValueError:
            raise _no_member(self.name, number, self._numbers) from None


class Choice(_OnInteger[str]):
    """One of several names, by number: an enum without a class, for data.

    Args:
        names: What each number is called, such as `{0: "off", 1: "auto"}`.
        base: The integer's encoding.
        word_order: Order of the registers.
        byte_order: Order of the bytes in each.

    Raises:
        ValueError: There are no names, or one stands twice, or an option has a value that it cannot
            have.
    """

    name = "enum"

    def __init__(
        self,
        names: MappingOf[int, str],
        base: IntName | None = None,
        word_order: Endian = "big",
        byte_order: Endian = "big",
    ) -> None:
        super().__init__(base, word_order, byte_order)
        self._names = _checked_names("enum", names)
        self._by_name = {name: number for number, name in names.items()}

    def numbers(self) -> Iterable[int]:
        return self._names

    def to_number(self, value: Any, /) -> int:
        number = self._by_name.get(value) if isinstance(value, str) else None
        if number is None:
            text = f"{shown(value)} is none of {listed([*self._by_name])}"
            raise CodecError(text, "not_a_member", codec=self.name, value=value)
        return number

    def from_number(self, number: int, /) -> str:
        try:
            return self._names[number]
        except KeyError:
            raise _no_member(self.name, number, self._names) from None


class NamedFlags(_OnInteger[frozenset[str]]):
    """The names of the bits that are set: flags without a class, for data.

    A set bit without a name is called `bit` and its number, so that nothing is lost.

    Args:
        names: What each bit is called, such as `{0: "alarm", 15: "running"}`; bit 0 is the least
            significant one.
        base: The integer's encoding.
        word_order: Order of the registers.
        byte_order: Order of the bytes in each.

    Raises:
        ValueError: There are no names, or one stands twice, or an option has a value that it cannot
            have.
    """

    name = "flags"

    def __init__(
        self,
        names: MappingOf[int, str],
        base: IntName | None = None,
        word_order: Endian = "big",
        byte_order: Endian = "big",
    ) -> None:
        super().__init__(base, word_order, byte_order)
        self._names = _checked_names("flags", names)
        if any(bit < 0 or bit > 63 for bit in self._names):
            raise ValueError(f"flags have bits from 0 to 63, not {sorted(self._names)}")
        self._bits = {f"bit{bit}": bit for bit in range(64) if bit not in names}
        self._bits |= {name: bit for bit, name in names.items()}

    def numbers(self) -> Iterable[int]:
        return [1 << bit for bit in self._names]

    def to_number(self, value: Any, /) -> int:
        if isinstance(value, str) or not isinstance(value, Iterable):
            raise NotAValueError(f"flags are encoded from a set of names, not {shown(value)}")
        number = 0
        for name in value:
            bit = self._bits.get(name)
            if bit is None:
                text = f"{shown(name)} is none of {listed([*self._names.values()])}"
                raise CodecError(text, "not_a_member", codec=self.name, value=name)
            number |= 1 << bit
        return number

    def from_number(self, number: int, /) -> frozenset[str]:
        names, found = self._names, []
        while number:
            lowest = number & -number
            bit = lowest.bit_length() - 1
            found.append(names.get(bit) or f"bit{bit}")
            number ^= lowest
        return frozenset(found)


class BitField(_OnInteger[dict[str, int]]):
    """Several small numbers in one integer, each in bits of its own.

    Values are dicts of numbers. Bits that belong to no part are not told, and written as 0.

    Args:
        parts: The bits of each part, such as `{"running": 0, "stage": (1, 3)}`: a bit, or the first
            and the last one; bit 0 is the least significant one.
        base: The integer's encoding.
        word_order: Order of the registers.
        byte_order: Order of the bytes in each.

    Raises:
        ValueError: There are no parts, or they overlap, or an option has a value that it cannot
            have.
    """

    name = "bitfield"

    def __init__(
        self,
        parts: MappingOf[str, int | tuple[int, int]],
        base: IntName | None = None,
        word_order: Endian = "big",
        byte_order: Endian = "big",
    ) -> None:
        super().__init__(base, word_order, byte_order)
        given: Any = parts
        if not isinstance(given, MappingOf) or not given:
            raise ValueError(f"a bit field has parts such as {{'running': 0}}, not {shown(parts)}")
        self._parts: dict[str, tuple[int, int]] = {}
        taken = 0
        for name, bits in given.items():
            first, last = _first_and_last(name, bits)
            mask = (1 << last - first + 1) - 1
            if taken & mask << first:
                raise ValueError(f"bits of {shown(name)} belong to another part, too")
            taken |= mask << first
            self._parts[name] = first, mask
        self._taken = taken

    def numbers(self) -> Iterable[int]:
        return [self._taken]

    def to_number(self, value: Any, /) -> int:
        if not isinstance(value, MappingOf):
            raise NotAValueError(f"a bit field is encoded from a dict, not {shown(value)}")
        if value.keys() != self._parts.keys():
            text = f"{shown(dict(value))} must have exactly {listed([*self._parts])}"
            raise CodecError(text, "not_a_member", codec=self.name, value=value)
        number = 0
        for name, (first, mask) in self._parts.items():
            part = value[name]
            if not isinstance(part, int) or not 0 <= part <= mask:
                text = f"{name} is {shown(part)}, which is not an integer from 0 to {mask}"
                raise CodecError(text, "out_of_range", codec=self.name, value=part)
            number |= part << first
        return number

    def from_number(self, number: int, /) -> dict[str, int]:
        return {name: number >> first & mask for name, (first, mask) in self._parts.items()}


class Bits(Codec[list[bool]]):
    """Bits as a list of booleans.

    Those of coils and discrete inputs are in their order, those of registers the least significant
    one first.
    """

    name = "bits"
    bits = True

    def encode(self, value: Any, metadata: Any, /) -> list[int]:
        if not isinstance(value, list | tuple) or not all(type(bit) is bool for bit in value):
            raise NotAValueError(f"bits are encoded from a list of booleans, not {shown(value)}")
        per_address = 16 if metadata.object_type.endswith("register") else 1
        wanted = per_address * metadata.address_count
        if len(value) != wanted:
            text = f"{len(value)} bits are not the {wanted} of the mapping"
            raise CodecError(text, "wrong_length", expected=wanted, received=len(value))
        return [
            sum(bit << at for at, bit in enumerate(value[first : first + per_address]))
            for first in range(0, wanted, per_address)
        ]

    def decode(self, value: Any, metadata: Any, /) -> list[bool]:
        addresses = value if isinstance(value, list) else [value]
        if not all(isinstance(each, int) for each in addresses):
            raise NotAValueError(f"bits are decoded from integers, not {shown(value)}")
        per_address = 16 if metadata.object_type.endswith("register") else 1
        return [bool(each >> at & 1) for each in addresses for at in range(per_address)]


def _checked_names(what: str, names: Any) -> dict[int, str]:
    if not isinstance(names, MappingOf) or not names:
        raise ValueError(f"{what} has names by number, such as {{0: 'off'}}, not {shown(names)}")
    for number, name in names.items():
        if type(number) is not int or not isinstance(name, str) or not name:
            raise ValueError(
                f"{what} has {shown(number)}: {shown(name)}; write a number and a name"
            )
    if len(set(names.values())) < len(names):
        raise ValueError(f"{what} has a name twice: {listed([*names.values()])}")
    return dict(names)


def _first_and_last(name: str, bits: Any) -> tuple[int, int]:
    pair = bits if isinstance(bits, tuple) else (bits, bits)
    if len(pair) == 2 and all(type(bit) is int for bit in pair):
        first, last = pair
        if 0 <= first <= last <= 63:
            return first, last
    raise ValueError(
        f"bits of {shown(name)} are {shown(bits)}; write a bit or (first, last), in a file 1-3"
    )


def _no_member(name: str, number: int, numbers: Iterable[int]) -> CodecError:
    text = f"{number} is no member of {name}, which has {listed([*numbers])}"
    return CodecError(text, "not_a_member", codec=name, value=number)
