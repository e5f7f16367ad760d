# SPDX-License-Identifier: Apache-2.0
"""Modbus devices by name: schemas, reads and writes, with an event for everything that happens.

`heliograph.modboss.events` has the handles and types of what `catalogs/modboss.yaml` describes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from heliograph.modboss.client import Client
    from heliograph.modboss.device import (
        DEFAULT_RETRY,
        AsyncDevice,
        Device,
        VerifyError,
        is_transient,
    )
    from heliograph.modboss.errors import (
        BadValueError,
        BatchTooLargeError,
        CodecError,
        DecodeError,
        DeviceError,
        DuplicateNamesError,
        EncodeError,
        Fault,
        MappingValueError,
        ModbossError,
        NotAValueError,
        NotReadableError,
        NotWritableError,
        OptionError,
        RefusedError,
        SchemaError,
        UnknownNamesError,
        WrongCountError,
    )
    from heliograph.modboss.faults import (
        AcknowledgedError,
        CorruptReplyError,
        DesyncError,
        DeviceBusyError,
        DeviceFailureError,
        ExceptionReplyError,
        GatewayPathError,
        GatewayTargetError,
        IllegalDataAddressError,
        IllegalDataValueError,
        IllegalFunctionError,
        LinkClosedError,
        LinkError,
        LinkLostError,
        MemoryParityError,
        NegativeAcknowledgeError,
        ReplyTimeoutError,
        UnreachableError,
    )
    from heliograph.modboss.fields import (
        Field,
        coil,
        discrete_input,
        holding_register,
        input_register,
    )
    from heliograph.modboss.link import Link
    from heliograph.modboss.mapping import Mapping, Metadata, Mode, ObjectType
    from heliograph.modboss.operations import aread, awrite, encode, read, write
    from heliograph.modboss.polling import PollGroup, Polling, Update
    from heliograph.modboss.refusals import Reading, Refusal, Refusals
    from heliograph.modboss.retrying import RetryPolicy
    from heliograph.modboss.schema import Schema
    from heliograph.modboss.transports import (
        RtuOverTcp,
        Serial,
        Tcp,
        Tls,
        Transport,
        Udp,
        transport_from_url,
    )
    from heliograph.modboss.unit import Unit

__all__ = [
    "DEFAULT_RETRY",
    "AcknowledgedError",
    "AsyncDevice",
    "BadValueError",
    "BatchTooLargeError",
    "Client",
    "CodecError",
    "CorruptReplyError",
    "DecodeError",
    "DesyncError",
    "Device",
    "DeviceBusyError",
    "DeviceError",
    "DeviceFailureError",
    "DuplicateNamesError",
    "EncodeError",
    "ExceptionReplyError",
    "Fault",
    "Field",
    "GatewayPathError",
    "GatewayTargetError",
    "IllegalDataAddressError",
    "IllegalDataValueError",
    "IllegalFunctionError",
    "Link",
    "LinkClosedError",
    "LinkError",
    "LinkLostError",
    "Mapping",
    "MappingValueError",
    "MemoryParityError",
    "Metadata",
    "ModbossError",
    "Mode",
    "NegativeAcknowledgeError",
    "NotAValueError",
    "NotReadableError",
    "NotWritableError",
    "ObjectType",
    "OptionError",
    "PollGroup",
    "Polling",
    "Reading",
    "Refusal",
    "Refusals",
    "RefusedError",
    "ReplyTimeoutError",
    "RetryPolicy",
    "RtuOverTcp",
    "Schema",
    "SchemaError",
    "Serial",
    "Tcp",
    "Tls",
    "Transport",
    "Udp",
    "Unit",
    "UnknownNamesError",
    "UnreachableError",
    "Update",
    "VerifyError",
    "WrongCountError",
    "aread",
    "awrite",
    "coil",
    "discrete_input",
    "encode",
    "holding_register",
    "input_register",
    "is_transient",
    "read",
    "transport_from_url",
    "write",
]

# Each name is imported when it is first asked for: whoever wants one part, such as the fixture that
# every run of pytest knows, does not pay for the others.
_MODULES = {
    "Client": "client",
    "AsyncDevice": "device",
    "DEFAULT_RETRY": "device",
    "Device": "device",
    "VerifyError": "device",
    "is_transient": "device",
    "BadValueError": "errors",
    "BatchTooLargeError": "errors",
    "CodecError": "errors",
    "DecodeError": "errors",
    "DeviceError": "errors",
    "DuplicateNamesError": "errors",
    "EncodeError": "errors",
    "Fault": "errors",
    "MappingValueError": "errors",
    "ModbossError": "errors",
    "NotAValueError": "errors",
    "NotReadableError": "errors",
    "NotWritableError": "errors",
    "OptionError": "errors",
    "RefusedError": "errors",
    "SchemaError": "errors",
    "UnknownNamesError": "errors",
    "WrongCountError": "errors",
    "AcknowledgedError": "faults",
    "CorruptReplyError": "faults",
    "DesyncError": "faults",
    "DeviceBusyError": "faults",
    "DeviceFailureError": "faults",
    "ExceptionReplyError": "faults",
    "GatewayPathError": "faults",
    "GatewayTargetError": "faults",
    "IllegalDataAddressError": "faults",
    "IllegalDataValueError": "faults",
    "IllegalFunctionError": "faults",
    "LinkClosedError": "faults",
    "LinkError": "faults",
    "LinkLostError": "faults",
    "MemoryParityError": "faults",
    "NegativeAcknowledgeError": "faults",
    "ReplyTimeoutError": "faults",
    "UnreachableError": "faults",
    "Field": "fields",
    "coil": "fields",
    "discrete_input": "fields",
    "holding_register": "fields",
    "input_register": "fields",
    "Link": "link",
    "Mapping": "mapping",
    "Metadata": "mapping",
    "Mode": "mapping",
    "ObjectType": "mapping",
    "aread": "operations",
    "awrite": "operations",
    "encode": "operations",
    "read": "operations",
    "write": "operations",
    "PollGroup": "polling",
    "Polling": "polling",
    "Update": "polling",
    "Reading": "refusals",
    "Refusal": "refusals",
    "Refusals": "refusals",
    "RetryPolicy": "retrying",
    "Schema": "schema",
    "RtuOverTcp": "transports",
    "Serial": "transports",
    "Tcp": "transports",
    "Tls": "transports",
    "Transport": "transports",
    "Udp": "transports",
    "transport_from_url": "transports",
    "Unit": "unit",
}


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    found = globals()[name] = getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
