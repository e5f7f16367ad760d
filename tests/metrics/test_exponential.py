# SPDX-License-Identifier: Apache-2.0
"""Base-2 exponential buckets, against the data model and against the SDK's."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from opentelemetry.sdk.metrics import Histogram, MeterProvider
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    ExponentialHistogramDataPoint,
    InMemoryMetricReader,
)
from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation

from heliograph.metrics.exponential import MAX_SCALE, ExponentialBuckets, bucket_index

POSITIVE = st.floats(min_value=0, exclude_min=True, allow_infinity=False, allow_nan=False)
VALUES = st.one_of(
    st.just(0.0),
    st.floats(min_value=0, max_value=1e308, allow_nan=False),
    st.floats(min_value=0.001, max_value=10),
    st.integers(-1074, 1023).map(lambda exponent: math.ldexp(1.0, exponent)),
)


def dense(point: ExponentialHistogramDataPoint) -> dict[int, int]:
    counts = enumerate(point.positive.bucket_counts, start=point.positive.offset)
    return {index: count for index, count in counts if count}


def of_the_sdk(values: list[float]) -> ExponentialHistogramDataPoint:
    reader = InMemoryMetricReader(
        preferred_temporality={Histogram: AggregationTemporality.DELTA},
        preferred_aggregation={Histogram: ExponentialBucketHistogramAggregation()},
    )
    provider = MeterProvider([reader], shutdown_on_exit=False)
    histogram = provider.get_meter("test").create_histogram("test")
    for value in values:
        histogram.record(value)
    data = reader.get_metrics_data()
    assert data is not None
    [point] = data.resource_metrics[0].scope_metrics[0].metrics[0].data.data_points
    assert isinstance(point, ExponentialHistogramDataPoint)
    return point


@given(st.lists(VALUES, min_size=1, max_size=60))
@example([1.0])
@example([0.0, 0.0])
@example([5e-324, 1.7976931348623157e308])
@example([0.5, 1, 2, 4])
def test_they_are_those_of_the_sdk(values: list[float]) -> None:
    buckets = ExponentialBuckets()
    for value in values:
        buckets.add(value)
    theirs = of_the_sdk(values)
    offset, counts = buckets.dense()
    assert buckets.zeros == theirs.zero_count
    assert {offset + n: count for n, count in enumerate(counts) if count} == dense(theirs)
    if counts:
        assert buckets.scale == theirs.scale


@given(POSITIVE, st.integers(-10, 4))
def test_a_value_is_above_its_buckets_lower_bound_and_within_the_upper(
    value: float, scale: int
) -> None:
    index = bucket_index(value, scale)
    value = max(value, 2.2250738585072014e-308)
    # value ** (2 ** scale) against 2 ** index, in whole numbers where the scale allows it.
    exact = Fraction(value)
    if scale >= 0:
        power = exact ** (2**scale)
        near = 1 + Fraction(1, 2**30)
        assert power * near > Fraction(2) ** index
        assert power <= Fraction(2) ** (index + 1) * near
    else:
        step = 2**-scale
        assert exact > Fraction(2) ** (index * step)
        assert exact <= Fraction(2) ** ((index + 1) * step)


@pytest.mark.parametrize("scale", [-10, -1, 0, 1, 7, MAX_SCALE])
@pytest.mark.parametrize("exponent", [-1022, -3, -1, 0, 1, 5, 1023])
def test_powers_of_two_are_upper_bounds(scale: int, exponent: int) -> None:
    index = bucket_index(math.ldexp(1.0, exponent), scale)
    if scale > 0:
        assert index == (exponent << scale) - 1
    else:
        assert index == (exponent - 1) >> -scale


def test_the_greatest_float_is_in_the_last_bucket() -> None:
    assert bucket_index(1.7976931348623157e308, MAX_SCALE) == (1024 << MAX_SCALE) - 1


@given(st.lists(VALUES, max_size=200))
def test_there_are_never_more_than_160(values: list[float]) -> None:
    buckets = ExponentialBuckets()
    for value in values:
        buckets.add(value)
    _, counts = buckets.dense()
    assert len(counts) <= 160
    assert sum(counts) + buckets.zeros == len(values)
    assert all(counts[:1])
    assert all(counts[-1:])


def test_a_copy_goes_its_own_way() -> None:
    buckets = ExponentialBuckets()
    buckets.add(1.0)
    copied = buckets.copy()
    buckets.add(2.0)
    buckets.add(0)
    assert copied.dense() == (-1, (1,))
    assert (copied.zeros, copied.scale) == (0, MAX_SCALE)
