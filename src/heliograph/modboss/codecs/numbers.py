# SPDX-License-Identifier: Apache-2.0
"""Numbers: integers and floats of up to 64 bits, and binary coded decimals.

All of them can be scaled. Scaling is done with integers and fractions of them, so that the float a
caller gets is the one nearest to the decimal number that the device means: 215 at a scale of 0.1 is
21.5, never 21.500000000000004.
"""

from __future__ import annotations

import math
import operator
import struct
from collections.abc import Callable
from contextlib import suppress
from decimal import Context, Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from heliograph.modboss.codecs.base import Order, RegisterCodec
from heliograph.modboss.errors import CodecError, shown

if TYPE_CHECKING:
    from heliograph.modboss.codecs.base import Codec, Compiled, Endian

__all__ = [
    "BCD_REGISTERS",
    "Bcd",
    "FloatName",
    "IntName",
    "Number",
    "Scale",
    "floating",
    "integer",
]

IntName: TypeAlias = Literal["int16", "uint16", "int32", "uint32", "int64", "uint64"]
FloatName: TypeAlias = Literal["float16", "float32", "float64"]
Scale: TypeAlias = "int | float | str | Decimal"

_CODES: Final[dict[str, tuple[str, int]]] = {
    "int16": ("h", 1),
    "uint16": ("H", 1),
    "int32": ("i", 2),
    "uint32": ("I", 2),
    "int64": ("q", 4),
    "uint64": ("Q", 4),
    "float16": ("e", 1),
    "float32": ("f", 2),
    "float64": ("d", 4),
}

# Digits enough for every number on the wire and its scale; the caller's own context counts nothing.
_EXACT: Final = Context(prec=100)

_MAGNITUDE: Final = 400
"""Greatest power of ten that is reckoned with; a float ends at 308."""

BCD_REGISTERS: Final = 8
"""Most registers of a binary coded decimal: 32 digits. Ours to choose; meters have 12."""


