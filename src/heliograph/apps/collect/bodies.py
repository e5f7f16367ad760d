# SPDX-License-Identifier: Apache-2.0
"""Bodies of HTTP requests: how long they may be, and what they are once inflated."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["MAX_BODY", "BodyError", "inflated", "read_body"]

MAX_BODY: Final = 20 * 2**20
"""Bytes of one request, compressed or not, that are taken: as the OpenTelemetry Collector does."""

# A gzip header, or that of zlib, which HTTP calls deflate.
_WINDOW_BITS: Final = {"gzip": 31, "deflate": 15}
_CHUNK_LINE: Final = 256
_TRAILERS: Final = 16


class BodyError(ValueError):
    """A body that can't be taken.

    Attributes:
        status: What HTTP answers.
        reusable: Whether all of the body was read, so that the connection can be used again.
    """

    status: int
    reusable: bool

    def __init__(self, status: int, message: str, *, reusable: bool = False) -> None:
        super().__init__(message)
        self.status = status
        self.reusable = reusable


def read_body(
    read: Callable[[int], bytes],
    read_line: Callable[[int], bytes],
    length: str | None,
    transfer_encoding: str | None,
    limit: int = MAX_BODY,
) -> bytes:
    """Read the body of a request.

    Args:
        read: Gives so many bytes; fewer if the connection ended.
        read_line: Gives a line of at most so many bytes, its end included.
        length: The header Content-Length.
        transfer_encoding: The header Transfer-Encoding.
        limit: Bytes that are taken.

    Raises:
        BodyError: It is too long, has no length, or is cut short.
    """
    if transfer_encoding is not None:
        if length is not None or transfer_encoding.strip().lower() != "chunked":
            raise BodyError(400, "give either Content-Length or Transfer-Encoding: chunked")
        return _read_chunks(read, read_line, limit)
    if length is None:
        raise BodyError(411, "give Content-Length")
    if not (length.isascii() and length.isdigit()) or len(length) > 18:
        raise BodyError(400, "Content-Length is no number of bytes")
    size = int(length)
    if size > limit:
        raise BodyError(413, f"the body has {size} bytes; {limit} are taken")
    return _read_exactly(read, size)


def _read_exactly(read: Callable[[int], bytes], size: int) -> bytes:
    body = read(size)
    if len(body) < size:
        raise BodyError(400, "the body ended early")
    return body


def _read_chunks(
    read: Callable[[int], bytes], read_line: Callable[[int], bytes], limit: int
) -> bytes:
    parts: list[bytes] = []
    room = limit
    while True:
        digits = read_line(_CHUNK_LINE).split(b";", 1)[0].strip()
        try:
            size = int(digits, 16)
        except ValueError:
            size = -1
        # int() also takes signs, underscores and 0x.
        if size < 0 or not digits.isalnum() or digits[:2].lower() == b"0x":
            raise BodyError(400, "a chunk has no size")
        if size == 0:
            break
        if size > room:
            raise BodyError(413, f"the body has more than the {limit} bytes that are taken")
        room -= size
        parts.append(_read_exactly(read, size))
        if read_line(_CHUNK_LINE).strip():
            raise BodyError(400, "a chunk is longer than its size")
    for _ in range(_TRAILERS):
        if not read_line(_CHUNK_LINE).strip():
            return b"".join(parts)
    raise BodyError(413, "too many trailers")


def inflated(body: bytes, encoding: str | None, limit: int = MAX_BODY) -> bytes:
    """Inflate a body.

    Args:
        body: The body as it was sent.
        encoding: The header Content-Encoding.
        limit: Bytes that it may become; no more are ever held.

    Raises:
        BodyError: It would become too long, is not compressed as it says, or in an unknown way.
    """
    name = (encoding or "identity").strip().lower()
    if name == "identity":
        return body
    bits = _WINDOW_BITS.get(name)
    if bits is None:
        known = ", ".join(_WINDOW_BITS)
        message = f"Content-Encoding {name[:40]!r} is unknown; {known} are known"
        raise BodyError(415, message, reusable=True)
    parts: list[bytes] = []
    room = limit
    try:
        while True:
            inflater = zlib.decompressobj(bits)
            # One byte more than there is room for tells that there is more.
            part = inflater.decompress(body, room + 1)
            if len(part) > room:
                message = f"inflated, the body has more than the {limit} bytes that are taken"
                raise BodyError(413, message, reusable=True)
            if not inflater.eof:
                raise BodyError(400, f"the {name} body ended early", reusable=True)
            room -= len(part)
            parts.append(part)
            body = inflater.unused_data
            if not body:
                return b"".join(parts)
    except zlib.error as error:
        raise BodyError(400, f"the body is no {name}: {error}", reusable=True) from error
