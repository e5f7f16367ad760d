# SPDX-License-Identifier: Apache-2.0
"""Device files: schemas written as YAML or CSV.

Whatever is wrong is found in one go, each fault with its file and line. A line of CSV that cannot
be read does not keep the others from being looked at.
"""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn

from heliograph import _faults, _located
from heliograph._faults import did_you_mean
from heliograph._located import MAX_BYTES, Scalar, Table, plain
from heliograph.modboss.codecs.base import Order
from heliograph.modboss.definition import READ_LIMITS, WRITE_LIMITS, Definition, limits
from heliograph.modboss.errors import Fault, SchemaError, shown
from heliograph.modboss.mapping import OBJECT_TYPES

if TYPE_CHECKING:
    from heliograph._located import Member, Node
    from heliograph.modboss.mapping import ObjectType

__all__ = ["COLUMNS", "KEYS", "MAX_LINES", "DeviceFile", "read"]

COLUMNS: Final = (
    "name",
    "type",
    "address",
    "count",
    "codec",
    "mode",
    "gap_safe",
    "unit",
    "scale",
    "offset",
    "missing",
    "minimum",
    "maximum",
    "word_order",
    "byte_order",
    "pad",
    "enum",
    "flags",
    "bits",
    "description",
    "alarm_below",
    "alarm_above",
)
"""The columns that a CSV file may have, in any order; `name`, `type` and `address` it must have."""

MAX_LINES: Final = 100_000
"""Most lines of a CSV file. Ours to choose; the largest device known has a hundredth of it."""

_NEEDED: Final = ("name", "type", "address")
_SECTIONS: Final[dict[str, ObjectType]] = {f"{each}s": each for each in OBJECT_TYPES}
_LIMITS: Final = {"max_batch_reads": READ_LIMITS, "max_batch_writes": WRITE_LIMITS}
_ORDERS: Final = ("word_order", "byte_order")
KEYS: Final = ("schema", *_ORDERS, *_LIMITS, *_SECTIONS)
"""The keys that stand at the top of a YAML file."""


@dataclass(slots=True)
class DeviceFile:
    """What a device file holds, right or wrong."""

    name: str
    definitions: list[Definition] = field(default_factory=list)
    options: dict[str, Any] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)


def read(path: str | os.PathLike[str]) -> DeviceFile:
    """Read a device file.

    Args:
        path: The file, whose name ends in `.yaml`, `.yml` or `.csv`.

    Raises:
        SchemaError: Nothing of it can be read.
        ImportError: It is YAML, and PyYAML is not installed.
    """
    file = os.fspath(path)
    found = DeviceFile(Path(file).stem)
    match Path(file).suffix.lower():
        case ".yaml" | ".yml":
            _read_yaml(file, found)
        case ".csv":
            _read_csv(file, found)
        case ending:
            text = f"its ending is {ending!r}; name a file that ends in .yaml, .yml or .csv"
            _refuse(file, text)
    return found


def _refuse(file: str, text: str, line: int | None = None) -> NoReturn:
    where = file if line is None else f"{file}:{line}"
    raise SchemaError(Path(file).stem, [Fault("unreadable", None, text, where=where)])


# -- YAML -----------------------------------------------------------------------------------------


def _read_yaml(file: str, found: DeviceFile) -> None:
    problems = _faults.Faults()
    table = _located.read(file, problems, "modbus")
    for problem in problems:
        mend = f"; {problem.mend}" if problem.mend else ""
        where = f"{file}:{problem.line}"
        found.faults.append(Fault("unreadable", None, f"{problem.message}{mend}", where=where))
    if table is None:
        raise SchemaError(found.name, found.faults)
    _Yaml(file, found).take(table)