class Number(RegisterCodec[Any]):
    """A number, as it is on the wire or scaled.

    Args:
        name: What to call it.
        registers: How many a value takes.
        pack: Makes big-endian bytes of the wire's number.
        unpack: Makes the wire's number of big-endian bytes.
        bounds: The least and the greatest number on the wire; None for floats.
        code: Code of `struct` for it, if there is one.
        order: Order of its registers and bytes.
        scale: What the wire's number is to be multiplied by. An `int` makes the values integers, a
            `float` or a string makes them floats, a `Decimal` makes them decimals.
        offset: What is added after scaling.
        missing: The wire's number that means that there is no value, which is then None; of a
            signed integer as a negative number, or as the registers show it.
        minimum: The least value that may be written, scaled.
        maximum: The greatest value that may be written, scaled.

    Raises:
        ValueError: An option has a value that it cannot have.
    """

    def __init__(
        self,
        name: str,
        registers: int,
        pack: Callable[[Any], bytes],
        unpack: Callable[[bytes], Any],
        bounds: tuple[int, int] | None,
        code: str | None,
        order: Order,
        *,
        scale: Scale | None = None,
        offset: Scale = 0,
        missing: float | None = None,
        minimum: Scale | None = None,
        maximum: Scale | None = None,
    ) -> None:
        self.name: str = name
        self.registers: int | None = registers
        self._pack = pack
        self._unpack = unpack
        self._bounds = bounds
        self._code = code
        self._order = order
        self._kind = _kind(scale, offset)
        self._scale = _fraction("scale", 1 if scale is None else scale)
        self._offset = _fraction("offset", offset)
        if not self._scale:
            raise ValueError("scale is 0, which would make all values the same")
        self._given = scale, offset
        self._scaled = self._scale != 1 or self._offset != 0 or self._kind is not int
        if bounds is None and self._kind is Decimal:
            raise ValueError(f"{name} is a float, which a Decimal cannot scale; use a float")
        self._minimum = None if minimum is None else _fraction("minimum", minimum)
        self._maximum = None if maximum is None else _fraction("maximum", maximum)
        self._missing = self._checked_missing(missing)
        self._finish = self._finisher()

    # -- Decoding ---------------------------------------------------------------------------------

    def from_bytes(self, data: bytes, /) -> Any:
        number = self._unpack(self._order(data))
        return number if self._finish is None else self._finish(number)

    def compiled(self, count: int) -> Compiled:
        if self._code is not None and self._order.big:
            return self._code, self._finish
        return super().compiled(count)

    def _finisher(self) -> Callable[[Any], Any] | None:
        """What makes a value of the wire's number; None if it is the value."""
        scaled = self._scaling() if self._scaled else None
        missing = self._missing
        if missing is None:
            return scaled
        if isinstance(missing, float) and math.isnan(missing):

            def unless_nan(number: Any) -> Any:
                if math.isnan(number):
                    return None
                return number if scaled is None else scaled(number)

            return unless_nan

        def unless_missing(number: Any) -> Any:
            if number == missing:
                return None
            return number if scaled is None else scaled(number)

        return unless_missing

    def _scaling(self) -> Callable[[Any], Any]:
        # value = (number * times + plus) / by, all three integers.
        by = math.lcm(self._scale.denominator, self._offset.denominator)
        times, plus = int(self._scale * by), int(self._offset * by)
        if self._kind is Decimal:
            # As they were given, so that 100 at a scale of 0.10 is 10.00.
            scale, offset = (Decimal(str(1 if each is None else each)) for each in self._given)
            return lambda number: _EXACT.fma(number, scale, offset)
        if self._kind is int:
            return lambda number: number * times + plus
        # The quotient of two integers is the float nearest to it: Python rounds it only once.
        return lambda number: (number * times + plus) / by

    # -- Encoding ---------------------------------------------------------------------------------

    def to_bytes(self, value: Any, _size: int, /) -> bytes:
        try:
            absent = value is None and self._missing is not None
            return self._order(self._pack(self._missing if absent else self._wire_number(value)))
        except (OverflowError, struct.error):
            raise self._out_of_range(value) from None

    def _wire_number(self, value: Any) -> Any:
        """What stands for a value on the wire."""
        if self._bounds is None:
            return self._wire_float(value)
        if not self._scaled:
            number = self._integer(value)
            self._check_limits(number, value)
        else:
            exact = self._exact(value)
            self._check_limits(exact, value)
            # To the nearest step of the device; halves to the even one.
            number = round((exact - self._offset) / self._scale)
        lowest, highest = self._bounds
        if not lowest <= number <= highest:
            raise self._out_of_range(value)
        if number == self._missing:
            detail = f"{shown(value)} is encoded as {number}, which means that there is no value"
            raise CodecError(detail, "out_of_range", codec=self.name, value=value)
        return number

    def _wire_float(self, value: Any) -> float:
        exact = self._exact(value)
        self._check_limits(exact, value)
        return float((exact - self._offset) / self._scale) if self._scaled else float(value)

    def _integer(self, value: Any) -> int:
        if not isinstance(value, bool):
            try:
                return operator.index(value)
            except TypeError:
                pass
        raise self._refusal(value, f"{shown(value)} is not an integer", "not_an_integer")

    def _exact(self, value: Any) -> Fraction:
        """A value as the decimal number that its author wrote."""
        if isinstance(value, bool | str | bytes):
            raise self._refusal(value, f"{shown(value)} is not a number", "not_a_number")
        try:
            if isinstance(value, float):
                return Fraction(repr(float(value)))
            if isinstance(value, Decimal) and value.is_finite() and _immense(value):
                raise self._out_of_range(value)
            return Fraction(value)
        except (OverflowError, ValueError):  # infinite, or NaN
            text = f"{shown(value)} is not a finite number"
            raise self._refusal(value, text, "not_finite") from None
        except TypeError:
            raise self._refusal(value, f"{shown(value)} is not a number", "not_a_number") from None

    def _check_limits(self, exact: Fraction | int, value: Any) -> None:
        for limit, beyond, word in (
            (self._minimum, operator.lt, "below the minimum"),
            (self._maximum, operator.gt, "above the maximum"),
        ):
            if limit is not None and beyond(exact, limit):
                text = f"{shown(value)} is {word} of {_decimal(limit)}"
                raise self._refusal(value, text, "out_of_range")

    def _refusal(self, value: Any, text: str, code: str) -> CodecError:
        return CodecError(text, code, codec=self.name, value=value)

    def _out_of_range(self, value: Any) -> CodecError:
        text = f"{shown(value)} is out of the range of {self.name}"
        if self._bounds is not None:
            ends = sorted([end * self._scale + self._offset for end in self._bounds])
            text += f", {_decimal(ends[0])} to {_decimal(ends[1])}"
        return self._refusal(value, text, "out_of_range")

    def _checked_missing(self, missing: Any) -> Any:
        if missing is None:
            return None
        if self._bounds is None:
            if isinstance(missing, int | float) and not isinstance(missing, bool):
                with suppress(OverflowError):
                    # As it comes back from the wire, where it may have fewer digits.
                    return self._unpack(self._pack(missing))
        elif type(missing) is int:
            lowest, highest = self._bounds
            # Manuals write 0x8000 where they mean -32768.
            unsigned = lowest < 0 and highest < missing <= highest - lowest
            number = missing + 2 * lowest if unsigned else missing
            if lowest <= number <= highest:
                return number
        raise ValueError(f"missing is {shown(missing)}, which is no number of {self.name}")


