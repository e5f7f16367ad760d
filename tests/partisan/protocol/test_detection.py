# SPDX-License-Identifier: Apache-2.0
"""Lifeguard's local health and suspicion, as state machines."""

from __future__ import annotations

from math import log
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.partisan.protocol.detection import (
    DetectionConfig,
    Detector,
    Judge,
    LocalHealth,
    Probe,
    Suspect,
    Suspicion,
    Tell,
)
from heliograph.partisan.wire import Atom

SECOND = 1_000_000_000
A, B, C, D, X = (Atom(f"{each}@127.0.0.1") for each in "abcdx")
SUSPECT, ALIVE, STRANGER = Atom("suspect"), Atom("alive"), Atom("stranger")


def detector(**options: Any) -> Detector:
    return Detector(A, DetectionConfig(**options), ping_timeout=SECOND)


# -- Local health ----------------------------------------------------------------------------------


@given(st.lists(st.booleans()), st.integers(1, 20))
def test_health_stays_within_its_bounds(steps: list[bool], limit: int) -> None:
    health = LocalHealth(limit)

    for well in steps:
        before = health.score
        health.better() if well else health.worse()
        assert 0 <= health.score < limit
        assert abs(health.score - before) <= 1
        assert SECOND <= health.scaled(SECOND) <= limit * SECOND


def test_waits_are_as_many_times_longer_as_health_is_worse() -> None:
    health = LocalHealth(8)

    for _ in range(100):
        health.worse()

    assert health.scaled(5) == 40
    health.better()
    assert health.scaled(5) == 35


