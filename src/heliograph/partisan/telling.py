# SPDX-License-Identifier: Apache-2.0
"""What a node tells: each catalogued event, executed by what happens."""

from __future__ import annotations

import logging
from collections import Counter
from struct import Struct
from typing import TYPE_CHECKING, Final, Literal, cast

from heliograph import Error, Ok
from heliograph.partisan.events import (
    BROADCAST_GRAFT,
    BROADCAST_PRUNE,
    CHANNEL_CONFIGURED,
    CONNECTION_CLIENT_HEARTBEAT,
    CONNECTION_SERVER_HEARTBEAT,
    MEMBERSHIP_CONFLICT,
    MEMBERSHIP_NEIGHBOR_DOWN,
    MEMBERSHIP_NEIGHBOR_UP,
    MEMBERSHIP_OPTIMIZATION,
    MEMBERSHIP_PEER_CHANNEL_DOWN,
    MEMBERSHIP_PEER_CHANNEL_UP,
    MEMBERSHIP_PEER_DOWN,
    MEMBERSHIP_PEER_JOIN,
    MEMBERSHIP_PEER_JUDGE,
    MEMBERSHIP_PEER_LEAVE,
    MEMBERSHIP_PEER_SUSPECT,
    MEMBERSHIP_PEER_UP,
    MEMBERSHIP_PROMOTION,
    MEMBERSHIP_SHUFFLE,
    MEMBERSHIP_UNSAVED,
    MESSAGE_DROPPED,
    MESSAGE_FORCED,
    PROTOCOL_DROPPED,
    SOCKET_CLOSE,
    SOCKET_CONNECT,
    SOCKET_OPEN,
    SOCKET_RECV,
    SOCKET_SEND,
    SOCKET_TAG_MSG,
)
from heliograph.partisan.protocol import effects
from heliograph.partisan.watching import Change

if TYPE_CHECKING:
    from collections.abc import Iterable

    from heliograph.partisan.channels import Channel
    from heliograph.partisan.events import (
        MessageDroppedMetadata,
        ProtocolDroppedMetadata,
        SocketCloseMetadata,
        SocketConnectMetadata,
        SocketRecvMetadata,
        SocketTagMsgMetadata,
    )
    from heliograph.partisan.link import Link
    from heliograph.partisan.protocol.effects import Judged
    from heliograph.partisan.watching import Watchers
    from heliograph.partisan.wire import NodeSpec

__all__ = ["DownReason", "DropReason", "Teller", "frame_tag"]

DownReason = Literal["leave", "evicted", "closed", "failure", "timeout", "shutdown"]
NeighborDownReason = Literal[
    "evicted", "leave", "failure", "timeout", "closed", "refused", "shutdown"
]
Outcome = Literal["requested", "accepted", "rejected"]
CloseReason = Literal[
    "leave", "evicted", "closed", "failure", "timeout", "protocol_error", "refused", "shutdown"
]
DropReason = Literal[
    "unknown_name",
    "inbox_full",
    "superseded",
    "disconnected",
    "departed",
    "undecodable",
    "shutdown",
]

_log: Final = logging.getLogger("heliograph.partisan")
_length: Final = Struct(">I").unpack_from

_MANAGER: Final = b"partisan_pluggable_peer_service_manager"
# What the protocol knows; whatever else a peer calls its frames is not to become a series.
_TAGS: Final = frozenset({
    "hello", "state", "ping", "pong", "forward_message", "relay_message", "ack",
    "membership_strategy",
})  # fmt: skip


