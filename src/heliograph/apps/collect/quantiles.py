# SPDX-License-Identifier: Apache-2.0
"""Quantiles estimated from histograms: as good as the buckets are narrow."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from heliograph.apps.collect.model import HistogramPoint

if TYPE_CHECKING:
    from collections.abc import Iterator

    from heliograph.apps.collect.model import ExponentialPoint

__all__ = ["quantile"]


def quantile(point: HistogramPoint | ExponentialPoint, q: float) -> float | None:
    """Estimate a quantile: within its bucket, observations are taken as spread evenly.

    Args:
        point: The histogram.
        q: Which quantile, from 0 to 1.

    Returns:
        None if the histogram has no buckets or no observations, or if the quantile is in a bucket
        without a bound where the least or greatest value is not known either.
    """
    buckets = list(_explicit(point) if isinstance(point, HistogramPoint) else _exponential(point))
    total = sum(count for _, _, count in buckets)
    rank, seen = q * total, 0
    for lower, upper, count in buckets:
        if count and seen + count >= rank:
            # What is known of the extremes is known of this bucket, too.
            low = lower if point.min is None else max(lower, point.min)
            high = upper if point.max is None else min(upper, point.max)
            if not (math.isfinite(low) and math.isfinite(high)):
                return low if math.isfinite(low) else high if math.isfinite(high) else None
            # Rounding may lead beyond the bound.
            return min(high, low + (high - low) * (max(0.0, rank - seen) / count))
        seen += count
    return None


def _explicit(point: HistogramPoint) -> Iterator[tuple[float, float, int]]:
    bounds = (-math.inf, *point.bounds, math.inf)
    yield from zip(bounds, bounds[1:], point.bucket_counts, strict=False)


def _exponential(point: ExponentialPoint) -> Iterator[tuple[float, float, int]]:
    exponent = 2.0**-point.scale

    def bound(index: int) -> float:
        try:
            return float(2.0 ** (index * exponent))
        except OverflowError:
            return math.inf

    for position in reversed(range(len(point.negative))):
        index = point.negative_offset + position
        yield -bound(index + 1), -bound(index), point.negative[position]
    yield 0.0, 0.0, point.zero_count
    for position, count in enumerate(point.positive):
        index = point.positive_offset + position
        yield bound(index), bound(index + 1), count
