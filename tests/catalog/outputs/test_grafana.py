# SPDX-License-Identifier: Apache-2.0
"""Dashboards: what they query, and how their panels lie."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from heliograph.catalog.model import Document
from heliograph.catalog.outputs import grafana
from heliograph.catalog.outputs.prometheus import series

# A name that a filter or a window follows is a series; what a parenthesis follows is a function.
SERIES = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)\{")


def panels(document: Document) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(grafana.render(document))["panels"]
    return found


def by_metric(document: Document) -> dict[str, dict[str, Any]]:
    return {
        panel["description"].split("`")[1]: panel
        for panel in panels(document)
        if panel["type"] != "row"
    }


def queries(document: Document) -> Iterator[str]:
    for panel in panels(document):
        for target in panel.get("targets", ()):
            yield target["expr"]


def test_every_query_names_only_exported_metrics(any_document: Document) -> None:
    exported = series(any_document)
    for query in queries(any_document):
        named = SERIES.findall(query)
        assert named
        assert set(named) <= exported
        words = set(re.findall(r"[a-z_]+", re.sub(r"\{.*?\}|\[.*?\]|by \(.*?\)", "", query)))
        assert words <= {"sum", "rate", "histogram_quantile"} | set(
            re.findall(r"[a-z_]+", " ".join(named))
        )


def test_every_metric_has_one_panel(any_document: Document) -> None:
    assert list(by_metric(any_document)) == sorted(
        any_document.metrics, key=list(by_metric(any_document)).index
    )


def test_variables_ask_for_no_metric_at_all(shop: Document) -> None:
    variables = json.loads(grafana.render(shop))["templating"]["list"]

    assert [variable["name"] for variable in variables] == ["datasource", "job"]
    assert variables[1]["query"]["query"] == "label_values(job)"


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        (
            "all.counted",
            [
                (
                    'sum by (error_type) (rate(all_counted_total{job=~"$job"}[$__rate_interval]))',
                    "{{error_type}}",
                )
            ],
        ),
        (
            "all.low",
            [('sum (rate(all_low_total{job=~"$job"}[$__rate_interval]))', "all.low")],
        ),
        ("all.level", [('sum (all_level_milliseconds{job=~"$job"})', "all.level")]),
        (
            "all.level_by",
            [('sum by (all_flag) (all_level_by_milliseconds{job=~"$job"})', "{{all_flag}}")],
        ),
        (
            "all.last",
            [('all_last_bytes{job=~"$job"}', "{{job}} {{instance}} {{all_flag}}")],
        ),
        ("all.ratio", [('all_ratio{job=~"$job"}', "{{job}} {{instance}}")]),
        (
            "all.rest.summary",
            [
                (
                    (
                        'sum (rate(all_rest_summary_seconds_sum{job=~"$job"}[$__rate_interval])) / '
                        'sum (rate(all_rest_summary_seconds_count{job=~"$job"}[$__rate_interval]))'
                    ),
                    "mean",
                )
            ],
        ),
        (
            "all.rest.duration",
            [
                (
                    (
                        f"histogram_quantile({quantile}, sum (rate(all_rest_duration_seconds"
                        '{job=~"$job"}[$__rate_interval])))'
                    ),
                    label,
                )
                for quantile, label in ((0.5, "p50"), (0.95, "p95"), (0.99, "p99"))
            ],
        ),
        (
            "all.work.duration",
            [
                (
                    (
                        f"histogram_quantile({quantile}, sum by (le, server_address, error_type) "
                        '(rate(all_work_duration_seconds_bucket{job=~"$job"}[$__rate_interval])))'
                    ),
                    f"{label} {{{{server_address}}}} {{{{error_type}}}}",
                )
                for quantile, label in ((0.5, "p50"), (0.95, "p95"), (0.99, "p99"))
            ],
        ),
    ],
)
def test_what_a_panel_shows(
    everything: Document, metric: str, expected: list[tuple[str, str]]
) -> None:
    targets = by_metric(everything)[metric]["targets"]

    assert [(target["expr"], target["legendFormat"]) for target in targets] == expected
    assert [target["refId"] for target in targets] == ["A", "B", "C"][: len(targets)]


@pytest.mark.parametrize(
    ("metric", "unit"),
    [
        ("all.work.duration", "s"),
        ("all.last", "bytes"),
        ("all.ratio", "percentunit"),
        ("all.size.total", "binBps"),
        ("all.counted", "cps"),
    ],
)
def test_units_are_grafanas(everything: Document, metric: str, unit: str) -> None:
    assert by_metric(everything)[metric]["fieldConfig"]["defaults"]["unit"] == unit


@pytest.mark.parametrize("instrument", ["counter", "last_value"])
def test_a_unit_that_grafana_does_not_know_is_a_plain_number(
    everything: Document, instrument: str
) -> None:
    metric = replace(everything.metrics["all.last"], unit="EUR", instrument=instrument)  # type: ignore[arg-type]  # one of its literals
    document = replace(everything, metrics={metric.name: metric})

    (panel,) = by_metric(document).values()

    assert panel["fieldConfig"]["defaults"]["unit"] == "short"


def test_thresholds_are_those_of_the_alerts(everything: Document) -> None:
    shown = {
        metric: panel["fieldConfig"]["defaults"] for metric, panel in by_metric(everything).items()
    }

    assert shown["all.counted"]["thresholds"]["steps"] == [
        {"color": "green", "value": None},
        {"color": "red", "value": 0.5},
    ]
    assert shown["all.low"]["thresholds"]["steps"] == [
        {"color": "red", "value": None},
        {"color": "green", "value": 1},
    ]
    assert shown["all.counted"]["custom"]["thresholdsStyle"] == {"mode": "line"}
    assert shown["all.ratio"]["custom"]["thresholdsStyle"] == {"mode": "off"}


def test_metrics_stand_in_rows_by_what_they_are_about(everything: Document) -> None:
    titles = [panel["title"] for panel in panels(everything) if panel["type"] == "row"]

    assert titles[:2] == ["all.failed", "all.quiet"]
    assert "all.work: Work" in titles
    assert len(titles) == len(set(titles))


def test_a_metric_about_another_catalogs_event_stands_under_its_name(everything: Document) -> None:
    metric = replace(everything.metrics["all.last"], events=("other.thing.happened",))
    document = replace(everything, metrics={metric.name: metric})

    assert panels(document)[0]["title"] == "other.thing"


def test_what_is_to_know_of_a_metric_is_in_its_description(everything: Document) -> None:
    assert by_metric(everything)["all.last"]["description"] == "`all.last`\n\nDeprecated.\n\nA note"


def test_no_two_panels_overlap_and_each_has_a_number_of_its_own(any_document: Document) -> None:
    found = panels(any_document)
    cells = [
        (x, y)
        for panel in found
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]

    assert [panel["id"] for panel in found] == list(range(1, len(found) + 1))
    assert len(cells) == len(set(cells))
    assert all(0 <= x < 24 for x, _ in cells)


def test_the_identifier_is_stable_and_no_longer_than_grafana_allows(shop: Document) -> None:
    long = replace(shop, name="shop" * 20)

    assert json.loads(grafana.render(shop))["uid"] == "heliograph-shop"
    assert len(json.loads(grafana.render(long))["uid"]) == 40
