# SPDX-License-Identifier: Apache-2.0
"""The examples do what they say."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from heliograph.apps.collect import Batch, Receiver

EXAMPLES = Path(__file__).parents[2] / "examples"
MODBUS_SPANS = ("modboss.read", "modboss.read_callback", "modboss.write", "modboss.write_callback")


def test_the_export_reaches_a_collector() -> None:
    batches: list[Batch] = []
    with Receiver(batches.append) as receiver:
        printed = run("otel_export.py", f"http://{receiver.http}")

    spans = [span for batch in batches for span in batch.spans]
    metrics = [metric for batch in batches for metric in batch.metrics]
    logs = [log for batch in batches for log in batch.logs]
    checkouts = {span.span_id: span for span in spans if span.name == "shop.checkout"}
    payments = [span for span in spans if span.name == "shop.payment"]
    assert printed.startswith("ok traces=")
    assert len(checkouts) == 3
    assert [span.attributes["shop.till"] for span in checkouts.values()] == ["front"] * 3
    assert len(payments) == 2
    assert {span.parent_id for span in payments} < set(checkouts)
    assert {"shop.orders", "shop.checkout.duration"} == {metric.name for metric in metrics}
    assert [log.event_name for log in logs if log.event_name == "shop.order.refused"] == [
        "shop.order.refused",
        "shop.order.refused",
    ]
    assert "Ada" not in repr(batches), "who buys is sensitive"


def test_reads_and_writes_of_a_device_reach_a_collector_with_each_attempt() -> None:
    batches: list[Batch] = []
    with Receiver(batches.append) as receiver:
        printed = run("modbus_export.py", f"http://{receiver.http}")

    spans = [span for batch in batches for span in batch.spans]
    by_name = {name: [each for each in spans if each.name == name] for name in MODBUS_SPANS}
    reading = min(by_name["modboss.read"], key=lambda span: span.start)
    attempts = sorted(
        (each for each in by_name["modboss.read_callback"] if each.parent_id == reading.span_id),
        key=lambda span: span.start,
    )
    assert printed.startswith("55.5 Cel at 1.53 bar, setpoint 65.0\nok traces=")
    assert {span.kind for span in spans} == {"client"}
    assert [each.attributes.get("error.type") for each in attempts] == ["device_busy", None]
    assert [each.attributes["modboss.attempt.number"] for each in attempts] == [1, 2]
    assert attempts[0].attributes["modbus.exception.code"] == 6
    assert reading.attributes["modbus.unit.id"] == 1
    assert (reading.attributes["server.address"], reading.status) == ("127.0.0.1", "unset")
    assert len(by_name["modboss.write_callback"]) == 2
    metrics = {metric.name for batch in batches for metric in batch.metrics}
    assert {"modbus.client.operation.duration", "modbus.client.retries"} <= metrics


def test_the_first_event_is_heard() -> None:
    assert run("first_event.py").startswith("shop.checkout.stop took ")


def run(*command: str) -> str:
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("OTEL_", "COVERAGE", "COV_"))
    } | {"PYTHONWARNINGS": "error"}
    done = subprocess.run(
        [sys.executable, *command],
        cwd=EXAMPLES,
        env=environment,
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
