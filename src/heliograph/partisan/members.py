# SPDX-License-Identifier: Apache-2.0
"""What a node shows of its cluster: the members, and the connections to them."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from heliograph.partisan.telling import addresses

if TYPE_CHECKING:
    from collections.abc import Mapping

    from heliograph.partisan.link import Link
    from heliograph.partisan.protocol import NodeCore

__all__ = ["Connection", "Member", "connections_of", "members_of"]


@dataclass(frozen=True, slots=True)
class Member:
    """A node of the cluster, as this node knows it.

    Attributes:
        name: Its name.
        listen_addrs: Addresses it listens at, as texts.
        state: `"self"`; or which connections to it are there: `"up"` for all, `"partial"` for some,
            `"down"` for none.
        downs: How often its last connection was lost of late (within `ProtocolConfig.flap_window`)
            though neither side meant to.
    """

    name: str
    listen_addrs: tuple[str, ...]
    state: Literal["self", "up", "partial", "down"]
    downs: int = 0


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


def members_of(core: NodeCore) -> list[Member]:
    """Return the members of a node's cluster, itself included, in the order of their names."""
    found: dict[str, Member] = {}
    for spec in core.specs():
        peer = core.peers.get(spec.name)
        state: Literal["self", "up", "partial", "down"] = "down"
        if spec.name == core.name:
            state = "self"
        elif peer is not None and peer.connected:
            state = "up" if peer.up else "partial"
        downs = 0 if peer is None else peer.recent_downs(time.monotonic_ns())
        found[str(spec.name)] = Member(str(spec.name), tuple(addresses(spec)), state, downs)
    return [found[name] for name in sorted(found)]


def connections_of(links: Mapping[int, Link]) -> list[Connection]:
    """Return a node's connections in the order in which they were made."""
    return [
        Connection(link.number, link.peer, link.channel, link.side, link.peer_addr)
        for _, link in sorted(links.items())
    ]
