# SPDX-License-Identifier: Apache-2.0
"""Our node in the place of one whose broadcasts were recorded."""

from __future__ import annotations

import random
from collections.abc import Iterable
from typing import Any, cast

from heliograph.partisan.protocol.broadcasting import BroadcastHandler
from heliograph.partisan.protocol.plumtree import Plumtree, PlumtreeConfig, Push
from heliograph.partisan.wire import Atom, Term, exact
from heliograph.partisan.wire.messages import (
    UNDEFINED,
    Broadcast,
    Graft,
    IgnoredIHave,
    IHave,
    Message,
    Prune,
)
from tests.partisan.overlay_player import Now, Player
from tests.partisan.recorded import Record

__all__ = ["TREE", "TreePlayer"]

TREE = (Broadcast, Prune, IHave, IgnoredIHave, Graft)
_SECOND = 1_000_000_000


class _Values(BroadcastHandler):
    """A handler that knows each message; of heartbeats, the latest of each node."""

    def __init__(self, channel: Atom) -> None:
        self.channel = channel
        self._values: dict[bytes, Term] = {}
        self._beats: dict[bytes, tuple[int, int]] = {}

    def broadcast_data(self, broadcast: Any) -> tuple[Term, Term]:
        self.merge(*broadcast)
        return cast("tuple[Term, Term]", broadcast)

    def merge(self, message_id: Term, payload: Term) -> bool:
        new = not self.is_stale(message_id)
        if new:
            self._values[exact(message_id)] = payload
            match message_id:
                case (node, int(epoch), int(count)):
                    self._beats[exact(node)] = (epoch, count)
                case _:
                    pass
        return new

    def is_stale(self, message_id: Term) -> bool:
        match message_id:
            case (node, int(epoch), int(count)):
                return (epoch, count) <= self._beats.get(exact(node), (0, 0))
            case _:
                return exact(message_id) in self._values

    def graft(self, message_id: Term) -> Term:
        return self._values[exact(message_id)]


class TreePlayer(Player):
    channels = (UNDEFINED, Atom("partisan_membership"))

    def make(self) -> Plumtree:
        found: dict[Atom, Atom] = {}
        for record in self.records:
            message = None if record.ended else record.message()
            if isinstance(message, Broadcast | IHave):
                found.setdefault(message.module, record.channel or UNDEFINED)
        handlers: dict[Atom, BroadcastHandler] = {
            module: _Values(channel) for module, channel in found.items()
        }
        # Peers that could not be read from the wire play no part: all the others are neighbors.
        config = PlumtreeConfig(threshold=None, frugal=False)
        tree = Plumtree(self.name, handlers, random=random.Random(1), config=config)
        for each in self.names:
            tree.neighbor_up(each, 0)
        return tree

    def hear(self, current: Now, record: Record, message: Message) -> None:
        if isinstance(message, TREE):
            self._take(current, current.machine.received(record.sender, message, current.now))

    def cause(self, record: Record, message: Message) -> None:
        current = self.current
        match message:
            case Broadcast(message_id, payload, module, 0, root) if root == self.name:
                data = (message_id, payload)
                self._take(current, current.machine.broadcast(module, data, current.now))
            case IHave():
                current.now += 2 * _SECOND
                self._take(current, current.machine.lazy_tick(current.now))
            case _:
                super().cause(record, message)

    def _take(self, current: Now, effects: Iterable[Any]) -> None:
        for effect in effects:
            if isinstance(effect, Push):
                for to in effect.to:
                    self.send(current, to, effect.channel, effect.message)
