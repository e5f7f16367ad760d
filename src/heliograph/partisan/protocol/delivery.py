# SPDX-License-Identifier: Apache-2.0
"""Acknowledged delivery: what is kept until it is acknowledged, and what is a duplicate.

To an Erlang node we speak as it speaks: each message has a clock, each is acknowledged by itself,
and one that is not is sent again unchanged; it may then arrive twice. Among our own kind (see
`identity`) a *stream* is an ordered sequence of numbered messages from one run of a node to one run
of another, on one lane of one channel:

*   The receiver delivers each number once and in order; what came early it holds, what comes again
    it drops. It acknowledges the last number delivered, and with it all before: the same frame
    that an Erlang node would take for the acknowledgement of that one message.
*   The sender keeps at most a window of unacknowledged messages, so the receiver's pace reaches it.
*   If the peer comes back as another run, which knows nothing of the stream, the sender renumbers
    what is unacknowledged as a new stream and sends it again, in order.

These classes are called directly for each message; they return values instead of effects and hold
no timers. What is stored (the payload) is the caller's: a term, or bytes ready to send.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

from heliograph.partisan.protocol.identity import SEQUENCE_MASK, run_of, stream_key
from heliograph.partisan.protocol.streams import (
    DeliveryConfig,
    IncomingStream,
    OutgoingStream,
    Verdict,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from heliograph.partisan.protocol.identity import Identity
    from heliograph.partisan.wire import Atom

__all__ = ["Delivery", "DeliveryConfig", "IncomingStream", "OutgoingStream", "Verdict"]

_T = TypeVar("_T")


class Delivery(Generic[_T]):
    """All acknowledged delivery of one node, in both directions.

    Args:
        identity: The node's own run.
        config: Bounds and pace.
    """

    __slots__ = (
        "_by_key",
        "_config",
        "_departed",
        "_due",
        "_identity",
        "_incoming",
        "_lane_counts",
        "_lanes",
        "_next_stream",
        "_runs",
        "_sources",
        "undelivered",
        "undelivered_bytes",
    )

    def __init__(self, identity: Identity, config: DeliveryConfig | None = None) -> None:
        self._identity = identity
        self._config = config if config is not None else DeliveryConfig()
        self._next_stream = 1
        self._lanes: dict[tuple[Atom, Atom, int], OutgoingStream[_T]] = {}
        self._lane_counts: dict[tuple[Atom, Atom], int] = {}
        self._by_key: dict[int, OutgoingStream[_T]] = {}
        self._runs: dict[Atom, int | None] = {}  # peers met, and which run of our kind each is
        self._incoming: dict[int, IncomingStream[_T]] = {}
        self._sources: dict[Atom, list[int]] = {}
        self._departed: dict[Atom, None] = {}  # sources that have left, in order
        self._due: dict[int, IncomingStream[_T]] = {}
        self.undelivered: dict[tuple[Atom, Atom], int] = {}
        self.undelivered_bytes: dict[tuple[Atom, Atom], int] = {}

    # --- sending ---

    def outgoing(self, peer: Atom, channel: Atom, lane: int) -> OutgoingStream[_T]:
        """Return the stream of a lane, a new one at first use. Callers may keep it."""
        key = (peer, channel, lane)
        stream = self._lanes.get(key)
        if stream is None:
            cumulative = self._runs.get(peer) is not None
            stream = self._lanes[key] = OutgoingStream(
                peer, channel, lane, self._new_base(), self._config, cumulative=cumulative
            )
            self._by_key[stream_key(stream.base)] = stream
        return stream

    def lanes(self, peer: Atom, channel: Atom, wanted: int) -> int:
        """Return how many lanes a channel has: as wanted, once those it had are empty."""
        key = (peer, channel)
        lanes = self._lane_counts.get(key, wanted)
        if lanes != wanted and any(
            len(stream) for stream in self.streams_to(peer) if stream.channel == channel
        ):
            return lanes
        self._lane_counts[key] = wanted
        return wanted

    def streams(self) -> Iterator[OutgoingStream[_T]]:
        """Yield the streams to all peers."""
        yield from self._lanes.values()

    def streams_to(self, peer: Atom) -> list[OutgoingStream[_T]]:
        """Return the streams to one peer."""
        return [stream for stream in self._lanes.values() if stream.peer == peer]

    def acknowledged(self, number: int, now: int) -> OutgoingStream[_T] | None:
        """Note an acknowledgement; return the stream if that made room in it."""
        stream = self._by_key.get(stream_key(number))
        if stream is None or not stream.acknowledge(number, now):
            return None
        return stream

    def acknowledged_run(self, number: int, count: int, now: int) -> OutgoingStream[_T] | None:
        """Do what `acknowledged` does for several numbers in a row, each acknowledged by itself."""
        stream = self._by_key.get(stream_key(number))
        if stream is None or not stream.acknowledge_run(number, count, now):
            return None
        return stream

    def met(self, peer: Atom, incarnation: int | None) -> bool:
        """Note which run of a peer answers, before anything is sent to it.

        Returns whether it is another run of our kind than the last one met: its streams were
        renumbered and all of them are to be sent again.
        """
        known = self._runs.get(peer)
        self._runs[peer] = incarnation
        if known == incarnation:
            return False
        for stream in self.streams_to(peer):
            del self._by_key[stream_key(stream.base)]
            stream.renumber(self._new_base(), cumulative=incarnation is not None)
            self._by_key[stream_key(stream.base)] = stream
        return True

    def run(self, peer: Atom) -> int | None:
        """Return which run of our kind a peer is, or None if it is none or was not met."""
        return self._runs.get(peer)

    def forget(self, peer: Atom) -> dict[Atom, list[_T]]:
        """Drop what waits for a peer that has left, and return it by channel.

        What came of the peer is remembered: should it come back in the same run, it goes on where
        it was, unless room is needed for others.
        """
        self._runs.pop(peer, None)
        lost: dict[Atom, list[_T]] = {}
        self._lane_counts = {
            key: count for key, count in self._lane_counts.items() if key[0] != peer
        }
        for stream in self.streams_to(peer):
            del self._lanes[stream.peer, stream.channel, stream.lane]
            del self._by_key[stream_key(stream.base)]
            size = stream.bytes
            payloads = stream.drop()
            if payloads:
                lost.setdefault(stream.channel, []).extend(payloads)
                key = (peer, stream.channel)
                self.undelivered[key] = self.undelivered.get(key, 0) + len(payloads)
                self.undelivered_bytes[key] = self.undelivered_bytes.get(key, 0) + size
        if peer in self._sources:
            self._departed[peer] = None
        return lost

    # --- receiving ---

    def accept(
        self, source: Atom, channel: Atom, number: int, payload: _T, size: int = 0
    ) -> Verdict:
        """Say what becomes of a message of our own kind; see `IncomingStream.accept`.

        Ask only for numbers that `identity.is_ours`: what an Erlang node sends is delivered and
        acknowledged one by one.
        """
        stream = self.incoming(source, channel, number)
        if stream is None:
            return Verdict.REFUSED
        verdict = stream.accept(number, payload, size)
        if verdict is not Verdict.REFUSED:
            self._due[stream_key(number)] = stream
        return verdict

    def incoming(self, source: Atom, channel: Atom, number: int) -> IncomingStream[_T] | None:
        """Return the stream a number belongs to, a new one at its first; None beyond the limit."""
        key = stream_key(number)
        stream = self._incoming.get(key)
        if stream is None:
            if not self._room_for(source, key):
                return None
            base = number & ~SEQUENCE_MASK
            stream = IncomingStream(source, channel, base, self._config)
            self._incoming[key] = stream
        stream.channel = channel
        return stream

    @property
    def duplicates(self) -> int:
        """Messages that came again and were dropped, of streams that are remembered."""
        return sum(stream.duplicates for stream in self._incoming.values())

    def acknowledgements(self) -> list[tuple[Atom, Atom, int]]:
        """Return peer, channel and number of each acknowledgement that is due, and take it as sent.

        Ask once for all the messages read at a time.
        """
        due = [
            (stream.source, stream.channel, stream.acknowledgement)
            for stream in self._due.values()
            if stream.last
        ]
        self._due.clear()
        return due

    def _room_for(self, source: Atom, key: int) -> bool:
        keys = self._sources.get(source)
        if keys is None:
            if len(self._sources) >= self._config.incoming_sources and not self._make_room():
                return False
            keys = self._sources[source] = []
        self._departed.pop(source, None)
        if len(keys) >= self._config.incoming_streams:
            former = next((each for each in keys if run_of(each) != run_of(key)), None)
            if former is None:
                return False
            keys.remove(former)
            del self._incoming[former]
            self._due.pop(former, None)
        keys.append(key)
        return True

    def _make_room(self) -> bool:
        """Forget the peer that departed first, if any has."""
        departed = next(iter(self._departed), None)
        if departed is None:
            return False
        del self._departed[departed]
        for key in self._sources.pop(departed):
            del self._incoming[key]
            self._due.pop(key, None)
        return True

    def _new_base(self) -> int:
        base = self._identity.stream(self._next_stream)
        self._next_stream += 1
        return base
