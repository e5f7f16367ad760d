# SPDX-License-Identifier: Apache-2.0
"""The series of metrics that are split alike: one row for each tuple of tags.

Definitions over the same events that have the same tags, conditions and limit share a table, and
each of its rows holds all their numbers; an event then looks a row up once for all of them.
"""

from __future__ import annotations

from random import random
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from heliograph import spans
from heliograph.catalog.exported import error_type
from heliograph.catalog.model import ERROR_TYPE
from heliograph.metrics.definitions import Tag
from heliograph.metrics.instruments import (
    APART,
    EXEMPLARS,
    FAILED,
    OWN,
    SEEN,
    START,
    TAGS,
    UNFIT_TAG,
    Skip,
    make,
)
from heliograph.metrics.points import OVERFLOW, Exemplar
from heliograph.metrics.tags import LONGEST, UnfitError, as_text, fit, key_of, tags_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from heliograph.metrics.definitions import Definition
    from heliograph.metrics.instruments import Kept, Number, Record, Row
    from heliograph.metrics.points import Point, TagValue

__all__ = ["NumberRead", "Table", "signature_of"]

NumberRead: TypeAlias = "tuple[Mapping[str, TagValue], Number, Exemplar | None]"
"""The attributes of a series, its present value, and an observation since the last time."""

_NOTHING: Final[Mapping[str, TagValue]] = MappingProxyType({})
_ERROR_TAG: Final = Tag(ERROR_TYPE, ERROR_TYPE, "string")
_CHUNK: Final = 64  # rows copied before emitters get a chance at the lock; our choice


def signature_of(definition: Definition) -> object:
    """What two definitions have in common if they share a table."""
    return (
        frozenset(definition.events),
        definition.tags,
        definition.tagging,
        definition.tag_values,
        frozenset(definition.errors.items()),
        definition.keep,
        definition.inverted,
        definition.predicate,
        definition.cardinality_limit,
        callable(definition.measurement),
    )


