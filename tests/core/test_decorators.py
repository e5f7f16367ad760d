# SPDX-License-Identifier: Apache-2.0
"""Functions as spans: plain ones, coroutines, generators, async generators."""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import AsyncGenerator, Callable, Generator
from typing import Any

import pytest

from heliograph import EventNameError, Telemetry

Decorator = Callable[[Any], Any]
Seen = list[tuple[str, Any]]


@pytest.fixture
def seen(telemetry: Telemetry) -> Seen:
    """The end of each event's name below `a.b`, and the metadata."""
    seen: Seen = []
    telemetry.attach_many(
        "seen",
        ["a.b.start", "a.b.stop", "a.b.exception"],
        lambda event, _measurements, metadata, _: seen.append((event[4:], metadata)),
    )
    return seen


@pytest.fixture(params=["traced", "handle"])
def decorator(request: pytest.FixtureRequest, telemetry: Telemetry) -> Decorator:
    return telemetry.traced("a.b") if request.param == "traced" else telemetry.spanning("a.b")


def ends(seen: Seen) -> list[str]:
    return [end for end, _ in seen]


def plain(a: int, /, b: int, *more: int, c: int = 3, **named: int) -> tuple[object, ...]:
    """Return what it was given."""
    return (a, b, more, c, named)


async def coroutine(a: int, *, b: str = "x") -> tuple[int, str]:
    """Return what it was given, later."""
    await asyncio.sleep(0)
    return a, b


def generator(a: int) -> Generator[int, str, str]:
    """Yield, and return what it was sent."""
    sent = yield a
    return sent


async def async_generator(a: int) -> AsyncGenerator[int, None]:
    """Yield twice."""
    yield a
    yield a + 1


FUNCTIONS = [plain, coroutine, generator, async_generator]


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: function.__name__)
class TestEveryKind:
    def test_it_keeps_its_name_its_docstring_and_its_signature(
        self, decorator: Decorator, function: Any
    ) -> None:
        decorated = decorator(function)

        assert inspect.signature(decorated) == inspect.signature(function)
        assert decorated.__name__ == function.__name__
        assert decorated.__qualname__ == function.__qualname__
        assert decorated.__module__ == function.__module__
        assert decorated.__doc__ == function.__doc__
        assert decorated.__wrapped__ is function

    def test_it_stays_what_it_is(self, decorator: Decorator, function: Any) -> None:
        decorated = decorator(function)

        for kind in (
            inspect.iscoroutinefunction,
            inspect.isgeneratorfunction,
            inspect.isasyncgenfunction,
        ):
            assert kind(decorated) == kind(function)

    def test_calling_it_alone_begins_nothing_but_for_a_plain_one(
        self, decorator: Decorator, seen: Seen, function: Any
    ) -> None:
        called = decorator(function)(1, **({"b": 2} if function is plain else {}))
        if inspect.iscoroutine(called):
            called.close()

        assert ends(seen) == (["start", "stop"] if function is plain else [])


