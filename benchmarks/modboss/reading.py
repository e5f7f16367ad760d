# SPDX-License-Identifier: Apache-2.0
"""Reads by name, over the pymodbus calls that fetch the same registers.

Both sides are on one loop, with a connection each to the same device, which is a process of its
own. A raw call gives registers; ours gives values by name, decoded. The device answers as fast as
Python can; where it is said it is a virtual device, which is pymodbus' server with a schema.

By hand means what `benchmarks.otel` means by it: two nested spans and nine observations, here
around the raw call. Exporters discard.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import repeat
from time import monotonic_ns
from typing import TYPE_CHECKING, Any

import uvloop
from opentelemetry.trace import SpanKind
from pymodbus.client import AsyncModbusTcpClient

import heliograph
from benchmarks.harness import Case, Rival, Row, measure
from benchmarks.modboss.server import serving
from benchmarks.otel import metrics
from benchmarks.otel.spans import attach, own_spans
from benchmarks.otel.yardstick import SCOPE, Instruments, Read, tracer_provider
from heliograph.catalog import load
from heliograph.metrics import Aggregate, from_catalog
from heliograph.modboss import AsyncDevice, Schema, Tcp
from heliograph.otel.metrics import sampled_span

if TYPE_CHECKING:
    from benchmarks.harness import Effort, Side

__all__ = ["rows"]

# (on asyncio, on uvloop) of the nobody-listening and of the exporting cases.
BARS = {"1 mapping": (1.07, 1.25), "50 mappings": (1.10, 1.25)}
# A prototype on uvloop reached 1.05 and 1.16, and 1.4 with the bridge.
UVLOOP_BARS = {"1 mapping": (1.05, 1.40), "50 mappings": (1.16, 1.40)}


def registers(number: int) -> type[Schema]:
    """A schema of so many neighbours."""
    return Schema.from_mappings(
        "Registers",
        [
            {
                "name": f"register_{address}",
                "type": "holding_register",
                "address": address,
                "codec": "unsigned_int",
            }
            for address in range(number)
        ],
    )


class Peers:
    """The sides, on one loop and against one device."""

    def __init__(self, loop: asyncio.AbstractEventLoop, port: int, schema: type[Schema]) -> None:
        self._loop = loop
        self.raw = loop.run_until_complete(self._connected(port))
        self.device = AsyncDevice(schema, Tcp("127.0.0.1", port))

    @staticmethod
    async def _connected(port: int) -> AsyncModbusTcpClient:
        client = AsyncModbusTcpClient("127.0.0.1", port=port)
        assert await client.connect()
        return client

    def repeated(self, call: Callable[[], Awaitable[object]]) -> Side:
        """A side of one coroutine function, awaited again and again in one task."""

        async def calls(times: int) -> None:
            for _ in repeat(None, times):
                await call()

        return lambda times: self._loop.run_until_complete(calls(times))

    def block(self, count: int) -> Callable[[], Awaitable[object]]:
        """The raw call of a block."""
        return lambda: self.raw.read_holding_registers(0, count=count, device_id=1)

    def close(self) -> None:
        self.raw.close()
        self._loop.run_until_complete(self.device.close())


@contextmanager
def peers(loop: asyncio.AbstractEventLoop, port: int, schema: type[Schema]) -> Iterator[Peers]:
    found = Peers(loop, port, schema)
    try:
        yield found
    finally:
        found.close()


@contextmanager
def exporting() -> Iterator[None]:
    """What `heliograph.otel.configure` attaches, to an exporter that discards."""
    catalog = load("modboss")
    telemetry = heliograph.default()
    spans = own_spans(catalog, telemetry)
    aggregate = Aggregate(from_catalog(catalog), telemetry=telemetry, exemplar=sampled_span())
    before = {info.handler_id for info in heliograph.list_handlers()}
    attach(catalog, spans, aggregate)
    try:
        yield
    finally:
        for attached in {info.handler_id for info in heliograph.list_handlers()} - before:
            heliograph.detach(attached)


class ByHand:
    """The raw call with spans and observations, written by hand."""

    def __init__(self, call: Callable[[], Awaitable[Any]], names: list[str]) -> None:
        self._call = call
        self._read = Read(names=names, start=0, addresses=len(names), gaps=0, largest_gap=0)
        self._start = tracer_provider().get_tracer(*SCOPE).start_as_current_span
        self._on = Instruments(metrics.provider().get_meter(*SCOPE))

    async def read(self) -> object:
        """Read, make the spans, and observe the read."""
        read, on = self._read, self._on
        names = [*read.names]
        server: Any = {
            "server.address": "127.0.0.1",
            "server.port": 502,
            "network.transport": "tcp",
            "network.protocol.name": "modbus",
            "modbus.unit.id": 1,
        }
        began = monotonic_ns()
        with self._start(
            "modboss.read",
            kind=SpanKind.CLIENT,
            attributes={"modboss.schema": read.schema, "modboss.names": names, **server},
            record_exception=False,
        ) as reading:
            kind = {"modboss.schema": read.schema, "modbus.object.type": read.object_type}
            requested = monotonic_ns()
            with self._start(
                "modboss.read_callback",
                kind=SpanKind.CLIENT,
                attributes={
                    "modboss.schema": read.schema,
                    "modboss.names": names,
                    "modbus.object.type": read.object_type,
                    "modbus.address.start": read.start,
                    "modbus.address.count": read.addresses,
                    "modboss.attempt.number": 1,
                    "modboss.attempt.limit": 3,
                    "modbus.function.code": 3,
                    "modbus.function.name": "read_holding_registers",
                    **server,
                },
                record_exception=False,
            ) as request:
                on.requests.add(1, kind)
                result = await self._call()
                request.set_attributes(
                    {
                        "modboss.gap.address.count": read.gaps,
                        "modboss.gap.largest": read.largest_gap,
                    }
                )
                on.request.record((monotonic_ns() - requested) / 1e9, kind)
            reading.set_attributes(
                {
                    "modboss.batch.count": 1,
                    "modboss.attempt.count": 1,
                    "modboss.object.count": len(names),
                    "modboss.address.count": read.addresses,
                    "modboss.gap.address.count": read.gaps,
                    "modboss.gap.largest": read.largest_gap,
                }
            )
            on.ended(read, monotonic_ns() - began, None)
        return result


def rows(effort: Effort) -> Iterator[Row]:
    """Measure reads on asyncio, then on uvloop."""
    for name, make, bars, virtual in (
        ("", asyncio.new_event_loop, BARS, False),
        (", virtual device", asyncio.new_event_loop, BARS, True),
        (", uvloop", uvloop.new_event_loop, UVLOOP_BARS, False),
    ):
        with ExitStack() as stack:
            [port] = stack.enter_context(serving(virtual=virtual))
            loop = make()
            stack.callback(loop.close)
            side = stack.enter_context(peers(loop, port, registers(50)))
            yield from blocks(name, side, bars, effort)
    with ExitStack() as stack:
        [port] = stack.enter_context(serving())
        loop = asyncio.new_event_loop()
        stack.callback(loop.close)
        yield from scattered(stack.enter_context(peers(loop, port, registers(2000))), effort)


def blocks(
    name: str, side: Peers, bars: dict[str, tuple[float, float]], effort: Effort
) -> Iterator[Row]:
    """One mapping, and fifty neighbours."""
    wanted: dict[str, Any] = {
        "1 mapping": "register_0",
        "50 mappings": [f"register_{address}" for address in range(50)],
    }
    raw = {"1 mapping": side.block(1), "50 mappings": side.block(50)}
    ours: dict[str, Callable[[], Awaitable[object]]] = {
        what: lambda names=names: side.device.read(names)  # type: ignore[misc]  # bound now
        for what, names in wanted.items()
    }
    for what, (alone, _) in bars.items():
        rival = Rival("the raw call", side.repeated(raw[what]), alone)
        case = Case(f"{what}{name}", side.repeated(ours[what]), [rival], times=200)
        yield from measure(case, effort)
    with exporting():
        for what, (_, exported) in bars.items():
            names = wanted[what]
            hand = ByHand(raw[what], [names] if isinstance(names, str) else names)
            rivals = [
                Rival("the raw call", side.repeated(raw[what]), exported),
                Rival("it and OpenTelemetry by hand", side.repeated(hand.read), 1.0),
            ]
            case = Case(f"{what}, exporting{name}", side.repeated(ours[what]), rivals, times=200)
            yield from measure(case, effort)


def scattered(side: Peers, effort: Effort) -> Iterator[Row]:
    """Two hundred mappings with gaps of up to eight between them."""
    gaps = random.Random(8)
    addresses, address = [], 0
    for _ in range(200):
        addresses.append(address)
        address += 1 + gaps.randint(0, 8)
    names = tuple(f"register_{each}" for each in addresses)

    async def one_by_one() -> None:
        for each in addresses:
            await side.raw.read_holding_registers(each, count=1, device_id=1)

    read = side.repeated(lambda: side.device.read(names, max_gap=8))
    requests: list[str] = []
    with _counting(requests):
        read(1)
    case = "200 scattered mappings, requests"
    yield Row(case, len(requests), "a raw call each", 200, len(requests) / 200, 1 / 20, "")
    rival = Rival("a raw call each", side.repeated(one_by_one), 1 / 10)
    yield from measure(Case("200 scattered mappings", read, [rival], times=4), effort)


@contextmanager
def _counting(requests: list[str]) -> Iterator[None]:
    heliograph.attach(
        "requests", "modboss.read_callback.start", lambda name, *_: requests.append(name)
    )
    try:
        yield
    finally:
        heliograph.detach("requests")
