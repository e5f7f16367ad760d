# SPDX-License-Identifier: Apache-2.0
"""What a device has refused: remembered, so that its neighbours are read without it."""

from __future__ import annotations

from bisect import insort
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, TypeAlias

from heliograph.modboss.caching import PlanCache
from heliograph.modboss.errors import RefusedError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from collections.abc import Mapping as MappingOf

    from heliograph.modboss.mapping import Mapping, ObjectType
    from heliograph.modboss.plan import Fences

__all__ = ["Operation", "Reading", "Refusal", "Refusals"]

Operation: TypeAlias = Literal["read", "write"]

_NONE: Final[MappingOf[str, object]] = {}


class Refusal(NamedTuple):
    """A range of addresses that a device refuses to read, or to write."""

    operation: Operation
    object_type: ObjectType
    starting_address: int
    address_count: int
    reason: object
    """The `reason` of the `DeviceError` it was refused with."""


class Refusals:
    """Remembers what one device refuses; hand it to every operation on that device.

    With `on_refusal="split"` a block that the device refuses is divided until it is known which
    mappings it refuses, or where it wants a request to begin. Both is remembered here: refused
    mappings are not read again as long as something else is asked for too, nor read to bridge a
    gap, and written in a request of their own; requests begin where the device wants them to.

    A mapping that is asked for alone is always tried, and forgotten here if the device takes it. It
    is remembered only if the device took something else in the same operation: one that refuses
    everything, as some do while they start, is not written off.

    There is at most one refusal, and one place to begin, for each address of the device.
    """

    __slots__ = ("_fences", "_refused", "plans", "version")

    def __init__(self) -> None:
        self._refused: dict[tuple[Operation, ObjectType, int, int], Refusal] = {}
        self._fences: dict[Operation, dict[ObjectType, list[int]]] = {"read": {}, "write": {}}
        self.version: int = 0
        """Grows whenever something is learned or forgotten."""
        self.plans: PlanCache[Any] = PlanCache()
        """Plans made around what is refused, by version and what else they depend on."""

    def __iter__(self) -> Iterator[Refusal]:
        return iter(list(self._refused.values()))

    def __len__(self) -> int:
        return len(self._refused)

    def __repr__(self) -> str:
        refused = ", ".join(
            f"{each.operation} {each.object_type} {each.starting_address}x{each.address_count}"
            for each in self
        )
        return f"<Refusals: {refused or 'none'}>"

    def forget(self) -> None:
        """Forget everything, after the device got another firmware, for example."""
        self._refused.clear()
        self._fences = {"read": {}, "write": {}}
        self._changed()

    # -- For the operations -----------------------------------------------------------------------

    def heeds(self, operation: Operation) -> bool:
        """Say whether there is anything that a plan has to heed."""
        return bool(self._refused or self._fences[operation])

    def of(self, operation: Operation, mapping: Mapping) -> Refusal | None:
        """Give the refusal of a mapping."""
        return self._refused.get(_key(operation, mapping))

    def fences(self, operation: Operation) -> Fences:
        """Give the addresses at which requests have to begin."""
        fences: dict[ObjectType, list[int]] = {}
        for object_type, addresses in self._fences[operation].items():
            fences[object_type] = list(addresses)
        for refusal in self:
            if refusal.operation == operation:
                # A mapping may be refused and yet lie in a gap, or be tried again.
                first, count = refusal.starting_address, refusal.address_count
                fences.setdefault(refusal.object_type, []).extend((first, first + count))
        return {each: sorted(found) for each, found in fences.items()}

    def refuse(self, operation: Operation, mapping: Mapping, reason: object) -> None:
        """Learn that the device refuses a mapping."""
        key = _key(operation, mapping)
        if key not in self._refused:
            self._changed()
        self._refused[key] = Refusal(*key, reason)

    def accept(self, operation: Operation, mapping: Mapping) -> None:
        """Learn that the device does not refuse a mapping."""
        if self._refused.pop(_key(operation, mapping), None) is not None:
            self._changed()

    def fence(self, operation: Operation, object_type: ObjectType, address: int) -> None:
        """Learn that a request has to begin at an address."""
        fences = self._fences[operation].setdefault(object_type, [])
        if address not in fences:
            insort(fences, address)
            self._changed()

    def _changed(self) -> None:
        self.version += 1
        self.plans.clear()


def _key(operation: Operation, mapping: Mapping) -> tuple[Operation, ObjectType, int, int]:
    return operation, mapping.object_type, mapping.starting_address, mapping.address_count


class Reading(dict[str, Any]):
    """Values by name, of a read with `on_refusal="split"`, and what the device refused of them.

    Equal to a dictionary of the values. Looking up a refused name raises a `RefusedError`, which is
    a `KeyError`, that says why there is no value.

    Attributes:
        refused: The reasons of the refusals, by name, in the order of the request.
    """

    __slots__ = ("refused",)
    refused: MappingOf[str, object]

    def __init__(
        self, values: MappingOf[str, Any], refused: MappingOf[str, object] = _NONE
    ) -> None:
        super().__init__(values)
        self.refused = refused

    def __missing__(self, name: str) -> Any:
        if name in self.refused:
            raise RefusedError(name, self.refused[name])
        raise KeyError(name)

    def __repr__(self) -> str:
        return f"Reading({dict.__repr__(self)}, refused={self.refused!r})"

    def __reduce__(self) -> tuple[object, ...]:
        return Reading, (dict(self), self.refused)
