# SPDX-License-Identifier: Apache-2.0
"""One thread with a loop of asyncio, in which devices without a loop of their own are reached.

A thread of our own, rather than pymodbus' synchronous client, because links are then the same:
shared by units, one request at a time, with the same events, and a request whose caller is
interrupted leaves them in order.
"""

from __future__ import annotations

import asyncio
import os
import threading
from typing import TYPE_CHECKING, Any, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import Coroutine

__all__ = ["THREAD_NAME", "run"]

THREAD_NAME: Final = "heliograph.modboss"

_T = TypeVar("_T")


class _LoopThread:
    """The thread, started when it is first needed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None

    def loop(self) -> asyncio.AbstractEventLoop:
        """Give its loop, which runs."""
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                threading.Thread(
                    target=self._loop.run_forever, name=THREAD_NAME, daemon=True
                ).start()
            return self._loop

    def forget(
        self,
    ) -> None:  # pragma: no cover - in the child of a fork
        """Begin anew: the thread has stayed with the parent, and its links say so."""
        self._lock = threading.Lock()
        self._loop = None


_thread: Final = _LoopThread()
if hasattr(os, "register_at_fork"):  # pragma: no branch - absent on Windows only
    os.register_at_fork(after_in_child=_thread.forget)


def run(coroutine: Coroutine[Any, Any, _T]) -> _T:
    """Run a coroutine in the thread, and wait for what it returns.

    Whatever ends the waiting, such as a `KeyboardInterrupt`, cancels it.

    Raises:
        RuntimeError: A loop runs in the calling thread, which waiting would hold up.
    """
    if asyncio._get_running_loop() is not None:
        coroutine.close()
        raise RuntimeError(
            "a Device would hold up the loop that runs here; use an AsyncDevice, or call it in "
            "another thread, with asyncio.to_thread"
        )
    future = asyncio.run_coroutine_threadsafe(coroutine, _thread.loop())
    try:
        return future.result()
    except BaseException:
        future.cancel()
        raise
