# SPDX-License-Identifier: Apache-2.0
"""Encrypted connections: certificates on both sides, and names bound to them."""

from __future__ import annotations

import ssl
import warnings
from collections.abc import Callable
from ipaddress import ip_network
from pathlib import Path

import anyio
import pytest
import trustme

from heliograph.partisan import Admission, JoinError, Tls
from heliograph.partisan.tls import certified_names
from heliograph.testing import Captured
from tests.partisan.node.clusters import all_up, make, until
from tests.partisan.node.conftest import Run

Certified = Callable[..., Tls]

TRYING = 1.0
"""Seconds for a join that fails: long enough for handshakes on a busy machine, for all are tried
until then."""


@pytest.fixture
def certified(tmp_path: Path) -> Certified:
    """Makes what a node needs, certified by an authority of its own unless another is given."""
    authorities: dict[str, trustme.CA] = {}

    def make_tls(name: str, *, authority: str = "ours", bind: bool = False) -> Tls:
        ca = authorities.setdefault(authority, trustme.CA())
        issued = ca.issue_cert(name, "127.0.0.1")
        certificate, trusted = tmp_path / f"{name}.pem", tmp_path / f"{authority}.ca"
        issued.private_key_and_cert_chain_pem.write_to_path(certificate)
        ca.cert_pem.write_to_path(trusted)
        return Tls(certificate, trusted, bind_names=bind)

    return make_tls


def test_nodes_talk_encrypted(run: Run, certified: Certified, telemetry_events: Captured) -> None:
    async def main() -> None:
        async with (
            make("a", tls=certified("a@127.0.0.1", bind=True)) as a,
            make("b", tls=certified("b@127.0.0.1", bind=True)) as b,
        ):
            inbox = b.register("sink")
            await a.sync_join(b.name, b.listen_addrs[0])
            await all_up([a, b])
            for message in (b"small", b"x" * 300_000, (1, 2)):
                for ack in (False, True):
                    await a.send(b.name, "sink", message, ack=ack)
                    assert await inbox.receive() == message

    run(main)
    telemetry_events.assert_event("partisan.socket.open", {"count": 1}, {"tls": True})
    telemetry_events.assert_event("partisan.socket.connect", {"count": 1}, {"tls": True})


def test_tls_beyond_loopback_needs_no_warning(run: Run, certified: Certified) -> None:
    async def main() -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            tls = certified("a@127.0.0.1")
            async with make("a", listen="0.0.0.0:0", advertise="127.0.0.1:1", tls=tls):
                pass

    run(main)


def test_a_node_of_another_authority_is_not_let_in(run: Run, certified: Certified) -> None:
    async def main() -> None:
        async with (
            make("a", tls=certified("a@127.0.0.1")) as a,
            make("b", tls=certified("b@127.0.0.1", authority="theirs")) as b,
        ):
            with pytest.raises(JoinError, match=r"(?i)certificate|hung up|closed|reset|not answer"):
                await b.join(a.name, a.listen_addrs[0], deadline=TRYING)
            assert len(a.members()) == len(b.members()) == 1

    run(main)


def test_plain_and_encrypted_nodes_do_not_understand_each_other(
    run: Run, certified: Certified
) -> None:
    async def main() -> None:
        async with make("a", tls=certified("a@127.0.0.1")) as a, make("b") as b:
            with pytest.raises(JoinError):
                await b.join(a.name, a.listen_addrs[0], deadline=TRYING)
            with pytest.raises(JoinError):
                await a.join(b.name, b.listen_addrs[0], deadline=TRYING)
            assert len(a.members()) == len(b.members()) == 1

    run(main)


def test_a_name_that_is_not_certified_is_refused_by_who_is_dialled(
    run: Run, certified: Certified, telemetry_events: Captured
) -> None:
    async def main() -> None:
        async with (
            make("a", tls=certified("a@127.0.0.1", bind=True)) as a,
            make("b", tls=certified("somebody@127.0.0.1")) as b,
        ):
            with pytest.raises(JoinError):
                await b.join(a.name, a.listen_addrs[0], deadline=TRYING)
            assert len(a.members()) == 1
            telemetry_events.assert_event(
                "partisan.socket.close",
                None,
                {"node": a.name, "reason": "refused", "side": "server", "peer": b.name},
            )

    run(main)


def test_and_by_who_dials(run: Run, certified: Certified, telemetry_events: Captured) -> None:
    async def main() -> None:
        async with (
            make("a", tls=certified("somebody@127.0.0.1")) as a,
            make("b", tls=certified("b@127.0.0.1", bind=True)) as b,
        ):
            with pytest.raises(JoinError, match="refused"):
                await b.join(a.name, a.listen_addrs[0], deadline=TRYING)
            telemetry_events.assert_event(
                "partisan.socket.close", None, {"node": b.name, "reason": "refused"}
            )

    run(main)


