# SPDX-License-Identifier: Apache-2.0
"""What a virtual device is asked: the function codes that touch objects, and the log's entries."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from heliograph.modboss.mapping import ObjectType
    from heliograph.modboss.virtual.faults import Fault

__all__ = ["FUNCTIONS", "Function", "Request"]


class Function(NamedTuple):
    """What a function code does."""

    object_type: ObjectType
    writes: bool
    label: str


FUNCTIONS: Final = MappingProxyType(
    {
        1: Function("coil", False, "read coils"),
        2: Function("discrete_input", False, "read discrete inputs"),
        3: Function("holding_register", False, "read holding registers"),
        4: Function("input_register", False, "read input registers"),
        5: Function("coil", True, "write single coil"),
        6: Function("holding_register", True, "write single register"),
        15: Function("coil", True, "write multiple coils"),
        16: Function("holding_register", True, "write multiple registers"),
        22: Function("holding_register", True, "mask write register"),
        23: Function("holding_register", True, "read/write multiple registers"),
    }
)
"""The function codes that name objects (Modbus Application Protocol 1.1b3, section 6)."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request as a virtual device got it."""

    number: int
    """Counted from 1, by device."""
    unit: int
    function: int
    """The function code."""
    object_type: ObjectType | None
    """None where the function touches no objects, as a diagnosis does."""
    address: int
    count: int
    values: tuple[int, ...] | None
    """What was to be written, one integer an address; the two masks of a mask write; None for a
    read."""
    at: float
    """When it came, in seconds of the device's clock since it began to serve."""
    faults: tuple[Fault, ...]
    """What went wrong on purpose."""
    refused: int | None
    """The exception code of the answer, None for an answer that is none."""

    def __str__(self) -> str:
        """Say it in one line, as a log does."""
        function = FUNCTIONS.get(self.function)
        label = function.label if function is not None else f"function {self.function}"
        end = self.address + self.count - 1
        where = str(self.address) if end <= self.address else f"{self.address} to {end}"
        said = f"#{self.number} unit {self.unit}: {label} {where}"
        if self.values is not None:
            said += f" = {list(self.values)}"
        if self.faults:
            said += f" [{', '.join(map(str, self.faults))}]"
        return said if self.refused is None else f"{said} refused with {self.refused}"
