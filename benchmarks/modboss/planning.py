# SPDX-License-Identifier: Apache-2.0
"""Planning a read of ten thousand mappings, over a thousand; and finding a plan, over making it.

The mappings lie scattered over the four object types, with gaps of up to eight addresses, some of
them mapped; gaps of up to eight are bridged. Cold is all that the first read of a schema costs
before its first request: names checked, addresses that are safe to read found, batches made, and
their decoding compiled.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import repeat
from typing import TYPE_CHECKING, Any

from benchmarks.harness import Case, Rival, Row, measure
from heliograph.modboss import Schema
from heliograph.modboss.mapping import OBJECT_TYPES
from heliograph.modboss.planner import Planner, ReadPlan

if TYPE_CHECKING:
    from benchmarks.harness import Effort

__all__ = ["rows"]

MAX_GAP = 8


def scattered(count: int) -> type[Schema]:
    """A schema of so many mappings, the same in every run."""
    chance = random.Random(count)
    address = dict.fromkeys(OBJECT_TYPES, 0)
    mappings: list[dict[str, Any]] = []
    for number in range(count):
        object_type = OBJECT_TYPES[number % len(OBJECT_TYPES)]
        address[object_type] += chance.choice([0, 0, 0, 2, 8])
        mapping = {
            "name": f"mapping_{number}",
            "type": object_type,
            "address": address[object_type],
            "codec": "float32" if object_type.endswith("register") else "boolean",
        }
        address[object_type] += 2 if mapping["codec"] == "float32" else 1
        mappings.append(mapping)
    return Schema.from_mappings("Scattered", mappings)


class Planning:
    """The sides of one schema."""

    def __init__(self, count: int) -> None:
        self._schema = scattered(count)
        self._names = tuple(self._schema.mappings)
        self._planner = self._made()
        self._planned(self._planner)

    def _made(self) -> Planner:
        schema = self._schema
        return Planner("Scattered", schema.mappings, schema.read_limits, schema.write_limits)

    def _planned(self, planner: Planner) -> ReadPlan:
        mappings = planner.asked(self._names)
        return planner.reads.put((self._names, MAX_GAP), planner.read_plan(mappings, MAX_GAP))

    def cold(self, times: int) -> None:
        """Plan with nothing kept."""
        for _ in repeat(None, times):
            self._planned(self._made())

    def kept(self, times: int) -> None:
        """Find the plan."""
        for _ in repeat(None, times):
            self._planner.kept(self._names, MAX_GAP)


def cases() -> Iterator[Case]:
    """Give the cases in the order of the table."""
    small, large = Planning(1_000), Planning(10_000)
    # The bar is twelve times what a thousand take. Ten of those at once are disturbed as often.
    ten = Rival("10 times 1,000 mappings", lambda times: small.cold(10 * times), 1.2)
    yield Case("plan 10,000 mappings", large.cold, [ten], 2)
    for name, planning, times in (("10,000", large, 2), ("1,000", small, 20)):
        anew = Rival("planned anew", planning.cold, 0.005)
        yield Case(f"find the plan of {name} mappings", planning.kept, [anew], times)


def rows(effort: Effort) -> Iterator[Row]:
    """Measure everything in the order of the table."""
    for case in cases():
        yield from measure(case, effort)
