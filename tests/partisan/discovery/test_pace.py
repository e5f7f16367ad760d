# SPDX-License-Identifier: Apache-2.0
"""The pauses between two looks."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.partisan.discovery import DiscoveryConfig
from heliograph.partisan.discovery.pace import Pace


def test_pauses_double_up_to_the_interval_and_begin_anew_once_all_is_well() -> None:
    pace = Pace(DiscoveryConfig(interval=10, backoff=1, jitter=0), random.Random(1))

    vain = [pace.after(well=False) for _ in range(6)]
    well = [pace.after(well=True) for _ in range(2)]

    assert vain == [1, 2, 4, 8, 10, 10]
    assert well == [10, 10]
    assert pace.after(well=False) == 1


@given(st.lists(st.booleans(), max_size=100), st.floats(0, 1), st.integers())
def test_no_pause_is_longer_than_the_interval_nor_shorter_than_chance_allows(
    outcomes: list[bool], jitter: float, seed: int
) -> None:
    pace = Pace(DiscoveryConfig(interval=60, backoff=0.5, jitter=jitter), random.Random(seed))

    for well in outcomes:
        pause = pace.after(well=well)
        assert (60 if well else 0.5) * (1 - jitter) <= pause <= 60


@pytest.mark.parametrize("name", ["interval", "backoff", "timeout", "found", "at_once"])
def test_what_is_not_above_zero_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} of discovery is 0; it must be above 0"):
        DiscoveryConfig(**{name: 0})


def test_jitter_is_a_part() -> None:
    with pytest.raises(ValueError, match=r"jitter of discovery is 1\.5"):
        DiscoveryConfig(jitter=1.5)
