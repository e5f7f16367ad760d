# SPDX-License-Identifier: Apache-2.0
"""A node's part in broadcasts and relays, whatever chooses its neighbors."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from heliograph.partisan import NotConnectedError
from heliograph.partisan.protocol import ProtocolConfig, inputs
from heliograph.partisan.protocol.broadcasting import Heartbeats, MessageCache
from heliograph.partisan.protocol.counting import Tally
from heliograph.partisan.protocol.effects import (
    Deliver,
    Dropped,
    Effect,
    Grafted,
    Mismatched,
    Pruned,
    SetTimer,
    Write,
    WriteAll,
)
from heliograph.partisan.protocol.identity import new_epoch, new_identity, read_epoch
from heliograph.partisan.protocol.inputs import TimerKey
from heliograph.partisan.protocol.plumtree import PlumtreeConfig, PlumtreeStatistics
from heliograph.partisan.protocol.states import manager_of, other_channels, run_of
from heliograph.partisan.protocol.trees import Trees
from heliograph.partisan.wire import Atom, ChannelSpec, NodeSpec
from heliograph.partisan.wire.messages import (
    UNDEFINED,
    Broadcast,
    Forward,
    Graft,
    IHave,
    Padded,
    Prune,
    RawRelay,
    Relay,
)
from tests.partisan.protocol.playing import N1, N2, N3, S1, S2, SINK, Play, members, of, state

BOTH = members(S1, S2)
NEWS = Atom("news")
SECOND = 1_000_000_000


class Part:
    """One node's part, with connections 2 and 3 to two neighbors."""

    def __init__(self, config: ProtocolConfig | None = None) -> None:
        self.routes = {N2: (2,), N3: (3,)}
        self.ours = {N2, N3}
        self.got: list[object] = []
        self.trees = Trees(
            N1,
            random=random.Random(0),
            config=ProtocolConfig() if config is None else config,
            route=lambda peer, _: self.routes.get(peer, ()),
            passes_on=lambda peer: peer in self.ours,
            is_ours=lambda peer: peer in self.ours,
        )
        ids = iter(range(100))
        self.trees.add(NEWS, MessageCache(self.got.append, lambda: next(ids)), 0)

    def reached(self) -> list[Effect]:
        return [*self.trees.reached(N2, 0), *self.trees.reached(N3, 0)]


class TestBroadcasts:
    def test_a_broadcast_is_written_to_all_at_once(self) -> None:
        part = Part()
        part.reached()
        [effect] = part.trees.broadcast(NEWS, b"x", 0)

        assert effect == WriteAll((2, 3), Broadcast(0, b"x", NEWS, 0, N1, N1))

    def test_nobody_is_written_to_without_a_connection(self) -> None:
        part = Part()
        part.reached()
        part.routes.clear()

        assert part.trees.broadcast(NEWS, b"x", 0) == []

    def test_exchanges_begin_with_the_first_neighbor_and_end_with_the_last(self) -> None:
        part = Part()
        assert part.reached() == [SetTimer(TimerKey("exchange"), 10 * SECOND)]
        part.trees.broadcast(NEWS, b"x", 0)
        effects = part.trees.fired(TimerKey("exchange"), 0)
        assert SetTimer(TimerKey("exchange"), 10 * SECOND) in effects
        part.trees.lost(N2)
        part.trees.lost(N3)

        assert part.trees.fired(TimerKey("exchange"), 0) == []

    def test_what_is_known_is_pruned_and_what_is_missing_grafted(self) -> None:
        part = Part()
        part.reached()
        message = Broadcast(7, b"x", NEWS, 0, N2, N2)
        part.trees.received(N2, message, UNDEFINED, 0)
        assert part.got == [b"x"]
        again = replace(message, sender=N3)
        effects = part.trees.received(N3, again, UNDEFINED, 0)
        assert effects == [WriteAll((3,), Prune(N2, N1)), Pruned(N3, N2)]
        effects = part.trees.received(N3, IHave(8, NEWS, 0, N2, N3), UNDEFINED, 0)

        assert effects == [WriteAll((3,), Graft(8, NEWS, 0, N2, N1)), Grafted(N3, N2)]

    def test_who_does_not_keep_up_is_told_instead(self) -> None:
        part = Part()
        part.reached()
        part.trees.congested = lambda number: number == 3
        assert part.trees.broadcast(NEWS, b"x", 0) == [
            SetTimer(TimerKey("lazy"), SECOND),
            WriteAll((2,), Broadcast(0, b"x", NEWS, 0, N1, N1)),
        ]
        assert part.trees.fired(TimerKey("lazy"), SECOND) == [
            SetTimer(TimerKey("lazy"), 2 * SECOND)
        ]
        part.trees.congested = lambda _: False
        announced = WriteAll((3,), IHave(0, NEWS, 0, N1, N1))
        assert announced in part.trees.fired(TimerKey("lazy"), 2 * SECOND)
        part.trees.congested = lambda _: True
        part.trees.received(N2, Broadcast(7, b"y", NEWS, 0, N2, N2), UNDEFINED, 0)
        effects = part.trees.received(N3, Broadcast(7, b"y", NEWS, 0, N2, N3), UNDEFINED, 0)

        assert effects == [WriteAll((3,), Prune(N2, N1)), Pruned(N3, N2)]  # it is short

    def test_broadcasts_of_unknown_handlers_are_passed_on(self) -> None:
        part = Part()
        part.reached()
        other = Atom("other")
        message = Broadcast(7, b"x", other, 0, N2, N2)
        effects = part.trees.received(N2, message, Atom("data"), 0)
        assert effects == [WriteAll((3,), Broadcast(7, b"x", other, 1, N2, N1))]
        assert part.trees.plumtree.handlers[other].channel == "data"
        assert part.got == []
        with pytest.raises(LookupError, match="lacks"):
            part.trees.broadcast(other, b"x", 0)
        for number in range(40):
            each = replace(message, module=Atom(f"m{number}"))
            effects = part.trees.received(N2, each, UNDEFINED, 0)

        assert of(Dropped, effects)
        assert len(part.trees.plumtree.handlers) == 1 + 32

    def test_what_comes_to_nothing_is_told(self) -> None:
        part = Part(ProtocolConfig(broadcast=PlumtreeConfig(announcements=1)))
        part.reached()
        for number in range(2):
            part.trees.received(N2, Broadcast(number, b"", NEWS, 0, N2, N2), UNDEFINED, 0)
            part.trees.received(N3, Broadcast(number, b"", NEWS, 0, N2, N3), UNDEFINED, 0)
        effects = part.trees.received(N2, Broadcast(9, b"", NEWS, 0, N2, N2), UNDEFINED, 0)
        effects += part.trees.received(N2, Broadcast(10, b"", NEWS, 0, N2, N2), UNDEFINED, 0)
        assert Dropped("broadcast", "dropped", 1, N2) in effects
        effects = part.trees.received(N2, Prune(N2, N3), UNDEFINED, 0)

        assert [(each.reason, each.peer) for each in of(Dropped, effects)] == [("forged", N2)]


