# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from heliograph.partisan.protocol import ProtocolConfig, TimerKey, inputs
from heliograph.partisan.protocol.connection import Phase
from heliograph.partisan.protocol.effects import (
    CancelTimer,
    Connected,
    Deliver,
    Dial,
    Dropped,
    Hangup,
    Heartbeat,
    PeerDown,
    SetTimer,
)
from heliograph.partisan.wire import Atom
from heliograph.partisan.wire.messages import (
    UNDEFINED,
    ClientHello,
    Forward,
    Hello,
    HelloRefused,
    Message,
    Ping,
    Pong,
    State,
    Unknown,
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
    members,
    of,
    state,
    written,
)

BOTH = members(S1, S2)


def play(config: ProtocolConfig | None = None) -> Play:
    return Play(known=BOTH, config=config)


class TestDialling:
    def test_hellos_are_exchanged_and_the_state_makes_it_ready(self) -> None:
        node = play()
        dial = node.dial(N2)
        number = dial.connection

        assert dial == Dial(number, N2, UNDEFINED, S2.listen_addrs[0])
        node.do(inputs.Dialled(number))
        assert of(SetTimer, node.effects) == [
            SetTimer(TimerKey("handshake", number), node.now + 10 * SECOND)
        ]
        assert written(node.hear(number, Hello(N2))) == [ClientHello(N1, UNDEFINED)]
        effects = node.hear(number, State(UNDEFINED, state(BOTH)))
        assert Connected(number, N2, UNDEFINED, dialled=True) in effects
        assert CancelTimer(TimerKey("handshake", number)) in effects
        assert node.core.route(N2, DATA) == (number,)
        assert repr(node.core.connections[number]).endswith("n2@127.0.0.1, undefined: ready>")

    @pytest.mark.parametrize(
        "message",
        [
            Hello(N3),
            HelloRefused(Atom("pang")),
            ClientHello(N2, UNDEFINED),
            Forward(SINK, 1),
            Unknown(1, "no message"),
        ],
    )
    def test_anything_else_ends_it(self, message: Message) -> None:
        node = play()
        number = node.dial(N2).connection
        node.do(inputs.Dialled(number))

        effects = node.hear(number, message, Hello(N2))

        assert of(Hangup, effects) == [Hangup(number, "protocol_error")]
        assert number not in node.core.connections
        assert node.hear(number, Hello(N2)) == []

    def test_a_state_that_is_none_ends_it(self) -> None:
        node = play()
        number = node.connect(N2, known=Atom("undefined"))

        assert of(Hangup, node.effects) == [Hangup(number, "protocol_error")]
        assert node.core.statistics.malformed == 1

    def test_it_ends_when_the_peer_is_slow(self) -> None:
        node = play()
        number = node.dial(N2).connection
        node.do(inputs.Dialled(number))

        effects = node.fire("handshake", number, after=10 * SECOND)

        assert of(Hangup, effects) == [Hangup(number, "timeout")]
        assert node.fire("handshake", number) == []

    def test_a_dial_that_was_given_up_may_succeed_for_nothing(self) -> None:
        node = play()
        number = node.dial(N2).connection
        node.do(inputs.Leave(N2))

        assert node.do(inputs.Dialled(number)) == []
        assert node.do(inputs.DialFailed(number)) == []


class TestAccepting:
    def test_it_greets_and_answers_the_hello_with_its_state(self) -> None:
        node = play()
        number = node.accept()
        assert written(node.effects) == [Hello(N1)]

        effects = node.hear(number, ClientHello(N2, DATA))

        assert written(effects) == [State(UNDEFINED, node.core.state())]
        assert Connected(number, N2, DATA, dialled=False) in effects
        assert node.core.route(N2, DATA) == ()

    def test_data_before_the_hello_is_taken(self) -> None:
        node = play()
        number = node.accept()

        assert of(Deliver, node.hear(number, Forward(SINK, 1))) == [Deliver(SINK, 1, None)]
        assert node.core.connections[number].phase is Phase.HEARING

    def test_a_node_of_our_own_name_is_refused(self) -> None:
        node = play()
        number = node.accept(N1)

        assert of(Hangup, node.effects) == [Hangup(number, "refused")]

    @pytest.mark.parametrize("message", [Hello(N2), State(UNDEFINED, 1), HelloRefused(1)])
    def test_what_only_an_acceptor_says_ends_it(self, message: Message) -> None:
        node = play()
        number = node.accept()

        assert of(Hangup, node.hear(number, message)) == [Hangup(number, "protocol_error")]

    def test_a_second_hello_ends_it(self) -> None:
        node = play()
        number = node.accept(N2)

        effects = node.hear(number, ClientHello(N3, UNDEFINED), Forward(SINK, 1))

        assert of(Hangup, effects) == [Hangup(number, "protocol_error")]
        assert of(Deliver, effects) == []

    def test_an_unknown_message_is_ignored(self) -> None:
        node = play()
        number = node.accept(N2)

        effects = node.hear(number, Unknown(1, "no message"))

        assert effects == [Dropped("membership", "ignored", 1, N2)]
        assert node.core.statistics.ignored == 1


