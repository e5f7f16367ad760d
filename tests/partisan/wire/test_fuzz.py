# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from tests.partisan.wire import fuzz


@pytest.mark.parametrize("seed", range(4))
def test_broken_frames_are_refused_or_decode_and_nothing_else(seed: int) -> None:
    counts = fuzz.run(25_000, seed)

    assert counts["decoded"] > 1_000
    assert counts["refused"] > 10_000


def test_the_command_line_says_what_came_of_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert fuzz.main(["--cases", "200", "--seed", "7"]) == 0
    assert capsys.readouterr().out.startswith("200 cases, seed 7: ")
