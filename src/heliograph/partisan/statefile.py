# SPDX-License-Identifier: Apache-2.0
"""The file that keeps a node's membership over restarts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import anyio

from heliograph.partisan.wire import decode, encode

if TYPE_CHECKING:
    from heliograph.partisan.waiting import MakeWaiter, Waiter
    from heliograph.partisan.wire import Term

__all__ = ["StateFile"]


class StateFile:
    """Keeps the newest state; a file that is read holds one whole state, never a part.

    Args:
        path: The file.

    Attributes:
        busy: Whether a state is being written, or waits for it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._unsaved: Term = None
        self._waiting: list[Waiter] = []
        self.busy: bool = False

    def load(self) -> Term:
        """Return what was kept; None if there is no file.

        Raises:
            OSError: It cannot be read.
            DecodeError: It is something else.
        """
        return decode(self._path.read_bytes()) if self._path.exists() else None

    def keep(self, state: Term) -> bool:
        """Note a state; tell whether a task has to be started that writes it."""
        self._unsaved = state
        start = not self.busy
        self.busy = True
        return start

    async def write(self) -> None:
        """Write the newest state until there is none that was not written."""
        path = anyio.Path(self._path)
        new = path.with_name(path.name + ".new")
        try:
            with anyio.CancelScope(shield=True):
                while self._unsaved is not None:
                    state, self._unsaved = self._unsaved, None
                    await new.write_bytes(encode(state))
                    await new.replace(path)
        finally:
            self.busy = False
            waiting, self._waiting = self._waiting, []
            for waiter in waiting:
                waiter.set()

    async def saved(self, make_waiter: MakeWaiter) -> None:
        """Wait until nothing is left to be written."""
        while self.busy:
            waiter = make_waiter()
            self._waiting.append(waiter)
            await waiter.wait()
