# SPDX-License-Identifier: Apache-2.0
"""Many devices read again and again, and what changed as a stream.

    polling = Polling()
    polling.add(boiler, ["flow_temp", "return_temp"], every=1.0, dead_bands={"flow_temp": 0.2})
    polling.add(boiler, ["serial_number"], every=None, group="static")
    async with polling:
        async for update in polling.updates():
            print(update.device.name, update.changed)

Every group has a task of its own, which reads when it is due and else sleeps: a device that is slow
or dead holds up only what shares its link. There, where requests have to queue, a group that fails
is asked less and less often until it answers again.

It belongs to asyncio, as links do.
"""

from __future__ import annotations

import asyncio
import math
import time
from dataclasses import dataclass, field
from itertools import compress
from operator import ne
from typing import TYPE_CHECKING, Any, Final, Self

from heliograph.modboss.errors import DeviceError, OptionError, UnknownNamesError
from heliograph.modboss.events import POLL_CYCLE, POLL_MISSED
from heliograph.poller import MonotonicClock, Schedule
from heliograph.spans import EMPTY
from heliograph.values import Error, Ok

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping
    from typing import Unpack

    from heliograph.modboss.device import AsyncDevice, DeviceReadOptions
    from heliograph.poller import Clock

__all__ = ["PollGroup", "Polling", "Update"]

_SECOND: Final = 1_000_000_000
# Groups begin in turns, in as many slots: spread, so that hundreds of requests are not made at
# once, and yet together, since each time that a sleeping loop wakes costs more than a request.
_SLOT: Final = _SECOND // 10
_SLOTS: Final = 10
_OK: Final = Ok(None)


@dataclass(slots=True)
class Update:
    """What one group has to tell, since its reader was last told.

    Attributes:
        group: Whose values these are.
        changed: The values that changed, by name; all of them the first time.
        values: The latest values of the group, by name. Don't change it.
        failure: Why the latest cycle gave no values; None if it did.
        at: Time of the latest cycle, seconds since the epoch.
        merged: How many updates this one is made of: above 1 if its reader was slow, which then
            gets the latest values only.
    """

    group: PollGroup
    changed: dict[str, Any]
    values: Mapping[str, Any]
    failure: Exception | None
    at: float
    merged: int = 1

    @property
    def device(self) -> AsyncDevice[Any]:
        """The device that was read."""
        return self.group.device


@dataclass(slots=True, eq=False)
class PollGroup:
    """Mappings of one device that are read together; `Polling.add` makes it.

    Attributes:
        device: The device.
        name: What events call the group.
        names: The mappings.
        every: Seconds between two readings; None for once.
        dead_bands: Mapping name -> by how much a value must differ from what was last told.
        values: The values last told, by name.
        failure: Why the latest cycle gave no values; None if it did, or there was none yet.
        missed: How many cycles were left out because the one before was still under way.
        at: Time of the latest cycle, seconds since the epoch.
    """

    device: AsyncDevice[Any]
    name: str
    names: tuple[str, ...]
    every: float | None
    dead_bands: Mapping[str, float]
    _read: Callable[[], Awaitable[dict[str, Any]]]
    _ordinal: int  # among all that were ever added
    values: dict[str, Any] = field(default_factory=dict)
    failure: Exception | None = None
    missed: int = 0
    at: float = 0.0
    _failed: int = 0  # cycles in a row

    def __repr__(self) -> str:
        return f"<PollGroup {self.name!r} of {self.device.name}, {len(self.names)} mappings>"

    def take(self, values: dict[str, Any]) -> dict[str, Any]:
        """Take what was read; give what of it changed."""
        known = self.values
        if type(values) is dict and len(values) == len(known):
            # The same names in the same order, compared without a step of Python's own.
            differing = compress(values.items(), map(ne, values.values(), known.values()))
            changed = dict(differing)
        else:
            changed = {n: v for n, v in values.items() if n not in known or v != known[n]}
        if not changed:
            return changed
        bands = self.dead_bands
        kept = False
        for name, value in list(changed.items()):
            if value != value or name in bands:  # noqa: PLR0124 - that is how NaN is known
                before = known.get(name)
                nan = value != value and before != before  # noqa: PLR0124 - as above
                if nan or (name in bands and _within(before, value, bands[name])):
                    del changed[name]
                    kept = True
        # What was told before may be held by a reader, so that it is never changed.
        if changed:
            self.values = {**known, **changed} if kept or len(values) < len(known) else values
        return changed


