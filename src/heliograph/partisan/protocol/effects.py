# SPDX-License-Identifier: Apache-2.0
"""What a node wants done, and what it has to tell: the effects of `NodeCore.handle`, in order."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from heliograph.partisan.protocol.detection import Outcome
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
    "Dropped",
    "Effect",
    "Forgotten",
    "Grafted",
    "Hangup",
    "Heartbeat",
    "Judged",
    "LeftCluster",
    "Mismatched",
    "Monitored",
    "NeighborDown",
    "NeighborUp",
    "Optimized",
    "PeerDown",
    "PeerJoined",
    "PeerLeft",
    "PeerUp",
    "Persist",
    "Promoted",
    "Pruned",
    "SetTimer",
    "Shuffled",
    "Suspected",
    "Transmit",
    "Undelivered",
    "Write",
    "WriteAll",
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
class WriteAll:
    """Send one frame of the protocol itself on several connections."""

    connections: tuple[int, ...]
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
    """`leave`, `evicted`, `closed`, `failure`, `timeout`, `protocol_error`, `refused` or
    `shutdown`."""


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
    downs: int = field(default=0, compare=False)
    """How often that was so of late without its doing so on purpose, this time included."""


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
class Suspected:
    """A peer has missed a ping; it is not down yet."""

    peer: Atom
    timeout: int
    """Nanoseconds until it is declared down, unless others suspect it too or it is heard."""


@dataclass(frozen=True, slots=True)
class Judged:
    """A peer is suspected no more."""

    peer: Atom
    outcome: Outcome
    """`alive`, `down`, or `gone` for other reasons."""
    duration: int
    """Nanoseconds."""
    confirmations: int


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


# --- to be told, of partial views and broadcast trees ---


@dataclass(frozen=True, slots=True)
class NeighborUp:
    """A node is in this one's view now."""

    spec: NodeSpec


@dataclass(frozen=True, slots=True)
class NeighborDown:
    """A node is in this one's view no more."""

    spec: NodeSpec
    reason: str
    """`evicted`, `leave`, `failure`, `timeout`, `closed`, `refused` or `shutdown`."""


@dataclass(frozen=True, slots=True)
class Forgotten:
    """Nothing is kept of a peer any more."""

    peer: Atom


@dataclass(frozen=True, slots=True)
class Shuffled:
    """This node has begun to exchange replacements with another one."""


@dataclass(frozen=True, slots=True)
class Promoted:
    """This node has asked replacements to become neighbors, or was answered."""

    outcome: str
    """`requested`, `accepted` or `rejected`."""
    count: int


@dataclass(frozen=True, slots=True)
class Optimized:
    """This node has asked nearer nodes to take the places of far neighbors, or was answered."""

    outcome: str
    """`requested`, `accepted` or `rejected`."""
    count: int


@dataclass(frozen=True, slots=True)
class Grafted:
    """This node has asked a neighbor for a message, and for that root's from now on."""

    peer: Atom
    root: Atom


@dataclass(frozen=True, slots=True)
class Pruned:
    """This node has asked a neighbor for no more messages of a root."""

    peer: Atom
    root: Atom


@dataclass(frozen=True, slots=True)
class Dropped:
    """Messages of the protocol itself came to nothing."""

    protocol: str
    """`membership`, `broadcast` or `relay`."""
    reason: str
    """What was counted: `forged`, `malformed`, `unknown`, ..."""
    count: int
    peer: Atom | None = None
    """Who has sent them, if they came of a connection whose peer is known."""
    message: str = ""
    """What kind of message it was, if that is known: `forward_join`."""


@dataclass(frozen=True, slots=True)
class Mismatched:
    """A peer was configured otherwise than this node."""

    peer: Atom
    setting: str
    """`manager` or `channels`."""
    own: str
    theirs: str


Effect: TypeAlias = (
    Dial
    | Write
    | WriteAll
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
    | Suspected
    | Judged
    | LeftCluster
    | Undelivered
    | NeighborUp
    | NeighborDown
    | Forgotten
    | Shuffled
    | Promoted
    | Optimized
    | Grafted
    | Pruned
    | Dropped
    | Mismatched
)
