# SPDX-License-Identifier: Apache-2.0
"""Modbus devices by name: schemas, reads and writes, with an event for everything that happens.

`heliograph.modboss.events` has the handles and types of what `catalogs/modboss.yaml` describes.
"""

from heliograph.modboss.errors import (
    BadValueError,
    BatchTooLargeError,
    CodecError,
    DecodeError,
    DeviceError,
    EncodeError,
    Fault,
    MappingValueError,
    ModbossError,
    NotAValueError,
    NotReadableError,
    NotWritableError,
    OptionError,
    SchemaError,
    UnknownNamesError,
    WrongCountError,
)
from heliograph.modboss.fields import (
    Field,
    coil,
    discrete_input,
    holding_register,
    input_register,
)
from heliograph.modboss.mapping import Mapping, Metadata, Mode, ObjectType
from heliograph.modboss.schema import Schema

__all__ = [
    "BadValueError",
    "BatchTooLargeError",
    "CodecError",
    "DecodeError",
    "DeviceError",
    "EncodeError",
    "Fault",
    "Field",
    "Mapping",
    "MappingValueError",
    "Metadata",
    "ModbossError",
    "Mode",
    "NotAValueError",
    "NotReadableError",
    "NotWritableError",
    "ObjectType",
    "OptionError",
    "Schema",
    "SchemaError",
    "UnknownNamesError",
    "WrongCountError",
    "coil",
    "discrete_input",
    "holding_register",
    "input_register",
]
