# SPDX-License-Identifier: Apache-2.0
"""Nodes whose neighbors an overlay chooses, and broadcasts among them, on real sockets."""

from __future__ import annotations

import runpy
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest

from heliograph.partisan import (
    Admission,
    Atom,
    Channel,
    ClientServer,
    FullMesh,
    HyParView,
    Inbox,
    JoinError,
    Manager,
    MismatchError,
    Node,
    NotConnectedError,
    Own,
    ScampV1,
    ScampV2,
    Static,
    UnknownHandlerError,
    UnknownNodeError,
)
from heliograph.partisan.protocol import MembershipState
from heliograph.partisan.protocol.overlay.scamp import ScampConfig
from heliograph.partisan.protocol.overlay.settings import HyParViewConfig
from heliograph.partisan.protocol.plumtree import PlumtreeConfig
from heliograph.partisan.templates import framed
from heliograph.partisan.wire import ListenAddr, Message, NodeSpec, encode
from heliograph.partisan.wire.messages import (
    UNDEFINED,
    Broadcast,
    ClientHello,
    Disconnect,
    Disconnection,
    ForwardJoin,
    Gossip,
    Join,
    Prune,
    RawRelay,
    Shuffle,
    ShuffleReply,
)
from heliograph.testing import Captured
from tests.partisan.node.clusters import MILLISECOND, SLOW_PINGS, make, until
from tests.partisan.node.conftest import Run
from tests.ports import free_port

EXAMPLES = Path(__file__).parents[3] / "examples" / "cluster"
SPREADING = replace(
    SLOW_PINGS,
    linger=500 * MILLISECOND,
    broadcast=PlumtreeConfig(
        lazy_tick=50 * MILLISECOND,
        exchange_tick=200 * MILLISECOND,
        graft_timeout=100 * MILLISECOND,
    ),
)
SMALL = HyParViewConfig(
    active=3,
    passive=8,
    shuffle_interval=1000 * MILLISECOND,
    promotion_interval=300 * MILLISECOND,
    request_timeout=2000 * MILLISECOND,
    probe_interval=10_000 * MILLISECOND,
    deny_for=500 * MILLISECOND,
)
"""Views that are full in a cluster of tests."""
SCAMP = ScampConfig(interval=200 * MILLISECOND, silence=1000 * MILLISECOND)
MANAGERS: dict[str, Callable[[], Manager]] = {
    "full_mesh": FullMesh,
    "hyparview": lambda: HyParView(SMALL),
    "scamp_v1": lambda: ScampV1(
        ScampConfig(interval=200 * MILLISECOND, silence=1000 * MILLISECOND)
    ),
    "scamp_v2": lambda: ScampV2(
        ScampConfig(interval=200 * MILLISECOND, silence=1000 * MILLISECOND)
    ),
}


class Group:
    """Nodes of one cluster, each with an inbox for broadcasts `news`."""

    def __init__(self, stack: AsyncExitStack) -> None:
        self.stack = stack
        self.nodes: list[Node] = []
        self.news: dict[str, Inbox] = {}

    async def add(self, name: str, **options: Any) -> Node:
        node = make(name, **{"protocol": SPREADING, "channels": (), **options})
        self.news[node.name] = node.subscribe("news")
        await self.stack.enter_async_context(node)
        self.nodes.append(node)
        return node

    async def reaches_all(self, source: Node, message: object) -> None:
        """Broadcast, and wait until everybody else has got that."""
        await source.broadcast("news", message)
        for node in self.nodes:
            if node is not source:
                assert await self.news[node.name].receive() == message, node.name

    def nothing_is_left(self) -> None:
        assert {name: len(inbox) for name, inbox in self.news.items() if len(inbox)} == {}


@asynccontextmanager
async def group(count: int, manager: Callable[[], Manager]) -> AsyncIterator[Group]:
    """Run nodes that have joined through the first."""
    async with AsyncExitStack() as stack:
        made = Group(stack)
        for number in range(count):
            node = await made.add(f"n{number}", manager=manager())
            if number:
                first = made.nodes[0]
                await node.join(first.name, first.listen_addrs[0])
        yield made


def neighbors(node: Node) -> set[str]:
    return {each.name for each in node.members() if each.state != "self"}


