# SPDX-License-Identifier: Apache-2.0
"""The messages of Partisan 5, each a class; the one place that knows their shapes.

`parse` makes a message of a term, `message.term()` a term of a message. The tag of a message and
what it is wrapped in stand before its class; how its fields are read follows from their types.

| sent                        | form, X being the message's own tuple                            |
| --------------------------- | ---------------------------------------------------------------- |
| on a connection             | `X`                                                              |
| to the manager              | `{forward_message, partisan_pluggable_peer_service_manager, X}`  |
| by a membership strategy    | the same with `{membership_strategy, X}`                         |
| along a broadcast tree      | `{forward_message, partisan_plumtree_broadcast, {'$gen_cast', X}}` |
| to the remote call server   | `{forward_message, partisan_rpc_backend, X}`                     |
| to a monitor, by a call     | `{forward_message, partisan_monitor, {'$gen_call', From, X}}`    |
| to a monitor, by a cast     | `{forward_message, partisan_monitor, {'$gen_cast', X}}`          |
| inside another message      | `X`; see `parse_payload`                                         |
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from heliograph.partisan.wire.shapes import (
    FORWARD,
    MANAGER,
    MONITOR,
    PLUMTREE,
    RPC_BACKEND,
    STRATEGY,
    Clock,
    Counts,
    Disconnection,
    Message,
    Unknown,
    Where,
    message,
    parsed,
)
from heliograph.partisan.wire.specs import NodeSpec
from heliograph.partisan.wire.terms import Atom

if TYPE_CHECKING:
    from heliograph.partisan.wire.terms import Term

__all__ = [
    "MANAGER",
    "MONITOR",
    "PLUMTREE",
    "RPC_BACKEND",
    "UNDEFINED",
    "Ack",
    "AckedForward",
    "BootstrapRemoveSubscription",
    "Broadcast",
    "Call",
    "Cast",
    "Causal",
    "ClientHello",
    "Clock",
    "Counts",
    "Demonitor",
    "Disconnect",
    "Disconnection",
    "DistancePing",
    "DistancePong",
    "Down",
    "Forward",
    "ForwardJoin",
    "ForwardSubscription",
    "Gossip",
    "Graft",
    "Hello",
    "HelloRefused",
    "IHave",
    "IgnoredIHave",
    "Join",
    "KeepSubscription",
    "Message",
    "Monitor",
    "Neighbor",
    "NeighborAccepted",
    "NeighborRejected",
    "NeighborRejectedPlainly",
    "NeighborRequest",
    "Optimization",
    "OptimizationReply",
    "Padded",
    "Ping",
    "Pong",
    "Prune",
    "RawRelay",
    "Relay",
    "RemoveSubscription",
    "Replace",
    "ReplaceReply",
    "ReplaceSubscription",
    "Reply",
    "RpcCall",
    "RpcResponse",
    "Run",
    "ScampPing",
    "Shuffle",
    "ShuffleReply",
    "State",
    "Switch",
    "SwitchReply",
    "Unknown",
    "parse",
    "parse_forward",
    "parse_payload",
]

UNDEFINED: Final = Atom("undefined")
"""No tag, no label; also the name of the channel of messages that name none."""

_HELLO: Final = Atom("hello")
_ERROR: Final = Atom("error")


# -- On a connection -------------------------------------------------------------------------------


@message(Where.CONNECTION, "hello")
class Hello(Message):
    """The acceptor's first frame: who it is."""

    node: Atom


@message(Where.CONNECTION, "hello")
class ClientHello(Message):
    """The dialler's answer: who it is, and which channel the connection is for."""

    node: Atom
    channel: Atom


@dataclass(frozen=True, slots=True)
class HelloRefused(Message):
    """The acceptor will not talk: `{hello, {error, pang}}` if it cannot reach back."""

    reason: Term

    def term(self) -> Term:
        return _HELLO, (_ERROR, self.reason)


@message(Where.CONNECTION, "state")
class State(Message):
    """What the acceptor knows of the cluster; of which form says its strategy."""

    tag: Atom
    state: Term


@message(Where.CONNECTION, "ping")
class Ping(Message):
    """Is the connection alive?"""

    node: Atom
    id: Term
    timestamp: int
    """In milliseconds, by the clock of who pings."""


