# SPDX-License-Identifier: Apache-2.0
"""A node on an overlay that does as it is told: what the connections make of that."""

from __future__ import annotations

import random
from dataclasses import dataclass

import pytest

from heliograph.partisan import NotConnectedError, UnknownNodeError
from heliograph.partisan.protocol import ProtocolConfig, inputs
from heliograph.partisan.protocol.connection import Phase
from heliograph.partisan.protocol.effects import (
    ChannelDown,
    Connected,
    Dial,
    Dropped,
    Forgotten,
    Hangup,
    Heartbeat,
    LeftCluster,
    Mismatched,
    NeighborDown,
    NeighborUp,
    PeerDown,
    PeerJoined,
    PeerLeft,
    PeerUp,
    Promoted,
    SetTimer,
    Shuffled,
    Transmit,
    Undelivered,
    Write,
)
from heliograph.partisan.protocol.identity import new_epoch, new_identity
from heliograph.partisan.protocol.inputs import TimerKey
from heliograph.partisan.protocol.overlaid import Footing, OverlayCore
from heliograph.partisan.protocol.overlay import interface as on
from heliograph.partisan.protocol.overlay.interface import Custom, Overlay
from heliograph.partisan.wire import Atom, ChannelSpec, ListenAddr, NodeSpec, Term
from heliograph.partisan.wire.messages import (
    UNDEFINED,
    ClientHello,
    Forward,
    Gossip,
    Hello,
    Message,
    Ping,
    Pong,
    RawRelay,
    RemoveSubscription,
    Shuffle,
    State,
)
from tests.partisan.protocol.playing import of

N1, N2, N3 = [Atom(f"n{number}@127.0.0.1") for number in (1, 2, 3)]
MEMBERSHIP = Atom("partisan_membership")
SECOND = 1_000_000_000


def spec(name: Atom, *ports: int) -> NodeSpec:
    addresses = tuple(ListenAddr("127.0.0.1", port) for port in ports or (int(name[1]),))
    return NodeSpec(name, addresses, (ChannelSpec(MEMBERSHIP, 1), ChannelSpec(UNDEFINED, 1)))


S1, S2, S3 = spec(N1), spec(N2), spec(N3)
OURS: Term = (Atom("state"), {}, new_epoch(new_identity(random.Random(9).randbytes), 0))
"""What a node of our kind says of itself."""
HELLO = Shuffle((), 1, S1)
CUSTOM = Custom(Atom("hello"))


@dataclass
class Counts:
    shuffles: int = 0
    promotions: int = 0
    accepted: int = 0
    rejected: int = 0


class Puppet(Overlay):
    """Does as it is told the next time that something happens, and notes what did."""

    def __init__(self, footing: Footing) -> None:
        self.spec = footing.spec
        self.footing = footing
        self.neighbors: dict[Atom, NodeSpec] = {}
        self.statistics = Counts()
        self.heard: list[on.Input] = []
        self.next: list[on.Effect] = []

    def handle(self, happened: on.Input, now: int) -> list[on.Effect]:
        self.heard.append(happened)
        effects, self.next = self.next, []
        for each in effects:
            match each:
                case on.NeighborUp(it):
                    self.neighbors[it.name] = it
                case on.NeighborDown(it):
                    self.neighbors.pop(it.name, None)
                case _:
                    pass
        return effects

    def state(self) -> Term:
        return Atom("state"), {}, self.footing.epoch


class Scamp(Puppet):
    def state(self) -> Term:
        return Atom("scamp_v1"), self.footing.actor, {}, UNDEFINED


