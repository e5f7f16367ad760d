# SPDX-License-Identifier: Apache-2.0
"""How a node finds back to a cluster that it, or its part of it, has lost touch with.

None of this is in the paper. An Erlang node that is met this way sees joins, requests and shuffles.

*   A node without neighbors and replacements joins again through a seed.
*   A neighbor that was lost is asked again now and then: when a partition heals, the halves meet.
*   Whose view is less than half full asks a replacement now and then that has to make room for it.
    Seldom, others do, too: two parts of full views that know each other become one.
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
    """The attempts of one node. Each method takes the node's views.

    Args:
        name: The node's name.
        seeds: Whom to join through when nobody else is left.

    Attributes:
        seeds: Those and whoever was joined through.
        lost: Neighbors that failed, to be asked again.
    """

    __slots__ = ("_asked", "_losses", "_seed", "_since", "_untold", "lost", "seeds")

    def __init__(self, name: Atom, seeds: Iterable[NodeSpec]) -> None:
        self.seeds: dict[Atom, NodeSpec] = {each.name: each for each in seeds if each.name != name}
        self.lost: dict[Atom, NodeSpec] = {}
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

    def neighbor_lost(self, views: HyParView, spec: NodeSpec, now: int) -> list[Effect]:
        """Remember a neighbor that failed, and see how many did."""
        config = views.config
        keep(self.lost, spec.name, spec, config.remembered)
        if self._since is None or now >= self._since + config.deny_for:
            self._since, self._losses = now, 0
        self._losses += 1
        most = max(_FEWEST, (config.active + 1) // 2)
        if not config.look_over or self._losses != most or self._untold:
            return []
        views.statistics.looked_over += 1
        passive = list(views.passive.values())
        self._untold = draw(views.random, passive, len(passive))
        return self._tell_next(views)

    def unreachable(self, views: HyParView, name: Atom) -> list[Effect]:
        """Go on to the next, if this one was told that the node lives."""
        return self._tell_next(views) if name == self._asked else []

    def answered(
        self, views: HyParView, sender: NodeSpec, exchange: tuple[NodeSpec, ...], now: int
    ) -> list[Effect]:
        """See who has answered a shuffle, before its replacements are taken in."""
        name = sender.name
        if name == self._asked:
            return self._tell_next(views)
        if name != self._seed:
            return []
        self._seed = None
        strangers = exchange and not any(map(views.knows, exchange))
        return [views.request(sender, now, high=True)] if strangers else []

    def fired(self, views: HyParView, now: int) -> list[Effect]:
        """Do what is done now and then."""
        effects = [*self.alone(views), *self._ask(views, list(self.lost.values()), now)]
        config = views.config
        restless = config.restless and views.random.random() * config.restless < 1
        if restless or 2 * len(views.neighbors) < config.active:
            effects += self._ask(views, list(views.passive.values()), now)
        return [*effects, *self._swap(views)]

    def alone(self, views: HyParView) -> list[Effect]:
        """Join again through a seed, if there is nobody else left."""
        if views.neighbors or views.is_asking or not self.seeds:
            return []
        views.statistics.probes += 1
        seed = draw(views.random, list(self.seeds.values()), 1)
        return [Send(tuple(seed), Join(views.spec, views.tag, views.epoch))]

    def resumed(self, views: HyParView) -> list[Effect]:
        """Go on telling, though the last that was told has not answered in time."""
        return self._tell_next(views) if self._asked is not None else []

    # --- what is done ---

    def _ask(self, views: HyParView, whom: list[NodeSpec], now: int) -> list[Effect]:
        """Ask one of some to be a neighbor, though its view and this node's may be full."""
        free = [each for each in whom if views.may_ask(each.name)]
        if not free:
            return []
        views.statistics.probes += 1
        return [views.request(draw(views.random, free, 1)[0], now, high=True)]

    def _swap(self, views: HyParView) -> list[Effect]:
        """Swap replacements with a seed, if there are few."""
        far = [each for name, each in self.seeds.items() if name not in views.neighbors]
        if not far or not views.neighbors or len(views.passive) >= views.config.passive:
            return []
        views.statistics.probes += 1
        (seed,) = draw(views.random, far, 1)
        self._seed = seed.name
        return [_tell(views, seed)]

    def _tell_next(self, views: HyParView) -> list[Effect]:
        self._asked = None
        while self._untold:
            spec = self._untold.pop()
            if views.may_ask(spec.name):
                self._asked = spec.name
                return [_tell(views, spec)]
        return []


def _tell(views: HyParView, spec: NodeSpec) -> Effect:
    return Send((spec,), Shuffle(views.exchange(), 0, views.spec))
