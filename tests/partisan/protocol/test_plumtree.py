# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import random
from collections import deque
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heliograph.partisan.protocol.broadcasting import BroadcastHandler, MessageCache
from heliograph.partisan.protocol.overlay.interface import Dropped
from heliograph.partisan.protocol.plumtree import Plumtree, PlumtreeConfig, Push, TreeEffect, Wake
from heliograph.partisan.wire import Atom, Term
from heliograph.partisan.wire.messages import (
    UNDEFINED,
    Broadcast,
    Graft,
    IgnoredIHave,
    IHave,
    Message,
    Ping,
    Prune,
)

SECOND = 1_000_000_000
A, B, C, D = (Atom(each) for each in "abcd")
MODULE = Atom("module")


class Cache(MessageCache):
    """Names its messages by its node and a number."""

    def __init__(self, node: Atom, **options: Any) -> None:
        self.delivered: list[Term] = []
        self.count = 0
        self.node = node
        super().__init__(self.delivered.append, self._new, **options)

    def _new(self) -> Term:
        self.count += 1
        return (self.node, self.count)


class Broken(BroadcastHandler):
    """Fails in all it does."""

    def broadcast_data(self, broadcast: Any) -> tuple[Term, Term]:
        raise ZeroDivisionError

    def merge(self, message_id: Term, payload: Term) -> bool:
        raise ZeroDivisionError

    def is_stale(self, message_id: Term) -> bool:
        raise ZeroDivisionError

    def graft(self, message_id: Term) -> Term:
        raise ZeroDivisionError

    def exchange(self, peer: Atom) -> Iterable[Term]:
        raise ZeroDivisionError


def node(*neighbors: Atom, name: Atom = A, cache: Cache | None = None, **options: Any) -> Plumtree:
    handler = cache if cache is not None else Cache(name)
    tree = Plumtree(
        name, {MODULE: handler}, random=random.Random(1), config=PlumtreeConfig(**options)
    )
    for each in neighbors:
        assert tree.neighbor_up(each, 0) == []
    return tree


def pushes(effects: Iterable[TreeEffect]) -> list[tuple[tuple[Atom, ...], str]]:
    return [(each.to, type(each.message).__name__) for each in effects if isinstance(each, Push)]


def broadcast(
    message_id: Term = 1, round_: int = 0, root: Atom = B, sender: Atom = B, payload: Term = b"x"
) -> Broadcast:
    return Broadcast(message_id, payload, MODULE, round_, root, sender)


# --- pushing ---


def test_a_message_is_pushed_to_all_neighbors_at_first() -> None:
    tree = node(B, C)

    effects = tree.broadcast(MODULE, b"hello", 0)

    message = Broadcast((A, 1), b"hello", MODULE, 0, A, A)
    assert effects == [Push((B, C), message, UNDEFINED)]


def test_who_is_alone_pushes_to_nobody() -> None:
    assert node().broadcast(MODULE, b"hello", 0) == []


def test_what_no_handler_is_registered_for_cannot_be_broadcast() -> None:
    with pytest.raises(KeyError):
        node(B).broadcast(Atom("other"), b"hello", 0)


def test_a_new_message_is_delivered_and_pushed_on_with_one_hop_more() -> None:
    cache = Cache(A)
    tree = node(B, C, D, cache=cache)

    (push,) = tree.received(B, broadcast(round_=3), 0)

    assert push == Push((C, D), broadcast(round_=4, sender=A), UNDEFINED)
    assert cache.delivered == [b"x"]
    assert tree.statistics.delivered == 1


def test_messages_go_by_the_channel_of_their_handler() -> None:
    cache = Cache(A, channel=Atom("gossip"))

    (push,) = node(B, cache=cache).broadcast(MODULE, b"x", 0)

    assert isinstance(push, Push)
    assert push.channel == "gossip"


def test_who_sends_what_is_known_is_pruned() -> None:
    tree = node(B, C, D)
    tree.received(B, broadcast(), 0)

    (push,) = tree.received(C, broadcast(round_=1, sender=C), 0)

    assert push == Push((C,), Prune(B, A), UNDEFINED)
    assert (tree.eager(B), tree.lazy(B)) == ((B, D), (C,))
    assert (tree.eager(A), tree.lazy(A)) == ((B, C, D), ())
    assert tree.roots == (B,)
    assert (tree.statistics.prunes, tree.statistics.duplicates) == (1, 1)


