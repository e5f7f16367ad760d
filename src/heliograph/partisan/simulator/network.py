# SPDX-License-Identifier: Apache-2.0
"""Nodes on a simulated network, in simulated time, the same for the same seed.

The nodes are `NodeCore`s, or `OverlayCore`s, the very classes that run on sockets. A connection is
what TCP gives, frames in order and none twice, unless the `Weather` says that somebody on the way
drops or reorders some of them. A partition holds frames back until it heals; dials across it time
out. A node that crashes loses all but what it persisted; its peers see their connections close, or,
half-open, notice nothing.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from hashlib import sha256
from heapq import heappop, heappush
from itertools import count
from typing import TYPE_CHECKING, Final

from heliograph.partisan.errors import PartisanError
from heliograph.partisan.protocol import MembershipState, NodeCore, ProtocolConfig, inputs
from heliograph.partisan.protocol.effects import (
    CancelTimer,
    Deliver,
    Dial,
    Hangup,
    Judged,
    LeftCluster,
    Persist,
    SetTimer,
    Suspected,
    Transmit,
    Undelivered,
    Write,
)
from heliograph.partisan.protocol.overlaid import OverlayCore
from heliograph.partisan.wire.messages import AckedForward, Forward

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from heliograph.partisan.faults import Faults
    from heliograph.partisan.protocol.effects import Effect
    from heliograph.partisan.protocol.overlaid import Footing
    from heliograph.partisan.protocol.overlay.interface import Overlay
    from heliograph.partisan.wire import Atom, ListenAddr, NodeSpec, Term
    from heliograph.partisan.wire.messages import Message

__all__ = ["Network", "SimulatedNode", "Weather"]

MILLISECOND: Final = 1_000_000
SECOND: Final = 1_000_000_000
_STATES: Final = 100  # membership states remembered


@dataclass(frozen=True, slots=True)
class Weather:
    """How the network behaves. Probabilities are for each frame; times are in nanoseconds."""

    latency: tuple[int, int] = (MILLISECOND // 5, 5 * MILLISECOND)
    """The shortest and the longest way of a frame, drawn evenly."""
    loss: float = 0.0
    """Frames that vanish although the connection stays."""
    reordering: float = 0.0
    """Frames that those behind them overtake."""
    cut: float = 0.0
    """Frames at which the connection breaks."""
    half_open: float = 0.0
    """Connections of a crashed node whose other end notices nothing; a probability for each."""
    dial_timeout: int = SECOND
    """From a dial across a partition to its failure; the original's."""


@dataclass(slots=True)
class _End:
    """One side of a connection."""

    node: SimulatedNode
    number: int
    """The connection's number there."""
    peer: Atom
    """The name at the other end."""
    other: _End | None = None
    """None before it is connected, and when the other side is gone."""
    silent: bool = False
    """Whether the other side is gone and nobody will ever say so."""
    clear_at: int = 0
    """When the last frame sent from here arrives; none behind it arrives earlier."""
    held: list[Message] = field(default_factory=list)
    """Frames that a partition holds back."""


class SimulatedNode:
    """One node through all its lives.

    Attributes:
        name: Its name.
        spec: What it tells of itself in its present life.
        core: Its protocol; None while it is down.
        life: How often it was started.
        persisted: What it would find on its disk.
        received: What its processes got: life, sender, and message.
        lost: Messages that it was told cannot be delivered any more.
        left: How often it found itself alone again.
        lag: Nanoseconds after its arrival that it comes to each frame: it does not keep up.
        stalled: Until when it does nothing at all, timers included.
        suspected: Whom it began to suspect, and when.
        judged: What became of that, and when.
    """

    def __init__(self, spec: NodeSpec) -> None:
        self.name: Atom = spec.name
        self.spec = spec
        self.core: NodeCore | None = None
        self.life = 0
        self.persisted: Term = None
        self.received: list[tuple[int, Atom | None, Term]] = []
        self.lost: list[Term] = []
        self.left = 0
        self.lag = 0
        self.stalled = 0
        self.suspected: list[tuple[int, Atom]] = []
        self.judged: list[tuple[int, Judged]] = []
        self.ends: dict[int, _End] = {}
        self.timers: dict[inputs.TimerKey, int] = {}

    @property
    def members(self) -> list[Atom]:
        """Names of the members that it sees, in order, each as often as it has entries."""
        assert self.core is not None, f"{self.name} is down"
        return [spec.name for spec in self.core.specs()]