class Teller:
    """Executes the events of one node, and tells whoever watches its membership.

    Args:
        node: The node's name.
        watchers: Who watches.
    """

    def __init__(self, node: str, watchers: Watchers) -> None:
        self._node = node
        self._watchers = watchers

    # -- Membership -------------------------------------------------------------------------------

    def unsaved(self, failure: OSError) -> None:
        """The membership is not on disk, and should be."""
        MEMBERSHIP_UNSAVED.execute({"count": 1}, {"node": self._node, "failure": failure})

    def joined(self, spec: NodeSpec) -> None:
        """A node is a member now."""
        MEMBERSHIP_PEER_JOIN.execute(
            {"count": 1},
            {"node": self._node, "name": str(spec.name), "listen_addrs": addresses(spec)},
        )
        self._watchers.tell(Change("join", str(spec.name)))

    def left(self, spec: NodeSpec) -> None:
        """A node is no member any more."""
        MEMBERSHIP_PEER_LEAVE.execute(
            {"count": 1},
            {"node": self._node, "name": str(spec.name), "listen_addrs": addresses(spec)},
        )
        self._watchers.tell(Change("leave", str(spec.name)))

    def up(self, spec: NodeSpec) -> None:
        """All connections to a peer are there."""
        MEMBERSHIP_PEER_UP.execute(
            {"count": 1},
            {"node": self._node, "name": str(spec.name), "listen_addrs": addresses(spec)},
        )
        self._watchers.tell(Change("up", str(spec.name)))

    def down(self, spec: NodeSpec, reason: str, downs: int) -> None:
        """No connection to a peer is left."""
        MEMBERSHIP_PEER_DOWN.execute(
            {"count": 1, "downs": downs},
            {
                "node": self._node,
                "name": str(spec.name),
                "listen_addrs": addresses(spec),
                "reason": _down(reason),
            },
        )
        self._watchers.tell(Change("down", str(spec.name), None, reason))

    def suspected(self, peer: str, timeout: int) -> None:
        """A peer has missed a ping."""
        MEMBERSHIP_PEER_SUSPECT.execute(
            {"count": 1, "timeout": timeout}, {"node": self._node, "name": peer}
        )

    def judged(self, judged: Judged) -> None:
        """A peer is suspected no more."""
        MEMBERSHIP_PEER_JUDGE.execute(
            {
                "count": 1,
                "duration": judged.duration,
                "confirmations": judged.confirmations,
            },
            {"node": self._node, "name": str(judged.peer), "outcome": judged.outcome},
        )

    def channel_up(self, peer: str, channel: str, parallelism: int) -> None:
        """All connections of a channel to a peer are there."""
        MEMBERSHIP_PEER_CHANNEL_UP.execute(
            {"count": 1, "sockets": parallelism},
            {"node": self._node, "peer": peer, "channel": channel, "parallelism": parallelism},
        )
        self._watchers.tell(Change("channel_up", peer, channel))

    def channel_down(self, peer: str, channel: str, parallelism: int, reason: str) -> None:
        """No connection of a channel to a peer is left."""
        MEMBERSHIP_PEER_CHANNEL_DOWN.execute(
            {"count": 1, "sockets": 0},
            {
                "node": self._node,
                "peer": peer,
                "channel": channel,
                "parallelism": parallelism,
                "reason": _down(reason),
            },
        )
        self._watchers.tell(Change("channel_down", peer, channel, reason))

    def configured(self, channels: Iterable[Channel]) -> None:
        """The channels were set."""
        for channel in channels:
            CHANNEL_CONFIGURED.execute(
                {"count": 1},
                {"node": self._node, "name": channel.name, "config": channel.config},
            )

    # -- Partial views and broadcast trees --------------------------------------------------------

    def neighbor_up(self, spec: NodeSpec) -> None:
        """A node is a neighbor now."""
        MEMBERSHIP_NEIGHBOR_UP.execute(
            {"count": 1},
            {"node": self._node, "name": str(spec.name), "listen_addrs": addresses(spec)},
        )
        self._watchers.tell(Change("neighbor_up", str(spec.name)))

    def neighbor_down(self, spec: NodeSpec, reason: str) -> None:
        """A node is a neighbor no more."""
        MEMBERSHIP_NEIGHBOR_DOWN.execute(
            {"count": 1},
            {
                "node": self._node,
                "name": str(spec.name),
                "listen_addrs": addresses(spec),
                "reason": cast("NeighborDownReason", reason),
            },
        )
        self._watchers.tell(Change("neighbor_down", str(spec.name), None, reason))

    def mismatched(self, found: effects.Mismatched) -> None:
        """A peer is configured otherwise."""
        _log.warning(
            "%s: %s of %s: %s; here: %s",
            self._node,
            found.setting,
            found.peer,
            found.theirs,
            found.own,
        )
        MEMBERSHIP_CONFLICT.execute(
            {"count": 1},
            {
                "node": self._node,
                "peer": str(found.peer),
                "setting": cast("Literal['manager', 'channels']", found.setting),
                "own_value": found.own,
                "peer_value": found.theirs,
            },
        )

    def tell(self, effect: effects.Effect) -> None:
        """Tell what needs nothing done, if it is of partial views or broadcast trees."""
        match effect:
            case effects.Grafted(peer, root):
                BROADCAST_GRAFT.execute(
                    {"count": 1}, {"node": self._node, "peer": str(peer), "root": str(root)}
                )
            case effects.Pruned(peer, root):
                BROADCAST_PRUNE.execute(
                    {"count": 1}, {"node": self._node, "peer": str(peer), "root": str(root)}
                )
            case effects.Dropped():
                self._ignored(effect)
            case effects.NeighborUp(spec):
                self.neighbor_up(spec)
            case effects.Shuffled():
                MEMBERSHIP_SHUFFLE.execute({"count": 1}, {"node": self._node})
            case effects.Promoted(outcome, count):
                MEMBERSHIP_PROMOTION.execute(
                    {"count": count},
                    {"node": self._node, "outcome": cast("Outcome", outcome)},
                )
            case effects.Optimized(outcome, count):
                MEMBERSHIP_OPTIMIZATION.execute(
                    {"count": count},
                    {"node": self._node, "outcome": cast("Outcome", outcome)},
                )
            case _:
                pass

    def _ignored(self, dropped: effects.Dropped) -> None:
        metadata: ProtocolDroppedMetadata = {
            "node": self._node,
            "protocol": cast("Literal['membership', 'broadcast', 'relay']", dropped.protocol),
            "reason": dropped.reason,
        }
        if dropped.peer is not None:
            metadata["peer"] = str(dropped.peer)
        if dropped.message:
            metadata["message"] = dropped.message
        PROTOCOL_DROPPED.execute({"count": dropped.count}, metadata)

    # -- Sockets ----------------------------------------------------------------------------------

    def opened(self, address: str, *, tls: bool) -> None:
        """The node listens."""
        SOCKET_OPEN.execute({"count": 1}, {"node": self._node, "listen_addr": address, "tls": tls})

    def listener_closed(self, address: str, reason: CloseReason, duration: int) -> None:
        """The node listens no more."""
        SOCKET_CLOSE.execute(
            {"count": 1, "duration": duration},
            {"node": self._node, "side": "listener", "reason": reason, "listen_addr": address},
        )

    def connected(
        self, link: Link, address: str, duration: int, failure: object, *, tls: bool
    ) -> None:
        """A dial has come to an end; well if `failure` is None."""
        metadata: SocketConnectMetadata = {
            "node": self._node,
            "peer": link.peer or "",
            "channel": link.channel or "",
            "peer_addr": address,
            "tls": tls,
            "result": Ok(None) if failure is None else Error(failure),
        }
        if failure is None:
            metadata["socket"] = link.number
        SOCKET_CONNECT.execute({"count": 1, "duration": duration}, metadata)

    def closed(self, link: Link, duration: int) -> None:
        """A connection is gone."""
        metadata: SocketCloseMetadata = {
            "node": self._node,
            "side": link.side,
            "reason": cast("CloseReason", link.close_reason),
            "peer_addr": link.peer_addr,
            "socket": link.number,
        }
        if link.peer is not None:
            metadata["peer"] = link.peer
        if link.channel is not None:
            metadata["channel"] = link.channel
        SOCKET_CLOSE.execute({"count": 1, "duration": duration}, metadata)

    def heartbeat(self, link: Link, latency: int) -> None:
        """A peer has answered a ping."""
        peer, channel = link.peer or "", link.channel or ""
        if link.side == "client":
            CONNECTION_CLIENT_HEARTBEAT.execute(
                {"latency": latency},
                {
                    "node": self._node,
                    "peer": peer,
                    "channel": channel,
                    "socket": link.number,
                    "listen_addr": link.peer_addr,
                },
            )
        else:
            CONNECTION_SERVER_HEARTBEAT.execute(
                {"latency": latency},
                {"node": self._node, "peer": peer, "channel": channel, "socket": link.number},
            )

    def read(self, link: Link, data: bytes, at: int, end: int) -> None:
        """Frames were read. Only to be called if somebody listens."""
        self._frames(link, data, at, end, "received")

    def written(self, link: Link, data: bytes) -> None:
        """Frames are written. Only to be called if somebody listens."""
        self._frames(link, data, 0, len(data), "sent")

    def read_large(self, link: Link, data: bytearray) -> None:
        """A large frame was read. Only to be called if somebody listens."""
        tags = Counter({frame_tag(bytes(data[:200]), 0): 1})
        self._count(link, tags, Counter({next(iter(tags)): len(data) + 4}), "received")

    def _frames(
        self,
        link: Link,
        data: bytes,
        at: int,
        end: int,
        direction: Literal["sent", "received"],
    ) -> None:
        frames: Counter[str] = Counter()
        sizes: Counter[str] = Counter()
        while end - at >= 4:
            size = _length(data, at)[0] + 4
            tag = frame_tag(data, at + 4)
            frames[tag] += 1
            sizes[tag] += size
            at += size
        if frames:
            self._count(link, frames, sizes, direction)

    def _count(
        self,
        link: Link,
        frames: Counter[str],
        sizes: Counter[str],
        direction: Literal["sent", "received"],
    ) -> None:
        event = SOCKET_SEND if direction == "sent" else SOCKET_RECV
        if event.handlers:
            metadata: SocketRecvMetadata = {"node": self._node}
            if link.peer is not None:
                metadata["peer"] = link.peer
            if link.channel is not None:
                metadata["channel"] = link.channel
            event.execute({"count": frames.total(), "bytes": sizes.total()}, metadata)
        if SOCKET_TAG_MSG.handlers:
            for tag, count in frames.items():
                tagged: SocketTagMsgMetadata = {
                    "node": self._node,
                    "tag": tag,
                    "direction": direction,
                }
                if link.peer is not None:
                    tagged["peer"] = link.peer
                if link.channel is not None:
                    tagged["channel"] = link.channel
                SOCKET_TAG_MSG.execute({"count": count, "bytes": sizes[tag]}, tagged)

    # -- Messages ---------------------------------------------------------------------------------

    def dropped(
        self,
        reason: DropReason,
        count: int = 1,
        *,
        peer: str | None = None,
        channel: str | None = None,
        target: str | None = None,
    ) -> None:
        """Messages are lost."""
        metadata: MessageDroppedMetadata = {"node": self._node, "reason": reason}
        if peer is not None:
            metadata["peer"] = peer
        if channel is not None:
            metadata["channel"] = channel
        if target is not None:
            metadata["target"] = target
        MESSAGE_DROPPED.execute({"count": count}, metadata)

    def forced(self, label: str, count: int) -> None:
        """Causal messages were delivered although what has caused them never came."""
        MESSAGE_FORCED.execute({"count": count}, {"node": self._node, "label": label})


