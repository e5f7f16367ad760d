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
from collections.abc import Iterable, Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, fields
from typing import Any, cast

from heliograph.partisan.protocol import ProtocolConfig
from heliograph.partisan.protocol.broadcasting import BroadcastHandler
from heliograph.partisan.protocol.causal import CausalOrder
from heliograph.partisan.protocol.connection import Connection
from heliograph.partisan.protocol.effects import Write
from heliograph.partisan.protocol.overlay import interface as on
from heliograph.partisan.protocol.overlay.interface import Overlay
from heliograph.partisan.protocol.overlay.scamp import ScampConfig, ScampV1, ScampV2
from heliograph.partisan.protocol.overlay.star import ClientServer
from heliograph.partisan.protocol.plumtree import Plumtree, PlumtreeConfig, Push
from heliograph.partisan.wire import (
    Atom,
    ListenAddr,
    NodeSpec,
    Term,
    TermMap,
    decode,
    encode,
    exact,
    same,
)
from heliograph.partisan.wire.messages import (
    UNDEFINED,
    Ack,
    AckedForward,
    Broadcast,
    Causal,
    ClientHello,
    Forward,
    ForwardSubscription,
    Graft,
    Hello,
    IgnoredIHave,
    IHave,
    KeepSubscription,
    Message,
    Ping,
    Pong,
    Prune,
    RemoveSubscription,
    ReplaceSubscription,
    ScampPing,
    State,
    parse_payload,
)
from tests.partisan.recorded import Failure, Record

__all__ = ["kind_of", "play"]

_MOMENT = 0.05
"""Seconds within which messages of several connections may be in another order."""
_TREE = (Broadcast, Prune, IHave, IgnoredIHave, Graft)
_SCAMP = (ForwardSubscription, KeepSubscription, RemoveSubscription, ReplaceSubscription, ScampPing)
_SECOND = 1_000_000_000


def kind_of(records: Sequence[Record]) -> str | None:
    """Return what a conversation is about; None if it is one of a full mesh."""
    for message in _messages(records):
        match message:
            case State(_, ("scamp_v1" | "scamp_v2" as kind, *_)):
                return str(kind)
            case State(_, ("full_v1" | "state", *_)):
                return None
            case State():
                return "star"
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
    names = sorted({each.client for each in everything} | {each.server for each in everything})
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
        elif isinstance(value, dict | TermMap):
            for key in [*value]:
                if isinstance(key, dict) and "name" in key:
                    look(NodeSpec.parse(key))

    for message in _messages(records):
        look(message)
    return found


@dataclass
class _Now:
    """All of a player that goes on in time, so that it can be copied to try something."""

    machine: Any
    out: dict[tuple[Atom, Atom], list[Term]] = field(default_factory=dict)
    """What it wants to send, by peer and channel."""
    inbox: dict[int, list[Record]] = field(default_factory=dict)
    """What has come of each connection and was not looked at."""
    now: int = 0


