# SPDX-License-Identifier: Apache-2.0
"""How a task of asyncio or trio waits for what another thread does; neither is imported here."""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

__all__ = ["pause", "running", "signal"]


def running() -> tuple[str, Any]:
    """Return the name and the module of the library whose task this is."""
    # Who has not imported a library can't be running in it. Trio first: as a guest of asyncio it
    # has tasks in whose steps asyncio's loop is running, too.
    trio: Any = sys.modules.get("trio")
    if trio is not None:
        try:
            trio.lowlevel.current_task()
        except RuntimeError:
            pass
        else:
            return "trio", trio
    asyncio: Any = sys.modules.get("asyncio")
    if asyncio is not None and asyncio._get_running_loop() is not None:
        return "asyncio", asyncio
    raise RuntimeError("this waits in a task of asyncio or trio, and neither is running here")


async def pause() -> None:
    """Let other tasks run, and be cancelled if this one is."""
    name, library = running()
    await (library.lowlevel.checkpoint() if name == "trio" else library.sleep(0))


def signal() -> tuple[Callable[[], Awaitable[object]], Callable[[], None]]:
    """Return what waits, in this task, and what ends the waiting, from any thread."""
    name, library = running()
    if name == "trio":
        event = library.Event()
        token = library.lowlevel.current_trio_token()

        def wake_trio() -> None:
            with suppress(library.RunFinishedError):  # nobody waits there any more
                token.run_sync_soon(event.set)

        return event.wait, wake_trio

    loop = library.get_running_loop()
    future = loop.create_future()

    def arrive() -> None:
        if not future.done():
            future.set_result(None)

    def wake_asyncio() -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody waits there any more
            loop.call_soon_threadsafe(arrive)

    return lambda: future, wake_asyncio
