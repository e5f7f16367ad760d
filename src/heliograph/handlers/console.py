# SPDX-License-Identifier: Apache-2.0
"""Events on a terminal, for people: aligned, coloured, spans indented by their nesting."""

from __future__ import annotations

import os
import sys
import time
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final, TextIO

from heliograph.handlers.declared import Declared, Made
from heliograph.plain import Limits, pairs, plain, rendered
from heliograph.spans import SPAN_CONTEXT, now
from heliograph.telemetry import Error, Ok

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator, Mapping

    from heliograph.handlers.declared import CatalogLike, Traits
    from heliograph.plain import Plain

__all__ = ["Console", "console_line", "duration"]

# Our choices: what a line of a terminal has room for.
_LIMITS: Final = Limits(depth=3, items=8, text=120, nodes=64)
_DEEPEST: Final = 8
_MOST_OPEN: Final = 64

_NOT_SHOWN: Final = frozenset({"monotonic_time", "system_time", "stacktrace", SPAN_CONTEXT})

_DIM, _RED, _GREEN, _YELLOW, _BLUE, _CYAN = "2", "31", "32", "33", "34", "36"
_COLOURS_OF_KINDS: Final = {"start": _CYAN, "stop": _GREEN, "exception": _RED, "point": _BLUE}
_COLOURS_OF_SEVERITIES: Final = {
    "trace": _DIM,
    "debug": _DIM,
    "warn": _YELLOW,
    "error": _RED,
    "fatal": _RED,
}

# The spans that are open here, each beside the console that indents by it. A context variable, so
# that tasks which run side by side don't indent each other's lines.
_open: ContextVar[tuple[tuple[int, Hashable], ...]] = ContextVar(
    "heliograph_open_spans", default=()
)


class Console:
    """A handler that prints each event as one line.

        heliograph.attach_many("console", ["shop.checkout.start", "shop.checkout.stop"], Console())

        12:00:00.001  shop.checkout.start         cart=A-17
        12:00:00.002    shop.order.placed         count=1
        12:00:00.008  shop.checkout.stop          duration=7.2 ms  cart=A-17

    Durations are in a unit that fits. Colours are used where `NO_COLOR` is not set, and either
    `FORCE_COLOR` is, or the output is a terminal that isn't `dumb`. Control characters never reach
    the terminal. Never raises: a line that can't be printed is lost.

    Args:
        output: Where to print; standard error, as it is at the time of each event, if None.
        color: Whether to use colours; None decides as said above.
        catalog: Where severities and units come from; what it calls sensitive is left out. A
            catalog, or names or paths of catalogs.
        width: Columns for the name and its indentation; longer names push their line to the right.

    Raises:
        CatalogError: A catalog to be loaded is broken or unknown.
    """

    __slots__ = ("_color", "_declared", "_judged", "_output", "_width")

    def __init__(
        self,
        output: TextIO | None = None,
        *,
        color: bool | None = None,
        catalog: CatalogLike | None = None,
        width: int = 36,
    ) -> None:
        self._output = output
        self._color = color
        self._declared = Declared(catalog)
        self._width = width
        self._judged: tuple[TextIO | None, bool] = (None, False)

    def __call__(
        self,
        event: str,
        measurements: Mapping[str, Any],
        metadata: Mapping[str, Any],
        _config: object = None,
    ) -> None:
        """Print an event; a configuration given to `attach` is not used."""
        output = sys.stderr if self._output is None else self._output
        if output is None:
            return  # a program without a console
        try:
            line = self._line(event, measurements, metadata, self._is_coloured(output))
            _print(line, output)
        except Exception:  # noqa: BLE001, S110 - a closed or broken terminal is no reason to fail
            pass

    def _line(
        self,
        event: str,
        measurements: Mapping[str, Any],
        metadata: Mapping[str, Any],
        coloured: bool,
    ) -> str:
        traits = self._declared.of(event)
        system_time = measurements.get("system_time")
        name = "  " * self._depth(traits, metadata) + rendered(plain(event, _LIMITS))
        words = list(_words(traits, measurements, metadata))
        failed = any(isinstance(value, Error) for value in metadata.values())
        colour = _COLOURS_OF_SEVERITIES.get(traits.severity or "")
        if colour is None:
            colour = _RED if failed else _COLOURS_OF_KINDS[traits.kind]
        if not coloured:
            parts = [_clock(system_time), name.ljust(self._width)]
            parts += [f"{key}={value}" for key, value in words]
        else:
            parts = [_paint(_DIM, _clock(system_time)), _paint(colour, name.ljust(self._width))]
            parts += [f"{_paint(_DIM, f'{key}=')}{value}" for key, value in words]
        return "  ".join(parts).rstrip()

    def _depth(self, traits: Traits, metadata: Mapping[str, Any]) -> int:
        """Return how many of the spans shown here are around an event, and note if one begins."""
        spans = _open.get()
        mine = [span for console, span in spans if console == id(self)]
        context = metadata.get(SPAN_CONTEXT)
        if context is None or traits.kind == "point":
            return min(len(mine), _DEEPEST)
        span = (id(self), context)
        if traits.kind == "start":
            if span not in spans:
                # One that is closed in another context is never taken out; so only so many.
                _open.set((*spans, span)[-_MOST_OPEN:])
            return min(len(mine), _DEEPEST)
        if span in spans:
            _open.set(tuple([each for each in spans if each != span]))
            return min(mine.index(context), _DEEPEST)
        return min(len(mine), _DEEPEST)

    def _is_coloured(self, output: TextIO) -> bool:
        if self._color is not None:
            return self._color
        judged, coloured = self._judged
        if judged is not output:
            coloured = _wants_colour(output)
            self._judged = (output, coloured)
        return coloured


