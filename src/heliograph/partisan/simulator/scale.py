# SPDX-License-Identifier: Apache-2.0
"""Thousands of nodes with partial views in simulated time: the very classes that run on sockets.

Time is counted in ticks of a millisecond, and what is to come lies in a ring of buckets, one for
each tick: nothing is sorted. A message to several nodes lies there once. Whatever is drawn is drawn
from one generator, and nothing that is iterated over depends on hashes, so a seed means one run.

A connection is not modelled as such. What is sent to a node that has failed comes back as the loss
of its connection after as long as the message took; idle connections are pinged now and then, which
shows it, too. With `detection="reset"` all neighbors of a node that fails learn of it at once, as
they do on sockets when a process is killed and its host closes its connections.
"""

from __future__ import annotations

import gc
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from heliograph.partisan.protocol.broadcasting import BroadcastHandler
from heliograph.partisan.protocol.overlay import interface as on
from heliograph.partisan.protocol.plumtree import Plumtree, Push, Wake
from heliograph.partisan.wire import Atom, ListenAddr, NodeSpec, encode
from heliograph.partisan.wire.messages import (
    UNDEFINED,
    Broadcast,
    Graft,
    IgnoredIHave,
    IHave,
    NeighborAccepted,
    NeighborRejected,
    NeighborRequest,
    Prune,
    Shuffle,
    ShuffleReply,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from random import Random

    from heliograph.partisan.protocol.overlay.interface import Effect, Overlay
    from heliograph.partisan.protocol.plumtree import PlumtreeConfig, TreeEffect
    from heliograph.partisan.wire import Term
    from heliograph.partisan.wire.messages import Message

__all__ = ["MODULE", "Cluster", "Flood", "Name", "Node", "Spread", "collector_off", "spec_of"]

MILLISECOND: Final = 1_000_000
MODULE: Final = Atom("simulated")
"""The handler's name on the wire."""
_PAYLOAD: Final = b"x" * 100
_RING: Final = 1 << 11  # ticks that lie in the ring: more than a lazy tick


def _size(message: Message) -> int:
    """Return how many bytes a message is on the wire, its length prefix included."""
    return 4 + len(encode(message.term()))


def _tree_sizes() -> dict[type, int]:
    name, number = Atom("n00000@10.0.0.0"), 1_000
    messages = (
        Broadcast(number, _PAYLOAD, MODULE, 10, name, name),
        Prune(name, name),
        IHave(number, MODULE, 10, name, name),
        IgnoredIHave(number, MODULE, 10, name, name),
        Graft(number, MODULE, 10, name, name),
    )
    return {type(message): _size(message) for message in messages}


_TREE: Final = _tree_sizes()
"""The messages of the trees, with their sizes."""

_EXCHANGING: Final = frozenset(
    {Shuffle, ShuffleReply, NeighborRequest, NeighborAccepted, NeighborRejected}
)
"""The messages whose sizes depend on how many nodes they tell of."""

Detection: TypeAlias = Literal["send", "reset"]


class Name(Atom):
    """A node's name that knows where the node is, so that nobody has to look it up."""

    __slots__ = ("node",)

    node: Node


def spec_of(index: int) -> NodeSpec:
    """Return what the node of a number tells of itself: names of one length, an address each."""
    name = Name(f"n{index:05}@10.{index >> 16}.{index >> 8 & 255}.{index & 255}")
    address = ListenAddr(f"10.{index >> 16}.{index >> 8 & 255}.{index & 255}", 10_200)
    return NodeSpec(name, (address,), ())


@contextmanager
def collector_off() -> Iterator[None]:
    """Switch the cyclic garbage collector off: it would look at every node again and again."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


@dataclass(slots=True)
class Spread:
    """How far one broadcast came."""

    id: int
    living: int
    """Nodes that ran when it was sent."""
    reached: int = 0
    """Of them, those that have it, its sender included."""
    payloads: int = 0
    """Times it was sent from a node to another."""
    hops: int = 0
    """Of the last delivery, hence the longest way."""
    control: int = 0
    """Other messages of the trees, sent while it spread."""
    control_bytes: int = 0
    """Their size on the wire."""

    @property
    def reliability(self) -> float:
        """The part of the living that have it."""
        return self.reached / self.living

    @property
    def redundancy(self) -> float:
        """Relative message redundancy: payloads beyond the one that each needs, for each."""
        return self.payloads / (self.reached - 1) - 1 if self.reached > 1 else 0.0


class _Handler(BroadcastHandler):
    """Knows which of the messages, numbered from 0, a node has."""

    __slots__ = ("_cluster", "_seen")

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._seen = 0

    def broadcast_data(self, broadcast: Any) -> tuple[Term, Term]:
        self._seen |= 1 << broadcast
        return broadcast, _PAYLOAD

    def merge(self, message_id: Any, payload: Term) -> bool:  # noqa: ARG002 - all are alike
        seen = self._seen
        if seen >> message_id & 1:
            return False
        self._seen = seen | 1 << message_id
        self._cluster.delivered(message_id)
        return True

    def is_stale(self, message_id: Any) -> bool:
        return bool(self._seen >> message_id & 1)

    def graft(self, message_id: Any) -> Term:  # noqa: ARG002 - only what it has is announced
        return _PAYLOAD

    def exchange(self, peer: Atom) -> Iterable[Term]:  # noqa: ARG002 - the same for all
        first = max(0, self._cluster.broadcasts - self._cluster.exchanged)
        return [each for each in range(first, self._cluster.broadcasts) if self._seen >> each & 1]


class Flood:
    """Every new message to all neighbors: what Plumtree is compared with."""

    def __init__(self, name: Atom, handler: BroadcastHandler) -> None:
        self.name = name
        self.neighbors: tuple[Atom, ...] = ()
        self._handler = handler

    def neighbor_up(self, peer: Atom, now: int) -> list[TreeEffect]:  # noqa: ARG002 - as Plumtree
        """Take in a new neighbor."""
        self.neighbors = (*self.neighbors, peer)
        return []

    def neighbor_down(self, peer: Atom) -> None:
        """Forget a neighbor."""
        self.neighbors = tuple([each for each in self.neighbors if each != peer])

    def broadcast(
        self,
        module: Atom,
        broadcast: Any,
        now: int,  # noqa: ARG002 - as Plumtree
    ) -> list[TreeEffect]:
        """Broadcast something from here."""
        message_id, payload = self._handler.broadcast_data(broadcast)
        message = Broadcast(message_id, payload, module, 0, self.name, self.name)
        return [Push(self.neighbors, message, UNDEFINED)]

    def received(
        self,
        peer: Atom | None,
        message: Any,
        now: int,  # noqa: ARG002 - as Plumtree
    ) -> list[TreeEffect]:
        """Take a message."""
        if not self._handler.merge(message.id, message.payload):
            return []
        onward = tuple([each for each in self.neighbors if each != peer])
        round_ = message.round + 1
        passed = Broadcast(
            message.id, message.payload, message.module, round_, message.root, self.name
        )
        return [Push(onward, passed, UNDEFINED)]


class Node:
    """One simulated node."""

    __slots__ = ("alive", "hear", "name", "overlay", "spec", "take", "tree")

    def __init__(self, spec: NodeSpec, overlay: Overlay, tree: Plumtree | Flood) -> None:
        self.spec: NodeSpec = spec
        self.name: Atom = spec.name
        self.overlay: Overlay = overlay
        self.tree: Plumtree | Flood = tree
        self.alive: bool = True
        # Looked up once: they are called millions of times.
        self.hear: Callable[[Atom | None, Message, int], list[Effect]] = overlay.received
        self.take: Callable[[Atom | None, Any, int], list[TreeEffect]] = tree.received


class Cluster:
    """Simulated nodes and what is on its way between them.

    Args:
        random: All chance of the run.
        latency: The shortest and the longest way of a message, in milliseconds, drawn evenly.
        detection: How the failure of a node is noticed.
        keep_alive: Milliseconds between two pings of an idle connection; 0 for none.
        exchanged: How many of the latest messages are told to a new neighbor.

    Attributes:
        nodes: By number.
        now: The tick.
        events: How many things have happened: messages delivered, losses noticed, timers fired.
        broadcasts: How many there were.
    """

    def __init__(
        self,
        *,
        random: Random,
        latency: tuple[int, int] = (10, 10),
        detection: Detection = "send",
        keep_alive: int = 20_000,
        exchanged: int = 2,
    ) -> None:
        self.random = random
        self.nodes: list[Node] = []
        self.now: int = 0
        self.events: int = 0
        self.broadcasts: int = 0
        self.exchanged = exchanged
        self._latency = latency
        self._detection = detection
        self._keep_alive = keep_alive
        self._ring: list[list[tuple[Any, ...]]] = [[] for _ in range(_RING)]
        self._far: dict[int, list[tuple[Any, ...]]] = {}  # what is further away than the ring
        self._pending = 0
        self._spread = Spread(-1, 0)
        self._round = 0
        self._sizes: dict[tuple[type, int], int] = {}
        self._tree_sent: dict[type, int] = dict.fromkeys(_TREE, 0)
        self._sent: dict[tuple[type, int], int] = {}

    # --- nodes ---

    def add(
        self,
        make_overlay: Callable[[NodeSpec], Overlay],
        tree: PlumtreeConfig | None,
        *,
        spec: NodeSpec | None = None,
    ) -> Node:
        """Add a node that knows nobody, or those that its overlay begins with.

        Args:
            make_overlay: Makes its overlay.
            tree: How it broadcasts; None floods.
            spec: What it tells of itself, that of a former cluster's node of the same number.
        """
        if spec is None:
            spec = spec_of(len(self.nodes))
        handler = _Handler(self)
        broadcasting: Plumtree | Flood = (
            Flood(spec.name, handler)
            if tree is None
            else Plumtree(spec.name, {MODULE: handler}, random=self.random, config=tree)
        )
        node = Node(spec, make_overlay(spec), broadcasting)
        _named(spec.name).node = node
        self.nodes.append(node)
        for name in node.overlay.neighbors:
            broadcasting.neighbor_up(name, 0)
        return node

    @property
    def living(self) -> list[Node]:
        """The nodes that run."""
        return [node for node in self.nodes if node.alive]

    def fail(self, nodes: Sequence[Node]) -> None:
        """Let nodes fail at once."""
        for node in nodes:
            node.alive = False
        for node in self.living:
            for name in node.overlay.neighbors:
                if _named(name).node.alive:
                    continue
                if self._detection == "reset":
                    self._lose(node, name)
                elif self._keep_alive:
                    wait = int(self.random.random() * self._keep_alive)
                    self._schedule(self.now + self._latency[0] + wait, (node, name, None))

    def tell(self, node: Node, happened: on.Input) -> None:
        """Give a node's overlay an input."""
        self._overlay(node, node.overlay.handle(happened, self.now * MILLISECOND))

    def cycle(self, timers: Sequence[str] = ("shuffle", "promotion")) -> None:
        """Let every living node once do what it does periodically, all at once."""
        for timer in timers:
            for node in self.living:
                self.tell(node, on.Fired(timer))
            self.settle()

    # --- broadcasts ---

    def broadcast(self, sender: Node, living: int, interval: int | None = None) -> Spread:
        """Broadcast a message, and see how far it comes.

        Args:
            sender: Who sends it.
            living: How many nodes live.
            interval: Milliseconds that it has; None waits until nothing happens any more.
        """
        spread = self._spread = Spread(self.broadcasts, living, reached=1)
        self.broadcasts += 1
        before = dict(self._tree_sent)
        now = self.now * MILLISECOND
        self._push(sender, sender.tree.broadcast(MODULE, spread.id, now))
        if interval is None:
            self.settle()
        else:
            self.run(interval)
        for kind, count in self._tree_sent.items():
            more = count - before[kind]
            if kind is Broadcast:
                spread.payloads += more
            else:
                spread.control += more
                spread.control_bytes += more * _TREE[kind]
        return spread

    def delivered(self, message_id: int) -> None:
        """Note that a node has got a message for the first time."""
        spread = self._spread
        if message_id == spread.id:
            spread.reached += 1
            if self._round >= spread.hops:
                spread.hops = self._round + 1

    def close(self) -> None:
        """Forget all nodes, so that their memory is given back without a search for cycles."""
        for node in self.nodes:
            del _named(node.name).node
        self.nodes.clear()
        self._ring.clear()
        self._far.clear()

    # --- time ---

    def settle(self) -> None:
        """Go on until nothing is on its way and no timer is set."""
        ring, mask = self._ring, _RING - 1
        while self._pending:
            if ring[self.now + 1 & mask] or self._far:
                self.step()
            else:
                self.now += 1

    def run(self, ticks: int) -> None:
        """Go on for some milliseconds."""
        ring, mask = self._ring, _RING - 1
        for _ in range(ticks):
            if ring[self.now + 1 & mask] or self._far:
                self.step()
            else:
                self.now += 1

    def step(self) -> None:
        """Let everything happen that is due in the next tick."""
        self.now += 1
        mask = _RING - 1
        bucket = self._ring[self.now & mask]
        if self._far and self.now in self._far:
            bucket.extend(self._far.pop(self.now))
        if not bucket:
            return
        self._ring[self.now & mask] = []
        now = self.now * MILLISECOND
        sent, push = self._tree_sent, self._push
        shortest, longest = self._latency
        # Where all messages take as long, what is sent now is due in one and the same tick.
        due = self._ring[self.now + shortest & mask].append if shortest == longest else None
        pending, events = -len(bucket), 0
        for to, sender, message in bucket:
            if message is None:
                self._due(to, sender, now)
                events += 1
                continue
            events += len(to)
            kind = type(message)
            if kind not in _TREE:
                for name in to:
                    node = name.node
                    if not node.alive:
                        self._lose(sender.node, name)
                    elif effects := node.hear(sender, message, now):
                        self._overlay(node, effects)
                continue
            if kind is Broadcast:
                self._round = message.round
            for name in to:
                node = name.node
                if not node.alive:
                    self._lose(sender.node, name)
                    continue
                for effect in node.take(sender, message, now):
                    if due is not None and type(effect) is Push:
                        onward, answer, _ = effect
                        sent[type(answer)] += len(onward)
                        due((onward, name, answer))
                        pending += 1
                    else:
                        push(node, (effect,))
        self._pending += pending
        self.events += events

    def _due(self, node: Node, lost: Atom | None, now: int) -> None:
        if not node.alive:
            return
        if lost is None:
            assert isinstance(node.tree, Plumtree)  # floods never ask to be woken
            self._push(node, node.tree.lazy_tick(now))
        else:
            self._overlay(node, node.overlay.handle(on.Lost(lost), now))

    # --- what nodes want done ---

    def _push(self, node: Node, effects: Iterable[TreeEffect]) -> None:
        for effect in effects:
            if isinstance(effect, Push):
                self._tree_sent[type(effect.message)] += len(effect.to)
                self._post(node.name, effect.to, effect.message)
            else:
                assert isinstance(effect, Wake)  # nothing is dropped: nobody here is hostile
                self._schedule(-(-effect.at // MILLISECOND), (node, None, None))

    def _overlay(self, node: Node, effects: list[Effect]) -> None:
        for effect in effects:
            kind = type(effect)
            if kind is on.Send:
                self._send(node.name, effect.to, effect.message)  # type: ignore[union-attr]
            elif kind is on.Check:
                self._check(node, effect.peers)  # type: ignore[union-attr]
            elif kind is on.NeighborUp:
                up = effect.spec.name  # type: ignore[union-attr]
                self._push(node, node.tree.neighbor_up(up, self.now * MILLISECOND))
            elif kind is on.NeighborDown:
                node.tree.neighbor_down(effect.spec.name)  # type: ignore[union-attr]

    def _send(self, sender: Atom, specs: tuple[NodeSpec, ...], message: Any) -> None:
        to = (specs[0].name,) if len(specs) == 1 else tuple([spec.name for spec in specs])
        kind = type(message)
        key = (kind, len(message.exchange) if kind in _EXCHANGING else 0)
        try:
            self._sent[key] += len(to)
        except KeyError:
            self._sent[key] = len(to)
            self._sizes[key] = _size(message)
        self._post(sender, to, message)

    def _post(self, sender: Atom, to: tuple[Atom, ...], message: Message) -> None:
        shortest, longest = self._latency
        if shortest == longest:
            self._ring[self.now + shortest & (_RING - 1)].append((to, sender, message))
            self._pending += 1
            return
        span = longest - shortest + 1
        for name in to:
            at = self.now + shortest + int(self.random.random() * span)
            self._ring[at & (_RING - 1)].append(((name,), sender, message))
            self._pending += 1

    def _check(self, node: Node, peers: tuple[Atom, ...]) -> None:
        for name in peers:
            if not _named(name).node.alive:
                self._lose(node, name)

    def _lose(self, node: Node, peer: Atom) -> None:
        """Let a node notice, after as long as a message takes, that another is gone."""
        self._schedule(self.now + self._latency[0], (node, peer, None))

    def _schedule(self, at: int, entry: tuple[Any, ...]) -> None:
        self._pending += 1
        if at - self.now < _RING:
            self._ring[at & (_RING - 1)].append(entry)
        else:
            self._far.setdefault(at, []).append(entry)

    # --- figures ---

    def sent(self) -> dict[str, tuple[int, int]]:
        """Return messages and bytes sent so far, by the kind of message, in order of the names."""
        totals: dict[str, tuple[int, int]] = {}
        for kind, count in self._tree_sent.items():
            if count:
                totals[kind.__name__] = (count, count * _TREE[kind])
        for (kind, length), count in self._sent.items():
            messages, size = totals.get(kind.__name__, (0, 0))
            more = count * self._sizes[kind, length]
            totals[kind.__name__] = (messages + count, size + more)
        return dict(sorted(totals.items()))


def _named(name: Atom) -> Name:
    assert isinstance(name, Name)
    return name
