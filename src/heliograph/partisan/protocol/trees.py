# SPDX-License-Identifier: Apache-2.0
"""What a node sends to more than one: its part in the broadcast trees, and in relaying messages.

Both go along the connections that there are: a neighbor of the trees is a peer that this node has
dialled and that has answered, whichever manager has chosen it. So all of this is the same for a
full mesh and for partial views.

A neighbor that does not keep up with what is written to it is spared: messages are announced to it
instead of pushed, and it asks for them when it can.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from heliograph.partisan.errors import NotConnectedError
from heliograph.partisan.protocol.broadcasting import MessageCache
from heliograph.partisan.protocol.counting import Tally
from heliograph.partisan.protocol.effects import (
    Deliver,
    Dropped,
    Grafted,
    Pruned,
    SetTimer,
    Write,
    WriteAll,
)
from heliograph.partisan.protocol.inputs import TimerKey
from heliograph.partisan.protocol.plumtree import Plumtree, Push, Wake
from heliograph.partisan.protocol.relay import Delivered, Relays, Sent
from heliograph.partisan.wire.messages import (
    UNDEFINED,
    Broadcast,
    Forward,
    Graft,
    IgnoredIHave,
    IHave,
    Prune,
    RawRelay,
    Relay,
    parse,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable
    from random import Random

    from heliograph.partisan.protocol.broadcasting import BroadcastHandler
    from heliograph.partisan.protocol.config import ProtocolConfig
    from heliograph.partisan.protocol.effects import Effect
    from heliograph.partisan.protocol.plumtree import TreeEffect
    from heliograph.partisan.protocol.relay import Step
    from heliograph.partisan.wire import Atom, Message, Term

__all__ = ["TREE", "Trees"]

TREE: Final = (Broadcast, Prune, IHave, IgnoredIHave, Graft)
"""Kinds of messages that are for the trees."""
_LAZY: Final = TimerKey("lazy")
_EXCHANGE: Final = TimerKey("exchange")


class Trees:
    """One node's part in broadcasts and relays.

    Args:
        name: The node's name.
        random: Chooses whom to exchange with.
        config: Pace and bounds.
        route: Gives the connections that messages to a peer may go by, by a channel.
        passes_on: Tells whether a peer passes on what it gets for others.
        is_ours: Tells whether a peer is known to be of our kind.

    Attributes:
        raw: Whether relayed messages go without a wrapper, as the original's HyParView has them.
        plumtree: The trees.
        relays: The relays.
        congested: Tells whether more than enough waits in a connection; the driver may set it.
    """

    def __init__(
        self,
        name: Atom,
        *,
        random: Random,
        config: ProtocolConfig,
        route: Callable[[Atom, Atom], tuple[int, ...]],
        passes_on: Callable[[Atom], bool],
        is_ours: Callable[[Atom], bool],
    ) -> None:
        self.name = name
        self.plumtree: Plumtree = Plumtree(name, {}, random=random, config=config.broadcast)
        self.relays: Relays = Relays(name, random=random, config=config.relay)
        self.congested: Callable[[int], bool] = _never
        self._route = route
        self.raw: bool = False
        self._passes_on = passes_on
        self._is_ours = is_ours
        self._exchanging = False
        self._passed = 0
        self._tallies = (
            ("broadcast", Tally(self.plumtree.statistics, _BROADCAST)),
            ("relay", Tally(self.relays.statistics, _RELAY)),
        )

    # --- neighbors ---

    def reached(self, peer: Atom, now: int) -> list[Effect]:
        """Take in a neighbor that can be sent to now."""
        return [*self._carried(self.plumtree.neighbor_up(peer, now), now), *self._paced(now)]

    def lost(self, peer: Atom) -> None:
        """Forget a neighbor that cannot be sent to any more."""
        self.plumtree.neighbor_down(peer)

    # --- broadcasts ---

    def add(self, module: Atom, handler: BroadcastHandler, now: int) -> list[Effect]:
        """Take part in a handler's broadcasts."""
        self.plumtree.handlers[module] = handler
        return self._paced(now)

    def broadcast(self, module: Atom, broadcast: object, now: int) -> list[Effect]:
        """Broadcast something.

        Raises:
            KeyError: There is no handler of this name.
        """
        return self._carried(self.plumtree.broadcast(module, broadcast, now), now)

    def received(
        self, peer: Atom | None, message: Message, channel: Atom, now: int
    ) -> list[Effect]:
        """Take a message of the trees, which came by a channel."""
        if isinstance(message, Broadcast | IHave):
            self._take_part(message.module, channel)
        effects = self._carried(self.plumtree.received(peer, message, now), now)
        return [*effects, *self._counted(peer)]

    def _take_part(self, module: Atom, channel: Atom) -> None:
        """Pass on the broadcasts of a handler that this node lacks, lest the tree end here."""
        handlers = self.plumtree.handlers
        if module in handlers or self._passed >= _PASSED:
            return
        self._passed += 1
        handlers[module] = MessageCache(
            _nobody, _no_id, limit=_KEPT, size=_KEPT_SIZE, remembered=_REMEMBERED, channel=channel
        )

    def fired(self, key: TimerKey, now: int) -> list[Effect]:
        """Take note of the time."""
        if key == _LAZY:
            return self._carried(self.plumtree.lazy_tick(now), now)
        self._exchanging = False
        effects = self._carried(self.plumtree.exchange_tick(now), now)
        return [*effects, *self._paced(now), *self._counted(None)]

    def _paced(self, now: int) -> list[Effect]:
        """Exchange from now on, if there is something, and somebody to do it with."""
        plumtree = self.plumtree
        if self._exchanging or not plumtree.handlers or not plumtree.neighbors:
            return []
        self._exchanging = True
        return [SetTimer(_EXCHANGE, now + plumtree.config.exchange_tick)]

    def _carried(self, wanted: Iterable[TreeEffect], now: int) -> list[Effect]:
        effects: list[Effect] = []
        for each in wanted:
            if isinstance(each, Wake):
                effects.append(SetTimer(_LAZY, each.at))
                continue
            if not isinstance(each, Push):
                effects.append(Dropped("broadcast", each.reason, 1, each.peer, each.message))
                continue
            message, channel = each.message, each.channel
            connections = []
            for peer in each.to:
                found = self._route(peer, channel)
                if not found:
                    continue
                if not self.congested(found[0]):
                    connections.append(found[0])
                elif isinstance(message, Broadcast):
                    wake = self.plumtree.postpone(peer, message, channel, now)
                    effects += [SetTimer(_LAZY, it.at) for it in wake]
                elif not isinstance(message, IHave):  # which come again
                    connections.append(found[0])
            if connections:
                effects.append(WriteAll(tuple(connections), message))
            if isinstance(message, Graft):
                effects.append(Grafted(each.to[0], message.root))
            elif isinstance(message, Prune):
                effects.append(Pruned(each.to[0], message.root))
        return effects

    # --- relays ---

    def relay(self, node: Atom, to: Term, message: Term, ttl: int, now: int) -> list[Effect]:
        """Send a message by way of others.

        Raises:
            NotConnectedError: Nobody is there to take it.
        """
        eager = self._takers()
        step = self.relays.send(node, to, message, eager, now, ttl=ttl, by_reference=self.raw)
        if step is None:
            raise NotConnectedError(
                f"there is no connection to {node} now, nor to another node that could pass a "
                "message on"
            )
        return self._taken(step, None)

    def relayed(
        self,
        peer: Atom | None,
        relay: Relay | RawRelay,
        connected: Collection[Atom],
        now: int,
    ) -> list[Effect]:
        """Take a relayed message."""
        step = self.relays.received(
            peer, relay.node, relay.message, relay.ttl, connected, self._takers(), now
        )
        effects = [] if step is None else self._taken(step, peer)
        return [*effects, *self._counted(peer)]

    def _takers(self) -> tuple[Atom, ...]:
        return tuple(filter(self._passes_on, self.plumtree.eager(self.name)))

    def _taken(self, step: Step, source: Atom | None) -> list[Effect]:
        if isinstance(step, Delivered):
            inner = parse(step.message)
            if not isinstance(inner, Forward):
                return [Dropped("relay", "malformed", 1, source)]
            return [Deliver(inner.to, inner.message, None)]
        kind = RawRelay if self.raw else Relay
        if isinstance(step, Sent):
            found = self._route(step.to, UNDEFINED)
            # Several may send it. A node of our kind tells so by the wrapper.
            wrapped = self._is_ours(step.to)
            last = kind(step.to, step.message, 0) if wrapped else _bare(step.message)
            return [Write(found[0], last)] if found else []
        relay = kind(step.relay.node, step.relay.message, step.relay.ttl)
        found = tuple([each[0] for peer in step.to if (each := self._route(peer, UNDEFINED))])
        return [WriteAll(found, relay)] if found else []

    # --- what was met ---

    def _counted(self, peer: Atom | None) -> list[Effect]:
        return [
            Dropped(protocol, reason, count, peer)
            for protocol, tally in self._tallies
            for reason, count in tally.changes()
        ]


_PASSED: Final = 32
"""Handlers whose broadcasts are passed on without being known here; our choice."""
_KEPT: Final = 256
_KEPT_SIZE: Final = 1024 * 1024
_REMEMBERED: Final = 4_096
_BROADCAST: Final = ("failed", "dropped")
_RELAY: Final = ("expired", "malformed")


def _bare(message: Term) -> Message:
    """Return a message without its padding: not every manager of the original takes that away."""
    match parse(message):
        case Forward(to, ("$partisan_padded", _, content)):
            return Forward(to, content)
        case other:
            return other


def _never(connection: int) -> bool:  # noqa: ARG001 - whichever it is
    return False


def _nobody(payload: Term) -> None:
    """Nobody here wants it."""


def _no_id() -> Term:
    raise LookupError("nothing is broadcast from here by a handler that this node lacks")
