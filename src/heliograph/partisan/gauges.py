# SPDX-License-Identifier: Apache-2.0
"""What is true of a node from time to time, for a poller to tell."""

from __future__ import annotations

import itertools
from collections import Counter
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, TypeAlias

from heliograph.partisan.events import (
    CONNECTION_CONNECTIONS,
    CONNECTION_MONITORS,
    CONNECTION_NEW,
    CONNECTION_OUTSTANDING,
    CONNECTION_OWNERS,
    DETECTION_HEALTH,
    MEMBERSHIP_VIEW,
    PLUMTREE_BROADCAST_ALL_MEMBERS,
    PLUMTREE_BROADCAST_LAZY_SETS,
    PLUMTREE_BROADCAST_NEWEAGERS,
    PLUMTREE_BROADCAST_OUTSTANDING,
    QUEUE_DELIVERED_BYTES,
    QUEUE_DELIVERED_COUNT,
    QUEUE_RETRANSMITTED_BYTES,
    QUEUE_RETRANSMITTED_COUNT,
    QUEUE_UNACKNOWLEDGED_BYTES,
    QUEUE_UNACKNOWLEDGED_COUNT,
    QUEUE_UNDELIVERED_BYTES,
    QUEUE_UNDELIVERED_COUNT,
)

if TYPE_CHECKING:
    from heliograph.partisan.driver import Driver
    from heliograph.partisan.events import QueueUnacknowledgedCountMetadata
    from heliograph.poller import Poller

__all__ = ["Gauges"]

_Side: TypeAlias = Literal["client", "server"]
_View: TypeAlias = Literal["active", "passive"]
_numbers: Final = itertools.count(1)
# Our choice: how often a look at what another thread changes meanwhile is tried.
_ATTEMPTS: Final = 10


class _Queue(NamedTuple):
    """Of one channel to one peer: messages, and their bytes."""

    unacknowledged: tuple[int, int]
    undelivered: tuple[int, int]
    retransmitted: tuple[int, int]
    delivered: tuple[int, int]


class _Trees(NamedTuple):
    """Of the broadcast trees."""

    outstanding: int
    eager: int
    lazy: int
    members: int
    roots: dict[str, tuple[int, int]]
    """How many neighbors are eager and lazy for each root."""


class _State(NamedTuple):
    connections: dict[tuple[str, str, _Side], int]
    queues: dict[tuple[str, str], _Queue]
    monitors: int
    dials: int
    owners: int
    opened: int
    views: dict[_View, int]
    trees: _Trees
    health: int | None


