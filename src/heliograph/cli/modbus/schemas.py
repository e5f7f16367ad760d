# SPDX-License-Identifier: Apache-2.0
"""What a command line says of a device's objects: a schema's place, or addresses one by one."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from heliograph.modboss import ObjectType, Schema

__all__ = ["load_schema", "parse_ranges", "parse_type", "schema_of_addresses"]

_TYPES: Final[dict[str, ObjectType]] = {
    "holding": "holding_register",
    "input": "input_register",
    "coil": "coil",
    "discrete": "discrete_input",
    "holding_register": "holding_register",
    "input_register": "input_register",
    "discrete_input": "discrete_input",
}


def load_schema(place: str) -> type[Schema]:
    """The schema at `package.module:Class`, which may be in the working directory, or in a file.

    Raises:
        click.ClickException: There is none.
        OSError: The file cannot be read.
        SchemaError: It is wrong.
    """
    from heliograph.modboss import Schema

    module, separator, name = place.partition(":")
    if not separator or Path(place).exists():
        return Schema.from_file(place)
    folder = str(Path.cwd())
    if folder not in sys.path:
        sys.path.insert(0, folder)
    try:
        found: Any = importlib.import_module(module)
        for part in name.split("."):
            found = getattr(found, part)
    except ModuleNotFoundError as error:
        if not module.startswith(error.name or "?"):
            raise
        raise click.UsageError(f"--schema {place}: there is no module {error.name!r}") from None
    except AttributeError as error:
        raise click.UsageError(f"--schema {place}: {error}") from None
    if not (isinstance(found, type) and issubclass(found, Schema)):
        raise click.UsageError(f"--schema {place}: {name} is no schema; derive it from Schema")
    return found


def schema_of_addresses(specs: Sequence[str]) -> type[Schema]:
    """A schema of mappings that are called what they were written as: `holding:100:2:float32`.

    Raises:
        click.UsageError: One is not written so.
        SchemaError: One has a codec that there is not, or is there twice.
    """
    from heliograph.modboss import Schema

    return Schema.from_mappings("addresses", [_mapping(spec) for spec in specs])


def _mapping(spec: str) -> dict[str, Any]:
    from heliograph.modboss.mapping import BITS

    kind, *rest = spec.split(":")
    object_type = parse_type(spec, kind)
    mapping: dict[str, Any] = {"name": spec, "type": object_type}
    if object_type in {"holding_register", "coil"}:
        mapping["mode"] = "rw"
    if not rest:
        raise _unreadable(spec)
    first, dash, last = rest.pop(0).partition("-")
    start = _number(spec, first)
    mapping["address"] = range(start, _number(spec, last) + 1) if dash else start
    if rest and rest[0].isdecimal():
        if dash:
            raise click.UsageError(f"{spec!r} has both a last address and a count; give one")
        mapping["count"] = _number(spec, rest.pop(0))
    if rest and "=" not in rest[0]:
        mapping["codec"] = rest.pop(0)
    for option in rest:
        key, equals, value = option.partition("=")
        if not equals or key in mapping:
            raise _unreadable(spec)
        mapping[key] = value
    if "codec" not in mapping and mapping.get("count", 1) == 1 and not dash:
        mapping["codec"] = "boolean" if object_type in BITS else "uint16"
    return mapping


def parse_ranges(specs: Iterable[str]) -> dict[ObjectType, list[range]]:
    """Ranges of addresses by object type, of `holding:100-199`, `holding:100:100`, `coil:5`.

    Raises:
        click.UsageError: One is not written so.
    """
    from heliograph.modboss.definition import MAX_ADDRESS

    ranges: dict[ObjectType, list[range]] = {}
    for spec in specs:
        mapping = _mapping(spec)
        if not mapping.keys() <= {"name", "type", "mode", "address", "count", "codec"}:
            raise _unreadable(spec)
        address = mapping["address"]
        if isinstance(address, int):
            address = range(address, address + mapping.get("count", 1))
        if not address or address.stop > MAX_ADDRESS + 1:
            raise click.UsageError(
                f"{spec!r} is no range of addresses; they go up, from 0 to {MAX_ADDRESS}"
            )
        ranges.setdefault(mapping["type"], []).append(address)
    return ranges


def parse_type(spec: str, kind: str) -> ObjectType:
    """The object type that a short word stands for.

    Raises:
        click.UsageError: It stands for none.
    """
    if kind not in _TYPES:
        raise click.UsageError(
            f"{spec!r}: {kind!r} is no object type; there are holding, input, coil and discrete"
        )
    return _TYPES[kind]


def _number(spec: str, text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= 6):
        raise _unreadable(spec)
    return int(text)


def _unreadable(spec: str) -> click.UsageError:
    return click.UsageError(
        f"{spec!r} is no address; write TYPE:ADDRESS[:COUNT][:CODEC][:OPTION=VALUE], as in "
        "holding:100:2:float32 or coil:5"
    )
