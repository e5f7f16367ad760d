# SPDX-License-Identifier: Apache-2.0
"""Gateways as processes, and the devices they poll as virtual ones, on this machine."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from heliograph.modboss import Schema
from heliograph.modboss.virtual import VirtualDevice, VirtualServer
from tests.ports import free_port

BOILER = """\
schema: Boiler
input_registers:
  flow_temp: {address: 0, codec: int16, scale: 0.1, unit: Cel, alarm_above: 75}
  return_temp: {address: 1, codec: int16, scale: 0.1, unit: Cel}
"""
# Each of the three gateways has two of them.
DEVICES = ("boiler", "chiller", "pump-north", "pump-south", "meter", "tank")
PERIOD = 0.25
PATIENCE = 60.0


class Process:
    """One gateway, and what it says, line by line."""

    def __init__(self, file: Path, told: threading.Condition) -> None:
        clean = {"FORCE_COLOR": "", "PYTHONUTF8": "1"}
        self.popen = subprocess.Popen(
            [sys.executable, "-m", "heliograph", "gateway", str(file), "--json"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **clean},
        )
        self.lines: list[dict[str, Any]] = []
        self.stderr = ""
        self._told = told
        self._threads = [
            threading.Thread(target=self._read, daemon=True),
            threading.Thread(target=self._read_errors, daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    def _read(self) -> None:
        assert self.popen.stdout is not None
        for line in self.popen.stdout:
            with self._told:
                self.lines.append(json.loads(line))
                self._told.notify_all()

    def _read_errors(self) -> None:
        assert self.popen.stderr is not None
        self.stderr = self.popen.stderr.read()

    def events(self, name: str) -> list[dict[str, Any]]:
        return [each for each in self.lines if each.get("event") == name]

    def end(self, number: int = signal.SIGTERM) -> int:
        if self.popen.poll() is None:
            self.popen.send_signal(number)
        code = self.popen.wait(PATIENCE)
        for thread in self._threads:
            thread.join()
        for stream in (self.popen.stdout, self.popen.stderr):
            assert stream is not None
            stream.close()
        return code


class Fleet:
    """Devices, and as many gateways as are started."""

    def __init__(self, folder: Path, devices: int = 6, **more: Any) -> None:
        self.folder = folder
        (folder / "boiler.yaml").write_text(BOILER)
        schema = Schema.from_file(folder / "boiler.yaml")
        self.plant = {
            name: VirtualDevice(schema, {"flow_temp": 60.0, "return_temp": 40.0})
            for name in DEVICES[:devices]
        }
        self.servers = {name: VirtualServer(device) for name, device in self.plant.items()}
        self.nodes = {f"g{number}@127.0.0.1": free_port() for number in (1, 2, 3)}
        self.health = {name: free_port() for name in self.nodes}
        self.processes: list[Process] = []
        self.gateways: dict[str, Process] = {}
        self.told = threading.Condition()
        self.more = more

    def __enter__(self) -> Self:
        for server in self.servers.values():
            server.__enter__()
        return self

    def __exit__(self, *exc: object) -> None:
        for process in self.processes:
            process.end(signal.SIGKILL)
        for server in self.servers.values():
            server.__exit__(None, None, None)

    def document(self, name: str) -> dict[str, Any]:
        return {
            "devices": {
                device: {
                    "address": server.url,
                    "schema": "boiler.yaml",
                    "groups": {"default": {"every": PERIOD}},
                }
                for device, server in self.servers.items()
            },
            "cluster": {
                "name": name,
                "listen": f"127.0.0.1:{self.nodes[name]}",
                "seeds": {each: f"127.0.0.1:{port}" for each, port in self.nodes.items()},
            },
            "health": f"127.0.0.1:{self.health[name]}",
            **self.more,
        }

    def file(self, name: str, document: dict[str, Any] | None = None) -> Path:
        path = self.folder / f"{name.partition('@')[0]}.yaml"
        path.write_text(json.dumps(self.document(name) if document is None else document))
        return path

    def start(self, *names: str) -> None:
        for name in names or self.nodes:
            self.begin(name)

    def begin(self, name: str, document: dict[str, Any] | None = None) -> Process:
        process = self.gateways[name] = Process(self.file(name, document), self.told)
        self.processes.append(process)
        return process

    def wait(self, true: Callable[[], bool], what: str) -> None:
        """Wait for lines until something is true of them."""
        until = time.monotonic() + PATIENCE
        with self.told:
            while not true():
                assert self.told.wait(until - time.monotonic()), what

    def holders(self, *names: str) -> dict[str, set[str]]:
        """Device -> the gateways that poll it, by what they say."""
        held: dict[str, set[str]] = {device: set() for device in self.plant}
        for name in names or self.gateways:
            for line in self.gateways[name].lines:
                if line.get("event") == "gateway.device.taken":
                    held[line["metadata"]["device"]].add(name)
                elif line.get("event") == "gateway.device.given_up":
                    held[line["metadata"]["device"]].discard(name)
        return held

    def shared(self, *names: str) -> bool:
        """Whether each device is polled by one of these gateways, and each gateway polls some."""
        held = self.holders(*names)
        return all(len(each) == 1 for each in held.values()) and set.union(*held.values()) == {
            *names
        }