def test_files_that_are_not_there_are_named(run: Run, tmp_path: Path) -> None:
    async def main() -> None:
        with pytest.raises(FileNotFoundError):
            async with make("a", tls=Tls(tmp_path / "none.pem", tmp_path / "none.ca")):
                pass

    run(main)


def test_names_of_a_certificate() -> None:
    certificate = {
        "subject": ((("commonName", "common"),), (("organizationName", "none"),)),
        "subjectAltName": (
            ("DNS", "host"),
            ("email", "n@host"),
            ("URI", "u:n"),
            ("IP Address", "1"),
        ),
    }

    assert certified_names(certificate) == {"common", "host", "n@host", "u:n"}
    assert certified_names(None) == frozenset()


# -- Who is let in without certificates ------------------------------------------------------------


def test_only_listed_peers_are_let_in(run: Run, telemetry_events: Captured) -> None:
    async def main() -> None:
        admission = Admission(peers=frozenset({"b@127.0.0.1"}))
        async with make("a", admission=admission) as a, make("b") as b, make("c") as c:
            inbox = a.register("sink")
            await b.sync_join(a.name, a.listen_addrs[0])
            await all_up([a, b])
            await b.send(a.name, "sink", b"let in")
            assert await inbox.receive() == b"let in"
            with pytest.raises(JoinError):
                await c.join(a.name, a.listen_addrs[0], deadline=TRYING)
            with pytest.raises(JoinError, match="not on the list"):
                await a.join(c.name, c.listen_addrs[0], deadline=TRYING)
            assert len(a.members()) == 2

    run(main)
    telemetry_events.assert_event(
        "partisan.socket.close",
        None,
        {"node": "a@127.0.0.1", "reason": "refused", "peer": "c@127.0.0.1"},
    )


def test_only_listed_networks_are_let_in(run: Run, telemetry_events: Captured) -> None:
    async def main() -> None:
        admission = Admission(networks=(ip_network("192.0.2.0/24"),))
        async with make("a", admission=admission) as a, make("b") as b:
            with pytest.raises(JoinError):
                await b.join(a.name, a.listen_addrs[0], deadline=TRYING)

    run(main)
    telemetry_events.assert_event(
        "partisan.socket.close", None, {"node": "a@127.0.0.1", "reason": "refused"}
    )


@pytest.mark.parametrize(
    ("address", "admitted"),
    [("192.0.2.7", True), ("198.51.100.1", False), ("::ffff:192.0.2.7", True), ("::1", False)],
)
def test_networks(address: str, admitted: bool) -> None:
    assert Admission(networks=(ip_network("192.0.2.0/24"),)).admits_address(address) is admitted
    assert Admission().admits_address(address)


def test_early_messages_of_a_listed_peer_are_kept_until_it_says_who_it_is(run: Run) -> None:
    """As an Erlang node may do: its first frame can be a message, before its hello."""

    async def main() -> None:
        admission = Admission(peers=frozenset({"b@127.0.0.1"}))
        async with make("a", admission=admission) as a:
            inbox = a.register("sink")
            host, port = a.listen_addrs[0].split(":")
            async with await anyio.connect_tcp(host, int(port)) as stream:
                early = a._routes.templates.plain_head("sink", 5) + b"early"
                for _ in range(3):
                    await stream.send(early)
                    await anyio.wait_all_tasks_blocked()
                await until(a.connections)
                assert len(inbox) == 0
                from heliograph.partisan.templates import framed
                from heliograph.partisan.wire import Atom, encode

                hello = (Atom("hello"), Atom("b@127.0.0.1"), Atom("undefined"))
                await stream.send(framed(encode(hello)))
                for _ in range(3):
                    assert await inbox.receive() == b"early"

    run(main)


def test_files_that_are_none_are_named(tmp_path: Path) -> None:
    ca = trustme.CA()
    mine, other = ca.issue_cert("a@127.0.0.1"), ca.issue_cert("b@127.0.0.1")
    chain, key, alien, trusted, junk = (
        tmp_path / name for name in ("chain", "key", "alien", "trusted", "junk")
    )
    mine.cert_chain_pems[0].write_to_path(chain)
    mine.private_key_pem.write_to_path(key)
    other.private_key_pem.write_to_path(alien)
    ca.cert_pem.write_to_path(trusted)
    junk.write_text("junk")
    Tls(chain, trusted, key).server_context()

    for tls in (Tls(tmp_path / "no", trusted), Tls(chain, trusted, tmp_path / "no")):
        with pytest.raises(FileNotFoundError) as missing:
            tls.client_context()
        assert missing.value.filename == str(tmp_path / "no")
    for tls, expected in (
        (Tls(chain, junk, key), f"{junk}: not certificates in PEM: "),
        (Tls(chain, trusted, alien), f"{chain} and {alien}: not a certificate with its key"),
        (Tls(chain, trusted), f"{chain}: not a certificate with its key in PEM: "),
    ):
        with pytest.raises(ssl.SSLError) as wrong:
            tls.client_context()
        assert str(wrong.value).startswith(expected)
