# SPDX-License-Identifier: Apache-2.0
"""A catalog's metrics as definitions."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from heliograph import Error, Ok, Telemetry
from heliograph.catalog import Catalog, load
from heliograph.catalog.exported import metric_attributes, otel_instrument, value_type
from heliograph.metrics import (
    DEFAULT_BUCKETS,
    Aggregate,
    Definition,
    Scope,
    Tag,
    Test,
    from_catalog,
)
from heliograph.metrics.aggregate import instrument_of

SHOP = """
catalog: shop
version: 1.2.3
brief: A shop
schema_url: https://shop.example/1.2.3
fields:
  country: {type: string, brief: Where}
  level: {key: lvl, type: int, brief: How high}
  ratio: {type: number, brief: How much, attribute: shop.part}
  paid: {type: bool, brief: Whether}
  secret: {type: result, brief: What came of it, sensitivity: sensitive, attribute: none}
  gone: {type: exception, brief: What went wrong, attribute: none}
  size: {type: int, unit: By, brief: How big}
  weight: {type: float, unit: kg, brief: How heavy}
events:
  shop.sold:
    brief: Sold
    measurements: [size, weight]
    metadata: [country, level?, ratio, paid, secret, gone?]
spans:
  shop.stocktaking: {brief: Stocktaking, metadata: [country]}
metrics:
  shop.sales:
    brief: Sales
    instrument: counter
    event: shop.sold
    unit: "{sale}"
    tags: [country, level, error.type]
    keep: {paid: true}
    cardinality_limit: 7
  shop.io:
    {brief: Size, instrument: sum, event: shop.sold, measurement: size, unit: KiBy,
     tags: [ratio, paid]}
  shop.size:
    {brief: Size, instrument: sum, event: shop.sold, measurement: size, monotonic: false}
  shop.weight: {brief: Weight, instrument: last_value, event: shop.sold, measurement: weight}
  shop.heaviest:
    {brief: Heaviest, instrument: last_value, event: shop.sold, measurement: weight,
     tags: [country, paid], ended_by: shop.stocktaking.stop}
  shop.sizes:
    {brief: Sizes, instrument: histogram, event: shop.sold, measurement: size,
     drop: {country: [de, at]}}
  shop.some:
    {brief: Some, instrument: histogram, event: shop.sold, measurement: size, buckets: [1, 2]}
  shop.grown:
    {brief: Grown, instrument: histogram, event: shop.sold, measurement: size,
     buckets: exponential}
  shop.range: {brief: Range, instrument: summary, event: shop.sold, measurement: weight}
  shop.ends:
    {brief: Ends, instrument: counter, event: [shop.sold, shop.stocktaking.stop],
     tags: [country, error.type]}
  shop.faults:
    {brief: Faults, instrument: counter, event: shop.stocktaking.exception, tags: [kind]}
