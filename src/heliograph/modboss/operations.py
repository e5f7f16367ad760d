# SPDX-License-Identifier: Apache-2.0
"""Reads, writes and encodes by mapping name, over any function that reads or writes a block.

The operations themselves are generators that do no I/O (`reading`, `writing`). What is here drives
them: for plain functions, and for coroutine functions.
"""

from __future__ import annotations

import time
from contextlib import suppress
from types import CoroutineType
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypedDict, overload

from heliograph._waiting import running
from heliograph.modboss.calls import Raised
from heliograph.modboss.reading import reading
from heliograph.modboss.writing import encoding, writing
from heliograph.spans import EMPTY

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Iterable
    from collections.abc import Mapping as MappingOf
    from typing import TypeVar, Unpack

    from heliograph.modboss.calls import Origin, Steps
    from heliograph.modboss.fields import Field
    from heliograph.modboss.mapping import ObjectType
    from heliograph.modboss.options import MaxGap, OnRefusal
    from heliograph.modboss.refusals import Reading, Refusals
    from heliograph.modboss.retrying import RetryPolicy
    from heliograph.modboss.schema import Schema

    T = TypeVar("T")

    ReadFunc: TypeAlias = Callable[[ObjectType, int, int], Any]
    WriteFunc: TypeAlias = Callable[[ObjectType, int, Any], object]
    AsyncReadFunc: TypeAlias = Callable[[ObjectType, int, int], Awaitable[Any]]
    AsyncWriteFunc: TypeAlias = Callable[[ObjectType, int, Any], Awaitable[object]]
    Name: TypeAlias = str | Field[Any]
    Values: TypeAlias = (
        MappingOf[str, Any] | MappingOf[Field[Any], Any] | Iterable[tuple[Name, Any]]
    )

__all__ = ["aread", "awrite", "encode", "read", "usual_aread", "write"]


class DecodedOptions(TypedDict, total=False):
    """Options of reads that do not change what is returned."""

    max_gap: MaxGap
    max_attempts: int
    context: MappingOf[str, Any]
    retry: RetryPolicy | None
    refusals: Refusals | None
    origin: Origin | None


class ReadOptions(DecodedOptions, total=False):
    """Options of reads that do not change the kind of what is returned."""

    decode: bool
    debug: bool


