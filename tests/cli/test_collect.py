# SPDX-License-Identifier: Apache-2.0
"""`heliograph collect` as a process: told where to listen, sent to, and ended."""

from __future__ import annotations

import json
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import grpc
import pytest

from heliograph.apps.collect import BusyError
from heliograph.apps.collect.model import Batch
from heliograph.cli import ExitCode
from heliograph.cli.collect import _putter
from tests.apps.collect.samples import TRACE, logs_request, metrics_request, traces_request
from tests.cli.conftest import Call

ANYWHERE = ("--http", "127.0.0.1:0", "--grpc", "127.0.0.1:0")
PATHS = {"/v1/traces": traces_request, "/v1/metrics": metrics_request, "/v1/logs": logs_request}


class Collector:
    """The command, running."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process

    def read(self) -> str:
        """The next line of data."""
        assert self.process.stdout is not None
        return self.process.stdout.readline()

    def said(self) -> str:
        """The next line about it."""
        assert self.process.stderr is not None
        return self.process.stderr.readline()

    def end(self, number: int = signal.SIGINT) -> tuple[str, str]:
        """Interrupt it; the rest of what it printed."""
        self.process.send_signal(number)
        return self.process.communicate(timeout=30)


@contextmanager
def collecting(*options: str, **variables: str) -> Iterator[Collector]:
    clean = {"FORCE_COLOR": "", "NO_COLOR": "", "PYTHONUTF8": "1"}
    with subprocess.Popen(
        [sys.executable, "-m", "heliograph", "collect", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | clean | variables,
    ) as process:
        try:
            yield Collector(process)
        finally:
            process.kill()


def addresses(talk: str) -> tuple[str, str]:
    """Where it says that it listens."""
    words = talk.split()
    return words[words.index("HTTP") + 2], words[words.index("gRPC") + 2].rstrip(";")


def send(address: str, path: str = "/v1/traces", body: bytes | None = None) -> int:
    request = urllib.request.Request(
        f"http://{address}{path}",
        data=PATHS[path]().SerializeToString() if body is None else body,
        headers={"Content-Type": "application/x-protobuf"},
    )
    try:
        with urllib.request.urlopen(request, timeout=20) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


def test_what_arrives_is_shown_and_summed_up() -> None:
    with collecting(*ANYWHERE) as collector:
        http, at_grpc = addresses(collector.said())
        send(http, "/v1/logs")
        assert "WARN   shop.order.placed  placed  count=3  trace 0af76519\n" in collector.read()
        with grpc.insecure_channel(at_grpc) as channel:
            export: Any = channel.unary_unary(
                "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
            )
            export(traces_request().SerializeToString(), timeout=20)
        assert collector.read() == f"trace {TRACE}  shop  1 span  4.00 µs\n"
        assert "checkout  4.00 µs  ━━━━━━━━━━━━  server  error: no money" in collector.read()
        send(http, "/v1/metrics")
        assert collector.read().startswith("exponential\t\tcount 0\t")
        rows = [collector.read() for _ in range(4)]
        send(http, body=b"\xff")
        _, talk = collector.end()

    assert [row.partition("\t")[0] for row in rows] == ["gauge", "histogram", "sum", "summary"]
    assert talk == (
        "Received 1 span, 8 metric points, 1 log record, 1 request refused (1 with 400).\n"
    )
    assert collector.process.returncode == ExitCode.OK


def test_metrics_of_a_service_stand_below_its_name_and_on_a_terminal_in_a_table() -> None:
    request = metrics_request()
    group = request.resource_metrics[0]
    group.resource.attributes.add(key="service.name").value.string_value = "shop\x1b[2J"
    with collecting(*ANYWHERE, FORCE_COLOR="1", NO_COLOR="1", COLUMNS="120") as collector:
        http, _ = addresses(collector.said())
        send(http, "/v1/metrics", request.SerializeToString())
        send(http)
        shown, _ = collector.end()

    assert 'metrics  \x1b[0m"shop\\u001b[2J"' in shown
    assert "─" in shown
    assert "\x1b[2J" not in shown
    assert f"\x1b[1m{TRACE}" in shown


def test_for_programs_each_thing_is_one_object_on_a_line() -> None:
    with collecting(*ANYWHERE, "--json") as collector:
        listening = json.loads(collector.read())
        for path in PATHS:
            assert send(listening["http"], path) == 200
        assert send(listening["http"], body=b"\xff") == 400
        found, talk = collector.end(signal.SIGTERM)

    things = [json.loads(line) for line in found.splitlines()]
    assert [each["kind"] for each in things] == ["span", *["point"] * 8, "log", "summary"]
    assert {(each["version"], each["command"]) for each in [listening, *things]} == {(1, "collect")}
    assert things[0]["trace_id"] == TRACE
    assert {key: things[-1][key] for key in ("spans", "points", "logs", "refused")} == {
        "spans": 1,
        "points": 8,
        "logs": 1,
        "refused": {"400": 1},
    }
    assert "Received" not in talk
    assert collector.process.returncode == ExitCode.OK


def test_it_ends_by_itself_when_nothing_more_arrives() -> None:
    with collecting(*ANYWHERE, "--until-idle", "0.01") as collector:
        send(addresses(collector.said())[0])
        shown, talk = collector.process.communicate(timeout=30)

    # What was not quite due yet is shown all the same.
    assert f"trace {TRACE}" in shown
    assert talk.startswith("Received 1 span, ")


def test_it_ends_after_its_time(call: Call) -> None:
    result = call("collect", *ANYWHERE, "--duration", "0.01")

    assert result.exit_code == ExitCode.OK
    assert result.stdout == ""
    assert result.stderr.endswith("Received 0 spans, 0 metric points, 0 log records.\n")
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_who_is_to_show_too_much_asks_to_try_again() -> None:
    put = _putter(queue.Queue(1))
    put(Batch())

    with pytest.raises(BusyError):
        put(Batch())


def test_it_warns_where_others_can_reach_it(call: Call) -> None:
    result = call("collect", "--http", "0.0.0.0:0", "--grpc", "off", "--duration", "0.01")

    assert "Warning: whoever reaches 0.0.0.0:" in result.stderr


def test_without_grpcio_it_listens_for_http_and_says_so(
    call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("heliograph.cli.collect.find_spec", lambda name: None)

    result = call("collect", "--http", "127.0.0.1:0", "--duration", "0.01")

    assert 'gRPC is off: it needs pip install "heliograph[otel-grpc]"\n' in result.stderr
    assert result.exit_code == ExitCode.OK


@pytest.mark.parametrize(
    ("missing", "needed", "extras", "options"),
    [
        ("opentelemetry", "opentelemetry-proto", "cli,otel", ()),
        ("google", "opentelemetry-proto", "cli,otel", ()),
        ("grpc", "grpcio", "cli,otel-grpc", ("--grpc", "127.0.0.1:0")),
    ],
)
def test_a_missing_extra_is_one_clear_line(
    missing: str, needed: str, extras: str, options: tuple[str, ...]
) -> None:
    code = f"""
import sys
sys.modules[{missing!r}] = None
from heliograph.cli import main
sys.exit(main(["collect", "--http", "127.0.0.1:0", "--duration", "0.01", *{options!r}]))
"""
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )

    assert result.stderr == (
        f'heliograph: this command needs {needed}: pip install "heliograph[{extras}]"\n'
    )
    assert result.returncode == ExitCode.INVALID


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--http", "nowhere:x"], "'nowhere:x' is no address; write host:port"),
        (["--grpc", "::1"], "write an IPv6 address in brackets"),
        (["--http", "off", "--grpc", "off"], "listen for something"),
        (["--duration", "0"], "0.0 is not in the range"),
    ],
)
def test_wrong_calls_are_told(call: Call, options: list[str], complaint: str) -> None:
    result = call("collect", *options)

    assert complaint in result.stderr
    assert result.exit_code == ExitCode.USAGE


def test_a_port_in_use_is_told(call: Call) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        result = call("collect", "--http", address, "--grpc", "off")

    assert f"heliograph: can't listen for HTTP at {address}: " in result.stderr
    assert result.exit_code == ExitCode.UNREACHABLE
    assert not [each for each in threading.enumerate() if "collect" in each.name]
