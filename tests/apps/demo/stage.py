# SPDX-License-Identifier: Apache-2.0
"""A page's server in a thread, shown what a test wants it to show."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterable
from typing import Any, Self

from heliograph.apps.collect import Batch, Log, Metric, Source, Span
from heliograph.apps.collect.model import Scope
from heliograph.apps.collect.receiver import Address
from heliograph.apps.collect.traces import Moments
from heliograph.apps.demo import Demo, Scene
from heliograph.apps.demo.web import PageViewer, WebServer, declared
from heliograph.catalog import load
from tests.apps.collect.samples import log, metric, number, span

__all__ = ["NAMES", "Stage", "event", "reading", "source"]

NAMES = ("g1@127.0.0.1", "g2@127.0.0.1", "g3@127.0.0.1")


def event(name: str, **metadata: Any) -> dict[str, Any]:
    """A line of a gateway."""
    measurements = {"limit": 75.0, "gateways_living": len(NAMES)}
    return {
        "kind": "event",
        "event": name,
        "time": 0.0,
        "metadata": metadata,
        "measurements": measurements,
    }


def source(name: str) -> Source:
    """A gateway as what it exports names it."""
    return Source({"service.instance.id": name}, "", Scope("modboss", "1.0.0", "", {}))


def reading(trace_id: str, gateway: str, *, failed: bool = False, at: int = 0) -> list[Span]:
    """The spans of a read of a device, with a second attempt if the first has failed."""
    common: dict[str, Any] = {"trace_id": trace_id, "source": source(gateway), "kind": "client"}
    first = {
        "name": "modboss.read_callback",
        "start": at + 1_000_000,
        "end": at + 2_000_000,
        "attributes": {"modboss.attempt.number": 1, "server.port": 502},
    }
    spans = [span(f"{trace_id}-0", name="modboss.read", start=at, end=at + 9_000_000, **common)]
    if not failed:
        return [*spans, span(f"{trace_id}-1", f"{trace_id}-0", **common, **first)]
    error: dict[str, Any] = {**first, "status": "error", "status_message": "device_busy"}
    again: dict[str, Any] = {
        **first,
        "start": at + 7_000_000,
        "end": at + 8_000_000,
        "attributes": {"modboss.attempt.number": 2},
    }
    return [
        *spans,
        span(f"{trace_id}-1", f"{trace_id}-0", **common, **error),
        span(f"{trace_id}-2", f"{trace_id}-0", **common, **again),
    ]


class Stage:
    """A demo that is not played but told what there is to see, and its page.

    Args:
        devices: The devices' names.
        viewer: What was shown before, to go on with.
        port: Where the page is; 0 for any free one.
    """

    def __init__(
        self,
        devices: Iterable[str] = ("boiler", "chiller", "tank"),
        viewer: PageViewer | None = None,
        port: int = 0,
    ) -> None:
        self.demo = Demo()
        self.demo.scene = Scene(NAMES, devices, looking=True)
        self.demo.stage = "On stage"
        self.viewer = viewer or PageViewer(Moments(quiet=0.0))
        self._port = port
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._server: WebServer | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        catalogs = {**declared(load("gateway", "modboss")), "faults": []}
        server = WebServer(self.viewer.feed, catalogs, Address("127.0.0.1", self._port))
        asyncio.run_coroutine_threadsafe(server.__aenter__(), self._loop).result()
        self._server = server
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Be there no more; the same again does nothing."""
        if self._loop.is_closed():
            return
        asyncio.run_coroutine_threadsafe(self._leave(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _leave(self) -> None:
        if self._server is not None:
            await self._server.__aexit__()
        # As `asyncio.run` does at its end: a connection may have come at the last moment.
        rest = asyncio.all_tasks() - {asyncio.current_task()}
        for each in rest:
            each.cancel()
        await asyncio.gather(*rest, return_exceptions=True)

    @property
    def url(self) -> str:
        """Where the page is."""
        assert self._server is not None, "it is entered first"
        return self._server.url

    @property
    def port(self) -> int:
        """Where the page is."""
        return int(self.url.rsplit(":", 1)[1].rstrip("/"))

    def do(self, work: Callable[[], object]) -> None:
        """Do something where the server runs, then show how all stands."""

        async def done() -> None:
            work()
            self.viewer.due(float("inf"))
            self.viewer.show(self.demo)
            assert self._server is not None, "it is entered first"
            self._server.wake()

        asyncio.run_coroutine_threadsafe(done(), self._loop).result()

    def end(self, *, kept: bool) -> None:
        """Show that it has ended."""
        self.do(lambda: None)
        done = asyncio.run_coroutine_threadsafe(self._ended(kept), self._loop)
        done.result()

    def freeze(self) -> threading.Event:
        """Let the server answer nothing any more, nor hang up, until the event is set."""
        thawed = threading.Event()
        self._loop.call_soon_threadsafe(thawed.wait)
        return thawed

    async def _ended(self, kept: bool) -> None:
        self.viewer.show(self.demo, kept=kept)

    def take(
        self,
        *,
        spans: Iterable[Span] = (),
        logs: Iterable[Log] = (),
        metrics: Iterable[Metric] = (),
    ) -> None:
        """Let telemetry arrive."""

        def work() -> None:
            for batch in (
                Batch(spans=tuple(spans)),
                Batch(logs=tuple(logs)),
                Batch(metrics=tuple(metrics)),
            ):
                self.demo.scene.take(batch, 0.0)
                self.viewer.take(batch, 0.0)

        self.do(work)

    def run(self) -> None:
        """Let all gateways run, be connected, and share the devices out among them."""
        scene = self.demo.scene

        def work() -> None:
            for name in NAMES:
                scene.told(name, event("gateway.started"))
            for place, device in enumerate(scene.devices):
                scene.told(NAMES[place % len(NAMES)], event("gateway.device.taken", device=device))

        self.do(work)
        up = "partisan.membership.peer.up"
        ends = [(node, peer) for node in NAMES for peer in NAMES if node != peer]
        self.take(
            logs=[
                log(
                    event_name=up,
                    source=source(node),
                    attributes={"partisan.node.name": node, "partisan.peer.name": peer},
                )
                for node, peer in ends
            ]
        )

    def measure(self, device: str, **values: float) -> None:
        """Let a device's gateway export what it measures."""
        [holder] = self.demo.scene.holders(device)
        self.take(
            metrics=[
                metric(
                    number(
                        value,
                        **{
                            "gateway.device.name": device,
                            "gateway.device.mapping": mapping,
                            "gateway.device.unit": "Cel",
                        },
                    ),
                    name="gateway.device.value",
                    unit="{value}",
                    kind="gauge",
                    monotonic=None,
                    temporality=None,
                    source=source(holder),
                )
                for mapping, value in values.items()
            ]
        )
