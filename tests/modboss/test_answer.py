# SPDX-License-Identifier: Apache-2.0
"""A task runs on where its answer comes, and is cancelled like any other."""

from __future__ import annotations

import asyncio
import contextvars
from typing import Any

import pytest

from heliograph.modboss.answer import Answer

who = contextvars.ContextVar("who", default="nobody")


async def waiting(answer: Answer, heard: list[Any]) -> None:
    who.set("the task")
    try:
        heard.append(await answer)
    except asyncio.CancelledError:
        heard.append("cancelled")
        raise
    heard.append(who.get())


async def begun() -> tuple[Answer, list[Any], asyncio.Task[None]]:
    answer = Answer()
    heard: list[Any] = []
    task = asyncio.create_task(waiting(answer, heard))
    await asyncio.sleep(0)
    return answer, heard, task


async def from_the_loop(call: Any, *args: Any) -> None:
    """Call something while no task runs."""
    done = asyncio.get_running_loop().create_future()

    def called() -> None:
        call(*args)
        done.set_result(None)

    asyncio.get_running_loop().call_soon(called)
    await done


def test_the_task_runs_on_at_once_and_in_its_own_context() -> None:
    async def main() -> None:
        answer, heard, task = await begun()

        def resume() -> None:
            answer.resume(7)
            assert heard == [7, "the task"]
            assert who.get() == "nobody"

        await from_the_loop(resume)
        await task

    asyncio.run(main())


def test_while_another_task_runs_it_waits() -> None:
    async def main() -> None:
        answer, heard, task = await begun()
        answer.resume(7)
        assert heard == []
        await task
        assert heard == [7, "the task"]

    asyncio.run(main())


def test_what_nobody_waits_for_is_a_result_all_the_same() -> None:
    async def main() -> None:
        answer = Answer()
        await from_the_loop(answer.resume, 7)
        assert await answer == 7

    asyncio.run(main())


def test_a_context_that_is_in_use_is_not_entered_twice() -> None:
    async def main() -> None:
        answer = Answer()
        heard: list[Any] = []
        context = contextvars.copy_context()
        task = asyncio.create_task(waiting(answer, heard), context=context)
        await asyncio.sleep(0)

        def resume() -> None:
            context.run(answer.resume, 7)
            assert heard == []

        await from_the_loop(resume)
        await task
        assert heard == [7, "the task"]

    asyncio.run(main())


def test_a_task_that_is_cancelled_ends() -> None:
    async def main() -> None:
        answer, heard, task = await begun()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert heard == ["cancelled"]
        assert answer.cancelled()

    asyncio.run(main())


def test_an_exception_is_raised_in_the_task() -> None:
    async def main() -> None:
        answer, heard, task = await begun()
        answer.set_exception(LookupError("gone"))
        with pytest.raises(LookupError, match="gone"):
            await task
        assert heard == []

    asyncio.run(main())


def test_what_ends_the_program_comes_from_the_loop() -> None:
    heard: list[str] = []
    tasks: list[asyncio.Task[None]] = []

    async def exits(answer: Answer) -> None:
        await answer
        raise SystemExit(3)

    async def main() -> None:
        answer = Answer()
        tasks.append(asyncio.create_task(exits(answer)))
        await asyncio.sleep(0)

        def resume() -> None:
            answer.resume(None)
            heard.append("the transport goes on")

        asyncio.get_running_loop().call_soon(resume)
        await asyncio.Event().wait()

    with pytest.raises(SystemExit):
        asyncio.run(main())
    assert heard == ["the transport goes on"]
    assert isinstance(tasks[0].exception(), SystemExit)
