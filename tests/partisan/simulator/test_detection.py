# SPDX-License-Identifier: Apache-2.0
"""Failure detection in simulated clusters: the slow are not the dead."""

from __future__ import annotations

import random

import pytest

from heliograph.partisan.protocol import MEMBERSHIP, NodeCore, ProtocolConfig, inputs
from heliograph.partisan.protocol.detection import DetectionConfig
from heliograph.partisan.simulator.network import SECOND, Network, Weather
from heliograph.partisan.wire import Atom, ChannelSpec, ListenAddr, NodeSpec
from heliograph.partisan.wire.messages import UNDEFINED

IDLE, TIMEOUT, SHORTEST = 2 * SECOND, SECOND, 4 * SECOND
NAMES = [Atom(f"n{each}@127.0.0.1") for each in range(1, 7)]
SLOW = NAMES[2]


def make(seed: int, *, detection: bool = True, names: list[Atom] = NAMES) -> Network:
    """A cluster that is all connected."""
    config = ProtocolConfig(
        idle_timeout=IDLE,
        ping_timeout=TIMEOUT,
        ping_attempts=2,
        gossip_interval=600 * SECOND,
        detection=DetectionConfig(suspicion=SHORTEST) if detection else None,
    )
    it = Network(seed, Weather(half_open=1.0), config)
    for port, name in enumerate(names, 10_001):
        channels = (ChannelSpec(UNDEFINED), ChannelSpec(MEMBERSHIP))
        it.start(NodeSpec(name, (ListenAddr("127.0.0.1", port),), channels))
        if name != names[0]:
            it.tell(name, inputs.Join(names[0], (ListenAddr("127.0.0.1", 10_001),)))
    it.run(30 * SECOND)
    assert all(core(it, name).peers[other].up for name in names for other in names if other != name)
    return it


def core(it: Network, name: Atom) -> NodeCore:
    found = it.nodes[name].core
    assert found is not None
    return found


def down(it: Network) -> list[tuple[Atom, Atom]]:
    """Who has lost whom."""
    return [
        (name, peer.name)
        for name, node in it.nodes.items()
        if node.core is not None
        for peer in node.core.peers.values()
        if not peer.connected
    ]


@pytest.mark.parametrize("seed", range(3))
def test_a_node_that_is_late_to_read_does_not_declare_the_healthy_down(seed: int) -> None:
    it = make(seed)
    it.nodes[SLOW].lag = 3 * SECOND  # each pong three times later than it may be

    detecting = core(it, SLOW).detecting
    assert detecting is not None
    worst = 0
    for _ in range(60):
        it.run(SECOND)
        worst = max(worst, detecting.detector.health.score)
        assert down(it) == []

    slow = it.nodes[SLOW]
    assert slow.suspected
    assert {judged.outcome for _, judged in slow.judged} == {"alive"}
    assert worst > 1
    # Nor is it declared down itself: others wait, and what it sends comes late but comes.
    assert not any(
        judged.outcome == "down" for node in it.nodes.values() for _, judged in node.judged
    )


def test_the_same_node_without_detection_loses_its_peers() -> None:
    it = make(1, detection=False)
    it.nodes[SLOW].lag = 3 * SECOND

    lost = []
    for _ in range(60):
        it.run(SECOND)
        lost += down(it)

    assert SLOW in {name for name, _ in lost}


@pytest.mark.parametrize("seed", range(3))
def test_a_node_that_stalls_now_and_then_declares_nobody_down(seed: int) -> None:
    it = make(seed)
    chance = random.Random(seed)

    for _ in range(20):
        it.stall(SLOW, chance.randint(1, 4 * SECOND))
        it.run(chance.randint(1, 6 * SECOND))

    assert [judged for _, judged in it.nodes[SLOW].judged if judged.outcome == "down"] == []


@pytest.mark.parametrize("seed", range(3))
def test_the_dead_are_declared_down_by_all_in_bounded_time(seed: int) -> None:
    it = make(seed)
    it.crash(SLOW)
    died = it.now

    # Silence until the last pings it, a pong in vain; a ping of others' missed makes it wait twice
    # as long at most. Then the shortest suspicion for twice as long, and the way there and back.
    bound = IDLE + IDLE // 4 + 2 * TIMEOUT + 2 * SHORTEST + SECOND
    it.run(bound)

    for name in NAMES:
        if name != SLOW:
            [(at, judged)] = it.nodes[name].judged
            assert (judged.peer, judged.outcome) == (SLOW, "down")
            assert judged.confirmations == 3
            assert at - died <= bound
            assert not core(it, name).peers[SLOW].connected


def test_of_two_nodes_one_dead_the_other_waits_for_nobody_else() -> None:
    it = make(1, names=NAMES[:2])
    it.crash(NAMES[1])
    it.run(IDLE + IDLE // 4 + 2 * TIMEOUT + 2 * SHORTEST)

    [(_, judged)] = it.nodes[NAMES[0]].judged
    assert (judged.outcome, judged.confirmations) == ("down", 0)


def test_a_suspect_that_is_stopped_in_order_is_gone() -> None:
    it = make(1)
    it.stall(SLOW, 600 * SECOND)
    it.run(IDLE + IDLE // 4 + TIMEOUT + TIMEOUT // 2)
    assert it.nodes[NAMES[0]].suspected
    it.weather = Weather(half_open=0.0)
    it.crash(SLOW)  # the connections close, as its host says

    it.run(60 * SECOND)

    outcomes = {judged.outcome for _, judged in it.nodes[NAMES[0]].judged}
    assert outcomes == {"gone"}


def test_a_partition_ends_in_down_on_both_sides_and_heals() -> None:
    it = make(1)
    it.partition(NAMES[:3], NAMES[3:])
    it.run(120 * SECOND)
    assert len(down(it)) == 18
    it.heal()
    it.run(60 * SECOND)

    assert down(it) == []


def test_the_same_seed_gives_the_same_run() -> None:
    digests = set()
    for _ in range(2):
        it = make(7)
        it.nodes[SLOW].lag = 3 * SECOND
        it.run(60 * SECOND)
        digests.add(it.digest())

    assert len(digests) == 1
