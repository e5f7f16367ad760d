# SPDX-License-Identifier: Apache-2.0
"""How a node notices that it lives on an island: full views that know no way to the others.

Nothing is wrong there with any single view. Where each has two places, six nodes may be two rings
of three; where each has `a`, `a` + 1 nodes may all be neighbors of each other and of nobody else.
All of them know the others, as replacements, and need none. Nodes of the paper and the original
stay so until somebody fails.

Now and then a node looks whom its neighbors, and theirs, are connected to: everybody says that to
who dials, Erlang nodes, too. Where that leads to many, there is no island. Where it ends, twice the
same within seconds, and the node knows somebody beyond, one of those that notice asks one of these
to be a neighbor, in whose place it may. Which one it is, is drawn by lot, since if all did, they
would part from each other.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from heliograph.partisan.protocol.overlay.chance import draw
from heliograph.partisan.protocol.overlay.interface import Peek, SetTimer
from heliograph.partisan.protocol.states import run_of
from heliograph.partisan.wire import NodeSpec, TermMap

if TYPE_CHECKING:
    from heliograph.partisan.protocol.overlay.hyparview import HyParView
    from heliograph.partisan.protocol.overlay.interface import Effect
    from heliograph.partisan.wire import Atom, Term

__all__ = ["Islands"]


class Islands:
    """What one node has seen. Each method takes the node's views."""

    __slots__ = ("_asked", "_found", "_left", "_near", "_ours", "_seen")

    def __init__(self) -> None:
        self._near: frozenset[Atom] = frozenset()  # the neighbors when it began to look
        self._seen: dict[Atom, NodeSpec] = {}
        self._left: deque[NodeSpec] = deque()  # those that were not looked at
        self._asked: Atom | None = None  # the one that is looked at
        self._ours = 0  # how many others of our kind there are
        self._found: frozenset[Atom] = frozenset()  # the island that was seen last

    def fired(self, views: HyParView) -> list[Effect]:
        """Begin to look, if there is anybody else."""
        self._near = frozenset(views.neighbors)
        self._seen = dict(views.neighbors)
        self._left = deque(views.neighbors.values())
        self._asked, self._ours = None, 0
        return self._look_on() if self._left and self._beyond(views) else []

    def peeked(self, views: HyParView, peer: Atom, state: Term, now: int) -> list[Effect]:
        """See whom a node is connected to."""
        if peer != self._asked:
            return []
        self._asked = None
        theirs = _members(state, views.config.exchange)
        if theirs is None or self._near != views.neighbors.keys():
            return self._nothing()  # all is in motion
        self._ours += run_of(state) is not None
        for spec in theirs:
            if spec.name != views.name and spec.name not in self._seen:
                self._seen[spec.name] = spec
                self._left.append(spec)
        if len(self._seen) >= views.config.island:
            return self._nothing()
        return self._look_on() if self._left else self._ended(views, now)

    def _nothing(self) -> list[Effect]:
        self._found = frozenset()
        return []

    def _look_on(self) -> list[Effect]:
        spec = self._left.popleft()
        self._asked = spec.name
        return [Peek(spec)]

    def _ended(self, views: HyParView, now: int) -> list[Effect]:
        """See what it means that nobody else is connected to those that were seen."""
        former, self._found = self._found, frozenset(self._seen)
        beyond = self._beyond(views)
        if not beyond:
            return self._nothing()
        if former != self._found:
            return [SetTimer("survey", now + views.config.promotion_interval)]
        views.statistics.islands += 1
        if views.random.random() * (self._ours + 1) >= 1:
            return []
        return [views.request(draw(views.random, beyond, 1)[0], now, high=True)]

    def _beyond(self, views: HyParView) -> list[NodeSpec]:
        """Return whom the node knows beside those that were seen; replacements before others."""
        for known in (views.passive.values(), views.far()):
            found = {each.name: each for each in known if each.name not in self._seen}
            beyond = [each for each in found.values() if views.may_ask(each.name)]
            if beyond:
                return beyond
        return []


def _members(state: Term, most: int) -> list[NodeSpec] | None:
    """Return who is in the active view of a state; None if it is none."""
    match state:
        case ("state", dict() | TermMap() as active, int()) if len(active) <= most:
            try:
                return [NodeSpec.parse(each) for each in active]
            except ValueError:
                return None
        case _:
            return None
