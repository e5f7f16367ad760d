# SPDX-License-Identifier: Apache-2.0
"""`heliograph modbus dump`, `diff` and `scan`, against virtual devices."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from heliograph.cli import ExitCode
from heliograph.modboss.snapshot import Snapshot
from heliograph.modboss.virtual import (
    Close,
    Garbage,
    Refuse,
    Silence,
    VirtualDevice,
    VirtualServer,
    WrongUnit,
)
from tests.cli.conftest import Call
from tests.cli.test_reference import documented


def test_a_schema_is_dumped_to_a_file(call: Call, url: str, folder: Path) -> None:
    result = call("modbus", "dump", url, "-s", "boiler:Boiler", "-o", "boiler.json")

    taken = Snapshot.load(folder / "boiler.json")
    assert (taken.source, taken.schema, taken.objects["input_register"]) == (
        url,
        "Boiler",
        {1: 555, 2: 153},
    )
    assert (result.stdout, result.stderr) == ("", "8 values kept in boiler.json\n")


def test_ranges_are_dumped_to_standard_output(call: Call, url: str) -> None:
    result = call("modbus", "dump", url, "holding:9-11", "coil:1")

    taken = Snapshot.loads(result.stdout)
    assert taken.objects == {"holding_register": {10: 600}, "coil": {1: 0}}
    assert taken.refused == {"holding_register": (9, 11)}
    assert result.stderr == "2 values, 2 addresses refused\n"


def test_json_has_the_snapshot_in_it(call_json: Callable[..., Any], url: str) -> None:
    document = call_json("modbus", "dump", url, "coil:1")

    assert document["path"] is None
    assert Snapshot.loads(json.dumps(document["snapshot"])).objects == {"coil": {1: 0}}


def test_what_fails_for_a_moment_is_asked_again(
    call: Call, url: str, device: VirtualDevice
) -> None:
    device.inject(Refuse(6), times=2)

    assert call("modbus", "dump", url, "coil:1").exit_code == ExitCode.OK
    device.inject(Refuse(4))
    assert call("modbus", "dump", url, "coil:1").exit_code == ExitCode.FINDINGS
    assert len(device.requests) == 4, "what is no matter of the moment, not again"


@pytest.mark.parametrize("what", [[], ["coil:1", "-s", "boiler:Boiler"]])
def test_either_ranges_or_a_schema_are_needed(call: Call, url: str, what: list[str]) -> None:
    result = call("modbus", "dump", url, *what)

    assert "either ranges or a --schema" in result.stderr
    assert result.exit_code == ExitCode.USAGE


@pytest.fixture
def dumps(call: Call, url: str, device: VirtualDevice) -> None:
    """before.json and after.json."""
    call("modbus", "dump", url, "-s", "boiler:Boiler", "-o", "before.json")
    device["label"] = "Kessel"
    device.remove("input_register", [2])
    call("modbus", "dump", url, "-s", "boiler:Boiler", "-o", "after.json")


@pytest.mark.usefixtures("dumps")
def test_dumps_are_compared(call: Call, call_json: Callable[..., Any]) -> None:
    named = call("modbus", "diff", "before.json", "after.json", "-s", "boiler:Boiler")
    plain = call("modbus", "diff", "before.json", "after.json")
    document = call_json(
        "modbus", "diff", "before.json", "after.json", "-s", "boiler:Boiler", code=1
    )
    same = call("modbus", "diff", "before.json", "before.json")

    assert named.stdout == (
        "label\tholding_register:20-23\tKeller\tKessel\npressure\tinput_register:2\t1.53\tmissing\n"
    )
    assert plain.stdout == (
        "\tholding_register:21-22\t27756 25970\t29555 25964\n\tinput_register:2\t153\tmissing\n"
    )
    assert document["changes"][1]["after"] == [None]
    assert (named.exit_code, plain.exit_code) == (ExitCode.FINDINGS, ExitCode.FINDINGS)
    assert (same.stdout, same.exit_code) == ("", ExitCode.OK)


def test_what_is_no_dump_is_said_to_be_none(call: Call, folder: Path) -> None:
    (folder / "bad.json").write_text("{}")

    bad = call("modbus", "diff", "bad.json", "bad.json")
    missing = call("modbus", "diff", "missing.json", "bad.json")

    assert bad.stderr.startswith("heliograph: bad.json is no snapshot")
    assert bad.exit_code == ExitCode.INVALID
    assert missing.stderr == "heliograph: No such file or directory: missing.json\n"
    assert missing.exit_code == ExitCode.UNREACHABLE


def test_units_that_answer_are_found(call: Call, call_json: Callable[..., Any]) -> None:
    devices = [
        VirtualDevice(raw={"holding_register": {0: number}}, unit=number) for number in range(1, 8)
    ]
    devices[1].remove("holding_register", [0])
    for device, fault in zip(
        devices[2:], (Silence(), Close(), WrongUnit(), Garbage()), strict=False
    ):
        device.inject(fault)
    with VirtualServer(*devices) as server:
        asked = ("modbus", "scan", server.url, "--units", "1-8,10", "--timeout", "0.5")
        result = call(*asked)
        document = call_json(*asked)
        nobody = call("modbus", "scan", server.url, "--units", "20")

    assert result.stdout == "1\tvalue [1]\n2\tillegal_data_address\n7\tvalue [7]\n"
    assert result.stderr == (
        f"Asking 9 units at {server.url}, 0.5 s each at most.\n3 units answered\n"
    )
    assert document["asked"] == 9
    assert document["units"][1] == {"unit": 2, "values": None, "error": "illegal_data_address"}
    assert (nobody.stdout, nobody.exit_code) == ("", ExitCode.FINDINGS)


def test_units_on_a_terminal_are_a_table(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("NO_COLOR", "1")
    with VirtualServer(VirtualDevice(raw={"coil": {3: [1, 0]}})) as server:
        result = call("modbus", "scan", server.url, "--units", "1", "--probe", "coil:3:2")

    assert [line.split() for line in result.stdout.splitlines()][-2] == ["1", "value", "[1,", "0]"]


@pytest.mark.parametrize("units", ["x", "1-", "256", "-3", ""])
def test_units_are_numbers(call: Call, units: str) -> None:
    result = call("modbus", "scan", "tcp://127.0.0.1", f"--units={units}")

    assert "is no unit or range of them" in result.stderr
    assert result.exit_code == ExitCode.USAGE


@pytest.fixture
def reference(request: pytest.FixtureRequest) -> str:
    return (request.config.rootpath / "docs" / "reference" / "cli.md").read_text("utf-8")


@pytest.mark.usefixtures("dumps")
def test_the_reference_has_every_key(
    reference: str, call_json: Callable[..., Any], url: str
) -> None:
    by_command = documented(reference, "command")
    by_element = documented(reference, "element of `modbus`")
    documents = {
        "read": call_json("modbus", "read", url, "coil:1"),
        "write": call_json("modbus", "write", url, "coil:1=on"),
        "scan": call_json("modbus", "scan", url, "--units", "1"),
        "dump": call_json("modbus", "dump", url, "coil:1"),
        "diff": call_json("modbus", "diff", "before.json", "after.json", code=1),
    }

    for command, document in documents.items():
        assert list(document) == ["version", "command", *by_command[f"modbus {command}"]]
    assert list(documents["read"]["device"]) == by_element["device"]
    for command, element in (
        ("read", "values"),
        ("write", "written"),
        ("scan", "units"),
        ("diff", "changes"),
    ):
        assert list(documents[command][element][0]) == by_element[element]
