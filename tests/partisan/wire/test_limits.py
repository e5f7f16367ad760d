# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any

import pytest

from heliograph.partisan.wire import DEFAULT_LIMITS, Limits


@pytest.mark.parametrize("name", ["depth", "elements", "inflated", "integer"])
def test_every_limit_allows_something(name: str) -> None:
    options: dict[str, Any] = {name: 0}
    with pytest.raises(ValueError, match=f"{name} must be at least 1"):
        Limits(**options)


def test_the_depth_is_what_the_stack_is_good_for() -> None:
    assert Limits(depth=256) != DEFAULT_LIMITS
    with pytest.raises(ValueError, match="256 deep at most, not 257"):
        Limits(depth=257)
