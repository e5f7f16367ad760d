# SPDX-License-Identifier: Apache-2.0
"""An event's measurements and metadata as OpenTelemetry attributes.

Which field becomes which attribute, and of which type, is said by `heliograph.catalog.exported`;
this module carries it out on values, whatever they are. A value of the declared type goes through
untouched. One of another type is converted if that loses nothing, told as text if the attribute is
a text, and left out otherwise. A text, or an array, beyond its limit is cut, and the attribute
`heliograph.truncated` names what was cut.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from math import isfinite
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from heliograph.catalog.exported import TRUNCATED
from heliograph.otel.exceptions import encodable
from heliograph.plain import Limits as PlainLimits
from heliograph.plain import plain

if TYPE_CHECKING:
    from collections.abc import Iterable

    from heliograph.catalog.exported import Attribute, AttributeType
    from heliograph.catalog.model import EventSpec, Use

__all__ = ["AttributeLimits", "Attributes", "Extractor", "Value", "tell"]

Scalar: TypeAlias = "str | int | float | bool"
Value: TypeAlias = (
    "Scalar | tuple[str, ...] | tuple[int, ...] | tuple[float, ...] | tuple[bool, ...]"
)
Attributes: TypeAlias = dict[str, Any]
"""Attribute name -> `Value`; `Any`, because the SDK's own type for values is invariant."""


@dataclass(frozen=True, slots=True)
class AttributeLimits:
    """How long an attribute's value may be; both are our choice.

    Attributes:
        text: Characters of a text, and of each text in an array.
        items: Items of an array.
        stacktrace: Characters of a stack trace.
    """

    text: int = 4096
    items: int = 128
    stacktrace: int = 16_384


class _Unusable(Exception):
    """A value that can't be told by an attribute of its type."""


class Extractor:
    """Takes the attributes of one event from what it carries.

    The two functions it has are generated for the event, since they run with each of its events:
    for each attribute one look-up, one look at the type, one assignment.

    Attributes:
        take: `take(found, measurements, metadata)` adds the event's attributes to `found`; what is
            absent or None adds nothing.
        retake: `retake(found, metadata, known)` adds those of the metadata that are not the same
            objects as in `known`.
        take_latest: `take_latest(found, metadata, known)` adds those of the metadata, and of
            `known` what the metadata lack or have in no usable form.
        measured: Whether there are attributes that come from measurements.
    """

    __slots__ = ("_limits", "measured", "retake", "take", "take_latest")
    _limits: AttributeLimits
    measured: bool
    take: Callable[[Attributes, Mapping[str, Any], Mapping[str, Any]], None]
    retake: Callable[[Attributes, Mapping[str, Any], Mapping[str, Any]], None]
    take_latest: Callable[[Attributes, Mapping[str, Any], Mapping[str, Any]], None]

    def __init__(
        self,
        event: EventSpec,
        attributes: Iterable[Attribute],
        limits: AttributeLimits,
        without: AbstractSet[str] = frozenset(),
    ) -> None:
        """Work out what to take from where.

        Args:
            event: The event.
            attributes: What its span or log event may have.
            limits: How long values may be.
            without: Attributes that are taken elsewhere.
        """
        self._limits = limits
        wanted = {
            each.field.name: each
            for each in attributes
            if each.field is not None and each.name not in without
        }

        def chosen(uses: Iterable[Use]) -> list[tuple[str, Attribute]]:
            return [
                (use.key, wanted[use.field.name])
                for use in uses
                if use.field.name in wanted and wanted[use.field.name].field == use.field
            ]

        measured, told = chosen(event.measurements), chosen(event.metadata)
        self.measured = bool(measured)
        names: dict[str, Any] = {
            "convert": self._convert,
            "isfinite": isfinite,
            "all_plain": _all_plain,
        }
        taking = ["def take(found, measurements, metadata):"]
        for source, steps in (("measurements", measured), ("metadata", told)):
            if steps:
                taking.append(f"    get = {source}.get")
            for key, attribute in steps:
                taking.append(f"    value = get({key!r})")
                taking += self._lines("    ", attribute, names)
        retaking = ["def retake(found, metadata, known):"]
        latest = ["def take_latest(found, metadata, known):"]
        for lines in (retaking, latest):
            lines.append("    get, before = metadata.get, known.get")
        for key, attribute in told:
            retaking.append(f"    value = get({key!r})")
            retaking.append(f"    if value is not before({key!r}):")
            retaking += self._lines("        ", attribute, names)
            latest.append(f"    value = get({key!r})")
            latest.append(f"    if value is None: value = before({key!r})")
            latest += self._lines("    ", attribute, names, f"before({key!r})")
        source = "\n".join([*taking, "    return", *retaking, *latest])
        # Made of the catalog's names, each as a literal, and of nothing else.
        exec(compile(source, f"<attributes of {event.name}>", "exec"), names)  # noqa: S102
        self.take, self.retake = names["take"], names["retake"]
        self.take_latest = names["take_latest"]

    def _lines(
        self, indent: str, attribute: Attribute, names: dict[str, Any], fallback: str = "None"
    ) -> list[str]:
        """Return the lines that add one attribute from `value`."""
        converter = f"convert_{len(names)}"
        names[converter] = _converter(attribute)
        name = attribute.name
        # What most values are needs no more than a look.
        plainly, plain_value = _PLAINLY.get(attribute.type, ("False", "value"))
        limits = {"text": self._limits.text, "items": self._limits.items}
        return [
            f"{indent}if {plainly.format(**limits)}:",
            f"{indent}    found[{name!r}] = {plain_value}",
            f"{indent}elif value is not None:",
            f"{indent}    convert(found, {name!r}, value, {converter}, {fallback})",
        ]

    def _convert(
        self, found: Attributes, name: str, value: object, convert: _Convert, fallback: object
    ) -> None:
        try:
            result, cut = convert(value, self._limits)
        except Exception:  # noqa: BLE001 - the value's own methods may do anything; it is left out
            if fallback is not None and fallback is not value:
                self._convert(found, name, fallback, convert, None)
            return
        found[name] = result
        if cut:
            found[TRUNCATED] = (*found.get(TRUNCATED, ()), name)


