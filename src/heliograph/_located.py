# SPDX-License-Identifier: Apache-2.0
"""YAML read into a tree in which every node knows its line and column.

The parser's event stream is used rather than a loader, because a loader forgets where things
stood, lets the last of two equal keys win, and expands aliases without counting. Scalars are
resolved by the core schema of YAML 1.2 (https://yaml.org/spec/1.2.2/#103-core-schema): `yes`, `no`,
`on`, `off` and `1:30` are text, as they look.

Everything is bounded: the file's size, the depth, and the number of nodes once every alias is
written out. A file that breaks a bound, or is no YAML at all, has one fault; keys that stand twice,
merge keys and keys that are no text have one each.
"""

from __future__ import annotations

import math
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from heliograph._faults import Fault, StopReadingError, Where, shorten

if TYPE_CHECKING:
    from typing import NoReturn

    from heliograph._faults import Faults

__all__ = [
    "MAX_BYTES",
    "MAX_DEPTH",
    "MAX_NODES",
    "Items",
    "Member",
    "Node",
    "Scalar",
    "Table",
    "parse",
    "plain",
    "read",
]

MAX_BYTES: Final = 4 * 1024 * 1024
"""Largest file that is read. Ours to choose; the largest catalog known has a hundredth of it."""

MAX_DEPTH: Final = 64
"""Deepest nesting. Ours to choose; the format itself needs 6 levels."""

MAX_NODES: Final = 200_000
"""Most nodes, aliases written out. Ours to choose; 4 MiB of honest catalog stay below it."""


@dataclass(slots=True, eq=False)
class Scalar:
    """A leaf: its resolved value, and the text it was written as."""

    value: str | int | float | bool | None
    text: str
    line: int
    column: int
    size: int = 1
    height: int = 1


@dataclass(slots=True, eq=False)
class Items:
    """A sequence."""

    line: int
    column: int
    nodes: list[Node] = field(default_factory=list)
    size: int = 1
    height: int = 1


@dataclass(slots=True, eq=False)
class Member:
    """One key of a mapping, where the key stands, and what it is given."""

    key: str
    line: int
    column: int
    node: Node


@dataclass(slots=True, eq=False)
class Table:
    """A mapping, its keys in the order of the file; of a key that stands twice, the first."""

    line: int
    column: int
    members: dict[str, Member] = field(default_factory=dict)
    size: int = 1
    height: int = 1


Node: TypeAlias = Scalar | Items | Table


def plain(node: Node) -> Any:
    """The tree as dictionaries, lists and scalars, the places forgotten."""
    if isinstance(node, Scalar):
        return node.value
    if isinstance(node, Items):
        return [plain(item) for item in node.nodes]
    return {key: plain(member.node) for key, member in node.members.items()}


def read(path: str | os.PathLike[str], faults: Faults, extra: str = "catalog") -> Table | None:
    """The mapping that a file holds; what is wrong with it as YAML is added to `faults`.

    The tree may be used in spite of faults, to find more of them; None if there is no tree.

    Args:
        path: the file.
        faults: where to put them.
        extra: the extra that PyYAML comes with, for the error where it is missing.

    Raises:
        ImportError: PyYAML is not installed.
    """
    name = os.fspath(path)
    start = Where(name, 1, 1, "")
    try:
        with Path(name).open("rb") as file:
            # Read one byte past the bound rather than trust a size that may change, or a device.
            raw = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as failure:  # ValueError: a NUL in the path
        reason = getattr(failure, "strerror", None) or str(failure)
        faults.append(Fault(f"cannot be read: {reason}", start, "name a readable YAML file"))
        return None
    if len(raw) > MAX_BYTES:
        message = f"larger than the {MAX_BYTES // 1024**2} MiB that are read"
        faults.append(Fault(message, start, "split it into several files"))
        return None
    return parse(raw, name, faults, extra)


def parse(raw: bytes, file: str, faults: Faults, extra: str = "catalog") -> Table | None:
    """The mapping that UTF-8 text holds; what is wrong with it as YAML is added to `faults`.

    Args:
        raw: the text; a byte order mark is skipped.
        file: what faults call it.
        faults: where to put them.
        extra: the extra that PyYAML comes with, for the error where it is missing.

    Raises:
        ImportError: PyYAML is not installed.
    """
    yaml = _yaml(extra)
    try:
        return _tree(yaml, _text(raw, file, faults), file, faults)
    except StopReadingError:
        return None