class Stage:
    """One node, and what is done to it."""

    def __init__(self, config: ProtocolConfig | None = None, puppet: type[Puppet] = Puppet) -> None:
        self.now = SECOND
        self.core = OverlayCore(S1, puppet, config=config, random=random.Random(0), now=self.now)
        assert isinstance(self.core.overlay, Puppet)
        self.puppet: Puppet = self.core.overlay
        self.dials: list[Dial] = []
        self.effects: list[object] = []
        self.do(inputs.Start())

    def do(self, happened: inputs.Input) -> list[object]:
        self.effects = [*self.core.handle(happened, self.now)]
        self.dials += of(Dial, self.effects)  # type: ignore[arg-type] # they are effects
        return self.effects

    def fire(self, kind: str, of_: int | str = 0, after: int = 0) -> list[object]:
        self.now += after
        return self.do(inputs.Fired(TimerKey(kind, of_)))

    def want(self, *wanted: on.Effect) -> list[object]:
        """Let the overlay want something now."""
        self.puppet.next = [*wanted]
        return self.fire("overlay", "now")

    def hear(self, connection: int, *messages: Message) -> list[object]:
        return self.do(inputs.Received(connection, messages))

    def answered(self, state: Term = None, tag: Atom = UNDEFINED) -> int:
        """Complete the oldest dial and its handshake."""
        dial = self.dials.pop(0)
        self.do(inputs.Dialled(dial.connection))
        self.hear(dial.connection, Hello(dial.peer))
        theirs = (Atom("state"), {}, 1) if state is None else state
        self.now += 1_000
        self.hear(dial.connection, State(tag, theirs))
        return dial.connection

    def neighbor(self, it: NodeSpec = S2, state: Term = None) -> list[int]:
        """Make a node a neighbor with all its connections."""
        self.want(on.NeighborUp(it))
        made = []
        while self.dials:
            made.append(self.answered(state))
        return made

    def accepted(self, peer: Atom, channel: Atom = UNDEFINED) -> int:
        number = self.core.new_connection()
        self.do(inputs.Accepted(number))
        self.hear(number, ClientHello(peer, channel))
        return number

    def all(self, kind: type) -> list[object]:
        return [each for each in self.effects if isinstance(each, kind)]

    def last(self) -> on.Input:
        """Return what the overlay heard last."""
        return self.puppet.heard[-1]

    def lost(self) -> list[on.Input]:
        return [each for each in self.puppet.heard if isinstance(each, on.Lost)]


