# SPDX-License-Identifier: Apache-2.0
"""Failure detection on sockets: a peer that goes silent is suspected, confirmed, and let go."""

from __future__ import annotations

from dataclasses import replace

from heliograph.partisan import Limits
from heliograph.partisan.protocol.detection import DetectionConfig
from heliograph.poller import Poller
from heliograph.testing import Captured
from tests.partisan.node.clusters import MILLISECOND, QUICK, all_up, make, until
from tests.partisan.node.conftest import Run
from tests.partisan.node.harm import Guard

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

                await until(lambda: {(a.name, c.name), (b.name, c.name)} <= judged(), 20)
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
