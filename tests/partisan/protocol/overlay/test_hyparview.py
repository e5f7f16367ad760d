# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heliograph.partisan.protocol.overlay import interface as on
from heliograph.partisan.protocol.overlay.hyparview import HIGH, LOW, HyParView
from heliograph.partisan.protocol.overlay.settings import HyParViewConfig
from heliograph.partisan.simulator.graphs import components
from heliograph.partisan.wire import Atom, NodeSpec, TermMap, decode, encode
from heliograph.partisan.wire.messages import (
    UNDEFINED,
    Disconnect,
    Disconnection,
    ForwardJoin,
    Join,
    Message,
    Neighbor,
    NeighborAccepted,
    NeighborRejected,
    NeighborRejectedPlainly,
    NeighborRequest,
    Ping,
    Shuffle,
    ShuffleReply,
    parse,
)
from tests.partisan.protocol.overlay.pool import SECOND, Pool, sent, spec, told

NEVER = Disconnection(1, 0)
ME = spec(0)


def node(
    *neighbors: int, passive: Any = (), active: int = 2, seed: int = 1, **options: Any
) -> HyParView:
    return HyParView(
        ME,
        random=random.Random(seed),
        config=HyParViewConfig(active=active, **options),
        neighbors=[spec(each) for each in neighbors],
        passive=[spec(each) for each in passive],
    )


def receive(node: HyParView, sender: int, message: Message, now: int = 0) -> list[on.Effect]:
    return node.handle(on.Received(spec(sender).name, message), now)


def names(view: Any) -> set[int]:
    return {int(name.partition("@")[0][1:]) for name in view}


# --- joining ---


def test_who_joins_tells_its_contact() -> None:
    (effect,) = node().handle(on.Join(spec(1)), 0)

    assert effect == on.Send((spec(1),), Join(ME, UNDEFINED, 1))


def test_joining_oneself_does_nothing() -> None:
    assert node().handle(on.Join(ME), 0) == []
    assert receive(node(), 0, Join(ME, UNDEFINED, 1)) == []


def test_a_joiner_becomes_a_neighbor_and_the_others_are_told() -> None:
    contact = node(1, active=5)

    effects = receive(contact, 2, Join(spec(2), UNDEFINED, 1))

    assert told(effects) == [(spec(2).name, "up")]
    assert sent(effects) == [(spec(2).name, "Neighbor"), (spec(1).name, "ForwardJoin")]
    assert names(contact.neighbors) == {1, 2}


def test_a_full_contact_gives_up_a_neighbor_for_a_joiner_and_keeps_it_as_a_replacement() -> None:
    contact = node(1, 2)

    effects = receive(contact, 3, Join(spec(3), UNDEFINED, 1))

    victim = ({1, 2} - names(contact.neighbors)).pop()
    assert told(effects) == [(spec(victim).name, "evicted"), (spec(3).name, "up")]
    assert (spec(victim).name, "Disconnect") in sent(effects)
    assert (spec(victim).name, "ForwardJoin") not in sent(effects)
    assert names(contact.passive) == {victim}
    assert on.Hangup(spec(victim).name, "evicted") in effects
    assert contact.statistics.evictions == 1


def test_who_joins_again_from_elsewhere_is_known_by_its_new_address() -> None:
    contact = node(1)
    moved = spec(1, port=4_000)

    effects = receive(contact, 1, Join(moved, UNDEFINED, 2))

    assert contact.neighbors[moved.name] == moved
    assert sent(effects) == [(moved.name, "Neighbor")]
    assert told(effects) == []


def test_a_forwarded_join_walks_on_and_leaves_a_replacement_on_its_way() -> None:
    middle = node(1, 2)
    walk = middle.config.passive_walk

    effects = receive(middle, 1, ForwardJoin(spec(3), UNDEFINED, 1, walk, spec(1)))

    (forwarded,) = effects
    assert isinstance(forwarded, on.Send)
    assert forwarded == on.Send((spec(2),), ForwardJoin(spec(3), UNDEFINED, 1, walk - 1, ME))
    assert names(middle.passive) == {3}


@pytest.mark.parametrize(
    ("neighbors", "ttl", "joiner"),
    [
        ((1, 2), 0, 3),  # the walk ends
        ((1,), 5, 3),  # there is nobody else
        ((1, 3), 5, 3),  # but the joiner
    ],
)
def test_a_forwarded_join_ends_with_a_neighbor(
    neighbors: tuple[int, ...], ttl: int, joiner: int
) -> None:
    last = node(*neighbors)

    effects = receive(last, 1, ForwardJoin(spec(joiner), UNDEFINED, 1, ttl, spec(1)))

    assert joiner in names(last.neighbors)
    expected = [] if joiner in neighbors else [(spec(joiner).name, "Neighbor")]
    assert [each for each in sent(effects) if each[1] == "Neighbor"] == expected


