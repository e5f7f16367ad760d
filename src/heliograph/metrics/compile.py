# SPDX-License-Identifier: Apache-2.0
"""One function for each event, written for exactly the metrics that the event feeds.

The function reads every value before it touches a row, takes one lock, and looks one row up for
each table. It is made for events as their catalog declares them: whatever is amiss, from a missing
key to a number of another class, it leaves to the tables' own `observe`, which takes an event apart
with care. For `shop.checkout.stop` with a histogram of its duration, split by method and
`error.type`, it reads:

    def observe(event, measurements, metadata, config):
        try:
            m0 = measurements['duration']
            k0 = metadata['method']
            k1 = metadata.get('result')
            k1 = None if k1.__class__ is Ok else error_0(event, metadata)
            if not (m0.__class__ is int and m0 >= 0 and m0 <= 9223372036854775807):
                return careful(event, measurements, metadata)
            if not (k0.__class__ is str):
                return careful(event, measurements, metadata)
        except Exception:
            return careful(event, measurements, metadata)
        bucket_0 = bisect(wholes_0, m0)
        with lock:
            key0 = (k0, k1)
            row0 = get_0(key0)
            if row0 is None: row0 = find_0(key0)
            row0[2] += 1
            row0[5][bucket_0] += 1
            row0[6] += m0
            if m0 < row0[7]: row0[7] = m0
            if m0 > row0[8]: row0[8] = m0

Nothing of a catalog gets into the source but by `repr`.
"""

from __future__ import annotations

from bisect import bisect_left
from functools import lru_cache
from math import inf
from random import random
from typing import TYPE_CHECKING, Any, Final

from heliograph import Ok, spans
from heliograph.metrics.instruments import EXEMPLARS, FAILED, SEEN, WHOLE_LIMIT
from heliograph.metrics.tags import pair

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import CodeType

    from heliograph.metrics.definitions import Tag
    from heliograph.metrics.instruments import Kept
    from heliograph.metrics.table import Table
    from heliograph.typing import Handler

__all__ = ["observer", "source_of"]


def observer(event: str, tables: Sequence[Table]) -> Handler:
    """The handler of an event that feeds these tables, which share a lock. It never raises."""
    writer = _Writer(event, tables)
    namespace: dict[str, Any] = {}
    exec(_compiled(writer.source()), namespace)  # noqa: S102 - our own text, names by repr only
    made: Handler = namespace["make"](**writer.names)
    return made


def source_of(event: str, tables: Sequence[Table]) -> str:
    """What `observer` compiles."""
    return _Writer(event, tables).source()


@lru_cache(maxsize=1024)  # two bridges over the same catalogs compile once; the bound is our choice
def _compiled(source: str) -> CodeType:
    return compile(source, "<heliograph.metrics>", "exec")


def is_plain(table: Table) -> bool:
    """Whether what a table wants of an event can be written down: keys, and no functions."""
    definition = table.definition
    return not (
        definition.tagging
        or definition.tag_values
        or definition.predicate
        or any(callable(each.definition.measurement) for each in table.kept)
        or any(len({type(value) for value in test.values}) != 1 for test in definition.keep)
    )


