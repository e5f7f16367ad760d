# SPDX-License-Identifier: Apache-2.0
"""Puts what arrives, and what the demo knows, into the feed of pages; time is handed in."""

from __future__ import annotations

from collections import OrderedDict, deque
from typing import TYPE_CHECKING, Final

from heliograph.apps.collect.model import NumberPoint
from heliograph.apps.collect.traces import Moments, Traces
from heliograph.apps.demo.web import shapes
from heliograph.apps.demo.web.feed import Feed
from heliograph.plain import rendered

if TYPE_CHECKING:
    from collections.abc import Mapping

    from heliograph.apps.collect import Batch, Log, Metric
    from heliograph.apps.collect.model import Point
    from heliograph.apps.demo.demo import Demo
    from heliograph.apps.demo.scene import Promise, Scene
    from heliograph.plain import Plain

__all__ = ["CAPACITIES", "PageViewer"]

CAPACITIES: Final[Mapping[str, int]] = {
    "head": 1,
    "story": 100,
    "member": 64,
    "link": 512,
    "device": 256,
    "promises": 1,
    "counts": 1,
    "log": 500,
    "trace": 80,
    "failed": 40,
    "series": 1000,
}
"""How many of each kind a page shows at most. All are our choice."""

_HISTORY: Final = 32
_SPANS: Final = 4000
_VALUES: Final = 32
_UP: Final = "partisan.membership.peer.up"
_DOWN: Final = "partisan.membership.peer.down"
_ALIVE: Final = frozenset({"starting", "running", "returning"})


class PageViewer:
    """Makes items of a feed.

    Args:
        moments: How long to wait for the rest of a trace.

    Attributes:
        feed: The feed.
    """

    feed: Feed

    def __init__(self, moments: Moments | None = None) -> None:
        self.feed = Feed(CAPACITIES)
        self._traces = Traces(moments or Moments(quiet=0.5), _SPANS)
        self._histories: OrderedDict[str, deque[Plain]] = OrderedDict()
        self._links: OrderedDict[tuple[str, str], bool] = OrderedDict()
        self._limits: dict[tuple[str, str], float] = {}
        self._logs = 0
        self._sentences = 0

    # -- What is exported -------------------------------------------------------------------------

    def take(self, batch: Batch, now: float) -> None:
        """Take what arrived; `now` is in seconds of whatever clock."""
        for span in batch.spans:
            self._traces.add(span, now)
        for metric in batch.metrics:
            for point in metric.points:
                self._point(metric, point)
        for log in batch.logs:
            self._logs += 1
            self.feed.put("log", str(self._logs), shapes.log(log))
            self._peer(log)

    def due(self, now: float) -> None:
        """Show the traces that seem to be whole."""
        for trace in self._traces.due(now):
            made = shapes.trace(trace)
            # What went well is soon pushed out by more of the same; what did not is kept longer.
            topic = "failed" if made["errors"] or made["retries"] else "trace"
            self.feed.put(topic, trace.trace_id, made)

    def _point(self, metric: Metric, point: Point) -> None:
        made = shapes.metric(metric, point)
        key = "|".join((str(made["from"]), metric.name, rendered(made["attributes"])))[:500]
        history = self._histories.setdefault(key, deque(maxlen=_HISTORY))
        self._histories.move_to_end(key)
        history.append(made["value"] if isinstance(point, NumberPoint) else made.get("p95"))
        while len(self._histories) > CAPACITIES["series"]:
            self._histories.popitem(last=False)
        self.feed.put("series", key, {**made, "history": list(history)})

    def _peer(self, log: Log) -> None:
        """Take note of what members say of each other."""
        if log.event_name in {_UP, _DOWN}:
            ends = [log.attributes.get(f"partisan.{end}.name") for end in ("node", "peer")]
            node, peer = (str(each)[:80] for each in ends)
            self._links[node, peer] = log.event_name == _UP
            self._links.move_to_end((node, peer))
            while len(self._links) > CAPACITIES["link"]:
                self._links.popitem(last=False)

    # -- What the demo knows ----------------------------------------------------------------------

    def say(self, text: str, at: float) -> None:
        """Take a sentence about what is done, and the seconds since the beginning."""
        self._sentences += 1
        self.feed.put("story", str(self._sentences), {"at": round(at, 1), "text": text[:400]})

    def show(self, demo: Demo, *, kept: bool | None = None) -> None:
        """Show how the demo stands.

        Args:
            demo: The demo.
            kept: At its end, whether it has kept its promises.
        """
        scene = demo.scene
        promises = scene.promises()
        self._head(demo, kept)
        self._members(scene)
        self._devices(scene)
        self.feed.put("promises", "", [_promise(each) for each in promises])

    def _head(self, demo: Demo, kept: bool | None) -> None:
        counts = demo.scene.counts
        data: dict[str, Plain] = {
            "stage": demo.stage[:400],
            "elapsed": round(demo.elapsed, 1),
            "seconds": demo.seconds,
            "endpoint": demo.endpoint[:200],
            "looking": demo.scene.looking,
            "spans": counts["spans"],
            "points": counts["metrics"],
            "logs": counts["logs"],
            "ended": kept is not None,
            "kept": kept,
        }
        self.feed.put("head", "", data)

    def _members(self, scene: Scene) -> None:
        for place, gateway in enumerate(scene.gateways.values()):
            alive = gateway.state in _ALIVE and gateway.code is None
            data: dict[str, Plain] = {
                "name": gateway.name,
                "place": place,
                "state": gateway.state if alive or gateway.state not in _ALIVE else "failed",
                "alive": alive,
                "sees": gateway.living,
                "devices": [*sorted(gateway.devices)],
            }
            self.feed.put("member", gateway.name, data)
        gone = {name for name, each in scene.gateways.items() if each.state not in _ALIVE}
        for (node, peer), up in self._links.items():
            if node in gone and up:
                # It cannot say so itself, nor did it when it comes back.
                self._links[node, peer] = False
            alive = gone.isdisjoint((node, peer))
            self.feed.put(
                "link", f"{node} {peer}", {"node": node, "peer": peer, "up": up and alive}
            )

    def _devices(self, scene: Scene) -> None:
        standing = {which: limit for told in scene.raised.values() for which, limit in told.items()}
        # Limits are told of when they are crossed; from then on they are drawn.
        self._limits.update(standing)
        values: dict[str, list[Plain]] = {name: [] for name in scene.devices}
        for (device, mapping), series in scene.series.items():
            found = values.get(device)
            if found is not None and len(found) < _VALUES:
                found.append(
                    {
                        "name": mapping[:80],
                        "unit": series.unit[:40],
                        "values": [shapes.finite(round(each, 4)) for each in series.values],
                        "limit": shapes.finite(self._limits.get((device, mapping))),
                        "alarm": (device, mapping) in standing,
                    }
                )
        for place, name in enumerate(scene.devices):
            data: dict[str, Plain] = {
                "name": name,
                "place": place,
                "by": [*scene.holders(name)],
                "values": values[name],
                "alarms": [*sorted(mapping for device, mapping in standing if device == name)],
            }
            self.feed.put("device", name, data)

    def count(self, counts: Mapping[str, int]) -> None:
        """Show how often each event was executed."""
        self.feed.put("counts", "", dict(sorted(counts.items())))


def _promise(promise: Promise) -> Plain:
    return {"topic": promise.topic, "text": promise.text, "kept": promise.kept}