class TestRelays:
    def test_a_message_goes_to_those_who_pass_it_on(self) -> None:
        part = Part()
        part.reached()
        part.ours = {N3}
        [effect] = part.trees.relay(Atom("n9"), SINK, 1, 4, 0)
        assert isinstance(effect, WriteAll)
        assert effect.connections == (3,)
        assert isinstance(effect.message, Relay)
        part.trees.raw = True
        [effect] = part.trees.relay(Atom("n9"), SINK, 2, 4, 0)
        assert isinstance(effect, WriteAll)
        assert isinstance(effect.message, RawRelay)
        part.routes.clear()
        assert part.trees.relay(Atom("n9"), SINK, 3, 4, 0) == []
        part.ours = set()

        with pytest.raises(NotConnectedError, match="pass a message on"):
            part.trees.relay(Atom("n9"), SINK, 1, 4, 0)

    def test_it_is_delivered_or_sent_to_who_is_connected(self) -> None:
        part = Part()
        part.reached()
        inner = Forward(SINK, 1)
        relay = Relay(N1, inner.term(), 3)
        assert part.trees.relayed(N2, relay, {N2}, 0) == [Deliver(SINK, 1, None)]
        assert part.trees.relayed(N3, relay, {N2}, 0) == []
        relay = Relay(N3, inner.term(), 3)
        assert part.trees.relayed(N2, relay, {N3}, 0) == [Write(3, replace(relay, ttl=0))]
        part.ours = set()
        relay = Relay(N3, Forward(SINK, 2).term(), 3)
        assert part.trees.relayed(N2, relay, {N3}, 0) == [Write(3, Forward(SINK, 2))]
        padded = Forward(SINK, Padded(b"8 bytes.", 2).term()).term()
        relay = Relay(N3, padded, 3)
        assert part.trees.relayed(N2, relay, {N3}, 0) == [Write(3, Forward(SINK, 2))]
        part.routes.clear()
        relay = Relay(N3, Forward(SINK, 3).term(), 3)
        assert part.trees.relayed(N2, relay, {N3}, 0) == []

    def test_nonsense_is_told(self) -> None:
        part = Part()

        assert part.trees.relayed(N2, Relay(N1, 1, 3), {N2}, 0) == [
            Dropped("relay", "malformed", 1, N2)
        ]
        assert part.trees.relayed(N2, Relay(N1, 2, -3), {N2}, 0) == [
            Dropped("relay", "malformed", 1, N2)
        ]


