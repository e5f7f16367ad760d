# SPDX-License-Identifier: Apache-2.0
"""The one module that touches pymodbus' client side: one connection, one request at a time.

pymodbus frames, parses and moves the bytes; what it does about faults is replaced, since its
callers cannot see enough of it:

*   Its time-out, retries and lock are a link's here, so that each is there once.
*   A connection that ends fails the request under way at once; there, it waits for its time-out.
*   Nothing came, something unreadable came, and something came that answers another request, are
    three different errors; there, one.
*   A connection is used once. A new one is a new object, so that the last words of an old one are
    never taken for a new one's.

Written for pymodbus 3.16, whose minor releases may change what is used here; the extra `modbus`
pins the range, and the tests of the transports run all of it.
"""

from __future__ import annotations

import asyncio
import logging
import struct
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

try:
    from pymodbus.exceptions import ModbusException
    from pymodbus.framer import FRAMER_NAME_TO_CLASS, FramerType
    from pymodbus.pdu import DecodePDU
    from pymodbus.pdu.bit_message import (
        ReadCoilsRequest,
        ReadDiscreteInputsRequest,
        WriteMultipleCoilsRequest,
        WriteSingleCoilRequest,
    )
    from pymodbus.pdu.register_message import (
        MaskWriteRegisterRequest,
        ReadHoldingRegistersRequest,
        ReadHoldingRegistersResponse,
        ReadInputRegistersRequest,
        ReadInputRegistersResponse,
        WriteMultipleRegistersRequest,
        WriteSingleRegisterRequest,
    )
    from pymodbus.transaction import TransactionManager
    from pymodbus.transport import CommParams, CommType
    from pymodbus.transport.serialtransport import create_serial_connection
except ImportError as _missing:
    raise ImportError(
        'talking to devices needs pymodbus from 3.16, below 4: pip install "heliograph[modbus]"'
    ) from _missing

from heliograph.modboss import mbap
from heliograph.modboss.answer import Answer
from heliograph.modboss.faults import (
    CorruptReplyError,
    DesyncError,
    LinkLostError,
    ReplyTimeoutError,
    UnreachableError,
    exception_reply,
)
from heliograph.modboss.transports import Serial, Tls, Udp

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence

    from pymodbus.pdu import ModbusPDU

    from heliograph.modboss.link import End
    from heliograph.modboss.transports import Transport

__all__ = ["PymodbusClient"]

_FRAMERS: Final = {
    "mbap": FramerType.SOCKET,
    "rtu": FramerType.RTU,
    "ascii": FramerType.ASCII,
}
_KINDS: Final = {Serial: CommType.SERIAL, Udp: CommType.UDP, Tls: CommType.TLS}
_log: Final = logging.getLogger("pymodbus.logging")  # pymodbus', where it tells of every frame
# How much of what came is shown in an error.
_SHOWN: Final = 16


class _HoldingRegisters(ReadHoldingRegistersResponse):
    """An answer that is parsed in one go, and described only when somebody wants to know."""

    def decode(self, data: bytes) -> None:
        """Take the registers; what is short of its length, or odd, is refused."""
        size = data[0]
        if size & 1:
            raise ValueError(f"{size} octets are no whole registers")
        self.registers = list(struct.unpack_from(f">{size >> 1}H", data, 1))

    def __str__(self) -> str:
        return f"{len(self.registers)} registers of function {self.function_code}"


class _InputRegisters(_HoldingRegisters):
    function_code = ReadInputRegistersResponse.function_code


