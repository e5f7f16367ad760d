# SPDX-License-Identifier: Apache-2.0
"""What is got, and what is remembered, of a device that refuses some of what it is asked for."""

from __future__ import annotations

import asyncio
import pickle
from collections.abc import Collection
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph import Error, Ok
from heliograph.modboss import (
    DeviceError,
    ObjectType,
    Reading,
    Refusal,
    Refusals,
    RefusedError,
    RetryPolicy,
    Schema,
    WrongCountError,
    aread,
    awrite,
    read,
    write,
)
from heliograph.testing import Captured, capture


class IllegalAddress(DeviceError):
    refusal = True


class Device:
    """Refuses requests that touch bad addresses, cross a border, or are too long."""

    def __init__(
        self, bad: Collection[int] = (), borders: Collection[int] = (), longest: int = 1000
    ) -> None:
        self.bad = set(bad)
        self.borders = set(borders)
        self.longest = longest
        self.requests: list[tuple[int, int]] = []
        self.held: dict[int, int] = {}

    def _check(self, start: int, count: int) -> None:
        self.requests.append((start, count))
        addresses = range(start, start + count)
        crossed = self.borders & set(addresses[1:])
        if self.bad & set(addresses) or crossed or count > self.longest:
            raise IllegalAddress("illegal")

    def read(self, _type: ObjectType, start: int, count: int) -> list[int]:
        self._check(start, count)
        return list(range(start, start + count))

    def write(self, _type: ObjectType, start: int, values: Any) -> None:
        values = values if isinstance(values, list) else [values]
        self._check(start, len(values))
        self.held.update(enumerate(values, start))


def schema(*places: int | range, gap_safe: bool = True) -> type[Schema]:
    return Schema.from_mappings(
        "S",
        [
            {
                "name": f"n{place if isinstance(place, int) else place.start}",
                "type": "holding_register",
                "address": place,
                "mode": "rw",
                "gap_safe": gap_safe,
            }
            for place in places
        ],
    )


TEN = schema(*range(10))


def split(device: Device, memory: Refusals | None = None, names: Any = "all", **more: Any) -> Any:
    return read(TEN, names, device.read, on_refusal="split", refusals=memory, **more)


# -- Reading --------------------------------------------------------------------------------------


def test_one_bad_register_does_not_take_its_neighbours_down() -> None:
    device = Device(bad=[3])

    values = split(device)

    assert values == {f"n{at}": at for at in range(10) if at != 3}
    assert values.refused == {"n3": "illegal"}
    assert isinstance(values, Reading)


def test_a_refusal_is_raised_by_default() -> None:
    device = Device(bad=[3])

    with pytest.raises(IllegalAddress):
        read(TEN, "all", device.read)
    assert device.requests == [(0, 10)]


def test_what_is_refused_is_remembered_and_left_out() -> None:
    device, memory = Device(bad=[3]), Refusals()

    first = split(device, memory)
    device.requests.clear()
    second = split(device, memory)

    assert device.requests == [(0, 3), (4, 6)]
    assert second == first
    assert second.refused == first.refused == {"n3": "illegal"}
    assert list(memory) == [Refusal("read", "holding_register", 3, 1, "illegal")]
    assert len(memory) == 1


def test_what_is_refused_does_not_bridge_a_gap() -> None:
    device, memory = Device(bad=[3]), Refusals()
    split(device, memory)
    device.requests.clear()

    assert split(device, memory, ["n2", "n4"], max_gap=1) == {"n2": 2, "n4": 4}
    assert device.requests == [(2, 1), (4, 1)]


def test_an_asked_for_gap_that_is_refused_is_not_bridged_again() -> None:
    device, memory = Device(bad=[3]), Refusals()

    assert split(device, memory, ["n2", "n4"], max_gap=1).refused == {}
    assert device.requests == [(2, 3), (2, 1), (4, 1)]
    device.requests.clear()
    assert split(device, memory, ["n2", "n4"], max_gap=1) == {"n2": 2, "n4": 4}
    assert device.requests == [(2, 1), (4, 1)]


