# SPDX-License-Identifier: Apache-2.0
"""The plans of one schema: names checked, divided into batches, and kept."""

from __future__ import annotations

from collections import Counter
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from heliograph.modboss.caching import PlanCache
from heliograph.modboss.decoding import Decoder
from heliograph.modboss.errors import (
    DuplicateNamesError,
    NotReadableError,
    NotWritableError,
    UnknownNamesError,
)
from heliograph.modboss.fields import Field
from heliograph.modboss.mapping import OBJECT_TYPES
from heliograph.modboss.plan import NO_FENCES, SafeAddresses, plan

if TYPE_CHECKING:
    from collections.abc import Mapping as MappingOf
    from collections.abc import Sequence

    from heliograph.modboss.mapping import Mapping, ObjectType
    from heliograph.modboss.options import Gaps
    from heliograph.modboss.plan import Batch, Fences
    from heliograph.modboss.prepared import Prepared

__all__ = ["MANY", "Planner", "ReadPlan", "WritePlan", "measured"]

# Our choice: hashing so many names begins to cost more than a second look-up.
MANY: Final = 32

Limits: TypeAlias = "MappingOf[ObjectType, int]"

_NAME: Final[Any] = attrgetter("name")


class ReadPlan:
    """What to read for some names.

    Attributes:
        mappings: What was asked for.
        names: Their names.
        batches: What is to be read.
        requests: The same as arguments of the read function.
        measured: What the stop event measures if each batch takes one attempt, as most do.
        prepared: What else events carry, for reads that no device adds anything to.
    """

    __slots__ = ("_decoder", "batches", "mappings", "measured", "names", "prepared", "requests")

    def __init__(self, mappings: Sequence[Mapping], batches: Sequence[Batch]) -> None:
        self.mappings: tuple[Mapping, ...] = tuple(mappings)
        self.names: tuple[str, ...] = tuple(map(_NAME, mappings))
        self.batches: tuple[Batch, ...] = tuple(batches)
        self.requests: tuple[tuple[ObjectType, int, int], ...] = tuple(
            [batch[:3] for batch in batches]
        )
        self.measured: dict[str, int] = measured(self.batches, len(self.batches))
        self.prepared: Prepared | None = None
        self._decoder: Decoder | None = None

    @property
    def decoder(self) -> Decoder:
        """What makes values of the replies; compiled when there are some for the first time."""
        decoder = self._decoder
        if decoder is None:
            decoder = self._decoder = Decoder(self.mappings, self.names, self.batches)
        return decoder


def measured(attempted: Sequence[Batch], attempts: int) -> dict[str, int]:
    """Say how much was read, or attempted to be."""
    addresses = sum(batch.address_count for batch in attempted)
    gap_addresses = sum(batch.gap_addresses for batch in attempted)
    return {
        "batches": len(attempted),
        "total_attempts": attempts,
        "objects_requested": addresses - gap_addresses,
        "addresses_read": addresses,
        "gap_addresses_read": gap_addresses,
        "largest_gap": max((batch.largest_gap for batch in attempted), default=0),
    }


class WritePlan:
    """What to write for some names."""

    __slots__ = ("batches", "mappings", "names")

    def __init__(self, mappings: Sequence[Mapping], batches: Sequence[Batch]) -> None:
        self.mappings: tuple[Mapping, ...] = tuple(mappings)
        self.names: tuple[str, ...] = tuple(map(_NAME, mappings))
        self.batches: tuple[Batch, ...] = tuple(batches)


