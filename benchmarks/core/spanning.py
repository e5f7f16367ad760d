# SPDX-License-Identifier: Apache-2.0
"""`with span(...)` while nobody listens, and with one handler."""

from __future__ import annotations

from itertools import count, repeat
from time import monotonic_ns, time_ns
from typing import TYPE_CHECKING, Any, Self

from benchmarks.core.executing import TABLE, floor, ignore
from benchmarks.harness import Case, Rival
from heliograph import Telemetry

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from benchmarks.harness import Side

CONTEXT = "telemetry_span_context"


class Nothing:
    """The floor without a handler: an empty context manager, between two clock reads."""

    __slots__ = ()

    def __enter__(self) -> None:
        pass

    def __exit__(self, *exc: object) -> None:
        pass


def timed_nothing(times: int) -> None:
    """Be the floor without a handler."""
    for _ in repeat(None, times):
        monotonic_ns()
        with Nothing():
            pass
        monotonic_ns()


next_context = count(1).__next__


class Written:
    """The floor with a handler: what somebody would write who needs just this one span.

    The same events with the same contents, dispatched by the floor of `execute`.
    """

    __slots__ = ("metadata", "started")
    started: int

    def __init__(self, metadata: Mapping[str, Any]) -> None:
        self.metadata = {**metadata, CONTEXT: next_context()}

    def __enter__(self) -> Self:
        self.started = monotonic_ns()
        floor(
            "benchmark.span.start",
            {"monotonic_time": self.started, "system_time": time_ns()},
            self.metadata,
        )
        return self

    def __exit__(self, exc_type: object, exc: object, traceback: object) -> None:
        ended = monotonic_ns()
        measurements = {"duration": ended - self.started, "monotonic_time": ended}
        if exc is None:
            floor("benchmark.span.stop", measurements, self.metadata)
        else:
            floor("benchmark.span.exception", measurements, {**self.metadata, "reason": exc})


def written(times: int) -> None:
    """Be the floor with a handler."""
    metadata = {"who": "x"}
    for _ in repeat(None, times):
        with Written(metadata):
            pass


def spanning(telemetry: Telemetry) -> Side:
    """Open spans of one prefix with metadata that is there already."""
    span, metadata = telemetry.span, {"who": "x"}

    def side(times: int) -> None:
        for _ in repeat(None, times):
            with span("benchmark.span", metadata):
                pass

    return side


def cases() -> Iterator[Case]:
    """Give the two cases of spans."""
    yield Case(
        "with span(...), no handler",
        spanning(Telemetry()),
        [Rival("two clock reads, empty manager", timed_nothing, 1.60)],
    )
    heard = Telemetry()
    for end in ("start", "stop", "exception"):
        TABLE[f"benchmark.span.{end}"] = ((ignore, None),)
        heard.attach(end, f"benchmark.span.{end}", ignore)
    yield Case(
        "with span(...), one handler",
        spanning(heard),
        [Rival("written by hand", written, 1.30)],
        times=10_000,
    )
