# SPDX-License-Identifier: Apache-2.0
"""Replay recorded conversations of overlays, broadcast trees and causal delivery.

As in `replay`, each node is played by ours in turn, and must send what was recorded, on each
connection in its order. Messages of different connections may have reached the node in another
order than they passed the recorder, if they came within a moment of each other.

What a node decides by chance, it decides as was recorded; what its applications did, and when
timers fired, is inferred from what was sent for that. `hyparview_replay`, `scamp_replay`,
`tree_replay` and `relay_replay` say how, and which faults of the original are not reproduced.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import fields
from typing import Any, cast

from heliograph.partisan.protocol.causal import CausalOrder
from heliograph.partisan.protocol.overlay import interface as on
from heliograph.partisan.protocol.overlay.star import ClientServer
from heliograph.partisan.wire import (
    Atom,
    ListenAddr,
    NodeSpec,
    Term,
    TermMap,
    exact,
    same,
)
from heliograph.partisan.wire.messages import (
    UNDEFINED,
    Ack,
    AckedForward,
    BootstrapRemoveSubscription,
    Broadcast,
    Causal,
    Forward,
    Graft,
    IgnoredIHave,
    IHave,
    KeepSubscription,
    Message,
    Prune,
    RawRelay,
    Relay,
    ReplaceSubscription,
    State,
    parse_payload,
)
from tests.partisan.hyparview_replay import HyParViewPlayer
from tests.partisan.overlay_player import Now, OverlayPlayer, Player
from tests.partisan.recorded import NOBODY, Failure, Record
from tests.partisan.relay_replay import RelayPlayer
from tests.partisan.scamp_replay import SCAMP, ScampV1Player, ScampV2Player
from tests.partisan.tree_replay import TreePlayer

__all__ = ["kind_of", "play"]


def kind_of(records: Sequence[Record]) -> str | None:
    """Return what a conversation is about; None if it is one of a full mesh."""
    for message in _messages(records):
        match message:
            case State(_, ("scamp_v1" | "scamp_v2" as kind, *_)):
                return str(kind)
            case State(_, ("full_v1", *_)):
                return None
            case State(_, ("state", *_)):
                return "hyparview"
            case State():
                return "star"
            case Relay() | RawRelay():
                return "relay"
            case Broadcast() | Prune() | IHave() | IgnoredIHave() | Graft():
                return "tree"
            case Forward(_, content) | AckedForward(_, _, _, content) if isinstance(
                parse_payload(content), Causal
            ):
                return "causal"
            case message if isinstance(message, SCAMP):
                return _version(records)
            case _:
                pass
    return None


def _version(records: Sequence[Record]) -> str:
    """Return SCAMP's version in a conversation that begins in the midst of it."""
    for message in _messages(records):
        match message:
            case KeepSubscription() | BootstrapRemoveSubscription() | ReplaceSubscription():
                return "scamp_v2"
            case State(_, ("scamp_v1" | "scamp_v2" as kind, *_)):
                return str(kind)
            case _:
                pass
    return "scamp_v1"


def _messages(records: Iterable[Record]) -> Iterator[Message]:
    return (record.message() for record in records if not record.ended)


def play(
    kind: str, scenes: Sequence[Sequence[Record]]
) -> Iterator[tuple[int, str, int, str | None, int]]:
    """Play each node of each scene; what a node knows after one, it knows in the next.

    Yields:
        Line, node, frames compared, what went wrong, and frames of the original's faults.
    """
    everything = [record for scene in scenes for record in scene]
    names = sorted(
        ({each.client for each in everything} | {each.server for each in everything}) - {NOBODY}
    )
    specs = _specs(everything, names)
    for name in names:
        player = _PLAYERS[kind](name, names, specs, everything)
        for scene in scenes:
            mine = [each for each in scene if name in {each.client, each.server}]
            if not mine:
                continue
            try:
                frames = player.scene(mine)
            except Failure as failure:
                yield scene[0].line, name, 0, str(failure), 0
                break
            yield scene[0].line, name, frames, None, player.faults


