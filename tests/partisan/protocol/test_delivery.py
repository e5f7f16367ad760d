# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.partisan.protocol import (
    Delivery,
    DeliveryConfig,
    OutgoingStream,
    Verdict,
    is_ours,
    new_identity,
    read_actor,
)
from heliograph.partisan.protocol.identity import Identity, run_of, stream_key
from heliograph.partisan.wire import Atom

N1, N2, N3 = Atom("n1@127.0.0.1"), Atom("n2@127.0.0.1"), Atom("n3@127.0.0.1")
DATA, OTHER = Atom("data"), Atom("other")
SECOND = 1_000_000_000


def identity(seed: int = 1) -> Identity:
    return new_identity(random.Random(seed).randbytes)


def delivery(config: DeliveryConfig | None = None, seed: int = 1) -> Delivery[str]:
    return Delivery(identity(seed), config)


def stream(*, cumulative: bool = True, config: DeliveryConfig | None = None) -> OutgoingStream[str]:
    outgoing = delivery(config)
    outgoing.met(N2, 7 if cumulative else None)
    return outgoing.outgoing(N2, DATA, 0)


class TestIdentity:
    def test_an_actor_tells_its_run_to_our_own_kind(self) -> None:
        one = identity()

        assert len(one.actor) == 20
        assert read_actor(one.actor) == one.incarnation

    @pytest.mark.parametrize(
        "actor",
        [
            bytes(20),
            Atom("actor"),
            b"heliograph",
            b"heliograph\x01\x00" + bytes(8),  # of our kind, and without cumulative acknowledgement
        ],
    )
    def test_other_actors_tell_nothing(self, actor: object) -> None:
        assert read_actor(actor) is None

    def test_numbers_are_told_from_those_of_erlang_nodes(self) -> None:
        number = identity().stream(3) + 5

        assert is_ours(number)
        assert number.bit_length() == 128
        assert run_of(stream_key(number)) == identity().incarnation
        assert not is_ours(5)
        assert not is_ours(1 << 200)

    def test_a_run_has_a_limited_number_of_streams(self) -> None:
        with pytest.raises(OverflowError, match="restart the node"):
            identity().stream(1 << 24)


