# SPDX-License-Identifier: Apache-2.0
"""Plans that were made, by what was asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Hashable

__all__ = ["MOST_PLANS", "PlanCache"]

P = TypeVar("P")

# Our choice: more than a program has different reads of one schema; those that make up their names
# as they go begin anew, which costs a plan each.
MOST_PLANS: Final = 256


class PlanCache(Generic[P]):
    """A dictionary of plans that is emptied when it is full.

    Plans are made of few objects, and the keys are tuples of strings, so that the garbage collector
    has little to walk through. Threads that miss at the same time make the same plan twice.
    """

    __slots__ = ("_most", "_plans", "get")

    def __init__(self, most: int = MOST_PLANS) -> None:
        self._most = most
        self._plans: dict[Hashable, P] = {}
        self.get: Final = self._plans.get

    def put(self, key: Hashable, plan: P) -> P:
        """Keep a plan, and return it."""
        if len(self._plans) >= self._most:
            self._plans.clear()
        self._plans[key] = plan
        return plan

    def clear(self) -> None:
        """Drop all plans."""
        self._plans.clear()

    def __len__(self) -> int:
        return len(self._plans)
