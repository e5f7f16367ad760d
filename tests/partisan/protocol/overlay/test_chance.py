# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import random
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from heliograph.partisan.protocol.overlay.chance import draw


@given(st.lists(st.integers(), unique=True, max_size=20), st.integers(0, 25), st.integers(0, 99))
def test_as_many_are_drawn_as_there_are_and_none_twice(
    items: list[int], count: int, seed: int
) -> None:
    drawn = draw(random.Random(seed), [*items], count)

    assert len(drawn) == len(set(drawn)) == min(count, len(items))
    assert set(drawn) <= set(items)


def test_each_is_drawn_as_often_as_any_other() -> None:
    chance = random.Random(1)
    pairs = Counter(tuple(draw(chance, [1, 2, 3, 4], 2)) for _ in range(12_000))

    assert len(pairs) == 12
    assert all(880 < count < 1_120 for count in pairs.values())  # four standard deviations
