# SPDX-License-Identifier: Apache-2.0
"""A device: a schema, and the unit that has what the schema names.

    async with AsyncDevice(Thermostat, Tcp("192.168.1.20")) as thermostat:
        await thermostat.read(["outdoor_temp", "setpoint"])
        await thermostat.write({"setpoint": 21.5}, verify=True)
        (await thermostat.record()).outdoor_temp    # a float, to type checkers too

    with Device(Thermostat, Tcp("192.168.1.20")) as thermostat:      # the same without asyncio
        thermostat.read("setpoint")

`AsyncDevice` belongs to asyncio, since pymodbus does; under trio use `Device` in a thread, as in
`await trio.to_thread.run_sync(device.read, "setpoint")`.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Generic, Literal, Self, TypedDict, overload

from heliograph.modboss import operations
from heliograph.modboss.errors import (
    DeviceError,
    NotReadableError,
    NotWritableError,
    OptionError,
    UnknownNamesError,
    shown,
)
from heliograph.modboss.faults import (
    AcknowledgedError,
    DeviceBusyError,
    ExceptionReplyError,
    GatewayPathError,
    GatewayTargetError,
    LinkClosedError,
    LinkError,
)
from heliograph.modboss.fields import Field
from heliograph.modboss.link import Link
from heliograph.modboss.loop_thread import run
from heliograph.modboss.operations import DecodedOptions, ReadOptions
from heliograph.modboss.refusals import Refusals
from heliograph.modboss.retrying import RetryPolicy
from heliograph.modboss.schema import Schema
from heliograph.spans import EMPTY

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable
    from typing import Unpack

    from typing_extensions import TypeVar

    from heliograph.modboss.client import Client
    from heliograph.modboss.operations import Name, Values
    from heliograph.modboss.options import MaxGap, OnRefusal
    from heliograph.modboss.transports import Transport
    from heliograph.modboss.unit import Unit

    S = TypeVar("S", bound=Schema, default=Schema)
    T = TypeVar("T")
else:
    from typing import TypeVar

    S = TypeVar("S")

__all__ = ["DEFAULT_RETRY", "AsyncDevice", "Device", "VerifyError", "is_transient"]


class DecodedReadOptions(DecodedOptions, total=False):
    """Options of reads that do not change what is returned."""

    on_refusal: OnRefusal


class DeviceReadOptions(ReadOptions, total=False):
    """Options of reads by a device, in place of its own."""

    on_refusal: OnRefusal


class DeviceWriteOptions(TypedDict, total=False):
    """Options of writes by a device, in place of its own."""

    max_attempts: int
    context: Mapping[str, Any]
    retry: RetryPolicy | None
    on_refusal: OnRefusal
    refusals: Refusals | None


_PASSING: Final = (AcknowledgedError, DeviceBusyError, GatewayPathError, GatewayTargetError)


def is_transient(error: DeviceError) -> bool:
    """Say whether the same request may succeed if it is made again.

    So it is where no valid answer came, and where the device is busy or a gateway could not reach
    it; a device that refuses a request refuses it again.
    """
    if isinstance(error, ExceptionReplyError):
        return isinstance(error, _PASSING)
    return isinstance(error, LinkError) and not isinstance(error, LinkClosedError)


DEFAULT_RETRY: Final = RetryPolicy(attempts=3, first_pause=0.05, retry_on=is_transient)
"""How devices try again by default: three attempts, if what failed may pass."""


class VerifyError(DeviceError):
    """A device took a write, and holds other values all the same.

    Attributes:
        mismatches: Mapping name -> registers or bits written, and read back.
    """

    def __init__(self, schema: str, mismatches: Mapping[str, tuple[list[int], list[int]]]) -> None:
        super().__init__("not_verified")
        self.args: tuple[Any, ...] = (schema, mismatches)
        self.schema = schema
        self.mismatches = mismatches

    def __str__(self) -> str:
        each = [
            f"{name} holds {shown(found)} where {shown(wanted)} was written"
            for name, (wanted, found) in self.mismatches.items()
        ]
        return f"schema {self.schema}: the write was taken, but {'; '.join(each)}"


def _pairs(values: Values) -> list[tuple[str, Any]]:
    pairs: Any = values.items() if isinstance(values, Mapping) else values
    return [(name.name if isinstance(name, Field) else name, value) for name, value in pairs]


def _several(names: Name | Iterable[Name]) -> Any:
    """Names, where one name alone would give a bare value."""
    return (
        [names]
        if isinstance(names, Field) or (isinstance(names, str) and names != "all")
        else names
    )


class _Described(Generic[S]):
    """What both kinds of devices are made of."""

    def __init__(
        self,
        schema: type[S],
        where: Link | Transport | Client,
        device_id: int = 1,
        *,
        name: str | None = None,
        max_gap: MaxGap = 0,
        retry: RetryPolicy | None = DEFAULT_RETRY,
        on_refusal: OnRefusal = "raise",
        context: Mapping[str, Any] = EMPTY,
        single_writes: bool = True,
        message_spacing: float = 0.0,
    ) -> None:
        given: object = schema  # whatever the annotation says
        if not (isinstance(given, type) and issubclass(given, Schema)):
            raise TypeError(f"{shown(given)} is no schema; give a class derived from Schema")
        if isinstance(where, Link):
            if message_spacing:
                raise OptionError("message_spacing is the link's; give it to the Link")
            self.link: Link = where
            self._owns = False
        else:
            self.link = Link(where, message_spacing=message_spacing)
            self._owns = True
        self.schema = schema
        self.unit: Unit = self.link.unit(device_id, single_writes=single_writes)
        self.name: str = f"{self.link.name}/{device_id}" if name is None else name
        self.refusals: Refusals = Refusals()
        self._options: dict[str, Any] = {
            "retry": retry,
            "on_refusal": on_refusal,
            "context": context,
            "origin": self.unit,
        }
        if on_refusal == "split":
            self._options["refusals"] = self.refusals
        self._read_options: dict[str, Any] = {**self._options, "max_gap": max_gap}
        self._usual_read: Callable[[Any], Coroutine[Any, Any, Any]] = operations.usual_aread(
            schema, self.unit.read, **self._read_options
        )

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}: {self.schema.schema_name}>"

    def _with(self, usual: dict[str, Any], given: Any) -> dict[str, Any]:
        """Put the options of a call in place of the device's own."""
        if not given:
            return usual
        options = {**usual, **given}
        if "on_refusal" in given:
            options.pop("refusals", None)
            if given["on_refusal"] == "split":
                options["refusals"] = given.get("refusals", self.refusals)
        if "max_attempts" in given and "retry" not in given:
            options["retry"] = None
        return options

    def _wanted(
        self, values: list[tuple[str, Any]], context: Mapping[str, Any]
    ) -> dict[str, list[int]]:
        """Give what is to be read back, name by name, before anything is written."""
        mappings = self.schema.mappings
        encoded = operations.encode(self.schema, values, context=context)
        unreadable = [name for name, _ in values if not mappings[name].readable]
        if unreadable:
            raise NotReadableError(
                unreadable, self.schema.schema_name, "write without verify=True what can't be read"
            )
        return {
            name: [
                int(encoded[mappings[name].object_type, address])
                for address in range(mappings[name].starting_address, mappings[name].end_address)
            ]
            for name, _ in values
        }

    def _compare(self, wanted: Mapping[str, list[int]], found: Mapping[str, Any]) -> None:
        got = {
            name: list(raw) if isinstance(raw, list | tuple) else [raw]
            for name, raw in found.items()
        }
        wrong = {
            name: (values, got.get(name, []))
            for name, values in wanted.items()
            if got.get(name) != values
        }
        if wrong:
            error = VerifyError(self.schema.schema_name, wrong)
            error.written = tuple(name for name in wanted if name not in wrong)
            error.not_written = tuple(wrong)
            raise error

    def _register(self, name: Name) -> int:
        """Give the address of a mapping whose bits are to be changed."""
        name = name.name if isinstance(name, Field) else name
        mapping = self.schema.mappings.get(name)
        if mapping is None:
            raise UnknownNamesError([name], self.schema.schema_name)
        if mapping.object_type != "holding_register" or mapping.address_count != 1:
            raise OptionError(
                f"{name} is {mapping.address_count} x {mapping.object_type}; bits can be changed "
                "of a single holding register"
            )
        if not mapping.writable:
            raise NotWritableError([name], self.schema.schema_name)
        return mapping.starting_address


