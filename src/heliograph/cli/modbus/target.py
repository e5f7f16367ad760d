# SPDX-License-Identifier: Apache-2.0
"""The device that a command is about: where it is, and what it holds."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import signal
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final

import click

from heliograph.cli.modbus.schemas import load_schema, schema_of_addresses
from heliograph.cli.seconds import Seconds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from heliograph.modboss import AsyncDevice, Mapping, Schema
    from heliograph.modboss.transports import Transport

__all__ = [
    "Target",
    "check_unit",
    "interrupts",
    "need_pymodbus",
    "place",
    "schema_option",
    "target_options",
]


SECONDS: Final = Seconds()
"""A time; who wants none leaves the option out."""


def need_pymodbus() -> None:
    """Say what to install rather than fail halfway, and what is said only once.

    Raises:
        ModuleNotFoundError: pymodbus or pyserial is missing.
    """
    # What it logs of damaged frames, the errors of this command say better.
    logging.getLogger("pymodbus").addHandler(logging.NullHandler())
    for package in ("pymodbus", "serial"):
        if find_spec(package) is None:
            raise ModuleNotFoundError(f"no {package}", name=package)


def schema_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """The option `--schema`."""
    return click.option(
        "--schema",
        "-s",
        metavar="PLACE",
        help="package.module:Class, or a device file (YAML, CSV).",
    )(command)


def target_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that say which device, and how patient to be; `Target.of` takes them."""
    options = (
        schema_option,
        click.option(
            "--unit",
            "-u",
            type=click.IntRange(0, 255),
            default=1,
            show_default=True,
            help="The device's id behind that address.",
        ),
        click.option(
            "--timeout",
            metavar="SECONDS",
            type=SECONDS,
            help="How long to wait for an answer.  [default: 3]",
        ),
        click.option(
            "--attempts",
            type=click.IntRange(1, 100),
            default=3,
            show_default=True,
            help="How often to ask if no valid answer comes.",
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


@dataclasses.dataclass(frozen=True, slots=True)
class Target:
    """A device, not connected yet."""

    transport: Transport
    device_id: int
    attempts: int
    schema: type[Schema]
    names: tuple[str, ...]
    """The mappings that the command is about; none for all."""

    @classmethod
    def of(
        cls,
        ctx: click.Context,
        url: str,
        names: Sequence[str],
        *,
        schema: str | None,
        unit: int,
        timeout: float | None,
        attempts: int,
    ) -> Target:
        """Make sense of arguments and options.

        Raises:
            click.UsageError: They make none.
        """
        need_pymodbus()
        transport = transport_of(ctx, url, timeout)
        check_unit(ctx, transport, unit)
        if schema is not None:
            found = load_schema(schema)
        elif names:
            found = schema_of_addresses(names)
        else:
            msg = "name what: addresses such as holding:100:2:float32, or names with --schema"
            raise click.UsageError(msg, ctx)
        return cls(transport, unit, attempts, found, tuple(names))

    def device(self, **options: Any) -> AsyncDevice[Any]:
        """The device; it connects when it is asked."""
        from heliograph.modboss import DEFAULT_RETRY, AsyncDevice

        retry = dataclasses.replace(DEFAULT_RETRY, attempts=self.attempts)
        return AsyncDevice(
            self.schema, self.transport, self.device_id, **{"retry": retry, **options}
        )

    @property
    def about(self) -> dict[str, Any]:
        """What JSON says of it."""
        return {
            "url": str(self.transport),
            "unit": self.device_id,
            "schema": self.schema.schema_name,
        }


def transport_of(ctx: click.Context, url: str, timeout: float | None) -> Transport:
    """The transport of a URL.

    Raises:
        click.BadParameter: It is none.
    """
    from heliograph.modboss.transports import transport_from_url

    try:
        transport = transport_from_url(url)
    except ValueError as error:
        raise click.BadParameter(str(error), ctx, param_hint="URL") from None
    return transport if timeout is None else dataclasses.replace(transport, timeout=timeout)


def check_unit(ctx: click.Context, transport: Transport, unit: int) -> None:
    """Refuse what is no id of a single device on such a transport.

    Raises:
        click.BadParameter: It is none.
    """
    if transport.network == "serial" and not 1 <= unit <= 247:
        raise click.BadParameter(
            f"{unit} is no unit of a serial line; they go from 1 to 247", ctx, param_hint="unit"
        )


def place(mapping: Mapping) -> str:
    """Where a mapping is, in one word: `holding_register:100-101`."""
    first, last = mapping.starting_address, mapping.end_address - 1
    return f"{mapping.object_type}:{first}" + (f"-{last}" if last > first else "")


@contextmanager
def interrupts() -> Iterator[asyncio.Event]:
    """An event that is set when the command is to end; within a running loop."""
    loop, ended = asyncio.get_running_loop(), asyncio.Event()
    numbers = (signal.SIGINT, signal.SIGTERM)
    for number in numbers:
        loop.add_signal_handler(number, ended.set)
    try:
        yield ended
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)
