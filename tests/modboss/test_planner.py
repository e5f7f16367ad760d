# SPDX-License-Identifier: Apache-2.0
"""Plans are found again by what was asked for, and there are never too many of them."""

from __future__ import annotations

import gc

from heliograph.modboss import Schema, read
from heliograph.modboss.caching import MOST_PLANS
from heliograph.modboss.options import MaxGap
from heliograph.modboss.planner import MANY


def test_plans_are_kept_by_names_and_gaps() -> None:
    schema = Schema.from_mappings(
        "S", [{"name": f"n{at}", "type": "coil", "address": at} for at in range(3)]
    )
    plans = schema._planner.reads
    for names in (["n0", "n2"], ("n0", "n2"), iter(["n0", "n2"])):
        read(schema, names, lambda _t, _s, count: [0] * count)
    assert len(plans) == 1
    gaps: list[MaxGap] = [1, {"coil": 1}, {"coil": 1, "holding_register": 0}]
    for gap in gaps:
        read(schema, ["n0", "n2"], lambda _t, _s, count: [0] * count, max_gap=gap)
    assert len(plans) == 3
    read(schema, "n0", lambda *_: 0)
    read(schema, ["n0"], lambda *_: 0)
    read(schema, "all", lambda *_: [0] * 3)
    assert len(plans) == 6


def test_the_plan_of_many_names_is_found_by_the_very_same_tuple() -> None:
    schema = Schema.from_mappings(
        "S", [{"name": f"n{at}", "type": "coil", "address": at} for at in range(2 * MANY)]
    )

    def read_func(_type: str, start: int, count: int) -> list[int]:
        return [address % 2 for address in range(start, start + count)]

    planner = schema._planner
    names = tuple(f"n{at}" for at in range(2 * MANY))
    other = tuple(reversed(names))
    for _ in range(3):
        for each in (names, other, list(names)):
            for gap in (0, 1):
                assert list(read(schema, each, read_func, max_gap=gap)) == list(each)
    assert len(planner.reads) == 4
    assert planner.kept(names, 0) is planner.kept(tuple(reversed(other)), 0)
    assert planner.kept(names, 1) is not planner.kept(names, 0)
    assert planner.kept((*names, "n0"), 0) is None


def test_plans_are_bounded() -> None:
    schema = Schema.from_mappings("S", [{"name": "n", "type": "coil", "address": 0}])

    for gap in range(MOST_PLANS + 1):
        assert read(schema, "n", lambda *_: 1, max_gap=gap) == 1
    assert len(schema._planner.reads) == 1


def test_a_plan_is_light_for_the_garbage_collector() -> None:
    schema = Schema.from_mappings(
        "S",
        [
            {"name": f"n{at}", "type": "input_register", "address": at, "codec": "uint16"}
            for at in range(1000)
        ],
    )
    names = tuple(schema.mappings)
    gc.collect()
    before = len(gc.get_objects())
    read(schema, names, lambda _t, _s, count: [0] * count)
    gc.collect()  # which takes tuples of strings and numbers off its lists
    gc.collect()

    assert len(schema._planner.read_plan(schema._planner.asked(names), 0).batches) == 8
    assert len(gc.get_objects()) - before < 100
