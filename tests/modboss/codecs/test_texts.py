# SPDX-License-Identifier: Apache-2.0
"""Texts, bytes and addresses of networks in registers."""

from __future__ import annotations

import ipaddress
import itertools
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.modboss import CodecError, Metadata, NotAValueError
from heliograph.modboss.codecs import Codec, Utf8, codec

ORDERS = list(itertools.product(("big", "little"), repeat=2))


def about(count: int) -> Metadata:
    return Metadata("m", "holding_register", count, {})


def encode(each: Codec[Any], value: Any, count: int) -> list[int]:
    registers: list[int] = each.encode(value, about(count))
    assert len(registers) == count
    assert all(0 <= register <= 0xFFFF for register in registers)
    return registers


def decode(each: Codec[Any], registers: list[int]) -> Any:
    """Decode in both ways: by itself, and as whole batches are decoded."""
    value = each.decode(registers, about(len(registers)))
    code, finish = each.compiled(len(registers))
    (data,) = struct.unpack(f">{code}", struct.pack(f">{len(registers)}H", *registers))
    assert finish is not None
    assert finish(data) == value
    return value


def refused(each: Codec[Any], value: Any, count: int) -> CodecError:
    with pytest.raises(CodecError) as caught:
        each.encode(value, about(count))
    return caught.value


# -- Texts ----------------------------------------------------------------------------------------

ascii_texts = st.text(st.characters(min_codepoint=1, max_codepoint=126), max_size=16)
texts = st.text(st.characters(blacklist_characters="\0", blacklist_categories=["Cs"]), max_size=8)


@pytest.mark.parametrize("byte_order", ["big", "little"])
@given(text=ascii_texts)
def test_ascii_comes_back(byte_order: str, text: str) -> None:
    each = codec("ascii", byte_order=byte_order)

    assert decode(each, encode(each, text, 8)) == text


@pytest.mark.parametrize("byte_order", ["big", "little"])
@given(text=texts)
def test_any_text_comes_back(byte_order: str, text: str) -> None:
    each = codec("utf8", byte_order=byte_order)

    assert decode(each, encode(each, text, 16)) == text


@given(text=texts)
def test_text_filled_up_with_spaces_comes_back_without_those_at_its_end(text: str) -> None:
    each = codec("utf8", pad="space")
    registers = encode(each, text, 16)

    assert decode(each, registers) == text.rstrip(" ")
    assert struct.pack(">16H", *registers) == text.encode().ljust(32)


@pytest.mark.parametrize("name", ["ascii", "utf8"])
def test_the_bytes_of_a_text_may_be_swapped(name: str) -> None:
    assert encode(codec(name), "ABC", 2) == [0x4142, 0x4300]
    assert encode(codec(name, byte_order="little"), "ABC", 2) == [0x4241, 0x0043]


def test_a_text_ends_at_the_first_nul() -> None:
    assert decode(codec("utf8"), [0x4100, 0x4242]) == "A"
    assert decode(codec("utf8", pad="space"), [0x4120, 0x0042]) == "A"


@pytest.mark.parametrize("name", ["ascii", "utf8"])
def test_text_too_long_is_refused(name: str) -> None:
    error = refused(codec(name), "ABCDE", 2)

    assert (error.code, error.parameters["registers"]) == ("text_too_long", 2)


def test_the_length_of_utf8_is_counted_in_bytes() -> None:
    assert encode(codec("utf8"), "é", 1) == [0xC3A9]
    error = refused(codec("utf8"), "éé", 1)

    assert str(error) == "its 4 bytes of UTF-8 do not fit 1 registers of 2 bytes"


def test_text_that_would_not_come_back_is_refused() -> None:
    assert refused(codec("utf8"), "A\0B", 2).code == "has_nul"
    assert refused(codec("utf8"), "\ud800", 2).code == "not_utf8"


def test_bytes_that_are_no_utf8_have_no_meaning() -> None:
    with pytest.raises(CodecError, match=r"byte 0xff is not UTF-8") as caught:
        codec("utf8").decode([0x41FF], about(1))

    assert (caught.value.code, caught.value.parameters) == ("not_utf8", {"position": 1})


@pytest.mark.parametrize("value", [None, 5, b"AB", ["A"]])
@pytest.mark.parametrize("name", ["ascii", "utf8", "mac"])
def test_what_is_no_string_is_no_text(name: str, value: object) -> None:
    with pytest.raises(NotAValueError, match=r"is encoded from a string, not"):
        codec(name).encode(value, about(3))


