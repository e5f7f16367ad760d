# SPDX-License-Identifier: Apache-2.0
"""What there is to see: everything that the gateways say and export, put together."""

from __future__ import annotations

import time
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from heliograph.apps.collect.model import NumberPoint
from heliograph.apps.collect.text import log_line
from heliograph.apps.collect.traces import Moments, Traces

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from heliograph.apps.collect import Batch, Metric, Span
    from heliograph.apps.collect.model import Point
    from heliograph.apps.collect.text import Line
    from heliograph.apps.collect.traces import Trace

__all__ = ["PERIOD", "VALUES", "Broadcast", "Failover", "GatewayView", "Promise", "Scene", "Series"]

PERIOD: Final = 0.5
"""Seconds between two readings of a device."""

VALUES: Final[dict[str, str | None]] = {
    "temperature": "Cel",
    "pressure": "bar",
    "power": "kW",
    "running": None,
}
"""What each device of the plant measures, and the units."""

_FAILOVER: Final = max(3 * PERIOD, 5.0)
_KEPT: Final = 48
_LINES: Final = 40
_QUIET: Final = ("partisan.socket.", "partisan.channel.", "partisan.membership.peer.channel.")


@dataclass(frozen=True, slots=True)
class Promise:
    """Something that is to be seen.

    Attributes:
        topic: A word for it.
        text: What it is, with what was measured.
        kept: Whether it was seen; None if it cannot be looked for, because somebody else gets the
            telemetry.
    """

    topic: str
    text: str
    kept: bool | None


@dataclass(slots=True)
class GatewayView:
    """One gateway.

    Attributes:
        name: Its name.
        state: `"starting"`, `"running"`, `"killed"`, `"returning"` or `"stopped"`.
        devices: What it polls.
        living: How many gateways it sees, itself included.
        summary: What it says at its end.
    """

    name: str
    state: str = "starting"
    devices: set[str] = field(default_factory=set)
    living: int = 0
    summary: Mapping[str, Any] | None = None
    code: int | None = None


@dataclass(slots=True)
class Series:
    """The latest of what one device measures.

    Attributes:
        unit: The unit, empty if there is none.
        values: The values, the youngest last.
    """

    unit: str
    values: deque[float] = field(default_factory=lambda: deque(maxlen=_KEPT))


@dataclass(slots=True)
class Broadcast:
    """How an alarm went from the gateway that polls the device to all others.

    Attributes:
        device: The device.
        mapping: What is beyond its limit.
        root: The gateway that polls it.
        at: When each gateway told of it, in seconds since the epoch.
    """

    device: str
    mapping: str
    root: str
    at: dict[str, float] = field(default_factory=dict)

    @property
    def hops(self) -> list[tuple[str, float]]:
        """The others, in the order in which they heard, and how many seconds after the root."""
        began = self.at.get(self.root, min(self.at.values(), default=0.0))
        heard = sorted((at, name) for name, at in self.at.items() if name != self.root)
        return [(name, max(0.0, at - began)) for at, name in heard]


@dataclass(slots=True)
class Failover:
    """What became of the devices of the gateway that was killed; times in seconds since the epoch.

    Attributes:
        victim: The gateway.
        devices: What it polled.
        at: When it was killed.
        taken: When each device was polled by another.
        given_up: When each was given up for its return.
        returned: When each was taken back.
    """

    victim: str
    devices: frozenset[str]
    at: float
    taken: dict[str, float] = field(default_factory=dict)
    given_up: dict[str, float] = field(default_factory=dict)
    returned: dict[str, float] = field(default_factory=dict)
    back: bool = False

    @property
    def over(self) -> bool:
        """Whether others poll all of its devices."""
        return self.taken.keys() == self.devices

    @property
    def ended(self) -> bool:
        """Whether it has all of its devices again."""
        return self.returned.keys() == self.devices

    @property
    def took(self) -> float:
        """Seconds until the last device was polled by another."""
        return max(self.taken.values(), default=self.at) - self.at

    @property
    def overlap(self) -> float:
        """Seconds for which the last device to be given up was polled twice; below 0 for a gap."""
        return max(
            (self.given_up.get(name, float("inf")) - at for name, at in self.returned.items()),
            default=float("inf"),
        )


