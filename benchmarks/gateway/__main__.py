# SPDX-License-Identifier: Apache-2.0
"""One gateway under load for long: `python -m benchmarks.gateway [--minutes 30] [--json]`.

Exits with 1 if a bar is missed, the one of its memory included.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

from benchmarks.gateway import DISTRIBUTIONS, TITLE, rows_of
from benchmarks.gateway.load import DEVICES, measure
from benchmarks.gateway.page import page
from benchmarks.gateway.parts import leave_nothing_behind
from benchmarks.harness import Row, machine, table

# MiB in ten minutes: below that, thirty minutes tell growth from noise.
SLOPE = 1.0


def main(arguments: list[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gateway", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0, help="default: %(default)s")
    parser.add_argument("--devices", type=int, default=DEVICES, help="default: %(default)s")
    parser.add_argument("--json", action="store_true", help="print JSON in place of a table")
    parser.add_argument("--report", type=Path, help="write a page of Markdown to this file")
    options = parser.parse_args(arguments)
    leave_nothing_behind()
    load = measure(
        60 * options.minutes,
        devices=options.devices,
        say=lambda text: print(text, file=sys.stderr, flush=True),
    )
    rows = list(rows_of(load))
    growth = Row("memory, growth in ten minutes", load.slope, None, None, None, SLOPE, "MiB")
    rows.append(growth)
    first, last = load.samples[0], load.samples[-1]
    facts = {
        "minutes": load.seconds / 60,
        "warm_up_minutes": load.warm_up / 60,
        "readings": load.readings,
        "expected": load.expected,
        "failed": load.failed,
        "periods_left_out": load.missed,
        "values": load.values,
        "memory": [first.memory, last.memory],
        "descriptors": [first.files, last.files],
        "threads": [first.threads, last.threads],
        "received": dict(load.received),
        "exit_code": load.code,
        "others": load.others,
        "nice": os.nice(0),
        "longest_lag": load.lag,
        "longest_stall": load.stall,
    }
    bars = [row.to_json() for row in rows]
    document = {"machine": machine(*DISTRIBUTIONS), "bars": bars, **facts}
    if options.report is not None:
        options.report.write_text(page(document), encoding="utf-8")
    if options.json:
        print(json.dumps(document, indent=2))
    else:
        print(table(TITLE, rows, machine(*DISTRIBUTIONS)))
        for name, value in facts.items():
            print(f"{name}: {value}")
    return 0 if load.code == 0 and all(row.met for row in rows) else 1


if __name__ == "__main__":
    raise SystemExit(main())
