# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import random

import pytest

from heliograph.partisan.errors import StateError, UnknownNodeError
from heliograph.partisan.protocol import (
    MEMBERSHIP,
    MembershipState,
    NodeCore,
    OrSet,
    ProtocolConfig,
    TimerKey,
    inputs,
)
from heliograph.partisan.protocol.effects import (
    CancelTimer,
    ChannelDown,
    ChannelUp,
    Dial,
    Dropped,
    Hangup,
    LeftCluster,
    PeerDown,
    PeerJoined,
    PeerLeft,
    PeerUp,
    Persist,
    SetTimer,
    Transmit,
    Undelivered,
)
from heliograph.partisan.wire import Atom, ChannelSpec, ListenAddr, NodeSpec
from heliograph.partisan.wire.messages import (
    UNDEFINED,
    ClientHello,
    Gossip,
    Hello,
    State,
)
from tests.partisan.protocol.playing import (
    DATA,
    N1,
    N2,
    N3,
    S1,
    S2,
    S3,
    SECOND,
    SINK,
    Play,
    members,
    of,
    spec,
    state,
    token,
    written,
)

BOTH = members(S1, S2)
ALL = members(S1, S2, S3)
MOVED = spec("n2", 10_099)


class TestStarting:
    def test_a_new_node_is_a_cluster_of_one(self) -> None:
        node = Play()

        assert list(node.core.members) == [S1]
        assert of(Dial, node.effects) == []
        assert of(Persist, node.effects) == [Persist(node.core.state())]

    def test_it_goes_on_with_whom_it_knew(self) -> None:
        node = Play(known=BOTH)

        assert node.core.members == BOTH
        assert of(PeerJoined, node.effects) == [PeerJoined(S2)]
        assert of(Dial, node.effects) == [Dial(1, N2, UNDEFINED, S2.listen_addrs[0])]

    def test_it_replaces_what_it_was_formerly(self) -> None:
        node = Play(spec("n1", 10_099), known=BOTH)

        assert list(node.core.members.named(N1)) == [spec("n1", 10_099)]
        assert len(node.core.members) == 3

    def test_what_is_no_state_is_refused(self) -> None:
        with pytest.raises(StateError):
            NodeCore(S1, random=random.Random(0), state=b"nonsense")

    def test_the_state_may_be_read_by_the_driver(self) -> None:
        core = NodeCore(
            S1,
            random=random.Random(0),
            state=b"anything",
            parse=lambda _: MembershipState(b"", BOTH),
        )

        assert core.members == BOTH


