# SPDX-License-Identifier: Apache-2.0
"""Coverage of catalogs: what counts, how it is rendered, and what is written down for programs."""

from __future__ import annotations

import json
from collections.abc import Collection

import pytest

from heliograph.catalog import Document, load_text
from heliograph.testing.coverage import Coverage

SHOP = """\
catalog: shop
version: 1.0.0
brief: A shop
fields:
  amount: {type: int, brief: Pieces}
events:
  shop.order.placed: {brief: Placed, measurements: [amount]}
  shop.order.lost: {brief: Lost, measurements: [amount]}
  shop.order.losst: {brief: Old name, deprecated: {renamed_to: shop.order.lost}}
spans:
  shop.checkout: {brief: Paying}
"""
PORT = """\
catalog: port
version: 1.0.0
brief: A port
events:
  port.ship.arrived: {brief: Arrived}
"""
ALL_OF_SHOP = {
    "shop.order.placed",
    "shop.order.lost",
    "shop.checkout.start",
    "shop.checkout.stop",
    "shop.checkout.exception",
}


@pytest.fixture
def documents() -> list[Document]:
    return [load_text(SHOP, file="shop.yaml"), load_text(PORT, file="port.yaml")]


def measured(
    documents: list[Document], names: Collection[str], *, untouched_count: bool = True
) -> Coverage:
    return Coverage(documents, names, untouched_count=untouched_count)


def test_a_span_counts_as_three_events_and_an_old_name_not_at_all(
    documents: list[Document],
) -> None:
    coverage = measured(documents, {"shop.order.losst", "shop.checkout.start", "port.ship.arrived"})

    assert (coverage.emitted, coverage.events) == (2, 6)
    assert coverage.percent == pytest.approx(100 / 3)


def test_names_that_no_catalog_has_change_nothing(documents: list[Document]) -> None:
    assert measured(documents, {"a.b"}).emitted == 0


def test_the_table_has_a_row_for_each_catalog_and_says_where_the_missing_are_declared(
    documents: list[Document],
) -> None:
    coverage = measured(documents, ALL_OF_SHOP - {"shop.order.lost"})

    assert list(coverage.lines()) == [
        "catalog  events  emitted  cover",
        "shop          5        4    80%",
        "port          1        0     0%",
        "total         6        4    66%",
        "",
        "no test emitted",
        "  shop.order.lost    shop.yaml:8",
        "  port.ship.arrived  port.yaml:5",
    ]


def test_of_one_catalog_the_total_is_its_row_and_of_all_emitted_nothing_is_listed(
    documents: list[Document],
) -> None:
    assert list(measured(documents[:1], ALL_OF_SHOP).lines()) == [
        "catalog  events  emitted  cover",
        "shop          5        5   100%",
    ]


def test_untouched_catalogs_may_stay_out_of_the_count(documents: list[Document]) -> None:
    coverage = measured(documents, ALL_OF_SHOP, untouched_count=False)

    assert coverage.percent == 100
    assert list(coverage.lines())[-2:] == [
        "not counted, as nothing of them was emitted: port",
        "(telemetry_catalogs in pytest's configuration says which catalogs count)",
    ]


def test_of_nothing_nothing_is_covered(documents: list[Document]) -> None:
    coverage = measured(documents, (), untouched_count=False)

    assert (coverage.percent, coverage.events) == (0, 0)
    assert list(coverage.lines())[1] == "total         0        0     0%"


def test_places_can_be_shortened(documents: list[Document]) -> None:
    lines = list(measured(documents[1:], ()).lines(lambda file: file.removesuffix(".yaml")))

    assert lines[-1] == "  port.ship.arrived  port:5"


def test_programs_get_the_same_as_json(documents: list[Document]) -> None:
    coverage = measured(documents, ALL_OF_SHOP - {"shop.order.lost"}, untouched_count=False)

    assert json.loads(coverage.to_json()) == {
        "version": 1,
        "total": {"events": 5, "emitted": 4, "percent": 80.0},
        "catalogs": {
            "shop": {
                "file": "shop.yaml",
                "events": 5,
                "emitted": [
                    "shop.order.placed",
                    "shop.checkout.start",
                    "shop.checkout.stop",
                    "shop.checkout.exception",
                ],
                "missing": [{"event": "shop.order.lost", "file": "shop.yaml", "line": 8}],
            }
        },
        "uncounted": ["port"],
    }
