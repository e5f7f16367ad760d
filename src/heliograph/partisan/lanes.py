# SPDX-License-Identifier: Apache-2.0
"""Acknowledged messages on their way to a connection.

What is sent in one turn of the event loop is numbered, stored and made into frames together, when
the connection is flushed: a message then costs little more than one that nobody acknowledges.
"""

from __future__ import annotations

import time
from itertools import repeat
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from heliograph.partisan.templates import NUMBER_SIZE, deflated, framed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from heliograph.partisan.link import Link
    from heliograph.partisan.protocol.streams import OutgoingStream
    from heliograph.partisan.templates import Templates
    from heliograph.partisan.wire import Term

__all__ = ["Lane", "Stored", "stored_frame"]

_LARGEST_IN_RUN: Final = 2048
"""Bytes of messages that are put together: a frame costs less than copying a larger one."""
_SEQUENCE: Final = 6
"""Bytes of a number that count within its stream; the other ten are the stream's."""


class Lane:
    """One stream of acknowledged messages, and the connection they take.

    Args:
        link: The connection.
        stream: What is kept of them.
        templates: What their frames have in common.
        level: zlib's, or 0.

    Attributes:
        pending: Binaries of one size for one destination that are not numbered yet.
        left: How many more may be added without asking.
        target: Their destination.
        size: Their size.
        cost: What each adds to what is written.
    """

    __slots__ = (
        "_frame",
        "_head",
        "_in_runs",
        "_level",
        "_tail",
        "_templates",
        "cost",
        "left",
        "link",
        "pending",
        "size",
        "stream",
        "target",
    )

    def __init__(
        self, link: Link, stream: OutgoingStream[Any], templates: Templates, level: int
    ) -> None:
        self.link: Link = link
        self.stream: OutgoingStream[Any] = stream
        self._templates = templates
        self._level = level
        self.pending: list[bytes] = []
        self.left: int = 0
        self.target: str = ""
        self.size: int = -1
        self.cost: int = 0
        self._in_runs = False
        self._frame = 0
        self._head = self._tail = b""

    def add(self, target: Term, message: Term) -> bool | None:
        """Take a message: tell whether much is under way now; None if there is no room for it.

        Raises:
            EncodeError: The message is no term, or too large for a frame.
        """
        if type(message) is not bytes or not isinstance(target, str):
            self.put()
            return self._add_other(target, message) if self.stream.room else None
        if target != self.target or len(message) != self.size or self.left <= 0:
            self.put()
            if not self.stream.room:
                return None
            self._learn(target, len(message))
            # What waits here is not stored yet, so that the bytes of all of it count now.
            self.left = self.stream.room_for(self._frame)
            self.link.fill(self)
        self.left -= 1
        self.pending.append(message)
        return self.link.expect(self.cost)

    def _learn(self, target: str, size: int) -> None:
        self.target = target
        self.size = size
        self._tail = tail = self._templates.tail_head(target, size)
        self._head = self._templates.acked_head(len(tail) + size)
        self._frame = len(self._head) + NUMBER_SIZE + len(tail) + size
        self._in_runs = self.stream.cumulative and size <= _LARGEST_IN_RUN
        self.cost = size + 5 if self._in_runs else self._frame

    def _add_other(self, target: Term, message: Term) -> bool:
        tail = self._templates.tail(target, message)
        number = self.stream.base + self.stream.next_sequence
        frame = self._templates.acked_frame(number, tail)
        much = False
        if self._store([(None, tail)], len(frame)):
            much = self.link.write(self._packed(frame))
        return much

    def put(self) -> None:
        """Number and store what is pending, and hand its frames to the connection."""
        if self.pending:
            self.link.take(self.frames())

    def frames(self) -> list[bytes]:
        """Number and store what is pending, and return the frames that are to be written now."""
        messages, self.pending = self.pending, []
        self.left = 0  # the next message has to ask
        if not messages:
            return []
        stream = self.stream
        first = stream.next_sequence
        if not self._store([*zip(repeat(self.target), messages)], self._frame):
            return []
        if (
            self._in_runs
            and len(messages) > 1
            and stream.cumulative
            # All that a frame has beside the messages is less than 1 KiB.
            and len(messages) * self.cost + 1024 <= self._templates.most
        ):
            number = stream.base + first
            frames = [self._templates.run(self.target, number, self.size, messages)]
        else:
            head = self._head
            between = stream.base.to_bytes(NUMBER_SIZE, "little")[_SEQUENCE:] + self._tail
            frames = [
                head + sequence.to_bytes(_SEQUENCE, "little") + between + message
                for sequence, message in enumerate(messages, first)
            ]
        return [self._packed(frame) for frame in frames] if self._level else frames

    def _packed(self, frame: bytes) -> bytes:
        return framed(deflated(frame[4:], self._level)) if self._level else frame

    def _store(self, messages: Sequence[Stored], size: int, *, sent: bool = True) -> bool:
        """Store messages of one size; tell whether they are to be written now."""
        stream = self.stream
        # What waits for a connection goes first, and the protocol says when.
        sent = sent and not stream.unsent
        stream.offer_many(messages, size, time.monotonic_ns(), sent=sent)
        return sent

    def spill(self) -> None:
        """Store what is pending for another connection: this one is gone."""
        messages, self.pending = self.pending, []
        self.left = 0
        if messages:
            self._store([*zip(repeat(self.target), messages)], self._frame, sent=False)


Stored: TypeAlias = tuple[str | None, bytes]
"""What is kept of a message: its destination and itself, if it is a binary for a name; otherwise
None, and what follows the number in its frame."""


def stored_frame(templates: Templates, number: int, stored: Stored) -> bytes:
    """Return the frame of a message that was stored."""
    target, message = stored
    tail = message if target is None else templates.tail(target, message)
    return templates.acked_frame(number, tail)
