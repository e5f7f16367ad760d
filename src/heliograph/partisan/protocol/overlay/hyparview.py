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

Ours, and in neither: a node that failed is not let in again by what it sent before it failed, nor
by what others say of it, until it connects anew or some time has passed. Who leaves says so, in the
number of its disconnection, and comes back by its own will alone. An isolated node, and the halves
of a partition that has healed, find their way back: nodes that were lost and nodes that were joined
through are tried again now and then.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, TypeVar

from heliograph.partisan.protocol.overlay import interface as on
from heliograph.partisan.protocol.overlay.interface import (
    CancelTimer,
    Check,
    Hangup,
    Left,
    NeighborDown,
    NeighborUp,
    Overlay,
    Send,
    SetTimer,
)
from heliograph.partisan.protocol.overlay.settings import HyParViewConfig, HyParViewStatistics
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
from heliograph.partisan.wire.terms import term_map

if TYPE_CHECKING:
    from collections.abc import Iterable
    from random import Random

    from heliograph.partisan.protocol.overlay.interface import Effect, Input
    from heliograph.partisan.wire import NodeSpec, Term
    from heliograph.partisan.wire.messages import Message

__all__ = ["HIGH", "LOW", "HyParView"]

Kept = TypeVar("Kept")

HIGH: Final = Atom("high")
"""Priority of a request of a node without neighbors."""
LOW: Final = Atom("low")
"""Priority of any other request."""
_STATE: Final = Atom("state")
_NEVER: Final = Disconnection(1, 0)  # what the original repeats where nobody ever disconnected
_LEAVING: Final = 1 << 40  # added to the number of a disconnection by who leaves; our choice
_SPEAKERS: Final[dict[type, str]] = {
    Join: "spec",
    ForwardJoin: "sender",
    Neighbor: "spec",
    NeighborRequest: "spec",
    NeighborAccepted: "spec",
    NeighborRejected: "spec",
    NeighborRejectedPlainly: "spec",
    Disconnect: "spec",
    Shuffle: "sender",
    ShuffleReply: "sender",
    **SPEAKERS,
}
_GONE: Final = frozenset({"failure", "timeout", "refused"})  # after which a node is no replacement


