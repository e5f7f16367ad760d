# SPDX-License-Identifier: Apache-2.0
"""What observing costs in a program: after other work, which leaves nothing in the caches.

    python -m benchmarks.otel.in_place

The tables of `python -m benchmarks` repeat one thing in a tight loop, where code and data stay in
the processor's caches. Here every call comes after some work of another kind, and what is shown is
the median of single calls. No bars: such figures say more about the caches than about the code.
"""

from __future__ import annotations

import gc
import json
from collections.abc import Callable
from statistics import median
from time import perf_counter_ns

from benchmarks.otel import metrics, spans

_DATA = [{"id": number, "name": f"name {number}", "tags": ["a"] * 5} for number in range(400)]


def other_work() -> None:
    """Something that goes through a few hundred kilobytes."""
    json.loads(json.dumps(_DATA))


def single(call: Callable[[], object]) -> int:
    """Nanoseconds of one call after other work."""
    other_work()
    began = perf_counter_ns()
    call()
    return perf_counter_ns() - began


def compare(ours: Callable[[], object], theirs: Callable[[], object], rounds: int) -> str:
    """Let both take turns; say the medians and the ratio."""
    gc.disable()
    try:
        pairs = [(single(ours), single(theirs)) for _ in range(rounds)]
    finally:
        gc.enable()
    ratio = median(mine / other for mine, other in pairs)
    mine, other = (median(column) for column in zip(*pairs, strict=True))
    return f"{mine / 1000:8.1f} µs {other / 1000:8.1f} µs {ratio:7.3f}"


def main(rounds: int = 400) -> None:
    """Print the table."""
    own, given, by_hand = metrics.calls()
    print(f"{'one read, in place':48} {'ours':>11} {'by hand':>11} {'ratio':>7}")
    print(f"{'metrics, configure':48} {compare(own, by_hand, rounds)}")
    print(f"{'metrics, given MeterProvider':48} {compare(given, by_hand, rounds)}")
    found = spans.calls()
    for name, (rival, _) in spans.BARS.items():
        print(f"{name:48} {compare(found[name], found[rival], rounds)}")


if __name__ == "__main__":
    main()