class TestTowardsOurOwnKind:
    def test_an_acknowledgement_stands_for_all_before(self) -> None:
        lane = stream()
        numbers = [lane.offer(each, 10, 0) for each in "abc"]

        assert lane.acknowledge(numbers[1], 5) == 2
        assert (len(lane), lane.bytes, lane.delivered, lane.delivered_bytes) == (1, 10, 2, 20)
        assert list(lane.unacknowledged()) == [(numbers[2], "c")]
        assert lane.acknowledge(numbers[1], 6) == 0
        assert lane.acknowledge(numbers[2] + 1, 6) == 0

    def test_the_window_is_bounded_in_messages_and_in_bytes(self) -> None:
        few = stream(config=DeliveryConfig(window_messages=2))
        small = stream(config=DeliveryConfig(window_bytes=15))

        assert few.room == 2
        assert few.offer("a", 1, 0)
        assert few.offer("b", 1, 0)
        assert (few.offer("c", 1, 0), few.room) == (0, 0)
        assert small.offer("a", 10, 0)
        assert small.offer("b", 10, 0)
        assert (small.offer("c", 10, 0), small.room) == (0, 0)
        assert small.accepted == 2

    def test_room_for_messages_of_a_size_is_bounded_by_both(self) -> None:
        lane = stream(config=DeliveryConfig(window_messages=5, window_bytes=100))

        assert [lane.room_for(size) for size in (1, 20, 30, 99, 100, 1000)] == [5, 5, 4, 2, 1, 1]
        assert lane.offer("a", 95, 0)
        assert [lane.room_for(size) for size in (1, 3, 5)] == [4, 2, 1]
        assert lane.offer("b", 95, 0)
        assert [lane.room_for(size) for size in (1, 1000)] == [0, 0]

    def test_the_oldest_are_sent_again_when_nothing_was_acknowledged_for_an_interval(self) -> None:
        lane = stream(config=DeliveryConfig(retransmit_burst=2))
        numbers = [lane.offer(each, 10, 0) for each in "abc"]

        assert lane.due(SECOND - 1) == []
        assert lane.due(SECOND) == [(numbers[0], "a"), (numbers[1], "b")]
        assert (lane.retransmitted, lane.retransmitted_bytes) == (2, 20)
        assert lane.due(SECOND + 1) == []
        lane.acknowledge(numbers[0], SECOND + 5)
        assert lane.due(2 * SECOND) == []

    def test_a_new_connection_carries_all_that_is_unacknowledged(self) -> None:
        lane = stream()
        sent = lane.offer("a", 10, 0)
        kept = lane.offer("b", 20, 0, sent=False)
        later = lane.offer("c", 30, 0)

        assert (lane.unsent, lane.unsent_bytes) == (2, 50)
        assert lane.resend(1) == [(sent, "a"), (kept, "b"), (later, "c")]
        assert (lane.retransmitted, lane.unsent, lane.unsent_bytes) == (1, 0, 0)

    def test_several_are_offered_at_once(self) -> None:
        lane = stream()

        first = lane.offer_many(["a", "b"], 10, 0)

        assert list(lane.unacknowledged()) == [(first, "a"), (first + 1, "b")]
        assert lane.offer("c", 10, 0) == first + 2
        assert lane.base + lane.next_sequence == first + 3

    def test_what_was_acknowledged_was_sent(self) -> None:
        lane = stream()
        number = lane.offer_many(["a", "b"], 10, 0, sent=False)

        lane.acknowledge(number, 1)

        assert (lane.unsent, lane.unsent_bytes) == (1, 10)

    def test_another_run_of_the_peer_gets_all_under_new_numbers(self) -> None:
        outgoing = delivery()
        assert outgoing.met(N2, 7)
        lane = outgoing.outgoing(N2, DATA, 0)
        old = [lane.offer(each, 10, 0) for each in "abc"]
        outgoing.acknowledged(old[0], 1)

        assert not outgoing.met(N2, 7)
        assert outgoing.met(N2, 8)
        again = lane.resend(2)

        assert [payload for _, payload in again] == ["b", "c"]
        assert not {number for number, _ in again} & set(old)
        assert outgoing.acknowledged(old[2], 3) is None
        assert outgoing.acknowledged(again[1][0], 3) is lane
        assert len(lane) == 0
        assert outgoing.run(N2) == 8


