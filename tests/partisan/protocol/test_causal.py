# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heliograph.partisan.protocol.causal import CausalConfig, CausalOrder
from heliograph.partisan.wire import Atom, decode, encode
from heliograph.partisan.wire.messages import Causal, parse_payload

SECOND = 1_000_000_000
A, B, C = Atom("a"), Atom("b"), Atom("c")
LABEL, SINK = Atom("label"), Atom("sink")


def order(node: Atom, **options: Any) -> CausalOrder:
    return CausalOrder(node, LABEL, CausalConfig(**options))


def contents(messages: list[Causal]) -> list[Any]:
    return [message.message for message in messages]


def test_the_first_message_waits_for_nothing_and_the_next_for_it() -> None:
    sender = order(A)

    first, second = sender.emit(B, SINK, 1), sender.emit(B, SINK, 2)

    assert first == Causal(LABEL, B, SINK, [], ((A, 1),), 1)
    assert second == Causal(LABEL, B, SINK, [(B, [(A, 1)])], ((A, 2),), 2)
    assert parse_payload(decode(encode(second.term()))) == second


def test_what_came_too_early_is_held_back() -> None:
    sender, receiver = order(A), order(B)
    first, second, third = (sender.emit(B, SINK, each) for each in (1, 2, 3))

    assert receiver.received(third, 0) == []
    assert receiver.received(second, 0) == []
    assert contents(receiver.received(first, 0)) == [1, 2, 3]
    assert (receiver.statistics.held, len(receiver)) == (2, 0)


def test_what_a_third_node_has_caused_is_waited_for() -> None:
    a, b, c = order(A), order(B), order(C)
    cause = a.emit(C, SINK, "cause")
    b.received(a.emit(B, SINK, "go"), 0)
    effect = b.emit(C, SINK, "effect")

    assert c.received(effect, 0) == []
    assert contents(c.received(cause, 0)) == ["cause", "effect"]


def test_a_cause_that_does_not_come_is_not_waited_for_for_ever() -> None:
    sender, receiver = order(A), order(B)
    _, second, third = (sender.emit(B, SINK, each) for each in (1, 2, 3))
    receiver.received(third, 0)
    receiver.received(second, SECOND)

    assert receiver.due(29 * SECOND) == []
    assert contents(receiver.due(30 * SECOND)) == [3, 2]
    assert receiver.statistics.forced == 1


def test_messages_held_back_are_bounded() -> None:
    sender, receiver = order(A), order(B, held=2)
    messages = [sender.emit(B, SINK, each) for each in range(6)]

    delivered = [each for message in messages[3:] for each in receiver.received(message, 0)]

    assert contents(delivered) == [3, 4, 5]
    assert len(receiver) == 0


def test_a_node_that_has_restarted_is_not_expected_to_remember() -> None:
    sender = order(A)
    sender.emit(B, SINK, 1)
    sender.forget(B)
    sender.forget(C)

    assert contents(order(B).received(sender.emit(B, SINK, 2), 0)) == [2]


def test_receivers_are_remembered_within_bounds() -> None:
    sender = order(A, receivers=2)
    for number in range(5):
        sender.emit(Atom(f"n{number}"), SINK, 1)

    last = sender.emit(B, SINK, 1)

    assert last.order == [(Atom(f"n{number}"), [(A, number + 1)]) for number in (3, 4)]


@pytest.mark.parametrize(
    "given_order",
    [
        [1],
        [(1, [])],
        [(B, [(A, b"x")])],
        [(B, [(1, 1)])],
        [(B, 7)],
        [(Atom(f"n{n}"), []) for n in range(4)],
    ],
    ids=["number", "node", "count", "name", "no counts", "many"],
)
def test_an_order_that_is_none_is_counted_and_dropped(given_order: list[Any]) -> None:
    receiver = order(B, counts=3)

    assert receiver.received(Causal(LABEL, B, SINK, given_order, (), 1), 0) == []
    assert receiver.statistics.malformed == 1


def test_a_clock_of_too_many_is_dropped() -> None:
    receiver = order(B, counts=1)

    assert receiver.received(Causal(LABEL, B, SINK, [], ((A, 1), (C, 1)), 1), 0) == []


@settings(max_examples=100, deadline=None)
@given(seed=st.integers(0, 100_000))
def test_whatever_way_messages_take_no_effect_comes_before_its_cause(seed: int) -> None:
    chance = random.Random(seed)
    names = [Atom(f"n{number}") for number in range(4)]
    orders = {name: order(name) for name in names}
    past: dict[Atom, set[tuple[Atom, int]]] = {name: set() for name in names}
    causes: dict[tuple[Atom, int], set[tuple[Atom, int]]] = {}
    delivered: dict[Atom, list[tuple[Atom, int]]] = {name: [] for name in names}
    way: list[Causal] = []
    for number in range(40):
        sender, receiver = chance.sample(names, 2)
        key = (receiver, number)
        causes[key] = set(past[sender])
        past[sender].add(key)
        way.append(orders[sender].emit(receiver, SINK, number))
        while way and chance.random() < 0.6:
            message = way.pop(chance.randrange(len(way)))
            for each in orders[message.node].received(message, 0):
                got = (each.node, each.message)
                delivered[each.node].append(got)  # type: ignore[arg-type]
                past[each.node] |= causes[got] | {got}  # type: ignore[arg-type, index]
    for message in way:
        for each in orders[message.node].received(message, 0):
            delivered[each.node].append((each.node, each.message))  # type: ignore[arg-type]

    assert sum(map(len, delivered.values())) == 40
    for name, keys in delivered.items():
        for at, key in enumerate(keys):
            assert {each for each in causes[key] if each[0] == name} <= set(keys[:at])
    assert all(not each.statistics.forced for each in orders.values())
