# SPDX-License-Identifier: Apache-2.0
"""What a collection yields: a metric's points, after OpenTelemetry's data model.

https://opentelemetry.io/docs/specs/otel/metrics/data-model/. Times are nanoseconds since the epoch;
values are in the metric's unit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

if TYPE_CHECKING:
    from heliograph.catalog.model import Instrument
    from heliograph.metrics.definitions import Definition, Scope

__all__ = [
    "OVERFLOW",
    "Exemplar",
    "ExponentialPoint",
    "HistogramPoint",
    "MetricPoints",
    "NumberPoint",
    "Point",
    "TagValue",
    "Temporality",
]

TagValue: TypeAlias = str | int | float | bool
Temporality: TypeAlias = Literal["cumulative", "delta"]

OVERFLOW: Final = "otel.metric.overflow"
"""The only attribute, true, of the series that has what went beyond the cardinality limit."""


@dataclass(frozen=True, slots=True)
class Exemplar:
    """One observation of those that made a point, and the span it was made in."""

    value: int | float
    time: int
    trace_id: int
    span_id: int
    attributes: Mapping[str, TagValue]
    """The tags that the point itself does not have: those of a series that overflowed."""


@dataclass(frozen=True, slots=True)
class NumberPoint:
    """A count, a sum or a last value."""

    attributes: Mapping[str, TagValue]
    start_time: int | None
    """None for a last value."""
    time: int
    value: int | float
    exemplars: tuple[Exemplar, ...] = ()


@dataclass(frozen=True, slots=True)
class HistogramPoint:
    """A distribution in buckets with explicit bounds."""

    attributes: Mapping[str, TagValue]
    start_time: int
    time: int
    count: int
    sum: int | float
    min: float
    max: float
    bounds: tuple[float, ...]
    """Upper bounds, inclusive; the last bucket has none."""
    counts: tuple[int, ...]
    """One more than there are bounds."""
    exemplars: tuple[Exemplar, ...] = ()


@dataclass(frozen=True, slots=True)
class ExponentialPoint:
    """A distribution in base-2 exponential buckets.

    Bucket `i` of the positive range, counted from its offset, has the values above `base ** i` and
    up to `base ** (i + 1)`, where `base` is `2 ** (2 ** -scale)`.
    """

    attributes: Mapping[str, TagValue]
    start_time: int
    time: int
    count: int
    sum: int | float
    min: float
    max: float
    scale: int
    zero_count: int
    offset: int
    counts: tuple[int, ...]
    exemplars: tuple[Exemplar, ...] = ()


Point: TypeAlias = NumberPoint | HistogramPoint | ExponentialPoint


@dataclass(frozen=True, slots=True)
class MetricPoints:
    """One metric with all its points at the time of a collection."""

    definition: Definition
    temporality: Temporality
    points: tuple[Point, ...]

    @property
    def name(self) -> str:
        """The metric's name."""
        return self.definition.name

    @property
    def unit(self) -> str:
        """UCUM code of the values."""
        return self.definition.unit

    @property
    def description(self) -> str:
        """What it means, in a line."""
        return self.definition.description

    @property
    def instrument(self) -> Instrument:
        """Which of the five kinds it is."""
        return self.definition.instrument

    @property
    def monotonic(self) -> bool:
        """Whether a count or sum can only grow."""
        return self.definition.monotonic

    @property
    def scope(self) -> Scope:
        """Whose metric it is."""
        return self.definition.scope
