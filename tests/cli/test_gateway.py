# SPDX-License-Identifier: Apache-2.0
"""`heliograph gateway` as far as it does not run one; tests/apps/gateway has the rest."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from heliograph.apps.gateway import DEFAULT
from heliograph.cli import ExitCode
from tests.cli.conftest import Call

BOILER = "schema: Boiler\ncoils: {pump: 0}\nholding_registers: {setpoint: 1}\n"
GATEWAY = "devices: {boiler-1: {address: tcp://127.0.0.1, schema: boiler.yaml}}\n"


@pytest.fixture
def plant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("boiler.yaml").write_text(BOILER)
    Path("gateway.yaml").write_text(GATEWAY)
    return tmp_path


def test_there_is_a_file_to_begin_with(call: Call, call_json: Callable[..., Any]) -> None:
    assert call("gateway", "--print-default").stdout == DEFAULT
    assert call_json("gateway", "--print-default")["file"] == DEFAULT


def test_a_file_without_faults_is_told_so(
    plant: Path, call: Call, call_json: Callable[..., Any]
) -> None:
    result = call("gateway", "gateway.yaml", "--check")

    assert result.exit_code == ExitCode.OK
    assert result.stderr == "gateway.yaml: 1 device with 2 mappings; no faults\n"
    document = call_json("gateway", "gateway.yaml", "--check")
    assert (document["devices"], document["mappings"]) == (["boiler-1"], 2)


@pytest.mark.parametrize("option", ["--check", "--json"])
def test_faults_are_told_with_their_places(plant: Path, call: Call, option: str) -> None:
    Path("gateway.yaml").write_text(f"{GATEWAY}helth: '127.0.0.1:8080'\n")

    result = call("gateway", "gateway.yaml", option)

    assert result.exit_code == ExitCode.INVALID
    assert result.stderr == (
        "heliograph: gateway.yaml:2:1: unknown key 'helth'; did you mean 'health'?\n"
    )


def test_handlers_that_are_not_there_are_a_fault(plant: Path, call: Call) -> None:
    Path("gateway.yaml").write_text(f"{GATEWAY}handlers: handlers.yaml\n")
    Path("handlers.yaml").write_text("handlers: [{id: a, events: '**', handler: 'nope:f'}]")

    result = call("gateway", "gateway.yaml", "--check")

    assert result.exit_code == ExitCode.INVALID
    assert "there is no module 'nope'" in result.stderr


def test_a_file_has_to_be_named_and_to_be_there(call: Call) -> None:
    assert call("gateway").exit_code == ExitCode.USAGE
    missing = call("gateway", "nowhere.yaml")
    assert missing.exit_code == ExitCode.UNREACHABLE
    assert missing.stderr == "heliograph: there is no such file: nowhere.yaml\n"
