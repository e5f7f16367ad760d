# SPDX-License-Identifier: Apache-2.0
"""What is broadcast, and who has it already: handlers of broadcasts, as the original has them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from heliograph.partisan.wire import encode
from heliograph.partisan.wire.messages import UNDEFINED
from heliograph.partisan.wire.terms import Atom, exact

if TYPE_CHECKING:
    from heliograph.partisan.wire import Term

__all__ = ["PLAIN", "BroadcastHandler", "MessageCache", "key_of"]

PLAIN: Final = frozenset({int, bytes, Atom})
"""Types of ids that are their own keys."""


class BroadcastHandler(ABC):
    """What is broadcast, and which messages are known: the original's callbacks.

    Methods are called one at a time and must not wait for anything. An exception is counted and
    taken for the answer that does least.

    Attributes:
        channel: The channel that its messages go by.
    """

    channel: Atom = UNDEFINED

    @abstractmethod
    def broadcast_data(self, broadcast: Any) -> tuple[Term, Term]:
        """Return the id, different for each message, and the payload of what is to be broadcast."""

    @abstractmethod
    def merge(self, message_id: Term, payload: Term) -> bool:
        """Take a message in; tell whether it was new."""

    @abstractmethod
    def is_stale(self, message_id: Term) -> bool:
        """Tell whether a message is known, or a later one that makes it needless."""

    @abstractmethod
    def graft(self, message_id: Term) -> Term:
        """Return a message's payload.

        Raises:
            LookupError: A later one has made it needless, or it was forgotten.
        """

    def exchange(self, peer: Atom) -> Iterable[Term]:  # noqa: ARG002 - for those who override it
        """Bring a peer up to date: return the ids of messages that it may have missed."""
        return ()


class MessageCache(BroadcastHandler):
    """Delivers each message once, and keeps the latest for those who missed them.

    Args:
        deliver: Called with each new message's payload.
        new_id: Returns an id never used before, for each message broadcast from here.
        limit: Messages kept.
        size: Bytes that they may have together, as they are encoded.
        remembered: Messages known to have come. One that comes again after as many others is taken
            for new.
        exchanged: How many of the latest are announced in an exchange.
        channel: The channel that they go by.
    """

    def __init__(
        self,
        deliver: Callable[[Term], None],
        new_id: Callable[[], Term],
        *,
        limit: int = 1_024,
        size: int = 64 * 1024 * 1024,
        remembered: int = 65_536,
        exchanged: int = 16,
        channel: Atom = UNDEFINED,
    ) -> None:
        self.channel = channel
        self._deliver = deliver
        self._new_id = new_id
        self._limit = limit
        self._size = size
        self._remembered = max(limit, remembered)
        self._exchanged = exchanged
        self._known: dict[Any, None] = {}
        self._kept: dict[Any, tuple[Term, Term, int]] = {}
        self._kept_size = 0

    def __len__(self) -> int:
        return len(self._kept)

    def broadcast_data(self, broadcast: Any) -> tuple[Term, Term]:
        message_id = self._new_id()
        self._keep(key_of(message_id), message_id, broadcast)
        return message_id, broadcast

    def merge(self, message_id: Term, payload: Term) -> bool:
        key = key_of(message_id)
        if key in self._known:
            return False
        self._keep(key, message_id, payload)
        self._deliver(payload)
        return True

    def is_stale(self, message_id: Term) -> bool:
        return key_of(message_id) in self._known

    def graft(self, message_id: Term) -> Term:
        return self._kept[key_of(message_id)][1]

    def exchange(self, peer: Atom) -> Iterable[Term]:  # noqa: ARG002 - the same for all
        kept = self._kept.values()
        latest = [message_id for message_id, _, _ in islice(reversed(kept), self._exchanged)]
        return reversed(latest)

    def _keep(self, key: Any, message_id: Term, payload: Term) -> None:
        size = len(payload if type(payload) is bytes else encode(payload))
        self._known[key] = None
        self._kept[key] = (message_id, payload, size)
        self._kept_size += size
        while len(self._kept) > self._limit or self._kept_size > self._size:
            self._kept_size -= self._kept.pop(next(iter(self._kept)))[2]
        if len(self._known) > self._remembered:
            del self._known[next(iter(self._known))]


class Heartbeats(BroadcastHandler):
    """Takes part in the heartbeats that Erlang nodes broadcast if they are told to.

    Each is `{Node, Epoch, Count}`, its own id and payload. Nothing is made of them but that they
    are passed on, without which nodes behind this one would not hear of each other.

    Args:
        nodes: Nodes whose last heartbeat is remembered; our choice, the oldest goes first.
    """

    channel: Atom = Atom("partisan_membership")

    def __init__(self, nodes: int = 10_000) -> None:
        self._nodes = nodes
        self._last: dict[Atom, tuple[int, int]] = {}

    def broadcast_data(self, broadcast: Any) -> tuple[Term, Term]:
        return broadcast, broadcast

    def merge(self, message_id: Term, payload: Term) -> bool:  # noqa: ARG002 - they are the same
        if self.is_stale(message_id):
            return False
        node, epoch, count = _heartbeat(message_id)
        self._last.pop(node, None)
        self._last[node] = (epoch, count)
        if len(self._last) > self._nodes:
            del self._last[next(iter(self._last))]
        return True

    def is_stale(self, message_id: Term) -> bool:
        node, epoch, count = _heartbeat(message_id)
        last = self._last.get(node)
        return last is not None and (epoch, count) <= last

    def graft(self, message_id: Term) -> Term:
        node, epoch, count = _heartbeat(message_id)
        if self._last.get(node) != (epoch, count):
            raise LookupError(f"a later heartbeat of {node} is known")
        return message_id


def _heartbeat(message_id: Any) -> tuple[Atom, int, int]:
    match message_id:
        case (Atom() as node, int() as epoch, int() as count):
            return node, epoch, count
        case _:
            raise ValueError("no heartbeat")


def key_of(message_id: Term) -> Any:
    """Return what a message can be found by: ids may be terms that Python cannot hash."""
    if type(message_id) in PLAIN:
        return message_id
    return (exact(message_id),)
