# SPDX-License-Identifier: Apache-2.0
"""HyParView: a small active view of open connections, and a larger passive one of replacements.

Leitão, Pereira, Rodrigues, "HyParView: a membership protocol for reliable gossip-based broadcast"
(DSN 2007). The active view is what messages go along, kept symmetric; the passive view is where a
neighbor that fails is replaced from.

| message                   | what it does at the receiver                                       |
| ------------------------- | ------------------------------------------------------------------ |
| `join`                    | a neighbor, whatever it takes; the others are told by forward_join |
| `forward_join`            | walks at random; at its end the joiner becomes a neighbor,         |
|                           | on the way, at one place, a replacement                            |
| `neighbor`                | the sender has made us its neighbor, so it becomes ours            |
| `neighbor_request`        | accepted if there is room, or, with high priority, in any case     |
| `disconnect`              | the sender had no room any more: it becomes a replacement          |
| `shuffle`                 | walks at random; at its end, replacements are swapped for others   |

Shapes are those of the original's manager. It differs from the paper in that a shuffle is answered
to the last node of its walk, and in the numbers of disconnections that requests repeat, by which a
request made before its receiver disconnected is told from one made after.

Ours, and in neither: whoever takes this node for its neighbor, and is none of its own, is told by a
disconnection. A node that failed is not let in again by what it sent before it failed, nor by what
others say of it, until it connects anew or some time has passed (see `past`). Who leaves says so,
in the number of its disconnection, and comes back by its own will alone. An isolated node, and the
halves of a partition that has healed, find their way back (see `probes`).
"""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final

from heliograph.partisan.protocol.overlay import interface as on
from heliograph.partisan.protocol.overlay.interface import (
    CancelTimer,
    Check,
    Dropped,
    Hangup,
    Left,
    NeighborDown,
    NeighborUp,
    Send,
    SetTimer,
    kind_of,
)
from heliograph.partisan.protocol.overlay.islands import Islands
from heliograph.partisan.protocol.overlay.past import LEAVING
from heliograph.partisan.protocol.overlay.probes import Probes
from heliograph.partisan.protocol.overlay.settings import HyParViewConfig
from heliograph.partisan.protocol.overlay.views import Request, Views
from heliograph.partisan.protocol.overlay.xbot import SPEAKERS, XBot
from heliograph.partisan.wire import Atom
from heliograph.partisan.wire.messages import (
    UNDEFINED,
    Disconnect,
    Disconnection,
    ForwardJoin,
    Join,
    Neighbor,
    NeighborAccepted,
    NeighborRejected,
    NeighborRejectedPlainly,
    NeighborRequest,
    Shuffle,
    ShuffleReply,
)

if TYPE_CHECKING:
    from collections.abc import Iterable
    from random import Random

    from heliograph.partisan.protocol.overlay.interface import Effect, Input
    from heliograph.partisan.wire import NodeSpec
    from heliograph.partisan.wire.messages import Message

__all__ = ["HIGH", "LOW", "HyParView"]

HIGH: Final = Atom("high")
"""Priority of a request of a node without neighbors."""
LOW: Final = Atom("low")
"""Priority of any other request."""
_GONE: Final = frozenset({"failure", "timeout", "refused"})  # after which a node is no replacement