def connected(node: Node) -> bool:
    """Whether there is a neighbor and all are up."""
    others = [each for each in node.members() if each.state != "self"]
    return bool(others) and all(each.state == "up" for each in others)


class TestBroadcasting:
    @pytest.mark.parametrize("manager", MANAGERS.values(), ids=MANAGERS)
    def test_what_any_node_broadcasts_comes_once_to_all_others(
        self, run: Run, manager: Callable[[], Manager]
    ) -> None:
        async def main() -> None:
            async with group(6, manager) as cluster:
                for number, node in enumerate([*cluster.nodes, *cluster.nodes]):
                    await cluster.reaches_all(node, (b"news", number))
                cluster.nothing_is_left()

        run(main)

    def test_nothing_can_be_broadcast_that_nobody_here_takes_part_in(self, run: Run) -> None:
        async def main() -> None:
            async with make("a") as a:
                with pytest.raises(UnknownHandlerError, match="'news'"):
                    await a.broadcast("news", 1)

        run(main)


class TestHyParView:
    def test_views_are_small_and_symmetric(self, run: Run) -> None:
        async def main() -> None:
            async with group(7, MANAGERS["hyparview"]) as cluster:
                nodes = {node.name: node for node in cluster.nodes}

                def symmetric() -> bool:
                    return all(
                        connected(node)
                        and len(neighbors(node)) <= SMALL.active
                        and all(name in neighbors(nodes[other]) for other in neighbors(node))
                        for name, node in nodes.items()
                    )

                await until(symmetric)

        run(main)

    def test_a_node_that_fails_is_replaced_and_the_living_are_reached(self, run: Run) -> None:
        async def main() -> None:
            async with group(7, MANAGERS["hyparview"]) as cluster:
                await cluster.reaches_all(cluster.nodes[3], b"before")
                gone = cluster.nodes.pop(0)
                await gone._driver.stop()
                await until(lambda: all(gone.name not in neighbors(n) for n in cluster.nodes))
                for node in cluster.nodes:
                    await cluster.reaches_all(node, node.name.encode())
                cluster.nothing_is_left()

        run(main)

    def test_a_neighbor_that_stops_is_said_to_have_failed(self, run: Run) -> None:
        async def main() -> None:
            # With a third node it might be evicted before it is missed.
            async with group(2, MANAGERS["hyparview"]) as pair:
                gone, left = pair.nodes
                seen: list[str | None] = []
                left._watchers.call(
                    lambda change: (change.kind, change.node) == ("neighbor_down", gone.name),
                    lambda change: seen.append(change.reason),
                )
                await until(lambda: all(map(neighbors, pair.nodes)))
                await gone._driver.stop()
                await until(lambda: seen)
                assert set(seen) <= {"closed", "failure"}

        run(main)

    def test_a_node_that_leaves_is_gone_and_says_so(self, run: Run) -> None:
        async def main() -> None:
            async with group(4, MANAGERS["hyparview"]) as cluster:
                leaver = cluster.nodes.pop()
                others = [n for n in cluster.nodes if leaver.name in neighbors(n)]
                seen: list[tuple[str, str | None]] = []
                for node in others:
                    node._watchers.call(
                        lambda change: change.node == leaver.name,
                        lambda change: seen.append((change.kind, change.reason)),
                    )
                await leaver.leave()
                await until(lambda: all(leaver.name not in neighbors(n) for n in others))
                await until(lambda: seen.count(("leave", None)) == len(others))
                assert ("neighbor_down", "leave") in seen
                assert neighbors(leaver) == set()
                await until(lambda: not leaver.connections())
                for node in cluster.nodes:
                    await cluster.reaches_all(node, b"without it")

        run(main)


