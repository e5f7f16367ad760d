# SPDX-License-Identifier: Apache-2.0
"""Overlays that talk to each other at once: what one sends, the other gets before anything else."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Iterable

from heliograph.partisan.protocol.overlay import interface as on
from heliograph.partisan.protocol.overlay.interface import Effect, Overlay
from heliograph.partisan.wire import Atom, ListenAddr, NodeSpec

SECOND = 1_000_000_000


def spec(number: int, port: int = 0) -> NodeSpec:
    address = ListenAddr("127.0.0.1", port or 10_000 + number)
    return NodeSpec(Atom(f"n{number}@127.0.0.1"), (address,), ())


def sent(effects: Iterable[Effect]) -> list[tuple[str, str]]:
    """Who is sent what: name and kind of message."""
    return [
        (to.name, type(effect.message).__name__)
        for effect in effects
        if isinstance(effect, on.Send)
        for to in effect.to
    ]


def told(effects: Iterable[Effect]) -> list[tuple[str, str]]:
    """Who is a neighbor now, and who is none any more for what reason."""
    return [
        (each.spec.name, "up" if isinstance(each, on.NeighborUp) else each.reason)
        for each in effects
        if isinstance(each, on.NeighborUp | on.NeighborDown)
    ]


class Pool:
    """Nodes by number, and what is on its way between them."""

    def __init__(self, make: Callable[[NodeSpec, random.Random], Overlay], seed: int = 1) -> None:
        self.random = random.Random(seed)
        self.make = make
        self.nodes: dict[Atom, Overlay] = {}
        self.dead: set[Atom] = set()
        self.cut: set[frozenset[Atom]] = set()
        self.now = 0
        self.log: list[tuple[Atom, Effect]] = []
        self._queue: deque[Callable[[], None]] = deque()

    def add(self, number: int) -> NodeSpec:
        mine = spec(number)
        self.nodes[mine.name] = self.make(mine, self.random)
        return mine

    def do(self, name: Atom, happened: on.Input) -> None:
        self._take(name, happened)
        while self._queue:
            self._queue.popleft()()

    def kill(self, name: Atom) -> None:
        """Let a node fail; all that are connected to it notice."""
        self.dead.add(name)
        for other, overlay in self.nodes.items():
            if name in overlay.neighbors and other not in self.dead:
                self.do(other, on.Lost(name))

    def fire(self, *timers: str) -> None:
        for timer in timers:
            for name in self.nodes:
                if name not in self.dead:
                    self.do(name, on.Fired(timer))

    def views(self) -> dict[Atom, set[Atom]]:
        return {
            name: set(overlay.neighbors)
            for name, overlay in self.nodes.items()
            if name not in self.dead
        }

    def _take(self, name: Atom, happened: on.Input) -> None:
        for effect in self.nodes[name].handle(happened, self.now):
            self.log.append((name, effect))
            match effect:
                case on.Send(to, message):
                    for each in to:
                        if self._reaches(name, each.name):
                            received = on.Received(name, message)
                            self._later(each.name, received)
                        else:
                            self._later(name, on.Lost(each.name))
                case on.Check(peers):
                    for peer in peers:
                        if not self._reaches(name, peer):
                            self._later(name, on.Lost(peer))
                case on.Peek(it):
                    state = self.nodes[it.name].state() if self._reaches(name, it.name) else None
                    self._later(name, on.Peeked(it.name, state))
                case _:
                    pass

    def _reaches(self, one: Atom, other: Atom) -> bool:
        return (
            other in self.nodes
            and other not in self.dead
            and frozenset({one, other}) not in self.cut
        )

    def _later(self, name: Atom, happened: on.Input) -> None:
        self._queue.append(lambda: self._take(name, happened))
