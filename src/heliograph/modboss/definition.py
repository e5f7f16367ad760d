# SPDX-License-Identifier: Apache-2.0
"""Definitions checked and made into mappings; every fault of a schema is found in one go.

The faults come in the order in which ModBoss 0.2.0 looks for them: each mapping by itself, doubled
names, doubled addresses, missing encoders, missing decoders.
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Mapping as MappingOf
from dataclasses import dataclass, field
from math import isfinite
from typing import TYPE_CHECKING, Any, Final, TypeGuard

from heliograph._faults import did_you_mean
from heliograph.modboss.codecs.base import Codec
from heliograph.modboss.codecs.builtin import CODEC_OPTIONS, CodecOptionError
from heliograph.modboss.codecs.resolving import resolve
from heliograph.modboss.errors import Fault, shown
from heliograph.modboss.mapping import BITS, OBJECT_TYPES, REGISTERS, WRITABLE, Mapping

if TYPE_CHECKING:
    from heliograph.modboss.codecs.resolving import Resolved
    from heliograph.modboss.mapping import ObjectType

__all__ = [
    "MAX_ADDRESS",
    "MAX_FAULTS",
    "OPTIONS",
    "READ_LIMITS",
    "WRITE_LIMITS",
    "Definition",
    "define",
    "limits",
]

MAX_FAULTS: Final = 1000
"""After how many faults no more are looked for. Ours to choose; nobody mends more in one go."""

MAX_ADDRESS: Final = 0xFFFF
"""Largest address that a Modbus request can hold."""

# The most that one request may ask for: Modbus Application Protocol V1.1b3, sections 6.1 to 6.12.
READ_LIMITS: Final[MappingOf[ObjectType, int]] = {
    "holding_register": 125,
    "input_register": 125,
    "coil": 2000,
    "discrete_input": 2000,
}
WRITE_LIMITS: Final[MappingOf[ObjectType, int]] = {"holding_register": 123, "coil": 1968}

_SHOWN: Final = 8
"""How many of many names or addresses a text shows."""

_MODES: Final = ("r", "rw", "w")
_ALARMS: Final = ("alarm_below", "alarm_above")
OPTIONS: Final = (
    "mode",
    "gap_safe",
    "unit",
    "description",
    *_ALARMS,
    "count",
    *sorted(CODEC_OPTIONS),
)
"""What a mapping takes beside name, type, address and codec."""

Methods = Callable[[str], Any]
"""Finds a codec method of the schema by its name, `encode_NAME` or `decode_NAME`, or gives None."""


@dataclass(slots=True)
class Definition:
    """A mapping as it was written, right or wrong."""

    name: Any
    object_type: Any
    address: Any
    codec: Any = None
    options: dict[str, Any] = field(default_factory=dict)
    where: str | None = None


def define(
    definitions: list[Definition], methods: Methods, defaults: MappingOf[str, Any]
) -> tuple[list[Mapping], list[Fault]]:
    """Make mappings of definitions.

    Args:
        definitions: What was written.
        methods: Finds the schema's own codec methods.
        defaults: Codec options of all mappings whose codecs take them.

    Returns:
        The mappings of definitions without fault, and the faults of the others.
    """
    checks: list[_Check] = []
    faults: list[Fault] = []
    lacking: list[Fault] = []
    for definition in definitions:
        check = _Check(definition, methods, defaults)
        checks.append(check)
        faults += check.faults
        lacking += check.missing("writable") + check.missing("readable")
        if len(faults) + len(lacking) >= MAX_FAULTS:
            rest = len(definitions) - len(checks)
            text = f"{rest} more mappings were not looked at; mend these first"
            return [], [*faults, *lacking, Fault("too_many_faults", None, text)]
    faults += _doubled_names(definitions)
    faults += _doubled_addresses(checks)
    faults += sorted(lacking, key=lambda fault: fault.parameters["because"], reverse=True)
    return [] if faults else [check.mapping() for check in checks], faults


def limits(
    option: str, given: Any, defaults: MappingOf[ObjectType, int]
) -> tuple[dict[ObjectType, int], list[Fault]]:
    """The limits of one operation: the protocol's, and what a schema sets instead.

    Args:
        option: What the option is called, for faults.
        given: Plural object types and numbers of addresses, such as `{"coils": 64}`; or None.
        defaults: The protocol's limits.
    """
    if given is None:
        return dict(defaults), []
    if not isinstance(given, MappingOf):
        text = f"{option} is {shown(given)}; write a mapping such as {{'holding_registers': 64}}"
        return dict(defaults), [Fault("bad_argument", None, text, {"option": option})]
    plurals: dict[str, ObjectType] = {f"{each}s": each for each in defaults}
    result, faults = dict(defaults), []
    for key, limit in given.items():
        object_type = plurals.get(key) if isinstance(key, str) else None
        parameters = {"option": option, "key": key, "limit": limit}
        if object_type is None:
            text = f"{option} has no {shown(key)}; it takes {', '.join(plurals)}"
            faults.append(Fault("unknown_limit", None, text, parameters))
        elif type(limit) is not int or limit < 1:
            text = f"{option} of {key} is {shown(limit)}; it must be an integer from 1"
            faults.append(Fault("invalid_limit", None, text, parameters))
        else:
            result[object_type] = limit
    return result, faults


class _Check:
    """One definition as it is looked at."""

    def __init__(
        self, definition: Definition, methods: Methods, defaults: MappingOf[str, Any]
    ) -> None:
        self.definition = definition
        self.faults: list[Fault] = []
        self.resolved: Resolved | None = None
        self.object_type: ObjectType | None = None
        self.start: int | None = None
        self.count: int | None = None
        options = definition.options
        self._check_name()
        self._check_type()
        self._check_options()
        self._check_address(options.get("count"))
        self.mode = options.get("mode", "r")
        self._check_mode()
        self.gap_safe = options.get("gap_safe")
        self._check_gap_safe()
        self._check_codec(methods, defaults)
        self._check_place()

    @property
    def span(self) -> tuple[int, int]:
        """Its first address and the one after the last; nothing if they are not known."""
        if self.start is None or self.count is None:
            return 0, 0
        return self.start, self.start + self.count

    def has(self, object_type: ObjectType, address: int) -> bool:
        """Whether an address is one of its own."""
        first, end = self.span
        return self.object_type == object_type and first <= address < end

    def fault(self, code: str, text: str, **parameters: Any) -> None:
        """Note a fault of this definition."""
        name = self.definition.name
        mapping = name if isinstance(name, str) else None
        parameters = {"name": name, **parameters}
        self.faults.append(Fault(code, mapping, text, parameters, self.definition.where))

    def _check_name(self) -> None:
        name = self.definition.name
        if not isinstance(name, str) or not name:
            self.fault("bad_argument", f"a name must be a string, not {shown(name)}", value=name)
        elif name == "all":
            self.fault("reserved_name", "'all' stands for all names; choose another")

    def _check_type(self) -> None:
        given = self.definition.object_type
        if given in OBJECT_TYPES:
            self.object_type = given
        else:
            text = f"{shown(given)} is no object type; write one of {', '.join(OBJECT_TYPES)}"
            self.fault("bad_argument", text, value=given)

    def _check_options(self) -> None:
        for option, value in self.definition.options.items():
            if option not in OPTIONS:
                known = ("codec", *OPTIONS)
                mend = did_you_mean(str(option), known, f"there are {', '.join(known)}")
                text = f"there is no option {shown(option)}; {mend}"
                self.fault("unknown_mapping_option", text, option=option)
            elif option in {"unit", "description"} and not isinstance(value, str | None):
                text = f"{option} is {shown(value)}; it must be a string"
                self.fault("invalid_mapping_option", text, option=option)
            elif option in _ALARMS and not (value is None or _is_number(value)):
                text = f"{option} is {shown(value)}; it must be a finite number"
                self.fault("invalid_mapping_option", text, option=option)
        below, above = (self.definition.options.get(each) for each in _ALARMS)
        if _is_number(below) and _is_number(above) and below >= above:
            text = f"alarm_below is {shown(below)}, which is not below alarm_above, {shown(above)}"
            self.fault("invalid_mapping_option", text, option="alarm_below")

    def _check_address(self, count: Any) -> None:
        address = self.definition.address
        if isinstance(address, range):
            if address.step != 1:
                text = f"addresses {address} do not go up by one"
                self.fault("bad_range_step", text, step=address.step)
                return
            if not address:
                text = f"a range from {address.start} to {address.stop - 1} has no addresses"
                self.fault("empty_range", text)
                return
            if count is not None:
                self.fault("bad_argument", "a range has its own count; leave count out")
                return
            # The length of an endless range is more than len can say.
            self.start, self.count = address.start, address.stop - address.start
        elif type(address) is int:
            if count is not None and (type(count) is not int or count < 1):
                text = f"count is {shown(count)}; it must be an integer from 1"
                self.fault("bad_argument", text, value=count)
                return
            self.start, self.count = address, count
        else:
            text = f"address is {shown(address)}; it must be an integer or a range of them"
            self.fault("bad_argument", text, value=address)

    def _check_mode(self) -> None:
        if self.mode not in _MODES:
            text = f"mode is {shown(self.mode)}; it must be 'r', 'rw' or 'w'"
        elif self.mode != "r" and self.object_type not in {None, *WRITABLE}:
            text = f"mode is {self.mode!r}, but a device lets nobody write its {self.object_type}s"
        else:
            return
        self.fault("invalid_mode", text, object_type=self.object_type, mode=self.mode)

    def _check_gap_safe(self) -> None:
        if self.gap_safe is not None and not isinstance(self.gap_safe, bool):
            text = f"gap_safe is {shown(self.gap_safe)}; it must be True or False"
            self.fault("invalid_mapping_option", text, option="gap_safe")
        elif self.gap_safe and self.mode == "w":
            self.fault("gap_safe_on_write_only", "gap_safe bridges gaps by reading, mode is 'w'")

    def _check_codec(self, methods: Methods, defaults: MappingOf[str, Any]) -> None:
        given = self.definition.options
        options = {option: value for option, value in given.items() if option in CODEC_OPTIONS}
        try:
            self.resolved = resolve(self.definition.codec, options, defaults, methods)
        except TypeError as error:
            self.fault("bad_argument", str(error), value=self.definition.codec)
        except CodecOptionError as error:
            for option, text in error.problems.items():
                self.fault("invalid_codec_option", text, option=option)

    def _check_place(self) -> None:
        """Whether address, count, object type and codec fit each other."""
        resolved = self.resolved
        if self.start is None:
            return
        if self.count is None:
            self.count = (resolved.registers if resolved is not None else None) or 1
        end = self.start + self.count
        if not 0 <= self.start < end <= MAX_ADDRESS + 1:
            last = f" to {end - 1}" if self.count > 1 else ""
            text = f"address {self.start}{last} is outside 0 to {MAX_ADDRESS}"
            self.fault("address_out_of_range", text, start=self.start, count=self.count)
            self.start = None
            return
        if resolved is None:
            return
        codec = resolved.codec
        if self.object_type in BITS and isinstance(codec, Codec) and not codec.bits:
            text = f"{resolved.name} lies in registers; a {self.object_type} has one bit"
            self.fault("wrong_object_type", text, object_type=self.object_type)
            return
        try:
            self.resolved = resolved.fitted(self.count)
        except ValueError as error:
            self.fault("wrong_address_count", str(error), count=self.count)

    def missing(self, because: str) -> list[Fault]:
        """The fault that the codec lacks what the mode asks for, if it does."""
        resolved = self.resolved
        if resolved is None or self.mode not in _MODES:
            return []
        reading = because == "readable"
        if self.mode == ("w" if reading else "r"):  # which asks for the other direction alone
            return []
        function = resolved.decoder if reading else resolved.encoder
        if function.call is not None:
            return []
        name = self.definition.name
        parameters = {"function": function.name, "because": because, "name": name}
        text = f"it is {because}, but {function.lacking}"
        mapping = name if isinstance(name, str) else None
        return [Fault("codec_missing", mapping, text, parameters, self.definition.where)]

    def mapping(self) -> Mapping:
        """The mapping, once there is no fault."""
        resolved, options = self.resolved, self.definition.options
        assert resolved is not None
        assert self.object_type is not None
        assert self.start is not None
        assert self.count is not None
        struct_code, finish = (
            resolved.compiled(self.count) if self.object_type in REGISTERS else (None, None)
        )
        gap_safe = self.mode != "w" if self.gap_safe is None else self.gap_safe
        return Mapping(
            name=self.definition.name,
            object_type=self.object_type,
            starting_address=self.start,
            address_count=self.count,
            mode=self.mode,
            gap_safe=gap_safe,
            codec=resolved.codec,
            codec_name=resolved.name,
            unit=options.get("unit"),
            description=options.get("description"),
            alarm_below=options.get("alarm_below"),
            alarm_above=options.get("alarm_above"),
            encoder=resolved.encoder.call,
            encoder_takes_metadata=resolved.encoder.takes_metadata,
            decoder=resolved.decoder.call,
            decoder_takes_metadata=resolved.decoder.takes_metadata,
            struct_code=struct_code,
            finish=finish,
        )


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)


def _doubled_names(definitions: list[Definition]) -> list[Fault]:
    places: dict[str, list[str | None]] = {}
    for each in definitions:
        if isinstance(each.name, str):
            places.setdefault(each.name, []).append(each.where)
    doubled = {name: found for name, found in places.items() if len(found) > 1}
    if not doubled:
        return []
    texts = [
        f"{name} ({', '.join(map(str, found))})" if all(found) else name
        for name, found in doubled.items()
    ]
    text = f"names used more than once: {_some(texts)}"
    return [Fault("duplicate_names", None, text, {"names": list(doubled)})]


def _doubled_addresses(checks: list[_Check]) -> list[Fault]:
    doubled: list[tuple[ObjectType, int]] = []
    for object_type in OBJECT_TYPES:
        # By their starts: what a span shares with those before it ends where the farthest of them
        # does. Addresses are not counted one by one, of which hostile data may have too many.
        spans = sorted([check.span for check in checks if check.object_type == object_type])
        reached = noted = 0
        for first, end in spans:
            shared = range(max(first, noted), min(end, reached))
            doubled += [(object_type, address) for address in shared]
            noted = max(noted, shared.stop)
            reached = max(reached, end)
    if not doubled:
        return []
    texts = []
    for object_type, address in doubled[:_SHOWN]:
        names = [str(check.definition.name) for check in checks if check.has(object_type, address)]
        texts.append(f"{object_type} {address} ({_some(names)})")
    text = f"addresses mapped more than once: {_some(texts, len(doubled))}"
    return [Fault("duplicate_addresses", None, text, {"addresses": doubled})]


def _some(texts: list[str], total: int | None = None) -> str:
    """The first few of many."""
    rest = (len(texts) if total is None else total) - _SHOWN
    return ", ".join(texts[:_SHOWN]) + (f" and {rest} more" if rest > 0 else "")
