# SPDX-License-Identifier: Apache-2.0
"""Names in Prometheus."""

from __future__ import annotations

import re
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.catalog.exported import OtelInstrument
from heliograph.catalog.model import Document
from heliograph.catalog.outputs.prometheus import (
    Family,
    family,
    label_name,
    labels,
    metric_name,
    series,
)

METRIC_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
LABEL_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")


@pytest.mark.parametrize(
    ("name", "unit", "instrument", "expected"),
    [
        ("modboss.read.duration", "s", "histogram", "modboss_read_duration_seconds"),
        ("process.memory.usage", "By", "gauge", "process_memory_usage_bytes"),
        ("http.requests", "{request}", "counter", "http_requests_total"),
        ("http.requests.total", "{request}", "counter", "http_requests_total"),
        ("http.total.requests", "", "counter", "http_requests_total"),
        ("cpu.utilization", "1", "gauge", "cpu_utilization_ratio"),
        ("cpu.ratio", "1", "gauge", "cpu_ratio"),
        ("cpu.utilization", "1", "updowncounter", "cpu_utilization"),
        ("things", "1", "counter", "things_total"),
        ("io", "By/s", "gauge", "io_bytes_per_second"),
        ("io", "{packet}/s", "gauge", "io_per_second"),
        ("bytes.per.second", "By/s", "gauge", "bytes_per_second"),
        ("wait", "ms", "histogram", "wait_milliseconds"),
        ("wait.seconds", "s", "histogram", "wait_seconds"),
        ("price", "EUR", "gauge", "price_EUR"),
        ("odd", "kBy", "gauge", "odd_kBy"),
        ("fuel", "l/(100.km)", "gauge", "fuel_l_per_100_km"),
        ("temperature", "Cel", "gauge", "temperature_celsius"),
        ("share", "%", "gauge", "share_percent"),
        ("(lambda).executions(#)", "", "gauge", "lambda_executions"),
        ("2nd.try", "", "gauge", "_2nd_try"),
        ("", "", "gauge", "_"),
    ],
)
def test_the_translation_of_the_specification(
    name: str, unit: str, instrument: OtelInstrument, expected: str
) -> None:
    assert metric_name(name, unit, instrument) == expected


@given(name=st.text(), unit=st.text(), instrument=st.sampled_from(get_args(OtelInstrument)))
def test_a_metric_name_is_always_valid(name: str, unit: str, instrument: OtelInstrument) -> None:
    translated = metric_name(name, unit, instrument)

    assert METRIC_NAME.fullmatch(translated)
    assert "__" not in translated


@given(st.text())
def test_a_label_name_is_always_valid(attribute: str) -> None:
    assert LABEL_NAME.fullmatch(label_name(attribute))


def test_labels_are_attributes_with_underscores() -> None:
    assert label_name("error.type") == "error_type"
    assert label_name("2nd") == "key_2nd"
    assert label_name("") == "key_"


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        ("all.counted", Family("all_counted_total", "counter")),
        ("all.summed", Family("all_summed_seconds_total", "counter")),
        ("all.size.total", Family("all_size_bytes_total", "counter")),
        ("all.level", Family("all_level_milliseconds", "gauge")),
        ("all.ratio", Family("all_ratio", "gauge")),
        ("all.work.duration", Family("all_work_duration_seconds", "histogram")),
        ("all.rest.duration", Family("all_rest_duration_seconds", "native_histogram")),
        ("all.rest.summary", Family("all_rest_summary_seconds", "histogram")),
    ],
)
def test_what_each_instrument_becomes(everything: Document, metric: str, expected: Family) -> None:
    assert family(everything.metrics[metric]) == expected


def test_a_histogram_has_three_series_a_native_one_a_single() -> None:
    assert Family("x", "histogram").series == ("x_bucket", "x_sum", "x_count")
    assert Family("x", "native_histogram").series == ("x",)


def test_tags_become_labels(everything: Document) -> None:
    assert labels(everything.metrics["all.work.duration"], everything) == (
        "server_address",
        "error_type",
    )


def test_all_series_of_a_catalog(shop: Document) -> None:
    assert series(shop) == {"shop_orders_total"}
