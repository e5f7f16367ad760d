# SPDX-License-Identifier: Apache-2.0
"""The pytest plugin of Modbus: virtual devices as a fixture.

It is there as soon as heliograph is installed, and imports nothing of Modbus until a test asks:

    def test_the_setpoint_is_written(modbus_server):
        server = modbus_server(Thermostat, {"outdoor_temp": 21.5})
        with Device(Thermostat, server.transport) as device:
            device.write({"setpoint": 19})
        assert server.device.written == [("setpoint", 19)]
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Protocol

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from heliograph.modboss.schema import Schema
    from heliograph.modboss.virtual import VirtualDevice, VirtualServer

__all__ = ["ServeModbus"]


class ServeModbus(Protocol):
    """What the fixture `modbus_server` is; for annotations."""

    def __call__(
        self,
        what: type[Schema] | VirtualDevice,
        *more: Mapping[str, Any] | VirtualDevice,
        **options: Any,
    ) -> VirtualServer:
        """Serve devices until the test ends.

        Args:
            what: A schema, of which a device is made, or a device.
            more: After a schema its values, if any; after a device further ones.
            options: Those of `heliograph.modboss.virtual.VirtualServer`.
        """
        ...


@pytest.fixture
def modbus_server() -> Iterator[ServeModbus]:
    """Serves virtual Modbus devices, each call another server, in threads until the test ends.

    A test fails if a script of one of its devices did.
    """
    from heliograph.modboss.virtual import VirtualDevice, VirtualServer

    servers: list[VirtualServer] = []
    with ExitStack() as stack:

        def serve(what: Any, *more: Any, **options: Any) -> VirtualServer:
            devices = (
                (what, *more) if isinstance(what, VirtualDevice) else (VirtualDevice(what, *more),)
            )
            server = stack.enter_context(VirtualServer(*devices, **options))
            servers.append(server)
            return server

        yield serve
    failures = [
        f"{device!r}: {failure!r}"
        for server in servers
        for device in server.devices
        for failure in device.failures
    ]
    if failures:
        pytest.fail("scripts failed:\n" + "\n".join(failures), pytrace=False)
