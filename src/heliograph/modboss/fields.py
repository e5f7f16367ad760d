# SPDX-License-Identifier: Apache-2.0
"""Fields: mappings as they are written in the body of a schema, and the types of their values."""

from __future__ import annotations

import datetime as dt
import enum
import ipaddress
from abc import abstractmethod
from collections.abc import Mapping as MappingOf
from decimal import Decimal
from typing import (
    TYPE_CHECKING,
    Any,
    Final,
    Generic,
    Literal,
    Never,
    NoReturn,
    Protocol,
    Self,
    TypeAlias,
    TypedDict,
    TypeVar,
    Unpack,
    overload,
)

from heliograph.modboss.definition import Definition
from heliograph.modboss.errors import Fault, SchemaError

if TYPE_CHECKING:
    from heliograph.modboss.codecs.base import Endian
    from heliograph.modboss.codecs.numbers import FloatName, IntName
    from heliograph.modboss.codecs.texts import Pad
    from heliograph.modboss.mapping import Metadata, Mode, ObjectType
    from heliograph.modboss.schema import Schema

__all__ = [
    "BitFields",
    "Decodes",
    "DecodesWithMetadata",
    "Encodes",
    "Field",
    "FieldOptions",
    "OrderedFieldOptions",
    "RegisterFields",
    "coil",
    "discrete_input",
    "holding_register",
    "input_register",
]

_T_co = TypeVar("_T_co", covariant=True)
_T = TypeVar("_T")
_E = TypeVar("_E", bound=enum.Enum)

_Address: TypeAlias = int | range
_Raw: TypeAlias = Literal["raw"]
_Integer: TypeAlias = "IntName | Literal['bcd']"


class Decodes(Protocol[_T_co]):
    """A codec of your own that decodes without knowing the mapping."""

    @abstractmethod
    def decode(self, value: Any, /) -> _T_co:
        """Decode a register or bit, or a list of them."""


class DecodesWithMetadata(Protocol[_T_co]):
    """A codec of your own that decodes by name, type, number of addresses or context."""

    @abstractmethod
    def decode(self, value: Any, metadata: Metadata, /) -> _T_co:
        """Decode a register or bit, or a list of them."""


class Encodes(Protocol):
    """A codec of your own that can encode."""

    @property
    def encode(self) -> Any:
        """Takes a value, or a value and metadata; gives a register or bit, or a list of them."""


class FieldOptions(TypedDict, total=False):
    """What every field takes."""

    name: str
    """Name of the mapping; that of the attribute if it is not given."""
    mode: Mode
    """`r` to read it, which is the default, `w` to write it, `rw` for both."""
    gap_safe: bool | None
    """Whether it may be read without being asked for; the default is whether it can be read."""
    unit: str | None
    """Unit of the values, preferably by UCUM."""
    description: str | None
    alarm_below: float | None
    """Value below which whoever watches the device should raise an alarm."""
    alarm_above: float | None
    """Value above which whoever watches the device should raise an alarm."""


class OrderedFieldOptions(FieldOptions, total=False):
    """What fields take whose values lie in several registers."""

    count: int
    """How many registers; where it is not given, as many as the codec needs."""
    word_order: Endian
    """`little` if the first register is the least significant one."""
    byte_order: Endian
    """`little` if the low byte of each register comes first."""


class Field(Generic[_T_co]):
    """A mapping in the body of a schema, and a typed attribute of its records.

    Attributes:
        name: Name of the mapping.
    """

    def __init__(
        self,
        object_type: ObjectType,
        address: _Address,
        codec: Any = None,
        options: MappingOf[str, Any] | None = None,
    ) -> None:
        given = dict(options or {})
        self.name: str = given.pop("name", "")
        self.definition: Definition = Definition(self.name, object_type, address, codec, given)

    def __set_name__(self, owner: type, name: str) -> None:
        from heliograph.modboss.schema import Schema

        if not issubclass(owner, Schema):
            text = f"{name} is a field, but {owner.__name__} is no schema; derive it from Schema"
            raise SchemaError(owner.__name__, [Fault("schema_not_enabled", name, text)])

    @overload
    def __get__(self, instance: None, owner: type[Schema]) -> Self: ...

    @overload
    def __get__(self, instance: Schema, owner: type[Schema]) -> _T_co: ...

    def __get__(self, instance: Schema | None, owner: type[Schema]) -> Any:
        if instance is None:
            return self
        try:
            return instance[self.name]
        except KeyError:
            raise AttributeError(f"this record of {owner.schema_name} has no {self.name}") from None

    def __set__(self, instance: Schema, value: Never) -> NoReturn:
        text = f"records hold what was read, so {self.name} cannot be set; write to the device"
        raise AttributeError(text)

    def __repr__(self) -> str:
        return f"<Field {self.name}>"


