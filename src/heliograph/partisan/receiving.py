# SPDX-License-Identifier: Apache-2.0
"""What comes over the connections: found in the bytes, and given to whom it is for.

Messages for applications are delivered from here; all else is the protocol's, and handed to it in
one piece for each read.
"""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING, Any, Final, Protocol

from heliograph.partisan.errors import DecodeError
from heliograph.partisan.fast import (
    AckedPattern,
    AckPattern,
    OneByOnePattern,
    PlainPattern,
    RunPattern,
    number_field,
)
from heliograph.partisan.protocol.identity import is_ours
from heliograph.partisan.protocol.streams import Verdict
from heliograph.partisan.templates import NUMBER_SIZE, RUN_MARK, framed
from heliograph.partisan.wire import Atom, decode, decode_forward, encode
from heliograph.partisan.wire.messages import (
    Ack,
    AckedForward,
    Clock,
    Forward,
    parse,
    parse_forward,
)
from heliograph.partisan.wire.refs import target

if TYPE_CHECKING:
    from collections.abc import Callable

    from heliograph.partisan.fast import Pattern
    from heliograph.partisan.inbox import Inbox
    from heliograph.partisan.link import Link
    from heliograph.partisan.protocol.delivery import Delivery
    from heliograph.partisan.wire import Term
    from heliograph.partisan.wire.messages import Message

__all__ = ["Receiver", "ReceiverOwner"]

_length: Final = Struct(">I").unpack_from
_PATTERNS: Final = 2
"""Patterns of one connection: messages one way are often mixed with acknowledgements of others."""
_LONGEST_PATTERN: Final = 32_768
_BINARY: Final = 109
_EARLY: Final = 64
"""Messages kept of a peer that sends some before it says who it is; our choice."""


class ReceiverOwner(Protocol):
    """What the receiver needs of its node."""

    name: Atom
    delivery: Delivery[Any]
    as_original: bool
    """Whether peers of our own kind are treated as Erlang nodes."""

    def now(self) -> int:
        """Return the monotonic time in nanoseconds."""

    def control(self, link: Link, messages: tuple[Message, ...]) -> None:
        """Hand messages to the protocol."""

    def deliver(self, link: Link, target: Term, message: Term) -> None:
        """Deliver a message that is not for an inbox, or not a plain one."""

    def misbehaved(self, link: Link, reason: DecodeError) -> None:
        """End a connection that cannot be understood any more."""

    def write_on(self, peer: str, channel: str | None, frames: bytes) -> None:
        """Write frames to a peer on one of our connections; without one they are lost."""

    def acknowledged(self, numbers: list[int]) -> None:
        """Note acknowledgements."""