class TestDialling:
    def test_the_default_channel_comes_first_then_one_of_each_in_every_pass(self) -> None:
        node = Play(known=BOTH)
        assert [each.channel for each in node.dials] == [UNDEFINED]

        node.connect(N2)
        assert [each.channel for each in node.dials] == [DATA, MEMBERSHIP]
        node.connect(N2, DATA)
        assert [each.channel for each in node.dials] == [MEMBERSHIP, DATA]
        node.connect(N2, MEMBERSHIP)
        assert of(PeerUp, node.effects) == []
        node.connect(N2, DATA)
        assert of(PeerUp, node.effects) == [PeerUp(S2)]
        assert of(ChannelUp, node.effects) == [ChannelUp(N2, DATA, 2)]
        assert node.dials == []

    def test_a_pass_comes_after_an_interval_too(self) -> None:
        node = Play(known=BOTH)
        assert SetTimer(TimerKey("connect", N2), node.now + SECOND) in node.effects

        assert node.fire("connect", N2, after=SECOND) == []  # the dial is under way
        assert node.fire("connect", N3) == []

    def test_waits_double_up_to_a_limit_and_are_partly_left_to_chance(self) -> None:
        node = Play(known=BOTH, config=ProtocolConfig(backoff_limit=SECOND))
        waits = []
        for _ in range(5):
            effects = node.do(inputs.DialFailed(node.dial(N2).connection))
            (timer,) = of(SetTimer, effects)
            waits.append(timer.at - node.now)
            assert node.do(inputs.Fired(timer.key)) == [timer]  # too early
            node.now = timer.at
            node.do(inputs.Fired(timer.key))

        for wait, longest in zip(waits, [0.25, 0.5, 1, 1, 1], strict=True):
            assert longest / 2 <= wait / SECOND <= longest

    def test_addresses_take_turns_until_one_answers(self) -> None:
        node = Play()
        first, second = ListenAddr("127.0.0.1", 10_002), ListenAddr("127.0.0.1", 10_003)
        node.do(inputs.Join(N2, (first, second)))

        dialled = []
        for _ in range(3):
            dial = node.dial(N2)
            dialled.append(dial.address)
            (timer,) = of(SetTimer, node.do(inputs.DialFailed(dial.connection)))
            node.now = timer.at
            node.do(inputs.Fired(timer.key))
        assert dialled == [first, second, first]

        peer = NodeSpec(N2, (first, second), S2.channels)
        node.connect(N2, known=state(OrSet().add(peer, token("n2"))))
        assert {each.address for each in node.dials} == {second}

    def test_dials_of_one_pass_that_fail_count_once(self) -> None:
        node = Play(known=BOTH)
        node.connect(N2)
        one, other = [each.connection for each in node.dials]
        node.do(inputs.DialFailed(one))
        peer = node.core.peers[N2]
        wait = peer.retry_at - node.now

        node.do(inputs.DialFailed(other))

        assert peer.retry_at - node.now == wait
        assert wait <= SECOND // 4

    def test_a_peer_without_addresses_is_not_dialled(self) -> None:
        node = Play(known=members(S1).add(NodeSpec(N2, (), ()), token("n2")))

        assert of(Dial, node.effects) == []

    def test_what_a_peer_declares_is_bounded_and_may_be_missing(self) -> None:
        much = ChannelSpec(DATA, 1_000_000)
        some = ChannelSpec(Atom("some"), None)
        peer = NodeSpec(N2, S2.listen_addrs, (much, some))
        node = Play(
            known=members(S1).add(peer, token("n2")), config=ProtocolConfig(parallelism_limit=3)
        )

        made = node.connect_all(N2)

        assert {channel: len(numbers) for channel, numbers in made.items()} == {
            UNDEFINED: 1,
            DATA: 3,
            Atom("some"): 1,
        }
        assert node.core.peers[N2].up
        # Without a channel for it, gossip goes by the default one.
        assert len(written(node.fire("gossip"), made[UNDEFINED][0])) == 1

    def test_a_new_connection_takes_the_first_free_place(self) -> None:
        node = Play(known=BOTH)
        one, other = node.connect_all(N2)[DATA]
        effects = node.do(inputs.Disconnected(one, "failure"))
        assert of(ChannelDown, effects) == []
        assert node.core.route(N2, DATA) == (other,)

        node.fire("connect", N2, after=SECOND)
        again = node.connect(N2, DATA)

        assert node.core.route(N2, DATA) == (again, other)