def tell(found: Attributes, name: str, text: str, longest: int) -> None:
    """Add a text, cut if it is too long."""
    found[name] = text[:longest]
    if len(text) > longest:
        found[TRUNCATED] = (*found.get(TRUNCATED, ()), name)


def _all_plain(texts: list[str], longest: int) -> bool:
    """Whether all items are texts, together no longer than each may be."""
    try:
        joined = "".join(texts)
    except TypeError:
        return False
    return joined.isascii() and len(joined) <= longest


_PLAINLY: Final[Mapping[str, tuple[str, str]]] = {
    "string": ("type(value) is str and value.isascii() and len(value) <= {text}", "value"),
    "int": (f"type(value) is int and {-(2**63)} <= value < {2**63}", "value"),
    "double": ("type(value) is float and isfinite(value)", "value"),
    "boolean": ("value is True or value is False", "value"),
    "string[]": (
        "type(value) is list and len(value) <= {items} and all_plain(value, {text})",
        "tuple(value)",
    ),
}
_INT64: Final = 2**63
_Convert: TypeAlias = Callable[[object, AttributeLimits], tuple[Any, bool]]


def _converter(attribute: Attribute) -> _Convert:
    declared: AttributeType = attribute.type
    field = attribute.field
    source = field.type.removesuffix("[]") if field is not None else "any"
    if declared.endswith("[]"):
        return _array(_SCALARS[declared.removesuffix("[]")])
    if source in {"map", "any"}:
        return _free
    return _SCALARS[declared]


def _array(convert: _Convert) -> _Convert:
    def array(value: object, limits: AttributeLimits) -> tuple[Any, bool]:
        if isinstance(value, (str, bytes, bytearray)) or not isinstance(
            value, (Sequence, AbstractSet)
        ):
            raise _Unusable
        items: list[Any] = []
        cut = len(value) > limits.items
        for item in value:
            if len(items) == limits.items:
                break
            converted, item_cut = convert(item, limits)
            items.append(converted)
            cut = cut or item_cut
        return tuple(items), cut

    return array


def _text(value: object, limits: AttributeLimits) -> tuple[str, bool]:
    if isinstance(value, str):
        text = str.__str__(value)  # a subclass may say something else, and is not what OTLP takes
    elif isinstance(value, (bytes, bytearray, memoryview)):
        octets = bytes(value[: limits.text // 2 + 1])
        text = octets.hex()
    else:
        return _free(value, limits)
    text = encodable(text)
    return text[: limits.text], len(text) > limits.text


def _free(value: object, limits: AttributeLimits) -> tuple[str, bool]:
    """Tell a value of any type: a text stays as it is, all else is JSON."""
    if isinstance(value, (str, bytes, bytearray, memoryview)):
        return _text(value, limits)
    bounds = PlainLimits(text=limits.text, items=limits.items)
    text = json.dumps(plain(value, bounds), sort_keys=True, ensure_ascii=False, allow_nan=False)
    return text[: limits.text], len(text) > limits.text


def _int(value: object, _limits: AttributeLimits) -> tuple[int, bool]:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or int(value) != value:
        raise _Unusable
    return _within_64_bits(int(value)), False


def _double(value: object, _limits: AttributeLimits) -> tuple[float, bool]:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise _Unusable
    number = float(value)
    if not isfinite(number):
        raise _Unusable
    return number, False


def _boolean(value: object, _limits: AttributeLimits) -> tuple[bool, bool]:
    if not isinstance(value, bool):
        raise _Unusable
    return value, False


def _within_64_bits(value: int) -> int:
    # OTLP has signed 64-bit integers; the encoder would fail the whole batch for one beyond them.
    if not -_INT64 <= value < _INT64:
        raise _Unusable
    return value


_SCALARS: Final[Mapping[str, _Convert]] = {
    "string": _text,
    "int": _int,
    "double": _double,
    "boolean": _boolean,
}
