# SPDX-License-Identifier: Apache-2.0
"""A hundred thousand events and ten thousand handlers: executing one, and attaching them all."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING

from benchmarks.core.executing import calling, ignore
from benchmarks.harness import Case, Rival, Row, measure, run
from heliograph import Telemetry

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.harness import Effort

EVENTS = 100_000
HANDLERS = 10_000
SECOND = 1e9


def registered(events: int, handlers: int) -> Telemetry:
    """Make a dispatcher with so many handles, and so many handlers on the first of them."""
    telemetry = Telemetry()
    names = [f"benchmark.event{number}" for number in range(events)]
    for name in names:
        telemetry.event(name)
    for number in range(handlers):
        telemetry.attach(number, names[number % events], ignore)
    return telemetry


def rows(effort: Effort) -> Iterator[Row]:
    """Measure the large table against a small one, and what attaching takes."""
    events, handlers = effort.times(EVENTS), effort.times(HANDLERS)
    # The event that is executed has one handler in both.
    small, large = registered(10, 10), registered(events, handlers)
    yield from measure(
        Case(
            f"execute, {events:,} events, {handlers:,} handlers",
            calling(large.execute, "benchmark.event0"),
            [Rival("10 events", calling(small.execute, "benchmark.event0"), 1.10)],
            times=40_000,
        ),
        effort,
    )

    def attach(count: int) -> None:
        telemetry = Telemetry()
        for number in range(count):
            telemetry.attach(number, f"benchmark.event{number}", ignore)

    def attach_to_one(count: int) -> None:
        telemetry = Telemetry()
        for number in range(count):
            telemetry.attach(number, "benchmark.event", ignore)

    # However many rounds there are: seven of these are enough, they take long.
    for side, what in ((attach, "over as many events"), (attach_to_one, "all on one event")):
        taken = median(run(side, handlers) for _ in range(min(effort.rounds, 7)))
        yield Row(f"{handlers:,} attaches, {what}", taken, None, None, None, SECOND)
