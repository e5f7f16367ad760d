# SPDX-License-Identifier: Apache-2.0
"""Arrays: several values of one encoding."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.modboss import CodecError, Metadata, NotAValueError
from heliograph.modboss.codecs import Array, Codec, Utf8, array, codec, integer


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


@given(st.lists(st.integers(-(2**31), 2**31 - 1), min_size=1, max_size=20))
def test_integers_come_back(values: list[int]) -> None:
    for word_order in ("big", "little"):
        assert trip(array("int32", word_order=word_order), values, 2 * len(values)) == values


@given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1, max_size=9))
def test_floats_come_back(values: list[float]) -> None:
    assert trip(array("float32", len(values)), values, 2 * len(values)) == values


def test_the_order_of_words_is_that_of_each_element() -> None:
    each = array("uint32", word_order="little")

    assert each.encode([0x00010002, 0x00030004], about(4)) == [2, 1, 4, 3]


def test_elements_may_be_scaled() -> None:
    assert trip(codec("int16[2]", scale="0.1"), [21.5, -0.1], 2) == [21.5, -0.1]


def test_elements_may_be_of_any_codec_that_knows_its_registers() -> None:
    assert trip(Array(codec("ipv4")), ["10.0.0.1", "10.0.0.2"], 4) == [
        codec("ipv4").decode([0x0A00, each], about(2)) for each in (1, 2)
    ]


@pytest.mark.parametrize("name", ["int16[]", "int16[3]"])
def test_an_array_may_be_named(name: str) -> None:
    each = codec(name)

    assert each.name == name
    assert trip(each, [1, -2, 3], 3) == [1, -2, 3]


@pytest.mark.parametrize("value", [[], [1], [1, 2, 3, 4]])
def test_all_elements_are_written(value: list[int]) -> None:
    with pytest.raises(CodecError, match=f"{len(value)} elements are not the 3") as caught:
        array("int16").encode(value, about(3))

    assert caught.value.parameters == {"expected": 3, "received": len(value)}


@pytest.mark.parametrize("value", [5, "123", None, {1: 2}])
def test_an_array_is_encoded_from_a_list(value: Any) -> None:
    with pytest.raises(NotAValueError, match="an array is encoded from a list"):
        array("int16").encode(value, about(3))


def test_an_element_that_cannot_be_encoded_is_named() -> None:
    with pytest.raises(CodecError, match="element 1: 70000 is out of the range") as caught:
        array("int16").encode([1, 70000, 3], about(3))

    assert caught.value.code == "out_of_range"
    assert caught.value.parameters == {"codec": "int16", "value": 70000, "element": 1}


def test_an_element_that_cannot_be_decoded_is_named() -> None:
    with pytest.raises(CodecError, match="element 1: 10000, 1, 1 is no date") as caught:
        Array(codec("date")).decode([2026, 1, 1, 10000, 1, 1], about(6))

    assert caught.value.parameters["element"] == 1


@pytest.mark.parametrize(
    ("each", "count", "text"),
    [
        (array("int32"), 3, r"int32\[\] takes multiples of 2 registers, not 3"),
        (array("int32", 2), 6, r"int32\[2\] takes 4 registers, not 6"),
    ],
)
def test_the_registers_must_be_those_of_whole_elements(
    each: Codec[Any], count: int, text: str
) -> None:
    with pytest.raises(ValueError, match=text):
        each.fitted(count)


@pytest.mark.parametrize("element", [Utf8(), codec("raw"), codec("bits")])
def test_elements_must_know_their_registers(element: Codec[Any]) -> None:
    with pytest.raises(ValueError, match="needs elements that know their registers"):
        Array(element)


@pytest.mark.parametrize("length", [0, -1, 1.5, True])
def test_an_array_has_a_length_from_one(length: Any) -> None:
    with pytest.raises(ValueError, match=f"the length of an array is {length}"):
        Array(integer("int16"), length)
