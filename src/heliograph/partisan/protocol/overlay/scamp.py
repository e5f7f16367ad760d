# SPDX-License-Identifier: Apache-2.0
"""SCAMP: partial views of a size that nobody sets, about (c + 1) log n.

Ganesh, Kermarrec, Massoulié, "SCAMP: peer-to-peer lightweight membership service for large-scale
group communication" (NGC 2001; version 2 is that of IEEE Transactions on Computers, 2003). A
subscription walks at random, and each node it meets keeps it with a probability that falls with the
size of its view. Views are one-way: who is in mine need not have me in his.

| message                         | at the receiver                                              |
| ------------------------------- | ------------------------------------------------------------ |
| `forward_subscription`          | kept, or passed on to a neighbor at random; one's own, too   |
| `keep_subscription`             | version 2: the sender has kept ours                          |
| `ping`                          | the sender has us in its view; who hears none subscribes again |
|                                 | (ours connects to the sender, for answers to find their way) |
| `remove_subscription`           | the node is forgotten, and the neighbors are told            |
| `replace_subscription`          | version 2: another takes the leaver's place                  |
| `bootstrap_remove_subscription` | version 2: a node is to leave; it tells those that have it   |

Shapes are the original's. It keeps each subscription with a probability of 0.4 whatever the size of
its view, and a contact treats a subscription through it as any other; both are by option here.

Its version 1 breaks, and forgets everybody, when it is told that a node of its view has left. So
no Erlang node is told; it keeps the one that left in its view, like one that has failed.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from heliograph.partisan.protocol.overlay import interface as on
from heliograph.partisan.protocol.overlay.interface import (
    CancelTimer,
    Connect,
    Dropped,
    Hangup,
    Left,
    NeighborDown,
    NeighborUp,
    Overlay,
    Send,
    SetTimer,
    kind_of,
)
from heliograph.partisan.wire import Atom
from heliograph.partisan.wire.messages import (
    UNDEFINED,
    BootstrapRemoveSubscription,
    ForwardSubscription,
    KeepSubscription,
    RemoveSubscription,
    ReplaceSubscription,
    ScampPing,
)
from heliograph.partisan.wire.terms import term_map

if TYPE_CHECKING:
    from random import Random

    from heliograph.partisan.protocol.overlay.interface import Effect, Input
    from heliograph.partisan.wire import NodeSpec, Term
    from heliograph.partisan.wire.messages import Message

__all__ = ["ScampConfig", "ScampStatistics", "ScampV1", "ScampV2"]

_SECOND: Final = 1_000_000_000
_MILLION: Final = 1_000_000
_PERIODIC: Final = "periodic"
_ORIGINALS: Final = 0.4
_SPEAKERS: Final = frozenset({ScampPing, KeepSubscription})


@dataclass(frozen=True, slots=True)
class ScampConfig:
    """Pace and bounds. Times are in nanoseconds."""

    copies: int = 5
    """The paper's c: subscriptions sent on beside those to all neighbors; the original's 5."""
    interval: int = 10 * _SECOND
    """Between two pings of all neighbors; `periodic_interval` of the original."""
    silence: int = 100 * _SECOND
    """Time without a ping after which a node subscribes again; the original's ten intervals. Who
    was never pinged since it joined does so after two: nobody may have kept its subscription."""
    passes: int = 10
    """How often a node passes the same subscription on before it drops it; the paper's."""
    view: int = 10_000
    """Largest view; our choice. The paper's views stay far below."""
    as_original: bool = False
    """Keep with the original's probability, and spread subscriptions as it does: who joins tells
    its own neighbors of the contact, and the contact tells nobody; a subscription is passed on to
    any neighbor, even to the node that it is of."""


@dataclass(slots=True)
class ScampStatistics:
    """What was done and met, counted since the start."""

    kept: int = 0
    """Subscriptions kept here."""
    passed: int = 0
    """Subscriptions passed on."""
    dropped: int = 0
    """Subscriptions that came again and again."""
    renewed: int = 0
    """Times this node subscribed again since it heard nothing."""
    forged: int = 0
    """Messages whose sender is not who they say; dropped."""
    unknown: int = 0
    """Messages there is no use for; dropped."""


