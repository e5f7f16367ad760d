# SPDX-License-Identifier: Apache-2.0
"""When a node polls for more, and when it lets its event loop sleep."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.partisan import Node
from heliograph.partisan.busypoll import BusyPoll

LONGEST = 100
TURN = 10
"""What a turn of the loop takes."""


class Loop:
    """An event loop that sleeps when nothing is due, and counts what it does meanwhile."""

    def __init__(self, longest: int = LONGEST) -> None:
        self.time = 0
        self.due: deque[Callable[[], object]] = deque()
        self.turns = 0
        self.stolen = 0
        self.poll = BusyPoll(
            self.due.append, longest, lambda: self.time, lambda: self.time - self.stolen
        )

    def run_until(self, time: int) -> bool:
        """Let time pass; return whether the loop was awake at its end."""
        while self.due and self.time < time:
            self.time += TURN
            self.turns += 1
            for _ in range(len(self.due)):
                self.due.popleft()()
        self.time = max(self.time, time)
        return bool(self.due)

    def steal(self, time: int) -> None:
        """Let others have the processor."""
        self.time += time
        self.stolen += time

    def reads(self, count: int, gap: int) -> list[bool]:
        """Read so often, each after a gap; return which found the loop awake."""
        awake = []
        for _ in range(count):
            awake.append(self.run_until(self.time + gap))
            self.poll.read()
        return awake


def test_a_conversation_keeps_the_loop_awake() -> None:
    loop = Loop()
    awake = loop.reads(100, gap=50)
    assert not any(awake[:9]), "it begins with the eighth read that came quickly"
    assert all(awake[9:])


def test_a_conversation_held_up_by_sleep_wakes_the_loop() -> None:
    # Sleeping and waking up take as long again as what is said: the trial shows how it could be.
    loop = Loop()
    assert not any(loop.reads(9, gap=2 * LONGEST))
    assert all(loop.reads(100, gap=LONGEST // 2))


def test_after_the_conversation_the_loop_sleeps_soon() -> None:
    loop = Loop()
    loop.reads(100, gap=50)
    ended = loop.time
    assert not loop.run_until(ended + LONGEST + TURN)
    assert loop.poll.polling is False


def test_sparse_traffic_never_polls() -> None:
    loop = Loop()
    loop.reads(10_000, gap=2 * LONGEST + 1)
    assert loop.turns == 0


def test_one_way_traffic_at_intervals_too_long_is_tried_ever_more_rarely() -> None:
    loop = Loop()
    assert not any(loop.reads(1_000, gap=LONGEST + TURN))
    few = loop.turns
    assert not any(loop.reads(9_000, gap=LONGEST + TURN))
    assert loop.turns - few < few, "trials after 8, 16, ... and at last each 4,096 reads"
    assert loop.turns <= 3 * 12 * (LONGEST // TURN + 2)


def test_what_pays_again_is_trusted_again() -> None:
    loop = Loop()
    loop.reads(10_000, gap=LONGEST + TURN)
    assert any(loop.reads(4_200, gap=50)), "the longest rest is 4,096 reads"
    loop.reads(17 * 4_096, gap=50)
    loop.run_until(loop.time + 10 * LONGEST)  # the conversation is over; it has paid
    loop.reads(9, gap=3 * LONGEST)  # all credit is used up
    assert not loop.run_until(loop.time + 2 * LONGEST)
    loop.reads(18, gap=50)
    assert all(loop.reads(10, gap=50)), "a long conversation has made the rest short again"


def test_time_to_work_on_what_was_read_is_no_time_of_polling() -> None:
    loop = Loop()
    loop.reads(20, gap=50)
    for _ in range(100):
        loop.time += 20 * LONGEST  # in the same turn of the loop
        assert loop.run_until(loop.time + LONGEST // 2), "it polls when the work is done"
        loop.poll.read()


def test_whoever_loses_the_processor_lets_the_loop_sleep() -> None:
    loop = Loop()
    loop.reads(100, gap=50)
    loop.steal(50 * LONGEST)
    assert not loop.run_until(loop.time + TURN), "though something has just come"


def test_where_the_processor_is_lost_again_and_again_it_hardly_polls() -> None:
    loop = Loop()
    awake: list[bool] = []
    while len(awake) < 50_000:
        awake += loop.reads(50, gap=50)
        if loop.poll.polling:
            loop.steal(50 * LONGEST)
    assert sum(awake[-10_000:]) < 300


def test_a_longest_time_of_nothing_never_polls() -> None:
    loop = Loop(longest=0)
    loop.reads(1000, gap=1)
    assert loop.turns == 0


@given(st.lists(st.integers(0, 4 * LONGEST), max_size=400))
def test_polling_never_costs_much_more_than_it_found(gaps: list[int]) -> None:
    loop = Loop()
    found = 0
    for gap in gaps:
        found += loop.run_until(loop.time + gap)
        loop.poll.read()
    loop.run_until(loop.time + 10 * LONGEST)
    assert not loop.due, "it ends by itself"
    turns_of_one = LONGEST // TURN + 2
    trials = 3 * (len(gaps) // 8 + 1)
    assert loop.turns <= turns_of_one * (2 * found + trials)


@pytest.mark.parametrize("seconds", [-0.001, 0.011, float("nan"), float("inf")])
def test_a_node_says_what_it_takes(seconds: float) -> None:
    with pytest.raises(ValueError, match=r"busy_poll is .*it must be from 0 to 0\.01"):
        Node("a@127.0.0.1", busy_poll=seconds)
