# SPDX-License-Identifier: Apache-2.0
"""Modbus devices by name, over raw calls of pymodbus."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from benchmarks.modboss import planning, polling, reading

if TYPE_CHECKING:
    from benchmarks.harness import Effort, Row

__all__ = ["DISTRIBUTIONS", "TITLE", "rows"]

TITLE = "Modbus devices by name"
DISTRIBUTIONS = ("pymodbus", "uvloop", "opentelemetry-sdk")


def rows(effort: Effort) -> Iterator[Row]:
    """Measure everything in the order of the table."""
    yield from reading.rows(effort)
    yield from planning.rows(effort)
    yield from polling.rows(effort)
