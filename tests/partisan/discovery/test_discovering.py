# SPDX-License-Identifier: Apache-2.0
"""Nodes that find each other, on real sockets."""

from __future__ import annotations

import socket
import threading
from contextlib import AsyncExitStack, closing
from pathlib import Path
from typing import Any

import anyio
import pytest
import trustme

from heliograph import Error, Ok
from heliograph.partisan import HyParView, Node, Tls
from heliograph.partisan.discovery import (
    DiscoveryConfig,
    DnsSource,
    FileSource,
    Found,
    ListSource,
    Source,
    SrvSource,
)
from heliograph.testing import Captured
from tests.partisan.discovery.nameserver import NameServer
from tests.partisan.node.clusters import SLOW_PINGS, all_up, make, until
from tests.partisan.node.conftest import Run
from tests.ports import free_port

QUICK = DiscoveryConfig(interval=0.2, backoff=0.02, timeout=5.0)
STOP = "partisan.discovery.attempt.stop"
CONTACT = "partisan.discovery.contact.stop"


def port(node: Node) -> int:
    return int(node.listen_addrs[0].rpartition(":")[2])


def test_nodes_find_each_other_by_a_service(run: Run, telemetry_events: Captured) -> None:
    async def main() -> None:
        with NameServer() as server:
            source = SrvSource("_partisan._tcp.test", nameservers=[server.address])
            async with AsyncExitStack() as stack:
                nodes = [
                    await stack.enter_async_context(
                        make(name, discovery=[source], discovery_config=QUICK)
                    )
                    for name in "abc"
                ]
                # At first there is no such service.
                await telemetry_events.until(STOP, {"found": 0})
                server.zone = {
                    ("_partisan._tcp.test.", "SRV"): [f"0 0 {port(n)} host.test." for n in nodes],
                    ("host.test.", "A"): ["127.0.0.1"],
                }
                await all_up(nodes)
                await telemetry_events.until(STOP, {"found": 3})

    run(main)
    failed, found = (
        next(each for each in telemetry_events.named(STOP) if each.measurements["found"] == count)
        for count in (0, 3)
    )
    assert failed.metadata["source"] == "srv:_partisan._tcp.test"
    assert isinstance(failed.metadata["result"], Error)
    assert "does not exist" in str(failed.metadata["result"].reason)
    assert found.metadata["result"] == Ok(None)
    joined = [each.metadata for each in telemetry_events.named(CONTACT) if each.metadata["joined"]]
    assert joined
    assert all(each["peer"] != each["node"] for each in joined)


def test_nodes_whose_names_follow_from_their_addresses(run: Run) -> None:
    async def main() -> None:
        with NameServer() as server:
            server.zone = {("orders.test.", "A"): ["127.0.0.1"]}
            async with make("py") as first:
                source = DnsSource(
                    "orders.test", port(first), node="py", nameservers=[server.address]
                )
                async with make("other", discovery=[source]) as second:
                    await all_up([first, second])

    run(main)


def test_a_node_never_gives_up_and_follows_a_file(
    run: Run, tmp_path: Path, telemetry_events: Captured
) -> None:
    path = tmp_path / "nodes"

    async def main() -> None:
        # So long an interval that only a change of the file can be what is followed.
        slow = DiscoveryConfig(interval=600, backoff=600)
        source = FileSource(path, interval=0.01)
        async with (
            make("a", discovery=[source], discovery_config=slow) as a,
            make("b") as b,
            make("c") as c,
        ):
            await telemetry_events.until(STOP, {"found": 0})
            path.write_text(f"{a.listen_addrs[0]}\n{b.listen_addrs[0]}\n")
            await all_up([a, b])
            path.write_text(f"{c.name}={c.listen_addrs[0]}  # comes late\n")
            await all_up([a, b, c])

    run(main)


def test_it_ignores_itself_whatever_it_is_called(run: Run, telemetry_events: Captured) -> None:
    async def main() -> None:
        # Advertised elsewhere, so that only the answer tells who listens there.
        address = f"127.0.0.1:{free_port()}"
        sources = [ListSource([address])]
        async with make("a", listen=address, advertise="127.0.0.2:9", discovery=sources) as a:
            await telemetry_events.until(CONTACT)
            assert [member.name for member in a.members()] == [a.name]

    run(main)
    (contact,) = telemetry_events.named(CONTACT)
    assert contact.metadata["peer"] == contact.metadata["node"]
    assert contact.metadata["joined"] is False
    assert contact.metadata["result"] == Ok(None)


def test_members_are_left_alone(run: Run, telemetry_events: Captured) -> None:
    async def main() -> None:
        async with make("a") as a:
            sources = [ListSource([*a.listen_addrs, f"{a.name}=127.0.0.1:9"])]
            async with make("b", discovery=sources, discovery_config=QUICK) as b:
                await all_up([a, b])
                before = len(telemetry_events.named(CONTACT))
                looks = len(telemetry_events.named(STOP)) + 3
                await until(lambda: len(telemetry_events.named(STOP)) >= looks)
                assert len(telemetry_events.named(CONTACT)) == before

    run(main)


def test_hosts_by_name(run: Run, telemetry_events: Captured) -> None:
    async def main() -> None:
        async with make("a") as a:
            sources = [ListSource([f"localhost:{port(a)}"])]
            async with make("b", discovery=sources, discovery_config=QUICK) as b:
                await all_up([a, b])
                # Now its address is known to be a member's, which only looking it up tells.
                await telemetry_events.until(CONTACT, metadata={"joined": False})
                assert len(b.members()) == 2

    run(main)