def _specs(records: Sequence[Record], names: Sequence[Atom]) -> dict[Atom, NodeSpec]:
    found = {
        name: NodeSpec(name, (ListenAddr("127.0.0.1", port),), ())
        for port, name in enumerate(names, 10_001)
    }

    def look(value: object) -> None:
        if isinstance(value, NodeSpec):
            found[value.name] = value
        elif isinstance(value, tuple | list):
            for each in value:
                look(each)
        elif isinstance(value, Message):
            for each in fields(cast("Any", value)):
                look(getattr(value, each.name))
        elif isinstance(value, dict) and "name" in value:
            look(NodeSpec.parse(value))
        elif isinstance(value, dict | TermMap):
            for key in [*value]:
                if isinstance(key, dict) and "name" in key:
                    look(NodeSpec.parse(key))

    for message in _messages(records):
        look(message)
    return found


# --- stars ---


def _view(state: Any) -> object:
    """Return what a state tells of views: without actor, order, and the time of the last ping."""
    if not isinstance(state, tuple | list):
        raise Failure(f"no state of SCAMP or a star: {state!r:.80}")
    return state[0], [
        sorted({exact(key) for key in each})
        for each in state
        if isinstance(each, list) or hasattr(each, "items")
    ]


class _StarPlayer(OverlayPlayer):
    channels = (UNDEFINED,)

    def make(self) -> ClientServer:
        tags = {
            record.server: message.tag
            for record in self.records
            if not record.ended and isinstance(message := record.message(), State)
        }
        tag = tags.get(self.name, Atom("client"))
        return ClientServer(self.specs[self.name], cast("Any", str(tag)), introduce=False)

    def told(self, record: Record, state: State) -> None:
        if record.server not in self.current.machine.neighbors:
            self.do(on.Join(self.specs[record.server]))
            self.do(on.Met(record.server, state.tag))

    def cause(self, record: Record, message: Message) -> None:
        match message:
            case Forward() if record.server in self.current.machine.neighbors:
                self.send(self.current, record.server, UNDEFINED, message)
            case _:
                super().cause(record, message)

    def as_written(self, record: Record, recorded: Term, ours: Term) -> bool:
        match recorded, ours:
            case ("state", tag, known), ("state", _, own):
                return tag == self.current.machine.tag and _view([0, known]) == _view([0, own])
            case _:
                return same(recorded, ours)


# --- causal delivery ---


class _CausalPlayer(Player):
    def make(self) -> dict[Atom, CausalOrder]:
        return {}

    def hear(self, current: Now, record: Record, message: Message) -> None:
        match message:
            case Forward(_, content):
                causal = parse_payload(content)
            case AckedForward(_, clock, _, content):
                causal = parse_payload(content)
                self.send(current, record.sender, UNDEFINED, Ack(clock))
            case _:
                return
        if isinstance(causal, Causal):
            order = self._order(current, causal.label)
            if order.received(causal, current.now) != [causal]:
                raise Failure(f"line {record.line}: our node holds back what the original delivers")

    def cause(self, record: Record, message: Message) -> None:
        match message:
            case Forward(to, content):
                causal = self._emitted(record, content)
                self.send(self.current, record.server, UNDEFINED, Forward(to, causal.term()))
            case AckedForward(_, clock, to, content):
                causal = self._emitted(record, content)
                label = clock._replace(label=causal.label, counts=causal.clock)
                sent = AckedForward(self.name, label, to, causal.term())
                self.send(self.current, record.server, UNDEFINED, sent)
            case _:
                super().cause(record, message)

    def _emitted(self, record: Record, content: Term) -> Causal:
        causal = parse_payload(content)
        if not isinstance(causal, Causal):
            raise Failure(f"line {record.line}: no causal message")
        order = self._order(self.current, causal.label)
        return order.emit(record.server, causal.to, causal.message)

    def _order(self, current: Now, label: Atom) -> CausalOrder:
        return cast("CausalOrder", current.machine.setdefault(label, CausalOrder(self.name, label)))


_PLAYERS: dict[str, type[Player]] = {
    "tree": TreePlayer,
    "hyparview": HyParViewPlayer,
    "relay": RelayPlayer,
    "scamp_v1": ScampV1Player,
    "scamp_v2": ScampV2Player,
    "star": _StarPlayer,
    "causal": _CausalPlayer,
}
