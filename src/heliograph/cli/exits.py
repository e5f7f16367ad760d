# SPDX-License-Identifier: Apache-2.0
"""The exit codes of the `heliograph` command, the same for every subcommand."""

from __future__ import annotations

from enum import IntEnum
from types import MappingProxyType
from typing import Final

__all__ = ["MEANINGS", "ExitCode"]


class ExitCode(IntEnum):
    """How a command ended."""

    OK = 0
    FINDINGS = 1
    USAGE = 2
    INVALID = 3
    UNREACHABLE = 4
    TIMEOUT = 5
    INTERRUPTED = 130


MEANINGS: Final = MappingProxyType(
    {
        ExitCode.OK: "All is well, or the answer is yes.",
        ExitCode.FINDINGS: (
            "There are findings, or the answer is no: a check failed, a generated file is out of "
            "date, a change is breaking, an event is unknown, a device refused."
        ),
        ExitCode.USAGE: "The command was called wrongly; nothing was done.",
        ExitCode.INVALID: (
            "A catalog, a schema or the configuration is invalid, or an extra that the command "
            "needs is not installed."
        ),
        ExitCode.UNREACHABLE: "A file cannot be read or written, or a target cannot be reached.",
        ExitCode.TIMEOUT: "It took longer than it was allowed to.",
        ExitCode.INTERRUPTED: "Interrupted from the keyboard.",
    }
)
"""What each code means, as the reference says it."""
