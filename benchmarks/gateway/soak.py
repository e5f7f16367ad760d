# SPDX-License-Identifier: Apache-2.0
"""Run a fleet of gateways for long, with faults: `python -m benchmarks.gateway.soak`.

Three gateways as processes, devices as another, and beside each gateway a courier, a node with the
same settings that sends numbered messages to the others. Every twenty seconds something happens: a
gateway is killed with its courier and started again, the collector goes away, a device fails. One
gateway is never killed, so that there is a process whose memory can be followed from its warm-up
to the end. What the processes note is put together when all have ended.
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from benchmarks.gateway.judging import Alarm, Fault, Reading, Run, alarms, messages, values
from benchmarks.gateway.outcome import Outcome
from benchmarks.gateway.parts import PATIENCE, Collector, Process, leave_nothing_behind
from benchmarks.gateway.report import markdown
from benchmarks.gateway.soak_plant import FAULTS, FILE, device_names
from benchmarks.gateway.watching import sample
from benchmarks.others import Bystander, Others
from heliograph.apps.ports import kept_ports
from heliograph.catalog import load
from heliograph.catalog.exported import log_events

__all__ = ["Soak", "main"]

DEVICES = 12
PERIOD = 0.5
EVERY = 20.0
GATEWAYS = ("g1@127.0.0.1", "g2@127.0.0.1", "g3@127.0.0.1")
SPARED = GATEWAYS[-1]
LOOK = 2.0
# Seconds for which all has been well when descriptors and tasks are compared.
CALM = 8.0


class Soak:
    """A fleet under faults."""

    def __init__(
        self,
        seconds: float,
        *,
        seed: int = 1,
        every: float = EVERY,
        say: Callable[[str], object] = lambda _: None,
    ) -> None:
        self.outcome = Outcome(seconds, seed, PERIOD)
        self._every = every
        self._say = say
        # No secret: the same seed does the same to the fleet.
        self._random = random.Random(seed)
        self._folder = Path()
        self._collector = Collector()
        self._gateways: dict[str, Process] = {}
        self._couriers: dict[str, Process] = {}
        self._plant: Process | None = None
        self._ports: list[int] = []
        self._started = 0
        self._began = 0.0
        self._well_since = 0.0
        self._bystander = Bystander(PERIOD / 2)

    def run(self) -> Outcome:
        """Do it; what cannot even begin raises `RuntimeError`."""
        with ExitStack() as stack:
            self._ports = stack.enter_context(kept_ports(2 * len(GATEWAYS)))
            name = stack.enter_context(tempfile.TemporaryDirectory(prefix="heliograph-soak-"))
            self._folder = Path(name)
            stack.callback(self._collector.leave)
            stack.callback(self._kill_all)
            others = Others()
            self._start()
            began = time.monotonic()
            with self._bystander:
                try:
                    self._soak()
                except RuntimeError as error:  # what was found by then is worth telling
                    after = time.monotonic() - began
                    self.outcome.crashes.append(f"given up after {after:.0f} s: {error}")
            ended = time.monotonic()
            self._stop()
            self.outcome.others = others.share()
            self._conclude(began, ended)
        return self.outcome

    # -- Processes --------------------------------------------------------------------------------

    def _start(self) -> None:
        self._plant = self._process("plant", "-m", "benchmarks.gateway.soak_plant", *self._devices)
        plant = self._plant
        self._until(lambda: bool(plant.lines), "the plant to begin")
        devices = {
            name: {
                # Impatient enough that a silent device fails, patient enough with a slow one.
                "address": f"{url}?timeout=1",
                "schema": FILE,
                "groups": {"default": {"every": PERIOD}},
                "tags": {"plant.hall": "north"},
            }
            for name, url in plant.lines[0].items()
        }
        for name in GATEWAYS:
            self._file(name).write_text(json.dumps(self._document(name, devices)), encoding="utf-8")
            self._start_pair(name)
        self._until(self._shared, "the devices to be shared out")
        self._well_since = time.monotonic()
        for gateway in self._gateways.values():
            gateway.run.met = self._well_since

    @property
    def _devices(self) -> tuple[str, str]:
        return str(self._folder), str(DEVICES)

    def _file(self, name: str) -> Path:
        return self._folder / f"{name.partition('@')[0]}.yaml"

    def _document(self, name: str, devices: Mapping[str, Any]) -> dict[str, Any]:
        addresses = {each: f"127.0.0.1:{self._ports[n]}" for n, each in enumerate(GATEWAYS)}
        return {
            "devices": devices,
            "cluster": {
                "name": name,
                "listen": addresses[name],
                "seeds": addresses,
                "state": f"{name}.state",
            },
            "otlp": {
                "endpoint": f"http://{self._collector.address}",
                "metric_interval": 5,
            },
            "handlers": [
                {
                    "id": "witness",
                    "events": "**",
                    "handler": "benchmarks.gateway.witness:note",
                    "config": {"folder": str(self._folder)},
                    "on_failure": "keep",
                }
            ],
        }

    def _process(self, name: str, *arguments: str) -> Process:
        self._started += 1
        run = Run(name, f"{self._started:04}", time.monotonic())
        log = self._folder / f"{run.run}.log"
        variables = {"OTEL_RESOURCE_ATTRIBUTES": f"soak.run={run.run}"}
        return Process(run, list(arguments), log, variables)

    def _start_pair(self, name: str) -> None:
        """Start a gateway, and its courier."""
        path = str(self._file(name))
        self._gateways[name] = self._process(name, "-m", "heliograph", "gateway", path, "--json")
        seeds = {
            f"c{each}": f"127.0.0.1:{self._ports[len(GATEWAYS) + n]}"
            for n, each in enumerate(GATEWAYS)
        }
        courier = f"c{name}"
        file = self._folder / f"{self._started + 1:04}.messages"
        self._couriers[name] = self._process(
            courier,
            *("-m", "benchmarks.gateway.courier", str(file)),
            *(courier, seeds[courier], json.dumps(seeds)),
        )
        self.outcome.runs += [self._gateways[name].run, self._couriers[name].run]

    def _shared(self) -> bool:
        """Whether all gateways see all, and have all devices between them."""
        latest = []
        for process in self._gateways.values():
            shares = [each for each in process.lines if each.get("event") == "gateway.share"]
            if not shares:
                return False
            latest.append(shares[-1]["measurements"])
        return (
            all(each["gateways_living"] == len(GATEWAYS) for each in latest)
            and sum(each["devices_polled"] for each in latest) == DEVICES
        )

    def _until(self, true: Callable[[], bool], what: str) -> None:
        until = time.monotonic() + PATIENCE
        while not true():
            self._look()
            if time.monotonic() > until:
                raise RuntimeError(f"waited in vain for {what}: {self._last_words()}")
            time.sleep(0.1)

    def _last_words(self) -> list[str]:
        logs = sorted(self._folder.glob("*.log"))
        lines = [each.read_text(errors="replace").splitlines()[-1:] for each in logs]
        return [line for words in lines for line in words]

    def _kill_all(self) -> None:
        for process in self._processes():
            if process.popen.poll() is None:
                process.popen.kill()
                process.join()

    def _processes(self) -> Iterator[Process]:
        yield from self._gateways.values()
        yield from self._couriers.values()
        if self._plant is not None:
            yield self._plant

    # -- Faults -----------------------------------------------------------------------------------

    def _soak(self) -> None:
        self._began = time.monotonic()
        due = self._began + self._every / 2
        end = self._began + self.outcome.seconds
        while (now := time.monotonic()) < end:
            # What is begun is also ended, and there is calm after it.
            if now >= due and now + self._every <= end:
                fault = self._fault()
                self.outcome.faults.append(fault)
                self._say(f"{fault.began - self._began:6.0f} s  {fault.text}")
                self._well_since = time.monotonic()
                due = max(due + self._every, time.monotonic() + 1.0)
            self._rest(0.5)

    def _rest(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self._look()
            time.sleep(0.1)

    def _fault(self) -> Fault:
        began = time.monotonic()
        chance = self._random
        kind = chance.choice(("kill", "outage", "device"))
        seconds = chance.uniform(2.0, 6.0)
        if kind == "kill":
            target = chance.choice([name for name in GATEWAYS if name != SPARED])
            self._gateways[target].kill()
            self._couriers[target].kill()
            self._rest(seconds)
            self._start_pair(target)
            self._until(self._shared, f"{target} to return")
            self._gateways[target].run.met = time.monotonic()
            text = f"{target} is killed, and started again after {seconds:.1f} s"
        elif kind == "outage":
            target = "collector"
            self._collector.leave()
            self._rest(seconds)
            self._collector.come_back()
            text = f"the collector is away for {seconds:.1f} s"
        else:
            target = f"device-{chance.randrange(DEVICES):02}"
            what = chance.choice(sorted(FAULTS))
            assert self._plant is not None
            order = {"device": target, "fault": what, "seconds": seconds}
            self._plant.say(json.dumps(order))
            self._rest(seconds)
            text = f"{target} is {what} for {seconds:.1f} s"
        return Fault(kind, target, began, time.monotonic(), text)

    # -- Looking on -------------------------------------------------------------------------------

    def _look(self) -> None:
        outcome = self.outcome
        for process in self._processes():
            name = process.run.name
            samples = outcome.samples.setdefault(process.run.run, [])
            if samples and time.monotonic() - samples[-1].at < LOOK:
                continue
            if process.popen.poll() is not None:
                if process.run.killed is None and not process.run.crashed:
                    process.run.crashed = True
                    outcome.crashes.append(f"{name} has ended by itself")
                continue
            found = sample(process.popen.pid)
            if found is None:
                continue
            samples.append(found)
            calm = self._began and found.at - max(self._well_since, self._began) >= CALM
            if name == SPARED and calm:
                tasks = self._noted(process.run.run).get("tasks", 0)
                outcome.calm.append((found.at, found.files, tasks))

    def _noted(self, run: str) -> dict[str, Any]:
        try:
            found: dict[str, Any] = json.loads((self._folder / f"{run}.counts").read_text())
        except FileNotFoundError:
            return {}
        return found

    # -- The end ----------------------------------------------------------------------------------

    def _stop(self) -> None:
        for courier in self._couriers.values():
            courier.say("")  # at which it sends no more
        self._rest(3.0)
        for gateway in self._gateways.values():
            gateway.popen.send_signal(signal.SIGTERM)
        for process in self._processes():
            if process.run.name not in GATEWAYS:
                assert process.popen.stdin is not None
                process.popen.stdin.close()
            if (code := process.join()) and not process.run.crashed:
                self.outcome.crashes.append(f"{process.run.name} ended with {code}")
        self.outcome.dropped = sum(
            sum(each["dropped"].values())
            for gateway in self._gateways.values()
            for line in gateway.lines[-1:]
            for each in line.get("export", {}).values()
        )

    def _conclude(self, began: float, ended: float) -> None:
        outcome = self.outcome
        self._compare()
        for log in sorted(self._folder.glob("*.log")):
            text = log.read_text(encoding="utf-8", errors="replace")
            if "Traceback" in text:
                outcome.crashes.append(f"{log.stem}: {text.splitlines()[-1]}")
        sent, received = [], []
        names = {run.run: run.name for run in outcome.runs}
        for path in sorted(self._folder.glob("*.messages")):
            for at, kind, *rest in _lines(path):
                if kind == "sent":
                    sent.append((at, path.stem, rest[0], rest[1]))
                else:
                    received.append((path.stem, names[path.stem], rest[1], rest[2]))
        outcome.messages = messages(outcome.runs, sent, received)
        readings, seen = [], []
        for path in sorted(self._folder.glob("*.lines")):
            for at, kind, *rest in _lines(path):
                if kind == "cycle":
                    device, ok, since_due = rest
                    readings.append(Reading(at - since_due, at, device, path.stem, ok))
                else:
                    gateway, told_by, key, state = rest
                    seen.append(Alarm(at, gateway, told_by, tuple(key), state == "raised"))
        gateways = [run for run in outcome.runs if run.name in GATEWAYS]
        devices = device_names(DEVICES)
        outcome.values = values(readings, devices, gateways, outcome.faults, PERIOD, began, ended)
        outcome.stalled = sum(
            gap.missing
            for gap in outcome.values.unexplained
            if self._bystander.stalled(gap.began, gap.ended)
        )
        outcome.stall = self._bystander.longest
        outcome.alarms = alarms(seen, gateways, ended)

    def _compare(self) -> None:
        """What each run has executed, against what has arrived of it."""
        outcome = self.outcome
        catalog = load("gateway", "heliograph", "modboss", "partisan")
        logged = {event.name for each in catalog.documents for event in log_events(each)}
        for run in outcome.runs:
            if run.name not in GATEWAYS:
                continue
            counts = Counter(self._noted(run.run).get("events", {}))
            outcome.events += counts
            wanted: dict[str, Counter[str]] = {"spans": Counter(), "log events": Counter()}
            for name, span in catalog.spans.items():
                ends = counts[span.stop.name] + counts[span.exception.name]
                wanted["spans"][span.span_name or name] += ends
            for name in logged:
                wanted["log events"][name] += counts[name]
            arrived = {
                "spans": self._collector.spans.get(run.run, Counter()),
                "log events": self._collector.logs.get(run.run, Counter()),
            }
            for kind, each in wanted.items():
                missing = each - arrived[kind]
                if run.killed is None:
                    outcome.emitted[kind] += each.total()
                    outcome.delivered[kind] += each.total() - missing.total()
                    outcome.undelivered += missing
                else:
                    outcome.with_a_killed[kind] += missing.total()


def _lines(path: Path) -> Iterator[list[Any]]:
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)


def main(arguments: list[str] | None = None) -> int:
    """Soak, and say what it came to; 1 if a bar is missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gateway.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0, help="default: %(default)s")
    parser.add_argument("--seed", type=int, default=1, help="default: %(default)s")
    parser.add_argument("--every", type=float, default=EVERY, help="seconds from fault to fault")
    parser.add_argument("--report", type=Path, help="write the report to this file as well")
    options = parser.parse_args(arguments)
    soak = Soak(
        60 * options.minutes,
        seed=options.seed,
        every=options.every,
        say=lambda text: print(text, file=sys.stderr, flush=True),
    )
    leave_nothing_behind()
    outcome = soak.run()
    text, kept = markdown(outcome, SPARED)
    print(text, end="")
    if options.report is not None:
        options.report.write_text(text, encoding="utf-8")
    return 0 if kept else 1


if __name__ == "__main__":
    raise SystemExit(main())