"""


@pytest.fixture
def shop(tmp_path: Path) -> Catalog:
    path = tmp_path / "shop.yaml"
    path.write_text(SHOP)
    return load(path)


def by_name(definitions: tuple[Definition, ...]) -> dict[str, Definition]:
    return {each.name: each for each in definitions}


def test_a_definition_says_what_the_catalog_says(shop: Catalog) -> None:
    definitions = by_name(from_catalog(shop))
    assert list(definitions) == list(shop.metrics)
    sales = definitions["shop.sales"]
    assert sales.scope == Scope("shop", "1.2.3", "https://shop.example/1.2.3")
    assert (sales.unit, sales.description, sales.measurement) == ("{sale}", "Sales", None)
    assert sales.tags == (
        Tag("country", "shop.country", "string", required=True),
        Tag("lvl", "shop.lvl", "int", required=False),
    )
    assert sales.errors == {"shop.sold": (("secret", True), ("gone", False))}
    assert (sales.keep, sales.inverted) == ((Test("paid", (True,)),), False)
    assert sales.cardinality_limit == 7
    io = definitions["shop.io"]
    assert (io.measurement, io.factor) == ("size", Fraction(1, 1024))
    assert (io.whole, io.double) == (True, True)
    assert [tag.type for tag in io.tags] == ["number", "bool"]
    size, weight = definitions["shop.size"], definitions["shop.weight"]
    assert (size.monotonic, size.whole, size.double) == (False, True, False)
    assert definitions["shop.heaviest"].ended_by == ("shop.stocktaking.stop",)
    assert (weight.monotonic, weight.whole, weight.double) == (False, False, True)
    sizes = definitions["shop.sizes"]
    assert (sizes.keep, sizes.inverted) == ((Test("country", ("de", "at")),), True)
    assert list(sizes.buckets) == list(DEFAULT_BUCKETS)
    assert not sizes.exponential
    assert list(definitions["shop.some"].buckets) == [1, 2]
    assert definitions["shop.grown"].exponential
    assert definitions["shop.range"].buckets == ()
    # A field that has no attribute name is no tag.
    assert definitions["shop.faults"].tags == ()


def test_every_histogram_can_be_made_exponential(shop: Catalog) -> None:
    definitions = from_catalog(shop, exponential=True)
    assert {each.name for each in definitions if each.exponential} == {
        "shop.sizes",
        "shop.some",
        "shop.grown",
    }


def test_numbers_come_from_its_events(shop: Catalog) -> None:
    telemetry = Telemetry()
    with Aggregate(from_catalog(shop), telemetry=telemetry) as aggregate:
        for secret in (Ok(1), Error("secret"), Error(KeyError("secret"))):
            telemetry.execute(
                "shop.sold",
                {"size": 512, "weight": 2},
                {"country": "de", "lvl": 3, "ratio": 1, "paid": True, "secret": secret},
            )
    found: Mapping[str, Any] = {each.name: each.points for each in aggregate.collect()}
    assert [point.attributes for point in found["shop.sales"]] == [
        {"shop.country": "de", "shop.lvl": 3},
        {"shop.country": "de", "shop.lvl": 3, "error.type": "_OTHER"},
        {"shop.country": "de", "shop.lvl": 3, "error.type": "KeyError"},
    ]
    [io] = found["shop.io"]
    assert (repr(io.attributes), repr(io.value)) == ("{'shop.part': 1.0, 'shop.paid': True}", "1.5")
    [weight] = found["shop.weight"]
    assert repr(weight.value) == "2.0"
    [size] = found["shop.size"]
    assert repr(size.value) == "1536"
    assert "shop.sizes" not in found
    assert aggregate.skipped == {}


def test_an_event_that_cannot_fail_has_no_error_type(shop: Catalog) -> None:
    telemetry = Telemetry()
    with Aggregate(from_catalog(shop), telemetry=telemetry) as aggregate:
        telemetry.execute("shop.stocktaking.stop", {"duration": 1}, {"country": "de"})
        telemetry.execute("shop.sold", {}, {"country": "de", "secret": Error(1)})
    found: Mapping[str, Any] = {each.name: each.points for each in aggregate.collect()}
    assert [(point.attributes, point.value) for point in found["shop.ends"]] == [
        ({"shop.country": "de"}, 1),
        ({"shop.country": "de", "error.type": "_OTHER"}, 1),
    ]


def test_installed_catalogs_become_what_is_said_to_be_exported() -> None:
    catalog = load()
    definitions = by_name(from_catalog(catalog))
    assert list(definitions) == list(catalog.metrics)
    for document in catalog.documents:
        for metric in document.metrics.values():
            definition = definitions[metric.name]
            names = {attribute.name for attribute in metric_attributes(metric, document)}
            assert {tag.attribute for tag in definition.tags} == names - {"error.type"}
            assert definition.error_type is ("error.type" in names)
            assert instrument_of(definition) == otel_instrument(metric)
            assert definition.double is (value_type(metric) == "double")
            assert definition.scope.name == document.name
