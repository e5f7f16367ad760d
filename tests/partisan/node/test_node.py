# SPDX-License-Identifier: Apache-2.0
"""A node: joining, leaving, and messages of every kind."""

from __future__ import annotations

import warnings
from dataclasses import replace
from functools import partial
from itertools import product
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from heliograph.partisan import (
    Atom,
    Change,
    Channel,
    EncodeError,
    InboxClosedError,
    JoinError,
    ListenError,
    NameTakenError,
    Node,
    NodeClosedError,
    NoReplyError,
    NotConnectedError,
    RemoteRef,
    Request,
    UnknownNodeError,
)
from heliograph.partisan.driver import PlaintextWarning
from heliograph.partisan.protocol import inputs
from heliograph.partisan.protocol.streams import DeliveryConfig
from heliograph.partisan.wire import encode
from tests.partisan.node.clusters import SLOW_PINGS, all_up, cluster, make, until
from tests.partisan.node.conftest import Run
from tests.partisan.node.harm import Guard


def both_ways(node: Node, count: int) -> bool:
    """Whether a node has so many connections, dialled and accepted."""
    sides = [each.side for each in node.connections()]
    return len(sides) == count and sides.count("client") == count // 2


class TestMembership:
    def test_three_nodes_become_one_cluster(self, run: Run) -> None:
        async def main() -> None:
            async with cluster("a", "b", "c") as nodes:
                for node in nodes:
                    assert [each.name for each in node.members()] == [
                        "a@127.0.0.1",
                        "b@127.0.0.1",
                        "c@127.0.0.1",
                    ]
                    # Two of `data`, and the two channels that are always there, each way.
                    await until(partial(both_ways, node, 16))

        run(main)

    def test_changes_tell_who_comes_and_goes_and_why(self, run: Run) -> None:
        async def main() -> None:
            async with make("a") as a, make("b") as b:
                with a.changes() as changes:
                    await b.join(a.name, a.listen_addrs[0])
                    await all_up([a, b])
                    await b.leave()
                    seen = []
                    async for change in changes:
                        seen.append(change)
                        if change.kind == "leave":
                            break
                kinds = [change.kind for change in seen]
                assert kinds[0] == "join"
                assert kinds.count("channel_up") == 3
                assert kinds.index("up") > kinds.index("channel_up")
                assert Change("down", b.name, None, "leave") in seen
                assert changes.dropped == 0
                await until(lambda: len(a.members()) == 1)
                assert [each.name for each in b.members()] == [b.name]

        run(main)

    def test_callbacks_hear_of_a_node_and_of_a_channel(self, run: Run) -> None:
        async def main() -> None:
            seen: list[Change] = []
            async with make("a") as a, make("b") as b:
                a.on_up(b.name, seen.append)
                a.on_up(None, seen.append, channel="data")
                a.on_down(b.name, seen.append)
                closed = a.on_down(None, seen.append)
                closed.close()
                a.on_up("other@127.0.0.1", seen.append)
                await a.sync_join(b.name, b.listen_addrs[0])
                await a.leave(b.name)
                await until(lambda: len(seen) == 3)
            assert seen == [
                Change("channel_up", b.name, "data"),
                Change("up", b.name),
                Change("down", b.name, None, "leave"),
            ]

        run(main)

    def test_a_callback_that_fails_is_logged_and_the_cluster_goes_on(
        self, run: Run, caplog: pytest.LogCaptureFixture
    ) -> None:
        def fail(change: Change) -> None:
            raise RuntimeError("mine")

        async def main() -> None:
            async with make("a") as a, make("b") as b:
                a.on_up(None, fail)
                await a.sync_join(b.name, b.listen_addrs[0])

        run(main)
        assert "a callback failed" in caplog.text

    def test_a_callback_that_nobody_would_await_is_refused(self, run: Run) -> None:
        async def later(change: Change) -> None: ...

        async def main() -> None:
            async with make("a") as a:
                with pytest.raises(TypeError, match="coroutine function"):
                    a.on_down(None, later)

        run(main)

    def test_a_removed_node_starts_anew_and_may_come_back(self, run: Run) -> None:
        async def main() -> None:
            async with cluster("a", "b", "c") as (a, b, c):
                await a.leave(c.name)
                await until(lambda: len(c.members()) == 1 and len(b.members()) == 2)
                await c.sync_join(b.name, b.listen_addrs[0])
                await all_up([a, b, c])

        run(main)

    def test_all_join_all_at_the_same_time(self, run: Run) -> None:
        async def main() -> None:
            async with make("a") as a, make("b") as b, make("c") as c:
                nodes = [a, b, c]
                async with anyio.create_task_group() as tasks:
                    for one in nodes:
                        for other in nodes:
                            tasks.start_soon(one.join, other.name, other.listen_addrs[0])
                await all_up(nodes)

        run(main)

    def test_a_node_that_comes_back_elsewhere_with_other_channels_is_one_member(
        self, run: Run
    ) -> None:
        async def main() -> None:
            async with make("a") as a:
                async with make("b") as b:
                    await b.sync_join(a.name, a.listen_addrs[0])
                await until(lambda: a.members()[1].state == "down")
                async with make("b", channels=[Channel("data", 3), Channel("bulk")]) as b:
                    await b.sync_join(a.name, a.listen_addrs[0])
                    await all_up([a, b])
                    assert len(a.members()) == 2
                    mine = [each for each in b.connections() if each.side == "server"]
                    await until(
                        lambda: (
                            sum(
                                each.side == "server" and each.channel == "data"
                                for each in b.connections()
                            )
                            == 3
                        )
                    )
                    assert mine

        run(main)

    def test_the_membership_is_kept_in_a_file(self, run: Run, tmp_path: object) -> None:
        async def main() -> None:
            file = f"{tmp_path}/state"
            async with make("a") as a:
                async with make("b", state=file) as b:
                    await b.sync_join(a.name, a.listen_addrs[0])
                    await all_up([a, b])
                    (address,) = b.listen_addrs
                async with make("b", state=file, listen=address) as b:
                    await all_up([a, b])

        run(main)


