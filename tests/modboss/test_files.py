# SPDX-License-Identifier: Apache-2.0
"""Device files: schemas of YAML and CSV, and what is wrong with them, line by line."""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from heliograph._located import MAX_BYTES
from heliograph.modboss import Schema, SchemaError
from heliograph.modboss.files import COLUMNS, MAX_LINES

YAML = """\
schema: Heat pump
word_order: little
max_batch_reads: {holding_registers: 64, coils: 8}
holding_registers:
  setpoint: {address: 2, codec: int16, scale: 0.1, mode: rw, unit: Cel, gap_safe: false}
  serial: {address: 0x0A-0x0D, codec: ascii, description: "On the plate: four"}
  mode: {address: 32, enum: {0: off, 1: true, 0x02: auto}, mode: rw}
  status: {address: 33, bits: {running: 0, stage: 1-3, fault: 4..7}}
  alarms: {address: 34, codec: uint32, flags: {0: hot, 31: wet}}
  power: {address: 40, codec: float32, missing: .nan}
  curve: {address: 50, codec: "int16[3]"}
  counter: 60
input_registers:
discrete_inputs: {}
coils:
  pump: 1
  relays: 8..15
"""

CSV = """\
# A heat pump
name,type,address,codec,scale,mode,unit,gap_safe,description,enum,bits,flags,missing,count
setpoint,holding_register,2,int16,0.1,rw,Cel,no,,,,,,

serial , holding_register, 0x0A-0x0D ,ascii,,,,yes,"On the plate: ""four"" digits"
mode,holding_register,32,,,rw,,,,0=off;1=true;0x02=auto
status,holding_register,33,,,,,,,,running=0;stage=1-3;fault=4..7
alarms,holding_register,34,uint32,,,,,,,,0=hot;31=wet;
power,holding_register,40,float32,,,,,,,,,nan
counter,holding_register,60,uint16,,,,,,,,,0xFFFF
name,holding_register,70,utf8,,,,,,,,,,4
pump,coil,1,,,,,,,,,,,,,
"""


