# SPDX-License-Identifier: Apache-2.0
"""Failure detection on sockets: a peer that goes silent is suspected, confirmed, and let go."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from random import Random

from heliograph.partisan import Atom, Limits, Node, Own
from heliograph.partisan.protocol.detection import DetectionConfig
from heliograph.partisan.protocol.overlay.star import Static
from heliograph.partisan.wire import ListenAddr, NodeSpec
from heliograph.poller import Poller
from heliograph.testing import Captured
from tests.partisan.node.clusters import MILLISECOND, QUICK, all_up, make, until
from tests.partisan.node.conftest import Run
from tests.partisan.node.harm import Guard

B, C, D = (f"{name}@127.0.0.1" for name in "bcd")
DETECTING = replace(
    QUICK,
    ping_timeout=300 * MILLISECOND,
    detection=DetectionConfig(suspicion=300 * MILLISECOND, late=2.0),
)


def test_a_silent_peer_is_suspected_and_declared_down_by_all(
    run_asyncio: Run, telemetry_events: Captured
) -> None:
    async def main() -> None:
        async with Guard(1) as first, Guard(2) as second, Guard(3) as third:
            guards = {"a": first, "b": second, "c": third}
            a, b, c = (
                make(
                    name,
                    protocol=DETECTING,
                    limits=Limits(closing=2.0, handshake=1.0),
                    listen=f"127.0.0.1:{guard.target}",
                    advertise=guard.address,
                )
                for name, guard in guards.items()
            )
            async with a, b, c, Poller(0.05) as poller:
                a.poll_with(poller)
                await b.join(a.name, first.address)
                await c.join(a.name, first.address)
                await all_up([a, b, c])
                first.silence([c.name])
                second.silence([c.name])
                third.silence([a.name, b.name])

                def judged() -> set[tuple[str, str]]:
                    return {
                        (event.metadata["node"], event.metadata["name"])
                        for event in telemetry_events.named("partisan.membership.peer.judge")
                        if event.metadata["outcome"] == "down"
                    }

                await until(lambda: {(a.name, c.name), (b.name, c.name)} <= judged())
                # The third must have given up its connections, too: what was swallowed in the
                # middle of them is missing.
                await until(
                    lambda: [each.state for each in c.members()] == ["down", "down", "self"]
                )
                assert not judged() & {(a.name, b.name), (b.name, a.name)}
                for guard in guards.values():
                    guard.heal()
                await all_up([a, b, c])
                assert {m.name: m.downs > 0 for m in a.members()} == {
                    a.name: False,
                    b.name: False,
                    c.name: True,
                }

    run_asyncio(main)
    suspect = telemetry_events.named("partisan.membership.peer.suspect")[0]
    assert suspect.measurements["timeout"] == 6 * 300 * MILLISECOND
    downs = [
        event
        for event in telemetry_events.named("partisan.membership.peer.judge")
        if event.metadata["outcome"] == "down" and event.metadata["name"] == "c@127.0.0.1"
    ]
    # Whoever of the two began later knew of the other's suspicion, and waited the shorter for it.
    assert max(event.measurements["confirmations"] for event in downs) == 1
    telemetry_events.assert_event(
        "partisan.membership.peer.down", {"count": 1}, {"name": "c@127.0.0.1", "reason": "timeout"}
    )
    assert telemetry_events.named("partisan.detection.health")


class Free(Static):
    """A list of neighbors beside whom others may be dialled."""

    reaches_all = True


@asynccontextmanager
async def ring() -> AsyncIterator[dict[str, tuple[Node, Guard]]]:
    """Five nodes, each connected to the one before it and the one behind it."""
    async with AsyncExitStack() as stack:
        guards = {
            f"{name}@127.0.0.1": await stack.enter_async_context(Guard(number))
            for number, name in enumerate("abcde", 1)
        }
        names = [*guards]
        specs = [
            NodeSpec(Atom(name), (ListenAddr("127.0.0.1", guard.port),), ())
            for name, guard in guards.items()
        ]

        def overlay(spec: NodeSpec, _: Random) -> Free:
            at = names.index(spec.name)
            return Free(spec, (specs[at - 1], specs[(at + 1) % 5]), interval=100 * MILLISECOND)

        nodes: dict[str, tuple[Node, Guard]] = {}
        for name, guard in guards.items():
            node = make(
                name.partition("@")[0],
                channels=(),
                protocol=DETECTING,
                limits=Limits(closing=2.0, handshake=1.0),
                advertise=guard.address,
                manager=Own(overlay),
            )
            nodes[name] = await stack.enter_async_context(node), guard
            guard.target = int(next(iter(node._driver.listeners)).rpartition(":")[2])

        def acquainted(node: Node) -> bool:
            """Whether both neighbors have told of their others."""
            detecting = node._driver.core.detecting
            assert detecting is not None
            assert detecting.witnesses is not None
            return [*map(len, detecting.witnesses._others.values())] == [1, 1]

        await until(lambda: all(acquainted(node) for node, _ in nodes.values()))
        yield nodes


def declared_down(events: Captured, of: str) -> dict[str, tuple[int, int]]:
    """Who has declared a suspect down, with how many confirmations and after how long."""
    return {
        event.metadata["node"]: (
            event.measurements["confirmations"],
            event.measurements["duration"],
        )
        for event in events.named("partisan.membership.peer.judge")
        if (event.metadata["name"], event.metadata["outcome"]) == (of, "down")
    }


def test_in_a_partial_view_neighbors_of_a_silent_node_ask_each_other(
    run_asyncio: Run, telemetry_events: Captured
) -> None:
    async def main() -> None:
        async with ring() as nodes:
            for name, (_, guard) in nodes.items():
                guard.silence([C] if name != C else nodes)
            await until(lambda: declared_down(telemetry_events, C).keys() >= {B, D})
            # They are no neighbors of each other: whoever confirmed was dialled for the question.
            assert max(count for count, _ in declared_down(telemetry_events, C).values()) == 1

    run_asyncio(main)


def test_in_a_partial_view_who_hears_the_suspect_speaks_for_it(
    run_asyncio: Run, telemetry_events: Captured
) -> None:
    async def main() -> None:
        async with ring() as nodes:
            nodes[B][1].silence([C])
            nodes[C][1].silence([B])

            def found() -> list[tuple[int, int]]:
                # Both suspect each other, and whoever is first hangs up.
                its = (
                    (declared_down(telemetry_events, C), B),
                    (declared_down(telemetry_events, B), C),
                )
                return [each[by] for each, by in its if by in each]

            await until(found)
            # The wire between the two is cut, so that it goes; but as late as it can.
            for confirmations, duration in found():
                assert confirmations == 0
                assert duration >= 6 * 300 * MILLISECOND
            assert declared_down(telemetry_events, C).keys() <= {B}
            assert declared_down(telemetry_events, B).keys() <= {C}

    run_asyncio(main)