class PymodbusClient(TransactionManager):
    """One connection to one or more devices, opened by `open`, over when `lost` is called.

    Satisfies `heliograph.modboss.Client`. A link sees to it that there is one request at a time.

    Args:
        transport: Where to.
        lost: Called when the connection ends other than by `end` or `abort`, with a word for the
            reason: `ended` (by the other side) or `reset`.
    """

    # What pymodbus declares in its methods, for checkers that do not look there.
    transport: asyncio.BaseTransport
    next_tid: int
    request_dev_id: int
    request_transaction_id: int
    response_future: asyncio.Future[Any]
    recv_buffer: bytes

    def __init__(self, transport: Transport, lost: Callable[[PymodbusClient, End], None]) -> None:
        kind = _KINDS.get(type(transport), CommType.TCP)
        params = CommParams(
            comm_name=str(transport),
            comm_type=kind,
            reconnect_delay=0,
            timeout_connect=transport.timeout,
            handle_local_echo=isinstance(transport, Serial) and transport.local_echo,
        )
        decoder = DecodePDU(False)
        decoder.register(_HoldingRegisters)
        decoder.register(_InputRegisters)
        framer = FRAMER_NAME_TO_CLASS[_FRAMERS[transport.framing]](decoder)
        # Requests are answered, or given up, one by one: no retries, and no hooks.
        super().__init__(params, framer, 0, False, None, None, None)
        self._where = transport
        self._lost = lost
        self._timeout = transport.timeout
        # Frames of a serial line have no transaction id.
        self._numbered = transport.framing == "mbap"
        # Streams without echo: then nothing has to be taken off what comes.
        self._plainly = not params.handle_local_echo and kind is not CommType.UDP
        self._asked = (0, 0, 0, 0)  # device, function, address and count of the latest request
        self._expected: bytes | None = None  # how its answer begins, where that is known
        self._garbage = b""  # of what came since the last request, the latest that was no answer
        self._deadline = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._ended = asyncio.Event()
        self._abandoned: asyncio.Future[Any] | None = None
        self.response_future = self.loop.create_future()
        self.response_future.set_result(None)  # so far nothing is waited for

    # -- The connection ---------------------------------------------------------------------------

    async def open(self) -> None:
        """Connect.

        Raises:
            UnreachableError: That was not possible.
        """
        try:
            async with asyncio.timeout(self._timeout):
                self.transport = await self._connected()
        except TimeoutError:
            raise UnreachableError(
                f"{self._where}: no connection within {self._timeout:g} s"
            ) from None
        except OSError as exc:
            raise UnreachableError(f"{self._where}: no connection: {_told(exc)}") from exc

    async def _connected(self) -> asyncio.BaseTransport:
        where = self._where
        made: tuple[asyncio.BaseTransport, Any]
        if isinstance(where, Serial):
            made = await create_serial_connection(
                self.loop,
                lambda: self,
                where.port,
                baudrate=where.baudrate,
                bytesize=where.bytesize,
                parity=where.parity,
                stopbits=where.stopbits,
                timeout=where.timeout,
            )
        elif isinstance(where, Udp):
            made = await self.loop.create_datagram_endpoint(lambda: self, remote_addr=where.address)
        else:
            secured: dict[str, Any] = {}
            if isinstance(where, Tls):
                secured["ssl"] = await asyncio.to_thread(where.ssl_context)
                secured["server_hostname"] = where.server_hostname or where.host
            made = await self.loop.create_connection(
                lambda: self, where.host, where.port, local_addr=where.source, **secured
            )
        return made[0]

    async def end(self) -> None:
        """End the connection, and wait until it has ended; a peer that holds it gets a second."""
        transport: asyncio.BaseTransport | None = self.transport
        self.close()
        self._fail_closed()
        if transport is None or isinstance(self._where, Serial):
            return
        try:
            async with asyncio.timeout(1.0):
                await self._ended.wait()
        except TimeoutError:
            transport.abort()  # type: ignore[attr-defined]  # all kinds have it

    def abort(self) -> None:
        """End the connection at once, whatever has not been sent yet."""
        transport: asyncio.BaseTransport | None = self.transport
        self.close()
        self._fail_closed()
        if transport is not None:
            transport.abort()  # type: ignore[attr-defined]  # all kinds have it

    def _fail_closed(self) -> None:
        self._stop_timer()
        self._fail(LinkLostError(f"{self._where}: the connection was closed on this side"))

    def connection_lost(self, exc: Exception | None) -> None:
        """Hear from asyncio that the connection has ended."""
        self._ended.set()
        self._stop_timer()
        super().connection_lost(exc)

    def callback_disconnected(self, exc: Exception | None) -> None:
        """Fail the request under way; pymodbus calls it when it was not us who closed."""
        self._fail(
            LinkLostError(
                f"{self._where}: the connection was lost before the answer came"
                + (f": {_told(exc)}" if exc is not None else "")
            )
        )
        self._lost(self, "ended" if exc is None else "reset")

    def error_received(self, exc: Exception) -> None:
        """Fail the request under way: over UDP this says that nobody listens."""
        self._fail(UnreachableError(f"{self._where}: {_told(exc)}"))

    # -- The eight requests, and the ninth --------------------------------------------------------

    async def read_coils(self, address: int, count: int, device_id: int) -> Sequence[int]:
        """Read coils, function 1."""
        reply = await self._ask(ReadCoilsRequest(device_id, 0, address, count))
        return self._bits(reply, count)

    async def read_discrete_inputs(self, address: int, count: int, device_id: int) -> Sequence[int]:
        """Read discrete inputs, function 2."""
        reply = await self._ask(ReadDiscreteInputsRequest(device_id, 0, address, count))
        return self._bits(reply, count)

    def read_holding_registers(
        self, address: int, count: int, device_id: int
    ) -> Coroutine[Any, Any, Sequence[int]]:
        """Read holding registers, function 3."""
        if self._quick(address, count):
            return self._read_quickly(3, address, count, device_id)
        return self._read(ReadHoldingRegistersRequest(device_id, 0, address, count))

    def read_input_registers(
        self, address: int, count: int, device_id: int
    ) -> Coroutine[Any, Any, Sequence[int]]:
        """Read input registers, function 4."""
        if self._quick(address, count):
            return self._read_quickly(4, address, count, device_id)
        return self._read(ReadInputRegistersRequest(device_id, 0, address, count))

    async def _read(self, request: ModbusPDU) -> Sequence[int]:
        return self._registers(await self._ask(request), request.count)

    async def write_coil(self, address: int, value: int, device_id: int) -> None:
        """Write one coil, function 5."""
        bits = _as_bits([value])
        reply = await self._ask(WriteSingleCoilRequest(device_id, 0, address, bits=bits))
        self._check_echo(reply, address, 1, [bool(bit) for bit in reply.bits] == bits)

    async def write_register(self, address: int, value: int, device_id: int) -> None:
        """Write one holding register, function 6."""
        request = WriteSingleRegisterRequest(device_id, 0, address, registers=[value])
        reply = await self._ask(request)
        self._check_echo(reply, address, 1, list(reply.registers) == [value])

    async def write_coils(self, address: int, values: Sequence[int], device_id: int) -> None:
        """Write coils, function 15."""
        bits = _as_bits(values)
        reply = await self._ask(WriteMultipleCoilsRequest(address, bits, device_id))
        self._check_echo(reply, address, len(bits), reply.count == len(bits))

    async def write_registers(self, address: int, values: Sequence[int], device_id: int) -> None:
        """Write holding registers, function 16."""
        request = WriteMultipleRegistersRequest(device_id, 0, address, registers=list(values))
        reply = await self._ask(request)
        self._check_echo(reply, address, len(values), reply.count == len(values))

    async def mask_write_register(
        self, address: int, masks: tuple[int, int], device_id: int
    ) -> None:
        """Change bits of a holding register, function 22."""
        and_mask, or_mask = masks
        request = MaskWriteRegisterRequest(address, and_mask, or_mask, device_id)
        reply: Any = await self._ask(request)
        same = (reply.and_mask, reply.or_mask) == (and_mask, or_mask)
        self._check_echo(reply, address, 1, same)

    # -- One request ------------------------------------------------------------------------------

    @property
    def abandoned(self) -> asyncio.Future[Any] | None:
        """Done when a request whose caller was cancelled is over; None if there is none."""
        abandoned = self._abandoned
        return abandoned if abandoned is not None and not abandoned.done() else None

    async def _ask(self, request: ModbusPDU) -> Any:
        """Send a request and wait for its answer."""
        everybody = not (request.dev_id or self._numbered)
        if everybody and request.function_code < 5:
            raise ValueError(f"{self._where}: device 0 is everybody here, and nobody answers")
        if self._numbered:
            self.next_tid = request.transaction_id = self.next_tid % 65000 + 1
        self._asked = request.dev_id, request.function_code, request.address, request.count
        try:
            frame = self.framer.buildFrame(request)
        except (struct.error, TypeError) as exc:
            raise ValueError(
                f"{self._where}, {_told_asked(self._asked)}: a register holds integers from 0 to "
                f"65535, not all of {list(request.registers)}"
            ) from exc
        if everybody:
            self.send(frame)
            return request  # on a line, what is for everybody is answered by nobody
        self.request_dev_id = request.dev_id
        self.request_transaction_id = request.transaction_id
        self.send(frame)
        return self._answered(await self._answer())

    def _quick(self, address: int, count: int) -> bool:
        """Say whether a read of registers is one of those that most requests are."""
        return (
            self._plainly
            and self._numbered
            and 0 <= address <= 0xFFFF
            and 0 < count <= mbap.MOST_REGISTERS
            and not _log.isEnabledFor(logging.DEBUG)
        )

    async def _read_quickly(
        self, function: int, address: int, count: int, device_id: int
    ) -> Sequence[int]:
        """Read registers over mbap; what comes otherwise than is expected is judged as always."""
        self.next_tid = number = self.next_tid % 65000 + 1
        self._asked = device_id, function, address, count
        self.request_dev_id, self.request_transaction_id = device_id, number
        if not self.is_active():
            raise self._lost_before()
        # What `send` does, once it is known what there is to be done.
        self.recv_buffer = b""
        self.transport.write(  # type: ignore[attr-defined]  # as streams have it
            mbap.request(number, device_id, function, address, count)
        )
        self._expected = mbap.beginning_of_answer(number, device_id, function, count)
        try:
            answer = await self._awaited()
        except asyncio.CancelledError:
            self._abandon()
            raise
        finally:
            self._expected = None
        if type(answer) is bytes:
            return mbap.registers(answer, count)
        return self._registers(self._answered(answer), count)

    async def _answer(self) -> Any:
        """Wait for what comes."""
        try:
            return await self._awaited()
        except asyncio.CancelledError:
            self._abandon()
            raise

    def _awaited(self) -> Answer:
        """Give what is to be waited for; it is made while the request is under way."""
        loop = self.loop
        self._garbage = b""
        self.response_future = answer = Answer(loop=loop)
        # One timer for all requests, moved when it goes off too early: that is seldom.
        self._deadline = deadline = loop.time() + self._timeout
        if self._timer is None:
            self._timer = loop.call_at(deadline, self._look)
        return answer

    def _abandon(self) -> None:
        """Go on waiting for an answer that nobody wants, so that nobody's next request meets it."""
        self.response_future = self._abandoned = self.loop.create_future()

    def _answered(self, reply: ModbusPDU) -> ModbusPDU:
        """Take an answer, if it is one to what was asked, and no refusal."""
        function = self._asked[1]
        if reply.function_code == function:
            return reply
        what = f"{self._where}, {_told_asked(self._asked)}"
        if reply.function_code == function | 0x80:
            raise exception_reply(reply.exception_code, what)
        raise DesyncError(f"{what}: the answer is one to function {reply.function_code & 0x7F}")

    def send(self, data: bytes, addr: tuple[Any, ...] | None = None) -> None:
        """Send octets; what pymodbus adds is for serial adapters that echo, and for its own log."""
        if not self.is_active():
            raise self._lost_before()
        if self._plainly and not _log.isEnabledFor(logging.DEBUG):
            self.recv_buffer = b""
            self.transport.write(data)  # type: ignore[attr-defined]  # as streams have it
        else:
            super().send(data, addr)

    def _lost_before(self) -> LinkLostError:
        return LinkLostError(f"{self._where}: the connection was lost before the request")

    def data_received(self, data: bytes) -> None:
        """Take octets from asyncio."""
        expected = self._expected
        if expected is not None and not self.recv_buffer and mbap.is_answer(data, expected):
            answer = self.response_future
            if type(answer) is Answer:
                if not answer.done():
                    answer.resume(data)
            elif not answer.done():
                answer.set_result(data)
        elif self._plainly and not self.recv_buffer and not _log.isEnabledFor(logging.DEBUG):
            self.recv_buffer = data[self.callback_data(data) :]
        else:
            super().data_received(data)

    def callback_data(
        self,
        data: bytes,
        addr: tuple[Any, ...] | None = None,  # noqa: ARG002 - pymodbus gives it
    ) -> int:
        """Take what came, and say how much of it was used."""
        try:
            used, reply = self.framer.handleFrame(
                data, self.request_dev_id, self.request_transaction_id
            )
        except Exception as exc:  # noqa: BLE001 - whatever hostile bytes make a parser raise
            self._fail(CorruptReplyError(f"{self._where}: {_told(exc)}: {_hex(data)}"))
            return len(data)
        if reply is None:
            self._garbage = data
        elif not self.response_future.done():
            self.response_future.set_result(reply)
        return used

    def _look(self) -> None:
        """See whether a request has waited for too long."""
        self._timer = None
        if self.response_future.done():
            return
        if self.loop.time() < self._deadline:
            self._timer = self.loop.call_at(self._deadline, self._look)
        else:
            self._expire()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _expire(self) -> None:
        """Say what it was that did not come in time."""
        what = f"{self._where}, {_told_asked(self._asked)}"
        garbage = self._garbage
        if not garbage:
            self._fail(ReplyTimeoutError(f"{what}: no answer within {self._timeout:g} s"))
            return
        device_id, number, frame = 0, 0, b""
        with suppress(Exception):  # as above
            _, device_id, number, frame = self.framer.decode(garbage)
        if not frame:
            self._fail(CorruptReplyError(f"{what}: what came is no frame: {_hex(garbage)}"))
            return
        other = f"device id {device_id}" + (f", number {number}" if self._numbered else "")
        self._fail(
            DesyncError(f"{what}: what came answers something else ({other}): {_hex(garbage)}")
        )

    def _fail(self, exc: Exception) -> None:
        answer = self.response_future
        if answer.done():
            return
        if answer is self._abandoned:
            answer.set_result(None)  # nobody is there to be told
        else:
            answer.set_exception(exc)

    def _bits(self, reply: ModbusPDU, count: int) -> Sequence[int]:
        # They come in whole octets.
        bits = reply.bits
        if len(bits) >= count and len(bits) - count < 8:
            return [int(bit) for bit in bits[:count]]
        return self._counted([int(bit) for bit in bits], count)

    def _registers(self, reply: ModbusPDU, count: int) -> Sequence[int]:
        registers = reply.registers
        return registers if len(registers) == count else self._counted(registers, count)

    def _counted(self, values: Sequence[int], count: int) -> Sequence[int]:
        """Judge a wrong count: where frames have no numbers, it may answer an earlier request."""
        if self._numbered:
            return values
        raise DesyncError(
            f"{self._where}: {len(values)} values came where {count} were asked for; it may be the "
            "answer to an earlier request"
        )

    def _check_echo(self, reply: ModbusPDU, address: int, count: int, same: bool) -> None:
        if reply.address != address or not same:
            raise DesyncError(
                f"{self._where}: the answer to a write of {count} at address {address} confirms "
                f"something else: {reply}"
            )


def _as_bits(values: Sequence[int]) -> list[bool]:
    for value in values:
        if value not in {0, 1}:
            raise ValueError(f"a coil is 0 or 1, not {value!r}")
    return [bool(value) for value in values]


def _told_asked(asked: tuple[int, int, int, int]) -> str:
    device_id, function, address, count = asked
    several = f" ({count})" if count > 1 else ""
    return f"device {device_id}, function {function} at address {address}{several}"


def _told(exc: BaseException) -> str:
    text = exc.string if isinstance(exc, ModbusException) else str(exc)
    return text or type(exc).__name__


def _hex(data: bytes) -> str:
    shown = data[:_SHOWN].hex(" ")
    return f"{shown} ... ({len(data)} octets)" if len(data) > _SHOWN else shown
