# SPDX-License-Identifier: Apache-2.0
"""Base-2 exponential histograms, which find their own bounds.

The algorithm is OpenTelemetry's: begin with the finest scale and halve it whenever the values no
longer fit into the buckets there may be
(https://opentelemetry.io/docs/specs/otel/metrics/data-model/#exponentialhistogram and
https://opentelemetry.io/docs/specs/otel/metrics/sdk/#base2-exponential-bucket-histogram-aggregation).
Only the range of positive values and zero is kept: negative ones do not reach a histogram.
"""

from __future__ import annotations

from math import floor, frexp, ldexp, log
from sys import float_info
from typing import Final

__all__ = ["MAX_SCALE", "MAX_SIZE", "ExponentialBuckets", "bucket_index"]

MAX_SIZE: Final = 160
"""Most buckets; the specification's default."""
MAX_SCALE: Final = 20
"""Finest scale, with which an index still fits into 32 bits; the specification's default."""

_LOWEST: Final = float_info.min  # values below it, the subnormal ones, count as this one
_FACTORS: Final = [ldexp(1 / log(2), scale) for scale in range(MAX_SCALE + 1)]


def bucket_index(value: float, scale: int) -> int:
    """The index of the bucket for a finite value above zero.

    Bucket `i` has the values above `base ** i` and up to `base ** (i + 1)`. Powers of two, which
    are bounds at every scale, are placed exactly; other bounds within the precision of `log`, as
    the specification allows.
    """
    value = max(value, _LOWEST)
    fraction, exponent = frexp(value)
    if fraction == 0.5:
        exponent -= 1
        return (exponent << scale) - 1 if scale > 0 else (exponent - 1) >> -scale
    if scale <= 0:
        return (exponent - 1) >> -scale
    # A value just below 2 ** 1024 may come out one too high.
    return min(floor(log(value) * _FACTORS[scale]), (1024 << scale) - 1)


class ExponentialBuckets:
    """The buckets of one series."""

    __slots__ = ("counts", "high", "low", "max_size", "scale", "zeros")

    def __init__(self, max_size: int = MAX_SIZE, max_scale: int = MAX_SCALE) -> None:
        self.max_size: int = max_size
        self.scale: int = max_scale
        self.zeros: int = 0
        self.counts: dict[int, int] = {}
        self.low: int = 0
        self.high: int = 0

    def add(self, value: float) -> None:
        """Count a finite value that is not negative."""
        if value == 0:
            self.zeros += 1
            return
        index = bucket_index(value, self.scale)
        counts = self.counts
        if not counts:
            self.low = self.high = index
        elif not self.low <= index <= self.high:
            low, high = min(self.low, index), max(self.high, index)
            change = 0
            while (high >> change) - (low >> change) >= self.max_size:
                change += 1
            if change:
                counts = self.counts = self._halved(change)
                self.scale -= change
                # Not of the value: at the coarser scale it may fall on the other side of a bound
                # than the index it had, whereas every value must be where its neighbours are.
                index >>= change
            self.low, self.high = low >> change, high >> change
        counts[index] = counts.get(index, 0) + 1

    def _halved(self, change: int) -> dict[int, int]:
        halved: dict[int, int] = {}
        for index, count in self.counts.items():
            halved[index >> change] = halved.get(index >> change, 0) + count
        return halved

    def dense(self) -> tuple[int, tuple[int, ...]]:
        """The lowest index, and the counts from there to the highest."""
        if not self.counts:
            return 0, ()
        get = self.counts.get
        return self.low, tuple([get(index, 0) for index in range(self.low, self.high + 1)])

    def copy(self) -> ExponentialBuckets:
        """One that goes its own way from here."""
        copied = ExponentialBuckets(self.max_size, self.scale)
        copied.zeros, copied.low, copied.high = self.zeros, self.low, self.high
        copied.counts = self.counts.copy()
        return copied
