# SPDX-License-Identifier: Apache-2.0
"""The demo as it runs: processes, what is done to them when, and an end that says what was seen."""

from __future__ import annotations

import asyncio
import json
import os
import queue
import signal
import sys
import tempfile
import time
from collections import Counter
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from heliograph.apps.collect import BusyError, Receiver
from heliograph.apps.demo import tally
from heliograph.apps.demo.plant import DEVICES, FILE
from heliograph.apps.demo.scene import PERIOD, Scene
from heliograph.apps.ports import kept_ports

if TYPE_CHECKING:
    from collections.abc import Callable

    from heliograph.apps.collect import Batch

__all__ = ["NAMES", "Demo"]

NAMES: Final = tuple(f"g{number}@127.0.0.1" for number in (1, 2, 3))

# Parts of the whole time at which things are done, if what they need is there by then.
_FAULT, _KILL, _RETURN, _STOP = 0.3, 0.42, 0.62, 0.88
_SHOWN: Final = 0.1
# Our choices. A busy machine may need longer than it was given; then the demo takes longer.
_TICK: Final = 0.1
_FRAME: Final = 0.25
_PATIENCE: Final = 45.0
_WAITING: Final = 1000
_METRIC_INTERVAL: Final = 1.0
_DELAY: Final = 0.3


