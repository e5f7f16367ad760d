# SPDX-License-Identifier: Apache-2.0
"""Numbers: integers, floats, digits, in every order, scaled without error."""

from __future__ import annotations

import itertools
import math
import struct
from decimal import Decimal, localcontext
from fractions import Fraction
from typing import Any, Final, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.modboss import CodecError, Metadata, NotAValueError
from heliograph.modboss.codecs import Bcd, Codec, Endian, FloatName, IntName, codec, integer
from heliograph.modboss.codecs.base import Order

ENDIANS: Final[tuple[Endian, ...]] = get_args(Endian)
ORDERS: Final = list(itertools.product(ENDIANS, ENDIANS))
INTEGERS: Final = {
    "int16": (-(2**15), 2**15 - 1),
    "uint16": (0, 2**16 - 1),
    "int32": (-(2**31), 2**31 - 1),
    "uint32": (0, 2**32 - 1),
    "int64": (-(2**63), 2**63 - 1),
    "uint64": (0, 2**64 - 1),
}
FLOATS: Final = {"float16": 16, "float32": 32, "float64": 64}


def about(count: int) -> Metadata:
    return Metadata("m", "holding_register", count, {})


def encode(each: Codec[Any], value: Any, count: int | None = None) -> Any:
    return each.encode(value, about(count or each.registers or 1))


def decode(each: Codec[Any], registers: list[int]) -> Any:
    return each.decode(registers, about(len(registers)))


def trip(each: Codec[Any], value: Any, count: int | None = None) -> Any:
    """A value after its way to the device and back, twice over the same registers."""
    registers = encode(each, value, count)
    assert all(type(register) is int and 0 <= register <= 0xFFFF for register in registers)
    return decode(each, registers)


def refused(each: Codec[Any], value: Any, count: int | None = None) -> CodecError:
    with pytest.raises(CodecError) as caught:
        encode(each, value, count)
    return caught.value


def unpacked(each: Codec[Any], registers: list[int]) -> Any:
    """The value by way of `struct`, as whole batches are decoded."""
    code, finish = each.compiled(len(registers))
    (value,) = struct.unpack(f">{code}", struct.pack(f">{len(registers)}H", *registers))
    return value if finish is None else finish(value)


def test_the_names_are_those_of_the_types() -> None:
    assert set(INTEGERS) == set(get_args(IntName))
    assert set(FLOATS) == set(get_args(FloatName))


# -- Orders ---------------------------------------------------------------------------------------


# ABCD and so on, as manuals call them: which byte of 0x41424344 comes when.
@pytest.mark.parametrize(
    ("word_order", "byte_order", "sent"),
    [
        ("big", "big", b"ABCD"),
        ("little", "big", b"CDAB"),
        ("big", "little", b"BADC"),
        ("little", "little", b"DCBA"),
    ],
)
def test_words_and_the_bytes_in_them_are_put_in_order(
    word_order: Endian, byte_order: Endian, sent: bytes
) -> None:
    each = integer("uint32", word_order, byte_order)

    assert struct.pack(">2H", *encode(each, 0x41424344)) == sent


def test_eight_bytes_are_put_in_order() -> None:
    sent = {
        orders: struct.pack(">4H", *encode(integer("uint64", *orders), 0x4142434445464748))
        for orders in ORDERS
    }

    assert sent == {
        ("big", "big"): b"ABCDEFGH",
        ("little", "big"): b"GHEFCDAB",
        ("big", "little"): b"BADCFEHG",
        ("little", "little"): b"HGFEDCBA",
    }


@given(st.integers(0, 8).flatmap(lambda n: st.binary(min_size=2 * n, max_size=2 * n)))
def test_every_order_undoes_itself(data: bytes) -> None:
    for orders in ORDERS:
        assert Order(*orders)(Order(*orders)(data)) == data


@pytest.mark.parametrize("option", ["word_order", "byte_order"])
def test_an_order_is_big_or_little(option: str) -> None:
    with pytest.raises(ValueError, match=f"{option} is 'middle'; it must be 'big' or 'little'"):
        codec("int32", **{option: "middle"})


# -- There and back -------------------------------------------------------------------------------


@pytest.mark.parametrize("orders", ORDERS)
@pytest.mark.parametrize("name", INTEGERS)
@given(data=st.data())
def test_integers_come_back(name: str, orders: tuple[str, str], data: st.DataObject) -> None:
    each = codec(name, word_order=orders[0], byte_order=orders[1])
    value = data.draw(st.integers(*INTEGERS[name]))

    assert trip(each, value) == value
    assert unpacked(each, encode(each, value)) == value