def test_a_forwarded_join_of_oneself_is_ignored() -> None:
    assert receive(node(1, 2), 1, ForwardJoin(ME, UNDEFINED, 1, 0, spec(1))) == []


def test_whom_a_neighbor_has_made_its_own_is_its_neighbor() -> None:
    joiner = node()

    effects = receive(joiner, 1, Neighbor(spec(1), UNDEFINED, NEVER, ME))

    assert told(effects) == [(spec(1).name, "up")]
    assert receive(joiner, 1, Neighbor(spec(1), UNDEFINED, NEVER, ME)) == []


def test_a_node_is_never_its_own_neighbor() -> None:
    assert receive(node(), 0, Neighbor(ME, UNDEFINED, NEVER, ME)) == []


# --- requests ---


def request(sender: int, priority: Atom = LOW, known: Disconnection = NEVER) -> NeighborRequest:
    return NeighborRequest(spec(sender), priority, UNDEFINED, known, (spec(sender), spec(9)))


def test_a_request_is_accepted_where_there_is_room() -> None:
    asked = node(1)

    effects = receive(asked, 2, request(2))

    assert told(effects) == [(spec(2).name, "up")]
    assert sent(effects) == [(spec(2).name, "NeighborAccepted")]
    assert names(asked.passive) == {9}


def test_a_request_is_rejected_where_there_is_none_and_neighbors_are_checked_once() -> None:
    asked = node(1, 3)

    effects = receive(asked, 2, request(2))

    assert told(effects) == []
    assert sent(effects) == [(spec(2).name, "NeighborRejected")]
    assert on.Check((spec(1).name, spec(3).name)) in effects
    assert sent(receive(asked, 4, request(4))) == [(spec(4).name, "NeighborRejected")]
    assert asked.statistics.checks == 1
    assert names(asked.passive) == {2, 9, 4}


def test_checks_are_made_by_option() -> None:
    asked = node(1, 3, check_interval=None)

    assert len(receive(asked, 2, request(2))) == 1


def test_a_request_of_high_priority_is_accepted_in_any_case() -> None:
    asked = node(1, 3)

    effects = receive(asked, 2, request(2, HIGH))

    assert 2 in names(asked.neighbors)
    assert len(asked.neighbors) == 2
    assert asked.statistics.evictions == 1
    assert (spec(2).name, "NeighborAccepted") in sent(effects)


def test_who_asks_though_it_is_a_neighbor_is_accepted_again() -> None:
    assert sent(receive(node(1, 2), 2, request(2))) == [(spec(2).name, "NeighborAccepted")]


def test_what_was_asked_before_the_other_parted_does_not_count() -> None:
    asked = node(1, 2)
    receive(asked, 3, Join(spec(3), UNDEFINED, 1))  # one of them is disconnected
    parted = ({1, 2} - names(asked.neighbors)).pop()

    stale = receive(asked, parted, request(parted, HIGH))
    late = receive(asked, parted, Neighbor(spec(parted), UNDEFINED, NEVER, ME))
    later = receive(asked, parted, NeighborAccepted(spec(parted), UNDEFINED, NEVER, ()))
    again = on.Send((spec(parted),), Disconnect(ME, Disconnection(1, 1)))
    assert stale == [again, on.Check(tuple(asked.neighbors))]
    assert late == later == [again]
    assert asked.statistics.stale == 3
    fresh = receive(asked, parted, request(parted, HIGH, Disconnection(1, 1)))
    assert (spec(parted).name, "NeighborAccepted") in sent(fresh)


def test_what_was_said_before_by_who_is_a_neighbor_again_changes_nothing() -> None:
    asked = node(1, 2)
    receive(asked, 3, Join(spec(3), UNDEFINED, 1))
    parted = ({1, 2} - names(asked.neighbors)).pop()
    receive(asked, parted, request(parted, HIGH, Disconnection(1, 1)))

    assert receive(asked, parted, Neighbor(spec(parted), UNDEFINED, NEVER, ME)) == []
    assert parted in names(asked.neighbors)


def test_who_had_not_heard_of_a_disconnection_asks_again_at_once() -> None:
    loser = node(1, 2, passive=(3,))
    loser.handle(on.Lost(spec(1).name), 0)

    (again,) = receive(loser, 3, Disconnect(spec(3), Disconnection(1, 4)))

    assert isinstance(again, on.Send)
    assert isinstance(again.message, NeighborRequest)
    assert again.message.disconnection == Disconnection(1, 4)
    assert receive(loser, 3, Disconnect(spec(3), Disconnection(1, 4))) == []


