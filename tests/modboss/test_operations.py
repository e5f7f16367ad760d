# SPDX-License-Identifier: Apache-2.0
"""Reading, writing and encoding by name: what callers get, and what events say of it.

What is recorded of ModBoss is tested by `test_golden`; here is what goes beyond it.
"""

from __future__ import annotations

import asyncio
import gc
import warnings
from array import array
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import nullcontext, suppress
from types import MappingProxyType
from typing import Any, Literal

import pytest
import trio

import heliograph
from heliograph import Error, Ok
from heliograph.modboss import (
    BadValueError,
    BatchTooLargeError,
    CodecError,
    DecodeError,
    DeviceError,
    DuplicateNamesError,
    EncodeError,
    NotReadableError,
    NotWritableError,
    ObjectType,
    OptionError,
    RetryPolicy,
    Schema,
    UnknownNamesError,
    WrongCountError,
    aread,
    awrite,
    coil,
    encode,
    holding_register,
    input_register,
    read,
    write,
)
from heliograph.modboss.caching import PlanCache
from heliograph.modboss.prepared import Prepared
from heliograph.stream import Snapshot
from heliograph.testing import Captured, capture


class Boiler(Schema, max_batch_writes={"holding_registers": 2}):
    power = holding_register(0, "unsigned_int", mode="rw")
    target = holding_register(1, "signed_int", mode="rw")
    limit = holding_register(2, "unsigned_int", mode="rw")
    code = holding_register(3, mode="w")
    name = holding_register(range(4, 6), "ascii", mode="rw")
    pressure = input_register(0, "signed_int")
    running = coil(0, "boolean", mode="rw")


def echo(_type: ObjectType, start: int, count: int) -> list[int]:
    return list(range(start, start + count))


async def aecho(object_type: ObjectType, start: int, count: int) -> list[int]:
    await asyncio.sleep(0)
    return echo(object_type, start, count)


def fails(error: BaseException) -> Callable[..., Any]:
    def fail(*_: Any) -> Any:
        raise error

    return fail


def outcomes(captured: Captured) -> list[str]:
    return [name.removeprefix("modboss.") for name in captured.names]


# -- Names ----------------------------------------------------------------------------------------


def test_one_name_gives_a_value_and_several_give_a_dict_in_their_order() -> None:
    assert read(Boiler, "target", echo) == 1
    assert read(Boiler, ["target"], echo) == {"target": 1}
    assert list(read(Boiler, ["limit", "pressure", "power"], echo).items()) == [
        ("limit", 2),
        ("pressure", 0),
        ("power", 0),
    ]
    assert read(Boiler, iter(("power", "limit")), echo) == {"power": 0, "limit": 2}


def test_all_gives_everything_readable_in_the_order_of_definition() -> None:
    read_names = list(read(Boiler, "all", echo, decode=False))

    assert read_names == ["power", "target", "limit", "name", "pressure", "running"]


def test_no_names_give_no_values() -> None:
    with capture() as captured:
        assert read(Boiler, [], fails(AssertionError())) == {}
        write(Boiler, {}, fails(AssertionError()))

    assert outcomes(captured) == ["read.start", "read.stop", "write.start", "write.stop"]


def test_a_field_stands_for_its_name() -> None:
    calls: list[tuple[Any, ...]] = []

    with capture() as captured:
        assert read(Boiler, Boiler.target, echo) == 1
        assert read(Boiler, [Boiler.limit, "power"], echo) == {"limit": 2, "power": 0}
        assert read(Boiler, (Boiler.limit, Boiler.power), echo) == {"limit": 2, "power": 0}
        write(Boiler, {Boiler.target: -1}, lambda *call: calls.append(call))

    assert encode(Boiler, [(Boiler.running, True)]) == {("coil", 0): 1}
    assert calls == [("holding_register", 1, 0xFFFF)]
    asked = [each.metadata["names"] for each in captured.named("modboss.read.start")]
    assert asked == [("target",), ("limit", "power"), ("limit", "power")]
    assert captured.one("modboss.write.start").metadata["names"] == ("target",)
    with pytest.raises(UnknownNamesError, match="strange"):
        read(Boiler, [holding_register(0, name="strange"), "power"], echo)


