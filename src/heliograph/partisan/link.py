# SPDX-License-Identifier: Apache-2.0
"""One connection: frames in, frames out, and what both may cost.

How it works, for whoever changes it:

*   A link is an asyncio protocol. On other event loops `heliograph.partisan.streams` plays the
    transport's part, so that everything here runs the same everywhere.
*   Reading: all links of a node read into one buffer of 64 KiB, because reading and looking at what
    was read is one step of the event loop. What is left of it, the beginning of a frame, is kept
    and put back in front of the next read. A frame that does not fit gets a buffer of its own,
    which the transport then fills directly; it grows with what has come. So a frame is copied once
    at most on its way, and its contents once more when they become terms.
*   Fairness: whoever filled the buffer has more to say. Its turn is over; it goes on reading when
    everything else that is due has been done.
*   Writing: frames are collected and written together, when the event loop comes round or when 64
    KiB have come together. When the transport has enough, they wait here; `await room()` is how a
    sender learns about it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from struct import Struct
from typing import TYPE_CHECKING, Final, Literal, Protocol, cast

from heliograph.partisan.events import SOCKET_SEND, SOCKET_TAG_MSG

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from heliograph.partisan.fast import Pattern, PlainPattern, RunPattern
    from heliograph.partisan.inbox import Inbox
    from heliograph.partisan.lanes import Lane
    from heliograph.partisan.waiting import MakeWaiter, Waiter
    from heliograph.partisan.wire import Term

__all__ = ["Link", "LinkOwner", "ReadBuffer"]

READ_SIZE: Final = 65_536
"""Bytes one link may read before others have their turn; after the yardstick of the same size."""
WRITE_SIZE: Final = 65_536
"""Bytes that are written at once."""
LARGE: Final = 16_384
"""From this size on writing a message's parts one by one costs less than putting them together."""
_STEP: Final = 65_536
"""Bytes of a large frame that are read or written at once; more would hold up other links."""

_AHEAD: Final = 1_048_576
"""Bytes of a large frame that there is room for before they have come; our choice: whoever only
announces frames costs no more."""

_length: Final = Struct(">I").unpack_from


class ReadBuffer:
    """Where all links of one event loop read into."""

    __slots__ = ("data", "view")

    def __init__(self) -> None:
        self.data: bytearray = bytearray(READ_SIZE)
        self.view: memoryview = memoryview(self.data)


class LinkOwner(Protocol):
    """What a link needs of its node."""

    max_frame: int
    """Bytes a frame may have."""
    max_unsent: int
    """Bytes that may wait in a link before senders wait."""
    read_buffer: ReadBuffer
    make_waiter: MakeWaiter
    noticed: Callable[[], None] | None
    """Called at each read, where somebody wants to know."""

    @property
    def call_soon(self) -> Callable[[Callable[[], object]], object]:
        """What calls a function when the loop comes round."""

    def link_transport(self, link: Link, transport: asyncio.Transport) -> asyncio.Transport:
        """Return what the link is to write to: its transport, or what stands before it in tests."""

    def link_opened(self, link: Link) -> None:
        """The transport is there."""

    def link_closed(self, link: Link, failure: BaseException | None) -> None:
        """The transport is gone; None if it was closed by either side in good order."""

    def link_held(self, link: Link) -> None:
        """The link reads no more until an inbox has room; it is `held` meanwhile."""

    def link_lost(self, link: Link, count: int) -> None:
        """So many frames were not written before the transport was gone."""

    def link_frames(self, link: Link, data: bytes, start: int, end: int) -> int:
        """Take every whole frame of `data[start:end]`; return where the first unfinished begins."""

    def link_took(self, link: Link, data: bytes) -> None:
        """One frame was taken by the link itself."""

    def link_frame(self, link: Link, data: bytearray) -> None:
        """Take one large frame, without its length."""

    def link_oversized(self, link: Link, size: int) -> None:
        """The peer announces a frame larger than `max_frame`."""

    def link_writes(self, link: Link, parts: Sequence[bytes | memoryview]) -> None:
        """These frames are written now; only called if somebody listens to that."""


_SAID: Final = frozenset({"leave", "evicted", "refused", "closed"})
"""Reasons to hang up that a peer is told in its own words before."""


