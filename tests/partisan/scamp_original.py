# SPDX-License-Identifier: Apache-2.0
"""What the original knows in its place, by which alone its faults can be told from ours."""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from dataclasses import dataclass, field
from random import Random
from typing import Any

from heliograph.partisan.wire import Atom
from heliograph.partisan.wire.messages import (
    ForwardSubscription,
    RemoveSubscription,
    ReplaceSubscription,
)
from tests.partisan.recorded import Record

__all__ = ["BLOCKED", "NEVER", "Original", "RecordedChance"]

BLOCKED = 2.0
"""Seconds for which dialling who does not answer may keep the original from its work."""
NEVER = float("-inf")


class RecordedChance(Random):
    """Chance that falls as it was recorded."""

    def __init__(self) -> None:
        super().__init__(1)
        self.falls()

    def falls(self, *, keep: bool = False, to: Atom | None = None, everybody: bool = False) -> None:
        """Set whether the next subscription is kept, or to whom it goes; by default, to nobody."""
        self.keep, self.to, self.everybody = keep, to, everybody

    def random(self) -> float:
        return 0.0 if self.keep else 0.999

    def sample(self, population: Any, k: int, **_: Any) -> list[Any]:
        return [each for each in population if self.everybody or each == self.to][:k]


@dataclass
class Original:
    """A node of the original, as far as what it sends depends on it."""

    view: list[Atom]
    """With itself, and whom it has twice."""
    came: dict[Atom, deque[tuple[Record, ForwardSubscription]]] = field(
        default_factory=lambda: defaultdict(deque)
    )
    """Subscriptions by the node that they are of, each to be kept or passed on once."""
    decided: dict[tuple[int, int], int] = field(default_factory=dict)
    """The last line of one connection whose consequence went over another, by both."""
    more: Counter[tuple[Atom, Atom]] = field(default_factory=Counter)
    """Of whom it may tell whom by a fault, and how often."""
    more_since: float = NEVER
    """When it last began with that; it does all of it at once."""
    contacts: set[Atom] = field(default_factory=set)
    """Whom it takes for a contact as soon as it is connected."""
    met: dict[Atom, float] = field(default_factory=dict)
    """When each last said what it knows."""
    heard: deque[Record] = field(default_factory=deque)
    """Pings that came, and may have been heeded a moment later."""
    fired: float = NEVER
    """When its timer last did."""
    period: float = NEVER
    """When it began to ping."""
    pinged: Counter[Atom] = field(default_factory=Counter)
    """How often each was in this period."""
    leaving: tuple[type, Atom] | None = None
    """What it last said of whom who is to leave."""
    left: float = NEVER
    expelled: Counter[Atom] = field(default_factory=Counter)
    """How often each was told that."""

    def begin_again(self) -> None:
        """Forget all times: another scene has a clock of its own."""
        self.more_since = self.fired = self.period = self.left = NEVER
        self.met.clear()

    def undecided(self, by: Record | None, message: ForwardSubscription) -> list[Record]:
        """Find subscriptions like this that came and were not decided of, the likeliest first.

        Frames of one connection are decided of in their order, and what comes of that goes over
        another one in the same: so it is the first of some connection.

        Args:
            by: The frame that shows what became of it; None if none does.
            message: The subscription.
        """
        found: dict[int, Record] = {}
        for record, each in self.came[message.spec.name]:
            number = record.connection
            if each != message or number in found:
                continue
            if by is None or (
                by.time < record.time + BLOCKED
                and record.line > self.decided.get((number, by.connection), 0)
            ):
                found[number] = record
        return sorted(found.values(), key=self._passed_over)

    def _passed_over(self, record: Record) -> tuple[int, int]:
        """Return how many before a frame are not decided of: each would be lost."""
        before = [
            each.line
            for came in self.came.values()
            for each, _ in came
            if each.connection == record.connection and each.line < record.line
        ]
        return len(before), record.line

    def decide(self, by: Record | None, record: Record, message: ForwardSubscription) -> None:
        """Decide of a subscription that came.

        Args:
            by: The frame that shows what became of it; None if none does.
            record: It.
            message: What it says.
        """
        self.came[message.spec.name].remove((record, message))
        if by is not None:
            self.decided[record.connection, by.connection] = record.line

    def may_tell(self, of: Atom, to: Atom, time: float) -> bool:
        """Tell whether it may tell one of another by a fault, still."""
        return self.more[of, to] > 0 and time < self.more_since + BLOCKED

    def first(self, name: Atom) -> tuple[Record, ForwardSubscription] | None:
        """Return the first subscription of a node that was not decided of."""
        return self.came[name][0] if self.came[name] else None

    def enter(self, name: Atom) -> None:
        """Enter a node whose subscription was kept."""
        self.view.insert(0, name)
        self.contacts.add(name)

    def joined(self, contact: Atom, time: float, *, twice: bool) -> None:
        """Enter a contact, also of the view: it may then be in there twice."""
        if twice or contact not in self.view:
            self.view.insert(0, contact)
        self.contacts.discard(contact)
        self.more_since = time

    def told_of(self, contact: Atom, but: Atom, copies: int) -> Counter[tuple[Atom, Atom]]:
        """Return whom it tells of a contact, all of its view but itself, and how often at most."""
        times = Counter(each for each in self.view if each != but)
        return Counter({(contact, to): n + min(n, copies) for to, n in times.items()})

    def removal(self, message: Any) -> None:
        """Hear that somebody has left."""
        name = message.spec.name
        match message:
            case RemoveSubscription() if name in self.view:
                self.view.remove(name)
            case ReplaceSubscription(_, other):
                self.view = [other.name if each == name else each for each in self.view]
            case _:
                pass
