# SPDX-License-Identifier: Apache-2.0
"""When a failed request is tried again, and after which pause."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from heliograph.modboss.errors import DeviceError, OptionError, shown

if TYPE_CHECKING:
    from collections.abc import Awaitable

__all__ = ["RetryPolicy"]

RetryOn: TypeAlias = (
    type[DeviceError] | tuple[type[DeviceError], ...] | Callable[[DeviceError], object]
)


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often a request is made at most, after which errors again, and after which pauses.

        RetryPolicy(attempts=5, first_pause=0.2, retry_on=lambda error: error.reason == "busy")

    The pause before the second attempt is `first_pause`, each further one `factor` times the one
    before it, none longer than `longest_pause`. Of each pause a random part is left out, at most
    the share `jitter`, so that clients that failed together do not come back together. Each batch
    of an operation has all the attempts for itself.

    Raises:
        OptionError: A value is none that the option can have.
    """

    attempts: int = 3
    """How often a request is made at most, from 1."""
    first_pause: float = 0.1
    """Seconds between the first and the second attempt; 0 for no pauses at all."""
    factor: float = 2.0
    """What each pause is multiplied by to give the next one, from 1."""
    longest_pause: float = 5.0
    """Seconds that a pause takes at most."""
    jitter: float = 0.5
    """The share of a pause that may be left out at random, from 0 to 1."""
    retry_on: RetryOn = DeviceError
    """After which errors: classes, or a function that says it of an error. An error that is no
    `DeviceError` is never followed by another attempt."""
    sleep: Callable[[float], Awaitable[object] | None] | None = None
    """Takes seconds and lets them pass; an operation on coroutines awaits what it returns. By
    default `time.sleep`, or that of asyncio or trio, whichever the coroutine runs in."""
    random: Callable[[], float] = random.random  # noqa: S311 - jitter is no secret
    """Gives numbers from 0 up to 1, for the jitter."""

    def __post_init__(self) -> None:
        if type(self.attempts) is not int or self.attempts < 1:
            self._refuse("attempts", "an integer from 1")
        self._check("first_pause", 0.0)
        self._check("longest_pause", 0.0)
        self._check("factor", 1.0)
        self._check("jitter", 0.0, 1.0)

    def _check(self, option: str, lowest: float, highest: float = math.inf) -> None:
        value = getattr(self, option)
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not (number and lowest <= value <= highest and value < math.inf):
            bound = f"from {lowest:g}" + (f" to {highest:g}" if highest < math.inf else "")
            self._refuse(option, f"a number {bound}")

    def _refuse(self, option: str, wanted: str) -> None:
        value = shown(getattr(self, option))
        raise OptionError(f"{option} of a RetryPolicy is {value}; it must be {wanted}")

    def retries(self, error: DeviceError) -> bool:
        """Say whether a request that failed with this error is made again."""
        wanted = self.retry_on
        if isinstance(wanted, type | tuple):
            return isinstance(error, wanted)
        return bool(wanted(error))

    def pause(self, attempt: int) -> float:
        """Give the seconds to wait after an attempt that failed, counted from 1."""
        try:
            pause = self.first_pause * self.factor ** (attempt - 1)
        except OverflowError:
            pause = self.longest_pause
        return min(pause, self.longest_pause) * (1 - self.jitter * self.random())