class Link(asyncio.BufferedProtocol):
    """One connection of a node, from the moment it is dialled or accepted.

    Attributes:
        number: Its number, which the node never gives twice.
        side: `"client"` if this node dialled, else `"server"`.
        peer: Name of the node at the other end, as far as it is known.
        early: Messages that came before the peer has said who it is, where that matters.
        patterns: What the last frames looked like.
        plain: What the last message looked like that nobody acknowledges.
        run: What the last run of messages looked like.
        channel: Name of the channel, as far as it is known.
        peer_addr: Address of the other end.
        opened: Monotonic time in nanoseconds at which it was made.
        close_reason: Why this side closes it; None as long as it doesn't.
        unsent: Bytes that wait here to be handed to the transport.
        limit: From how many on senders wait: 0 while others wait already.
        paused: Whether the transport has enough for now.
    """

    __slots__ = (
        "_flush_due",
        "_held_for",
        "_kept",
        "_lanes",
        "_large",
        "_large_filled",
        "_large_size",
        "_newest",
        "_out",
        "_reading",
        "_told",
        "_turn_over",
        "_waiting",
        "_with_large",
        "channel",
        "close_reason",
        "early",
        "limit",
        "number",
        "opened",
        "owner",
        "patterns",
        "paused",
        "peer",
        "peer_addr",
        "plain",
        "run",
        "side",
        "transport",
        "unsent",
    )
    transport: asyncio.Transport

    def __init__(
        self,
        owner: LinkOwner,
        number: int,
        side: Literal["client", "server"],
        opened: int,
        *,
        peer: str | None = None,
        channel: str | None = None,
    ) -> None:
        self.owner: LinkOwner = owner
        self.number: int = number
        self.side: Literal["client", "server"] = side
        self.opened: int = opened
        self.peer: str | None = peer
        self.channel: str | None = channel
        self.peer_addr: str = ""
        self.close_reason: str | None = None
        self.unsent: int = 0
        self.limit: int = owner.max_unsent
        self.paused: bool = True  # until there is a transport
        self.patterns: tuple[Pattern, ...] = ()
        self.plain: PlainPattern | None = None
        self.run: RunPattern | None = None
        self.early: list[tuple[Term, Term]] | None = None
        self._out: list[bytes | memoryview] = []
        self._told = 0
        self._lanes: list[Lane] = []
        self._with_large = False
        self._newest: int | None = None
        self._flush_due = False
        self._waiting: deque[Waiter] = deque()
        self._held_for: set[Inbox] = set()
        self._kept = b""
        self._large: bytearray | None = None
        self._large_filled = self._large_size = 0
        self._turn_over = False
        self._reading = True

    @property
    def open(self) -> bool:
        """Whether frames may still be written."""
        return self.close_reason is None and hasattr(self, "transport")

    # -- Life -------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = self.owner.link_transport(self, cast("asyncio.Transport", transport))
        self.transport.set_write_buffer_limits(high=4 * WRITE_SIZE, low=WRITE_SIZE)
        address = transport.get_extra_info("peername")
        if address:
            host, port = address[0], address[1]
            self.peer_addr = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        self.paused = False
        self.owner.link_opened(self)

    def connection_lost(self, exc: BaseException | None) -> None:
        self.paused = True
        lost = len(self._out)
        for lane in self._lanes:
            lane.spill()
        self._lanes.clear()
        self._out.clear()
        self.unsent = 0
        if self.close_reason is None:
            self.close_reason = "closed" if exc is None else "failure"
        if lost:
            self.owner.link_lost(self, lost)
        self._let_all_go()
        self.owner.link_closed(self, exc)

    def close(self, reason: str) -> None:
        """Hang up after what was written; the reason is that of `partisan.socket.close`."""
        if self.close_reason is None:
            self.flush()
            self.close_reason = reason
            if not hasattr(self, "transport"):
                pass
            elif reason in _SAID and self.side == "client" and self.transport.can_write_eof():
                # The peer is to read the last words before it hears that they were the last: if
                # this side did not read what is under way to it, they would be lost.
                self.transport.write_eof()
            else:
                self.transport.close()
            self._let_all_go()

    def give_up(self, reason: str) -> None:
        """Let nobody write any more; whoever calls it sees to it that the link is closed."""
        self.close_reason = reason
        self._let_all_go()

    def abort(self, reason: str) -> None:
        """Hang up at once; what was not written yet is lost."""
        if self.close_reason is None:
            self.close_reason = reason
        if hasattr(self, "transport"):
            self.transport.abort()

    # -- Writing ----------------------------------------------------------------------------------

    def write(self, frame: bytes) -> bool:
        """Write a whole frame, its length included, soon; tell whether much is under way now.

        Then the caller lets others have their turn. The first frame of the loop's turn does not
        wait for others: who answers a request does not want to.
        """
        if not self._flush_due and not self.unsent and not self.paused:
            self.transport.write(frame)
            self._flush_due = True
            self.owner.call_soon(self._flush_soon)
            if SOCKET_SEND.handlers or SOCKET_TAG_MSG.handlers:
                self.owner.link_writes(self, (frame,))
            return False
        return self._collect(frame)

    def _collect(self, frame: bytes) -> bool:
        self._out.append(frame)
        self.unsent += len(frame)
        if self.unsent >= WRITE_SIZE:
            self.flush()
            return True
        if not self._flush_due:
            self._flush_due = True
            self.owner.call_soon(self._flush_soon)
        return False

    def write_parts(self, head: bytes, body: bytes) -> bool:
        """Write a frame that is large enough for its body not to be copied; else as `write`."""
        self._out.append(head)
        self._with_large = True
        self.unsent += len(head)
        return self._collect(body)

    def fill(self, lane: Lane) -> None:
        """Ask a lane for its frames at the next flush."""
        self._lanes.append(lane)

    def expect(self, size: int) -> bool:
        """Count a frame that a lane will give; else as `write`."""
        self.unsent += size
        if self.unsent >= WRITE_SIZE:
            self.flush()
            return True
        if not self._flush_due:
            self._flush_due = True
            self.owner.call_soon(self._flush_soon)
        return False

    def settle(self) -> None:
        """Let lanes number and store what they were given."""
        lanes, self._lanes = self._lanes, []
        for lane in lanes:
            self._out += lane.frames()

    @property
    def unsettled(self) -> bool:
        """Whether lanes were given what they have not stored yet."""
        return bool(self._lanes)

    def take(self, frames: list[bytes]) -> None:
        """Take the frames of a lane, which were counted when they were expected."""
        self._out += frames

    def write_newest(self, frame: bytes) -> bool:
        """Write a frame in place of the one written so before, if that still waits; tell which."""
        newest = self._newest
        if newest is None:
            self._newest = len(self._out)
            self._collect(frame)
            return False
        self.unsent += len(frame) - len(self._out[newest])
        self._out[newest] = frame
        return True

    def flush(self) -> None:
        """Hand what was collected to the transport, unless that has enough."""
        if self.paused:
            return
        if self._lanes:
            self.settle()
        out = self._out
        if not out:
            self.unsent = 0
            return
        self._newest = None
        if SOCKET_SEND.handlers or SOCKET_TAG_MSG.handlers:
            self.owner.link_writes(self, out[self._told :])
        if self._with_large and self.unsent > _STEP:
            self._write_step()
        else:
            self.unsent = self._told = 0
            if self._with_large:
                self._with_large = False
                self._out = []
                self.transport.writelines(out)
            else:
                data = b"".join(out) if len(out) > 1 else out[0]
                out.clear()
                self.transport.write(data)
        if self._waiting:
            self._let_next_go()

    def _write_step(self) -> None:
        """Hand a part to the transport, the rest in the loop's next turn."""
        out = self._out
        room = _STEP
        whole = 0
        parts: list[bytes | memoryview] = []
        for part in out:
            if len(part) > room:
                break
            parts.append(part)
            room -= len(part)
            whole += 1
        del out[:whole]
        if room:
            rest = memoryview(out[0])
            parts.append(rest[:room])
            out[0] = rest[room:]
        self._told = len(out)
        self.unsent -= _STEP
        self.transport.writelines(parts)
        if not self._flush_due:
            self._flush_due = True
            self.owner.call_soon(self._flush_soon)

    def _flush_soon(self) -> None:
        self._flush_due = False
        self.flush()

    @property
    def full(self) -> bool:
        """Whether senders should wait: much is to be written, or others wait already."""
        return self.unsent >= self.limit

    async def room(self) -> None:
        """Wait until it is one's turn to write, or the link is closed; first come, first served."""
        if self.close_reason is not None:
            return
        waiter = self.owner.make_waiter()
        self._waiting.append(waiter)
        self.limit = 0
        try:
            await waiter.wait()
        except BaseException:
            if waiter in self._waiting:
                self._waiting.remove(waiter)
            self._let_next_go()
            raise
        # When this one has written there may be room for another.
        self.owner.call_soon(self._let_next_go)

    def pause_writing(self) -> None:
        self.paused = True

    def resume_writing(self) -> None:
        self.paused = False
        self.flush()
        self._let_next_go()

    def _let_next_go(self) -> None:
        """Let the sender that waits longest go on, if there is room."""
        most = self.owner.max_unsent
        if self._waiting and self.unsent < most:
            self._waiting.popleft().set()
        if not self._waiting:
            self.limit = most

    def _let_all_go(self) -> None:
        while self._waiting:
            self._waiting.popleft().set()
        self.limit = self.owner.max_unsent

    # -- Reading ----------------------------------------------------------------------------------

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 - asyncio's signature
        if self._large is not None:
            filled = self._large_filled
            if filled == len(self._large):
                self._grow_large(self._large)
            return memoryview(self._large)[filled : filled + _STEP]
        view = self.owner.read_buffer.view
        kept = self._kept
        if kept:
            size = len(kept)
            view[:size] = kept
            return view[size:]
        return view

    def buffer_updated(self, nbytes: int) -> None:
        owner = self.owner
        if owner.noticed is not None:
            owner.noticed()
        if self._large is not None:
            self._fill_large(self._large, nbytes)
            return
        end = len(self._kept) + nbytes
        data = bytes(owner.read_buffer.view[:end])
        # One frame like the last, and nothing else: whoever waits for it is not kept waiting.
        if self.plain is not None and self.plain.take_only(self, data):
            self._kept = b""
            owner.link_took(self, data)
            return
        at = owner.link_frames(self, data, 0, end)
        rest = end - at
        self._kept = data[at:] if rest else b""
        if self.close_reason is not None:
            return
        if rest >= 4:
            (size,) = _length(data, at)
            if size > owner.max_frame:
                owner.link_oversized(self, size)
                return
            if size + 4 > READ_SIZE:
                self._large = bytearray(min(size, _AHEAD))
                self._large_size = size
                self._large_filled = rest - 4
                self._large[: rest - 4] = memoryview(data)[at + 4 :]
                self._kept = b""
        if end == READ_SIZE:
            self._end_turn()

    def _fill_large(self, large: bytearray, nbytes: int) -> None:
        self._large_filled += nbytes
        if self._large_filled == self._large_size:
            self._large = None
            self.owner.link_frame(self, large)
        if nbytes >= READ_SIZE:
            self._end_turn()

    def _grow_large(self, large: bytearray) -> None:
        """Make room for twice as much of a large frame; between two reads, so that it may move."""
        more = bytes(min(self._large_size, 2 * len(large)) - len(large))
        try:
            large += more
        except BufferError:  # a transport looks at the last part still
            self._large = large + more

    def feed(self, data: bytes) -> None:
        """Take what a transport read that has no way to read into `get_buffer`."""
        view = memoryview(data)
        while view:
            with memoryview(self.get_buffer(len(view))) as buffer:  # let go before it grows
                size = min(len(buffer), len(view))
                buffer[:size] = view[:size]
            view = view[size:]
            self.buffer_updated(size)
            if self.close_reason is not None:
                return

    def eof_received(self) -> bool:
        return False  # the transport closes itself

    def _end_turn(self) -> None:
        if not self._turn_over:
            self._turn_over = True
            self._set_reading()
            self.owner.call_soon(self._next_turn)

    def _next_turn(self) -> None:
        self._turn_over = False
        self._set_reading()

    def hold_for(self, inbox: Inbox) -> None:
        """Read no more until an inbox has room again."""
        if inbox not in self._held_for:
            if not self._held_for:
                self.owner.link_held(self)
            self._held_for.add(inbox)

            def let_go() -> None:
                self._held_for.discard(inbox)
                self._set_reading()

            inbox._on_room.append(let_go)
            self._set_reading()

    @property
    def held(self) -> bool:
        """Whether it reads no more because an inbox is full."""
        return bool(self._held_for)

    def _set_reading(self) -> None:
        reading = not (self._turn_over or self._held_for)
        if reading is self._reading or self.close_reason is not None:
            return
        self._reading = reading
        if reading:
            self.transport.resume_reading()
        else:
            self.transport.pause_reading()
