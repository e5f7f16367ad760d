# SPDX-License-Identifier: Apache-2.0
"""An overlay of one's own: a ring, in which each node is connected to the two that follow it.

A node's place is the hash of its name. Whoever comes tells its contact; whoever hears of a node
tells its neighbors, once. So all get to know all, and each keeps those that follow it. `main` lets
six nodes find their places, one of them fail, and prints who follows whom.
"""

from __future__ import annotations

from collections import deque
from hashlib import sha256
from typing import TYPE_CHECKING

from heliograph.partisan.protocol.overlay.interface import (
    Custom,
    Fired,
    Join,
    Lost,
    NeighborDown,
    NeighborUp,
    Overlay,
    Received,
    Send,
    SetTimer,
    Start,
)
from heliograph.partisan.wire import Atom, ListenAddr, NodeSpec

if TYPE_CHECKING:
    from heliograph.partisan.protocol.overlay.interface import Effect, Input
    from heliograph.partisan.wire import Term

SECOND = 1_000_000_000
TIMER = "tell"
KNOWN = 1_000  # nodes that a node knows at most


def place(name: str) -> bytes:
    """Return where on the ring a node is."""
    return sha256(name.encode()).digest()


class Ring(Overlay):
    """One node of the ring; its neighbors are so many of those that follow it."""

    def __init__(self, spec: NodeSpec, follow: int = 2) -> None:
        self.spec = spec
        self.neighbors: dict[Atom, NodeSpec] = {}
        self._known: dict[Atom, NodeSpec] = {}
        self._gone: set[Atom] = set()  # who was lost is not believed in on others' word
        self._follow = follow

    def state(self) -> Term:
        """Return what whoever connects is told."""
        return Atom("ring"), [each.term() for each in (self.spec, *self._known.values())]

    def handle(self, happened: Input, now: int) -> list[Effect]:
        match happened:
            case Start():
                return [SetTimer(TIMER, now + 10 * SECOND)]
            case Join(contact):
                return [Send((contact,), self._told(self.spec)), *self._learn([contact])]
            case Received(peer, message):
                self._gone.discard(peer or self.spec.name)
                return self._received(Custom.of(message))
            case Lost(peer, reason):
                self._known.pop(peer, None)
                self._gone.add(peer)
                return self._choose(reason)
            case Fired():  # whoever missed something hears of it again
                told = self._told(self.spec, *self._known.values())
                again = SetTimer(TIMER, now + 10 * SECOND)
                return [again, Send(tuple(self.neighbors.values()), told)]
            case _:
                return []

    def _told(self, *specs: NodeSpec) -> Custom:
        return Custom((Atom("known"), [each.term() for each in specs]))

    def _received(self, message: Custom | None) -> list[Effect]:
        match message:
            case Custom(("known", list(terms))) if len(terms) <= KNOWN:
                try:
                    return self._learn([NodeSpec.parse(term) for term in terms])
                except ValueError:
                    return []  # it came from the network: whatever it is, it must do no harm
            case _:
                return []

    def _learn(self, specs: list[NodeSpec]) -> list[Effect]:
        known = {self.spec.name, *self._known, *self._gone}
        new = [each for each in specs if each.name not in known]
        if not new:
            return []
        others = tuple(self._known.values())
        self._known |= {each.name: each for each in new}
        effects: list[Effect] = [Send(tuple(new), self._told(self.spec, *others))]
        if others:
            effects.append(Send(others, self._told(*new)))
        return [*effects, *self._choose("evicted")]

    def _choose(self, reason: str) -> list[Effect]:
        """Keep those that follow, and tell who came and went."""
        mine = place(self.spec.name)
        order = sorted(self._known, key=lambda name: (place(name) < mine, place(name)))
        chosen = {name: self._known[name] for name in order[: self._follow]}
        before, self.neighbors = self.neighbors, chosen
        gone = [NeighborDown(each, reason) for name, each in before.items() if name not in chosen]
        come = [NeighborUp(each) for name, each in chosen.items() if name not in before]
        return [*gone, *come]


def deliver(nodes: dict[Atom, Ring], name: Atom, happened: Input) -> None:
    """Give a node an input, and everybody what follows from it."""
    queue: deque[tuple[Atom, Input]] = deque([(name, happened)])
    while queue:
        at, what = queue.popleft()
        for effect in nodes[at].handle(what, 0):
            if isinstance(effect, Send):
                for to in effect.to:
                    reached = to.name in nodes
                    queue.append(
                        (to.name, Received(at, effect.message)) if reached else (at, Lost(to.name))
                    )


def main() -> None:
    """Let nodes find their places."""
    specs = [
        NodeSpec(Atom(f"n{n}@127.0.0.1"), (ListenAddr("127.0.0.1", 10_000 + n),), ())
        for n in range(1, 7)
    ]
    nodes = {spec.name: Ring(spec) for spec in specs}
    for name in nodes:
        deliver(nodes, name, Join(specs[0]))
    del nodes[specs[2].name]
    for name in nodes:
        deliver(nodes, name, Lost(specs[2].name))
    for name in sorted(nodes, key=place):
        print(name, "is followed by", ", ".join(nodes[name].neighbors))


if __name__ == "__main__":
    main()