def test_a_border_is_remembered() -> None:
    device, memory = Device(borders=[5]), Refusals()

    assert len(split(device, memory)) == 10
    device.requests.clear()
    assert len(split(device, memory)) == 10
    assert device.requests == [(0, 5), (5, 5)]
    assert len(memory) == 0


def test_a_name_asked_for_alone_is_tried_and_forgotten_when_it_is_taken() -> None:
    device, memory = Device(bad=[3]), Refusals()
    split(device, memory)

    with pytest.raises(IllegalAddress) as raised:
        split(device, memory, "n3")
    assert raised.value.reason == "illegal"
    with pytest.raises(IllegalAddress):
        split(device, memory, ["n3"])
    device.bad.clear()
    assert split(device, memory, "n3") == 3
    assert len(memory) == 0
    assert split(device, memory).refused == {}


def test_a_device_that_refuses_everything_is_not_written_off() -> None:
    device, memory = Device(bad=range(10)), Refusals()

    with capture() as captured, pytest.raises(IllegalAddress):
        split(device, memory)

    assert len(memory) == 0
    assert captured[-1].event == "modboss.read.stop"
    assert captured[-1].metadata["result"] == Error("illegal")
    device.bad.clear()
    assert len(split(device, memory)) == 10


def test_a_single_refused_name_is_an_error() -> None:
    with pytest.raises(IllegalAddress):
        split(Device(bad=[3]), None, "n3")
    assert split(Device(bad=[3]), None, "n4") == 4


def test_refusals_are_forgotten_on_demand() -> None:
    device, memory = Device(bad=[3], borders=[7]), Refusals()
    split(device, memory)
    device.bad.clear()
    memory.forget()

    assert not memory.heeds("read")
    assert split(device, memory).refused == {}


def test_other_errors_end_the_read_but_what_was_learned_stays() -> None:
    device, memory = Device(bad=[3]), Refusals()
    far = schema(*range(10), 200)

    def read_func(object_type: ObjectType, start: int, count: int) -> list[int]:
        if start == 200:
            raise DeviceError("timeout")
        return device.read(object_type, start, count)

    with pytest.raises(DeviceError, match="timeout"):
        read(far, "all", read_func, on_refusal="split", refusals=memory)
    assert [each.starting_address for each in memory] == [3]


def test_a_wrong_count_is_not_split() -> None:
    with pytest.raises(WrongCountError):
        read(TEN, "all", lambda *_: [1], on_refusal="split")


def test_decoding_and_debug_work_for_what_is_left() -> None:
    strings = Schema.from_mappings(
        "S",
        [
            {"name": "a", "type": "input_register", "address": range(2), "codec": "ascii"},
            {"name": "b", "type": "input_register", "address": 2, "codec": "signed_int"},
            {"name": "c", "type": "input_register", "address": 3, "codec": "unsigned_int"},
        ],
    )

    def read_func(_type: ObjectType, start: int, count: int) -> list[int]:
        if start <= 2 < start + count:
            raise IllegalAddress("illegal")
        return [0x4142] * count

    values = read(strings, ["c", "b", "a"], read_func, on_refusal="split")
    described = read(strings, ["c", "b", "a"], read_func, on_refusal="split", debug=True)

    assert list(values.items()) == [("c", 0x4142), ("a", "ABAB")]
    assert described["a"]["value"] == "ABAB"
    assert described.refused == {"b": "illegal"}


def test_refused_names_come_in_the_order_of_the_request() -> None:
    device, memory = Device(bad=[2, 4, 6]), Refusals()
    split(device, memory, ["n3", "n4", "n5"])

    values = split(device, memory, ["n7", "n6", "n4", "n1", "n2"])

    assert list(values) == ["n7", "n1"]
    assert list(values.refused) == ["n6", "n4", "n2"]


def test_each_part_is_a_callback_and_batches_count_once() -> None:
    device = Device(bad=[9])

    with capture() as captured:
        values = split(device)

    starts = captured.named("modboss.read_callback.start")
    parts = [(each.metadata["starting_address"], each.metadata["address_count"]) for each in starts]
    assert parts == device.requests
    assert starts[1].metadata["names"] == ("n0", "n1", "n2", "n3", "n4")
    stop = captured[-1]
    assert stop.metadata["result"] == Ok(values)
    assert {key: stop.measurements[key] for key in ("batches", "objects_requested")} == {
        "batches": 1,
        "objects_requested": 10,
    }
    assert stop.measurements["addresses_read"] == 10
    assert stop.measurements["total_attempts"] == len(device.requests)


