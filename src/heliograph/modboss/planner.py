# SPDX-License-Identifier: Apache-2.0
"""The plans of one schema: names checked, divided into batches, and made ready for decoding."""

from __future__ import annotations

import struct
from collections import Counter
from functools import lru_cache
from itertools import chain
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from heliograph.modboss.caching import PlanCache
from heliograph.modboss.codecs.original import Raw
from heliograph.modboss.errors import (
    DuplicateNamesError,
    NotReadableError,
    NotWritableError,
    UnknownNamesError,
)
from heliograph.modboss.mapping import OBJECT_TYPES, REGISTERS
from heliograph.modboss.plan import NO_FENCES, SafeAddresses, plan

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from collections.abc import Mapping as MappingOf

    from heliograph.modboss.mapping import Mapping, ObjectType
    from heliograph.modboss.options import Gaps
    from heliograph.modboss.plan import Batch, Fences

__all__ = ["Planner", "ReadPlan", "WritePlan"]

Limits: TypeAlias = "MappingOf[ObjectType, int]"

_RAW: Final = -1
"""Place of a mapping that has no codec to speak of."""
_SLOW: Final = -2
"""Place of a mapping that only its codec can decode."""


class ReadPlan:
    """What to read for some names, and how to make values of what comes.

    Decoding is compiled: the registers of a batch are packed into bytes and unpacked again by one
    `struct` that has the codes of all its mappings and skips the rest, so that most codecs need not
    be called at all. Where that is not to be, because a value is no register of 16 bits or a codec
    is somebody's own, `Mapping.decode` is called.

    Everything is held in few flat tuples, which the garbage collector needs not walk through.
    """

    __slots__ = (
        "_alone",
        "_compiled",
        "_offsets",
        "_order",
        "_places",
        "_plain",
        "addresses",
        "batches",
        "gap_addresses",
        "largest_gap",
        "mappings",
        "names",
        "objects",
    )

    def __init__(self, mappings: Sequence[Mapping], batches: Sequence[Batch]) -> None:
        self.mappings = tuple(mappings)
        self.names = tuple([mapping.name for mapping in mappings])
        self.batches = tuple(batches)
        self.addresses = sum(batch.address_count for batch in batches)
        self.gap_addresses = sum(batch.gap_addresses for batch in batches)
        self.largest_gap = max((batch.largest_gap for batch in batches), default=0)
        self.objects = self.addresses - self.gap_addresses
        compiled: list[tuple[Callable[..., bytes], Callable[[bytes], tuple[Any, ...]]] | None] = []
        offsets: dict[str, int] = {}
        places: dict[str, int] = {}
        offset = place = 0
        plain = True
        for batch in batches:
            codes = []
            skipped = 0
            end = start = batch.starting_address
            registers = batch.object_type in REGISTERS
            for mapping in batch.mappings:
                address, count = mapping.starting_address, mapping.address_count
                skipped += address - end
                end = address + count
                name = mapping.name
                offsets[name] = offset + address - start
                code = mapping.struct_code
                if code is not None and registers:
                    codes.append(f"{2 * skipped}x{code}" if skipped else code)
                    skipped = 0
                    places[name] = place
                    place += 1
                    plain = plain and mapping.finish is None
                else:
                    skipped += count
                    places[name] = _RAW if type(mapping.codec) is Raw else _SLOW
                    plain = False
            if codes:
                if skipped:
                    codes.append(f"{2 * skipped}x")
                unpack = _unpacker("".join(codes))
                compiled.append((_packer(batch.address_count), unpack))
            else:
                compiled.append(None)
            offset += batch.address_count
        self._compiled = tuple(compiled)
        self._offsets = tuple([offsets[name] for name in self.names])
        self._places = tuple([places[name] for name in self.names])
        # Of values that struct makes all alone nothing is left to do but put them in order.
        self._plain = plain
        self._order: Callable[[Sequence[Any]], Sequence[Any]] | None = None
        if plain and self._places != tuple(range(place)):
            self._order = itemgetter(*self._places)
        # Most reads are one batch of such values, in the order in which they were asked for.
        alone = plain and len(compiled) == 1 and self._order is None
        self._alone = compiled[0] if alone else None

    def encoded(self, replies: Sequence[list[Any]]) -> list[Any]:
        """Give what was read of each mapping, in the order of the names: a value or a list."""
        raw = _joined(replies)
        values = []
        for mapping, offset in zip(self.mappings, self._offsets, strict=True):
            count = mapping.address_count
            values.append(raw[offset] if count == 1 else raw[offset : offset + count])
        return values

    def decoded(self, replies: Sequence[list[Any]], context: MappingOf[str, Any]) -> Sequence[Any]:
        """Decode what was read, in the order of the names.

        Raises:
            DecodeError: The first codec that gives its registers no meaning.
            BadValueError: They are no registers of its encoding.
        """
        alone = self._alone
        if alone is not None:
            pack, unpack = alone
            try:
                return unpack(pack(*replies[0]))
            except struct.error:
                return self._each(replies, [], context)
        unpacked: list[Any] = []
        try:
            for program, reply in zip(self._compiled, replies, strict=True):
                if program is not None:
                    pack, unpack = program
                    unpacked += unpack(pack(*reply))
        except struct.error:
            unpacked = []
        else:
            if self._plain:
                return unpacked if self._order is None else self._order(unpacked)
        return self._each(replies, unpacked, context)

    def _each(
        self, replies: Sequence[list[Any]], unpacked: list[Any], context: MappingOf[str, Any]
    ) -> list[Any]:
        """Decode one mapping after the other; `unpacked` is empty if that was not to be."""
        raw = _joined(replies)
        values = []
        for mapping, place, offset in zip(self.mappings, self._places, self._offsets, strict=True):
            count = mapping.address_count
            if place == _RAW:
                values.append(raw[offset] if count == 1 else raw[offset : offset + count])
                continue
            if place >= 0 and unpacked:
                value = unpacked[place]
                finish = mapping.finish
                if finish is None:
                    values.append(value)
                    continue
                try:
                    values.append(finish(value))
                    continue
                except Exception:  # noqa: BLE001, S110 - whatever it is, `decode` says it better
                    pass
            values.append(mapping.decode(raw[offset : offset + count], context))
        return values


class WritePlan:
    """What to write for some names."""

    __slots__ = ("batches", "mappings", "names")

    def __init__(self, mappings: Sequence[Mapping], batches: Sequence[Batch]) -> None:
        self.mappings = tuple(mappings)
        self.names = tuple([mapping.name for mapping in mappings])
        self.batches = tuple(batches)


class Planner:
    """Makes the plans of one schema, and keeps them.

    Attributes:
        reads: Plans of reads, by names and gaps.
        writes: Plans of writes, by names.
    """

    __slots__ = (
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
        self.reads: PlanCache[ReadPlan] = PlanCache()
        self.writes: PlanCache[WritePlan] = PlanCache()

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
        except (KeyError, TypeError):  # not there, or not hashable
            unknown = [name for name in names if not (isinstance(name, str) and name in table)]
            raise UnknownNamesError(unknown, self._schema_name) from None

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


# Batches of one form share what packs and unpacks them: making it takes longer than using it.


@lru_cache(maxsize=512)
def _unpacker(codes: str) -> Callable[[bytes], tuple[Any, ...]]:
    return struct.Struct(f">{codes}").unpack


@lru_cache(maxsize=512)
def _packer(count: int) -> Callable[..., bytes]:
    return struct.Struct(f">{count}H").pack


def _joined(replies: Sequence[list[Any]]) -> list[Any]:
    return replies[0] if len(replies) == 1 else list(chain.from_iterable(replies))
