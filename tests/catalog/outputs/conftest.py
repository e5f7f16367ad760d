# SPDX-License-Identifier: Apache-2.0
"""Catalogs to generate from: a stranger's, one with everything a catalog may hold, our own."""

from __future__ import annotations

from pathlib import Path

import pytest

from heliograph.catalog.loader import load_document, load_text
from heliograph.catalog.model import Document

ROOT = Path(__file__).parents[3]

SHOP = """
catalog: shop
version: 1.2.3
brief: A small shop.
fields:
  order_id: {type: string, brief: Number of the order, cardinality: high, examples: [A-17]}
  amount: {type: float, unit: EUR, brief: What it costs, examples: [12]}
  count: {type: int, unit: "{order}", brief: How many}
events:
  shop.order.placed:
    {brief: A customer ordered, measurements: [count, "amount?"], metadata: [order_id]}
spans:
  shop.checkout: {brief: One checkout, metadata: [order_id]}
metrics:
  shop.orders: {brief: Orders placed, instrument: sum, event: shop.order.placed, measurement: count}
"""

EVERYTHING = ROOT / "tests" / "data" / "everything.yaml"


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT


@pytest.fixture(scope="session")
def shop() -> Document:
    return load_text(SHOP)


@pytest.fixture(scope="session")
def everything() -> Document:
    return load_document(EVERYTHING)


@pytest.fixture(scope="session", params=["gateway", "heliograph", "modboss", "partisan"])
def ours(request: pytest.FixtureRequest) -> Document:
    """Each of the catalogs that come with the toolkit."""
    return load_document(ROOT / "catalogs" / f"{request.param}.yaml")


@pytest.fixture(
    scope="session", params=["shop", "everything", "gateway", "heliograph", "modboss", "partisan"]
)
def any_document(request: pytest.FixtureRequest) -> Document:
    """Each catalog of these tests, and each of our own."""
    if request.param == "shop":
        return load_text(SHOP)
    if request.param == "everything":
        return load_document(EVERYTHING)
    return load_document(ROOT / "catalogs" / f"{request.param}.yaml")
