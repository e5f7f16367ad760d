# SPDX-License-Identifier: Apache-2.0
"""What one gateway under load came to, as a page of Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from benchmarks.others import percent

__all__ = ["page"]


def page(found: Mapping[str, Any]) -> str:
    """The page of what `python -m benchmarks.gateway --json` prints."""
    return "\n".join(_lines(found)) + "\n"


def _lines(found: Mapping[str, Any]) -> Iterator[str]:
    facts = ", ".join(f"{name} {text}" for name, text in found["machine"].items())
    first, last = found["memory"]
    received = ", ".join(f"{count} {name}" for name, count in found["received"].items())
    yield "# A gateway under load"
    yield ""
    yield (
        f"What `make load` came to: {found['minutes']:.3g} minutes, after a warm-up of "
        f"{found['warm_up_minutes']:.2g}. On {facts}. Of the processors, other programs had "
        f"{percent(found['others'])} meanwhile; a thread that only slept was woken up to "
        f"{1000 * found['longest_stall']:.0f} ms late. {_nice(found['nice'])}"
    )
    yield ""
    yield "| what | measured | bar | |"
    yield "| --- | --- | --- | --- |"
    for bar in found["bars"]:
        verdict = "met" if bar["met"] else "**missed**"
        unit = bar["unit"]
        measured = f"{bar['ours']:.2f}" if unit else f"{bar['ours']:g}"
        yield f"| {bar['case']} | {measured} {unit} | {bar['bar']:g} {unit} | {verdict} |"
    yield ""
    yield (
        "One gateway, `heliograph gateway` as a process of its own, polls devices in another "
        "process that answer at once, each time with other values. Everything is exported over "
        "OTLP, received, decoded and counted: a reading counts if its span arrived."
    )
    yield ""
    yield (
        f"- Of {found['expected']} readings that were due {found['readings']} arrived, "
        f"{found['failed']} of which had failed. From its start on the gateway itself counted "
        f"{found['periods_left_out']} periods that it left out, and {found['values']} values that "
        "changed. It began each reading at most "
        f"{1000 * found['longest_lag']:.0f} ms after it was due."
    )
    yield f"- From its start to its end {received} arrived."
    yield (
        f"- Of memory it had {first:.1f} MiB at the end of the warm-up, and {last:.1f} MiB at the "
        f"end; descriptors {found['descriptors'][0]} and {found['descriptors'][1]}, threads "
        f"{found['threads'][0]} and {found['threads'][1]}."
    )


def _nice(value: int) -> str:
    if not value:
        return "All processes ran at the usual priority."
    return f"The nice value of all processes was {value}."