@overload
def read(
    schema: type[Schema],
    names: Field[T],
    read_func: ReadFunc,
    *,
    on_refusal: OnRefusal = ...,
    **options: Unpack[DecodedOptions],
) -> T: ...
@overload
def read(
    schema: type[Schema],
    names: Literal["all"],
    read_func: ReadFunc,
    *,
    on_refusal: Literal["split"],
    **options: Unpack[ReadOptions],
) -> Reading: ...
@overload
def read(
    schema: type[Schema],
    names: Literal["all"],
    read_func: ReadFunc,
    *,
    on_refusal: Literal["raise"] = ...,
    **options: Unpack[ReadOptions],
) -> dict[str, Any]: ...
@overload
def read(
    schema: type[Schema],
    names: Name,
    read_func: ReadFunc,
    *,
    on_refusal: OnRefusal = ...,
    **options: Unpack[ReadOptions],
) -> Any: ...
@overload
def read(
    schema: type[Schema],
    names: Iterable[Name],
    read_func: ReadFunc,
    *,
    on_refusal: Literal["split"],
    **options: Unpack[ReadOptions],
) -> Reading: ...
@overload
def read(
    schema: type[Schema],
    names: Iterable[Name],
    read_func: ReadFunc,
    *,
    on_refusal: Literal["raise"] = ...,
    **options: Unpack[ReadOptions],
) -> dict[str, Any]: ...
def read(
    schema: type[Schema],
    names: Name | Iterable[Name],
    read_func: ReadFunc,
    *,
    max_gap: MaxGap = 0,
    max_attempts: int = 1,
    decode: bool = True,
    debug: bool = False,
    context: MappingOf[str, Any] = EMPTY,
    retry: RetryPolicy | None = None,
    on_refusal: OnRefusal = "raise",
    refusals: Refusals | None = None,
    origin: Origin | None = None,
) -> Any:
    """Read mappings by name, in as few requests as the device allows.

        values = read(Thermostat, ["outdoor_temp", "setpoint"], read_func)

    Executes the events of `modboss.read`, and those of `modboss.read_callback` for every call of
    the read function. Validation errors come before any event. An operation is told if somebody
    listens when it begins.

    Args:
        schema: What the device holds.
        names: A name, names, or `"all"` for everything readable. A field of the schema's class
            stands for its name, and lets type checkers know the value's type.
        read_func: Called with object type, starting address and count, for each batch; returns the
            values, one as it is or in a list. Raising a `DeviceError` fails the request, which may
            be retried; whatever else it raises ends the operation.
        max_gap: How many addresses nobody asked for may be read to join two batches, or by object
            type how many. All of them must belong to mappings that are `gap_safe`.
        max_attempts: How often a batch is attempted, from 1. There is no pause between.
        decode: Whether values are decoded; if not, they are given as they were read.
        debug: Whether a value comes in a dict of all that is known of it: `type`, `address_range`,
            `as` (the codec), `mode`, `gap_safe`, `encoded_value` and, if decoded, `value`.
        context: Handed to codecs that take metadata, and to events.
        retry: How a batch is retried, in place of `max_attempts`.
        on_refusal: What to do with a block that the device refuses, that is, an error with
            `refusal`: `"raise"` it, or `"split"` the block, so that one mapping that the device
            lacks does not take its neighbours down. Names that stay refused are left out of what
            is returned, a `Reading`, whose `refused` has their reasons; if nothing else was asked
            for, or nothing at all could be read, the error is raised.
        refusals: With `on_refusal="split"`, remembers from read to read what the device refuses.
        origin: What a device adds to the events.

    Returns:
        The value of a single name; else values by name, in the order of the names.

    Raises:
        OptionError: An option is none.
        UnknownNamesError: The schema has no mappings of these names.
        NotReadableError: They can only be written.
        DuplicateNamesError: They are asked for twice.
        BatchTooLargeError: A mapping is larger than one request may be; nothing was read.
        DeviceError: The last attempt at a batch failed; it is the error that the read function
            raised, with a note that says what was read.
        WrongCountError: The read function returned more or fewer values than it was asked for.
        DecodeError: The registers have no meaning in the encoding of their mapping.
        BadValueError: They are no registers of this encoding at all.
    """
    steps = reading(
        schema,
        names,
        max_gap,
        max_attempts,
        decode,
        debug,
        context,
        retry,
        on_refusal,
        refusals,
        origin,
    )
    return _drive(steps, read_func, retry)


@overload
async def aread(
    schema: type[Schema],
    names: Field[T],
    read_func: AsyncReadFunc,
    *,
    on_refusal: OnRefusal = ...,
    **options: Unpack[DecodedOptions],
) -> T: ...
@overload
async def aread(
    schema: type[Schema],
    names: Literal["all"],
    read_func: AsyncReadFunc,
    *,
    on_refusal: Literal["split"],
    **options: Unpack[ReadOptions],
) -> Reading: ...
@overload
async def aread(
    schema: type[Schema],
    names: Literal["all"],
    read_func: AsyncReadFunc,
    *,
    on_refusal: Literal["raise"] = ...,
    **options: Unpack[ReadOptions],
) -> dict[str, Any]: ...
@overload
async def aread(
    schema: type[Schema],
    names: Name,
    read_func: AsyncReadFunc,
    *,
    on_refusal: OnRefusal = ...,
    **options: Unpack[ReadOptions],
) -> Any: ...
@overload
async def aread(
    schema: type[Schema],
    names: Iterable[Name],
    read_func: AsyncReadFunc,
    *,
    on_refusal: Literal["split"],
    **options: Unpack[ReadOptions],
) -> Reading: ...
@overload
async def aread(
    schema: type[Schema],
    names: Iterable[Name],
    read_func: AsyncReadFunc,
    *,
    on_refusal: Literal["raise"] = ...,
    **options: Unpack[ReadOptions],
) -> dict[str, Any]: ...
async def aread(
    schema: type[Schema],
    names: Name | Iterable[Name],
    read_func: AsyncReadFunc,
    *,
    max_gap: MaxGap = 0,
    max_attempts: int = 1,
    decode: bool = True,
    debug: bool = False,
    context: MappingOf[str, Any] = EMPTY,
    retry: RetryPolicy | None = None,
    on_refusal: OnRefusal = "raise",
    refusals: Refusals | None = None,
    origin: Origin | None = None,
) -> Any:
    """Do what `read` does, with a read function that is awaited.

    Cancelled, it ends its spans with `exception` events of the kind `cancelled`.
    """
    steps = reading(
        schema,
        names,
        max_gap,
        max_attempts,
        decode,
        debug,
        context,
        retry,
        on_refusal,
        refusals,
        origin,
    )
    return await _adrive(steps, read_func, retry)


