# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.apps.collect.quantiles import quantile
from tests.apps.collect.samples import exponential, histogram


@pytest.mark.parametrize(
    ("point", "q", "expected"),
    [
        (histogram((), ()), 0.5, None),
        (histogram((0, 0), (1.0,)), 0.5, None),
        (histogram((0, 4, 0), (1.0, 3.0)), 0.5, 2.0),
        (histogram((0, 4, 0), (1.0, 3.0)), 0.0, 1.0),
        (histogram((0, 4, 0), (1.0, 3.0)), 1.0, 3.0),
        (histogram((0, 2, 2, 0), (1.0, 3.0, 7.0)), 0.75, 5.0),
        # Without a bound on one side, the other is all that is known.
        (histogram((4, 0), (1.0,)), 0.5, 1.0),
        (histogram((0, 4), (1.0,)), 0.5, 1.0),
        (histogram((4,), ()), 0.5, None),
        # With extremes there are bounds on both.
        (histogram((4,), (), min=1.0, max=3.0), 0.5, 2.0),
        (histogram((0, 4), (1.0,), max=3.0), 0.5, 2.0),
        (histogram((0, 4, 0), (0.0, 100.0), min=10.0, max=20.0), 0.5, 15.0),
        (exponential(), 0.5, None),
        (exponential(positive=(2, 2)), 0.5, 2.0),
        (exponential(positive=(2, 2)), 1.0, 4.0),
        (exponential(positive_offset=1, positive=(4,), max=3.0), 1.0, 3.0),
        (exponential(zero_count=3), 0.5, 0.0),
        (exponential(negative=(2, 2), zero_count=4), 0.25, -2.0),
        (exponential(negative_offset=1, negative=(4,)), 0.0, -4.0),
        (exponential(scale=1, positive_offset=2, positive=(4,)), 0.0, 2.0),
        # Indices beyond what a float can say.
        (exponential(positive_offset=5000, positive=(1,), max=7.0), 1.0, 7.0),
        (exponential(positive_offset=5000, positive=(1,)), 1.0, None),
    ],
)
def test_quantiles_are_estimated_within_their_bucket(
    point: Any, q: float, expected: float | None
) -> None:
    assert quantile(point, q) == pytest.approx(expected)


@given(st.lists(st.floats(0.001, 1000), min_size=1), st.floats(0, 1))
def test_an_estimate_is_as_good_as_the_bucket_is_narrow(values: list[float], q: float) -> None:
    bounds = (0.0, 0.01, 0.1, 1.0, 10.0, 100.0)
    counts = [0] * 7
    for value in values:
        counts[sum(value > bound for bound in bounds)] += 1
    point = histogram(tuple(counts), bounds, min=min(values), max=max(values))

    estimate = quantile(point, q)

    assert estimate is not None
    assert min(values) <= estimate <= max(values)