class TestKeepAlive:
    def test_the_side_that_dialled_pings_after_a_silence(self) -> None:
        node = play()
        number = node.connect(N2)
        start = node.now
        assert SetTimer(TimerKey("keep_alive", number), start + 20 * SECOND) in node.effects

        (ping,) = written(node.fire("keep_alive", number, after=20 * SECOND))
        assert isinstance(ping, Ping)
        assert (ping.node, ping.timestamp) == (N1, node.now // 1_000_000)
        node.now += 3
        assert node.hear(number, Pong(N2, ping.id, ping.timestamp)) == [Heartbeat(number, 3)]

    def test_the_other_side_waits_a_quarter_longer(self) -> None:
        node = play()
        number = node.accept(N2)

        assert of(SetTimer, node.effects)[-1] == SetTimer(
            TimerKey("keep_alive", number), node.now + 25 * SECOND
        )

    def test_traffic_that_the_driver_took_puts_the_ping_off(self) -> None:
        node = play()
        number = node.accept(N2)
        node.core.touch(number, node.now + 20 * SECOND)

        effects = node.fire("keep_alive", number, after=25 * SECOND)

        assert written(effects) == []
        assert of(SetTimer, effects)[0].at == node.now - 5 * SECOND + 25 * SECOND

    def test_five_pings_without_an_answer_end_it(self) -> None:
        node = play()
        number = node.connect(N2)

        node.now += 20 * SECOND
        for _ in range(5):
            assert len(written(node.fire("keep_alive", number))) == 1
            node.now += 10 * SECOND
        effects = node.fire("keep_alive", number)

        assert of(Hangup, effects) == [Hangup(number, "timeout")]
        assert of(PeerDown, effects) == [PeerDown(S2, "timeout")]

    def test_an_answer_makes_them_count_anew(self) -> None:
        node = play()
        number = node.connect(N2)
        node.now += 20 * SECOND
        for _ in range(12):
            (ping,) = written(node.fire("keep_alive", number))
            assert isinstance(ping, Ping)
            node.hear(number, Pong(N2, ping.id, ping.timestamp))
            node.now += 20 * SECOND

        assert number in node.core.connections

    def test_a_late_pong_counts_and_a_strange_one_does_not(self) -> None:
        node = play()
        number = node.connect(N2)
        (first,) = written(node.fire("keep_alive", number, after=20 * SECOND))
        node.fire("keep_alive", number, after=10 * SECOND)
        assert isinstance(first, Ping)

        late = Pong(N2, first.id, first.timestamp)
        assert node.hear(number, late) == [Heartbeat(number, 10 * SECOND)]
        assert node.hear(number, late) == []
        assert node.hear(number, Pong(N3, first.id, first.timestamp)) == []
        assert number in node.core.connections

    def test_only_the_last_of_several_pings_is_answered(self) -> None:
        node = play()
        number = node.accept(N2)

        effects = node.hear(number, Ping(N2, b"1", 1), Forward(SINK, 1), Ping(N2, b"2", 2))

        assert written(effects) == [Pong(N1, b"2", 2)]

    def test_pings_of_others_and_before_the_hello_are_not_answered(self) -> None:
        node = play()
        number = node.accept()

        assert written(node.hear(number, Ping(N2, b"1", 1))) == []
        node.hear(number, ClientHello(N2, UNDEFINED))
        assert written(node.hear(number, Ping(N3, b"1", 1))) == []

    def test_pings_unanswered_are_forgotten_in_the_end(self) -> None:
        node = play(ProtocolConfig(ping_attempts=2))
        number = node.connect(N2)
        pings = []
        node.now += 20 * SECOND
        for _ in range(3):
            pings += written(node.fire("keep_alive", number))
            node.now += 20 * SECOND
            node.core.touch(number, node.now)
            node.now += 20 * SECOND

        first = pings[0]
        assert isinstance(first, Ping)
        assert len(pings) == 3
        assert node.hear(number, Pong(N2, first.id, first.timestamp)) == []
