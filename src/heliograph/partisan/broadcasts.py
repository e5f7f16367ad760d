# SPDX-License-Identifier: Apache-2.0
"""Broadcasts as applications see them: names, inboxes, and handlers of their own."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any, Final

import anyio

from heliograph.partisan.channels import DEFAULT_CHANNEL
from heliograph.partisan.errors import NameTakenError, UnknownHandlerError
from heliograph.partisan.inbox import Inbox
from heliograph.partisan.protocol import inputs
from heliograph.partisan.protocol.broadcasting import Heartbeats, MessageCache
from heliograph.partisan.templates import checked
from heliograph.partisan.wire import Atom

if TYPE_CHECKING:
    from heliograph.partisan.driver import Driver
    from heliograph.partisan.inbox import Overflow
    from heliograph.partisan.limits import Limits
    from heliograph.partisan.link import Link
    from heliograph.partisan.protocol.broadcasting import BroadcastHandler
    from heliograph.partisan.telling import Teller
    from heliograph.partisan.wire import Term

__all__ = ["Broadcasts"]

_HEARTBEATS: Final = Atom("partisan_plumtree_backend")
_PATIENCE: Final = 1.0
"""Seconds that a broadcast waits for neighbors that do not keep up; our choice, the lazy tick."""


class Broadcasts:
    """The broadcasts of one node.

    Args:
        name: The node's name.
        limits: Bounds.
        teller: Tells of messages that are lost.
    """

    driver: Driver

    def __init__(self, name: Atom, limits: Limits, teller: Teller) -> None:
        self.name = name
        self._limits = limits
        self._teller = teller
        self._handlers: dict[Atom, BroadcastHandler] = {_HEARTBEATS: Heartbeats()}
        self._inboxes: list[Inbox] = []
        self._numbers = itertools.count()
        self._run = b""

    def begin(self, driver: Driver) -> None:
        """Take part from now on: the node runs."""
        self.driver = driver
        self._run = driver.core.identity.incarnation.to_bytes(6, "big")
        for name, handler in self._handlers.items():
            driver.do(inputs.AddHandler(name, handler))

    def add(self, name: str, handler: BroadcastHandler) -> None:
        """Take part in a handler's broadcasts; see `Node.handle_broadcasts`."""
        atom = Atom(name)
        if atom in self._handlers:
            raise NameTakenError(f"{self.name} has a handler of broadcasts {name!r} already")
        self._handlers[atom] = handler
        if hasattr(self, "driver") and not self.driver.stopped:
            self.driver.do(inputs.AddHandler(atom, handler))

    def subscribe(
        self, name: str, channel: str | None, capacity: int | None, overflow: Overflow
    ) -> Inbox:
        """Take part in simple broadcasts; see `Node.subscribe`."""
        inbox = Inbox(
            name,
            node=self.name,
            capacity=self._limits.inbox if capacity is None else capacity,
            overflow=overflow,
            on_drop=self._dropped,
            on_close=self._closed,
        )

        def deliver(payload: Term) -> None:
            if not inbox.closed:
                inbox._put(payload)

        cache = MessageCache(deliver, self._new_id, channel=Atom(channel or DEFAULT_CHANNEL))
        self.add(name, cache)
        self._inboxes.append(inbox)
        return inbox

    def _new_id(self) -> bytes:
        """Return the run of this node, which no other has, and a number."""
        return self._run + next(self._numbers).to_bytes(8, "big")

    def _dropped(self, name: str, count: int) -> None:
        self._teller.dropped("inbox_full", count, target=name)

    def _closed(self, inbox: Inbox) -> None:
        # The node still passes on what others broadcast.
        self._inboxes.remove(inbox)

    async def broadcast(self, name: str, message: Any) -> None:
        """Broadcast something; see `Node.broadcast`."""
        atom = Atom(name)
        if atom not in self._handlers:
            raise UnknownHandlerError(
                f"{self.name} takes no part in broadcasts {name!r}: subscribe to them, or add a "
                "handler of this name"
            )
        handler = self._handlers[atom]
        if isinstance(handler, MessageCache):  # others make terms of what they are given
            checked(message, self._limits.frame)
        with anyio.move_on_after(_PATIENCE):
            while (link := self._slow(handler.channel)) is not None:
                await link.room()
        self.driver.do(inputs.Broadcast(atom, message))

    def _slow(self, channel: Atom) -> Link | None:
        """Return a connection to a neighbor that does not keep up; None if there is none."""
        core, links = self.driver.core, self.driver.links
        for peer in core.trees.plumtree.eager(self.name):
            for number in core.route(peer, channel)[:1]:
                link = links.get(number)
                if link is not None and link.unsent >= self.driver.max_unsent:
                    return link
        return None

    def hold(self, link: Link) -> None:
        """Read no more of a connection while an inbox is full that it brings messages for."""
        for inbox in self._inboxes:
            if inbox._full:
                link.hold_for(inbox)
