# SPDX-License-Identifier: Apache-2.0
"""Which Python values a catalog's types admit."""

from __future__ import annotations

from collections.abc import Mapping
from traceback import StackSummary
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from heliograph.telemetry import Error, Ok

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["SCALAR_CHECKS", "fits"]


def _is_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


SCALAR_CHECKS: Final[Mapping[str, Callable[[Any], bool]]] = MappingProxyType(
    {
        "string": lambda value: isinstance(value, str),
        "int": _is_int,
        # An int passes for a float, as it does for a type checker; NaN and infinity are floats.
        "float": _is_number,
        "number": _is_number,
        "bool": lambda value: isinstance(value, bool),
        "bytes": lambda value: isinstance(value, bytes | bytearray | memoryview),
    }
)

_OTHER_CHECKS: Final[Mapping[str, Callable[[Any], bool]]] = MappingProxyType(
    {
        "map": lambda value: isinstance(value, Mapping),
        "any": lambda _: True,
        "result": lambda value: isinstance(value, Ok | Error),
        "exception": lambda value: isinstance(value, BaseException),
        "stacktrace": lambda value: isinstance(value, StackSummary),
    }
)


def fits(kind: str, value: Any) -> bool:
    """Whether `value` is of a catalog's type; of an array, only that it is a list or tuple."""
    if kind.endswith("[]"):
        return isinstance(value, list | tuple)
    check = SCALAR_CHECKS.get(kind) or _OTHER_CHECKS[kind]
    return check(value)
