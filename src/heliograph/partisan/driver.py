# SPDX-License-Identifier: Apache-2.0
"""Puts the protocol on real sockets: carries out its effects, and tells it what happened.

Everything here runs in the event loop's thread, and nothing waits but the tasks that dial and the
one that writes the state to disk.
"""

from __future__ import annotations

import logging
import time
import warnings
from collections import Counter, deque
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import anyio

from heliograph.partisan.busypoll import BusyPoll
from heliograph.partisan.channels import DEFAULT_CHANNEL
from heliograph.partisan.dialling import Dialler
from heliograph.partisan.entrance import Entrance
from heliograph.partisan.errors import ListenError, MismatchError
from heliograph.partisan.events import SOCKET_RECV, SOCKET_TAG_MSG
from heliograph.partisan.link import Link, ReadBuffer
from heliograph.partisan.protocol import effects, inputs
from heliograph.partisan.protocol.core import NodeCore
from heliograph.partisan.protocol.overlaid import OverlayCore
from heliograph.partisan.receiving import Receiver
from heliograph.partisan.statefile import StateFile
from heliograph.partisan.templates import framed
from heliograph.partisan.wire import Atom, ChannelSpec, ListenAddr, NodeSpec, encode
from heliograph.partisan.wire.messages import ClientHello, Ping

if TYPE_CHECKING:
    import random
    import ssl
    from asyncio import Transport
    from collections.abc import Callable, Coroutine, Iterator, Sequence, Sized

    from anyio.abc import TaskGroup

    from heliograph.partisan.channels import Channel
    from heliograph.partisan.errors import DecodeError
    from heliograph.partisan.faults import Faults
    from heliograph.partisan.inbox import Inbox
    from heliograph.partisan.limits import Admission, Limits
    from heliograph.partisan.loops import Listener, Loop, Timer
    from heliograph.partisan.managers import Manager
    from heliograph.partisan.protocol.config import ProtocolConfig
    from heliograph.partisan.protocol.effects import Effect
    from heliograph.partisan.protocol.inputs import Input, TimerKey
    from heliograph.partisan.sending import Routes
    from heliograph.partisan.telling import Teller
    from heliograph.partisan.tls import Tls
    from heliograph.partisan.waiting import MakeWaiter
    from heliograph.partisan.wire import Term
    from heliograph.partisan.wire.messages import Message

__all__ = ["Driver", "PlaintextWarning"]

_UNNAMED: Final = 64
"""Messages of the protocol kept of a peer that has not said who it is; our choice."""
_ACCEPTING: Final = 3
"""Turns of the loop until a connection that the listener had accepted already is there."""
_log: Final = logging.getLogger("heliograph.partisan")


class PlaintextWarning(UserWarning):
    """Whoever reaches the node's address may send to every name, and nothing is encrypted."""