class _Yaml:
    """Takes the tree of a device file apart."""

    def __init__(self, file: str, found: DeviceFile) -> None:
        self._file = file
        self._found = found

    def take(self, table: Table) -> None:
        """Take everything that stands at the top."""
        for key, member in table.members.items():
            if key == "schema":
                self._take_name(member)
            elif key in _ORDERS:
                self._take_order(key, member)
            elif key in _LIMITS:
                self._take_limits(key, member)
            elif key in _SECTIONS:
                self._take_section(_SECTIONS[key], member)
            else:
                mend = did_you_mean(key, KEYS, f"there are {', '.join(KEYS)}")
                text = f"there is no {shown(key)}; {mend}"
                self._fault("unknown_schema_option", text, member.line, option=key)

    def _fault(self, code: str, text: str, line: int, **parameters: Any) -> None:
        where = f"{self._file}:{line}"
        self._found.faults.append(Fault(code, None, text, parameters, where))

    def _take_name(self, member: Member) -> None:
        name = plain(member.node)
        if isinstance(name, str) and name:
            self._found.name = name
        else:
            text = f"schema is {shown(name)}; write the name of the schema"
            self._fault("bad_argument", text, member.line, value=name)

    def _take_order(self, option: str, member: Member) -> None:
        value = plain(member.node)
        try:
            Order(**{option: value})
        except ValueError as error:
            self._fault("invalid_schema_option", str(error), member.line, option=option)
        else:
            self._found.options[option] = value

    def _take_limits(self, option: str, member: Member) -> None:
        given = plain(member.node)
        _, faults = limits(option, given, _LIMITS[option])
        for fault in faults:
            node = member.node
            key = fault.parameters.get("key")
            at = node.members[key] if isinstance(node, Table) and key is not None else member
            self._fault(fault.code, fault.text, at.line, **fault.parameters)
        if not faults:
            self._found.options[option] = given

    def _take_section(self, object_type: ObjectType, member: Member) -> None:
        if isinstance(member.node, Scalar) and member.node.value is None:
            return
        if not isinstance(member.node, Table):
            text = f"{member.key} holds no mappings; write 'name: address' or 'name: {{...}}'"
            self._fault("bad_argument", text, member.line)
            return
        for each in member.node.members.values():
            self._found.definitions.append(self._definition(object_type, each))

    def _definition(self, object_type: ObjectType, member: Member) -> Definition:
        where = f"{self._file}:{member.line}"
        node = member.node
        if not isinstance(node, Table):
            return Definition(member.key, object_type, _address(plain(node)), where=where)
        given = {key: _option(key, each.node) for key, each in node.members.items()}
        # What stands there twice, as name and type do here, is told like any other unknown option.
        return Definition(
            member.key,
            object_type,
            _address(given.pop("address", None)),
            given.pop("codec", None),
            given,
            where,
        )


def _option(key: str, node: Node) -> Any:
    if key in {"enum", "flags"} and isinstance(node, Table):
        # A name such as 1 or true is a name nevertheless, so it is taken as it is written.
        return {
            _number(number): each.node.text if isinstance(each.node, Scalar) else plain(each.node)
            for number, each in node.members.items()
        }
    if key == "bits" and isinstance(node, Table):
        return {name: _bits(plain(each.node)) for name, each in node.members.items()}
    return plain(node)


# -- CSV ------------------------------------------------------------------------------------------


def _read_csv(file: str, found: DeviceFile) -> None:
    lines = _csv_lines(file)
    header = next(lines, None)
    if header is None:
        _refuse(file, f"the file is empty; its first line names columns such as {_named()}")
    line, text = header
    delimiter = max(",;\t", key=text.count)
    columns = _columns(file, line, text, delimiter)
    for line, text in lines:
        where = f"{file}:{line}"
        try:
            cells = _cells(text, delimiter)
        except csv.Error as error:
            message = f"{error}; put double quotes around a cell, and double those within"
            found.faults.append(Fault("unreadable", None, message, where=where))
            continue
        if len(cells) > len(columns) and any(cells[len(columns) :]):
            message = f"{len(cells)} cells where there are {len(columns)} columns"
            parameters = {"columns": len(columns), "cells": len(cells)}
            found.faults.append(Fault("unreadable", None, message, parameters, where))
            continue
        row = {column: cell for column, cell in zip(columns, cells, strict=False) if cell}
        found.definitions.append(_row(row, where))


