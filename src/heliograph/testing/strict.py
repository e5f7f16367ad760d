# SPDX-License-Identifier: Apache-2.0
"""Holds every emitted event to its catalog, and knows which test emitted it, and from where."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from types import FrameType

    from heliograph.catalog import Catalog

__all__ = ["Findings", "Watch", "emitter"]

# Our choice: an emitter that makes up names must end somewhere, and nobody reads more in one go.
MAX_FINDINGS: Final = 1000
MAX_LISTED: Final = 30

# Whoever executes an event is found above these in the stack.
_OURS: Final = frozenset({"heliograph.telemetry", "heliograph.spans", "heliograph._decorate"})


@dataclass(frozen=True, slots=True)
class _Finding:
    event: str
    problems: tuple[str, ...]
    place: str


@dataclass(slots=True)
class Findings:
    """What broke its catalog's promise during one test, or outside of all tests.

    Emitters add to it from any thread without a lock. Of two that add the same at the same moment
    one may go uncounted; it is there nevertheless.
    """

    found: dict[_Finding, int] = field(default_factory=dict)

    def add(self, event: str, problems: Iterable[str], place: str) -> None:
        """Note one emission."""
        finding = _Finding(event, tuple(problems), place)
        if finding in self.found or len(self.found) < MAX_FINDINGS:
            self.found[finding] = self.found.get(finding, 0) + 1

    def take(self, lenient: Sequence[Callable[[str], bool]] = ()) -> str:
        """Return what was found as text, and forget it; empty if all was well.

        Args:
            lenient: What tell of an event's name that it may be anything.
        """
        found, self.found = self.found, {}
        counted = [
            (finding, times)
            for finding, times in found.items()
            if not any(allows(finding.event) for allows in lenient)
        ]
        if not counted:
            return ""
        lines = ["emitted, but not as catalogued:"]
        for finding, times in counted[:MAX_LISTED]:
            often = f" ({times} times)" if times > 1 else ""
            lines.append(f"{finding.event}, emitted at {finding.place}{often}")
            lines += [f"  {problem}" for problem in finding.problems]
        if len(counted) > MAX_LISTED:
            lines.append(f"and {len(counted) - MAX_LISTED} more")
        return "\n".join(lines)


class Watch:
    """Observes a run of tests.

    Args:
        catalog: What is known.
        strict: Whether events are checked; the names emitted are noted in any case.
        root: The folder that places are given relative to.

    Attributes:
        emitted: The catalogued names emitted so far.
        outside: What was found while no test ran.
        current: What was found in the test that is running; it may be of any thread.
    """

    def __init__(self, catalog: Catalog, *, strict: bool, root: Path) -> None:
        self.emitted: set[str] = set()
        self.outside: Findings = Findings()
        self.current: Findings | None = None
        self._catalog = catalog
        self._strict = strict
        self._root = root

    def see(self, event: str, measurements: Mapping[str, Any], metadata: Mapping[str, Any]) -> None:
        """Observe one event."""
        if event in self._catalog.events:
            self.emitted.add(event)
        if not self._strict:
            return
        try:
            violations = self._catalog.check(event, measurements, metadata)
        except Exception as failure:  # noqa: BLE001 - a mapping or value of any class may raise anything
            problems = [f"can't be checked: {type(failure).__name__}: {failure}"]
        else:
            if not violations:
                return
            problems = [str(violation) for violation in violations]
        declared = self._catalog.events.get(event)
        if declared is not None and declared.where is not None:
            problems.append(
                f"declared at {self.shorten(declared.where.file)}:{declared.where.line}"
            )
        findings = self.outside if self.current is None else self.current
        findings.add(event, problems, self._place())

    def _place(self) -> str:
        frame = emitter()
        place = frame and f"{self.shorten(frame.f_code.co_filename)}:{frame.f_lineno}"
        return place or "an unknown place"

    def shorten(self, file: str) -> str:
        """Return a file's path relative to the root, if it lies below."""
        path = Path(file)
        return str(path.relative_to(self._root)) if path.is_relative_to(self._root) else file


def emitter() -> FrameType | None:
    """Return the frame that executes the event being observed; None if it is no Python function."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and _is_ours(frame.f_globals.get("__name__", "")):
        frame = frame.f_back
    return frame


def _is_ours(module: str) -> bool:
    return module in _OURS or module.startswith("heliograph.testing.")
