# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pickle
import sys
import tracemalloc
import zlib
from collections.abc import Callable
from struct import pack
from time import process_time

import pytest

from heliograph.partisan.errors import DecodeError, RemoteError
from heliograph.partisan.wire import (
    Atom,
    BitString,
    Fun,
    ImproperList,
    Limits,
    Pid,
    Port,
    Reference,
    Term,
    TermMap,
    decode,
    decode_forward,
    encode,
    encode_forward,
)
from heliograph.partisan.wire.decode import _ATOMS

NODE = b"d\x00\x03n@h"
FUN_BODY = b"\x01" + bytes(16) + pack(">II", 7, 1) + b"d\x00\x01m" + b"a\x07" + b"a\x09"
FUN_PID = b"X" + NODE + bytes(12)


def fun(body: bytes) -> bytes:
    return b"p" + pack(">I", len(body) + 4) + body


FUN = fun(FUN_BODY + FUN_PID + b"a\x01")


@pytest.mark.parametrize(
    ("raw", "term"),
    [
        (b"s\x02ok", Atom("ok")),
        (b"v\x00\x02ok", Atom("ok")),
        (b"w\x04true", True),
        (b"d\x00\x05false", False),
        (b"o\x00\x00\x00\x01\x01\x05", -5),
        (b"n\x00\x00", 0),
        (b"i\x00\x00\x00\x01a\x01", (1,)),
        (b"c" + b"%.20e" % 1.5 + b"\0" * 5, 1.5),
        (b"c" + b"-2.5".ljust(31, b"\0"), -2.5),
        (b"M\x00\x00\x00\x00\x00", b""),
        (b"M\x00\x00\x00\x01\x08\xff", b"\xff"),
        (b"M\x00\x00\x00\x01\x03\xff", BitString(b"\xe0", 3)),
        (b"g" + NODE + pack(">IIB", 1, 2, 3), Pid(Atom("n@h"), 1, 2, 3)),
        (b"f" + NODE + pack(">IB", 1, 3), Port(Atom("n@h"), 1, 3)),
        (b"x" + NODE + pack(">QI", 1 << 40, 3), Port(Atom("n@h"), 1 << 40, 3)),
        (b"r\x00\x01" + NODE + pack(">BI", 3, 9), Reference(Atom("n@h"), 3, (9,))),
        (b"X" + b"w\x04true" + bytes(12), Pid(Atom("true"), 0, 0, 0)),
        (b"X" + b"w\x05false" + bytes(12), Pid(Atom("false"), 0, 0, 0)),
        # A list goes on in its tail.
        (b"l\x00\x00\x00\x01a\x01l\x00\x00\x00\x01a\x02j", [1, 2]),
        (b"l\x00\x00\x00\x01a\x01k\x00\x01\x02", [1, 2]),
        (b"l\x00\x00\x00\x00j", []),
        (b"l\x00\x00\x00\x01a\x01l\x00\x00\x00\x01a\x02a\x03", ImproperList((1, 2), 3)),
        (b"t\x00\x00\x00\x02ja\x01a\x01a\x02", TermMap([([], 1), (1, 2)])),
        (b"t\x00\x00\x00\x02a\x01a\x01w\x04truea\x02", TermMap([(1, 1), (True, 2)])),
        (FUN, Fun(Atom("m"), 7, 9, FUN)),
    ],
)  # fmt: skip
def test_forms_that_a_modern_node_does_not_write_are_read(raw: bytes, term: Term) -> None:
    assert decode(b"\x83" + raw) == term
    assert type(decode(b"\x83" + raw)) is type(term)


