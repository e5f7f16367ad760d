# SPDX-License-Identifier: Apache-2.0
"""What scenarios script: the device behind the read and write functions, and custom codecs."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from typing import Any

from heliograph.modboss import CodecError, DeviceError, Metadata
from tests.modboss.golden.tagged import Atom, differences, from_json

__all__ = ["Codec", "Device", "Thrown"]


class Thrown(Exception):
    """What a scenario throws."""

    def __init__(self, value: Any) -> None:
        super().__init__(value)
        self.value = value


class Device:
    """Answers requests as a scenario says."""

    def __init__(self, script: dict[str, Any]) -> None:
        self._script = script
        self._calls = 0
        self._calls_from: Counter[tuple[str, int]] = Counter()

    def read(self, object_type: str, start: int, count: int) -> Any:
        """Give values, or fail as scripted."""
        reply = self._reply(object_type, start)
        if "count" in reply:
            return [0] * reply["count"]
        if "ok" in reply:
            return from_json(reply["ok"])
        if "return" in reply:
            return from_json(reply["return"])
        values = [self._value(object_type, address) for address in range(start, start + count)]
        return values[0] if count == 1 and self._script.get("single") != "list" else values

    def write(self, object_type: str, start: int, _values: Any) -> None:
        """Take values, or fail as scripted."""
        self._reply(object_type, start)

    def _value(self, object_type: str, address: int) -> Any:
        objects = self._script.get("objects", {}).get(object_type, {})
        if str(address) in objects:
            return from_json(objects[str(address)])
        fill = self._script.get("fill", 0)
        if fill == "address":
            return address
        return address % 2 if fill == "parity" else from_json(fill)

    def _reply(self, object_type: str, start: int) -> dict[str, Any]:
        """Say how to answer the next call, or raise."""
        number, self._calls = self._calls, self._calls + 1
        number_from = self._calls_from[object_type, start]
        self._calls_from[object_type, start] += 1
        reply = self._scripted(object_type, start, number, number_from)
        if "error" in reply:
            raise DeviceError(from_json(reply["error"]))
        if "raise" in reply:
            raise RuntimeError(reply["raise"])
        if "raise_badarith" in reply:
            raise ArithmeticError("bad argument in an arithmetic expression")
        if "throw" in reply:
            raise Thrown(from_json(reply["throw"]))
        if "exit" in reply:
            raise SystemExit(from_json(reply["exit"]))
        return reply

    def _scripted(
        self, object_type: str, start: int, number: int, number_from: int
    ) -> dict[str, Any]:
        replies: list[dict[str, Any]] = self._script.get("replies", [])
        if number < len(replies):
            return replies[number]
        for each in self._script.get("replies_for", []):
            if each["type"] != object_type or each.get("start", start) != start:
                continue
            if number_from < len(each["replies"]):
                found: dict[str, Any] = each["replies"][number_from]
                return found
        always: dict[str, Any] = self._script.get("always", {})
        return always


Note = Callable[[str, str, Any, Metadata | None], None]


class Codec:
    """A codec of a scenario, with the functions that it scripts and no others."""

    def __init__(self, name: str, script: dict[str, Any], note: Note) -> None:
        self.name = name
        self.module: str | None = script.get("module")
        for direction in ("encode", "decode"):
            if direction in script:
                setattr(self, direction, _function(direction, name, script[direction], note))


def _function(direction: str, name: str, script: dict[str, Any], note: Note) -> Callable[..., Any]:
    do = script["do"]

    def alone(value: Any) -> Any:
        note(direction, name, value, None)
        return perform(do, value, None)

    def with_metadata(value: Any, metadata: Metadata) -> Any:
        note(direction, name, value, metadata)
        return perform(do, value, metadata)

    def either(value: Any, metadata: Metadata | None = None) -> Any:
        note(direction, name, value, metadata)
        return perform(do, value, metadata)

    match script["arity"]:
        case 1:
            return alone
        case 2:
            return with_metadata
    return either


def perform(do: list[Any], value: Any, metadata: Metadata | None) -> Any:
    """Do what a codec is scripted to do."""
    operation, *arguments = do
    match operation:
        case "identity":
            return value
        case "multiply":
            return value * arguments[0]
        case "add":
            return value + arguments[0]
        case "const":
            return from_json(arguments[0])
        case "error":
            raise CodecError(from_json(arguments[0]))
        case "return":
            # Whatever is no result in the original is an error without a text here.
            raise CodecError(Atom("wrong shape"))  # type: ignore[arg-type]  # on purpose
        case "raise":
            raise RuntimeError(arguments[0])
        case "throw":
            raise Thrown(from_json(arguments[0]))
        case "exit":
            raise SystemExit(from_json(arguments[0]))
        case "sum":
            return sum(value)
        case "join_words_be":
            joined = 0
            for word in value:
                joined = joined << 16 | word
            return joined
        case "split_words_be":
            return _split(value, arguments[0])
        case "f_to_c":
            return _rounded((value - 32) * 5 / 9)
        case "c_to_f":
            return value * 9 / 5 + 32
        case "table":
            return _choice(arguments, value)
    assert metadata is not None, f"{operation} needs metadata"
    match operation:
        case "split_words_be_meta":
            return _split(value, metadata.address_count)
        case "echo_metadata":
            return {
                "name": metadata.name,
                "type": metadata.object_type,
                "address_count": metadata.address_count,
                "context": metadata.context,
                "value": value,
            }
        case "by_context":
            key, cases, *default = arguments
            return perform(_case(metadata.context.get(key), cases, default), value, metadata)
        case "by_name":
            cases, *default = arguments
            return perform(_case(metadata.name, cases, default), value, metadata)
    raise ValueError(f"unknown codec operation {operation!r}")


def _split(value: int, count: int) -> list[int]:
    return [value >> 16 * at & 0xFFFF for at in reversed(range(count))]


def _rounded(value: float) -> int:
    """Round halves away from zero."""
    return int(math.copysign(math.floor(abs(value) + 0.5), value))


def _choice(arguments: list[Any], value: Any) -> Any:
    pairs, *default = arguments
    for key, result in pairs:
        if not differences(from_json(key), value):
            return from_json(result)
    if default:
        return perform(default[0], value, None)
    raise LookupError(f"no clause for {value!r}")


def _case(key: Any, cases: list[Any], default: list[Any]) -> list[Any]:
    for wanted, do in cases:
        if not differences(from_json(wanted), key):
            chosen: list[Any] = do
            return chosen
    if default:
        fallback: list[Any] = default[0]
        return fallback
    raise LookupError(f"no clause for {key!r}")
