# SPDX-License-Identifier: Apache-2.0
"""Polling: what changed, when it is due, and what a device that fails does to the others."""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest

from heliograph import Error, Ok
from heliograph.modboss import (
    AsyncDevice,
    DeviceError,
    Link,
    OptionError,
    Polling,
    Schema,
    Tcp,
    UnknownNamesError,
    Update,
    holding_register,
)
from heliograph.modboss.virtual import Delay, Refuse, Silence, VirtualDevice, VirtualServer
from heliograph.testing import capture
from tests.modboss.links import in_loop

pytestmark = pytest.mark.usefixtures("quiet_pymodbus")

SECOND = 1_000_000_000


class Boiler(Schema):
    """What is polled."""

    flow = holding_register(0, "unsigned_int", mode="rw")
    back = holding_register(1, "unsigned_int", mode="rw")
    serial = holding_register(10, "unsigned_int", mode="rw")


class Client:
    """A device without a wire: its registers are what the test says."""

    def __init__(self) -> None:
        self.registers: dict[int, int] = {0: 50, 1: 40, 10: 4711}
        self.failure: Exception | None = None
        self.gate = asyncio.Event()
        self.gate.set()
        self.reads = 0

    async def read_holding_registers(self, address: int, count: int, device_id: int) -> list[int]:
        self.reads += 1
        await self.gate.wait()
        if self.failure is not None:
            raise self.failure
        return [self.registers[address + index] for index in range(count)]


class Time:
    """A clock that a test moves on; sleepers wake in order, one after the other."""

    def __init__(self) -> None:
        self.time = 1000 * SECOND
        self._sleepers: list[tuple[int, asyncio.Future[None]]] = []

    def now(self) -> int:
        return self.time

    async def wait(self, until: int | None, future: asyncio.Future[Any] | None = None) -> None:
        assert until is not None
        assert future is None
        if until <= self.time:
            return
        waking: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._sleepers.append((until, waking))
        await waking

    async def advance(self, seconds: float) -> None:
        """Let time pass, and what happens in it happen."""
        end = self.time + round(seconds * SECOND)
        await settle()
        while due := [each for each in self._sleepers if each[0] <= end and not each[1].done()]:
            until, waking = min(due, key=lambda each: each[0])
            self._sleepers.remove((until, waking))
            self.time = max(self.time, until)
            waking.set_result(None)
            await settle()
        self.time = end


async def settle() -> None:
    """Let everything happen that needs no time."""
    for _ in range(30):
        await asyncio.sleep(0)


@asynccontextmanager
async def reading(polling: Polling) -> AsyncIterator[list[Update]]:
    """A reader that keeps what it is told."""
    told: list[Update] = []

    async def read() -> None:
        async for update in polling.updates():
            told.append(update)  # noqa: PERF401 - seen while it goes on

    task = asyncio.create_task(read())
    await asyncio.sleep(0)
    yield told
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def boiler(client: Any, name: str = "boiler") -> AsyncDevice[Boiler]:
    return AsyncDevice(Boiler, client, name=name)


# -- What changed ----------------------------------------------------------------------------------


@in_loop
async def test_first_everything_is_told_then_what_changes() -> None:
    clock, client = Time(), Client()
    polling = Polling(clock=clock)
    group = polling.add(boiler(client), ["flow", "back"], every=1.0)

    async with polling, reading(polling) as told:
        await clock.advance(1.5)
        client.registers[0] = 51
        await clock.advance(2)

        assert [update.changed for update in told] == [{"flow": 50, "back": 40}, {"flow": 51}]
        assert told[-1].values == group.values == {"flow": 51, "back": 40}
        assert told[-1].device is group.device
        assert told[-1].failure is None
        assert client.reads == 4


@in_loop
async def test_within_its_dead_band_a_value_has_not_changed() -> None:
    clock, client = Time(), Client()
    polling = Polling(clock=clock)
    polling.add(boiler(client), ["flow", "back"], every=1.0, dead_bands={"flow": 2})

    async with polling, reading(polling) as told:
        for flow in (50, 51, 52, 53, 52, 50):
            client.registers[0] = flow
            await clock.advance(1)

    # Compared with what was told, not with what was read last: slow drifts are not missed.
    assert [update.changed.get("flow") for update in told] == [50, 53, 50]


