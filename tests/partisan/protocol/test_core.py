# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from heliograph.partisan.errors import NotConnectedError, QueueFullError, UnknownNodeError
from heliograph.partisan.protocol import (
    DeliveryConfig,
    ProtocolConfig,
    TimerKey,
    inputs,
    is_ours,
)
from heliograph.partisan.protocol.effects import Deliver, SetTimer, Transmit
from heliograph.partisan.wire import Atom, Term
from heliograph.partisan.wire.messages import (
    UNDEFINED,
    Ack,
    AckedForward,
    Clock,
    Forward,
    Message,
    Padded,
)
from tests.partisan.protocol.playing import (
    DATA,
    N1,
    N2,
    N3,
    S1,
    S2,
    SECOND,
    SINK,
    Play,
    identity,
    members,
    of,
    written,
)

BOTH = members(S1, S2)
UNKNOWN_CHANNEL = Atom("unknown")


def clock(number: int, source: Atom = N2) -> Clock:
    return Clock(UNDEFINED, ((source, number),))


def acked(number: int, message: Term = 1) -> AckedForward:
    return AckedForward(N2, clock(number), SINK, message)


def connected(config: ProtocolConfig | None = None, run: int | None = 99) -> Play:
    node = Play(known=BOTH, config=config)
    node.connect_all(N2, run=run)
    return node


class TestSending:
    def test_a_message_goes_by_its_channel(self) -> None:
        node = connected()

        effects = node.do(inputs.Send(N2, SINK, 1, Atom("partisan_membership")))

        (number,) = node.core.route(N2, Atom("partisan_membership"))
        assert written(effects, number) == [Forward(SINK, 1)]

    def test_the_partition_key_picks_the_connection(self) -> None:
        node = connected()
        first, second = node.core.route(N2, DATA)

        for key, number in [(0, first), (1, second), (2, first), (-1, second)]:
            effects = node.do(inputs.Send(N2, SINK, key, DATA, key))
            assert written(effects, number) == [Forward(SINK, key)]

    def test_without_a_key_chance_does(self) -> None:
        node = connected()

        chosen = set()
        for _ in range(20):
            effects = node.do(inputs.Send(N2, SINK, 1, DATA))
            chosen |= {number for number in node.core.route(N2, DATA) if written(effects, number)}

        assert chosen == set(node.core.route(N2, DATA))

    @pytest.mark.parametrize("ack", [False, True])
    def test_an_unknown_channel_falls_back_to_the_default_one(self, ack: bool) -> None:
        node = connected()
        (number,) = node.core.route(N2, UNDEFINED)

        effects = node.do(inputs.Send(N2, SINK, 1, UNKNOWN_CHANNEL, 0, ack))

        assert len(written(effects, number)) == 1

    def test_nobody_sends_to_a_stranger(self) -> None:
        for ack in (False, True):
            with pytest.raises(UnknownNodeError, match="join it, or check the name"):
                connected().do(inputs.Send(N3, SINK, 1, ack=ack))

    def test_a_plain_message_needs_a_connection(self) -> None:
        with pytest.raises(NotConnectedError, match="it is being dialled"):
            Play(known=BOTH).do(inputs.Send(N2, SINK, 1))


class TestAcknowledgedSending:
    def test_a_message_carries_a_number_and_is_kept_until_that_comes_back(self) -> None:
        node = connected()

        (message,) = written(node.do(inputs.Send(N2, SINK, 1, DATA, 3, ack=True, size=7)))

        assert isinstance(message, AckedForward)
        ((name, number),) = message.clock.counts
        assert (message.source, name, message.to, message.message) == (N1, N1, SINK, 1)
        assert is_ours(number)
        stream = node.core.delivery.outgoing(N2, DATA, 1)
        assert (len(stream), stream.bytes) == (1, 7)
        assert node.hear(node.accept(N2, DATA), Ack(message.clock)) == []
        assert len(stream) == 0

    def test_before_there_is_a_connection_it_waits(self) -> None:
        node = Play(known=BOTH)
        node.connect(N2)

        for each in range(3):
            assert node.do(inputs.Send(N2, SINK, each, DATA, 0, ack=True)) == []
        number = node.connect(N2, DATA)

        (transmit,) = of(Transmit, node.effects)
        assert transmit.connection == number
        assert [payload for _, payload in transmit.messages] == [(SINK, 0), (SINK, 1), (SINK, 2)]
        assert node.core.delivery.outgoing(N2, DATA, 0).retransmitted == 0

    def test_what_is_not_acknowledged_is_sent_again(self) -> None:
        node = connected(run=None)
        (message,) = written(node.do(inputs.Send(N2, SINK, 1, ack=True)))
        assert isinstance(message, AckedForward)

        effects = node.fire("retransmit", after=SECOND)

        ((_, number),) = message.clock.counts
        (transmit,) = of(Transmit, effects)
        assert transmit.messages == [(number, (SINK, 1))]
        assert node.core.numbered(number, (SINK, 1)) == message
        assert of(SetTimer, effects) == [SetTimer(TimerKey("retransmit"), node.now + SECOND)]

    def test_without_a_connection_nothing_is_sent_again(self) -> None:
        node = Play(known=BOTH)
        node.do(inputs.Send(N2, SINK, 1, ack=True))

        assert of(Transmit, node.fire("retransmit", after=SECOND)) == []

    def test_what_waits_for_a_peer_that_is_gone_keeps_nothing_else_waiting(self) -> None:
        node = connected(run=None)
        node.do(inputs.Send(N2, SINK, 1, ack=True))
        node.core.delivery.outgoing(Atom("gone@127.0.0.1"), UNDEFINED, 0).offer((SINK, 2), 7, 0)

        effects = node.fire("retransmit", after=SECOND)

        (transmit,) = of(Transmit, effects)
        assert transmit.peer == N2
        assert of(SetTimer, effects) == [SetTimer(TimerKey("retransmit"), node.now + SECOND)]

    def test_if_one_of_several_connections_is_lost_the_others_carry_it(self) -> None:
        node = connected()
        first, second = node.core.route(N2, DATA)
        node.do(inputs.Send(N2, SINK, 1, DATA, 1, ack=True))

        effects = node.do(inputs.Disconnected(second, "failure"))

        (transmit,) = of(Transmit, effects)
        assert transmit.connection == first
        assert [payload for _, payload in transmit.messages] == [(SINK, 1)]

    def test_the_window_is_bounded(self) -> None:
        node = connected(ProtocolConfig(delivery=DeliveryConfig(window_messages=1)))
        node.do(inputs.Send(N2, SINK, 1, ack=True))

        with pytest.raises(QueueFullError, match="wait for their acknowledgement"):
            node.do(inputs.Send(N2, SINK, 2, ack=True))

    def test_without_a_key_any_lane_will_do(self) -> None:
        node = connected()
        for each in range(20):
            node.do(inputs.Send(N2, SINK, each, DATA, ack=True))

        assert {stream.lane for stream in node.core.delivery.streams()} == {0, 1}


