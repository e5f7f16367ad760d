# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import enum
import pickle
import sys
import zlib
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from heliograph.partisan.errors import EncodeError, LocalError
from heliograph.partisan.wire import (
    Atom,
    BitString,
    Export,
    Fun,
    ImproperList,
    Pid,
    Port,
    Reference,
    Term,
    TermMap,
    decode,
    encode,
    encode_forward,
    frame,
)
from heliograph.partisan.wire.encode import _ATOMS, _FORWARDS

NODE = Atom("n@h")


class Level(enum.IntEnum):
    HIGH = 300


class Point(NamedTuple):
    x: int
    y: int


class Name(Atom):
    __slots__ = ()


class Ratio(float):
    __slots__ = ()


class Names(list[Term]):
    __slots__ = ()


WRITTEN: list[tuple[Term, bytes]] = [
    (0, b"a\x00"),
    (255, b"a\xff"),
    (256, b"b\x00\x00\x01\x00"),
    (-1, b"b\xff\xff\xff\xff"),
    (2**31 - 1, b"b\x7f\xff\xff\xff"),
    (2**31, b"n\x04\x00\x00\x00\x00\x80"),
    (-(2**31), b"b\x80\x00\x00\x00"),
    (-(2**31) - 1, b"n\x04\x01\x01\x00\x00\x80"),
    (2**2040, b"o\x00\x00\x01\x00\x00" + bytes(255) + b"\x01"),
    (1.5, b"F\x3f\xf8" + bytes(6)),
    (True, b"w\x04true"),
    (Atom("true"), b"w\x04true"),
    (Atom("ok"), b"w\x02ok"),
    (Atom("λ" * 255), b"v\x01\xfe" + ("λ" * 255).encode()),
    (Atom(""), b"w\x00"),
    (b"ab", b"m\x00\x00\x00\x02ab"),
    (bytearray(b"ab"), b"m\x00\x00\x00\x02ab"),
    (memoryview(b"ab"), b"m\x00\x00\x00\x02ab"),
    ((), b"h\x00"),
    ((1,) * 256, b"i\x00\x00\x01\x00" + b"a\x01" * 256),
    ([], b"j"),
    ([1, 2], b"k\x00\x02\x01\x02"),
    ([1, 256], b"l\x00\x00\x00\x02a\x01b\x00\x00\x01\x00j"),
    ([1, -1], b"l\x00\x00\x00\x02a\x01b\xff\xff\xff\xffj"),
    ([1, True], b"l\x00\x00\x00\x02a\x01w\x04truej"),
    ([1.5], b"l\x00\x00\x00\x01F\x3f\xf8" + bytes(6) + b"j"),
    ([7] * 65_535, b"k\xff\xff" + b"\x07" * 65_535),
    ([7] * 65_536, b"l\x00\x01\x00\x00" + b"a\x07" * 65_536 + b"j"),
    (ImproperList((1,), 2), b"l\x00\x00\x00\x01a\x01a\x02"),
    ({1: 2}, b"t\x00\x00\x00\x01a\x01a\x02"),
    ({}, b"t\x00\x00\x00\x00"),
    (TermMap([([], 2)]), b"t\x00\x00\x00\x01ja\x02"),
    (OrderedDict([(1, 2)]), b"t\x00\x00\x00\x01a\x01a\x02"),
    (BitString(b"\xff", 3), b"M\x00\x00\x00\x01\x03\xe0"),
    (Pid(NODE, 1, 2, 3), b"Xw\x03n@h\0\0\0\x01\0\0\0\x02\0\0\0\x03"),
    (Port(NODE, 1, 3), b"Yw\x03n@h\0\0\0\x01\0\0\0\x03"),
    (Port(NODE, 2**32, 3), b"xw\x03n@h\0\0\0\x01\0\0\0\0\0\0\0\x03"),
    (Reference(NODE, 3, (1, 2)), b"Z\x00\x02w\x03n@h\0\0\0\x03\0\0\0\x01\0\0\0\x02"),
    (Export(Atom("lists"), Atom("map"), 2), b"qw\x05listsw\x03mapa\x02"),
    (Fun(Atom("m"), 1, 2, b"p..."), b"p..."),
    (Level.HIGH, b"b\x00\x00\x01\x2c"),
    (Point(1, 2), b"h\x02a\x01a\x02"),
    (Name("ok"), b"w\x02ok"),
    (Ratio(1.5), b"F\x3f\xf8" + bytes(6)),
    (Names([1]), b"k\x00\x01\x01"),
]  # fmt: skip


