# SPDX-License-Identifier: Apache-2.0
"""What can happen to a node: the inputs of `NodeCore.handle`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

from heliograph.partisan.wire import Atom
from heliograph.partisan.wire.messages import UNDEFINED

if TYPE_CHECKING:
    from heliograph.partisan.protocol.broadcasting import BroadcastHandler
    from heliograph.partisan.wire import ListenAddr, Term
    from heliograph.partisan.wire.messages import Message

__all__ = [
    "Accepted",
    "AddHandler",
    "AnswerCall",
    "Broadcast",
    "Call",
    "Demonitor",
    "DialFailed",
    "Dialled",
    "Disconnected",
    "EndProcess",
    "Fired",
    "Input",
    "Join",
    "Leave",
    "Monitor",
    "Received",
    "Relay",
    "Request",
    "Send",
    "Start",
    "Stop",
    "TimerKey",
]

_NORMAL: Final = Atom("normal")


class TimerKey(NamedTuple):
    """Which timer: of what kind, and of which connection or peer."""

    kind: str
    """`handshake`, `keep_alive`, `connect`, `gossip`, `retransmit`, `lazy` or `exchange`; with
    failure detection `suspect` or `health`; with a partial view `overlay`, `join`, `lost`,
    `linger`, `forget`, `evicted` or `parted`."""
    of: int | str = 0
    """The connection's number or the peer's name; 0 where there is one such timer alone."""


@dataclass(frozen=True, slots=True)
class Start:
    """The node listens now. The first input."""


@dataclass(frozen=True, slots=True)
class Stop:
    """The node ends without leaving the cluster: its peers see its connections close."""


@dataclass(frozen=True, slots=True)
class Join:
    """The application joins the cluster of another node. Joining oneself does nothing.

    Its own channels say how many connections to open first; those it declares itself are known once
    it has answered.
    """

    name: Atom
    listen_addrs: tuple[ListenAddr, ...]
    """Where it listens, at least one address; they are tried in turn."""


@dataclass(frozen=True, slots=True)
class Leave:
    """The application removes a node from the cluster: itself if the name is None or its own."""

    name: Atom | None = None


@dataclass(frozen=True, slots=True)
class Accepted:
    """A peer dialled us; its connection has a number from `NodeCore.new_connection`."""

    connection: int


@dataclass(frozen=True, slots=True)
class Dialled:
    """A `Dial` has led to a connection (TCP, and TLS if used)."""

    connection: int


@dataclass(frozen=True, slots=True)
class DialFailed:
    """A `Dial` has come to nothing."""

    connection: int


@dataclass(frozen=True, slots=True)
class Received:
    """Frames of one connection, in order: all those read at once that concern the node itself.

    Whatever is addressed to processes may be kept back and handled by the driver, which then sets
    `NodeCore.touch` for the connection.
    """

    connection: int
    messages: tuple[Message, ...]


@dataclass(frozen=True, slots=True)
class Disconnected:
    """A connection is gone. After `Hangup` it need not be said."""

    connection: int
    reason: str = "closed"
    """`closed` if the peer hung up, `failure` if it broke, `protocol_error` if it sent nonsense."""


@dataclass(frozen=True, slots=True)
class Fired:
    """A timer's time has come."""

    key: TimerKey


@dataclass(frozen=True, slots=True)
class Send:
    """The application sends a message. A driver with a fast path of its own need not ask."""

    peer: Atom
    target: Term
    """A registered name, or a remote reference without its node, as it goes on the wire."""
    message: Term
    channel: Atom = UNDEFINED
    partition_key: int | None = None
    ack: bool = False
    size: int = 0
    """Bytes that the message counts for while it waits for its acknowledgement."""


@dataclass(frozen=True, slots=True)
class Call:
    """A process here calls a function there: `partisan_rpc:call`. One answer comes to `caller`."""

    peer: Atom
    caller: Term
    """Remote reference of a process here: a new one for each call, for answers carry no number."""
    module: Atom
    function: Atom
    arguments: list[Term]
    timeout_ms: int = 5_000
    channel: Atom = UNDEFINED


@dataclass(frozen=True, slots=True)
class AnswerCall:
    """The application answers a `CallRequested`."""

    peer: Atom
    caller: Term
    result: Term
    """The value, or `(Atom("badrpc"), reason)`."""
    channel: Atom = UNDEFINED


@dataclass(frozen=True, slots=True)
class Monitor:
    """A process here monitors one there; `Monitored` has the monitor's reference."""

    peer: Atom
    caller: Term
    target: Term
    """Remote reference of a process, or of a name, on the peer."""
    channel: Atom | None = None
    """Where the notice shall come; None leaves it to the peer, which takes the default channel."""


@dataclass(frozen=True, slots=True)
class Demonitor:
    """A process here ends a monitor."""

    peer: Atom
    caller: Term
    reference: Term


@dataclass(frozen=True, slots=True)
class EndProcess:
    """A process of this node has ended, by its name or the text of its pid (`<0.9.0>`)."""

    process: str
    reason: Term = _NORMAL


@dataclass(frozen=True, slots=True)
class AddHandler:
    """The application takes part in the broadcasts of a handler from now on."""

    module: Atom
    """The handler's name on the wire; in the original, that of a module."""
    handler: BroadcastHandler


@dataclass(frozen=True, slots=True)
class Broadcast:
    """The application broadcasts something, by a handler that it has added."""

    module: Atom
    broadcast: Any
    """What the handler's `broadcast_data` takes."""


@dataclass(frozen=True, slots=True)
class Relay:
    """The application sends a message by way of others."""

    peer: Atom
    target: Term
    message: Term
    ttl: int = 4
    """Hops beyond the first that it may take."""


Request: TypeAlias = Call | AnswerCall | Monitor | Demonitor
"""What an application asks of another node's processes."""

Input: TypeAlias = (
    Start
    | Stop
    | Join
    | Leave
    | Accepted
    | Dialled
    | DialFailed
    | Received
    | Disconnected
    | Fired
    | Send
    | EndProcess
    | AddHandler
    | Broadcast
    | Relay
    | Request
)
