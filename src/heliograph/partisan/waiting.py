# SPDX-License-Identifier: Apache-2.0
"""How a task waits for another one, cheaply: a future on asyncio, an anyio event elsewhere."""

from __future__ import annotations

import asyncio
from typing import Protocol

import anyio

__all__ = ["MakeWaiter", "Waiter", "waiter_factory"]


class Waiter(Protocol):
    """Something one task waits for, once."""

    def set(self) -> None:
        """Let the task go on; setting twice is setting once."""

    async def wait(self) -> object:
        """Wait until it is set."""


class MakeWaiter(Protocol):
    """Makes waiters for the event loop that runs."""

    def __call__(self) -> Waiter:
        """Make one."""


class _Future:
    """A waiter on asyncio. Half the price of an event, which wakes any number of tasks."""

    __slots__ = ("_future",)

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._future: asyncio.Future[None] = loop.create_future()

    def set(self) -> None:
        if not self._future.done():
            self._future.set_result(None)

    async def wait(self) -> object:
        await self._future
        return None


def waiter_factory() -> MakeWaiter:
    """Say how waiters are made in the event loop that runs now."""
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return anyio.Event
    return lambda: _Future(loop)
