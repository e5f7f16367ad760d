# SPDX-License-Identifier: Apache-2.0
"""A mapping: the name, type, place and encoding of one thing that a device holds."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from collections.abc import Mapping as MappingOf
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, Literal, NamedTuple, TypeAlias, get_args

from heliograph.modboss.errors import (
    BadValueError,
    CodecError,
    DecodeError,
    EncodeError,
    NotAValueError,
    shown,
)

__all__ = [
    "BITS",
    "EMPTY_CONTEXT",
    "OBJECT_TYPES",
    "REGISTERS",
    "WRITABLE",
    "Mapping",
    "Metadata",
    "Mode",
    "ObjectType",
]

ObjectType: TypeAlias = Literal["holding_register", "input_register", "coil", "discrete_input"]
"""The four tables of a Modbus device."""

Mode: TypeAlias = Literal["r", "rw", "w"]
"""Whether a mapping can be read, written, or both."""

OBJECT_TYPES: Final[tuple[ObjectType, ...]] = get_args(ObjectType)
REGISTERS: Final[frozenset[ObjectType]] = frozenset({"holding_register", "input_register"})
BITS: Final[frozenset[ObjectType]] = frozenset({"coil", "discrete_input"})
WRITABLE: Final[frozenset[ObjectType]] = frozenset({"holding_register", "coil"})

EMPTY_CONTEXT: Final[MappingOf[str, Any]] = MappingProxyType({})

_log: Final = logging.getLogger("heliograph.modboss")


class Metadata(NamedTuple):
    """What a codec is told of the mapping it works for, if it takes a second argument."""

    name: str
    """Name of the mapping."""
    object_type: ObjectType
    """What it maps."""
    address_count: int
    """How many registers or bits it has."""
    context: MappingOf[str, Any]
    """The caller's own, as given to the operation."""


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Mapping:
    """A name for one or more neighbouring registers or bits of a device.

    Schemas make mappings; see `heliograph.modboss.Schema`.
    """

    name: str
    object_type: ObjectType
    starting_address: int
    """The first address, from 0, as it is on the wire."""
    address_count: int
    """How many registers or bits, from 1."""
    mode: Mode
    gap_safe: bool
    """Whether it may be read without being asked for, to bridge a gap between two others."""
    codec: Any
    """The codec as it was found or given: what encodes and decodes."""
    codec_name: str
    """What the codec is called: a built-in one's name, that of two methods of the schema, or the
    name of a class."""
    unit: str | None = None
    """Unit of the values, preferably by UCUM, such as `Cel`."""
    description: str | None = None
    alarm_below: float | None = None
    """The value below which whoever watches the device should raise an alarm."""
    alarm_above: float | None = None
    """The value above which whoever watches the device should raise an alarm."""
    encoder: Callable[..., Any] | None = None
    """Turns a value into a register or a list of them; None if the codec cannot encode."""
    encoder_takes_metadata: bool = False
    decoder: Callable[..., Any] | None = None
    """Turns a register or a list of them into a value; None if the codec cannot decode."""
    decoder_takes_metadata: bool = False
    struct_code: str | None = None
    """Where the registers of this mapping, as big-endian bytes, can be unpacked by a code of
    `struct`: that code; else None."""
    finish: Callable[[Any], Any] | None = None
    """Turns what `struct_code` unpacks into the value; None if it is the value already. When it
    raises, `decode` says it better."""

    @property
    def end_address(self) -> int:
        """The address after the last one."""
        return self.starting_address + self.address_count

    @property
    def addresses(self) -> range:
        """All its addresses."""
        return range(self.starting_address, self.end_address)

    @property
    def readable(self) -> bool:
        """Whether its mode allows reading."""
        return self.mode != "w"

    @property
    def writable(self) -> bool:
        """Whether its mode allows writing."""
        return self.mode != "r"

    def encode(self, value: Any, context: MappingOf[str, Any] = EMPTY_CONTEXT) -> list[Any]:
        """Encode a value into as many registers or bits as the mapping has addresses.

        The raw codec, and codecs of your own, may put anything into that list; built-in codecs put
        registers from 0 to 65535 and bits 0 and 1.

        Args:
            value: What to encode.
            context: What codecs that take metadata are given.

        Raises:
            EncodeError: The codec refuses the value, or gives another number of registers.
            BadValueError: It is no value of this encoding at all.
        """
        encoder = self.encoder
        if encoder is None:
            detail = f"its codec {self.codec_name} cannot encode; give the codec an encode method"
            raise EncodeError(*self._about(value), detail, "codec_missing")
        try:
            if self.encoder_takes_metadata:
                encoded = encoder(value, self._metadata(context))
            else:
                encoded = encoder(value)
        except CodecError as error:
            raise EncodeError(*self._about(value), *self._detail(error)) from None
        except NotAValueError as error:
            raise BadValueError(*self._about(value), str(error)) from None
        if encoded is None:
            encoded = []
        elif not isinstance(encoded, list):
            encoded = list(encoded) if isinstance(encoded, tuple) else [encoded]
        if len(encoded) != self.address_count:
            given, wanted = len(encoded), self.address_count
            detail = f"it makes {given} values, but the mapping has {wanted} addresses"
            parameters = {"expected": wanted, "received": given}
            raise EncodeError(*self._about(value), detail, "value_count_mismatch", parameters)
        return encoded

    def decode(self, values: Sequence[Any], context: MappingOf[str, Any] = EMPTY_CONTEXT) -> Any:
        """Decode registers or bits, as many as the mapping has addresses.

        Args:
            values: Those registers or bits; the codec of a mapping of one address is given that
                one, others are given a list.
            context: What codecs that take metadata are given.

        Raises:
            DecodeError: The codec gives them no meaning.
            BadValueError: They are no registers of this encoding at all, or not that many.
        """
        if len(values) != self.address_count:
            wanted = f"the mapping has {self.address_count} addresses, not {len(values)}"
            raise BadValueError(*self._about(values), wanted)
        given = values[0] if self.address_count == 1 else list(values)
        decoder = self.decoder
        if decoder is None:
            detail = f"its codec {self.codec_name} cannot decode; give the codec a decode method"
            raise DecodeError(*self._about(given), detail, "codec_missing")
        try:
            if self.decoder_takes_metadata:
                return decoder(given, self._metadata(context))
            return decoder(given)
        except CodecError as error:
            raise DecodeError(*self._about(given), *self._detail(error)) from None
        except NotAValueError as error:
            raise BadValueError(*self._about(given), str(error)) from None

    def _metadata(self, context: MappingOf[str, Any]) -> Metadata:
        return Metadata(self.name, self.object_type, self.address_count, context)

    def _about(self, value: object) -> tuple[str, ObjectType, int, object]:
        return self.name, self.object_type, self.starting_address, value

    def _detail(self, error: CodecError) -> tuple[str, str | None, MappingOf[str, Any]]:
        given: object = error.detail
        if isinstance(given, str):
            return given, error.code, error.parameters
        detail = f"codec {self.codec_name} raised CodecError({shown(given)})"
        _log.warning("%s: %s; the detail must be a string", self.name, detail)
        return f"{detail}, whose detail is not a string", "bad_codec_return", {}

    def __repr__(self) -> str:
        last = f" to {self.end_address - 1}" if self.address_count > 1 else ""
        where = f"{self.object_type} {self.starting_address}{last}"
        return f"<Mapping {self.name}: {where}, {self.codec_name}, {self.mode}>"
