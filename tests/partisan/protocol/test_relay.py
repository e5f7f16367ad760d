# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import random
from typing import Any

import pytest

from heliograph.partisan.protocol.relay import Delivered, Passed, RelayConfig, Relays, Sent
from heliograph.partisan.wire import Atom, decode, encode
from heliograph.partisan.wire.messages import Forward, Relay, parse
from heliograph.partisan.wire.refs import Target, target

SECOND = 1_000_000_000
A, B, C, D = (Atom(each) for each in "abcd")
SINK = Atom("sink")
FRAME = Forward(SINK, b"x").term()


def relays(name: Atom = A, **options: Any) -> Relays:
    return Relays(name, random=random.Random(1), config=RelayConfig(**options))


def test_a_message_goes_to_the_eager_neighbors() -> None:
    step = relays().send(D, SINK, b"x", [B, C], 0)

    assert isinstance(step, Passed)
    assert step.to == (B, C)
    assert (step.relay.node, step.relay.ttl) == (D, 4)
    assert parse(decode(encode(step.relay.term()))) == step.relay
    match step.relay.message:
        case ("forward_message", "sink", ("$partisan_padded", bytes(), b"x")):
            pass
        case other:
            pytest.fail(str(other))


def test_two_equal_messages_are_two() -> None:
    sender, middle = relays(), relays(B)

    steps = [sender.send(D, SINK, b"x", [B], 0) for _ in range(2)]

    passed = [
        middle.received(A, D, step.relay.message, step.relay.ttl, (), [C], 0)
        for step in steps
        if isinstance(step, Passed)
    ]
    assert len(passed) == 2
    assert all(isinstance(each, Passed) for each in passed)


def test_its_number_may_go_in_the_reference_of_the_process() -> None:
    """So whoever gets it from an Erlang node that does not take a padding away gets it whole."""
    sender, middle = relays(), relays(B)
    node = Atom("d@127.0.0.1")

    steps = [sender.send(node, SINK, b"x", [B], 0, by_reference=True) for _ in range(2)]

    messages = [step.relay.message for step in steps if isinstance(step, Passed)]
    assert messages[0] != messages[1]
    for message in messages:
        assert isinstance(middle.received(A, node, message, 4, (), [C], 0), Passed)
        match message:
            case ("forward_message", bytes(reference), b"x"):
                assert reference.startswith(b"partisan:name:d@127.0.0.1:sink\x19")
                assert target(reference) == Target("name", "sink")
            case other:
                pytest.fail(str(other))


def test_who_is_no_process_has_no_reference() -> None:
    step = relays().send(D, 7, b"x", [B], 0, by_reference=True)

    assert isinstance(step, Passed)
    match step.relay.message:
        case ("forward_message", 7, ("$partisan_padded", bytes(), b"x")):
            pass
        case other:
            pytest.fail(str(other))


def test_nobody_takes_a_message_of_who_is_alone() -> None:
    alone = relays()

    assert alone.send(D, SINK, b"x", [], 0) is None
    assert alone.statistics.expired == 1


def test_it_is_delivered_sent_or_passed_on() -> None:
    assert relays(D).received(B, D, FRAME, 0, (), [], 0) == Delivered(FRAME)
    assert relays().received(B, D, FRAME, 0, {D}, [C], 0) == Sent(D, FRAME)
    assert relays().received(B, D, FRAME, 2, {B, C}, [B, C], 0) == Passed((C,), Relay(D, FRAME, 1))


def test_it_does_not_go_on_for_ever() -> None:
    middle = relays()

    assert middle.received(B, D, FRAME, 0, (), [C], 0) is None
    assert middle.statistics.expired == 1


def test_it_is_passed_on_once() -> None:
    middle = relays()
    middle.received(B, D, FRAME, 3, (), [C], 0)

    assert middle.received(C, D, FRAME, 2, (), [B], SECOND) is None
    assert middle.statistics.duplicates == 1
    assert middle.received(B, D, FRAME, 3, (), [C], 10 * SECOND) is not None


def test_what_comes_back_to_the_sender_ends_there() -> None:
    sender = relays()
    step = sender.send(D, SINK, b"x", [B], 0)

    assert isinstance(step, Passed)
    assert sender.received(B, D, step.relay.message, 3, (), [C], 0) is None


@pytest.mark.parametrize("ttl", [-1, 65])
def test_impossible_numbers_of_hops_are_counted_and_dropped(ttl: int) -> None:
    middle = relays()

    assert middle.received(B, D, FRAME, ttl, (), [C], 0) is None
    assert middle.statistics.malformed == 1


def test_memory_is_bounded() -> None:
    middle = relays(remembered=2)
    for number in range(5):
        middle.received(B, D, Forward(SINK, number).term(), 3, (), [C], 0)

    assert len(middle._seen) == 2
