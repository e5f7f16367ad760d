# SPDX-License-Identifier: Apache-2.0
"""Scenarios run: the schema made, the operation called, and everything that happens noted."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

import heliograph
from heliograph import Error, Ok
from heliograph.modboss import (
    DecodeError,
    DeviceError,
    EncodeError,
    Metadata,
    NotReadableError,
    NotWritableError,
    Schema,
    UnknownNamesError,
    aread,
    awrite,
    encode,
    read,
    write,
)
from tests.modboss.golden.scripted import Codec, Device, Thrown
from tests.modboss.golden.tagged import As, from_json

__all__ = ["EVENTS", "Failed", "Happened", "Left", "Mode", "Ran", "run"]

Mode = Literal["sync", "async", "unheard"]
"""Plain functions, coroutines, or plain functions while nobody listens."""

EVENTS = [
    f"modboss.{span}.{suffix}"
    for span in ("read", "write", "read_callback", "write_callback")
    for suffix in ("start", "stop", "exception")
]

LOCAL = "own_"
"""Before the names of a scenario's own codecs, which may be called as built-in ones are."""


@dataclass(frozen=True)
class Failed:
    """An error result, as a recording has it."""

    reason: Any


@dataclass(frozen=True)
class Left:
    """An operation that was left by what the original calls a raise, a throw or an exit."""

    kind: Literal["error", "throw", "exit"]
    value: Any
    """The text of an exception, what was thrown, or what the exit was with."""


@dataclass(frozen=True)
class Happened:
    """An entry of the timeline: E an event, C a callback, K a call of a codec."""

    letter: Literal["E", "C", "K"]
    content: Any


@dataclass
class Ran:
    """What was seen of a run."""

    result: Any = None
    """A value, `Failed` or `Left`."""
    trace: list[Happened] = field(default_factory=list)
    warnings: int = 0


def run(scenario: dict[str, Any], mode: Mode) -> Ran:
    """Run a scenario."""
    ran = Ran()
    schema = _schema(scenario["schema"], ran)
    device = Device(scenario["device"])

    def called(object_type: str, start: int, third: Any) -> None:
        ran.trace.append(Happened("C", [object_type, start, third]))

    with _watching(ran, [] if mode == "unheard" else EVENTS):
        try:
            if mode == "async":
                value = asyncio.run(_acall(schema, scenario, device, called))
            else:
                value = _call(schema, scenario, device, called)
        except BaseException as error:
            ran.result = _outcome(error)
            if ran.result is None:
                raise
        else:
            ran.result = _result(schema, scenario, value)
    return ran


Called = Callable[[str, int, Any], None]


def _call(schema: type[Schema], scenario: dict[str, Any], device: Device, called: Called) -> Any:
    def read_func(object_type: str, start: int, count: int) -> Any:
        called(object_type, start, count)
        return device.read(object_type, start, count)

    def write_func(object_type: str, start: int, values: Any) -> None:
        called(object_type, start, values)
        device.write(object_type, start, values)

    options = from_json(scenario["options"])
    match scenario["operation"]:
        case "read":
            return read(schema, from_json(scenario["names"]), read_func, **options)
        case "write":
            write(schema, _values(scenario), write_func, **options)
            return None
        case "encode":
            return encode(schema, _values(scenario), **options)
    raise ValueError(f"unknown operation {scenario['operation']!r}")


async def _acall(
    schema: type[Schema], scenario: dict[str, Any], device: Device, called: Called
) -> Any:
    async def read_func(object_type: str, start: int, count: int) -> Any:
        called(object_type, start, count)
        await asyncio.sleep(0)
        return device.read(object_type, start, count)

    async def write_func(object_type: str, start: int, values: Any) -> None:
        called(object_type, start, values)
        await asyncio.sleep(0)
        device.write(object_type, start, values)

    options = from_json(scenario["options"])
    match scenario["operation"]:
        case "read":
            return await aread(schema, from_json(scenario["names"]), read_func, **options)
        case "write":
            await awrite(schema, _values(scenario), write_func, **options)
            return None
    return _call(schema, scenario, device, called)  # encoding has no other way


def _values(scenario: dict[str, Any]) -> Any:
    pairs = [(from_json(name), from_json(value)) for name, value in scenario["values"]]
    return dict(pairs) if scenario["values_as"] == "map" else pairs


# -- The schema -----------------------------------------------------------------------------------