class TestJoining:
    def test_the_contact_is_dialled_and_its_state_merged_and_gossiped(self) -> None:
        node = Play()
        node.do(inputs.Join(N2, S2.listen_addrs))
        node.connect(N2, known=state(members(S2, S3)))

        assert list(node.core.members) == [S1, S2, S3]
        assert of(PeerJoined, node.effects) == [PeerJoined(S2), PeerJoined(S3)]
        assert of(Persist, node.effects) == [Persist(node.core.state())]
        number = node.connect(N2, MEMBERSHIP)
        assert written(node.effects, number) == [Gossip(S1, node.core.state())]
        assert {each.peer for each in node.dials} == {N2}
        node.gossip(S2, node.core.members, node.accept(N2))
        assert {each.peer for each in node.dials} == {N2, N3}

    def test_joining_oneself_does_nothing(self) -> None:
        assert Play().do(inputs.Join(N1, S1.listen_addrs)) == []

    def test_joining_a_connected_member_does_nothing(self) -> None:
        node = Play(known=BOTH)
        node.connect(N2)

        assert node.do(inputs.Join(N2, S2.listen_addrs)) == []

    def test_joining_a_member_that_does_not_answer_dials_the_address_given_first(self) -> None:
        node = Play(known=BOTH)
        node.do(inputs.DialFailed(node.dial(N2).connection))

        (dial,) = of(Dial, node.do(inputs.Join(N2, MOVED.listen_addrs)))
        assert dial.address == MOVED.listen_addrs[0]

        # Gossip of a third node must not take it away.
        node.gossip(S3, ALL, node.accept(N3))
        assert node.core.peers[N2].addresses == (*MOVED.listen_addrs, *S2.listen_addrs)

    def test_a_removed_node_that_joins_is_a_member_again(self) -> None:
        removed = BOTH.remove(S1)
        node = Play(known=BOTH)
        node.do(inputs.DialFailed(node.dial(N2).connection))
        node.do(inputs.Join(N2, S2.listen_addrs))

        node.connect(N2, known=state(removed))

        assert of(LeftCluster, node.effects) == []
        assert list(node.core.members) == [S1, S2]
        assert len(node.core.members.tokens(S1)) == 2

    def test_a_join_can_be_given_up(self) -> None:
        node = Play()
        node.do(inputs.Join(N2, S2.listen_addrs))
        number = node.dial(N2).connection

        effects = node.do(inputs.Leave(N2))

        assert of(Hangup, effects) == [Hangup(number, "leave")]
        assert of(PeerLeft, effects) == []
        assert node.core.peers == {}

    def test_a_contact_that_does_not_know_of_its_removal_is_told_and_joined_after(self) -> None:
        node = Play(known=BOTH.remove(S2))
        node.do(inputs.Join(N2, S2.listen_addrs))

        number = node.connect(N2, known=state(BOTH))

        assert written(node.effects, number) == [Gossip(S1, node.core.state())]
        assert list(node.core.members) == [S1]
        node.do(inputs.Disconnected(number, "closed"))
        for dial in list(node.dials):
            node.dials.remove(dial)
            node.do(inputs.DialFailed(dial.connection))
        node.fire("connect", N2, after=SECOND)
        node.connect(N2, known=state(OrSet().add(S2, token("anew"))))
        assert list(node.core.members) == [S1, S2]


class TestGossip:
    def test_what_is_new_is_merged_and_passed_on_to_all(self) -> None:
        node = Play(known=BOTH)
        channel = node.connect_all(N2)[MEMBERSHIP][0]

        effects = node.gossip(S2, ALL, node.accept(N2))

        assert of(PeerJoined, effects) == [PeerJoined(S3)]
        assert written(effects, channel) == [Gossip(S1, node.core.state())]
        assert [each.peer for each in of(Dial, effects)] == [N3]

    def test_what_is_known_is_not(self) -> None:
        node = Play(known=BOTH)
        node.connect_all(N2)

        assert node.gossip(S2, BOTH, node.accept(N2)) == []

    def test_who_knows_less_is_told(self) -> None:
        node = Play(known=ALL)
        channel = node.connect_all(N2)[MEMBERSHIP][0]

        effects = node.gossip(S2, BOTH, node.accept(N2))

        assert written(effects, channel) == [Gossip(S1, node.core.state())]
        assert of(Persist, effects) == []

    def test_it_is_repeated_after_an_interval(self) -> None:
        node = Play(known=BOTH)
        channel = node.connect_all(N2)[MEMBERSHIP][0]

        effects = node.fire("gossip", after=10 * SECOND)

        assert written(effects) == [Gossip(S1, node.core.state())]
        assert of(SetTimer, effects) == [SetTimer(TimerKey("gossip"), node.now + 10 * SECOND)]
        assert channel == node.core.route(N2, MEMBERSHIP)[0]

    def test_it_waits_for_its_channel_the_latest_longest(self) -> None:
        node = Play(known=BOTH, config=ProtocolConfig(gossip_backlog=2))
        node.connect(N2)
        for _ in range(3):
            node.fire("gossip")

        number = node.connect(N2, MEMBERSHIP)

        assert written(node.effects, number) == [Gossip(S1, node.core.state())] * 2

    def test_what_is_no_state_is_dropped(self) -> None:
        node = Play(known=BOTH)

        effects = node.hear(node.accept(N2), Gossip(S2, b"nonsense"))

        assert effects == [Dropped("membership", "malformed", 1, N2)]
        assert node.core.statistics.malformed == 1


