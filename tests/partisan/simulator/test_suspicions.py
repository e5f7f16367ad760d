# SPDX-License-Identifier: Apache-2.0
"""Suspicions in partial views: those who know the suspect are asked, whoever they are.

`python -m tests.partisan.simulator.test_suspicions` prints what it takes with confirmations and
without, for more seeds.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import fmean

import pytest

from heliograph.partisan.faults import Fault, Faults
from heliograph.partisan.protocol import MEMBERSHIP, ProtocolConfig, inputs
from heliograph.partisan.protocol.detection import DetectionConfig
from heliograph.partisan.protocol.overlaid import Footing, OverlayCore
from heliograph.partisan.protocol.overlay.hyparview import HyParView
from heliograph.partisan.protocol.overlay.interface import Overlay
from heliograph.partisan.protocol.overlay.scamp import ScampV2
from heliograph.partisan.protocol.overlay.star import ClientServer, Static
from heliograph.partisan.simulator.network import SECOND, Network, Weather
from heliograph.partisan.wire import Atom, ChannelSpec, ListenAddr, NodeSpec
from heliograph.partisan.wire.messages import UNDEFINED

IDLE, TIMEOUT, SHORTEST = 2 * SECOND, SECOND, 4 * SECOND
WITH = DetectionConfig(suspicion=SHORTEST)
HASTY = DetectionConfig(suspicion=SHORTEST, witnesses=0)
"""Asks nobody, and waits the shortest time."""
PATIENT = DetectionConfig(suspicion=6 * SHORTEST, witnesses=0)
"""Asks nobody, and waits as long as one who asks and gets no answer."""
NODES = 16
SPECS = [
    NodeSpec(
        Atom(f"n{each}@127.0.0.1"),
        (ListenAddr("127.0.0.1", 10_000 + each),),
        (ChannelSpec(UNDEFINED), ChannelSpec(MEMBERSHIP)),
    )
    for each in range(NODES)
]
NAMES = [spec.name for spec in SPECS]
SERVERS = 3
X = NAMES[7]


def hyparview(footing: Footing) -> Overlay:
    return HyParView(footing.spec, random=footing.random, epoch=footing.epoch)


def scamp(footing: Footing) -> Overlay:
    return ScampV2(footing.spec, random=footing.random, actor=footing.actor)


def star(footing: Footing) -> Overlay:
    return ClientServer(
        footing.spec, "server" if NAMES.index(footing.spec.name) < SERVERS else "client"
    )


def static(footing: Footing) -> Overlay:
    """A ring in which everybody knows the next two on both sides."""
    at = NAMES.index(footing.spec.name)
    return Static(footing.spec, [SPECS[(at + each) % NODES] for each in (-2, -1, 1, 2)])


MAKE: dict[str, Callable[[Footing], Overlay]] = {
    "hyparview": hyparview,
    "scamp": scamp,
    "star": star,
    "static": static,
}


def make(kind: str, seed: int, detection: DetectionConfig = WITH) -> Network:
    """A cluster that has settled."""
    config = ProtocolConfig(
        idle_timeout=IDLE, ping_timeout=TIMEOUT, ping_attempts=2, detection=detection
    )
    it = Network(seed, Weather(half_open=1.0), config, MAKE[kind])
    for at, spec in enumerate(SPECS):
        it.start(spec)
        for contact in SPECS[: min(at, SERVERS if kind == "star" else 1)]:
            if kind != "static":
                it.tell(spec.name, inputs.Join(contact.name, contact.listen_addrs))
        it.run(SECOND // 10)
    if kind == "star":  # servers are told of each other
        for spec in SPECS[:SERVERS]:
            for other in SPECS[:SERVERS]:
                it.tell(spec.name, inputs.Join(other.name, other.listen_addrs))
    it.run(30 * SECOND)
    for node in it.nodes.values():
        node.suspected.clear()
        node.judged.clear()
    return it


def core(it: Network, name: Atom) -> OverlayCore:
    found = it.nodes[name].core
    assert isinstance(found, OverlayCore)
    return found


def holders(it: Network, name: Atom) -> list[Atom]:
    """Who has a node for its neighbor."""
    return [
        each
        for each, node in it.nodes.items()
        if each != name and node.core is not None and node.core.is_member(name)
    ]


@dataclass
class Found:
    """What became of one node that died: seconds until each neighbor let it go."""

    took: list[float] = field(default_factory=list)
    confirmations: list[int] = field(default_factory=list)


def death(kind: str, seed: int, detection: DetectionConfig, *, of: Atom = X) -> Found:
    """Let a node's host die without a word."""
    it = make(kind, seed, detection)
    neighbors = holders(it, of)
    assert neighbors
    it.crash(of)
    died = it.now
    it.run(45 * SECOND)
    found = Found()
    for name in neighbors:
        at, judged = next(
            (at, each)
            for at, each in it.nodes[name].judged
            if (each.peer, each.outcome) == (of, "down")
        )
        found.took.append((at - died) / SECOND)
        found.confirmations.append(judged.confirmations)
        assert not core(it, name).is_member(of)
    return found