class TestSaying:
    def test_a_message_is_sent_when_there_is_a_connection(self) -> None:
        stage = Stage()
        stage.want(on.Send((S2,), HELLO), on.Send((S2,), CUSTOM))
        assert [each.channel for each in stage.dials] == [UNDEFINED]
        number = stage.answered()

        assert Write(number, HELLO) in stage.effects
        assert Write(number, CUSTOM) in stage.effects
        assert on.Met(N2, UNDEFINED) in stage.puppet.heard
        stage.want(on.Send((S2,), HELLO))
        assert stage.effects == [Write(number, HELLO)]

    def test_who_cannot_be_reached_is_lost_after_all_addresses_were_tried(self) -> None:
        stage = Stage()
        stage.want(on.Send((spec(N2, 7, 8),), HELLO))
        for port in (7, 8):
            assert not stage.lost()
            dial = stage.dials.pop(0)
            assert dial.address.port == port
            stage.do(inputs.DialFailed(dial.connection))

        assert stage.lost() == [on.Lost(N2, "failure")]
        assert Forgotten(N2) in stage.effects
        assert N2 not in stage.core.peers

    def test_who_has_no_address_is_lost_at_once(self) -> None:
        stage = Stage()
        stage.want(on.Send((NodeSpec(N2, (), ()),), HELLO))

        assert stage.lost() == [on.Lost(N2, "failure")]

    def test_an_overlay_may_have_more_to_say_to_who_was_lost(self) -> None:
        stage = Stage()
        stage.want(on.Send((S2,), HELLO))
        stage.puppet.next = [on.Send((S2,), HELLO)]
        stage.do(inputs.DialFailed(stage.dials.pop(0).connection))

        assert len(stage.dials) == 1
        assert N2 in stage.core.peers

    def test_nothing_is_said_to_oneself_nor_to_more_than_allowed(self) -> None:
        stage = Stage(ProtocolConfig(partners=1))
        stage.want(on.Send((S2,), HELLO), on.Send((S3, S1), HELLO), on.Connect((S3,)))

        assert stage.all(Dropped) == [
            Dropped("membership", "crowded", 1, N3),
            Dropped("membership", "crowded", 1, N1),
        ]
        stage.want(on.NeighborUp(S3))
        assert N3 in stage.core.peers

    def test_an_unused_connection_is_closed_after_a_while(self) -> None:
        stage = Stage()
        stage.want(on.Send((S2,), HELLO))
        number = stage.answered()
        assert stage.all(SetTimer)
        stage.now += 4 * SECOND
        stage.want(on.Send((S2,), HELLO))
        again = SetTimer(TimerKey("linger", N2), stage.now + 10 * SECOND)
        assert stage.fire("linger", N2, 6 * SECOND) == [again]
        stage.fire("linger", N2, 4 * SECOND)

        assert stage.all(Hangup) == [Hangup(number, "closed")]
        assert not stage.lost()
        assert stage.fire("linger", N2) == []

    def test_a_last_word_is_said_before_hanging_up(self) -> None:
        stage = Stage()
        stage.want(on.Send((S2,), HELLO), on.Hangup(N2, "refused"))
        assert not stage.all(Hangup)
        number = stage.answered()

        at = stage.effects.index(Write(number, HELLO))
        assert stage.effects.index(Hangup(number, "refused")) > at
        assert stage.want(on.Hangup(N3, "refused")) == []

    def test_nothing_is_said_at_which_an_erlang_node_breaks(self) -> None:
        stage = Stage(puppet=Scamp)
        ours = new_identity(random.Random(2).randbytes).actor
        stage.want(on.Connect((S2, S3)))
        erlang = stage.answered((Atom("scamp_v1"), bytes(20), {}, UNDEFINED))
        own = stage.answered((Atom("scamp_v1"), ours, {}, UNDEFINED))
        left = RemoveSubscription(S1)

        assert stage.want(on.Send((S2, S3), left)) == [Write(own, left)]
        # Who is to leave is told, whatever becomes of it.
        to_leave = RemoveSubscription(S2)
        assert stage.want(on.Send((S2,), to_leave)) == [Write(erlang, to_leave)]

    def test_to_connect_is_to_meet(self) -> None:
        stage = Stage()
        stage.want(on.Connect((S2,)))
        stage.want(on.Connect((S2,)))
        assert len(stage.dials) == 1
        stage.answered(tag=Atom("server"))
        assert stage.last() == on.Met(N2, Atom("server"))
        stage.want(on.Connect((S2,)))

        assert stage.last() == on.Met(N2)

    def test_who_is_let_go_when_met_is_forgotten(self) -> None:
        stage = Stage()
        stage.want(on.Connect((S2,)))
        stage.puppet.next = []
        dial = stage.dials.pop(0)
        stage.do(inputs.Dialled(dial.connection))
        stage.hear(dial.connection, Hello(N2))
        stage.puppet.next = [on.Hangup(N2, "leave")]
        stage.hear(dial.connection, State(UNDEFINED, (Atom("state"), {}, 1)))

        assert Forgotten(N2) in stage.effects


