# SPDX-License-Identifier: Apache-2.0
"""Integers with another meaning: enums, flags, bit fields, bits."""

from __future__ import annotations

import enum
import itertools
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.modboss import CodecError, Metadata, NotAValueError
from heliograph.modboss.codecs import BitField, Bits, Choice, Codec, Enumeration, NamedFlags

ORDERS = list(itertools.product(("big", "little"), repeat=2))


class Fan(enum.IntEnum):
    OFF = 0
    LOW = 1
    HIGH = 5
    FULL = 5  # another name of the same


class Valve(enum.Enum):
    SHUT = -1
    OPEN = 1


class Alarm(enum.IntFlag):
    HOT = 1
    WET = 1 << 15


class Strict(enum.Flag):
    A = 1
    B = 2


def about(count: int, object_type: Any = "holding_register") -> Metadata:
    return Metadata("m", object_type, count, {})


def trip(codec: Codec[Any], value: Any, count: int = 1) -> Any:
    """A value there and back, decoded by itself, and as whole batches are decoded."""
    fitted = codec.fitted(count)
    registers = fitted.encode(value, about(count))
    assert len(registers) == count
    back = fitted.decode(registers, about(count))
    code, finish = fitted.compiled(count)
    (raw,) = struct.unpack(f">{code}", struct.pack(f">{count}H", *registers))
    assert finish is not None
    assert finish(raw) == back
    return back


def refused(codec: Codec[Any], value: Any, count: int = 1) -> CodecError:
    with pytest.raises(CodecError) as caught:
        codec.fitted(count).encode(value, about(count))
    return caught.value


def meaningless(codec: Codec[Any], *registers: int) -> CodecError:
    with pytest.raises(CodecError) as caught:
        codec.fitted(len(registers)).decode(list(registers), about(len(registers)))
    return caught.value


# -- Enums ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 2, 4])
@pytest.mark.parametrize(("word_order", "byte_order"), ORDERS)
@pytest.mark.parametrize("member", list(Fan))
def test_members_come_back(member: Fan, word_order: Any, byte_order: Any, count: int) -> None:
    assert trip(Enumeration(Fan, None, word_order, byte_order), member, count) is member


def test_members_may_be_negative_if_their_base_is() -> None:
    codec = Enumeration(Valve, "int32")

    assert trip(codec, Valve.SHUT, 2) is Valve.SHUT
    with pytest.raises(ValueError, match="Valve has -1, which uint16 cannot hold"):
        Enumeration(Valve).fitted(1)


def test_a_number_that_is_no_member_has_no_meaning() -> None:
    error = meaningless(Enumeration(Fan), 7)

    assert (error.code, error.parameters) == ("not_a_member", {"codec": "Fan", "value": 7})
    assert str(error).startswith("7 is no member of Fan, which has 0, 1, 5")


@pytest.mark.parametrize("value", [5, "OFF", None, Alarm.HOT])
def test_what_is_no_member_is_not_encoded(value: object) -> None:
    error = refused(Enumeration(Fan), value)

    assert (error.code, str(error).endswith("is no member of Fan")) == ("not_a_member", True)


@pytest.mark.parametrize("count", [0, 3, 5])
def test_members_take_one_two_or_four_registers(count: int) -> None:
    with pytest.raises(ValueError, match=f"Fan takes 1, 2 or 4 registers, not {count}"):
        Enumeration(Fan).fitted(count)


def test_members_take_as_many_registers_as_their_base() -> None:
    with pytest.raises(ValueError, match="Valve takes 2 registers, not 1"):
        Enumeration(Valve, "int32").fitted(1)


def test_an_enum_has_members_that_are_integers() -> None:
    class Nothing(enum.Enum):
        pass

    class Words(enum.Enum):
        A = "a"

    for members in (Nothing, Words):
        with pytest.raises(ValueError, match="must have members, and integers as their values"):
            Enumeration(members)


# -- Flags ----------------------------------------------------------------------------------------


@given(st.integers(0, 0xFFFF).map(Alarm))
def test_flags_come_back_with_bits_that_have_no_name(flags: Alarm) -> None:
    assert trip(Enumeration(Alarm), flags) == flags


