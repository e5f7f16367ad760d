# SPDX-License-Identifier: Apache-2.0
"""Gateways as processes, over real sockets: shares, failover, return, alarms, reload, stop."""

from __future__ import annotations

import json
import queue
import signal
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme

from heliograph.apps.collect import Batch, Receiver
from heliograph.apps.gateway import owner
from heliograph.modboss.virtual import Silence
from tests.apps.gateway.fleet import PERIOD, Fleet

NAMES = ("g1@127.0.0.1", "g2@127.0.0.1", "g3@127.0.0.1")
# The bar is 3 periods or 5 s, whichever is longer.
FAILOVER = max(3 * PERIOD, 5.0)


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    with Fleet(tmp_path) as made:
        yield made


def get(port: int, path: str) -> tuple[int, Any]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


def test_a_gateway_that_dies_is_stood_in_for_until_it_returns(fleet: Fleet) -> None:
    fleet.start()
    fleet.wait(lambda: fleet.shared(*NAMES), "shared out over three")
    by_hash = {device: {owner(device, NAMES)} for device in fleet.plant}
    assert fleet.holders() == by_hash
    victim = next(iter(by_hash["boiler"])) or ""
    rest = tuple(name for name in NAMES if name != victim)

    fleet.gateways[victim].end(signal.SIGKILL)
    killed = time.monotonic()
    orphans = [device for device, held in by_hash.items() if victim in held]
    counts = {device: len(fleet.plant[device].requests) for device in orphans}
    for device in orphans:
        fleet.plant[device].wait_for_requests(counts[device] + 1)
    took = time.monotonic() - killed
    assert took < FAILOVER
    fleet.wait(lambda: fleet.shared(*rest), "taken over by the other two")

    fleet.start(victim)
    fleet.wait(lambda: fleet.shared(*NAMES), "moved back")
    assert fleet.holders() == by_hash
    for device in orphans:
        taken = fleet.gateways[victim].events("gateway.device.taken")
        [at] = [each["time"] for each in taken if each["metadata"]["device"] == device]
        [given_up] = [
            each["time"]
            for name in rest
            for each in fleet.gateways[name].events("gateway.device.given_up")
            if each["metadata"]["device"] == device
        ]
        # Two of them poll it at the same time for one period at most; in fact there is a gap.
        assert given_up < at + PERIOD


def test_an_alarm_is_seen_on_every_gateway(fleet: Fleet) -> None:
    fleet.start()
    fleet.wait(lambda: fleet.shared(*NAMES), "shared out")

    fleet.plant["tank"]["flow_temp"] = 90.0
    fleet.wait(
        lambda: all(g.events("gateway.alarm.raised") for g in fleet.gateways.values()), "raised"
    )
    told = {name: g.events("gateway.alarm.raised") for name, g in fleet.gateways.items()}
    assert all(len(each) == 1 for each in told.values())
    for name, [line] in told.items():
        assert line["measurements"] == {"value": 90.0, "limit": 75.0}
        assert line["metadata"] == {
            "gateway": name,
            "device": "tank",
            "mapping": "flow_temp",
            "side": "above",
            "told_by": owner("tank", NAMES),
        }

    fleet.plant["tank"]["flow_temp"] = 60.0
    fleet.wait(
        lambda: all(g.events("gateway.alarm.cleared") for g in fleet.gateways.values()), "cleared"
    )


def test_a_device_that_fails_is_told_and_the_rest_goes_on(tmp_path: Path) -> None:
    with Fleet(tmp_path, devices=2) as fleet:
        document = fleet.document(NAMES[0])
        document["cluster"]["patience"] = 0.1
        # Only the one that is to fail is impatient: a busy machine must not make the other fail.
        document["devices"]["chiller"]["attempts"] = 1
        document["devices"]["chiller"]["address"] += "?timeout=0.5"
        process = fleet.begin(NAMES[0], document)
        fleet.plant["boiler"].wait_for_requests(2)
        fleet.plant["chiller"].wait_for_requests(2)

        before = len(process.events("gateway.device.failing"))
        with fleet.plant["chiller"].inject(Silence()) as silence:
            fleet.wait(lambda: len(process.events("gateway.device.failing")) > before, "failing")
            status, state = get(fleet.health[NAMES[0]], "/readyz")
            assert silence.fired
            assert status == 200
            assert state["devices"]["boiler"]["state"] == "ok"
            assert state["devices"]["chiller"]["state"] == "failing"
            assert "no answer within 0.5 s" in state["devices"]["chiller"]["failure"]
        fleet.wait(lambda: bool(process.events("gateway.device.recovered")), "recovered")

        devices = {each["metadata"]["device"] for each in process.events("gateway.device.failing")}
        assert devices == {"chiller"}
        assert process.end() == 0


def test_a_file_is_read_again_when_the_line_hangs_up(tmp_path: Path) -> None:
    with Fleet(tmp_path, devices=3) as fleet:
        document = fleet.document(NAMES[0])
        document["cluster"]["patience"] = 0.1
        kept, changed, gone = document["devices"]
        removed = document["devices"].pop(gone)
        process = fleet.begin(NAMES[0], document)
        fleet.wait(lambda: len(process.events("gateway.device.taken")) == 2, "taken")

        fleet.file(NAMES[0], {**document, "devises": {}})
        process.popen.send_signal(signal.SIGHUP)
        fleet.wait(lambda: bool(process.events("gateway.reload.refused")), "refused")
        [refused] = process.events("gateway.reload.refused")
        assert "unknown key 'devises'" in refused["metadata"]["faults"][0]

        document["devices"][changed]["groups"]["default"]["every"] = 0.5
        document["devices"][gone] = removed
        fleet.file(NAMES[0], document)
        process.popen.send_signal(signal.SIGHUP)
        fleet.wait(lambda: len(process.events("gateway.device.taken")) == 4, "taken anew")

        [line] = process.events("gateway.device.given_up")
        assert (line["metadata"]["device"], line["metadata"]["move"]) == (changed, "reload")
        again = [each["metadata"]["device"] for each in process.events("gateway.device.taken")[2:]]
        assert again == [changed, gone]
        assert kept not in again
        assert process.end() == 0


