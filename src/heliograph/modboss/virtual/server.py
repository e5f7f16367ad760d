# SPDX-License-Identifier: Apache-2.0
"""Virtual devices on a connection: on an event loop, in a thread of its own, or for ever."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any, Final, Literal, Self, TypeAlias

from heliograph.modboss.transports import RtuOverTcp, Serial, Tcp, Tls, Udp
from heliograph.modboss.virtual.faults import FaultPlan
from heliograph.modboss.virtual.line import Line

if TYPE_CHECKING:
    import ssl
    from collections.abc import Collection, Container
    from types import TracebackType

    from heliograph.modboss.mapping import ObjectType
    from heliograph.modboss.transports import Framing, Transport
    from heliograph.modboss.virtual.device import VirtualDevice
    from heliograph.modboss.virtual.faults import Fault, Rule

__all__ = ["Over", "VirtualServer"]

Over: TypeAlias = Literal["tcp", "tls", "udp", "rtu+tcp", "ascii+tcp", "rtu", "ascii"]
"""The transports, by the schemes of their URLs."""

_WAYS: Final[dict[Over, tuple[str, Framing]]] = {
    "tcp": ("tcp", "mbap"),
    "tls": ("tcp", "mbap"),
    "udp": ("udp", "mbap"),
    "rtu+tcp": ("tcp", "rtu"),
    "ascii+tcp": ("tcp", "ascii"),
    "rtu": ("serial", "rtu"),
    "ascii": ("serial", "ascii"),
}


class VirtualServer:
    """Serves virtual devices, which are its units, over one transport.

    `async with` serves on the running event loop, `with` in a thread that has a loop of its own.
    Afterwards it can be started again: on the same port, with the same devices. By default it
    listens on this machine alone, on a port that is free.

        with VirtualServer(VirtualDevice(Thermostat)) as server:
            device = Device(Thermostat, server.transport)
    """

    def __init__(
        self,
        *devices: VirtualDevice,
        over: Over = "tcp",
        host: str = "127.0.0.1",
        port: int = 0,
        context: ssl.SSLContext | None = None,
        line: str | None = None,
        baudrate: int = 19200,
    ) -> None:
        """Nothing is opened yet.

        Args:
            devices: At least one; their units must differ.
            over: The transport.
            host: The address to listen at.
            port: The port to listen at; 0 for one that is free.
            context: What TLS needs: the server's certificate, and whom it trusts.
            line: The path of a serial line to be at; None makes one without hardware, whose other
                end is `transport`.
            baudrate: The speed of such a line.

        Raises:
            ValueError: There is no device, two have the same unit, or the transport is unknown, or
                lacks its context.
        """
        if not devices:
            raise ValueError("VirtualServer: no devices; give at least one")
        units = [each.unit for each in devices]
        if len(set(units)) < len(units):
            raise ValueError(
                f"VirtualServer: units {units} are not all different; give each its own"
            )
        if over not in _WAYS:
            raise ValueError(
                f"VirtualServer: over={over!r} is unknown; give one of {', '.join(_WAYS)}"
            )
        if (over == "tls") != (context is not None):
            raise ValueError(
                "VirtualServer: TLS, and only that, needs a context; give both or none"
            )
        if line is not None and _WAYS[over][0] != "serial":
            raise ValueError(f"VirtualServer: a line is for 'rtu' and 'ascii', not for {over!r}")
        self.devices = devices
        """What it serves."""
        self.faults: FaultPlan = FaultPlan()
        """Rules for the requests of all its devices; they come before the devices' own."""
        self._over: Over = over
        self._host = host
        self._port = port
        self._context = context
        self._path = line
        self._baudrate = baudrate
        self._line: Line | None = None
        self._server: Any = None
        self._served: Any = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    def __repr__(self) -> str:
        units = ", ".join(str(each.unit) for each in self.devices)
        return f"<VirtualServer {self._over}, units {units}>"

    @property
    def device(self) -> VirtualDevice:
        """What it serves, if that is one device.

        Raises:
            RuntimeError: There are several.
        """
        device, *others = self.devices
        if others:
            raise RuntimeError(f"{self!r} has several devices; take one of `devices`")
        return device

    # -- Where it is ------------------------------------------------------------------------------

    @property
    def serving(self) -> bool:
        """Whether it is started."""
        return self._server is not None

    @property
    def port(self) -> int:
        """The port it listens at.

        Raises:
            RuntimeError: It was never started, or serves a serial line.
        """
        if not self._port:
            raise RuntimeError(f"{self!r} has no port; start it, over a network")
        return self._port

    @property
    def transport(self) -> Transport:
        """What a client connects with. For TLS, certificates are to be added.

        Raises:
            RuntimeError: It was never started.
        """
        network, framing = _WAYS[self._over]
        if network == "serial":
            path = self._path if self._line is None else self._line.client
            if path is None:
                raise RuntimeError(f"{self!r} has no line; start it")
            return Serial(path, framing=_serial(framing), baudrate=self._baudrate)
        if self._over == "udp":
            return Udp(self._host, self.port)
        if self._over == "tls":
            return Tls(self._host, self.port)
        if framing == "mbap":
            return Tcp(self._host, self.port)
        return RtuOverTcp(self._host, self.port, framing=_serial(framing))

    @property
    def url(self) -> str:
        """The same as text: what `heliograph modbus` takes."""
        return str(self.transport)

    # -- Faults -----------------------------------------------------------------------------------

    def inject(
        self,
        *faults: Fault,
        object_type: ObjectType | None = None,
        addresses: int | range | Collection[int] | None = None,
        count: int | Container[int] | None = None,
        only: Literal["read", "write"] | None = None,
        calls: int | Container[int] | None = None,
        times: int | None = None,
    ) -> Rule:
        """Let requests of any of its devices go wrong: as `VirtualDevice.inject`, without names.

        Calls are counted over all devices.
        """
        return self.faults.inject(
            *faults,
            object_type=object_type,
            addresses=addresses,
            count=count,
            only=only,
            calls=calls,
            times=times,
        )

    def drop_connections(self) -> None:
        """Reset all connections that there are now. From any thread."""
        loop, served = self._loop, self._served
        if loop is None or served is None:
            return
        try:
            running = asyncio.get_running_loop()
        except RuntimeError:
            running = None
        if running is loop:
            served.drop()
        else:
            done = threading.Event()

            def drop() -> None:
                served.drop()
                done.set()

            loop.call_soon_threadsafe(drop)
            done.wait()

    # -- On an event loop -------------------------------------------------------------------------

    async def start(self) -> None:
        """Begin to serve on the running event loop.

        Raises:
            OSError: It cannot listen there.
            ModuleNotFoundError: pymodbus is not installed; the extra `modbus` brings it.
            RuntimeError: It serves already.
        """
        if self._server is not None:
            raise RuntimeError(f"{self!r} serves already")
        wire = _wire()
        network, framing = _WAYS[self._over]
        units = {each.unit: each for each in self.devices}
        served = wire.Served(units, self.faults, network, framing)
        path = self._path
        if network == "serial" and path is None:
            self._line = Line()
            path = self._line.device
        for device in self.devices:
            device.restart()
        try:
            self._server = await wire.start(
                served,
                network=network,
                framing=framing,
                address=(self._host, self._port),
                context=self._context,
                line={"port": path, "baudrate": self._baudrate},
            )
        except BaseException:
            self._hang_up()
            raise
        self._served = served
        self._loop = asyncio.get_running_loop()
        if network != "serial":
            listening = self._server.transport
            sock = listening.get_extra_info("socket") if network == "udp" else listening.sockets[0]
            self._port = sock.getsockname()[1]

    async def stop(self) -> None:
        """End it, and all its connections."""
        server, served = self._server, self._served
        if server is None:
            return
        self._server = self._served = self._loop = None
        served.ended = True
        listening: Any = server.transport
        if streams := hasattr(listening, "sockets"):
            # asyncio may not close what is just being accepted: first, nothing more is.
            for sock in listening.sockets:
                asyncio.get_running_loop().remove_reader(sock)
            await _turns()
        ending = [asyncio.create_task(each.ended()) for each in served.handlers]
        await server.shutdown()
        await asyncio.gather(*ending)
        if streams:
            await listening.wait_closed()
        await _turns()
        self._hang_up()

    def _hang_up(self) -> None:
        if self._line is not None:
            self._line.close()
            self._line = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.stop()

    # -- In a thread ------------------------------------------------------------------------------

    def start_thread(self) -> None:
        """Begin to serve in a thread; raises as `start` does."""
        if self._server is not None:
            raise RuntimeError(f"{self!r} serves already")
        _wire()  # an import that fails is better told here
        ready: list[BaseException | None] = []
        started = threading.Event()
        stopping = asyncio.Event()

        async def serve() -> None:
            try:
                await self.start()
            except BaseException as error:
                ready.append(error)
                started.set()
                raise
            ready.append(None)
            started.set()
            await stopping.wait()
            await self.stop()

        def run() -> None:
            try:
                asyncio.run(serve())
            except BaseException:
                if ready and ready[0] is not None:
                    return  # whoever started it is told
                raise

        thread = threading.Thread(target=run, name="modbus-virtual-server", daemon=True)
        thread.start()
        started.wait()
        if ready[0] is not None:
            thread.join()
            raise ready[0]
        self._thread = thread
        self._stopping = stopping

    def stop_thread(self) -> None:
        """End it, and the thread."""
        thread, loop = self._thread, self._loop
        if thread is None:
            return
        self._thread = None
        if loop is not None:
            loop.call_soon_threadsafe(self._stopping.set)
        thread.join()

    def __enter__(self) -> Self:
        self.start_thread()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop_thread()


async def _turns() -> None:
    """Let the loop finish what opens and closes; each takes up to three of its turns."""
    for _ in range(5):
        await asyncio.sleep(0)


def _serial(framing: Framing) -> Literal["rtu", "ascii"]:
    assert framing != "mbap"  # which no serial line has
    return framing


def _wire() -> Any:
    try:
        from heliograph.modboss.virtual import wire
    except ModuleNotFoundError as missing:
        if (missing.name or "").partition(".")[0] not in {"pymodbus", "serial"}:
            raise
        raise ModuleNotFoundError(
            'a virtual device needs pymodbus: pip install "heliograph[modbus]"', name=missing.name
        ) from missing
    return wire
