# SPDX-License-Identifier: Apache-2.0
"""`heliograph modbus read` and `write`, against a virtual device."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from heliograph.cli import ExitCode
from heliograph.modboss.virtual import Cut, Refuse, Silence, VirtualDevice, WrongCount
from tests.cli.conftest import Call

ALL = """\
flow_temp\t55.5\tCel\tinput_register:1
pressure\t1.53\tbar\tinput_register:2
setpoint\t60.0\tCel\tholding_register:10
label\tKeller\t\tholding_register:20-23
heating\tfalse\t\tcoil:1
"""


def test_all_that_a_schema_reads_is_read(call: Call, url: str) -> None:
    result = call("modbus", "read", url, "--schema", "boiler:Boiler")

    assert (result.stdout, result.stderr, result.exit_code) == (ALL, "", ExitCode.OK)


def test_names_are_read_in_the_order_of_the_request(call: Call, url: str) -> None:
    result = call("modbus", "read", url, "-s", "boiler:Boiler", "label", "flow_temp")

    assert result.stdout == (
        "label\tKeller\t\tholding_register:20-23\nflow_temp\t55.5\tCel\tinput_register:1\n"
    )


def test_addresses_need_no_schema(call: Call, url: str) -> None:
    specs = (
        "holding:10",
        "input:1:int16:scale=0.1",
        "holding:20-23:utf8",
        "holding:21:2",
        "coil:1",
    )
    result = call("modbus", "read", url, *specs[:3], specs[4])

    assert result.stdout == (
        "holding:10\t600\t\tholding_register:10\n"
        "input:1:int16:scale=0.1\t55.5\t\tinput_register:1\n"
        "holding:20-23:utf8\tKeller\t\tholding_register:20-23\n"
        "coil:1\tfalse\t\tcoil:1\n"
    )
    assert call("modbus", "read", url, specs[3]).stdout == (
        "holding:21:2\t[27756,25970]\t\tholding_register:21-22\n"
    )


def test_a_device_file_is_a_schema(call: Call, url: str, folder: Path) -> None:
    (folder / "boiler.yaml").write_text(
        "schema: Boiler\ninput_registers:\n  pressure: {address: 2, codec: uint16}\n"
    )
    result = call("modbus", "read", url, "-s", "boiler.yaml")

    assert result.stdout == "pressure\t153\t\tinput_register:2\n"


def test_on_a_terminal_it_is_a_table(call: Call, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("NO_COLOR", "1")
    shown = call("modbus", "read", url, "-s", "boiler:Boiler", "pressure").stdout

    lines = [line.rstrip() for line in shown.splitlines() if line.strip()]
    assert lines[-1] == " pressure   1.53    bar    input_register:2"
    assert "where" in lines[0]


def test_what_is_refused_is_left_out_on_demand(
    call: Call, call_json: Callable[..., Any], url: str
) -> None:
    whole = call("modbus", "read", url, "holding:10", "input:9")
    partial = call("modbus", "read", url, "holding:10", "input:9", "--partial")
    document = call_json("modbus", "read", url, "holding:10", "input:9", "--partial", code=1)

    assert whole.exit_code == ExitCode.FINDINGS
    assert "exception 2, illegal data address" in whole.stderr
    assert partial.stdout == (
        "holding:10\t600\t\tholding_register:10\n"
        "input:9\trefused: illegal_data_address\t\tinput_register:9\n"
    )
    assert (partial.stderr, partial.exit_code) == ("1 value refused by the device\n", 1)
    assert [each["refused"] for each in document["values"]] == [None, "illegal_data_address"]


def test_gaps_are_bridged_on_demand(call: Call, url: str, device: VirtualDevice) -> None:
    call("modbus", "read", url, "-s", "boiler:Boiler", "setpoint", "label")
    assert len(device.requests) == 2


def test_json_has_values_as_json_has_them(call_json: Callable[..., Any], url: str) -> None:
    document = call_json("modbus", "read", url, "-s", "boiler:Boiler", "flow_temp", "heating")

    assert document["device"] == {"url": url, "unit": 1, "schema": "Boiler"}
    assert document["values"][0] == {
        "name": "flow_temp",
        "object_type": "input_register",
        "address": 1,
        "count": 1,
        "value": 55.5,
        "unit": "Cel",
        "refused": None,
    }
    assert document["values"][1]["value"] is False


def test_values_are_written_and_verified(
    call: Call, call_json: Callable[..., Any], url: str, device: VirtualDevice
) -> None:
    schema = ("-s", "boiler:Boiler")
    result = call("modbus", "write", url, *schema, "setpoint=61.5", "heating=on", "label=Öl=1")
    document = call_json("modbus", "write", url, *schema, "setpoint=-3", "--verify")
    call("modbus", "write", url, "holding:10:int16:scale=0.1=20.5", "coil:1=off")
    call("modbus", "write", url, *schema, "command=0x1F")

    assert result.stdout == (
        "setpoint\t61.5\tCel\tholding_register:10\n"
        "heating\ttrue\t\tcoil:1\n"
        'label\t"Öl=1"\t\tholding_register:20-23\n'
    )
    assert (document["verified"], document["written"][0]["name"]) == (True, "setpoint")
    assert dict(device.written[:3]) == {"setpoint": 61.5, "heating": True, "label": "Öl=1"}
    assert device.written[3:-1] == [("setpoint", -3.0), ("setpoint", 20.5), ("heating", False)]
    assert device.written[-1][0] == "command"


def test_what_is_coarser_than_what_was_typed_is_shown(call: Call, url: str) -> None:
    result = call("modbus", "write", url, "holding:10:float32=0.1")

    assert result.exit_code == ExitCode.FINDINGS, "there is no register 11"
    shown = call("modbus", "write", url, "holding:20:float32=0.1").stdout.split("\t")[1]
    assert shown == "0.10000000149011612"


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["read", "URL"], "name what: addresses such as holding:100:2:float32"),
        (["read", "URL", "-s", "boiler:Boiler", "humidity"], "no mappings of these names"),
        (["read", "URL", "-s", "boiler:Boiler", "command"], "cannot read these mappings"),
        (["read", "URL", "register:1"], "'register' is no object type"),
        (["read", "URL", "holding"], "'holding' is no address"),
        (["read", "URL", "holding:x"], "'holding:x' is no address"),
        (["read", "URL", "holding:1-2:3"], "both a last address and a count"),
        (["read", "URL", "holding:1:uint16:scale"], "is no address"),
        (["read", "URL", "-s", "boiler:Kettle"], "has no attribute 'Kettle'"),
        (["read", "URL", "-s", "boiler:Schema.x"], "has no attribute 'x'"),
        (["read", "URL", "-s", "json:loads"], "loads is no schema"),
        (["read", "URL", "-s", "kettle:Kettle"], "there is no module 'kettle'"),
        (["read", "ftp://x", "holding:1"], "'ftp' is none"),
        (["read", "rtu:///dev/tty0", "-u", "250", "holding:1"], "250 is no unit of a serial"),
        (["write", "URL", "holding:1"], "'holding:1' is no assignment"),
        (["write", "URL", "-s", "boiler:Boiler", "=5"], "'=5' is no assignment"),
        (["write", "URL", "-s", "boiler:Boiler", "setpoint=1", "setpoint=2"], "is there twice"),
        (["write", "URL", "-s", "boiler:Boiler", "setpoint=99999"], "setpoint (holding_register"),
        (["write", "URL", "-s", "boiler:Boiler", "flow_temp=1"], "cannot write these mappings"),
        (["write", "URL", "holding:1=hot"], "holding:1"),
        (["write", "URL", "holding:20-21=[1, 70000]"], "integers from 0 to 65535"),
        (["write", "URL", "-s", "boiler:Boiler", "command=1", "--verify"], "without verify"),
    ],
)
def test_a_wrong_call_does_nothing(
    call: Call, url: str, device: VirtualDevice, arguments: list[str], complaint: str
) -> None:
    result = call("modbus", *[url if each == "URL" else each for each in arguments])

    assert complaint in result.stderr.replace("\n", " ")
    assert result.exit_code == ExitCode.USAGE
    assert device.requests == ()


def test_a_wrong_schema_is_invalid(call: Call, url: str, folder: Path) -> None:
    (folder / "wrong.py").write_text(
        "from heliograph.modboss import *\nclass Wrong(Schema):\n    a = coil(1, 'float33')\n"
    )
    result = call("modbus", "read", url, "-s", "wrong:Wrong")
    codec = call("modbus", "read", url, "holding:1:float33")

    assert "float33" in result.stderr
    assert "float33" in codec.stderr
    assert (result.exit_code, codec.exit_code) == (ExitCode.INVALID, ExitCode.INVALID)


def test_a_schema_that_imports_what_is_missing_says_so(call: Call, url: str, folder: Path) -> None:
    (folder / "needy.py").write_text("import nothing_of_the_kind\n")

    with pytest.raises(ModuleNotFoundError, match="nothing_of_the_kind"):
        call("modbus", "read", url, "-s", "needy:Needy")


def test_a_device_that_fails_ends_it_by_how(call: Call, url: str, device: VirtualDevice) -> None:
    read = ("modbus", "read", url, "holding:10", "--attempts", "1", "--timeout")
    codes = []
    for fault, patience in ((Refuse(6), "9"), (Silence(), "0.1"), (Cut(), "0.3")):
        with device.inject(fault):
            codes.append(call(*read, patience).exit_code)
    with device.inject(WrongCount(0)):
        codes.append(call(*read, "9").exit_code)
    with device.inject(Refuse(6), times=2):
        codes.append(call("modbus", "read", url, "holding:10", "--attempts", "3").exit_code)

    assert codes == [
        ExitCode.FINDINGS,
        ExitCode.TIMEOUT,
        ExitCode.UNREACHABLE,
        ExitCode.FINDINGS,
        ExitCode.OK,
    ]


def test_where_nobody_listens_nothing_is_read(call: Call) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    result = call("modbus", "read", f"tcp://127.0.0.1:{port}", "holding:1", "--attempts", "1")

    assert result.stderr.startswith(f"heliograph: tcp://127.0.0.1:{port}: no connection: ")
    assert result.exit_code == ExitCode.UNREACHABLE


@pytest.mark.parametrize(
    ("missing", "command", "needed"),
    [
        ("pymodbus", ["read", "tcp://127.0.0.1", "coil:1"], ("pymodbus", "cli,modbus")),
        ("serial", ["scan", "tcp://127.0.0.1"], ("pyserial", "cli,modbus")),
        ("pymodbus", ["serve", "-s", "boiler.yaml"], ("pymodbus", "cli,modbus")),
        ("yaml", ["read", "tcp://127.0.0.1", "-s", "boiler.yaml"], ("PyYAML", "cli")),
    ],
    ids=lambda value: value if isinstance(value, str) else value[0],
)
def test_a_missing_extra_is_one_clear_line(
    folder: Path, missing: str, command: list[str], needed: tuple[str, str]
) -> None:
    (folder / "boiler.yaml").write_text("schema: Boiler\n")
    code = (
        f"import sys; sys.modules[{missing!r}] = None; from heliograph.cli import main; "
        f"sys.exit(main(['modbus', *{command!r}]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    package, extras = needed
    assert done.stderr == (
        f'heliograph: this command needs {package}: pip install "heliograph[{extras}]"\n'
    )
    assert done.returncode == ExitCode.INVALID