def write(folder: Path, name: str, text: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def faults(folder: Path, name: str, text: str | bytes) -> list[str]:
    """The faults of a file, its path cut off."""
    path = write(folder, name, text)
    with pytest.raises(SchemaError) as caught:
        Schema.from_file(path)
    return [str(fault).replace(f"{path}", name) for fault in caught.value.faults]


# -- YAML -----------------------------------------------------------------------------------------


def test_a_yaml_file_makes_a_schema(tmp_path: Path) -> None:
    schema = Schema.from_file(write(tmp_path, "pump.yaml", YAML))

    assert schema.schema_name == "Heat pump"
    assert list(map(repr, schema.mappings.values())) == [
        "<Mapping setpoint: holding_register 2, int16, rw>",
        "<Mapping serial: holding_register 10 to 13, ascii, r>",
        "<Mapping mode: holding_register 32, enum, rw>",
        "<Mapping status: holding_register 33, bitfield, r>",
        "<Mapping alarms: holding_register 34 to 35, flags, r>",
        "<Mapping power: holding_register 40 to 41, float32, r>",
        "<Mapping curve: holding_register 50 to 52, int16[3], r>",
        "<Mapping counter: holding_register 60, raw, r>",
        "<Mapping pump: coil 1, raw, r>",
        "<Mapping relays: coil 8 to 15, raw, r>",
    ]
    assert (schema.read_limits["holding_register"], schema.read_limits["coil"]) == (64, 8)
    assert schema.write_limits == Schema.write_limits
    setpoint = schema.mappings["setpoint"]
    assert (setpoint.decode([215]), setpoint.unit, setpoint.gap_safe) == (21.5, "Cel", False)
    assert [schema.mappings["mode"].decode([each]) for each in range(3)] == ["off", "true", "auto"]
    assert schema.mappings["status"].decode([0b1011]) == {"running": 1, "stage": 5, "fault": 0}
    assert schema.mappings["alarms"].decode([1, 0x8000]) == {"hot", "wet"}
    assert schema.mappings["power"].decode([0, 0x7FC0]) is None
    assert schema.mappings["serial"].description == "On the plate: four"


def test_a_file_gives_a_schema_its_name_unless_it_is_named(tmp_path: Path) -> None:
    path = write(tmp_path, "pump.yml", "coils: {pump: 1}")

    assert Schema.from_file(path).schema_name == "pump"
    assert Schema.from_file(str(path), name="Pump 2").schema_name == "Pump 2"


def test_a_file_may_ask_for_codecs_of_your_own(tmp_path: Path) -> None:
    class Toggle:
        def decode(self, value: int) -> int:
            return 1 - value

    path = write(tmp_path, "pump.yaml", "coils: {pump: {address: 1, codec: toggle}}")

    schema = Schema.from_file(path, codecs={"toggle": Toggle()})

    assert schema.mappings["pump"].decode([0]) == 1


def test_a_file_may_add_to_a_schema(tmp_path: Path) -> None:
    base = Schema.from_mappings("Base", [{"name": "a", "type": "coil", "address": 1}])

    assert list(base.from_file(write(tmp_path, "b.yaml", "coils: {b: 2}")).mappings) == ["a", "b"]


def test_everything_wrong_with_a_yaml_file_is_told_by_line(tmp_path: Path) -> None:
    text = """\
schema: 5
wrod_order: little
byte_order: up
max_batch_reads:
  holding_register: 3
  coils: 0
max_batch_writes: 5
holding_registers:
  a: {address: 1, codec: nope}
  a: 2
  b: {address: 70000, type: x}
  c: {address: 1}
  d: [1, 2]
  e:
  f: {address: x-3, enum: off, bits: 5, flags: {x: a}}
  g: {address: 5, enum: {0: {}}}
  all: 9
coils: 4
"""

    assert faults(tmp_path, "bad.yaml", text) == [
        "bad.yaml:1: schema is 5; write the name of the schema",
        "bad.yaml:2: there is no 'wrod_order'; did you mean 'word_order' or 'byte_order'?",
        "bad.yaml:3: byte_order is 'up'; it must be 'big' or 'little'",
        (
            "bad.yaml:5: max_batch_reads has no 'holding_register'; it takes holding_registers, "
            "input_registers, coils, discrete_inputs"
        ),
        "bad.yaml:6: max_batch_reads of coils is 0; it must be an integer from 1",
        "bad.yaml:7: max_batch_writes is 5; write a mapping such as {'holding_registers': 64}",
        (
            "bad.yaml:9: mapping 'a': it is readable, but there is no built-in codec 'nope', and "
            "the schema has no decode_nope"
        ),
        "bad.yaml:10: second key 'a' (first in line 9); remove or rename one of them",
        (
            "bad.yaml:11: mapping 'b': there is no option 'type'; there are codec, mode, gap_safe, "
            "unit, description, alarm_below, alarm_above, count, bits, byte_order, enum, flags, "
            "maximum, minimum, missing, "
            "offset, pad, scale, word_order"
        ),
        "bad.yaml:11: mapping 'b': address 70000 is outside 0 to 65535",
        "bad.yaml:13: mapping 'd': address is [1, 2]; it must be an integer or a range of them",
        "bad.yaml:14: mapping 'e': address is None; it must be an integer or a range of them",
        "bad.yaml:15: mapping 'f': address is 'x-3'; it must be an integer or a range of them",
        "bad.yaml:15: mapping 'f': enum takes no bits",
        "bad.yaml:15: mapping 'f': enum takes no flags",
        "bad.yaml:15: mapping 'f': enum has names by number, such as {0: 'off'}, not 'off'",
        "bad.yaml:16: mapping 'g': enum has 0: {}; write a number and a name",
        "bad.yaml:17: mapping 'all': 'all' stands for all names; choose another",
        "bad.yaml:18: coils holds no mappings; write 'name: address' or 'name: {...}'",
        "addresses mapped more than once: holding_register 1 (a, c)",
    ]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "bad.yaml:1: the file is empty; write 'key: value' lines"),
        ("- 1", "bad.yaml:1: the file holds a list, not a mapping; write 'key: value' lines"),
        ("coils: {a: 1\nb: [", "bad.yaml:2: not YAML: "),
        (b"coils: {a: 1}\n\xff", "bad.yaml:2: byte 0xff is not UTF-8; save it as UTF-8"),
    ],
)
def test_a_file_that_is_no_yaml_is_refused(tmp_path: Path, text: str | bytes, fault: str) -> None:
    (found,) = faults(tmp_path, "bad.yaml", text)

    assert found.startswith(fault)


