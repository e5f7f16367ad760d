# SPDX-License-Identifier: Apache-2.0
"""X-BOT: neighbors that are far away are swapped for nearer ones, and nobody's number changes.

Leitão, Marques, Pereira, Rodrigues, "X-BOT: a protocol for resilient optimization of unstructured
overlay networks" (IEEE TPDS 2012). Four nodes take part: the initiator would rather have the
candidate than its old neighbor; the candidate, if it is full, gives up its own farthest neighbor,
which takes the initiator's old one in turn, if that is nearer to it. What is nearer is measured by
each node for itself. Whom it has no measure of it connects to, which is one, and decides the next
time.

Where several such conversations overlap, one of two neighbors may give up the other, which does not
know. So each node now and then tells one of its neighbors that it is one.

```text
initiator ── optimization ──► candidate ── replace ──► disconnected ── switch ──► old
initiator ◄─ optimization_reply ─ candidate ◄─ replace_reply ─ disconnected ◄─ switch_reply ─ old
```

The shapes are the original's, which stops with an error at each attempt.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from heliograph.partisan.protocol.overlay.interface import Connect, Send, SetTimer
from heliograph.partisan.wire.messages import (
    UNDEFINED,
    Optimization,
    OptimizationReply,
    Replace,
    ReplaceReply,
    Switch,
    SwitchReply,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from heliograph.partisan.protocol.overlay.hyparview import HyParView
    from heliograph.partisan.protocol.overlay.interface import Effect
    from heliograph.partisan.wire import NodeSpec

__all__ = ["SPEAKERS", "XBot", "XBotConfig"]

_SECOND: Final = 1_000_000_000

SPEAKERS: Final[dict[type, str]] = {
    Optimization: "initiator",
    OptimizationReply: "candidate",
    Replace: "candidate",
    ReplaceReply: "disconnected",
    Switch: "disconnected",
    SwitchReply: "old",
}
"""Which node of each message has sent it."""


@dataclass(frozen=True, slots=True)
class XBotConfig:
    """How hard to optimize."""

    interval: int = 30 * _SECOND
    """Between two attempts, in nanoseconds; the original draws one of 5 to 65 s."""
    candidates: int = 2
    """Replacements considered at each; the paper's and the original's."""
    unbiased: int = 1
    """Neighbors, the farthest, that are not swapped: links to far parts keep ways short and the
    overlay in one piece. The paper keeps some, too."""


class XBot:
    """The optimization of one node's active view.

    Args:
        views: The node's views.
        config: How hard to try.
        distance: Tells how far away a node is; None if that is not known.
    """

    def __init__(
        self,
        views: HyParView,
        config: XBotConfig,
        distance: Callable[[NodeSpec], float | None],
    ) -> None:
        self.config = config
        self._views = views
        self._distance = distance
        self.handlers: dict[type, Callable[..., list[Effect]]] = {
            Optimization: self._optimization,
            OptimizationReply: self._optimization_reply,
            Replace: self._replace,
            ReplaceReply: self._replace_reply,
            Switch: self._switch,
            SwitchReply: self._switch_reply,
        }

    def fired(self, now: int) -> list[Effect]:
        """Try to swap far neighbors, each for a nearer replacement."""
        views = self._views
        effects: list[Effect] = [SetTimer("xbot", now + self.config.interval), *views.assure()]
        if not views.is_full:
            return effects
        far = self._far()
        candidates = views.some_passive(self.config.candidates)
        effects += self._measure(candidates)
        for candidate in candidates:
            if not far:
                break
            old = far[0]
            if self._nearer(candidate, old):
                far.pop(0)
                views.statistics.optimizations += 1
                message = Optimization(UNDEFINED, old, views.spec, candidate, None)
                effects.append(Send((candidate,), message))
        return effects

    # --- as the candidate ---

    def _optimization(self, message: Optimization, now: int) -> list[Effect]:
        views, initiator = self._views, message.initiator
        if not views.is_full:
            reply = OptimizationReply(True, message.old, initiator, views.spec, None)
            return [Send((initiator,), reply), *views.adopt(initiator, now)]
        # Who is old here too would lose two neighbors.
        far = [each for each in self._far() if each.name != message.old.name]
        if not far or not self._nearer(initiator, far[0]):
            reply = OptimizationReply(False, message.old, initiator, views.spec, None)
            return [Send((initiator,), reply)]
        replace = Replace(UNDEFINED, message.old, initiator, views.spec, far[0])
        return [Send((far[0],), replace)]

    def _replace_reply(self, message: ReplaceReply, now: int) -> list[Effect]:
        views, initiator, given_up = self._views, message.initiator, message.disconnected
        done = message.flag is True and given_up is not None
        effects: list[Effect] = []
        if done and given_up is not None:
            effects = [*views.release(given_up, now), *views.adopt(initiator, now)]
        reply = OptimizationReply(done, message.old, initiator, views.spec, given_up)
        return [*effects, Send((initiator,), reply)]

    # --- as the candidate's neighbor ---

    def _replace(self, message: Replace, now: int) -> list[Effect]:  # noqa: ARG002 - as all others
        views = self._views
        is_other = message.old.name not in {views.spec.name, *views.neighbors}
        if (
            is_other
            and message.candidate.name in views.neighbors
            and self._nearer(message.old, message.candidate)
        ):
            switch = Switch(
                UNDEFINED, message.old, message.initiator, message.candidate, views.spec
            )
            return [Send((message.old,), switch)]
        reply = ReplaceReply(False, message.old, message.initiator, message.candidate, views.spec)
        measure = self._measure([message.old]) if is_other else []
        return [Send((message.candidate,), reply), *measure]

    def _switch_reply(self, message: SwitchReply, now: int) -> list[Effect]:
        views = self._views
        effects: list[Effect] = []
        if message.flag is True:
            effects = [*views.release(message.candidate, now), *views.adopt(message.old, now)]
        reply = ReplaceReply(
            message.flag, message.old, message.initiator, message.candidate, views.spec
        )
        return [*effects, Send((message.candidate,), reply)]

    # --- as the initiator's old neighbor ---

    def _switch(self, message: Switch, now: int) -> list[Effect]:
        views, other = self._views, message.disconnected
        if other is None:
            return []
        effects: list[Effect] = []
        agreed = message.initiator.name in views.neighbors
        if agreed:
            effects = [*views.release(message.initiator, now), *views.adopt(other, now)]
        reply = SwitchReply(agreed, views.spec, message.initiator, message.candidate, other)
        return [*effects, Send((other,), reply)]

    # --- as the initiator ---

    def _optimization_reply(self, message: OptimizationReply, now: int) -> list[Effect]:
        views = self._views
        if message.flag is not True:
            views.statistics.unoptimized += 1
            return []
        views.statistics.optimized += 1
        # Where the candidate had room, the old neighbor does not know yet.
        told = views.drop if message.disconnected is None else views.release
        return [*told(message.old, now), *views.adopt(message.candidate, now)]

    # --- what is nearer ---

    def _far(self) -> list[NodeSpec]:
        """Return the neighbors that may be swapped, the farthest first.

        The very farthest are not among them, nor those of which there is no measure.
        """
        views = self._views
        measured = [
            (distance, views.random.random(), spec)  # of those as far, now one, now the other
            for spec in views.neighbors.values()
            if (distance := self._distance(spec)) is not None
        ]
        measured.sort(key=lambda each: each[:2], reverse=True)
        return [spec for _, _, spec in measured[self.config.unbiased :]]

    def _measure(self, nodes: list[NodeSpec]) -> list[Effect]:
        """Connect to those of some nodes of which there is no measure, for the next time."""
        unmeasured = tuple([each for each in nodes if self._distance(each) is None])
        return [Connect(unmeasured)] if unmeasured else []

    def _nearer(self, one: NodeSpec, other: NodeSpec) -> bool:
        a, b = self._distance(one), self._distance(other)
        return a is not None and b is not None and a < b
