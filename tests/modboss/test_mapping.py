# SPDX-License-Identifier: Apache-2.0
"""Mappings: values encoded and decoded, and errors that say whose they are."""

from __future__ import annotations

import logging
import math
import pickle
import struct
from typing import Any

import pytest

from heliograph.modboss import (
    BadValueError,
    CodecError,
    DecodeError,
    EncodeError,
    Mapping,
    MappingValueError,
    Metadata,
    ModbossError,
    Schema,
)


def mapping(**options: Any) -> Mapping:
    given = {"name": "x", "type": "holding_register", "address": 7, **options}
    codecs = {"own": given.pop("own")} if "own" in given else {}
    schema = Schema.from_mappings("Device", [given], codecs=codecs)
    return schema.mappings["x"]


class Twice:
    def encode(self, value: int) -> int:
        return value // 2

    def decode(self, value: int) -> int:
        return value * 2


class Told:
    """Gives what it was told."""

    def encode(self, value: Any, metadata: Metadata) -> list[Any]:
        return [value, metadata]

    def decode(self, value: Any, metadata: Metadata) -> tuple[Any, Metadata]:
        return value, metadata


class Raising:
    def __init__(self, error: Exception) -> None:
        self.error = error

    def encode(self, value: Any) -> Any:
        raise self.error

    def decode(self, value: Any) -> Any:
        raise self.error


def test_a_mapping_knows_its_place() -> None:
    each = mapping(address=range(10, 14), mode="rw")

    assert (each.starting_address, each.address_count, each.end_address) == (10, 4, 14)
    assert each.addresses == range(10, 14)
    assert (each.readable, each.writable) == (True, True)
    assert repr(each) == "<Mapping x: holding_register 10 to 13, raw, rw>"
    assert repr(mapping()) == "<Mapping x: holding_register 7, raw, r>"


@pytest.mark.parametrize(
    ("mode", "readable", "writable"), [("r", True, False), ("rw", True, True), ("w", False, True)]
)
def test_a_mode_says_what_may_be_done(mode: str, readable: bool, writable: bool) -> None:
    each = mapping(mode=mode)

    assert (each.readable, each.writable, each.gap_safe) == (readable, writable, readable)


def test_a_mapping_does_not_change() -> None:
    with pytest.raises(AttributeError):
        mapping().name = "y"  # type: ignore[misc]  # on purpose


def test_one_register_is_a_number_several_are_a_list() -> None:
    assert mapping().decode([5]) == 5
    assert mapping(address=range(7, 8)).decode((5,)) == 5
    assert mapping(count=2).decode((5, 6)) == [5, 6]
    assert mapping().encode(5) == [5]
    assert mapping().encode([5]) == [5]
    assert mapping(count=2).encode((5, 6)) == [5, 6]


def test_raw_values_pass_as_they_are() -> None:
    for value in (-1, 70000, "text", 1.5, {"a": 1}):
        assert mapping().encode(value) == [value]
        assert mapping().decode([value]) == value


@pytest.mark.parametrize(
    ("count", "value", "received"),
    [(1, None, 0), (1, [1, 2], 2), (1, [], 0), (3, 5, 1), (3, [1, 2], 2), (3, (1, 2, 3, 4), 4)],
)
def test_the_number_of_values_must_be_that_of_the_addresses(
    count: int, value: Any, received: int
) -> None:
    with pytest.raises(EncodeError, match=f"it makes {received} values") as caught:
        mapping(count=count).encode(value)

    assert caught.value.code == "value_count_mismatch"
    assert caught.value.parameters == {"expected": count, "received": received}


@pytest.mark.parametrize(("count", "values"), [(1, []), (1, [1, 2]), (2, [1]), (2, [1, 2, 3])])
@pytest.mark.parametrize("codec", ["raw", "int16[]"])
def test_so_must_that_of_what_is_decoded(count: int, values: list[int], codec: str) -> None:
    with pytest.raises(BadValueError, match=f"has {count} addresses, not {len(values)}"):
        mapping(count=count, codec=codec).decode(values)


# -- Codecs of one's own --------------------------------------------------------------------------


def test_a_codec_of_your_own_encodes_and_decodes() -> None:
    each = mapping(codec=Twice())

    assert (each.encode(10), each.decode([5])) == ([5], 10)
    assert (each.codec_name, each.struct_code, each.finish) == ("Twice", None, None)


def test_a_codec_may_ask_for_metadata() -> None:
    each = mapping(codec=Told(), count=2)
    context = {"unit": 5}
    told = Metadata("x", "holding_register", 2, context)

    assert each.encode(1, context) == [1, told]
    assert each.decode([3, 4], context) == ([3, 4], told)
    assert each.encode(1) == [1, told._replace(context={})]


def test_a_codec_error_says_whose_it_is() -> None:
    error = CodecError("not today", "closed", day="Sunday")
    each = mapping(codec=Raising(error))

    with pytest.raises(EncodeError) as encoding:
        each.encode("v")
    with pytest.raises(DecodeError) as decoding:
        each.decode([5])

    assert str(encoding.value) == "x (holding_register 7) cannot encode 'v': not today"
    assert str(decoding.value) == "x (holding_register 7) cannot decode 5: not today"
    for caught, value in ((encoding.value, "v"), (decoding.value, 5)):
        assert (caught.name, caught.address, caught.value) == ("x", 7, value)
        assert (caught.detail, caught.code, caught.parameters) == (
            "not today",
            "closed",
            {"day": "Sunday"},
        )
        assert isinstance(caught, ModbossError)
        assert isinstance(caught, ValueError)


