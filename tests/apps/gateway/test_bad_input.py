# SPDX-License-Identifier: Apache-2.0
"""What goes wrong around a gateway is told in a line and in its health, and the rest goes on."""

from __future__ import annotations

import asyncio
import json
import resource
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from heliograph import spans
from heliograph.apps.collect import Batch, Receiver
from heliograph.apps.gateway import Gateway, load
from heliograph.modboss.virtual import Cut, Fault, Garbage, WrongCount
from tests.apps.gateway.fleet import Fleet, Process
from tests.apps.gateway.test_fleet import NAMES, get
from tests.ports import free_port

ME = NAMES[0]


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    with Fleet(tmp_path, devices=2) as made:
        yield made


def alone(fleet: Fleet) -> dict[str, Any]:
    """What a gateway's file holds that waits for nobody."""
    document = fleet.document(ME)
    document["cluster"]["patience"] = 0.1
    document["cluster"]["seeds"] = {}
    return document


def told(process: Process, event: str, **metadata: str) -> list[dict[str, Any]]:
    return [line for line in process.events(event) if metadata.items() <= line["metadata"].items()]


def troubles(fleet: Fleet) -> dict[str, str]:
    """Part -> failure, as the health endpoint has it."""
    status, state = get(fleet.health[ME], "/readyz")
    assert status == 200
    return {each["part"]: each["failure"] for each in state["troubles"]}


def go_on(fleet: Fleet) -> None:
    """All devices are polled, as if nothing were."""
    for device in fleet.plant.values():
        device.wait_for_requests(len(device.requests) + 2)


def test_a_peer_that_cannot_be_reached(fleet: Fleet) -> None:
    document = alone(fleet)
    document["cluster"]["seeds"] = {NAMES[1]: f"127.0.0.1:{fleet.nodes[NAMES[1]]}"}
    process = fleet.begin(ME, document)

    fleet.wait(lambda: bool(told(process, "gateway.part.failing", part="peer")), "told")
    go_on(fleet)
    assert f"could not join {NAMES[1]} at 127.0.0.1:" in troubles(fleet)["peer"]

    fleet.begin(NAMES[1])
    fleet.wait(lambda: bool(told(process, "gateway.part.recovered", part="peer")), "recovered")
    assert len(told(process, "gateway.part.failing", part="peer")) == 1
    assert troubles(fleet) == {}


def test_a_port_for_its_health_that_is_taken(fleet: Fleet) -> None:
    document = alone(fleet)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        fleet.health[ME] = taken.getsockname()[1]
        document["health"] = f"127.0.0.1:{fleet.health[ME]}"
        process = fleet.begin(ME, document)
        fleet.wait(lambda: bool(told(process, "gateway.part.failing", part="health")), "told")
        go_on(fleet)

    fleet.wait(lambda: bool(told(process, "gateway.part.recovered", part="health")), "recovered")
    assert get(fleet.health[ME], "/healthz") == (200, {"alive": True})


def test_a_full_disk(fleet: Fleet) -> None:
    document = alone(fleet)
    document["cluster"]["state"] = "membership"
    document["cluster"]["seeds"] = {NAMES[1]: f"127.0.0.1:{fleet.nodes[NAMES[1]]}"}
    process = fleet.begin(ME, document)
    fleet.wait(lambda: len(process.events("gateway.device.taken")) == 2, "taken")

    # Files of this process may not grow any more.
    before = resource.prlimit(process.popen.pid, resource.RLIMIT_FSIZE, (0, -1))
    fleet.begin(NAMES[1])  # a new member is to be written down
    fleet.wait(lambda: bool(told(process, "gateway.part.failing", part="state")), "told")
    go_on(fleet)
    assert "File too large" in troubles(fleet)["state"]

    resource.prlimit(process.popen.pid, resource.RLIMIT_FSIZE, before)
    fleet.wait(lambda: bool(told(process, "gateway.part.recovered", part="state")), "recovered")
    assert (fleet.folder / "membership").stat().st_size > 0
    assert troubles(fleet) == {}
    assert process.end() == 0


def test_a_membership_that_is_none(fleet: Fleet) -> None:
    document = alone(fleet)
    document["cluster"]["state"] = "membership"
    (fleet.folder / "membership").write_text("nonsense")

    process = fleet.begin(ME, document)

    assert process.popen.wait(30) == 3
    process.end()
    [line] = process.stderr.splitlines()
    assert line.startswith(f"heliograph: {fleet.folder / 'membership'} holds no membership: ")
    assert line.endswith("; remove it, to begin anew")


