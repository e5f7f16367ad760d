# SPDX-License-Identifier: Apache-2.0
"""Failure detection of a node with a partial view: whom it dials for it, and who never hears."""

from __future__ import annotations

import random
from typing import Any

from heliograph.partisan.protocol import ProtocolConfig, inputs
from heliograph.partisan.protocol.detection import DETECTOR, DetectionConfig
from heliograph.partisan.protocol.effects import (
    CancelTimer,
    Dial,
    Judged,
    SetTimer,
    Suspected,
    Write,
    WriteAll,
)
from heliograph.partisan.protocol.identity import new_epoch, new_identity
from heliograph.partisan.protocol.inputs import TimerKey
from heliograph.partisan.protocol.overlay import interface as on
from heliograph.partisan.protocol.states import announced, manager_of, run_of
from heliograph.partisan.protocol.witnesses import NEIGHBORS
from heliograph.partisan.wire import Atom, Term
from heliograph.partisan.wire.messages import Forward, Ping, Pong
from heliograph.partisan.wire.terms import term_map
from tests.partisan.protocol.playing import Play, members
from tests.partisan.protocol.test_overlaid import N2, N3, S1, S2, S3, SECOND, Puppet, Stage, spec

N4, N5 = Atom("n4@127.0.0.1"), Atom("n5@127.0.0.1")
S4, S5 = spec(N4), spec(N5)
SUSPECT, ALIVE, STRANGER = Atom("suspect"), Atom("alive"), Atom("stranger")
CONFIG = ProtocolConfig(detection=DetectionConfig())
OURS: Term = (Atom("state"), {}, new_epoch(new_identity(random.Random(5).randbytes), 1))
ERLANG: Term = (Atom("state"), {}, 7)


class Free(Puppet):
    """Lets its nodes dial any other."""

    reaches_all = True


class Scene(Stage):
    """A node whose neighbors are the suspect n2, of our kind, and n3, an Erlang node."""

    def __init__(self, *, reaches_all: bool = True) -> None:
        self.sent: list[tuple[int, Any]] = []
        super().__init__(CONFIG, Free if reaches_all else Puppet)
        self.connections: dict[Atom, int] = {}
        self.neighbor_of(S2, OURS)
        self.neighbor_of(S3, ERLANG)

    def do(self, happened: inputs.Input) -> list[object]:
        effects = super().do(happened)
        for each in effects:
            if isinstance(each, Write) and isinstance(each.message, Forward):
                assert each.message.to == DETECTOR
                self.sent.append((each.connection, each.message.message))
            assert not isinstance(each, WriteAll)
        return effects

    def neighbor_of(self, it: Any, state: Any) -> None:
        self.want(on.NeighborUp(it))
        while self.dials:
            number = self.answered(state)
            self.connections.setdefault(it.name, number)

    def told(self) -> list[tuple[int, Any]]:
        sent, self.sent = self.sent, []
        return sent

    def say(self, by: Atom, *content: Any) -> list[object]:
        return self.hear(self.accepted(by), Forward(DETECTOR, content))

    def miss(self) -> None:
        """Let the suspect miss a ping."""
        assert self.core.detecting is not None
        for wait in (CONFIG.idle_timeout, self.core.detecting.detector.waits()):
            self.now += wait
            for connection in [*self.core.connections.values()]:
                if connection.peer == N2:
                    self.fire("keep_alive", connection.number)
                    if self.all(Suspected):
                        return
        raise AssertionError("nobody is suspected")


def test_neighbors_of_our_kind_are_told_of_each_other_and_no_others() -> None:
    it = Scene()
    it.neighbor_of(S4, OURS)
    it.fire("acquaint", after=SECOND)

    assert it.told() == [
        (it.connections[N2], (NEIGHBORS, [S4.term()])),
        (it.connections[N4], (NEIGHBORS, [S2.term()])),
    ]
    it.want(on.NeighborDown(S4, "evicted"))
    it.fire("health", after=CONFIG.idle_timeout)
    assert it.told() == [(it.connections[N2], (NEIGHBORS, []))]


def test_a_suspects_neighbor_is_dialled_and_asked_and_confirms() -> None:
    it = Scene()
    it.say(N2, NEIGHBORS, [S4.term()])
    it.miss()

    question = (SUSPECT, N2, S1.term())
    assert it.told() == [(it.connections[N2], question)]
    assert [each.peer for each in it.dials] == [N4]
    assert it.all(Suspected) == [Suspected(N2, 24 * SECOND)]
    number = it.answered(OURS)
    assert it.told() == [(number, question)]
    it.fire("health")
    it.say(N4, SUSPECT, N2)
    timer = [each for each in it.all(SetTimer) if each.key.kind == "suspect"]  # type: ignore[attr-defined]
    assert len(timer) == 1
    detector = it.core.detecting.detector  # type: ignore[union-attr]
    it.now = detector.deadline(N2)
    assert detector.suspects[N2].timeout() == 4 * SECOND
    it.fire("suspect", N2)
    [judged] = it.all(Judged)
    assert isinstance(judged, Judged)
    assert (judged.outcome, judged.confirmations) == ("down", 1)
    assert on.Lost(N2, "timeout") in it.puppet.heard