class RegisterFields:
    """Makes fields of registers; `holding_register` and `input_register` are the two of them.

    Args:
        object_type: What the fields map.
    """

    def __init__(self, object_type: ObjectType) -> None:
        self._object_type: ObjectType = object_type

    # One number as it is, or several.

    @overload
    def __call__(
        self, address: int, codec: _Raw | None = None, **options: Unpack[FieldOptions]
    ) -> Field[int]: ...

    @overload
    def __call__(
        self, address: range, codec: _Raw | None = None, **options: Unpack[FieldOptions]
    ) -> Field[list[int]]: ...

    @overload
    def __call__(
        self,
        address: int,
        codec: _Raw | None = None,
        *,
        count: int,
        **options: Unpack[FieldOptions],
    ) -> Field[list[int]]: ...

    # Integers with another meaning.

    @overload
    def __call__(
        self,
        address: _Address,
        codec: IntName | None = None,
        *,
        enum: MappingOf[int, str],
        **options: Unpack[OrderedFieldOptions],
    ) -> Field[str]: ...

    @overload
    def __call__(
        self,
        address: _Address,
        codec: IntName | None = None,
        *,
        flags: MappingOf[int, str],
        **options: Unpack[OrderedFieldOptions],
    ) -> Field[frozenset[str]]: ...

    @overload
    def __call__(
        self,
        address: _Address,
        codec: IntName | None = None,
        *,
        bits: MappingOf[str, int | tuple[int, int]],
        **options: Unpack[OrderedFieldOptions],
    ) -> Field[dict[str, int]]: ...

    # Integers, scaled or not; the type of the scale is that of the values.

    @overload
    def __call__(
        self,
        address: _Address,
        codec: _Integer,
        *,
        scale: int = ...,
        offset: int = ...,
        minimum: float | Decimal | str = ...,
        maximum: float | Decimal | str = ...,
        **options: Unpack[OrderedFieldOptions],
    ) -> Field[int]: ...

    @overload
    def __call__(
        self,
        address: _Address,
        codec: _Integer,
        *,
        missing: int,
        scale: int = ...,
        offset: int = ...,
        minimum: float | Decimal | str = ...,
        maximum: float | Decimal | str = ...,
        **options: Unpack[OrderedFieldOptions],
    ) -> Field[int | None]: ...

    @overload
    def __call__(
        self,
        address: _Address,
        codec: _Integer,
        *,
        scale: float | str = ...,
        offset: float | str = ...,
        minimum: float | Decimal | str = ...,
        maximum: float | Decimal | str = ...,
        **options: Unpack[OrderedFieldOptions],
    ) -> Field[float]: ...

    @overload
    def __call__(
        self,
        address: _Address,
        codec: _Integer,
        *,
        missing: int,
        scale: float | str = ...,
        offset: float | str = ...,
        minimum: float | Decimal | str = ...,
        maximum: float | Decimal | str = ...,
        **options: Unpack[OrderedFieldOptions],
    ) -> Field[float | None]: ...

    @overload
    def __call__(
        self,
        address: _Address,
        codec: _Integer,
        *,
        scale: Decimal,
        offset: Decimal | int = ...,
        minimum: float | Decimal | str = ...,
        maximum: float | Decimal | str = ...,
        **options: Unpack[OrderedFieldOptions],
    ) -> Field[Decimal]: ...

    @overload
    def __call__(
        self,
        address: _Address,
        codec: _Integer,
        *,
        missing: int,
        scale: Decimal,
        offset: Decimal | int = ...,
        minimum: float | Decimal | str = ...,
        maximum: float | Decimal | str = ...,
        **options: Unpack[OrderedFieldOptions],
    ) -> Field[Decimal | None]: ...

    # Floats.

    @overload
    def __call__(
        self,
        address: _Address,
        codec: FloatName,
        *,
        scale: float | str = ...,
        offset: float | str = ...,
        minimum: float | Decimal | str = ...,
        maximum: float | Decimal | str = ...,
        **options: Unpack[OrderedFieldOptions],
    ) -> Field[float]: ...

    @overload
    def __call__(
        self,
        address: _Address,
        codec: FloatName,
        *,
        missing: float,
        scale: float | str = ...,
        offset: float | str = ...,
        minimum: float | Decimal | str = ...,
        maximum: float | Decimal | str = ...,
        **options: Unpack[OrderedFieldOptions],
    ) -> Field[float | None]: ...

    # Everything else that goes by a name.

    @overload
    def __call__(
        self,
        address: _Address,
        codec: Literal["unsigned_int", "signed_int"],
        **options: Unpack[FieldOptions],
    ) -> Field[int]: ...

    @overload
    def __call__(
        self,
        address: _Address,
        codec: Literal["ascii", "utf8"],
        *,
        count: int = ...,
        byte_order: Endian = ...,
        pad: Pad = ...,
        **options: Unpack[FieldOptions],
    ) -> Field[str]: ...

    @overload
    def __call__(
        self, address: _Address, codec: Literal["boolean"], **options: Unpack[FieldOptions]
    ) -> Field[bool]: ...

    @overload
    def __call__(
        self,
        address: _Address,
        codec: Literal["bits"],
        *,
        count: int = ...,
        **options: Unpack[FieldOptions],
    ) -> Field[list[bool]]: ...

    @overload
    def __call__(
        self, address: _Address, codec: Literal["bytes"], **options: Unpack[OrderedFieldOptions]
    ) -> Field[bytes]: ...

    @overload
    def __call__(
        self, address: _Address, codec: Literal["date"], **options: Unpack[FieldOptions]
    ) -> Field[dt.date]: ...

    @overload
    def __call__(
        self, address: _Address, codec: Literal["datetime"], **options: Unpack[FieldOptions]
    ) -> Field[dt.datetime]: ...

    @overload
    def __call__(
        self, address: _Address, codec: Literal["timestamp"], **options: Unpack[OrderedFieldOptions]
    ) -> Field[dt.datetime]: ...

    @overload
    def __call__(
        self, address: _Address, codec: Literal["ipv4"], **options: Unpack[OrderedFieldOptions]
    ) -> Field[ipaddress.IPv4Address]: ...

    @overload
    def __call__(
        self, address: _Address, codec: Literal["ipv6"], **options: Unpack[OrderedFieldOptions]
    ) -> Field[ipaddress.IPv6Address]: ...

    @overload
    def __call__(
        self, address: _Address, codec: Literal["mac"], **options: Unpack[OrderedFieldOptions]
    ) -> Field[str]: ...

    # Classes of enums and flags, codec objects, and codecs that only the run knows.

    @overload
    def __call__(
        self, address: _Address, codec: type[_E], **options: Unpack[OrderedFieldOptions]
    ) -> Field[_E]: ...

    @overload
    def __call__(
        self,
        address: _Address,
        codec: Decodes[_T] | DecodesWithMetadata[_T],
        *,
        count: int = ...,
        **options: Unpack[FieldOptions],
    ) -> Field[_T]: ...

    @overload
    def __call__(
        self, address: _Address, codec: str | Encodes, **options: Unpack[OrderedFieldOptions]
    ) -> Field[Any]: ...

    def __call__(self, address: _Address, codec: Any = None, **options: Any) -> Field[Any]:
        """Make a field of one register or of several.

        What is wrong with it is said when the schema is made.

        Args:
            address: The first address on the wire, from 0, or a range of all of them.
            codec: How the value lies there: the name of a codec, a class of enums or flags, or an
                object that encodes and decodes.
            options: Those of `FieldOptions` and of the codec.
        """
        return Field(self._object_type, address, codec, options)


