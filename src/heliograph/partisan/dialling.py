# SPDX-License-Identifier: Apache-2.0
"""Dials: how they begin, how they end, and how they are given up without harm to whom they reach.

An Erlang node that accepts a connection whose other end has hung up by then, and has sent nothing,
ends its listener, and with it every connection that it has accepted from anybody; twice within five
seconds, and all that listens there begins anew. So nobody is hung up on between the dial and the
greeting: a dial that is wanted no more goes on until the peer has said something. Whoever says
nothing for a moment hears this node's hello first, and something was sent.
"""

from __future__ import annotations

import ssl
from functools import partial
from typing import TYPE_CHECKING, Final

import anyio

from heliograph.partisan.link import Link
from heliograph.partisan.protocol import inputs
from heliograph.partisan.templates import framed
from heliograph.partisan.wire import Atom, encode
from heliograph.partisan.wire.messages import ClientHello

if TYPE_CHECKING:
    from collections.abc import Callable

    from heliograph.partisan.driver import Driver
    from heliograph.partisan.entrance import Entrance
    from heliograph.partisan.faults import Faults
    from heliograph.partisan.loops import Timer
    from heliograph.partisan.protocol import effects
    from heliograph.partisan.telling import Teller

__all__ = ["Dialler"]

_PATIENCE: Final = 500_000_000
"""Nanoseconds until a dial that is wanted no more has to be through, and again until the peer has
to have said something; our choice. Who listens is through in a fraction of that."""
_FAILURES: Final = 1_024
"""Peers whose last failure is remembered; our choice."""


