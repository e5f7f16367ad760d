# SPDX-License-Identifier: Apache-2.0
"""What can go wrong between a name and a device.

ModbossError
 ├── SchemaError (ValueError)            a definition is wrong; `.faults` has all of it
 ├── OptionError (ValueError)            an option of an operation is wrong
 ├── UnknownNamesError (LookupError)     names that the schema lacks; `.names`
 ├── NotReadableError (ValueError)       names that cannot be read; `.names`
 ├── NotWritableError (ValueError)       names that cannot be written; `.names`
 ├── DuplicateNamesError (ValueError)    names that are given twice; `.names`
 ├── RefusedError (KeyError)             a value that is missing because the device refused it
 ├── MappingValueError                   `.name`, `.address`, `.value`, `.detail`
 │    ├── EncodeError (ValueError)       a value that the encoding cannot hold
 │    ├── DecodeError (ValueError)       registers that the encoding gives no meaning
 │    └── BadValueError (TypeError)      something that is no value of the encoding at all
 ├── WrongCountError (ValueError)        a device gave more or fewer values than asked for
 ├── BatchTooLargeError (ValueError)     a mapping is larger than the limit of one request
 └── DeviceError (OSError)               a device or its link failed; `.reason`, `.written`

A codec raises `CodecError`, which the caller gets as `EncodeError` or `DecodeError`, or
`NotAValueError`, which the caller gets as `BadValueError`.
"""

from __future__ import annotations

import reprlib
from collections.abc import Mapping as MappingOf
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from heliograph.modboss.mapping import ObjectType

__all__ = [
    "BadValueError",
    "BatchTooLargeError",
    "CodecError",
    "DecodeError",
    "DeviceError",
    "DuplicateNamesError",
    "EncodeError",
    "Fault",
    "MappingValueError",
    "ModbossError",
    "NotAValueError",
    "NotReadableError",
    "NotWritableError",
    "OptionError",
    "RefusedError",
    "SchemaError",
    "UnknownNamesError",
    "WrongCountError",
    "listed",
    "shown",
]

_SHORT: Final = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 80
_SHORT.maxlist = _SHORT.maxtuple = _SHORT.maxdict = _SHORT.maxset = 8


_LINES: Final = 100
"""How many faults a message shows; nobody mends more in one go."""


def shown(value: object) -> str:
    """`value` as a message shows it: its representation, cut where it grows long."""
    return _SHORT.repr(value)


def listed(names: Sequence[object]) -> str:
    """Names as a message lists them: the first eight, and how many more there are."""
    shown_names = [shown(name) for name in names[:8]]
    more = f" and {len(names) - 8} more" if len(names) > 8 else ""
    return ", ".join(shown_names) + more


class ModbossError(Exception):
    """Base of all errors that callers of `heliograph.modboss` get."""


# -- Definitions ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong with a definition."""

    code: str
    """What kind of fault it is, such as `invalid_mode`; the reference of schemas lists them."""
    mapping: str | None
    """Name of the mapping at fault; None where several are, or the schema itself."""
    text: str
    """What is wrong and how to mend it."""
    parameters: MappingOf[str, Any] = field(default_factory=dict)
    """What the text is about, by name: an `object_type`, an `option`, and so on."""
    where: str | None = None
    """File and line, with a colon between; None if the definition lies in no file."""

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where is not None else ""
        about = f"mapping {shown(self.mapping)}: " if self.mapping is not None else ""
        return f"{place}{about}{self.text}"


class SchemaError(ModbossError, ValueError):
    """A schema's definition is wrong. All that is wrong with it is said at once.

    Attributes:
        schema: Name of the schema, or the file it was to be read from.
        faults: What is wrong, in the order of definition.
    """

    def __init__(self, schema: str, faults: Sequence[Fault]) -> None:
        super().__init__(schema, faults)
        self.schema = schema
        self.faults: tuple[Fault, ...] = tuple(faults)

    def __str__(self) -> str:
        if len(self.faults) == 1:
            return f"schema {self.schema}: {self.faults[0]}"
        lines = "".join([f"\n  {fault}" for fault in self.faults[:_LINES]])
        more = len(self.faults) - _LINES
        rest = f"\n  and {more} more, in .faults" if more > 0 else ""
        return f"schema {self.schema} has {len(self.faults)} faults:{lines}{rest}"


