# SPDX-License-Identifier: Apache-2.0
"""`heliograph demo --web`: the demo as it is played, on the page in a browser."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from heliograph.cli import ExitCode, main
from tests.apps.demo.browser import Browser


@contextmanager
def playing(*options: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "heliograph", "demo", *options]
    plain = {name: value for name, value in os.environ.items() if name != "FORCE_COLOR"}
    with subprocess.Popen(
        command,
        env={**plain, "PYTHONUTF8": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    ) as process:
        try:
            yield process
        finally:
            process.terminate()


def test_what_the_demo_does_is_seen_on_the_page(chromium: Browser) -> None:
    # A browser on a busy machine draws so seldom that it may miss what comes and goes: who is dead,
    # cut off or polled by nobody is looked for where the scene stands still, in test_web_page.py.
    with playing("--seconds", "10", "--json", "--web", "127.0.0.1:0") as demo:
        assert demo.stderr is not None
        told = re.fullmatch(r"A page is at (http://127\.0\.0\.1:\d+/)\n", demo.stderr.readline())
        assert told is not None
        with chromium.page(told[1]) as page:
            # Six devices with four values each come and stay; three members are connected.
            page.wait("document.querySelectorAll('.tile .value').length === 24")
            page.wait("document.querySelectorAll('#graph .link.up').length === 3")
            assert page.errors == []

            output, _ = demo.communicate()
            document = json.loads(output)
            assert document["kept"], output

            page.wait("document.querySelectorAll('#promise-list .kept').length === 10")
            said = page.text("#story")
            assert "Gateway g2@127.0.0.1 is killed" in said
            assert "It has its devices again" in said
            assert page.text("#stream") == "ended; this is how it was"
            page.choose("#trace-kind", "retries")
            page.wait("document.querySelector('#waterfall .span.failed ~ .span.again')")
            events = document["events"]["gateway"]["gateway.device.taken"]
            page.write("#catalog-search", "gateway.device.taken")
            page.do("document.querySelector('#entry-list button').click()")
            page.wait(
                f"document.querySelector('#entry-count').innerText.includes('{events} times')"
            )
            # All that the page misses now is the demo.
            assert {each.rpartition(" ")[0] for each in page.errors} <= {
                "Failed to load resource: net::ERR_CONNECTION_REFUSED"
            }
    assert demo.returncode == 0


def test_where_the_page_is_is_told_to_people_as_the_rest() -> None:
    with playing("--headless", "--web", "127.0.0.1:0") as demo:
        assert demo.stdout is not None
        lines = [demo.stdout.readline() for _ in range(2)]

    assert re.fullmatch(r" +\d\.\d s  A page is at http://127\.0\.0\.1:\d+/\n", lines[0])
    assert "A plant of six Modbus devices begins to work" in lines[1]


def test_a_page_that_others_can_reach_is_warned_of() -> None:
    with playing("--headless", "--web", "0.0.0.0:0") as demo:
        assert demo.stdout is not None
        lines = [demo.stdout.readline() for _ in range(2)]

    assert lines[1].endswith("Whoever reaches this machine can read it\n")


def test_a_port_that_is_taken_ends_it_before_it_begins(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        where = f"127.0.0.1:{taken.getsockname()[1]}"
        assert main(["demo", "--headless", "--web", where]) == ExitCode.UNREACHABLE

    said = capsys.readouterr()
    assert f"the page cannot be served at {where}" in said.err
    assert said.out == ""


def test_what_is_no_address_is_a_wrong_call(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "--web", "127.0.0.1:http"]) == ExitCode.USAGE
    assert "'127.0.0.1:http' is no address" in capsys.readouterr().err