class TestNeighbors:
    def test_all_channels_are_connected_and_it_is_told(self) -> None:
        stage = Stage()
        stage.want(on.NeighborUp(S2))
        assert stage.all(PeerJoined) == [PeerJoined(S2)]
        assert stage.all(NeighborUp) == [NeighborUp(S2)]
        first = stage.answered()
        assert stage.core.trees.plumtree.neighbors == (N2,)
        assert [each.channel for each in stage.dials] == [MEMBERSHIP]
        stage.answered()

        assert stage.all(PeerUp) == [PeerUp(S2)]
        assert stage.core.specs() == [S1, S2]
        assert stage.core.is_member(N2)
        assert not stage.core.is_member(N3)
        stage.want(on.Send((S2,), CUSTOM), on.Send((S2,), HELLO))
        assert [each.connection for each in stage.all(Write)] != [first, first]  # type: ignore[attr-defined]

    def test_who_is_connected_already_is_a_neighbor_at_once(self) -> None:
        stage = Stage()
        stage.want(on.Send((S2,), HELLO))
        stage.answered()
        stage.want(on.NeighborUp(S2))

        assert stage.core.trees.plumtree.neighbors == (N2,)
        assert [each.channel for each in stage.dials] == [MEMBERSHIP]
        assert stage.fire("linger", N2, 60 * SECOND) == []

    def test_a_channel_may_have_several_connections(self) -> None:
        twice = NodeSpec(N2, S2.listen_addrs, (ChannelSpec(UNDEFINED, 2),))
        stage = Stage()
        assert len(stage.neighbor(twice)) == 2

        assert stage.all(PeerUp) == [PeerUp(twice)]

    @pytest.mark.parametrize("reason", ["evicted", "leave", "failure"])
    def test_one_that_is_given_up_is_down_for_that_reason(self, reason: str) -> None:
        stage = Stage()
        stage.neighbor()
        stage.want(on.NeighborDown(S2, reason), on.Hangup(N2, reason))

        assert [each.reason for each in stage.all(PeerDown)] == [reason]  # type: ignore[attr-defined]
        assert len(stage.all(Hangup)) == 2
        assert stage.all(NeighborDown) == [NeighborDown(S2, reason)]
        assert bool(stage.all(PeerLeft)) is (reason == "leave")
        assert stage.core.trees.plumtree.neighbors == ()
        assert stage.want(on.NeighborDown(S2, reason)) == []
        stage.want(on.NeighborUp(S2))
        assert bool(stage.all(PeerJoined)) is (reason == "leave")

    def test_hanging_up_first_is_the_same(self) -> None:
        stage = Stage()
        stage.neighbor()
        stage.want(on.Send((S2,), HELLO), on.Hangup(N2, "evicted"), on.NeighborDown(S2, "evicted"))

        assert len(stage.all(ChannelDown)) == 2
        assert len(stage.all(PeerDown)) == 1
        assert Forgotten(N2) in stage.effects

    def test_one_given_up_before_it_is_connected_still_hears_why(self) -> None:
        for reason in ("evicted", "leave"):
            stage = Stage()
            stage.want(on.NeighborUp(S2))
            stage.want(on.Send((S2,), HELLO), on.NeighborDown(S2, reason))
            number = stage.answered()

            assert Write(number, HELLO) in stage.effects
            assert Hangup(number, reason) in stage.effects

    def test_who_was_evicted_and_stays_is_hung_up_on(self) -> None:
        stage = Stage()
        stage.neighbor()
        both = [stage.accepted(N2), stage.accepted(N2, MEMBERSHIP)]
        stage.want(on.Hangup(N2, "evicted"), on.NeighborDown(S2, "evicted"))
        stage.fire("evicted", N2, 10 * SECOND)

        assert stage.effects == [Hangup(both[1], "evicted")] or stage.all(Hangup) == [
            Hangup(both[1], "evicted")
        ]
        stage.neighbor()
        assert stage.fire("evicted", N2) == []

    def test_one_lost_connection_of_several_is_dialled_again(self) -> None:
        stage = Stage()
        first, second = stage.neighbor()
        stage.do(inputs.Disconnected(second, "failure"))
        assert not stage.lost()
        stage.fire("connect", N2, SECOND)
        assert [each.channel for each in stage.dials] == [MEMBERSHIP]
        stage.do(inputs.Disconnected(first, "failure"))
        assert not stage.lost()
        stage.do(inputs.DialFailed(stage.dials.pop().connection))

        assert stage.lost() == [on.Lost(N2, "failure")]

    def test_one_that_hangs_up_may_say_why(self) -> None:
        stage = Stage()
        for number in stage.neighbor():
            stage.do(inputs.Disconnected(number, "closed"))
        assert not stage.lost()
        stage.puppet.next = [on.NeighborDown(S2, "closed")]
        stage.fire("lost", N2, SECOND)
        assert stage.lost() == [on.Lost(N2, "closed")]
        assert stage.all(NeighborDown) == [NeighborDown(S2, "closed")]

        assert stage.fire("lost", N2) == []

    def test_who_is_no_neighbor_and_loses_one_of_its_connections_is_not_dialled(self) -> None:
        stage = Stage()
        stage.want(on.Send((S2,), HELLO))
        number = stage.answered()
        stage.do(inputs.Disconnected(number, "protocol_error"))

        assert stage.lost() == [on.Lost(N2, "failure")]
        assert stage.fire("connect", N2, SECOND) == []
        assert not stage.dials

    def test_all_are_pinged_to_see_whether_they_live(self) -> None:
        stage = Stage()
        numbers = stage.neighbor()
        stage.now += SECOND
        stage.want(on.Check((N2, N3)))
        pings = [each for each in stage.all(Write) if isinstance(each.message, Ping)]  # type: ignore[attr-defined]
        assert sorted(each.connection for each in pings) == sorted(numbers)  # type: ignore[attr-defined]
        ping = pings[0].message  # type: ignore[attr-defined]
        stage.now += 500
        stage.hear(numbers[0], Pong(N2, ping.id, ping.timestamp))
        assert stage.all(Heartbeat) == [Heartbeat(numbers[0], 500)]
        assert stage.core.latencies == {N2: 500}
        assert stage.puppet.footing.distance(S2) == 500
        assert stage.puppet.footing.distance(S3) is None
        stage.fire("keep_alive", numbers[1], 2 * SECOND)

        assert stage.all(Hangup) == [Hangup(numbers[1], "timeout")]

    def test_a_connection_that_is_not_ready_is_not_checked(self) -> None:
        stage = Stage()
        stage.want(on.NeighborUp(S2))
        number = stage.dials[0].connection

        assert stage.core.connections[number].check(1, 1) == []

    def test_messages_for_who_was_lost_are_kept_for_a_while(self) -> None:
        stage = Stage()
        stage.neighbor(state=OURS)
        stage.do(inputs.Send(N2, Atom("sink"), 1, ack=True, size=9))
        for reason in ("failure", "evicted"):
            stage.want(on.NeighborDown(S2, reason))
            assert N2 in stage.core.peers
            stage.want(on.NeighborUp(S2))
            stage.answered(OURS)
            while stage.dials:
                stage.answered(OURS)
            stage.fire("retransmit", after=2 * SECOND)
            assert len(stage.all(Transmit)) == 1
        stage.want(on.NeighborDown(S2, "failure"))
        stage.want(on.Send((S2,), HELLO))
        stage.answered(OURS)
        assert stage.fire("forget", N2) == []  # it is talked to
        stage.want(on.Hangup(N2, "refused"))
        stage.fire("forget", N2, 60 * SECOND)

        assert len(stage.all(Undelivered)) == 1
        assert Forgotten(N2) in stage.effects
        assert stage.fire("forget", N2) == []


