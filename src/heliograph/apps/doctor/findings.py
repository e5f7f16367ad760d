# SPDX-License-Identifier: Apache-2.0
"""What the doctor finds."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias

__all__ = ["Finding", "Status", "one_line"]

Status: TypeAlias = Literal["ok", "absent", "failed"]
"""`absent` is what may be missing: an extra that nobody may need."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        topic: What it belongs to: `python`, `package`, `extra`, `file`, `state`, `collector`,
            `certificate`, `device`, `peer` or `port`.
        subject: What it is.
        status: How it is.
        text: What was found, in a line.
        mend: What to do about it; empty if there is nothing to be done.
    """

    topic: str
    subject: str
    status: Status
    text: str
    mend: str = ""

    def document(self) -> dict[str, Any]:
        """It as plain data."""
        return asdict(self)


def one_line(error: BaseException) -> str:
    """What an exception says, in one line."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    said = " ".join(str(error).split())
    return said or type(error).__name__