def test_nobody_is_a_neighbor_of_itself_by_a_request() -> None:
    assert receive(node(1), 0, request(0, HIGH)) == []


def test_a_lost_neighbor_is_replaced() -> None:
    loser = node(1, 2, passive=(3,))

    effects = loser.handle(on.Lost(spec(1).name, "failure"), 0)

    assert told(effects) == [(spec(1).name, "failure")]
    assert sent(effects) == [(spec(3).name, "NeighborRequest")]
    asked = effects[-1]
    assert isinstance(asked, on.Send)
    assert isinstance(asked.message, NeighborRequest)
    assert asked.message.priority == LOW
    accepted = NeighborAccepted(spec(3), UNDEFINED, NEVER, (spec(3), spec(8)))
    assert told(receive(loser, 3, accepted)) == [(spec(3).name, "up")]
    assert names(loser.passive) == {8}
    assert loser.statistics.accepted == 1


def test_who_has_nobody_left_asks_with_high_priority() -> None:
    effects = node(1, passive=(3,)).handle(on.Lost(spec(1).name), 0)

    (asked,) = [each for each in effects if isinstance(each, on.Send)]
    assert isinstance(asked.message, NeighborRequest)
    assert asked.message.priority == HIGH


@pytest.mark.parametrize("plainly", [False, True])
def test_after_a_rejection_the_next_is_asked(plainly: bool) -> None:
    loser = node(1, 2, passive=(3, 4))
    (first,) = {name for name, _ in sent(loser.handle(on.Lost(spec(1).name), 0))}
    asked = names([first]).pop()
    rejection: Message = NeighborRejected(spec(asked), ())
    if plainly:
        rejection = NeighborRejectedPlainly(spec(asked))

    effects = receive(loser, asked, rejection)

    other = ({3, 4} - {asked}).pop()
    assert sent(effects) == [(spec(other).name, "NeighborRequest")]
    assert on.Hangup(spec(asked).name, "refused") in effects
    assert receive(loser, asked, rejection) == []
    assert loser.statistics.rejected == 1


def test_after_some_rejections_nobody_is_asked_until_the_next_attempt() -> None:
    loser = node(1, passive=range(2, 20), attempts=2, active=1)
    effects = loser.handle(on.Lost(spec(1).name), 0)
    for _ in range(2):
        ((name, _),) = sent(effects)
        effects = receive(
            loser, names([name]).pop(), NeighborRejected(loser.passive[Atom(name)], ())
        )

    assert sent(effects) == []
    assert len(sent(loser.handle(on.Fired("promotion"), SECOND))) == 1


def test_a_rejection_by_who_is_a_neighbor_meanwhile_does_not_close_its_connection() -> None:
    loser = node(1, 2, passive=(3,))
    loser.handle(on.Lost(spec(1).name), 0)
    receive(loser, 3, Neighbor(spec(3), UNDEFINED, NEVER, ME))
    loser.request(spec(3), 0)

    effects = receive(loser, 3, NeighborRejected(spec(3), ()))

    assert not [each for each in effects if isinstance(each, on.Hangup)]


def test_a_replacement_that_cannot_be_reached_is_forgotten_and_the_next_asked() -> None:
    loser = node(1, 2, passive=(3, 4))
    (asked,) = names(name for name, _ in sent(loser.handle(on.Lost(spec(1).name), 0)))

    effects = loser.handle(on.Lost(spec(asked).name, "refused"), 0)

    other = ({3, 4} - {asked}).pop()
    assert sent(effects) == [(spec(other).name, "NeighborRequest")]
    assert names(loser.passive) == {other}


def test_who_accepts_when_the_place_is_taken_is_told_so_and_nobody_loses_his() -> None:
    loser = node(1, 2, passive=(3,))
    loser.handle(on.Lost(spec(1).name), 0)
    receive(loser, 4, Join(spec(4), UNDEFINED, 1))

    effects = receive(loser, 3, NeighborAccepted(spec(3), UNDEFINED, NEVER, ()))

    assert sent(effects) == [(spec(3).name, "Disconnect")]
    assert names(loser.neighbors) == {2, 4}
    assert names(loser.passive) == {3}


def test_an_answer_that_does_not_come_is_not_waited_for() -> None:
    loser = node(1, 2, passive=(3,))
    loser.handle(on.Lost(spec(1).name), 0)

    early = loser.handle(on.Fired("promotion"), SECOND)
    late = loser.handle(on.Fired("promotion"), 3 * SECOND)

    assert sent(early) == []
    assert sent(late) == [(spec(3).name, "NeighborRequest")]


