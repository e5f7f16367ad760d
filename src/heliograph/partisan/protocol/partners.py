# SPDX-License-Identifier: Apache-2.0
"""What is known of one peer of an overlay, beyond what is known of every peer."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from heliograph.partisan.protocol.peers import Peer
from heliograph.partisan.wire.messages import UNDEFINED

if TYPE_CHECKING:
    from heliograph.partisan.protocol.config import ProtocolConfig
    from heliograph.partisan.protocol.effects import Effect
    from heliograph.partisan.wire import Atom, ListenAddr, Message, NodeSpec

__all__ = ["ADDRESSES", "Partner"]

ADDRESSES: Final = 8
"""Addresses of one node that are tried; our choice."""
_OUTBOX: Final = 64  # messages that wait for one connection; our choice, the oldest goes first


class Partner(Peer):
    """A peer of an overlay: a neighbor, or a node that is talked to for a while.

    Attributes:
        neighbor: Whether it is a neighbor.
        outbox: What waits for a connection to it.
        parting: Why to hang up once that is sent; nothing if not.
        used: When something was last sent that the overlay has to say.
        tried: Addresses dialled in vain, one after the other.
        kept: Until when messages for it are kept though it is no neighbor; 0 if there are none.
    """

    __slots__ = ("kept", "neighbor", "outbox", "parting", "tried", "used")

    def __init__(self, spec: NodeSpec, config: ProtocolConfig) -> None:
        super().__init__(spec, config)
        self.addresses: tuple[ListenAddr, ...] = spec.listen_addrs[:ADDRESSES]
        self.neighbor: bool = False
        self.outbox: deque[Message] = deque(maxlen=_OUTBOX)
        self.parting: str = ""
        self.used: int = 0
        self.tried: int = 0
        self.kept: int = 0

    def channels(self) -> list[Atom]:
        """Return the names of its channels; who is no neighbor is reached by the default one."""
        return super().channels() if self.neighbor else [UNDEFINED]

    def check(self) -> list[Effect]:
        """Tell what is up now that was not."""
        return super().check() if self.neighbor else []

    def lost(self, connection: int, channel: Atom, reason: str, now: int) -> list[Effect]:
        """Note a connection that is gone, or a dial that ended."""
        effects = super().lost(connection, channel, reason, now)
        return effects if self.neighbor else []