# -- Calls ----------------------------------------------------------------------------------------


class OptionError(ModbossError, ValueError):
    """An option of an operation is unknown, or has a value that it cannot have.

    Attributes:
        code: `unknown_options`, `invalid_max_gap` or `invalid_option`.
        options: Names of the options at fault.
    """

    def __init__(
        self, text: str, code: str = "invalid_option", options: Sequence[str] = ()
    ) -> None:
        super().__init__(text, code, options)
        self.code = code
        self.options: tuple[str, ...] = tuple(options)

    def __str__(self) -> str:
        return str(self.args[0])


class _NamesError(ModbossError):
    _complaint = ""

    def __init__(self, names: Sequence[Any], schema: str, mend: str = "") -> None:
        super().__init__(names, schema, mend)
        self.names: tuple[Any, ...] = tuple(names)
        self.schema = schema

    def __str__(self) -> str:
        mend = f"; {self.args[2]}" if self.args[2] else ""
        return f"schema {self.schema} {self._complaint}: {listed(self.names)}{mend}"


class UnknownNamesError(_NamesError, LookupError):
    """Names that the schema has no mappings of.

    Attributes:
        names: Those names, in the order of the request.
        schema: Name of the schema.
    """

    _complaint = "has no mappings of these names"


class NotReadableError(_NamesError, ValueError):
    """Names of mappings that can only be written.

    Attributes:
        names: Those names, in the order of the request.
        schema: Name of the schema.
    """

    _complaint = "cannot read these mappings, their mode is 'w'"


class NotWritableError(_NamesError, ValueError):
    """Names of mappings that can only be read.

    Attributes:
        names: Those names, in the order of the request.
        schema: Name of the schema.
    """

    _complaint = "cannot write these mappings, their mode is 'r'"


class DuplicateNamesError(_NamesError, ValueError):
    """Names that are asked for, or given values, more than once.

    Attributes:
        names: Those names, in the order of the request.
        schema: Name of the schema.
    """

    _complaint = "is given these names twice"


class RefusedError(ModbossError, KeyError):
    """A value that is not there because the device refused to give it.

    Attributes:
        name: Name of the mapping.
        reason: The `reason` of the `DeviceError` it was refused with.
    """

    def __init__(self, name: str, reason: object) -> None:
        super().__init__(name, reason)
        self.name = name
        self.reason = reason

    def __str__(self) -> str:
        reason = self.reason if isinstance(self.reason, str) else shown(self.reason)
        return f"the device refused to read {self.name}: {reason}"


# -- Values ---------------------------------------------------------------------------------------


class CodecError(Exception):
    """Raised by a codec that cannot encode a value, or decode registers.

    Whoever called the operation gets an `EncodeError` or a `DecodeError` that also names the
    mapping and its address.

    Args:
        detail: What is wrong with the value, as text.
        code: Kind of the fault, for programs; built-in codecs give one, such as `out_of_range`.
        parameters: What the detail is about, by name.
    """

    def __init__(self, detail: str, code: str | None = None, **parameters: Any) -> None:
        super().__init__(detail, code)
        self.detail = detail
        self.code = code
        self.parameters = parameters

    def __str__(self) -> str:
        return str(self.detail)


class NotAValueError(TypeError):
    """Raised by a codec that is given what is no value of its encoding at all.

    Unlike a `CodecError` it is a fault of the program, or of the schema: an operation ends with
    `exception` events. The caller gets a `BadValueError` that names the mapping and its address.
    """


