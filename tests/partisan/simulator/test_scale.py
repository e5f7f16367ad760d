# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import gc
import random

import pytest

from heliograph.partisan.protocol.overlay import interface as on
from heliograph.partisan.protocol.overlay.hyparview import HyParView
from heliograph.partisan.protocol.plumtree import Plumtree, PlumtreeConfig
from heliograph.partisan.simulator.scale import Cluster, Detection, collector_off, spec_of
from heliograph.partisan.wire import NodeSpec, encode
from heliograph.partisan.wire.messages import Disconnection, IHave, Neighbor

TREE = PlumtreeConfig(shared=True, memory=16)


def cluster(
    count: int = 60,
    *,
    seed: int = 1,
    tree: PlumtreeConfig | None = TREE,
    latency: tuple[int, int] = (10, 10),
    detection: Detection = "send",
    keep_alive: int = 0,
) -> Cluster:
    made = Cluster(
        random=random.Random(seed), latency=latency, detection=detection, keep_alive=keep_alive
    )

    def overlay(spec: NodeSpec) -> HyParView:
        return HyParView(spec, random=made.random)

    for number in range(count):
        node = made.add(overlay, tree)
        if number:
            made.tell(node, on.Join(made.nodes[0].spec))
            made.settle()
    for _ in range(3):
        made.cycle()
    return made


def test_a_broadcast_reaches_all_and_is_sent_once_to_each_after_the_first() -> None:
    made = cluster()

    first = made.broadcast(made.nodes[3], 60)
    second = made.broadcast(made.nodes[3], 60)

    assert (first.reliability, second.reliability) == (1.0, 1.0)
    assert first.redundancy > 1.5
    assert second.payloads == 59
    assert second.redundancy == 0
    assert second.control > 0
    assert second.control_bytes > 100 * second.control
    assert 2 <= second.hops <= 20


def test_what_arrives_after_the_next_broadcast_does_not_count_for_it() -> None:
    made = cluster(10)
    first = made.broadcast(made.nodes[0], 10, 5)
    made.broadcast(made.nodes[0], 10)

    assert first.reached == 1
    assert all(made.nodes[at].tree.neighbors for at in range(10))


def test_a_flood_is_sent_to_all_neighbors_each_time() -> None:
    made = cluster(tree=None)

    spreads = [made.broadcast(node, 60) for node in made.nodes[:2]]

    assert [each.reliability for each in spreads] == [1.0, 1.0]
    assert all(2 < each.redundancy < 3.1 for each in spreads)
    assert all(each.control == 0 for each in spreads)


@pytest.mark.parametrize("detection", ["send", "reset"])
def test_after_many_failures_the_others_are_reached(detection: Detection) -> None:
    made = cluster(100, detection=detection, keep_alive=5_000)
    for node in made.nodes[:3]:
        made.broadcast(node, 100)
    made.fail(made.random.sample(made.nodes, 60))
    living = made.living

    spreads = [made.broadcast(made.random.choice(living), 40, 2_500) for _ in range(8)]

    assert spreads[-1].reliability == 1.0
    assert all(each.reached <= 40 for each in spreads)
    made.settle()
    dead = {node.name for node in made.nodes if not node.alive}
    assert all(not dead & node.overlay.neighbors.keys() for node in living)


def test_a_node_that_never_sends_does_not_notice_without_keep_alives() -> None:
    made = cluster(10)
    node = made.nodes[1]
    made.fail([each for each in made.nodes if each is not node])

    made.settle()

    assert node.overlay.neighbors
    lonely = made.broadcast(node, 1)
    assert (lonely.reached, lonely.redundancy) == (1, 0.0)
    assert not node.overlay.neighbors


def test_messages_may_take_differently_long() -> None:
    made = cluster(40, latency=(1, 50))

    spreads = [made.broadcast(node, 40) for node in made.nodes[:3]]

    assert [each.reliability for each in spreads] == [1.0] * 3


def test_what_is_far_in_the_future_comes_too() -> None:
    made = cluster(20, tree=PlumtreeConfig(lazy_tick=5_000_000_000))
    made.broadcast(made.nodes[0], 20)
    before = made.now

    made.broadcast(made.nodes[0], 20)

    assert made.now - before >= 5_000
    assert all(isinstance(node.tree, Plumtree) and not node.tree.outstanding for node in made.nodes)


def test_timers_of_nodes_that_have_failed_do_nothing() -> None:
    made = cluster(20)
    for _ in range(2):
        made.broadcast(made.nodes[0], 20)
    made.broadcast(made.nodes[0], 20, 100)
    made.fail(made.nodes)

    made.settle()

    assert not made.living


def test_the_same_seed_is_the_same_run() -> None:
    runs = []
    for _ in range(2):
        made = cluster(30, seed=7, latency=(5, 15))
        spreads = [made.broadcast(node, 30) for node in made.nodes[:3]]
        runs.append((spreads, made.events, made.now, made.sent()))

    assert runs[0] == runs[1]


def test_what_was_sent_is_counted_with_its_size_on_the_wire() -> None:
    made = cluster(30)
    made.broadcast(made.nodes[0], 30)
    made.broadcast(made.nodes[0], 30)

    sent = made.sent()

    assert list(sent) == sorted(sent)
    count, size = sent["Neighbor"]
    message = Neighbor(spec_of(1), made.nodes[0].spec.name, Disconnection(1, 0), spec_of(2))
    assert abs(size / count - len(encode(message.term()))) < 40
    count, size = sent["IHave"]
    name = made.nodes[0].name
    lazy = IHave(1_000, name, 1, name, name)
    assert abs(size / count - len(encode(lazy.term()))) < 40


@pytest.mark.parametrize("enabled", [True, False])
def test_the_collector_is_as_it_was_afterwards(enabled: bool) -> None:
    was = gc.isenabled()
    (gc.enable if enabled else gc.disable)()
    try:
        with collector_off():
            assert not gc.isenabled()
        assert gc.isenabled() is enabled
    finally:
        (gc.enable if was else gc.disable)()
