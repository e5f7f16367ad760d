# SPDX-License-Identifier: Apache-2.0
"""Runs recorded scenarios of reads, writes and encodes, and says how many are as demanded.

    python -m tests.modboss.golden FILE...

A file has one scenario a line. Each is run with plain functions, with coroutines, and with plain
functions while nobody listens. For the first scenarios that fail their first differences are
printed; the exit status is 1 if any failed.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.modboss.golden.checking import Verdict, check_file

SHOWN_SCENARIOS = 10
SHOWN_DIFFERENCES = 5


def report(verdicts: Sequence[Verdict]) -> Iterator[str]:
    """Say what came of scenarios."""
    failed = [each for each in verdicts if each.differences]
    not_demanded = sum(not each.demanded for each in verdicts)
    passed = len(verdicts) - len(failed) - not_demanded
    for each in failed[:SHOWN_SCENARIOS]:
        yield f"FAILED {each.scenario}"
        yield from (f"    {difference}" for difference in each.differences[:SHOWN_DIFFERENCES])
        if len(each.differences) > SHOWN_DIFFERENCES:
            yield f"    and {len(each.differences) - SHOWN_DIFFERENCES} more"
    if len(failed) > SHOWN_SCENARIOS:
        yield f"and {len(failed) - SHOWN_SCENARIOS} more failed"
    yield (
        f"{len(verdicts)} scenarios: {passed} passed, {len(failed)} failed, "
        f"{not_demanded} not demanded"
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the files named on the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.modboss.golden", description=__doc__)
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE")
    verdicts = [
        verdict for file in parser.parse_args(arguments).files for verdict in check_file(file)
    ]
    for line in report(verdicts):
        print(line)
    return 1 if not verdicts or any(verdict.differences for verdict in verdicts) else 0


if __name__ == "__main__":
    sys.exit(main())
