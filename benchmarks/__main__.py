# SPDX-License-Identifier: Apache-2.0
"""Run the benchmarks: `python -m benchmarks [--only core] [--json] [--check]`.

A package beside this module is one part: its `TITLE` heads the table, its `DISTRIBUTIONS` are the
libraries it compares with, its `rows(effort)` gives the lines.
"""

from __future__ import annotations

import argparse
import importlib
import json
import pkgutil
from typing import TYPE_CHECKING, Protocol, cast

import benchmarks
from benchmarks.harness import Effort, machine, table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.harness import Row


class Part(Protocol):
    """What a package has that is run from here."""

    TITLE: str
    DISTRIBUTIONS: tuple[str, ...]

    def rows(self, effort: Effort) -> Iterator[Row]:
        """Measure, and give the lines in the order of the table."""


def parts() -> list[str]:
    """Find the packages that can be run from here; none is imported before it is wanted."""
    return sorted(each.name for each in pkgutil.iter_modules(benchmarks.__path__) if each.ispkg)


def load(name: str) -> Part:
    """Import a part."""
    return cast("Part", importlib.import_module(f"benchmarks.{name}"))


def main(arguments: list[str] | None = None) -> int:
    """Measure and print; 1 if `--check` is given and a bar is missed."""
    known = parts()
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--only", action="append", choices=known, help="this part; may be repeated")
    parser.add_argument("--json", action="store_true", help="print JSON in place of tables")
    parser.add_argument("--check", action="store_true", help="exit with 1 if a bar is missed")
    parser.add_argument("--rounds", type=int, default=Effort.rounds, help="default: %(default)s")
    parser.add_argument(
        "--share",
        type=float,
        default=Effort.share,
        help="do only this share of the repetitions of each round, 0 to 1",
    )
    options = parser.parse_args(arguments)
    try:
        effort = Effort(options.rounds, options.share)
    except ValueError as error:
        parser.error(str(error))

    missed = False
    report: dict[str, object] = {}
    for name in options.only or known:
        part = load(name)
        facts = machine(*part.DISTRIBUTIONS)
        rows = list(part.rows(effort))
        missed = missed or not all(row.met for row in rows)
        if options.json:
            report[name] = {
                "title": part.TITLE,
                "facts": facts,
                "rounds": effort.rounds,
                "rows": [row.to_json() for row in rows],
            }
        else:
            print(table(part.TITLE, rows, facts), end="\n\n", flush=True)
    if options.json:
        print(json.dumps(report, indent=2))
    return 1 if options.check and missed else 0


if __name__ == "__main__":
    raise SystemExit(main())
