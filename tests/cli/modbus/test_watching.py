# SPDX-License-Identifier: Apache-2.0
"""`heliograph modbus watch`, against a virtual device with faults."""

from __future__ import annotations

import asyncio
import json
import re
from collections import deque
from typing import Any

import pytest

from heliograph.cli import ExitCode
from heliograph.cli.modbus.schemas import load_schema
from heliograph.cli.modbus.watching import _View, sparkline
from heliograph.modboss import AsyncDevice, Polling, Tcp
from heliograph.modboss.virtual import Refuse, Silence, VirtualDevice, steps
from tests.cli.conftest import Call

WATCH = ("--every", "0.05", "--timeout", "1")


def test_changes_and_failures_are_lines(call: Call, url: str, device: VirtualDevice) -> None:
    device["flow_temp"] = steps(55, 55.5, 55.5, 56, 57, 58)
    device.inject(Refuse(6), calls=4)
    device.inject(Silence(), calls=6)
    result = call(
        "modbus", "watch", url, "-s", "boiler:Boiler", "flow_temp", *WATCH, "--updates", "6"
    )

    lines = [re.sub(r"^\d\d:\d\d:\d\d\.\d{3}\t", "", line) for line in result.stdout.splitlines()]
    assert [line.partition(": ")[0] for line in lines] == [
        "flow_temp\t55.0 Cel",
        "flow_temp\t55.5 Cel",
        "\tDeviceBusyError",
        "\tanswers again",
        "flow_temp\t56.0 Cel",
        "\tReplyTimeoutError",
        "\tanswers again",
        "flow_temp\t58.0 Cel",
    ]
    assert result.stderr == (
        f"Watching 1 value of unit 1 at {url} every 0.05 s; an interrupt (Ctrl-C) ends it.\n"
        "6 updates, 4 changes, 2 failures.\n"
    )
    assert result.exit_code == ExitCode.OK


def test_in_json_each_is_a_document(call: Call, url: str, device: VirtualDevice) -> None:
    device["flow_temp"] = steps(55, 56)
    device.inject(Refuse(4), object_type="input_register", calls=2)
    result = call("modbus", "watch", url, "input:1", "coil:1", *WATCH, "--updates", "2", "--json")

    first, *updates, last = [json.loads(line) for line in result.stdout.splitlines()]
    assert (first["kind"], first["names"]) == ("watching", ["input:1", "coil:1"])
    assert updates[0]["changed"] == {"input:1": 550, "coil:1": False}
    assert (updates[1]["changed"], updates[1]["failure"]["type"]) == ({}, "DeviceFailureError")
    assert (last["kind"], last["updates"], last["failures"]) == ("summary", 2, 1)
    assert result.stderr == ""


def test_it_ends_after_its_time(call: Call, url: str) -> None:
    result = call("modbus", "watch", url, "coil:1", "--duration", "0.3")

    assert result.stdout.endswith("\tcoil:1\tfalse\n")
    assert result.exit_code == ExitCode.OK


def test_on_a_terminal_it_is_a_table_with_curves(
    call: Call, url: str, device: VirtualDevice, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    device["flow_temp"] = steps(55, 56, 57)
    result = call("modbus", "watch", url, "-s", "boiler:Boiler", *WATCH, "--updates", "3")

    assert "last readings" in result.stdout
    assert "flow_temp" in result.stdout
    assert "command" not in result.stdout, "it cannot be read"


def test_the_table_shows_values_curves_and_what_failed(boiler_py: object) -> None:
    from rich.console import Console

    async def main() -> str:
        schema = load_schema("boiler:Boiler")
        device = AsyncDevice(schema, Tcp("127.0.0.1", 1))
        group = Polling().add(device, ["flow_temp", "heating", "label"], every=1)
        view = _View(group)
        view.sample()
        for number in range(8):
            group.take({"flow_temp": 50.0 + number, "heating": number > 3, "label": "x"})
            group.at = 1.0
            view.sample()
        console = Console(width=100, record=True, force_terminal=False)
        console.print(view.table())
        group.failure = TimeoutError("nothing came")
        view.sample()
        console.print(view.table())
        return console.export_text()

    shown = asyncio.run(main())
    assert "flow_temp   57.0    Cel    ·▁▂▃▄▅▆▇█" in shown
    assert "heating     true           ·▁▁▁▁████" in shown
    assert "label       x              ·········" in shown
    assert re.search(r"\d\d:00:01\.000, 0 missed", shown)
    assert "▇█·" in shown
    assert "TimeoutError: nothing came" in shown


@pytest.mark.parametrize(
    ("samples", "bars"),
    [
        ([], ""),
        ([None, "x"], "··"),
        ([5, 5, 5], "▁▁▁"),
        ([0, 7, None, 3.5], "▁█·▅"),
        ([float("nan"), float("inf"), 1], "··▁"),
        (deque([1, 2], maxlen=2), "▁█"),
    ],
)
def test_a_curve_is_made_of_bars(samples: Any, bars: str) -> None:
    assert sparkline(samples) == bars
