# SPDX-License-Identifier: Apache-2.0
"""`heliograph cluster node` as a process: joined, talked through, and ended."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.cli.conftest import Call


class Running:
    """The command, running with --json."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.listening = self.until("listening")
        (self.address,) = self.listening["listen_addrs"]

    def until(self, kind: str, **data: Any) -> dict[str, Any]:
        """Read documents until one is of a kind and has the data."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            document: dict[str, Any] = json.loads(line)
            assert document["version"] == 1
            assert document["command"] == "cluster node"
            if document["kind"] == kind and data.items() <= document.items():
                return document
        raise AssertionError(f"no {kind} with {data} came")

    def say(self, line: str) -> None:
        """Give it a command."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()


@contextmanager
def command(*options: str) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-m", "heliograph", "cluster", "node", *options],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


@contextmanager
def node(name: str, *options: str) -> Iterator[Running]:
    with command("--name", f"{name}@127.0.0.1", "--json", *options) as process:
        yield Running(process)


def test_two_nodes_join_talk_and_leave() -> None:
    with node("py1", "--channel", "data:2") as one:
        join = f"py1@127.0.0.1={one.address}"
        with node("py2", "--channel", "data:2", "--join", join, "--inbox", "printer") as two:
            one.until("change", change="up", node="py2@127.0.0.1")
            two.until("change", change="up", node="py1@127.0.0.1")

            one.say("members")
            members = one.until("members")["members"]
            assert [each["state"] for each in members] == ["self", "up"]
            one.say("connections")
            rows = one.until("connections")["connections"]
            assert {each["side"] for each in rows} == {"client", "server"}
            assert list(rows[0]) == ["socket", "peer", "channel", "side", "peer_addr"]

            one.say('send py2@127.0.0.1 printer {hello, "text", [1.5, <<"bytes">> | tail]}')
            assert one.until("sent")["ack"] is False
            message = two.until("message", name="printer")
            assert message["message"] == '{hello,"text",[1.5,<<"bytes">>|tail]}'
            assert message["request"] is False
            two.say("send py1@127.0.0.1 sink #{key => value} ack")
            assert two.until("sent")["ack"] is True
            assert one.until("message", name="sink")["message"] == "#{key => value}"

            for wrong, match in (
                ("jump", "no command 'jump'"),
                ("send", "NODE NAME TERM"),
                ("send py2@127.0.0.1 printer {", ""),
                ("send nobody@nowhere printer 1", "no member"),
            ):
                one.say(wrong)
                error = one.until("error", line=wrong)
                assert match in error["error"]
            one.say("")

            two.say("leave")
            two.until("left", node="py2@127.0.0.1")
            assert two.until("summary") == {
                "version": 1,
                "command": "cluster node",
                "kind": "summary",
                "messages": 1,
                "sent": 1,
            }
            assert two.process.wait(10) == 0
        one.until("change", change="leave", node="py2@127.0.0.1")
        one.process.send_signal(signal.SIGTERM)
        one.until("summary", messages=1, sent=1)
        assert one.process.wait(10) == 0


def test_what_nobody_takes_is_told_as_dropped() -> None:
    with node("py1") as one, node("py2", "--join", f"py1@127.0.0.1={one.address}") as two:
        two.until("change", change="up", node="py1@127.0.0.1")
        two.say("send py1@127.0.0.1 printer lost ack")
        dropped = one.until("dropped")
        assert {key: dropped[key] for key in ("count", "target", "peer", "reason")} == {
            "count": 1,
            "target": "printer",
            "peer": "py2@127.0.0.1",
            "reason": "unknown_name",
        }
        one.say("send py1@127.0.0.1 'an odd name' {'so it', is}")
        assert one.until("dropped")["target"] == "an odd name"


def test_commands_from_a_pipe_wait_for_the_join() -> None:
    with node("py1") as one:
        join = f"py1@127.0.0.1={one.address}"
        with command("--name", "py2@127.0.0.1", "--join", join) as process:
            assert process.stdin is not None
            process.stdin.write("send py1@127.0.0.1 sink hello ack\n")
            process.stdin.flush()
            assert one.until("message")["message"] == "hello"


