# SPDX-License-Identifier: Apache-2.0
"""The device in memory: what it holds, what it allows, what it remembers."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from heliograph.modboss import (
    EncodeError,
    Schema,
    coil,
    discrete_input,
    holding_register,
    input_register,
)
from heliograph.modboss.virtual import Refuse, VirtualDevice, steps
from heliograph.modboss.virtual.faults import FaultPlan


class Thermostat(Schema):
    outdoor_temp = input_register(1, "signed_int")
    setpoint = holding_register(10, "unsigned_int", mode="rw")
    label = holding_register(range(11, 13), "ascii", mode="rw")
    model = holding_register(20, "unsigned_int")
    command = holding_register(30, "unsigned_int", mode="w")
    heating = coil(5, "boolean", mode="rw")
    alarm = discrete_input(6, "boolean")


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def read(device: VirtualDevice, function: int, address: int, count: int = 1) -> Any:
    """What a read is refused with, or its values."""
    admission = device.admit(function, address, count, None)
    if admission.request.refused is not None:
        return admission.request.refused
    assert admission.request.object_type is not None
    return device.fetch(admission.request.object_type, address, count)


def test_its_values_are_given_by_name_and_served_as_integers() -> None:
    device = VirtualDevice(Thermostat, {"outdoor_temp": -3, "label": "heat", "alarm": True})

    assert read(device, 4, 1) == [0xFFFD]
    assert read(device, 3, 11, 2) == [0x6865, 0x6174]
    assert read(device, 2, 6) == [1]
    assert (device["outdoor_temp"], device["label"], device["alarm"]) == (-3, "heat", True)


def test_what_has_no_value_is_zero() -> None:
    device = VirtualDevice(Thermostat)

    assert (device["setpoint"], device["heating"], device["label"]) == (0, False, "")


def test_a_value_changes_while_it_serves() -> None:
    device = VirtualDevice(Thermostat)
    device["setpoint"] = 21

    assert read(device, 3, 10) == [21]


@pytest.mark.parametrize(
    ("function", "address", "count"),
    [(3, 0, 1), (3, 10, 4), (4, 10, 1), (1, 6, 1), (3, 65535, 2), (3, 30, 1)],
)
def test_what_it_has_not_or_does_not_tell_is_an_illegal_address(
    function: int, address: int, count: int
) -> None:
    assert read(VirtualDevice(Thermostat), function, address, count) == 2


def test_what_its_schema_calls_read_only_is_not_written() -> None:
    device = VirtualDevice(Thermostat)

    refused = [device.admit(6, each, 1, [7]).request.refused for each in (20, 10, 30, 21)]

    assert refused == [2, None, None, 2]


def test_a_write_that_reads_too_needs_both() -> None:
    device = VirtualDevice(Thermostat)

    assert device.admit(23, 10, 1, [1], also_read=range(20, 21)).request.refused is None
    assert device.admit(23, 10, 1, [1], also_read=range(20, 22)).request.refused == 2
    assert device.admit(23, 10, 1, [1], also_read=range(30, 31)).request.refused == 2


def test_what_was_written_is_told_by_name() -> None:
    device = VirtualDevice(Thermostat)
    device.store("holding_register", 10, [21, 0x6F6B])
    device.store("coil", 5, [True])

    assert device.written == [("setpoint", 21), ("label", "ok"), ("heating", True)]
    assert device["setpoint"] == 21


def test_what_was_written_and_cannot_be_decoded_is_told_as_integers() -> None:
    class Odd(Schema):
        word = holding_register(1, "word", mode="w")

        @staticmethod
        def encode_word(value: int) -> int:
            return value

    device = VirtualDevice(Odd)
    device.store("holding_register", 1, [7])

    assert device.written == [("word", [7])]


def test_raw_objects_need_no_schema() -> None:
    device = VirtualDevice(raw={"holding_register": {100: [1, 2], 65535: 9}, "coil": {3: True}})

    assert read(device, 3, 100, 2) == [1, 2]
    assert read(device, 3, 65535) == [9]
    assert read(device, 1, 3) == [1]
    assert device.raw("holding_register", 101) == [2]
    device.set_raw("holding_register", 100, [7, 8])
    device.set_raw("coil", 3, 0)
    assert device.objects() == {
        "holding_register": {100: 7, 101: 8, 65535: 9},
        "input_register": {},
        "coil": {3: 0},
        "discrete_input": {},
    }
    assert device.runs()["holding_register"] == [range(100, 102), range(65535, 65536)]


def test_objects_can_be_removed_and_brought_back() -> None:
    device = VirtualDevice(Thermostat, {"setpoint": 5})
    device.remove("holding_register", [10, 20])

    assert [read(device, 3, 10), read(device, 3, 20), read(device, 3, 11)] == [2, 2, [0]]
    assert list(device.objects()["holding_register"]) == [11, 12, 30]
    device["setpoint"] = 6
    device.set_raw("holding_register", 20, 7)
    assert [read(device, 3, 10), read(device, 3, 20)] == [[6], [7]]


def test_a_script_says_the_value_by_the_time_served() -> None:
    clock = Clock()
    device = VirtualDevice(Thermostat, {"setpoint": lambda seconds: int(2 * seconds)}, clock=clock)
    clock.now += 5

    assert (read(device, 3, 10), device["setpoint"]) == ([10], 10)
    device.restart()
    assert read(device, 3, 10) == [0]


def test_steps_go_on_with_reads_of_that_mapping_alone() -> None:
    device = VirtualDevice(Thermostat, {"setpoint": steps(1, 2, 3)})

    seen = [device["setpoint"], read(device, 3, 10), read(device, 3, 20), read(device, 3, 10, 3)[0]]

    assert seen == [1, [1], [0], 2]
    assert device.raw("holding_register", 10) == [3]
    assert device.raw("holding_register", 10) == [3], "looking is not reading"


def test_what_is_written_or_set_ends_a_script() -> None:
    device = VirtualDevice(Thermostat, {"setpoint": steps(1, 2), "model": steps(3, 4)})
    device.store("holding_register", 10, [9])
    device.set_raw("holding_register", 20, 8)

    assert (read(device, 3, 10), read(device, 3, 20)) == ([9], [8])


def test_a_script_that_fails_is_a_failure_of_the_device() -> None:
    def broken() -> int:
        raise ZeroDivisionError

    device = VirtualDevice(Thermostat, {"setpoint": broken, "model": lambda: 70_000})

    assert (read(device, 3, 10), read(device, 3, 20), read(device, 4, 1)) == (4, 4, [0])
    assert [type(each) for each in device.failures] == [ZeroDivisionError, EncodeError]


def test_a_fault_may_be_for_names() -> None:
    device = VirtualDevice(Thermostat)
    device.inject(Refuse(6), names=["label", "heating"])

    assert [read(device, 3, 12), read(device, 3, 10), read(device, 1, 5)] == [6, [0], 6]
    assert read(device, 4, 1) == [0]


def test_the_servers_rules_come_before_the_devices_own() -> None:
    device, plan = VirtualDevice(Thermostat), FaultPlan()
    own = device.inject(Refuse(6))
    plan.inject(Refuse(4), times=1)

    refused = [device.admit(3, 10, 1, None, plan=plan).request.refused for _ in range(2)]

    assert refused == [4, 6]
    assert own.matched == 2


def test_its_log_has_every_request() -> None:
    clock = Clock()
    device = VirtualDevice(Thermostat, unit=7, clock=clock, keep=3)
    device.inject(Refuse(3), only="write")
    clock.now += 0.5
    read(device, 3, 10, 3)
    device.admit(16, 10, 2, [1, 2])
    device.admit(43, 0, 0, None)

    assert [str(each) for each in device.requests] == [
        "#1 unit 7: read holding registers 10 to 12",
        "#2 unit 7: write multiple registers 10 to 11 = [1, 2] [Refuse(3)] refused with 3",
        "#3 unit 7: function 43 0",
    ]
    assert device.requests[0].at == 0.5
    read(device, 3, 10)
    assert [each.number for each in device.requests] == [2, 3, 4], "it keeps so many"
    device.clear_log()
    assert (device.requests, device.written) == ((), [])


def test_a_thread_waits_for_requests() -> None:
    device = VirtualDevice(Thermostat)
    asking = threading.Thread(target=lambda: [read(device, 3, 10) for _ in range(2)])
    asking.start()
    device.wait_for_requests(2)
    asking.join()

    with pytest.raises(TimeoutError, match=r"got 2 requests of 3 within 0\.01 s"):
        device.wait_for_requests(3, timeout=0.01)


def test_a_coroutine_waits_for_requests() -> None:
    async def main() -> None:
        device = VirtualDevice(Thermostat)
        async with asyncio.TaskGroup() as group:
            group.create_task(device.await_requests(2))
            group.create_task(device.await_requests(1))
            await asyncio.sleep(0)
            await asyncio.to_thread(lambda: [read(device, 3, 10) for _ in range(2)])
        await device.await_requests(1)
        with pytest.raises(TimeoutError, match=r"got 2 requests of 3 within 0\.01 s"):
            await device.await_requests(3, timeout=0.01)
        read(device, 3, 10)  # the one that gave up is not woken

    asyncio.run(main())


@pytest.mark.parametrize(
    ("make", "error", "complaint"),
    [
        (lambda: VirtualDevice(unit=256), ValueError, "unit 256 is out of range"),
        (lambda: VirtualDevice(Thermostat, {"humidity": 1}), LookupError, "no mapping 'humidity'"),
        (lambda: VirtualDevice(values={"humidity": 1}), LookupError, "for want of a schema"),
        (lambda: VirtualDevice(Thermostat, {"setpoint": 70000}), EncodeError, "setpoint"),
        (lambda: VirtualDevice(raw={"register": {1: 1}}), ValueError, "'register' is unknown"),  # type: ignore[dict-item]  # the mistake
        (lambda: VirtualDevice(raw={"coil": {65535: [0, 1]}}), ValueError, "out of range"),
        (lambda: VirtualDevice(raw={"coil": {4: [0, 2]}}), ValueError, "coil 5: 2 is out of"),
        (
            lambda: VirtualDevice(raw={"holding_register": {1: 65536}}),
            ValueError,
            "holding_register 1: 65536",
        ),
        (lambda: VirtualDevice(Thermostat).raw("coil", 1), LookupError, "has no coil 1"),
        (lambda: VirtualDevice(Thermostat).set_raw("coil", 2, 1), LookupError, "has no coil 2"),
        (lambda: VirtualDevice(Thermostat)["pressure"], LookupError, "no mapping 'pressure'"),
    ],
)
def test_what_it_cannot_be_or_have_is_refused(
    make: Any, error: type[Exception], complaint: str
) -> None:
    with pytest.raises(error, match=complaint):
        make()
