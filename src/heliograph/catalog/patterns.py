# SPDX-License-Identifier: Apache-2.0
"""Patterns over event names.

A name matches itself. `*` stands for one whole segment, or for any part of one (`queue_*`); `**`
stands for any number of segments, none included. So `modboss.*.stop` is the stop of every modboss
operation, and `partisan.membership.**` whatever begins with that.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from heliograph.catalog.errors import did_you_mean, listing

if TYPE_CHECKING:
    from collections.abc import Collection

__all__ = ["compile_pattern", "is_glob", "suggest"]


def is_glob(pattern: str) -> bool:
    """Whether a pattern stands for more than one name."""
    return "*" in pattern


def compile_pattern(pattern: str) -> re.Pattern[str]:
    """What fully matches `NAME.`, with the dot at its end, for each name that `pattern` matches."""
    parts: list[str] = []
    for segment in pattern.split("."):
        if segment == "**":
            # Two in a row mean what one means, and would take a regular expression for ever.
            if parts[-1:] != [_ANY]:
                parts.append(_ANY)
        elif segment == "*":
            parts.append(r"[^.]+\.")
        else:
            literals = re.split(r"\*+", segment)
            parts.append("[^.]*".join(map(re.escape, literals)) + r"\.")
    return re.compile("".join(parts))


_ANY = r"(?:[^.]+\.)*"


def suggest(pattern: str, names: Collection[str]) -> str:
    """What to try in place of a pattern that matches none of the names."""
    if not names:
        return "the catalog has no events"
    segments = pattern.split(".")
    reached: list[str] = list(names)
    depth = 0
    # How far does the pattern lead before it leaves all names behind?
    while depth < len(segments) and segments[depth] != "**":
        begins = compile_pattern(".".join([*segments[: depth + 1], "**"]))
        further = [name for name in reached if begins.fullmatch(f"{name}.")]
        if not further:
            break
        reached = further
        depth += 1
    if depth == len(segments):
        return f"did you mean {f'{pattern}.**'!r}?"
    if not is_glob(pattern) and (near := did_you_mean(pattern, names)):
        return near
    begun = ".".join(segments[:depth])
    following = dict.fromkeys(
        name.split(".")[depth] for name in reached if name.count(".") >= depth
    )
    near = did_you_mean(segments[depth], following)
    if near:
        return f"at {segments[depth]!r}: {near}"
    if not following:
        return f"nothing is below {begun!r}"
    listed = listing(following)
    return f"below {begun!r} are {listed}" if begun else f"names begin with {listed}"
