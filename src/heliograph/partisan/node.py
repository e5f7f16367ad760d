# SPDX-License-Identifier: Apache-2.0
"""A node of a cluster: what users hold in their hands."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial
from inspect import iscoroutinefunction
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar

import anyio

from heliograph.partisan.addresses import check_node_name, parse_address
from heliograph.partisan.broadcasts import Broadcasts
from heliograph.partisan.busypoll import BUSY_POLL
from heliograph.partisan.calls import Calls
from heliograph.partisan.channels import check_channels
from heliograph.partisan.discovery.discovering import Discoverer
from heliograph.partisan.discovery.pace import DiscoveryConfig
from heliograph.partisan.driver import Driver
from heliograph.partisan.errors import NodeClosedError, UnknownNodeError
from heliograph.partisan.gauges import Gauges
from heliograph.partisan.joining import JOIN_DEADLINE, Joining
from heliograph.partisan.limits import Admission, Limits
from heliograph.partisan.link import LARGE, WRITE_SIZE
from heliograph.partisan.loops import running_loop
from heliograph.partisan.managers import FullMesh
from heliograph.partisan.members import connections_of, members_of
from heliograph.partisan.messaging import Messaging
from heliograph.partisan.ordering import Ordering
from heliograph.partisan.protocol import ProtocolConfig, inputs
from heliograph.partisan.protocol.effects import (
    CallRequested,
    Connected,
    Monitored,
    PeerDown,
    PeerLeft,
)
from heliograph.partisan.sending import Routes
from heliograph.partisan.telling import Teller, addresses
from heliograph.partisan.watching import Watchers
from heliograph.partisan.wire import Atom, ListenAddr

if TYPE_CHECKING:
    from anyio.abc import TaskGroup

    from heliograph.partisan.channels import Channel
    from heliograph.partisan.discovery import Source
    from heliograph.partisan.faults import Faults
    from heliograph.partisan.inbox import Inbox, Overflow
    from heliograph.partisan.managers import Manager
    from heliograph.partisan.members import Connection, Member
    from heliograph.partisan.processes import Monitor
    from heliograph.partisan.protocol.broadcasting import BroadcastHandler
    from heliograph.partisan.protocol.core import NodeCore
    from heliograph.partisan.protocol.effects import Effect
    from heliograph.partisan.sending import Route
    from heliograph.partisan.tls import Tls
    from heliograph.partisan.watching import (
        Change,
        ChangeKind,
        Changes,
        NodeMonitor,
        Subscription,
    )
    from heliograph.poller import Poller

__all__ = ["Node"]

Part = TypeVar("Part")


class Node:
    """One node: it listens, joins a cluster, and exchanges messages with its members.

        async with Node("py1@127.0.0.1", channels=[Channel("data", 4)]) as node:
            orders = node.register("orders")
            await node.join("n1@127.0.0.1", "127.0.0.1:10200")
            await node.send("n1@127.0.0.1", "sink", b"hello")
            async for message in orders:
                ...

    It runs on asyncio and trio, in the task that enters it; leaving it closes tasks and sockets. It
    does not leave the cluster then: for its members it is down, and a node that comes back under
    its name and address is the same member again.

    Args:
        name: Its name in the cluster, `something@host`.
        listen: Where it listens, `host:port`; several in a sequence. Port 0 takes any free one.
        advertise: Where others reach it, if that is not where it listens.
        channels: Its channels. The default one and the one for membership are always there.
        tls: What connections are encrypted with; None for plain ones.
        admission: Who is let in; everybody if None.
        limits: Bounds of everything.
        protocol: Pace of the protocol.
        state: File that keeps the membership over restarts; None keeps nothing.
        discovery: Where it looks for nodes to join, as long as it runs; see
            `heliograph.partisan.discovery`.
        discovery_config: How often it does.
        trace: Whether messages to nodes of our kind carry trace context, by the core's propagator.
        manager: Chooses whom it is connected to; `FullMesh` if None. It is the same for all nodes
            of a cluster.
        as_original: Whether peers of our kind are treated as Erlang nodes: each message is
            acknowledged by itself, and may come twice. For comparison and for tests.
        busy_poll: Seconds for which the node looks for more after each read before its event loop
            sleeps, while that pays (see `heliograph.partisan.busypoll`); 0 for never, which leaves
            more of the processor to others, and answers later.
        causal_labels: Names of the orders in which messages may be sent; the same at all nodes. See
            `send`.
        faults: For tests: what becomes of the frames it sends, and of its dials. Give all nodes of
            a test the same; see `heliograph.partisan.faults`.

    Attributes:
        name: Its name.
        channels: Its channels, in the order of their names.
        limits: Bounds of everything.
        manager: Chooses whom it is connected to.

    Raises:
        ValueError: A name, an address or a channel is malformed, `busy_poll` is out of range, or
            `state` is given and there is no full mesh, whose membership alone is kept.
    """

    def __init__(
        self,
        name: str,
        *,
        listen: str | Sequence[str] = "127.0.0.1:0",
        advertise: str | Sequence[str] = (),
        channels: Iterable[Channel] = (),
        tls: Tls | None = None,
        admission: Admission | None = None,
        limits: Limits | None = None,
        protocol: ProtocolConfig | None = None,
        state: Path | str | None = None,
        discovery: Iterable[Source] = (),
        discovery_config: DiscoveryConfig | None = None,
        trace: bool = False,
        as_original: bool = False,
        busy_poll: float = BUSY_POLL,
        manager: Manager | None = None,
        faults: Faults | None = None,
        causal_labels: Iterable[str] = (),
    ) -> None:
        if not 0 <= busy_poll <= 0.01:
            raise ValueError(f"busy_poll is {busy_poll!r} s; it must be from 0 to 0.01")
        self.name: str = check_node_name(name)
        self.channels: tuple[Channel, ...] = check_channels(tuple(channels))
        self.limits: Limits = limits or Limits()
        self._listen = [parse_address(each) for each in _several(listen)]
        if not self._listen:
            raise ValueError("listen is empty; a node listens somewhere, for its peers dial it")
        self._advertise = [
            ListenAddr(*parse_address(each, lowest=1)) for each in _several(advertise)
        ]
        self._watchers = Watchers()
        self._teller = Teller(name, self._watchers)
        atom = Atom(name)
        self.manager: Manager = manager or FullMesh()
        if state is not None and not self.manager.mesh:
            raise ValueError("state keeps the membership of a full mesh; other managers have none")
        self._broadcasts = Broadcasts(atom, self.limits, self._teller)
        self._messaging = Messaging(atom, self.limits, self._teller, traced=trace)
        config = protocol or ProtocolConfig()
        handshake = min(config.handshake_timeout, int(self.limits.handshake * 1e9))
        self._driver = Driver(
            atom,
            self.channels,
            limits=self.limits,
            admission=admission or Admission(),
            tls=tls,
            config=replace(config, handshake_timeout=handshake),
            random=random.SystemRandom(),
            state_file=None if state is None else Path(state),
            as_original=as_original,
            busy_poll=round(busy_poll * 1e9),
            faults=faults,
            manager=self.manager,
            teller=self._teller,
            inboxes=self._messaging.inboxes,
            deliver=self._messaging.deliver,
            came=self._broadcasts.hold,
            told=self._told,
        )
        self._messaging.ordering = Ordering(
            atom, causal_labels, config.causal, self._teller, self._messaging.deliver
        )
        self._calls = Calls(self._messaging, traced=trace)
        self._discoverer = Discoverer(
            self, discovery, discovery_config or DiscoveryConfig(), self._driver.random
        )
        self._trace = trace
        self._joining = Joining(self._driver)
        self._entered = False
        self._tasks: TaskGroup
        self._table: dict[str, dict[str | None, Route]] = {}
        self._plain: dict[str, dict[int, bytes]] = {}

    # -- Life -------------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        if self._entered:
            raise NodeClosedError(f"{self.name} was entered before; make a new Node")
        self._entered = True
        self._tasks = anyio.create_task_group()
        await self._tasks.__aenter__()
        try:
            self._loop = loop = running_loop(self._tasks)
            self._routes = Routes(
                self._driver.name,
                self.channels,
                self._driver.links,
                loop.make_waiter,
                traced=self._trace,
                most=self.limits.frame,
            )
            self._table = self._routes.table
            self._plain = self._routes.templates.plain
            await self._driver.start(self._tasks, loop, self._listen, self._advertise, self._routes)
            messaging = self._messaging
            messaging.driver = self._driver
            messaging.routes = self._routes
            messaging.loop = messaging.ordering.loop = loop
            self._core.remote.processes.update(messaging.inboxes)
            self._broadcasts.begin(self._driver)
            self._tasks.start_soon(self._discoverer.run, self._driver.dialler.context)
        except BaseException as failure:
            await self._end(failure)
            raise
        return self

    async def __aexit__(self, kind: object, failure: BaseException | None, trace: object) -> None:
        await self._end(failure)

    async def _end(self, failure: BaseException | None) -> None:
        try:
            self._discoverer.stop()
            await self._driver.stop()
            self._watchers.close()
            if hasattr(self, "_routes"):
                self._routes.close()
            self._messaging.close()
        finally:
            self._tasks.cancel_scope.cancel()
            # A failure of the block is the caller's own and needs no group around it. A
            # cancellation may be the group's own, because a task of the node has failed.
            if isinstance(failure, anyio.get_cancelled_exc_class()):
                await self._tasks.__aexit__(type(failure), failure, failure.__traceback__)
            else:
                await self._tasks.__aexit__(None, None, None)

    @property
    def _core(self) -> NodeCore:
        if not hasattr(self._driver, "core"):
            raise NodeClosedError(f"{self.name} does not run: use it inside `async with`")
        return self._driver.core

    def _running(self, part: Part) -> Part:
        """Return a part of the node that needs it to run.

        Raises:
            NodeClosedError: It does not.
        """
        if not self.running:
            raise NodeClosedError(f"{self.name} does not run: use it inside `async with`")
        return part

    @property
    def running(self) -> bool:
        """Whether it was entered and not left."""
        return hasattr(self._driver, "core") and not self._driver.stopped

    @property
    def knows_all(self) -> bool:
        """Whether `members` are all there are, as in a full mesh, or neighbors alone."""
        return self._core.whole

    @property
    def listen_addrs(self) -> tuple[str, ...]:
        """Where others reach it, with the ports it really has."""
        return tuple(addresses(self._core.spec))

    @property
    def unsaved(self) -> OSError | None:
        """Why the membership is not in its file; None if it is, or if there is no file."""
        return self._driver.unsaved

    def _told(self, effect: Effect) -> None:
        self._joining.told(effect)
        if type(effect) is PeerDown:
            self._messaging.processes.node_down(effect.spec.name)
        elif type(effect) is Connected:
            self._messaging.ordering.met(effect.peer, self._core)
        elif type(effect) is PeerLeft:
            self._messaging.ordering.left(effect.spec.name)
        elif type(effect) is Monitored:
            self._messaging.monitored(effect)
        elif type(effect) is CallRequested:
            # Not at once: the protocol's other effects come first.
            self._loop.call_soon(partial(self._calls.called, effect))

    # -- Membership -------------------------------------------------------------------------------

    async def join(self, name: str, address: str, *, deadline: float = JOIN_DEADLINE) -> None:
        """Join the cluster that a node is a member of; return when this node is a member, too.

        A node that cannot be reached is tried again until the deadline. Messages to be acknowledged
        are accepted for it meanwhile; if it never answers they are told to be lost, by the event
        `partisan.message.dropped` with the reason `departed`. Joining oneself, or a node that is a
        member already, does nothing.

        Args:
            name: The node's name.
            address: Where it listens, `host:port`.
            deadline: Seconds it may take.

        Raises:
            JoinError: The node cannot be reached, has another name or speaks another protocol.
            ValueError: The name or the address is malformed.
        """
        await self._running(self._joining).join(name, address, deadline, "join")

    async def sync_join(self, name: str, address: str, *, deadline: float = JOIN_DEADLINE) -> None:
        """Join, and return when every connection is there, in both directions; else as `join`.

        Of those that an Erlang node makes to this one, the first is enough.

        Raises:
            JoinError: As for `join`; or some connections were not made in time.
        """
        await self._running(self._joining).join(name, address, deadline, "up")

    async def leave(self, name: str | None = None) -> None:
        """Leave the cluster, or remove another node from it.

        Args:
            name: The node to remove; this one if None. This node then goes on as a cluster of one.

        Raises:
            UnknownNodeError: No member has this name.
            NodeClosedError: The node does not run.
        """
        core = self._running(self._core)
        own = name is None or name == self.name
        if name is not None and not own and Atom(name) not in core.peers:
            raise UnknownNodeError(f"{name} is no member; members() tells who is")
        self._driver.do(inputs.Leave(None if name is None else Atom(name)))
        if own:
            await self._driver.settled()

    def members(self) -> list[Member]:
        """Return the members of the cluster, this node included, in the order of their names."""
        return members_of(self._core)

    def connections(self) -> list[Connection]:
        """Return all open connections, in the order in which they were made."""
        return connections_of(self._driver.links)

    def on_up(
        self, node: str | None, callback: Callable[[Change], object], *, channel: str | None = None
    ) -> Subscription:
        """Call back when a node is up, or one of its channels.

        Args:
            node: The node's name; None for every node.
            callback: Called in the event loop with the `Change`; should be quick.
            channel: Name of a channel; None for all connections of the node.

        Raises:
            TypeError: The callback is a coroutine function; `changes` is for those.
        """
        return self._on("up" if channel is None else "channel_up", node, channel, callback)

    def on_down(
        self, node: str | None, callback: Callable[[Change], object], *, channel: str | None = None
    ) -> Subscription:
        """Call back when a node is down, or one of its channels; otherwise as `on_up`."""
        return self._on("down" if channel is None else "channel_down", node, channel, callback)

    def _on(
        self,
        kind: ChangeKind,
        node: str | None,
        channel: str | None,
        callback: Callable[[Change], object],
    ) -> Subscription:
        if iscoroutinefunction(callback):
            raise TypeError(
                f"{callback!r} is a coroutine function, which nobody would await; "
                "iterate over changes() instead"
            )

        def wanted(change: Change) -> bool:
            return (
                change.kind == kind
                and (node is None or change.node == node)
                and change.channel == channel
            )

        return self._watchers.call(wanted, callback)

    def changes(self) -> Changes:
        """Return a stream of whatever becomes of peers from now on."""
        return self._watchers.stream(self.limits.events)

    def poll_with(self, poller: Poller, *, period: float | None = None) -> str:
        """Let a poller tell what is true of the node: connections, and queues of messages.

        Several nodes may share a poller. Remove the measurement when the node is left.

        Args:
            poller: The poller; it may run in the node's event loop, or in a thread of its own.
            period: Seconds between two measurements; the poller's if None.

        Returns:
            The measurement's name.
        """
        return Gauges(self._driver).poll_with(poller, period)

    # -- Broadcasts -------------------------------------------------------------------------------

    def subscribe(
        self,
        name: str,
        *,
        channel: str | None = None,
        capacity: int | None = None,
        overflow: Overflow = "wait",
    ) -> Inbox:
        """Take part in broadcasts of a name: return an inbox for what other nodes broadcast.

            news = node.subscribe("news")
            await node.broadcast("news", b"hello")

        Each message comes once, whatever way it took. Closing the inbox ends it for the
        application; the node still passes on what others broadcast. May be called before the node
        is entered.

        Args:
            name: The name; an Erlang node calls it the handler's module.
            channel: The channel that this node's part of the tree uses; the default one if None.
            capacity: Messages the inbox holds; `Limits.inbox` if None.
            overflow: What it does when it is full; see `Overflow`.

        Raises:
            NameTakenError: The node takes part in them already.
            ValueError: The capacity or the policy is none.
        """
        return self._broadcasts.subscribe(name, channel, capacity, overflow)

    def handle_broadcasts(self, name: str, handler: BroadcastHandler) -> None:
        """Take part in broadcasts by a handler of one's own, as `partisan_plumtree_broadcast` has.

        Args:
            name: The name; an Erlang node calls it the handler's module.
            handler: Says what is new, and what is needed again.

        Raises:
            NameTakenError: The node takes part in them already.
        """
        self._broadcasts.add(name, handler)

    async def broadcast(self, name: str, message: Any) -> None:
        """Send a message to all nodes that take part in broadcasts of a name.

        It goes along the broadcast tree. Return when it was accepted for sending to the next nodes;
        what a node misses it asks for. It waits up to a second for neighbors that do not keep up.

        Args:
            name: The name that was subscribed to, or that a handler was added for.
            message: Any term; for a handler, what its `broadcast_data` takes.

        Raises:
            UnknownHandlerError: The node takes no part in them.
            EncodeError: The message is no term, or too large for a frame.
            NodeClosedError: The node does not run.
        """
        await self._running(self._broadcasts).broadcast(name, message)

    # -- Messages ---------------------------------------------------------------------------------

    def register(
        self, name: str, *, capacity: int | None = None, overflow: Overflow = "wait"
    ) -> Inbox:
        """Return an inbox for the messages that are sent to a name at this node.

        It may be called before the node is entered, so that nothing comes for a name that is not
        there yet.

        Args:
            name: The name.
            capacity: Messages it holds; `Limits.inbox` if None.
            overflow: What it does when it is full; see `Overflow`.

        Raises:
            NameTakenError: The name is registered already.
            ValueError: The capacity or the policy is none.
        """
        return self._messaging.register(name, capacity, overflow)

    async def send(
        self,
        node: str,
        name: Any,
        message: Any,
        *,
        channel: str | None = None,
        partition_key: int | None = None,
        ack: bool = False,
        retransmission: bool = True,
        ttl: int = 4,
        transitive: bool = False,
        causal: str | None = None,
    ) -> None:
        """Send a message to a name at a node; return when it was accepted for sending.

        It waits while a connection has more than it can write, or a peer more than it has
        acknowledged; so a sender is as quick as its receiver.

        Args:
            node: Name of the node, this one included.
            name: Name it is registered under there, or a remote reference.
            message: Any term; see `heliograph.partisan.wire`.
            channel: Name of the channel; the default one if None, or if there is none of the name.
            partition_key: Messages of one key stay in order; None for any connection.
            ack: Keep the message, and send it again, until the receiver has acknowledged it.
            retransmission: Whether it is kept and sent again, if it is to be acknowledged.
            ttl: By how many other nodes it may go, if it is transitive.
            transitive: Whether members of our kind pass it on if there is no connection to the
                node; not if it is to be acknowledged, for then it waits for a connection.
            causal: One of the node's causal labels: the message is delivered after all others of
                the label that this node knew of when it was sent. Better with `ack`, for messages
                behind one that is lost wait for it, as long as `CausalConfig.patience` says.

        Raises:
            UnknownNodeError: No member has this name.
            NotConnectedError: There is no connection, and the message is not one to keep.
            EncodeError: The message is no term, or too large for a frame.
            NodeClosedError: The node does not run.
            ValueError: `ttl` is not above 0, or the node has no such causal label.
        """
        # What nearly all messages are goes without a detour; the rest takes the long way.
        routes = self._table.get(node)
        route = None if routes is None else routes.get(channel)
        if (
            route is None
            or not route.plain
            or type(message) is not bytes
            or not isinstance(name, str)
            or len(message) >= LARGE
            or not route.links
            or not retransmission
            or causal is not None
        ):
            if ttl < 1:
                raise ValueError(f"ttl is {ttl}; a message goes by at least 1 other node")
            await self._messaging.send(
                node,
                name,
                message,
                channel,
                partition_key,
                ack=ack,
                retransmission=retransmission,
                hops=ttl if transitive else 0,
                causal=causal,
            )
            return
        if ack:
            lane = route.lanes.get(route.lane_of(partition_key) if route.lane_count > 1 else 0)
            much: bool | None = None
            if lane is None:
                pass
            elif lane.left > 0 and lane.target == name and lane.size == len(message):
                lane.left -= 1
                lane.pending.append(message)
                wire = lane.link
                wire.unsent += lane.cost
                if wire.unsent < WRITE_SIZE:
                    return
                wire.flush()
                much = True
            else:
                much = lane.add(name, message)
            if lane is None or much is None:
                await self._messaging.send(node, name, message, channel, partition_key, ack=True)
            elif much:
                await self._loop.breathe()
            return
        link = route.only if partition_key is None else None
        if link is None:
            link = route.pick(partition_key)
        if link.unsent >= link.limit:
            await self._messaging.send(node, name, message, channel, partition_key, ack=False)
            return
        try:
            head = self._plain[name][len(message)]
        except KeyError:
            head = self._routes.templates.plain_head(name, len(message))
        if link.write(head + message):
            await self._loop.breathe()

    def try_send(
        self,
        node: str,
        name: Any,
        message: Any,
        *,
        channel: str | None = None,
        partition_key: int | None = None,
        ack: bool = False,
    ) -> bool:
        """Send a message if there is room for it now; else as `send`.

        Returns:
            Whether it was accepted. If not, the connection has more than it can write, or the
            peer has not acknowledged enough.

        Raises:
            UnknownNodeError: No member has this name.
            NotConnectedError: There is no connection, and the message is not one to keep.
            EncodeError: The message is no term, or too large for a frame.
            NodeClosedError: The node does not run.
        """
        return self._messaging.try_send(node, name, message, channel, partition_key, ack=ack)

    async def request(
        self,
        node: str,
        name: Any,
        message: Any,
        *,
        channel: str | None = None,
        deadline: float = 5.0,
    ) -> Any:
        """Send a request and return the reply.

        It is the call of Erlang's `gen_server`, so that a `partisan_gen_server` answers it; an
        inbox of our kind gets a `Request` to reply to.

        Args:
            node: Name of the node.
            name: Name it is registered under there.
            message: Any term.
            channel: Name of the channel; the default one if None.
            deadline: Seconds to wait for the reply.

        Raises:
            NoReplyError: None came in time.
            NotConnectedError: There is no connection to the node, or it is gone meanwhile.
            UnknownNodeError: No member has this name.
            EncodeError: The message is no term, or too large for a frame.
        """
        return await self._messaging.request(node, name, message, channel, deadline)

    async def call(
        self,
        node: str,
        module: str,
        function: str,
        arguments: Iterable[Any] = (),
        *,
        channel: str | None = None,
        deadline: float = 5.0,
    ) -> Any:
        """Call a function of another node and return its result.

        It is the original's `partisan_rpc:call`, so that any function of an Erlang node can be
        called; of a node of our kind those that it serves.

        Args:
            node: Name of the node.
            module: The function's module.
            function: Its name.
            arguments: What it is given, any terms.
            channel: Name of the channel; the default one if None.
            deadline: Seconds to wait for the result.

        Raises:
            CallError: The function failed, or there is none of the name.
            NoReplyError: No result came in time.
            NotConnectedError: There is no connection to the node, or it is gone meanwhile.
            UnknownNodeError: No member has this name.
            EncodeError: An argument is no term, or they are too large for a frame.
        """
        return await self._calls.call(node, module, function, arguments, channel, deadline)

    def serve(self, module: str, function: str, call: Callable[..., Any]) -> Subscription:
        """Let other nodes call a function; close what is returned to end that.

        Args:
            module: The module they call it by.
            function: The name they call it by.
            call: The function, given the arguments as terms; its result is any term. A coroutine
                function may take until the caller's deadline; another should be quick.

        Raises:
            NameTakenError: That is served already.
        """
        return self._calls.serve(module, function, call)

    def monitor(self, node: str, name: str) -> Monitor:
        """Monitor what is registered under a name at another node.

        What is monitored ends if its inbox is closed, its process ends, or its node is down. A node
        is monitored by `monitor_node`.

        Raises:
            NotConnectedError: There is no connection to the node.
            UnknownNodeError: No member has this name.
        """
        return self._messaging.monitor(node, name)

    def monitor_node(self, node: str) -> NodeMonitor:
        """Monitor a node: tell once when it is down, and why.

        A node counts as down if there is no connection to it, whatever it does: at once if there is
        none now, as in the original, or if a partial view does not hold it. Who wants to hear of it
        again and again takes `on_down` or `changes`.

        Args:
            node: The node's name. This node is down when it is left.

        Raises:
            NodeClosedError: The node does not run.
        """
        core = self._running(self._core)
        peer = core.peers.get(Atom(node))
        known = peer is not None and peer.connected and core.is_member(Atom(node))
        return self._watchers.monitor(node, connected=known or node == self.name)


def _several(one_or_more: str | Sequence[str]) -> Sequence[str]:
    return (one_or_more,) if isinstance(one_or_more, str) else one_or_more