@pytest.mark.parametrize(
    ("raw", "offset", "reason"),
    [
        (b"", 0, "end inside"),
        (b"\x83", 1, "end inside"),
        (b"\x82a\x01", 0, "starts with byte 131"),
        (b"\x83a\x01\x00", 3, "1 bytes follow"),
        (b"\x83h\x00\x00\x01\x00", 3, "3 bytes follow"),  # the original's tuples beyond 255
        (b"\x83\xff", 1, "no term with the tag 255"),
        (b"\x83R\x00", 1, "no term with the tag 82"),
        (b"\x83h\x02a\x01", 5, "end inside"),
        (b"\x83i\xff\xff\xff\xffa\x01", 8, "end inside"),
        (b"\x83l\xff\xff\xff\xffj", 7, "end inside"),
        (b"\x83m\xff\xff\xff\xff", 6, "end inside"),
        (b"\x83t\xff\xff\xff\xffj", 7, "end inside"),
        (b"\x83t\x00\x00\x00\x02a\x01a\x01a\x01a\x02", 1, "same key twice"),
        (b"\x83t\x00\x00\x00\x02ja\x01ja\x02", 1, "same key twice"),
        (b"\x83t\x00\x00\x00\x02w\x01aa\x01d\x00\x01aa\x02", 1, "same key twice"),
        (b"\x83k\xff\xffab", 6, "end inside"),
        (b"\x83l\x00\x00\x00\x00a\x01", 6, "without elements has a tail"),
        (b"\x83l\x00\x00\x00\x01a\x01", 8, "end inside"),
        (b"\x83w\x05abc", 6, "end inside"),
        (b"\x83d\x00\x05abc", 7, "end inside"),
        (b"\x83h\x01w\x05abc", 8, "end inside"),
        (b"\x83w\x02\xc3\x28", 3, "not UTF-8"),
        (b"\x83d\x01\x00" + b"a" * 256, 1, "256 characters"),
        (b"\x83Xa\x01", 2, "an atom is due"),
        (b"\x83n\x01\x02\x01", 3, "the sign"),
        (b"\x83n\x05\x00\x01", 5, "end inside"),
        (b"\x83o\x00\x08\x00\x01\x00", 1, "an integer has 524289 bytes"),
        (b"\x83F" + pack(">d", float("inf")), 1, "infinite"),
        (b"\x83F" + pack(">d", float("nan")), 1, "infinite"),
        (b"\x83F\x00", 3, "end inside"),
        (b"\x83c" + b"1e999".ljust(31, b"\0"), 1, "a float is no number"),
        (b"\x83c" + b"1.0e999".ljust(31, b"\0"), 1, "a float is no number"),
        (b"\x83c" + b"1_0.0".ljust(31, b"\0"), 1, "a float is no number"),
        (b"\x83c1.5", 5, "end inside"),
        (b"\x83M\x00\x00\x00\x01\x09\xff", 1, "cannot end on 9 bits"),
        (b"\x83M\x00\x00\x00\x01\x00\xff", 1, "cannot end on 0 bits"),
        (b"\x83M\x00\x00\x00\x00\x03", 1, "cannot end on 3 bits"),
        (b"\x83M\x00\x00\x00\x05\x03\xff", 8, "end inside"),
        (b"\x83Z\x00\x00" + NODE, 1, "1 to 5 words, not 0"),
        (b"\x83Z\x00\x06" + NODE, 1, "1 to 5 words, not 6"),
        (b"\x83q" + NODE + NODE + b"b\0\0\0\0", 14, "arity"),
        (b"\x83" + fun(FUN_BODY + FUN_PID), 58, "end inside"),
        (b"\x83" + fun(FUN_BODY + FUN_PID + b"a\x01\x00"), 1, "not built as funs are"),
        (b"\x83" + fun(FUN_BODY[:-2] + b"j" + FUN_PID + b"a\x01"), 1, "not built as funs are"),
        (b"\x83P\x00\x00\x00\x02" + zlib.compress(b"a"), 2, "does not inflate to the 2 bytes"),
        (b"\x83P\x00\x00\x00\x01" + zlib.compress(b"a\x01"), 2, "does not inflate to the 1 bytes"),
        (b"\x83P\x00\x00\x00\x02" + zlib.compress(b"a\x01")[:-1], 2, "does not inflate"),
        (b"\x83P\x00\x00\x00\x02" + zlib.compress(b"a\x01") + b"\x00\x00", 16, "2 bytes follow"),
        (b"\x83P\x00\x00\x00\x02nonsense", 6, "cannot be inflated"),
        (b"\x83P\x04\x00\x00\x01", 2, "announces 67108865 bytes"),
        (b"\x83P\x00\x00\x00\x01" + zlib.compress(b"h"), 1, "in what was inflated"),
        (b"\x83P\x00\x00\x00\x03" + zlib.compress(b"a\x01j"), 2, "in what was inflated"),
        (b"\x83P\x00\x00\x00\x01" + zlib.compress(b"\x83"), 0, "in what was inflated"),
        (b"\x83P\x00", 3, "end inside"),
    ],
)  # fmt: skip
def test_anything_else_is_one_error_with_its_offset(raw: bytes, offset: int, reason: str) -> None:
    with pytest.raises(DecodeError, match=reason) as caught:
        decode(raw)

    assert caught.value.offset == offset
    assert isinstance(caught.value, RemoteError | ValueError)
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


