# SPDX-License-Identifier: Apache-2.0
"""The file that keeps a node's membership over restarts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import anyio

from heliograph.partisan.errors import DecodeError, StateError
from heliograph.partisan.protocol.membership import MembershipState
from heliograph.partisan.wire import decode, encode

if TYPE_CHECKING:
    from collections.abc import Callable

    from heliograph.partisan.waiting import MakeWaiter, Waiter
    from heliograph.partisan.wire import Term

__all__ = ["StateFile"]


_RETRY: Final = 5.0  # seconds; a disk that is full is not so for long, or for very long


class StateFile:
    """Keeps the newest state; a file that is read holds one whole state, never a part.

    Args:
        path: The file.
        failed: Called with each failure to write it.

    Attributes:
        busy: Whether a state is being written, or waits for it.
        failure: Why the newest state is not on disk; None if it is, or is being written.
    """

    def __init__(self, path: Path, failed: Callable[[OSError], object] = lambda _: None) -> None:
        self._path = path
        self._failed = failed
        self.failure: OSError | None = None
        self._unsaved: Term = None
        self._waiting: list[Waiter] = []
        self.busy: bool = False

    def load(self) -> Term:
        """Return what was kept; None if there is no file.

        Raises:
            OSError: It cannot be read.
            StateError: It is something else.
        """
        if not self._path.exists():
            return None
        content = self._path.read_bytes()
        try:
            state = decode(content)
            MembershipState.parse(state)
        except (DecodeError, StateError) as error:
            raise StateError(
                f"{self._path} keeps no membership, remove it to begin anew; {error.reason}",
                error.term if isinstance(error, StateError) else content,
            ) from error
        return state

    def keep(self, state: Term) -> bool:
        """Note a state; tell whether a task has to be started that writes it."""
        self._unsaved = state
        start = not self.busy
        self.busy = True
        return start

    async def write(self) -> None:
        """Write the newest state until there is none that was not written.

        A state that cannot be written is tried again, or the one that has come meanwhile.
        """
        try:
            while self._unsaved is not None:
                state, self._unsaved = self._unsaved, None
                try:
                    with anyio.CancelScope(shield=True):
                        await self._write(state)
                except OSError as error:
                    self._unsaved = self._newest(state)
                    self.failure = error
                    self._failed(error)
                    self._release()
                    await anyio.sleep(_RETRY)
                else:
                    self.failure = None
        finally:
            self.busy = False
            self._release()

    async def _write(self, state: Term) -> None:
        path = anyio.Path(self._path)
        new = path.with_name(path.name + ".new")
        await new.write_bytes(encode(state))
        await new.replace(path)

    def _newest(self, state: Term) -> Term:
        """The state that was noted while another was being written, or that one."""
        return state if self._unsaved is None else self._unsaved

    def _release(self) -> None:
        waiting, self._waiting = self._waiting, []
        for waiter in waiting:
            waiter.set()

    async def saved(self, make_waiter: MakeWaiter) -> None:
        """Wait until nothing is left to be written, or it cannot be."""
        while self.busy and self.failure is None:
            waiter = make_waiter()
            self._waiting.append(waiter)
            await waiter.wait()
