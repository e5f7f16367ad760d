# SPDX-License-Identifier: Apache-2.0
"""Our node in the place of one whose conversation was recorded.

What its application did is inferred from what was recorded, and timers fire when their consequence
is due. What was recorded of the original and cannot be asked of ours:

*   Data sent before the hello: the hello is expected first.
*   Frames to a node that had left, over connections that stayed open: our node hangs up. If that
    node has come back, ours dials it again, and the handshake is made up.
*   An answer to a hello that does not know yet what was merged just before: any state that our node
    had in the scene will do.
*   Which of a channel's connections an acknowledgement goes by is left to chance.
*   Where a ping falls among other frames is up to the clock. A pong without a ping means that the
    ping was before the scene; a ping without a pong, that the pong was after it.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from typing import Any

from heliograph.partisan.protocol import MembershipState, NodeCore, inputs
from heliograph.partisan.protocol.effects import (
    CallRequested,
    CancelTimer,
    Dial,
    Effect,
    Hangup,
    LeftCluster,
    SetTimer,
    Transmit,
    Write,
)
from heliograph.partisan.protocol.identity import new_identity
from heliograph.partisan.wire import (
    Atom,
    Term,
    decode,
    encode,
    exact,
    same,
)
from heliograph.partisan.wire.messages import (
    UNDEFINED,
    Ack,
    AckedForward,
    ClientHello,
    Demonitor,
    Down,
    Forward,
    Gossip,
    Hello,
    Message,
    Monitor,
    Ping,
    Pong,
    RpcCall,
    RpcResponse,
    State,
    parse,
    parse_payload,
)
from heliograph.partisan.wire.refs import RemoteRef
from heliograph.partisan.wire.text import format_term
from tests.partisan.recorded import Failure, Record, Scene
from tests.partisan.renaming import Renaming

__all__ = ["Player"]

_INTERVAL = 60_000_000_000
"""Nanoseconds by which the clock advances to fire a timer: more than any of them."""

_MONITORING = (Monitor, Demonitor)


def _short(term: Term) -> str:
    return format_term(term, limit=300)


def _tag(caller: Term) -> Term:
    match caller:
        case (_, tag):
            return tag
        case _:
            return None


class Player:
    """Our node in the place of one that was recorded."""

    def __init__(self, scene: Scene, name: Atom) -> None:
        self.scene = scene
        self.name = name
        self.names = Renaming()
        members = scene.start(name)
        chance = random.Random(1)
        state = MembershipState(new_identity(chance.randbytes).actor, members).term()
        self.core = NodeCore(scene.specs[name], random=chance, state=state)
        self.core.remote.processes |= self._living()
        self.now = 0
        self.left = False
        self.timers: dict[inputs.TimerKey, int] = {}
        self.dials: list[Dial] = []
        self.calls: list[CallRequested] = []
        self.sent: dict[int, list[Term]] = {}  # what we sent, by our own number
        self.recorded = self._recorded()
        self.matched: dict[tuple[int, bool], int] = {}  # how many of these were compared
        self.states: list[Term] = []  # that our node had in the scene
        self.ours: dict[int, int] = {}  # our number of each recorded connection
        self.waiting: dict[int, list[Message]] = {}  # for connections we have not dialled yet
        self.acked: set[Any] = set()  # numbers of messages that were sent before
        self._begin()

    def play(self) -> int:
        """Play the scene; return how many frames of ours were compared."""
        scene = self.scene
        for record, message in zip(scene.records, scene.messages, strict=True):
            if self.name not in {record.client, record.server}:
                continue
            if record.connection not in self.ours and record.server == self.name:
                self.ours[record.connection] = self.core.new_connection()
                self._do(inputs.Accepted(self.ours[record.connection]))
            if message is None:
                self._ended(record)
            elif record.sender == self.name:
                self._compare(record.connection)
                if not self._compared(record):
                    self._cause(record, message)
                    self._compare(record.connection)
            elif not record.dropped:
                self._hear(record)
        return self._finish()

    # --- before the scene ---

    def _living(self) -> set[str]:
        """Return the processes of ours that a monitor was granted for, or none was asked for."""
        living: set[str] = set()
        asked: dict[Any, RemoteRef] = {}
        for record, message in zip(self.scene.records, self.scene.messages, strict=True):
            match message:
                case Monitor((_, tag), target) if record.sender != self.name:
                    asked[exact(tag)] = RemoteRef.parse(target)
                case Forward(_, (tag, ("ok", _))) if record.sender == self.name:
                    wanted = asked.get(exact(tag))
                    if wanted is not None and wanted.node == self.name:
                        living.add(wanted.id)
        return living

    def _begin(self) -> None:
        """Start, and make the connections that stood already."""
        self._do(inputs.Start())
        for name in self.core.peers:
            self._connect(name, self._standing(name))
        for number, (client, server) in sorted(self.scene.ends.items()):
            if server == self.name and number not in self.scene.fresh:
                ours = self.ours[number] = self.core.new_connection()
                self._do(inputs.Accepted(ours))
                channel = self.scene.channels.get(number, UNDEFINED)
                self._do(inputs.Received(ours, (ClientHello(client, channel),)))
        self.sent = {}
        self.dials = [dial for dial in self.dials if dial.connection in self.core.connections]

    def _standing(self, peer: Atom) -> list[int]:
        return [
            number
            for number in self.scene.standing(self.name)
            if self.scene.ends[number][1] == peer
        ]

    def _connect(self, name: Atom, wanted: list[int]) -> None:
        """Dial a peer until the connections that stood are there, and no others."""
        missing = sorted(wanted, key=lambda each: (self.scene.channels[each] != UNDEFINED, each))
        default = not missing or self.scene.channels[missing[0]] == UNDEFINED
        if not default and not self.core.peers[name].connected:
            # The recording does not show the default channel, though it is always there.
            first = self._dial(name, UNDEFINED)
            if first is None:
                raise Failure(f"our node does not dial {name}")
            self._handshake(first)
        for _ in range(len(missing) * len(self.core.peers[name].channels()) + 1):
            for number in list(missing):
                dial = self._dial(name, self.scene.channels[number])
                if dial is not None:
                    self.ours[number] = dial.connection
                    missing.remove(number)
                    self._handshake(dial)
            if not missing:
                return
            self._fire("connect", name)
        raise Failure(f"our node does not dial {name} for connection {missing[0]}")

    def _handshake(self, dial: Dial) -> None:
        if dial in self.dials:
            self.dials.remove(dial)
        self._do(inputs.Dialled(dial.connection))
        self._do(inputs.Received(dial.connection, (Hello(dial.peer),)))
        self.sent.pop(dial.connection)  # the hello was before the scene
        state = State(UNDEFINED, self.core.state())
        self._do(inputs.Received(dial.connection, (state,)))

    # --- what our node does ---

    def _do(self, happened: inputs.Input) -> None:
        self.now += 1
        if not self.states or self.states[-1] is not self.core.state():
            self.states.append(self.core.state())
        self._carry_out(self.core.handle(happened, self.now))

    def _carry_out(self, effects: Iterable[Effect]) -> None:
        for effect in effects:
            match effect:
                case Write(number, message):
                    # By way of bytes, so that it is what would have gone over the wire.
                    self.sent.setdefault(number, []).append(decode(encode(message.term())))
                case Transmit(_, _, _, messages, number):
                    for each, payload in messages:
                        self._carry_out([Write(number, self.core.numbered(each, payload))])
                case Dial():
                    self.dials.append(effect)
                case Hangup(number):
                    self.dials = [dial for dial in self.dials if dial.connection != number]
                case SetTimer(key, at):
                    self.timers[key] = at
                case CancelTimer(key):
                    self.timers.pop(key, None)
                case CallRequested():
                    self.calls.append(effect)
                case LeftCluster():
                    self.left = True
                case _:
                    pass
        for number in list(self.waiting):
            self._open(number)

    def _fire(self, kind: str, of: int | str = 0) -> None:
        key = inputs.TimerKey(kind, of)
        if key in self.timers:
            del self.timers[key]
            self.now += _INTERVAL
            self._do(inputs.Fired(key))

    def _dial(self, peer: Atom, channel: Atom) -> Dial | None:
        for dial in self.dials:
            if (dial.peer, dial.channel) == (peer, channel):
                self.dials.remove(dial)
                return dial
        return None

    # --- what others do ---

    def _hear(self, record: Record) -> None:
        message = parse(self.names.translate(record.term()))
        number = record.connection
        if number in self.ours:
            self._do(inputs.Received(self.ours[number], (message,)))
            return
        if number not in self.waiting:
            self._want(record.server)
        self.waiting.setdefault(number, []).append(message)
        self._open(number)

    def _want(self, server: Atom) -> None:
        """See that our node has a reason to dial: if it had none, the application joins."""
        if server not in self.core.peers:
            self._do(inputs.Join(server, self.scene.specs[server].listen_addrs))

    def _open(self, number: int) -> None:
        """Make a connection if our node dials it by now, and give it what waited for that."""
        _client, server = self.scene.ends[number]
        channel = self.scene.channels.get(number, UNDEFINED)
        dial = self._dial(server, channel)
        if dial is None:
            return
        messages = self.waiting.pop(number)
        self.ours[number] = dial.connection
        self._do(inputs.Dialled(dial.connection))
        for message in messages:
            self._do(inputs.Received(dial.connection, (message,)))

    def _ended(self, record: Record) -> None:
        ours = self.ours.get(record.connection)
        if ours is None or ours not in self.core.connections:
            return
        if record.sender == self.name and self.left:
            raise Failure(
                f"line {record.line}: our node has left, and connection {record.connection} is open"
            )
        self._do(inputs.Disconnected(ours, "closed"))

    # --- why our node sent something ---

    def _compared(self, record: Record) -> bool:
        """Tell whether a frame of ours stood for this one already."""
        key = (record.connection, isinstance(record.message(), Ping))
        return record in self.recorded[key][: self.matched.get(key, 0)]

    def _cause(self, record: Record, message: Message) -> None:
        """Do what must have happened that our node sends a message now."""
        peer = record.server if record.from_client else record.client
        if record.from_client and record.connection not in {*self.ours, *self.scene.fresh}:
            # The original has kept the connections to a node that had left; ours dials it again, if
            # it has come back.
            if all(each.name != peer for each in self.core.members):
                return
            self._connect(peer, [each for each in self._standing(peer) if each not in self.ours])
            self._compare(record.connection)
            if self._compared(record):
                return
        match message:
            case Gossip():
                self._gossip(peer, message)
            case Ping():
                self._fire("keep_alive", self.ours.get(record.connection, 0))
            case AckedForward(clock=clock) if exact(clock) in self.acked:
                self._fire("retransmit")
            case AckedForward(_, clock, to, content):
                self.acked.add(exact(clock))
                self._send(record, peer, to, content, ack=True)
            case RpcCall(module, function, arguments, int(timeout), (_, caller)):
                channel = self.scene.channels[record.connection]
                self._do(inputs.Call(peer, caller, module, function, arguments, timeout, channel))
            case Monitor((caller, _), target, options):
                wanted = [each[1] for each in options if isinstance(each, tuple)]
                self._do(inputs.Monitor(peer, caller, target, wanted[0] if wanted else None))
            case Demonitor((caller, _), reference):
                self._do(inputs.Demonitor(peer, caller, self.names.translate(reference)))
            case Down(_, _, target, reason):
                self._do(inputs.EndProcess(RemoteRef.parse(target).id, reason))
            case Forward(to, content):
                self._forward(record, peer, to, content)
            case Pong(_, name, timestamp):
                # The ping was before the scene.
                self._do(
                    inputs.Received(self.ours[record.connection], (Ping(peer, name, timestamp),))
                )
            case Ack() if self._moved(record):
                pass
            case _ if record.connection in self.waiting:
                pass  # our node will dial that connection later than the original did
            case _:
                raise Failure(f"line {record.line}: nothing has come yet that this would answer")

    def _moved(self, record: Record) -> bool:
        """Take an answer that went by another connection of the channel: any of them will do."""
        ends = self.scene.ends[record.connection], self.scene.channels[record.connection]
        for number, ours in self.ours.items():
            if (self.scene.ends[number], self.scene.channels.get(number)) == ends:
                sent = self.sent.get(ours, [])
                for at in range(self.matched.get((number, False), 0), len(sent)):
                    if same(sent[at], record.term()):
                        self.sent.setdefault(self.ours[record.connection], []).append(sent.pop(at))
                        return True
        return False

    def _gossip(self, peer: Atom, message: Gossip) -> None:
        said = MembershipState.parse(message.state).members
        gone = [each.name for each in self.core.members if said.tokens(each) and each not in said]
        if self.name in gone:
            self._do(inputs.Leave())
        elif gone:
            self._do(inputs.Leave(peer if peer in gone else gone[0]))
        elif peer in self.core.peers and not self.core.peers[peer].backlog:
            self._fire("gossip")

    def _forward(self, record: Record, peer: Atom, to: Term, content: Term) -> None:
        answer = parse_payload(content)
        if isinstance(answer, RpcResponse):
            if not self.calls:
                raise Failure(f"line {record.line}: an answer to a call that did not come")
            call = self.calls.pop(0)
            self._do(inputs.AnswerCall(call.peer, call.caller, answer.result, call.channel))
        elif self._answers_monitor(content):
            raise Failure(f"line {record.line}: nothing has come yet that this would answer")
        else:
            self._send(record, peer, to, content, ack=False)

    def _answers_monitor(self, content: Term) -> bool:
        match content:
            case (tag, _):
                asked = [each for each in self.scene.messages if isinstance(each, _MONITORING)]
                return any(same(tag, _tag(each.caller)) for each in asked)
            case _:
                return False

    def _send(self, record: Record, peer: Atom, to: Term, content: Term, *, ack: bool) -> None:
        channel = self.scene.channels[record.connection]
        slots = self.core.lane_route(peer, channel)
        ours = self.ours.get(record.connection)
        key = slots.index(ours) if ours in slots else 0
        self._do(inputs.Send(peer, to, content, channel, key, ack))

    # --- comparing ---

    def _recorded(self) -> dict[tuple[int, bool], list[Record]]:
        """Return what was recorded of the node on each connection, the hello first.

        Its pings stand for themselves: they are due by the clock, wherever that is among the rest.
        """
        recorded: dict[tuple[int, bool], list[Record]] = {}
        for record, message in zip(self.scene.records, self.scene.messages, strict=True):
            if message is not None and record.sender == self.name:
                key = (record.connection, isinstance(message, Ping))
                frames = recorded.setdefault(key, [])
                frames.insert(
                    0 if isinstance(message, Hello | ClientHello) else len(frames), record
                )
        return recorded

    def _sent(self, number: int, pings: bool) -> list[Term]:
        sent = self.sent.get(self.ours.get(number, 0), [])
        return [each for each in sent if isinstance(parse(each), Ping) is pings]

    def _compare(self, number: int) -> None:
        """Compare what our node has sent on a connection with what was recorded of it."""
        for pings in (False, True):
            sent = self._sent(number, pings)
            recorded = self.recorded.get((number, pings), [])
            start = self.matched.get((number, pings), 0)
            for record, ours in list(zip(recorded, sent, strict=False))[start:]:
                if not self._same(record.term(), ours):
                    raise Failure(
                        f"line {record.line}: recorded {_short(record.term())},"
                        f" our node sent {_short(ours)}"
                    )
                self.matched[number, pings] = self.matched.get((number, pings), 0) + 1

    def _same(self, recorded: Term, ours: Term) -> bool:
        if self.names.unify(recorded, ours):
            return True
        # The original may answer a hello while it still merges what it was told just before.
        said = parse(ours)
        return isinstance(said, State) and any(
            self.names.unify(recorded, State(said.tag, state).term()) for state in self.states
        )

    def _finish(self) -> int:
        for (number, pings), recorded in self.recorded.items():
            self._compare(number)
            missing = recorded[self.matched.get((number, pings), 0) :]
            if missing and not (
                self._departed(number)
                and all(self._is_own_ping(each.message()) for each in missing)
            ):
                raise Failure(
                    f"line {missing[0].line}: our node did not send {_short(missing[0].term())}"
                )
        for number, ours in self.ours.items():
            for pings in (False, True):
                more = self._sent(number, pings)[self.matched.get((number, pings), 0) :]
                if more and not self._answers_last(number, more):
                    raise Failure(f"connection {number}: our node also sent {_short(more[0])}")
            assert ours not in self.waiting
        return sum(self.matched.values())

    def _is_own_ping(self, message: Message) -> bool:
        match message:
            case Ping(node) | Pong(node):
                return node == self.name
            case _:
                return False

    def _departed(self, number: int) -> bool:
        """Tell whether our node has hung up on one that left, which the original forgets to do."""
        peer = next(each for each in self.scene.ends[number] if each != self.name)
        return self.left or all(each.name != peer for each in self.core.members)

    def _answers_last(self, number: int, more: list[Term]) -> bool:
        """Tell whether all that is left is a pong to the last ping, which came after the scene."""
        heard = [
            message
            for record, message in zip(self.scene.records, self.scene.messages, strict=True)
            if record.connection == number and record.sender != self.name
        ]
        match [parse(each) for each in more], heard:
            case [Pong(_, answered)], [*_, Ping(_, asked)]:
                return same(answered, asked)
            case _:
                return False