# --- disconnections ---


def test_who_is_disconnected_looks_for_another() -> None:
    other = node(1, 2, passive=(3,))

    effects = receive(other, 1, Disconnect(spec(1), Disconnection(1, 1)))

    assert told(effects) == [(spec(1).name, "evicted")]
    assert sent(effects) == [(spec(3).name, "NeighborRequest")]
    assert names(other.passive) == {1, 3}
    assert receive(other, 1, Disconnect(spec(1), Disconnection(1, 1))) == []


def test_the_number_of_the_last_disconnection_is_repeated() -> None:
    other = node(1)
    receive(other, 1, Disconnect(spec(1), Disconnection(1, 4)))

    (asked,) = other.handle(on.Fired("promotion"), 0)[1:]

    assert isinstance(asked, on.Send)
    assert isinstance(asked.message, NeighborRequest)
    assert asked.message.disconnection == Disconnection(1, 4)


def test_disconnections_are_numbered_from_one_in_each_life() -> None:
    evicting = HyParView(
        ME,
        random=random.Random(1),
        config=HyParViewConfig(active=1),
        epoch=3,
        neighbors=[spec(1)],
    )
    numbers = [
        effect.message.disconnection
        for other in (2, 1, 2)
        for effect in receive(evicting, other, Join(spec(other), UNDEFINED, 1))
        if isinstance(effect, on.Send) and isinstance(effect.message, Disconnect)
    ]

    # Those to one node go on, even if it has joined anew: else it would take them for old ones.
    assert numbers == [Disconnection(3, 1), Disconnection(3, 1), Disconnection(3, 2)]


def test_a_disconnection_of_a_stranger_makes_a_replacement_of_it() -> None:
    other = node(1, 2)

    assert receive(other, 5, Disconnect(spec(5), Disconnection(1, 1))) == []
    assert names(other.passive) == {5}


# --- the dead, and those who left ---


def test_a_late_answer_does_not_revive_the_dead() -> None:
    loser = node(1, 2, passive=(3,))
    loser.handle(on.Lost(spec(1).name), 0)
    receive(loser, 3, NeighborAccepted(spec(3), UNDEFINED, NEVER, ()))
    loser.handle(on.Lost(spec(3).name), 0)

    hour = 3_600 * SECOND
    assert receive(loser, 2, ForwardJoin(spec(3), UNDEFINED, 1, 0, spec(2)), SECOND) == []
    receive(loser, 2, Shuffle((spec(2), spec(3)), 0, spec(2)), SECOND)
    assert 3 not in names(loser.neighbors) | names(loser.passive)
    assert loser.statistics.denied == 2
    for late in (
        NeighborAccepted(spec(3), UNDEFINED, NEVER, ()),
        Neighbor(spec(3), UNDEFINED, NEVER, ME),
        request(3, HIGH),
    ):
        for now in (SECOND, hour):
            effects = receive(loser, 3, late, now)
            assert told(effects) == []
            assert (spec(3).name, "Disconnect") in sent(effects)
    assert loser.statistics.stale == 6
    assert 3 not in names(loser.neighbors)


def test_nor_does_that_of_a_replacement_that_died_before_it_was_a_neighbor() -> None:
    loser = node(1, 2, passive=(3,))
    loser.handle(on.Lost(spec(1).name), 0)
    loser.handle(on.Lost(spec(3).name, "closed"), 0)

    effects = receive(loser, 3, NeighborAccepted(spec(3), UNDEFINED, NEVER, ()), SECOND)

    assert told(effects) == []
    assert sent(effects) == [(spec(3).name, "Disconnect")]


@pytest.mark.parametrize("how", ["asking again", "joining", "invitation", "walk", "time"])
def test_who_has_died_may_come_back(how: str) -> None:
    loser = node(1)
    loser.handle(on.Lost(spec(1).name), 0)
    now = SECOND
    comeback: Message = Neighbor(spec(1), UNDEFINED, NEVER, ME)
    if how == "asking again":
        (no, *_) = receive(loser, 1, request(1), now)
        assert isinstance(no, on.Send)
        assert isinstance(no.message, Disconnect)
        comeback = request(1, LOW, no.message.disconnection)
    elif how == "joining":
        comeback = Join(spec(1), UNDEFINED, 1)
    elif how == "invitation":
        loser.handle(on.Join(spec(1)), now)
    elif how == "walk":
        loser.handle(on.Met(spec(1).name), now)
        comeback = ForwardJoin(spec(1), UNDEFINED, 1, 0, spec(1))
    else:
        now = loser.config.deny_for
        comeback = ForwardJoin(spec(1), UNDEFINED, 1, 0, spec(1))

    assert told(receive(loser, 1, comeback, now))