def integer(
    name: IntName, word_order: Endian = "big", byte_order: Endian = "big", **options: Any
) -> Number:
    """An integer of 16, 32 or 64 bits, signed as two's complement, or unsigned.

    Args:
        name: Such as `int32`.
        word_order: Order of the registers.
        byte_order: Order of the bytes in each.
        options: What `Number` takes.

    Raises:
        ValueError: An option has a value that it cannot have.
    """
    code, registers = _CODES[name]
    bits = 16 * registers
    bounds = (0, (1 << bits) - 1) if name[0] == "u" else (-1 << bits - 1, (1 << bits - 1) - 1)
    return _packed(name, code, registers, bounds, Order(word_order, byte_order), options)


def floating(
    name: FloatName, word_order: Endian = "big", byte_order: Endian = "big", **options: Any
) -> Number:
    """A float by IEEE 754 of 16, 32 or 64 bits; what is not finite is read, never written.

    Args:
        name: Such as `float32`.
        word_order: Order of the registers.
        byte_order: Order of the bytes in each.
        options: What `Number` takes.

    Raises:
        ValueError: An option has a value that it cannot have.
    """
    code, registers = _CODES[name]
    return _packed(name, code, registers, None, Order(word_order, byte_order), options)


class Bcd(RegisterCodec[Any]):
    """Decimal digits, four in a register, each in four bits, the first in the highest ones.

    It takes 1 to 8 registers, as the mapping says.

    Args:
        word_order: Order of the registers.
        byte_order: Order of the bytes in each.
        options: What `Number` takes.

    Raises:
        ValueError: An option has a value that it cannot have.
    """

    name = "bcd"

    def __init__(
        self, word_order: Endian = "big", byte_order: Endian = "big", **options: Any
    ) -> None:
        self._order = Order(word_order, byte_order)
        self._options = options
        # What is wrong with an option is wrong with it at every size.
        self._sized(BCD_REGISTERS)

    def fitted(self, count: int) -> Codec[Any]:
        if not 1 <= count <= BCD_REGISTERS:
            raise ValueError(f"bcd takes 1 to {BCD_REGISTERS} registers, not {count}")
        return self._sized(count)

    def to_bytes(self, value: Any, size: int, /) -> bytes:
        return self._sized(size // 2).to_bytes(value, size)

    def from_bytes(self, data: bytes, /) -> Any:
        return self._sized(len(data) // 2).from_bytes(data)

    def _sized(self, registers: int) -> Number:
        digits = 4 * registers

        def pack(number: int) -> bytes:
            return bytes.fromhex(f"{number:0{digits}d}")

        bounds = (0, 10**digits - 1)
        return Number(
            "bcd", registers, pack, _from_digits, bounds, None, self._order, **self._options
        )


def _from_digits(data: bytes) -> int:
    digits = data.hex()
    if not digits.isdecimal():
        raise CodecError(f"0x{digits} has digits beyond 9", "not_decimal", digits=digits)
    return int(digits)


def _packed(
    name: str,
    code: str,
    registers: int,
    bounds: tuple[int, int] | None,
    order: Order,
    options: dict[str, Any],
) -> Number:
    packer = struct.Struct(f">{code}")

    def unpack(data: bytes) -> Any:
        return packer.unpack(data)[0]

    return Number(name, registers, packer.pack, unpack, bounds, code, order, **options)


def _kind(scale: Any, offset: Any) -> type:
    """The type of scaled values: of the finest of both options."""
    kinds = {float if isinstance(each, str) else type(each) for each in (scale, offset)}
    for kind in (Decimal, float):
        if kind in kinds:
            return kind
    return int


def _fraction(option: str, given: Any) -> Fraction:
    if type(given) is int:
        return Fraction(given)
    with suppress(ArithmeticError):
        if isinstance(given, int | float | str | Decimal) and not isinstance(given, bool):
            number = Decimal(repr(given) if isinstance(given, float) else given)
            if number.is_finite() and not _immense(number):
                return Fraction(number)
    raise ValueError(f"{option} is {shown(given)}; it must be a finite number")


def _immense(number: Decimal) -> bool:
    """Whether a number is so large, or so small, that exact arithmetic would take for ever."""
    return abs(number.adjusted()) > _MAGNITUDE


def _decimal(fraction: Fraction) -> Decimal:
    """A fraction of a power of ten as the decimal that it is."""
    return Decimal(fraction.numerator) / Decimal(fraction.denominator)
