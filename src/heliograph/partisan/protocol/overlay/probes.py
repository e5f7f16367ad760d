# SPDX-License-Identifier: Apache-2.0
"""How a node finds back to a cluster that it, or its part of it, has lost touch with.

None of this is in the paper. An Erlang node that is met this way sees joins, requests and shuffles.

*   A node without neighbors and replacements joins again through a seed.
*   Who lacks neighbors and has no replacements asks acquaintances, nodes that once were among them
    and gave way to others: in random order, as many at once as there are places, until one answers.
    After many failures at once a few nodes have lost all of their views before anybody could tell
    them of one who lives.
*   A neighbor that was lost is asked again now and then: when a partition heals, the halves meet.
*   Whose view is less than half full asks a replacement now and then that has to make room for it.
    Seldom, others do, too: two parts of full views that know each other become one.
*   Who knows few swaps replacements with a seed or an acquaintance now and then. If that tells of
    strangers only, it lives in another part of the cluster, and is asked to be a neighbor.
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

    __slots__ = (
        "_asked",
        "_called",
        "_losses",
        "_recall_again",
        "_seed",
        "_since",
        "_unasked",
        "_untold",
        "lost",
        "seeds",
    )

    def __init__(self, name: Atom, seeds: Iterable[NodeSpec]) -> None:
        self.seeds: dict[Atom, NodeSpec] = {each.name: each for each in seeds if each.name != name}
        self.lost: dict[Atom, NodeSpec] = {}
        self._losses = 0  # neighbors lost, since when
        self._since: int | None = None
        self._untold: list[NodeSpec] = []  # replacements that are still to be told
        self._asked: Atom | None = None  # the one that was told last, and has not answered
        self._seed: Atom | None = None  # the seed that was asked for others, and has not answered
        self._unasked: list[NodeSpec] = []  # acquaintances that are still to be asked
        self._called: set[Atom] = set()  # of them, who was asked and has not answered
        self._recall_again: int | None = None  # when all of them may be asked once more

    def clear(self) -> None:
        """Forget everybody."""
        self.seeds.clear()
        self.lost.clear()
        self._untold.clear()
        self._unasked.clear()
        self._called.clear()
        self._asked = self._seed = None

    def forget(self, name: Atom) -> None:
        """Ask a node no more."""
        self.seeds.pop(name, None)
        self.lost.pop(name, None)
        self._unasked = [each for each in self._unasked if each.name != name]

    # --- what happens ---

    def heard(self, name: Atom) -> None:
        """Note that a node has answered."""
        self._called.discard(name)

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

    def recalled(self, views: HyParView, count: int, now: int) -> list[NodeSpec]:
        """Return some acquaintances to ask; each is one at most once between two probes."""
        if not views.is_at_a_loss:
            return []
        if self._recall_again is None or now >= self._recall_again:
            self._recall_again = now + views.config.probe_interval
            if views.neighbors:
                # Others have answered since, so it was not this node that could not be reached.
                views.lose_sight(self._called)
            self._called.clear()
            known = list({each.name: each for each in views.acquaintances}.values())
            self._unasked = draw(views.random, known, len(known))
        chosen: list[NodeSpec] = []
        while self._unasked and len(chosen) < count:
            spec = self._unasked.pop()
            if views.may_recall(spec.name, now):
                chosen.append(spec)
        self._called.update([each.name for each in chosen])
        views.statistics.recalled += len(chosen)
        return chosen

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
        """Swap replacements with a seed or an acquaintance, if there are few."""
        if not views.neighbors or len(views.passive) >= views.config.passive:
            return []
        far = [each for name, each in self.seeds.items() if name not in views.neighbors]
        known = [each for each in views.acquaintances if not views.knows(each)]
        far += draw(views.random, known, 1)
        if not far:
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