class Table:
    """The rows of definitions with one signature.

    Attributes:
        kept: What keeps each definition's numbers.
        rows: The rows by their keys, at most as many as the limit.
        overflow: The row for what goes beyond, if anything did.
        lock: Held by whoever looks at the rows; shared by all tables that one event updates.
    """

    def __init__(
        self,
        definitions: Sequence[tuple[int, Definition]],
        lock: Any,
        skip: Callable[[str, str], None],
        exemplar: Callable[[], tuple[int, int] | None] | None,
        records: Mapping[Definition, Record],
    ) -> None:
        """Make an empty table.

        Args:
            definitions: The definitions with their positions in the aggregate.
            lock: A re-entrant lock.
            skip: Called with a metric's name and a reason, under no lock.
            exemplar: The current sampled span, if anybody wants exemplars.
            records: For histograms that somebody else keeps, what takes a value.
        """
        self.lock = lock
        self.skip = skip
        self.kept: list[Kept] = []
        at = OWN
        for position, one in definitions:
            each = make(one, position, at, records.get(one))
            each.place = len(self.kept)
            each.shelf = 2 + len([other for other in self.kept if other.shelved])
            at += each.entries
            self.kept.append(each)
        self.exemplar: Callable[[], tuple[int, int] | None] | None
        self.exemplar = None if all(each.forwarded for each in self.kept) else exemplar
        definition = self.kept[0].definition
        self.definition: Definition = definition  # for what all have in common
        self.limit: int = definition.cardinality_limit
        self.tags: tuple[Tag, ...] = (
            (*definition.tags, _ERROR_TAG) if definition.errors else definition.tags
        )
        self.rows: dict[tuple[Any, ...], Row] = {}
        self.overflow: Row | None = None
        self.since: int | None = None
        """When its deltas were last collected."""

    # -- Rows, all of it under the lock -----------------------------------------------------------

    def find(self, key: tuple[Any, ...]) -> Row:
        """The row of a key that `rows` does not have as it stands; a new one if need be."""
        for part in key:
            if part.__class__ is str and (len(part) > LONGEST or not part.isascii()):
                # Texts that cannot be exported as they are have the row of what they become.
                key = tuple([as_text(each) if each.__class__ is str else each for each in key])
                row = self.rows.get(key)
                if row is not None:
                    return row
                break
        if self.overflow is not None:
            return self.overflow
        if len(self.rows) >= self.limit:
            return self._overflowed()
        row = self.rows[key] = self._blank(self.attributes(key))
        return row

    def attributes(self, key: tuple[Any, ...]) -> Mapping[str, TagValue]:
        """What a key says, of a table whose tags are not a function's."""
        parts = [part[1] if part.__class__ is tuple else part for part in key]
        return tags_of(
            self.tags,
            [
                None if part is None else fit(part, tag.type)
                for tag, part in zip(self.tags, parts, strict=True)
            ],
        )

    def _place(self, key: tuple[Any, ...], attributes: Mapping[str, TagValue]) -> Row:
        row = self.rows.get(key)
        if row is not None:
            return row
        if len(self.rows) >= self.limit:
            return self._overflowed()
        row = self.rows[key] = self._blank(attributes)
        return row

    def _overflowed(self) -> Row:
        if self.overflow is None:
            self.overflow = self._blank({OVERFLOW: True})
        return self.overflow

    def _blank(self, attributes: Mapping[str, TagValue]) -> Row:
        row: Row = [attributes, spans.now()[1], 0, None, None]
        for each in self.kept:
            row += each.blank()
        return row

    def held(self, row: Row) -> list[Any]:
        """Where a row keeps observations as exemplars."""
        held: list[Any] | None = row[EXEMPLARS]
        if held is None:
            held = row[EXEMPLARS] = [0, None, *({} for each in self.kept if each.shelved), None]
        return held

    # -- Ending -----------------------------------------------------------------------------------

    def end(self, kept: Kept, metadata: Mapping[str, Any]) -> None:
        """End the series of a last value whose tags have the values given. Never raises."""
        try:
            tags = [tag for tag in self.definition.tags if metadata.get(tag.key) is not None]
            values, unfit = _fitted(tags, metadata)
        except Exception:  # noqa: BLE001 - a mapping that is none, or a value of odd methods
            self.skip(kept.definition.name, FAILED)
            return
        if unfit:
            self.skip(kept.definition.name, UNFIT_TAG)
        if unfit or not tags:
            return
        places = [self.definition.tags.index(tag) for tag in tags]
        wanted = list(zip(places, key_of(tags, values), strict=True))
        with self.lock:
            ended = [key for key in self.rows if all(key[place] == part for place, part in wanted)]
            for key in ended:
                row = self.rows[key]
                # Others of its row may have numbers that stay.
                if row[APART] is None:
                    row[APART] = {}
                row[APART][kept.position] = -row[SEEN]
                if not any(each.seen(row) for each in self.kept):
                    del self.rows[key]

    # -- Observing with care ----------------------------------------------------------------------

    def observe(
        self, event: str, measurements: Mapping[str, Any], metadata: Mapping[str, Any]
    ) -> None:
        """Take an event of whatever contents, one definition at a time. Never raises."""
        try:
            if not self._wanted(measurements, metadata):
                return
        except Exception:  # noqa: BLE001 - a user's predicate, or a mapping that is none
            self._skip_all(FAILED)
            return
        usable: list[tuple[Kept, Number]] = []
        for each in self.kept:
            try:
                usable.append((each, each.read(measurements, metadata)))
            except Skip as skip:
                self.skip(each.definition.name, skip.args[0])
            except Exception:  # noqa: BLE001 - a number, or a mapping, whose own methods raise
                self.skip(each.definition.name, FAILED)
        if not usable:
            return
        try:
            key, attributes, unfit = self._tagged(event, metadata)
            span = None if self.exemplar is None else self.exemplar()
            time = 0 if span is None else spans.now()[1]
        except Exception:  # noqa: BLE001 - a user's function for tags, or for exemplars
            for each, _ in usable:
                self.skip(each.definition.name, FAILED)
            return
        with self.lock:
            row = self._place(key, attributes)
            if row[APART] is None:
                row[APART] = {}
            for each, value in usable:
                row[APART][each.position] = row[APART].get(each.position, 0) + 1
                each.update(row, value)
            if span is not None:
                self._sample(row, usable, (time, span, attributes))
        for each, value in usable:
            if unfit:
                self.skip(each.definition.name, UNFIT_TAG)
            try:
                each.hand_on(row, value)
            except Exception:  # noqa: BLE001 - somebody else's instrument
                self.skip(each.definition.name, FAILED)

    def _sample(
        self, row: Row, usable: Sequence[tuple[Kept, Number]], rest: tuple[Any, ...]
    ) -> None:
        held = self.held(row)
        held[0] += 1
        if random() * held[0] < 1:  # noqa: S311 - a sample
            values = {each.place: value for each, value in usable}
            held[1] = ([values.get(each.place) for each in self.kept], *rest)
        for each, value in usable:
            each.offer(held, (value, *rest))

    def _left_of(self, row: Row) -> Callable[[Any], Mapping[str, TagValue]]:
        """What says of an exemplar's key, or of its attributes, what its row does not say."""
        if OVERFLOW not in row[TAGS]:
            return lambda _: _NOTHING
        return lambda key: self.attributes(key) if key.__class__ is tuple else key

    def _skip_all(self, reason: str) -> None:
        for each in self.kept:
            self.skip(each.definition.name, reason)

    def _wanted(self, measurements: Mapping[str, Any], metadata: Mapping[str, Any]) -> bool:
        definition = self.definition
        if definition.predicate is not None:
            return bool(definition.predicate(metadata, measurements)) is not definition.inverted
        if not definition.keep:
            return True
        passed = all(_among(metadata.get(test.key), test.values) for test in definition.keep)
        return passed is not definition.inverted

    def _tagged(
        self, event: str, metadata: Mapping[str, Any]
    ) -> tuple[tuple[Any, ...], Mapping[str, TagValue], bool]:
        """The key, what it says, and whether a value could not be a tag."""
        definition = self.definition
        if definition.tagging is not None:
            given = definition.tagging(metadata)
            # A function has the tags it says today; sorted, so that their order does not matter.
            tags = tuple([Tag(name, as_text(name)) for name in sorted(given)])
            values, unfit = _fitted(tags, given)
            key = tuple(zip([tag.attribute for tag in tags], key_of(tags, values), strict=True))
            return key, tags_of(tags, values), unfit
        values_of = definition.tag_values
        given = metadata if values_of is None else values_of(metadata)
        values, unfit = _fitted(definition.tags, given)
        if definition.errors:
            failed = self.error(event, metadata)
            values.append(None if failed is None else as_text(failed))
        return key_of(self.tags, values), tags_of(self.tags, values), unfit

    def error(self, event: str, metadata: Mapping[str, Any]) -> str | None:
        """The `error.type` of an event: of the first of its sources that has one."""
        for key, sensitive in self.definition.errors.get(event, ()):
            found = error_type(metadata.get(key), sensitive=sensitive)
            if found is not None:
                return found
        return None

    # -- Reading ----------------------------------------------------------------------------------

    def numbers(self, kept: Kept) -> list[NumberRead]:
        """The values of a count, a sum or a last value, with their attributes and exemplars."""
        found: list[NumberRead] = []
        for row in self._all():
            with self.lock:
                if kept.seen(row):
                    found.append((row[TAGS], kept.number(row), self._next_exemplar(kept, row)))
        return found

    def _next_exemplar(self, kept: Kept, row: Row) -> Exemplar | None:
        """The exemplar of a row since it was asked for last.

        The instruments of a row are asked one by one, and have one observation between them; the
        first that comes again begins the next round.
        """
        held = row[EXEMPLARS]
        if held is None or kept.forwarded:
            return None
        told = held[-1]
        if told is None or told[0] is None or kept.place in told[1]:
            told = held[-1] = (held[1], set())
            held[0], held[1] = 0, None
        told[1].add(kept.place)
        if told[0] is None:
            return None
        values, time, span, key = told[0]
        value = values[kept.place]
        if value is None:
            return None
        trace_id, span_id = span
        left = self._left_of(row)(key)
        return Exemplar(kept.export(value), time, trace_id, span_id, left)

    def collect(self, deltas: Sequence[bool], time: int) -> list[tuple[Point, ...]]:
        """The points of each definition, of which those that report deltas begin anew.

        Args:
            deltas: For each definition, whether it reports what came since the last collection.
            time: The present, in nanoseconds since the epoch.
        """
        if any(deltas):
            with self.lock:
                since, self.since = self.since, time
                rows = self._all()
                self._renew(deltas)
        else:
            since = None
            rows = self._frozen()
        found = []
        for each, delta in zip(self.kept, deltas, strict=True):
            seen = [row for row in rows if each.seen(row)]
            starts = [since if delta and since else row[START] for row in seen]
            points = [
                each.point(row, start, time, each.exemplars(row, self._left_of(row)))
                for row, start in zip(seen, starts, strict=True)
            ]
            found.append(tuple(points))
        return found

    def clear(self) -> None:
        """Forget everything; as after a fork, whose child begins at zero."""
        with self.lock:
            self.rows.clear()
            self.overflow = self.since = None

    def _all(self) -> list[Row]:
        with self.lock:
            rows = [*self.rows.values()]
            return rows if self.overflow is None else [*rows, self.overflow]

    def _frozen(self) -> list[Row]:
        """Copies of all rows. Emitters get their turn in between."""
        rows = self._all()
        frozen: list[Row] = []
        for start in range(0, len(rows), _CHUNK):
            with self.lock:
                for row in rows[start : start + _CHUNK]:
                    copy = row[:OWN]
                    copy[APART] = row[APART] and row[APART].copy()
                    for each in self.kept:
                        copy += each.frozen(row)
                    row[EXEMPLARS] = None
                    frozen.append(copy)
        return frozen

    def _renew(self, deltas: Sequence[bool]) -> None:
        """Put new rows in place of all, in which only what is cumulative goes on."""
        lasting = [each for each, delta in zip(self.kept, deltas, strict=True) if not delta]
        if not lasting:
            self.rows.clear()
            self.overflow = None
            return
        for key, row in self.rows.items():
            self.rows[key] = self._continued(row, lasting)
        if self.overflow is not None:
            self.overflow = self._continued(self.overflow, lasting)

    def _continued(self, row: Row, lasting: Sequence[Kept]) -> Row:
        new = self._blank(row[TAGS])
        new[START] = row[START]
        new[APART] = {each.position: each.seen(row) for each in lasting}
        for each in lasting:
            new[each.at : each.at + each.entries] = each.frozen(row)
        return new


def _fitted(tags: Sequence[Tag], given: Mapping[str, Any]) -> tuple[list[TagValue | None], bool]:
    values: list[TagValue | None] = []
    unfit = False
    for tag in tags:
        value = given.get(tag.key)
        try:
            values.append(None if value is None else fit(value, tag.type))
        except UnfitError:
            values.append(None)
            unfit = True
    return values, unfit


def _among(value: Any, values: Sequence[Any]) -> bool:
    """Whether it is one of the values, true and 1 being two things."""
    return any(
        isinstance(value, bool) is isinstance(one, bool) and bool(value == one) for one in values
    )
