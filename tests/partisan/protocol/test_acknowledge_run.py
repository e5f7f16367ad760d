# SPDX-License-Identifier: Apache-2.0
"""Numbers acknowledged in a row do what they do one after the other."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from heliograph.partisan.protocol import Delivery, OutgoingStream, new_identity
from heliograph.partisan.wire import Atom

PEER, CHANNEL = Atom("n2@127.0.0.1"), Atom("data")


def stream(*, cumulative: bool, sizes: list[int]) -> tuple[Delivery[int], OutgoingStream[int]]:
    delivery: Delivery[int] = Delivery(new_identity(random.Random(1).randbytes))
    delivery.met(PEER, 7 if cumulative else None)
    outgoing = delivery.outgoing(PEER, CHANNEL, 0)
    for number, size in enumerate(sizes):
        outgoing.offer(number, size, 1)
    return delivery, outgoing


def seen(outgoing: OutgoingStream[int]) -> tuple[object, ...]:
    return (
        len(outgoing),
        outgoing.bytes,
        outgoing.delivered,
        outgoing.delivered_bytes,
        outgoing.unsent,
        outgoing.next_sequence,
        [*outgoing.unacknowledged()],
    )


@given(
    st.booleans(),
    st.lists(st.integers(1, 50), min_size=1, max_size=12),
    st.lists(st.tuples(st.integers(0, 14), st.integers(1, 14)), max_size=6),
)
def test_a_run_is_its_numbers(
    cumulative: bool, sizes: list[int], runs: list[tuple[int, int]]
) -> None:
    one_delivery, one = stream(cumulative=cumulative, sizes=sizes)
    other_delivery, other = stream(cumulative=cumulative, sizes=sizes)
    for first, count in runs:
        number = one.base + first
        forgot = one_delivery.acknowledged_run(number, count, 5) is not None
        expected = [other_delivery.acknowledged(number + each, 5) for each in range(count)]
        assert forgot == any(each is not None for each in expected)
        assert seen(one) == seen(other)


def test_a_run_of_no_stream_is_nothing() -> None:
    delivery, outgoing = stream(cumulative=False, sizes=[1])

    assert delivery.acknowledged_run(outgoing.base + (1 << 60), 2, 1) is None


def test_a_run_from_the_first_on_is_acknowledged_in_one_go() -> None:
    _, outgoing = stream(cumulative=False, sizes=[5, 7, 11, 13])

    assert outgoing.acknowledge_run(outgoing.base + outgoing.next_sequence - 4, 3, 2) == 3
    assert (len(outgoing), outgoing.bytes) == (1, 13)
    assert (outgoing.delivered, outgoing.delivered_bytes) == (3, 23)