def _tree(yaml: Any, text: str, file: str, faults: Faults) -> Table:
    builder = _Builder(file, faults)
    try:
        for event in yaml.parse(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
            builder.take(event)
    except yaml.YAMLError as failure:
        _refuse_syntax(failure, text, file, faults)
    root = builder.root
    if root is None or (isinstance(root, Scalar) and root.value is None):
        faults.stop("the file is empty", Where(file, 1, 1, ""), "write 'key: value' lines")
    if not isinstance(root, Table):
        where = Where(file, root.line, root.column, "")
        message = f"the file holds {_SHAPE[type(root)]}, not a mapping"
        faults.stop(message, where, "write 'key: value' lines")
    return root


def _text(raw: bytes, file: str, faults: Faults) -> str:
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as failure:
        # The codec counts from behind the byte order mark, so the mark is taken off first.
        body = raw.removeprefix(b"\xef\xbb\xbf")
        where = _position(file, body[: failure.start].decode("utf-8", "replace"))
        faults.stop(f"byte 0x{body[failure.start]:02x} is not UTF-8", where, "save it as UTF-8")
    if unprintable := _UNPRINTABLE.search(text):
        where = _position(file, text[: unprintable.start()])
        message = f"control character U+{ord(unprintable[0]):04X}"
        faults.stop(message, where, "remove it, or escape it in double quotes")
    return text


# PyYAML's own set of what YAML allows to stand in a file, inverted; checked before parsing so that
# its two parsers (libyaml and Python) give the same fault.
_UNPRINTABLE: Final = re.compile(
    "[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]"
)

_SHAPE: Final[dict[type, str]] = {Scalar: "a single value", Items: "a list", Table: "a mapping"}

_CORE_TAGS: Final = {
    f"tag:yaml.org,2002:{name}": name for name in ("str", "int", "float", "bool", "null")
}
_COLLECTION_TAGS: Final = frozenset({"!", "tag:yaml.org,2002:map", "tag:yaml.org,2002:seq"})

_NULLS: Final = frozenset({"", "~", "null", "Null", "NULL"})
_BOOLS: Final = {
    word: word[0] in "tT" for word in ("true", "True", "TRUE", "false", "False", "FALSE")
}
# Integers are held to 40 digits: longer ones are no count of anything, and turning thousands of
# digits into a number takes quadratic time. They fall through to float, and there to infinity.
_INT: Final = re.compile(r"[-+]?[0-9]{1,40}")
_OCTAL: Final = re.compile(r"0o[0-7]{1,40}")
_HEX: Final = re.compile(r"0x[0-9a-fA-F]{1,40}")
_FLOAT: Final = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_INFINITY: Final = re.compile(r"[-+]?\.(inf|Inf|INF)")
_NAN: Final = frozenset({".nan", ".NaN", ".NAN"})


def _resolve(text: str) -> str | int | float | bool | None:
    """What a plain scalar means by YAML 1.2's core schema."""
    if text in _NULLS:
        return None
    if text in _BOOLS:
        return _BOOLS[text]
    if _INT.fullmatch(text):
        return int(text)
    if _OCTAL.fullmatch(text) or _HEX.fullmatch(text):
        return int(text, 0)
    if _FLOAT.fullmatch(text):
        return float(text)
    if _INFINITY.fullmatch(text):
        return -math.inf if text.startswith("-") else math.inf
    if text in _NAN:
        return math.nan
    return text


class _Builder:
    """Makes the tree from the parser's events, without recursion."""

    def __init__(self, file: str, faults: Faults) -> None:
        self.file = file
        self.faults = faults
        self.root: Node | None = None
        self._documents = 0
        self._nodes = 0
        self._anchors: dict[str, Node] = {}
        self._stack: list[_Open] = []

    def take(self, event: Any) -> None:
        """Take one parser event."""
        match type(event).__name__:
            case "ScalarEvent":
                line, column = _mark(event)
                value = self._scalar_value(event)
                self._finish(Scalar(value, event.value, line, column), event.anchor)
            case "AliasEvent":
                self._alias(event)
            case "SequenceStartEvent":
                self._open(event, Items(*_mark(event)))
            case "MappingStartEvent":
                self._open(event, Table(*_mark(event)))
            case "SequenceEndEvent" | "MappingEndEvent":
                opened = self._stack.pop()
                self._finish(opened.node, opened.anchor)
            case "DocumentStartEvent":
                self._documents += 1
                if self._documents > 1:
                    self._refuse(event, "a second document", "keep one document in a file")
            case _:  # the stream's start and end, a document's end
                pass

    def _scalar_value(self, event: Any) -> str | int | float | bool | None:
        tag = event.tag
        if tag is None:
            return _resolve(event.value) if event.implicit[0] else event.value
        if tag == "!" or _CORE_TAGS.get(tag) == "str":
            return str(event.value)
        value = _resolve(event.value)
        kind = _CORE_TAGS.get(tag)
        if kind is None:
            self._refuse(event, f"tag {shorten(tag)!r}", "remove it; tags are not used here")
        if {"int": int, "float": float, "bool": bool, "null": type(None)}[kind] is not type(value):
            message = f"{shorten(event.value)!r} is not what its tag says"
            self._refuse(event, message, "remove the tag")
        return value

    def _alias(self, event: Any) -> None:
        target = self._anchors.get(event.anchor)
        if target is None:  # the parser refuses unknown anchors only when composing
            name = f"*{shorten(event.anchor)}"
            mend = f"write &{shorten(event.anchor)} before the value it stands for"
            self._refuse(event, f"alias {name} has no anchor, or lies within it", mend)
        if len(self._stack) + target.height > MAX_DEPTH:
            self._too_deep(event)
        self._count(event, target.size)
        self._place(target, *_mark(event))

    def _open(self, event: Any, node: Items | Table) -> None:
        if event.tag is not None and event.tag not in _COLLECTION_TAGS:
            message = f"tag {shorten(event.tag)!r}"
            self._refuse(event, message, "remove it; tags are not used here")
        if len(self._stack) >= MAX_DEPTH:
            self._too_deep(event)
        self._count(event, 1)
        self._stack.append(_Open(node, event.anchor))

    def _finish(self, node: Node, anchor: str | None) -> None:
        if isinstance(node, Scalar):
            self._count(node, 1)
        if anchor is not None:
            self._anchors[anchor] = node
        self._place(node, node.line, node.column)

    def _place(self, node: Node, line: int, column: int) -> None:
        """Put a finished node where it belongs."""
        if not self._stack:
            self.root = node
            return
        parent = self._stack[-1]
        parent.node.size += node.size
        parent.node.height = max(parent.node.height, node.height + 1)
        if isinstance(parent.node, Items):
            parent.node.nodes.append(node)
        elif not parent.has_key:
            parent.key = self._key(parent.node, node, line, column)
            parent.has_key = True
        else:
            parent.has_key = False
            if parent.key is not None:
                key, line, column = parent.key
                parent.node.members[key] = Member(key, line, column, node)

    def _key(self, table: Table, node: Node, line: int, column: int) -> tuple[str, int, int] | None:
        """The key that a mapping's next value goes by; None if it is faulty."""
        where = Where(self.file, line, column, self._path())
        if not isinstance(node, Scalar) or node.value is None:
            what = "an empty key" if isinstance(node, Scalar) else f"{_SHAPE[type(node)]} as a key"
            self.faults.add(what, where, "write a name before the colon")
            return None
        if node.text == "<<":
            mend = "write the keys out; merging hides where a key came from"
            self.faults.add("merge key '<<'", where, mend)
            return None
        if (first := table.members.get(node.text)) is not None:
            message = f"second key {shorten(node.text)!r} (first in line {first.line})"
            self.faults.add(message, where, "remove or rename one of them")
            return None
        return node.text, line, column

    def _path(self) -> str:
        path = ""
        for opened in self._stack[:-1]:
            if isinstance(opened.node, Items):
                path += f"[{len(opened.node.nodes)}]"
            else:
                path += f".{shorten(opened.key[0])}" if opened.key is not None else ".?"
        return path.removeprefix(".")

    def _count(self, at: Any, nodes: int) -> None:
        self._nodes += nodes
        if self._nodes > MAX_NODES:
            message = f"more than {MAX_NODES:,} values, with every alias written out"
            self._refuse(at, message, "split the file, or remove aliases")

    def _too_deep(self, at: Any) -> NoReturn:
        self._refuse(at, f"nested deeper than {MAX_DEPTH} levels", "flatten it")

    def _refuse(self, at: Any, message: str, mend: str) -> NoReturn:
        line, column = (at.line, at.column) if isinstance(at, Scalar) else _mark(at)
        self.faults.stop(message, Where(self.file, line, column, ""), mend)


@dataclass(slots=True, eq=False)
class _Open:
    """A collection whose end has not come yet."""

    node: Items | Table
    anchor: str | None
    key: tuple[str, int, int] | None = None
    """Of a mapping, the key that awaits its value and its place; None if that key is faulty."""
    has_key: bool = False


def _yaml(extra: str) -> Any:
    """PyYAML, imported on first use so that those who read YAML alone need it."""
    try:
        import yaml
    except ImportError:
        message = f"reading YAML needs PyYAML: pip install heliograph[{extra}]"
        raise ImportError(message, name="yaml") from None
    return yaml


def _mark(event: Any) -> tuple[int, int]:
    return event.start_mark.line + 1, event.start_mark.column + 1


def _position(file: str, before: str) -> Where:
    """Where the text after `before` begins."""
    line_start = before.rfind("\n") + 1
    return Where(file, before.count("\n") + 1, len(before) - line_start + 1, "")


def _refuse_syntax(failure: Any, text: str, file: str, faults: Faults) -> NoReturn:
    """Say what the YAML parser says, in the file's terms."""
    mark = failure.problem_mark or failure.context_mark
    where = Where(file, mark.line + 1, mark.column + 1, "")
    lines = text.split("\n")
    line = lines[mark.line] if mark.line < len(lines) else ""
    if line[mark.column : mark.column + 1] == "\t":
        faults.stop("not YAML: a tab where spaces belong", where, "indent with spaces")
    problem = f"{failure.context}, {failure.problem}" if failure.context else failure.problem
    faults.stop(f"not YAML: {problem}", where, "check quotes, colons and indentation here")