class TestJoining:
    def join(self, stage: Stage) -> list[object]:
        stage.puppet.next = [on.Send((S2,), HELLO)]
        return stage.do(inputs.Join(N2, S2.listen_addrs))

    def test_it_is_done_when_the_contact_was_met_and_somebody_is_a_neighbor(self) -> None:
        stage = Stage()
        self.join(stage)
        assert not stage.core.joined(N2)
        stage.answered()
        assert not stage.core.joined(N2)
        stage.neighbor(S3)
        assert stage.core.joined(N2)
        assert stage.fire("join", N2) == []
        assert stage.fire("join", N2) == []

        assert stage.do(inputs.Join(N3, S3.listen_addrs)) == []
        assert stage.do(inputs.Join(N1, S1.listen_addrs)) == []

    def test_it_is_tried_again_until_it_is_given_up(self) -> None:
        stage = Stage()
        self.join(stage)
        again = [SetTimer(TimerKey("join", N2), stage.now + SECOND)]
        assert stage.fire("join", N2) == again  # it is still being dialled
        stage.do(inputs.DialFailed(stage.dials.pop().connection))
        stage.puppet.next = [on.Send((S2,), HELLO)]
        stage.fire("join", N2)
        assert len(stage.dials) == 1
        stage.do(inputs.Leave(N2))
        assert stage.all(Hangup)
        self.join(stage)
        stage.do(inputs.DialFailed(stage.dials.pop().connection))
        assert stage.do(inputs.Leave(N2)) == []

    def test_others_are_removed_if_they_are_neighbors(self) -> None:
        stage = Stage()
        stage.neighbor()
        stage.do(inputs.Leave(N2))

        assert stage.last() == on.Leave(S2)
        with pytest.raises(UnknownNodeError, match="no neighbor"):
            stage.do(inputs.Leave(N3))

    def test_who_leaves_is_left_alone(self) -> None:
        stage = Stage()
        stage.neighbor()
        stage.want(on.Send((S3,), HELLO))
        stage.answered()
        number = stage.accepted(N2)
        stage.puppet.next = [on.NeighborDown(S2, "leave"), on.Left()]
        stage.do(inputs.Leave())
        assert stage.last() == on.Leave()
        assert stage.all(LeftCluster) == [LeftCluster(removed=False)]
        assert not stage.core.peers
        stage.fire("parted", after=SECOND)
        assert stage.all(Hangup) == [Hangup(number, "leave")]

        self.join(stage)
        stage.accepted(N2)
        assert stage.fire("parted") == []

    def test_last_words_are_waited_for_by_who_leaves(self) -> None:
        stage = Stage()
        stage.want(on.Send((S2,), HELLO), on.Hangup(N2, "leave"), on.Left())

        assert N2 in stage.core.peers

    def test_other_managers_are_recognized(self) -> None:
        stage = Stage()
        self.join(stage)
        number = stage.answered((Atom("full_v1"), b"", 1))

        assert stage.all(Mismatched) == [Mismatched(N2, "manager", "hyparview", "full_v1")]
        assert Hangup(number, "protocol_error") in stage.effects

    def test_our_kind_is_recognized_by_its_epoch(self) -> None:
        stage = Stage()
        identity = new_identity(random.Random(3).randbytes)
        stage.want(on.NeighborUp(S2))
        stage.answered((Atom("state"), {}, new_epoch(identity, 1)))

        assert stage.core.delivery.run(N2) == identity.incarnation
        assert stage.core.passes_on(N2)

    def test_stopping_tells_the_overlay_nothing(self) -> None:
        stage = Stage()
        stage.neighbor()
        stage.accepted(N2)
        heard = len(stage.puppet.heard)
        stage.do(inputs.Stop())

        assert len(stage.all(Hangup)) == 3
        assert len(stage.puppet.heard) == heard


