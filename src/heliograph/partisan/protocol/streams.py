# SPDX-License-Identifier: Apache-2.0
"""Streams of messages to be acknowledged: one lane of one channel, seen from either end.

Messages of a stream are numbered in sequence; `identity` says how. What a stream does among our own
kind and what towards an Erlang node is said in `delivery`.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from enum import IntEnum
from itertools import islice, repeat
from typing import TYPE_CHECKING, Final, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from heliograph.partisan.wire import Atom

__all__ = ["DeliveryConfig", "IncomingStream", "OutgoingStream", "Verdict"]

_T = TypeVar("_T")

_MOST_DOUBLINGS: Final = 16


@dataclass(frozen=True, slots=True)
class DeliveryConfig:
    """Bounds and pace of acknowledged delivery. Times are in nanoseconds."""

    window_messages: int = 16_384
    """Unacknowledged messages that a stream keeps; our choice, some 20 ms of a fast sender."""
    window_bytes: int = 32 * 1024 * 1024
    """Bytes of unacknowledged messages that a stream keeps; our choice."""
    retransmit_interval: int = 1_000_000_000
    """How long to wait for an acknowledgement; `retransmit_interval` of the original, 1000 ms."""
    retransmit_limit: int = 8_000_000_000
    """Longest such wait while a peer is silent; our choice: the original never waits longer."""
    retransmit_burst: int = 256
    """Messages of one stream sent again at a time; our choice: the original sends all of them."""
    held_messages: int = 16_384
    """Early messages that a stream holds; our choice, a sender's window of our kind."""
    held_bytes: int = 64 * 1024 * 1024
    """Their bytes, one message excepted; our choice, twice a sender's window of our kind."""
    incoming_streams: int = 4_096
    """Streams remembered of one peer, beyond which those of a former run go; our choice."""
    incoming_sources: int = 4_096
    """Peers whose streams are remembered, beyond which those that have left go; our choice."""


class Verdict(IntEnum):
    """What to do with a message that came."""

    DELIVER = 0
    """Give it to its receiver, then those that `IncomingStream.released` yields."""
    HELD = 1
    """It came early and waits for those before it; it will be released after them."""
    DUPLICATE = 2
    """It was delivered before: drop it, and acknowledge again, for the acknowledgement was lost."""
    REFUSED = 3
    """It came too early to be held: drop it without acknowledgement; it will be sent again."""