def test_who_is_dead_is_let_in_when_it_joins() -> None:
    loser = node(1)
    loser.handle(on.Lost(spec(1).name), 0)

    assert told(receive(loser, 1, Join(spec(1), UNDEFINED, 2), SECOND)) == [(spec(1).name, "up")]


def test_who_leaves_tells_its_neighbors_and_knows_nobody_any_more() -> None:
    leaver = node(1, 2, passive=(3,))

    effects = leaver.handle(on.Leave(), 0)

    assert sent(effects) == [(spec(1).name, "Disconnect"), (spec(2).name, "Disconnect")]
    assert told(effects) == [(spec(1).name, "leave"), (spec(2).name, "leave")]
    assert on.Left() in effects
    assert not leaver.neighbors
    assert not leaver.passive
    assert leaver.handle(on.Leave(), 0) == []
    assert leaver.handle(on.Fired("shuffle"), 0) == []
    assert leaver.handle(on.Lost(spec(1).name), 0) == []


def test_who_left_is_no_ghost() -> None:
    leaver, stayer = node(1), HyParView(spec(1), random=random.Random(1), neighbors=[ME])
    (farewell, *_) = leaver.handle(on.Leave(), 0)
    assert isinstance(farewell, on.Send)

    effects = stayer.handle(on.Received(ME.name, farewell.message), 0)
    told_of = Shuffle((spec(2), ME), 0, spec(2))
    stayer.handle(on.Received(spec(2).name, told_of), 300 * SECOND)
    walk = ForwardJoin(ME, UNDEFINED, 1, 0, spec(2))
    stayer.handle(on.Received(spec(2).name, walk), 300 * SECOND)
    late = stayer.handle(on.Received(ME.name, Neighbor(ME, UNDEFINED, NEVER, spec(1))), SECOND)

    assert told(effects) == [(ME.name, "leave")]
    assert sent(late) == [(ME.name, "Disconnect")]
    assert ME.name not in {*stayer.passive, *stayer.neighbors}


@pytest.mark.parametrize(
    "knock",
    [
        Join(spec(1), UNDEFINED, 1),
        NeighborRequest(spec(1), HIGH, UNDEFINED, NEVER, ()),
        Neighbor(spec(1), UNDEFINED, NEVER, ME),
        NeighborAccepted(spec(1), UNDEFINED, NEVER, ()),
        Shuffle((), 0, spec(1)),
        ForwardJoin(spec(2), UNDEFINED, 1, 3, spec(1)),
    ],
    ids=lambda message: type(message).__name__,
)
def test_who_takes_one_that_left_for_a_member_is_told(knock: Message) -> None:
    leaver = node(1)
    leaver.handle(on.Leave(), 0)
    asking = HyParView(spec(1), random=random.Random(1), passive=[ME, spec(2)])

    (farewell, hangup) = receive(leaver, 1, knock)
    assert isinstance(farewell, on.Send)
    assert not leaver.neighbors
    asking.handle(on.Start(), 0)
    effects = asking.handle(on.Received(ME.name, farewell.message), 0)

    assert hangup == on.Hangup(spec(1).name, "leave")
    assert names(asking.passive) == {2}
    assert told(effects) == []


def test_who_left_says_nothing_to_what_needs_no_answer() -> None:
    leaver = node(1)
    leaver.handle(on.Leave(), 0)

    assert receive(leaver, 1, ShuffleReply((), spec(1))) == []
    assert receive(leaver, 1, Disconnect(spec(1), Disconnection(1, 1))) == []


@pytest.mark.parametrize("how", ["walk", "joining", "asking", "telling", "accepting", "time"])
def test_who_left_comes_back_by_its_own_will(how: str) -> None:
    stayer = node(1)
    receive(stayer, 1, Disconnect(spec(1), Disconnection(1, 1 << 40)))
    now = SECOND
    knows = Disconnection(1, 1)
    comeback: Message = ForwardJoin(spec(1), UNDEFINED, 2, 0, spec(2))
    if how == "joining":
        comeback = Join(spec(1), UNDEFINED, 2)
    elif how == "asking":
        comeback = request(1, LOW, knows)
    elif how == "telling":
        comeback = Neighbor(spec(1), UNDEFINED, knows, ME)
    elif how == "accepting":
        comeback = NeighborAccepted(spec(1), UNDEFINED, knows, ())
    elif how == "time":
        comeback = ForwardJoin(spec(1), UNDEFINED, 1, 0, spec(2))
        now = stayer.config.departed_for

    assert told(stayer.handle(on.Received(None, comeback), now)) == [(spec(1).name, "up")]
    receive(stayer, 2, Shuffle((spec(2), spec(1)), 0, spec(2)), now)
    assert 1 in names(stayer.neighbors)