@pytest.mark.parametrize("names", [["power", "nope", 5, ["x"], "nope"], ("nope", 5, ["x"], "nope")])
def test_unknown_names_are_refused_before_any_event(names: Any) -> None:
    with capture() as captured, pytest.raises(UnknownNamesError) as raised:
        read(Boiler, names, echo)

    assert raised.value.names == ("nope", 5, ["x"], "nope")
    assert "schema Boiler" in str(raised.value)
    assert list(captured) == []


@pytest.mark.parametrize("names", [5, None, 1.5])
def test_what_is_no_name_is_refused(names: Any) -> None:
    with capture() as captured, pytest.raises(OptionError, match="names is"):
        read(Boiler, names, echo)

    assert list(captured) == []


def test_names_given_twice_are_refused_before_any_event() -> None:
    with capture() as captured:
        with pytest.raises(DuplicateNamesError) as reading:
            read(Boiler, ["power", "target", "power", "target", "limit", "power"], echo)
        with pytest.raises(DuplicateNamesError) as writing:
            write(Boiler, [("power", 1), ("power", 2)], fails(AssertionError()))
        with pytest.raises(DuplicateNamesError) as encoding:
            encode(Boiler, [("power", 1), ("power", 2)])

    assert reading.value.names == ("power", "target")
    assert writing.value.names == encoding.value.names == ("power",)
    assert list(captured) == []


def test_modes_are_heeded_before_any_event() -> None:
    with capture() as captured:
        with pytest.raises(NotReadableError) as unreadable:
            read(Boiler, ["power", "code"], echo)
        with pytest.raises(NotWritableError) as unwritable:
            write(Boiler, {"power": 1, "pressure": 1}, fails(AssertionError()))
        with pytest.raises(UnknownNamesError):
            read(Boiler, ["code", "nope"], echo)

    assert unreadable.value.names == ("code",)
    assert unwritable.value.names == ("pressure",)
    assert list(captured) == []


@pytest.mark.parametrize("values", [5, ["power"], [("power",)], "power"])
def test_what_is_no_values_is_refused(values: Any) -> None:
    with pytest.raises(OptionError, match="values is"):
        write(Boiler, values, fails(AssertionError()))


def test_a_name_that_is_no_text_cannot_be_written() -> None:
    with pytest.raises(UnknownNamesError):
        write(Boiler, [(["power"], 1)], fails(AssertionError()))  # type: ignore[list-item]  # on purpose


# -- What a read function gives -------------------------------------------------------------------


@pytest.mark.parametrize("reply", [[7], 7, (7,), array("H", [7]), range(7, 8)])
def test_one_value_may_come_as_it_is_or_in_a_sequence(reply: Any) -> None:
    assert read(Boiler, "power", lambda *_: reply) == 7


@pytest.mark.parametrize(
    ("reply", "received"),
    [(None, 0), ([], 0), ([1], 1), ([1, 2, 3], 3), (5, 1), ("ab", 1), (b"abc", 1), ({1, 2}, 1)],
)
def test_another_number_of_values_raises_and_is_not_retried(reply: Any, received: int) -> None:
    with capture() as captured, pytest.raises(WrongCountError) as raised:
        read(Boiler, ["power", "target"], lambda *_: reply, max_attempts=3)

    error = raised.value
    assert (error.object_type, error.address) == ("holding_register", 0)
    assert (error.expected, error.received, error.names) == (2, received, ("power", "target"))
    assert outcomes(captured) == [
        "read.start",
        "read_callback.start",
        "read_callback.stop",
        "read.exception",
    ]
    assert captured[2].metadata["result"] == Ok(reply)


@pytest.mark.parametrize("listening", [False, True])
@pytest.mark.parametrize("on_refusal", ["raise", "split"])
def test_a_read_function_may_fill_the_same_list_again(
    listening: bool, on_refusal: Literal["raise", "split"]
) -> None:
    buffer = [0]

    def read_func(_type: ObjectType, start: int, _count: int) -> list[int]:
        buffer[0] = start
        return buffer

    with capture() if listening else nullcontext():
        values = read(Boiler, ["limit", "power"], read_func, on_refusal=on_refusal)
    assert values == {"limit": 2, "power": 0}


