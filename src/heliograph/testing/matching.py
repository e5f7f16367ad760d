# SPDX-License-Identifier: Apache-2.0
"""Which captured events are meant, and what to say when none of them is."""

from __future__ import annotations

import reprlib
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from heliograph._checks import EventNameError, check_name

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from heliograph.stream import Snapshot

__all__ = ["Expectation", "listing", "matcher"]

# Our choice: what a screen holds. Values are cut too, so that one of them can't bury the others.
LISTED_EVENTS: Final = 20
LISTED_NAMES: Final = 8

_short = reprlib.Repr()
_short.maxstring = _short.maxother = _short.maxlong = 120
_short.maxdict = _short.maxlist = _short.maxtuple = _short.maxset = 12


def matcher(pattern: str) -> Callable[[str], bool]:
    """Return what tells whether an event's name matches: `*` is a segment, `**` any number.

    Raises:
        EventNameError: The pattern is malformed, so that it could never match.
        TypeError: The pattern is no string.
    """
    if not isinstance(pattern, str):
        raise TypeError(f"pattern {pattern!r} is not a string; write 'shop.order.*'")
    return _matcher(pattern)


@lru_cache(maxsize=256)
def _matcher(pattern: str) -> Callable[[str], bool]:
    try:
        check_name(pattern.replace("*", "x"))  # the stars stand for letters
    except EventNameError:
        raise EventNameError(
            f"pattern {pattern!r} can match no event: it must be segments of a-z, 0-9, _ and *, "
            "joined by dots, such as 'shop.order.*'"
        ) from None
    if "*" not in pattern:
        return pattern.__eq__
    from heliograph.catalog.patterns import compile_pattern  # slow to import, and seldom needed

    fullmatch = compile_pattern(pattern).fullmatch
    return lambda name: fullmatch(f"{name}.") is not None


class Expectation:
    """An event by its name's pattern and what it must carry; a class stands for its instances."""

    def __init__(
        self,
        pattern: str,
        measurements: Mapping[str, Any] | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> None:
        self.pattern = pattern
        self.named: Callable[[str], bool] = matcher(pattern)
        self._parts = {"measurements": measurements or {}, "metadata": metadata or {}}

    def met_by(self, snapshot: Snapshot) -> bool:
        """Tell whether this is such an event."""
        return self.named(snapshot.event) and not self._differences(snapshot)

    def _differences(self, snapshot: Snapshot) -> list[str]:
        found = []
        for part, expected in self._parts.items():
            actual: Mapping[str, Any] = getattr(snapshot, part)
            for key, wanted in expected.items():
                if key not in actual:
                    has = ", ".join(map(str, actual)) or "nothing"
                    found.append(f"{part}.{key}: expected {_show(wanted)}; it has {has}")
                elif not _equal(wanted, actual[key]):
                    got = _short.repr(actual[key])
                    found.append(f"{part}.{key}: expected {_show(wanted)}, got {got}")
        return found

    def unmet(self, snapshots: Sequence[Snapshot], within: str = "") -> str:
        """Say what was expected, what came nearest, and what was captured.

        Args:
            snapshots: All that was captured; none of them meets the expectation.
            within: How long was waited, for the first line, such as ` within 5 s`.
        """
        named = [(n, each) for n, each in enumerate(snapshots) if self.named(each.event)]
        if not named:
            lines = [f"no {self.pattern!r} was captured{within}{_suggest(self.pattern, snapshots)}"]
        else:
            lines = [f"no {self.pattern!r} with what is expected was captured{within}"]
            # The fewest differences are nearest; of equals the latest.
            differences = [self._differences(each) for _, each in named]
            fewest = min(map(len, differences))
            nearest = max(n for n, found in enumerate(differences) if len(found) == fewest)
            lines.append(f"the nearest is {named[nearest][0]}, {named[nearest][1].event}:")
            lines += [f"  {line}" for line in differences[nearest]]
        return "\n".join([*lines, listing(snapshots)])


def listing(snapshots: Sequence[Snapshot]) -> str:
    """List events with their position and what they carry, the latest if there are many."""
    if not snapshots:
        return "captured: nothing"
    total = len(snapshots)
    first = max(0, total - LISTED_EVENTS)
    lines = [f"captured: {total} event{'s' * (total != 1)}"]
    if first:
        lines[0] += f", the last {LISTED_EVENTS} of them"
    for number, each in enumerate(snapshots[first:], first):
        measurements, metadata = _short.repr(each.measurements), _short.repr(each.metadata)
        lines.append(f"  {number}  {each.event}  {measurements}  {metadata}")
    return "\n".join(lines)


def _equal(wanted: Any, got: Any) -> bool:
    return bool(wanted == got) or (isinstance(wanted, type) and isinstance(got, wanted))


def _show(wanted: Any) -> str:
    if isinstance(wanted, type):
        return f"an instance of {wanted.__qualname__}"
    return _short.repr(wanted)


def _suggest(pattern: str, snapshots: Sequence[Snapshot]) -> str:
    """Offer a captured name that looks like the one expected."""
    from heliograph.catalog.errors import did_you_mean  # as above

    near = did_you_mean(pattern, dict.fromkeys(each.event for each in snapshots))
    return f"; {near}" if near else ""
