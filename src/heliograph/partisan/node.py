# SPDX-License-Identifier: Apache-2.0
"""A node of a cluster: what users hold in their hands."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Self

from heliograph.partisan.channels import check_channels
from heliograph.partisan.limits import Admission, Limits
from heliograph.partisan.watching import Watchers

if TYPE_CHECKING:
    from heliograph.partisan.channels import Channel
    from heliograph.partisan.inbox import Inbox, Overflow
    from heliograph.partisan.tls import Tls
    from heliograph.partisan.watching import Change, Changes, Subscription

__all__ = ["Connection", "Member", "Node"]


@dataclass(frozen=True, slots=True)
class Member:
    """A node of the cluster, as this node knows it.

    Attributes:
        name: Its name.
        listen_addrs: Addresses it listens at, as texts.
        state: `"self"`; or which connections to it are there: `"up"` for all, `"partial"` for some,
            `"down"` for none.
    """

    name: str
    listen_addrs: tuple[str, ...]
    state: Literal["self", "up", "partial", "down"]


@dataclass(frozen=True, slots=True)
class Connection:
    """One open connection.

    Attributes:
        socket: Its number, as events have it.
        peer: Name of the node at the other end; None before its hello.
        channel: The channel's name; None before the hello.
        side: `"client"` if this node dialled, `"server"` if it was dialled.
        peer_addr: Address of the other end.
    """

    socket: int
    peer: str | None
    channel: str | None
    side: Literal["client", "server"]
    peer_addr: str


class Node:
    """One node: it listens, joins a cluster, and exchanges messages with its members.

        async with Node("py1@127.0.0.1", channels=[Channel("data", 4)]) as node:
            orders = node.register("orders")
            await node.join("n1@127.0.0.1", "127.0.0.1:10200")
            await node.send("n1@127.0.0.1", "sink", b"hello")
            async for message in orders:
                ...

    It runs on asyncio and trio, in the task that enters it; leaving it closes its tasks and sockets.

    Args:
        name: Its name in the cluster, `something@host`.
        listen: Where it listens, `host:port`; several in a sequence. Port 0 takes any free one.
        channels: Its channels. The default one and the one for membership are always there.
        tls: What connections are encrypted with; None for plain ones.
        admission: Who is let in.
        limits: Bounds of everything.

    Raises:
        ValueError: A name, an address or a channel is malformed.
    """

    def __init__(
        self,
        name: str,
        *,
        listen: str | Sequence[str] = "127.0.0.1:0",
        channels: Iterable[Channel] = (),
        tls: Tls | None = None,
        admission: Admission | None = None,
        limits: Limits | None = None,
    ) -> None:
        self.name = name
        self.channels = check_channels(tuple(channels))
        self.limits = limits or Limits()
        self._listen = (listen,) if isinstance(listen, str) else tuple(listen)
        self._tls = tls
        self._admission = admission or Admission()
        self._watchers = Watchers()

    async def __aenter__(self) -> Self:
        raise NotImplementedError

    async def __aexit__(self, *exc: object) -> None:
        raise NotImplementedError

    # -- Membership -------------------------------------------------------------------------------

    async def join(self, name: str, address: str) -> None:
        """Join the cluster that a node is a member of; return when this node is a member, too.

        Raises:
            JoinError: The node cannot be reached, has another name or speaks another protocol.
        """
        raise NotImplementedError

    async def sync_join(self, name: str, address: str) -> None:
        """Join, and return when every connection to that node is there.

        Raises:
            JoinError: As for `join`.
        """
        raise NotImplementedError

    async def leave(self, name: str | None = None) -> None:
        """Leave the cluster, or remove another node from it.

        Raises:
            UnknownNodeError: No member has this name.
        """
        raise NotImplementedError

    def members(self) -> list[Member]:
        """Return the members of the cluster, this node included, in the order of their names."""
        raise NotImplementedError

    def connections(self) -> list[Connection]:
        """Return all open connections, in the order in which they were made."""
        raise NotImplementedError

    def on_up(
        self, node: str | None, callback: Callable[[Change], object], *, channel: str | None = None
    ) -> Subscription:
        """Call back when a node is up, or one of its channels.

        Args:
            node: The node's name; None for every node.
            callback: Called in the event loop with the `Change`; should be quick.
            channel: Name of a channel; None for all connections of the node.
        """
        raise NotImplementedError

    def on_down(
        self, node: str | None, callback: Callable[[Change], object], *, channel: str | None = None
    ) -> Subscription:
        """Call back when a node is down, or one of its channels; otherwise as `on_up`."""
        raise NotImplementedError

    def changes(self) -> Changes:
        """Return a stream of whatever becomes of peers from now on."""
        raise NotImplementedError

    # -- Messages ---------------------------------------------------------------------------------

    def register(
        self, name: str, *, capacity: int | None = None, overflow: Overflow = "wait"
    ) -> Inbox:
        """Return an inbox for the messages that are sent to a name at this node.

        Args:
            name: The name.
            capacity: Messages it holds; `Limits.inbox` if None.
            overflow: What it does when it is full; see `Overflow`.

        Raises:
            NameTakenError: The name is registered already.
        """
        raise NotImplementedError

    async def send(
        self,
        node: str,
        name: Any,
        message: Any,
        *,
        channel: str | None = None,
        partition_key: int | None = None,
        ack: bool = False,
        retransmission: bool = True,
        ttl: int = 4,
        transitive: bool = False,
    ) -> None:
        """Send a message to a name at a node; return when it was accepted for sending.

        Args:
            node: Name of the node, this one included.
            name: Name it is registered under there, or a remote reference.
            message: Any term; see `heliograph.partisan.wire`.
            channel: Name of the channel; the default one if None, or if there is none of the name.
            partition_key: Messages of one key stay in order; None for any connection.
            ack: Keep the message, and send it again, until the receiver has acknowledged it.
            retransmission: Whether it is sent again; only with `ack`.
            ttl: Hops a transitive message may take.
            transitive: Whether other members may pass it on if there is no connection to the node.

        Raises:
            UnknownNodeError: No member has this name.
            NotConnectedError: There is no connection, and the message is not one to keep.
            EncodeError: The message is no term.
        """
        raise NotImplementedError