@pytest.mark.parametrize("orders", ORDERS)
@pytest.mark.parametrize("name", FLOATS)
@given(data=st.data())
def test_floats_come_back(name: str, orders: tuple[str, str], data: st.DataObject) -> None:
    each = codec(name, word_order=orders[0], byte_order=orders[1])
    finite = st.floats(width=FLOATS[name], allow_nan=False, allow_infinity=False)  # type: ignore[arg-type]  # one of its three literals
    value = data.draw(finite)

    assert trip(each, value) == value
    assert unpacked(each, encode(each, value)) == value


@pytest.mark.parametrize("orders", ORDERS)
@given(data=st.data())
def test_digits_come_back(orders: tuple[str, str], data: st.DataObject) -> None:
    count = data.draw(st.integers(1, 8))
    value = data.draw(st.integers(0, 10 ** (4 * count) - 1))
    each = codec("bcd", word_order=orders[0], byte_order=orders[1]).fitted(count)

    assert trip(each, value, count) == value
    assert unpacked(each, encode(each, value, count)) == value


def test_digits_are_four_bits_each() -> None:
    assert encode(Bcd().fitted(2), 12345678) == [0x1234, 0x5678]
    assert encode(Bcd(word_order="little"), 12345678, 2) == [0x5678, 0x1234]
    assert decode(Bcd(scale="0.01"), [0x0012, 0x3456]) == 1234.56


# -- Scales ---------------------------------------------------------------------------------------

scales = st.sampled_from(["0.1", "0.01", "0.001", "0.5", "0.25", "10", "3", "1.8", "-0.1", "1e-9"])
offsets = st.sampled_from(["0", "-40", "0.5", "273.15", "-1e-3"])


@given(st.integers(*INTEGERS["int64"]), scales, offsets)
def test_a_scaled_value_is_the_float_nearest_to_the_decimal_one(
    number: int, scale: str, offset: str
) -> None:
    each = codec("int64", scale=scale, offset=offset)
    exact = Fraction(scale) * number + Fraction(offset)
    value = decode(each, encode(codec("int64"), number))

    assert type(value) is float
    assert value == exact.numerator / exact.denominator


@given(st.integers(*INTEGERS["int32"]), scales, offsets)
def test_a_scaled_value_goes_back_to_where_it_came_from(
    number: int, scale: str, offset: str
) -> None:
    registers = encode(codec("int32"), number)
    each = codec("int32", scale=scale, offset=offset)

    assert encode(each, decode(each, registers)) == registers


@given(st.integers(*INTEGERS["int64"]), scales.map(Decimal), offsets.map(Decimal))
def test_decimals_are_exact_in_any_context(number: int, scale: Decimal, offset: Decimal) -> None:
    registers = encode(codec("int64"), number)
    each = codec("int64", scale=scale, offset=offset)
    with localcontext(prec=3):
        value = decode(each, registers)

    assert type(value) is Decimal
    assert Fraction(value) == Fraction(scale) * number + Fraction(offset)
    assert encode(each, value) == registers


@given(st.floats(-3276.8, 3276.7))
def test_any_value_is_encoded_as_the_nearest_step(value: float) -> None:
    back = trip(codec("int16", scale=0.1), value)

    assert abs(Fraction(repr(back)) - Fraction(repr(value))) <= Fraction("0.05")


@pytest.mark.parametrize(
    ("scale", "offset", "value"),
    [
        ("0.1", 0, 21.5),
        (0.1, 0, 21.5),
        (Decimal("0.10"), 0, Decimal("21.50")),
        (10, 0, 2150),
        (10, -40, 2110),
        (1, 0.5, 215.5),
        (1.0, 0, 215.0),
        (None, Decimal("0.5"), Decimal("215.5")),
        (None, 1, 216),
    ],
    ids=repr,
)
def test_the_values_have_the_type_of_the_scale(scale: Any, offset: Any, value: Any) -> None:
    options = {} if scale is None else {"scale": scale}
    each = codec("int16", offset=offset, **options)

    got = decode(each, [215])

    assert (type(got), str(got)) == (type(value), str(value))
    assert encode(each, value) == [215]
    assert unpacked(each, [215]) == value


def test_halves_are_rounded_to_the_even_step() -> None:
    each = codec("int16", scale="0.1")

    assert [encode(each, value) for value in (0.05, 0.15, 0.25, -0.05)] == [[0], [2], [2], [0]]