@pytest.mark.parametrize(
    ("before", "after", "changed"),
    [
        (1.0, math.nan, True),
        (math.nan, math.nan, False),
        (math.nan, 1.0, True),
        (1.0, 1.4, False),
        (1.0, 1.6, True),
        ("off", "on", True),
        (None, 1.0, True),
        ([1, 2], [1, 2], False),
    ],
)
def test_changes_are_those_of_values(before: Any, after: Any, changed: bool) -> None:
    async def compare() -> dict[str, Any]:
        group = Polling().add(boiler(Client()), ["flow", "back"], every=1, dead_bands={"flow": 0.5})
        group.take({"flow": before, "back": 0})
        return group.take({"flow": after, "back": 1})

    assert asyncio.run(compare()) == ({"flow": after, "back": 1} if changed else {"back": 1})


@in_loop
async def test_static_values_are_read_once_or_until_they_could_be() -> None:
    clock, client = Time(), Client()
    client.failure = DeviceError("asleep")
    polling = Polling(clock=clock, rest=4)
    polling.add(boiler(client), "serial", every=None, group="static")

    async with polling, reading(polling) as told:
        await clock.advance(0.5)
        assert client.reads == 1
        await clock.advance(3.5)
        client.failure = None
        await clock.advance(100)

        assert client.reads == 4  # after 0, 1, 3 and 7 seconds
        assert [update.changed for update in told] == [{}, {"serial": 4711}]


@in_loop
async def test_a_slow_reader_gets_the_latest_of_each_group() -> None:
    clock, client = Time(), Client()
    polling = Polling(clock=clock)
    polling.add(boiler(client), ["flow"], every=1.0, group="flow")
    polling.add(boiler(client), ["back"], every=1.0, group="back")

    async with polling:
        updates = polling.updates()
        await clock.advance(1.7)
        assert (await anext(updates)).changed == {"flow": 50}
        for flow in (51, 52, 53):
            client.registers[0] = flow
            await clock.advance(1)
        back, flow_update = await anext(updates), await anext(updates)

        assert (back.changed, back.merged) == ({"back": 40}, 1)
        assert (flow_update.changed, flow_update.merged) == ({"flow": 53}, 3)
        await updates.aclose()
        assert polling._readers == []


@in_loop
async def test_who_reads_later_is_first_told_what_is_known() -> None:
    clock, client = Time(), Client()
    polling = Polling(clock=clock)
    polling.add(boiler(client), every=1.0)

    async with polling:
        await clock.advance(1)
        async with reading(polling) as told:
            await settle()
            assert [update.changed for update in told] == [{"flow": 50, "back": 40, "serial": 4711}]


@in_loop
async def test_the_stream_ends_with_the_polling() -> None:
    client = Client()
    polling = Polling()
    polling.add(boiler(client), every=0.01)

    async with polling:
        updates = polling.updates()
        await anext(updates)
        rest = asyncio.create_task(anext(updates, None))
        await settle()

    assert await rest is None
    with pytest.raises(RuntimeError, match="not polling"):
        await anext(polling.updates())


# -- When it is due --------------------------------------------------------------------------------


@in_loop
async def test_groups_have_their_own_intervals_and_begin_apart() -> None:
    clock = Time()
    polling = Polling(clock=clock)
    fast, slow = Client(), Client()
    polling.add(boiler(fast), "flow", every=0.5)
    polling.add(boiler(slow), "flow", every=60)

    async with polling:
        await clock.advance(0)
        assert (fast.reads, slow.reads) == (1, 0)
        await clock.advance(1)
        # Nobody waits for a minute to be told something for the first time.
        assert (fast.reads, slow.reads) == (3, 1)
        await clock.advance(59)
        assert (fast.reads, slow.reads) == (121, 1)
        await clock.advance(1)
        assert slow.reads == 2


@in_loop
async def test_a_cycle_says_how_late_it_began_and_how_long_it_took() -> None:
    clock, client = Time(), Client()
    polling = Polling(clock=clock)
    polling.add(boiler(client, "b1"), ["flow", "back"], every=1.0, group="fast")

    with capture("modboss.poll.**") as events:
        async with polling:
            await clock.advance(0.5)
            client.gate.clear()
            clock.time += SECOND * 3 // 4  # nothing runs meanwhile
            await clock.advance(0)
            clock.time += SECOND // 8
            client.gate.set()
            await clock.advance(0)

    assert [event.event for event in events] == ["modboss.poll.cycle"] * 2
    assert events[0].metadata == {"device": "b1", "group": "fast", "outcome": Ok(None)}
    assert events[0].measurements == {"lag": 0, "cycle_time": 0, "changes": 2}
    assert events[1].measurements == {
        "lag": SECOND // 4,
        "cycle_time": SECOND // 8,
        "changes": 0,
    }


