# SPDX-License-Identifier: Apache-2.0
"""Run many random schedules: `python -m tests.partisan.simulator.many --count 5000`."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Sequence

from heliograph.partisan.simulator import run_schedule


def main(arguments: Sequence[str] | None = None) -> int:
    """Run them, print what they came to, and return 0 if nothing was violated."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.partisan.simulator.many", description=__doc__
    )
    parser.add_argument("--count", type=int, default=1_000, help="how many (default: 1000)")
    parser.add_argument("--start", type=int, default=0, help="the first seed (default: 0)")
    options = parser.parse_args(arguments)
    totals: Counter[str] = Counter()
    violated = 0
    for seed in range(options.start, options.start + options.count):
        outcome = run_schedule(seed)
        for what in outcome.violations:
            print(f"seed {seed}: {what}", flush=True)
        violated += bool(outcome.violations)
        totals.update(outcome.steps)
        for name in ("accepted", "acknowledged", "delivered", "retransmitted", "duplicates"):
            totals[name] += getattr(outcome, name)
    print(f"{options.count} schedules, {violated} of them violated")
    print(", ".join(f"{name} {count}" for name, count in sorted(totals.items())))
    return 1 if violated else 0


if __name__ == "__main__":
    sys.exit(main())
