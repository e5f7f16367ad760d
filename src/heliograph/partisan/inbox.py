# SPDX-License-Identifier: Apache-2.0
"""Where messages for a registered name wait for the task that takes them.

How it works, for whoever changes it: whoever delivers (`_put`, `_put_many`) runs in the event loop
and never waits. It then asks whether the inbox is full, and if so stops reading from its peer until
`_on_room` calls it back; that is how a slow reader slows its senders down. What one read had
already brought is kept, so an inbox may for a while hold more than its capacity, by what one read
of each connection holds.
"""

from __future__ import annotations

from collections import deque
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, Self, TypeAlias

from heliograph import propagator
from heliograph.partisan.errors import InboxClosedError
from heliograph.partisan.events import MESSAGE_PROCESS
from heliograph.partisan.waiting import waiter_factory

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from heliograph.partisan.waiting import MakeWaiter, Waiter

__all__ = ["DEFAULT_CAPACITY", "Inbox", "Overflow", "Traced"]

Overflow: TypeAlias = Literal["wait", "drop_new", "drop_old"]
"""What a full inbox does.

`"wait"` lets senders wait: the connections that bring messages for it are not read until there is
room, so nothing is lost. `"drop_new"` drops what comes, `"drop_old"` the oldest: whether it was to
be acknowledged or not, each is counted, and told by the event `partisan.message.dropped`.
"""

# Our choice: a second's worth for a quick reader, a few megabytes of small messages.
DEFAULT_CAPACITY: Final = 10_000


class Traced(NamedTuple):
    """A message with the trace context of its sender."""

    message: Any
    carrier: dict[str, str]
    peer: str | None


