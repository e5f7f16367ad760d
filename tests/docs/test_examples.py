# SPDX-License-Identifier: Apache-2.0
"""The examples do what they say."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from heliograph.apps.collect import Batch, Receiver

EXAMPLES = Path(__file__).parents[2] / "examples"


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
