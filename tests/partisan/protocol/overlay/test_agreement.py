# SPDX-License-Identifier: Apache-2.0
"""Who is whose neighbor, when messages take time and nodes fail, leave and join meanwhile."""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable

import pytest

from heliograph.partisan.protocol.overlay import interface as on
from heliograph.partisan.protocol.overlay.hyparview import HyParView
from heliograph.partisan.protocol.overlay.past import LEAVING
from heliograph.partisan.protocol.overlay.settings import HyParViewConfig
from heliograph.partisan.simulator.graphs import components
from heliograph.partisan.wire import Atom
from heliograph.partisan.wire.messages import Disconnect
from tests.partisan.protocol.overlay.pool import SECOND, spec

NODES = 24
CONFIG = HyParViewConfig(active=3, passive=8)


class Slow:
    """Nodes whose messages take differently long, those from one node to another in order.

    The failure of a connection is noticed at both ends, before or after what is on its way.
    """

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.now = 0
        self.calm = False  # whether timers do nothing any more
        self.nodes: dict[Atom, HyParView] = {}
        self.dead: set[Atom] = set()
        self._heap: list[tuple[int, int, Callable[[], None]]] = []
        self._count = 0
        self._last: dict[tuple[Atom, Atom], int] = {}
        self.noticed: set[tuple[Atom, Atom]] = set()
        """Who knows of whom that it is dead, or has left."""
        self.ghosts: list[tuple[Atom, Atom]] = []
        """Who has taken for a neighbor of whom it knew that."""
        for number in range(NODES):
            mine = spec(number)
            self.nodes[mine.name] = HyParView(
                mine, random=self.random, config=CONFIG, seeds=[spec(0), spec(1)]
            )

    def at(self, when: int, what: Callable[[], None]) -> None:
        self._count += 1
        heapq.heappush(self._heap, (when, self._count, what))

    def run(self, until: int) -> None:
        while self._heap and self._heap[0][0] <= until:
            self.now, _, what = heapq.heappop(self._heap)
            what()
        self.now = until

    def do(self, name: Atom, happened: on.Input) -> None:
        if name in self.dead or (self.calm and isinstance(happened, on.Fired)):
            return
        match happened:
            case on.Lost(peer):
                if peer in self.dead:
                    self.noticed.add((name, peer))
            case on.Received(Atom() as peer, Disconnect(_, number)) if number.number >= LEAVING:
                self.noticed.add((name, peer))
            case on.Received(Atom() as peer, _) if not self.is_gone(peer):
                self.noticed.discard((name, peer))
            case _:
                pass
        for effect in self.nodes[name].handle(happened, self.now):
            match effect:
                case on.NeighborUp(neighbor) if (name, neighbor.name) in self.noticed:
                    if self.is_gone(neighbor.name):
                        self.ghosts.append((name, neighbor.name))
                case on.Send(to, message):
                    for each in to:
                        self._send(name, each.name, on.Received(name, message))
                case on.Check(peers):
                    for peer in peers:
                        if peer in self.dead:
                            self._later(name, on.Lost(peer))
                case on.SetTimer(timer, at):
                    self.at(at, lambda name=name, timer=timer: self.do(name, on.Fired(timer)))  # type: ignore[misc]
                case _:
                    pass

    def is_gone(self, name: Atom) -> bool:
        return name in self.dead or self.nodes[name].left

    def kill(self, name: Atom) -> None:
        self.dead.add(name)
        for other, overlay in self.nodes.items():
            if name in overlay.neighbors:
                self._later(other, on.Lost(name))

    def reset(self, one: Atom, other: Atom) -> None:
        """Break the connection of two that live."""
        self._later(one, on.Lost(other))
        self._later(other, on.Lost(one))

    def _send(self, sender: Atom, to: Atom, happened: on.Input) -> None:
        when = self.now + self.random.randrange(1, SECOND // 4)
        when = max(when, self._last.get((sender, to), 0) + 1)
        self._last[sender, to] = when

        def arrive() -> None:
            if to in self.dead:
                self.do(sender, on.Lost(to))
            else:
                self.do(to, happened)

        self.at(when, arrive)

    def _later(self, name: Atom, happened: on.Input) -> None:
        when = self.now + self.random.randrange(1, SECOND // 4)
        self.at(when, lambda: self.do(name, happened))


def turbulent(seed: int) -> tuple[Slow, set[Atom]]:
    """Let everything happen at once for a minute, and then nothing more; return who left last."""
    slow = Slow(seed)
    chance = slow.random
    names = [*slow.nodes]
    for at, name in enumerate(names):
        slow.at(at * SECOND // 10, lambda name=name: slow.do(name, on.Start()))  # type: ignore[misc]
        if at:
            contact = spec(chance.randrange(min(at, 2)))
            join = on.Join(contact)
            slow.at(at * SECOND // 10, lambda name=name, join=join: slow.do(name, join))  # type: ignore[misc]
    gone: set[Atom] = set()

    def happen() -> None:
        name = chance.choice(names[2:])
        kind = chance.randrange(5)
        if kind == 0 and len(slow.dead) < NODES // 3:
            slow.kill(name)
        elif kind == 1:
            gone.add(name)
            slow.do(name, on.Leave())
        elif kind == 2:
            gone.discard(name)
            slow.do(name, on.Join(spec(chance.randrange(2))))
        elif slow.nodes[name].neighbors:
            slow.reset(name, chance.choice([*slow.nodes[name].neighbors]))

    for _ in range(60):
        slow.at(3 * SECOND + chance.randrange(60 * SECOND), happen)
    slow.run(63 * SECOND)
    return slow, gone


@pytest.mark.parametrize("seed", range(25))
def test_all_agree_in_the_end_whatever_happened(seed: int) -> None:
    slow, gone = turbulent(seed)
    slow.run(150 * SECOND)
    slow.calm = True
    slow.run(160 * SECOND)
    living = {name: node for name, node in slow.nodes.items() if name not in slow.dead | gone}

    for name, node in living.items():
        for other in node.neighbors:
            assert other in living, f"{name} keeps {other}, which is gone"
            assert name in living[other].neighbors, f"{name} has {other}, not the other way round"
    for name in gone - slow.dead:
        assert not slow.nodes[name].neighbors
    assert slow.ghosts == []
    numbers = {name: at for at, name in enumerate(living)}
    graph = [[numbers[other] for other in node.neighbors] for node in living.values()]
    assert components(graph) == [len(living)]
