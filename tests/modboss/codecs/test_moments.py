# SPDX-License-Identifier: Apache-2.0
"""Dates and times in registers."""

from __future__ import annotations

import datetime as dt
import itertools
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.modboss import CodecError, Metadata, NotAValueError
from heliograph.modboss.codecs import Codec, Timestamp, codec

ORDERS = list(itertools.product(("big", "little"), repeat=2))


def about(count: int) -> Metadata:
    return Metadata("m", "holding_register", count, {})


def trip(each: Codec[Any], value: Any, count: int) -> Any:
    """A value there and back, decoded by itself, and as whole batches are decoded."""
    fitted = each.fitted(count)
    registers = fitted.encode(value, about(count))
    assert len(registers) == count
    back = fitted.decode(registers, about(count))
    code, finish = fitted.compiled(count)
    (raw,) = struct.unpack(f">{code}", struct.pack(f">{count}H", *registers))
    assert finish is not None
    assert finish(raw) == back
    return back


@given(st.dates())
def test_dates_come_back(date: dt.date) -> None:
    assert trip(codec("date"), date, 3) == date


@given(st.datetimes())
def test_times_of_devices_come_back_without_parts_of_a_second(moment: dt.datetime) -> None:
    assert trip(codec("datetime"), moment, 6) == moment.replace(microsecond=0, fold=0)


@pytest.mark.parametrize(("word_order", "byte_order"), ORDERS)
@given(
    st.datetimes(dt.datetime(1970, 1, 1), dt.datetime(2106, 2, 7), timezones=st.just(dt.UTC)),  # noqa: DTZ001 - hypothesis adds the zone
    st.sampled_from([2, 4]),
)
def test_timestamps_come_back(
    word_order: Any, byte_order: Any, moment: dt.datetime, count: int
) -> None:
    back = trip(Timestamp(word_order, byte_order), moment, count)

    assert back == moment.replace(microsecond=0)
    assert back.tzinfo is dt.UTC


def test_moments_lie_in_registers_part_by_part() -> None:
    moment = dt.datetime(2026, 11, 25, 23, 59, 58)  # noqa: DTZ001 - a device's own time

    assert codec("date").encode(moment.date(), about(3)) == [2026, 11, 25]
    assert codec("datetime").encode(moment, about(6)) == [2026, 11, 25, 23, 59, 58]
    utc = moment.replace(tzinfo=dt.UTC)
    assert codec("timestamp").fitted(4).encode(utc, about(4)) == [0, 0, 0x6B07, 0x767E]


def test_a_timestamp_of_another_zone_is_the_same_moment() -> None:
    moment = dt.datetime(2026, 1, 1, 2, tzinfo=dt.timezone(dt.timedelta(hours=2)))

    assert trip(codec("timestamp"), moment, 2) == dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("name", "registers"),
    [
        ("date", [0, 0, 0]),
        ("date", [2026, 2, 29]),
        ("date", [10000, 1, 1]),
        ("datetime", [2026, 1, 1, 24, 0, 0]),
        ("datetime", [2026, 13, 1, 0, 0, 0]),
    ],
)
def test_what_is_on_no_calendar_has_no_meaning(name: str, registers: list[int]) -> None:
    with pytest.raises(CodecError, match=f"{registers[0]}, .* is no {name}: ") as caught:
        codec(name).decode(registers, about(len(registers)))

    assert (caught.value.code, caught.value.parameters["parts"]) == (
        f"not_a_{name}",
        tuple(registers),
    )


@pytest.mark.parametrize("registers", [[0xFFFF] * 4, [0, 0x00FF, 0xFFFF, 0xFFFF]])
def test_a_timestamp_after_the_year_9999_has_no_meaning(registers: list[int]) -> None:
    with pytest.raises(CodecError, match="end after the year 9999"):
        codec("timestamp").fitted(4).decode(registers, about(4))


@pytest.mark.parametrize(
    ("moment", "count", "until"),
    [
        (dt.datetime(1969, 12, 31, tzinfo=dt.UTC), 2, "2106-02-07 06:28:15"),
        (dt.datetime(2106, 2, 7, 6, 28, 16, tzinfo=dt.UTC), 2, "2106-02-07 06:28:15"),
        (dt.datetime(1969, 12, 31, tzinfo=dt.UTC), 4, "the year 9999"),
    ],
)
def test_a_timestamp_that_does_not_fit_is_refused(
    moment: dt.datetime, count: int, until: str
) -> None:
    with pytest.raises(CodecError, match=f"is not between 1970 and {until} in UTC") as caught:
        codec("timestamp").fitted(count).encode(moment, about(count))

    assert caught.value.code == "out_of_range"


def test_a_timestamp_needs_a_time_zone_and_a_devices_time_has_none() -> None:
    naive = dt.datetime(2026, 1, 1)  # noqa: DTZ001 - on purpose
    with pytest.raises(CodecError, match="has no time zone"):
        codec("timestamp").encode(naive, about(2))
    with pytest.raises(CodecError, match="has a time zone, the device has none"):
        codec("datetime").encode(naive.replace(tzinfo=dt.UTC), about(6))


@pytest.mark.parametrize("name", ["date", "datetime", "timestamp"])
@pytest.mark.parametrize("value", [None, "2026-01-01", 5])
def test_a_moment_is_encoded_from_one(name: str, value: object) -> None:
    with pytest.raises(NotAValueError, match=f"a {name} is encoded from a date"):
        codec(name).encode(value, about(2))


def test_a_datetime_is_no_date() -> None:
    with pytest.raises(NotAValueError):
        codec("date").encode(dt.datetime(2026, 1, 1, tzinfo=dt.UTC), about(3))


@pytest.mark.parametrize(
    ("name", "count", "text"),
    [
        ("date", 2, "date takes 3 registers, not 2"),
        ("datetime", 7, "datetime takes 6 registers, not 7"),
        ("timestamp", 3, "timestamp takes 2 or 4 registers, not 3"),
    ],
)
def test_a_moment_takes_as_many_registers_as_it_has(name: str, count: int, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        codec(name).fitted(count)
