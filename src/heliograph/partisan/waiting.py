# SPDX-License-Identifier: Apache-2.0
"""How a task waits for another one, cheaply: a future on asyncio, an anyio event elsewhere."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Protocol, Self

import anyio

if TYPE_CHECKING:
    from collections.abc import Awaitable

__all__ = ["MakeWaiter", "Waiter", "waiter_factory"]


class Waiter(Protocol):
    """Something one task waits for, once."""

    def set(self) -> None:
        """Let the task go on; setting twice is setting once."""

    def wait(self) -> Awaitable[object]:
        """Return what to await until it is set."""


class MakeWaiter(Protocol):
    """Makes waiters for the event loop that runs."""

    def __call__(self) -> Waiter:
        """Make one."""


class _Future(asyncio.Future[None]):
    """A waiter on asyncio. Half the price of an event, which wakes any number of tasks."""

    def set(self) -> None:
        if not self.done():
            self.set_result(None)

    def wait(self) -> Self:
        return self


def waiter_factory() -> MakeWaiter:
    """Say how waiters are made in the event loop that runs now."""
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return anyio.Event
    return partial(_Future, loop=loop)