class Network:
    """Nodes, connections between them, and time.

    Args:
        seed: What all chance derives from.
        weather: How the network behaves; it may be changed at any time.
        config: The nodes' protocol.
        overlay: Makes their overlays; None for a full mesh.

    Attributes:
        now: The simulated time, in nanoseconds.
        nodes: All nodes, by name.
        chance: The source of all randomness.
        faults: The script that `harm` was given.
    """

    def __init__(
        self,
        seed: int,
        weather: Weather | None = None,
        config: ProtocolConfig | None = None,
        overlay: Callable[[Footing], Overlay] | None = None,
    ) -> None:
        self.chance: random.Random = random.Random(seed)  # noqa: S311 - it simulates
        self.weather: Weather = weather if weather is not None else Weather()
        self.config: ProtocolConfig = config if config is not None else ProtocolConfig()
        self.now: int = 0
        self.nodes: dict[Atom, SimulatedNode] = {}
        self.faults: Faults | None = None
        self._overlay = overlay
        self._queue: list[tuple[int, int, Callable[[], None]]] = []
        self._order = count()
        self._groups: dict[Atom, int] = {}
        self._trace = sha256()
        self._parsed: dict[int, tuple[Term, MembershipState]] = {}

    # --- what tests do ---

    def start(self, spec: NodeSpec, *, remember: bool = True) -> SimulatedNode:
        """Start a node, for the first time or again.

        Args:
            spec: What it tells of itself; it may differ from what it told in a former life.
            remember: Whether it finds what it persisted.
        """
        node = self.nodes.get(spec.name)
        if node is None:
            node = self.nodes[spec.name] = SimulatedNode(spec)
        assert node.core is None, f"{spec.name} runs"
        node.spec = spec
        node.life += 1
        chance = random.Random(self.chance.getrandbits(64))  # noqa: S311 - it simulates
        if self._overlay is not None:
            node.core = OverlayCore(
                spec, self._overlay, config=self.config, random=chance, now=self.now
            )
        else:
            node.core = NodeCore(
                spec,
                config=self.config,
                random=chance,
                state=node.persisted if remember else None,
                parse=self._parse,
            )
        self._handle(node, inputs.Start())
        return node

    def crash(self, name: Atom) -> None:
        """End a node at once, as `SIGKILL` does."""
        node = self.nodes[name]
        node.core = None
        node.timers.clear()
        ends = list(node.ends.values())
        node.ends.clear()
        for end in ends:
            other = end.other
            if other is not None:
                other.other = None
                other.silent = self.chance.random() < self.weather.half_open
                if not other.silent and not self._apart(name, end.peer):
                    self._close_later(other, "failure")

    def stop(self, name: Atom) -> None:
        """End a node in order, without leaving the cluster."""
        self.tell(name, inputs.Stop())
        self.crash(name)

    def tell(self, name: Atom, happened: inputs.Input) -> bool:
        """Give a node an input of its application's; return whether it was taken."""
        node = self.nodes[name]
        if node.core is None:
            return False
        try:
            self._handle(node, happened)
        except PartisanError:
            return False  # an unknown node, no connection, no room
        return True

    def partition(self, *groups: Iterable[Atom]) -> None:
        """Let nodes reach only those of their own group. Who is named in none is in one more."""
        self._groups = {name: index for index, group in enumerate(groups, 1) for name in group}
        self._release()

    def heal(self) -> None:
        """End all partitions."""
        self._groups = {}
        self._release()

    def stall(self, name: Atom, duration: int) -> None:
        """Let a node do nothing for a while; what comes meanwhile waits, in order."""
        self.nodes[name].stalled = self.now + duration

    def cut(self, chosen: int) -> None:
        """Break one connection of those that are open; `chosen` picks it."""
        pairs = [
            (end, end.other)
            for node in self.nodes.values()
            for end in node.ends.values()
            if end.other is not None
        ]
        if pairs:
            for end in pairs[chosen % len(pairs)]:
                self._close_later(end, "failure")

    def harm(self, faults: Faults) -> None:
        """Do from now on what a script says, beside what the weather does."""
        self.faults = faults
        faults.begin(self.now)
        for at in faults.changes():
            self._at(max(at, self.now), self._release)

    def run(self, duration: int) -> None:
        """Let time pass, in nanoseconds."""
        until = self.now + duration
        queue = self._queue
        while queue and queue[0][0] <= until:
            self.now, _, action = heappop(queue)
            action()
        self.now = until

    def digest(self) -> str:
        """Return what identifies all that has happened so far: equal for equal runs."""
        return self._trace.hexdigest()

    # --- what nodes do ---

    def _handle(self, node: SimulatedNode, happened: inputs.Input) -> None:
        assert node.core is not None, f"{node.name} is down"
        self._note(node.name, type(happened).__name__)
        self._carry_out(node, node.core.handle(happened, self.now))

    def _carry_out(self, node: SimulatedNode, effects: Iterable[Effect]) -> None:
        core = node.core
        assert core is not None
        for effect in effects:
            match effect:
                case Write(number, message):
                    self._send(node, number, message)
                case Transmit(_, _, _, messages, number):
                    for each, payload in messages:
                        self._send(node, number, core.numbered(each, payload))
                case Dial(number, peer, _, address):
                    self._dial(node, number, peer, address)
                case Hangup(number):
                    end = node.ends.pop(number, None)
                    if end is not None and end.other is not None:
                        end.other.other = None
                        if not self._apart(node.name, end.peer):
                            self._close_later(end.other, "closed", after=end.clear_at)
                case SetTimer(key, at):
                    node.timers[key] = at
                    self._at(at, self._timer(node, node.life, key, at))
                case CancelTimer(key):
                    node.timers.pop(key, None)
                case Persist(state):
                    node.persisted = state
                case Deliver(_, content, source):
                    node.received.append((node.life, source, content))
                    self._note(node.name, "deliver", repr(content))
                case Undelivered(_, _, payloads):
                    node.lost.extend(content for _, content in payloads)
                case LeftCluster():
                    node.left += 1
                case Suspected(peer):
                    node.suspected.append((self.now, peer))
                case Judged():
                    node.judged.append((self.now, effect))
                case _:
                    self._note(node.name, type(effect).__name__)

    def _parse(self, state: Term) -> MembershipState:
        """Read a state, once for all that get the very same term: there are no bytes here."""
        known = self._parsed.get(id(state))
        if known is None:
            if len(self._parsed) == _STATES:
                self._parsed.clear()
            known = self._parsed[id(state)] = (state, MembershipState.parse(state))
        return known[1]

    def _timer(
        self, node: SimulatedNode, life: int, key: inputs.TimerKey, at: int
    ) -> Callable[[], None]:
        def fire() -> None:
            if node.stalled > self.now:
                self._at(node.stalled, fire)
            elif node.life == life and node.timers.get(key) == at:
                del node.timers[key]
                self._handle(node, inputs.Fired(key))

        return fire

    # --- connections ---

    def _dial(self, node: SimulatedNode, number: int, peer: Atom, address: ListenAddr) -> None:
        life = node.life
        end = node.ends[number] = _End(node, number, peer)

        def arrive() -> None:
            if node.life != life or node.ends.get(number) is not end:
                return
            target = next(
                (
                    each
                    for each in self.nodes.values()
                    if each.core is not None and address in each.spec.listen_addrs
                ),
                None,
            )
            if target is None or self._apart(node.name, target.name):
                del node.ends[number]
                self._handle(node, inputs.DialFailed(number))
                return
            assert target.core is not None
            accepted = target.core.new_connection()
            other = target.ends[accepted] = _End(target, accepted, node.name, end)
            end.other = other
            self._handle(node, inputs.Dialled(number))
            self._handle(target, inputs.Accepted(accepted))

        apart = self._apart(node.name, peer)
        delay = self.weather.dial_timeout if apart else 2 * self._latency()
        self._at(self.now + delay, arrive)

    def _send(self, node: SimulatedNode, number: int, message: Message) -> None:
        end = node.ends[number]  # a node does not write to what is closed
        if end.other is None:
            # The other side is gone; its host says so, if it can be reached and is there.
            if not end.silent and not self._apart(node.name, end.peer):
                self._close_later(end, "failure")
            return
        if self.faults is not None:
            self._send_with_faults(self.faults, end, message)
            return
        self._send_on(end, message)

    def _send_with_faults(self, faults: Faults, end: _End, message: Message) -> None:
        way = faults.way(
            end.node.name,
            end.peer,
            self.now,
            message=isinstance(message, Forward | AckedForward),
        )
        for delay in way.delays:
            self._send_on(end, message, delay, overtaken=way.overtaken)

    def _send_on(
        self, end: _End, message: Message, delay: int = 0, *, overtaken: bool = False
    ) -> None:
        assert end.other is not None
        weather = self.weather
        if weather.loss and self.chance.random() < weather.loss:
            return
        if weather.cut and self.chance.random() < weather.cut:
            self._close_later(end.other, "failure")
            self._close_later(end, "failure")
            return
        if self._apart(end.node.name, end.peer):
            end.held.append(message)
            return
        at = self.now + self._latency() + delay
        if overtaken:
            pass
        elif weather.reordering and self.chance.random() < weather.reordering:
            at += 10 * self._latency()
        else:
            at = end.clear_at = max(at, end.clear_at)
        self._at(at + end.other.node.lag, self._arrival(end, end.other, message))

    def _arrival(self, end: _End, other: _End, message: Message) -> Callable[[], None]:
        def arrive() -> None:
            if other.node.ends.get(other.number) is not other:
                return
            if self._apart(end.node.name, end.peer):
                end.held.append(message)
                return
            if other.node.stalled > self.now:
                self._at(other.node.stalled, arrive)
                return
            self._note(other.node.name, type(message).__name__)
            self._handle(other.node, inputs.Received(other.number, (message,)))

        return arrive

    def _release(self) -> None:
        """Send on what partitions held back, as TCP does when the way is free again."""
        for node in list(self.nodes.values()):
            for end in list(node.ends.values()):
                if end.other is not None and end.held and not self._apart(node.name, end.peer):
                    held, end.held = end.held, []
                    for message in held:
                        end.clear_at = max(self.now + self._latency(), end.clear_at)
                        self._at(end.clear_at, self._arrival(end, end.other, message))

    def _close_later(self, end: _End, reason: str, after: int = 0) -> None:
        def close() -> None:
            if end.node.ends.get(end.number) is end:
                del end.node.ends[end.number]
                if end.other is not None:
                    end.other.other = None
                self._handle(end.node, inputs.Disconnected(end.number, reason))

        self._at(max(self.now + self._latency(), after), close)

    def _apart(self, one: Atom, other: Atom) -> bool:
        if self.faults is not None and self.faults.apart(one, other, self.now):
            return True
        return self._groups.get(one, 0) != self._groups.get(other, 0)

    def _latency(self) -> int:
        return self.chance.randint(*self.weather.latency)

    def _at(self, time: int, action: Callable[[], None]) -> None:
        heappush(self._queue, (time, next(self._order), action))

    def _note(self, *what: str) -> None:
        self._trace.update(f"{self.now} {' '.join(what)}\n".encode())