def test_values_beyond_16_bits_are_left_to_the_codec() -> None:
    values = read(Boiler, ["power", "target"], lambda *_: [0x1_0007, -1])

    assert values == {"power": 7, "target": -1}


def test_what_is_no_register_is_said_by_the_codec() -> None:
    with capture() as captured, pytest.raises(BadValueError) as raised:
        read(Boiler, ["power", "target"], lambda *_: [7, "x"])

    assert raised.value.name == "target"
    assert captured[-1].event == "modboss.read.exception"


def test_decoding_can_be_left_out() -> None:
    values = read(Boiler, ["target", "name"], lambda _t, _s, n: [0x4142] * n, decode=False)

    assert values == {"target": 0x4142, "name": [0x4142, 0x4142]}


def test_debug_describes_values() -> None:
    described = read(Boiler, ["name", "power"], lambda _t, _s, n: [0x4142] * n, debug=True)
    alone = read(Boiler, "name", lambda _t, _s, n: [0x4142] * n, debug=True, decode=False)

    assert described["power"] == {
        "type": "holding_register",
        "address_range": range(1),
        "as": Boiler.mappings["power"].codec,
        "mode": "rw",
        "gap_safe": True,
        "encoded_value": 0x4142,
        "value": 0x4142,
    }
    assert described["name"]["value"] == "ABAB"
    assert described["name"]["encoded_value"] == [0x4142, 0x4142] == alone["encoded_value"]
    assert "value" not in alone


# -- Errors ---------------------------------------------------------------------------------------


def test_the_caller_gets_the_last_error_itself_with_a_note_of_what_was_read() -> None:
    errors = [DeviceError("first"), DeviceError({"code": 4})]
    replies = iter(errors)

    def read_func(*_: Any) -> Any:
        raise next(replies)

    with pytest.raises(DeviceError) as raised:
        read(Boiler, ["power", "target"], read_func, max_attempts=2)

    assert raised.value is errors[1]
    assert raised.value.reason == {"code": 4}
    assert raised.value.__notes__ == [
        "reading 2 x holding_register from address 0 ('power', 'target'), attempt 2 of 2"
    ]
    assert not hasattr(errors[0], "__notes__")
    assert raised.value.__context__ is None


def test_an_error_that_is_raised_again_and_again_is_noted_once() -> None:
    error = DeviceError("down")
    for _ in range(3):
        with pytest.raises(DeviceError):
            read(Boiler, "power", fails(error))

    assert len(error.__notes__) == 1


def test_a_codec_error_is_a_result_and_anything_else_is_not() -> None:
    class Broken:
        def decode(self, value: int) -> int:
            if value:
                raise CodecError("too much")
            raise KeyError(value)

    schema = Schema.from_mappings(
        "S", [{"name": "x", "type": "input_register", "address": 0, "codec": Broken()}]
    )
    with capture() as captured:
        with pytest.raises(DecodeError) as refused:
            read(schema, "x", lambda *_: 1)
        with pytest.raises(KeyError):
            read(schema, "x", lambda *_: 0)

    ends = [event for event in captured if event.event.startswith("modboss.read.")][1::2]
    assert [event.event for event in ends] == ["modboss.read.stop", "modboss.read.exception"]
    assert ends[0].metadata["result"] == Error(refused.value)
    assert ends[0].measurements["addresses_read"] == 1


def test_a_device_error_out_of_a_codec_is_no_failed_request() -> None:
    class Odd:
        def decode(self, _value: int) -> int:
            raise DeviceError("odd")

    schema = Schema.from_mappings(
        "S", [{"name": "x", "type": "input_register", "address": 0, "codec": Odd()}]
    )
    with capture() as captured, pytest.raises(DeviceError):
        read(schema, "x", lambda *_: 1, max_attempts=3)

    assert len(captured.named("modboss.read_callback.start")) == 1
    assert captured[-1].event == "modboss.read.exception"


def test_a_mapping_too_large_is_refused_inside_the_operation() -> None:
    large = Schema.from_mappings(
        "L", [{"name": "x", "type": "holding_register", "address": range(124), "mode": "rw"}]
    )
    for _ in range(2):  # it is not remembered
        with capture() as captured, pytest.raises(BatchTooLargeError):
            write(large, {"x": [0] * 124}, fails(AssertionError()))
        assert outcomes(captured) == ["write.start", "write.exception"]
    assert len(read(large, "x", echo)) == 124


