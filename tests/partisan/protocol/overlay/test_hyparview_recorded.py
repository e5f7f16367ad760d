# SPDX-License-Identifier: Apache-2.0
"""What Erlang nodes were recorded to say, our node hears in the place of each of them.

Their views went apart at times, which is a fault that ours does not have, so the recording is not
replayed as a whole: its beginning, until the first node is given up, is.
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from heliograph.partisan.protocol.overlay import interface as on
from heliograph.partisan.protocol.overlay.hyparview import HyParView
from heliograph.partisan.protocol.overlay.settings import HyParViewConfig
from heliograph.partisan.wire import Atom, NodeSpec, exact
from heliograph.partisan.wire.messages import (
    ForwardJoin,
    Join,
    Message,
    Neighbor,
    Shuffle,
    ShuffleReply,
    State,
)
from tests.partisan.recorded import Record, load

DATA = Path(__file__).parents[3] / "data" / "partisan" / "hyparview.jsonl"
CONFIG = HyParViewConfig(active=2, passive=30, active_walk=2, passive_walk=1)
NODES = [Atom(f"n{number}@127.0.0.1") for number in range(1, 7)]
BEGINNING = 2.0  # seconds: until then there are three nodes


@pytest.fixture(scope="module")
def records() -> list[Record]:
    return [each for each in load(DATA) if not each.ended]


@pytest.fixture(scope="module")
def specs(records: list[Record]) -> dict[Atom, NodeSpec]:
    found: dict[Atom, NodeSpec] = {}
    for record in records:
        match record.message():
            case Join(spec) | Neighbor(spec):
                found[spec.name] = spec
            case _:
                pass
    return found


class Recorded(random.Random):
    """Chooses whom the recorded node chose."""

    def __init__(self) -> None:
        super().__init__(1)
        self.to: Atom | None = None

    def choice(self, seq: Any) -> Any:
        return self.to if self.to in seq else seq[0]


def plain(message: Message) -> object:
    """The message as a term, with what it tells of others in no order."""
    match message:
        case Shuffle(exchange, ttl, sender):
            return ttl, sender, sorted({spec.name for spec in exchange})
        case ShuffleReply(exchange, sender):
            return sender, sorted({spec.name for spec in exchange})
        case _:
            return exact(message.term())


@pytest.mark.parametrize("name", NODES[:3])
def test_our_node_says_what_the_recorded_one_said_at_the_beginning(
    records: list[Record], specs: dict[Atom, NodeSpec], name: Atom
) -> None:
    chance = Recorded()
    node = HyParView(specs[name], random=chance, config=CONFIG)
    kinds = (Join, ForwardJoin, Neighbor, Shuffle, ShuffleReply)
    mine = [
        (record, message)
        for record in records[: next(at for at, r in enumerate(records) if r.time > BEGINNING)]
        if name in {record.client, record.server}
        if isinstance(message := record.message(), kinds)
    ]
    said: list[tuple[Atom, Message]] = []
    compared = 0
    for at, (record, message) in enumerate(mine):
        onward = [r.server for r, _ in mine[at:] if r.sender == name]
        chance.to = onward[0] if onward else None
        effects: list[on.Effect] = []
        if record.sender != name:
            effects = node.handle(on.Received(record.sender, message), 0)
        elif isinstance(message, Join):
            effects = node.handle(on.Join(specs[record.server]), 0)
        elif isinstance(message, Shuffle) and message.ttl == CONFIG.active_walk:
            effects = node.handle(on.Fired("shuffle"), 0)
        for effect in effects:
            if isinstance(effect, on.Send):
                said.extend((to.name, effect.message) for to in effect.to)
        if record.sender == name:
            found = [
                each
                for each in said
                if each[0] == record.server
                if type(each[1]) is type(message)
                if plain(each[1]) == plain(message)
            ]
            assert found, f"line {record.line}: {record.shown:.200}"
            said.remove(found[0])
            compared += 1

    assert compared >= 4
    # A shuffle that cannot walk on is dropped by the original, and answered by ours.
    assert [each for each in said if not isinstance(each[1], ShuffleReply)] == []


@pytest.mark.parametrize("name", NODES)
def test_our_node_understands_all_that_was_said_to_the_recorded_one(
    records: list[Record], specs: dict[Atom, NodeSpec], name: Atom
) -> None:
    node = HyParView(specs[name], random=random.Random(1), config=CONFIG)
    heard = 0
    for record in records:
        message = record.message()
        if name not in {record.client, record.server} or record.sender == name:
            continue
        if type(message).__name__ in {"Hello", "ClientHello", "Ping", "Pong", "Forward"}:
            continue
        if isinstance(message, State):
            match message.state:
                case ("state", view, int()):
                    assert (
                        specs.items()
                        >= {
                            spec.name: spec
                            for spec in map(NodeSpec.parse, view)  # type: ignore[call-overload]
                        }.items()
                    )
                case other:
                    pytest.fail(str(other))
            continue
        node.handle(on.Received(record.sender, message), int(record.time * 1e9))
        heard += 1
        assert len(node.neighbors) <= CONFIG.active
        assert name not in node.passive

    assert heard >= 3
    assert (node.statistics.malformed, node.statistics.forged) == (0, 0)
