# SPDX-License-Identifier: Apache-2.0
"""How much of what a peer sends is taken in."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Final

__all__ = ["DEFAULT_LIMITS", "Limits"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a term may take; beyond it there is a `DecodeError`. All defaults are our choice.

    Raises:
        ValueError: A limit below 1, or a depth beyond 256: Python's stack is good for no more.
    """

    depth: int = 128
    """How deep tuples, lists, maps may nest. A list as the tail of a list does not count."""
    elements: int = 4 * 1024 * 1024
    """Elements, keys, values and characters of all tuples, lists, maps and strings together. In
    memory they take up to some 70 times their bytes in the frame, so that this is the bound that
    counts: 300 MiB or so with the default."""
    inflated: int = 64 * 1024 * 1024
    """Bytes of a compressed term when inflated."""
    integer: int = 512 * 1024
    """Bytes of one integer. Erlang's own limit is of that order."""

    def __post_init__(self) -> None:
        for each in fields(self):
            if getattr(self, each.name) < 1:
                raise ValueError(f"the limit {each.name} must be at least 1")
        if self.depth > 256:
            raise ValueError(f"terms may nest 256 deep at most, not {self.depth}")


DEFAULT_LIMITS: Final = Limits()