def test_an_iterator_that_ends_in_a_read_function_is_an_error() -> None:
    replies = iter([[1]])

    def read_func(*_: Any) -> Any:
        return next(replies)

    assert read(Boiler, "power", read_func) == 1
    with capture() as captured, pytest.raises(RuntimeError) as raised:
        read(Boiler, "power", read_func)

    assert isinstance(raised.value.__cause__, StopIteration)
    assert outcomes(captured)[-2:] == ["read_callback.exception", "read.exception"]


def test_failed_operations_leave_nothing_for_the_collector() -> None:
    def fail(*_: Any) -> Any:
        raise DeviceError("down")

    def attempt() -> None:
        with suppress(DeviceError):
            read(Boiler, "power", fail)
        with suppress(DeviceError):
            write(Boiler, {"power": 1}, fail)

    attempt()
    gc.collect()
    gc.disable()
    try:
        attempt()
        assert gc.collect() == 0
    finally:
        gc.enable()


# -- Writing --------------------------------------------------------------------------------------


def test_neighbours_are_written_in_one_request() -> None:
    calls: list[tuple[Any, ...]] = []

    write(
        Boiler,
        {"name": "Hi", "running": True, "target": -2, "power": 5},
        lambda *call: calls.append(call),
    )

    assert calls == [
        ("holding_register", 0, [5, 0xFFFE]),
        ("holding_register", 4, [0x4869, 0]),
        ("coil", 0, 1),
    ]


def test_values_are_encoded_before_anything_is_written() -> None:
    with capture() as captured, pytest.raises(EncodeError) as raised:
        write(Boiler, {"power": 1, "target": 40_000}, fails(AssertionError()))

    assert raised.value.name == "target"
    assert list(captured) == []


def test_what_was_written_before_a_device_error_is_said() -> None:
    def write_func(object_type: ObjectType, start: int, _values: Any) -> None:
        if start == 2:
            raise DeviceError("down")

    with capture() as captured, pytest.raises(DeviceError) as raised:
        write(Boiler, {"running": True, "limit": 1, "target": 2, "power": 3}, write_func)

    error = raised.value
    assert error.written == ("running", "target", "power")
    assert error.not_written == ("limit",)
    assert "written before: 'running', 'target', 'power'; not written: 'limit'" in str(error)
    assert error.__notes__ == [
        "writing 1 x holding_register from address 2 ('limit'), attempt 1 of 1"
    ]
    stop = captured[-1]
    assert stop.metadata["result"] == Error("down")
    assert dict(stop.measurements) | {"duration": 0, "monotonic_time": 0} == {
        "batches": 3,
        "total_attempts": 3,
        "objects_requested": 4,
        "duration": 0,
        "monotonic_time": 0,
    }


def test_what_was_written_before_any_other_error_is_noted() -> None:
    def write_func(_type: ObjectType, start: int, _values: Any) -> None:
        if start == 2:
            raise KeyError("bug")

    with pytest.raises(KeyError) as late:
        write(Boiler, {"power": 1, "limit": 2}, write_func)
    with pytest.raises(KeyError) as early:
        write(Boiler, {"limit": 2}, write_func)

    assert late.value.__notes__ == ["written before: 'power'; not written: 'limit'"]
    assert not hasattr(early.value, "__notes__")


def test_what_a_write_function_returns_is_ignored() -> None:
    with capture() as captured:
        write(Boiler, {"power": 1}, lambda *_: 17)

    assert [each.metadata["result"] for each in captured if "result" in each.metadata] == [
        Ok(None),
        Ok(None),
    ]


def test_encoding_alone_gives_registers_by_their_place_and_no_events() -> None:
    with capture() as captured:
        encoded = encode(Boiler, {"running": True, "name": "Hi", "pressure": -1, "power": 9})

    assert list(encoded.items()) == [
        (("holding_register", 0), 9),
        (("holding_register", 4), 0x4869),
        (("holding_register", 5), 0),
        (("input_register", 0), 0xFFFF),
        (("coil", 0), 1),
    ]
    assert list(captured) == []


