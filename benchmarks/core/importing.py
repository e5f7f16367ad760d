# SPDX-License-Identifier: Apache-2.0
"""`import heliograph` as a whole process, over `python -c pass`."""

from __future__ import annotations

import os
import subprocess
import sys
from itertools import repeat
from typing import TYPE_CHECKING

from benchmarks.harness import Case, Rival

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.harness import Side


def process(code: str) -> Side:
    """Run the code in a process of its own."""
    command = [sys.executable, "-c", code]
    # As installed, modules are compiled once, not each time they are imported.
    plain = {key: text for key, text in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}

    def side(times: int) -> None:
        for _ in repeat(None, times):
            subprocess.run(command, check=True, env=plain)

    return side


def cases() -> Iterator[Case]:
    """Give the case of importing."""
    yield Case(
        "python -c 'import heliograph'",
        process("import heliograph"),
        [Rival("python -c pass", process("pass"), 2.0)],
        times=2,
    )