def test_another_node_may_be_expelled() -> None:
    mine = node(1, 2, passive=(3, 4))

    effects = mine.handle(on.Leave(spec(1)), 0)
    mine.handle(on.Leave(spec(4)), 0)
    receive(mine, 2, Shuffle((spec(2), spec(1), spec(4)), 0, spec(2)), SECOND)

    assert told(effects) == [(spec(1).name, "leave")]
    assert sent(effects)[0] == (spec(1).name, "Disconnect")
    assert on.Hangup(spec(1).name, "leave") in effects
    assert not {1, 4} & (names(mine.neighbors) | names(mine.passive))
    assert not mine.left
    assert told(receive(mine, 1, Join(spec(1), UNDEFINED, 1), SECOND)) == [(spec(1).name, "up")]
    assert mine.handle(on.Leave(ME), SECOND)
    assert mine.left


def test_who_left_may_join_again() -> None:
    leaver = node(1)
    leaver.handle(on.Leave(), 0)

    effects = leaver.handle(on.Join(spec(1)), 0)

    assert sent(effects) == [(spec(1).name, "Join")]
    assert [each.timer for each in effects if isinstance(each, on.SetTimer)] == [
        "shuffle",
        "promotion",
        "probe",
        "survey",
    ]
    assert not leaver.left
    assert leaver.epoch == 2
    message = effects[-1]
    assert isinstance(message, on.Send)
    assert message.message == Join(ME, UNDEFINED, 2)


# --- shuffles ---


def test_a_shuffle_tells_of_oneself_and_of_some_one_knows() -> None:
    shuffling = node(*range(1, 6), passive=range(10, 20), active=5)

    timer, effect = shuffling.handle(on.Fired("shuffle"), 0)

    assert timer == on.SetTimer("shuffle", shuffling.config.shuffle_interval)
    assert isinstance(effect, on.Send)
    message = effect.message
    assert isinstance(message, Shuffle)
    assert message.exchange[0] == ME
    assert len(names(each.name for each in message.exchange) & {*range(1, 6)}) == 3
    assert len(names(each.name for each in message.exchange) & {*range(10, 20)}) == 4


def test_nobody_shuffles_alone() -> None:
    assert len(node().handle(on.Fired("shuffle"), 0)) == 1


def test_a_shuffle_walks_on_until_its_end() -> None:
    middle = node(1, 2)
    onward = receive(middle, 1, Shuffle((spec(7),), 3, spec(1)))
    end = receive(middle, 1, Shuffle((spec(7),), 0, spec(1)))

    assert onward == [on.Send((spec(2),), Shuffle((spec(7),), 2, ME))]
    assert end == [on.Send((spec(1),), ShuffleReply((), ME))]
    assert names(middle.passive) == {7}


def test_a_shuffle_that_cannot_walk_on_ends() -> None:
    assert sent(receive(node(1), 1, Shuffle((spec(7),), 3, spec(1)))) == [
        (spec(1).name, "ShuffleReply")
    ]


def test_an_answer_brings_as_many_as_were_told_of() -> None:
    answering = node(1, 2, passive=range(10, 20))

    ((answer),) = receive(answering, 1, Shuffle((spec(7), spec(8)), 0, spec(1)))

    assert isinstance(answer, on.Send)
    assert isinstance(answer.message, ShuffleReply)
    assert len(answer.message.exchange) == 2


def test_who_was_told_of_makes_room_for_who_is_new() -> None:
    shuffling = HyParView(
        ME,
        random=random.Random(1),
        config=HyParViewConfig(passive=4, shuffle_passive=2),
        neighbors=[spec(1)],
        passive=[spec(each) for each in range(10, 14)],
    )
    (_, effect) = shuffling.handle(on.Fired("shuffle"), 0)
    assert isinstance(effect, on.Send)
    assert isinstance(effect.message, Shuffle)
    told_of = names(each.name for each in effect.message.exchange) & {*range(10, 14)}

    receive(shuffling, 1, ShuffleReply((spec(30), spec(31)), spec(1)))
    assert names(shuffling.passive) == ({*range(10, 14)} - told_of) | {30, 31}

    receive(shuffling, 1, ShuffleReply((spec(32), spec(10), spec(1), ME), spec(1)))
    assert len(shuffling.passive) == 4
    assert 32 in names(shuffling.passive)


