# SPDX-License-Identifier: Apache-2.0
"""Replay recorded conversations of overlays, broadcast trees and causal delivery.

As in `replay`, each node is played by ours in turn, and must send what was recorded, on each
connection in its order. Messages of different connections may have reached the node in another
order than they passed the recorder, if they came within a moment of each other.

What a node decides by chance, it decides as was recorded: whether a subscription is kept is taken
from what it did later. What its applications did, and when timers fired, is inferred from what was
sent for that.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import fields
from typing import Any, cast

from heliograph.partisan.protocol.causal import CausalOrder
from heliograph.partisan.protocol.overlay import interface as on
from heliograph.partisan.protocol.overlay.scamp import ScampConfig, ScampV1, ScampV2
from heliograph.partisan.protocol.overlay.star import ClientServer
from heliograph.partisan.wire import (
    Atom,
    ListenAddr,
    NodeSpec,
    Term,
    TermMap,
    exact,
    same,
)
from heliograph.partisan.wire.messages import (
    UNDEFINED,
    Ack,
    AckedForward,
    Broadcast,
    Causal,
    Forward,
    ForwardSubscription,
    Graft,
    IgnoredIHave,
    IHave,
    KeepSubscription,
    Message,
    Prune,
    RawRelay,
    Relay,
    RemoveSubscription,
    ReplaceSubscription,
    ScampPing,
    State,
    parse,
    parse_payload,
)
from tests.partisan.hyparview_replay import HyParViewPlayer
from tests.partisan.overlay_player import MOMENT, Now, OverlayPlayer, Player
from tests.partisan.recorded import NOBODY, Failure, Record
from tests.partisan.relay_replay import RelayPlayer
from tests.partisan.tree_replay import TreePlayer

__all__ = ["kind_of", "play"]

_SCAMP = (ForwardSubscription, KeepSubscription, RemoveSubscription, ReplaceSubscription, ScampPing)
_SECOND = 1_000_000_000


def kind_of(records: Sequence[Record]) -> str | None:
    """Return what a conversation is about; None if it is one of a full mesh."""
    for message in _messages(records):
        match message:
            case State(_, ("scamp_v1" | "scamp_v2" as kind, *_)):
                return str(kind)
            case State(_, ("full_v1", *_)):
                return None
            case State(_, ("state", *_)):
                return "hyparview"
            case State():
                return "star"
            case Relay() | RawRelay():
                return "relay"
            case Broadcast() | Prune() | IHave() | IgnoredIHave() | Graft():
                return "tree"
            case Forward(_, content) | AckedForward(_, _, _, content) if isinstance(
                parse_payload(content), Causal
            ):
                return "causal"
            case message if isinstance(message, _SCAMP):
                return "scamp_v1"
            case _:
                pass
    return None


def _messages(records: Iterable[Record]) -> Iterator[Message]:
    return (record.message() for record in records if not record.ended)


def play(
    kind: str, scenes: Sequence[Sequence[Record]]
) -> Iterator[tuple[int, str, int, str | None]]:
    """Play each node of each scene; what a node knows after one, it knows in the next.

    Yields:
        Line, node, frames compared, and what went wrong.
    """
    everything = [record for scene in scenes for record in scene]
    names = sorted(
        ({each.client for each in everything} | {each.server for each in everything}) - {NOBODY}
    )
    specs = _specs(everything, names)
    for name in names:
        player = _PLAYERS[kind](name, names, specs, everything)
        for scene in scenes:
            mine = [each for each in scene if name in {each.client, each.server}]
            if not mine:
                continue
            try:
                frames = player.scene(mine)
            except Failure as failure:
                yield scene[0].line, name, 0, str(failure)
                break
            yield scene[0].line, name, frames, None


def _specs(records: Sequence[Record], names: Sequence[Atom]) -> dict[Atom, NodeSpec]:
    found = {
        name: NodeSpec(name, (ListenAddr("127.0.0.1", port),), ())
        for port, name in enumerate(names, 10_001)
    }

    def look(value: object) -> None:
        if isinstance(value, NodeSpec):
            found[value.name] = value
        elif isinstance(value, tuple | list):
            for each in value:
                look(each)
        elif isinstance(value, Message):
            for each in fields(cast("Any", value)):
                look(getattr(value, each.name))
        elif isinstance(value, dict) and "name" in value:
            look(NodeSpec.parse(value))
        elif isinstance(value, dict | TermMap):
            for key in [*value]:
                if isinstance(key, dict) and "name" in key:
                    look(NodeSpec.parse(key))

    for message in _messages(records):
        look(message)
    return found


# --- overlays ---


class _Recorded(random.Random):
    """Chance that falls as it was recorded."""

    def __init__(self) -> None:
        super().__init__(1)
        self.keep = False
        self.to: Atom | None = None

    def random(self) -> float:
        return 0.0 if self.keep else 0.999

    def sample(self, population: Any, k: int, **_: Any) -> list[Any]:
        return [each for each in population if each == self.to][:k]


class _ScampPlayer(OverlayPlayer):
    kind: type[ScampV1 | ScampV2] = ScampV1

    def make(self) -> ScampV1 | ScampV2:
        self.chance = _Recorded()
        self.known: Counter[Atom] = Counter()  # subscriptions that could be passed on
        self.pinged: dict[Atom, float] = {}  # who was pinged last, and when
        config = ScampConfig(as_original=True)
        return self.kind(self.specs[self.name], random=self.chance, config=config)

    def hear(self, current: Now, record: Record, message: Message) -> None:
        if isinstance(message, ForwardSubscription):
            self._decide(current, record, message.spec.name)
            if current is self.current:
                self._count(message, 1)
        super().hear(current, record, message)

    def _expect(self, record: Record, message: Message) -> None:
        try:
            super()._expect(record, message)
        except Failure:
            self._keep_to_itself(record.server)
            if self._attempt(self.current, record, 0) is None and not self._is_excused(
                record, message
            ):
                raise
            self.compared += 1
        self._count(message, -1)
        if isinstance(message, ScampPing):
            self.pinged[record.server] = record.time

    def _keep_to_itself(self, peer: Atom) -> None:
        """Take back what our node would pass on next: the original may have told itself."""
        sent = self.current.out.get((peer, self.channels[0]), [])
        while sent and isinstance(message := parse(sent[0]), ForwardSubscription):
            sent.pop(0)
            self._count(message, 1)

    def excused(self) -> bool:
        for sent in self.current.out.values():
            sent[:] = [each for each in sent if not isinstance(parse(each), ForwardSubscription)]
        return not any(self.current.out.values())

    def _is_excused(self, record: Record, message: Message) -> bool:
        """Tell whether the original does so since it has a node twice.

        It takes a node whose subscription it has kept for a new contact once it is connected to it:
        it joins it, and then has it twice; itself it has in its view from the start. So it pings
        some twice, and tells all it has of the contact, the contact too, and some of them again.
        What it tells itself it passes on like what others tell it.
        """
        match message:
            case ScampPing():
                return record.time - self.pinged.get(record.server, -1.0) < MOMENT
            case ForwardSubscription(spec):
                return self.known[spec.name] > 0
            case _:
                return False

    def _count(self, message: Message, more: int) -> None:
        """Count how often a subscription was told here, and not passed on."""
        if isinstance(message, ForwardSubscription) and self.known[message.spec.name] + more >= 0:
            self.known[message.spec.name] += more

    def _decide(self, current: Now, record: Record, subscriber: Atom) -> None:
        """Find out what the node did with a subscription: the first that tells counts."""
        chance = current.machine._random
        chance.keep, chance.to = False, None
        for later in self.records:
            if later.ended or later.line < record.line or later.sender != self.name:
                continue
            match later.message():
                case ForwardSubscription(spec) if spec.name == subscriber:
                    chance.to = later.server
                    return
                case KeepSubscription() | ScampPing() if later.server == subscriber:
                    chance.keep = True
                    return
                case _:
                    pass

    def cause(self, record: Record, message: Message) -> None:
        match message:
            case ForwardSubscription(spec) if spec.name == self.name:
                view = self.current.machine.neighbors
                self.known[record.server] += 2 * (1 + len(view) + (record.server in view))
                self.do(on.Join(self.specs[record.server]))
            case ScampPing():
                self.current.now += 10 * _SECOND
                self.do(on.Fired("periodic"))
            case RemoveSubscription(spec):
                self.do(on.Leave(spec))
            case _ if type(message).__name__ == "BootstrapRemoveSubscription":
                self.do(on.Leave(cast("Any", message).spec))
            case _:
                super().cause(record, message)

    def scene(self, records: Sequence[Record]) -> int:
        self.had: list[object] = [_view(self.state())]
        self.said: list[tuple[Record, object]] = []
        compared = super().scene(records)
        for record, view in self.said:
            if view not in self.had:
                raise Failure(f"line {record.line}: our node never had this view")
        return compared

    def do(self, happened: on.Input, current: Now | None = None) -> None:
        super().do(happened, current)
        self.had.append(_view((current or self.current).machine.state()))

    def as_written(self, record: Record, recorded: Term, ours: Term) -> bool:
        match recorded, ours:
            case ("state", tag, known), ("state", own_tag, _):
                # An acceptor tells what the manager knows just then: anything it had in the scene.
                self.said.append((record, _view(known)))
                return tag == own_tag
            case _:
                return same(recorded, ours)


class _ScampV2Player(_ScampPlayer):
    kind = ScampV2

    def excused(self) -> bool:
        """The original keeps a subscription and says so to a node that it is not connected to."""
        if super().excused():
            return True
        said = {
            record.server
            for record in self.records
            if record.sender == self.name
            if not record.ended and isinstance(record.message(), KeepSubscription)
        }
        kept = KeepSubscription(self.specs[self.name]).term()
        left = [(to, each) for (to, _), sent in self.current.out.items() for each in sent]
        self.current.out.clear()
        return all(to not in said and same(each, kept) for to, each in left)


def _view(state: Any) -> object:
    """Return what a state tells of views: without actor, order, and the time of the last ping."""
    if not isinstance(state, tuple | list):
        raise Failure(f"no state of SCAMP or a star: {state!r:.80}")
    return state[0], [
        sorted({exact(key) for key in each})
        for each in state
        if isinstance(each, list) or hasattr(each, "items")
    ]


class _StarPlayer(OverlayPlayer):
    channels = (UNDEFINED,)

    def make(self) -> ClientServer:
        tags = {
            record.server: message.tag
            for record in self.records
            if not record.ended and isinstance(message := record.message(), State)
        }
        tag = tags.get(self.name, Atom("client"))
        return ClientServer(self.specs[self.name], cast("Any", str(tag)), introduce=False)

    def told(self, record: Record, state: State) -> None:
        if record.server not in self.current.machine.neighbors:
            self.do(on.Join(self.specs[record.server]))
            self.do(on.Met(record.server, state.tag))

    def cause(self, record: Record, message: Message) -> None:
        match message:
            case Forward() if record.server in self.current.machine.neighbors:
                self.send(self.current, record.server, UNDEFINED, message)
            case _:
                super().cause(record, message)

    def as_written(self, record: Record, recorded: Term, ours: Term) -> bool:
        match recorded, ours:
            case ("state", tag, known), ("state", _, own):
                return tag == self.current.machine.tag and _view([0, known]) == _view([0, own])
            case _:
                return same(recorded, ours)


# --- causal delivery ---


class _CausalPlayer(Player):
    def make(self) -> dict[Atom, CausalOrder]:
        return {}

    def hear(self, current: Now, record: Record, message: Message) -> None:
        match message:
            case Forward(_, content):
                causal = parse_payload(content)
            case AckedForward(_, clock, _, content):
                causal = parse_payload(content)
                self.send(current, record.sender, UNDEFINED, Ack(clock))
            case _:
                return
        if isinstance(causal, Causal):
            order = self._order(current, causal.label)
            if order.received(causal, current.now) != [causal]:
                raise Failure(f"line {record.line}: our node holds back what the original delivers")

    def cause(self, record: Record, message: Message) -> None:
        match message:
            case Forward(to, content):
                causal = self._emitted(record, content)
                self.send(self.current, record.server, UNDEFINED, Forward(to, causal.term()))
            case AckedForward(_, clock, to, content):
                causal = self._emitted(record, content)
                label = clock._replace(label=causal.label, counts=causal.clock)
                sent = AckedForward(self.name, label, to, causal.term())
                self.send(self.current, record.server, UNDEFINED, sent)
            case _:
                super().cause(record, message)

    def _emitted(self, record: Record, content: Term) -> Causal:
        causal = parse_payload(content)
        if not isinstance(causal, Causal):
            raise Failure(f"line {record.line}: no causal message")
        order = self._order(self.current, causal.label)
        return order.emit(record.server, causal.to, causal.message)

    def _order(self, current: Now, label: Atom) -> CausalOrder:
        return cast("CausalOrder", current.machine.setdefault(label, CausalOrder(self.name, label)))


_PLAYERS: dict[str, type[Player]] = {
    "tree": TreePlayer,
    "hyparview": HyParViewPlayer,
    "relay": RelayPlayer,
    "scamp_v1": _ScampPlayer,
    "scamp_v2": _ScampV2Player,
    "star": _StarPlayer,
    "causal": _CausalPlayer,
}
