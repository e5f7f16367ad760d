# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import random
from typing import Any

import pytest

from heliograph.partisan.protocol.overlay import interface as on
from heliograph.partisan.protocol.overlay.scamp import ScampConfig, ScampV1, ScampV2
from heliograph.partisan.simulator.graphs import components
from heliograph.partisan.wire import Atom, TermMap, decode, encode
from heliograph.partisan.wire.messages import (
    UNDEFINED,
    BootstrapRemoveSubscription,
    ForwardSubscription,
    KeepSubscription,
    Message,
    Ping,
    RemoveSubscription,
    ReplaceSubscription,
    ScampPing,
)
from tests.partisan.protocol.overlay.pool import SECOND, Pool, sent, spec, told

ME = spec(0)
VERSIONS = [ScampV1, ScampV2]
Kind = type[ScampV1] | type[ScampV2]


class Fixed(random.Random):
    """Always draws the same."""

    def __init__(self, value: float) -> None:
        super().__init__(1)
        self.value = value

    def random(self) -> float:
        return self.value


def node(kind: Kind, *view: int, keeps: bool = True, **options: Any) -> ScampV1 | ScampV2:
    made = kind(ME, random=Fixed(0.0 if keeps else 0.999), config=ScampConfig(**options))
    made.neighbors = {spec(each).name: spec(each) for each in view}
    return made


def receive(
    node: ScampV1 | ScampV2, sender: int | None, message: Message, now: int = 0
) -> list[on.Effect]:
    peer = None if sender is None else spec(sender).name
    return node.handle(on.Received(peer, message), now)


@pytest.mark.parametrize("kind", VERSIONS)
def test_who_joins_has_its_contact_in_its_view_and_subscribes(kind: Kind) -> None:
    joiner = node(kind)

    effects = joiner.handle(on.Join(spec(1)), 0)

    assert told(effects) == [(spec(1).name, "up")]
    assert effects[-1] == on.Send((spec(1),), ForwardSubscription(ME))
    assert joiner.handle(on.Join(ME), 0) == []


def test_as_in_the_original_who_joins_tells_its_neighbors_of_its_contact() -> None:
    joiner = node(ScampV2, 1, 2, as_original=True)

    effects = joiner.handle(on.Join(spec(3)), 0)

    told_of = [e for e in effects if isinstance(e, on.Send)][1:]
    assert {e.message for e in told_of} == {ForwardSubscription(spec(3))}
    assert sorted(to.name for e in told_of for to in e.to) == [spec(n).name for n in (1, 1, 2, 2)]


@pytest.mark.parametrize(("kind", "copies"), [(ScampV1, 5), (ScampV2, 4)])
def test_a_contact_tells_its_view_and_some_of_it_again(kind: Kind, copies: int) -> None:
    contact = node(kind, 1, 2)

    effects = receive(contact, 3, ForwardSubscription(spec(3)))

    assert sent(effects)[:2] == [(spec(n).name, "ForwardSubscription") for n in (1, 2)]
    assert len(sent(effects)) == 2 + copies
    assert contact.statistics.passed == 2 + copies


def test_a_contact_that_knows_nobody_keeps_who_comes() -> None:
    assert told(receive(node(ScampV1), 3, ForwardSubscription(spec(3)))) == [(spec(3).name, "up")]


def test_a_subscription_is_kept_or_passed_on() -> None:
    keeper, other = node(ScampV1, 1), node(ScampV1, 1, 2, keeps=False)

    kept = receive(keeper, 1, ForwardSubscription(spec(3)))
    passed = receive(other, 1, ForwardSubscription(spec(3)))

    assert told(kept) == [(spec(3).name, "up")]
    assert sent(kept) == []
    assert len(sent(passed)) == 1
    assert (keeper.statistics.kept, other.statistics.passed) == (1, 1)


def test_who_keeps_a_subscription_says_so_in_version_2() -> None:
    kept = receive(node(ScampV2, 1), 1, ForwardSubscription(spec(3)))

    assert sent(kept) == [(spec(3).name, "KeepSubscription")]


def test_the_probability_to_keep_falls_with_the_view() -> None:
    for size, draw, keeps in ((1, 0.49, True), (1, 0.51, False), (9, 0.09, True), (9, 0.11, False)):
        keeper = node(ScampV1, *range(1, 1 + size))
        keeper._random = Fixed(draw)
        assert bool(told(receive(keeper, 1, ForwardSubscription(spec(99))))) is keeps
    original = node(ScampV1, *range(1, 10), as_original=True)
    original._random = Fixed(0.39)
    assert told(receive(original, 99, ForwardSubscription(spec(99))))


