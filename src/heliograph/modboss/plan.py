# SPDX-License-Identifier: Apache-2.0
"""Which requests a set of mappings needs: mappings in, batches out, nothing else touched.

The rules are those of ModBoss 0.2.0. Mappings of one object type are taken by address, from the
lowest up, and each joins the batch that is being made if

*   the batch, the gap before the mapping and the mapping itself do not exceed the limit of one
    request, and
*   there is no gap, or it is no longer than `max_gap` and every address in it belongs to a mapping
    that is safe to read unasked.

Otherwise it begins the next batch. A mapping is never divided. To these rules comes one of ours: no
batch crosses a fence, an address that a device has refused to be read across.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, TypeAlias

from heliograph.modboss.errors import BatchTooLargeError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from collections.abc import Mapping as MappingOf

    from heliograph.modboss.mapping import Mapping, ObjectType

    Fences: TypeAlias = MappingOf[ObjectType, Sequence[int]]
    """By object type, sorted addresses at which a batch has to begin."""

__all__ = ["NO_FENCES", "Batch", "SafeAddresses", "batch_of", "plan"]

NO_FENCES: Final[Fences] = {}

_START: Final[Any] = attrgetter("starting_address")
_NAME: Final[Any] = attrgetter("name")


class Batch(NamedTuple):
    """A range of addresses of one type that one request reads or writes.

    Batches of a type share what they are batches of, so that a plan has few objects.
    """

    object_type: ObjectType
    starting_address: int
    address_count: int
    """How many addresses it has, gaps included."""
    gap_addresses: int
    """How many of the addresses nobody asked for."""
    largest_gap: int
    """Addresses of its largest single gap."""
    group: tuple[Mapping, ...]
    """All mappings of the type that were asked for, by address."""
    group_names: tuple[str, ...]
    """Their names."""
    begin: int
    """Index of the batch's first mapping among them."""
    end: int
    """Index after the last one."""

    @property
    def mappings(self) -> tuple[Mapping, ...]:
        """The mappings it has, by address."""
        return self.group[self.begin : self.end]

    @property
    def names(self) -> tuple[str, ...]:
        """Their names."""
        return self.group_names[self.begin : self.end]

    @property
    def objects(self) -> int:
        """How many of the addresses were asked for."""
        return self.address_count - self.gap_addresses

    @property
    def measured(self) -> dict[str, int]:
        """What is measured of reading it."""
        return {"gap_addresses_read": self.gap_addresses, "largest_gap": self.largest_gap}


class SafeAddresses:
    """The addresses of a schema that may be read without being asked for, to bridge a gap."""

    __slots__ = ("_runs",)

    def __init__(self, mappings: Iterable[Mapping]) -> None:
        self._runs: dict[ObjectType, tuple[list[int], list[int]]] = {}
        for object_type, group in _by_type([each for each in mappings if each.gap_safe]).items():
            group.sort(key=_START)
            end = -1
            firsts: list[int] = []
            ends: list[int] = []
            for mapping in group:
                first = mapping.starting_address
                if first == end:
                    ends.pop()
                else:
                    firsts.append(first)
                end = first + mapping.address_count
                ends.append(end)
            self._runs[object_type] = firsts, ends

    def cover(self, object_type: ObjectType, first: int, end: int) -> bool:
        """Say whether all addresses from `first` up to and without `end` are safe."""
        firsts, ends = self._runs.get(object_type, ((), ()))
        at = bisect_right(firsts, first) - 1
        return at >= 0 and ends[at] >= end


def plan(
    mappings: Iterable[Mapping],
    limits: MappingOf[ObjectType, int],
    operation: Literal["read", "write"] = "read",
    *,
    max_gap: MappingOf[ObjectType, int] | None = None,
    safe: SafeAddresses | None = None,
    fences: Fences = NO_FENCES,
) -> list[Batch]:
    """Divide mappings into batches.

    Args:
        mappings: What is asked for, no mapping twice and none overlapping another.
        limits: By object type, how many addresses one request may have.
        operation: What is planned, for the error's text.
        max_gap: By object type, how long a bridged gap may be; 0 for types left out.
        safe: Addresses that gaps may have; nothing is bridged without.
        fences: By object type, sorted addresses that no batch has others before.

    Returns:
        The batches: types in the order in which they were first asked for, each type's by address.

    Raises:
        BatchTooLargeError: A mapping exceeds the limit by itself.
    """
    batches: list[Batch] = []
    for object_type, found in _by_type(mappings).items():
        found.sort(key=_START)
        group = tuple(found)
        names = tuple(map(_NAME, group))
        limit = limits[object_type]
        bridged = max_gap.get(object_type, 0) if max_gap and safe is not None else 0
        fenced = fences.get(object_type, ())
        begin = first = end = gaps = largest = 0
        for at, mapping in enumerate(group):
            start, count = mapping.starting_address, mapping.address_count
            if count > limit:
                raise BatchTooLargeError(mapping.name, operation, object_type, count, limit)
            gap = start - end
            if (
                at
                and start + count - first <= limit
                and (
                    not gap
                    or (gap <= bridged and safe is not None and safe.cover(object_type, end, start))
                )
                and not (fenced and _crosses(fenced, end, start))
            ):
                if gap:
                    gaps += gap
                    largest = max(largest, gap)
            else:
                if at:
                    batches.append(
                        Batch(
                            object_type, first, end - first, gaps, largest, group, names, begin, at
                        )
                    )
                begin, first, gaps, largest = at, start, 0, 0
            end = start + count
        batches.append(
            Batch(object_type, first, end - first, gaps, largest, group, names, begin, len(group))
        )
    return batches


def batch_of(mappings: Sequence[Mapping]) -> Batch:
    """Make one batch of mappings of one type that are sorted by address."""
    group = tuple(mappings)
    first = end = group[0].starting_address
    gaps = largest = 0
    for mapping in group:
        gap = mapping.starting_address - end
        gaps += gap
        largest = max(largest, gap)
        end = mapping.end_address
    names = tuple(map(_NAME, group))
    return Batch(
        group[0].object_type, first, end - first, gaps, largest, group, names, 0, len(group)
    )


def _by_type(mappings: Iterable[Mapping]) -> dict[ObjectType, list[Mapping]]:
    groups: dict[ObjectType, list[Mapping]] = {}
    for mapping in mappings:
        group = groups.get(mapping.object_type)
        if group is None:
            groups[mapping.object_type] = [mapping]
        else:
            group.append(mapping)
    return groups


def _crosses(fenced: Sequence[int], end: int, start: int) -> bool:
    """Say whether a fence stands where a mapping from `start` would join what ended at `end`."""
    at = bisect_left(fenced, end)
    return at < len(fenced) and fenced[at] <= start