def addresses(spec: NodeSpec) -> list[str]:
    """Return where a node listens, as texts."""
    return [str(address) for address in spec.listen_addrs]


def _down(reason: str) -> DownReason:
    # A peer whose connection ends because of what it sent, or that is not let in, has failed us.
    if reason in {"protocol_error", "refused"}:
        return "failure"
    return cast("DownReason", reason)


def frame_tag(data: bytes, at: int) -> str:
    """Return the tag of the frame whose payload begins at `at`; `other` if it has none we know."""
    try:
        text, after = _tuple_tag(data, at + 1)
        if text == "forward_message":
            name, after = _atom(data, after)
            if name == _MANAGER:
                text, _ = _tuple_tag(data, after)
    except IndexError:
        text = ""
    return text if text in _TAGS else "other"


def _tuple_tag(data: bytes, at: int) -> tuple[str, int]:
    if data[at : at + 1] != b"h":
        return "", at
    name, after = _atom(data, at + 2)
    return name.decode("latin-1"), after


def _atom(data: bytes, at: int) -> tuple[bytes, int]:
    tag = data[at : at + 1]
    if tag == b"w":
        size, begin = data[at + 1], at + 2
    elif tag == b"d":
        size, begin = int.from_bytes(data[at + 1 : at + 3], "big"), at + 3
    else:
        return b"", at
    return data[begin : begin + size], begin + size
