# SPDX-License-Identifier: Apache-2.0
"""pytest with strict telemetry: the tests hold the library to its catalog, greeting.yaml.

A test fails that emits what the catalog does not promise, and the run fails if no test emits an
event. pyproject.toml turns both on. Misspell a name in greeting.py and see.

    pip install "heliograph[catalog]" pytest
    pytest                                # in this folder
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from greeting import greet

if TYPE_CHECKING:
    from heliograph.testing import Captured


def test_greetings_are_counted(telemetry_events: Captured) -> None:
    assert greet(["Ada", "Grace"]) == ["Hello, Ada", "Hello, Grace"]

    telemetry_events.assert_event("greeting.said", {"count": 2}, {"language": "en"})


def test_an_empty_room_is_an_exception(telemetry_events: Captured) -> None:
    with pytest.raises(ValueError, match="nobody"):
        greet([])

    telemetry_events.assert_none("greeting.said")
    telemetry_events.assert_event("greeting.round.exception", metadata={"reason": ValueError})
