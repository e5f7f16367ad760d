# SPDX-License-Identifier: Apache-2.0
"""The smallest program that says what happens, and listens to itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import heliograph


# Whoever runs the program decides what becomes of its events.
def warn_when_slow(
    event: str, measurements: Mapping[str, Any], metadata: Mapping[str, Any], config: Any
) -> None:
    """Say so when an operation took longer than `limit_ns`."""
    if measurements["duration"] > config["limit_ns"]:
        took = measurements["duration"] / 1e6
        print(f"{event} took {took:.1f} ms for order {metadata['order_id']}")


heliograph.attach("slow", "shop.checkout.stop", warn_when_slow, {"limit_ns": 1_000_000})

# The program says what happens, and knows nothing of the above.
with heliograph.span("shop.checkout", {"order_id": "A-17"}) as checkout:
    total = sum(range(1_000_000))
    checkout.measurements["total"] = total