def test_it_stops_within_its_deadline_though_nobody_takes_its_telemetry(tmp_path: Path) -> None:
    # Nothing listens at port 9 of this machine, and so nothing is ever taken.
    with Fleet(
        tmp_path, devices=1, otlp={"endpoint": "http://127.0.0.1:9"}, stop_within=2
    ) as fleet:
        document = fleet.document(NAMES[0])
        document["cluster"]["patience"] = 0.1
        process = fleet.begin(NAMES[0], document)
        fleet.wait(lambda: bool(process.events("gateway.device.taken")), "taken")
        assert get(fleet.health[NAMES[0]], "/healthz") == (200, {"alive": True})
        assert get(fleet.health[NAMES[0]], "/nope")[0] == 404

        began = time.monotonic()
        assert process.end() == 0

        # The interpreter's own end comes on top; it takes its time on a busy machine.
        assert time.monotonic() - began < 2 + 5
        assert process.lines[-1]["kind"] == "summary"
        assert process.events("gateway.device.given_up")[0]["metadata"]["move"] == "stop"


def test_two_with_different_devices_say_so(tmp_path: Path) -> None:
    with Fleet(tmp_path, devices=2) as fleet:
        one = fleet.document(NAMES[0])
        two = fleet.document(NAMES[1])
        two["devices"].pop("chiller")
        processes = [fleet.begin(NAMES[0], one), fleet.begin(NAMES[1], two)]

        fleet.wait(
            lambda: all(each.events("gateway.peer.differs") for each in processes), "differs"
        )


def test_a_port_that_is_taken_is_said_in_one_line(tmp_path: Path) -> None:
    with Fleet(tmp_path, devices=1) as fleet:
        document = fleet.document(NAMES[0])
        document["cluster"]["listen"] = fleet.servers["boiler"].url.removeprefix("tcp://")
        process = fleet.begin(NAMES[0], document)

        assert process.popen.wait(30) == 4
        process.end()
        assert "Traceback" not in process.stderr
        assert len(process.stderr.splitlines()) == 1


def test_gateways_with_certificates_share_their_devices(tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "authority.pem")
    with Fleet(tmp_path) as fleet:
        for name in NAMES:
            short = name.partition("@")[0]
            issued = authority.issue_cert(name)
            issued.private_key_and_cert_chain_pem.write_to_path(tmp_path / f"{short}.pem")
            document = fleet.document(name)
            document["cluster"]["tls"] = {
                "certificate": f"{short}.pem",
                "authority": "authority.pem",
                "bind_names": True,
            }
            fleet.begin(name, document)

        fleet.wait(lambda: fleet.shared(*NAMES), "shared out")


def test_values_have_the_tags_of_their_device_and_settings_may_come_from_variables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: queue.Queue[tuple[dict[str, Any], dict[str, Any]]] = queue.Queue()

    def take(batch: Batch) -> None:
        for metric in batch.metrics:
            if metric.name == "gateway.device.value":
                for point in metric.points:
                    found.put((dict(metric.source.resource), dict(point.attributes)))

    with Receiver(take) as receiver, Fleet(tmp_path, devices=1) as fleet:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://{receiver.http}")
        monkeypatch.setenv("OTEL_METRIC_EXPORT_INTERVAL", "200")
        monkeypatch.setenv("OTEL_SERVICE_NAME", "of-variables")
        document = fleet.document(NAMES[0])
        document["cluster"]["patience"] = 0.1
        document["devices"]["boiler"]["tags"] = {"plant.hall": "north", "line": 3}
        process = fleet.begin(NAMES[0], document)

        resource, attributes = found.get(timeout=30)

        assert attributes.pop("gateway.device.mapping") in {"flow_temp", "return_temp"}
        assert attributes == {
            "gateway.device.name": "boiler",
            "gateway.device.unit": "Cel",
            "plant.hall": "north",
            "line": "3",
        }
        assert resource["service.name"] == "of-variables"
        assert resource["service.instance.id"] == NAMES[0]
        assert process.end() == 0


def test_the_gauges_of_a_device_end_where_it_is_given_up(tmp_path: Path) -> None:
    latest: dict[str, set[str]] = {}
    arrived = threading.Condition()

    def take(batch: Batch) -> None:
        for metric in batch.metrics:
            if metric.name == "gateway.device.value":
                names = {str(each.attributes["gateway.device.name"]) for each in metric.points}
                with arrived:
                    latest[str(metric.source.resource["service.instance.id"])] = names
                    arrived.notify_all()

    with Receiver(take) as receiver:
        otlp = {"endpoint": f"http://{receiver.http}", "metric_interval": 0.2}
        with Fleet(tmp_path, otlp=otlp) as fleet:
            names = NAMES[:2]
            document = fleet.document(names[0])
            document["cluster"]["patience"] = 0.1
            fleet.begin(names[0], document)
            with arrived:
                assert arrived.wait_for(lambda: latest.get(names[0]) == set(fleet.plant), 30)

            fleet.start(names[1])

            shares = {name: {d for d in fleet.plant if owner(d, names) == name} for name in names}
            with arrived:
                assert arrived.wait_for(lambda: latest == shares, 30), (latest, shares)
