# SPDX-License-Identifier: Apache-2.0
"""Processes with HyParView, a quarter of which is killed; benchmarks run more of them."""

from __future__ import annotations

import asyncio

from benchmarks.partisan.swarm import Settings, run


def test_broadcasts_reach_all_the_living_though_a_quarter_is_killed() -> None:
    settings = Settings(nodes=8, before=1.0, after=3.0, calm=2.0)

    outcome = asyncio.run(run(settings))

    assert outcome.killed == 2
    assert outcome.broadcasts > 20
    assert outcome.passed, outcome.text()
