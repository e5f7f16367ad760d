# SPDX-License-Identifier: Apache-2.0
"""Rules: for which requests a fault happens."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from heliograph.modboss.mapping import ObjectType
from heliograph.modboss.virtual import (
    Corrupt,
    Cut,
    Delay,
    Fault,
    Refuse,
    Silence,
    WrongCount,
    WrongUnit,
)
from heliograph.modboss.virtual.faults import FaultPlan

REFUSE = (Refuse(2),)


def meet(
    plan: FaultPlan,
    address: int = 0,
    count: int = 1,
    *,
    object_type: ObjectType = "holding_register",
    writes: bool = False,
) -> tuple[Fault, ...]:
    return plan.meet(object_type, address, count, writes=writes)


def test_without_a_rule_nothing_goes_wrong() -> None:
    assert meet(FaultPlan()) == ()


def test_a_rule_without_a_condition_is_for_all() -> None:
    plan = FaultPlan()
    plan.inject(Refuse(2))

    assert [meet(plan), meet(plan, 7, writes=True), meet(plan, object_type="coil")] == [REFUSE] * 3


def test_faults_of_one_rule_happen_together() -> None:
    plan = FaultPlan()
    plan.inject(Delay(1), Refuse(6))

    assert meet(plan) == (Delay(1), Refuse(6))


def test_a_rule_is_for_calls_by_their_numbers() -> None:
    plan = FaultPlan()
    plan.inject(Refuse(2), calls=[1, 3])

    assert [meet(plan) for _ in range(4)] == [REFUSE, (), REFUSE, ()]


def test_calls_may_be_a_range_or_one_number() -> None:
    plan = FaultPlan()
    plan.inject(Refuse(2), calls=range(2, 4))
    other = FaultPlan()
    other.inject(Refuse(2), calls=2)

    assert [bool(meet(plan)) for _ in range(4)] == [False, True, True, False]
    assert [bool(meet(other)) for _ in range(3)] == [False, True, False]


def test_calls_are_counted_among_those_that_match() -> None:
    plan = FaultPlan()
    plan.inject(Refuse(2), object_type="coil", calls=2)

    met = [meet(plan, object_type=each) for each in ("coil", "holding_register", "coil")]
    assert met == [(), (), REFUSE]


def test_a_rule_happens_so_often_at_most() -> None:
    plan = FaultPlan()
    rule = plan.inject(Refuse(2), times=2)

    assert [bool(meet(plan)) for _ in range(3)] == [True, True, False]
    assert (rule.fired, rule.active, plan.rules) == (2, False, ())


def test_a_rule_is_for_reads_or_for_writes() -> None:
    plan = FaultPlan()
    plan.inject(Refuse(2), only="write")

    assert (meet(plan), meet(plan, writes=True)) == ((), REFUSE)


@pytest.mark.parametrize(
    ("addresses", "hit", "missed"),
    [
        (100, [(100, 1), (99, 2), (90, 20)], [(99, 1), (101, 5)]),
        (range(100, 103), [(102, 1), (98, 3)], [(103, 1), (98, 2)]),
        ([100, 200], [(200, 1), (100, 1)], [(150, 50), (101, 99)]),
        (range(100, 110, 5), [(105, 1)], [(101, 4)]),
    ],
)
def test_a_rule_is_for_requests_that_touch_an_address(
    addresses: Any, hit: list[tuple[int, int]], missed: list[tuple[int, int]]
) -> None:
    plan = FaultPlan()
    plan.inject(Refuse(2), addresses=addresses)

    assert [meet(plan, *each) for each in hit] == [REFUSE] * len(hit)
    assert [meet(plan, *each) for each in missed] == [()] * len(missed)


def test_a_rule_is_for_blocks_of_a_size() -> None:
    plan = FaultPlan()
    plan.inject(Refuse(3), count=range(11, 126))
    plan.inject(Refuse(4), count=2)

    assert [meet(plan, 0, each) for each in (1, 2, 10, 11)] == [
        (),
        (Refuse(4),),
        (),
        (Refuse(3),),
    ]


def test_the_first_rule_that_fires_decides_and_all_count() -> None:
    plan = FaultPlan()
    first = plan.inject(Refuse(2), times=1)
    second = plan.inject(Silence(), calls=2)

    assert [meet(plan), meet(plan), meet(plan)] == [REFUSE, (Silence(),), ()]
    assert (first.fired, second.fired, second.matched) == (1, 1, 3)
    assert repr(second) == "<Rule Silence(deaf=False): fired 1 of 3>"


def test_a_rule_is_lifted_by_hand_at_the_end_of_a_with_or_with_all_others() -> None:
    plan = FaultPlan()
    with plan.inject(Refuse(2)):
        assert meet(plan) == REFUSE
    assert meet(plan) == ()
    rule = plan.inject(Refuse(2))
    rule.lift()
    assert meet(plan) == ()
    plan.inject(Refuse(2))
    plan.clear()
    assert (meet(plan), plan.rules) == ((), ())


@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        (lambda: Refuse(0), "Refuse: code 0 is out of range"),
        (lambda: Refuse(True), "Refuse: code True"),
        (lambda: Delay(-1), "Delay: seconds -1"),
        (lambda: Delay(float("nan")), "Delay: seconds nan"),
        (lambda: WrongUnit(256), "WrongUnit: unit 256"),
        (lambda: WrongCount(-1), "WrongCount: count -1"),
        (lambda: Cut(-1), "Cut: keep -1"),
        (lambda: FaultPlan().inject(), "no fault"),
        (lambda: FaultPlan().inject(Corrupt(), times=0), "inject: times 0"),
        (lambda: FaultPlan().inject(Corrupt(), only="reads"), "only='reads' is unknown"),  # type: ignore[arg-type]  # the mistake
    ],
)
def test_what_cannot_be_is_refused(make: Callable[[], object], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        make()


def test_only_faults_can_be_injected() -> None:
    with pytest.raises(TypeError, match="'silence' is no fault"):
        FaultPlan().inject("silence")  # type: ignore[arg-type]  # the mistake
