# SPDX-License-Identifier: Apache-2.0
"""A catalog for handlers to be told by."""

from __future__ import annotations

from pathlib import Path

import pytest

from heliograph import Telemetry

SHOP = """\
catalog: shop
version: 1.0.0
brief: Orders of a shop
fields:
  count: {type: int, unit: "{order}", brief: How many}
  wait: {type: int, unit: ns, brief: Time in the queue}
  margin: {type: float, unit: "1", brief: What is earned, sensitivity: sensitive}
  order_id: {type: string, brief: Id of the order, cardinality: high}
  card: {type: string, brief: Card number, sensitivity: sensitive, cardinality: high}
events:
  shop.order.placed:
    brief: An order was placed
    measurements: [count, wait, margin]
    metadata: [order_id, card]
    severity: warn
  shop.order.seen: {brief: An order was seen, measurements: [count], severity: trace}
spans:
  shop.checkout: {brief: A customer pays, metadata: [card]}
"""


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """The path of a catalog in which `margin` and `card` are sensitive."""
    path = tmp_path / "shop.yaml"
    path.write_text(SHOP)
    return path


@pytest.fixture
def telemetry() -> Telemetry:
    return Telemetry()
