# SPDX-License-Identifier: Apache-2.0
"""Events as an asynchronous iterator, through a bounded buffer.

    async with heliograph.stream.events("shop.order.placed") as placed:
        async for snapshot in placed:
            print(snapshot.measurements, snapshot.metadata)

Emitters may be in any thread and never wait: when the buffer is full the oldest snapshot makes room
for the newest and is counted. The reader may be a task of asyncio or of trio; neither is imported
before one runs.

How it works, for whoever changes it:

*   What is attached is the `_Buffer`, which does not know its `Stream`. So a stream that nobody
    holds any more is collected, and its finaliser detaches the buffer.
*   Under the buffer's lock nothing is called and no container is made, so that no finaliser can run
    there and wait for another lock. The lock is re-entrant, because a signal handler may emit.
*   A waiting reader leaves a function that wakes it, and whoever brings something (or closes) takes
    that function away and calls it outside the lock. Items are taken only after waiting, never
    while waiting, so that cancelling a reader loses nothing.
"""

from __future__ import annotations

import os
import weakref
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from threading import RLock, get_ident
from typing import TYPE_CHECKING, Any, Final, Self

from heliograph._waiting import pause, signal
from heliograph.events import STREAM_OVERFLOW
from heliograph.telemetry import HandlerNotFoundError, default

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from heliograph.events import StreamOverflowMeasurements, StreamOverflowMetadata
    from heliograph.telemetry import Event, Telemetry

__all__ = ["Snapshot", "Stream", "events"]

# Our choice: a reader that always finds something lets other tasks run after so many snapshots.
_READS_BEFORE_PAUSE: Final = 64

