# SPDX-License-Identifier: Apache-2.0
"""What a simulation came to, for programs and for people."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from heliograph.partisan.simulator.experiments import Result

__all__ = ["document", "markdown", "table"]


def document(result: Result) -> dict[str, Any]:
    """Return everything as what JSON can say: the scenario, and a row for each thing measured."""
    return {
        "scenario": asdict(result.scenario),
        "events": result.events,
        "rows": [dict(zip(result.columns, row, strict=True)) for row in result.rows],
    }


def table(result: Result) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Return the names of the columns, and the rows as texts."""
    return result.columns, [tuple(map(_text, row)) for row in result.rows]


def markdown(result: Result) -> str:
    """Return the rows as a table in Markdown."""
    columns, rows = table(result)
    lines = [columns, tuple(["---:"] * len(columns)), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def _text(value: Any) -> str:
    return "–" if value is None else str(value)
