# SPDX-License-Identifier: Apache-2.0
"""What is written can be read, in no more requests than must be, and nothing else is touched."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from heliograph.modboss import DeviceError, ObjectType, Schema, encode, read, write

KINDS: list[tuple[str, int, st.SearchStrategy[Any]]] = [
    ("unsigned_int", 1, st.integers(0, 0xFFFF)),
    ("int16", 1, st.integers(-0x8000, 0x7FFF)),
    ("uint32", 2, st.integers(0, 0xFFFF_FFFF)),
    ("float64", 4, st.floats(allow_nan=False, allow_infinity=False)),
    ("ascii", 2, st.text("abc ", max_size=4)),
    ("raw", 2, st.lists(st.integers(0, 0xFFFF), min_size=2, max_size=2)),
]


class Memory:
    """A device that holds what is written to it, and fails when it is told to."""

    def __init__(self, fail_at: int | None = None) -> None:
        self.held: dict[tuple[str, int], int] = {}
        self.writes: list[tuple[str, int, int]] = []
        self.fail_at = fail_at

    def write(self, object_type: ObjectType, start: int, values: Any) -> None:
        values = values if isinstance(values, list) else [values]
        if len(self.writes) == self.fail_at:
            raise DeviceError("down")
        self.writes.append((object_type, start, len(values)))
        for address, value in enumerate(values, start):
            self.held[object_type, address] = value

    def read(self, object_type: ObjectType, start: int, count: int) -> list[int]:
        return [self.held[object_type, address] for address in range(start, start + count)]


@st.composite
def written(draw: st.DrawFn) -> tuple[type[Schema], dict[str, Any]]:
    mappings: list[dict[str, Any]] = []
    values: dict[str, Any] = {}
    address = 0
    for at in range(draw(st.integers(1, 12))):
        codec, count, kind = draw(st.sampled_from(KINDS))
        address += draw(st.sampled_from([0, 0, 1]))
        place = range(address, address + count) if count > 1 else address
        address += count
        mapping = {"name": f"n{at}", "type": "holding_register", "address": place, "mode": "rw"}
        mappings.append({**mapping, "codec": codec})
        values[f"n{at}"] = draw(kind)
    limit = {"holding_registers": draw(st.integers(4, 10))}
    names = draw(st.permutations(list(values)))
    schema = Schema.from_mappings("S", mappings, max_batch_writes=limit)
    return schema, {name: values[name] for name in names}


@given(written())
def test_what_is_written_can_be_read(given_: tuple[type[Schema], dict[str, Any]]) -> None:
    schema, values = given_
    memory = Memory()

    write(schema, values, memory.write)

    assert memory.held == encode(schema, values)
    assert read(schema, list(values), memory.read) == values
    # No two requests are neighbours that would have fitted into one.
    limit = schema.write_limits["holding_register"]
    requests = sorted(memory.writes)
    for (_, start, count), (_, after, _) in pairwise(requests):
        following = next(m for m in schema.mappings.values() if m.starting_address == after)
        assert start + count < after or count + following.address_count > limit


@given(written(), st.integers(0, 3))
def test_a_write_that_fails_says_exactly_what_is_held(
    given_: tuple[type[Schema], dict[str, Any]], fail_at: int
) -> None:
    schema, values = given_
    memory = Memory(fail_at)
    failed: DeviceError | None = None
    try:
        write(schema, values, memory.write)
    except DeviceError as error:
        failed = error

    if failed is None:
        assert len(memory.writes) <= fail_at
    else:
        taken = {name: values[name] for name in failed.written}
        assert memory.held == encode(schema, taken)
        assert sorted([*failed.written, *failed.not_written]) == sorted(values)
        assert failed.not_written