def console_line(
    event: str, measurements: Mapping[str, Any], metadata: Mapping[str, Any], config: object
) -> None:
    """Print an event as one line, for people, to standard error.

        heliograph.attach("console", "shop.order.placed", console_line)

    Args:
        event: The event's name.
        measurements: Its measurements.
        metadata: Its metadata.
        config: None, or a mapping of the arguments of `Console`: `color`, `catalog`, `width`,
            `output`.

    Raises:
        TypeError: The configuration is no mapping.
        ValueError: An option is unknown.
        CatalogError: A catalog to be loaded is broken or unknown.
    """
    _made.by(config)(event, measurements, metadata, None)


_made: Final = Made(Console, ("output", "color", "catalog", "width"))


def duration(nanoseconds: int) -> str:
    """Return a time in nanoseconds as people say it: `850 ns`, `7.20 ms`, `2 min 03 s`."""
    sign = "-" if nanoseconds < 0 else ""
    amount = abs(nanoseconds)
    if amount < 1000:
        return f"{sign}{amount} ns"
    for unit, size in (("µs", 1_000), ("ms", 1_000_000), ("s", 1_000_000_000)):
        # Three digits, and what would be rounded up to 1000 is 1.00 of the next unit.
        if amount < 999.5 * size and not (unit == "s" and amount >= 59.95 * size):
            value = amount / size
            digits = 2 if value < 9.995 else 1 if value < 99.95 else 0
            return f"{sign}{value:.{digits}f} {unit}"
    seconds = (amount + 500_000_000) // 1_000_000_000
    minutes, seconds = divmod(seconds, 60)
    if minutes < 60:
        return f"{sign}{minutes} min {seconds:02d} s"
    hours, minutes = divmod(minutes, 60)
    return f"{sign}{hours} h {minutes:02d} min"


def _words(
    traits: Traits, measurements: Mapping[str, Any], metadata: Mapping[str, Any]
) -> Iterator[tuple[str, str]]:
    for key, value in pairs(measurements, _LIMITS, traits.hidden_measurements).items():
        if key in traits.nanoseconds and type(value) is int:
            yield rendered(key), duration(value)
        elif key not in _NOT_SHOWN:
            yield rendered(key), rendered(value)
    hidden = traits.hidden_metadata | _NOT_SHOWN
    for key, value in pairs(metadata, _LIMITS, hidden).items():
        yield rendered(key), _spoken(metadata.get(key), value)


def _spoken(original: object, value: Plain) -> str:
    """Return a value as one word, results and exceptions as people write them."""
    match original, value:
        case BaseException(), {"type": kind, "message": message}:
            return rendered(f"{kind}: {message}")
        case Ok(), {"ok": inner}:
            return f"Ok({_spoken(original.value, inner)})"
        case Error(), {"error": inner}:
            return f"Error({_spoken(original.reason, inner)})"
        case _:
            return rendered(value)


def _clock(system_time: object) -> str:
    if not isinstance(system_time, int) or not 0 <= system_time < 2**63:
        _, system_time = now()
    seconds, nanoseconds = divmod(system_time, 1_000_000_000)
    return f"{time.strftime('%H:%M:%S', time.localtime(seconds))}.{nanoseconds // 1_000_000:03d}"


def _paint(colour: str, text: str) -> str:
    return f"\x1b[{colour}m{text}\x1b[0m"


def _wants_colour(output: TextIO) -> bool:
    # The conventions of no-color.org and force-color.org: set and not empty.
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR"):
        return True
    return os.environ.get("TERM") != "dumb" and output.isatty()


def _print(line: str, output: TextIO) -> None:
    try:
        output.write(f"{line}\n")
    except UnicodeEncodeError:
        encoding = output.encoding
        output.write(f"{line}\n".encode(encoding, "backslashreplace").decode(encoding))
