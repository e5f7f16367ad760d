# SPDX-License-Identifier: Apache-2.0
"""What others did while something was measured."""

from __future__ import annotations

import importlib
import time
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def others(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT))
    return importlib.import_module("benchmarks.others")


def test_what_others_had_is_what_was_busy_less_ours(
    others: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = {"clock": 100.0, "busy": 50.0, "ours": 7.0}
    monkeypatch.setattr(others.time, "monotonic", lambda: now["clock"])
    monkeypatch.setattr(others, "_busy", lambda: now["busy"])
    monkeypatch.setattr(others, "_ours", lambda: now["ours"])
    monkeypatch.setattr(others.os, "cpu_count", lambda: 4)
    began = others.Others()

    now |= {"clock": 110.0, "busy": 62.0, "ours": 11.0}
    assert began.share() == (12 - 4) / 40
    now["ours"] = 30.0
    assert began.share() == 0.0


def test_where_nobody_says_it_is_unknown(
    others: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    began = others.Others()
    monkeypatch.setattr(others, "_busy", lambda: None)

    assert began.share() is None
    assert others.percent(None) == "unknown"
    assert others.percent(0.0123) == "1.2 %"


def test_our_own_work_is_counted_by_both(others: ModuleType) -> None:
    busy, ours = others._busy(), others._ours()
    until = time.process_time() + 0.3
    while time.process_time() < until:
        pass

    assert others._ours() - ours >= 0.29
    # In ticks of the kernel, a sixth of which may fall to others by chance.
    assert others._busy() - busy >= 0.2


def test_a_bystander_notes_when_it_is_woken_late(others: ModuleType) -> None:
    with others.Bystander(0.0) as bystander:
        # Nobody is woken at the very instant.
        while not bystander.stalls:
            time.sleep(0.01)

    due, woken = bystander.stalls[0]
    assert bystander.longest >= woken - due > 0
    assert bystander.stalled(woken, woken + 1)
    assert bystander.stalled(due - 1, due)
    assert not bystander.stalled(due - 1, due - 0.5)