def usual_aread(
    schema: type[Schema],
    read_func: AsyncReadFunc,
    *,
    max_gap: MaxGap = 0,
    context: MappingOf[str, Any] = EMPTY,
    retry: RetryPolicy | None = None,
    on_refusal: OnRefusal = "raise",
    refusals: Refusals | None = None,
    origin: Origin | None = None,
) -> Callable[[Name | Iterable[Name]], Coroutine[Any, Any, Any]]:
    """Give `aread` with everything but the names, by a shorter way than keywords take."""

    def usual(names: Name | Iterable[Name]) -> Coroutine[Any, Any, Any]:
        steps = reading(
            schema, names, max_gap, 1, True, False, context, retry, on_refusal, refusals, origin
        )
        return _adrive(steps, read_func, retry)

    return usual


def write(
    schema: type[Schema],
    values: Values,
    write_func: WriteFunc,
    *,
    max_attempts: int = 1,
    context: MappingOf[str, Any] = EMPTY,
    retry: RetryPolicy | None = None,
    on_refusal: OnRefusal = "raise",
    refusals: Refusals | None = None,
    origin: Origin | None = None,
) -> None:
    """Write values by name, neighbours in one request.

        write(Thermostat, {"setpoint": 21.5, "mode": "heating"}, write_func)

    All values are encoded before anything is written. Executes the events of `modboss.write`, and
    those of `modboss.write_callback` for every call of the write function. Validation errors, and
    values that cannot be encoded, come before any event. An operation is told if somebody listens
    when it begins.

    Args:
        schema: What the device holds.
        values: Values by name, or pairs of name and value. A field of the schema's class stands
            for its name.
        write_func: Called with object type, starting address and values, a list of them or one
            as it is, for each batch; what it returns is ignored. Raising a `DeviceError` fails the
            request, which may be retried; whatever else it raises ends the operation.
        max_attempts: How often a batch is attempted, from 1. There is no pause between.
        context: Handed to codecs that take metadata, and to events.
        retry: How a batch is retried, in place of `max_attempts`.
        on_refusal: What to do with a block that the device refuses, that is, an error with
            `refusal`: `"raise"` it, or `"split"` the block and write the rest. What stays refused
            is raised after that.
        refusals: With `on_refusal="split"`, remembers from write to write what the device refuses,
            which then is written in requests of its own.
        origin: What a device adds to the events.

    Raises:
        OptionError: An option is none.
        UnknownNamesError: The schema has no mappings of these names.
        NotWritableError: They can only be read.
        DuplicateNamesError: They are given twice.
        EncodeError: An encoding cannot hold its value; nothing was written.
        BadValueError: A value is none of its encoding at all; nothing was written.
        BatchTooLargeError: A mapping is larger than one request may be; nothing was written.
        DeviceError: The last attempt at a batch failed. Its `written` has the names of the mappings
            that the device has taken, `not_written` those that it has not, or may not have: a
            request may have been carried out though its answer was lost.
    """
    steps = writing(schema, values, max_attempts, context, retry, on_refusal, refusals, origin)
    _drive(steps, write_func, retry)