def test_flags_that_know_no_other_bits_refuse_them() -> None:
    assert trip(Enumeration(Strict), Strict.A | Strict.B) == Strict.A | Strict.B
    assert meaningless(Enumeration(Strict), 4).code == "not_a_member"


def test_flags_beyond_the_registers_are_refused() -> None:
    assert refused(Enumeration(Alarm), Alarm(1 << 16)).code == "out_of_range"


@given(st.sets(st.sampled_from(["alarm", "running", *(f"bit{each}" for each in range(1, 15))])))
def test_named_flags_come_back(names: set[str]) -> None:
    codec = NamedFlags({0: "alarm", 15: "running"})

    assert trip(codec, names) == names


def test_bit_0_is_the_least_significant_one_of_all_registers() -> None:
    codec = NamedFlags({0: "low", 31: "high"}).fitted(2)

    assert codec.encode(frozenset({"high"}), about(2)) == [0x8000, 0]
    assert codec.encode(frozenset({"low"}), about(2)) == [0, 1]
    assert NamedFlags({31: "high"}, "uint32", "little").encode(frozenset({"high"}), about(2)) == [
        0,
        0x8000,
    ]


def test_a_flag_must_be_known() -> None:
    error = refused(NamedFlags({0: "alarm"}), ["alram"])

    assert (error.code, str(error)) == ("not_a_member", "'alram' is none of 'alarm'")


@pytest.mark.parametrize("value", ["alarm", 5, None])
def test_flags_are_encoded_from_a_set(value: object) -> None:
    with pytest.raises(NotAValueError, match="flags are encoded from a set of names"):
        NamedFlags({0: "alarm"}).encode(value, about(1))  # type: ignore[arg-type]  # on purpose


def test_flags_must_fit_the_registers() -> None:
    with pytest.raises(ValueError, match="flags has 65536, which uint16 cannot hold"):
        NamedFlags({16: "alarm"}).fitted(1)
    with pytest.raises(ValueError, match=r"flags have bits from 0 to 63, not \[64\]"):
        NamedFlags({64: "alarm"})


# -- Choices of names -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["off", "auto"])
def test_names_come_back(name: str) -> None:
    assert trip(Choice({0: "off", 7: "auto"}), name) == name


def test_a_number_without_a_name_has_no_meaning() -> None:
    error = meaningless(Choice({0: "off", 7: "auto"}), 1)

    assert (error.code, str(error)) == ("not_a_member", "1 is no member of enum, which has 0, 7")


@pytest.mark.parametrize("value", ["on", 0, None, []])
def test_a_name_must_be_known(value: object) -> None:
    error = refused(Choice({0: "off", 7: "auto"}), value)

    assert str(error).endswith("is none of 'off', 'auto'")


def test_many_names_are_cut_in_messages() -> None:
    error = meaningless(Choice({number: f"n{number}" for number in range(5000)}), 6000)

    assert str(error).endswith("which has 0, 1, 2, 3, 4, 5, 6, 7 and 4992 more")


