# SPDX-License-Identifier: Apache-2.0
"""Each thing that can be wrong with a catalog's metrics has its one clear line."""

from __future__ import annotations

from pathlib import Path

import pytest

from heliograph.catalog import CatalogError, load_text

SHOP = Path(__file__).parents[1].joinpath("data", "catalogs", "shop.yaml").read_text("utf-8")


def faults(text: str) -> str:
    with pytest.raises(CatalogError) as caught:
        load_text(text, "shop.yaml")
    return str(caught.value)


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        pytest.param(
            "instrument: counter, event: shop.ordr",
            "shop.yaml:25:50: unknown event 'shop.ordr' in metrics.shop.m.event; did you "
            "mean 'shop.order' or 'shop.other'?",
            id="an unknown event",
        ),
        pytest.param(
            "instrument: counter, event: nothing",
            "shop.yaml:25:50: unknown event 'nothing' in metrics.shop.m.event; name an event "
            "of this catalog",
            id="an event like no other",
        ),
        pytest.param(
            "instrument: counter, event: shop.sale",
            "shop.yaml:25:50: unknown event 'shop.sale' in metrics.shop.m.event; say which "
            "of shop.sale.start, shop.sale.stop, shop.sale.exception",
            id="a span for an event",
        ),
        pytest.param(
            "instrument: counter, event: shop.old",
            "shop.yaml:25:50: event 'shop.old' is an old name in metrics.shop.m.event; write "
            "shop.order",
            id="an old name for an event",
        ),
        pytest.param(
            "instrument: counter, event: [shop.order, shop.order]",
            "shop.yaml:25:70: event 'shop.order' stands twice in metrics.shop.m.event; remove one",
            id="an event twice",
        ),
        pytest.param(
            "instrument: counter, event: []",
            "shop.yaml:25:50: the list is empty in metrics.shop.m.event; name at least 1",
            id="no event",
        ),
        pytest.param(
            "instrument: histogramm, event: shop.order",
            "shop.yaml:25:29: unknown instrument 'histogramm' in metrics.shop.m.instrument; "
            "did you mean 'histogram'?",
            id="a misspelt instrument",
        ),
        pytest.param(
            "instrument: histogram, event: shop.order",
            "shop.yaml:25:3: histogram without a measurement in metrics.shop.m; add "
            "measurement: NAME",
            id="a histogram of nothing",
        ),
        pytest.param(
            "instrument: sum, event: shop.order, measurement: amonut",
            "shop.yaml:25:65: event 'shop.order' has no measurement 'amonut' in "
            "metrics.shop.m.measurement; did you mean 'amount'?",
            id="a misspelt measurement",
        ),
        pytest.param(
            "instrument: sum, event: shop.sale.stop, measurement: amount",
            "shop.yaml:25:69: event 'shop.sale.stop' has no measurement 'amount' in "
            "metrics.shop.m.measurement; it has duration, monotonic_time",
            id="a measurement that the event has not",
        ),
        pytest.param(
            "instrument: sum, event: shop.sale.stop, measurement: 3",
            "shop.yaml:25:69: expected a field's name, found the number 3 in "
            "metrics.shop.m.measurement; write it like order_id",
            id="a measurement of a faulty form",
        ),
        pytest.param(
            "instrument: sum, event: shop.order, measurement: amount, unit: s",
            "shop.yaml:25:86: unit 's' cannot be made from 'By', the unit of 'amount' in "
            "metrics.shop.m.unit; write one of By, KiBy, MiBy, GiBy, TiBy, kBy, MBy, GBy, TBy",
            id="a unit of another kind",
        ),
        pytest.param(
            "instrument: sum, event: shop.order, measurement: took, unit: seconds",
            "shop.yaml:25:84: 'seconds' is no UCUM code in metrics.shop.m.unit; did you mean 's'?",
            id="a metric's unit in words",
        ),
        pytest.param(
            "instrument: counter, event: shop.order, unit: s",
            "shop.yaml:25:69: unit 's' on a counter in metrics.shop.m.unit; a counter counts "
            'events: write 1, or say of what, as in "{request}"',
            id="a counter's unit",
        ),
        pytest.param(
            "instrument: counter, event: shop.order, tags: schema",
            "shop.yaml:25:69: expected a list, found the text 'schema' in metrics.shop.m.tags; put "
            "it in brackets: [schema]",
            id="a tag without brackets",
        ),
        pytest.param(
            "instrument: counter, event: shop.order, tags: {schema: 1}",
            "shop.yaml:25:69: expected a list, found a mapping in metrics.shop.m.tags; put it in "
            "brackets: [...]",
            id="tags in braces",
        ),
        pytest.param(
            "instrument: counter, event: shop.order, tags: [schma]",
            "shop.yaml:25:76: event 'shop.order' has no metadata 'schma' in "
            "metrics.shop.m.tags; did you mean 'schema'?",
            id="a misspelt tag",
        ),
        pytest.param(
            "instrument: counter, event: shop.sale.stop, tags: [card]",
            "shop.yaml:25:80: event 'shop.sale.stop' has no metadata 'card' in "
            "metrics.shop.m.tags; it has schema, telemetry_span_context",
            id="a tag where there is no metadata like it",
        ),
        pytest.param(
            "instrument: counter, event: shop.other, tags: [schema]",
            "shop.yaml:25:76: event 'shop.other' has no metadata 'schema' in "
            "metrics.shop.m.tags; write other, the field whose key that is",
            id="a tag named by its key",
        ),
        pytest.param(
            "instrument: counter, event: shop.order, tags: [schema, schema]",
            "shop.yaml:25:84: tag 'schema' stands twice in metrics.shop.m.tags; remove one",
            id="a tag twice",
        ),
        pytest.param(
            "instrument: counter, event: shop.order, tags: [error.type]",
            "shop.yaml:25:76: tag 'error.type' on an event with no result and no exception "
            "in metrics.shop.m.tags; remove it, or add a field of type result",
            id="error.type where nothing fails",
        ),
        pytest.param(
            "instrument: counter, event: shop.sale.exception, tags: [error.type, error.type]",
            "shop.yaml:25:97: tag 'error.type' stands twice in metrics.shop.m.tags; remove one",
            id="error.type twice",
        ),
        pytest.param(
            "instrument: counter, event: shop.order, tags: [order_id]",
            "shop.yaml:25:76: tag 'order_id' has too many values in metrics.shop.m.tags; "
            "remove it, or declare cardinality: low if it is",
            id="a tag of many values",
        ),
        pytest.param(
            "instrument: counter, event: shop.order, tags: [card]",
            "shop.yaml:25:76: tag 'card' is sensitive in metrics.shop.m.tags; remove it; it "
            "may not leave the process",
            id="a sensitive tag",
        ),
        pytest.param(
            "instrument: counter, event: shop.order, tags: [items]",
            "shop.yaml:25:76: tag 'items' is of type string[] in metrics.shop.m.tags; a tag "
            "is text, a number, true or false",
            id="a tag that is an array",
        ),
        pytest.param(
            "instrument: counter, event: shop.order, tags: [hidden]",
            "shop.yaml:25:76: tag 'hidden' has no attribute name in metrics.shop.m.tags; "
            "give the field an attribute other than none",
            id="a tag that is no attribute",
        ),
        pytest.param(
            "instrument: counter, event: shop.order, tags: [schema, twin]",
            "shop.yaml:25:84: tags 'schema' and 'twin' are both the attribute 'shop.schema' "
            "in metrics.shop.m.tags; use one of them",
            id="two tags of one attribute",
        ),
        pytest.param(
            "instrument: histogram, event: shop.order, measurement: took, buckets: [1, 3, 2]",
            "shop.yaml:25:106: bucket 2 does not follow 3 in metrics.shop.m.buckets; let the "
            "bounds grow",
            id="buckets that shrink",
        ),
        pytest.param(
            "instrument: histogram, event: shop.order, measurement: took, buckets: [1, .inf]",
            "shop.yaml:25:103: expected a finite number, found the number inf in "
            "metrics.shop.m.buckets[1]; write a finite number",
            id="an infinite bucket",
        ),
        pytest.param(
            "instrument: histogram, event: shop.order, measurement: took, buckets: exponental",
            "shop.yaml:25:90: unknown word for buckets 'exponental' in "
            "metrics.shop.m.buckets; did you mean 'exponential'?",
            id="a word for buckets",
        ),
        pytest.param(
            "instrument: sum, event: shop.order, measurement: took, buckets: [1, 2]",
            "shop.yaml:25:84: 'buckets' on a sum in metrics.shop.m.buckets; remove it; only "
            "a histogram has it",
            id="buckets of a sum",
        ),
        pytest.param(
            "instrument: histogram, event: shop.order, measurement: took, monotonic: true",
            "shop.yaml:25:90: 'monotonic' on a histogram in metrics.shop.m.monotonic; remove "
            "it; only a sum has it",
            id="a monotonic histogram",
        ),
        pytest.param(
            "instrument: counter, event: shop.order, keep: {state: open}, drop: {state: shut}",
            "shop.yaml:25:90: 'drop' beside 'keep' in metrics.shop.m.drop; say it with one of them",
            id="keep and drop",
        ),
        pytest.param(
            "instrument: counter, event: shop.order, keep: {stat: open}",
            "shop.yaml:25:76: event 'shop.order' has no metadata 'stat' in "
            "metrics.shop.m.keep.stat; did you mean 'state'?",
            id="a condition on a field that is not there",
        ),
        pytest.param(
            "instrument: counter, event: shop.order, keep: {state: opne}",
            "shop.yaml:25:76: the text 'opne' is not among the values of 'state' in "
            "metrics.shop.m.keep.state; did you mean 'open'?",
            id="a condition's value that is not declared",
        ),
        pytest.param(
            "instrument: counter, event: shop.order, drop: {schema: [a, 3]}",
            "shop.yaml:25:76: the number 3 is not of type string in "
            "metrics.shop.m.drop.schema; schema never has it",
            id="a condition's value of another type",
        ),
        pytest.param(
            "instrument: counter, event: shop.order, drop: {items: a}",
            "shop.yaml:25:76: condition on 'items', which is of type string[] in "
            "metrics.shop.m.drop.items; use a field that is text, a number, true or false",
            id="a condition on an array",
        ),
        pytest.param(
            "instrument: counter, event: shop.order, drop: {state: }",
            "shop.yaml:25:76: expected a single value, found nothing in "
            "metrics.shop.m.drop.state; write text, a number, true or false",
            id="a condition on nothing",
        ),
        pytest.param(
            "instrument: counter, event: shop.order, tags: [schema], ended_by: shop.sale.stop",
            "shop.yaml:25:85: 'ended_by' on a counter in metrics.shop.m.ended_by; remove it; only "
            "a last_value has it",
            id="a counter that ends",
        ),
        pytest.param(
            "instrument: last_value, event: shop.order, measurement: amount, tags: [schema], "
            "ended_by: shop.order",
            "shop.yaml:25:109: event 'shop.order' both tells the value and ends it in "
            "metrics.shop.m.ended_by; name another event",
            id="a series that its own event ends",
        ),
        pytest.param(
            "instrument: last_value, event: shop.order, measurement: amount, tags: [schema], "
            "ended_by: shop.other",
            "shop.yaml:25:109: event 'shop.other' says of no tag which series it ends in "
            "metrics.shop.m.ended_by; let it carry one of schema",
            id="a series ended by an event without its tags",
        ),
        pytest.param(
            "instrument: last_value, event: shop.order, measurement: amount, "
            "ended_by: shop.sale.stop",
            "shop.yaml:25:93: event 'shop.sale.stop' says of no tag which series it ends in "
            "metrics.shop.m.ended_by; add tags",
            id="a series without tags that ends",
        ),
        pytest.param(
            "instrument: counter, event: shop.order, cardinality_limit: 0",
            "shop.yaml:25:69: expected a whole number from 1 to 1000000, found the number 0 "
            "in metrics.shop.m.cardinality_limit; write a whole number from 1 to 1000000",
            id="a cardinality limit of 0",
        ),
        pytest.param(
            "instrument: counter, event: shop.order, deprecated: {renamed_to: shop.m}",
            "shop.yaml:25:82: renamed in a circle (shop.m, shop.m) in "
            "metrics.shop.m.deprecated.renamed_to; one metric of these must be the present one",
            id="a metric renamed to itself",
        ),
        pytest.param(
            "instrument: counter, event: shop.order, alert: {for: 5m}",
            "shop.yaml:25:69: alert with no threshold in metrics.shop.m.alert; say above or below",
            id="an alert without a threshold",
        ),
        pytest.param(
            "instrument: counter, event: shop.order, alert: {above: 1, below: 0}",
            "shop.yaml:25:69: alert with two thresholds in metrics.shop.m.alert; say above "
            "or below",
            id="an alert with two thresholds",
        ),
        pytest.param(
            "instrument: counter, event: shop.order, alert: 3",
            "shop.yaml:25:69: expected a mapping, found the number 3 in "
            "metrics.shop.m.alert; its keys are above, below, quantile ...",
            id="an alert that is no mapping",
        ),
        pytest.param(
            "instrument: histogram, event: shop.order, measurement: took, alert: {above: 1}",
            "shop.yaml:25:90: alert on a histogram, but on no quantile in "
            "metrics.shop.m.alert; add quantile: 0.99 or another",
            id="an alert on a whole histogram",
        ),
        pytest.param(
            "instrument: counter, event: shop.order, alert: {above: 1, quantile: 0.5}",
            "shop.yaml:25:87: quantile of a counter in metrics.shop.m.alert.quantile; only a "
            "histogram has quantiles",
            id="a quantile of a counter",
        ),
        pytest.param(
            "instrument: histogram, event: shop.order, measurement: took, alert: {above: 1, "
            "quantile: 99}",
            "shop.yaml:25:108: expected a number between 0 and 1, found the number 99 in "
            "metrics.shop.m.alert.quantile; write a number between 0 and 1",
            id="a quantile in percent",
        ),
        pytest.param(
            "instrument: last_value, event: shop.order, measurement: took, alert: {above: 1, "
            "over: 5m}",
            "shop.yaml:25:109: 'over' on a last_value in metrics.shop.m.alert.over; remove "
            "it; the last value is compared",
            id="a rate of a last value",
        ),
        pytest.param(
            "instrument: counter, event: shop.order, alert: {above: 1, over: 5 minutes}",
            "shop.yaml:25:87: '5 minutes' is not a period in metrics.shop.m.alert.over; "
            "write it like 30s, 5m or 1h30m",
            id="a period in words",
        ),
        pytest.param(
            "instrument: counter, event: shop.order, alert: {above: high}",
            "shop.yaml:25:77: expected a finite number, found the text 'high' in "
            "metrics.shop.m.alert.above; write a finite number",
            id="a threshold in words",
        ),
    ],
)
def test_a_faulty_metric(metric: str, expected: str) -> None:
    text = f"{SHOP}metrics:\n  shop.m: {{brief: A metric, {metric}}}\n"

    assert faults(text) == expected