def _csv_lines(file: str) -> Iterator[tuple[int, str]]:
    """The lines that hold anything, with their numbers."""
    try:
        with Path(file).open("rb") as opened:
            # Read one byte past the bound rather than trust a size that may change, or a device.
            raw = opened.read(MAX_BYTES + 1)
    except (OSError, ValueError) as failure:  # ValueError: a NUL in the path
        _refuse(file, f"cannot be read: {getattr(failure, 'strerror', None) or failure}")
    if len(raw) > MAX_BYTES:
        _refuse(file, f"larger than the {MAX_BYTES // 1024**2} MiB that are read; split it")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as failure:
        line = raw.count(b"\n", 0, failure.start) + 1
        _refuse(file, f"byte 0x{raw[failure.start]:02x} is not UTF-8; save it as UTF-8", line)
    lines = text.split("\n")
    if len(lines) > MAX_LINES:
        _refuse(file, f"more than the {MAX_LINES:,} lines that are read; split it")
    for number, line_text in enumerate(lines, 1):
        if line_text.strip(" \t\r,;") and not line_text.lstrip().startswith("#"):
            yield number, line_text.rstrip("\r")


def _columns(file: str, line: int, text: str, delimiter: str) -> list[str]:
    try:
        columns = _cells(text, delimiter)
    except csv.Error as error:
        _refuse(file, str(error), line)
    faults = []
    for at, column in enumerate(columns):
        if column in columns[:at]:
            problem = f"column {shown(column)} stands twice"
        elif column in COLUMNS:
            continue
        else:
            mend = did_you_mean(column, COLUMNS, f"there are {', '.join(COLUMNS)}")
            problem = f"there is no column {shown(column)}; {mend}"
        faults.append(Fault("unreadable", None, problem, {"column": column}, f"{file}:{line}"))
    for column in _NEEDED:
        if column not in columns:
            problem = f"the first line names columns such as {_named()}; {column} is not there"
            faults.append(Fault("unreadable", None, problem, {"column": column}, f"{file}:{line}"))
    if faults:
        raise SchemaError(Path(file).stem, faults)
    return columns


def _named() -> str:
    return ",".join((*_NEEDED, "codec"))


def _cells(text: str, delimiter: str) -> list[str]:
    (cells,) = csv.reader([text], delimiter=delimiter, strict=True, skipinitialspace=True)
    return [cell.strip() for cell in cells]


def _row(row: dict[str, str], where: str) -> Definition:
    options: dict[str, Any] = {
        column: _CELLS[column](cell) if column in _CELLS else cell for column, cell in row.items()
    }
    return Definition(
        options.pop("name", None),
        options.pop("type", None),
        options.pop("address", None),
        options.pop("codec", None),
        options,
        where,
    )


# -- Texts ----------------------------------------------------------------------------------------

# What a text does not mean is handed on as it is, so that the definition is refused for it.


def _number(text: str) -> Any:
    with suppress(ValueError):
        return int(text, 0)
    return text


def _any_number(text: str) -> Any:
    with suppress(ValueError):
        return int(text, 0)
    with suppress(ValueError):
        return float(text)
    return text


_SPAN: Final = re.compile(r"(\w+) *(?:-|\.\.) *(\w+)")


def _address(given: Any) -> Any:
    """A number, or a range of `first-last`."""
    if not isinstance(given, str):
        return given
    if span := _SPAN.fullmatch(given):
        first, last = map(_number, span.groups())
        if isinstance(first, int) and isinstance(last, int):
            return range(first, last + 1)
    return _number(given)


def _bits(given: Any) -> Any:
    """A bit, or the first and the last one of `first-last`."""
    bits = _address(given)
    return (bits.start, bits.stop - 1) if isinstance(bits, range) else bits


def _truth(text: str) -> Any:
    return {"true": True, "yes": True, "false": False, "no": False}.get(text.lower(), text)


def _names(text: str) -> Any:
    """Names by number, of `0=off;1=on`."""
    return {_number(number): name for number, name in _pairs(text)}


def _parts(text: str) -> Any:
    """Bits by name, of `running=0;stage=1-3`."""
    return {name: _bits(bits) for name, bits in _pairs(text)}


def _pairs(text: str) -> Iterator[tuple[str, str]]:
    for pair in text.split(";"):
        if pair.strip():
            left, _, right = pair.partition("=")
            yield left.strip(), right.strip()


_CELLS: Final[dict[str, Callable[[str], Any]]] = {
    "address": _address,
    "count": _number,
    "gap_safe": _truth,
    "missing": _any_number,
    "alarm_below": _any_number,
    "alarm_above": _any_number,
    "enum": _names,
    "flags": _names,
    "bits": _parts,
}
