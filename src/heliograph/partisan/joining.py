# SPDX-License-Identifier: Apache-2.0
"""How a node joins a cluster: who is asked, what is waited for, and why it came to nothing."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import anyio

from heliograph.partisan.addresses import check_node_name, resolve
from heliograph.partisan.errors import JoinError, MismatchError, UnknownNodeError
from heliograph.partisan.members import connections_of
from heliograph.partisan.protocol import inputs
from heliograph.partisan.protocol.effects import (
    Connected,
    Mismatched,
    NeighborUp,
    PeerJoined,
    PeerUp,
)
from heliograph.partisan.wire import Atom

if TYPE_CHECKING:
    from heliograph.partisan.driver import Driver
    from heliograph.partisan.protocol.effects import Effect
    from heliograph.partisan.watching import ChangeKind

__all__ = ["JOIN_DEADLINE", "Joining"]

JOIN_DEADLINE: Final = 10.0
"""Seconds that joining may take unless told otherwise; our choice, for a node that starts late."""

_PROGRESS: Final = frozenset({Connected, Mismatched, NeighborUp, PeerJoined, PeerUp})
"""What a node that joins waits for."""


class Joining:
    """One node's attempts to join clusters.

    Args:
        driver: The node's driver.
    """

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        # Waited for by all who join at the same time, and a waiter is one task's: cancelled by the
        # deadline of one, it would cancel the others.
        self._progress: anyio.Event | None = None
        self._joins: Counter[str] = Counter()

    def told(self, effect: Effect) -> None:
        """Note what happened."""
        if self._progress is not None and type(effect) in _PROGRESS:
            self._progress.set()
            self._progress = None

    async def join(self, name: str, address: str, seconds: float, until: ChangeKind) -> None:
        """Join through a node; see `Node.join`.

        Args:
            name: The node's name.
            address: Where it listens.
            seconds: How long it may take.
            until: `"join"`, or `"up"` to wait for all connections.
        """
        driver = self._driver
        atom = Atom(check_node_name(name))
        if name == driver.name:
            return
        try:
            found = await resolve(address)
        except OSError as error:
            raise JoinError(f"cannot join {name} at {address}: {error}") from error
        why: object = None
        driver.failures.pop(name, None)
        done = False
        self._joins[name] += 1
        try:
            with anyio.move_on_after(seconds):
                driver.do(inputs.Join(atom, found))
                while not self._joined(atom, until):
                    if isinstance(driver.failures.get(name), MismatchError):
                        break
                    self._progress = progress = self._progress or anyio.Event()
                    await progress.wait()
                else:
                    done = True
                    # Whoever comes back after this knows where.
                    await driver.saved()
                    return
            why = driver.failures.get(name) or "it does not answer"
        finally:
            self._joins[name] -= 1
            if not self._joins[name]:
                del self._joins[name]
                if not done:
                    self._give_up(atom)
        cause = why if isinstance(why, Exception) else None
        if why in {"protocol_error", "closed", "timeout"}:
            why = f"it is another node than {name}, or speaks another protocol ({why})"
        raise JoinError(
            f"{driver.name} could not join {name} at {address} in {seconds:g} s: {why}"
        ) from cause

    def _give_up(self, name: Atom) -> None:
        """Let go of a node that nobody joins through any more, unless it is a member.

        Messages that were accepted for it are told to be lost.
        """
        driver = self._driver
        if driver.stopped or name not in driver.core.peers or driver.core.is_member(name):
            return
        with suppress(UnknownNodeError):  # it was let go already
            driver.do(inputs.Leave(name))

    def _joined(self, name: Atom, until: ChangeKind) -> bool:
        core = self._driver.core
        if not core.joined(name):
            return False
        if until == "join":
            return True
        connections = connections_of(self._driver.links)
        for spec in core.specs():
            peer = core.peers.get(spec.name)
            # Of a full mesh, only the node that was asked matters.
            if peer is None or (self._driver.mesh and spec.name != name):
                continue
            # It has dialled us, too: answers go over connections of its own. An Erlang node takes
            # a second for each connection of a channel; one of them is enough to be answered.
            ours = core.delivery.run(spec.name) is not None
            wanted = sum(each.parallelism for each in self._driver.channels) if ours else 1
            back = [each for each in connections if (each.side, each.peer) == ("server", spec.name)]
            if not peer.up or len(back) < wanted:
                return False
        return True
