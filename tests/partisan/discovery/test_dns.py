# SPDX-License-Identifier: Apache-2.0
"""Nodes found by a name server that really is one, and by the system."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from heliograph.partisan.discovery import DnsSource, Found, KubernetesSource, Source, SrvSource
from heliograph.partisan.discovery import dns as discovery_dns
from tests.partisan.discovery.nameserver import NameServer
from tests.partisan.node.conftest import Run


@pytest.fixture
def server() -> Iterator[NameServer]:
    with NameServer() as server:
        yield server


def look(run: Run, source: Source) -> list[Found]:
    found: list[Found] = run(source.find)
    return found


def test_addresses_of_both_families(run: Run, server: NameServer) -> None:
    server.zone = {
        ("orders.test.", "A"): ["127.0.0.1", "127.0.0.2"],
        ("orders.test.", "AAAA"): ["::1"],
    }
    servers = [server.address]

    both = look(run, DnsSource("orders.test", 7000, nameservers=servers))
    four = look(run, DnsSource("orders.test", 7000, family="a", nameservers=servers))
    six = look(run, DnsSource("orders.test", 7000, family="aaaa", nameservers=servers))

    assert sorted(each.address for each in both) == [
        "127.0.0.1:7000",
        "127.0.0.2:7000",
        "[::1]:7000",
    ]
    assert {each.address for each in four} == {"127.0.0.1:7000", "127.0.0.2:7000"}
    assert six == [Found("[::1]:7000")]


def test_one_family_is_enough(run: Run, server: NameServer) -> None:
    server.zone = {("orders.test.", "A"): ["127.0.0.1"]}

    source = DnsSource("orders.test", 7000, node="py", nameservers=[server.address])

    assert look(run, source) == [Found("127.0.0.1:7000", "py@127.0.0.1")]
    assert {kind for _, kind, _ in server.asked} == {"A", "AAAA"}


def test_a_name_that_does_not_exist_is_an_error_that_says_which(
    run: Run, server: NameServer
) -> None:
    with pytest.raises(OSError, match=r"A of nobody\.test: .*does not exist"):
        look(run, DnsSource("nobody.test", 7000, nameservers=[server.address]))


def test_the_system_is_asked_unless_told_otherwise(run: Run) -> None:
    found = look(run, DnsSource("localhost", 7000, family="a"))

    assert found == [Found("127.0.0.1:7000")]
    with pytest.raises(OSError):  # noqa: PT011 - the system's own words
        look(run, DnsSource("nobody.invalid", 7000))


def test_services_with_hosts_and_ports(run: Run, server: NameServer) -> None:
    server.zone = {
        ("_partisan._tcp.test.", "SRV"): [
            "0 10 7001 a.test.",
            "0 10 7002 b.test.",
            "0 0 1 c.test.",
        ],
        ("a.test.", "A"): ["127.0.0.1"],
        ("b.test.", "AAAA"): ["::1"],
    }

    source = SrvSource("_partisan._tcp.test", nameservers=[server.address])

    assert {each.address for each in look(run, source)} == {"127.0.0.1:7001", "[::1]:7002"}
    server.zone = {("_partisan._tcp.test.", "SRV"): ["0 0 1 c.test."]}
    with pytest.raises(OSError, match=r"A of c\.test"):
        look(run, source)


def test_an_answer_that_is_cut_short_is_asked_for_by_tcp(run: Run, server: NameServer) -> None:
    server.cut = True
    server.zone = {
        ("_partisan._tcp.test.", "SRV"): [f"0 10 {7000 + n} a.test." for n in range(200)],
        ("a.test.", "A"): ["127.0.0.1"],
    }

    found = look(run, SrvSource("_partisan._tcp.test", nameservers=[server.address]))

    assert len(found) == 200
    assert ("_partisan._tcp.test.", "SRV", "tcp") in server.asked


def test_a_headless_service_by_number_and_by_name_of_the_port(run: Run, server: NameServer) -> None:
    server.zone = {
        ("orders.shop.svc.cluster.local.", "A"): ["10.0.0.7"],
        ("_partisan._tcp.orders.shop.svc.cluster.local.", "SRV"): [
            "0 100 7000 10-0-0-7.orders.shop.svc.cluster.local."
        ],
        ("10-0-0-7.orders.shop.svc.cluster.local.", "A"): ["10.0.0.7"],
    }
    servers = [server.address]

    numbered = KubernetesSource("orders", 7000, namespace="shop", nameservers=servers)
    named = KubernetesSource("orders", "partisan", namespace="shop", nameservers=servers)

    assert look(run, numbered) == look(run, named) == [Found("10.0.0.7:7000")]
    assert (numbered.text, named.text) == ("k8s:orders.shop:7000", "k8s:orders.shop:partisan")


def test_a_pod_knows_its_namespace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(discovery_dns, "_NAMESPACE", tmp_path / "namespace")
    with pytest.raises(ValueError, match=r"k8s:SERVICE\.NAMESPACE:PORT"):
        KubernetesSource("orders", 7000)

    (tmp_path / "namespace").write_text("shop\n")

    assert KubernetesSource("orders", 7000).text == "k8s:orders.shop:7000"


def test_what_cannot_be_looked_up_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match="port from 1 to 65535"):
        DnsSource("orders.test", 0)
    with pytest.raises(ValueError, match="any, a or aaaa"):
        DnsSource("orders.test", 1, family="b")  # type: ignore[arg-type] # wrong on purpose
    with pytest.raises(ValueError, match="no service"):
        KubernetesSource("orders.shop", 1, namespace="x")
    with pytest.raises(ValueError, match="has no name"):
        SrvSource(".")
    with pytest.raises(ValueError, match="host:port"):
        SrvSource("orders", nameservers=["here:there"])


def test_without_the_extra_it_says_which() -> None:
    code = (
        "import sys; sys.modules['dns.resolver'] = None\n"
        "from heliograph.partisan.discovery import DnsSource, SrvSource\n"
        "DnsSource('orders.test', 1)\n"
        "try:\n    SrvSource('orders.test')\n"
        "except ImportError as error:\n    print(error)\n"
    )

    said = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout

    assert 'pip install "heliograph[dns]"' in said
