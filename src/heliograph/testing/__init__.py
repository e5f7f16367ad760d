# SPDX-License-Identifier: Apache-2.0
"""What tests of emitting code need: what was executed, and a clock that stands still.

    with capture("shop.order.*") as events:
        place_order(amount=5)

    events.assert_event("shop.order.placed", measurements={"count": 1})

With pytest the same comes as the fixtures `telemetry_events` and `telemetry_clock`, and
`--telemetry-strict` holds every test to the catalogs; see `heliograph.testing.plugin`.
"""

from __future__ import annotations

from heliograph.testing.capture import Captured, CapturedSpan, capture
from heliograph.testing.clock import FrozenClock, frozen_clock

__all__ = ["Captured", "CapturedSpan", "FrozenClock", "capture", "frozen_clock"]