def test_a_timer_that_is_late_counts_against_the_node_itself() -> None:
    it = detector(late=0.5)

    assert not it.was_late(due=100, now=100 + SECOND // 2)
    assert it.waits() == SECOND
    assert it.was_late(due=100, now=101 + SECOND // 2)
    assert it.waits() == 2 * SECOND
    it.answered()
    assert it.waits() == SECOND


# -- One suspicion ---------------------------------------------------------------------------------


def test_the_timeout_shrinks_as_the_paper_has_it() -> None:
    suspicion = Suspicion(0, shortest=4, longest=24, needed=3, asked=[B, C, D, X])
    seen = [suspicion.timeout()]

    for by in (B, B, C, D, X):
        suspicion.confirm(by)
        seen.append(suspicion.timeout())

    # 24 - 20 * log(n + 1) / log(4) for n = 0, 1, 1, 2, 3; more than are needed change nothing.
    assert seen == [24, 14, 14, 8, 4, 4]


def test_with_nobody_who_could_confirm_it_is_the_shortest() -> None:
    assert Suspicion(0, shortest=4, longest=24, needed=3, asked=[]).timeout() == 4


def test_of_fewer_who_can_confirm_all_have_to() -> None:
    suspicion = Suspicion(0, shortest=4, longest=24, needed=3, asked=[B, C])
    suspicion.confirm(B)
    assert suspicion.timeout() == 24 - round(20 * log(2) / log(3))
    suspicion.release(C)
    assert suspicion.timeout() == 4


def test_only_those_who_were_asked_count() -> None:
    suspicion = Suspicion(0, shortest=4, longest=24, needed=3, asked=[B])
    suspicion.confirm(C)
    assert suspicion.timeout() == 24
    suspicion.confirm(B)
    assert not suspicion.vouch(C)
    assert suspicion.timeout() == 4
    assert suspicion.vouch(B)
    assert not suspicion.vouch(B)
    assert suspicion.timeout() == 24


names = st.sampled_from([Atom(f"n{each}@h") for each in range(8)])
said_by = st.lists(st.tuples(st.sampled_from(["confirm", "vouch", "release"]), names))


@given(st.integers(1, 100), st.integers(1, 10), st.integers(0, 5), st.sets(names), said_by)
def test_a_timeout_is_always_between_the_shortest_and_the_longest(
    shortest: int, factor: int, needed: int, asked: set[Atom], said: list[tuple[str, Atom]]
) -> None:
    suspicion = Suspicion(0, shortest, shortest * factor, needed, asked)

    for what, by in said:
        before, heard_by = suspicion.timeout(), set(suspicion.heard_by)
        getattr(suspicion, what)(by)
        after = suspicion.timeout()
        assert shortest <= after <= shortest * factor
        assert len(suspicion.confirmed) <= needed
        assert not suspicion.confirmed & suspicion.heard_by
        assert suspicion.confirmed | suspicion.heard_by <= suspicion.asked <= asked
        if by not in asked:
            assert after == before
        if what == "vouch":
            assert after >= before
        elif what == "confirm" or by not in suspicion.confirmed | heard_by:
            assert after <= before or heard_by == suspicion.heard_by


@given(st.integers(1, 100), st.integers(1, 10), st.sets(names), st.sets(names))
def test_the_more_confirm_the_sooner_it_ends(
    shortest: int, factor: int, some: set[Atom], more: set[Atom]
) -> None:
    asked = [Atom(f"n{each}@h") for each in range(8)]
    few, many = (Suspicion(0, shortest, shortest * factor, 3, asked) for _ in range(2))
    for by in some:
        few.confirm(by)
        many.confirm(by)
    for by in more:
        many.confirm(by)

    assert many.timeout() <= few.timeout()
    if len(some | more) >= 3:
        assert many.timeout() == shortest


# -- The detector ----------------------------------------------------------------------------------


def test_a_missed_ping_makes_a_suspect_who_is_told_first() -> None:
    it = detector(suspicion=4 * SECOND, longest=6)

    actions = it.missed(X, [B, X, C], now=10)

    assert actions == [
        Suspect(X, 24 * SECOND),
        Tell(X, (SUSPECT, X)),
        Tell(B, (SUSPECT, X)),
        Tell(C, (SUSPECT, X)),
    ]
    assert it.missed(X, [B, C], now=20) == []
    # A ping was missed: the node trusts itself less, but not for each ping of the suspect anew.
    assert it.deadline(X) == 10 + 2 * 24 * SECOND


def test_suspicions_are_longer_in_larger_clusters() -> None:
    it = detector(suspicion=4 * SECOND, confirmations=0)

    (suspected, *_) = it.missed(X, [Atom(f"n{each}@h") for each in range(998)], now=0)

    assert suspected == Suspect(X, 12 * SECOND)


def test_confirmed_by_others_and_declared_down() -> None:
    it = detector(suspicion=4 * SECOND, longest=6)
    it.missed(X, [B, C, D, X], now=0)
    it.answered()

    assert it.judge(X, 8 * SECOND) == []
    for by in (B, C, D):
        assert it.told(by, (SUSPECT, X), 5 * SECOND) == []
    assert it.judge(X, 4 * SECOND - 1) == []
    assert it.judge(X, 4 * SECOND) == [Judge(X, "down", 4 * SECOND, 3)]
    assert it.judge(X, 99 * SECOND) == []


def test_what_others_suspected_before_confirms_as_well_unless_it_is_old_or_not_asked_for() -> None:
    it = detector(suspicion=4 * SECOND, longest=6, confirmations=3)

    assert it.told(B, (SUSPECT, X), 0) == [Probe(X)]
    it.told(C, (SUSPECT, X), 90 * SECOND)
    it.told(D, (SUSPECT, X), 90 * SECOND)
    it.missed(X, [B, C, X], now=91 * SECOND)

    # B is long ago, D is no peer.
    assert it.suspects[X].confirmed == {C}


def test_rumours_end_when_the_peer_is_heard_or_gone_and_are_bounded() -> None:
    it = detector(confirmations=1)

    # Who suspects it is told that it was heard.
    for end, then in ((it.heard, [Tell(B, (ALIVE, X))]), (it.gone, [])):
        it.told(B, (SUSPECT, X), 0)
        assert it.suspecting(X) == [B]
        assert end(X, 1) == then
        assert it.suspecting(X) == []
        it.missed(X, [B, C], now=2)
        assert it.suspects[X].confirmed == set()
        it.heard(X, 3)
    it.told(B, (SUSPECT, X), 0)
    it.told(C, (SUSPECT, X), 0)
    assert list(it._rumours[X]) == [C]
    for each in range(2000):
        it.told(B, (SUSPECT, Atom(f"n{each}@h")), 0)
    assert len(it._rumours) == 1024


def test_who_is_told_of_a_suspect_asks_it_and_says_so_when_it_answers() -> None:
    it = detector()

    assert it.told(B, (SUSPECT, X), 0) == [Probe(X)]
    assert it.told(C, (SUSPECT, X), 0) == [Probe(X)]
    assert it.suspects == {}
    assert it.heard(X, 1) == [Tell(B, (ALIVE, X)), Tell(C, (ALIVE, X))]
    assert it.heard(X, 2) == []


def test_in_a_partial_view_a_suspicion_is_a_question() -> None:
    it, other = detector(), detector()
    it.introduction, other.introduction = b"a", b"b"
    other.node = B

    _, _, asked = it.missed(X, [B], now=0, among=5)
    assert asked == Tell(B, (SUSPECT, X, b"a"))
    # Who does not know the suspect says so, and is not waited for.
    [stranger] = other.told(A, asked.message, 0, knows=False)
    assert stranger == Tell(A, (STRANGER, X))
    assert it.suspects[X].timeout() == 24 * SECOND
    assert it.told(B, stranger.message, 0) == []
    assert it.suspects[X].timeout() == 4 * SECOND
    assert it.told(B, (STRANGER, D), 0) == []


def test_a_question_is_answered_by_who_suspects_the_same_or_did_so_lately() -> None:
    it = detector(suspicion=4 * SECOND, longest=6)
    question = (SUSPECT, X, b"b")

    it.missed(X, [C], now=0)
    assert it.told(B, question, 1) == [Tell(B, (SUSPECT, X))]
    assert it.told(C, question, 1) == []  # which was told
    assert it.told(B, (SUSPECT, X), 1) == []  # no question
    [judged] = it.judge(X, 60 * SECOND)
    assert judged == Judge(X, "down", 60 * SECOND, 1)
    assert it.told(B, question, 61 * SECOND, knows=False) == [Tell(B, (SUSPECT, X))]
    # Not for ever, and not after it was heard again.
    assert it.told(B, question, 200 * SECOND, knows=False) == [Tell(B, (STRANGER, X))]
    it.missed(X, [], now=200 * SECOND)
    it.judge(X, 300 * SECOND)
    it.heard(X, 301 * SECOND)
    assert it.told(B, question, 302 * SECOND) == [Probe(X)]


def test_so_many_that_were_declared_down_are_remembered() -> None:
    it = detector()
    for each in range(1100):
        name = Atom(f"n{each}@h")
        it.missed(name, [], now=0)
        it.judge(name, 900 * SECOND)

    assert len(it._judged) == 1024
    assert Atom("n1099@h") in it._judged


def test_being_heard_by_others_is_the_suspecting_nodes_own_trouble() -> None:
    it = detector(suspicion=4 * SECOND, longest=6)
    it.missed(X, [B, C, D, X], now=0)
    it.answered()
    it.told(B, (SUSPECT, X), 1)

    assert it.told(C, (ALIVE, X), 2) == []
    assert it.told(C, (ALIVE, X), 3) == []

    assert it.deadline(X) == 2 * 24 * SECOND
    assert it.heard(X, SECOND) == [Judge(X, "alive", SECOND, 1)]


def test_a_suspect_answers_and_trusts_itself_less() -> None:
    it = detector()

    assert it.told(B, (SUSPECT, A), 0) == [Probe(B)]
    assert it.health.score == 1


def test_of_a_peer_that_is_gone_otherwise() -> None:
    it = detector()
    it.missed(X, [B], now=0)

    assert it.gone(X, 5) == [Judge(X, "gone", 5, 0)]
    assert it.gone(X, 6) == []


@pytest.mark.parametrize(
    "nonsense", [(), ("suspect",), ("suspect", b"x"), (SUSPECT, 1, 2), (ALIVE, 3), 7, []]
)
def test_nonsense_does_nothing(nonsense: Any) -> None:
    it = detector()

    assert it.told(B, nonsense, 0) == []
    assert it.told(B, (ALIVE, X), 0) == []
    assert it.health.score == 0


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("suspicion", 0),
        ("longest", 0),
        ("confirmations", -1),
        ("witnesses", -1),
        ("health", 0),
        ("late", 0),
    ],
)
def test_settings_out_of_range(name: str, value: int) -> None:
    with pytest.raises(ValueError, match=f"{name} of detection is {value}"):
        DetectionConfig(**{name: value})
