# SPDX-License-Identifier: Apache-2.0
"""Remote calls: functions of other nodes, with deadlines and trace context."""

from __future__ import annotations

import pickle
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from heliograph import Error, Ok
from heliograph.partisan import (
    Atom,
    CallError,
    EncodeError,
    NameTakenError,
    NoReplyError,
    NotConnectedError,
    UnknownNodeError,
    calls,
)
from heliograph.partisan.wire.refs import RemoteRef
from heliograph.telemetry import set_propagator
from heliograph.testing import Captured
from tests.partisan.node.clusters import cluster, until
from tests.partisan.node.conftest import Run
from tests.partisan.node.telling import Carrying


def test_functions_of_either_kind_give_their_results(run: Run, telemetry_events: Captured) -> None:
    async def later(number: int) -> tuple[Atom, int]:
        await anyio.lowlevel.checkpoint()
        return Atom("later"), number + 1

    async def main() -> None:
        async with cluster("a", "b") as (a, b):
            b.serve("orders", "sum", lambda *numbers: sum(numbers))
            b.serve("orders", "later", later)
            assert await a.call(b.name, "orders", "sum", [1, 2, 3]) == 6
            assert await a.call(b.name, "orders", "later", [1], channel="data") == ("later", 2)
            assert await a.call(b.name, "orders", "sum") == 0
            # Many at once, each with its own result.
            async with anyio.create_task_group() as tasks:
                seen: dict[int, Any] = {}

                async def one(number: int) -> None:
                    seen[number] = await a.call(b.name, "orders", "later", [number])

                for number in range(50):
                    tasks.start_soon(one, number)
            assert seen == {number: ("later", number + 1) for number in range(50)}

    run(main)
    called = telemetry_events.named("partisan.rpc.call.stop")[0]
    assert called.metadata["node"] == "a@127.0.0.1"
    assert called.metadata["peer"] == "b@127.0.0.1"
    assert (called.metadata["module"], called.metadata["function"]) == ("orders", "sum")
    assert called.metadata["result"] == Ok(None)
    served = telemetry_events.named("partisan.rpc.serve.stop")[0]
    assert (served.metadata["node"], served.metadata["peer"]) == ("b@127.0.0.1", "a@127.0.0.1")


def test_what_fails_over_there_is_an_error_here(run: Run, telemetry_events: Captured) -> None:
    def fails(_: object) -> None:
        raise ZeroDivisionError("on purpose")

    async def main() -> None:
        async with cluster("a", "b") as (a, b):
            with b.serve("orders", "fails", fails), b.serve("orders", "object", object):
                with pytest.raises(CallError, match=r"orders:fails at b@127\.0\.0\.1 failed") as it:
                    await a.call(b.name, "orders", "fails", [1])
                assert it.value.reason == (
                    "EXIT",
                    ("ZeroDivisionError", b"ZeroDivisionError: on purpose"),
                )
                with pytest.raises(CallError, match="TypeError"):
                    await a.call(b.name, "orders", "fails", [1, 2])
                with pytest.raises(CallError, match="EncodeError"):
                    await a.call(b.name, "orders", "object")
                with pytest.raises(EncodeError):
                    await a.call(b.name, "orders", "fails", [object()])
                with pytest.raises(NameTakenError, match="orders:fails is served already"):
                    b.serve("orders", "fails", fails)
            with pytest.raises(CallError) as missing:
                await a.call(b.name, "orders", "fails")
            assert missing.value.reason == "undef"
            with pytest.raises(UnknownNodeError):
                await a.call("x@127.0.0.1", "orders", "fails")
            with pytest.raises(NameTakenError):
                b.serve("heliograph", "traced_call", fails)

    run(main)
    results = [each.metadata["result"] for each in telemetry_events.named("partisan.rpc.call.stop")]
    assert all(isinstance(each, Error) for each in results)
    error = CallError("text", Atom("undef"))
    assert pickle.loads(pickle.dumps(error)).reason == "undef"


def test_deadlines_hold_on_both_sides(run: Run, telemetry_events: Captured) -> None:
    async def main() -> None:
        ended: list[bool] = []

        async def sleeps() -> None:
            try:
                await anyio.sleep_forever()  # only a deadline ends it
            finally:
                ended.append(True)

        async with cluster("a", "b") as (a, b):
            b.serve("orders", "sleeps", sleeps)
            with pytest.raises(NoReplyError, match=r"no result within 0\.1 s"):
                await a.call(b.name, "orders", "sleeps", deadline=0.1)
            await until(lambda: ended)
            # Answers to nobody that waits are dropped, and what is lost is told.
            assert a._messaging.processes._pending == {}

    run(main)
    await_result = [
        each.metadata["result"] for each in telemetry_events.named("partisan.rpc.serve.stop")
    ]
    assert isinstance(await_result[0].reason, TimeoutError)


def test_a_node_that_is_gone_meanwhile(run: Run) -> None:
    async def main() -> None:
        async with cluster("a") as (a,), anyio.create_task_group() as tasks:
            entered = anyio.Event()

            async def serving(*, task_status: anyio.abc.TaskStatus[str]) -> None:
                async def waits() -> None:
                    entered.set()
                    await anyio.sleep_forever()

                async with cluster("b") as (b,):
                    b.serve("orders", "waits", waits)
                    await b.sync_join(a.name, a.listen_addrs[0])
                    task_status.started(b.name)
                    await entered.wait()

            name = await tasks.start(serving)
            with pytest.raises(NotConnectedError, match="is gone before"):
                await a.call(name, "orders", "waits", deadline=20)

    run(main)


def test_calls_carry_trace_context_to_our_kind(run: Run) -> None:
    carrying = Carrying()

    async def main() -> None:
        before = set_propagator(carrying)
        try:
            async with cluster("a", "b", trace=True) as (a, b):
                b.serve("orders", "echo", lambda term: term)
                assert await a.call(b.name, "orders", "echo", [b"x"]) == b"x"
        finally:
            set_propagator(before)

    run(main)
    assert carrying.extracted == [{"traceparent": "00-word"}]


def test_too_many_at_once_are_refused(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "_AT_ONCE", 1)

    async def main() -> None:
        async with cluster("a", "b") as (a, b):
            entered, go = anyio.Event(), anyio.Event()

            async def waits() -> int:
                entered.set()
                await go.wait()
                return 1

            b.serve("orders", "waits", waits)
            async with anyio.create_task_group() as tasks:

                async def first() -> None:
                    assert await a.call(b.name, "orders", "waits", deadline=20) == 1

                tasks.start_soon(first)
                await entered.wait()
                with pytest.raises(CallError) as refused:
                    await a.call(b.name, "orders", "waits")
                assert refused.value.reason == "system_limit"
                go.set()

    run(main)


def test_processes_are_alive_or_not(run: Run) -> None:
    async def main() -> None:
        async with cluster("a", "b") as (a, b):
            inbox = b.register("sink")
            sink = RemoteRef(Atom(b.name), "name", "sink").term()
            assert await a.call(b.name, "partisan", "is_process_alive", [sink]) is True
            inbox.close()
            assert await a.call(b.name, "partisan", "is_process_alive", [sink]) is False

    run(main)
