# SPDX-License-Identifier: Apache-2.0
"""`heliograph modbus serve` as a process: asked by a device, and ended."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import trustme

from heliograph.cli import ExitCode
from heliograph.cli.modbus.schemas import load_schema
from heliograph.cli.modbus.serving import _is_public
from heliograph.modboss import Device, DeviceBusyError, Tls, transport_from_url
from tests.cli.conftest import Call

pytestmark = pytest.mark.usefixtures("boiler_py")


class Served:
    """The command, running."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        assert process.stderr is not None
        said = process.stderr.readline()
        self.said = said
        self.url = said.partition(" at ")[2].partition(";")[0]

    def end(self, number: int = signal.SIGINT) -> tuple[str, str]:
        """Interrupt it; what it printed, and the rest of what it said."""
        self.process.send_signal(number)
        return self.process.communicate(timeout=30)


@contextmanager
def serving(*arguments: str) -> Iterator[Served]:
    with subprocess.Popen(
        [sys.executable, "-m", "heliograph", "modbus", "serve", *arguments],
        env={**os.environ, "FORCE_COLOR": "", "PYTHONUTF8": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    ) as process:
        try:
            yield Served(process)
        finally:
            process.kill()


def test_a_schema_is_served_with_values_and_faults() -> None:
    options = ("--schema", "boiler:Boiler", "--port", "0", "--unit", "3")
    values = ("--set", "flow_temp=steps(55, 56)", "--set", "label=Keller")
    with serving(*options, *values, "--fault", "refuse=6 for setpoint on writes at 1") as served:
        with Device(load_schema("boiler:Boiler"), transport_from_url(served.url), 3) as device:
            assert device.read(["flow_temp", "label"]) == {"flow_temp": 55.0, "label": "Keller"}
            with pytest.raises(DeviceBusyError):
                device.write({"setpoint": 20}, retry=None)
            device.write({"setpoint": 21})
        printed, said = served.end()

    assert (
        served.said == f"Serving Boiler as unit 3 at {served.url}; an interrupt (Ctrl-C) ends it.\n"
    )
    assert [line.partition("  ")[2] for line in printed.splitlines()] == [
        "#1 unit 3: read input registers 1",
        "#2 unit 3: read holding registers 20 to 23",
        "#3 unit 3: write single register 10 = [200] [Refuse(6)] refused with 6",
        "#4 unit 3: write single register 10 = [210]",
    ]
    assert said == "4 requests, 2 writes among them, 1 with faults.\n"
    assert served.process.returncode == ExitCode.OK


def test_in_json_each_request_is_a_document() -> None:
    with serving("-s", "boiler:Boiler", "--port", "0", "--json") as served:
        with Device(load_schema("boiler:Boiler"), transport_from_url(served.url)) as device:
            device.write({"heating": True})
        printed, _ = served.end(signal.SIGTERM)

    listening, request, summary = [json.loads(line) for line in printed.splitlines()]
    assert (listening["kind"], listening["url"]) == ("listening", served.url)
    assert request["values"] == [1]
    assert (request["function"], request["object_type"], request["address"]) == (5, "coil", 1)
    assert (summary["requests"], summary["writes"]) == (1, 1)


def test_a_dump_is_served(call: Call, url: str, folder: Path) -> None:
    call("modbus", "dump", url, "-s", "boiler:Boiler", "-o", "boiler.json")
    with serving("boiler.json", "--over", "rtu+tcp", "--port", "0") as served:
        result = call("modbus", "read", served.url, "holding:20:4:utf8", "input:1")
        served.end()

    assert served.said.startswith("Serving a dump as unit 1 at rtu+tcp://127.0.0.1:")
    assert [line.split("\t")[1] for line in result.stdout.splitlines()] == ["Keller", "555"]


def test_a_serial_line_without_hardware_is_served(call: Call) -> None:
    with serving("-s", "boiler:Boiler", "--set", "pressure=2.5", "--over", "rtu") as served:
        assert served.url.startswith("rtu:///dev/")
        result = call("modbus", "read", served.url, "-s", "boiler:Boiler", "pressure")
        served.end()

    assert result.stdout == "pressure\t2.5\tbar\tinput_register:2\n"


def test_certificates_are_asked_for_over_tls(folder: Path) -> None:
    ca = trustme.CA()
    ca.cert_pem.write_to_path("ca.pem")
    for name, identity in (("server", "127.0.0.1"), ("client", "client@example.org")):
        cert = ca.issue_cert(identity)
        cert.private_key_and_cert_chain_pem.write_to_path(f"{name}.pem")
    tls = ("--over", "tls", "--cert", "server.pem", "--ca", "ca.pem", "--port", "0")
    with serving("-s", "boiler:Boiler", *tls) as served:
        where = transport_from_url(f"{served.url}?ca=ca.pem&certificate=client.pem")
        assert isinstance(where, Tls)
        with Device(load_schema("boiler:Boiler"), where) as device:
            assert device.read("setpoint") == 0.0
        served.end()


def test_it_ends_after_its_time(call: Call) -> None:
    result = call("modbus", "serve", "-s", "boiler:Boiler", "--port", "0", "--duration", "0.01")

    assert result.stderr.endswith("0 requests, 0 writes among them.\n")
    assert result.exit_code == ExitCode.OK


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ([], "say what to simulate"),
        (["-s", "boiler:Boiler", "--set", "humidity=3"], "has no mapping 'humidity'"),
        (["-s", "boiler:Boiler", "--set", "humidity"], "is no assignment"),
        (["-s", "boiler:Boiler", "--set", "setpoint=9999"], "setpoint (holding_register"),
        (["-s", "boiler:Boiler", "--fault", "silence for humidity"], "no mapping 'humidity'"),
        (["-s", "boiler:Boiler", "--fault", "silence times 0"], "times 0 is out of range"),
        (["-s", "boiler:Boiler", "--over", "tls"], "TLS needs a certificate"),
        (["-s", "boiler:Boiler", "--cert", "x.pem"], "TLS needs a certificate"),
        (["-s", "boiler:Boiler", "--port", "65536"], "65536 is not in the range"),
        (["-s", "boiler:Boiler", "--duration", "0"], "0.0 is not in the range"),
        (["-s", "boiler:Boiler", "--line", "/dev/x"], "a line is for 'rtu' and 'ascii'"),
    ],
)
def test_a_wrong_call_serves_nothing(call: Call, arguments: list[str], complaint: str) -> None:
    result = call("modbus", "serve", *arguments)

    assert complaint in result.stderr.replace("\n", " ")
    assert result.exit_code == ExitCode.USAGE


