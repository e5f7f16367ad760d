# SPDX-License-Identifier: Apache-2.0
"""Our node in the place of one whose overlay, broadcasts or order of delivery were recorded."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

from heliograph.partisan.protocol import ProtocolConfig
from heliograph.partisan.protocol.connection import Connection
from heliograph.partisan.protocol.effects import Write
from heliograph.partisan.protocol.overlay import interface as on
from heliograph.partisan.protocol.overlay.interface import Overlay
from heliograph.partisan.wire import Atom, NodeSpec, Term, decode, encode, same
from heliograph.partisan.wire.messages import (
    UNDEFINED,
    ClientHello,
    Hello,
    Message,
    Ping,
    Pong,
    State,
)
from tests.partisan.recorded import Failure, Record

__all__ = ["MOMENT", "Now", "OverlayPlayer", "Player"]

MOMENT = 0.05
"""Seconds within which messages of several connections may be in another order."""


@dataclass
class Now:
    """All of a player that goes on in time, so that it can be copied to try something."""

    machine: Any
    out: dict[tuple[Atom, Atom], list[Term]] = field(default_factory=dict)
    """What it wants to send, by peer and channel."""
    inbox: dict[int, list[Record]] = field(default_factory=dict)
    """What has come of each connection and was not looked at."""
    now: int = 0


class Player:
    """Our node in the place of one that was recorded."""

    channels: tuple[Atom, ...] = (UNDEFINED,)

    def __init__(
        self,
        name: Atom,
        names: Sequence[Atom],
        specs: dict[Atom, NodeSpec],
        records: Sequence[Record],
    ) -> None:
        self.name = name
        self.names = names
        self.specs = specs
        self.records = records
        self.current = Now(self.make())
        self.connections: dict[int, Connection] = {}
        self.written: dict[int, list[Term]] = {}
        self.pings: dict[int, int] = {}
        self.compared = 0
        self.faults = 0
        """Frames that the original sent by its faults, and that are not asked of ours."""
        self.at = 0
        """The line that is played."""

    # --- what players differ in ---

    def make(self) -> Any:
        raise NotImplementedError

    def hear(self, current: Now, record: Record, message: Any) -> None:
        """Give a message to the machine; None is the end of a connection."""
        raise NotImplementedError

    def ended(self, record: Record) -> None:
        """A connection is gone."""

    def cause(self, record: Record, message: Message) -> None:
        """Do what must have happened that the node sends a message now."""
        raise Failure(f"line {record.line}: nothing has come yet that this would answer")

    def told(self, record: Record, state: State) -> None:
        """An acceptor has said what it knows."""

    def state(self) -> Term:
        return None

    def excused(self) -> bool:
        """Tell whether what is left to be sent may have got lost in the original."""
        return False

    # --- a scene ---

    def scene(self, records: Sequence[Record]) -> int:
        self.compared = 0
        for record in records:
            self.at = record.line
            if record.ended:
                self.ended(record)
                continue
            message = record.message()
            if isinstance(message, Hello | ClientHello | State | Ping | Pong):
                self._connection(record, message)
            elif record.sender != self.name:
                if not record.dropped:
                    self.current.inbox.setdefault(record.connection, []).append(record)
            else:
                self._catch_up(record.time - MOMENT)
                self._expect(record, message)
        self._catch_up(float("inf"))
        left = [each for sent in self.current.out.values() for each in sent]
        if left and not self.excused():
            raise Failure(f"after line {records[-1].line}: our node also sends {left[0]!r:.200}")
        return self.compared

    def _catch_up(self, until: float) -> None:
        """Look at what came before a time, in the order of the recording."""
        current = self.current
        ready = [
            each for waiting in current.inbox.values() for each in waiting if each.time < until
        ]
        for record in sorted(ready, key=lambda each: each.line):
            current.inbox[record.connection].remove(record)
            self.hear(current, record, None if record.ended else record.message())

    def _expect(self, record: Record, message: Message) -> None:
        found: Now | None = self._attempt(self.current, record, 6)
        if found is None:
            self._catch_up(record.time)
            self.cause(record, message)
            found = self._attempt(self.current, record, 0)
        if found is None:
            sent = self.current.out
            raise Failure(f"line {record.line}: recorded {record.shown:.150}, ours {sent!r:.300}")
        self.current = found
        self.compared += 1

    def _attempt(self, current: Now, record: Record, depth: int) -> Now | None:
        """Look at what has come until what was recorded is sent: in any order that does it."""
        peer = record.server if record.from_client else record.client
        for channel in self.channels:
            sent = current.out.get((peer, channel))
            if sent and self.equal(record.term(), sent[0]):
                sent.pop(0)
                return current
        if depth:
            for number, waiting in current.inbox.items():
                if waiting:
                    tried = deepcopy(current)
                    first = tried.inbox[number].pop(0)
                    self.hear(tried, first, None if first.ended else first.message())
                    found = self._attempt(tried, record, depth - 1)
                    if found is not None:
                        return found
        return None

    def equal(self, recorded: Term, ours: Term) -> bool:
        return same(recorded, ours)

    def send(self, current: Now, peer: Atom, channel: Atom, message: Message) -> None:
        # By way of bytes, so that it is what would have gone over the wire.
        term = decode(encode(message.term()))
        current.out.setdefault((peer, channel), []).append(term)

    # --- connections ---

    def _connection(self, record: Record, message: Message) -> None:
        number = record.connection
        dialled = record.client == self.name
        connection = self.connections.get(number)
        if connection is None:
            channel = record.channel or self._channel(number)
            chance = random.Random(number)
            connection = Connection(
                number,
                self.name,
                ProtocolConfig(),
                lambda: chance.randbytes(8),
                record.server if dialled else None,
                channel if dialled else None,
            )
            self.connections[number] = connection
            self._write(number, connection.opened(0))
            if not isinstance(message, Hello | ClientHello):  # it stood already
                self._stood(connection, record)
        if record.sender != self.name:
            effects, _ = connection.received((message,), 0, self._state)
            self._write(number, effects)
            if isinstance(message, State):
                self._catch_up(float("inf"))
                self.told(record, message)
            return
        if isinstance(message, Ping):
            self.pings[number] = record.line  # our node would ping when its time has come
            self.compared += 1
            return
        written = self.written.get(number)
        if not written or not self.as_written(record, record.term(), written.pop(0)):
            raise Failure(f"line {record.line}: our node does not say {record.shown:.200}")
        self.compared += 1

    def _channel(self, number: int) -> Atom:
        """Return the channel of a connection, which its client tells only later."""
        for each in self.records:
            if each.connection == number and not each.ended:
                message = each.message()
                if isinstance(message, ClientHello):
                    return message.channel
        return UNDEFINED

    def _stood(self, connection: Connection, record: Record) -> None:
        if connection.dialled:
            hello, state = Hello(record.server), State(UNDEFINED, None)
            for each in (hello, state):
                connection.received((each,), 0, lambda: None)
        else:
            hello_back = ClientHello(record.client, record.channel or UNDEFINED)
            connection.received((hello_back,), 0, lambda: None)
        self.written.pop(record.connection, None)

    def _state(self) -> Term:
        self._catch_up(float("inf"))
        return self.state()

    def as_written(self, record: Record, recorded: Term, ours: Term) -> bool:
        """Tell whether a frame of a handshake is the recorded one."""
        return same(recorded, ours)

    def _write(self, number: int, effects: Iterable[Any]) -> None:
        for effect in effects:
            if isinstance(effect, Write):
                term = decode(encode(effect.message.term()))
                self.written.setdefault(number, []).append(term)


class OverlayPlayer(Player):
    channels = (Atom("partisan_membership"),)

    def hear(self, current: Now, record: Record, message: Message) -> None:
        self.do(on.Received(record.sender, message), current)

    def do(self, happened: on.Input, current: Now | None = None) -> None:
        current = self.current if current is None else current
        overlay: Overlay = current.machine
        for effect in overlay.handle(happened, current.now):
            if isinstance(effect, on.Send):
                for to in effect.to:
                    self.send(current, to.name, self.channels[0], effect.message)

    def state(self) -> Term:
        return self.current.machine.state()
