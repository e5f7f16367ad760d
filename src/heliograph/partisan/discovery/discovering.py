# SPDX-License-Identifier: Apache-2.0
"""Finding the cluster: sources are asked again and again, and whoever is found is joined.

Each source has a task of its own. A look that fails, or leads to nobody, is followed by another
after a pause that doubles; one that succeeds by another after the interval. None of it ever ends
before the node does, for a cluster may come later, or fall apart and come back elsewhere.

An address that belongs to this node or to a member is left alone. Whoever listens at another is
asked for its name, several at a time, and joined unless it is a member, this very node, or another
node than the source says. They are joined one by one, since the first may know the others. A node
with a partial view does not know who is a member, and joins others only while it has no neighbor.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final, Protocol

import anyio

from heliograph import Error, Ok
from heliograph.partisan.addresses import resolve
from heliograph.partisan.discovery.asking import ask
from heliograph.partisan.discovery.pace import Pace
from heliograph.partisan.events import DISCOVERY_ATTEMPT, DISCOVERY_CONTACT

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterable, Sequence
    from random import Random

    from heliograph.partisan.discovery.pace import DiscoveryConfig
    from heliograph.partisan.discovery.sources import Found, Source
    from heliograph.partisan.members import Member
    from heliograph.partisan.wire import ListenAddr

__all__ = ["Discoverer", "DiscoveringNode"]

_log: Final = logging.getLogger("heliograph.partisan")


class DiscoveringNode(Protocol):
    """What discovery needs of its node."""

    name: str

    @property
    def listen_addrs(self) -> tuple[str, ...]:
        """Where others reach it."""

    def members(self) -> Sequence[Member]:
        """Return the members that it knows."""

    @property
    def knows_all(self) -> bool:
        """Whether these are all there are."""

    async def join(self, name: str, address: str, *, deadline: float) -> None:
        """Join a node."""


class Discoverer:
    """Finds nodes for one node, and lets it join them.

    Args:
        node: The node.
        sources: Where to look.
        config: Pace and bounds.
        random: Source of chance.
    """

    def __init__(
        self,
        node: DiscoveringNode,
        sources: Iterable[Source],
        config: DiscoveryConfig,
        random: Random,
    ) -> None:
        self._node = node
        self._sources = [*sources]
        self._config = config
        self._random = random
        self._scope: anyio.CancelScope | None = None  # while it runs
        self._context: ssl.SSLContext | None = None

    async def run(self, context: ssl.SSLContext | None) -> None:
        """Look until it is stopped.

        Args:
            context: What connections are encrypted with; None for plain ones.
        """
        self._context = context
        self._joining = anyio.Lock()
        with anyio.CancelScope() as self._scope:
            async with anyio.create_task_group() as tasks:
                for source in self._sources:
                    tasks.start_soon(self._follow, source, name=f"partisan discovery {source.text}")

    def stop(self) -> None:
        """Look no more."""
        if self._scope is not None:
            self._scope.cancel()

    async def _follow(self, source: Source) -> None:
        pace = Pace(self._config, self._random)
        while True:
            found = await self._look(source)
            if found is not None:
                await self._join_all(source, found)
            pause = pace.after(well=found is not None and len(self._node.members()) > 1)
            with anyio.move_on_after(pause):
                await source.changed()

    async def _look(self, source: Source) -> list[Found] | None:
        """Ask a source; return what it found, or None because it failed."""
        with DISCOVERY_ATTEMPT(node=self._node.name, source=source.text) as looking:
            try:
                with anyio.fail_after(self._config.timeout):
                    found = await source.find()
            except Exception as error:  # noqa: BLE001 - a source of the user's own may raise anything
                looking.measurements["found"] = 0
                looking.metadata["result"] = Error(error)
                _log.info("%s: %s finds nothing: %s", self._node.name, source.text, error)
                return None
            looking.measurements["found"] = len(found)
            looking.metadata["result"] = Ok(None)
        return found

    async def _join_all(self, source: Source, found: list[Found]) -> None:
        chosen = self._random.sample(found, min(len(found), self._config.found))
        limiter = anyio.CapacityLimiter(self._config.at_once)

        async def one(each: Found) -> None:
            async with limiter:
                await self._try(source, each)

        async with anyio.create_task_group() as tasks:
            for each in chosen:
                if not self._known(each.name, [each.address]):
                    tasks.start_soon(one, each)

    async def _try(self, source: Source, found: Found) -> None:
        """Join a node that was found, unless it turns out to be one that is known."""
        timeout = self._config.timeout
        with DISCOVERY_CONTACT(
            node=self._node.name, source=source.text, peer_addr=found.address
        ) as trying:
            trying.metadata["joined"] = False
            try:
                with anyio.fail_after(timeout):
                    where = await resolve(found.address)
                    if self._known(found.name, map(str, where)):
                        name = None
                    else:
                        name = await self._ask(where)
                if name is not None:
                    trying.metadata["peer"] = name
                    if found.name not in {None, name}:
                        raise ConnectionError(
                            f"{name} listens at {found.address}, not {found.name}"
                        )
                    async with self._joining:
                        if not self._known(name, map(str, where)):
                            await self._node.join(name, found.address, deadline=timeout)
                            trying.metadata["joined"] = True
            except (OSError, ValueError) as error:  # a JoinError is an OSError
                trying.metadata["result"] = Error(error)
            else:
                trying.metadata["result"] = Ok(None)

    async def _ask(self, where: Sequence[ListenAddr]) -> str:
        """Ask whoever listens at one of these addresses for its name."""
        for address in where[:-1]:
            try:
                return await ask(address, self._context)
            except OSError:
                continue
        return await ask(where[-1], self._context)

    def _known(self, name: str | None, addresses: Iterable[str]) -> bool:
        """Tell whether that is a member already, this node included.

        With a partial view anybody may be one, unless this node is alone.
        """
        node = self._node
        if not node.knows_all and len(node.members()) > 1:
            return True
        addresses = {*addresses}
        return not addresses.isdisjoint(node.listen_addrs) or any(
            member.name == name or not addresses.isdisjoint(member.listen_addrs)
            for member in node.members()
        )