class TestJoining:
    def test_nodes_with_other_managers_are_told_apart(self, run: Run) -> None:
        async def main() -> None:
            async with make("a", manager=HyParView(SMALL)) as a, make("b") as b:
                for one, other in ((a, b), (b, a)):
                    with pytest.raises(JoinError, match="manager") as raised:
                        await one.join(other.name, other.listen_addrs[0])
                    assert isinstance(raised.value.__cause__, MismatchError)

        run(main)

    @pytest.mark.parametrize("manager", ["full_mesh", "hyparview"])
    def test_nodes_with_other_channels_talk_and_say_so(
        self, run: Run, telemetry_events: Captured, manager: str
    ) -> None:
        async def main() -> None:
            options = {"manager": MANAGERS[manager]()}
            wide, narrow = [Channel("data", 3)], [Channel("data"), Channel("bulk")]
            async with (
                make("a", channels=wide, **options) as a,
                make("b", channels=narrow, **options) as b,
            ):
                inboxes = [node.register("sink") for node in (a, b)]
                await b.sync_join(a.name, a.listen_addrs[0])
                await telemetry_events.until(
                    "partisan.membership.conflict",
                    {"count": 1},
                    {
                        "node": a.name,
                        "peer": b.name,
                        "setting": "channels",
                        "own_value": "no bulk, data:3",
                        "peer_value": "bulk:1, data:1",
                    },
                )
                await until(lambda: connected(a) and connected(b))
                for channel in ("data", "bulk"):
                    await a.send(b.name, "sink", b"", channel=channel)
                    await b.send(a.name, "sink", b"", channel=channel, ack=True)
                    for inbox in inboxes:
                        assert await inbox.receive() == b""

        run(main)

    def test_a_node_that_starts_late_is_waited_for(self, run: Run) -> None:
        async def main() -> None:
            async with AsyncExitStack() as stack:
                cluster = Group(stack)
                a = await cluster.add("a", manager=HyParView(SMALL))
                address = f"127.0.0.1:{free_port()}"
                with pytest.raises(JoinError, match="could not join"):
                    await a.join("b@127.0.0.1", address, deadline=0.2)
                assert neighbors(a) == set()
                b = await cluster.add("b", manager=HyParView(SMALL), listen=address)
                await a.sync_join(b.name, address)
                assert neighbors(a) == {b.name}

        run(main)


class TestOtherManagers:
    def test_a_star_has_servers_in_its_middle(self, run: Run) -> None:
        async def main() -> None:
            async with AsyncExitStack() as stack:
                star = Group(stack)
                server = await star.add("server", manager=ClientServer("server", interval=0.2))
                clients = [
                    await star.add(f"c{number}", manager=ClientServer("client", interval=0.2))
                    for number in range(3)
                ]
                for each in clients:
                    await each.join(server.name, server.listen_addrs[0])
                await until(lambda: neighbors(server) == {each.name for each in clients})
                assert all(neighbors(each) == {server.name} for each in clients)
                for each in star.nodes:
                    await star.reaches_all(each, each.name.encode())
                star.nothing_is_left()

        run(main)

    def test_a_list_is_kept_to_and_those_who_come_back_are_found(self, run: Run) -> None:
        async def main() -> None:
            addresses = {f"s{n}@127.0.0.1": f"127.0.0.1:{free_port()}" for n in range(3)}

            async def add(line: Group, name: str, others: Iterable[str]) -> Node:
                listed = [(other, addresses[other]) for other in others]
                return await line.add(
                    name.partition("@")[0],
                    manager=Static(listed, interval=0.1),
                    listen=addresses[name],
                )

            async with AsyncExitStack() as stack:
                line = Group(stack)
                first, middle, last = addresses
                await add(line, first, [first, middle])
                await add(line, last, [middle])
                async with AsyncExitStack() as line.stack:
                    await add(line, middle, addresses)
                    await until(lambda: len(neighbors(line.nodes[-1])) == 2)
                    await until(lambda: all(map(connected, line.nodes)))
                    await line.reaches_all(line.nodes[0], b"by way of the middle")
                line.nodes.pop()
                await until(lambda: not any(map(neighbors, line.nodes)))
                async with AsyncExitStack() as line.stack:
                    await add(line, middle, addresses)
                    await until(lambda: len(neighbors(line.nodes[-1])) == 2)
                    await until(lambda: all(map(connected, line.nodes)))
                    await line.reaches_all(line.nodes[-1], b"again")

        run(main)

    def test_who_dials_before_a_node_is_ready_does_it_no_harm(self, run: Run) -> None:
        port = free_port()
        address = f"127.0.0.1:{port}"

        class Slow(Static):
            async def prepare(self) -> None:
                # Refused, or left to wait until somebody accepts.
                with suppress(OSError):
                    dialled.append(await anyio.connect_tcp("127.0.0.1", port))
                await super().prepare()

        dialled: list[anyio.abc.SocketStream] = []

        async def main() -> None:
            async with AsyncExitStack() as stack:
                pair = Group(stack)
                await pair.add("first", manager=Slow([]), listen=address)
                listed = [("first@127.0.0.1", address)]
                second = await pair.add("second", manager=Static(listed, interval=0.1))
                await until(lambda: connected(second))
                await pair.reaches_all(second, b"it is there")
                for each in dialled:
                    await each.aclose()

        run(main)

    def test_an_overlay_of_ones_own_is_the_example(self, run: Run) -> None:
        ring = runpy.run_path(str(EXAMPLES / "ring.py"))["Ring"]

        async def main() -> None:
            async with group(5, lambda: Own(lambda spec, _: ring(spec))) as made:
                await until(lambda: all(len(neighbors(node)) == 2 for node in made.nodes))
                await until(lambda: all(map(connected, made.nodes)))
                for each in made.nodes:
                    await made.reaches_all(each, each.name.encode())
                made.nothing_is_left()

        run(main)

    def test_what_is_configured_wrongly_is_said_at_once(self) -> None:
        with pytest.raises(ValueError, match="role is 'boss'"):
            ClientServer("boss")  # type: ignore[arg-type] # that is what is tested
        with pytest.raises(ValueError, match="host:port"):
            Static([("a@h", "nowhere")])
        with pytest.raises(ValueError, match="name@host"):
            Static([("a", "127.0.0.1:1")])
        with pytest.raises(ValueError, match="full mesh"):
            make("a", manager=HyParView(), state="file")
        with pytest.raises(TypeError, match="no overlay"):
            FullMesh().overlay(None)  # type: ignore[arg-type] # it is not looked at


