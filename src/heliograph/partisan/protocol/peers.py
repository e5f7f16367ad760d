# SPDX-License-Identifier: Apache-2.0
"""What is known of one peer: which connections to it are open, missing, or to be tried again when.

The peer's own specification says which channels it has and how many connections each of them
takes. While there is none at all, one is dialled on the default channel; then each pass dials one
for every channel that lacks any, as the original does. A dial that comes to nothing is followed by
a wait that doubles up to a limit and is partly left to chance, lest many nodes return at once.
"""

from __future__ import annotations

from collections import deque
from itertools import count
from typing import TYPE_CHECKING, Final

from heliograph.partisan.protocol.effects import (
    ChannelDown,
    ChannelUp,
    PeerDown,
    PeerUp,
)
from heliograph.partisan.wire.messages import UNDEFINED

if TYPE_CHECKING:
    from random import Random

    from heliograph.partisan.protocol.config import ProtocolConfig
    from heliograph.partisan.protocol.effects import Effect
    from heliograph.partisan.wire import Atom, ListenAddr, Message, NodeSpec

__all__ = ["Peer"]

_UNMEANT: Final = frozenset({"closed", "failure", "timeout"})
_DOWNS: Final = 64
"""Times a peer was down that are remembered; our choice."""
_LARGEST_EXPONENT: Final = 32  # of the wait's doubling; the limit is reached long before


class Peer:
    """One peer, and what we have towards it.

    Args:
        spec: What is known of it: its own specification, or a contact's name and addresses.
        config: Waits and bounds.

    Attributes:
        spec: See above; the core replaces it when it learns better.
        pending: Whether the next complete handshake merges the peer's state and gossips ours: while
            it is joined for the first time, and after all connections to it were lost.
        joining: Whether the application has asked to join it.
        slots: The open connections of each channel, in the order of their places; a new one takes
            the first place that is free, so that the others keep theirs.
        dialling: Connections under way, with their channels and addresses.
        backlog: Gossip for it that waits for a connection.
        downs: When its last connection was lost, of late.
        retry_at: Not to be dialled before, in nanoseconds.
        up: Whether all its channels have all their connections.
    """

    __slots__ = (
        "_address",
        "_config",
        "_failures",
        "_full",
        "_places",
        "addresses",
        "backlog",
        "dialling",
        "downs",
        "joining",
        "pending",
        "retry_at",
        "slots",
        "spec",
        "up",
    )

    def __init__(self, spec: NodeSpec, config: ProtocolConfig) -> None:
        self.spec: NodeSpec = spec
        self.addresses: tuple[ListenAddr, ...] = spec.listen_addrs
        self.pending: bool = True
        self.joining: bool = False
        self.slots: dict[Atom, list[int]] = {}
        self.dialling: dict[int, tuple[Atom, ListenAddr]] = {}
        self.backlog: deque[Message] = deque(maxlen=config.gossip_backlog)
        self.downs: deque[int] = deque(maxlen=_DOWNS)
        self.retry_at: int = 0
        self.up: bool = False
        self._config = config
        self._address: ListenAddr | None = None
        self._failures = 0
        self._full: set[Atom] = set()  # channels told to be up
        self._places: dict[int, int] = {}  # of open connections among those of their channel

    @property
    def name(self) -> Atom:
        """Its name."""
        return self.spec.name

    @property
    def connected(self) -> bool:
        """Whether any connection is open."""
        return bool(self.slots)

    def parallelism(self, channel: Atom) -> int:
        """Return how many connections the channel takes, 0 if the peer does not have it."""
        declared = self.spec.channel(channel)
        if declared is None:
            return 1 if channel == UNDEFINED else 0
        wanted = 1 if declared.parallelism is None else declared.parallelism
        return min(wanted, self._config.parallelism_limit)

    def channels(self) -> list[Atom]:
        """Return the names of its channels; the default one is always among them."""
        names = [channel.name for channel in self.spec.channels]
        return names if UNDEFINED in names else [UNDEFINED, *names]

    def missing(self) -> list[Atom]:
        """Return the channels to dial for in one pass."""
        if not self.addresses:
            return []
        if not self.slots:
            return [] if self.dialling else [UNDEFINED]
        under_way = [channel for channel, _ in self.dialling.values()]
        return [
            channel
            for channel in self.channels()
            if len(self.slots.get(channel, ())) + under_way.count(channel)
            < self.parallelism(channel)
        ]

    def address(self) -> ListenAddr:
        """Return where to dial now: where it answered last, or else they take turns."""
        return self._address if self._address in self.addresses else self.addresses[0]

    def dial(self, connection: int, channel: Atom) -> ListenAddr:
        """Note a dial, and return its address."""
        address = self.address()
        self.dialling[connection] = (channel, address)
        return address

    def failed(self, connection: int, now: int, random: Random) -> None:
        """Note a connection that failed, open or not: wait longer each time, try another address.

        Several that fail before the next attempt count once.
        """
        _, address = self.dialling.get(connection, (None, None))
        if address is not None and address == self.address():
            following = self.addresses.index(address) + 1
            self._address = self.addresses[following % len(self.addresses)]
        if now < self.retry_at:
            return
        config = self._config
        failures = self._failures + (self.recent_downs(now) if config.flap_damping else 0)
        factor = 1 << min(failures, _LARGEST_EXPONENT)
        wait = min(config.backoff_initial * factor, config.backoff_limit)
        self._failures += 1
        self.retry_at = now + wait - int(wait * config.backoff_jitter * random.random())

    def opened(self, connection: int, channel: Atom) -> list[Effect]:
        """Note a connection whose handshake is complete."""
        _, self._address = self.dialling.pop(connection)
        self._failures = 0
        self.retry_at = 0
        connections = self.slots.setdefault(channel, [])
        taken = {self._places[each] for each in connections}
        place = next(each for each in count() if each not in taken)
        self._places[connection] = place
        connections.append(connection)
        connections.sort(key=self._places.__getitem__)
        return self.check()

    def check(self) -> list[Effect]:
        """Tell what is up now that was not: a connection came, or the specification changed."""
        effects: list[Effect] = []
        for channel, connections in self.slots.items():
            wanted = self.parallelism(channel)
            if channel not in self._full and 0 < wanted <= len(connections):
                self._full.add(channel)
                effects.append(ChannelUp(self.name, channel, wanted))
        if not self.up and self._full.issuperset(self.channels()):
            self.up = True
            effects.append(PeerUp(self.spec))
        return effects

    def recent_downs(self, now: int) -> int:
        """Return how often its last connection was lost of late, though neither side meant to."""
        since = now - self._config.flap_window
        return sum(1 for each in self.downs if each > since)

    def lost(self, connection: int, channel: Atom, reason: str, now: int) -> list[Effect]:
        """Note a connection that is gone, or a dial that ended."""
        if self.dialling.pop(connection, None) is not None:
            return []
        connections = self.slots[channel]
        connections.remove(connection)
        del self._places[connection]
        if connections:
            return []
        del self.slots[channel]
        self._full.discard(channel)
        effects: list[Effect] = [ChannelDown(self.name, channel, self.parallelism(channel), reason)]
        if not self.slots:
            self.up = False
            self.pending = True
            if reason in _UNMEANT:
                self.downs.append(now)
            effects.append(PeerDown(self.spec, reason, self.recent_downs(now)))
        return effects
