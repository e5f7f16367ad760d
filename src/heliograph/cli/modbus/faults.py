# SPDX-License-Identifier: Apache-2.0
"""Faults as people write them: `refuse=6 for setpoint at 3-5`, `delay=0.5+silence every 10`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import click

if TYPE_CHECKING:
    from collections.abc import Callable

    from heliograph.modboss.virtual import Fault

__all__ = ["parse_fault"]

_CODES: Final = {
    "illegal_function": 1,
    "illegal_data_address": 2,
    "illegal_data_value": 3,
    "device_failure": 4,
    "acknowledged": 5,
    "device_busy": 6,
    "gateway_path": 10,
    "gateway_target": 11,
}

_CLAUSE: Final = re.compile(r"\s+(for|on|at|every|times)\s+(\S+)")


def parse_fault(text: str) -> tuple[tuple[Fault, ...], dict[str, Any]]:
    """The faults of a text, and when they happen: what `VirtualDevice.inject` takes.

    A text is `KIND[=VALUE][+KIND...]`, and then any of `for NAME,...`, `on reads` or `on writes`,
    `at 3-5,9`, `every 10` and `times 2`.

    Raises:
        click.BadParameter: It is not written so.
    """
    kinds, *rest = re.split(r"\s", text.strip(), maxsplit=1)
    when: dict[str, Any] = {}
    clauses = f" {rest[0].strip()}" if rest else ""
    read = ""
    for match in _CLAUSE.finditer(clauses):
        read += match[0]
        word, value = match[1], match[2]
        if word == "for":
            when["names"] = value.split(",")
        elif word == "on" and value in {"reads", "writes"}:
            when["only"] = value.removesuffix("s")
        elif word == "at":
            when["calls"] = _calls(text, value)
        elif word == "every":
            when["calls"] = _Multiples(_number(text, value, int))
        elif word == "times":
            when["times"] = _number(text, value, int)
        else:
            raise _bad(text, f"{word} {value} means nothing; write on reads, or on writes")
    if read != clauses:
        raise _bad(text, f"{clauses.strip()!r} means nothing")
    return tuple(_fault(text, kind) for kind in kinds.split("+")), when


class _Multiples:
    """The numbers that a number divides."""

    def __init__(self, factor: int) -> None:
        self._factor = max(1, factor)

    def __contains__(self, number: int) -> bool:
        return number % self._factor == 0


def _fault(text: str, kind: str) -> Fault:
    from heliograph.modboss import virtual

    name, equals, value = kind.partition("=")
    makers: dict[str, tuple[Callable[..., Fault], Any]] = {
        "refuse": (virtual.Refuse, lambda code: _CODES.get(code) or _number(text, code, int)),
        "silence": (virtual.Silence, None),
        "delay": (virtual.Delay, lambda seconds: _number(text, seconds, float)),
        "wrong-unit": (virtual.WrongUnit, lambda unit: _number(text, unit, int)),
        "wrong-transaction": (virtual.WrongTransaction, lambda off: _number(text, off, int)),
        "wrong-count": (virtual.WrongCount, lambda count: _number(text, count, int)),
        "corrupt": (virtual.Corrupt, lambda index: _number(text, index, int)),
        "cut": (virtual.Cut, lambda keep: _number(text, keep, int)),
        "garbage": (virtual.Garbage, lambda data: _bytes(text, data)),
        "close": (virtual.Close, None),
        "reset": (virtual.Reset, None),
    }
    if name not in makers:
        raise _bad(text, f"{name!r} is no fault; there are {', '.join(makers)}")
    maker, convert = makers[name]
    if equals and convert is None:
        raise _bad(text, f"{name} takes no value")
    try:
        return maker(convert(value)) if equals else maker()
    except TypeError:
        raise _bad(text, f"{name} needs a value, as in {name}=1") from None
    except ValueError as error:
        raise _bad(text, str(error)) from None


def _calls(text: str, value: str) -> set[int]:
    calls: set[int] = set()
    for part in value.split(","):
        first, _, last = part.partition("-")
        begin, end = _number(text, first, int), _number(text, last or first, int)
        if end - begin > 1_000_000:
            raise _bad(text, f"{part} are too many calls")
        calls.update(range(begin, end + 1))
    return calls


def _number(text: str, value: str, kind: type[Any]) -> Any:
    try:
        return kind(value)
    except ValueError:
        raise _bad(text, f"{value!r} is no number") from None


def _bytes(text: str, value: str) -> bytes:
    try:
        return bytes.fromhex(value)
    except ValueError:
        raise _bad(text, f"{value!r} is not made of hexadecimal digits") from None


def _bad(text: str, complaint: str) -> click.BadParameter:
    return click.BadParameter(f"{text!r}: {complaint}", param_hint="--fault")
