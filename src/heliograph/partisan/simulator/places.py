# SPDX-License-Identifier: Apache-2.0
"""Where simulated nodes are: scattered evenly in a square of side 1, each by its name."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from heliograph.partisan.wire import Atom, NodeSpec

__all__ = ["Places"]


class Places:
    """The places of one cluster's nodes.

    Args:
        seed: Together with a node's name, says where it is.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._places: dict[Atom, complex] = {}

    def distance(self, one: NodeSpec, other: NodeSpec) -> float:
        """Return how far two nodes are from each other."""
        return abs(self._place(one.name) - self._place(other.name))

    def distance_from(self, one: NodeSpec) -> Callable[[NodeSpec], float]:
        """Return what tells how far others are from a node."""
        return lambda other: self.distance(one, other)

    def _place(self, name: Atom) -> complex:
        place = self._places.get(name)
        if place is None:
            # A text gives the same place on every machine.
            chance = random.Random(f"{self._seed}/place/{name}")  # noqa: S311 - no secret
            place = self._places[name] = complex(chance.random(), chance.random())
        return place
