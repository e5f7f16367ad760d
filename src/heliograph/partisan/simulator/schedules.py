# SPDX-License-Identifier: Apache-2.0
"""Random schedules: what a cluster may go through, and what must hold after it.

`run_schedule` makes up a schedule from a seed: nodes join, leave, are removed, crash and come back
with or without their memory, at their old address or another; partitions come and heal; connections
break; frames are lost and overtake each other; and all the while messages are sent. In the end
everything is repaired, time passes, and `Outcome.violations` says what does not hold:

*   Nodes that know each other as they are now see the same members. After all have joined one, they
    are one cluster and each is in it once.
*   Every message that was acknowledged has been delivered.
*   No run of a node has got a message twice.
*   Messages with one key from one run of a node to one run of another came in the order they were
    sent.
*   All that a running node has accepted for a member is acknowledged in the end.
"""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

from heliograph.partisan.protocol import MEMBERSHIP, inputs
from heliograph.partisan.simulator.network import MILLISECOND, SECOND, Network, Weather
from heliograph.partisan.wire import Atom, ChannelSpec, ListenAddr, NodeSpec
from heliograph.partisan.wire.messages import UNDEFINED

if TYPE_CHECKING:
    from collections.abc import Iterator

    from heliograph.partisan.simulator.network import SimulatedNode

__all__ = ["Outcome", "run_schedule"]

_DATA: Final = Atom("data")
_SINK: Final = Atom("sink")
_SETTLE: Final = 180 * SECOND
"""More than any wait: five pings to a half-open connection, the longest backoff, and a gossip."""


class _Message(NamedTuple):
    """A message of the schedule, told apart from all others by its number."""

    sender: str
    life: int
    receiver: str
    key: int
    number: int


@dataclass(slots=True)
class Outcome:
    """What a schedule came to."""

    seed: int
    nodes: int = 0
    steps: Counter[str] = field(default_factory=Counter)
    """How often each thing was done."""
    accepted: int = 0
    acknowledged: int = 0
    delivered: int = 0
    retransmitted: int = 0
    duplicates: int = 0
    """Messages that came again and were dropped."""
    violations: list[str] = field(default_factory=list)
    digest: str = ""
    """Equal for equal runs."""


