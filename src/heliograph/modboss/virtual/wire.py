# SPDX-License-Identifier: Apache-2.0
"""Where virtual devices meet pymodbus: its servers frame, decode and keep the data.

Nothing else of the virtual side imports pymodbus. Each unit is a `SimDevice`, whose action brings
its registers up to date before a read and hands on what is written; what this module adds to
pymodbus' handler of a connection is that requests are answered strictly in turn, that each is put
before its device first, and that the answer may go wrong on purpose.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import struct
from typing import TYPE_CHECKING, Any, Final

from pymodbus.constants import ExcCodes
from pymodbus.exceptions import ModbusException
from pymodbus.framer import FramerType
from pymodbus.pdu import ExceptionResponse
from pymodbus.server import ModbusSerialServer, ModbusTcpServer, ModbusTlsServer, ModbusUdpServer
from pymodbus.server.requesthandler import ServerRequestHandler
from pymodbus.simulator import DataType, SimData, SimDevice
from pymodbus.transaction import TransactionManager

from heliograph.modboss.virtual.faults import (
    Close,
    Corrupt,
    Cut,
    Delay,
    Garbage,
    Reset,
    Silence,
    WrongCount,
    WrongTransaction,
    WrongUnit,
)
from heliograph.modboss.virtual.requests import FUNCTIONS

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Coroutine, Mapping, Sequence

    from pymodbus.pdu import ModbusPDU
    from pymodbus.server.base import ModbusBaseServer

    from heliograph.modboss.virtual.device import VirtualDevice
    from heliograph.modboss.virtual.faults import Fault, FaultPlan

__all__ = ["Served", "start"]

_log = logging.getLogger(__name__)

# Our choice: requests that wait on one connection. A client has one or few under way; what comes
# beyond is lost, as on a line.
_WAITING: Final = 64

# Our choice: what may come at once and be kept until it is taken apart; some fifty requests.
_BUFFERED: Final = 16_384

_READS: Final = frozenset({1, 2, 3, 4, 23})
_DEVICE_FAILURE: Final = 4

_FRAMERS: Final = {
    "mbap": FramerType.SOCKET,
    "rtu": FramerType.RTU,
    "ascii": FramerType.ASCII,
}


class Served:
    """What the connections of one server share."""

    def __init__(
        self, devices: Mapping[int, VirtualDevice], plan: FaultPlan, network: str, framing: str
    ) -> None:
        self.devices = devices
        self.headed: bool = framing == "mbap"
        self.plan = plan
        self.serial: bool = network == "serial"
        self.connected: bool = network == "tcp"
        self.handlers: set[_Handler] = set()
        self.ended = False
        """Whether connections are taken no more, those included that are being made."""

    def drop(self) -> None:
        """Reset all connections."""
        for handler in tuple(self.handlers):
            handler.reset()


async def start(
    served: Served,
    *,
    network: str,
    framing: str,
    address: tuple[str, int],
    context: ssl.SSLContext | None,
    line: Mapping[str, Any],
) -> ModbusBaseServer:
    """Start a server; it listens when this returns.

    Raises:
        OSError: It cannot listen there.
    """
    framer = _FRAMERS[framing]
    # pymodbus wants a device at least; none of its own is ever asked.
    datastore = [_sim_device(each) for each in served.devices.values()]

    class Connected:
        def callback_new_connection(self) -> _Handler:
            return _Handler(served, self)

    server: Any
    if network == "udp":
        kind = type("Server", (Connected, ModbusUdpServer), {})
        server = kind(datastore, framer=framer, address=address)
    elif network == "serial":
        kind = type("Server", (Connected, ModbusSerialServer), {})
        server = kind(datastore, framer=framer, **line)
    elif context is not None:
        kind = type("Server", (Connected, ModbusTlsServer), {})
        server = kind(datastore, framer=framer, address=address, sslctx=context)
    else:
        kind = type("Server", (Connected, ModbusTcpServer), {})
        server = kind(datastore, framer=framer, address=address)
    await _listen(server)
    return server  # type: ignore[no-any-return]  # one of the four, made by name


async def _listen(server: Any) -> None:
    # pymodbus tells a failure to its log alone; whoever starts a server wants the reason.
    server.is_listener = True
    made = await server.call_create()
    server.transport = made[0] if isinstance(made, tuple) else made


# -- The data -------------------------------------------------------------------------------------


def _sim_device(device: VirtualDevice) -> SimDevice:
    runs = device.runs()
    registers = {
        kind: [
            SimData(run.start, values=[0] * len(run), datatype=DataType.REGISTERS)
            for run in runs[kind]
        ]
        # pymodbus takes no empty block; what stands in its place is never reached.
        or [SimData(0, datatype=DataType.INVALID)]
        for kind in ("holding_register", "input_register")
    }
    bits = {
        kind: [
            SimData(run.start, values=[False] * len(run), datatype=DataType.BITS)
            for run in runs[kind]
        ]
        or [SimData(0, values=[False], datatype=DataType.BITS)]
        for kind in ("coil", "discrete_input")
    }
    return SimDevice(
        id=device.unit,
        simdata=(
            bits["coil"],
            bits["discrete_input"],
            registers["holding_register"],
            registers["input_register"],
        ),
        action=_action(device),
    )


def _action(
    device: VirtualDevice,
) -> Callable[
    [int, int, int, int, list[int], list[int] | list[bool] | None],
    Coroutine[None, None, ExcCodes | None],
]:
    async def action(
        function: int,
        start: int,
        address: int,
        count: int,
        registers: list[int],
        values: list[int] | list[bool] | None,
    ) -> ExcCodes | None:
        kind = FUNCTIONS[function].object_type
        if values is not None:
            device.store(kind, address, values)
        if kind in {"holding_register", "input_register"}:
            offset = address - start
            registers[offset : offset + count] = device.fetch(kind, address, count)
        else:
            # Bits are kept sixteen a register, the lowest first; start and count are in registers.
            first = address // 16
            for word in range(first, first + count):
                stored = device.fetch(kind, word * 16, 16)
                registers[word - start] = sum(bit << place for place, bit in enumerate(stored))
        return None

    return action


# -- A connection ---------------------------------------------------------------------------------


class _Handler(ServerRequestHandler):
    """One connection; over UDP and on a serial line, all there is."""

    def __init__(self, served: Served, owner: Any) -> None:
        super().__init__(owner, None, None, None)  # type: ignore[no-untyped-call]  # pymodbus'
        self.max_buffer_size = _BUFFERED
        self._served = served
        self._waiting: asyncio.Queue[tuple[ModbusPDU, Any]] = asyncio.Queue(_WAITING)
        self._worker = asyncio.create_task(self._work(), name="modbus-connection")
        served.handlers.add(self)

    # pymodbus calls these.

    def callback_data(self, data: bytes, addr: Any = None) -> int:
        """Take all whole requests of `data`; tell how much of it was used."""
        used = 0
        while used < len(data):
            rest = data[used:]
            if self._served.headed and not _is_header(rest):
                # Nothing says where the next frame begins.
                if self._served.connected:
                    self.transport.close()
                return len(data)
            try:
                step = TransactionManager.callback_data(self, rest, addr)
            except ModbusException:
                step = self._answer_malformed(rest, addr)
            if self.last_pdu is not None:
                with contextlib.suppress(asyncio.QueueFull):
                    self._waiting.put_nowait((self.last_pdu, addr))
            if not step:
                break
            used += step
        return used

    def connection_made(self, transport: Any) -> None:
        """Serve, unless the server has ended meanwhile."""
        super().connection_made(transport)
        if self._served.ended:
            transport.abort()

    def datagram_received(self, data: bytes, addr: Any) -> None:
        """Take what came; asyncio and pymodbus call it for streams, too."""
        if addr is not None:
            self.recv_buffer = b""  # a datagram is whole, and never the rest of another
        super().datagram_received(data, addr)

    def callback_disconnected(self, exc: Exception | None) -> None:
        """Stop answering."""
        super().callback_disconnected(exc)
        self._leave()

    def _leave(self) -> None:
        self._worker.cancel()
        self._served.handlers.discard(self)

    # What the server calls.

    def reset(self) -> None:
        """End the connection as a crashing device would."""
        transport: Any = self.transport
        if transport is not None and self._served.connected:
            # Nothing is sent any more, and the peer gets a reset.
            linger = struct.pack("ii", 1, 0)
            sock = transport.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            transport.abort()

    async def ended(self) -> None:
        """Return when no request is being answered any more."""
        self._leave()
        await asyncio.wait([self._worker])

    # The answers.

    async def _work(self) -> None:
        while True:
            pdu, addr = await self._waiting.get()
            try:
                await self._answer(pdu, addr)
            except Exception as error:  # noqa: BLE001 - the next request is another matter
                _log.error("a request could not be answered: %r", error)
                if (device := self._served.devices.get(pdu.dev_id)) is not None:
                    device.failures.append(error)
                self._send(
                    _exception(pdu.function_code, _DEVICE_FAILURE, pdu.dev_id, pdu.transaction_id),
                    addr,
                )

    def _answer_malformed(self, data: bytes, addr: Any) -> int:
        """Refuse what is framed well and makes no sense."""
        step, unit, transaction, payload = self.framer.decode(data)
        if unit in self._served.devices and payload:
            code = 3 if payload[0] in FUNCTIONS else 1
            self._send(_exception(payload[0], code, unit, transaction), addr)
        return step or len(data)

    async def _answer(self, pdu: ModbusPDU, addr: Any) -> None:
        if pdu.dev_id == 0 and self._served.serial:
            # A broadcast: for all, and nobody answers.
            for unit in self._served.devices:
                await self._carry_out(pdu, unit)
            return
        device = self._served.devices.get(pdu.dev_id)
        if device is None:
            if not self._served.serial:
                code = ExcCodes.GATEWAY_NO_RESPONSE
                self._send(
                    _exception(pdu.function_code, code, pdu.dev_id, pdu.transaction_id), addr
                )
            return
        response, faults = await self._carry_out(pdu, pdu.dev_id)
        kinds = {type(fault): fault for fault in faults}
        if isinstance(delay := kinds.get(Delay), Delay):
            await asyncio.sleep(delay.seconds)
        if Silence in kinds:
            return
        response.dev_id, response.transaction_id = pdu.dev_id, pdu.transaction_id
        ends = Close in kinds or Reset in kinds
        if not ends or Cut in kinds or Garbage in kinds:
            self._send(response, addr, kinds)
        if Reset in kinds:
            self.reset()
        elif Close in kinds and self._served.connected:
            self.transport.close()

    async def _carry_out(self, pdu: ModbusPDU, unit: int) -> tuple[ModbusPDU, tuple[Fault, ...]]:
        device = self._served.devices[unit]
        address, count, values, also = _meaning(pdu)
        request, faults = device.admit(
            pdu.function_code, address, count, values, also_read=also, plan=self._served.plan
        )
        if request.refused is not None:
            return ExceptionResponse(pdu.function_code, request.refused), faults
        if any(isinstance(each, Silence) and each.deaf for each in faults):
            return ExceptionResponse(pdu.function_code, ExcCodes.DEVICE_FAILURE), faults
        context: Any = self.server.context
        return await pdu.datastore_update(context, unit), faults

    def _send(
        self, response: ModbusPDU, addr: Any, faults: Mapping[type[Fault], Fault] | None = None
    ) -> None:
        faults = faults or {}
        if isinstance(count := faults.get(WrongCount), WrongCount):
            _recount(response, count.count)
        if isinstance(unit := faults.get(WrongUnit), WrongUnit):
            response.dev_id = (response.dev_id + 1) % 248 if unit.unit is None else unit.unit
        if isinstance(other := faults.get(WrongTransaction), WrongTransaction):
            response.transaction_id = (response.transaction_id + other.offset) % 0x10000
        frame = bytearray(self.framer.buildFrame(response))
        if isinstance(garbage := faults.get(Garbage), Garbage):
            frame = bytearray(garbage.data)
        if isinstance(corrupt := faults.get(Corrupt), Corrupt):
            place = max(-len(frame), min(corrupt.index, len(frame) - 1))
            frame[place] ^= 0xFF
        if isinstance(cut := faults.get(Cut), Cut):
            frame = frame[: cut.keep]
        transport: Any = self.transport
        if transport is None or not frame:
            return
        # Not by pymodbus' own method, which forgets what else has arrived meanwhile.
        if addr is not None:
            transport.sendto(bytes(frame), addr=addr)
        else:
            transport.write(bytes(frame))


def _is_header(data: bytes) -> bool:
    """Whether it may begin with a header of Modbus/TCP, as far as it has come."""
    length = int.from_bytes(data[4:6], "big")
    return not any(data[2:4]) and (len(data) < 6 or 2 <= length <= 254)


def _exception(function: int, code: int, unit: int, transaction: int) -> ExceptionResponse:
    return ExceptionResponse(function & 0x7F, code, device_id=unit, transaction=transaction)


def _meaning(pdu: ModbusPDU) -> tuple[int, int, Sequence[int] | None, range | None]:
    """Address, count, values to write and addresses read besides, of a request."""
    function = FUNCTIONS.get(pdu.function_code)
    asked: Any = pdu
    if function is None:
        return 0, 0, None, None
    if pdu.function_code == 23:
        reads = range(asked.read_address, asked.read_address + asked.read_count)
        values = list(asked.write_registers)
        return asked.write_address, asked.write_count, values, reads
    if pdu.function_code == 22:
        return pdu.address, 1, (asked.and_mask, asked.or_mask), None
    if not function.writes:
        return pdu.address, pdu.count, None, None
    values = [int(each) for each in (pdu.bits if function.object_type == "coil" else pdu.registers)]
    return pdu.address, len(values), values, None


def _recount(response: ModbusPDU, count: int) -> None:
    """Give a read's answer another number of values; refusals and answers to writes have none."""
    if response.function_code not in _READS:
        return
    if response.registers:
        response.registers = (list(response.registers) + [0] * count)[:count]
    elif response.bits:
        response.bits = (list(response.bits) + [False] * count)[:count]