@message(Where.CONNECTION, "pong")
class Pong(Message):
    """It is. What the ping said comes back, but for the node's name."""

    node: Atom
    id: Term
    timestamp: int


# -- Between applications --------------------------------------------------------------------------


@message(Where.CONNECTION, "forward_message")
class Forward(Message):
    """A message for a process: a registered name, or any other form of `destination`."""

    to: Term
    message: Term


@message(Where.CONNECTION, "forward_message")
class AckedForward(Message):
    """A message whose receipt is to be acknowledged; it is sent again until it is."""

    source: Atom
    clock: Clock
    to: Term
    message: Term


@message(Where.MANAGER, "ack")
class Ack(Message):
    """The message with this clock has come."""

    clock: Clock


@message(Where.MANAGER, "relay_message")
class Relay(Message):
    """A message for a node that the sender has no connection to, by way of others."""

    node: Atom
    message: Term
    ttl: int


@message(Where.CONNECTION, "relay_message")
class RawRelay(Message):
    """A `Relay` as HyParView's manager has it, which nothing wraps."""

    node: Atom
    message: Term
    ttl: int


# -- Inside other messages -------------------------------------------------------------------------


@message(Where.PAYLOAD, "causal")
class Causal(Message):
    """A message to be delivered after those it depends on."""

    label: Atom
    node: Atom
    to: Term
    order: list[Term]
    """What it depends on: nothing, or `[{Node, Counts}]`."""
    clock: Counts
    message: Term


@message(Where.PAYLOAD, "$partisan_padded")
class Padded(Message):
    """A message with something before it that the receiver throws away."""

    padding: Term
    message: Term


@message(Where.PAYLOAD, "$heliograph_run")
class Run(Message):
    """Several messages for one process at once, numbered from the frame's number on.

    Not of the original: nodes of our kind send it to each other in place of one message.
    """

    messages: list[Term]


@message(Where.PAYLOAD, "$gen_cast")
class Cast(Message):
    """A request to a server that does not answer it."""

    request: Term


@message(Where.PAYLOAD, "$gen_call")
class Call(Message):
    """A request to a server that answers with a `Reply`."""

    caller: Term
    """`{Process, Tag}`: whom to answer, and what to begin the answer with."""
    request: Term


@dataclass(frozen=True, slots=True)
class Reply(Message):
    """The answer to a `Call`: `{Tag, Reply}`, to the caller's process."""

    tag: Term
    reply: Term

    def term(self) -> Term:
        return self.tag, self.reply


@message(Where.PAYLOAD, "rpc_response")
class RpcResponse(Message):
    """What a remote call gave, or `{badrpc, Reason}`; to the caller's process."""

    result: Term


# -- Full mesh -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Gossip(Message):
    """All the sender knows of the cluster: `{Spec, State}`."""

    sender: NodeSpec
    state: Term

    def term(self) -> Term:
        return FORWARD, MANAGER, (STRATEGY, (self.sender.term(), self.state))


@message(Where.MANAGER, "ping")
class DistancePing(Message):
    """How far away is the receiver?"""

    source: NodeSpec
    destination: Term
    timestamp: Term


@message(Where.MANAGER, "pong")
class DistancePong(Message):
    """The answer to a `DistancePing`."""

    source: NodeSpec
    destination: Term
    timestamp: Term


# -- Remote calls and monitors ---------------------------------------------------------------------


@message(Where.RPC, "call")
class RpcCall(Message):
    """Call a function of the receiver's."""

    module: Atom
    function: Atom
    arguments: list[Term]
    timeout: Term
    origin: Term
    """`{origin, Process}`: whom to send the `RpcResponse`."""


@message(Where.MONITOR_CALL, "monitor")
class Monitor(Message):
    """Tell when a process ends; the reply is `{ok, Reference}` or `{error, Reason}`."""

    caller: Term
    target: Term
    options: list[Term]


@message(Where.MONITOR_CALL, "demonitor")
class Demonitor(Message):
    """Tell it no more; the reply is `{ok, true}`."""

    caller: Term
    reference: Term
    options: list[Term]