def bad_link(kind: str, seed: int, detection: DetectionConfig) -> tuple[int, int]:
    """Let nothing that a node sends to one neighbor arrive for 14 s.

    Returns:
        How often the neighbor suspected it, and how often it declared it down, though it lives.
    """
    it = make(kind, seed, detection)
    one = holders(it, X)[0]
    it.harm(Faults([Fault("drop", end=14.0, between=((X,), (one,)))], seed=seed))
    it.run(60 * SECOND)
    node = it.nodes[one]
    downs = [each for _, each in node.judged if (each.peer, each.outcome) == (X, "down")]
    return sum(peer == X for _, peer in node.suspected), len(downs)


# -- The dead --------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", MAKE)
def test_the_dead_are_declared_down_sooner_than_without_confirmations(kind: str) -> None:
    confirmed = death(kind, 1, WITH)
    alone = death(kind, 1, PATIENT)

    assert max(confirmed.took) < min(alone.took)
    assert max(confirmed.confirmations) >= 2
    assert set(alone.confirmations) == {0}


def test_a_dead_server_is_found_by_its_clients_as_well() -> None:
    found = death("star", 1, WITH, of=NAMES[0])

    assert len(found.took) == NODES - 1
    assert set(found.confirmations) <= {2, 3}  # of other servers, and of other clients


def test_whom_nobody_else_knows_takes_the_shortest_time() -> None:
    it = make("star", 1)
    for server in NAMES[1:SERVERS]:
        it.tell(X, inputs.Leave(server))
        it.tell(server, inputs.Leave(X))
    it.run(60 * SECOND)
    assert holders(it, X) == [NAMES[0]]
    it.crash(X)
    it.run(30 * SECOND)

    judged = next(each for _, each in it.nodes[NAMES[0]].judged if each.peer == X)
    assert (judged.outcome, judged.confirmations) == ("down", 0)
    assert judged.duration <= 2 * SHORTEST


# -- The slow --------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", MAKE)
def test_a_node_that_is_late_to_read_declares_nobody_down_nor_is_it(kind: str) -> None:
    it = make(kind, 1)
    it.nodes[X].lag = 3 * SECOND  # each pong three times later than it may be
    it.run(60 * SECOND)

    assert it.nodes[X].suspected
    outcomes = {judged.outcome for node in it.nodes.values() for _, judged in node.judged}
    # Who was only dialled for a question is hung up on meanwhile.
    assert "alive" in outcomes
    assert outcomes <= {"alive", "gone"}
    assert len(holders(it, X)) >= 2


@pytest.mark.parametrize("kind", ["hyparview", "star"])
def test_who_hears_the_suspect_keeps_it_from_being_declared_down(kind: str) -> None:
    suspicions, downs = bad_link(kind, 1, WITH)
    _, hasty = bad_link(kind, 1, HASTY)

    assert suspicions
    assert downs == 0
    assert hasty


def test_a_node_that_stalls_now_and_then_declares_nobody_down() -> None:
    it = make("hyparview", 2)
    chance = random.Random(2)
    for _ in range(10):
        it.stall(X, chance.randint(1, 4 * SECOND))
        it.run(chance.randint(1, 6 * SECOND))

    assert [judged for _, judged in it.nodes[X].judged if judged.outcome == "down"] == []


def test_the_same_seed_gives_the_same_run() -> None:
    digests = set()
    for _ in range(2):
        it = make("hyparview", 3)
        it.crash(X)
        it.run(30 * SECOND)
        digests.add(it.digest())

    assert len(digests) == 1


def main(seeds: int) -> None:
    for kind in MAKE:
        for text, detection in (("with", WITH), ("hasty", HASTY), ("patient", PATIENT)):
            found = [death(kind, seed, detection) for seed in range(seeds)]
            took = [each for one in found for each in one.took]
            last = fmean(max(each.took) for each in found)
            confirmations = fmean(each for one in found for each in one.confirmations)
            suspicions, downs = map(
                sum, zip(*[bad_link(kind, each, detection) for each in range(seeds)], strict=True)
            )
            print(
                f"{kind:10} {text:8} dead after {fmean(took):5.1f} s, the last {last:5.1f} s, "
                f"{confirmations:.1f} confirmations; bad link: {suspicions} suspicions, "
                f"{downs} declared down wrongly",
                flush=True,
            )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10)
