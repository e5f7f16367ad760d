# SPDX-License-Identifier: Apache-2.0
"""What stands for processes of a node: who waits for a reply, who monitors others."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any, Final, Self

from heliograph.partisan.errors import NoReplyError, NotConnectedError
from heliograph.partisan.wire import Atom, exact
from heliograph.partisan.wire.messages import Reply, RpcResponse, parse_payload
from heliograph.partisan.wire.refs import RemoteRef

if TYPE_CHECKING:
    from collections.abc import Callable

    from heliograph.partisan.waiting import MakeWaiter, Waiter
    from heliograph.partisan.wire import Term

__all__ = ["Monitor", "PendingAnswer", "PendingReply", "Processes", "Request"]

# Erlang's own first processes have small numbers; ours are those of no process anywhere.
_FIRST: Final = 1_000


class Request:
    """A message whose sender waits for a reply; what an inbox gives in place of the bare message.

    Attributes:
        message: What was asked.
        peer: Name of the node that asks.
    """

    __slots__ = ("_reply", "_tag", "_to", "message", "peer")

    def __init__(
        self, message: Term, to: RemoteRef, tag: Term, reply: Callable[[RemoteRef, Term], bool]
    ) -> None:
        self.message: Term = message
        self.peer: str = str(to.node)
        self._to = to
        self._tag = tag
        self._reply = reply

    def reply(self, answer: Term) -> bool:
        """Send the answer; tell whether it was accepted: not if the node that asks is no member.

        Raises:
            EncodeError: The answer is no term.
        """
        return self._reply(self._to, Reply(self._tag, answer).term())

    def __repr__(self) -> str:
        return f"<Request of {self.peer}: {self.message!r:.60}>"


class PendingReply:
    """One request that waits for its reply."""

    __slots__ = ("_answer", "_failure", "_waiter", "peer", "tag")

    def __init__(self, peer: str, tag: Term, waiter: Waiter) -> None:
        self.peer: str = peer
        self.tag: bytes = exact(tag)
        self._waiter = waiter
        self._answer: tuple[Term] | None = None
        self._failure: Exception | None = None

    def take(self, message: Term) -> None:
        """Take a message to the process that waits; only the reply's tag counts."""
        match message:
            case (tag, answer) if exact(tag) == self.tag:
                self._answer = (answer,)
                self._waiter.set()
            case _:
                pass

    def fail(self, failure: Exception) -> None:
        """Wait no longer."""
        self._failure = failure
        self._waiter.set()

    async def wait(self) -> Term:
        """Wait for the reply."""
        await self._waiter.wait()
        if self._answer is not None:
            return self._answer[0]
        raise self._failure or NoReplyError(f"{self.peer} did not reply")


class PendingAnswer(PendingReply):
    """One remote call that waits for its result, which carries no number."""

    __slots__ = ()

    def __init__(self, peer: str, waiter: Waiter) -> None:
        super().__init__(peer, Atom("rpc_response"), waiter)

    def take(self, message: Term) -> None:
        found = parse_payload(message)
        if isinstance(found, RpcResponse):
            self._answer = (found.result,)
            self._waiter.set()


class Monitor:
    """A monitor of a process elsewhere: tells when it ends. Made by `Node.monitor`.

    Attributes:
        peer: Name of its node.
        target: What is monitored: a registered name, or numbers of a process.
    """

    __slots__ = ("_end", "_make_waiter", "_reason", "_waiters", "peer", "reference", "target")

    def __init__(
        self,
        peer: str,
        target: str,
        make_waiter: MakeWaiter,
        end: Callable[[Monitor], None],
    ) -> None:
        self.peer: str = peer
        self.target: str = target
        self.reference: Term = None
        self._reason: tuple[Term] | None = None
        self._make_waiter = make_waiter
        self._waiters: list[Waiter] = []
        self._end = end

    @property
    def ended(self) -> bool:
        """Whether the process has ended, or its node is gone."""
        return self._reason is not None

    async def down(self) -> Any:
        """Wait until the process has ended and return why, as a term.

        `Atom("noproc")` is said of one that never was, `Atom("noconnection")` if its node is gone.
        """
        while self._reason is None:
            waiter = self._make_waiter()
            self._waiters.append(waiter)
            await waiter.wait()
        return self._reason[0]

    def close(self) -> None:
        """End the monitor."""
        self._end(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _ended(self, reason: Term) -> None:
        if self._reason is None:
            self._reason = (reason,)
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            waiter.set()


class Processes:
    """Those of one node, by number.

    Args:
        node: The node's name.
    """

    def __init__(self, node: Atom) -> None:
        self._node = node
        self._numbers = itertools.count(_FIRST)
        self._takers: dict[str, Callable[[Term], object]] = {}
        self._pending: dict[str, PendingReply] = {}
        self.monitors: dict[str, Monitor] = {}

    def new(self, take: Callable[[Term], object] | None = None) -> RemoteRef:
        """Make a process; what is sent to it is given to `take`."""
        ref = RemoteRef(self._node, "pid", f"0.{next(self._numbers)}.0")
        if take is not None:
            self._takers[ref.id] = take
        return ref

    def ask(self, ref: RemoteRef, pending: PendingReply) -> None:
        """Let a process wait for a reply."""
        self._takers[ref.id] = pending.take
        self._pending[ref.id] = pending

    def end(self, ref: RemoteRef) -> None:
        """Forget a process."""
        self._takers.pop(ref.id, None)
        self._pending.pop(ref.id, None)
        self.monitors.pop(ref.id, None)

    def take(self, number: str, message: Term) -> bool:
        """Give a message to a process; tell whether there is one."""
        taker = self._takers.get(number)
        if taker is None:
            return False
        taker(message)
        return True

    def has(self, number: str) -> bool:
        """Whether there is a process of this number."""
        return number in self._takers or number in self.monitors

    def node_down(self, peer: str) -> None:
        """Let nobody wait for a node that is gone."""
        for pending in self._pending.values():
            if pending.peer == peer:
                pending.fail(NotConnectedError(f"{peer} is gone before it replied"))

    def close(self, failure: Exception) -> None:
        """Let nobody wait any more."""
        for pending in self._pending.values():
            pending.fail(failure)
        for monitor in self.monitors.values():
            monitor._ended(Atom("noconnection"))
