# SPDX-License-Identifier: Apache-2.0
"""Failure detection in a node's protocol: whom it asks, whom it tells, whom it lets go."""

from __future__ import annotations

from heliograph.partisan.protocol import ProtocolConfig, inputs
from heliograph.partisan.protocol.detection import DETECTOR, DetectionConfig
from heliograph.partisan.protocol.effects import (
    CancelTimer,
    Hangup,
    Judged,
    SetTimer,
    Suspected,
    Write,
)
from heliograph.partisan.wire import Atom
from heliograph.partisan.wire.messages import Forward, Ping, Pong
from tests.partisan.protocol.playing import (
    N1,
    N2,
    N3,
    S1,
    S2,
    S3,
    SECOND,
    Play,
    members,
    of,
    written,
)

CONFIG = ProtocolConfig(detection=DetectionConfig())
IDLE, TIMEOUT = CONFIG.idle_timeout, CONFIG.ping_timeout
SUSPECT, ALIVE = Atom("suspect"), Atom("alive")
HEALTH = inputs.TimerKey("health")


def playing(run: int | None = 98) -> tuple[Play, dict[str, list[int]]]:
    """A node with two peers: one, and one of our kind or not."""
    play = Play(S1, members(S1, S2, S3), CONFIG)
    connections: dict[str, list[int]] = {}
    for peer, its_run in ((N2, 99), (N3, run)):
        connections[peer] = [n for each in play.connect_all(peer, its_run).values() for n in each]
    return play, connections


def miss(play: Play, connections: list[int]) -> None:
    """Let pings on all connections go unanswered."""
    for kind_wait in (IDLE, play.core.detecting.detector.waits()):  # type: ignore[union-attr]
        play.now += kind_wait
        for number in connections:
            play.do(inputs.Fired(inputs.TimerKey("keep_alive", number)))
            if of(Suspected, play.effects):
                return
    raise AssertionError("nobody is suspected")


def tells(play: Play) -> list[tuple[int, Forward]]:
    return [
        (each.connection, each.message)
        for each in of(Write, play.effects)
        if isinstance(each.message, Forward) and each.message.to == DETECTOR
    ]


def test_a_missed_ping_is_told_to_the_suspect_and_to_the_other() -> None:
    play, connections = playing()
    miss(play, connections[N2])

    (suspected,) = of(Suspected, play.effects)
    assert suspected == Suspected(N2, 24 * SECOND)
    told = tells(play)
    assert [message.message for _, message in told] == [(SUSPECT, N2)] * 2
    assert told[0][0] in connections[N2]
    assert told[1][0] in connections[N3]
    timer = next(each for each in of(SetTimer, play.effects) if each.key.kind == "suspect")
    # Twice as long, since the node trusts itself less.
    assert timer.at == play.now + 2 * 24 * SECOND


def test_an_erlang_node_is_told_nothing() -> None:
    play, connections = playing(run=None)
    miss(play, connections[N3])
    assert tells(play)[0][0] in connections[N2]
    assert len(tells(play)) == 1


def test_it_is_let_go_when_the_suspicion_has_run_out() -> None:
    play, connections = playing()
    miss(play, connections[N2])
    play.hear(play.accept(N3), Forward(DETECTOR, (SUSPECT, N2)))
    play.do(inputs.Fired(HEALTH))
    deadline = play.core.detecting.detector.deadline(N2)  # type: ignore[union-attr]
    play.now = deadline
    play.fire("suspect", str(N2))

    (judged,) = of(Judged, play.effects)
    assert (judged.peer, judged.outcome) == (N2, "down")
    assert {each.connection for each in of(Hangup, play.effects)} == set(connections[N2])
    assert {each.reason for each in of(Hangup, play.effects)} == {"timeout"}


def test_whatever_comes_of_the_suspect_ends_the_suspicion() -> None:
    play, connections = playing()
    miss(play, connections[N2])
    ping = next(m for m in written(play.effects) if isinstance(m, Ping))
    play.hear(connections[N2][0], Pong(N2, ping.id, ping.timestamp))

    (judged,) = of(Judged, play.effects)
    assert judged.outcome == "alive"
    assert CancelTimer(inputs.TimerKey("suspect", N2)) in play.effects
    assert play.fire("suspect", str(N2)) == []


def test_so_does_what_the_driver_took_itself() -> None:
    play, connections = playing()
    miss(play, connections[N2])
    play.core.touch(connections[N2][0], play.now + 1)
    play.fire("suspect", str(N2), after=2)

    (judged,) = of(Judged, play.effects)
    assert judged.outcome == "alive"


