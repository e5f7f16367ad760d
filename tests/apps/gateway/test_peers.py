# SPDX-License-Identifier: Apache-2.0
"""What gateways tell each other, over real sockets; and what anybody else may send."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest

from heliograph.apps.gateway import Alarm
from heliograph.apps.gateway.peers import INBOX, Peers
from heliograph.partisan import Atom, Node

ALARM = Alarm("boiler", "flow_temp", "above", True, 80.0, 75.0, "b@127.0.0.1")


class Side:
    """A gateway's view of the others, and what it was told."""

    def __init__(self, node: Node, digest: str = "same") -> None:
        self.told: asyncio.Queue[Alarm] = asyncio.Queue()
        self.differing: list[str] = []
        self.changed = asyncio.Event()
        self.own: list[Alarm] = []
        self.peers = Peers(
            node,
            {},
            digest=lambda: digest,
            changed=self.changed.set,
            differs=self.differing.append,
            told=self.told.put_nowait,
            welcome=lambda: self.own,
        )

    async def sees(self, *names: str) -> None:
        async with asyncio.timeout(20):
            while self.peers.living != {*names}:
                self.changed.clear()
                await self.changed.wait()


@asynccontextmanager
async def running(*sides: Side) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(each.peers.run()) for each in sides]
    try:
        yield
        assert not [each for each in tasks if each.done()], "one has given up"
    finally:
        for task in tasks:
            task.cancel()
        for task in tasks:
            with suppress(asyncio.CancelledError):
                await task


def test_gateways_say_hello_and_tell_each_other_of_alarms() -> None:
    async def main() -> None:
        one, two = Node("a@127.0.0.1"), Node("b@127.0.0.1")
        a, b = Side(one), Side(two)
        b.own = [ALARM]
        async with one, running(a):
            async with two, running(b):
                await one.join(two.name, two.listen_addrs[0])
                await a.sees(two.name)
                await b.sees(one.name)
                async with asyncio.timeout(20):
                    assert await a.told.get() == ALARM  # which was raised before it came
                    a.peers.broadcast(ALARM)
                    assert await b.told.get() == ALARM
                assert a.differing == b.differing == []
            await a.sees()

    asyncio.run(main())


def test_gateways_with_other_devices_are_told() -> None:
    async def main() -> None:
        one, two = Node("a@127.0.0.1"), Node("b@127.0.0.1")
        a, b = Side(one, "mine"), Side(two, "other")
        async with one, two, running(a, b):
            await one.join(two.name, two.listen_addrs[0])
            await a.sees(two.name)
            await b.sees(one.name)
            assert a.differing == [two.name]
            assert b.differing == [one.name]

    asyncio.run(main())


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"\xff",
        b"[" * 60_000,
        b"x" * 70_000,
        (Atom("a"), [1, 2]),
        5,
        b"5",
        b"{}",
        b'{"from": "b@127.0.0.1"}',
        b'{"from": "b@127.0.0.1", "kind": "hello"}',
        b'{"from": "b@127.0.0.1", "kind": "alarm", "device": 1}',
        b'{"from": "b@127.0.0.1", "kind": "of a later version"}',
        b'{"from": "c@127.0.0.1", "kind": "hello", "devices": "same", "answer": false}',
    ],
    ids=range(13),
)
def test_whatever_a_member_sends_is_survived(sent: Any) -> None:
    async def main() -> None:
        one, stranger = Node("a@127.0.0.1"), Node("b@127.0.0.1")
        a = Side(one)
        async with one, stranger, running(a):
            await stranger.sync_join(one.name, one.listen_addrs[0])
            await stranger.send(one.name, INBOX, sent, ack=True)
            assert a.peers.living == set()
            hello = {"kind": "hello", "devices": "same", "answer": False, "from": stranger.name}
            await stranger.send(one.name, INBOX, json.dumps(hello).encode(), ack=True)
            await a.sees(stranger.name)
            assert a.told.empty()

    asyncio.run(main())
