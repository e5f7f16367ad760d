# SPDX-License-Identifier: Apache-2.0
"""examples/scaling: collectors in tiers, as they are set up there, with a real collector.

Whatever the files name outside of this machine is replaced by a port of it.
"""

from __future__ import annotations

import re
import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

import heliograph.otel
from heliograph import Telemetry
from heliograph.catalog import Catalog, load_text
from tests.otel.receiver import Agent, FarSide
from tests.ports import free_port

SCALING = Path(__file__).parents[1] / "examples" / "scaling"
FILES = ("agent", "gateway", "gateway-clickhouse", "gateway-kafka")
CATALOG = """\
catalog: mill
version: 1.0.0
brief: A mill
fields:
  sack: {type: int, unit: "{sack}", brief: Number of the sack, cardinality: high}
spans:
  mill.grind: {brief: A sack is ground}
events:
  mill.sack: {brief: A sack is full, measurements: [sack]}
metrics:
  mill.ground: {brief: Sacks ground, instrument: counter, event: mill.grind.stop, unit: "{sack}"}
"""


def variables(*files: str) -> dict[str, str]:
    """What is set after these have been read, one after the other."""
    lines = [
        line
        for file in files
        for line in (SCALING / f"{file}.env").read_text("utf-8").splitlines()
        if line and not line.startswith("#")
    ]
    return dict(line.split("=", 1) for line in lines)


def tier(folder: Path, settings: dict[str, str], **instead: str) -> Agent:
    """One collector."""
    folder.mkdir()
    return Agent(folder, {**settings, **instead})


@contextmanager
def two_tiers(folder: Path, far: FarSide, **agents: str) -> Iterator[tuple[Agent, Agent]]:
    """A second tier that sends to the far side, and an agent that sends to it."""
    nearer = {"ROTEL_OTLP_EXPORTER_ENDPOINT": far.grpc, "ROTEL_BATCH_TIMEOUT": "50ms"}
    with tier(folder / "gateway", variables("gateway"), **nearer) as gateway:
        agents = {"ROTEL_OTLP_EXPORTER_ENDPOINT": gateway.endpoint("grpc"), **agents}
        with tier(folder / "agent", variables("agent"), **agents) as agent:
            yield gateway, agent


@contextmanager
def exporting(endpoint: str, **options: object) -> Iterator[Telemetry]:
    """A program that exports to a collector, and has exported all at the end."""
    telemetry = Telemetry()
    catalog = Catalog([load_text(CATALOG, "mill.yaml")])
    given: dict[str, object] = {"service_name": "mill", "telemetry": telemetry, **options}
    with heliograph.otel.configure(endpoint, catalogs=catalog, **given) as bridge:  # type: ignore[arg-type]  # any of its options
        yield telemetry
        assert bridge.flush(timeout=20)


def grind_a_sack(telemetry: Telemetry) -> None:
    """Emit all there is."""
    with telemetry.span("mill.grind"):
        telemetry.execute("mill.sack", {"sack": 17})


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
def test_all_signals_go_through_both_tiers(protocol: str, tmp_path: Path) -> None:
    with FarSide() as far, two_tiers(tmp_path, far) as (_, agent):
        with exporting(agent.endpoint(protocol), protocol=protocol) as telemetry:
            grind_a_sack(telemetry)
        grind, sack, ground = (
            far.span("mill.grind"),
            far.log("mill.sack"),
            far.metric("mill.ground"),
        )

    assert (sack.trace_id, sack.span_id) == (grind.trace_id, grind.span_id)
    assert sack.attributes == {"mill.sack": 17}
    assert ground.unit == "{sack}"
    for each in (grind, sack, ground):
        assert each.source.service == "mill"
        assert each.source.resource["host.name"] == "machine-1"
        assert each.source.resource["deployment.environment.name"] == "production"