async def awrite(
    schema: type[Schema],
    values: Values,
    write_func: AsyncWriteFunc,
    *,
    max_attempts: int = 1,
    context: MappingOf[str, Any] = EMPTY,
    retry: RetryPolicy | None = None,
    on_refusal: OnRefusal = "raise",
    refusals: Refusals | None = None,
    origin: Origin | None = None,
) -> None:
    """Do what `write` does, with a write function that is awaited.

    Cancelled, it ends its spans with `exception` events of the kind `cancelled`.
    """
    steps = writing(schema, values, max_attempts, context, retry, on_refusal, refusals, origin)
    await _adrive(steps, write_func, retry)


def encode(
    schema: type[Schema],
    values: Values,
    *,
    context: MappingOf[str, Any] = EMPTY,
) -> dict[tuple[ObjectType, int], Any]:
    """Encode values by name, as `write` would, without writing them; read-only mappings too.

    Executes no events.

    Args:
        schema: What the device holds.
        values: Values by name, or pairs of name and value. A field of the schema's class stands
            for its name.
        context: Handed to codecs that take metadata.

    Returns:
        Registers and bits by object type and address, sorted.

    Raises:
        OptionError: An option is none.
        UnknownNamesError: The schema has no mappings of these names.
        DuplicateNamesError: They are given twice.
        EncodeError: An encoding cannot hold its value.
        BadValueError: A value is none of its encoding at all.
    """
    return encoding(schema, values, context)


class Abandoned(BaseException):
    """Seen in events only: a coroutine was closed before its operation had ended."""


def _drive(steps: Steps, function: Callable[..., Any], retry: RetryPolicy | None) -> Any:
    """Carry out what an operation asks for."""
    reply: Any
    try:
        effect = steps.send(None)
        while True:
            try:
                if isinstance(effect, tuple):
                    reply = function(*effect)
                    if type(reply) is not list and hasattr(reply, "__await__"):
                        raise _coroutine(function, reply)
                else:
                    sleep = None if retry is None else retry.sleep
                    reply = (sleep or time.sleep)(effect)
            except BaseException as error:  # noqa: BLE001 - the operation decides
                reply = Raised(error)
            effect = steps.send(reply)
    except StopIteration as ended:
        return ended.value


async def _adrive(steps: Steps, function: Callable[..., Any], retry: RetryPolicy | None) -> Any:
    """Carry out what an operation asks for, and await it."""
    reply: Any
    try:
        effect = steps.send(None)
        while True:
            try:
                if isinstance(effect, tuple):
                    reply = function(*effect)
                    if type(reply) is not CoroutineType and not hasattr(reply, "__await__"):
                        raise TypeError(
                            f"{function!r} returned no awaitable; read and write take plain "
                            "functions, aread and awrite coroutine functions"
                        )
                    reply = await reply
                else:
                    sleep = None if retry is None else retry.sleep
                    reply = (sleep or running()[1].sleep)(effect)
                    if reply is not None:
                        reply = await reply
            except GeneratorExit:
                # The coroutine is closed: nobody will see a result, but the spans must end.
                with suppress(Abandoned):
                    steps.throw(Abandoned("the operation's coroutine was closed"))
                raise
            except BaseException as error:  # noqa: BLE001 - the operation decides
                reply = Raised(error)
            effect = steps.send(reply)
    except StopIteration as ended:
        return ended.value


def _coroutine(function: Any, reply: Any) -> TypeError:
    """Say that a coroutine came where a value was wanted, and end it."""
    if hasattr(reply, "close"):
        reply.close()  # or Python would warn that nobody awaited it
    return TypeError(
        f"{function!r} returned an awaitable; use aread and awrite with coroutine functions"
    )