def test_a_full_view_keeps_nobody() -> None:
    full = node(ScampV1, 1, 2, view=2)

    assert told(receive(full, 1, ForwardSubscription(spec(3)))) == []


def test_ones_own_subscription_goes_on_until_somebody_keeps_it() -> None:
    own = node(ScampV1, 1)

    assert receive(own, 1, ForwardSubscription(ME)) == [
        on.Send((spec(1),), ForwardSubscription(ME))
    ]
    assert list(own.neighbors) == [spec(1).name]


def test_a_subscription_that_comes_again_and_again_is_dropped() -> None:
    tired = node(ScampV1, 1, 2, passes=2)
    for _ in range(2):
        assert sent(receive(tired, 1, ForwardSubscription(spec(2))))

    assert receive(tired, 1, ForwardSubscription(spec(2))) == []
    assert tired.statistics.dropped == 1
    tired.handle(on.Fired("periodic"), 0)
    assert sent(receive(tired, 1, ForwardSubscription(spec(2))))


def test_a_subscription_that_nobody_else_can_take_ends() -> None:
    assert receive(node(ScampV1, 3), 3, ForwardSubscription(spec(3))) == []
    assert receive(node(ScampV1, 3), 9, ForwardSubscription(spec(3))) == []


def test_as_in_the_original_it_may_go_to_the_node_that_it_is_of() -> None:
    alone = node(ScampV1, 3, as_original=True)

    passed = on.Send((spec(3),), ForwardSubscription(spec(3)))
    assert receive(alone, 9, ForwardSubscription(spec(3))) == [passed]


def test_what_is_remembered_of_subscriptions_is_bounded() -> None:
    tired = node(ScampV1, 1, keeps=False, view=3)
    for number in range(10, 20):
        receive(tired, 1, ForwardSubscription(spec(number)))

    assert len(tired._passed) == 3


@pytest.mark.parametrize("kind", VERSIONS)
def test_neighbors_are_pinged_periodically(kind: Kind) -> None:
    pinging = node(kind, 1, 2)

    start = pinging.handle(on.Start(), 0)
    effects = pinging.handle(on.Fired("periodic"), 10 * SECOND)

    assert start == [on.SetTimer("periodic", 10 * SECOND)]
    assert effects == [
        on.SetTimer("periodic", 20 * SECOND),
        on.Send((spec(1), spec(2)), ScampPing(ME)),
    ]
    assert pinging.handle(on.Fired("other"), 0) == []


def test_who_hears_no_ping_for_long_subscribes_again() -> None:
    lonely = node(ScampV1, 1)
    receive(lonely, 1, ScampPing(spec(1)), 0)

    early = lonely.handle(on.Fired("periodic"), 100 * SECOND)
    late = lonely.handle(on.Fired("periodic"), 101 * SECOND)

    assert sent(early) == [(spec(1).name, "ScampPing")]
    assert sent(late) == [(spec(1).name, "ForwardSubscription"), (spec(1).name, "ScampPing")]


def test_so_does_who_has_never_heard_one_since_it_joined_and_soon() -> None:
    lonely, original = node(ScampV1), node(ScampV1, as_original=True)
    for each in (lonely, original):
        each.handle(on.Join(spec(1)), 0)

    early = lonely.handle(on.Fired("periodic"), 20 * SECOND)
    asked = [each.handle(on.Fired("periodic"), 21 * SECOND) for each in (lonely, original)]

    assert [kind for _, kind in sent(early)] == ["ScampPing"]
    assert [sent(effects)[0][1] for effects in asked] == ["ForwardSubscription", "ScampPing"]


def test_in_version_2_not_if_it_was_told_that_somebody_has_it() -> None:
    known = node(ScampV2)
    known.handle(on.Join(spec(1)), 0)
    receive(known, 1, KeepSubscription(spec(1)))

    soon = known.handle(on.Fired("periodic"), 21 * SECOND)
    late = known.handle(on.Fired("periodic"), 101 * SECOND)

    assert [kind for _, kind in sent(soon)] == ["ScampPing"]
    assert [kind for _, kind in sent(late)] == ["ForwardSubscription", "ScampPing"]


