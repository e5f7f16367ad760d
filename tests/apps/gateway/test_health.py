# SPDX-License-Identifier: Apache-2.0
"""The health endpoint, over real sockets."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from heliograph import Telemetry
from heliograph.apps.gateway.events import DEVICE_VALUE
from heliograph.apps.gateway.health import HealthServer
from heliograph.apps.gateway.scraping import Scraping


def answers(
    *requests: bytes, ready: bool = True, metrics: Callable[[], bytes] | None = None
) -> list[bytes]:
    """What the endpoint answers to each request, each on a connection of its own."""

    async def main() -> list[bytes]:
        def state() -> dict[str, Any]:
            return {"ready": ready, "gateway": "g1@a"}

        found = []
        async with HealthServer("127.0.0.1:0", state, metrics) as server:
            for request in requests:
                reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
                writer.write(request)
                if writer.can_write_eof():
                    writer.write_eof()
                found.append(await reader.read())
                writer.close()
                await writer.wait_closed()
        return found

    return asyncio.run(main())


def get(path: str, **options: Any) -> tuple[int, Any]:
    [answer] = answers(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode(), **options)
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body)


def test_it_is_alive_whether_it_is_ready_or_not() -> None:
    assert get("/healthz", ready=False) == (200, {"alive": True})


def test_it_says_when_it_is_ready_and_how_it_is_doing() -> None:
    assert get("/readyz") == (200, {"ready": True, "gateway": "g1@a"})
    assert get("/readyz?verbose=1", ready=False) == (503, {"ready": False, "gateway": "g1@a"})


def test_there_is_nothing_else() -> None:
    assert get("/")[0] == 404
    assert get("/metrics")[0] == 404


def test_a_head_has_no_body_and_nothing_else_is_answered() -> None:
    head, post = answers(b"HEAD /healthz HTTP/1.1\r\n\r\n", b"POST /healthz HTTP/1.1\r\n\r\n")

    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert head.endswith(b"\r\n\r\n")
    assert post.startswith(b"HTTP/1.1 405 ")


@pytest.mark.parametrize("nonsense", [b"", b"GET", b"\0" * 100, b"GET / HTTP/1.1\r\n" * 2000])
def test_nonsense_is_hung_up_on(nonsense: bytes) -> None:
    bad, good = answers(nonsense, b"GET /healthz HTTP/1.1\r\n\r\n")

    assert bad == b""
    assert good.startswith(b"HTTP/1.1 200 OK\r\n")


def test_prometheus_gets_values_with_their_units() -> None:
    telemetry = Telemetry()
    scraping = Scraping("plant", "g1@a", telemetry=telemetry)
    try:
        for number in range(2100):  # more than OpenTelemetry's own limit
            telemetry.execute(
                DEVICE_VALUE.name,
                {"value": 61.5},
                {"device": f"boiler-{number}", "mapping": "flow_temp", "unit": "Cel"},
            )
        [answer] = answers(b"GET /metrics HTTP/1.1\r\n\r\n", metrics=scraping.text)
    finally:
        scraping.close()

    assert answer.startswith(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4")
    text = answer.decode()
    assert text.count("\ngateway_device_value{") == 2100
    assert re.search(
        r'^gateway_device_value\{gateway_device_mapping="flow_temp",'
        r'gateway_device_name="boiler-2099",gateway_device_unit="Cel"\} 61\.5$',
        text,
        re.MULTILINE,
    )
    assert 'service_instance_id="g1@a"' in text