@pytest.mark.parametrize("make", [Choice, NamedFlags])
@pytest.mark.parametrize(
    ("names", "text"),
    [
        ({}, "has names by number"),
        ("off", "has names by number"),
        ({"x": "off"}, "has 'x': 'off'; write a number and a name"),
        ({0: 5}, "has 0: 5; write a number and a name"),
        ({0: ""}, "has 0: ''; write a number and a name"),
        ({0: "off", 1: "off"}, "has a name twice: 'off', 'off'"),
    ],
    ids=repr,
)
def test_names_go_by_number(make: Any, names: object, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        make(names)


# -- Bit fields -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("word_order", "byte_order"), ORDERS)
@given(st.booleans(), st.integers(0, 7), st.integers(0, 15))
def test_the_parts_of_a_bit_field_come_back(
    word_order: Any, byte_order: Any, running: bool, stage: int, fault: int
) -> None:
    codec = BitField(
        {"running": 0, "stage": (1, 3), "fault": (28, 31)}, None, word_order, byte_order
    )
    value = {"running": int(running), "stage": stage, "fault": fault}

    assert trip(codec, value, 2) == value


def test_parts_are_counted_from_the_least_significant_bit() -> None:
    codec = BitField({"running": 0, "stage": (1, 3)})

    assert codec.encode({"running": True, "stage": 5}, about(1)) == [0b1011]
    assert codec.decode([0b1111_0110], about(1)) == {"running": 0, "stage": 3}


@pytest.mark.parametrize("value", [2, -1, 1.0, None])
def test_a_part_must_fit_its_bits(value: object) -> None:
    error = refused(BitField({"running": 0}), {"running": value})

    assert str(error) == f"running is {value!r}, which is not an integer from 0 to 1"


@pytest.mark.parametrize("value", [{}, {"running": 1, "other": 2}])
def test_all_parts_are_written(value: dict[str, int]) -> None:
    assert "must have exactly 'running'" in str(refused(BitField({"running": 0}), value))


def test_a_bit_field_is_encoded_from_a_dict() -> None:
    with pytest.raises(NotAValueError, match="a bit field is encoded from a dict, not 5"):
        BitField({"running": 0}).encode(5, about(1))  # type: ignore[arg-type]  # on purpose


@pytest.mark.parametrize(
    ("parts", "text"),
    [
        ({}, "a bit field has parts"),
        ([1], "a bit field has parts"),
        ({"a": "x"}, r"bits of 'a' are 'x'; write a bit or \(first, last\), in a file 1-3"),
        ({"a": -1}, "bits of 'a' are -1"),
        ({"a": 64}, "bits of 'a' are 64"),
        ({"a": (3, 1)}, r"bits of 'a' are \(3, 1\)"),
        ({"a": (1, 2, 3)}, r"bits of 'a' are \(1, 2, 3\)"),
        ({"a": (1, True)}, r"bits of 'a' are \(1, True\)"),
        ({"a": (0, 3), "b": 2}, "bits of 'b' belong to another part, too"),
    ],
    ids=repr,
)
def test_parts_have_bits_of_their_own(parts: Any, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        BitField(parts)


def test_a_bit_field_must_fit_the_registers() -> None:
    with pytest.raises(ValueError, match="bitfield has 65536, which uint16 cannot hold"):
        BitField({"a": 16}).fitted(1)


# -- Bits -----------------------------------------------------------------------------------------


@given(
    st.integers(1, 3).flatmap(lambda n: st.lists(st.booleans(), min_size=16 * n, max_size=16 * n))
)
def test_the_bits_of_registers_come_back(bits: list[bool]) -> None:
    count = len(bits) // 16
    registers = Bits().encode(bits, about(count))

    assert Bits().decode(registers, about(count)) == bits


@given(st.lists(st.booleans(), min_size=1, max_size=40))
def test_coils_come_back(bits: list[bool]) -> None:
    sent = Bits().encode(bits, about(len(bits), "coil"))

    assert sent == list(map(int, bits))
    assert Bits().decode(sent, about(len(bits), "coil")) == bits


def test_the_first_bit_of_a_register_is_the_least_significant_one() -> None:
    bits = [True, *[False] * 15]

    assert Bits().encode(bits, about(1)) == [1]
    assert Bits().decode(0x8000, about(1)) == bits[::-1]


@pytest.mark.parametrize("value", [[True], [True] * 17])
def test_all_bits_are_written(value: list[bool]) -> None:
    assert refused(Bits(), value).parameters == {"expected": 16, "received": len(value)}


@pytest.mark.parametrize("value", [5, "0101", [1, 0], None])
def test_bits_are_encoded_from_booleans(value: object) -> None:
    with pytest.raises(NotAValueError, match="bits are encoded from a list of booleans"):
        Bits().encode(value, about(1))


@pytest.mark.parametrize("value", [None, "x", [1, None], 1.5])
def test_bits_are_decoded_from_integers(value: object) -> None:
    with pytest.raises(NotAValueError, match="bits are decoded from integers"):
        Bits().decode(value, about(1))