_numbers: Final = count(1)
_streams: Final[weakref.WeakSet[Stream]] = weakref.WeakSet()


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One event as it was when it was executed.

    The two mappings are copies, and so are the lists, dictionaries and sets directly in them; what
    lies deeper, and every other object, is the emitter's own.

    Attributes:
        event: Its name.
        measurements: Its measurements.
        metadata: Its metadata.
        thread: Identifier of the emitter's thread, as `threading.get_ident` gives it.
        dropped: How many snapshots were dropped from the buffer since the one read before this.
    """

    event: str
    measurements: Mapping[str, Any]
    metadata: Mapping[str, Any]
    thread: int
    dropped: int = 0

    @classmethod
    def take(
        cls, event: str, measurements: Mapping[str, Any], metadata: Mapping[str, Any]
    ) -> Snapshot:
        """Return one event as it is now, executed in this thread."""
        return cls(event, _copy(measurements), _copy(metadata), get_ident())


class _Buffer:
    """The handler of a stream: keeps the newest snapshots until somebody takes them."""

    __slots__ = (
        "about",
        "capacity",
        "closed",
        "dropped",
        "gap",
        "items",
        "lock",
        "overflow",
        "overflowing",
        "reported",
        "wake",
    )

    def __init__(self, telemetry: Telemetry, name: str, names: tuple[str, ...], capacity: int):
        self.capacity = capacity
        self.items: deque[tuple[str, dict[str, Any], dict[str, Any], int]] = deque()
        self.lock = RLock()
        self.wake: Callable[[], None] | None = None
        self.closed = False
        self.dropped = 0  # in all
        self.gap = 0  # since the last snapshot was taken
        self.reported = 0  # of all dropped, those that an overflow event has told of
        self.overflowing = False
        self.overflow: Event[StreamOverflowMeasurements, StreamOverflowMetadata]
        self.overflow = telemetry.event(STREAM_OVERFLOW.name)
        self.about: StreamOverflowMetadata = {"stream": name, "events": names}

    def push(
        self,
        event: str,
        measurements: Mapping[str, Any],
        metadata: Mapping[str, Any],
        _config: object = None,
    ) -> None:
        if metadata is self.about:
            return  # what this stream says of itself would push out what it was opened for
        try:
            item = (event, _copy(measurements), _copy(metadata), get_ident())
        except Exception:  # noqa: BLE001 - an unreadable mapping is one lost event, not the end
            item = None
        begins = False
        oldest = None  # released after the lock: releasing may run anybody's finaliser
        with self.lock:
            if self.closed:
                return
            if item is not None:
                self.items.append(item)
            if item is None or len(self.items) > self.capacity:
                if item is not None:
                    oldest = self.items.popleft()
                self.dropped += 1
                self.gap += 1
                if not self.overflowing:
                    begins = self.overflowing = True
                    self.reported += 1
            wake, self.wake = self.wake, None
        del oldest
        if begins:
            self.report(1)
        if wake is not None:
            wake()

    def take(self) -> Snapshot | None:
        with self.lock:
            if not self.items:
                return None
            event, measurements, metadata, thread = self.items.popleft()
            gap, self.gap = self.gap, 0
            untold = 0
            # Half empty, so that a reader who is just too slow makes one report and not thousands.
            if self.overflowing and len(self.items) <= self.capacity // 2:
                untold = self.settle()
        self.report(untold)
        return Snapshot(event, measurements, metadata, thread, gap)

    def close(self) -> None:
        with self.lock:
            if self.closed:
                return
            self.closed = True
            untold = self.settle()
            wake, self.wake = self.wake, None
        self.report(untold)
        if wake is not None:
            wake()

    def settle(self) -> int:
        """End an episode of dropping; return how many drops no event has told of yet."""
        self.overflowing = False
        untold = self.dropped - self.reported
        self.reported = self.dropped
        return untold

    def report(self, lost: int) -> None:
        if lost and self.overflow.handlers:
            self.overflow.execute({"count": lost, "capacity": self.capacity}, self.about)

    def expect(self, wake: Callable[[], None]) -> bool:
        """Have `wake` called when there is something to read, or the stream closes.

        Returns:
            False if that is so already; `wake` will not be called then.
        """
        with self.lock:
            if self.items or self.closed:
                return False
            self.wake = wake
            return True

    def forget(self, wake: Callable[[], None]) -> None:
        with self.lock:
            if self.wake is wake:
                self.wake = None


class Stream:
    """An asynchronous iterator over snapshots of events; `events` makes one.

    It listens from the moment it is made. Leaving `async with`, `close`, or dropping the last
    reference ends that; what is in the buffer at a close can still be read, and then the iteration
    ends. One task reads at a time.

    Attributes:
        name: What it is called in `heliograph.stream.overflow`.
        events: The names it listens to; empty if it listens to every event.
        capacity: How many snapshots the buffer holds.
    """

    __slots__ = (
        "__weakref__",
        "_buffer",
        "_end",
        "_reading",
        "_reads",
        "capacity",
        "events",
        "name",
    )

    def __init__(
        self, names: tuple[str, ...], capacity: int, name: str | None, telemetry: Telemetry
    ) -> None:
        if isinstance(capacity, bool) or not isinstance(capacity, int):
            raise TypeError(f"capacity {capacity!r} is not an integer; give a number of snapshots")
        if capacity < 1:
            raise ValueError(f"capacity is {capacity}; the buffer must hold at least 1 snapshot")
        self.name: str = f"events-{next(_numbers)}" if name is None else name
        self.events: tuple[str, ...] = tuple(dict.fromkeys(names))
        self.capacity: int = capacity
        self._reading = False
        self._reads = 0
        self._buffer = buffer = _Buffer(telemetry, self.name, self.events, capacity)
        detach: Callable[[], None]
        if names:
            handler_id = f"heliograph.stream:{self.name}"
            telemetry.attach_many(handler_id, self.events, buffer.push, on_failure="keep")

            def detach() -> None:
                with suppress(HandlerNotFoundError):  # somebody may have detached it by its id
                    telemetry.detach(handler_id)

        else:
            detach = telemetry.observe(buffer.push).close
        self._end = weakref.finalize(self, _close, buffer, detach)
        self._end.atexit = False
        _streams.add(self)

    @property
    def dropped(self) -> int:
        """How many snapshots were lost to a full buffer since the stream was made.

        An event whose mappings could not be read counts among them.
        """
        return self._buffer.dropped

    @property
    def closed(self) -> bool:
        """Whether it has stopped listening."""
        return self._buffer.closed

    def close(self) -> None:
        """Stop listening; closing twice is closing once. May be called in any thread."""
        self._end()

    async def aclose(self) -> None:
        """Do what `close` does, for `contextlib.aclosing`."""
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        self.close()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Snapshot:
        if self._reading:
            raise RuntimeError(
                f"another task is reading the stream {self.name!r}; open one stream for each reader"
            )
        self._reading = True
        try:
            self._reads += 1
            if self._reads > _READS_BEFORE_PAUSE:
                self._reads = 0
                await pause()
            while True:
                closed = self.closed  # asked first: what came before the close is still read
                snapshot = self._buffer.take()
                if snapshot is not None:
                    return snapshot
                if closed:
                    raise StopAsyncIteration
                self._reads = 0
                arrival, wake = signal()
                if self._buffer.expect(wake):
                    try:
                        await arrival()
                    finally:
                        self._buffer.forget(wake)
        finally:
            self._reading = False

    def __repr__(self) -> str:
        listens = ", ".join(self.events) or "every event"
        state = "closed" if self.closed else f"{len(self._buffer.items)} of {self.capacity} waiting"
        return f"<stream {self.name!r} of {listens}: {state}, {self.dropped} dropped>"


def events(
    *names: str,
    capacity: int = 1024,
    name: str | None = None,
    telemetry: Telemetry | None = None,
) -> Stream:
    """Return a stream of snapshots of the named events, or of every event if none is named.

    It listens at once, so that nothing is lost between this call and the first read. Every event
    includes those with names nobody attached to; the stream's own overflow event is left out.

    When the buffer is full the oldest snapshot is dropped: `Stream.dropped` counts them all,
    `Snapshot.dropped` says where they are missing, and `heliograph.stream.overflow` is executed
    when dropping begins and when the reader has caught up.

    Args:
        *names: Exact names of events; one named twice counts once.
        capacity: How many snapshots may wait to be read.
        name: What the stream is called in its overflow event and, after `heliograph.stream:`, as a
            handler; `events-1`, `events-2` and so on by default.
        telemetry: The dispatcher; the default one if None.

    Raises:
        EventNameError: A name is malformed.
        HandlerExistsError: A stream of this name is open.
        TypeError: A name is no string, or the capacity no integer.
        ValueError: The capacity is less than 1.
    """
    return Stream(names, capacity, name, default() if telemetry is None else telemetry)


def _close(buffer: _Buffer, detach: Callable[[], None]) -> None:
    detach()
    buffer.close()


def _copy(mapping: Mapping[str, Any]) -> dict[str, Any]:
    copied = dict(mapping)
    for key, value in copied.items():
        if value.__class__ in _CONTAINERS:
            copied[key] = value.copy()
    return copied


_CONTAINERS: Final[frozenset[type[Any]]] = frozenset({dict, list, set})


def _forget_parent() -> None:
    """Close the streams that a forked child inherited: their readers live in the parent."""
    for stream in list(_streams):
        buffer = stream._buffer
        buffer.lock = RLock()  # another thread of the parent may have held it
        buffer.wake = None
        buffer.settle()  # what is untold is for the parent to tell
        stream.close()


if hasattr(os, "register_at_fork"):  # pragma: no branch - absent on Windows only
    os.register_at_fork(after_in_child=_forget_parent)
