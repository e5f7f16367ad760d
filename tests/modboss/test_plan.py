# SPDX-License-Identifier: Apache-2.0
"""Batches against a naive planner, which looks at one address after the other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.modboss import BatchTooLargeError, Mapping, ObjectType
from heliograph.modboss.mapping import OBJECT_TYPES
from heliograph.modboss.plan import Batch, SafeAddresses, batch_of, plan


def mapping(
    name: str,
    start: int,
    count: int = 1,
    *,
    object_type: ObjectType = "holding_register",
    gap_safe: bool = True,
) -> Mapping:
    return Mapping(
        name=name,
        object_type=object_type,
        starting_address=start,
        address_count=count,
        mode="rw",
        gap_safe=gap_safe,
        codec="raw",
        codec_name="raw",
    )


LIMITS: dict[ObjectType, int] = dict.fromkeys(OBJECT_TYPES, 125)


def blocks(batches: list[Batch]) -> list[tuple[int, int]]:
    return [(batch.starting_address, batch.address_count) for batch in batches]


@dataclass(frozen=True)
class Request:
    known: list[Mapping]
    asked: list[Mapping]
    limits: dict[ObjectType, int]
    max_gap: dict[ObjectType, int]
    fences: dict[ObjectType, list[int]]


@st.composite
def requests(draw: st.DrawFn) -> Request:
    known: list[Mapping] = []
    fences: dict[ObjectType, list[int]] = {}
    for object_type in draw(st.sets(st.sampled_from(OBJECT_TYPES), min_size=1)):
        address = draw(st.integers(0, 3))
        for _ in range(draw(st.integers(0, 10))):
            count = draw(st.integers(1, 4))
            safe = draw(st.booleans())
            name = f"{object_type}{address}"
            known.append(mapping(name, address, count, object_type=object_type, gap_safe=safe))
            address += count + draw(st.sampled_from([0, 0, 0, 1, 3]))
        fences[object_type] = sorted(draw(st.sets(st.integers(0, 40), max_size=2)))
    chosen = draw(st.sets(st.sampled_from(known))) if known else set()
    asked = draw(st.permutations([each for each in known if each in chosen]))
    sizes = st.integers(4, 12)
    return Request(
        known,
        asked,
        {object_type: draw(sizes) for object_type in OBJECT_TYPES},
        {object_type: draw(st.integers(0, 8)) for object_type in OBJECT_TYPES},
        fences,
    )


def naive(request: Request) -> set[tuple[str, int, int, tuple[str, ...], int, int]]:
    """Walk over all addresses of each type, and end the batch wherever it may not go on."""
    made = set()
    for object_type in OBJECT_TYPES:
        asked = {
            each.starting_address: each for each in request.asked if each.object_type == object_type
        }
        safe = {
            address
            for each in request.known
            if each.object_type == object_type and each.gap_safe
            for address in each.addresses
        }
        batch: list[Mapping] = []
        for start in sorted(asked):
            each = asked[start]
            if batch:
                gap = range(batch[-1].end_address, start)
                joins = (
                    each.end_address - batch[0].starting_address <= request.limits[object_type]
                    and len(gap) <= request.max_gap[object_type]
                    and all(address in safe for address in gap)
                    and not any(
                        gap.start <= fence <= start for fence in request.fences.get(object_type, [])
                    )
                )
                if not joins:
                    made.add(described(batch))
                    batch = []
            batch.append(each)
        if batch:
            made.add(described(batch))
    return made


def described(batch: list[Mapping]) -> tuple[str, int, int, tuple[str, ...], int, int]:
    touched = {address for each in batch for address in each.addresses}
    first, last = min(touched), max(touched)
    gaps = "".join("." if at in touched else "g" for at in range(first, last + 1)).split(".")
    return (
        batch[0].object_type,
        first,
        last + 1 - first,
        tuple(each.name for each in batch),
        sum(map(len, gaps)),
        max(map(len, gaps)),
    )


def planned(request: Request) -> list[Batch]:
    return plan(
        request.asked,
        request.limits,
        max_gap=request.max_gap,
        safe=SafeAddresses(request.known),
        fences=request.fences,
    )


@given(requests())
def test_batches_are_those_of_a_naive_planner(request: Request) -> None:
    batches = planned(request)

    seen = {
        (
            batch.object_type,
            batch.starting_address,
            batch.address_count,
            batch.names,
            batch.gap_addresses,
            batch.largest_gap,
        )
        for batch in batches
    }
    assert seen == naive(request)
    assert len(seen) == len(batches)


@given(requests())
def test_every_mapping_is_in_one_batch_and_types_come_as_they_were_asked_for(
    request: Request,
) -> None:
    batches = planned(request)

    assert sorted(name for batch in batches for name in batch.names) == sorted(
        each.name for each in request.asked
    )
    types = [batch.object_type for batch in batches]
    assert list(dict.fromkeys(types)) == list(
        dict.fromkeys(each.object_type for each in request.asked)
    )
    starts = [(types.index(each.object_type), each.starting_address) for each in batches]
    assert starts == sorted(starts)


@given(requests())
def test_a_batch_counts_what_was_asked_for_and_what_lies_between(request: Request) -> None:
    for batch in planned(request):
        assert batch.objects == sum(each.address_count for each in batch.mappings)
        alone = batch_of(batch.mappings)
        assert alone[:5] == batch[:5]
        assert (alone.names, alone.mappings) == (batch.names, batch.mappings)


@given(requests())
def test_writes_bridge_nothing(request: Request) -> None:
    batches = plan(request.asked, request.limits, "write")

    assert all(batch.gap_addresses == 0 == batch.largest_gap for batch in batches)


def test_nothing_asked_for_needs_no_batches() -> None:
    assert plan([], LIMITS) == []


def test_a_gap_needs_both_a_length_and_safe_addresses() -> None:
    ends = [mapping("a", 0), mapping("c", 2)]
    safe = SafeAddresses([*ends, mapping("b", 1)])

    assert blocks(plan(ends, LIMITS, max_gap={"holding_register": 1}, safe=safe)) == [(0, 3)]
    assert blocks(plan(ends, LIMITS, max_gap={"coil": 1}, safe=safe)) == [(0, 1), (2, 1)]
    assert blocks(plan(ends, LIMITS, max_gap={"holding_register": 1})) == [(0, 1), (2, 1)]
    assert blocks(plan(ends, LIMITS, safe=safe)) == [(0, 1), (2, 1)]


def test_safe_addresses_are_those_of_one_type() -> None:
    safe = SafeAddresses([mapping("a", 4, 2), mapping("b", 6), mapping("c", 8, gap_safe=False)])

    assert safe.cover("holding_register", 4, 7)
    assert safe.cover("holding_register", 5, 6)
    assert not safe.cover("holding_register", 3, 5)
    assert not safe.cover("holding_register", 6, 8)
    assert not safe.cover("holding_register", 8, 9)
    assert not safe.cover("input_register", 4, 7)


@pytest.mark.parametrize("operation", ["read", "write"])
def test_a_mapping_larger_than_the_limit_is_refused(operation: Literal["read", "write"]) -> None:
    with pytest.raises(BatchTooLargeError) as raised:
        plan([mapping("small", 0), mapping("large", 10, 126)], LIMITS, operation)

    assert raised.value.name == "large"
    assert raised.value.operation == operation
    assert (raised.value.count, raised.value.limit) == (126, 125)
    assert f"max_batch_{operation}s" in str(raised.value)
