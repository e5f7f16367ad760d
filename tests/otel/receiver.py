# SPDX-License-Identifier: Apache-2.0
"""The far side of tests: what arrives there, and a real collector on the way."""

from __future__ import annotations

import os
import socket
import subprocess
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Self

import rotel  # type: ignore[import-untyped]  # it has no annotations

from heliograph.apps.collect import Address, Batch, Log, Metric, Receiver, Span
from tests.ports import free_port

# Far longer than anything takes; only a failing test waits this long.
PATIENCE = 30.0


class FarSide:
    """A receiver that keeps what arrives, and lets a test wait for it."""

    def __init__(self, port: int = 0) -> None:
        self._changed = threading.Condition()
        self._batches: list[Batch] = []
        self._receiver = Receiver(
            self._keep, http=Address("127.0.0.1", port), grpc=Address("127.0.0.1", 0)
        )
        assert self._receiver.http is not None
        assert self._receiver.grpc is not None
        self.http = f"http://{self._receiver.http}"
        self.grpc = f"http://{self._receiver.grpc}"

    def _keep(self, batch: Batch) -> None:
        with self._changed:
            self._batches.append(batch)
            self._changed.notify_all()

    @property
    def spans(self) -> list[Span]:
        return [span for batch in list(self._batches) for span in batch.spans]

    @property
    def metrics(self) -> list[Metric]:
        return [metric for batch in list(self._batches) for metric in batch.metrics]

    @property
    def logs(self) -> list[Log]:
        return [log for batch in list(self._batches) for log in batch.logs]

    def span(self, name: str) -> Span:
        """The only span of a name, once it is there."""
        self.wait(lambda: any(span.name == name for span in self.spans))
        (found,) = [span for span in self.spans if span.name == name]
        return found

    def metric(self, name: str) -> Metric:
        """The latest of a metric, once it is there."""
        self.wait(lambda: any(metric.name == name for metric in self.metrics))
        return [metric for metric in self.metrics if metric.name == name][-1]

    def log(self, name: str) -> Log:
        """The only log event of a name, once it is there."""
        self.wait(lambda: any(log.event_name == name for log in self.logs))
        (found,) = [log for log in self.logs if log.event_name == name]
        return found

    def wait(self, until: Callable[[], bool]) -> None:
        """Wait until something holds that arrivals change."""
        with self._changed:
            assert self._changed.wait_for(until, PATIENCE), "it did not arrive"

    def close(self) -> None:
        self._receiver.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Agent:
    """A collector: takes OTLP at two ports, and does with it what variables say."""

    BINARY = Path(rotel.__file__).with_name("rotel-agent")

    def __init__(self, folder: Path, variables: Mapping[str, str]) -> None:
        """Start it; what it says is in `log`, in that folder."""
        self.log = folder / "rotel.log"
        self._ports = {"http/protobuf": free_port(), "grpc": free_port()}
        self._environment = {
            **os.environ,
            **variables,
            "ROTEL_OTLP_HTTP_ENDPOINT": f"127.0.0.1:{self._ports['http/protobuf']}",
            "ROTEL_OTLP_GRPC_ENDPOINT": f"127.0.0.1:{self._ports['grpc']}",
            "ROTEL_PID_FILE": str(folder / "rotel.pid"),
        }
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def endpoint(self, protocol: str) -> str:
        """Where it takes OTLP of a protocol."""
        return f"http://127.0.0.1:{self._ports[protocol]}"

    def start(self) -> None:
        """Start it, and wait until it listens at both ports."""
        assert self._process is None
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [self.BINARY, "start"], env=self._environment, stdout=log, stderr=log
            )
        # It says nowhere that it listens; connecting is the only way to know.
        retry = threading.Event()
        for port in self._ports.values():
            for _ in range(3000):
                assert self._process.poll() is None, "the collector ended"
                with socket.socket() as sock:
                    if sock.connect_ex(("127.0.0.1", port)) == 0:
                        break
                retry.wait(0.01)
            else:
                raise AssertionError("the collector does not listen")

    def kill(self) -> None:
        """Kill it at once, as a crash would; what it has not sent on is lost."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def stop(self) -> None:
        """End it; it sends on what it has."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(PATIENCE)
            self._process = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()


class Rotel(Agent):
    """The collector that sends what it took to the far side."""

    def __init__(self, far_side: str, protocol: str, folder: Path) -> None:
        """Start it; `protocol` is how it sends on: http or grpc."""
        variables = {
            "ROTEL_EXPORTER": "otlp",
            "ROTEL_OTLP_EXPORTER_ENDPOINT": far_side,
            "ROTEL_OTLP_EXPORTER_PROTOCOL": protocol,
            "ROTEL_BATCH_TIMEOUT": "20ms",
            "ROTEL_OTLP_EXPORTER_RETRY_INITIAL_BACKOFF": "50ms",
        }
        super().__init__(folder, variables)