def test_a_refusal_is_not_tried_again_but_other_errors_are() -> None:
    device = Device(bad=[3])
    left = [2]

    def read_func(object_type: ObjectType, start: int, count: int) -> list[int]:
        if start == 0 and count == 3 and left[0]:
            left[0] -= 1
            raise DeviceError("busy")
        return device.read(object_type, start, count)

    policy = RetryPolicy(attempts=3, first_pause=0)
    values = read(TEN, "all", read_func, on_refusal="split", retry=policy)
    assert values.refused == {"n3": "illegal"}
    assert len(device.requests) == len(set(device.requests))


def test_plans_around_refusals_are_kept_until_something_is_learned() -> None:
    device, memory = Device(bad=[3]), Refusals()
    split(device, memory)
    split(device, memory)
    split(device, memory)
    assert len(memory.plans) == 1
    device.bad.add(5)
    split(device, memory)
    assert len(memory.plans) == 0


def test_reads_can_be_split_by_coroutines_too() -> None:
    device = Device(bad=[3])

    async def read_func(object_type: ObjectType, start: int, count: int) -> list[int]:
        await asyncio.sleep(0)
        return device.read(object_type, start, count)

    values = asyncio.run(aread(TEN, "all", read_func, on_refusal="split"))
    assert values.refused == {"n3": "illegal"}


def spread(draw: st.DrawFn) -> list[int | range]:
    places: list[int | range] = []
    address = 0
    for _ in range(draw(st.integers(1, 15))):
        address += draw(st.sampled_from([0, 0, 0, 1, 2]))
        count = draw(st.sampled_from([1, 1, 2]))
        places.append(address if count == 1 else range(address, address + count))
        address += count
    return places


@given(st.data())
def test_everything_that_a_device_gives_is_got_and_soon_without_refusals(
    data: st.DataObject,
) -> None:
    places = data.draw(st.composite(spread)())
    mapped = schema(*places)
    addresses = st.sets(st.integers(0, 40), max_size=4)
    device = Device(data.draw(addresses), data.draw(addresses), data.draw(st.integers(2, 50)))
    gap = data.draw(st.integers(0, 3))
    # A border inside a mapping is a reason to refuse it, as a bad address is.
    refused = {
        name
        for name, mapping in mapped.mappings.items()
        if device.bad & set(mapping.addresses) or device.borders & set(mapping.addresses[1:])
    }
    memory = Refusals()

    def again() -> Reading:
        return read(mapped, "all", device.read, on_refusal="split", refusals=memory, max_gap=gap)

    if len(refused) == len(mapped.mappings):
        with pytest.raises(IllegalAddress):
            again()
        assert len(memory) == 0
        return
    for _ in range(8):
        device.requests.clear()
        values = again()
        assert set(values) == set(mapped.mappings) - refused
        assert set(values.refused) == refused
        for name, value in values.items():
            addresses_of = list(mapped.mappings[name].addresses)
            assert value == (addresses_of if len(addresses_of) > 1 else addresses_of[0])
        if all(accepted(device, request) for request in device.requests):
            break
    else:
        pytest.fail(f"still refused: {device.requests}")


def accepted(device: Device, request: tuple[int, int]) -> bool:
    try:
        device._check(*request)
    except IllegalAddress:
        return False
    finally:
        device.requests.pop()
    return True


# -- What a read gives ----------------------------------------------------------------------------


def test_a_refused_value_says_why_it_is_missing() -> None:
    values = split(Device(bad=[3]))

    with pytest.raises(RefusedError, match="refused to read n3: illegal") as raised:
        values["n3"]
    assert isinstance(raised.value, KeyError)
    assert (raised.value.name, raised.value.reason) == ("n3", "illegal")
    with pytest.raises(KeyError, match="other"):
        values["other"]
    assert values.get("n3") is None
    assert str(RefusedError("x", {"code": 2})) == "the device refused to read x: {'code': 2}"


