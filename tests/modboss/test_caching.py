# SPDX-License-Identifier: Apache-2.0
"""Plans are found again, and never more than so many."""

from __future__ import annotations

from heliograph.modboss.caching import MOST_PLANS, PlanCache


def test_a_plan_is_found_by_its_key() -> None:
    cache: PlanCache[str] = PlanCache()

    assert cache.get(("a",)) is None
    assert cache.put(("a",), "plan") == "plan"
    assert cache.get(("a",)) == "plan"
    cache.clear()
    assert cache.get(("a",)) is None


def test_a_full_cache_begins_anew() -> None:
    cache: PlanCache[int] = PlanCache()
    for number in range(MOST_PLANS):
        cache.put(number, number)
    assert len(cache) == MOST_PLANS

    cache.put("one more", 1)
    assert len(cache) == 1