class _Writer:
    """Writes one function; `names` is what its statements refer to."""

    def __init__(self, event: str, tables: Sequence[Table]) -> None:
        self.event = event
        self.plain = [table for table in tables if is_plain(table)]
        self.apart = [table for table in tables if not is_plain(table)]
        self.names: dict[str, Any] = {}
        self.reads: list[str] = []
        self.checks: list[str] = []
        self.seen: dict[str, str] = {}
        self.before: list[str] = []
        self.inside: list[str] = []
        self.after: list[str] = []
        self.variables: dict[object, str] = {}
        for number, table in enumerate(self.apart):
            self.names[f"apart_{number}"] = table.observe
        self.sampled = any(table.exemplar is not None for table in self.plain)
        if self.plain:
            self.names |= {
                "Ok": Ok,
                "bisect": bisect_left,
                "careful": _careful(self.plain),
                "clock": spans.wall_clock,
                "exemplar": next((each.exemplar for each in self.plain if each.exemplar), None),
                "inf": inf,
                "lock": self.plain[0].lock,
                "pair": pair,
                "random": random,  # noqa: S311 - a sample
            }
            self._measurements()
            if self.seen:
                self.names["nothing"] = object()
            for number, table in enumerate(self.plain):
                self._table(number, table)

    def source(self) -> str:
        """The source of a function that makes the function; what is referred to, it is given."""
        body = [
            f"apart_{number}(event, measurements, metadata)" for number in range(len(self.apart))
        ]
        if self.plain:
            careful = "return careful(event, measurements, metadata)"
            steps = [*self.reads]
            for check in self.checks:
                steps += self._checked(check, careful)
            if self.sampled:
                steps += ["span = exemplar()"]
                if self._shelved():
                    steps += ["if span is not None: time = clock()"]
            if steps:
                body += ["try:", *_indented(steps), "except Exception:", f"    {careful}"]
            body += [*self.before, "with lock:", *_indented(self.inside), *self.after]
        seen = [f"seen_{value}" for value in self.seen.values()]
        if seen:
            body = [f"nonlocal {', '.join(seen)}", *body]
        function = ["def observe(event, measurements, metadata, config):", *_indented(body)]
        function = [*(f"{name} = nothing" for name in seen), *function]
        make = [f"def make({', '.join(sorted(self.names))}):", *_indented(function)]
        return "\n".join([*make, "    return observe", ""])

    def _checked(self, check: str, careful: str) -> list[str]:
        lines = [f"if not ({check}):", f"    {careful}"]
        value = self.seen.get(check)
        if value is None:
            return lines
        return [
            f"if {value} is not seen_{value}:",
            *_indented([*lines, f"seen_{value} = {value}"]),
        ]

    # -- What is read -----------------------------------------------------------------------------

    def _measurements(self) -> None:
        wanted: dict[str, list[Kept]] = {}
        for table in self.plain:
            for each in table.kept:
                if isinstance(each.definition.measurement, str):
                    wanted.setdefault(each.definition.measurement, []).append(each)
        for number, (key, users) in enumerate(wanted.items()):
            value = f"m{number}"
            self.variables["measurement", key] = value
            self.reads.append(f"{value} = measurements[{key!r}]")
            nonnegative = any(user.nonnegative for user in users)
            whole = f"{value}.__class__ is int and {_within(value, nonnegative)}"
            if all(user.definition.whole for user in users):
                self._check(value, whole, users)
                continue
            limit = min(user.limit for user in users)
            low = f"{value} >= 0" if nonnegative else f"{value} > {-limit!r}"
            floating = f"{value}.__class__ is float and {low} and {value} < {limit!r}"
            self._check(value, f"{whole} or {floating}", users)

    def _check(self, value: str, check: str, users: Sequence[Kept]) -> None:
        """Check a measurement, unless it is the very object that was checked last.

        What is counted or added up is often the same small number as before; what has a
        distribution is not.
        """
        if any(user.definition.instrument in _DISTRIBUTED for user in users):
            self.checks.append(check)
            return
        self.seen[check] = value
        self.checks.append(check)

    def _value(self, each: Kept) -> str:
        if each.definition.instrument == "counter":
            return "1"
        return self.variables["measurement", each.definition.measurement]

    def _variable(self, wanted: object, read: str, *checks: str) -> str:
        """The variable that has what is read of the metadata; `{}` stands for it."""
        known = self.variables.get(wanted)
        if known is None:
            known = self.variables[wanted] = f"k{len(self.variables)}"
            self.reads.append(f"{known} = {read}")
            for check in checks:
                self.checks.append(check.format(known))
        return known

    def _tag(self, tag: Tag) -> str:
        read = f"metadata[{tag.key!r}]" if tag.required else f"metadata.get({tag.key!r})"
        absent = "" if tag.required else "{0} is None or "
        if tag.type is None:
            known = self._variable(("tag", tag.key, None), read)
            convert = f"if {known} is not None and {known}.__class__ is not str: "
            convert = f"{convert}{known} = pair({known})"
            if convert not in self.reads:
                self.reads.append(convert)
            return known
        check = f"{absent}{_FITS[tag.type]}"
        return self._variable(("tag", tag.key, tag.type, tag.required), read, check)

    def _error(self, number: int, table: Table) -> str:
        sources = table.definition.errors.get(self.event)
        if not sources:
            return "None"
        self.names[f"error_{number}"] = table.error
        call = f"error_{number}(event, metadata)"
        wanted = ("error", sources)
        if len(sources) > 1 or wanted in self.variables:
            return self._variable(wanted, call)
        key, _ = next(iter(sources))
        known = self._variable(wanted, f"metadata.get({key!r})")
        none = f"{known} is None or {known}.__class__ is Ok"
        self.reads.append(f"{known} = None if {none} else {call}")
        return known

    # -- What is done -----------------------------------------------------------------------------

    def _table(self, number: int, table: Table) -> None:
        key, row = f"key{number}", f"row{number}"
        self.names |= {f"get_{number}": table.rows.get, f"find_{number}": table.find}
        parts = [self._tag(tag) for tag in table.definition.tags]
        if table.definition.errors:
            parts.append(self._error(number, table))
        inside = [
            f"{key} = ({''.join(f'{part}, ' for part in parts)})",
            f"{row} = get_{number}({key})",
            f"if {row} is None: {row} = find_{number}({key})",
            f"{row}[{SEEN}] += 1",
        ]
        before: list[str] = []
        after: list[str] = []
        for each in table.kept:
            value = self._value(each)
            before += each.before(value)
            inside += each.inside(row, value)
            for statement in each.after(row, value):
                self.names[f"failed_{each.name}"] = _failed(table, each)
                after += [
                    "try:",
                    f"    {statement}",
                    "except Exception:",
                    f"    failed_{each.name}()",
                ]
            self.names |= each.names()
        if table.exemplar is not None:
            inside += ["if span is not None:", *_indented(self._samples(number, table))]
        if not table.definition.keep:
            self.before += before
            self.inside += inside
            self.after += after
            return
        wanted = f"wanted{number}"
        self.before += [*before, f"{wanted} = {self._condition(table)}"]
        self.inside += [f"if {wanted}:", *_indented(inside)]
        if after:
            self.after += [f"if {wanted}:", *_indented(after)]

    def _shelved(self) -> bool:
        """Whether some instrument keeps exemplars of its own, so that every observation is kept."""
        return any(
            each.shelved
            for table in self.plain
            if table.exemplar is not None
            for each in table.kept
        )

    def _samples(self, number: int, table: Table) -> list[str]:
        row, held = f"row{number}", f"held{number}"
        # Where only some of many observations are kept, the time is looked up for those alone.
        rest = f"{'time' if self._shelved() else 'clock()'}, span, key{number}"
        self.names[f"hold_{number}"] = table.held
        lines = [
            f"{held} = {row}[{EXEMPLARS}]",
            f"if {held} is None: {held} = hold_{number}({row})",
        ]
        if not all(each.shelved for each in table.kept):
            values = "".join(f"{self._value(each)}, " for each in table.kept)
            lines += [
                f"{held}[0] += 1",
                f"if random() * {held}[0] < 1: {held}[1] = (({values}), {rest})",
            ]
        return lines + [
            each.offering(held, f"({self._value(each)}, {rest})")
            for each in table.kept
            if each.shelved
        ]

    def _condition(self, table: Table) -> str:
        held = []
        for test in table.definition.keep:
            name = type(test.values[0]).__name__
            check = f"{{0}} is None or {{0}}.__class__ is {name}"
            known = self._variable(("test", test.key, name), f"metadata.get({test.key!r})", check)
            held.append(f"{known} in {test.values!r}")
        condition = " and ".join(held)
        return f"not ({condition})" if table.definition.inverted else condition


# What a tag's value must be to be taken as it is.
_FITS: Final = {
    "string": "{0}.__class__ is str",
    "int": f"{{0}}.__class__ is int and {-WHOLE_LIMIT} <= {{0}} <= {WHOLE_LIMIT}",
    "float": "{0}.__class__ is float and -inf < {0} < inf",
    "number": "{0}.__class__ is float and -inf < {0} < inf",
    "bool": "{0}.__class__ is bool",
}


_DISTRIBUTED: Final = frozenset({"histogram", "summary"})
_SMALL: Final = 2**30 - 1  # the greatest integer of one digit, as CPython has them


def _within(value: str, nonnegative: bool) -> str:
    # Comparing with a small number is much cheaper than with a great one.
    least = 0 if nonnegative else -WHOLE_LIMIT
    return f"(0 <= {value} <= {_SMALL} or {least} <= {value} <= {WHOLE_LIMIT})"


def _indented(lines: Sequence[str]) -> list[str]:
    return [f"    {line}" for line in lines]


def _careful(tables: Sequence[Table]) -> Callable[..., None]:
    def careful(event: str, measurements: Mapping[str, Any], metadata: Mapping[str, Any]) -> None:
        for table in tables:
            table.observe(event, measurements, metadata)

    return careful


def _failed(table: Table, each: Kept) -> Callable[[], None]:
    return lambda: table.skip(each.definition.name, FAILED)