def test_a_connection_that_is_silent_while_another_is_not_suspects_nobody() -> None:
    play, connections = playing()
    first, *others = connections[N2]
    for wait in (IDLE, TIMEOUT, TIMEOUT):
        play.now += wait
        for number in others:
            play.core.touch(number, play.now)
        play.do(inputs.Fired(inputs.TimerKey("keep_alive", first)))
        assert not of(Suspected, play.effects)
        assert not of(Hangup, play.effects)
    # Yet it does not stay for ever.
    for _ in range(40):
        play.now += TIMEOUT
        for number in others:
            play.core.touch(number, play.now)
        play.do(inputs.Fired(inputs.TimerKey("keep_alive", first)))
        if of(Hangup, play.effects):
            break
    assert of(Hangup, play.effects) == [Hangup(first, "timeout")]


def test_who_fires_late_reads_first() -> None:
    play, connections = playing()
    detector = play.core.detecting.detector  # type: ignore[union-attr]
    number = connections[N2][0]
    play.now += IDLE
    play.do(inputs.Fired(inputs.TimerKey("keep_alive", number)))
    play.now += TIMEOUT * 2
    play.do(inputs.Fired(inputs.TimerKey("keep_alive", number)))
    assert not of(Suspected, play.effects)
    assert detector.health.score == 1

    play, connections = playing()
    detector = play.core.detecting.detector  # type: ignore[union-attr]
    miss(play, connections[N2])
    play.now = detector.deadline(N2) + TIMEOUT
    play.fire("suspect", str(N2))
    (again,) = play.effects
    assert isinstance(again, SetTimer)
    assert again.at == play.now + detector.waits()
    # Another suspicion that is not due yet only waits.
    play, connections = playing()
    miss(play, connections[N2])
    play.fire("suspect", str(N2), after=1)
    (again,) = play.effects
    assert isinstance(again, SetTimer)


def test_work_in_time_makes_it_trust_itself_again() -> None:
    play, _ = playing()
    health = play.core.detecting.detector.health  # type: ignore[union-attr]
    play.now = 1
    play.do(inputs.Start())
    play.now = 1 + IDLE + TIMEOUT
    play.do(inputs.Fired(HEALTH))
    assert health.score == 1
    play.now += IDLE
    (again,) = play.do(inputs.Fired(HEALTH))
    assert again == SetTimer(HEALTH, play.now + IDLE)
    assert health.score == 0


def test_and_judge_sooner() -> None:
    play, connections = playing()
    detector = play.core.detecting.detector  # type: ignore[union-attr]
    miss(play, connections[N2])
    longest = detector.deadline(N2)
    play.core.detecting._due[HEALTH] = play.now  # type: ignore[union-attr]
    health, suspect = play.do(inputs.Fired(HEALTH))
    assert isinstance(health, SetTimer)
    assert suspect == SetTimer(inputs.TimerKey("suspect", N2), detector.deadline(N2))
    assert detector.deadline(N2) < longest
    # Nothing more to gain.
    play.core.detecting._due[HEALTH] = play.now  # type: ignore[union-attr]
    assert len(play.do(inputs.Fired(HEALTH))) == 1


def test_it_asks_whom_others_suspect_and_says_so_if_it_answers() -> None:
    play, connections = playing()
    number = play.accept(N3)
    play.core.touch(connections[N2][0], play.now)
    play.now += 1
    play.hear(number, Forward(DETECTOR, (SUSPECT, N2)))

    assert tells(play) == []
    asked = [each for each in of(Write, play.effects) if isinstance(each.message, Ping)]
    assert {each.connection for each in asked} == set(connections[N2])
    # They are under way, and not sent again.
    play.now += IDLE
    play.hear(number, Forward(DETECTOR, (SUSPECT, N2)))
    assert play.effects == []
    ping = next(each for each in asked if each.connection == connections[N2][0]).message
    assert isinstance(ping, Ping)
    play.hear(connections[N2][0], Pong(N2, ping.id, ping.timestamp))
    assert [message.message for _, message in tells(play)] == [(ALIVE, N2)]


def test_what_is_said_by_strangers_or_of_strangers_or_nonsense() -> None:
    play, _ = playing()
    stranger = play.accept(Atom("nx@127.0.0.1"))
    unknown = play.accept()
    for number in (stranger, unknown, play.accept(N3)):
        assert play.hear(number, Forward(DETECTOR, (SUSPECT, Atom("nobody@h")))) == []
        assert play.hear(number, Forward(DETECTOR, 7)) == []
        assert play.hear(number, Forward(DETECTOR, (ALIVE, N2))) == []
    assert play.hear(stranger, Forward(DETECTOR, (SUSPECT, N2))) == []


def test_without_detection_such_messages_are_nothing() -> None:
    play = Play(S1, members(S1, S2))
    play.connect_all(N2)
    assert play.core.detecting is None
    assert play.hear(play.accept(N2), Forward(DETECTOR, (SUSPECT, N1))) == []


def test_stopping_cancels_its_timers() -> None:
    play, _ = playing()
    play.do(inputs.Stop())
    assert CancelTimer(HEALTH) in play.effects