def _within(before: Any, value: Any, band: float) -> bool:
    try:
        return bool(abs(value - before) <= band)
    except TypeError:  # it is no number, or was none
        return False


class Polling:
    """Reads groups of mappings of many devices, each at its own interval.

    `async with` starts and ends it; `run` does so too, until cancelled.

    Args:
        rest: Seconds up to which a group that goes on failing waits between two attempts: the
            interval doubles with each failure. 0 for never longer than the interval.
        clock: Where the time comes from.

    Raises:
        ValueError: `rest` is no number of seconds from 0.
    """

    def __init__(self, *, rest: float = 30.0, clock: Clock | None = None) -> None:
        if not 0 <= rest < math.inf:
            raise ValueError(f"rest is {rest}; it must be a number of seconds from 0")
        self._rest = round(rest * 1e9)
        self._clock: Clock = MonotonicClock() if clock is None else clock
        self._groups: dict[PollGroup, asyncio.Task[None] | None] = {}
        self._readers: list[_Reader] = []
        self._running = False
        self._added = 0

    def __repr__(self) -> str:
        return f"<Polling of {len(self._groups)} groups, {'on' if self._running else 'off'}>"

    # -- Groups -----------------------------------------------------------------------------------

    def add(
        self,
        device: AsyncDevice[Any],
        names: str | Iterable[str] = "all",
        *,
        every: float | None,
        group: str = "default",
        dead_bands: Mapping[str, float] = EMPTY,
        **options: Unpack[DeviceReadOptions],
    ) -> PollGroup:
        """Read mappings from now on.

        Args:
            device: The device.
            names: One mapping, several, or `"all"` that can be read.
            every: Seconds between two readings. None reads them once, for what never changes; a
                failure is then followed by another attempt.
            group: What events call the group; few names for all devices make good metrics.
            dead_bands: Mapping name -> by how much a number must differ from what was last told
                for it to count as changed.
            options: Those of `AsyncDevice.read`. Without `retry` there is one attempt in a cycle:
                the next cycle is another.

        Raises:
            UnknownNamesError: The schema lacks a mapping.
            OptionError: The interval is not above 0, a dead band is negative or of a mapping that
                is not in the group.
        """
        mappings = device.schema.mappings
        if isinstance(names, str):
            names = [n for n, m in mappings.items() if m.readable] if names == "all" else [names]
        chosen = tuple(names)
        unknown = [name for name in chosen if name not in mappings]
        if unknown:
            raise UnknownNamesError(unknown, device.schema.schema_name)
        if every is not None and not 0 < every < math.inf:
            raise OptionError(f"every is {every}; it must be seconds above 0, or None for once")
        for name, band in dead_bands.items():
            if name not in chosen:
                raise OptionError(f"dead band of {name!r}: that mapping is not in the group")
            if not 0 <= band < math.inf:
                raise OptionError(f"dead band of {name!r} is {band}; it must be a number from 0")
        once: DeviceReadOptions = {"retry": None, **options}
        added = PollGroup(
            device,
            group,
            chosen,
            every,
            dict(dead_bands),
            device.reading(chosen, **once),
            self._added,
        )
        self._groups[added] = None
        self._added += 1
        if self._running:
            self._begin(added)
        return added

    def remove(self, group: PollGroup) -> None:
        """Read a group no more; a reading under way is cancelled.

        Raises:
            LookupError: The group is not polled here.
        """
        try:
            task = self._groups.pop(group)
        except KeyError:
            raise LookupError(f"{group!r} is not polled here") from None
        if task is not None:
            task.cancel()

    @property
    def groups(self) -> list[PollGroup]:
        """The groups, in the order they were added."""
        return list(self._groups)

    # -- Updates ----------------------------------------------------------------------------------

    async def updates(self) -> AsyncGenerator[Update, None]:
        """Give what changes, as it changes, until polling ends.

        Several readers may read at once. For one that is slow, updates of the same group become
        one, with the latest values; no more than one for each group ever waits. A reader that
        comes later is first told what is known by then.

        Raises:
            RuntimeError: It is not polling.
        """
        if not self._running:
            raise RuntimeError("it is not polling; enter it before you read its updates")
        reader = _Reader(
            Update(group, dict(group.values), group.values, group.failure, group.at)
            for group in self._groups
            if group.at
        )
        self._readers.append(reader)
        try:
            while True:
                update = await reader.take()
                if update is None:
                    return
                yield update
        finally:
            self._readers.remove(reader)

    # -- Running ----------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        if self._running:
            raise RuntimeError("it is polling already")
        self._running = True
        for group in self._groups:
            self._begin(group)
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._running = False
        tasks = [task for task in self._groups.values() if task is not None]
        for task in tasks:
            task.cancel()
        self._groups = dict.fromkeys(self._groups)
        await asyncio.gather(*tasks, return_exceptions=True)
        for reader in self._readers:
            reader.end()

    async def run(self) -> None:
        """Poll until cancelled.

        Raises:
            RuntimeError: It is polling already.
        """
        async with self:
            await asyncio.get_running_loop().create_future()

    def _begin(self, group: PollGroup) -> None:
        self._groups[group] = asyncio.create_task(
            self._poll(group), name=f"poll {group.name} of {group.device.name}"
        )

    async def _poll(self, group: PollGroup) -> None:
        clock, once = self._clock, group.every is None
        period = _SECOND if group.every is None else max(1, round(group.every * _SECOND))
        slot = min(_SLOT, period // _SLOTS) or 1
        # On a grid that all have in common, so that a slot's groups are due at the same instant.
        begin = -(-clock.now() // slot) * slot
        if not once:
            begin += group._ordinal % _SLOTS * slot
        schedule = Schedule(begin, period, 0, _no_jitter)
        due = schedule.next(begin)
        while True:
            await clock.wait(due)
            await self._cycle(group, due)
            if once and group.failure is None:
                return
            now = clock.now()
            missed = max(0, now - due) // period  # it may have begun a little early, see below
            if missed and not once:
                group.missed += missed
                if POLL_MISSED.handlers:
                    POLL_MISSED.execute(
                        {"misses": missed}, {"device": group.device.name, "group": group.name}
                    )
            # Doubling would be without end; long before that the rest is the longest.
            rest = min(period << min(group._failed - 1, 40), self._rest) if group._failed else 0
            due = schedule.next(max(now, due + rest))

    async def _cycle(self, group: PollGroup, due: int) -> None:
        """Read a group once, and tell what there is to tell."""
        began = self._clock.now()
        changed: dict[str, Any] = {}
        failure: Exception | None = None
        try:
            changed = group.take(await group._read())
        except Exception as exc:  # noqa: BLE001 - a codec may raise anything; the next cycle may not
            failure = exc
        group.at = time.time()
        before, group.failure = group.failure, failure
        group._failed = 0 if failure is None else group._failed + 1
        if changed or not _same(before, failure):
            for reader in self._readers:
                reader.tell(Update(group, dict(changed), group.values, failure, group.at))
        if POLL_CYCLE.handlers:
            POLL_CYCLE.execute(
                {
                    # Timers of whole milliseconds, as uvloop's, wake a sleeper a little early.
                    "lag": max(0, began - due),
                    "cycle_time": self._clock.now() - began,
                    "changes": len(changed),
                },
                {
                    "device": group.device.name,
                    "group": group.name,
                    "outcome": _OK if failure is None else Error(_reason(failure)),
                },
            )


class _Reader:
    """What one reader has not been told yet: one update a group at most."""

    def __init__(self, updates: Iterable[Update]) -> None:
        self._waiting = {update.group: update for update in updates}
        self._ended = False
        self._woken = asyncio.Event()

    def tell(self, update: Update) -> None:
        """Put an update in line, or make one with that which is there."""
        waiting = self._waiting.setdefault(update.group, update)
        if waiting is not update:
            waiting.changed.update(update.changed)
            waiting.values, waiting.failure = update.values, update.failure
            waiting.at = update.at
            waiting.merged += 1
        self._woken.set()

    def end(self) -> None:
        """Say that nothing more will come."""
        self._ended = True
        self._woken.set()

    async def take(self) -> Update | None:
        """Give the oldest update, when there is one; None after the last."""
        while not self._waiting:
            if self._ended:
                return None
            self._woken.clear()
            await self._woken.wait()
        return self._waiting.pop(next(iter(self._waiting)))


def _reason(failure: Exception) -> object:
    return failure.reason if isinstance(failure, DeviceError) else failure


def _same(before: Exception | None, failure: Exception | None) -> bool:
    """Whether a failure has been told before; a different message alone makes no other failure."""
    if before is None or failure is None:
        return before is failure
    return type(before) is type(failure)


def _no_jitter() -> float:
    return 0.0