class TestFunctions:
    def test_each_call_is_a_span(self, decorator: Decorator, seen: Seen) -> None:
        decorated = decorator(plain)

        assert decorated(1, 2, 4, 5, c=6, d=7) == (1, 2, (4, 5), 6, {"d": 7})
        assert decorated(1, b=2) == (1, 2, (), 3, {})
        assert ends(seen) == ["start", "stop"] * 2
        contexts = [data["telemetry_span_context"] for _, data in seen]
        assert contexts[0] == contexts[1] != contexts[2] == contexts[3]

    def test_a_failure_goes_on(self, decorator: Decorator, seen: Seen) -> None:
        failure = LookupError("no")

        @decorator
        def fail() -> None:
            raise failure

        with pytest.raises(LookupError) as caught:
            fail()

        assert caught.value is failure
        assert ends(seen) == ["start", "exception"]
        assert seen[1][1]["reason"] is failure

    def test_methods_too(self, decorator: Decorator, seen: Seen) -> None:
        class Device:
            @decorator
            def read(self, address: int) -> tuple[object, int]:
                return self, address

            @classmethod
            @decorator
            def made(cls) -> type:
                return cls

            @staticmethod
            @decorator
            def static(a: int) -> int:
                return a

        device = Device()

        assert device.read(7) == (device, 7)
        assert Device.made() is Device
        assert device.static(1) == 1
        assert ends(seen) == ["start", "stop"] * 3

    @pytest.mark.parametrize(
        "function", [functools.partial(plain, 1), len, dict], ids=["partial", "builtin", "class"]
    )
    def test_other_callables_too(self, decorator: Decorator, seen: Seen, function: Any) -> None:
        decorator(function)([])

        assert ends(seen) == ["start", "stop"]

    def test_every_call_carries_the_metadata_it_was_decorated_with(
        self, telemetry: Telemetry, seen: Seen
    ) -> None:
        @telemetry.traced("a.b", {"who": "x"})
        def function() -> None:
            pass

        function()

        assert [data["who"] for _, data in seen] == ["x", "x"]


class TestCoroutines:
    def test_each_await_is_a_span(self, decorator: Decorator, seen: Seen) -> None:
        assert asyncio.run(decorator(coroutine)(1, b="y")) == (1, "y")
        assert ends(seen) == ["start", "stop"]

    def test_a_failure_goes_on(self, decorator: Decorator, seen: Seen) -> None:
        @decorator
        async def fail() -> None:
            await asyncio.sleep(0)
            raise LookupError

        with pytest.raises(LookupError):
            asyncio.run(fail())

        assert ends(seen) == ["start", "exception"]

    def test_partials_and_methods_of_coroutine_functions_are_coroutines(
        self, decorator: Decorator, seen: Seen
    ) -> None:
        class Device:
            @decorator
            async def read(self) -> object:
                return self

            async def __call__(self) -> object:
                return self

        device = Device()

        assert asyncio.run(decorator(functools.partial(coroutine, 1))()) == (1, "x")
        assert asyncio.run(device.read()) is device
        assert asyncio.run(decorator(device)()) is device
        assert ends(seen) == ["start", "stop"] * 3


class TestGenerators:
    def test_the_span_lasts_from_the_first_step_to_the_end(
        self, decorator: Decorator, seen: Seen
    ) -> None:
        steps = decorator(generator)(1)
        assert ends(seen) == []

        assert next(steps) == 1
        assert ends(seen) == ["start"]

        with pytest.raises(StopIteration) as ended:
            steps.send("sent")
        assert ended.value.value == "sent"
        assert ends(seen) == ["start", "stop"]

    def test_what_is_thrown_in_reaches_the_body(self, decorator: Decorator, seen: Seen) -> None:
        @decorator
        def resilient() -> Generator[str]:
            try:
                yield "first"
            except LookupError:
                yield "caught"

        steps = resilient()
        next(steps)

        assert steps.throw(LookupError()) == "caught"
        assert list(steps) == []
        assert ends(seen) == ["start", "stop"]

    def test_a_failure_goes_on(self, decorator: Decorator, seen: Seen) -> None:
        @decorator
        def fail() -> Generator[int]:
            yield 1
            raise LookupError

        with pytest.raises(LookupError):
            list(fail())

        assert ends(seen) == ["start", "exception"]

    def test_closed_early_it_stops_and_so_does_the_body(
        self, decorator: Decorator, seen: Seen
    ) -> None:
        left: list[str] = []

        @decorator
        def endless() -> Generator[int]:
            try:
                while True:
                    yield 1
            finally:
                left.append("body")

        steps = endless()
        next(steps)
        steps.close()

        assert left == ["body"]
        assert ends(seen) == ["start", "stop"]