def test_who_was_pruned_pushes_no_more_but_announces() -> None:
    tree = node(B, C)
    tree.received(C, Prune(A, C), 0)

    push, wake = tree.broadcast(MODULE, b"x", 5)
    ticked = tree.lazy_tick(5 + SECOND)

    assert pushes([push]) == [((B,), "Broadcast")]
    assert wake == Wake(5 + SECOND)
    assert ticked == [
        Push((C,), IHave((A, 1), MODULE, 0, A, A), UNDEFINED),
        Wake(5 + 2 * SECOND),
    ]
    assert tree.outstanding == 1


def test_an_announcement_is_repeated_until_it_is_answered() -> None:
    tree = node(B, C)
    for lazy in (B, C):
        tree.received(lazy, Prune(A, lazy), 0)
    tree.broadcast(MODULE, b"x", 0)

    assert pushes(tree.lazy_tick(SECOND)) == [((B, C), "IHave")]
    tree.received(B, IgnoredIHave((A, 1), MODULE, 0, A, B), SECOND)
    assert pushes(tree.lazy_tick(2 * SECOND)) == [((C,), "IHave")]
    tree.received(C, IgnoredIHave((A, 1), MODULE, 0, A, C), SECOND)
    assert tree.lazy_tick(3 * SECOND) == []
    assert tree.received(C, IgnoredIHave((A, 1), MODULE, 0, A, C), SECOND) == []


def test_one_timer_serves_all_announcements() -> None:
    tree = node(B, C)
    tree.received(B, Prune(A, B), 0)

    wakes = [each for _ in range(3) for each in tree.broadcast(MODULE, b"x", 0)]

    assert len([each for each in wakes if isinstance(each, Wake)]) == 1


# --- grafting ---


def i_have(sender: Atom, message_id: Term = 1, round_: int = 1, root: Atom = B) -> IHave:
    return IHave(message_id, MODULE, round_, root, sender)


def test_what_is_known_is_ignored() -> None:
    tree = node(B, C)
    tree.received(B, broadcast(), 0)

    assert tree.received(C, i_have(C), 0) == [
        Push((C,), IgnoredIHave(1, MODULE, 1, B, A), UNDEFINED)
    ]


def test_what_is_missing_is_grafted() -> None:
    tree = node(B, C)
    tree.received(C, Prune(B, C), 0)

    (push,) = tree.received(C, i_have(C), 0)

    assert push == Push((C,), Graft(1, MODULE, 1, B, A), UNDEFINED)
    assert tree.lazy(B) == ()
    assert tree.statistics.grafts == 1


