# SPDX-License-Identifier: Apache-2.0
"""Messages to and from a node's applications, beyond what the fast ways take care of."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

import anyio

from heliograph import propagator
from heliograph.partisan.errors import (
    NameTakenError,
    NodeClosedError,
    NoReplyError,
    NotConnectedError,
    UnknownNodeError,
)
from heliograph.partisan.events import MESSAGE_DROPPED, MESSAGE_SEND
from heliograph.partisan.inbox import Inbox, Traced
from heliograph.partisan.lanes import Lane, stored_frame
from heliograph.partisan.ordering import is_causal
from heliograph.partisan.processes import Monitor, PendingReply, Processes, Request
from heliograph.partisan.protocol import inputs
from heliograph.partisan.sending import no_key
from heliograph.partisan.templates import checked, framed
from heliograph.partisan.wire import Atom, decode, encode
from heliograph.partisan.wire.messages import AckedForward, Call, Clock
from heliograph.partisan.wire.refs import RemoteRef, target

if TYPE_CHECKING:
    from heliograph.partisan.driver import Driver
    from heliograph.partisan.inbox import Overflow
    from heliograph.partisan.limits import Limits
    from heliograph.partisan.link import Link
    from heliograph.partisan.loops import Loop
    from heliograph.partisan.ordering import Ordering
    from heliograph.partisan.protocol.effects import Monitored
    from heliograph.partisan.sending import Route, Routes
    from heliograph.partisan.telling import Teller
    from heliograph.partisan.wire import Term

__all__ = ["Messaging"]

_PADDED: Final = Atom("$partisan_padded")
_CONTEXT: Final = Atom("heliograph_context")
"""What stands where the original has padding, before messages that carry trace context."""


class Messaging:
    """The messages of one node.

    Args:
        name: The node's name.
        limits: Bounds.
        teller: Tells of messages that are lost.
        traced: Whether messages carry trace context.
    """

    driver: Driver
    routes: Routes
    loop: Loop
    ordering: Ordering

    def __init__(self, name: Atom, limits: Limits, teller: Teller, *, traced: bool) -> None:
        self.name = name
        self.inboxes: dict[str, Inbox] = {}
        self.processes: Processes = Processes(name)
        self.limits = limits
        self._teller = teller
        self._traced = traced
        self._unkept = 0

    # -- Inboxes ----------------------------------------------------------------------------------

    def register(self, name: str, capacity: int | None, overflow: Overflow) -> Inbox:
        """Make an inbox; see `Node.register`."""
        if name in self.inboxes:
            raise NameTakenError(f"{self.name} has registered {name!r} already; close that first")
        inbox = Inbox(
            name,
            node=self.name,
            capacity=self.limits.inbox if capacity is None else capacity,
            overflow=overflow,
            on_drop=self._dropped,
            on_close=self._unregister,
        )
        self.inboxes[name] = inbox
        if hasattr(self, "driver"):
            self.driver.core.remote.processes.add(name)
        return inbox

    def _unregister(self, inbox: Inbox) -> None:
        del self.inboxes[inbox.name]
        if hasattr(self, "driver") and not self.driver.stopped:
            self.driver.do(inputs.EndProcess(inbox.name))

    def _dropped(self, name: str, count: int) -> None:
        self._teller.dropped("inbox_full", count, target=name)

    def deliver(self, peer: str | None, to: Term, message: Term) -> None:
        """Deliver a message to whomever it is for."""
        whom = target(to)
        carrier = None
        match message:
            case ("$partisan_padded", ("heliograph_context", dict(pairs)), inner):
                carrier = _carrier(pairs)
                message = inner
            case ("$partisan_padded", _, inner):
                message = inner
            case _:
                pass
        if is_causal(message) and self.ordering.came(peer, to, message):
            return
        if whom is not None and whom.kind == "name":
            inbox = self.inboxes.get(whom.id)
            if inbox is not None:
                match message:
                    case ("$gen_call", (process, tag), question):
                        item = self._asked(process, tag, question)
                        message = message if item is None else item
                    case _:
                        pass
                if carrier is not None:
                    message = Traced(message, carrier, peer)
                inbox._put(message)
                return
        elif whom is not None and (
            self.process_down(whom.id, message) or self.processes.take(whom.id, message)
        ):
            return
        text = "nobody" if whom is None else whom.id
        self._teller.dropped("unknown_name", peer=peer, target=text[:255])

    def _asked(self, process: Term, tag: Term, question: Term) -> Request | None:
        try:
            to = RemoteRef.parse(process)
        except ValueError:
            return None
        return Request(question, to, tag, self._reply)

    def _reply(self, to: RemoteRef, message: Term) -> bool:
        if to.node == self.name:
            self.deliver(self.name, to.target.term(), decode(encode(message)))
            return True
        route = self.routes.find(to.node, None)
        if route is None:
            return False
        if route.links:
            self.routes.write(route, route.pick(None), to.target.term(), message)
            return True
        # It has just been heard of: the answer waits for the connection, as what is acknowledged.
        return self._attempt_acked(route, to.target.term(), message, None) is not False

    # -- Sending ----------------------------------------------------------------------------------

    def route(self, node: str, channel: str | None) -> Route:
        """Return where messages to a node go.

        Raises:
            NodeClosedError: The node does not run.
            UnknownNodeError: No member has this name.
        """
        self._check_running()
        route = self.routes.find(node, channel)
        if node == self.name:
            raise UnknownNodeError(
                f"{node} is this node itself, and no peer of it; of its own names, send, try_send"
                " and request alone know"
            )
        if route is None:
            raise UnknownNodeError(
                f"{node} is no member of the cluster {self.name} is in; members() tells who is"
                if self.driver.mesh
                else f"{node} is no neighbor of {self.name}; transitive=True sends by way of others"
            )
        return route

    def _check_running(self) -> None:
        if not hasattr(self, "driver") or self.driver.stopped:
            raise NodeClosedError(f"{self.name} does not run: send inside `async with`")

    def _reached(self, node: str, channel: str | None) -> bool:
        """Tell whether there is a connection to a node, if this one runs."""
        if not hasattr(self, "driver") or self.driver.stopped:
            return True
        route = self.routes.find(node, channel)
        return route is not None and bool(route.links)

    def _own_inbox(self, to: Term) -> Inbox | None:
        whom = target(_destination(to))
        return None if whom is None or whom.kind != "name" else self.inboxes.get(whom.id)

    def to_self(self, to: Term, message: Term) -> None:
        """Deliver a message to an application of this node, as if it had come from another.

        Raises:
            NodeClosedError: The node does not run.
        """
        self._check_running()
        to, message = decode(encode((_destination(to), message)))  # type: ignore[misc] # a pair
        self.deliver(self.name, to, message)

    async def send(
        self,
        node: str,
        to: Term,
        message: Term,
        channel: str | None,
        partition_key: int | None,
        *,
        ack: bool,
        retransmission: bool = True,
        hops: int = 0,
        causal: str | None = None,
    ) -> None:
        """Send a message whichever way, waiting for room if need be.

        Args:
            node: As for `Node.send`, and so are those not named here.
            to: To whom.
            message: What.
            channel: By which channel.
            partition_key: By which of its connections.
            ack: Whether it is acknowledged.
            retransmission: Whether it is kept and sent again until then.
            hops: By how many other nodes it may go if there is no connection; 0 for none.
            causal: The label that it is ordered by.
        """
        if causal is not None:
            message = self._ordered(causal, node, to, message, channel, ack=ack)
        if node == self.name:
            inbox = self._own_inbox(to)
            while inbox is not None and inbox._full:
                room = self.loop.make_waiter()
                inbox._on_room.append(room.set)
                await room.wait()
            self.to_self(to, message)
            return
        if not ack and hops and not self._reached(node, channel):
            checked(message, self.limits.frame)
            self.driver.do(inputs.Relay(Atom(node), _destination(to), message, hops))
            return
        route = self.route(node, channel)
        to = _destination(to)
        if ack and not retransmission:
            await self._send_unkept(route, to, message, partition_key)
        elif not self._traced:
            await self._send(route, to, message, partition_key, ack=ack)
        else:
            with MESSAGE_SEND(**self._about(route, to, ack=ack)):
                message = self._with_context(route, message)
                await self._send(route, to, message, partition_key, ack=ack)

    def _ordered(
        self, label: str, node: str, to: Term, message: Term, channel: str | None, *, ack: bool
    ) -> Term:
        """Return a causal message. Others wait for it: what could keep it back is found first."""
        if node != self.name:
            route = self.route(node, channel)
            if not ack:
                self._link(route, None)
            if self._traced:
                message = self._with_context(route, message)
        checked(message, self.limits.frame)
        return self.ordering.sent(label, node, _destination(to), message)

    def try_send(
        self,
        node: str,
        to: Term,
        message: Term,
        channel: str | None,
        partition_key: int | None,
        *,
        ack: bool,
    ) -> bool:
        """Send a message if there is room for it now; tell whether."""
        if node == self.name:
            inbox = self._own_inbox(to)
            if inbox is not None and inbox._full:
                return False
            self.to_self(to, message)
            return True
        route = self.route(node, channel)
        to = _destination(to)
        attempt = self._attempt_acked if ack else self._attempt
        if not self._traced:
            return attempt(route, to, message, partition_key) is not False
        with MESSAGE_SEND(**self._about(route, to, ack=ack)):
            message = self._with_context(route, message)
            return attempt(route, to, message, partition_key) is not False

    async def _send_unkept(self, route: Route, to: Term, message: Term, key: int | None) -> None:
        """Ask for an acknowledgement, in the original's form, and wait for none."""
        if not route.acknowledges:
            raise _unheard(route)
        checked(message, self.limits.frame)
        link = self._link(route, key)
        if link.full:
            await link.room()
            link = self._link(self.route(route.peer, str(route.channel)), key)
        self._unkept = (self._unkept + 1) & 0x7FFF_FFFF
        clock = Clock(Atom("undefined"), ((self.name, self._unkept),))
        if link.write(framed(encode(AckedForward(self.name, clock, to, message).term()))):
            await self.loop.breathe()

    def _link(self, route: Route, key: int | None) -> Link:
        if route.links:
            return route.pick(_key(key))
        raise NotConnectedError(
            f"there is no connection to {route.peer} now; it is being dialled. "
            "With ack=True the message is kept until there is"
        )

    def _about(self, route: Route, to: Term, *, ack: bool) -> dict[str, Any]:
        return {
            "node": self.name,
            "peer": str(route.peer),
            "channel": str(route.channel),
            "target": _text(to),
            "acknowledged": ack,
        }

    def _with_context(self, route: Route, message: Term) -> Term:
        if self.driver.core.delivery.run(route.peer) is None:
            return message
        carrier: dict[str, str] = {}
        propagator().inject(carrier)
        if not carrier:
            return message
        pairs: dict[Term, Term] = {key.encode(): text.encode() for key, text in carrier.items()}
        return _PADDED, (_CONTEXT, pairs), message

    async def _send(
        self, route: Route, to: Term, message: Term, key: int | None, *, ack: bool
    ) -> None:
        done: Link | bool
        if ack:
            while not (done := self._attempt_acked(route, to, message, key)):
                lane = self.routes.lane(route, key)
                await self.routes.wait(lane.stream if isinstance(lane, Lane) else lane)
                route = self.route(route.peer, str(route.channel))
        else:
            done = self._attempt(route, to, message, key)
            if not done:
                await route.pick(key).room()
                route = self.route(route.peer, str(route.channel))
                done = self._attempt(route, to, message, key, granted=True)
        if done is not True:
            await self.loop.breathe()

    def _attempt(
        self, route: Route, to: Term, message: Term, key: int | None, *, granted: bool = False
    ) -> Link | bool:
        """Send a message if there is room: give the link if much is under way on it then."""
        link = self._link(route, key)
        if link.full and not granted and not route.monotonic:
            return False
        much, superseded = self.routes.write(route, link, to, message)
        if superseded and MESSAGE_DROPPED.handlers:
            self._teller.dropped("superseded", peer=str(route.peer), channel=str(route.channel))
        return link if much else True

    def _attempt_acked(self, route: Route, to: Term, message: Term, key: int | None) -> Link | bool:
        if not route.acknowledges:
            raise _unheard(route)
        lane = self.routes.lane(route, _key(key))
        if isinstance(lane, Lane):
            much = lane.add(to, message)
            if much is None:
                return False
            return lane.link if much else True
        if not lane.room:
            return False
        templates = self.routes.templates
        stored = (None, templates.tail(to, message))
        size = len(stored_frame(templates, lane.base, stored))
        lane.offer(stored, size, time.monotonic_ns(), sent=False)
        return True

    # -- Requests and monitors --------------------------------------------------------------------

    async def request(
        self, node: str, to: Term, message: Term, channel: str | None, seconds: float
    ) -> Term:
        """Send a request and wait for the reply; see `Node.request`."""
        self._check_running()
        ref = self.processes.new()
        core = self.driver.core
        tag = core.remote.new_reference(self.driver.random, alias=True)
        pending = PendingReply(node, tag, self.loop.make_waiter())
        self.processes.ask(ref, pending)
        try:
            with anyio.fail_after(seconds):
                call = Call((ref.term(), tag), message).term()
                await self.send(node, to, call, channel, None, ack=False)
                return await pending.wait()
        except TimeoutError:
            raise NoReplyError(
                f"{node} sent no reply to {_text(_destination(to))!r} within {seconds:g} s"
            ) from None
        finally:
            self.processes.end(ref)

    def monitor(self, node: str, to: str) -> Monitor:
        """Monitor a process elsewhere; see `Node.monitor`."""
        self.route(node, None)
        where = RemoteRef(Atom(node), "name", to)
        ref = self.processes.new()
        monitor = Monitor(node, to, self.loop.make_waiter, lambda it: self._demonitor(ref, it))
        self.processes.monitors[ref.id] = monitor
        self.driver.do(inputs.Monitor(Atom(node), ref.term(), where.term()))
        return monitor

    def _demonitor(self, ref: RemoteRef, monitor: Monitor) -> None:
        self.processes.end(ref)
        if monitor.reference is not None and not monitor.ended and not self.driver.stopped:
            try:
                self.driver.do(inputs.Demonitor(Atom(monitor.peer), ref.term(), monitor.reference))
            except (UnknownNodeError, NotConnectedError):
                return  # then nobody there knows of it any more
        monitor._ended(Atom("demonitored"))

    def monitored(self, effect: Monitored) -> None:
        """Note the answer to a request for a monitor."""
        number = RemoteRef.parse(effect.caller).id
        monitor = self.processes.monitors.get(number)
        if monitor is None:
            return
        if effect.reference is None:
            monitor._ended(Atom("noproc"))
        else:
            monitor.reference = effect.reference

    def process_down(self, number: str, message: Any) -> bool:
        """Take the notice that a monitored process has ended; tell whether it is one."""
        match message:
            case ("DOWN", _, "process", _, reason):
                monitor = self.processes.monitors.get(number)
                if monitor is None:
                    return False
                monitor._ended(reason)
                return True
            case _:
                return False

    def close(self) -> None:
        """Let nobody wait any more."""
        failure = NodeClosedError(f"{self.name} was left")
        self.ordering.close()
        self.processes.close(failure)
        for inbox in [*self.inboxes.values()]:
            inbox.close()


def _destination(to: Term) -> Term:
    """Return the form on the wire of what a user addresses a message to."""
    if isinstance(to, RemoteRef):
        return to.target.term()
    if type(to) is str:
        return Atom(to)
    return to


def _key(key: Any) -> int | None:
    if key is not None and not isinstance(key, int):
        raise no_key(key)
    return key


def _text(to: Term) -> str:
    whom = target(to)
    return "" if whom is None else str(whom.id)


def _carrier(pairs: dict[Any, Any]) -> dict[str, str]:
    try:
        return {key.decode(): text.decode() for key, text in pairs.items()}
    except (AttributeError, UnicodeDecodeError):
        return {}


def _unheard(route: Route) -> NotConnectedError:
    return NotConnectedError(
        f"{route.peer} is an Erlang node of an overlay: those acknowledge nothing, and take harm "
        "from who asks them to. Send with ack=False"
    )