def test_a_reading_is_shown_and_copied_with_what_was_refused() -> None:
    values = Reading({"a": 1}, {"b": "illegal"})

    copied = pickle.loads(pickle.dumps(values))
    assert repr(copied) == repr(values) == "Reading({'a': 1}, refused={'b': 'illegal'})"
    assert copied.refused == {"b": "illegal"}
    assert Reading({}).refused == {}


def test_a_memory_is_shown() -> None:
    memory = Refusals()
    assert repr(memory) == "<Refusals: none>"
    split(Device(bad=[3]), memory)
    assert repr(memory) == "<Refusals: read holding_register 3x1>"


# -- Writing --------------------------------------------------------------------------------------

VALUES = {f"n{at}": 100 + at for at in range(10)}


def outcomes(captured: Captured) -> list[str]:
    return [name.removeprefix("modboss.") for name in captured.names]


def test_a_refused_write_is_raised_after_the_rest_was_written() -> None:
    device = Device(bad=[3])

    with capture() as captured, pytest.raises(IllegalAddress) as raised:
        write(TEN, VALUES, device.write, on_refusal="split")

    assert device.held == {at: 100 + at for at in range(10) if at != 3}
    assert raised.value.not_written == ("n3",)
    assert raised.value.written == tuple(name for name in VALUES if name != "n3")
    stop = captured[-1]
    assert stop.event == "modboss.write.stop"
    assert stop.metadata["result"] == Error("illegal")
    assert stop.measurements["batches"] == 1
    assert stop.measurements["objects_requested"] == 10


def test_what_was_refused_is_then_written_in_a_request_of_its_own() -> None:
    device, memory = Device(bad=[3]), Refusals()
    for _ in range(2):
        device.requests.clear()
        with pytest.raises(IllegalAddress):
            write(TEN, VALUES, device.write, on_refusal="split", refusals=memory)
    assert device.requests == [(0, 3), (3, 1), (4, 6)]
    device.bad.clear()
    write(TEN, VALUES, device.write, on_refusal="split", refusals=memory)
    assert len(memory) == 0
    device.requests.clear()
    write(TEN, VALUES, device.write, on_refusal="split", refusals=memory)
    assert device.requests == [(0, 10)]


def test_what_cannot_be_written_can_still_be_read() -> None:
    device, memory = Device(bad=[3]), Refusals()
    with pytest.raises(IllegalAddress):
        write(TEN, VALUES, device.write, on_refusal="split", refusals=memory)

    device = Device()
    assert split(device, memory).refused == {}
    assert device.requests == [(0, 10)]


def test_a_write_plan_around_refusals_is_kept() -> None:
    device, memory = Device(borders=[5]), Refusals()
    for _ in range(3):
        device.requests.clear()
        write(TEN, VALUES, device.write, on_refusal="split", refusals=memory)

    assert device.requests == [(0, 5), (5, 5)]
    assert len(memory.plans) == 1


def test_a_write_that_fails_otherwise_says_what_was_written() -> None:
    device = Device(borders=[5])

    def fail(object_type: ObjectType, start: int, values: Any) -> None:
        if start == 5:
            raise DeviceError("lost")
        device.write(object_type, start, values)

    with pytest.raises(DeviceError, match="lost") as raised:
        write(TEN, VALUES, fail, on_refusal="split")
    assert raised.value.written == ("n0", "n1", "n2", "n3", "n4")
    assert raised.value.not_written == ("n5", "n6", "n7", "n8", "n9")


def test_writes_can_be_split_by_coroutines_too() -> None:
    device = Device(borders=[5])

    async def write_func(object_type: ObjectType, start: int, values: Any) -> None:
        await asyncio.sleep(0)
        device.write(object_type, start, values)

    with capture() as captured:
        asyncio.run(awrite(TEN, VALUES, write_func, on_refusal="split"))

    assert len(device.held) == 10
    assert outcomes(captured) == [
        "write.start",
        *["write_callback.start", "write_callback.stop"] * 3,
        "write.stop",
    ]
