# SPDX-License-Identifier: Apache-2.0
"""Who is a member, who is connected, and what follows from the one for the other.

*   The whole membership state is gossiped to all members: after a handshake with a node that was
    not connected before, when what others gossip differs from what is known here, periodically, and
    on leaving. It goes by the channel `partisan_membership` and waits until that is open.
*   Whoever is a member is dialled. Whoever is none any more is hung up on, in both directions.
*   A node that others have removed starts anew, alone, as the original does. What still comes from
    nodes that know it only as removed is not merged: they would be members here, and we not there.
*   Two entries of one name mean that a node came back with another address or other channels. A
    node removes its own former entries; of another's, those that its own gossip does not name.
*   A peer that has come back in another run leaves connections behind that lead nowhere: they are
    given up as soon as the new run has said who it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Final

from heliograph.partisan.errors import StateError
from heliograph.partisan.protocol.config import ProtocolConfig
from heliograph.partisan.protocol.connection import Connection, Phase
from heliograph.partisan.protocol.counting import Tally
from heliograph.partisan.protocol.delivery import Delivery
from heliograph.partisan.protocol.detecting import Detecting
from heliograph.partisan.protocol.effects import (
    CancelTimer,
    Connected,
    Dial,
    Forgotten,
    LeftCluster,
    Mismatched,
    PeerJoined,
    PeerLeft,
    Persist,
    SetTimer,
    Transmit,
    Undelivered,
    Write,
)
from heliograph.partisan.protocol.identity import new_identity, read_actor
from heliograph.partisan.protocol.inputs import TimerKey
from heliograph.partisan.protocol.membership import EMPTY_SET, MembershipState
from heliograph.partisan.protocol.peers import Peer
from heliograph.partisan.protocol.remote import Remote
from heliograph.partisan.protocol.states import manager_of, other_channels
from heliograph.partisan.protocol.trees import Trees
from heliograph.partisan.wire import Atom
from heliograph.partisan.wire.messages import UNDEFINED, AckedForward, Clock, Gossip

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from heliograph.partisan.protocol.effects import Effect
    from heliograph.partisan.protocol.identity import Identity
    from heliograph.partisan.protocol.membership import OrSet
    from heliograph.partisan.protocol.streams import OutgoingStream
    from heliograph.partisan.wire import NodeSpec, Term

__all__ = ["MEMBERSHIP", "Mesh", "Statistics"]

MEMBERSHIP: Final = Atom("partisan_membership")
"""The channel that gossip goes by."""
_MANAGER: Final = "full_v1"  # as states of a full mesh begin
_TOKEN_LENGTH: Final = 20  # the original's
_DOWN_REASONS: Final = frozenset({"leave", "evicted", "closed", "failure", "timeout", "shutdown"})
# After which nobody dials again.
_FINAL_REASONS: Final = frozenset({"leave", "evicted", "refused", "shutdown"})


@dataclass(slots=True)
class Statistics:
    """What was met and needs no event."""

    malformed: int = 0
    """Messages whose contents could not be understood; they are dropped."""
    ignored: int = 0
    """Messages of a kind that there is no use for; they are dropped."""
    stale_gossip: int = 0
    """States of nodes that know this one only as removed; they are not merged."""
    unroutable: int = 0
    """Answers for nodes that there is no connection to; they are dropped."""


class Mesh:
    """A node's membership and connections; `NodeCore` is built on it.

    Args:
        spec: What the node tells of itself.
        config: Pace and bounds.
        random: For tokens, references and waits.
        state: What `Persist` said last in a former life; None starts a cluster of one.
        system_offset: The time of day, in nanoseconds since 1970, when `now` is 0.
        parse: Reads a membership state; it may remember those that come again.

    Raises:
        StateError: `state` is not what `Persist` says.

    Attributes:
        name: The node's name.
        spec: See above.
        identity: This run of it.
        members: The membership.
        peers: Members and nodes being joined, by name, without this node.
        connections: All open or opening connections, by number.
        routes: Connections that may carry data, by peer and channel, in the order of their
            places among `parallelism`. The tuples are replaced, never changed.
        delivery: Acknowledged messages; drivers call it directly.
        trees: Broadcasts and relays.
        remote: Monitors and processes; drivers say there which processes live.
        statistics: Counters.
        tag: What kind of node it is, in the original's sense.
        detecting: Suspicions; None without.
        whole: Whether every member is a peer of every other.
        random: As above.
    """

    whole: ClassVar[bool] = True

    def __init__(
        self,
        spec: NodeSpec,
        *,
        config: ProtocolConfig | None = None,
        random: Random,
        state: Term = None,
        system_offset: int = 0,
        parse: Callable[[Term], MembershipState] | None = None,
    ) -> None:
        self.spec = spec
        self.name: Atom = spec.name
        self.config: ProtocolConfig = config if config is not None else ProtocolConfig()
        self.random: Random = random
        self._system_offset = system_offset
        self.identity: Identity = new_identity(random.randbytes)
        self._parse = self._read if parse is None else parse
        self.members: OrSet = EMPTY_SET if state is None else self._parse(state).members
        self.peers: dict[Atom, Peer] = {}
        self.connections: dict[int, Connection] = {}
        self.routes: dict[tuple[Atom, Atom], tuple[int, ...]] = {}
        self.delivery: Delivery[Any] = Delivery(self.identity, self.config.delivery)
        self.remote: Remote = Remote(self.name, self.config.reference_format, self.config.monitors)
        self.trees: Trees = Trees(
            self.name,
            random=random,
            config=self.config,
            route=self.route,
            passes_on=self.passes_on,
            is_ours=self.is_ours,
        )
        self.statistics: Statistics = Statistics()
        self.tag: Atom = UNDEFINED
        self._tally: Tally = Tally(self.statistics, ("malformed", "ignored"))
        self.detecting: Detecting | None = None
        if self.config.detection is not None:
            self.detecting = Detecting(self, self.config.detection)
        self._next_connection = 1
        self._told: dict[Atom, NodeSpec] = {}  # members that were told to have joined
        self._state_term: Term = None
        self.members = self._with_self(self.members)

    # --- for drivers ---

    def new_connection(self) -> int:
        """Return a number for a connection; each is given once."""
        number = self._next_connection
        self._next_connection += 1
        return number

    def touch(self, connection: int, now: int) -> None:
        """Note that something came of a connection that the driver handles itself."""
        self.connections[connection].touched = now

    def route(self, peer: Atom, channel: Atom) -> tuple[int, ...]:
        """Return the connections that data may go by: of the channel, or else the default one."""
        return self.routes.get((peer, channel)) or self.routes.get((peer, UNDEFINED), ())

    def lanes(self, peer: Atom, channel: Atom) -> int:
        """Return among how many lanes the partition keys of a channel are dealt out.

        That is its parallelism. If the peer has changed that, the former number holds until all
        messages are acknowledged, lest messages of one key overtake each other.
        """
        known = self.peers[peer]
        wanted = known.parallelism(channel) or known.parallelism(UNDEFINED)
        return self.delivery.lanes(peer, channel, wanted)

    def lane_route(self, peer: Atom, channel: Atom) -> tuple[int, ...]:
        """Return the connections that messages to be acknowledged may go by.

        They wait for a channel that the peer has and that is not open yet, since what overtook
        them on the default channel would arrive out of order.
        """
        known, connections = self.peers.get(peer), self.routes.get((peer, channel))
        # There may be messages for a node that is no peer any more, and will be one again.
        if connections is None and known is not None and not known.parallelism(channel):
            connections = self.routes.get((peer, UNDEFINED))
        return connections or ()

    def numbered(self, number: int, payload: tuple[Term, Term]) -> AckedForward:
        """Return the frame of a message to be acknowledged."""
        clock = Clock(UNDEFINED, ((self.name, number),))
        return AckedForward(self.name, clock, *payload)

    def state(self) -> Term:
        """Return the membership state as others get it."""
        if self._state_term is None:
            self._state_term = MembershipState(self.identity.actor, self.members).term()
        return self._state_term

    def specs(self) -> list[NodeSpec]:
        """Return the members of the cluster as far as they are known, this node included."""
        return list(self.members)

    def is_member(self, name: Atom) -> bool:
        """Tell whether a node is one of them."""
        return bool(self.members.named(name))

    def joined(self, name: Atom) -> bool:
        """Tell whether a node that was asked to be joined through has let this one in."""
        peer = self.peers.get(name)
        return peer is not None and not peer.joining and self.is_member(name) and peer.connected

    def passes_on(self, name: Atom) -> bool:
        """Tell whether a peer passes on what it gets for others: the original does not."""
        return self.is_ours(name)

    def acknowledges(self, name: Atom) -> bool:  # noqa: ARG002 - some managers' peers do not
        """Tell whether a peer acknowledges messages, as far as that is known."""
        return True

    def is_ours(self, name: Atom) -> bool:
        """Tell whether a peer is known to be of our kind."""
        return self.delivery.run(name) is not None

    @property
    def reaches_all(self) -> bool:
        """Whether any node may be dialled for a moment, member or not: here none needs to be."""
        return False

    def reach_out(self, spec: NodeSpec, now: int) -> list[Effect]:  # noqa: ARG002 - overlays do
        """Connect to a node that is no member, for a moment: here nobody does."""
        return []

    def reference(self) -> Term:
        """Make a remote reference never used before."""
        return self.remote.new_reference(self.random)

    # --- connections ---

    def _open(
        self, number: int, peer: Atom | None = None, channel: Atom | None = None
    ) -> Connection:
        connection = Connection(
            number, self.name, self.config, self.reference, peer, channel, self.tag
        )
        self.connections[number] = connection
        return connection

    def _connect_all(self, now: int) -> list[Effect]:
        return [effect for peer in self.peers.values() for effect in self._connect(peer, now)]

    def _connect(self, peer: Peer, now: int) -> list[Effect]:
        """Dial what a peer lacks, one connection for each channel, or say when to try again."""
        missing = peer.missing()
        if not missing:
            return []
        timer = TimerKey("connect", peer.name)
        if now < peer.retry_at:
            return [SetTimer(timer, peer.retry_at)]
        effects: list[Effect] = []
        for channel in missing:
            number = self.new_connection()
            self._open(number, peer.name, channel)
            effects.append(Dial(number, peer.name, channel, peer.dial(number, channel)))
        return [*effects, SetTimer(timer, now + self.config.connection_interval)]

    def _established(self, connection: Connection, now: int) -> list[Effect]:
        name, channel = connection.peer, connection.channel
        assert name is not None
        assert channel is not None
        connected = Connected(connection.number, name, channel, connection.dialled)
        if not connection.dialled:
            return [connected]
        peer = self.peers[name]
        try:
            state = self._parse(connection.state)
        except StateError:
            theirs = manager_of(connection.state)
            if theirs not in {_MANAGER, "unknown"}:
                told = Mismatched(name, "manager", _MANAGER, theirs)
                return [told, *connection.hangup("protocol_error")]
            self.statistics.malformed += 1
            return connection.hangup("protocol_error")
        run = read_actor(state.actor)
        effects = self._restarted(peer, run, now)
        again = self.delivery.met(name, run)
        known = peer.connected
        effects += [connected, *peer.opened(connection.number, channel)]
        first = self._reroute(name, channel) == 1
        if not known:
            effects += self.trees.reached(name, now)
        if self.spec not in self.members.merge(state.members) and not peer.joining:
            return [*effects, *self._start_anew(now, removed=True)]
        if peer.pending or peer.joining:
            peer.pending = False
            effects += self._join_with(peer, state.members, connection.number, now)
        if name in self.peers:
            effects += self._connect(peer, now)
            effects += self._flush(peer)
            if first or again:
                effects += self._resend(name, None if again else channel, now)
        return effects

    def _restarted(self, peer: Peer, run: int | None, now: int) -> list[Effect]:
        """Give up connections to a former run of a peer of our kind: they lead nowhere."""
        former = self.delivery.run(peer.name)
        if former is None or run is None or former == run:
            return []
        dead = [self.connections[each] for slots in peer.slots.values() for each in slots]
        return self._hang_up(dead, "failure", now, resend=False)

    def _hang_up(
        self, connections: list[Connection], reason: str, now: int, *, resend: bool = True
    ) -> list[Effect]:
        effects: list[Effect] = []
        for connection in connections:
            effects += connection.hangup(reason)
            effects += self._forget(connection, reason, now, resend=resend)
        return effects

    def hang_up(self, connections: list[Connection], reason: str, now: int) -> list[Effect]:
        """End connections from our side, for a reason of `Hangup`."""
        return self._hang_up(connections, reason, now)

    def _gone(self, number: int, reason: str, now: int) -> list[Effect]:
        connection = self.connections.get(number)
        if connection is None:
            return []
        return [*connection.closed(reason), *self._forget(connection, reason, now)]

    def _forget_closed(self, connection: Connection, now: int) -> list[Effect]:
        if connection.phase is not Phase.CLOSED or connection.number not in self.connections:
            return []
        return self._forget(connection, connection.reason, now)

    def _forget(
        self, connection: Connection, reason: str, now: int, *, resend: bool = True
    ) -> list[Effect]:
        """Note that a connection is closed, and what follows from it.

        Args:
            connection: Which.
            reason: Why.
            now: Nanoseconds.
            resend: Whether the channel's other connections lead anywhere.
        """
        del self.connections[connection.number]
        name, channel = connection.peer, connection.channel
        if not connection.dialled or name is None or channel is None:
            return []
        peer = self.peers[name]
        why = reason if reason in _DOWN_REASONS else "failure"
        if reason not in _FINAL_REASONS:
            peer.failed(connection.number, now, self.random)
        effects = peer.lost(connection.number, channel, why, now)
        remain = self._reroute(name, channel)
        if not peer.connected:
            effects += self.remote.node_down(name)
            self.trees.lost(name)
            if not peer.dialling:
                peer.backlog.clear()
        if reason not in _FINAL_REASONS:
            effects += self._try_again(peer, reason, now)
            if remain and resend:
                effects += self._resend(name, channel, now)
        return effects

    def _try_again(self, peer: Peer, reason: str, now: int) -> list[Effect]:  # noqa: ARG002
        """See what is to follow from a connection that is gone though nobody meant it to."""
        return [SetTimer(TimerKey("connect", peer.name), peer.retry_at)]

    def _reroute(self, name: Atom, channel: Atom) -> int:
        """Renew the route of a channel; return how many connections it has."""
        connections = self.peers[name].slots.get(channel)
        if connections:
            self.routes[name, channel] = tuple(connections)
            return len(connections)
        self.routes.pop((name, channel), None)
        return 0

    # --- membership ---

    def _read(self, state: Term) -> MembershipState:
        config = self.config
        return MembershipState.parse(state, entries=config.members, tokens=config.tokens)

    def _token(self) -> bytes:
        return self.random.randbytes(_TOKEN_LENGTH)

    def _with_self(self, members: OrSet) -> OrSet:
        """Return the set with this node in it, as it is now and not as it was formerly."""
        if self.spec not in members:
            members = members.add(self.spec, self._token())
        return _without_former(members, self.spec)

    def _join_with(self, peer: Peer, theirs: OrSet, number: int, now: int) -> list[Effect]:
        """Merge the state of a peer that was not connected before."""
        members = self._with_self(self.members.merge(theirs))
        if peer.joining and not members.named(peer.name):
            # It was removed from our cluster and does not know. Once told it starts anew, hangs up,
            # and can be joined at the next attempt.
            peer.pending = True
            told = Write(number, Gossip(self.spec, self._state_of(members)))
            return [*self._adopt(members, now), told]
        peer.joining = False
        known = set(self.peers)
        effects = [*self._adopt(members, now), *self._gossip(self.members)]
        for name, other in self.peers.items():
            if name not in known:
                # They hear of us from this peer. They are dialled at the next pass, which comes
                # with its gossip.
                other.pending = False
                at = now + self.config.connection_interval
                effects.append(SetTimer(TimerKey("connect", name), at))
        return effects

    def _gossiped(self, gossip: Gossip, now: int) -> list[Effect]:
        try:
            state = self._parse(gossip.state)
        except StateError:
            self.statistics.malformed += 1
            return []
        sender, theirs = gossip.sender, state.members
        effects: list[Effect] = []
        peer = self.peers.get(sender.name)
        if peer is not None:
            effects += self._restarted(peer, read_actor(state.actor), now)
        elif self._left_for(theirs):
            self.statistics.stale_gossip += 1
            return []
        members = self.members.merge(theirs)
        if self.spec not in members:
            return [*effects, *self._start_anew(now, removed=True)]
        members = _without_former(_without_former(members, sender), self.spec)
        if theirs == self.members == members:
            return [*effects, *self._pass(now)]
        effects += self._adopt(members, now)
        if not members.named(sender.name):
            # It does not know that it was removed. It will dial again, and be told by our state.
            known = [each for each in self.connections.values() if each.peer == sender.name]
            effects += self._hang_up(known, "leave", now)
        return [*effects, *self._pass(now), *self._gossip(members)]

    def _pass(self, now: int) -> list[Effect]:
        """Dial who is missing; who was not even being dialled is told our state once connected."""
        for peer in self.peers.values():
            peer.pending = not peer.connected and not peer.dialling
        return self._connect_all(now)

    def _left_for(self, theirs: OrSet) -> bool:
        """Tell whether a set knows this node only from before it left."""
        known = theirs.tokens(self.spec)
        now = [token for token, active in self.members.tokens(self.spec).items() if active]
        return bool(known) and self.spec not in theirs and not any(each in known for each in now)

    def _adopt(self, members: OrSet, now: int) -> list[Effect]:
        """Take over a membership: tell who came and went, and part from the latter."""
        effects: list[Effect] = []
        if members != self.members:
            self.members = members
            self._state_term = None
            effects.append(Persist(self.state()))
        present: dict[Atom, list[NodeSpec]] = {}
        for spec in members:
            if spec.name != self.name:
                present.setdefault(spec.name, []).append(spec)
        for name, specs in present.items():
            peer = self.peers.get(name)
            if peer is None:
                peer = self.peers[name] = Peer(specs[-1], self.config)
            if peer.spec not in specs:
                peer.spec = specs[-1]
            known = [at for each in specs for at in each.listen_addrs]
            if peer.joining:  # where the application expects it, before where others do
                known = [*peer.addresses, *known]
            peer.addresses = tuple(dict.fromkeys(known))
            if name not in self._told:
                self._told[name] = peer.spec
                effects.append(PeerJoined(peer.spec))
                effects += other_channels(self.spec, peer.spec)
            effects += peer.check()
        for peer in [each for each in self.peers.values() if each.name not in present]:
            if not peer.joining:
                effects += self._part(peer, now)
        return effects

    def _part(self, peer: Peer, now: int) -> list[Effect]:
        """Let go of a peer that is no member, or that we no longer try to join."""
        name = peer.name
        theirs = [each for each in self.connections.values() if each.peer == name]
        effects = self._hang_up(theirs, "leave", now)
        del self.peers[name]
        effects.append(CancelTimer(TimerKey("connect", name)))
        for channel, payloads in self.delivery.forget(name).items():
            effects.append(Undelivered(name, channel, payloads))
        spec = self._told.pop(name, None)
        # Of who never was a member nobody needs to be told, but that nothing is kept for it.
        return [*effects, Forgotten(name) if spec is None else PeerLeft(spec)]

    def _start_anew(self, now: int, *, removed: bool) -> list[Effect]:
        """Become a cluster of one again: no member of the old one any more."""
        effects: list[Effect] = []
        for peer in list(self.peers.values()):
            effects += self._part(peer, now)
        effects += self._hang_up(list(self.connections.values()), "leave", now)
        self.members = self._with_self(EMPTY_SET)
        self._state_term = None
        return [*effects, Persist(self.state()), LeftCluster(removed)]

    def _gossip(self, members: OrSet) -> list[Effect]:
        """Send a membership to all members that are connected or being dialled.

        To those that cannot be reached it would be old news: they get the state of then with their
        next handshake.
        """
        message = Gossip(self.spec, self._state_of(members))
        effects: list[Effect] = []
        for name in self._told:
            peer = self.peers[name]
            if peer.connected or peer.dialling:
                peer.backlog.append(message)
                effects += self._flush(peer)
        return effects

    def _state_of(self, members: OrSet) -> Term:
        if members is self.members:
            return self.state()
        return MembershipState(self.identity.actor, members).term()

    def _flush(self, peer: Peer) -> list[Effect]:
        channel = MEMBERSHIP if peer.parallelism(MEMBERSHIP) else UNDEFINED
        connections = self.routes.get((peer.name, channel))
        if not connections:
            return []
        effects: list[Effect] = [Write(connections[0], message) for message in peer.backlog]
        peer.backlog.clear()
        return effects

    # --- messages to be acknowledged ---

    def _resend(self, name: Atom, channel: Atom | None, now: int) -> list[Effect]:
        """Send what the new connections of a channel, or of all, must carry."""
        return [
            self._transmit(stream, connections, messages)
            for stream in self.delivery.streams_to(name)
            if channel is None or channel in {stream.channel, UNDEFINED}
            if (connections := self.lane_route(name, stream.channel))
            if (messages := stream.resend(now))
        ]

    @staticmethod
    def _transmit(
        stream: OutgoingStream[Any],
        connections: tuple[int, ...],
        messages: list[tuple[int, Any]],
    ) -> Transmit:
        connection = connections[stream.lane % len(connections)]
        return Transmit(stream.peer, stream.channel, stream.lane, messages, connection)

    def _retransmit(self, now: int) -> list[Effect]:
        return [
            self._transmit(stream, connections, messages)
            for stream in self.delivery.streams()
            if len(stream) and (connections := self.lane_route(stream.peer, stream.channel))
            if (messages := stream.due(now))
        ]


def _without_former(members: OrSet, spec: NodeSpec) -> OrSet:
    """Return the set without what a node was before it became what it says it is."""
    if spec in members:
        for other in members.named(spec.name):
            if other != spec:
                members = members.remove(other)
    return members
