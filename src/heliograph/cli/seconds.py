# SPDX-License-Identifier: Apache-2.0
"""Times that options take."""

from __future__ import annotations

import math
from typing import Any, Final

import click

__all__ = ["Seconds"]

_MOST: Final = 1e9


class Seconds(click.FloatRange):
    """A number of seconds above a bound, or from it on; never `nan`, which no range excludes.

    Args:
        least: The bound.
        itself: Whether the bound itself is taken.
    """

    def __init__(self, least: float = 0.0, *, itself: bool = False) -> None:
        super().__init__(min=least, max=_MOST, min_open=not itself)

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Read it, or say why it cannot be one."""
        found: float = super().convert(value, param, ctx)
        if math.isnan(found):
            self.fail(f"{value!r} is no number of seconds.", param, ctx)
        return found
