# SPDX-License-Identifier: Apache-2.0
"""Events as lines of the standard library's logging."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

from heliograph.handlers.declared import Declared, Made
from heliograph.plain import pairs, rendered

if TYPE_CHECKING:
    from collections.abc import Mapping

    from heliograph.handlers.declared import CatalogLike

__all__ = ["LogLine", "log_line"]

TRACE: Final = 5
"""The level of severity `trace`, for which logging has no name: below DEBUG."""

_LEVELS: Final = {
    "trace": TRACE,
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warn": logging.WARNING,
    "error": logging.ERROR,
    "fatal": logging.CRITICAL,
}

# The record has a time of its own, and frames belong into a traceback.
_NOT_IN_LINES: Final = frozenset({"monotonic_time", "system_time", "stacktrace"})


class LogLine:
    """A handler that logs each event as one line of `key=value` pairs.

        heliograph.attach("log", "shop.order.placed", LogLine(catalog="shop"))

    The line has the event's name, its measurements and its metadata. The record also has them as
    its attributes `event`, `measurements` and `metadata` (plain data, as `plain` makes it), for
    formatters that write structured logs.

    Args:
        logger: Name of the logger, or the logger.
        level: Level of every line, by number or name. If None, the severity that the catalog
            declares; without that ERROR for a span's exception and INFO for everything else.
        catalog: Where severities come from; what it calls sensitive is left out. A catalog, or
            names or paths of catalogs.
        traceback: Whether the record of an event whose metadata has an exception as `reason`
            carries its traceback, as `exc_info`.

    Raises:
        ValueError: There is no level of this name.
        CatalogError: A catalog to be loaded is broken or unknown.
    """

    __slots__ = ("_declared", "_level", "_logger", "_traceback")

    def __init__(
        self,
        logger: str | logging.Logger = "heliograph.events",
        *,
        level: int | str | None = None,
        catalog: CatalogLike | None = None,
        traceback: bool = False,
    ) -> None:
        self._logger = logging.getLogger(logger) if isinstance(logger, str) else logger
        self._level = None if level is None else _level(level)
        self._declared = Declared(catalog)
        self._traceback = traceback

    def __call__(
        self,
        event: str,
        measurements: Mapping[str, Any],
        metadata: Mapping[str, Any],
        _config: object = None,
    ) -> None:
        """Log an event; a configuration given to `attach` is not used."""
        traits = self._declared.of(event)
        level = self._level
        if level is None:
            level = _LEVELS[traits.severity or "info"]
        if not self._logger.isEnabledFor(level):
            return
        measured = pairs(measurements, without=traits.hidden_measurements)
        known = pairs(metadata, without=traits.hidden_metadata)
        line = [rendered(event)]
        for key, value in (*measured.items(), *known.items()):
            if key not in _NOT_IN_LINES:
                line.append(f"{rendered(key)}={rendered(value)}")
        reason = metadata.get("reason") if self._traceback else None
        self._logger.log(
            level,
            "%s",
            " ".join(line),
            exc_info=reason if isinstance(reason, BaseException) else None,
            extra={"event": event, "measurements": measured, "metadata": known},
            stacklevel=3,  # past this function and `execute`: where the event was executed
        )


def log_line(
    event: str, measurements: Mapping[str, Any], metadata: Mapping[str, Any], config: object
) -> None:
    """Log an event as one line of `key=value` pairs.

        heliograph.attach("log", "shop.order.placed", heliograph.handlers.log_line)

    Args:
        event: The event's name.
        measurements: Its measurements.
        metadata: Its metadata.
        config: None, or a mapping of the arguments of `LogLine`: `logger`, `level`, `catalog`,
            `traceback`.

    Raises:
        TypeError: The configuration is no mapping.
        ValueError: An option is unknown, or there is no level of this name.
        CatalogError: A catalog to be loaded is broken or unknown.
    """
    _made.by(config)(event, measurements, metadata, None)


_made: Final = Made(LogLine, ("logger", "level", "catalog", "traceback"))


def _level(level: int | str) -> int:
    if isinstance(level, int):
        return level
    number = _LEVELS.get(level.lower(), logging.getLevelNamesMapping().get(level.upper()))
    if number is None:
        raise ValueError(f"there is no level {level!r}; use one of {', '.join(_LEVELS)}")
    return number
