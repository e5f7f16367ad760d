# SPDX-License-Identifier: Apache-2.0
"""What parts of the protocol count, told as it happens."""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Tally"]


class Tally:
    """Compares counters with what they were.

    Args:
        statistics: What has the counters.
        names: Those of its attributes that matter; those that it lacks do not.
    """

    def __init__(self, statistics: object, names: tuple[str, ...]) -> None:
        found = [name for name in names if hasattr(statistics, name)]
        self._statistics = statistics
        self._names = found
        # So that there are always at least two, and the getter returns a tuple.
        self._get: Callable[[object], tuple[int, ...]] | None
        self._get = attrgetter(*found, found[0]) if found else None
        self._before: tuple[int, ...] = () if self._get is None else self._get(statistics)

    def changes(self) -> list[tuple[str, int]]:
        """Return what has grown since the last time, and by how much."""
        if self._get is None:
            return []
        now = self._get(self._statistics)
        if now == self._before:
            return []
        before, self._before = self._before, now
        return [
            (name, after - was)
            for name, was, after in zip(self._names, before, now, strict=False)
            if after != was
        ]
