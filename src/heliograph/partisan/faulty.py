# SPDX-License-Identifier: Apache-2.0
"""Faults on sockets: a transport that does to a link's frames what a script says. For tests."""

from __future__ import annotations

import asyncio
import heapq
from itertools import count
from struct import Struct
from typing import TYPE_CHECKING, Any, Final

from heliograph.partisan.telling import frame_tag

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from heliograph.partisan.faults import Faults
    from heliograph.partisan.link import Link
    from heliograph.partisan.loops import Timer

__all__ = ["FaultyTransport"]

_length: Final = Struct(">I").unpack_from
_HELD: Final = 65_536
"""Frames that one connection holds back; one more ends it. Our choice."""
_PAUSE: Final = 1_000_000
"""Nanoseconds after which something that is held back is looked at again."""


class FaultyTransport(asyncio.Transport):
    """Stands between a link and its transport; frames of the link only, its peer has its own.

    Args:
        transport: The link's own.
        link: The link.
        node: Name of the link's node.
        faults: The script, begun.
        now: Monotonic time in nanoseconds.
        call_at: Calls at a time.
    """

    def __init__(
        self,
        transport: asyncio.Transport,
        link: Link,
        node: str,
        faults: Faults,
        now: Callable[[], int],
        call_at: Callable[[int, Callable[[], object]], Timer],
    ) -> None:
        super().__init__()
        self._transport = transport
        self._link = link
        self._node = node
        self._faults = faults
        self._now = now
        self._call_at = call_at
        self._part = bytearray()
        self._held: list[tuple[int, int, bytes]] = []
        self._order = count()
        self._clear_at = 0
        self._timer: Timer | None = None
        self._last: Callable[[], object] | None = None

    # -- Writing ----------------------------------------------------------------------------------

    def write(self, data: bytes | bytearray | memoryview) -> None:
        part = self._part
        part += data
        at = 0
        while len(part) - at >= 4:
            after = at + 4 + _length(part, at)[0]
            if after > len(part):
                break
            self._frame(bytes(part[at:after]))
            at = after
        del part[:at]
        self._release()

    def writelines(self, list_of_data: Iterable[Any]) -> None:
        self.write(b"".join(list_of_data))

    def _frame(self, frame: bytes) -> None:
        now = self._now()
        message = frame_tag(frame[:256], 4) == "forward_message"
        way = self._faults.way(self._node, self._link.peer or "", now, message=message)
        for delay in way.delays:
            at = now + delay
            if not way.overtaken:
                at = self._clear_at = max(at, self._clear_at)
            heapq.heappush(self._held, (at, next(self._order), frame))
        if len(self._held) > _HELD:
            self._transport.abort()

    def _release(self) -> None:
        """Write what is due, and see when to look again."""
        now = self._now()
        held = self._held
        if self._transport.is_closing():
            held.clear()  # the connection is gone, and takes along what was under way
        apart = self._faults.apart(self._node, self._link.peer or "", now)
        while held and held[0][0] <= now and not apart:
            self._transport.write(heapq.heappop(held)[2])
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if held:
            at = max(held[0][0], now + _PAUSE)
            self._timer = self._call_at(at, self._release)
        elif self._last is not None:
            last, self._last = self._last, None
            last()

    # -- The end ----------------------------------------------------------------------------------

    def _finally(self, last: Callable[[], object]) -> None:
        self._last = last
        self._release()

    def close(self) -> None:
        self._finally(self._transport.close)

    def write_eof(self) -> None:
        self._finally(self._transport.write_eof)

    def abort(self) -> None:
        self._held.clear()
        self._last = None
        self._transport.abort()

    # -- The rest is the transport's --------------------------------------------------------------

    def can_write_eof(self) -> bool:
        return self._transport.can_write_eof()

    def is_closing(self) -> bool:
        return self._transport.is_closing()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._transport.get_extra_info(name, default)

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self._transport.set_write_buffer_limits(high, low)

    def get_write_buffer_size(self) -> int:
        return self._transport.get_write_buffer_size()

    def pause_reading(self) -> None:
        self._transport.pause_reading()

    def resume_reading(self) -> None:
        self._transport.resume_reading()
