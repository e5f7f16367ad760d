# SPDX-License-Identifier: Apache-2.0
"""A forked child exports what it does itself, as itself, and nothing of its parent's."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter

import pytest
from opentelemetry.sdk.resources import Resource

from heliograph.otel.resource import ProcessResource
from tests.otel.endpoints import grpc_receiver, hanging, http_receiver

# Threads of the parent are in the middle of everything when it forks: spans, exports, collections.
UNDER_LOAD = """
import os, sys, threading
import heliograph
from heliograph import otel

bridge = otel.configure(
    sys.argv[1], protocol=sys.argv[2], catalogs=["modboss", "heliograph"],
    resource_attributes={"process.pid": os.getpid()},
    delay=0.005, metric_interval=0.005, batch_size=16, queue_size=100_000, **eval(sys.argv[3])
)

def read(schema):
    with heliograph.span("modboss.read", {"schema": schema, "names": ["a"]}):
        pass

stop = threading.Event()

def load(number):
    while not stop.wait(0.001):
        for _ in range(5):
            read("parent")

threads = [threading.Thread(target=load, args=(n,)) for n in range(4)]
for thread in threads:
    thread.start()
children = []
for number in range(8):
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            for _ in range(25):
                read(f"child-{number}")
            result = bridge.flush(20)
            health = bridge.health()
            status = 0 if result and health.signals["traces"].exported == 25 else 2
            if status: print(number, result, health, file=sys.stderr, flush=True)
        finally:
            os._exit(status)
    children.append(pid)
failed = [status for status in (os.waitpid(pid, 0)[1] for pid in children) if status]
stop.set()
for thread in threads:
    thread.join()
health = bridge.shutdown(20)
sys.exit(3 if failed or not health else 0)
"""


@pytest.mark.parametrize("options", ["{}", "{'temporality': 'delta'}"], ids=["totals", "deltas"])
def test_children_forked_under_load_export_their_own_and_nothing_twice(options: str) -> None:
    with http_receiver() as receiver:
        child = subprocess.run(
            [
                sys.executable, "-W", "ignore", "-c", UNDER_LOAD,
                f"http://127.0.0.1:{receiver.port}", "http/protobuf", options,
            ],
            check=False,
            capture_output=True,
            text=True,
            timeout=55,
        )  # fmt: skip

        assert child.returncode == 0, child.stderr
        spans = receiver.taken("traces")
        assert len({(span.trace_id, span.span_id) for span in spans}) == len(spans)
        schemas = Counter(
            attribute.value.string_value
            for span in spans
            for attribute in span.attributes
            if attribute.key == "modboss.schema"
        )
        assert {schemas[f"child-{number}"] for number in range(8)} == {25}
        # Everything a child has sent says which process and which instance it is.
        senders: dict[str, set[tuple[int, str]]] = {}
        for arrived in receiver.requests("traces"):
            (block,) = arrived.request.resource_spans
            resource = {each.key: each.value for each in block.resource.attributes}
            who = (resource["process.pid"].int_value, resource["service.instance.id"].string_value)
            for span in block.scope_spans[0].spans:
                (schema,) = [a for a in span.attributes if a.key == "modboss.schema"]
                senders.setdefault(schema.value.string_value, set()).add(who)
        assert all(len(who) == 1 for who in senders.values())
        assert len(set.union(*senders.values())) == 9


@pytest.mark.skipif(
    os.environ.get("GRPC_ENABLE_FORK_SUPPORT") == "0", reason="gRPC was told not to support forks"
)
def test_a_child_exports_over_grpc_too() -> None:
    script = UNDER_LOAD.replace("range(8)", "range(1)").replace("range(4)", "range(1)")
    with grpc_receiver() as receiver:
        child = subprocess.run(
            [
                sys.executable, "-W", "ignore", "-c", script,
                f"http://127.0.0.1:{receiver.port}", "grpc", "{}",
            ],
            check=False,
            capture_output=True,
            text=True,
            timeout=55,
            env={**os.environ, "GRPC_ENABLE_FORK_SUPPORT": "1"},
        )  # fmt: skip

        assert child.returncode == 0, child.stderr


class TestResource:
    """The resource says what is true of the present process."""

    def test_process_attributes_are_brought_up_to_date(self) -> None:
        resource = ProcessResource(
            Resource({"process.pid": 1, "service.instance.id": "a", "service.name": "shop"})
        )

        resource.refresh()

        assert resource.attributes["process.pid"] == os.getpid()
        assert resource.attributes["service.instance.id"] != "a"
        assert resource.attributes["service.name"] == "shop"
        assert "process.parent_pid" not in resource.attributes

    def test_what_somebody_chose_stays(self) -> None:
        resource = ProcessResource(
            Resource({"service.instance.id": "mine"}), frozenset({"service.instance.id"})
        )

        resource.refresh()

        assert resource.attributes["service.instance.id"] == "mine"

    def test_it_is_equal_to_itself_alone(self) -> None:
        one, two = ProcessResource(Resource({})), ProcessResource(Resource({}))

        assert one != two
        assert len({one, two, one}) == 2


HANGING = """
import os, sys, threading, time
import heliograph
from heliograph import otel

bridge = otel.configure(sys.argv[1], protocol="grpc", catalogs=["modboss"], signals=["traces"])
with heliograph.span("modboss.read", {"schema": "pump", "names": ["a"]}):
    pass
assert bridge.flush(0.2).status == "timed out"
began = time.monotonic()
pid = os.fork()
if pid == 0:
    os._exit(0)
print(time.monotonic() - began)
os.waitpid(pid, 0)
"""


def test_forking_does_not_wait_for_a_collector_that_hangs() -> None:
    with hanging() as port:
        child = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", HANGING, f"http://127.0.0.1:{port}"],
            check=False,
            capture_output=True,
            text=True,
            timeout=55,
            env={**os.environ, "GRPC_ENABLE_FORK_SUPPORT": "1"},
        )

    assert child.returncode == 0, child.stderr
    assert float(child.stdout) < 2.0
