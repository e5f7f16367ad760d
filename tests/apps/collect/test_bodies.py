# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import gzip
import io
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.apps.collect.bodies import BodyError, inflated, read_body

BOMB = gzip.compress(bytes(50 * 2**20), mtime=0)


def read(
    stream: bytes, length: str | None = None, coding: str | None = None, limit: int = 100
) -> bytes:
    source = io.BytesIO(stream)
    return read_body(source.read, source.readline, length, coding, limit)


def test_a_body_is_as_long_as_it_says() -> None:
    assert read(b"abcdef", "3") == b"abc"


def test_chunks_are_put_together() -> None:
    stream = b"3\r\nabc\r\nA;name=value\r\n0123456789\r\n0\r\nTrailer: x\r\n\r\n"

    assert read(stream, coding=" Chunked ") == b"abc0123456789"


@pytest.mark.parametrize(
    ("stream", "length", "coding", "status"),
    [
        (b"", None, None, 411),
        (b"abc", "4", None, 400),
        (b"abc", "101", None, 413),
        (b"abc", "-3", None, 400),
        (b"abc", "3.0", None, 400),
        (b"abc", "٣", None, 400),
        (b"abc", "9" * 5000, None, 400),
        (b"abc", None, "gzip, chunked", 400),
        (b"3\r\nabc\r\n0\r\n\r\n", "3", "chunked", 400),
        (b"", None, "chunked", 400),
        (b"x\r\n", None, "chunked", 400),
        (b"-3\r\nabc", None, "chunked", 400),
        (b"+3\r\nabc", None, "chunked", 400),
        (b"0x3\r\nabc", None, "chunked", 400),
        (b"1_0\r\nabc", None, "chunked", 400),
        (b"4\r\nabc", None, "chunked", 400),
        (b"3\r\nabcd\r\n0\r\n\r\n", None, "chunked", 400),
        (b"65\r\nabc", None, "chunked", 413),
        (b"40\r\n" + bytes(64) + b"\r\n40\r\n", None, "chunked", 413),
        (b"0\r\n" + 16 * b"A: 1\r\n" + b"\r\n", None, "chunked", 413),
    ],
)
def test_a_body_that_cannot_be_read_ends_the_connection(
    stream: bytes, length: str | None, coding: str | None, status: int
) -> None:
    with pytest.raises(BodyError) as refused:
        read(stream, length, coding)

    assert refused.value.status == status
    assert not refused.value.reusable


@pytest.mark.parametrize("encoding", [None, "identity", " Identity "])
def test_what_is_not_compressed_stays_as_it_is(encoding: str | None) -> None:
    assert inflated(b"abc", encoding) == b"abc"


@given(st.lists(st.binary(max_size=300), min_size=1, max_size=3))
def test_gzip_may_have_several_members(parts: list[bytes]) -> None:
    assert inflated(b"".join(map(gzip.compress, parts)), "gzip") == b"".join(parts)


@given(st.binary(max_size=300))
def test_deflate_is_what_http_means_by_it(body: bytes) -> None:
    assert inflated(zlib.compress(body), "Deflate") == body


@pytest.mark.parametrize("limit", [0, 1, 5, 6])
def test_the_limit_is_exact(limit: int) -> None:
    body = gzip.compress(bytes(limit))

    assert inflated(body, "gzip", limit) == bytes(limit)
    with pytest.raises(BodyError, match=f"more than the {limit} bytes"):
        inflated(gzip.compress(bytes(limit + 1)), "gzip", limit)


@pytest.mark.parametrize(
    ("body", "encoding", "status"),
    [
        (b"abc", "br", 415),
        (b"abc", "gzip, gzip", 415),
        (b"abc", "gzip", 400),
        (b"", "gzip", 400),
        (gzip.compress(b"abc", mtime=0)[:-1], "gzip", 400),
        (gzip.compress(b"abc", mtime=0) + b"rest", "gzip", 400),
        (zlib.compress(b"abc"), "gzip", 400),
        (BOMB, "gzip", 413),
        (gzip.compress(b"abc", mtime=0) + BOMB, "gzip", 413),
    ],
)
def test_a_body_that_cannot_be_inflated_leaves_the_connection(
    body: bytes, encoding: str, status: int
) -> None:
    with pytest.raises(BodyError) as refused:
        inflated(body, encoding)

    assert refused.value.status == status
    assert refused.value.reusable
