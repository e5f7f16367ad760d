# SPDX-License-Identifier: Apache-2.0
"""Who is let in: by address, by name, by certificate, and how many."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from heliograph.partisan.tls import certified_names

if TYPE_CHECKING:
    from heliograph.partisan.limits import Admission, Limits
    from heliograph.partisan.link import Link
    from heliograph.partisan.tls import Tls

__all__ = ["Entrance"]


class Entrance:
    """Lets connections in, and counts those that were accepted.

    Args:
        admission: Names and networks.
        limits: Numbers.
        tls: Whether names are bound to certificates.

    Attributes:
        strict: Whether it matters who a peer is before its messages are delivered.
    """

    def __init__(self, admission: Admission, limits: Limits, tls: Tls | None) -> None:
        self._admission = admission
        self._limits = limits
        self._bind_names = tls is not None and tls.bind_names
        self._accepted: Counter[str] = Counter()
        self.strict: bool = admission.peers is not None or self._bind_names

    def accepts(self, link: Link) -> bool:
        """Count a connection that was accepted, and say whether it may stay."""
        host = _host(link)
        self._accepted[host] += 1
        return (
            self._accepted.total() <= self._limits.connections
            and self._accepted[host] <= self._limits.connections_per_address
            and self._admission.admits_address(host)
        )

    def closed(self, link: Link) -> None:
        """Count an accepted connection no more."""
        host = _host(link)
        self._accepted[host] -= 1
        if not self._accepted[host]:
            del self._accepted[host]

    def may_dial(self, peer: str) -> None:
        """Make sure that a peer is one to be connected to.

        Raises:
            PermissionError: It is not.
        """
        if not self._admission.admits_peer(peer):
            raise PermissionError(f"{peer} is not on the list of peers let in")

    def may_be(self, link: Link, peer: str) -> bool:
        """Whether whoever is at the other end may call itself so."""
        if not self._admission.admits_peer(peer):
            return False
        if not self._bind_names:
            return True
        return peer in certified_names(link.transport.get_extra_info("peercert"))


def _host(link: Link) -> str:
    return link.peer_addr.rpartition(":")[0].strip("[]")