def test_codecs_get_the_context() -> None:
    class Shifted:
        def encode(self, value: int, metadata: Any) -> int:
            return value + int(metadata.context["by"])

        def decode(self, value: int, metadata: Any) -> int:
            return value - int(metadata.context["by"])

    mapping = {"name": "x", "type": "holding_register", "address": 0, "mode": "rw"}
    schema = Schema.from_mappings("S", [{**mapping, "codec": Shifted()}])
    context = MappingProxyType({"by": 2})

    assert encode(schema, {"x": 5}, context=context) == {("holding_register", 0): 7}
    with capture() as captured:
        assert read(schema, "x", lambda *_: 7, context=context) == 5
    assert all(event.metadata["context"] is context for event in captured)


# -- Retrying -------------------------------------------------------------------------------------


def failing(times: int, reason: str = "busy") -> Callable[..., Any]:
    left = [times]

    def read_func(object_type: ObjectType, start: int, count: int) -> list[int]:
        if left[0]:
            left[0] -= 1
            raise DeviceError(reason)
        return echo(object_type, start, count)

    return read_func


def test_a_policy_pauses_between_attempts() -> None:
    pauses: list[float] = []
    policy = RetryPolicy(attempts=4, first_pause=1, jitter=0, sleep=pauses.append)

    with capture() as captured:
        assert read(Boiler, "power", failing(3), retry=policy) == 0

    assert pauses == [1, 2, 4]
    starts = [each for each in captured if each.event == "modboss.read_callback.start"]
    assert [each.metadata["attempt"] for each in starts] == [1, 2, 3, 4]
    assert {each.metadata["max_attempts"] for each in starts} == {4}
    assert captured[-1].measurements["total_attempts"] == 4
    assert captured[-1].measurements["batches"] == 1


def test_a_policy_says_after_which_errors() -> None:
    policy = RetryPolicy(first_pause=0, retry_on=lambda error: error.reason == "busy")

    assert read(Boiler, "power", failing(2), retry=policy) == 0
    with capture() as captured, pytest.raises(DeviceError, match="broken"):
        read(Boiler, "power", failing(2, "broken"), retry=policy)
    assert captured[-1].measurements["total_attempts"] == 1


def test_no_pause_is_no_sleep() -> None:
    policy = RetryPolicy(first_pause=0, sleep=fails(AssertionError()))

    assert read(Boiler, "power", failing(2), retry=policy) == 0


def test_an_operation_can_be_left_during_a_pause() -> None:
    policy = RetryPolicy(sleep=fails(KeyboardInterrupt()))

    with capture() as captured, pytest.raises(KeyboardInterrupt):
        read(Boiler, "power", failing(1), retry=policy)

    assert outcomes(captured) == [
        "read.start",
        "read_callback.start",
        "read_callback.stop",
        "read.exception",
    ]
    assert captured[-1].metadata["kind"] == "exit"


def test_pauses_are_real_by_default() -> None:
    policy = RetryPolicy(first_pause=0.001)

    assert read(Boiler, "power", failing(2), retry=policy) == 0

    async def read_func(*request: Any) -> Any:
        return read_later(*request)

    read_later = failing(2)
    assert asyncio.run(aread(Boiler, "power", read_func, retry=policy)) == 0


def test_a_pause_of_coroutines_is_awaited_if_it_can_be() -> None:
    pauses: list[float] = []

    async def pause(seconds: float) -> None:
        await asyncio.sleep(0)
        pauses.append(seconds)

    async def read_func(*request: Any) -> Any:
        return fail(*request)

    for sleep in (pause, pauses.append):
        fail = failing(1)
        policy = RetryPolicy(first_pause=1, jitter=0, sleep=sleep)
        assert asyncio.run(aread(Boiler, "power", read_func, retry=policy)) == 0

    assert pauses == [1, 1]


# -- Coroutines -----------------------------------------------------------------------------------


def test_reads_and_writes_can_be_awaited() -> None:
    calls: list[tuple[Any, ...]] = []

    async def write_func(*call: Any) -> None:
        await asyncio.sleep(0)
        calls.append(call)

    async def use() -> Any:
        await awrite(Boiler, {"power": 1, "limit": 2}, write_func)
        return await aread(Boiler, ["power", "limit"], aecho)

    assert asyncio.run(use()) == {"power": 0, "limit": 2}
    assert calls == [("holding_register", 0, 1), ("holding_register", 2, 2)]


