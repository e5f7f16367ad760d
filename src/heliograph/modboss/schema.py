# SPDX-License-Identifier: Apache-2.0
"""Schemas: what a kind of device holds, by name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from collections.abc import Mapping as MappingOf
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Self

from heliograph.modboss.definition import READ_LIMITS, WRITE_LIMITS, Definition, define, limits
from heliograph.modboss.errors import Fault, SchemaError, UnknownNamesError, shown
from heliograph.modboss.fields import Field
from heliograph.modboss.planner import Planner

if TYPE_CHECKING:
    from heliograph.modboss.mapping import Mapping, ObjectType

__all__ = ["Schema"]


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
            _build(made, name, fields, options)  # type: ignore[arg-type]  # it has a base, hence is a Schema
        return made

    def __init__(
        cls, name: str, bases: tuple[type, ...], body: dict[str, Any], /, **_options: Any
    ) -> None:
        super().__init__(name, bases, body)


class Schema(metaclass=_SchemaType):
    """What a kind of device holds: base of schemas, and of the records that are read by them.

        class Thermostat(Schema, max_batch_reads={"holding_registers": 64}):
            outdoor_temp = holding_register(1, "signed_int", unit="Cel")

    All faults of a definition are raised at once, when the class is made.
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
    _definitions: ClassVar[tuple[Definition, ...]] = ()
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
    ) -> type[Schema]:
        """Make a schema of data.

        Args:
            name: What events and messages call it.
            mappings: A mapping each: `name`, `type`, `address` (a number or a range), and what
                else fields take: `codec`, `mode`, `gap_safe`, `unit`, `description`, ...
            codecs: Codecs of your own, by the names that the mappings give as `codec`.
            max_batch_reads: As for a class.
            max_batch_writes: As for a class.

        Raises:
            SchemaError: The definition is wrong; `.faults` has all that is wrong with it.
        """
        body = _Body()
        definitions: list[Definition] = []
        faults: list[Fault] = []
        each: object
        for each in mappings:
            if isinstance(each, MappingOf):
                options = dict(each)
                definitions.append(
                    Definition(
                        options.pop("name", None),
                        options.pop("type", None),
                        options.pop("address", None),
                        options.pop("codec", None),
                        options,
                    )
                )
            else:
                text = f"{shown(each)} is no mapping; write a dict with name, type and address"
                faults.append(Fault("bad_argument", None, text, {"value": each}))
        for given, codec in (codecs or {}).items():
            for way in ("encode", "decode"):
                if (method := getattr(codec, way, None)) is not None:
                    dict.__setitem__(body, f"{way}_{given}", staticmethod(method))
        return _SchemaType(  # type: ignore[return-value]  # the type of a class with this base
            name,
            (cls,),
            body,
            definitions=definitions,
            faults=faults,
            max_batch_reads=max_batch_reads,
            max_batch_writes=max_batch_writes,
        )

    @classmethod
    def record(cls, values: MappingOf[str, Any]) -> Self:
        """A record of values that were read, with typed attributes.

        Raises:
            UnknownNamesError: The schema has no mapping of a name.
        """
        return cls(values)

    def __init__(self, values: MappingOf[str, Any]) -> None:
        if unknown := [name for name in values if name not in self.mappings]:
            raise UnknownNamesError(unknown, self.schema_name)
        object.__setattr__(self, "_values", dict(values))

    def __getitem__(self, name: str) -> Any:
        return self._values[name]

    def __iter__(self) -> Iterator[tuple[str, Any]]:
        return iter(self._values.items())

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return self._values == other._values

    __hash__ = None  # type: ignore[assignment]  # values may be lists

    def __repr__(self) -> str:
        values = ", ".join([f"{name}={value!r}" for name, value in self._values.items()])
        return f"{self.schema_name}({values})"


def _build(
    schema: type[Schema],
    name: str,
    fields: list[tuple[str, Field[Any]]],
    options: dict[str, Any],
) -> None:
    faults: list[Fault] = list(options.pop("faults", ()))
    definitions: list[Definition] = list(schema._definitions)
    for attribute, field in fields:
        field.definition.name = field.name = attribute
        definitions.append(field.definition)
    definitions += options.pop("definitions", ())
    reads, more = limits("max_batch_reads", options.pop("max_batch_reads", None), READ_LIMITS)
    faults += more
    writes, more = limits("max_batch_writes", options.pop("max_batch_writes", None), WRITE_LIMITS)
    faults += more
    for option in options:
        text = f"no option {option!r} of a schema; it takes max_batch_reads, max_batch_writes"
        faults.append(Fault("unknown_schema_option", None, text, {"option": option}))
    made, more = define(definitions, lambda method: getattr(schema, method, None), {})
    faults += more
    if faults:
        raise SchemaError(name, faults)
    schema._definitions = tuple(definitions)
    schema.mappings = MappingProxyType({mapping.name: mapping for mapping in made})
    schema.schema_name = name
    schema.read_limits = MappingProxyType(reads)
    schema.write_limits = MappingProxyType(writes)
    schema._planner = Planner(name, schema.mappings, schema.read_limits, schema.write_limits)
