# SPDX-License-Identifier: Apache-2.0
"""Alert rules: their expressions, and what Prometheus' own tool says of them."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from heliograph.catalog.model import Alert, Document
from heliograph.catalog.outputs import alerts
from heliograph.catalog.outputs.alerts import expression

FindTool = Callable[[str, str], Path]


@pytest.mark.parametrize(
    ("metric", "alert", "expected"),
    [
        ("all.last", Alert(10), "all_last_bytes > 10"),
        ("all.level", Alert(268435456), "all_level_milliseconds > 268435456"),
        ("all.level", Alert(1e-9), "all_level_milliseconds > 1e-09"),
        ("all.low", Alert(1, above=False, over="1h30m"), "rate(all_low_total[1h30m]) < 1"),
        (
            "all.counted",
            Alert(0.5),
            (
                "rate(all_counted_total[5m]) > 0.5\nor\n(all_counted_total unless "
                "last_over_time(all_counted_total[1h] offset 5m)) / 300 > 0.5"
            ),
        ),
        (
            "all.counted",
            Alert(0, over="1d1ms"),
            (
                "rate(all_counted_total[1d1ms]) > 0\nor\n(all_counted_total unless "
                "last_over_time(all_counted_total[1h] offset 1d1ms)) / 86400.001 > 0"
            ),
        ),
        (
            "all.work.duration",
            Alert(2.5, quantile=0.99),
            "histogram_quantile(0.99, rate(all_work_duration_seconds_bucket[5m])) > 2.5",
        ),
        (
            "all.rest.duration",
            Alert(1, quantile=0.5),
            "histogram_quantile(0.5, rate(all_rest_duration_seconds[5m])) > 1",
        ),
        (
            "all.rest.duration",
            Alert(1),
            (
                "histogram_sum(rate(all_rest_duration_seconds[5m])) / "
                "histogram_count(rate(all_rest_duration_seconds[5m])) > 1"
            ),
        ),
        (
            "all.rest.summary",
            Alert(1, quantile=0.5),
            "rate(all_rest_summary_seconds_sum[5m]) / rate(all_rest_summary_seconds_count[5m]) > 1",
        ),
    ],
)
def test_an_alert_in_promql(everything: Document, metric: str, alert: Alert, expected: str) -> None:
    assert expression(everything.metrics[metric], alert) == expected


def test_a_rule_says_what_the_catalog_says(everything: Document) -> None:
    rules = {
        rule["annotations"]["metric"]: rule
        for rule in yaml.safe_load(alerts.render(everything))["groups"][0]["rules"]
    }

    assert rules["all.rest.duration"] == {
        "alert": "AllRestDurationHigh",
        "expr": "histogram_quantile(0.5, rate(all_rest_duration_seconds[5m])) > 1",
        "for": "5m",
        "labels": {"severity": "warning", "catalog": "all"},
        "annotations": {
            "summary": "Too much rest",
            "description": "Time of rest: {{ $value | humanize }}, above 1 s",
            "metric": "all.rest.duration",
        },
    }
    assert rules["all.low"]["alert"] == "AllLowLow"
    assert rules["all.low"]["for"] == "0s"
    assert rules["all.low"]["labels"]["severity"] == "info"


def test_braces_of_the_catalog_are_no_template(everything: Document) -> None:
    text = alerts.render(everything)

    assert 'Counted {{ "{{" }} things }}' in text


def test_a_metric_of_unit_one_has_no_unit_in_its_description(everything: Document) -> None:
    ratio = replace(everything.metrics["all.ratio"], alert=Alert(0.5))
    document = replace(everything, metrics={ratio.name: ratio})

    (rule,) = yaml.safe_load(alerts.render(document))["groups"][0]["rules"]

    assert rule["annotations"]["description"].endswith(", above 0.5")


def test_a_catalog_without_alerts_has_no_groups(shop: Document) -> None:
    assert yaml.safe_load(alerts.render(shop)) == {"groups": []}


def test_prometheus_accepts_the_rules(
    any_document: Document, tmp_path: Path, foreign_tool: FindTool
) -> None:
    promtool = foreign_tool("promtool", "prometheus")
    file = tmp_path / "rules.yaml"
    file.write_text(alerts.render(any_document))

    checked = subprocess.run(
        [promtool, "check", "rules", file], capture_output=True, text=True, check=False
    )

    assert checked.returncode == 0, checked.stdout + checked.stderr


LABELS = '{job="node", instance="a"}'


# What a rule sees minute by minute, and whether it fires at the end of it.
@pytest.mark.parametrize(
    ("catalog", "alert", "series", "values", "at", "firing"),
    [
        pytest.param(
            "heliograph",
            "HeliographHandlerFailuresHigh",
            "heliograph_handler_failures_total",
            "_x30 1x5",
            "32m",
            True,
            id="the first failure of all, in a counter that was not there before",
        ),
        pytest.param(
            "heliograph",
            "HeliographHandlerFailuresHigh",
            "heliograph_handler_failures_total",
            "1x60",
            "60m",
            False,
            id="an old failure",
        ),
        pytest.param(
            "heliograph",
            "HeliographHandlerFailuresHigh",
            "heliograph_handler_failures_total",
            "1x60 _x15 1x30",
            "80m",
            False,
            id="an old failure after a gap in the data",
        ),
        pytest.param(
            "heliograph",
            "HeliographHandlerFailuresHigh",
            "heliograph_handler_failures_total",
            "1x60 2x5",
            "63m",
            True,
            id="one more failure",
        ),
        pytest.param(
            "partisan",
            "PartisanQueueUndeliveredCountHigh",
            "partisan_queue_undelivered_count",
            "10001x20",
            "20m",
            True,
            id="a level above its threshold for long enough",
        ),
        pytest.param(
            "partisan",
            "PartisanQueueUndeliveredCountHigh",
            "partisan_queue_undelivered_count",
            "9000x10 10001x3",
            "13m",
            False,
            id="a level above its threshold for a moment",
        ),
    ],
)
def test_prometheus_fires_when_it_should(
    catalog: str,
    alert: str,
    series: str,
    values: str,
    at: str,
    firing: bool,
    root: Path,
    tmp_path: Path,
    foreign_tool: FindTool,
) -> None:
    promtool = foreign_tool("promtool", "prometheus")
    rules = root / "examples" / "observability" / "alerts" / f"{catalog}.yaml"
    (rule,) = [
        rule
        for rule in yaml.safe_load(rules.read_text())["groups"][0]["rules"]
        if rule["alert"] == alert
    ]
    # The rule's texts follow its value, which is another matter: only what fires is tested.
    alone = {"groups": [{"name": catalog, "rules": [{**rule, "annotations": {}}]}]}
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump(alone))
    expected = [{"exp_labels": {"job": "node", "instance": "a", **rule["labels"]}}]
    test = {
        "rule_files": ["rules.yaml"],
        "evaluation_interval": "1m",
        "tests": [
            {
                "interval": "1m",
                "input_series": [{"series": f"{series}{LABELS}", "values": values}],
                "alert_rule_test": [
                    {
                        "eval_time": at,
                        "alertname": alert,
                        "exp_alerts": expected if firing else [],
                    }
                ],
            }
        ],
    }
    (tmp_path / "test.yaml").write_text(yaml.safe_dump(test))

    tested = subprocess.run(
        [promtool, "test", "rules", "test.yaml"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert tested.returncode == 0, tested.stdout + tested.stderr


def test_a_slow_quantile_fires(root: Path, tmp_path: Path, foreign_tool: FindTool) -> None:
    promtool = foreign_tool("promtool", "prometheus")
    rules = root / "examples" / "observability" / "alerts" / "modboss.yaml"
    labels = 'modboss_schema="Thermostat"'
    name = "modboss_read_duration_seconds_bucket"
    test = {
        "rule_files": [str(rules)],
        "evaluation_interval": "1m",
        "tests": [
            {
                "interval": "1m",
                "input_series": [
                    {"series": f'{name}{{{labels}, le="2.5"}}', "values": "0x30"},
                    {"series": f'{name}{{{labels}, le="5"}}', "values": "0+10x30"},
                    {"series": f'{name}{{{labels}, le="+Inf"}}', "values": "0+10x30"},
                ],
                "alert_rule_test": [
                    {"eval_time": "9m", "alertname": "ModbossReadDurationHigh", "exp_alerts": []},
                    {
                        "eval_time": "20m",
                        "alertname": "ModbossReadDurationHigh",
                        "exp_alerts": [
                            {
                                "exp_labels": {
                                    "severity": "warning",
                                    "catalog": "modboss",
                                    "modboss_schema": "Thermostat",
                                },
                                "exp_annotations": {
                                    "summary": "Reads by name have become slow",
                                    "description": "Time one read by name took, all requests and "
                                    "retries included: 4.975, above 2.5 s",
                                    "metric": "modboss.read.duration",
                                },
                            }
                        ],
                    },
                ],
            }
        ],
    }
    (tmp_path / "test.yaml").write_text(yaml.safe_dump(test))

    tested = subprocess.run(
        [promtool, "test", "rules", "test.yaml"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert tested.returncode == 0, tested.stdout + tested.stderr
