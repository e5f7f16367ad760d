# SPDX-License-Identifier: Apache-2.0
"""The demo keeps its promises, and says so where it does not."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from heliograph.apps.collect import Receiver
from heliograph.apps.demo import Demo
from heliograph.cli import ExitCode


def run(*options: str, **variables: str) -> subprocess.CompletedProcess[str]:
    plain = {name: value for name, value in os.environ.items() if name != "FORCE_COLOR"}
    return subprocess.run(
        [sys.executable, "-m", "heliograph", "demo", "--seconds", "5", *options],
        env={**plain, "PYTHONUTF8": "1", **variables},
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )


def children(folder: Path) -> set[str]:
    """Command lines of this machine's processes that belong to a demo in a folder."""
    found = subprocess.run(
        ["ps", "-ewwo", "args"], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    return {line for line in found if str(folder) in line}


@pytest.fixture(scope="module")
def seen() -> dict[str, Any]:
    done = run("--json")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def test_every_promise_is_kept(seen: dict[str, Any]) -> None:
    assert [each for each in seen["promises"] if each["kept"] is not True] == []
    assert seen["kept"] is True
    assert len(seen["promises"]) == 10


def test_devices_move_within_five_seconds_and_are_not_polled_twice(seen: dict[str, Any]) -> None:
    assert seen["failover"]["devices"] == ["boiler", "pump-south"]
    assert 0 < seen["failover"]["seconds"] <= 5.0
    assert seen["failover"]["overlap"] <= 0.5


def test_everything_arrives_and_nothing_is_dropped(seen: dict[str, Any]) -> None:
    assert all(seen["received"][kind] > 0 for kind in ("spans", "metrics", "logs"))
    assert {each["dropped"] for each in seen["exported"].values()} == {0}
    # What the killed one has sent comes on top of what the others say.
    assert seen["received"]["spans"] >= seen["exported"]["traces"]["exported"] > 0


def test_events_are_counted_by_catalog(seen: dict[str, Any]) -> None:
    assert set(seen["events"]) == {"gateway", "heliograph", "modboss", "partisan"}
    assert seen["events"]["gateway"]["gateway.device.taken"] >= 10
    # All three have told of it; what the killed one did last may be in no file yet.
    assert seen["events"]["gateway"]["gateway.alarm.raised"] >= 2
    assert seen["events"]["modboss"]["modboss.read.stop"] > 20
    assert "modboss.write.start" in seen["not_seen"]


def test_the_code_says_if_a_promise_was_not_kept() -> None:
    # Nobody listens there, so that everything that is to be exported is dropped in the end.
    done = run("--endpoint", "http://127.0.0.1:9", "--headless")

    assert done.returncode == 1, done.stdout + done.stderr
    assert re.search(r"^NOT SEEN +dropped +[1-9]\d* items dropped", done.stdout, re.MULTILINE)
    assert re.search(r"^not looked for +values ", done.stdout, re.MULTILINE)
    assert done.stdout.splitlines()[-1] == "1 of 10 promises were not kept"
    assert "\x1b" not in done.stdout
    assert done.stderr == ""


def test_a_collector_that_cannot_be_one_is_refused_at_once() -> None:
    done = run("--endpoint", "nonsense", "--headless")

    assert done.returncode == 2
    assert done.stdout == ""
    assert "Invalid value for '--endpoint': endpoint is 'nonsense', which begins" in done.stderr


def test_it_does_not_wait_for_a_gateway_that_has_ended() -> None:
    # Whoever plays it without the command may name anything.
    demo = Demo(5.0, endpoint="nonsense")

    with pytest.raises(RuntimeError, match=r"^gateway g\d@127\.0\.0\.1 ended with 3: heliograph: "):
        asyncio.run(demo.run())

    assert demo.scene.shared is False


def test_a_collector_may_have_the_telemetry(tmp_path: Path) -> None:
    names: set[str] = set()
    with Receiver(lambda batch: names.update(each.name for each in batch.metrics)) as receiver:
        # Other demos may be played at the same time; this one has a folder of its own.
        done = run("--endpoint", f"http://{receiver.http}", TMPDIR=str(tmp_path))

    assert done.returncode == 0, done.stdout + done.stderr
    assert {"gateway.device.value", "modboss.read.duration"} <= names
    assert "all 10 promises kept" not in done.stdout
    assert "all 7 promises kept that could be looked for" in done.stdout
    assert children(tmp_path) == set()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_whatever_ends_it_leaves_nothing_behind(number: int, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "heliograph", "demo", "--headless", "--seconds", "600"]
    with subprocess.Popen(
        command,
        env={**os.environ, "PYTHONUTF8": "1", "PYTHONUNBUFFERED": "1", "TMPDIR": str(tmp_path)},
        stdout=subprocess.PIPE,
        text=True,
    ) as demo:
        assert demo.stdout is not None
        next(line for line in demo.stdout if "The gateways have met" in line)
        before = children(tmp_path)
        demo.send_signal(number)
        code = demo.wait(60)

    assert len(before) >= 3
    assert code == ExitCode.INTERRUPTED
    assert children(tmp_path) == set()
    assert [*tmp_path.iterdir()] == []
