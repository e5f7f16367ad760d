# SPDX-License-Identifier: Apache-2.0
"""The options of operations, checked: whatever is wrong is said before anything happens."""

from __future__ import annotations

from collections.abc import Mapping as MappingOf
from typing import TYPE_CHECKING, Any, Literal, NoReturn, TypeAlias

from heliograph.modboss.errors import OptionError, shown
from heliograph.modboss.mapping import OBJECT_TYPES
from heliograph.modboss.refusals import Refusals
from heliograph.modboss.retrying import RetryPolicy

if TYPE_CHECKING:
    from collections.abc import Sequence

    from heliograph.modboss.mapping import ObjectType


__all__ = [
    "Gaps",
    "MaxGap",
    "OnRefusal",
    "check_attempts",
    "check_boolean",
    "check_context",
    "check_gaps",
    "check_refusals",
]

MaxGap: TypeAlias = "int | MappingOf[ObjectType, int] | Sequence[tuple[ObjectType, int]] | None"
"""How many addresses a bridged gap has at most: of all types, or by type."""

OnRefusal: TypeAlias = Literal["raise", "split"]
"""What follows when a device refuses a block."""

Gaps: TypeAlias = "int | tuple[int, ...]"
"""A checked `max_gap`: of all types, or of each type in the order of `OBJECT_TYPES`."""


def check_gaps(max_gap: Any) -> Gaps:
    """Return a `max_gap` as a key of plans."""
    if max_gap is None:
        return 0
    if isinstance(max_gap, list | tuple):
        try:
            max_gap = dict(max_gap)
        except (TypeError, ValueError):
            _refuse_gap(f"max_gap is {shown(max_gap)}; a list must be of pairs, type and gap")
    if isinstance(max_gap, MappingOf):
        unknown = [each for each in max_gap if each not in OBJECT_TYPES]
        if unknown:
            types, listed = ", ".join(OBJECT_TYPES), ", ".join(map(shown, unknown))
            _refuse_gap(f"max_gap has unknown object types: {listed}; there are: {types}")
        for object_type, gap in max_gap.items():
            if not _whole(gap, 0):
                _refuse_gap(
                    f"max_gap of {object_type} is {shown(gap)}; it must be an integer from 0"
                )
        return tuple([max_gap.get(each, 0) for each in OBJECT_TYPES])
    if not _whole(max_gap, 0):
        _refuse_gap(
            f"max_gap is {shown(max_gap)}; it must be an integer from 0, or one for each object "
            "type, such as {'holding_register': 8}"
        )
    return int(max_gap)


def check_attempts(max_attempts: Any, retry: Any) -> int:
    """Return how often a request may be made."""
    if not _whole(max_attempts, 1):
        raise OptionError(
            f"max_attempts is {shown(max_attempts)}; it must be an integer from 1",
            options=("max_attempts",),
        )
    if retry is None:
        return int(max_attempts)
    if not isinstance(retry, RetryPolicy):
        raise OptionError(
            f"retry is {shown(retry)}; it must be a RetryPolicy or None", options=("retry",)
        )
    if max_attempts != 1:
        raise OptionError(
            "both max_attempts and retry are given; a RetryPolicy has its own attempts",
            options=("max_attempts", "retry"),
        )
    return retry.attempts


def check_context(context: Any) -> None:
    """Refuse a context that is no mapping."""
    if not isinstance(context, MappingOf):
        raise OptionError(
            f"context is {shown(context)}; it must be a mapping, such as a dict",
            options=("context",),
        )


def check_boolean(option: str, value: Any) -> None:
    """Refuse what is neither True nor False."""
    if not isinstance(value, bool):
        raise OptionError(
            f"{option} is {shown(value)}; it must be True or False", options=(option,)
        )


def check_refusals(on_refusal: Any, refusals: Any) -> None:
    """Refuse an unknown reaction to refusals, or a memory that nothing would be put into."""
    if on_refusal not in ("raise", "split"):
        raise OptionError(
            f"on_refusal is {shown(on_refusal)}; it must be 'raise' or 'split'",
            options=("on_refusal",),
        )
    if refusals is None:
        return
    if not isinstance(refusals, Refusals):
        raise OptionError(
            f"refusals is {shown(refusals)}; it must be a Refusals or None", options=("refusals",)
        )
    if on_refusal == "raise":
        raise OptionError(
            "refusals are remembered with on_refusal='split' only", options=("refusals",)
        )


def _whole(value: Any, lowest: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= lowest


def _refuse_gap(text: str) -> NoReturn:
    raise OptionError(text, "invalid_max_gap", ("max_gap",))