@message(Where.MONITOR_CAST, "DOWN")
class Down(Message):
    """A process that is monitored has ended."""

    reference: Term
    kind: Atom
    """`process`."""
    target: Term
    reason: Term


# -- Broadcast trees (Plumtree) --------------------------------------------------------------------


@message(Where.BROADCAST, "broadcast")
class Broadcast(Message):
    """A message pushed along the tree."""

    id: Term
    payload: Term
    module: Atom
    round: int
    root: Atom
    sender: Atom


@message(Where.BROADCAST, "prune")
class Prune(Message):
    """The message was known: push no more of that root's to the sender."""

    root: Atom
    sender: Atom


@message(Where.BROADCAST, "i_have")
class IHave(Message):
    """The sender has this message, should the receiver miss it."""

    id: Term
    module: Atom
    round: int
    root: Atom
    sender: Atom


@message(Where.BROADCAST, "ignored_i_have")
class IgnoredIHave(Message):
    """The receiver of an `IHave` misses nothing."""

    id: Term
    module: Atom
    round: int
    root: Atom
    sender: Atom


@message(Where.BROADCAST, "graft")
class Graft(Message):
    """Push the message, and that root's from now on."""

    id: Term
    module: Atom
    round: int
    root: Atom
    sender: Atom


# -- Partial views: SCAMP --------------------------------------------------------------------------


@message(Where.STRATEGY, "forward_subscription")
class ForwardSubscription(Message):
    """A node would like to be in somebody's view."""

    spec: NodeSpec


@message(Where.STRATEGY, "ping")
class ScampPing(Message):
    """The sender has the receiver in its view."""

    spec: NodeSpec


@message(Where.STRATEGY, "remove_subscription")
class RemoveSubscription(Message):
    """A node leaves."""

    spec: NodeSpec


@message(Where.STRATEGY, "bootstrap_remove_subscription")
class BootstrapRemoveSubscription(Message):
    """A node leaves, says who heard it first (version 2)."""

    spec: NodeSpec


@message(Where.STRATEGY, "keep_subscription")
class KeepSubscription(Message):
    """The sender has taken the receiver into its view (version 2)."""

    spec: NodeSpec


@message(Where.STRATEGY, "replace_subscription")
class ReplaceSubscription(Message):
    """A node leaves; another takes its place (version 2)."""

    spec: NodeSpec
    replacement: NodeSpec


# -- Partial views: HyParView ----------------------------------------------------------------------


@message(Where.CONNECTION, "join")
class Join(Message):
    """A node comes; to whom it knows."""

    spec: NodeSpec
    tag: Atom
    epoch: int


@message(Where.CONNECTION, "forward_join")
class ForwardJoin(Message):
    """A node came; passed on at random."""

    joiner: NodeSpec
    tag: Atom
    epoch: int
    ttl: int
    sender: NodeSpec


@message(Where.CONNECTION, "neighbor")
class Neighbor(Message):
    """The sender has the receiver in its active view."""

    spec: NodeSpec
    tag: Atom
    disconnection: Disconnection
    peer: NodeSpec


@message(Where.CONNECTION, "disconnect")
class Disconnect(Message):
    """The sender has it there no more."""

    spec: NodeSpec
    disconnection: Disconnection


@message(Where.CONNECTION, "neighbor_request")
class NeighborRequest(Message):
    """May the sender be in the receiver's active view?"""

    spec: NodeSpec
    priority: Atom
    tag: Atom
    disconnection: Disconnection
    exchange: tuple[NodeSpec, ...]


@message(Where.CONNECTION, "neighbor_accepted")
class NeighborAccepted(Message):
    """It may."""

    spec: NodeSpec
    tag: Atom
    disconnection: Disconnection
    exchange: tuple[NodeSpec, ...]


@message(Where.CONNECTION, "neighbor_rejected")
class NeighborRejected(Message):
    """It may not."""

    spec: NodeSpec
    exchange: tuple[NodeSpec, ...]


@message(Where.CONNECTION, "neighbor_rejected")
class NeighborRejectedPlainly(Message):
    """It may not; as the original says to requests of low priority, and never understands."""

    spec: NodeSpec