def test_who_has_lost_all_subscribes_through_whom_it_joined() -> None:
    lonely = node(ScampV1)
    lonely.handle(on.Join(spec(1)), 0)

    lost = lonely.handle(on.Lost(spec(1).name, "timeout"), 0)
    again = lonely.handle(on.Fired("periodic"), 0)

    assert told(lost) == [(spec(1).name, "timeout")]
    assert sent(again) == [(spec(1).name, "ForwardSubscription")]
    assert sent(node(ScampV1).handle(on.Fired("periodic"), 0)) == []


@pytest.mark.parametrize("kind", VERSIONS)
def test_who_is_pinged_connects_to_whom_it_has_not_so_that_answers_find_their_way(
    kind: Kind,
) -> None:
    known, original = node(kind, 1), node(kind, 1, as_original=True)

    assert receive(known, 1, ScampPing(spec(1))) == []
    assert receive(known, 2, ScampPing(spec(2))) == [on.Connect((spec(2),), 30 * SECOND)]
    assert receive(original, 2, ScampPing(spec(2))) == []


def test_who_has_lost_all_joins_at_once_through_the_last_that_has_it() -> None:
    lonely = node(ScampV1, 1)
    for each in (2, 3, 1):
        receive(lonely, each, ScampPing(spec(each)))

    lost = lonely.handle(on.Lost(spec(1).name), 0)
    lost_again = lonely.handle(on.Lost(spec(3).name), 0)

    assert told(lost)[-1] == (spec(3).name, "up")
    assert sent(lost) == [(spec(3).name, "ForwardSubscription")]
    assert told(lost_again)[-1] == (spec(2).name, "up")
    assert told(lonely.handle(on.Lost(spec(2).name), 0)) == [(spec(2).name, "failure")]
    assert lonely.statistics.renewed == 2


def test_but_not_through_who_has_left() -> None:
    lonely = node(ScampV1, 1)
    receive(lonely, 1, ScampPing(spec(1)))

    receive(lonely, 1, RemoveSubscription(spec(1)))

    assert sent(lonely.handle(on.Fired("periodic"), 0)) == []


def test_whom_it_remembers_is_bounded() -> None:
    known = node(ScampV1, 1, view=2)
    for each in (2, 3, 4):
        receive(known, each, ScampPing(spec(each)))
    for each in (4, 3, 1):
        known.handle(on.Lost(spec(each).name), 0)

    assert known.neighbors == {}


def test_in_version_1_who_leaves_is_forgotten_by_all_that_hear_of_it() -> None:
    leaver, other = node(ScampV1, 1, 2), node(ScampV1, 3, 1)

    effects = leaver.handle(on.Leave(), 0)
    heard = receive(other, 1, RemoveSubscription(spec(3)))

    assert sent(effects) == [(spec(n).name, "RemoveSubscription") for n in (1, 2)]
    assert told(effects) == [(spec(n).name, "leave") for n in (1, 2)]
    assert effects[-1] == on.Left()
    assert sent(heard) == [(spec(1).name, "RemoveSubscription")]
    assert told(heard) == [(spec(3).name, "leave")]
    assert receive(other, 1, RemoveSubscription(spec(3))) == []


def test_in_version_1_another_may_be_removed() -> None:
    remover = node(ScampV1, 1, 2)

    effects = remover.handle(on.Leave(spec(2)), 0)

    assert sent(effects) == [(spec(n).name, "RemoveSubscription") for n in (1, 2)]
    assert told(effects) == [(spec(2).name, "leave")]


@pytest.mark.parametrize("kind", VERSIONS)
def test_who_is_removed_belongs_to_no_cluster_any_more(kind: Kind) -> None:
    removed = node(kind, 1)

    effects = receive(removed, 1, RemoveSubscription(ME))

    assert effects[-1] == on.Left(removed=True)
    assert not removed.neighbors
    assert removed.handle(on.Leave(), 0)[-1] == on.Left()


def test_the_last_neighbor_is_forgotten_silently() -> None:
    assert sent(receive(node(ScampV1, 3), 3, RemoveSubscription(spec(3)))) == []


