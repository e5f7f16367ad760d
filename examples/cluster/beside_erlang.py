# SPDX-License-Identifier: Apache-2.0
"""A Python node in an Erlang cluster: it joins, asks, is told when what it asked ends, and leaves.

The other side is an Erlang node with Partisan 5, configured for example by

    {partisan, [{name, 'n1@127.0.0.1'}, {listen_addrs, ["127.0.0.1:10200"]}]}

on which `partisan_gen_server:start({local, doubler}, ...)` has started a server that has

    handle_call(Number, _From, State) -> {reply, Number * 2, State}.
    handle_info(stop, State) -> {stop, normal, State}.

Without Erlang at hand, `--serve` in another terminal is such a node in Python.

    pip install "heliograph[cluster]"
    python beside_erlang.py --serve
    python beside_erlang.py n1@127.0.0.1 127.0.0.1:10200
"""

from __future__ import annotations

import asyncio
import sys

from heliograph.partisan import Atom, Node


async def join(name: str, address: str) -> None:
    """Join the cluster of a node, and work with what runs there."""
    async with Node("py1@127.0.0.1") as node:
        await node.sync_join(name, address)
        print("members:", *(member.name for member in node.members()))

        print("21 doubled:", await node.request(name, "doubler", 21, deadline=5.0))

        monitor = node.monitor(name, "doubler")
        await node.send(name, "doubler", Atom("stop"), ack=True)
        print("doubler has ended:", await monitor.down())

        await node.leave()


async def serve(address: str = "127.0.0.1:10200") -> None:
    """Stand for the Erlang node."""
    async with Node("n1@127.0.0.1", listen=address) as node:
        doubler = node.register("doubler")
        print("listening at", *node.listen_addrs, flush=True)
        async for message in doubler:
            if message == "stop":
                break
            message.reply(message.message * 2)
        doubler.close()
        with node.changes() as changes:
            async for change in changes:
                if change.kind == "down":
                    break


if __name__ == "__main__":
    if sys.argv[1] == "--serve":
        asyncio.run(serve(*sys.argv[2:]))
    else:
        asyncio.run(join(*sys.argv[1:3]))