class _Scamp(Overlay):
    """What both versions have in common.

    Args:
        spec: What the node tells of itself.
        random: Decides what is kept, and where the rest goes.
        config: Pace and bounds.
        actor: What the original's state carries and nobody looks at.
        system_offset: The time of day, in nanoseconds since 1970, when `now` is 0.

    Attributes:
        neighbors: The partial view.
        statistics: Counters.
    """

    reaches_all = True
    _copies_less = 0

    def __init__(
        self,
        spec: NodeSpec,
        *,
        random: Random,
        config: ScampConfig | None = None,
        actor: bytes = b"",
        system_offset: int = 0,
    ) -> None:
        self.spec = spec
        self.config: ScampConfig = config if config is not None else ScampConfig()
        self.neighbors: dict[Atom, NodeSpec] = {}
        self.statistics: ScampStatistics = ScampStatistics()
        self._random = random
        self._actor = actor
        self._system_offset = system_offset
        self._heard: int | None = None  # when the last ping came
        self._since: int | None = None  # when the last ping came, or it began to wait for one
        self._contacts: dict[Atom, NodeSpec] = {}
        self._pinging: dict[Atom, NodeSpec] = {}  # who has this node, the latest ping last
        self._passed: dict[Atom, int] = {}  # how often each subscription was, since the last tick

    def handle(self, happened: Input, now: int) -> list[Effect]:
        match happened:
            case on.Received(peer, message):
                return self._message(peer, message, now)
            case on.Fired(timer):
                return self._tick(now) if timer == _PERIODIC else []
            case on.Join(contact):
                self._since = now
                return self._join(contact)
            case on.Lost(peer, reason):
                return self._lost(peer, reason)
            case on.Leave(node):
                return self._leave(self.spec if node is None else node)
            case on.Start():
                return [SetTimer(_PERIODIC, now + self.config.interval)]
            case _:
                return []

    def _join(self, contact: NodeSpec) -> list[Effect]:
        if contact.name == self.spec.name:
            return []
        self._contacts[contact.name] = contact
        others = list(self.neighbors.values())  # for the original, the contact may be among them
        effects = self._keep(contact)
        effects.append(Send((contact,), ForwardSubscription(self.spec)))
        if self.config.as_original and others:
            more = self._random.sample(others, min(self._copies(), len(others)))
            effects += [*self._pass_on(contact, others), *self._pass_on(contact, more)]
        return effects

    def _lost(self, peer: Atom, reason: str) -> list[Effect]:
        effects = self._remove(peer, reason)
        self._pinging.pop(peer, None)
        if effects and not self.neighbors and self._pinging and not self.config.as_original:
            return [*effects, *self._join_again()]
        return effects

    def _join_again(self) -> list[Effect]:
        """Join through who has this node, or else whom it has joined before, the latest first."""
        known = self._pinging or self._contacts
        if not known:
            return []
        self.statistics.renewed += 1
        return self._join(next(reversed(known.values())))

    def _tick(self, now: int) -> list[Effect]:
        self._passed.clear()
        effects: list[Effect] = [SetTimer(_PERIODIC, now + self.config.interval)]
        if not self.neighbors:
            return [*effects, *self._join_again()]
        if self._is_alone(now) and (again := self._some(1)):
            self.statistics.renewed += 1
            effects.append(Send(tuple(again), ForwardSubscription(self.spec)))
        effects.append(Send(tuple(self.neighbors.values()), ScampPing(self.spec)))
        return effects

    def _is_alone(self, now: int) -> bool:
        """Tell whether nobody seems to have this node in a view."""
        since, silence = self._since, self.config.silence
        if self.config.as_original:
            since = self._heard
        elif not self._is_kept():
            silence = min(silence, 2 * self.config.interval)
        return since is not None and now - since > silence

    def _is_kept(self) -> bool:
        """Tell whether somebody has ever kept this node's subscription."""
        return self._heard is not None

    # --- messages ---

    def _message(self, peer: Atom | None, message: Message, now: int) -> list[Effect]:
        if type(message) in _SPEAKERS and peer is not None:
            assert isinstance(message, ScampPing | KeepSubscription)
            if message.spec.name != peer:
                self.statistics.forged += 1
                return [Dropped(peer, kind_of(message), "forged")]
        match message:
            case ForwardSubscription(spec):
                return self._subscribed(peer, spec)
            case ScampPing(spec):
                self._heard = self._since = now
                return self._pinged(spec)
            case RemoveSubscription(spec):
                return self._unsubscribed(spec)
            case _:
                return self._other(message)

    def _pinged(self, spec: NodeSpec) -> list[Effect]:
        """Connect to who has this node, without having it: so that answers find their way."""
        self._pinging.pop(spec.name, None)
        self._pinging[spec.name] = spec
        if len(self._pinging) > self.config.view:
            del self._pinging[next(iter(self._pinging))]
        if spec.name in self.neighbors or self.config.as_original:
            return []
        return [Connect((spec,), 3 * self.config.interval)]

    def _subscribed(self, peer: Atom | None, spec: NodeSpec) -> list[Effect]:
        name = spec.name
        if peer == name and not self.config.as_original:
            return self._spread(spec)
        known = name in self.neighbors or name == self.spec.name
        if not known and self._random.random() < self._probability():
            return self._kept(spec)
        count = self._passed.get(name, 0) + 1
        if count > self.config.passes:
            self.statistics.dropped += 1
            return []
        self._passed[name] = count
        if len(self._passed) > self.config.view:
            del self._passed[next(iter(self._passed))]
        but = () if self.config.as_original else (name,)
        return self._pass_on(spec, self._some(1, *but))

    def _spread(self, spec: NodeSpec) -> list[Effect]:
        """Tell all neighbors of a node that subscribes here, and some of them once more."""
        others = [each for each in self.neighbors.values() if each.name != spec.name]
        if not others:
            return self._kept(spec)
        more = self._random.choices(others, k=self._copies())
        return [*self._pass_on(spec, others), *self._pass_on(spec, more)]

    def _copies(self) -> int:
        return max(0, self.config.copies - self._copies_less)

    def _pass_on(self, spec: NodeSpec, to: list[NodeSpec]) -> list[Effect]:
        self.statistics.passed += len(to)
        return [Send(tuple(to), ForwardSubscription(spec))] if to else []

    def _probability(self) -> float:
        if len(self.neighbors) >= self.config.view:
            return 0.0
        return _ORIGINALS if self.config.as_original else 1 / (1 + len(self.neighbors))

    def _kept(self, spec: NodeSpec) -> list[Effect]:
        self.statistics.kept += 1
        return self._keep(spec)

    def _unsubscribed(self, spec: NodeSpec) -> list[Effect]:
        if spec.name == self.spec.name:
            return self._gone(removed=True)
        if spec.name not in self.neighbors:
            return []
        effects = self._remove(spec.name, "leave")
        self._pinging.pop(spec.name, None)
        others = tuple(self.neighbors.values())
        told: list[Effect] = [Send(others, RemoveSubscription(spec))] if others else []
        return [*told, *effects, Hangup(spec.name, "leave")]

    def _gone(self, *, removed: bool) -> list[Effect]:
        """Belong to no cluster any more."""
        effects: list[Effect] = []
        for name, spec in self.neighbors.items():
            effects += [Hangup(name, "leave"), NeighborDown(spec, "leave")]
        self.neighbors = {}
        self._contacts = {}
        self._pinging = {}
        self._passed = {}
        self._heard = self._since = None
        return [*effects, CancelTimer(_PERIODIC), Left(removed)]

    def _unknown(self, message: Message) -> list[Effect]:
        self.statistics.unknown += 1
        return [Dropped(None, kind_of(message), "unknown")]

    # --- the view ---

    def _keep(self, spec: NodeSpec) -> list[Effect]:
        known = spec.name in self.neighbors
        self.neighbors[spec.name] = spec
        return [] if known else [NeighborUp(spec)]

    def _remove(self, name: Atom, reason: str) -> list[Effect]:
        spec = self.neighbors.pop(name, None)
        return [] if spec is None else [NeighborDown(spec, reason)]

    def _some(self, count: int, *but: Atom) -> list[NodeSpec]:
        names = [each for each in self.neighbors if each not in but]
        chosen = self._random.sample(names, min(count, len(names)))
        return [self.neighbors[each] for each in chosen]

    def _timestamp(self) -> Term:
        """Return when the last ping came, as `erlang:timestamp()` says it."""
        if self._heard is None:
            return UNDEFINED
        seconds, rest = divmod((self._system_offset + self._heard) // 1_000, _MILLION)
        return (*divmod(seconds, _MILLION), rest)

    # --- what the versions differ in ---

    @abstractmethod
    def _leave(self, node: NodeSpec) -> list[Effect]: ...

    @abstractmethod
    def _other(self, message: Message) -> list[Effect]: ...


class ScampV1(_Scamp):
    """Version 1: who leaves is forgotten by those who hear of it."""

    def state(self) -> Term:
        """Return what whoever connects is told: `{scamp_v1, Actor, View, LastPing}`."""
        view = (self.spec, *self.neighbors.values())
        known = term_map([(each.term(), []) for each in view])
        return Atom("scamp_v1"), self._actor, known, self._timestamp()

    def _leave(self, node: NodeSpec) -> list[Effect]:
        others = tuple(self.neighbors.values())
        effects: list[Effect] = [Send(others, RemoveSubscription(node))] if others else []
        if node.name == self.spec.name:
            return [*effects, *self._gone(removed=False)]
        return [*effects, *self._remove(node.name, "leave"), Hangup(node.name, "leave")]

    def _other(self, message: Message) -> list[Effect]:
        return self._unknown(message)


class ScampV2(_Scamp):
    """Version 2: who leaves gives those that have it another in its place.

    Attributes:
        in_view: Who has this node in its view.
    """

    _copies_less = 1

    def __init__(
        self,
        spec: NodeSpec,
        *,
        random: Random,
        config: ScampConfig | None = None,
        actor: bytes = b"",
        system_offset: int = 0,
    ) -> None:
        super().__init__(
            spec, random=random, config=config, actor=actor, system_offset=system_offset
        )
        self.in_view: dict[Atom, NodeSpec] = {}

    def state(self) -> Term:
        """Return what whoever connects is told: `{scamp_v2, Me, Actor, View, InView, LastPing}`."""
        view = [each.term() for each in (*reversed(self.neighbors.values()), self.spec)]
        into = [each.term() for each in reversed(self.in_view.values())]
        mine = self.spec.term()
        return Atom("scamp_v2"), mine, self._actor, view, into, self._timestamp()

    def _is_kept(self) -> bool:
        return super()._is_kept() or bool(self.in_view)

    def _kept(self, spec: NodeSpec) -> list[Effect]:
        return [*super()._kept(spec), Send((spec,), KeepSubscription(self.spec))]

    def _leave(self, node: NodeSpec) -> list[Effect]:
        others = tuple(self.neighbors.values())
        told = BootstrapRemoveSubscription(node)
        effects: list[Effect] = [Send(others, told)] if others else []
        return [*effects, *self._hand_over()] if node.name == self.spec.name else effects

    def _other(self, message: Message) -> list[Effect]:
        match message:
            case KeepSubscription(spec):
                self.in_view[spec.name] = spec
                if len(self.in_view) > self.config.view:
                    del self.in_view[next(iter(self.in_view))]
                return []
            case BootstrapRemoveSubscription(spec):
                return self._hand_over() if spec.name == self.spec.name else []
            case ReplaceSubscription(spec, replacement):
                return self._replace(spec, replacement)
            case _:
                return self._unknown(message)

    def _hand_over(self) -> list[Effect]:
        """Leave: most of those that have this node get one of its neighbors, the rest nobody."""
        having, view = list(self.in_view.values()), list(self.neighbors.values())
        replaced = max(0, len(having) - (self.config.copies - 1)) if view else 0
        effects: list[Effect] = [
            Send((each,), ReplaceSubscription(self.spec, view[at % len(view)]))
            for at, each in enumerate(having[:replaced])
        ]
        if having[replaced:]:
            rest = tuple(having[replaced:])
            effects.append(Send(rest, RemoveSubscription(self.spec)))
        self.in_view = {}
        return [*effects, *self._gone(removed=False)]

    def _replace(self, spec: NodeSpec, replacement: NodeSpec) -> list[Effect]:
        if spec.name not in self.neighbors:
            return []
        effects = [*self._remove(spec.name, "leave"), Hangup(spec.name, "leave")]
        if replacement.name == self.spec.name or replacement.name in self.neighbors:
            return effects
        return [*effects, *self._kept(replacement)]

    def _remove(self, name: Atom, reason: str) -> list[Effect]:
        self.in_view.pop(name, None)
        return super()._remove(name, reason)
