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
from dataclasses import dataclass, replace
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

__all__ = ["AttributeLimits", "Attributes", "Extractor", "Value", "quick", "tell"]

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

    __slots__ = ("_limits", "measured", "retake", "steps", "take", "take_latest")
    _limits: AttributeLimits
    steps: Sequence[_Step]
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

        def chosen(source: str, uses: Iterable[Use]) -> list[_Step]:
            return [
                _Step(
                    f"{source}_{number}",
                    source,
                    use.key,
                    use.required,
                    wanted[use.field.name],
                    self._limits,
                )
                for number, use in enumerate(uses)
                if use.field.name in wanted and wanted[use.field.name].field == use.field
            ]

        measured = chosen("measurements", event.measurements)
        told = chosen("metadata", event.metadata)
        self.measured = bool(measured)
        self.steps = steps = [*measured, *told]
        source = [
            "def take(found, measurements, metadata):",
            *_indented(_reading(steps)),
            *_indented(line for step in steps for line in step.adding()),
            "    return",
            "def take_latest(found, metadata, known):",
            *_indented(["before = known.get", *_reading(told)]),
            *_indented(line for step in told for line in step.latest()),
            "def retake(found, metadata, known):",
            *_indented(_unchanged(told)),
            "    get, before = metadata.get, known.get",
            *_indented(line for step in told for line in step.changed()),
        ]
        names: dict[str, Any] = {
            "all_plain": _all_plain,
            "convert": self._convert,
            "isfinite": isfinite,
            **{f"convert_{step.name}": _converter(step.attribute) for step in steps},
        }
        # Made of the catalog's names, each as a literal, and of nothing else.
        code = compile("\n".join(source), f"<attributes of {event.name}>", "exec")
        exec(code, names)  # noqa: S102 - see above
        self.take, self.take_latest = names["take"], names["take_latest"]
        self.retake = names["retake"]

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


@dataclass(frozen=True, slots=True)
class _Step:
    """Writes what one attribute needs."""

    name: str
    """The variable of its value."""
    source: str
    key: str
    required: bool
    attribute: Attribute
    limits: AttributeLimits

    def read(self, source: str) -> str:
        """Look the value up, in the faster of two ways where it must be there."""
        return f"{source}[{self.key!r}]" if self.required else f"{source}.get({self.key!r})"

    def adding(self) -> list[str]:
        """Add the attribute."""
        return self._added(self.name, f"{self.name} is not None", "None")

    def latest(self) -> list[str]:
        """Add the attribute, from what was known before if need be."""
        before = f"before({self.key!r})"
        present = f"{self.name} is not None or ({self.name} := {before}) is not None"
        return self._added(self.name, present, before)

    def changed(self) -> list[str]:
        """Add the attribute if its value is not what it was."""
        added = self._added("value", "value is not None", "None")
        return [
            f"value = get({self.key!r})",
            f"if value is not before({self.key!r}):",
            *_indented(added),
        ]

    def _added(self, value: str, present: str, fallback: str) -> list[str]:
        # What most values are needs no more than a look.
        plainly, plain_value = _PLAINLY.get(self.attribute.type, ("False", "{value}"))
        asked = {"value": value, "text": self.limits.text, "items": self.limits.items}
        attribute = self.attribute.name
        return [
            f"if {plainly.format(**asked)}:",
            f"    found[{attribute!r}] = {plain_value.format(value=value)}",
            f"elif {present}:",
            f"    convert(found, {attribute!r}, {value}, convert_{self.name}, {fallback})",
        ]


