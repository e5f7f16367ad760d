# SPDX-License-Identifier: Apache-2.0
"""Plumtree: broadcasts along a tree, and announcements where the tree has none of its branches.

Leitão, Pereira, Rodrigues, "Epidemic broadcast trees" (SRDS 2007). A message is pushed to the eager
neighbors and announced to the lazy ones. Whoever gets it twice prunes the branch it came by the
second time; whoever is announced what it misses grafts that branch on. So the first broadcast is a
flood that leaves a tree behind, and the tree mends itself.

| message          | at the receiver                                                              |
| ---------------- | ---------------------------------------------------------------------------- |
| `broadcast`      | new: pushed and announced onward; known: the sender is lazy, and is told so  |
| `prune`          | the sender is lazy                                                           |
| `i_have`         | known: `ignored_i_have`; missing: `graft`, and the sender is eager           |
| `ignored_i_have` | is not announced to the sender again                                         |
| `graft`          | the sender is eager, and gets the message                                    |

Shapes and behavior are those of the original: a tree for each root, announcements repeated at each
lazy tick until they are answered. What a message is, and which are known, a `BroadcastHandler`
says. It differs in this, none of which a node of the original notices:

*   A new neighbor is eager and leaves the trees alone, where the original forgets them all.
*   A message announced by several nodes is grafted from one of them at a time.
*   Who announces a message has it, so it is not announced to them any more; if it was already, that
    is the answer, and no other is sent.
*   With every new neighbor, and with one at random at each exchange tick, handlers exchange what
    they have: what `exchange` returns is announced.
*   Where an announcement shows a way that is shorter by `threshold` hops, the tree is mended; the
    paper's optimization, which the original lacks.
*   Announcements, trees and memory are bounded.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

from heliograph.partisan.protocol.broadcasting import PLAIN, key_of
from heliograph.partisan.protocol.overlay.interface import Dropped, kind_of
from heliograph.partisan.wire.messages import (
    UNDEFINED,
    Broadcast,
    Graft,
    IgnoredIHave,
    IHave,
    Prune,
)

if TYPE_CHECKING:
    from random import Random

    from heliograph.partisan.protocol.broadcasting import BroadcastHandler
    from heliograph.partisan.wire import Atom, Term
    from heliograph.partisan.wire.messages import Message

__all__ = [
    "Plumtree",
    "PlumtreeConfig",
    "PlumtreeStatistics",
    "Push",
    "TreeEffect",
    "Wake",
]

_SECOND: Final = 1_000_000_000


@dataclass(frozen=True, slots=True)
class PlumtreeConfig:
    """Pace and bounds. Times are in nanoseconds."""

    lazy_tick: int = _SECOND
    """Between two announcements of what is not answered; `lazy_tick_period` of the original."""
    exchange_tick: int = 10 * _SECOND
    """Between two exchanges with a neighbor; `exchange_tick_period` of the original."""
    graft_timeout: int = _SECOND
    """How long a grafted message is waited for before another one's announcement is taken up; our
    choice, the lazy tick."""
    threshold: int | None = 7
    """Hops by which an announced way must be shorter for the tree to be changed; the paper's, None
    never changes it."""
    shared: bool = False
    """One tree for all roots, as in the paper; the original has one for each."""
    trees: int = 1_024
    """Roots whose trees are remembered; our choice, the oldest goes first."""
    announcements: int = 4_096
    """Announcements not answered yet; our choice, the oldest goes first."""
    memory: int = 256
    """Messages remembered with the way they came; our choice."""
    hops: int = 65_536
    """Longest way that is believed; our choice."""
    frugal: bool = True
    """Whether nothing is announced to who has announced it; the original does that, too, and
    answers each announcement."""


@dataclass(slots=True)
class PlumtreeStatistics:
    """What was done and met, counted since the start."""

    delivered: int = 0
    """Messages that came and were new."""
    duplicates: int = 0
    """Messages that came and were known."""
    grafts: int = 0
    """Branches grafted on, asked for here."""
    prunes: int = 0
    """Branches pruned, asked for here."""
    optimizations: int = 0
    """Branches swapped for shorter ones."""
    dropped: int = 0
    """Announcements given up because there were too many."""
    forged: int = 0
    """Messages whose sender is not who they say; dropped."""
    malformed: int = 0
    """Messages that came by an impossible number of hops; dropped."""
    unknown: int = 0
    """Messages for handlers that are not registered, and of kinds there is no use for; dropped."""
    failed: int = 0
    """Calls of handlers that raised an exception."""


# --- effects ---


class Push(NamedTuple):
    """Send a message to some neighbors, by a channel."""

    to: tuple[Atom, ...]
    message: Message
    channel: Atom


class Wake(NamedTuple):
    """Call `Plumtree.lazy_tick` at a time, in nanoseconds."""

    at: int


TreeEffect: TypeAlias = Push | Wake | Dropped
"""What is to be done; of a `Dropped`, nothing."""


# --- the state machine ---


class _Tree:
    """Which neighbors are eager and which lazy, for one root. Tuples are replaced as a whole."""

    __slots__ = ("eager", "lazy")

    def __init__(self, eager: tuple[Atom, ...]) -> None:
        self.eager = eager
        self.lazy: tuple[Atom, ...] = ()

    def make_eager(self, peer: Atom) -> None:
        if peer not in self.eager:
            self.eager = (*self.eager, peer)
            self.lazy = _without(self.lazy, peer)

    def make_lazy(self, peer: Atom) -> None:
        if peer not in self.lazy:
            self.lazy = (*self.lazy, peer)
            self.eager = _without(self.eager, peer)


class _Way(NamedTuple):
    """How a message came here."""

    root: Atom
    round: int
    sender: Atom | None
    """None if it is of this node, whose round is -1 then."""


class _Announcement:
    """What is announced, and who has not answered yet."""

    __slots__ = ("channel", "message", "peers", "sent")

    def __init__(self, message: IHave, peers: list[Atom], channel: Atom) -> None:
        self.message = message
        self.peers = peers
        self.channel = channel
        self.sent = 0  # how many of the peers, from the first on, it was sent to


class Plumtree:
    """One node's part in the broadcast trees.

    The driver tells it of neighbors, hands it the messages that come, and calls `lazy_tick` when a
    `Wake` says so, and `exchange_tick` periodically.

    Args:
        name: The node's name.
        handlers: By the names that they have on the wire: modules, in the original.
        random: Chooses whom to exchange with.
        config: Pace and bounds.

    Attributes:
        neighbors: In the order they came.
        statistics: Counters.
    """

    __slots__ = (
        "_announced",
        "_awake",
        "_expected",
        "_grafted",
        "_longest",
        "_random",
        "_trees",
        "_ways",
        "config",
        "handlers",
        "name",
        "neighbors",
        "statistics",
    )

    def __init__(
        self,
        name: Atom,
        handlers: dict[Atom, BroadcastHandler],
        *,
        random: Random,
        config: PlumtreeConfig | None = None,
    ) -> None:
        self.name: Atom = name
        self.handlers: dict[Atom, BroadcastHandler] = handlers
        self.config: PlumtreeConfig = config if config is not None else PlumtreeConfig()
        self.neighbors: tuple[Atom, ...] = ()
        self.statistics: PlumtreeStatistics = PlumtreeStatistics()
        self._random = random
        self._trees: dict[Atom, _Tree] = {}
        self._announced: dict[tuple[Atom, Any], _Announcement] = {}
        self._ways: dict[tuple[Atom, Any], _Way] = {}
        self._grafted: dict[tuple[Atom, Any], tuple[Atom, int]] = {}  # from whom, until when
        self._expected: dict[tuple[Atom, Any], Atom] = {}  # sent again though known, by whom
        self._longest = 0  # the most hops that any message has come here by
        self._awake = False

    # --- what can be asked ---

    def eager(self, root: Atom) -> tuple[Atom, ...]:
        """Return the neighbors that a root's messages are pushed to."""
        return self._tree(root).eager

    def lazy(self, root: Atom) -> tuple[Atom, ...]:
        """Return the neighbors that a root's messages are announced to."""
        return self._tree(root).lazy

    @property
    def roots(self) -> tuple[Atom, ...]:
        """The roots whose trees are not those of a new one."""
        return tuple(self._trees)

    @property
    def outstanding(self) -> int:
        """Messages announced to somebody who has not answered yet."""
        return len(self._announced)

    # --- inputs ---

    def neighbor_up(self, peer: Atom, now: int) -> list[TreeEffect]:
        """Take in a new neighbor."""
        if peer in self.neighbors or peer == self.name:
            return []
        self.neighbors = (*self.neighbors, peer)
        for tree in self._trees.values():
            tree.make_eager(peer)
        return self._exchange(peer, now)

    def neighbor_down(self, peer: Atom) -> None:
        """Forget a neighbor. What was grafted from it may be grafted from another at once."""
        if peer not in self.neighbors:
            return
        self.neighbors = _without(self.neighbors, peer)
        for tree in self._trees.values():
            tree.eager = _without(tree.eager, peer)
            tree.lazy = _without(tree.lazy, peer)
        for key in [key for key, each in self._announced.items() if peer in each.peers]:
            self._answered(key, peer)
        for key in [key for key, (whom, _) in self._grafted.items() if whom == peer]:
            del self._grafted[key]

    def broadcast(self, module: Atom, broadcast: Any, now: int) -> list[TreeEffect]:
        """Broadcast something from here.

        Raises:
            KeyError: No handler of this name is registered.
            Exception: Whatever the handler's `broadcast_data` raises.
        """
        handler = self.handlers[module]
        message_id, payload = handler.broadcast_data(broadcast)
        tree = self._tree(self.name)
        key = (module, key_of(message_id))
        self._remember(key, _Way(self.name, -1, None))
        effects: list[TreeEffect] = []
        if tree.eager:
            message = Broadcast(message_id, payload, module, 0, self.name, self.name)
            effects.append(Push(tree.eager, message, handler.channel))
        self._announce(key, message_id, 0, self.name, [*tree.lazy], handler.channel, now, effects)
        return effects

    def received(self, peer: Atom | None, message: Any, now: int) -> list[TreeEffect]:
        """Take a message.

        Args:
            peer: Who has sent it, by the handshake of its connection; None where that is not known.
            message: One of the five.
            now: Nanoseconds of a clock that never goes back.
        """
        receive = _RECEIVE.get(type(message))
        if receive is None:
            self.statistics.unknown += 1
            return [Dropped(peer, kind_of(message), "unknown")]
        sender = message.sender
        if sender is not peer and peer is not None and sender != peer:
            self.statistics.forged += 1
            return [Dropped(peer, kind_of(message), "forged")]
        return receive(self, message, now)

    def lazy_tick(self, now: int) -> list[TreeEffect]:
        """Announce again what is not answered."""
        effects: list[TreeEffect] = []
        for each in self._announced.values():
            each.sent = len(each.peers)
            effects.append(Push(tuple(each.peers), each.message, each.channel))
        self._awake = bool(effects)
        if effects:
            effects.append(Wake(now + self.config.lazy_tick))
        return effects

    def exchange_tick(self, now: int) -> list[TreeEffect]:
        """Exchange with a neighbor at random."""
        if not self.neighbors:
            return []
        return self._exchange(self._random.choice(self.neighbors), now)

    def postpone(self, peer: Atom, message: Broadcast, channel: Atom, now: int) -> list[Wake]:
        """Announce to a neighbor, from the next lazy tick on, what it cannot be pushed now."""
        effects: list[TreeEffect] = []
        key = (message.module, key_of(message.id))
        self._announce(key, message.id, message.round, message.root, [peer], channel, now, effects)
        return [each for each in effects if isinstance(each, Wake)]

    # --- messages ---

    def _broadcast(self, message: Broadcast, now: int) -> list[TreeEffect]:
        module, sender, root = message.module, message.sender, message.root
        handler = self.handlers.get(module)
        if handler is None or not 0 <= message.round <= self.config.hops:
            return self._drop(message, handler is None)
        try:
            new = handler.merge(message.id, message.payload)
        except Exception:  # noqa: BLE001 - whatever a handler raises, the tree goes on
            self.statistics.failed += 1
            new = False
        message_id = message.id
        key = (module, message_id if type(message_id) in PLAIN else key_of(message_id))
        if not new:
            self.statistics.duplicates += 1
            if self.config.frugal:
                self._answered(key, sender)
            if self._expected.pop(key, None) == sender:
                return []
            self._make_lazy(root, sender)
            self.statistics.prunes += 1
            return [Push((sender,), Prune(root, self.name), handler.channel)]
        self.statistics.delivered += 1
        if self._grafted:
            self._grafted.pop(key, None)
        round_ = message.round + 1
        tree = self._tree(root)
        if sender in tree.lazy:
            tree.make_eager(sender)
        effects: list[TreeEffect] = []
        onward = tuple([peer for peer in tree.eager if peer != sender])
        if onward:
            passed = Broadcast(message_id, message.payload, module, round_, root, self.name)
            effects.append(Push(onward, passed, handler.channel))
        self._remember(key, _Way(root, message.round, sender))
        if tree.lazy:
            lazy = [*tree.lazy]  # without the sender, who is eager
            self._announce(key, message_id, round_, root, lazy, handler.channel, now, effects)
        return effects

    def _prune(self, message: Prune, now: int) -> list[TreeEffect]:  # noqa: ARG002 - as all
        self._make_lazy(message.root, message.sender)
        return []

    def _i_have(self, message: IHave, now: int) -> list[TreeEffect]:
        module, sender, message_id = message.module, message.sender, message.id
        handler = self.handlers.get(module)
        if handler is None:  # so that it is not announced for ever
            answer = Push((sender,), _ignored(message, self.name), UNDEFINED)
            return [answer, *self._drop(message, unknown=True)]
        if not 0 <= message.round <= self.config.hops:
            return self._drop(message)
        try:
            known = handler.is_stale(message_id)
        except Exception:  # noqa: BLE001 - whatever a handler raises, the tree goes on
            self.statistics.failed += 1
            known = True
        if known:
            effects: list[TreeEffect] = []
            # What was announced to it just now tells it the same.
            told = self._announced and self.config.frugal
            if not told or not self._answered((module, key_of(message_id)), sender):
                effects.append(Push((sender,), _ignored(message, self.name), handler.channel))
            threshold = self.config.threshold
            if threshold is not None and message.round + threshold <= self._longest:
                self._optimize(message, threshold, handler.channel, effects)
            return effects
        key = (module, key_of(message_id))
        pending = self._grafted.get(key)
        if pending is not None and now < pending[1] and pending[0] in self.neighbors:
            return []  # it will be announced again, should the other one fail
        _put(self._grafted, key, (sender, now + self.config.graft_timeout), self.config.memory)
        return [self._graft_from(message, handler.channel)]

    def _graft_from(self, message: IHave, channel: Atom) -> Push:
        self.statistics.grafts += 1
        self._make_eager(message.root, message.sender)
        graft = Graft(message.id, message.module, message.round, message.root, self.name)
        return Push((message.sender,), graft, channel)

    def _optimize(
        self, message: IHave, threshold: int, channel: Atom, effects: list[TreeEffect]
    ) -> None:
        """Take the announced way for the one the message came by, if that is much longer."""
        key = (message.module, key_of(message.id))
        way = self._ways.get(key)
        if way is None or way.sender is None or way.round - message.round < threshold:
            return
        tree, parent = self._tree(message.root), way.sender
        if parent not in tree.eager or message.sender not in tree.lazy:
            return
        self.statistics.optimizations += 1
        self.statistics.prunes += 1
        _put(self._expected, key, message.sender, self.config.memory)
        effects.append(self._graft_from(message, channel))
        tree.make_lazy(parent)
        effects.append(Push((parent,), Prune(message.root, self.name), channel))

    def _ignored(self, message: IgnoredIHave, now: int) -> list[TreeEffect]:  # noqa: ARG002
        self._answered((message.module, key_of(message.id)), message.sender)
        return []

    def _graft(self, message: Graft, now: int) -> list[TreeEffect]:  # noqa: ARG002 - as all
        module, sender, root = message.module, message.sender, message.root
        handler = self.handlers.get(module)
        if handler is None or not 0 <= message.round <= self.config.hops:
            return self._drop(message, handler is None)
        try:
            payload = handler.graft(message.id)
        except Exception as error:  # noqa: BLE001 - whatever a handler raises, the tree goes on
            self.statistics.failed += not isinstance(error, LookupError)
            self._answered((module, key_of(message.id)), sender)
            return []
        self._make_eager(root, sender)
        again = Broadcast(message.id, payload, module, message.round, root, self.name)
        return [Push((sender,), again, handler.channel)]

    def _drop(self, message: Broadcast | IHave | Graft, unknown: bool = False) -> list[TreeEffect]:
        if unknown:
            self.statistics.unknown += 1
        else:
            self.statistics.malformed += 1
        reason = "unknown" if unknown else "malformed"
        return [Dropped(message.sender, kind_of(message), reason)]

    # --- announcements ---

    def _announce(
        self,
        key: tuple[Atom, Any],
        message_id: Term,
        round_: int,
        root: Atom,
        peers: list[Atom],
        channel: Atom,
        now: int,
        effects: list[TreeEffect],
    ) -> None:
        """Announce a message from the next lazy tick on."""
        if not peers:
            return
        standing = self._announced.get(key)
        if standing is not None:
            standing.peers.extend([each for each in peers if each not in standing.peers])
        else:
            message = IHave(message_id, key[0], round_, root, self.name)
            self._announced[key] = _Announcement(message, peers, channel)
            if len(self._announced) > self.config.announcements:
                self.statistics.dropped += 1
                del self._announced[next(iter(self._announced))]
        if not self._awake:
            self._awake = True
            effects.append(Wake(now + self.config.lazy_tick))

    def _answered(self, key: tuple[Atom, Any], peer: Atom) -> bool:
        """Announce a message to a peer no more; tell whether it was announced already."""
        standing = self._announced.get(key)
        if standing is None or peer not in standing.peers:
            return False
        peers = standing.peers
        was_sent = peers.index(peer) < standing.sent
        standing.sent -= was_sent
        peers.remove(peer)
        if not peers:
            del self._announced[key]
        return was_sent

    def _exchange(self, peer: Atom, now: int) -> list[TreeEffect]:
        """Announce to a peer what the handlers have for it."""
        effects: list[TreeEffect] = []
        for module, handler in self.handlers.items():
            try:
                ids = list(handler.exchange(peer))
            except Exception:  # noqa: BLE001 - whatever a handler raises, the tree goes on
                self.statistics.failed += 1
                continue
            for message_id in ids:
                key = (module, key_of(message_id))
                way = self._ways.get(key)
                root, round_ = (self.name, 0) if way is None else (way.root, way.round + 1)
                if way is None or way.sender != peer:
                    channel = handler.channel
                    self._announce(key, message_id, round_, root, [peer], channel, now, effects)
        return effects

    # --- trees ---

    def _tree(self, root: Atom) -> _Tree:
        """Return a root's tree; of a root that nothing is known of, a new one."""
        tree = self._trees.get(UNDEFINED if self.config.shared else root)
        return tree if tree is not None else _Tree(self.neighbors)

    def _make_eager(self, root: Atom, peer: Atom) -> None:
        if peer in self.neighbors:
            self._tree(root).make_eager(peer)

    def _make_lazy(self, root: Atom, peer: Atom) -> None:
        if peer in self.neighbors:
            tree = self._tree(root)
            _put(self._trees, UNDEFINED if self.config.shared else root, tree, self.config.trees)
            tree.make_lazy(peer)

    def _remember(self, key: tuple[Atom, Any], way: _Way) -> None:
        self._longest = max(self._longest, way.round)
        _put(self._ways, key, way, self.config.memory)


_RECEIVE: Final[dict[type, Callable[[Plumtree, Any, int], list[TreeEffect]]]] = {
    Broadcast: Plumtree._broadcast,
    Prune: Plumtree._prune,
    IHave: Plumtree._i_have,
    IgnoredIHave: Plumtree._ignored,
    Graft: Plumtree._graft,
}


def _without(peers: tuple[Atom, ...], peer: Atom) -> tuple[Atom, ...]:
    return tuple([each for each in peers if each != peer]) if peer in peers else peers


def _ignored(message: IHave, name: Atom) -> IgnoredIHave:
    return IgnoredIHave(message.id, message.module, message.round, message.root, name)


def _put(remembered: dict[Any, Any], key: Any, value: Any, limit: int) -> None:
    """Remember something, and forget the oldest beyond a limit."""
    remembered[key] = value
    if len(remembered) > limit:
        del remembered[next(iter(remembered))]
