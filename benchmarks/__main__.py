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
import sys
import time
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

import benchmarks
from benchmarks.harness import Effort, conditions, machine, table
from benchmarks.others import Others
from benchmarks.page import markdown

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
    found = []
    for each in pkgutil.iter_modules(benchmarks.__path__):
        source = Path(benchmarks.__path__[0], each.name, "__init__.py")
        if each.ispkg and "\nTITLE = " in source.read_text("utf-8"):
            found.append(each.name)
    return sorted(found)


def load(name: str) -> Part:
    """Import a part."""
    return cast("Part", importlib.import_module(f"benchmarks.{name}"))


def measured(name: str, effort: Effort) -> tuple[dict[str, Any], list[Row]]:
    """Measure a part; one that fails is told of, and the others are measured all the same."""
    began, others = time.monotonic(), Others()
    found: dict[str, Any] = {"title": name, "facts": {}}
    rows: list[Row] = []
    try:
        part = load(name)
        found |= {"title": part.TITLE, "facts": machine(*part.DISTRIBUTIONS)}
        rows = list(part.rows(effort))
    except Exception as error:
        traceback.print_exc()
        found["failure"] = f"{type(error).__name__}: {error}".splitlines()[0]
    found |= {"rounds": effort.rounds, "seconds": time.monotonic() - began}
    found["others"] = others.share()
    found["rows"] = [row.to_json() for row in rows]
    return found, rows


def main(arguments: list[str] | None = None) -> int:
    """Measure and print; 1 if a part fails, or `--check` is given and a bar is missed."""
    known = parts()
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--only", action="append", choices=known, help="this part; may be repeated")
    parser.add_argument("--json", action="store_true", help="print JSON in place of tables")
    parser.add_argument("--check", action="store_true", help="exit with 1 if a bar is missed")
    parser.add_argument(
        "--results", type=Path, help="of all parts: write this file, and the page of it beside it"
    )
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

    began = time.monotonic()
    run = {**conditions(), "rounds": effort.rounds, "share": effort.share}
    report: dict[str, dict[str, Any]] = {}
    for name in options.only or known:
        report[name], rows = measured(name, effort)
        if not options.json:
            print(table(report[name]["title"], rows, report[name]["facts"]), end="\n\n", flush=True)
    if options.json:
        print(json.dumps(report, indent=2))
    if options.results is not None:
        if options.only:
            print(f"{options.results} is about all parts, so it is left as it was", file=sys.stderr)
        else:
            results = {"run": {**run, "seconds": time.monotonic() - began}, "parts": report}
            write(options.results, results)
    failed = any("failure" in each for each in report.values())
    missed = any(not row["met"] for each in report.values() for row in each["rows"])
    return 1 if failed or (options.check and missed) else 0


def write(path: Path, results: dict[str, Any]) -> None:
    """Write what a run has found, and the page of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(results, indent=2) + "\n", "utf-8")
    path.with_suffix(".md").write_text(markdown(results), "utf-8")


if __name__ == "__main__":
    raise SystemExit(main())
