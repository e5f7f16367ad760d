# SPDX-License-Identifier: Apache-2.0
"""What a node allows: who may come, how many, how large, how long."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import TypeAlias

__all__ = ["Admission", "Limits", "Network"]

Network: TypeAlias = IPv4Network | IPv6Network


@dataclass(frozen=True, slots=True)
class Admission:
    """Who is let in. By default everybody who reaches the listener, as with the original.

    Attributes:
        peers: Names of the nodes that may connect and be connected to; None for all.
        networks: Where dialling peers may come from; None for everywhere.
    """

    peers: frozenset[str] | None = None
    networks: tuple[Network, ...] | None = None

    def admits_peer(self, name: str) -> bool:
        """Whether a node of this name may take part."""
        return self.peers is None or name in self.peers

    def admits_address(self, host: str) -> bool:
        """Whether somebody may dial from this address."""
        if self.networks is None:
            return True
        address = ip_address(host.partition("%")[0])
        mapped = getattr(address, "ipv4_mapped", None)
        return any((mapped or address) in network for network in self.networks)


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of everything that could grow; all are our choice, the original has none.

    Attributes:
        frame: Bytes a frame may have, here and at all others: what is larger is not sent.
        connections: Connections accepted at a time, all peers together.
        connections_per_address: Connections accepted at a time from one address.
        handshake: Seconds a dialling peer may take until its hello, and a dialled one until its.
        unsent: Bytes that wait in one connection before senders wait.
        inbox: Messages an inbox holds unless it is told otherwise.
        events: Membership events that wait in one stream; older ones are dropped, and counted.
        closing: Seconds that leaving the node may take.
    """

    frame: int = 64 * 1024 * 1024
    connections: int = 4096
    connections_per_address: int = 1024
    handshake: float = 5.0
    unsent: int = 256 * 1024
    inbox: int = 10_000
    events: int = 1000
    closing: float = 5.0

    def __post_init__(self) -> None:
        for name in self.__slots__:
            value = getattr(self, name)
            if not value > 0:
                raise ValueError(f"limit {name} is {value}; it must be above 0")
