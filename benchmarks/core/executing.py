# SPDX-License-Identifier: Apache-2.0
"""`execute` with no, one and ten handlers, and the guard that builds nothing for nobody."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import repeat
from typing import TYPE_CHECKING, Any

import blinker

from benchmarks.harness import Case, Rival
from heliograph import EMPTY, Telemetry

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.harness import Side

Payload = Mapping[str, Any]


def ignore(event: str, measurements: Payload, metadata: Payload, config: Any) -> None:
    """Take what a handler takes, and do nothing."""


TABLE: dict[str, tuple[tuple[Callable[..., object], Any], ...]] = {}


def floor(event: str, measurements: Payload, metadata: Payload = EMPTY) -> None:
    """Do the least one could: one look-up and, for each handler, one call inside `try`."""
    handlers = TABLE.get(event)
    if handlers:
        for handler, config in handlers:
            try:
                handler(event, measurements, metadata, config)
            except Exception:
                pass


def calling(execute: Callable[..., None], event: str) -> Side:
    """Execute with a payload that is there already: what is measured is the dispatch."""
    measurements, metadata = {"count": 1}, {"who": "x"}

    def side(times: int) -> None:
        for _ in repeat(None, times):
            execute(event, measurements, metadata)

    return side


def sending(signal: blinker.Signal) -> Side:
    """Send the same payload with blinker, without a sender, which is its fastest way."""
    measurements, metadata = {"count": 1}, {"who": "x"}
    send = signal.send

    def side(times: int) -> None:
        for _ in repeat(None, times):
            send(measurements=measurements, metadata=metadata)

    return side


def signal(receivers: int) -> blinker.Signal:
    """Make a signal with so many receivers that do nothing."""
    made = blinker.Signal()
    for _ in range(receivers):

        def receive(sender: object, **payload: object) -> None:
            """Be an object of its own: blinker calls one only once."""

        made.connect(receive, weak=False)
    return made


class Socket:
    """What a component knows of a connection when it sends a frame."""

    def __init__(self) -> None:
        self.node = "sender@127.0.0.1"
        self.peer = "receiver@127.0.0.1"
        self.channel = "default"
        self.frame = b"frame" * 20


def cases() -> Iterator[Case]:
    """Give the cases of dispatching and of the guard."""
    telemetry = Telemetry()
    for count, bar, blinker_bar in ((0, 1.10, 0.30), (1, 1.15, 0.12), (10, 1.15, 0.08)):
        event = f"benchmark.handlers{count}"
        for number in range(count):
            telemetry.attach((event, number), event, ignore)
        if count:
            TABLE[event] = ((ignore, None),) * count
        plural = "s" if count > 1 else ""
        yield Case(
            f"execute, {count or 'no'} handler{plural}",
            calling(telemetry.execute, event),
            [
                Rival("floor", calling(floor, event), bar),
                Rival(
                    f"blinker, {count or 'no'} receiver{plural}",
                    sending(signal(count)),
                    blinker_bar,
                ),
            ],
            times=80_000 // (1 + count),
        )

    sent = telemetry.event("partisan.socket.send")
    socket = Socket()
    execute = telemetry.execute

    def guarded(times: int) -> None:
        for _ in repeat(None, times):
            if sent.handlers:
                sent.execute(
                    {"count": 1, "bytes": len(socket.frame)},
                    {"node": socket.node, "peer": socket.peer, "channel": socket.channel},
                )

    def built(times: int) -> None:
        for _ in repeat(None, times):
            execute(
                "partisan.socket.send",
                {"count": 1, "bytes": len(socket.frame)},
                {"node": socket.node, "peer": socket.peer, "channel": socket.channel},
            )

    yield Case(
        "guard around an unbuilt payload",
        guarded,
        [Rival("execute, built payload", built, 0.10)],
        times=40_000,
    )
