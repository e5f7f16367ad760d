# SPDX-License-Identifier: Apache-2.0
"""A node whose neighbors an overlay chooses: what `NodeCore` is for a full mesh.

The same inputs go in and the same effects come out. Between them stands an `Overlay`, which knows
nothing of connections; this module makes those that it wants, and tells it what becomes of them.

| the overlay says | what follows                                                               |
| ---------------- | -------------------------------------------------------------------------- |
| `Send`           | the message goes by a connection; where there is none, one is dialled      |
| `Connect`        | one is dialled; the overlay hears `Met` or `Lost`                           |
| `NeighborUp`     | the connections of all channels are dialled, and dialled again when lost   |
| `NeighborDown`   | they are closed                                                            |
| `Hangup`         | the same, once what was to be sent is sent                                 |
| `Peek`           | one more is dialled, and closed once the peer has said what it is           |
| `Check`          | all connections to the neighbors are pinged, and closed if nothing comes   |

A node that is talked to and is no neighbor has one connection, closed when it was not used for a
while. Each side closes what it has dialled itself: what a peer says last comes by a connection of
its own, and would be lost if that were closed first. For the same reason a neighbor that hangs up
is given a moment to say why.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final, NamedTuple

from heliograph.partisan.errors import UnknownNodeError
from heliograph.partisan.protocol import effects as out
from heliograph.partisan.protocol.core import NodeCore
from heliograph.partisan.protocol.counting import Tally
from heliograph.partisan.protocol.identity import new_epoch
from heliograph.partisan.protocol.inputs import TimerKey
from heliograph.partisan.protocol.mesh import MEMBERSHIP
from heliograph.partisan.protocol.overlay import interface as on
from heliograph.partisan.protocol.partners import ADDRESSES, Partner
from heliograph.partisan.protocol.states import announced, manager_of, other_channels, run_of
from heliograph.partisan.protocol.trees import TREE
from heliograph.partisan.wire import Atom, NodeSpec
from heliograph.partisan.wire.messages import (
    UNDEFINED,
    Ack,
    AckedForward,
    BootstrapRemoveSubscription,
    Demonitor,
    Down,
    Forward,
    ForwardSubscription,
    Gossip,
    KeepSubscription,
    Monitor,
    RawRelay,
    Relay,
    RemoveSubscription,
    ReplaceSubscription,
    RpcCall,
    ScampPing,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from heliograph.partisan.protocol import inputs
    from heliograph.partisan.protocol.config import ProtocolConfig
    from heliograph.partisan.protocol.connection import Connection
    from heliograph.partisan.protocol.effects import Effect
    from heliograph.partisan.protocol.overlay.interface import Overlay
    from heliograph.partisan.protocol.peers import Peer
    from heliograph.partisan.wire import Message, Term

__all__ = ["Footing", "OverlayCore"]

_MILLISECOND: Final = 1_000_000
_PARTED: Final = TimerKey("parted")
_PARTING: Final = 1_000 * _MILLISECOND  # that others have to hang up on who left; our choice
_RETRANSMIT: Final = TimerKey("retransmit")
_KNOWN: Final = 10_000  # nodes that are remembered to have joined; our choice
# What goes by the channel for membership; HyParView's messages go by the default one.
_STRATEGIC: Final = (
    on.Custom,
    ForwardSubscription,
    ScampPing,
    RemoveSubscription,
    BootstrapRemoveSubscription,
    KeepSubscription,
    ReplaceSubscription,
)
# What every manager takes care of in the same way.
_COMMON: Final = (
    Forward,
    AckedForward,
    Ack,
    RpcCall,
    Monitor,
    Demonitor,
    Down,
    Relay,
    RawRelay,
    *TREE,
)
_WITHOUT_ACKS: Final = frozenset({"hyparview", "list"})  # managers of the original
_LOST: Final = frozenset({"failure", "timeout", "closed", "refused", "shutdown"})
_PROMOTION: Final = {"promotions": "requested", "accepted": "accepted", "rejected": "rejected"}
_OPTIMIZATION: Final = {
    "optimizations": "requested",
    "optimized": "accepted",
    "unoptimized": "rejected",
}


class Footing(NamedTuple):
    """What an overlay is made from."""

    spec: NodeSpec
    """What the node tells of itself."""
    random: Random
    actor: bytes
    """What tells nodes of our kind which run this is, where a state has an actor."""
    epoch: int
    """The same, where it has an epoch; later than that of any former run."""
    system_offset: int
    """The time of day, in nanoseconds since 1970, when `now` is 0."""
    distance: Callable[[NodeSpec], float | None]
    """Nanoseconds that a ping to a node took lately, None if that is not known."""


class OverlayCore(NodeCore):
    """One node's protocol, with neighbors that an overlay chooses.

    Args:
        spec: What the node tells of itself.
        make: Makes its overlay.
        config: Pace and bounds.
        random: For references, waits, and the overlay.
        system_offset: The time of day, in nanoseconds since 1970, when `now` is 0.

    Attributes:
        overlay: The overlay.
        latencies: Nanoseconds that the last ping to each peer took, or half of a later handshake.
    """

    whole: ClassVar[bool] = False
    peers: dict[Atom, Partner]  # type: ignore[assignment] # a mesh has no other ones than these

    def __init__(
        self,
        spec: NodeSpec,
        make: Callable[[Footing], Overlay],
        *,
        config: ProtocolConfig | None = None,
        random: Random,
        system_offset: int = 0,
        now: int = 0,
    ) -> None:
        super().__init__(spec, config=config, random=random, system_offset=system_offset)
        self.latencies: dict[Atom, int] = {}
        epoch = new_epoch(self.identity, (system_offset + now) // _MILLISECOND)
        self.overlay: Overlay = make(
            Footing(spec, random, self.identity.actor, epoch, system_offset, self._distance)
        )
        self.tag: Atom = getattr(self.overlay, "tag", UNDEFINED)
        self._kind = manager_of(self.overlay.state())
        self.trees.raw = self._kind == "hyparview"
        self._joins: dict[Atom, tuple[NodeSpec, bool]] = {}
        """Whom to join through, and whether it was met since."""
        self._own_doing = False
        self._peeks: set[int] = set()  # connections that are made for a look alone
        statistics = getattr(self.overlay, "statistics", None)
        self._overlay_tally = Tally(statistics, ("shuffles", *_PROMOTION, *_OPTIMIZATION))

    # --- for drivers ---

    def state(self) -> Term:
        """Return what others get to know of this node when they connect."""
        return announced(self.overlay.state(), self.identity.actor)

    def specs(self) -> list[NodeSpec]:
        """Return this node and its neighbors."""
        return [self.spec, *self.overlay.neighbors.values()]

    def is_member(self, name: Atom) -> bool:
        """Tell whether a node is one of them."""
        return name in self.overlay.neighbors or name == self.name

    def passes_on(self, name: Atom) -> bool:
        """Tell whether a peer passes on what it gets for others: by strategies, only our kind."""
        return not self._kind.startswith("scamp") or super().passes_on(name)

    @property
    def reaches_all(self) -> bool:
        """Whether any node may be dialled for a moment, neighbor or not."""
        return self.overlay.reaches_all

    def reach_out(self, spec: NodeSpec, now: int) -> list[Effect]:
        """Connect to a node that need not be a neighbor; the connection goes if it is not used."""
        return self._reach_out(spec, now)

    def acknowledges(self, name: Atom) -> bool:
        """Tell whether a peer acknowledges messages, as far as that is known.

        The original's manager of HyParView, and those of stars and lists, end when they are asked
        to.
        """
        if self._kind not in _WITHOUT_ACKS or self.is_ours(name):
            return True
        partner = self.peers.get(name)
        return partner is None or not partner.connected

    def lane_route(self, peer: Atom, channel: Atom) -> tuple[int, ...]:
        """Return the connections for messages to be acknowledged; none where they would harm."""
        return super().lane_route(peer, channel) if self.acknowledges(peer) else ()

    def joined(self, name: Atom) -> bool:
        """Tell whether a node was met that was to be joined through, and there is a neighbor."""
        _, met = self._joins.get(name, (None, True))
        return met and any(peer.neighbor and peer.connected for peer in self.peers.values())

    # --- inputs ---

    def _start(self, now: int) -> list[Effect]:
        again = now + self.config.delivery.retransmit_interval
        return [
            out.SetTimer(_RETRANSMIT, again),
            *([] if self.detecting is None else self.detecting.start(now)),
            *self._tell(on.Start(), now),
        ]

    def _stop(self, now: int) -> list[Effect]:
        with _Doing(self):
            gone = self._hang_up(list(self.connections.values()), "shutdown", now)
        unwatched = [] if self.detecting is None else self.detecting.stop()
        return [out.CancelTimer(_RETRANSMIT), *unwatched, *gone]

    def _join(self, join: inputs.Join, now: int) -> list[Effect]:
        known = self.peers.get(join.name)
        if join.name == self.name or (known is not None and known.neighbor and known.connected):
            return []
        contact = NodeSpec(join.name, join.listen_addrs, self.spec.channels)
        self._joins[join.name] = (contact, False)
        return self._join_again(contact, now)

    def _join_again(self, contact: NodeSpec, now: int) -> list[Effect]:
        again = out.SetTimer(TimerKey("join", contact.name), now + self.config.connection_interval)
        return [again, *self._tell(on.Join(contact), now)]

    def _leave(self, name: Atom, now: int) -> list[Effect]:
        if name == self.name:
            self._joins.clear()
            return self._tell(on.Leave(), now)
        joining = self._joins.pop(name, None)
        spec = self.overlay.neighbors.get(name)
        if spec is not None:
            return self._tell(on.Leave(spec), now)
        if joining is None:
            raise UnknownNodeError(f"{name} is no neighbor, so it cannot be removed from here")
        partner = self.peers.get(name)
        return [] if partner is None else self._part_from(partner, "leave", now)

    def _fired(self, key: TimerKey, now: int) -> list[Effect]:
        if key == _PARTED:
            return self._parted(now)
        if key.kind == "overlay":
            return self._tell(on.Fired(str(key.of)), now)
        if key.kind == "connect":
            wanted = self.peers.get(Atom(str(key.of)))
            if wanted is None or not (wanted.neighbor or wanted.outbox):
                return []
        if key.kind not in {"join", "lost", "linger", "forget", "evicted"}:
            return super()._fired(key, now)
        return self._fired_for(Atom(str(key.of)), key.kind, now)

    def _fired_for(self, name: Atom, kind: str, now: int) -> list[Effect]:
        partner = self.peers.get(name)
        if kind == "join":
            contact, _ = self._joins.get(name, (None, True))
            if contact is None or self.joined(name):
                self._joins.pop(name, None)
                return []
            if partner is not None and partner.dialling:
                return [out.SetTimer(TimerKey("join", name), now + self.config.connection_interval)]
            return self._join_again(contact, now)
        if kind == "lost":
            if partner is None or partner.connected or partner.dialling:
                return []
            return self._gone_for_good(partner, "closed", now)
        if partner is not None and partner.neighbor:
            return []
        if kind == "evicted":
            accepted = [
                each
                for each in self.connections.values()
                if each.peer == name and not each.dialled and each.channel != UNDEFINED
            ]
            return self._hang_up(accepted, "evicted", now)
        if partner is None:
            return []
        if kind == "forget":
            return self._forget_partner(partner)
        return self._linger(partner, now)

    def _linger(self, partner: Partner, now: int) -> list[Effect]:
        """Close the connection to a node that is no neighbor, if it is not used any more."""
        until = partner.used + self.config.linger
        if now < until:
            return [out.SetTimer(TimerKey("linger", partner.name), until)]
        return self._part_from(partner, "closed", now)

    # --- what comes ---

    def _received(self, number: int, messages: tuple[Message, ...], now: int) -> list[Effect]:
        connection = self.connections.get(number)
        effects = super()._received(number, messages, now)
        if connection is not None and connection.peer is not None:
            for each in effects:
                if isinstance(each, out.Heartbeat):
                    self._note_latency(connection.peer, each.latency)
        return effects

    def _note_latency(self, name: Atom, latency: int) -> None:
        self.latencies.pop(name, None)
        self.latencies[name] = latency
        if len(self.latencies) > _KNOWN:
            del self.latencies[next(iter(self.latencies))]

    def _in_turn(self, connection: Connection, messages: list[Message]) -> list[Message]:
        """Keep what a peer says before its hello: an overlay is to know who says it."""
        if connection.peer is None:
            connection.early += messages[: self.config.early - len(connection.early)]
            return []
        early, connection.early = connection.early, []
        return [*early, *messages]

    def _message(self, connection: Connection, message: Message, now: int) -> list[Effect]:
        if isinstance(message, _COMMON):
            return super()._message(connection, message, now)
        if isinstance(message, Gossip):
            self.statistics.ignored += 1  # of a full mesh, which this node is not in
            return []
        return self._carry_out(self.overlay.received(connection.peer, message, now), now)

    def _established(self, connection: Connection, now: int) -> list[Effect]:
        name, channel = connection.peer, connection.channel
        assert name is not None
        assert channel is not None
        connected = out.Connected(connection.number, name, channel, connection.dialled)
        partner = self.peers.get(name)
        if not connection.dialled:
            # Whom this node dials, it meets then, and knows its tag.
            dialling = partner is not None and partner.dialling
            return [connected] if dialling else [connected, *self._tell(on.Met(name), now)]
        if connection.number in self._peeks:
            return [connected, *self._hang_up([connection], "closed", now)]
        assert partner is not None
        theirs = manager_of(connection.state)
        if theirs != self._kind:
            told = out.Mismatched(name, "manager", self._kind, theirs)
            return [told, *connection.hangup("protocol_error")]
        run = run_of(connection.state)
        effects = self._restarted(partner, run, now)
        again = self.delivery.met(name, run)
        known = partner.connected
        if not known:
            # There and back twice: until its hello, and until its state.
            self._note_latency(name, (now - connection.began) // 2)
        effects += [connected, *partner.opened(connection.number, channel)]
        if not self.acknowledges(name):
            effects += self._never_acknowledged(name)
        first = self._reroute(name, channel) == 1
        partner.tried = 0
        if self.detecting is not None:
            effects += self.detecting.met(name, now)
        if name in self._joins:
            self._joins[name] = (self._joins[name][0], True)
        effects += self._flush_outbox(partner, now)
        if partner.parting:
            return [*effects, *self._part_from(partner, partner.parting, now)]
        if not known:
            effects += self._tell(on.Met(name, connection.peer_tag), now)
        if name not in self.peers:
            return effects  # the overlay would have nothing to do with it
        if not partner.neighbor:
            at = now + self.config.linger
            return [*effects, out.SetTimer(TimerKey("linger", name), at)]
        if not known:
            effects += self.trees.reached(name, now)
        effects += self._connect(partner, now)
        if first or again:
            effects += self._resend(name, None if again else channel, now)
        return effects

    def _try_again(self, peer: Peer, reason: str, now: int) -> list[Effect]:
        if self._own_doing or peer.dialling:
            return []
        assert isinstance(peer, Partner)
        if peer.connected:
            at = peer.retry_at
            return [out.SetTimer(TimerKey("connect", peer.name), at)] if peer.neighbor else []
        if reason == "closed" and peer.neighbor:
            at = now + self.config.grace
            return [out.SetTimer(TimerKey("lost", peer.name), at)]
        peer.tried += 1
        if peer.tried < len(peer.addresses):
            peer.retry_at = now
            return self._connect(peer, now)
        return self._gone_for_good(peer, reason, now)

    def _gone_for_good(self, partner: Partner, reason: str, now: int) -> list[Effect]:
        partner.outbox.clear()
        effects = self._tell(on.Lost(partner.name, reason if reason in _LOST else "failure"), now)
        if self.peers.get(partner.name) is not partner or partner.neighbor:
            return effects
        if partner.connected or partner.dialling:
            return effects  # the overlay has more to say to it
        return [*effects, *self._retain(partner, now)]

    # --- what the overlay wants ---

    def _tell(self, happened: on.Input, now: int) -> list[Effect]:
        """Tell the overlay what happened, and do what it wants."""
        return self._carry_out(self.overlay.handle(happened, now), now)

    def _carry_out(self, wanted: list[on.Effect], now: int) -> list[Effect]:
        effects: list[Effect] = []
        for each in wanted:
            effects += self._do(each, now)
        for name, count in self._overlay_tally.changes():
            if name == "shuffles":
                effects.append(out.Shuffled())
            elif name in _OPTIMIZATION:
                effects.append(out.Optimized(_OPTIMIZATION[name], count))
            else:
                effects.append(out.Promoted(_PROMOTION[name], count))
        return effects

    def _do(self, wanted: on.Effect, now: int) -> list[Effect]:
        match wanted:
            case on.Send(to, message):
                return [effect for spec in to for effect in self._say(spec, message, now)]
            case on.NeighborUp(spec):
                return self._neighbor_up(spec, now)
            case on.NeighborDown(spec, reason):
                return self._neighbor_down(spec, reason, now)
            case on.Hangup(name, reason):
                return self._hang_up_on(name, reason, now)
            case on.SetTimer(timer, at):
                return [out.SetTimer(TimerKey("overlay", timer), at)]
            case on.CancelTimer(timer):
                return [out.CancelTimer(TimerKey("overlay", timer))]
            case on.Peek(spec):
                return self._peek(spec, now)
            case on.Connect(to, keep):
                return [effect for spec in to for effect in self._reach_out(spec, now, keep)]
            case on.Check(peers):
                timestamp = (self._system_offset + now) // _MILLISECOND
                return [
                    effect
                    for name in peers
                    if (partner := self.peers.get(name)) is not None
                    for numbers in partner.slots.values()
                    for number in numbers
                    for effect in self.connections[number].check(now, timestamp)
                ]
            case on.Dropped(peer, message, why):
                return [out.Dropped("membership", why, 1, peer, message)]
            case _:
                return self._left(removed=wanted.removed, now=now)

    def _hang_up_on(self, name: Atom, reason: str, now: int) -> list[Effect]:
        effects: list[Effect] = []
        if reason == "evicted":
            # Should it not hear of that, it hears the silence.
            at = now + self.config.linger
            effects.append(out.SetTimer(TimerKey("evicted", name), at))
        partner = self.peers.get(name)
        if partner is None:
            return effects
        if partner.outbox and partner.dialling:
            partner.parting = reason
            return effects
        return [*effects, *self._part_from(partner, reason, now)]

    def _partner(self, spec: NodeSpec, *, neighbor: bool = False) -> Partner | None:
        """Return what is known of a node; None if there are too many and it is no neighbor."""
        partner = self.peers.get(spec.name)
        if partner is None:
            most = self.config.partners + len(self.overlay.neighbors)
            if not neighbor and len(self.peers) >= most:
                return None
            partner = self.peers[spec.name] = Partner(spec, self.config)
        elif not partner.connected and spec.listen_addrs:
            partner.addresses = spec.listen_addrs[:ADDRESSES]
        return partner

    def _say(self, spec: NodeSpec, message: Message, now: int) -> list[Effect]:
        partner = self._partner(spec)
        if partner is None or spec.name == self.name:
            return [out.Dropped("membership", "crowded", 1, spec.name)]
        partner.used = now
        channel = MEMBERSHIP if isinstance(message, _STRATEGIC) else UNDEFINED
        connections = self.route(spec.name, channel)
        if connections:
            breaks = self._breaks(spec.name, message)
            return [] if breaks else [out.Write(connections[0], message)]
        partner.outbox.append(message)
        partner.parting = ""
        return self._dial_partner(partner, now)

    def _breaks(self, name: Atom, message: Message) -> bool:
        """Tell whether an Erlang node breaks at a message, which is not sent then.

        With SCAMP's first version, who is told that a node of its view has left forgets all nodes.
        """
        return (
            isinstance(message, RemoveSubscription)
            and self._kind == "scamp_v1"
            and message.spec.name != name
            and not self.is_ours(name)
        )

    def _reach_out(self, spec: NodeSpec, now: int, keep: int = 0) -> list[Effect]:
        partner = self._partner(spec)
        if partner is None:
            return []
        partner.used = now + keep
        if partner.connected:
            return self._tell(on.Met(spec.name), now)
        return self._dial_partner(partner, now)

    def _peek(self, spec: NodeSpec, now: int) -> list[Effect]:
        if not spec.listen_addrs or spec.name == self.name:
            return self._tell(on.Peeked(spec.name), now)
        number = self.new_connection()
        self._open(number, spec.name, UNDEFINED)
        self._peeks.add(number)
        return [out.Dial(number, spec.name, UNDEFINED, spec.listen_addrs[0])]

    def _forget(
        self, connection: Connection, reason: str, now: int, *, resend: bool = True
    ) -> list[Effect]:
        number, name = connection.number, connection.peer
        if number not in self._peeks:
            return super()._forget(connection, reason, now, resend=resend)
        assert name is not None
        self._peeks.discard(number)
        del self.connections[number]
        return [] if self._own_doing else self._tell(on.Peeked(name, connection.state), now)

    def _dial_partner(self, partner: Partner, now: int) -> list[Effect]:
        if partner.dialling:
            return []
        if not partner.addresses:
            return self._gone_for_good(partner, "failure", now)
        partner.retry_at = min(partner.retry_at, now)  # the overlay has a pace of its own
        return self._connect(partner, now)

    def _flush_outbox(self, partner: Partner, now: int) -> list[Effect]:
        waiting = [*partner.outbox]
        partner.outbox.clear()
        return [effect for each in waiting for effect in self._say(partner.spec, each, now)]

    def _neighbor_up(self, spec: NodeSpec, now: int) -> list[Effect]:
        partner = self._partner(spec, neighbor=True)
        assert partner is not None
        name = spec.name
        partner.spec = spec
        partner.neighbor = True
        partner.parting = ""
        partner.kept = 0
        effects: list[Effect] = []
        if name not in self._told:
            self._told[name] = spec
            if len(self._told) > _KNOWN:
                del self._told[next(iter(self._told))]
            effects.append(out.PeerJoined(spec))
            effects += other_channels(self.spec, spec)
        effects.append(out.NeighborUp(spec))
        effects += partner.check()
        if partner.connected:
            effects += self.trees.reached(name, now)
        partner.retry_at = min(partner.retry_at, now)
        return [*effects, *self._connect(partner, now)]

    def _neighbor_down(self, spec: NodeSpec, reason: str, now: int) -> list[Effect]:
        name = spec.name
        partner = self.peers.get(name)
        if partner is None:
            return []
        effects: list[Effect] = []
        if partner.connected or partner.dialling:
            if partner.outbox and partner.dialling:
                partner.parting = reason
            else:
                effects += self._close(partner, reason, now)
        partner.neighbor = False
        self.trees.lost(name)
        effects.append(out.NeighborDown(spec, reason))
        if reason == "leave":
            self._told.pop(name, None)
            effects.append(out.PeerLeft(spec))
            return effects if partner.parting else [*effects, *self._forget_partner(partner)]
        if partner.parting:
            return effects
        return [*effects, *self._retain(partner, now)]

    def _part_from(self, partner: Partner, reason: str, now: int) -> list[Effect]:
        """Close what this node has dialled; keep nothing of who is no neighbor."""
        partner.parting = ""
        effects = self._close(partner, reason, now)
        return effects if partner.neighbor else [*effects, *self._retain(partner, now)]

    def _close(self, partner: Partner, reason: str, now: int) -> list[Effect]:
        numbers = [*partner.dialling, *(each for slot in partner.slots.values() for each in slot)]
        with _Doing(self):
            return self._hang_up([self.connections[each] for each in numbers], reason, now)

    def _retain(self, partner: Partner, now: int) -> list[Effect]:
        """Keep messages to be acknowledged for a while: a neighbor may come back."""
        owed = any(len(stream) for stream in self.delivery.streams_to(partner.name))
        if not owed:
            return self._forget_partner(partner)
        partner.kept = partner.kept or now + self.config.retain
        return [out.SetTimer(TimerKey("forget", partner.name), partner.kept)]

    def _never_acknowledged(self, name: Atom) -> list[Effect]:
        """Tell of messages that were accepted before it was known what kind of node a peer is."""
        return [
            out.Undelivered(name, channel, payloads)
            for channel, payloads in self.delivery.forget(name).items()
        ]

    def _forget_partner(self, partner: Partner) -> list[Effect]:
        name = partner.name
        if self.peers.get(name) is not partner or partner.connected or partner.dialling:
            return []
        del self.peers[name]
        effects: list[Effect] = [
            out.Undelivered(name, channel, payloads)
            for channel, payloads in self.delivery.forget(name).items()
        ]
        timers = [out.CancelTimer(TimerKey(kind, name)) for kind in ("connect", "linger", "lost")]
        return [*effects, *timers, out.Forgotten(name)]

    def _left(self, *, removed: bool, now: int) -> list[Effect]:
        """Part from whom this node talked to; the others are given some time to do the same."""
        effects: list[Effect] = []
        for partner in list(self.peers.values()):
            if not partner.neighbor and not partner.parting:
                effects += self._part_from(partner, "leave", now)
        at = now + _PARTING
        return [*effects, out.SetTimer(_PARTED, at), out.LeftCluster(removed)]

    def _parted(self, now: int) -> list[Effect]:
        """Hang up on those who still are connected to this node though it has left."""
        if self._joins or self.overlay.neighbors:
            return []
        accepted = [each for each in self.connections.values() if not each.dialled]
        return self._hang_up(accepted, "leave", now)

    def _distance(self, spec: NodeSpec) -> float | None:
        return self.latencies.get(spec.name)


class _Doing:
    """Marks connections that go as closed by this node, of which the overlay is not told."""

    def __init__(self, core: OverlayCore) -> None:
        self._core = core

    def __enter__(self) -> None:
        self._core._own_doing = True

    def __exit__(self, *exc: object) -> None:
        self._core._own_doing = False
