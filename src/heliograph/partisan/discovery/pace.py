# SPDX-License-Identifier: Apache-2.0
"""How often sources are asked: settings, and the pauses that follow from them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from random import Random

__all__ = ["DiscoveryConfig", "Pace"]

_LARGEST_EXPONENT: Final = 32  # of the pause's doubling; the interval is reached long before


@dataclass(frozen=True, slots=True)
class DiscoveryConfig:
    """Pace and bounds of discovery. Times are in seconds.

    Raises:
        ValueError: A value is out of range.
    """

    interval: float = 60.0
    """Between two looks at a source once all is well; `polling_interval` of the original."""
    backoff: float = 1.0
    """Before the second look if the first failed, or has led to nobody; it doubles each time up to
    the interval. Our choice, the original has none."""
    jitter: float = 0.2
    """Part of each pause that is left to chance, 0 to 1; our choice, lest all nodes ask at once."""
    timeout: float = 5.0
    """What one look, one question for a name or one join may take; `timeout` of the original."""
    found: int = 1_024
    """Addresses of one look that are considered, drawn by lot if there are more; our choice."""
    at_once: int = 8
    """Nodes that are asked for their names at a time; our choice. They are joined one by one."""

    def __post_init__(self) -> None:
        for name in ("interval", "backoff", "timeout", "found", "at_once"):
            value = getattr(self, name)
            if not value > 0:
                raise ValueError(f"{name} of discovery is {value}; it must be above 0")
        if not 0 <= self.jitter <= 1:
            raise ValueError(f"jitter of discovery is {self.jitter}; it must be from 0 to 1")


class Pace:
    """The pauses between looks at one source.

    Args:
        config: Settings.
        random: Source of chance.
    """

    def __init__(self, config: DiscoveryConfig, random: Random) -> None:
        self._config = config
        self._random = random
        self._vain = 0

    def after(self, *, well: bool) -> float:
        """Return the seconds until the next look.

        Args:
            well: Whether the source has answered and this node knows others.
        """
        config = self._config
        if well:
            self._vain = 0
            pause = config.interval
        else:
            factor = 1 << min(self._vain, _LARGEST_EXPONENT)
            pause = min(config.backoff * factor, config.interval)
            self._vain += 1
        return pause * (1 - config.jitter * self._random.random())
