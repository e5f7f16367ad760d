# SPDX-License-Identifier: Apache-2.0
"""Frames: a length of four bytes, the most significant first, and so many bytes."""

from __future__ import annotations

from collections.abc import Iterator
from struct import Struct
from typing import Final

from heliograph.partisan.errors import EncodeError, FrameError

__all__ = ["FRAME_LIMIT", "FrameReader", "frame"]

FRAME_LIMIT: Final = 64 * 1024 * 1024
"""Bytes in one frame that a reader takes by default (our choice: the original has no limit)."""

_CRUMB: Final = 4096

_pack: Final = Struct(">I").pack
_unpack: Final = Struct(">I").unpack_from


def frame(payload: bytes) -> bytes:
    """Return the payload with its length before it.

    Raises:
        EncodeError: It is longer than four bytes can say.
    """
    size = len(payload)
    if size > 0xFFFF_FFFF:
        raise EncodeError(f"a frame has at most {0xFFFF_FFFF} bytes, not {size}")
    return _pack(size) + payload


class FrameReader:
    """Cuts what comes over a connection into frames.

    Of a large frame each byte is copied once, when the frame is complete. The reader holds no more
    than what has come of one frame.

    Args:
        limit: How many bytes a frame may have.
    """

    __slots__ = ("_crumbs", "_head", "_missing", "_pieces", "limit")

    def __init__(self, limit: int = FRAME_LIMIT) -> None:
        if limit < 1:
            raise ValueError(f"the limit of a frame must be at least 1 byte, not {limit}")
        self.limit: int = limit
        self._head = b""  # of a length that is not complete
        self._missing = 0  # bytes of the frame begun
        self._pieces: list[bytes | memoryview] = []
        self._crumbs = bytearray()  # pieces so small that a list of them would outgrow the frame

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """Take what has come and give each payload that is complete now. Exhaust the iterator.

        Raises:
            FrameError: A frame announces more than the limit. What follows cannot be understood:
                close the connection.
        """
        view = memoryview(chunk)
        size = len(chunk)
        pos = 0
        while pos < size:
            if not self._missing:
                if self._head or size - pos < 4:
                    after = pos + 4 - len(self._head)
                    self._head += chunk[pos:after]
                    if len(self._head) < 4:
                        return
                    (length,) = _unpack(self._head)
                    self._head = b""
                else:
                    (length,) = _unpack(chunk, pos)
                    after = pos + 4
                pos = after
                if length > self.limit:
                    raise FrameError(length, self.limit)
                after += length
                if after <= size:
                    yield chunk[pos:after]
                    pos = after
                    continue
                self._missing = length
                continue
            after = min(pos + self._missing, size)
            self._missing -= after - pos
            self._keep(view[pos:after])
            pos = after
            if not self._missing:
                yield b"".join([*self._pieces, self._crumbs])
                self._pieces.clear()
                self._crumbs.clear()

    def _keep(self, piece: memoryview) -> None:
        if len(piece) < _CRUMB:
            self._crumbs += piece
            if len(self._crumbs) < _CRUMB:
                return
            piece = memoryview(bytes(self._crumbs))
            self._crumbs.clear()
        elif self._crumbs:
            self._pieces.append(bytes(self._crumbs))
            self._crumbs.clear()
        self._pieces.append(piece)
