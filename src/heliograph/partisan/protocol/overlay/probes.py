# SPDX-License-Identifier: Apache-2.0
"""How a node finds back to a cluster that it, or its part of it, has lost touch with.

None of this is in the paper. An Erlang node that is met this way sees joins, requests and shuffles.

*   A node without neighbors and replacements joins again through a seed.
*   A neighbor that was lost is asked again now and then: when a partition heals, the halves meet.
*   Whose view is not full asks a replacement now and then that has to make room for it. Seldom,
    others do, too: two parts of full views that know each other become one.
*   Who knows few swaps replacements with a seed now and then. If the seed tells of strangers only,
    it lives in another part of the cluster, and is asked to be a neighbor.
*   Who has lost most of its neighbors within seconds tells all its replacements, one after another,
    that it lives. Those that failed, too, are forgotten before they are told to others, and a node
    that knows nobody who lives hears of one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from heliograph.partisan.protocol.overlay.chance import draw
from heliograph.partisan.protocol.overlay.interface import Send
from heliograph.partisan.protocol.overlay.past import keep
from heliograph.partisan.wire.messages import Join, Shuffle

if TYPE_CHECKING:
    from collections.abc import Iterable

    from heliograph.partisan.protocol.overlay.hyparview import HyParView
    from heliograph.partisan.protocol.overlay.interface import Effect
    from heliograph.partisan.wire import Atom, NodeSpec

__all__ = ["Probes"]

_FEWEST = 2  # neighbors lost that make a mass failure, however small the view is


class Probes:
    """The attempts of one node.

    Args:
        views: The node's views.
        seeds: Whom to join through when nobody else is left.

    Attributes:
        seeds: Those and whoever was joined through.
        lost: Neighbors that failed, to be asked again.
    """

    __slots__ = ("_asked", "_losses", "_seed", "_since", "_untold", "_views", "lost", "seeds")

    def __init__(self, views: HyParView, seeds: Iterable[NodeSpec]) -> None:
        self.seeds: dict[Atom, NodeSpec] = {
            each.name: each for each in seeds if each.name != views.name
        }
        self.lost: dict[Atom, NodeSpec] = {}
        self._views = views
        self._losses = 0  # neighbors lost, since when
        self._since: int | None = None
        self._untold: list[NodeSpec] = []  # replacements that are still to be told
        self._asked: Atom | None = None  # the one that was told last, and has not answered
        self._seed: Atom | None = None  # the seed that was asked for others, and has not answered

    def clear(self) -> None:
        """Forget everybody."""
        self.seeds.clear()
        self.lost.clear()
        self._untold.clear()
        self._asked = self._seed = None

    def forget(self, name: Atom) -> None:
        """Ask a node no more."""
        self.seeds.pop(name, None)
        self.lost.pop(name, None)

    # --- what happens ---

    def neighbor_lost(self, spec: NodeSpec, now: int) -> list[Effect]:
        """Remember a neighbor that failed, and see how many did."""
        config = self._views.config
        keep(self.lost, spec.name, spec, config.remembered)
        if self._since is None or now >= self._since + config.deny_for:
            self._since, self._losses = now, 0
        self._losses += 1
        most = max(_FEWEST, (config.active + 1) // 2)
        if not config.look_over or self._losses != most or self._untold:
            return []
        self._views.statistics.looked_over += 1
        passive = list(self._views.passive.values())
        self._untold = draw(self._views.random, passive, len(passive))
        return self._tell_next()

    def unreachable(self, name: Atom) -> list[Effect]:
        """Go on to the next, if this one was told that the node lives."""
        return self._tell_next() if name == self._asked else []

    def answered(self, sender: NodeSpec, exchange: tuple[NodeSpec, ...], now: int) -> list[Effect]:
        """See who has answered a shuffle, before its replacements are taken in."""
        name = sender.name
        if name == self._asked:
            return self._tell_next()
        if name != self._seed:
            return []
        self._seed = None
        views = self._views
        strangers = exchange and not any(map(views.knows, exchange))
        return [views.request(sender, now, high=True)] if strangers else []

    def fired(self, now: int) -> list[Effect]:
        """Do what is done now and then."""
        views = self._views
        effects = [*self.alone(), *self._ask(list(self.lost.values()), now)]
        restless = views.config.restless
        if not views.is_full or (restless and views.random.random() * restless < 1):
            effects += self._ask(list(views.passive.values()), now)
        return [*effects, *self._swap()]

    def alone(self) -> list[Effect]:
        """Join again through a seed, if there is nobody else left."""
        views = self._views
        if views.neighbors or views.is_asking or not self.seeds:
            return []
        views.statistics.probes += 1
        seed = draw(views.random, list(self.seeds.values()), 1)
        return [Send(tuple(seed), Join(views.spec, views.tag, views.epoch))]

    def resumed(self) -> list[Effect]:
        """Go on telling, though the last that was told has not answered in time."""
        return self._tell_next() if self._asked is not None else []

    # --- what is done ---

    def _ask(self, whom: list[NodeSpec], now: int) -> list[Effect]:
        """Ask one of some to be a neighbor, though its view and this node's may be full."""
        views = self._views
        free = [each for each in whom if views.may_ask(each.name)]
        if not free:
            return []
        views.statistics.probes += 1
        return [views.request(draw(views.random, free, 1)[0], now, high=True)]

    def _swap(self) -> list[Effect]:
        """Swap replacements with a seed, if there are few."""
        views = self._views
        far = [each for name, each in self.seeds.items() if name not in views.neighbors]
        if not far or not views.neighbors or len(views.passive) >= views.config.passive:
            return []
        views.statistics.probes += 1
        (seed,) = draw(views.random, far, 1)
        self._seed = seed.name
        return [self._tell(seed)]

    def _tell_next(self) -> list[Effect]:
        views = self._views
        self._asked = None
        while self._untold:
            spec = self._untold.pop()
            if views.may_ask(spec.name):
                self._asked = spec.name
                return [self._tell(spec)]
        return []

    def _tell(self, spec: NodeSpec) -> Effect:
        return Send((spec,), Shuffle(self._views.exchange(), 0, self._views.spec))