def nested(form: bytes, times: int, end: bytes = b"j") -> bytes:
    return b"\x83" + form * times + b"j" + (end * times if form[:1] == b"l" else b"")


@pytest.mark.parametrize("form", [b"h\x01", b"i\0\0\0\x01", b"l\0\0\0\x01", b"t\0\0\0\x01a\x01"])
def test_terms_nest_only_so_deep(form: bytes) -> None:
    decode(nested(form, 128))

    with pytest.raises(DecodeError, match="deeper than 128") as caught:
        decode(nested(form, 129))
    assert caught.value.offset == 1 + 128 * len(form)
    with pytest.raises(DecodeError, match="deeper than 128"):
        decode(nested(form, 100_000))
    with pytest.raises(DecodeError, match="deeper than 3"):
        decode(nested(form, 4), limits=Limits(depth=3))


def test_funs_nest_only_so_deep() -> None:
    raw = b"a\x01"
    for _ in range(3):
        raw = fun(FUN_BODY + FUN_PID + raw)

    decode(b"\x83" + raw, limits=Limits(depth=3))
    with pytest.raises(DecodeError, match="deeper than 2"):
        decode(b"\x83" + raw, limits=Limits(depth=2))


def test_a_full_stack_is_no_crash() -> None:
    raw = nested(b"h\x01", 100)
    forward = b"\x83h\x03w\x0fforward_messagew\x01a" + nested(b"h\x01", 100)[1:]

    def fill(depth: int, call: Callable[[], object]) -> None:
        if depth:
            fill(depth - 1, call)
        else:
            call()

    room = sys.getrecursionlimit()

    def fill_more_and_more(call: Callable[[], object]) -> None:
        for depth in range(room - 300, room):
            fill(depth, call)

    for call in (lambda: decode(raw), lambda: decode_forward(forward)):
        with pytest.raises(DecodeError, match="stack"):
            fill_more_and_more(call)


@pytest.mark.parametrize(
    ("raw", "limits"),
    [
        (b"\x83l\0\0\0\x03jjjj", Limits(elements=2)),
        (b"\x83h\x03jjj", Limits(elements=2)),
        (b"\x83k\0\x03abc", Limits(elements=2)),
        (b"\x83t\0\0\0\x02a\x01a\x01a\x02a\x02", Limits(elements=3)),
        (b"\x83" + fun(FUN_BODY + FUN_PID + b"l\0\0\0\x02jjj"), Limits(elements=2)),
        (b"\x83l\0\0\0\x01h\x02jjj", Limits(elements=2)),
    ],
)
def test_elements_are_counted(raw: bytes, limits: Limits) -> None:
    decode(raw)

    with pytest.raises(DecodeError, match="more elements than"):
        decode(raw, limits=limits)


def test_large_frames_are_counted_with_the_default_limits_too() -> None:
    amount = 4 * 1024 * 1024 + 1
    body = b"l" + pack(">I", amount) + b"j" * (amount + 1)
    forward = b"\x83h\x03w\x0fforward_messagew\x04sink"

    for case in (b"\x83" + body, b"\x83P" + pack(">I", len(body)) + zlib.compress(body, 1)):
        with pytest.raises(DecodeError, match="more elements than"):
            decode(case)
    with pytest.raises(DecodeError, match="more elements than"):
        decode_forward(forward + body)
    large = b"x" * amount
    assert decode_forward(forward + encode((large,))[1:]) == ("sink", (large,))


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(b"\x83l\xff\xff\xff\xff" + b"j" * 1000, id="list"),
        pytest.param(b"\x83i\xff\xff\xff\xff" + b"j" * 1000, id="tuple"),
        pytest.param(b"\x83t\xff\xff\xff\xff" + b"j" * 1000, id="map"),
        pytest.param(b"\x83m\xff\xff\xff\xff" + b"j" * 1000, id="binary"),
        pytest.param(b"\x83o\xff\xff\xff\xff\x00" + b"j" * 1000, id="integer"),
        pytest.param(b"\x83M\xff\xff\xff\xff\x01" + b"j" * 1000, id="bit string"),
        pytest.param(b"\x83p\xff\xff\xff\xff" + b"j" * 1000, id="fun"),
        pytest.param(
            b"\x83P\x00\x01\x00\x00" + zlib.compress(bytes(64 * 1024 * 1024), 9), id="zlib"
        ),
        pytest.param(b"\x83P\xff\xff\xff\xff" + zlib.compress(bytes(1000)), id="announced"),
    ],
)
def test_what_is_announced_takes_no_memory(raw: bytes) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(DecodeError):
            decode(raw)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak < 1_000_000 + 2 * len(raw)