class HyParView(Overlay):
    """One node's views.

    Args:
        spec: What the node tells of itself.
        random: Chooses whom to ask, to tell, and to give up.
        config: Sizes and pace.
        epoch: How often the node has started, from 1; others tell its lives apart by it.
        tag: What kind of node it is, in the original's sense.
        neighbors: The active view to begin with; nothing is told of it.
        passive: The passive view to begin with, as it was when the node last ran.
        seeds: Whom to ask when nobody else is left.
        distance: Tells how far away a node is, in any unit; None if that is not known. For X-BOT.

    Attributes:
        neighbors: The active view.
        passive: The passive view, by name.
        left: Whether the node has left, and not started or joined again.
        statistics: Counters.
    """

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
        seeds: Iterable[NodeSpec] = (),
        distance: Callable[[NodeSpec], float | None] | None = None,
    ) -> None:
        self.spec = spec
        self.name: Atom = spec.name
        self.config: HyParViewConfig = config if config is not None else HyParViewConfig()
        self.epoch = epoch
        self.tag = tag
        self.neighbors: dict[Atom, NodeSpec] = {each.name: each for each in neighbors}
        self.passive: dict[Atom, NodeSpec] = {each.name: each for each in passive}
        self.left: bool = False
        self.statistics: HyParViewStatistics = HyParViewStatistics()
        self._random = random
        self._seeds = {each.name: each for each in seeds if each.name != self.name}
        self._requested: dict[Atom, int] = {}  # who was asked, and until when to wait
        self._tried: set[Atom] = set()  # who was asked since something was lost
        self._attempts = self.config.attempts  # rejections that are left until then
        self._checked: int | None = None  # when all neighbors were checked
        self._denied: dict[Atom, int] = {}  # who failed or left lately, and until when it counts
        self._lost: dict[Atom, NodeSpec] = {}  # neighbors that failed, to be tried again
        self._sent: dict[Atom, Disconnection] = {}  # the last disconnection, to whom
        self._received: dict[Atom, Disconnection] = {}  # and from whom
        self._told: tuple[NodeSpec, ...] = ()  # what the last shuffle told
        xbot = self.config.xbot
        self._xbot = None if xbot is None or distance is None else XBot(self, xbot, distance)

    def state(self) -> Term:
        """Return what whoever connects is told: `{state, Active, Epoch}`."""
        members = (self.spec, *self.neighbors.values())
        return _STATE, term_map([(each.term(), []) for each in members]), self.epoch

    def handle(self, happened: Input, now: int) -> list[Effect]:
        match happened:
            case on.Received(peer, message):
                return self.received(peer, message, now)
            case on.Fired(timer):
                return [] if self.left else self._fired(timer, now)
            case on.Lost(peer, reason):
                return self._gone(peer, reason, now)
            case on.Met(peer):
                self._denied.pop(peer, None)
                return []
            case on.Join(contact):
                return self._join(contact, now)
            case on.Leave():
                return self._leave()
            case _:
                return self._start(now)

    def received(self, peer: Atom | None, message: Message, now: int) -> list[Effect]:
        """Take a message: what `handle` does with `Received`."""
        handler = _HANDLERS.get(type(message))
        if handler is None and (self._xbot is None or type(message) not in SPEAKERS):
            self.statistics.malformed += 1
            return []
        if peer is not None:
            speaker = getattr(message, _SPEAKERS[type(message)])
            if speaker is None or speaker.name != peer:
                self.statistics.forged += 1
                return []
        if self.left:
            return self._decline(message)
        if handler is None:
            assert self._xbot is not None
            return self._xbot.handlers[type(message)](message, now)
        return handler(self, message, now)

    # --- starting, joining, leaving ---

    def _start(self, now: int) -> list[Effect]:
        self.left = False
        config = self.config
        # Nodes that start together should not shuffle together.
        effects: list[Effect] = [
            SetTimer(timer, now + int(interval * (0.5 + self._random.random())))
            for timer, interval in (
                ("shuffle", config.shuffle_interval),
                ("promotion", config.promotion_interval),
                ("probe", config.probe_interval),
            )
        ]
        if self._xbot is not None:
            effects.append(SetTimer("xbot", now + self._xbot.config.interval))
        return [*effects, *self._fill(now)]

    def _join(self, contact: NodeSpec, now: int) -> list[Effect]:
        if contact.name == self.name:
            return []
        again = self._start(now) if self.left else []
        self._seeds[contact.name] = contact
        self._denied.pop(contact.name, None)
        return [*again, Send((contact,), Join(self.spec, self.tag, self.epoch))]

    def _leave(self) -> list[Effect]:
        if self.left:
            return []
        effects: list[Effect] = []
        for name, spec in self.neighbors.items():
            number = Disconnection(self.epoch, _LEAVING)
            effects += [
                Send((spec,), Disconnect(self.spec, number)),
                Hangup(name, "leave"),
                NeighborDown(spec, "leave"),
            ]
        for view in (self.neighbors, self.passive, self._requested, self._lost, self._seeds):
            view.clear()
        self._start_over()
        self.left = True
        timers = ("shuffle", "promotion", "probe", "xbot")
        return [*effects, *[CancelTimer(timer) for timer in timers], Left()]

    def _decline(self, message: Message) -> list[Effect]:
        """Answer those who have not heard that this node left."""
        match message:
            case Join(spec) | NeighborRequest(spec):
                no = NeighborRejected(self.spec, ())
            case Neighbor(spec) | NeighborAccepted(spec):
                return [
                    Send((spec,), Disconnect(self.spec, Disconnection(self.epoch, _LEAVING))),
                    Hangup(spec.name, "leave"),
                ]
            case _:
                return []
        return [Send((spec,), no), Hangup(spec.name, "leave")]

    # --- joins of others ---

    def _joined(self, join: Join, now: int) -> list[Effect]:
        joiner = join.spec
        if joiner.name == self.name:
            return []
        self._denied.pop(joiner.name, None)  # it has just come
        self._sent.pop(joiner.name, None)
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
            self.statistics.malformed += 1
            return []
        if name == self.name or self._is_denied(name, now):
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
        self._sent.pop(name, None)
        return [*self._add(joiner, now), Send((joiner,), self._neighbor(joiner))]

    def _neighbor(self, peer: NodeSpec) -> Neighbor:
        return Neighbor(self.spec, self.tag, self._received.get(peer.name, _NEVER), peer)

    def _made_neighbor(self, message: Neighbor, now: int) -> list[Effect]:
        spec = message.spec
        if self._is_stale(spec.name, message.disconnection, now):
            return []
        return self._add(spec, now)

    # --- requests ---

    def _fill(self, now: int) -> list[Effect]:
        """Ask as many replacements as there are places free and not spoken for."""
        missing = self.config.active - len(self.neighbors) - len(self._requested)
        if missing <= 0 or self._attempts <= 0:
            return []
        requested, tried = self._requested, self._tried
        names = [each for each in self.passive if each not in requested and each not in tried]
        if not names:
            return []
        exchange = self._exchange()
        priority = LOW if self.neighbors else HIGH
        effects: list[Effect] = [
            self._request(self.passive[name], priority, exchange, now)
            for name in self._random.sample(names, min(missing, len(names)))
        ]
        return effects

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

    def _request(
        self, spec: NodeSpec, priority: Atom, exchange: tuple[NodeSpec, ...], now: int
    ) -> Effect:
        self.statistics.promotions += 1
        self._requested[spec.name] = now + self.config.request_timeout
        self._tried.add(spec.name)
        known = self._received.get(spec.name, _NEVER)
        request = NeighborRequest(self.spec, priority, self.tag, known, exchange)
        return Send((spec,), request)

    def _asked(self, request: NeighborRequest, now: int) -> list[Effect]:
        spec = request.spec
        if not self._is_fair(request.exchange) or self._is_denied(spec.name, now):
            return []
        exchange = self._exchange()
        room = not self.is_full or spec.name in self.neighbors
        fresh = request.disconnection >= self._sent.get(spec.name, _NEVER)
        if fresh and (room or request.priority == HIGH):
            known = self._received.get(spec.name, _NEVER)
            answer = NeighborAccepted(self.spec, self.tag, known, exchange)
            effects = [Send((spec,), answer), *self._add(spec, now)]
        else:
            effects = [Send((spec,), NeighborRejected(self.spec, exchange)), *self._check(now)]
        self._merge(request.exchange, exchange, now)
        return effects

    def _accepted(self, answer: NeighborAccepted, now: int) -> list[Effect]:
        spec = answer.spec
        if not self._is_fair(answer.exchange):
            return []
        asked = self._requested.pop(spec.name, None) is not None
        if self._is_stale(spec.name, answer.disconnection, now):
            return []
        self._merge(answer.exchange, (), now)
        if not self.is_full or spec.name in self.neighbors:
            self.statistics.accepted += asked
            return self._add(spec, now)
        # Others have taken the place meanwhile. Nobody else shall lose his for it.
        self._remember(spec, now)
        return self._disconnect(spec)

    def _rejected(
        self, answer: NeighborRejected | NeighborRejectedPlainly, now: int
    ) -> list[Effect]:
        spec = answer.spec
        exchange = answer.exchange if isinstance(answer, NeighborRejected) else ()
        if not self._is_fair(exchange) or self._requested.pop(spec.name, None) is None:
            return []
        self.statistics.rejected += 1
        self._attempts -= 1
        self._merge(exchange, (), now)
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
        self._lost.pop(name, None)
        if name in self.neighbors:
            self.neighbors[name] = spec  # it may have come back at another address
            return []
        effects: list[Effect] = []
        if self.is_full:
            victim = self.neighbors[self._random.choice(list(self.neighbors))]
            effects = self._drop(victim, now)
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
        epoch, count = self._sent.get(spec.name, (self.epoch, 0))
        number = Disconnection(self.epoch, count + 1 if epoch == self.epoch else 1)
        _keep(self._sent, spec.name, number, self.config.disconnections)
        return [Send((spec,), Disconnect(self.spec, number)), Hangup(spec.name, "evicted")]

    def _disconnected(self, message: Disconnect, now: int) -> list[Effect]:
        spec, number = message.spec, message.disconnection
        name = spec.name
        if number <= self._received.get(name, _NEVER):
            return []
        leaving = number.number >= _LEAVING
        if not leaving:
            _keep(self._received, name, number, self.config.disconnections)
        self._requested.pop(name, None)
        was = self.neighbors.pop(name, None)
        if leaving:
            self._forget(name, now)
        else:
            self._remember(spec, now)
            self._tried.add(name)  # it has just said that it has no room
        if was is None:
            return []
        reason = "leave" if leaving else "evicted"
        effects: list[Effect] = [NeighborDown(was, reason), Hangup(name, reason)]
        return [*effects, *self._fill(now)]

    def _forget(self, name: Atom, now: int) -> None:
        """See that a node does not come back by itself."""
        self.passive.pop(name, None)
        self._lost.pop(name, None)
        self._seeds.pop(name, None)
        _keep(self._denied, name, now + self.config.deny_for, self.config.remembered)

    def _gone(self, name: Atom, reason: str, now: int) -> list[Effect]:
        self._requested.pop(name, None)
        if reason in _GONE:
            self.passive.pop(name, None)
        spec = self.neighbors.pop(name, None)
        effects: list[Effect] = []
        if spec is not None:
            self._start_over()
            self.passive.pop(name, None)
            _keep(self._denied, name, now + self.config.deny_for, self.config.remembered)
            _keep(self._lost, name, spec, self.config.remembered)
            effects.append(NeighborDown(spec, reason))
        return effects if self.left else [*effects, *self._fill(now)]

    # --- for X-BOT ---

    @property
    def is_full(self) -> bool:
        """Whether there is no room for another neighbor."""
        return len(self.neighbors) >= self.config.active

    def some_passive(self, count: int) -> list[NodeSpec]:
        """Return some replacements, drawn at random."""
        far = list(self.passive.values())
        return self._random.sample(far, min(count, len(far)))

    def adopt(self, spec: NodeSpec, now: int) -> list[Effect]:
        """Make a node a neighbor, since it has agreed."""
        return [] if self._is_denied(spec.name, now) else self._add(spec, now)

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

    def _exchange(self) -> tuple[NodeSpec, ...]:
        """Return this node and some of those it knows."""
        config, choose = self.config, self._random.sample
        near, far = list(self.neighbors.values()), list(self.passive.values())
        chosen = [
            self.spec,
            *choose(near, min(config.shuffle_active, len(near))),
            *choose(far, min(config.shuffle_passive, len(far))),
        ]
        return tuple(chosen)

    def _shuffle(self) -> list[Effect]:
        onward = self._someone()
        if onward is None:
            return []
        self.statistics.shuffles += 1
        self._told = self._exchange()
        return [Send((onward,), Shuffle(self._told, self.config.active_walk, self.spec))]

    def _shuffled(self, message: Shuffle, now: int) -> list[Effect]:
        if not self._is_fair(message.exchange) or not 0 <= message.ttl <= self.config.walk:
            self.statistics.malformed += message.ttl < 0 or message.ttl > self.config.walk
            return []
        sender = message.sender
        if message.ttl > 0:
            onward = self._someone(sender.name)
            if onward is not None:
                shuffle = Shuffle(message.exchange, message.ttl - 1, self.spec)
                return [Send((onward,), shuffle)]
        far = list(self.passive.values())
        answer = tuple(self._random.sample(far, min(len(message.exchange), len(far))))
        self._merge(message.exchange, answer, now)
        return [Send((sender,), ShuffleReply(answer, self.spec))]

    def _answered(self, message: ShuffleReply, now: int) -> list[Effect]:
        if self._is_fair(message.exchange):
            self._merge(message.exchange, self._told, now)
            self._told = ()
        return []

    def _merge(self, exchange: tuple[NodeSpec, ...], told: tuple[NodeSpec, ...], now: int) -> None:
        """Take in replacements; who was told of in return makes room first, as in the paper."""
        passive, near, denied = self.passive, self.neighbors, self._denied
        new = []
        for each in exchange:
            name = each.name
            if name in passive or name in near or name == self.name:
                continue
            if not denied or not self._is_denied(name, now):
                new.append(each)
        del new[self.config.passive :]
        surplus = len(passive) + len(new) - self.config.passive
        for each in told:
            if surplus <= 0:
                break
            if passive.pop(each.name, None) is not None:
                surplus -= 1
        if surplus > 0:
            for name in self._random.sample(list(passive), surplus):
                del passive[name]
        for each in new:
            passive[each.name] = each

    def _remember(self, spec: NodeSpec, now: int) -> None:
        """Make a node a replacement, in the place of a random one if there is no other."""
        name, passive = spec.name, self.passive
        if name == self.name or name in self.neighbors or self._is_denied(name, now):
            return
        if name not in passive and len(passive) >= self.config.passive:
            del passive[self._random.choice(list(passive))]
        passive[name] = spec

    # --- timers ---

    def _fired(self, timer: str, now: int) -> list[Effect]:
        config = self.config
        match timer:
            case "shuffle":
                return [SetTimer(timer, now + config.shuffle_interval), *self._shuffle()]
            case "promotion":
                again = SetTimer(timer, now + config.promotion_interval)
                self._start_over()
                for name in [each for each, until in self._requested.items() if until <= now]:
                    del self._requested[name]
                return [again, *self._fill(now)]
            case "probe":
                return [SetTimer(timer, now + config.probe_interval), *self._probe(now)]
            case "xbot" if self._xbot is not None:
                return self._xbot.fired(now)
            case _:
                return []

    def _probe(self, now: int) -> list[Effect]:
        """Try again whom this node has lost, or was told of; so partitions that healed re-merge."""
        if not self.neighbors and self._seeds:
            self.statistics.probes += 1
            seed = self._seeds[self._random.choice(list(self._seeds))]
            return [Send((seed,), Join(self.spec, self.tag, self.epoch))]
        lost = [each for each in self._lost if each not in self._requested]
        if not lost:
            return []
        self.statistics.probes += 1
        spec = self._lost[self._random.choice(lost)]
        # It may be of another half, all of whose views are full: nobody there would let us in.
        return [self._request(spec, HIGH, self._exchange(), now)]

    # --- what all have in common ---

    def _someone(self, *but: Atom) -> NodeSpec | None:
        names = [each for each in self.neighbors if each not in but]
        return self.neighbors[self._random.choice(names)] if names else None

    def _is_denied(self, name: Atom, now: int) -> bool:
        until = self._denied.get(name)
        if until is None:
            return False
        if until <= now:
            del self._denied[name]
            return False
        self.statistics.denied += 1
        return True

    def _is_stale(self, name: Atom, known: Disconnection, now: int) -> bool:
        """Tell whether a node said so before it failed, or before it heard that we parted."""
        return self._is_denied(name, now) or known < self._sent.get(name, _NEVER)

    def _is_fair(self, exchange: tuple[NodeSpec, ...]) -> bool:
        if len(exchange) <= self.config.exchange:
            return True
        self.statistics.malformed += 1
        return False


_HANDLERS: Final[dict[type, Callable[[HyParView, Any, int], list[Effect]]]] = {
    Join: HyParView._joined,
    ForwardJoin: HyParView._forwarded,
    Neighbor: HyParView._made_neighbor,
    NeighborRequest: HyParView._asked,
    NeighborAccepted: HyParView._accepted,
    NeighborRejected: HyParView._rejected,
    NeighborRejectedPlainly: HyParView._rejected,
    Disconnect: HyParView._disconnected,
    Shuffle: HyParView._shuffled,
    ShuffleReply: HyParView._answered,
}


def _keep(remembered: dict[Atom, Kept], name: Atom, kept: Kept, limit: int) -> None:
    """Remember something of a node as the newest, and forget the oldest beyond a limit."""
    remembered.pop(name, None)
    remembered[name] = kept
    if len(remembered) > limit:
        del remembered[next(iter(remembered))]
