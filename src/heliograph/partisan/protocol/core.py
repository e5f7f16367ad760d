# SPDX-License-Identifier: Apache-2.0
"""A node of a full mesh: what happens to it goes in, what it wants done comes out.

`NodeCore.handle` takes one input and the time, and returns effects to be carried out in order. It
knows no clock, no socket and no randomness but what it is given, so the same inputs give the same
effects: on real sockets, in the simulator, and in the replay of recorded conversations.

Its parts: `membership` says who belongs to the cluster, `peers` which connections are wanted,
`connection` what happens on each, `delivery` what is still to be acknowledged, `remote` who
monitors and calls whom; `mesh` connects them. This module deals out what comes in.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from heliograph.partisan.errors import NotConnectedError, QueueFullError, UnknownNodeError
from heliograph.partisan.protocol import inputs
from heliograph.partisan.protocol.connection import Phase
from heliograph.partisan.protocol.detection import DETECTOR
from heliograph.partisan.protocol.effects import (
    CancelTimer,
    Deliver,
    Dropped,
    Persist,
    SetTimer,
    Write,
)
from heliograph.partisan.protocol.identity import is_ours
from heliograph.partisan.protocol.inputs import TimerKey
from heliograph.partisan.protocol.mesh import Mesh
from heliograph.partisan.protocol.peers import Peer
from heliograph.partisan.protocol.streams import Verdict
from heliograph.partisan.wire import Atom, NodeSpec
from heliograph.partisan.wire.messages import (
    MANAGER,
    MONITOR,
    RPC_BACKEND,
    UNDEFINED,
    Ack,
    AckedForward,
    Broadcast,
    Clock,
    Demonitor,
    Down,
    Forward,
    Gossip,
    Graft,
    IgnoredIHave,
    IHave,
    Monitor,
    Prune,
    RawRelay,
    Relay,
    RpcCall,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from heliograph.partisan.protocol.connection import Connection
    from heliograph.partisan.protocol.effects import Effect
    from heliograph.partisan.protocol.inputs import Input
    from heliograph.partisan.wire import Term
    from heliograph.partisan.wire.messages import Message

__all__ = ["CORE_NAMES", "NodeCore"]

CORE_NAMES: Final = frozenset({MANAGER, MONITOR, RPC_BACKEND})
"""Whom messages for the node itself are addressed to: drivers hand them over as `Received`."""
_MILLISECOND: Final = 1_000_000
_GOSSIP: Final = TimerKey("gossip")
_RETRANSMIT: Final = TimerKey("retransmit")


class NodeCore(Mesh):
    """One node's protocol. For its arguments and attributes see `Mesh`."""

    # --- inputs ---

    def handle(self, happened: Input, now: int) -> list[Effect]:
        """Take what has happened and return what is to be done.

        Args:
            happened: One input.
            now: Nanoseconds of a clock that never goes back.

        Raises:
            UnknownNodeError: An application's request names a node that is no member.
            NotConnectedError: Its node cannot be reached now. A message to be acknowledged is kept
                instead, and sent later.
            QueueFullError: Too many of its messages are unacknowledged.
            KeyError: It broadcasts by a handler that was not added.
        """
        match happened:
            case inputs.Received(number, messages):
                return self._received(number, messages, now)
            case inputs.Fired(key):
                return self._fired(key, now)
            case inputs.Send():
                return self._send(happened, now)
            case inputs.Accepted(number):
                return self._open(number).opened(now)
            case inputs.Dialled(number):
                dialled = self.connections.get(number)
                return [] if dialled is None else dialled.opened(now)
            case inputs.DialFailed(number):
                return self._gone(number, "failure", now)
            case inputs.Disconnected(number, reason):
                return self._gone(number, reason, now)
            case inputs.Join():
                return self._join(happened, now)
            case inputs.Leave(name):
                return self._leave(self.name if name is None else name, now)
            case inputs.Start():
                return self._start(now)
            case inputs.Stop():
                return self._stop(now)
            case inputs.EndProcess(process, reason):
                return self._answer(self.remote.ended(process, reason))
            case inputs.Broadcast(module, broadcast):
                return self.trees.broadcast(module, broadcast, now)
            case inputs.AddHandler(module, handler):
                return self.trees.add(module, handler, now)
            case inputs.Relay(name, to, message, ttl):
                return self.trees.relay(name, to, message, ttl, now)
            case _:
                return self._request(happened)

    def _start(self, now: int) -> list[Effect]:
        return [
            SetTimer(_GOSSIP, now + self.config.gossip_interval),
            SetTimer(_RETRANSMIT, now + self.config.delivery.retransmit_interval),
            Persist(self.state()),
            *self._adopt(self.members, now),
            *self._connect_all(now),
            *([] if self.detecting is None else self.detecting.start(now)),
        ]

    def _stop(self, now: int) -> list[Effect]:
        return [
            CancelTimer(_GOSSIP),
            CancelTimer(_RETRANSMIT),
            *([] if self.detecting is None else self.detecting.stop()),
            *self._hang_up(list(self.connections.values()), "shutdown", now),
        ]

    def _join(self, join: inputs.Join, now: int) -> list[Effect]:
        if join.name == self.name:
            return []
        peer = self.peers.get(join.name)
        if peer is None:
            contact = NodeSpec(join.name, join.listen_addrs, self.spec.channels)
            peer = self.peers[join.name] = Peer(contact, self.config)
        elif peer.connected:
            return []
        peer.addresses = join.listen_addrs
        peer.joining = True
        peer.retry_at = now
        return self._connect(peer, now)

    def _leave(self, name: Atom, now: int) -> list[Effect]:
        members = self.members
        for spec in members.named(name):
            members = members.remove(spec)
        if name == self.name:
            return [*self._gossip(members), *self._start_anew(now, removed=False)]
        if members is not self.members:
            # The gossip goes to the leaver too, so that it learns of it.
            return [*self._gossip(members), *self._adopt(members, now)]
        peer = self.peers.get(name)
        if peer is None:
            raise UnknownNodeError(f"{name} is no member, so it cannot be removed")
        return self._part(peer, now)  # it was only being joined

    def _fired(self, key: TimerKey, now: int) -> list[Effect]:
        if key.kind == "gossip":
            again = SetTimer(key, now + self.config.gossip_interval)
            return [again, *self._connect_all(now), *self._gossip(self.members)]
        if key.kind == "retransmit":
            again = SetTimer(key, now + self.config.delivery.retransmit_interval)
            return [again, *self._retransmit(now)]
        if key.kind in {"lazy", "exchange"}:
            return self.trees.fired(key, now)
        if key.kind == "connect":
            peer = self.peers.get(Atom(key.of))
            return [] if peer is None else self._connect(peer, now)
        if key.kind in {"suspect", "health", "acquaint"}:
            assert self.detecting is not None
            return self.detecting.fired(key, now, self._timestamp(now))
        connection = self.connections.get(int(key.of))
        if connection is None:
            return []
        if key.kind == "keep_alive" and self.detecting is not None:
            effects = self.detecting.keep_alive(connection, now, self._timestamp(now))
        else:
            effects = connection.fired(key.kind, now, self._timestamp(now))
        return effects + self._forget_closed(connection, now)

    def _timestamp(self, now: int) -> int:
        return (self._system_offset + now) // _MILLISECOND

    # --- the application's requests ---

    def _request(self, request: inputs.Request) -> list[Effect]:
        self._reach(request.peer, UNDEFINED)
        peer, message, channel = self.remote.request(request, self.random)
        connections = self._reach(peer, channel)
        return [Write(connections[0], message)]

    def _send(self, send: inputs.Send, now: int) -> list[Effect]:
        name, channel = send.peer, send.channel
        if not send.ack:
            connections = self._reach(name, channel)
            key = send.partition_key
            if key is None:
                key = self.random.randrange(len(connections))
            return [Write(connections[key % len(connections)], Forward(send.target, send.message))]
        self._member(name)
        if not self.acknowledges(name):
            raise NotConnectedError(f"{name} acknowledges nothing; send without asking for it")
        lanes = self.lanes(name, channel)
        key = send.partition_key
        lane = self.random.randrange(lanes) if key is None else key % lanes
        stream = self.delivery.outgoing(name, channel, lane)
        connections = self.lane_route(name, channel)
        payload = (send.target, send.message)
        number = stream.offer(payload, send.size, now, sent=bool(connections))
        if not number:
            raise QueueFullError(
                f"{len(stream)} messages to {name} on channel {channel} wait for their"
                " acknowledgement: send more slowly, or allow a larger window"
            )
        if not connections:
            return []
        return [Write(connections[lane % len(connections)], self.numbered(number, payload))]

    def _member(self, name: Atom) -> Peer:
        peer = self.peers.get(name)
        if peer is None:
            raise UnknownNodeError(
                f"{name} is no member of the cluster; join it, or check the name"
            )
        return peer

    def _reach(self, name: Atom, channel: Atom) -> tuple[int, ...]:
        self._member(name)
        connections = self.route(name, channel)
        if not connections:
            raise NotConnectedError(f"no connection to {name} is open now; it is being dialled")
        return connections

    def _answer(self, answers: Iterable[tuple[Atom, Message, Atom]]) -> list[Effect]:
        """Send what goes to whoever can be reached; nobody waits for the rest any more."""
        effects: list[Effect] = []
        for peer, message, channel in answers:
            connections = self.route(peer, channel)
            if connections:
                effects.append(Write(connections[0], message))
            else:
                self.statistics.unroutable += 1
        return effects

    # --- what comes ---

    def _received(self, number: int, messages: tuple[Message, ...], now: int) -> list[Effect]:
        connection = self.connections.get(number)
        if connection is None:
            return []  # it was hung up on meanwhile
        was = connection.phase
        effects, others = connection.received(messages, now, self.state)
        others = self._in_turn(connection, others)
        if self.detecting is not None:
            effects += self.detecting.received(connection, effects, now)
        if was is not Phase.READY and connection.phase is Phase.READY:
            effects += self._established(connection, now)
        for message in others:
            if number in self.connections:
                effects += self._message(connection, message, now)
        return [
            *effects,
            *self._forget_closed(connection, now),
            *self._acknowledge(),
            *self._counted(connection.peer),
        ]

    def _in_turn(
        self,
        connection: Connection,  # noqa: ARG002 - as some managers need it
        messages: list[Message],
    ) -> list[Message]:
        """Return the messages whose turn it is: here all, also of a peer before its hello."""
        return messages

    def _counted(self, peer: Atom | None) -> list[Effect]:
        return [Dropped("membership", each, n, peer) for each, n in self._tally.changes()]

    def _message(self, connection: Connection, message: Message, now: int) -> list[Effect]:
        channel = connection.channel or UNDEFINED
        match message:
            case Forward(to, content) if to == DETECTOR:
                if self.detecting is None:
                    return []
                timestamp = self._timestamp(now)
                return self.detecting.message(connection.peer, content, now, timestamp)
            case Forward(to, content):
                replied = self.remote.replied(content)
                if replied is not None:
                    return replied
                return [Deliver(to, _unpadded(content), connection.peer)]
            case AckedForward():
                return self._acked(message, channel)
            case Ack(Clock(_, counts)):
                for _, number in counts:
                    self.delivery.acknowledged(number, now)
                return []
            case Gossip():
                return self._gossiped(message, now)
            case Broadcast() | Prune() | IHave() | IgnoredIHave() | Graft():
                return self.trees.received(connection.peer, message, channel, now)
            case Relay() | RawRelay():
                return self.trees.relayed(connection.peer, message, self._direct(), now)
            case RpcCall() | Monitor() | Demonitor() | Down():
                effects, answers = self.remote.received(message, channel, self.random)
                return [*effects, *self._answer(answers)]
            case _:
                self.statistics.ignored += 1
                return []

    def _direct(self) -> set[Atom]:
        return {name for name, peer in self.peers.items() if peer.connected}

    def _acked(self, message: AckedForward, channel: Atom) -> list[Effect]:
        source = message.source
        payload = (message.to, message.message)
        number = message.clock.counts[0][1] if len(message.clock.counts) == 1 else 0
        if not is_ours(number):
            deliver = Deliver(message.to, _unpadded(message.message), source)
            return [deliver, *self._answer([(source, Ack(message.clock), channel)])]
        if self.delivery.accept(source, channel, number, payload) is not Verdict.DELIVER:
            return []
        stream = self.delivery.incoming(source, channel, number)
        assert stream is not None
        return [
            Deliver(to, _unpadded(content), source) for to, content in (payload, *stream.released())
        ]

    def _acknowledge(self) -> list[Effect]:
        return self._answer(
            [
                (peer, Ack(Clock(UNDEFINED, ((peer, number),))), channel)
                for peer, channel, number in self.delivery.acknowledgements()
            ]
        )


def _unpadded(message: Term) -> Term:
    match message:
        case ("$partisan_padded", _, inner):
            return inner
        case _:
            return message