class TestOfAMesh:
    def test_members_that_are_connected_are_neighbors(self) -> None:
        node = Play(known=BOTH)
        node.do(inputs.AddHandler(NEWS, MessageCache(lambda _: None, lambda: 1)))
        assert node.core.specs()
        assert node.core.is_member(N2)
        assert not node.core.joined(N2)
        number = node.connect(N2)
        assert node.core.joined(N2)
        assert node.core.passes_on(N2)
        message = Broadcast(1, b"x", NEWS, 0, N1, N1)
        assert node.do(inputs.Broadcast(NEWS, b"x")) == [WriteAll((number,), message)]
        incoming = node.accept(N2)
        effects = node.hear(incoming, Prune(N1, N2))
        assert effects == []
        assert node.core.trees.plumtree.lazy(N1) == (N2,)
        node.fire("exchange")
        node.fire("lazy")
        effects = node.hear(incoming, Relay(N1, Forward(SINK, 1).term(), 1))
        assert effects == [Deliver(SINK, 1, None)]
        with pytest.raises(NotConnectedError):
            node.do(inputs.Relay(N3, SINK, 1))
        node.do(inputs.Disconnected(number, "failure"))
        assert node.core.trees.plumtree.neighbors == ()
        with pytest.raises(KeyError):
            node.do(inputs.Broadcast(Atom("nobody"), 1))

    def test_another_manager_is_told_apart_from_nonsense(self) -> None:
        node = Play(known=BOTH)
        node.connect(N2, known=(Atom("state"), {}, 1))
        assert [each.theirs for each in node.effects if hasattr(each, "theirs")] == ["hyparview"]
        node = Play(known=BOTH)
        node.connect(N2, known=b"nonsense")
        assert not [each for each in node.effects if hasattr(each, "theirs")]


class TestHeartbeats:
    def test_only_the_latest_of_each_node_is_passed_on(self) -> None:
        beats = Heartbeats(nodes=1)
        first, second = (N2, 1, 1), (N2, 1, 2)
        assert beats.broadcast_data(first) == (first, first)
        assert beats.merge(first, first)
        assert not beats.merge(first, first)
        assert beats.graft(first) == first
        assert beats.merge(second, second)
        assert beats.is_stale(first)
        with pytest.raises(LookupError, match="later"):
            beats.graft(first)
        assert beats.merge((N3, 1, 1), (N3, 1, 1))
        assert not beats.is_stale(second)  # forgotten, for want of room
        with pytest.raises(ValueError, match="no heartbeat"):
            beats.merge((N2, 1), 1)


def test_messages_are_kept_by_size_and_known_for_longer() -> None:
    ids = iter(range(100))
    cache = MessageCache(lambda _: None, lambda: next(ids), limit=2, size=10, remembered=3)
    for payload in (b"12345", b"67890", b"1234567"):
        cache.broadcast_data(payload)

    assert len(cache) == 1
    assert cache.is_stale(0)
    with pytest.raises(LookupError):
        cache.graft(0)
    assert list(cache.exchange(N2)) == [2]
    cache.broadcast_data((1, 2))
    assert not cache.is_stale(0)


def test_a_tally_tells_what_has_grown() -> None:
    statistics = PlumtreeStatistics()
    tally = Tally(statistics, ("grafts", "prunes", "of no such name"))
    statistics.grafts += 2
    assert tally.changes() == [("grafts", 2)]
    assert tally.changes() == []
    assert Tally(None, ("grafts",)).changes() == []


def test_states_tell_managers_and_runs() -> None:
    identity = new_identity(random.Random(1).randbytes)
    epoch = new_epoch(identity, 5)
    assert read_epoch(epoch) == read_epoch(epoch + 1) == identity.incarnation
    assert epoch < new_epoch(new_identity(random.Random(2).randbytes), 6)
    assert read_epoch(b"") is None
    assert read_epoch(1) is None
    run = identity.incarnation
    for told, manager, found in (
        ((Atom("state"), {}, epoch), "hyparview", run),
        ((Atom("state"), {}, 1), "hyparview", None),
        ((Atom("scamp_v1"), identity.actor, {}, UNDEFINED), "scamp_v1", run),
        ((Atom("scamp_v2"), {}, identity.actor, [], [], UNDEFINED), "scamp_v2", run),
        ((Atom("full_v1"), identity.actor, ()), "full_v1", run),
        ({}, "list", None),
        (b"", "unknown", None),
    ):
        assert manager_of(told) == manager
        assert run_of(told) == found
    assert manager_of(state(BOTH)) == "full_v1"


def test_channels_that_differ_are_told() -> None:
    def spec(*channels: ChannelSpec) -> NodeSpec:
        return NodeSpec(N2, (), channels)

    data, bulk, news = Atom("data"), Atom("bulk"), Atom("news")
    own = spec(ChannelSpec(data, 2), ChannelSpec(bulk, 1), ChannelSpec(news, None))
    theirs = spec(ChannelSpec(data, 4), ChannelSpec(news, 1, monotonic=True), ChannelSpec(SINK, 1))

    assert other_channels(own, own) == []
    assert other_channels(own, theirs) == [
        Mismatched(
            N2,
            "channels",
            "bulk:1, data:2, news:1, no sink",
            "no bulk, data:4, news:1 monotonic, sink:1",
        )
    ]
