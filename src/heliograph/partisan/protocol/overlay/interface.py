# SPDX-License-Identifier: Apache-2.0
"""What an overlay is: it decides whom a node is connected to, and nothing else.

`Overlay` is the interface of all of them, of those here and of a user's own. It is told what
happens (`Start`, `Join`, `Received`, `Lost`, ...) and returns what is to be done (`Send`, `Hangup`,
`NeighborUp`, ...), in order. Whoever drives it, on sockets or in the simulator, connects to whom it
sends to, and stays connected to its neighbors until it says `NeighborDown` or `Hangup`.

Time is in nanoseconds of a clock that never goes back, and randomness is handed in, so the same
inputs give the same effects. Whatever a peer may send must be met without an exception: what is of
no use is counted and dropped.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Final, TypeAlias, TypeVar, dataclass_transform

from heliograph.partisan.wire import Atom
from heliograph.partisan.wire.messages import MANAGER, UNDEFINED, Message, Unknown

if TYPE_CHECKING:
    from heliograph.partisan.wire import NodeSpec, Term

__all__ = [
    "CancelTimer",
    "Check",
    "Connect",
    "Custom",
    "Dropped",
    "Effect",
    "Fired",
    "Hangup",
    "Input",
    "Join",
    "Leave",
    "Left",
    "Lost",
    "Met",
    "NeighborDown",
    "NeighborUp",
    "Overlay",
    "Peek",
    "Peeked",
    "Received",
    "Send",
    "SetTimer",
    "Start",
    "kind_of",
]

_FORWARD: Final = Atom("forward_message")
_STRATEGY: Final = Atom("membership_strategy")
_CAPITAL: Final = re.compile(r"(?<!^)(?=[A-Z])")


# --- what happens: inputs ---


@dataclass(frozen=True, slots=True)
class Start:
    """The node listens now. The first input."""


@dataclass(frozen=True, slots=True)
class Join:
    """The application joins the cluster that a node belongs to."""

    contact: NodeSpec
    state: Term = None
    """What the contact said of itself in its handshake; None if it is not connected yet."""


@dataclass(frozen=True, slots=True)
class Leave:
    """The application takes a node out of the cluster: this one if no other is named."""

    node: NodeSpec | None = None


@dataclass(frozen=True, slots=True)
class Met:
    """A new connection to or from a node has completed its handshake, so it lives."""

    peer: Atom
    tag: Atom = UNDEFINED
    """What kind of node it is, in the original's sense; known only to who dialled."""


@dataclass(frozen=True, slots=True)
class Received:
    """A message of another node has come."""

    peer: Atom | None
    """Who has sent it, by the handshake of its connection; None where that is not known."""
    message: Message


@dataclass(frozen=True, slots=True)
class Lost:
    """The connection to a node is gone, or none could be made."""

    peer: Atom
    reason: str = "failure"
    """`failure`, `timeout`, `closed`, `refused` or `shutdown`."""


@dataclass(frozen=True, slots=True)
class Peeked:
    """A node was looked at: the answer to `Peek`."""

    peer: Atom
    state: Term = None
    """What it says of itself to whoever connects to it; None if it could not be reached."""


@dataclass(frozen=True, slots=True)
class Fired:
    """A timer's time has come."""

    timer: str


Input: TypeAlias = Start | Join | Leave | Met | Received | Lost | Peeked | Fired


# --- what is to be done: effects ---

Kind = TypeVar("Kind")


@dataclass_transform(frozen_default=True)
def _cheap(kind: type[Kind]) -> type[Kind]:
    """Make a class whose instances are frozen for those who check types alone."""
    return dataclass(slots=True, unsafe_hash=True)(kind)


@_cheap
class Send:
    """Send a message; connect first where there is no connection.

    `Lost` is the answer if that is not possible.
    """

    to: tuple[NodeSpec, ...]
    message: Message


@dataclass(frozen=True, slots=True)
class Connect:
    """Connect to nodes without sending them anything; the answer is `Met` or `Lost`."""

    to: tuple[NodeSpec, ...]
    keep: int = 0
    """Nanoseconds for which the connection is to stand at least, though it is not used."""


