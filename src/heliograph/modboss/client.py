# SPDX-License-Identifier: Apache-2.0
"""What a link asks of whatever speaks Modbus for it."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Client"]


class Client(Protocol):
    """What speaks Modbus for a link: eight coroutines, each of them one request.

    Addresses count from 0, as on the wire. Any object that has them will do; it has connected
    before, or does so by itself. Each raises a `DeviceError`, best one of `heliograph.modboss`'s
    own, if the device did not do what it was asked to do.

    A ninth, `mask_write_register(address, (and_mask, or_mask), device_id)`, is used if it is there.
    """

    @abstractmethod
    async def read_coils(self, address: int, count: int, device_id: int, /) -> Sequence[int]:
        """Read coils, function 1."""

    @abstractmethod
    async def read_discrete_inputs(
        self, address: int, count: int, device_id: int, /
    ) -> Sequence[int]:
        """Read discrete inputs, function 2."""

    @abstractmethod
    async def read_holding_registers(
        self, address: int, count: int, device_id: int, /
    ) -> Sequence[int]:
        """Read holding registers, function 3."""

    @abstractmethod
    async def read_input_registers(
        self, address: int, count: int, device_id: int, /
    ) -> Sequence[int]:
        """Read input registers, function 4."""

    @abstractmethod
    async def write_coil(self, address: int, value: int, device_id: int, /) -> object:
        """Write one coil, function 5."""

    @abstractmethod
    async def write_register(self, address: int, value: int, device_id: int, /) -> object:
        """Write one holding register, function 6."""

    @abstractmethod
    async def write_coils(self, address: int, values: Sequence[int], device_id: int, /) -> object:
        """Write coils, function 15."""

    @abstractmethod
    async def write_registers(
        self, address: int, values: Sequence[int], device_id: int, /
    ) -> object:
        """Write holding registers, function 16."""
