# SPDX-License-Identifier: Apache-2.0
"""Values of recordings: JSON with tags for what JSON lacks, made into Python, and compared.

| in a recording | here |
| --- | --- |
| `null`, `{"$atom": "nil"}` | None |
| `{"$atom": "on"}` | `Atom("on")` |
| `{"$tuple": [...]}` | `Tuple`: no list, so that it counts as one value |
| `{"$map": [[key, value], ...]}`, a plain object | dict |
| `{"$keyword": [[key, value], ...]}` | list of pairs |
| `{"$string": text}`, a string | str |
| `{"$bytes": hex}` | bytes |
| `{"$range": [first, last]}` | range |
| `{"$repeat": [value, times]}` | list |
| `{"$as": codec}` | `As` |
| `{"$exception": about}` | `Raised` |
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["As", "Atom", "Raised", "Tuple", "differences", "from_json"]


@dataclass(frozen=True)
class Atom:
    """A constant that is its own name."""

    name: str


@dataclass(frozen=True)
class Tuple:
    """A tuple as a value."""

    elements: tuple[Any, ...]


@dataclass(frozen=True)
class As:
    """What a mapping is encoded as: a built-in codec, one of the schema, or one of a module."""

    kind: str
    name: str
    module: str | None = None


@dataclass(frozen=True)
class Raised:
    """An exception; its text is compared if the scenario itself supplied it."""

    message: str | None


def from_json(value: Any) -> Any:
    """Make a value of a recording into Python."""
    if isinstance(value, list):
        return [from_json(each) for each in value]
    if not isinstance(value, dict):
        return value
    if len(value) != 1 or not next(iter(value)).startswith("$"):
        return {key: from_json(each) for key, each in value.items()}
    ((tag, content),) = value.items()
    match tag:
        case "$atom":
            return None if content == "nil" else Atom(content)
        case "$tuple":
            return Tuple(tuple(from_json(content)))
        case "$map":
            return {_key(key): from_json(each) for key, each in content}
        case "$keyword":
            return [(_key(key), from_json(each)) for key, each in content]
        case "$string":
            return content
        case "$bytes":
            return bytes.fromhex(content)
        case "$range":
            return range(content[0], content[1] + 1)
        case "$repeat":
            return [from_json(content[0])] * content[1]
        case "$as":
            ((kind, name),) = [pair for pair in content.items() if pair[0] != "name"]
            if kind == "external":
                return As(kind, content["name"], name)
            return As(kind, name)
        case "$exception":
            return Raised(content.get("message"))
    raise ValueError(f"unknown tag {tag!r}")


def _key(key: Any) -> Any:
    made = from_json(key)
    return made.name if isinstance(made, Atom) else made


def differences(expected: Any, actual: Any, where: str = "") -> list[str]:
    """List where two values differ. Numbers of different kinds are different, as 1 and True are.

    A constant that was expected may be a string here: object types, modes and names are.
    """
    if isinstance(expected, Atom) and isinstance(actual, str):
        expected = expected.name
    if isinstance(expected, dict) and isinstance(actual, Mapping):
        return _of_mappings(expected, actual, where)
    if isinstance(expected, list) and isinstance(actual, list | tuple):
        if len(expected) != len(actual):
            return [f"{where}: {len(actual)} elements where {len(expected)} were recorded"]
        found: list[str] = []
        for at, (left, right) in enumerate(zip(expected, actual, strict=True)):
            found += differences(left, right, f"{where}[{at}]")
        return found
    if isinstance(expected, Tuple) and isinstance(actual, Tuple):
        return differences(list(expected.elements), list(actual.elements), where)
    if type(expected) is not type(actual) or expected != actual:
        return [f"{where}: {actual!r} where {expected!r} was recorded"]
    return []


def _of_mappings(expected: dict[Any, Any], actual: Mapping[Any, Any], where: str) -> list[str]:
    found = [f"{where}.{key}: missing" for key in expected if key not in actual]
    found += [f"{where}.{key}: not recorded" for key in actual if key not in expected]
    for key, value in expected.items():
        if key in actual:
            found += differences(value, actual[key], f"{where}.{key}")
    return found
