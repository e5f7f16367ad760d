# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from heliograph.partisan.protocol.overlay.past import LEAVING, NEVER, Past
from heliograph.partisan.protocol.overlay.settings import HyParViewConfig
from heliograph.partisan.wire import Atom
from heliograph.partisan.wire.messages import Disconnection

A, B = Atom("a"), Atom("b")


def test_disconnections_of_a_node_are_numbered_from_one_in_each_epoch() -> None:
    past = Past(HyParViewConfig())

    numbers = [past.part(name, epoch) for name, epoch in [(A, 1), (A, 1), (B, 1), (A, 2)]]

    assert numbers == [(1, 1), (1, 2), (1, 1), (2, 1)]
    assert past.knows(A, Disconnection(2, 1))
    assert not past.knows(A, Disconnection(1, 2))


def test_who_was_lost_owes_the_number_of_the_next_disconnection() -> None:
    past = Past(HyParViewConfig())
    assert past.knows(A, NEVER)

    past.lose(A, 1, 0)

    assert not past.knows(A, NEVER)
    assert past.remind(A, 1) == past.remind(A, 1) == (1, 1)
    assert past.part(A, 1) == (1, 2)


def test_who_owes_nothing_is_told_of_a_new_disconnection() -> None:
    assert Past(HyParViewConfig()).remind(A, 1) == (1, 1)


def test_a_farewell_is_news_each_time_and_takes_no_number() -> None:
    past = Past(HyParViewConfig())

    assert past.hear(A, Disconnection(1, LEAVING))
    assert past.hear(A, Disconnection(1, LEAVING))
    assert past.hear(A, Disconnection(1, 1))
    assert not past.hear(A, Disconnection(1, 1))
    assert past.heard(A) == (1, 1)


def test_a_departure_counts_until_it_is_long_ago_or_the_node_is_in_a_later_epoch() -> None:
    config = HyParViewConfig()
    past = Past(config)
    past.depart(A, 3, 1, 0)

    assert past.avoids(A, config.deny_for)
    assert past.avoids(A, 0, epoch=3)
    assert not past.avoids(A, 0, epoch=4)
    past.depart(A, 3, 1, 0)
    assert not past.avoids(A, config.departed_for)


@given(st.lists(st.tuples(st.integers(0, 9), st.booleans()), max_size=60))
def test_whatever_is_forgotten_numbers_to_one_node_only_grow(
    steps: list[tuple[int, bool]],
) -> None:
    past = Past(HyParViewConfig(disconnections=3, denied=2, departed=2))
    last: dict[int, Disconnection] = {}
    for node, lost in steps:
        name = Atom(f"n{node}")
        if lost:
            past.lose(name, 1, 0)
            past.depart(name, 1, 1, 0)
        else:
            number = past.part(name, 1)
            assert number > last.get(node, NEVER)
            last[node] = number
            past.hear(name, number)

    assert max(len(past._sent), len(past._owed), len(past._heard)) <= 3
    assert max(len(past.denied), len(past.departed)) <= 2
