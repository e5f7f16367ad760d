# SPDX-License-Identifier: Apache-2.0
"""One gateway under load: what it takes of a core and of memory, and whether it keeps up.

The gateway is the command, as a process of its own, with all signals on; devices that answer at
once are another. What it exports is received here and decoded, so that nothing is taken on trust:
each reading of each device must have arrived as a span. Every value changes with every reading,
which is the most work that there can be.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.gateway.watching import Sample, processor, sample, slope
from benchmarks.others import Bystander, Others
from heliograph.apps.collect import Batch, HistogramPoint, NumberPoint, Receiver

__all__ = ["DEVICES", "MAPPINGS", "Load", "measure"]

ROOT = Path(__file__).parents[2]
DEVICES = 100
MAPPINGS = 40
PERIOD = 1.0
# Seconds within which everything has begun, and between two looks at the process.
PATIENCE = 60.0
LOOK = 5.0


@dataclass
class Load:
    """What was measured.

    Attributes:
        devices: So many were polled,
        seconds: for so long,
        expected: which makes so many readings.
        readings: How many there were: spans of readings that arrived, each with its values.
        values: Values that the gateway told, by its own count.
        missed: Periods that it left out, by its own count.
        failed: Readings that gave no values.
        samples: Looks at the process, without those of its warm-up.
        warm_up: Seconds that were left out of these.
        exported: Signal -> what it says at its end.
        received: What arrived, by kind.
        lag: By how many seconds at most the gateway began a reading late, by its own count.
        others: The share of the processors that other programs had; None where nobody says.
        stall: By how many seconds a thread that only slept was ever woken late.
        code: Its exit code.
    """

    devices: int
    seconds: float = 0.0
    expected: int = 0
    readings: int = 0
    values: int = 0
    missed: int = 0
    failed: int = 0
    samples: list[Sample] = field(default_factory=list)
    warm_up: float = 0.0
    exported: dict[str, Any] = field(default_factory=dict)
    received: Counter[str] = field(default_factory=Counter)
    lag: float = 0.0
    others: float | None = None
    stall: float = 0.0
    code: int | None = None

    @property
    def share(self) -> float:
        """The share of one core that the gateway took."""
        return processor(self.samples)

    @property
    def slope(self) -> float:
        """MiB by which it grows in ten minutes."""
        return 600 * slope([(each.at, each.memory) for each in self.samples])

    @property
    def lost(self) -> int:
        """Readings that were left out, or failed, or of which nothing arrived."""
        return max(self.missed, self.expected - self.readings, 0)

    @property
    def dropped(self) -> int:
        """What it could not export."""
        return sum(sum(each["dropped"].values()) for each in self.exported.values())


class _Collector:
    """Counts what arrives."""

    def __init__(self) -> None:
        self.received: Counter[str] = Counter()
        self.readings: defaultdict[object, list[tuple[int, bool]]] = defaultdict(list)
        self.sums: dict[tuple[str, object], float] = {}
        self.lag = 0.0
        self._lock = threading.Lock()

    def take(self, batch: Batch) -> None:
        with self._lock:
            self.received["spans"] += len(batch.spans)
            self.received["log events"] += len(batch.logs)
            for span in batch.spans:
                if span.name == "modboss.read":
                    device = span.attributes["server.port"]
                    self.readings[device].append((span.start, span.status != "error"))
            for metric in batch.metrics:
                self.received["metric points"] += len(metric.points)
                if metric.name == "modboss.poll.lag":
                    for point in metric.points:
                        if isinstance(point, HistogramPoint):
                            self.lag = max(self.lag, point.max or 0.0)
                if metric.kind == "sum":
                    for point in metric.points:
                        if isinstance(point, NumberPoint) and point.value is not None:
                            key = (metric.name, tuple(sorted(map(str, point.attributes.items()))))
                            self.sums[key] = point.value

    def total(self, name: str) -> int:
        """The present total of a counter over all its series."""
        return round(sum(value for (each, _), value in self.sums.items() if each == name))


@contextmanager
def _plant(devices: int) -> Iterator[list[str]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.gateway.plant", str(devices)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield process.stdout.readline().split()
    finally:
        process.stdin.close()  # at which it ends
        process.stdout.close()
        process.wait()


def _files(folder: Path, ports: list[str], endpoint: str) -> Path:
    mappings = {
        f"value_{number:02}": {"address": number, "codec": "int16", "unit": "Cel", "scale": 0.1}
        for number in range(MAPPINGS)
    }
    mappings["value_00"]["alarm_above"] = 1e6
    (folder / "meter.yaml").write_text(
        json.dumps({"schema": "Meter", "holding_registers": mappings}), encoding="utf-8"
    )
    document = {
        "devices": {
            f"meter-{number:03}": {
                "address": f"tcp://127.0.0.1:{port}",
                "schema": "meter.yaml",
                "groups": {"default": {"every": PERIOD}},
            }
            for number, port in enumerate(ports)
        },
        "cluster": {"name": "g1@127.0.0.1", "listen": "127.0.0.1:0", "patience": 0.1},
        "otlp": {"endpoint": endpoint, "metric_interval": 10},
        "health": "127.0.0.1:0",
    }
    path = folder / "gateway.yaml"
    path.write_text(json.dumps(document), encoding="utf-8")
    return path


def measure(
    seconds: float,
    *,
    devices: int = DEVICES,
    warm_up: float | None = None,
    say: Callable[[str], object] = lambda _: None,
) -> Load:
    """Run a gateway for so long, after its warm-up, which takes a sixth of that if it is None."""
    load = Load(devices, warm_up=seconds / 6 if warm_up is None else warm_up)
    collector = _Collector()
    others = Others()
    with (
        tempfile.TemporaryDirectory(prefix="heliograph-load-") as name,
        _plant(devices) as ports,
        Receiver(collector.take) as receiver,
        Bystander(PERIOD / 2) as bystander,
    ):
        path = _files(Path(name), ports, f"http://{receiver.http}")
        environment = {key: text for key, text in os.environ.items() if not key.startswith("OTEL_")}
        process = subprocess.Popen(
            [sys.executable, "-m", "heliograph", "gateway", str(path), "--json"],
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        lines: list[dict[str, Any]] = []
        reading = threading.Thread(target=_read, args=(process, lines))
        reading.start()
        try:
            _watch(load, process, seconds, lines, say)
        finally:
            process.send_signal(signal.SIGTERM)
            load.code = process.wait()
            reading.join()
            assert process.stdout is not None
            process.stdout.close()
    load.others, load.stall = others.share(), bystander.longest
    _conclude(load, collector, lines)
    return load


def _read(process: subprocess.Popen[str], lines: list[dict[str, Any]]) -> None:
    assert process.stdout is not None
    lines.extend(json.loads(line) for line in process.stdout)


def _taken(lines: list[dict[str, Any]]) -> int:
    return sum(each.get("event") == "gateway.device.taken" for each in [*lines])


def _watch(
    load: Load,
    process: subprocess.Popen[str],
    seconds: float,
    lines: list[dict[str, Any]],
    say: Callable[[str], object],
) -> None:
    until = time.monotonic() + PATIENCE
    while _taken(lines) < load.devices:
        if process.poll() is not None or time.monotonic() > until:
            raise RuntimeError(f"the gateway has not begun: {lines[-1:]}")
        time.sleep(0.1)
    say(f"{load.devices} devices x {MAPPINGS} mappings, each {PERIOD:g} s; warm-up")
    time.sleep(load.warm_up)
    began = time.monotonic()
    while True:
        look = sample(process.pid)
        if look is None:
            raise RuntimeError(f"the gateway has ended: {lines[-1:]}")
        load.samples.append(look)
        past = time.monotonic() - began
        if len(load.samples) % 12 == 0:
            say(
                f"{past:6.0f} s  {100 * load.share:5.1f} % of a core  {look.memory:6.1f} MiB  "
                f"{look.files} descriptors"
            )
        if past >= seconds:
            break
        time.sleep(min(LOOK, max(0.0, seconds - past)))
    load.seconds = load.samples[-1].at - load.samples[0].at


def due_within(readings: list[tuple[int, bool]], begin: int, end: int) -> list[bool]:
    """Return what became of a device's readings that were due in a span of time.

    Each begins a little later than it is due, now more and now less, so that at the end one may be
    due within the span and begin after it. Each counts for the time at which it was due.

    Args:
        readings: When each began, in nanoseconds, and whether it gave values.
        begin: When the time begins.
        end: And when it ends, in whole periods after.
    """
    if not readings:
        return []
    period = round(1e9 * PERIOD)
    anchor = readings[0][0]
    # Early they never are: who was the least late is the nearest to when all are due.
    due = anchor + min(
        (start - anchor + period // 2) % period - period // 2 for start, _ in readings
    )
    found = {due + (start - due + period // 2) // period * period: ok for start, ok in readings}
    return [ok for at, ok in found.items() if begin < at <= end]


def _conclude(load: Load, collector: _Collector, lines: list[dict[str, Any]]) -> None:
    # By the clock of the spans: the last whole seconds of the run, before it was told to stop.
    end = max(start for each in collector.readings.values() for start, _ in each) - 1_000_000_000
    begin = end - round(load.seconds) * 1_000_000_000
    within = [ok for each in collector.readings.values() for ok in due_within(each, begin, end)]
    load.expected = load.devices * round(load.seconds / PERIOD)
    load.readings, load.failed = sum(within), within.count(False)
    load.missed = collector.total("modboss.poll.misses")
    load.values = collector.total("modboss.poll.changes")
    load.received, load.lag = collector.received, collector.lag
    load.exported = lines[-1]["export"]
