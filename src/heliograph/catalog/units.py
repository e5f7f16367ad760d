# SPDX-License-Identifier: Apache-2.0
"""Units of measurement: which convert into which, and by what factor.

Codes are UCUM's, case-sensitive (https://ucum.org/ucum, and OpenTelemetry's conventions for units).
Only time and amounts of data convert; a count such as `{request}` is what it is.
"""

from __future__ import annotations

from fractions import Fraction
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["conversion", "is_count", "mistaken_for", "same_family"]

# Each family's units in terms of its base.
_FAMILIES: Final[tuple[Mapping[str, Fraction], ...]] = (
    MappingProxyType(
        {
            "ns": Fraction(1, 10**9),
            "us": Fraction(1, 10**6),
            "ms": Fraction(1, 10**3),
            "s": Fraction(1),
            "min": Fraction(60),
            "h": Fraction(3600),
            "d": Fraction(86400),
        }
    ),
    MappingProxyType(
        {
            "By": Fraction(1),
            "KiBy": Fraction(2**10),
            "MiBy": Fraction(2**20),
            "GiBy": Fraction(2**30),
            "TiBy": Fraction(2**40),
            "kBy": Fraction(10**3),
            "MBy": Fraction(10**6),
            "GBy": Fraction(10**9),
            "TBy": Fraction(10**12),
        }
    ),
)

# What people write, and the code for what they mean.
_MISTAKEN: Final = MappingProxyType(
    {
        "nanosecond": "ns",
        "microsecond": "us",
        "millisecond": "ms",
        "sec": "s",
        "second": "s",
        "minute": "min",
        "hour": "h",
        "day": "d",
        "byte": "By",
        "B": "By",
        "KB": "kBy",
        "KiB": "KiBy",
        "MB": "MBy",
        "MiB": "MiBy",
        "GB": "GBy",
        "GiB": "GiBy",
        "percent": "%",
        "count": "{count}",
    }
)


def conversion(source: str, target: str) -> Fraction | None:
    """The exact factor that turns a value in `source` into one in `target`.

    None if they measure different things, or a unit is not one that converts.
    """
    if source == target or (is_count(source) and is_count(target)):
        return Fraction(1)
    for family in _FAMILIES:
        if source in family and target in family:
            return family[source] / family[target]
    return None


def is_count(unit: str) -> bool:
    """Whether the unit says only what is counted: `1`, or an annotation such as `{request}`."""
    return unit == "1" or (unit.startswith("{") and unit.endswith("}"))


def same_family(unit: str) -> tuple[str, ...]:
    """The units that `unit` converts into, itself included."""
    return next((tuple(family) for family in _FAMILIES if unit in family), (unit,))


def mistaken_for(unit: str) -> str | None:
    """The UCUM code that was meant by what is none, such as `s` for `seconds`."""
    return _MISTAKEN.get(unit) or _MISTAKEN.get(unit.removesuffix("s"))
