# SPDX-License-Identifier: Apache-2.0
"""examples/: every one runs, and shows what it is there to show."""

from __future__ import annotations

import ast
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from heliograph.catalog import load
from tests.otel.receiver import PATIENCE, FarSide
from tests.ports import free_port

EXAMPLES = Path(__file__).parents[1] / "examples"
# What this run has set for itself.
IGNORED = ("COVERAGE", "COV_", "FORCE_COLOR", "HELIOGRAPH", "OTEL_", "PYTEST")


def surroundings(**more: str) -> dict[str, str]:
    """What a stranger's shell has set, besides what a test says."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(IGNORED)}
    own = {"PYTHONUTF8": "1", "PYTHONDONTWRITEBYTECODE": "1", "PYTHONWARNINGS": "error"}
    return {**kept, **own, **more}


def run(*command: str | Path, cwd: Path = EXAMPLES, **more: str) -> str:
    """Run a program; return what it prints."""
    done = subprocess.run(
        [sys.executable, *command],
        cwd=cwd,
        env=surroundings(**more),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


@contextmanager
def going_on(*command: str | Path, cwd: Path, **more: str) -> Iterator[subprocess.Popen[str]]:
    """Run a program in another terminal, so to say, and interrupt it at the end."""
    with subprocess.Popen(
        command,
        cwd=cwd,
        env=surroundings(PYTHONUNBUFFERED="1", **more),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
    ) as process:
        try:
            yield process
        finally:
            process.send_signal(signal.SIGINT)
            try:
                process.communicate(timeout=PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()


def line_of(process: subprocess.Popen[str]) -> str:
    """The next line that it prints."""
    assert process.stdout is not None
    return process.stdout.readline()


def eventually(fetch: Callable[[], Any]) -> Any:
    """What comes of it as soon as it is something: of what can only be asked again and again."""
    pause, asked = threading.Event(), 0
    while not (found := fetch()):
        asked += 1
        assert asked * 0.05 < PATIENCE, "it did not happen"
        pause.wait(0.05)
    return found


def test_every_program_is_tested() -> None:
    programs = {path.relative_to(EXAMPLES) for path in EXAMPLES.rglob("*.py")}
    text = "".join(path.read_text("utf-8") for path in Path(__file__).parent.rglob("test_*.py"))
    modules = {
        Path("shop") / name for name in ("__init__.py", "counter.py", "events.py", "watch.py")
    }

    assert [each for each in programs - modules if each.name not in text] == []


def test_the_index_names_all_that_is_there() -> None:
    index = (EXAMPLES / "README.md").read_text("utf-8")
    linked = re.findall(r"\]\(([^)]+)\)", index)

    assert [each for each in linked if not (EXAMPLES / each).exists()] == []
    folders = {path.name for path in EXAMPLES.iterdir() if path.is_dir()} - {"__pycache__"}
    assert folders <= {each.partition("/")[0] for each in linked}
    alone = {path.name for path in EXAMPLES.glob("*.py")}
    assert alone <= set(linked)


class TestOwnLibrary:
    FOLDER = EXAMPLES / "own_library"

    def test_it_takes_twenty_lines_and_ten(self) -> None:
        catalog = (self.FOLDER / "squeeze.yaml").read_text("utf-8").splitlines()
        source = (self.FOLDER / "squeeze.py").read_text("utf-8")
        tree = ast.parse(source)
        said = {
            number
            for node in ast.walk(tree)
            if isinstance(node, ast.Module | ast.FunctionDef) and ast.get_docstring(node)
            for number in range(node.body[0].lineno, (node.body[0].end_lineno or 0) + 1)
        }
        python = [
            line
            for number, line in enumerate(source.splitlines(), 1)
            if line.strip() and not line.startswith("#") and number not in said
        ]

        assert len([line for line in catalog if line.strip()]) <= 20
        assert len(python) <= 10

    def test_the_catalog_and_the_source_agree(self) -> None:
        checking = ["catalog", "check", "squeeze.yaml", "--strict"]
        scanning = ["catalog", "scan", "squeeze.py", "--catalog", "squeeze.yaml", "--strict"]

        assert "all is well" in run("-m", "heliograph", *checking, cwd=self.FOLDER)
        assert "all is well" in run("-m", "heliograph", *scanning, cwd=self.FOLDER)

    def test_it_is_printed(self) -> None:
        lines = run("use_squeeze.py", cwd=self.FOLDER).splitlines()

        assert [re.findall(r"squeeze\.\S+", line)[0] for line in lines] == [
            *("squeeze.compress.start", "squeeze.compress.stop") * 2,
            "squeeze.in_vain",
        ]
        assert "document=key.bin" in lines[-1]

    def test_it_is_exported(self) -> None:
        with FarSide() as far:
            run("use_squeeze.py", far.http, cwd=self.FOLDER)

        letter, key = far.spans
        assert letter.name == key.name == "squeeze.compress"
        assert letter.attributes["squeeze.document"] == "letter.txt"
        assert letter.attributes["squeeze.read"] == 1900
        assert [log.event_name for log in far.logs if log.source.scope.name == "squeeze"] == [
            "squeeze.in_vain"
        ]
        assert {"squeeze.duration", "squeeze.output"} <= {metric.name for metric in far.metrics}


class TestHandlers:
    def test_a_file_says_who_listens(self, tmp_path: Path) -> None:
        folder = shutil.copytree(EXAMPLES / "handlers", tmp_path / "handlers")
        done = subprocess.run(
            [sys.executable, folder / "read_boiler.py"],
            cwd=tmp_path,
            env=surroundings(),
            capture_output=True,
            text=True,
            check=True,
        )
        told, read = done.stdout.splitlines()
        lines = (tmp_path / "journal.jsonl").read_text("utf-8").splitlines()
        logged = [line.split()[:2] for line in done.stderr.splitlines()]

        assert re.fullmatch(r"attempt 1 failed after [\d.]+ ms: Error\('device_busy'\)", told)
        assert read == "{'flow_temp': 55.5, 'pressure': 1.53}"
        journal = [json.loads(line)["event"] for line in lines]
        assert journal == ["modboss.read.start", "modboss.read.stop"]
        assert ["INFO", "modboss.link.connected"] in logged

    def test_the_program_names_no_handler(self) -> None:
        source = (EXAMPLES / "handlers" / "read_boiler.py").read_text("utf-8")

        assert "handlers.yaml" in source
        assert "watch" not in source.partition('"""')[2].partition('"""')[2]


class TestDeviceToPrometheus:
    @pytest.fixture
    def far(self) -> Iterator[FarSide]:
        with FarSide() as far:
            yield far

    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        """The example, beside the alert rules that it names."""
        shutil.copytree(
            EXAMPLES / "observability" / "alerts", tmp_path / "observability" / "alerts"
        )
        return shutil.copytree(EXAMPLES / "device_to_prometheus", tmp_path / "device_to_prometheus")

    @pytest.fixture
    def health(self, folder: Path, far: FarSide) -> Iterator[str]:
        """Where the gateway answers; it polls a device, and exports to the far side."""
        file = folder / "gateway.yaml"
        text = file.read_text("utf-8")
        (command,) = re.findall(r"#     heliograph (modbus serve .*)", text)
        health = f"127.0.0.1:{free_port()}"
        serve = [sys.executable, "-m", "heliograph", *shlex.split(command)]
        with going_on(*serve[:-1], "0", cwd=folder) as device:
            said = line_of(device)
            address = re.search(r"127\.0\.0\.1:\d+", said)
            assert address, said
            for before, after in (
                ("tcp://127.0.0.1:1502", f"tcp://{address[0]}"),
                ("health: 127.0.0.1:8080", f"health: {health}"),
                ("http://127.0.0.1:4318", far.http),
                ("metric_interval: 10", "metric_interval: 0.2"),
                ("every: 1,", "every: 0.2,"),
            ):
                assert before in text
                text = text.replace(before, after)
            file.write_text(text, "utf-8")
            gateway = [sys.executable, "-m", "heliograph", "gateway", "gateway.yaml"]
            with going_on(*gateway, cwd=folder):
                yield health

    def test_the_collector_gets_all_signals(self, health: str, far: FarSide) -> None:
        far.wait(lambda: any(metric.name == "gateway.device.value" for metric in far.metrics))
        far.wait(lambda: any(span.name == "modboss.read" for span in far.spans))
        far.wait(lambda: any(log.event_name == "gateway.device.taken" for log in far.logs))

    def test_prometheus_gets_the_values(
        self, health: str, folder: Path, foreign_tool: Callable[[str, str], Path]
    ) -> None:
        wanted = (
            r'gateway_device_value\{gateway_device_mapping="pressure",'
            r'gateway_device_name="boiler",gateway_device_unit="bar"\} 1\.5'
        )
        eventually(lambda: re.search(wanted, asked(f"http://{health}/metrics")))

        config = folder / "prometheus.yaml"
        text = config.read_text("utf-8").replace("127.0.0.1:8080", health)
        config.write_text(text.replace("scrape_interval: 15s", "scrape_interval: 200ms"), "utf-8")
        port = free_port()
        prometheus: list[str | Path] = [
            foreign_tool("prometheus", "prometheus"),
            f"--config.file={config}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
            "--log.level=error",
        ]
        api = f"http://127.0.0.1:{port}/api/v1"
        with going_on(*prometheus, cwd=folder):
            found = eventually(lambda: results(f"{api}/query?query=gateway_device_value"))
            rules = json.loads(asked(f"{api}/rules"))["data"]["groups"]

        values = {each["metric"]["gateway_device_mapping"]: each["value"][1] for each in found}
        assert values["pressure"] == "1.5"
        assert 50 <= float(values["flow_temp"]) <= 70
        assert {each["metric"]["instance"] for each in found} == {health}
        assert rules


def asked(url: str) -> str:
    """What is answered at a URL, "" as long as nothing is."""
    try:
        with urllib.request.urlopen(url, timeout=PATIENCE) as answer:
            return str(answer.read().decode())
    except urllib.error.URLError:
        return ""


def results(url: str) -> list[Any]:
    """What a query of Prometheus gives."""
    return json.loads(asked(url) or '{"data": {"result": []}}')["data"]["result"]  # type: ignore[no-any-return]


def test_the_gateway_of_a_fleet_finds_no_fault_in_its_file() -> None:
    checked = run("-m", "heliograph", "gateway", "gateway/gateway.yaml", "--check")

    assert checked.endswith("2 devices with 6 mappings; no faults\n")


def test_a_node_works_beside_a_peer_that_stands_for_an_erlang_one() -> None:
    folder = EXAMPLES / "cluster"
    serve = [sys.executable, "beside_erlang.py", "--serve", "127.0.0.1:0"]
    with going_on(*serve, cwd=folder) as peer:
        address = line_of(peer).split()[-1]
        printed = run("beside_erlang.py", "n1@127.0.0.1", address, cwd=folder)
        assert peer.wait(PATIENCE) == 0

    assert printed.splitlines() == [
        "members: n1@127.0.0.1 py1@127.0.0.1",
        "21 doubled: 42",
        "doubler has ended: normal",
    ]


def test_two_nodes_make_one_trace() -> None:
    folder = EXAMPLES / "tracing"
    with FarSide() as far:
        printed = run("two_nodes.py", cwd=folder, OTEL_EXPORTER_OTLP_ENDPOINT=far.http)

    assert printed == "packed: a parcel of tea\n"
    spans = {span.span_id: span for span in far.spans}
    tree = []
    (span,) = [each for each in spans.values() if each.name == "orders.pack"]
    while True:
        tree.append((span.name, span.source.service))
        if span.parent_id is None:
            break
        span = spans[span.parent_id]
    source = (folder / "two_nodes.py").read_text("utf-8")
    shown = re.findall(r"(?m)^[ └─]+([a-z.]+) {3,}(\w+)$", source)
    assert tree[::-1] == shown
    assert len(spans) == len({each.span_id for each in far.spans}) == 4
    assert len({each.trace_id for each in spans.values()}) == 1


class TestStrictTests:
    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        return shutil.copytree(EXAMPLES / "strict_tests", tmp_path / "project")

    def outcome(self, folder: Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "pytest"],
            cwd=folder,
            env=surroundings(),
            capture_output=True,
            text=True,
            check=False,
        )

    def test_the_project_keeps_its_word(self, folder: Path) -> None:
        done = self.outcome(folder)

        assert done.returncode == 0, done.stdout
        assert re.search(r"greeting +4 +4 +100%", done.stdout)

    @pytest.mark.parametrize(
        ("before", "after", "told"),
        [
            ('{"count": len', '{"cuont": len', "measurements.cuont: undeclared"),
            ('execute("greeting.said"', 'execute("greeting.sad"', "greeting.sad, emitted at"),
        ],
        ids=["a key", "a name"],
    )
    def test_a_slip_fails_a_test(self, folder: Path, before: str, after: str, told: str) -> None:
        source = folder / "greeting.py"
        text = source.read_text("utf-8")
        assert before in text
        source.write_text(text.replace(before, after), "utf-8")

        done = self.outcome(folder)

        assert done.returncode == 1
        assert told in done.stdout

    def test_an_event_that_no_test_emits_fails_the_run(self, folder: Path) -> None:
        tests = folder / "test_greeting.py"
        text = tests.read_text("utf-8")
        tests.write_text(text.partition("def test_an_empty_room")[0], "utf-8")

        done = self.outcome(folder)

        assert done.returncode == 1
        assert "no test emitted" in done.stdout


def test_the_first_event_is_heard() -> None:
    printed = run("first_event.py")

    assert re.fullmatch(r"shop\.checkout\.stop took \d+\.\d ms for order A-17\n", printed)


@pytest.fixture(scope="module")
def demo() -> str:
    return run("demo.py")


class TestShop:
    def test_the_demo_keeps_its_promises(self, demo: str) -> None:
        assert re.search(r"^all \d+ promises kept$", demo, re.MULTILINE)

    def test_the_demo_is_plain_in_a_pipe(self, demo: str) -> None:
        assert "\x1b" not in demo

    def test_the_demo_counts_every_event_of_the_shop(self, demo: str) -> None:
        catalog = load(EXAMPLES / "shop" / "shop.yaml")
        summary = demo.partition("What happened")[2]
        entries = {spec.span or name for name, spec in catalog.events.items() if not spec.alias_of}

        assert all(
            re.search(rf"^ {re.escape(name)} +\d+ ", summary, re.MULTILINE) for name in entries
        )

    def test_the_export_reaches_a_collector(self) -> None:
        with FarSide() as far:
            printed = run("otel_export.py", far.http)

        checkouts = {span.span_id: span for span in far.spans if span.name == "shop.checkout"}
        payments = [span for span in far.spans if span.name == "shop.payment"]
        refused = [log for log in far.logs if log.event_name == "shop.order.refused"]
        assert printed.startswith("ok traces=")
        assert [span.attributes["shop.till"] for span in checkouts.values()] == ["front"] * 3
        assert len(payments) == 2
        assert {span.parent_id for span in payments} < set(checkouts)
        assert {"shop.orders", "shop.checkout.duration"} == {metric.name for metric in far.metrics}
        assert len(refused) == 2
        assert "Ada" not in repr((far.spans, far.logs)), "who buys is sensitive"


MODBUS_SPANS = ("modboss.read", "modboss.read_callback", "modboss.write", "modboss.write_callback")


def test_reads_and_writes_of_a_device_reach_a_collector_with_each_attempt() -> None:
    with FarSide() as far:
        printed = run("modbus_export.py", far.http)

    by_name = {name: [each for each in far.spans if each.name == name] for name in MODBUS_SPANS}
    reading = min(by_name["modboss.read"], key=lambda span: span.start)
    attempts = sorted(
        (each for each in by_name["modboss.read_callback"] if each.parent_id == reading.span_id),
        key=lambda span: span.start,
    )
    assert printed.startswith("55.5 Cel at 1.53 bar, setpoint 65.0\nok traces=")
    assert {span.kind for span in far.spans} == {"client"}
    assert [each.attributes.get("error.type") for each in attempts] == ["device_busy", None]
    assert [each.attributes["modboss.attempt.number"] for each in attempts] == [1, 2]
    assert attempts[0].attributes["modbus.exception.code"] == 6
    assert reading.attributes["modbus.unit.id"] == 1
    assert (reading.attributes["server.address"], reading.status) == ("127.0.0.1", "unset")
    assert len(by_name["modboss.write_callback"]) == 2
    metrics = {metric.name for metric in far.metrics}
    assert {"modbus.client.operation.duration", "modbus.client.retries"} <= metrics
