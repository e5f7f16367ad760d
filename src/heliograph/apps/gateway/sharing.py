# SPDX-License-Identifier: Apache-2.0
"""Who polls which device, without I/O and without a clock.

Rendezvous hashing (Thaler and Ravishankar, "A Name-Based Mapping Scheme for Rendezvous", 1996):
each gateway has a weight for each device, and the heaviest polls it. All who know the same gateways
agree without a word, and when one comes or goes only its own devices move.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

__all__ = ["Sharing", "owner", "weight"]


def weight(device: str, gateway: str) -> int:
    """The weight of a gateway for a device: 64 bits of BLAKE2b over both names."""
    # A NUL keeps the names apart; no name has one.
    digest = blake2b(f"{gateway}\0{device}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big")


def owner(device: str, gateways: Iterable[str]) -> str | None:
    """The gateway that polls a device; None if there are no gateways."""
    # The names decide between equal weights, so that there is one answer in whatever order.
    return max(gateways, key=lambda each: (weight(device, each), each), default=None)


class Sharing:
    """What one gateway polls, as others come and go.

    What is no longer its own it gives up at once. What has become its own it takes when it has seen
    no change for a while, in which the one that had it gives it up: rather nobody for a moment than
    two at a time.

    Args:
        me: Name of this gateway.
        settle: How long no change must have been seen, in nanoseconds.

    Attributes:
        mine: The devices that it polls.
        living: The gateways that share the devices, this one included.
        due: When `take` has something to give, in the nanoseconds that `see` was given; None for
            nothing.
    """

    def __init__(self, me: str, settle: int) -> None:
        self.mine: frozenset[str] = frozenset()
        self.living: frozenset[str] = frozenset({me})
        self.due: int | None = None
        self._me = me
        self._settle = settle
        self._wanted: frozenset[str] = frozenset()

    def see(self, devices: Collection[str], others: Iterable[str], now: int) -> frozenset[str]:
        """Take note of all devices and of the other living gateways.

        Returns:
            The devices to be given up now.
        """
        self.living = frozenset(others) | {self._me}
        self._wanted = frozenset(each for each in devices if owner(each, self.living) == self._me)
        given_up = self.mine - self._wanted
        self.mine &= self._wanted
        self.due = now + self._settle if self._wanted - self.mine else None
        return given_up

    def take(self, now: int) -> frozenset[str]:
        """Return the devices to be taken now; none before `due`."""
        if self.due is None or now < self.due:
            return frozenset()
        taken = self._wanted - self.mine
        self.mine, self.due = self._wanted, None
        return taken

    def drop(self, devices: Iterable[str]) -> frozenset[str]:
        """Forget that some devices were taken, so that they are taken anew; return which were."""
        dropped = self.mine & frozenset(devices)
        self.mine -= dropped
        return dropped