def quick(*extractors: Extractor) -> Callable[[Mapping[str, Any], Mapping[str, Any]], Attributes]:
    """Make a function that takes all attributes at once, if they are as declared.

    It is generated, like those of an `Extractor`, for what nearly every event is like: every value
    there, of its type and within its limits. The values of one event are those of the next more
    often than not, so it looks closely at those only that it has not just seen; and if all are the
    very objects that it has just seen, the attributes are those it has just made.

    Args:
        extractors: Whose attributes; no two of them have one in common.

    Returns:
        A function of the measurements and the metadata. What it returns is not to be changed, and
        empty if anything is not as it should be. It never raises.
    """
    steps = [
        replace(step, name=f"{step.source}_{number}")
        for number, step in enumerate(step for each in extractors for step in each.steps)
    ]
    if not steps or any(step.required and step.attribute.type not in _QUICKLY for step in steps):
        return lambda _measurements, _metadata: {}
    # What was seen is shared by all threads: read once, and replaced as one.
    seen = ", ".join([f"seen_{step.name}" for step in steps])
    body = [
        *(f"{step.name} = {step.read(step.source)}" for step in steps),
        f"{seen}, found = latest",
        *(line for step in steps for line in _as_seen(step)),
        f"if {' and '.join([f'{step.name} is seen_{step.name}' for step in steps])}: return found",
        *(line for step in steps for line in _checked(step)),
        "found = {",
        *(f"    {step.attribute.name!r}: {step.name}," for step in steps if step.required),
        "}",
        *(
            f"if {step.name} is not None: found[{step.attribute.name!r}] = {step.name}"
            for step in steps
            if not step.required
        ),
        f"latest = ({', '.join([step.name for step in steps])}, found)",
        "return found",
    ]
    source = [
        "def make(isfinite, latest):",
        "    def take_all(measurements, metadata):",
        "        nonlocal latest",
        # Whoever takes an event apart with care finds out what it is that raises.
        *_indented(_indented(["try:", *_indented(body), "except Exception: return {}"])),
        "    return take_all",
    ]
    names: dict[str, Any] = {}
    # Made of the catalog's names, each as a literal, and of nothing else.
    exec(compile("\n".join(source), "<attributes at once>", "exec"), names)  # noqa: S102 - see above
    nothing = object()
    made: Callable[[Mapping[str, Any], Mapping[str, Any]], Attributes] = names["make"](
        isfinite, (*(nothing for _ in steps), {})
    )
    return made


def _as_seen(step: _Step) -> list[str]:
    """Make an array that is like the one that was seen the one that was seen.

    Told is always what was looked at: an item that only pretends to be the same text does not get
    through.
    """
    if step.attribute.type != "string[]":
        return []
    name = step.name
    convert = [
        f"if type({name}) is not list and type({name}) is not tuple: return {{}}",
        f"{name} = tuple({name})",
        f"if {name} == seen_{name}: {name} = seen_{name}",
    ]
    present = "" if step.required else f" and {name} is not None"
    return [f"if {name} is not seen_{name}{present}:", *_indented(convert)]


def _checked(step: _Step) -> list[str]:
    """Give up unless the value is as declared, or what was seen."""
    present = "" if step.required else f"{step.name} is not None and "
    wrong = ""
    if step.attribute.type in _QUICKLY:
        asked = {"value": step.name, "text": step.limits.text, "items": step.limits.items}
        wrong = f" and not ({_QUICKLY[step.attribute.type].format(**asked)})"
    return [f"if {present}{step.name} is not seen_{step.name}{wrong}: return {{}}"]


def _reading(steps: Sequence[_Step]) -> list[str]:
    """Read all values; with more patience if one is not there that should be."""
    if not steps:
        return []
    return [
        "try:",
        *_indented(f"{step.name} = {step.read(step.source)}" for step in steps),
        "except KeyError:",
        *_indented(f"{step.name} = {step.source}.get({step.key!r})" for step in steps),
    ]


def _unchanged(steps: Sequence[_Step]) -> list[str]:
    """Return at once if all values are what they were."""
    same = " and ".join(f"{step.read('metadata')} is {step.read('known')}" for step in steps)
    return ["try:", f"    if {same or True}: return", "except KeyError: pass"]


def _indented(lines: Iterable[str]) -> list[str]:
    return [f"    {line}" for line in lines]


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
    "string": ("type({value}) is str and {value}.isascii() and len({value}) <= {text}", "{value}"),
    "int": (f"type({{value}}) is int and {-(2**63)} <= {{value}} < {2**63}", "{value}"),
    "double": ("type({value}) is float and isfinite({value})", "{value}"),
    "boolean": ("{value} is True or {value} is False", "{value}"),
    "string[]": (
        "type({value}) is list and len({value}) <= {items} and all_plain({value}, {text})",
        "tuple({value})",
    ),
}
_TEXT: Final = "type({value}) is str and {value}.isascii() and len({value}) <= {text}"
_QUICKLY: Final[Mapping[str, str]] = {
    "string": _TEXT,
    # Comparing with a small number is much cheaper than with a great one.
    "int": "type({value}) is int and (0 <= {value} <= 1073741823 or "
    f"{-(2**63)} <= {{value}} < {2**63})",
    "double": "type({value}) is float and isfinite({value})",
    "boolean": "{value} is True or {value} is False",
    "string[]": f"len({{value}}) <= {{items}} and all([{_TEXT.replace('{value}', 'each')} "
    "for each in {value}])",
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