def test_a_partial_view_is_looked_for_while_it_is_empty(
    run: Run, telemetry_events: Captured
) -> None:
    async def main() -> None:
        # On a busy machine a quick ping might go unanswered, and the neighbor be lost for a moment.
        options: dict[str, Any] = {"manager": HyParView(), "protocol": SLOW_PINGS}
        async with make("a", **options) as a:
            sources = [ListSource(a.listen_addrs), ListSource(["127.0.0.1:1"])]
            async with make("b", discovery=sources, discovery_config=QUICK, **options) as b:
                await until(lambda: len(b.members()) == 2 and len(a.members()) == 2)
                seen = len(telemetry_events.named(CONTACT))
                looks = len(telemetry_events.named(STOP)) + 4
                await until(lambda: len(telemetry_events.named(STOP)) >= looks)
                # The other one is left alone as long as there is a neighbor.
                assert len(telemetry_events.named(CONTACT)) <= seen + 1

    run(main)


class Hostile:
    """Listens, and says something else than its name."""

    def __init__(self, said: bytes) -> None:
        self._said = said
        self._server = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._server.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._server.accept()
            except OSError:
                return
            with connection:
                connection.sendall(self._said)

    def close(self) -> None:
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()


@pytest.mark.parametrize(
    ("said", "match"),
    [
        (b"", "hung up before it said its name"),
        (b"\x00\x00\x00\x02\x83a", "is no node"),
        (b"\x00\x00\x00\x03\x83a\x01", "does not say its name"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "is no node"),
    ],
)
def test_what_is_no_node_is_told_and_tried_again(
    run: Run, telemetry_events: Captured, said: bytes, match: str
) -> None:
    async def main() -> None:
        with closing(Hostile(said)) as hostile:
            sources = [ListSource([hostile.address])]
            async with make("a", discovery=sources, discovery_config=QUICK):
                await until(lambda: len(telemetry_events.named(CONTACT)) >= 2)

    run(main)
    for contact in telemetry_events.named(CONTACT)[:2]:
        assert isinstance(contact.metadata["result"], Error)
        assert match in str(contact.metadata["result"].reason)


def test_whoever_cannot_be_joined_or_resolved(run: Run, telemetry_events: Captured) -> None:
    async def main() -> None:
        gone = f"127.0.0.1:{free_port()}"
        async with make("b") as b:
            sources = [ListSource([gone, f"x@127.0.0.1={b.listen_addrs[0]}", "nobody.invalid:1"])]
            config = DiscoveryConfig(interval=0.2, backoff=0.02)
            async with make("a", discovery=sources, discovery_config=config) as a:
                await until(lambda: len(telemetry_events.named(CONTACT)) >= 3)
                assert len(a.members()) == 1

    run(main)
    results = [each.metadata["result"] for each in telemetry_events.named(CONTACT)]
    assert all(isinstance(each, Error) for each in results)
    reasons = [str(each.reason) for each in results]
    assert any("b@127.0.0.1 listens at 127.0.0.1:" in reason for reason in reasons)
    assert any("not x@127.0.0.1" in reason for reason in reasons)


class Broken(Source):
    """A source of one's own that fails, and then does not answer at all."""

    text = "broken"

    def __init__(self) -> None:
        self.looks = 0

    async def find(self) -> list[Found]:
        self.looks += 1
        if self.looks == 1:
            raise ZeroDivisionError("mine")
        await anyio.sleep_forever()
        return []


def test_a_source_of_ones_own_may_fail_or_hang(run: Run, telemetry_events: Captured) -> None:
    source = Broken()

    async def main() -> None:
        config = DiscoveryConfig(backoff=0.01, timeout=0.05)
        async with make("b") as b:
            good = ListSource([*b.listen_addrs])
            async with make("a", discovery=[source, good], discovery_config=config) as a:
                await all_up([a, b])
                await until(lambda: source.looks >= 3)

    run(main)
    source.looks = 0
    reasons = [
        each.metadata["result"].reason
        for each in telemetry_events.named(STOP)
        if each.metadata["source"] == "broken"
    ]
    assert isinstance(reasons[0], ZeroDivisionError)
    assert isinstance(reasons[1], TimeoutError)


def test_far_too_many_addresses_are_drawn_by_lot(run: Run, telemetry_events: Captured) -> None:
    async def main() -> None:
        sources = [ListSource([f"nobody{n}.invalid:1" for n in range(50)])]
        config = DiscoveryConfig(found=3, at_once=2, backoff=600, interval=600)
        async with make("a", discovery=sources, discovery_config=config):
            await until(lambda: len(telemetry_events.named(CONTACT)) >= 3)

    run(main)
    assert telemetry_events.named(STOP)[0].measurements["found"] == 50
    assert len(telemetry_events.named(CONTACT)) == 3


def test_over_tls(run: Run, tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "authority.pem")
    issued = authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem
    issued.write_to_path(tmp_path / "node.pem")
    tls = Tls(tmp_path / "node.pem", tmp_path / "authority.pem")

    async def main() -> None:
        async with make("a", tls=tls) as a:
            sources = [ListSource([*a.listen_addrs])]
            async with make("b", tls=tls, discovery=sources) as b:
                await all_up([a, b])

    run(main)