class TestRelaying:
    def test_transitive_messages_go_along_the_tree(self, run: Run) -> None:
        async def main() -> None:
            async with group(7, MANAGERS["hyparview"]) as made:
                await until(lambda: all(map(connected, made.nodes)))
                source, *others = made.nodes

                def strangers() -> list[Node]:
                    return [n for n in others if Atom(n.name) not in source._core.peers]

                # Who is no neighbor is still connected for a moment after joining.
                await until(strangers)
                far = strangers()[0]
                inbox = far.register("sink")
                with pytest.raises((UnknownNodeError, NotConnectedError)):
                    await source.send(far.name, "sink", b"directly")
                for number in range(5):
                    await source.send(far.name, "sink", number, transitive=True)
                got = [await inbox.receive() for _ in range(5)]
                assert sorted(got) == [0, 1, 2, 3, 4]
                assert len(inbox) == 0
                with pytest.raises(ValueError, match="ttl is 0"):
                    await source.send(far.name, "sink", b"", transitive=True, ttl=0)

        run(main)

    def test_nobody_to_pass_it_on_is_an_error(self, run: Run) -> None:
        async def main() -> None:
            async with make("a", manager=HyParView(SMALL)) as a:
                with pytest.raises(NotConnectedError, match="pass a message on"):
                    await a.send("b@127.0.0.1", "sink", b"", transitive=True)

        run(main)


class TestEviction:
    def test_down_because_there_was_no_room(self, run: Run, telemetry_events: Captured) -> None:
        tiny = HyParViewConfig(active=1, passive=8)

        async def main() -> None:
            async with group(2, lambda: HyParView(tiny)) as made:
                a, b = made.nodes
                await until(lambda: connected(a) and connected(b))
                c = await made.add("c", manager=HyParView(tiny))
                await c.join(a.name, a.listen_addrs[0])
                for node, other in ((a, b), (b, a)):
                    for event in ("peer.down", "neighbor.down"):
                        await telemetry_events.until(
                            f"partisan.membership.{event}",
                            None,
                            {"node": node.name, "name": other.name, "reason": "evicted"},
                        )
                await telemetry_events.until(
                    "partisan.socket.close", None, {"node": a.name, "reason": "evicted"}
                )

        run(main)