class _Player:
    """Our node in the place of one that was recorded."""

    channels: tuple[Atom, ...] = (UNDEFINED,)

    def __init__(
        self,
        name: Atom,
        names: Sequence[Atom],
        specs: dict[Atom, NodeSpec],
        records: Sequence[Record],
    ) -> None:
        self.name = name
        self.names = names
        self.specs = specs
        self.records = records
        self.current = _Now(self.make())
        self.connections: dict[int, Connection] = {}
        self.written: dict[int, list[Term]] = {}
        self.pings: dict[int, int] = {}
        self.compared = 0

    # --- what players differ in ---

    def make(self) -> Any:
        raise NotImplementedError

    def hear(self, current: _Now, record: Record, message: Message) -> None:
        """Give a message to the machine."""
        raise NotImplementedError

    def cause(self, record: Record, message: Message) -> None:
        """Do what must have happened that the node sends a message now."""
        raise Failure(f"line {record.line}: nothing has come yet that this would answer")

    def told(self, record: Record, state: State) -> None:
        """An acceptor has said what it knows."""

    def state(self) -> Term:
        return None

    def excused(self) -> bool:
        """Tell whether what is left to be sent may have got lost in the original."""
        return False

    # --- a scene ---

    def scene(self, records: Sequence[Record]) -> int:
        self.compared = 0
        for record in records:
            if record.ended:
                continue
            message = record.message()
            if isinstance(message, Hello | ClientHello | State | Ping | Pong):
                self._connection(record, message)
            elif record.sender != self.name:
                if not record.dropped:
                    self.current.inbox.setdefault(record.connection, []).append(record)
            else:
                self._catch_up(record.time - _MOMENT)
                self._expect(record, message)
        self._catch_up(float("inf"))
        left = [each for sent in self.current.out.values() for each in sent]
        if left and not self.excused():
            raise Failure(f"after line {records[-1].line}: our node also sends {left[0]!r:.200}")
        return self.compared

    def _catch_up(self, until: float) -> None:
        """Look at what came before a time, in the order of the recording."""
        current = self.current
        ready = [
            each for waiting in current.inbox.values() for each in waiting if each.time < until
        ]
        for record in sorted(ready, key=lambda each: each.line):
            current.inbox[record.connection].remove(record)
            self.hear(current, record, record.message())

    def _expect(self, record: Record, message: Message) -> None:
        found: _Now | None = self._attempt(self.current, record, 6)
        if found is None:
            self._catch_up(record.time)
            self.cause(record, message)
            found = self._attempt(self.current, record, 0)
        if found is None:
            sent = self.current.out
            raise Failure(f"line {record.line}: recorded {record.shown:.150}, ours {sent!r:.300}")
        self.current = found
        self.compared += 1

    def _attempt(self, current: _Now, record: Record, depth: int) -> _Now | None:
        """Look at what has come until what was recorded is sent: in any order that does it."""
        peer = record.server if record.from_client else record.client
        for channel in self.channels:
            sent = current.out.get((peer, channel))
            if sent and self.equal(record.term(), sent[0]):
                sent.pop(0)
                return current
        if depth:
            for number, waiting in current.inbox.items():
                if waiting:
                    tried = deepcopy(current)
                    first = tried.inbox[number].pop(0)
                    self.hear(tried, first, first.message())
                    found = self._attempt(tried, record, depth - 1)
                    if found is not None:
                        return found
        return None

    def equal(self, recorded: Term, ours: Term) -> bool:
        return same(recorded, ours)

    def send(self, current: _Now, peer: Atom, channel: Atom, message: Message) -> None:
        # By way of bytes, so that it is what would have gone over the wire.
        term = decode(encode(message.term()))
        current.out.setdefault((peer, channel), []).append(term)

    # --- connections ---

    def _connection(self, record: Record, message: Message) -> None:
        number = record.connection
        dialled = record.client == self.name
        connection = self.connections.get(number)
        if connection is None:
            channel = record.channel or UNDEFINED
            chance = random.Random(number)
            connection = Connection(
                number,
                self.name,
                ProtocolConfig(),
                lambda: chance.randbytes(8),
                record.server if dialled else None,
                channel if dialled else None,
            )
            self.connections[number] = connection
            self._write(number, connection.opened(0))
            if not isinstance(message, Hello | ClientHello):  # it stood already
                self._stood(connection, record)
        if record.sender != self.name:
            effects, _ = connection.received((message,), 0, self._state)
            self._write(number, effects)
            if isinstance(message, State):
                self._catch_up(float("inf"))
                self.told(record, message)
            return
        if isinstance(message, Ping):
            self.pings[number] = record.line  # our node would ping when its time has come
            self.compared += 1
            return
        written = self.written.get(number)
        if not written or not self._as_written(record.term(), written.pop(0)):
            raise Failure(f"line {record.line}: our node does not say {record.shown:.200}")
        self.compared += 1

    def _stood(self, connection: Connection, record: Record) -> None:
        if connection.dialled:
            hello, state = Hello(record.server), State(UNDEFINED, None)
            for each in (hello, state):
                connection.received((each,), 0, lambda: None)
        else:
            hello_back = ClientHello(record.client, record.channel or UNDEFINED)
            connection.received((hello_back,), 0, lambda: None)
        self.written.pop(record.connection, None)

    def _state(self) -> Term:
        self._catch_up(float("inf"))
        return self.state()

    def _as_written(self, recorded: Term, ours: Term) -> bool:
        return same(recorded, ours)

    def _write(self, number: int, effects: Iterable[Any]) -> None:
        for effect in effects:
            if isinstance(effect, Write):
                term = decode(encode(effect.message.term()))
                self.written.setdefault(number, []).append(term)