class TestMessages:
    def test_terms_arrive_as_they_were_sent(self, run: Run) -> None:
        terms = [
            b"binary",
            b"",
            (1, 2, [3, Atom("ok"), {Atom("key"): 1.5}]),
            Atom("atom"),
            [],
            2**200,
            b"x" * 70_000,
            b"x" * 1_000_000,
            (b"x" * 300_000, 1),
        ]

        async def main() -> None:
            async with cluster("a", "b") as (a, b):
                inbox = b.register("sink")
                for ack in (False, True):
                    for term in terms:
                        await a.send(b.name, "sink", term, ack=ack)
                    assert [await inbox.receive() for _ in terms] == terms

        run(main)

    def test_messages_of_one_key_stay_in_order_on_every_channel(self, run: Run) -> None:
        channels = [
            Channel("wide", 4),
            Channel("packed", 2, compression=True),
            Channel("most", compression=9),
        ]

        async def main() -> None:
            async with cluster("a", "b", channels=channels) as (a, b):
                inbox = b.register("sink")
                for ack in (False, True):
                    for channel in ("wide", "packed", "most", None, "nowhere"):
                        seen: dict[int, list[int]] = {}
                        for number in range(400):
                            await a.send(
                                b.name,
                                "sink",
                                (number % 3, number, b"y" * 100),
                                channel=channel,
                                partition_key=number % 3,
                                ack=ack,
                            )
                        for _ in range(400):
                            key, number, _ = await inbox.receive()
                            seen.setdefault(key, []).append(number)
                        assert seen == {key: [*range(key, 400, 3)] for key in range(3)}

        run(main)

    def test_a_quick_sender_is_as_quick_as_its_receiver(self, run: Run) -> None:
        """What is under way is bounded, though nobody takes it."""

        async def main() -> None:
            # Nobody takes anything for a while: that is not to be taken for a dead peer.
            async with cluster("a", "b", protocol=SLOW_PINGS) as (a, b):
                inbox = b.register("sink", capacity=100)
                sent = 0

                async def flood() -> None:
                    nonlocal sent
                    while True:
                        await a.send(b.name, "sink", b"z" * 1000)
                        sent += 1

                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(flood)
                    await until(lambda: len(inbox) >= 100)
                    await until(lambda: not a.try_send(b.name, "sink", b"z" * 1000))
                    assert len(inbox) < 300
                    for _ in range(sent):
                        await inbox.receive()
                    assert len(inbox) >= 0
                    await until(lambda: a.try_send(b.name, "sink", b"z" * 1000))
                    tasks.cancel_scope.cancel()

        run(main)

    @pytest.mark.parametrize("ack", [False, True])
    @pytest.mark.parametrize(
        "message", [b"z" * 2000, b"z" * 70_000, (b"z" * 2000, 1), [b"z" * 2000]]
    )
    def test_a_full_inbox_holds_every_kind_of_message_up(
        self, run: Run, message: Any, ack: bool
    ) -> None:
        async def main() -> None:
            async with cluster("a", "b", protocol=SLOW_PINGS, trace=True) as (a, b):
                inbox = b.register("sink", capacity=10)
                sent = 0
                while not any(link.held for link in b._driver.links.values()):
                    sent += a.try_send(b.name, "sink", message, ack=ack)
                    await anyio.lowlevel.checkpoint()
                # It was held up when one reading, of 64 KiB at most, had filled it.
                assert 10 <= len(inbox) <= 10 + 65_536 // 2000
                for _ in range(sent):
                    assert await inbox.receive() == message
                assert not any(link.held for link in b._driver.links.values())

        run(main)

    def test_a_full_inbox_holds_up_who_sends_at_the_same_node(self, run: Run) -> None:
        async def main() -> None:
            async with make("a") as a:
                inbox = a.register("sink", capacity=2)
                sent: list[int] = []

                async def flood(first: int) -> None:
                    for number in range(first, first + 3):
                        await a.send(a.name, "sink", number)
                        sent.append(number)

                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(flood, 0)
                    tasks.start_soon(flood, 10)
                    await until(lambda: len(inbox._on_room) == 2)
                    assert (len(inbox), len(sent)) == (2, 2)
                    assert not a.try_send(a.name, "sink", 99)
                    got = []
                    for _ in range(6):
                        got.append(await inbox.receive())
                        assert len(inbox) <= 2
                assert sorted(got) == [0, 1, 2, 10, 11, 12]

                await a.send(a.name, "sink", 1)
                await a.send(a.name, "sink", 2)
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(flood, 0)
                    await until(lambda: inbox._on_room)
                    tasks.cancel_scope.cancel()
                assert [await inbox.receive(), await inbox.receive(), len(inbox)] == [1, 2, 0]

        run(main)

    @pytest.mark.parametrize("message", [b"z" * 1000, b"z" * 40_000, (b"z" * 1000, 1)])
    def test_what_is_not_acknowledged_is_bounded_in_bytes(self, run: Run, message: Any) -> None:
        window = 1_000_000

        async def main() -> None:
            config = replace(SLOW_PINGS, delivery=DeliveryConfig(window_bytes=window))
            async with cluster("a", "b", protocol=config) as (a, b):
                inbox = b.register("sink", capacity=1)
                size = len(encode(message))
                sent = 0
                # Not one turn of the event loop: nothing is written or acknowledged meanwhile.
                while a.try_send(b.name, "sink", message, ack=True):
                    sent += 1
                assert window - 2 * size < sent * (size + 100)
                assert sent * size < window + size
                for _ in range(sent):
                    assert await inbox.receive() == message
                await until(lambda: a.try_send(b.name, "sink", message, ack=True))

        run(main)

    def test_an_inbox_may_drop_instead(self, run: Run) -> None:
        async def main() -> None:
            async with cluster("a", "b") as (a, b):
                new = b.register("new", capacity=10, overflow="drop_new")
                old = b.register("old", capacity=10, overflow="drop_old")
                for name in ("new", "old"):
                    for number in range(50):
                        await a.send(b.name, name, number)
                await until(lambda: new.dropped == 40 and old.dropped == 40)
                assert [new.receive_nowait() for _ in range(10)] == [*range(10)]
                assert [old.receive_nowait() for _ in range(10)] == [*range(40, 50)]
                with pytest.raises(LookupError):
                    old.receive_nowait()

        run(main)

    def test_a_monotonic_channel_sheds_all_but_the_newest(self, run: Run) -> None:
        async def main() -> None:
            async with cluster("a", "b", channels=[Channel("state", monotonic=True)]) as (a, b):
                inbox = b.register("sink")
                for number in range(200):
                    assert a.try_send(b.name, "sink", number, channel="state")
                seen: list[int] = []
                while not seen or seen[-1] != 199:
                    seen.append(await inbox.receive())
                assert len(seen) < 20

        run(main)

    def test_a_request_gets_its_reply(self, run: Run) -> None:
        async def main() -> None:
            async with cluster("a", "b") as (a, b):
                inbox = b.register("server")

                async def serve() -> None:
                    async for request in inbox:
                        assert isinstance(request, Request)
                        assert request.reply((request.peer.encode(), request.message))

                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(serve)
                    replies = [await a.request(b.name, "server", n) for n in range(3)]
                    own = await b.request(b.name, "server", b"self")
                    inbox.close()
                assert replies == [(a.name.encode(), n) for n in range(3)]
                assert own == (b.name.encode(), b"self")

        run(main)

    def test_a_request_without_a_reply_ends(self, run: Run) -> None:
        async def main() -> None:
            async with cluster("a", "b") as (a, b):
                b.register("silent")
                with pytest.raises(NoReplyError, match=r"'silent' within 0\.05 s"):
                    await a.request(b.name, "silent", b"", deadline=0.05)
                with anyio.fail_after(5):
                    async with anyio.create_task_group() as tasks:

                        async def ask() -> None:
                            with pytest.raises(NotConnectedError):
                                await a.request(b.name, "silent", b"", deadline=20)

                        tasks.start_soon(ask)
                        await until(lambda: a._messaging.processes._pending)
                        await a.leave(b.name)

        run(main)

    def test_a_monitor_tells_of_an_inbox_that_ends(self, run: Run) -> None:
        async def main() -> None:
            async with cluster("a", "b", "c") as (a, b, c):
                inbox = b.register("watched")
                c.register("other")
                with a.monitor(b.name, "watched") as monitor, a.monitor(c.name, "other") as far:
                    await until(lambda: monitor.reference is not None and far.reference is not None)
                    assert not monitor.ended
                    inbox.close()
                    assert await monitor.down() == Atom("normal")
                    await a.leave(c.name)
                    assert await far.down() == Atom("noconnection")
                with a.monitor(b.name, "nobody") as monitor:
                    assert await monitor.down() == Atom("noproc")
                again = b.register("watched")
                monitor = a.monitor(b.name, "watched")
                await until(lambda: monitor.reference is not None)
                monitor.close()
                assert monitor.ended
                again.close()

        run(main)

    def test_remote_calls_are_answered_at_once(self, run: Run) -> None:
        async def main() -> None:
            async with cluster("a", "b") as (a, b):
                b.register("alive")
                answers: list[object] = []
                for module, function, arguments in (
                    ("partisan", "is_process_alive", [RemoteRef(Atom(b.name), "name", "alive")]),
                    ("partisan", "is_process_alive", [RemoteRef(Atom(b.name), "name", "dead")]),
                    ("erlang", "node", []),
                ):
                    ref = a._messaging.processes.new(answers.append)
                    call = inputs.Call(
                        Atom(b.name),
                        ref.term(),
                        Atom(module),
                        Atom(function),
                        [each.term() for each in arguments],
                    )
                    a._driver.do(call)
                    await until(lambda: answers)
                    a._messaging.processes.end(ref)
                    expected = {"alive": True, "dead": False}.get(
                        arguments[0].id if arguments else "", (Atom("badrpc"), Atom("undef"))
                    )
                    assert answers == [(Atom("rpc_response"), expected)]
                    answers.clear()

        run(main)

    def test_a_message_may_be_asked_to_be_acknowledged_and_not_be_kept(self, run: Run) -> None:
        async def main() -> None:
            async with cluster("a", "b") as (a, b):
                inbox = b.register("sink")
                for number in range(20):
                    await a.send(b.name, "sink", number, ack=True, retransmission=False)
                    await a.send(b.name, "sink", b"%d" % number, ack=True, retransmission=False)
                seen = [await inbox.receive() for _ in range(40)]
                assert seen[::2] == [*range(20)]
                assert seen[1::2] == [b"%d" % number for number in range(20)]
                assert not any(len(stream) for stream in a._core.delivery.streams())

        run(main)

    def test_others_pass_a_transitive_message_on(self, run_asyncio: Run) -> None:
        """What the first node dials of the third falls silent; the second's does not."""

        async def main() -> None:
            async with (
                Guard(1) as guard,
                make("a") as a,
                make("b") as b,
                make("c", listen=f"127.0.0.1:{guard.target}", advertise=guard.address) as c,
            ):
                inbox = c.register("sink")
                await b.sync_join(a.name, *a.listen_addrs)
                await c.sync_join(b.name, *b.listen_addrs)
                await all_up([a, b, c])
                guard.silence([a.name])
                await until(lambda: a.members()[2].state == "down")
                with pytest.raises(NotConnectedError):
                    await a.send(c.name, "sink", b"direct")
                for ttl in (1, 4):
                    await a.send(c.name, "sink", b"by another", transitive=True, ttl=ttl)
                    assert await inbox.receive() == b"by another"
                with pytest.raises(ValueError, match="ttl is 0"):
                    await a.send(c.name, "sink", b"", transitive=True, ttl=0)

        run_asyncio(main)

    def test_a_node_sends_to_itself_and_to_references(self, run: Run) -> None:
        async def main() -> None:
            async with cluster("a", "b") as (a, b):
                inbox = a.register("sink")
                await a.send(a.name, "sink", [1])
                await b.send(a.name, RemoteRef(Atom(a.name), "name", "sink"), b"by reference")
                assert await inbox.receive() == [1]
                assert await inbox.receive() == b"by reference"
                with pytest.raises(EncodeError):
                    await a.send(a.name, "sink", "no term")

        run(main)

    def test_acknowledged_messages_wait_for_a_node_that_is_away(self, run: Run) -> None:
        async def main() -> None:
            async with make("a") as a:
                async with make("b") as b:
                    await b.sync_join(a.name, a.listen_addrs[0])
                    await all_up([a, b])
                    (address,) = b.listen_addrs
                await until(lambda: a.members()[1].state == "down")
                for number in range(10):
                    await a.send("b@127.0.0.1", "sink", number, ack=True, partition_key=1)
                with pytest.raises(NotConnectedError, match="there is no connection"):
                    await a.send("b@127.0.0.1", "sink", b"plain")
                b = make("b", listen=address)
                inbox = b.register("sink")
                async with b:
                    assert [await inbox.receive() for _ in range(10)] == [*range(10)]

        run(main)


