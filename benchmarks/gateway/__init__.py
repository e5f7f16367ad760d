# SPDX-License-Identifier: Apache-2.0
"""A gateway at work: what it takes, and whether it keeps up."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from benchmarks.gateway.load import DEVICES, MAPPINGS, Load, measure
from benchmarks.harness import Row

if TYPE_CHECKING:
    from benchmarks.harness import Effort

__all__ = ["DISTRIBUTIONS", "TITLE", "rows", "rows_of"]

TITLE = "A gateway"
DISTRIBUTIONS = ("pymodbus", "uvloop", "opentelemetry-sdk")

# At full effort half a minute, which is enough for the processor; for memory it is not.
SECONDS = 30.0


def rows_of(load: Load) -> Iterator[Row]:
    """The bars of a gateway under load, and what was measured."""
    case = f"{load.devices} devices x {MAPPINGS} mappings each second, all signals"
    yield Row(f"{case}: of one core", 100 * load.share, None, None, None, 25, "%")
    yield Row(f"{case}: readings missed", load.lost, None, None, None, 0, "")
    yield Row(f"{case}: items dropped", load.dropped, None, None, None, 0, "")


def rows(effort: Effort) -> Iterator[Row]:
    """Measure for a short while; `python -m benchmarks.gateway` does it for as long as you like."""
    seconds = max(3.0, SECONDS * effort.share)
    yield from rows_of(measure(seconds, devices=max(1, round(DEVICES * effort.share))))
