# SPDX-License-Identifier: Apache-2.0
"""Any value as plain data: what JSON can say, bounded in depth and size, and never an exception.

Events carry whatever their emitters know: exceptions, addresses, results, objects of any class.
What leaves the process as text or JSON goes through `plain` first.

| value | becomes |
| --- | --- |
| None, bool, str, finite float | itself; characters that UTF-8 cannot encode are escaped |
| int | itself up to 64 bits, then a decimal string, beyond 1024 bits only its size |
| infinite float, NaN | `"Infinity"`, `"-Infinity"`, `"NaN"`, as in protocol buffers' JSON |
| bytes | hexadecimal digits |
| mapping | an object; keys become strings, and of keys that become equal the last counts |
| list, tuple, set, any other sequence | an array |
| `Ok(value)`, `Error(reason)` | `{"ok": value}`, `{"error": reason}` |
| exception | `{"type": ..., "message": ...}`, a group with its `exceptions` |
| stack trace | an array of `file:line in function`, the innermost last |
| enumeration member | its value |
| date, time, decimal, path, UUID, address | its usual text |
| anything else | its `repr`; if even that fails, its class |

Iterators are shown, never consumed. What is cut says so: a text ends in `… (5000 characters)`, an
array in `… 42 more`, an object has a key `…`; what lies too deep or comes too late is `<dict>`, and
a container inside itself `<cycle>`.
"""

from __future__ import annotations

import datetime
import decimal
import enum
import ipaddress
import json
import math
import numbers
import pathlib
import uuid
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from itertools import islice
from traceback import FrameSummary, StackSummary
from typing import Any, Final, TypeAlias

from heliograph import Error, Ok

__all__ = ["NARROW", "WIDE", "Limits", "Plain", "pairs", "plain", "rendered"]

Plain: TypeAlias = "bool | int | float | str | list[Plain] | dict[str, Plain] | None"
"""What `plain` returns."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How much of a value is kept. All of them are our choice.

    Attributes:
        depth: Containers inside each other.
        items: Items of one container.
        text: Characters of one string.
        nodes: Values in all.
    """

    depth: int = 6
    items: int = 64
    text: int = 2048
    nodes: int = 1024


WIDE: Final = Limits()
"""Enough for whatever a sensible event carries."""

NARROW: Final = Limits(depth=2, items=8, text=80, nodes=48)
"""For an event that did not fit: enough to recognise it."""

_LAST_FRAMES: Final = 16
_MORE: Final = "…"
# Classes whose str is what people write; their repr repeats the class.
_SPOKEN: Final = (
    datetime.date,
    datetime.time,
    datetime.timedelta,
    decimal.Decimal,
    pathlib.PurePath,
    uuid.UUID,
    ipaddress.IPv4Address,
    ipaddress.IPv6Address,
    ipaddress.IPv4Network,
    ipaddress.IPv6Network,
)


def plain(value: object, limits: Limits = WIDE) -> Plain:
    """Return a value as plain data that `json.dumps` takes with `allow_nan=False`.

    Never raises an `Exception`, whatever the value's own methods do.
    """
    return _Walk(limits).visit(value)


def pairs(
    mapping: object, limits: Limits = WIDE, without: AbstractSet[str] = frozenset()
) -> dict[str, Plain]:
    """Return an event's measurements or metadata as plain data, without some keys.

    What is no mapping, or cannot be read as one, is under the key `"…"`.
    """
    walk = _Walk(limits)
    try:
        if not isinstance(mapping, Mapping):
            return {_MORE: walk.visit(mapping)}
        kept: Mapping[Any, Any] = mapping
        if without:
            kept = {key: value for key, value in mapping.items() if key not in without}
        return walk.mapping(kept)
    except Exception:  # noqa: BLE001 - the emitter's mapping may do anything; we only look at it
        return {_MORE: _class_of(mapping)}


def rendered(value: Plain) -> str:
    """Return plain data as one word of a `key=value` line.

    A string is bare where nothing in it can be misread; everything else is JSON. There are no
    control characters in it, nor others that a terminal would act upon.
    """
    if isinstance(value, str) and _is_bare(value):
        return value
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text if text.isprintable() else "".join([_visible(character) for character in text])


_NEEDS_QUOTES: Final = frozenset(" \"'=\\{}[],")
_JSON_WORDS: Final = frozenset({"null", "true", "false"})


def _is_bare(text: str) -> bool:
    if not text or not text.isprintable() or _NEEDS_QUOTES.intersection(text):
        return False
    # What could be taken for another type is quoted, too: "12" is not 12.
    return text not in _JSON_WORDS and not text[0].isdigit() and text[0] != "-"


def _visible(character: str) -> str:
    if character.isprintable():
        return character
    code = ord(character)
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


