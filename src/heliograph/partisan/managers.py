# SPDX-License-Identifier: Apache-2.0
"""Who chooses a node's neighbors: the peer service managers of the original, and a user's own."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Literal

from heliograph.partisan.addresses import check_node_name, parse_address, resolve
from heliograph.partisan.protocol.overlay import hyparview, scamp, star
from heliograph.partisan.protocol.overlay.scamp import ScampConfig
from heliograph.partisan.protocol.overlay.settings import HyParViewConfig
from heliograph.partisan.wire import Atom, NodeSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from random import Random

    from heliograph.partisan.protocol.overlaid import Footing
    from heliograph.partisan.protocol.overlay.interface import Overlay
    from heliograph.partisan.wire import ListenAddr

__all__ = [
    "ClientServer",
    "FullMesh",
    "HyParView",
    "Manager",
    "Own",
    "ScampV1",
    "ScampV2",
    "Static",
]


class Manager(ABC):
    """Chooses a node's neighbors. All nodes of a cluster have the same one.

    Attributes:
        mesh: Whether every member is a neighbor; no overlay is made then.
    """

    mesh: ClassVar[bool] = False

    async def prepare(self) -> None:  # noqa: B027 - most need nothing
        """Look up what it needs before the node starts.

        Raises:
            OSError: An address cannot be resolved.
        """

    @abstractmethod
    def overlay(self, footing: Footing) -> Overlay:
        """Make a node's overlay."""


@dataclass(frozen=True, slots=True)
class FullMesh(Manager):
    """Everybody is connected to everybody: the pluggable manager with the full strategy."""

    mesh = True

    def overlay(self, footing: Footing) -> Overlay:  # noqa: ARG002 - as all
        """A full mesh has none."""
        raise TypeError("a full mesh has no overlay")


@dataclass(frozen=True, slots=True)
class HyParView(Manager):
    """A few neighbors, and more nodes known to replace them: the HyParView manager.

        HyParView(HyParViewConfig(xbot=XBotConfig()), distance=lambda node: cost_to(node.name))

    Attributes:
        config: Sizes and pace.
        distance: Tells what a link from here to a node costs, in any unit, and None if that is not
            known; for X-BOT. By default it is measured: how long a ping takes. Called in the event
            loop with what the node tells of itself, its name and addresses; should be quick.
    """

    config: HyParViewConfig = field(default_factory=HyParViewConfig)
    distance: Callable[[NodeSpec], float | None] | None = None

    def overlay(self, footing: Footing) -> Overlay:
        """Make the views of a node."""
        return hyparview.HyParView(
            footing.spec,
            random=footing.random,
            config=self.config,
            epoch=footing.epoch,
            distance=self.distance if self.distance is not None else footing.distance,
        )


@dataclass(frozen=True, slots=True)
class _Scamp(Manager):
    """What both versions have in common: they differ in the views that they make."""

    _views: ClassVar[type[scamp.ScampV1 | scamp.ScampV2]]

    config: ScampConfig = field(default_factory=ScampConfig)

    def overlay(self, footing: Footing) -> Overlay:
        """Make the view of a node."""
        return self._views(
            footing.spec,
            random=footing.random,
            config=self.config,
            actor=footing.actor,
            system_offset=footing.system_offset,
        )


@dataclass(frozen=True, slots=True)
class ScampV1(_Scamp):
    """Views that grow with the logarithm of the cluster: the pluggable manager with SCAMP.

    Attributes:
        config: Pace and bounds.
    """

    _views = scamp.ScampV1


@dataclass(frozen=True, slots=True)
class ScampV2(_Scamp):
    """SCAMP's second version: who leaves is replaced where it was known.

    Attributes:
        config: Pace and bounds.
    """

    _views = scamp.ScampV2


@dataclass(frozen=True, slots=True)
class ClientServer(Manager):
    """A star: clients are connected to servers, and servers to each other.

    Attributes:
        role: What the node is, `"client"` or `"server"`.
        interval: Seconds between two attempts to reach who is not connected.

    Raises:
        ValueError: The role is none.
    """

    role: Literal["client", "server"]
    interval: float = 10.0

    def __post_init__(self) -> None:
        if self.role not in {"client", "server"}:
            raise ValueError(f"role is {self.role!r}; it must be 'client' or 'server'")

    def overlay(self, footing: Footing) -> Overlay:
        """Make a node's part of the star."""
        return star.ClientServer(footing.spec, self.role, interval=int(self.interval * 1e9))


class Static(Manager):
    """The neighbors that somebody has written down, and no others.

    Args:
        peers: Name and address (`host:port`) of each; the node itself may be among them.
        interval: Seconds between two attempts to reach who is not connected.

    Raises:
        ValueError: A name or an address is malformed.
    """

    def __init__(self, peers: Iterable[tuple[str, str]], *, interval: float = 10.0) -> None:
        self.peers: dict[str, str] = {check_node_name(name): address for name, address in peers}
        for address in self.peers.values():
            parse_address(address, lowest=1)
        self.interval = interval
        self._found: dict[str, tuple[ListenAddr, ...]] = {}

    async def prepare(self) -> None:
        """Resolve the addresses.

        Raises:
            OSError: One cannot be resolved.
        """
        for name, address in self.peers.items():
            self._found[name] = await resolve(address)

    def overlay(self, footing: Footing) -> Overlay:
        """Make the list of a node."""
        nodes = [
            NodeSpec(Atom(name), addresses, footing.spec.channels)
            for name, addresses in self._found.items()
        ]
        return star.Static(footing.spec, nodes, interval=int(self.interval * 1e9))


@dataclass(frozen=True, slots=True)
class Own(Manager):
    """An overlay of the user's own; see `heliograph.partisan.protocol.overlay.interface`.

    Attributes:
        make: Makes it, of what the node tells of itself and a source of chance.
    """

    make: Callable[[NodeSpec, Random], Overlay]

    def overlay(self, footing: Footing) -> Overlay:
        """Make it."""
        return self.make(footing.spec, footing.random)