def test_reads_can_be_awaited_in_trio_too() -> None:
    fail = failing(1)

    async def read_func(*request: Any) -> Any:
        await trio.lowlevel.checkpoint()
        return fail(*request)

    async def hang(*_: Any) -> Any:
        await trio.sleep_forever()

    async def use() -> Any:
        values = await aread(Boiler, "power", read_func, retry=RetryPolicy(first_pause=0.001))
        with trio.CancelScope() as scope:
            scope.cancel()
            await aread(Boiler, "power", hang)
        return values

    with capture() as captured:
        assert trio.run(use) == 0
    assert captured[-1].event == "modboss.read.exception"
    assert captured[-1].metadata["kind"] == "cancelled"


def test_a_coroutine_function_is_refused_where_a_plain_one_is_needed() -> None:
    with warnings.catch_warnings(action="error"):
        with capture() as captured, pytest.raises(TypeError, match="use aread and awrite"):
            read(Boiler, "power", aecho)
        gc.collect()  # an unawaited coroutine would warn now
    assert outcomes(captured)[-2:] == ["read_callback.exception", "read.exception"]

    class Lazy:
        def __await__(self) -> Any:
            yield

    with pytest.raises(TypeError, match="use aread and awrite"):
        read(Boiler, "power", lambda *_: Lazy())


def test_a_plain_function_is_refused_where_a_coroutine_one_is_needed() -> None:
    with pytest.raises(TypeError, match="returned no awaitable"):
        asyncio.run(aread(Boiler, "power", echo))  # type: ignore[arg-type]  # on purpose


def test_cancelling_ends_all_spans() -> None:
    async def use() -> Captured:
        entered = asyncio.Event()

        async def hang(*_: Any) -> Any:
            entered.set()
            await asyncio.Event().wait()

        def operations() -> Iterator[Coroutine[Any, Any, Any]]:
            yield aread(Boiler, "power", hang)
            yield awrite(Boiler, {"power": 1}, hang)

        with capture() as captured:
            for operation in operations():
                task = asyncio.ensure_future(operation)
                await entered.wait()
                entered.clear()
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
        return captured

    captured = asyncio.run(use())

    assert outcomes(captured) == [
        "read.start",
        "read_callback.start",
        "read_callback.exception",
        "read.exception",
        "write.start",
        "write_callback.start",
        "write_callback.exception",
        "write.exception",
    ]
    kinds = {each.metadata["kind"] for each in captured if "kind" in each.metadata}
    assert kinds == {"cancelled"}


def test_cancelling_a_write_says_what_was_written() -> None:
    async def use() -> BaseException:
        hanging = asyncio.Event()

        async def write_func(_type: ObjectType, start: int, _values: Any) -> None:
            if start == 2:
                hanging.set()
                await asyncio.Event().wait()

        task = asyncio.ensure_future(awrite(Boiler, {"power": 1, "limit": 2}, write_func))
        await hanging.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError) as raised:
            await task
        return raised.value

    error = asyncio.run(use())
    while not hasattr(error, "__notes__"):  # what the task raises is a copy
        assert error.__context__ is not None
        error = error.__context__
    assert error.__notes__ == ["written before: 'power'; not written: 'limit'"]


def test_a_coroutine_that_is_closed_ends_its_spans() -> None:
    class Never:
        def __await__(self) -> Any:
            yield

    with capture() as captured:
        coroutine = aread(Boiler, "power", lambda *_: Never())
        coroutine.send(None)
        coroutine.close()

    assert outcomes(captured)[-2:] == ["read_callback.exception", "read.exception"]
    assert captured[-1].metadata["kind"] == "exit"


# -- Who listens ----------------------------------------------------------------------------------