@message(Where.CONNECTION, "shuffle")
class Shuffle(Message):
    """Nodes that the sender knows, for some that the receiver knows; passed on at random."""

    exchange: tuple[NodeSpec, ...]
    ttl: int
    sender: NodeSpec


@message(Where.CONNECTION, "shuffle_reply")
class ShuffleReply(Message):
    """Nodes in return."""

    exchange: tuple[NodeSpec, ...]
    sender: NodeSpec


# -- Partial views: X-BOT --------------------------------------------------------------------------


@message(Where.CONNECTION, "optimization")
class Optimization(Message):
    """The initiator would rather have the candidate, its receiver, than the old neighbour."""

    flag: Term
    old: NodeSpec
    initiator: NodeSpec
    candidate: NodeSpec
    disconnected: NodeSpec | None


@message(Where.CONNECTION, "optimization_reply")
class OptimizationReply(Message):
    """Whether the candidate is the initiator's neighbour now."""

    flag: Term
    old: NodeSpec
    initiator: NodeSpec
    candidate: NodeSpec
    disconnected: NodeSpec | None


@message(Where.CONNECTION, "replace")
class Replace(Message):
    """The candidate would give its receiver up, if that one took the old neighbour."""

    flag: Term
    old: NodeSpec
    initiator: NodeSpec
    candidate: NodeSpec
    disconnected: NodeSpec | None


@message(Where.CONNECTION, "replace_reply")
class ReplaceReply(Message):
    """Whether it has."""

    flag: Term
    old: NodeSpec
    initiator: NodeSpec
    candidate: NodeSpec
    disconnected: NodeSpec | None


@message(Where.CONNECTION, "switch")
class Switch(Message):
    """The node to be given up would have the old neighbour, its receiver, for its own."""

    flag: Term
    old: NodeSpec
    initiator: NodeSpec
    candidate: NodeSpec
    disconnected: NodeSpec | None


@message(Where.CONNECTION, "switch_reply")
class SwitchReply(Message):
    """Whether it has it."""

    flag: Term
    old: NodeSpec
    initiator: NodeSpec
    candidate: NodeSpec
    disconnected: NodeSpec | None


# -- From terms ------------------------------------------------------------------------------------


def parse(term: Term) -> Message:
    """Return the message that a frame's term is; `Unknown` if it is none, never an error."""
    match term:
        case ("forward_message", to, message):
            return parse_forward(to, message)
        case ("hello", ("error", reason)):
            return HelloRefused(reason)
        case ("ack", _):
            return parsed(Where.MANAGER, term, term)
        case _:
            return parsed(Where.CONNECTION, term, term)


def parse_forward(to: Term, message: Term) -> Message:
    """Return the message that `{forward_message, To, Message}` is.

    It is a `Forward`, unless it is addressed to one of the original's own processes.
    """
    whole = (FORWARD, to, message)
    match whole:
        case (_, "partisan_pluggable_peer_service_manager", ("membership_strategy", inner)):
            return _parsed_strategy(inner, whole)
        case (_, "partisan_pluggable_peer_service_manager", _):
            return parsed(Where.MANAGER, message, whole)
        case (_, "partisan_plumtree_broadcast", ("$gen_cast", inner)):
            return parsed(Where.BROADCAST, inner, whole)
        case (_, "partisan_rpc_backend", ("call", *_)):
            return parsed(Where.RPC, message, whole)
        case (_, "partisan_monitor", ("$gen_cast", inner)):
            return parsed(Where.MONITOR_CAST, inner, whole)
        case (_, "partisan_monitor", ("$gen_call", caller, inner)):
            return parsed(Where.MONITOR_CALL, inner, whole, caller)
        case _:
            return Forward(to, message)


def parse_payload(message: Term) -> Message:
    """Return what a message for a process is: one of those that go inside others, or `Unknown`.

    A `Reply` has no tag of its own: whoever made the `Call` compares the tag with the call's.
    """
    return parsed(Where.PAYLOAD, message, message)


def _parsed_strategy(inner: Term, whole: Term) -> Message:
    match inner:
        case (dict(sender), state):
            try:
                return Gossip(NodeSpec.parse(sender), state)
            except ValueError as error:
                return Unknown(whole, f"Gossip: sender: {error}")
        case _:
            return parsed(Where.STRATEGY, inner, whole)