@pytest.mark.parametrize(("term", "raw"), WRITTEN, ids=map(str, range(len(WRITTEN))))
def test_terms_are_written_as_a_current_node_writes_them(term: Term, raw: bytes) -> None:
    assert encode(term) == b"\x83" + raw
    assert encode((term,)) == b"\x83h\x01" + raw
    assert encode_forward(Atom("sink"), term) == b"\x83h\x03w\x0fforward_messagew\x04sink" + raw


@pytest.mark.parametrize(
    ("term", "reason"),
    [
        ("text", "a str is no Erlang term: 'text'"),
        (None, "no Erlang term stands for NoneType: None"),
        ({1, 2}, "no Erlang term stands for set"),
        (float("nan"), "no float for nan"),
        (float("-inf"), "no float for -inf"),
        (Atom("x" * 256), "at most 255 characters, not 256"),
        (Atom("\ud800"), "cannot be written as UTF-8"),
        (Pid(NODE, 2**32, 0, 0), "too large for the format: Pid"),
        (Port(NODE, 2**64, 0), "too large for the format: Port"),
        (Port(NODE, -1, 0), "too large for the format: Port"),
        (Export(NODE, NODE, 256), "too large for the format: Export"),
        (Reference(NODE, 0, ()), "1 to 5 words"),
        (Reference(NODE, 0, (2**32,)), "too large for the format: Reference"),
    ],
)
def test_what_is_no_term_is_one_error(term: Term, reason: str) -> None:
    calls: list[Callable[[], bytes]] = [
        lambda: encode(term),
        lambda: encode([term]),
        lambda: encode_forward(NODE, term),
    ]
    for call in calls:
        with pytest.raises(EncodeError, match=reason) as caught:
            call()
        assert isinstance(caught.value, LocalError | ValueError)
        assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


def test_what_is_too_deep_or_within_itself_is_an_error() -> None:
    def nested(depth: int) -> Term:
        term: Term = []
        for _ in range(depth):
            term = (term,)
        return term

    assert decode(encode(nested(128))) == nested(128)
    endless: list[Term] = []
    endless.append(endless)
    deep_map: Term = {}
    for _ in range(128):
        deep_map = {1: deep_map}
    for term in (nested(129), endless, {1: endless}, deep_map, ImproperList((nested(128),), 1)):
        with pytest.raises(EncodeError, match="deeper than 128"):
            encode(term)
    with pytest.raises(EncodeError, match="deeper than 128"):
        encode_forward(NODE, nested(128))


def test_a_full_stack_is_no_crash() -> None:
    term: Term = []
    for _ in range(100):
        term = [term]

    def fill(depth: int, call: Callable[[], object]) -> None:
        if depth:
            fill(depth - 1, call)
        else:
            call()

    def fill_more_and_more(call: Callable[[], object]) -> None:
        for depth in range(sys.getrecursionlimit() - 300, sys.getrecursionlimit()):
            fill(depth, call)

    for call in (lambda: encode(term), lambda: encode_forward(NODE, term)):
        with pytest.raises(EncodeError, match="stack"):
            fill_more_and_more(call)


def test_compression_is_kept_where_it_pays() -> None:
    text = b"abcdefgh" * 100

    packed = encode(text, compression=9)
    assert packed == b"\x83P\x00\x00\x03\x25" + zlib.compress(encode(text)[1:], 9)
    assert decode(packed) == text
    assert encode(b"short", compression=9) == encode(b"short")


def test_forms_are_remembered_to_a_bound() -> None:
    for number in range(10_000):
        encode_forward(Atom(f"process {number}"), 1)

    assert len(_ATOMS) <= 4096
    assert len(_FORWARDS) <= 4096


def test_what_four_bytes_cannot_count_is_an_error() -> None:
    large = bytes(2**32)  # zeros that nobody reads take no memory

    calls: list[Callable[[], bytes]] = [lambda: encode(large), lambda: encode_forward(NODE, large)]
    for call in calls:
        with pytest.raises(EncodeError, match="at most 4294967295 bytes, not 4294967296"):
            call()
    with pytest.raises(EncodeError, match="at most 4294967295 bytes, not 4294967296"):
        frame(large)


def test_an_integer_that_no_decoder_would_take_is_an_error() -> None:
    longest = (1 << 8 * 524_288) - 1

    assert decode(encode(-longest)) == -longest
    with pytest.raises(EncodeError, match="at most 524288 bytes, not 524289; send a binary"):
        encode(longest + 1)


def test_a_message_that_stands_in_others_nests_less_deep() -> None:
    term: Any = []
    for _ in range(124):
        term = (term,)

    assert decode(encode(((((term,),),),))) == ((((term,),),),)
    assert encode(term, within=4) == encode(term)
    with pytest.raises(EncodeError, match="deeper than 128 levels"):
        encode((term,), within=4)
