# SPDX-License-Identifier: Apache-2.0
"""What is remembered of refusals, and that operations side by side may learn the same."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from heliograph.modboss import DeviceError, ObjectType, Refusals, Schema, aread, holding_register


class Pump(Schema):
    a = holding_register(0)
    b = holding_register(1)
    c = holding_register(2)
    d = holding_register(3)


class Illegal(DeviceError):
    refusal = True


@pytest.mark.parametrize("refused", [lambda at: at == 1, lambda _: False], ids=["bad", "border"])
def test_reads_side_by_side_may_learn_the_same(refused: Callable[[int], bool]) -> None:
    memory = Refusals()

    async def read_func(_type: ObjectType, start: int, count: int) -> list[int]:
        await asyncio.sleep(0)
        addresses = range(start, start + count)
        if 2 in addresses[1:] or any(map(refused, addresses)):
            raise Illegal("illegal")
        return list(addresses)

    async def twice() -> None:
        reads = (aread(Pump, "all", read_func, on_refusal="split", refusals=memory) for _ in "ab")
        first, second = await asyncio.gather(*reads)
        assert first == second
        assert first.refused == second.refused

    asyncio.run(twice())
    learned = memory.version
    asyncio.run(twice())
    assert memory.version == learned


def test_places_to_begin_include_the_ends_of_what_is_refused() -> None:
    memory = Refusals()
    assert not memory.heeds("read")
    memory.fence("read", "holding_register", 7)
    memory.fence("read", "holding_register", 3)
    memory.fence("read", "holding_register", 7)
    memory.refuse("read", Pump.mappings["b"], "illegal")
    memory.refuse("read", Pump.mappings["b"], "illegal value")
    memory.refuse("write", Pump.mappings["d"], "illegal")

    assert memory.heeds("read")
    assert memory.fences("read") == {"holding_register": [1, 2, 3, 7]}
    assert memory.fences("write") == {"holding_register": [3, 4]}
    assert memory.version == 4
    assert [each.reason for each in memory] == ["illegal value", "illegal"]
    memory.accept("read", Pump.mappings["c"])
    assert memory.version == 4
    memory.accept("read", Pump.mappings["b"])
    assert memory.fences("read") == {"holding_register": [3, 7]}
