# Read by type checkers, never run. A line that ends in "# error" must be refused, all others taken.
from __future__ import annotations

import functools
from collections.abc import AsyncGenerator, Generator, Mapping
from typing import Any, TypedDict, assert_type

import heliograph
from heliograph import (
    EMPTY,
    ActiveSpan,
    Error,
    Event,
    HandlerInfo,
    Observation,
    Ok,
    Propagator,
    Span,
    Telemetry,
)


def handler(
    event: str, measurements: Mapping[str, Any], metadata: Mapping[str, Any], config: Any
) -> None: ...


def observer(event: str, measurements: Mapping[str, Any], metadata: Mapping[str, Any]) -> None: ...


def short(event: str) -> None: ...


# Attaching.
heliograph.attach("h", "a.b", handler)
heliograph.attach(("any", 1), "a.b", handler, {"limit": 1}, on_failure="quarantine")
heliograph.attach_many("h", ["a.b"], handler, on_failure="keep")
heliograph.attach("h", "a.b", lambda event, measurements, metadata, config: measurements["count"])
heliograph.attach("h", "a.b", functools.partial(handler))
heliograph.attach("h", 1, handler)  # error
heliograph.attach("h", "a.b", short)  # error
heliograph.attach("h", "a.b", None)  # error
heliograph.attach([], "a.b", handler)  # error
heliograph.attach("h", "a.b", handler, on_failure="drop")  # error
heliograph.attach("h", "a.b", handler, None, "keep")  # error
heliograph.detach("h", "a.b")  # error
assert_type(heliograph.list_handlers("a"), list[HandlerInfo])
assert_type(heliograph.list_handlers()[0].events, tuple[str, ...])

# Executing.
heliograph.execute("a.b", {"count": 1})
heliograph.execute("a.b", {"count": 1}, {"who": "x"})
heliograph.execute("a.b", measurements={"count": 1}, metadata=EMPTY)
heliograph.execute("a.b")  # error
heliograph.execute("a.b", 1)  # error

# Observing.
assert_type(heliograph.observe(observer), Observation)
heliograph.observe(handler)  # error
heliograph.observe(observer, on_failure="keep")  # error
with heliograph.observe(observer) as observation:
    assert_type(observation, Observation)
    assert_type(observation.closed, bool)


# Handles, typed as generated modules type them and plain.
class Sent(TypedDict):
    size: int


class To(TypedDict):
    recipient: str


SENT = Event[Sent, To]("mail.sent")
assert_type(SENT, Event[Sent, To])
SENT.execute({"size": 1}, {"recipient": "x"})
SENT.execute({"size": "1"}, {"recipient": "x"})  # error
SENT.execute({"sise": 1}, {"recipient": "x"})  # error
SENT.execute({"size": 1}, {})  # error
Event("a.b").execute({"anything": 1})
Event(1)  # error
for entry in SENT.handlers:
    pass
assert_type(bool(SENT.handlers), bool)


class Stop(TypedDict, total=False):
    bytes: int


SPAN = Span[Stop, To]("mail.send")
with SPAN(recipient="x") as sending:
    assert_type(sending, ActiveSpan[Stop, To])
    sending.measurements["bytes"] = 1
    sending.measurements["bytes"] = "1"  # error
    sending.measurements["bites"] = 1  # error
    assert_type(sending.metadata["recipient"], str)
with SPAN({"recipient": "x"}):
    pass
with SPAN():
    pass
SPAN(1)  # error
with Span("a.b")() as anything:
    anything.measurements["whatever"] = object()
with heliograph.span("a.b", {"who": "x"}) as open_span:
    open_span.metadata["more"] = 1
heliograph.span(1)  # error


async def asynchronously() -> None:
    async with SPAN(recipient="x") as sending:
        assert_type(sending, ActiveSpan[Stop, To])
    async with heliograph.span("a.b") as active:
        active.measurements["bytes"] = 1


# Decorators keep what they decorate.
@heliograph.traced("a.b")
def plain(a: int, *, b: str = "") -> float:
    raise NotImplementedError


@SPAN
async def coroutine(a: int) -> str:
    raise NotImplementedError


@heliograph.traced("a.b", {"who": "x"})
def generator(a: int) -> Generator[int, str, bytes]:
    raise NotImplementedError


@SPAN
async def async_generator(a: int) -> AsyncGenerator[int, str]:
    yield a


assert_type(plain(1, b="x"), float)
plain("1")  # error
plain(1, c=2)  # error
assert_type(generator(1), Generator[int, str, bytes])
assert_type(async_generator(1), AsyncGenerator[int, str])


async def called() -> None:
    assert_type(await coroutine(1), str)


heliograph.traced("a.b")(1)  # error

# Results.
assert_type(Ok(1).value, int)
assert_type(Error("no").reason, str)


def outcome(result: Ok[int] | Error[str]) -> int | str:
    match result:
        case Ok(value):
            assert_type(value, int)
            return value
        case Error(reason):
            assert_type(reason, str)
            return reason


Ok(1).value = 2  # error
wider: Ok[object] = Ok[int](1)

# Dispatchers of one's own have the same.
mine = Telemetry()
mine.attach("h", "a.b", handler)
mine.execute("a.b", {})
assert_type(mine.event("a.b"), Event[Any, Any])
assert_type(mine.spanning("a.b"), Span[Any, Any])
with mine.span("a.b") as own:
    own.measurements["bytes"] = 1
assert_type(mine.propagator, Propagator)
with heliograph.propagator().extract({"traceparent": "x"}):
    pass
heliograph.propagator().inject({})
heliograph.set_propagator(1)  # error

# What is final and what is frozen.
EMPTY["a"] = 1  # error


class MyEvent(Event): ...  # error
