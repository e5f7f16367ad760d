# SPDX-License-Identifier: Apache-2.0
"""The other gateways: who lives, and what they tell each other.

Gateways are members of a cluster in which others may be too. Whoever says hello is one; whoever is
down has said nothing. A message is JSON in a binary, `{"kind": "hello" | "alarm", ...}`, sent to
the name `heliograph_gateway` and acknowledged.
"""

from __future__ import annotations

import asyncio
import json
import logging
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from heliograph.apps.gateway.alarms import Alarm
from heliograph.partisan import (
    JoinError,
    Node,
    NodeClosedError,
    NotConnectedError,
    ProtocolConfig,
    QueueFullError,
    Tls,
    UnknownNodeError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from heliograph.apps.gateway.config import Cluster

__all__ = ["INBOX", "Peers", "make_node"]

INBOX: Final = "heliograph_gateway"
"""The name at which gateways hear from each other."""

_VERSION: Final = 1
_SECOND: Final = 1_000_000_000
# Our choice: a peer that has lost its power is known to be gone after at most four seconds, for
# which the defaults, those of the original, take more than a minute.
_PROTOCOL: Final = ProtocolConfig(
    gossip_interval=2 * _SECOND,
    connection_interval=_SECOND // 4,
    idle_timeout=_SECOND,
    ping_timeout=_SECOND,
    ping_attempts=3,
    backoff_limit=_SECOND // 2,
)
# Our choice: a hundred times what a message of ours has.
_LARGEST: Final = 64 * 1024
_JOIN_DEADLINE: Final = 2.0
_BETWEEN_JOINS: Final = 1.0

_log: Final = logging.getLogger("heliograph.gateway")


def make_node(cluster: Cluster) -> Node:
    """Make the node of a gateway.

    Raises:
        ValueError: A name or an address is malformed.
    """
    tls = None
    if cluster.tls is not None:
        tls = Tls(
            cluster.tls["certificate"],
            cluster.tls["authority"],
            cluster.tls.get("key"),
            bind_names=cluster.bind_names,
        )
    return Node(
        cluster.name,
        listen=cluster.listen,
        advertise=cluster.advertise,
        tls=tls,
        state=cluster.state,
        protocol=_PROTOCOL,
        trace=True,
    )


class Peers:
    """The other gateways, as far as this one can see.

    Args:
        node: The gateway's node; to be entered by the caller.
        seeds: Name -> address of gateways to join, again and again until they are members.
        digest: Returns what this gateway says of its devices.
        changed: Called when a gateway came or went.
        differs: Called with the name of a gateway that has other devices.
        told: Called with what another gateway tells of an alarm.
        welcome: Returns the alarms that a gateway which has just come is to hear of.

    Attributes:
        living: Names of the other gateways that live.
        met: Set when a seed was joined, or has joined, and all members have said hello.
        unreached: Seeds that are no members, by name and address, and why not.
    """

    met: asyncio.Event
    unreached: dict[str, Exception]

    def __init__(
        self,
        node: Node,
        seeds: Mapping[str, str],
        *,
        digest: Callable[[], str],
        changed: Callable[[], object],
        differs: Callable[[str], object],
        told: Callable[[Alarm], object],
        welcome: Callable[[], Iterable[Alarm]],
    ) -> None:
        self.living: set[str] = set()
        self.met = asyncio.Event()
        self.unreached = {}
        self._node = node
        self._seeds = {name: at for name, at in seeds.items() if name != node.name}
        self._digest = digest
        self._changed = changed
        self._differs = differs
        self._told = told
        self._welcome = welcome
        self._digests: dict[str, str] = {}
        # Both before the node is entered, so that nothing is missed.
        self._inbox = node.register(INBOX)
        self._changes = node.changes()

    async def run(self) -> None:
        """Join, and take part, until cancelled."""
        if not self._seeds:
            self.met.set()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._watch())
            tasks.create_task(self._hear())
            for name, address in self._seeds.items():
                tasks.create_task(self._join(name, address))

    def announce(self) -> None:
        """Say hello to all, since what is said has changed."""
        for name in sorted(self.living):
            self._hello(name, answer=False)

    def broadcast(self, alarm: Alarm) -> None:
        """Tell the other gateways of an alarm."""
        for name in sorted(self.living):
            self._send(name, {"kind": "alarm", **alarm.message()})

    # -- Who lives --------------------------------------------------------------------------------

    async def _join(self, name: str, address: str) -> None:
        about = f"{name} at {address}"
        while True:
            try:
                await self._node.join(name, address, deadline=_JOIN_DEADLINE)
            except JoinError as error:
                self.unreached[about] = error
            else:
                self.unreached.pop(about, None)
            # Once a member, it is only asked for again if it was removed from the cluster.
            await asyncio.sleep(_BETWEEN_JOINS)

    async def _watch(self) -> None:
        for member in self._node.members():
            if member.state == "up":
                self._hello(member.name, answer=True)
        async for change in self._changes:
            if change.kind == "up":
                self._hello(change.node, answer=True)
            elif change.kind in {"down", "leave"} and change.node in self.living:
                self.living.discard(change.node)
                self._digests.pop(change.node, None)
                self._changed()

    def _lives(self, name: str, digest: str) -> None:
        if name not in self.living:
            self.living.add(name)
            for alarm in self._welcome():
                self._send(name, {"kind": "alarm", **alarm.message()})
            self._changed()
        if digest != self._digests.get(name):
            self._digests[name] = digest
            if digest != self._digest():
                self._differs(name)
        members = {each.name for each in self._node.members()} - {self._node.name}
        if members <= self.living:
            self.met.set()

    # -- Messages ---------------------------------------------------------------------------------

    def _hello(self, name: str, *, answer: bool) -> None:
        self._send(
            name,
            {"kind": "hello", "version": _VERSION, "devices": self._digest(), "answer": answer},
        )

    def _send(self, name: str, message: dict[str, Any]) -> None:
        data = json.dumps({**message, "from": self._node.name}).encode()
        with suppress(UnknownNodeError, NotConnectedError, NodeClosedError, QueueFullError):
            if not self._node.try_send(name, INBOX, data, ack=True):
                _log.warning("%s takes no more messages; one about %s is lost", name, message)

    async def _hear(self) -> None:
        async for data in self._inbox:
            try:
                if len(data) > _LARGEST:
                    raise ValueError(f"{len(data)} bytes")
                message = json.loads(data)
                self._heard(message, str(message["from"]))
            # Whoever is let into the cluster can send anything.
            except (ValueError, TypeError, KeyError, RecursionError) as error:
                _log.warning("a message to %s is none of ours: %r", INBOX, error)

    def _heard(self, message: dict[str, Any], source: str) -> None:
        if all(each.name != source for each in self._node.members()):
            raise ValueError(f"it claims to come from {source[:80]!r}, which is no member")
        match message["kind"]:
            case "hello":
                self._lives(source, str(message["devices"]))
                if message["answer"]:
                    self._hello(source, answer=False)
            case "alarm":
                self._told(Alarm.parse(message))
            case _:  # of a later version
                _log.debug("%s sends %r", source, message["kind"])