def test_in_version_2_who_leaves_gives_others_in_its_place() -> None:
    leaver = node(ScampV2, 1, 2, copies=2)
    for each in (11, 12, 13):
        receive(leaver, each, KeepSubscription(spec(each)))

    effects = leaver.handle(on.Leave(), 0)

    assert [(e.to, e.message) for e in effects if isinstance(e, on.Send)] == [
        ((spec(1), spec(2)), BootstrapRemoveSubscription(ME)),
        ((spec(11),), ReplaceSubscription(ME, spec(1))),
        ((spec(12),), ReplaceSubscription(ME, spec(2))),
        ((spec(13),), RemoveSubscription(ME)),
    ]
    assert effects[-1] == on.Left()


def test_in_version_2_others_may_ask_a_node_to_leave() -> None:
    remover, leaver = node(ScampV2, 1), node(ScampV2, 1)

    asked = remover.handle(on.Leave(spec(1)), 0)

    assert sent(asked) == [(spec(1).name, "BootstrapRemoveSubscription")]
    assert receive(leaver, 1, BootstrapRemoveSubscription(spec(1))) == []
    assert receive(leaver, 1, BootstrapRemoveSubscription(ME))[-1] == on.Left()
    assert sent(node(ScampV2).handle(on.Leave(), 0)) == []
    assert sent(node(ScampV1).handle(on.Leave(), 0)) == []


def test_a_replacement_takes_the_leavers_place() -> None:
    other = node(ScampV2, 1)

    effects = receive(other, 1, ReplaceSubscription(spec(1), spec(2)))

    assert told(effects) == [(spec(1).name, "leave"), (spec(2).name, "up")]
    assert sent(effects) == [(spec(2).name, "KeepSubscription")]
    assert receive(other, 1, ReplaceSubscription(spec(1), spec(3))) == []
    assert told(receive(other, 2, ReplaceSubscription(spec(2), ME))) == [(spec(2).name, "leave")]


def test_who_has_a_node_in_its_view_is_remembered_within_bounds() -> None:
    known = node(ScampV2, view=2)
    assert isinstance(known, ScampV2)
    for each in (1, 2, 3):
        receive(known, each, KeepSubscription(spec(each)))
    known.handle(on.Lost(spec(3).name), 0)

    assert list(known.in_view) == [spec(2).name]


@pytest.mark.parametrize("kind", VERSIONS)
def test_forged_and_useless_messages_are_dropped(kind: Kind) -> None:
    target = node(kind, 1)

    forged = on.Dropped(spec(2).name, "scamp_ping", "forged")
    assert receive(target, 2, ScampPing(spec(1))) == [forged]
    assert receive(target, 1, Ping(Atom("n"), 1, 2)) == [on.Dropped(None, "ping", "unknown")]
    assert (target.statistics.forged, target.statistics.unknown) == (1, 1)
    assert receive(target, None, ScampPing(spec(1))) == []
    assert target.handle(on.Met(spec(1).name), 0) == []
    assert target.statistics.forged == 1


def test_states_are_what_the_originals_tell() -> None:
    one = ScampV1(ME, random=random.Random(1), actor=b"a", system_offset=1_795_344_518 * SECOND)
    two = ScampV2(ME, random=random.Random(1), actor=b"a")
    for scamp in (one, two):
        scamp.handle(on.Join(spec(1)), 0)

    match decode(encode(one.state())):
        case ("scamp_v1", b"a", view, last):
            assert isinstance(view, TermMap)
            assert [*view] == [ME.term(), spec(1).term()]
            assert last == UNDEFINED
        case other:
            pytest.fail(str(other))
    one.handle(on.Received(None, ScampPing(spec(1))), 145_000_000)
    match one.state():
        case (_, _, _, last):
            assert last == (1795, 344_518, 145_000)
    me, contact = ME.term(), spec(1).term()
    assert two.state() == (Atom("scamp_v2"), me, b"a", [contact, me], [], UNDEFINED)


@pytest.mark.parametrize("kind", VERSIONS)
@pytest.mark.parametrize("seed", range(3))
def test_views_grow_with_the_cluster_and_hold_it_together(kind: Kind, seed: int) -> None:
    pool = Pool(lambda mine, chance: kind(mine, random=chance), seed)
    nodes = [pool.add(0)]
    for each in range(1, 60):
        nodes.append(pool.add(each))
        pool.do(nodes[-1].name, on.Join(pool.random.choice(nodes[:-1])))
    views = pool.views()
    numbers = {name: at for at, name in enumerate(views)}

    graph = [[numbers[each] for each in view] for view in views.values()]

    assert components(graph) == [60]
    assert 8 < sum(map(len, graph)) / 60 < 40  # (c + 1) ln 60 is 25
