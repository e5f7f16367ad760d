# SPDX-License-Identifier: Apache-2.0
"""Dates and times."""

from __future__ import annotations

import datetime as dt
import struct
from typing import TYPE_CHECKING, Any, Final

from heliograph.modboss.codecs.base import RegisterCodec
from heliograph.modboss.codecs.numbers import integer
from heliograph.modboss.errors import CodecError, NotAValueError, shown

if TYPE_CHECKING:
    from heliograph.modboss.codecs.base import Codec, Compiled, Endian
    from heliograph.modboss.codecs.numbers import IntName

__all__ = ["Date", "DateTime", "Timestamp"]

_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_BASES: Final[dict[int, IntName]] = {2: "uint32", 4: "uint64"}


class Date(RegisterCodec[dt.date]):
    """A date in three registers: year, month and day."""

    name = "date"
    registers: int | None = 3

    def to_bytes(self, value: Any, _size: int, /) -> bytes:
        if not isinstance(value, dt.date) or isinstance(value, dt.datetime):
            raise NotAValueError(f"a date is encoded from a date, not {shown(value)}")
        return struct.pack(">3H", value.year, value.month, value.day)

    def from_bytes(self, data: bytes, /) -> dt.date:
        parts = struct.unpack(">3H", data)
        try:
            return dt.date(*parts)
        except ValueError as error:
            raise _no_moment("date", parts, error) from None


class DateTime(RegisterCodec[dt.datetime]):
    """A date and time in six registers: year, month, day, hour, minute, second.

    Devices keep their own time there, whatever that is, so values have no time zone. What is
    shorter than a second is cut off when it is encoded.
    """

    name = "datetime"
    registers: int | None = 6

    def to_bytes(self, value: Any, _size: int, /) -> bytes:
        if not isinstance(value, dt.datetime):
            raise NotAValueError(f"a datetime is encoded from a datetime, not {shown(value)}")
        if value.tzinfo is not None:
            text = f"{value} has a time zone, the device has none; bring it to the device's time"
            raise CodecError(text, "has_time_zone", value=value)
        return struct.pack(">6H", *value.timetuple()[:6])

    def from_bytes(self, data: bytes, /) -> dt.datetime:
        parts = struct.unpack(">6H", data)
        try:
            return dt.datetime(*parts)  # noqa: DTZ001 - a device's own time has no zone
        except ValueError as error:
            raise _no_moment("datetime", parts, error) from None


class Timestamp(RegisterCodec[dt.datetime]):
    """A moment as seconds since the beginning of 1970 in UTC, unsigned, in two or four registers.

    Values have the time zone UTC. What is shorter than a second is cut off when it is encoded.

    Args:
        word_order: Order of the registers.
        byte_order: Order of the bytes in each.

    Raises:
        ValueError: An option has a value that it cannot have.
    """

    name = "timestamp"

    def __init__(self, word_order: Endian = "big", byte_order: Endian = "big") -> None:
        self._order: tuple[Endian, Endian] = word_order, byte_order
        self._seconds = integer("uint32", *self._order)

    def fitted(self, count: int) -> Codec[dt.datetime]:
        if count not in _BASES:
            raise ValueError(f"{self.name} takes 2 or 4 registers, not {count}")
        fitted = Timestamp(*self._order)
        fitted._seconds = integer(_BASES[count], *self._order)
        return fitted

    def to_bytes(self, value: Any, size: int, /) -> bytes:
        if not isinstance(value, dt.datetime):
            raise NotAValueError(f"a timestamp is encoded from a datetime, not {shown(value)}")
        if value.tzinfo is None:
            text = f"{value} has no time zone, so it is no certain moment; give it one"
            raise CodecError(text, "no_time_zone", value=value)
        seconds = (value - _EPOCH) // dt.timedelta(seconds=1)
        try:
            return self._seconds.to_bytes(seconds, size)
        except CodecError:
            last = "2106-02-07 06:28:15" if size == 4 else "the year 9999"
            text = f"{value} is not between 1970 and {last} in UTC"
            raise CodecError(text, "out_of_range", codec=self.name, value=value) from None

    def from_bytes(self, data: bytes, /) -> dt.datetime:
        return self._moment(self._seconds.from_bytes(data))

    def compiled(self, count: int) -> Compiled:
        code, finish = self._seconds.compiled(count)
        return (code, self._moment) if finish is None else (code, self.from_bytes)

    def _moment(self, seconds: int) -> dt.datetime:
        try:
            return _EPOCH + dt.timedelta(seconds=seconds)
        except OverflowError:
            text = f"{seconds} seconds since 1970 end after the year 9999"
            raise CodecError(text, "out_of_range", codec=self.name, value=seconds) from None


def _no_moment(what: str, parts: tuple[int, ...], error: ValueError) -> CodecError:
    text = f"{', '.join(map(str, parts))} is no {what}: {error}"
    return CodecError(text, f"not_a_{what}", parts=parts)