def test_whoever_turns_out_to_be_an_erlang_node_hears_nothing() -> None:
    it = Scene()
    it.say(N2, NEIGHBORS, [S4.term()])
    it.miss()
    it.told()
    it.answered(ERLANG)

    assert it.told() == []
    # Nor does a neighbor that is one, whoever speaks of it.
    it.say(N4, SUSPECT, N3, S4.term())
    it.hear(it.connections[N3], Pong(N3, 1, 1))
    assert {number for number, _ in it.told()}.isdisjoint({it.connections[N3]})


def test_nobody_is_dialled_where_somebody_else_decides_who_is_connected() -> None:
    it = Scene(reaches_all=False)
    it.say(N2, NEIGHBORS, [S4.term()])
    it.miss()

    assert it.all(Dial) == []
    # With nobody to ask it takes the shortest time.
    assert it.all(Suspected) == [Suspected(N2, 4 * SECOND)]


def test_who_asks_is_dialled_for_the_answer() -> None:
    it = Scene()
    it.say(N5, SUSPECT, N2, S5.term())
    pings = [each for each in it.all(Write) if isinstance(each.message, Ping)]  # type: ignore[attr-defined]
    assert {each.connection for each in pings} >= {it.connections[N2]}  # type: ignore[attr-defined]
    ping = pings[0].message  # type: ignore[attr-defined]
    it.hear(pings[0].connection, Pong(N2, ping.id, ping.timestamp))  # type: ignore[attr-defined]
    assert it.told() == []
    assert [each.peer for each in it.dials] == [N5]
    number = it.answered(OURS)
    assert it.told() == [(number, (ALIVE, N2))]


def test_of_a_stranger_it_says_so() -> None:
    it = Scene()
    it.say(N2, SUSPECT, N4, S2.term())
    assert it.told() == [(it.connections[N2], (STRANGER, N4))]


def test_who_says_it_is_somebody_else_is_not_heeded() -> None:
    it = Scene()
    it.say(N5, SUSPECT, N2, S4.term())
    it.say(N5, NEIGHBORS, [S4.term()])  # no neighbor
    it.say(N5, SUSPECT, 7)
    it.say(N5, 7)
    it.hear(it.accepted(N5), Forward(DETECTOR, 7))
    assert it.told() == []
    assert it.dials == []


def test_an_answer_to_whom_nobody_has_heard_of_goes_nowhere() -> None:
    it = Scene()
    it.say(N5, SUSPECT, N2)
    it.hear(it.connections[N2], Pong(N2, 1, 1))
    assert it.told() == []
    assert it.dials == []


def test_a_silent_node_that_is_no_neighbor_is_nobody_elses_affair() -> None:
    it = Scene()
    number = it.accepted(N5)
    it.now += CONFIG.idle_timeout + CONFIG.idle_timeout // 4
    it.fire("keep_alive", number)
    it.fire("keep_alive", number, after=CONFIG.ping_timeout)
    assert it.all(Suspected) == [Suspected(N5, 4 * SECOND)]
    assert it.told() == []


def test_in_a_full_mesh_nobody_is_dialled_for_it() -> None:
    play = Play(S1, members(S1, S2), CONFIG)
    assert not play.core.reaches_all
    assert play.core.reach_out(S3, play.now) == []
    assert play.fire("acquaint") == []


def test_lists_that_have_no_place_for_a_run_announce_it_beside_the_nodes() -> None:
    it = Stage()
    identity = it.core.identity
    plain = term_map([(S1.term(), []), (S2.term(), [])])
    told = announced(plain, identity.actor)

    assert manager_of(told) == "list"
    assert run_of(told) == identity.incarnation
    assert run_of(plain) is None
    assert run_of(announced({}, identity.actor)) == identity.incarnation
    assert run_of(announced(plain, bytes(20))) is None
    assert announced(OURS, identity.actor) is OURS


def test_stopping_ends_its_timers() -> None:
    it = Scene()
    it.do(inputs.Stop())
    cancelled = {each.key for each in it.all(CancelTimer)}  # type: ignore[attr-defined]
    assert {TimerKey("health"), TimerKey("acquaint")} <= cancelled