def test_yaml_needs_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path, "pump.yaml", YAML)
    monkeypatch.setitem(sys.modules, "yaml", None)

    with pytest.raises(ImportError, match=r"needs PyYAML: pip install heliograph\[modbus\]"):
        Schema.from_file(path)


# -- CSV ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text,
        lambda text: text.replace("\n", "\r\n"),
        lambda text: "\ufeff" + text,
        lambda text: text.replace(",", "\t"),
    ],
    ids=["LF", "CRLF", "BOM", "tabs"],
)
def test_a_csv_file_makes_a_schema(tmp_path: Path, change: Any) -> None:
    schema = Schema.from_file(write(tmp_path, "pump.CSV", change(CSV)))

    assert schema.schema_name == "pump"
    assert list(map(repr, schema.mappings.values())) == [
        "<Mapping setpoint: holding_register 2, int16, rw>",
        "<Mapping serial: holding_register 10 to 13, ascii, r>",
        "<Mapping mode: holding_register 32, enum, rw>",
        "<Mapping status: holding_register 33, bitfield, r>",
        "<Mapping alarms: holding_register 34 to 35, flags, r>",
        "<Mapping power: holding_register 40 to 41, float32, r>",
        "<Mapping counter: holding_register 60, uint16, r>",
        "<Mapping name: holding_register 70 to 73, utf8, r>",
        "<Mapping pump: coil 1, raw, r>",
    ]
    setpoint = schema.mappings["setpoint"]
    assert (setpoint.decode([215]), setpoint.unit, setpoint.gap_safe) == (21.5, "Cel", False)
    assert [schema.mappings["mode"].decode([each]) for each in range(3)] == ["off", "true", "auto"]
    assert schema.mappings["status"].decode([0b1011]) == {"running": 1, "stage": 5, "fault": 0}
    assert schema.mappings["alarms"].decode([0x8000, 1]) == {"hot", "wet"}
    assert schema.mappings["power"].decode([0x7FC0, 0]) is None
    assert schema.mappings["counter"].decode([0xFFFF]) is None
    assert schema.mappings["serial"].description == 'On the plate: "four" digits'


def test_cells_may_be_divided_by_semicolons(tmp_path: Path) -> None:
    text = 'name;type;address;enum\nmode;holding_register;1;"0=off;1=on"\n'

    schema = Schema.from_file(write(tmp_path, "pump.csv", text))

    assert schema.mappings["mode"].decode([1]) == "on"


