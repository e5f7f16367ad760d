# SPDX-License-Identifier: Apache-2.0
"""The page of the benchmarks, made of what a run has written: `python -m benchmarks.page JSON`."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.harness import Row, amounts
from benchmarks.others import QUIET, percent

__all__ = ["markdown"]

ALIGN = ("---", "---:", "---", "---:", "---:", "---:", "---:", "---")
HEAD = ("case", "ours", "rival", "theirs", "ratio", "half of the rounds", "bar", "verdict")
ABOUT = """\
# Benchmarks

<!-- Written by `make bench`, of benchmarks.json beside it. Never by hand. -->

What heliograph costs, beside what one would otherwise write or use. A **ratio** is what ours takes
over what the rival takes, in the same run and in turns, as the median of several rounds: 0.5 is
half the time. How far the rounds differ is said by where the middle half of them lies. The **bar**
is what is promised of a ratio; where there is no rival, it is on the amount. What exactly is
measured, and what a rival does, is said beside the code, in `benchmarks/`.
`make bench` makes this page anew.
"""
BUSY_WARNING = """\
:::{{warning}}
Other programs were busy on this machine while it measured: {parts}. Figures scatter then, and those
of these parts prove little.
:::
"""
TRIAL_WARNING = """\
:::{warning}
Each round was cut short. This is a trial of the benchmarks themselves.
:::
"""

Results = dict[str, Any]


def markdown(results: Results) -> str:
    """Tell everything that a run has found."""
    run, parts = results["run"], results["parts"]
    sections = [ABOUT, *_conditions(run, parts), *_verdict(parts), *map(_part, parts.values())]
    return "\n".join(sections)


def _table(head: Sequence[str], align: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    rows = (head, align, *lines)
    return "".join(f"| {' | '.join(cells)} |\n" for cells in rows)


def _conditions(run: Results, parts: Results) -> Iterator[str]:
    minutes = f"{run['seconds'] / 60:.1f} minutes"
    facts = [
        ("on", f"{run['processor']}, {run['processors']} processors"),
        ("under", run["kernel"]),
        ("of", f"commit {run['commit']}"),
        ("at", f"{run['began']}, for {minutes}, in {run['rounds']} rounds"),
        ("of the processors, others had", _others(parts)),
    ]
    yield _table(("measured", ""), ("---", "---"), facts)
    busy = [part for part in parts.values() if (part.get("others") or 0) > QUIET]
    if busy:
        told = (f"they had {percent(part['others'])} during {part['title']}" for part in busy)
        yield BUSY_WARNING.format(parts="; ".join(told))
    if run["share"] != 1:
        yield TRIAL_WARNING


def _others(parts: Results) -> str:
    """How much of the processors other programs had, on the whole and at most."""
    known = [part for part in parts.values() if part.get("others") is not None]
    seconds = sum(part["seconds"] for part in known)
    if not seconds or len(known) < len(parts):
        return percent(None)
    mean = sum(part["others"] * part["seconds"] for part in known) / seconds
    return f"{percent(mean)}, at most {percent(max(part['others'] for part in known))} in one part"


def _verdict(parts: Results) -> Iterator[str]:
    rows = [(part["title"], row) for part in parts.values() for row in part["rows"]]
    missed = [(title, *_cells(row)[:-1]) for title, row in rows if not row["met"]]
    told = f"Bars met: {len(rows) - len(missed)} of {len(rows)}."
    failed = [part["title"] for part in parts.values() if "failure" in part]
    if failed:
        told += f" Not measured: {', '.join(failed)}."
    yield f"{told} These are missed:\n" if missed else f"{told}\n"
    if missed:
        yield _table(("part", *HEAD[:-1]), ("---", *ALIGN[:-1]), missed)


def _part(part: Results) -> str:
    title = f"## {part['title']}\n\n"
    if failure := part.get("failure"):
        return f"{title}It could not be measured: `{failure}`\n"
    facts = [f"{name} {value}" for name, value in part["facts"].items() if name != "machine"]
    about = f"{', '.join(facts)}; measured within {part['seconds']:.0f} s.\n\n"
    return title + about + _table(HEAD, ALIGN, map(_cells, part["rows"]))


def _cells(row: Results) -> tuple[str, ...]:
    made = Row(**{name: value for name, value in row.items() if name != "met"})
    *before, bar, _ = amounts(made)
    middle = "-" if made.middle is None else " to ".join(f"{each:.3f}" for each in made.middle)
    return (*before, middle, bar, "met" if row["met"] else "**missed**")


def main(arguments: list[str] | None = None) -> int:
    """Print the page of a run."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.page", description=__doc__)
    parser.add_argument("results", type=Path, help="what `python -m benchmarks --results` wrote")
    options = parser.parse_args(arguments)
    print(markdown(json.loads(options.results.read_text("utf-8"))), end="")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