class TestReceiving:
    def test_what_comes_is_the_overlays(self) -> None:
        stage = Stage()
        number = stage.accepted(N2)
        assert stage.last() == on.Met(N2)
        stage.hear(number, HELLO)
        assert stage.last() == on.Received(N2, HELLO)
        stage.hear(number, Gossip(S2, b""))
        assert stage.all(Dropped) == [Dropped("membership", "ignored", 1, N2)]
        stage.hear(number, Forward(Atom("sink"), 1))
        stage.hear(number, RawRelay(N1, (Atom("nonsense"),), 1))
        assert stage.all(Dropped) == [Dropped("relay", "malformed", 1, N2)]
        stage.puppet.next = [on.Dropped(N2, "shuffle", "malformed")]
        stage.hear(number, HELLO)

        assert stage.effects == [Dropped("membership", "malformed", 1, N2, "shuffle")]

    def test_who_is_being_dialled_is_met_then(self) -> None:
        stage = Stage()
        stage.want(on.Connect((S2,)))
        stage.accepted(N2)

        assert on.Met(N2) not in stage.puppet.heard

    def test_what_comes_before_the_hello_waits_for_it(self) -> None:
        stage = Stage(ProtocolConfig(early=2))
        number = stage.core.new_connection()
        stage.do(inputs.Accepted(number))
        stage.hear(number, HELLO, HELLO, HELLO)
        assert stage.core.connections[number].phase is Phase.HEARING
        waits = stage.puppet.heard.count(on.Received(N2, HELLO))
        stage.hear(number, ClientHello(N2, UNDEFINED))

        assert stage.all(Connected)
        assert (waits, stage.puppet.heard.count(on.Received(N2, HELLO))) == (0, 2)

    def test_what_the_overlay_counts_is_told(self) -> None:
        stage = Stage()
        stage.puppet.statistics = Counts(1, 2, 0, 3)
        stage.core._overlay_tally._statistics = stage.puppet.statistics
        stage.want(on.SetTimer("later", 5), on.CancelTimer("later"))

        assert stage.all(Shuffled) == [Shuffled()]
        assert stage.all(Promoted) == [Promoted("requested", 2), Promoted("rejected", 3)]
        assert SetTimer(TimerKey("overlay", "later"), 5) in stage.effects

    def test_memory_is_bounded(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("heliograph.partisan.protocol.overlaid._KNOWN", 1)
        stage = Stage()
        stage.neighbor(S2)
        stage.neighbor(S3)

        assert list(stage.core.latencies) == [N3]
        stage.want(on.NeighborDown(S2, "evicted"))
        stage.want(on.NeighborUp(S2))
        assert stage.all(PeerJoined) == [PeerJoined(S2)]


class TestPeeking:
    def test_a_look_has_a_connection_of_its_own(self) -> None:
        stage = Stage()
        stage.neighbor()
        kept = set(stage.core.connections)

        stage.want(on.Peek(S2))
        number = stage.answered((Atom("state"), {}, 7))

        assert stage.last() == on.Peeked(S2.name, (Atom("state"), {}, 7))
        assert stage.all(Hangup) == [Hangup(number, "closed")]
        assert set(stage.core.connections) == kept
        assert stage.lost() == []

    def test_whoever_cannot_be_reached_says_nothing(self) -> None:
        stage = Stage()

        stage.want(on.Peek(S2))
        stage.do(inputs.DialFailed(stage.dials.pop().connection))
        assert stage.last() == on.Peeked(S2.name)

        stage.want(on.Peek(S2))
        dial = stage.dials.pop()
        stage.do(inputs.Dialled(dial.connection))
        stage.do(inputs.Disconnected(dial.connection, "closed"))
        assert stage.last() == on.Peeked(S2.name)
        assert not stage.core.connections
        assert stage.lost() == []

    def test_nobody_looks_at_itself_or_at_nowhere(self) -> None:
        stage = Stage()

        for it in (S1, NodeSpec(Atom("n9@127.0.0.1"), (), ())):
            stage.want(on.Peek(it))
            assert stage.last() == on.Peeked(it.name)
        assert not stage.dials

    def test_who_stops_looks_no_more(self) -> None:
        stage = Stage()
        stage.want(on.Peek(S2))
        heard = len(stage.puppet.heard)

        stage.do(inputs.Stop())

        assert len(stage.puppet.heard) == heard
        assert not stage.core.connections


class TestErlangNodes:
    """What ends the original's managers of partial views is not sent to them."""

    def test_they_are_not_asked_to_acknowledge(self) -> None:
        stage = Stage()
        sent = inputs.Send(N2, Atom("sink"), b"x", ack=True)
        stage.want(on.NeighborUp(S2))
        stage.do(sent)  # it may be of our kind yet

        stage.answered()

        assert stage.all(Undelivered) == [Undelivered(N2, UNDEFINED, [(Atom("sink"), b"x")])]
        assert not stage.all(Transmit)
        assert not stage.core.acknowledges(N2)
        assert stage.core.lane_route(N2, UNDEFINED) == ()
        with pytest.raises(NotConnectedError, match="without asking"):
            stage.do(sent)

    def test_those_of_our_kind_are(self) -> None:
        stage = Stage()
        stage.want(on.NeighborUp(S2))
        stage.do(inputs.Send(N2, Atom("sink"), b"x", ack=True))

        stage.answered(OURS)

        assert len(stage.all(Transmit)) == 1
        assert stage.core.acknowledges(N2)