def test_floats_are_scaled_as_floats() -> None:
    each = codec("float32", scale="0.5", offset=1)

    assert trip(each, 21.5) == 21.5
    assert decode(each, [0x7F80, 0]) == math.inf
    assert unpacked(each, encode(each, 3)) == 3.0


@pytest.mark.parametrize(
    ("option", "value", "text"),
    [
        ("scale", 0, "scale is 0, which would make all values the same"),
        ("scale", "x", "scale is 'x'; it must be a finite number"),
        ("scale", True, "scale is True; it must be a finite number"),
        ("scale", math.nan, "scale is nan; it must be a finite number"),
        ("scale", Decimal("inf"), r"scale is Decimal\('Infinity'\); it must be a finite number"),
        ("offset", [], r"offset is \[\]; it must be a finite number"),
        ("minimum", "low", "minimum is 'low'; it must be a finite number"),
        ("maximum", "1/2", "maximum is '1/2'; it must be a finite number"),
        ("maximum", "1e999999999", "maximum is '1e999999999'; it must be a finite number"),
        ("missing", 0x10000, "missing is 65536, which is no number of uint16"),
        ("missing", -1, "missing is -1, which is no number of uint16"),
        ("missing", 1.0, "missing is 1.0, which is no number of uint16"),
        ("missing", True, "missing is True, which is no number of uint16"),
    ],
)
def test_an_option_that_makes_no_sense_is_refused(option: str, value: Any, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        codec("uint16", **{option: value})


@pytest.mark.parametrize("missing", [0x10000, -0x8001])
def test_a_missing_number_must_fit_the_registers(missing: int) -> None:
    with pytest.raises(ValueError, match=f"missing is {missing}, which is no number of int16"):
        codec("int16", missing=missing)


@pytest.mark.parametrize("missing", ["nan", True, 1e39])
def test_a_float_can_only_be_missing_by_a_float(missing: Any) -> None:
    with pytest.raises(ValueError, match="is no number of float32"):
        codec("float32", missing=missing)


def test_a_float_cannot_be_scaled_by_a_decimal() -> None:
    with pytest.raises(ValueError, match="float32 is a float, which a Decimal cannot scale"):
        codec("float32", scale=Decimal("0.1"))


# -- No value -------------------------------------------------------------------------------------


@pytest.mark.parametrize("orders", ORDERS)
def test_a_missing_number_is_none(orders: tuple[Endian, Endian]) -> None:
    each = integer("int32", *orders, missing=-1)

    assert trip(each, None) is None
    assert unpacked(each, encode(each, None)) is None
    assert trip(each, 5) == 5
    assert unpacked(each, encode(each, 5)) == 5


def test_a_missing_number_is_none_before_it_is_scaled() -> None:
    each = codec("int16", missing=-32768, scale="0.1")

    assert decode(each, [0x8000]) is None
    assert encode(each, None) == [0x8000]
    assert decode(each, [215]) == 21.5


@pytest.mark.parametrize(
    ("name", "shown", "number"),
    [("int16", 0x8000, -0x8000), ("int16", 0xFFFF, -1), ("int32", 0x8000_0000, -(2**31))],
)
def test_a_negative_missing_number_may_be_written_as_the_registers_show_it(
    name: str, shown: int, number: int
) -> None:
    registers = encode(codec(name), number)

    for missing in (shown, number):
        assert decode(codec(name, missing=missing), registers) is None
        assert encode(codec(name, missing=missing), None) == registers


def test_nan_can_stand_for_no_value() -> None:
    each = codec("float32", missing=math.nan)

    assert decode(each, [0x7FC0, 0]) is None
    assert encode(each, None) == [0x7FC0, 0]
    assert trip(each, 1.5) == 1.5
    assert trip(codec("float32", missing=math.nan, scale=2), 1.5) == 1.5


def test_a_float_that_has_fewer_digits_on_the_wire_can_stand_for_no_value() -> None:
    each = codec("float32", missing=-9999.9)

    assert trip(each, None) is None
    assert trip(each, 1.5) == 1.5


def test_what_means_no_value_is_not_written_as_one() -> None:
    error = refused(codec("uint16", missing=0xFFFF), 0xFFFF)

    assert (error.code, str(error)) == (
        "out_of_range",
        "65535 is encoded as 65535, which means that there is no value",
    )


def test_none_is_no_number() -> None:
    assert refused(codec("int16"), None).code == "not_an_integer"
    assert refused(codec("float32"), None).code == "not_a_number"


def test_nan_is_read_unless_it_means_no_value() -> None:
    assert math.isnan(decode(codec("float32"), [0x7FC0, 0]))
    assert decode(codec("float32"), [0xFF80, 0]) == -math.inf


# -- Refusals -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", INTEGERS)
def test_integers_beyond_the_range_are_refused(name: str) -> None:
    lowest, highest = INTEGERS[name]
    for value in (lowest - 1, highest + 1):
        error = refused(codec(name), value)

        assert error.code == "out_of_range"
        assert error.parameters == {"codec": name, "value": value}
        assert str(error) == f"{value} is out of the range of {name}, {lowest} to {highest}"


def test_the_range_is_told_as_it_is_scaled() -> None:
    error = refused(codec("uint16", scale="-0.1", offset=5), 6)

    assert str(error) == "6 is out of the range of uint16, -6548.5 to 5"


@pytest.mark.parametrize("value", [1.0, "1", True, None, [1], Decimal(1)], ids=repr)
def test_what_is_no_integer_is_refused(value: Any) -> None:
    error = refused(codec("uint32"), value)

    assert error.code == "not_an_integer"
    assert "is not an integer" in str(error)


@pytest.mark.parametrize("value", ["1", True, None, b"1", [1], 1j], ids=repr)
@pytest.mark.parametrize("options", [{}, {"scale": "0.1"}])
def test_what_is_no_number_is_refused(value: Any, options: dict[str, Any]) -> None:
    error = refused(codec("float32", **options), value)

    assert (error.code, "is not a number" in str(error)) == ("not_a_number", True)


@pytest.mark.parametrize(
    "value", [math.nan, math.inf, -math.inf, Decimal("NaN"), Decimal("-inf")], ids=repr
)
@pytest.mark.parametrize("each", [codec("float32"), codec("float64"), codec("int16", scale=0.1)])
def test_what_is_not_finite_is_refused(value: Any, each: Codec[Any]) -> None:
    error = refused(each, value)

    assert (error.code, "is not a finite number" in str(error)) == ("not_finite", True)


@pytest.mark.parametrize(
    ("name", "value"),
    [("float16", 65520), ("float32", 3.5e38), ("float32", 10**400), ("float64", 10**400)],
)
@pytest.mark.parametrize("options", [{}, {"scale": "0.5"}])
def test_floats_too_large_for_the_encoding_are_refused(
    name: str, value: float, options: dict[str, Any]
) -> None:
    error = refused(codec(name, **options), value)

    assert error.code == "out_of_range"
    assert str(error).endswith(f"is out of the range of {name}")


@pytest.mark.parametrize("value", [Decimal("1e999999999"), Decimal("1e-999999999")])
def test_decimals_beyond_all_measure_are_refused_at_once(value: Decimal) -> None:
    assert refused(codec("int16", scale="0.1"), value).code == "out_of_range"


def test_values_beyond_the_limits_are_not_written() -> None:
    each = codec("int16", scale="0.1", minimum=5, maximum="30.5")

    assert str(refused(each, 4.9)) == "4.9 is below the minimum of 5"
    assert str(refused(each, 31)) == "31 is above the maximum of 30.5"
    assert refused(codec("uint16", maximum=10), 11).code == "out_of_range"
    assert refused(codec("float32", minimum=0), -0.5).code == "out_of_range"
    assert [trip(each, value) for value in (5, 30.5)] == [5, 30.5]


def test_limits_do_not_keep_values_from_being_read() -> None:
    assert decode(codec("int16", minimum=5), [1]) == 1


@pytest.mark.parametrize("registers", [[0x12A4], [0xFFFF], [0x1234, 0x000A]])
def test_digits_beyond_nine_have_no_meaning(registers: list[int]) -> None:
    with pytest.raises(CodecError, match="has digits beyond 9") as caught:
        decode(Bcd(), registers)

    assert caught.value.code == "not_decimal"


@pytest.mark.parametrize("count", [0, 9])
def test_digits_take_one_to_eight_registers(count: int) -> None:
    with pytest.raises(ValueError, match=f"bcd takes 1 to 8 registers, not {count}"):
        Bcd().fitted(count)


@pytest.mark.parametrize("count", [1, 3])
def test_a_number_takes_as_many_registers_as_it_has(count: int) -> None:
    with pytest.raises(ValueError, match=f"int32 takes 2 registers, not {count}"):
        codec("int32").fitted(count)


@pytest.mark.parametrize(
    "value", [70000, -1, 1.5, "x", None, [1, -1], [1, 70000], [1.0, 2]], ids=repr
)
def test_what_is_no_register_is_not_decoded(value: Any) -> None:
    with pytest.raises(NotAValueError, match="is not made of 16 bit registers"):
        codec("int32").decode(value, about(2))
