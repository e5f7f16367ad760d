# SPDX-License-Identifier: Apache-2.0
"""Whatever peers say, in any order: nothing is raised, and everything stays within its bounds."""

from __future__ import annotations

import random
from dataclasses import fields
from typing import Any, cast

from hypothesis import given, settings
from hypothesis import strategies as st

from heliograph.partisan.protocol.broadcasting import MessageCache
from heliograph.partisan.protocol.overlay import interface as on
from heliograph.partisan.protocol.overlay.hyparview import HyParView
from heliograph.partisan.protocol.overlay.scamp import ScampConfig, ScampV1, ScampV2
from heliograph.partisan.protocol.overlay.settings import HyParViewConfig
from heliograph.partisan.protocol.overlay.star import ClientServer, Static
from heliograph.partisan.protocol.overlay.xbot import XBotConfig
from heliograph.partisan.protocol.plumtree import Plumtree, PlumtreeConfig
from heliograph.partisan.wire import Atom, messages
from heliograph.partisan.wire.messages import Disconnection, Message
from tests.partisan.protocol.overlay.pool import spec

ME = spec(0)
PEOPLE = [spec(number) for number in range(12)]
MODULE = Atom("module")

peers = st.sampled_from(PEOPLE)
numbers = st.integers(-2, 8) | st.sampled_from([-(1 << 70), 64, 65, 1 << 40, 1 << 70])
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "Atom": st.sampled_from([each.name for each in PEOPLE] + [MODULE, Atom("high"), Atom("low")]),
    "int": numbers,
    "NodeSpec": peers,
    "NodeSpec | None": peers | st.none(),
    "tuple[NodeSpec, ...]": st.lists(peers, max_size=20).map(tuple)
    | st.just((spec(3),) * 5_000)
    | st.just(tuple(spec(number) for number in range(100, 160))),
    "Disconnection": st.builds(Disconnection, numbers, numbers),
    "Term": st.sampled_from([1, b"x", True, False, Atom("undefined"), (), [1]]),
}
KINDS = [
    getattr(messages, name)
    for name in [
        "Join",
        "ForwardJoin",
        "Neighbor",
        "NeighborRequest",
        "NeighborAccepted",
        "NeighborRejected",
        "NeighborRejectedPlainly",
        "Disconnect",
        "Shuffle",
        "ShuffleReply",
        "Optimization",
        "OptimizationReply",
        "Replace",
        "ReplaceReply",
        "Switch",
        "SwitchReply",
        "ForwardSubscription",
        "KeepSubscription",
        "ScampPing",
        "RemoveSubscription",
        "ReplaceSubscription",
        "BootstrapRemoveSubscription",
        "Broadcast",
        "Prune",
        "IHave",
        "IgnoredIHave",
        "Graft",
    ]
]
message: st.SearchStrategy[Message] = st.one_of(
    [
        st.builds(kind, *[VALUES[str(each.type)] for each in fields(cast("Any", kind))])
        for kind in KINDS
    ]
)
happened = st.one_of(
    st.builds(on.Received, st.none() | VALUES["Atom"], message),
    st.builds(on.Received, st.none(), message),
    st.builds(on.Lost, VALUES["Atom"], st.sampled_from(["failure", "closed"])),
    st.builds(on.Fired, st.sampled_from(["shuffle", "promotion", "probe", "xbot", "periodic"])),
    st.builds(on.Join, peers),
    st.just(on.Leave()),
)


def check(overlay: on.Overlay, inputs: list[on.Input], most: int) -> None:
    neighbors: set[Atom] = set()
    for at, each in enumerate(inputs):
        for effect in overlay.handle(each, at * 100_000_000):
            if isinstance(effect, on.NeighborUp):
                assert effect.spec.name not in neighbors
                neighbors.add(effect.spec.name)
            elif isinstance(effect, on.NeighborDown):
                neighbors.remove(effect.spec.name)
    assert neighbors == set(overlay.neighbors)
    assert len(neighbors) <= most
    assert ME.name not in neighbors


@settings(max_examples=150, deadline=None)
@given(st.lists(happened, max_size=40), st.integers(0, 99))
def test_partial_views_bear_whatever_peers_say(inputs: list[on.Input], seed: int) -> None:
    config = HyParViewConfig(active=3, passive=6, xbot=XBotConfig(), disconnections=8, denied=4)
    overlay = HyParView(
        ME, random=random.Random(seed), config=config, distance=lambda spec: len(spec.name) % 3
    )

    check(overlay, inputs, 3)

    assert len(overlay.passive) <= 6
    assert not overlay.passive.keys() & {*overlay.neighbors, ME.name}


@settings(max_examples=60, deadline=None)
@given(st.lists(happened, max_size=40), st.integers(0, 99))
def test_other_overlays_do_so_too(inputs: list[on.Input], seed: int) -> None:
    for kind in (ScampV1, ScampV2):
        scamp = kind(ME, random=random.Random(seed), config=ScampConfig(view=5))
        check(scamp, inputs, 12)
    check(Static(ME, PEOPLE), inputs, 12)
    check(ClientServer(ME, "server"), inputs, 12)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.none() | VALUES["Atom"], message), max_size=60), st.booleans())
def test_trees_bear_whatever_peers_say(heard: list[tuple[Atom | None, Message]], new: bool) -> None:
    delivered: list[object] = []
    ids = iter(range(10_000))
    cache = MessageCache(delivered.append, lambda: next(ids), limit=8)
    config = PlumtreeConfig(trees=3, announcements=4, memory=4)
    tree = Plumtree(ME.name, {MODULE: cache}, random=random.Random(1), config=config)
    for each in PEOPLE[: 4 if new else 12]:
        tree.neighbor_up(each.name, 0)
    for at, (peer, said) in enumerate(heard):
        tree.received(peer, said, at)
        tree.lazy_tick(at)
    for each in PEOPLE:
        tree.neighbor_down(each.name)

    assert len(tree.roots) <= 3
    assert tree.outstanding == 0
    assert len(cache) <= 8
