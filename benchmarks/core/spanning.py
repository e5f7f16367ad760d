# SPDX-License-Identifier: Apache-2.0
"""`with span(...)` while nobody listens, and with one handler."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import count, repeat
from time import monotonic_ns, time_ns
from typing import Any

from benchmarks.core.executing import ignore
from benchmarks.harness import Case, Rival, Side
from heliograph import Telemetry

CONTEXT = "telemetry_span_context"


class Nothing:
    """The floor without a handler: an empty context manager, between two clock reads."""

    __slots__ = ()

    def __enter__(self) -> None:
        pass

    def __exit__(self, *exc: object) -> None:
        pass


def timed_nothing(times: int) -> None:
    for _ in repeat(None, times):
        monotonic_ns()
        with Nothing():
            pass
        monotonic_ns()


Handlers = tuple[tuple[Callable[..., object], Any], ...]
STARTED: Handlers = ((ignore, None),)
STOPPED: Handlers = ((ignore, None),)
next_context = count(1).__next__


class Written:
    """The floor with one handler: what somebody would write who needs just this one span.

    The same two events with the same contents, for a list of handlers that never changes.
    """

    __slots__ = ("metadata", "started")

    def __init__(self, metadata: Mapping[str, Any]) -> None:
        self.metadata = {**metadata, CONTEXT: next_context()}

    def __enter__(self) -> Written:
        self.started = monotonic_ns()
        measurements = {"monotonic_time": self.started, "system_time": time_ns()}
        for handler, config in STARTED:
            try:
                handler("benchmark.span.start", measurements, self.metadata, config)
            except Exception:
                pass
        return self

    def __exit__(self, exc_type: object, exc: object, traceback: object) -> None:
        ended = monotonic_ns()
        measurements = {"duration": ended - self.started, "monotonic_time": ended}
        for handler, config in STOPPED:
            try:
                handler("benchmark.span.stop", measurements, self.metadata, config)
            except Exception:
                pass


def written(times: int) -> None:
    metadata = {"who": "x"}
    for _ in repeat(None, times):
        with Written(metadata):
            pass


def spanning(telemetry: Telemetry) -> Side:
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
    heard.attach_many("h", [f"benchmark.span.{end}" for end in ("start", "stop")], ignore)
    yield Case(
        "with span(...), one handler",
        spanning(heard),
        [Rival("written by hand", written, 1.30)],
        times=10_000,
    )
