# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pickle
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.partisan.errors import FrameError
from heliograph.partisan.wire import FRAME_LIMIT, FrameReader, frame


@given(st.lists(st.binary(max_size=40)), st.data())
def test_frames_come_out_as_they_went_in_however_they_are_cut(
    payloads: list[bytes], data: st.DataObject
) -> None:
    stream = b"".join(map(frame, payloads))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)))))
    reader = FrameReader()

    found = [
        payload
        for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)
        for payload in reader.feed(stream[start:end])
    ]

    assert found == payloads


@pytest.mark.parametrize("piece", [1, 3, 4096, 5000, 70_000])
def test_a_large_frame_comes_in_pieces(piece: int) -> None:
    payload = bytes(range(256)) * 800
    stream = frame(payload) + frame(b"next")
    reader = FrameReader()

    found = [
        each
        for start in range(0, len(stream), piece)
        for each in reader.feed(stream[start : start + piece])
    ]

    assert found == [payload, b"next"]


def test_pieces_of_all_sizes_stay_in_order() -> None:
    payload = bytes(range(256)) * 100
    stream = frame(payload)
    reader = FrameReader()
    start = 0
    found: list[bytes] = []
    for size in (10, 5000, 10, 10, 4090, 6000, 1, 20_000):
        found += reader.feed(stream[start : start + size])
        start += size

    assert found == [payload]


def test_a_frame_of_many_small_pieces_takes_little_more_than_its_own_size() -> None:
    size = 300_000
    stream = frame(bytes(size))
    reader = FrameReader()

    tracemalloc.start()
    try:
        found = [each for at in range(len(stream)) for each in reader.feed(stream[at : at + 1])]
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert found == [bytes(size)]
    assert peak < 3 * size


def test_a_frame_announced_takes_no_memory_before_it_comes() -> None:
    reader = FrameReader()

    tracemalloc.start()
    try:
        assert list(reader.feed(FRAME_LIMIT.to_bytes(4) + b"some")) == []
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak < 10_000


def test_a_frame_beyond_the_limit_is_an_error_after_those_before_it() -> None:
    reader = FrameReader(limit=10)
    frames = reader.feed(frame(b"x" * 10) + b"\x00\x00\x00\x0b")

    assert next(frames) == b"x" * 10
    with pytest.raises(FrameError, match="announces 11 bytes, allowed are 10") as caught:
        next(frames)
    assert (caught.value.length, caught.value.limit) == (11, 10)
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)
    # HTTP, as often as not.
    with pytest.raises(FrameError, match="another protocol"):
        list(FrameReader().feed(b"GET / HTTP/1.1\r\n"))


def test_a_limit_allows_something() -> None:
    with pytest.raises(ValueError, match="at least 1 byte, not 0"):
        FrameReader(limit=0)
