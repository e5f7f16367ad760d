# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from datetime import date, datetime
from typing import Any

import click
import pytest

from heliograph.cli.modbus.faults import parse_fault
from heliograph.cli.modbus.schemas import parse_ranges, schema_of_addresses
from heliograph.cli.modbus.values import fitting, parse_script, parse_value
from heliograph.modboss.virtual import (
    Close,
    Corrupt,
    Cut,
    Delay,
    Fault,
    Garbage,
    Refuse,
    Reset,
    Script,
    Silence,
    WrongCount,
    WrongTransaction,
    WrongUnit,
)

NOON = "2026-01-02T12:00:00"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("21", 21),
        ("-3", -3),
        ("0x1F", 31),
        ("21.5", 21.5),
        ("1e3", 1000.0),
        ("true", True),
        ("Off", False),
        ("null", None),
        ("[1, 2]", [1, 2]),
        ('"21"', "21"),
        ("Keller", "Keller"),
        ("", ""),
        ("2026-01-01", "2026-01-01"),
    ],
)
def test_a_value_is_what_it_looks_like(text: str, value: Any) -> None:
    assert (parse_value(text), type(parse_value(text))) == (value, type(value))


@pytest.mark.parametrize(
    ("spec", "text", "value"),
    [
        ("coil:1", "1", True),
        ("coil:1", "0", False),
        ("coil:1", "on", True),
        ("coil:1:raw", "1", 1),
        ("holding:1:uint16", "1", 1),
        ("holding:1:uint16", "hot", "hot"),
        ("holding:1:4:utf8", "1", "1"),
        ("holding:1:4:utf8", "21.5", "21.5"),
        ("holding:1:4:utf8", "true", "true"),
        ("holding:1:date", "2026-01-02", date(2026, 1, 2)),
        ("holding:1:datetime", NOON, datetime.fromisoformat(NOON)),
    ],
)
def test_a_text_stands_for_what_the_codec_takes(spec: str, text: str, value: Any) -> None:
    mapping = schema_of_addresses([spec]).mappings[spec]

    assert fitting(mapping, text) == value
    assert type(fitting(mapping, text)) is type(value)


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("steps(1, 2.5, 'x')", [1, 2.5, "x", "x"]),
        ("steps(1, 2, cycle=True)", [1, 2, 1, 2]),
    ],
)
def test_a_script_is_written_as_a_call(text: str, values: list[Any]) -> None:
    script = parse_script(text)

    assert isinstance(script, Script)
    assert [script.at(0, reads) for reads in range(4)] == values


def test_scripts_of_time_are_written_as_calls() -> None:
    swinging, rising = map(parse_script, ("sine(20, 5, 60)", "ramp(0, 10, 60, repeat=True)"))

    assert swinging is not None
    assert swinging.at(15, 0) == pytest.approx(25)
    assert rising is not None
    assert rising.at(90, 0) == pytest.approx(5)


@pytest.mark.parametrize("text", ["sin(1)", "steps", "steps(1", "21", "ramp"])
def test_what_is_no_call_of_a_script_is_none(text: str) -> None:
    assert parse_script(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "sine(1)",
        "steps()",
        "ramp(0, 1, 0)",
        "steps(open('x'))",
        "steps(1)(2)",
        "sine(1 2)",
        "steps(1)+steps(2)",
    ],
)
def test_a_script_that_cannot_be_is_refused(text: str) -> None:
    with pytest.raises(click.UsageError, match="is no script"):
        parse_script(text)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("refuse=6", Refuse(6)),
        ("refuse=illegal_data_address", Refuse(2)),
        ("silence", Silence()),
        ("delay=0.5", Delay(0.5)),
        ("wrong-unit", WrongUnit()),
        ("wrong-unit=9", WrongUnit(9)),
        ("wrong-transaction=2", WrongTransaction(2)),
        ("wrong-count=3", WrongCount(3)),
        ("corrupt", Corrupt()),
        ("corrupt=4", Corrupt(4)),
        ("cut=9", Cut(9)),
        ("garbage=00ff", Garbage(b"\x00\xff")),
        ("close", Close()),
        ("reset", Reset()),
    ],
)
def test_every_fault_has_a_word(text: str, fault: Fault) -> None:
    assert parse_fault(text) == ((fault,), {})


def test_when_a_fault_happens_is_written_behind_it() -> None:
    assert parse_fault("delay=0.5+refuse=6 for a,b on writes at 3-5,9 times 2") == (
        (Delay(0.5), Refuse(6)),
        {"names": ["a", "b"], "only": "write", "calls": {3, 4, 5, 9}, "times": 2},
    )
    _, when = parse_fault("  silence   every   10 ")
    assert [number for number in range(1, 31) if number in when["calls"]] == [10, 20, 30]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("explode", "'explode' is no fault; there are refuse, silence"),
        ("refuse", "refuse needs a value"),
        ("refuse=0", "code 0 is out of range"),
        ("refuse=later", "'later' is no number"),
        ("silence=1", "silence takes no value"),
        ("garbage=xy", "'xy' is not made of hexadecimal digits"),
        ("silence on holidays", "on holidays means nothing"),
        ("silence sometimes", "'sometimes' means nothing"),
        ("silence at noon", "'noon' is no number"),
        ("silence at 1-9999999", "are too many calls"),
        ("silence at", "'at' means nothing"),
    ],
)
def test_a_fault_that_cannot_be_is_refused(text: str, complaint: str) -> None:
    with pytest.raises(click.BadParameter) as raised:
        parse_fault(text)
    assert complaint in raised.value.message


def test_ranges_are_gathered_by_type() -> None:
    assert parse_ranges(["holding:0-9", "coil:5", "holding:20:3"]) == {
        "holding_register": [range(10), range(20, 23)],
        "coil": [range(5, 6)],
    }
    with pytest.raises(click.UsageError, match="is no address"):
        parse_ranges(["holding:0-9:uint16:scale=2"])
    for none in ("holding:0-65536", "holding:9-8", "holding:65535:2", "coil:5:0"):
        with pytest.raises(click.UsageError, match="is no range of addresses"):
            parse_ranges([none])
