# SPDX-License-Identifier: Apache-2.0
"""A link: one connection to one or more devices, opened when it is needed.

    async with Link(Tcp("192.168.1.20")) as link:
        meter, inverter = link.unit(1), link.unit(2)
        await meter.read("holding_register", 0, 10)

One request is under way at a time, in the order in which they came: most devices answer one, and on
a serial line there is no other way. A connection that has failed is opened again by the next
request.

Links belong to asyncio, since pymodbus does: under trio they do not run. `Device` serves programs
without a loop.
"""

from __future__ import annotations

import asyncio
from collections import deque
from time import monotonic_ns
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Literal, Self, TypeAlias

from heliograph.modboss.errors import DeviceError, shown
from heliograph.modboss.events import (
    LINK_CONNECTED,
    LINK_DISCONNECTED,
    LINK_RECONNECTING,
    LINK_UNREACHABLE,
    LINK_WAITED,
)
from heliograph.modboss.faults import (
    CorruptReplyError,
    DesyncError,
    LinkClosedError,
    LinkError,
    ReplyTimeoutError,
    UnreachableError,
)
from heliograph.modboss.transports import RtuOverTcp, Serial, Tcp, Tls, Udp

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from heliograph.modboss.client import Client
    from heliograph.modboss.pymodbus_client import PymodbusClient
    from heliograph.modboss.transports import Transport
    from heliograph.modboss.unit import Unit

__all__ = ["FUNCTIONS", "End", "Link"]

End: TypeAlias = Literal["closed", "ended", "reset", "silence", "corrupt"]

FUNCTIONS: Final = MappingProxyType(
    {
        1: "read_coils",
        2: "read_discrete_inputs",
        3: "read_holding_registers",
        4: "read_input_registers",
        5: "write_coil",
        6: "write_register",
        15: "write_coils",
        16: "write_registers",
        22: "mask_write_register",
    }
)
_NAMES: Final = dict(FUNCTIONS)  # the same, looked up faster
_SINGLE: Final = frozenset({5, 6})
_CLIENT: Final = tuple([name for name in FUNCTIONS.values() if name != "mask_write_register"])


def _check_client(where: object) -> None:
    """Refuse what cannot be asked, such as a transport's URL.

    Raises:
        TypeError: It is no client.
    """
    # One that lacks some is asked for the others, as a device with coils alone.
    if not any(callable(getattr(where, name, None)) for name in _CLIENT):
        raise TypeError(
            f"{shown(where)} is neither a transport, such as Tcp(host) or transport_from_url(text),"
            f" nor a client: it has none of {', '.join(_CLIENT)}"
        )