class TestReceiving:
    def test_a_message_is_for_its_process(self) -> None:
        node = connected()
        number = node.accept(N2)

        effects = node.hear(number, Forward(SINK, 1), Forward(Atom("other"), (1, 2)))

        assert effects == [Deliver(SINK, 1, N2), Deliver(Atom("other"), (1, 2), N2)]

    def test_padding_is_taken_off(self) -> None:
        node = connected()
        padded = Padded(b"padding", 1).term()

        effects = node.hear(node.accept(N2), Forward(SINK, padded), acked(5, padded))

        assert of(Deliver, effects) == [Deliver(SINK, 1, N2)] * 2

    def test_an_erlang_node_gets_each_acknowledged_and_may_repeat_itself(self) -> None:
        node = connected()
        (back,) = node.core.route(N2, UNDEFINED)

        effects = node.hear(node.accept(N2), acked(5), acked(7), acked(5))

        assert of(Deliver, effects) == [Deliver(SINK, 1, N2)] * 3
        assert written(effects, back) == [Ack(clock(5)), Ack(clock(7)), Ack(clock(5))]

    def test_the_acknowledgement_returns_on_the_same_channel(self) -> None:
        node = connected()

        effects = node.hear(node.accept(N2, DATA), acked(5))

        assert written(effects, node.core.route(N2, DATA)[0]) == [Ack(clock(5))]

    def test_of_our_own_kind_all_are_acknowledged_at_once_and_none_is_taken_twice(self) -> None:
        node = connected()
        base = identity(7).stream(1)
        number = node.accept(N2)
        (back,) = node.core.route(N2, UNDEFINED)

        effects = node.hear(number, *[acked(base + each, each) for each in (1, 3, 1, 2, 2, 5)])

        assert of(Deliver, effects) == [Deliver(SINK, each, N2) for each in (1, 2, 3)]
        assert written(effects, back) == [Ack(clock(base + 3))]

    def test_an_acknowledgement_without_a_way_back_is_dropped(self) -> None:
        node = Play(known=BOTH)

        effects = node.hear(node.accept(N2), acked(5))

        assert effects == [Deliver(SINK, 1, N2)]
        assert node.core.statistics.unroutable == 1

    @pytest.mark.parametrize(
        "odd",
        [
            AckedForward(N2, Clock(UNDEFINED, ()), SINK, 1),
            AckedForward(N2, Clock(Atom("label"), ((N1, 1), (N2, 2))), SINK, 1),
        ],
    )
    def test_an_odd_clock_is_sent_back_as_it_came(self, odd: AckedForward) -> None:
        node = connected()

        effects = node.hear(node.accept(N2), odd)

        assert written(effects) == [Ack(odd.clock)]

    def test_streams_beyond_the_limit_are_not_acknowledged(self) -> None:
        node = connected(ProtocolConfig(delivery=DeliveryConfig(incoming_streams=1)))
        number = node.accept(N2)
        node.hear(number, acked(identity(7).stream(1) + 1))

        assert node.hear(number, acked(identity(7).stream(2) + 1)) == []


class TestOddities:
    def test_an_acknowledgement_of_nothing_is_ignored(self) -> None:
        node = connected()

        assert node.hear(node.accept(N2), Ack(clock(5))) == []

    def test_what_comes_on_a_connection_that_is_gone_is_ignored(self) -> None:
        node = connected()
        messages: list[Message] = [Forward(SINK, 1)]

        assert node.hear(1_000, *messages) == []
        assert node.fire("keep_alive", 1_000) == []
        assert node.do(inputs.Disconnected(1_000)) == []
