# SPDX-License-Identifier: Apache-2.0
"""The parts of a soak: processes that are told to end, or are killed, and what they export to."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.gateway.judging import Run
from heliograph.apps.collect import Address, Batch, Receiver

__all__ = ["PATIENCE", "ROOT", "Collector", "Process", "leave_nothing_behind"]

ROOT = Path(__file__).parents[2]
PATIENCE = 60.0


def leave_nothing_behind() -> None:
    """Let a termination end this process as an interrupt does, and with it those it has started."""

    def interrupt(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # as under nohup
            signal.signal(number, interrupt)


class Collector:
    """Counts what arrives, by the run that sent it; may be away."""

    def __init__(self) -> None:
        self.spans: dict[str, Counter[str]] = {}
        self.logs: dict[str, Counter[str]] = {}
        self.points = 0
        self._lock = threading.Lock()
        self._receiver = Receiver(self._take)
        assert self._receiver.http is not None
        self.address: Address = self._receiver.http

    def _take(self, batch: Batch) -> None:
        with self._lock:
            for span in batch.spans:
                run = str(span.source.resource.get("soak.run"))
                self.spans.setdefault(run, Counter())[span.name] += 1
            for log in batch.logs:
                run = str(log.source.resource.get("soak.run"))
                self.logs.setdefault(run, Counter())[log.event_name] += 1
            self.points += sum(len(each.points) for each in batch.metrics)

    def leave(self) -> None:
        """Be away."""
        self._receiver.close()

    def come_back(self) -> None:
        """Listen again, where it was."""
        self._receiver = Receiver(self._take, http=self.address)


class Process:
    """One process, and the lines it says."""

    def __init__(self, run: Run, arguments: list[str], log: Path, variables: Mapping[str, str]):
        self.run = run
        self.lines: list[dict[str, Any]] = []
        environment = {key: text for key, text in os.environ.items() if not key.startswith("OTEL_")}
        with log.open("ab") as errors:
            self.popen = subprocess.Popen(
                [sys.executable, *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                cwd=ROOT,
                env={**environment, "PYTHONUTF8": "1", "SOAK_RUN": run.run, **variables},
            )
        self._reading = threading.Thread(target=self._read, daemon=True)
        self._reading.start()

    def _read(self) -> None:
        assert self.popen.stdout is not None
        for line in self.popen.stdout:
            # Only what is looked for is kept: a soak is long.
            if '"summary"' in line or "gateway.share" in line or line.startswith('{"device-'):
                self.lines.append(json.loads(line))

    def say(self, line: str) -> None:
        """Write a line to its standard input."""
        assert self.popen.stdin is not None
        self.popen.stdin.write(line + "\n")
        self.popen.stdin.flush()

    def kill(self) -> None:
        """Kill it."""
        self.run.killed = time.monotonic()
        self.popen.kill()
        self.join()

    def join(self) -> int:
        """Wait for its end."""
        assert self.popen.stdin is not None
        assert self.popen.stdout is not None
        try:
            code = self.popen.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.popen.kill()
            code = self.popen.wait()
        self._reading.join()
        self.popen.stdout.close()
        self.popen.stdin.close()
        return code
