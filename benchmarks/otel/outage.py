# SPDX-License-Identifier: Apache-2.0
"""What an outage of the collector costs: `python -m benchmarks.otel.outage [SECONDS]`.

An application reads 1000 times a second. Its collector goes away, for so many seconds, and comes
back. Then it hangs, and the application is asked to flush and to exit. At the end the SDK, with its
own exporter, is asked to flush to a collector that refuses connections.
"""

from __future__ import annotations

import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

import heliograph
from heliograph import otel

RATE = 1000
CATALOGS = ["modboss", "heliograph"]
EXITING = """
import sys, time
import heliograph
from heliograph import otel
otel.configure(sys.argv[1], catalogs=["modboss", "heliograph"])
for _ in range(1000):
    with heliograph.span("modboss.read", {"schema": "pump", "names": ["a"]}):
        pass
print(time.monotonic(), flush=True)
"""


class Collector:
    """Counts the spans it gets."""

    def __init__(self) -> None:
        self.spans = 0
        self.port = 0

    @contextmanager
    def listening(self) -> Iterator[None]:
        collector = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                if self.path.endswith("traces"):
                    request = ExportTraceServiceRequest.FromString(body)
                    collector.spans += sum(
                        len(scope.spans)
                        for resource in request.resource_spans
                        for scope in resource.scope_spans
                    )
                self.send_response(200)
                self.send_header("content-length", "0")
                self.end_headers()
                open_connections.add(self.connection)

            def log_message(self, *args: Any) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            block_on_close = False

            def handle_error(self, *args: Any) -> None:
                pass

        open_connections: set[socket.socket] = set()
        server = Server(("127.0.0.1", self.port), Handler)
        self.port = server.server_port
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        try:
            yield
        finally:
            server.shutdown()
            server.server_close()
            for connection in open_connections:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)


def read_for(seconds: float) -> tuple[int, float]:
    """Read at the rate for a while; return how often, and the median nanoseconds of one."""
    times: list[int] = []
    began = time.monotonic()
    while (now := time.monotonic()) - began < seconds:
        for _ in range(int((now - began) * RATE) - len(times)):
            started = time.perf_counter_ns()
            with heliograph.span("modboss.read", {"schema": "pump", "names": ["a"]}):
                pass
            times.append(time.perf_counter_ns() - started)
        time.sleep(0.001)
    return len(times), statistics.median(times)


def print_outage(seconds: float) -> None:
    collector = Collector()
    with collector.listening():
        bridge = otel.configure(f"http://127.0.0.1:{collector.port}", catalogs=CATALOGS)
        offered, up = read_for(3)
        bridge.flush(10)
        delivered = collector.spans
    kept_from = time.monotonic()
    lost, away = read_for(seconds)
    state = bridge.health().signals["traces"]
    with collector.listening():
        back = time.monotonic()
        while collector.spans == delivered:
            time.sleep(0.01)
        resumed = time.monotonic() - back
        after, _ = read_for(2)
        result = bridge.flush(10)
    final = bridge.health().signals["traces"]
    bridge.shutdown()
    print(f"outage                                  {back - kept_from:8.1f} s")
    print(f"one read, collector there / away        {up / 1000:8.1f} / {away / 1000:.1f} µs")
    print(f"spans before / during / after           {offered:8} / {lost} / {after}")
    print(f"queued when the collector came back     {state.queued:8}")
    print(f"dropped, by reason                      {dict(final.dropped)}")
    print(f"sending resumed by itself after         {resumed:8.1f} s")
    print(f"delivered after the outage              {collector.spans - delivered:8}")
    total = offered + lost + after
    print(f"offered = delivered + dropped           {total} = {collector.spans} + ", end="")
    print(f"{sum(final.dropped.values())}, flush: {result.status}")


def print_hanging() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        endpoint = f"http://127.0.0.1:{listening.getsockname()[1]}"
        bridge = otel.configure(endpoint, catalogs=CATALOGS)
        read_for(0.5)
        began = time.monotonic()
        status = bridge.flush(1.0).status
        flushed = time.monotonic()
        ended = bridge.shutdown(1.0)
        shut = time.monotonic()
        print(f"hanging: flush(1.0) took                {flushed - began:8.3f} s, {status}")
        dropped = ended.dropped["traces"]
        print(f"hanging: shutdown(1.0) took             {shut - flushed:8.3f} s, dropped {dropped}")
        child = subprocess.run(
            [sys.executable, "-c", EXITING, endpoint], check=True, capture_output=True, text=True
        )
        exit_time = time.monotonic() - float(child.stdout)
        print(f"hanging: the process exited in          {exit_time:8.3f} s")


def print_sdk() -> None:
    provider = TracerProvider()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        endpoint = f"http://127.0.0.1:{listening.getsockname()[1]}/v1/traces"
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint)))
    with provider.get_tracer("benchmark").start_as_current_span("modboss.read"):
        pass
    began = time.monotonic()
    flushed = provider.force_flush(2000)
    print(f"refusing: force_flush(2000) of the SDK  {time.monotonic() - began:8.3f} s, {flushed}")
    bridge = otel.configure(endpoint.removesuffix("/v1/traces"), catalogs=CATALOGS)
    with heliograph.span("modboss.read", {"schema": "pump", "names": ["a"]}):
        pass
    began = time.monotonic()
    status = bridge.flush(2.0).status
    print(f"refusing: flush(2.0)                    {time.monotonic() - began:8.3f} s, {status}")
    bridge.shutdown(1.0)


if __name__ == "__main__":
    print_outage(float(sys.argv[1]) if len(sys.argv) > 1 else 10.0)
    print_hanging()
    print_sdk()
