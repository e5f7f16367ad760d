# SPDX-License-Identifier: Apache-2.0
"""Who comes and goes, as callbacks and as a stream."""

from __future__ import annotations

import logging
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, Self, TypeAlias, cast

from heliograph.partisan.waiting import waiter_factory

if TYPE_CHECKING:
    from collections.abc import Callable

    from heliograph.partisan.waiting import MakeWaiter, Waiter

__all__ = [
    "Change",
    "ChangeKind",
    "Changes",
    "NodeDown",
    "NodeDownReason",
    "NodeMonitor",
    "Subscription",
    "Watchers",
]

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

NodeDownReason: TypeAlias = Literal[
    "leave",
    "evicted",
    "closed",
    "failure",
    "timeout",
    "shutdown",
    "noconnection",
    "demonitored",
]
"""Why a monitored node counts as down.

`"leave"`: it has left the cluster, or was removed; `"evicted"`: a partial view had no room for it;
`"closed"`: it has hung up; `"failure"`: a connection broke; `"timeout"`: it was silent;
`"shutdown"`: this node was left; `"noconnection"`: there was no connection when the monitor began;
`"demonitored"`: the monitor was closed before.
"""

_ENDS: Final = frozenset({"down", "leave", "neighbor_down"})
"""What ends a monitor; the one that comes first says why."""
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


@dataclass(frozen=True, slots=True)
class NodeDown:
    """What a monitor of a node tells.

    Attributes:
        node: The node's name.
        reason: Why it counts as down.
        at: When this node noticed, in seconds since 1970.
    """

    node: str
    reason: NodeDownReason
    at: float


class NodeMonitor:
    """A monitor of a node: tells once when and why it is down. Made by `Node.monitor_node`.

        with node.monitor_node("n1@127.0.0.1") as monitor:
            down = await monitor.down()

    It is `partisan:monitor_node/2` of the original, with the reason.

    Attributes:
        node: The node's name.
    """

    __slots__ = ("_down", "_end", "_waiters", "node")

    def __init__(self, node: str, end: Callable[[NodeMonitor], None]) -> None:
        self.node: str = node
        self._down: NodeDown | None = None
        self._end = end
        self._waiters: list[Waiter] = []

    @property
    def ended(self) -> bool:
        """Whether the node is down, or the monitor closed."""
        return self._down is not None

    async def down(self) -> NodeDown:
        """Wait until the node is down; return at once if it was meanwhile, or never was up."""
        while self._down is None:
            waiter = waiter_factory()()
            self._waiters.append(waiter)
            try:
                await waiter.wait()
            finally:
                if waiter in self._waiters:
                    self._waiters.remove(waiter)
        return self._down

    def close(self) -> None:
        """End the monitor; closing twice is closing once."""
        self._ended("demonitored")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _ended(self, reason: NodeDownReason) -> None:
        if self._down is not None:
            return
        self._down = NodeDown(self.node, reason, time.time())
        self._end(self)
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            waiter.set()


class Watchers:
    """Everybody who wants to hear of changes."""

    def __init__(self) -> None:
        self._monitors: dict[str, dict[NodeMonitor, None]] = {}
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

    def monitor(self, node: str, *, connected: bool) -> NodeMonitor:
        """Monitor a node.

        Args:
            node: Its name.
            connected: Whether there is anything to monitor; the monitor has ended already if not.
        """
        monitor = NodeMonitor(node, self._demonitor)
        self._monitors.setdefault(node, {})[monitor] = None
        if not connected:
            monitor._ended("noconnection")
        return monitor

    def _demonitor(self, monitor: NodeMonitor) -> None:
        monitors = self._monitors[monitor.node]
        del monitors[monitor]
        if not monitors:
            del self._monitors[monitor.node]

    def _end_monitors(self, node: str, reason: NodeDownReason) -> None:
        for monitor in [*self._monitors.get(node, ())]:
            monitor._ended(reason)

    def tell(self, change: Change) -> None:
        """Tell everybody; a callback that raises is logged, and called again the next time."""
        if change.kind in _ENDS and self._monitors:
            self._end_monitors(change.node, cast("NodeDownReason", change.reason or "leave"))
        for stream in self._streams:
            stream._put(change)
        for wanted, callback in [*self._callbacks.values()]:
            if wanted(change):
                try:
                    callback(change)
                except Exception:  # noqa: BLE001 - whatever it is, it is not the cluster's affair
                    _log.exception("a callback failed on %r", change)

    def close(self) -> None:
        """End all streams and monitors, and forget the callbacks."""
        for node in [*self._monitors]:
            self._end_monitors(node, "shutdown")
        self._callbacks.clear()
        for stream in [*self._streams]:
            stream.close()
