# SPDX-License-Identifier: Apache-2.0
"""Causal delivery on sockets: an answer never overtakes the question that it answers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from heliograph.partisan import Atom, EncodeError, Node, UnknownNodeError
from heliograph.partisan.faults import Fault, Faults
from heliograph.partisan.protocol.causal import CausalConfig
from heliograph.partisan.wire.messages import Causal
from heliograph.telemetry import set_propagator
from heliograph.testing import Captured
from tests.partisan.node.clusters import MILLISECOND, QUICK, all_up, cluster, make, until
from tests.partisan.node.conftest import Run
from tests.partisan.node.telling import Carrying

IMPATIENT = replace(QUICK, causal=CausalConfig(patience=50 * MILLISECOND))


async def ask_and_answer(label: str | None, *, ack: bool) -> list[Any]:
    """One node asks both others, of whom one hears it late and the other answers to both."""
    slow = Fault("delay", time=0.4, between=(("a@127.0.0.1",), ("c@127.0.0.1",)))
    labels = [] if label is None else [label]
    faults = Faults([replace(slow, begin=0.0)], seed=3)
    async with cluster("a", "b", "c", causal_labels=labels, faults=faults) as (a, b, c):
        answering, hearing = b.register("sink"), c.register("sink")
        for number in range(5):
            for to in (c, b):
                await a.send(to.name, "sink", (Atom("asked"), number), ack=ack, causal=label)
            asked = await answering.receive()
            assert asked == ("asked", number)
            await b.send(c.name, "sink", (Atom("answered"), number), ack=ack, causal=label)
        return [await hearing.receive() for _ in range(10)]


@pytest.mark.parametrize("ack", [False, True])
def test_an_answer_waits_for_its_question(run: Run, ack: bool) -> None:
    heard = run(lambda: ask_and_answer("talk", ack=ack))

    assert sorted(heard) == sorted(
        [("asked", n) for n in range(5)] + [("answered", n) for n in range(5)]
    )
    for number in range(5):
        assert heard.index(("asked", number)) < heard.index(("answered", number))
        if number:
            assert heard.index(("asked", number - 1)) < heard.index(("asked", number))


def test_without_a_label_it_does_not(run: Run) -> None:
    heard = run(lambda: ask_and_answer(None, ack=True))

    assert any(heard.index(("asked", n)) > heard.index(("answered", n)) for n in range(5))


def unfounded(node: Node, number: int) -> Any:
    """A message whose cause never comes."""
    name = Atom(node.name)
    order: list[Any] = [(name, [(Atom("x@127.0.0.1"), 5)])]
    clock = ((Atom("y@127.0.0.1"), number),)
    return Causal(Atom("talk"), name, Atom("sink"), order, clock, number).term()


def test_patience_ends(run: Run, telemetry_events: Captured) -> None:
    async def main() -> None:
        async with cluster("a", "b", causal_labels=["talk"], protocol=IMPATIENT) as (a, b):
            inbox = b.register("sink")
            for number in (1, 2):
                await a.send(b.name, "sink", unfounded(b, number))
                assert await inbox.receive() == number

    run(main)
    telemetry_events.assert_event(
        "partisan.message.forced", {"count": 1}, {"node": "b@127.0.0.1", "label": "talk"}
    )


def test_a_node_may_be_left_while_messages_wait(run: Run) -> None:
    async def main() -> None:
        async with cluster("a", "b", causal_labels=["talk"]) as (a, b):
            b.register("sink")
            await a.send(b.name, "sink", unfounded(b, 1))
            await until(lambda: b._messaging.ordering._timer is not None)

    run(main)


def test_nonsense_is_dropped_and_told(run: Run, telemetry_events: Captured) -> None:
    async def main() -> None:
        async with cluster("a", "b", causal_labels=["talk"]) as (a, b):
            inbox = b.register("sink")
            nonsense = Causal(
                Atom("talk"), Atom(b.name), Atom("sink"), [(Atom(b.name), [(1, 2)])], (), 1
            )
            await a.send(b.name, "sink", nonsense.term())
            # What only looks like one is any other message.
            other = (Atom("causal"), 1, 2, 3, 4, 5, 6)
            await a.send(b.name, "sink", other)
            assert await inbox.receive() == other

    run(main)
    telemetry_events.assert_event(
        "partisan.message.dropped", {"count": 1}, {"reason": "undecodable", "peer": "a@127.0.0.1"}
    )


def test_a_label_that_the_receiver_does_not_have_orders_nothing(run: Run) -> None:
    async def main() -> None:
        async with make("a", causal_labels=["talk"]) as a, make("b") as b:
            inbox = b.register("sink")
            await a.sync_join(b.name, b.listen_addrs[0])
            await all_up([a, b])
            await a.send(b.name, "sink", b"hello", causal="talk")
            assert await inbox.receive() == b"hello"

    run(main)


def test_what_cannot_be_sent_is_found_before_others_wait_for_it(run: Run) -> None:
    async def main() -> None:
        async with make("a", causal_labels=["talk", "walk"]) as a:
            with pytest.raises(ValueError, match="'balk' is not one of the node's; it has talk, w"):
                await a.send(a.name, "sink", b"", causal="balk")
            with pytest.raises(EncodeError):
                await a.send(a.name, "sink", object(), causal="talk")
            with pytest.raises(UnknownNodeError):
                await a.send("x@127.0.0.1", "sink", b"", causal="talk")
            assert a._messaging.ordering._orders["talk"].clock == {}
            inbox = a.register("sink")
            await a.send(a.name, "sink", b"to itself", causal="talk")
            assert await inbox.receive() == b"to itself"

    run(main)


def test_a_peer_that_has_restarted_knows_nothing_and_waits_for_nothing(run: Run) -> None:
    async def main() -> None:
        options: dict[str, Any] = {"causal_labels": ["talk"]}
        async with make("a", **options) as a:
            async with make("b", **options) as b:
                inbox = b.register("sink")
                await b.sync_join(a.name, a.listen_addrs[0])
                await a.send(b.name, "sink", 1, ack=True, causal="talk")
                assert await inbox.receive() == 1
                address = b.listen_addrs[0]
            async with make("b", listen=address, **options) as b:
                inbox = b.register("sink")
                await b.sync_join(a.name, a.listen_addrs[0])
                await all_up([a, b])
                await a.send(b.name, "sink", 2, ack=True, causal="talk")
                assert await inbox.receive() == 2  # in no time, while patience is half a minute
                await b.leave()

    run(main)


def test_it_carries_trace_context(run: Run) -> None:
    carrying = Carrying()

    async def main() -> None:
        before = set_propagator(carrying)
        try:
            async with cluster("a", "b", trace=True, causal_labels=["talk"]) as (a, b):
                inbox = b.register("sink")
                await a.send(b.name, "sink", b"hello", causal="talk")
                async with inbox.processing() as message:
                    assert message == b"hello"
        finally:
            set_propagator(before)

    run(main)
    assert carrying.extracted == [{"traceparent": "00-word"}]