def test_a_port_that_is_taken_is_said_to_be(call: Call, url: str) -> None:
    port = url.rpartition(":")[2]
    result = call("modbus", "serve", "-s", "boiler:Boiler", "--port", port)

    assert "address already in use" in result.stderr.lower()
    assert result.exit_code == ExitCode.UNREACHABLE


@pytest.mark.parametrize(
    ("host", "public"),
    [
        ("127.0.0.1", False),
        ("::1", False),
        ("localhost", False),
        ("/dev/pts/1", False),
        ("0.0.0.0", True),
        ("plc.example", True),
    ],
)
def test_a_public_address_is_warned_of(host: str, public: bool) -> None:
    assert _is_public(host) == public


def test_the_reference_has_every_key(
    request: pytest.FixtureRequest, call: Call, call_json: Callable[..., Any], url: str
) -> None:
    reference = (request.config.rootpath / "docs" / "reference" / "cli.md").read_text("utf-8")
    watched = call("modbus", "watch", url, "coil:1", "--updates", "1", "--json").stdout
    with serving("-s", "boiler:Boiler", "--port", "0", "--json") as served:
        call("modbus", "read", served.url, "coil:1")
        printed, _ = served.end()

    for document in map(json.loads, (watched + printed).splitlines()):
        keys = [key for key in document if key not in {"version", "command", "kind"}]
        section = reference.split(f"`{document['command']}` prints these:")[1]
        row = next(
            line for line in section.splitlines() if line.startswith(f"| `{document['kind']}`")
        )
        cell = row.split(" | ")[1]
        assert all(f"`{key}`" in cell for key in keys), (row, keys)
