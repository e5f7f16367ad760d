# SPDX-License-Identifier: Apache-2.0
"""The simulations whose figures the documentation shows, and what an event of one costs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.simulations import cost

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.harness import Effort, Row

__all__ = ["DISTRIBUTIONS", "TITLE", "rows"]

TITLE = "Simulated clusters"
DISTRIBUTIONS: tuple[str, ...] = ()


def rows(effort: Effort) -> Iterator[Row]:
    """Measure everything in the order of the table."""
    yield from cost.rows(effort)