@dataclass(frozen=True, slots=True)
class Peek:
    """Look what a node says of itself now, by a connection for that alone.

    `Peeked` is the answer in any case.
    """

    spec: NodeSpec


@dataclass(frozen=True, slots=True)
class Hangup:
    """Close the connections with a node once all that was sent has gone out."""

    peer: Atom
    reason: str
    """`evicted`, `leave`, `refused`, `failure` or `shutdown`."""


@dataclass(frozen=True, slots=True)
class Check:
    """Make sure that neighbors live: ping their connections, and say `Lost` of those that fail."""

    peers: tuple[Atom, ...]


@dataclass(frozen=True, slots=True)
class NeighborUp:
    """A node is a neighbor now: stay connected to it, send it broadcasts."""

    spec: NodeSpec


@dataclass(frozen=True, slots=True)
class NeighborDown:
    """A node is no neighbor any more."""

    spec: NodeSpec
    reason: str
    """`evicted` if one of both had no room, `leave` if one of both left, else as of `Lost`."""


@dataclass(frozen=True, slots=True)
class SetTimer:
    """Answer with `Fired` at a time. A timer set again keeps the new time alone."""

    timer: str
    at: int


@dataclass(frozen=True, slots=True)
class CancelTimer:
    """Forget a timer, if it is set."""

    timer: str


@dataclass(frozen=True, slots=True)
class Left:
    """This node belongs to no cluster any more."""

    removed: bool = False
    """Whether others removed it; otherwise it left by itself."""


@dataclass(frozen=True, slots=True)
class Dropped:
    """A message of another node was dropped. Nothing is to be done; it may be told."""

    peer: Atom | None
    """Who has sent it, by the handshake of its connection."""
    message: str
    """What kind of message it was, as `forward_join`."""
    reason: str
    """`forged` if it says that somebody else has sent it, `malformed` if what it says cannot be,
    `unknown` if there is no use for its kind."""


Effect: TypeAlias = (
    Send
    | Connect
    | Peek
    | Hangup
    | Check
    | NeighborUp
    | NeighborDown
    | SetTimer
    | CancelTimer
    | Left
    | Dropped
)


# --- the interface ---


class Overlay(ABC):
    """Decides whom a node is connected to.

    Attributes:
        spec: What the node tells of itself.
        neighbors: Whom it is connected to, by name, without itself. Changes are told by
            `NeighborUp` and `NeighborDown`.
        reaches_all: Whether its nodes may dial any other for a moment, as failure detection does to
            ask who knows a suspect. Not where somebody has decided who is connected to whom.
    """

    reaches_all: ClassVar[bool] = False

    spec: NodeSpec
    neighbors: Mapping[Atom, NodeSpec]

    @abstractmethod
    def handle(self, happened: Input, now: int) -> list[Effect]:
        """Take what has happened and return what is to be done, in order.

        Args:
            happened: One input.
            now: Nanoseconds of a clock that never goes back.
        """

    def received(self, peer: Atom | None, message: Message, now: int) -> list[Effect]:
        """Do what `handle` does with `Received`, for drivers in a hurry."""
        return self.handle(Received(peer, message), now)

    @abstractmethod
    def state(self) -> Term:
        """Return what the node says of itself to whoever connects to it."""


def kind_of(message: Message) -> str:
    """Return what a message's class is called in telemetry: `forward_join` of `ForwardJoin`."""
    return _CAPITAL.sub("_", type(message).__name__).lower()


@dataclass(frozen=True, slots=True)
class Custom(Message):
    """A message of a user's own overlay: any term, wrapped so that no other node takes harm."""

    content: Term

    def term(self) -> Term:
        return _FORWARD, MANAGER, (_STRATEGY, self.content)

    @classmethod
    def of(cls, message: Message) -> Custom | None:
        """Return the message that was sent as a `Custom`, or None if it is none."""
        if isinstance(message, cls):
            return message
        match message:
            case Unknown(
                ("forward_message", "partisan_pluggable_peer_service_manager", (tag, content))
            ) if tag == _STRATEGY:
                return cls(content)
            case _:
                return None