class MappingValueError(ModbossError):
    """A value and an encoding do not agree.

    Attributes:
        name: Name of the mapping.
        object_type: What it maps.
        address: Its first address.
        value: The value to encode, or the list of registers or bits to decode.
        detail: What is wrong, in the codec's words.
        code: Kind of the fault, for programs: `out_of_range`, `text_too_long`, `not_ascii`,
            `value_count_mismatch` and others; None if the codec gives none.
        parameters: What the detail is about, by name.
    """

    _action = "take"

    def __init__(
        self,
        name: str,
        object_type: ObjectType,
        address: int,
        value: object,
        detail: str,
        code: str | None = None,
        parameters: MappingOf[str, Any] | None = None,
    ) -> None:
        super().__init__(name, object_type, address, value, detail, code, parameters)
        self.name = name
        self.object_type = object_type
        self.address = address
        self.value = value
        self.detail = detail
        self.code = code
        self.parameters: MappingOf[str, Any] = {} if parameters is None else parameters

    def __str__(self) -> str:
        where = f"{self.object_type} {self.address}"
        return f"{self.name} ({where}) cannot {self._action} {shown(self.value)}: {self.detail}"


class EncodeError(MappingValueError, ValueError):
    """A value that the mapping's encoding cannot hold."""

    _action = "encode"


class DecodeError(MappingValueError, ValueError):
    """Registers or bits that the mapping's encoding gives no meaning."""

    _action = "decode"


class BadValueError(MappingValueError, TypeError):
    """Something that is no value of the encoding at all, such as a boolean that is 5."""


class WrongCountError(ModbossError, ValueError):
    """A device, or the function that speaks to it, gave another number of values than asked for.

    Attributes:
        object_type: What was read.
        address: The first address.
        expected: How many values were asked for.
        received: How many came.
        names: The mappings that were to be read.
    """

    def __init__(
        self,
        object_type: ObjectType,
        address: int,
        expected: int,
        received: int,
        names: Sequence[str] = (),
    ) -> None:
        super().__init__(object_type, address, expected, received, names)
        self.object_type = object_type
        self.address = address
        self.expected = expected
        self.received = received
        self.names: tuple[str, ...] = tuple(names)

    def __str__(self) -> str:
        about = f" for {listed(self.names)}" if self.names else ""
        return (
            f"{self.received} values came{about} where {self.expected} were asked for, "
            f"{self.object_type} from address {self.address}"
        )


class BatchTooLargeError(ModbossError, ValueError):
    """A mapping has more addresses than one request may have; mappings are never split.

    Attributes:
        name: Name of the mapping.
        operation: `read` or `write`.
        object_type: What it maps.
        count: Its number of addresses.
        limit: How many addresses one request may have.
    """

    def __init__(
        self, name: str, operation: str, object_type: ObjectType, count: int, limit: int
    ) -> None:
        super().__init__(name, operation, object_type, count, limit)
        self.name = name
        self.operation = operation
        self.object_type = object_type
        self.count = count
        self.limit = limit

    def __str__(self) -> str:
        return (
            f"{self.name} has {self.count} addresses of {self.object_type}, but one "
            f"{self.operation} takes at most {self.limit}; raise max_batch_{self.operation}s of "
            "the schema, if the device allows it, or divide the mapping"
        )


class DeviceError(ModbossError, OSError):
    """A device refused a request, or did not answer, or its link failed.

    A read or write function raises it for a failed request, which may then be tried again. What
    the caller of the operation gets at last is the same error.

    Args:
        reason: What is wrong: a text, or whatever says it to a program.

    Attributes:
        reason: As it was given.
        refusal: Whether the device refuses these addresses or this many of them, so that asking for
            fewer may help. False unless a subclass, or whoever raises it, says so.
        details: What the callback's stop event carries beside the result.
        written: Of a write, names of the mappings whose values the device has taken.
        not_written: Of a write, names of the mappings whose values it has not, or may not have.
    """

    refusal: bool = False
    details: MappingOf[str, Any] = MappingProxyType({})

    def __init__(self, reason: object = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.written: tuple[str, ...] = ()
        self.not_written: tuple[str, ...] = ()

    def __str__(self) -> str:
        text = self.reason if isinstance(self.reason, str) else shown(self.reason)
        if not (self.written or self.not_written):
            return text
        written = listed(self.written) or "nothing"
        return f"{text}; written before: {written}; not written: {listed(self.not_written)}"
