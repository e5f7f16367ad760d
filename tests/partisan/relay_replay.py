# SPDX-License-Identifier: Apache-2.0
"""Our node in the place of one whose relayed messages were recorded.

Our node passes a message on once, to all its eager neighbors but the one it came from. The original
passes each copy on, to that one, too: such frames are expected of ours only if it had no copy yet,
and otherwise must be what the original makes of a copy that it got, or began with. Its manager of
full meshes drops what it is to pass on. The number in a padding, by which ours tells equal messages
apart, is thrown away by every receiver, and here, too.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from heliograph.partisan.protocol.relay import Passed, Relays, Step
from heliograph.partisan.wire import Atom, Term, exact
from heliograph.partisan.wire.messages import UNDEFINED, Forward, Message, RawRelay, Relay
from tests.partisan.recorded import Failure, Record
from tests.partisan.tree_replay import TreePlayer

__all__ = ["RelayPlayer"]


class RelayPlayer(TreePlayer):
    """Our node in the place of one whose relayed messages were recorded."""

    def scene(self, records: Sequence[Record]) -> int:
        near = {each.client for each in records} | {each.server for each in records}
        tree = self.current.machine
        for each in (*tree.neighbors,):
            if each not in near:
                tree.neighbor_down(each)
        for each in sorted(near):
            tree.neighbor_up(each, 0)
        relayed = [each for each in records if not each.ended and _is_relay(each)]
        others = [each for each in records if each.ended or not _is_relay(each)]
        begun: dict[bytes, Atom] = {}
        for each in self.records:
            if not each.ended and each.scenario == records[0].scenario and _is_relay(each):
                message: Any = each.message()
                begun.setdefault(_contents(message.node, message.message), each.sender)
        return _Relayed(self.name, relayed, begun).play() + super().scene(others)

    def cause(self, record: Record, message: Message) -> None:
        if isinstance(message, Forward):
            self.send(self.current, record.server, UNDEFINED, message)
        else:
            super().cause(record, message)


class _Relayed:
    """The relayed messages of a scene."""

    def __init__(self, name: Atom, records: Sequence[Record], begun: Mapping[bytes, Atom]) -> None:
        self.name = name
        self.records = records
        self.begun = begun  # by whom each message was sent first
        self.relays = Relays(name, random=random.Random(1))
        self.known: set[bytes] = set()  # what our node got or began with
        self.wanted: Counter[tuple[Atom, bytes, int]] = Counter()  # what it has yet to send
        self.copies: Counter[tuple[bytes, int]] = Counter()  # what the recorded node got
        self.passed: Counter[tuple[Atom, bytes, int]] = Counter()  # and sent

    def play(self) -> int:
        compared = 0
        for record in self.records:
            message: Any = record.message()
            contents = _contents(message.node, message.message)
            if record.sender != self.name:
                self._get(record, message, contents)
                continue
            if contents not in self.known:
                if self.begun[contents] != self.name:
                    raise Failure(f"line {record.line}: nothing has come that this would pass on")
                self._begin(message, contents)
            sent = (_receiver(record), contents, message.ttl)
            if self.wanted[sent]:
                self.wanted[sent] -= 1
                compared += 1
            elif self.passed[sent] >= self.copies[contents, message.ttl + 1]:
                raise Failure(f"line {record.line}: nothing has come that this would pass on")
            self.passed[sent] += 1
        left = [sent for sent, count in self.wanted.items() if count]
        if left:
            raise Failure(
                f"after line {self.records[-1].line}: our node also relays to {left[0]!r:.200}"
            )
        return compared

    def _begin(self, message: Any, contents: bytes) -> None:
        """Let the application of our node send the message."""
        match message.message:
            case ("forward_message", to, inner):
                ttl = self.relays.config.ttl
                step = self.relays.send(message.node, to, inner, self._links(contents), 0)
                self.copies[contents, ttl + 1] += 1
                self._want(contents, step)
            case _:
                pass

    def _get(self, record: Record, message: Any, contents: bytes) -> None:
        self.copies[contents, message.ttl] += 1
        if isinstance(message, Relay):
            return  # dropped
        links = self._links(contents)
        step = self.relays.received(
            record.sender, message.node, message.message, message.ttl, (), links, 0
        )
        self._want(contents, step)

    def _want(self, contents: bytes, step: Step | None) -> None:
        self.known.add(contents)
        if isinstance(step, Passed):
            for each in step.to:
                assert _contents(step.relay.node, step.relay.message) == contents
                self.wanted[each, contents, step.relay.ttl] += 1

    def _links(self, contents: bytes) -> list[Atom]:
        """Return whom the recorded node passes a message to."""
        found: dict[Atom, None] = {}
        for each in self.records:
            if each.sender == self.name:
                message: Any = each.message()
                if _contents(message.node, message.message) == contents:
                    found[_receiver(each)] = None
        return [*found]


def _is_relay(record: Record) -> bool:
    return isinstance(record.message(), Relay | RawRelay)


def _receiver(record: Record) -> Atom:
    return record.server if record.from_client else record.client


def _contents(node: Atom, message: Term) -> bytes:
    """Return what a relayed message says, without the padding."""
    match message:
        case ("forward_message", to, ("$partisan_padded", _, inner)):
            return exact((node, to, inner))
        case ("forward_message", to, inner):
            return exact((node, to, inner))
        case _:
            return exact((node, message))