class TestMistakes:
    def test_each_has_its_error(self, run: Run) -> None:
        async def main() -> None:
            node = make("a", protocol=SLOW_PINGS)
            with pytest.raises(NodeClosedError):
                node.members()
            with pytest.raises(NodeClosedError):
                await node.send("b@127.0.0.1", "sink", b"")
            async with node:
                with pytest.raises(UnknownNodeError, match=r"b@127\.0\.0\.1 is no member"):
                    await node.send("b@127.0.0.1", "sink", b"")
                with pytest.raises(UnknownNodeError):
                    node.try_send("b@127.0.0.1", "sink", b"", ack=True)
                with pytest.raises(UnknownNodeError):
                    await node.leave("b@127.0.0.1")
                with pytest.raises(UnknownNodeError):
                    node.monitor("b@127.0.0.1", "sink")
                with pytest.raises(ValueError, match="name@host"):
                    await node.join("b", "127.0.0.1:1")
                with pytest.raises(ValueError, match="host:port"):
                    await node.join("b@127.0.0.1", "127.0.0.1")
                with pytest.raises(JoinError, match="cannot join"):
                    await node.join("b@127.0.0.1", "no.such.host.invalid:1")
                with pytest.raises(UnknownNodeError, match="is this node itself"):
                    node.monitor(node.name, "sink")
                with pytest.raises(UnknownNodeError, match="is this node itself"):
                    await node.call(node.name, "shop", "price")
                node.register("once")
                with pytest.raises(NameTakenError):
                    node.register("once")
                with pytest.raises(ValueError, match="capacity"):
                    node.register("none", capacity=0)
                with pytest.raises(ValueError, match="overflow"):
                    node.register("none", overflow="burst")  # type: ignore[arg-type]
                await node.join(node.name, node.listen_addrs[0])
                with pytest.raises(ListenError, match="cannot listen at"):
                    async with make("b", listen=node.listen_addrs[0]):
                        pass
            with pytest.raises(NodeClosedError, match="entered before"):
                async with node:
                    pass
            with pytest.raises(NodeClosedError):
                await node.send("b@127.0.0.1", "sink", b"")
            # A node that was left keeps nothing for itself either.
            for late in (
                lambda: node.send(node.name, "sink", b""),
                lambda: node.request(node.name, "sink", b""),
                lambda: node.call(node.name, "shop", "price"),
                lambda: node.join(node.name, "127.0.0.1:1"),
                node.leave,
            ):
                with pytest.raises(NodeClosedError):
                    await late()
            with pytest.raises(NodeClosedError):
                node.try_send(node.name, "sink", b"")

        run(main)

    def test_an_inbox_that_is_closed_says_so(self, run: Run) -> None:
        async def main() -> None:
            async with make("a") as a:
                with a.register("sink") as inbox:
                    await a.send(a.name, "sink", 1)
                    assert "1 of" in repr(inbox)
                assert await inbox.receive() == 1
                with pytest.raises(InboxClosedError):
                    await inbox.receive()
                with pytest.raises(InboxClosedError):
                    inbox.receive_nowait()
                assert "closed" in repr(inbox)
                waiting = a.register("waiting")
                async with anyio.create_task_group() as tasks:

                    async def wait() -> None:
                        assert [message async for message in waiting] == []

                    tasks.start_soon(wait)
                    await until(lambda: waiting._waiters)
                    waiting.close()

        run(main)

    def test_joining_says_what_was_wrong(self, run: Run) -> None:
        async def main() -> None:
            async with make("a") as a, make("b") as b:
                port = b.listen_addrs[0].rpartition(":")[2]
                with pytest.raises(JoinError, match=r"it is another node than c@127\.0\.0\.1"):
                    # Long enough for a connection on a busy machine: it is tried until then.
                    await a.join("c@127.0.0.1", b.listen_addrs[0], deadline=1.5)
                await b.leave()
                await a.send(a.name, "nobody", b"dropped")
                assert len(a.members()) == 1
            async with make("a") as a:
                with pytest.raises(JoinError, match="could not join"):
                    await a.join("b@127.0.0.1", f"127.0.0.1:{port}", deadline=1.0)
                assert len(a.members()) == 1

        run(main)

    @pytest.mark.parametrize("key", ["text", 1.5])
    def test_a_partition_key_is_an_integer(self, run: Run, key: object) -> None:
        async def main() -> None:
            async with cluster("a", "b") as (a, b):
                for channel, message, ack in product((None, "data"), (1, b""), (False, True)):
                    given: Any = {"channel": channel, "partition_key": key, "ack": ack}
                    with pytest.raises(TypeError, match=r"partition_key is .* an integer"):
                        await a.send(b.name, "sink", message, **given)
                with pytest.raises(TypeError, match="partition_key"):
                    a.try_send(b.name, "sink", b"", partition_key=key, ack=True)  # type: ignore[arg-type]

        run(main)

    @pytest.mark.parametrize(
        ("options", "match"),
        [
            ({"name": "nohost"}, "name@host"),
            ({"listen": "nowhere"}, "host:port"),
            ({"listen": []}, "listen is empty"),
            ({"listen": "127.0.0.1:70000"}, "host:port"),
            ({"advertise": "127.0.0.1:0"}, "host:port"),
            ({"channels": [Channel("a"), Channel("a")]}, "given twice"),
        ],
    )
    def test_options_are_checked(self, options: dict[str, object], match: str) -> None:
        given = {"name": "a@127.0.0.1", **options}
        with pytest.raises(ValueError, match=match):
            Node(**given)  # type: ignore[arg-type]

    def test_plaintext_beyond_loopback_warns(self, run: Run) -> None:
        async def main() -> None:
            with pytest.warns(PlaintextWarning, match="without TLS"):
                async with make("a", listen="0.0.0.0:0", advertise="127.0.0.1:1"):
                    pass
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                async with make("a"):
                    pass

        run(main)


def test_the_failure_of_the_block_is_the_callers_own(run: Run) -> None:
    async def main() -> None:
        with pytest.raises(KeyError, match="mine"):
            async with make("a"):
                raise KeyError("mine")

    run(main)


def test_leaving_ends_in_time_though_a_peer_does_not_read(run: Run) -> None:
    async def main() -> None:
        async with make("b") as b:
            b.register("sink", capacity=1)
            async with make("a") as a:
                await a.sync_join(b.name, b.listen_addrs[0])
                await until(lambda: not a.try_send(b.name, "sink", b"z" * 60_000))
                before = anyio.current_time()
            assert anyio.current_time() - before < 5

    run(main)
