# SPDX-License-Identifier: Apache-2.0
"""Which connections messages take, and how many may be under way."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from heliograph.partisan.channels import DEFAULT_CHANNEL
from heliograph.partisan.lanes import Lane, stored_frame
from heliograph.partisan.link import LARGE
from heliograph.partisan.templates import Templates, deflated, framed
from heliograph.partisan.wire import Atom

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from heliograph.partisan.channels import Channel
    from heliograph.partisan.link import Link
    from heliograph.partisan.protocol.core import NodeCore
    from heliograph.partisan.protocol.streams import OutgoingStream
    from heliograph.partisan.waiting import MakeWaiter, Waiter
    from heliograph.partisan.wire import Term

__all__ = ["Route", "Routes", "no_key"]

_ZLIB_DEFAULT: Final = 6


class Route:
    """The connections of one channel to one peer.

    Attributes:
        peer: The peer's name.
        channel: The channel's name.
        links: The connections that plain messages take.
        only: The connection, if it is one.
        lane_links: Those that acknowledged messages take.
        plain: Whether a binary is written as it is: with no trace context, neither compressed nor
            superseded.
        monotonic: Whether only the newest message counts.
        level: zlib's, or 0.
        lane_count: Lanes of acknowledged messages: as many as the channel should have connections.
        lanes: Those that were used.
        acknowledges: Whether the peer acknowledges messages.
    """

    __slots__ = (
        "_turn",
        "acknowledges",
        "channel",
        "lane_count",
        "lane_links",
        "lanes",
        "level",
        "links",
        "monotonic",
        "only",
        "peer",
        "plain",
    )

    def __init__(
        self,
        peer: Atom,
        own: Channel,
        links: tuple[Link, ...],
        lane_links: tuple[Link, ...],
        lane_count: int,
        *,
        acknowledges: bool,
        traced: bool,
    ) -> None:
        self.peer: Atom = peer
        self.channel: Atom = Atom(own.name)
        self.links: tuple[Link, ...] = links
        self.lane_links: tuple[Link, ...] = lane_links
        self.only: Link | None = links[0] if len(links) == 1 else None
        self.monotonic: bool = own.monotonic
        self.level: int = _ZLIB_DEFAULT if own.compression is True else int(own.compression)
        self.plain: bool = not self.monotonic and not self.level and not traced
        self.lane_count: int = lane_count
        self.acknowledges: bool = acknowledges
        self.lanes: dict[int, Lane] = {}
        self._turn = 0

    def pick(self, key: int | None) -> Link:
        """Return the connection for a partition key, or the next one; there must be some.

        Raises:
            TypeError: The key is no integer.
        """
        links = self.links
        if key is None:
            self._turn = turn = self._turn + 1
            return links[turn % len(links)]
        try:
            return links[key % len(links)]
        except TypeError:
            raise no_key(key) from None

    def lane_of(self, key: int | None) -> int:
        """Return the lane for a partition key, or any.

        Raises:
            TypeError: The key is no integer.
        """
        if self.lane_count == 1:
            return 0
        if key is None:
            self._turn = turn = self._turn + 1
            return turn % self.lane_count
        if not isinstance(key, int):
            raise no_key(key)
        return key % self.lane_count


def no_key(key: object) -> TypeError:
    """Return what is wrong with a partition key."""
    return TypeError(f"partition_key is {key!r}; it must be an integer, or None")


class Routes:
    """The routes to all peers.

    Args:
        node: The node's name.
        channels: Its channels.
        links: Its connections by number.
        make_waiter: Makes what a sender waits for.
        traced: Whether messages carry trace context.
        most: Bytes a frame may have.
    """

    def __init__(
        self,
        node: Atom,
        channels: Sequence[Channel],
        links: Mapping[int, Link],
        make_waiter: MakeWaiter,
        *,
        traced: bool,
        most: int,
    ) -> None:
        self.templates: Templates = Templates(node, most)
        self.table: dict[str, dict[str | None, Route]] = {}
        """By peer and channel; None stands for the default channel."""
        self._channels = {channel.name: channel for channel in channels}
        self._links = links
        self._make_waiter = make_waiter
        self._waiting: dict[OutgoingStream[Any], list[Waiter]] = {}
        self._traced = traced

    core: NodeCore

    # -- Changes ----------------------------------------------------------------------------------

    def changed(self, peer: Atom) -> None:
        """Look again which connections there are to a peer."""
        core = self.core
        for route in (self.table.get(peer) or {}).values():
            for lane in route.lanes.values():
                lane.put()  # before others number messages of the same streams
        if peer not in core.peers:
            self.table.pop(peer, None)
            return
        routes: dict[str | None, Route] = {}
        for name, own in self._channels.items():
            channel = Atom(name)
            routes[name] = Route(
                peer,
                own,
                self._found(core.route(peer, channel)),
                self._found(core.lane_route(peer, channel)),
                core.lanes(peer, channel),
                acknowledges=core.acknowledges(peer),
                traced=self._traced,
            )
        routes[None] = routes[DEFAULT_CHANNEL]
        self.table[peer] = routes

    def _found(self, numbers: tuple[int, ...]) -> tuple[Link, ...]:
        return tuple([self._links[number] for number in numbers if number in self._links])

    def left(self, peer: Atom) -> None:
        """Forget a peer that is no member any more, and let go whoever waits for it."""
        self.table.pop(peer, None)
        for stream in [each for each in self._waiting if each.peer == peer]:
            self.room(stream)

    def room(self, stream: OutgoingStream[Any]) -> None:
        """Let go whoever waits for room in a stream."""
        if self._waiting:
            for waiter in self._waiting.pop(stream, ()):
                waiter.set()

    def close(self) -> None:
        """Let go everybody."""
        self.table.clear()
        for stream in [*self._waiting]:
            self.room(stream)

    async def wait(self, stream: OutgoingStream[Any]) -> None:
        """Wait until a stream may have room."""
        waiter = self._make_waiter()
        waiting = self._waiting.setdefault(stream, [])
        waiting.append(waiter)
        try:
            await waiter.wait()
        finally:
            if waiter in waiting:
                waiting.remove(waiter)
            if not waiting and self._waiting.get(stream) is waiting:
                del self._waiting[stream]

    # -- Writing ----------------------------------------------------------------------------------

    def find(self, peer: str, channel: str | None) -> Route | None:
        """Return the route of a channel, or the default one's if this node has no such channel."""
        routes = self.table.get(peer)
        if routes is None:
            if Atom(peer) not in self.core.peers:
                return None
            self.changed(Atom(peer))
            routes = self.table[peer]
        return routes.get(channel) or routes[None]

    def write(self, route: Route, link: Link, target: Term, message: Term) -> tuple[bool, bool]:
        """Write a message that nobody acknowledges.

        Returns:
            Whether much is under way now, and whether it took the place of an older one.

        Raises:
            EncodeError: The message is no term, or too large for a frame.
        """
        templates = self.templates
        if type(message) is bytes and len(message) >= LARGE and route.plain:
            return link.write_parts(templates.plain_head(target, len(message)), message), False
        frame = templates.plain_frame(target, message)
        if route.level:
            frame = framed(deflated(frame[4:], route.level))
        if route.monotonic:
            return False, link.write_newest(frame)
        return link.write(frame), False

    def lane(self, route: Route, key: int | None) -> Lane | OutgoingStream[Any]:
        """Return the lane of acknowledged messages; without a connection, what keeps them."""
        index = route.lane_of(key)
        lane = route.lanes.get(index)
        if lane is not None:
            return lane
        stream = self.core.delivery.outgoing(route.peer, route.channel, index)
        links = route.lane_links
        if not links:
            return stream
        lane = route.lanes[index] = Lane(
            links[index % len(links)], stream, self.templates, route.level
        )
        return lane

    def transmit(
        self, peer: Atom, channel: Atom, messages: list[tuple[int, Any]], link: Link | None
    ) -> None:
        """Send stored messages again; without the connection they stay stored."""
        route = self.find(peer, channel)
        if route is None or link is None:
            return
        for number, stored in messages:
            if link.full:
                return  # they come again; what is written now waits for the peer anyway
            frame = stored_frame(self.templates, number, stored)
            link.write(framed(deflated(frame[4:], route.level)) if route.level else frame)