class TestLeaving:
    def test_all_are_told_and_hung_up_on(self) -> None:
        node = Play(known=BOTH)
        made = node.connect_all(N2)
        accepted = node.accept(N2)
        unknown = node.accept()
        before = node.core.members

        effects = node.do(inputs.Leave())

        gossip = Gossip(S1, MembershipState(node.core.identity.actor, before.remove(S1)).term())
        assert written(effects) == [gossip]
        assert {each.connection for each in of(Hangup, effects)} == {
            *[number for numbers in made.values() for number in numbers],
            accepted,
            unknown,
        }
        assert {each.reason for each in of(Hangup, effects)} == {"leave"}
        assert of(PeerDown, effects) == [PeerDown(S2, "leave")]
        assert of(PeerLeft, effects) == [PeerLeft(S2)]
        assert effects[-1] == LeftCluster(removed=False)
        assert list(node.core.members) == [S1]
        assert not set(node.core.members.tokens(S1)) & set(before.tokens(S1))
        assert (node.core.peers, node.core.connections, node.core.routes) == ({}, {}, {})

    def test_another_is_told_that_it_was_removed(self) -> None:
        node = Play(known=ALL)
        channel = node.connect_all(N2)[MEMBERSHIP][0]
        other = node.connect_all(N3)[MEMBERSHIP][0]

        effects = node.do(inputs.Leave(N3))

        gossip = Gossip(S1, node.core.state())
        assert written(effects, other) == written(effects, channel) == [gossip]
        assert Hangup(other, "leave") in effects
        assert list(node.core.members) == [S1, S2]

    def test_nobody_can_remove_a_stranger(self) -> None:
        with pytest.raises(UnknownNodeError, match="is no member"):
            Play().do(inputs.Leave(N2))

    def test_who_hears_that_it_was_removed_is_alone(self) -> None:
        node = Play(known=ALL)
        node.connect_all(N2)

        effects = node.gossip(S3, ALL.remove(S1), node.accept(N3))

        assert written(effects) == []
        assert effects[-1] == LeftCluster(removed=True)
        assert list(node.core.members) == [S1]

    def test_who_was_removed_while_away_is_told_by_any_state(self) -> None:
        node = Play(known=BOTH)
        node.connect(N2)

        node.connect(N2, DATA, known=state(BOTH.remove(S1)))

        assert node.effects[-1] == LeftCluster(removed=True)

    def test_what_former_members_still_say_is_not_merged(self) -> None:
        node = Play(known=BOTH)
        node.do(inputs.Leave())

        assert node.gossip(S3, ALL.remove(S1), node.accept(N3)) == []
        assert node.core.statistics.stale_gossip == 1
        assert list(node.core.members) == [S1]

    def test_who_hears_that_another_left_lets_go_of_it(self) -> None:
        node = Play(known=ALL)
        node.connect_all(N2)
        third = node.connect(N3)

        effects = node.gossip(S2, ALL.remove(S3), node.accept(N2))

        assert of(PeerLeft, effects) == [PeerLeft(S3)]
        assert Hangup(third, "leave") in effects
        assert CancelTimer(TimerKey("connect", N3)) in effects

    def test_a_removed_node_that_does_not_know_it_is_hung_up_on(self) -> None:
        node = Play(known=ALL.remove(S3))
        number = node.accept(N3)

        effects = node.gossip(S3, ALL, number)

        assert of(Hangup, effects) == [Hangup(number, "leave")]
        assert list(node.core.members) == [S1, S2]

    def test_messages_for_who_has_left_cannot_be_delivered(self) -> None:
        node = Play(known=BOTH)
        node.do(inputs.Send(N2, SINK, 1, ack=True))

        effects = node.do(inputs.Leave(N2))

        assert of(Undelivered, effects) == [Undelivered(N2, UNDEFINED, [(SINK, 1)])]


