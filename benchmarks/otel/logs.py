# SPDX-License-Identifier: Apache-2.0
"""Log events: what one costs, over a hand-written `emit` of the same.

Measured is one `execute` with mappings made anew, the bridge, and the queue with its worker; by
hand one `emit` with attributes made anew and the SDK's batch processor. Exporters discard.
"""

from __future__ import annotations

from itertools import repeat
from time import time_ns
from typing import TYPE_CHECKING

from opentelemetry._logs import SeverityNumber
from opentelemetry.sdk.resources import Resource

from benchmarks.harness import Case, Rival
from benchmarks.otel.spans import own_queue
from benchmarks.otel.yardstick import logger_provider
from heliograph import Telemetry
from heliograph.catalog import load
from heliograph.otel.logs import LogBridge, OwnLogging

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from opentelemetry._logs import Logger

__all__ = ["EVENT", "Emitted", "LogByHand", "cases"]

EVENT = "partisan.membership.peer.join"
NODE, PEER, ADDRESSES = "n1@127.0.0.1", "n2@127.0.0.1", ("127.0.0.1:10200",)


class Emitted:
    """A node joins, as a library instrumented for heliograph says it."""

    def __init__(self, telemetry: Telemetry) -> None:
        self._joined = telemetry.event(EVENT)

    def join(self, node: str, peer: str, addresses: Sequence[str]) -> None:
        """Say it."""
        self._joined.execute(
            {"count": 1}, {"node": node, "name": peer, "listen_addrs": [*addresses]}
        )

    def side(self, times: int) -> None:
        for _ in repeat(None, times):
            self.join(NODE, PEER, ADDRESSES)


class LogByHand:
    """A node joins, said by a log event of OpenTelemetry."""

    def __init__(self, logger: Logger) -> None:
        self._emit = logger.emit

    def join(self, node: str, peer: str, addresses: Sequence[str]) -> None:
        """Say it."""
        now = time_ns()
        self._emit(
            timestamp=now,
            observed_timestamp=now,
            severity_number=SeverityNumber.INFO,
            severity_text="INFO",
            attributes={
                "partisan.node.name": node,
                "partisan.peer.name": peer,
                "partisan.peer.listen_addrs": [*addresses],
            },
            event_name=EVENT,
        )

    def side(self, times: int) -> None:
        for _ in repeat(None, times):
            self.join(NODE, PEER, ADDRESSES)


def cases() -> Iterator[Case]:
    """What is measured here."""
    catalog = load("partisan")
    telemetry = Telemetry()
    own = OwnLogging(Resource.create(), own_queue("logs"))
    LogBridge(catalog, own=own, telemetry=telemetry).attach()
    by_hand = LogByHand(logger_provider().get_logger("partisan", "1.0.0")).side
    rivals = [Rival("emit by hand", by_hand, 0.5)]
    yield Case("log event: configure", Emitted(telemetry).side, rivals, times=500)