def test_it_is_grafted_from_one_at_a_time() -> None:
    tree = node(B, C, D)
    tree.received(C, i_have(C), 0)

    assert tree.received(D, i_have(D), SECOND // 2) == []
    assert pushes(tree.received(D, i_have(D), SECOND)) == [((D,), "Graft")]


def test_it_is_grafted_from_another_once_the_first_is_gone() -> None:
    tree = node(B, C, D)
    tree.received(C, i_have(C), 0)
    tree.neighbor_down(C)

    assert pushes(tree.received(D, i_have(D), 1)) == [((D,), "Graft")]


def test_who_grafts_gets_the_message_and_is_eager() -> None:
    tree = node(B, C)
    tree.received(B, broadcast(), 0)
    tree.received(C, Prune(B, C), 0)

    (push,) = tree.received(C, Graft(1, MODULE, 1, B, C), 0)

    assert push == Push((C,), broadcast(round_=1, sender=A), UNDEFINED)
    assert C in tree.eager(B)


def test_what_was_forgotten_cannot_be_grafted_and_is_announced_no_more() -> None:
    cache = Cache(A, limit=1)
    tree = node(B, cache=cache)
    tree.received(B, Prune(A, B), 0)
    for payload in (b"x", b"y"):
        tree.broadcast(MODULE, payload, 0)

    assert tree.received(B, Graft((A, 1), MODULE, 0, A, B), 0) == []
    assert tree.outstanding == 1
    assert tree.statistics.failed == 0
    assert len(cache) == 1


# --- shorter ways ---


def test_a_much_shorter_way_is_taken() -> None:
    tree = node(B, C, threshold=3)
    tree.received(C, Prune(D, C), 0)
    tree.received(B, broadcast(round_=5, root=D), 0)

    effects = tree.received(C, i_have(C, round_=2, root=D), 0)
    again = tree.received(C, broadcast(round_=2, root=D, sender=C), 0)

    assert pushes(effects) == [((C,), "IgnoredIHave"), ((C,), "Graft"), ((B,), "Prune")]
    assert (tree.eager(D), tree.lazy(D)) == ((C,), (B,))
    assert again == []
    assert tree.statistics.optimizations == 1


@pytest.mark.parametrize(
    ("threshold", "round_", "sender", "root"),
    [(None, 2, C, D), (3, 3, C, D), (3, 2, B, D), (3, 2, C, C)],
    ids=["never", "hardly", "same way", "eager"],
)
def test_other_ways_are_left_alone(
    threshold: int | None, round_: int, sender: Atom, root: Atom
) -> None:
    tree = node(B, C, threshold=threshold)
    tree.received(C, Prune(D, C), 0)
    tree.received(B, broadcast(round_=5, root=root), 0)

    effects = tree.received(sender, i_have(sender, round_=round_, root=root), 0)

    assert pushes(effects) == [((sender,), "IgnoredIHave")]


def test_the_way_of_ones_own_messages_is_the_shortest() -> None:
    tree = node(B, threshold=0)
    tree.received(B, Prune(A, B), 0)
    tree.broadcast(MODULE, b"x", 0)

    effects = tree.received(B, IHave((A, 1), MODULE, 0, A, B), 0)

    assert pushes(effects) == [((B,), "IgnoredIHave")]


# --- neighbors ---


def test_a_new_neighbor_is_eager_in_all_trees_and_leaves_them_alone() -> None:
    tree = node(B, C)
    tree.received(C, Prune(B, C), 0)

    tree.neighbor_up(D, 0)

    assert (tree.eager(B), tree.lazy(B)) == ((B, D), (C,))
    assert tree.neighbor_up(D, 0) == []
    assert tree.neighbor_up(A, 0) == []
    assert tree.neighbors == (B, C, D)


def test_a_new_neighbor_is_told_of_what_it_may_have_missed() -> None:
    tree = node(B, cache=Cache(A, exchanged=2))
    tree.received(B, broadcast(7, round_=2, root=D), 0)
    tree.broadcast(MODULE, b"y", 0)

    wake, *more = tree.neighbor_up(C, 0)
    ticked = tree.lazy_tick(SECOND)

    assert (wake, more) == (Wake(SECOND), [])
    assert [each.message for each in ticked if isinstance(each, Push)] == [
        IHave(7, MODULE, 3, D, A),
        IHave((A, 1), MODULE, 0, A, A),
    ]


def test_a_neighbor_that_is_gone_is_in_no_tree_and_told_nothing() -> None:
    tree = node(B, C)
    tree.received(C, Prune(A, C), 0)
    tree.broadcast(MODULE, b"x", 0)

    tree.neighbor_down(C)
    tree.neighbor_down(C)

    assert (tree.eager(A), tree.lazy(A)) == ((B,), ())
    assert tree.lazy_tick(SECOND) == []


def test_handlers_exchange_with_a_neighbor_now_and_then() -> None:
    tree = node(B)
    tree.received(B, broadcast(), 0)
    tree.broadcast(MODULE, b"y", 0)

    tree.exchange_tick(0)

    # What came from the neighbor need not be announced to it.
    assert pushes(tree.lazy_tick(SECOND)) == [((B,), "IHave")]
    assert node().exchange_tick(0) == []


def test_what_is_announced_already_is_announced_to_one_more() -> None:
    tree = node(B, C)
    tree.received(B, Prune(A, B), 0)
    tree.broadcast(MODULE, b"x", 0)

    tree.neighbor_up(D, 0)
    tree.neighbor_down(D)
    tree.neighbor_up(D, 0)

    assert pushes(tree.lazy_tick(SECOND)) == [((B, D), "IHave")]


def test_strangers_do_not_get_into_a_tree() -> None:
    tree = node(B)

    tree.received(D, Prune(A, D), 0)
    tree.received(D, broadcast(root=D, sender=D), 0)

    assert (tree.eager(A), tree.lazy(A), tree.roots) == ((B,), (), ())


def test_strangers_may_graft_but_stay_strangers() -> None:
    tree = node(B)
    tree.received(B, broadcast(), 0)

    assert pushes(tree.received(D, Graft(1, MODULE, 1, B, D), 0)) == [((D,), "Broadcast")]
    assert tree.eager(B) == (B,)


def test_a_shared_tree_is_one_for_all_roots() -> None:
    tree = node(B, C, shared=True)

    tree.received(C, Prune(B, C), 0)

    assert tree.lazy(A) == tree.lazy(D) == (C,)


# --- bounds, and hostile and useless input ---


def test_announcements_are_bounded() -> None:
    tree = node(B, announcements=2)
    tree.received(B, Prune(A, B), 0)

    for _ in range(5):
        tree.broadcast(MODULE, b"x", 0)

    assert tree.outstanding == 2
    assert tree.statistics.dropped == 3


def test_trees_and_memory_are_bounded() -> None:
    tree = node(B, trees=2, memory=3)
    for number in range(10):
        tree.received(B, Prune(Atom(f"r{number}"), B), 0)
        tree.received(B, broadcast(number), 0)
        tree.received(B, i_have(B, 100 + number), 0)

    assert tree.roots == ("r8", "r9")
    assert len(tree._ways) == len(tree._grafted) == 3


def test_ids_may_be_any_term() -> None:
    tree = node(B)
    for message_id in ([1], {b"k": 1}, 1, 1.0, True, Atom("x"), b"x"):
        tree.received(B, broadcast(message_id), 0)

    assert tree.statistics.delivered == 7


def test_messages_of_others_names_are_dropped() -> None:
    tree = node(B, C)

    assert tree.received(B, Prune(A, C), 0) == [Dropped(B, "prune", "forged")]
    assert tree.statistics.forged == 1
    assert tree.lazy(A) == ()
    tree.received(None, Prune(A, C), 0)
    assert tree.lazy(A) == (C,)


@pytest.mark.parametrize(
    "message",
    [
        Broadcast(1, b"x", Atom("other"), 0, B, B),
        Graft(1, Atom("other"), 0, B, B),
        Ping(B, 1, 2),
    ],
    ids=["module", "graft", "kind"],
)
def test_what_nobody_can_use_is_dropped(message: Message) -> None:
    tree = node(B)

    (dropped,) = tree.received(None, message, 0)

    assert isinstance(dropped, Dropped)
    assert dropped.reason == "unknown"
    assert tree.statistics.unknown == 1


@pytest.mark.parametrize("hops", [-1, -(1 << 70), 65_537, 1 << 70])
@pytest.mark.parametrize("kind", [Broadcast, IHave, Graft])
def test_what_came_by_an_impossible_number_of_hops_is_dropped(kind: type, hops: int) -> None:
    tree = node(B, C)
    tree.received(C, broadcast(1, sender=C), 0)
    message = broadcast(2, round_=hops) if kind is Broadcast else kind(1, MODULE, hops, B, B)

    (dropped,) = tree.received(B, message, 0)

    assert isinstance(dropped, Dropped)
    assert (dropped.peer, dropped.reason) == (B, "malformed")
    assert tree.statistics.malformed == 1
    assert tree.statistics.optimizations == 0


def test_nothing_is_announced_to_who_has_announced_it() -> None:
    tree = node(B, C)
    tree.received(B, Prune(B, B), 0)
    tree.received(C, Prune(B, C), 0)
    tree.received(B, broadcast(1), 0)
    assert tree.outstanding == 1

    early = tree.received(C, i_have(C, 1), 0)

    assert pushes(early) == [((C,), "IgnoredIHave")]  # it could not know
    assert tree.outstanding == 0


def test_announcements_that_cross_are_each_others_answer() -> None:
    tree = node(B, C)
    tree.received(C, Prune(B, C), 0)
    tree.received(B, broadcast(1), 0)
    tree.lazy_tick(SECOND)

    assert tree.received(C, i_have(C, 1), SECOND) == []
    assert tree.outstanding == 0
    assert pushes(tree.received(C, i_have(C, 1), SECOND)) == [((C,), "IgnoredIHave")]


def test_all_are_announced_and_answered_as_the_original_does_it_by_option() -> None:
    tree = node(B, C, frugal=False)
    tree.received(C, Prune(B, C), 0)
    tree.received(B, broadcast(1), 0)
    tree.lazy_tick(SECOND)

    assert pushes(tree.received(C, i_have(C, 1), SECOND)) == [((C,), "IgnoredIHave")]
    tree.received(C, broadcast(1, sender=C), SECOND)
    assert tree.outstanding == 1


def test_what_nobody_can_use_is_not_announced_for_ever() -> None:
    tree = node(B)

    effects = tree.received(B, IHave(1, Atom("other"), 0, B, B), 0)

    assert pushes(effects) == [((B,), "IgnoredIHave")]
    assert effects[1:] == [Dropped(B, "i_have", "unknown")]


def test_a_handler_that_fails_does_not_stop_the_tree() -> None:
    tree = Plumtree(A, {MODULE: Broken()}, random=random.Random(1))
    tree.neighbor_up(B, 0)

    assert pushes(tree.received(B, broadcast(), 0)) == [((B,), "Prune")]
    assert pushes(tree.received(B, i_have(B), 0)) == [((B,), "IgnoredIHave")]
    assert tree.received(B, Graft(1, MODULE, 0, B, B), 0) == []
    assert tree.exchange_tick(0) == []
    assert tree.statistics.failed == 5
    with pytest.raises(ZeroDivisionError):
        tree.broadcast(MODULE, b"x", 0)


def test_a_handler_that_has_nothing_to_exchange_need_not_say_so() -> None:
    assert list(BroadcastHandler.exchange(Broken(), B)) == []


# --- many nodes ---


class Net:
    """Trees over a graph, with messages that take one step each, and some of which get lost."""

    def __init__(self, count: int, seed: int, **options: Any) -> None:
        self.random = random.Random(seed)
        self.caches = {Atom(f"n{each}"): Cache(Atom(f"n{each}")) for each in range(count)}
        self.trees = {
            name: node(name=name, cache=cache, **options) for name, cache in self.caches.items()
        }
        self.queue: deque[tuple[Atom, Atom, Message]] = deque()
        self.wakes: set[Atom] = set()
        self.loss = 0.0
        self.now = 0
        names = list(self.trees)
        for at, name in enumerate(names):
            self.link(name, names[at - 1])
            self.link(name, self.random.choice(names))
            self.link(name, self.random.choice(names))

    def link(self, one: Atom, other: Atom) -> None:
        for name, peer in ((one, other), (other, one)):
            self.take(name, self.trees[name].neighbor_up(peer, self.now))

    def take(self, name: Atom, effects: Iterable[TreeEffect]) -> None:
        for effect in effects:
            if isinstance(effect, Wake):
                self.wakes.add(name)
            elif isinstance(effect, Push):
                self.queue.extend((name, to, effect.message) for to in effect.to)

    def settle(self, ticks: int = 1) -> None:
        for _ in range(ticks):
            while self.queue:
                sender, to, message = self.queue.popleft()
                if self.random.random() >= self.loss:
                    self.take(to, self.trees[to].received(sender, message, self.now))
            self.now += SECOND
            wakes, self.wakes = sorted(self.wakes), set()
            for name in wakes:
                self.take(name, self.trees[name].lazy_tick(self.now))

    def broadcast(self, name: Atom, payload: Term) -> int:
        """Broadcast, and return how many payloads that took."""
        before = sum(
            tree.statistics.delivered + tree.statistics.duplicates for tree in self.trees.values()
        )
        self.take(name, self.trees[name].broadcast(MODULE, payload, self.now))
        self.settle(3)
        return (
            sum(
                tree.statistics.delivered + tree.statistics.duplicates
                for tree in self.trees.values()
            )
            - before
        )


def test_after_the_first_broadcast_each_node_gets_each_message_once() -> None:
    net = Net(30, 1)
    root = Atom("n0")

    first = net.broadcast(root, b"1")
    second = net.broadcast(root, b"2")

    assert first > 40
    assert second == 29
    assert all(
        cache.delivered == [b"1", b"2"] for name, cache in net.caches.items() if name != root
    )


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000), loss=st.floats(0, 0.4), shared=st.booleans())
def test_whatever_is_lost_everybody_gets_everything_once(
    seed: int, loss: float, shared: bool
) -> None:
    net = Net(12, seed, shared=shared, threshold=2)
    net.loss = loss
    names = list(net.trees)
    sent: list[tuple[Atom, bytes]] = []
    for number in range(6):
        sender = net.random.choice(names)
        payload = b"%d" % number
        net.broadcast(sender, payload)
        sent.append((sender, payload))
    net.loss = 0
    for name in names:  # what was lost where the tree has a branch is found by exchanges
        for peer in net.trees[name].neighbors:
            net.take(name, net.trees[name]._exchange(peer, net.now))
    net.settle(20)

    for name, cache in net.caches.items():
        expected = sorted([payload for sender, payload in sent if sender != name])
        assert sorted(cache.delivered) == expected  # type: ignore[type-var]
    assert all(tree.outstanding == 0 for tree in net.trees.values())
