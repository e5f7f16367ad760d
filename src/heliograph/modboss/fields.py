# SPDX-License-Identifier: Apache-2.0
"""Fields: mappings as they are written in the body of a schema."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar, overload

from heliograph.modboss.definition import Definition
from heliograph.modboss.errors import Fault, SchemaError

if TYPE_CHECKING:
    from heliograph.modboss.schema import Schema

__all__ = ["Field", "coil", "discrete_input", "holding_register", "input_register"]

T_co = TypeVar("T_co", covariant=True)


class Field(Generic[T_co]):
    """A mapping in the body of a schema, and the typed attribute of its records."""

    def __init__(self, object_type: str, address: Any, codec: Any = None, **options: Any) -> None:
        self.name = ""
        self.definition = Definition(None, object_type, address, codec, options)

    def __set_name__(self, owner: type, name: str) -> None:
        from heliograph.modboss.schema import Schema

        if not issubclass(owner, Schema):
            text = f"{name} is a field, but {owner.__name__} is no schema; derive it from Schema"
            raise SchemaError(owner.__name__, [Fault("schema_not_enabled", name, text)])

    @overload
    def __get__(self, instance: None, owner: type[Schema]) -> Self: ...

    @overload
    def __get__(self, instance: Schema, owner: type[Schema]) -> T_co: ...

    def __get__(self, instance: Schema | None, owner: type[Schema]) -> Any:
        if instance is None:
            return self
        try:
            return instance[self.name]
        except KeyError:
            raise AttributeError(f"{self.name} was not read") from None


def holding_register(address: int | range, codec: Any = None, **options: Any) -> Field[Any]:
    """A holding register, or several: 16 bits each, which may be read and written."""
    return Field("holding_register", address, codec, **options)


def input_register(address: int | range, codec: Any = None, **options: Any) -> Field[Any]:
    """An input register, or several: 16 bits each, which can only be read."""
    return Field("input_register", address, codec, **options)


def coil(address: int | range, codec: Any = None, **options: Any) -> Field[Any]:
    """A coil, or several: one bit each, which may be read and written."""
    return Field("coil", address, codec, **options)


def discrete_input(address: int | range, codec: Any = None, **options: Any) -> Field[Any]:
    """A discrete input, or several: one bit each, which can only be read."""
    return Field("discrete_input", address, codec, **options)
