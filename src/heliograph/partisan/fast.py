# SPDX-License-Identifier: Apache-2.0
"""Frames like the last one: recognised by their bytes, taken without decoding them.

A busy connection carries runs of frames that differ in few bytes: the same destination, binaries of
one size. The first of a run is decoded in full; from it a pattern is learned, of which the bytes in
between are taken from those that follow. A frame that differs anywhere else does not match, and is
decoded in full again, so that nothing is trusted that was not checked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol

from heliograph.partisan.templates import NUMBER_SIZE

if TYPE_CHECKING:
    from collections.abc import Callable

    from heliograph.partisan.inbox import Inbox
    from heliograph.partisan.link import Link
    from heliograph.partisan.protocol.delivery import Delivery
    from heliograph.partisan.protocol.streams import IncomingStream

__all__ = [
    "AckPattern",
    "AckedPattern",
    "OneByOnePattern",
    "Pattern",
    "PlainPattern",
    "number_field",
]

_NIL: Final = 106


class Pattern(Protocol):
    """What frames like one that was decoded have in common."""

    head: bytes
    """What they begin with, their length included."""
    owes: bool
    """Whether taking them may leave an acknowledgement to be sent."""

    def take(self, link: Link, data: bytes, at: int, end: int) -> int:
        """Take whole frames from `at` on that match; return where the first that does not begins.

        The bytes at `at` are known to begin with `head`.
        """


class PlainPattern:
    """Binaries of one size for one inbox."""

    owes = False
    __slots__ = ("head", "inbox", "size")

    def __init__(self, head: bytes, size: int, inbox: Inbox) -> None:
        self.head: bytes = head
        self.size: int = size
        self.inbox: Inbox = inbox

    def take_only(self, link: Link, data: bytes) -> bool:
        """Take what was read, if it is one such frame; tell whether it is."""
        inbox = self.inbox
        if len(data) != self.size or not data.startswith(self.head) or inbox.closed:
            return False
        inbox._put(data[len(self.head) :])
        if len(inbox) >= inbox.capacity and inbox._full:
            link.hold_for(inbox)
        return True

    def take(self, link: Link, data: bytes, at: int, end: int) -> int:
        head, size, inbox = self.head, self.size, self.inbox
        if inbox.closed:
            return at
        skip = len(head)
        messages: list[bytes] = []
        append, matches = messages.append, data.startswith
        after = at + size
        while after <= end:
            append(data[at + skip : after])
            at = after
            if not matches(head, at):
                break
            after += size
        inbox._put_many(messages)
        if len(inbox) >= inbox.capacity and inbox._full:
            link.hold_for(inbox)
        return at


def number_field(data: bytes, at: int) -> tuple[int, int] | None:
    """Return offset and size of the digits of the integer at `at`; None for one of rare size."""
    tag = data[at]
    if tag == 97:  # one byte
        return at + 1, 1
    if tag == 98:  # four bytes, signed
        return at + 1, 4
    if tag == 110 and data[at + 1] == 16:
        return at + 3, 16
    return None


class AckedPattern:
    """Acknowledged binaries of one size for one inbox, of one stream of our own kind."""

    owes = True
    __slots__ = ("_between", "_delivery", "_inbox", "_item", "_size", "_stream", "head")

    def __init__(
        self,
        head: bytes,
        between: bytes,
        size: int,
        inbox: Inbox,
        stream: IncomingStream[Any],
        delivery: Delivery[Any],
    ) -> None:
        self.head: bytes = head
        self._between = between
        self._size = size
        self._inbox = inbox
        self._stream = stream
        self._delivery = delivery
        self._item: Any = None

    def take(self, link: Link, data: bytes, at: int, end: int) -> int:
        inbox, stream, between = self._inbox, self._stream, self._between
        if inbox.closed or stream.held:
            return at
        size = self._size
        digits = at + len(self.head)
        skip = len(self.head) + 6 + len(between)
        messages: list[bytes] = []
        append, matches, integer = messages.append, data.startswith, int.from_bytes
        last = stream.last
        begin = at
        after = at + size
        while after <= end:
            # The low 48 bits are the place in the stream. Only the next one is taken here.
            if integer(data[digits : digits + 6], "little") != last + 1 or not matches(
                between, digits + 6
            ):
                break
            append(data[at + skip : after])
            last += 1
            at = after
            after += size
            digits += size
            if not matches(self.head, at):
                break
        if at != begin:
            # The first is accepted as any other, so that an acknowledgement is due.
            first = stream.base + stream.last + 1
            self._delivery.accept(stream.source, stream.channel, first, None)
            stream.last = last
            inbox._put_many(messages)
            if inbox._full:
                link.hold_for(inbox)
        return at


class RunPattern:
    """Runs of binaries for one inbox, of one stream of our own kind.

    Unlike the others it is asked for a whole frame, whose length may be any.
    """

    __slots__ = ("_between", "_delivery", "_inbox", "_stream", "head")

    def __init__(
        self,
        head: bytes,
        between: bytes,
        inbox: Inbox,
        stream: IncomingStream[Any],
        delivery: Delivery[Any],
    ) -> None:
        self.head: bytes = head
        self._between = between
        self._inbox = inbox
        self._stream = stream
        self._delivery = delivery

    def take(self, link: Link, data: bytes, start: int, end: int) -> bool:
        """Take one frame; tell whether it was one of these."""
        if not data.startswith(self.head, start):
            return False
        inbox, stream, between = self._inbox, self._stream, self._between
        digits = start + len(self.head)
        at = digits + NUMBER_SIZE
        if not data.startswith(between, at) or inbox.closed or stream.held:
            return False
        at += len(between)
        first = int.from_bytes(data[digits : digits + NUMBER_SIZE], "little")
        count = int.from_bytes(data[at : at + 4], "big")
        begin = at + 9
        size = int.from_bytes(data[at + 5 : begin], "big")
        if first != stream.base + stream.last + 1 or begin + count * (size + 5) - 4 != end:
            return False
        messages = [data[each : each + size] for each in range(begin, end - 1, size + 5)]
        # All are binaries of that size, with nothing between them, if this gives the same again.
        if data[at + 4 : end] != data[at + 4 : begin].join([b"", *messages]) + b"j":
            return False
        self._delivery.accept(stream.source, stream.channel, first, None)
        stream.last += count - 1
        inbox._put_many(messages)
        if inbox._full:
            link.hold_for(inbox)
        return True


class OneByOnePattern:
    """Acknowledged binaries of one size for one inbox, each to be acknowledged by itself."""

    owes = False
    __slots__ = ("_acknowledge", "_between", "_inbox", "_size", "_width", "head")

    def __init__(
        self,
        head: bytes,
        width: int,
        between: bytes,
        size: int,
        inbox: Inbox,
        acknowledge: Callable[[Link, list[bytes]], None],
    ) -> None:
        self.head: bytes = head
        self._width = width
        self._between = between
        self._size = size
        self._inbox = inbox
        self._acknowledge = acknowledge

    def take(self, link: Link, data: bytes, at: int, end: int) -> int:
        inbox, between = self._inbox, self._between
        if inbox.closed:
            return at
        size, width = self._size, self._width
        digits = at + len(self.head)
        skip = len(self.head) + width + len(between)
        messages: list[bytes] = []
        numbers: list[bytes] = []
        append, matches, number = messages.append, data.startswith, numbers.append
        after = at + size
        while after <= end and matches(between, digits + width):
            append(data[at + skip : after])
            number(data[digits : digits + width])
            at = after
            after += size
            digits += size
            if not matches(self.head, at):
                break
        if messages:
            inbox._put_many(messages)
            self._acknowledge(link, numbers)
            if inbox._full:
                link.hold_for(inbox)
        return at


class AckPattern:
    """Acknowledgements of messages of ours."""

    owes = False
    __slots__ = ("_acknowledged", "_size", "head")

    def __init__(self, head: bytes, size: int, acknowledged: Callable[[list[int]], None]) -> None:
        self.head: bytes = head
        self._size = size
        self._acknowledged = acknowledged

    def take(self, link: Link, data: bytes, at: int, end: int) -> int:  # noqa: ARG002 - a Pattern
        size, skip = self._size, len(self.head)
        numbers: list[int] = []
        matches, integer = data.startswith, int.from_bytes
        after = at + size
        while after <= end and data[after - 1] == _NIL:
            numbers.append(integer(data[at + skip : after - 1], "little"))
            at = after
            after += size
            if not matches(self.head, at):
                break
        if numbers:
            self._acknowledged(numbers)
        return at