def test_a_second_tier_that_restarts_costs_nothing(tmp_path: Path) -> None:
    impatient = {
        "ROTEL_OTLP_EXPORTER_RETRY_INITIAL_BACKOFF": "100ms",
        "ROTEL_OTLP_EXPORTER_RETRY_MAX_BACKOFF": "500ms",
    }
    with FarSide() as far, two_tiers(tmp_path, far, **impatient) as (gateway, agent):
        with exporting(agent.endpoint("grpc"), protocol="grpc") as telemetry:
            telemetry.execute("mill.sack", {"sack": 1})
        far.log("mill.sack")
        gateway.kill()
        with exporting(agent.endpoint("grpc"), protocol="grpc") as telemetry:
            telemetry.execute("mill.sack", {"sack": 2})
        gateway.start()
        far.wait(lambda: len(far.logs) == 2)

        assert [log.attributes["mill.sack"] for log in far.logs] == [1, 2]


def test_sampling_thins_spans_out_and_not_what_is_counted(tmp_path: Path) -> None:
    from opentelemetry.sdk.trace.sampling import TraceIdRatioBased

    with FarSide() as far:
        with exporting(far.http, sampler=TraceIdRatioBased(0.1)) as telemetry:
            for _ in range(1_000):
                with telemetry.span("mill.grind"):
                    pass
        (point,) = far.metric("mill.ground").points

    assert getattr(point, "value", None) == 1_000
    assert 40 <= len(far.spans) <= 200


def test_what_goes_to_clickhouse_are_inserts_into_its_tables(tmp_path: Path) -> None:
    with (
        sink() as (asked, address),
        tier(
            tmp_path / "gateway",
            variables("gateway", "gateway-clickhouse"),
            ROTEL_CLICKHOUSE_EXPORTER_ENDPOINT=f"http://{address}",
            ROTEL_BATCH_TIMEOUT="50ms",
        ) as gateway,
    ):
        with exporting(gateway.endpoint("grpc"), protocol="grpc") as telemetry:
            grind_a_sack(telemetry)
        wanted = {"otel_traces", "otel_logs", "otel_metrics_sum"}
        with asked.changed:
            assert asked.changed.wait_for(lambda: wanted <= asked.tables(), 30), asked.queries


class Asked:
    """Which queries came."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.queries: list[str] = []

    def tables(self) -> set[str]:
        found = (re.match(r"INSERT INTO (?:otel\.)?`?(\w+)", query) for query in self.queries)
        return {each[1] for each in found if each}


@contextmanager
def sink() -> Iterator[tuple[Asked, str]]:
    """An HTTP server that takes whatever it gets for well inserted."""
    asked = Asked()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            query = parse_qs(urlsplit(self.path).query).get("query", [""])[0]
            while size := int(self.rfile.readline() or b"0", 16):  # it comes in chunks
                self.rfile.read(size + 2)
            self.rfile.readline()
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()
            with asked.changed:
                asked.queries.append(unquote(query))
                asked.changed.notify_all()

        def log_message(self, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield asked, f"127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def test_what_goes_to_kafka_waits_for_a_broker(tmp_path: Path) -> None:
    settings = variables("gateway", "gateway-kafka")
    nobody = {"ROTEL_KAFKA_EXPORTER_BROKERS": f"127.0.0.1:{free_port()}"}
    with tier(tmp_path / "gateway", settings, **nobody) as gateway:
        with exporting(gateway.endpoint("grpc"), protocol="grpc") as telemetry:
            telemetry.execute("mill.sack", {"sack": 17})
        log = gateway.log.read_text("utf-8")

    for topic in ("otlp_traces", "otlp_metrics", "otlp_logs"):
        assert f"topic: {topic}" in log


@pytest.mark.parametrize("file", FILES)
def test_the_collector_knows_every_variable_and_its_value(file: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [Agent.BINARY, "start", "--help"], capture_output=True, text=True, check=True
    )
    known = set(re.findall(r"\[env: (ROTEL_\w+)=", done.stdout))
    settings = variables(file)

    assert set(settings) <= known
    with ExitStack() as stack:
        # It reads them all before it starts, and starts with none that it can't use.
        above = [] if file in {"agent", "gateway"} else ["gateway"]
        stack.enter_context(tier(tmp_path / "tier", variables(*above, file)))


def test_a_value_that_makes_no_sense_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="the collector ended"):
        tier(tmp_path / "tier", variables("gateway"), ROTEL_BATCH_TIMEOUT="soon")