@pytest.mark.parametrize("fault", [Garbage(), WrongCount(1), Cut()], ids=str)
def test_a_device_that_answers_nonsense(fleet: Fleet, fault: Fault) -> None:
    document = alone(fleet)
    document["devices"]["chiller"] |= {"attempts": 1}
    document["devices"]["chiller"]["address"] += "?timeout=0.3"
    process = fleet.begin(ME, document)
    fleet.wait(lambda: len(process.events("gateway.device.taken")) == 2, "taken")

    with fleet.plant["chiller"].inject(fault):
        fleet.wait(lambda: bool(told(process, "gateway.device.failing", device="chiller")), "told")
        boiler = fleet.plant["boiler"]
        boiler.wait_for_requests(len(boiler.requests) + 2)
        state = get(fleet.health[ME], "/readyz")[1]["devices"]
        assert state["chiller"]["state"] == "failing"
        assert len(state["chiller"]["failure"].splitlines()) == 1
    fleet.wait(lambda: bool(told(process, "gateway.device.recovered", device="chiller")), "well")
    assert process.end() == 0
    # All that there is to be said is in the lines.
    assert process.stderr == ""


def test_a_device_that_is_not_there(fleet: Fleet) -> None:
    document = alone(fleet)
    document["devices"]["ghost"] = {
        **document["devices"]["chiller"],
        "address": f"tcp://127.0.0.1:{free_port()}",
    }
    process = fleet.begin(ME, document)

    fleet.wait(lambda: bool(told(process, "gateway.device.failing", device="ghost")), "told")

    go_on(fleet)
    # It is asked again and again, which is told once.
    address = document["devices"]["ghost"]["address"]
    [_] = [line for line in process.lines if address in json.dumps(line)]
    assert "no connection" in get(fleet.health[ME], "/readyz")[1]["devices"]["ghost"]["failure"]


def test_a_file_that_is_wrong_when_it_is_read_again(fleet: Fleet) -> None:
    document = alone(fleet)
    process = fleet.begin(ME, document)
    fleet.wait(lambda: len(process.events("gateway.device.taken")) == 2, "taken")

    fleet.file(ME).write_text("devices: [")
    process.popen.send_signal(signal.SIGHUP)
    fleet.wait(lambda: bool(process.events("gateway.reload.refused")), "refused")
    go_on(fleet)
    assert f"{fleet.file(ME, document)}:2:1: not YAML: " in troubles(fleet)["file"]

    process.popen.send_signal(signal.SIGHUP)
    fleet.wait(lambda: bool(process.events("gateway.reloaded")), "reloaded")
    assert troubles(fleet) == {}


def test_handlers_that_cannot_be_attached_are_those_there_were(fleet: Fleet) -> None:
    document = alone(fleet)
    notes = fleet.folder / "notes.jsonl"
    handler = {
        "id": "notes",
        "events": "gateway.reload.refused",
        "handler": "heliograph.handlers:json_line",
        "config": {"path": str(notes)},
    }
    document["handlers"] = [handler]
    process = fleet.begin(ME, document)
    fleet.wait(lambda: len(process.events("gateway.device.taken")) == 2, "taken")

    # The command itself has this id, which only who attaches can know.
    document["handlers"] = [{**handler, "id": "heliograph gateway"}]
    document["devices"].pop("chiller")
    fleet.file(ME, document)
    process.popen.send_signal(signal.SIGHUP)
    fleet.wait(lambda: bool(process.events("gateway.reload.refused")), "refused")

    go_on(fleet)
    assert "is already attached" in troubles(fleet)["file"]
    assert process.end() == 0
    [note] = notes.read_text().splitlines()
    assert json.loads(note)["event"] == "gateway.reload.refused"


def test_a_clock_that_jumps(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    jump = 0.0
    wall, wall_ns = time.time, time.time_ns
    monkeypatch.setattr(time, "time", lambda: wall() + jump)
    monkeypatch.setattr(time, "time_ns", lambda: wall_ns() + round(jump * 1e9))
    before = spans.set_sources(time.monotonic_ns, lambda: wall_ns() + round(jump * 1e9), object)
    arrived = asyncio.Event()

    async def main(receiver: Receiver) -> None:
        nonlocal jump
        document = alone(fleet)
        document["otlp"] = {
            "endpoint": f"http://{receiver.http}",
            "metric_interval": 0.2,
            "delay": 0.2,
        }
        gateway = Gateway(load(fleet.file(ME, document)))
        running = asyncio.create_task(gateway.run())
        for seconds in (0.0, 7200.0, -7200.0, 3e8):
            jump = seconds
            await asyncio.to_thread(go_on, fleet)
            for _ in range(3):
                arrived.clear()
                await arrived.wait()
        gateway.stop()
        await running
        assert gateway.exported is not None
        assert gateway.exported.status == "ok"

    async def bounded() -> None:
        loop = asyncio.get_running_loop()

        def take(batch: Batch) -> None:
            if batch.spans or batch.metrics:
                loop.call_soon_threadsafe(arrived.set)

        with Receiver(take) as receiver:
            # Nothing takes hours, whatever the clock says.
            async with asyncio.timeout(60):
                await main(receiver)

    try:
        asyncio.run(bounded())
    finally:
        spans.set_sources(*before)


def test_wrong_yaml_is_one_line(fleet: Fleet) -> None:
    path = fleet.file(ME)
    path.write_text("devices: {boiler: {address: tcp://h\n")
    process = Process(path, fleet.told)
    fleet.processes.append(process)

    assert process.popen.wait(30) == 3
    process.end()
    [line] = process.stderr.splitlines()
    assert line.startswith(f"heliograph: {path}:")
