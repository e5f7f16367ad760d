# SPDX-License-Identifier: Apache-2.0
"""The kinds of value a described YAML file is made of.

A `Shape` is said once and used three times: it checks a located node and hands back what it holds,
it says itself as JSON Schema, and it says itself in words. `grammar` puts shapes together into the
catalog format, `config` into that of a file of handlers.

What a check returns mirrors the shape: scalars as `Cell`, lists as a tuple of cells in a cell,
mappings as `Entry`. Whatever is faulty is left out, with the fault noted, so that the rest of the
file can still be checked.
"""

from __future__ import annotations

import math
import os
import re
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from heliograph._located import Items, Scalar, Table, plain, read
from heliograph.catalog.errors import did_you_mean, shorten
from heliograph.catalog.model import Where

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from heliograph._located import Member, Node
    from heliograph.catalog.errors import Faults

__all__ = [
    "BROKEN",
    "Anything",
    "Cell",
    "Choice",
    "Either",
    "Entry",
    "Flag",
    "Key",
    "ListOf",
    "MapOf",
    "Number",
    "Record",
    "ScalarValue",
    "Shape",
    "Text",
    "Whole",
    "check_file",
    "kind_of",
]


@dataclass(frozen=True, slots=True)
class Cell:
    """A checked value and its place."""

    value: Any
    where: Where


@dataclass(frozen=True, slots=True)
class Entry:
    """A checked mapping: the cells of its sound keys, in the order of the file."""

    where: Where
    cells: Mapping[str, Cell] = field(default_factory=dict)
    broken: frozenset[str] = frozenset()
    """Known keys that are given, but whose values are faulty."""

    def __contains__(self, key: str) -> bool:
        """Whether a key is given, be its value sound or faulty."""
        return key in self.cells or key in self.broken

    def where_of(self, key: str) -> Where:
        """Where the value of a key stands, or the mapping itself if it has no such key."""
        cell = self.cells.get(key)
        return cell.where if cell is not None else self.where

    def get(self, key: str, default: Any = None) -> Any:
        """The value of a key."""
        cell = self.cells.get(key)
        return cell.value if cell is not None else default

    def entry(self, key: str) -> Entry:
        """The mapping under a key; an empty one if there is none."""
        cell = self.cells.get(key)
        return cell.value if cell is not None else Entry(self.where)

    def items(self, key: str) -> tuple[Cell, ...]:
        """The list under a key; an empty one if there is none."""
        items: tuple[Cell, ...] = self.get(key, ())
        return items


BROKEN: Final = Cell(None, Where("", 0, 0, ""))
"""What a check returns for a value that is faulty, after noting the fault."""