# --- broadcast trees ---


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


class _TreePlayer(_Player):
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

    def hear(self, current: _Now, record: Record, message: Message) -> None:
        if isinstance(message, _TREE):
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

    def _take(self, current: _Now, effects: Iterable[Any]) -> None:
        for effect in effects:
            if isinstance(effect, Push):
                for to in effect.to:
                    self.send(current, to, effect.channel, effect.message)


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


class _OverlayPlayer(_Player):
    channels = (Atom("partisan_membership"),)

    def hear(self, current: _Now, record: Record, message: Message) -> None:
        self.do(on.Received(record.sender, message), current)

    def do(self, happened: on.Input, current: _Now | None = None) -> None:
        current = self.current if current is None else current
        overlay: Overlay = current.machine
        for effect in overlay.handle(happened, current.now):
            if isinstance(effect, on.Send):
                for to in effect.to:
                    self.send(current, to.name, self.channels[0], effect.message)

    def state(self) -> Term:
        return self.current.machine.state()


class _ScampPlayer(_OverlayPlayer):
    kind: type[ScampV1 | ScampV2] = ScampV1

    def make(self) -> ScampV1 | ScampV2:
        self.chance = _Recorded()
        config = ScampConfig(as_original=True)
        return self.kind(self.specs[self.name], random=self.chance, config=config)

    def hear(self, current: _Now, record: Record, message: Message) -> None:
        if isinstance(message, ForwardSubscription):
            self._decide(current, record, message.spec.name)
        super().hear(current, record, message)

    def _decide(self, current: _Now, record: Record, subscriber: Atom) -> None:
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

    def _as_written(self, recorded: Term, ours: Term) -> bool:
        match recorded, ours:
            case ("state", tag, known), ("state", own_tag, own):
                return tag == own_tag and _view(known) == _view(own)
            case _:
                return same(recorded, ours)


class _ScampV2Player(_ScampPlayer):
    kind = ScampV2

    def excused(self) -> bool:
        """The original keeps a subscription and says so to a node that it is not connected to."""
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
    return state[0], [
        sorted([exact(key) for key in each])
        for each in state
        if isinstance(each, list) or hasattr(each, "items")
    ]


class _StarPlayer(_OverlayPlayer):
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

    def _as_written(self, recorded: Term, ours: Term) -> bool:
        match recorded, ours:
            case ("state", tag, known), ("state", _, own):
                return tag == self.current.machine.tag and _view([0, known]) == _view([0, own])
            case _:
                return same(recorded, ours)


# --- causal delivery ---


class _CausalPlayer(_Player):
    def make(self) -> dict[Atom, CausalOrder]:
        return {}

    def hear(self, current: _Now, record: Record, message: Message) -> None:
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

    def _order(self, current: _Now, label: Atom) -> CausalOrder:
        return cast("CausalOrder", current.machine.setdefault(label, CausalOrder(self.name, label)))


_PLAYERS: dict[str, type[_Player]] = {
    "tree": _TreePlayer,
    "scamp_v1": _ScampPlayer,
    "scamp_v2": _ScampV2Player,
    "star": _StarPlayer,
    "causal": _CausalPlayer,
}
