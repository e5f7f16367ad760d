# SPDX-License-Identifier: Apache-2.0
"""Causal delivery: no message before those that its sender knew of and that were for the same node.

Schiper, Eggli, Sandoz, "A new algorithm to implement causal ordering" (WDAG 1989): each message
carries the sender's vector clock, and for each receiver the clock of the last message to it that
the sender knows of. The receiver holds a message back until its own clock has reached what the
message says of it.

Shapes are the original's: `{causal, Label, Node, To, Order, Clock, Message}`. The original sends
the order of the receiver alone and forgets what it is told, so that what a third node has caused is
not waited for; here all of it is sent, which an Erlang node reads as well. Nothing is held back for
ever: a message whose causes do not come within `patience`, or one too many, is delivered and
counted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

from heliograph.partisan.wire.messages import Causal

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from heliograph.partisan.wire import Atom, Term
    from heliograph.partisan.wire.messages import Counts

__all__ = ["CausalConfig", "CausalOrder", "CausalStatistics"]

_SECOND: Final = 1_000_000_000


@dataclass(frozen=True, slots=True)
class CausalConfig:
    """Bounds."""

    patience: int = 30 * _SECOND
    """Nanoseconds that a message is held back for what has caused it; our choice, the original's
    is endless."""
    held: int = 1_024
    """Messages held back; our choice, the oldest goes first."""
    receivers: int = 1_024
    """Receivers that are remembered with the last message to them; our choice."""
    counts: int = 10_000
    """Nodes in a clock; our choice, a message with more is malformed."""


@dataclass(slots=True)
class CausalStatistics:
    """What was met."""

    held: int = 0
    """Messages that came before what had caused them."""
    forced: int = 0
    """Of those, that were delivered although it never came."""
    malformed: int = 0
    """Messages whose order cannot be understood; dropped."""


class _Held(NamedTuple):
    message: Causal
    wanted: dict[Atom, int]
    until: int


class CausalOrder:
    """The order of one label's messages at one node.

    Args:
        node: The node's name.
        label: The label's name; each has clocks of its own.
        config: Bounds.

    Attributes:
        clock: What this node knows of, by node.
        statistics: Counters.
    """

    def __init__(self, node: Atom, label: Atom, config: CausalConfig | None = None) -> None:
        self.node = node
        self.label = label
        self.config: CausalConfig = config if config is not None else CausalConfig()
        self.clock: dict[Atom, int] = {}
        self.statistics: CausalStatistics = CausalStatistics()
        self._order: dict[Atom, dict[Atom, int]] = {}  # the last message to each receiver
        self._held: list[_Held] = []

    def __len__(self) -> int:
        """Messages held back."""
        return len(self._held)

    def emit(self, receiver: Atom, to: Term, message: Term) -> Causal:
        """Return a message as it is to be sent.

        Args:
            receiver: The node it is for.
            to: The process there.
            message: Its contents.
        """
        self._tick()
        order: list[Term] = [
            (node, _counts(counts)) for node, counts in sorted(self._order.items())
        ]
        clock = tuple(_counts(self.clock))
        self._note(receiver, dict(self.clock))
        return Causal(self.label, receiver, to, order, clock, message)

    def received(self, message: Causal, now: int) -> list[Causal]:
        """Take a message; return those that can be delivered now, in order."""
        try:
            order = {node: dict(counts) for node, counts in cast("Any", message.order)}
        except (TypeError, ValueError):
            order = None
        if order is None or not self._is_fair(order, message.clock):
            self.statistics.malformed += 1
            return []
        held = _Held(message, order.get(self.node, {}), now + self.config.patience)
        self._held.append(held)
        delivered = self._deliver()
        if held in self._held:
            self.statistics.held += 1
            if len(self._held) > self.config.held:
                delivered += self._force(self._held[0])
        return delivered

    def due(self, now: int) -> list[Causal]:
        """Return messages that were held back long enough, and what has waited for them."""
        delivered: list[Causal] = []
        while self._held and self._held[0].until <= now:
            delivered += self._force(self._held[0])
        return delivered

    def next_due(self) -> int | None:
        """Return when `due` has something to give, in nanoseconds; None if nothing is held back."""
        return self._held[0].until if self._held else None

    def forget(self, node: Atom) -> None:
        """Forget what a node was sent: it has restarted, and knows nothing of it."""
        self._order.pop(node, None)

    # --- delivery ---

    def _deliver(self) -> list[Causal]:
        delivered: list[Causal] = []
        waiting = True
        while waiting:
            ready = next((each for each in self._held if self._reaches(each.wanted)), None)
            waiting = ready is not None
            if ready is not None:
                delivered.append(self._take(ready))
        return delivered

    def _force(self, held: _Held) -> list[Causal]:
        self.statistics.forced += 1
        return [self._take(held), *self._deliver()]

    def _take(self, held: _Held) -> Causal:
        self._held.remove(held)
        message = held.message
        _merge(self.clock, message.clock)
        self._tick()
        for node, counts in cast("Any", message.order):
            if node != self.node:
                self._note(node, {**self._order.get(node, {})}, counts)
        return message

    def _reaches(self, wanted: Mapping[Atom, int]) -> bool:
        return all(self.clock.get(node, 0) >= count for node, count in wanted.items())

    # --- clocks ---

    def _tick(self) -> None:
        self.clock[self.node] = self.clock.get(self.node, 0) + 1

    def _note(
        self, receiver: Atom, known: dict[Atom, int], more: Iterable[tuple[Atom, int]] = ()
    ) -> None:
        _merge(known, more)
        self._order.pop(receiver, None)
        self._order[receiver] = known
        if len(self._order) > self.config.receivers:
            del self._order[next(iter(self._order))]

    def _is_fair(self, order: Mapping[Any, Mapping[Any, Any]], clock: Counts) -> bool:
        limit = self.config.counts
        if len(order) > limit or len(clock) > limit:
            return False
        return all(
            isinstance(node, str) and len(counts) <= limit and all(map(_is_count, counts.items()))
            for node, counts in order.items()
        )


def _is_count(pair: tuple[Any, Any]) -> bool:
    return isinstance(pair[0], str) and type(pair[1]) is int


def _merge(clock: dict[Atom, int], counts: Iterable[tuple[Atom, int]]) -> None:
    for node, count in counts:
        if clock.get(node, 0) < count:
            clock[node] = count


def _counts(clock: Mapping[Atom, int]) -> list[tuple[Atom, int]]:
    return sorted(clock.items())
