# SPDX-License-Identifier: Apache-2.0
"""A node's active and passive view, and whom it chooses of them."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final, NamedTuple

from heliograph.partisan.protocol.overlay.chance import draw
from heliograph.partisan.protocol.overlay.interface import Overlay
from heliograph.partisan.protocol.overlay.past import Past
from heliograph.partisan.protocol.overlay.settings import HyParViewStatistics
from heliograph.partisan.wire import Atom
from heliograph.partisan.wire.terms import term_map

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from random import Random

    from heliograph.partisan.protocol.overlay.settings import HyParViewConfig
    from heliograph.partisan.wire import NodeSpec, Term

__all__ = ["Request", "Views"]

_STATE: Final = Atom("state")


class Request(NamedTuple):
    """A request that is not answered."""

    until: int
    """When to wait no more."""
    high: bool
    """Whether the other one makes room for this node, and this node for the other one."""


class Views(Overlay):
    """What all of HyParView goes by.

    Args:
        spec: What the node tells of itself.
        random: Chooses.
        config: Sizes and pace.
        neighbors: The active view to begin with.
        passive: The passive view to begin with.
        acquaintances: Whom it knew besides, the latest last.

    Attributes:
        neighbors: The active view.
        passive: The passive view, by name.
        acquaintances: Who gave way to others in it, the latest last. Some may be in it again, and
            some be there twice: nobody looks before there is need.
        epoch: How often the node has started.
        statistics: Counters.
    """

    epoch: int

    def __init__(
        self,
        spec: NodeSpec,
        random: Random,
        config: HyParViewConfig,
        neighbors: Iterable[NodeSpec],
        passive: Iterable[NodeSpec],
        acquaintances: Iterable[NodeSpec],
    ) -> None:
        self.spec = spec
        self.name: Atom = spec.name
        self.config: HyParViewConfig = config
        self.neighbors: dict[Atom, NodeSpec] = {each.name: each for each in neighbors}
        self.passive: dict[Atom, NodeSpec] = {each.name: each for each in passive}
        most = 0 if config.as_original else config.acquaintances
        self.acquaintances: deque[NodeSpec] = deque(acquaintances, most)
        self.statistics: HyParViewStatistics = HyParViewStatistics()
        self.random: Random = random
        self._requested: dict[Atom, Request] = {}
        self._past = Past(config)

    def state(self) -> Term:
        """Return what whoever connects is told: `{state, Active, Epoch}`."""
        members = (self.spec, *self.neighbors.values())
        return _STATE, term_map([(each.term(), []) for each in members]), self.epoch

    @property
    def is_full(self) -> bool:
        """Whether there is no room for another neighbor."""
        return len(self.neighbors) >= self.config.active

    @property
    def is_asking(self) -> bool:
        """Whether a replacement was asked to be a neighbor, and has not answered."""
        return any(name in self.passive for name in self._requested)

    @property
    def is_at_a_loss(self) -> bool:
        """Whether there is no replacement but those that were asked and have not answered."""
        return self.passive.keys() <= self._requested.keys()

    def may_ask(self, name: Atom) -> bool:
        """Tell whether a node is no neighbor, and was not asked to be one."""
        return name not in self.neighbors and name not in self._requested

    def may_recall(self, name: Atom, now: int) -> bool:
        """Tell whether a node may be asked that was known once."""
        return self.may_ask(name) and not self._past.avoids(name, now)

    def knows(self, spec: NodeSpec) -> bool:
        """Tell whether a node is this one, a neighbor or a replacement."""
        return spec.name == self.name or spec.name in self.neighbors or spec.name in self.passive

    # --- choices ---

    def exchange(self) -> tuple[NodeSpec, ...]:
        """Return this node and some of those it knows."""
        config = self.config
        return (
            self.spec,
            *draw(self.random, [*self.neighbors.values()], config.shuffle_active),
            *draw(self.random, [*self.passive.values()], config.shuffle_passive),
        )

    def some_passive(self, count: int) -> list[NodeSpec]:
        """Return some replacements, drawn at random."""
        return draw(self.random, list(self.passive.values()), count)

    def _someone(self, but: Atom | None = None, nor: Atom | None = None) -> NodeSpec | None:
        others = [spec for name, spec in self.neighbors.items() if name not in (but, nor)]
        return others[int(self.random.random() * len(others))] if others else None

    def _victim(self) -> NodeSpec:
        return draw(self.random, [*self.neighbors.values()], 1)[0]

    def _choose(self, replacements: list[NodeSpec], count: int) -> list[NodeSpec]:
        return draw(self.random, replacements, count)

    # --- replacements ---

    def _merge(self, exchange: tuple[NodeSpec, ...], told: tuple[NodeSpec, ...], now: int) -> None:
        """Take in replacements; who was told of in return makes room first, as in the paper."""
        new = self._strangers(exchange, now)
        if not new:
            return
        passive, most, known = self.passive, self.config.passive, self.acquaintances
        surplus = len(passive) + len(new) - most
        if surplus > 0:
            for each in told:
                if passive.pop(each.name, None) is not None:
                    known.append(each)
                    surplus -= 1
                    if not surplus:
                        break
            else:
                for name in draw(self.random, [*passive], surplus):
                    known.append(passive.pop(name))
        passive.update(new)
        while len(passive) > most:
            passive.popitem()

    def _take_in(self, exchange: tuple[NodeSpec, ...], now: int) -> None:
        """Take in as many replacements as there is room for.

        Requests bring some, too, which the paper's do not. After many failures at once most of them
        are dead, and there are so many requests that they would push out those that live.
        """
        room = self.config.passive - len(self.passive)
        if room > 0:
            for name, spec in self._strangers(exchange, now).items():
                self.passive[name] = spec
                room -= 1
                if not room:
                    break

    def _strangers(self, exchange: tuple[NodeSpec, ...], now: int) -> dict[Atom, NodeSpec]:
        """Return those that this node does not know yet, and that it has no reason to avoid."""
        passive, near, mine, past = self.passive, self.neighbors, self.name, self._past
        new = {
            name: each
            for each in exchange
            if (name := each.name) not in passive and name not in near and name != mine
        }
        if new and (past.denied or past.departed):
            return {name: each for name, each in new.items() if not self._avoids(name, now)}
        return new

    def _remember(self, spec: NodeSpec, now: int) -> None:
        """Make a node a replacement, in the place of a random one if there is no other."""
        name, passive = spec.name, self.passive
        if name == self.name or name in self.neighbors or self._avoids(name, now):
            return
        if name not in passive and len(passive) >= self.config.passive:
            self.acquaintances.append(passive.pop(draw(self.random, [*passive], 1)[0]))
        passive[name] = spec

    def lose_sight(self, names: Collection[Atom]) -> None:
        """Forget acquaintances."""
        known = [each for each in self.acquaintances if each.name not in names]
        self.acquaintances.clear()
        self.acquaintances.extend(known)

    def _avoids(self, name: Atom, now: int, epoch: int = 0) -> bool:
        avoided = self._past.avoids(name, now, epoch)
        self.statistics.denied += avoided
        return avoided
