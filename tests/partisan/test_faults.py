# SPDX-License-Identifier: Apache-2.0
"""One script of faults, the same promises: in the simulator and on sockets."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.partisan import Channel, Node
from heliograph.partisan.faults import Fault, Faults
from heliograph.partisan.protocol import MEMBERSHIP, ProtocolConfig, inputs
from heliograph.partisan.simulator.network import MILLISECOND, SECOND, Network
from heliograph.partisan.wire import Atom, ChannelSpec, ListenAddr, NodeSpec
from heliograph.partisan.wire.messages import UNDEFINED
from tests.partisan.node.clusters import QUICK, all_up, make, until
from tests.partisan.node.conftest import LOOPS, Run, limited

SCRIPT = Path(__file__).parents[1] / "data" / "partisan" / "faults.toml"
NAMES = ("n1", "n2", "n3")
DATA = "data"
ROUNDS = 90
# The plan's own pace, in simulated seconds and in real ones: faults begin and end by the clock.
PAUSE = 0.05
# So that a connection that lost its handshake is given up in the time of a test.
CONFIG: ProtocolConfig = replace(QUICK, handshake_timeout=500 * MILLISECOND)


# -- What must hold --------------------------------------------------------------------------------


class Sent(NamedTuple):
    """A message, told apart from all others by its number."""

    sender: str
    receiver: str
    key: int
    number: int


def plan() -> list[list[Sent]]:
    """What is sent in each round: from each node to each other one, by three keys."""
    numbers = itertools.count()
    return [
        [
            Sent(sender, receiver, number % 3, number)
            for sender, receiver in itertools.permutations(NAMES, 2)
            for number in [next(numbers)]
        ]
        for _ in range(ROUNDS)
    ]


def check(sent: Iterable[Sent], received: dict[str, list[int]]) -> None:
    """All has arrived, once, and what has one key in order."""
    by_number = {each.number: each for each in sent}
    for name in NAMES:
        expected = [each.number for each in by_number.values() if each.receiver == name]
        assert sorted(received[name]) == expected
        last: dict[tuple[str, int], int] = {}
        for number in received[name]:
            lane = (by_number[number].sender, by_number[number].key)
            assert number > last.get(lane, -1)
            last[lane] = number


@pytest.mark.parametrize("seed", [7, 8])
def test_in_the_simulator(seed: int) -> None:
    faults = Faults(Faults.from_file(SCRIPT).faults, seed=seed)
    network = Network(seed, config=CONFIG)
    channels = (ChannelSpec(UNDEFINED), ChannelSpec(MEMBERSHIP), ChannelSpec(Atom(DATA), 2))
    full = {name: Atom(f"{name}@127.0.0.1") for name in NAMES}
    first = ListenAddr("127.0.0.1", 10_001)
    network.harm(faults)
    for port, name in enumerate(full.values(), 10_001):
        network.start(NodeSpec(name, (ListenAddr("127.0.0.1", port),), channels))
        if name != full["n1"]:
            network.tell(name, inputs.Join(full["n1"], (first,)))
    sent: list[Sent] = []
    for messages in plan():
        for message in messages:
            send = inputs.Send(
                full[message.receiver],
                Atom("sink"),
                message.number,
                Atom(DATA),
                message.key,
                ack=True,
            )
            if network.tell(full[message.sender], send):
                sent.append(message)
        network.run(int(PAUSE * SECOND))
    network.run(60 * SECOND)

    views = [network.nodes[name].members for name in full.values()]
    assert views == [sorted(full.values())] * 3
    received: dict[str, list[Any]] = {
        name: [content for _, _, content in network.nodes[full[name]].received] for name in NAMES
    }
    check(sent, received)
    assert len(sent) > 200
    streams = [
        stream
        for node in network.nodes.values()
        if node.core is not None
        for stream in node.core.delivery.streams()
    ]
    assert sum(stream.retransmitted for stream in streams) > 20


@pytest.fixture(params=["uvloop", "trio"])
def run(request: pytest.FixtureRequest) -> Run:
    """On sockets, with either kind of transport."""
    return limited(LOOPS[request.param])


def test_on_sockets(run: Run) -> None:
    faults = Faults.from_file(SCRIPT)
    received: dict[str, list[int]] = {}
    sent: list[Sent] = []

    async def main() -> None:
        nodes = [
            make(name, protocol=CONFIG, faults=faults, channels=[Channel(DATA, 2)])
            for name in NAMES
        ]
        async with nodes[0] as first, nodes[1], nodes[2]:
            inboxes = {name: node.register("sink") for name, node in zip(NAMES, nodes, strict=True)}
            for node in nodes[1:]:
                await node.join(first.name, first.listen_addrs[0])
            known = dict(zip(NAMES, nodes, strict=True))
            await until(lambda: all(len(node.members()) == 3 for node in nodes))
            for messages in plan():
                for message in messages:
                    await send(known[message.sender], message)
                    sent.append(message)
                await anyio.sleep(PAUSE)
            await all_up(nodes)
            for name, inbox in inboxes.items():
                wanted = sum(1 for each in sent if each.receiver == name)
                received[name] = [await inbox.receive() for _ in range(wanted)]
            # Whatever came twice would be there by now.
            for node in nodes:
                await until(lambda: not any(map(len, node._core.delivery.streams())))  # noqa: B023
            assert all(not len(inbox) for inbox in inboxes.values())
            assert sum(s.retransmitted for n in nodes for s in n._core.delivery.streams()) > 0

    async def send(node: Node, message: Sent) -> None:
        to = f"{message.receiver}@127.0.0.1"
        await node.send(
            to, "sink", message.number, channel=DATA, partition_key=message.key, ack=True
        )

    run(main)
    check(sent, received)


def test_hanging_up_waits_for_what_is_held_back(run: Run) -> None:
    async def main() -> None:
        faults = Faults([Fault("delay", share=1.0, time=0.1)])
        async with make("n1", faults=faults) as first:
            inbox = first.register("sink")
            async with make("n2", faults=faults) as second:
                await second.sync_join(first.name, first.listen_addrs[0])
                for number in range(20):
                    await second.send(first.name, "sink", number)
            assert [await inbox.receive() for _ in range(20)] == [*range(20)]

    run(main)


# -- Scripts ---------------------------------------------------------------------------------------


@given(st.integers(0, 2**63 - 1), st.lists(st.integers(0, 5 * SECOND), max_size=50))
def test_the_same_seed_does_the_same_harm(seed: int, times: list[int]) -> None:
    ways = []
    for _ in range(2):
        faults = Faults(Faults.from_file(SCRIPT).faults, seed=seed)
        faults.begin(0)
        ways.append([faults.way("n1@127.0.0.1", "n2@127.0.0.1", at, message=True) for at in times])

    assert ways[0] == ways[1]
    for way in ways[0]:
        assert len(way.delays) <= 2
        assert all(0 <= delay <= 70 * MILLISECOND for delay in way.delays)


def test_a_fault_concerns_whom_and_what_it_says_in_its_time() -> None:
    faults = Faults(
        [Fault("drop", begin=1.0, end=2.0, frames="messages", between=(("a",), ("b", "c")))]
    )
    faults.begin(100)

    def lost(sender: str, receiver: str, at: float, *, message: bool = True) -> bool:
        way = faults.way(sender, receiver, 100 + round(at * SECOND), message=message)
        return not way.delays

    assert lost("a", "b", 1.0)
    assert lost("a", "c", 1.999)
    assert not lost("a", "b", 0.999)
    assert not lost("a", "b", 2.0)
    assert not lost("b", "a", 1.5)
    assert not lost("a", "b", 1.5, message=False)
    faults.begin(0)  # it has begun
    assert lost("a", "b", 1.0)
    assert faults.changes() == [100 + SECOND, 100 + 2 * SECOND]


def test_partitions_are_between_groups_and_the_rest() -> None:
    faults = Faults([Fault("partition", end=1.0, groups=(("a",), ("b",)))])
    faults.begin(0)

    assert faults.apart("a", "b", 0)
    assert faults.apart("a", "x", 0)
    assert not faults.apart("x", "y", 0)
    assert not faults.apart("a", "a", 0)
    assert not faults.apart("a", "b", SECOND)
    assert faults.way("a", "b", 0, message=True).delays == (0,)


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("seeds = 1", "seeds is unknown; there are seed and fault"),
        ("seed = 1.5", "seed is an integer"),
        ("seed = -1", "seed is -1; it must be from 0"),
        ("fault = 1", "each fault a table"),
        ("fault = [1]", "fault 1 has no kind; it is one of drop"),
        ("[[fault]]\nshare = 1", "fault 1 has no kind"),
        ('[[fault]]\nkind = "lose"', "fault 1: kind is 'lose'; it must be one of drop"),
        ('[[fault]]\nkind = "drop"\nbegins = 1', "begins is unknown; there are kind, begin"),
        ('[[fault]]\nkind = "drop"\nbegin = "1"', "fault 1: begin is '1'; it is float"),
        ('[[fault]]\nkind = "drop"\nbegin = true', "begin is True; it is float"),
        ('[[fault]]\nkind = "drop"\nbegin = 2\nend = 1', "it must end later"),
        ('[[fault]]\nkind = "drop"\nshare = 2', "share is 2; it must be from 0 to 1"),
        ('[[fault]]\nkind = "drop"\ntime = -1', "time is -1"),
        ('[[fault]]\nkind = "drop"\nframes = "some"', "it must be all or messages"),
        ('[[fault]]\nkind = "drop"\ngroups = [["a"]]', "a partition has groups, and nothing else"),
        ('[[fault]]\nkind = "partition"', "a partition has groups"),
        ('[[fault]]\nkind = "partition"\ngroups = ["a"]', "groups is a list of groups"),
        ('[[fault]]\nkind = "partition"\ngroups = [[1]]', "each a list of names"),
        ('[[fault]]\nkind = "drop"\nbetween = [["a"]]', "between is two groups"),
        ("fault", "script.toml: "),
    ],
)
def test_what_is_no_script(tmp_path: Path, text: str, match: str) -> None:
    path = tmp_path / "script.toml"
    path.write_text(text)

    with pytest.raises(ValueError, match=match):
        Faults.from_file(path)
