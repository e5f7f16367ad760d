# SPDX-License-Identifier: Apache-2.0
"""A cluster node: its codec over libraries, its messages over a bare pair of processes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.partisan import codec, messages

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.harness import Effort, Row

__all__ = ["DISTRIBUTIONS", "TITLE", "rows"]

TITLE = "A cluster node"
DISTRIBUTIONS = (*codec.DISTRIBUTIONS, "uvloop", "anyio")


def rows(effort: Effort) -> Iterator[Row]:
    """Measure everything in the order of the table."""
    yield from messages.rows(effort)
    yield from codec.rows(effort)
