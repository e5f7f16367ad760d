# SPDX-License-Identifier: Apache-2.0
"""Frames whose bytes are known but for a few: what messages to one name have in common.

Nearly all that a busy node sends are binaries to few names, and acknowledgements. Both are put
together from parts that were encoded once; what comes out is what `heliograph.partisan.wire` would
make.
"""

from __future__ import annotations

import zlib
from struct import Struct
from typing import TYPE_CHECKING, Final

from heliograph.partisan.errors import DecodeError, EncodeError
from heliograph.partisan.wire import Atom, decode, encode
from heliograph.partisan.wire.limits import DEFAULT_LIMITS

if TYPE_CHECKING:
    from heliograph.partisan.wire import Term

__all__ = ["NUMBER_SIZE", "RUN_MARK", "Templates", "checked", "deflated", "framed"]

NUMBER_SIZE: Final = 16
"""Bytes of the number of an acknowledged message among our own kind."""
RUN_MARK: Final = b"h\x02w\x0f$heliograph_runl"
"""What a run of messages begins with, up to how many there are; see `wire.messages.Run`."""

_u32: Final = Struct(">I").pack
# Our choice: names and sizes whose beginnings are kept; beyond it all are made anew.
_KEPT: Final = 1024
# Any number that takes 16 bytes will do: it is cut out again.
_SAMPLE: Final = 0xB7 << 120
_SAMPLE_BYTES: Final = _SAMPLE.to_bytes(NUMBER_SIZE, "little")
_UNDEFINED: Final = Atom("undefined")
_FORWARD: Final = Atom("forward_message")
_WITHIN: Final = 4
"""Levels of terms that a frame may put around a message."""
_BESIDE: Final = 2048
"""Bytes that are enough for these, and for names and numbers in them."""


def framed(payload: bytes) -> bytes:
    """Return the frame of a payload: its length, and itself."""
    return _u32(len(payload)) + payload


def checked(message: Term, most: int, *, beside: int = _BESIDE) -> bytes:
    """Return a message in the External Term Format, if its receivers will take it.

    What they will not take must not be sent: it would cost the connection, and once more each time
    that it is sent again.

    Args:
        message: The message.
        most: Bytes a frame may have.
        beside: How many of them what stands beside the message may take.

    Raises:
        EncodeError: It is no term, or too large for a frame or for whoever decodes it.
    """
    form = encode(message, within=_WITHIN)
    if len(form) + beside > most:
        raise _too_large(len(form), most)
    # Fewer bytes cannot have too many elements. More have to be counted, unless they are one.
    if len(form) > DEFAULT_LIMITS.elements and type(message) is not bytes:
        try:
            decode(form)
        except DecodeError as error:
            raise EncodeError(f"whoever receives it would not take it: {error}") from None
    return form


def _too_large(size: int, most: int) -> EncodeError:
    return EncodeError(
        f"a message of {size} bytes is too large: a frame may have {most} (Limits.frame), here and"
        " at its receivers; send it in parts"
    )


def deflated(payload: bytes, level: int) -> bytes:
    """Return a payload compressed; as it is if that is no longer, or nobody would inflate it."""
    if len(payload) > DEFAULT_LIMITS.inflated:
        return payload
    packed = zlib.compress(memoryview(payload)[1:], level)
    if len(packed) + 5 < len(payload) - 1:
        return b"\x83P" + _u32(len(payload) - 1) + packed
    return payload


