# SPDX-License-Identifier: Apache-2.0
"""One device behind a link, by addresses: what `Device` builds on, and of use by itself."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from heliograph.modboss.caching import PlanCache
from heliograph.modboss.faults import IllegalFunctionError
from heliograph.modboss.link import FUNCTIONS
from heliograph.modboss.transports import Serial

if TYPE_CHECKING:
    from collections.abc import Coroutine, Mapping, Sequence

    from heliograph.modboss.link import Link
    from heliograph.modboss.mapping import ObjectType
    from heliograph.modboss.prepared import Prepared

__all__ = ["Unit"]

_READ: Final[Mapping[str, int]] = MappingProxyType(
    {"coil": 1, "discrete_input": 2, "holding_register": 3, "input_register": 4}
)
_WRITE_ONE: Final[Mapping[str, int]] = MappingProxyType({"coil": 5, "holding_register": 6})
_WRITE_MANY: Final[Mapping[str, int]] = MappingProxyType({"coil": 15, "holding_register": 16})
# Our choice: more than a device is asked different things again and again.
_MOST_PREPARED: Final = 32
# Plain dictionaries, because others are updated from them again and again; nobody changes them.
_ABOUT: Final[Mapping[int, Mapping[str, Any]]] = {
    function: {"function_code": function, "function_name": name}
    for function, name in FUNCTIONS.items()
}


class Unit:
    """One device behind a link; `Link.unit` makes it.

    Its methods `read` and `write` are the functions that `aread` and `awrite` want.

    Attributes:
        link: The link.
        device_id: The device's id.
        single_writes: Whether one value is written with function 5 or 6.
        operation: What events of operations on this device carry about it.
    """

    __slots__ = (
        "_masks",
        "_write_one",
        "device_id",
        "link",
        "operation",
        "prepared",
        "single_writes",
    )

    def __init__(self, link: Link, device_id: int, *, single_writes: bool = True) -> None:
        highest = 247 if isinstance(link.transport, Serial) else 255
        if isinstance(device_id, bool) or not isinstance(device_id, int):
            raise TypeError(f"device_id is {device_id!r}; it must be an integer")
        if not 0 <= device_id <= highest:
            raise ValueError(f"device_id is {device_id}; on this link it goes from 0 to {highest}")
        self.link: Link = link
        self.device_id: int = device_id
        self.single_writes: bool = single_writes
        self._write_one = _WRITE_ONE if single_writes else _WRITE_MANY
        self._masks = True  # until the device says otherwise
        self.operation: Mapping[str, Any] = {
            **link.about,
            "network_protocol": "modbus",
            "unit_id": device_id,
        }
        self.prepared: PlanCache[Prepared] = PlanCache(_MOST_PREPARED)

    def __repr__(self) -> str:
        return f"<Unit {self.device_id} of {self.link.name}>"

    # -- Requests ---------------------------------------------------------------------------------

    def read(
        self, object_type: ObjectType, starting_address: int, count: int
    ) -> Coroutine[Any, Any, list[int]]:
        """Read neighbouring objects in one request.

        Args:
            object_type: What to read.
            starting_address: The first address, from 0.
            count: How many: 1 to 125 registers, or 2000 coils or inputs.

        Returns:
            Registers as 0 to 65535, coils and inputs as 0 or 1.

        Raises:
            DeviceError: The device refused, or no valid answer came; one of the classes of
                `heliograph.modboss.faults`.
            ValueError: The device's id is 0 on a serial line, where nobody answers.
        """
        # No coroutine of its own: this is hot.
        return self.link.ask(_READ[object_type], starting_address, count, self.device_id)

    def write(
        self, object_type: ObjectType, starting_address: int, values: int | Sequence[int]
    ) -> Coroutine[Any, Any, None]:
        """Write neighbouring objects in one request.

        Args:
            object_type: `holding_register` or `coil`.
            starting_address: The first address, from 0.
            values: One value, or up to 123 registers or 1968 coils.

        Raises:
            DeviceError: As of `read`. Unless the device refused, it may have taken the values all
                the same.
            ValueError: A value is none that a register holds.
        """
        function, argument = self._writing(object_type, values)
        return self.link.ask(function, starting_address, argument, self.device_id)

    async def change_bits(
        self, starting_address: int, *, set_bits: int = 0, clear_bits: int = 0
    ) -> None:
        """Change bits of a holding register and leave the others as they are.

        One request, function 22, where the device knows it: then nobody's write can come between.
        Else the register is read and written, in which only this link is held up; another master
        may still come between.

        Args:
            starting_address: The register's address.
            set_bits: Bits that become 1.
            clear_bits: Bits that become 0.

        Raises:
            DeviceError: As of `read`.
            ValueError: A mask is none of 16 bits, or a bit is in both.
        """
        for name, mask in (("set_bits", set_bits), ("clear_bits", clear_bits)):
            if not 0 <= mask <= 0xFFFF:
                raise ValueError(f"{name} is {mask}; it must be a mask of 16 bits")
        if set_bits & clear_bits:
            raise ValueError(f"bits {set_bits & clear_bits:#06x} are to be both set and cleared")
        keep = ~(set_bits | clear_bits) & 0xFFFF
        if self._masks and self.link.can_mask:
            try:
                await self.link.ask(22, starting_address, (keep, set_bits), self.device_id)
            except IllegalFunctionError:
                self._masks = False
            else:
                return
        await self.link.read_and_write(
            3,
            starting_address,
            lambda old: old & keep | set_bits,
            self._write_one["holding_register"],
            self.device_id,
        )

    def _writing(self, object_type: str, values: int | Sequence[int]) -> tuple[int, Any]:
        if object_type not in _WRITE_ONE:
            raise ValueError(f"{object_type}: only holding registers and coils can be written")
        if isinstance(values, list | tuple):
            if len(values) != 1 or not self.single_writes:
                return _WRITE_MANY[object_type], values
            return _WRITE_ONE[object_type], values[0]
        if self.single_writes:
            return _WRITE_ONE[object_type], values
        return _WRITE_MANY[object_type], [values]

    # -- What operations tell about their requests ------------------------------------------------

    @staticmethod
    def read_request(object_type: ObjectType, _count: int, /) -> Mapping[str, Any]:
        """Give what the event of a read's request carries."""
        return _ABOUT[_READ[object_type]]

    def write_request(self, object_type: ObjectType, count: int, /) -> Mapping[str, Any]:
        """Give what the event of a write's request carries."""
        return _ABOUT[(self._write_one if count == 1 else _WRITE_MANY)[object_type]]