@pytest.mark.parametrize("operation", ["read", "write"])
@pytest.mark.parametrize("suffix", ["start", "stop", "exception"])
@pytest.mark.parametrize("span", ["", "_callback"])
def test_whoever_listens_to_one_event_gets_it_whole(operation: str, suffix: str, span: str) -> None:
    def fail(*_: Any) -> Any:
        raise KeyError("bug") if suffix == "exception" else DeviceError("down")

    def use() -> None:
        with suppress(KeyError, DeviceError):
            if operation == "read":
                read(Boiler, ["power", "pressure"], fail, max_attempts=2)
            else:
                write(Boiler, {"power": 1, "running": True}, fail, max_attempts=2)

    name = f"modboss.{operation}{span}.{suffix}"
    with capture() as all_of_them:
        use()
    expected = [unlike_any_other(event) for event in all_of_them.named(name)]
    heard: list[Snapshot] = []
    heliograph.attach("one", name, lambda *event: heard.append(Snapshot.take(*event[:3])))
    try:
        use()
    finally:
        heliograph.detach("one")

    assert [unlike_any_other(event) for event in heard] == expected
    assert len(expected) == (2 if span and suffix != "exception" else 1)


@pytest.mark.parametrize("suffix", ["start", "stop", "exception"])
def test_what_goes_well_is_told_to_whoever_listens_to_it(suffix: str) -> None:
    heard: list[str] = []
    names = [f"modboss.{span}.{suffix}" for span in ("read", "read_callback", "write_callback")]
    heliograph.attach_many("some", names, lambda event, *_: heard.append(event))
    try:
        assert read(Boiler, "power", echo) == 0
        write(Boiler, {"power": 1}, lambda *_: None)
    finally:
        heliograph.detach("some")

    in_order = [names[0], names[1]] if suffix == "start" else [names[1], names[0]]
    assert heard == ([] if suffix == "exception" else [*in_order, names[2]])


def unlike_any_other(event: Snapshot) -> tuple[dict[str, Any], dict[str, Any]]:
    """What of an event is the same each time; of the rest the names."""
    varying = {"duration", "monotonic_time", "system_time", "telemetry_span_context", "stacktrace"}
    return (
        {key: key if key in varying else value for key, value in event.measurements.items()},
        {key: key if key in varying else repr(value) for key, value in event.metadata.items()},
    )


# -- A device's own metadata ----------------------------------------------------------------------


class Origin:
    operation: Mapping[str, Any] = {"unit_id": 7}

    def __init__(self) -> None:
        self.prepared: PlanCache[Prepared] = PlanCache()

    def read_request(self, object_type: ObjectType, count: int) -> Mapping[str, Any]:
        return {"function_name": f"read_{object_type}s", "function_code": count}

    def write_request(self, object_type: ObjectType, count: int) -> Mapping[str, Any]:
        return {"function_name": "write_registers", "function_code": count}


class Refused(DeviceError):
    details: Mapping[str, Any] = {"exception_code": 2}


def test_a_device_adds_to_the_events() -> None:
    with capture() as captured:
        read(Boiler, ["power", "target"], echo, origin=Origin())
        write(Boiler, {"power": 1}, lambda *_: None, origin=Origin())

    assert {event.metadata["unit_id"] for event in captured} == {7}
    asked = ("function_name", "function_code")
    functions = [tuple(each.metadata.get(key) for key in asked) for each in captured]
    reading = [("read_holding_registers", 2)] * 2
    writing = [("write_registers", 1)] * 2
    nothing = (None, None)
    assert functions == [nothing, *reading, nothing, nothing, *writing, nothing]


def test_the_same_read_tells_the_same_again_but_for_what_is_given_anew() -> None:
    with capture() as captured:
        read(Boiler, ["power", "limit"], echo, context={"by": "one"})
        read(Boiler, ["power", "limit"], echo, context={"by": "two"}, max_attempts=2)

    half = len(captured) // 2
    for first, second in zip(captured[:half], captured[half:], strict=True):
        assert second.event == first.event
        assert first.metadata["context"] == {"by": "one"}
        assert second.metadata["context"] == {"by": "two"}
        assert second.metadata.get("max_attempts") in {None, 2}
        given = {"context", "max_attempts", "telemetry_span_context"}
        same = [{**each.metadata, **dict.fromkeys(given)} for each in (first, second)]
        assert same[0] == same[1]


def test_an_error_adds_its_details_to_the_stop_of_its_callback() -> None:
    with capture() as captured, pytest.raises(Refused):
        read(Boiler, "power", fails(Refused("refused")))

    codes = [event.metadata.get("exception_code") for event in captured]
    assert codes == [None, None, 2, None]