def _schema(recorded: dict[str, Any], ran: Ran) -> type[Schema]:
    def note(direction: str, name: str, value: Any, metadata: Metadata | None) -> None:
        told = None if metadata is None else _told(metadata)
        ran.trace.append(Happened("K", [direction, name, value, told]))

    scripts: dict[str, Any] = recorded.get("codecs") or {}
    codecs = {name: Codec(name, script, note) for name, script in scripts.items()}

    def codec(given: dict[str, str] | None) -> Any:
        if given is None or "builtin" in given:
            return None if given is None else given["builtin"]
        return f"{LOCAL}{given['local']}" if "local" in given else codecs[given["name"]]

    mappings = []
    for each in recorded["mappings"]:
        start, count = each["start"], each["count"]
        mapping = {
            "name": each["name"],
            "type": each["type"],
            "address": range(start, start + count),
            "codec": codec(each["as"]),
            "mode": each["mode"],
            "gap_safe": each["gap_safe"],
        }
        if count == 1 and not each.get("as_range"):
            mapping["address"] = start
        mappings.append({key: value for key, value in mapping.items() if value is not None})
    return Schema.from_mappings(
        "Recorded",
        mappings,
        codecs={f"{LOCAL}{name}": each for name, each in codecs.items() if each.module is None},
        max_batch_reads=recorded["max_batch_reads"],
        max_batch_writes=recorded["max_batch_writes"],
    )


def _told(metadata: Metadata) -> dict[str, Any]:
    return {
        "name": metadata.name,
        "type": metadata.object_type,
        "address_count": metadata.address_count,
        "context": metadata.context,
    }


def _as(codec: Any) -> As:
    if isinstance(codec, str):
        return As("local", codec.removeprefix(LOCAL))
    if isinstance(codec, Codec):
        return As("external", codec.name, codec.module)
    return As("builtin", codec.name)


# -- What was seen --------------------------------------------------------------------------------


def _result(schema: type[Schema], scenario: dict[str, Any], value: Any) -> Any:
    if scenario["operation"] == "encode":
        # A recording lists them as [type, address, value].
        return [[*key, each] for key, each in sorted(value.items())]
    return _plain(value)


def _plain(value: Any) -> Any:
    """Return a result with the codecs of `debug` as a recording names them."""
    if isinstance(value, Mapping) and "address_range" in value and "as" in value:
        return {**value, "as": _as(value["as"])}
    if isinstance(value, Mapping):
        return {name: _plain(each) for name, each in value.items()}
    return value


def _outcome(error: BaseException) -> Failed | Left | None:
    """Say how an operation failed; None if the runner itself did."""
    match error:
        case DeviceError():
            return Failed(error.reason)
        case UnknownNamesError():
            return Failed({"code": "unknown_names", "names": list(error.names)})
        case NotReadableError():
            return Failed({"code": "not_readable", "names": list(error.names)})
        case NotWritableError():
            return Failed({"code": "not_writable", "names": list(error.names)})
        case EncodeError() | DecodeError():
            return Failed(_failed_codec(error))
        case Thrown():
            return Left("throw", error.value)
        case SystemExit():
            return Left("exit", error.code)
        case Exception():
            return Left("error", str(error))
    return None


def _failed_codec(error: EncodeError | DecodeError) -> dict[str, Any]:
    detail: Any = error.detail
    if error.code is not None:
        detail = {"code": error.code, "name": error.name, **error.parameters}
        if type(error.value) is int:
            detail["value_text"] = str(error.value)
    way = "encode" if isinstance(error, EncodeError) else "decode"
    return {"code": f"{way}_failed", "name": error.name, "detail": detail}


@contextmanager
def _watching(ran: Ran, events: list[str]) -> Iterator[None]:
    """Note events and warnings."""

    def note(
        event: str, measurements: Mapping[str, Any], metadata: Mapping[str, Any], _config: Any
    ) -> None:
        about = dict(metadata)
        if "result" in about:
            about["result"] = _event_result(about["result"])
        if "reason" in about:
            about["reason"] = _outcome(about["reason"])
        ran.trace.append(Happened("E", (event, dict(measurements), about)))

    class Warnings(logging.Handler):
        def emit(self, _record: logging.LogRecord) -> None:
            ran.warnings += 1

    warnings = Warnings(logging.WARNING)
    logger = logging.getLogger()
    logger.addHandler(warnings)
    if events:
        heliograph.attach_many("golden", events, note)
    try:
        yield
    finally:
        if events:
            heliograph.detach("golden")
        logger.removeHandler(warnings)


def _event_result(result: Ok[Any] | Error[Any]) -> Any:
    if isinstance(result, Ok):
        return _plain(result.value)
    outcome = _outcome(result.reason) if isinstance(result.reason, Exception) else None
    return outcome or Failed(result.reason)


def letters(trace: Sequence[Happened]) -> str:
    """Return the order in which things happened."""
    return "".join(each.letter for each in trace)
