# SPDX-License-Identifier: Apache-2.0
"""Export a shop's spans, metrics and log events: `python otel_export.py [ENDPOINT]`.

Without a collector, run `heliograph collect` in another terminal first.
"""

from __future__ import annotations

import random
import sys
from pathlib import Path

from opentelemetry import trace

from heliograph import otel
from shop.counter import Order, Shop

CATALOG = Path(__file__).with_name("shop") / "shop.yaml"
ORDERS = (
    Order("A-1047", "Ada", lines=2),
    Order("A-1048", "Grace", lines=1, trouble="declined"),
    Order("A-1049", "Barbara", lines=0, method="invoice"),
)


def serve(shop: Shop) -> None:
    """Take the orders, and pack what was taken."""
    for order in ORDERS:
        shop.check_out(order)
    while not shop.waiting.empty():
        shop.pack(shop.waiting.get())


def note_the_trace(*_event: object) -> None:
    """Add to the span of the operation under way, with OpenTelemetry's own interface."""
    trace.get_current_span().set_attribute("shop.till", "front")


with otel.configure(*sys.argv[1:2], service_name="shop", catalogs=CATALOG) as bridge:
    bridge.catalog.attach("till", "shop.checkout.start", note_the_trace)
    serve(Shop(random.Random(7)))
    result = bridge.flush(timeout=5.0)
    print(result.status, *(f"{signal}={count}" for signal, count in result.exported.items()))
    sys.exit(not result)