@pytest.mark.parametrize("value", [b"a\x01", b"j"])
def test_keys_made_to_collide_are_refused(value: bytes) -> None:
    def colliding(amount: int) -> bytes:
        modulus = sys.hash_info.modulus
        keys = [encode(1 + each * modulus)[1:] for each in range(amount)]
        return b"\x83t" + pack(">I", amount) + b"".join([key + value for key in keys])

    assert len(decode(colliding(64))) == 64  # type: ignore[arg-type]
    began = process_time()
    with pytest.raises(DecodeError, match="collide"):
        decode(colliding(20_000))
    assert process_time() - began < 10


def test_large_maps_decode() -> None:
    term = {number * 1000: number for number in range(10_000)}

    assert decode(encode(term)) == term


def test_keys_that_no_dictionary_takes_cannot_collide() -> None:
    modulus = sys.hash_info.modulus
    amount = 2_000
    keys = [encode([1 + each * modulus, {}])[1:] for each in range(amount)]
    raw = b"\x83t" + pack(">I", amount) + b"".join([key + b"j" for key in keys])

    term = decode(raw)

    assert isinstance(term, TermMap)
    assert len(term) == amount


def test_maps_as_keys_of_maps_take_linear_time() -> None:
    raw = b"j"
    for _ in range(100):
        raw = b"t\0\0\0\x02" + raw + b"ja\x01" + encode([*range(300)])[1:]

    began = process_time()
    decode(b"\x83" + raw)
    assert process_time() - began < 10


def test_atoms_are_remembered_to_a_bound() -> None:
    for number in range(10_000):
        assert decode(encode(Atom(f"atom {number}"))) == f"atom {number}"

    assert len(_ATOMS) <= 4096


def test_the_fast_path_reads_forwarded_messages_only() -> None:
    sink = Atom("sink")
    forward = Atom("forward_message")

    assert decode_forward(encode_forward(sink, b"x" * 70_000)) == (sink, b"x" * 70_000)
    assert decode_forward(encode((forward, Atom("unheard of"), 1))) == ("unheard of", 1)
    latin = b"\x83h\x03d\x00\x0fforward_messaged\x00\x04sinka\x01"
    assert decode_forward(latin) == (sink, 1)
    for other in (
        (forward, sink),
        (forward, Atom("n@h"), 1, sink, 2),
        (Atom("hello"), Atom("n@h"), 2),
        (forward, (Atom("encoded_name"), [1000]), 1),
        (forward, True, 1),
    ):
        assert decode_forward(encode(other)) is None


@pytest.mark.parametrize(
    ("rest", "offset", "reason"),
    [
        (b"", 20, "end inside"),
        (b"w\x04si", 24, "end inside"),
        (b"w\x04sinkm\x00\x00\x00\x05abc", 34, "end inside"),
        (b"w\x04sinkm\x00\x00", 29, "end inside"),
        (b"w\x04sinka\x01\x00", 28, "1 bytes follow"),
        (b"w\x04sinkm\x00\x00\x00\x00\x00", 31, "1 bytes follow"),
        (b"w\x04sink\xff", 26, "no term with the tag 255"),
        (b"w\x02\xc3\x28a\x01", 22, "not UTF-8"),
    ],
)
def test_the_fast_path_has_the_same_errors(rest: bytes, offset: int, reason: str) -> None:
    raw = b"\x83h\x03w\x0fforward_message" + rest

    for before, after in ((b"", b""), (b"before", b"w\x01ah\x03")):
        with pytest.raises(DecodeError, match=reason) as caught:
            decode_forward(before + raw + after, len(before), len(before) + len(raw))
        assert caught.value.offset == offset
