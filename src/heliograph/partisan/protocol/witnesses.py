# SPDX-License-Identifier: Apache-2.0
"""Who may know more of a suspect, where nodes are connected to a few others only.

A node in a partial view does not know whom its neighbors are connected to, and in a large overlay
two neighbors of one node are hardly ever neighbors of each other. So neighbors of our kind tell
each other of some of their other neighbors, whenever those have changed. Whoever suspects a
neighbor then asks, up to a number:

1.  who has asked about it before;
2.  of the suspect's other neighbors those that are its own neighbors, too;
3.  the rest of them, which are dialled for the purpose, where nodes may dial whom they like;
4.  other neighbors of its own, which may know it by chance.

A suspicion so takes a number of messages that does not depend on the size of the cluster. The ways
not taken: the broadcast tree tells all nodes of each suspicion, of which in HyParView four can say
anything, and it leads through Erlang nodes, which have no handler for it and whose broadcasts end
when they get such a message. A limit of hops that is small misses them: without the suspect, its
neighbors are as far from each other as any two nodes, five hops in a cluster of a thousand.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from heliograph.partisan.wire import Atom, NodeSpec

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from random import Random

    from heliograph.partisan.wire import Term

__all__ = ["NEIGHBORS", "Witnesses"]

NEIGHBORS: Final = Atom("neighbors")
"""Begins the message that tells a neighbor of others: `{neighbors, [Node]}`."""
_SECOND: Final = 1_000_000_000
_LISTED: Final = 32
"""Nodes of one such message that are read; our choice."""
_ASKING: Final = 256
"""Nodes that have asked and are remembered; our choice, the oldest goes."""
_OWED: Final = 64
"""Nodes for which something waits until they are connected; our choice, the oldest goes."""
_WAITING: Final = 4
"""What waits for one of them; our choice, the oldest goes."""
_STALE: Final = 10 * _SECOND
"""After which it is not sent any more; our choice. By then a suspicion may be another one."""


class Witnesses:
    """Whom one node may ask, and what it has told its neighbors for that.

    Args:
        most: Nodes to ask, and to tell of.
        random: Chooses where there are more.
    """

    def __init__(self, most: int, random: Random) -> None:
        self._most = most
        self._random = random
        self._others: dict[Atom, dict[Atom, NodeSpec]] = {}  # of neighbors, as they say
        self._told: dict[Atom, frozenset[NodeSpec]] = {}
        self._asking: dict[Atom, NodeSpec] = {}
        self._owed: dict[Atom, deque[tuple[int, Term]]] = {}

    # --- what neighbors know of each other ---

    def listed(self, by: Atom, terms: list[Term]) -> bool:
        """Note which other neighbors a neighbor has; tell whether that could be understood."""
        try:
            specs = [NodeSpec.parse(each) for each in terms[:_LISTED]]
        except ValueError:
            return False
        self._others[by] = {each.name: each for each in specs if each.name != by}
        return True

    def news(self, neighbors: Mapping[Atom, NodeSpec]) -> list[tuple[Atom, Term]]:
        """Return what to tell neighbors that they do not know yet, and forget who is none any more.

        Args:
            neighbors: Those of our kind that can be reached.
        """
        for known in (self._others, self._told):
            for name in [name for name in known if name not in neighbors]:
                del known[name]
        messages: list[tuple[Atom, Term]] = []
        for name in neighbors:
            before = self._told.get(name)
            chosen = self._choose(name, neighbors, before or frozenset())
            if chosen != before and (chosen or before):
                self._told[name] = chosen
                terms: list[Term] = [
                    each.term() for each in sorted(chosen, key=lambda spec: spec.name)
                ]
                messages.append((name, (NEIGHBORS, terms)))
        return messages

    def _choose(
        self, name: Atom, neighbors: Mapping[Atom, NodeSpec], before: frozenset[NodeSpec]
    ) -> frozenset[NodeSpec]:
        """Choose whom to tell a neighbor of: whom it can ask without a dial, whom it knows of."""
        theirs = self._others.get(name, {})
        others = [spec for other, spec in neighbors.items() if other != name]
        others.sort(key=lambda spec: (spec.name not in theirs, spec not in before))
        return frozenset(others[: self._most])

    # --- whom to ask ---

    def of(
        self,
        suspect: Atom,
        asking: Iterable[Atom],
        neighbors: Mapping[Atom, NodeSpec],
        *,
        dialling: bool,
    ) -> list[Atom]:
        """Return whom to ask about a suspect, the likeliest to know it first.

        Args:
            suspect: Who.
            asking: Who suspects it, too.
            neighbors: Those of our kind that can be reached.
            dialling: Whether others may be dialled.
        """
        its = self._others.get(suspect, {})
        near = [name for name in its if name in neighbors]
        near += [name for name, known in self._others.items() if suspect in known]
        far = [name for name in its if name not in neighbors] if dialling else []
        rest = [*neighbors]
        self._random.shuffle(rest)
        found = dict.fromkeys([*asking, *near, *far, *rest])
        found.pop(suspect, None)
        return [*found][: self._most]

    def asked(self, by: Atom, introduction: Term) -> bool:
        """Note who asks, so that it can be answered; tell whether it is who it says it is."""
        try:
            spec = NodeSpec.parse(introduction)
        except ValueError:
            return False
        if spec.name != by:
            return False
        self._asking.pop(by, None)
        self._asking[by] = spec
        if len(self._asking) > _ASKING:
            del self._asking[next(iter(self._asking))]
        return True

    def find(self, name: Atom) -> NodeSpec | None:
        """Return what a node tells of itself that has asked, or that a neighbor has told of."""
        known = (self._asking, *self._others.values())
        return next((each[name] for each in known if name in each), None)

    # --- what waits for a connection ---

    def owe(self, name: Atom, message: Term, now: int) -> None:
        """Keep a message for a node that is being dialled."""
        waiting = self._owed.pop(name, None)
        self._owed[name] = waiting = waiting or deque(maxlen=_WAITING)
        waiting.append((now, message))
        if len(self._owed) > _OWED:
            del self._owed[next(iter(self._owed))]

    def owed(self, name: Atom, now: int) -> list[Term]:
        """Return what waits for a node that is connected now, and is still worth sending."""
        waiting = self._owed.pop(name, ())
        return [message for at, message in waiting if now - at < _STALE]
