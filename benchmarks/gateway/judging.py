# SPDX-License-Identifier: Apache-2.0
"""What the notes of a soak come to: messages lost, values missed, alarms unheard. Without I/O.

Times are seconds of the monotonic clock.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

__all__ = [
    "Alarm",
    "Fault",
    "Gap",
    "Messages",
    "Reading",
    "Run",
    "Values",
    "alarms",
    "messages",
    "values",
]

# Seconds before a kill in which a message may have been in an inbox, or unsent in the sender.
UNREAD = 1.0
# Seconds for what a fault has done to be over: a failover and a return take about one each.
AFTER = 6.0
HEARD = 5.0


@dataclass(frozen=True)
class Fault:
    """Something that was done, on purpose.

    Attributes:
        kind: `"kill"`, `"outage"` or `"device"`.
        target: The gateway or the device; what a device did is told by `text`.
        began: When.
        ended: When it was made good.
        text: It in words.
    """

    kind: str
    target: str
    began: float
    ended: float
    text: str


@dataclass
class Run:
    """One life of a process.

    Attributes:
        name: The node's name.
        run: Its number, among all.
        began: When it was started.
        met: When it had its share of the devices; None if it never had.
        killed: When it was killed; None if it was told to stop.
        crashed: Whether it ended by itself.
    """

    name: str
    run: str
    began: float
    met: float | None = None
    killed: float | None = None
    crashed: bool = False


@dataclass
class Messages:
    """What became of acknowledged messages.

    Attributes:
        sent: Accepted for sending.
        received: Of these, received.
        lost: Not received, with nobody killed to explain it.
        with_a_killed: Not received, of or to a process that was killed within a second.
        twice: Received twice by one run.
    """

    sent: int = 0
    received: int = 0
    lost: int = 0
    with_a_killed: int = 0
    twice: int = 0


def messages(
    runs: Iterable[Run],
    sent: Iterable[tuple[float, str, str, int]],
    received: Iterable[tuple[str, str, str, int]],
) -> Messages:
    """Compare what was sent with what was received.

    Args:
        runs: All lives of all nodes.
        sent: Of each message when it was accepted, the sender's run, the receiver's name, and its
            number for that receiver.
        received: Of each message the receiver's run and name, the sender's run, and the number.
    """
    found = Messages()
    by_run = {each.run: each for each in runs}
    kills: dict[str, list[float]] = defaultdict(list)
    for each in by_run.values():
        if each.killed is not None:
            kills[each.name].append(each.killed)
    counts = Counter((run, name, source, number) for run, name, source, number in received)
    found.twice = sum(count - 1 for count in counts.values())
    arrived = {(source, name, number) for _, name, source, number in counts}
    for at, run, to, number in sent:
        found.sent += 1
        if (run, to, number) in arrived:
            found.received += 1
        elif any(at <= kill <= at + UNREAD for kill in (*kills[by_run[run].name], *kills[to])):
            found.with_a_killed += 1
        else:
            found.lost += 1
    return found


@dataclass(frozen=True)
class Reading:
    """A device that was read, or tried to be.

    Attributes:
        due: When it was due.
        at: When it ended.
        device: The device.
        run: The life of the gateway that read it.
        ok: Whether it gave values.
    """

    due: float
    at: float
    device: str
    run: str
    ok: bool


@dataclass(frozen=True)
class Gap:
    """Readings that no fault explains the lack of.

    Attributes:
        device: The device.
        began: When the last one before was due.
        ended: When the first one after was due.
        missing: So many in between gave no values.
        failed: Of these, readings that were tried; the others were left out.
    """

    device: str
    began: float
    ended: float
    missing: int
    failed: int


@dataclass
class Values:
    """What became of readings.

    Attributes:
        due: Periods of all devices.
        read: Readings that gave values.
        late: Of these, readings that ended more than half a period after they were due.
        missed: Kind of the fault that explains it, or `"unexplained"` -> periods without a reading.
        unexplained: The latter one by one.
        failovers: Seconds from each kill until another gateway had read a device of the killed one.
        doubled: The longest time, in seconds, for which two gateways polled one device.
    """

    due: int = 0
    read: int = 0
    late: int = 0
    missed: Counter[str] = field(default_factory=Counter)
    unexplained: list[Gap] = field(default_factory=list)
    failovers: list[float] = field(default_factory=list)
    doubled: float = 0.0


def values(
    readings: Iterable[Reading],
    devices: Iterable[str],
    runs: Iterable[Run],
    faults: Sequence[Fault],
    period: float,
    began: float,
    ended: float,
) -> Values:
    """Look for gaps between the times at which readings were due that gave values.

    What came late was not missed: it is late. What a gateway left out because the reading before
    was still under way is missed, for then nothing was due in its place.

    Args:
        readings: All readings, tried ones included.
        devices: The devices; each was to be read in each period.
        runs: All lives of all gateways.
        faults: What was done.
        period: Seconds between two readings.
        began: When all devices were polled.
        ended: When the end began.
    """
    found = Values()
    by_device: dict[str, list[Reading]] = {device: [] for device in devices}
    for reading in readings:
        if began <= reading.due <= ended:
            by_device[reading.device].append(reading)
    killed = {run.run: run.killed for run in runs if run.killed is not None}
    for device, all_of_it in sorted(by_device.items()):
        all_of_it.sort(key=lambda each: each.due)
        good = [each for each in all_of_it if each.ok]
        found.due += round((ended - began) / period)
        found.read += len(good)
        found.late += sum(each.at - each.due > period / 2 for each in good)
        found.doubled = max(found.doubled, _doubled(all_of_it, period))
        found.failovers += _failovers(good, killed)
        for gap, kind in _gaps(device, all_of_it, faults, period, began, ended):
            found.missed[kind] += gap.missing
            if kind == "unexplained":
                found.unexplained.append(gap)
    return found


def _gaps(
    device: str,
    readings: Sequence[Reading],
    faults: Sequence[Fault],
    period: float,
    began: float,
    ended: float,
) -> Iterator[tuple[Gap, str]]:
    """The gaps of a device, and what explains each."""
    good = [each for each in readings if each.ok]
    befores: list[Reading | None] = [None, *good]
    afters: list[Reading | None] = [*good, None]
    for before, after in zip(befores, afters, strict=True):
        start = began if before is None else before.due
        stop = ended if after is None else after.due
        missing = round((stop - start) / period) - 1
        if missing < 1:
            continue
        failed = sum(start < each.due < stop and not each.ok for each in readings)
        # Whoever goes on reading a device has no part in the failover of others.
        moved = before is None or after is None or before.run != after.run
        kind = _explained(device, start, stop, moved, faults)
        yield Gap(device, start, stop, missing, min(failed, missing)), kind


def _explained(
    device: str, before: float, after: float, moved: bool, faults: Sequence[Fault]
) -> str:
    for fault in faults:
        # A device that has failed is asked less and less often, up to as long as it has failed.
        rest = 2 * (fault.ended - fault.began) if fault.kind == "device" else 0.0
        met = {"device": fault.target == device, "kill": moved}.get(fault.kind, False)
        if met and before <= fault.ended + rest + AFTER and after >= fault.began:
            return fault.kind
    return "unexplained"


def _failovers(good: Sequence[Reading], killed: Mapping[str, float]) -> Iterator[float]:
    """How long after a kill each device was read by another gateway."""
    for before, after in pairwise(good):
        if before.run != after.run and before.run in killed:
            yield max(0.0, after.at - killed[before.run])


def _doubled(readings: Sequence[Reading], period: float) -> float:
    """For how long at most one gateway went on reading what another one read, too."""
    longest = 0.0
    for run in {each.run for each in readings}:
        mine = [each.due for each in readings if each.run == run]
        others = [each.due for each in readings if each.run != run]
        since: float | None = None
        for before, after in pairwise(mine):
            on = after - before < 1.5 * period
            if on and bisect_right(others, after) > bisect_left(others, before):
                since = before if since is None else since
                longest = max(longest, after - since)
            else:
                since = None
    return longest


@dataclass(frozen=True)
class Alarm:
    """That a gateway knew of an alarm; all but the first two are what the alarm says."""

    at: float
    gateway: str
    told_by: str
    key: tuple[str, ...]
    raised: bool


def alarms(seen: Iterable[Alarm], runs: Sequence[Run], ended: float) -> tuple[int, int]:
    """How many others should have known of an alarm soon, and how many of these did.

    A gateway that lived all the while should, from a second before the alarm until it is due;
    nothing is expected of what a gateway told that was killed meanwhile.
    """
    by_gateway: dict[tuple[str, tuple[str, ...]], list[Alarm]] = defaultdict(list)
    told = []
    for each in sorted(seen, key=lambda alarm: alarm.at):
        by_gateway[each.gateway, each.key].append(each)
        if each.gateway == each.told_by:
            told.append(each)

    def lived(name: str, at: float) -> bool:
        return any(
            run.name == name
            and run.met is not None
            and run.met + UNREAD < at
            and (run.killed is None or run.killed > at + HEARD)
            for run in runs
        )

    due = heard = 0
    names = {run.name for run in runs}
    for alarm in told:
        if alarm.at > ended - HEARD or not lived(alarm.told_by, alarm.at):
            continue
        for name in names - {alarm.told_by}:
            if not lived(name, alarm.at):
                continue
            due += 1
            known = by_gateway[name, alarm.key]
            state = [each.raised for each in known if each.at < alarm.at - UNREAD]
            news = [
                each
                for each in known
                if alarm.at - UNREAD <= each.at <= alarm.at + HEARD and each.raised is alarm.raised
            ]
            heard += bool(news) or (bool(state) and state[-1] is alarm.raised)
    return due, heard
