# SPDX-License-Identifier: Apache-2.0
"""Values that change by themselves: by time, or with each read."""

from __future__ import annotations

import inspect
import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Script", "ramp", "sine", "steps"]


class Script:
    """A value as a function of the time served and of how often it was read."""

    __slots__ = ("_function", "_text")

    def __init__(self, function: Callable[[float, int], Any], text: str) -> None:
        """Args: a function of the seconds served and the reads so far; what to call it."""
        self._function = function
        self._text = text

    def at(self, seconds: float, reads: int) -> Any:
        """The value then."""
        return self._function(seconds, reads)

    def __repr__(self) -> str:
        return self._text

    @classmethod
    def of(cls, value: object) -> Script | None:
        """The script that `value` is, None if it is a plain value.

        A callable is one: a function of the seconds served, or of nothing.
        """
        if isinstance(value, Script):
            return value
        if not callable(value) or isinstance(value, type):
            return None
        function: Callable[..., Any] = value
        if inspect.signature(function).parameters:
            return cls(lambda seconds, _reads: function(seconds), repr(function))
        return cls(lambda _seconds, _reads: function(), repr(function))


def ramp(start: float, stop: float, seconds: float, *, repeat: bool = False) -> Script:
    """A value that goes evenly from `start` to `stop` within `seconds`, and stays there.

    Args:
        start: The value when the device begins to serve.
        stop: The value at the end.
        seconds: How long it takes.
        repeat: Whether it then begins again.
    """
    if not seconds > 0:
        raise ValueError(f"ramp: seconds {seconds!r} is not above 0; give the time it takes")

    def value(now: float, _reads: int) -> float:
        done = now % seconds / seconds if repeat else min(now / seconds, 1.0)
        return start + (stop - start) * done

    return Script(value, f"ramp({start!r}, {stop!r}, {seconds!r})")


def sine(mean: float, amplitude: float, period: float, *, phase: float = 0.0) -> Script:
    """A value that swings around `mean`, at the mean and rising when the device begins to serve.

    Args:
        mean: The middle.
        amplitude: How far it goes up and down from there.
        period: The seconds of one swing.
        phase: The seconds by which it is ahead.
    """
    if not period > 0:
        raise ValueError(f"sine: period {period!r} is not above 0; give the seconds of one swing")

    def value(now: float, _reads: int) -> float:
        return mean + amplitude * math.sin(2 * math.pi * (now + phase) / period)

    return Script(value, f"sine({mean!r}, {amplitude!r}, {period!r})")


def steps(*values: Any, cycle: bool = False) -> Script:
    """A value that takes the next of `values` with each read, and stays at the last.

    Args:
        values: The values, at least one.
        cycle: Whether it begins again after the last.
    """
    if not values:
        raise ValueError("steps: no values; give at least one")

    def value(_now: float, reads: int) -> Any:
        return values[reads % len(values) if cycle else min(reads, len(values) - 1)]

    return Script(value, f"steps({', '.join(map(repr, values))})")
