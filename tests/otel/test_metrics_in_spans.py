# SPDX-License-Identifier: Apache-2.0
"""With spans and metrics together, exemplars are of the operation that was measured."""

from __future__ import annotations

from heliograph import Ok, Telemetry
from heliograph.otel import configure
from tests.otel.endpoints import http_receiver


def test_exemplars_are_of_the_operation_itself() -> None:
    telemetry = Telemetry()
    base = {"schema": "Thermostat", "names": ["a"], "context": {}}
    request = {
        **base,
        "object_type": "coil",
        "starting_address": 1,
        "address_count": 1,
        "attempt": 1,
        "max_attempts": 1,
    }
    with http_receiver() as receiver:
        bridge = configure(
            f"http://127.0.0.1:{receiver.port}",
            catalogs="modboss",
            telemetry=telemetry,
            delay=600,
            metric_interval=600,
        )
        with telemetry.span("modboss.read", base) as read:
            with telemetry.span("modboss.read_callback", request) as callback:
                callback.metadata["result"] = Ok()
                callback.measurements["largest_gap"] = 0
            read.metadata["result"] = Ok()
            read.measurements["batches"] = 1
        assert bridge.flush(10).status == "ok"
        metrics = {metric.name: metric for metric in receiver.taken("metrics")}
        bridge.shutdown(3)
    spans = {span.name: span.span_id for span in receiver.taken("traces")}
    expected = {
        "modbus.client.requests": "modboss.read_callback",
        "modbus.client.operation.duration": "modboss.read_callback",
        "modboss.read.duration": "modboss.read",
        "modboss.read.batches": "modboss.read",
    }
    for name, span in expected.items():
        metric = metrics[name]
        [point] = (metric.histogram if metric.HasField("histogram") else metric.sum).data_points
        assert [exemplar.span_id for exemplar in point.exemplars] == [spans[span]], name
