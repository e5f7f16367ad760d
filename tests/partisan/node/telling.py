# SPDX-License-Identifier: Apache-2.0
"""What tests of events have in common: a quick poller, and a propagator that carries a word."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import sniffio

from heliograph import Propagator
from heliograph.partisan import Node
from heliograph.poller import Poller


@asynccontextmanager
async def polling(*nodes: Node) -> AsyncIterator[None]:
    """Poll nodes every 20 milliseconds, in whichever way the event loop allows."""
    poller = Poller(0.02)
    for node in nodes:
        node.poll_with(poller)
    if sniffio.current_async_library() == "asyncio":
        async with poller:
            yield
    else:
        with poller:
            yield


class Carrying(Propagator):
    """Carries one word."""

    def __init__(self) -> None:
        self.extracted: list[Mapping[str, str]] = []

    def inject(self, carrier: Any) -> None:
        carrier["traceparent"] = "00-word"

    def extract(self, carrier: Mapping[str, str]) -> Any:
        self.extracted.append(carrier)
        return super().extract(carrier)
