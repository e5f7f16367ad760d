# SPDX-License-Identifier: Apache-2.0
"""How often, after what and how soon a request is made again."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.modboss import DeviceError, OptionError, RetryPolicy


class Busy(DeviceError):
    pass


def test_pauses_grow_up_to_the_longest() -> None:
    policy = RetryPolicy(first_pause=0.5, factor=3, longest_pause=6, jitter=0)

    assert [policy.pause(attempt) for attempt in range(1, 6)] == [0.5, 1.5, 4.5, 6, 6]


def test_a_pause_beyond_all_numbers_is_the_longest() -> None:
    policy = RetryPolicy(first_pause=1, factor=10, longest_pause=60, jitter=0)

    assert policy.pause(10_000) == 60


def test_jitter_leaves_out_a_random_share() -> None:
    policy = RetryPolicy(first_pause=1, jitter=0.5, random=lambda: 0.5)

    assert policy.pause(1) == 0.75
    assert RetryPolicy(first_pause=0).pause(3) == 0


@given(
    st.builds(
        RetryPolicy,
        first_pause=st.floats(0, 100),
        factor=st.floats(1, 10),
        longest_pause=st.floats(0, 100),
        jitter=st.floats(0, 1),
    ),
    st.integers(1, 2000),
)
def test_a_pause_is_never_negative_nor_longer_than_allowed(
    policy: RetryPolicy, attempt: int
) -> None:
    assert 0 <= policy.pause(attempt) <= policy.longest_pause


def test_errors_are_chosen_by_class_or_by_a_function() -> None:
    assert RetryPolicy().retries(DeviceError("any"))
    assert RetryPolicy(retry_on=Busy).retries(Busy())
    assert not RetryPolicy(retry_on=Busy).retries(DeviceError())
    assert RetryPolicy(retry_on=(Busy, DeviceError)).retries(DeviceError())
    assert not RetryPolicy(retry_on=()).retries(DeviceError())
    by_reason = RetryPolicy(retry_on=lambda error: error.reason == "busy")
    assert by_reason.retries(DeviceError("busy"))
    assert not by_reason.retries(DeviceError("broken"))


@pytest.mark.parametrize(
    "options",
    [
        {"attempts": 0},
        {"attempts": True},
        {"attempts": 2.0},
        {"first_pause": -1},
        {"first_pause": math.inf},
        {"longest_pause": math.nan},
        {"longest_pause": "5"},
        {"factor": 0.5},
        {"jitter": 1.5},
        {"jitter": True},
    ],
    ids=str,
)
def test_a_value_that_is_none_is_refused_by_its_name(options: dict[str, Any]) -> None:
    with pytest.raises(OptionError, match=next(iter(options))):
        RetryPolicy(**options)