class TestComingBack:
    def test_a_peer_that_moved_is_known_by_what_it_says_of_itself(self) -> None:
        node = Play(known=BOTH)
        node.connect_all(N2)
        both = BOTH.add(MOVED, token("moved"))

        effects = node.gossip(MOVED, both, node.accept(N2))

        assert node.core.members.named(N2) == [MOVED]
        assert of(PeerJoined, effects) == []
        assert of(PeerLeft, effects) == []
        assert node.core.peers[N2].spec == MOVED

    def test_until_then_all_its_addresses_are_tried(self) -> None:
        node = Play(known=ALL)
        node.gossip(S3, ALL.add(MOVED, token("moved")), node.accept(N3))

        assert node.core.peers[N2].addresses == (*S2.listen_addrs, *MOVED.listen_addrs)

    def test_a_peer_that_says_it_has_left_is_let_go(self) -> None:
        node = Play(known=BOTH)

        number = node.connect(N2, known=state(BOTH.remove(S2)))

        assert of(PeerLeft, node.effects) == [PeerLeft(S2)]
        assert Hangup(number, "leave") in node.effects

    def test_a_former_entry_of_our_own_is_removed_and_that_passed_on(self) -> None:
        node = Play(known=BOTH)
        channel = node.connect_all(N2)[MEMBERSHIP][0]
        former = spec("n1", 10_099)

        effects = node.gossip(S2, BOTH.add(former, token("former")), node.accept(N2))

        assert node.core.members.named(N1) == [S1]
        assert written(effects, channel) == [Gossip(S1, node.core.state())]

    def test_connections_to_a_former_run_are_given_up(self) -> None:
        node = Play(known=BOTH)
        made = node.connect_all(N2, run=5)
        old = [number for numbers in made.values() for number in numbers]

        effects = node.gossip(S2, BOTH, node.accept(N2), run=6)

        assert [each.connection for each in of(Hangup, effects)] == sorted(old, key=old.index)
        assert {each.reason for each in of(Hangup, effects)} == {"failure"}
        assert of(PeerDown, effects) == [PeerDown(S2, "failure")]

    def test_its_messages_are_sent_again_under_new_numbers_on_new_connections_alone(self) -> None:
        node = Play(known=BOTH)
        node.connect_all(N2, run=5)
        for each in range(3):
            node.do(inputs.Send(N2, SINK, each, DATA, 0, ack=True))
        old = [number for number, _ in next(iter(node.core.delivery.streams())).unacknowledged()]
        node.do(inputs.Disconnected(node.core.route(N2, UNDEFINED)[0], "failure"))
        node.fire("connect", N2, after=SECOND)

        node.connect(N2, run=6)

        assert of(Transmit, node.effects) == []  # the channel of these messages is not open
        number = node.connect(N2, DATA, run=6)
        (transmit,) = of(Transmit, node.effects)
        assert (transmit.peer, transmit.channel, transmit.connection) == (N2, DATA, number)
        assert [payload for _, payload in transmit.messages] == [(SINK, 0), (SINK, 1), (SINK, 2)]
        assert not {each for each, _ in transmit.messages} & set(old)

    def test_a_lost_connection_is_dialled_again_and_the_state_gossiped_again(self) -> None:
        node = Play(known=BOTH)
        number = node.connect(N2)

        effects = node.do(inputs.Disconnected(number, "closed"))

        assert of(ChannelDown, effects) == [ChannelDown(N2, UNDEFINED, 1, "closed")]
        assert of(PeerDown, effects) == [PeerDown(S2, "closed")]
        for each in list(node.dials):
            node.dials.remove(each)
            node.do(inputs.DialFailed(each.connection))
        node.fire("connect", N2, after=SECOND)
        node.connect(N2)
        again = node.connect(N2, MEMBERSHIP)
        assert written(node.effects, again)[-1] == Gossip(S1, node.core.state())

    def test_a_reason_that_is_none_of_a_peer_counts_as_failure(self) -> None:
        node = Play(known=BOTH)
        number = node.connect(N2)

        effects = node.do(inputs.Disconnected(number, "protocol_error"))

        assert of(PeerDown, effects) == [PeerDown(S2, "failure")]