class TestTowardsErlang:
    def test_each_is_acknowledged_by_itself(self) -> None:
        lane = stream(cumulative=False)
        numbers = [lane.offer(each, 10, 0) for each in "abc"]

        assert lane.acknowledge(numbers[1], 1) == 1
        assert lane.acknowledge(numbers[1], 1) == 0
        assert [payload for _, payload in lane.unacknowledged()] == ["a", "c"]
        assert (len(lane), lane.bytes) == (2, 20)
        assert lane.acknowledge(numbers[0], 1) == 1
        assert lane.acknowledge(numbers[2], 1) == 1
        assert (len(lane), lane.room) == (0, DeliveryConfig().window_messages)

    def test_each_that_waited_an_interval_is_sent_again_unchanged(self) -> None:
        lane = stream(cumulative=False)
        early, late = lane.offer("a", 10, 0), lane.offer("b", 10, 5)

        assert lane.due(SECOND) == [(early, "a")]
        assert lane.acknowledge(early, SECOND) == 1
        assert lane.due(SECOND + 4) == []
        assert lane.due(SECOND + 5) == [(late, "b")]
        assert lane.retransmitted == 2

    def test_the_interval_doubles_while_the_peer_is_silent(self) -> None:
        lane = stream(cumulative=False)
        number = lane.offer("a", 10, 0)
        waits: list[int] = []
        now = sent = 0
        while len(waits) < 6:
            now += SECOND
            if lane.due(now):
                waits.append((now - sent) // SECOND)
                sent = now

        assert waits == [1, 2, 4, 8, 8, 8]
        other = lane.offer("b", 10, now)
        lane.acknowledge(number, now)
        assert lane.due(now + SECOND) == [(other, "b")]

    def test_a_new_connection_carries_only_what_was_never_sent(self) -> None:
        lane = stream(cumulative=False)
        lane.offer("a", 10, 0)
        number = lane.offer("b", 10, 0, sent=False)

        assert lane.resend(1) == [(number, "b")]
        assert lane.retransmitted == 0

    def test_a_node_of_our_kind_in_its_place_gets_what_is_left(self) -> None:
        outgoing = delivery()
        lane = outgoing.outgoing(N2, DATA, 0)
        numbers = [lane.offer(each, 10, 0) for each in "abc"]
        lane.acknowledge(numbers[1], 1)

        outgoing.met(N2, 7)

        assert lane.cumulative
        assert [payload for _, payload in lane.resend(2)] == ["a", "c"]

    def test_and_the_other_way_round(self) -> None:
        outgoing = delivery()
        outgoing.met(N2, 7)
        lane = outgoing.outgoing(N2, DATA, 0)
        lane.offer("a", 10, 0)

        outgoing.met(N2, None)
        number, _ = next(lane.unacknowledged())

        assert not lane.cumulative
        assert lane.acknowledge(number, 1) == 1


class TestReceiving:
    def accept(self, into: Delivery[str], number: int, payload: str = "") -> Verdict:
        return into.accept(N1, DATA, number, payload)

    def test_each_message_is_delivered_once_and_in_order(self) -> None:
        base = identity(2).stream(1)
        receiver = delivery()

        assert self.accept(receiver, base + 1) is Verdict.DELIVER
        assert self.accept(receiver, base + 3, "c") is Verdict.HELD
        assert self.accept(receiver, base + 3, "c") is Verdict.HELD
        assert self.accept(receiver, base + 2) is Verdict.DELIVER
        lane = receiver.incoming(N1, DATA, base)
        assert lane is not None
        assert lane.held == 1
        assert list(lane.released()) == ["c"]
        assert self.accept(receiver, base + 2) is Verdict.DUPLICATE
        assert receiver.duplicates == 2

    def test_one_acknowledgement_is_due_for_all_that_came(self) -> None:
        base = identity(2).stream(1)
        receiver = delivery()
        for sequence in (1, 2, 4):
            self.accept(receiver, base + sequence)
        self.accept(receiver, identity(2).stream(2) + 2)  # nothing of this one is delivered

        assert receiver.acknowledgements() == [(N1, DATA, base + 2)]
        assert receiver.acknowledgements() == []
        self.accept(receiver, base + 1)  # the acknowledgement was lost
        assert receiver.acknowledgements() == [(N1, DATA, base + 2)]
        lane = receiver.incoming(N1, DATA, identity(2).stream(2))
        assert lane is not None
        assert lane.acknowledgement == 0

    def test_no_more_is_held_than_allowed(self) -> None:
        base = identity(2).stream(1)
        receiver = delivery(DeliveryConfig(held_messages=1))

        assert self.accept(receiver, base + 2) is Verdict.HELD
        assert self.accept(receiver, base + 3) is Verdict.REFUSED
        assert receiver.acknowledgements() == []

    def test_no_more_bytes_are_held_than_allowed(self) -> None:
        base = identity(2).stream(1)
        receiver = delivery(DeliveryConfig(held_bytes=100))

        def verdict(sequence: int, size: int) -> Verdict:
            return receiver.accept(N1, DATA, base + sequence, "", size)

        assert verdict(5, 120) is Verdict.HELD  # alone it may be larger
        assert verdict(2, 1) is Verdict.REFUSED
        assert verdict(1, 1) is Verdict.DELIVER
        for sequence in (2, 3, 4):
            assert verdict(sequence, 1) is Verdict.DELIVER
        lane = receiver.incoming(N1, DATA, base)
        assert lane is not None
        assert len(list(lane.released())) == 1
        # What was released has made room.
        assert [verdict(each, 50) for each in (7, 8, 9)] == [
            Verdict.HELD,
            Verdict.HELD,
            Verdict.REFUSED,
        ]

    def test_streams_of_a_former_run_make_room(self) -> None:
        receiver = delivery(DeliveryConfig(incoming_streams=2))
        former, present = identity(2), identity(3)

        assert self.accept(receiver, former.stream(1) + 1) is Verdict.DELIVER
        assert self.accept(receiver, present.stream(1) + 1) is Verdict.DELIVER
        assert self.accept(receiver, present.stream(2) + 1) is Verdict.DELIVER
        assert self.accept(receiver, present.stream(3) + 1) is Verdict.REFUSED
        assert self.accept(receiver, present.stream(1) + 1) is Verdict.DUPLICATE

    def test_peers_that_have_left_make_room(self) -> None:
        receiver = delivery(DeliveryConfig(incoming_sources=1))
        base = identity(2).stream(1)

        assert receiver.accept(N1, DATA, base + 1, "") is Verdict.DELIVER
        assert receiver.accept(N2, DATA, identity(3).stream(1) + 1, "") is Verdict.REFUSED
        receiver.forget(N1)
        assert receiver.accept(N1, DATA, base + 1, "") is Verdict.DUPLICATE
        receiver.forget(N1)
        assert receiver.accept(N1, DATA, identity(2).stream(2) + 1, "") is Verdict.DELIVER
        assert receiver.accept(N2, DATA, identity(3).stream(1) + 1, "") is Verdict.REFUSED
        receiver.forget(N1)
        assert receiver.accept(N2, DATA, identity(3).stream(1) + 1, "") is Verdict.DELIVER


class TestPeers:
    def test_what_waits_for_a_peer_that_has_left_comes_back(self) -> None:
        outgoing = delivery()
        outgoing.outgoing(N2, DATA, 0).offer("a", 10, 0)
        outgoing.outgoing(N2, DATA, 1).offer("b", 20, 0)
        outgoing.outgoing(N2, OTHER, 0)
        outgoing.outgoing(N3, DATA, 0).offer("c", 30, 0)
        outgoing.lanes(N2, DATA, 4)
        outgoing.lanes(N3, DATA, 4)

        assert outgoing.forget(N2) == {DATA: ["a", "b"]}
        assert outgoing.undelivered == {(N2, DATA): 2}
        assert outgoing.undelivered_bytes == {(N2, DATA): 30}
        assert [each.peer for each in outgoing.streams()] == [N3]
        assert outgoing.forget(N2) == {}
        assert outgoing.lanes(N2, DATA, 2) == 2

    def test_a_stream_is_made_once_for_each_lane(self) -> None:
        outgoing = delivery()

        assert outgoing.outgoing(N2, DATA, 0) is outgoing.outgoing(N2, DATA, 0)
        assert outgoing.outgoing(N2, DATA, 0).base != outgoing.outgoing(N2, DATA, 1).base
        assert len(outgoing.streams_to(N2)) == 2

    def test_lanes_change_when_they_are_empty(self) -> None:
        outgoing = delivery()
        assert outgoing.lanes(N2, DATA, 4) == 4
        lane = outgoing.outgoing(N2, DATA, 3)
        number = lane.offer("a", 10, 0)

        assert outgoing.lanes(N2, DATA, 2) == 4
        lane.acknowledge(number, 1)
        assert outgoing.lanes(N2, DATA, 2) == 2

    def test_acknowledgements_of_nothing_are_ignored(self) -> None:
        outgoing = delivery()
        lane = outgoing.outgoing(N2, DATA, 0)
        number = lane.offer("a", 10, 0)

        assert outgoing.acknowledged(5, 1) is None
        assert outgoing.acknowledged(number + 1, 1) is None
        assert outgoing.acknowledged(number, 1) is lane


@given(st.lists(st.integers(0, 9), max_size=60), st.randoms(use_true_random=False))
def test_whatever_is_lost_repeated_and_overtaken_each_arrives_once_in_order(
    losses: list[int], chance: random.Random
) -> None:
    sender, receiver = delivery(seed=1), delivery(seed=2)
    sender.met(N2, 7)
    lane = sender.outgoing(N2, DATA, 0)
    sent = [str(each) for each in range(10)]
    frames = [(lane.offer(each, 1, 0), each) for each in sent]
    got: list[str] = []
    now = 0
    while len(lane):
        chance.shuffle(frames)
        for number, payload in frames:
            if losses and losses.pop() < 5:
                continue
            if receiver.accept(N1, DATA, number, payload) is Verdict.DELIVER:
                incoming = receiver.incoming(N1, DATA, number)
                assert incoming is not None
                got += [payload, *incoming.released()]
        for _, _, number in receiver.acknowledgements():
            if not losses or losses.pop() >= 5:
                sender.acknowledged(number, now)
        now += SECOND
        frames = lane.due(now) * 2

    assert got == sent