def test_everything_wrong_with_a_csv_file_is_told_by_line(tmp_path: Path) -> None:
    text = """\
name,type,address,codec,scale,gap_safe,missing,count,enum
a,holding_register,1,int16,x
"b,coil,2
c,coil,3,int16
d,coils,3
# e,coil,5
e,coil,4,,,,,,,,7

a,coil,x
,coil,9
f,holding_register,10,int16,,maybe,none
g,holding_register,11,utf8,,,,few
h,holding_register,12,,,,,,off
i"j,coil,13
k,coil,9-x
"l"x,coil,14
"""

    assert faults(tmp_path, "bad.csv", text) == [
        "bad.csv:2: mapping 'a': scale is 'x'; it must be a finite number",
        (
            "bad.csv:3: unexpected end of data; put double quotes around a cell, and double those "
            "within"
        ),
        "bad.csv:4: mapping 'c': int16 lies in registers; a coil has one bit",
        (
            "bad.csv:5: mapping 'd': 'coils' is no object type; write one of holding_register, "
            "input_register, coil, discrete_input"
        ),
        "bad.csv:7: 11 cells where there are 9 columns",
        "bad.csv:9: mapping 'a': address is 'x'; it must be an integer or a range of them",
        "bad.csv:10: a name must be a string, not None",
        "bad.csv:11: mapping 'f': gap_safe is 'maybe'; it must be True or False",
        "bad.csv:11: mapping 'f': missing is 'none', which is no number of int16",
        "bad.csv:12: mapping 'g': count is 'few'; it must be an integer from 1",
        "bad.csv:13: mapping 'h': enum has 'off': ''; write a number and a name",
        "bad.csv:15: mapping 'k': address is '9-x'; it must be an integer or a range of them",
        (
            "bad.csv:16: ',' expected after '\"'; put double quotes around a cell, and double "
            "those within"
        ),
        "names used more than once: a (bad.csv:2, bad.csv:9)",
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ["bad.csv: the file is empty; its first line names columns such as "]),
        ("# nothing\n\n , ,\n", ["bad.csv: the file is empty; its first line names columns such"]),
        (
            "name,typ,address,address\n",
            [
                "bad.csv:1: there is no column 'typ'; did you mean 'type'?",
                "bad.csv:1: column 'address' stands twice",
                (
                    "bad.csv:1: the first line names columns such as name,type,address,codec; type "
                    "is not there"
                ),
            ],
        ),
        ('"name,type\n', ["bad.csv:1: unexpected end of data"]),
        (b"name,type,address\n\nx\xe4,coil,1\n", ["bad.csv:3: byte 0xe4 is not UTF-8"]),
        ("\n" * MAX_LINES, ["bad.csv: more than the 100,000 lines that are read; split it"]),
        (b"x" * (MAX_BYTES + 1), ["bad.csv: larger than the 4 MiB that are read; split it"]),
    ],
    ids=["empty", "comments", "columns", "quote", "latin-1", "long", "large"],
)
def test_a_file_that_cannot_be_read_is_refused(
    tmp_path: Path, text: str | bytes, expected: list[str]
) -> None:
    found = faults(tmp_path, "bad.csv", text)

    assert len(found) == len(expected)
    for fault, start in zip(found, expected, strict=True):
        assert fault.startswith(start)


def test_every_column_may_be_there(tmp_path: Path) -> None:
    values = {"name": "x", "type": "holding_register", "address": "1", "codec": "uint16"}
    text = ",".join(COLUMNS) + "\n" + ",".join([values.get(column, "") for column in COLUMNS])

    assert list(Schema.from_file(write(tmp_path, "x.csv", text)).mappings) == ["x"]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.one_of(
        st.binary(max_size=200),
        st.text(st.sampled_from("ab,;\t\"'\n\r\\=-0x1#\0é"), max_size=80).map(str.encode),
    ),
    st.sampled_from(["csv", "yaml"]),
)
def test_whatever_a_file_holds_is_a_schema_or_one_error(
    tmp_path: Path, text: bytes, ending: str
) -> None:
    header = b"name,type,address,codec,enum,bits\n" if ending == "csv" else b"coils:\n  a: "
    path = write(tmp_path, f"x.{ending}", header + text)
    with suppress(SchemaError):
        Schema.from_file(path)


# -- Either ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", ["", ".json", ".csv.gz"])
def test_a_file_is_told_by_its_ending(tmp_path: Path, ending: str) -> None:
    with pytest.raises(SchemaError, match=r"name a file that ends in \.yaml, \.yml or \.csv"):
        Schema.from_file(write(tmp_path, f"pump{ending}", YAML))


@pytest.mark.parametrize("ending", ["yaml", "csv"])
def test_a_file_that_is_not_there_is_refused(tmp_path: Path, ending: str) -> None:
    with pytest.raises(SchemaError, match="cannot be read: No such file or directory"):
        Schema.from_file(tmp_path / f"pump.{ending}")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (
            "boiler.yaml",
            "holding_registers:\n  flow_temp: {address: 1, alarm_below: 5, alarm_above: 75.5}\n",
        ),
        (
            "boiler.csv",
            "name,type,address,alarm_below,alarm_above\nflow_temp,holding_register,1,5,75.5\n",
        ),
    ],
)
def test_limits_of_alarms_are_kept_for_whoever_watches(
    tmp_path: Path, name: str, text: str
) -> None:
    (tmp_path / name).write_text(text)

    mapping = Schema.from_file(tmp_path / name).mappings["flow_temp"]

    assert (mapping.alarm_below, mapping.alarm_above) == (5, 75.5)
