# SPDX-License-Identifier: Apache-2.0
"""What a gateway has to reach, looked for on real sockets, and the command that tells of it."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from queue import Queue
from threading import Event, Thread
from typing import Any

import anyio
import anyio.to_thread
import pytest
import trustme

from heliograph.apps.collect import Batch, Receiver
from heliograph.apps.doctor import Finding, examine
from heliograph.cli import ExitCode
from heliograph.modboss import Schema
from heliograph.modboss.virtual import Silence, VirtualDevice, VirtualServer
from heliograph.partisan import Node
from heliograph.partisan.addresses import parse_address
from tests.cli.conftest import Call, call, call_json, folder
from tests.ports import free_port

__all__ = ["call", "call_json", "folder"]

BOILER = "schema: Boiler\ncoils: {reset: {address: 7, mode: w}, pump: 0}\n"


@pytest.fixture
def boiler(tmp_path: Path) -> Iterator[tuple[VirtualDevice, str]]:
    (tmp_path / "boiler.yaml").write_text(BOILER)
    device = VirtualDevice(Schema.from_file(tmp_path / "boiler.yaml"), {"pump": True})
    with VirtualServer(device) as server:
        yield device, server.url


@contextmanager
def running(name: str) -> Iterator[int]:
    """A node in a thread of its own; gives its port."""

    async def run() -> None:
        async with Node(name) as node:
            found.put(parse_address(node.listen_addrs[0])[1])
            await anyio.to_thread.run_sync(done.wait)

    found: Queue[int] = Queue()
    done = Event()
    thread = Thread(target=anyio.run, args=(run,))
    thread.start()
    try:
        yield found.get(timeout=10)
    finally:
        done.set()
        thread.join()


Look = Callable[..., dict[str, Finding]]


@pytest.fixture
def look(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Look:
    """Examine a gateway's file of these sections; by topic, what was found last."""
    for name in ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_HEADERS"):
        monkeypatch.delenv(name, raising=False)

    def look(*, timeout: float = 5.0, **sections: Any) -> dict[str, Finding]:
        file = tmp_path / "gateway.yaml"
        file.write_text(json.dumps({"devices": {}, **sections}))
        return {each.topic: each for each in examine(file, timeout=timeout)}

    return look


def device(address: str) -> dict[str, Any]:
    return {"boiler": {"address": address, "schema": "boiler.yaml"}}


class TestDevices:
    def test_one_that_answers(self, look: Look, boiler: tuple[VirtualDevice, str]) -> None:
        virtual, url = boiler

        found = look(devices=device(url))["device"]

        assert found.status == "ok"
        assert found.text.startswith("tells pump, in ")
        assert len(virtual.requests) == 1

    def test_one_that_is_silent(self, look: Look, boiler: tuple[VirtualDevice, str]) -> None:
        virtual, url = boiler

        with virtual.inject(Silence()):
            found = look(devices=device(url), timeout=0.3)["device"]

        assert (found.status, found.text) == ("failed", "no answer within 0.3 s")
        assert "unit id" in found.mend

    def test_one_that_is_not_there(self, look: Look, boiler: tuple[VirtualDevice, str]) -> None:
        found = look(devices=device(f"tcp://127.0.0.1:{free_port()}"))["device"]

        assert found.status == "failed"
        assert "no connection" in found.text
        assert found.mend

    def test_one_that_only_takes(self, look: Look, tmp_path: Path) -> None:
        (tmp_path / "boiler.yaml").write_text("coils: {reset: {address: 7, mode: w}}")

        found = look(devices=device("tcp://127.0.0.1:1"))["device"]

        assert (found.status, found.text) == ("ok", "has nothing to be read")


class TestCollector:
    def test_one_that_takes_everything(self, look: Look) -> None:
        arrived: list[Batch] = []
        with Receiver(arrived.append) as receiver:
            found = look(otlp={"endpoint": f"http://{receiver.http}"})["collector"]

        assert found.status == "ok"
        assert found.text.startswith("takes logs, in ")
        assert [batch for batch in arrived if batch.spans or batch.metrics or batch.logs] == []

    def test_none_at_all(self, look: Look) -> None:
        found = look(otlp={"endpoint": f"http://127.0.0.1:{free_port()}"})["collector"]

        assert found.status == "failed"
        assert found.text.startswith("logs: ")
        assert "start the collector" in found.mend

    def test_one_that_wants_credentials(self, look: Look) -> None:
        class Refusing(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                self.send_response(401)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *args: Any) -> None:
                pass

        with HTTPServer(("127.0.0.1", 0), Refusing) as server:
            thread = Thread(target=server.serve_forever, args=(0.01,))
            thread.start()
            found = look(otlp={"endpoint": f"http://127.0.0.1:{server.server_port}"})["collector"]
            server.shutdown()
            thread.join()

        assert found.status == "failed"
        assert "401" in found.text
        assert found.mend.startswith("give the credentials")

    def test_nothing_to_export_is_no_fault(self, look: Look) -> None:
        assert look()["collector"].status == "absent"