class Dialler:
    """The dials of one node.

    Args:
        driver: The node's driver.
        entrance: Who may be dialled.
        faults: Whom a script of faults keeps apart, or None.
        teller: Tells how each has ended.

    Attributes:
        context: What connections are encrypted with, or None.
        failures: Why the last dial of a peer failed; also what else keeps it away.
    """

    def __init__(
        self, driver: Driver, entrance: Entrance, faults: Faults | None, teller: Teller
    ) -> None:
        self._driver = driver
        self._entrance = entrance
        self._faults = faults
        self._teller = teller
        self.context: ssl.SSLContext | None = None
        self.failures: dict[str, object] = {}
        self._dials: dict[int, anyio.CancelScope] = {}
        self._greeting: dict[int, int] = {}  # since when the peer's state is waited for
        self._unwanted: dict[int, Link] = {}  # those that wait for a word before they are closed
        self._timers: dict[int, Timer] = {}
        self._hasty = False

    @property
    def under_way(self) -> int:
        """How many dials wait for the peer's state."""
        return len(self._greeting)

    @property
    def idle(self) -> bool:
        """Whether no dial is under way, nor any that is given up."""
        return not self._dials and not self._unwanted

    # -- How they begin and end -------------------------------------------------------------------

    def begin(self, dial: effects.Dial) -> None:
        """Dial."""
        driver = self._driver
        number = dial.connection
        link = Link(
            driver, number, "client", driver.now(), peer=str(dial.peer), channel=str(dial.channel)
        )
        link.peer_addr = str(dial.address)
        driver.live.add(number)
        self._greeting[number] = link.opened
        driver.spawn(self._dial, dial, link)

    async def _dial(self, dial: effects.Dial, link: Link) -> None:
        driver = self._driver
        number = dial.connection
        failure: BaseException | None = None
        # When all of the node is cancelled, dials are given up like any other.
        self._dials[number] = scope = anyio.CancelScope(shield=True)
        with scope:
            try:
                if number in driver.live:  # not hung up on before it began
                    self._entrance.may_dial(dial.peer)
                    self._keep_apart(dial.peer)
                    with anyio.fail_after(driver.limits.handshake):
                        await driver.loop.connect(
                            dial.address.host, dial.address.port, link, self.context
                        )
            except (OSError, ssl.SSLError) as error:  # a TimeoutError is an OSError
                failure = error
        del self._dials[number]
        if number not in self._unwanted:
            self._cancel_timer(number)
        if scope.cancelled_caught and number in driver.links:
            # uvloop closes a connection whose dial is cancelled without another word.
            link.abort("shutdown")
            driver.call_soon(partial(self._surely_closed, link))
        if not hasattr(link, "transport"):
            self.ended(link, failure or "cancelled")
            if number in driver.live:
                driver.live.discard(number)
                driver.do(inputs.DialFailed(number))
        driver.gone()

    def _keep_apart(self, peer: Atom) -> None:
        driver = self._driver
        if self._faults is not None and self._faults.apart(driver.name, peer, driver.now()):
            raise TimeoutError("a script of faults keeps them apart")

    def _surely_closed(self, link: Link) -> None:
        if link.number in self._driver.links:
            link.connection_lost(None)

    def ended(self, link: Link, failure: object) -> None:
        """Say how a dial has ended; it ends well with the peer's state."""
        began = self._greeting.pop(link.number, None)
        if began is None:
            return
        driver = self._driver
        if failure is None:
            self.failures.pop(link.peer or "", None)
        elif Atom(link.peer or "") in driver.core.peers:
            self.fail(link.peer or "", failure)
        self._teller.connected(
            link, link.peer_addr, driver.now() - began, failure, tls=self.context is not None
        )

    def fail(self, peer: str, failure: object) -> None:
        """Remember why a peer cannot be had."""
        if len(self.failures) < _FAILURES:
            self.failures[peer] = failure

    # -- How they are given up --------------------------------------------------------------------

    def give_up(self, number: int) -> None:
        """Note that a connection is wanted no more that is not there yet."""
        scope = self._dials.get(number)
        if scope is not None and number not in self._timers:
            self._timers[number] = self._soon(scope.cancel)

    def give_all_up(self) -> None:
        """Dial no more."""
        for number in self._dials:
            self.give_up(number)

    async def settled(self) -> None:
        """Wait for those that were given up, but not for long."""
        # Timers may not come any more: on some event loops they belong to what is cancelled.
        with anyio.move_on_after(_PATIENCE / 1e9):
            while not self.idle:
                await self._driver.one_less()
        self.cut()

    def cut(self) -> None:
        """Wait no longer for those that were given up."""
        self._hasty = True
        for scope in self._dials.values():
            scope.cancel()
        for link in [*self._unwanted.values()]:
            self._take_leave(link)

    def abort(self) -> None:
        """Hang up on all who are left, whatever they have heard."""
        for link in [*self._unwanted.values()]:
            link.abort("shutdown")

    def waits_for(self, link: Link) -> bool:
        """Tell whether a peer that was dialled has not said yet what it has to say."""
        return link.number in self._greeting

    def close(self, link: Link, reason: str) -> None:
        """Hang up on a peer that was dialled as soon as it has said something."""
        number = link.number
        self.ended(link, reason)
        link.give_up(reason)
        self._unwanted[number] = link
        self._cancel_timer(number)
        if self._hasty:
            self._take_leave(link)
            return
        self._timers[number] = self._soon(partial(self._take_leave, link))

    def heard(self, link: Link) -> None:
        """Note that a peer has said something on a connection that is wanted no more."""
        if link.number in self._unwanted:
            link.abort("shutdown")

    def is_closing(self, link: Link) -> bool:
        """Tell whether a link is about to be closed by this."""
        return link.number in self._unwanted

    def closed(self, number: int) -> None:
        """Note that a connection is gone."""
        self._cancel_timer(number)
        if self._unwanted.pop(number, None) is not None:
            self._driver.gone()

    def _take_leave(self, link: Link) -> None:
        if link.transport.is_closing():
            return
        hello = ClientHello(self._driver.name, Atom(link.channel or ""))
        link.transport.write(framed(encode(hello.term())))
        link.transport.close()

    def _soon(self, call: Callable[[], object]) -> Timer:
        driver = self._driver
        return driver.loop.call_at(driver.now() + _PATIENCE, call)

    def _cancel_timer(self, number: int) -> None:
        timer = self._timers.pop(number, None)
        if timer is not None:
            timer.cancel()