def test_of_more_strangers_than_there_are_places_some_are_taken() -> None:
    small = node(1, passive=(10, 11))
    small.config = HyParViewConfig(passive=3)

    receive(small, 1, ShuffleReply(tuple(spec(each) for each in range(20, 28)), spec(1)))

    assert len(small.passive) == 3


def test_replacements_make_room_for_each_other() -> None:
    full = node(1, 2, passive=range(10, 40))

    receive(full, 5, Disconnect(spec(5), Disconnection(1, 1)))

    assert len(full.passive) == 30
    assert 5 in names(full.passive)


def test_a_node_that_starts_asks_whom_it_knew() -> None:
    effects = node(passive=(1, 2, 3)).handle(on.Start(), 0)

    assert len(sent(effects)) == 2
    assert {kind for _, kind in sent(effects)} == {"NeighborRequest"}


# --- hostile and useless input ---


@pytest.mark.parametrize(
    "message",
    [
        ForwardJoin(spec(5), UNDEFINED, 1, -1, spec(1)),
        ForwardJoin(spec(5), UNDEFINED, 1, 65, spec(1)),
        Shuffle((), -1, spec(1)),
        Shuffle((), 65, spec(1)),
        Shuffle((spec(5),) * 65, 1, spec(1)),
        ShuffleReply((spec(5),) * 65, spec(1)),
        NeighborRequest(spec(1), HIGH, UNDEFINED, NEVER, (spec(5),) * 65),
        NeighborAccepted(spec(1), UNDEFINED, NEVER, (spec(5),) * 65),
        NeighborRejected(spec(1), (spec(5),) * 65),
        Ping(Atom("n1"), 1, 2),
    ],
    ids=[
        "join below",
        "join beyond",
        "shuffle below",
        "shuffle beyond",
        "shuffle",
        "answer",
        "request",
        "acceptance",
        "rejection",
        "another protocol",
    ],
)
def test_what_is_out_of_all_bounds_is_counted_and_dropped(message: Message) -> None:
    target = node(2)

    (dropped,) = receive(target, 1, message)

    assert isinstance(dropped, on.Dropped)
    assert dropped.peer == spec(1).name
    assert dropped.reason == ("unknown" if isinstance(message, Ping) else "malformed")
    assert target.statistics.malformed == 1
    assert names(target.neighbors) == {2}
    assert not target.passive


def test_who_speaks_for_somebody_else_is_not_heard() -> None:
    target = node(1)

    effects = receive(target, 2, Disconnect(spec(1), Disconnection(1, 1)))

    assert effects == [on.Dropped(spec(2).name, "disconnect", "forged")]
    assert target.statistics.forged == 1
    assert names(target.neighbors) == {1}


def test_where_nobody_knows_who_speaks_the_message_is_believed() -> None:
    target = node(1)

    effects = target.handle(on.Received(None, Disconnect(spec(1), Disconnection(1, 1))), 0)

    assert told(effects) == [(spec(1).name, "evicted")]


def test_who_just_hung_up_stays_a_replacement() -> None:
    target = node(1, passive=(2, 3))

    target.handle(on.Lost(spec(2).name, "closed"), 0)

    assert names(target.passive) == {2, 3}


def test_a_view_without_room_is_refused() -> None:
    with pytest.raises(ValueError, match="active=0: a view has at least one place"):
        HyParViewConfig(active=0)
    with pytest.raises(ValueError, match="denied=0: at least one is remembered"):
        HyParViewConfig(denied=0)


def test_timers_nobody_set_do_nothing() -> None:
    assert node(1).handle(on.Fired("xbot"), 0) == []


def test_the_state_is_what_the_original_tells() -> None:
    state = decode(encode(node(1).state()))

    match state:
        case ("state", view, 1):
            assert isinstance(view, TermMap)
            assert [NodeSpec.parse(key) for key in [*view]] == [ME, spec(1)]
        case _:
            pytest.fail(str(state))


# --- many nodes ---


def joined(count: int, seed: int) -> Pool:
    config = HyParViewConfig()
    pool = Pool(lambda mine, chance: HyParView(mine, random=chance, config=config), seed)
    contact = pool.add(0)
    for number in range(1, count):
        name = pool.add(number).name
        pool.do(name, on.Join(contact))
    settle(pool)
    return pool


def settle(pool: Pool, rounds: int = 6) -> None:
    for _ in range(rounds):
        pool.now += 10 * SECOND
        pool.fire("shuffle", "promotion")