class Inbox:
    """The messages sent to one name, in the order in which they came. Made by `Node.register`.

        inbox = node.register("orders")
        async for message in inbox:
            ...

    Any number of tasks may take from it; each message goes to one of them.

    Attributes:
        name: The name it is registered under.
        capacity: Messages it holds before the overflow policy applies.
        overflow: The policy.
        dropped: Messages the policy has cost so far.
    """

    __slots__ = (
        "_items",
        "_make_waiter",
        "_node",
        "_on_close",
        "_on_drop",
        "_on_room",
        "_waiters",
        "capacity",
        "closed",
        "dropped",
        "name",
        "overflow",
    )

    def __init__(
        self,
        name: str,
        *,
        node: str,
        capacity: int = DEFAULT_CAPACITY,
        overflow: Overflow = "wait",
        on_drop: Callable[[str, int], None] | None = None,
        on_close: Callable[[Inbox], None] | None = None,
    ) -> None:
        if capacity < 1:
            raise ValueError(f"inbox {name!r}: capacity is {capacity}; it must be at least 1")
        if overflow not in ("wait", "drop_new", "drop_old"):
            raise ValueError(
                f"inbox {name!r}: overflow is {overflow!r}; "
                "it must be 'wait', 'drop_new' or 'drop_old'"
            )
        self.name: Final[str] = name
        self.capacity: Final[int] = capacity
        self.overflow: Final[Overflow] = overflow
        self.dropped: int = 0
        self.closed: bool = False
        self._items: deque[Any] = deque()
        self._waiters: deque[Waiter] = deque()
        self._make_waiter: MakeWaiter | None = None
        self._node = node
        self._on_room: list[Callable[[], None]] = []
        self._on_drop = on_drop
        self._on_close = on_close

    # -- Taking -----------------------------------------------------------------------------------

    async def receive(self) -> Any:
        """Take the next message, waiting for it if need be.

        Raises:
            InboxClosedError: The inbox was closed and is empty.
        """
        items = self._items
        while not items:
            waiter = self._wait()
            try:
                await waiter.wait()
            except BaseException:
                self._gave_up(waiter)
                raise
        item = items.popleft()
        if self._on_room and len(items) < self.capacity:
            self._tell_room()
        return item.message if type(item) is Traced else item

    @asynccontextmanager
    async def processing(self) -> AsyncIterator[Any]:
        """Take the next message, and work on it within the trace of its sender.

            async with inbox.processing() as message:
                ...

        The block is a span `partisan.message.process`; it is a child of the span in which the
        sender has sent the message, if both nodes carry trace context.

        Raises:
            InboxClosedError: The inbox was closed and is empty.
        """
        while not self._items:
            waiter = self._wait()
            try:
                await waiter.wait()
            except BaseException:
                self._gave_up(waiter)
                raise
        item = self._items.popleft()
        self._took()
        metadata: dict[str, Any] = {"node": self._node, "target": self.name}
        carrier: dict[str, str] = {}
        message = item
        if type(item) is Traced:
            message, carrier = item.message, item.carrier
            if item.peer is not None:
                metadata["peer"] = item.peer
        with propagator().extract(carrier), MESSAGE_PROCESS(**metadata):
            yield message

    def _wait(self) -> Waiter:
        """Return what to wait for until something has come."""
        if self.closed:
            raise InboxClosedError(f"inbox {self.name!r} is closed: register the name again")
        if self._make_waiter is None:
            self._make_waiter = waiter_factory()
        waiter = self._make_waiter()
        self._waiters.append(waiter)
        return waiter

    def _gave_up(self, waiter: Waiter) -> None:
        """Note a task that waits no longer; if it was woken for a message, wake another for it."""
        if waiter in self._waiters:
            self._waiters.remove(waiter)
        elif self._items:
            self._wake()

    def _took(self) -> None:
        if self._on_room and len(self._items) < self.capacity:
            self._tell_room()

    def receive_nowait(self) -> Any:
        """Take the next message if there is one.

        Raises:
            LookupError: There is none.
            InboxClosedError: The inbox was closed and is empty.
        """
        if not self._items:
            if self.closed:
                raise InboxClosedError(f"inbox {self.name!r} is closed: register the name again")
            raise LookupError(f"inbox {self.name!r} is empty; `await receive()` waits")
        item = self._items.popleft()
        self._took()
        return item.message if type(item) is Traced else item

    def __len__(self) -> int:
        return len(self._items)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Any:
        try:
            return await self.receive()
        except InboxClosedError:
            raise StopAsyncIteration from None

    def close(self) -> None:
        """Take no more messages and give the name back; what is in it can still be taken."""
        if self.closed:
            return
        self.closed = True
        while self._waiters:
            self._waiters.popleft().set()
        self._tell_room()
        if self._on_close is not None:
            self._on_close(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def __repr__(self) -> str:
        state = "closed" if self.closed else f"{len(self)} of {self.capacity}"
        return f"<Inbox {self.name!r}, {state}>"

    # -- Delivering -------------------------------------------------------------------------------

    def _put(self, message: Any) -> bool:
        """Deliver one message; False if the inbox refuses it."""
        items = self._items
        if len(items) >= self.capacity and self.overflow != "wait" and not self._make_room(1):
            return False
        items.append(message)
        if self._waiters:
            self._waiters.popleft().set()
        return True

    def _put_many(self, messages: Sequence[Any]) -> None:
        """Deliver messages that came together; those it refuses are lost, and counted."""
        if self.overflow != "wait":
            for message in messages:
                self._put(message)
            return
        self._items.extend(messages)
        if self._waiters:
            for _ in range(min(len(self._waiters), len(messages))):
                self._waiters.popleft().set()

    @property
    def _full(self) -> bool:
        """Whether whoever brings messages should wait for room."""
        return len(self._items) >= self.capacity and self.overflow == "wait" and not self.closed

    def _make_room(self, count: int) -> bool:
        """Drop as the policy says; tell whether what comes may come in."""
        self.dropped += count
        if self._on_drop is not None:
            self._on_drop(self.name, count)
        if self.overflow == "drop_new":
            return False
        for _ in range(count):
            self._items.popleft()
        return True

    def _wake(self) -> None:
        if self._waiters:
            self._waiters.popleft().set()

    def _tell_room(self) -> None:
        waiting, self._on_room = self._on_room, []
        for call in waiting:
            call()
