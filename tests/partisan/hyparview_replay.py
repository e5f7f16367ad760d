# SPDX-License-Identifier: Apache-2.0
"""Our node in the place of one whose partial views were recorded.

What a node chose by chance, it chooses as was recorded, if it may: whom a walk goes on to, who is
given up, who is asked, and whom an exchange tells of must be among those that our node could have
chosen. What was recorded of the original and cannot be asked of ours:

*   It forgets whom it gives up, so our node may know more replacements, and tell of as many.
*   A shuffle that cannot walk on before its end is dropped by the original, and answered by ours.
*   Its acceptors tell of the views that the manager has just then: any that our node had at some
    time in the scene will do.
*   A node that was killed says nothing more; what our node would have done then is not looked at.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

from heliograph.partisan.protocol.overlay import interface as on
from heliograph.partisan.protocol.overlay.hyparview import HyParView
from heliograph.partisan.protocol.overlay.settings import HyParViewConfig
from heliograph.partisan.wire import Atom, NodeSpec, Term
from heliograph.partisan.wire.messages import (
    UNDEFINED,
    Disconnect,
    Forward,
    ForwardJoin,
    Join,
    Message,
    NeighborAccepted,
    NeighborRejected,
    NeighborRequest,
    Shuffle,
    ShuffleReply,
    State,
)
from tests.partisan.overlay_player import Now, OverlayPlayer
from tests.partisan.recorded import NOBODY, Failure, Record

__all__ = ["HyParViewPlayer"]


class _Plan:
    """What the recorded node sent from some time on, to whom. It is shared, not copied."""

    def __init__(self) -> None:
        self.ahead: Sequence[tuple[Atom, Message]] = ()

    def __deepcopy__(self, memo: dict[int, Any]) -> _Plan:
        return self

    def next(self, kind: type[Any] | tuple[type[Any], ...], **wanted: Any) -> Any:
        """Return the next message of a kind that has what is wanted, with its receiver."""
        for to, message in self.ahead:
            if isinstance(message, kind) and all(
                getattr(message, name) == value for name, value in wanted.items()
            ):
                return to, message
        return None, None


class _Recorded(HyParView):
    """Chooses what was recorded, and fails where it could not have chosen that."""

    plan: _Plan
    to: Atom | None = None
    """Whom the walk at hand goes on to."""
    telling: type[Any] | tuple[type[Any], ...] = ()
    """The kind of message that an exchange is for."""
    told_to: Atom | None = None

    def received(self, peer: Atom | None, message: Message, now: int) -> list[on.Effect]:
        self.to, self.telling, self.told_to = None, (), peer
        match message:
            case Shuffle(exchange, ttl):
                self.to, _ = self.plan.next(Shuffle, exchange=exchange, ttl=ttl - 1)
                self.telling = ShuffleReply
            case ForwardJoin(joiner, _, _, ttl):
                self.to, _ = self.plan.next(ForwardJoin, joiner=joiner, ttl=ttl - 1)
            case NeighborRequest():
                self.telling = (NeighborAccepted, NeighborRejected)
            case _:
                pass
        effects = super().received(peer, message, now)
        if isinstance(message, Shuffle) and message.ttl > 0:
            # The original says nothing where the walk cannot go on.
            effects = [each for each in effects if not _is(each, ShuffleReply)]
        return effects

    def _someone(self, but: Atom | None = None, nor: Atom | None = None) -> NodeSpec | None:
        if self.to is not None and self.to not in (but, nor):
            return self.neighbors.get(self.to)
        return None

    def _victim(self) -> NodeSpec:
        to, _ = self.plan.next(Disconnect)
        if to not in self.neighbors:
            raise Failure(f"our node gives up a neighbor, the recorded one gives up {to}")
        return self.neighbors[to]

    def _choose(self, replacements: list[NodeSpec], count: int) -> list[NodeSpec]:
        to, _ = self.plan.next(NeighborRequest)
        return [each for each in replacements if each.name == to][:count]

    def some_passive(self, count: int) -> list[NodeSpec]:
        _, reply = self.plan.next(ShuffleReply)
        wanted = () if reply is None else reply.exchange
        if len(wanted) > count or any(each.name not in self.passive for each in wanted):
            wanted = ()
        return list(wanted)

    def request(self, spec: NodeSpec, now: int, *, high: bool = False) -> on.Effect:
        self.telling = NeighborRequest
        return super().request(spec, now, high=high)

    def exchange(self) -> tuple[NodeSpec, ...]:
        _, message = self.plan.next(self.telling)
        if message is None:
            return (self.spec,)
        told: tuple[NodeSpec, ...] = message.exchange
        known = {each.name: each for each in (self.spec, *self.neighbors.values())}
        known.update(self.passive)
        config = self.config
        if (
            self.spec not in told
            or any(known.get(each.name) != each for each in told)
            or len(told) > 1 + config.shuffle_active + config.shuffle_passive
        ):
            return (self.spec,)
        return told


class HyParViewPlayer(OverlayPlayer):
    """Our node in the place of one whose partial views were recorded."""

    channels = (UNDEFINED,)

    def make(self) -> HyParView:
        self.plan = _Plan()
        self.views: list[frozenset[Atom]] = [frozenset({self.name})]
        self.said: list[tuple[Record, frozenset[Atom]]] = []
        own = [
            message
            for record in self.records
            if not record.ended
            for message in (record.message(),)
            if record.sender != NOBODY
        ]
        # What a file was recorded with is not in it: sizes and lengths of walks show in messages.
        states = [len(_view(each.state)) for each in own if isinstance(each, State)]
        walks = [each.ttl for each in own if isinstance(each, Shuffle)]
        config = HyParViewConfig(
            active=max(states, default=6) - 1,
            active_walk=max(walks, default=6),
            passive_walk=1,
            check_interval=None,
            look_over=False,
            restless=0,
            deny_for=0,
            as_original=True,
        )
        node = _Recorded(self.specs[self.name], random=random.Random(1), config=config)
        node.plan = self.plan
        return node

    # --- a scene ---

    def scene(self, records: Sequence[Record]) -> int:
        self.mine = [each for each in records if not each.ended and each.sender == self.name]
        self.views, self.said = [self._members()], []
        last = max((each.line for each in self.mine), default=0)
        self.scene_ends = records[-1].line if self._lives_on(records[-1].line) else last
        self.lost: set[int] = set()
        for record in records:
            if record.sender == NOBODY and not record.ended:
                raise Failure(f"line {record.line}: nobody is known to have sent it")
        compared = super().scene(records)
        for record, view in self.said:
            if view not in self.views:
                raise Failure(f"line {record.line}: our node never had the view {sorted(view)}")
        return compared

    def _lives_on(self, line: int) -> bool:
        """Tell whether a node is in the file after a line, or is not killed in this scene."""
        ends = [each for each in self.records if each.ended and each.line <= line]
        if any(each.line > line and each.sender == self.name for each in self.records):
            return True
        mine = {each.connection for each in self.records if self.name in {each.client, each.server}}
        return not ends or not mine <= {each.connection for each in self.records if each.ended}

    def ended(self, record: Record) -> None:
        """A connection is gone; it counts if our node has dialled it, as in the original."""
        if record.client != self.name or record.connection in self.lost:
            return
        if record.line > self.scene_ends:
            return
        self.lost.add(record.connection)
        self.current.inbox.setdefault(record.connection, []).append(record)

    def hear(self, current: Now, record: Record, message: Message | None) -> None:
        self._look_ahead(record.line)
        if message is None:
            self.do(on.Lost(record.server, "closed"), current)
        elif not isinstance(message, Forward):
            self.do(on.Received(record.sender, message), current)

    def _look_ahead(self, line: int) -> None:
        self.plan.ahead = [
            (each.server if each.from_client else each.client, each.message())
            for each in self.mine
            if each.line >= line
        ]

    def cause(self, record: Record, message: Message) -> None:
        self._look_ahead(record.line)
        overlay: _Recorded = self.current.machine
        match message:
            case Join():
                self.do(on.Join(self.specs[record.server]))
            case Shuffle(_, ttl, sender) if (
                sender == overlay.spec and ttl == overlay.config.active_walk
            ):
                overlay.to, overlay.telling = record.server, Shuffle
                self.do(on.Fired("shuffle"))
            case NeighborRequest():
                self.do(on.Fired("promotion"))
            case Forward() if record.server in overlay.neighbors:
                self.send(self.current, record.server, UNDEFINED, message)
            case _:
                super().cause(record, message)

    def do(self, happened: on.Input, current: Now | None = None) -> None:
        super().do(happened, current)
        machine = (current or self.current).machine
        self.views.append(frozenset({self.name, *machine.neighbors}))

    def _members(self) -> frozenset[Atom]:
        return frozenset({self.name, *self.current.machine.neighbors})

    def as_written(self, record: Record, recorded: Term, ours: Term) -> bool:
        match recorded, ours:
            case ("state", tag, ("state", _, epoch)), ("state", own_tag, ("state", _, own_epoch)):
                known = recorded[2]
                self.said.append((record, frozenset(_view(known))))
                return tag == own_tag and epoch == own_epoch
            case _:
                return super().as_written(record, recorded, ours)


def _is(effect: on.Effect, kind: type) -> bool:
    return isinstance(effect, on.Send) and isinstance(effect.message, kind)


def _view(state: Any) -> list[Atom]:
    match state:
        case ("state", view, int()):
            return [NodeSpec.parse(key).name for key in [*view]]
        case _:
            raise Failure(f"no state of HyParView: {state!r:.80}")
