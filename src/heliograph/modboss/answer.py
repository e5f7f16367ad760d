# SPDX-License-Identifier: Apache-2.0
"""What a request waits for: a future that resumes its task where the answer comes.

A future of asyncio wakes its task through the loop's queue, which then polls its sockets once more
before it gets there; of a read that a device answers quickly, that is a good part. Here the task
runs on in the call that brings the octets, as the code of any protocol does that is written with
callbacks.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final, NoReturn

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextvars import Context

__all__ = ["Answer"]

_add: Final = asyncio.Future.add_done_callback


class Answer(asyncio.Future[Any]):
    """A future that one task waits for. In all but `resume` it is like any other."""

    _waiter: tuple[Callable[[Any], object] | None, Context | None] = (None, None)

    def add_done_callback(
        self, fn: Callable[[Any], object], /, *, context: Context | None = None
    ) -> None:
        """Remember how the task is woken; nothing else is ever added."""
        _add(self, fn, context=context)
        self._waiter = fn, context

    def resume(self, result: object) -> None:
        """Set the result, and run the task that waits for it until it waits again.

        To be called last, since the task may do whatever it likes; and from the loop, for where
        another task runs this one must wait, as it does for other futures.
        """
        loop = self.get_loop()
        wake, context = self._waiter
        if wake is None or context is None or asyncio.current_task(loop) is not None:
            self.set_result(result)
            return
        self._waiter = (None, None)  # which would keep the task for as long as this is kept
        self.remove_done_callback(wake)
        self.set_result(result)
        try:
            context.run(wake, self)
        except RuntimeError:  # somebody is in that context at the moment
            loop.call_soon(wake, self, context=context)
        except BaseException as error:  # noqa: BLE001 - what ends programs: not the transport's
            loop.call_soon(_raise, error)


def _raise(error: BaseException) -> NoReturn:
    raise error
