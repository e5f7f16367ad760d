# SPDX-License-Identifier: Apache-2.0
"""Values made of what was read, a batch at a time."""

from __future__ import annotations

import struct
from functools import lru_cache
from itertools import chain
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from heliograph.modboss.codecs.original import Raw
from heliograph.modboss.mapping import REGISTERS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from collections.abc import Mapping as MappingOf

    from heliograph.modboss.mapping import Mapping
    from heliograph.modboss.plan import Batch

__all__ = ["Decoder"]

_Program: TypeAlias = "tuple[Callable[..., bytes], Callable[[bytes], tuple[Any, ...]]]"

_RAW: Final = -1
"""Place of a mapping that has no codec to speak of."""
_SLOW: Final = -2
"""Place of a mapping that only its codec can decode."""


class Decoder:
    """Makes values of the replies to batches.

    The registers of a batch are packed into bytes and unpacked again by one `struct` that has the
    codes of all its mappings and skips the rest, so that most codecs need not be called at all.
    Where that is not to be, because a value is no register of 16 bits or a codec is somebody's own,
    `Mapping.decode` is called.

    Everything is held in few flat tuples, which the garbage collector needs not walk through.
    """

    __slots__ = ("_alone", "_compiled", "_mappings", "_offsets", "_order", "_places", "_plain")

    def __init__(
        self, mappings: tuple[Mapping, ...], names: tuple[str, ...], batches: Sequence[Batch]
    ) -> None:
        self._mappings = mappings
        compiled: list[_Program | None] = []
        # First by the order of the batches, which is by type and address.
        found: list[str] = []
        offsets: list[int] = []
        places: list[int] = []
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
                found.append(mapping.name)
                offsets.append(offset + address - start)
                code = mapping.struct_code
                if code is not None and registers:
                    codes.append(f"{2 * skipped}x{code}" if skipped else code)
                    skipped = 0
                    places.append(place)
                    place += 1
                    plain = plain and mapping.finish is None
                else:
                    skipped += count
                    places.append(_RAW if type(mapping.codec) is Raw else _SLOW)
                    plain = False
            if codes:
                if skipped:
                    codes.append(f"{2 * skipped}x")
                compiled.append(_program(batch.address_count, "".join(codes)))
            else:
                compiled.append(None)
            offset += batch.address_count
        if names != tuple(found):
            index = {name: at for at, name in enumerate(found)}
            order = [index[name] for name in names]
            offsets = [offsets[at] for at in order]
            places = [places[at] for at in order]
        self._compiled = tuple(compiled)
        self._offsets = tuple(offsets)
        self._places = tuple(places)
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
        for mapping, offset in zip(self._mappings, self._offsets, strict=True):
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
        for mapping, place, offset in zip(self._mappings, self._places, self._offsets, strict=True):
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


@lru_cache(maxsize=512)
def _program(count: int, codes: str) -> _Program:
    """Make what packs and unpacks a batch; shared, because making it takes longer than using it."""
    return struct.Struct(f">{count}H").pack, struct.Struct(f">{codes}").unpack


def _joined(replies: Sequence[list[Any]]) -> list[Any]:
    return replies[0] if len(replies) == 1 else list(chain.from_iterable(replies))
