# SPDX-License-Identifier: Apache-2.0
"""What the notes of a soak come to: messages lost, values missed, alarms unheard. Without I/O.

Times are seconds of the monotonic clock.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

__all__ = ["Alarm", "Fault", "Messages", "Run", "Values", "alarms", "messages", "values"]

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


@dataclass
class Values:
    """What became of readings.

    Attributes:
        due: Periods of all devices.
        read: Readings that gave values.
        missed: Kind of the fault that explains it, or `"unexplained"` -> periods without a reading.
        unexplained: Of the latter the device, the time, and the periods.
    """

    due: int = 0
    read: int = 0
    missed: Counter[str] = field(default_factory=Counter)
    unexplained: list[tuple[str, float, int]] = field(default_factory=list)


def values(
    readings: Iterable[tuple[float, str]],
    faults: Sequence[Fault],
    period: float,
    began: float,
    ended: float,
) -> Values:
    """Look for gaps.

    Args:
        readings: When which device has given values.
        faults: What was done.
        period: Seconds between two readings.
        began: When all devices were polled.
        ended: When the end began.
    """
    found = Values()
    times: dict[str, list[float]] = defaultdict(list)
    for at, device in readings:
        if began <= at <= ended:
            times[device].append(at)
    for device, all_times in sorted(times.items()):
        all_times.sort()
        found.due += round((ended - began) / period)
        found.read += len(all_times)
        for before, after in zip([began, *all_times], [*all_times, ended], strict=True):
            missing = round((after - before) / period) - 1
            if missing < 1:
                continue
            kind = _explained(device, before, after, faults)
            found.missed[kind] += missing
            if kind == "unexplained":
                found.unexplained.append((device, before, missing))
    return found


def _explained(device: str, before: float, after: float, faults: Sequence[Fault]) -> str:
    for fault in faults:
        # A device that has failed is asked less and less often, up to as long as it has failed.
        rest = 2 * (fault.ended - fault.began) if fault.kind == "device" else 0.0
        if fault.kind == "device" and fault.target != device:
            continue
        if fault.kind != "outage" and before <= fault.ended + rest + AFTER and after >= fault.began:
            return fault.kind
    return "unexplained"


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
