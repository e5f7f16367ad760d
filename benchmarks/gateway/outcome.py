# SPDX-License-Identifier: Apache-2.0
"""What a soak came to, before anybody judges it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from benchmarks.gateway.judging import Fault, Messages, Run, Values
from benchmarks.gateway.watching import Sample

__all__ = ["Outcome"]


@dataclass
class Outcome:
    """What a soak came to."""

    seconds: float
    seed: int
    period: float
    """Seconds between two readings of a device."""
    faults: list[Fault] = field(default_factory=list)
    runs: list[Run] = field(default_factory=list)
    crashes: list[str] = field(default_factory=list)
    samples: dict[str, list[Sample]] = field(default_factory=dict)
    calm: list[tuple[float, int, int]] = field(default_factory=list)
    """When, and how many descriptors and tasks the spared gateway had, when all was well."""
    emitted: Counter[str] = field(default_factory=Counter)
    """Kind -> what the runs that ended by themselves have executed that is to be exported."""
    delivered: Counter[str] = field(default_factory=Counter)
    """The same, as it arrived."""
    undelivered: Counter[str] = field(default_factory=Counter)
    """Name -> what did not arrive of these runs."""
    with_a_killed: Counter[str] = field(default_factory=Counter)
    """Kind -> what did not arrive of runs that were killed."""
    events: Counter[str] = field(default_factory=Counter)
    dropped: int = 0
    messages: Messages = field(default_factory=Messages)
    values: Values = field(default_factory=Values)
    alarms: tuple[int, int] = (0, 0)
    others: float | None = None
    """The share of the processors that other programs had; None where nobody says."""
    stall: float = 0.0
    """By how many seconds a thread that only slept was ever woken late."""
    stalled: int = 0
    """Readings missed without a fault, while such a thread was late, too."""