class Planner:
    """Makes the plans of one schema, and keeps them.

    Attributes:
        reads: Plans of reads, by names and gaps.
        writes: Plans of writes, by names.
    """

    __slots__ = (
        "_known_objects",
        "_mappings",
        "_read_limits",
        "_safe",
        "_schema_name",
        "_write_limits",
        "reads",
        "writes",
    )

    def __init__(
        self,
        schema_name: str,
        mappings: MappingOf[str, Mapping],
        read_limits: Limits,
        write_limits: Limits,
    ) -> None:
        self._schema_name = schema_name
        self._mappings = mappings
        self._read_limits = read_limits
        self._write_limits = write_limits
        self._safe: SafeAddresses | None = None
        self._known_objects: PlanCache[tuple[tuple[str, ...], ReadPlan]] = PlanCache()
        self.reads: PlanCache[ReadPlan] = PlanCache()
        self.writes: PlanCache[WritePlan] = PlanCache()

    def kept(self, names: tuple[str, ...], gaps: Gaps) -> ReadPlan | None:
        """Find the plan of many names, without a look at each of them if the tuple is the same.

        A tuple that was seen is held, so that no other one has its identity.
        """
        known = self._known_objects.get((id(names), gaps))
        if known is not None:
            return known[1]
        plan = self.reads.get((names, gaps))
        if plan is not None:
            self._known_objects.put((id(names), gaps), (names, plan))
        return plan

    def asked(self, names: str | tuple[Any, ...]) -> Sequence[Mapping]:
        """Give the mappings that are to be read: of a name, of names, or for `"all"` all readable.

        Raises:
            UnknownNamesError: The schema has no mappings of these names.
            NotReadableError: They can only be written.
            DuplicateNamesError: They are asked for twice.
        """
        if names == "all":
            return [mapping for mapping in self._mappings.values() if mapping.readable]
        mappings = self._known((names,) if isinstance(names, str) else names)
        if refused := [mapping.name for mapping in mappings if not mapping.readable]:
            raise NotReadableError(refused, self._schema_name)
        return self._once(mappings)

    def writable(self, names: Sequence[Any]) -> list[Mapping]:
        """Give the mappings of names that are to be written.

        Raises:
            UnknownNamesError: The schema has no mappings of these names.
            NotWritableError: They can only be read.
            DuplicateNamesError: They are given twice.
        """
        mappings = self._known(names)
        if refused := [mapping.name for mapping in mappings if not mapping.writable]:
            raise NotWritableError(refused, self._schema_name)
        return self._once(mappings)

    def encodable(self, names: Sequence[Any]) -> list[Mapping]:
        """Give the mappings of names that are to be encoded.

        Raises:
            UnknownNamesError: The schema has no mappings of these names.
            DuplicateNamesError: They are given twice.
        """
        return self._once(self._known(names))

    def _known(self, names: Sequence[Any]) -> list[Mapping]:
        table = self._mappings
        try:
            return [table[name] for name in names]
        except (KeyError, TypeError):  # not there, or not hashable, or a field
            names = [name.name if isinstance(name, Field) else name for name in names]
            unknown = [name for name in names if not (isinstance(name, str) and name in table)]
            if unknown:
                raise UnknownNamesError(unknown, self._schema_name) from None
            return [table[name] for name in names]

    def _once(self, mappings: list[Mapping]) -> list[Mapping]:
        if len(set(mappings)) < len(mappings):
            times = Counter([mapping.name for mapping in mappings])
            twice = [name for name, count in times.items() if count > 1]
            raise DuplicateNamesError(twice, self._schema_name)
        return mappings

    def read_plan(
        self, mappings: Sequence[Mapping], gaps: Gaps, fences: Fences = NO_FENCES
    ) -> ReadPlan:
        """Plan a read.

        Raises:
            BatchTooLargeError: A mapping exceeds the limit by itself.
        """
        max_gap: dict[ObjectType, int] | None = None
        if gaps:
            each = (gaps,) * len(OBJECT_TYPES) if isinstance(gaps, int) else gaps
            max_gap = dict(zip(OBJECT_TYPES, each, strict=True))
            if self._safe is None:
                self._safe = SafeAddresses(self._mappings.values())
        batches = plan(
            mappings, self._read_limits, "read", max_gap=max_gap, safe=self._safe, fences=fences
        )
        return ReadPlan(mappings, batches)

    def write_plan(self, mappings: Sequence[Mapping], fences: Fences = NO_FENCES) -> WritePlan:
        """Plan a write; writes never bridge gaps.

        Raises:
            BatchTooLargeError: A mapping exceeds the limit by itself.
        """
        return WritePlan(mappings, plan(mappings, self._write_limits, "write", fences=fences))