class TestHostility:
    @asynccontextmanager
    async def attacked(self) -> AsyncIterator[tuple[Node, Callable[..., None]]]:
        """Give a node, and what sends it messages by a connection of a neighbor."""
        async with group(3, MANAGERS["hyparview"]) as made:
            await until(lambda: all(len(neighbors(node)) == 2 for node in made.nodes))
            victim, attacker, _ = made.nodes
            await until(lambda: all(map(connected, made.nodes)))

            def send(*messages: Message) -> None:
                frames = b"".join([framed(encode(each.term())) for each in messages])
                attacker._driver.write_on(victim.name, None, frames)

            yield victim, send
            for node in made.nodes:
                await made.reaches_all(node, node.name.encode())

    def test_what_means_harm_is_counted_and_dropped(
        self, run: Run, telemetry_events: Captured
    ) -> None:
        def spec(number: int) -> NodeSpec:
            return NodeSpec(Atom(f"x{number}@h"), (ListenAddr("127.0.0.1", 9),), ())

        crowd = tuple(map(spec, range(5_000)))
        me, other = Atom("n1@127.0.0.1"), Atom("n2@127.0.0.1")
        topic = Atom("news")
        harmful: list[tuple[Callable[[NodeSpec], Message], str, str]] = [
            (lambda own: Shuffle((), -1, own), "membership", "malformed"),
            (lambda own: Shuffle((), 1 << 70, own), "membership", "malformed"),
            (lambda own: Shuffle(crowd, 3, own), "membership", "malformed"),
            (lambda own: ShuffleReply(crowd, own), "membership", "malformed"),
            (lambda own: ForwardJoin(spec(1), UNDEFINED, 1, -5, own), "membership", "malformed"),
            (lambda _: Disconnect(spec(2), Disconnection(9, 9)), "membership", "forged"),
            (lambda _: Shuffle((), 3, spec(3)), "membership", "forged"),
            (lambda _: Broadcast(1, b"", topic, 0, other, other), "broadcast", "forged"),
            (lambda _: Prune(other, other), "broadcast", "forged"),
            (lambda _: Broadcast(1, b"", topic, -3, other, me), "broadcast", "malformed"),
            (lambda _: RawRelay(other, 1, -1), "relay", "malformed"),
            (lambda own: Gossip(own, b"another manager"), "membership", "ignored"),
        ]

        async def main() -> None:
            async with self.attacked() as (victim, send):
                own = NodeSpec(me, (ListenAddr("127.0.0.1", 9),), ())
                for make_message, protocol, reason in harmful:
                    telemetry_events.clear()
                    send(make_message(own))
                    await telemetry_events.until(
                        "partisan.protocol.dropped",
                        {"count": 1},
                        {
                            "node": victim.name,
                            "peer": me,
                            "protocol": protocol,
                            "reason": reason,
                        },
                    )
                assert len(neighbors(victim)) == 2
                assert not any(each.startswith("x") for each in neighbors(victim))

        run(main)

    def test_nobody_is_believed_before_saying_who_it_is(self, run: Run) -> None:
        async def main() -> None:
            async with make("a", manager=HyParView(SMALL)) as a:
                liar = NodeSpec(Atom("liar@h"), (ListenAddr("127.0.0.1", 9),), ())
                frames = framed(encode(Join(liar, UNDEFINED, 1).term()))
                host, _, port = a.listen_addrs[0].rpartition(":")
                async with await anyio.connect_tcp(host, int(port)) as stream:
                    await stream.send(frames * 1_000)
                    await stream.send(framed(encode((Atom("ping"), Atom("liar@h"), 1, 1))))
                    await until(a.connections)
                    assert neighbors(a) == set()

        run(main)

    def test_who_is_not_on_the_list_changes_no_membership(self, run: Run) -> None:
        async def main() -> None:
            let_in = Admission(peers=frozenset({"b@127.0.0.1"}))
            async with make("a", admission=let_in) as a, make("b") as b:
                known = a._core.state()
                intruder = NodeSpec(Atom("x@h"), (ListenAddr("127.0.0.1", 9),), ())
                added = a._core.members.add(intruder, bytes(20))
                gossip = Gossip(intruder, MembershipState(bytes(20), added).term())
                host, _, port = a.listen_addrs[0].rpartition(":")
                for last in ((), (ClientHello(Atom("x@h"), UNDEFINED),)):
                    async with await anyio.connect_tcp(host, int(port)) as stream:
                        for message in (gossip, *last):
                            await stream.send(framed(encode(message.term())))
                        await until(a.connections)
                        if last:
                            await until(lambda: not a.connections())
                assert a._core.state() == known
                await b.sync_join(a.name, a.listen_addrs[0])

        run(main)
