# SPDX-License-Identifier: Apache-2.0
"""A node to be played with: inputs by hand, effects to look at."""

from __future__ import annotations

import random
from typing import TypeVar

from heliograph.partisan.protocol import (
    MEMBERSHIP,
    MembershipState,
    NodeCore,
    OrSet,
    ProtocolConfig,
    inputs,
    new_identity,
)
from heliograph.partisan.protocol.effects import Dial, Effect, Write
from heliograph.partisan.protocol.identity import Identity
from heliograph.partisan.wire import Atom, ChannelSpec, ListenAddr, NodeSpec, Term
from heliograph.partisan.wire.messages import (
    UNDEFINED,
    ClientHello,
    Gossip,
    Hello,
    Message,
    State,
)

SECOND = 1_000_000_000
DATA = Atom("data")
SINK = Atom("sink")

Kind = TypeVar("Kind")


def spec(name: str, port: int = 0, data: int = 2) -> NodeSpec:
    """Return a specification; without a port, one that follows from the name."""
    return NodeSpec(
        Atom(f"{name}@127.0.0.1"),
        (ListenAddr("127.0.0.1", port or 10_000 + int(name[1:])),),
        (ChannelSpec(UNDEFINED), ChannelSpec(MEMBERSHIP), ChannelSpec(DATA, data)),
    )


S1, S2, S3 = spec("n1"), spec("n2"), spec("n3")
N1, N2, N3 = S1.name, S2.name, S3.name


def token(text: str) -> bytes:
    return text.encode().ljust(20)


def members(*specs: NodeSpec) -> OrSet:
    """Return a set with these members, each under the one token that follows from its address."""
    found = OrSet()
    for each in specs:
        found = found.add(each, token(str(each.listen_addrs)))
    return found


def identity(seed: int) -> Identity:
    return new_identity(random.Random(seed).randbytes)


def state(known: OrSet, run: int | None = 99) -> Term:
    """Return a peer's state: of our kind in the run of that number, or an Erlang node's."""
    actor = bytes(20) if run is None else identity(run).actor
    return MembershipState(actor, known).term()


def of(kind: type[Kind], effects: list[Effect]) -> list[Kind]:
    return [each for each in effects if isinstance(each, kind)]


def written(effects: list[Effect], connection: int | None = None) -> list[Message]:
    return [
        each.message
        for each in of(Write, effects)
        if connection is None or each.connection == connection
    ]


class Play:
    """One node, started from a membership."""

    def __init__(
        self,
        own: NodeSpec = S1,
        known: OrSet | None = None,
        config: ProtocolConfig | None = None,
    ) -> None:
        self.now = 1
        self.core = NodeCore(
            own,
            config=config,
            random=random.Random(0),
            state=None if known is None else state(known),
        )
        self.effects: list[Effect] = []
        self.dials: list[Dial] = []
        self.do(inputs.Start())

    def do(self, happened: inputs.Input) -> list[Effect]:
        self.effects = self.core.handle(happened, self.now)
        self.dials += of(Dial, self.effects)
        return self.effects

    def fire(self, kind: str, of: int | str = 0, after: int = 0) -> list[Effect]:
        self.now += after
        return self.do(inputs.Fired(inputs.TimerKey(kind, of)))

    def hear(self, connection: int, *messages: Message) -> list[Effect]:
        return self.do(inputs.Received(connection, messages))

    def dial(self, peer: Atom, channel: Atom = UNDEFINED) -> Dial:
        """Return a dial that waits for its outcome."""
        found = next(each for each in self.dials if (each.peer, each.channel) == (peer, channel))
        self.dials.remove(found)
        return found

    def connect(
        self, peer: Atom, channel: Atom = UNDEFINED, known: Term = None, run: int | None = 99
    ) -> int:
        """Complete a dial and its handshake; return the connection."""
        number = self.dial(peer, channel).connection
        self.do(inputs.Dialled(number))
        self.hear(number, Hello(peer))
        theirs = state(self.core.members, run) if known is None else known
        self.hear(number, State(UNDEFINED, theirs))
        return number

    def connect_all(self, peer: Atom, run: int | None = 99) -> dict[Atom, list[int]]:
        """Complete all dials to a peer; return the connections of each channel."""
        made: dict[Atom, list[int]] = {}
        while True:
            waiting = [each for each in self.dials if each.peer == peer]
            if not waiting:
                return made
            channel = waiting[0].channel
            made.setdefault(channel, []).append(self.connect(peer, channel, run=run))

    def accept(self, peer: Atom | None = None, channel: Atom = UNDEFINED) -> int:
        """Take a connection that a peer dialled, with its hello if the peer is given."""
        number = self.core.new_connection()
        self.do(inputs.Accepted(number))
        if peer is not None:
            self.hear(number, ClientHello(peer, channel))
        return number

    def gossip(
        self, sender: NodeSpec, known: OrSet, connection: int, run: int | None = 99
    ) -> list[Effect]:
        return self.hear(connection, Gossip(sender, state(known, run)))
