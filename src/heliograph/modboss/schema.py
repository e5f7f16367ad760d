# SPDX-License-Identifier: Apache-2.0
"""Schemas: what a kind of device holds, by name."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from collections.abc import Mapping as MappingOf
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self

from heliograph.modboss.codecs.base import Order
from heliograph.modboss.definition import READ_LIMITS, WRITE_LIMITS, Definition, define, limits
from heliograph.modboss.errors import Fault, SchemaError, UnknownNamesError, shown
from heliograph.modboss.fields import Field
from heliograph.modboss.planner import Planner

if TYPE_CHECKING:
    from heliograph.modboss.codecs.base import Endian
    from heliograph.modboss.mapping import Mapping, ObjectType

__all__ = ["Schema"]

_OPTIONS: Final = ("max_batch_reads", "max_batch_writes", "word_order", "byte_order")


class _Body(dict[str, Any]):
    """The body of a schema as it is executed; notes every field, those that are replaced too."""

    def __init__(self) -> None:
        super().__init__()
        self.fields: list[tuple[str, Field[Any]]] = []

    def __setitem__(self, name: str, value: Any) -> None:
        if isinstance(value, Field):
            self.fields.append((name, value))
        super().__setitem__(name, value)


class _SchemaType(type):
    """Makes schemas of class bodies."""

    @classmethod
    def __prepare__(cls, _name: str, _bases: tuple[type, ...], /, **_options: Any) -> _Body:
        return _Body()

    def __new__(
        cls, name: str, bases: tuple[type, ...], body: dict[str, Any], /, **options: Any
    ) -> _SchemaType:
        made = super().__new__(cls, name, bases, {"__slots__": (), **body})
        fields = body.fields if isinstance(body, _Body) else []
        if bases:
            _build(made, fields, options)  # type: ignore[arg-type]  # what has a base is a Schema
        return made

    def __init__(
        cls, name: str, bases: tuple[type, ...], body: dict[str, Any], /, **_options: Any
    ) -> None:
        super().__init__(name, bases, body)


class Schema(metaclass=_SchemaType):
    """What a kind of device holds: base of schemas, and of the records of values read by them.

        class Thermostat(Schema, max_batch_reads={"holding_registers": 64}):
            outdoor_temp = holding_register(1, "int16", scale="0.1", unit="Cel")
            heating = coil(1, "boolean", mode="rw")

    A codec of your own is an object with methods `encode` and `decode`, or two static methods of
    the schema, `encode_NAME` and `decode_NAME`, that a field names.

    A schema may be derived from another. It has the other's mappings, those left out that it sets
    to None, or to fields of its own, and the other's limits, if it sets none.

    Args:
        max_batch_reads: How many addresses one read may ask for, by `holding_registers`,
            `input_registers`, `coils` and `discrete_inputs`. Without it 125 registers and 2,000
            bits, which is what Modbus allows.
        max_batch_writes: How many addresses one write may have, by `holding_registers` and
            `coils`. Without it 123 registers and 1,968 coils.
        word_order: `little` if all values of several registers begin with the least significant
            one; fields may say otherwise.
        byte_order: `little` if all registers begin with their low byte; fields may say otherwise.

    Raises:
        SchemaError: The definition is wrong. All that is wrong with it is said at once, when the
            class is made.
    """

    __slots__ = ("_values",)

    mappings: ClassVar[MappingOf[str, Mapping]] = MappingProxyType({})
    """The mappings by name, in the order of definition."""
    schema_name: ClassVar[str] = "Schema"
    """What events and messages call the schema."""
    read_limits: ClassVar[MappingOf[ObjectType, int]] = MappingProxyType(dict(READ_LIMITS))
    """How many addresses one read may ask for, by object type."""
    write_limits: ClassVar[MappingOf[ObjectType, int]] = MappingProxyType(dict(WRITE_LIMITS))
    """How many addresses one write may have, by object type."""
    _planner: ClassVar[Planner] = Planner("Schema", {}, READ_LIMITS, WRITE_LIMITS)
    """Makes and keeps the plans of reads and writes."""
    _definitions: ClassVar[MappingOf[str, Definition]] = MappingProxyType({})
    """What was defined, by attribute."""
    _defaults: ClassVar[MappingOf[str, Endian]] = MappingProxyType({})
    """Codec options of all mappings whose codecs take them."""
    _values: dict[str, Any]

    @classmethod
    def from_mappings(
        cls,
        name: str,
        mappings: Iterable[MappingOf[str, Any]],
        *,
        codecs: MappingOf[str, Any] | None = None,
        max_batch_reads: MappingOf[str, int] | None = None,
        max_batch_writes: MappingOf[str, int] | None = None,
        word_order: Endian | None = None,
        byte_order: Endian | None = None,
    ) -> type[Self]:
        """Make a schema of data.

        Args:
            name: What events and messages call it.
            mappings: A mapping each: `name`, `type`, `address` (a number or a range), and what
                else fields take, such as `codec`, `mode`, `unit` or `scale`.
            codecs: Codecs of your own, by the names that the mappings give as `codec`.
            max_batch_reads: As for a class.
            max_batch_writes: As for a class.
            word_order: As for a class.
            byte_order: As for a class.

        Raises:
            SchemaError: The definition is wrong; `.faults` has all that is wrong with it.
        """
        faults: list[Fault] = []
        definitions = []
        for each in mappings:
            definition = _definition(each)
            if isinstance(definition, Fault):
                faults.append(definition)
            else:
                definitions.append(definition)
        return cls._from_definitions(
            name,
            definitions,
            faults,
            codecs,
            {
                "max_batch_reads": max_batch_reads,
                "max_batch_writes": max_batch_writes,
                "word_order": word_order,
                "byte_order": byte_order,
            },
        )

    @classmethod
    def from_file(
        cls,
        path: str | os.PathLike[str],
        *,
        name: str | None = None,
        codecs: MappingOf[str, Any] | None = None,
    ) -> type[Self]:
        """Make a schema of a device file, YAML or CSV by its ending.

        Args:
            path: The file.
            name: What events and messages call the schema; the name in the file, or else that of
                the file without its ending, if None.
            codecs: Codecs of your own, by the names that the file gives as `codec`.

        Raises:
            SchemaError: The file cannot be read, or the definition is wrong; `.faults` has all that
                is wrong with it, line by line.
            ImportError: The file is YAML, and PyYAML is not installed.
        """
        from heliograph.modboss.files import read

        found = read(path)
        given = found.name if name is None else name
        return cls._from_definitions(given, found.definitions, found.faults, codecs, found.options)

    @classmethod
    def _from_definitions(
        cls,
        name: str,
        definitions: list[Definition],
        faults: list[Fault],
        codecs: MappingOf[str, Any] | None,
        options: MappingOf[str, Any],
    ) -> type[Self]:
        body = _Body()
        for codec, value in (codecs or {}).items():
            for way in ("encode", "decode"):
                if (method := getattr(value, way, None)) is not None:
                    body[f"{way}_{codec}"] = staticmethod(method)
        return _SchemaType(  # type: ignore[return-value]  # a class made with that base
            name, (cls,), body, definitions=definitions, faults=faults, **options
        )

    @classmethod
    def record(cls, values: MappingOf[str, Any]) -> Self:
        """A record of values that were read, with typed attributes.

        Args:
            values: Values by mapping name, not necessarily all.

        Raises:
            UnknownNamesError: The schema has no mapping of a name.
        """
        return cls(values)

    def __init__(self, values: MappingOf[str, Any]) -> None:
        if unknown := [name for name in values if name not in self.mappings]:
            raise UnknownNamesError(unknown, self.schema_name)
        self._values = dict(values)

    def __getitem__(self, name: str) -> Any:
        return self._values[name]

    def __iter__(self) -> Iterator[tuple[str, Any]]:
        return iter(self._values.items())

    def __len__(self) -> int:
        return len(self._values)

    def __contains__(self, name: object) -> bool:
        return name in self._values

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return self._values == other._values

    __hash__: ClassVar[None]  # type: ignore[assignment]  # values may be lists

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self._values,)

    def __repr__(self) -> str:
        values = ", ".join([f"{name}={value!r}" for name, value in self._values.items()])
        return f"{self.schema_name}({values})"


def _definition(given: object) -> Definition | Fault:
    if not isinstance(given, MappingOf):
        text = f"{shown(given)} is no mapping; write a dict with name, type and address"
        return Fault("bad_argument", None, text, {"value": given})
    options = dict(given)
    return Definition(
        options.pop("name", None),
        options.pop("type", None),
        options.pop("address", None),
        options.pop("codec", None),
        options,
    )


def _build(
    schema: type[Schema], fields: list[tuple[str, Field[Any]]], options: dict[str, Any]
) -> None:
    """Make of a new class what its body and its options say."""
    name = schema.__name__
    faults: list[Fault] = list(options.pop("faults", ()))
    inherited = _inherited(schema)
    definitions = list(inherited.values())
    for attribute, field in fields:
        if hasattr(Schema, attribute):
            text = (
                f"every schema has an attribute {attribute}; call yours otherwise, "
                f"and give the field name={attribute!r}"
            )
            faults.append(Fault("reserved_attribute", attribute, text))
        field.name = field.definition.name = field.name or attribute
        definitions.append(field.definition)
    given: list[Definition] = options.pop("definitions", [])
    definitions += given
    for option in options.keys() - set(_OPTIONS):
        text = f"a schema has no option {shown(option)}; it takes {', '.join(_OPTIONS)}"
        faults.append(Fault("unknown_schema_option", None, text, {"option": option}))
    reads, more = limits("max_batch_reads", options.get("max_batch_reads"), schema.read_limits)
    faults += more
    writes, more = limits("max_batch_writes", options.get("max_batch_writes"), schema.write_limits)
    faults += more
    defaults, more = _defaults(schema, options)
    faults += more
    made, more = define(definitions, lambda method: getattr(schema, method, None), defaults)
    faults += more
    if faults:
        raise SchemaError(name, sorted(faults, key=_line))
    own = {attribute: field.definition for attribute, field in fields}
    schema._definitions = MappingProxyType(inherited | own | _install(schema, given))
    schema._defaults = MappingProxyType(defaults)
    schema.mappings = MappingProxyType({mapping.name: mapping for mapping in made})
    schema.schema_name = name
    schema.read_limits = MappingProxyType(reads)
    schema.write_limits = MappingProxyType(writes)
    schema._planner = Planner(name, schema.mappings, schema.read_limits, schema.write_limits)


def _line(fault: Fault) -> int:
    """The line of a fault in its file; those of no line, or of none alone, come last."""
    line = (fault.where or "").rpartition(":")[2]
    return int(line) if line.isdecimal() else sys.maxsize


def _inherited(schema: type[Schema]) -> dict[str, Definition]:
    """The definitions of the bases, without those that the schema replaces or takes out."""
    found: dict[str, Definition] = {}
    for base in schema.__bases__:
        if issubclass(base, Schema):
            for attribute, definition in base._definitions.items():
                found.setdefault(attribute, definition)
    return {attribute: each for attribute, each in found.items() if attribute not in vars(schema)}


def _install(schema: type[Schema], definitions: list[Definition]) -> dict[str, Definition]:
    """Give a schema that was made of data the attributes that a class body would have given it."""
    for definition in definitions:
        name: str = definition.name
        if name.isidentifier() and not hasattr(schema, name):
            setattr(schema, name, _field(definition))
    return {definition.name: definition for definition in definitions}


def _field(definition: Definition) -> Field[Any]:
    field: Field[Any] = Field(definition.object_type, definition.address, definition.codec)
    field.name = definition.name
    field.definition = definition
    return field


def _defaults(
    schema: type[Schema], options: MappingOf[str, Any]
) -> tuple[dict[str, Endian], list[Fault]]:
    """The orders of words and bytes that hold where fields do not say otherwise."""
    defaults = dict(schema._defaults)
    faults = []
    for option in ("word_order", "byte_order"):
        value = options.get(option)
        if value is None:
            continue
        try:
            Order(**{option: value})
        except ValueError as error:
            parameters = {"option": option, "value": value}
            faults.append(Fault("invalid_schema_option", None, str(error), parameters))
        else:
            defaults[option] = value
    return defaults, faults