class AsyncDevice(_Described[S]):
    """One device by mapping name, in asyncio.

    Args:
        schema: What the device holds.
        where: A link, shared with other devices; or a transport or client, of which the device
            makes a link of its own that it closes.
        device_id: The device's id behind the link.
        name: What polls call it; link and id if None.
        max_gap: How many addresses nobody asked for may be read between two that are, by default.
        retry: When a failed request is made again; None for one attempt.
        on_refusal: `"split"` finds out which mappings of a refused block the device refuses, and
            gives the others; `"raise"` raises.
        context: What codecs and events get, by default.
        single_writes: Whether one value is written with function 5 or 6, not 15 or 16.
        message_spacing: Seconds between two requests, of the device's own link.

    Attributes:
        schema: As given.
        link: The link.
        unit: The device by addresses.
        name: What polls call it.
        refusals: What the device has refused, as far as `on_refusal="split"` has found out.
    """

    @overload
    def read(
        self, names: Field[T], **options: Unpack[DecodedReadOptions]
    ) -> Coroutine[Any, Any, T]: ...
    @overload
    def read(
        self, names: Literal["all"] = ..., **options: Unpack[DeviceReadOptions]
    ) -> Coroutine[Any, Any, dict[str, Any]]: ...
    @overload
    def read(
        self, names: Name, **options: Unpack[DeviceReadOptions]
    ) -> Coroutine[Any, Any, Any]: ...
    @overload
    def read(
        self, names: Iterable[Name], **options: Unpack[DeviceReadOptions]
    ) -> Coroutine[Any, Any, dict[str, Any]]: ...
    def read(
        self, names: Name | Iterable[Name] = "all", **options: Unpack[DeviceReadOptions]
    ) -> Coroutine[Any, Any, Any]:
        """Read mappings by name.

        Args:
            names: One name, several, or `"all"` that can be read. A field of the schema may stand
                for its name; to type checkers its value then has a type.
            options: Those of `heliograph.modboss.aread`, in place of the device's own.

        Returns:
            The value of one name; of several, or all, a dictionary.

        Raises:
            ModbossError: As of `heliograph.modboss.read`. What device and link fail with is in
                `heliograph.modboss.faults`.
        """
        if not options:
            return self._usual_read(names)
        return operations.aread(
            self.schema,
            names,
            self.unit.read,
            **self._with(self._read_options, options),
        )

    def reading(
        self, names: Name | Iterable[Name] = "all", **options: Unpack[DeviceReadOptions]
    ) -> Callable[[], Coroutine[Any, Any, Any]]:
        """Prepare a read that is made again and again.

        Args:
            names: As of `read`.
            options: As of `read`.

        Returns:
            A coroutine function that makes the read.
        """
        if not isinstance(names, str | Field):
            names = tuple(names)
        chosen = self._with(self._read_options, options)
        return partial(operations.aread, self.schema, names, self.unit.read, **chosen)

    async def record(
        self, names: Name | Iterable[Name] = "all", **options: Unpack[DeviceReadOptions]
    ) -> S:
        """Read mappings and give them as a record of the schema, with typed attributes.

        Args:
            names: As of `read`.
            options: As of `read`.
        """
        return self.schema.record(await self.read(_several(names), **options))

    async def write(
        self,
        values: Values,
        *,
        verify: bool = False,
        **options: Unpack[DeviceWriteOptions],
    ) -> None:
        """Write values by mapping name.

        Args:
            values: Mapping name -> value.
            verify: Whether to read back what has been written, and compare.
            options: Those of `heliograph.modboss.awrite`, in place of the device's own.

        Raises:
            VerifyError: The device holds something else.
            ModbossError: As of `heliograph.modboss.write`.
        """
        chosen = self._with(self._options, options)
        if not verify:
            await operations.awrite(self.schema, values, self.unit.write, **chosen)
            return
        values = _pairs(values)
        wanted = self._wanted(values, chosen["context"])
        await operations.awrite(self.schema, values, self.unit.write, **chosen)
        found = await operations.aread(
            self.schema, list(wanted), self.unit.read, decode=False, **chosen
        )
        self._compare(wanted, found)

    async def change_bits(self, name: Name, *, set_bits: int = 0, clear_bits: int = 0) -> None:
        """Change bits of a holding register and leave the others as they are.

        Args:
            name: The mapping.
            set_bits: Bits that become 1.
            clear_bits: Bits that become 0.

        Raises:
            ModbossError: The mapping is none whose bits can be changed, or the device failed.
            ValueError: A mask is none of 16 bits, or a bit is in both.
        """
        await self.unit.change_bits(self._register(name), set_bits=set_bits, clear_bits=clear_bits)

    async def close(self) -> None:
        """Close the link, if it is the device's own."""
        if self._owns:
            await self.link.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()