class Scene:
    """Everything that was seen so far.

    Args:
        names: The gateways.
        devices: The devices.
        looking: Whether the telemetry comes here; else somebody else gets it.
    """

    gateways: dict[str, GatewayView]
    devices: tuple[str, ...]

    def __init__(self, names: Iterable[str], devices: Iterable[str], *, looking: bool) -> None:
        self.gateways = {name: GatewayView(name) for name in names}
        self.devices = tuple(devices)
        self.looking = looking
        self.series: dict[tuple[str, str], Series] = {}
        self.retry: Trace | None = None
        self.latest: deque[Trace] = deque(maxlen=4)
        self.metrics: dict[str, tuple[Metric, Point]] = {}
        self.lines: deque[Line] = deque(maxlen=_LINES)
        self.counts: Counter[str] = Counter()
        self.names: dict[str, set[str]] = {"spans": set(), "metrics": set(), "logs": set()}
        self.senders: dict[str, set[str]] = {"spans": set(), "metrics": set(), "logs": set()}
        self.alarms: dict[str, set[tuple[str, str]]] = {name: set() for name in self.gateways}
        self.raised: dict[str, dict[tuple[str, str], float]] = {name: {} for name in self.gateways}
        self.broadcast: Broadcast | None = None
        self.failover: Failover | None = None
        self.refused = 0
        self._traces = Traces(Moments(quiet=0.5))
        self._met: set[str] = set()
        self._shared = False

    # -- What gateways say ------------------------------------------------------------------------

    def told(self, name: str, line: Mapping[str, Any]) -> None:
        """Take a line of a gateway."""
        gateway = self.gateways[name]
        if line.get("kind") == "summary":
            gateway.summary = line["export"]
            return
        metadata = line.get("metadata", {})
        match line.get("event"):
            case "gateway.started":
                gateway.state = "running"
            case "gateway.stopped":
                gateway.state = "stopped"
            case "gateway.share":
                gateway.living = line["measurements"]["gateways_living"]
                if gateway.living == len(self.gateways):
                    self._met.add(name)
            case "gateway.device.taken":
                self._taken(gateway, metadata["device"], line["time"])
            case "gateway.device.given_up":
                self._given_up(gateway, metadata["device"], line["time"])
            case "gateway.alarm.raised":
                self.alarms[name].add((metadata["device"], metadata["told_by"]))
                self._broadcast(name, metadata, line["time"])
                limit = line["measurements"]["limit"]
                self.raised[name][metadata["device"], metadata["mapping"]] = limit
            case "gateway.alarm.cleared":
                self.raised[name].pop((metadata["device"], metadata["mapping"]), None)

    def _broadcast(self, name: str, metadata: Mapping[str, Any], at: float) -> None:
        device, mapping, root = metadata["device"], metadata["mapping"], metadata["told_by"]
        known = self.broadcast
        # The lines of several gateways come in any order; one that tells again tells of another.
        if (
            known is None
            or (known.device, known.mapping, known.root) != (device, mapping, root)
            or name in known.at
        ):
            self.broadcast = known = Broadcast(device, mapping, root)
        known.at[name] = at

    def _taken(self, gateway: GatewayView, device: str, at: float) -> None:
        gateway.devices.add(device)
        self._shared = self._shared or all(len(self.holders(each)) == 1 for each in self.devices)
        failover = self.failover
        if failover is not None and device in failover.devices:
            if gateway.name != failover.victim:
                failover.taken.setdefault(device, at)
            elif failover.back:
                failover.returned.setdefault(device, at)

    def _given_up(self, gateway: GatewayView, device: str, at: float) -> None:
        gateway.devices.discard(device)
        failover = self.failover
        if failover is not None and failover.back and device in failover.devices:
            failover.given_up.setdefault(device, at)

    def killed(self, name: str) -> None:
        """Take note that a gateway was killed."""
        gateway = self.gateways[name]
        self.failover = Failover(name, frozenset(gateway.devices), time.time())
        gateway.state, gateway.devices, gateway.living = "killed", set(), 0
        self.raised[name].clear()

    def returning(self) -> None:
        """Take note that the killed gateway is started again."""
        assert self.failover is not None, "it was killed before"
        self.failover.back = True
        self.gateways[self.failover.victim].state = "returning"

    def holders(self, device: str) -> list[str]:
        """The gateways that poll a device."""
        return [each.name for each in self.gateways.values() if device in each.devices]

    @property
    def shared(self) -> bool:
        """Whether all gateways have met, and each device is polled by one of them."""
        return len(self._met) == len(self.gateways) and all(
            len(self.holders(each)) == 1 for each in self.devices
        )

    # -- What they export -------------------------------------------------------------------------

    def take(self, batch: Batch, now: float) -> None:
        """Take what has arrived; `now` is of the monotonic clock."""
        self.counts["spans"] += len(batch.spans)
        self.counts["metrics"] += sum(len(each.points) for each in batch.metrics)
        self.counts["logs"] += len(batch.logs)
        for span in batch.spans:
            self._sent("spans", span.name, span.source.resource)
            self._traces.add(span, now)
        for metric in batch.metrics:
            self._sent("metrics", metric.name, metric.source.resource)
            self._metric(metric)
        for log in batch.logs:
            self._sent("logs", log.event_name, log.source.resource)
            # Sockets come and go by the dozen; that their peers do says the same.
            if not log.event_name.startswith(_QUIET):
                self.lines.append(log_line(log))

    def _sent(self, kind: str, name: str, resource: Mapping[str, Any]) -> None:
        self.names[kind].add(name)
        self.senders[kind].add(str(resource.get("service.instance.id", "")))

    def _metric(self, metric: Metric) -> None:
        if metric.name != "gateway.device.value":
            for point in metric.points:
                self.metrics[metric.name] = (metric, point)
            return
        sender = metric.source.resource.get("service.instance.id")
        for point in metric.points:
            device = str(point.attributes.get("gateway.device.name"))
            # One that has given the device up still exports the last value it has seen.
            if not isinstance(point, NumberPoint) or sender not in self.holders(device):
                continue
            mapping = str(point.attributes.get("gateway.device.mapping"))
            unit = str(point.attributes.get("gateway.device.unit", ""))
            series = self.series.setdefault((device, mapping), Series(unit))
            if point.value is not None:
                series.values.append(float(point.value))

    def due(self, now: float) -> None:
        """Look at the traces that seem to be whole."""
        for trace in self._traces.due(now):
            if is_retry(trace.spans):
                self.retry = trace
            self.latest.append(trace)

    def rest(self) -> None:
        """Look at all traces that are left."""
        self.due(float("inf"))

    # -- What was promised ------------------------------------------------------------------------

    def promises(self) -> list[Promise]:
        """What is to be seen, and whether it was."""
        failover = self.failover
        told = set.intersection(*self.alarms.values())
        valued = {
            key
            for key, series in self.series.items()
            if series.values and series.unit == (VALUES.get(key[1]) or "")
        }
        summaries = [each.summary for each in self.gateways.values() if each.summary is not None]
        dropped = sum(
            sum(signal["dropped"].values()) for each in summaries for signal in each.values()
        )
        ended = [each.code for each in self.gateways.values()]
        whole = {(device, mapping) for device in self.devices for mapping in VALUES}
        return [
            Promise(
                "cluster",
                f"{len(self._met)} gateways have found each other",
                len(self._met) == len(self.gateways),
            ),
            Promise("shares", "each device was polled by one of them", self._shared),
            self._looked(
                "values",
                f"{len(valued & whole)} of {len(whole)} values arrived as gauges with their units",
                valued >= whole,
            ),
            self._looked(
                "retry",
                "a device was busy; the second attempt is in the same trace",
                self.retry is not None,
            ),
            Promise("alarm", "one gateway saw an alarm and all three told of it", bool(told)),
            Promise(
                "failover",
                "a gateway was killed"
                if failover is None
                else f"{len(failover.taken)} of {len(failover.devices)} devices of the killed "
                f"{failover.victim} were taken over by others after {failover.took:.2f} s",
                failover is not None and failover.over and failover.took <= _FAILOVER,
            ),
            Promise(
                "return",
                "it came back"
                if failover is None or not failover.ended
                else f"it came back and got them again, {_gap(failover.overlap)}",
                failover is not None and failover.ended and failover.overlap <= PERIOD,
            ),
            self._looked(
                "signals",
                "spans, metrics and log events arrived of every gateway",
                all(senders >= self.gateways.keys() for senders in self.senders.values()),
            ),
            Promise(
                "dropped",
                f"{dropped} items dropped, {self.refused} requests refused",
                len(summaries) == len(self.gateways) and not dropped and not self.refused,
            ),
            Promise(
                "end",
                "every gateway stopped cleanly when it was told to",
                all(code == 0 for code in ended),
            ),
        ]

    def _looked(self, topic: str, text: str, kept: bool) -> Promise:
        return Promise(topic, text, kept if self.looking else None)


def _gap(overlap: float) -> str:
    if overlap > 0:
        return f"polled twice for {overlap:.2f} s"
    return f"polled by nobody for {-overlap:.2f} s"


def is_retry(spans: Iterable[Span]) -> bool:
    """Whether a trace has a request that failed, and one made again that did not."""
    failed: set[str | None] = set()
    again: set[str | None] = set()
    for span in spans:
        if span.name == "modboss.read_callback":
            if span.status == "error":
                failed.add(span.parent_id)
            elif span.attributes.get("modboss.attempt.number") != 1:
                again.add(span.parent_id)
    return bool(failed & again)