class TestStopping:
    def test_all_connections_and_timers_end_and_nobody_is_told(self) -> None:
        node = Play(known=BOTH)
        node.connect(N2)

        effects = node.do(inputs.Stop())

        assert written(effects) == []
        assert {each.reason for each in of(Hangup, effects)} == {"shutdown"}
        assert of(PeerDown, effects) == [PeerDown(S2, "shutdown")]
        assert CancelTimer(TimerKey("gossip")) in effects
        assert node.core.connections == {}
        assert of(SetTimer, effects) == []


def test_a_peer_that_goes_on_as_another_channel_configuration_comes_up_again() -> None:
    node = Play(known=BOTH)
    node.connect_all(N2)
    fewer = spec("n2", 10_002, data=1)

    node.gossip(fewer, BOTH.add(fewer, token("fewer")), node.accept(N2))

    assert node.core.peers[N2].parallelism(DATA) == 1
    assert node.core.peers[N2].up


def test_hello_of_a_connection_hung_up_on_in_the_same_read_is_too_late() -> None:
    node = Play(known=BOTH)
    number = node.core.new_connection()
    node.do(inputs.Accepted(number))

    effects = node.hear(
        number,
        Gossip(S3, state(ALL.remove(S1))),
        ClientHello(N3, UNDEFINED),
        Gossip(S3, state(ALL)),
    )

    assert of(LeftCluster, effects) == [LeftCluster(removed=True)]
    assert Hangup(number, "leave") in effects
    assert node.core.statistics.stale_gossip == 0


def test_a_handshake_under_way_ends_when_its_peer_leaves() -> None:
    node = Play(known=BOTH)
    number = node.dial(N2).connection
    node.do(inputs.Dialled(number))
    node.hear(number, Hello(N2))

    assert Hangup(number, "leave") in node.do(inputs.Leave(N2))
    assert node.hear(number, State(UNDEFINED, state(BOTH))) == []


class TestFlapping:
    def test_downs_are_counted_within_the_window_unless_they_were_meant(self) -> None:
        play = Play(S1, members(S1, S2), ProtocolConfig(flap_window=100 * SECOND))
        seen = []
        for reason in ("closed", "failure", "timeout", "leave"):
            for numbers in play.connect_all(N2).values():
                for number in numbers:
                    play.do(inputs.Disconnected(number, reason))
                    seen += [each.downs for each in of(PeerDown, play.effects)]
            play.fire("connect", N2, after=20 * SECOND)
        assert seen == [1, 2, 3, 3]

        peer = play.core.peers[N2]
        assert peer.recent_downs(play.now) == 3
        assert peer.recent_downs(play.now + 50 * SECOND) == 1
        assert peer.recent_downs(play.now + 100 * SECOND) == 0

    @pytest.mark.parametrize("damping", [False, True])
    def test_damping_waits_longer_each_time(self, damping: bool) -> None:
        config = ProtocolConfig(flap_damping=damping, backoff_jitter=0.0)
        play = Play(S1, members(S1, S2), config)
        waits = []
        for _ in range(4):
            numbers = [each for all_of in play.connect_all(N2).values() for each in all_of]
            for number in numbers:
                play.do(inputs.Disconnected(number, "failure"))
            waits.append(play.core.peers[N2].retry_at - play.now)
            play.fire("connect", N2, after=20 * SECOND)

        first = config.backoff_initial
        assert waits == ([first, 2 * first, 4 * first, 8 * first] if damping else [first] * 4)