class Driver:
    """One node's protocol on one event loop.

    Args:
        name: The node's name.
        channels: Its channels.
        limits: Bounds.
        admission: Who is let in.
        tls: What connections are encrypted with, or None.
        config: Pace of the protocol.
        random: Source of chance.
        state_file: Where the membership is kept over restarts, or None.
        as_original: Whether peers of our kind are treated as Erlang nodes.
        busy_poll: Nanoseconds of polling after a read; 0 for none.
        manager: Chooses whom it is connected to.
        teller: Tells what happens.
        inboxes: By name.
        deliver: Delivers what is not for an inbox.
        came: Called when messages of the protocol were taken from a connection.
        told: Called with every effect that is to be told, after it was.
    """

    def __init__(
        self,
        name: Atom,
        channels: tuple[Channel, ...],
        *,
        limits: Limits,
        admission: Admission,
        tls: Tls | None,
        config: ProtocolConfig,
        random: random.Random,
        state_file: Path | None,
        as_original: bool,
        busy_poll: int,
        faults: Faults | None,
        manager: Manager,
        teller: Teller,
        inboxes: dict[str, Inbox],
        deliver: Callable[[str | None, Term, Term], None],
        came: Callable[[Link], None],
        told: Callable[[Effect], None],
    ) -> None:
        self.name = name
        self.channels = channels
        self.limits = limits
        self.as_original = as_original
        self._busy_poll = busy_poll
        self._faults = faults
        self.max_frame: int = limits.frame
        self.max_unsent: int = limits.unsent
        self.read_buffer: ReadBuffer = ReadBuffer()
        self.links: dict[int, Link] = {}
        self.opened: int = 0
        self.listeners: dict[str, tuple[Listener, int]] = {}
        self._entrance = Entrance(admission, limits, tls)
        self.dialler: Dialler = Dialler(self, self._entrance, faults, teller)
        self._config = config
        self.random = random
        self.stopped: bool = False
        self._state_file = None if state_file is None else StateFile(state_file, teller.unsaved)
        self._teller = teller
        self._deliver = deliver
        self.manager: Manager = manager
        self.mesh: bool = manager.mesh
        self._came = came
        self._told = told
        self._context: ssl.SSLContext | None = None  # of connections that are accepted
        self._tls = tls
        self._receiver = Receiver(self, inboxes)
        self._timers: dict[TimerKey, Timer] = {}
        self.live: set[int] = set()
        self._closing: dict[int, Timer] = {}
        self._unnamed: dict[int, list[Message]] = {}
        # Waited for by all who wait at the same time: a waiter is one task's.
        self._fewer: anyio.Event | None = None
        self._stopping = False

    @property
    def failures(self) -> dict[str, object]:
        """Why each peer cannot be had that failed to answer last."""
        return self.dialler.failures

    def views(self) -> dict[Literal["active", "passive"], int]:
        """Return how many nodes are in each view; of a full mesh, nothing."""
        if not isinstance(self.core, OverlayCore):
            return {}
        overlay = self.core.overlay
        passive: Sized = getattr(overlay, "passive", ())
        return {"active": len(overlay.neighbors), "passive": len(passive)}

    # -- Life -------------------------------------------------------------------------------------

    async def start(
        self,
        tasks: TaskGroup,
        loop: Loop,
        listen: Sequence[tuple[str, int]],
        advertise: Sequence[ListenAddr],
        routes: Routes,
    ) -> None:
        """Listen, and begin.

        Raises:
            ListenError: It cannot listen there.
            OSError: A file of `tls` or the state's cannot be read.
        """
        self._tasks = tasks
        self.loop = loop
        self.make_waiter: MakeWaiter = loop.make_waiter
        self.call_soon: Callable[[Callable[[], object]], object] = loop.call_soon
        self.now: Callable[[], int] = loop.now
        if self._faults is not None:
            self._faults.begin(self.now())
        self.noticed: Callable[[], None] | None = (
            BusyPoll(loop.call_soon, self._busy_poll).read if self._busy_poll else None
        )
        self._routes = routes
        self._to_spawn: deque[
            tuple[Callable[..., Coroutine[Any, Any, None]], tuple[object, ...]]
        ] = deque()
        self._wake_spawner = self.make_waiter()
        tasks.start_soon(self._spawning, name=f"partisan {self.name}")
        if self._tls is not None:
            self._context = self._tls.server_context()
            self.dialler.context = self._tls.client_context()
        state = None if self._state_file is None else self._state_file.load()
        found: list[ListenAddr] = []
        for host, port in listen:
            found += await self._listen(host, port)
        spec = NodeSpec(
            self.name,
            tuple(advertise or found),
            tuple(
                ChannelSpec(Atom(each.name), each.parallelism, each.monotonic, each.compression)
                for each in self.channels
            ),
        )
        await self.manager.prepare()
        self.core: NodeCore = self._made(spec, state)
        self.core.trees.congested = self._congested
        if self.as_original:
            # An actor as the original's: nobody recognises it.
            self.core.identity = replace(self.core.identity, actor=self.random.randbytes(20))
        self.delivery: Any = self.core.delivery
        routes.core = self.core
        self._teller.configured(self.channels)
        self.do(inputs.Start())
        # Not before: whoever dials at once, as all do after a restart, is to find a node.
        for address, (listener, _) in self.listeners.items():
            with self._listening(address):
                await listener.serve()

    def _made(self, spec: NodeSpec, state: Term) -> NodeCore:
        now = self.now()
        offset = time.time_ns() - now
        if self.manager.mesh:
            return NodeCore(
                spec, config=self._config, random=self.random, state=state, system_offset=offset
            )
        return OverlayCore(
            spec,
            self.manager.overlay,
            config=self._config,
            random=self.random,
            system_offset=offset,
            now=now,
        )

    def _congested(self, number: int) -> bool:
        link = self.links.get(number)
        return link is not None and link.unsent >= self.max_unsent

    @contextmanager
    def _listening(self, where: str) -> Iterator[None]:
        try:
            yield
        except (OSError, OverflowError) as error:
            raise ListenError(
                f"{self.name} cannot listen at {where}: {error}; choose another address, or port 0"
            ) from error

    async def _listen(self, host: str, port: int) -> list[ListenAddr]:
        context = self._context
        with self._listening(f"{host}:{port}"):
            listener = await self.loop.listen(
                host, port, self._new_link, context, self.limits.handshake
            )
        found = []
        for at, number in listener.addresses:
            address = ListenAddr(at.partition("%")[0], number)
            found.append(address)
            if context is None and not ip_address(address.host).is_loopback:
                warnings.warn(
                    f"{self.name} listens at {address} without TLS: whoever reaches it can send to "
                    "every name; give tls=, or listen at a loopback address",
                    PlaintextWarning,
                    stacklevel=2,
                )
            self._teller.opened(str(address), tls=context is not None)
            self.listeners[str(address)] = (listener, self.now())
        return found

    async def stop(self) -> None:
        """Hang up on everybody and wait until that is done, for as long as the limit allows."""
        self._stopping = True
        for listener, _ in self.listeners.values():
            listener.pause()
        if self.listeners:
            with anyio.CancelScope(shield=True):
                for _ in range(_ACCEPTING):
                    await self.loop.breathe()
        for address, (listener, opened) in self.listeners.items():
            listener.close()
            self._teller.listener_closed(address, "shutdown", self.now() - opened)
        self.listeners.clear()
        if hasattr(self, "core"):
            self.do(inputs.Stop())
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        self.dialler.give_all_up()
        for link in [*self.links.values()]:
            if link.close_reason is None:
                self._close(link, "shutdown")
        with anyio.move_on_after(self.limits.closing, shield=True):
            await self.dialler.settled()
            await self._all_gone()
            await self.saved()
        self.dialler.cut()
        for link in [*self.links.values()]:
            if not self.dialler.is_closing(link):
                link.abort("shutdown")
        with anyio.move_on_after(1.0, shield=True):
            await self._all_gone()
        self.dialler.abort()
        for timer in self._closing.values():
            timer.cancel()
        self.stopped = True
        if hasattr(self, "core"):
            owed: Counter[tuple[str, str]] = Counter()
            for stream in self.core.delivery.streams():
                owed[str(stream.peer), str(stream.channel)] += len(stream)
            for (peer, channel), count in owed.items():
                if count:
                    self._teller.dropped("shutdown", count, peer=peer, channel=channel)

    @property
    def unsaved(self) -> OSError | None:
        """Why the membership is not on disk; None if it is, or is not to be."""
        return None if self._state_file is None else self._state_file.failure

    async def saved(self) -> None:
        """Wait until the membership is on disk, if it is kept there."""
        if self._state_file is not None:
            await self._state_file.saved(self.make_waiter)

    async def settled(self) -> None:
        """Wait until everybody is gone on whom was hung up, for as long as the limit allows."""
        with anyio.move_on_after(self.limits.closing):
            await self._all_gone()

    async def _all_gone(self) -> None:
        while not self.dialler.idle or any(
            link.close_reason is not None for link in self.links.values()
        ):
            await self.one_less()

    async def one_less(self) -> None:
        """Wait until there is one less to wait for."""
        self._fewer = fewer = self._fewer or anyio.Event()
        await fewer.wait()

    def spawn(self, function: Callable[..., Coroutine[Any, Any, None]], *arguments: object) -> None:
        """Start a task.

        A callback of the loop may ask for it, where anyio knows no loop; so a task does it.
        """
        self._to_spawn.append((function, arguments))
        self._wake_spawner.set()

    async def _spawning(self) -> None:
        while True:
            while self._to_spawn:
                function, arguments = self._to_spawn.popleft()
                self._tasks.start_soon(function, *arguments)
            self._wake_spawner = self.make_waiter()
            await self._wake_spawner.wait()

    # -- The protocol -----------------------------------------------------------------------------

    def do(self, happened: Input) -> None:
        """Tell the protocol what happened, and carry out what it wants done."""
        for link in self.links.values():
            if link.unsettled:
                link.settle()  # the protocol is to know of every message that was accepted
        for effect in self.core.handle(happened, self.now()):
            self._carry_out(effect)

    def _carry_out(self, effect: Effect) -> None:
        match effect:
            case effects.Write(number, message):
                link = self.links.get(number)
                if link is not None:
                    link.write(framed(encode(message.term())))
            case effects.WriteAll(numbers, message):
                frame = framed(encode(message.term()))
                for number in numbers:
                    link = self.links.get(number)
                    if link is not None:
                        link.write(frame)
            case effects.SetTimer() | effects.Dial() if self._stopping:
                pass  # nothing is begun any more
            case effects.SetTimer(key, at):
                self._cancel(key)
                self._timers[key] = self.loop.call_at(at, partial(self._fired, key))
            case effects.CancelTimer(key):
                self._cancel(key)
            case effects.Dial():
                self.dialler.begin(effect)
            case effects.Hangup(number, reason):
                self._hang_up(number, reason)
            case effects.Transmit(peer, channel, _, messages, number):
                self._routes.transmit(peer, channel, messages, self.links.get(number))
            case effects.Persist(state):
                if self._state_file is not None and self._state_file.keep(state):
                    self.spawn(self._state_file.write)
            case effects.Connected(number, peer, channel, dialled):
                self._connected(number, peer, channel, dialled=dialled)
            case effects.Deliver(target, message, source):
                self._deliver(source, target, message)
            case effects.PeerJoined(spec):
                self._teller.joined(spec)
            case effects.PeerLeft(spec):
                self.failures.pop(spec.name, None)
                self._routes.left(spec.name)
                self._teller.left(spec)
            case effects.PeerUp(spec):
                self._teller.up(spec)
            case effects.PeerDown(spec, reason, downs):
                self._routes.changed(spec.name)
                self._teller.down(spec, reason, downs)
            case effects.ChannelUp(peer, channel, parallelism):
                self._teller.channel_up(peer, channel, parallelism)
            case effects.ChannelDown(peer, channel, parallelism, reason):
                self._routes.changed(peer)
                self._teller.channel_down(peer, channel, parallelism, reason)
            case effects.Heartbeat(number, latency):
                link = self.links.get(number)
                if link is not None:
                    self._teller.heartbeat(link, latency)
            case effects.Suspected(peer, timeout):
                self._teller.suspected(peer, timeout)
            case effects.Judged():
                self._teller.judged(effect)
            case effects.Undelivered(peer, channel, payloads):
                self._teller.dropped("departed", len(payloads), peer=peer, channel=channel)
            case effects.NeighborDown(spec, reason):
                self._routes.changed(spec.name)
                self._teller.neighbor_down(spec, reason)
            case effects.Forgotten(peer):
                self._routes.left(peer)
            case effects.Mismatched(peer, setting, own, theirs):
                if setting == "manager":
                    self.dialler.fail(peer, MismatchError(setting, own, theirs))
                self._teller.mismatched(effect)
            case _:
                self._teller.tell(effect)
        self._told(effect)

    def _cancel(self, key: TimerKey) -> None:
        timer = self._timers.pop(key, None)
        if timer is not None:
            timer.cancel()

    def _fired(self, key: TimerKey) -> None:
        self._timers.pop(key, None)
        self.do(inputs.Fired(key))

    # -- Dialling and accepting -------------------------------------------------------------------

    def _new_link(self) -> Link:
        return Link(self, self.core.new_connection(), "server", self.now())

    def link_transport(self, link: Link, transport: Transport) -> Transport:
        """Return what a link is to write to."""
        if self._faults is None:
            return transport
        from heliograph.partisan.faulty import FaultyTransport

        return FaultyTransport(
            transport, link, self.name, self._faults, self.now, self.loop.call_at
        )

    def link_opened(self, link: Link) -> None:
        """A connection is there."""
        number = link.number
        if link.side == "client" and number not in self.live:
            self.dialler.ended(link, "cancelled")
            self.dialler.close(link, "shutdown")  # hung up on while it was dialled
            return
        self.links[number] = link
        self.opened += 1
        if link.side == "client":
            if not self._entrance.may_be(link, link.peer or ""):
                self._refuse(link)
            else:
                self.do(inputs.Dialled(number))
            return
        if not self._entrance.accepts(link) or self._stopping:
            link.abort("shutdown" if self._stopping else "refused")
            return
        if self._entrance.strict:
            link.early = []
        self.live.add(number)
        self.do(inputs.Accepted(number))

    def _refuse(self, link: Link) -> None:
        self._hang_up(link.number, "refused")
        self.do(inputs.Disconnected(link.number, "failure"))

    def _connected(self, number: int, peer: Atom, channel: Atom, *, dialled: bool) -> None:
        link = self.links.get(number)
        if link is None:
            return
        link.peer, link.channel = str(peer), str(channel)
        if dialled:
            self.dialler.ended(link, None)
            self._routes.changed(peer)

    def _hang_up(self, number: int, reason: str) -> None:
        self.live.discard(number)
        self.dialler.give_up(number)
        link = self.links.get(number)
        if link is not None and link.close_reason is None and self._close(link, reason):
            at = self.now() + int(self.limits.closing * 1e9)
            self._closing[number] = self.loop.call_at(at, partial(link.abort, reason))
        if link is not None and link.peer is not None:
            self._routes.changed(Atom(link.peer))

    def _close(self, link: Link, reason: str) -> bool:
        """Close a link once what was written is out; tell whether that may last."""
        # What breaks the protocol has been said, so the peer has said something.
        if self.dialler.waits_for(link) and reason != "protocol_error":
            self.dialler.close(link, reason)
            return False
        link.close(reason)
        return True

    def link_closed(self, link: Link, failure: BaseException | None) -> None:
        """A connection is gone."""
        number = link.number
        self.dialler.closed(number)
        if self.links.pop(number, None) is None:
            return
        self._unnamed.pop(number, None)
        timer = self._closing.pop(number, None)
        if timer is not None:
            timer.cancel()
        if link.side == "server":
            self._entrance.closed(link)
        reason = link.close_reason or "closed"
        # What the transport says when this side hangs up is beside the point.
        self.dialler.ended(link, failure if failure and reason == "failure" else reason)
        self._teller.closed(link, self.now() - link.opened)
        if number in self.live:
            self.live.discard(number)
            self.do(inputs.Disconnected(number, reason))
        self.gone()

    def gone(self) -> None:
        """Note that there is one less to wait for before the node ends."""
        if self._fewer is not None:
            self._fewer.set()
            self._fewer = None

    # -- Reading and writing ----------------------------------------------------------------------

    def link_frames(self, link: Link, data: bytes, start: int, end: int) -> int:
        """Take the frames that were read; return where the first unfinished one begins."""
        number = link.number
        if number not in self.live:
            self.dialler.heard(link)
            return end
        self.core.touch(number, self.now())
        at = self._receiver.frames(link, data, start, end)
        if SOCKET_RECV.handlers or SOCKET_TAG_MSG.handlers:
            self._teller.read(link, data, start, at)
        return at

    def link_took(self, link: Link, data: bytes) -> None:
        """Note a frame that the link took itself."""
        if link.number in self.live:
            self.core.touch(link.number, self.now())
        if SOCKET_RECV.handlers or SOCKET_TAG_MSG.handlers:
            self._teller.read(link, data, 0, len(data))

    def link_frame(self, link: Link, data: bytearray) -> None:
        """Take one large frame."""
        if link.number in self.live:
            self.core.touch(link.number, self.now())
            if SOCKET_RECV.handlers or SOCKET_TAG_MSG.handlers:
                self._teller.read_large(link, data)
            self._receiver.frame(link, data)

    def link_held(self, link: Link) -> None:
        """Keep a connection alive that is not read now, because an inbox is full.

        Its peer's pings are not seen meanwhile, and would time out. It sends none as long as it
        hears of us, and ours are answered when the connection is read again.
        """
        self.loop.call_at(
            self.now() + self._config.idle_timeout // 3, partial(self._keep_alive, link)
        )

    def _keep_alive(self, link: Link) -> None:
        if link.held and link.number in self.live:
            now = self.now()
            self.core.touch(link.number, now)
            ping = Ping(self.name, self.core.reference(), time.time_ns() // 1_000_000)
            link.write(framed(encode(ping.term())))
            self.link_held(link)

    def link_lost(self, link: Link, count: int) -> None:
        """Frames were not written before the connection was gone."""
        self._teller.dropped("disconnected", count, peer=link.peer, channel=link.channel)

    def link_oversized(self, link: Link, size: int) -> None:
        """A peer announces more than is allowed: it is of another protocol, or means no good."""
        self._fail(link, f"a frame of {size} bytes is announced; {self.max_frame} are allowed")

    def link_writes(self, link: Link, parts: Sequence[bytes | memoryview]) -> None:
        """Frames are written, and somebody listens to that."""
        self._teller.written(link, b"".join(parts))

    def control(self, link: Link, messages: tuple[Message, ...]) -> None:
        """Hand messages to the protocol."""
        if link.peer is None and self._entrance.strict:
            # Nobody is believed before it is known who it is, and that it is let in.
            waiting = self._unnamed.setdefault(link.number, [])
            waiting += messages[: _UNNAMED - len(waiting)]
            if not any(type(message) is ClientHello for message in waiting):
                return
            messages = tuple(self._unnamed.pop(link.number))
        if link.peer is None:
            for message in messages:
                if type(message) is ClientHello and not self._entrance.may_be(link, message.node):
                    link.peer = str(message.node)
                    link.channel = str(message.channel)
                    self._refuse(link)
                    return
        self.do(inputs.Received(link.number, messages))
        self._came(link)
        if link.early is not None and link.peer is not None:
            early, link.early = link.early, None
            for target, content in early:
                self._deliver(link.peer, target, content)

    def deliver(self, link: Link, target: Term, message: Term) -> None:
        """Deliver a message that is not for an inbox, or not a plain one."""
        self._deliver(link.peer, target, message)

    def misbehaved(self, link: Link, error: DecodeError) -> None:
        """Note bytes that are no term. A peer that we know sent one wrongly; another is none."""
        if link.peer is None:
            self._fail(link, str(error))
        else:
            self._teller.dropped("undecodable", peer=link.peer, channel=link.channel)

    def _fail(self, link: Link, why: str) -> None:
        number = link.number
        _log.warning(
            "%s: connection %d with %s is given up: %s",
            self.name,
            number,
            link.peer or link.peer_addr,
            why,
        )
        self._hang_up(number, "protocol_error")
        self.do(inputs.Disconnected(number, "protocol_error"))

    def write_on(self, peer: str, channel: str | None, frames: bytes) -> None:
        """Write frames to a peer on one of our connections; without one they are lost."""
        numbers = self.core.route(Atom(peer), Atom(channel or DEFAULT_CHANNEL))
        if numbers:
            link = self.links.get(numbers[0])
            if link is not None:
                link.write(frames)

    def acknowledged(self, numbers: list[int]) -> None:
        """Note acknowledgements, and let those go on who wait for room."""
        now = self.now()
        delivery = self.core.delivery
        first, count = numbers[0], len(numbers)
        if (
            count > 1
            and numbers[-1] - first == count - 1
            and numbers == [*range(first, first + count)]
        ):
            stream = delivery.acknowledged_run(first, count, now)
            if stream is not None:
                self._routes.room(stream)
            return
        for number in numbers:
            stream = delivery.acknowledged(number, now)
            if stream is not None:
                self._routes.room(stream)
