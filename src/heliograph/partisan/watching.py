# SPDX-License-Identifier: Apache-2.0
"""Who comes and goes, as callbacks and as a stream."""

from __future__ import annotations

import logging
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, Self, TypeAlias

from heliograph.partisan.waiting import waiter_factory

if TYPE_CHECKING:
    from collections.abc import Callable

    from heliograph.partisan.waiting import MakeWaiter, Waiter

__all__ = ["Change", "ChangeKind", "Changes", "Subscription", "Watchers"]

ChangeKind: TypeAlias = Literal[
    "join",
    "leave",
    "up",
    "down",
    "channel_up",
    "channel_down",
    "neighbor_up",
    "neighbor_down",
]

_log: Final = logging.getLogger("heliograph.partisan")


@dataclass(frozen=True, slots=True)
class Change:
    """Something that became of a peer.

    Attributes:
        kind: `"join"` and `"leave"` are about membership; `"up"` and `"down"` about connections to
            the peer: all there, or the last one gone; `"channel_up"` and `"channel_down"` the same
            for one channel; `"neighbor_up"` and `"neighbor_down"` about this node's view, if it has
            a partial one.
        node: The peer's name.
        channel: The channel's name, if it is about one.
        reason: Why it is down: `"leave"`, `"evicted"`, `"closed"`, `"failure"`, `"timeout"` or
            `"shutdown"`; None for all that is not about being down.
    """

    kind: ChangeKind
    node: str
    channel: str | None = None
    reason: str | None = None


class Subscription:
    """What `Node.on_up` and `Node.on_down` return: closing it ends the calls."""

    __slots__ = ("_end",)

    def __init__(self, end: Callable[[], None]) -> None:
        self._end: Callable[[], None] | None = end

    def close(self) -> None:
        """Call no more; closing twice is closing once."""
        end, self._end = self._end, None
        if end is not None:
            end()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


class Changes:
    """The changes of a cluster from now on, as an asynchronous iterator. Made by `Node.changes`.

        with node.changes() as changes:
            async for change in changes:
                ...

    It ends when it is closed or the node is left.

    Attributes:
        dropped: Changes that were lost because the reader was too slow.
    """

    __slots__ = (
        "_capacity",
        "_closed",
        "_items",
        "_make_waiter",
        "_on_close",
        "_waiter",
        "dropped",
    )

    def __init__(self, capacity: int, on_close: Callable[[Changes], None]) -> None:
        self.dropped: int = 0
        self._items: deque[Change] = deque()
        self._capacity = capacity
        self._closed = False
        self._make_waiter: MakeWaiter | None = None
        self._waiter: Waiter | None = None
        self._on_close = on_close

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Change:
        while not self._items:
            if self._closed:
                raise StopAsyncIteration
            if self._make_waiter is None:
                self._make_waiter = waiter_factory()
            self._waiter = self._make_waiter()
            await self._waiter.wait()
        return self._items.popleft()

    def close(self) -> None:
        """End it; what it holds can still be read."""
        if not self._closed:
            self._closed = True
            self._on_close(self)
            self._wake()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _put(self, change: Change) -> None:
        if len(self._items) >= self._capacity:
            self._items.popleft()
            self.dropped += 1
        self._items.append(change)
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None:
            self._waiter.set()


class Watchers:
    """Everybody who wants to hear of changes."""

    def __init__(self) -> None:
        self._callbacks: dict[object, tuple[Callable[[Change], bool], Callable[[Change], object]]]
        self._callbacks = {}
        self._streams: list[Changes] = []

    def call(
        self, wanted: Callable[[Change], bool], callback: Callable[[Change], object]
    ) -> Subscription:
        """Call whenever a change is wanted, until the subscription is closed."""
        key = object()
        self._callbacks[key] = (wanted, callback)

        def end() -> None:
            self._callbacks.pop(key, None)

        return Subscription(end)

    def stream(self, capacity: int) -> Changes:
        """Make a stream of all changes."""
        changes = Changes(capacity, self._streams.remove)
        self._streams.append(changes)
        return changes

    def tell(self, change: Change) -> None:
        """Tell everybody; a callback that raises is logged, and called again the next time."""
        for stream in self._streams:
            stream._put(change)
        for wanted, callback in [*self._callbacks.values()]:
            if wanted(change):
                try:
                    callback(change)
                except Exception:  # noqa: BLE001 - whatever it is, it is not the cluster's affair
                    _log.exception("a callback failed on %r", change)

    def close(self) -> None:
        """End all streams, and forget the callbacks."""
        self._callbacks.clear()
        for stream in [*self._streams]:
            stream.close()