class Receiver:
    """Finds messages in what was read."""

    def __init__(self, owner: ReceiverOwner, inboxes: dict[str, Inbox]) -> None:
        self._owner = owner
        self._inboxes = inboxes
        self._owing = False  # whether acknowledgements of our own kind may be due
        self._ack_heads: dict[tuple[str, int], tuple[bytes, bytes]] = {}

    def frames(self, link: Link, data: bytes, at: int, end: int) -> int:
        """Take every whole frame; return where the first unfinished one begins."""
        owner = self._owner
        control: list[Message] = []
        matches = data.startswith
        after = at
        try:
            while end - at >= 4:
                for pattern in link.patterns:
                    if matches(pattern.head, at):
                        after = pattern.take(link, data, at, end)
                        if after != at:
                            at = after
                            self._owing = self._owing or pattern.owes
                            break
                else:
                    (size,) = _length(data, at)
                    after = at + 4 + size
                    if after > end:
                        break
                    self._frame(link, data, at + 4, after, control)
                    at = after
                    if link.close_reason is not None:
                        return end
        except DecodeError as error:
            if control:
                owner.control(link, tuple(control))
            owner.misbehaved(link, error)
            if link.close_reason is not None:
                return end
            return self.frames(link, data, after, end)
        if control:
            owner.control(link, tuple(control))
        if self._owing:
            self._acknowledge()
        return at

    def frame(self, link: Link, data: bytearray) -> None:
        """Take one large frame, without its length."""
        control: list[Message] = []
        try:
            head = bytes(memoryview(data)[:512])
            binary = _large_binary(head, len(data))
            if binary is None:
                self._frame(link, bytes(data), 0, len(data), control)
            else:
                name, at = binary
                self._deliver(link, name, bytes(memoryview(data)[at:]))
        except DecodeError as error:
            self._owner.misbehaved(link, error)
            return
        if control:
            self._owner.control(link, tuple(control))
        if self._owing:
            self._acknowledge()

    def _acknowledge(self) -> None:
        self._owing = False
        owner = self._owner
        for peer, channel, number in owner.delivery.acknowledgements():
            owner.write_on(peer, channel, self._ack(peer, number))

    # -- One frame --------------------------------------------------------------------------------

    def _frame(self, link: Link, data: bytes, start: int, end: int, control: list[Message]) -> None:
        if link.run is not None and link.run.take(link, data, start, end):
            self._owing = True
            return
        found = decode_forward(data, start, end) if link.side == "server" else None
        if found is not None:
            name, payload = found
            if name in self._inboxes:
                self._deliver(link, name, payload)
                if type(payload) is bytes:
                    self._learn_plain(link, data, start, end, name, len(payload))
                return
            message = parse_forward(name, payload)
        else:
            message = parse(decode(data[start:end]))
        kind = type(message)
        if link.side == "client":
            # Whom we dialled sends nothing but the protocol's own frames over this connection.
            control.append(message)
        elif kind is Forward and link.early is not None:
            self._deliver(link, message.to, message.message)  # type: ignore[attr-defined]
        elif kind is AckedForward:
            self._acked(link, data, start, end, message)  # type: ignore[arg-type]
        elif kind is Ack:
            self._ack_came(link, data, start, end, message)  # type: ignore[arg-type]
        else:
            control.append(message)

    def _deliver(self, link: Link, to: Term, message: Term) -> None:
        if link.early is not None:
            if len(link.early) < _EARLY:
                link.early.append((to, message))
            return
        if type(message) is not tuple and type(to) is Atom:
            inbox = self._inboxes.get(to)
            if inbox is not None:
                inbox._put(message)
                if inbox._full:
                    link.hold_for(inbox)
                return
        self._owner.deliver(link, to, message)
        inbox = self._inbox(to)
        if inbox is not None and inbox._full:
            link.hold_for(inbox)

    def _inbox(self, to: Term) -> Inbox | None:
        """Return the inbox that a destination stands for."""
        if type(to) is Atom:
            return self._inboxes.get(to)
        whom = target(to)
        return None if whom is None or whom.kind != "name" else self._inboxes.get(whom.id)

    def _acked(self, link: Link, data: bytes, start: int, end: int, message: AckedForward) -> None:
        owner = self._owner
        if link.early is not None:
            return  # it comes again when we know who sends it
        counts = message.clock.counts
        ours = (
            not owner.as_original
            and len(counts) == 1
            and counts[0][0] == message.source
            and is_ours(counts[0][1])
        )
        if not ours:
            self._deliver(link, message.to, message.message)
            frame = framed(encode(Ack(message.clock).term()))
            owner.write_on(message.source, link.channel, frame)
            self._learn_acked(link, data, start, end, message, ours=False)
            return
        number = counts[0][1]
        channel = Atom(link.channel or "undefined")
        match message.message:
            case ("$heliograph_run", list(messages)):
                size = (end - start) // max(1, len(messages))
                for each, content in enumerate(messages, number):
                    item = (message.to, content)
                    self._one_acked(link, message.source, channel, each, item, size)
                self._learn_run(link, data, start, end, message.to, message.source, number)
                return
            case _:
                pass
        item = (message.to, message.message)
        if self._one_acked(link, message.source, channel, number, item, end - start):
            self._learn_acked(link, data, start, end, message, ours=True)

    def _one_acked(
        self,
        link: Link,
        source: Atom,
        channel: Atom,
        number: int,
        item: tuple[Term, Term],
        size: int,
    ) -> bool:
        """Deliver an acknowledged message of our own kind if it is due; tell whether it was."""
        owner = self._owner
        self._owing = True
        if owner.delivery.accept(source, channel, number, item, size) is not Verdict.DELIVER:
            return False
        self._deliver(link, *item)
        stream = owner.delivery.incoming(source, channel, number)
        if stream is not None and stream.held:
            for target, held in stream.released():
                self._deliver(link, target, held)
        return True

    def _ack_came(self, link: Link, data: bytes, start: int, end: int, message: Ack) -> None:
        owner = self._owner
        counts = message.clock.counts
        if len(counts) != 1 or counts[0][0] != owner.name:
            return
        number = counts[0][1]
        owner.acknowledged([number])
        digits = number.to_bytes(16, "little") if is_ours(number) else b""
        at = data.rfind(digits, start, end) if digits else -1
        if at == end - 17 and at > 0:
            self._learn(link, AckPattern(data[start - 4 : at], end - start + 4, owner.acknowledged))

    # -- Learning ---------------------------------------------------------------------------------

    def _learn(self, link: Link, pattern: Pattern) -> None:
        others = [each for each in link.patterns if each.head != pattern.head]
        link.patterns = (pattern, *others[: _PATTERNS - 1])

    def _learn_plain(
        self, link: Link, data: bytes, start: int, end: int, name: Atom, size: int
    ) -> None:
        inbox = self._inboxes.get(name)
        at = end - size
        if link.early is not None:
            return  # what follows is not to be delivered yet either
        if inbox is not None and size < _LONGEST_PATTERN and data[at - 5] == _BINARY and start >= 4:
            link.plain = PlainPattern(data[start - 4 : at], end - start + 4, inbox)
            self._learn(link, link.plain)

    def _learn_acked(
        self, link: Link, data: bytes, start: int, end: int, message: AckedForward, *, ours: bool
    ) -> None:
        owner = self._owner
        target, payload = message.to, message.message
        if type(payload) is not bytes or type(target) is not Atom or start < 4:
            return
        inbox = self._inboxes.get(target)
        size = len(payload)
        counts = message.clock.counts
        if inbox is None or size >= _LONGEST_PATTERN or len(counts) != 1:
            return
        body = end - size
        # Where the number's digits are is found by looking for the whole clock.
        clock = encode((message.clock.label, [*counts]))[1:]
        at = data.find(clock, start, body)
        if at < 0 or data[body - 5] != _BINARY:
            return
        field = number_field(data, at + len(clock) - 1 - _number_size(counts[0][1]))
        if field is None:
            return
        digits, width = field
        whole = end - start + 4
        head = data[start - 4 : digits]
        if ours:
            stream = owner.delivery.incoming(
                message.source, Atom(link.channel or "undefined"), counts[0][1]
            )
            if stream is not None and width == 16:
                between = data[digits + 6 : body]
                self._learn(link, AckedPattern(head, between, whole, inbox, stream, owner.delivery))
            return
        between = data[digits + width : body]
        acknowledge = self._acknowledger(message.source, message.clock, width)
        self._learn(link, OneByOnePattern(head, width, between, whole, inbox, acknowledge))

    def _learn_run(
        self,
        link: Link,
        data: bytes,
        start: int,
        end: int,
        target: Term,
        source: Atom,
        number: int,
    ) -> None:
        inbox = self._inboxes.get(target) if type(target) is Atom else None
        digits = data.find(number.to_bytes(NUMBER_SIZE, "little"), start, end)
        mark = data.find(RUN_MARK, start, end)
        channel = Atom(link.channel or "undefined")
        stream = self._owner.delivery.incoming(source, channel, number)
        if inbox is not None and 0 < digits < mark and stream is not None:
            between = data[digits + NUMBER_SIZE : mark + len(RUN_MARK)]
            head = data[start:digits]
            link.run = RunPattern(head, between, inbox, stream, self._owner.delivery)

    # -- Acknowledging ----------------------------------------------------------------------------

    def _ack(self, peer: Atom, number: int) -> bytes:
        """Return the frame that acknowledges a number of our own kind."""
        head, tail = self._ack_parts(peer, Clock(Atom("undefined"), ((peer, number),)), 16)
        return head + number.to_bytes(16, "little") + tail

    def _ack_parts(self, peer: str, clock: Clock, width: int) -> tuple[bytes, bytes]:
        """Return what lies before and after the digits of an acknowledgement's number."""
        found = self._ack_heads.get((peer, width))
        if found is None:
            frame = framed(encode(Ack(clock).term()))
            found = frame[: -1 - width], frame[-1:]
            if len(self._ack_heads) >= 4096:
                self._ack_heads.clear()
            self._ack_heads[peer, width] = found
        return found

    def _acknowledger(
        self, peer: str, clock: Clock, width: int
    ) -> Callable[[Link, list[bytes]], None]:
        head, tail = self._ack_parts(peer, clock, width)
        between = tail + head
        write_on = self._owner.write_on

        def acknowledge(link: Link, numbers: list[bytes]) -> None:
            write_on(peer, link.channel, head + between.join(numbers) + tail)

        return acknowledge


_FORWARD_BYTES: Final = b"\x83h\x03w\x0fforward_message"
_FORWARD_LATIN: Final = b"\x83h\x03d\x00\x0fforward_message"


def _number_size(number: int) -> int:
    """Return how many bytes an integer's external form has."""
    return len(encode(number)) - 1


def _large_binary(head: bytes, size: int) -> tuple[Atom, int] | None:
    """Return name and offset if a large frame is one binary for a name, as its first bytes tell."""
    if head.startswith(_FORWARD_BYTES):
        at = len(_FORWARD_BYTES)
    elif head.startswith(_FORWARD_LATIN):
        at = len(_FORWARD_LATIN)
    else:
        return None
    tag = head[at]
    if tag == 119:
        begin, after = at + 2, at + 2 + head[at + 1]
    elif tag == 100:
        begin, after = at + 3, at + 3 + (head[at + 1] << 8) + head[at + 2]
    else:
        return None
    if after + 5 > len(head) or head[after] != _BINARY:
        return None
    if int.from_bytes(head[after + 1 : after + 5], "big") != size - after - 5:
        return None
    try:
        name = head[begin:after].decode("utf-8" if tag == 119 else "latin-1")
    except UnicodeDecodeError:
        return None
    return Atom(name), after + 5
