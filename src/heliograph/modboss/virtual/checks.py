# SPDX-License-Identifier: Apache-2.0
"""What is refused before it can be served."""

from __future__ import annotations

__all__ = ["check_integer"]


def check_integer(what: str, value: object, least: int, most: int) -> int:
    """Return `value` if it is an integer within both bounds.

    Raises:
        ValueError: It is not.
    """
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise ValueError(
            f"{what} {value!r} is out of range; give an integer from {least} to {most}"
        )
    return value
