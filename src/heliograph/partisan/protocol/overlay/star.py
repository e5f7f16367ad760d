# SPDX-License-Identifier: Apache-2.0
"""Overlays that nobody negotiates: clients around servers, and lists that somebody wrote."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

from heliograph.partisan.protocol.overlay import interface as on
from heliograph.partisan.protocol.overlay.interface import (
    CancelTimer,
    Connect,
    Custom,
    Hangup,
    Left,
    NeighborDown,
    NeighborUp,
    Overlay,
    Send,
    SetTimer,
)
from heliograph.partisan.wire import Atom, NodeSpec
from heliograph.partisan.wire.terms import term_map

if TYPE_CHECKING:
    from collections.abc import Iterable

    from heliograph.partisan.protocol.overlay.interface import Effect, Input
    from heliograph.partisan.wire import Term
    from heliograph.partisan.wire.messages import Message

__all__ = ["ClientServer", "Static"]

_SECOND: Final = 1_000_000_000
_RETRY: Final = "retry"
_INTERVAL: Final = 10 * _SECOND
_CLIENT: Final = Atom("client")
_CLIENTS: Final = 10_000


class _Wanted(Overlay):
    """Stays connected to the nodes it wants, and dials those it has lost again and again.

    Attributes:
        neighbors: Those of the wanted that are connected.
    """

    def __init__(self, spec: NodeSpec, interval: int) -> None:
        self.spec = spec
        self.neighbors: dict[Atom, NodeSpec] = {}
        self._wanted: dict[Atom, NodeSpec] = {}
        self._interval = interval

    def state(self) -> Term:
        """Return what whoever connects is told: the node itself and its neighbors."""
        return term_map([(each.term(), []) for each in (self.spec, *self.neighbors.values())])

    def _missing(self) -> list[Effect]:
        missing = [each for name, each in self._wanted.items() if name not in self.neighbors]
        return [Connect(tuple(missing))] if missing else []

    def _begin(self, now: int) -> list[Effect]:
        return [SetTimer(_RETRY, now + self._interval), *self._missing()]

    def _met(self, peer: Atom) -> list[Effect]:
        spec = self._wanted.get(peer)
        if spec is None or peer in self.neighbors:
            return []
        self.neighbors[peer] = spec
        return [NeighborUp(spec)]

    def _lost(self, peer: Atom, reason: str) -> list[Effect]:
        spec = self.neighbors.pop(peer, None)
        return [] if spec is None else [NeighborDown(spec, reason)]

    def _drop(self, peer: Atom) -> list[Effect]:
        self._wanted.pop(peer, None)
        return [*self._lost(peer, "leave"), Hangup(peer, "leave")]

    def _depart(self) -> list[Effect]:
        effects = [effect for peer in list(self._wanted) for effect in self._drop(peer)]
        return [*effects, CancelTimer(_RETRY), Left()]


class Static(_Wanted):
    """A list of nodes, the same until somebody changes it.

    Args:
        spec: What the node tells of itself.
        nodes: Whom to stay connected to; the node itself may be among them.
        interval: Nanoseconds between two attempts to reach who is not connected; our choice.
    """

    def __init__(
        self, spec: NodeSpec, nodes: Iterable[NodeSpec] = (), *, interval: int = _INTERVAL
    ) -> None:
        super().__init__(spec, interval)
        self._wanted = {each.name: each for each in nodes if each.name != spec.name}

    def handle(self, happened: Input, now: int) -> list[Effect]:
        match happened:
            case on.Start():
                return self._begin(now)
            case on.Join(contact):
                if contact.name == self.spec.name:
                    return []
                self._wanted[contact.name] = contact
                return self._missing()
            case on.Leave(node):
                return (
                    self._depart() if node is None or node == self.spec else self._drop(node.name)
                )
            case on.Met(peer):
                return self._met(peer)
            case on.Lost(peer, reason):
                return self._lost(peer, reason)
            case on.Fired(timer):
                return self._begin(now) if timer == _RETRY else []
            case _:
                return []


class ClientServer(_Wanted):
    """A star: clients know servers, servers know each other and their clients.

    What a node is, its tag says, which the acceptor of a connection tells the dialler. The original
    leaves the server without a way to its clients. Clients of our kind tell who they are in a
    message that an Erlang server drops, and are dialled back.

    Args:
        spec: What the node tells of itself.
        tag: `server` or `client`.
        introduce: Whether a client tells servers who it is.
        interval: Nanoseconds between two attempts to reach who is not connected; our choice.

    Attributes:
        tag: As above, as it goes on the wire.
    """

    def __init__(
        self,
        spec: NodeSpec,
        tag: Literal["client", "server"],
        *,
        introduce: bool = True,
        interval: int = _INTERVAL,
    ) -> None:
        super().__init__(spec, interval)
        self.tag: Atom = Atom(tag)
        self._introduce = introduce

    def handle(self, happened: Input, now: int) -> list[Effect]:
        match happened:
            case on.Start():
                return self._begin(now)
            case on.Join(contact):
                if contact.name == self.spec.name:
                    return []
                self._wanted[contact.name] = contact
                return self._missing()
            case on.Met(peer, tag):
                return self._found(peer, tag)
            case on.Received(peer, message):
                return self._introduced(peer, message)
            case on.Leave(node):
                return (
                    self._depart() if node is None or node == self.spec else self._drop(node.name)
                )
            case on.Lost(peer, reason):
                return self._lost(peer, reason)
            case _:
                return self._begin(now) if happened == on.Fired(_RETRY) else []

    def _found(self, peer: Atom, tag: Atom) -> list[Effect]:
        spec = self._wanted.get(peer)
        if spec is None:
            return []
        if self.tag == _CLIENT == tag:
            return self._drop(peer)  # clients have nothing to say to each other
        effects = self._met(peer)
        if effects and self.tag == _CLIENT and self._introduce:
            effects.append(Send((spec,), Custom((_CLIENT, self.spec.term()))))
        return effects

    def _introduced(self, peer: Atom | None, message: Message) -> list[Effect]:
        custom = Custom.of(message)
        if custom is None or self.tag == _CLIENT:
            return []
        match custom.content:
            case ("client", term):
                try:
                    spec = NodeSpec.parse(term)
                except ValueError:
                    return []
            case _:
                return []
        if peer is None or spec.name != peer or len(self._wanted) >= _CLIENTS:
            return []
        self._wanted[peer] = spec
        return [Connect((spec,))]