def test_nodes_with_partial_views_broadcast() -> None:
    views = ("--manager", "hyparview")
    with node("py1", *views) as one:
        join = f"py1@127.0.0.1={one.address}"
        with node("py2", *views, "--join", join, "--topic", "news", "--topic", "alarms") as two:
            one.until("change", change="neighbor_up", node="py2@127.0.0.1")
            two.until("change", change="up", node="py1@127.0.0.1")
            two.say("broadcast news {hello, all}")
            assert two.until("broadcasted")["name"] == "news"
            assert one.until("broadcast", name="news")["message"] == "{hello,all}"
            for wrong, match in (
                ("broadcast alarms 1", "takes no part"),
                ("broadcast news", "NAME TERM"),
            ):
                one.say(wrong)
                assert match in one.until("error", line=wrong)["error"]


@pytest.mark.parametrize(
    ("options", "match"),
    [
        (["--manager", "static", "--join", "a@h"], "not NAME=HOST:PORT"),
        (["--manager", "static", "--join", "a@h=h"], "host:port"),
        (["--manager", "client", "--state", "file"], "full mesh"),
        (["--manager", "boss"], "boss"),
    ],
)
def test_a_manager_is_chosen_soundly(call: Call, options: list[str], match: str) -> None:
    result = call("cluster", "node", "--name", "a@h", *options)

    assert result.exit_code == 2
    assert match in result.stderr


@pytest.mark.parametrize("manager", ["scamp-v1", "scamp-v2", "server", "client", "static"])
def test_every_manager_runs(manager: str) -> None:
    peers = ["--join", "py9@127.0.0.1=127.0.0.1:9"] if manager == "static" else []
    with node("py1", "--manager", manager, *peers) as one:
        one.say("members")
        assert [each["state"] for each in one.until("members")["members"]] == ["self"]


def test_a_node_finds_another_and_says_what_is_no_source() -> None:
    with (
        node("py1") as one,
        node("py2", "--discover", f"list:127.0.0.1:1,{one.address}") as two,
    ):
        two.until("change", change="up", node="py1@127.0.0.1")
        one.until("change", change="up", node="py2@127.0.0.1")
    with command("--name", "a@127.0.0.1", "--discover", "mdns:here") as process:
        _, said = process.communicate(timeout=30)
    assert process.returncode == 2
    assert "source 'mdns:here' is none of list:HOST:PORT" in said


def test_what_it_prints_for_reading() -> None:
    with command("--name", "py1@127.0.0.1") as process:
        assert process.stderr is not None
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stderr.readline().startswith("py1@127.0.0.1 listens at 127.0.0.1:")
        process.stdin.write(
            "members\nconnections\nsend py1@127.0.0.1 sink <<1,2>>\n"
            "send py1@127.0.0.1 odd 1\nnothing\nleave\n"
        )
        process.stdin.flush()
        out, said = process.communicate(timeout=20)
        assert process.returncode == 0
    assert out.splitlines()[0].startswith("py1@127.0.0.1\tself\t127.0.0.1:")
    assert "message\tsink\t<<1,2>>" in out.splitlines()
    lost = "dropped\t1\todd\tpy1@127.0.0.1\tunknown_name\tshow what is for it by --inbox odd"
    assert lost in out.splitlines()
    assert "py1@127.0.0.1 has left" in out.splitlines()
    assert "no command 'nothing'" in said


def test_a_node_that_cannot_be_joined_ends_the_command() -> None:
    with command("--name", "a@127.0.0.1", "--join", "b@127.0.0.1=no.such.invalid:1") as process:
        _, said = process.communicate(timeout=30)
    assert process.returncode == 4
    assert "cannot join b@127.0.0.1" in said


def test_an_address_in_use_ends_the_command() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with command("--name", "a@127.0.0.1", "--listen", address) as process:
            _, said = process.communicate(timeout=30)
    assert process.returncode == 4
    assert f"cannot listen at {address}" in said


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        (["--name", "nohost"], "name@host"),
        (["--name", "a@b", "--listen", "x"], "host:port"),
        (["--name", "a@b", "--channel", "data:x"], "neither a number"),
        (["--name", "a@b", "--join", "c"], "NAME=HOST:PORT"),
        (["--name", "a@b", "--tls-certificate", "c.pem"], "--tls-authority"),
        ([], "--name"),
    ],
)
def test_what_is_wrong_is_said_at_once(call: Call, arguments: list[str], match: str) -> None:
    result = call("cluster", "node", *arguments)

    assert result.exit_code == 2
    assert match in result.output