class HyParView(Views):
    """One node's views.

    Args:
        spec: What the node tells of itself.
        random: Chooses whom to ask, to tell, and to give up.
        config: Sizes and pace.
        epoch: How often the node has started, or anything else that grows from start to start;
            others tell its lives apart by it.
        tag: What kind of node it is, in the original's sense.
        neighbors: The active view to begin with; nothing is told of it.
        passive: The passive view to begin with, as it was when the node last ran.
        acquaintances: Whom it knew besides, likewise, the latest last.
        seeds: Whom to ask when nobody else is left.
        distance: Tells how far away a node is, in any unit; None if that is not known. For X-BOT.

    Attributes:
        neighbors: The active view.
        passive: The passive view, by name.
        epoch: As above; grows when the node comes back after it has left.
        left: Whether the node has left, and not started or joined again.
        statistics: Counters.
    """

    reaches_all = True

    def __init__(
        self,
        spec: NodeSpec,
        *,
        random: Random,
        config: HyParViewConfig | None = None,
        epoch: int = 1,
        tag: Atom = UNDEFINED,
        neighbors: Iterable[NodeSpec] = (),
        passive: Iterable[NodeSpec] = (),
        acquaintances: Iterable[NodeSpec] = (),
        seeds: Iterable[NodeSpec] = (),
        distance: Callable[[NodeSpec], float | None] | None = None,
    ) -> None:
        super().__init__(
            spec,
            random,
            config if config is not None else HyParViewConfig(),
            neighbors,
            passive,
            acquaintances,
        )
        self.epoch: int = epoch
        self.tag: Atom = tag
        self.left: bool = False
        self._tried: set[Atom] = set()  # who was asked since something was lost
        self._attempts = self.config.attempts  # rejections that are left until then
        self._checked: int | None = None  # when all neighbors were checked
        self._probes = Probes(spec.name, seeds)
        self._islands = Islands()
        self._told: tuple[NodeSpec, ...] = ()  # what the last shuffle told
        xbot = self.config.xbot
        self._xbot = None if xbot is None or distance is None else XBot(self, xbot, distance)

    def handle(self, happened: Input, now: int) -> list[Effect]:
        match happened:
            case on.Received(peer, message):
                return self.received(peer, message, now)
            case on.Fired(timer):
                return [] if self.left else self._fired(timer, now)
            case on.Lost(peer, reason):
                return self._gone(peer, reason, now)
            case on.Peeked(peer, state):
                return [] if self.left else self._islands.peeked(self, peer, state, now)
            case on.Met(peer):
                self._past.met(peer)
                return []
            case on.Join(contact):
                return self._join(contact, now)
            case on.Leave(node):
                if node is None or node.name == self.name:
                    return self._leave()
                return self._expel(node, now)
            case _:
                return self._start(now)

    def received(self, peer: Atom | None, message: Message, now: int) -> list[Effect]:
        """Take a message: what `handle` does with `Received`."""
        found = _HANDLERS.get(type(message))
        if found is None:
            return self._other(peer, message, now)
        handle, speaker = found
        if peer is not None and speaker(message) != peer:
            return self._forged(peer, message)
        return self._decline(message) if self.left else handle(self, message, now)

    def _other(self, peer: Atom | None, message: Message, now: int) -> list[Effect]:
        """Take a message of X-BOT."""
        if self._xbot is None or type(message) not in SPEAKERS:
            self.statistics.malformed += 1
            return [Dropped(peer, kind_of(message), "unknown")]
        speaker = getattr(message, SPEAKERS[type(message)])
        if peer is not None and (speaker is None or speaker.name != peer):
            return self._forged(peer, message)
        return [] if self.left else self._xbot.handlers[type(message)](message, now)

    def _forged(self, peer: Atom | None, message: Message) -> list[Effect]:
        self.statistics.forged += 1
        return [Dropped(peer, kind_of(message), "forged")]

    # --- starting, joining, leaving ---

    def _start(self, now: int) -> list[Effect]:
        self.epoch += self.left
        self.left = False
        config = self.config
        # Nodes that start together should not shuffle together.
        effects: list[Effect] = [
            SetTimer(timer, now + int(interval * (0.5 + self.random.random())))
            for timer, interval in (
                ("shuffle", config.shuffle_interval),
                ("promotion", config.promotion_interval),
                ("probe", config.probe_interval),
            )
        ]
        if config.island and not config.as_original:
            effects.append(SetTimer("survey", now + config.survey_interval))
        if self._xbot is not None:
            effects.append(SetTimer("xbot", now + self._xbot.config.interval))
        return [*effects, *self._fill(now)]

    def _join(self, contact: NodeSpec, now: int) -> list[Effect]:
        if contact.name == self.name:
            return []
        again = self._start(now) if self.left else []
        self._probes.seeds[contact.name] = contact
        self._past.joined(contact.name)
        return [*again, Send((contact,), Join(self.spec, self.tag, self.epoch))]

    def _leave(self) -> list[Effect]:
        if self.left:
            return []
        effects: list[Effect] = []
        for spec in self.neighbors.values():
            effects += [*self._farewell(spec), NeighborDown(spec, "leave")]
        self.neighbors.clear()
        self.passive.clear()
        self.acquaintances.clear()
        self._requested.clear()
        self._probes.clear()
        self._start_over()
        self.left = True
        timers = ("shuffle", "promotion", "probe", "survey", "xbot")
        return [*effects, *[CancelTimer(timer) for timer in timers], Left()]

    def _farewell(self, spec: NodeSpec) -> list[Effect]:
        number = Disconnection(self.epoch, LEAVING)
        return [Send((spec,), Disconnect(self.spec, number)), Hangup(spec.name, "leave")]

    def _decline(self, message: Message) -> list[Effect]:
        """Answer those who have not heard that this node left."""
        match message:
            case Join(spec) | NeighborRequest(spec) | Neighbor(spec) | NeighborAccepted(spec):
                return self._farewell(spec)
            case Shuffle(sender=spec) | ForwardJoin(sender=spec):
                return self._farewell(spec)
            case _:
                return []

    def _expel(self, spec: NodeSpec, now: int) -> list[Effect]:
        """Have nothing to do with a node any more, until it comes by its own will."""
        name = spec.name
        self._requested.pop(name, None)
        was = self.neighbors.pop(name, None)
        effects: list[Effect] = [Hangup(name, "leave")]
        if was is not None:
            number = self._past.part(name, self.epoch)
            effects = [Send((was,), Disconnect(self.spec, number)), *effects]
            effects.append(NeighborDown(was, "leave"))
        self._forget(name, 0, now)
        return [*effects, *self._fill(now)]

    # --- joins of others ---

    def _joined(self, join: Join, now: int) -> list[Effect]:
        joiner = join.spec
        if joiner.name == self.name:
            return []
        self._past.joined(joiner.name)
        others = tuple([each for each in self.neighbors.values() if each.name != joiner.name])
        effects = self._add(joiner, now)
        effects.append(Send((joiner,), self._neighbor(joiner)))
        walk = self.config.active_walk
        others = tuple([each for each in others if each.name in self.neighbors])
        if others:
            forward = ForwardJoin(joiner, join.tag, join.epoch, walk, self.spec)
            effects.append(Send(others, forward))
        return effects

    def _forwarded(self, join: ForwardJoin, now: int) -> list[Effect]:
        joiner, ttl = join.joiner, join.ttl
        name = joiner.name
        if not 0 <= ttl <= self.config.walk:
            return self._malformed(join, join.sender)
        if name == self.name or self._avoids(name, now, join.epoch):
            return []
        if ttl > 0:
            if ttl == self.config.passive_walk:
                self._remember(joiner, now)
            onward = self._someone(join.sender.name, name)
            if onward is not None:
                forward = ForwardJoin(joiner, join.tag, join.epoch, ttl - 1, self.spec)
                return [Send((onward,), forward)]
        if name in self.neighbors:
            return []
        self._past.joined(name)
        return [*self._add(joiner, now), Send((joiner,), self._neighbor(joiner))]

    def _neighbor(self, peer: NodeSpec) -> Neighbor:
        return Neighbor(self.spec, self.tag, self._past.heard(peer.name), peer)

    def _made_neighbor(self, message: Neighbor, now: int) -> list[Effect]:
        spec = message.spec
        if not self._past.knows(spec.name, message.disconnection):
            return self._stale(spec)
        self._past.returned(spec.name)
        return self._add(spec, now)

    def _stale(self, spec: NodeSpec) -> list[Effect]:
        """Tell who said so before it was disconnected or lost that it is no neighbor."""
        if spec.name in self.neighbors:
            return []
        self.statistics.stale += 1
        return [Send((spec,), Disconnect(self.spec, self._past.remind(spec.name, self.epoch)))]

    # --- requests ---

    def _fill(self, now: int) -> list[Effect]:
        """Ask as many replacements as there are places free and not spoken for."""
        missing = self.config.active - len(self.neighbors) - len(self._requested)
        if missing <= 0 or self._attempts <= 0:
            return []
        as_original = self.config.as_original
        if as_original:
            missing = 1 - len(self._requested)
        asked = self._requested.keys() | self._tried
        free = [each for name, each in self.passive.items() if name not in asked]
        high = as_original or not self.neighbors
        chosen = self._choose(free, max(0, missing))
        if not free and self.acquaintances:
            chosen = self._probes.recalled(self, missing, now)
            high = 2 * len(self.neighbors) < self.config.active
        return [self.request(each, now, high=high) for each in chosen]

    def _start_over(self) -> None:
        """Let everybody be asked again."""
        self._tried.clear()
        self._attempts = self.config.attempts

    def _check(self, now: int) -> list[Effect]:
        """See whether all neighbors live, unless that was done lately."""
        interval = self.config.check_interval
        if interval is None or (self._checked is not None and now < self._checked + interval):
            return []
        self._checked = now
        self.statistics.checks += 1
        return [Check(tuple(self.neighbors))]

    def request(self, spec: NodeSpec, now: int, *, high: bool = False) -> Effect:
        """Ask a node to be a neighbor."""
        self.statistics.promotions += 1
        self._requested[spec.name] = Request(now + self.config.request_timeout, high)
        self._tried.add(spec.name)
        heard, priority = self._past.heard(spec.name), HIGH if high else LOW
        request = NeighborRequest(self.spec, priority, self.tag, heard, self.exchange())
        return Send((spec,), request)

    def _asked(self, request: NeighborRequest, now: int) -> list[Effect]:
        spec = request.spec
        if not self._is_fair(request.exchange):
            return self._malformed(request, spec)
        if spec.name == self.name:
            return []
        if not self._past.knows(spec.name, request.disconnection):
            self.statistics.stale += 1
            number = self._past.remind(spec.name, self.epoch)
            self._take_in(request.exchange, now)
            return [Send((spec,), Disconnect(self.spec, number)), *self._check(now)]
        self._past.returned(spec.name)
        exchange = self.exchange()
        if not self.is_full or spec.name in self.neighbors or request.priority == HIGH:
            heard = self._past.heard(spec.name)
            answer = NeighborAccepted(self.spec, self.tag, heard, exchange)
            effects = [Send((spec,), answer), *self._add(spec, now)]
        else:
            effects = [Send((spec,), NeighborRejected(self.spec, exchange)), *self._check(now)]
            self._remember(spec, now)  # it lives, and has room
        self._take_in(request.exchange, now)
        return effects

    def _accepted(self, answer: NeighborAccepted, now: int) -> list[Effect]:
        spec = answer.spec
        name = spec.name
        if not self._is_fair(answer.exchange):
            return self._malformed(answer, spec)
        asked = self._requested.pop(name, None)
        if not self._past.knows(name, answer.disconnection):
            return self._stale(spec)
        self._past.returned(name)
        self._take_in(answer.exchange, now)
        wanted = asked is not None and asked.high
        if wanted or not self.is_full or name in self.neighbors:
            self.statistics.accepted += asked is not None
            return self._add(spec, now)
        # Others have taken the place meanwhile. Nobody else shall lose his for it.
        self._remember(spec, now)
        return self._disconnect(spec)

    def _rejected(
        self, answer: NeighborRejected | NeighborRejectedPlainly, now: int
    ) -> list[Effect]:
        spec = answer.spec
        exchange = answer.exchange if isinstance(answer, NeighborRejected) else ()
        if not self._is_fair(exchange):
            return self._malformed(answer, spec)
        if self._requested.pop(spec.name, None) is None:
            return []
        self.statistics.rejected += 1
        self._probes.heard(spec.name)
        self._attempts -= 1
        self._take_in(exchange, now)
        effects: list[Effect] = (
            [] if spec.name in self.neighbors else [Hangup(spec.name, "refused")]
        )
        return [*effects, *self._fill(now)]

    # --- neighbors ---

    def _add(self, spec: NodeSpec, now: int) -> list[Effect]:
        """Make a node a neighbor, and room for it where there is none."""
        name = spec.name
        if name == self.name:
            return []
        self.passive.pop(name, None)
        self._requested.pop(name, None)
        self._probes.lost.pop(name, None)
        self._probes.heard(name)
        if name in self.neighbors:
            self.neighbors[name] = spec  # it may have come back at another address
            return []
        effects: list[Effect] = []
        if self.is_full:
            effects = self._drop(self._victim(), now)
        self.neighbors[name] = spec
        effects.append(NeighborUp(spec))
        if self.is_full:
            self._start_over()
        return effects

    def _drop(self, spec: NodeSpec, now: int) -> list[Effect]:
        """Give a neighbor up for want of room; it stays a replacement."""
        self.statistics.evictions += 1
        del self.neighbors[spec.name]
        self._remember(spec, now)
        return [*self._disconnect(spec), NeighborDown(spec, "evicted")]

    def _disconnect(self, spec: NodeSpec) -> list[Effect]:
        number = self._past.part(spec.name, self.epoch)
        return [Send((spec,), Disconnect(self.spec, number)), Hangup(spec.name, "evicted")]

    def _disconnected(self, message: Disconnect, now: int) -> list[Effect]:
        spec, number = message.spec, message.disconnection
        name = spec.name
        if not self._past.hear(name, number):
            return []
        leaving = number.number >= LEAVING
        asked = self._requested.pop(name, None)
        was = self.neighbors.pop(name, None)
        if leaving:
            self._forget(name, number.epoch, now)
        else:
            self._remember(spec, now)
        if was is not None:
            reason = "leave" if leaving else "evicted"
            self._tried.add(name)  # it has just said that it has no room
            effects: list[Effect] = [NeighborDown(was, reason), Hangup(name, reason)]
            if self.neighbors and self.config.as_original:
                return effects
            return [*effects, *self._fill(now)]
        if asked is None:
            return []
        # It was asked by who had not heard of the disconnection; now the number can be repeated.
        return self._fill(now) if leaving else [self.request(spec, now, high=asked.high)]

    def _forget(self, name: Atom, epoch: int, now: int) -> None:
        """See that a node does not come back but by its own will."""
        self.passive.pop(name, None)
        self.lose_sight((name,))
        self._probes.forget(name)
        self._past.depart(name, epoch, self.epoch, now)

    def _gone(self, name: Atom, reason: str, now: int) -> list[Effect]:
        asked = self._requested.pop(name, None)
        spec = self.neighbors.pop(name, None)
        if self.left:
            return []
        failed = reason in _GONE
        if failed or spec is not None:
            self.passive.pop(name, None)
            self._past.deny(name, now)
        if spec is not None or asked is not None:
            self._past.lose(name, self.epoch, now)
        effects: list[Effect] = []
        if spec is not None:
            self._start_over()
            effects = [NeighborDown(spec, reason), *self._probes.neighbor_lost(self, spec, now)]
        return [*effects, *self._fill(now), *self._probes.unreachable(self, name)]

    def far(self) -> list[NodeSpec]:
        """Return whom the node knows beside its neighbors and replacements."""
        probes = self._probes
        return [*probes.seeds.values(), *probes.lost.values(), *self.acquaintances]

    # --- for X-BOT ---

    def assure(self) -> list[Effect]:
        """Tell a neighbor that it is one: it is none if only this node believes so."""
        neighbor = self._someone()
        return [] if neighbor is None else [Send((neighbor,), self._neighbor(neighbor))]

    def adopt(self, spec: NodeSpec, now: int) -> list[Effect]:
        """Make a node a neighbor, since it has agreed."""
        return [] if self._avoids(spec.name, now) else self._add(spec, now)

    def release(self, spec: NodeSpec, now: int) -> list[Effect]:
        """Give up a neighbor that gives this node up too."""
        was = self.neighbors.pop(spec.name, None)
        if was is None:
            return []
        self._remember(was, now)
        return [NeighborDown(was, "evicted"), Hangup(was.name, "evicted")]

    def drop(self, spec: NodeSpec, now: int) -> list[Effect]:
        """Give up a neighbor that does not know it yet."""
        was = self.neighbors.get(spec.name)
        return [] if was is None else self._drop(was, now)

    # --- shuffles ---

    def _shuffle(self) -> list[Effect]:
        onward = self._someone()
        if onward is None:
            return []
        self.statistics.shuffles += 1
        self._told = self.exchange()
        return [Send((onward,), Shuffle(self._told, self.config.active_walk, self.spec))]

    def _shuffled(self, message: Shuffle, now: int) -> list[Effect]:
        exchange, ttl, sender = message.exchange, message.ttl, message.sender
        if len(exchange) > self.config.exchange or not 0 <= ttl <= self.config.walk:
            return self._malformed(message, sender)
        if ttl > 0:
            onward = self._someone(sender.name)
            if onward is not None:
                return [Send((onward,), Shuffle(exchange, ttl - 1, self.spec))]
        answer = tuple(self.some_passive(len(exchange)))
        self._merge(exchange, answer, now)
        effects: list[Effect] = [Send((sender,), ShuffleReply(answer, self.spec))]
        if not self.neighbors and not self._requested:
            # Somebody lives after all.
            self._start_over()
            effects += self._fill(now)
        return effects

    def _answered(self, message: ShuffleReply, now: int) -> list[Effect]:
        if not self._is_fair(message.exchange):
            return self._malformed(message, message.sender)
        effects = self._probes.answered(self, message.sender, message.exchange, now)
        self._merge(message.exchange, self._told, now)
        self._told = ()
        return effects

    # --- timers ---

    def _fired(self, timer: str, now: int) -> list[Effect]:
        config = self.config
        match timer:
            case "shuffle":
                return [SetTimer(timer, now + config.shuffle_interval), *self._shuffle()]
            case "promotion":
                again = SetTimer(timer, now + config.promotion_interval)
                self._start_over()
                for name in [each for each, asked in self._requested.items() if asked.until <= now]:
                    del self._requested[name]
                return [
                    again,
                    *self._fill(now),
                    *self._probes.alone(self),
                    *self._probes.resumed(self),
                ]
            case "probe":
                return [
                    SetTimer(timer, now + config.probe_interval),
                    *self._probes.fired(self, now),
                ]
            case "survey":
                again = SetTimer(timer, now + config.survey_interval)
                return [again, *self._islands.fired(self)]
            case "xbot" if self._xbot is not None:
                return self._xbot.fired(now)
            case _:
                return []

    def _is_fair(self, exchange: tuple[NodeSpec, ...]) -> bool:
        return len(exchange) <= self.config.exchange

    def _malformed(self, message: Message, sender: NodeSpec) -> list[Effect]:
        self.statistics.malformed += 1
        return [Dropped(sender.name, kind_of(message), "malformed")]


_BY_SPEC: Final = attrgetter("spec.name")
_BY_SENDER: Final = attrgetter("sender.name")
_HANDLERS: Final[
    dict[type, tuple[Callable[[HyParView, Any, int], list[Effect]], Callable[[Any], Atom]]]
] = {
    Join: (HyParView._joined, _BY_SPEC),
    ForwardJoin: (HyParView._forwarded, _BY_SENDER),
    Neighbor: (HyParView._made_neighbor, _BY_SPEC),
    NeighborRequest: (HyParView._asked, _BY_SPEC),
    NeighborAccepted: (HyParView._accepted, _BY_SPEC),
    NeighborRejected: (HyParView._rejected, _BY_SPEC),
    NeighborRejectedPlainly: (HyParView._rejected, _BY_SPEC),
    Disconnect: (HyParView._disconnected, _BY_SPEC),
    Shuffle: (HyParView._shuffled, _BY_SENDER),
    ShuffleReply: (HyParView._answered, _BY_SENDER),
}
"""What is done with each kind of message, and who says that it has sent it."""