class Device(_Described[S]):
    """One device by mapping name, for programs without asyncio.

    Requests are made in the loop of one thread that all devices of the process share; everything
    else, events and codecs included, happens in the calling thread. Several threads may use a
    device at once. A link that a `Device` uses can be used by other `Device`s, and by no
    `AsyncDevice`.

    Where a loop of asyncio runs in the calling thread, every call raises a `RuntimeError` instead
    of holding that loop up; there, use `AsyncDevice`.

    The arguments and attributes are those of `AsyncDevice`.
    """

    @overload
    def read(self, names: Field[T], **options: Unpack[DecodedReadOptions]) -> T: ...
    @overload
    def read(
        self, names: Literal["all"] = ..., **options: Unpack[DeviceReadOptions]
    ) -> dict[str, Any]: ...
    @overload
    def read(self, names: Name, **options: Unpack[DeviceReadOptions]) -> Any: ...
    @overload
    def read(
        self, names: Iterable[Name], **options: Unpack[DeviceReadOptions]
    ) -> dict[str, Any]: ...
    def read(
        self, names: Name | Iterable[Name] = "all", **options: Unpack[DeviceReadOptions]
    ) -> Any:
        """Do what `AsyncDevice.read` does."""
        return operations.read(
            self.schema, names, self._read_block, **self._with(self._read_options, options)
        )

    def record(
        self, names: Name | Iterable[Name] = "all", **options: Unpack[DeviceReadOptions]
    ) -> S:
        """Do what `AsyncDevice.record` does."""
        return self.schema.record(self.read(_several(names), **options))

    def write(
        self,
        values: Values,
        *,
        verify: bool = False,
        **options: Unpack[DeviceWriteOptions],
    ) -> None:
        """Do what `AsyncDevice.write` does."""
        chosen = self._with(self._options, options)
        if not verify:
            operations.write(self.schema, values, self._write_block, **chosen)
            return
        values = _pairs(values)
        wanted = self._wanted(values, chosen["context"])
        operations.write(self.schema, values, self._write_block, **chosen)
        found = operations.read(self.schema, list(wanted), self._read_block, decode=False, **chosen)
        self._compare(wanted, found)

    def change_bits(self, name: Name, *, set_bits: int = 0, clear_bits: int = 0) -> None:
        """Do what `AsyncDevice.change_bits` does."""
        address = self._register(name)
        run(self.unit.change_bits(address, set_bits=set_bits, clear_bits=clear_bits))

    def close(self) -> None:
        """Close the link, if it is the device's own."""
        if self._owns:
            run(self.link.close())

    def _read_block(self, object_type: Any, starting_address: int, count: int) -> list[int]:
        return run(self.unit.read(object_type, starting_address, count))

    def _write_block(self, object_type: Any, starting_address: int, values: Any) -> None:
        run(self.unit.write(object_type, starting_address, values))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
