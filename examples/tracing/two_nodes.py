# SPDX-License-Identifier: Apache-2.0
"""Tracing across nodes: a shop takes an order, a warehouse packs it, and all is one trace.

Each is a process and exports, to OTEL_EXPORTER_OTLP_ENDPOINT or else to this machine's collector.
`heliograph collect` in another terminal shows the trace as a tree:

    pip install "heliograph[cli,cluster,otel]"
    heliograph collect
    python two_nodes.py

    orders.take                           shop
    └─ partisan.message.send              shop
       └─ partisan.message.process        warehouse
          └─ orders.pack                  warehouse
"""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import PIPE
from pathlib import Path

from heliograph import otel, span
from heliograph.catalog import load
from heliograph.partisan import Node

CATALOG = load(Path(__file__).with_name("orders.yaml"), "partisan")


async def shop() -> None:
    """Start the warehouse, take an order, and have it packed."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, __file__, "warehouse", stdout=PIPE
    )
    assert process.stdout is not None
    address = (await process.stdout.readline()).decode().strip()
    async with Node("shop@127.0.0.1", trace=True) as node:
        await node.sync_join("warehouse@127.0.0.1", address)
        with span("orders.take", {"article": "tea"}):
            packed = await node.request("warehouse@127.0.0.1", "orders", b"tea", deadline=5.0)
        print("packed:", packed.decode())
        await process.wait()


async def warehouse() -> None:
    """Pack one order."""
    async with Node("warehouse@127.0.0.1", trace=True) as node:
        orders = node.register("orders")
        print(*node.listen_addrs, flush=True)
        async with orders.processing() as request:
            with span("orders.pack", {"article": request.message.decode()}):
                await asyncio.sleep(0.02)
            request.reply(b"a parcel of " + request.message)


if __name__ == "__main__":
    service, work = ("warehouse", warehouse) if sys.argv[1:] else ("shop", shop)
    with otel.configure(service_name=service, catalogs=CATALOG, signals=["traces"]):
        asyncio.run(work())
