# SPDX-License-Identifier: Apache-2.0
"""Errors: what they say, what they are, what they carry."""

from __future__ import annotations

import pickle

import pytest

from heliograph.modboss import (
    BadValueError,
    BatchTooLargeError,
    CodecError,
    DecodeError,
    DeviceError,
    DuplicateNamesError,
    EncodeError,
    Fault,
    ModbossError,
    NotReadableError,
    NotWritableError,
    OptionError,
    RefusedError,
    SchemaError,
    UnknownNamesError,
    WrongCountError,
)

ERRORS: list[tuple[Exception, type[Exception], str]] = [
    (
        SchemaError("Pump", [Fault("reserved_name", "all", "choose another", where="pump.csv:2")]),
        ValueError,
        "schema Pump: pump.csv:2: mapping 'all': choose another",
    ),
    (OptionError("max_gap is -1", "invalid_max_gap"), ValueError, "max_gap is -1"),
    (
        UnknownNamesError(["a", "b"], "Pump"),
        LookupError,
        "schema Pump has no mappings of these names: 'a', 'b'",
    ),
    (
        NotReadableError(["a"], "Pump"),
        ValueError,
        "schema Pump cannot read these mappings, their mode is 'w': 'a'",
    ),
    (
        NotWritableError(list("abcdefghij"), "Pump", "ask the device's maker"),
        ValueError,
        (
            "schema Pump cannot write these mappings, their mode is 'r': 'a', 'b', 'c', 'd', 'e', "
            "'f', 'g', 'h' and 2 more; ask the device's maker"
        ),
    ),
    (
        DuplicateNamesError(["a"], "Pump"),
        ValueError,
        "schema Pump is given these names twice: 'a'",
    ),
    (
        EncodeError("a", "coil", 5, 7, "no bit"),
        ValueError,
        "a (coil 5) cannot encode 7: no bit",
    ),
    (
        DecodeError("a", "coil", 5, [7], "no bit"),
        ValueError,
        "a (coil 5) cannot decode [7]: no bit",
    ),
    (BadValueError("a", "coil", 5, 7, "no bit"), TypeError, "a (coil 5) cannot take 7: no bit"),
    (
        WrongCountError("coil", 5, 3, 2),
        ValueError,
        "2 values came where 3 were asked for, coil from address 5",
    ),
    (
        WrongCountError("coil", 5, 3, 2, ["a", "b"]),
        ValueError,
        "2 values came for 'a', 'b' where 3 were asked for, coil from address 5",
    ),
    (
        BatchTooLargeError("big", "write", "coil", 2000, 1968),
        ValueError,
        (
            "big has 2000 addresses of coil, but one write takes at most 1968; raise "
            "max_batch_writes of the schema, if the device allows it, or divide the mapping"
        ),
    ),
    (RefusedError("a", "illegal"), KeyError, "the device refused to read a: illegal"),
    (RefusedError("a", {"code": 2}), KeyError, "the device refused to read a: {'code': 2}"),
    (DeviceError("timeout"), OSError, "timeout"),
    (DeviceError({"code": 2}), OSError, "{'code': 2}"),
]


@pytest.mark.parametrize(("error", "builtin", "text"), ERRORS, ids=lambda each: repr(each)[:40])
def test_an_error_says_what_where_and_the_mend(
    error: Exception, builtin: type[Exception], text: str
) -> None:
    assert str(error) == text
    assert isinstance(error, ModbossError)
    assert isinstance(error, builtin)


@pytest.mark.parametrize("error", [each[0] for each in ERRORS], ids=lambda each: repr(each)[:40])
def test_an_error_can_be_pickled(error: Exception) -> None:
    copy = pickle.loads(pickle.dumps(error))

    assert (type(copy), str(copy), copy.args) == (type(error), str(error), error.args)


def test_a_codec_error_is_for_the_codecs_caller() -> None:
    error = CodecError("too hot", "out_of_range", limit=90)

    assert not isinstance(error, ModbossError)
    assert (str(error), error.code, error.parameters) == ("too hot", "out_of_range", {"limit": 90})
    assert pickle.loads(pickle.dumps(error)).parameters == {"limit": 90}


def test_many_faults_are_cut_in_the_text_alone() -> None:
    error = SchemaError("Pump", [Fault("x", None, f"fault {at}") for at in range(150)])

    assert len(error.faults) == 150
    assert str(error).startswith("schema Pump has 150 faults:\n  fault 0\n")
    assert str(error).endswith("\n  fault 99\n  and 50 more, in .faults")


def test_a_fault_without_parameters_has_none() -> None:
    assert Fault("x", None, "wrong").parameters == {}


@pytest.mark.parametrize(
    ("written", "not_written", "text"),
    [
        (("a",), ("b", "c"), "timeout; written before: 'a'; not written: 'b', 'c'"),
        ((), ("b",), "timeout; written before: nothing; not written: 'b'"),
    ],
)
def test_a_failed_write_says_what_was_written(
    written: tuple[str, ...], not_written: tuple[str, ...], text: str
) -> None:
    error = DeviceError("timeout")
    error.written, error.not_written = written, not_written

    assert str(error) == text