def test_one_register_may_come_as_a_number() -> None:
    assert codec("utf8").decode(0x4142, about(1)) == "AB"


def test_registers_are_filled_up_with_nul_or_spaces() -> None:
    with pytest.raises(ValueError, match=r"pad is 'x'; it must be 'nul' or 'space'"):
        Utf8(pad="x")  # type: ignore[arg-type]  # a checker says so, too


# -- Bytes ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("word_order", "byte_order"), ORDERS)
@given(data=st.binary(min_size=8, max_size=8))
def test_bytes_come_back(word_order: str, byte_order: str, data: bytes) -> None:
    each = codec("bytes", word_order=word_order, byte_order=byte_order)

    assert decode(each, encode(each, data, 4)) == data
    assert encode(each, bytearray(data), 4) == encode(each, memoryview(data), 4)


def test_bytes_are_as_many_as_the_registers_hold() -> None:
    error = refused(codec("bytes"), b"abc", 2)

    assert (error.code, error.parameters) == ("wrong_length", {"expected": 4, "received": 3})


def test_a_text_is_no_bytes() -> None:
    with pytest.raises(NotAValueError, match="bytes are encoded from bytes, not 'ab'"):
        codec("bytes").encode("ab", about(1))


# -- Addresses ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("word_order", "byte_order"), ORDERS)
@given(address=st.ip_addresses(v=4))
def test_ipv4_addresses_come_back(
    word_order: str, byte_order: str, address: ipaddress.IPv4Address
) -> None:
    each = codec("ipv4", word_order=word_order, byte_order=byte_order)

    assert decode(each, encode(each, address, 2)) == address
    assert encode(each, str(address), 2) == encode(each, address, 2)


@given(address=st.ip_addresses(v=6))
def test_ipv6_addresses_come_back(address: ipaddress.IPv6Address) -> None:
    each = codec("ipv6")

    assert decode(each, encode(each, address, 8)) == address
    assert encode(each, str(address), 8) == encode(each, address, 8)


def test_addresses_lie_in_registers_as_they_are_written() -> None:
    assert encode(codec("ipv4"), "192.168.1.2", 2) == [0xC0A8, 0x0102]
    assert encode(codec("ipv6"), "fe80::1", 8) == [0xFE80, 0, 0, 0, 0, 0, 0, 1]
    assert encode(codec("mac"), "00:1A:2b:3c:4d:5e", 3) == [0x001A, 0x2B3C, 0x4D5E]


@given(data=st.binary(min_size=6, max_size=6))
def test_mac_addresses_come_back(data: bytes) -> None:
    text = data.hex(":")

    assert decode(codec("mac"), encode(codec("mac"), text, 3)) == text
    assert encode(codec("mac"), data.hex("-").upper(), 3) == encode(codec("mac"), text, 3)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ipv4", "192.168.1"),
        ("ipv4", "fe80::1"),
        ("ipv6", "192.168.1.2"),
        ("ipv6", "x"),
        ("mac", "00:1a:2b:3c:4d"),
        ("mac", "00:1a:2b:3c:4d-5e"),
        ("mac", "00:1a:2b:3c:4d:5e:6f"),
        ("mac", "001a2b3c4d5e"),
        ("mac", "0g:1a:2b:3c:4d:5e"),
    ],
)
def test_what_is_no_address_is_refused(name: str, value: str) -> None:
    each = codec(name)

    assert refused(each, value, each.registers or 0).code == "not_an_address"


@pytest.mark.parametrize("name", ["ipv4", "ipv6"])
@pytest.mark.parametrize("value", [None, 5, b"abcd"])
def test_an_address_is_encoded_from_one_or_a_string(name: str, value: object) -> None:
    with pytest.raises(NotAValueError, match="an IP address is encoded from one, or a string"):
        codec(name).encode(value, about(2))


def test_an_address_of_the_other_version_is_no_value() -> None:
    with pytest.raises(NotAValueError):
        codec("ipv4").encode(ipaddress.IPv6Address("::1"), about(2))


def test_there_is_no_room_for_a_scope() -> None:
    assert refused(codec("ipv6"), "fe80::1%eth0", 8).code == "has_scope"


@pytest.mark.parametrize(("name", "count"), [("ipv4", 1), ("ipv6", 4), ("mac", 2)])
def test_an_address_takes_as_many_registers_as_it_has(name: str, count: int) -> None:
    with pytest.raises(ValueError, match=rf"{name} takes \d registers, not {count}"):
        codec(name).fitted(count)