class _Schedule:
    """One run."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)  # noqa: S311 - it simulates
        self.network = Network(self.chance.getrandbits(64))
        self.outcome = Outcome(seed)
        self.sent: list[_Message] = []
        self.acknowledged: set[_Message] = set()
        self.seen: dict[tuple[str, int], set[_Message]] = {}
        self.together = False
        self.ports = iter(range(10_001, 60_000))
        names = [Atom(f"n{each}@127.0.0.1") for each in range(1, self.chance.randint(2, 5) + 1)]
        self.outcome.nodes = len(names)
        for name in names:
            self.network.start(self._spec(name))
        for name in names[1:]:
            self._join(name, names[0])

    @property
    def nodes(self) -> dict[Atom, SimulatedNode]:
        return self.network.nodes

    def run(self) -> Outcome:
        steps = {
            self._send: 12,
            self._break_connection: 2,
            self._crash: 2,
            self._restart: 3,
            self._partition: 1,
            self._heal: 2,
            self._turn_weather: 2,
            self._remove: 1,
            self._leave: 1,
            self._rejoin: 2,
        }
        self.network.run(self.chance.randint(0, 5) * SECOND)
        for _ in range(self.chance.randint(10, 60)):
            step = self.chance.choices(list(steps), list(steps.values()))[0]
            self.outcome.steps[step.__name__.removeprefix("_")] += 1
            step()
            self.network.run(int(self.chance.expovariate(1) * SECOND))
        self._repair()
        self.network.run(_SETTLE)
        self._check_members()
        first, *others = sorted(self.nodes)
        for name in others:
            self._join(name, first)
            self.network.run(_SETTLE // 4)
        # Who joined late may have removed one long ago that joined early, and all believe it now.
        for name in others:
            if self.nodes[name].spec not in self._view(first):
                self._join(name, first)
                self.network.run(_SETTLE // 4)
        self.together = True
        self._check_members()
        self._check_messages()
        self.outcome.digest = self.network.digest()
        return self.outcome

    # --- steps ---

    def _send(self) -> None:
        sender, receiver = self.chance.sample(sorted(self.nodes), 2)
        for _ in range(self.chance.choice([1, 1, 5, 40])):
            key = self.chance.randrange(3)
            life = self.nodes[sender].life
            message = _Message(sender, life, receiver, key, len(self.sent))
            channel = self.chance.choice([UNDEFINED, _DATA])
            message = message._replace(key=key + (10 if channel is _DATA else 0))
            send = inputs.Send(receiver, _SINK, message, channel, key, ack=True, size=64)
            if self.network.tell(sender, send):
                self.sent.append(message)

    def _break_connection(self) -> None:
        self.network.cut(self.chance.getrandbits(16))

    def _crash(self) -> None:
        running = self._running()
        if len(running) > 1:
            name = self.chance.choice(running)
            self._take_stock(name)
            self.network.crash(name)

    def _restart(self) -> None:
        down = [name for name in sorted(self.nodes) if name not in self._running()]
        if down:
            self._start(self.chance.choice(down))

    def _partition(self) -> None:
        names = sorted(self.nodes)
        self.chance.shuffle(names)
        middle = self.chance.randint(1, len(names) - 1)
        self.network.partition(names[:middle], names[middle:])

    def _heal(self) -> None:
        self.network.heal()

    def _turn_weather(self) -> None:
        bad = self.chance.choice([0.0, 0.0, 0.01, 0.05, 0.2])
        self.network.weather = Weather(
            latency=(MILLISECOND // 5, self.chance.choice([1, 20, 300]) * MILLISECOND),
            loss=bad * self.chance.random(),
            reordering=bad * self.chance.random(),
            cut=bad * self.chance.random() / 10,
            half_open=self.chance.choice([0.0, 0.5]),
        )

    def _remove(self) -> None:
        by, name = self.chance.sample(sorted(self.nodes), 2)
        self.network.tell(by, inputs.Leave(name))

    def _leave(self) -> None:
        self.network.tell(self.chance.choice(self._running()), inputs.Leave())

    def _rejoin(self) -> None:
        name = self.chance.choice(self._running())
        self._join(name, self._other(name))

    # --- parts of steps ---

    def _spec(self, name: Atom) -> NodeSpec:
        channels = (
            ChannelSpec(UNDEFINED),
            ChannelSpec(MEMBERSHIP),
            ChannelSpec(_DATA, self.chance.randint(1, 3)),
        )
        return NodeSpec(name, (ListenAddr("127.0.0.1", next(self.ports)),), channels)

    def _start(self, name: Atom) -> None:
        moved = self.chance.random() < 0.3
        remembers = self.chance.random() < 0.5
        spec = self._spec(name) if moved else self.nodes[name].spec
        self.network.start(spec, remember=remembers)
        if moved or not remembers:
            self._join(name, self._other(name))

    def _join(self, name: Atom, contact: Atom) -> None:
        self.network.tell(name, inputs.Join(contact, self.nodes[contact].spec.listen_addrs))

    def _running(self) -> list[Atom]:
        return [name for name in sorted(self.nodes) if self.nodes[name].core is not None]

    def _other(self, name: Atom) -> Atom:
        """Return a node to join, one that runs if there is any."""
        others = [each for each in sorted(self.nodes) if each != name]
        running = [each for each in others if self.nodes[each].core is not None]
        return self.chance.choice(running or others)

    def _repair(self) -> None:
        self.network.heal()
        self.network.weather = Weather()
        for name in sorted(self.nodes):
            if self.nodes[name].core is None:
                self._start(name)

    # --- what must hold ---

    def _check_members(self) -> None:
        """Compare what nodes see that know each other's present address."""
        views = {name: self._view(name) for name in sorted(self.nodes)}
        for name, view in views.items():
            known = [each for each in views if self.nodes[each].spec in view]
            for other in known:
                if views[other] != view:
                    self._violated(f"{name} sees {_names(view)}, {other} {_names(views[other])}")
            if self.together and len(known) < len(views):
                self._violated(f"{name} sees {_names(view)} only")
            if self.together and len(view) > len(views):
                self._violated(f"{name} sees somebody twice: {_names(view)}")

    def _view(self, name: Atom) -> list[NodeSpec]:
        core = self.nodes[name].core
        assert core is not None
        return list(core.members)

    def _take_stock(self, name: Atom) -> None:
        """Note which messages of a node's present life were acknowledged."""
        node = self.nodes[name]
        assert node.core is not None
        streams = list(node.core.delivery.streams())
        waiting = {message for stream in streams for _, (_, message) in stream.unacknowledged()}
        self.outcome.retransmitted += sum(stream.retransmitted for stream in streams)
        self.outcome.duplicates += node.core.delivery.duplicates
        self.acknowledged.update(
            message
            for message in self.sent
            if (message.sender, message.life) == (name, node.life)
            and message not in waiting
            and message not in node.lost
        )

    def _check_messages(self) -> None:
        for name, node in sorted(self.nodes.items()):
            self._take_stock(name)
            assert node.core is not None
            for stream in node.core.delivery.streams():
                if len(stream):
                    self._violated(f"{len(stream)} messages from {name} to {stream.peer} wait")
        delivered: set[_Message] = set()
        for name, node in sorted(self.nodes.items()):
            got: dict[int, list[_Message]] = {}
            for life, _, message in node.received:
                assert isinstance(message, _Message)
                got.setdefault(life, []).append(message)
            for life, messages in got.items():
                delivered.update(messages)
                for twice in _repeated(messages):
                    self._violated(f"{name}, life {life}, got {twice} twice")
                self._check_order(name, life, messages)
        for missing in sorted(self.acknowledged - delivered):
            self._violated(f"{missing} was acknowledged and never delivered")
        self.outcome.accepted = len(self.sent)
        self.outcome.acknowledged = len(self.acknowledged)
        self.outcome.delivered = len(delivered)

    def _check_order(self, name: Atom, life: int, messages: list[_Message]) -> None:
        last: dict[tuple[str, int, int], int] = {}
        for message in messages:
            lane = (message.sender, message.life, message.key)
            if last.get(lane, -1) > message.number:
                self._violated(f"{name}, life {life}, got {message} after number {last[lane]}")
            last[lane] = message.number

    def _violated(self, what: str) -> None:
        self.outcome.violations.append(what)


def _names(view: list[NodeSpec]) -> str:
    return ", ".join(f"{spec.name} at {spec.listen_addrs[0].port}" for spec in view)


def _repeated(messages: list[_Message]) -> Iterator[_Message]:
    return (message for message, times in Counter(messages).items() if times > 1)


def run_schedule(seed: int) -> Outcome:
    """Make up a schedule from a seed, run it, and say what came of it."""
    return _Schedule(seed).run()