@in_loop
async def test_a_cycle_that_begins_early_is_not_late_by_less_than_nothing() -> None:
    class Early(Time):
        """Wakes sleepers a moment before their time, as timers of whole milliseconds do."""

        async def wait(self, until: int | None, future: asyncio.Future[Any] | None = None) -> None:
            await super().wait(until, future)
            self.time -= 300_000

    clock = Early()
    polling = Polling(clock=clock)
    polling.add(boiler(Client()), "flow", every=1.0)

    with capture("modboss.poll.cycle") as events:
        async with polling:
            await clock.advance(0.5)

    assert [event.measurements["lag"] for event in events] == [0]


@in_loop
async def test_a_loop_that_wakes_early_is_neither_late_nor_misses_anything() -> None:
    class Early(Time):
        async def wait(self, until: int | None, future: asyncio.Future[Any] | None = None) -> None:
            assert until is not None
            await super().wait(until - SECOND // 1000, future)

    clock, client = Early(), Client()
    polling = Polling(clock=clock)
    group = polling.add(boiler(client), "flow", every=1.0)

    with capture("modboss.poll.**") as events:
        async with polling:
            await clock.advance(3.5)

    assert {event.event for event in events} == {"modboss.poll.cycle"}
    assert [event.measurements["lag"] for event in events] == [0, 0, 0, 0]
    assert (client.reads, group.missed) == (4, 0)


@in_loop
async def test_cycles_that_a_slow_one_takes_the_time_of_are_missed_and_counted() -> None:
    clock, client, other = Time(), Client(), Client()
    polling = Polling(clock=clock)
    group = polling.add(boiler(client, "b1"), "flow", every=1.0, group="fast")
    polling.add(boiler(other, "b2"), "flow", every=1.0)

    with capture("modboss.poll.missed") as events:
        async with polling:
            client.gate.clear()
            await clock.advance(3.5)
            assert (client.reads, other.reads) == (1, 4)  # it delays nobody
            client.gate.set()
            await clock.advance(0)
            assert client.reads == 1  # what was missed is not made up for
            await clock.advance(1)
            assert client.reads == 2

    assert events.one("modboss.poll.missed").measurements == {"misses": 3}
    assert events.one("modboss.poll.missed").metadata == {"device": "b1", "group": "fast"}
    assert group.missed == 3


@in_loop
async def test_a_group_that_fails_rests_longer_and_longer_and_recovers() -> None:
    clock, client = Time(), Client()
    polling = Polling(clock=clock, rest=4)
    group = polling.add(boiler(client), ["flow"], every=1.0)
    client.failure = DeviceError("no answer")

    with capture("modboss.poll.**") as events:
        async with polling, reading(polling) as told:
            await clock.advance(15.5)
            assert client.reads == 6  # after 0, 1, 3, 7, 11 and 15 seconds
            assert str(group.failure) == "no answer"
            client.failure = None
            await clock.advance(5)
            assert client.reads == 8  # after 19 and 20

    assert group.failure is None
    assert [(update.changed, update.failure is None) for update in told] == [
        ({}, False),
        ({"flow": 50}, True),
    ]
    assert {event.event for event in events} == {"modboss.poll.cycle"}  # resting is no missing
    assert [event.metadata["outcome"] for event in events[:2]] == [Error("no answer")] * 2


@in_loop
async def test_whatever_a_codec_raises_is_a_failure_of_its_cycle() -> None:
    clock, client = Time(), Client()
    polling = Polling(clock=clock, rest=0)
    group = polling.add(boiler(client), ["flow"], every=1.0)
    client.failure = ZeroDivisionError("codec")

    async with polling, reading(polling) as told:
        await clock.advance(2.5)
        assert client.reads == 3  # no rest at all
        assert isinstance(group.failure, ZeroDivisionError)
        assert len(told) == 1


# -- Groups ----------------------------------------------------------------------------------------


@in_loop
async def test_groups_come_and_go_while_it_polls() -> None:
    clock, one, two = Time(), Client(), Client()
    polling = Polling(clock=clock)
    first = polling.add(boiler(one), every=1.0)

    async with polling:
        await clock.advance(0.5)
        second = polling.add(boiler(two), every=1.0)
        assert polling.groups == [first, second]
        await clock.advance(1)
        polling.remove(first)
        await clock.advance(2)
        with pytest.raises(LookupError, match="not polled here"):
            polling.remove(first)
        with pytest.raises(RuntimeError, match="already"):
            await polling.__aenter__()

    assert (one.reads > 0, two.reads > one.reads) == (True, True)
    assert polling.groups == [second]


@in_loop
async def test_run_polls_until_it_is_cancelled() -> None:
    client = Client()
    polling = Polling()
    polling.add(boiler(client), every=0.01)
    task = asyncio.create_task(polling.run())
    with capture("modboss.poll.cycle") as events:
        await events.until("modboss.poll.cycle", count=2)
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
    reads = client.reads
    await asyncio.sleep(0.05)
    assert client.reads == reads


@pytest.mark.parametrize(
    ("options", "error", "complaint"),
    [
        ({"every": 0}, OptionError, "every is 0"),
        ({"every": math.inf}, OptionError, "every is inf"),
        ({"every": 1, "names": ["flow", "nothing"]}, UnknownNamesError, "nothing"),
        ({"every": 1, "names": "flow", "dead_bands": {"back": 1}}, OptionError, "not in the group"),
        ({"every": 1, "dead_bands": {"back": -1}}, OptionError, "from 0"),
    ],
)
def test_what_makes_no_group_is_refused(
    options: dict[str, Any], error: type[Exception], complaint: str
) -> None:
    device = AsyncDevice(Boiler, Tcp("127.0.0.1"))

    with pytest.raises(error, match=complaint):
        Polling().add(device, **options)


@pytest.mark.parametrize("rest", [-1, math.inf, math.nan])
def test_a_rest_that_is_none_is_refused(rest: float) -> None:
    with pytest.raises(ValueError, match="rest"):
        Polling(rest=rest)


# -- On real connections ---------------------------------------------------------------------------


@in_loop
async def test_dead_and_slow_devices_delay_nobody_else() -> None:
    virtuals = [VirtualDevice(Boiler, {"flow": n, "back": 0, "serial": n}) for n in range(5)]
    virtuals[0].inject(Silence())
    virtuals[1].inject(Delay(0.2))
    async with AsyncExitStack() as stack:
        servers = [await stack.enter_async_context(VirtualServer(each)) for each in virtuals]
        polling = Polling()
        groups = []
        for number, server in enumerate(servers):
            device = AsyncDevice(Boiler, server.transport, name=str(number))
            stack.push_async_callback(device.close)
            groups.append(polling.add(device, every=0.02))
        with capture("modboss.poll.cycle") as events:
            async with polling:
                for name in ("2", "3", "4"):
                    healthy = {"device": name, "outcome": Ok(None)}
                    await events.until("modboss.poll.cycle", metadata=healthy, count=10)
        cycles = Counter(event.metadata["device"] for event in events)

    assert cycles["0"] == 0
    assert cycles["1"] <= cycles["2"] / 2
    assert groups[2].values == {"flow": 2, "back": 0, "serial": 2}


@in_loop
async def test_a_dead_unit_of_a_shared_link_is_asked_less_and_less() -> None:
    alive = VirtualDevice(Boiler, {"flow": 1, "back": 0, "serial": 2}, unit=1)
    dead = VirtualDevice(Boiler, {"flow": 1, "back": 0, "serial": 2}, unit=2)
    dead.inject(Refuse(11))
    async with VirtualServer(alive, dead) as server, Link(server.transport) as link:
        polling = Polling()
        polling.add(AsyncDevice(Boiler, link, 1, name="alive"), "flow", every=0.01)
        polling.add(AsyncDevice(Boiler, link, 2, name="dead"), "flow", every=0.01)
        with capture("modboss.poll.cycle") as events:
            async with polling:
                await events.until("modboss.poll.cycle", metadata={"device": "alive"}, count=60)

    assert len(alive.requests) >= 60
    assert 1 <= len(dead.requests) <= 12