def kind_of(value: object) -> str:
    """What a message calls a value, and the value: `the number 3`."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return f"the number {shorten(str(value))}"
    return f"the text {shorten(str(value))!r}"


def _found(node: Node) -> str:
    if isinstance(node, Scalar):
        return kind_of(node.value)
    return "a list" if isinstance(node, Items) else "a mapping"


class Shape(ABC):
    """One kind of value."""

    __slots__ = ()

    @abstractmethod
    def check(self, node: Node, where: Where, faults: Faults) -> Cell:
        """What the node holds, or BROKEN after noting what is wrong with it."""

    @abstractmethod
    def schema(self) -> dict[str, Any]:
        """The shape as JSON Schema; it accepts at least what `check` does."""

    @abstractmethod
    def words(self) -> str:
        """The shape in a few words, for the reference."""


def _wrong(node: Node, where: Where, faults: Faults, expected: str, mend: str) -> Cell:
    faults.add(f"expected {expected}, found {_found(node)}", where, mend)
    return BROKEN


@dataclass(frozen=True, slots=True)
class Text(Shape):
    """One line of text, not empty; perhaps of a given form."""

    name: str = "text"
    """What a message calls it."""
    pattern: str | None = None
    """A regular expression for all of it, in what Python and JSON Schema have in common."""
    example: str = ""
    lines: bool = False
    """Whether more than one line will do."""

    def check(self, node: Node, where: Where, faults: Faults) -> Cell:
        if not isinstance(node, Scalar) or not isinstance(node.value, str):
            mend = self._mend()
            if isinstance(node, Scalar) and node.text and self.pattern is None:
                mend = f'quote it: "{shorten(node.text)}"'
            return _wrong(node, where, faults, self.name, mend)
        text = node.value.strip()
        if not text:
            return _wrong(node, where, faults, self.name, self._mend())
        if "\n" in text and not self.lines:
            faults.add(f"{self.name} runs over several lines", where, "make it one line")
            return BROKEN
        if self.pattern is not None and not re.fullmatch(self.pattern, text):
            faults.add(f"{shorten(text)!r} is not {self.name}", where, self._mend())
            return BROKEN
        return Cell(text, where)

    def schema(self) -> dict[str, Any]:
        # Blanks around it are allowed because `check` strips them; block scalars end in a newline.
        pattern = r"\S" if self.pattern is None else rf"^\s*(?:{self.pattern})\s*$"
        return {"type": "string", "pattern": pattern}

    def words(self) -> str:
        return self.name

    def _mend(self) -> str:
        return f"write it like {self.example}" if self.example else "write some text"


@dataclass(frozen=True, slots=True)
class Choice(Shape):
    """One of a few words."""

    name: str
    options: tuple[str, ...]

    def check(self, node: Node, where: Where, faults: Faults) -> Cell:
        if isinstance(node, Scalar) and node.value in self.options:
            return Cell(node.value, where)
        otherwise = f"write one of {', '.join(self.options)}"
        if not isinstance(node, Scalar) or not node.text:
            return _wrong(node, where, faults, "one word", otherwise)
        mend = did_you_mean(node.text, self.options, otherwise)
        faults.add(f"unknown {self.name} {shorten(node.text)!r}", where, mend)
        return BROKEN

    def schema(self) -> dict[str, Any]:
        return {"enum": list(self.options)}

    def words(self) -> str:
        return ", ".join(f"`{option}`" for option in self.options)


@dataclass(frozen=True, slots=True)
class Flag(Shape):
    """True or false."""

    def check(self, node: Node, where: Where, faults: Faults) -> Cell:
        if isinstance(node, Scalar) and isinstance(node.value, bool):
            return Cell(node.value, where)
        return _wrong(node, where, faults, "true or false", "write true or false")

    def schema(self) -> dict[str, Any]:
        return {"type": "boolean"}

    def words(self) -> str:
        return "true or false"


@dataclass(frozen=True, slots=True)
class Number(Shape):
    """A finite number, perhaps within bounds."""

    above: float | None = None
    below: float | None = None

    def check(self, node: Node, where: Where, faults: Faults) -> Cell:
        value = node.value if isinstance(node, Scalar) else None
        if (
            isinstance(value, bool)
            or not isinstance(value, int | float)
            or not math.isfinite(value)
            or (self.above is not None and value <= self.above)
            or (self.below is not None and value >= self.below)
        ):
            return _wrong(node, where, faults, self.words(), f"write {self.words()}")
        return Cell(value, where)

    def schema(self) -> dict[str, Any]:
        schema: dict[str, Any] = {"type": "number"}
        if self.above is not None:
            schema["exclusiveMinimum"] = self.above
        if self.below is not None:
            schema["exclusiveMaximum"] = self.below
        return schema

    def words(self) -> str:
        if self.above is not None and self.below is not None:
            return f"a number between {self.above:g} and {self.below:g}"
        return "a finite number"


@dataclass(frozen=True, slots=True)
class Whole(Shape):
    """A whole number within bounds."""

    least: int
    most: int

    def check(self, node: Node, where: Where, faults: Faults) -> Cell:
        value = node.value if isinstance(node, Scalar) else None
        if type(value) is int and self.least <= value <= self.most:
            return Cell(value, where)
        return _wrong(node, where, faults, self.words(), f"write {self.words()}")

    def schema(self) -> dict[str, Any]:
        return {"type": "integer", "minimum": self.least, "maximum": self.most}

    def words(self) -> str:
        return f"a whole number from {self.least} to {self.most}"


@dataclass(frozen=True, slots=True)
class ScalarValue(Shape):
    """Text, a number, true or false, as it stands."""

    def check(self, node: Node, where: Where, faults: Faults) -> Cell:
        if isinstance(node, Scalar) and node.value is not None:
            return Cell(node.value, where)
        return _wrong(node, where, faults, "a single value", "write text, a number, true or false")

    def schema(self) -> dict[str, Any]:
        return {"type": ["string", "number", "boolean"]}

    def words(self) -> str:
        return "a value"


@dataclass(frozen=True, slots=True)
class Anything(Shape):
    """Any YAML, handed on as dictionaries, lists and scalars."""

    def check(self, node: Node, where: Where, faults: Faults) -> Cell:  # noqa: ARG002 - any will do
        return Cell(plain(node), where)

    def schema(self) -> dict[str, Any]:
        return {}

    def words(self) -> str:
        return "anything"


@dataclass(frozen=True, slots=True)
class ListOf(Shape):
    """A list, perhaps required to hold something."""

    item: Shape
    least: int = 0

    def check(self, node: Node, where: Where, faults: Faults) -> Cell:
        if not isinstance(node, Items):
            text = shorten(node.text) if isinstance(node, Scalar) else ""
            return _wrong(node, where, faults, "a list", f"put it in brackets: [{text or '...'}]")
        if len(node.nodes) < self.least:
            faults.add("the list is empty", where, f"name at least {self.least}")
            return BROKEN
        cells = []
        for index, item in enumerate(node.nodes):
            place = Where(where.file, item.line, item.column, f"{where.path}[{index}]")
            cell = self.item.check(item, place, faults)
            if cell is not BROKEN:
                cells.append(cell)
        return Cell(tuple(cells), where)

    def schema(self) -> dict[str, Any]:
        schema: dict[str, Any] = {"type": "array", "items": self.item.schema()}
        if self.least:
            schema["minItems"] = self.least
        return schema

    def words(self) -> str:
        return f"[{self.item.words()}, ...]"


@dataclass(frozen=True, slots=True)
class Either(Shape):
    """One of two shapes that look different: the second where the node is of its YAML kind."""

    first: Shape
    second: Shape
    kind: type[Scalar | Items | Table] = Items

    def check(self, node: Node, where: Where, faults: Faults) -> Cell:
        shape = self.second if isinstance(node, self.kind) else self.first
        return shape.check(node, where, faults)

    def schema(self) -> dict[str, Any]:
        return {"anyOf": [self.first.schema(), self.second.schema()]}

    def words(self) -> str:
        return f"{self.first.words()}, or {self.second.words()}"


@dataclass(frozen=True, slots=True)
class MapOf(Shape):
    """A mapping from names the file chooses to values of one shape."""

    name: Text
    value: Shape

    def check(self, node: Node, where: Where, faults: Faults) -> Cell:
        if not isinstance(node, Table):
            return _wrong(
                node,
                where,
                faults,
                "a mapping",
                f"write {self.name.example}: ... below it, or remove it",
            )
        cells = {}
        for key, member in node.members.items():
            key_node = Scalar(key, key, member.line, member.column)
            place = _below(where, member)
            if self.name.check(key_node, place, faults) is BROKEN:
                continue
            # A broken value keeps its name, lest every use of the name be reported too.
            cell = self.value.check(member.node, place, faults)
            cells[key] = Cell(cell.value, place)
        return Cell(Entry(where, cells), where)

    def schema(self) -> dict[str, Any]:
        return {
            "type": "object",
            "propertyNames": {"pattern": f"^(?:{self.name.pattern})$"},
            "additionalProperties": self.value.schema(),
        }

    def words(self) -> str:
        return f"{{{self.name.name}: {self.value.words()}, ...}}"


@dataclass(frozen=True, slots=True)
class Key:
    """A key that a record may have."""

    name: str
    shape: Shape
    brief: str
    required: bool = False
    unless: str = ""
    """A required key may be left out where this one is given."""
    default: str = ""
    """What holds where the key is left out, in words."""


@dataclass(frozen=True, slots=True)
class Record(Shape):
    """A mapping with known keys."""

    name: str
    """What the reference calls it."""
    brief: str
    keys: tuple[Key, ...]

    def check(self, node: Node, where: Where, faults: Faults) -> Cell:
        if not isinstance(node, Table):
            keys = ", ".join(key.name for key in self.keys[:3])
            return _wrong(node, where, faults, "a mapping", f"its keys are {keys} ...")
        cells = {}
        broken = set()
        for name, member in node.members.items():
            place = _below(where, member)
            key = next((key for key in self.keys if key.name == name), None)
            if key is None:
                known = [key.name for key in self.keys if key.name not in node.members]
                mend = did_you_mean(name, known, f"{self.name} has {', '.join(known)}")
                faults.add(f"unknown key {shorten(name)!r}", _at_key(where, member), mend)
                continue
            cell = key.shape.check(member.node, place, faults)
            if cell is BROKEN:
                broken.add(name)
            else:
                cells[name] = cell
        for key in self.keys:
            if key.required and not {key.name, key.unless} & node.members.keys():
                brief = key.brief[0].lower() + key.brief[1:]
                faults.add(f"missing {key.name!r}", where, f"add {key.name}: {brief}")
        return Cell(Entry(where, cells, frozenset(broken)), where)

    def schema(self) -> dict[str, Any]:
        properties = {}
        for key in self.keys:
            default = f" Default: {key.default}." if key.default else ""
            properties[key.name] = {"description": f"{key.brief}.{default}", **key.shape.schema()}
        schema: dict[str, Any] = {
            "type": "object",
            "description": f"{self.brief}.",
            "properties": properties,
            "additionalProperties": False,
        }
        if always := [key.name for key in self.keys if key.required and not key.unless]:
            schema["required"] = always
        if either := [key for key in self.keys if key.required and key.unless]:
            schema["allOf"] = [
                {"anyOf": [{"required": [key.name]}, {"required": [key.unless]}]} for key in either
            ]
        return schema

    def words(self) -> str:
        return f"*{self.name}*"

    def records(self) -> Iterator[Record]:
        """This record and those within it, each once."""
        seen: dict[str, Record] = {self.name: self}
        pending: list[Any] = [key.shape for key in self.keys]
        while pending:
            shape = pending.pop(0)
            if isinstance(shape, Record):
                if shape.name not in seen:
                    seen[shape.name] = shape
                    pending.extend(key.shape for key in shape.keys)
            elif isinstance(shape, MapOf):
                pending.append(shape.value)
            elif isinstance(shape, ListOf):
                pending.append(shape.item)
            elif isinstance(shape, Either):
                pending += [shape.first, shape.second]
        yield from seen.values()

    def tables(self) -> Iterator[str]:
        """This record and those within it for readers: lines of Markdown, a table for each."""
        for record in self.records():
            yield from ("", f"## {record.name.capitalize()}", "", f"{record.brief}.", "")
            yield "| key | value | default | meaning |"
            yield "| --- | --- | --- | --- |"
            for key in record.keys:
                default = key.default
                if key.required:
                    unless = f", unless `{key.unless}` is given" if key.unless else ""
                    default = f"required{unless}"
                cells = (f"`{key.name}`", key.shape.words(), default, key.brief)
                yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def check_file(
    path: str | os.PathLike[str], record: Record, faults: Faults, extra: str = "catalog"
) -> Entry | None:
    """What a YAML file holds, as far as it is sound; None if there is nothing to go on with.

    Args:
        path: the file.
        record: what it may hold.
        faults: where to put what is wrong.
        extra: the extra that PyYAML comes with, for the error where it is missing.

    Raises:
        StopReadingError: there are so many faults that more would not help.
        ImportError: PyYAML is not installed.
    """
    tree = read(path, faults, extra)
    if tree is None:
        return None
    entry: Entry = record.check(tree, Where(os.fspath(path), 1, 1, ""), faults).value
    return entry


def _below(where: Where, member: Member) -> Where:
    path = f"{where.path}.{shorten(member.key)}" if where.path else shorten(member.key)
    return Where(where.file, member.line, member.column, path)


def _at_key(where: Where, member: Member) -> Where:
    return Where(where.file, member.line, member.column, where.path)