class Gauges:
    """The gauges of one node. What was told once is told again, at 0 when it is no more.

    Args:
        driver: The node's driver.
    """

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self._told: set[tuple[str, str, _Side]] = set()
        self._told_roots: set[str] = set()
        self._opened = 0

    def poll_with(self, poller: Poller, period: float | None) -> str:
        """Let a poller take them; return the measurement's name there."""
        name = f"partisan.gauges.n{next(_numbers)}"
        poller.add(name, self.measure, period=period)
        return name

    async def measure(self) -> None:
        """Execute all the events; the poller may be in another thread than the node."""
        for attempt in range(_ATTEMPTS):
            try:
                state = self._look()
                break
            except RuntimeError:  # a dictionary has changed meanwhile
                if attempt == _ATTEMPTS - 1:
                    raise
        self._tell(state)

    def _look(self) -> _State:
        driver = self._driver
        connections: Counter[tuple[str, str, _Side]] = Counter()
        links = [*driver.links.values()]
        for link in links:
            if link.peer is not None and link.channel is not None:
                connections[link.peer, link.channel, link.side] += 1
        queues: dict[tuple[str, str], _Queue] = {}
        for stream in [*driver.core.delivery.streams()]:
            unsent, unsent_bytes = stream.unsent, stream.unsent_bytes
            key = (str(stream.peer), str(stream.channel))
            this = _Queue(
                (len(stream) - unsent, stream.bytes - unsent_bytes),
                (unsent, unsent_bytes),
                (stream.retransmitted, stream.retransmitted_bytes),
                (stream.delivered, stream.delivered_bytes),
            )
            before = queues.get(key)
            if before is not None:
                this = _Queue(
                    *[(a + c, b + d) for (a, b), (c, d) in zip(before, this, strict=True)]
                )
            queues[key] = this
        detecting = driver.core.detecting
        return _State(
            dict(connections),
            queues,
            len(driver.core.remote),
            driver.dialler.under_way,
            len(links),
            driver.opened,
            driver.views(),
            self._trees(),
            None if detecting is None else detecting.detector.health.score,
        )

    def _trees(self) -> _Trees:
        core = self._driver.core
        plumtree = core.trees.plumtree
        neighbors = len(plumtree.neighbors)
        return _Trees(
            plumtree.outstanding,
            neighbors,
            0,
            len(core.specs()),
            {
                str(root): (len(plumtree.eager(root)), len(plumtree.lazy(root)))
                for root in plumtree.roots
            },
        )

    def _tell(self, state: _State) -> None:
        node = str(self._driver.name)
        gone = dict.fromkeys(self._told - state.connections.keys(), 0)
        self._told = set(state.connections)
        for (peer, channel, side), count in {**state.connections, **gone}.items():
            CONNECTION_CONNECTIONS.execute(
                {"count": count}, {"node": node, "peer": peer, "channel": channel, "side": side}
            )
        opened, self._opened = state.opened - self._opened, state.opened
        CONNECTION_MONITORS.execute({"count": state.monitors}, {"node": node})
        CONNECTION_NEW.execute({"count": opened}, {"node": node})
        CONNECTION_OUTSTANDING.execute({"count": state.dials}, {"node": node})
        CONNECTION_OWNERS.execute({"count": state.owners}, {"node": node})
        for view, count in state.views.items():
            MEMBERSHIP_VIEW.execute({"count": count}, {"node": node, "view": view})
        self._tell_trees(state.trees)
        if state.health is not None:
            DETECTION_HEALTH.execute({"score": state.health}, {"node": node})
        for (peer, channel), queue in state.queues.items():
            where: QueueUnacknowledgedCountMetadata
            where = {"node": node, "peer": peer, "channel": channel}
            count, size = queue.unacknowledged
            QUEUE_UNACKNOWLEDGED_COUNT.execute({"count": count}, where)
            QUEUE_UNACKNOWLEDGED_BYTES.execute({"bytes": size}, {**where})
            count, size = queue.undelivered
            QUEUE_UNDELIVERED_COUNT.execute({"count": count}, {**where})
            QUEUE_UNDELIVERED_BYTES.execute({"bytes": size}, {**where})
            count, size = queue.retransmitted
            QUEUE_RETRANSMITTED_COUNT.execute({"count": count}, {**where})
            QUEUE_RETRANSMITTED_BYTES.execute({"bytes": size}, {**where})
            count, size = queue.delivered
            QUEUE_DELIVERED_COUNT.execute({"count": count}, {**where})
            QUEUE_DELIVERED_BYTES.execute({"bytes": size}, {**where})

    def _tell_trees(self, trees: _Trees) -> None:
        node = str(self._driver.name)
        PLUMTREE_BROADCAST_OUTSTANDING.execute({"count": trees.outstanding}, {"node": node})
        PLUMTREE_BROADCAST_ALL_MEMBERS.execute({"count": trees.members}, {"node": node})
        # New trees begin with every neighbor eager.
        PLUMTREE_BROADCAST_NEWEAGERS.execute({"count": trees.eager}, {"node": node})
        PLUMTREE_BROADCAST_LAZY_SETS.execute({"count": trees.lazy}, {"node": node})
        gone = dict.fromkeys(self._told_roots - trees.roots.keys(), (0, 0))
        self._told_roots = set(trees.roots)
        for root, (eager, lazy) in {**trees.roots, **gone}.items():
            PLUMTREE_BROADCAST_NEWEAGERS.execute({"count": eager}, {"node": node, "root": root})
            PLUMTREE_BROADCAST_LAZY_SETS.execute({"count": lazy}, {"node": node, "root": root})
