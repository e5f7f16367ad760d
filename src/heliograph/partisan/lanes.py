# SPDX-License-Identifier: Apache-2.0
"""Acknowledged messages on their way to a connection.

What is sent in one turn of the event loop is numbered, stored and made into frames together, when
the connection is flushed: a message then costs little more than one that nobody acknowledges.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

from heliograph.partisan.templates import deflated, framed

if TYPE_CHECKING:
    from heliograph.partisan.link import Link
    from heliograph.partisan.protocol.streams import OutgoingStream
    from heliograph.partisan.templates import Templates
    from heliograph.partisan.wire import Term

__all__ = ["Lane"]

_SEQUENCE: Final = 6
"""Bytes of a number that count within its stream; the other ten are the stream's."""


class Lane:
    """One stream of acknowledged messages, and the connection they take.

    Args:
        link: The connection.
        stream: What is kept of them.
        templates: What their frames have in common.
        level: zlib's, or 0.
    """

    __slots__ = (
        "_frame",
        "_head",
        "_level",
        "_pending",
        "_room",
        "_size",
        "_tail",
        "_target",
        "_templates",
        "link",
        "stream",
    )

    def __init__(
        self, link: Link, stream: OutgoingStream[Any], templates: Templates, level: int
    ) -> None:
        self.link = link
        self.stream = stream
        self._templates = templates
        self._level = level
        self._pending: list[bytes] = []
        self._room = stream.room
        # What the pending messages have in common: destination, size, and the bytes around them.
        self._target: Any = None
        self._size = -1
        self._head = self._tail = b""
        self._frame = 0

    def add(self, target: Term, message: Term) -> bool | None:
        """Take a message: tell whether much is under way now; None if there is no room for it.

        Raises:
            EncodeError: The message is no term.
        """
        pending = self._pending
        if len(pending) >= self._room:
            self.put()
            self._room = self.stream.room
            if not self._room:
                return None
        if type(message) is not bytes or target != self._target or len(message) != self._size:
            if type(message) is not bytes or not isinstance(target, str):
                return self._add_other(target, message)
            self.put()
            self._learn(target, len(message))
        if not pending:
            self.link.fill(self)
        pending.append(message)
        return self.link.expect(self._frame)

    def _learn(self, target: str, size: int) -> None:
        self._target = target
        self._size = size
        tail = self._templates.tail_head(target, size)
        self._tail = tail
        self._head = self._templates.acked_head(len(tail) + size)
        self._frame = len(self._head) + _SEQUENCE + 10 + len(tail) + size

    def _add_other(self, target: Term, message: Term) -> bool:
        tail = self._templates.tail(target, message)
        self.put()
        number = self.stream.base + self.stream.next_sequence
        frame = self._templates.acked_frame(number, tail)
        much = False
        for each in self._store([frame], len(frame)):
            much = self.link.write(each)
        return much

    def put(self) -> None:
        """Number and store what is pending, and hand its frames to the connection."""
        if self._pending:
            self.link.take(self.frames())

    def frames(self) -> list[bytes]:
        """Number and store what is pending, and return the frames that are to be written now."""
        pending = self._pending
        if not pending:
            return []
        stream = self.stream
        first = stream.next_sequence
        head = self._head
        between = stream.base.to_bytes(16, "little")[_SEQUENCE:] + self._tail
        frames = [
            head + sequence.to_bytes(_SEQUENCE, "little") + between + message
            for sequence, message in enumerate(pending, first)
        ]
        pending.clear()
        self._room = 0  # looked up again
        return self._store(frames, self._frame)

    def _store(self, frames: list[bytes], size: int, *, sent: bool = True) -> list[bytes]:
        stream = self.stream
        # What waits for a connection goes first, and the protocol says when.
        sent = sent and not stream.unsent
        stream.offer_many(frames, size, time.monotonic_ns(), sent=sent)
        if not sent:
            return []
        if self._level:
            return [framed(deflated(frame[4:], self._level)) for frame in frames]
        return frames

    def spill(self) -> None:
        """Store what is pending for another connection: this one is gone."""
        stream = self.stream
        frames = [
            self._templates.acked_frame(stream.base, self._tail + message)
            for message in self._pending
        ]
        self._pending.clear()
        if frames:
            self._store(frames, self._frame, sent=False)