def connected(pool: Pool) -> bool:
    views = pool.views()
    numbers = {name: at for at, name in enumerate(views)}
    graph = [[numbers[each] for each in view if each in numbers] for view in views.values()]
    return len(components(graph)) == 1


def symmetric(pool: Pool) -> bool:
    views = pool.views()
    return all(name in views.get(each, ()) for name, view in views.items() for each in view)


@pytest.mark.parametrize("seed", range(5))
def test_views_are_full_symmetric_and_connected(seed: int) -> None:
    pool = joined(60, seed)

    assert connected(pool)
    assert symmetric(pool)
    assert sum(len(view) == 5 for view in pool.views().values()) >= 54


@pytest.mark.parametrize("seed", range(5))
def test_after_half_of_the_nodes_failed_the_others_are_one(seed: int) -> None:
    pool = joined(60, seed)
    for name in pool.random.sample(sorted(pool.nodes), 30):
        pool.kill(name)
    settle(pool, 2)

    assert connected(pool)
    assert symmetric(pool)


def actions() -> st.SearchStrategy[list[tuple[str, int, int]]]:
    kinds = st.sampled_from(["join", "leave", "kill", "shuffle", "promotion", "probe", "lose"])
    return st.lists(st.tuples(kinds, st.integers(0, 9), st.integers(0, 9)), max_size=60)


def steps(pool: Pool, planned: list[tuple[str, int, int]]) -> Iterator[None]:
    for kind, one, other in planned:
        name, peer = spec(one).name, spec(other).name
        pool.now += SECOND
        if name in pool.dead:
            continue
        if kind == "join":
            pool.do(name, on.Join(spec(other)))
        elif kind == "leave":
            pool.do(name, on.Leave())
        elif kind == "kill":
            pool.kill(name)
        elif kind == "lose":
            for lost, by in ((name, peer), (peer, name)):
                if lost not in pool.dead:
                    pool.do(lost, on.Lost(by, "failure"))
        else:
            pool.do(name, on.Fired(kind))
        yield


@settings(max_examples=150, deadline=None)
@given(planned=actions(), seed=st.integers(0, 1000))
def test_whatever_happens_views_stay_within_bounds_and_agree_with_what_was_told(
    planned: list[tuple[str, int, int]], seed: int
) -> None:
    config = HyParViewConfig(active=2, passive=4)
    pool = Pool(lambda mine, chance: HyParView(mine, random=chance, config=config), seed)
    for number in range(10):
        pool.add(number)

    for _ in steps(pool, planned):
        up: dict[Atom, set[Atom]] = {name: set() for name in pool.nodes}
        for name, effect in pool.log:
            if isinstance(effect, on.NeighborUp):
                assert effect.spec.name not in up[name]
                up[name].add(effect.spec.name)
            elif isinstance(effect, on.NeighborDown):
                up[name].remove(effect.spec.name)
        for name, overlay in pool.nodes.items():
            assert isinstance(overlay, HyParView)
            assert set(overlay.neighbors) == up[name]
            assert len(overlay.neighbors) <= 2
            assert len(overlay.passive) <= 4
            assert not overlay.neighbors.keys() & overlay.passive.keys()
            assert name not in overlay.neighbors.keys() | overlay.passive.keys()
        assert symmetric(pool)


def test_messages_go_over_the_wire_as_they_are() -> None:
    pool = joined(8, 1)
    kinds = set()
    for _, effect in pool.log:
        if isinstance(effect, on.Send):
            kinds.add(type(effect.message))
            assert parse(decode(encode(effect.message.term()))) == effect.message

    assert kinds >= {Join, ForwardJoin, Neighbor, Disconnect, NeighborRequest, Shuffle}


# --- as the original does it ---


def test_the_original_asks_one_at_a_time_and_always_with_high_priority() -> None:
    loser = node(1, 2, 3, passive=(4, 5, 6), active=4, as_original=True, look_over=False)

    effects = loser.handle(on.Lost(spec(1).name), 0)

    (asked,) = [each for each in effects if isinstance(each, on.Send)]
    assert isinstance(asked.message, NeighborRequest)
    assert asked.message.priority == HIGH
    assert sent(loser.handle(on.Lost(spec(2).name), 0)) == []


def test_the_original_does_not_look_for_another_while_somebody_is_left() -> None:
    loser = node(1, 2, passive=(4, 5), as_original=True)

    first = receive(loser, 1, Disconnect(spec(1), Disconnection(1, 1)))
    second = receive(loser, 2, Disconnect(spec(2), Disconnection(1, 1)))

    assert sent(first) == []
    assert [kind for _, kind in sent(second)] == ["NeighborRequest"]
