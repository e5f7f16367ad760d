# SPDX-License-Identifier: Apache-2.0
"""The core, over floors written by hand and over blinker."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.core import executing, importing, large, spanning
from benchmarks.harness import measure

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.harness import Effort, Row

__all__ = ["DISTRIBUTIONS", "TITLE", "rows"]

TITLE = "The core"
DISTRIBUTIONS = ("blinker",)


def rows(effort: Effort) -> Iterator[Row]:
    """Measure everything in the order of the table."""
    for module in (executing, spanning):
        for case in module.cases():
            yield from measure(case, effort)
    yield from large.rows(effort)
    for case in importing.cases():
        yield from measure(case, effort)