class Link:
    """One connection, shared by all the units behind it.

    Made anywhere, used in one running loop of asyncio, that of its first request. `async with`
    closes it at the end; it opens by itself.

    Args:
        where: A transport, or a client of your own, which is then neither connected nor closed
            here.
        message_spacing: Seconds between the end of one request and the beginning of the next, for
            devices and adapters that need a pause.
        max_silence: So many requests in a row without any answer, and the connection is made anew,
            for it may be wedged. A serial port stays open; where frames are a serial line's but
            travel over a network, one is enough, because a late answer could be taken for another.
        name: What events call the link; the transport's URL if None.

    Raises:
        ValueError: The spacing is negative or no number, or `max_silence` is below 1.
        TypeError: `where` is neither a transport nor a client.
    """

    def __init__(
        self,
        where: Transport | Client,
        *,
        message_spacing: float = 0.0,
        max_silence: int = 3,
        name: str | None = None,
    ) -> None:
        if not 0 <= message_spacing < 3600:
            raise ValueError(
                f"message_spacing is {message_spacing}; it must be seconds, from 0 up to an hour"
            )
        if max_silence < 1:
            raise ValueError(
                f"max_silence is {max_silence}; it must be a number of requests, from 1"
            )
        self._spacing = message_spacing
        self._client: Any
        self.transport: Transport | None
        """Where the link leads; None if it was given a client."""
        if isinstance(where, Tcp | Tls | Udp | RtuOverTcp | Serial):
            self.transport, self._client = where, None
            host, port = where.address
            self.about: Mapping[str, Any] = {
                "server_address": host,
                **({} if port is None else {"server_port": port}),
                "network_transport": where.network,
            }
            numbered, serial = where.framing == "mbap", isinstance(where, Serial)
            self._max_silence = None if serial else max_silence if numbered else 1
            self.name: str = str(where) if name is None else name
            """What events call it."""
        else:
            _check_client(where)
            self.transport, self._client = None, where
            self.name = type(where).__name__ if name is None else name
            self.about = {"server_address": self.name, "network_transport": "tcp"}
            self._max_silence = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closed = False
        # One at a time: a request that finds another one waits in line.
        self._busy = False
        self._line: deque[asyncio.Future[None]] = deque()
        self._held = False
        self._free_at = 0.0  # in the loop's time: when the last request was over
        self._silent = 0  # requests without an answer, in a row
        self._tries = 0  # attempts at a connection, in a row
        self._was_connected = False
        self._connected_at = 0

    def __repr__(self) -> str:
        state = "closed" if self._closed else "connected" if self.connected else "not connected"
        return f"<Link {self.name}, {state}>"

    # -- The connection ---------------------------------------------------------------------------

    @property
    def connected(self) -> bool:
        """Whether there is a connection now; always, with a client of your own."""
        return self._client is not None

    @property
    def can_mask(self) -> bool:
        """Whether function 22 can be asked for."""
        return self.transport is not None or hasattr(self._client, "mask_write_register")

    def unit(self, device_id: int = 1, *, single_writes: bool = True) -> Unit:
        """Give one device behind this link.

        Args:
            device_id: 1 to 247 on a serial line; 0 to 255 elsewhere, where 0 and 255 mostly mean
                the addressed device itself. On a serial line 0 is everybody: it is written to, and
                nobody answers.
            single_writes: Whether one value is written with function 5 or 6. Some devices lack
                these, others lack 15 and 16 and need their mappings written one by one.

        Raises:
            ValueError: There is no such id.
        """
        from heliograph.modboss.unit import Unit  # which imports this module

        return Unit(self, device_id, single_writes=single_writes)

    async def connect(self) -> None:
        """Connect now, rather than with the first request.

        Raises:
            UnreachableError: No connection could be made.
            LinkClosedError: The link has been closed.
        """
        await self._enter()
        try:
            if self._client is None:
                await self._open()
        finally:
            self._leave()

    async def disconnect(self) -> None:
        """End the connection, after the request under way; the next request makes a new one."""
        await self._enter()
        try:
            await self._end()
        finally:
            self._leave()

    async def close(self) -> None:
        """End the connection for good; who waits for it gets a `LinkClosedError`."""
        if self._closed:
            return
        self._closed = True
        self._fail_line(LinkClosedError(f"{self.name} has been closed"))
        await self._end()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()

    async def _open(self) -> PymodbusClient:
        """Connect; the caller has entered."""
        # Here, so that importing heliograph.modboss does not need pymodbus.
        from heliograph.modboss.pymodbus_client import PymodbusClient

        assert self.transport is not None, "else there is a client"
        self._tries += 1
        if LINK_RECONNECTING.handlers and (self._was_connected or self._tries > 1):
            LINK_RECONNECTING.execute({"tries": self._tries}, self._told())
        began = monotonic_ns()
        client = PymodbusClient(self.transport, self._lost)
        try:
            await client.open()
        except UnreachableError as fault:
            if LINK_UNREACHABLE.handlers:
                LINK_UNREACHABLE.execute(
                    {"connect_time": monotonic_ns() - began, "tries": self._tries},
                    self._told(failure=fault),
                )
            # They have waited for this connection too.
            self._fail_line(fault)
            raise
        except BaseException:
            client.abort()
            raise
        if self._closed:
            client.abort()
            raise LinkClosedError(f"{self.name} has been closed")
        self._client = client
        self._connected_at = now = monotonic_ns()
        tries, self._tries, self._silent, self._was_connected = self._tries, 0, 0, True
        if LINK_CONNECTED.handlers:
            LINK_CONNECTED.execute({"connect_time": now - began, "tries": tries}, self._told())
        return client

    async def _end(self) -> None:
        """End the connection, if it is ours."""
        client = self._client
        if client is not None and self.transport is not None:
            self._gone("closed")
            await client.end()

    def _drop(self, client: PymodbusClient, end: End) -> None:
        """Give a connection up that is good for nothing any more."""
        if client is self._client:
            self._gone(end)
        client.abort()

    def _lost(self, client: PymodbusClient, end: End) -> None:
        """Hear that the connection has ended by itself."""
        if client is self._client:
            self._gone(end)

    def _gone(self, end: End) -> None:
        self._client = None
        if LINK_DISCONNECTED.handlers:
            LINK_DISCONNECTED.execute(
                {"connected_time": monotonic_ns() - self._connected_at}, self._told(end=end)
            )

    def _told(self, **more: Any) -> Any:
        return {"link": self.name, **self.about, **more}

    # -- One at a time ----------------------------------------------------------------------------

    async def _enter(self) -> int:
        """Wait until it is one's turn; `_leave` must follow.

        Returns:
            How long that took, in nanoseconds; 0 if nobody was there before.
        """
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            if self._loop is not None and not self._loop.is_closed():
                raise RuntimeError(
                    f"{self.name} is used in another event loop; make a link for each loop, and "
                    "each process"
                )
            self._bind(loop)
        if self._closed:
            raise LinkClosedError(f"{self.name} has been closed")
        if not self._busy:
            self._busy = True
            return 0
        began = monotonic_ns()
        turn = loop.create_future()
        self._line.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled() and turn.exception() is None:
                self._leave()  # it was one's turn already
            raise
        return monotonic_ns() - began

    def _bind(self, loop: asyncio.AbstractEventLoop) -> None:
        """Belong to a loop; what belonged to one that is closed is forgotten."""
        self._loop = loop
        self._busy = self._held = False
        self._line.clear()
        if self.transport is not None:
            self._client = None

    def _leave(self) -> None:
        """Let the next one enter, unless a request is still under way that nobody waits for."""
        if self._held:
            return
        if self._spacing:
            self._rest()
        line = self._line
        while line:
            turn = line.popleft()
            if not turn.done():
                turn.set_result(None)  # and so it stays busy
                return
        self._busy = False

    def _rest(self) -> None:
        assert self._loop is not None
        self._free_at = self._loop.time() + self._spacing

    def _fail_line(self, fault: LinkError) -> None:
        while self._line:
            turn = self._line.popleft()
            if not turn.done():
                turn.set_exception(fault.again())

    # -- Requests ---------------------------------------------------------------------------------

    async def ask(self, function: int, address: int, argument: Any, device_id: int) -> Any:
        """Make one request, in turn.

        Args:
            function: Function code.
            address: The first address, from 0.
            argument: The count of a read, the value of a write of one, the values of a write of
                several, both masks of a mask write.
            device_id: The unit.
        """
        waited = 0
        if self._busy or self._closed or asyncio._get_running_loop() is not self._loop:
            waited = await self._enter()
        else:
            self._busy = True
        client: Any = None
        try:
            # What `_request` does, without the call: this is hot.
            if waited or self._spacing:
                await self._wait(waited, device_id)
            client = self._client
            if client is None:
                client = await self._open()
            answer = await getattr(client, _NAMES[function])(address, argument, device_id)
            self._silent = 0
            return answer
        except DeviceError as exc:
            self._judge(client, exc)
            raise
        except asyncio.CancelledError:
            self._hold()
            raise
        finally:
            if self._line or self._spacing or self._held:
                self._leave()
            else:
                self._busy = False

    async def read_and_write(
        self,
        function: int,
        address: int,
        change: Callable[[int], int],
        write_function: int,
        device_id: int,
    ) -> int:
        """Read one value, change it and write it, while nobody else has a turn on this link.

        Returns:
            The new value, which is not written if it is the old one.
        """
        waited = await self._enter()
        try:
            [old] = await self._request(function, address, 1, device_id, waited)
            new = change(old)
            if new != old:
                if self._spacing:
                    self._rest()
                argument = new if write_function in _SINGLE else [new]
                await self._request(write_function, address, argument, device_id, 0)
            return new
        finally:
            self._leave()

    async def _request(
        self, function: int, address: int, argument: Any, device_id: int, waited: int
    ) -> Any:
        """Make one request; the caller has entered, after so many nanoseconds in line."""
        if waited or self._spacing:
            await self._wait(waited, device_id)
        client = self._client
        try:
            if client is None:
                client = await self._open()
            answer = await getattr(client, _NAMES[function])(address, argument, device_id)
        except DeviceError as exc:
            self._judge(client, exc)
            raise
        except asyncio.CancelledError:
            self._hold()
            raise
        self._silent = 0
        return answer

    async def _wait(self, waited: int, device_id: int) -> None:
        """Wait for the spacing, and tell for how long one had to wait altogether."""
        paced = await self._pace() if self._spacing else 0
        if (waited or paced) and LINK_WAITED.handlers:
            LINK_WAITED.execute(
                {"queue_wait": waited, "pacing_wait": paced}, self._told(unit_id=device_id)
            )

    def _hold(self) -> None:
        """Let nobody enter until the request of a cancelled caller is over."""
        abandoned = getattr(self._client, "abandoned", None)
        if abandoned is not None:
            self._held = True
            abandoned.add_done_callback(self._release)

    def _release(self, _over: object) -> None:
        self._held = False
        self._leave()

    async def _pace(self) -> int:
        """Wait for the spacing; give how long, in nanoseconds."""
        assert self._loop is not None
        pause = self._free_at - self._loop.time()
        if pause <= 0:
            return 0
        began = monotonic_ns()
        await asyncio.sleep(pause)
        return monotonic_ns() - began

    def _judge(self, client: Any, fault: DeviceError) -> None:
        """Decide whether the connection is still good for anything."""
        if not isinstance(fault, LinkError):
            self._silent = 0
        elif self._max_silence is None or client is None:
            return
        elif isinstance(fault, CorruptReplyError | DesyncError):
            self._drop(client, "corrupt")
        elif isinstance(fault, ReplyTimeoutError):
            self._silent += 1
            if self._silent >= self._max_silence:
                self._drop(client, "silence")
