# SPDX-License-Identifier: Apache-2.0
"""A serial line without hardware: two pseudo-terminals, each passing on what the other is sent."""

from __future__ import annotations

import contextlib
import os
import selectors
import threading
import tty
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["Line"]

# More than the longest Modbus frame, which is an ASCII one of 513 characters.
_CHUNK = 4096


class Line:
    """Two ends of one line, each a path that any serial program can open.

    Baud rates and parity are accepted and mean nothing, as on all pseudo-terminals. It needs an
    operating system that has them: Linux or another Unix.
    """

    def __init__(self) -> None:
        self._masters: list[int] = []
        # Held open, so that a program may close its end and open it again.
        self._slaves: list[int] = []
        paths = []
        for _ in range(2):
            master, slave = os.openpty()
            tty.setraw(slave)
            os.set_blocking(master, False)
            self._masters.append(master)
            self._slaves.append(slave)
            paths.append(os.ttyname(slave))
        self.device: str = paths[0]
        """The path of the end that a device is at."""
        self.client: str = paths[1]
        """The path of the end that a client is at."""
        self._stopped, self._stop = os.pipe()
        self._thread = threading.Thread(target=self._run, name="modbus-line", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Take the line down; whoever has an end open gets an error."""
        if not self._masters:
            return
        os.write(self._stop, b"x")
        self._thread.join()
        for each in (*self._masters, *self._slaves, self._stop, self._stopped):
            os.close(each)
        self._masters = []

    def _run(self) -> None:
        one, other = self._masters
        sinks = {one: other, other: one}
        with selectors.DefaultSelector() as selector:
            for each in (one, other, self._stopped):
                selector.register(each, selectors.EVENT_READ)
            while True:
                for key, _ in selector.select():
                    if key.fd == self._stopped:
                        return
                    with contextlib.suppress(BlockingIOError):
                        # Where nobody reads, the line loses what does not fit, as real ones do.
                        os.write(sinks[key.fd], os.read(key.fd, _CHUNK))