class Demo:
    """Three gateways, a plant, and what is done to them.

    Args:
        seconds: How long it takes, if the machine is not too busy.
        endpoint: A collector that gets the telemetry in place of the embedded receiver.
        say: Called with each sentence about what is done.
        show: Called four times a second with the demo.
        arrived: Called with each batch of telemetry that has arrived.

    Attributes:
        scene: What was seen so far.
        stage: The latest sentence.
        elapsed: Seconds since the beginning.
        endpoint: Where telemetry goes.
        page: Where a browser can see all this; empty if nowhere.
        counts: At the end, how often each event was executed, by all gateways together.
    """

    scene: Scene
    stage: str
    endpoint: str
    page: str

    def __init__(
        self,
        seconds: float = 60.0,
        *,
        endpoint: str | None = None,
        say: Callable[[str], object] = lambda _: None,
        show: Callable[[Demo], object] = lambda _: None,
        arrived: Callable[[Batch], object] = lambda _: None,
    ) -> None:
        self.seconds = seconds
        self.endpoint = endpoint or ""
        self.page = ""
        self.scene = Scene(NAMES, DEVICES, looking=endpoint is None)
        self.stage = ""
        self.counts: Counter[str] = Counter()
        self._say = say
        self._show = show
        self._hand_on = arrived
        self._began = time.monotonic()
        self._folder = Path()
        self._ports: list[int] = []
        self._arrived: queue.Queue[Batch] = queue.Queue(_WAITING)
        self._receiver: Receiver | None = None
        self._plant: asyncio.subprocess.Process | None = None
        self._gateways: dict[str, asyncio.subprocess.Process] = {}
        self._reading: dict[str, asyncio.Task[None]] = {}
        self._starts = 0
        self._stopping = False
        self._failed = ""

    @property
    def elapsed(self) -> float:
        """Seconds since the beginning."""
        return time.monotonic() - self._began

    async def run(self) -> bool:
        """Play it; return whether all that was promised was seen.

        Raises:
            OSError: A process cannot be started.
            RuntimeError: One ended that should not have; the message has its last words.
        """
        async with AsyncExitStack() as stack:
            self._folder = Path(
                stack.enter_context(tempfile.TemporaryDirectory(prefix="heliograph-demo-"))
            )
            self._ports = stack.enter_context(kept_ports(len(NAMES)))
            stack.push_async_callback(self._kill_all)
            if not self.endpoint:
                self._receiver = stack.enter_context(Receiver(self._put))
                self.endpoint = f"http://{self._receiver.http}"
            looking = asyncio.create_task(self._look())
            try:
                await self._play()
            finally:
                looking.cancel()
                await asyncio.gather(looking, return_exceptions=True)
            self._finish()
        return all(promise.kept is not False for promise in self.scene.promises())

    # -- What is done -----------------------------------------------------------------------------

    async def _play(self) -> None:
        scene = self.scene
        self._tell("A plant of six Modbus devices begins to work")
        urls = await self._start_plant()
        for name, path in self._files(urls).items():
            self._tell(f"Gateway {name} starts")
            await self._start(name, path)
        await self._until(lambda: scene.shared, "the gateways to share the devices")
        self._tell("The gateways have met; each device is polled by one of them")

        await self._at(_FAULT)
        busy = DEVICES[1]
        self._tell(f"The {busy} says that it is busy, once; a second attempt is in the trace")
        await self._order({"fault": busy})
        if scene.looking:
            await self._until(lambda: scene.retry is not None, "the trace of the second attempt")

        await self._at(_KILL)
        # A device's alarms are the first one's; its gateway is the one to be killed.
        await self._until(lambda: all(scene.alarms.values()), "the first alarm")
        holders = scene.holders(DEVICES[0])
        if len(holders) != 1:
            raise RuntimeError(f"the {DEVICES[0]} is polled by {len(holders)} gateways, not by one")
        [victim] = holders
        self._tell(f"Gateway {victim} is killed")
        scene.killed(victim)
        self._gateways[victim].kill()
        await self._gateways[victim].wait()
        failover = scene.failover
        assert failover is not None, "it was just killed"
        await self._until(lambda: failover.over, "the others to take over")
        self._tell(f"The others have taken its devices over after {failover.took:.2f} s")

        # However late it is, what a kill has led to is shown for a while.
        await self._at(_RETURN, least=_SHOWN)
        self._tell(f"Gateway {victim} is started again")
        scene.returning()
        await self._start(victim, self._path(victim))
        await self._until(lambda: failover.ended, "its devices to come back")
        self._tell("It has its devices again")

        await self._at(_STOP)
        if scene.looking:
            await self._until(self._everything, "the last of the telemetry")
        self._tell("All gateways are told to stop")
        await self._stop()

    def _everything(self) -> bool:
        return all(
            promise.kept
            for promise in self.scene.promises()
            if promise.topic in {"values", "retry", "signals"}
        )

    async def _at(self, part: float, *, least: float = 0.0) -> None:
        await asyncio.sleep(max(least * self.seconds, part * self.seconds - self.elapsed))

    async def _until(self, true: Callable[[], bool], what: str) -> None:
        """Wait for something, but not for ever: what was not seen is told at the end."""
        until = time.monotonic() + _PATIENCE
        while not true() and time.monotonic() < until:
            if self._failed:
                raise RuntimeError(self._failed)
            await asyncio.sleep(_TICK)
        if not true():
            self._tell(f"Waited in vain for {what}")

    def _tell(self, text: str) -> None:
        self.stage = text
        self._say(text)

    # -- Processes --------------------------------------------------------------------------------

    async def _start_plant(self) -> dict[str, str]:
        self._plant = await self._process(
            "plant", "-m", "heliograph.apps.demo.plant", str(self._folder)
        )
        assert self._plant.stdout is not None
        line = await self._plant.stdout.readline()
        if not line:
            raise RuntimeError(f"the plant did not start: {self._last_words('plant')}")
        urls: dict[str, str] = json.loads(line)
        return urls

    async def _order(self, order: dict[str, str]) -> None:
        assert self._plant is not None
        assert self._plant.stdin is not None
        self._plant.stdin.write(json.dumps(order).encode() + b"\n")
        await self._plant.stdin.drain()

    def _path(self, name: str) -> Path:
        return self._folder / f"{name.partition('@')[0]}.yaml"

    def _files(self, urls: dict[str, str]) -> dict[str, Path]:
        addresses = {
            name: f"127.0.0.1:{port}" for name, port in zip(NAMES, self._ports, strict=True)
        }
        devices = {
            name: {"address": url, "schema": FILE, "groups": {"default": {"every": PERIOD}}}
            for name, url in urls.items()
        }
        for name in NAMES:
            handlers = self._path(name).with_suffix(".handlers.yaml")
            document = {
                "devices": devices,
                "cluster": {"name": name, "listen": addresses[name], "seeds": addresses},
                "otlp": {
                    "endpoint": self.endpoint,
                    "metric_interval": _METRIC_INTERVAL,
                    "delay": _DELAY,
                },
                "handlers": handlers.name,
            }
            # JSON is YAML, too.
            self._path(name).write_text(json.dumps(document, indent=2), encoding="utf-8")
            self._handlers(handlers)
        return {name: self._path(name) for name in NAMES}

    def _handlers(self, file: Path) -> None:
        # A gateway that is started again counts anew, in a file of its own.
        self._starts += 1
        entry = {
            "id": "tally",
            "events": "**",
            "handler": "heliograph.apps.demo.tally:count",
            "config": {"file": str(self._folder / f"tally-{self._starts}.json")},
        }
        file.write_text(json.dumps({"handlers": [entry]}, indent=2), encoding="utf-8")

    async def _start(self, name: str, path: Path) -> None:
        if name in self._gateways:
            self._handlers(path.with_suffix(".handlers.yaml"))
        process = await self._process(name, "-m", "heliograph", "gateway", str(path), "--json")
        self._gateways[name] = process
        self._reading[name] = asyncio.create_task(self._read(name, process))

    async def _process(self, name: str, *arguments: str) -> asyncio.subprocess.Process:
        # What the user has set for their own telemetry is not meant for the demo's.
        environment = {key: text for key, text in os.environ.items() if not key.startswith("OTEL_")}
        with self._log(name).open("ab") as log:
            return await asyncio.create_subprocess_exec(
                sys.executable,
                *arguments,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                env={**environment, "PYTHONUTF8": "1"},
                # An interrupt from the keyboard is this process's to deal with.
                process_group=0,
            )

    def _log(self, name: str) -> Path:
        return self._folder / f"{name.partition('@')[0]}.log"

    def _last_words(self, name: str) -> str:
        lines = self._log(name).read_text(encoding="utf-8", errors="replace").splitlines()
        return lines[-1] if lines else "it said nothing"

    async def _read(self, name: str, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        async for line in process.stdout:
            with suppress(ValueError):  # a line that a kill cut off
                self.scene.told(name, json.loads(line))
        code = await process.wait()
        gateway = self.scene.gateways[name]
        if gateway.state != "killed":
            gateway.code = code
            if not self._stopping:
                self._failed = f"gateway {name} ended with {code}: {self._last_words(name)}"
            elif code:
                self._tell(f"Gateway {name} ended with {code}: {self._last_words(name)}")

    async def _stop(self) -> None:
        self._stopping = True
        for process in self._gateways.values():
            with suppress(ProcessLookupError):
                process.send_signal(signal.SIGTERM)
        with suppress(TimeoutError):
            async with asyncio.timeout(_PATIENCE):
                await asyncio.gather(*self._reading.values())
        assert self._plant is not None
        assert self._plant.stdin is not None
        self._plant.stdin.close()
        with suppress(TimeoutError):
            async with asyncio.timeout(_PATIENCE):
                await self._plant.wait()

    async def _kill_all(self) -> None:
        processes = [*self._gateways.values(), *([self._plant] if self._plant else [])]
        for process in processes:
            if process.returncode is None:
                with suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
        for task in self._reading.values():
            task.cancel()
        await asyncio.gather(*self._reading.values(), return_exceptions=True)

    # -- What is seen -----------------------------------------------------------------------------

    def _put(self, batch: Batch) -> None:
        try:
            self._arrived.put_nowait(batch)
        except queue.Full:
            raise BusyError from None

    def _drain(self) -> None:
        while not self._arrived.empty():
            batch = self._arrived.get_nowait()
            self.scene.take(batch, time.monotonic())
            self._hand_on(batch)

    async def _look(self) -> None:
        while True:
            self._drain()
            self.scene.due(time.monotonic())
            self._show(self)
            await asyncio.sleep(_FRAME)

    def _finish(self) -> None:
        if self._receiver is not None:
            self._receiver.close()
            self.scene.refused = sum(self._receiver.intake.refused.values())
        self._drain()
        self.scene.rest()
        self.counts = self.tallied()
        self._show(self)

    def tallied(self) -> Counter[str]:
        """How often each event was executed up to now, by all gateways together."""
        counts: Counter[str] = Counter()
        for number in range(1, self._starts + 1):
            counts += tally.read(self._folder / f"tally-{number}.json")
        return counts

    def entries(self) -> dict[str, dict[str, int]]:
        """Catalog -> its events, and how often each was executed by all gateways together."""
        from heliograph.catalog import load

        catalog = load("gateway", "heliograph", "modboss", "partisan")
        found: dict[str, dict[str, int]] = {each.name: {} for each in catalog.documents}
        for name in catalog.select("**"):
            found[catalog.events[name].catalog][name] = self.counts[name]
        return found

    def document(self) -> dict[str, Any]:
        """What was seen, as plain data."""
        scene = self.scene
        failover = scene.failover
        promises = scene.promises()
        entries = self.entries()
        return {
            "kept": all(each.kept is not False for each in promises),
            "seconds": round(self.elapsed, 3),
            "promises": [
                {"topic": each.topic, "text": each.text, "kept": each.kept} for each in promises
            ],
            "failover": None
            if failover is None
            else {
                "gateway": failover.victim,
                "devices": sorted(failover.devices),
                "seconds": round(failover.took, 3),
                "overlap": round(failover.overlap, 3) if failover.ended else None,
            },
            "received": dict(scene.counts),
            "exported": self.exported(),
            "events": {
                name: {event: count for event, count in events.items() if count}
                for name, events in entries.items()
            },
            "not_seen": [
                event for events in entries.values() for event, count in events.items() if not count
            ],
        }

    def exported(self) -> dict[str, dict[str, int]]:
        """Signal -> what the gateways have exported and dropped, as they say at their end."""
        found: dict[str, dict[str, int]] = {}
        for gateway in self.scene.gateways.values():
            for name, each in (gateway.summary or {}).items():
                told = found.setdefault(name, {"exported": 0, "dropped": 0})
                told["exported"] += each["exported"]
                told["dropped"] += sum(each["dropped"].values())
        return found