class Templates:
    """The beginnings of the frames one node sends.

    Args:
        node: Its name.
        most: Bytes a frame may have.
    """

    __slots__ = ("_acked_head", "_names", "_node", "_runs", "acked", "most", "plain", "tails")

    def __init__(self, node: Atom, most: int) -> None:
        self._node = node
        self.most: int = most
        self.plain: dict[str, dict[int, bytes]] = {}
        """By name and size of a binary: the frame up to the binary."""
        self.acked: dict[int, bytes] = {}
        """By the size of what follows the number: the frame up to the number."""
        self.tails: dict[str, dict[int, bytes]] = {}
        """By name and size of a binary: what lies between the number and the binary."""
        self._names: dict[str, bytes] = {}
        self._runs: dict[str, bytes] = {}
        clock = (_UNDEFINED, [(node, _SAMPLE)])
        whole = encode((_FORWARD, node, clock, 0, 0))
        # What follows the number: the list's end, and two integers.
        self._acked_head = whole[: whole.index(_SAMPLE_BYTES)]
        assert whole.endswith(_SAMPLE_BYTES + b"ja\x00a\x00")

    def _name(self, target: Term) -> bytes:
        """Return a destination's external form without the first byte."""
        if not isinstance(target, str):
            return encode(target)[1:]
        found = self._names.get(target)
        if found is None:
            found = encode(Atom(target))[1:]
            if len(self._names) >= _KEPT:
                self._names.clear()
            self._names[target] = found
        return found

    def plain_head(self, target: Term, size: int) -> bytes:
        """Return the frame of `{forward_message, Target, Binary}` up to the binary.

        Raises:
            EncodeError: The target is no term, or the frame is too large.
        """
        name = self._name(target)
        begin = b"\x83h\x03w\x0fforward_message" + name
        if len(begin) + 5 + size > self.most:
            raise _too_large(size, self.most)
        head = _u32(len(begin) + 5 + size) + begin + b"m" + _u32(size)
        if not isinstance(target, str):
            return head
        return _keep(self.plain, target, size, head)

    def plain_frame(self, target: Term, message: Term) -> bytes:
        """Return the frame of `{forward_message, Target, Message}`.

        Raises:
            EncodeError: A part of it is no term, or it is too large.
        """
        form = checked(message, self.most, beside=0)[1:]
        frame = framed(b"\x83h\x03w\x0fforward_message" + self._name(target) + form)
        if len(frame) - 4 > self.most:
            raise _too_large(len(form), self.most)
        return frame

    def tail_head(self, target: str, size: int) -> bytes:
        """Return what lies between the number and a binary."""
        try:
            return self.tails[target][size]
        except KeyError:
            head = b"j" + self._name(target) + b"m" + _u32(size)
            return _keep(self.tails, target, size, head)

    def tail(self, target: Term, message: Term) -> bytes:
        """Return what follows the number in the frame of an acknowledged message."""
        if type(message) is bytes and isinstance(target, str):
            return self.tail_head(target, len(message)) + message
        return b"j" + self._name(target) + checked(message, self.most, beside=0)[1:]

    def run(self, target: str, number: int, size: int, messages: list[bytes]) -> bytes:
        """Return the frame of several binaries of one size, the first of which has the number."""
        between = self._runs.get(target)
        if between is None:
            between = b"j" + self._name(target) + RUN_MARK
            if len(self._runs) >= _KEPT:
                self._runs.clear()
            self._runs[target] = between
        each = b"m" + _u32(size)
        body = each.join([b"", *messages])
        head = self._acked_head
        return b"".join(
            (
                _u32(len(head) + NUMBER_SIZE + len(between) + 4 + len(body) + 1),
                head,
                number.to_bytes(NUMBER_SIZE, "little"),
                between,
                _u32(len(messages)),
                body,
                b"j",
            )
        )

    def acked_head(self, tail_size: int) -> bytes:
        """Return the frame of an acknowledged message up to its number.

        Raises:
            EncodeError: The frame is too large.
        """
        found = self.acked.get(tail_size)
        if found is not None:
            return found
        size = len(self._acked_head) + NUMBER_SIZE + tail_size
        if size > self.most:
            raise _too_large(tail_size, self.most)
        head = _u32(size) + self._acked_head
        if len(self.acked) >= _KEPT:
            self.acked.clear()
        self.acked[tail_size] = head
        return head

    def acked_frame(self, number: int, tail: bytes) -> bytes:
        """Return the frame of an acknowledged message with a number of our own kind."""
        return self.acked_head(len(tail)) + number.to_bytes(NUMBER_SIZE, "little") + tail


def _keep(kept: dict[str, dict[int, bytes]], target: str, size: int, value: bytes) -> bytes:
    sizes = kept.get(target)
    if sizes is None:
        if len(kept) >= _KEPT:
            kept.clear()
        sizes = kept[target] = {}
    elif len(sizes) >= _KEPT:
        sizes.clear()
    sizes[size] = value
    return value
