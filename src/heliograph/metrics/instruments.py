# SPDX-License-Identifier: Apache-2.0
"""How each kind of metric is kept in a row, updated, and read.

A row is a list: five entries that all rows have, then each instrument's own. Instruments update it
in two ways that must agree: by the statements they contribute to the function that is generated for
an event, and by `update`, for events that the generated function sends the careful way.

Values are kept as they were measured, integers above all, and converted to the metric's unit when
they are read: that is both faster and exact.
"""

from __future__ import annotations

from bisect import bisect_left
from fractions import Fraction
from math import inf, isfinite
from numbers import Real
from random import random
from sys import float_info
from typing import TYPE_CHECKING, Any, Final

from heliograph.metrics.exponential import ExponentialBuckets
from heliograph.metrics.points import (
    Exemplar,
    ExponentialPoint,
    HistogramPoint,
    NumberPoint,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import TypeAlias

    from heliograph.metrics.definitions import Definition
    from heliograph.metrics.points import Point, TagValue

    Number: TypeAlias = int | float
    Row: TypeAlias = list[Any]
    Offered: TypeAlias = tuple[Number, int, tuple[int, int], Any]
    Record: TypeAlias = Callable[[float, Mapping[str, TagValue]], object]

__all__ = [
    "APART",
    "EXEMPLARS",
    "FAILED",
    "MISSING",
    "NEGATIVE",
    "NOT_A_NUMBER",
    "NOT_FINITE",
    "OWN",
    "SEEN",
    "START",
    "TAGS",
    "UNFIT_TAG",
    "WHOLE_LIMIT",
    "Kept",
    "Skip",
    "make",
]

# The entries that all rows have.
TAGS: Final = 0
"""Its attributes; the mapping is never changed."""
START: Final = 1
"""When its first observation was made."""
SEEN: Final = 2
"""How many observations all its instruments had together."""
APART: Final = 3
"""How many more each instrument had, by its position; None if there were none."""
EXEMPLARS: Final = 4
"""Observations kept as exemplars; None if there are none. Else a list: how many were offered, the
one that is kept for all instruments without a shelf, then the shelves of the others, and last what
`Table.numbers` told of: the one that was kept then, and which instruments it told so."""
OWN: Final = 5
"""Where the instruments' own entries begin."""

# Why a point was skipped.
MISSING: Final = "missing"
NOT_A_NUMBER: Final = "not_a_number"
NOT_FINITE: Final = "not_finite"
NEGATIVE: Final = "negative"
FAILED: Final = "failed"
"""A function of the definition raised."""
UNFIT_TAG: Final = "unfit_tag"
"""Not skipped: the point is kept without a tag whose value cannot be one."""

WHOLE_LIMIT: Final = 2**63 - 1
"""Greatest integer that OTLP can say."""


class Skip(Exception):
    """A measurement that cannot be used; its argument is the reason."""


class Kept:
    """One definition's part of a row; by itself, a counter."""

    entries = 0
    """How many of the row's entries are its own."""
    shelved = False
    """Whether it keeps exemplars apart from those of the others."""
    forwarded = False
    """Whether somebody else keeps it, exemplars included."""

    def __init__(self, definition: Definition, position: int, at: int) -> None:
        self.definition = definition
        self.position = position
        self.at = at
        self.place = self.shelf = 0  # which of its table's instruments, and where its shelf is
        self.name: str = f"{position}"
        factor = definition.factor
        self.times: int = factor.numerator
        self.by: int = factor.denominator
        self.nonnegative: bool = definition.instrument == "sum" and definition.monotonic
        # A float below the limit is finite in the metric's unit too.
        self.limit: float = inf if factor <= 1 else float_info.max / float(factor)

    # -- Measurements -----------------------------------------------------------------------------

    def read(self, measurements: Mapping[str, Any], metadata: Mapping[str, Any]) -> Number:
        """The measurement of an event, as an int or a float.

        Raises:
            Skip: there is none that can be used.
        """
        measurement = self.definition.measurement
        if measurement is None:
            return 1
        if callable(measurement):
            try:
                value = measurement(measurements, metadata)
            except Exception as failure:  # whatever a user's function raises
                raise Skip(FAILED) from failure
        else:
            try:
                value = measurements[measurement]
            except KeyError as failure:
                raise Skip(MISSING) from failure
        return self.checked(value)

    def checked(self, value: Any) -> Number:
        """The value as an exact int or float that can be kept."""
        if value is None:
            raise Skip(MISSING)
        number: Number
        if isinstance(value, bool):
            raise Skip(NOT_A_NUMBER)
        if isinstance(value, int):
            number = int(value)
            if abs(number) > WHOLE_LIMIT:
                raise Skip(NOT_FINITE)
        elif isinstance(value, Real):
            number = float(value)
            if not isfinite(number) or abs(number) >= self.limit:
                raise Skip(NOT_FINITE)
        else:
            raise Skip(NOT_A_NUMBER)
        if self.nonnegative and number < 0:
            raise Skip(NEGATIVE)
        return 1 if self.definition.instrument == "counter" else number

    def export(self, value: Number) -> Number:
        """A kept value in the metric's unit."""
        if self.by != 1:
            return value * self.times / self.by
        value *= self.times
        if self.definition.double or abs(value) > WHOLE_LIMIT:
            return float(value)
        return value

    # -- Rows -------------------------------------------------------------------------------------

    def blank(self) -> list[Any]:
        """Its entries in a new row."""
        return []

    def update(self, row: Row, value: Number) -> None:
        """Add an observation by hand; the caller has the lock, and notes it in `APART`."""

    def hand_on(self, row: Row, value: Number) -> None:
        """Hand the observation on to whoever keeps it in our stead; without the lock."""

    def frozen(self, row: Row) -> list[Any]:
        """Its entries, such that they no longer change."""
        return row[self.at : self.at + self.entries]

    def seen(self, row: Row) -> int:
        """How many observations it had."""
        apart: dict[int, int] | None = row[APART]
        seen: int = row[SEEN]
        return seen if apart is None else seen + apart.get(self.position, 0)

    def point(self, row: Row, start: int, time: int, exemplars: tuple[Exemplar, ...]) -> Point:
        """What a frozen row says of it."""
        return NumberPoint(row[TAGS], start, time, self.number(row), exemplars)

    def number(self, row: Row) -> Number:
        """The value of a count, a sum or a last value."""
        return self.seen(row)

    # -- The generated function -------------------------------------------------------------------

    def before(self, value: str) -> list[str]:  # noqa: ARG002 - for those that have any
        """Statements to be executed before anything is touched."""
        return []

    def inside(self, row: str, value: str) -> list[str]:  # noqa: ARG002 - as above
        """Statements that update a row, under the lock; they call nothing of a user's."""
        return []

    def after(self, row: str, value: str) -> list[str]:  # noqa: ARG002 - as above
        """Statements to be executed when the lock is released."""
        return []

    def offering(self, held: str, offered: str) -> str:
        """The statement that does what `offer` does, if it has a shelf."""
        return f"offer_{self.name}({held}, {offered})"

    def names(self) -> dict[str, object]:
        """What its statements refer to."""
        return {f"offer_{self.name}": self.offer} if self.shelved else {}

    def expression(self, value: str) -> str:
        """`export` of an expression, for instruments whose values are floating point."""
        if self.times != 1:
            value = f"{value} * {self.times}"
        return f"{value} / {self.by}" if self.by != 1 else value

    # -- Exemplars --------------------------------------------------------------------------------
    #
    # A row's instruments that keep one exemplar each keep the same observation: each is then as
    # likely as any other, which is all that the specification's simple reservoir asks for.

    def offer(self, held: list[Any], offered: Offered) -> None:
        """Put an observation on its shelf."""

    def kept_of(self, held: list[Any]) -> list[Offered]:
        """The observations that are its exemplars."""
        values, *others = held[1]
        return [] if values[self.place] is None else [(values[self.place], *others)]

    def exemplars(
        self, row: Row, left: Callable[[Any], Mapping[str, TagValue]]
    ) -> tuple[Exemplar, ...]:
        """The exemplars of a frozen row; `left` says of a key what the row does not."""
        if row[EXEMPLARS] is None:
            return ()
        return tuple(
            Exemplar(self.export(value), time, *span, left(key))
            for value, time, span, key in self.kept_of(row[EXEMPLARS])
        )


class _Sum(Kept):
    entries = 1

    def blank(self) -> list[Any]:
        return [0]

    def update(self, row: Row, value: Number) -> None:
        row[self.at] += value

    def number(self, row: Row) -> Number:
        return self.export(row[self.at])

    def inside(self, row: str, value: str) -> list[str]:
        return [f"{row}[{self.at}] += {value}"]


class _LastValue(Kept):
    entries = 1

    def blank(self) -> list[Any]:
        return [0]

    def update(self, row: Row, value: Number) -> None:
        row[self.at] = value

    def number(self, row: Row) -> Number:
        return self.export(row[self.at])

    def point(
        self,
        row: Row,
        start: int,  # noqa: ARG002 - a last value has no start
        time: int,
        exemplars: tuple[Exemplar, ...],
    ) -> Point:
        return NumberPoint(row[TAGS], None, time, self.number(row), exemplars)

    def inside(self, row: str, value: str) -> list[str]:
        return [f"{row}[{self.at}] = {value}"]


class _Distribution(Kept):
    """What histograms have in common: sum, least and greatest, after their buckets."""

    entries = 4

    def __init__(self, definition: Definition, position: int, at: int) -> None:
        super().__init__(definition, position, at)
        self.nonnegative = True

    def blank(self) -> list[Any]:
        return [0, inf, -inf]

    def update(self, row: Row, value: Number) -> None:
        at = self.at
        row[at + 1] += value
        row[at + 2] = min(row[at + 2], value)
        row[at + 3] = max(row[at + 3], value)

    def inside(self, row: str, value: str) -> list[str]:
        at = self.at
        return [
            f"{row}[{at + 1}] += {value}",
            f"if {value} < {row}[{at + 2}]: {row}[{at + 2}] = {value}",
            f"if {value} > {row}[{at + 3}]: {row}[{at + 3}] = {value}",
        ]

    def frozen(self, row: Row) -> list[Any]:
        buckets, *others = super().frozen(row)
        return [buckets.copy(), *others]


class _Histogram(_Distribution):
    """Explicit bounds; a summary, which has none, is the same with one bucket."""

    shelved = True

    def __init__(self, definition: Definition, position: int, at: int) -> None:
        super().__init__(definition, position, at)
        self.bounds = definition.buckets
        # Bounds in the unit of the measurement: the greatest integers that are within the bounds
        # once they are converted. An integer need then not be converted to find its bucket.
        self.wholes = [self._whole(bound) for bound in self.bounds]

    def _whole(self, bound: float) -> Number:
        if self.definition.factor == 1:
            return bound
        whole = Fraction(bound) // self.definition.factor
        if abs(whole) > WHOLE_LIMIT:
            return whole
        # Conversion rounds, so that a little more may still come out as the bound.
        while self.export(whole + 1) <= bound:
            whole += 1
        return whole

    def bucket(self, value: Number) -> int:
        if value.__class__ is int:
            return bisect_left(self.wholes, value)
        return bisect_left(self.bounds, self.export(value))

    def blank(self) -> list[Any]:
        return [[0] * (len(self.bounds) + 1), *super().blank()]

    def update(self, row: Row, value: Number) -> None:
        super().update(row, value)
        row[self.at][self.bucket(value)] += 1

    def point(self, row: Row, start: int, time: int, exemplars: tuple[Exemplar, ...]) -> Point:
        counts, total, least, greatest = row[self.at : self.at + 4]
        return HistogramPoint(
            row[TAGS],
            start,
            time,
            self.seen(row),
            self.export(total),
            self.export(least),
            self.export(greatest),
            self.bounds,
            tuple(counts),
            exemplars,
        )

    def before(self, value: str) -> list[str]:
        if not self.bounds:
            return []
        whole = f"bisect(wholes_{self.name}, {value})"
        if self.definition.whole:
            return [f"bucket_{self.name} = {whole}"]
        other = f"bisect(bounds_{self.name}, {self.expression(value)})"
        return [f"bucket_{self.name} = {whole} if {value}.__class__ is int else {other}"]

    def inside(self, row: str, value: str) -> list[str]:
        bucket = f"bucket_{self.name}" if self.bounds else "0"
        return [f"{row}[{self.at}][{bucket}] += 1", *super().inside(row, value)]

    def names(self) -> dict[str, object]:
        return {f"wholes_{self.name}": self.wholes, f"bounds_{self.name}": self.bounds}

    def offer(self, held: list[Any], offered: Offered) -> None:
        # The specification's aligned reservoir: of each bucket the latest.
        held[self.shelf][self.bucket(offered[0])] = offered

    def kept_of(self, held: list[Any]) -> list[Offered]:
        shelf = held[self.shelf]
        return [shelf[bucket] for bucket in sorted(shelf)]

    def offering(self, held: str, offered: str) -> str:
        bucket = f"bucket_{self.name}" if self.bounds else "0"
        return f"{held}[{self.shelf}][{bucket}] = {offered}"


class _Exponential(_Distribution):
    shelved = True
    reservoir = 20  # the specification's: as many as there are buckets, at most 20

    def offer(self, held: list[Any], offered: Offered) -> None:
        # The specification's simple reservoir; under -1 is how many were offered.
        shelf = held[self.shelf]
        shelf[-1] = count = shelf.get(-1, 0) + 1
        place = count - 1 if count <= self.reservoir else int(random() * count)  # noqa: S311
        if place < self.reservoir:
            shelf[place] = offered

    def kept_of(self, held: list[Any]) -> list[Offered]:
        return [offered for place, offered in held[self.shelf].items() if place >= 0]

    def blank(self) -> list[Any]:
        return [ExponentialBuckets(), *super().blank()]

    def update(self, row: Row, value: Number) -> None:
        super().update(row, value)
        row[self.at].add(self.export(value))

    def inside(self, row: str, value: str) -> list[str]:
        added = f"{row}[{self.at}].add({self.expression(value)})"
        return [*super().inside(row, value), added]

    def point(self, row: Row, start: int, time: int, exemplars: tuple[Exemplar, ...]) -> Point:
        buckets, total, least, greatest = row[self.at : self.at + 4]
        offset, counts = buckets.dense()
        return ExponentialPoint(
            row[TAGS],
            start,
            time,
            self.seen(row),
            self.export(total),
            self.export(least),
            self.export(greatest),
            buckets.scale if counts else 0,
            buckets.zeros,
            offset,
            counts,
            exemplars,
        )


class _Forwarded(Kept):
    """A histogram that somebody else keeps: each value is handed on with the row's attributes."""

    forwarded = True

    def __init__(self, definition: Definition, position: int, at: int, record: Record) -> None:
        super().__init__(definition, position, at)
        self.record = record
        self.nonnegative = True

    def after(self, row: str, value: str) -> list[str]:
        return [f"record_{self.name}({self.expression(value)}, {row}[{TAGS}])"]

    def names(self) -> dict[str, object]:
        return {f"record_{self.name}": self.record}

    def hand_on(self, row: Row, value: Number) -> None:
        self.record(self.export(value), row[TAGS])


def make(definition: Definition, position: int, at: int, record: Record | None = None) -> Kept:
    """What keeps a definition's numbers, from entry `at` of its rows on.

    Args:
        definition: The definition.
        position: Which of the aggregate's definitions it is.
        at: The first of its entries.
        record: Who keeps it in our stead.
    """
    if record is not None:
        return _Forwarded(definition, position, at, record)
    if definition.instrument == "counter":
        return Kept(definition, position, at)
    if definition.instrument == "sum":
        return _Sum(definition, position, at)
    if definition.instrument == "last_value":
        return _LastValue(definition, position, at)
    if definition.exponential:
        return _Exponential(definition, position, at)
    return _Histogram(definition, position, at)
