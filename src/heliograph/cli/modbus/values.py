# SPDX-License-Identifier: Apache-2.0
"""Values as people write them: `21.5`, `0x1F`, `on`, `[1, 2]`, text; and scripts of values."""

from __future__ import annotations

import ast
import json
import time
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, Final

import click

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from heliograph.modboss import Mapping
    from heliograph.modboss.virtual import Script

__all__ = ["assignments", "clock", "fitting", "parse_script", "parse_value", "shown"]

_WORDS: Final = {"true": True, "on": True, "false": False, "off": False, "null": None}


def assignments(texts: Iterable[str], *, addresses: bool) -> list[tuple[str, str]]:
    """Names and values of `NAME=VALUE`; an address may have `=` in it, so the last one counts.

    Raises:
        click.UsageError: One is not written so, or a name is there twice.
    """
    pairs: list[tuple[str, str]] = []
    for text in texts:
        name, equals, value = text.rpartition("=") if addresses else text.partition("=")
        if not equals or not name:
            raise click.UsageError(f"{text!r} is no assignment; write NAME=VALUE")
        if any(name == other for other, _ in pairs):
            raise click.UsageError(f"{name!r} is there twice; a write has one value of each")
        pairs.append((name, value))
    return pairs


def parse_value(text: str) -> Any:
    """A value; what is neither number, truth value nor JSON is text. Quotes make anything text."""
    if text.lower() in _WORDS:
        return _WORDS[text.lower()]
    try:
        return int(text, 0)
    except ValueError:
        pass
    try:
        return json.loads(text)
    except ValueError:
        return text


def fitting(mapping: Mapping, text: str) -> Any:
    """The value that a text stands for, as a mapping takes it.

    What looks like a number may be meant as text, a bit or, written as ISO 8601 has it, a time: the
    first of these that the mapping's codec takes. If it takes none, it is asked to say why.
    """
    from heliograph.modboss import ModbossError

    first = parse_value(text)
    for value in (first, *_readings(first, text)):
        try:
            mapping.encode(value)
        except ModbossError:
            continue
        return value
    return first


def _readings(first: Any, text: str) -> Iterator[Any]:
    if type(first) is int and first in {0, 1}:
        yield bool(first)
    yield text
    for kind in (datetime, date):
        try:
            yield kind.fromisoformat(text)
        except ValueError:
            continue


def parse_script(text: str) -> Script | None:
    """The script that a text is: `sine(20, 5, 60)`, `ramp(0, 100, 60)`, `steps(1, 2, 3)`.

    Returns:
        None if it is none.

    Raises:
        click.UsageError: A script has arguments that it cannot have.
    """
    from heliograph.modboss.virtual import ramp, sine, steps

    scripts: dict[str, Callable[..., Script]] = {"ramp": ramp, "sine": sine, "steps": steps}
    name, opening, rest = text.partition("(")
    if name not in scripts or not opening or not rest.endswith(")"):
        return None
    try:
        call = ast.parse(text, mode="eval").body
        if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name):
            raise TypeError("there is more than one call")
        positional = [ast.literal_eval(each) for each in call.args]
        keywords = {str(each.arg): ast.literal_eval(each.value) for each in call.keywords}
        return scripts[name](*positional, **keywords)
    except (SyntaxError, TypeError, ValueError) as error:
        raise click.UsageError(f"{text!r} is no script: {error}") from None


def shown(value: Any) -> str:
    """A value in one line."""
    from heliograph.plain import plain, rendered

    return rendered(plain(value))


def clock(at: float) -> str:
    """The local time of day, to the millisecond."""
    return time.strftime("%H:%M:%S", time.localtime(at)) + f".{int(at % 1 * 1000):03}"
