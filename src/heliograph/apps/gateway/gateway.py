# SPDX-License-Identifier: Apache-2.0
"""A gateway as it runs: its parts put together, reloaded and stopped."""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import AsyncExitStack, suppress
from typing import TYPE_CHECKING, Any, Final, Literal

from heliograph.apps.gateway import events
from heliograph.apps.gateway.alarms import Alarms
from heliograph.apps.gateway.config import load
from heliograph.apps.gateway.exporting import export, is_exported, service
from heliograph.apps.gateway.health import HealthServer
from heliograph.apps.gateway.peers import Peers, make_node
from heliograph.apps.gateway.polls import Polls
from heliograph.apps.gateway.scraping import Scraping
from heliograph.apps.gateway.sharing import Sharing, owner
from heliograph.apps.gateway.troubles import Troubles
from heliograph.catalog import ConfigError, Fault
from heliograph.partisan import DecodeError, StateError
from heliograph.poller import Poller
from heliograph.process import add_process_measurements

if TYPE_CHECKING:
    from heliograph.apps.gateway.alarms import Alarm
    from heliograph.apps.gateway.config import DeviceConfig, GatewayConfig
    from heliograph.catalog import Attachment
    from heliograph.otel import Bridge, FlushResult

__all__ = ["Gateway"]

Move = Literal["start", "share", "reload", "stop"]

# Seconds between two measurements of the process and its node; our choice.
_MEASURED: Final = 5.0
# Seconds between two looks at its own parts; our choice.
_LOOKED: Final = 1.0

_log: Final = logging.getLogger("heliograph.gateway")