class TestCluster:
    def cluster(self, seed: int, **more: Any) -> dict[str, Any]:
        return {
            "name": "g1@127.0.0.1",
            "listen": f"127.0.0.1:{free_port()}",
            "seeds": {
                "g1@127.0.0.1": "127.0.0.1:1",
                "g2@127.0.0.1": f"127.0.0.1:{seed}",
            },
            **more,
        }

    def test_peers_and_ports(self, look: Look) -> None:
        with running("g2@127.0.0.1") as port:
            cluster = self.cluster(port)
            found = look(cluster=cluster)

            assert found["peer"].status == "ok"
            assert found["peer"].subject.startswith("g2@127.0.0.1 at 127.0.0.1:")
            assert found["port"].status == "ok"

            taken = look(cluster=cluster, health=f"127.0.0.1:{port}")["port"]
            assert (taken.status, taken.text) == ("absent", "is in use")
        gone = look(cluster=cluster)["peer"]
        assert gone.status == "failed"
        assert "start it" in gone.mend

    def test_a_peer_that_is_another_node(self, look: Look) -> None:
        with running("g3@127.0.0.1") as port:
            found = look(cluster=self.cluster(port))["peer"]

        assert (found.status, found.text) == ("failed", "g3@127.0.0.1 listens there")
        assert found.mend == "correct its name or its address in cluster.seeds"

    def test_a_peer_that_says_nothing(self, look: Look) -> None:
        with closing(socket.create_server(("127.0.0.1", 0))) as peer:
            found = look(cluster=self.cluster(peer.getsockname()[1]), timeout=0.1)["peer"]

        assert (found.status, found.text) == ("failed", "no word within 0.1 s")
        assert "what listens there" in found.mend

    def test_an_address_that_is_not_this_machines(self, look: Look) -> None:
        found = look(health="192.0.2.1:80")["port"]

        assert found.status == "failed"
        assert "name an address of this machine" in found.mend

    def test_a_peer_of_another_authority(self, look: Look, tmp_path: Path) -> None:
        ours, others = trustme.CA(), trustme.CA()
        issued = ours.issue_cert("g1@127.0.0.1")
        issued.private_key_and_cert_chain_pem.write_to_path(tmp_path / "g1.pem")
        ours.cert_pem.write_to_path(tmp_path / "authority.pem")
        import ssl

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        others.issue_cert("g2@127.0.0.1").configure_cert(context)
        tls = {"certificate": "g1.pem", "authority": "authority.pem"}

        def answer(listening: socket.socket) -> None:
            connection, _ = listening.accept()
            with connection, pytest.raises(OSError):  # noqa: PT011 - however it hangs up
                context.wrap_socket(connection, server_side=True)

        with socket.create_server(("127.0.0.1", 0)) as listening:
            thread = Thread(target=answer, args=(listening,))
            thread.start()
            found = look(cluster=self.cluster(listening.getsockname()[1], tls=tls))["peer"]
            thread.join()

        assert found.status == "failed"
        assert found.mend == "give both sides certificates of the same authority"

    def test_certificates_that_are_not_there(self, look: Look, tmp_path: Path) -> None:
        ca = trustme.CA()
        issued = ca.issue_cert("g1@127.0.0.1")
        issued.private_key_and_cert_chain_pem.write_to_path(tmp_path / "g1.pem")
        tls = {"certificate": "g1.pem", "authority": "authority.pem"}

        missing = look(cluster=self.cluster(free_port(), tls=tls))
        (tmp_path / "authority.pem").write_text("junk")
        wrong = look(cluster=self.cluster(free_port(), tls=tls))
        ca.cert_pem.write_to_path(tmp_path / "authority.pem")
        right = look(cluster=self.cluster(free_port(), tls=tls))

        assert missing["certificate"].status == wrong["certificate"].status == "failed"
        assert missing["certificate"].subject == str(tmp_path / "authority.pem")
        assert missing["certificate"].text == "No such file or directory"
        assert "authority.pem: not certificates in PEM" in wrong["certificate"].text
        assert right["certificate"].status == "ok"
        # What the gateway itself lacks is no fault of the other one.
        assert all("start it" in each["peer"].mend for each in (missing, wrong, right))

    def test_a_folder_for_the_state(self, look: Look, tmp_path: Path) -> None:
        assert look(cluster=self.cluster(1, state="state"))["state"].status == "ok"

        found = look(cluster=self.cluster(1, state="missing/state"))["state"]
        assert (found.status, found.text) == ("failed", "cannot be written")
        assert str(tmp_path / "missing") in found.mend


class TestCommand:
    def test_without_a_file_it_looks_at_what_is_installed(
        self, call: Call, call_json: Callable[..., Any]
    ) -> None:
        result = call("doctor")

        assert result.exit_code == ExitCode.OK
        assert result.stderr == "all is well\n"
        assert "ok\textra\tcatalog\tcomplete" in result.stdout.splitlines()
        document = call_json("doctor")
        assert document["failed"] == 0
        assert {each["topic"] for each in document["findings"]} == {"python", "package", "extra"}

    def test_what_fails_is_told_with_its_mend(
        self, call: Call, call_json: Callable[..., Any], folder: Path
    ) -> None:
        (folder / "gateway.yaml").write_text("devices: {}\nhelth: '127.0.0.1:8080'\n")

        result = call("doctor", "gateway.yaml")

        assert result.exit_code == ExitCode.FINDINGS
        assert result.stderr == "1 fault\n"
        [line] = [line for line in result.stdout.splitlines() if line.startswith("FAILED")]
        assert "gateway.yaml:2:1: unknown key 'helth'" in line
        assert line.endswith("; mend the file")
        assert call_json("doctor", "gateway.yaml", code=1)["failed"] == 1

    def test_a_file_that_is_not_there(self, call: Call) -> None:
        result = call("doctor", "nowhere.yaml")

        assert result.exit_code == ExitCode.FINDINGS
        assert "there is no such file" in result.stdout