def test_any_other_exception_of_a_codec_flies_as_it_is() -> None:
    error = ZeroDivisionError("none left")
    each = mapping(codec=Raising(error))

    for call in (each.encode, each.decode):
        with pytest.raises(ZeroDivisionError) as caught:
            call([1])
        assert caught.value is error


def test_a_codec_error_without_text_is_a_fault_of_the_codec(
    caplog: pytest.LogCaptureFixture,
) -> None:
    each = mapping(codec=Raising(CodecError(5)))  # type: ignore[arg-type]  # on purpose

    with pytest.raises(DecodeError, match=r"raised CodecError\(5\)") as caught:
        each.decode([1])

    assert caught.value.code == "bad_codec_return"
    assert caplog.record_tuples == [
        (
            "heliograph.modboss",
            logging.WARNING,
            "x: codec Raising raised CodecError(5); the detail must be a string",
        )
    ]


def test_half_a_codec_does_what_it_can() -> None:
    class Encoding:
        def encode(self, value: int) -> int:
            return value

    class Decoding:
        def decode(self, value: int) -> int:
            return value

    with pytest.raises(DecodeError, match="its codec Encoding cannot decode") as decoding:
        mapping(codec=Encoding(), mode="w").decode([1])
    with pytest.raises(EncodeError, match="its codec Decoding cannot encode") as encoding:
        mapping(codec=Decoding()).encode(1)

    assert (decoding.value.code, encoding.value.code) == ("codec_missing", "codec_missing")


# -- Bad input ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "value", "text"),
    [
        (
            {"codec": "int16"},
            70000,
            (
                "x (holding_register 7) cannot encode 70000: 70000 is out of the range of int16, "
                "-32768 to 32767"
            ),
        ),
        (
            {"codec": "float32"},
            math.nan,
            "x (holding_register 7) cannot encode nan: nan is not a finite number",
        ),
        (
            {"codec": "ascii", "count": 2},
            "Too long",
            (
                "x (holding_register 7) cannot encode 'Too long': 8 characters do not fit 2 "
                "registers of 2 characters"
            ),
        ),
        (
            {"codec": "ascii", "count": 2},
            "Pö",
            "x (holding_register 7) cannot encode 'Pö': 'Pö' has characters that are not ASCII",
        ),
    ],
)
def test_a_value_that_does_not_fit_is_one_clear_error(
    options: dict[str, Any], value: Any, text: str
) -> None:
    with pytest.raises(EncodeError) as caught:
        mapping(**options).encode(value)

    assert str(caught.value) == text


def test_what_is_no_value_at_all_is_a_type_error() -> None:
    each = mapping(codec="boolean")

    with pytest.raises(BadValueError) as encoding:
        each.encode(5)
    with pytest.raises(BadValueError) as decoding:
        each.decode([2])

    assert str(encoding.value) == (
        "x (holding_register 7) cannot take 5: a boolean is encoded from True or False, not 5"
    )
    assert str(decoding.value).endswith("a boolean is decoded from 0 or 1, not 2")
    assert isinstance(decoding.value, TypeError)
    assert not isinstance(decoding.value, ValueError)


def test_long_values_are_cut_in_messages() -> None:
    with pytest.raises(EncodeError) as caught:
        mapping(codec="ascii").encode("A" * 100_000)

    assert len(str(caught.value)) < 250


def test_errors_can_be_pickled() -> None:
    with pytest.raises(MappingValueError) as caught:
        mapping(codec="int16").encode(70000)

    copy = pickle.loads(pickle.dumps(caught.value))
    assert (type(copy), str(copy), copy.parameters) == (
        EncodeError,
        str(caught.value),
        {"codec": "int16", "value": 70000},
    )


# -- For whole batches ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "registers", "code"),
    [
        ({"codec": "unsigned_int"}, [0xFFFF], "H"),
        ({"codec": "signed_int"}, [0xFFFF], "h"),
        ({"codec": "boolean"}, [1], "H"),
        ({"codec": "int16"}, [0xFFFF], "h"),
        ({"codec": "float32"}, [0x3FC0, 0], "f"),
        ({"codec": "float32", "word_order": "little"}, [0, 0x3FC0], "4s"),
        ({"codec": "ascii", "count": 2}, [0x4142, 0], "4s"),
        ({"codec": "int16[2]"}, [1, 2], "4s"),
        ({"enum": {5: "five"}}, [5], "H"),
    ],
)
def test_built_in_codecs_can_be_decoded_by_struct(
    options: dict[str, Any], registers: list[int], code: str
) -> None:
    each = mapping(**options)
    assert each.struct_code == code

    (value,) = struct.unpack(f">{code}", struct.pack(f">{len(registers)}H", *registers))
    value = value if each.finish is None else each.finish(value)

    assert value == each.decode(registers)
    assert type(value) is type(each.decode(registers))


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"codec": "unsigned_int", "count": 2},
        {"codec": "boolean", "count": 2},
        {"codec": "boolean", "type": "coil"},
        {"codec": "bits"},
        {"codec": Twice()},
        {"codec": "own", "own": Twice()},
    ],
    # Without the objects' addresses, which every worker has its own of.
    ids=lambda options: "-".join(
        f"{key}={str(value)[:30].split(' at ')[0]}" for key, value in options.items()
    ),
)
def test_all_else_cannot(options: dict[str, Any]) -> None:
    each = mapping(**options)

    assert (each.struct_code, each.finish) == (None, None)