class OutgoingStream(Generic[_T]):
    """What one lane of one channel still owes to a peer.

    Attributes:
        peer: The receiver's name.
        channel: The channel's name.
        lane: Which of the channel's lanes; messages of one partition key share one.
        base: A message's number is this plus its sequence.
        cumulative: Whether an acknowledgement stands for all messages before it too.
        bytes: Bytes unacknowledged.
        accepted: Messages taken so far.
        delivered: Messages acknowledged so far.
        delivered_bytes: Their bytes.
        retransmitted: Messages sent again so far.
        retransmitted_bytes: Their bytes.
        unsent: Messages never sent yet, the last ones taken.
        unsent_bytes: Their bytes.
    """

    __slots__ = (
        "_config",
        "_first",
        "_payloads",
        "_progress_at",
        "_silence",
        "_sizes",
        "_times",
        "accepted",
        "base",
        "bytes",
        "channel",
        "cumulative",
        "delivered",
        "delivered_bytes",
        "lane",
        "peer",
        "retransmitted",
        "retransmitted_bytes",
        "unsent",
        "unsent_bytes",
    )

    def __init__(
        self,
        peer: Atom,
        channel: Atom,
        lane: int,
        base: int,
        config: DeliveryConfig,
        *,
        cumulative: bool = False,
    ) -> None:
        self.peer: Atom = peer
        self.channel: Atom = channel
        self.lane: int = lane
        self.base: int = base
        self.cumulative: bool = cumulative
        self.bytes: int = 0
        self.accepted: int = 0
        self.delivered: int = 0
        self.delivered_bytes: int = 0
        self.retransmitted: int = 0
        self.retransmitted_bytes: int = 0
        self.unsent: int = 0
        self.unsent_bytes: int = 0
        self._config = config
        # Payloads and sizes of consecutive sequences, from `_first` on. Where each message is
        # acknowledged by itself, some among them are already: those without a time of sending.
        self._first = 1
        self._payloads: deque[_T] = deque()
        self._sizes: deque[int] = deque()
        self._times: dict[int, int] = {}
        self._progress_at = 0
        self._silence = 0  # how often something was sent again since the last acknowledgement

    def __len__(self) -> int:
        """Messages unacknowledged."""
        return len(self._payloads if self.cumulative else self._times)

    @property
    def room(self) -> int:
        """Messages that may be offered now; 0 if the window is used up."""
        if self.bytes >= self._config.window_bytes:
            return 0
        return max(0, self._config.window_messages - len(self._payloads))

    def room_for(self, size: int) -> int:
        """Return how many messages of so many bytes may be offered now; the last may exceed it."""
        left = self._config.window_bytes - self.bytes
        return max(0, min(self.room, -(-left // size)))

    @property
    def next_sequence(self) -> int:
        """Sequence of the message that is offered next; its number is `base` more."""
        return self._first + len(self._payloads)

    def offer(self, payload: _T, size: int, now: int, *, sent: bool = True) -> int:
        """Take a message and return its number, or 0 if the window is used up.

        Args:
            payload: What to send, and to send again.
            size: Bytes it counts for.
            now: Nanoseconds of a clock that never goes back.
            sent: Whether it is sent at once; if not, `resend` has it when there is a connection.
        """
        if not self.room:
            return 0
        return self.offer_many((payload,), size, now, sent=sent)

    def offer_many(self, payloads: Sequence[_T], size: int, now: int, *, sent: bool = True) -> int:
        """Take several messages, as many as `room_for` says at most; return the first one's number.

        Args:
            payloads: At least one; as for `offer`.
            size: Bytes that each of them counts for.
            now: As for `offer`.
            sent: As for `offer`.
        """
        count = len(payloads)
        if not self._payloads:
            self._progress_at = now
        first = self._first + len(self._payloads)
        self._payloads.extend(payloads)
        self._sizes.extend(repeat(size, count))
        if not self.cumulative:
            self._times.update(zip(range(first, first + count), repeat(now), strict=False))
        self.bytes += size * count
        self.accepted += count
        if self.unsent or not sent:
            self.unsent += count
            self.unsent_bytes += size * count
        return self.base + first

    def acknowledge(self, number: int, now: int) -> int:
        """Forget what an acknowledgement stands for; return how many messages that were."""
        sequence = number - self.base
        payloads, sizes = self._payloads, self._sizes
        if self.cumulative:
            count = sequence - self._first + 1
            if not 0 < count <= len(payloads):
                return 0
            size = sum(islice(sizes, count))
            for _ in repeat(None, count):
                payloads.popleft()
                sizes.popleft()
            self._first = sequence + 1
        else:
            if self._times.pop(sequence, None) is None:
                return 0
            count = 1
            size = sizes[sequence - self._first]
            while payloads and self._first not in self._times:
                payloads.popleft()
                sizes.popleft()
                self._first += 1
        if self.unsent > len(payloads):  # it was sent after all, by a driver that did not say so
            self.unsent = len(payloads)
            self.unsent_bytes = sum(sizes)
        self.bytes -= size
        self.delivered += count
        self.delivered_bytes += size
        self._progress_at = now
        self._silence = 0
        return count

    def acknowledge_run(self, number: int, count: int, now: int) -> int:
        """Do what `acknowledge` does for several numbers in a row, each acknowledged by itself."""
        sequence = number - self.base
        times = self._times
        run = range(sequence, sequence + count)
        if self.cumulative or sequence != self._first or not all(map(times.__contains__, run)):
            return sum(self.acknowledge(number + each, now) for each in range(count))
        # All but the last in one go; that one also sees what was acknowledged before its turn.
        size = sum(islice(self._sizes, count - 1))
        for each in run[:-1]:
            del times[each]
            self._payloads.popleft()
            self._sizes.popleft()
        self._first += count - 1
        self.bytes -= size
        self.delivered += count - 1
        self.delivered_bytes += size
        return count - 1 + self.acknowledge(number + count - 1, now)

    def unacknowledged(self) -> Iterator[tuple[int, _T]]:
        """Yield what is unacknowledged with its number, oldest first."""
        for sequence, payload in enumerate(self._payloads, self._first):
            if self.cumulative or sequence in self._times:
                yield self.base + sequence, payload

    def due(self, now: int) -> list[tuple[int, _T]]:
        """Return what must be sent again by now, oldest first, and count it as sent again.

        Of a stream among our own kind that is the oldest part, once nothing was acknowledged for an
        interval; to an Erlang node each message that waited an interval for itself. The interval
        doubles, up to a limit, as long as nothing at all is acknowledged.
        """
        config = self._config
        interval = config.retransmit_interval << min(self._silence, _MOST_DOUBLINGS)
        since = now - min(interval, max(config.retransmit_limit, config.retransmit_interval))
        if self.cumulative:
            if self._progress_at > since:
                return []
            chosen = islice(range(len(self._payloads)), config.retransmit_burst)
        else:
            waited = (at - self._first for at, time in self._times.items() if time <= since)
            chosen = islice(waited, config.retransmit_burst)
        again = self._send_again(list(chosen), now)
        self._silence += bool(again)
        return again

    def resend(self, now: int) -> list[tuple[int, _T]]:
        """Return what a new connection must carry, oldest first, and count it as sent.

        Among our own kind that is all that is unacknowledged: what arrived before is dropped there.
        To an Erlang node it is what was never sent; the rest waits for its interval, lest it arrive
        twice.
        """
        start = 0 if self.cumulative else len(self._payloads) - self.unsent
        return self._send_again(list(range(start, len(self._payloads))), now)

    def renumber(self, base: int, *, cumulative: bool) -> None:
        """Number what is unacknowledged anew from `base`, for a peer that knows nothing of it."""
        kept = [
            index
            for index in range(len(self._payloads))
            if self.cumulative or self._first + index in self._times
        ]
        times = [self._times.get(self._first + index, self._progress_at) for index in kept]
        payloads, sizes = list(self._payloads), list(self._sizes)
        self._payloads = deque([payloads[index] for index in kept])
        self._sizes = deque([sizes[index] for index in kept])
        self._times = {} if cumulative else dict(enumerate(times, 1))
        self._first = 1
        self.base = base
        self.cumulative = cumulative

    def drop(self) -> list[_T]:
        """Forget all that is unacknowledged and return it, because its receiver has gone."""
        payloads = [payload for _, payload in self.unacknowledged()]
        self._first += len(self._payloads)
        self._payloads.clear()
        self._sizes.clear()
        self._times.clear()
        self.bytes = self.unsent = self.unsent_bytes = 0
        return payloads

    def _send_again(self, chosen: list[int], now: int) -> list[tuple[int, _T]]:
        """Return the chosen messages, given as offsets from the first, in order."""
        payloads, sizes = self._payloads, self._sizes
        fresh = len(payloads) - self.unsent
        first = self._first
        again = []
        for index in chosen:
            again.append((self.base + first + index, payloads[index]))
            if index < fresh:
                self.retransmitted += 1
                self.retransmitted_bytes += sizes[index]
            else:
                self.unsent -= 1
                self.unsent_bytes -= sizes[index]
            if not self.cumulative:
                self._times[first + index] = now
        self._progress_at = now
        return again


class IncomingStream(Generic[_T]):
    """What came of one stream of one peer, so that nothing is delivered twice or out of order.

    Attributes:
        source: The sender's name.
        channel: The channel its acknowledgements go back on: that of its last message.
        base: A message's number is this plus its sequence.
        last: Sequence delivered last, 0 before the first.
        duplicates: Messages that came again.
    """

    __slots__ = ("_bytes", "_config", "_held", "base", "channel", "duplicates", "last", "source")

    def __init__(self, source: Atom, channel: Atom, base: int, config: DeliveryConfig) -> None:
        self.source: Atom = source
        self.channel: Atom = channel
        self.base: int = base
        self.last: int = 0
        self.duplicates: int = 0
        self._held: dict[int, tuple[_T, int]] = {}
        self._bytes = 0
        self._config = config

    @property
    def held(self) -> int:
        """Messages that came early."""
        return len(self._held)

    def accept(self, number: int, payload: _T, size: int = 0) -> Verdict:
        """Say what becomes of a message. It is kept here only if the answer is `HELD`.

        Args:
            number: Its number.
            payload: The message.
            size: Bytes that it took on its way.
        """
        sequence = number - self.base
        last = self.last
        if sequence == last + 1:
            self.last = sequence
            return Verdict.DELIVER
        if sequence <= last:
            self.duplicates += 1
            return Verdict.DUPLICATE
        if sequence in self._held:
            self.duplicates += 1
            return Verdict.HELD
        config = self._config
        if len(self._held) >= config.held_messages or (
            self._held and self._bytes + size > config.held_bytes
        ):
            return Verdict.REFUSED
        self._held[sequence] = payload, size
        self._bytes += size
        return Verdict.HELD

    def released(self) -> Iterator[_T]:
        """Yield the messages held that are in order now. Ask after each `DELIVER`."""
        held = self._held
        while self.last + 1 in held:
            self.last += 1
            payload, size = held.pop(self.last)
            self._bytes -= size
            yield payload

    @property
    def acknowledgement(self) -> int:
        """Number that acknowledges all delivered so far, 0 if that is none."""
        return self.base + self.last if self.last else 0
