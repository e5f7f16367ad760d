# SPDX-License-Identifier: Apache-2.0
"""Messages for nodes that one has no connection to, by way of the broadcast tree.

Who is to send such a message wraps it, `{relay_message, Node, Message, TTL}`, and gives it to its
eager neighbors. Each passes it on until one is connected to the receiver. The original passes every
copy on to all eager neighbors, so that one message becomes dozens; here a node passes a message on
once. Nothing tells two equal messages apart, so those sent from here carry a number in a padding.
Whoever of our kind hands a message to its receiver takes it away. An Erlang node that does so
leaves it on, and only the original's pluggable manager takes it off when it comes. With HyParView
the number goes in the padding of the reference that names the process, which all take off.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from heliograph.partisan.wire.messages import Forward, Padded, Relay
from heliograph.partisan.wire.refs import RemoteRef, target
from heliograph.partisan.wire.terms import exact

if TYPE_CHECKING:
    from collections.abc import Collection
    from random import Random

    from heliograph.partisan.wire import Atom, Term

__all__ = ["Delivered", "Passed", "RelayConfig", "RelayStatistics", "Relays", "Sent", "Step"]

_SECOND: Final = 1_000_000_000
_PADDING: Final = 8  # bytes


@dataclass(frozen=True, slots=True)
class RelayConfig:
    """Bounds."""

    ttl: int = 4
    """Hops beyond the first that a message may take; the original's `relay_ttl`, less one."""
    most: int = 64
    """Most hops accepted; our choice."""
    remembered: int = 4_096
    """Messages remembered so that they are not passed on twice; our choice."""
    window: int = 5 * _SECOND
    """Nanoseconds that they are remembered: whoever sends the same again later, means it."""


@dataclass(slots=True)
class RelayStatistics:
    """What was met."""

    delivered: int = 0
    """Messages for this node."""
    passed: int = 0
    """Messages passed on, each once."""
    duplicates: int = 0
    """Messages that had been passed on already."""
    expired: int = 0
    """Messages that had come too far, or that nobody was there to take."""
    malformed: int = 0
    """Messages with an impossible number of hops."""


class Delivered(NamedTuple):
    """The message is for this node."""

    message: Term


class Sent(NamedTuple):
    """Send the message to its receiver, who is connected."""

    to: Atom
    message: Term


class Passed(NamedTuple):
    """Give the message to others, who may be nearer to the receiver."""

    to: tuple[Atom, ...]
    relay: Relay


Step: TypeAlias = Delivered | Sent | Passed


class Relays:
    """What one node does with relayed messages.

    Args:
        name: The node's name.
        random: Draws the numbers in paddings.
        config: Bounds.

    Attributes:
        statistics: Counters.
    """

    def __init__(self, name: Atom, *, random: Random, config: RelayConfig | None = None) -> None:
        self.name = name
        self.config: RelayConfig = config if config is not None else RelayConfig()
        self.statistics: RelayStatistics = RelayStatistics()
        self._random = random
        self._seen: dict[bytes, int] = {}

    def send(
        self,
        node: Atom,
        to: Term,
        message: Term,
        eager: Sequence[Atom],
        now: int,
        *,
        ttl: int | None = None,
        by_reference: bool = False,
    ) -> Step | None:
        """Send a message to a node that there is no connection to.

        Args:
            node: The receiver.
            to: The process there.
            message: Its contents.
            eager: This node's eager neighbors for its own broadcasts.
            now: Nanoseconds of a clock that never goes back.
            ttl: Hops beyond the first that it may take; those of the configuration if None.
            by_reference: Whether its number goes in the reference of the process.

        Returns:
            What to do, or None if nobody is there to take it.
        """
        number = self._random.randbytes(_PADDING)
        named = target(to) if by_reference else None
        if named is None:
            inner = Forward(to, Padded(number, message).term()).term()
        else:
            reference = RemoteRef(node, named.kind, named.id)
            inner = Forward(reference.padded(number.hex()), message).term()
        self._is_known(node, inner, now)
        return self._pass_on(node, inner, self.config.ttl if ttl is None else ttl, eager)

    def received(
        self,
        peer: Atom | None,
        node: Atom,
        message: Term,
        ttl: int,
        connected: Collection[Atom],
        eager: Sequence[Atom],
        now: int,
    ) -> Step | None:
        """Take a relayed message.

        Args:
            peer: Who passed it on, None if that is not known.
            node: The receiver.
            message: The frame that the receiver is to get.
            ttl: Hops that it may still take.
            connected: Nodes that there is a connection to.
            eager: As for `send`.
            now: As for `send`.

        Returns:
            What to do, or None if that is nothing.
        """
        if not 0 <= ttl <= self.config.most:
            self.statistics.malformed += 1
            return None
        if self._is_known(node, message, now):
            self.statistics.duplicates += 1
            return None
        if node == self.name:
            self.statistics.delivered += 1
            return Delivered(message)
        if node in connected:
            self.statistics.passed += 1
            return Sent(node, message)
        onward = [each for each in eager if each != peer] if ttl else []
        return self._pass_on(node, message, ttl - 1, onward)

    def _pass_on(self, node: Atom, message: Term, ttl: int, to: Sequence[Atom]) -> Step | None:
        if not to:
            self.statistics.expired += 1
            return None
        self.statistics.passed += 1
        return Passed(tuple(to), Relay(node, message, ttl))

    def _is_known(self, node: Atom, message: Term, now: int) -> bool:
        key = exact((node, message))
        until = self._seen.pop(key, 0)
        self._seen[key] = now + self.config.window
        if len(self._seen) > self.config.remembered:
            del self._seen[next(iter(self._seen))]
        return until > now
