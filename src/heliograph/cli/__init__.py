# SPDX-License-Identifier: Apache-2.0
"""The `heliograph` command.

Its parts are loaded when they are called: help, version and completion scripts need click alone.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from heliograph.cli.exits import ExitCode

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["ExitCode", "main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        arguments: What follows `heliograph` on the command line; that of this process if None.

    Returns:
        The exit code, one of `ExitCode`.
    """
    try:
        from heliograph.cli.root import root
    except ModuleNotFoundError as error:
        if error.name != "click":
            raise
        sys.stderr.write('heliograph: this command needs click: pip install "heliograph[cli]"\n')
        return ExitCode.INVALID
    for stream in (sys.stdout, sys.stderr):
        # A terminal that cannot show a character shows its code rather than a traceback.
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")
    try:
        root.main(args=arguments and list(arguments), prog_name="heliograph")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else ExitCode.FINDINGS
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED
