# SPDX-License-Identifier: Apache-2.0
"""What fields must satisfy beyond the format's table, and how they are used."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from heliograph.catalog.errors import did_you_mean, shorten
from heliograph.catalog.model import (
    SCALAR_TYPES,
    STANDARD_MEASUREMENTS,
    STANDARD_METADATA,
    FieldSpec,
    Use,
)
from heliograph.catalog.reading import list_of
from heliograph.catalog.shapes import kind_of
from heliograph.catalog.values import SCALAR_CHECKS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from heliograph.catalog.model import Where
    from heliograph.catalog.reading import Reading
    from heliograph.catalog.shapes import Cell, Entry

__all__ = ["combine", "read_fields", "resolve_uses"]

# Values that no exporter sends as an attribute by itself: spans take results as their status, and
# exceptions as exceptions.
_NEVER_ATTRIBUTES: Final = frozenset({"result", "exception", "stacktrace"})

_NUMBERS: Final = frozenset({"int", "float", "number"})


def read_fields(reading: Reading) -> None:
    """Read the section `fields` into `reading.fields`."""
    cells = reading.top.entry("fields").cells
    for name, cell in cells.items():
        reading.fields[name] = _field(reading, name, cell)
    reading.check_renamings(cells, cells, "field")


def _field(reading: Reading, name: str, cell: Cell) -> FieldSpec | None:
    if name in STANDARD_MEASUREMENTS or name in STANDARD_METADATA:
        mend = "remove it; it can be used without being declared"
        reading.faults.add(f"{name!r} is a standard field", cell.where, mend)
        return None
    entry: Entry | None = cell.value
    kind: str | None = entry.get("type") if entry is not None else None
    if entry is None or kind is None:
        return None
    key: str = entry.get("key", name)
    attribute: str | None = entry.get("attribute", f"{reading.catalog}.{key}")
    if attribute == "none" or ("attribute" not in entry and kind in _NEVER_ATTRIBUTES):
        attribute = None
    return FieldSpec(
        name=name,
        key=key,
        type=kind,
        brief=entry.get("brief", ""),
        unit=reading.unit(entry),
        attribute=attribute,
        high_cardinality=entry.get("cardinality") == "high",
        sensitive=entry.get("sensitivity") == "sensitive",
        examples=tuple(_example(reading, example, kind) for example in entry.items("examples")),
        values=_values(reading, entry, kind),
        note=entry.get("note"),
        stability=reading.stability(entry),
        deprecated=reading.deprecation(entry),
        where=cell.where,
    )


def _values(reading: Reading, entry: Entry, kind: str) -> tuple[Any, ...]:
    base = kind.removesuffix("[]")
    cells = entry.items("values")
    if cells and (base not in SCALAR_TYPES or base == "bytes"):
        message = f"the values of a field of type {kind} cannot be listed"
        reading.faults.add(message, entry.where_of("values"), "remove them")
        return ()
    values: list[Any] = []
    seen: set[tuple[type, object]] = set()
    for cell in cells:
        _check_type(reading, cell, base)
        one = (type(cell.value), cell.value)  # because 1, 1.0 and true are equal
        if one in seen:
            message = f"{kind_of(cell.value)} stands twice"
            reading.faults.add(message, list_of(cell), "remove one")
        seen.add(one)
        values.append(cell.value)
    return tuple(values)


def _example(reading: Reading, cell: Cell, kind: str) -> object:
    base = kind.removesuffix("[]")
    if not isinstance(cell.value, tuple):
        if base != "bytes":  # whose examples are written as text
            _check_type(reading, cell, base)
        return cell.value
    if base in SCALAR_TYPES and base == kind:
        mend = "remove the inner brackets"
        reading.faults.add(f"a list is not of type {kind}", list_of(cell), mend)
    for item in cell.value:
        if base != "bytes":
            _check_type(reading, item, base)
    return tuple(item.value for item in cell.value)


def _check_type(reading: Reading, cell: Cell, kind: str) -> None:
    check = SCALAR_CHECKS.get(kind)
    if check is not None and not check(cell.value):
        mend = f'quote it: "{cell.value}"' if kind == "string" else "change it, or the field's type"
        message = f"{kind_of(cell.value)} is not of type {kind}"
        reading.faults.add(message, list_of(cell), mend)


def resolve_uses(reading: Reading, entry: Entry, part: str) -> list[tuple[Use, Where]]:
    """What an event's `measurements` or `metadata` name, each with its place."""
    measuring = part == "measurements"
    standard = STANDARD_MEASUREMENTS if measuring else STANDARD_METADATA
    uses = []
    for cell in entry.items(part):
        name = cell.value.removesuffix("?")
        field = standard.get(name) or reading.fields.get(name)
        if field is None:
            if name not in reading.fields:
                _unknown(reading, name, list_of(cell), measuring)
            continue
        if measuring and field.type not in _NUMBERS:
            message = f"measurement {name!r} is of type {field.type}"
            mend = "measure a number; other things belong in metadata"
            reading.faults.add(message, list_of(cell), mend)
        uses.append((Use(field, required=not cell.value.endswith("?")), list_of(cell)))
    return uses


def _unknown(reading: Reading, name: str, where: Where, measuring: bool) -> None:
    if name in STANDARD_METADATA:
        message = f"standard metadata {name!r} among the measurements"
        reading.faults.add(message, where, "move it to metadata")
    elif name in STANDARD_MEASUREMENTS:
        message = f"standard measurement {name!r} among the metadata"
        reading.faults.add(message, where, "move it to measurements")
    else:
        standard = STANDARD_MEASUREMENTS if measuring else STANDARD_METADATA
        mend = f"declare it in fields: {shorten(name)}: {{...}}"
        mend = did_you_mean(name, [*standard, *reading.fields], mend)
        reading.faults.add(f"unknown field {shorten(name)!r}", where, mend)


def combine(
    reading: Reading, uses: Iterable[tuple[Use, Where]], implied: Iterable[FieldSpec] = ()
) -> tuple[Use, ...]:
    """One event's uses, those that a span implies last, after checking that no keys clash."""
    given = {field.key: field for field in implied}
    taken = dict(given)
    combined: dict[str, Use] = {}
    for use, where in uses:
        other = taken.setdefault(use.key, use.field)
        if use.key not in given and use.key not in combined:
            combined[use.key] = use
        elif other == use.field:
            what = "is implied" if use.key in given else "stands twice"
            mend = "remove it; a span carries it by itself" if use.key in given else "remove it"
            reading.faults.add(f"field {use.field.name!r} {what}", where, mend)
        else:
            message = f"fields {other.name!r} and {use.field.name!r} have the same key {use.key!r}"
            reading.faults.add(message, where, "use one of them, or give one of them another key")
    return (*combined.values(), *map(Use, given.values()))
