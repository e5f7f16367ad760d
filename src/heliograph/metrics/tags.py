# SPDX-License-Identifier: Apache-2.0
"""Values of metadata as tags of a series: text, integers, floating point, true and false.

The rule is that of `heliograph.catalog.exported`: a value keeps the type that its field declares.
One of another type is converted if that loses nothing, told as text if the tag is a text, and left
out otherwise, so that a tag never has two types.

A key is what a series is found by: the tuple of its tags' values. Where a tag has no declared type,
what is no text is paired with its class, because `True`, `1` and `1.0` are equal to each other.
"""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from heliograph.metrics.definitions import Tag, TagType
    from heliograph.metrics.points import TagValue

__all__ = ["LONGEST", "UnfitError", "as_text", "fit", "key_of", "pair", "tags_of"]

LONGEST: Final = 1024
"""Characters of a tag's text, beyond which it is cut; our choice."""


class UnfitError(Exception):
    """A value that cannot be a tag of the declared type."""


def as_text(value: str) -> str:
    """A text that can be exported: not too long, and with nothing that UTF-8 cannot say."""
    text = value[:LONGEST]
    if not text.isascii():
        text = text.encode("utf-8", "backslashreplace").decode()[:LONGEST]
    return text


def fit(value: Any, kind: TagType | None) -> TagValue:
    """A value as a tag of a type; of its own type if that is None.

    Raises:
        UnfitError: It cannot be one.
    """
    if isinstance(value, str):
        if kind not in {"string", None}:
            raise UnfitError
        return as_text(str.__str__(value))
    if isinstance(value, bool):
        if kind == "string":
            return "true" if value else "false"
        if kind in {"bool", None}:
            return value
        raise UnfitError
    if isinstance(value, int):
        whole = int(value)
        # OTLP has signed 64-bit integers.
        if kind == "bool" or not -(2**63) <= whole < 2**63:
            raise UnfitError
        return float(whole) if kind in {"float", "number"} else _told(whole, kind)
    if isinstance(value, float) and isfinite(number := float(value)):
        if kind in {"float", "number", None, "string"}:
            return _told(number, kind)
        if kind == "int" and number.is_integer():
            return fit(int(number), kind)
    raise UnfitError


def _told(value: float, kind: TagType | None) -> TagValue:
    return repr(value) if kind == "string" else value


def pair(value: Any) -> object:
    """What stands in a key for an untyped value that is neither None nor exactly a `str`.

    Raises:
        UnfitError: It is not exactly of one of the classes of which tags are.
    """
    cls = value.__class__
    if cls is bool or (cls is float and isfinite(value)):
        return cls, value
    if cls is int and -(2**63) <= value < 2**63:
        return cls, value
    raise UnfitError


def key_of(tags: Sequence[Tag], values: Sequence[TagValue | None]) -> tuple[object, ...]:
    """The key of fitted values."""
    return tuple(
        value if tag.type is not None or value is None or value.__class__ is str else pair(value)
        for tag, value in zip(tags, values, strict=True)
    )


def tags_of(tags: Sequence[Tag], values: Sequence[TagValue | None]) -> Mapping[str, TagValue]:
    """The attributes of fitted values; those that are None are left out."""
    return {
        tag.attribute: value for tag, value in zip(tags, values, strict=True) if value is not None
    }