class _Walk:
    """One conversion: how much may still be visited, and which containers are open."""

    __slots__ = ("left", "limits", "open")

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.left = limits.nodes
        self.open: set[int] = set()

    def visit(self, value: object) -> Plain:
        self.left -= 1
        try:
            # Text first, and by its exact class: it is the most frequent, and needs no care.
            if type(value) is str:
                return self.text(value)
            if value is None or value is True or value is False:
                return value
            return self.convert(value)
        except Exception:  # noqa: BLE001 - the value's own methods may do anything
            return _class_of(value)

    def convert(self, value: object) -> Plain:
        if isinstance(value, enum.Enum):
            return self.visit(value.value)
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, numbers.Number):
            return self.number(value)
        if isinstance(value, (bytes, bytearray, memoryview)):
            return self.octets(memoryview(value).cast("B"))
        if isinstance(value, _SPOKEN):
            return self.text(str(value))
        if isinstance(value, FrameSummary):
            return self.frame(value)
        if isinstance(value, BaseException):
            return self.inside(value, self.exception)
        if isinstance(value, Ok):
            return self.inside(value, self.ok)
        if isinstance(value, Error):
            return self.inside(value, self.error)
        if isinstance(value, Mapping):
            return self.inside(value, self.mapping)
        if isinstance(value, StackSummary):
            return self.inside(value[-_LAST_FRAMES:], self.sequence)
        if isinstance(value, (Sequence, AbstractSet)):
            return self.inside(value, self.sequence)
        return self.text(repr(value))

    def inside(self, value: Any, convert: Any) -> Plain:
        """Convert a container, unless it is too deep, too late, or inside itself."""
        if id(value) in self.open:
            return "<cycle>"
        if len(self.open) >= self.limits.depth or self.left <= 0:
            return _class_of(value)
        self.open.add(id(value))
        try:
            converted: Plain = convert(value)
            return converted
        finally:
            self.open.discard(id(value))

    def mapping(self, value: Mapping[Any, Any]) -> dict[str, Plain]:
        made: dict[str, Plain] = {}
        taken = list(islice(value.items(), self.limits.items))
        for seen, (key, item) in enumerate(taken):
            if self.left <= 0:
                made[_MORE] = f"{len(value) - seen} more"
                return made
            made[self.key(key)] = self.visit(item)
        if len(taken) < len(value):
            made[_MORE] = f"{len(value) - len(taken)} more"
        return made

    def key(self, key: object) -> str:
        if type(key) is str:
            return self.text(key)
        # A key is hashable, but may be any object; what it becomes is itself made text.
        converted = _Walk(NARROW).visit(key)
        return converted if isinstance(converted, str) else json.dumps(converted)

    def sequence(self, value: Sequence[Any] | AbstractSet[Any]) -> list[Plain]:
        made: list[Plain] = []
        for item in islice(value, self.limits.items):
            if self.left <= 0:
                break
            made.append(self.visit(item))
        if len(made) < len(value):
            made.append(f"{_MORE} {len(value) - len(made)} more")
        return made

    def text(self, value: str) -> str:
        value = str.__str__(value)  # of a subclass, the text and nothing it may have redefined
        length = len(value)
        if length > self.limits.text:
            value = f"{value[: self.limits.text]}{_MORE} ({length} characters)"
        if value.isascii():
            return value
        # Half of a surrogate pair is no character; it would break whoever reads the line.
        return value.encode("utf-8", "backslashreplace").decode("utf-8")

    def octets(self, value: memoryview) -> str:
        kept = value[: self.limits.text // 2].hex()
        return kept if len(value) * 2 == len(kept) else f"{kept}{_MORE} ({len(value)} bytes)"

    def number(self, value: numbers.Number) -> Plain:
        if isinstance(value, decimal.Decimal):
            return self.text(str(value))
        if isinstance(value, numbers.Integral):
            return _integer(value)
        if isinstance(value, numbers.Real):
            return _real(float(value))
        return self.text(repr(value))

    def frame(self, value: FrameSummary) -> str:
        return self.text(f"{value.filename}:{value.lineno} in {value.name}")

    def ok(self, value: Ok[Any]) -> dict[str, Plain]:
        return {"ok": self.visit(value.value)}

    def error(self, value: Error[Any]) -> dict[str, Plain]:
        return {"error": self.visit(value.reason)}

    def exception(self, value: BaseException) -> dict[str, Plain]:
        made: dict[str, Plain] = {"type": _name(type(value)), "message": self.said(value)}
        if isinstance(value, BaseExceptionGroup):
            made["exceptions"] = self.visit(value.exceptions)
        return made

    def said(self, value: BaseException) -> Plain:
        try:
            return self.text(str(value))
        except Exception:  # noqa: BLE001 - its type is still worth telling
            return None


def _integer(value: numbers.Integral) -> int | str:
    exact = int(value)
    bits = exact.bit_length()
    if bits <= 64:
        return exact
    # 1024 bits are 309 digits: below every limit Python may be given for turning int into str.
    return str(exact) if bits <= 1024 else f"<int of {bits} bits>"


def _real(value: float) -> float | str:
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _name(cls: type) -> str:
    module = cls.__module__
    return cls.__qualname__ if module == "builtins" else f"{module}.{cls.__qualname__}"


def _class_of(value: object) -> str:
    # By type's own descriptors: a metaclass may define anything under these names.
    name: str = type.__dict__["__name__"].__get__(type(value))
    return f"<{name}>"
