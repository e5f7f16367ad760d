# SPDX-License-Identifier: Apache-2.0
"""Devices by name: one suite for those of asyncio and those without."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import heliograph
from heliograph import Error, Ok
from heliograph.modboss import (
    AsyncDevice,
    Device,
    DeviceBusyError,
    IllegalDataAddressError,
    IllegalDataValueError,
    IllegalFunctionError,
    Link,
    LinkClosedError,
    LinkLostError,
    NotReadableError,
    NotWritableError,
    OptionError,
    ReplyTimeoutError,
    RetryPolicy,
    Schema,
    Tcp,
    UnknownNamesError,
    VerifyError,
    holding_register,
    input_register,
)
from heliograph.modboss.device import is_transient
from heliograph.modboss.faults import exception_reply
from heliograph.modboss.virtual import Refuse, Reset, Silence, VirtualDevice, VirtualServer
from heliograph.testing import capture

pytestmark = pytest.mark.usefixtures("quiet_pymodbus")

NOW = RetryPolicy(attempts=3, first_pause=0, retry_on=is_transient)


class Thermostat(Schema):
    """What the virtual device holds."""

    outdoor_temp = input_register(0, "signed_int")
    setpoint = holding_register(10, "unsigned_int", mode="rw")
    hysteresis = holding_register(11, "unsigned_int", mode="rw")
    status = holding_register(14, "unsigned_int", mode="rw")
    reset = holding_register(20, "unsigned_int", mode="w")
    serial = holding_register(range(30, 34), "ascii")


VALUES = {"outdoor_temp": -7, "setpoint": 21, "hysteresis": 2, "status": 0b1010, "serial": "A17"}


@pytest.fixture
def virtual() -> VirtualDevice:
    return VirtualDevice(Thermostat, VALUES)


@pytest.fixture
def server(virtual: VirtualDevice) -> Iterator[VirtualServer]:
    with VirtualServer(virtual) as serving:
        yield serving


Make = Callable[..., Any]


class Called:
    """A device of asyncio, called as one without."""

    def __init__(self, device: AsyncDevice[Any], runner: asyncio.Runner) -> None:
        self.device = device
        self._runner = runner

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.device, name)
        if name not in {"read", "record", "write", "change_bits", "close"}:
            return found

        async def call(*args: Any, **kwargs: Any) -> Any:
            return await found(*args, **kwargs)

        return lambda *args, **kwargs: self._runner.run(call(*args, **kwargs))


@pytest.fixture(params=["AsyncDevice", "Device"])
def make(request: pytest.FixtureRequest, server: VirtualServer) -> Iterator[Make]:
    """Makes a device that leads to the server."""
    made: list[Any] = []
    with asyncio.Runner() as runner:

        def make(where: Any = None, **options: Any) -> Any:
            where = server.transport if where is None else where
            device: Any
            if request.param == "Device":
                device = Device(Thermostat, where, **options)
            else:
                device = Called(AsyncDevice(Thermostat, where, **options), runner)
            made.append(device)
            return device

        yield make
        for device in made:
            device.close()


def test_one_name_gives_a_value_several_a_dictionary(make: Make) -> None:
    device = make()

    assert device.read("outdoor_temp") == -7
    assert device.read(["serial", "setpoint"]) == {"serial": "A17", "setpoint": 21}
    assert device.read() == VALUES
    assert device.read("setpoint", decode=False) == 21


@pytest.mark.parametrize("schema", ["Boiler", None, int, {"a": 1}])
def test_what_is_no_schema_is_refused_at_once(schema: Any) -> None:
    with pytest.raises(TypeError, match="is no schema; give a class derived from Schema"):
        Device(schema, Tcp("127.0.0.1"))


def test_fields_stand_for_their_names(make: Make, virtual: VirtualDevice) -> None:
    device = make()

    assert device.read(Thermostat.setpoint) == 21
    assert device.read([Thermostat.setpoint, "serial"]) == {"setpoint": 21, "serial": "A17"}
    assert device.record(Thermostat.setpoint).setpoint == 21
    device.write({Thermostat.setpoint: 22}, verify=True)
    device.change_bits(Thermostat.status, set_bits=1)
    assert (virtual["setpoint"], virtual["status"]) == (22, 0b1011)


def test_a_record_has_typed_attributes(make: Make) -> None:
    device = make()

    record = device.record()

    assert isinstance(record, Thermostat)
    assert (record.outdoor_temp, record.serial) == (-7, "A17")
    assert device.record("setpoint").setpoint == 21


def test_events_say_which_device_it_was_and_over_what(make: Make, server: VirtualServer) -> None:
    with capture(
        "modboss.read.**", "modboss.write_callback.stop", "modboss.read_callback.stop"
    ) as events:
        device = make()
        device.read("setpoint", context={"job": 7})
        device.write({"setpoint": 20, "hysteresis": 3})

    about = {
        "server_address": "127.0.0.1",
        "server_port": server.port,
        "network_transport": "tcp",
        "network_protocol": "modbus",
        "unit_id": 1,
    }
    start = events.one("modboss.read.start").metadata
    assert start.keys() - {"telemetry_span_context"} == {"schema", "names", "context", *about}
    assert about.items() <= start.items()
    assert start["context"] == {"job": 7}
    request = events.one("modboss.read_callback.stop").metadata
    assert {**about, "function_code": 3, "function_name": "read_holding_registers"}.items() <= (
        request.items()
    )
    assert request["result"] == Ok([21])
    written = events.one("modboss.write_callback.stop").metadata
    assert (written["function_code"], written["function_name"]) == (16, "write_registers")


def test_a_refusal_tells_its_code_in_the_event_of_the_request(
    make: Make, virtual: VirtualDevice
) -> None:
    virtual.inject(Refuse(2))
    with (
        capture("modboss.read_callback.stop", "modboss.read.stop") as events,
        pytest.raises(IllegalDataAddressError) as raised,
    ):
        make().read("setpoint")

    assert raised.value.code == 2
    request, read = events
    assert request.metadata["result"] == Error("illegal_data_address")
    assert request.metadata["exception_code"] == 2
    assert read.metadata["result"] == Error("illegal_data_address")
    assert "exception_code" not in read.metadata


def test_what_may_pass_is_tried_again_what_is_refused_is_not(
    make: Make, virtual: VirtualDevice, server: VirtualServer
) -> None:
    device = make(retry=NOW)
    virtual.inject(Refuse(6), calls=1)
    virtual.inject(Reset(), calls=2)
    with capture("modboss.read_callback.stop") as events:
        assert device.read("setpoint") == 21
    assert [each.metadata["result"] for each in events] == [
        Error("device_busy"),
        Error("lost"),
        Ok([21]),
    ]
    assert [each.metadata["attempt"] for each in events] == [1, 2, 3]

    virtual.inject(Refuse(1), times=1)
    with pytest.raises(IllegalFunctionError):
        device.read("setpoint")
    virtual.inject(Silence(), times=3)
    with pytest.raises(ReplyTimeoutError):
        make(Tcp("127.0.0.1", server.port, timeout=0.1), retry=NOW).read("setpoint")
    virtual.inject(Refuse(6), times=1)
    with pytest.raises(DeviceBusyError):
        device.read("setpoint", retry=None)
    virtual.inject(Refuse(6), times=1)
    assert device.read("setpoint", max_attempts=2) == 21


@pytest.mark.parametrize("code", [1, 2, 3, 4, 7, 8, 9])
def test_these_codes_do_not_pass(code: int) -> None:
    assert not is_transient(exception_reply(code, "x"))


@pytest.mark.parametrize("code", [5, 6, 10, 11])
def test_these_codes_may_pass(code: int) -> None:
    assert is_transient(exception_reply(code, "x"))


def test_a_lost_link_may_come_back_a_closed_one_does_not() -> None:
    assert is_transient(LinkLostError("x"))
    assert not is_transient(LinkClosedError("x"))


def test_a_write_can_be_verified(make: Make, virtual: VirtualDevice) -> None:
    device = make()

    device.write({"setpoint": 23, "hysteresis": 1}, verify=True)
    device.write([("setpoint", 24)], verify=True)

    assert virtual["setpoint"] == 24
    assert [request.function for request in virtual.requests] == [16, 3, 6, 3]


def test_a_device_that_keeps_something_else_is_found_out(
    make: Make, virtual: VirtualDevice
) -> None:
    device = make(max_gap=2)

    def keep(*_: object) -> None:
        virtual["setpoint"] = 30

    with capture("modboss.write.stop") as events:
        heliograph.attach("keep", "modboss.write.stop", keep)
        try:
            with pytest.raises(VerifyError) as raised:
                device.write({"hysteresis": 4, "setpoint": 25}, verify=True)
        finally:
            heliograph.detach("keep")

    error = raised.value
    assert error.mismatches == {"setpoint": ([25], [30])}
    assert (error.written, error.not_written) == (("hysteresis",), ("setpoint",))
    assert error.reason == "not_verified"
    assert "setpoint holds [30] where [25] was written" in str(error)
    assert len(events) == 1


def test_what_cannot_be_read_cannot_be_verified_and_is_not_written(
    make: Make, virtual: VirtualDevice
) -> None:
    device = make()

    with pytest.raises(NotReadableError, match="verify"):
        device.write({"reset": 1, "setpoint": 5}, verify=True)

    assert len(virtual.requests) == 0
    device.write({"reset": 1})
    assert len(virtual.requests) == 1


def test_bits_are_changed(make: Make, virtual: VirtualDevice) -> None:
    make().change_bits("status", set_bits=0b100, clear_bits=0b10)

    assert virtual["status"] == 0b1100


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("nothing", UnknownNamesError),
        ("outdoor_temp", OptionError),
        ("serial", OptionError),
    ],
)
def test_bits_of_other_things_are_not(make: Make, name: str, error: type[Exception]) -> None:
    with pytest.raises(error, match=name):
        make().change_bits(name, set_bits=1)


def test_bits_of_what_is_only_read_are_not() -> None:
    class Fixed(Schema):
        version = holding_register(0, "unsigned_int")

    with pytest.raises(NotWritableError, match="version"):
        Device(Fixed, Tcp("127.0.0.1")).change_bits("version", set_bits=1)


def test_one_refused_mapping_does_not_take_its_neighbours_down(
    make: Make, virtual: VirtualDevice
) -> None:
    device = make(on_refusal="split")
    virtual.inject(Refuse(2), addresses=11)

    first = device.read(["setpoint", "hysteresis"])
    asked = len(virtual.requests)
    second = device.read(["setpoint", "hysteresis"])

    assert first == second == {"setpoint": 21}
    assert first.refused == {"hysteresis": "illegal_data_address"}
    assert len(virtual.requests) == asked + 1  # it has been learned
    assert [refusal.starting_address for refusal in device.refusals] == [11]
    with pytest.raises(IllegalDataAddressError):
        device.read(["setpoint", "hysteresis"], on_refusal="raise")
    assert make().read("setpoint", on_refusal="split") == 21


def test_too_large_a_block_is_divided(make: Make, virtual: VirtualDevice) -> None:
    device = make(on_refusal="split", max_gap=10)
    virtual.inject(Refuse(3), count=range(3, 126))

    assert device.read(["setpoint", "hysteresis"]) == {"setpoint": 21, "hysteresis": 2}
    with pytest.raises(IllegalDataValueError):
        device.read("serial")


def test_a_link_given_is_shared_and_not_closed(server: VirtualServer) -> None:
    async def share() -> None:
        async with Link(server.transport) as link:
            async with AsyncDevice(Thermostat, link) as one, AsyncDevice(Thermostat, link) as two:
                assert await one.read("setpoint") == await two.read("setpoint") == 21
            assert link.connected
            with pytest.raises(OptionError, match="give it to the Link"):
                AsyncDevice(Thermostat, link, message_spacing=1)
        with pytest.raises(LinkClosedError):
            await one.read("setpoint")

    asyncio.run(share())


def test_names_say_link_and_id_unless_one_is_given(server: VirtualServer) -> None:
    device = Device(Thermostat, server.transport, 3)

    assert device.name == f"tcp://127.0.0.1:{server.port}/3"
    assert Device(Thermostat, server.transport, name="boiler").name == "boiler"
    assert repr(device) == f"<Device {device.name}: Thermostat>"


# -- Without asyncio -------------------------------------------------------------------------------


def test_a_device_does_not_hold_up_a_loop_that_runs(server: VirtualServer) -> None:
    async def read(device: Device[Thermostat]) -> Any:
        with pytest.raises(RuntimeError, match="use an AsyncDevice"):
            device.read("setpoint")
        return await asyncio.to_thread(device.read, "setpoint")

    with Device(Thermostat, server.transport) as device:
        assert asyncio.run(read(device)) == 21


def test_several_threads_may_use_a_device(server: VirtualServer) -> None:
    found: list[Any] = []
    with Device(Thermostat, server.transport) as device:
        threads = [
            threading.Thread(target=lambda: found.append(device.read(["setpoint", "serial"])))
            for _ in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert found == [{"setpoint": 21, "serial": "A17"}] * 8


def test_events_and_codecs_are_the_calling_threads(server: VirtualServer) -> None:
    with capture("modboss.**") as events, Device(Thermostat, server.transport) as device:
        device.read("setpoint")

    here = threading.get_ident()
    threads = {event.event: event.thread for event in events}
    assert threads["modboss.read.stop"] == threads["modboss.read_callback.stop"] == here
    assert threads["modboss.link.connected"] != here


def test_a_link_of_devices_is_none_of_asyncio(server: VirtualServer) -> None:
    with Device(Thermostat, server.transport) as device:
        device.read("setpoint")

        async def read() -> None:
            await AsyncDevice(Thermostat, device.link).read("setpoint")

        with pytest.raises(RuntimeError, match="another event loop"):
            asyncio.run(read())


def test_who_is_interrupted_leaves_the_link_in_order(
    server: VirtualServer, virtual: VirtualDevice, monkeypatch: pytest.MonkeyPatch
) -> None:
    from concurrent.futures import Future

    with Device(Thermostat, server.transport) as device:
        device.read("setpoint")
        virtual.inject(Silence(), times=1)

        def interrupted(self: Any, timeout: Any = None) -> Any:
            virtual.wait_for_requests(2)
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(Future, "result", interrupted)
            with pytest.raises(KeyboardInterrupt):
                device.read("setpoint")
        # The one that was given up is waited for, then this one has its turn.
        server.drop_connections()
        assert device.read("setpoint") == 21


FORKING = """
import os, sys
from heliograph.modboss import Device, Schema, transport_from_url

setpoint = {"name": "setpoint", "type": "holding_register", "address": 10}
schema = Schema.from_mappings("S", [setpoint])
device = Device(schema, transport_from_url(sys.argv[1]))
print(device.read("setpoint"), flush=True)
child = os.fork()
if child == 0:
    try:
        device.read("setpoint")
    except RuntimeError as error:
        print(error)
    print(Device(schema, transport_from_url(sys.argv[1])).read("setpoint"), flush=True)
    os._exit(0)
os.waitpid(child, 0)
print(device.read("setpoint"))
device.close()
"""


def test_a_forked_process_has_devices_of_its_own(server: VirtualServer) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", FORKING, server.url],
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )

    before, complaint, inside, after = done.stdout.splitlines()
    assert (before, inside, after) == ("21", "21", "21")
    assert "make a link for each loop, and each process" in complaint