class BitFields:
    """Makes fields of single bits; `coil` and `discrete_input` are the two of them.

    Args:
        object_type: What the fields map.
    """

    def __init__(self, object_type: ObjectType) -> None:
        self._object_type: ObjectType = object_type

    @overload
    def __call__(
        self, address: int, codec: _Raw | None = None, **options: Unpack[FieldOptions]
    ) -> Field[int]: ...

    @overload
    def __call__(
        self, address: range, codec: _Raw | None = None, **options: Unpack[FieldOptions]
    ) -> Field[list[int]]: ...

    @overload
    def __call__(
        self,
        address: int,
        codec: _Raw | None = None,
        *,
        count: int,
        **options: Unpack[FieldOptions],
    ) -> Field[list[int]]: ...

    @overload
    def __call__(
        self, address: _Address, codec: Literal["boolean"], **options: Unpack[FieldOptions]
    ) -> Field[bool]: ...

    @overload
    def __call__(
        self,
        address: _Address,
        codec: Literal["bits"],
        *,
        count: int = ...,
        **options: Unpack[FieldOptions],
    ) -> Field[list[bool]]: ...

    @overload
    def __call__(
        self,
        address: _Address,
        codec: Decodes[_T] | DecodesWithMetadata[_T],
        *,
        count: int = ...,
        **options: Unpack[FieldOptions],
    ) -> Field[_T]: ...

    @overload
    def __call__(
        self,
        address: _Address,
        codec: str | Encodes,
        *,
        count: int = ...,
        **options: Unpack[FieldOptions],
    ) -> Field[Any]: ...

    def __call__(self, address: _Address, codec: Any = None, **options: Any) -> Field[Any]:
        """Make a field of one bit or of several.

        What is wrong with it is said when the schema is made.

        Args:
            address: The first address on the wire, from 0, or a range of all of them.
            codec: How the value lies there: `boolean`, `bits`, or an object that encodes and
                decodes; 0 and 1 as they are if None.
            options: Those of `FieldOptions`, and `count`.
        """
        return Field(self._object_type, address, codec, options)


holding_register: Final = RegisterFields("holding_register")
"""Makes a field of a holding register, or several: 16 bits each, to be read and written."""

input_register: Final = RegisterFields("input_register")
"""Makes a field of an input register, or several: 16 bits each, only to be read."""

coil: Final = BitFields("coil")
"""Makes a field of a coil, or several: one bit each, to be read and written."""

discrete_input: Final = BitFields("discrete_input")
"""Makes a field of a discrete input, or several: one bit each, only to be read."""
