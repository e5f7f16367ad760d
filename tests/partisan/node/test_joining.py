# SPDX-License-Identifier: Apache-2.0
"""Joins that overlap, and what becomes of messages for nodes that were never joined."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import anyio
import pytest

from heliograph.partisan import (
    FullMesh,
    HyParView,
    JoinError,
    Limits,
    Manager,
    Node,
    ProtocolConfig,
    UnknownNodeError,
)
from heliograph.partisan.protocol import DeliveryConfig, inputs
from heliograph.partisan.wire import Atom
from heliograph.testing import Captured
from tests.partisan.node.clusters import MILLISECOND, QUICK, make, until
from tests.partisan.node.conftest import Run
from tests.ports import free_port

NOBODY = "x@127.0.0.1"
MANAGERS: dict[str, Callable[[], Manager]] = {"full_mesh": FullMesh, "hyparview": HyParView}
FORGETFUL = replace(QUICK, retain=300 * MILLISECOND)


async def fails(node: Node, name: str, address: str) -> None:
    with pytest.raises(JoinError, match="could not join"):
        await node.join(name, address, deadline=0.2)


@pytest.mark.parametrize("name", [NOBODY, "b@127.0.0.1"])
def test_a_join_goes_on_when_the_deadline_of_another_passes(run: Run, name: str) -> None:
    async def main() -> None:
        address = f"127.0.0.1:{free_port()}"
        other = address if name != NOBODY else f"127.0.0.1:{free_port()}"
        joined, failures, members = anyio.Event(), list[BaseException](), list[str]()
        async with make("a") as a, anyio.create_task_group() as tasks:

            async def join() -> None:
                try:
                    await a.join("b@127.0.0.1", address)
                except BaseException as failure:
                    failures.append(failure)
                    raise
                finally:
                    joined.set()

            tasks.start_soon(join)
            await fails(a, name, other)
            async with make("b", listen=address):
                # Only now there is somebody who answers the first.
                await joined.wait()
                members.extend(each.name for each in a.members())
        # Out here, since a task that is cancelled takes the group with it, and is no failure.
        assert failures == []
        assert members == ["a@127.0.0.1", "b@127.0.0.1"]

    run(main)


@pytest.mark.parametrize("kind", MANAGERS)
def test_messages_for_a_node_that_never_answers_are_told_to_be_lost(
    run: Run, kind: str, telemetry_events: Captured
) -> None:
    async def main() -> None:
        address = f"127.0.0.1:{free_port()}"
        async with make("a", manager=MANAGERS[kind](), protocol=FORGETFUL) as a:

            async def send() -> None:
                await until(lambda: Atom(NOBODY) in a._driver.core.peers)
                await a.send(NOBODY, "sink", b"accepted", ack=True)
                assert a.try_send(NOBODY, "sink", b"accepted, too", ack=True)

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(send)
                await fails(a, NOBODY, address)
            await until(lambda: telemetry_events.named("partisan.message.dropped"))
            # From now on nothing is accepted for it.
            with pytest.raises(UnknownNodeError):
                await a.send(NOBODY, "sink", b"late", ack=True)
            with pytest.raises(UnknownNodeError):
                a.try_send(NOBODY, "sink", b"late", ack=True)

    run(main)
    [dropped] = telemetry_events.named("partisan.message.dropped")
    assert dropped.measurements["count"] == 2
    assert (dropped.metadata["peer"], dropped.metadata["reason"]) == (NOBODY, "departed")


def test_a_sender_that_waits_for_room_is_told_when_the_join_fails(run: Run) -> None:
    async def main() -> None:
        tight: ProtocolConfig = replace(QUICK, delivery=DeliveryConfig(window_messages=1))
        async with (
            make("a", protocol=tight, limits=Limits(closing=2.0)) as a,
            anyio.create_task_group() as tasks,
        ):

            async def send() -> None:
                await until(lambda: Atom(NOBODY) in a._driver.core.peers)
                await a.send(NOBODY, "sink", b"accepted", ack=True)
                with pytest.raises(UnknownNodeError):
                    await a.send(NOBODY, "sink", b"waits for room", ack=True)

            tasks.start_soon(send)
            await fails(a, NOBODY, f"127.0.0.1:{free_port()}")

    run(main)


def test_a_join_that_was_given_up_elsewhere_still_says_that_it_failed(run: Run) -> None:
    async def main() -> None:
        async with make("a", manager=HyParView()) as a, anyio.create_task_group() as tasks:

            async def leave() -> None:
                await until(lambda: Atom(NOBODY) in a._driver.core.peers)
                a._driver.do(inputs.Leave(Atom(NOBODY)))

            tasks.start_soon(leave)
            await fails(a, NOBODY, f"127.0.0.1:{free_port()}")

    run(main)