class TestAsyncGenerators:
    def test_the_span_lasts_from_the_first_step_to_the_end(
        self, decorator: Decorator, seen: Seen
    ) -> None:
        async def main() -> list[tuple[int, list[str]]]:
            return [(n, ends(seen)) async for n in decorator(async_generator)(1)]

        assert asyncio.run(main()) == [(1, ["start"]), (2, ["start"])]
        assert ends(seen) == ["start", "stop"]

    def test_what_is_sent_and_thrown_in_reaches_the_body(
        self, decorator: Decorator, seen: Seen
    ) -> None:
        @decorator
        async def echo() -> AsyncGenerator[object, object]:
            sent: object = "nothing"
            while sent != "end":
                try:
                    sent = yield sent
                except LookupError as thrown:
                    sent = yield thrown
                await asyncio.sleep(0)

        async def main() -> None:
            steps = echo()
            thrown = LookupError()
            assert await anext(steps) == "nothing"
            assert await steps.asend(1) == 1
            assert await steps.athrow(thrown) is thrown
            assert await steps.asend(2) == 2
            with pytest.raises(StopAsyncIteration):
                await steps.asend("end")

        asyncio.run(main())
        assert ends(seen) == ["start", "stop"]

    def test_what_is_thrown_in_may_end_the_body(self, decorator: Decorator, seen: Seen) -> None:
        @decorator
        async def resilient() -> AsyncGenerator[int]:
            try:
                yield 1
            except LookupError:
                return

        async def main() -> None:
            steps = resilient()
            await anext(steps)
            with pytest.raises(StopAsyncIteration):
                await steps.athrow(LookupError())

        asyncio.run(main())
        assert ends(seen) == ["start", "stop"]

    def test_what_is_thrown_in_and_not_caught_goes_on(
        self, decorator: Decorator, seen: Seen
    ) -> None:
        thrown = LookupError()

        async def main() -> None:
            steps = decorator(async_generator)(1)
            await anext(steps)
            with pytest.raises(LookupError) as caught:
                await steps.athrow(thrown)
            assert caught.value is thrown

        asyncio.run(main())
        assert ends(seen) == ["start", "exception"]

    def test_a_failure_goes_on(self, decorator: Decorator, seen: Seen) -> None:
        @decorator
        async def fail() -> AsyncGenerator[int]:
            yield 1
            raise LookupError

        async def main() -> None:
            async for _ in fail():
                pass

        with pytest.raises(LookupError):
            asyncio.run(main())
        assert ends(seen) == ["start", "exception"]

    def test_closed_early_it_stops_and_so_does_the_body(
        self, decorator: Decorator, seen: Seen
    ) -> None:
        left: list[str] = []

        @decorator
        async def endless() -> AsyncGenerator[int]:
            try:
                while True:
                    yield 1
            finally:
                await asyncio.sleep(0)
                left.append("body")

        async def main() -> None:
            steps = endless()
            await anext(steps)
            await steps.aclose()
            assert left == ["body"]

        asyncio.run(main())
        assert ends(seen) == ["start", "stop"]

    def test_cancelled_it_is_left_by_cancellation(self, decorator: Decorator, seen: Seen) -> None:
        @decorator
        async def waiting() -> AsyncGenerator[int]:
            yield 1
            await asyncio.get_running_loop().create_future()

        async def main() -> None:
            async def consume() -> None:
                async for _ in waiting():
                    pass

            task = asyncio.create_task(consume())
            await asyncio.sleep(0)
            task.cancel()
            await task

        with pytest.raises(asyncio.CancelledError):
            asyncio.run(main())
        assert ends(seen) == ["start", "exception"]
        assert seen[1][1]["kind"] == "cancelled"


class TestBadInput:
    @pytest.mark.parametrize("function", [None, 1, "function"])
    def test_what_is_no_function_is_refused(self, telemetry: Telemetry, function: Any) -> None:
        with pytest.raises(TypeError) as caught:
            telemetry.traced("a.b")(function)

        assert str(caught.value) == f"'a.b' can only decorate a function, not {function!r}"

    def test_a_malformed_prefix_is_refused_at_once(self, telemetry: Telemetry) -> None:
        with pytest.raises(EventNameError):
            telemetry.traced("A.b")
