# SPDX-License-Identifier: Apache-2.0
"""The demo with a page."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

from heliograph.apps.demo.demo import Demo
from heliograph.apps.demo.web.catalogs import declared
from heliograph.apps.demo.web.server import WebServer
from heliograph.apps.demo.web.viewer import PageViewer
from heliograph.catalog import CatalogError, load

if TYPE_CHECKING:
    from collections.abc import Callable

    from heliograph.apps.collect import Batch
    from heliograph.apps.collect.receiver import Address

__all__ = ["play_with_page"]

_OURS: Final = ("gateway", "heliograph", "modboss", "partisan")
# Seconds between two looks at the gateways' tallies, which are files; our choice.
_TALLY: Final = 1.0


async def play_with_page(
    seconds: float,
    endpoint: str | None,
    listen: Address,
    *,
    say: Callable[[str], object] = lambda _: None,
    show: Callable[[Demo], object] = lambda _: None,
    told: Callable[[str], object] = lambda _: None,
) -> tuple[Demo, bool]:
    """Play the demo and show it on a page, too; return it, and whether its promises were kept.

    Args:
        seconds: As for `Demo`.
        endpoint: As for `Demo`.
        listen: Where the page is served.
        say: As for `Demo`.
        show: As for `Demo`.
        told: Called with a sentence about where the page is.

    Raises:
        OSError: Nothing can listen there, or a process cannot be started.
        RuntimeError: As `Demo.run`.
    """
    viewer = PageViewer()
    server = WebServer(viewer.feed, _catalogs(), listen)
    counted = 0.0

    def both_say(text: str) -> None:
        viewer.say(text, made.elapsed)
        say(text)

    def both_show(now: Demo) -> None:
        nonlocal counted
        viewer.due(time.monotonic())
        if now.elapsed >= counted + _TALLY:
            counted = now.elapsed
            viewer.count(now.tallied())
        viewer.show(now)
        server.wake()
        show(now)

    def take(batch: Batch) -> None:
        viewer.take(batch, time.monotonic())

    made = Demo(seconds, endpoint=endpoint, say=both_say, show=both_show, arrived=take)
    async with server:
        made.page = server.url
        told(f"A page is at {server.url}")
        if not listen.loopback:
            told("Whoever reaches this machine can read it")
        kept = await made.run()
        viewer.due(float("inf"))
        viewer.count(made.counts)
        viewer.show(made, kept=kept)
    return made, kept


def _catalogs() -> dict[str, Any]:
    """All installed catalogs; if one of them is wrong, ours, and what is wrong."""
    try:
        return {**declared(load()), "faults": []}
    except CatalogError as error:
        return {**declared(load(*_OURS)), "faults": [str(each) for each in error.faults]}
