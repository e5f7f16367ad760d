# SPDX-License-Identifier: Apache-2.0
"""What a node of HyParView remembers of others beyond its views: partings, failures, departures.

Nodes number their disconnections, `{Epoch, Number}`, and whoever asks to be a neighbor, or says
that it is one, repeats the number of the last that it has heard. So what was said before a
disconnection is told from what was said after it. Ours: a node that was lost owes a number, too,
though it was sent none. What it sent before it was lost never counts, however late it comes; a node
that lives after all is told the number, and may ask again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

from heliograph.partisan.wire.messages import Disconnection

if TYPE_CHECKING:
    from heliograph.partisan.protocol.overlay.settings import HyParViewConfig
    from heliograph.partisan.wire import Atom

__all__ = ["LEAVING", "NEVER", "Past", "keep"]

NEVER: Final = Disconnection(1, 0)
"""What the original repeats where nobody ever disconnected."""
LEAVING: Final = 1 << 40
"""The number of a disconnection by who leaves; our choice, the original sees a large one."""
_NONE: Final = Disconnection(0, 0)

Kept = TypeVar("Kept")


class _Departure(NamedTuple):
    epoch: int
    until: int


class Past:
    """One node's memory of others. All of it is bounded.

    Args:
        config: How much is remembered, and for how long.

    Attributes:
        denied: Who failed lately, and until when others' word of it does not count.
        departed: Who left, in which of its epochs, and until when that is remembered.
    """

    __slots__ = ("_config", "_floor", "_heard", "_owed", "_sent", "denied", "departed")

    def __init__(self, config: HyParViewConfig) -> None:
        self.denied: dict[Atom, int] = {}
        self.departed: dict[Atom, _Departure] = {}
        self._config = config
        self._sent: dict[Atom, Disconnection] = {}
        self._owed: dict[Atom, Disconnection] = {}
        self._heard: dict[Atom, Disconnection] = {}
        self._floor = _NONE  # the largest number of those that were forgotten

    # --- disconnections from here ---

    def part(self, name: Atom, epoch: int) -> Disconnection:
        """Return the number of a new disconnection from a node, which it has to repeat."""
        number = self._next(name, epoch)
        self._keep_sent(name, number)
        keep(self._owed, name, number, self._config.disconnections)
        return number

    def remind(self, name: Atom, epoch: int) -> Disconnection:
        """Return the number that a node has to repeat and has not."""
        number = self._owed.get(name)
        if number is None:
            return self.part(name, epoch)
        self._keep_sent(name, number)
        return number

    def knows(self, name: Atom, repeated: Disconnection) -> bool:
        """Tell whether a node has heard that this one parted from it, or lost it."""
        return repeated >= self._owed.get(name, NEVER)

    def _next(self, name: Atom, epoch: int) -> Disconnection:
        last = self._sent.get(name, self._floor)
        return Disconnection(epoch, last.number + 1 if last.epoch == epoch else 1)

    def _keep_sent(self, name: Atom, number: Disconnection) -> None:
        limit = self._config.disconnections
        if name not in self._sent and len(self._sent) >= limit:
            self._floor = max(self._floor, self._sent.pop(next(iter(self._sent))))
        keep(self._sent, name, number, limit)

    # --- disconnections of others ---

    def hear(self, name: Atom, number: Disconnection) -> bool:
        """Take the number of a node's disconnection; tell whether it is news."""
        if number <= self.heard(name):
            return False
        if number.number < LEAVING:
            keep(self._heard, name, number, self._config.disconnections)
        return True

    def heard(self, name: Atom) -> Disconnection:
        """Return the number of the last disconnection that a node sent."""
        return self._heard.get(name, NEVER)

    # --- failures and departures ---

    def lose(self, name: Atom, epoch: int, now: int) -> None:
        """Note that a node cannot be reached."""
        keep(self._owed, name, self._next(name, epoch), self._config.disconnections)
        self.deny(name, now)

    def deny(self, name: Atom, now: int) -> None:
        """Take others' word of a node for nothing, for a while."""
        keep(self.denied, name, now + self._config.deny_for, self._config.denied)

    def depart(self, name: Atom, of: int, epoch: int, now: int) -> None:
        """Note that a node left in an epoch of its own."""
        keep(self._owed, name, self._next(name, epoch), self._config.disconnections)
        until = now + self._config.departed_for
        keep(self.departed, name, _Departure(of, until), self._config.departed)

    def met(self, name: Atom) -> None:
        """Note that a node lives."""
        self.denied.pop(name, None)

    def returned(self, name: Atom) -> None:
        """Note that a node has come by its own will, or was invited, after it has left."""
        self.denied.pop(name, None)
        self.departed.pop(name, None)

    def joined(self, name: Atom) -> None:
        """Note that a node begins anew: it need not know of anything that was before."""
        self.returned(name)
        self._owed.pop(name, None)

    def avoids(self, name: Atom, now: int, epoch: int = 0) -> bool:
        """Tell whether others' word of a node does not count: that it lives, in some epoch."""
        until = self.denied.get(name)
        if until is not None:
            if now < until:
                return True
            del self.denied[name]
        departure = self.departed.get(name)
        if departure is None:
            return False
        if now < departure.until and epoch <= departure.epoch:
            return True
        del self.departed[name]
        return False


def keep(remembered: dict[Atom, Kept], name: Atom, kept: Kept, limit: int) -> None:
    """Remember something of a node as the newest, and forget the oldest beyond a limit."""
    remembered.pop(name, None)
    remembered[name] = kept
    if len(remembered) > limit:
        del remembered[next(iter(remembered))]
