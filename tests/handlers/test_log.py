# SPDX-License-Identifier: Apache-2.0
"""Log lines: what they say, at which level, and what they leave out."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

from heliograph import Error, Telemetry
from heliograph.handlers import LogLine, log_line


@pytest.fixture(autouse=True)
def everything_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(1)


def test_a_line_is_the_name_and_key_value_pairs(
    telemetry: Telemetry, caplog: pytest.LogCaptureFixture
) -> None:
    telemetry.attach("log", "shop.order.placed", log_line)
    telemetry.execute(
        "shop.order.placed",
        {"count": 1, "amount": 12.5},
        {"order id": "A 17", "result": Error("no stock"), "names": ["a", "b"]},
    )
    (record,) = caplog.records
    assert record.message == (
        'shop.order.placed count=1 amount=12.5 "order id"="A 17" '
        'result={"error":"no stock"} names=["a","b"]'
    )
    assert (record.name, record.levelname) == ("heliograph.events", "INFO")


def test_the_record_carries_plain_data_for_structured_formatters(
    telemetry: Telemetry, caplog: pytest.LogCaptureFixture
) -> None:
    telemetry.attach("log", "a.b", LogLine())
    telemetry.execute("a.b", {"system_time": 5, "n": 1}, {"who": ("x", b"\x01")})
    (record,) = caplog.records
    assert record.message == 'a.b n=1 who=["x","01"]'
    assert record.__dict__["event"] == "a.b"
    assert record.__dict__["measurements"] == {"system_time": 5, "n": 1}
    assert record.__dict__["metadata"] == {"who": ["x", "01"]}


def test_the_record_names_the_place_that_executed_the_event(
    telemetry: Telemetry, caplog: pytest.LogCaptureFixture
) -> None:
    telemetry.attach("log", "a.b", LogLine())
    telemetry.execute("a.b", {})
    telemetry.event("a.b").execute({})
    assert {record.pathname for record in caplog.records} == {__file__}


def test_a_line_has_no_control_characters(
    telemetry: Telemetry, caplog: pytest.LogCaptureFixture
) -> None:
    telemetry.attach("log", "a.b", LogLine())
    telemetry.execute("a.b", {}, {"who\n": "x\nINFO forged line \x1b[2J"})
    assert caplog.records[0].message.isprintable()


@pytest.mark.parametrize(
    ("event", "options", "level"),
    [
        ("shop.order.placed", {}, logging.INFO),
        ("shop.checkout.exception", {}, logging.ERROR),
        ("shop.order.placed", {"catalog": True}, logging.WARNING),
        ("shop.order.seen", {"catalog": True}, 5),
        ("shop.checkout.exception", {"catalog": True}, logging.ERROR),
        ("shop.unknown", {"catalog": True}, logging.INFO),
        ("shop.order.placed", {"catalog": True, "level": "debug"}, logging.DEBUG),
        ("shop.order.placed", {"level": "warn"}, logging.WARNING),
        ("shop.order.placed", {"level": "CRITICAL"}, logging.CRITICAL),
        ("shop.order.placed", {"level": 17}, 17),
    ],
)
def test_the_level_is_the_given_one_or_the_declared_severity(
    shop: Path, caplog: pytest.LogCaptureFixture, event: str, options: dict[str, Any], level: int
) -> None:
    if "catalog" in options:
        options = {**options, "catalog": str(shop)}
    log_line(event, {}, {}, options)
    assert [record.levelno for record in caplog.records] == [level]


def test_what_the_catalog_calls_sensitive_is_left_out(
    shop: Path, caplog: pytest.LogCaptureFixture
) -> None:
    handler = LogLine(catalog=shop)
    handler("shop.order.placed", {"count": 1, "margin": 0.5}, {"order_id": "x", "card": "4111"})
    (record,) = caplog.records
    assert record.message == "shop.order.placed count=1 order_id=x"
    assert record.__dict__["measurements"] == {"count": 1}
    assert record.__dict__["metadata"] == {"order_id": "x"}


@pytest.mark.parametrize("traceback", [True, False])
def test_an_exceptions_traceback_is_shown_if_so_asked(
    telemetry: Telemetry, caplog: pytest.LogCaptureFixture, traceback: bool
) -> None:
    telemetry.attach("log", "a.b.exception", LogLine(traceback=traceback))
    with pytest.raises(ValueError, match="no stock"), telemetry.span("a.b"):
        raise ValueError("no stock")
    (record,) = caplog.records
    assert "stacktrace" not in record.message
    assert '"message":"no stock"' in record.message
    assert bool(record.exc_info) == traceback
    LogLine(traceback=True)("a.b", {}, {"reason": "no exception"})
    assert not caplog.records[-1].exc_info


def test_a_level_that_is_off_costs_no_line(caplog: pytest.LogCaptureFixture) -> None:
    logger = logging.getLogger("heliograph.test.off")
    logger.setLevel(logging.ERROR)
    LogLine(logger)("a.b", {}, {})
    LogLine("heliograph.test.off", level="error")("a.b", {}, {})
    assert [record.levelname for record in caplog.records] == ["ERROR"]


def test_an_unknown_level_is_refused() -> None:
    with pytest.raises(ValueError, match="no level 'loud'; use one of trace, debug"):
        LogLine(level="loud")


def test_a_wrong_configuration_detaches_and_is_reported(
    telemetry: Telemetry, caplog: pytest.LogCaptureFixture
) -> None:
    telemetry.attach("log", "a.b", log_line, {"lvl": "info"})
    telemetry.execute("a.b", {})
    assert telemetry.list_handlers() == []
    assert "unknown option 'lvl'" in caplog.text
