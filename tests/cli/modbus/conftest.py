# SPDX-License-Identifier: Apache-2.0
"""What the tests of `heliograph modbus` share: a schema in the working directory, and a device."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from heliograph.cli.modbus.schemas import load_schema
from heliograph.modboss.virtual import VirtualDevice, VirtualServer
from tests.cli.conftest import call, call_json, folder

__all__ = ["call", "call_json", "folder"]

BOILER = """
from heliograph.modboss import Schema, coil, holding_register, input_register

class Boiler(Schema):
    flow_temp = input_register(1, "int16", scale="0.1", unit="Cel")
    pressure = input_register(2, "uint16", scale="0.01", unit="bar")
    setpoint = holding_register(10, "int16", scale="0.1", unit="Cel", mode="rw")
    label = holding_register(range(20, 24), "utf8", mode="rw")
    command = holding_register(30, "uint16", mode="w")
    heating = coil(1, "boolean", mode="rw")
"""


@pytest.fixture
def boiler_py(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    (folder / "boiler.py").write_text(BOILER, encoding="utf-8")
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield folder / "boiler.py"
    sys.modules.pop("boiler", None)


@pytest.fixture
def device(boiler_py: Path) -> VirtualDevice:
    values = {"flow_temp": 55.5, "pressure": 1.53, "setpoint": 60, "label": "Keller"}
    return VirtualDevice(load_schema("boiler:Boiler"), values)


@pytest.fixture
def url(device: VirtualDevice) -> Iterator[str]:
    with VirtualServer(device) as server:
        yield server.url
