# SPDX-License-Identifier: Apache-2.0
"""What a node wants done, and what it has to tell: the effects of `NodeCore.handle`, in order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from heliograph.partisan.protocol.inputs import TimerKey
    from heliograph.partisan.wire import Atom, ListenAddr, NodeSpec, Term
    from heliograph.partisan.wire.messages import Message

__all__ = [
    "CallRequested",
    "CancelTimer",
    "ChannelDown",
    "ChannelUp",
    "Connected",
    "Deliver",
    "Dial",
    "Effect",
    "Hangup",
    "Heartbeat",
    "LeftCluster",
    "Monitored",
    "PeerDown",
    "PeerJoined",
    "PeerLeft",
    "PeerUp",
    "Persist",
    "SetTimer",
    "Transmit",
    "Undelivered",
    "Write",
]


# --- to be done ---


@dataclass(frozen=True, slots=True)
class Dial:
    """Connect to a peer; answer with `Dialled` or `DialFailed`."""

    connection: int
    """The new connection's number."""
    peer: Atom
    channel: Atom
    address: ListenAddr


@dataclass(frozen=True, slots=True)
class Write:
    """Send a frame of the protocol itself, behind what was written before."""

    connection: int
    message: Message


@dataclass(frozen=True, slots=True)
class Transmit:
    """Send stored messages on a connection, in order: again, or for the first time.

    Each is a number and the payload that was offered to the stream. They stay stored until they are
    acknowledged, so if the connection is gone meanwhile, drop them.
    """

    peer: Atom
    channel: Atom
    lane: int
    messages: list[tuple[int, Any]]
    connection: int
    """Where to send them: not on another one, which may lead to another run of the peer."""


@dataclass(frozen=True, slots=True)
class Hangup:
    """Close a connection once what was written to it is sent, or end its dial."""

    connection: int
    reason: str
    """`leave`, `failure`, `timeout`, `protocol_error`, `refused` or `shutdown`."""


@dataclass(frozen=True, slots=True)
class SetTimer:
    """Answer with `Fired` at a time. A timer set again keeps the new time alone."""

    key: TimerKey
    at: int
    """Nanoseconds, on the clock of `now`."""


@dataclass(frozen=True, slots=True)
class CancelTimer:
    """Forget a timer, if it is set."""

    key: TimerKey


@dataclass(frozen=True, slots=True)
class Persist:
    """Keep the membership state for the next start: `{full_v1, Actor, ORSet}`."""

    state: Term


# --- to be told ---


@dataclass(frozen=True, slots=True)
class Connected:
    """A handshake is complete: a connection we dialled can carry data, one we accepted is known."""

    connection: int
    peer: Atom
    channel: Atom
    dialled: bool


@dataclass(frozen=True, slots=True)
class Deliver:
    """A message for a process here."""

    target: Term
    """A registered name (an atom), or what the sender wrote instead."""
    message: Term
    source: Atom | None
    """Name the connection's peer announced, None before it did."""


@dataclass(frozen=True, slots=True)
class CallRequested:
    """A process there calls a function here; answer with `AnswerCall`."""

    peer: Atom
    caller: Term
    module: Atom
    function: Atom
    arguments: list[Term]
    timeout_ms: Term
    channel: Atom
    """The channel it came on, where the answer goes too."""


@dataclass(frozen=True, slots=True)
class Monitored:
    """The answer to a `Monitor`: its reference, or None because there is no such process."""

    peer: Atom
    caller: Term
    target: Term
    reference: Term | None


@dataclass(frozen=True, slots=True)
class PeerJoined:
    """A node is a member now."""

    spec: NodeSpec


@dataclass(frozen=True, slots=True)
class PeerLeft:
    """A node is no member any more."""

    spec: NodeSpec


@dataclass(frozen=True, slots=True)
class PeerUp:
    """Every channel to a peer has all its connections."""

    spec: NodeSpec


@dataclass(frozen=True, slots=True)
class PeerDown:
    """The last connection to a peer is gone."""

    spec: NodeSpec
    reason: str


@dataclass(frozen=True, slots=True)
class ChannelUp:
    """A channel to a peer has all its connections."""

    peer: Atom
    channel: Atom
    parallelism: int


@dataclass(frozen=True, slots=True)
class ChannelDown:
    """The last connection of a channel to a peer is gone."""

    peer: Atom
    channel: Atom
    parallelism: int
    reason: str


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """A ping was answered."""

    connection: int
    latency: int
    """Nanoseconds."""


@dataclass(frozen=True, slots=True)
class LeftCluster:
    """This node is no member any more, and alone."""

    removed: bool
    """Whether others removed it; otherwise it left by itself."""


@dataclass(frozen=True, slots=True)
class Undelivered:
    """Accepted messages that can no longer be delivered, since their receiver has left."""

    peer: Atom
    channel: Atom
    payloads: list[Any]


Effect: TypeAlias = (
    Dial
    | Write
    | Transmit
    | Hangup
    | SetTimer
    | CancelTimer
    | Persist
    | Connected
    | Deliver
    | CallRequested
    | Monitored
    | PeerJoined
    | PeerLeft
    | PeerUp
    | PeerDown
    | ChannelUp
    | ChannelDown
    | Heartbeat
    | LeftCluster
    | Undelivered
)