class Gateway:
    """Polls its share of the devices until it is told to stop.

    Args:
        config: What its file holds.

    Attributes:
        config: What its file held when it was last read without fault.
        name: Its name.
        exported: How the last export ended; None before, and if there is none.
    """

    config: GatewayConfig
    name: str

    def __init__(self, config: GatewayConfig) -> None:
        self.config = config
        self.name = config.name
        self.exported: FlushResult | None = None
        settle = config.cluster.settle if config.cluster is not None else 0.0
        self._troubles = Troubles(self.name)
        self._sharing = Sharing(self.name, round(settle * 1e9))
        self._alarms = Alarms()
        self._polls = Polls(self.name, self._valued)
        self._node = make_node(config.cluster) if config.cluster is not None else None
        self._peers: Peers | None = None
        self._health: HealthServer | None = None
        self._bridge: Bridge | None = None
        self._handlers: Attachment | None = None
        self._stop = asyncio.Event()
        self._woken = asyncio.Event()
        self._reload = False
        self._faults: list[str] = []
        self._move: Move = "start"
        self._began = time.monotonic_ns()
        self._ready = False

    def stop(self) -> None:
        """Let it end; safe to be called from a signal handler of the loop."""
        self._stop.set()

    def reload(self) -> None:
        """Let it read its file again; as `stop`."""
        self._reload = True
        self._woken.set()

    @property
    def health_port(self) -> int | None:
        """The port at which it answers about its health; None if it does not."""
        return None if self._health is None else self._health.port

    @property
    def listen_addrs(self) -> tuple[str, ...]:
        """Where it listens for other gateways; nothing if it is alone."""
        return () if self._node is None else self._node.listen_addrs

    # -- Running ----------------------------------------------------------------------------------

    async def run(self) -> None:
        """Run until `stop`.

        Raises:
            ConfigError: A file of handlers is wrong, or the settings of the export are.
            PartisanError: It cannot listen for other gateways.
        """
        stack = AsyncExitStack()
        try:
            await self._start(stack)
            await self._run()
        finally:
            until = time.monotonic() + self.config.stop_within
            try:
                async with asyncio.timeout(self.config.stop_within / 2):
                    await self._end()
                    await stack.aclose()
            except TimeoutError:
                _log.error("devices and peers did not let go in time; they are cut off")
            if self._handlers is not None:
                self._handlers.close()
            if self._bridge is not None:
                # It may block now: nothing else is left to be done.
                self.exported = self._bridge.shutdown(timeout=max(0.1, until - time.monotonic()))

    async def _start(self, stack: AsyncExitStack) -> None:
        config = self.config
        if is_exported(config):
            self._bridge = export(config)
        self._attach(config)
        if config.health is not None:
            scrape = None
            if config.prometheus:
                scraping = Scraping(service(config.otlp), self.name, tags=config.tags)
                stack.callback(scraping.close)
                scrape = scraping.text
            self._health = HealthServer(config.health, self.state, scrape)
            stack.push_async_callback(self._health.close)
            await self._health.listen()  # if it can't, it is tried again
        poller = Poller(period=_MEASURED)
        add_process_measurements(poller)
        if self._node is not None and config.cluster is not None:
            self._peers = Peers(
                self._node,
                config.cluster.seeds,
                digest=lambda: self.config.digest,
                changed=self._woken.set,
                differs=self._differs,
                told=self._told,
                welcome=self._own_alarms,
            )
            try:
                await stack.enter_async_context(self._node)
            except (DecodeError, StateError) as error:
                message = f"{config.cluster.state} holds no membership: {error}"
                raise ConfigError([Fault(message, None, "remove it, to begin anew")]) from error
            self._node.poll_with(poller)
        await stack.enter_async_context(self._polls)
        await stack.enter_async_context(poller)
        events.STARTED.execute(
            {"devices_configured": len(config.devices)},
            {"gateway": self.name, "listens": list(self.listen_addrs)},
        )

    async def _run(self) -> None:
        tasks = [
            asyncio.create_task(self._polls.run()),
            asyncio.create_task(self._share()),
            asyncio.create_task(self._look_after_parts()),
        ]
        if self._peers is not None:
            tasks.append(asyncio.create_task(self._peers.run()))
        stopped = asyncio.create_task(self._stop.wait())
        try:
            done, _ = await asyncio.wait([*tasks, stopped], return_when=asyncio.FIRST_COMPLETED)
            for task in done - {stopped}:
                task.result()  # none of them ends by itself but by failing
        finally:
            for task in (*tasks, stopped):
                task.cancel()
            await asyncio.gather(*tasks, stopped, return_exceptions=True)

    async def _end(self) -> None:
        for name in sorted(self._sharing.drop(self.config.devices)):
            await self._give_up(name, "stop")
        events.STOPPED.execute(
            {"uptime": time.monotonic_ns() - self._began}, {"gateway": self.name}
        )

    async def _look_after_parts(self) -> None:
        """See what of the gateway does not work, and try it again."""
        cluster, health = self.config.cluster, self._health
        while True:
            if health is not None:
                failure = await health.listen()
                self._troubles.see("health", {} if failure is None else {health.listens: failure})
            if self._node is not None and cluster is not None and cluster.state is not None:
                unsaved = self._node.unsaved
                failures = {} if unsaved is None else {str(cluster.state): unsaved}
                self._troubles.see("state", failures)
            if self._peers is not None:
                self._troubles.see("peer", self._peers.unreached)
            await asyncio.sleep(_LOOKED)

    # -- Devices ----------------------------------------------------------------------------------

    async def _share(self) -> None:
        """Give up and take devices, as other gateways come and go, and the file changes."""
        await self._meet()
        self._woken.set()
        while True:
            due = self._sharing.due
            timeout = None if due is None else max(0.0, (due - time.monotonic_ns()) / 1e9)
            with suppress(TimeoutError):
                async with asyncio.timeout(timeout):
                    await self._woken.wait()
            if self._woken.is_set():
                self._woken.clear()
                if self._reload:
                    self._reload = False
                    await self._read_again()
                others = self._peers.living if self._peers is not None else ()
                devices = self.config.devices
                given_up = self._sharing.see(devices, others, time.monotonic_ns())
                for name in sorted(given_up):
                    await self._give_up(name, self._move)
                if self._sharing.due is None:
                    self._shared()
            taken = self._sharing.take(time.monotonic_ns())
            for name in sorted(taken):
                self._polls.take(self.config.devices[name])
                events.DEVICE_TAKEN.execute(
                    {}, {"gateway": self.name, "device": name, "move": self._move}
                )
            if taken:
                self._shared()

    def _shared(self) -> None:
        self._move, self._ready = "share", True
        events.SHARE.execute(
            {
                "devices_polled": len(self._sharing.mine),
                "gateways_living": len(self._sharing.living),
            },
            {"gateway": self.name},
        )

    async def _meet(self) -> None:
        """Wait for the others, lest what they poll be polled twice."""
        if self._peers is not None and self.config.cluster is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(self.config.cluster.patience):
                    await self._peers.met.wait()

    async def _give_up(self, name: str, move: Move) -> None:
        await self._polls.give_up(name)
        events.DEVICE_GIVEN_UP.execute({}, {"gateway": self.name, "device": name, "move": move})

    def _differs(self, peer: str) -> None:
        events.PEER_DIFFERS.execute({}, {"gateway": self.name, "peer": peer})

    # -- Alarms -----------------------------------------------------------------------------------

    def _valued(self, device: DeviceConfig, mapping: str, value: float) -> None:
        limits = device.schema.mappings[mapping]
        news = self._alarms.judge(
            device.name,
            mapping,
            value,
            below=limits.alarm_below,
            above=limits.alarm_above,
            told_by=self.name,
        )
        for alarm in news:
            self._execute(alarm)
            if self._peers is not None:
                self._peers.broadcast(alarm)

    def _told(self, alarm: Alarm) -> None:
        device = self.config.devices.get(alarm.device)
        # What is not in this gateway's file is nothing to it, so that nobody can fill its memory.
        if device is None or alarm.mapping not in device.schema.mappings:
            return
        if self._alarms.note(alarm):
            self._execute(alarm)

    def _execute(self, alarm: Alarm) -> None:
        event = events.ALARM_RAISED if alarm.raised else events.ALARM_CLEARED
        event.execute(
            {"value": alarm.value, "limit": alarm.limit},
            {
                "gateway": self.name,
                "device": alarm.device,
                "mapping": alarm.mapping,
                "side": alarm.side,
                "told_by": alarm.told_by,
            },
        )

    def _own_alarms(self) -> list[Alarm]:
        return [each for each in self._alarms if each.device in self._sharing.mine]

    # -- Its file ---------------------------------------------------------------------------------

    async def _read_again(self) -> None:
        try:
            # Files are read in the loop: they are small, and nothing else may change meanwhile.
            found = load(self.config.path)
            self._attach(found)
        except ConfigError as error:
            self._faults = [str(each) for each in error.faults]
            events.RELOAD_REFUSED.execute({}, {"gateway": self.name, "faults": self._faults})
            return
        self._faults = []
        before, self.config = self.config, found
        for part in ("cluster", "otlp", "health", "prometheus"):
            if getattr(before, part) != getattr(found, part):
                _log.warning("what is new in the section %s needs a restart", part)
        if new := set(found.tags) - set(before.tags):
            _log.warning("tags that no device had before need a restart: %s", ", ".join(new))
        self._move = "reload"
        changed = [
            name
            for name, device in before.devices.items()
            if name not in found.devices or not device.same(found.devices[name])
        ]
        for name in sorted(self._sharing.drop(changed)):
            await self._give_up(name, "reload")
        self._alarms.keep(found.limited)
        events.RELOADED.execute({"devices_configured": len(found.devices)}, {"gateway": self.name})
        if self._peers is not None:
            self._peers.announce()

    def _attach(self, config: GatewayConfig) -> None:
        """Attach the handlers of a file in place of those there were, or keep these."""
        before, self._handlers = self._handlers, None
        if before is not None:
            before.close()  # the same ids may come again
        try:
            self._handlers = _attached(config)
        except ConfigError:
            if before is not None:
                self._handlers = _attached(self.config)
            raise

    # -- Health -----------------------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """How it is doing, as plain data: what `/readyz` answers."""
        devices: dict[str, Any] = {
            name: {"gateway": owner(name, self._sharing.living)} for name in self.config.devices
        }
        for name, status in self._polls.statuses().items():
            devices[name] = {
                "gateway": self.name,
                "state": status.state,
                "since": status.since,
                **({"failure": status.failure} if status.failure else {}),
            }
        members = self._node.members() if self._node is not None and self._node.running else []
        return {
            "ready": self._ready,
            "gateway": self.name,
            "gateways": sorted(self._sharing.living),
            "members": {each.name: each.state for each in members},
            "devices": devices,
            "troubles": [
                *(
                    {"part": "file", "about": str(self.config.path), "failure": each}
                    for each in self._faults
                ),
                *self._troubles.state(),
            ],
            "alarms": [each.message() for each in self._alarms],
            "export": self.exports(),
        }

    def exports(self) -> dict[str, Any]:
        """What has been exported and dropped, by signal; nothing if nothing is."""
        if self._bridge is None:
            return {}
        return {
            signal: {
                "exported": each.exported,
                "queued": each.queued,
                "dropped": dict(each.dropped),
                "away": each.away,
                **({"error": each.error} if each.error else {}),
            }
            for signal, each in self._bridge.health().signals.items()
        }


def _attached(config: GatewayConfig) -> Attachment | None:
    return None if config.handlers is None else config.handlers.attach()
