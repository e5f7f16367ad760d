# SPDX-License-Identifier: Apache-2.0
"""Recorded conversations between nodes of a full mesh, and what they imply of the time before."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from heliograph.partisan.errors import PartisanError
from heliograph.partisan.protocol import MEMBERSHIP, MembershipState, OrSet
from heliograph.partisan.wire import Atom, ChannelSpec, ListenAddr, NodeSpec, Term, decode
from heliograph.partisan.wire.messages import (
    UNDEFINED,
    AckedForward,
    ClientHello,
    Forward,
    Gossip,
    Hello,
    Message,
    State,
    parse,
)

__all__ = ["NOBODY", "PAUSE", "Failure", "Record", "Scene", "is_forward", "load", "segments"]

NOBODY = Atom("")
"""Who connected and never said who it is."""
PAUSE = 0.1
"""Seconds by which the time goes back where a new scene begins."""


class Failure(Exception):
    """Our node did not do what was recorded."""


@dataclass(frozen=True)
class Record:
    """A frame, or the end of a connection."""

    line: int
    time: float
    connection: int
    client: Atom
    server: Atom
    from_client: bool
    channel: Atom | None
    hex: str | None
    """None for the end of the connection."""
    shown: str = ""
    dropped: bool = False
    scenario: str = ""

    @property
    def sender(self) -> Atom:
        return self.client if self.from_client else self.server

    @property
    def ended(self) -> bool:
        return self.hex is None

    def term(self) -> Term:
        assert self.hex is not None
        return _decoded(self.hex)

    def message(self) -> Message:
        assert self.hex is not None
        return _parsed(self.hex)


# A frame is looked at often, and by each node that is played; nobody changes what is found.
@lru_cache(maxsize=8_192)
def _decoded(payload: str) -> Term:
    return decode(bytes.fromhex(payload))


@lru_cache(maxsize=8_192)
def _parsed(payload: str) -> Message:
    return parse(_decoded(payload))


def load(path: Path) -> list[Record]:
    """Read a file's records.

    Raises:
        Failure: A line is no record.
    """
    records = []
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            entry = json.loads(line)
            if "conn" not in entry or "direction" not in entry:
                continue  # a note about the recording
            direction = entry["direction"]
            if direction not in {"client->server", "server->client"}:
                raise Failure(f"line {number}: no direction: {direction!r}")
            channel = entry.get("channel")
            records.append(
                Record(
                    number,
                    float(entry["t"]),
                    entry["conn"],
                    NOBODY if entry["client"] is None else Atom(entry["client"]),
                    Atom(entry["server"]),
                    direction == "client->server",
                    None if channel is None else Atom(channel),
                    None if entry.get("event") == "eof" else entry["hex"],
                    entry.get("term", ""),
                    bool(entry.get("dropped_by_proxy", False)),
                    str(entry.get("scenario", "")),
                )
            )
    return records


def segments(records: Sequence[Record]) -> list[list[Record]]:
    """Split a file where its time or another scenario begins: scenes, with states of their own.

    Raises:
        Failure: An application's message stands behind one that was sent later.
    """
    scenes: list[list[Record]] = []
    last: dict[tuple[int, bool], float] = {}
    for record in records:
        before = last.get((record.connection, record.from_client), 0.0)
        if before > record.time >= PAUSE and not record.ended and is_forward(record):
            raise Failure(f"line {record.line}: it was sent before the line above, by its time")
        last[record.connection, record.from_client] = record.time
        before_this = scenes[-1][-1] if scenes else None
        if (
            before_this is None
            or record.time < before_this.time - PAUSE
            or record.scenario != before_this.scenario
        ):
            scenes.append([])
        scenes[-1].append(record)
    return scenes


def is_forward(record: Record) -> bool:
    try:
        return isinstance(record.message(), Forward | AckedForward)
    except (PartisanError, ValueError):
        return False


def _set_in(message: Message) -> OrSet | None:
    if isinstance(message, State | Gossip):
        return MembershipState.parse(message.state).members
    return None


class Scene:
    """What can be known of a scene before it is played."""

    def __init__(self, records: Sequence[Record]) -> None:
        self.records = records
        self.messages = [None if each.ended else each.message() for each in records]
        self.nodes = sorted({each.client for each in records} | {each.server for each in records})
        self.ends = {each.connection: (each.client, each.server) for each in records}
        self.fresh = {  # connections that are made in the scene
            each.connection
            for each, message in zip(records, self.messages, strict=True)
            if isinstance(message, Hello) and not each.from_client
        }
        for record in records:
            if self.ends[record.connection] != (record.client, record.server):
                raise Failure(f"line {record.line}: the connection had other ends before")
        self.channels: dict[int, Atom] = {}
        for record, message in zip(records, self.messages, strict=True):
            if isinstance(message, ClientHello):
                self.channels[record.connection] = message.channel
            elif record.channel is not None:
                self.channels.setdefault(record.connection, record.channel)
        self.specs = self._specs()
        self.known = OrSet()
        for message in self.messages:
            known = None if message is None else _set_in(message)
            if known is not None:
                self.known = self.known.merge(known)

    def standing(self, client: Atom) -> list[int]:
        """Return the connections a node had dialled before the scene."""
        return sorted(
            number
            for number, (dialler, _) in self.ends.items()
            if dialler == client and number not in self.fresh and number in self.channels
        )

    def _specs(self) -> dict[Atom, NodeSpec]:
        """Return each node's specification: the recorded one, or one that fits the connections."""
        found: dict[Atom, NodeSpec] = {}
        for message in self.messages:
            known = None if message is None else _set_in(message)
            if isinstance(message, Gossip):
                found[message.sender.name] = message.sender
            for spec, _ in known.entries() if known is not None else ():
                found.setdefault(spec.name, spec)
        for port, name in enumerate(self.nodes, 10_001):
            if name not in found:
                counts: dict[Atom, dict[Atom, int]] = {}
                for number, (client, server) in self.ends.items():
                    if server == name and number in self.channels:
                        slots = counts.setdefault(self.channels[number], {})
                        slots[client] = slots.get(client, 0) + 1
                channels = [ChannelSpec(each, max(n.values())) for each, n in counts.items()]
                channels.extend(
                    ChannelSpec(each) for each in (UNDEFINED, MEMBERSHIP) if each not in counts
                )
                found[name] = NodeSpec(name, (ListenAddr("127.0.0.1", port),), tuple(channels))
        return found

    def start(self, name: Atom) -> OrSet:
        """Return a node's membership before the scene."""
        told = OrSet()  # what it was told before it first said what it knows
        said: OrSet | None = None
        removed: Atom | None = None
        for record, message in zip(self.records, self.messages, strict=True):
            known = None if message is None else _set_in(message)
            if known is None or name not in {record.client, record.server}:
                continue
            if record.sender == name:
                said = known
                if isinstance(message, Gossip):
                    removed = self._removed(name, said, told)
                break
            if not record.dropped:
                told = told.merge(known)
        near = self._neighbours(name)
        members = OrSet()
        for spec, tokens in (self.known if said is None else said).entries():
            for token, active in tokens.items():
                was_told = told.tokens(spec).get(token)
                if said is None:
                    before = active or spec.name in near
                elif was_told is not None and spec.name not in near:
                    continue  # it was told of this node in the scene
                else:
                    before = active or was_told is False or spec.name == removed
                members = members.merge(OrSet({spec: {token: before}}))
        named = {spec.name for spec, _ in members.entries()}
        for node in near - named:  # of whom nothing was said in the scene, and who is connected
            members = members.add(self.specs[node], node.encode().ljust(20))
        return members

    def _neighbours(self, name: Atom) -> set[Atom]:
        """Return a node and those it was connected to before the scene."""
        standing = {ends for number, ends in self.ends.items() if number not in self.fresh}
        dialled = {self.ends[number] for number in self.fresh}
        near = {name} | {server for client, server in standing if client == name}
        # Others were connected to it; it to them as well, unless it dials them only now: they are
        # connected still although it had left.
        return near | {
            client
            for client, server in standing
            if server == name and (name, client) not in dialled
        }

    def _removed(self, name: Atom, said: OrSet, told: OrSet) -> Atom | None:
        """Return whom the node's application removed with its first gossip, if anybody."""
        gone = [
            spec.name
            for spec, _ in said.entries()
            if spec not in said and (spec in told or not told.tokens(spec))
        ]
        if name in gone:
            return name
        reached = {server for client, server in self.ends.values() if client == name}
        return next((each for each in gone if each in reached), None)
